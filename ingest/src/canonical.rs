//! JSON as text that does not depend on how it came: a value in, text with sorted keys out.
//!
//! The order of keys in `serde_json` maps depends on features that other crates switch on, and the
//! Collector's map bodies have random order and only doubles; so nothing that is hashed or stored
//! may rely on either.

use serde_json::{Map, Value};

/// The text to store: sorted keys, numbers as they are.
pub(crate) fn sorted(value: &Value) -> String {
    let mut out = String::new();
    Writer { out: &mut out, number: &|number| number.to_string(), text: &quoted }.value(value);
    out
}

/// As [`sorted`], of the fields of an object.
pub(crate) fn sorted_fields(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    Writer { out: &mut out, number: &|number| number.to_string(), text: &quoted }.object(fields);
    out
}

/// The text to hash: sorted keys, every number as the double it denotes, every string through `text`.
pub(crate) fn canonical(value: &Value, text: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    let text = |string: &str| quoted(&text(string));
    Writer { out: &mut out, number: &as_double, text: &text }.value(value);
    out
}

/// `200`, `200.0` and `2e2` are one number; minus zero is zero.
fn as_double(number: &serde_json::Number) -> String {
    number.as_f64().map_or_else(|| number.to_string(), |double| (double + 0.0).to_string())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

struct Writer<'a> {
    out: &'a mut String,
    number: &'a dyn Fn(&serde_json::Number) -> String,
    text: &'a dyn Fn(&str) -> String,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Value::Number(number) => self.out.push_str(&(self.number)(number)),
            Value::String(string) => self.out.push_str(&(self.text)(string)),
            Value::Array(items) => self.array(items),
            Value::Object(fields) => self.object(fields),
        }
    }

    fn array(&mut self, items: &[Value]) {
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.value(item);
        }
        self.out.push(']');
    }

    fn object(&mut self, fields: &Map<String, Value>) {
        let mut fields: Vec<_> = fields.iter().collect();
        fields.sort_unstable_by_key(|(key, _)| *key);
        self.out.push('{');
        for (index, (key, value)) in fields.into_iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.out.push_str(&(self.text)(key));
            self.out.push(':');
            self.value(value);
        }
        self.out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canon(text: &str) -> String {
        canonical(&serde_json::from_str(text).unwrap(), &str::to_owned)
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
