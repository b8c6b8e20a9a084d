//! What all doors share: readings in, durable or refused. One for each process, cheap to clone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durward_schemas::record::{Content, Receipt};
use durward_schemas::{Clock, Time};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::format::{Context, Reading};
use crate::keys::Keys;
use crate::log::{Appended, Appender, Refusal};
use crate::network::Network;
use crate::receive::Limits;
use crate::receive::senders::Senders;
use crate::room::{Held, Holder, Room};

/// What was handed over to the log with its receipt.
pub(crate) struct Appending {
    answer: oneshot::Receiver<Result<Appended, Refusal>>,
    intake: Intake,
    source: String,
    refused: i64,
}

impl Appending {
    /// Whether it is on the device. Of refusals that its receipt did not tell of the next one does.
    pub(crate) async fn settled(self) -> Result<Appended, Refusal> {
        let settled = self.answer.await.unwrap_or(Err(Refusal::Closed));
        if settled.is_err() {
            self.intake.add_refused(&self.source, self.refused);
        }
        settled
    }
}

/// Whether somebody still waits for what is being done.
#[derive(Debug, Clone)]
pub(crate) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    pub(crate) fn is_still(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Somebody who waits, until he is dropped.
struct Waiting(Wanted);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// How the doors behave.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// Proxies whose word on the address before them is believed.
    pub trusted_proxies: Vec<Network>,
    /// Containers whose output is believed where it reads as audit records, as `namespace/container`.
    pub audit_containers: BTreeSet<String>,
    /// The cluster of items that nothing else names one for.
    pub default_cluster: Option<String>,
    /// Clusters by the issuer of their `ServiceAccount` tokens, without `https://`.
    pub issuers: BTreeMap<String, String>,
    /// Who may speak for which cluster.
    pub senders: Senders,
    /// Bytes that requests under way take at most, as they came and as what is made of them; more is refused
    /// as busy. One client gets half of it.
    pub inflight_bytes: usize,
    /// Requests that are read at the same time at most; others wait. One client gets half of them.
    pub readers: usize,
    /// Bytes that the rows of one OTLP request may weigh, what they have in common in each of them.
    pub rows_bytes: usize,
    /// How long a client that sends nothing of a body is waited for.
    pub body_grace: Duration,
    /// Bytes of a body that buy one second more.
    pub body_floor: usize,
    /// Bytes of one OTLP request at most, also after decompression.
    pub request_bytes: usize,
    /// How long an OTLP sender waits for its answer at most.
    pub settle_within: Duration,
    /// How long the audit webhook takes over a batch at most: the API server gives up after 30 s, and an answer
    /// after that is not heard.
    pub webhook_within: Duration,
    /// How long a busy OTLP sender is asked to wait.
    pub retry_after: Duration,
    /// What each door bears of connections.
    pub limits: Limits,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            audit_containers: BTreeSet::new(),
            default_cluster: None,
            issuers: BTreeMap::new(),
            senders: Senders::default(),
            inflight_bytes: 256 << 20,
            readers: 6,
            rows_bytes: 256 << 20,
            body_grace: Duration::from_secs(5),
            body_floor: 16 << 10,
            request_bytes: 64 << 20,
            settle_within: Duration::from_millis(1800),
            webhook_within: Duration::from_secs(25),
            retry_after: Duration::from_secs(2),
            limits: Limits::default(),
        }
    }
}

/// Takes what doors read.
#[derive(Clone)]
pub struct Intake {
    appender: Appender,
    keys: Arc<Keys>,
    clock: Clock,
    settings: Arc<IntakeSettings>,
    room: Room,
    places: Room,
    alone: Arc<Semaphore>,
    refused: Arc<Mutex<BTreeMap<String, i64>>>,
}

/// What one delivery is: where it comes from, and how large it was.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The configured source.
    pub source: &'a str,
    /// The cluster that the door vouches for.
    pub cluster: Option<&'a str>,
    /// The name of the format.
    pub kind: &'a str,
    /// Bytes as received.
    pub bytes: usize,
    /// Items that were appended already, while the rest was still coming.
    pub items_before: usize,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Intake {
    /// An intake that appends to `appender`.
    #[must_use]
    pub fn new(
        appender: Appender,
        keys: Arc<Keys>,
        clock: Clock,
        settings: IntakeSettings,
    ) -> Self {
        let (room, places) = (Room::new(settings.inflight_bytes), Room::new(settings.readers));
        Self {
            appender,
            keys,
            clock,
            settings: Arc::new(settings),
            room,
            places,
            alone: Arc::new(Semaphore::new(1)),
            refused: Arc::default(),
        }
    }

    /// How the doors behave.
    #[must_use]
    pub fn settings(&self) -> &IntakeSettings {
        &self.settings
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Time {
        (self.clock)()
    }

    /// What a reader is told.
    #[must_use]
    pub fn context<'a>(&'a self, cluster: Option<&'a str>, source: &'a str) -> Context<'a> {
        Context {
            cluster,
            source,
            received: self.now(),
            as_of: None,
            keys: &self.keys,
            trusted_proxies: &self.settings.trusted_proxies,
            audit_containers: &self.settings.audit_containers,
            default_cluster: self.settings.default_cluster.as_deref(),
            issuers: &self.settings.issuers,
            speaker: None,
        }
    }

    /// No room yet for what a client sends, to grow as it comes.
    pub(crate) fn room(&self, holder: &Holder) -> Held {
        self.room.none(holder)
    }

    /// All room there is.
    #[cfg(test)]
    pub(crate) fn take_all_room(&self) -> Held {
        self.room.take_all()
    }

    /// Does what takes long on a thread where it stops no door, once the client has a place; `None` if none
    /// became free in time. Whoever no longer waits for it does not want it any more.
    pub(crate) async fn apart<T: Send + 'static>(
        &self,
        holder: &Holder,
        patience: Duration,
        work: impl FnOnce(&Wanted) -> T + Send + 'static,
    ) -> Option<T> {
        let place = self.places.take_within(holder, 1, patience).await?;
        let waiting = Waiting(Wanted(Arc::new(AtomicBool::new(true))));
        let wanted = waiting.0.clone();
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&wanted);
            drop(place);
            done
        });
        working.await.inspect_err(|error| tracing::error!(%error, "reading a request failed")).ok()
    }

    /// The right to hold, alone, what is many times larger than it was sent; `None` if others were too slow.
    /// For threads that may wait.
    pub(crate) fn alone(&self) -> Option<OwnedSemaphorePermit> {
        let patience = self.settings.webhook_within;
        let alone = Arc::clone(&self.alone).acquire_owned();
        let alone = async { tokio::time::timeout(patience, alone).await.ok()?.ok() };
        Handle::current().block_on(alone)
    }

    /// Hands over what was read, with its receipt, from a thread that may wait for coding; it is on the device
    /// when the answer says so.
    pub(crate) fn deliver(
        &self,
        reading: Reading,
        delivery: Delivery<'_>,
    ) -> Result<Appending, Refusal> {
        let refused = self.take_refused(delivery.source);
        let items = reading.items() + delivery.items_before;
        let mut contents = reading.into_contents();
        contents.push(Content::Received(receipt(delivery, items, refused)));
        match self.appender.enqueue(&contents) {
            Ok(answer) => {
                let (intake, source) = (self.clone(), delivery.source.to_owned());
                Ok(Appending { answer, intake, source, refused })
            }
            Err(refusal) => {
                self.add_refused(delivery.source, refused);
                Err(refusal)
            }
        }
    }

    /// Appends without a receipt.
    pub async fn append(&self, contents: Vec<Content>) -> Result<Appended, Refusal> {
        self.appender.append(contents).await
    }

    /// As [`Intake::append`], for threads that may wait: a part of a delivery whose rest is still coming.
    pub(crate) fn append_blocking(&self, contents: &[Content]) -> Result<Appended, Refusal> {
        self.appender.append_slice_blocking(contents)
    }

    /// Counts a delivery that was refused before it was read.
    pub fn refuse(&self, source: &str) {
        self.add_refused(source, 1);
    }

    fn add_refused(&self, source: &str, count: i64) {
        if count == 0 {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(source.to_owned()).or_default() += count;
    }

    fn take_refused(&self, source: &str) -> i64 {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.remove(source).unwrap_or(0)
    }
}

/// What one delivery brought.
pub(crate) fn receipt(delivery: Delivery<'_>, items: usize, refused: i64) -> Receipt {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    Receipt {
        source: delivery.source.to_owned(),
        kind: delivery.kind.to_owned(),
        cluster: delivery.cluster.map(str::to_owned),
        items: count(items),
        bytes: count(delivery.bytes),
        refused,
    }
}
