//! Questions to the lake, asked of a worker that this program starts: itself.

use std::path::Path;
use std::time::Duration;

use durward_correlate::explain::{Ask, Fields};
use durward_correlate::query::{Answer, Coming, Limits, Places, QueryError, Question, ask, begin};
use tokio::process::Command;

use crate::render;

/// Asks one question.
pub(crate) async fn question(lake: &Path, sql: &str, limits: Limits) -> Result<Answer, QueryError> {
    let (command, question) = worker(lake, sql, limits)?;
    ask(command, question).await
}

/// Asks one question among others; the answer is passed on as it comes.
pub(crate) async fn stream(
    lake: &Path,
    sql: &str,
    limits: Limits,
    places: (&Places, Duration),
) -> Result<Coming, QueryError> {
    let (command, question) = worker(lake, sql, limits)?;
    begin(command, question, Some(places)).await
}

fn worker(lake: &Path, sql: &str, limits: Limits) -> Result<(Command, Question), QueryError> {
    let program = std::env::current_exe().map_err(|error| QueryError {
        fault: durward_correlate::query::Fault::Data,
        message: format!("finding this program to start the query worker: {error}"),
        hint: None,
    })?;
    let mut command = Command::new(program);
    // The worker needs nothing of our environment; what it does not have it cannot leak.
    command.arg("sql-worker").env_clear();
    let (lake, sql) = (lake.to_owned(), sql.to_owned());
    Ok((command, Question { lake, sql, limits, spill: None }))
}

/// A lake that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Lake {
    pub(crate) dir: std::path::PathBuf,
    pub(crate) limits: Limits,
}

impl Ask for Lake {
    async fn ask(&self, sql: &str) -> Result<Vec<Fields>, QueryError> {
        let answer = question(&self.dir, sql, self.limits).await?;
        render::objects(&answer).map_err(|error| QueryError {
            fault: durward_correlate::query::Fault::Data,
            message: format!("reading an answer: {error}"),
            hint: None,
        })
    }
}
