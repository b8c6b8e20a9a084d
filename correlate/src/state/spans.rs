//! Spans that carry an audit id, waiting for their access, or their access for them.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::tables::{Access, Span};
use durward_schemas::values::Evidence;

/// The API server cuts `audit-id` in its spans to this many characters.
/// <https://github.com/kubernetes/kubernetes/blob/v1.34.4/staging/src/k8s.io/apiserver/pkg/audit/request.go>
pub(crate) const AUDIT_ID_LENGTH: usize = 64;

/// How far the clocks of one API server's audit and traces may stand apart, in microseconds.
const NESTING_SLACK: i64 = 5_000;

/// What a span says that an access needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpanFact {
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
}

/// The span of an access.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceEdge {
    pub span: SpanFact,
    pub evidence: Evidence,
}

/// Spans by the first 64 characters of their audit id; the oldest leave first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Spans {
    /// In the order of their arrival.
    facts: BTreeMap<u64, (String, SpanFact)>,
    by_audit_id: BTreeMap<String, Vec<u64>>,
}

impl Spans {
    /// Keeps a span that carries an audit id; the id.
    pub(crate) fn add(&mut self, span: &Span, most: usize) -> Option<String> {
        let audit_id = prefix(span.audit_id.as_deref()?).to_owned();
        self.restore(audit_id.clone(), fact(span));
        while self.facts.len() > most {
            self.forget_oldest();
        }
        Some(audit_id)
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
        let audit_id = access.source_event_id.as_deref()?;
        let numbers = self.by_audit_id.get(prefix(audit_id))?.iter();
        let candidates = numbers.filter_map(|number| self.facts.get(number)).map(|(_, span)| span);
        let reachable = candidates.filter(|span| match &span.cluster {
            Some(cluster) => access.cluster.as_ref() == Some(cluster),
            None => only_cluster,
        });
        let graded = reachable.map(|span| {
            let exact = requests == 1 && span.cluster.is_some() && serves(span, access);
            (exact, span.kind == "server", span)
        });
        // The best first; among equals the earliest, then by id, so that arrival does not decide.
        let best = graded.min_by(|a, b| {
            let rank = |c: &(bool, bool, &SpanFact)| (!c.0, !c.1, c.2.time, c.2.span_id.clone());
            rank(a).cmp(&rank(b))
        })?;
        let evidence = if best.0 { Evidence::Exact } else { Evidence::Derived };
        Some(TraceEdge { span: best.2.clone(), evidence })
    }

    /// Everything in the order in which it came, for a checkpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, SpanFact)> {
        self.facts.values()
    }

    /// Keeps a span behind all others.
    pub(crate) fn restore(&mut self, audit_id: String, span: SpanFact) {
        let number = self.facts.last_key_value().map_or(0, |(last, _)| last + 1);
        self.by_audit_id.entry(audit_id.clone()).or_default().push(number);
        self.facts.insert(number, (audit_id, span));
    }

    /// Number of spans held.
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    fn forget_oldest(&mut self) {
        let Some((number, (audit_id, _))) = self.facts.pop_first() else { return };
        if let Some(numbers) = self.by_audit_id.get_mut(&audit_id) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_audit_id.remove(&audit_id);
            }
        }
    }
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
    let begins = span.time.since(access.time) >= -NESTING_SLACK;
    let answered = access.duration_us.map(|duration| access.time.plus(duration));
    let ends = answered.is_none_or(|answered| span.time.since(answered) <= NESTING_SLACK);
    same_path && same_method && begins && ends
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
    }
}
