//! How unusual a hit is, in counts: what the identity did before, and what others did.

use durward_schemas::Time;
use durward_schemas::tables::Access;
use serde::{Deserialize, Serialize};

use crate::detector::owner;
use crate::memory::{Look, Memory};
use crate::sentence;

/// Identities, and pairs of rule and identity, remembered.
const MOST: usize = 20_000;

/// What was counted so far.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// By cluster: identities ever seen.
    identities: Memory<String, i64>,
    /// By cluster and identity: since when, and how many requests.
    requests: Memory<(String, String), (i64, i64)>,
    /// By cluster, judge and identity: hits.
    hits: Memory<(String, String, String), i64>,
    /// By cluster and judge: identities with hits.
    hit: Memory<(String, String), i64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            identities: Memory::of(1_000),
            requests: Memory::of(MOST),
            hits: Memory::of(MOST),
            hit: Memory::of(MOST),
        }
    }
}

impl Tally {
    /// Its memories.
    pub(crate) fn memories(&self, look: Look<'_>) {
        look("identities", &self.requests);
        look("hits", &self.hits);
    }

    /// Counts a judged row.
    pub(crate) fn take(&mut self, row: &Access) {
        let cluster = row.cluster.clone().unwrap_or_default();
        let identities = self.identities.entry(&cluster, || cluster.clone(), || 0);
        let key = (cluster, row.identity.clone().unwrap_or_default());
        let (_, requests) = self.requests.entry(
            &key,
            || owner(row),
            || {
                *identities += 1;
                (row.time.0, 0)
            },
        );
        *requests += 1;
    }

    /// Counts a hit of `judge`, a detector or a rule; how unusual it is, in words.
    pub(crate) fn hit(&mut self, row: &Access, judge: &str) -> String {
        let cluster = row.cluster.clone().unwrap_or_default();
        let identity = row.identity.clone().unwrap_or_default();
        let hit = self.hit.entry(&(cluster.clone(), judge.to_owned()), || cluster.clone(), || 0);
        let key = (cluster.clone(), judge.to_owned(), identity.clone());
        let hits = self.hits.entry(
            &key,
            || owner(row),
            || {
                *hit += 1;
                0
            },
        );
        *hits += 1;
        let times = sentence::ordinal(*hits);
        let others = *hit - 1;
        let all = self.identities.peek(&cluster).copied().unwrap_or(1) - 1;
        let (since, requests) =
            self.requests.peek(&(cluster, identity)).copied().unwrap_or((row.time.0, 1));
        format!(
            "{times} time for this identity in {} since {}; {others} of {} did this",
            sentence::count(requests, "request"),
            Time(since).clock(),
            plural_of(all),
        )
    }
}

fn plural_of(identities: i64) -> String {
    if identities == 1 {
        "1 other identity".into()
    } else {
        format!("{identities} other identities")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: two identities, one of which does something twice.
    /// Guarantees: the counts are those of the rows so far.
    #[test]
    fn counts_are_those_of_the_rows() {
        let row = |identity: &str| Access { identity: Some(identity.into()), ..Access::default() };
        let mut tally = Tally::default();
        for identity in ["a", "a", "b"] {
            tally.take(&row(identity));
        }
        let first = "1st time for this identity in 2 requests since 00:00:00; 0 of 1 other identity did this";
        assert_eq!(tally.hit(&row("a"), "rule"), first);
        assert!(tally.hit(&row("a"), "rule").starts_with("2nd time"));
        assert!(tally.hit(&row("b"), "rule").ends_with("1 of 1 other identity did this"));
    }
}
