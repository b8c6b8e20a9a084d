//! What a row tells of pods and their owners, and whose accesses that concerns.

use std::collections::BTreeSet;

use durward_schemas::cell::Json;
use durward_schemas::controllers::creates_for;
use durward_schemas::record::Turn;
use durward_schemas::tables::{Access, Object, Workload};
use durward_schemas::values::Edge;
use serde_json::Value;

use super::{ENDED, News, cause_of};
use crate::body::{Body, Metadata, Pod, value};
use crate::change::is_creation;
use crate::correlator::State;
use crate::state::attested;
use crate::state::workloads::{Cause, Place, Teller, account_of};

/// New versions of pods, and names of pods or owners that something new is known of.
type Told = (Vec<Workload>, Vec<String>);

pub(super) fn attested_pod(
    state: &mut State,
    access: &Access,
    turn: &mut Turn,
    news: &mut Vec<News>,
) {
    let Some((pod, namespace)) = attested::pod(access).zip(access.namespace.clone()) else {
        return;
    };
    let place = (access.cluster.clone(), namespace);
    let cause = cause_of(access);
    if let Some(row) = state.workloads.attested(&place, &pod, cause) {
        news.push(of_pods(state, &place, std::slice::from_ref(&row.pod), "its pod was attested"));
        let others = state.workloads.of_one_name(&place, &row.pod, cause);
        let rows = [vec![row], others].concat();
        news.push(of_holders(state, &rows));
        turn.workloads.extend(rows);
    }
}

pub(super) fn pods(state: &mut State, access: &Access, turn: &mut Turn, news: &mut Vec<News>) {
    let Some(namespace) = access.object_namespace.clone() else { return };
    let place: Place = (access.cluster.clone(), namespace);
    let cause = cause_of(access);
    let verb = access.verb.as_deref().unwrap_or_default();
    let resource = access.resource.as_deref().unwrap_or_default();
    let (rows, names) = match (resource, access.subresource.as_deref(), verb) {
        ("pods", None, "create") => created_pod(state, &place, access, cause),
        ("pods", None, "patch" | "update") if is_creation(access) => {
            created_pod(state, &place, access, cause)
        }
        ("pods", None, "delete") => {
            let Some(pod) = access.object_name.as_deref() else { return };
            let uid = deleted_uid(access);
            let gone = state.workloads.gone(&place, pod, uid.as_deref(), cause);
            let positions = state.recent.unauthenticated_since(cause.time);
            news.push(News { edge: Edge::Actor, positions, reason: ENDED });
            (gone, Vec::new())
        }
        (
            "replicasets" | "jobs" | "replicationcontrollers",
            None,
            "create" | "update" | "patch",
        ) => {
            let body = access.response_object.as_ref().or(access.request_object.as_ref());
            let Some(body) = body.and_then(Body::read) else { return };
            let kind = body.kind.clone().unwrap_or_else(|| singular(resource).to_owned());
            let teller = owner_teller(state, &place, access, &body.metadata);
            owner(state, &place, &kind, &body.metadata, teller, cause)
        }
        _ => return,
    };
    news.push(of_holders(state, &rows));
    turn.workloads.extend(rows);
    news.push(of_pods(state, &place, &names, "the owner of its pod was seen"));
}

/// The UID of the deleted object: of the answer, which is the object or a Status about it, or what the kubelet
/// demands of it.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/>
fn deleted_uid(access: &Access) -> Option<String> {
    let read = |body: &Option<Json>, at: &str| {
        value(body.as_ref()).pointer(at).and_then(Value::as_str).map(str::to_owned)
    };
    let answer = &access.response_object;
    read(answer, "/metadata/uid")
        .or_else(|| read(answer, "/details/uid"))
        .or_else(|| read(&access.request_object, "/preconditions/uid"))
}

/// Accesses by pods of these names, or by pods that were made for owners of these names.
pub(super) fn of_pods(
    state: &State,
    place: &Place,
    names: &[String],
    reason: &'static str,
) -> News {
    let positions = names.iter().flat_map(|name| state.recent.of_pod_name(place, name)).collect();
    News { edge: Edge::Workload, positions, reason }
}

/// Who says by this write which controller an object has.
fn teller(access: &Access, metadata: &Metadata) -> Teller {
    let is_own = metadata.controller().is_some_and(|owner| creates_for(access, &owner.kind));
    if is_own { Teller::Controller } else { Teller::Writer }
}

/// The same of an object that owns pods. Whoever changes other parts of one is not the one who says it.
fn owner_teller(state: &State, place: &Place, access: &Access, metadata: &Metadata) -> Teller {
    let is_made = access.verb.as_deref() == Some("create") || is_creation(access);
    if is_made || state.workloads.has_other_controller(place, metadata) {
        return teller(access, metadata);
    }
    Teller::Listing
}

/// Takes an object that owns pods: new versions of its pods, and its name if it says something new.
fn owner(
    state: &mut State,
    place: &Place,
    kind: &str,
    metadata: &Metadata,
    teller: Teller,
    cause: Cause,
) -> Told {
    let Some(name) = metadata.name.clone() else { return (Vec::new(), Vec::new()) };
    let before = state.workloads.top_of(place, &name);
    let rows = state.workloads.owner(place, kind, metadata, teller, cause);
    let is_news = state.workloads.top_of(place, &name) != before;
    let mut names: Vec<String> = rows.iter().map(|row| row.pod.clone()).collect();
    names.extend(is_news.then_some(name));
    (rows, names)
}

/// Takes a pod's object: its new version, and the names that it tells something new of.
fn pod(state: &mut State, place: &Place, pod: &Pod, teller: Teller, cause: Cause) -> Told {
    let owner = pod.metadata.controller().map(|owner| owner.name.clone());
    let top = |state: &State| state.workloads.top_of(place, owner.as_deref()?);
    let before = top(state);
    let row = state.workloads.pod(place, pod, teller, cause);
    let is_news = top(state) != before;
    let mut names: Vec<String> = row.iter().map(|row| row.pod.clone()).collect();
    names.extend(owner.filter(|_| is_news));
    let mut rows: Vec<Workload> = row.into_iter().collect();
    if let Some(name) = rows.first().map(|row| row.pod.clone()) {
        rows.extend(state.workloads.of_one_name(place, &name, cause));
    }
    (rows, names)
}

/// Accesses that name no pod, by those who run as the `ServiceAccount` of a pod or got a session for it.
pub(super) fn of_holders(state: &State, pods: &[Workload]) -> News {
    let mut positions = Vec::new();
    let mut seen = BTreeSet::new();
    for pod in pods {
        let account = account_of(pod);
        if let Some(account) = account.as_ref().filter(|account| !seen.contains(*account)) {
            positions.extend(state.recent.of_account(account));
            for principal in state.cloud_identities.of_account(account) {
                positions.extend(state.recent.of_principal(principal));
            }
            seen.insert(account.clone());
        }
        positions.extend(pod.pod_uid.iter().flat_map(|uid| state.recent.of_pod(uid)));
        for id in state.credentials.held_by(pod.pod_uid.as_deref(), account.as_ref()) {
            positions.extend(state.recent.of_credential(&id));
        }
    }
    News { edge: Edge::Workload, positions, reason: "the workload of its ServiceAccount was seen" }
}

fn created_pod(state: &mut State, place: &Place, access: &Access, cause: Cause) -> Told {
    let answered = access.response_object.as_ref().and_then(Pod::read);
    if let Some(answered) = answered.filter(|pod| pod.metadata.uid.is_some()) {
        let teller = teller(access, &answered.metadata);
        return pod(state, place, &answered, teller, cause);
    }
    // Without the answer the new pod's name and UID are not known, only for whom it was made.
    let sent = access.request_object.as_ref().and_then(Pod::read);
    let owner = sent.as_ref().and_then(|pod| pod.metadata.controller());
    let owner = owner.filter(|owner| creates_for(access, &owner.kind));
    let owner = owner.filter(|owner| state.workloads.pods_are_made_for(place, owner));
    (Vec::new(), owner.map(|owner| owner.name.clone()).into_iter().collect())
}

fn singular(resource: &str) -> &'static str {
    match resource {
        "replicasets" => "ReplicaSet",
        "jobs" => "Job",
        _ => "ReplicationController",
    }
}

pub(super) fn listed_pod_or_owner(
    state: &mut State,
    place: &Place,
    object: &Object,
    cause: Cause,
) -> Told {
    let read = if object.kind == "Pod" {
        Pod::read(&object.object).map(|listed| pod(state, place, &listed, Teller::Listing, cause))
    } else if matches!(object.kind.as_str(), "ReplicaSet" | "Job" | "ReplicationController") {
        let body = Body::read(&object.object);
        body.map(|body| owner(state, place, &object.kind, &body.metadata, Teller::Listing, cause))
    } else {
        None
    };
    read.unwrap_or_default()
}
