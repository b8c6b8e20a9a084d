//! How much each source brought since the last tick.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Receipt;
use durward_schemas::tables::SourceCounter;

/// Counters of each source, and until when it brought something.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sources {
    moved: BTreeMap<String, SourceCounter>,
    last: BTreeMap<String, Time>,
}

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    Duplicate,
    Rejected,
}

impl Sources {
    /// Counts one row of `source`.
    pub(crate) fn count(&mut self, source: &str, time: Time, fate: Fate) {
        let counter = self.counter(source);
        match fate {
            Fate::Accepted => counter.accepted += 1,
            Fate::Duplicate => counter.duplicates += 1,
            Fate::Rejected => counter.rejected += 1,
        }
        let last = self.last.entry(source.to_owned()).or_insert(time);
        *last = (*last).max(time);
    }

    /// Counts one delivery.
    pub(crate) fn received(&mut self, receipt: &Receipt) {
        let counter = self.counter(&receipt.source);
        counter.kind.clone_from(&receipt.kind);
        counter.cluster.clone_from(&receipt.cluster);
        counter.bytes += receipt.bytes;
    }

    /// The rows of a tick: one for each source that moved since the one before.
    pub(crate) fn tick(&mut self, now: Time, position: LogPosition) -> Vec<SourceCounter> {
        let last = &self.last;
        let moved = std::mem::take(&mut self.moved).into_values();
        let at_tick = |counter: SourceCounter| SourceCounter {
            time: now,
            log_position: position,
            ingest_time: now,
            last_time: last.get(&counter.source).copied(),
            ..counter
        };
        moved.map(at_tick).collect()
    }

    /// Counters that no tick has shown yet, and last times: for a checkpoint.
    pub(crate) fn parts(&self) -> (impl Iterator<Item = &SourceCounter>, &BTreeMap<String, Time>) {
        (self.moved.values(), &self.last)
    }

    /// Takes back a counter from a checkpoint.
    pub(crate) fn restore(&mut self, counter: SourceCounter) {
        self.moved.insert(counter.source.clone(), counter);
    }

    /// Takes back a last time from a checkpoint.
    pub(crate) fn restore_last(&mut self, source: String, time: Time) {
        self.last.insert(source, time);
    }

    fn counter(&mut self, source: &str) -> &mut SourceCounter {
        let new = || SourceCounter { source: source.to_owned(), ..SourceCounter::default() };
        self.moved.entry(source.to_owned()).or_insert_with(new)
    }
}
