//! What a data directory holds, opened in the order in which each part says where the next begins.

use std::sync::Arc;

use durward_correlate::lake::Lake;
use durward_ingest::{Log, LogSettings};
use durward_schemas::Clock;

use crate::checkpoint;
use crate::data_dir::DataDir;

/// The lake, and the log before it.
pub(crate) struct Store {
    pub(crate) dir: DataDir,
    pub(crate) lake: Lake,
    pub(crate) log: Arc<Log>,
}

impl Store {
    /// Opens both. A log that is empty, because it is new or was lost, begins behind what is known.
    pub(crate) async fn open(dir: DataDir, clock: Clock) -> anyhow::Result<Self> {
        let lake = Lake::open(&dir.lake(), dir.id()).await?;
        let newest = checkpoint::newest(&dir.checkpoints())?.unwrap_or(0);
        let first_position = lake.end().max(newest) + 1;
        let settings = LogSettings { first_position, ..LogSettings::default() };
        let log = Arc::new(Log::open(&dir.log(), settings, clock)?);
        Ok(Self { dir, lake, log })
    }
}
