//! JSON as text that does not depend on how it came: a value in, text with sorted keys out.
//!
//! The order of keys in `serde_json` maps depends on features that other crates switch on, and the
//! Collector's map bodies have random order and only doubles; so nothing that is hashed or stored
//! may rely on either.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// The text to store: sorted keys, numbers as they are.
pub(crate) fn sorted(value: &Value) -> String {
    let mut writer = Writer::new(&|text| Cow::Borrowed(text), false, STORED);
    writer.value(value);
    writer.out
}

/// As [`sorted`], of the fields of an object.
pub(crate) fn sorted_fields<'a>(fields: impl Iterator<Item = Field<'a>> + Clone) -> String {
    let mut writer = Writer::new(&|text| Cow::Borrowed(text), false, STORED);
    writer.object(fields);
    writer.out
}

/// The text to hash: sorted keys, every number as the double it denotes, every string through `text`.
pub(crate) fn canonical(value: &Value, text: Texts<'_>) -> String {
    let mut writer = Writer::new(text, true, HASHED);
    writer.value(value);
    writer.out
}

/// As [`canonical`], of the fields of an object.
pub(crate) fn canonical_fields(fields: &Map<String, Value>, text: Texts<'_>) -> String {
    let mut writer = Writer::new(text, true, HASHED);
    writer.object(fields.iter());
    writer.out
}

/// A field of an object.
type Field<'a> = (&'a String, &'a Value);

/// What becomes of each string.
pub(crate) type Texts<'a> = &'a dyn for<'t> Fn(&'t str) -> Cow<'t, str>;

/// Bytes that are made ready for a text that is stored, of which many are held, and for one that is hashed.
const STORED: usize = 256;
const HASHED: usize = 2048;

struct Writer<'a> {
    out: String,
    text: Texts<'a>,
    /// Whether numbers are written as doubles.
    as_doubles: bool,
}

impl<'a> Writer<'a> {
    fn new(text: Texts<'a>, as_doubles: bool, length: usize) -> Self {
        Self { out: String::with_capacity(length), text, as_doubles }
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn quoted(&mut self, text: &str) {
        let text = (self.text)(text);
        if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            // Writing a string into memory does not fail.
            return self.put(&serde_json::to_string(&*text).unwrap_or_default());
        }
        self.put("\"");
        self.put(&text);
        self.put("\"");
    }

    /// `200`, `200.0` and `2e2` are one number; minus zero is zero.
    fn number(&mut self, number: &Number) {
        // Writing into memory does not fail.
        let written = match number.as_f64().filter(|_| self.as_doubles) {
            Some(double) => write!(self.out, "{}", double + 0.0),
            None => write!(self.out, "{number}"),
        };
        debug_assert!(written.is_ok(), "a number is text");
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(truth) => self.put(if *truth { "true" } else { "false" }),
            Value::Number(number) => self.number(number),
            Value::String(string) => self.quoted(string),
            Value::Array(items) => self.array(items),
            Value::Object(fields) => self.object(fields.iter()),
        }
    }

    fn array(&mut self, items: &[Value]) {
        self.put("[");
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.put(",");
            }
            self.value(item);
        }
        self.put("]");
    }

    fn object<'v>(&mut self, fields: impl Iterator<Item = Field<'v>> + Clone) {
        if fields.clone().is_sorted_by_key(|(key, _)| key) {
            return self.fields(fields);
        }
        let mut fields: Vec<_> = fields.collect();
        fields.sort_unstable_by_key(|(key, _)| *key);
        self.fields(fields.into_iter());
    }

    fn fields<'v>(&mut self, fields: impl Iterator<Item = Field<'v>>) {
        self.put("{");
        for (index, (key, value)) in fields.enumerate() {
            if index > 0 {
                self.put(",");
            }
            self.quoted(key);
            self.put(":");
            self.value(value);
        }
        self.put("}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canon(text: &str) -> String {
        canonical(&serde_json::from_str(text).unwrap(), &|text| Cow::Borrowed(text))
    }

    /// Scenario: the same content with other key order, number forms and escapes.
    /// Guarantees: one canonical text; other content gives another.
    #[test]
    fn form_does_not_matter_but_content_does() {
        let same = canon(r#"{"b":[1,{"y":0,"x":"<"}],"a":200}"#);
        assert_eq!(canon(r#"{ "a": 2e2, "b": [1.0, {"x":"\u003c", "y": -0.0}] }"#), same);
        for other in ["{\"b\":[1],\"a\":200}", r#"{"a":"200","b":[1,{"x":"<","y":0}]}"#, "{}"] {
            assert_ne!(canon(other), same);
        }
        assert_ne!(canon(r#"{"a":null}"#), canon("{}"));
    }

    /// Scenario: a value with unsorted keys is stored.
    /// Guarantees: the text is sorted at every depth and integers stay integers.
    #[test]
    fn stored_text_is_sorted() {
        let value = serde_json::json!({"b": {"d": 1, "c": 2.5}, "a": ["z", null, true]});
        assert_eq!(sorted(&value), r#"{"a":["z",null,true],"b":{"c":2.5,"d":1}}"#);
    }
}
