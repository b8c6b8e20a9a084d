//! What all doors share: readings in, durable or refused. One for each process, cheap to clone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use durward_schemas::record::{Content, Receipt};
use durward_schemas::{Clock, Time};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::format::{Context, Reading};
use crate::keys::Keys;
use crate::log::{Appended, Appender, Refusal};
use crate::network::Network;

/// What one permit of the byte budget stands for.
const UNIT: usize = 1024;

/// How the doors behave.
#[derive(Debug, Clone)]
pub struct IntakeSettings {
    /// Proxies whose word on the address before them is believed.
    pub trusted_proxies: Vec<Network>,
    /// The cluster of items that nothing else names one for.
    pub default_cluster: Option<String>,
    /// Clusters by the issuer of their `ServiceAccount` tokens, without `https://`.
    pub issuers: BTreeMap<String, String>,
    /// Bytes of requests that are read at the same time at most; more is refused as busy.
    pub inflight_bytes: usize,
    /// Bytes of one OTLP request at most, also after decompression.
    pub request_bytes: usize,
    /// How long an OTLP sender waits for its answer at most.
    pub settle_within: Duration,
    /// How long the audit webhook takes over a batch at most: the API server gives up after 30 s, and an answer
    /// after that is not heard.
    pub webhook_within: Duration,
    /// How long a busy OTLP sender is asked to wait.
    pub retry_after: Duration,
    /// Connections of one door at most.
    pub connections: usize,
}

impl Default for IntakeSettings {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            default_cluster: None,
            issuers: BTreeMap::new(),
            inflight_bytes: 256 << 20,
            request_bytes: 64 << 20,
            settle_within: Duration::from_millis(1800),
            webhook_within: Duration::from_secs(25),
            retry_after: Duration::from_secs(2),
            connections: 1024,
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
    room: Arc<Semaphore>,
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
        let room = settings.inflight_bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        Self {
            appender,
            keys,
            clock,
            settings: Arc::new(settings),
            room: Arc::new(Semaphore::new(room)),
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
            default_cluster: self.settings.default_cluster.as_deref(),
            issuers: &self.settings.issuers,
        }
    }

    /// Room for a request of `bytes`, taken before it is read; none when too much is under way.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = bytes.min(self.settings.inflight_bytes).div_ceil(UNIT);
        Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(units).ok()?).ok()
    }

    /// As [`Intake::reserve`], for senders that never try again: waits for room for a while.
    pub async fn reserve_patiently(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = bytes.min(self.settings.inflight_bytes).div_ceil(UNIT);
        let room = Arc::clone(&self.room).acquire_many_owned(u32::try_from(units).ok()?);
        tokio::time::timeout(self.settings.settle_within / 2, room).await.ok()?.ok()
    }

    /// Appends what was read with its receipt; it is on the device when this returns.
    pub async fn deliver(
        &self,
        reading: Reading,
        delivery: Delivery<'_>,
    ) -> Result<Appended, Refusal> {
        let refused = self.take_refused(delivery.source);
        let items = reading.items() + delivery.items_before;
        let mut contents = reading.into_contents();
        contents.push(Content::Received(receipt(delivery, items, refused)));
        let appended = self.append(contents).await;
        if appended.is_err() {
            self.add_refused(delivery.source, refused + 1);
        }
        appended
    }

    /// Appends without a receipt: a part of a delivery whose rest is still coming.
    pub async fn append(&self, contents: Vec<Content>) -> Result<Appended, Refusal> {
        self.appender.append(contents).await
    }

    /// As [`Intake::append`], for threads that may wait.
    pub(crate) fn append_blocking(&self, contents: &[Content]) -> Result<Appended, Refusal> {
        self.appender.append_slice_blocking(contents)
    }

    /// Counts a delivery that was refused before it was read.
    pub fn refuse(&self, source: &str) {
        self.add_refused(source, 1);
    }

    fn add_refused(&self, source: &str, count: i64) {
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
