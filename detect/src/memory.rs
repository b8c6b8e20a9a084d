//! A map with a bound: it forgets the key that was unused for longest.
//!
//! What it holds and forgets depends only on the order of its calls, so the same log gives the
//! same memory.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map that remembers at most `most` keys. Saved as its entries in the order of use.
#[derive(Debug, Clone)]
pub(crate) struct Memory<K, V> {
    most: usize,
    uses: u64,
    known: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
}

#[derive(Serialize, Deserialize)]
struct Saved<K, V> {
    most: usize,
    entries: Vec<(K, V)>,
}

impl<K: Eq + Hash + Clone, V> Memory<K, V> {
    /// An empty memory of at most `most` keys.
    pub(crate) fn of(most: usize) -> Self {
        Self { most: most.max(1), uses: 0, known: HashMap::new(), order: BTreeMap::new() }
    }

    /// Looks without using.
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|(_, value)| value)
    }

    /// Looks, and uses.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        self.touch(key).then(|| self.known.get_mut(key).map(|(_, value)| value)).flatten()
    }

    /// The value of `key`, made by `new` if it is not known; uses it.
    pub(crate) fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        if !self.touch(key) {
            self.make_room();
            self.order.insert(self.uses, key.clone());
        }
        let uses = self.uses;
        &mut self.known.entry(key.clone()).or_insert_with(|| (uses, new())).1
    }

    /// Sets the value of `key`, and uses it.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if !self.touch(&key) {
            self.make_room();
            self.order.insert(self.uses, key.clone());
        }
        self.known.insert(key, (self.uses, value));
    }

    /// Takes the value of `key` out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (last, value) = self.known.remove(key)?;
        self.order.remove(&last);
        Some(value)
    }

    /// Values in the order of use, oldest first.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.order.values().filter_map(|key| self.peek(key))
    }

    fn touch(&mut self, key: &K) -> bool {
        self.uses += 1;
        let Some((last, _)) = self.known.get_mut(key) else { return false };
        let before = std::mem::replace(last, self.uses);
        if let Some(key) = self.order.remove(&before) {
            self.order.insert(self.uses, key);
        }
        true
    }

    fn make_room(&mut self) {
        while self.known.len() >= self.most
            && let Some((_, key)) = self.order.pop_first()
        {
            self.known.remove(&key);
        }
    }
}

impl<K: Eq + Hash + Clone + Serialize, V: Serialize> Serialize for Memory<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |key| self.peek(key).map(|value| (key, value));
        let entries = self.order.values().filter_map(entry).collect();
        Saved { most: self.most, entries }.serialize(serializer)
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
        for (key, value) in saved.entries {
            memory.insert(key, value);
        }
        Ok(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: more keys than fit, one of them used again before it would be forgotten.
    /// Guarantees: what was unused for longest is forgotten, and a saved memory forgets in the same order.
    #[test]
    fn the_unused_is_forgotten() {
        let mut memory = Memory::of(2);
        memory.insert("a", 1);
        memory.insert("b", 2);
        assert_eq!(memory.get(&"a"), Some(&mut 1));
        let text = serde_json::to_string(&memory).expect("a memory can be saved");
        let saved: Memory<String, i32> = serde_json::from_str(&text).expect("and read");
        assert_eq!(saved.values().collect::<Vec<_>>(), [&2, &1]);
        *memory.entry(&"c", || 3) += 1;
        assert_eq!(memory.peek(&"b"), None);
        assert_eq!(memory.values().collect::<Vec<_>>(), [&1, &4]);
        memory.insert("a", 5);
        assert_eq!(memory.values().collect::<Vec<_>>(), [&4, &5]);
    }
}
