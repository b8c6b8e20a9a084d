//! What a data directory holds, opened in the order in which each part says where the next begins.

use std::sync::Arc;

use durward_correlate::lake::{Lake, Verified};
use durward_detect::alert::Outbox;
use durward_ingest::{Log, LogSettings};
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Loss;
use durward_schemas::{Clock, Time};

use crate::checkpoint;
use crate::data_dir::DataDir;

/// Files of each table that are checked at a start, the newest: `durward doctor --verify` checks all.
const SAMPLE: usize = 4;

/// The lake, and the log before it.
pub(crate) struct Store {
    pub(crate) dir: DataDir,
    pub(crate) lake: Lake,
    pub(crate) log: Arc<Log>,
    /// The lake holds what the log held up to here.
    pub(crate) known: LogPosition,
    /// Files of the lake that are not what was written.
    pub(crate) damaged: Vec<Loss>,
    pub(crate) opened: Time,
}

impl Store {
    /// Opens both. The log goes on behind whatever lake, checkpoints and outbox know of, wherever it ends:
    /// it may be new, or an older copy, or lack its end.
    pub(crate) async fn open(dir: DataDir, clock: Clock) -> anyhow::Result<Self> {
        let lake = Lake::open(&dir.lake(), dir.id()).await?;
        let damaged = damaged(&lake.verify_newest(&dir.lake(), SAMPLE)?);
        let checkpointed = checkpoint::newest(&dir.checkpoints())?.unwrap_or(0);
        let owed = Outbox::position_in(&dir.outbox())?.unwrap_or(0);
        let known = lake.end().max(checkpointed);
        let settings =
            LogSettings { first_position: known.max(owed) + 1, ..LogSettings::default() };
        let opened = clock();
        let log = Arc::new(Log::open(&dir.log(), settings, clock)?);
        Ok(Self { dir, lake, log, known, damaged, opened })
    }
}

fn damaged(verified: &Verified) -> Vec<Loss> {
    let losses = verified.wrong.iter().map(|wrong| Loss {
        part: "lake".into(),
        text: format!(
            "{} of table {} cannot be relied on ({}): put it back from a copy, and look with durward doctor --verify",
            wrong.path.display(), wrong.table, wrong.what
        ),
        is_lasting: true,
    });
    losses.collect()
}
