//! Who was probably refused by a 401: the log names nobody, but the same client was let in before.
//!
//! A credential that ended since is the reason: its object was deleted, or its time had passed.
//! <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens>
//! It is heuristic, since an address and a user agent prove nobody.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::tables::Access;
use durward_schemas::values::{
    ChangeAction, ChangeKind, CredentialKind, Decision, Evidence, Provider,
};

use crate::correlator::State;
use crate::state::objects::{Content, ObjectKey};

/// Requests of one client that are looked at, the newest first.
const MAX_LOOKED_AT: usize = 200;

/// Whether authentication refused `access`.
pub(crate) fn is_unauthenticated(access: &Access) -> bool {
    access.provider == Provider::Kubernetes
        && access.decision == Decision::Deny
        && access.decided_by.as_deref() == Some("authentication")
}

/// Sets who it probably was, if one identity of the client had a credential that ended since.
pub(crate) fn resolve(state: &State, access: &mut Access) {
    let found = if is_unauthenticated(access) { holder(state, access) } else { None };
    access.likely_evidence = found.as_ref().map(|_| Evidence::Heuristic);
    (access.likely_identity, access.likely_cause) = found.unzip();
}

fn holder(state: &State, access: &Access) -> Option<(String, String)> {
    let earlier = state.recent.of_client(access).take(MAX_LOOKED_AT);
    let earlier = earlier.filter_map(|position| Some(&state.recent.get(position)?.access));
    let mut ended = BTreeMap::new();
    for before in earlier.filter(|before| before.time < access.time) {
        let Some(identity) = before.identity.clone().filter(|_| !is_unauthenticated(before)) else {
            continue;
        };
        if let Some(cause) = ended_since(state, before, access.time) {
            ended.entry(identity).or_insert(cause);
        }
    }
    // Of two nobody knows which it was.
    ended.pop_first().filter(|_| ended.is_empty())
}

/// What ended the credential of `before` between then and `time`.
fn ended_since(state: &State, before: &Access, time: Time) -> Option<String> {
    let since = before.time;
    let within = |ended: Time| since < ended && ended <= time;
    let namespace = before.namespace.clone();
    let of_account = namespace.clone().zip(before.service_account.clone());
    let object = |kind: &str, namespace: Option<String>, name: String| ObjectKey {
        cluster: before.cluster.clone(),
        kind: kind.to_owned(),
        namespace,
        name,
    };
    let account = of_account.map(|(space, name)| object("ServiceAccount", Some(space), name));
    let space = namespace.map(|name| object("Namespace", None, name));
    let node = before.node.clone().map(|name| object("Node", None, name));
    let deleted = [account, space, node].into_iter().flatten().find_map(|key| {
        let version = state.objects.at(&key, time)?;
        let change = version.change.as_ref().filter(|_| version.content == Content::Gone)?;
        let told = within(version.from).then(|| state.changes.get(change)).flatten()?;
        Some(told.summary.clone())
    });
    let pod = || {
        let row = state.workloads.pod_of(before.cluster.as_deref(), before.pod_uid.as_deref()?)?;
        let ended = row.valid_to.filter(|ended| within(*ended));
        ended.map(|_| format!("pod {}/{} was deleted", row.namespace, row.pod))
    };
    let expired = || {
        let id = before.credential_id.as_ref()?;
        let credential = state.credentials.get(before.cluster.as_deref(), id)?;
        let ended = credential.expires_time.filter(|ended| within(*ended))?;
        Some(format!("its credential expired at {ended}"))
    };
    deleted.or_else(pod).or_else(expired).or_else(|| secret(state, before, &within))
}

/// The deletion of a Secret of its namespace, which may have been its token.
fn secret(state: &State, before: &Access, within: &dyn Fn(Time) -> bool) -> Option<String> {
    before.credential_kind.filter(|kind| *kind == CredentialKind::LegacyToken)?;
    let deleted = state.changes.values().filter(|change| {
        change.kind == ChangeKind::SecretReference
            && change.action == ChangeAction::Delete
            && change.cluster == before.cluster
            && change.namespace == before.namespace
            && within(change.time)
    });
    deleted.max_by_key(|change| change.time).map(|change| change.summary.clone())
}
