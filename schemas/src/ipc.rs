//! Rows as a compressed Arrow IPC stream, and back: what the log and checkpoints hold.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::error::ArrowError;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;

use crate::table::{Row, WrongColumns};

/// Rows that are made into a batch at a time: all of them twice in memory would be the most that is
/// ever needed.
const ROWS_A_BATCH: usize = 4_096;
/// Compression level: what is written so is read once or twice, so speed counts.
const LEVEL: i32 = 1;

/// Why rows cannot be written, or bytes made into rows.
#[derive(Debug, thiserror::Error)]
#[error("coding rows as Arrow IPC")]
pub enum NotCoded {
    /// Arrow refused.
    Arrow(#[from] ArrowError),
    /// The bytes are not compressed, or were cut.
    Compression(#[from] std::io::Error),
    /// The columns are not those of the table.
    Columns(#[from] WrongColumns),
}

/// An Arrow IPC stream in a frame of zstd: the schema compresses well with it.
///
/// # Errors
/// If Arrow cannot write the rows; writing into memory does not fail otherwise.
pub fn write<'a, R: Row>(rows: impl IntoIterator<Item = &'a R>) -> Result<Vec<u8>, NotCoded> {
    let mut out = zstd::Encoder::new(Vec::new(), LEVEL)?;
    let mut writer = StreamWriter::try_new(&mut out, &R::TABLE.schema())?;
    let mut rows = rows.into_iter();
    loop {
        let some: Vec<&R> = rows.by_ref().take(ROWS_A_BATCH).collect();
        if some.is_empty() {
            break;
        }
        writer.write(&R::batch_of(&some))?;
    }
    writer.finish()?;
    drop(writer);
    out.flush()?;
    Ok(out.finish()?)
}

/// The rows that [`write()`] wrote, perhaps in an older version of the table.
///
/// # Errors
/// If the bytes are damaged, or columns have other types.
pub fn read<R: Row>(bytes: &[u8]) -> Result<Vec<R>, NotCoded> {
    let reader = StreamReader::try_new(zstd::Decoder::new(bytes)?, None)?;
    let mut rows = Vec::new();
    for batch in reader {
        rows.extend(R::from_batch(&with_new_columns::<R>(&batch?)?)?);
    }
    Ok(rows)
}

/// A batch of an older version lacks the columns that were added since: they are null.
fn with_new_columns<R: Row>(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = R::TABLE.schema();
    let columns = schema.fields().iter().map(|field| {
        let found = batch.column_by_name(field.name()).map(Arc::clone);
        found.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Change;

    /// Scenario: more rows than a batch holds, none, and bytes that were cut.
    /// Guarantees: rows come back as they were; what was cut is an error.
    #[test]
    fn rows_come_back() {
        let row = |at: usize| Change { actor: format!("user {at}"), ..Change::default() };
        let rows: Vec<Change> = (0..=ROWS_A_BATCH).map(row).collect();
        let bytes = write(&rows).expect("rows");
        assert_eq!(read::<Change>(&bytes).expect("what was written"), rows);
        assert_eq!(read::<Change>(&write::<Change>([]).expect("none")).expect("none"), []);
        assert!(read::<Change>(&bytes[..bytes.len() / 2]).is_err());
    }
}
