//! The log: sealed contents in, flushed to the device and only then acknowledged; placed records out.
//!
//! A directory of segments (`log/segment.rs`), each a run of frames (`log/frame.rs`). One thread
//! writes (`log/writer.rs`): it gathers what waits, writes it, flushes it once, and settles everybody.
//! Readers (`log/reader.rs`) follow behind what is flushed. At the start the tail that a crash tore
//! is cut (`log/recover.rs`); damage anywhere else is a gap that readers come to, and that names the place.
//! Why this is our own: `docs/decisions/0001-own-log.md`.

mod appender;
mod disk;
mod frame;
mod reader;
mod recover;
mod segment;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use durward_schemas::ids::LogPosition;
use durward_schemas::time::MINUTE;
use durward_schemas::{Clock, Time};

pub use appender::{Appended, Appender, Refusal};
pub use reader::{Gap, Read, Reader};
pub use recover::Missing;

use self::disk::{Disk, LocalDisk};
use self::segment::Segments;
use self::writer::{Job, Writer};

/// A clock that goes back by less between two starts was set right, no more; microseconds.
const JUMP: i64 = MINUTE;

/// How a log behaves.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A segment that has grown to this is followed by a new one.
    pub segment_bytes: u64,
    /// Bytes that may wait to be written; more is refused as busy.
    pub queue_bytes: usize,
    /// Bytes of one record at most.
    pub record_bytes: usize,
    /// Bytes of all segments at most; more is refused as busy until the log is trimmed.
    pub budget_bytes: u64,
    /// No record gets a position before this one: others hold something of those.
    pub first_position: LogPosition,
    /// How long a sender is asked to wait.
    pub retry_after: Duration,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            queue_bytes: 128 << 20,
            record_bytes: 64 << 20,
            budget_bytes: 8 << 30,
            first_position: 1,
            retry_after: Duration::from_secs(2),
        }
    }
}

/// Why the log could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused.
    #[error("using log file {path}")]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record cannot be made into rows, although it is whole.
    #[error(
        "reading log segment {path}: the record at position {position} is of another version of durward"
    )]
    Foreign {
        /// The segment.
        path: PathBuf,
        /// The record.
        position: LogPosition,
    },
}

impl LogError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

/// The durable local log. One process holds it; the caller sees to that.
#[derive(Debug)]
pub struct Log {
    appender: Appender,
    segments: Arc<Segments>,
    writer: Option<JoinHandle<()>>,
    missing: Option<Missing>,
    clock_ahead: Option<Time>,
}

impl Log {
    /// Opens the log in `dir`, made if it is not there, and cuts a torn tail.
    pub fn open(dir: &Path, settings: LogSettings, clock: Clock) -> Result<Self, LogError> {
        Self::open_on(Box::new(LocalDisk), dir, settings, clock)
    }

    fn open_on(
        disk: Box<dyn Disk>,
        dir: &Path,
        settings: LogSettings,
        clock: Clock,
    ) -> Result<Self, LogError> {
        std::fs::create_dir_all(dir).map_err(|source| LogError::file(dir, source))?;
        let recovered = recover::recover(dir, settings.first_position)?;
        let clock_ahead = recovered.last_ingest_time.filter(|last| *last > clock().plus(JUMP));
        let segments = Arc::new(Segments::new(dir.to_owned(), recovered.segments, recovered.end));
        let (appender, jobs) = Appender::new(&settings);
        let writer = Writer::new(disk, settings, clock, Arc::clone(&segments));
        let writer = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|source| LogError::file(dir, source))?;
        let (writer, missing) = (Some(writer), recovered.missing);
        Ok(Self { appender, segments, writer, missing, clock_ahead })
    }

    /// The end of the log that was known to be there and was not found.
    #[must_use]
    pub fn missing(&self) -> Option<&Missing> {
        self.missing.as_ref()
    }

    /// The recording time of the last record, where it is later than the time of the clock now.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<Time> {
        self.clock_ahead
    }

    /// Refuses as busy what is appended, but for [`Log::append_first`], until that succeeds.
    pub fn hold(&self) {
        self.appender.hold();
    }

    /// Whether something must still be appended before everything else.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.appender.is_held()
    }

    /// Appends what must stand before everything else, and then lets others append.
    pub async fn append_first(
        &self,
        contents: Vec<durward_schemas::record::Content>,
    ) -> Result<Appended, Refusal> {
        self.appender.append_first(&contents).await
    }

    /// What appends; as many as there are doors.
    #[must_use]
    pub fn appender(&self) -> Appender {
        self.appender.clone()
    }

    /// Appends contents as one; they are on the device when this returns.
    pub async fn append(
        &self,
        contents: Vec<durward_schemas::record::Content>,
    ) -> Result<Appended, Refusal> {
        self.appender.append(contents).await
    }

    /// Appends contents as one, for threads that may wait.
    pub fn append_blocking(
        &self,
        contents: Vec<durward_schemas::record::Content>,
    ) -> Result<Appended, Refusal> {
        self.appender.append_blocking(contents)
    }

    /// The next position: everything before it is on the device.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        self.segments.end()
    }

    /// The first position that is still there.
    #[must_use]
    pub fn first(&self) -> LogPosition {
        self.segments.first()
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.bytes()
    }

    /// A reader that begins with the record that holds position `from`.
    #[must_use]
    pub fn reader(&self, from: LogPosition) -> Reader {
        Reader::new(Arc::clone(&self.segments), from)
    }

    /// Removes whole segments that end before `before`.
    pub fn trim(&self, before: LogPosition) -> Result<(), LogError> {
        self.segments.trim(before)
    }
}

impl Drop for Log {
    /// Writes what waits, and lets the writer end.
    fn drop(&mut self) {
        self.appender.send(Job::Close);
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the log's writer ended by a panic");
        }
    }
}

#[cfg(test)]
mod tests;
