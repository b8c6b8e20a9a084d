//! Items in which a text is not UTF-8: protobuf in, the same with such texts masked out.
//!
//! What a client sends stands in attributes and bodies, and many senders pass it on as it came. One
//! byte of it must not hide a request. Other texts are the sender's own; an item in which one of
//! them is broken stays a reject. Such a body becomes bytes, so that it is read as a file would be.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::wire::{next, varint};
use crate::redact::mask_unparsed;

/// What stands for a value whose name is broken: the name may have told that it is a secret.
const GONE: &str = "***";

/// Messages, as far as attributes and bodies are in them.
/// <https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Spans,
    Records,
    Metrics,
    ResourceSpans,
    ResourceRecords,
    ResourceMetrics,
    ScopeSpans,
    ScopeRecords,
    ScopeMetrics,
    Resource,
    Scope,
    Span,
    Record,
    Metric,
    Event,
    Link,
    Numbers,
    Histograms,
    Exponentials,
    Number,
    Histogram,
    Exponential,
    Exemplar,
    Body,
    Any,
    Array,
    List,
    Pair,
}

impl Shape {
    /// What field `number` of such a message holds.
    const fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Spans, 1) => Self::ResourceSpans,
            (Self::Records, 1) => Self::ResourceRecords,
            (Self::Metrics, 1) => Self::ResourceMetrics,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ResourceRecords, 2) => Self::ScopeRecords,
            (Self::ResourceMetrics, 2) => Self::ScopeMetrics,
            (Self::ResourceSpans | Self::ResourceRecords | Self::ResourceMetrics, 1) => {
                Self::Resource
            }
            (Self::ScopeSpans | Self::ScopeRecords | Self::ScopeMetrics, 1) => Self::Scope,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::ScopeRecords, 2) => Self::Record,
            (Self::ScopeMetrics, 2) => Self::Metric,
            (Self::Resource | Self::Exponential | Self::List, 1)
            | (Self::Scope | Self::Event, 3)
            | (Self::Span | Self::Histogram, 9)
            | (Self::Record, 6)
            | (Self::Link, 4)
            | (Self::Number | Self::Exemplar, 7) => Self::Pair,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::Record, 5) => Self::Body,
            (Self::Metric, 5 | 7 | 11) => Self::Numbers,
            (Self::Metric, 9) => Self::Histograms,
            (Self::Metric, 10) => Self::Exponentials,
            (Self::Numbers, 1) => Self::Number,
            (Self::Histograms, 1) => Self::Histogram,
            (Self::Exponentials, 1) => Self::Exponential,
            (Self::Number, 5) | (Self::Histogram, 8) | (Self::Exponential, 11) => Self::Exemplar,
            (Self::Body | Self::Any, 5) => Self::Array,
            (Self::Body | Self::Any, 6) => Self::List,
            (Self::Array, 1) | (Self::Pair, 2) => Self::Any,
            _ => return None,
        })
    }
}

/// Messages in one another at most.
const DEEPEST: usize = 100;
/// The field of a value that is text, and of one that is bytes; both of a pair that is its name.
const TEXT: u64 = 1;
const BYTES: u64 = 7;

/// The item with its broken texts masked; `None` if it is no protobuf.
pub(super) fn mended(shape: Shape, bytes: &[u8]) -> Option<Vec<u8>> {
    message(shape, bytes, DEEPEST)
}

/// How many messages are in a message, as far as attributes and bodies are in them; of what is no protobuf
/// those that come before it breaks.
pub(super) fn values(shape: Shape, bytes: &[u8]) -> usize {
    let mut open = vec![(shape, bytes)];
    let mut found = 0;
    while let Some((shape, bytes)) = open.pop() {
        let Some((tag, content, rest)) = next(bytes) else { continue };
        open.push((shape, rest));
        let inner = shape.field(tag >> 3).filter(|_| tag & 7 == 2);
        if let Some(inner) = inner {
            found += 1;
            open.push((inner, content));
        }
    }
    found
}

fn message(shape: Shape, mut bytes: &[u8], depth: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut is_named = true;
    while !bytes.is_empty() {
        let (tag, after) = varint(bytes)?;
        let (length, content) = match tag & 7 {
            0 => (0, varint(after)?.1),
            1 => (8, after),
            2 => varint(after)?,
            5 => (4, after),
            _ => return None,
        };
        let (content, rest) = content.split_at_checked(usize::try_from(length).ok()?)?;
        let whole = bytes.get(..bytes.len() - rest.len())?;
        bytes = rest;
        let number = tag >> 3;
        let is_broken = || std::str::from_utf8(content).is_err();
        match (shape, number) {
            _ if tag & 7 != 2 => out.extend_from_slice(whole),
            (Shape::Body, TEXT) if is_broken() => match as_bytes(content) {
                Ok(bytes) => put(&mut out, BYTES, bytes),
                Err(masked) => put(&mut out, TEXT, masked.as_bytes()),
            },
            (Shape::Any, TEXT) if is_broken() => {
                put(&mut out, TEXT, mask_unparsed(content).as_bytes());
            }
            (Shape::Pair, TEXT) if is_broken() => is_named = false,
            _ => match shape.field(number) {
                Some(inner) => {
                    put(&mut out, number, &message(inner, content, depth.checked_sub(1)?)?);
                }
                None => out.extend_from_slice(whole),
            },
        }
    }
    if is_named {
        return Some(out);
    }
    let mut gone = Vec::new();
    put(&mut gone, TEXT, GONE.as_bytes());
    let mut pair = gone.clone();
    put(&mut pair, 2, &gone);
    Some(pair)
}

/// A body as bytes, for readers that know broken texts; one that is hardly a text is masked.
fn as_bytes(body: &[u8]) -> Result<&[u8], String> {
    let masked = mask_unparsed(body);
    if is_binary(&masked) { Err(masked) } else { Ok(body) }
}

/// Whether what was masked is no text.
pub(in crate::format) fn is_binary(masked: &str) -> bool {
    masked.starts_with("binary: ")
}

/// Writes a field that has a length.
fn put(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    prost::encoding::encode_varint((number << 3) | 2, out);
    prost::encoding::encode_varint(u64::try_from(content.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(content);
}

/// The same of JSON: masks texts that hold what stands for broken characters.
pub(super) fn mask(value: &mut Value) {
    let is_broken = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    match value {
        Value::Object(fields) => {
            if fields.get("key").and_then(Value::as_str).is_some_and(is_broken) {
                let gone = Map::from_iter([("stringValue".to_owned(), GONE.into())]);
                *fields = Map::from_iter([
                    ("key".to_owned(), GONE.into()),
                    ("value".to_owned(), Value::Object(gone)),
                ]);
            }
            for (name, value) in fields.iter_mut() {
                let body = value.get("stringValue").filter(|_| name == "body");
                let body = body.and_then(Value::as_str).filter(|text| is_broken(text));
                match body.map(of_body) {
                    Some(bytes) => *value = bytes,
                    None => mask(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) if is_broken(text) => *text = mask_unparsed(text.as_bytes()),
        _ => {}
    }
}

/// A broken body as it is of protobuf: what is no text is none again.
fn of_body(text: &str) -> Value {
    let parts: Vec<&[u8]> = text.split(char::REPLACEMENT_CHARACTER).map(str::as_bytes).collect();
    match as_bytes(&parts.join(&0xff)) {
        Ok(bytes) => {
            json!({"bytesValue": base64::engine::general_purpose::STANDARD.encode(bytes)})
        }
        Err(masked) => json!({"stringValue": masked}),
    }
}
