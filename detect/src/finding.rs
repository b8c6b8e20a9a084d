//! Hits -> findings: new evidence makes a new version, never a second finding.
//!
//! A finding below the budget that repeats is counted: one finding for each judge, identity, kind of
//! object and UTC day of event time (DESIGN decision 26), see `counted`.

use std::collections::BTreeSet;

use durward_schemas::cell::Json;
use durward_schemas::ids::{EventId, FindingId, LogPosition};
use durward_schemas::shares;
use durward_schemas::tables::{Finding, FindingEvent};
use durward_schemas::values::{EventRole, FindingState, severity};
use durward_schemas::{Identity, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::alert::Story;
use crate::argument;
use crate::counted::{self, Single};
use crate::detector::{Hit, Seen};
use crate::lineage::Origin;
use crate::memory::{Look, Memory};
use crate::settings::Settings;
use crate::story::story_time;
use crate::suppress;

/// Findings that can still get new evidence.
const MOST: usize = 20_000;

/// Counted hits that may still pair with another finding.
const MOST_SINGLES: usize = 5_000;

/// Events that a finding's own row names; `finding_events` has all.
const MOST_EVENTS: usize = 20;

/// The row that something new comes with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cause {
    pub log_position: LogPosition,
    pub recorded: Time,
}

/// One hit with the row that it is about, and where its story began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scored<'a> {
    pub detector: &'a str,
    pub hit: &'a Hit,
    pub seen: Seen<'a>,
    pub origin: &'a Origin,
    pub cause: Cause,
    pub settings: &'a Settings,
}

/// A finding as it is known now.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub row: Finding,
    pub more: More,
}

/// What is known beyond the row of the table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct More {
    /// Number of events.
    pub events: i64,
    /// Requests that still anchor it.
    pub anchors: i64,
    /// Times of the earliest and the latest anchor, in microseconds.
    pub first_time: i64,
    pub last_time: i64,
    /// Root identity of the story that it belongs to; absent if it belongs to nobody.
    pub story: Option<String>,
    /// Credentials, changes and the identity that it may share with another finding.
    pub shared: Vec<String>,
    /// What is judged; two findings about one anchor are no pair.
    pub anchor: String,
    /// Judge, identity and kind of object: what can be a habit.
    pub habit: String,
    /// It stands for all hits of one habit and day.
    pub counted: bool,
    /// Hits that left this count for findings of their own.
    pub promoted: i64,
    /// The argument.
    pub told: Story,
    /// Salience of the row that the argument is made of.
    pub telling: i64,
    /// Something other than the number of events is new since the last version.
    pub news: bool,
    /// Its detector is still learning.
    pub learning: bool,
}

/// All findings that can still change.
#[derive(Debug)]
pub(crate) struct Findings {
    known: Memory<FindingId, Known>,
    /// What changed since the last look at what is due, and what was not due then.
    touched: BTreeSet<FindingId>,
    waiting: BTreeSet<FindingId>,
    events: Vec<FindingEvent>,
    /// Hits of counted findings that may still open an incident.
    singles: Memory<FindingId, Single>,
    /// Counted hits since the last look.
    fresh: Vec<Single>,
}

impl Default for Findings {
    fn default() -> Self {
        Self {
            known: Memory::of(MOST),
            touched: BTreeSet::new(),
            waiting: BTreeSet::new(),
            events: Vec::new(),
            singles: Memory::of(MOST_SINGLES),
            fresh: Vec::new(),
        }
    }
}

impl Findings {
    /// Its memories.
    pub(crate) fn memories(&self, look: Look<'_>) {
        look("findings", &self.known);
        look("counted_findings", &self.singles);
    }

    /// Applies a hit: a new finding, new evidence for one, or one more of a counted one.
    pub(crate) fn take(&mut self, scored: Scored<'_>) -> FindingId {
        let id = scored.hit.finding_id(scored.detector, scored.seen.row.cluster.as_deref());
        if counted::is_counted(scored.hit) && self.known.peek(&id).is_none() {
            self.count(&id, scored);
        } else {
            self.update(&id, scored);
        }
        id
    }

    fn update(&mut self, id: &FindingId, scored: Scored<'_>) {
        self.touched.insert(id.clone());
        let mut events = Vec::new();
        let known = self.known_or_first(id, scored);
        known.evidence(scored, &mut events);
        known.set_state(scored.settings);
        self.events.extend(events);
    }

    fn known_or_first(&mut self, id: &FindingId, scored: Scored<'_>) -> &mut Known {
        let made = if self.known.peek(id).is_none() { Some(first(id, scored)) } else { None };
        let owner = made.as_ref().map(Known::owner).unwrap_or_default();
        self.known.entry(id, || owner, || made.unwrap_or_else(|| first(id, scored)))
    }

    fn count(&mut self, id: &FindingId, scored: Scored<'_>) {
        let group = counted::group_id(scored);
        self.update(&group, scored);
        self.known_or_first(&group, scored).more.counted = true;
        let single = self.singles.remove(id);
        let mut single = single.unwrap_or_else(|| Single::new(first(id, scored), group.clone()));
        let mut events = Vec::new();
        single.known.evidence(scored, &mut events);
        single.known.set_state(scored.settings);
        single.add(&events);
        if scored.hit.role == EventRole::Anchor {
            self.fresh.push(single);
        }
    }

    /// Counted hits since the last call.
    pub(crate) fn fresh(&mut self) -> Vec<Single> {
        std::mem::take(&mut self.fresh)
    }

    /// Keeps a counted hit for as long as another finding may pair with it.
    pub(crate) fn keep(&mut self, single: Single) {
        if single.known.row.severity_id >= severity::MEDIUM {
            let owner = single.known.owner();
            self.singles.insert(single.known.row.finding_id.clone(), &owner, single);
        }
    }

    /// The counted hit of this id, to make it a finding of its own.
    pub(crate) fn single(&mut self, id: &FindingId) -> Option<Single> {
        self.singles.remove(id)
    }

    /// A counted hit becomes a finding of its own and leaves the count.
    pub(crate) fn promote(&mut self, single: Single, cause: Cause) -> FindingId {
        let Single { mut known, group, events } = single;
        let id = known.row.finding_id.clone();
        if let Some(counted) = self.touch(&group) {
            counted.leave(&events);
            counted.more.promoted += 1;
        }
        let own = events.iter().map(|(event, role)| FindingEvent {
            finding_id: id.clone(),
            version: 1,
            event_id: EventId::from(event.as_str()),
            role: role.parse().unwrap_or_default(),
            log_position: cause.log_position,
            ingest_time: cause.recorded,
        });
        self.events.extend(own);
        known.more.news = true;
        let owner = known.owner();
        self.known.insert(id.clone(), &owner, known);
        self.touched.insert(id.clone());
        id
    }

    /// The request no longer anchors the finding, its own or the counted one.
    pub(crate) fn withdraw(&mut self, id: &FindingId, group: &FindingId) {
        if let Some(known) = self.touch(id) {
            known.withdraw();
        } else {
            self.singles.remove(id);
            if let Some(counted) = self.touch(group) {
                counted.withdraw();
            }
        }
    }

    /// The finding, or the one that it is counted in, to change it.
    pub(crate) fn touch_any(&mut self, id: &FindingId) -> Option<&mut Known> {
        let counted = self.singles.peek(id).map(|single| single.group.clone());
        self.touch(counted.as_ref().unwrap_or(id))
    }

    /// The finding, to change it.
    pub(crate) fn touch(&mut self, id: &FindingId) -> Option<&mut Known> {
        let known = self.known.get(id)?;
        self.touched.insert(id.clone());
        Some(known)
    }

    /// What is due for a new version. A number of events alone makes one up to twenty events, then
    /// when it doubles, and at ticks.
    pub(crate) fn due(&mut self, is_tick: bool) -> Vec<FindingId> {
        // What waits was looked at and has not changed since.
        let mut due = if is_tick { std::mem::take(&mut self.waiting) } else { BTreeSet::new() };
        for id in std::mem::take(&mut self.touched) {
            if is_tick || self.known.peek(&id).is_none_or(Known::is_worth_a_version) {
                self.waiting.remove(&id);
                due.insert(id);
            } else {
                self.waiting.insert(id);
            }
        }
        due.into_iter().collect()
    }

    /// The finding, if it can still change.
    pub(crate) fn get(&mut self, id: &FindingId) -> Option<&mut Known> {
        self.known.get(id)
    }

    /// Events that came since the last call.
    pub(crate) fn new_events(&mut self) -> Vec<FindingEvent> {
        std::mem::take(&mut self.events)
    }

    /// Everything, for a checkpoint.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// What waits for its next version.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &FindingId> {
        self.waiting.union(&self.touched)
    }

    /// Takes back a finding from a checkpoint.
    pub(crate) fn restore(&mut self, known: Known) {
        let owner = known.owner();
        self.known.insert(known.row.finding_id.clone(), &owner, known);
    }

    /// Counted hits that may still pair, for a checkpoint.
    pub(crate) fn singles(&self) -> impl Iterator<Item = &Single> {
        self.singles.values()
    }

    /// Takes back what waits.
    pub(crate) fn restore_waiting(&mut self, waiting: BTreeSet<FindingId>) {
        self.waiting = waiting;
    }
}

impl Known {
    /// Whose it is, for a memory with a bound: what `detector::owner` says of the rows that it is about.
    pub(crate) fn owner(&self) -> String {
        let row = &self.row;
        let cluster = row.cluster.as_deref().unwrap_or_default();
        let identity = row.identity.as_deref().unwrap_or_default();
        let kind = row.identity_kind.unwrap_or_default();
        let who = Identity { kind, realm: None, name: Some(identity.to_owned()) };
        let namespace = who.service_account().map(|(namespace, _)| namespace);
        shares::owner(&[cluster, namespace.unwrap_or(kind.as_str()), identity])
    }

    /// The row and its evidence join the finding.
    fn evidence(&mut self, scored: Scored<'_>, events: &mut Vec<FindingEvent>) {
        let Scored { hit, seen, cause, .. } = scored;
        if self.row.severity_id < hit.severity_id {
            self.restate(hit);
        }
        if hit.role == EventRole::Anchor {
            self.more.anchors += 1;
            self.retell(hit, seen);
        }
        if self.row.state == FindingState::Withdrawn {
            self.row.state = FindingState::BelowBudget;
            self.restate(hit);
        }
        let time = story_time(seen.row, scored.settings);
        self.more.first_time = self.more.first_time.min(time);
        self.more.last_time = self.more.last_time.max(time);
        self.add_event(&seen.row.event_id, hit.role, cause, events);
        if let Some(maker) = &hit.maker {
            let made = EventId::from(maker.event_id.as_str());
            self.add_event(&made, EventRole::Anchor, cause, events);
        }
        for event_id in &hit.evidence {
            self.add_event(event_id, EventRole::Evidence, cause, events);
        }
    }

    fn set_state(&mut self, settings: &Settings) {
        if self.row.incident_id.is_none() {
            self.row.state = suppress::state(&self.row, self.more.learning, settings);
        }
    }

    /// The most telling row of many is the one to tell of.
    fn retell(&mut self, hit: &Hit, seen: Seen<'_>) {
        let telling = argument::telling(seen.row);
        if telling > self.more.telling && hit.severity_id >= self.row.severity_id {
            self.restate(hit);
            self.more.telling = telling;
            self.more.told = argument::story(hit, seen);
        }
    }

    fn add_event(
        &mut self,
        event_id: &EventId,
        role: EventRole,
        cause: Cause,
        events: &mut Vec<FindingEvent>,
    ) {
        // What of our own was lost is the doing of no event.
        if event_id.as_str().is_empty() {
            return;
        }
        let named = self.row.event_ids.get_or_insert_default();
        if named.iter().any(|named| named == event_id.as_str()) {
            return;
        }
        if named.len() < MOST_EVENTS {
            named.push(event_id.to_string());
        }
        self.more.events += 1;
        events.push(FindingEvent {
            finding_id: self.row.finding_id.clone(),
            version: self.row.version + 1,
            event_id: event_id.clone(),
            role,
            log_position: cause.log_position,
            ingest_time: cause.recorded,
        });
    }

    /// What a graver or later hit says takes the place of what was said.
    pub(crate) fn restate(&mut self, hit: &Hit) {
        self.row.severity_id = hit.severity_id;
        self.row.reason.clone_from(&hit.reason);
        self.row.title.clone_from(&hit.title);
        self.row.p_value = hit.p_value;
        self.row.score_bits = bits(hit.p_value);
        self.row.ledger = ledger(hit);
        self.more.told.title.clone_from(&hit.title);
        self.more.told.what = vec![hit.reason.clone()];
        self.more.news = true;
    }

    /// A request no longer anchors the finding; without any it is taken back.
    pub(crate) fn withdraw(&mut self) {
        self.more.anchors -= 1;
        if self.more.anchors <= 0 {
            self.row.state = FindingState::Withdrawn;
            self.row.severity_id = severity::INFORMATIONAL;
            self.more.news = true;
        }
    }

    /// A hit became a finding of its own: its events are no longer of this count.
    fn leave(&mut self, events: &[(String, String)]) {
        let is_gone = |id: &String| events.iter().any(|(event, _)| event == id);
        self.row.event_ids.get_or_insert_default().retain(|id| !is_gone(id));
        self.more.events -= i64::try_from(events.len()).unwrap_or_default();
        self.withdraw();
        self.more.news = true;
    }

    /// An edge of a row that anchors the finding is another now.
    pub(crate) fn relink(&mut self, seen: Seen<'_>) {
        self.row.workload.clone_from(&seen.row.workload);
        add(&mut self.row.change_ids, seen.row.change_id.as_ref().map(ToString::to_string));
        add(&mut self.row.trace_ids, seen.row.trace_id.clone());
        let changed = argument::what_changed(seen);
        self.more.told.what_changed = changed.or(self.more.told.what_changed.take());
        self.more.news = true;
    }

    fn is_worth_a_version(&self) -> bool {
        let events = self.more.events;
        self.more.news || events <= 20 || events.count_ones() == 1
    }

    /// The next version of its row.
    pub(crate) fn next_version(&mut self, cause: Cause) -> Finding {
        self.more.news = false;
        self.row.version += 1;
        self.row.recorded_time = cause.recorded;
        self.row.ingest_time = cause.recorded;
        self.row.log_position = cause.log_position;
        self.row.clone()
    }
}

/// A finding that has no version yet.
fn first(id: &FindingId, scored: Scored<'_>) -> Known {
    let Scored { detector, hit, seen, origin, .. } = scored;
    let row = seen.row;
    let mut finding = Finding {
        time: row.time,
        finding_id: id.clone(),
        detector: detector.to_owned(),
        rule_id: hit.rule.clone(),
        title: hit.title.clone(),
        reason: hit.reason.clone(),
        severity_id: hit.severity_id,
        cluster: row.cluster.clone(),
        identity: row.identity.clone(),
        identity_kind: Some(row.identity_kind),
        workload: row.workload.clone(),
        credential_id: row.credential_id.clone(),
        p_value: hit.p_value,
        score_bits: bits(hit.p_value),
        ledger: ledger(hit),
        techniques: Some(hit.techniques.clone()).filter(|list| !list.is_empty()),
        ..Finding::default()
    };
    let made = seen.change.map(|change| change.change_id.to_string());
    for change in [made, row.change_id.as_ref().map(ToString::to_string)] {
        add(&mut finding.change_ids, change);
    }
    add(&mut finding.trace_ids, row.trace_id.clone());
    if let Some(maker) = &hit.maker {
        finding.identity = Some(maker.identity.clone());
        finding.identity_kind = maker.identity_kind.parse().ok();
        finding.credential_id = maker.credential_id.clone().map(Into::into);
        finding.workload = None;
        add(&mut finding.change_ids, Some(maker.change_id.clone()));
    }
    let more = More {
        first_time: story_time(row, scored.settings),
        last_time: story_time(row, scored.settings),
        story: origin.story.clone().filter(|_| !hit.nobody),
        shared: counted::shared(scored),
        anchor: hit.anchor.clone(),
        habit: counted::habit(scored),
        told: argument::story(hit, seen),
        telling: argument::telling(row),
        news: true,
        learning: hit.learning,
        ..More::default()
    };
    Known { row: finding, more }
}

fn add(list: &mut Option<Vec<String>>, item: Option<String>) {
    let Some(item) = item else { return };
    let list = list.get_or_insert_default();
    if !list.contains(&item) && list.len() < MOST_EVENTS {
        list.push(item);
    }
}

/// Bits of surprise: each halves the chance of an accident.
fn bits(p_value: Option<f64>) -> Option<f64> {
    p_value.map(|p| -p.log2())
}

fn ledger(hit: &Hit) -> Json {
    let mut parts = hit.ledger.clone();
    if let Some(counts) = &hit.unusual {
        parts.push(serde_json::json!({ "counts": counts }));
    }
    Json(Value::Array(parts).to_string())
}
