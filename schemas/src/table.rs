//! What a table is: its name, its columns with their meaning, and how its rows become batches.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::cell::ColumnType;
use crate::ids::LogPosition;
use crate::time::Time;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The name that people type.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it may be null.
    pub nullable: bool,
    /// What it means.
    pub doc: &'static str,
}

/// One table: what people query, what the log carries, or both.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The name on disk; versioned tables end in `_versions`.
    pub name: &'static str,
    /// What one row is.
    pub doc: &'static str,
    /// The columns in their order.
    pub columns: &'static [Column],
}

impl Table {
    /// The Arrow schema, without the partition column `date`.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let field = |column: &Column| Field::new(column.name, column.kind.arrow(), column.nullable);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// Whether rows are versions, of which a view shows the latest.
    #[must_use]
    pub fn is_versioned(&self) -> bool {
        self.name.ends_with("_versions")
    }

    /// The bare name that people type: `findings` for `findings_versions`.
    #[must_use]
    pub fn bare_name(&self) -> &'static str {
        self.name.strip_suffix("_versions").unwrap_or(self.name)
    }
}

/// A batch that does not have the columns of its table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading rows of {table}: column {column} is missing or has another type")]
pub struct WrongColumns {
    /// The table whose rows were expected.
    pub table: &'static str,
    /// The first column that does not fit.
    pub column: &'static str,
}

/// A Rust struct that is one row of a table.
pub trait Row: Sized + Clone + Send + Sync + 'static {
    /// The table.
    const TABLE: Table;

    /// The rows as one batch.
    #[must_use]
    fn to_batch(rows: &[Self]) -> RecordBatch {
        Self::batch_of(&rows.iter().collect::<Vec<_>>())
    }

    /// Rows that stand in different places as one batch.
    #[must_use]
    fn batch_of(rows: &[&Self]) -> RecordBatch;

    /// The rows of a batch.
    ///
    /// # Errors
    /// If a column is missing or has another type; columns that are not of the table are ignored.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, WrongColumns>;

    /// Where in the log the cause of this row stands.
    fn log_position(&self) -> LogPosition;

    /// Sets the position; what a log record's rows learn when they are read back.
    fn set_log_position(&mut self, position: LogPosition);

    /// When the cause of this row was recorded; its UTC date is the partition.
    fn recorded(&self) -> Time;

    /// Sets the recording time from the log record.
    fn set_recorded(&mut self, time: Time);
}

/// Declares a row struct and its table from one list of columns.
///
/// `recorded` names the column that holds the recording time: `ingest_time` or `recorded_time`.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $name:ident = $table:literal, recorded: $recorded:ident {
            $($(#[doc = $cdoc:literal])+ $column:ident: $type:ty,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $name { $($(#[doc = $cdoc])+ pub $column: $type,)+ }

        impl $crate::table::Row for $name {
            const TABLE: $crate::table::Table = $crate::table::Table {
                name: $table,
                doc: concat!($($doc),+),
                columns: &[$($crate::table::Column {
                    name: stringify!($column),
                    kind: <$type as $crate::cell::Cell>::TYPE,
                    nullable: <$type as $crate::cell::Cell>::NULLABLE,
                    doc: concat!($($cdoc),+),
                }),+],
            };

            fn batch_of(rows: &[&Self]) -> arrow::array::RecordBatch {
                let columns = vec![
                    $(<$type as $crate::cell::Cell>::column(rows.iter().map(|row| &row.$column))),+
                ];
                $crate::table::batch(&Self::TABLE, columns)
            }

            fn from_batch(
                batch: &arrow::array::RecordBatch,
            ) -> Result<Vec<Self>, $crate::table::WrongColumns> {
                $(let $column = $crate::table::column(&Self::TABLE, batch, stringify!($column))?;)+
                Ok((0..batch.num_rows())
                    .map(|row| Self { $($column: $crate::cell::Cell::read($column, row),)+ })
                    .collect())
            }

            fn log_position(&self) -> $crate::ids::LogPosition { self.log_position }
            fn set_log_position(&mut self, position: $crate::ids::LogPosition) {
                self.log_position = position;
            }
            fn recorded(&self) -> $crate::time::Time { self.$recorded }
            fn set_recorded(&mut self, time: $crate::time::Time) { self.$recorded = time; }
        }
    };
}
pub(crate) use table;

/// Puts columns into a batch of `table`; the macro made both, so they fit.
pub(crate) fn batch(table: &Table, columns: Vec<arrow::array::ArrayRef>) -> RecordBatch {
    let schema = table.schema();
    RecordBatch::try_new(Arc::clone(&schema), columns).unwrap_or_else(|_| {
        debug_assert!(false, "the columns of a row struct are those of its table");
        RecordBatch::new_empty(schema)
    })
}

/// The column of `batch` that is `name` of `table`, if it has the right type.
pub(crate) fn column<'a>(
    table: &Table,
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a arrow::array::ArrayRef, WrongColumns> {
    let wrong = WrongColumns { table: table.name, column: name };
    let expected = table.columns.iter().find(|column| column.name == name);
    match (batch.column_by_name(name), expected) {
        (Some(found), Some(column)) if *found.data_type() == column.kind.arrow() => Ok(found),
        _ => Err(wrong),
    }
}
