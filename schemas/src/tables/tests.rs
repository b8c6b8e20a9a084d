use super::*;
use crate::cell::Json;
use crate::ids::EventId;

fn describe(table: &Table) -> String {
    let line = |column: &crate::table::Column| {
        let optional = if column.nullable { "?" } else { "" };
        format!("  {} {}{optional}: {}\n", column.name, column.kind.name(), column.doc.trim())
    };
    let columns: String = table.columns.iter().map(line).collect();
    format!("{}: {}\n{columns}", table.name, table.doc.trim())
}

/// Scenario: every table as it is declared.
/// Guarantees: no name, type, nullability or meaning changes without somebody reading the diff.
#[test]
fn tables_are_as_agreed() {
    let all: Vec<String> = LAKE.iter().chain([&Object::TABLE]).map(describe).collect();
    insta::assert_snapshot!(all.join("\n"));
}

/// Scenario: Delta keeps statistics for the first 32 columns only.
/// Guarantees: the log position of every table, by which readers prune, is among them.
#[test]
fn log_position_has_statistics() {
    for table in LAKE {
        let index = table.columns.iter().position(|column| column.name == "log_position");
        assert!(index.is_some_and(|index| index < 32), "{}", table.name);
    }
}

/// Scenario: rows with every sort of cell filled, and rows of defaults.
/// Guarantees: a batch gives back the very rows it was made of.
#[test]
fn rows_round_trip_through_batches() {
    let full = Access {
        time: crate::Time(1),
        event_id: EventId::from("e"),
        groups: Some(vec!["a".into(), String::new()]),
        dry_run: Some(true),
        status_code: Some(403),
        change_time: Some(crate::Time(-1)),
        annotations: Some(Json("{}".into())),
        truncated: true,
        ..Access::default()
    };
    let rows = vec![Access::default(), full, Access { groups: Some(vec![]), ..Access::default() }];
    assert_eq!(Access::from_batch(&Access::to_batch(&rows)), Ok(rows));
}

/// Scenario: a batch of one table read as rows of another.
/// Guarantees: an error that names table and column, no panic.
#[test]
fn wrong_columns_are_named() {
    let error = Reject::from_batch(&Span::to_batch(&[])).unwrap_err();
    assert_eq!((error.table, error.column), ("rejects", "reject_id"));
}
