//! The fields of a log whose names people choose: `x-request-id`, `X_REQUEST_ID` and `xRequestId`
//! are one name.

use std::collections::BTreeMap;

use durward_schemas::cell::Json;
use serde_json::{Map, Value};

use crate::canonical;

/// Fields that are taken one by one, by any of their names; what is never taken is left.
#[derive(Debug, Default)]
pub(crate) struct Named {
    fields: Map<String, Value>,
    /// The names as written, by the name that stands for all spellings.
    names: BTreeMap<String, String>,
    /// The names of fields that say they are absent.
    absent: Vec<String>,
}

impl Named {
    /// Drops what is absent: null, and the dash that Envoy writes.
    pub(crate) fn new(fields: Map<String, Value>) -> Self {
        let is_absent = |value: &Value| value.is_null() || matches!(value.as_str(), Some("-" | ""));
        let (absent, fields): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|(_, value)| is_absent(value));
        let names = fields.iter().map(|(name, _)| (spelled(name), name.clone())).collect();
        let absent = absent.iter().map(|(name, _)| spelled(name)).collect();
        Self { fields: fields.into_iter().collect(), names, absent }
    }

    /// Whether the log has such a field at all, if only to say that it is absent.
    pub(crate) fn speaks_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.names.contains_key(*name))
            || self.absent.iter().any(|absent| names.contains(&absent.as_str()))
    }

    /// The first of these fields that is there.
    pub(crate) fn get(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.fields.get(self.names.get(*name)?))
    }

    /// The first of these fields that is a text.
    pub(crate) fn peek(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.fields.get(self.names.get(*name)?)?.as_str())
    }

    /// Takes the first of these fields that is there.
    pub(crate) fn take(&mut self, names: &[&str]) -> Option<Value> {
        names.iter().find_map(|name| self.fields.remove(self.names.get(*name)?))
    }

    /// Takes the first of these fields that is a text or a number; others stay.
    pub(crate) fn text(&mut self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| {
            let name = self.names.get(*name)?;
            let text = match self.fields.get(name)? {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            self.fields.remove(name);
            Some(text)
        })
    }

    /// Takes the first of these fields that is a whole number, or a text that is one.
    pub(crate) fn integer(&mut self, names: &[&str]) -> Option<i64> {
        names.iter().find_map(|name| {
            let name = self.names.get(*name)?;
            let integer = whole(self.fields.get(name)?)?;
            self.fields.remove(name);
            Some(integer)
        })
    }

    /// What nobody took.
    pub(crate) fn rest(self) -> Option<Json> {
        let is_empty = self.fields.is_empty();
        (!is_empty).then(|| Json(canonical::sorted(&Value::Object(self.fields))))
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        #[expect(clippy::cast_possible_truncation, reason = "status codes are small")]
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().map(|double| double as i64))
        }
        _ => None,
    }
}

/// The name that stands for all spellings: lower case, words parted by `_`.
pub(crate) fn spelled(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut was_lower = false;
    for c in name.chars() {
        let parts = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_lower);
        if parts && !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: one name in the spellings of headers, attributes, operators and programs.
    /// Guarantees: all are one.
    #[test]
    fn spellings_are_one() {
        for name in ["x-request-id", "X_REQUEST_ID", "x.request.id", "xRequestId", ":x-request-id"]
        {
            assert_eq!(spelled(name), "x_request_id", "{name}");
        }
        assert_eq!(spelled("@timestamp"), "timestamp");
        assert_eq!(spelled("peer.fingerprint_256"), "peer_fingerprint_256");
        assert_eq!(spelled("DOWNSTREAM_PEER_URI_SAN"), "downstream_peer_uri_san");
    }
}
