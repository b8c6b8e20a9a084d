//! The log as a crash left it in, the log as it was acknowledged out: a torn tail is cut, what is missing is named.

use std::fs::{self, OpenOptions};
use std::path::Path;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;

use super::LogError;
use super::frame::{self, Header};
use super::segment::{BEGUN, MAGIC, Segment};

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    /// The next position.
    pub(super) end: LogPosition,
    /// The latest recording time.
    pub(super) last_ingest_time: Option<Time>,
    /// The end of the log that is known to have been there and is not.
    pub(super) missing: Option<Missing>,
}

/// The end of a log that is not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is not there.
    pub what: String,
    /// The position from which on it was to hold records; how many it held is not known.
    pub first: LogPosition,
}

/// What one segment holds.
struct Scan {
    /// Bytes up to the end of the last intact frame.
    intact: u64,
    /// The position after the last intact frame.
    end: LogPosition,
    last_ingest_time: Option<Time>,
}

/// Finds the segments of `dir`, cuts what the last one holds beyond its last intact frame.
///
/// Others hold what was acknowledged up to `first_position`, wherever the log ends: no position is given twice.
/// Damage is left to readers, who say which positions it took.
pub(super) fn recover(dir: &Path, first_position: LogPosition) -> Result<Recovered, LogError> {
    let mut segments = list(dir)?;
    let begun = begun(dir)?;
    // A crash between making a segment and flushing its first frame leaves a file without frames.
    while segments.last().is_some_and(|segment| segment.bytes < MAGIC.len() as u64) {
        if let Some(empty) = segments.pop() {
            fs::remove_file(&empty.path).map_err(|source| LogError::file(&empty.path, source))?;
        }
    }
    let mut missing = missing(&segments, begun, first_position);
    let Some(last) = segments.last_mut() else {
        return Ok(Recovered { segments, end: first_position, last_ingest_time: None, missing });
    };
    let scan = scan(last)?;
    cut(last, scan.intact)?;
    last.bytes = scan.intact;
    let last_ingest_time = match (scan.last_ingest_time, segments.as_slice()) {
        (None, [.., before, last]) => latest_before(before, last.first)?,
        (time, _) => time,
    };
    let end = scan.end.max(first_position);
    if scan.end < end {
        let what = format!("the end of the log, from position {} on,", scan.end);
        missing.get_or_insert(Missing { what, first: scan.end });
    }
    Ok(Recovered { segments, end, last_ingest_time, missing })
}

/// What is known to have been begun and is not there.
fn missing(
    segments: &[Segment],
    begun: Option<(u64, LogPosition)>,
    first_position: LogPosition,
) -> Option<Missing> {
    let newest = segments.last().map_or(0, |segment| segment.sequence);
    match begun {
        Some((sequence, first)) if sequence > newest => {
            let what = format!("segment {sequence} of the log, which begins at position {first},");
            Some(Missing { what, first })
        }
        None if segments.is_empty() && first_position > 1 => {
            Some(Missing { what: "every segment of the log".to_owned(), first: first_position })
        }
        _ => None,
    }
}

/// Sequence and first position of the segment that was begun last, as the writer noted them.
fn begun(dir: &Path) -> Result<Option<(u64, LogPosition)>, LogError> {
    let path = dir.join(BEGUN);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LogError::file(&path, source)),
    };
    let segment = Segment::of(&dir.join(text.trim_end()), 0);
    Ok(segment.map(|segment| (segment.sequence, segment.first)))
}

fn list(dir: &Path) -> Result<Vec<Segment>, LogError> {
    let failed = |source| LogError::file(dir, source);
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let bytes = entry.metadata().map_err(failed)?.len();
        segments.extend(Segment::of(&entry.path(), bytes));
    }
    segments.sort_unstable_by_key(|segment| segment.sequence);
    Ok(segments)
}

fn read(segment: &Segment) -> Result<Vec<u8>, LogError> {
    fs::read(&segment.path).map_err(|source| LogError::file(&segment.path, source))
}

/// The frames of the segment that can be read, wherever they stand.
fn scan(segment: &Segment) -> Result<Scan, LogError> {
    let bytes = read(segment)?;
    let mut scan = Scan { intact: 0, end: segment.first, last_ingest_time: None };
    let mut at = MAGIC.len();
    while let Some((found, header)) = next_frame(&bytes, at) {
        if found > at {
            // A group that began after this place proves that this place was flushed; without one the
            // tail is torn.
            if later_group(&bytes, at).is_none_or(|group| group <= at as u64) {
                break;
            }
            let path = segment.path.display();
            tracing::warn!(%path, at, until = found, "a part of the log is damaged");
        }
        at = found + frame::HEADER + header.length;
        scan.intact = at as u64;
        scan.end = scan.end.max(header.next());
        scan.last_ingest_time = Some(header.ingest_time);
    }
    if bytes.starts_with(MAGIC) {
        scan.intact = scan.intact.max(MAGIC.len() as u64);
    }
    Ok(scan)
}

/// The first intact frame at or after `at`, and where it begins.
pub(super) fn next_frame(bytes: &[u8], at: usize) -> Option<(usize, Header)> {
    if let Some(header) = intact_frame(bytes, at) {
        return Some((at, header));
    }
    let rest = bytes.get(at..)?;
    memchr::memmem::find_iter(rest, frame::MAGIC)
        .find_map(|found| Some((at + found, intact_frame(bytes, at + found)?)))
}

/// The intact frame at `at`.
fn intact_frame(bytes: &[u8], at: usize) -> Option<Header> {
    let rest = bytes.get(at..)?;
    let header = Header::read(rest)?;
    let body = rest.get(frame::HEADER..)?.get(..header.length)?;
    header.is_intact(body).then_some(header)
}

/// Where the group of the last intact frame after `at` begins.
fn later_group(bytes: &[u8], at: usize) -> Option<u64> {
    let rest = bytes.get(at..)?;
    memchr::memmem::rfind_iter(rest, frame::MAGIC)
        .find_map(|found| intact_frame(bytes, at + found))
        .map(|header| header.group)
}

/// The recording time of the last record of `segment` before position `until`.
fn latest_before(segment: &Segment, until: LogPosition) -> Result<Option<Time>, LogError> {
    let bytes = read(segment)?;
    let mut at = MAGIC.len();
    let mut latest = None;
    while let Some((found, header)) = next_frame(&bytes, at) {
        if header.first >= until {
            break;
        }
        latest = Some(header.ingest_time);
        at = found + frame::HEADER + header.length;
    }
    Ok(latest)
}

/// Cuts the file to `length`, which is what counts, and flushes it: what a killed process wrote
/// may stand in memory only, and counts from now on.
fn cut(segment: &Segment, length: u64) -> Result<(), LogError> {
    let failed = |source| LogError::file(&segment.path, source);
    let file = OpenOptions::new().write(true).open(&segment.path).map_err(failed)?;
    if segment.bytes > length {
        tracing::warn!(
            path = %segment.path.display(),
            bytes = segment.bytes - length,
            "cut the tail of the log that a crash tore; it holds nothing that is known to be acknowledged"
        );
        file.set_len(length).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
}
