//! `durward doctor`: what each source brings and lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use durward_correlate::doctor;
use durward_correlate::explain::Fields;
use durward_correlate::lake::{Verified, verify};
use durward_detect::{Exemption, escape, rule};
use serde_json::Value;

use crate::cli::DoctorArgs;
use crate::clock;
use crate::commands::query::limits;
use crate::data_dir::{KnownLoss, losses, readable_lake, silences};
use crate::failure::Failure;
use crate::hint;
use crate::out;
use crate::render::Output;
use crate::sql::Lake;

/// The policy that is recommended to kube-apiserver.
const AUDIT_POLICY: &str = include_str!("../../deploy/audit-policy.yaml");

/// Examines and prints.
pub(crate) async fn doctor(data_dir: &Path, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    if args.audit_policy {
        crate::out::lock().write_all(AUDIT_POLICY.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let lake = Lake { dir: readable_lake(data_dir)?, limits: limits(args.limits) };
    let verified = if args.verify { Some(verified(&lake.dir).await?) } else { None };
    let (sources, mut advice) = doctor::examine(&lake).await?;
    advice.extend(verified.iter().flat_map(checked));
    let is_wrong = verified.is_some_and(|verified| !verified.wrong.is_empty());
    let code = ExitCode::from(u8::from(is_wrong));
    advice.extend(silent_rules(&lake).await?);
    advice.extend(wide_silences(data_dir));
    advice.extend(losses(data_dir).iter().rev().map(lost));
    let mut out = crate::out::lock();
    if args.output != Output::Table {
        writeln!(out, "{}", out::json(&doctor::facts(&sources, &advice)))?;
        return Ok(code);
    }
    writeln!(out, "Sources")?;
    for source in &sources {
        writeln!(out, "  {}", escape::visible(&shown(source)))?;
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
            escape::visible(&said.finding),
            hint::complete(said.advice, data_dir)
        )?;
    }
    Ok(code)
}

/// One source in a line.
fn shown(source: &Fields) -> String {
    let text = |column: &str| source.get(column).and_then(Value::as_str).unwrap_or("-").to_owned();
    let count = |column: &str| source.get(column).and_then(Value::as_i64).unwrap_or_default();
    let cluster = source.get("cluster").and_then(Value::as_str);
    let of = cluster.map(|cluster| format!(", cluster {cluster}")).unwrap_or_default();
    let lost = match count("lost_estimate") {
        0 => String::new(),
        lost => format!(", {lost} lost"),
    };
    format!(
        "{} ({}{of}): {}, {} accepted, {} duplicates, {} rejected{lost}, last event {}",
        text("source"),
        text("kind"),
        text("state"),
        count("accepted"),
        count("duplicates"),
        count("rejected"),
        text("last_time")
    )
}

/// Silences that are in force and cover more than one identity.
fn wide_silences(data_dir: &Path) -> Vec<doctor::Advice> {
    let now = (clock::system())();
    let in_force = |silence: &Exemption| silence.until.is_none_or(|until| now < until);
    let wide = silences(data_dir).into_iter().filter(|one| one.identity.is_none() && in_force(one));
    wide.map(|silence| {
        let end = silence.until.map_or_else(|| "for ever".to_owned(), |end| format!("until {end}"));
        let of = silence.cluster.map(|cluster| format!(" of cluster {cluster}")).unwrap_or_default();
        doctor::Advice {
            lacks: true,
            finding: format!(
                "{} is silenced for every identity{of}, {end}: {}",
                silence.of, silence.reason
            ),
            advice: "name the identity that it was learned about in detect.exemptions: what anybody else does is told to nobody either",
        }
    })
    .collect()
}

/// Every file of the lake, read.
async fn verified(lake: &Path) -> Result<Verified, Failure> {
    verify(lake).await.map_err(|error| {
        Failure::io(format!("{:#}", anyhow::Error::from(error))).hint(
            "put the table back from a copy of the directory, or remove it: it is then made anew with what is left",
        )
    })
}

/// What came of reading every file of the lake.
fn checked(verified: &Verified) -> Vec<doctor::Advice> {
    let unknown = match verified.unknown {
        0 => String::new(),
        unknown => format!(", {unknown} have no checksums and cannot be compared"),
    };
    let summary = doctor::Advice {
        lacks: false,
        finding: format!("{} files of the lake are what was written{unknown}", verified.whole),
        advice: "the log and the checkpoints have checksums of their own, which are checked whenever they are read",
    };
    let wrong = verified.wrong.iter().map(|wrong| doctor::Advice {
        lacks: true,
        finding: format!("{} of table {}: {}", wrong.path.display(), wrong.table, wrong.what),
        advice: "rows of this file cannot be relied on: put it back from a copy of the directory",
    });
    wrong.chain([summary]).collect()
}

/// What follows from a loss of our own.
fn lost(loss: &KnownLoss) -> doctor::Advice {
    doctor::Advice {
        lacks: loss.is_lasting,
        finding: format!("{} (found {})", loss.text, loss.time),
        advice: if loss.is_lasting {
            "what is lost is judged by nobody, and alerts of it that were still owed are told to nobody: read the source again (durward ingest), or restore the directory from a copy"
        } else {
            "nothing is to be done, if the cause is known"
        },
    }
}

/// The rules that read bodies which no request of theirs has brought, those of the same requests
/// together.
async fn silent_rules(lake: &Lake) -> Result<Vec<doctor::Advice>, Failure> {
    let seen = doctor::bodies(lake).await?;
    let clusters: BTreeSet<Option<String>> = seen.iter().map(|seen| seen.cluster.clone()).collect();
    let mut silent: BTreeMap<(Option<String>, BTreeSet<String>, i64), Vec<String>> =
        BTreeMap::new();
    for (cluster, need) in
        clusters.iter().flat_map(|of| rule::needs().into_iter().map(move |need| (of, need)))
    {
        let wanted = |seen: &&doctor::Bodies| {
            let is_of = |set: &BTreeSet<String>, text| set.is_empty() || set.contains(text);
            seen.cluster == *cluster
                && is_of(&need.resources, &seen.resource)
                && is_of(&need.verbs, &seen.verb)
        };
        let requests: i64 = seen.iter().filter(wanted).map(|seen| seen.requests).sum();
        let with_body: i64 = seen.iter().filter(wanted).map(|seen| seen.with_body).sum();
        if requests > 0 && with_body == 0 {
            let key = (cluster.clone(), need.resources, requests);
            silent.entry(key).or_default().push(need.rule_id);
        }
    }
    let told = silent.into_iter().map(|((cluster, resources, requests), rules)| doctor::Advice {
        lacks: true,
        finding: format!(
            "{}{} can never fire: of {requests} requests to {} not one came with its body",
            doctor::Place { source: None, cluster }.prefix(),
            rules.join(", "),
            resources.into_iter().collect::<Vec<_>>().join(", ")
        ),
        advice: "log these resources at RequestResponse, as the policy does that `durward doctor --audit-policy` prints",
    });
    Ok(told.collect())
}
