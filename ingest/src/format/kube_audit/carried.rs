//! Events that something carries: lines behind prefixes, in records of shippers of logs, in text.

use durward_schemas::tables::Access;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::super::mesh;
use super::super::{Context, Failure, Format};
use super::{is_event, is_marked, legacy, parse, read_fields};

/// Reads what is no object: an event in text.
pub(super) fn read_text(bytes: &[u8], context: &Context<'_>) -> Result<Access, Failure> {
    if let Some(event) = legacy::event(bytes) {
        return read_fields(Format::KubeAudit, event, None, context);
    }
    if serde_json::from_slice::<IgnoredAny>(bytes).is_ok() {
        return Err(Failure::new("wrong_type", "the item is no object"));
    }
    Err(Failure::new("not_json", "the item is not JSON")
        .hint("the API server writes JSON with --audit-log-format=json"))
}

/// An event without what syslog, or whoever else carried its line, wrote before it.
pub(super) fn behind_prefix(line: &[u8]) -> &[u8] {
    let is_event = matches!(line.first(), Some(b'{' | b'"' | b'[') | None);
    let start = memchr::memchr(b'{', line).filter(|_| !is_event);
    let rest = start.and_then(|at| line.get(at..));
    rest.filter(|rest| is_marked(rest)).unwrap_or(line)
}

/// What an object carries instead of being an event: a line such as Docker's `log` and a shipper's
/// `message`, or an event that somebody has parsed, such as a document that Elasticsearch was given.
pub(in crate::format) fn fields(
    event: &mut Map<String, Value>,
) -> Option<Result<Map<String, Value>, Failure>> {
    if is_event(event, false) || is_object(event) {
        return None;
    }
    let lines = mesh::LINES.iter().filter_map(|key| event.get(*key)?.as_str());
    if let Some(line) = lines.map(str::trim).find(|line| line.starts_with('{')) {
        return Some(parse(line.as_bytes()));
    }
    let key = mesh::OBJECTS.iter().find(|key| event.get(**key).is_some_and(Value::is_object))?;
    match event.remove(*key) {
        Some(Value::Object(inner)) => Some(Ok(inner)),
        _ => None,
    }
}

/// Whether this is an object of Kubernetes, whose texts are its author's: whoever may write an `Event` of
/// the core could have its message read as what the API server says.
fn is_object(fields: &Map<String, Value>) -> bool {
    let version = fields.get("apiVersion").and_then(Value::as_str);
    version.is_some_and(|version| !version.starts_with("audit.k8s.io/"))
        && fields.contains_key("kind")
}
