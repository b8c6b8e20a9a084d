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
