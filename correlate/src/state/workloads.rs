//! Which pod belongs to which workload: pods, and the owners that controllers made them for.

mod above;
mod deletions;
mod index;
mod order;

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::shares::owner;
use durward_schemas::tables::Workload;
use durward_schemas::values::Evidence;

use self::above::evidence;
pub(crate) use self::above::{Above, Teller};
use self::deletions::Deletions;
pub(crate) use self::deletions::{Deleted, Deletion};
use self::index::Index;
pub(crate) use self::order::Forgotten;
use self::order::Order;
use crate::body::{Metadata, OwnerReference, Pod};

/// Pods come and go: the oldest of the namespace with most leave first, and live on in the lake.
const MOST_PODS: usize = 100_000;

/// A namespace of a cluster.
pub(crate) type Place = (Option<String>, String);

/// A `ServiceAccount`: its namespace of a cluster, and its name.
pub(crate) type Account = (Place, String);

/// Pods by UID, the owners of each namespace, and processes that hold SVIDs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Workloads {
    pods: BTreeMap<(Option<String>, String), KnownPod>,
    order: Order,
    /// The cluster of each UID, for those who know no cluster: clouds.
    clusters: BTreeMap<String, Option<String>>,
    owners: BTreeMap<Place, BTreeMap<String, Owner>>,
    processes: BTreeMap<(Place, String), Workload>,
    process_order: Order<(Place, String)>,
    index: Index,
    deletions: Deletions,
}

/// Whose a pod is when there is no more room.
fn place_of(row: &Workload) -> String {
    owner(&[row.cluster.as_deref().unwrap_or_default(), &row.namespace])
}

/// A pod's latest row, and its direct controller.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct KnownPod {
    pub row: Workload,
    pub controller: Option<Above>,
}

/// Something that controllers make pods for, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Owner {
    pub kind: String,
    /// Its own controller: the Deployment of a `ReplicaSet`, the `CronJob` of a Job.
    pub above: Option<Above>,
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
            evidence: self.row.evidence,
        })
    }
}

impl Workloads {
    /// Takes a pod's object; its new version if it says something new. One that was deleted before it was
    /// told of is gone.
    pub(crate) fn pod(
        &mut self,
        place: &Place,
        pod: &Pod,
        teller: Teller,
        cause: Cause,
    ) -> Option<Workload> {
        let name = pod.metadata.name.clone().filter(|name| !name.is_empty())?;
        if let Some(owner) = pod.metadata.controller().filter(|_| teller != Teller::Writer) {
            self.pods_are_made_for(place, owner);
        }
        let uid = pod.metadata.uid.clone()?;
        let created = pod.metadata.creation_timestamp.as_deref().and_then(Time::parse);
        let key = (place.0.clone(), uid.clone());
        let known = self.pods.get(&key);
        let before = known.and_then(|known| known.controller.as_ref());
        let controller = Above::of(&pod.metadata, teller, before);
        let top = self.top(place, controller.as_ref());
        let evidence = evidence(top.as_ref());
        let (workload_kind, workload) =
            top.map_or_else(|| ("Pod".to_owned(), name.clone()), |top| (top.kind, top.name));
        let old = known.map(|known| &known.row);
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
            evidence,
        };
        let row = Workload { valid_to: self.end_of(place, &row), ..row };
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
        self.pod(place, pod, Teller::Listing, cause)
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
        let row = Workload { version, ..row };
        self.keep_process(key, row.clone());
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
        teller: Teller,
        cause: Cause,
    ) -> Vec<Workload> {
        let Some(name) = metadata.name.clone() else { return Vec::new() };
        let owners = self.owners.entry(place.clone()).or_default();
        let new = || Owner { kind: kind.into(), ..Owner::default() };
        let known = owners.entry(name.clone()).or_insert_with(new);
        let Some(above) = Above::of(metadata, teller, known.above.as_ref()) else {
            return Vec::new();
        };
        // What somebody claims takes the place of nothing that is known better.
        let is_less = |before: &Above| above.is_claimed && !before.is_claimed && !before.is(&above);
        if known.above.as_ref().is_some_and(|before| *before == above || is_less(before)) {
            return Vec::new();
        }
        known.above = Some(above);
        let mut rows = Vec::new();
        for uid in self.index.made_for(place, &name) {
            let key = (place.0.clone(), uid);
            let controller = self.pods.get(&key).and_then(|pod| pod.controller.as_ref());
            let Some(top) = self.top(place, controller) else { continue };
            let Some(pod) = self.pods.get_mut(&key) else { continue };
            self.index.remove(pod);
            pod.row.evidence = evidence(Some(&top));
            (pod.row.workload_kind, pod.row.workload) = (Some(top.kind), Some(top.name));
            next_version(&mut pod.row, cause);
            self.index.add(pod);
            rows.push(pod.row.clone());
        }
        rows
    }

    /// Whether an object is known that has another controller than this, or none.
    pub(crate) fn has_other_controller(&self, place: &Place, metadata: &Metadata) -> bool {
        let known = metadata.name.as_ref().and_then(|name| self.owners.get(place)?.get(name));
        let above = Above::of(metadata, Teller::Listing, None);
        known.is_some_and(|known| match (&known.above, &above) {
            (Some(known), Some(above)) => !known.is(above),
            (known, above) => known.is_some() != above.is_some(),
        })
    }

    /// What the pods that controllers make for `owner` belong to, if any are.
    pub(crate) fn top_of(&self, place: &Place, owner: &str) -> Option<(String, String)> {
        let known = self.owners.get(place)?.get(owner).filter(|known| known.has_pods)?;
        let above = known.above.clone().map(|above| (above.kind, above.name));
        above.or_else(|| Some((known.kind.clone(), owner.to_owned())))
    }

    /// A pod is gone: new versions of the pods of its name. Without its UID it is the one that had the name then.
    ///
    /// The order of arrival changes nothing: what is told of a pod later finds its deletion, and of two
    /// deletions the first one counts, since a pod that ends in peace is deleted twice.
    pub(crate) fn gone(
        &mut self,
        place: &Place,
        pod: &str,
        uid: Option<&str>,
        cause: Cause,
    ) -> Vec<Workload> {
        let of = match uid {
            Some(uid) => Deleted::Uid(uid.to_owned()),
            None => Deleted::Name(pod.to_owned()),
        };
        self.deletions.add(Deletion { place: place.clone(), of, time: cause.time.0 });
        self.of_one_name(place, pod, cause)
    }

    /// When a pod ended, as far as that is known: the earliest of what is told. It was gone when another one
    /// got its name.
    fn end_of(&self, place: &Place, row: &Workload) -> Option<Time> {
        let from = row.valid_from.unwrap_or(Time(i64::MIN));
        let of_uid = row.pod_uid.as_deref().and_then(|uid| self.deletions.of_uid(place, uid));
        let of_name = self.deletions.of_name(place, &row.pod, from);
        let others =
            self.index.named(place, &row.pod).filter(|uid| row.pod_uid.as_ref() != Some(uid));
        let others = others.filter_map(|uid| {
            let other = self.pods.get(&(place.0.clone(), uid.clone()))?;
            other.row.valid_from.filter(|begin| from < *begin)
        });
        [row.valid_to, of_uid, of_name].into_iter().flatten().chain(others).min()
    }

    /// New versions of pods of this name, after one more was told of.
    pub(crate) fn of_one_name(&mut self, place: &Place, pod: &str, cause: Cause) -> Vec<Workload> {
        let keys = self.index.named(place, pod).map(|uid| (place.0.clone(), uid.clone()));
        let ends: Vec<_> = keys
            .filter_map(|key| {
                let row = &self.pods.get(&key)?.row;
                let end = self.end_of(place, row);
                (end != row.valid_to).then_some((key, end))
            })
            .collect();
        let mut rows = Vec::new();
        for (key, end) in ends {
            let Some(known) = self.pods.get_mut(&key) else { continue };
            known.row.valid_to = end;
            next_version(&mut known.row, cause);
            rows.push(known.row.clone());
        }
        rows
    }

    /// Deletions, for a checkpoint.
    pub(crate) fn deletions(&self) -> Vec<Deletion> {
        self.deletions.all()
    }

    /// Takes back a deletion from a checkpoint.
    pub(crate) fn restore_deletion(&mut self, deletion: Deletion) {
        self.deletions.add(deletion);
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
            Some(above) => (&above.kind, &above.name),
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
        (self.order.keys().filter_map(|key| self.pods.get(key)), &self.owners)
    }

    /// Takes back a pod from a checkpoint.
    pub(crate) fn restore_pod(&mut self, pod: KnownPod) {
        let Some(uid) = pod.row.pod_uid.clone() else { return };
        self.keep((pod.row.cluster.clone(), uid), pod);
    }

    /// Takes back a process from a checkpoint.
    pub(crate) fn restore_process(&mut self, row: Workload) {
        let key = ((row.cluster.clone(), row.namespace.clone()), row.pod.clone());
        self.keep_process(key, row);
    }

    /// Takes back an owner from a checkpoint.
    pub(crate) fn restore_owner(&mut self, place: Place, name: String, owner: Owner) {
        self.owners.entry(place).or_default().insert(name, owner);
    }

    /// Number of pods that left for want of room, since the program was started.
    pub(crate) fn forgotten(&self) -> u64 {
        self.order.forgotten.0
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
        let place = place_of(&pod.row);
        if self.pods.insert(key.clone(), pod).is_none() {
            self.clusters.insert(key.1.clone(), key.0.clone());
            self.order.add(&place, key);
        }
        if let Some(oldest) = self.order.beyond(MOST_PODS) {
            if let Some(old) = self.pods.remove(&oldest) {
                self.index.remove(&old);
            }
            self.clusters.remove(&oldest.1);
        }
    }

    fn keep_process(&mut self, key: (Place, String), row: Workload) {
        let place = place_of(&row);
        if self.processes.insert(key.clone(), row).is_none() {
            self.process_order.add(&place, key);
        }
        if let Some(oldest) = self.process_order.beyond(MOST_PODS) {
            self.processes.remove(&oldest);
        }
    }

    /// The owner at the top of the chain above a pod.
    fn top(&self, place: &Place, owner: Option<&Above>) -> Option<Above> {
        let owner = owner?;
        let known = self.owners.get(place).and_then(|owners| owners.get(&owner.name));
        let above = known.and_then(|known| known.above.as_ref()).unwrap_or(owner);
        let is_claimed = above.is_claimed || owner.is_claimed;
        Some(Above { is_claimed, ..above.clone() })
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
    use crate::body::PodSpec;

    type Told = (&'static str, Option<&'static str>, i64);

    const PLACE: fn() -> Place = || (Some("prod".into()), "payments".into());

    /// UIDs and ends of the pods after everything was told in this order.
    fn ends(told: &[Told]) -> Vec<(String, Option<i64>)> {
        let mut workloads = Workloads::default();
        for (what, uid, time) in told {
            let cause = Cause { time: Time(*time), ..Cause::default() };
            if *what == "deleted" {
                workloads.gone(&PLACE(), "ledger-0", *uid, cause);
                continue;
            }
            let metadata = Metadata {
                name: Some("ledger-0".into()),
                uid: uid.map(Into::into),
                ..Metadata::default()
            };
            let spec =
                PodSpec { service_account_name: Some("ledger".into()), ..PodSpec::default() };
            let pod = Pod { metadata, spec, ..Pod::default() };
            workloads.pod(&PLACE(), &pod, Teller::Listing, cause);
            workloads.of_one_name(&PLACE(), "ledger-0", cause);
        }
        let pods = workloads.pods.values();
        let mut ends: Vec<_> = pods
            .map(|pod| {
                (pod.row.pod_uid.clone().unwrap_or_default(), pod.row.valid_to.map(|it| it.0))
            })
            .collect();
        ends.sort();
        ends
    }

    /// All orders of `told`.
    fn orders(told: &[Told]) -> Vec<Vec<Told>> {
        if told.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for (at, first) in told.iter().enumerate() {
            let mut others = told.to_vec();
            others.remove(at);
            all.extend(orders(&others).into_iter().map(|rest| [vec![*first], rest].concat()));
        }
        all
    }

    /// Scenario: the pod of a StatefulSet is deleted and made again under its name: deletions with a UID, without
    /// one, twice, of the first one only or of both, in every order of arrival.
    /// Guarantees: each pod ends when it was deleted first, or when another one had its name; the order changes
    /// nothing.
    #[test]
    fn the_order_of_deletions_and_creations_changes_nothing() {
        let (a, b) = (("made", Some("a"), 10), ("made", Some("b"), 30));
        let check = |told: &[Told], a: Option<i64>, b: Option<i64>| {
            for order in orders(told) {
                assert_eq!(ends(&order), [("a".to_owned(), a), ("b".to_owned(), b)], "{order:?}");
            }
        };
        check(&[a, b, ("deleted", None, 20)], Some(20), None);
        check(&[a, b, ("deleted", Some("a"), 20), ("deleted", Some("a"), 25)], Some(20), None);
        check(&[a, b, ("deleted", None, 20), ("deleted", None, 25)], Some(20), None);
        check(&[a, b, ("deleted", None, 40)], Some(30), Some(40));
        check(&[a, b, ("deleted", None, 40), ("deleted", Some("a"), 20)], Some(20), Some(40));
        check(&[a, b, ("deleted", Some("b"), 40)], Some(30), Some(40));
        check(&[a, b, ("deleted", None, 5)], Some(30), None);
    }

    /// Scenario: a pod is known since it was attested, and its object says that it was made before.
    /// Guarantees: it lives: it is no pod that another one of its name came after.
    #[test]
    fn a_pod_is_not_its_own_successor() {
        let mut workloads = Workloads::default();
        let at = |second: i64| Cause { time: Time(second * 1_000_000), ..Cause::default() };
        let metadata = |created: Option<&str>| Metadata {
            name: Some("ledger-0".into()),
            uid: Some("a".into()),
            creation_timestamp: created.map(Into::into),
            ..Metadata::default()
        };
        for created in [None, Some("1970-01-01T00:00:10Z")] {
            let pod = Pod { metadata: metadata(created), ..Pod::default() };
            workloads.pod(&PLACE(), &pod, Teller::Listing, at(30));
            assert_eq!(workloads.of_one_name(&PLACE(), "ledger-0", at(30)), []);
        }
        let row = workloads.pod_of(Some("prod"), "a").expect("it is known");
        assert_eq!((row.valid_from, row.valid_to), (Some(Time(10_000_000)), None));
    }

    /// Scenario: the only pod of a `ServiceAccount` is deleted before its creation is told; others follow.
    /// Guarantees: nobody runs as the account after the deletion.
    #[test]
    fn a_pod_that_was_deleted_before_it_was_told_of_does_not_run() {
        let mut workloads = Workloads::default();
        let cause = |time: i64| Cause { time: Time(time), ..Cause::default() };
        assert_eq!(workloads.gone(&PLACE(), "ledger-0", Some("a"), cause(20)), []);
        let metadata = Metadata {
            name: Some("ledger-0".into()),
            uid: Some("a".into()),
            ..Metadata::default()
        };
        let spec = PodSpec { service_account_name: Some("ledger".into()), ..PodSpec::default() };
        let pod = Pod { metadata, spec, ..Pod::default() };
        let row = workloads.pod(&PLACE(), &pod, Teller::Listing, cause(10)).expect("it is new");
        assert_eq!(row.valid_to, Some(Time(20)));
        let account: Account = (PLACE(), "ledger".into());
        let runs = |time| workloads.running_as(&account, Time(time)).is_some();
        assert_eq!((runs(15), runs(25)), (true, false));
    }
}
