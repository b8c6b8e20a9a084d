//! One record as bytes: a header with a checksum, then the body, and back.
//!
//! | bytes | what |
//! |--:|---|
//! | 4 | magic `DWR1` |
//! | 4 | length of the body, little-endian |
//! | 16 | BLAKE3 of everything after it, cut to 128 bits |
//! | 8 | where in the segment the group begins that this frame was flushed with |
//! | 8 | first position |
//! | 8 | ingest time in microseconds |
//! | 4 | positions that it takes |
//! | 1 | kind |
//! | | body: zstd of an Arrow IPC stream, or a few bytes of JSON |
//!
//! The group tells a torn tail from damage: everything before the group of an intact frame was
//! flushed before that frame was written, so if it does not read, it was damaged later.

use durward_schemas::cell::Json;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::{Content, Loss, Receipt, Record};
use durward_schemas::{Time, ipc};
use serde::{Deserialize, Serialize};

/// What each frame begins with.
pub(super) const MAGIC: &[u8; 4] = b"DWR1";
/// Bytes before the body.
pub(super) const HEADER: usize = 53;
/// Where the checksummed part begins.
const CHECKED: usize = 24;
/// The kind of the frame at a clean end.
const END: u8 = 0;

/// A content that is ready to be written but for its place.
#[derive(Debug)]
pub(super) struct Body {
    kind: u8,
    bytes: Vec<u8>,
    positions: u32,
}

/// Where a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Length of the body.
    pub(super) length: usize,
    checksum: [u8; 16],
    /// Where its group begins.
    pub(super) group: u64,
    /// The position of its first row.
    pub(super) first: LogPosition,
    /// When it was recorded.
    pub(super) ingest_time: Time,
    positions: u32,
    kind: u8,
}

/// Why a body cannot be made, or made into rows.
#[derive(Debug, thiserror::Error)]
#[error("coding a record of the log")]
pub(super) struct NotCoded;

impl From<ipc::NotCoded> for NotCoded {
    fn from(_: ipc::NotCoded) -> Self {
        Self
    }
}

/// A receipt as JSON; names are part of the format on disk.
#[derive(Serialize, Deserialize)]
struct StoredReceipt {
    source: String,
    kind: String,
    cluster: Option<String>,
    items: i64,
    bytes: i64,
    refused: i64,
}

/// A loss as JSON; names are part of the format on disk.
#[derive(Serialize, Deserialize)]
struct StoredLoss {
    part: String,
    text: String,
    is_lasting: bool,
}

impl Body {
    /// Codes a content.
    pub(super) fn encode(content: &Content) -> Result<Self, NotCoded> {
        let (kind, bytes) = match content {
            Content::Accesses(rows) => (1, ipc::write(rows)?),
            Content::Objects(rows) => (2, ipc::write(rows)?),
            Content::Spans(rows) => (3, ipc::write(rows)?),
            Content::Logs(rows) => (4, ipc::write(rows)?),
            Content::Metrics(rows) => (5, ipc::write(rows)?),
            Content::Rejects(rows) => (6, ipc::write(rows)?),
            Content::Received(receipt) => (7, encode_receipt(receipt)?),
            Content::Tick => (8, Vec::new()),
            Content::Settings(json) => (10, json.as_str().as_bytes().to_vec()),
            Content::Loss(loss) => (11, encode_loss(loss)?),
            Content::EndOfSource(source) => (9, source.clone().into_bytes()),
        };
        let positions = u32::try_from(content.positions()).map_err(|_| NotCoded)?;
        Ok(Self { kind, bytes, positions })
    }

    /// What proves at a clean end that everything before it was flushed. It takes no position.
    pub(super) fn end() -> Self {
        Self { kind: END, bytes: Vec::new(), positions: 0 }
    }

    /// Positions that it takes.
    pub(super) fn positions(&self) -> LogPosition {
        LogPosition::from(self.positions)
    }

    /// Bytes that the frame will take.
    pub(super) fn frame_len(&self) -> usize {
        HEADER + self.bytes.len()
    }

    /// Appends the frame to `out`.
    pub(super) fn write(&self, group: u64, first: LogPosition, time: Time, out: &mut Vec<u8>) {
        let checked = checked_part(group, first, time, self.positions, self.kind);
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&checksum(&checked, &self.bytes));
        out.extend_from_slice(&checked);
        out.extend_from_slice(&self.bytes);
    }
}

impl Header {
    /// Reads the first bytes of a frame; `None` if they are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
        let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        if !bytes.starts_with(MAGIC) {
            return None;
        }
        Some(Self {
            length: u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize,
            checksum: bytes.get(8..CHECKED)?.try_into().ok()?,
            group: word(24)?,
            first: word(32)?.cast_signed(),
            ingest_time: Time(word(40)?.cast_signed()),
            positions: u32::from_le_bytes(bytes.get(48..52)?.try_into().ok()?),
            kind: *bytes.last()?,
        })
    }

    /// Whether `body` and this header are what was written.
    pub(super) fn is_intact(&self, body: &[u8]) -> bool {
        let checked =
            checked_part(self.group, self.first, self.ingest_time, self.positions, self.kind);
        body.len() == self.length && checksum(&checked, body) == self.checksum
    }

    /// The position after its last row.
    pub(super) fn next(&self) -> LogPosition {
        self.first.saturating_add(LogPosition::from(self.positions))
    }

    /// Bytes of the frame.
    pub(super) fn frame_len(&self) -> u64 {
        (HEADER + self.length) as u64
    }

    /// The record, its rows placed.
    pub(super) fn record(&self, body: &[u8]) -> Result<Record, NotCoded> {
        let mut content = match self.kind {
            1 => Content::Accesses(ipc::read(body)?),
            2 => Content::Objects(ipc::read(body)?),
            3 => Content::Spans(ipc::read(body)?),
            4 => Content::Logs(ipc::read(body)?),
            5 => Content::Metrics(ipc::read(body)?),
            6 => Content::Rejects(ipc::read(body)?),
            7 => Content::Received(decode_receipt(body)?),
            8 => Content::Tick,
            9 => Content::EndOfSource(text(body)?),
            10 => Content::Settings(Json(text(body)?)),
            11 => Content::Loss(decode_loss(body)?),
            _ => return Err(NotCoded),
        };
        content.place(self.first, self.ingest_time);
        Ok(Record { first_position: self.first, ingest_time: self.ingest_time, content })
    }
}

fn text(body: &[u8]) -> Result<String, NotCoded> {
    String::from_utf8(body.to_vec()).map_err(|_| NotCoded)
}

/// The header behind the checksum.
fn checked_part(group: u64, first: LogPosition, time: Time, positions: u32, kind: u8) -> Vec<u8> {
    let mut part = Vec::with_capacity(HEADER - CHECKED);
    part.extend_from_slice(&group.to_le_bytes());
    part.extend_from_slice(&first.to_le_bytes());
    part.extend_from_slice(&time.0.to_le_bytes());
    part.extend_from_slice(&positions.to_le_bytes());
    part.push(kind);
    part
}

fn checksum(header: &[u8], body: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(body.len() as u64).to_le_bytes()).update(header).update(body);
    let mut short = [0; 16];
    short.iter_mut().zip(hasher.finalize().as_bytes()).for_each(|(to, from)| *to = *from);
    short
}

fn encode_receipt(receipt: &Receipt) -> Result<Vec<u8>, NotCoded> {
    let Receipt { source, kind, cluster, items, bytes, refused } = receipt.clone();
    let stored = StoredReceipt { source, kind, cluster, items, bytes, refused };
    serde_json::to_vec(&stored).map_err(|_| NotCoded)
}

fn decode_receipt(body: &[u8]) -> Result<Receipt, NotCoded> {
    let stored: StoredReceipt = serde_json::from_slice(body).map_err(|_| NotCoded)?;
    let StoredReceipt { source, kind, cluster, items, bytes, refused } = stored;
    Ok(Receipt { source, kind, cluster, items, bytes, refused })
}

fn encode_loss(loss: &Loss) -> Result<Vec<u8>, NotCoded> {
    let Loss { part, text, is_lasting } = loss.clone();
    serde_json::to_vec(&StoredLoss { part, text, is_lasting }).map_err(|_| NotCoded)
}

fn decode_loss(body: &[u8]) -> Result<Loss, NotCoded> {
    let stored: StoredLoss = serde_json::from_slice(body).map_err(|_| NotCoded)?;
    let StoredLoss { part, text, is_lasting } = stored;
    Ok(Loss { part, text, is_lasting })
}
