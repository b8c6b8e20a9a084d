//! Which of many give way when there is no more room.

use std::collections::BTreeMap;

use durward_schemas::shares::Shares;

/// Keys in the order of their coming; the namespace with most gives way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order<K = (Option<String>, String)> {
    keys: BTreeMap<u64, K>,
    shares: Shares<u64>,
    came: u64,
    pub(super) forgotten: Forgotten,
}

/// How much was let go of. It is no part of what is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Forgotten(pub u64);

impl PartialEq for Forgotten {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<K> Default for Order<K> {
    fn default() -> Self {
        Self {
            keys: BTreeMap::new(),
            shares: Shares::default(),
            came: 0,
            forgotten: Forgotten::default(),
        }
    }
}

impl<K> Order<K> {
    pub(super) fn add(&mut self, place: &str, key: K) {
        self.came += 1;
        self.keys.insert(self.came, key);
        self.shares.add(place, self.came, self.came);
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.keys.values()
    }

    /// Takes out one key if there are more than `most`.
    pub(super) fn beyond(&mut self, most: usize) -> Option<K> {
        let came = if self.keys.len() > most { self.shares.give_way()? } else { return None };
        self.forgotten.0 += 1;
        self.keys.remove(&came)
    }
}
