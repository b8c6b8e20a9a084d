//! Spans that an access can be joined with, waiting for it, or their access for them.
//!
//! API servers name the audit id in the spans of a request, and link to the client's span that they do not
//! trust to continue. Proxies name trace and span in the line that they log of a request.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;
use durward_schemas::tables::{Access, Span};
use durward_schemas::values::Evidence;

use crate::body;

/// The API server cuts `audit-id` in its spans to this many characters.
/// <https://github.com/kubernetes/kubernetes/blob/v1.34.4/staging/src/k8s.io/apiserver/pkg/audit/request.go>
pub(crate) const AUDIT_ID_LENGTH: usize = 64;

/// How far the clocks of one API server's audit and traces may stand apart, in microseconds.
const NESTING_SLACK: i64 = 5_000;

/// Links of one span that are kept; API servers make one.
const MAX_LINKS: usize = 4;

/// A span by its trace and its own id.
pub(crate) type SpanKey = (String, String);

/// What a span says that an access needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpanFact {
    /// The first 64 characters of the audit id.
    pub audit_id: Option<String>,
    pub trace_id: String,
    pub span_id: String,
    pub service: Option<String>,
    pub name: String,
    pub kind: String,
    pub cluster: Option<String>,
    pub time: Time,
    pub end_time: Time,
    pub method: Option<String>,
    pub target: Option<String>,
    /// The spans that it links to.
    pub links: Vec<SpanKey>,
}

/// The span of an access.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceEdge {
    pub span: SpanFact,
    pub evidence: Evidence,
}

/// What an access that waits for a new span would name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Joins {
    /// The audit id of the span itself.
    pub audit_id: Option<String>,
    /// The span itself, as a proxy's line names it.
    pub key: SpanKey,
    /// Audit ids of spans that link to it.
    pub linking: BTreeSet<String>,
}

/// Spans by what accesses name of them; those with and those without an audit id leave the oldest first,
/// so that neither push the others out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Spans {
    /// In the order of their arrival.
    facts: BTreeMap<u64, SpanFact>,
    audited: BTreeSet<u64>,
    others: BTreeSet<u64>,
    by_audit_id: BTreeMap<String, BTreeSet<u64>>,
    by_key: BTreeMap<SpanKey, BTreeSet<u64>>,
    by_link: BTreeMap<SpanKey, BTreeSet<u64>>,
}

impl Spans {
    /// Keeps a span that an access can be joined with; what such an access names.
    pub(crate) fn add(&mut self, span: &Span, most: usize) -> Option<Joins> {
        // What a program does inside itself is no request.
        let is_joined =
            span.audit_id.is_some() || matches!(span.kind.as_str(), "server" | "client");
        if !is_joined {
            return None;
        }
        let fact = fact(span);
        let key = (fact.trace_id.clone(), fact.span_id.clone());
        let linking = self.by_link.get(&key).into_iter().flatten();
        let linking = linking.filter_map(|number| self.facts.get(number)?.audit_id.clone());
        let joins = Joins { audit_id: fact.audit_id.clone(), linking: linking.collect(), key };
        self.restore(fact);
        while self.audited.len() > most {
            let oldest = self.audited.pop_first();
            self.forget(oldest);
        }
        while self.others.len() > most {
            let oldest = self.others.pop_first();
            self.forget(oldest);
        }
        Some(joins)
    }

    /// The span that served `access`, when `requests` requests share its audit id's prefix.
    ///
    /// Exact only when no other request has that prefix, method and path agree and the times nest
    /// (DESIGN decision 8); the audit id alone is chosen by clients.
    pub(crate) fn of(
        &self,
        access: &Access,
        requests: usize,
        only_cluster: bool,
    ) -> Option<TraceEdge> {
        self.audited(access, requests, only_cluster).or_else(|| self.claimed(access))
    }

    fn audited(&self, access: &Access, requests: usize, only_cluster: bool) -> Option<TraceEdge> {
        let audit_id = access.source_event_id.as_deref()?;
        let candidates = self.facts_of(self.by_audit_id.get(prefix(audit_id)));
        let reachable = candidates.filter(|span| match &span.cluster {
            Some(cluster) => access.cluster.as_ref() == Some(cluster),
            None => only_cluster,
        });
        best(reachable.map(|span| {
            let exact = requests == 1 && span.cluster.is_some() && serves(span, access);
            (exact, span)
        }))
    }

    /// The span that the access itself names.
    ///
    /// A proxy makes up the id of its own span: no client can choose it. A line that quotes a header names
    /// the client's span, which is all that it claims.
    fn claimed(&self, access: &Access) -> Option<TraceEdge> {
        let key = access.claimed_trace_id.clone().zip(access.claimed_span_id.clone())?;
        let named = self.facts_of(self.by_key.get(&key));
        best(named.map(|span| (span.kind == "server" && nests(span, access), span)))
    }

    /// The client's span that the serving span of `access` links to.
    ///
    /// It is derived, since clients choose what is linked to; one that nobody sent is their word alone.
    pub(crate) fn linked(&self, access: &Access) -> Option<(SpanKey, Evidence)> {
        let key = access.trace_id.clone().zip(access.span_id.clone())?;
        let links = self.facts_of(self.by_key.get(&key)).flat_map(|span| &span.links);
        let links: Vec<_> = links.collect();
        let seen = links.iter().find(|link| self.by_key.contains_key(**link));
        match (seen, links.first()) {
            (Some(link), _) => Some(((*link).clone(), Evidence::Derived)),
            (None, Some(link)) => Some(((*link).clone(), Evidence::Heuristic)),
            (None, None) => None,
        }
    }

    /// Everything in the order in which it came, for a checkpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SpanFact> {
        self.facts.values()
    }

    /// Keeps a span behind all others.
    pub(crate) fn restore(&mut self, span: SpanFact) {
        let number = self.facts.last_key_value().map_or(0, |(last, _)| last + 1);
        let key = (span.trace_id.clone(), span.span_id.clone());
        self.by_key.entry(key).or_default().insert(number);
        for link in &span.links {
            self.by_link.entry(link.clone()).or_default().insert(number);
        }
        if let Some(audit_id) = &span.audit_id {
            self.by_audit_id.entry(audit_id.clone()).or_default().insert(number);
            self.audited.insert(number);
        } else {
            self.others.insert(number);
        }
        self.facts.insert(number, span);
    }

    /// Number of spans held.
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    fn facts_of<'a>(
        &'a self,
        numbers: Option<&'a BTreeSet<u64>>,
    ) -> impl Iterator<Item = &'a SpanFact> {
        numbers.into_iter().flatten().filter_map(|number| self.facts.get(number))
    }

    fn forget(&mut self, number: Option<u64>) {
        let Some((number, span)) = number.and_then(|number| self.facts.remove_entry(&number))
        else {
            return;
        };
        remove(&mut self.by_key, &(span.trace_id, span.span_id), number);
        for link in &span.links {
            remove(&mut self.by_link, link, number);
        }
        if let Some(audit_id) = &span.audit_id {
            remove(&mut self.by_audit_id, audit_id, number);
        }
    }
}

fn remove<K: Ord>(index: &mut BTreeMap<K, BTreeSet<u64>>, key: &K, number: u64) {
    if let Some(numbers) = index.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            index.remove(key);
        }
    }
}

/// The best first; among equals the earliest, then by id, so that arrival does not decide.
fn best<'a>(graded: impl Iterator<Item = (bool, &'a SpanFact)>) -> Option<TraceEdge> {
    let rank = |(exact, span): &(bool, &SpanFact)| {
        (!exact, span.kind != "server", span.time, span.span_id.clone())
    };
    let (exact, span) = graded.min_by_key(rank)?;
    let evidence = if exact { Evidence::Exact } else { Evidence::Derived };
    Some(TraceEdge { span: span.clone(), evidence })
}

/// The part of an audit id that a span can carry.
pub(crate) fn prefix(audit_id: &str) -> &str {
    match audit_id.char_indices().nth(AUDIT_ID_LENGTH) {
        Some((end, _)) => audit_id.get(..end).unwrap_or(audit_id),
        None => audit_id,
    }
}

/// Method and path agree, and the span lies within the request.
fn serves(span: &SpanFact, access: &Access) -> bool {
    let path = |uri: &str| uri.split('?').next().unwrap_or(uri).to_owned();
    let asked = access.request_uri.as_deref().map(path);
    let same_path = span.target.as_deref().map(path) == asked && asked.is_some();
    let verb = access.verb.as_deref().unwrap_or_default();
    let same_method = span.method.as_deref().is_some_and(|method| methods(verb).contains(&method));
    same_path && same_method && nests(span, access)
}

/// The span begins within the request.
fn nests(span: &SpanFact, access: &Access) -> bool {
    let begins = span.time.since(access.time) >= -NESTING_SLACK;
    let answered = access.duration_us.map(|duration| access.time.plus(duration));
    begins && answered.is_none_or(|answered| span.time.since(answered) <= NESTING_SLACK)
}

/// The HTTP methods behind a request verb: <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb>.
fn methods(verb: &str) -> &'static [&'static str] {
    match verb {
        "get" | "list" | "watch" => &["GET", "HEAD"],
        "create" | "post" => &["POST", "GET", "PUT", "DELETE", "PATCH"],
        "update" | "put" => &["PUT"],
        "patch" => &["PATCH"],
        "delete" | "deletecollection" => &["DELETE"],
        "head" => &["HEAD"],
        "options" => &["OPTIONS"],
        _ => &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
    }
}

fn fact(span: &Span) -> SpanFact {
    let attributes: serde_json::Value =
        serde_json::from_str(span.attributes.as_str()).unwrap_or_default();
    let first = |names: [&str; 3]| {
        names.iter().find_map(|name| attributes.get(name)?.as_str().map(str::to_owned))
    };
    SpanFact {
        audit_id: span.audit_id.as_deref().map(|id| prefix(id).to_owned()),
        trace_id: span.trace_id.clone(),
        span_id: span.span_id.clone(),
        service: span.service.clone(),
        name: span.name.clone(),
        kind: span.kind.clone(),
        cluster: span.cluster.clone(),
        time: span.time,
        end_time: span.end_time,
        method: first(["http.request.method", "http.method", "method"]),
        target: first(["url.path", "http.target", "path"]),
        links: links(span),
    }
}

fn links(span: &Span) -> Vec<SpanKey> {
    let links = body::value(span.links.as_ref());
    let links = links.as_array().into_iter().flatten().filter_map(|link| {
        let id = |name: &str| link[name].as_str().map(str::to_owned);
        id("trace_id").zip(id("span_id"))
    });
    links.take(MAX_LINKS).collect()
}
