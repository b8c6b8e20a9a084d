//! What the two OTLP doors share: a body in, the number of rejects or a refusal out.

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{self, BodyError, Coming, Room};
use super::client::Peer;
use super::parts::Parts;
use super::tls::DoorTls;
use crate::format::otlp::{self, Document, Signal, Weight};
use crate::format::{Context, Failure, Format, Reading};
use crate::intake::{Appending, Delivery, Intake, Wanted};
use crate::log::Refusal;

/// Envoy never tries again (`../shared/lab/mesh/FACTS.md` 2), so it is refused last. Its
/// traces say who they are, its logs and metrics come without a user agent.
const ENVOY: &str = "OTel-OTLP-Exporter-Envoy";

/// What is larger and cannot be taken apart is read alone.
const ALONE: usize = 1 << 20;

/// How an OTLP door behaves.
#[derive(Debug, Clone)]
pub struct OtlpSettings {
    /// The source that its rows are booked under.
    pub source: String,
    /// The cluster of everything that comes by this door, whatever it claims, where `senders` say nothing else.
    pub cluster: Option<String>,
    /// TLS, required where the door is open to more than this machine.
    pub tls: Option<DoorTls>,
    /// Hosts beside loopback that requests may name, where there is no TLS.
    pub hosts: Vec<String>,
}

/// What is open.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) source: String,
    cluster: Option<String>,
    pub(super) intake: Intake,
}

/// A request, and how to read it.
pub(super) struct Sent {
    pub(super) signal: Signal,
    pub(super) coding: Coding,
    pub(super) encoding: String,
    pub(super) bytes: Bytes,
    /// Who sent it.
    pub(super) peer: Peer,
}

/// How a request is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Protobuf,
    Json,
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It may be sent again.
    Busy,
    /// It is too large.
    TooLarge,
    /// It cannot be read, and never will be.
    Unreadable(String),
    /// It is compressed in a way that is not known.
    UnknownEncoding,
}

/// What became of a request.
pub(super) type Taken = Result<usize, NotTaken>;

/// Whether a sender with this user agent never tries again.
pub(super) fn never_retries(agent: Option<&str>) -> bool {
    agent.is_none_or(|agent| agent.starts_with(ENVOY))
}

impl From<BodyError> for NotTaken {
    fn from(error: BodyError) -> Self {
        match error {
            // What broke on its way may be sent again.
            BodyError::Busy | BodyError::Broken => Self::Busy,
            BodyError::TooLarge => Self::TooLarge,
            BodyError::NotDecompressed => {
                Self::Unreadable("the body does not decompress".to_owned())
            }
            BodyError::UnknownEncoding => Self::UnknownEncoding,
        }
    }
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge => Self::TooLarge,
            Refusal::Busy { .. } | Refusal::Closed => Self::Busy,
        }
    }
}

/// A request that was read, up to its last part; how many rejects are in it, and what waits for the log.
struct Read {
    rejected: usize,
    outcome: Result<(), Failure>,
    appending: Appending,
}

/// The rows of a request: those that were appended, and those that were not yet.
struct Rows {
    parts: Parts,
    reading: Reading,
}

/// Whether a request could be read; or it was not looked at to its end.
type Outcome = Result<Result<(), Failure>, NotTaken>;

impl Door {
    pub(super) fn new(settings: OtlpSettings, intake: Intake) -> Self {
        let OtlpSettings { source, cluster, tls: _, hosts: _ } = settings;
        Self { source, cluster, intake }
    }

    /// No room yet for a request of this client.
    pub(super) fn room(&self, peer: &Peer, agent: Option<&str>) -> Room {
        Room::new(&self.intake, &peer.holder(&self.source), never_retries(agent))
    }

    /// Reads the body of a request, as it was sent.
    pub(super) async fn body(&self, body: Body, room: &mut Room) -> Result<Bytes, NotTaken> {
        let settings = self.intake.settings();
        let taken = body::read(Coming::new(body, settings), settings.request_bytes, room).await;
        self.count(taken.map_err(Into::into))
    }

    /// Decompresses and reads a request, and appends it; gives the number of rejects in it.
    pub(super) async fn take(&self, sent: Sent, room: Room) -> Taken {
        let (door, holder) = (self.clone(), sent.peer.holder(&self.source));
        let settle = self.intake.settings().settle_within;
        let read =
            self.intake.apart(&holder, settle, move |wanted| door.read(sent, room, wanted)).await;
        let Read { rejected, outcome, appending } =
            self.count(read.unwrap_or(Err(NotTaken::Busy)))?;
        let settled = tokio::time::timeout(settle, appending.settled()).await;
        let settled = settled.unwrap_or(Err(Refusal::Closed));
        self.count(settled.map_err(Into::into))?;
        match outcome {
            Ok(()) => Ok(rejected),
            Err(Failure { detail, .. }) => Err(NotTaken::Unreadable(detail)),
        }
    }

    /// Makes rows of a request and hands them over, a large one in parts.
    fn read(&self, sent: Sent, mut room: Room, wanted: &Wanted) -> Result<Read, NotTaken> {
        let Sent { signal, coding, encoding, bytes, peer } = sent;
        let received = bytes.len();
        let settings = self.intake.settings();
        let plain = body::decompress(&encoding, bytes, settings.request_bytes, &mut room)?;
        let speaker = settings.senders.speaker(&peer.client);
        let source = speaker.source(&self.source);
        let context = self.intake.context(self.cluster.as_deref(), source);
        let context = Context { speaker: Some(&speaker), ..context };
        let mut rows =
            Rows { parts: Parts::new(&self.intake, wanted), reading: Reading::default() };
        let outcome = match coding {
            Coding::Protobuf => self.read_protobuf(signal, &plain, &context, &mut rows)?,
            Coding::Json => self.read_json(signal, &plain, &context, &mut rows, &mut room)?,
        };
        let Rows { parts, mut reading } = rows;
        if let Some(refusal) = parts.refusal {
            return Err(refusal.into());
        }
        if let Err(failure) = &outcome {
            reading.rejects.push(context.reject(Format::Otlp, &plain, failure));
        }
        let rejected = parts.rejected + reading.rejects.len();
        let settled = speaker.settle(self.cluster.as_deref(), None, None);
        let delivery = Delivery {
            source,
            cluster: settled.cluster.as_deref(),
            kind: Format::Otlp.name(),
            bytes: received,
            items_before: parts.items,
        };
        let appending = self.intake.deliver(reading, delivery)?;
        Ok(Read { rejected, outcome, appending })
    }

    /// What rows there will be is weighed before the first is made.
    fn read_protobuf(
        &self,
        signal: Signal,
        plain: &[u8],
        context: &Context<'_>,
        Rows { parts, reading }: &mut Rows,
    ) -> Outcome {
        let most = self.intake.settings().rows_bytes;
        let weight = match otlp::weigh_protobuf(signal, plain, most) {
            Ok(weight) => weight,
            Err(failure) => return Ok(Err(failure)),
        };
        if weight.bytes > most {
            return Err(NotTaken::TooLarge);
        }
        let _alone = self.alone(weight)?;
        let relieve = &mut |reading: &mut Reading| parts.relieve(reading);
        Ok(otlp::read_protobuf(signal, plain, context, reading, relieve))
    }

    /// A body may hold a document of its own, which is many times larger when it is parsed.
    fn alone(&self, weight: Weight) -> Result<Option<OwnedSemaphorePermit>, NotTaken> {
        if weight.largest <= ALONE {
            return Ok(None);
        }
        self.intake.alone().ok_or(NotTaken::Busy).map(Some)
    }

    /// The same; what the document will be when it is parsed is told by its text.
    fn read_json(
        &self,
        signal: Signal,
        plain: &[u8],
        context: &Context<'_>,
        Rows { parts, reading }: &mut Rows,
        room: &mut Room,
    ) -> Outcome {
        let settings = self.intake.settings();
        let parsed = Document::parsed(plain);
        if parsed.bytes > settings.inflight_bytes / 2 {
            return Err(NotTaken::TooLarge);
        }
        room.grow_blocking(parsed.bytes)?;
        let _alone = self.alone(parsed)?;
        let weighed =
            Document::parse(plain).and_then(|document| Ok((document.weigh(signal)?, document)));
        let (weight, document) = match weighed {
            Ok(weighed) => weighed,
            Err(failure) => return Ok(Err(failure)),
        };
        if weight > settings.rows_bytes {
            return Err(NotTaken::TooLarge);
        }
        document.read(signal, context, reading, &mut |reading| parts.relieve(reading));
        Ok(Ok(()))
    }

    /// Counts a request that was refused before it was read.
    fn count<T>(&self, taken: Result<T, NotTaken>) -> Result<T, NotTaken> {
        if matches!(taken, Err(NotTaken::Busy)) {
            self.intake.refuse(&self.source);
        }
        taken
    }
}

#[cfg(test)]
mod tests;
