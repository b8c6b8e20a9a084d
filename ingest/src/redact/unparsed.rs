//! What could not be read may hold anything: bytes in, a head for people out, with every secret gone.
//!
//! Nothing is parsed, since that is what failed. In JSON only structure, names that are known and
//! values of a few safe fields are kept. The input may begin in the middle of a string, so that what
//! seems to stand outside quotes is text; therefore words outside quotes go too.

use super::name;
use super::text::{is_token, is_uuid};
use crate::hex::hex;
use durward_schemas::Time;

/// Bytes of a reject that are looked at.
const HEAD: usize = 4096;
/// What stands for whatever was there.
const GONE: &str = "***";
/// A run of this many token characters may be a secret.
const LONG: usize = 12;

/// Fields whose values cannot be secrets, if they look as they should.
const SAFE: &[&str] = &[
    "kind",
    "apiVersion",
    "level",
    "auditID",
    "stage",
    "verb",
    "resource",
    "subresource",
    "apiGroup",
    "namespace",
    "code",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "timestamp",
    "traceId",
    "spanId",
    "timeUnixNano",
    "observedTimeUnixNano",
    "startTimeUnixNano",
    "endTimeUnixNano",
];

/// Fields whose names tell the shape, and whose values go.
const SHAPE: &[&str] = &[
    "items",
    "metadata",
    "user",
    "username",
    "uid",
    "groups",
    "extra",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "name",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestURI",
    "annotations",
    "spec",
    "status",
    "data",
    "stringData",
    "resourceSpans",
    "resourceLogs",
    "resourceMetrics",
    "scopeSpans",
    "scopeLogs",
    "scopeMetrics",
    "spans",
    "logRecords",
    "metrics",
    "attributes",
    "key",
    "value",
    "body",
    "stringValue",
    "time",
    "objects",
    "message",
    "reason",
    "Records",
    "records",
    "logEvents",
    "userIdentity",
    "eventName",
    "eventSource",
    "requestParameters",
    "responseElements",
    "protoPayload",
    "methodName",
    "serviceName",
    "properties",
    "category",
    "operationName",
];

/// The first 4 KiB of `bytes` with everything masked that might be secret.
#[must_use]
pub fn mask_unparsed(bytes: &[u8]) -> String {
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    if head.contains(&0) {
        return binary(head);
    }
    let text = String::from_utf8_lossy(head);
    if text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count() > head.len() / 16 + 4 {
        return binary(head);
    }
    if text.contains('"') { mask_json(&text) } else { mask_words(&text) }
}

/// Compressed, UTF-16 or other bytes: enough to recognise the sort by its first eight.
fn binary(head: &[u8]) -> String {
    let bytes: Vec<String> = head.iter().take(8).map(|byte| hex(&[*byte])).collect();
    format!("binary: {}", bytes.join(" "))
}

/// Text without quotes: short words stay; long runs, whatever follows `=` or `:`, and what is left of a line
/// in which a word speaks of a secret go. Of other alphabets nothing is known.
fn mask_words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut speaks = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii() && !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let named = speaks || out.trim_end().ends_with([':', '=']);
        let goes = word.len() >= LONG || !word.is_ascii() || (named && !word.is_empty());
        out.push_str(if goes { GONE } else { word });
        speaks = (speaks || name::is_secret(word)) && !after.starts_with('\n');
        let mut between = after.chars();
        out.extend(between.next());
        rest = between.as_str();
    }
    out
}

fn mask_json(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut field = None;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let (string, closed, after) = take_string(rest);
            let is_key = closed && after.trim_start().starts_with(':');
            let kept = if is_key { keep_key(string) } else { keep_value(field, string) };
            out.push('"');
            out.push_str(if closed && kept { string } else { GONE });
            out.push('"');
            field = if is_key { Some(string) } else { None };
            rest = after;
        } else if is_word(c) || !c.is_ascii() {
            let end = rest.find(|c: char| c.is_ascii() && !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            let is_known = field.is_none_or(|field| SAFE.contains(&field));
            out.push_str(if is_known && is_literal(word) { word } else { GONE });
            rest = after;
        } else {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// The string that `text` begins with, without quotes; whether it is closed; what follows.
fn take_string(text: &str) -> (&str, bool, &str) {
    let inside = text.get(1..).unwrap_or_default();
    let mut is_escaped = false;
    for (index, c) in inside.char_indices() {
        match c {
            '"' if !is_escaped => {
                let (string, after) = inside.split_at(index);
                return (string, true, after.get(1..).unwrap_or_default());
            }
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    (inside, false, "")
}

fn keep_key(key: &str) -> bool {
    SAFE.contains(&key) || SHAPE.contains(&key)
}

/// Values of safe fields stay if they are what such a field holds.
fn keep_value(field: Option<&str>, value: &str) -> bool {
    let Some(field) = field.filter(|field| SAFE.contains(field)) else { return false };
    match field {
        "auditID" => is_uuid(value),
        "requestReceivedTimestamp" | "stageTimestamp" | "timestamp" => Time::parse(value).is_some(),
        "traceId" | "spanId" => value.len() <= 32 && value.bytes().all(|b| b.is_ascii_hexdigit()),
        _ if field.ends_with("Nano") => value.bytes().all(|b| b.is_ascii_digit()),
        _ => {
            value.len() <= 40
                && value.bytes().all(|b| b.is_ascii_alphabetic() || b"./-1".contains(&b))
        }
    }
}

/// `true`, `false`, `null` and short numbers, which are no secret where they have no name or a safe one.
fn is_literal(word: &str) -> bool {
    let is_number =
        word.len() <= 6 && word.bytes().all(|b| b.is_ascii_digit() || b"-.".contains(&b));
    matches!(word, "true" | "false" | "null") || is_number
}

fn is_word(c: char) -> bool {
    is_token(c) || matches!(c, '.' | '~' | '%' | '\\' | '@' | '!' | '$' | '^' | '*' | '#' | '&')
}
