//! Whose turn it is to give way in a memory with a bound: who brought most.
//!
//! What is remembered belongs to somebody: to an identity in a namespace of a cluster. Whoever makes very
//! much of it pushes out what is theirs, and nobody else's. Among those with equally much, who was unused for
//! longest gives way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Keys by their owner, the oldest use first.
///
/// An owner is a path from the wide to the narrow, such as cluster, namespace, name.
/// What it gives up depends on the order of its calls only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares<K> {
    all: Share<K>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Share<K> {
    len: usize,
    /// The latest use.
    last: u64,
    /// By use.
    keys: BTreeMap<u64, K>,
    parts: BTreeMap<Box<str>, Share<K>>,
    /// The parts by what they hold; of equals the one that was used last comes first.
    sizes: BTreeSet<(usize, Reverse<u64>, Box<str>)>,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { all: Share::default() }
    }
}

impl<K> Default for Share<K> {
    fn default() -> Self {
        Self {
            len: 0,
            last: 0,
            keys: BTreeMap::new(),
            parts: BTreeMap::new(),
            sizes: BTreeSet::new(),
        }
    }
}

impl<K> Shares<K> {
    /// Takes in a key of this owner; each use has a number of its own, greater than all before.
    pub fn add(&mut self, owner: &[impl AsRef<str>], used: u64, key: K) {
        self.all.add(owner, used, key);
    }

    /// Takes out the key of a use.
    pub fn remove(&mut self, owner: &[impl AsRef<str>], used: u64) -> Option<K> {
        self.all.remove(owner, used)
    }

    /// Takes out the key that was unused for longest, of whoever has most.
    pub fn give_way(&mut self) -> Option<K> {
        self.all.give_way()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.len == 0
    }

    /// Who has most, and how much: whoever gives way next.
    #[must_use]
    pub fn greatest(&self) -> (Vec<String>, usize) {
        let (mut share, mut path) = (&self.all, Vec::new());
        while let Some((_, _, name)) = share.sizes.last()
            && let Some(part) = share.parts.get(name)
        {
            path.push(name.to_string());
            share = part;
        }
        (path, share.len)
    }
}

impl<K> Share<K> {
    fn add(&mut self, owner: &[impl AsRef<str>], used: u64, key: K) {
        self.len += 1;
        self.last = self.last.max(used);
        let Some((first, rest)) = owner.split_first() else {
            self.keys.insert(used, key);
            return;
        };
        self.within(first.as_ref(), |part| part.add(rest, used, key));
    }

    fn remove(&mut self, owner: &[impl AsRef<str>], used: u64) -> Option<K> {
        let removed = match owner.split_first() {
            None => self.keys.remove(&used),
            Some((first, rest)) => self.within(first.as_ref(), |part| part.remove(rest, used)),
        };
        if removed.is_some() {
            self.len -= 1;
            if self.last == used {
                self.last = self.latest();
            }
        }
        removed
    }

    fn give_way(&mut self) -> Option<K> {
        let given = match self.sizes.last().map(|(_, _, name)| name.clone()) {
            Some(name) => self.within(&name, Self::give_way),
            None => self.keys.pop_first().map(|(_, key)| key),
        };
        self.len -= usize::from(given.is_some());
        given
    }

    /// Changes one part, and what is known of its size.
    fn within<T>(&mut self, name: &str, change: impl FnOnce(&mut Self) -> T) -> T {
        let (owned, mut part) =
            self.parts.remove_entry(name).unwrap_or_else(|| (Box::from(name), Self::default()));
        let before = (part.len, Reverse(part.last), owned);
        self.sizes.remove(&before);
        let answer = change(&mut part);
        if part.len > 0 {
            let (_, _, owned) = before;
            self.sizes.insert((part.len, Reverse(part.last), owned.clone()));
            self.parts.insert(owned, part);
        }
        answer
    }

    fn latest(&self) -> u64 {
        let parts = self.parts.values().map(|part| part.last).max();
        let keys = self.keys.last_key_value().map(|(used, _)| *used);
        parts.max(keys).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scenario: three owners of two clusters, one of them with very much; then owners with one key each.
    /// Guarantees: the cluster with most gives way, in it the owner with most, of theirs the oldest; of equals
    /// whoever was unused for longest.
    #[test]
    fn who_has_most_gives_way() {
        let mut shares = Shares::default();
        shares.add(&["a", "x"], 1, "victim");
        shares.add(&["b", "y"], 2, "other cluster");
        for used in 3..10 {
            shares.add(&["b", "z"], used, "many");
        }
        assert_eq!(shares.greatest(), (vec!["b".into(), "z".into()], 7));
        let given: Vec<_> = (0..6).filter_map(|_| shares.give_way()).collect();
        assert_eq!(given, ["many"; 6]);
        assert_eq!(shares.give_way(), Some("other cluster"), "it was unused for longer");
        let mut shares = Shares::default();
        for (used, owner) in ["p", "q", "r"].into_iter().enumerate() {
            shares.add(&[owner], used as u64, owner);
        }
        assert_eq!(shares.remove(&["p"], 0), Some("p"));
        shares.add(&["p"], 3, "p");
        assert_eq!(std::iter::from_fn(|| shares.give_way()).collect::<Vec<_>>(), ["q", "r", "p"]);
        assert!(shares.is_empty());
    }

    proptest! {
        /// Scenario: any order of adding, using again, removing and giving way.
        /// Guarantees: nothing is lost or doubled, and who gives way has as much as anybody.
        #[test]
        fn nothing_is_lost(steps in proptest::collection::vec((0_u8..4, 0_u8..3, 0_u8..3), 1..200)) {
            let mut shares = Shares::default();
            let mut held: BTreeMap<u64, [String; 2]> = BTreeMap::new();
            for (used, (kind, cluster, name)) in (0_u64..).zip(steps) {
                let oldest = held.first_key_value().map(|(used, owner)| (*used, owner.clone()));
                match (kind, oldest) {
                    (2, Some((old, owner))) => {
                        prop_assert_eq!(shares.remove(&owner, old), Some(old));
                        held.remove(&old);
                        shares.add(&owner, used, used);
                        held.insert(used, owner);
                    }
                    (3, Some(_)) => {
                        let clusters = |name: &str| held.values().filter(|it| it[0] == name).count();
                        let most = held.values().map(|it| clusters(&it[0])).max();
                        let given = shares.give_way().expect("there is one");
                        prop_assert_eq!(held.get(&given).map(|it| clusters(&it[0])), most);
                        held.remove(&given);
                    }
                    _ => {
                        let owner = [format!("c{cluster}"), format!("n{name}")];
                        shares.add(&owner, used, used);
                        held.insert(used, owner);
                    }
                }
                prop_assert_eq!(shares.len(), held.len());
            }
        }
    }
}
