//! Findings -> incidents: what opens one, and what joins its story (DESIGN decision 17).
//!
//! One finding of high severity opens an incident, or two of at least medium severity by different
//! judges over different anchors, of which one is no habit, that share a credential, a change or an
//! identity within an hour. Later findings of the story join it and open nothing. A habit of before
//! the story is context: it neither joins nor renews. A gap ends a story.

use std::collections::BTreeSet;

use durward_schemas::ids::{FindingId, IncidentId};
use durward_schemas::tables::{Access, Incident};
use durward_schemas::time::SECOND;
use durward_schemas::values::{EventRole, FindingState, severity};
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::detector::blindness;
use crate::finding::{Cause, Known};
use crate::memory::{Look, Memory};
use crate::owe::Tale;
use crate::settings::Settings;

/// Incidents remembered, and keys by which findings find them.
const MOST: usize = 5_000;
const MOST_KEYS: usize = 20_000;

/// Stories of one identity that still run: what comes late joins the one of its time.
const MOST_RUNNING: usize = 4;

/// Habits remembered: judge, identity and kind of object.
const MOST_HABITS: usize = 50_000;

/// Findings that wait for a second one at the same credential, change or identity.
const MOST_WAITING: usize = 8;

/// What is seen again after so long is another occasion: the second occasion makes a habit.
const OCCASION: i64 = 30 * SECOND;

/// All stories that can still grow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stories {
    /// Incident ids by cluster and key: the root identity of a story, or a credential in it. Of several, the newest
    /// is the last, and a space stands between them.
    running: Memory<(String, String), String>,
    /// By incident id.
    tales: Memory<String, Tale>,
    /// By cluster and what is shared.
    waiting: Memory<(String, String), Vec<Waiting>>,
    /// When each habit was seen first, by cluster and habit.
    habits: Memory<(String, String), i64>,
    /// Incidents with something new, by id.
    touched: BTreeSet<String>,
}

/// A finding that another may pair with.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    finding_id: String,
    judge: String,
    anchor: String,
    habit: String,
    time: i64,
    is_high: bool,
}

/// What becomes of a finding that is in no incident yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It opens nothing and belongs to no story that runs.
    Alone,
    /// It is part of a story that runs; a finding of its own if it would have opened one.
    Joins { incident: IncidentId, own: bool },
    /// It opens an incident, with these.
    Opens(Vec<FindingId>),
}

impl Default for Stories {
    fn default() -> Self {
        Self {
            running: Memory::of(MOST_KEYS),
            tales: Memory::of(MOST),
            waiting: Memory::of(MOST_KEYS),
            habits: Memory::of(MOST_HABITS),
            touched: BTreeSet::new(),
        }
    }
}

impl Stories {
    /// Takes note that an identity does what a judge looks for.
    pub(crate) fn learn(
        &mut self,
        cluster: Option<&str>,
        owner: String,
        habit: String,
        role: EventRole,
        time: i64,
    ) {
        if role == EventRole::Anchor {
            let key = (cluster.unwrap_or_default().to_owned(), habit);
            let first = self.habits.entry(&key, || owner, || time);
            *first = time.min(*first);
        }
    }

    /// What becomes of a finding that is in no incident; it waits for others from now on.
    pub(crate) fn verdict(&mut self, known: &Known, settings: &Settings) -> Verdict {
        if known.more.story.is_none() || known.row.state != FindingState::BelowBudget {
            return Verdict::Alone;
        }
        let is_high = known.row.severity_id >= severity::HIGH;
        let partners = if known.row.severity_id >= severity::MEDIUM {
            self.partners(known, settings.pair_within)
        } else {
            Vec::new()
        };
        let opens = is_high || !partners.is_empty();
        match self.running_at(known, settings.story_gap) {
            Some(incident) if !is_high && self.is_context(known, &incident) => Verdict::Alone,
            Some(incident) => Verdict::Joins { incident, own: opens },
            None if opens => Verdict::Opens(partners),
            None => Verdict::Alone,
        }
    }

    /// Opens an incident by a finding.
    pub(crate) fn open(&mut self, known: &mut Known) -> IncidentId {
        let incident = IncidentId::of(&known.row.finding_id);
        let story = known.more.story.clone().unwrap_or_default();
        let tale = Tale::opened_by(known, &incident, story);
        self.tales.insert(incident.to_string(), &known.owner(), tale);
        self.join(known, &incident, FindingState::Alerted);
        incident
    }

    /// The finding is part of the incident from now on.
    pub(crate) fn join(&mut self, known: &mut Known, incident: &IncidentId, state: FindingState) {
        known.row.state = state;
        known.row.incident_id = Some(incident.clone());
        let credentials = known.more.shared.iter().filter(|key| key.starts_with("credential "));
        for key in story_key(known).into_iter().chain(credentials.cloned()) {
            let key = (cluster(known), key);
            let ids = self.running.peek(&key).map(String::as_str).unwrap_or_default();
            let others = ids.split(' ').filter(|id| !id.is_empty() && *id != incident.as_str());
            let mut ids: Vec<&str> = others.chain([incident.as_str()]).collect();
            ids.drain(..ids.len().saturating_sub(MOST_RUNNING));
            let ids = ids.join(" ");
            self.running.insert(key, &known.owner(), ids);
        }
        self.update(known);
    }

    /// A finding of an incident says something else now.
    pub(crate) fn update(&mut self, known: &mut Known) {
        let Some(incident) = known.row.incident_id.as_ref().map(ToString::to_string) else {
            return;
        };
        if known.row.state == FindingState::BelowBudget {
            known.row.state = FindingState::Grouped;
        }
        if let Some(tale) = self.tales.get(&incident) {
            tale.take(known);
            self.touched.insert(incident);
        }
    }

    /// Its memories.
    pub(crate) fn memories(&self, look: Look<'_>) {
        look("running_stories", &self.running);
        look("incidents", &self.tales);
        look("waiting_findings", &self.waiting);
        look("finding_habits", &self.habits);
    }

    /// New versions of incidents with something new, each with what is owed for it.
    pub(crate) fn versions(&mut self, cause: Cause) -> Vec<(Incident, Alert)> {
        let touched = std::mem::take(&mut self.touched);
        let tales = &mut self.tales;
        let version = |id: &String| tales.get(id).map(|tale| tale.next_version(cause));
        touched.iter().filter_map(version).collect()
    }

    /// Whether the incident's story still ran, or ran already, at the time of the finding.
    pub(crate) fn is_near(&self, known: &Known, incident: &IncidentId, gap: i64) -> bool {
        let Some(tale) = self.tales.peek(&incident.to_string()) else { return false };
        let (first, last) = tale.span();
        let time = known.more.last_time;
        time >= first.saturating_sub(gap) && time <= last.saturating_add(gap)
    }

    fn running_at(&self, known: &Known, gap: i64) -> Option<IncidentId> {
        let credentials = known.more.shared.iter().filter(|key| key.starts_with("credential "));
        let mut keys = story_key(known).into_iter().chain(credentials.cloned());
        keys.find_map(|key| {
            let ids = self.running.peek(&(cluster(known), key))?;
            let mut incidents = ids.split(' ').rev().map(IncidentId::from);
            incidents.find(|incident| self.is_near(known, incident, gap))
        })
    }

    /// Whether the identity did this before the story began, on another occasion.
    fn is_context(&self, known: &Known, incident: &IncidentId) -> bool {
        let begin = self.tales.peek(&incident.to_string()).map_or(i64::MIN, |tale| tale.span().0);
        let habit = self.habits.peek(&(cluster(known), known.more.habit.clone()));
        let is_habit = !self.is_new(&cluster(known), &known.more.habit, known.more.last_time);
        is_habit && habit.is_some_and(|first| *first < begin)
    }

    /// Whether this is the first occasion on which the identity does this.
    fn is_new(&self, cluster: &str, habit: &str, time: i64) -> bool {
        let first = self.habits.peek(&(cluster.to_owned(), habit.to_owned()));
        first.is_none_or(|first| time.saturating_sub(*first) < OCCASION)
    }

    /// Findings that wait and open an incident with this one, which waits too from now on.
    fn partners(&mut self, known: &Known, within: i64) -> Vec<FindingId> {
        let cluster = cluster(known);
        let mine = Waiting {
            finding_id: known.row.finding_id.to_string(),
            judge: known.row.rule_id.clone().unwrap_or_else(|| known.row.detector.clone()),
            anchor: known.more.anchor.clone(),
            habit: known.more.habit.clone(),
            time: known.more.last_time,
            is_high: known.row.severity_id >= severity::HIGH,
        };
        let mut found = BTreeSet::new();
        for shared in &known.more.shared {
            let key = (cluster.clone(), shared.clone());
            let others = self.waiting.peek(&key).cloned().unwrap_or_default();
            let partners =
                others.into_iter().filter(|other| self.are_pair(&cluster, &mine, other, within));
            found.extend(partners.map(|other| FindingId::from(other.finding_id)));
            let waiting = self.waiting.entry(&key, || known.owner(), Vec::new);
            waiting.retain(|other| other.finding_id != mine.finding_id);
            waiting.push(mine.clone());
            // The newest are the ones that something can still be near to.
            waiting.drain(..waiting.len().saturating_sub(MOST_WAITING));
        }
        found.into_iter().collect()
    }

    fn are_pair(&self, cluster: &str, a: &Waiting, b: &Waiting, within: i64) -> bool {
        let is_new = |it: &Waiting| self.is_new(cluster, &it.habit, it.time);
        let is_unusual = match (a.is_high, b.is_high) {
            (true, true) => true,
            // What opens an incident alone takes only what is unusual with it.
            (true, false) => is_new(b),
            (false, true) => is_new(a),
            (false, false) => is_new(a) || is_new(b),
        };
        a.judge != b.judge
            && a.anchor != b.anchor
            && a.time.abs_diff(b.time) <= within.unsigned_abs()
            && is_unusual
    }
}

/// When a row happened, as stories tell time: what is later than its recording was recorded then. So nobody whose
/// clock is wrong, or who says so, ends a story or begins another one.
pub(crate) fn story_time(row: &Access, settings: &Settings) -> i64 {
    let recorded = row.ingest_time.0;
    let is_ahead = row.time.0 > recorded.saturating_add(settings.clock_skew);
    if is_ahead || row.time_suspect == Some(true) { recorded } else { row.time.0 }
}

/// The story of an identity; what of our own was lost is nobody's, whatever somebody calls himself.
fn story_key(known: &Known) -> Option<String> {
    let is_our_own = known.row.detector == blindness::NAME && known.row.identity.is_none();
    let sort = if is_our_own { "own" } else { "story" };
    known.more.story.as_ref().map(|story| format!("{sort} {story}"))
}

fn cluster(known: &Known) -> String {
    known.row.cluster.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
