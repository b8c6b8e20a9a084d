//! Judged accesses that later evidence may still amend.
//!
//! They leave when the lateness of the sources has passed or there is no more room; evidence that
//! is later still makes no amendment (DESIGN decision 7).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::ids::{CredentialId, LogPosition, RequestKey};
use durward_schemas::tables::Access;
use durward_schemas::values::{Evidence, IdentityKind, Provider};

use crate::state::cloud_identity::principal_of;
use crate::state::spans::{SpanKey, prefix};
use crate::state::workloads::{Account, Place, prefixes};
use crate::unauthenticated::is_unauthenticated;

/// Accesses in the order of the log, with indexes by what evidence names; these are only looked up, so that
/// no order of theirs shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recent {
    rows: BTreeMap<LogPosition, Held>,
    by_request: HashMap<RequestKey, LogPosition>,
    by_credential: Index<CredentialId>,
    by_audit_id: Index<String>,
    by_pod_name: Index<PodName>,
    by_pod: Index<String>,
    by_account: Index<Account>,
    by_principal: Index<String>,
    by_claimed_span: Index<SpanKey>,
    by_client: Index<Client>,
    unauthenticated: BTreeSet<(Time, LogPosition)>,
    by_time: BTreeSet<(Time, LogPosition)>,
}

/// The part of the room that is made at once, since it costs a look at all rows.
const AT_ONCE: usize = 16;

/// Who has less than this part of the room has little.
const LITTLE: usize = 32;

/// Whose an access is: of a namespace of a cluster, where whoever has it makes identities, or of an identity.
fn owner(access: &Access) -> [&str; 2] {
    let who = access.namespace.as_deref().or(access.identity.as_deref());
    [access.cluster.as_deref().unwrap_or_default(), who.unwrap_or_default()]
}

/// Where requests come from: cluster, address, user agent.
pub(crate) type Client = (Option<String>, String, String);

/// The name of a pod, or what may be the name of its owner: all before one of its hyphens.
type PodName = (Place, String);

/// Positions by what accesses name.
type Index<K> = HashMap<K, BTreeSet<LogPosition>>;

/// One access as it is known now, and how often each of its edges was amended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    /// Behind a pointer, since nodes of the map are half empty.
    pub access: Box<Access>,
    pub amended: BTreeMap<&'static str, i64>,
}

impl Recent {
    /// Holds a judged access.
    pub(crate) fn add(&mut self, access: &mut Access) {
        self.restore(Held { access: Box::new(without_bodies(access)), amended: BTreeMap::new() });
    }

    /// Takes back a held access from a checkpoint.
    pub(crate) fn restore(&mut self, held: Held) {
        let (position, access) = (held.access.log_position, &held.access);
        self.by_request.insert(access.request_key.clone(), position);
        self.by_time.insert((access.time, position));
        if let Some(id) = &access.credential_id {
            self.by_credential.entry(id.clone()).or_default().insert(position);
        }
        if let Some(id) = &access.source_event_id {
            self.by_audit_id.entry(prefix(id).to_owned()).or_default().insert(position);
        }
        for name in pod_names(access) {
            self.by_pod_name.entry(name).or_default().insert(position);
        }
        if let Some(uid) = foreign_pod(access) {
            self.by_pod.entry(uid.to_owned()).or_default().insert(position);
        }
        if let Some(account) = account_of(access) {
            self.by_account.entry(account).or_default().insert(position);
        }
        if let Some(principal) = principal_of(access) {
            self.by_principal.entry(principal).or_default().insert(position);
        }
        if let Some(holder) = spiffe_id(access) {
            self.by_principal.entry(holder.to_owned()).or_default().insert(position);
        }
        if let Some(span) = claimed_span(access) {
            self.by_claimed_span.entry(span).or_default().insert(position);
        }
        if let Some(client) = client_of(access) {
            self.by_client.entry(client).or_default().insert(position);
        }
        if is_unauthenticated(access) {
            self.unauthenticated.insert((access.time, position));
        }
        self.rows.insert(position, held);
    }

    /// Lets go of what the log took before `before`, and of the oldest beyond `most`.
    pub(crate) fn forget(&mut self, before: Time, most: usize) {
        while let Some((&position, held)) = self.rows.first_key_value() {
            if held.access.ingest_time >= before {
                break;
            }
            self.remove(position);
        }
        if self.rows.len() > most {
            self.beyond(most).into_iter().for_each(|position| self.remove(position));
        }
    }

    /// The oldest that have to leave, some more at once than there is no room for. Of identities that have little
    /// they stay, up to half of the room: whoever makes very many requests puts out his own.
    fn beyond(&self, most: usize) -> Vec<LogPosition> {
        let mut counts: HashMap<_, usize> = HashMap::new();
        for held in self.rows.values() {
            *counts.entry(owner(&held.access)).or_default() += 1;
        }
        let mut leaving = self.rows.len() - most + most / AT_ONCE;
        let (mut stays, mut leave) = (most / 2, Vec::new());
        let mut stayed = Vec::new();
        for (position, held) in &self.rows {
            if leaving == 0 {
                break;
            }
            let has_little =
                counts.get(&owner(&held.access)).is_some_and(|count| count * LITTLE <= most);
            if has_little && stays > 0 {
                stays -= 1;
                stayed.push(*position);
            } else {
                leaving -= 1;
                leave.push(*position);
            }
        }
        // Where all have little the oldest leave.
        leave.extend(stayed.into_iter().take(leaving));
        leave
    }

    fn remove(&mut self, position: LogPosition) {
        if let Some(held) = self.rows.remove(&position) {
            self.unindex(position, &held.access);
        }
    }

    /// The access at a position.
    pub(crate) fn get_mut(&mut self, position: LogPosition) -> Option<&mut Held> {
        self.rows.get_mut(&position)
    }

    /// The judged access of a request.
    pub(crate) fn of_request(&self, key: &RequestKey) -> Option<LogPosition> {
        self.by_request.get(key).copied()
    }

    /// Accesses that used a credential.
    pub(crate) fn of_credential(&self, id: &CredentialId) -> Vec<LogPosition> {
        self.by_credential.get(id).into_iter().flatten().copied().collect()
    }

    /// Accesses whose audit id begins so.
    pub(crate) fn of_audit_id(&self, id: &str) -> Vec<LogPosition> {
        self.by_audit_id.get(prefix(id)).into_iter().flatten().copied().collect()
    }

    /// Accesses by the pod of this name, or by pods that may have been made for an owner of this name.
    pub(crate) fn of_pod_name(&self, place: &Place, name: &str) -> Vec<LogPosition> {
        let key = (place.clone(), name.to_owned());
        self.by_pod_name.get(&key).into_iter().flatten().copied().collect()
    }

    /// Accesses outside Kubernetes by the pod with this UID.
    pub(crate) fn of_pod(&self, uid: &str) -> Vec<LogPosition> {
        self.by_pod.get(uid).into_iter().flatten().copied().collect()
    }

    /// Accesses by a `ServiceAccount` of which no object told the workload.
    pub(crate) fn of_account(&self, account: &Account) -> Vec<LogPosition> {
        let positions = self.by_account.get(account).into_iter().flatten().copied();
        positions.filter(|position| self.is_open(*position)).collect()
    }

    /// Accesses by a principal of a cloud, or by who shows a SPIFFE ID.
    pub(crate) fn of_principal(&self, name: &str) -> Vec<LogPosition> {
        self.by_principal.get(name).into_iter().flatten().copied().collect()
    }

    /// Accesses that name this span as theirs.
    pub(crate) fn of_claimed_span(&self, span: &SpanKey) -> Vec<LogPosition> {
        self.by_claimed_span.get(span).into_iter().flatten().copied().collect()
    }

    /// Requests to the API server from the address and with the user agent of `access`, the newest first.
    pub(crate) fn of_client(&self, access: &Access) -> impl Iterator<Item = LogPosition> {
        let client = client_of(access);
        let positions = client.and_then(|client| self.by_client.get(&client));
        positions.into_iter().flatten().rev().copied()
    }

    /// Accesses at or after `time` that authentication refused.
    pub(crate) fn unauthenticated_since(&self, time: Time) -> Vec<LogPosition> {
        let since = self.unauthenticated.range((time, LogPosition::MIN)..);
        since.map(|(_, position)| *position).collect()
    }

    /// Accesses of `cluster` at or after `time`.
    pub(crate) fn since(&self, cluster: Option<&str>, time: Time) -> Vec<LogPosition> {
        let here = |position: &LogPosition| {
            self.rows.get(position).is_some_and(|held| held.access.cluster.as_deref() == cluster)
        };
        let mut from = self.after(time);
        from.retain(here);
        from
    }

    /// Accesses anywhere at or after `time`.
    pub(crate) fn after(&self, time: Time) -> Vec<LogPosition> {
        self.by_time.range((time, LogPosition::MIN)..).map(|(_, position)| *position).collect()
    }

    /// The access at a position, to look at.
    pub(crate) fn get(&self, position: LogPosition) -> Option<&Held> {
        self.rows.get(&position)
    }

    /// Whether a pod of its `ServiceAccount` may still say whose access it was.
    fn is_open(&self, position: LogPosition) -> bool {
        let evidence = self.get(position).and_then(|held| held.access.workload_evidence);
        evidence != Some(Evidence::Exact)
    }

    /// Everything, for a checkpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> {
        self.rows.values()
    }

    /// Number of accesses held.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn unindex(&mut self, position: LogPosition, access: &Access) {
        self.by_request.remove(&access.request_key);
        self.by_time.remove(&(access.time, position));
        if let Some(id) = &access.credential_id {
            remove(&mut self.by_credential, id, position);
        }
        if let Some(id) = &access.source_event_id {
            remove(&mut self.by_audit_id, &prefix(id).to_owned(), position);
        }
        for name in pod_names(access) {
            remove(&mut self.by_pod_name, &name, position);
        }
        if let Some(uid) = foreign_pod(access) {
            remove(&mut self.by_pod, &uid.to_owned(), position);
        }
        if let Some(account) = account_of(access) {
            remove(&mut self.by_account, &account, position);
        }
        if let Some(principal) = principal_of(access) {
            remove(&mut self.by_principal, &principal, position);
        }
        if let Some(holder) = spiffe_id(access) {
            remove(&mut self.by_principal, &holder.to_owned(), position);
        }
        if let Some(span) = claimed_span(access) {
            remove(&mut self.by_claimed_span, &span, position);
        }
        if let Some(client) = client_of(access) {
            remove(&mut self.by_client, &client, position);
        }
        self.unauthenticated.remove(&(access.time, position));
    }
}

fn remove<K: Eq + Hash>(index: &mut Index<K>, key: &K, position: LogPosition) {
    if let Some(positions) = index.get_mut(key) {
        positions.remove(&position);
        if positions.is_empty() {
            index.remove(key);
        }
    }
}

/// Where the pod of a pod's credential lives: the namespace of its `ServiceAccount`.
pub(crate) fn pod_place(access: &Access) -> Option<(Option<String>, String)> {
    access.pod.as_ref()?;
    Some((access.cluster.clone(), access.namespace.clone()?))
}

/// The `ServiceAccount` that one workload may run as: it acted in a mesh, in Vault, towards a cloud, or the
/// API server names its pod. Tokens that name none are too old to be of any.
pub(crate) fn account_of(access: &Access) -> Option<Account> {
    if access.provider == Provider::Kubernetes && access.pod.is_none() {
        return None;
    }
    let place = (access.cluster.clone(), access.namespace.clone()?);
    Some((place, access.service_account.clone()?))
}

/// The name of the pod that acted, and of owners that it may have.
fn pod_names(access: &Access) -> Vec<PodName> {
    let Some((place, pod)) = pod_place(access).zip(access.pod.as_deref()) else {
        return Vec::new();
    };
    let names = std::iter::once(pod).chain(prefixes(pod));
    names.map(|name| (place.clone(), name.to_owned())).collect()
}

/// The UID of the pod that acted outside Kubernetes, where no cluster need be known: UIDs are unique.
pub(crate) fn foreign_pod(access: &Access) -> Option<&str> {
    access.pod_uid.as_deref().filter(|_| access.provider != Provider::Kubernetes)
}

fn client_of(access: &Access) -> Option<Client> {
    let is_api_server = access.provider == Provider::Kubernetes;
    let address = access.source_ip.clone().filter(|_| is_api_server)?;
    Some((access.cluster.clone(), address, access.user_agent.clone()?))
}

/// The SPIFFE ID that was shown.
fn spiffe_id(access: &Access) -> Option<&str> {
    access.identity.as_deref().filter(|_| access.identity_kind == IdentityKind::Spiffe)
}

fn claimed_span(access: &Access) -> Option<SpanKey> {
    access.claimed_trace_id.clone().zip(access.claimed_span_id.clone())
}

/// A copy without bodies: they are no edge, and most of the bytes. They are put aside, not copied.
fn without_bodies(access: &mut Access) -> Access {
    let aside = bodies(access).map(Option::take);
    let copy = access.clone();
    for (body, kept) in bodies(access).into_iter().zip(aside) {
        *body = kept;
    }
    copy
}

fn bodies(access: &mut Access) -> [&mut Option<Json>; 5] {
    [
        &mut access.request_object,
        &mut access.response_object,
        &mut access.unmapped,
        &mut access.annotations,
        &mut access.extra,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: one access of a workload, then a thousand of somebody else, where a hundred fit; then accesses of very
    /// identities of his namespace, and of very many who have one each.
    /// Guarantees: that of the workload stays until its time is over, however many come; there is never more than fits,
    /// and the newest are there.
    #[test]
    fn eviction_by_requests_of_ones_own() {
        let row = |position: LogPosition, who: String| Access {
            log_position: position,
            ingest_time: Time(position),
            namespace: who.split_once(':').map(|(namespace, _)| namespace.to_owned()),
            identity: Some(who),
            request_key: RequestKey(format!("{position}")),
            ..Access::default()
        };
        let mut recent = Recent::default();
        let take = |recent: &mut Recent, position, who: String| {
            recent.forget(Time(-1), 99);
            recent.add(&mut row(position, who));
            assert!(recent.len() <= 100);
        };
        take(&mut recent, 0, "victim".into());
        (1..1_000).for_each(|at| take(&mut recent, at, "attacker".into()));
        assert!(recent.get(0).is_some() && recent.get(1).is_none());
        (1_000..2_000).for_each(|at| take(&mut recent, at, format!("attacker:{at}")));
        (2_000..3_000).for_each(|at| take(&mut recent, at, format!("many {at}")));
        assert!(recent.get(0).is_some() && recent.get(2_999).is_some());
        recent.forget(Time(5_000), 99);
        assert_eq!((recent.len(), recent.by_request.len()), (0, 0));
    }
}
