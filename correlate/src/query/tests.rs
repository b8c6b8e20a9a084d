//! Every view over a small lake, row by row, as `tests/slt/*.slt` tells it.
//!
//! `DURWARD_BLESS=1 cargo test -p durward-correlate slt` writes the files anew; read the diff.

use std::path::{Path, PathBuf};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use durward_schemas::tables::{Finding, FindingEvent, Incident};
use durward_schemas::values::{EventRole, FindingState, IdentityKind};
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Runner, default_column_validator, default_validator,
};

use super::*;
use crate::correlator::{Correlator, tests};
use crate::lake::{Judged, Lake};
use crate::query::worker::answer;

/// The story of the correlator's tests, with one finding, committed as a lake.
async fn lake(dir: &Path) {
    let mut lake = Lake::open(dir, "test").await.expect("a lake");
    let mut correlator = Correlator::default();
    for turn in tests::play(&mut correlator, tests::story(), &[4]) {
        let anchor = turn.accesses.iter().find(|row| row.decision.as_str() == "deny");
        let judged = anchor.map(|row| judged(row.event_id.clone(), turn.last_position));
        lake.stage(&turn, &judged.unwrap_or_default());
        lake.flush(turn.last_position).await.expect("a commit");
    }
}

fn judged(event_id: durward_schemas::ids::EventId, log_position: i64) -> Judged {
    let finding = Finding {
        finding_id: "f1".into(),
        version: 1,
        log_position,
        detector: "sigma".into(),
        title: "refused".into(),
        reason: "web/frontend was refused".into(),
        severity_id: 3,
        cluster: Some("prod".into()),
        identity: Some("system:serviceaccount:web:frontend".into()),
        identity_kind: Some(IdentityKind::ServiceAccount),
        ..Finding::default()
    };
    let second =
        Finding { version: 2, severity_id: 4, state: FindingState::Alerted, ..finding.clone() };
    let event = FindingEvent {
        finding_id: "f1".into(),
        version: 1,
        event_id,
        role: EventRole::Anchor,
        log_position,
        ..FindingEvent::default()
    };
    let incident = Incident {
        incident_id: "i1".into(),
        version: 1,
        log_position,
        opened_by_finding_id: "f1".into(),
        ..Incident::default()
    };
    Judged {
        findings: vec![finding, second],
        finding_events: vec![event],
        incidents: vec![incident],
        deliveries: Vec::new(),
    }
}

/// Asks in this process: what a worker would do, without the process.
struct Here(PathBuf);

#[async_trait::async_trait]
impl AsyncDB for Here {
    type Error = QueryError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, QueryError> {
        let answer = ask_here(&self.0, sql, Limits::default()).await?;
        let options = FormatOptions::new().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &answer.batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).expect("text"))
                .collect();
            let cell = |text: String| if text.is_empty() { "(empty)".to_owned() } else { text };
            rows.extend((0..batch.num_rows()).map(|row| {
                columns.iter().map(|column| cell(column.value(row).to_string())).collect()
            }));
        }
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Any; answer.schema.fields().len()],
            rows,
        })
    }

    async fn shutdown(&mut self) {}
}

async fn ask_here(lake: &Path, sql: &str, limits: Limits) -> Result<Answer, QueryError> {
    let (lake, sql) = (lake.to_owned(), sql.to_owned());
    let mut bytes = Vec::new();
    answer(&Question { lake, sql, limits, spill: None }, &mut bytes).await?;
    let reader =
        arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).expect("a stream");
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>().expect("batches");
    Ok(Answer { schema, batches })
}

/// Scenario: every statement of `tests/slt`.
/// Guarantees: each view answers row by row as written; what is refused is refused with these words.
#[tokio::test(flavor = "multi_thread")]
async fn slt() {
    let dir = tempfile::tempdir().expect("a directory");
    lake(dir.path()).await;
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    for entry in std::fs::read_dir(files).expect("slt files") {
        let path = entry.expect("an entry").path();
        let lake = dir.path().to_owned();
        let mut runner = Runner::new(move || {
            let lake = lake.clone();
            async move { Ok(Here(lake)) }
        });
        if std::env::var_os("DURWARD_BLESS").is_some() {
            let updated = runner.update_test_file(
                &path,
                " ",
                default_validator,
                sqllogictest::default_normalizer,
                default_column_validator,
            );
            updated.await.expect("a blessed file");
        } else {
            runner
                .run_file_async(&path)
                .await
                .unwrap_or_else(|error| panic!("{}", error.display(false)));
        }
    }
}

/// Scenario: the files of views, and the columns of `correlated_events` beside those of `accesses`.
/// Guarantees: a view opens with what one row is, and no column of an access is forgotten.
#[test]
fn views_are_described_and_complete() {
    for view in VIEWS {
        assert!(view.sql.starts_with("-- One row for each "), "{}", view.name);
    }
    let flagship =
        VIEWS.iter().find(|view| view.name == "correlated_events").expect("the flagship");
    let bodies = ["request_object", "response_object", "unmapped", "judged"];
    let columns = durward_schemas::tables::LAKE[0].columns.iter().map(|column| column.name);
    for column in columns.filter(|name| !bodies.contains(name)) {
        assert!(flagship.sql.contains(&format!("    a.{column}")), "{column}");
    }
}

async fn refused(sql: &str) -> QueryError {
    let dir = tempfile::tempdir().expect("a directory");
    ask_here(dir.path(), sql, Limits::default()).await.expect_err(sql)
}

/// Scenario: statements that write, read files, set, recurse, repeat, or come in twos.
/// Guarantees: each is refused before anything runs.
#[tokio::test(flavor = "multi_thread")]
async fn only_reading_is_offered() {
    for sql in [
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO accesses VALUES (1)",
        "DELETE FROM accesses",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; SELECT 2",
        "SELECT * FROM '/etc/passwd'",
        "SELECT repeat('x', 1000000000)",
        "SELECT lpad('x', 2000000000)",
        "SELECT input_file_name()",
        "SELECT version()",
        "SELECT * FROM generate_series(1, 1000000000000)",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
        "",
    ] {
        let error = refused(sql).await;
        assert_eq!(error.fault, Fault::Statement, "{sql}: {error}");
    }
}

/// Scenario: statements as long, as deep and as chained as overflow a planner's stack.
/// Guarantees: each is refused by its size, with a hint.
#[tokio::test(flavor = "multi_thread")]
async fn large_statements_are_refused() {
    let chain = format!("SELECT 1{}", " + 1".repeat(3_000));
    let unions = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000));
    let deep = format!("SELECT {}1{}", "(".repeat(2_000), ")".repeat(2_000));
    let long = format!("SELECT '{}'", "x".repeat(100_000));
    for sql in [chain, unions, deep, long] {
        let error = refused(&sql).await;
        assert_eq!((error.fault, error.hint.is_some()), (Fault::Limit, true));
    }
}

/// Scenario: an answer with more rows than may be.
/// Guarantees: an error that says so, not a part of the answer.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_rows_are_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    lake(dir.path()).await;
    let limits = Limits { max_rows: 3, ..Limits::default() };
    let error =
        ask_here(dir.path(), "SELECT time FROM accesses", limits).await.expect_err("too many");
    assert_eq!(error.to_string(), "the answer has more than 3 rows");
}

/// Scenario: an answer with more bytes than may be.
/// Guarantees: the worker ends it with an error that says so.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_bytes_are_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    lake(dir.path()).await;
    let limits = Limits { max_bytes: 1_000, ..Limits::default() };
    let error = ask_here(dir.path(), "SELECT * FROM accesses", limits).await.expect_err("too many");
    assert_eq!(
        (error.fault, error.message.as_str()),
        (Fault::Limit, "the answer has more than 0 MiB")
    );
}
