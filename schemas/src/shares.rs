//! Whose turn it is to give way in a memory with a bound: who brought most.
//!
//! What is remembered belongs to somebody: to an identity in a namespace of a cluster. Whoever makes very
//! much of it pushes out what is theirs, and nobody else's. Among those with equally much, who was unused for
//! longest gives way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What stands between the parts of an owner.
const BETWEEN: char = '\u{1f}';

/// An owner, from the wide to the narrow: cluster, namespace, name.
#[must_use]
pub fn owner(parts: &[&str]) -> String {
    parts.join("\u{1f}")
}

/// Keys by their owner, the oldest use first.
///
/// What it gives up depends on the order of its calls only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares<K> {
    /// Behind a pointer, since memories stand in futures.
    all: Box<Share<K>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Share<K> {
    len: usize,
    /// The latest use.
    last: u64,
    /// The latest use as the share above has it: renewed when it matters, since most uses renew what is old anyway.
    noted: u64,
    /// By use.
    keys: BTreeMap<u64, K>,
    parts: HashMap<Box<str>, Share<K>>,
    /// The parts by what they hold; of equals the one that was used last comes first.
    sizes: BTreeSet<(usize, Reverse<u64>, Box<str>)>,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { all: Box::default() }
    }
}

impl<K> Default for Share<K> {
    fn default() -> Self {
        Self {
            len: 0,
            last: 0,
            noted: 0,
            keys: BTreeMap::new(),
            parts: HashMap::new(),
            sizes: BTreeSet::new(),
        }
    }
}

impl<K> Shares<K> {
    /// Takes in a key of this owner; each use has a number of its own, greater than all before.
    pub fn add(&mut self, owner: &str, used: u64, key: K) {
        self.all.add(owner.split(BETWEEN), used, key);
    }

    /// Takes note that the key of a use is used again.
    pub fn renew(&mut self, owner: &str, before: u64, used: u64) {
        self.all.renew(owner.split(BETWEEN), before, used);
    }

    /// Takes out the key of a use.
    pub fn remove(&mut self, owner: &str, used: u64) -> Option<K> {
        self.all.remove(owner.split(BETWEEN), used)
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

    /// Who has more than half of all, as narrow as that can be said.
    #[must_use]
    pub fn majority(&self) -> Vec<&str> {
        let (mut share, mut path) = (&*self.all, Vec::new());
        while let Some((len, _, name)) =
            share.sizes.last().filter(|(len, ..)| len * 2 > self.all.len)
            && let Some(part) = share.parts.get(name).filter(|part| part.len == *len)
        {
            path.push(&**name);
            share = part;
        }
        path
    }

    /// Who has most, and how much: whoever gives way next.
    #[must_use]
    pub fn greatest(&self) -> (Vec<&str>, usize) {
        let (mut share, mut path) = (&*self.all, Vec::new());
        while let Some((_, _, name)) = share.sizes.last()
            && let Some(part) = share.parts.get(name)
        {
            path.push(&**name);
            share = part;
        }
        (path, share.len)
    }
}

impl<K> Share<K> {
    fn add<'o>(&mut self, mut owner: impl Iterator<Item = &'o str>, used: u64, key: K) {
        self.len += 1;
        self.last = self.last.max(used);
        match owner.next() {
            None => drop(self.keys.insert(used, key)),
            Some(first) => self.within(first, |part| part.add(owner, used, key)),
        }
    }

    fn renew<'o>(&mut self, mut owner: impl Iterator<Item = &'o str>, before: u64, used: u64) {
        self.last = self.last.max(used);
        match owner.next() {
            None => {
                if let Some(key) = self.keys.remove(&before) {
                    self.keys.insert(used, key);
                }
            }
            Some(first) => {
                if let Some(part) = self.parts.get_mut(first) {
                    part.renew(owner, before, used);
                }
            }
        }
    }

    fn remove<'o>(&mut self, mut owner: impl Iterator<Item = &'o str>, used: u64) -> Option<K> {
        let removed = match owner.next() {
            None => self.keys.remove(&used),
            Some(first) => self.within(first, |part| part.remove(owner, used)),
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
        let given = match self.greatest() {
            Some(name) => self.within(&name, Self::give_way),
            None => self.keys.pop_first().map(|(_, key)| key),
        };
        self.len -= usize::from(given.is_some());
        given
    }

    /// The part that has most and, of equals, was unused for longest.
    fn greatest(&mut self) -> Option<Box<str>> {
        loop {
            let (_, Reverse(noted), name) = self.sizes.last()?;
            let (noted, name) = (*noted, name.clone());
            if self.parts.get(&name).is_none_or(|part| part.last == noted) {
                return Some(name);
            }
            self.within(&name, |_| ());
        }
    }

    /// Changes one part, and notes what is known of it.
    fn within<T>(&mut self, name: &str, change: impl FnOnce(&mut Self) -> T) -> T {
        let found = self.parts.remove_entry(name);
        let (name, mut part) = found.unwrap_or_else(|| (Box::from(name), Self::default()));
        let before = (part.len, Reverse(part.noted), name);
        self.sizes.remove(&before);
        let answer = change(&mut part);
        let (_, _, name) = before;
        if part.len > 0 {
            part.noted = part.last;
            self.sizes.insert((part.len, Reverse(part.noted), name.clone()));
            self.parts.insert(name, part);
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
        shares.add(&owner(&["a", "x"]), 1, "victim");
        shares.add(&owner(&["b", "y"]), 2, "other cluster");
        for used in 3..10 {
            shares.add(&owner(&["b", "z"]), used, "many");
        }
        assert_eq!(shares.greatest(), (vec!["b", "z"], 7));
        assert_eq!(shares.majority(), ["b", "z"]);
        let given: Vec<_> = (0..6).filter_map(|_| shares.give_way()).collect();
        assert_eq!(given, ["many"; 6]);
        assert_eq!(shares.give_way(), Some("other cluster"), "it was unused for longer");
        let mut shares = Shares::default();
        for (used, owner) in (0..).zip(["p", "q", "r", "s"]) {
            shares.add(owner, used, owner);
        }
        shares.renew("p", 0, 4);
        assert_eq!(shares.remove("q", 1), Some("q"));
        shares.add("q", 5, "q");
        let given = std::iter::from_fn(|| shares.give_way());
        assert_eq!(given.collect::<Vec<_>>(), ["r", "s", "p", "q"]);
        assert!(shares.is_empty());
        shares.add(&owner(&["a", "x"]), 9, "x");
        shares.add(&owner(&["a", "y"]), 10, "y");
        assert_eq!(shares.majority(), ["a"]);
    }

    proptest! {
        /// Scenario: any order of adding, using again, removing and giving way.
        /// Guarantees: who gives way is of the cluster with most, in it of the owner with most, of equals the one that
        /// was unused for longest, and of its keys the oldest; nothing is lost or doubled.
        #[test]
        fn the_greatest_gives_way(steps in proptest::collection::vec((0_u8..5, 0_u8..3, 0_u8..3), 1..200)) {
            let mut shares = Shares::default();
            let mut held: BTreeMap<u64, [String; 2]> = BTreeMap::new();
            let given_way = |held: &BTreeMap<u64, [String; 2]>| {
                let share = |of: &dyn Fn(&[String; 2]) -> String, among: &[u64]| {
                    let mut sizes: BTreeMap<String, (usize, Reverse<u64>)> = BTreeMap::new();
                    for used in among {
                        let size = sizes.entry(of(&held[used])).or_insert((0, Reverse(0)));
                        *size = (size.0 + 1, Reverse(*used));
                    }
                    let most = sizes.into_iter().max_by_key(|(_, size)| *size);
                    let most = most.map(|(name, _)| name).unwrap_or_default();
                    among.iter().copied().filter(|used| of(&held[used]) == most).collect::<Vec<_>>()
                };
                let all: Vec<u64> = held.keys().copied().collect();
                let of_cluster = share(&|owner| owner[0].clone(), &all);
                share(&|owner| owner[1].clone(), &of_cluster).first().copied()
            };
            for (used, (kind, cluster, name)) in (0_u64..).zip(steps) {
                let oldest = held.first_key_value().map(|(used, parts)| (*used, parts.clone()));
                match (kind, oldest) {
                    (2, Some((old, parts))) => {
                        shares.renew(&parts.join("\u{1f}"), old, used);
                        held.remove(&old);
                        held.insert(used, parts);
                    }
                    (3, Some(_)) => {
                        let expected = given_way(&held);
                        let given = shares.give_way().map(|(given, _)| given);
                        // A key says which use put it there; it may have been used again since.
                        prop_assert!(given.is_some());
                        held.remove(&expected.unwrap_or_default());
                    }
                    (4, Some((old, parts))) => {
                        let removed = shares.remove(&parts.join("\u{1f}"), old);
                        prop_assert!(removed.is_some());
                        held.remove(&old);
                    }
                    _ => {
                        let parts = [format!("c{cluster}"), format!("n{name}")];
                        shares.add(&parts.join("\u{1f}"), used, (used, parts.clone()));
                        held.insert(used, parts);
                    }
                }
                prop_assert_eq!(shares.len(), held.len());
                let mut left = shares.clone();
                let given = std::iter::from_fn(|| left.give_way().map(|(_, parts)| parts));
                let mut rest = held.clone();
                let expected = std::iter::from_fn(|| rest.remove(&given_way(&rest)?));
                prop_assert_eq!(given.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            }
        }
    }
}
