//! Words, numbers and names of codes in the lines of a log, which JSON and text write differently.

use serde_json::{Map, Value};

use super::super::Failure;
use super::super::fields::{Fields, wrong_type};

/// A word, which may be one of digits.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Takes a word; an empty one says nothing.
pub(super) fn taken(fields: &mut Fields, name: &str) -> Result<Option<String>, Failure> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    let word = word(&value).ok_or_else(|| wrong_type(name, "a text or a number"))?;
    Ok(Some(word).filter(|word| !word.is_empty()))
}

/// Gives the code of a status its number: JSON has it, text has the code's name.
pub(super) fn number_code(fields: &mut Map<String, Value>) {
    let Some(code) = fields.get_mut("status_code") else { return };
    let named = code.as_str().and_then(|name| CODES.iter().position(|known| *known == name));
    if let Some(number) = named {
        *code = number.into();
    }
}

pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The code in `rpc error: code = PermissionDenied desc = ...`.
pub(super) fn code_of(error: &str) -> Option<&'static str> {
    let name = error.split_once("code = ")?.1.split(' ').next()?;
    CODES.iter().find(|known| **known == name).copied()
}

pub(super) fn code_name(code: i64) -> Option<&'static str> {
    CODES.get(usize::try_from(code).ok()?).copied()
}

/// Codes that say that no decision was reached.
pub(super) const BROKEN: &[&str] = &["Canceled", "DeadlineExceeded", "Internal", "Unavailable"];

/// <https://grpc.io/docs/guides/status-codes/#the-full-list-of-status-codes>, as Go spells them.
const CODES: &[&str] = &[
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
