//! Log records that are accesses of a mesh: a line of a native log in the body, or what Envoy's
//! OTLP logger spreads over the attributes.
//!
//! Each is read by the reader of its native door, under the same id; whose record it was, and what
//! else the record says, is kept among what no column took. Envoy's logger:
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/access_loggers/open_telemetry/v3/logs_service.proto>

use durward_schemas::cell::Json;
use durward_schemas::tables::Access;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Map, Value};

use super::otlp::{Origin, hex, value};
use super::{Context, Format, Reading, envoy, mesh};
use crate::canonical;

/// The formats whose lines are met in bodies.
const IN_BODIES: &[Format] = &[Format::Envoy, Format::Spire, Format::Hubble, Format::Vault];

/// What a record holds of a mesh's accesses; `None` if it is a log record like any other.
pub(super) fn accesses(
    record: &LogRecord,
    origin: &Origin,
    context: &Context<'_>,
) -> Option<Reading> {
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    let in_body = match body {
        Some(Any::StringValue(_) | Any::BytesValue(_)) if says_more(record) => None,
        Some(Any::StringValue(text)) => in_text(text.as_bytes(), context),
        Some(Any::BytesValue(bytes)) => in_text(bytes, context),
        Some(Any::KvlistValue(_)) => {
            in_text(value(record.body.as_ref()).to_string().as_bytes(), context)
        }
        _ => None,
    };
    if let Some(mut reading) = in_body {
        reading.accesses.iter_mut().for_each(|access| {
            traced(access, record);
            add_resource(access, origin);
        });
        return Some(reading);
    }
    let mut access = envoy::read_fields(in_attributes(record, origin, context)?, context);
    traced(&mut access, record);
    Some(Reading { accesses: vec![access], ..Reading::default() })
}

/// Whether the attributes say of an access what its line in the body does not.
fn says_more(record: &LogRecord) -> bool {
    let speaks = |name: &str| envoy::is_telling(name) || envoy::says_who(name);
    record.attributes.iter().any(|pair| speaks(&pair.key)) && line_in_body(record).is_some()
}

/// The fields of an access of Envoy whose line is the body.
fn line_in_body(record: &LogRecord) -> Option<Map<String, Value>> {
    match record.body.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => envoy::line(text.as_bytes()),
        Any::BytesValue(bytes) => envoy::line(bytes),
        _ => None,
    }
}

/// Lines in a text, if all of them are accesses: others are better off as they came.
fn in_text(text: &[u8], context: &Context<'_>) -> Option<Reading> {
    let begins =
        matches!(text.trim_ascii_start().first()?, b'{' | b'[' | b't' | b'A' | b'0'..=b'9');
    let format = Some(text).filter(|_| begins).and_then(Format::detect)?;
    if !IN_BODIES.contains(&format) {
        return None;
    }
    let reading = super::read_inside(format, text, context);
    let is_whole = !reading.accesses.is_empty() && reading.accesses.len() == reading.items();
    is_whole.then_some(reading)
}

/// The fields of a record of Envoy's logger, with its time, its body and its resource.
fn in_attributes(
    record: &LogRecord,
    origin: &Origin,
    context: &Context<'_>,
) -> Option<Map<String, Value>> {
    let of_body = if says_more(record) { line_in_body(record) } else { None };
    let is_telling = |name: &str| envoy::is_telling(name);
    if of_body.is_none() && !record.attributes.iter().any(|pair| is_telling(&pair.key)) {
        return None;
    }
    let has_line = of_body.is_some();
    let mut fields = of_body.unwrap_or_default();
    let of_attributes =
        record.attributes.iter().map(|pair| (pair.key.clone(), value(pair.value.as_ref())));
    fields.extend(of_attributes);
    let nanos = Some(record.time_unix_nano).filter(|nanos| *nanos > 0);
    let nanos = nanos.or(Some(record.observed_time_unix_nano)).filter(|nanos| *nanos > 0);
    if let Some(nanos) = nanos {
        fields.insert("timeUnixNano".to_owned(), nanos.to_string().into());
    }
    match value(record.body.as_ref()) {
        Value::Null => {}
        Value::String(text) if text.is_empty() || has_line => {}
        Value::String(text) => {
            fields.insert("body".to_owned(), mesh::words(&text, context).into());
        }
        other => {
            fields.insert("body".to_owned(), other);
        }
    }
    if let Some(resource) = resource(origin) {
        fields.insert("resource".to_owned(), resource);
    }
    Some(fields)
}

fn resource(origin: &Origin) -> Option<Value> {
    let resource: Value = serde_json::from_str(&origin.attributes.0).ok()?;
    resource.as_object().is_some_and(|fields| !fields.is_empty()).then_some(resource)
}

/// The trace that the record names, where the line itself names none.
fn traced(access: &mut Access, record: &LogRecord) {
    if let Some(trace) = hex(&record.trace_id) {
        access.claimed_trace_id = Some(trace);
        access.claimed_span_id = hex(&record.span_id);
    }
}

/// Keeps whose log it was. It enters no id: the same line from a file has none.
pub(super) fn add_resource(access: &mut Access, origin: &Origin) {
    let Some(resource) = resource(origin) else { return };
    let rest = access.unmapped.as_ref().and_then(|rest| serde_json::from_str(&rest.0).ok());
    let mut rest: Map<String, Value> = rest.unwrap_or_default();
    rest.entry("resource").or_insert(resource);
    access.unmapped = Some(Json(canonical::sorted(&Value::Object(rest))));
}
