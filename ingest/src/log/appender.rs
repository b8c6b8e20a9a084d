//! What doors append with: contents in, their positions out once they are on the device.
//!
//! Contents are coded here, by the caller, so that only writing is left to the one writer; and what
//! waits is bounded in bytes, so that the refusal comes at once and reaches the sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use durward_schemas::ids::LogPosition;
use durward_schemas::record::Content;
use tokio::sync::oneshot;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::LogSettings;
use super::frame::Body;
use super::writer::{Append, Job};

/// Appends that may wait, whatever their size.
const QUEUE: usize = 1024;
/// What one permit of the byte budget stands for.
const UNIT: usize = 1024;

/// Where contents came to stand. Without any content `last` is before `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The position of the first row.
    pub first: LogPosition,
    /// The position of the last row.
    pub last: LogPosition,
}

/// Why contents were not appended. None of them will be seen by a reader that was told of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no room now: too much waits, or the disk is full or failing.
    #[error("appending to the log: no room now, try again in {} s", retry_after.as_secs())]
    Busy {
        /// How long to wait before trying again.
        retry_after: Duration,
    },
    /// It will never fit.
    #[error("appending to the log: a record is larger than the log takes")]
    TooLarge,
    /// The log is closed.
    #[error("appending to the log: it is closed")]
    Closed,
}

/// The writer's answer, once it has one.
type Answer = oneshot::Receiver<Result<Appended, Refusal>>;

/// Appends to a log; cheap to clone.
#[derive(Debug, Clone)]
pub struct Appender {
    jobs: SyncSender<Job>,
    room: Arc<Semaphore>,
    queue_bytes: usize,
    record_bytes: usize,
    retry_after: Duration,
    /// Something must be appended before everything else.
    is_held: Arc<AtomicBool>,
}

impl Appender {
    pub(super) fn new(settings: &LogSettings) -> (Self, Receiver<Job>) {
        let (jobs, receiver) = sync_channel(QUEUE);
        let units = (settings.queue_bytes / UNIT).min(Semaphore::MAX_PERMITS);
        let appender = Self {
            jobs,
            room: Arc::new(Semaphore::new(units)),
            queue_bytes: units * UNIT,
            record_bytes: settings.record_bytes,
            retry_after: settings.retry_after,
            is_held: Arc::default(),
        };
        (appender, receiver)
    }

    /// Appends contents as one; they are on the device when this returns.
    pub async fn append(&self, contents: Vec<Content>) -> Result<Appended, Refusal> {
        self.enqueue(&contents)?.await.unwrap_or(Err(Refusal::Closed))
    }

    /// Appends contents as one, for threads that may wait; not to be called from async code.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as `append`, which owns them while it waits"
    )]
    pub fn append_blocking(&self, contents: Vec<Content>) -> Result<Appended, Refusal> {
        self.append_slice_blocking(&contents)
    }

    /// As [`Appender::append_blocking`], for callers that may have to try again.
    pub(crate) fn append_slice_blocking(&self, contents: &[Content]) -> Result<Appended, Refusal> {
        self.enqueue(contents)?.blocking_recv().unwrap_or(Err(Refusal::Closed))
    }

    /// Hands `job` to the writer, waiting for a place in its queue.
    pub(super) fn send(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            tracing::debug!("the log's writer has ended already");
        }
    }

    /// Refuses what is appended until [`Self::append_first`] succeeds.
    pub(super) fn hold(&self) {
        self.is_held.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::SeqCst)
    }

    /// Appends what must stand before everything else, then lets others append.
    pub(super) async fn append_first(&self, contents: &[Content]) -> Result<Appended, Refusal> {
        let appended = self.hand_over(contents)?.await.unwrap_or(Err(Refusal::Closed))?;
        self.is_held.store(false, Ordering::SeqCst);
        Ok(appended)
    }

    /// Hands contents to the writer, or says at once that there is no room.
    pub(crate) fn enqueue(&self, contents: &[Content]) -> Result<Answer, Refusal> {
        if self.is_held() {
            return Err(self.busy());
        }
        self.hand_over(contents)
    }

    fn hand_over(&self, contents: &[Content]) -> Result<Answer, Refusal> {
        let bodies: Result<Vec<Body>, _> =
            contents.iter().filter(|content| content.positions() > 0).map(Body::encode).collect();
        let bodies = bodies.map_err(|_| Refusal::TooLarge)?;
        let bytes: usize = bodies.iter().map(Body::frame_len).sum();
        let largest = bodies.iter().map(Body::frame_len).max().unwrap_or(0);
        if largest > self.record_bytes || bytes > self.queue_bytes {
            return Err(Refusal::TooLarge);
        }
        let room = self.reserve(bytes)?;
        let (reply, answer) = oneshot::channel();
        match self.jobs.try_send(Job::Append(Append { bodies, reply, room })) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(self.busy()),
            Err(TrySendError::Disconnected(_)) => Err(Refusal::Closed),
        }
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).map_err(|_| Refusal::TooLarge)?;
        Arc::clone(&self.room).try_acquire_many_owned(units).map_err(|_| self.busy())
    }

    fn busy(&self) -> Refusal {
        Refusal::Busy { retry_after: self.retry_after }
    }
}
