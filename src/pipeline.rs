//! The one loop: the next record of the log -> correlate -> detect -> the lake and the outbox.

mod begin;
mod bridge;
mod keep;
mod patience;
mod take;
mod tell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use durward_correlate::Correlator;
use durward_correlate::correlator::Sizes;
use durward_correlate::lake::{Judged, Lake};
use durward_detect::Detection;
use durward_detect::alert::Alert;
use durward_ingest::log::{Log, Reader};
use durward_schemas::ids::LogPosition;
use durward_schemas::record::{Loss, Turn};
use durward_schemas::tables::Delivery;
use durward_schemas::{Clock, Time};
use tokio::sync::mpsc;

use self::begin::{Begun, Witness};
use self::patience::{Patience, sleep};
pub(crate) use self::tell::{SharedOutbox, Telling};
use crate::data_dir::DataDir;
use crate::progress::Progress;
use crate::store::Store;

/// When rows have waited so long they are committed.
const MOST_WAIT: Duration = Duration::from_secs(2);
/// So many rows are committed without waiting.
const MOST_PENDING: usize = 20_000;

/// What one turn of the loop reports to those who count; at a tick also how much the state holds.
pub(crate) type Observer = Box<dyn FnMut(&Turn, &Judged, &[Alert], Option<Sizes>) + Send>;

/// What the lake's care needs to know.
pub(crate) struct Care {
    pub(crate) clock: Clock,
    /// Rows that were recorded longer ago are dropped.
    pub(crate) retention: Option<Duration>,
}

/// Deliveries that wait to be written; more make the deliverer wait.
const MOST_DELIVERIES: usize = 1_000;

/// The stages after the log, and how far they have come.
pub(crate) struct Pipeline {
    dir: DataDir,
    lake: Lake,
    /// `None` where nobody is ever told: then nothing is owed.
    telling: Option<Telling>,
    deliveries: (mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>),
    log: Arc<Log>,
    reader: Reader,
    correlator: Correlator,
    detection: Detection,
    reached: LogPosition,
    flushed: LogPosition,
    checkpointed: LogPosition,
    waiting_since: Option<Instant>,
    observer: Option<Observer>,
    care: Option<Care>,
    cared: Instant,
    /// The lake holds what the log held up to here.
    known: LogPosition,
    witness: Witness,
    /// What of our own was lost, and is not told yet.
    losses: Vec<Loss>,
    patience: Patience,
    progress: Arc<Progress>,
    refused_checkpoint: Option<Instant>,
    /// When the last record was recorded.
    now: Time,
}

impl Pipeline {
    /// Everything as the last checkpoint left it; the log tells the rest.
    pub(crate) fn open(store: Store, telling: Option<Telling>) -> anyhow::Result<Self> {
        let Begun { state, losses, witness } = begin::begin(&store)?;
        let reached = state.position;
        let Store { dir, lake, log, known, opened, .. } = store;
        let reader = log.reader(reached + 1);
        let progress = Arc::new(Progress::default());
        progress.begin(reached, log.end() - 1);
        let waiting_since = (!losses.is_empty()).then(Instant::now);
        Ok(Self {
            dir,
            lake,
            telling,
            deliveries: mpsc::channel(MOST_DELIVERIES),
            reader,
            log,
            correlator: state.correlator,
            detection: state.detection,
            reached,
            flushed: reached,
            checkpointed: reached,
            waiting_since,
            observer: None,
            care: None,
            cared: Instant::now(),
            known,
            witness,
            losses,
            patience: Patience::none(),
            progress,
            refused_checkpoint: None,
            now: opened,
        })
    }

    /// From now on it waits where a disk refuses, and what it waits for can be seen in its progress.
    pub(crate) fn wait_for_disk(&mut self) -> Arc<Progress> {
        self.patience.telling(Arc::clone(&self.progress));
        Arc::clone(&self.progress)
    }

    pub(crate) fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// How much the state holds.
    pub(crate) fn sizes(&self) -> Sizes {
        let fills = self.detection.fills().into_iter();
        let fills = fills.map(|(kind, fill)| (kind, fill.held, fill.forgotten));
        self.correlator.sizes().into_iter().chain(fills).collect()
    }

    /// From now on the lake is compacted and old rows are dropped, every hour.
    pub(crate) fn care(&mut self, care: Care) {
        self.care = Some(care);
    }

    /// Where the deliverer says what came of its attempts.
    pub(crate) fn deliveries(&self) -> mpsc::Sender<Delivery> {
        self.deliveries.0.clone()
    }

    /// Takes records until `stop` resolves; what is left then is for [`Self::catch_up`].
    pub(crate) async fn run(&mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let stopping = self.patience.stopping();
        let mut is_stopping = false;
        let working = self.work();
        tokio::pin!(working, stop);
        loop {
            // Nothing that was begun is left half done, so the work is told to stop and not dropped.
            tokio::select! {
                () = &mut stop, if !is_stopping => {
                    is_stopping = true;
                    stopping.send_replace(true);
                }
                worked = &mut working => return worked,
            }
        }
    }

    async fn work(&mut self) -> anyhow::Result<()> {
        let stopped = self.patience.stopped();
        tokio::pin!(stopped);
        while !self.patience.is_stopping() {
            if self.step().await? {
                // Whoever shares this thread is not kept out by a long replay.
                tokio::task::yield_now().await;
                continue;
            }
            let due = self.waiting_since.map(|since| MOST_WAIT.saturating_sub(since.elapsed()));
            tokio::select! {
                () = &mut stopped => return Ok(()),
                Some(delivery) = self.deliveries.1.recv() => self.delivered(delivery),
                () = self.reader.wait() => {}
                () = sleep(due) => self.flush().await?,
            }
        }
        Ok(())
    }

    /// Takes everything that the log holds, makes it queryable, and publishes a checkpoint. After so
    /// long the rest is left to the next start.
    pub(crate) async fn catch_up(&mut self, within: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        let is_time = || began.elapsed() < within;
        loop {
            while is_time() && self.step().await? {}
            while let Ok(delivery) = self.deliveries.1.try_recv() {
                self.delivered(delivery);
            }
            self.flush().await?;
            // A loss that was told with the commit is a record too.
            if !is_time() || self.reader.position() >= self.log.end() {
                return self.checkpoint();
            }
        }
    }
}
