//! One value of any type that SQL can give, as text or as JSON.

use arrow::array::{Array, UnionArray};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// RFC 3339 with microseconds, in UTC.
pub(super) const TIMES: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
/// The same in another time zone: the same instant.
const ZONED_TIMES: &str = "%Y-%m-%dT%H:%M:%S%.6f%:z";

/// How values of a type are formatted.
fn options(of: &DataType) -> FormatOptions<'static> {
    let zoned = if is_of_other_zone(of) { ZONED_TIMES } else { TIMES };
    FormatOptions::new().with_timestamp_format(Some(TIMES)).with_timestamp_tz_format(Some(zoned))
}

fn is_of_other_zone(of: &DataType) -> bool {
    matches!(of, DataType::Timestamp(_, Some(zone)) if !matches!(&**zone, "UTC" | "+00:00" | "Z"))
}

/// The values of a column as text.
pub(super) struct Cells<'a> {
    formatter: ArrayFormatter<'a>,
    /// The column again, where it holds values of several types.
    union: Option<&'a UnionArray>,
}

impl<'a> Cells<'a> {
    pub(super) fn new(column: &'a dyn Array) -> Result<Self, ArrowError> {
        let formatter = ArrayFormatter::try_new(column, &options(column.data_type()))?;
        Ok(Self { formatter, union: column.as_any().downcast_ref() })
    }

    /// The value of a row.
    pub(super) fn text(&self, row: usize) -> String {
        match self.union.map(|union| union.value(row)) {
            Some(value) if value.is_null(0) || value.data_type().is_null() => String::new(),
            Some(value) => Cells::new(&value).map(|cells| cells.text(0)).unwrap_or_default(),
            None => self.formatter.value(row).to_string(),
        }
    }
}

/// Encodes as JSON what `arrow` has no encoder for: unions as the value that they hold, times of other zones
/// with their offset, and whatever is left as text.
#[derive(Debug)]
pub(super) struct Encoders;

impl EncoderFactory for Encoders {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let of = array.data_type();
        if let Some(union) = array.as_any().downcast_ref::<UnionArray>() {
            return Ok(Some(NullableEncoder::new(Box::new(OfUnion(union)), None)));
        }
        let is_text = is_of_other_zone(of) || matches!(of, DataType::Interval(_));
        if !is_text {
            return Ok(None);
        }
        let text = OfText(Cells::new(array)?);
        Ok(Some(NullableEncoder::new(Box::new(text), array.nulls().cloned())))
    }
}

struct OfText<'a>(Cells<'a>);

impl Encoder for OfText<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.extend(quoted(&self.0.text(row)));
    }
}

struct OfUnion<'a>(&'a UnionArray);

impl Encoder for OfUnion<'_> {
    /// What a JSON function gives keeps lists and objects as their text, in members of these names.
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let id = self.0.type_id(row);
        let value = self.0.value(row);
        let DataType::Union(members, _) = self.0.data_type() else { return out.extend(b"null") };
        let name = members
            .iter()
            .find(|(member, _)| *member == id)
            .map(|(_, field)| field.name().as_str());
        let text = Cells::new(&value).map(|cells| cells.text(0)).unwrap_or_default();
        let is_json = matches!(name, Some("array" | "object"))
            && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let is_literal = value.data_type().is_numeric() || *value.data_type() == DataType::Boolean;
        let is_number = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        match () {
            () if value.is_null(0) || value.data_type().is_null() => out.extend(b"null"),
            () if is_json || (is_literal && is_number) => out.extend(text.bytes()),
            () => out.extend(quoted(&text)),
        }
    }
}

fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default()
}
