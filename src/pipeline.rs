//! The one loop: the next record of the log -> correlate -> detect -> the lake and the outbox.

mod begin;
mod keep;
mod tell;

use std::sync::Arc;
use std::time::{Duration, Instant};

use durward_correlate::Correlator;
use durward_correlate::correlator::Sizes;
use durward_correlate::deduplicate::Older;
use durward_correlate::lake::{Judged, Lake};
use durward_detect::Detection;
use durward_detect::alert::Alert;
use durward_ingest::log::{Log, Reader};
use durward_schemas::Clock;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::{Record, Turn};
use durward_schemas::tables::Delivery;
use tokio::sync::mpsc;

pub(crate) use self::tell::{SharedOutbox, Telling};
use crate::data_dir::DataDir;
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
}

impl Pipeline {
    /// Everything as the last checkpoint left it; the log tells the rest.
    pub(crate) async fn open(store: Store, telling: Option<Telling>) -> anyhow::Result<Self> {
        let begun = begin::begin(&store, telling.as_ref()).await?;
        let (reached, correlator, detection) = (begun.position, begun.correlator, begun.detection);
        let Store { dir, lake, log } = store;
        let reader = log.reader(reached + 1);
        Ok(Self {
            dir,
            lake,
            telling,
            deliveries: mpsc::channel(MOST_DELIVERIES),
            reader,
            log,
            correlator,
            detection,
            reached,
            flushed: reached,
            checkpointed: reached,
            waiting_since: None,
            observer: None,
            care: None,
            cared: Instant::now(),
        })
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
        tokio::pin!(stop);
        loop {
            if let Some(record) = self.reader.next()? {
                self.take(record).await?;
                continue;
            }
            let due = self.waiting_since.map(|since| MOST_WAIT.saturating_sub(since.elapsed()));
            tokio::select! {
                () = &mut stop => return Ok(()),
                Some(delivery) = self.deliveries.1.recv() => self.delivered(delivery),
                () = self.reader.wait() => {}
                () = sleep(due) => self.flush().await?,
            }
        }
    }

    /// Takes everything that the log holds, makes it queryable, and publishes a checkpoint.
    pub(crate) async fn catch_up(&mut self) -> anyhow::Result<()> {
        while let Some(record) = self.reader.next()? {
            self.take(record).await?;
        }
        while let Ok(delivery) = self.deliveries.1.try_recv() {
            self.delivered(delivery);
        }
        self.flush().await?;
        self.checkpoint()
    }

    async fn take(&mut self, record: Record) -> anyhow::Result<()> {
        let older = match self.correlator.lookup(&record) {
            Some(ask) => self.lake.older(&ask, record.first_position).await?,
            None => Older::default(),
        };
        let turn = self.correlator.turn(record, &older);
        let judgement = self.detection.observe(&turn);
        // Owed before its position can be checkpointed: an alert is never lost between the two.
        if let Some(telling) = &self.telling {
            telling.owe(&judgement.owed, turn.ingest_time)?;
        }
        let judged = Judged {
            findings: judgement.findings,
            finding_events: judgement.finding_events,
            incidents: judgement.incidents,
            deliveries: Vec::new(),
        };
        self.lake.stage(&turn, &judged);
        self.reached = turn.last_position;
        let sizes = turn.is_tick.then(|| self.sizes());
        if let Some(observer) = &mut self.observer {
            observer(&turn, &judged, &judgement.owed, sizes);
        }
        if self.lake.pending() > 0 {
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        let waited = self.waiting_since.is_some_and(|since| since.elapsed() >= MOST_WAIT);
        if waited || self.lake.pending() >= MOST_PENDING {
            self.flush().await?;
        }
        Ok(())
    }

    /// A delivery is a row too, though no record of the log brought it.
    fn delivered(&mut self, delivery: Delivery) {
        let judged = Judged { deliveries: vec![delivery], ..Judged::default() };
        let turn = Turn::default();
        self.lake.stage(&turn, &judged);
        if let Some(observer) = &mut self.observer {
            observer(&turn, &judged, &[], None);
        }
        self.waiting_since.get_or_insert_with(Instant::now);
    }
}

/// Never, where nothing waits.
async fn sleep(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}
