//! The outbox's file: notes appended, flushed to the device, read back up to where a crash cut them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use durward_schemas::ids::LogPosition;
use durward_schemas::tables::Delivery;
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::alert::outbox::OutboxError;
use crate::alert::outbox::entry::Entry;

/// The file's name; another format would have another.
const NAME: &str = "outbox-1.jsonl";

/// Something that was said to the outbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Note {
    /// An alert is owed since then.
    Owed { alert: Box<Alert>, at: i64 },
    /// Everything at or before this position is owed.
    Position(LogPosition),
    /// An attempt was made.
    Settled(Settled),
    /// An incident as a whole, in place of the notes about it.
    Entry { incident_id: String, entry: Box<Entry> },
}

/// What came of an attempt. Times are microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settled {
    pub incident_id: String,
    pub log_position: LogPosition,
    pub outcome: String,
    pub at: i64,
    pub retry_after: i64,
}

impl Note {
    pub(super) fn of(delivery: &Delivery) -> Self {
        let wait = delivery.retry_after_seconds.unwrap_or_default().clamp(0.0, 1e9);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
        let retry_after = (wait * 1e6) as i64;
        Self::Settled(Settled {
            incident_id: delivery.incident_id.to_string(),
            log_position: delivery.log_position,
            outcome: delivery.outcome.clone(),
            at: delivery.time.0,
            retry_after,
        })
    }
}

/// An open file of notes.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the file, and reads what it holds up to where it was cut. The cut tail goes, with the
    /// rewriting that follows at the latest.
    pub(super) fn open(directory: &Path) -> Result<(Self, Vec<Note>), OutboxError> {
        open(directory).map_err(|source| failed("opening", directory, source))
    }

    /// What the file holds, if it is there.
    pub(super) fn read(directory: &Path) -> Result<Vec<Note>, OutboxError> {
        match std::fs::read(directory.join(NAME)) {
            Ok(bytes) => Ok(notes(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(failed("reading", directory, source)),
        }
    }

    /// Appends notes; they are on the device when this returns.
    pub(super) fn append(&mut self, notes: &[Note]) -> Result<(), OutboxError> {
        let written = lines(notes).and_then(|lines| {
            let end = self.file.seek(SeekFrom::End(0))?;
            let flushed = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
            // What was half written must not stand before what is written next.
            flushed.or_else(|error| self.file.set_len(end).and(Err(error)))
        });
        written.map_err(|source| failed("writing", &self.directory, source))
    }

    /// Puts `notes` in the place of everything; on a full disk the file stays as it is, which says the same.
    pub(super) fn rewrite(&mut self, notes: &[Note]) -> Result<(), OutboxError> {
        match rewrite(&self.directory, notes) {
            Ok(file) => self.file = file,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(%error, "the outbox is not made shorter");
                let _absent = std::fs::remove_file(beside(&self.directory));
            }
            Err(source) => return Err(failed("rewriting", &self.directory, source)),
        }
        Ok(())
    }
}

fn open(directory: &Path) -> io::Result<(Journal, Vec<Note>)> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join(NAME);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    sync_directory(directory)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    file.set_len(whole(&bytes) as u64)?;
    Ok((Journal { directory: directory.to_owned(), file }, notes(&bytes)))
}

/// A new file beside the old one takes its name when it is whole and flushed.
fn rewrite(directory: &Path, notes: &[Note]) -> io::Result<File> {
    let beside = beside(directory);
    let mut file = File::create(&beside)?;
    file.write_all(&lines(notes)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, directory.join(NAME))?;
    sync_directory(directory)?;
    Ok(file)
}

fn beside(directory: &Path) -> PathBuf {
    directory.join(format!("{NAME}.new"))
}

/// A name is on the device only when its directory is.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// One line for each note: eight digits of its hash, a blank, JSON.
fn lines(notes: &[Note]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for note in notes {
        let json = serde_json::to_string(note)?;
        writeln!(lines, "{} {json}", digest(&json))?;
    }
    Ok(lines)
}

/// The notes up to the first line that is not whole.
fn notes(bytes: &[u8]) -> Vec<Note> {
    bytes.split_inclusive(|byte| *byte == b'\n').map_while(note).collect()
}

/// Bytes of the lines that are whole.
fn whole(bytes: &[u8]) -> usize {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    lines.take_while(|line| note(line).is_some()).map(<[u8]>::len).sum()
}

fn note(line: &[u8]) -> Option<Note> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (hash, json) = text.split_once(' ')?;
    (hash == digest(json)).then(|| serde_json::from_str(json).ok()).flatten()
}

fn digest(json: &str) -> String {
    blake3::hash(json.as_bytes()).to_hex().chars().take(8).collect()
}

fn failed(doing: &'static str, directory: &Path, source: io::Error) -> OutboxError {
    OutboxError { doing, directory: directory.to_owned(), source }
}
