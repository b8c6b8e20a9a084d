//! Attributes of OTLP: pairs in, the same redacted and in order of their names out.
//!
//! They stay a list: names and values are moved from the message, and no map is made of them.

use std::mem;

use base64::Engine as _;
use durward_schemas::cell::Json;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use serde_json::Value;

use super::super::{Context, semconv};
use crate::canonical;
use crate::normalize::Timed;

/// Where a claimed time that is not believed is kept, which has no column here.
pub(super) const CLAIMED_TIME: &str = "durward.claimed_time";

/// Pairs in order of their names, of which each stands once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Attributes(Vec<(String, Value)>);

/// Attributes as they were sent, which enter ids, and as they are stored.
pub(crate) struct Told {
    pub(crate) sent: String,
    pub(crate) stored: Json,
}

impl Attributes {
    /// What a message has, redacted. Of two with one name the later counts.
    pub(crate) fn new(list: Vec<KeyValue>, context: &Context<'_>) -> Self {
        let pair = |pair: KeyValue| (pair.key, moved(pair.value));
        let mut pairs: Vec<(String, Value)> = list.into_iter().map(pair).collect();
        let redactor = context.keys.redactor();
        redactor.addresses(pairs.iter_mut().map(|(name, value)| (name.as_str(), value)));
        redactor.pairs(&mut pairs);
        pairs.into_iter().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(self.place(name).ok()?).map(|(_, value)| value)
    }

    /// The first of `names` that is a text with something in it; headers are lists of texts.
    pub(crate) fn text(&self, names: &[&str]) -> Option<String> {
        let first = |value: &'_ Value| value.get(0).unwrap_or(value).as_str().map(str::to_owned);
        let mut texts = names.iter().filter_map(|name| first(self.get(name)?));
        // Envoy writes a dash for what it does not know.
        texts.find(|text| !text.is_empty() && text != "-")
    }

    /// Adds a value, unless there is one of its name.
    pub(crate) fn add(&mut self, name: &str, value: Value) {
        if let Err(at) = self.place(name) {
            self.0.insert(at, (name.to_owned(), value));
        }
    }

    /// Sets a value, whatever there was.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        let known = self.place(name).ok().and_then(|at| self.0.get_mut(at));
        match known {
            Some((_, known)) => *known = value,
            None => self.add(name, value),
        }
    }

    /// Adds what has no column, under the names that other formats have for it, unless it says nothing.
    /// <https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/>
    pub(crate) fn add_if(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        if super::says_something(&value) {
            self.add(name, value);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Value)> + Clone {
        self.0.iter().map(|(name, value)| (name, value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text to store.
    pub(crate) fn json(&self) -> String {
        canonical::sorted_fields(self.iter())
    }

    /// Adds what we know better: a claimed time that is not believed, which has no column, and the names
    /// of today. None of it may enter an id, since it depends on when and by whom it is read.
    pub(crate) fn told(&mut self, timed: &Timed) -> Told {
        let sent = self.json();
        let has_changed = self.flag(timed) | semconv::add_names(self);
        let stored = if has_changed { self.json() } else { sent.clone() };
        Told { sent, stored: Json(stored) }
    }

    /// Keeps a claimed time that is not believed; says whether there is one.
    fn flag(&mut self, timed: &Timed) -> bool {
        let Some(claimed) = &timed.claimed else { return false };
        self.set(CLAIMED_TIME, claimed.as_str().into());
        true
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}

impl FromIterator<(String, Value)> for Attributes {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(pairs: I) -> Self {
        let mut pairs: Vec<(String, Value)> = pairs.into_iter().collect();
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        pairs.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                mem::swap(later, earlier);
            }
            is_same
        });
        Self(pairs)
    }
}

impl From<Attributes> for Value {
    fn from(attributes: Attributes) -> Self {
        Self::Object(attributes.0.into_iter().collect())
    }
}

/// A value as JSON, not redacted.
pub(crate) fn value(any: Option<&AnyValue>) -> Value {
    moved(any.cloned())
}

/// A double that is an integer becomes one: the Collector makes every number of a JSON body a double.
fn moved(any: Option<AnyValue>) -> Value {
    match any.and_then(|any| any.value) {
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::BoolValue(truth)) => truth.into(),
        Some(Any::IntValue(integer)) => integer.into(),
        Some(Any::DoubleValue(double)) => number(double),
        Some(Any::ArrayValue(array)) => {
            array.values.into_iter().map(|it| moved(Some(it))).collect()
        }
        Some(Any::KvlistValue(list)) => {
            let pairs = list.values.into_iter();
            Value::Object(pairs.map(|pair| (pair.key, moved(pair.value))).collect())
        }
        Some(Any::BytesValue(bytes)) => {
            base64::engine::general_purpose::STANDARD.encode(bytes).into()
        }
        _ => Value::Null,
    }
}

/// Doubles beyond this do not hold every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn number(double: f64) -> Value {
    if double.fract() == 0.0 && double.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is an integer within 53 bits")]
        return (double as i64).into();
    }
    // JSON has no NaN and no infinity.
    serde_json::Number::from_f64(double).map_or_else(|| double.to_string().into(), Value::Number)
}
