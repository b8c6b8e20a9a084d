//! Known id? Recent ids are held here, older ones are looked up in the lake by the caller.

use std::collections::{BTreeSet, HashSet, VecDeque};

use durward_schemas::ids::{EventId, RejectId, RequestKey, hash128};
use durward_schemas::record::Content;

/// What a record asks of the lake before its turn, because the state no longer holds all ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lookup {
    /// The table to ask.
    pub table: &'static str,
    /// Ids of the record's rows that are not held.
    pub ids: Vec<String>,
    /// Request keys of the record's accesses that are not held.
    pub request_keys: Vec<String>,
}

/// What the lake answered: those that it holds at positions before the record's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Older {
    /// Ids that are there already.
    pub ids: BTreeSet<String>,
    /// Requests that have their judged row already.
    pub request_keys: BTreeSet<String>,
}

/// Recent hashes in the order of their arrival; the oldest leave first.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Window {
    held: HashSet<u128>,
    order: VecDeque<u128>,
    forgotten: bool,
}

impl Window {
    /// Holds `hash`; false if it was held already.
    pub(crate) fn insert(&mut self, hash: u128, most: usize) -> bool {
        if !self.held.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        while self.order.len() > most {
            self.forgotten = true;
            if let Some(oldest) = self.order.pop_front() {
                self.held.remove(&oldest);
            }
        }
        true
    }

    pub(crate) fn contains(&self, hash: u128) -> bool {
        self.held.contains(&hash)
    }

    /// Whether something that was held has left: then "not held" does not mean "new".
    pub(crate) fn has_forgotten(&self) -> bool {
        self.forgotten
    }

    /// The hashes in order, for a checkpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u128> + '_ {
        self.order.iter().copied()
    }

    /// Takes back a window from a checkpoint.
    pub(crate) fn restore(hashes: impl Iterator<Item = u128>, forgotten: bool) -> Self {
        let order: VecDeque<u128> = hashes.collect();
        Self { held: order.iter().copied().collect(), order, forgotten }
    }

    /// Number of hashes held.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

/// The hash part of an event id.
pub(crate) fn event_hash(id: &EventId) -> u128 {
    hash_of(id.as_str())
}

/// A request key as a number.
pub(crate) fn request_hash(key: &RequestKey) -> u128 {
    hash_of(key.as_str())
}

/// A reject's id as a number; a reject and an event never share one.
pub(crate) fn reject_hash(id: &RejectId) -> u128 {
    hash_of(&hash128("reject", &[id.as_str().as_bytes()]))
}

/// The last 32 hex digits; a foreign text is hashed.
fn hash_of(text: &str) -> u128 {
    let tail = text.len().checked_sub(32).and_then(|start| text.get(start..));
    let parsed = tail.and_then(|tail| u128::from_str_radix(tail, 16).ok());
    parsed.unwrap_or_else(|| {
        u128::from_str_radix(&hash128("text", &[text.as_bytes()]), 16).unwrap_or_default()
    })
}

/// What to ask the lake for `content`, given what is held; `None` if all is known here.
pub(crate) fn lookup(content: &Content, ids: &Window, requests: &Window) -> Option<Lookup> {
    if !ids.has_forgotten() && !requests.has_forgotten() {
        return None;
    }
    let mut ask = Lookup::default();
    let mut add = |table, id: &str, hash| {
        ask.table = table;
        if !ids.contains(hash) {
            ask.ids.push(id.to_owned());
        }
    };
    match content {
        Content::Accesses(rows) => {
            for row in rows {
                add("accesses", row.event_id.as_str(), event_hash(&row.event_id));
            }
            let keys = rows.iter().map(|row| &row.request_key);
            let unheld = keys.filter(|key| !requests.contains(request_hash(key)));
            ask.request_keys = unheld.map(|key| key.as_str().to_owned()).collect();
        }
        Content::Spans(rows) => {
            for row in rows {
                add("spans", row.event_id.as_str(), event_hash(&row.event_id));
            }
        }
        Content::Logs(rows) => {
            for row in rows {
                add("logs", row.event_id.as_str(), event_hash(&row.event_id));
            }
        }
        Content::Metrics(rows) => {
            for row in rows {
                add("metrics", row.event_id.as_str(), event_hash(&row.event_id));
            }
        }
        Content::Rejects(rows) => {
            for row in rows {
                add("rejects", row.reject_id.as_str(), reject_hash(&row.reject_id));
            }
        }
        Content::Objects(rows) => {
            for row in rows {
                add("objects", row.event_id.as_str(), event_hash(&row.event_id));
            }
        }
        Content::Received(_)
        | Content::Tick
        | Content::Settings(_)
        | Content::Loss(_)
        | Content::EndOfSource(_) => {
            return None;
        }
    }
    (!ask.ids.is_empty() || !ask.request_keys.is_empty()).then_some(ask)
}
