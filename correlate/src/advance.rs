//! What a judged access or a listed object adds to the state, and whom that news concerns.

mod pods;

use std::collections::BTreeSet;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Turn;
use durward_schemas::tables::{Access, Change, Object};
use durward_schemas::values::{ChangeAction, ChangeKind, Decision, Edge, Outcome, Provider};

use crate::change::{Made, changes, effective, is_kept, kind_of, told_again};
use crate::correlator::State;
use crate::resolve::{is_aggregation, is_minted_by_hand, resolve, told};
use crate::state::attestation;
use crate::state::attested;
use crate::state::cloud_identity;
use crate::state::grants::Moment;
use crate::state::mesh_policy::{is_decided_by_mesh, is_mesh_policy};
use crate::state::objects::{Content, ObjectKey, Version};
use crate::state::policy::is_binding;
use crate::state::workloads::Cause;

/// Held accesses whose edge may look different after this row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct News {
    pub edge: Edge,
    pub positions: Vec<LogPosition>,
    pub reason: &'static str,
}

/// Why a 401 is looked at again.
const ENDED: &str = "what its credential may rest on was deleted";

/// Takes what a judged access tells: changes, mintings, pods.
pub(crate) fn access(state: &mut State, access: &mut Access, turn: &mut Turn) -> Vec<News> {
    let mut news = Vec::new();
    if let Some(signed) = state.credentials.signed_again(access) {
        access.issued_credential_id = Some(signed);
    }
    // Who minted its credential tells whether it is a controller's own.
    resolve(state, Edge::Lineage, access);
    let access = &*access;
    if access.identity.is_some() {
        // A use that arrives late may be by whom a later request of its client was.
        let mut positions = state.recent.unauthenticated_since(access.time);
        if !positions.is_empty() {
            let of_client: BTreeSet<_> = state.recent.of_client(access).collect();
            positions.retain(|position| of_client.contains(position));
        }
        let reason = "an earlier request of its client was seen";
        news.push(News { edge: Edge::Actor, positions, reason });
    }
    turn.credentials.extend(state.credentials.use_of(access));
    proof(state, access, &mut news);
    if access.decision != Decision::Deny && access.outcome == Outcome::Success {
        minting(state, access, turn, &mut news);
        configuration(state, access, turn, &mut news);
        pods::pods(state, access, turn, &mut news);
        let process = attested::process(access, cause_of(access));
        if let Some(row) = process.and_then(|process| state.workloads.process(process)) {
            let holder = row.workload.as_deref().unwrap_or_default();
            let positions = state.recent.of_principal(holder);
            let reason = "the process that holds its SVID was seen";
            news.push(News { edge: Edge::Workload, positions, reason });
            turn.workloads.push(row);
        }
    }
    if access.may_be_done() {
        configuration(state, access, turn, &mut news);
    }
    news
}

/// Takes what a row that decides nothing tells: the serial number of an SVID that was signed, and the pod
/// in which an agent of SPIRE found a process.
pub(crate) fn beside(state: &mut State, access: &Access, turn: &mut Turn) -> Vec<News> {
    let mut news = Vec::new();
    if access.provider == Provider::Spire && access.outcome == Outcome::Success {
        minting(state, access, turn, &mut news);
        pods::attested_pod(state, access, turn, &mut news);
    }
    news
}

fn cause_of(access: &Access) -> Cause {
    Cause {
        log_position: access.log_position,
        recorded_time: access.ingest_time,
        time: effective(access),
    }
}

fn minting(state: &mut State, access: &Access, turn: &mut Turn, news: &mut Vec<News>) {
    let minted = state.credentials.mint(access);
    for credential in &minted {
        let positions = state.recent.of_credential(&credential.credential_id);
        let reason = "the minting of its credential was seen";
        // Of a cloud's session only the minting says for whom it is; tokens say so themselves, and whoever else
        // than a node minted one has it.
        if access.provider != Provider::Kubernetes || is_minted_by_hand(credential) {
            news.push(News { edge: Edge::Workload, positions: positions.clone(), reason });
        }
        news.push(News { edge: Edge::Lineage, positions: positions.clone(), reason });
        // Who minted it tells whether it is a controller's own.
        news.push(News { edge: Edge::Actor, positions, reason });
        let positions = state.recent.unauthenticated_since(access.time);
        news.push(News { edge: Edge::Actor, positions, reason });
    }
    turn.credentials.extend(minted);
}

fn configuration(state: &mut State, access: &Access, turn: &mut Turn, news: &mut Vec<News>) {
    for made in changes(&state.objects, access) {
        state.changes.insert(made.change.change_id.clone(), told(&made.change));
        let moment = Moment {
            time: effective(access),
            change: Some(&made.change.change_id),
            log_position: access.log_position,
            recorded_time: access.ingest_time,
        };
        for (key, version) in beside_the_named(state, access, &made) {
            keep(state, &key, version, &moment, turn, news);
        }
        if let Some((key, version)) = made.object {
            keep(state, &key, version, &moment, turn, news);
        } else if access.provider != Provider::Kubernetes {
            state.cloud_policy.index(&made.change);
            news.push(cloud_news(state, &made.change));
        }
        turn.changes.push(made.change);
    }
}

/// What was decided by policy proves that this policy stood.
fn proof(state: &mut State, access: &Access, news: &mut Vec<News>) {
    for key in attestation::attest(&mut state.objects, access) {
        let Some(version) = state.objects.at(&key, access.time) else { continue };
        state.policy.index(&key, &version.content);
        let mut positions = state.recent.since(key.cluster.as_deref(), version.from);
        positions.retain(|position| is_refused(state, *position));
        let reason = "a later decision proves what was granted";
        news.push(News { edge: Edge::Change, positions, reason });
    }
}

/// Decisions that came before a write of which not all was seen prove what it left, too.
fn prove_again(state: &mut State, key: &ObjectKey, from: Time) {
    let path = key.path();
    for position in state.recent.since(key.cluster.as_deref(), from) {
        let Some(held) = state.recent.get(position) else { continue };
        let named = [&held.access.decided_by, &held.access.decided_role];
        if named.into_iter().flatten().any(|name| *name == path) {
            attestation::attest(&mut state.objects, &held.access);
        }
    }
    if let Some(version) = state.objects.at(key, from) {
        state.policy.index(key, &version.content);
    }
}

fn is_refused(state: &State, position: LogPosition) -> bool {
    state.recent.get(position).is_some_and(|held| held.access.decision == Decision::Deny)
}

/// What a change did to objects beside the one that it names: a namespace ends all that is in it, and of
/// a collection that was selected nobody knows which are left.
fn beside_the_named(state: &State, access: &Access, made: &Made) -> Vec<(ObjectKey, Version)> {
    let change = &made.change;
    let (keys, content) = match (&made.object, &change.name) {
        (Some(_), Some(name))
            if change.kind == ChangeKind::Namespace && change.action == ChangeAction::Delete =>
        {
            let keys = state.objects.in_namespace(change.cluster.as_deref(), name, access.time);
            let is_gone = !access.may_be_done();
            (keys, if is_gone { Content::Gone } else { Content::Unseen })
        }
        (None, _) if access.verb.as_deref() == Some("deletecollection") => {
            let kind = kind_of(change.api_group.as_deref().unwrap_or_default(), &change.resource);
            let Some((kind, _)) = kind else { return Vec::new() };
            let existing = state.objects.existing(change.cluster.as_deref(), kind, access.time);
            let here = existing.map(|(key, _)| key);
            let here = here.filter(|key| key.namespace == change.namespace);
            (here.cloned().collect(), Content::Unseen)
        }
        _ => return Vec::new(),
    };
    let version = Version {
        from: effective(access),
        position: access.log_position,
        content,
        change: Some(change.change_id.clone()),
    };
    keys.into_iter().map(|key| (key, version.clone())).collect()
}

/// Keeps one version of an object, and refreshes what follows from it.
fn keep(
    state: &mut State,
    key: &ObjectKey,
    version: Version,
    moment: &Moment,
    turn: &mut Turn,
    news: &mut Vec<News>,
) {
    let (from, is_policy) = (version.from, is_policy(key));
    state.policy.index(key, &version.content);
    if version.content == Content::Gone {
        let positions = state.recent.unauthenticated_since(from);
        news.push(News { edge: Edge::Actor, positions, reason: ENDED });
    }
    if state.cloud_identities.index(key, &version.content) {
        news.push(annotated_news(state, key));
    }
    let is_whole = version.content.is_whole();
    let newest = state.objects.insert(key.clone(), version);
    if is_policy && !is_whole {
        prove_again(state, key, from);
    }
    if !newest {
        tell_again(state, key, from);
    }
    if is_policy {
        if newest {
            turn.grants.extend(state.grants.refresh(&state.objects, key, moment));
        }
        news.push(impersonation_news(state, key, from));
        if key.kind == "ClusterRole" {
            let mut positions = state.recent.since(key.cluster.as_deref(), from);
            positions.retain(|position| {
                state.recent.get(*position).is_some_and(|held| is_aggregation(&held.access))
            });
            let reason = "a role that an aggregate selects was written";
            news.push(News { edge: Edge::Actor, positions, reason });
        }
        news.push(policy_news(state, key, from, moment));
    } else if is_mesh_policy(key) {
        news.push(mesh_news(state, key, from));
    } else if let Some(namespace) = &key.namespace {
        // Which change a workload had last concerns only later accesses of that workload.
        let workload = format!("{namespace}/{}", key.name);
        let mut positions = state.recent.since(key.cluster.as_deref(), from);
        positions.retain(|position| {
            state.recent.get(*position).is_some_and(|held| {
                held.access.workload.as_ref() == Some(&workload)
                    && held.access.workload_kind.as_ref() == Some(&key.kind)
            })
        });
        news.push(News {
            edge: Edge::Workload,
            positions,
            reason: "a change of its workload was seen",
        });
    }
}

/// The change after a late version did something else than it seemed to.
fn tell_again(state: &mut State, key: &ObjectKey, from: Time) {
    let next = state.objects.history(key).iter().find(|version| version.from > from);
    let Some((next, id)) = next.and_then(|next| Some((next, next.change.as_ref()?))) else {
        return;
    };
    let Some(change) = state.changes.get(id) else { return };
    let summary = told_again(&state.objects, change, key, next);
    if let Some(change) = state.changes.get_mut(&id.clone()) {
        change.summary = summary;
    }
}

/// A change concerns every decision after it; what a snapshot found only tells why something was refused.
fn policy_news(state: &State, key: &ObjectKey, from: Time, moment: &Moment) -> News {
    let mut positions = state.recent.since(key.cluster.as_deref(), from);
    if moment.change.is_none() {
        positions.retain(|position| {
            state.recent.get(*position).is_some_and(|held| held.access.decision == Decision::Deny)
        });
    }
    News { edge: Edge::Change, positions, reason: "an earlier change of policy was seen" }
}

/// A change of policy may also be what let somebody act as another.
fn impersonation_news(state: &State, key: &ObjectKey, from: Time) -> News {
    let mut positions = state.recent.since(key.cluster.as_deref(), from);
    positions.retain(|position| {
        let held = state.recent.get(*position);
        held.is_some_and(|held| held.access.impersonated_identity.is_some())
    });
    News { edge: Edge::Impersonation, positions, reason: "an earlier change of policy was seen" }
}

/// A change of a mesh's policy concerns the connections that such policies decide on.
fn mesh_news(state: &State, key: &ObjectKey, from: Time) -> News {
    let mut positions = state.recent.since(key.cluster.as_deref(), from);
    positions.retain(|position| {
        state.recent.get(*position).is_some_and(|held| is_decided_by_mesh(&held.access))
    });
    News {
        edge: Edge::Change,
        positions,
        reason: "an earlier change of the mesh's policy was seen",
    }
}

/// A change of a cloud's policies concerns later calls by those whom it names.
fn cloud_news(state: &State, change: &Change) -> News {
    let concerns = state.cloud_policy.concerns(change);
    let mut positions = state.recent.after(change.time);
    positions
        .retain(|position| state.recent.get(*position).is_some_and(|held| concerns(&held.access)));
    News {
        edge: Edge::Change,
        positions,
        reason: "an earlier change of the cloud's policy was seen",
    }
}

/// As whom a `ServiceAccount` acts in a cloud concerns what was done there in that name.
fn annotated_news(state: &State, key: &ObjectKey) -> News {
    let account = cloud_identity::account(key);
    let principals = account.iter().flat_map(|it| state.cloud_identities.of_account(it));
    News {
        edge: Edge::Workload,
        positions: principals.flat_map(|name| state.recent.of_principal(name)).collect(),
        reason: "its ServiceAccount was seen",
    }
}

fn is_policy(key: &ObjectKey) -> bool {
    is_binding(key) || matches!(key.kind.as_str(), "Role" | "ClusterRole")
}

/// Takes an object that somebody listed.
pub(crate) fn object(state: &mut State, object: &Object, turn: &mut Turn) -> Vec<News> {
    let mut news = Vec::new();
    let cause = Cause {
        log_position: object.log_position,
        recorded_time: object.ingest_time,
        time: object.time,
    };
    if let Some(namespace) = &object.namespace {
        let place = (object.cluster.clone(), namespace.clone());
        let (rows, names) = pods::listed_pod_or_owner(state, &place, object, cause);
        news.push(pods::of_holders(state, &rows));
        turn.workloads.extend(rows);
        news.push(pods::of_pods(state, &place, &names, "the owner of its pod was listed"));
    }
    if is_kept(&object.kind) {
        listed_configuration(state, object, turn, &mut news);
    }
    state.listed_since(object.cluster.as_deref(), &object.kind, object.time);
    news
}

fn listed_configuration(state: &mut State, object: &Object, turn: &mut Turn, news: &mut Vec<News>) {
    let key = ObjectKey {
        cluster: object.cluster.clone(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    };
    let content = Content::of(Some(&object.object));
    if state.objects.at(&key, object.time).is_some_and(|known| known.content == content) {
        return;
    }
    let version =
        Version { from: object.time, position: object.log_position, content, change: None };
    let moment = Moment {
        time: object.time,
        change: None,
        log_position: object.log_position,
        recorded_time: object.ingest_time,
    };
    keep(state, &key, version, &moment, turn, news);
}
