//! Bodies of requests: read as they come and decompressed within bounds, with room taken for each part.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::intake::{Intake, IntakeSettings};
use crate::room::{Held, Holder};

/// A body that has not come by then is given up.
const WITHIN: Duration = Duration::from_secs(30);
/// Bytes that are decompressed at a time.
const STEP: usize = 256 << 10;

/// What zstd may look back: as much as the encoders of the Collector do at their best level.
const ZSTD_WINDOW: usize = 32 << 20;

/// Why a body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// There is no room for it now.
    Busy,
    /// It is larger than is allowed.
    TooLarge,
    /// It came too slowly, or ended before its end; it may be sent again.
    Broken,
    /// It does not decompress.
    NotDecompressed,
    /// It is compressed in a way that is not known.
    UnknownEncoding,
}

/// A body as it comes, with a floor of progress: each byte buys time, and who sends none for long is given up.
pub(super) struct Coming {
    chunks: BodyDataStream,
    arrived: usize,
    waited: Duration,
    grace: Duration,
    floor: usize,
}

impl Coming {
    pub(super) fn new(body: Body, settings: &IntakeSettings) -> Self {
        Self {
            chunks: body.into_data_stream(),
            arrived: 0,
            waited: Duration::ZERO,
            grace: settings.body_grace,
            floor: settings.body_floor.max(1),
        }
    }

    /// Bytes that have come.
    pub(super) fn arrived(&self) -> usize {
        self.arrived
    }

    /// The next part; `None` at the end. Time that we take ourselves between two parts does not count.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let seconds = u64::try_from(self.arrived / self.floor).unwrap_or(u64::MAX);
        let bought = self.grace.saturating_add(Duration::from_secs(seconds));
        let began = Instant::now();
        let patience = bought.saturating_sub(self.waited);
        let chunk = tokio::time::timeout(patience, self.chunks.next()).await;
        self.waited += began.elapsed();
        match chunk {
            Ok(Some(Ok(chunk))) => {
                self.arrived += chunk.len();
                Ok(Some(chunk))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) | Err(_) => Err(BodyError::Broken),
        }
    }
}

/// The room that a request takes, given back when it is dropped.
pub(super) struct Room {
    held: Held,
    /// How long room is waited for: by those who never try again.
    patience: Duration,
}

impl Room {
    /// No room yet. The patient are waited for a while: they never try again.
    pub(super) fn new(intake: &Intake, holder: &Holder, is_patient: bool) -> Self {
        let patience =
            if is_patient { intake.settings().settle_within / 2 } else { Duration::ZERO };
        Self { held: intake.room(holder), patience }
    }

    /// Takes room for `bytes` more.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let is_taken = self.held.grow(bytes) || self.held.grow_within(bytes, self.patience).await;
        if is_taken { Ok(()) } else { Err(BodyError::Busy) }
    }

    /// The same, on a thread that may wait.
    pub(super) fn grow_blocking(&mut self, bytes: usize) -> Result<(), BodyError> {
        if self.held.grow(bytes) {
            return Ok(());
        }
        Handle::current().block_on(self.grow(bytes))
    }

    /// Holds `bytes` in all.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.held.shrink_to(bytes);
        self.grow_blocking(bytes.saturating_sub(self.held.amount()))
    }
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(
    mut body: Coming,
    limit: usize,
    room: &mut Room,
) -> Result<Bytes, BodyError> {
    let mut bytes = Vec::new();
    let read = async {
        while let Some(chunk) = body.next().await? {
            if body.arrived() > limit {
                return Err(BodyError::TooLarge);
            }
            room.grow(chunk.len()).await?;
            extend(&mut bytes, &chunk);
        }
        Ok(())
    };
    tokio::time::timeout(WITHIN, read).await.map_err(|_| BodyError::Broken)??;
    Ok(bytes.into())
}

/// Adds bytes without doubling what there is.
fn extend(bytes: &mut Vec<u8>, more: &[u8]) {
    if bytes.capacity() - bytes.len() < more.len() {
        bytes.reserve_exact(more.len().max(bytes.len() / 4));
    }
    bytes.extend_from_slice(more);
}

/// Decompresses to at most `limit` bytes, on a thread that may take its time.
pub(super) fn decompress(
    encoding: &str,
    bytes: Bytes,
    limit: usize,
    room: &mut Room,
) -> Result<Bytes, BodyError> {
    let broken = |_| BodyError::NotDecompressed;
    let mut reader: Box<dyn Read + '_> = match encoding {
        "" | "identity" => return Ok(bytes),
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_ref())),
        "zstd" => {
            room.grow_blocking(ZSTD_WINDOW)?;
            let mut decoder = zstd::Decoder::with_buffer(bytes.as_ref()).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW.ilog2()).map_err(broken)?;
            Box::new(decoder)
        }
        _ => return Err(BodyError::UnknownEncoding),
    };
    let mut plain = Vec::new();
    let mut part = vec![0; STEP];
    loop {
        let length = reader.read(&mut part).map_err(broken)?;
        if length == 0 {
            return Ok(plain.into());
        }
        if plain.len() + length > limit {
            return Err(BodyError::TooLarge);
        }
        room.grow_blocking(length)?;
        extend(&mut plain, part.get(..length).unwrap_or_default());
    }
}
