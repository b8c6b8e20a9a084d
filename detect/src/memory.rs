//! A map with a bound, whose keys have owners: whoever brings most forgets, the unused for longest first.
//!
//! An attacker who makes very much of anything forgets what is his own, and nobody else's.
//! What it holds and forgets depends only on the order of its calls, so the same log gives the
//! same memory.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use durward_schemas::shares::Shares;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whose a key is that a checkpoint of an older program has no owner for.
const NOBODY: &str = "";

/// A map that remembers at most `most` keys. Saved as its entries in the order of use.
#[derive(Debug, Clone)]
pub(crate) struct Memory<K, V> {
    most: usize,
    uses: u64,
    known: HashMap<K, Known<V>>,
    shares: Shares<K>,
    /// Each owner's name once.
    owners: HashSet<Arc<str>>,
    /// How many keys were forgotten.
    forgotten: u64,
}

#[derive(Debug, Clone)]
struct Known<V> {
    used: u64,
    owner: Arc<str>,
    value: V,
}

#[derive(Serialize, Deserialize)]
struct Saved<K, V> {
    most: usize,
    entries: Vec<(K, V)>,
    /// Of each entry.
    #[serde(default)]
    owners: Vec<String>,
    #[serde(default)]
    forgotten: u64,
    /// Of each entry, the number of its use; and of the latest one.
    #[serde(default)]
    used: Vec<u64>,
    #[serde(default)]
    uses: u64,
}

impl<K: Eq + Hash + Clone, V> Memory<K, V> {
    /// An empty memory of at most `most` keys.
    pub(crate) fn of(most: usize) -> Self {
        Self {
            most: most.max(1),
            uses: 0,
            known: HashMap::new(),
            shares: Shares::default(),
            owners: HashSet::new(),
            forgotten: 0,
        }
    }

    /// Looks without using.
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|known| &known.value)
    }

    /// Looks, and uses.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let known = self.known.get_mut(key)?;
        renew(&mut self.shares, known, self.uses, self.most);
        Some(&mut known.value)
    }

    /// The value of `key`, made by `new` and owned by `owner` if it is not known; uses it.
    pub(crate) fn entry(
        &mut self,
        key: &K,
        owner: impl FnOnce() -> String,
        new: impl FnOnce() -> V,
    ) -> &mut V {
        if !self.known.contains_key(key) {
            self.make_room();
        }
        self.uses += 1;
        let used = self.uses;
        match self.known.entry(key.clone()) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                renew(&mut self.shares, known, used, self.most);
                &mut known.value
            }
            Entry::Vacant(place) => {
                let owner = interned(&mut self.owners, &owner());
                self.shares.add(&owner, used, key.clone());
                &mut place.insert(Known { used, owner, value: new() }).value
            }
        }
    }

    /// Sets the value of `key`, which is `owner`'s from now on, and uses it.
    pub(crate) fn insert(&mut self, key: K, owner: &str, value: V) {
        self.remove(&key);
        self.make_room();
        self.uses += 1;
        self.put(key, owner, self.uses, value);
    }

    fn put(&mut self, key: K, owner: &str, used: u64, value: V) {
        let owner = interned(&mut self.owners, owner);
        self.shares.add(&owner, used, key.clone());
        self.known.insert(key, Known { used, owner, value });
    }

    /// Takes the value of `key` out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let Known { used, owner, value } = self.known.remove(key)?;
        self.shares.remove(&owner, used);
        self.release(&owner);
        Some(value)
    }

    /// Values in the order of use, oldest first.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.ordered().into_iter().map(|(_, known)| &known.value)
    }

    /// How full it is.
    pub(crate) fn fill(&self) -> Fill {
        Fill { held: self.known.len(), most: self.most, forgotten: self.forgotten }
    }

    /// Whose most keys are, from the wide to the narrow.
    pub(crate) fn majority(&self) -> Vec<&str> {
        self.shares.majority()
    }

    fn ordered(&self) -> Vec<(&K, &Known<V>)> {
        let mut all: Vec<_> = self.known.iter().collect();
        all.sort_by_key(|(_, known)| known.used);
        all
    }

    fn make_room(&mut self) {
        while self.known.len() >= self.most
            && let Some(key) = self.shares.give_way()
        {
            self.forgotten += 1;
            if let Some(known) = self.known.remove(&key) {
                self.release(&known.owner);
            }
        }
    }

    /// An owner of nothing is nobody.
    fn release(&mut self, owner: &Arc<str>) {
        // Its name, and this.
        if Arc::strong_count(owner) <= 2 {
            self.owners.remove(owner);
        }
    }
}

/// Takes note of a use, unless the key was used among the last anyway: what is used all the time need not be moved
/// each time.
fn renew<K, V>(shares: &mut Shares<K>, known: &mut Known<V>, used: u64, most: usize) {
    if used - known.used > most as u64 / 8 {
        shares.renew(&known.owner, known.used, used);
        known.used = used;
    }
}

fn interned(owners: &mut HashSet<Arc<str>>, owner: &str) -> Arc<str> {
    if let Some(known) = owners.get(owner) {
        return Arc::clone(known);
    }
    let owner: Arc<str> = Arc::from(owner);
    owners.insert(Arc::clone(&owner));
    owner
}

/// How full a memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Keys that are remembered.
    pub held: usize,
    /// Keys that can be.
    pub most: usize,
    /// Keys that were forgotten to make room.
    pub forgotten: u64,
}

/// A memory, whatever it remembers.
pub(crate) trait Bounded {
    /// How full it is.
    fn fill(&self) -> Fill;
    /// Whose most keys are, from the wide to the narrow.
    fn majority(&self) -> Vec<&str>;
}

impl<K: Eq + Hash + Clone, V> Bounded for Memory<K, V> {
    fn fill(&self) -> Fill {
        self.fill()
    }

    fn majority(&self) -> Vec<&str> {
        self.majority()
    }
}

/// Looks at memories, each under its name.
pub(crate) type Look<'l> = &'l mut dyn FnMut(&'static str, &dyn Bounded);

impl<K: Eq + Hash + Clone + Serialize, V: Serialize> Serialize for Memory<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ordered = self.ordered();
        let owners = ordered.iter().map(|(_, known)| known.owner.to_string()).collect();
        let numbers = ordered.iter().map(|(_, known)| known.used).collect();
        let entries = ordered.into_iter().map(|(key, known)| (key, &known.value)).collect();
        let (most, forgotten, uses) = (self.most, self.forgotten, self.uses);
        Saved { most, entries, owners, forgotten, used: numbers, uses }.serialize(serializer)
    }
}

impl<'de, K, V> Deserialize<'de> for Memory<K, V>
where
    K: Eq + Hash + Clone + Deserialize<'de>,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let saved: Saved<K, V> = Saved::deserialize(deserializer)?;
        let mut memory = Self::of(saved.most);
        let owners = saved.owners.iter().map(String::as_str).chain(std::iter::repeat(NOBODY));
        let mut used = saved.used.into_iter();
        for ((key, value), owner) in saved.entries.into_iter().zip(owners) {
            memory.uses = used.next().unwrap_or(memory.uses + 1);
            memory.put(key, owner, memory.uses, value);
        }
        memory.uses = memory.uses.max(saved.uses);
        memory.forgotten = saved.forgotten;
        Ok(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: more keys of one owner than fit, one of them used again before it would be forgotten.
    /// Guarantees: what was unused for longest is forgotten, and a saved memory forgets in the same order.
    #[test]
    fn the_unused_is_forgotten() {
        let mut memory = Memory::of(2);
        memory.insert("a", "o", 1);
        memory.insert("b", "o", 2);
        assert_eq!(memory.get(&"a"), Some(&mut 1));
        let text = serde_json::to_string(&memory).expect("a memory can be saved");
        let saved: Memory<String, i32> = serde_json::from_str(&text).expect("and read");
        assert_eq!(saved.values().collect::<Vec<_>>(), [&2, &1]);
        *memory.entry(&"c", || "o".into(), || 3) += 1;
        assert_eq!(memory.peek(&"b"), None);
        assert_eq!(memory.values().collect::<Vec<_>>(), [&1, &4]);
        memory.insert("a", "o", 5);
        assert_eq!(memory.values().collect::<Vec<_>>(), [&4, &5]);
        assert_eq!(memory.fill(), Fill { held: 2, most: 2, forgotten: 1 });
    }

    /// Scenario: somebody makes a hundred times as many keys as fit; a key of somebody else is older than all; the
    /// memory is saved and read in the middle.
    /// Guarantees: the key of the other one stays, and a restored memory forgets the same.
    #[test]
    fn whoever_makes_many_forgets_his_own() {
        let mut memory = Memory::of(10);
        memory.insert("theirs".to_owned(), "victim", 0);
        let mut restored = memory.clone();
        for at in 0..1_000 {
            for memory in [&mut memory, &mut restored] {
                memory.insert(format!("mine {at}"), "attacker", at);
            }
            if at == 500 {
                let text = serde_json::to_string(&restored).expect("a memory can be saved");
                restored = serde_json::from_str(&text).expect("and read");
            }
        }
        for memory in [&memory, &restored] {
            assert_eq!(memory.peek(&"theirs".to_owned()), Some(&0));
            let values: Vec<_> = memory.values().copied().collect();
            assert_eq!(values, [0, 991, 992, 993, 994, 995, 996, 997, 998, 999]);
            assert_eq!(memory.owners.len(), 2);
        }
    }

    /// Scenario: a memory that a program saved which knew no owners.
    /// Guarantees: it is read, and what it holds gives way to what has an owner.
    #[test]
    fn older_memories_are_read() {
        let text = r#"{"most": 2, "entries": [["a", 1], ["b", 2]]}"#;
        let mut memory: Memory<String, i32> = serde_json::from_str(text).expect("it can be read");
        memory.insert("c".into(), "somebody", 3);
        assert_eq!(memory.values().collect::<Vec<_>>(), [&2, &3]);
    }
}
