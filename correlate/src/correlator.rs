//! One record of the log -> one turn: deduplicate, advance, resolve, amend, row by row in log order.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;
use durward_schemas::ids::{ChangeId, EventId, LogPosition};
use durward_schemas::record::{Content, Record, Turn};
use durward_schemas::tables::{Access, Amendment, Change, Object, Reject, Span};
use durward_schemas::time::MINUTE;
use durward_schemas::values::{Edge, Provider};

use crate::advance::{self, News};
use crate::deduplicate::{Lookup, Older, Window, event_hash, lookup, reject_hash, request_hash};
use crate::losses;
use crate::relay;
use crate::resolve::{EDGES, columns, evidence, resolve};
use crate::state::cloud_identity::CloudIdentities;
use crate::state::cloud_policy::CloudPolicy;
use crate::state::credentials::Credentials;
use crate::state::grants::Grants;
use crate::state::objects::Objects;
use crate::state::policy::Policy;
use crate::state::recent::{Held, Recent};
use crate::state::sources::{Fate, Sourced, Sources};
use crate::state::spans::Spans;
use crate::state::workloads::Workloads;

/// How much the correlator keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long after it was logged an access can still be amended, in microseconds.
    pub lateness: i64,
    /// At most so many accesses are held for amendment.
    pub most_recent: usize,
    /// At most so many ids are held; older ones are looked up in the lake.
    pub most_ids: usize,
    /// At most so many spans wait for their access.
    pub most_spans: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // Twenty minutes is the lateness of the slowest source, CloudTrail (DESIGN decision 11).
        Self {
            lateness: 20 * MINUTE,
            most_recent: 50_000,
            most_ids: 2_000_000,
            most_spans: 100_000,
        }
    }
}

/// All that is known, by key and valid time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State {
    pub ids: Window,
    pub judged: Window,
    pub objects: Objects,
    pub policy: Policy,
    pub cloud_policy: CloudPolicy,
    pub cloud_identities: CloudIdentities,
    pub changes: BTreeMap<ChangeId, Change>,
    pub grants: Grants,
    pub credentials: Credentials,
    pub workloads: Workloads,
    pub spans: Spans,
    pub recent: Recent,
    pub sources: Sources,
    /// Since when objects of a kind were listed, by cluster and kind.
    pub listed: BTreeMap<(Option<String>, String), Time>,
}

impl State {
    /// Notes that objects of `kind` were listed at `time`; the earliest listing counts.
    pub(crate) fn listed_since(&mut self, cluster: Option<&str>, kind: &str, time: Time) {
        let key = (cluster.map(str::to_owned), kind.to_owned());
        let since = self.listed.entry(key).or_insert(time);
        *since = (*since).min(time);
    }
}

/// How many of each thing the state holds, and how many it let go of for want of room: for metrics.
pub type Sizes = Vec<(&'static str, usize, u64)>;

/// The state of one pipeline, and the walk of one record through it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Correlator {
    settings: Settings,
    pub(crate) state: State,
}

impl Correlator {
    /// An empty state.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: State::default() }
    }

    pub(crate) fn with_state(settings: Settings, state: State) -> Self {
        Self { settings, state }
    }

    /// What must be asked of the lake before `record` can be taken; `None` in nearly all cases.
    #[must_use]
    pub fn lookup(&self, record: &Record) -> Option<Lookup> {
        lookup(&record.content, &self.state.ids, &self.state.judged)
    }

    /// Takes one record.
    pub fn turn(&mut self, record: Record, older: &Older) -> Turn {
        let positions =
            LogPosition::try_from(record.content.positions()).unwrap_or(LogPosition::MAX);
        let mut turn = Turn {
            last_position: record.first_position + positions.max(1) - 1,
            ingest_time: record.ingest_time,
            is_tick: record.content == Content::Tick,
            ..Turn::default()
        };
        self.state
            .recent
            .forget(record.ingest_time.plus(-self.settings.lateness), self.settings.most_recent);
        match record.content {
            Content::Accesses(rows) => {
                for row in rows {
                    self.access(row, older, &mut turn);
                }
            }
            Content::Objects(rows) => {
                for row in rows {
                    self.object(row, older, &mut turn);
                }
            }
            Content::Spans(rows) => {
                for row in rows {
                    self.span(row, older, &mut turn);
                }
            }
            Content::Logs(rows) => {
                self.plain(rows, older, |row| &row.event_id, |turn| &mut turn.logs, &mut turn);
                for log in &turn.logs {
                    self.state.sources.lost(log, losses::of_log(log));
                }
            }
            Content::Metrics(rows) => {
                self.plain(rows, older, |row| &row.event_id, |turn| &mut turn.metrics, &mut turn);
                turn.metrics.iter().for_each(|row| self.state.sources.lost_by_metric(row));
            }
            Content::Rejects(rows) => {
                for row in rows {
                    self.reject(row, older, &mut turn);
                }
            }
            Content::Received(receipt) => {
                self.state.sources.received(&receipt, record.ingest_time);
            }
            Content::Tick => {
                turn.source_counters =
                    self.state.sources.tick(record.ingest_time, record.first_position);
            }
            Content::Settings(settings) => turn.settings = Some(settings),
            Content::Loss(loss) => turn.loss = Some(loss),
            Content::EndOfSource(source) => self.state.sources.ended(&source),
        }
        turn
    }

    /// How much the state holds.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        let state = &self.state;
        vec![
            ("ids", state.ids.len(), 0),
            ("objects", state.objects.len(), 0),
            ("changes", state.changes.len(), 0),
            ("grants", state.grants.len(), 0),
            ("credentials", state.credentials.len(), state.credentials.forgotten()),
            ("workloads", state.workloads.len(), state.workloads.forgotten()),
            ("spans", state.spans.len(), 0),
            ("accesses", state.recent.len(), 0),
        ]
    }

    fn access(&mut self, mut row: Access, older: &Older, turn: &mut Turn) {
        if !self.is_new(event_hash(&row.event_id), row.event_id.as_str(), older) {
            return self.duplicate(&row, turn);
        }
        self.state.sources.count(&row, Fate::Accepted);
        if row.is_deciding() {
            let first =
                self.state.judged.insert(request_hash(&row.request_key), self.settings.most_ids);
            row.judged = first && !older.request_keys.contains(row.request_key.as_str());
            if !row.judged && self.is_another_request(&row) {
                row.request_key = row.request_key.of_another(&row.event_id);
                let key = request_hash(&row.request_key);
                row.judged = self.state.judged.insert(key, self.settings.most_ids);
            }
            if row.judged && self.is_told_again(&mut row) {
                row.judged = false;
            } else if row.judged {
                self.judge(&mut row, turn);
            } else {
                self.later_stage(&row, turn);
            }
        } else {
            let news = advance::beside(&mut self.state, &row, turn);
            self.amend(news, row.log_position, row.ingest_time, turn);
        }
        turn.accesses.push(row);
    }

    fn judge(&mut self, row: &mut Access, turn: &mut Turn) {
        self.join_copies(row, turn);
        let mut news = advance::access(&mut self.state, row, turn);
        for edge in EDGES {
            resolve(&self.state, edge, row);
        }
        if let Some(audit_id) = &row.source_event_id {
            let positions = self.state.recent.of_audit_id(audit_id);
            let reason = "another request has its audit id";
            news.push(News { edge: Edge::Trace, positions: positions.clone(), reason });
            news.push(News { edge: Edge::Link, positions, reason });
        }
        self.state.recent.add(row);
        self.amend(news, row.log_position, row.ingest_time, turn);
    }

    /// Whether this is no later stage of the request that has its key, but another one: a client that sets the
    /// audit id can send two in one microsecond. A stage is told once by one door, and what was cut says nothing.
    fn is_another_request(&self, row: &Access) -> bool {
        let held = self.state.recent.of_request(&row.request_key);
        let held = held.and_then(|position| self.state.recent.get(position));
        held.is_some_and(|Held { access: first, .. }| {
            let same_door = first.source == row.source && first.format == row.format;
            let whole = first.level == row.level && !first.truncated && !row.truncated;
            row.provider == Provider::Kubernetes
                && row.stage.is_some()
                && first.stage == row.stage
                && same_door
                && whole
        })
    }

    /// Whether a server behind the API server tells a request again that is held already.
    fn is_told_again(&self, row: &mut Access) -> bool {
        let told = self.same_audit_id(row).into_iter().find_map(|position| {
            let first = &self.state.recent.get(position)?.access;
            relay::tells_again(row, first).then(|| first.request_key.to_string())
        });
        row.same_request_as = told;
        row.same_request_as.is_some()
    }

    /// A held row that turns out to be what another server told of `row` stands for nothing any more.
    fn join_copies(&mut self, row: &Access, turn: &mut Turn) {
        for position in self.same_audit_id(row) {
            let Some(held) = self.state.recent.get_mut(position) else { continue };
            if held.access.same_request_as.is_some() || !relay::tells_again(&held.access, row) {
                continue;
            }
            held.access.same_request_as = Some(row.request_key.to_string());
            let reason = "the server before it tells the same request";
            let (position, recorded) = (row.log_position, row.ingest_time);
            turn.amendments.push(amendment(held, Edge::Request, reason, position, recorded));
        }
    }

    fn same_audit_id(&self, row: &Access) -> Vec<LogPosition> {
        let id = row.source_event_id.as_deref().filter(|_| row.provider == Provider::Kubernetes);
        id.map(|id| self.state.recent.of_audit_id(id)).unwrap_or_default()
    }

    /// A later stage tells how the judged request ended.
    fn later_stage(&mut self, row: &Access, turn: &mut Turn) {
        let Some(position) = self.state.recent.of_request(&row.request_key) else { return };
        let Some(held) = self.state.recent.get_mut(position) else { return };
        let before = columns(Edge::Outcome, &held.access);
        held.access.outcome = row.outcome;
        held.access.status_code = row.status_code;
        held.access.duration_us = held.access.duration_us.max(row.duration_us);
        if columns(Edge::Outcome, &held.access) != before {
            let reason = "a later stage of the request was seen";
            let amendment =
                amendment(held, Edge::Outcome, reason, row.log_position, row.ingest_time);
            turn.amendments.push(amendment);
        }
    }

    fn object(&mut self, row: Object, older: &Older, turn: &mut Turn) {
        if !self.is_new(event_hash(&row.event_id), row.event_id.as_str(), older) {
            return self.duplicate(&row, turn);
        }
        self.state.sources.count(&row, Fate::Accepted);
        let news = advance::object(&mut self.state, &row, turn);
        self.amend(news, row.log_position, row.ingest_time, turn);
        turn.objects.push(row);
    }

    fn span(&mut self, row: Span, older: &Older, turn: &mut Turn) {
        if !self.is_new(event_hash(&row.event_id), row.event_id.as_str(), older) {
            return self.duplicate(&row, turn);
        }
        self.state.sources.count(&row, Fate::Accepted);
        self.state.sources.lost(&row, losses::of_span(&row));
        if let Some(joins) = self.state.spans.add(&row, self.settings.most_spans) {
            let recent = &self.state.recent;
            let mut positions = recent.of_claimed_span(&joins.key);
            positions.extend(joins.audit_id.iter().flat_map(|id| recent.of_audit_id(id)));
            let mut linking = positions.clone();
            linking.extend(joins.linking.iter().flat_map(|id| recent.of_audit_id(id)));
            let news = vec![
                News { edge: Edge::Trace, positions, reason: "its span was seen" },
                News { edge: Edge::Link, positions: linking, reason: "a linked span was seen" },
            ];
            self.amend(news, row.log_position, row.ingest_time, turn);
        }
        turn.spans.push(row);
    }

    fn reject(&mut self, row: Reject, older: &Older, turn: &mut Turn) {
        if !self.is_new(reject_hash(&row.reject_id), row.reject_id.as_str(), older) {
            return self.duplicate(&row, turn);
        }
        self.state.sources.count(&row, Fate::Rejected);
        turn.rejects.push(row);
    }

    /// Rows that only have to be new.
    fn plain<R: Sourced>(
        &mut self,
        rows: Vec<R>,
        older: &Older,
        id: impl Fn(&R) -> &EventId,
        into: impl Fn(&mut Turn) -> &mut Vec<R>,
        turn: &mut Turn,
    ) {
        for row in rows {
            let id = id(&row);
            if self.is_new(event_hash(id), id.as_str(), older) {
                self.state.sources.count(&row, Fate::Accepted);
                into(turn).push(row);
            } else {
                self.duplicate(&row, turn);
            }
        }
    }

    fn is_new(&mut self, hash: u128, id: &str, older: &Older) -> bool {
        !older.ids.contains(id) && self.state.ids.insert(hash, self.settings.most_ids)
    }

    fn duplicate(&mut self, row: &impl Sourced, turn: &mut Turn) {
        turn.duplicates += 1;
        self.state.sources.count(row, Fate::Duplicate);
    }

    /// Resolves again what the news concerns; what came out different is amended.
    fn amend(&mut self, news: Vec<News>, position: LogPosition, recorded: Time, turn: &mut Turn) {
        for News { edge, positions, reason } in news {
            for at in positions.into_iter().collect::<BTreeSet<_>>() {
                let Some(held) = self.state.recent.get(at) else { continue };
                let mut access = held.access.clone();
                resolve(&self.state, edge, &mut access);
                if columns(edge, &access) == columns(edge, &held.access) {
                    continue;
                }
                let Some(held) = self.state.recent.get_mut(at) else { continue };
                held.access = access;
                turn.amendments.push(amendment(held, edge, reason, position, recorded));
            }
        }
    }
}

fn amendment(
    held: &mut crate::state::recent::Held,
    edge: Edge,
    reason: &str,
    log_position: LogPosition,
    ingest_time: Time,
) -> Amendment {
    let version = held.amended.entry(edge.as_str()).or_insert(0);
    *version += 1;
    let values = columns(edge, &held.access);
    Amendment {
        time: held.access.time,
        request_key: held.access.request_key.clone(),
        edge,
        version: *version,
        evidence: values.as_ref().and_then(|_| evidence(edge, &held.access)),
        values: values.map(|values| {
            durward_schemas::cell::Json(serde_json::Value::Object(values).to_string())
        }),
        reason: reason.to_owned(),
        log_position,
        ingest_time,
    }
}

#[cfg(test)]
pub(crate) mod tests;
