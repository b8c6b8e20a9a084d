//! Stories cut from recordings, told to the real program: what must be said, and what must not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use durward_detect::alert::slack::render;
use durward_fixtures::{Said, scenarios};
use durward_ingest::Format;
use durward_schemas::values::severity;
use serde_json::Value;

use crate::program::Place;
use crate::story::Stage;

/// Scenario: every story of `fixtures/scenarios`, its state and its audit log as files.
/// Guarantees: each label gets what its expectation says; quiet days stay quiet; edges are the oracle's.
#[test]
fn stories_are_told_as_expected() {
    for scenario in scenarios() {
        let place = Place::new();
        place.ingest(scenario);
        let expectation = scenario.expectation().expect("an expectation");
        let anchors = place.query(
            "SELECT f.finding_id, f.detector, f.severity_id, f.state, a.source_event_id AS audit_id, a.time, a.identity, \
             i.opened_by_finding_id = f.finding_id AS opened \
             FROM findings f JOIN finding_events e ON e.finding_id = f.finding_id AND e.role = 'anchor' \
             JOIN accesses a ON a.event_id = e.event_id LEFT JOIN incidents i ON i.opened_by_finding_id = f.finding_id \
             WHERE f.state <> 'withdrawn'",
        );
        for label in &expectation.labels {
            let ids: BTreeSet<&str> =
                label.requests.iter().map(|request| request.audit_id.as_str()).collect();
            let mine: Vec<&Value> = anchors
                .iter()
                .filter(|row| ids.contains(row["audit_id"].as_str().unwrap_or("")))
                .collect();
            let opens = mine.iter().any(|row| {
                row["opened"] == true
                    || (row["severity_id"].as_i64() >= Some(4) && row["state"] != "learning")
            });
            let fine = match label.said {
                Said::Incident => opens,
                Said::Finding => !mine.is_empty(),
                Said::Blindness => mine.iter().any(|row| row["detector"] == "blindness"),
                Said::None => !opens,
            };
            assert!(fine, "{} {} ({:?}): {mine:#?}", scenario.name, label.scenario, label.said);
        }
        edges(&place, scenario.name, &expectation);
    }
}

/// What raw bytes say of a request's credential, pod and minter is what the row says.
fn edges(place: &Place, name: &str, expectation: &durward_fixtures::Expectation) {
    let rows = place.query("SELECT source_event_id, credential_id, pod, pod_uid, minted_by, decided_by, change_actor, change_evidence, request_uri FROM correlated_events");
    let requests = expectation.labels.iter().flat_map(|label| &label.requests);
    for request in requests {
        let edges = &request.edges;
        let mut mine =
            rows.iter().filter(|row| row["source_event_id"] == request.audit_id.as_str());
        let (Some(row), None) = (mine.next(), mine.next()) else { continue };
        let same = |column: &str, expected: &Option<String>| {
            if let Some(expected) = expected {
                assert_eq!(row[column], expected.as_str(), "{name} {} {column}", request.audit_id);
            }
        };
        same("credential_id", &edges.credential_id);
        same("pod", &edges.pod);
        same("pod_uid", &edges.pod_uid);
        same("minted_by", &edges.minted_by);
        same("decided_by", &edges.decided_by);
        if edges.change_audit_id.is_some() {
            assert_eq!(row["change_evidence"], "exact", "{name} {}", request.audit_id);
        }
    }
}

/// Scenario: the same stories in memory, as findings and as the messages that Slack would be sent.
/// Guarantees: neither changes without somebody reading the diff of `findings.jsonl` and `alert.json`.
///
/// `DURWARD_BLESS=1 cargo test --workspace --test it blessed` writes them anew.
#[test]
fn findings_and_alerts_are_as_blessed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    for scenario in scenarios() {
        let mut stage = Stage::new();
        stage
            .take(stage.read(Format::KubeList, scenario.state_json().expect("a state").as_bytes()));
        let lines = scenario.audit_lines().expect("lines").join("\n");
        let mut audit = stage.read(Format::KubeAudit, lines.as_bytes());
        audit.accesses.sort_by_key(|row| row.time);
        stage.take(audit);
        let mut findings = BTreeMap::new();
        let mut alerts = BTreeMap::new();
        for judgement in &stage.judgements {
            for row in &judgement.findings {
                findings.insert(row.finding_id.0.clone(), row.clone());
            }
            for alert in &judgement.owed {
                alerts.insert(alert.incident_id.0.clone(), render(alert));
            }
        }
        let mut told: Vec<_> = findings.values().collect();
        told.sort_by_key(|row| {
            (row.time, row.detector.clone(), row.rule_id.clone(), row.finding_id.clone())
        });
        let mut lines = String::new();
        for row in told {
            let line = serde_json::json!({
                "time": row.time.to_string(), "detector": row.detector, "rule": row.rule_id,
                "severity": severity::name(row.severity_id), "state": row.state.as_str(),
                "title": row.title, "reason": row.reason,
            });
            writeln!(lines, "{line}").expect("a String takes it");
        }
        let messages = format!("{:#}\n", Value::Array(alerts.into_values().collect()));
        blessed(&folder.join(scenario.name).join("findings.jsonl"), &lines);
        blessed(&folder.join(scenario.name).join("alert.json"), &messages);
    }
}

fn blessed(path: &Path, text: &str) {
    if std::env::var_os("DURWARD_BLESS").is_some() {
        std::fs::write(path, text).expect("a blessed file");
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(expected == text, "{} differs; bless it and read the diff", path.display());
}
