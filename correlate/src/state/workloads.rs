//! Which pod belongs to which workload: pods, and the owners that controllers made them for.

mod index;

use std::collections::{BTreeMap, VecDeque};

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::tables::Workload;
use durward_schemas::values::Evidence;

use self::index::Index;
use crate::body::{Metadata, OwnerReference, Pod};

/// Pods come and go: the oldest leave first, and live on in the lake.
const MOST_PODS: usize = 100_000;

/// A namespace of a cluster.
pub(crate) type Place = (Option<String>, String);

/// A `ServiceAccount`: its namespace of a cluster, and its name.
pub(crate) type Account = (Place, String);

/// Pods by UID, the owners of each namespace, and processes that hold SVIDs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Workloads {
    pods: BTreeMap<(Option<String>, String), KnownPod>,
    order: VecDeque<(Option<String>, String)>,
    /// The cluster of each UID, for those who know no cluster: clouds.
    clusters: BTreeMap<String, Option<String>>,
    owners: BTreeMap<Place, BTreeMap<String, Owner>>,
    processes: BTreeMap<(Place, String), Workload>,
    index: Index,
}

/// A pod's latest row, and its direct controller.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct KnownPod {
    pub row: Workload,
    pub controller: Option<(String, String)>,
}

/// Something that controllers make pods for, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Owner {
    pub kind: String,
    /// Its own controller: the Deployment of a `ReplicaSet`, the `CronJob` of a Job.
    pub above: Option<(String, String)>,
    /// Whether a pod was seen to be made for it.
    pub has_pods: bool,
}

/// Who a pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub kind: String,
    /// `namespace/name`.
    pub workload: String,
    pub evidence: Evidence,
}

/// The row that a fact came with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cause {
    pub log_position: LogPosition,
    pub recorded_time: Time,
    pub time: Time,
}

impl KnownPod {
    fn lived_at(&self, time: Time) -> bool {
        self.row.valid_from.is_none_or(|from| from <= time)
            && self.row.valid_to.is_none_or(|to| time < to)
    }

    /// Who it belongs to, as its object said.
    fn ownership(&self) -> Option<Ownership> {
        Some(Ownership {
            kind: self.row.workload_kind.clone()?,
            workload: format!("{}/{}", self.row.namespace, self.row.workload.as_ref()?),
            evidence: Evidence::Exact,
        })
    }
}

impl Workloads {
    /// Takes a pod's object; its new version if it says something new.
    pub(crate) fn pod(&mut self, place: &Place, pod: &Pod, cause: Cause) -> Option<Workload> {
        let name = pod.metadata.name.clone().filter(|name| !name.is_empty())?;
        if let Some(owner) = pod.metadata.controller() {
            self.pods_are_made_for(place, owner);
        }
        let uid = pod.metadata.uid.clone()?;
        let created = pod.metadata.creation_timestamp.as_deref().and_then(Time::parse);
        let controller = pod.metadata.controller();
        let controller = controller.map(|owner| (owner.kind.clone(), owner.name.clone()));
        let (workload_kind, workload) = self.top(place, controller.as_ref(), &name);
        let key = (place.0.clone(), uid.clone());
        let old = self.pods.get(&key).map(|known| &known.row);
        let row = Workload {
            cluster: place.0.clone(),
            namespace: place.1.clone(),
            pod: name,
            pod_uid: Some(uid),
            version: old.map_or(1, |old| old.version + 1),
            recorded_time: cause.recorded_time,
            log_position: cause.log_position,
            workload_kind: Some(workload_kind),
            workload: Some(workload),
            service_account: pod.spec.service_account_name.clone(),
            node: pod.spec.node_name.clone().or_else(|| old?.node.clone()),
            ip: pod.status.pod_ip.clone().or_else(|| old?.ip.clone()),
            images: Some(pod.images()),
            valid_from: created.or_else(|| old?.valid_from).or(Some(cause.time)),
            valid_to: old.and_then(|old| old.valid_to),
            evidence: Evidence::Exact,
        };
        if old.is_some_and(|old| same(old, &row)) {
            return None;
        }
        self.keep(key, KnownPod { row: row.clone(), controller });
        Some(row)
    }

    /// Takes a pod that SPIRE attested, unless its object or an earlier attestation said as much.
    pub(crate) fn attested(&mut self, place: &Place, pod: &Pod, cause: Cause) -> Option<Workload> {
        let key = (place.0.clone(), pod.metadata.uid.clone()?);
        if self.pods.contains_key(&key) {
            return None;
        }
        self.pod(place, pod, cause)
    }

    /// Takes a process that holds an SVID; its row, if that is new. The earliest time counts.
    pub(crate) fn process(&mut self, row: Workload) -> Option<Workload> {
        let key = ((row.cluster.clone(), row.namespace.clone()), row.pod.clone());
        let known = self.processes.get(&key);
        if known.is_some_and(|known| known.valid_from <= row.valid_from) {
            return None;
        }
        let version = known.map_or(1, |known| known.version + 1);
        // Who is forgotten is told again, from then on.
        if known.is_none() && self.processes.len() >= MOST_PODS {
            self.processes.pop_first();
        }
        let row = Workload { version, ..row };
        self.processes.insert(key, row.clone());
        Some(row)
    }

    /// Processes, for a checkpoint.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Workload> {
        self.processes.values()
    }

    /// Takes note that a controller makes pods for `owner`; true if that is new.
    pub(crate) fn pods_are_made_for(&mut self, place: &Place, owner: &OwnerReference) -> bool {
        let entry = self.owners.entry(place.clone()).or_default().entry(owner.name.clone());
        let known = entry.or_insert_with(|| Owner { kind: owner.kind.clone(), ..Owner::default() });
        !std::mem::replace(&mut known.has_pods, true)
    }

    /// Takes an object that owns pods, such as a `ReplicaSet` or a Job; new versions of its pods.
    pub(crate) fn owner(
        &mut self,
        place: &Place,
        kind: &str,
        metadata: &Metadata,
        cause: Cause,
    ) -> Vec<Workload> {
        let Some(name) = metadata.name.clone() else { return Vec::new() };
        let above = metadata.controller().map(|above| (above.kind.clone(), above.name.clone()));
        let owners = self.owners.entry(place.clone()).or_default();
        let new = || Owner { kind: kind.into(), ..Owner::default() };
        let known = owners.entry(name.clone()).or_insert_with(new);
        if above.is_none() || known.above == above {
            return Vec::new();
        }
        known.above.clone_from(&above);
        let mut rows = Vec::new();
        for uid in self.index.made_for(place, &name) {
            let Some(pod) = self.pods.get_mut(&(place.0.clone(), uid)) else { continue };
            let (kind, workload) = above.clone().unzip();
            self.index.remove(pod);
            pod.row.workload_kind = kind;
            pod.row.workload = workload;
            next_version(&mut pod.row, cause);
            self.index.add(pod);
            rows.push(pod.row.clone());
        }
        rows
    }

    /// What the pods that controllers make for `owner` belong to, if any are.
    pub(crate) fn top_of(&self, place: &Place, owner: &str) -> Option<(String, String)> {
        let known = self.owners.get(place)?.get(owner).filter(|known| known.has_pods)?;
        known.above.clone().or_else(|| Some((known.kind.clone(), owner.to_owned())))
    }

    /// A pod is gone; its last version. One of its name that was made later lives on.
    pub(crate) fn gone(&mut self, place: &Place, pod: &str, cause: Cause) -> Option<Workload> {
        let alive = |uid: &&String| {
            let known = self.pods.get(&(place.0.clone(), (*uid).clone()));
            known.is_some_and(|known| known.row.valid_to.is_none() && known.lived_at(cause.time))
        };
        let uid = self.index.named(place, pod).find(alive)?.clone();
        let row = &mut self.pods.get_mut(&(place.0.clone(), uid))?.row;
        row.valid_to = Some(cause.time);
        next_version(row, cause);
        Some(row.clone())
    }

    /// Who the pod with these claims belongs to.
    ///
    /// Exact when its object was seen; derived when an owner that controllers make pods for is the
    /// pod name's prefix (DESIGN decision 8).
    pub(crate) fn owner_of(
        &self,
        place: &Place,
        pod: &str,
        uid: Option<&str>,
    ) -> Option<Ownership> {
        if let Some(known) = uid.and_then(|uid| self.pods.get(&(place.0.clone(), uid.to_owned()))) {
            return known.ownership();
        }
        let owners = self.owners.get(place)?;
        let made = prefixes(pod)
            .find_map(|prefix| owners.get_key_value(prefix).filter(|(_, owner)| owner.has_pods));
        let (name, owner) = made?;
        let (kind, name) = match &owner.above {
            Some((kind, name)) => (kind, name),
            None => (&owner.kind, name),
        };
        Some(Ownership {
            kind: kind.clone(),
            workload: format!("{}/{name}", place.1),
            evidence: Evidence::Derived,
        })
    }

    /// The row of a pod.
    pub(crate) fn pod_of(&self, cluster: Option<&str>, uid: &str) -> Option<&Workload> {
        let key = (cluster.map(str::to_owned), uid.to_owned());
        self.pods.get(&key).map(|known| &known.row)
    }

    /// Who the pod with this UID belongs to, in whichever cluster it was seen: UIDs are unique.
    pub(crate) fn owner_of_uid(&self, uid: &str) -> Option<Ownership> {
        let cluster = self.clusters.get(uid)?;
        self.pods.get(&(cluster.clone(), uid.to_owned()))?.ownership()
    }

    /// The one workload that is known to run as this `ServiceAccount` at `time`.
    ///
    /// It is derived, since the access named the account only; of two nobody knows which it was.
    pub(crate) fn running_as(&self, account: &Account, time: Time) -> Option<Ownership> {
        let cluster = &account.0.0;
        let pod = |uid: &String| self.pods.get(&(cluster.clone(), uid.clone()));
        let mut alive = self
            .index
            .running_as(account)
            .filter_map(|uids| uids.iter().filter_map(pod).find(|known| known.lived_at(time)));
        let only = alive.next().filter(|_| alive.next().is_none())?;
        Some(Ownership { evidence: Evidence::Derived, ..only.ownership()? })
    }

    /// The processes that an agent gave an SVID of this SPIFFE ID before `time`, as one workload.
    ///
    /// It is derived: an access names the SPIFFE ID, and whoever has the key of an SVID can show it.
    pub(crate) fn holding(&self, place: &Place, holder: &str, time: Time) -> Option<Ownership> {
        let here = self.processes.range((place.clone(), String::new())..);
        let mut here = here.take_while(|((other, _), _)| other == place).map(|(_, row)| row);
        let row = here.find(|row| {
            row.workload.as_deref() == Some(holder)
                && row.valid_from.is_none_or(|from| from <= time)
        })?;
        Some(Ownership {
            kind: row.workload_kind.clone()?,
            workload: holder.to_owned(),
            evidence: Evidence::Derived,
        })
    }

    /// Everything, for a checkpoint.
    pub(crate) fn parts(
        &self,
    ) -> (impl Iterator<Item = &KnownPod>, &BTreeMap<Place, BTreeMap<String, Owner>>) {
        (self.order.iter().filter_map(|key| self.pods.get(key)), &self.owners)
    }

    /// Takes back a pod from a checkpoint.
    pub(crate) fn restore_pod(&mut self, pod: KnownPod) {
        let Some(uid) = pod.row.pod_uid.clone() else { return };
        self.keep((pod.row.cluster.clone(), uid), pod);
    }

    /// Takes back a process from a checkpoint.
    pub(crate) fn restore_process(&mut self, row: Workload) {
        let key = ((row.cluster.clone(), row.namespace.clone()), row.pod.clone());
        self.processes.insert(key, row);
    }

    /// Takes back an owner from a checkpoint.
    pub(crate) fn restore_owner(&mut self, place: Place, name: String, owner: Owner) {
        self.owners.entry(place).or_default().insert(name, owner);
    }

    /// Number of pods held.
    pub(crate) fn len(&self) -> usize {
        self.pods.len()
    }

    fn keep(&mut self, key: (Option<String>, String), pod: KnownPod) {
        if let Some(old) = self.pods.get(&key) {
            self.index.remove(old);
        }
        self.index.add(&pod);
        if self.pods.insert(key.clone(), pod).is_none() {
            self.clusters.insert(key.1.clone(), key.0.clone());
            self.order.push_back(key);
        }
        if self.order.len() > MOST_PODS
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(old) = self.pods.remove(&oldest) {
                self.index.remove(&old);
            }
            self.clusters.remove(&oldest.1);
        }
    }

    /// The owner at the top of the chain, or the pod itself.
    fn top(&self, place: &Place, owner: Option<&(String, String)>, pod: &str) -> (String, String) {
        let Some(owner) = owner else { return ("Pod".into(), pod.into()) };
        let known = self.owners.get(place).and_then(|owners| owners.get(&owner.1));
        known.and_then(|known| known.above.clone()).unwrap_or_else(|| owner.clone())
    }
}

/// The `ServiceAccount` that a pod runs as.
pub(crate) fn account_of(row: &Workload) -> Option<Account> {
    Some(((row.cluster.clone(), row.namespace.clone()), row.service_account.clone()?))
}

/// `a-b-c` -> `a-b`, `a`: the longest first.
pub(crate) fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.rsplit_once('-'), |(prefix, _)| prefix.rsplit_once('-'))
        .map(|(prefix, _)| prefix)
}

fn next_version(row: &mut Workload, cause: Cause) {
    row.version += 1;
    row.recorded_time = cause.recorded_time;
    row.log_position = cause.log_position;
}

fn same(old: &Workload, new: &Workload) -> bool {
    let told = Workload {
        version: old.version,
        recorded_time: old.recorded_time,
        log_position: old.log_position,
        ..new.clone()
    };
    *old == told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the pod of a StatefulSet is deleted and made again under its name; that it was deleted is
    /// told after its successor was seen.
    /// Guarantees: the first one ends when it was deleted, and the second lives.
    #[test]
    fn a_late_deletion_ends_the_pod_of_its_time() {
        let place: Place = (Some("prod".into()), "payments".into());
        let mut workloads = Workloads::default();
        let cause = |time: i64| Cause { time: Time(time), ..Cause::default() };
        for (uid, created) in [("a", 10), ("b", 30)] {
            let metadata = Metadata {
                name: Some("ledger-0".into()),
                uid: Some(uid.into()),
                ..Metadata::default()
            };
            workloads.pod(&place, &Pod { metadata, ..Pod::default() }, cause(created));
        }
        let gone = workloads.gone(&place, "ledger-0", cause(20)).unwrap();
        assert_eq!((gone.pod_uid.as_deref(), gone.valid_to), (Some("a"), Some(Time(20))));
        assert_eq!(workloads.gone(&place, "ledger-0", cause(25)), None);
        let last = workloads.gone(&place, "ledger-0", cause(40)).unwrap();
        assert_eq!(last.pod_uid.as_deref(), Some("b"));
    }
}
