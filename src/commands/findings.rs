//! `durward findings`: what was judged.

use std::path::Path;
use std::process::ExitCode;

use durward_correlate::explain::Ask;
use durward_correlate::query::Limits;
use serde_json::Value;

use crate::cli::{FindingsVerb, Severity};
use crate::clock;
use crate::commands::lists::{self, FINDINGS};
use crate::commands::query::limits;
use crate::data_dir::readable_lake;
use crate::failure::Failure;
use crate::sql::Lake;

/// Lists or shows.
pub(crate) async fn findings(data_dir: &Path, verb: FindingsVerb) -> Result<ExitCode, Failure> {
    match verb {
        FindingsVerb::List { filter, limits, output, fail_on } => {
            let (now, limits) = ((clock::system())(), self::limits(limits));
            lists::print(data_dir, &FINDINGS, &filter, now, (limits, output)).await?;
            let condition = format!("AND {}", lists::conditions(&FINDINGS, &filter, now));
            verdict(&readable_lake(data_dir)?, limits, fail_on, &condition).await
        }
        FindingsVerb::Show(args) => super::explain::explain(data_dir, &args.into()).await,
    }
}

/// Exit code 1 where findings of `fail_on` or above match `condition`.
pub(crate) async fn verdict(
    lake: &Path,
    limits: Limits,
    fail_on: Option<Severity>,
    condition: &str,
) -> Result<ExitCode, Failure> {
    let Some(least) = fail_on else { return Ok(ExitCode::SUCCESS) };
    let lake = Lake { dir: lake.to_owned(), limits };
    let sql = format!(
        "SELECT count(*) AS n FROM findings WHERE state <> 'withdrawn' AND severity_id >= {} {condition}",
        least as i64
    );
    let rows = lake.ask(&sql).await?;
    let found =
        rows.first().and_then(|row| row.get("n")).and_then(Value::as_i64).unwrap_or_default();
    Ok(if found > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
