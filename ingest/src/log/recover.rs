//! The log as a crash left it in, the log as it was acknowledged out: a torn tail is cut.

use std::fs::{self, OpenOptions};
use std::path::Path;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;

use super::LogError;
use super::frame::{self, Header};
use super::segment::{MAGIC, Segment};

/// What was found.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) segments: Vec<Segment>,
    /// The next position.
    pub(super) end: LogPosition,
    /// The latest recording time, which the next may not go behind.
    pub(super) last_ingest_time: Option<Time>,
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
/// Segments before the last were flushed before the next one began, and are checked when they are read.
pub(super) fn recover(dir: &Path, first_position: LogPosition) -> Result<Recovered, LogError> {
    let mut segments = list(dir)?;
    // A crash between making a segment and flushing its first frame leaves a file without frames.
    while segments.last().is_some_and(|segment| segment.bytes < MAGIC.len() as u64) {
        if let Some(empty) = segments.pop() {
            fs::remove_file(&empty.path).map_err(|source| LogError::file(&empty.path, source))?;
        }
    }
    let Some(last) = segments.last_mut() else {
        return Ok(Recovered { segments, end: first_position, last_ingest_time: None });
    };
    let scan = scan(last)?;
    cut(last, scan.intact)?;
    last.bytes = scan.intact;
    let last_ingest_time = match (scan.last_ingest_time, segments.as_slice()) {
        (None, [.., before, last]) => latest_before(before, last.first)?,
        (time, _) => time,
    };
    Ok(Recovered { segments, end: scan.end, last_ingest_time })
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

fn scan(segment: &Segment) -> Result<Scan, LogError> {
    let bytes = read(segment)?;
    let damaged = |offset: usize, what| LogError::Damaged {
        path: segment.path.clone(),
        offset: offset as u64,
        what,
    };
    if !bytes.starts_with(MAGIC) {
        return match later_group(&bytes, 0) {
            // Nothing in it was ever flushed.
            None | Some(0) => Ok(Scan { intact: 0, end: segment.first, last_ingest_time: None }),
            Some(_) => Err(damaged(0, "it does not begin as segments do")),
        };
    }
    let mut at = MAGIC.len();
    let mut end = segment.first;
    let mut last_ingest_time = None;
    while let Some(header) = intact_frame(&bytes, at) {
        if header.first != end {
            return Err(damaged(at, "its position does not follow the one before"));
        }
        end = header.next();
        last_ingest_time = Some(header.ingest_time);
        at += frame::HEADER + header.length;
    }
    // An intact frame further on whose group began after this place proves that this place was
    // flushed: then it is damage, not a torn tail.
    if later_group(&bytes, at).is_some_and(|group| group > at as u64) {
        return Err(damaged(at, "its checksum is wrong, and what follows it is acknowledged"));
    }
    Ok(Scan { intact: at as u64, end, last_ingest_time })
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
    while let Some(header) = intact_frame(&bytes, at) {
        if header.first >= until {
            break;
        }
        latest = Some(header.ingest_time);
        at += frame::HEADER + header.length;
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
            "cut the tail of the log that a crash tore; nothing in it was acknowledged"
        );
        file.set_len(length).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
}
