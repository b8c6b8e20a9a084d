//! Spans of OTLP in, [`Span`](spans::Span) rows out.

use std::mem::take;

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::ids::EventId;
use durward_schemas::tables as spans;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use serde_json::{Map, Value};

use super::otlp::{Attributes, Origin, Told, add, hex};
use super::{Context, Reading};
use crate::canonical;
use crate::normalize;

/// Attributes that name a request, the canonical one first.
const REQUEST_IDS: &[&str] = &[
    "http.request.header.x-request-id",
    "guid:x-request-id",
    "x-request-id",
    "aws.request_id",
    "aws.requestId",
    "http.request_id",
    "request_id",
];
/// Attributes that name the other end; there is no convention, so these are what is met.
const PEERS: &[&str] =
    &["peer.spiffe.id", "source.principal", "upstream.principal", "peer.principal", "spiffe.id"];

/// Reads spans of one resource and scope.
pub(super) fn read(
    items: Vec<Span>,
    origin: &Origin,
    context: &Context<'_>,
    reading: &mut Reading,
) {
    reading.spans.extend(items.into_iter().map(|span| row(span, origin, context)));
}

fn row(mut span: Span, origin: &Origin, context: &Context<'_>) -> spans::Span {
    let redact = |text: String| context.keys.redactor().clean(text);
    let start = Time::from_nanos(span.start_time_unix_nano);
    let timed = normalize::believe_time(start, context.received);
    let mut attributes = Attributes::new(take(&mut span.attributes), context);
    attributes.add_if("w3c.tracestate", redact(take(&mut span.trace_state)));
    attributes.add_if("otel.dropped_attributes_count", span.dropped_attributes_count);
    attributes.add_if("otel.dropped_events_count", span.dropped_events_count);
    attributes.add_if("otel.dropped_links_count", span.dropped_links_count);
    let Told { sent, stored } = attributes.told(&timed);
    let duration_ns = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let duration_ns = i64::try_from(duration_ns).unwrap_or(i64::MAX);
    let status = span.status.take().unwrap_or_default();
    let pod = |own: &[&str], of_resource: &Option<String>| {
        attributes.text(own).or_else(|| of_resource.clone())
    };
    let mut row = spans::Span {
        time: timed.time,
        trace_id: hex(&span.trace_id).unwrap_or_default(),
        span_id: hex(&span.span_id).unwrap_or_default(),
        parent_span_id: hex(&span.parent_span_id),
        service: origin.service.clone(),
        name: redact(take(&mut span.name)),
        kind: kind(span.kind).to_owned(),
        status_code: status_code(status.code).to_owned(),
        status_message: Some(redact(status.message)).filter(|message| !message.is_empty()),
        duration_ns,
        end_time: timed.time.plus(duration_ns / 1000),
        cluster: context.cluster.map(str::to_owned),
        namespace: pod(&["k8s.namespace.name"], &origin.namespace),
        pod: pod(&["k8s.pod.name"], &origin.pod),
        pod_uid: pod(&["k8s.pod.uid"], &origin.pod_uid),
        node: pod(&["k8s.node.name"], &origin.node),
        workload: origin.workload.clone(),
        audit_id: attributes.text(&["audit-id"]),
        request_id: attributes.text(REQUEST_IDS),
        peer_identity: attributes.text(PEERS),
        attributes: stored,
        resource_attributes: origin.attributes.clone(),
        scope: origin.scope.clone(),
        links: list(take(&mut span.links), |link| link_json(link, context)),
        events: list(take(&mut span.events), |event| event_json(event, context)),
        source: context.source.to_owned(),
        ..spans::Span::default()
    };
    row.event_id = event_id(&row, &span, [&sent, &origin.for_ids], context);
    row
}

/// The id of a span: its content, attributes and times as sent.
fn event_id(
    row: &spans::Span,
    span: &Span,
    [attributes, origin]: [&str; 2],
    context: &Context<'_>,
) -> EventId {
    let [links, events] = [&row.links, &row.events].map(|list| list.as_ref().map(Json::as_str));
    let [began, ended] = [span.start_time_unix_nano, span.end_time_unix_nano];
    let told = context.parts_for_ids(&[
        Some(&row.trace_id),
        Some(&row.span_id),
        row.parent_span_id.as_deref(),
        Some(&row.name),
        Some(&row.kind),
        Some(&row.status_code),
        row.status_message.as_deref(),
        Some(&began.to_string()),
        Some(&ended.to_string()),
        Some(attributes),
        Some(origin),
        links,
        events,
    ]);
    EventId::of(Time::from_nanos(began), context.cluster, told.as_bytes())
}

fn list<T>(items: Vec<T>, json: impl Fn(T) -> Value) -> Option<Json> {
    let is_empty = items.is_empty();
    (!is_empty).then(|| Json(canonical::sorted(&items.into_iter().map(json).collect())))
}

fn link_json(link: Link, context: &Context<'_>) -> Value {
    let mut fields = Map::new();
    fields.insert("trace_id".to_owned(), hex(&link.trace_id).into());
    fields.insert("span_id".to_owned(), hex(&link.span_id).into());
    add(&mut fields, "trace_state", context.keys.redactor().clean(link.trace_state));
    add(&mut fields, "dropped_attributes_count", link.dropped_attributes_count);
    if !link.attributes.is_empty() {
        let attributes = Attributes::new(link.attributes, context);
        fields.insert("attributes".to_owned(), attributes.into());
    }
    Value::Object(fields)
}

fn event_json(event: Event, context: &Context<'_>) -> Value {
    let name = context.keys.redactor().clean(event.name);
    let time = Time::from_nanos(event.time_unix_nano).to_string();
    let mut fields = Map::new();
    fields.insert("name".to_owned(), name.into());
    fields.insert("time".to_owned(), time.into());
    let attributes = Attributes::new(event.attributes, context);
    fields.insert("attributes".to_owned(), attributes.into());
    add(&mut fields, "dropped_attributes_count", event.dropped_attributes_count);
    Value::Object(fields)
}

/// <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>, `SpanKind`
fn kind(kind: i32) -> &'static str {
    match kind {
        1 => "internal",
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "unspecified",
    }
}

fn status_code(code: i32) -> &'static str {
    match code {
        1 => "ok",
        2 => "error",
        _ => "unset",
    }
}
