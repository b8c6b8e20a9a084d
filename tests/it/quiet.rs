//! Days on which nothing happened, in clouds and meshes: people are not woken.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use durward_ingest::Format;
use serde_json::Value;

use crate::story::{Stage, said};

fn shared(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("DURWARD_SHARED_DATA").map(PathBuf::from);
    if shared.is_none() {
        said(&format!("skipped {test}: set DURWARD_SHARED_DATA"));
    }
    shared
}

/// Adds what a stage found to `told`, one line for each rule, and says how many incidents there were.
fn findings(stage: &Stage, name: &str, told: &mut String) -> usize {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for finding in stage.judgements.iter().flat_map(|judgement| &judgement.findings) {
        let rule = finding.rule_id.clone().unwrap_or_else(|| finding.detector.clone());
        *found.entry(format!("{rule} {}", finding.severity_id)).or_default() += 1;
    }
    for (rule, times) in found {
        writeln!(told, "{name}: {rule} x{times}").expect("a String takes it");
    }
    stage.judgements.iter().map(|judgement| judgement.incidents.len()).sum()
}

/// Scenario: events of three clouds that the public rules of Panther are to let pass.
/// Guarantees: no incident, and no finding but those of the snapshot, which are about pods that open their node and people who use exec.
#[test]
fn cases_that_others_let_pass_are_no_incident() {
    let Some(shared) = shared("cases_that_others_let_pass_are_no_incident") else { return };
    let files = [
        ("aws_cloudtrail", Format::CloudTrail),
        ("gcp_audit", Format::GcpAudit),
        ("azure_activity", Format::AzureActivity),
    ];
    let mut told = String::new();
    for (name, format) in files {
        let path = shared.join("panther").join(format!("{name}.jsonl"));
        let text = std::fs::read_to_string(path).expect("a file of shared data");
        let cases = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let quiet = cases.filter(|case| case["expected"] == false && case["log"].is_object());
        let logs: Vec<String> = quiet.map(|case| case["log"].to_string()).collect();
        let mut stage = Stage::new();
        let reading = stage.read(format, logs.join("\n").as_bytes());
        assert!(reading.accesses.len() > 30, "{name}: {}", reading.accesses.len());
        stage.take(reading);
        assert_eq!(findings(&stage, name, &mut told), 0, "{name}: {told}");
    }
    insta::assert_snapshot!(told);
}

/// Scenario: four and a half minutes of SPIRE in which keys rotate and nobody acts, and two minutes of a mesh in
/// which entries change, a node is attested and banned, and requests are refused here and there.
/// Guarantees: no incident; the findings are those of the snapshot.
#[test]
fn ordinary_days_of_a_mesh_are_no_incident() {
    let Some(shared) = shared("ordinary_days_of_a_mesh_are_no_incident") else { return };
    let recordings = shared.join("../lab/mesh/recordings");
    if !recordings.is_dir() {
        return said("skipped ordinary_days_of_a_mesh_are_no_incident: no ../lab beside the data");
    }
    let mut told = String::new();
    for name in ["spire-rotation", "story-json/spire", "story-json/envoy"] {
        let mut stage = Stage::new();
        for path in logs(&recordings.join(name)) {
            let bytes = std::fs::read(&path).expect("a log");
            let format = Format::detect(&bytes).expect("a format");
            stage.take(stage.read(format, &bytes));
        }
        assert_eq!(findings(&stage, name, &mut told), 0, "{name}: {told}");
    }
    insta::assert_snapshot!(told);
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of recordings");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
    paths.sort();
    paths
}
