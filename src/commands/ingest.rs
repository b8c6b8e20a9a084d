//! `durward ingest`: files in, and back when all of it is durable, correlated, judged and queryable.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durward_correlate::explain::{Ask, Fields};
use durward_correlate::query::Limits;
use durward_detect::alert::{Outbox, Pace};
use durward_detect::escape;
use durward_ingest::intake::Intake;
use durward_ingest::receive::files::{FileSettings, Ingested, Progress, ingest as read_files};
use durward_ingest::receive::upload::Asked;
use durward_ingest::{Keys, send};
use durward_schemas::Time;
use durward_schemas::record::Content;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::cli::IngestArgs;
use crate::clock;
use crate::commands::findings::verdict;
use crate::config;
use crate::data_dir::{DataDir, readable_lake};
use crate::failure::Failure;
use crate::hint;
use crate::pipeline::{Pipeline, Telling};
use crate::render::Output;
use crate::sql::Lake;
use crate::store::Store;

/// What is read of a call, in the order in which it is told.
const TABLES: [&str; 6] = ["accesses", "objects", "spans", "logs", "metrics", "rejects"];

/// Reasons for rejects that are told.
const MOST_REASONS: usize = 3;

/// What one call brought, or one file of it.
struct Counts {
    head: Vec<(&'static str, Value)>,
    read: Map<String, Value>,
    judged: Vec<(&'static str, Value)>,
}

impl Counts {
    /// A file as the server that took it told of it: it is judged later.
    fn sent(path: &Path, told: &Value) -> Self {
        let head = vec![
            ("path", json!(path.display().to_string())),
            ("files", told["files"].clone()),
            ("bytes", told["bytes"].clone()),
        ];
        let read = told["read"].as_object().cloned().unwrap_or_default();
        Self { head, read, judged: Vec::new() }
    }

    fn object(&self) -> Value {
        let named = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
        let mut object: Map<String, Value> = self.head.iter().map(named).collect();
        object.insert("read".to_owned(), Value::Object(self.read.clone()));
        object.extend(self.judged.iter().map(named));
        Value::Object(object)
    }

    /// A line for each table that rows were read for, as people read it.
    fn show_read(&self, out: &mut impl Write) -> Result<(), Failure> {
        for table in TABLES {
            let rows = self.read.get(table).and_then(Value::as_i64).unwrap_or_default();
            if rows > 0 {
                let table = if rows == 1 { singular(table) } else { table };
                writeln!(out, "  {rows:>9} {table} read")?;
            }
        }
        Ok(())
    }

    /// Column and value, without nesting.
    fn columns(&self) -> Vec<(&str, String)> {
        let text = |value: &Value| match value {
            Value::String(text) => escape::csv(text),
            other => other.to_string(),
        };
        let head = self.head.iter().map(|(name, value)| (*name, text(value)));
        let read = TABLES
            .iter()
            .map(|table| (*table, self.read.get(*table).map(text).unwrap_or_default()));
        let judged = self.judged.iter().map(|(name, value)| (*name, text(value)));
        head.chain(read).chain(judged).collect()
    }
}

/// For programs: an object or, of several files, an array; an object a line; or a row a line.
fn print(counts: &[Counts], output: Output) -> Result<(), Failure> {
    let mut out = crate::out::lock();
    match (output, counts) {
        (Output::Table, _) => {}
        (Output::Json, [one]) => writeln!(out, "{}", one.object())?,
        (Output::Json, several) => {
            let several: Vec<Value> = several.iter().map(Counts::object).collect();
            writeln!(out, "{}", Value::Array(several))?;
        }
        (Output::Ndjson, lines) => {
            for one in lines {
                writeln!(out, "{}", one.object())?;
            }
        }
        (Output::Csv, rows) => {
            for (at, row) in rows.iter().enumerate() {
                let (names, values): (Vec<&str>, Vec<String>) = row.columns().into_iter().unzip();
                if at == 0 {
                    writeln!(out, "{}", names.join(","))?;
                }
                writeln!(out, "{}", values.join(","))?;
            }
        }
    }
    Ok(())
}

/// Takes the files.
pub(crate) async fn ingest(data_dir: &Path, args: IngestArgs) -> Result<ExitCode, Failure> {
    if let Some(url) = &args.to {
        return send_to(url, data_dir, &args).await;
    }
    let settings = settings(&args)?;
    let reading = config::load(args.config.as_deref(), &args.set)?.reading()?;
    let dir = DataDir::take(data_dir)?;
    let clock = clock::system();
    let keys = Arc::new(Keys::open(dir.path())?);
    let outbox = Outbox::open(&dir.outbox(), Pace::default())?;
    let outbox = Arc::new(Mutex::new(outbox));
    let store = Store::open(dir, Arc::clone(&clock)).await?;
    let log = Arc::clone(&store.log);
    // What was not yet counted is counted apart from what this call brings.
    log.append(vec![Content::Tick]).await?;
    let before = log.end();
    // What lies in the past is judged, and nobody is woken for it. What a server took before that
    // and had no time to judge is still owed.
    let telling = Telling { outbox: Arc::clone(&outbox), muted_from: Some(before) };
    let mut pipeline = Pipeline::open(store, Some(telling))?;
    let intake = Intake::new(log.appender(), keys, clock, reading);
    let (done, ended) = tokio::sync::oneshot::channel();
    let paths = args.paths.clone();
    let reader = tokio::task::spawn_blocking(move || {
        let bar = bar();
        let taken = read_files(&paths, &settings, &intake, &mut |progress| show(&bar, progress));
        bar.finish_and_clear();
        // The pipeline may have ended with an error of its own, which is told then.
        let _gone = done.send(());
        taken
    });
    pipeline
        .run(async {
            let _reader_is_gone = ended.await;
        })
        .await?;
    let taken = reader.await??;
    // The last counters of this call stand in the tick behind it.
    log.append(vec![Content::Tick]).await?;
    pipeline.catch_up(Duration::MAX).await?;
    outbox.lock().unwrap_or_else(PoisonError::into_inner).skip_to(log.end() - 1)?;
    drop(pipeline);
    let lake = Lake { dir: readable_lake(data_dir)?, limits: Limits::default() };
    let counted = counted(&lake, before).await?;
    tell(&taken, &counted, args.output)?;
    if args.output == Output::Table {
        explain_rejects(&lake, before, data_dir).await?;
        name_no_cluster(&lake, &args, before).await?;
    }
    verdict(&lake.dir, lake.limits, args.fail_on, &format!("AND log_position >= {before}")).await
}

/// Sends the files to the server that holds the directory, snapshots of state first.
async fn send_to(url: &str, data_dir: &Path, args: &IngestArgs) -> Result<ExitCode, Failure> {
    settings(args)?;
    let token = Keys::upload_token(data_dir)?;
    let asked = Asked {
        cluster: args.cluster.clone(),
        source: Some(args.source.clone()),
        format: Some(args.format.clone()).filter(|format| format != "auto"),
        as_of: args.as_of.clone(),
    };
    let mut sent = Vec::new();
    for path in send::in_order(&args.paths)? {
        let told = send::file(url, &token, &asked, &path).await.map_err(|error| {
            Failure::io(format!("{:#}", anyhow::Error::from(error)))
                .hint("--to takes the web door of the server that holds this --data-dir: `durward serve` says its address as it starts")
        })?;
        let told: Value = serde_json::from_str(&told)?;
        let counts = Counts::sent(&path, &told);
        if args.output == Output::Table {
            show_sent(&path, told["bytes"].as_i64().unwrap_or_default(), &counts)?;
        }
        sent.push(counts);
    }
    print(&sent, args.output)?;
    Ok(ExitCode::SUCCESS)
}

/// A file that a server took, as people read it.
fn show_sent(path: &Path, bytes: i64, sent: &Counts) -> Result<(), Failure> {
    let mut out = crate::out::lock();
    writeln!(out, "{}: {bytes} bytes, all durable", escape::visible(&path.display().to_string()))?;
    sent.show_read(&mut out)
}

fn settings(args: &IngestArgs) -> Result<FileSettings, Failure> {
    let format = match args.format.as_str() {
        "auto" => None,
        name => Some(name.parse().map_err(|error| {
            Failure::usage(error)
                .hint("leave --format out, and the format is found out from the content")
        })?),
    };
    let as_of = args.as_of.as_deref().map(|text| {
        Time::parse(text).ok_or_else(|| {
            Failure::usage(format!("--as-of {text}: this is no time"))
                .hint("write 2026-07-23T10:00:00Z")
        })
    });
    Ok(FileSettings {
        cluster: args.cluster.clone(),
        source: args.source.clone(),
        format,
        as_of: as_of.transpose()?,
    })
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.total);
    bar.set_position(progress.bytes);
    bar.set_message(format!("{} items durable", progress.items));
}

/// Accepted, duplicates and rejected of this call, by source.
async fn counted(lake: &Lake, before: i64) -> Result<Vec<Fields>, Failure> {
    let sql = format!(
        "SELECT source, sum(accepted) AS accepted, sum(duplicates) AS duplicates, sum(rejected) AS rejected \
         FROM source_counters WHERE log_position >= {before} GROUP BY source ORDER BY source"
    );
    Ok(lake.ask(&sql).await?)
}

fn tell(taken: &Ingested, counted: &[Fields], output: Output) -> Result<(), Failure> {
    let sum = |column: &str| -> i64 {
        counted.iter().filter_map(|row| row.get(column).and_then(Value::as_i64)).sum()
    };
    let (accepted, duplicates, rejected) = (sum("accepted"), sum("duplicates"), sum("rejected"));
    let read =
        [taken.accesses, taken.objects, taken.spans, taken.logs, taken.metrics, taken.rejects];
    let read = TABLES.iter().zip(read);
    let judged = [("accepted", accepted), ("duplicates", duplicates), ("rejected", rejected)];
    let counts = Counts {
        head: vec![("files", json!(taken.files)), ("bytes", json!(taken.bytes))],
        read: read.map(|(table, rows)| ((*table).to_owned(), json!(rows))).collect(),
        judged: judged.map(|(name, count)| (name, json!(count))).to_vec(),
    };
    if output != Output::Table {
        return print(&[counts], output);
    }
    let mut out = crate::out::lock();
    let files = if taken.files == 1 { "file" } else { "files" };
    writeln!(out, "{} {files}, {} bytes", taken.files, taken.bytes)?;
    counts.show_read(&mut out)?;
    writeln!(out, "  {accepted:>9} new, {duplicates} duplicates, {rejected} new rejects")?;
    if accepted + duplicates + rejected == 0 {
        writeln!(out, "nothing was read: there is no record in it")?;
    }
    Ok(())
}

/// The name of one row of a table.
fn singular(table: &'static str) -> &'static str {
    match table {
        "accesses" => "access",
        other => other.strip_suffix('s').unwrap_or(other),
    }
}

/// Why what was rejected could not be read, the most frequent reasons first.
async fn explain_rejects(lake: &Lake, before: i64, data_dir: &Path) -> Result<(), Failure> {
    let sql = format!(
        "SELECT reason, detail, hint, count(*) AS n FROM rejects WHERE log_position >= {before} \
         GROUP BY reason, detail, hint ORDER BY n DESC LIMIT {MOST_REASONS}"
    );
    let reasons = lake.ask(&sql).await?;
    let mut out = crate::out::lock();
    for row in &reasons {
        let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default();
        let n = row.get("n").and_then(Value::as_i64).unwrap_or_default();
        let said = [text("reason"), text("detail"), text("hint")];
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        writeln!(out, "  {n:>9} rejected: {}", escape::visible(&said.join(": ")))?;
    }
    if !reasons.is_empty() {
        let look = "look at rejects: durward query \"SELECT reason, detail, hint, position, head FROM rejects\"";
        writeln!(out, "{}", hint::complete(look, data_dir))?;
    }
    Ok(())
}

/// Says what follows from accesses of no cluster, if nobody named one.
async fn name_no_cluster(lake: &Lake, args: &IngestArgs, before: i64) -> Result<(), Failure> {
    if args.cluster.is_some() {
        return Ok(());
    }
    let sql = format!(
        "SELECT count(*) AS n FROM accesses WHERE provider = 'kubernetes' AND cluster IS NULL AND log_position >= {before}"
    );
    let rows = lake.ask(&sql).await?;
    let n = rows.first().and_then(|row| row.get("n")?.as_i64()).unwrap_or_default();
    if n > 0 {
        let mut out = crate::out::lock();
        writeln!(
            out,
            "{n} of them name no cluster: they are told apart from those of --cluster NAME, so the same events with that name are new ones"
        )?;
    }
    Ok(())
}
