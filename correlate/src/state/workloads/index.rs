//! Which pods have a name, were made for an owner, or run as a `ServiceAccount`. Derived from the pods.

use std::collections::{BTreeMap, BTreeSet};

use super::{Account, KnownPod, Place, account_of};

/// UIDs of pods.
type Uids = BTreeSet<String>;

/// Kind and name of what a pod belongs to.
type Kept = (Option<String>, Option<String>);

/// UIDs of pods by what is asked of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index {
    names: BTreeMap<(Place, String), Uids>,
    controllers: BTreeMap<(Place, String), Uids>,
    accounts: BTreeMap<Account, BTreeMap<Kept, Uids>>,
}

impl Index {
    /// Takes in a pod as it is known now.
    pub(super) fn add(&mut self, pod: &KnownPod) {
        let Some(uid) = &pod.row.pod_uid else { return };
        let place = place(pod);
        self.names.entry((place.clone(), pod.row.pod.clone())).or_default().insert(uid.clone());
        if let Some(controller) = pod.controller.as_ref().map(|above| &above.name) {
            let made = self.controllers.entry((place, controller.clone())).or_default();
            made.insert(uid.clone());
        }
        if let Some(account) = account_of(&pod.row) {
            let workloads = self.accounts.entry(account).or_default();
            workloads.entry(kept(pod)).or_default().insert(uid.clone());
        }
    }

    /// Takes out a pod as it was known.
    pub(super) fn remove(&mut self, pod: &KnownPod) {
        let Some(uid) = &pod.row.pod_uid else { return };
        let place = place(pod);
        remove(&mut self.names, &(place.clone(), pod.row.pod.clone()), uid);
        if let Some(controller) = pod.controller.as_ref().map(|above| &above.name) {
            remove(&mut self.controllers, &(place, controller.clone()), uid);
        }
        let Some(account) = account_of(&pod.row) else { return };
        let Some(workloads) = self.accounts.get_mut(&account) else { return };
        remove(workloads, &kept(pod), uid);
        if workloads.is_empty() {
            self.accounts.remove(&account);
        }
    }

    /// Pods of this name, one after the other.
    pub(super) fn named(&self, place: &Place, pod: &str) -> impl Iterator<Item = &String> {
        self.names.get(&(place.clone(), pod.to_owned())).into_iter().flatten()
    }

    /// Pods that were made for the controller of this name.
    pub(super) fn made_for(&self, place: &Place, name: &str) -> Vec<String> {
        let made = self.controllers.get(&(place.clone(), name.to_owned()));
        made.into_iter().flatten().cloned().collect()
    }

    /// Pods of each workload that runs as an account.
    pub(super) fn running_as(&self, account: &Account) -> impl Iterator<Item = &Uids> {
        self.accounts.get(account).into_iter().flat_map(BTreeMap::values)
    }
}

fn place(pod: &KnownPod) -> Place {
    (pod.row.cluster.clone(), pod.row.namespace.clone())
}

fn kept(pod: &KnownPod) -> Kept {
    (pod.row.workload_kind.clone(), pod.row.workload.clone())
}

fn remove<K: Ord>(index: &mut BTreeMap<K, Uids>, key: &K, uid: &str) {
    if let Some(uids) = index.get_mut(key) {
        uids.remove(uid);
        if uids.is_empty() {
            index.remove(key);
        }
    }
}
