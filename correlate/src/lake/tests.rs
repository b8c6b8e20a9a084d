use durward_schemas::Time;
use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Credential;
use durward_schemas::time::{DAY, SECOND};

use super::*;
use crate::correlator::{Correlator, tests};

const NOW: Time = Time(1_800_000_100 * SECOND);

/// A lake of many small commits: the story's rows, a few at a time, on two days.
async fn lake(dir: &Path) -> Lake {
    let mut lake = Lake::open(dir, "test").await.expect("a lake");
    for round in 0..3 {
        let mut correlator = Correlator::default();
        for mut turn in tests::play(&mut correlator, tests::story(), &[1]) {
            for row in &mut turn.accesses {
                row.event_id = format!("{}-{round}", row.event_id).into();
                row.log_position += 100 * round;
                row.ingest_time = NOW.plus(-DAY * round);
            }
            let rows = Turn { accesses: turn.accesses, ..Turn::default() };
            lake.stage(&rows, &Judged::default());
            lake.flush(turn.last_position + 100 * round).await.expect("a commit");
        }
    }
    lake
}

fn files(lake: &Lake) -> usize {
    lake.tables["accesses"].table.snapshot().expect("a snapshot").log_data().num_files()
}

async fn rows(lake: &Lake) -> usize {
    let ask = Lookup {
        table: "accesses",
        ids: Vec::new(),
        request_keys: tests::story().iter().map(|row| row.request_key.0.clone()).collect(),
    };
    lake.older(&ask, LogPosition::MAX).await.expect("an answer").request_keys.len()
}

/// Scenario: thirty small files on three days, cared for, and cared for again with a retention of a day.
/// Guarantees: few files hold the same rows; days beyond the retention are gone, others are not.
#[tokio::test]
async fn care_keeps_rows_and_drops_old_days() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut lake = lake(dir.path()).await;
    assert_eq!(files(&lake), 30);
    let before = rows(&lake).await;
    let care = Care { retention: None, grace: 0 };
    let done = lake.maintain(NOW, care).await.expect("care");
    assert_eq!((files(&lake), done.compacted), (3, (30, 3)));
    assert!(done.vacuumed >= 30);
    assert_eq!(rows(&lake).await, before);
    let retention = Care { retention: Some(DAY), grace: 0 };
    lake.maintain(NOW, retention).await.expect("care");
    assert_eq!(files(&lake), 2);
    let reopened = Lake::open(dir.path(), "test").await.expect("a lake");
    assert_eq!(files(&reopened), 2);
}

/// Scenario: rows that are committed come again, as a replay of the log brings them.
/// Guarantees: what a table's `txn` covers is dropped, what it does not cover is written.
#[tokio::test]
async fn replayed_rows_are_written_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let turns = tests::play(&mut Correlator::default(), tests::story(), &[5]);
    let mut lake = Lake::open(dir.path(), "test").await.expect("a lake");
    lake.stage(&turns[0], &Judged::default());
    lake.flush(turns[0].last_position).await.expect("a commit");
    drop(lake);
    let mut again = Lake::open(dir.path(), "test").await.expect("a lake");
    assert_eq!(again.covered("accesses"), turns[0].last_position);
    again.stage(&turns[0], &Judged::default());
    assert_eq!(again.pending(), 0);
    again.stage(&turns[1], &Judged::default());
    assert!(again.pending() > 0);
    let other = Lake::open(dir.path(), "another owner").await.expect("a lake");
    assert_eq!(other.covered("accesses"), -1);
}

/// Scenario: credentials of which some have a newer version, on days beyond and within the retention.
/// Guarantees: what is still the latest version stays, in a younger day and once; older versions go;
/// the positions that the table covers stay as they were; caring again changes nothing.
#[tokio::test]
async fn retention_keeps_latest_versions() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut lake = Lake::open(dir.path(), "test").await.expect("a lake");
    for (position, id, version, days) in [(1, "a", 1, 3), (2, "b", 1, 3), (3, "a", 2, 0)] {
        let row = Credential {
            credential_id: CredentialId::from(id),
            version,
            log_position: position,
            recorded_time: NOW.plus(-DAY * days),
            ..Credential::default()
        };
        let turn = Turn { credentials: vec![row], ..Turn::default() };
        lake.stage(&turn, &Judged::default());
        lake.flush(position).await.expect("a commit");
    }
    for kept in [1, 0] {
        let care = Care { retention: Some(DAY), grace: 0 };
        assert_eq!(lake.maintain(NOW, care).await.expect("care").rows_kept, kept);
        let delta = &lake.tables["credentials_versions"];
        let rows = delta.rows::<Credential>(0, 9).await.expect("rows");
        let found: Vec<_> =
            rows.iter().map(|row| (row.credential_id.as_str(), row.version)).collect();
        assert_eq!(found, [("b", 1), ("a", 2)]);
        assert_eq!(delta.covered(), 3);
    }
}

/// Scenario: the directory of a table's commits is not there when rows are to be committed, and is there again.
/// Guarantees: the refusal is told, and the next flush writes the rows once.
#[tokio::test]
async fn refused_commits_are_made_later() {
    let dir = tempfile::tempdir().expect("a directory");
    let turns = tests::play(&mut Correlator::default(), tests::story(), &[5]);
    let mut lake = Lake::open(dir.path(), "test").await.expect("a lake");
    let commits = dir.path().join("accesses/_delta_log");
    let aside = dir.path().join("aside");
    std::fs::rename(&commits, &aside).expect("moved");
    std::fs::write(&commits, "no directory").expect("a file");
    lake.stage(&turns[0], &Judged::default());
    lake.flush(turns[0].last_position).await.expect_err("refused");
    lake.flush(turns[0].last_position).await.expect_err("refused again");
    std::fs::remove_file(&commits).expect("removed");
    std::fs::rename(&aside, &commits).expect("moved back");
    lake.stage(&turns[1], &Judged::default());
    lake.flush(turns[1].last_position).await.expect("a commit");
    assert_eq!(count(&lake).await, tests::story().len());
    assert_eq!(lake.covered("accesses"), turns[1].last_position);
}

/// Scenario: a commit happened, and an error was told of it; rows came since then.
/// Guarantees: what was committed is not written again, what came since is.
#[tokio::test]
async fn commits_that_happened_are_not_made_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let turns = tests::play(&mut Correlator::default(), tests::story(), &[5]);
    let mut lake = Lake::open(dir.path(), "test").await.expect("a lake");
    let mut other = Lake::open(dir.path(), "test").await.expect("a lake");
    lake.stage(&turns[0], &Judged::default());
    lake.flush(turns[0].last_position).await.expect("a commit");
    // The other stands for the same writer, which heard of an error.
    other.stage(&turns[0], &Judged::default());
    for delta in other.tables.values_mut() {
        delta.doubt_all(turns[0].last_position);
    }
    other.stage(&turns[1], &Judged::default());
    other.flush(turns[1].last_position).await.expect("a commit");
    assert_eq!(count(&other).await, tests::story().len());
}

/// Rows of accesses as they are stored, whatever they say.
async fn count(lake: &Lake) -> usize {
    let rows = lake.tables["accesses"].rows::<durward_schemas::tables::Access>(0, LogPosition::MAX);
    rows.await.expect("rows").len()
}
