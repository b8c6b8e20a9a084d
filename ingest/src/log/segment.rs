//! The segments of a log: which there are, from which position each counts, and until where.
//!
//! `<sequence>-<first position>.log`. A segment holds the positions from its first to the first of
//! the next. What it holds beyond that was never acknowledged: the next one was begun because its
//! flush failed.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use durward_schemas::ids::LogPosition;
use tokio::sync::watch;

use super::LogError;

/// The file that names the segment that was begun last, so that its loss can be seen.
pub(super) const BEGUN: &str = "begun";
/// What a segment file begins with.
pub(super) const MAGIC: &[u8; 8] = b"durward1";

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) sequence: u64,
    /// The position of its first record.
    pub(super) first: LogPosition,
    pub(super) path: PathBuf,
    /// Bytes that count.
    pub(super) bytes: u64,
}

impl Segment {
    /// The segment of that sequence and first position in `dir`.
    pub(super) fn new(dir: &Path, sequence: u64, first: LogPosition) -> Self {
        let path = dir.join(format!("{sequence:010}-{first:020}.log"));
        Self { sequence, first, path, bytes: 0 }
    }

    /// The segment that a file is, by its name.
    pub(super) fn of(path: &Path, bytes: u64) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
        let (sequence, first) = name.split_once('-')?;
        let (sequence, first) = (sequence.parse().ok()?, first.parse().ok()?);
        Some(Self { sequence, first, path: path.to_owned(), bytes })
    }
}

/// All segments, and up to where everything is flushed; shared by the writer and the readers.
#[derive(Debug)]
pub(super) struct Segments {
    pub(super) dir: PathBuf,
    list: Mutex<Vec<Segment>>,
    end: watch::Sender<LogPosition>,
}

impl Segments {
    pub(super) fn new(dir: PathBuf, list: Vec<Segment>, end: LogPosition) -> Self {
        Self { dir, list: Mutex::new(list), end: watch::Sender::new(end) }
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Segment>> {
        // The list is whole after every statement, so a panic elsewhere leaves nothing half-done.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next position; everything before it is flushed.
    pub(super) fn end(&self) -> LogPosition {
        *self.end.borrow()
    }

    /// Tells when the end moves.
    pub(super) fn watch_end(&self) -> watch::Receiver<LogPosition> {
        self.end.subscribe()
    }

    /// Everything before `end` is flushed, and the last segment is that long.
    pub(super) fn advance(&self, end: LogPosition, bytes: u64) {
        if let Some(last) = self.list().last_mut() {
            last.bytes = bytes;
        }
        self.end.send_replace(end);
    }

    /// The first position that is still there.
    pub(super) fn first(&self) -> LogPosition {
        self.list().first().map_or_else(|| self.end(), |segment| segment.first)
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.list().iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.list().last().map_or(1, |segment| segment.sequence + 1)
    }

    /// A new segment has begun. Those that were begun at the same position hold nothing that counts.
    pub(super) fn push(&self, segment: Segment) {
        let mut list = self.list();
        while let Some(empty) = list.pop_if(|last| last.first == segment.first) {
            if let Err(error) = std::fs::remove_file(&empty.path) {
                tracing::debug!(%error, path = %empty.path.display(), "removing an empty segment failed");
            }
        }
        list.push(segment);
    }

    /// The segment that holds `position`, the last one that begins at or before it, and the position
    /// before which it ends: it holds nothing from there on that counts.
    pub(super) fn holding(&self, position: LogPosition) -> Option<(Segment, LogPosition)> {
        let list = self.list();
        let at = list.iter().rposition(|segment| segment.first <= position)?;
        let end = list.get(at + 1).map_or_else(|| self.end(), |next| next.first);
        Some((list.get(at)?.clone(), end))
    }

    /// Removes the segments whose positions are all before `before`; the last one stays.
    pub(super) fn trim(&self, before: LogPosition) -> Result<(), LogError> {
        let mut list = self.list();
        while list.get(1).is_some_and(|next| next.first <= before) {
            let segment = list.remove(0);
            std::fs::remove_file(&segment.path)
                .map_err(|source| LogError::file(&segment.path, source))?;
        }
        Ok(())
    }
}
