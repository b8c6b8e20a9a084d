//! Deletions of pods, remembered for pods of which the creation is told after it.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::shares::{Shares, owner};

use super::Place;

/// Deletions remembered; the creation of a pod is not told so late that more are needed.
const MOST: usize = 100_000;

/// Whom a deletion ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) enum Deleted {
    /// The pod with this UID.
    Uid(String),
    /// The pod that had this name then.
    Name(String),
}

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(crate) struct Deletion {
    pub place: Place,
    pub of: Deleted,
    /// In microseconds.
    pub time: i64,
}

/// Deletions by whom they ended. A namespace that deletes very much forgets its own first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Deletions {
    /// When, and the number of its coming.
    times: BTreeMap<(Place, Deleted), BTreeMap<Time, u64>>,
    shares: Shares<Deletion>,
    taken: u64,
}

impl Deletions {
    /// Takes note of a deletion.
    pub(super) fn add(&mut self, deletion: Deletion) {
        let Deletion { place, of, time } = deletion.clone();
        let times = self.times.entry((place.clone(), of)).or_default();
        if times.contains_key(&Time(time)) {
            return;
        }
        self.taken += 1;
        times.insert(Time(time), self.taken);
        let owner = owner(&[place.0.as_deref().unwrap_or_default(), &place.1]);
        self.shares.add(&owner, self.taken, deletion);
        if self.shares.len() > MOST
            && let Some(Deletion { place, of, time }) = self.shares.give_way()
        {
            let key = (place, of);
            if let Some(times) = self.times.get_mut(&key) {
                times.remove(&Time(time));
                if times.is_empty() {
                    self.times.remove(&key);
                }
            }
        }
    }

    /// When the pod of this UID was deleted first.
    pub(super) fn of_uid(&self, place: &Place, uid: &str) -> Option<Time> {
        self.times.get(&(place.clone(), Deleted::Uid(uid.to_owned())))?.keys().next().copied()
    }

    /// When a pod of this name was deleted first at or after `from`.
    pub(super) fn of_name(&self, place: &Place, name: &str, from: Time) -> Option<Time> {
        let times = self.times.get(&(place.clone(), Deleted::Name(name.to_owned())))?;
        times.range(from..).next().map(|(time, _)| *time)
    }

    /// Everything in the order in which it came, for a checkpoint.
    pub(super) fn all(&self) -> Vec<Deletion> {
        let ordered = self.times.iter().flat_map(|((place, of), times)| {
            let of =
                move |time: &Time| Deletion { place: place.clone(), of: of.clone(), time: time.0 };
            times.iter().map(move |(time, came)| (*came, of(time)))
        });
        ordered.collect::<BTreeMap<_, _>>().into_values().collect()
    }
}
