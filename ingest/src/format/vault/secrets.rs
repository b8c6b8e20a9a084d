//! What Vault writes in clear: with `log_raw`, under keys that are not to be hashed, and numbers.
//!
//! <https://developer.hashicorp.com/vault/docs/audit#sensitive-information>

use serde_json::{Map, Value};

use super::super::Context;
use crate::Keys;
use crate::redact::is_hashed;

/// Mounts whose data are settings of Vault, and tell who may do what.
const SETTINGS: &[&str] = &["sys/", "auth/", "identity/"];

/// Counters and terms that keep their numbers wherever they stand.
const COUNTERS: &[&str] = &[
    "version",
    "ttl",
    "max_ttl",
    "lease_duration",
    "max_versions",
    "cas",
    "creation_ttl",
    "num_uses",
];

/// Redacts an entry: data of secrets whole, everything else by names and looks.
pub(super) fn redact(entry: &mut Map<String, Value>, context: &Context<'_>) {
    let path = entry.get("request").and_then(|request| request.get("path")?.as_str());
    let path = path.map(|path| context.keys.redactor().uri(path));
    let is_settings =
        path.as_deref().is_some_and(|path| SETTINGS.iter().any(|mount| path.starts_with(mount)));
    for half in ["request", "response"] {
        let Some(Value::Object(half)) = entry.get_mut(half) else { continue };
        if let (Some(path), true) = (&path, half.contains_key("path")) {
            half.insert("path".to_owned(), path.as_str().into());
        }
        if let (Some(data), false) = (half.get_mut("data"), is_settings) {
            mask(data, context.keys);
        }
    }
    let mut value = Value::Object(std::mem::take(entry));
    context.keys.redactor().json(&mut value);
    if let Value::Object(redacted) = value {
        *entry = redacted;
    }
}

fn mask(value: &mut Value, keys: &Keys) {
    match value {
        Value::String(text) if text.is_empty() || is_hashed(text) => {}
        Value::String(text) => *text = keys.redactor().mask(text),
        Value::Number(number) => *value = keys.redactor().mask(&number.to_string()).into(),
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, keys)),
        Value::Object(fields) => {
            let others = fields
                .iter_mut()
                .filter(|(name, value)| !(value.is_number() && COUNTERS.contains(&name.as_str())));
            others.for_each(|(_, value)| mask(value, keys));
        }
        Value::Null | Value::Bool(_) => {}
    }
}
