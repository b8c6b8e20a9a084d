//! What detection remembers, as bytes and back: for checkpoints.
//!
//! A line that names the format, then four sections, each a length and its bytes: JSON of all that
//! is no row, then findings, counted hits and rows that may be amended as compressed Arrow IPC.

use std::collections::BTreeSet;

use durward_schemas::ids::FindingId;
use durward_schemas::ipc;
use durward_schemas::tables::{Access, Finding};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::counted::Single;
use crate::detection::{Detection, Remembered, StateError};
use crate::finding::{Known, More};
use crate::recent::Held;
use crate::settings::Settings;

/// The first line; another version of the format has another number.
const FORMAT: &[u8] = b"durward detection 4\n";

/// All that is no row, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    settings: &'a Settings,
    remembered: &'a Remembered,
    detectors: Vec<Value>,
    /// Of each finding, in the order of the rows.
    findings: Vec<&'a More>,
    waiting: Vec<&'a str>,
    /// Of each counted hit, in the order of the rows.
    singles: Vec<WrittenSingle<'a>>,
    /// The findings of each row that may be amended, in the order of the rows.
    held: Vec<Vec<String>>,
}

/// All that is no row, as it is read.
#[derive(Deserialize)]
struct Read {
    settings: Settings,
    remembered: Remembered,
    detectors: Vec<Value>,
    findings: Vec<More>,
    waiting: BTreeSet<String>,
    singles: Vec<ReadSingle>,
    held: Vec<Vec<String>>,
}

#[derive(Serialize)]
struct WrittenSingle<'a> {
    more: &'a More,
    group: &'a str,
    events: &'a [(String, String)],
}

#[derive(Deserialize)]
struct ReadSingle {
    more: More,
    group: String,
    events: Vec<(String, String)>,
}

/// Why something cannot be written or read.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Rows(#[from] ipc::NotCoded),
    #[error("it was cut")]
    Cut,
}

/// Writes the state. It holds nothing that cannot be written; should that change, the empty
/// answer is refused by [`restore`], and the log says why.
pub(crate) fn save(detection: &Detection) -> Vec<u8> {
    written(detection).unwrap_or_else(|error| {
        tracing::error!(%error, "saving the state of detection");
        Vec::new()
    })
}

/// Reads the state into a detection that was just made.
pub(crate) fn restore(detection: &mut Detection, saved: &[u8]) -> Result<(), StateError> {
    let sections = saved.strip_prefix(FORMAT).ok_or(StateError::OtherVersion)?;
    read(detection, sections).map_err(|error| StateError::Unreadable(error.to_string()))
}

fn written(detection: &Detection) -> Result<Vec<u8>, Broken> {
    let findings: Vec<&Known> = detection.findings.all().collect();
    let singles: Vec<&Single> = detection.findings.singles().collect();
    let held: Vec<&Held> = detection.recent.all().collect();
    let rest = Written {
        settings: &detection.settings,
        remembered: &detection.memory,
        detectors: detection.detectors.iter().map(|d| d.save()).collect::<Result<_, _>>()?,
        findings: findings.iter().map(|known| &known.more).collect(),
        waiting: detection.findings.waiting().map(FindingId::as_str).collect(),
        singles: singles
            .iter()
            .map(|single| WrittenSingle {
                more: &single.known.more,
                group: single.group.as_str(),
                events: &single.events,
            })
            .collect(),
        held: held
            .iter()
            .map(|held| held.findings.iter().map(|id| id.0.clone()).collect())
            .collect(),
    };
    let rows = ipc::write(held.iter().map(|held| &*held.row))?;
    let findings = ipc::write(findings.iter().map(|known| &known.row))?;
    let singles = ipc::write(singles.iter().map(|single| &single.known.row))?;
    let mut bytes = FORMAT.to_vec();
    for section in [serde_json::to_vec(&rest)?, findings, singles, rows] {
        bytes.extend((section.len() as u64).to_le_bytes());
        bytes.extend(section);
    }
    Ok(bytes)
}

fn read(detection: &mut Detection, mut bytes: &[u8]) -> Result<(), Broken> {
    let rest: Read = serde_json::from_slice(section(&mut bytes)?)?;
    let findings: Vec<Finding> = ipc::read(section(&mut bytes)?)?;
    let singles: Vec<Finding> = ipc::read(section(&mut bytes)?)?;
    let held: Vec<Access> = ipc::read(section(&mut bytes)?)?;
    let lengths = [rest.findings.len(), rest.singles.len(), rest.held.len()];
    if lengths != [findings.len(), singles.len(), held.len()] {
        return Err(Broken::Cut);
    }
    detection.configure(rest.settings);
    detection.memory = rest.remembered;
    for (detector, saved) in detection.detectors.iter_mut().zip(rest.detectors) {
        detector.restore(saved)?;
    }
    for (row, more) in findings.into_iter().zip(rest.findings) {
        detection.findings.restore(Known { row, more });
    }
    for (row, single) in singles.into_iter().zip(rest.singles) {
        let ReadSingle { more, group, events } = single;
        detection.findings.keep(Single { known: Known { row, more }, group: group.into(), events });
    }
    detection.findings.restore_waiting(rest.waiting.into_iter().map(FindingId).collect());
    for (row, findings) in held.into_iter().zip(rest.held) {
        let findings = findings.into_iter().map(FindingId).collect();
        detection.recent.restore(Held { row: Box::new(row), findings });
    }
    Ok(())
}

fn section<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Broken> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(Broken::Cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| Broken::Cut)?;
    let (section, rest) = rest.split_at_checked(length).ok_or(Broken::Cut)?;
    *bytes = rest;
    Ok(section)
}
