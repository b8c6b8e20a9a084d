//! How much each source brought since the last tick.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Receipt;
use durward_schemas::tables::{Log, SourceCounter};
use serde_json::Value;

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

/// What the reader of Hubble calls such an event.
const LOST_EVENTS: &str = "lost_events";

/// How many events a log record says were lost; at least one, where it does not say how many.
fn lost_events(log: &Log) -> Option<i64> {
    let attributes: Value = serde_json::from_str(log.attributes.as_str()).ok()?;
    let lost = attributes.get(LOST_EVENTS)?;
    let count = lost.get("num_events_lost");
    let number = count.and_then(|count| count.as_i64().or_else(|| count.as_str()?.parse().ok()));
    Some(number.unwrap_or(1).max(1))
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

    /// Counts what a source itself says that it lost: Hubble's ring buffer and its perf buffers.
    /// <https://github.com/cilium/cilium/blob/main/api/v1/flow/flow.proto>, `LostEvent`
    pub(crate) fn lost(&mut self, log: &Log) {
        let lost =
            Some(log).filter(|log| log.body.as_deref() == Some(LOST_EVENTS)).and_then(lost_events);
        if let Some(lost) = lost {
            let counter = self.counter(&log.source);
            counter.lost_estimate = counter.lost_estimate.saturating_add(lost);
        }
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

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;

    /// Scenario: events of Hubble that tell of losses, by a number, by a text and without either; other logs.
    /// Guarantees: the counter of the source has the sum of what was told.
    #[test]
    fn told_losses_are_counted() {
        let mut sources = Sources::default();
        let log = |body: &str, attributes: &str| Log {
            source: "hubble".into(),
            body: Some(body.into()),
            attributes: Json(attributes.into()),
            ..Log::default()
        };
        sources.lost(&log("lost_events", r#"{"lost_events":{"num_events_lost":"17"}}"#));
        sources.lost(&log("lost_events", r#"{"lost_events":{"num_events_lost":3}}"#));
        sources.lost(&log("lost_events", r#"{"lost_events":{}}"#));
        sources.lost(&log("agent_event", r#"{"lost_events":{"num_events_lost":5}}"#));
        sources.lost(&log("lost_events", "{}"));
        let rows = sources.tick(Time(1), 1);
        assert_eq!(rows.iter().map(|row| row.lost_estimate).collect::<Vec<_>>(), [21]);
    }
}
