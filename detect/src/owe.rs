//! An incident as it grows, and the alert that is owed for each of its versions.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;
use durward_schemas::ids::IncidentId;
use durward_schemas::tables::Incident;
use durward_schemas::values::{FindingState, severity};
use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Kind, Story};
use crate::finding::{Cause, Known};
use crate::sentence;

/// Findings of one incident that are kept one by one; of more, only numbers, but for the first of each kind.
const MOST_PARTS: usize = 50;

/// Kinds of which the first finding is kept however many others came before.
const MOST_KINDS: usize = 50;

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
    /// Findings beyond the parts.
    more: BTreeMap<String, Brief>,
    /// What all findings come to.
    sum: Sum,
}

/// What all findings of an incident come to, kept as they come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Sum {
    events: i64,
    /// By title.
    kinds: BTreeMap<String, KindSum>,
    /// Number of standing findings by severity.
    severities: BTreeMap<i64, i64>,
}

/// All findings of one kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct KindSum {
    findings: i64,
    requests: i64,
    severity_id: i64,
}

/// What one finding adds to the sum.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Brief {
    title: String,
    severity_id: i64,
    withdrawn: bool,
    requests: i64,
    events: i64,
}

/// One finding of an incident, as it says now.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    finding_id: String,
    brief: Brief,
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
            first_time: known.more.first_time,
            last_time: known.more.last_time,
            parts: Vec::new(),
            more: BTreeMap::new(),
            sum: Sum::default(),
        }
    }

    /// Times of the earliest and the latest event.
    pub(crate) fn span(&self) -> (i64, i64) {
        (self.first_time, self.last_time)
    }

    /// Takes what a finding of it says now.
    pub(crate) fn take(&mut self, known: &Known) {
        self.first_time = self.first_time.min(known.more.first_time);
        self.last_time = self.last_time.max(known.more.last_time);
        let brief = Brief {
            title: known.row.title.clone(),
            severity_id: known.row.severity_id,
            withdrawn: known.row.state == FindingState::Withdrawn,
            requests: known.more.anchors.max(1),
            events: known.more.events,
        };
        let id = known.row.finding_id.as_str();
        let at = self.parts.iter().position(|part| part.finding_id == id);
        let before = match at.and_then(|at| self.parts.get(at)) {
            Some(part) => Some(part.brief.clone()),
            None => self.more.get(id).cloned(),
        };
        if let Some(before) = before {
            self.sum.add(&before, -1);
        }
        self.sum.add(&brief, 1);
        let is_new_kind = || self.parts.iter().all(|part| part.brief.title != brief.title);
        let is_part = at.is_some()
            || self.parts.len() < MOST_PARTS
            || (self.parts.len() < MOST_PARTS + MOST_KINDS && is_new_kind());
        if !is_part {
            self.more.insert(id.to_owned(), brief);
            return;
        }
        let part = Part {
            finding_id: id.to_owned(),
            brief,
            techniques: known.row.techniques.clone().unwrap_or_default(),
            told: known.more.told.clone(),
        };
        match at.and_then(|at| self.parts.get_mut(at)) {
            Some(old) => *old = part,
            None => self.parts.push(part),
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
        let worst = self.sum.severities.last_key_value().map(|(severity_id, _)| *severity_id);
        let severity_id = worst.unwrap_or(severity::INFORMATIONAL);
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
            event_count: self.sum.events,
            grave_sorts: self.sum.grave_kinds(),
            kinds: self.sum.kinds(),
            techniques: techniques.into_iter().cloned().collect(),
            story: story(&parts, worst.is_none()),
        }
    }

    /// The gravest finding first; among equals the earlier.
    fn by_gravity(&self) -> Vec<&Part> {
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(|part| (part.brief.withdrawn, -part.brief.severity_id));
        parts
    }
}

impl Sum {
    /// Adds a finding, or takes it away again with a sign of -1.
    fn add(&mut self, brief: &Brief, sign: i64) {
        self.events += sign * brief.events;
        if brief.withdrawn {
            return;
        }
        let standing = self.severities.entry(brief.severity_id).or_default();
        *standing += sign;
        if *standing <= 0 {
            self.severities.remove(&brief.severity_id);
        }
        let kind = self.kinds.entry(brief.title.clone()).or_default();
        kind.findings += sign;
        kind.requests += sign * brief.requests;
        kind.severity_id = kind.severity_id.max(brief.severity_id);
        if kind.findings <= 0 {
            self.kinds.remove(&brief.title);
        }
    }

    fn grave_kinds(&self) -> i64 {
        let is_grave = |kind: &&KindSum| kind.severity_id >= severity::HIGH;
        i64::try_from(self.kinds.values().filter(is_grave).count()).unwrap_or(i64::MAX)
    }

    /// Every kind with its count, the gravest first.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by_key(|(title, kind)| (-kind.severity_id, -kind.requests, *title));
        let kind =
            |(title, sum): (&String, &KindSum)| Kind { title: title.clone(), count: sum.requests };
        kinds.into_iter().map(kind).collect()
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
    if alert.finding_count > 1 {
        let findings = sentence::count(alert.finding_count, "finding");
        text = format!("{text}. {findings} in all: {}", alert.kinds().join(", "));
    }
    if let Some(why) = &alert.story.why_possible {
        text = format!("{text}. Possible because {why}");
    }
    if let Some(change) = &alert.story.what_changed {
        text = format!("{text}. Before that: {change}");
    }
    format!("{text}.")
}
