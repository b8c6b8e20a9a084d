//! `durward explain` and `durward who`: answers in lines for people, or as facts for programs.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use durward_correlate::explain::{self, Candidate, Explanation, Fields, Found, Line};
use durward_detect::escape;
use durward_ingest::Format;
use serde_json::{Value, json};

use crate::cli::{ExplainArgs, WhoArgs};
use crate::commands::query::limits;
use crate::data_dir::readable_lake;
use crate::failure::Failure;
use crate::out;
use crate::render::Output;
use crate::sql::Lake;

/// Letters of one value that are shown; `-o json` has all.
const MOST_SHOWN: usize = 120;

/// Explains an access, a finding or an incident.
pub(crate) async fn explain(data_dir: &Path, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let lake = Lake { dir: readable_lake(data_dir)?, limits: limits(args.limits) };
    if args.mapping {
        return mapping(&lake, args).await;
    }
    let found = match explain::explain(&lake, &args.id).await? {
        Found::One(found) => found,
        Found::Several(candidates) => return Err(several(&args.id, &candidates)),
        Found::Nothing => {
            let kinds = "event id, request key, audit id, finding id or incident id";
            return Err(nothing(&args.id, kinds));
        }
    };
    let mut out = crate::out::lock();
    if args.output == Output::Table {
        write!(out, "{}", explanation(&found, 0))?;
    } else {
        writeln!(out, "{}", out::json(&facts(&found)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The row of an access that is meant by an id, or by the beginning of one.
async fn row_of(lake: &Lake, id: &str) -> Result<Fields, Failure> {
    if let Some(row) = explain::stored(lake, id).await? {
        return Ok(row);
    }
    let mut candidates = explain::candidates(lake, id).await?;
    candidates.retain(|candidate| candidate.kind == "access");
    let row = match candidates.as_slice() {
        [] => None,
        [candidate] => explain::stored(lake, &candidate.id).await?,
        several => return Err(self::several(id, several)),
    };
    row.ok_or_else(|| nothing(id, "event id, request key or audit id of an access"))
}

/// Shows where each column of an access comes from.
async fn mapping(lake: &Lake, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let row = row_of(lake, &args.id).await?;
    let format = row.get("format").and_then(Value::as_str).unwrap_or_default();
    let mapping = format.parse().map(Format::mapping).unwrap_or_default();
    let mut out = crate::out::lock();
    if args.output != Output::Table {
        let from = mapping.iter().map(|line| (line.column.to_owned(), json!(line.from))).collect();
        let from = Value::Object(from);
        writeln!(out, "{}", out::json(&json!({ "format": format, "row": row, "from": from })))?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "read as {format}")?;
    for line in mapping {
        let value = match row.get(line.column) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let value = escape::visible(&value);
        let shown: String = value.chars().take(MOST_SHOWN).collect();
        let more = if shown.len() < value.len() { " ..." } else { "" };
        writeln!(out, "  {:<22} {shown}{more}\n  {:<22}   from {}", line.column, "", line.from)?;
    }
    let unmapped = row.get("unmapped").and_then(Value::as_str).unwrap_or("nothing");
    writeln!(out, "  what no column took: {}", escape::visible(unmapped))?;
    Ok(ExitCode::SUCCESS)
}

/// Says who an identity is.
pub(crate) async fn who(data_dir: &Path, args: &WhoArgs) -> Result<ExitCode, Failure> {
    let lake = Lake { dir: readable_lake(data_dir)?, limits: limits(args.limits) };
    let Some(found) = explain::who(&lake, &args.id).await? else {
        return Err(nothing(
            &args.id,
            "ServiceAccount (namespace/name), user name, pod or credential id",
        ));
    };
    let mut out = crate::out::lock();
    if args.output == Output::Table {
        write!(out, "{}\n{}", escape::visible(&found.identity), lines(&found.lines, 0))?;
    } else {
        writeln!(out, "{}", out::json(&found.facts))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What begins alike is listed, and none of it is picked.
fn several(id: &str, candidates: &[Candidate]) -> Failure {
    let line = |one: &Candidate| {
        format!("\n  {:<9} {}  {}  {}", one.kind, one.id, one.time, escape::visible(&one.title))
    };
    let lines: String = candidates.iter().map(line).collect();
    Failure::usage(format!("more than one id begins with {}:{lines}", escape::visible(id)))
        .hint("write more of the one that is meant")
}

fn nothing(id: &str, kinds: &str) -> Failure {
    Failure::usage(format!("nothing is known of {}", escape::visible(id)))
        .hint(format!("name one: {kinds}; `durward findings list` and `durward query` show some"))
}

/// The title, its lines, and the parts below it.
pub(crate) fn explanation(found: &Explanation, indent: usize) -> String {
    let mut text =
        format!("{:indent$}{}\n{}", "", escape::visible(&found.title), lines(&found.lines, indent));
    for part in &found.parts {
        text.push('\n');
        text.push_str(&explanation(part, indent + 2));
    }
    text
}

fn lines(lines: &[Line], indent: usize) -> String {
    let mut text = String::new();
    let mut last = "";
    for line in lines {
        let about = if line.about == last { "" } else { line.about };
        last = line.about;
        // Writing into a String does not fail.
        let _written = writeln!(text, "{:indent$}  {about:<12}{}", "", escape::visible(&line.text));
    }
    text
}

fn facts(found: &Explanation) -> Value {
    let parts: Vec<Value> = found.parts.iter().map(facts).collect();
    let lines: Vec<Value> =
        found.lines.iter().map(|line| json!({ "about": line.about, "text": line.text })).collect();
    json!({ "title": found.title, "lines": lines, "facts": found.facts, "parts": parts })
}
