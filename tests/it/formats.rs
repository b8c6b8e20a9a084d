//! Data directories that older versions wrote, recorded in `fixtures/formats`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::Place;
use crate::serve::{Running, slack};

/// What each recorded directory answers about itself, by table.
const ANSWERS: [(&str, &str); 5] = [
    (
        "accesses",
        "SELECT event_id, request_key, log_position, judged FROM accesses ORDER BY log_position",
    ),
    (
        "changes",
        "SELECT change_id, event_id, log_position FROM changes ORDER BY log_position, change_id",
    ),
    (
        "findings",
        "SELECT finding_id, title, severity_id, incident_id FROM findings ORDER BY finding_id",
    ),
    ("incidents", "SELECT incident_id, opened_by_finding_id FROM incidents ORDER BY incident_id"),
    ("deliveries", "SELECT delivery_id, incident_id, outcome FROM deliveries ORDER BY delivery_id"),
];

/// Every recorded format: a directory for each.
fn formats() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formats");
    let entries =
        std::fs::read_dir(dir).expect("formats").map(|entry| entry.expect("an entry").path());
    let mut formats: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    formats.sort();
    assert!(!formats.is_empty());
    formats
}

/// A copy of the recorded data directory, without the parts that are `lost`.
fn place(format: &Path, lost: &[&str]) -> Place {
    let place = Place::new();
    copy(&format.join("data"), &place.data());
    for part in lost {
        std::fs::remove_dir_all(place.data().join(part)).expect("it was there");
    }
    place
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn expected(format: &Path) -> Value {
    let text = std::fs::read_to_string(format.join("answers.json")).expect("answers");
    serde_json::from_str(&text).expect("JSON")
}

/// Listed objects among what was sent.
fn objects(format: &Path) -> usize {
    let text = std::fs::read_to_string(format.join("state.json")).expect("a state");
    let state: Value = serde_json::from_str(&text).expect("JSON");
    let lists = state["objects"].as_object().expect("lists").values();
    lists.map(|list| list.as_array().map_or(0, Vec::len)).sum()
}

/// Everything that the older program answered is answered still.
fn check(place: &Place, expected: &Value, when: &str) {
    for (table, sql) in ANSWERS {
        let found = place.query(sql);
        let known = expected[table].as_array().expect(table);
        let lost: Vec<_> = known.iter().filter(|row| !found.contains(row)).collect();
        assert!(lost.is_empty(), "{when}: {table} lacks {lost:?}");
    }
    let accesses = expected["accesses"].as_array().map_or(0, Vec::len);
    assert_eq!(place.query(ANSWERS[0].1).len(), accesses, "{when}");
    assert!(place.query("SELECT sender, replayed_by FROM correlated_events LIMIT 1").len() == 1);
}

/// Scenario: a directory of each older format, whole and with the lake alone: asked before any writer opened
/// it, then served, sent all of its events again, stopped and asked again.
/// Guarantees: same rows and ids, all that is sent again is a duplicate, nobody is told of an old incident,
/// and the directory has the present format with all columns.
#[tokio::test(flavor = "multi_thread")]
async fn older_formats_are_opened() {
    for format in formats() {
        let expected = expected(&format);
        for lost in [[].as_slice(), &["log", "checkpoints", "outbox"]] {
            let place = place(&format, lost);
            check(&place, &expected, "before a writer opened it");
            let (set, told) = slack(&place).await;
            let server = Running::start(&place, &set);
            let files = ["state.json", "first.jsonl", "second.jsonl"].map(|name| format.join(name));
            let web = server.url("web", "");
            let mut args = vec!["ingest", "--to", &web, "--cluster", "shop"];
            args.extend(files.iter().map(|path| path.to_str().expect("a path")));
            let ran = place.run(&args);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(server.stop("-TERM"), Some(0));
            let items = expected["accesses"].as_array().map_or(0, Vec::len) + objects(&format);
            let again = place.query("SELECT sum(duplicates) AS n FROM source_counters");
            assert_eq!(again[0]["n"], items, "{lost:?}");
            check(&place, &expected, "after a writer had opened it");
            assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), 0, "{lost:?}");
            let label = std::fs::read_to_string(place.data().join("format.json")).expect("a label");
            let label: Value = serde_json::from_str(&label).expect("JSON");
            assert_eq!(label["format"], 2);
        }
    }
}

/// Scenario: a directory of a newer format.
/// Guarantees: it is refused, untouched, with what to do.
#[test]
fn newer_formats_are_refused() {
    let place = place(&formats()[0], &[]);
    let name = place.data().join("format.json");
    let newer = r#"{"format":99,"id":"0"}"#;
    std::fs::write(&name, newer).expect("a label");
    for args in
        [["doctor"].as_slice(), &["query", "SELECT 1 FROM accesses"], &["ingest", "Cargo.toml"]]
    {
        let ran = place.run(args);
        assert!(
            ran.code == 4 && ran.err.contains("was written by a newer Durward"),
            "{args:?}: {ran:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(&name).expect("a label"), newer);
}
