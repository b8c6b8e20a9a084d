use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, TimeUnit, UnionFields, UnionMode};

use super::*;

fn printed(column: ArrayRef, name: &str, output: Output) -> String {
    let field = Field::new(name, column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap();
    let mut bytes = Vec::new();
    answer(&Answer { schema, batches: vec![batch] }, output, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Scenario: a column of each type that Arrow has, by each printer.
/// Guarantees: every printer has an answer, and those for programs are what they say.
#[test]
fn every_printer_says_what_sql_can_hold() {
    use DataType as T;
    let item = || Arc::new(Field::new("item", T::Int64, true));
    let members = UnionFields::try_new(
        [0, 1],
        [Field::new("null", T::Null, true), Field::new("object", T::Utf8, true)],
    )
    .unwrap();
    let types = [
        T::Null,
        T::Boolean,
        T::Int8,
        T::Int64,
        T::UInt64,
        T::Float32,
        T::Float64,
        T::Utf8,
        T::LargeUtf8,
        T::Utf8View,
        T::Binary,
        T::LargeBinary,
        T::BinaryView,
        T::FixedSizeBinary(4),
        T::Date32,
        T::Date64,
        T::Time32(TimeUnit::Second),
        T::Time64(TimeUnit::Nanosecond),
        T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        T::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into())),
        T::Duration(TimeUnit::Microsecond),
        T::Interval(IntervalUnit::YearMonth),
        T::Interval(IntervalUnit::DayTime),
        T::Interval(IntervalUnit::MonthDayNano),
        T::Decimal128(10, 2),
        T::Decimal256(40, 2),
        T::List(item()),
        T::LargeList(item()),
        T::FixedSizeList(item(), 2),
        T::Struct(vec![item()].into()),
        T::Dictionary(Box::new(T::Int32), Box::new(T::Utf8)),
        T::Union(members, UnionMode::Sparse),
    ];
    for of in types {
        for output in [Output::Table, Output::Json, Output::Csv, Output::Ndjson] {
            let text = printed(new_null_array(&of, 2), "a", output);
            if output == Output::Json {
                let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(rows.as_array().map(Vec::len), Some(2), "{of}: {text}");
            }
        }
    }
}

/// Scenario: times of UTC and of another zone; a heading with a comma in it.
/// Guarantees: the same instant by every printer, and one column.
#[test]
fn instants_and_headings_stay() {
    let zoned = |zone: &str| {
        let times = arrow::array::TimestampMicrosecondArray::from(vec![1_784_800_800_000_000]);
        Arc::new(times.with_timezone(zone)) as ArrayRef
    };
    for output in [Output::Table, Output::Json, Output::Csv, Output::Ndjson] {
        assert!(printed(zoned("UTC"), "t", output).contains("2026-07-23T10:00:00.000000Z"));
        assert!(printed(zoned("+02:00"), "t", output).contains("2026-07-23T12:00:00.000000+02:00"));
    }
    assert!(printed(zoned("UTC"), "f(a, 0.95)", Output::Csv).starts_with("\"f(a, 0.95)\"\n"));
}

/// Scenario: an answer with so many columns that each would have a few letters, one of them without a value, one
/// with text that a terminal would obey; and one with a few columns.
/// Guarantees: a line for each column that says something, in the order of the columns; few columns stay a table.
#[test]
fn many_columns_are_lines() {
    let printed = |names: &[String]| {
        let columns: Vec<ArrayRef> = (0..names.len())
            .map(|at| -> ArrayRef {
                match at {
                    1 => new_null_array(&DataType::Utf8, 2),
                    _ => Arc::new(arrow::array::StringArray::from(vec![format!("\u{1b}{at}"); 2])),
                }
            })
            .collect();
        let fields = names.iter().map(|name| Field::new(name, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("a batch");
        let mut bytes = Vec::new();
        answer(&Answer { schema, batches: vec![batch] }, Output::Table, &mut bytes).expect("text");
        String::from_utf8(bytes).expect("UTF-8")
    };
    let names: Vec<String> = (0..200).map(|at| format!("column{at}")).collect();
    let text = printed(&names);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        &lines[..3],
        ["row 1", r"  column0    \u{1b}0", r"  column2    \u{1b}2"],
        "what has no value is left out"
    );
    assert_eq!((lines[200], lines.last()), ("row 2", Some(&"2 rows")));
    assert!(printed(&names[..3]).contains("column0"));
    assert!(!printed(&names[..3]).contains("row 1"));
}
