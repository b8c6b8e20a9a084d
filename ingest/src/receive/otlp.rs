//! What the two OTLP doors share: a body in, the number of rejects or a refusal out.

use std::collections::BTreeMap;

use axum::body::Body;
use bytes::Bytes;

use super::body::{self, BodyError, Room};
use super::client::Client;
use super::tls::DoorTls;
use crate::format::otlp::{Signal, read_json, read_protobuf};
use crate::format::{Failure, Format, Reading};
use crate::intake::{Delivery, Intake};
use crate::log::Refusal;

/// Envoy never tries again (`../shared/lab/mesh/FACTS.md` 2), so it is refused last. Its
/// traces say who they are, its logs and metrics come without a user agent.
const ENVOY: &str = "OTel-OTLP-Exporter-Envoy";

/// How an OTLP door behaves.
#[derive(Debug, Clone)]
pub struct OtlpSettings {
    /// The source that its rows are booked under.
    pub source: String,
    /// The cluster of everything that comes by this door, whatever it claims.
    pub cluster: Option<String>,
    /// Clusters by a name in the client's certificate, where the door has none of its own.
    pub client_clusters: BTreeMap<String, String>,
    /// TLS, required where the door is open to more than this machine.
    pub tls: Option<DoorTls>,
}

/// What is open.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) source: String,
    cluster: Option<String>,
    client_clusters: BTreeMap<String, String>,
    pub(super) intake: Intake,
}

/// A request, and how to read it.
pub(super) struct Sent<'a> {
    pub(super) signal: Signal,
    pub(super) coding: Coding,
    pub(super) encoding: &'a str,
    pub(super) bytes: Bytes,
    /// Who sent it.
    pub(super) client: Client,
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
            BodyError::Busy => Self::Busy,
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Broken => Self::Unreadable("the body ended early".to_owned()),
            BodyError::NotDecompressed => {
                Self::Unreadable("the body does not decompress".to_owned())
            }
            BodyError::UnknownEncoding => Self::UnknownEncoding,
        }
    }
}

impl Door {
    pub(super) fn new(settings: OtlpSettings, intake: Intake) -> Self {
        let OtlpSettings { source, cluster, client_clusters, tls: _ } = settings;
        Self { source, cluster, client_clusters, intake }
    }

    /// Reads the body of a request, as it was sent.
    pub(super) async fn body(&self, body: Body, room: &mut Room<'_>) -> Result<Bytes, NotTaken> {
        let taken = body::read(body, self.intake.settings().request_bytes, room).await;
        self.count(taken.map_err(Into::into))
    }

    /// Decompresses and reads a request, and appends it; gives the number of rejects in it.
    pub(super) async fn take(&self, sent: Sent<'_>, room: &mut Room<'_>) -> Taken {
        let Sent { signal, coding, encoding, bytes, client } = sent;
        let received = bytes.len();
        let limit = self.intake.settings().request_bytes;
        let plain = body::decompress(encoding, bytes, limit, room).await;
        let plain = self.count(plain.map_err(Into::into))?;
        let mut reading = Reading::default();
        let cluster = self.cluster.as_deref().or_else(|| client.cluster(&self.client_clusters));
        let context = self.intake.context(cluster, &self.source);
        let read = match coding {
            Coding::Protobuf => read_protobuf(signal, &plain, &context, &mut reading),
            Coding::Json => read_json(signal, &plain, &context, &mut reading),
        };
        if let Err(failure) = &read {
            reading.rejects.push(context.reject(Format::Otlp, &plain, failure));
        }
        let rejected = reading.rejects.len();
        self.append(reading, cluster, received).await?;
        match read {
            Ok(()) => Ok(rejected),
            Err(Failure { detail, .. }) => Err(NotTaken::Unreadable(detail)),
        }
    }

    async fn append(
        &self,
        reading: Reading,
        cluster: Option<&str>,
        bytes: usize,
    ) -> Result<(), NotTaken> {
        let delivery = Delivery {
            source: &self.source,
            cluster,
            kind: Format::Otlp.name(),
            bytes,
            items_before: 0,
        };
        let settle = self.intake.settings().settle_within;
        match tokio::time::timeout(settle, self.intake.deliver(reading, delivery)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(Refusal::TooLarge)) => Err(NotTaken::TooLarge),
            Ok(Err(Refusal::Busy { .. } | Refusal::Closed)) | Err(_) => Err(NotTaken::Busy),
        }
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
