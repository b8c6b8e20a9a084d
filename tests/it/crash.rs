//! SIGKILL at random instants: nothing that was told as done is lost, nothing is there twice.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Place, scenario};

/// Scenario: `ingest` is killed at a dozen instants of its life, and started again each time.
/// Guarantees: the run that ends well finds all of it once, with the same findings as a run that was never killed.
#[test]
fn killed_ingest_loses_and_doubles_nothing() {
    let story = scenario("minted-for-another");
    let calm = Place::new();
    calm.ingest(story);
    let place = Place::new();
    let [state, audit] = place.files(story);
    let cluster = story.expectation().expect("an expectation").cluster;
    // Instants spread over a run that nobody disturbs; what matters is that they differ.
    let started = Instant::now();
    calm.ingest(story);
    let life = started.elapsed();
    for part in 1..=12_u32 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_durward"))
            .args(["ingest", "--cluster", &cluster])
            .args([&state, &audit])
            .env("DURWARD_DATA_DIR", place.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let until = Instant::now() + life * part / 12;
        while Instant::now() < until && child.try_wait().expect("a child").is_none() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    place.ingest(story);
    let rows = "SELECT count(*) AS n, count(DISTINCT event_id) AS ids, sum(CASE WHEN judged THEN 1 ELSE 0 END) AS judged FROM accesses";
    assert_eq!(place.query(rows), calm.query(rows));
    for table in [
        "changes",
        "credentials_versions",
        "workloads_versions",
        "grants_versions",
        "findings_versions",
        "incidents_versions",
        "finding_events",
    ] {
        let count = format!("{table} WHERE 1 = 1");
        assert_eq!(place.count(&count), calm.count(&count), "{table}");
    }
    let twice = "(SELECT finding_id, version FROM findings_versions GROUP BY 1, 2 HAVING count(*) > 1) AS t";
    assert_eq!(place.count(twice), 0);
}

/// Scenario: `ingest` is killed at each place where something was written, flushed or committed, at
/// the first and at a later time that it comes there, and started again.
/// Guarantees: each of these places is there, and the run that ends well leaves what an undisturbed one does.
#[test]
fn killed_at_each_place_loses_and_doubles_nothing() {
    let story = scenario("minted-for-another");
    let cluster = story.expectation().expect("an expectation").cluster;
    let calm = Place::new();
    calm.ingest(story);
    let calm = left(&calm);
    for at in [
        "log_written",
        "log_flushed",
        "log_flushed:3",
        "lake_written",
        "lake_written:5",
        "lake_committed",
        "lake_committed:7",
        "file_written:2",
        "checkpoint_published",
    ] {
        let place = Place::new();
        let paths = place.files(story);
        let mut killed = place.command();
        killed.args(["ingest", "--cluster", &cluster]).args(paths).env("DURWARD_CRASH_AT", at);
        let code = killed.output().expect("it runs").status.code();
        assert_eq!(code, None, "it was not killed at {at}");
        place.ingest(story);
        for (columns, (left, calm)) in LEFT.iter().zip(left(&place).iter().zip(&calm)) {
            assert_eq!(left, calm, "{columns}, killed at {at}");
        }
    }
}

/// What a run left, positions aside: they depend on how often something was counted. What it says of itself is no
/// part of it.
const LEFT: [&str; 7] = [
    "event_id, judged, workload, change_id, minted_by, trace_id FROM accesses",
    "request_key, edge, version, \"values\" FROM amendments",
    "change_id, event_id, summary FROM changes",
    "credential_id, version, depth FROM credentials_versions",
    "pod, version, workload FROM workloads_versions",
    "subject, verb, resource, binding, version, valid_to FROM grants_versions",
    "finding_id, version, severity_id, incident_id FROM findings_versions WHERE detector <> 'blindness' OR identity IS NOT NULL",
];

fn left(place: &Place) -> Vec<Vec<serde_json::Value>> {
    LEFT.iter().map(|columns| place.query(&format!("SELECT {columns} ORDER BY 1, 2, 3"))).collect()
}

/// Scenario: between two halves of a story the checkpoints are lost, and with them the log, or only
/// the log.
/// Guarantees: the state is made anew from the lake: the second half gives what it gives to a run
/// that lost nothing, nothing is there twice, and doctor says what happened.
#[test]
fn lost_state_is_made_anew_from_the_lake() {
    let story = scenario("minted-for-another");
    let cluster = story.expectation().expect("an expectation").cluster;
    let lines = story.audit_lines().expect("lines");
    let (first, second) = lines.split_at(lines.len() / 2);
    let run = |lost: &[&str]| {
        let place = Place::new();
        let [state, _] = place.files(story);
        let halves = ["first.jsonl", "second.jsonl"].map(|name| place.path(name));
        for (path, lines) in halves.iter().zip([first, second]) {
            std::fs::write(path, lines.join("\n")).expect("a file");
        }
        place.ingest_paths(&cluster, &[&state, &halves[0]]);
        for part in lost {
            std::fs::remove_dir_all(place.data().join(part)).expect("it was there");
        }
        place.ingest_paths(&cluster, &[&halves[1]]);
        place.ingest_paths(&cluster, &[&state, &halves[0]]);
        (left(&place), place.run(&["doctor"]).out)
    };
    let (calm, said) = run(&[]);
    assert!(calm.iter().map(Vec::len).sum::<usize>() > 0 && !said.contains("made anew"), "{said}");
    for lost in [["checkpoints", "log"].as_slice(), &["log"]] {
        let (left, said) = run(lost);
        for (columns, (left, calm)) in LEFT.iter().zip(left.iter().zip(&calm)) {
            assert_eq!(left, calm, "{columns}, without {lost:?}");
        }
        assert_eq!(said.contains("made anew"), lost.len() == 2, "{said}");
    }
}
