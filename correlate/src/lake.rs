//! Rows -> Delta tables in a local directory, once and durably.
//!
//! Every commit carries `txn(data directory / table, last position it covers)` and never splits
//! what one row of the log gave rise to. The writer drops what that `txn` covers, since delta-rs
//! does not (DESIGN decision 3). Everything is written through `durable`, which flushes.

mod checksum;
pub(crate) mod delta;
mod durable;
mod maintain;
mod replay;
mod verify;
pub(crate) mod versions;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Turn;
use durward_schemas::table::{Row, Table};
use durward_schemas::tables::{Delivery, Finding, FindingEvent, Incident, LAKE};

pub(crate) use self::delta::url;
pub use self::maintain::{Care, Maintained};
pub use self::replay::owner;
pub use self::verify::{Verified, Wrong, verify};
use crate::deduplicate::{Lookup, Older};
use crate::lake::delta::DeltaLog;

/// Room beside what is staged, for commits and for the log: less is as good as none.
const LEAST_ROOM: u64 = 2 << 20;

/// Something that the lake could not do.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Delta Lake refused.
    #[error("{doing} table {table}")]
    Delta {
        /// What was attempted.
        doing: &'static str,
        /// On which table.
        table: String,
        /// Why not.
        #[source]
        source: Box<deltalake::DeltaTableError>,
    },
    /// The disk refused.
    #[error("{doing} {}", path.display())]
    Disk {
        /// What was attempted.
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A query over the lake failed.
    #[error("looking up ids in table {table}")]
    Lookup {
        /// In which table.
        table: String,
        /// Why not.
        #[source]
        source: Box<datafusion::error::DataFusionError>,
    },
}

/// What `detect` makes of one turn, and what became of alerts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judged {
    /// New versions of findings.
    pub findings: Vec<Finding>,
    /// Their events.
    pub finding_events: Vec<FindingEvent>,
    /// New versions of incidents.
    pub incidents: Vec<Incident>,
    /// Attempts to tell somebody.
    pub deliveries: Vec<Delivery>,
}

/// All tables of one data directory, open for writing. One writer only: the caller holds the lock.
#[derive(Debug)]
pub struct Lake {
    dir: PathBuf,
    tables: BTreeMap<&'static str, DeltaLog>,
    pending: usize,
}

impl Lake {
    /// Opens the tables under `dir`, making those that are missing.
    ///
    /// # Errors
    /// If a table cannot be read or made.
    pub async fn open(dir: &Path, owner: &str) -> Result<Self, LakeError> {
        let mut tables = BTreeMap::new();
        for table in LAKE {
            tables.insert(table.name, DeltaLog::open(dir, owner, table).await?);
        }
        Ok(Self { dir: dir.to_owned(), tables, pending: 0 })
    }

    /// The position up to which every table is complete without replay.
    ///
    /// A table without rows is complete without a commit, so only a caller who flushed knows more.
    #[must_use]
    pub fn covered(&self, table: &str) -> LogPosition {
        self.tables.get(table).map_or(-1, DeltaLog::covered)
    }

    /// The position up to which each table that holds something is complete, by name.
    #[must_use]
    pub fn coverage(&self) -> BTreeMap<String, LogPosition> {
        let written = self.tables.iter().filter(|(_, delta)| !delta.is_empty());
        written.map(|(name, delta)| ((*name).to_owned(), delta.covered())).collect()
    }

    /// The tables that were not there when the lake was opened, where others were.
    #[must_use]
    pub fn made(&self) -> Vec<&'static str> {
        let new = self.tables.iter().filter(|(_, delta)| delta.is_new());
        let new: Vec<&'static str> = new.map(|(name, _)| *name).collect();
        if new.len() == self.tables.len() { Vec::new() } else { new }
    }

    /// Takes the rows of one turn and its judgement; they are written by the next flush.
    pub fn stage(&mut self, turn: &Turn, judged: &Judged) {
        self.add(&turn.accesses);
        self.add(&turn.amendments);
        self.add(&turn.objects);
        self.add(&turn.changes);
        self.add(&turn.credentials);
        self.add(&turn.workloads);
        self.add(&turn.grants);
        self.add(&turn.spans);
        self.add(&turn.logs);
        self.add(&turn.metrics);
        self.add(&turn.rejects);
        self.add(&turn.source_counters);
        self.add(&judged.finding_events);
        self.add(&judged.findings);
        self.add(&judged.incidents);
        self.add(&judged.deliveries);
    }

    /// Rows that are staged and not yet written.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// Writes and commits everything staged; it covers the log up to and with `upto`.
    ///
    /// # Errors
    /// If a table refuses; what was committed before it stays, and the rest is staged still.
    pub async fn flush(&mut self, upto: LogPosition) -> Result<(), LakeError> {
        if self.pending > 0 {
            self.check_room()?;
        }
        for table in LAKE {
            if let Some(delta) = self.tables.get_mut(table.name) {
                delta.flush(upto).await?;
            }
        }
        self.pending = 0;
        Ok(())
    }

    /// Whether the disk has room for what is staged: what is begun on a full disk leaves halves behind.
    fn check_room(&self) -> Result<(), LakeError> {
        let failed =
            |source| LakeError::Disk { doing: "writing to", path: self.dir.clone(), source };
        let disk = rustix::fs::statvfs(&self.dir).map_err(|error| failed(error.into()))?;
        let staged: usize = self.tables.values().map(DeltaLog::staged_bytes).sum();
        let room = disk.f_bavail.saturating_mul(disk.f_frsize);
        if room < staged as u64 / 2 + LEAST_ROOM {
            return Err(failed(std::io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    /// Which of the asked ids are in the lake at positions before `before`.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn older(&self, ask: &Lookup, before: LogPosition) -> Result<Older, LakeError> {
        let Some(delta) = self.tables.get(ask.table) else { return Ok(Older::default()) };
        let id = if ask.table == "rejects" { "reject_id" } else { "event_id" };
        let ids = delta.holds(id, &ask.ids, before, "true").await?;
        let request_keys = match ask.request_keys.as_slice() {
            [] => std::collections::BTreeSet::new(),
            keys => delta.holds("request_key", keys, before, "judged").await?,
        };
        Ok(Older { ids, request_keys })
    }

    fn add<R: Row>(&mut self, rows: &[R]) {
        let Some(delta) = self.tables.get_mut(R::TABLE.name) else { return };
        // Deliveries do not follow from the log, so no replay brings them twice.
        let replayed = R::TABLE.name != Delivery::TABLE.name;
        let covered = if replayed { delta.covered() } else { LogPosition::MIN };
        let new: Vec<&R> = rows.iter().filter(|row| row.log_position() > covered).collect();
        if !new.is_empty() {
            self.pending += new.len();
            delta.stage(dated(&R::TABLE, &new));
        }
    }
}

/// The rows with the partition column `date`: the UTC date on which the log took their cause.
fn dated<R: Row>(table: &Table, rows: &[&R]) -> RecordBatch {
    with_dates(table, &R::batch_of(rows), rows.iter().map(|row| row.recorded().date()))
}

/// The rows of `batch` and the day on which each is stored.
fn with_dates(table: &Table, batch: &RecordBatch, dates: impl Iterator<Item = i32>) -> RecordBatch {
    let dates: arrow::array::Date32Array = dates.collect::<Vec<i32>>().into();
    let mut columns = batch.columns().to_vec();
    columns.push(std::sync::Arc::new(dates));
    let schema = delta::schema(table);
    RecordBatch::try_new(std::sync::Arc::clone(&schema), columns).unwrap_or_else(|_| {
        debug_assert!(false, "the table's columns and its date");
        RecordBatch::new_empty(schema)
    })
}

#[cfg(test)]
mod tests;
