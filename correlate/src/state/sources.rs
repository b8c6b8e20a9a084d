//! How much each source brought since the last tick, by format and cluster, and until when it has brought all.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Receipt;
use durward_schemas::tables::{Access, Log, Metric, Object, Reject, SourceCounter, Span};
use durward_schemas::time::{MINUTE, SECOND};
use serde::{Deserialize, Serialize};

use crate::losses::{self, Series};

/// Counters of each source, and until when it brought something.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sources {
    moved: BTreeMap<Key, SourceCounter>,
    known: Known,
}

/// What is remembered of sources beside the counters of the next tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Known {
    /// The time of the latest event.
    #[serde(with = "pairs")]
    last: BTreeMap<Key, Time>,
    flows: BTreeMap<String, Flow>,
    /// Counters of losses, as exporters tell them.
    series: Series,
}

/// How a source brings what it brings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Flow {
    /// The format of its last delivery by a door; none for files.
    door: Option<String>,
    /// All of it has been read, and nothing came since.
    has_ended: bool,
    /// When a delivery was refused last, in microseconds.
    refused: Option<i64>,
}

/// Source, format, cluster. The format is empty for rows that do not say it, until their receipt does.
type Key = (String, String, Option<String>);

/// Where a row came from, and when it happened.
pub(crate) struct Origin<'a> {
    source: &'a str,
    kind: &'a str,
    cluster: Option<&'a str>,
    time: Time,
}

/// A row that knows its source.
pub(crate) trait Sourced {
    fn origin(&self) -> Origin<'_>;
}

macro_rules! sourced {
    ($($row:ty: $kind:expr),+ $(,)?) => {$(
        impl Sourced for $row {
            fn origin(&self) -> Origin<'_> {
                let kind: fn(&$row) -> &str = $kind;
                let cluster = self.cluster.as_deref();
                Origin { source: &self.source, kind: kind(self), cluster, time: self.time }
            }
        }
    )+};
}

sourced!(
    Access: |row| &row.format,
    Reject: |row| &row.format,
    Object: |_| "kube-list",
    Span: |_| "otlp",
    Metric: |_| "otlp",
    Log: |_| "",
);

/// Formats that make no log records: a receipt of theirs says nothing of records that wait for one.
const WITHOUT_LOGS: &[&str] = &["kube-audit", "kube-list", "cloudtrail"];

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    Duplicate,
    Rejected,
}

/// How late a source may be (DESIGN decision 11), in microseconds.
fn lateness(door: &str, kind: &str) -> i64 {
    match (door, kind) {
        (_, "cloudtrail" | "cloudwatch" | "gcp-audit") => 20 * MINUTE,
        (_, kind) if kind.starts_with("azure-") => 20 * MINUTE,
        ("otlp", _) => 360 * SECOND,
        _ => 300 * SECOND,
    }
}

impl Sources {
    /// Counts one row.
    pub(crate) fn count(&mut self, row: &impl Sourced, fate: Fate) {
        let Origin { source, kind, cluster, time } = row.origin();
        let key = (source.to_owned(), kind.to_owned(), cluster.map(str::to_owned));
        if let Some(flow) = self.known.flows.get_mut(source) {
            flow.has_ended = false;
        }
        let last = self.known.last.entry(key.clone()).or_insert(time);
        *last = (*last).max(time);
        let counter = self.counter(key);
        match fate {
            Fate::Accepted => counter.accepted += 1,
            Fate::Duplicate => counter.duplicates += 1,
            Fate::Rejected => counter.rejected += 1,
        }
    }

    /// Counts what a source itself says that it lost.
    pub(crate) fn lost(&mut self, row: &impl Sourced, lost: i64) {
        let Origin { source, kind, cluster, .. } = row.origin();
        if lost > 0 {
            let key = (source.to_owned(), kind.to_owned(), cluster.map(str::to_owned));
            let counter = self.counter(key);
            counter.lost_estimate = counter.lost_estimate.saturating_add(lost);
            let reported = counter.lost_reported.unwrap_or_default().saturating_add(lost);
            counter.lost_reported = Some(reported);
        }
    }

    /// Counts what a metric says was lost since it said so before.
    pub(crate) fn lost_by_metric(&mut self, metric: &Metric) {
        let lost = losses::of_metric(metric, &mut self.known.series);
        self.lost(metric, lost);
    }

    /// Counts one delivery.
    pub(crate) fn received(&mut self, receipt: &Receipt, now: Time) {
        let flow = self.known.flows.entry(receipt.source.clone()).or_default();
        flow.door = Some(receipt.kind.clone());
        if receipt.refused > 0 {
            flow.refused = Some(now.0);
        }
        if !WITHOUT_LOGS.contains(&receipt.kind.as_str()) {
            self.name_format(&receipt.source, &receipt.kind);
        }
        let key = (receipt.source.clone(), receipt.kind.clone(), receipt.cluster.clone());
        self.counter(key).bytes += receipt.bytes;
    }

    /// Nothing of this source is outstanding.
    pub(crate) fn ended(&mut self, source: &str) {
        let flow = self.known.flows.entry(source.to_owned()).or_default();
        *flow = Flow { door: None, has_ended: true, refused: None };
    }

    /// The rows of a tick: one for each source, format and cluster that moved since the one before.
    pub(crate) fn tick(&mut self, now: Time, position: LogPosition) -> Vec<SourceCounter> {
        // What waits for the name of its format waits for the tick after its receipt.
        let is_named = |key: &Key| !key.1.is_empty();
        let (moved, waiting) =
            std::mem::take(&mut self.moved).into_iter().partition(|(key, _)| is_named(key));
        self.moved = waiting;
        let moved: BTreeMap<Key, SourceCounter> = moved;
        let at_tick = |(key, counter): (Key, SourceCounter)| {
            let last = self.known.last.get(&key).copied();
            let micros = last.map(|last| now.since(last));
            #[expect(clippy::cast_precision_loss, reason = "seconds with microseconds are enough")]
            let lag_seconds = micros.map(|micros| micros as f64 / SECOND as f64);
            SourceCounter {
                time: now,
                log_position: position,
                ingest_time: now,
                last_time: last,
                watermark: self.watermark(&key, last, now),
                lag_seconds,
                ..counter
            }
        };
        moved.into_iter().map(at_tick).collect()
    }

    /// Until when everything has surely arrived: of a file that was read to its end, its last event; of a door,
    /// the time before its lateness, held where something was refused since.
    fn watermark(&self, key: &Key, last: Option<Time>, now: Time) -> Option<Time> {
        let flow = self.known.flows.get(&key.0)?;
        if flow.has_ended {
            return last;
        }
        let late = lateness(flow.door.as_deref()?, &key.1);
        let held = flow.refused.map(Time).filter(|refused| now.since(*refused) < late);
        Some(held.unwrap_or(now).plus(-late))
    }

    /// Rows whose format was not known are of `kind`.
    fn name_format(&mut self, source: &str, kind: &str) {
        let unnamed = |key: &&Key| key.0 == source && key.1.is_empty();
        let keys: Vec<Key> = self.known.last.keys().filter(unnamed).cloned().collect();
        for key in keys {
            let named = (key.0.clone(), kind.to_owned(), key.2.clone());
            if let Some(time) = self.known.last.remove(&key) {
                let last = self.known.last.entry(named.clone()).or_insert(time);
                *last = (*last).max(time);
            }
            let Some(found) = self.moved.remove(&key) else { continue };
            let counter = self.counter(named);
            counter.accepted += found.accepted;
            counter.duplicates += found.duplicates;
            counter.rejected += found.rejected;
            counter.lost_estimate = counter.lost_estimate.saturating_add(found.lost_estimate);
            if let Some(lost) = found.lost_reported {
                let reported = counter.lost_reported.unwrap_or_default();
                counter.lost_reported = Some(reported.saturating_add(lost));
            }
        }
    }

    /// Counters that no tick has shown yet, and the rest: for a checkpoint.
    pub(crate) fn parts(&self) -> (impl Iterator<Item = &SourceCounter>, &Known) {
        (self.moved.values(), &self.known)
    }

    /// Takes back a counter from a checkpoint.
    pub(crate) fn restore(&mut self, counter: SourceCounter) {
        let key = (counter.source.clone(), counter.kind.clone(), counter.cluster.clone());
        self.moved.insert(key, counter);
    }

    /// Takes back the rest from a checkpoint.
    pub(crate) fn restore_known(&mut self, known: Known) {
        self.known = known;
    }

    fn counter(&mut self, key: Key) -> &mut SourceCounter {
        let (source, kind, cluster) = key.clone();
        let new = || SourceCounter { source, kind, cluster, ..SourceCounter::default() };
        self.moved.entry(key).or_insert_with(new)
    }
}

/// A map whose keys are no texts: JSON has it as pairs.
mod pairs {
    use std::collections::BTreeMap;

    use durward_schemas::Time;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Key;

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<Key, Time>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        map.iter().map(|(key, time)| (key, time.0)).collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<Key, Time>, D::Error> {
        let pairs = Vec::<(Key, i64)>::deserialize(from)?;
        Ok(pairs.into_iter().map(|(key, time)| (key, Time(time))).collect())
    }
}

#[cfg(test)]
mod tests;
