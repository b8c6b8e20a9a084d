//! `durward doctor`: what each source brings and lacks.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use durward_correlate::doctor;
use durward_correlate::query::Limits;
use durward_detect::{escape, rule};
use serde_json::Value;

use crate::cli::DoctorArgs;
use crate::data_dir::{Rebuilt, readable_lake, rebuilt};
use crate::failure::Failure;
use crate::render::Output;
use crate::sql::Lake;

/// Examines and prints.
pub(crate) async fn doctor(data_dir: &Path, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let lake = Lake { dir: readable_lake(data_dir)?, limits: Limits::default() };
    let (sources, mut advice) = doctor::examine(&lake).await?;
    advice.extend(silent_rules(&lake).await?);
    advice.extend(rebuilt(data_dir).map(|rebuilt| lost(&rebuilt)));
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

/// What follows from a state that had to be made anew.
fn lost(rebuilt: &Rebuilt) -> doctor::Advice {
    let oldest = rebuilt.oldest.as_deref().unwrap_or("now, since the lake had no rows");
    doctor::Advice {
        lacks: true,
        finding: format!(
            "the state was made anew from the lake, since checkpoints or log were lost: positions {} to {}, recorded since {oldest}",
            rebuilt.first_position, rebuilt.last_position
        ),
        advice: "what happened before that time is unknown, and alerts of the lost part that were still owed are told to nobody: look at findings; restore the directory from a copy if there is one",
    }
}

/// The rules that read bodies which no request of theirs has brought.
async fn silent_rules(lake: &Lake) -> Result<Vec<doctor::Advice>, Failure> {
    let seen = doctor::bodies(lake).await?;
    let mut advice = Vec::new();
    for need in rule::needs() {
        let wanted = |seen: &&doctor::Bodies| {
            let is_of = |set: &BTreeSet<String>, text| set.is_empty() || set.contains(text);
            is_of(&need.resources, &seen.resource) && is_of(&need.verbs, &seen.verb)
        };
        let requests: i64 = seen.iter().filter(wanted).map(|seen| seen.requests).sum();
        let with_body: i64 = seen.iter().filter(wanted).map(|seen| seen.with_body).sum();
        if requests > 0 && with_body == 0 {
            let resources: Vec<&str> = need.resources.iter().map(String::as_str).collect();
            advice.push(doctor::Advice {
                lacks: true,
                finding: format!(
                    "rule {} can never fire: {requests} requests to {}, and not one with its body",
                    need.rule_id,
                    resources.join(", ")
                ),
                advice: "log these resources at RequestResponse: deploy/audit-policy.yaml does",
            });
        }
    }
    Ok(advice)
}
