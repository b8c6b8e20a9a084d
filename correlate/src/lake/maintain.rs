//! Care of the lake: compaction, vacuum, retention.

use std::num::NonZeroU64;

use datafusion::prelude::{col, lit};
use datafusion::scalar::ScalarValue;
use deltalake::operations::optimize::OptimizeType;
use durward_schemas::Time;
use durward_schemas::tables::LAKE;
use durward_schemas::time::SECOND;

use crate::lake::delta::{DeltaLog, fail};
use crate::lake::{Lake, LakeError, versions, with_dates};

/// Files of closed days are put together up to this size.
const TARGET_BYTES: NonZeroU64 = NonZeroU64::MIN.saturating_add((128 << 20) - 1);
/// A table is compacted when so many small files have come together.
const FEW_FILES: usize = 24;

/// What care to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Care {
    /// Rows that were recorded longer ago than this are dropped by whole days; `None` keeps all.
    pub retention: Option<i64>,
    /// Files that no version needs are kept so long, in microseconds: not below the longest query.
    pub grace: i64,
}

impl Default for Care {
    fn default() -> Self {
        Self { retention: None, grace: 600 * SECOND }
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Files before and after compaction.
    pub compacted: (u64, u64),
    /// Files removed for good.
    pub vacuumed: usize,
    /// Files dropped for the age of their day.
    pub files_dropped: usize,
    /// Rows of those days that were the latest of their kind, and were written again.
    pub rows_kept: usize,
}

impl Lake {
    /// Compacts, drops what is too old, and removes files that nobody needs. Nothing may be staged.
    ///
    /// # Errors
    /// If a table refuses; the others are as they were.
    pub async fn maintain(&mut self, now: Time, care: Care) -> Result<Maintained, LakeError> {
        let mut done = Maintained::default();
        for (name, delta) in &mut self.tables {
            let snapshot = delta.table.snapshot().map_err(fail("reading", name))?;
            let files = snapshot.log_data().num_files();
            if let Some(retention) = care.retention {
                let oldest = now.plus(-retention);
                done.rows_kept += keep_latest(name, delta, oldest, now).await?;
                done.files_dropped += drop_old_days(name, delta, oldest).await?;
            }
            if files >= FEW_FILES {
                compact(name, delta, care.grace, &mut done).await?;
            }
        }
        Ok(done)
    }
}

/// Writes the rows of the days before `oldest` that are still the latest version to today again; their
/// number. Between this and the dropping they are there twice, as the same version.
async fn keep_latest(
    name: &str,
    delta: &mut DeltaLog,
    oldest: Time,
    now: Time,
) -> Result<usize, LakeError> {
    let table = LAKE.iter().find(|table| table.name == name);
    let Some((table, keys)) = table.zip(versions::keys(name)) else { return Ok(0) };
    let old = format!("\"date\" < CAST({} AS INT)::DATE", oldest.date());
    // Days are partitions, so this reads next to nothing; what follows reads the table.
    let any = delta.select(&format!("SELECT * FROM t WHERE {old} LIMIT 1"), table).await?;
    if any.iter().all(|batch| batch.num_rows() == 0) {
        return Ok(0);
    }
    let sql = format!(
        "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {} \
         ORDER BY version DESC, log_position DESC, \"date\" DESC) AS newest FROM t) AS v \
         WHERE newest = 1 AND {old}",
        keys.join(", ")
    );
    let mut kept = 0;
    for batch in delta.select(&sql, table).await? {
        kept += batch.num_rows();
        let dates = std::iter::repeat_n(now.date(), batch.num_rows());
        delta.stage(with_dates(table, &batch, dates));
    }
    let covered = delta.covered();
    delta.flush(covered).await?;
    Ok(kept)
}

/// Drops the days before `oldest`; the number of files that went.
async fn drop_old_days(name: &str, delta: &mut DeltaLog, oldest: Time) -> Result<usize, LakeError> {
    let before = col("date").lt(lit(ScalarValue::Date32(Some(oldest.date()))));
    let deleted = delta.table.clone().delete().with_predicate(before).await;
    let (table, metrics) = deleted.map_err(fail("dropping old days of", name))?;
    delta.table = table;
    Ok(metrics.num_removed_files)
}

/// Puts small files together, and removes those that nobody has needed for `grace`.
async fn compact(
    name: &str,
    delta: &mut DeltaLog,
    grace: i64,
    done: &mut Maintained,
) -> Result<(), LakeError> {
    let optimize = delta.table.clone().optimize().with_type(OptimizeType::Compact);
    let compacted = optimize.with_target_size(TARGET_BYTES).await;
    let (table, metrics) = compacted.map_err(fail("compacting", name))?;
    done.compacted.0 += metrics.num_files_removed;
    done.compacted.1 += metrics.num_files_added;
    let vacuum = table
        .vacuum()
        .with_enforce_retention_duration(false)
        .with_retention_period(chrono::Duration::microseconds(grace));
    let (table, removed) = vacuum.await.map_err(fail("vacuuming", name))?;
    done.vacuumed += removed.files_deleted.len();
    delta.table = table;
    Ok(())
}
