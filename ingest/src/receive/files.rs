//! Files, directories and standard input, plain or compressed: all paths of one call in, merged by
//! event time, state snapshots first, so that nothing within a call is late.
//!
//! A file is nearly in order of time, as API servers write it: its rows pass through a window of
//! [`WINDOW_ROWS`], which sets right what is a little out of order. In memory is at most one window
//! and one chunk of each file whose times overlap, one batch, and one whole document (a list of
//! objects, an export of OTLP) of at most [`MAX_DOCUMENT`](crate::format::MAX_DOCUMENT) bytes.

mod merge;
mod source;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Content;

use self::merge::Merge;
use self::source::{Row, Source};
use crate::format::{Context, Format, Reading};
use crate::intake::{Intake, receipt};
use crate::log::Refusal;
use crate::seal;

/// Rows of one file that are held to be sorted.
pub const WINDOW_ROWS: usize = 4_096;
/// Bytes of one file's rows that are held to be sorted.
pub const WINDOW_BYTES: usize = 32 << 20;
/// Of more files than these only those whose times overlap are open, and each is begun twice.
const OPEN_FILES: usize = 16;
/// How long a full log is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long to wait between tries.
const PAUSE: Duration = Duration::from_millis(100);

/// What is said about the files of one call.
#[derive(Debug, Clone, Default)]
pub struct FileSettings {
    /// The cluster they speak of; else the intake's default.
    pub cluster: Option<String>,
    /// The source that their rows are booked under.
    pub source: String,
    /// Their format; else each file's is recognised.
    pub format: Option<Format>,
    /// As of when listed objects stood.
    pub as_of: Option<Time>,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read, as they are on disk.
    pub bytes: u64,
    /// Bytes of all files; standard input counts as it is read.
    pub total: u64,
    /// Items that are durable.
    pub items: u64,
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ingested {
    /// Files read.
    pub files: u64,
    /// Bytes read, as they are on disk.
    pub bytes: u64,
    /// Rows of `accesses`.
    pub accesses: u64,
    /// Objects that seed state.
    pub objects: u64,
    /// Rows of `spans`.
    pub spans: u64,
    /// Rows of `logs`.
    pub logs: u64,
    /// Rows of `metrics`.
    pub metrics: u64,
    /// Rows of `rejects`.
    pub rejects: u64,
    /// The position of the last record, up to which the pipeline has to come.
    pub last: LogPosition,
}

/// Why a call ended early. What was appended before stays.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or directory could not be read.
    #[error("reading {path}")]
    Read {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The log took nothing for a minute, or will never take this.
    #[error("appending what was read")]
    Append(#[from] Refusal),
}

/// Reads `paths` (`-` is standard input) into the log; returns when all of it is on the device.
///
/// Blocks: to be called from a thread of its own.
pub fn ingest(
    paths: &[PathBuf],
    settings: &FileSettings,
    intake: &Intake,
    progress: &mut dyn FnMut(Progress),
) -> Result<Ingested, FilesError> {
    let context = context(settings, intake);
    let paths = expand(paths)?;
    let mut sources = Vec::new();
    for path in &paths {
        let mut source = Source::look(path, settings.format, &context)?;
        if paths.len() > OPEN_FILES {
            source.park();
        }
        sources.push(source);
    }
    let mut call = Call::new(intake, &sources, progress);
    // Snapshots first: what existed before the events must be known when they are correlated.
    let (snapshots, streams): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|source| source.format() == Some(Format::KubeList));
    for mut snapshot in snapshots {
        while let Some(row) = snapshot.next(&context)? {
            call.push(row)?;
        }
        call.end(&snapshot, &context);
    }
    let mut merge = Merge::new(streams);
    while let Some(row) = merge.next(&context)? {
        call.push(row)?;
        merge.take_ended().iter().for_each(|source| call.end(source, &context));
    }
    merge.take_ended().iter().for_each(|source| call.end(source, &context));
    call.finish(&context)
}

/// Reads one file that is on its way into the log; returns when all of it is on the device.
///
/// Blocks: to be called from a thread of its own.
pub(super) fn ingest_stream(
    reader: Box<dyn io::Read>,
    settings: &FileSettings,
    intake: &Intake,
) -> Result<Ingested, FilesError> {
    let context = context(settings, intake);
    let mut source = Source::stream(reader, settings.format, &context)?;
    let mut silent = |_| {};
    let mut call = Call::new(intake, std::slice::from_ref(&source), &mut silent);
    while let Some(row) = source.next(&context)? {
        call.push(row)?;
    }
    call.end(&source, &context);
    call.finish(&context)
}

/// What the readers of a call are told.
fn context<'a>(settings: &'a FileSettings, intake: &'a Intake) -> Context<'a> {
    let cluster = settings.cluster.as_deref().or(intake.settings().default_cluster.as_deref());
    Context { as_of: settings.as_of, ..intake.context(cluster, &settings.source) }
}

/// Whether a file is a list of objects, as far as its beginning tells.
pub(crate) fn lists_objects(path: &Path) -> bool {
    path != Path::new("-") && source::format_of(path) == Some(Format::KubeList)
}

/// The files that paths stand for: directories give theirs, in order of names, without hidden ones.
pub(crate) fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FilesError> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |source| FilesError::Read { path: path.clone(), source };
        if path == Path::new("-") || !path.metadata().map_err(failed)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(failed)?;
        let mut inside = Vec::new();
        for entry in entries {
            inside.push(entry.map_err(failed)?.path());
        }
        let is_hidden = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        };
        inside.retain(|path| !is_hidden(path));
        inside.sort();
        files.extend(expand(&inside)?);
    }
    Ok(files)
}

/// One call under way: gathers rows into batches and appends them.
struct Call<'a> {
    intake: &'a Intake,
    progress: &'a mut dyn FnMut(Progress),
    batch: Reading,
    weight: usize,
    receipts: Vec<Content>,
    at: Progress,
    /// Bytes read of each file.
    bytes: Vec<Arc<AtomicU64>>,
    found: Ingested,
}

impl<'a> Call<'a> {
    fn new(intake: &'a Intake, sources: &[Source], progress: &'a mut dyn FnMut(Progress)) -> Self {
        let total = sources.iter().map(Source::total).sum();
        Self {
            intake,
            progress,
            batch: Reading::default(),
            weight: 0,
            receipts: Vec::new(),
            at: Progress { bytes: 0, total, items: 0 },
            bytes: sources.iter().map(Source::bytes).collect(),
            found: Ingested::default(),
        }
    }

    fn push(&mut self, row: Row) -> Result<(), FilesError> {
        self.weight += row.weight();
        row.add_to(&mut self.batch);
        if self.batch.items() >= seal::MAX_ROWS || self.weight >= seal::MAX_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// A file has ended: its receipt follows when the call ends.
    fn end(&mut self, source: &Source, context: &Context<'_>) {
        self.found.files += 1;
        let delivery = source.delivery(context);
        self.receipts.push(Content::Received(receipt(delivery, delivery.items_before, 0)));
    }

    fn flush(&mut self) -> Result<(), FilesError> {
        let batch = std::mem::take(&mut self.batch);
        self.weight = 0;
        self.count(&batch);
        self.append(&batch.into_contents())?;
        self.at.bytes = self.bytes_read();
        self.at.total = self.at.total.max(self.at.bytes);
        (self.progress)(self.at);
        Ok(())
    }

    fn bytes_read(&self) -> u64 {
        self.bytes.iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    fn count(&mut self, batch: &Reading) {
        self.found.accesses += batch.accesses.len() as u64;
        self.found.objects += batch.objects.len() as u64;
        self.found.spans += batch.spans.len() as u64;
        self.found.logs += batch.logs.len() as u64;
        self.found.metrics += batch.metrics.len() as u64;
        self.found.rejects += batch.rejects.len() as u64;
        self.at.items += batch.items() as u64;
    }

    /// Appends, and waits while the log is busy.
    fn append(&mut self, contents: &[Content]) -> Result<(), FilesError> {
        let mut waited = Duration::ZERO;
        loop {
            match self.intake.append_blocking(contents) {
                Ok(appended) => {
                    self.found.last = appended.last;
                    return Ok(());
                }
                Err(Refusal::Busy { .. }) if waited < PATIENCE => {
                    std::thread::sleep(PAUSE);
                    waited += PAUSE;
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
    }

    fn finish(mut self, context: &Context<'_>) -> Result<Ingested, FilesError> {
        self.flush()?;
        let mut last = std::mem::take(&mut self.receipts);
        last.push(Content::EndOfSource(context.source.to_owned()));
        self.append(&last)?;
        self.found.bytes = self.bytes_read();
        Ok(self.found)
    }
}

#[cfg(test)]
mod tests;
