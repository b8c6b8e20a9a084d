//! Records back out of the log, in order, as far as they are flushed; and the places where they are missing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use durward_schemas::ids::LogPosition;
use durward_schemas::record::Record;
use tokio::sync::watch;

use super::LogError;
use super::frame::{self, Header};
use super::recover::next_frame;
use super::segment::{MAGIC, Segment, Segments};

/// Reads records in order.
#[derive(Debug)]
pub struct Reader {
    segments: Arc<Segments>,
    end: watch::Receiver<LogPosition>,
    next: LogPosition,
    open: Option<Open>,
}

/// What a reader comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// The next record, its rows placed.
    Record(Record),
    /// Positions whose records are not there any more.
    Gap(Gap),
}

impl Read {
    /// The record, if it is one.
    #[must_use]
    pub fn record(self) -> Option<Record> {
        match self {
            Self::Record(record) => Some(record),
            Self::Gap(_) => None,
        }
    }
}

/// Positions whose records are not there: trimmed, damaged, or deleted by somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first position.
    pub first: LogPosition,
    /// The last.
    pub last: LogPosition,
    /// Where something else was found instead.
    pub place: String,
}

/// The segment that is being read.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    /// None of a file that is not there.
    file: Option<File>,
    at: u64,
}

/// What stands at the reader's place in a segment.
enum Found {
    Frame(Header, Vec<u8>),
    /// No intact frame, and what is wrong with it.
    Damage(&'static str),
}

impl Reader {
    pub(super) fn new(segments: Arc<Segments>, from: LogPosition) -> Self {
        let end = segments.watch_end();
        let next = from.max(1);
        Self { segments, end, next, open: None }
    }

    /// The position of the next record.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.next
    }

    /// The next record, or what is missing before it; `None` if there is no more right now.
    #[expect(clippy::should_implement_trait, reason = "no iterator: none means not yet")]
    pub fn next(&mut self) -> Result<Option<Read>, LogError> {
        while self.next < self.segments.end() {
            let Some((segment, end)) = self.segments.holding(self.next) else {
                let place = format!("before the first segment of {}", self.segments.dir.display());
                return Ok(Some(self.gap(self.segments.first(), place)));
            };
            match self.open(&segment)?.read()? {
                Found::Frame(header, body) if header.first <= self.next => {
                    self.advance(&header);
                    // A reader may begin anywhere in a segment, and the mark of a clean end has no rows.
                    if header.next() > self.next {
                        self.next = header.next();
                        return record(&segment, &header, &body).map(Some);
                    }
                }
                Found::Frame(header, _) => {
                    let place = format!("{}, records are missing", segment.path.display());
                    return Ok(Some(self.gap(header.first.min(end), place)));
                }
                Found::Damage(what) => {
                    let at = self.open(&segment)?.at;
                    let place = format!("{}, byte {at}: {what}", segment.path.display());
                    let until = self.open(&segment)?.skip(end)?;
                    if until.is_none_or(|first| first > self.next) {
                        return Ok(Some(self.gap(until.unwrap_or(end), place)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns when there is more to read.
    pub async fn wait(&mut self) {
        let next = self.next;
        if self.end.wait_for(|end| *end > next).await.is_err() {
            tracing::debug!("the log is gone");
        }
    }

    /// Nothing up to `until` is there.
    fn gap(&mut self, until: LogPosition, place: String) -> Read {
        let first = self.next;
        self.next = until;
        Read::Gap(Gap { first, last: until - 1, place })
    }

    fn advance(&mut self, header: &Header) {
        if let Some(open) = &mut self.open {
            open.at += header.frame_len();
        }
    }

    fn open(&mut self, segment: &Segment) -> Result<&mut Open, LogError> {
        if self.open.as_ref().is_some_and(|open| open.path != segment.path) {
            self.open = None;
        }
        match &mut self.open {
            Some(open) => Ok(open),
            none => Ok(none.insert(Open::of(segment)?)),
        }
    }
}

impl Open {
    fn of(segment: &Segment) -> Result<Self, LogError> {
        let file = match File::open(&segment.path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(LogError::file(&segment.path, source)),
        };
        Ok(Self { path: segment.path.clone(), file, at: MAGIC.len() as u64 })
    }

    /// What stands at its place.
    fn read(&self) -> Result<Found, LogError> {
        let Some(file) = &self.file else { return Ok(Found::Damage("the file is not there")) };
        let failed = |source| LogError::file(&self.path, source);
        let mut header = [0; frame::HEADER];
        match file.read_exact_at(&mut header, self.at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(Found::Damage("the file ends before a record"));
            }
            Err(source) => return Err(failed(source)),
        }
        let Some(header) = Header::read(&header) else {
            return Ok(Found::Damage("no record begins there"));
        };
        let length = file.metadata().map_err(failed)?.len();
        if self.at + header.frame_len() > length {
            return Ok(Found::Damage("the file ends within a record"));
        }
        let mut body = vec![0; header.length];
        file.read_exact_at(&mut body, self.at + frame::HEADER as u64).map_err(failed)?;
        if header.is_intact(&body) {
            Ok(Found::Frame(header, body))
        } else {
            Ok(Found::Damage("the checksum of a record is wrong"))
        }
    }

    /// Goes on to the next intact frame that begins before position `end`; the position of its first
    /// record.
    fn skip(&mut self, end: LogPosition) -> Result<Option<LogPosition>, LogError> {
        let Some(file) = &self.file else { return Ok(None) };
        let failed = |source| LogError::file(&self.path, source);
        let left = file.metadata().map_err(failed)?.len().saturating_sub(self.at);
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, self.at).map_err(failed)?;
        let found = next_frame(&bytes, 0).filter(|(_, header)| header.first < end);
        self.at += found.map_or(left, |(at, _)| at as u64);
        Ok(found.map(|(_, header)| header.first))
    }
}

fn record(segment: &Segment, header: &Header, body: &[u8]) -> Result<Read, LogError> {
    let record = header.record(body);
    record
        .map(Read::Record)
        .map_err(|_| LogError::Foreign { path: segment.path.clone(), position: header.first })
}
