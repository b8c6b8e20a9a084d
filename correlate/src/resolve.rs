//! Whose workload, which lineage, which change, which span: the edges of one access, over the state.
//!
//! The same functions resolve a row when it passes and again when later evidence arrives, so that
//! the order of arrival does not matter in the end.

use durward_schemas::controllers;
use durward_schemas::ids::{ChangeId, CredentialId};
use durward_schemas::tables::{Access, Change, Credential};
use durward_schemas::values::{
    ChangeKind, CredentialKind, Decision, Edge, Evidence, IdentityKind, Provider,
};
use serde_json::{Map, Value, json};

use crate::change::effective;
use crate::correlator::State;
use crate::rbac::Question;
use crate::state::credentials;
use crate::state::mesh_policy;
use crate::state::objects::ObjectKey;
use crate::state::policy::{Cause, Refusal};
use crate::state::recent::{self, pod_place};
use crate::state::workloads::Ownership;
use crate::unauthenticated;

/// The edges that later evidence can amend, in the order in which a row gets them.
pub(crate) const EDGES: [Edge; 7] = [
    Edge::Workload,
    Edge::Lineage,
    Edge::Change,
    Edge::Trace,
    Edge::Link,
    Edge::Impersonation,
    Edge::Actor,
];

/// Sets one edge of `access` to what the state knows now.
pub(crate) fn resolve(state: &State, edge: Edge, access: &mut Access) {
    match edge {
        Edge::Workload => workload(state, access),
        Edge::Lineage => lineage(state, access),
        Edge::Change => change(state, access),
        Edge::Trace => trace(state, access),
        Edge::Link => link(state, access),
        Edge::Impersonation => impersonation(state, access),
        Edge::Actor => {
            unauthenticated::resolve(state, access);
            author(state, access);
        }
        // These are read from the event itself, or found when the row passes.
        Edge::Credential | Edge::Outcome | Edge::Request => {}
    }
}

fn workload(state: &State, access: &mut Access) {
    let place = pod_place(access);
    let pod = access.pod.as_deref();
    let owner = place
        .as_ref()
        .zip(pod)
        .and_then(|(place, pod)| state.workloads.owner_of(place, pod, access.pod_uid.as_deref()))
        .or_else(|| holder(state, access));
    // Whoever asked for the token of a pod has it, not the pod; that of a Secret is of no pod.
    let is_others = is_of_secret(access) || minted_by_hand(state, access);
    let owner = owner.map(|owner| {
        if is_others { Ownership { evidence: Evidence::Derived, ..owner } } else { owner }
    });
    // Cilium says itself whose pod it was; what we do not know better stays.
    if owner.is_none() && access.provider == Provider::Cilium {
        return;
    }
    let key = owner.as_ref().and_then(|owner| {
        let (namespace, name) = owner.workload.split_once('/')?;
        Some(ObjectKey {
            cluster: access.cluster.clone(),
            kind: owner.kind.clone(),
            namespace: Some(namespace.into()),
            name: name.into(),
        })
    });
    access.workload_change_id = key.and_then(|key| {
        let upto = state.objects.history(&key).iter().rev();
        upto.filter(|version| version.from <= access.time)
            .find_map(|version| version.change.clone())
    });
    access.workload_evidence = owner.as_ref().map(|owner| owner.evidence);
    access.workload_kind = owner.as_ref().map(|owner| owner.kind.clone());
    access.workload = owner.map(|owner| owner.workload);
}

/// Whether it is by the token of a Secret, which has no id, no pod, and no minting that a log tells by an id.
fn is_of_secret(access: &Access) -> bool {
    access.credential_kind == Some(CredentialKind::LegacyToken)
}

/// Whether a token of the API server is known to be minted by somebody else than a node, which mints for its pods.
fn minted_by_hand(state: &State, access: &Access) -> bool {
    let id = access.credential_id.as_ref().filter(|_| access.provider == Provider::Kubernetes);
    let known = id.and_then(|id| state.credentials.get(access.cluster.as_deref(), id));
    known.is_some_and(is_minted_by_hand)
}

/// Whether somebody else than a node minted it.
pub(crate) fn is_minted_by_hand(credential: &Credential) -> bool {
    let minter = credential.issued_by.as_deref();
    minter.is_some_and(|minter| !minter.starts_with("system:node:"))
}

/// Whose credential it was, where the access names no pod: the owner of the pod that a cloud's session, or
/// one before it, was minted for, else the one workload that runs as the `ServiceAccount`, which the access
/// or a minting names, or which alone is annotated with the principal.
fn holder(state: &State, access: &Access) -> Option<Ownership> {
    // The API server names the pod, whose object and owner nobody saw: the account is what is left.
    if access.provider == Provider::Kubernetes && access.pod.is_some() {
        let account = pod_place(access).zip(access.service_account.clone())?;
        return state.workloads.running_as(&account, access.time);
    }
    let is_cloud = access.credential_kind == Some(CredentialKind::CloudSession);
    let session = access.credential_id.as_ref();
    let session = session.filter(|_| access.provider != Provider::Kubernetes || is_cloud);
    // A role that assumes another is still the pod that began.
    let lineage = session.map(|id| state.credentials.lineage(access.cluster.as_deref(), id));
    let lineage: Vec<_> = lineage.into_iter().flatten().collect();
    let of_pod = recent::foreign_pod(access)
        .or_else(|| lineage.iter().find_map(|credential| credential.pod_uid.as_deref()))
        .and_then(|uid| state.workloads.owner_of_uid(uid));
    let of_account = || {
        let minted = || lineage.iter().find_map(|credential| credentials::account_of(credential));
        let annotated = || state.cloud_identities.account_of(&state.objects, access);
        let account = recent::account_of(access).or_else(minted).or_else(annotated)?;
        state.workloads.running_as(&account, access.time)
    };
    of_pod.or_else(of_account).or_else(|| process(state, access))
}

/// The process that the SPIFFE ID of an access in a mesh was given to.
fn process(state: &State, access: &Access) -> Option<Ownership> {
    let is_shown =
        access.identity_kind == IdentityKind::Spiffe && access.provider != Provider::Spire;
    let holder = access.identity.as_deref().filter(|_| is_shown)?;
    let namespace = access.namespace.clone().unwrap_or_default();
    state.workloads.holding(&(access.cluster.clone(), namespace), holder, access.time)
}

fn lineage(state: &State, access: &mut Access) {
    let id = access.credential_id.as_ref().filter(|_| !is_of_secret(access));
    let known = id.and_then(|id| state.credentials.get(access.cluster.as_deref(), id));
    let minted = known.filter(|credential| credential.issued_time.is_some());
    access.credential_issued_time = minted.and_then(|minted| minted.issued_time);
    access.credential_expires_time = minted.and_then(|minted| minted.expires_time);
    access.minted_by = minted.and_then(|minted| minted.issued_by.clone());
    access.minted_by_credential_id =
        minted.and_then(|minted| minted.issued_by_credential_id.clone());
    access.lineage_depth = minted.and_then(|minted| minted.depth);
    access.lineage_evidence = minted.map(|minted| minted.evidence);
}

fn change(state: &State, access: &mut Access) {
    let refusal = refusal(state, access);
    let cause = match &refusal {
        Some(refusal) => refusal.cause.clone(),
        None => cause(state, access),
    };
    access.replayed_decision = refusal.as_ref().map(|refusal| refusal.replayed);
    access.replayed_by = refusal.and_then(|refusal| refusal.binding).map(|binding| binding.path());
    let told = cause.as_ref().and_then(|cause| state.changes.get(&cause.change));
    access.change_evidence = cause.as_ref().map(|cause| cause.evidence);
    access.change_time = told.map(|told| told.time);
    access.change_kind = told.map(|told| told.kind);
    access.change_summary = told.map(|told| told.summary.clone());
    access.change_actor = told.map(|told| told.actor.clone());
    access.change_id = cause.map(|cause| cause.change);
}

/// Why an API server refused it, where bindings decide. Authentication refuses without asking them.
fn refusal(state: &State, access: &Access) -> Option<Refusal> {
    if access.provider != Provider::Kubernetes || access.decision != Decision::Deny {
        return None;
    }
    let question = match access.decided_by.as_deref() {
        Some("impersonation") => Question::to_impersonate(access)?,
        _ => Question::of(access)?,
    };
    let is_listed = |kind: &str| {
        let key = (access.cluster.clone(), kind.to_owned());
        state.listed.get(&key).is_some_and(|since| *since <= access.time)
    };
    let is_listed = is_listed("ClusterRoleBinding") && is_listed("ClusterRole");
    Some(state.policy.refusal(&state.objects, &question, access, is_listed))
}

/// The latest earlier change of what decides on such accesses.
fn cause(state: &State, access: &Access) -> Option<Cause> {
    match access.provider {
        Provider::Kubernetes => state.policy.cause(&state.objects, access),
        Provider::Envoy | Provider::Istio | Provider::Cilium => {
            mesh_policy::cause(&state.objects, access)
        }
        Provider::Aws | Provider::Gcp | Provider::Azure => state.cloud_policy.cause(access),
        // What these decide by is in no change that is known.
        Provider::Spire | Provider::Vault | Provider::Otlp => None,
    }
}

/// The decision on a request that impersonates is the other's; this is what let it impersonate.
fn impersonation(state: &State, access: &mut Access) {
    let is_asked = access.provider == Provider::Kubernetes
        && access.impersonated_identity.is_some()
        && access.decision == Decision::Allow;
    let found = is_asked.then(|| state.policy.impersonation(&state.objects, access)).flatten();
    access.impersonation_decided_by = found.as_ref().map(|(binding, _)| binding.path());
    access.impersonation_change_id = found.and_then(|(_, change)| change);
}

fn trace(state: &State, access: &mut Access) {
    let sharing = access.source_event_id.as_deref().map(|id| state.recent.of_audit_id(id));
    let sharing = sharing.unwrap_or_default();
    let others = sharing.iter().filter_map(|position| state.recent.get(*position));
    let others: Vec<_> =
        others.filter(|held| held.access.request_key != access.request_key).collect();
    let only_cluster = others.iter().all(|held| held.access.cluster == access.cluster);
    let edge = state.spans.of(access, others.len() + 1, only_cluster);
    access.trace_evidence = edge.as_ref().map(|edge| edge.evidence);
    access.trace_service = edge.as_ref().and_then(|edge| edge.span.service.clone());
    access.trace_name = edge.as_ref().map(|edge| edge.span.name.clone());
    access.span_id = edge.as_ref().map(|edge| edge.span.span_id.clone());
    access.trace_id = edge.map(|edge| edge.span.trace_id);
}

/// The controller that adds the rules of selected `ClusterRole`s to aggregates.
pub(crate) const AGGREGATION_CONTROLLER: &str =
    "system:serviceaccount:kube-system:clusterrole-aggregation-controller";

/// Whether a controller writes what others wrote before.
pub(crate) fn is_aggregation(access: &Access) -> bool {
    access.provider == Provider::Kubernetes
        && access.resource.as_deref() == Some("clusterroles")
        && access.identity.as_deref() == Some(AGGREGATION_CONTROLLER)
}

/// Who wrote the role whose rules a controller adds to another, or the label by which it is selected. A token
/// that somebody else minted is not the controller's: what is done with it is its holder's deed.
fn author(state: &State, access: &mut Access) {
    if !is_aggregation(access) {
        return;
    }
    let key = access.object_name.clone().map(|name| ObjectKey {
        cluster: access.cluster.clone(),
        kind: "ClusterRole".into(),
        namespace: None,
        name,
    });
    let key = key.filter(|_| !controllers::is_minted_by_others(access));
    let change = key.and_then(|key| state.policy.author(&state.objects, &key, effective(access)));
    let author = change.and_then(|change| state.changes.get(&change));
    access.on_behalf_of = author.map(|change| change.actor.clone());
    access.on_behalf_of_kind = author.map(|change| change.actor_kind);
    access.on_behalf_of_evidence = author.map(|_| Evidence::Derived);
    access.via = author.map(|_| AGGREGATION_CONTROLLER.to_owned());
}

/// The client's span, which the serving span links to: an API server continues the traces of few.
/// <https://github.com/kubernetes/enhancements/tree/master/keps/sig-instrumentation/647-apiserver-tracing>
fn link(state: &State, access: &mut Access) {
    let found = state.spans.linked(access);
    access.link_evidence = found.as_ref().map(|(_, evidence)| *evidence);
    (access.linked_trace_id, access.linked_span_id) = found.map(|(span, _)| span).unzip();
}

/// The columns of one edge as an amendment holds them; `None` where there is no edge.
pub(crate) fn columns(edge: Edge, access: &Access) -> Option<Map<String, Value>> {
    let id = |id: &Option<ChangeId>| id.as_ref().map(|id| id.as_str().to_owned());
    let micros = |time: Option<durward_schemas::Time>| time.map(|time| time.0);
    let value = match edge {
        Edge::Workload => {
            access.workload.as_ref()?;
            json!({
                "workload": access.workload,
                "workload_kind": access.workload_kind,
                "workload_evidence": access.workload_evidence.map(Evidence::as_str),
                "workload_change_id": id(&access.workload_change_id),
            })
        }
        Edge::Lineage => {
            access.lineage_evidence?;
            json!({
                "credential_issued_time": micros(access.credential_issued_time),
                "credential_expires_time": micros(access.credential_expires_time),
                "minted_by": access.minted_by,
                "minted_by_credential_id":
                    access.minted_by_credential_id.as_ref().map(CredentialId::as_str),
                "lineage_depth": access.lineage_depth,
                "lineage_evidence": access.lineage_evidence.map(Evidence::as_str),
            })
        }
        Edge::Change => {
            if access.change_id.is_none() && access.replayed_decision.is_none() {
                return None;
            }
            json!({
                "change_id": id(&access.change_id),
                "change_evidence": access.change_evidence.map(Evidence::as_str),
                "change_time": micros(access.change_time),
                "change_kind": access.change_kind.map(ChangeKind::as_str),
                "change_summary": access.change_summary,
                "change_actor": access.change_actor,
                "replayed_decision": access.replayed_decision.map(Decision::as_str),
                "replayed_by": access.replayed_by,
            })
        }
        Edge::Trace => {
            access.trace_id.as_ref()?;
            json!({
                "trace_id": access.trace_id,
                "trace_evidence": access.trace_evidence.map(Evidence::as_str),
                "span_id": access.span_id,
                "trace_service": access.trace_service,
                "trace_name": access.trace_name,
            })
        }
        Edge::Outcome => json!({
            "outcome": access.outcome.as_str(),
            "status_code": access.status_code,
            "duration_us": access.duration_us,
        }),
        Edge::Impersonation | Edge::Actor | Edge::Request | Edge::Link => {
            return around(edge, access);
        }
        Edge::Credential => return None,
    };
    match value {
        Value::Object(columns) => Some(columns),
        _ => None,
    }
}

/// The columns of the edges to what stands around a request: who let it act as another, who is behind it,
/// who told it too, and which span links to it.
fn around(edge: Edge, access: &Access) -> Option<Map<String, Value>> {
    let id = |id: &Option<ChangeId>| id.as_ref().map(|id| id.as_str().to_owned());
    let value = match edge {
        Edge::Impersonation => {
            access.impersonation_decided_by.as_ref()?;
            json!({
                "impersonation_decided_by": access.impersonation_decided_by,
                "impersonation_change_id": id(&access.impersonation_change_id),
            })
        }
        Edge::Actor => {
            access.on_behalf_of.as_ref().or(access.likely_cause.as_ref())?;
            json!({
                "on_behalf_of": access.on_behalf_of,
                "on_behalf_of_kind": access.on_behalf_of_kind.map(IdentityKind::as_str),
                "on_behalf_of_evidence": access.on_behalf_of_evidence.map(Evidence::as_str),
                "via": access.via,
                "likely_identity": access.likely_identity,
                "likely_cause": access.likely_cause,
                "likely_evidence": access.likely_evidence.map(Evidence::as_str),
            })
        }
        Edge::Request => {
            access.same_request_as.as_ref()?;
            json!({ "same_request_as": access.same_request_as })
        }
        Edge::Link => {
            access.linked_trace_id.as_ref()?;
            json!({
                "linked_trace_id": access.linked_trace_id,
                "linked_span_id": access.linked_span_id,
                "link_evidence": access.link_evidence.map(Evidence::as_str),
            })
        }
        _ => return None,
    };
    match value {
        Value::Object(columns) => Some(columns),
        _ => None,
    }
}

/// The grade of one edge.
pub(crate) fn evidence(edge: Edge, access: &Access) -> Option<Evidence> {
    match edge {
        Edge::Workload => access.workload_evidence,
        Edge::Lineage => access.lineage_evidence,
        Edge::Change => access.change_evidence,
        Edge::Trace => access.trace_evidence,
        Edge::Actor => access.on_behalf_of_evidence.or(access.likely_evidence),
        Edge::Link => access.link_evidence,
        // Only bindings that are known are looked at; an audit id and content may be chosen by a client.
        Edge::Impersonation | Edge::Request => Some(Evidence::Derived),
        Edge::Credential | Edge::Outcome => Some(Evidence::Exact),
    }
}

/// What an edge to a change shows of it, and whom and what a cloud's change concerns; the bodies stay in
/// the table.
pub(crate) fn told(change: &Change) -> Change {
    let of_cloud = |list: &Option<Vec<String>>| {
        list.clone().filter(|_| change.provider != Provider::Kubernetes)
    };
    Change {
        before: None,
        after: None,
        grants_added: of_cloud(&change.grants_added),
        grants_removed: of_cloud(&change.grants_removed),
        subjects: of_cloud(&change.subjects),
        ..change.clone()
    }
}
