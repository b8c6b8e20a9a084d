//! The alone figure: each labelled attack on an otherwise benign day, without the other attacks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use durward_ingest::{Format, Reading};
use durward_schemas::tables::Access;
use durward_schemas::time::SECOND;
use durward_schemas::values::FindingState;

use crate::judgements::{Label, labels};
use crate::story::{Stage, recordings, said, unpacked};

/// Share of the attacks that have to be in an incident when no other story runs.
const FLOOR: f64 = 0.7;

/// An attack's requests may be judged by what comes within this time after them.
const AFTER: i64 = 20 * SECOND;

/// Rows of one recording, and which label each belongs to.
struct Day {
    listed: Reading,
    rows: Vec<Access>,
    attacks: Vec<Label>,
}

impl Day {
    fn read(dir: &Path) -> Self {
        let stage = Stage::new();
        let mut audit = stage.read(Format::KubeAudit, &unpacked(&dir.join("audit.jsonl.zst")));
        audit.accesses.sort_by_key(|row| row.time);
        let attacks = labels(dir).into_iter().filter(|label| label.kind == "attack");
        Self {
            listed: stage.read(Format::KubeList, &unpacked(&dir.join("state-start.json.zst"))),
            rows: audit.accesses,
            attacks: attacks.collect(),
        }
    }

    /// Plays the benign rows once, and each attack from a copy of the state at its start.
    fn play(self) -> Outcome {
        let attackers: BTreeMap<String, usize> = self
            .attacks
            .iter()
            .enumerate()
            .flat_map(|(at, label)| label.audit_ids.iter().map(move |id| (id.clone(), at)))
            .collect();
        let attacker =
            |row: &Access| row.source_event_id.as_ref().and_then(|id| attackers.get(id)).copied();
        let mut order: Vec<usize> = (0..self.attacks.len()).collect();
        order.sort_by_key(|at| self.attacks[*at].start);
        let mut benign = Stage::new();
        benign.take(self.listed);
        let mut covered = Vec::new();
        let mut played = 0;
        for at in order {
            let label = &self.attacks[at];
            let start = self.rows.partition_point(|row| row.time < label.start.plus(-SECOND));
            benign.accesses(self.rows[played..start].iter().filter(|row| attacker(row).is_none()));
            played = start;
            let end = self.rows.partition_point(|row| row.time <= label.end.plus(AFTER));
            let alone = self.rows[start..end].iter();
            let mut stage = benign.copy();
            stage.accesses(alone.filter(|row| attacker(row).is_none_or(|other| other == at)));
            covered.push((label.scenario.clone(), covers(&benign, &stage, label)));
        }
        benign.accesses(self.rows[played..].iter().filter(|row| attacker(row).is_none()));
        Outcome { covered, stray: incidents(&benign) }
    }
}

struct Outcome {
    /// Each attack, and what its incident says.
    covered: Vec<(String, Option<String>)>,
    /// Incidents of the benign rows.
    stray: Vec<String>,
}

/// What the incident says that a finding about the attack's requests belongs to.
fn covers(before: &Stage, stage: &Stage, label: &Label) -> Option<String> {
    let mine: BTreeSet<&str> = stage
        .turns
        .iter()
        .flat_map(|turn| &turn.accesses)
        .filter(|row| row.source_event_id.as_ref().is_some_and(|id| label.audit_ids.contains(id)))
        .map(|row| row.event_id.as_str())
        .collect();
    let judged: BTreeSet<&str> = stage
        .judgements
        .iter()
        .flat_map(|judgement| &judgement.finding_events)
        .filter(|event| mine.contains(event.event_id.as_str()))
        .map(|event| event.finding_id.as_str())
        .collect();
    let findings: BTreeMap<_, _> = [before, stage]
        .iter()
        .flat_map(|stage| &stage.judgements)
        .flat_map(|judgement| &judgement.findings)
        .map(|finding| (finding.finding_id.as_str(), finding))
        .collect();
    let mut found: Vec<_> = findings
        .values()
        .filter(|finding| finding.state != FindingState::Withdrawn)
        .filter(|finding| judged.contains(finding.finding_id.as_str()))
        .collect();
    found.sort_by_key(|finding| (finding.incident_id.is_none(), -finding.severity_id));
    if std::env::var_os("DURWARD_SHOW").is_some() {
        for finding in &found {
            println!(
                "    {} {} {} {:?} x{}",
                finding.severity_id,
                finding.rule_id.as_deref().unwrap_or(&finding.detector),
                finding.state,
                finding.identity,
                finding.event_ids.as_ref().map_or(0, Vec::len),
            );
        }
    }
    let first = found.first().filter(|finding| finding.incident_id.is_some())?;
    Some(first.title.clone())
}

/// Title of each incident, opened on what nobody labelled as an attack.
fn incidents(stage: &Stage) -> Vec<String> {
    let all = stage.judgements.iter().flat_map(|judgement| &judgement.incidents);
    let open: BTreeMap<_, _> = all
        .filter(|incident| incident.identity.as_deref() != Some("lab-bootstrap"))
        .map(|incident| (incident.incident_id.as_str(), incident))
        .collect();
    open.values().map(|it| format!("{:?} {}: {}", it.identity, it.title, it.summary)).collect()
}

/// Scenario: six recordings; of each the benign rows, and each of its attacks alone among them.
/// Guarantees: 70 % of the attacks are in an incident without the help of another, benign rows in none.
#[test]
fn attacks_are_found_alone() {
    let Some(dir) = recordings("attacks_are_found_alone") else { return };
    let names =
        ["a-production", "b-metadata", "c-careless", "d-stratus", "e-benign", "f-production"];
    check(&dir, &names, FLOOR);
}

/// Scenario: recordings of the oldest and the newest Kubernetes, each attack alone among the benign rows.
/// Guarantees: every attack is in an incident, benign rows are in none.
#[test]
fn attacks_are_found_in_every_release() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings");
    check(&dir, &["kubernetes-1.30", "kubernetes-1.37"], 1.0);
}

/// Plays the recordings of these names in `dir`, of whose attacks this share has to be in an incident.
fn check(dir: &Path, names: &[&str], floor: f64) {
    let (mut all, mut found, mut stray) = (0_u32, 0_u32, Vec::new());
    // The recordings have nothing to do with each other: as many are played at once as there are cores.
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let playing: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || Day::read(&dir.join(name)).play()))
            .collect();
        playing.into_iter().map(|played| played.join().expect("an outcome")).collect()
    });
    for (name, Outcome { covered, stray: more }) in names.iter().zip(outcomes) {
        let mine = covered.iter().filter(|(_, incident)| incident.is_some()).count();
        for (scenario, incident) in &covered {
            println!("{name} {scenario}: {}", incident.as_deref().unwrap_or("NO INCIDENT"));
        }
        said(&format!("alone: {name} {mine} of {}", covered.len()));
        all += u32::try_from(covered.len()).expect("few");
        found += u32::try_from(mine).expect("few");
        stray.extend(more.into_iter().map(|incident| format!("{name} {incident}")));
    }
    assert_eq!(stray, Vec::<String>::new());
    assert!(f64::from(found) >= floor * f64::from(all), "{found} of {all}");
}
