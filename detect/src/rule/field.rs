//! One field of a log source: its name in rules, and how it is read from a row.

use std::borrow::Cow;

use rsigma_eval::EventValue;

use crate::rule::event::RowEvent;

/// A field and how it is read from a row.
pub(crate) struct Field {
    /// The name in rules.
    pub name: &'static str,
    /// The column of `accesses` or `changes`; of a body, where it is computed from one.
    pub column: &'static str,
    /// Reads it.
    pub read: Read,
}

/// How a field is read.
pub(crate) type Read = for<'e> fn(&'e RowEvent<'_>) -> Option<EventValue<'e>>;

/// The fields of a log source, in the order of its specification.
macro_rules! fields {
    ($($name:literal => $column:literal, $read:expr;)+) => {
        pub(super) const FIELDS: &[Field] = &[$(Field {
            name: $name,
            column: $column,
            read: $read,
        }),+];
    };
}
pub(super) use fields;

pub(super) fn text(text: Option<&str>) -> Option<EventValue<'_>> {
    text.map(|text| EventValue::Str(Cow::Borrowed(text)))
}

pub(super) fn list(list: Option<&[String]>) -> Option<EventValue<'_>> {
    list.and_then(|list| some_of(list.iter()))
}

pub(super) fn some_of<'e>(items: impl Iterator<Item = &'e String>) -> Option<EventValue<'e>> {
    let items: Vec<_> = items.map(|item| EventValue::Str(Cow::Borrowed(item.as_str()))).collect();
    (!items.is_empty()).then_some(EventValue::Array(items))
}
