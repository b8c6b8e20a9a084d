//! Format `otlp`: an export request in, protobuf or JSON, spans, log records and metric points out.
//!
//! A request is taken apart before it is decoded, item by item, so that one that cannot be read costs
//! only itself; of attributes and bodies that are not UTF-8 only what is broken is lost. All three signals have one shape: resources
//! hold scopes hold items. <https://opentelemetry.io/docs/specs/otlp/>

mod attributes;
mod json;
mod mend;
mod origin;
mod taker;
mod wire;

pub(super) use attributes::{Attributes, Told, value};
pub(super) use mend::is_binary;
use origin::says_something;
pub(super) use origin::{Origin, add, add_scope, flag, hex};
use taker::Taker;
pub(crate) use taker::{ROW, Relieve, Weight};

use std::borrow::Cow;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::mend::Shape;
use super::{Context, Failure, MAX_ITEM, Reading, otlp_logs, otlp_metrics, otlp_traces};
use crate::split::Item;

/// Values in one item at most, lists and objects included: each takes a hundred bytes of memory.
const MAX_VALUES: usize = 1_000_000;
/// Bytes of a resource, or of a scope, at most: they stand in every row.
const MAX_RESOURCE: usize = 512 << 10;

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

    /// Its items in protobuf.
    const fn shape(self) -> Shape {
        match self {
            Self::Traces => Shape::Span,
            Self::Logs => Shape::Record,
            Self::Metrics => Shape::Metric,
        }
    }

    /// The names of its three levels in JSON.
    const fn levels(self) -> [&'static str; 3] {
        match self {
            Self::Traces => ["resourceSpans", "scopeSpans", "spans"],
            Self::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
            Self::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
        }
    }
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

    /// An item of a cluster that its sender may not speak for.
    fn not_its_cluster(item: &[u8], index: usize) -> Self {
        Self::new(item, super::not_its_cluster(), index)
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
        let signal = signal_of(&item.bytes)?;
        weigh_protobuf(signal, &item.bytes, usize::MAX)?;
        return read_protobuf(signal, &item.bytes, context, reading, &mut |_| true);
    }
    let document = document(&item.bytes)?;
    let has = |signal: &Signal| json::get(&document, signal.levels()[0]).is_some();
    let signals: Vec<Signal> = Signal::ALL.into_iter().filter(has).collect();
    if signals.is_empty() {
        return Err(Failure::new("not_otlp", "the document is no export request of OTLP"));
    }
    for signal in signals {
        read_document(signal, &document, item.bytes.len(), context, reading, &mut |_| true);
    }
    Ok(())
}

/// What the rows of a request in protobuf will weigh, up to a little more than `most`; what is broken is told
/// before any of it is read.
pub(crate) fn weigh_protobuf(signal: Signal, bytes: &[u8], most: usize) -> Result<Weight, Failure> {
    wire::weigh(signal.shape(), bytes, most)
}

/// Reads a request in protobuf that was weighed; `relieve` takes the rows away while there are more to come.
pub(crate) fn read_protobuf(
    signal: Signal,
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
    relieve: Relieve<'_>,
) -> Result<(), Failure> {
    fn apart<T: Message + Default>(
        signal: Signal,
        bytes: &[u8],
        mut taker: Taker<'_, '_, T>,
    ) -> Result<(), Failure> {
        wire::take_apart(signal.shape(), bytes, &mut taker)
    }
    match signal {
        Signal::Traces => {
            apart(signal, bytes, Taker::new(otlp_traces::read, context, reading, relieve))
        }
        Signal::Logs => {
            apart(signal, bytes, Taker::new(otlp_logs::read, context, reading, relieve))
        }
        Signal::Metrics => {
            apart(signal, bytes, Taker::new(otlp_metrics::read, context, reading, relieve))
        }
    }
}

/// A request in JSON that was parsed.
#[derive(Debug)]
pub(crate) struct Document {
    value: Value,
    length: usize,
}

impl Document {
    /// What parsing it takes of memory.
    pub(crate) fn parsed(bytes: &[u8]) -> Weight {
        json::parsed(bytes)
    }

    /// Parses it; an empty body is an empty request.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let is_empty = bytes.trim_ascii().is_empty();
        let value = if is_empty { json!({}) } else { document(bytes)? };
        if !value.is_object() {
            return Err(Failure::new("not_otlp", "the body is no export request of OTLP"));
        }
        Ok(Self { value, length: bytes.len() })
    }

    /// What its rows will weigh.
    pub(crate) fn weigh(&self, signal: Signal) -> Result<usize, Failure> {
        Ok(json::weigh(&self.value, signal.levels())?.saturating_add(self.length))
    }

    /// Reads it; `relieve` takes the rows away while there are more to come.
    pub(crate) fn read(
        &self,
        signal: Signal,
        context: &Context<'_>,
        reading: &mut Reading,
        relieve: Relieve<'_>,
    ) {
        read_document(signal, &self.value, self.length, context, reading, relieve);
    }
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
    relieve: Relieve<'_>,
) {
    fn apart<T: DeserializeOwned>(
        (document, length): (&Value, usize),
        signal: Signal,
        mut taker: Taker<'_, '_, T>,
    ) {
        json::take_apart(document, length > MAX_ITEM, signal.levels(), &mut taker);
    }
    let of = (document, length);
    match signal {
        Signal::Traces => {
            apart(of, signal, Taker::new(otlp_traces::read, context, reading, relieve));
        }
        Signal::Logs => apart(of, signal, Taker::new(otlp_logs::read, context, reading, relieve)),
        Signal::Metrics => {
            apart(of, signal, Taker::new(otlp_metrics::read, context, reading, relieve));
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
