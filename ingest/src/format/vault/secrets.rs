//! What Vault writes in clear: with `log_raw`, under keys that are not to be hashed, and numbers.
//!
//! <https://developer.hashicorp.com/vault/docs/audit#sensitive-information>

use serde_json::{Map, Value};

use super::super::Context;
use crate::Keys;
use crate::redact::is_hashed;

/// Mounts whose data are settings of Vault, and tell who may do what.
const SETTINGS: &[&str] = &["sys/", "auth/", "identity/"];

/// Paths among them whose data are secrets all the same: what is wrapped, parts of the root key, storage as
/// it is. <https://developer.hashicorp.com/vault/api-docs/system>
const NO_SETTINGS: &[&str] = &[
    "sys/wrapping/wrap",
    "sys/wrapping/unwrap",
    "sys/wrapping/rewrap",
    "sys/raw/",
    "sys/init",
    "sys/unseal",
    "sys/rekey",
    "sys/generate-root",
    "sys/generate-recovery-token",
    "sys/decode-token",
    "sys/mfa/validate",
    "sys/tools/random",
];

/// What one logs in with, under names that are no secret's anywhere else: clouds call names so.
/// <https://developer.hashicorp.com/vault/api-docs/auth/approle>,
/// <https://developer.hashicorp.com/vault/api-docs/auth/jwt>
const LOGINS: &[&str] = &["secret_id", "code", "iam_request_headers", "pkcs7"];

/// Where the `id` of a token is chosen, which is the token.
const MAKES_TOKENS: &str = "auth/token/create";

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
    let begins = |with: &[&str]| {
        path.as_deref().is_some_and(|path| with.iter().any(|mount| path.starts_with(mount)))
    };
    let is_settings = begins(SETTINGS) && !begins(NO_SETTINGS);
    let makes_tokens = begins(&[MAKES_TOKENS]);
    for half in ["request", "response"] {
        let Some(Value::Object(half)) = entry.get_mut(half) else { continue };
        if let (Some(path), true) = (&path, half.contains_key("path")) {
            half.insert("path".to_owned(), path.as_str().into());
        }
        match half.get_mut("data") {
            Some(data) if is_settings => mask_logins(data, makes_tokens, context.keys),
            Some(data) => mask(data, context.keys),
            None => {}
        }
    }
    let mut value = Value::Object(std::mem::take(entry));
    context.keys.redactor().json(&mut value);
    if let Value::Object(redacted) = value {
        *entry = redacted;
    }
}

/// Masks what one logs in with, wherever it stands.
fn mask_logins(value: &mut Value, makes_tokens: bool, keys: &Keys) {
    match value {
        Value::Array(items) => {
            for item in items {
                mask_logins(item, makes_tokens, keys);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if LOGINS.contains(&name.as_str()) || (makes_tokens && name == "id") {
                    mask(value, keys);
                } else {
                    mask_logins(value, makes_tokens, keys);
                }
            }
        }
        _ => {}
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
