//! The state as bytes and back. Facts are written, indexes are derived again.
//!
//! A checkpoint is a row of named sections and a BLAKE3 hash over all of them: rows as
//! compressed Arrow IPC streams, the rest as JSON. What cannot be read back whole is no checkpoint.

use std::io::Read;

use durward_schemas::cell::Json;
use durward_schemas::ids::ChangeId;
use durward_schemas::table::Row;
use durward_schemas::tables::{Access, Change, Credential, Grant, SourceCounter, Workload};
use durward_schemas::{Time, ipc};
use serde::{Deserialize, Serialize};

use crate::correlator::{Correlator, Settings, State};
use crate::deduplicate::Window;
use crate::state::objects::{Content, ObjectKey, Version};
use crate::state::recent::Held;
use crate::state::sources::Known;
use crate::state::spans::SpanFact;
use crate::state::workloads::{Above, Deletion, KnownPod, Owner};

/// Changes with the layout of the state; an older layout is replayed from the log instead.
const LAYOUT: u32 = 4;

/// A checkpoint that cannot be used; the one before it, or the log, has to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading a checkpoint of the correlator: {reason}")]
pub struct CheckpointError {
    /// What is wrong with it.
    pub reason: String,
}

impl Correlator {
    /// The state as bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let state = &self.state;
        let mut out = Sections::default();
        out.json("layout", &LAYOUT);
        out.json("rest", &Rest::of(state));
        out.numbers("ids", state.ids.iter());
        out.numbers("judged", state.judged.iter());
        out.rows("changes", state.changes.values());
        out.rows("grants", state.grants.iter());
        out.rows("credentials", state.credentials.iter());
        out.rows("workloads", state.workloads.parts().0.map(|pod| &pod.row));
        out.rows("processes", state.workloads.processes());
        out.rows("recent", state.recent.iter().map(|held| &*held.access));
        out.rows("sources", state.sources.parts().0);
        out.finish()
    }

    /// The state that [`Correlator::save`] wrote.
    ///
    /// # Errors
    /// If the bytes are damaged or were written with another layout.
    pub fn restore(settings: Settings, bytes: &[u8]) -> Result<Self, CheckpointError> {
        let sections = Sections::read(bytes)?;
        let layout: u32 = sections.get_json("layout")?;
        if layout != LAYOUT {
            return Err(wrong(format!("layout {layout}, this program writes {LAYOUT}")));
        }
        let rest: Rest = sections.get_json("rest")?;
        let mut state = State {
            ids: Window::restore(sections.get_numbers("ids")?.into_iter(), rest.ids_forgotten),
            judged: Window::restore(
                sections.get_numbers("judged")?.into_iter(),
                rest.judged_forgotten,
            ),
            ..State::default()
        };
        for change in sections.get_rows::<Change>("changes")? {
            state.cloud_policy.index(&change);
            state.changes.insert(change.change_id.clone(), change);
        }
        let controllers = rest.controllers.clone();
        let amended = rest.amended.clone();
        rest.into_state(&mut state);
        for grant in sections.get_rows::<Grant>("grants")? {
            state.grants.restore(grant);
        }
        for credential in sections.get_rows::<Credential>("credentials")? {
            state.credentials.restore(credential);
        }
        for (row, controller) in
            sections.get_rows::<Workload>("workloads")?.into_iter().zip(controllers)
        {
            state.workloads.restore_pod(KnownPod { row, controller });
        }
        for process in sections.get_rows::<Workload>("processes")? {
            state.workloads.restore_process(process);
        }
        for (access, amended) in sections.get_rows::<Access>("recent")?.into_iter().zip(amended) {
            let known =
                amended.into_iter().filter_map(|(edge, count)| Some((known_edge(&edge)?, count)));
            state.recent.restore(Held { access: Box::new(access), amended: known.collect() });
        }
        for counter in sections.get_rows::<SourceCounter>("sources")? {
            state.sources.restore(counter);
        }
        Ok(Self::with_state(settings, state))
    }
}

fn known_edge(text: &str) -> Option<&'static str> {
    text.parse::<durward_schemas::values::Edge>().ok().map(durward_schemas::values::Edge::as_str)
}

/// What is no row of a table.
#[derive(Serialize, Deserialize)]
struct Rest {
    ids_forgotten: bool,
    judged_forgotten: bool,
    objects: Vec<SavedVersion>,
    controllers: Vec<Option<Above>>,
    owners: Vec<SavedOwner>,
    spans: Vec<SavedSpan>,
    amended: Vec<Vec<(String, i64)>>,
    #[serde(default)]
    sources: Known,
    listed: Vec<(Option<String>, String, i64)>,
    #[serde(default)]
    deletions: Vec<Deletion>,
}

#[derive(Serialize, Deserialize)]
struct SavedVersion {
    cluster: Option<String>,
    kind: String,
    namespace: Option<String>,
    name: String,
    from: i64,
    position: i64,
    gone: bool,
    /// Only parts of the body are known.
    #[serde(default)]
    partly: bool,
    body: Option<String>,
    change: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SavedOwner {
    cluster: Option<String>,
    namespace: String,
    name: String,
    kind: String,
    above: Option<Above>,
    has_pods: bool,
}

#[derive(Serialize, Deserialize)]
struct SavedSpan {
    audit_id: Option<String>,
    trace_id: String,
    span_id: String,
    service: Option<String>,
    name: String,
    kind: String,
    cluster: Option<String>,
    time: i64,
    end_time: i64,
    method: Option<String>,
    target: Option<String>,
    #[serde(default)]
    links: Vec<(String, String)>,
}

impl Rest {
    fn of(state: &State) -> Self {
        let (pods, owners) = state.workloads.parts();
        let owners = owners.iter().flat_map(|(place, owners)| {
            owners.iter().map(|(name, owner)| SavedOwner {
                cluster: place.0.clone(),
                namespace: place.1.clone(),
                name: name.clone(),
                kind: owner.kind.clone(),
                above: owner.above.clone(),
                has_pods: owner.has_pods,
            })
        });
        let amended = state.recent.iter().map(|held| {
            held.amended.iter().map(|(edge, count)| ((*edge).to_owned(), *count)).collect()
        });
        let listed = state.listed.iter();
        Self {
            ids_forgotten: state.ids.has_forgotten(),
            judged_forgotten: state.judged.has_forgotten(),
            objects: state.objects.iter().map(saved_version).collect(),
            controllers: pods.map(|pod| pod.controller.clone()).collect(),
            owners: owners.collect(),
            spans: state.spans.iter().map(saved_span).collect(),
            amended: amended.collect(),
            sources: state.sources.parts().1.clone(),
            listed: listed
                .map(|((cluster, kind), time)| (cluster.clone(), kind.clone(), time.0))
                .collect(),
            deletions: state.workloads.deletions(),
        }
    }

    fn into_state(self, state: &mut State) {
        for saved in self.objects {
            let (key, version) = read_version(saved);
            state.policy.index(&key, &version.content);
            state.cloud_identities.index(&key, &version.content);
            state.objects.insert(key, version);
        }
        state.grants.index_roles(&state.objects);
        for saved in self.owners {
            let owner = Owner { kind: saved.kind, above: saved.above, has_pods: saved.has_pods };
            state.workloads.restore_owner((saved.cluster, saved.namespace), saved.name, owner);
        }
        for saved in self.spans {
            state.spans.restore(read_span(saved));
        }
        for deletion in self.deletions {
            state.workloads.restore_deletion(deletion);
        }
        state.sources.restore_known(self.sources);
        for (cluster, kind, time) in self.listed {
            state.listed.insert((cluster, kind), Time(time));
        }
    }
}

fn saved_version((key, version): (&ObjectKey, &Version)) -> SavedVersion {
    SavedVersion {
        cluster: key.cluster.clone(),
        kind: key.kind.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        from: version.from.0,
        position: version.position,
        gone: version.content == Content::Gone,
        partly: matches!(version.content, Content::Partly(_)),
        body: version.content.known().map(|seen| seen.json.0.clone()),
        change: version.change.as_ref().map(|change| change.0.clone()),
    }
}

fn read_version(saved: SavedVersion) -> (ObjectKey, Version) {
    let key = ObjectKey {
        cluster: saved.cluster,
        kind: saved.kind,
        namespace: saved.namespace,
        name: saved.name,
    };
    let content = match saved.body.map(Json) {
        _ if saved.gone => Content::Gone,
        Some(body) if saved.partly => Content::part(&body),
        body => Content::of(body.as_ref()),
    };
    let change = saved.change.map(ChangeId);
    (key, Version { from: Time(saved.from), position: saved.position, content, change })
}

fn saved_span(span: &SpanFact) -> SavedSpan {
    let span = span.clone();
    SavedSpan {
        audit_id: span.audit_id,
        trace_id: span.trace_id,
        span_id: span.span_id,
        service: span.service,
        name: span.name,
        kind: span.kind,
        cluster: span.cluster,
        time: span.time.0,
        end_time: span.end_time.0,
        method: span.method,
        target: span.target,
        links: span.links,
    }
}

fn read_span(saved: SavedSpan) -> SpanFact {
    SpanFact {
        audit_id: saved.audit_id,
        trace_id: saved.trace_id,
        span_id: saved.span_id,
        service: saved.service,
        name: saved.name,
        kind: saved.kind,
        cluster: saved.cluster,
        time: Time(saved.time),
        end_time: Time(saved.end_time),
        method: saved.method,
        target: saved.target,
        links: saved.links,
    }
}

/// Named byte strings, one after the other: name, length, bytes.
#[derive(Default)]
struct Sections {
    bytes: Vec<u8>,
    found: Vec<(String, Vec<u8>)>,
}

impl Sections {
    fn add(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.bytes.extend((part.len() as u64).to_le_bytes());
            self.bytes.extend(part);
        }
    }

    fn json(&mut self, name: &str, value: &impl Serialize) {
        // Serializing our own plain structs into memory does not fail.
        self.add(name, &serde_json::to_vec(value).unwrap_or_default());
    }

    fn numbers(&mut self, name: &str, numbers: impl Iterator<Item = u128>) {
        self.add(name, &numbers.flat_map(u128::to_le_bytes).collect::<Vec<u8>>());
    }

    fn rows<'a, R: Row>(&mut self, name: &str, rows: impl Iterator<Item = &'a R>) {
        let written = ipc::write(rows);
        debug_assert!(written.is_ok(), "writing rows into memory");
        self.add(name, &written.unwrap_or_default());
    }

    fn finish(mut self) -> Vec<u8> {
        let hash = blake3::hash(&self.bytes);
        self.bytes.extend(hash.as_bytes());
        self.bytes
    }

    fn read(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let cut = || wrong("it is cut short");
        let (body, hash) = bytes.split_last_chunk::<32>().ok_or_else(cut)?;
        if blake3::hash(body).as_bytes() != hash {
            return Err(wrong("its checksum does not fit"));
        }
        let mut found = Vec::new();
        let mut rest = body;
        while !rest.is_empty() {
            let name = part(&mut rest).ok_or_else(cut)?;
            let bytes = part(&mut rest).ok_or_else(cut)?;
            found.push((String::from_utf8_lossy(name).into_owned(), bytes.to_vec()));
        }
        Ok(Self { bytes: Vec::new(), found })
    }

    fn get(&self, name: &str) -> Result<&[u8], CheckpointError> {
        let section = self.found.iter().find(|(found, _)| found == name);
        section
            .map(|(_, bytes)| bytes.as_slice())
            .ok_or_else(|| wrong(format!("no section {name}")))
    }

    fn get_json<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<T, CheckpointError> {
        serde_json::from_slice(self.get(name)?).map_err(|error| wrong(format!("{name}: {error}")))
    }

    fn get_numbers(&self, name: &str) -> Result<Vec<u128>, CheckpointError> {
        let (numbers, _) = self.get(name)?.as_chunks::<16>();
        Ok(numbers.iter().map(|bytes| u128::from_le_bytes(*bytes)).collect())
    }

    fn get_rows<R: Row>(&self, name: &str) -> Result<Vec<R>, CheckpointError> {
        ipc::read(self.get(name)?).map_err(|error| wrong(format!("{name}: {error}")))
    }
}

/// Takes one length and that many bytes off the front.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = [0; 8];
    rest.read_exact(&mut length).ok()?;
    let length = usize::try_from(u64::from_le_bytes(length)).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}

fn wrong(reason: impl Into<String>) -> CheckpointError {
    CheckpointError { reason: reason.into() }
}
