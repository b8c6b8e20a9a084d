//! One turn -> one judgement, row by row in log order.
//!
//! What a row gives rise to depends on the rows before it and on nothing else: not on how the log
//! was cut into records, not on a clock.

mod blind;

use std::collections::BTreeMap;

use durward_schemas::cell::Json;
use durward_schemas::ids::{FindingId, IncidentId, LogPosition};
use durward_schemas::record::Turn;
use durward_schemas::tables::{
    Access, Amendment, Change, Credential, Finding, FindingEvent, Incident, Workload,
};
use durward_schemas::values::{Edge, EventRole, FindingState, severity};

use crate::alert::Alert;
use crate::counted::{self, Single};
use crate::detector::blindness::Blindness;
use crate::detector::entry_taken_over::EntryTakenOver;
use crate::detector::first_seen::FirstSeen;
use crate::detector::minted_for_another::MintedForAnother;
use crate::detector::minted_later::MintedLater;
use crate::detector::reused_audit_id::ReusedAuditId;
use crate::detector::secrets_enumerated::SecretsEnumerated;
use crate::detector::sigma::Sigma;
use crate::detector::two_addresses::TwoAddresses;
use crate::detector::{self, Detector, Hit, Seen};
use crate::finding::{Cause, Findings, Scored};
use crate::lineage::{Lineage, Origin};
use crate::owner::{Doing, Owners};
use crate::recent::Recent;
use crate::rule::RuleError;
use crate::settings::Settings;
use crate::state;
use crate::story::{Stories, Verdict, story_time};
use crate::tally::Tally;

/// Findings of their own that leave one count for incidents; more of the same stay counted.
const MOST_PROMOTED: i64 = 8;

/// What one turn gave rise to, in the order of the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judgement {
    /// New versions of findings.
    pub findings: Vec<Finding>,
    /// New events of findings.
    pub finding_events: Vec<FindingEvent>,
    /// New versions of incidents.
    pub incidents: Vec<Incident>,
    /// What is owed to people: the latest version of each incident that changed.
    pub owed: Vec<Alert>,
}

/// A saved state that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The rules that it is to be used with are wrong.
    #[error("reading the rules for the saved state of detection")]
    Rules(#[from] RuleError),
    /// It was cut.
    #[error("reading the saved state of detection: {0}")]
    Unreadable(String),
    /// It was written by another version.
    #[error("reading the saved state of detection: it was written by another version")]
    OtherVersion,
}

/// All detectors, stories and what they remember.
#[derive(Debug)]
pub struct Detection {
    pub(crate) settings: Settings,
    pub(crate) detectors: Vec<Box<dyn Detector>>,
    pub(crate) findings: Findings,
    pub(crate) memory: Remembered,
    pub(crate) recent: Recent,
}

/// What is remembered beside findings and rows.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Remembered {
    stories: Stories,
    lineage: Lineage,
    owners: Owners,
    tally: Tally,
    /// By memory: the day on which it was told last that it forgets, and how much it had forgotten.
    #[serde(default)]
    forgetting: BTreeMap<String, (i32, u64)>,
}

/// All judges, in the order of checkpoints: new ones stand behind those that older ones know.
fn detectors(settings: &Settings) -> Result<Vec<Box<dyn Detector>>, RuleError> {
    Ok(vec![
        Box::new(Sigma::new(&settings.rules)?),
        Box::new(MintedLater::new(settings.clock_skew)),
        Box::new(TwoAddresses::default()),
        Box::new(MintedForAnother::new(settings.token_issuers.clone())),
        Box::new(ReusedAuditId::default()),
        Box::new(Blindness),
        Box::new(FirstSeen::new(settings)),
        Box::new(SecretsEnumerated::default()),
        Box::new(EntryTakenOver::default()),
    ])
}

/// The names of all judges, as `findings.detector` and exemptions have them.
#[must_use]
pub fn detector_names() -> Vec<&'static str> {
    let all = detectors(&Settings::default()).unwrap_or_default();
    all.iter().map(|detector| detector.name()).collect()
}

/// Something that happened at one position of the log.
enum Step<'a> {
    Workload(&'a Workload),
    Credential(&'a Credential),
    Access(&'a Access),
    Amendment(&'a Amendment),
}

impl Detection {
    /// Everything forgotten, with the built-in rules and those of the settings.
    ///
    /// # Errors
    /// If a rule is no Sigma rule or names a field that the schema does not have.
    pub fn new(settings: Settings) -> Result<Self, RuleError> {
        let detectors = detectors(&settings)?;
        Ok(Self {
            settings,
            detectors,
            findings: Findings::default(),
            memory: Remembered::default(),
            recent: Recent::default(),
        })
    }

    /// Judges one turn.
    pub fn observe(&mut self, turn: &Turn) -> Judgement {
        if let Some(settings) = &turn.settings {
            self.configure_logged(settings);
        }
        let mut judgement = Judgement::default();
        let mut owed = BTreeMap::new();
        let changes = changes(turn);
        for (position, step) in steps(turn) {
            let cause = Cause { log_position: position, recorded: turn.ingest_time };
            match step {
                Step::Workload(pod) => self.detectors.iter_mut().for_each(|d| d.learn(pod)),
                Step::Credential(credential) => self.memory.lineage.learn(credential),
                Step::Access(row) => {
                    let change = changes.get(row.event_id.as_str()).copied();
                    let unchanged = row.judged && change.is_none();
                    self.access(Seen { change, unchanged, ..Seen::of(row) }, cause);
                }
                Step::Amendment(amendment) => self.amendment(amendment, cause),
            }
            self.settle(cause, false, &mut judgement, &mut owed);
        }
        if let Some(loss) = &turn.loss {
            let cause = Cause { log_position: turn.last_position, recorded: turn.ingest_time };
            self.loss(loss, cause);
            self.settle(cause, false, &mut judgement, &mut owed);
        }
        if turn.is_tick {
            let cause = Cause { log_position: turn.last_position, recorded: turn.ingest_time };
            self.settle(cause, true, &mut judgement, &mut owed);
        }
        judgement.owed = owed.into_values().collect();
        judgement.owed.sort_by_key(|alert| alert.log_position);
        judgement
    }

    fn configure_logged(&mut self, logged: &Json) {
        match Settings::read(logged) {
            Ok(settings) => self.configure(settings),
            Err(error) => {
                tracing::error!(%error, "settings in the log cannot be read: the ones before them stay");
            }
        }
    }

    pub(crate) fn configure(&mut self, settings: Settings) {
        self.detectors.iter_mut().for_each(|detector| detector.configure(&settings));
        self.settings = settings;
    }

    /// What is remembered, for a checkpoint.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        state::save(self)
    }

    /// Takes up where [`Self::save`] left off.
    ///
    /// # Errors
    /// If the rules are wrong, or `saved` was cut or written by another version.
    pub fn restore(saved: &[u8]) -> Result<Self, StateError> {
        let mut detection = Self::new(Settings::default())?;
        state::restore(&mut detection, saved)?;
        Ok(detection)
    }

    fn access(&mut self, seen: Seen<'_>, cause: Cause) {
        if seen.row.judged {
            self.memory.tally.take(seen.row);
            self.memory.owners.learn(seen.row, seen.change);
        }
        let whole = Seen { lineage: Some(&self.memory.lineage), ..seen };
        let mut hits = Vec::new();
        for detector in &mut self.detectors {
            let name = detector.name();
            hits.extend(detector.judge(whole).into_iter().map(|hit| (name, hit)));
        }
        let hits = hits.into_iter();
        let found = hits.map(|(name, hit)| self.score(name, hit, seen, cause)).collect();
        self.recent.hold(seen.row, found);
        for hit in self.forgetting(seen.row, cause) {
            self.score(detector::blindness::NAME, hit, seen, cause);
        }
    }

    /// One hit becomes a finding, or new evidence for one.
    fn score(&mut self, detector: &str, mut hit: Hit, seen: Seen<'_>, cause: Cause) -> FindingId {
        self.attribute(&mut hit, seen.row);
        let judge = hit.rule.as_deref().unwrap_or(detector);
        if hit.unusual.is_none() {
            hit.unusual = Some(self.memory.tally.hit(seen.row, judge));
        }
        let origin = match &hit.maker {
            Some(maker) => Origin { story: Some(maker.identity.clone()), ..Origin::default() },
            None => self.memory.lineage.origin(seen.row),
        };
        if hit.repeats && hit.role == EventRole::Anchor && counted::is_next_page(seen.row) {
            hit.role = EventRole::Evidence;
        }
        let scored =
            Scored { detector, hit: &hit, seen, origin: &origin, cause, settings: &self.settings };
        let time = story_time(seen.row, &self.settings);
        let cluster = seen.row.cluster.as_deref();
        let owner = detector::owner(seen.row);
        self.memory.stories.learn(cluster, owner, counted::habit(scored), hit.role, time);
        self.findings.take(scored)
    }

    /// What a controller creates is the doing of whoever made the owner; where nobody knows who
    /// that was, it is nobody's. What is nobody's already stays that.
    fn attribute(&self, hit: &mut Hit, row: &Access) {
        if hit.nobody {
            return;
        }
        match self.memory.owners.doing(row) {
            Doing::Own => {}
            Doing::Of(maker) => {
                hit.anchor.clone_from(&maker.request_key);
                hit.role = EventRole::Evidence;
                hit.maker = Some(maker);
            }
            Doing::Nobodys => {
                hit.severity_id = severity::INFORMATIONAL;
                hit.nobody = true;
            }
        }
    }

    /// A row is judged again by what is known of it now.
    fn amendment(&mut self, amendment: &Amendment, cause: Cause) {
        let Some((held, row)) = self.recent.amend(amendment) else { return };
        let before = self.hits(Seen::of(&held.row));
        let now = Seen::of(&row);
        let after = self.hits(now);
        let mut found = held.findings;
        for (id, name, hit) in &after {
            match before.iter().find(|(old, ..)| old == id) {
                Some((_, _, old)) => self.revise(id, old, hit),
                None => found.push(self.score(name, hit.clone(), now, cause)),
            }
        }
        for (id, name, hit) in
            before.iter().filter(|(old, ..)| after.iter().all(|(id, ..)| id != old))
        {
            found.retain(|other| other != id);
            let origin = Origin::default();
            let group = counted::group_id(Scored {
                detector: name,
                hit,
                seen: now,
                origin: &origin,
                cause,
                settings: &self.settings,
            });
            self.findings.withdraw(id, &group);
        }
        if matches!(amendment.edge, Edge::Workload | Edge::Change | Edge::Trace) {
            for id in &found {
                if let Some(known) = self.findings.touch_any(id) {
                    known.relink(now);
                }
            }
        }
        // What another server told again is no second deed.
        if row.same_request_as.is_some() {
            for id in found.drain(..) {
                if let Some(known) = self.findings.touch_any(&id) {
                    known.withdraw();
                }
            }
        }
        self.recent.set_findings(&amendment.request_key, found);
    }

    /// A judgement of a row that says something else now.
    fn revise(&mut self, id: &FindingId, old: &Hit, hit: &Hit) {
        if old.severity_id == hit.severity_id && old.reason == hit.reason {
            return;
        }
        if let Some(known) = self.findings.touch(id)
            && (known.more.anchors <= 1 || known.row.severity_id <= hit.severity_id)
        {
            known.restate(hit);
        }
    }

    /// What judges without memory say of a row.
    fn hits(&mut self, seen: Seen<'_>) -> Vec<(FindingId, &'static str, Hit)> {
        let cluster = seen.row.cluster.as_deref();
        let judges = self.detectors.iter_mut().filter(|detector| detector.judges_again());
        let seen = Seen { lineage: Some(&self.memory.lineage), ..seen };
        let mut hits = Vec::new();
        for judge in judges {
            let name = judge.name();
            let found = judge.judge(seen).into_iter();
            hits.extend(found.map(|hit| (hit.finding_id(name, cluster), name, hit)));
        }
        hits
    }

    /// What is due gets its version: findings, then the incidents that they are part of.
    fn settle(
        &mut self,
        cause: Cause,
        is_tick: bool,
        judgement: &mut Judgement,
        owed: &mut BTreeMap<IncidentId, Alert>,
    ) {
        for single in self.findings.fresh() {
            self.place(single, cause);
        }
        let mut due = self.findings.due(is_tick);
        for id in due.clone() {
            self.consider(&id, cause);
        }
        due.extend(self.findings.due(false));
        due.sort();
        due.dedup();
        for id in &due {
            judgement.findings.extend(self.findings.get(id).map(|known| known.next_version(cause)));
        }
        judgement.finding_events.extend(self.findings.new_events());
        for (incident, alert) in self.memory.stories.versions(cause) {
            judgement.incidents.push(incident);
            owed.insert(alert.incident_id.clone(), alert);
        }
    }
}

/// From findings to incidents.
impl Detection {
    /// A counted hit: it opens an incident, joins one with all that are counted with it, or waits.
    fn place(&mut self, single: Single, cause: Cause) {
        match self.memory.stories.verdict(&single.known, &self.settings) {
            Verdict::Alone => self.findings.keep(single),
            Verdict::Opens(partners) => {
                let id = self.findings.promote(single, cause);
                self.open(&id, partners, cause);
            }
            Verdict::Joins { incident, own } => {
                let Some(counted) = self.findings.touch(&single.group) else { return };
                let is_elsewhere =
                    counted.row.incident_id.as_ref().is_some_and(|it| *it != incident);
                if is_elsewhere || (own && counted.more.promoted < MOST_PROMOTED) {
                    let id = self.findings.promote(single, cause);
                    self.join(&id, &incident, FindingState::Grouped);
                } else if counted.row.incident_id.is_none() {
                    self.memory.stories.join(counted, &incident, FindingState::Grouped);
                }
            }
        }
    }

    /// A finding that changed: its incident hears of it, or it opens or joins one.
    fn consider(&mut self, id: &FindingId, cause: Cause) {
        let Some(known) = self.findings.get(id) else { return };
        if known.row.incident_id.is_some() {
            return self.memory.stories.update(known);
        }
        if known.more.counted {
            return;
        }
        match self.memory.stories.verdict(known, &self.settings) {
            Verdict::Alone => {}
            Verdict::Opens(partners) => self.open(id, partners, cause),
            Verdict::Joins { incident, .. } => self.join(id, &incident, FindingState::Grouped),
        }
    }

    /// Opens an incident with the partners, or joins the one that a partner is in already.
    fn open(&mut self, id: &FindingId, partners: Vec<FindingId>, cause: Cause) {
        let gap = self.settings.story_gap;
        let theirs = partners.iter().find_map(|partner| {
            let incident = self.findings.get(partner)?.row.incident_id.clone()?;
            let known = self.findings.get(id)?;
            self.memory.stories.is_near(known, &incident, gap).then_some(incident)
        });
        let incident = if let Some(incident) = theirs {
            self.join(id, &incident, FindingState::Grouped);
            incident
        } else {
            let Some(known) = self.findings.touch(id) else { return };
            self.memory.stories.open(known)
        };
        for partner in partners {
            if let Some(single) = self.findings.single(&partner) {
                self.findings.promote(single, cause);
            }
            self.join(&partner, &incident, FindingState::Alerted);
        }
    }

    /// The finding joins the incident, if it is in none.
    fn join(&mut self, id: &FindingId, incident: &IncidentId, state: FindingState) {
        if let Some(known) = self.findings.touch(id).filter(|it| it.row.incident_id.is_none()) {
            self.memory.stories.join(known, incident, state);
        }
    }
}

/// The changes of a turn by the event that made them. A `deletecollection` makes several; the first stands for them.
fn changes(turn: &Turn) -> BTreeMap<&str, &Change> {
    let mut changes = BTreeMap::new();
    for change in &turn.changes {
        if let Some(event_id) = &change.event_id {
            changes.entry(event_id.as_str()).or_insert(change);
        }
    }
    changes
}

/// Everything in a turn in the order of the log; what a row made known stands before the row.
fn steps(turn: &Turn) -> Vec<(LogPosition, Step<'_>)> {
    let workloads = turn.workloads.iter().map(|row| (row.log_position, Step::Workload(row)));
    let credentials = turn.credentials.iter().map(|row| (row.log_position, Step::Credential(row)));
    let accesses = turn.accesses.iter().map(|row| (row.log_position, Step::Access(row)));
    let amendments = turn.amendments.iter().map(|row| (row.log_position, Step::Amendment(row)));
    let mut steps: Vec<_> =
        workloads.chain(credentials).chain(accesses).chain(amendments).collect();
    // Stable: within one position the order of the chain stays.
    steps.sort_by_key(|(position, _)| *position);
    steps
}

#[cfg(test)]
mod tests;
