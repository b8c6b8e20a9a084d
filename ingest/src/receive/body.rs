//! Bodies of requests: read and decompressed within bounds, with room taken before each part.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::intake::Intake;

/// A body that has not come by then is given up.
const WITHIN: Duration = Duration::from_secs(30);
/// Room is taken in steps of this.
const STEP: usize = 256 << 10;

/// Why a body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// There is no room for it now.
    Busy,
    /// It is larger than is allowed.
    TooLarge,
    /// The sender went away or was too slow.
    Broken,
    /// It does not decompress.
    NotDecompressed,
    /// It is compressed in a way that is not known.
    UnknownEncoding,
}

/// The room that a body takes, given back when it is dropped.
pub(super) struct Room<'a> {
    intake: &'a Intake,
    is_patient: bool,
    permits: Vec<OwnedSemaphorePermit>,
    taken: usize,
}

impl<'a> Room<'a> {
    /// No room yet. The patient are waited for a while: they never try again.
    pub(super) fn new(intake: &'a Intake, is_patient: bool) -> Self {
        Self { intake, is_patient, permits: Vec::new(), taken: 0 }
    }

    /// Takes room for `bytes` in all.
    async fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        while self.taken < bytes {
            let permit = match self.intake.reserve(STEP) {
                None if self.is_patient => self.intake.reserve_patiently(STEP).await,
                permit => permit,
            };
            self.permits.push(permit.ok_or(BodyError::Busy)?);
            self.taken += STEP;
        }
        Ok(())
    }
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(
    body: Body,
    limit: usize,
    room: &mut Room<'_>,
) -> Result<Bytes, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let read = async {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| BodyError::Broken)?;
            if bytes.len() + chunk.len() > limit {
                return Err(BodyError::TooLarge);
            }
            room.grow(bytes.len() + chunk.len()).await?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    tokio::time::timeout(WITHIN, read).await.map_err(|_| BodyError::Broken)??;
    Ok(bytes.into())
}

/// Decompresses to at most `limit` bytes.
pub(super) async fn decompress(
    encoding: &str,
    bytes: Bytes,
    limit: usize,
    room: &mut Room<'_>,
) -> Result<Bytes, BodyError> {
    let broken = |_| BodyError::NotDecompressed;
    let mut plain = Vec::new();
    let mut reader: Box<dyn Read + Send + '_> = match encoding {
        "" | "identity" => return Ok(bytes),
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_ref())),
        "zstd" => Box::new(zstd::Decoder::with_buffer(bytes.as_ref()).map_err(broken)?),
        _ => return Err(BodyError::UnknownEncoding),
    };
    let compressed = bytes.len();
    loop {
        room.grow(compressed + plain.len() + STEP).await?;
        let mut part = reader.take(STEP as u64);
        if part.read_to_end(&mut plain).map_err(broken)? == 0 {
            return Ok(plain.into());
        }
        if plain.len() > limit {
            return Err(BodyError::TooLarge);
        }
        reader = part.into_inner();
    }
}
