//! Log records of OTLP in; audit events and accesses of a mesh among them become accesses, the
//! others [`Log`](logs::Log) rows.
//!
//! Those of clouds are found by [`otlp_clouds`]. An event of an API server is met as the text of the body (filelog), as a map in it (`json_parser`), as a
//! whole `EventList` (`webhookevent`), or spread over the attributes.

use std::mem::take;

use durward_schemas::Time;
use durward_schemas::ids::EventId;
use durward_schemas::tables as logs;
use durward_schemas::values::Provider;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::Value;

use super::otlp::{Attributes, Origin, Told, add_scope, hex, is_binary, value};
use super::output::{Output, PRINTED};
use super::{Context, Format, Reading, kube_audit, mesh, otlp_accesses, otlp_clouds};
use crate::canonical;
use crate::normalize;
use crate::redact::mask_unparsed;

/// The fields of an audit event, where they stand among other attributes.
const AUDIT_FIELDS: &[&str] = &[
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "authenticationMetadata",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations",
];

/// Reads log records of one resource and scope.
pub(super) fn read(
    items: Vec<LogRecord>,
    origin: &Origin,
    context: &Context<'_>,
    reading: &mut Reading,
) {
    for record in items {
        let found = audit_records(&record, origin, context);
        let found = found.or_else(|| otlp_accesses::accesses(&record, origin, context));
        match found {
            Some(found) if is_believed(&found, &record, origin, context) => reading.merge(found),
            Some(_) => reading.logs.push(printed(record, origin, context)),
            None => reading.logs.push(row(record, origin, context)),
        }
    }
}

/// Whether a record may tell what was read in it. The proxies of a mesh stand beside every application and tell of
/// its own traffic; everything else is told of others.
fn is_believed(
    found: &Reading,
    record: &LogRecord,
    origin: &Origin,
    context: &Context<'_>,
) -> bool {
    let of_mesh = |access: &logs::Access| {
        matches!(access.provider, Provider::Envoy | Provider::Istio | Provider::Cilium)
    };
    let is_of_mesh = !found.accesses.is_empty() && found.accesses.iter().all(of_mesh);
    is_of_mesh || Output::of(record, origin).is_none_or(|output| output.is_believed(context))
}

/// What a container printed that reads as an audit record.
fn printed(mut record: LogRecord, origin: &Origin, context: &Context<'_>) -> logs::Log {
    let value = AnyValue { value: Some(Any::BoolValue(true)) };
    let pair = KeyValue { key: PRINTED.to_owned(), value: Some(value), ..KeyValue::default() };
    record.attributes.push(pair);
    row(record, origin, context)
}

/// What a record holds of audit records; `None` if it is a log record like any other.
fn audit_records(record: &LogRecord, origin: &Origin, context: &Context<'_>) -> Option<Reading> {
    let body = match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Any::StringValue(text)) => text.as_bytes(),
        Some(Any::BytesValue(bytes)) => bytes,
        _ => &[],
    };
    let mut reading = audit_events(record, context)
        .or_else(|| otlp_clouds::in_text(body, context))
        .or_else(|| otlp_clouds::in_attributes(record, origin, context))?;
    for access in &mut reading.accesses {
        access.claimed_trace_id = access.claimed_trace_id.take().or_else(|| hex(&record.trace_id));
        access.claimed_span_id = access.claimed_span_id.take().or_else(|| hex(&record.span_id));
        // Whose output it was tells what an application prints from what an API server writes.
        if !origin.of_output.is_empty() {
            otlp_accesses::add_resource(access, origin);
        }
    }
    Some(reading)
}

/// What a record holds of events of an API server.
fn audit_events(record: &LogRecord, context: &Context<'_>) -> Option<Reading> {
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    let mut reading = match body {
        Some(Any::StringValue(text)) => in_text(text.as_bytes(), context),
        Some(Any::BytesValue(bytes)) => in_text(bytes, context),
        Some(Any::KvlistValue(_)) => in_map(value(record.body.as_ref()), context),
        _ => None,
    };
    if reading.is_none() && record.attributes.iter().any(|pair| pair.key == "auditID") {
        let fields =
            record.attributes.iter().filter(|pair| AUDIT_FIELDS.contains(&pair.key.as_str()));
        let fields = fields.map(|pair| (pair.key.clone(), value(pair.value.as_ref())));
        reading = in_map(Value::Object(fields.collect()), context);
    }
    reading
}

/// Events in a text: one, a list, or one that was cut.
fn in_text(text: &[u8], context: &Context<'_>) -> Option<Reading> {
    let text = mesh::payload(text);
    let starts = matches!(text.first(), Some(b'{' | b'[' | b'"'));
    let speaks = memchr::memmem::find(text, b"auditID").is_some();
    if !starts || !speaks {
        return None;
    }
    only_events(super::read_inside(Format::KubeAudit, text, context))
}

/// An event, or a list of events, that was parsed into a map.
fn in_map(map: Value, context: &Context<'_>) -> Option<Reading> {
    let Value::Object(mut fields) = map else { return None };
    for _ in 0..mesh::DEEPEST {
        let Some(Ok(inner)) = kube_audit::carried(&mut fields) else { break };
        fields = inner;
    }
    let events = match fields.remove("items") {
        Some(Value::Array(items)) if !fields.contains_key("auditID") => items,
        Some(_) => return None,
        None if !fields.contains_key("auditID") => return None,
        None => vec![Value::Object(fields)],
    };
    let mut reading = Reading::default();
    for event in events {
        let bytes = event.to_string().into_bytes();
        let Value::Object(event) = event else { return None };
        match kube_audit::read_event(event, context) {
            Ok(access) => reading.accesses.push(access),
            Err(failure) => {
                reading.rejects.push(context.reject(Format::KubeAudit, &bytes, &failure));
            }
        }
    }
    only_events(reading)
}

/// Nothing, if nothing in it claimed to be an audit event.
fn only_events(reading: Reading) -> Option<Reading> {
    let is_other = |reject: &logs::Reject| reject.reason == "not_an_audit_event";
    let has_events = !reading.accesses.is_empty() || reading.rejects.iter().any(|r| !is_other(r));
    has_events.then_some(reading)
}

fn row(mut record: LogRecord, origin: &Origin, context: &Context<'_>) -> logs::Log {
    let observed = Some(record.observed_time_unix_nano).filter(|nanos| *nanos > 0);
    // A record that does not say when it happened happened when it was observed.
    let claimed = Some(record.time_unix_nano).filter(|nanos| *nanos > 0).or(observed);
    let claimed = claimed.map_or(context.received, Time::from_nanos);
    let timed = normalize::believe_time(claimed, context.received);
    let mut attributes = Attributes::new(take(&mut record.attributes), context);
    add_scope(&mut attributes, origin);
    attributes.add_if("otel.dropped_attributes_count", record.dropped_attributes_count);
    let name = context.keys.redactor().clean(take(&mut record.event_name));
    attributes.add_if("event.name", name);
    let Told { sent, stored } = attributes.told(&timed);
    // Programs that know nothing of OTLP write the trace beside the message.
    let named = mesh::trace(|name| attributes.get(name).and_then(Value::as_str));
    let pod = |own: &[&str], of_resource: &Option<String>| {
        attributes.text(own).or_else(|| of_resource.clone())
    };
    let mut row = logs::Log {
        time: timed.time,
        trace_id: hex(&record.trace_id).or(named.trace),
        span_id: hex(&record.span_id).or(named.span),
        service: origin.service.clone(),
        severity_number: Some(i64::from(record.severity_number)).filter(|number| *number > 0),
        severity_text: Some(record.severity_text.clone()).filter(|text| !text.is_empty()),
        body: broken_body(&record).or_else(|| body_text(value(record.body.as_ref()), context)),
        cluster: context.cluster.map(str::to_owned),
        namespace: pod(&["k8s.namespace.name"], &origin.namespace),
        pod: pod(&["k8s.pod.name"], &origin.pod),
        pod_uid: pod(&["k8s.pod.uid"], &origin.pod_uid),
        observed_time: observed.map(Time::from_nanos),
        attributes: stored,
        resource_attributes: origin.attributes.clone(),
        source: context.source.to_owned(),
        ..logs::Log::default()
    };
    row.event_id = event_id(&row, &record, [&sent, &origin.for_ids], context);
    row
}

/// A body of which only a few bytes are no text, masked unread.
fn broken_body(record: &LogRecord) -> Option<String> {
    let Any::BytesValue(bytes) = record.body.as_ref()?.value.as_ref()? else { return None };
    std::str::from_utf8(bytes).err()?;
    Some(mask_unparsed(bytes)).filter(|masked| !is_binary(masked))
}

/// The body as text, redacted. A piece of JSON that was cut cannot be read and is masked unread.
pub(super) fn body_text(mut body: Value, context: &Context<'_>) -> Option<String> {
    if let Value::String(text) = &body
        && is_torn_json(text)
    {
        return Some(mask_unparsed(text.as_bytes()));
    }
    context.keys.redactor().json(&mut body);
    match body {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(canonical::sorted(&other)),
    }
}

/// Whether a text has the marks of JSON but is none: a line that a shipper cut in two.
fn is_torn_json(text: &str) -> bool {
    let marks = memchr::memmem::find_iter(text.as_bytes(), b"\":").count();
    marks >= 2 && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
}

fn event_id(
    row: &logs::Log,
    record: &LogRecord,
    [attributes, origin]: [&str; 2],
    context: &Context<'_>,
) -> EventId {
    let [time, observed] = [record.time_unix_nano, record.observed_time_unix_nano];
    let severity = row.severity_number.map(|number| number.to_string());
    let told = context.parts_for_ids(&[
        hex(&record.trace_id).as_deref(),
        hex(&record.span_id).as_deref(),
        Some(&time.to_string()),
        severity.as_deref(),
        row.severity_text.as_deref(),
        row.body.as_deref(),
        Some(attributes),
        Some(origin),
        // Without a time of its own a record is told apart by when it was observed.
        (time == 0).then(|| observed.to_string()).as_deref(),
    ]);
    let nanos = if time > 0 { time } else { observed };
    EventId::of(Time::from_nanos(nanos), context.cluster, told.as_bytes())
}
