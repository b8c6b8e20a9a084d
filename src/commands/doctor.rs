//! `durward doctor`: what each source brings and lacks.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use durward_correlate::doctor;
use durward_correlate::query::Limits;
use durward_detect::escape;
use serde_json::Value;

use crate::cli::DoctorArgs;
use crate::data_dir::readable_lake;
use crate::failure::Failure;
use crate::render::Output;
use crate::sql::Lake;

/// Examines and prints.
pub(crate) async fn doctor(data_dir: &Path, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let lake = Lake { dir: readable_lake(data_dir)?, limits: Limits::default() };
    let (sources, advice) = doctor::examine(&lake).await?;
    let mut out = std::io::stdout().lock();
    if args.output != Output::Table {
        writeln!(out, "{:#}", doctor::facts(&sources, &advice))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "Sources")?;
    for source in &sources {
        let text =
            |column: &str| source.get(column).and_then(Value::as_str).unwrap_or("-").to_owned();
        let count = |column: &str| source.get(column).and_then(Value::as_i64).unwrap_or_default();
        let line = format!(
            "{} ({}): {}, {} accepted, {} duplicates, {} rejected, last event {}",
            text("source"),
            text("kind"),
            text("state"),
            count("accepted"),
            count("duplicates"),
            count("rejected"),
            text("last_time")
        );
        writeln!(out, "  {}", escape::visible(&line))?;
    }
    writeln!(out, "\nWhat is missing")?;
    if advice.iter().all(|said| !said.lacks) {
        writeln!(out, "  nothing that was looked for")?;
    }
    for said in &advice {
        writeln!(
            out,
            "  {} {}\n      {}",
            if said.lacks { "!" } else { "-" },
            said.finding,
            said.advice
        )?;
    }
    Ok(ExitCode::SUCCESS)
}
