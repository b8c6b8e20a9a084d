//! The fields of an object, taken out one by one; what is never taken is left as `unmapped`.

use std::collections::BTreeMap;

use durward_schemas::cell::Json;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Failure;
use crate::canonical;

/// What stands for a value that is nested deeper than is read (128 levels).
pub(super) const UNREADABLE: &str = "unreadable: nested too deeply";

/// The fields of an object as text, not parsed yet.
pub(super) type Raw<'a> = BTreeMap<String, &'a RawValue>;

/// Parses an object field by field. Those in `deep` hold what clients send: one that is nested too
/// deeply, which a client can arrange, must not hide the rest.
pub(super) fn parse(bytes: &[u8], deep: &[&str]) -> Result<Map<String, Value>, Failure> {
    // Nearly always all of it can be read at once; what is known to be text need not be looked at again.
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(fields) = serde_json::from_str(text)
    {
        return Ok(fields);
    }
    let raw: Raw<'_> = serde_json::from_slice(bytes)?;
    let mut fields = Map::new();
    for (key, text) in raw {
        let value = match serde_json::from_str(text.get()) {
            Err(_) if deep.contains(&key.as_str()) => UNREADABLE.into(),
            value => value?,
        };
        fields.insert(key, value);
    }
    Ok(fields)
}

/// Gives keys the spelling of `known`, whatever their case: exporters do not agree on it.
pub(super) fn spell(fields: &mut Map<String, Value>, known: &[&str]) {
    let spelled = |key: &String| {
        let known = known.iter().find(|known| key.eq_ignore_ascii_case(known))?;
        (key != known && !fields.contains_key(*known)).then(|| (key.clone(), (*known).to_owned()))
    };
    let renamed: Vec<(String, String)> = fields.keys().filter_map(spelled).collect();
    for (key, known) in renamed {
        if let Some(value) = fields.remove(&key) {
            fields.insert(known, value);
        }
    }
}

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

    /// Takes a text; anything else is left where it is.
    pub(super) fn text_if(&mut self, key: &str) -> Option<String> {
        let text = self.0.get(key)?.as_str()?.to_owned();
        self.0.remove(key);
        Some(text).filter(|text| !text.is_empty())
    }

    /// Takes a text, or a number as text; anything else is left where it is.
    pub(super) fn scalar_if(&mut self, key: &str) -> Option<String> {
        match self.0.get(key)? {
            Value::Number(number) => {
                let text = number.to_string();
                self.0.remove(key);
                Some(text)
            }
            _ => self.text_if(key),
        }
    }

    /// Lets `read` take fields of the object under `key`, and put them there; what it leaves stays.
    pub(super) fn inside<R>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> R) -> R {
        if self.0.get(key).is_some_and(|value| !value.is_object()) {
            return read(&mut Self::default());
        }
        let mut inner = match self.0.remove(key) {
            Some(Value::Object(fields)) => Self(fields),
            _ => Self::default(),
        };
        let result = read(&mut inner);
        self.keep(key, inner);
        result
    }

    /// Takes a list of texts; one text by itself is a list of it, and null is none.
    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Failure> {
        let value = match self.take(key) {
            None => return Ok(None),
            Some(Value::String(text)) => return Ok(Some(vec![text])),
            Some(value) => value,
        };
        let texts: Option<Vec<Option<String>>> = serde_json::from_value(value).ok();
        let texts = texts.ok_or_else(|| wrong_type(key, "a list of texts"))?;
        Ok(Some(texts.into_iter().flatten().collect()))
    }

    /// Takes a time, which some exporters make a number.
    pub(super) fn claim(&mut self, key: &str) -> Result<Option<String>, Failure> {
        if let Some(Value::Number(number)) = self.get(key) {
            let text = number.to_string();
            self.take(key);
            return Ok(Some(text));
        }
        self.text(key)
    }

    /// Takes an integer; the Collector makes every number a double, others make it a text.
    pub(super) fn integer(&mut self, key: &str) -> Result<Option<i64>, Failure> {
        let Some(value) = self.take(key) else { return Ok(None) };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "status codes are small, others saturate"
        )]
        let integer = value.as_i64().or_else(|| value.as_f64().map(|double| double as i64));
        let integer = integer.or_else(|| value.as_str()?.trim().parse().ok());
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

    /// Gives the keys the spelling of `known`.
    pub(super) fn spell(&mut self, known: &[&str]) {
        spell(&mut self.0, known);
    }

    /// Puts back a text.
    pub(super) fn keep_text(&mut self, key: &str, text: Option<String>) {
        if let Some(text) = text {
            self.0.insert(key.to_owned(), text.into());
        }
    }

    /// What nobody took, as it is.
    pub(super) fn into_inner(self) -> Map<String, Value> {
        self.0
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
