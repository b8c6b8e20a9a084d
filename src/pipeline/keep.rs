//! What the loop does now and then: commit, care for the lake, publish a checkpoint, tell of losses.

use std::time::{Duration, Instant};

use durward_correlate::lake;
use durward_schemas::crash;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Content;

use crate::checkpoint::{self, Header};
use crate::pipeline::{MOST_PENDING, MOST_WAIT, Pipeline};

/// A checkpoint is published after so many positions.
const CHECKPOINT_EVERY: LogPosition = 200_000;
/// One that could not be published is tried again after so long: making it costs more than trying.
const CHECKPOINT_AGAIN: Duration = Duration::from_secs(30);
/// The lake is cared for so often.
const CARE_EVERY: Duration = Duration::from_hours(1);

impl Pipeline {
    /// Commits what waits if it is much, or has waited long.
    pub(super) async fn flush_if_due(&mut self) -> anyhow::Result<()> {
        if self.lake.pending() > 0 {
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        let waited = self.waiting_since.is_some_and(|since| since.elapsed() >= MOST_WAIT);
        if waited || self.lake.pending() >= MOST_PENDING {
            self.flush().await?;
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        while let Err(error) = self.lake.flush(self.reached).await {
            self.patience.refused(error.into()).await?;
        }
        self.accepted();
        self.flushed = self.reached;
        self.progress.reach(self.flushed);
        self.known = self.known.max(self.flushed);
        self.waiting_since = None;
        if self.cared.elapsed() >= CARE_EVERY {
            self.maintain().await;
        }
        let is_late = self.refused_checkpoint.is_none_or(|at| at.elapsed() >= CHECKPOINT_AGAIN);
        if self.reached - self.checkpointed >= CHECKPOINT_EVERY && is_late {
            self.checkpoint()?;
        }
        self.tell_losses().await
    }

    /// The disk accepted something; that it had refused is worth telling if it was for long.
    pub(super) fn accepted(&mut self) {
        self.losses.extend(self.patience.accepted());
    }

    /// Care can wait for an hour more.
    async fn maintain(&mut self) {
        self.cared = Instant::now();
        let Some(care) = &self.care else { return };
        let retention =
            care.retention.map(|kept| i64::try_from(kept.as_micros()).unwrap_or(i64::MAX));
        let wanted = lake::Care { retention, ..lake::Care::default() };
        match self.lake.maintain((care.clock)(), wanted).await {
            Ok(done) => tracing::info!(?done, "the lake was cared for"),
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, "the lake could not be cared for");
            }
        }
    }

    /// Publishes the state, and lets the log go as far as the older checkpoint covers it. What cannot be
    /// published now is published later: the log holds all that follows from it.
    pub(super) fn checkpoint(&mut self) -> anyhow::Result<()> {
        if self.flushed == self.checkpointed {
            return Ok(());
        }
        let dir = self.dir.checkpoints();
        let header = Header { id: self.dir.id().to_owned(), tables: self.lake.coverage() };
        let (correlator, detection) = (&self.correlator, &self.detection);
        let published = checkpoint::publish(&dir, &header, self.flushed, correlator, detection);
        let older = match published {
            Ok(older) => older,
            Err(error) => {
                tracing::warn!(%error, "the state could not be written to a checkpoint");
                self.refused_checkpoint = Some(Instant::now());
                return Ok(());
            }
        };
        crash::point("checkpoint_published");
        (self.checkpointed, self.refused_checkpoint) = (self.flushed, None);
        if let Some(older) = older {
            self.log.trim(older + 1)?;
        }
        Ok(())
    }

    /// Tells what of our own was lost, as a record of the log and for `doctor`; what is refused is told later.
    async fn tell_losses(&mut self) -> anyhow::Result<()> {
        while let Some(loss) = self.losses.first() {
            if self.dir.knows(loss) {
                self.losses.remove(0);
                continue;
            }
            if let Err(refusal) = self.log.append(vec![Content::Loss(loss.clone())]).await {
                tracing::warn!(%refusal, loss = loss.text, "the log did not take a loss");
                self.waiting_since = Some(Instant::now());
                return Ok(());
            }
            tracing::error!(part = loss.part, "{}", loss.text);
            if let Err(error) = self.dir.write_loss(loss, self.now) {
                tracing::warn!(%error, "a loss could not be noted for `durward doctor`");
            }
            self.losses.remove(0);
        }
        Ok(())
    }
}
