//! SQL over the lake, in a process of its own that can be killed (DESIGN decision 14).
//!
//! DataFusion inside this process could be aborted or starved by a query; so [`ask()`] starts a
//! worker, which is this program again, and ends it at its deadline. Inside the worker the text is
//! guarded before it is planned, the plan before it runs, and only allowed functions exist.

pub mod ask;
mod catalog;
mod guard;
mod keeper;
mod times;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::ask::{Answer, Coming, ask, begin};
pub use self::catalog::{VIEWS, View, view_names};
pub use self::keeper::Places;
pub use self::worker::work;

/// One question, and how much it may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Directory of the lake's tables.
    pub lake: PathBuf,
    /// The statement.
    pub sql: String,
    /// What it may cost.
    pub limits: Limits,
    /// Where rows go that do not fit into memory; none where nothing can be written.
    #[serde(default)]
    pub spill: Option<PathBuf>,
}

/// What a query may cost; more is an error that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From start to end.
    pub timeout: Duration,
    /// Bytes of memory.
    pub memory: u64,
    /// Rows of the answer.
    pub max_rows: usize,
    /// Bytes of the answer, as Arrow IPC.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            memory: 1 << 30,
            max_rows: 100_000,
            max_bytes: 512 << 20,
        }
    }
}

/// Why there is no answer: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// Whose fault it is.
    pub fault: Fault,
    /// What is wrong, lower case, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whose fault a failed query is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The statement's.
    Statement,
    /// It would cost more than it may.
    Limit,
    /// The data directory's.
    Data,
    /// Nobody's: others ask too much at once.
    Busy,
}

impl QueryError {
    pub(crate) fn statement(message: impl Into<String>) -> Self {
        Self { fault: Fault::Statement, message: message.into(), hint: None }
    }

    pub(crate) fn limit(message: impl Into<String>, hint: &str) -> Self {
        Self { fault: Fault::Limit, message: message.into(), hint: Some(hint.to_owned()) }
    }

    pub(crate) fn busy(message: impl Into<String>, hint: &str) -> Self {
        Self { fault: Fault::Busy, message: message.into(), hint: Some(hint.to_owned()) }
    }

    pub(crate) fn data(message: impl Into<String>, hint: &str) -> Self {
        Self { fault: Fault::Data, message: message.into(), hint: Some(hint.to_owned()) }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests;
