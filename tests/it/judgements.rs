//! What must and must not be said about the recordings, label by label, whole and cut out alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use durward_ingest::{Format, Reading};
use durward_schemas::Time;
use durward_schemas::tables::{Access, Finding};
use durward_schemas::values::{EventRole, FindingState, severity};
use serde_json::Value;

use crate::story::{Stage, recordings, unpacked};

/// What a story has to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Incident,
    Finding,
    Blindness,
    NoIncident,
    Anything,
}

fn expected(scenario: &str, kind: &str) -> Expected {
    match scenario {
        "stolen-token"
        | "mint-token"
        | "escalate"
        | "anonymous-access"
        | "admission-hooks"
        | "reused-audit-id"
        | "stratus-create-admin-clusterrole"
        | "privileged-pod"
        | "stratus-hostpath-volume" => Expected::Incident,
        "exec-in-pods"
        | "enumerate-secrets"
        | "delete-events"
        | "stratus-dump-secrets"
        | "stratus-steal-serviceaccount-token" => Expected::Finding,
        "oversized" => Expected::Blindness,
        "denied-storm" => Expected::Anything,
        "hostile-text" | "removed-binding" => Expected::NoIncident,
        _ if kind == "benign" => Expected::NoIncident,
        other => unreachable!("no expectation for {other}"),
    }
}

/// One line of `labels.jsonl`.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) scenario: String,
    pub(crate) kind: String,
    pub(crate) audit_ids: BTreeSet<String>,
    pub(crate) start: Time,
    pub(crate) end: Time,
}

pub(crate) fn labels(dir: &Path) -> Vec<Label> {
    let text = std::fs::read_to_string(dir.join("labels.jsonl")).expect("labels");
    text.lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).expect("a label");
            let text = |name: &str| value[name].as_str().expect(name).to_owned();
            let requests = value["requests"].as_array().expect("requests");
            Label {
                scenario: text("scenario"),
                kind: text("kind"),
                audit_ids: requests
                    .iter()
                    .filter_map(|request| Some(request["audit_id"].as_str()?.to_owned()))
                    .collect(),
                start: Time::parse(&text("start")).expect("a time"),
                end: Time::parse(&text("end")).expect("a time"),
            }
        })
        .collect()
}

/// A recording played to its end.
struct Played {
    accesses: BTreeMap<String, Access>,
    /// Latest versions.
    findings: BTreeMap<String, Finding>,
    anchors: BTreeMap<String, BTreeSet<String>>,
    openers: BTreeSet<String>,
    start: Time,
}

/// A recording, read.
struct Recorded {
    listed: Reading,
    audit: Reading,
    start: Time,
}

impl Recorded {
    fn read(dir: &Path) -> Self {
        let stage = Stage::new();
        let listed = unpacked(&dir.join("state-start.json.zst"));
        let start: Value = serde_json::from_slice(&listed).expect("a state");
        let mut audit = stage.read(Format::KubeAudit, &unpacked(&dir.join("audit.jsonl.zst")));
        audit.accesses.sort_by_key(|row| row.time);
        Self {
            listed: stage.read(Format::KubeList, &listed),
            audit,
            start: Time::parse(start["time"].as_str().expect("a time")).expect("a time"),
        }
    }

    /// Plays state and audit log; only rows for which `keep` is true.
    fn play(&self, keep: impl Fn(&Access) -> bool) -> Played {
        let mut stage = Stage::new();
        stage.take(self.listed.clone());
        let accesses = self.audit.accesses.iter().filter(|row| keep(row)).cloned().collect();
        stage.take(Reading { accesses, ..Reading::default() });
        played(&stage, self.start)
    }
}

fn played(stage: &Stage, start: Time) -> Played {
    let mut played = Played {
        accesses: BTreeMap::new(),
        findings: BTreeMap::new(),
        anchors: BTreeMap::new(),
        openers: BTreeSet::new(),
        start,
    };
    for (turn, judgement) in stage.turns.iter().zip(&stage.judgements) {
        played
            .accesses
            .extend(turn.accesses.iter().map(|row| (row.event_id.0.clone(), row.clone())));
        played
            .findings
            .extend(judgement.findings.iter().map(|row| (row.finding_id.0.clone(), row.clone())));
        for event in judgement.finding_events.iter().filter(|event| event.role == EventRole::Anchor)
        {
            played
                .anchors
                .entry(event.finding_id.0.clone())
                .or_default()
                .insert(event.event_id.0.clone());
        }
        played
            .openers
            .extend(judgement.incidents.iter().map(|row| row.opened_by_finding_id.0.clone()));
    }
    played
}

impl Played {
    /// Accesses that a finding judges, set-up left out.
    fn judged(&self, finding: &str) -> Vec<&Access> {
        let anchors = self.anchors.get(finding).into_iter().flatten();
        let rows = anchors.filter_map(|event| self.accesses.get(event));
        rows.filter(|row| {
            row.time >= self.start && row.identity.as_deref() != Some("lab-bootstrap")
        })
        .collect()
    }

    /// Findings whose anchor is one of the label's requests.
    fn of(&self, label: &Label) -> Vec<&Finding> {
        let mine = |row: &&Access| {
            row.source_event_id.as_ref().is_some_and(|id| label.audit_ids.contains(id))
        };
        let found = self.findings.values();
        found
            .filter(|row| row.state != FindingState::Withdrawn)
            .filter(|row| self.judged(&row.finding_id.0).iter().any(&mine))
            .collect()
    }

    /// Whether a finding opened an incident, or alone would have.
    fn opens(&self, finding: &Finding) -> bool {
        let alone =
            finding.severity_id >= severity::HIGH && finding.state != FindingState::Learning;
        self.openers.contains(&finding.finding_id.0) || alone
    }

    fn verdict(&self, label: &Label) -> (bool, String) {
        let findings = self.of(label);
        let opens = findings.iter().any(|row| self.opens(row));
        let is_blindness = |row: &&&Finding| row.detector == "blindness";
        let fine = match expected(&label.scenario, &label.kind) {
            Expected::Incident => opens,
            Expected::Finding => !findings.is_empty(),
            Expected::Blindness => findings.iter().any(|row| is_blindness(&row)),
            Expected::NoIncident => !opens,
            Expected::Anything => true,
        };
        let said: Vec<String> = findings
            .iter()
            .map(|row| {
                format!(
                    "{}{}:{}",
                    severity::name(row.severity_id),
                    if self.opens(row) { "!" } else { "" },
                    row.rule_id.as_deref().unwrap_or(&row.detector)
                )
            })
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        (fine, said.join(", "))
    }

    /// Incidents that were opened on no label's requests.
    fn strays(&self, labels: &[Label]) -> Vec<String> {
        let labelled: BTreeSet<&String> =
            labels.iter().flat_map(|label| &label.audit_ids).collect();
        let opened = self.openers.iter().filter_map(|id| self.findings.get(id));
        opened
            .filter(|row| row.state != FindingState::Withdrawn)
            .filter(|row| {
                let judged = self.judged(&row.finding_id.0);
                let mine = |row: &&Access| {
                    row.source_event_id.as_ref().is_some_and(|id| labelled.contains(id))
                };
                !judged.is_empty() && !judged.iter().any(mine)
            })
            .map(|row| format!("{} {}: {}", row.time, row.title, row.reason))
            .collect()
    }
}

/// Scenario: the recordings under the production policy, each whole.
/// Guarantees: what the table says of each story, and no incident on what nobody labelled.
#[test]
fn recordings_are_judged_whole() {
    let Some(dir) = recordings("recordings_are_judged_whole") else { return };
    let mut wrong = Vec::new();
    for name in ["a-production", "d-stratus", "e-benign", "f-production"] {
        let labels = labels(&dir.join(name));
        let played = Recorded::read(&dir.join(name)).play(|_| true);
        for label in &labels {
            let (fine, said) = played.verdict(label);
            println!("{name} {} {}: {said}", if fine { "ok   " } else { "WRONG" }, label.scenario);
            if !fine {
                wrong.push(format!(
                    "{name} {} ({:?}): {said}",
                    label.scenario,
                    expected(&label.scenario, &label.kind)
                ));
            }
        }
        wrong.extend(
            played.strays(&labels).into_iter().map(|stray| format!("{name} stray: {stray}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Scenario: each story cut out alone, benign ones too, with the state at its recording's start.
/// Guarantees: the same verdicts: no story needs its neighbours.
#[test]
fn stories_are_judged_alone() {
    let Some(dir) = recordings("stories_are_judged_alone") else { return };
    let mut wrong = Vec::new();
    for name in ["a-production", "d-stratus", "e-benign", "f-production"] {
        let recorded = Recorded::read(&dir.join(name));
        for label in &labels(&dir.join(name)) {
            let within = |row: &Access| {
                row.time >= label.start.plus(-1_000_000) && row.time <= label.end.plus(1_000_000)
            };
            let (fine, said) = recorded.play(within).verdict(label);
            if !fine {
                wrong.push(format!(
                    "{name} {} ({:?}): {said}",
                    label.scenario,
                    expected(&label.scenario, &label.kind)
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
