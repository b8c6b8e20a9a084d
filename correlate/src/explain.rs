//! Why one access was allowed or refused, and who an identity is: answers put together by SQL.
//!
//! Everything here is a question and the words for its answer; how a question is asked is the
//! caller's matter ([`Ask`]). Words come from logs: escape them where they are shown.

mod access;
mod secrets;
mod who;

use serde_json::{Map, Value};

use crate::query::QueryError;

pub use self::access::{Candidate, Explanation, Found, candidates, explain};
pub use self::who::{Portrait, who};

/// One row of an answer.
pub type Fields = Map<String, Value>;

/// Asks one question in SQL.
pub trait Ask {
    /// The rows of the answer.
    fn ask(&self, sql: &str) -> impl Future<Output = Result<Vec<Fields>, QueryError>> + Send;
}

/// The stored row of an access, by its event id, its request key or its audit id;
/// the judged stage comes first.
///
/// # Errors
/// If the question cannot be answered.
pub async fn stored(lake: &impl Ask, id: &str) -> Result<Option<Fields>, QueryError> {
    let sql = format!(
        "SELECT * FROM accesses WHERE event_id = {0} OR request_key = {0} OR source_event_id = {0} \
         ORDER BY judged DESC, time LIMIT 1",
        literal(id)
    );
    Ok(lake.ask(&sql).await?.into_iter().next())
}

/// One line of an explanation: what it is about, and what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `who`, `credential`, `possible by` and so on.
    pub about: &'static str,
    /// What is known, with the grade of its evidence.
    pub text: String,
}

fn line(about: &'static str, text: impl Into<String>) -> Line {
    Line { about, text: text.into() }
}

/// A text as an SQL literal.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}

/// A text as the beginning of a LIKE pattern.
fn beginning(text: &str) -> String {
    literal(&format!("{}%", pattern(text)))
}

/// A LIKE pattern of what has the text in it.
fn like(text: &str) -> String {
    literal(&format!("%{}%", pattern(text)))
}

fn pattern(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// The text of a column; empty where it is null.
fn text<'a>(row: &'a Fields, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// The text of a column, if it has any.
fn some<'a>(row: &'a Fields, column: &str) -> Option<&'a str> {
    Some(text(row, column)).filter(|text| !text.is_empty())
}

/// The texts of a list; empty where it is null.
fn list<'a>(row: &'a Fields, column: &str) -> Vec<&'a str> {
    let items = row.get(column).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

fn number(row: &Fields, column: &str) -> Option<i64> {
    row.get(column).and_then(Value::as_i64)
}

/// `12 s`, `6 min`, `3 h`, `2 d`.
fn span(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
