//! What the loop does now and then: commit, care for the lake, publish a checkpoint.

use std::time::{Duration, Instant};

use durward_correlate::lake;
use durward_schemas::crash;
use durward_schemas::ids::LogPosition;

use crate::checkpoint;
use crate::pipeline::Pipeline;

/// A checkpoint is published after so many positions.
const CHECKPOINT_EVERY: LogPosition = 200_000;
/// The lake is cared for so often.
const CARE_EVERY: Duration = Duration::from_hours(1);

impl Pipeline {
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        self.lake.flush(self.reached).await?;
        self.flushed = self.reached;
        self.waiting_since = None;
        if self.cared.elapsed() >= CARE_EVERY {
            self.maintain().await?;
        }
        if self.reached - self.checkpointed >= CHECKPOINT_EVERY {
            self.checkpoint()?;
        }
        Ok(())
    }

    async fn maintain(&mut self) -> anyhow::Result<()> {
        self.cared = Instant::now();
        let Some(care) = &self.care else { return Ok(()) };
        let retention =
            care.retention.map(|kept| i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
        let wanted = lake::Care { retention, ..lake::Care::default() };
        let done = self.lake.maintain((care.clock)(), wanted).await?;
        tracing::info!(?done, "the lake was cared for");
        Ok(())
    }

    /// Publishes the state, and lets the log go as far as the older checkpoint covers it.
    pub(super) fn checkpoint(&mut self) -> anyhow::Result<()> {
        if self.flushed == self.checkpointed {
            return Ok(());
        }
        let dir = self.dir.checkpoints();
        let older = checkpoint::publish(&dir, self.flushed, &self.correlator, &self.detection)?;
        crash::point("checkpoint_published");
        self.checkpointed = self.flushed;
        if let Some(older) = older {
            self.log.trim(older + 1)?;
        }
        Ok(())
    }
}
