//! Entries of Cloud Logging: what GKE's audit events and those of all other services have in common.
//!
//! Entry: <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry>,
//! payload: <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog>.
//! A sink into BigQuery names the payload and its bodies otherwise, and writes every absent field:
//! <https://cloud.google.com/logging/docs/export/bigquery#audit-logs-schema>.

use durward_schemas::values::Decision;
use serde_json::{Map, Value};

use super::cloud::address;
use super::fields::{self, Fields, Raw};
use super::{Failure, fields::wrong_type};

/// The parts of a payload that hold what clients send and services answer.
const BODIES: &[&str] = &["request", "response", "metadata"];
/// The fields of an entry; BigQuery and others do not keep their capitals.
const SPELLING: &[&str] =
    &["insertId", "logName", "receiveTimestamp", "spanId", "jsonPayload", "textPayload"];
/// Names in BigQuery of what are messages elsewhere.
const IN_BIGQUERY: &[(&str, &str)] =
    &[("requestJson", "request"), ("responseJson", "response"), ("metadataJson", "metadata")];

/// Labels of GKE that BigQuery, whose columns have no dots, names otherwise.
const LABELS: &[(&str, &str)] = &[
    ("authorization_k8s_io_decision", "authorization.k8s.io/decision"),
    ("authorization_k8s_io_reason", "authorization.k8s.io/reason"),
    ("audit_k8s_io_truncated", "audit.k8s.io/truncated"),
    ("command_gke_io_dryRun", "command.gke.io/dryRun"),
];

/// The fields of an entry, its payload under `protoPayload`, without those that say nothing.
pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    let raw: Raw<'_> = serde_json::from_slice(bytes)?;
    let mut payload = None;
    let mut entry = Map::new();
    for (key, text) in raw {
        if is_payload(&key) {
            payload = Some(text);
        } else {
            entry.insert(key, serde_json::from_str(text.get())?);
        }
    }
    fields::spell(&mut entry, SPELLING);
    if let Some(payload) = payload {
        let mut payload = fields::parse(payload.get().as_bytes(), BODIES)
            .map_err(|_| wrong_type("protoPayload", "an object"))?;
        out_of_bigquery(&mut payload);
        payload.retain(|_, value| !value.is_null());
        entry.insert("protoPayload".to_owned(), Value::Object(payload));
    }
    if let Some(Value::Object(labels)) = entry.get_mut("labels") {
        for (theirs, ours) in LABELS {
            if let Some(value) = labels.remove(*theirs) {
                labels.entry(*ours).or_insert(value);
            }
        }
    }
    entry.retain(|_, value| !value.is_null());
    Ok(entry)
}

pub(super) fn not_an_entry() -> Failure {
    Failure::new("not_a_log_entry", "the item has no log name, or its audit log names no method")
        .hint("entries: https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry")
}

/// Whether an entry is one of several that a large one was cut into.
/// <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogSplit>
pub(super) fn is_split(split: Option<&Value>) -> bool {
    integer(split.and_then(|split| split.get("totalSplits"))).is_some_and(|parts| parts > 1)
}

/// A whole number; BigQuery has texts.
pub(super) fn integer(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The code in a status; without one it is that of success.
pub(super) fn code(status: Option<&Value>) -> i64 {
    integer(status.and_then(|status| status.get("code"))).unwrap_or_default()
}

/// Whether a field holds the audit log.
pub(super) fn is_payload(key: &str) -> bool {
    key.eq_ignore_ascii_case("protoPayload") || key == "protopayload_auditlog"
}

fn out_of_bigquery(payload: &mut Map<String, Value>) {
    for (theirs, ours) in IN_BIGQUERY {
        let Some(Value::String(text)) = payload.get(*theirs) else { continue };
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            payload.remove(*theirs);
            payload.insert((*ours).to_owned(), value);
        }
    }
}

/// The HTTP status and the name of a code of Google RPC; success has none of its own.
/// <https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>
pub(super) fn http_status(code: i64) -> Option<(i64, &'static str)> {
    let status = match code {
        1 => (499, "CANCELLED"),
        2 => (500, "UNKNOWN"),
        3 => (400, "INVALID_ARGUMENT"),
        4 => (504, "DEADLINE_EXCEEDED"),
        5 => (404, "NOT_FOUND"),
        6 => (409, "ALREADY_EXISTS"),
        7 => (403, "PERMISSION_DENIED"),
        8 => (429, "RESOURCE_EXHAUSTED"),
        9 => (400, "FAILED_PRECONDITION"),
        10 => (409, "ABORTED"),
        11 => (400, "OUT_OF_RANGE"),
        12 => (501, "UNIMPLEMENTED"),
        13 => (500, "INTERNAL"),
        14 => (503, "UNAVAILABLE"),
        15 => (500, "DATA_LOSS"),
        16 => (401, "UNAUTHENTICATED"),
        _ => return None,
    };
    Some(status)
}

/// What was decided: by the status, else by the permissions that were asked for. A request may ask
/// for several of which one suffices, so one that was granted tells.
pub(super) fn decision(permissions: Option<&Value>, code: i64) -> Decision {
    if matches!(code, 7 | 16) {
        return Decision::Deny;
    }
    let permissions = permissions.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut granted =
        permissions.iter().filter_map(|permission| match permission.get("granted")? {
            Value::Bool(granted) => Some(*granted),
            // BigQuery has texts.
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
    match granted.next() {
        None => Decision::Unknown,
        Some(first) if first || granted.any(|granted| granted) => Decision::Allow,
        Some(_) => Decision::Deny,
    }
}

/// What the workload identity pool of a project ends in.
/// <https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity#about_the_pool>
const POOL: &str = ".svc.id.goog";

/// Who acted, of the information on a caller: the email, else the subject, which those have who come by
/// an identity provider of their own. The pool of all ServiceAccounts of a project stands where the email
/// of one of them would; who it is stands in its subject.
pub(super) fn principal(info: &Fields) -> Option<String> {
    let text = |key: &str| info.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let email = text("principalEmail").filter(|email| !email.ends_with(POOL));
    email.or_else(|| text("principalSubject")).map(|named| without_form(named).to_owned())
}

/// A user or a service account without the form that policies of version 2 have for it.
/// <https://cloud.google.com/iam/docs/principal-identifiers#v2>
fn without_form(principal: &str) -> &str {
    let forms =
        ["principal://goog/subject/", "principal://iam.googleapis.com/projects/-/serviceAccounts/"];
    forms.iter().find_map(|form| principal.strip_prefix(form)).unwrap_or(principal)
}

/// `projects/acme/traces/ID` ends in the id.
pub(super) fn last_part(path: String) -> String {
    path.rsplit('/').next().map(str::to_owned).unwrap_or(path)
}

/// Takes the address of the caller; exporters spell it in two ways, and some write both. Inside Google
/// it may be a word such as `private`, which stays.
pub(super) fn caller(metadata: &mut Fields) -> Option<String> {
    let [one, other] = ["callerIp", "callerIP"].map(|key| metadata.text_if(key));
    let caller = one.or(other)?;
    let found = address(&caller);
    if found.is_none() {
        metadata.keep_text("callerIp", Some(caller));
    }
    found
}
