//! Whoever watches a worker: its time, its memory, its place among others, and its end.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::query::{Limits, QueryError};

/// How long a worker may take over its deadline before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// How often the memory of a worker is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A query that takes longer is a slow one.
const SHORT: Duration = Duration::from_secs(2);
/// Memory of the program itself, before a query needs any.
const PROGRAM_BYTES: u64 = 256 << 20;

/// Places for queries that run at once. Slow ones have their own, so that short ones pass: a query that turns out
/// slow waits, stopped, until there is a place for it.
#[derive(Debug, Clone)]
pub struct Places {
    short: Arc<Semaphore>,
    slow: Arc<Semaphore>,
    stopped: Arc<Semaphore>,
}

/// The place of one query.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    held: OwnedSemaphorePermit,
    is_slow: bool,
}

impl Places {
    /// So many short queries, so many slow ones, and so many that are stopped until a slow one ends.
    #[must_use]
    pub fn of(short: usize, slow: usize, stopped: usize) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { short: places(short), slow: places(slow), stopped: places(stopped) }
    }

    /// Waits for a place, as long as `patience`; first come, first served.
    pub(super) async fn take(&self, patience: Duration) -> Result<Place, QueryError> {
        let waited = tokio::time::timeout(patience, Arc::clone(&self.short).acquire_owned()).await;
        match waited {
            Ok(Ok(held)) => Ok(Place { places: self.clone(), held, is_slow: false }),
            _ => Err(busy("too many queries at once")),
        }
    }
}

fn busy(message: &str) -> QueryError {
    QueryError::busy(message, "try again in some seconds, or narrow the query with WHERE")
}

/// How a worker ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Exited(std::io::Result<ExitStatus>),
    /// It was killed, and this is why.
    Killed(QueryError),
}

/// Waits for the end of a worker, and kills it when it takes more than it may, or when nobody wants its answer
/// any more, which is when `wanted` ends.
pub(super) async fn keep(
    mut child: Child,
    limits: Limits,
    mut place: Option<Place>,
    wanted: oneshot::Receiver<()>,
) -> Ended {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let began = Instant::now();
    tokio::pin!(wanted);
    let ended = loop {
        tokio::select! {
            status = child.wait() => return Ended::Exited(status),
            _gone = &mut wanted => break QueryError::limit("the answer is not wanted any more", "ask again"),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if began.elapsed() > limits.timeout + GRACE {
            break timeout(limits);
        }
        if pid.and_then(resident).is_some_and(|bytes| bytes > limits.memory + PROGRAM_BYTES) {
            break memory(limits);
        }
        if let (Some(place), Some(pid)) = (&mut place, pid)
            && !place.is_slow
            && began.elapsed() > SHORT
        {
            let left = (limits.timeout + GRACE).saturating_sub(began.elapsed());
            tokio::select! {
                _gone = &mut wanted => break QueryError::limit("the answer is not wanted any more", "ask again"),
                slowed = place.slow_down(pid, left) => match slowed {
                    Ok(()) => {}
                    Err(Some(error)) => break error,
                    Err(None) => break timeout(limits),
                }
            }
        }
    };
    // A worker that is stopped is killed as well.
    if let Err(error) = child.kill().await {
        tracing::debug!(%error, "killing a query worker");
    }
    Ended::Killed(ended)
}

impl Place {
    /// Takes a place for slow queries instead; the worker is stopped while there is none. No error is said where
    /// the time ran out.
    async fn slow_down(&mut self, worker: Pid, left: Duration) -> Result<(), Option<QueryError>> {
        self.is_slow = true;
        let slow = Arc::clone(&self.places.slow);
        if let Ok(held) = Arc::clone(&slow).try_acquire_owned() {
            self.held = held;
            return Ok(());
        }
        let Ok(stopped) = Arc::clone(&self.places.stopped).try_acquire_owned() else {
            return Err(Some(busy("too many slow queries at once")));
        };
        signal(worker, Signal::STOP);
        // Gives the place for short queries to the next.
        self.held = stopped;
        let waited = tokio::time::timeout(left, slow.acquire_owned()).await;
        let Ok(Ok(held)) = waited else { return Err(None) };
        self.held = held;
        signal(worker, Signal::CONT);
        Ok(())
    }
}

fn signal(worker: Pid, signal: Signal) {
    if let Err(error) = kill_process(worker, signal) {
        tracing::debug!(%error, "signalling a query worker");
    }
}

fn timeout(limits: Limits) -> QueryError {
    let message = format!("the query took longer than {} s", limits.timeout.as_secs_f64());
    QueryError::limit(message, "narrow it with WHERE, or raise --timeout")
}

fn memory(limits: Limits) -> QueryError {
    let message = format!("the query needs more than {} MiB of memory", limits.memory >> 20);
    QueryError::limit(message, "narrow it with WHERE, or raise --memory")
}

/// Bytes of memory that a process holds; none where nobody says.
/// <https://www.kernel.org/doc/html/latest/filesystems/proc.html>, `statm`
fn resident(pid: Pid) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
