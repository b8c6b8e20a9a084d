//! Format `otlp`: an export request in, protobuf or JSON, spans, log records and metric points out.
//!
//! A request is taken apart before it is decoded, item by item, so that one that cannot be read costs
//! only itself; of attributes and bodies that are not UTF-8 only what is broken is lost. All three signals have one shape: resources
//! hold scopes hold items. <https://opentelemetry.io/docs/specs/otlp/>

mod attributes;
mod json;
mod mend;
mod origin;
mod wire;

pub(super) use attributes::{Attributes, Told, value};
pub(super) use mend::is_binary;
use origin::says_something;
pub(super) use origin::{Origin, add, add_scope, flag, hex};

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::{Value, json};

use self::mend::Shape;
use super::{Context, Failure, Format, MAX_ITEM, Reading, otlp_logs, otlp_metrics, otlp_traces};
use crate::split::Item;

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
}

impl Signal {
    pub(crate) const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// The names of its three levels in JSON.
    const fn levels(self) -> [&'static str; 3] {
        match self {
            Self::Traces => ["resourceSpans", "scopeSpans", "spans"],
            Self::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
            Self::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
        }
    }
}

/// Items of one resource and one scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Group<T> {
    pub(super) resource: Resource,
    pub(super) scope: InstrumentationScope,
    pub(super) items: Vec<T>,
    pub(super) broken: Vec<Broken>,
}

/// An item that could not be decoded.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    bytes: Vec<u8>,
    failure: Failure,
    position: String,
}

impl Broken {
    fn new(item: &[u8], failure: Failure, index: usize) -> Self {
        let position = format!("item {}", index + 1);
        Self { bytes: item.to_vec(), failure, position }
    }

    /// An item that is larger than is read.
    fn too_large(item: &[u8], index: usize) -> Self {
        Self::new(item, Failure::new("too_large", "the item is larger than is read"), index)
    }
}

/// Reads a document of a file: JSON of any signals, or protobuf of the signal that fits.
pub(super) fn read_item(
    item: &Item,
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    if item.bytes.first() != Some(&b'{') {
        return read_protobuf(signal_of(&item.bytes)?, &item.bytes, context, reading);
    }
    let document = document(&item.bytes)?;
    let has = |signal: &Signal| json::get(&document, signal.levels()[0]).is_some();
    let signals: Vec<Signal> = Signal::ALL.into_iter().filter(has).collect();
    if signals.is_empty() {
        return Err(Failure::new("not_otlp", "the document is no export request of OTLP"));
    }
    for signal in signals {
        read_document(signal, &document, item.bytes.len(), context, reading);
    }
    Ok(())
}

/// Reads a request in protobuf.
pub(crate) fn read_protobuf(
    signal: Signal,
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    match signal {
        Signal::Traces => {
            read_groups(wire::groups(Shape::Span, bytes)?, otlp_traces::read, context, reading);
        }
        Signal::Logs => {
            read_groups(wire::groups(Shape::Record, bytes)?, otlp_logs::read, context, reading);
        }
        Signal::Metrics => {
            read_groups(wire::groups(Shape::Metric, bytes)?, otlp_metrics::read, context, reading);
        }
    }
    Ok(())
}

/// Reads a request in JSON; an empty body is an empty request.
pub(crate) fn read_json(
    signal: Signal,
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    if bytes.trim_ascii().is_empty() {
        return Ok(());
    }
    let document = document(bytes)?;
    if !document.is_object() {
        return Err(Failure::new("not_otlp", "the body is no export request of OTLP"));
    }
    read_document(signal, &document, bytes.len(), context, reading);
    Ok(())
}

/// A document. One byte that is no text costs no more than the value in which it stands.
fn document(bytes: &[u8]) -> Result<Value, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let mut document = serde_json::from_str(&text)?;
    if let Cow::Owned(_) = text {
        mend::mask(&mut document);
    }
    Ok(of_one_resource(document))
}

/// A document in which one resource stands by itself, as the exporter of Java for logs writes it, as the
/// request that it would be in.
/// <https://github.com/open-telemetry/opentelemetry-java/tree/main/exporters/logging-otlp>
fn of_one_resource(document: Value) -> Value {
    let holds = |signal: &&Signal| {
        let [resources, scopes, _] = signal.levels();
        document.get(scopes).is_some() && document.get(resources).is_none()
    };
    match Signal::ALL.iter().find(holds) {
        Some(signal) => json!({ signal.levels()[0]: [document] }),
        None => document,
    }
}

fn read_document(
    signal: Signal,
    document: &Value,
    length: usize,
    context: &Context<'_>,
    reading: &mut Reading,
) {
    let levels = signal.levels();
    let large = length > MAX_ITEM;
    match signal {
        Signal::Traces => {
            read_groups(json::groups(document, large, levels), otlp_traces::read, context, reading);
        }
        Signal::Logs => {
            read_groups(json::groups(document, large, levels), otlp_logs::read, context, reading);
        }
        Signal::Metrics => {
            read_groups(
                json::groups(document, large, levels),
                otlp_metrics::read,
                context,
                reading,
            );
        }
    }
}

/// Reads the items of one group.
type Read<T> = fn(Vec<T>, &Origin, &Context<'_>, &mut Reading);

fn read_groups<T>(
    groups: Vec<Group<T>>,
    read: Read<T>,
    context: &Context<'_>,
    reading: &mut Reading,
) {
    for group in groups {
        let origin = Origin::new(group.resource, group.scope, context);
        let context = Context { cluster: origin.cluster.as_deref(), ..*context };
        read(group.items, &origin, &context, reading);
        for Broken { bytes, failure, position } in group.broken {
            let reject = context.reject(Format::Otlp, &bytes, &failure);
            let position = Some(position);
            reading.rejects.push(durward_schemas::tables::Reject { position, ..reject });
        }
    }
}

/// The signal of a request in protobuf. Spans are told by their times; otherwise all three look alike, and
/// as the right one it loses least when it is coded again, where default values that somebody wrote out are
/// all that is lost.
fn signal_of(bytes: &[u8]) -> Result<Signal, Failure> {
    fn lost<M: Message + Default>(shape: Shape, bytes: &[u8]) -> Option<usize> {
        let lost = |bytes: &[u8]| {
            M::decode(bytes).ok().map(|message| bytes.len().abs_diff(message.encoded_len()))
        };
        lost(bytes).or_else(|| lost(&mend::mended(shape, bytes)?))
    }
    if wire::begins_with_span(bytes) {
        return Ok(Signal::Traces);
    }
    let lost = |signal: &Signal| match signal {
        Signal::Traces => lost::<ExportTraceServiceRequest>(Shape::Spans, bytes),
        Signal::Logs => lost::<ExportLogsServiceRequest>(Shape::Records, bytes),
        Signal::Metrics => lost::<ExportMetricsServiceRequest>(Shape::Metrics, bytes),
    };
    let fitting = Signal::ALL.into_iter().filter_map(|signal| Some((lost(&signal)?, signal)));
    let best = fitting.min_by_key(|(lost, _)| *lost).map(|(_, signal)| signal);
    best.ok_or_else(|| {
        Failure::new("not_otlp", "the input is no export request of OTLP, in no signal")
            .hint("name its format with --format; a name that is none is answered with all of them")
    })
}

#[cfg(test)]
pub(super) mod tests;
