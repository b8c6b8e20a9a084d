//! Records back out of the log, in order, as far as they are flushed.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use durward_schemas::ids::LogPosition;
use durward_schemas::record::Record;
use tokio::sync::watch;

use super::LogError;
use super::frame::{self, Header};
use super::segment::{MAGIC, Segments};

/// Reads records in order.
#[derive(Debug)]
pub struct Reader {
    segments: Arc<Segments>,
    end: watch::Receiver<LogPosition>,
    next: LogPosition,
    open: Option<Open>,
}

/// The segment that is being read.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    at: u64,
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

    /// The next record, its rows placed; `None` if there is no more right now.
    #[expect(clippy::should_implement_trait, reason = "no iterator: none means not yet")]
    pub fn next(&mut self) -> Result<Option<Record>, LogError> {
        while self.next < self.segments.end() {
            let (header, body) = self.frame()?;
            // A reader may begin anywhere in a segment, and the mark of a clean end has no rows.
            if header.next() <= self.next {
                continue;
            }
            self.next = header.next();
            let path = self.open.as_ref().map(|open| open.path.clone()).unwrap_or_default();
            let record = header.record(&body);
            return record
                .map(Some)
                .map_err(|_| LogError::Foreign { path, position: header.first });
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

    /// The next frame of the segment that holds the next position.
    fn frame(&mut self) -> Result<(Header, Vec<u8>), LogError> {
        let next = self.next;
        let open = self.open_segment()?;
        let (path, at) = (open.path.clone(), open.at);
        let damaged = |what| LogError::Damaged { path: path.clone(), offset: at, what };
        let mut header = [0; frame::HEADER];
        open.file.read_exact_at(&mut header, at).map_err(|_| damaged("the file ends before it"))?;
        let header = Header::read(&header).ok_or_else(|| damaged("no record begins there"))?;
        if header.first > next {
            return Err(damaged("records before it are missing"));
        }
        let length = open.file.metadata().map_err(|source| LogError::file(&path, source))?.len();
        if at + header.frame_len() > length {
            return Err(damaged("the file ends within it"));
        }
        let mut body = vec![0; header.length];
        open.file
            .read_exact_at(&mut body, at + frame::HEADER as u64)
            .map_err(|source| LogError::file(&path, source))?;
        if !header.is_intact(&body) {
            return Err(damaged("its checksum is wrong"));
        }
        open.at += header.frame_len();
        Ok((header, body))
    }

    fn open_segment(&mut self) -> Result<&mut Open, LogError> {
        let first = self.segments.first();
        let trimmed = LogError::Trimmed { wanted: self.next, first };
        let segment = self.segments.holding(self.next).ok_or(trimmed)?;
        let is_open = self.open.as_ref().is_some_and(|open| open.path == segment.path);
        if !is_open {
            self.open = None;
        }
        match &mut self.open {
            Some(open) => Ok(open),
            none => {
                let file = File::open(&segment.path)
                    .map_err(|source| LogError::file(&segment.path, source))?;
                Ok(none.insert(Open { path: segment.path, file, at: MAGIC.len() as u64 }))
            }
        }
    }
}
