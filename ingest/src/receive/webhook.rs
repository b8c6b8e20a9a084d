//! The audit webhook: `POST /v1/k8s-audit/{cluster}` with an `EventList` in, accesses out.
//!
//! An API server tries a batch five times in 86 s and then drops it, whatever it is answered but 2xx
//! (`../shared/lab/k8s/README.md`). So a batch is never refused for what is in it: it is taken
//! apart while it streams in, what cannot be read becomes rejects, and the answer is 200 when all of
//! it is on the device. Under load the answer is 503 with `Retry-After: 30`, which makes the batch
//! live for four minutes.

use std::future::Future;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{Coming, Room};
use super::client::Peer;
use super::page::{Hosts, content_type, guarded};
use super::senders::Speaker;
use super::serve;
use super::tls::DoorTls;
use crate::format::otlp::{Document, ROW};
use crate::format::{Context, Format, Reading, not_its_cluster};
use crate::intake::{Appending, Delivery, Intake, Wanted};
use crate::room::Holder;
use crate::seal;
use crate::split::{Item, Splitter};

/// Bytes that are read at a time.
const AT_ONCE: usize = 256 << 10;
/// What takes more memory than this when it is parsed is parsed alone.
const ALONE: usize = 32 << 20;
/// Items of fewer bytes need no more room parsed than is there in any case.
const SMALL: usize = 64 << 10;
/// Seconds that a busy API server is asked to wait: the kindest value, as measured.
const RETRY_AFTER: &str = "30";
/// Names of clusters are no longer than names of DNS.
const MAX_CLUSTER: usize = 253;

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The source that its rows are booked under.
    pub source: String,
    /// TLS, required where the door is open to more than this machine.
    pub tls: Option<DoorTls>,
    /// Hosts beside loopback that requests may name, where there is no TLS.
    pub hosts: Vec<String>,
}

#[derive(Clone)]
struct Door {
    source: String,
    intake: Intake,
}

/// Serves the door until `shutdown`, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    settings: WebhookSettings,
    intake: Intake,
    shutdown: impl Future<Output = ()>,
) {
    let limits = intake.settings().limits;
    let door = Door { source: settings.source, intake };
    let app = Router::new().route("/v1/k8s-audit/{cluster}", post(receive)).with_state(door);
    let app = guarded(app, Hosts::of_door(settings.tls.is_some(), &settings.hosts));
    serve::serve(listener, settings.tls, app, limits, shutdown).await;
}

/// Why a batch was not taken. Whatever it is, it may be sent again.
struct NotTaken;

async fn receive(
    State(door): State<Door>,
    Path(cluster): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    if cluster.len() > MAX_CLUSTER || cluster.chars().any(char::is_control) {
        return (StatusCode::BAD_REQUEST, "the path must end in the name of a cluster\n")
            .into_response();
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        let text = "send the batch as it is: API servers never compress\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    if content_type(&headers) != "application/json" {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "send application/json\n").into_response();
    }
    let within = door.intake.settings().webhook_within;
    let peer = Peer::of(request.extensions());
    let speaker = door.intake.settings().senders.speaker(&peer.client);
    if speaker.refuses() && speaker.settle(None, Some(&cluster), None).is_mismatch {
        return door.refuse(&cluster, &peer, &speaker).await;
    }
    let taken = door.take(&cluster, &peer, speaker, request.into_body());
    if let Ok(Ok(())) = tokio::time::timeout(within, taken).await {
        return StatusCode::OK.into_response();
    }
    door.intake.refuse(&door.source);
    busy()
}

fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], "no room now\n")
        .into_response()
}

impl Door {
    /// Reads a batch item by item while it comes, and appends it, a large one in parts.
    async fn take(
        &self,
        cluster: &str,
        peer: &Peer,
        speaker: Speaker,
        body: Body,
    ) -> Result<(), NotTaken> {
        let holder = peer.holder(&self.source);
        let mut body = Coming::new(body, self.intake.settings());
        let mut batch = Batch::new(self, cluster, &holder, speaker);
        let mut is_end = false;
        while !is_end {
            match body.next().await.map_err(|_| NotTaken)? {
                Some(chunk) => batch.add(chunk).await?,
                None => is_end = true,
            }
            if batch.coming >= AT_ONCE && !is_end {
                batch = self.apart(&holder, move |wanted| batch.read(wanted)).await?;
            }
        }
        let appending = self.apart(&holder, move |wanted| batch.finish(wanted)).await?;
        appending.settled().await.map(|_| ()).map_err(|_| NotTaken)
    }

    /// A batch of another's cluster is not read. That it was sent is kept.
    async fn refuse(&self, cluster: &str, peer: &Peer, speaker: &Speaker) -> Response {
        let who = speaker.name().unwrap_or("a client without a certificate");
        tracing::warn!(who, cluster, address = %peer.address, "a batch of another's cluster was refused");
        let source = speaker.source(&self.source);
        let context = self.intake.context(None, source);
        let told = serde_json::json!({ "sender": who, "claimed_cluster": cluster }).to_string();
        let reject = context.reject(Format::KubeAudit, told.as_bytes(), &not_its_cluster());
        let reading = Reading { rejects: vec![reject], ..Reading::default() };
        if self.intake.append(reading.into_contents()).await.is_err() {
            self.intake.refuse(&self.source);
        }
        (StatusCode::FORBIDDEN, "this sender may not speak for that cluster: see `senders`\n")
            .into_response()
    }

    /// Does what takes long where it stops no door.
    async fn apart<T: Send + 'static>(
        &self,
        holder: &Holder,
        work: impl FnOnce(&Wanted) -> Result<T, NotTaken> + Send + 'static,
    ) -> Result<T, NotTaken> {
        let within = self.intake.settings().webhook_within;
        self.intake.apart(holder, within, work).await.unwrap_or(Err(NotTaken))
    }
}

/// A batch that is coming.
struct Batch {
    door: Door,
    /// The cluster that the sender may speak for, and the one that it named.
    cluster: Option<String>,
    claimed: String,
    speaker: Speaker,
    room: Room,
    /// What has come and was not read yet.
    chunks: Vec<Bytes>,
    coming: usize,
    bytes: usize,
    splitter: Splitter,
    reading: Reading,
    /// What the rows weigh that were read and not appended.
    weight: usize,
    /// Items that were appended already.
    items_before: usize,
}

impl Batch {
    fn new(door: &Door, cluster: &str, holder: &Holder, speaker: Speaker) -> Self {
        Self {
            room: Room::new(&door.intake, holder, false),
            items_before: 0,
            door: door.clone(),
            cluster: speaker.settle(None, Some(cluster), None).cluster,
            claimed: cluster.to_owned(),
            speaker,
            chunks: Vec::new(),
            coming: 0,
            bytes: 0,
            splitter: Format::KubeAudit.splitter(),
            reading: Reading::default(),
            weight: 0,
        }
    }

    async fn add(&mut self, chunk: Bytes) -> Result<(), NotTaken> {
        self.room.grow(chunk.len()).await.map_err(|_| NotTaken)?;
        self.coming += chunk.len();
        self.bytes += chunk.len();
        self.chunks.push(chunk);
        Ok(())
    }

    /// Reads what has come.
    fn read(mut self, wanted: &Wanted) -> Result<Self, NotTaken> {
        self.coming = 0;
        for chunk in std::mem::take(&mut self.chunks) {
            for slice in chunk.chunks(AT_ONCE) {
                if !wanted.is_still() {
                    return Err(NotTaken);
                }
                let items = self.splitter.push(slice);
                self.read_items(items, wanted)?;
            }
        }
        let held = self.splitter.held() + self.weight;
        self.room.hold(held).map_err(|_| NotTaken)?;
        Ok(self)
    }

    fn read_items(&mut self, items: Vec<Item>, wanted: &Wanted) -> Result<(), NotTaken> {
        for item in items {
            let _alone = self.room_to_parse(&item)?;
            let source = self.speaker.source(&self.door.source);
            let context = self.door.intake.context(self.cluster.as_deref(), source);
            let context = Context { speaker: Some(&self.speaker), ..context };
            let before = self.reading.accesses.len();
            Format::KubeAudit.read_item(&item, &context, &mut self.reading);
            let read = self.reading.accesses.get_mut(before..).unwrap_or_default();
            context.sign(read, Some(&self.claimed));
            self.weight += ROW + item.bytes.len();
            let is_much = self.reading.items() >= seal::MAX_ROWS || self.weight >= seal::MAX_BYTES;
            if is_much {
                self.weight = 0;
                self.append()?;
            }
            if !wanted.is_still() {
                return Err(NotTaken);
            }
        }
        Ok(())
    }

    /// A list of numbers is many times larger when it is parsed. What is very large is never refused for
    /// it, but read alone: it is an event like any other.
    fn room_to_parse(&mut self, item: &Item) -> Result<Option<OwnedSemaphorePermit>, NotTaken> {
        let parsed = if item.bytes.len() > SMALL { Document::parsed(&item.bytes).bytes } else { 0 };
        if parsed > ALONE {
            return self.door.intake.alone().ok_or(NotTaken).map(Some);
        }
        self.room.grow_blocking(parsed).map_err(|_| NotTaken)?;
        Ok(None)
    }

    fn append(&mut self) -> Result<(), NotTaken> {
        let part = std::mem::take(&mut self.reading);
        self.items_before += part.items();
        let appended = self.door.intake.append_blocking(&part.into_contents());
        appended.map(|_| ()).map_err(|_| NotTaken)
    }

    /// Reads the rest, and hands all of it over.
    fn finish(self, wanted: &Wanted) -> Result<Appending, NotTaken> {
        let mut batch = self.read(wanted)?;
        let items = batch.splitter.finish();
        batch.read_items(items, wanted)?;
        let delivery = Delivery {
            source: batch.speaker.source(&batch.door.source),
            cluster: batch.cluster.as_deref(),
            kind: Format::KubeAudit.name(),
            bytes: batch.bytes,
            items_before: batch.items_before,
        };
        batch.door.intake.deliver(batch.reading, delivery).map_err(|_| NotTaken)
    }
}

#[cfg(test)]
mod tests;
