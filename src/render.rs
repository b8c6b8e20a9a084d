//! Answers for people and programs: a table, JSON, CSV, JSON lines. Text from logs is hostile in all of them.

mod cell;

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use durward_correlate::query::Answer;
use durward_detect::escape;

/// Characters of a table that goes to no terminal.
const WIDE: u16 = 240;

/// A column of fewer characters is a column of letters.
const NARROW: u16 = 8;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Columns for people
    Table,
    /// One array of objects
    Json,
    /// Comma-separated values with a header
    Csv,
    /// One object a line
    Ndjson,
}

/// Prints an answer.
pub(crate) fn answer(answer: &Answer, output: Output, mut to: impl Write) -> anyhow::Result<()> {
    if output == Output::Table {
        writeln!(to, "{}", table(answer)?)?;
        return Ok(());
    }
    let mut printer = Printer::new(&answer.schema, output);
    for batch in &answer.batches {
        to.write_all(printer.print(batch)?.as_bytes())?;
    }
    to.write_all(printer.finish().as_bytes())?;
    Ok(())
}

/// Prints an answer as it comes; a table cannot be, since its columns are as wide as their longest value.
#[derive(Debug)]
pub(crate) struct Printer {
    output: Output,
    head: String,
    is_first: bool,
}

impl Printer {
    pub(crate) fn new(schema: &Schema, output: Output) -> Self {
        let names = schema.fields().iter().map(|field| heading(field.name()));
        let head = match output {
            Output::Csv => names.collect::<Vec<_>>().join(",") + "\n",
            Output::Json => "[".to_owned(),
            Output::Table | Output::Ndjson => String::new(),
        };
        Self { output, head, is_first: true }
    }

    /// The next rows.
    pub(crate) fn print(&mut self, batch: &RecordBatch) -> anyhow::Result<String> {
        let mut text = std::mem::take(&mut self.head);
        if batch.num_rows() == 0 {
            self.head = text;
            return Ok(String::new());
        }
        match self.output {
            Output::Csv => csv(batch, &mut text)?,
            Output::Json => {
                let comma = if self.is_first { "" } else { "," };
                let objects = lines(batch)?;
                text += comma;
                text += &objects.trim_end().replace('\n', ",");
            }
            Output::Table | Output::Ndjson => text += &lines(batch)?,
        }
        self.is_first = false;
        Ok(text)
    }

    /// What stands behind the last row.
    pub(crate) fn finish(&mut self) -> String {
        let end = if self.output == Output::Json { "]\n" } else { "" };
        std::mem::take(&mut self.head) + end
    }
}

/// An object in a line for each row.
fn lines(batch: &RecordBatch) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let mut writer = json().build::<_, LineDelimited>(&mut bytes);
    writer.write(batch)?;
    writer.finish()?;
    Ok(escape::json(&String::from_utf8(bytes)?))
}

fn json() -> JsonBuilder {
    JsonBuilder::new()
        .with_explicit_nulls(true)
        .with_timestamp_format(cell::TIMES.into())
        .with_timestamp_tz_format(cell::TIMES.into())
        .with_encoder_factory(Arc::new(cell::Encoders))
}

/// Rows as JSON objects, for those who build on them.
pub(crate) fn objects(
    answer: &Answer,
) -> anyhow::Result<Vec<serde_json::Map<String, serde_json::Value>>> {
    let mut bytes = Vec::new();
    self::answer(answer, Output::Json, &mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Rows in lines or, where columns would be too narrow to read, columns in lines.
fn table(answer: &Answer) -> anyhow::Result<String> {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let most = width();
    if let Some(width) = most {
        table.set_width(width);
    }
    let width = most.or_else(|| table.width()).unwrap_or(WIDE);
    if answer.schema.fields().len() > usize::from(width / NARROW) {
        return records(answer);
    }
    table.set_header(answer.schema.fields().iter().map(|field| field.name()));
    let mut rows = 0;
    for batch in &answer.batches {
        let columns = batch.columns().iter().map(|column| cell::Cells::new(column));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            table.add_row(columns.iter().map(|column| escape::visible(&column.text(row))));
        }
        rows += batch.num_rows();
    }
    Ok(format!("{table}\n{}", counted(rows)))
}

/// A block of lines for each row: a column and its value. What has no value is left out.
fn records(answer: &Answer) -> anyhow::Result<String> {
    let names: Vec<String> =
        answer.schema.fields().iter().map(|field| escape::visible(field.name())).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    let mut rows = 0;
    for batch in &answer.batches {
        let columns = batch.columns().iter().map(|column| cell::Cells::new(column));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            rows += 1;
            writeln!(text, "row {rows}")?;
            for ((column, cells), name) in batch.columns().iter().zip(&columns).zip(&names) {
                if !column.is_null(row) {
                    let cell = escape::visible(&cells.text(row));
                    writeln!(text, "  {name:<longest$}  {cell}")?;
                }
            }
        }
    }
    Ok(format!("{text}\n{}", counted(rows)))
}

fn counted(rows: usize) -> String {
    let noun = if rows == 1 { "row" } else { "rows" };
    format!("{rows} {noun}")
}

/// The terminal's width; tables that go elsewhere are wide.
fn width() -> Option<u16> {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() { None } else { Some(WIDE) }
}

/// A line a row; text is quoted, and no cell is a formula.
fn csv(batch: &RecordBatch, text: &mut String) -> anyhow::Result<()> {
    let columns = batch.columns().iter().map(|column| cell::Cells::new(column));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let cells = batch.columns().iter().zip(&columns).map(|(column, formatter)| {
            let text = formatter.text(row);
            let is_plain = column.is_null(row) || column.data_type().is_primitive();
            if is_plain { text } else { escape::csv(&text) }
        });
        writeln!(text, "{}", cells.collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

/// A name in the header: quoted where it is no plain word.
fn heading(name: &str) -> String {
    let is_plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name.to_owned() } else { escape::csv(name) }
}

#[cfg(test)]
mod tests;
