//! Care of the lake: compaction, vacuum, retention.

use std::num::NonZeroU64;

use deltalake::operations::optimize::OptimizeType;
use durward_schemas::Time;
use durward_schemas::time::{DAY, SECOND};

use crate::lake::delta::fail;
use crate::lake::{Lake, LakeError};

/// Files of closed days are put together up to this size.
const TARGET_BYTES: u64 = 128 << 20;
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
    /// Days dropped for their age.
    pub days_dropped: usize,
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
            if let Some(retention) = care.retention
                && !name.ends_with("_versions")
            {
                let oldest = now.plus(-retention).0.div_euclid(DAY);
                let before = datafusion::prelude::col("date").lt(datafusion::prelude::lit(
                    datafusion::scalar::ScalarValue::Date32(Some(
                        i32::try_from(oldest).unwrap_or(i32::MAX),
                    )),
                ));
                let (table, metrics) = delta
                    .table
                    .clone()
                    .delete()
                    .with_predicate(before)
                    .await
                    .map_err(fail("dropping old days of", name))?;
                delta.table = table;
                done.days_dropped += metrics.num_removed_files;
            }
            if files < FEW_FILES {
                continue;
            }
            let optimize = delta.table.clone().optimize().with_type(OptimizeType::Compact);
            let optimize = match NonZeroU64::new(TARGET_BYTES) {
                Some(bytes) => optimize.with_target_size(bytes),
                None => optimize,
            };
            let (table, metrics) = optimize.await.map_err(fail("compacting", name))?;
            done.compacted.0 += metrics.num_files_removed;
            done.compacted.1 += metrics.num_files_added;
            let (table, removed) = table
                .vacuum()
                .with_enforce_retention_duration(false)
                .with_retention_period(chrono::Duration::microseconds(care.grace))
                .await
                .map_err(fail("vacuuming", name))?;
            done.vacuumed += removed.files_deleted.len();
            delta.table = table;
        }
        Ok(done)
    }
}
