//! One access, explained: who, with which credential, why it was possible, what changed before, how it is known.

use serde_json::{Value, json};

use crate::explain::secrets;
use crate::explain::{Ask, Fields, Line, beginning, line, list, literal, number, some, span, text};
use crate::query::QueryError;

/// As many accesses of one finding as are explained one by one.
const MOST_ACCESSES: usize = 3;
/// As many things as are named where an id is the beginning of several.
const MOST_CANDIDATES: usize = 8;
/// As many mintings as a lineage shows.
const MOST_MINTINGS: usize = 10;

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One sentence.
    pub title: String,
    /// The parts.
    pub lines: Vec<Line>,
    /// All of it for programs.
    pub facts: Value,
    /// Explanations of what it rests on.
    pub parts: Vec<Explanation>,
}

/// What an id, or the beginning of one, leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing has it.
    Nothing,
    /// One thing, explained.
    One(Box<Explanation>),
    /// Several begin like that: the first of them.
    Several(Vec<Candidate>),
}

/// One of several things whose ids begin alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// `access`, `finding` or `incident`.
    pub kind: String,
    /// The whole id.
    pub id: String,
    /// When it was.
    pub time: String,
    /// What it is, in a few words.
    pub title: String,
}

/// Explains an access (event id, request key, audit id), a finding or an incident.
///
/// # Errors
/// If a question cannot be answered.
pub async fn explain(lake: &impl Ask, id: &str) -> Result<Found, QueryError> {
    if let Some(found) = access(lake, id).await? {
        return Ok(Found::One(Box::new(found)));
    }
    let mut candidates = candidates(lake, id).await?;
    // A whole id is never the beginning of others only.
    if candidates.iter().any(|candidate| candidate.id == id) {
        candidates.retain(|candidate| candidate.id == id);
    }
    let [candidate] = candidates.as_slice() else {
        let is_none = candidates.is_empty();
        return Ok(if is_none { Found::Nothing } else { Found::Several(candidates) });
    };
    let id = literal(&candidate.id);
    let of = match candidate.kind.as_str() {
        "access" => {
            let found = access(lake, &candidate.id).await?;
            return Ok(found.map_or(Found::Nothing, |found| Found::One(Box::new(found))));
        }
        "incident" => format!("incident_id = {id}"),
        _ => format!("finding_id = {id}"),
    };
    let findings =
        format!("SELECT * FROM findings WHERE {of} ORDER BY severity_id DESC, time LIMIT 10");
    let findings = lake.ask(&findings).await?;
    Ok(Found::One(Box::new(judged(lake, findings).await?)))
}

/// What has ids that begin with `id`: incidents, findings, accesses.
///
/// # Errors
/// If the question cannot be answered.
pub async fn candidates(lake: &impl Ask, id: &str) -> Result<Vec<Candidate>, QueryError> {
    let sql = format!(
        "(SELECT 'incident' AS kind, incident_id AS id, min(time) AS time, min(title) AS title FROM findings \
          WHERE incident_id LIKE {0} GROUP BY incident_id ORDER BY id LIMIT {MOST_CANDIDATES}) \
         UNION ALL (SELECT 'finding', finding_id, time, title FROM findings WHERE finding_id LIKE {0} ORDER BY finding_id LIMIT {MOST_CANDIDATES}) \
         UNION ALL (SELECT 'access', CASE WHEN event_id LIKE {0} THEN event_id ELSE request_key END, time, \
          concat(coalesce(identity, 'somebody'), ' ', coalesce(verb, '-'), ' ', coalesce(resource, '-')) \
          FROM accesses WHERE judged AND (event_id LIKE {0} OR request_key LIKE {0}) ORDER BY time LIMIT {MOST_CANDIDATES})",
        beginning(id)
    );
    let rows = lake.ask(&sql).await?;
    let owned = |row: &Fields, column: &str| text(row, column).to_owned();
    let mut candidates: Vec<Candidate> = rows
        .iter()
        .map(|row| Candidate {
            kind: owned(row, "kind"),
            id: owned(row, "id"),
            time: owned(row, "time"),
            title: owned(row, "title"),
        })
        .collect();
    candidates.sort_by(|a, b| (&b.kind, &a.time, &a.id).cmp(&(&a.kind, &b.time, &b.id)));
    candidates.truncate(MOST_CANDIDATES);
    Ok(candidates)
}

/// The access that has exactly this id.
async fn access(lake: &impl Ask, id: &str) -> Result<Option<Explanation>, QueryError> {
    let accesses = format!(
        "SELECT * FROM correlated_events WHERE event_id = {0} OR request_key = {0} OR source_event_id = {0} \
         ORDER BY time LIMIT {MOST_ACCESSES}",
        literal(id)
    );
    Ok(accesses_explained(lake, &accesses).await?.pop())
}

/// Findings with the accesses that they judge.
async fn judged(lake: &impl Ask, findings: Vec<Fields>) -> Result<Explanation, QueryError> {
    let ids: Vec<String> = findings.iter().map(|row| literal(text(row, "finding_id"))).collect();
    let accesses = format!(
        "SELECT c.* FROM correlated_events c JOIN finding_events e ON e.event_id = c.event_id \
         WHERE e.role = 'anchor' AND e.finding_id IN ({}) ORDER BY c.time LIMIT {MOST_ACCESSES}",
        ids.join(", ")
    );
    let parts = accesses_explained(lake, &accesses).await?;
    let lines = findings.iter().map(|row| {
        line(
            "finding",
            format!("{} ({}): {}", text(row, "title"), severity(row), text(row, "reason")),
        )
    });
    let title = findings.first().map(|row| text(row, "title").to_owned()).unwrap_or_default();
    Ok(Explanation { title, lines: lines.collect(), facts: json!({ "findings": findings }), parts })
}

async fn accesses_explained(lake: &impl Ask, sql: &str) -> Result<Vec<Explanation>, QueryError> {
    let mut explained = Vec::new();
    for access in lake.ask(sql).await? {
        explained.push(one(lake, access).await?);
    }
    Ok(explained)
}

async fn one(lake: &impl Ask, access: Fields) -> Result<Explanation, QueryError> {
    let event = literal(text(&access, "event_id"));
    let findings = format!(
        "SELECT f.* FROM findings f JOIN finding_events e ON e.finding_id = f.finding_id \
         WHERE e.event_id = {event} AND f.state <> 'withdrawn' ORDER BY f.severity_id DESC"
    );
    let chain = some(&access, "credential_id").map(chain_of);
    let spans = some(&access, "trace_id")
        .map(|id| format!("SELECT service, name, kind, time, duration_ns FROM spans WHERE trace_id = {} ORDER BY time LIMIT 20", literal(id)));
    let change = some(&access, "change_id")
        .map(|id| format!("SELECT * FROM changes WHERE change_id = {}", literal(id)));
    let known = policy_known(&access);
    let allowing = some(&access, "impersonation_change_id")
        .map(|id| format!("SELECT summary, time FROM changes WHERE change_id = {}", literal(id)));
    let ask = |sql: Option<String>| async move {
        match sql {
            Some(sql) => lake.ask(&sql).await,
            None => Ok(Vec::new()),
        }
    };
    let requests = some(&access, "credential_id").and_then(requests_of);
    let (allowing, requests, chain, spans, change, findings, known) = futures::try_join!(
        ask(allowing),
        ask(requests),
        ask(chain),
        ask(spans),
        ask(change),
        lake.ask(&findings),
        lake.ask(&known),
    )?;
    let account = text(&access, "identity");
    let secrets = if secrets::may_be_by_one(&access) {
        secrets::made(lake, account, Some(&access)).await?
    } else {
        Vec::new()
    };
    let mut lines = vec![line("who", who(&access)), line("credential", credential(&access))];
    lines.extend(secrets::lines(&secrets, account));
    if secrets.is_empty() && text(&access, "credential_kind") == "legacy_token" {
        lines.push(line(
            "may be of",
            "unknown: it is the token of a Secret, and no body of a write that made one was seen",
        ));
    }
    lines.extend(mintings(&access, &chain).map(|text| line("lineage", text)));
    lines.extend(requests.iter().map(|row| {
        line("certificate", format!("{} at {}", text(row, "summary"), text(row, "time")))
    }));
    lines.push(decided(&access));
    lines.extend(impersonation(&access, allowing.first()).map(|text| line("impersonates", text)));
    lines.extend(changed(&access, change.first(), known.first()));
    lines.extend(trace(&access, spans.len()).map(|text| line("trace", text)));
    lines.push(line("seen from", seen_from(&access)));
    lines.extend(findings.iter().map(|row| {
        line(
            "finding",
            format!("{} ({}): {}", text(row, "title"), severity(row), text(row, "reason")),
        )
    }));
    let title = title(&access);
    let facts = json!({ "access": access, "lineage": chain, "change": change.first(), "spans": spans, "findings": findings });
    Ok(Explanation { title, lines, facts, parts: Vec::new() })
}

/// Who asked for a client certificate and who approved it, where it was signed under our eyes.
fn requests_of(id: &str) -> Option<String> {
    id.starts_with("X509SHA256=").then(|| {
        format!(
            "SELECT c.summary, c.time FROM changes c JOIN accesses a ON a.object_name = c.name \
             AND a.cluster IS NOT DISTINCT FROM c.cluster WHERE c.kind = 'certificate_approval' \
             AND a.judged AND a.issued_credential_id = {} ORDER BY c.time LIMIT 10",
            literal(id)
        )
    })
}

/// Since when policy of the cluster of `access` was seen, by the time of what showed it.
fn policy_known(access: &Fields) -> String {
    let cluster = some(access, "cluster").map_or_else(|| "NULL".to_owned(), literal);
    format!(
        "SELECT count(*) AS seen, min(time) AS since FROM ( \
         SELECT time FROM objects WHERE kind IN ('Role', 'ClusterRole', 'RoleBinding', 'ClusterRoleBinding') \
         AND cluster IS NOT DISTINCT FROM {cluster} UNION ALL \
         SELECT time FROM changes WHERE kind IN ('role', 'cluster_role', 'role_binding', 'cluster_role_binding') \
         AND cluster IS NOT DISTINCT FROM {cluster})"
    )
}

/// All credentials that lead to `id`; the walk is bounded by the number of joins.
fn chain_of(id: &str) -> String {
    format!(
        "SELECT c.credential_id, c.identity, c.issued_time, c.issued_by, c.issued_by_credential_id, c.pod, c.evidence \
         FROM credentials c WHERE c.root_credential_id IN \
         (SELECT root_credential_id FROM credentials WHERE credential_id = {0}) OR c.credential_id = {0}",
        literal(id)
    )
}

fn title(access: &Fields) -> String {
    let code = number(access, "status_code").map(|code| format!(" {code}")).unwrap_or_default();
    format!(
        "{}  {} {}: {}{code}",
        text(access, "time"),
        name(access),
        action(access),
        text(access, "decision")
    )
}

/// `web/frontend` for a `ServiceAccount`, the canonical name for others.
pub(super) fn name(row: &Fields) -> String {
    match (some(row, "namespace"), some(row, "service_account")) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => some(row, "identity").unwrap_or("nobody (not authenticated)").to_owned(),
    }
}

/// `get secrets payments/db-root`.
pub(super) fn action(row: &Fields) -> String {
    let Some(resource) = some(row, "resource") else {
        return format!("{} {}", text(row, "verb"), text(row, "request_uri"));
    };
    let sub = some(row, "subresource").map(|sub| format!("/{sub}")).unwrap_or_default();
    let object = match (some(row, "object_namespace"), some(row, "object_name")) {
        (Some(namespace), Some(name)) => format!(" {namespace}/{name}"),
        (Some(namespace), None) => format!(" in {namespace}"),
        (None, Some(name)) => format!(" {name}"),
        (None, None) => String::new(),
    };
    format!("{} {resource}{sub}{object}", text(row, "verb"))
}

fn who(access: &Fields) -> String {
    let mut told = some(access, "identity").unwrap_or("nobody: authentication failed").to_owned();
    if let Some((other, cause)) = some(access, "likely_identity").zip(some(access, "likely_cause"))
    {
        told = format!(
            "{told}, probably {other} (heuristic: the same address and user agent), since {cause}"
        );
    }
    if let Some(other) = some(access, "impersonated_identity") {
        told = format!("{told}, impersonating {other}");
        let groups = list(access, "impersonated_groups");
        if !groups.is_empty() {
            told = format!("{told} of groups {}", groups.join(", "));
        }
    }
    if let Some(other) = some(access, "on_behalf_of") {
        let grade = text(access, "on_behalf_of_evidence");
        told = format!("{told}, on behalf of {other} ({grade})");
    }
    if let Some(pod) = some(access, "pod") {
        told = format!("{told}, pod {pod}");
    }
    match (some(access, "workload"), text(access, "workload_evidence")) {
        (Some(workload), grade) => {
            let how = match grade {
                "exact" => "the pod's object was seen",
                _ => "by the pod's name, or the word of who made the pod or its token",
            };
            format!("{told} of {} {workload} ({grade}: {how})", text(access, "workload_kind"))
        }
        (None, _) if some(access, "pod").is_some() => {
            format!("{told} (workload unknown: its pod was not seen)")
        }
        (None, _) => told,
    }
}

fn credential(access: &Fields) -> String {
    let Some(id) = some(access, "credential_id") else {
        return format!(
            "not named by the source ({})",
            some(access, "credential_kind").unwrap_or("unknown")
        );
    };
    let Some(by) = some(access, "minted_by") else {
        return format!("{id} (its minting was not seen)");
    };
    let age = number(access, "credential_age_seconds").map(|age| format!(" {} before", span(age)));
    format!(
        "{id}, minted{} by {by} ({}: the issued credential's id)",
        age.unwrap_or_default(),
        text(access, "lineage_evidence")
    )
}

/// The credential and those that it came from, the first one last.
fn mintings(access: &Fields, chain: &[Fields]) -> Option<String> {
    let mut names = Vec::new();
    let mut current = some(access, "credential_id")?.to_owned();
    while names.len() < MOST_MINTINGS {
        let Some(row) = chain.iter().find(|row| text(row, "credential_id") == current) else {
            break;
        };
        let Some(parent) = some(row, "issued_by_credential_id") else { break };
        names.push(format!("{} of {}", parent, some(row, "issued_by").unwrap_or("?")));
        current = parent.to_owned();
    }
    (!names.is_empty()).then(|| format!("minted with {}", names.join(", minted with ")))
}

fn decided(access: &Fields) -> Line {
    let about = if text(access, "decision") == "deny" { "refused" } else { "possible by" };
    line(about, text(access, "decision_explained"))
}

/// What let it act as another, and who gave that.
fn impersonation(access: &Fields, given: Option<&Fields>) -> Option<String> {
    let other = some(access, "impersonated_identity")?;
    let Some(by) = some(access, "impersonation_decided_by") else {
        let is_allowed = text(access, "decision") == "allow";
        return is_allowed
            .then(|| format!("{other}: by what is unknown, no binding that was seen gives it"));
    };
    let since =
        given.map(|row| format!(", since {} at {}", text(row, "summary"), text(row, "time")));
    let since = since.unwrap_or_else(|| ", since before we looked".to_owned());
    Some(format!("{other}: possible by {by}{since} (derived)"))
}

fn changed(access: &Fields, change: Option<&Fields>, known: Option<&Fields>) -> Option<Line> {
    if let Some(summary) = some(access, "change_summary") {
        let ago = number(access, "seconds_since_change").map(span).unwrap_or_default();
        let grades = ["change_evidence", "provider", "decision"].map(|key| text(access, key));
        let how = match grades {
            ["exact", "kubernetes", "deny"] => "exact: it took away what had allowed this",
            ["exact", "kubernetes", _] => "exact: it touched the deciding binding or its role",
            ["exact", ..] => "exact: it touched the policy that decided",
            [_, "envoy" | "istio" | "cilium", _] => "derived: a policy of the same namespace",
            [_, "kubernetes", "allow"] if change.is_some_and(|change| decides(access, change)) => {
                "derived: it touched the deciding binding or its role, and what it made of it was not logged"
            }
            _ => "derived: other policy of this identity",
        };
        return Some(line("changed", format!("{summary}, {ago} before ({how})")));
    }
    // Of other authorizers too little is known to say that nothing changed.
    let is_of_bindings = text(access, "provider") == "kubernetes";
    let is_refused = text(access, "decision") == "deny";
    if !is_refused || !is_of_bindings || text(access, "decided_by") == "authentication" {
        return None;
    }
    let seen = known.filter(|row| number(row, "seen").unwrap_or_default() > 0);
    let told = match seen {
        Some(row) => format!(
            "nothing that was seen took such a permission away; unknown before {}, when policy was first seen",
            text(row, "since")
        ),
        None => "unknown: the cluster's policy was never seen; `durward ingest` the output of \
                 `kubectl get clusterroles,clusterrolebindings,roles,rolebindings -A -o json`"
            .to_owned(),
    };
    Some(line("changed", told))
}

/// Whether a change was of the binding or the role by which an access was allowed.
fn decides(access: &Fields, change: &Fields) -> bool {
    let path = [some(change, "namespace"), some(change, "name")].into_iter().flatten();
    let path: Vec<&str> = path.collect();
    ["decided_by", "decided_role"].into_iter().filter_map(|column| some(access, column)).any(
        |decided| {
            let (kind, rest) = decided.split_once('/').unwrap_or_default();
            rest == path.join("/") && kind.to_lowercase() == text(change, "kind").replace('_', "")
        },
    )
}

fn trace(access: &Fields, spans: usize) -> Option<String> {
    let id = some(access, "trace_id")?;
    let how = match (text(access, "trace_evidence"), text(access, "provider")) {
        ("exact", "kubernetes") => "exact: audit id, method, path and times agree",
        ("exact", _) => "exact: the span that the proxy made for it",
        (_, "kubernetes") => "derived: by an audit id, which clients choose",
        _ => "derived: by the trace and span that it names",
    };
    let mut told = format!(
        "{id}, span \"{}\" of {}, {spans} spans ({how})",
        text(access, "trace_name"),
        some(access, "trace_service").unwrap_or("an unnamed service")
    );
    if let Some(client) = some(access, "linked_trace_id") {
        let how = match text(access, "link_evidence") {
            "derived" => "derived: the client's span was seen",
            _ => "heuristic: the client's word, its span was not seen",
        };
        told = format!("{told}; linked to the client's {client} ({how})");
    }
    Some(told)
}

fn seen_from(access: &Fields) -> String {
    let agent = some(access, "user_agent").unwrap_or("no user agent");
    format!("{} with {agent}", some(access, "source_ip").unwrap_or("an unknown address"))
}

fn severity(row: &Fields) -> &'static str {
    durward_schemas::values::severity::name(number(row, "severity_id").unwrap_or_default())
}
