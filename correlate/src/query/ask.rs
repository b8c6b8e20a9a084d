//! Outside the worker: start it, hand it the question, and pass on its answer as it comes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow_ipc::reader::StreamDecoder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::query::keeper::{self, Ended};
use crate::query::{Fault, Limits, Places, QueryError, Question};

/// Bytes that are read of a worker at once.
const CHUNK: usize = 256 << 10;
/// Bytes of a complaint that are read.
const MOST_COMPLAINT: u64 = 1 << 20;
/// What directories for spilled rows are called, before the process that asks.
const SPILLED: &str = "query-";

/// The rows that a query gave.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Their columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// An answer that is still coming. Who drops it ends its worker.
#[derive(Debug)]
pub struct Coming {
    output: ChildStdout,
    decoder: StreamDecoder,
    chunk: Buffer,
    schema: SchemaRef,
    first: Option<RecordBatch>,
    is_ended: bool,
    limits: Limits,
    complaint: JoinHandle<Vec<u8>>,
    kept: JoinHandle<Ended>,
    _wanted: oneshot::Sender<()>,
    _spill: Option<TempDir>,
}

/// Asks `question` of a worker that `command` starts, and waits for all of its answer.
///
/// # Errors
/// If the statement is wrong, costs too much, or the data cannot be read.
pub async fn ask(command: Command, question: Question) -> Result<Answer, QueryError> {
    let mut coming = begin(command, question, None).await?;
    let mut batches = Vec::new();
    while let Some(batch) = coming.next().await? {
        batches.push(batch);
    }
    Ok(Answer { schema: coming.schema, batches })
}

/// Asks `question` of a worker that `command` starts, which gets a place among others, if there are any, within
/// some time; returns when the columns of its answer are known.
///
/// # Errors
/// If the statement is wrong, or costs too much before its first row, or there is no place.
pub async fn begin(
    mut command: Command,
    mut question: Question,
    places: Option<(&Places, Duration)>,
) -> Result<Coming, QueryError> {
    let place = match places {
        Some((places, patience)) => Some(places.take(patience).await?),
        None => None,
    };
    let spill = spill(&question.lake);
    question.spill = spill.as_ref().map(|spill| spill.path().to_owned());
    let text = serde_json::to_vec(&question).unwrap_or_default();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| lost(&error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (wanted, ends) = oneshot::channel();
    let kept = tokio::spawn(keeper::keep(child, question.limits, place, ends));
    let complaint = tokio::spawn(listen(stderr));
    if let Some(mut stdin) = stdin {
        // A worker that is gone already says why on its standard error.
        let _gone = stdin.write_all(&text).await;
    }
    let Some(output) = stdout else { return Err(lost(&"it has no output")) };
    let mut coming = Coming {
        output,
        decoder: StreamDecoder::new(),
        chunk: Buffer::from(Vec::<u8>::new()),
        schema: SchemaRef::new(arrow::datatypes::Schema::empty()),
        first: None,
        is_ended: false,
        limits: question.limits,
        complaint,
        kept,
        _wanted: wanted,
        _spill: spill,
    };
    coming.first = coming.read().await?;
    coming.schema = coming.decoder.schema().ok_or_else(|| lost(&"it answered nothing"))?;
    Ok(coming)
}

impl Coming {
    /// The columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// If the query costs too much, or the data cannot be read.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        match self.first.take() {
            Some(batch) => Ok(Some(batch)),
            None if self.is_ended => Ok(None),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        loop {
            let decoded = self.decoder.decode(&mut self.chunk);
            if let Some(batch) = decoded.map_err(|error| lost(&error))? {
                return Ok(Some(batch));
            }
            if self.chunk.is_empty() {
                let mut bytes = Vec::with_capacity(CHUNK);
                let read = self.output.read_buf(&mut bytes).await;
                if read.map_err(|error| lost(&error))? == 0 {
                    self.is_ended = true;
                    self.ended().await?;
                    self.decoder.finish().map_err(|error| lost(&error))?;
                    return Ok(None);
                }
                self.chunk = Buffer::from(bytes);
            }
        }
    }

    /// How the worker ended.
    async fn ended(&mut self) -> Result<(), QueryError> {
        match (&mut self.kept).await {
            Ok(Ended::Exited(Ok(status))) if status.success() => Ok(()),
            Ok(Ended::Exited(Ok(_))) => {
                let complaint = (&mut self.complaint).await.unwrap_or_default();
                Err(complaint_of(&complaint, self.limits))
            }
            Ok(Ended::Exited(Err(error))) => Err(lost(&error)),
            Ok(Ended::Killed(error)) => Err(error),
            Err(error) => Err(lost(&error)),
        }
    }
}

async fn listen(stderr: Option<ChildStderr>) -> Vec<u8> {
    let mut complaint = Vec::new();
    if let Some(stderr) = stderr
        && let Err(error) = stderr.take(MOST_COMPLAINT).read_to_end(&mut complaint).await
    {
        tracing::debug!(%error, "hearing a query worker");
    }
    complaint
}

/// A directory beside the lake for what a worker cannot hold in memory; none where nothing can be written. What
/// askers left that are no more goes first.
fn spill(lake: &Path) -> Option<TempDir> {
    let place = lake.parent()?.join("spill");
    sweep(&place);
    std::fs::create_dir_all(&place).ok()?;
    let prefix = format!("{SPILLED}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(place).ok()
}

/// Removes what queries left in `place` whose asker is gone.
fn sweep(place: &Path) {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let left = entries.map(|entry| entry.path()).filter(|path| asker_is_gone(path.as_path()));
    for path in left {
        if let Err(error) = std::fs::remove_dir_all(&path) {
            tracing::debug!(%error, path = %path.display(), "removing what a query left");
        }
    }
}

fn asker_is_gone(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let asker = name.strip_prefix(SPILLED).and_then(|rest| rest.split('-').next());
    let asker: Option<u32> = asker.and_then(|asker| asker.parse().ok());
    asker.is_some_and(|asker| !Path::new(&format!("/proc/{asker}")).exists())
}

/// The worker's own words; where it could not speak it was ended for its memory.
fn complaint_of(complaint: &[u8], limits: Limits) -> QueryError {
    let text = String::from_utf8_lossy(complaint);
    let spoken = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    spoken.unwrap_or_else(|| {
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        let message = format!(
            "the query worker was ended ({}); {} MiB of memory are its limit",
            last.unwrap_or("it said nothing"),
            limits.memory >> 20
        );
        QueryError::limit(message, "narrow the query with WHERE, or raise --memory")
    })
}

fn lost(error: &dyn std::fmt::Display) -> QueryError {
    QueryError {
        fault: Fault::Data,
        message: format!("talking to the query worker: {error}"),
        hint: Some("try again; if it stays, report it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: directories that a dead asker, this process and somebody else left.
    /// Guarantees: only what a dead asker left goes, and one's own goes when it is dropped.
    #[test]
    fn what_dead_askers_left_is_swept() {
        let dir = tempfile::tempdir().expect("a directory");
        let lake = dir.path().join("lake");
        let place = dir.path().join("spill");
        for name in ["query-4294967-x", "other"] {
            std::fs::create_dir_all(place.join(name)).expect("a directory");
        }
        let mine = spill(&lake).expect("a directory");
        let second = spill(&lake).expect("a directory");
        let names = || {
            let entries = std::fs::read_dir(&place).expect("a directory");
            entries.count()
        };
        assert_eq!(names(), 3, "what is not ours, and two of this process");
        drop((mine, second));
        assert_eq!(names(), 1);
    }
}
