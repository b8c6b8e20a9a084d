//! An incident as it grows, and the alert that is owed for each of its versions.

use std::collections::BTreeSet;

use durward_schemas::Time;
use durward_schemas::ids::IncidentId;
use durward_schemas::tables::Incident;
use durward_schemas::values::{FindingState, severity};
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Story};
use crate::finding::{Cause, Known};
use crate::sentence;

/// Findings of one incident that are kept one by one; of more, only numbers.
const MOST_PARTS: usize = 50;

/// Sentences that an alert tells; the others are counted.
const MOST_TOLD: usize = 3;

/// One incident: its findings, and what was last said about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tale {
    incident_id: String,
    version: i64,
    opened_by: String,
    cluster: Option<String>,
    /// The root identity of the story.
    identity: String,
    first_time: i64,
    last_time: i64,
    parts: Vec<Part>,
    /// Findings beyond the parts, and their events.
    more: BTreeSet<String>,
    more_events: i64,
    more_severity: i64,
}

/// One finding of an incident, as it says now.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    finding_id: String,
    severity_id: i64,
    withdrawn: bool,
    events: i64,
    techniques: Vec<String>,
    told: Story,
}

impl Tale {
    /// An incident without parts yet.
    pub(crate) fn opened_by(known: &Known, incident: &IncidentId, identity: String) -> Self {
        Self {
            incident_id: incident.to_string(),
            version: 0,
            opened_by: known.row.finding_id.to_string(),
            cluster: known.row.cluster.clone(),
            identity,
            first_time: known.row.time.0,
            last_time: known.more.last_time,
            parts: Vec::new(),
            more: BTreeSet::new(),
            more_events: 0,
            more_severity: 0,
        }
    }

    /// Takes what a finding of it says now.
    pub(crate) fn take(&mut self, known: &Known) {
        self.first_time = self.first_time.min(known.row.time.0);
        self.last_time = self.last_time.max(known.more.last_time);
        let part = Part {
            finding_id: known.row.finding_id.to_string(),
            severity_id: known.row.severity_id,
            withdrawn: known.row.state == FindingState::Withdrawn,
            events: known.more.events,
            techniques: known.row.techniques.clone().unwrap_or_default(),
            told: known.more.told.clone(),
        };
        if let Some(old) = self.parts.iter_mut().find(|old| old.finding_id == part.finding_id) {
            *old = part;
        } else if self.parts.len() < MOST_PARTS {
            self.parts.push(part);
        } else if self.more.insert(part.finding_id) {
            self.more_events += part.events;
            self.more_severity = self.more_severity.max(part.severity_id);
        }
    }

    /// The next version of the incident, and what is owed for it.
    pub(crate) fn next_version(&mut self, cause: Cause) -> (Incident, Alert) {
        self.version += 1;
        let alert = self.alert(cause);
        let incident = Incident {
            incident_id: alert.incident_id.clone(),
            version: self.version,
            recorded_time: cause.recorded,
            log_position: cause.log_position,
            opened_by_finding_id: self.opened_by.as_str().into(),
            cluster: self.cluster.clone(),
            identity: Some(self.identity.clone()),
            title: alert.story.title.clone(),
            severity_id: alert.severity_id,
            status: "open".into(),
            opened_time: alert.first_time,
            last_time: alert.last_time,
            finding_count: alert.finding_count,
            event_count: alert.event_count,
            summary: summary(&alert),
            merged_into: None,
        };
        (incident, alert)
    }

    fn alert(&self, cause: Cause) -> Alert {
        let parts = self.by_gravity();
        let standing = self.parts.iter().filter(|part| !part.withdrawn);
        let worst = standing.map(|part| part.severity_id).max();
        let severity_id = worst.unwrap_or(severity::INFORMATIONAL).max(self.more_severity);
        let more = i64::try_from(self.more.len()).unwrap_or(i64::MAX);
        let techniques: BTreeSet<&String> = parts.iter().flat_map(|p| &p.techniques).collect();
        Alert {
            incident_id: self.incident_id.as_str().into(),
            version: self.version,
            log_position: cause.log_position,
            severity_id,
            cluster: self.cluster.clone(),
            first_time: Time(self.first_time),
            last_time: Time(self.last_time),
            finding_count: i64::try_from(self.parts.len()).unwrap_or(i64::MAX) + more,
            event_count: self.parts.iter().map(|part| part.events).sum::<i64>() + self.more_events,
            grave_sorts: self.grave_sorts(),
            techniques: techniques.into_iter().cloned().collect(),
            story: story(&parts, worst.is_none()),
        }
    }

    fn grave_sorts(&self) -> i64 {
        let is_grave = |part: &&Part| !part.withdrawn && part.severity_id >= severity::HIGH;
        let grave = self.parts.iter().filter(is_grave).map(|part| &part.told.title);
        i64::try_from(grave.collect::<BTreeSet<_>>().len()).unwrap_or(i64::MAX)
    }

    /// The gravest finding first; among equals the earlier.
    fn by_gravity(&self) -> Vec<&Part> {
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(|part| (part.withdrawn, -part.severity_id));
        parts
    }
}

/// The argument of the gravest finding, with what the next ones say.
fn story(parts: &[&Part], withdrawn: bool) -> Story {
    let Some(lead) = parts.first() else { return Story::default() };
    let mut story = lead.told.clone();
    if withdrawn {
        story.title = format!("Taken back by later evidence: {}", story.title);
    }
    // One sentence for each sort of finding: the first of a sort stands for the others.
    let mut titles = BTreeSet::new();
    let mut sorts = parts.iter().filter(|part| titles.insert(&part.told.title));
    let says = |part: &&Part| part.told.what.first().cloned();
    story.what = sorts.by_ref().filter_map(says).take(MOST_TOLD).collect();
    let other =
        |of: fn(&Story) -> Option<&String>| parts.iter().find_map(|part| of(&part.told)).cloned();
    story.what_changed = other(|told| told.what_changed.as_ref());
    story.why_possible = story.why_possible.or_else(|| other(|told| told.why_possible.as_ref()));
    story
}

/// The story in a paragraph.
fn summary(alert: &Alert) -> String {
    let mut text = alert.story.what.join(". ");
    let told = i64::try_from(alert.story.what.len()).unwrap_or(i64::MAX);
    if alert.finding_count > told {
        let more = sentence::count(alert.finding_count - told, "more finding");
        text = format!("{text}. And {more}");
    }
    if let Some(why) = &alert.story.why_possible {
        text = format!("{text}. Possible because {why}");
    }
    if let Some(change) = &alert.story.what_changed {
        text = format!("{text}. Before that: {change}");
    }
    format!("{text}.")
}
