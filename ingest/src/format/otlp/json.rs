//! JSON requests, read leniently: nulls are absent, unknown fields are ignored, and an item that
//! does not fit is a reject of its own. <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>
//!
//! Senders that only know JSON of protobuf write names of enums, ids in base64 and names with `_`
//! (<https://protobuf.dev/programming-guides/json/>); old ones have libraries for scopes.

use std::borrow::Cow;

use base64::Engine as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{Failure, MAX_ITEM};
use super::taker::{ROW, Taker, Weight};
use super::wire::too_large;
use super::{Broken, MAX_RESOURCE};

/// What a value takes in memory, and a member of an object beside its value: a list that grows has twice
/// the room.
const VALUE: usize = 64;
const MEMBER: usize = 96;

/// Hands on the items of a request whose levels have these names; `is_large` tells that an item of it may
/// be larger than is read.
pub(super) fn take_apart<T: DeserializeOwned>(
    document: &Value,
    is_large: bool,
    [resources, scopes, items]: [&str; 3],
    taker: &mut Taker<'_, '_, T>,
) {
    let libraries = scopes.replace("scope", "instrumentationLibrary");
    for of_resource in list(document, resources) {
        for of_scope in list(of_resource, scopes).iter().chain(list(of_resource, &libraries)) {
            let items = list(of_scope, items);
            if items.is_empty() {
                continue;
            }
            let scope =
                part(of_scope, "scope").or_else(|| part(of_scope, "instrumentationLibrary"));
            let resource = part(of_resource, "resource");
            taker.begin(resource.unwrap_or_default(), scope.unwrap_or_default());
            for (index, item) in items.iter().enumerate() {
                take(item, index, is_large, taker);
                if taker.is_stopped() {
                    return;
                }
            }
        }
    }
    taker.end();
}

fn take<T: DeserializeOwned>(
    item: &Value,
    index: usize,
    is_large: bool,
    taker: &mut Taker<'_, '_, T>,
) {
    if taker.is_refused() {
        return taker.broken(Broken::not_its_cluster(item.to_string().as_bytes(), index));
    }
    if is_large && item.to_string().len() > MAX_ITEM {
        return taker.broken(Broken::too_large(item.to_string().as_bytes(), index));
    }
    if let Ok(decoded) = serde_json::from_value(lenient(item)) {
        return taker.item(decoded, size(item), rows(item).0);
    }
    let failure = Failure::new("wrong_type", "a field of the item is not what OTLP has there");
    taker.broken(Broken::new(item.to_string().as_bytes(), failure, index));
}

/// What the rows of a request will weigh, resource attributes in each of them.
pub(super) fn weigh(
    document: &Value,
    [resources, scopes, items]: [&str; 3],
) -> Result<usize, Failure> {
    let mut weight = 0_usize;
    let libraries = scopes.replace("scope", "instrumentationLibrary");
    for of_resource in list(document, resources) {
        let of_each = get(of_resource, "resource").map_or(0, size);
        for of_scope in list(of_resource, scopes).iter().chain(list(of_resource, &libraries)) {
            let scope = get(of_scope, "scope").map_or(0, size);
            if of_each > MAX_RESOURCE || scope > MAX_RESOURCE {
                return Err(too_large());
            }
            for item in list(of_scope, items) {
                let (rows, beside) = rows(item);
                let of_row = ROW + of_each + scope + beside;
                weight = weight.saturating_add(of_row.saturating_mul(rows));
            }
        }
    }
    Ok(weight)
}

/// How many rows an item becomes, and what stands in each of them beside its own part of the item.
fn rows(item: &Value) -> (usize, usize) {
    const DATA: &[&str] = &["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
    let points = DATA.iter().filter_map(|data| get(item, data));
    let points: usize = points.map(|data| list(data, "dataPoints").len()).sum();
    if points < 2 {
        return (1, size(item));
    }
    let texts = ["name", "description", "unit"].iter().filter_map(|name| get(item, name));
    (points, texts.map(size).sum())
}

/// About how long a value is as text; never more than it is.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum::<usize>() + items.len(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + size(value)).sum::<usize>()
        }
        _ => 1,
    }
}

/// What a document will take of memory when it is parsed, and its longest text, told by its bytes alone.
pub(super) fn parsed(text: &[u8]) -> Weight {
    let (mut values, mut members, mut largest, mut at) = (1_usize, 0_usize, 0, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b',' | b'[' | b'{' => values += 1,
            b':' => members += 1,
            b'"' => {
                let end = string_end(text, at);
                largest = largest.max(end - at);
                at = end;
            }
            _ => {}
        }
    }
    Weight { bytes: text.len() + values * VALUE + members * MEMBER, largest }
}

/// Where the string ends whose first byte is at `at`.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        match text.get(at - 1) {
            Some(b'"') => return at,
            _ => at += 1,
        }
    }
    text.len()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    get(value, key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn part<T: DeserializeOwned>(value: &Value, key: &str) -> Option<T> {
    serde_json::from_value(lenient(get(value, key)?)).ok()
}

/// A field by its name, in either spelling.
pub(super) fn get<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).or_else(|| {
        value.as_object()?.iter().find(|(name, _)| camel(name) == key).map(|(_, value)| value)
    })
}

/// `trace_id` is `traceId`.
fn camel(name: &str) -> Cow<'_, str> {
    if !name.contains('_') {
        return Cow::Borrowed(name);
    }
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        out.push_str(&first.to_ascii_uppercase());
        out.push_str(rest);
    }
    Cow::Owned(out)
}

/// The values that are known; later versions may add others, which are to be ignored.
const VALUES: &[&str] = &[
    "stringValue",
    "boolValue",
    "intValue",
    "doubleValue",
    "arrayValue",
    "kvlistValue",
    "bytesValue",
];

/// What is null is absent, and so is a value of an unknown sort; a list that is absent is empty.
fn lenient(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            // Beside a value that is known nothing else is.
            let is_any = fields.keys().any(|key| VALUES.contains(&camel(key).as_ref()));
            let is_known = |key: &str| VALUES.contains(&key) || !(is_any || key.ends_with("Value"));
            let fields = fields.iter().map(|(key, value)| (camel(key), value));
            let fields = fields.filter(|(key, value)| !value.is_null() && is_known(key));
            let member = |(key, value): (Cow<'_, str>, &Value)| {
                let (key, mut value) = scalar(&key, lenient(value));
                let is_list = matches!(key, "kvlistValue" | "arrayValue");
                if let (true, Value::Object(list)) = (is_list, &mut value) {
                    // The Collector leaves out an empty one, which is then missed.
                    list.entry("values").or_insert_with(|| Value::Array(Vec::new()));
                }
                (key.to_owned(), value)
            };
            Value::Object(fields.map(member).collect())
        }
        Value::Array(items) => {
            Value::Array(items.iter().filter(|item| !item.is_null()).map(lenient).collect())
        }
        other => other.clone(),
    }
}

/// A field whose value is in the form that OTLP has for it.
fn scalar(key: &str, value: Value) -> (&str, Value) {
    let value = match key {
        "traceId" => id(value, 16),
        "spanId" | "parentSpanId" => id(value, 8),
        "kind" => word(value, SPAN_KINDS),
        "code" => word(value, STATUS_CODES),
        "aggregationTemporality" => word(value, TEMPORALITIES),
        "severityNumber" => severity(value),
        "bucketCounts" | "explicitBounds" => return (key, numbers(key, value)),
        "doubleValue" | "asDouble" | "sum" | "min" | "max" | "quantile" | "value"
        | "zeroThreshold" => double(value),
        _ => whole(value),
    };
    match value {
        // A double that is none is kept as text, as it is of protobuf.
        Value::String(text) if key == "doubleValue" => {
            let text = text.replace("Infinity", "inf");
            ("stringValue", text.into())
        }
        value => (key, value),
    }
}

fn numbers(key: &str, value: Value) -> Value {
    let number = if key == "bucketCounts" { whole } else { double };
    match value {
        Value::Array(items) => items.into_iter().map(number).collect(),
        other => other,
    }
}

/// An id in hex; one in base64 is as long as no id in hex.
fn id(value: Value, bytes: usize) -> Value {
    let Value::String(text) = &value else { return value };
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).ok();
    let decoded = decoded.filter(|id| id.len() == bytes && text.len() != 2 * bytes);
    decoded.map_or(value, |id| crate::hex::hex(&id).into())
}

const SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];
const STATUS_CODES: &[&str] = &["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"];
const TEMPORALITIES: &[&str] = &[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
];

/// The number of a word; one that is unknown says nothing.
fn word(value: Value, words: &[&str]) -> Value {
    let Value::String(text) = &value else { return whole(value) };
    let number = words.iter().position(|word| word == text);
    number.map_or_else(|| text.parse::<i64>().unwrap_or_default().into(), Value::from)
}

/// `SEVERITY_NUMBER_INFO2` is 10.
fn severity(value: Value) -> Value {
    const LEVELS: &[&str] = &["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let Value::String(text) = &value else { return whole(value) };
    let name = text.strip_prefix("SEVERITY_NUMBER_").unwrap_or_default();
    let level = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let step: usize = name.get(level.len()..).and_then(|step| step.parse().ok()).unwrap_or(1);
    let number = LEVELS.iter().position(|known| *known == level).map(|at| at * 4 + step);
    number.map_or_else(|| text.parse::<i64>().unwrap_or_default().into(), Value::from)
}

/// A whole number, which may be written with a fraction of nothing or an exponent.
fn whole(value: Value) -> Value {
    match value.as_f64().filter(|_| value.is_f64()) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is whole, and within 64 bits"
        )]
        Some(double) if double.fract() == 0.0 && (0.0..1.8e19).contains(&double) => {
            (double as u64).into()
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within 64 bits")]
        Some(double) if double.fract() == 0.0 && (-9.2e18..0.0).contains(&double) => {
            (double as i64).into()
        }
        _ => value,
    }
}

/// A double, which may be a text.
fn double(value: Value) -> Value {
    let number = value.as_str().and_then(|text| text.parse::<f64>().ok());
    number.and_then(serde_json::Number::from_f64).map_or(value, Value::Number)
}
