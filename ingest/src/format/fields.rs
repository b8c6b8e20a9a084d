//! The fields of an object, taken out one by one; what is never taken is left as `unmapped`.

use durward_schemas::cell::Json;
use serde_json::{Map, Value};

use super::Failure;
use crate::canonical;

/// The fields that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| !value.is_null())
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// Takes any value but null.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null())
    }

    /// Takes a text; an empty one says nothing.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Failure> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong_type(key, "a text")),
        }
    }

    /// Takes a list of texts.
    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|_| wrong_type(key, "a list of texts"))
    }

    /// Takes an integer; the Collector makes every number a double.
    pub(super) fn integer(&mut self, key: &str) -> Result<Option<i64>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "status codes are small, others saturate"
        )]
        let integer = value.as_i64().or_else(|| value.as_f64().map(|double| double as i64));
        integer.map(Some).ok_or_else(|| wrong_type(key, "a number"))
    }

    /// Takes an object; a missing one is empty.
    pub(super) fn object(&mut self, key: &str) -> Result<Self, Failure> {
        match self.take(key) {
            None => Ok(Self::default()),
            Some(Value::Object(fields)) => Ok(Self(fields)),
            Some(_) => Err(wrong_type(key, "an object")),
        }
    }

    /// Puts back what was left of an object.
    pub(super) fn keep(&mut self, key: &str, rest: Self) {
        if !rest.0.is_empty() {
            self.0.insert(key.to_owned(), Value::Object(rest.0));
        }
    }

    /// Drops `key` if it holds an empty object.
    pub(super) fn drop_if_empty(&mut self, key: &str) {
        if self.get(key).and_then(Value::as_object).is_some_and(Map::is_empty) {
            self.0.remove(key);
        }
    }

    /// What nobody took, with `version` if that is worth keeping.
    pub(super) fn rest(mut self, version: Option<Value>) -> Option<Json> {
        if let Some(version) = version {
            self.0.insert("apiVersion".to_owned(), version);
        }
        let is_empty = self.0.is_empty();
        (!is_empty).then(|| Json(canonical::sorted(&Value::Object(self.0))))
    }
}

pub(super) fn wrong_type(key: &str, expected: &str) -> Failure {
    Failure::new("wrong_type", format!("field {key} is not {expected}"))
}
