//! Findings -> incidents: what opens one, and what joins its story (DESIGN decision 17).
//!
//! One finding of high severity opens an incident, or two of medium severity by different
//! detectors that share a credential or a change within an hour. Later findings of the story join
//! it and open nothing. A story is that of the root identity of the lineage; a gap ends it.

use std::collections::BTreeSet;

use durward_schemas::ids::{FindingId, IncidentId};
use durward_schemas::tables::Incident;
use durward_schemas::values::{FindingState, severity};
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::finding::{Cause, Known};
use crate::memory::Memory;
use crate::owe::Tale;
use crate::settings::Settings;

/// Stories, incidents, and shared credentials and changes remembered, of each.
const MOST: usize = 5_000;

/// Findings of medium severity that wait for a second one at the same credential or change.
const MOST_WAITING: usize = 8;

/// All stories that can still grow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stories {
    /// By cluster and root identity.
    running: Memory<(String, String), Running>,
    /// By incident id.
    tales: Memory<String, Tale>,
    /// By cluster and what is shared.
    waiting: Memory<(String, String), Vec<Waiting>>,
    /// Incidents with something new, by id.
    touched: BTreeSet<String>,
}

/// The incident of a running story, and the time of its latest finding.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Running {
    incident_id: String,
    last_time: i64,
}

/// A finding of medium severity that opened nothing by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    finding_id: String,
    detector: String,
    time: i64,
}

impl Default for Stories {
    fn default() -> Self {
        Self {
            running: Memory::of(MOST),
            tales: Memory::of(MOST),
            waiting: Memory::of(MOST),
            touched: BTreeSet::new(),
        }
    }
}

impl Stories {
    /// Takes a new version of a finding; the waiting finding that it opens an incident with, if any.
    pub(crate) fn take(&mut self, known: &mut Known, settings: &Settings) -> Option<FindingId> {
        if let Some(incident) = known.row.incident_id.clone() {
            if known.row.state == FindingState::BelowBudget {
                known.row.state = FindingState::Grouped;
            }
            self.add(known, &incident);
            return None;
        }
        let story = known.more.story.clone()?;
        if known.row.state != FindingState::BelowBudget {
            return None;
        }
        let key = (cluster(known), story);
        if let Some(incident) = self.running_at(&key, known.more.last_time, settings.story_gap) {
            known.row.state = FindingState::Grouped;
            self.add(known, &incident);
        } else if known.row.severity_id >= severity::HIGH {
            self.open(known, key.1);
        } else if known.row.severity_id >= severity::MEDIUM && known.row.detector != "blindness" {
            let partner = self.partner(known, settings.pair_within);
            if partner.is_some() {
                self.open(known, key.1);
            }
            return partner;
        }
        None
    }

    /// The waiting finding joins the incident that the second one opened.
    pub(crate) fn pair(&mut self, waiting: &mut Known, opened: &IncidentId) {
        if waiting.row.incident_id.is_none() {
            waiting.row.state = FindingState::Alerted;
            self.add(waiting, opened);
        }
    }

    /// New versions of incidents with something new, each with what is owed for it.
    pub(crate) fn versions(&mut self, cause: Cause) -> Vec<(Incident, Alert)> {
        let touched = std::mem::take(&mut self.touched);
        let tales = &mut self.tales;
        let version = |id: &String| tales.get(id).map(|tale| tale.next_version(cause));
        touched.iter().filter_map(version).collect()
    }

    fn running_at(&self, key: &(String, String), time: i64, gap: i64) -> Option<IncidentId> {
        let running = self.running.peek(key)?;
        let is_near = time.abs_diff(running.last_time) <= gap.unsigned_abs();
        is_near.then(|| running.incident_id.as_str().into())
    }

    fn open(&mut self, known: &mut Known, story: String) {
        let incident = IncidentId::of(&known.row.finding_id);
        known.row.state = FindingState::Alerted;
        let tale = Tale::opened_by(known, &incident, story);
        self.tales.insert(incident.to_string(), tale);
        self.add(known, &incident);
    }

    /// The finding is part of the incident from now on, with what it says now.
    fn add(&mut self, known: &mut Known, incident: &IncidentId) {
        known.row.incident_id = Some(incident.clone());
        if let Some(tale) = self.tales.get(&incident.to_string()) {
            tale.take(known);
            self.touched.insert(incident.to_string());
        }
        if let Some(story) = &known.more.story {
            let key = (cluster(known), story.clone());
            let new = || Running { incident_id: incident.to_string(), last_time: i64::MIN };
            let running = self.running.entry(&key, new);
            running.incident_id = incident.to_string();
            running.last_time = running.last_time.max(known.more.last_time);
        }
    }

    /// A waiting finding of another detector that shares a credential or a change; else this one waits.
    fn partner(&mut self, known: &Known, within: i64) -> Option<FindingId> {
        let mine = Waiting {
            finding_id: known.row.finding_id.to_string(),
            detector: known.row.detector.clone(),
            time: known.more.last_time,
        };
        for shared in shared(known) {
            let waiting = self.waiting.entry(&(cluster(known), shared), Vec::new);
            let is_partner = |other: &&Waiting| {
                other.detector != mine.detector
                    && other.time.abs_diff(mine.time) <= within.unsigned_abs()
            };
            if let Some(other) = waiting.iter().find(is_partner) {
                return Some(other.finding_id.as_str().into());
            }
            if waiting.iter().all(|other| other.finding_id != mine.finding_id) {
                waiting.push(mine.clone());
                // The newest are the ones that something can still be near to.
                waiting.drain(..waiting.len().saturating_sub(MOST_WAITING));
            }
        }
        None
    }
}

/// What two findings may have in common.
fn shared(known: &Known) -> Vec<String> {
    let credential = known.row.credential_id.iter().map(|id| format!("credential {id}"));
    let changes = known.row.change_ids.iter().flatten().map(|id| format!("change {id}"));
    credential.chain(changes).collect()
}

fn cluster(known: &Known) -> String {
    known.row.cluster.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use durward_schemas::tables::Finding;
    use durward_schemas::time::HOUR;

    use super::*;
    use crate::finding::More;

    /// A finding by a detector, of a credential, with a change, at a time.
    fn finding(detector: &str, credential: &str, change: &str, time: i64) -> Known {
        let row = Finding {
            finding_id: format!("{detector} {credential} {change} {time}").into(),
            detector: detector.into(),
            severity_id: severity::MEDIUM,
            credential_id: Some(credential.into()),
            change_ids: Some(vec![change.into()]),
            ..Finding::default()
        };
        let story = Some(format!("holder of {credential}"));
        Known { row, more: More { story, last_time: time, ..More::default() } }
    }

    /// Whether the second of two findings opens an incident with the first.
    fn check(first: Known, second: Known, expected: bool) {
        let (mut first, mut second) = (first, second);
        let mut stories = Stories::default();
        assert_eq!(stories.take(&mut first, &Settings::default()), None);
        let partner = stories.take(&mut second, &Settings::default());
        assert_eq!(
            partner.is_some(),
            expected,
            "{} {}",
            first.row.finding_id,
            second.row.finding_id
        );
        assert_eq!(second.row.incident_id.is_some(), expected);
    }

    /// Scenario: pairs of findings of medium severity that share something or nothing, near and far, by one or two detectors.
    /// Guarantees: two detectors, one credential or change, one hour: else there is no incident; blindness and learners do not count.
    #[test]
    fn pairs_open_incidents() {
        let first = || finding("sigma", "a", "x", 0);
        check(first(), finding("first_seen", "a", "y", HOUR), true);
        check(first(), finding("first_seen", "b", "x", HOUR), true);
        check(first(), finding("first_seen", "a", "x", HOUR + 1), false);
        check(first(), finding("first_seen", "b", "y", 0), false);
        check(first(), finding("sigma", "a", "x", 1), false);
        check(first(), finding("blindness", "a", "x", 1), false);
        check(finding("blindness", "a", "x", 0), finding("sigma", "a", "x", 1), false);
        let mut learning = finding("first_seen", "a", "x", 1);
        learning.row.state = FindingState::Learning;
        check(first(), learning, false);
        let mut low = finding("first_seen", "a", "x", 1);
        low.row.severity_id = severity::LOW;
        check(first(), low, false);
    }

    /// Scenario: more findings of one credential than may wait.
    /// Guarantees: the newest still wait, and what waits stays bounded.
    #[test]
    fn what_waits_is_bounded() {
        let mut stories = Stories::default();
        for time in 0..50 {
            stories.take(&mut finding("sigma", "a", &time.to_string(), time), &Settings::default());
        }
        let waiting = stories.waiting.peek(&(String::new(), "credential a".into()));
        assert_eq!(waiting.map(Vec::len), Some(MOST_WAITING));
        let partner = stories.take(&mut finding("first_seen", "a", "z", 50), &Settings::default());
        assert!(partner.is_some_and(|partner| partner.as_str() == "sigma a 42 42"));
    }
}
