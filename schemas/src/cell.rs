//! How one value of a Rust row is one cell of an Arrow column.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use crate::ids::{
    ChangeId, CredentialId, DeliveryId, EventId, FindingId, IncidentId, RejectId, RequestKey,
};
use crate::time::Time;
use crate::values::{
    ChangeAction, ChangeKind, CredentialKind, Decision, Disposition, Edge, EventRole, Evidence,
    FindingState, IdentityKind, Outcome, Provider, SubjectKind,
};

/// The types of columns, by the names that `tables.md` gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// Microseconds since 1970, UTC.
    Ts,
    /// Signed 64-bit integer.
    I64,
    /// IEEE 754 double.
    F64,
    /// True or false.
    Bool,
    /// List of text.
    List,
    /// Text that holds JSON.
    Json,
}

impl ColumnType {
    /// The name in `tables.md`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Ts => "ts",
            Self::I64 => "i64",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::List => "list",
            Self::Json => "json",
        }
    }

    /// The Arrow type.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Ts => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::I64 => DataType::Int64,
            Self::F64 => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::List => DataType::List(Arc::new(list_item())),
        }
    }
}

/// The item field of list columns: Delta calls it `element`.
fn list_item() -> Field {
    Field::new("element", DataType::Utf8, true)
}

/// Text that holds JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Json(pub String);

impl Json {
    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A value that can stand in a column.
pub trait Cell: Sized {
    /// The type of the column.
    const TYPE: ColumnType;
    /// Whether the column may be null.
    const NULLABLE: bool;

    /// Builds the column.
    fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a;

    /// Reads row `row`; the caller has checked that the column has [`Self::TYPE`].
    fn read(array: &ArrayRef, row: usize) -> Self;
}

/// A value that is stored as text.
pub trait TextCell: Sized {
    /// The column type: text, or JSON.
    const TYPE: ColumnType = ColumnType::Text;
    /// The text to store.
    fn text(&self) -> &str;
    /// The value for a stored text.
    fn from_text(text: &str) -> Self;
}

macro_rules! text_cells {
    ($($name:ty),+) => {$(
        impl Cell for $name {
            const TYPE: ColumnType = <$name as TextCell>::TYPE;
            const NULLABLE: bool = false;
            fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
                Arc::new(StringArray::from_iter_values(values.map(TextCell::text)))
            }
            fn read(array: &ArrayRef, row: usize) -> Self {
                TextCell::from_text(array.as_string::<i32>().value(row))
            }
        }

        impl Cell for Option<$name> {
            const TYPE: ColumnType = <$name as TextCell>::TYPE;
            const NULLABLE: bool = true;
            fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
                Arc::new(values.map(|value| value.as_ref().map(TextCell::text)).collect::<StringArray>())
            }
            fn read(array: &ArrayRef, row: usize) -> Self {
                array.is_valid(row).then(|| TextCell::from_text(array.as_string::<i32>().value(row)))
            }
        }
    )+};
}

impl TextCell for String {
    fn text(&self) -> &str {
        self
    }
    fn from_text(text: &str) -> Self {
        text.to_owned()
    }
}

impl TextCell for Json {
    const TYPE: ColumnType = ColumnType::Json;
    fn text(&self) -> &str {
        &self.0
    }
    fn from_text(text: &str) -> Self {
        Self(text.to_owned())
    }
}

macro_rules! id_cells {
    ($($name:ident),+) => {
        $(impl TextCell for $name {
            fn text(&self) -> &str { &self.0 }
            fn from_text(text: &str) -> Self { Self(text.to_owned()) }
        })+
        text_cells!($($name),+);
    };
}

macro_rules! enum_cells {
    ($($name:ident),+) => {
        $(impl TextCell for $name {
            fn text(&self) -> &str { self.as_str() }
            // A value of a newer version reads as the default: `unknown` where there is one.
            fn from_text(text: &str) -> Self { text.parse().unwrap_or_default() }
        })+
        text_cells!($($name),+);
    };
}

text_cells!(String, Json);
id_cells!(EventId, RequestKey, ChangeId, FindingId, IncidentId, RejectId, DeliveryId, CredentialId);
enum_cells!(
    Provider,
    IdentityKind,
    Decision,
    Outcome,
    Evidence,
    CredentialKind,
    ChangeKind,
    ChangeAction,
    FindingState,
    SubjectKind,
    Edge,
    EventRole,
    Disposition
);

macro_rules! primitive_cells {
    ($($name:ty, $type:ident, $arrow:ty, $array:ty, $get:expr, $make:expr, $finish:expr;)+) => {$(
        impl Cell for $name {
            const TYPE: ColumnType = ColumnType::$type;
            const NULLABLE: bool = false;
            fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
                let array: $array = values.map(|value| Some($get(value))).collect();
                Arc::new($finish(array))
            }
            fn read(array: &ArrayRef, row: usize) -> Self {
                $make(array.as_primitive::<$arrow>().value(row))
            }
        }

        impl Cell for Option<$name> {
            const TYPE: ColumnType = ColumnType::$type;
            const NULLABLE: bool = true;
            fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
                let array: $array = values.map(|value| value.as_ref().map($get)).collect();
                Arc::new($finish(array))
            }
            fn read(array: &ArrayRef, row: usize) -> Self {
                array.is_valid(row).then(|| $make(array.as_primitive::<$arrow>().value(row)))
            }
        }
    )+};
}

fn in_utc(array: TimestampMicrosecondArray) -> TimestampMicrosecondArray {
    array.with_timezone("UTC")
}

primitive_cells! {
    Time, Ts, TimestampMicrosecondType, TimestampMicrosecondArray, |time: &Time| time.0, Time, in_utc;
    i64, I64, Int64Type, Int64Array, |value: &i64| *value, std::convert::identity, std::convert::identity;
    f64, F64, Float64Type, Float64Array, |value: &f64| *value, std::convert::identity, std::convert::identity;
}

impl Cell for bool {
    const TYPE: ColumnType = ColumnType::Bool;
    const NULLABLE: bool = false;
    fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(values.map(|value| Some(*value)).collect::<BooleanArray>())
    }
    fn read(array: &ArrayRef, row: usize) -> Self {
        array.as_boolean().value(row)
    }
}

impl Cell for Option<bool> {
    const TYPE: ColumnType = ColumnType::Bool;
    const NULLABLE: bool = true;
    fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(values.copied().collect::<BooleanArray>())
    }
    fn read(array: &ArrayRef, row: usize) -> Self {
        array.is_valid(row).then(|| array.as_boolean().value(row))
    }
}

impl Cell for Option<Vec<String>> {
    const TYPE: ColumnType = ColumnType::List;
    const NULLABLE: bool = true;
    fn column<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        let mut builder = ListBuilder::new(StringBuilder::new()).with_field(list_item());
        for value in values {
            for item in value.iter().flatten() {
                builder.values().append_value(item);
            }
            builder.append(value.is_some());
        }
        Arc::new(builder.finish())
    }
    fn read(array: &ArrayRef, row: usize) -> Self {
        if array.is_null(row) {
            return None;
        }
        let items = array.as_list::<i32>().value(row);
        let items = items.as_string::<i32>();
        Some(items.iter().map(|item| item.unwrap_or_default().to_owned()).collect())
    }
}
