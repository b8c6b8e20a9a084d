//! The lake's rows as records again: what makes the state anew where checkpoints and log are lost.
//!
//! Everything in the log that changes state is a row of a table, ticks aside, and a tick's counters
//! stand at its position. What the rows gave rise to is in the lake already.

use std::collections::BTreeSet;
use std::path::Path;

use durward_schemas::ids::LogPosition;
use durward_schemas::record::{Content, Record};
use durward_schemas::table::Row;
use durward_schemas::tables::{Access, LAKE, Log, Metric, Object, Reject, SourceCounter, Span};
use serde_json::Value;

use crate::deduplicate::Older;
use crate::lake::{Lake, LakeError};

/// Whose commits the lake in `dir` holds, as the newest of them that say so do.
#[must_use]
pub fn owner(dir: &Path) -> Option<String> {
    LAKE.iter().find_map(|table| {
        let log = dir.join(table.name).join("_delta_log");
        let mut commits: Vec<_> =
            std::fs::read_dir(log).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        commits.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        commits.sort();
        commits
            .iter()
            .rev()
            .find_map(|path| owner_in(&std::fs::read_to_string(path).ok()?, table.name))
    })
}

/// The owner in the `txn` of a commit: `OWNER/TABLE`.
fn owner_in(commit: &str, table: &str) -> Option<String> {
    commit.lines().find_map(|line| {
        let action: Value = serde_json::from_str(line).ok()?;
        let app = action.get("txn")?.get("appId")?.as_str()?;
        Some(app.strip_suffix(table)?.strip_suffix('/')?.to_owned())
    })
}

impl Lake {
    /// The last position that any table covers; -1 for a lake without rows.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        let covered = self.tables.values().map(super::DeltaLog::covered);
        covered.max().unwrap_or(-1)
    }

    /// Every row at positions from `from` to `to` as a record of its own, in the order of the log.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub async fn records(
        &self,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Vec<(Record, Older)>, LakeError> {
        let mut records = Vec::new();
        for row in self.rows::<Access>(from, to).await? {
            // Its judged row may have been too long ago to be known by now.
            let is_later = row.is_deciding() && !row.judged;
            let key = is_later.then(|| row.request_key.as_str().to_owned());
            let older = Older { ids: BTreeSet::new(), request_keys: key.into_iter().collect() };
            records.push((record(row, Content::Accesses), older));
        }
        self.add_rows::<Object>(from, to, Content::Objects, &mut records).await?;
        self.add_rows::<Span>(from, to, Content::Spans, &mut records).await?;
        self.add_rows::<Log>(from, to, Content::Logs, &mut records).await?;
        self.add_rows::<Metric>(from, to, Content::Metrics, &mut records).await?;
        self.add_rows::<Reject>(from, to, Content::Rejects, &mut records).await?;
        let mut counters = self.rows::<SourceCounter>(from, to).await?;
        counters.dedup_by_key(|row| row.log_position);
        let ticks = counters.into_iter().map(|row| record(row, |_| Content::Tick));
        records.extend(ticks.map(|tick| (tick, Older::default())));
        records.sort_by_key(|(record, _)| record.first_position);
        Ok(records)
    }

    async fn add_rows<R: Row>(
        &self,
        from: LogPosition,
        to: LogPosition,
        content: fn(Vec<R>) -> Content,
        records: &mut Vec<(Record, Older)>,
    ) -> Result<(), LakeError> {
        let rows = self.rows::<R>(from, to).await?;
        records.extend(rows.into_iter().map(|row| (record(row, content), Older::default())));
        Ok(())
    }

    async fn rows<R: Row>(&self, from: LogPosition, to: LogPosition) -> Result<Vec<R>, LakeError> {
        let Some(delta) = self.tables.get(R::TABLE.name) else { return Ok(Vec::new()) };
        delta.rows(from, to).await
    }
}

fn record<R: Row>(row: R, content: impl Fn(Vec<R>) -> Content) -> Record {
    Record {
        first_position: row.log_position(),
        ingest_time: row.recorded(),
        content: content(vec![row]),
    }
}
