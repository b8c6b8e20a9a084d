//! `durward query`: a question in SQL, and the worker that answers it.

use std::path::Path;
use std::process::ExitCode;

use durward_correlate::query::{Limits, work};

use crate::cli::{LimitArgs, QueryArgs};
use crate::data_dir::readable_lake;
use crate::failure::Failure;
use crate::{out, render, sql};

/// Asks and prints.
pub(crate) async fn query(data_dir: &Path, args: &QueryArgs) -> Result<ExitCode, Failure> {
    let lake = readable_lake(data_dir)?;
    let answer = sql::question(&lake, &args.sql, limits(args.limits)).await?;
    render::answer(&answer, args.output, crate::out::lock())?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn limits(args: LimitArgs) -> Limits {
    let LimitArgs { timeout, memory, max_rows } = args;
    Limits { timeout, memory, max_rows, ..Limits::default() }
}

/// The worker: errors go to standard error as one line of JSON, which the asker reads.
pub(crate) fn worker() -> ExitCode {
    match work(std::io::stdin(), std::io::BufWriter::new(std::io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::say(&serde_json::to_string(&error).unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}
