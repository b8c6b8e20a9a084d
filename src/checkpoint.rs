//! Checkpoints of the state on disk: two are kept, a damaged one is passed over.
//!
//! A line that names the format, then three parts, each a length and its bytes: a header as JSON, the state of the
//! correlator, that of detection; at last the BLAKE3 of everything before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use durward_correlate::Correlator;
use durward_detect::Detection;
use durward_schemas::ids::LogPosition;
use serde::{Deserialize, Serialize};

use crate::data_dir::write_durably;

const KEPT: usize = 2;
/// The first line; another version of the format has another number.
const FORMAT: &[u8] = b"durward checkpoint 2\n";
const HASH: usize = 32;

/// The state after everything up to and with `position`.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub position: LogPosition,
    pub correlator: Correlator,
    pub detection: Detection,
}

/// What a checkpoint says of the directory that it was made in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The id of the directory.
    pub(crate) id: String,
    /// Up to where each table of the lake was complete, if it held anything.
    pub(crate) tables: BTreeMap<String, LogPosition>,
}

/// A checkpoint that reads back whole.
pub(crate) struct Found {
    pub(crate) header: Header,
    pub(crate) state: Checkpoint,
}

/// Every checkpoint that reads back whole, newest first, one after the other, and why the others do not.
pub(crate) fn load(
    dir: &Path,
    correlate: durward_correlate::Settings,
) -> std::io::Result<impl Iterator<Item = Result<Found, String>>> {
    let found = all(dir)?.into_iter().rev().map(move |(position, path)| {
        let read = read(&path, position, correlate);
        read.map_err(|error| format!("checkpoint {}: {error:#}", path.display()))
    });
    Ok(found)
}

/// The position of the newest checkpoint, whether it reads back or not.
pub(crate) fn newest(dir: &Path) -> std::io::Result<Option<LogPosition>> {
    Ok(all(dir)?.last().map(|(position, _)| *position))
}

/// The id of the directory, as its checkpoints say it.
pub(crate) fn id(dir: &Path) -> std::io::Result<Option<String>> {
    let headers = all(dir)?.into_iter().rev().filter_map(|(_, path)| {
        let bytes = std::fs::read(path).ok()?;
        header(checked(&bytes).ok()?).ok().map(|(header, _)| header.id)
    });
    Ok(headers.into_iter().next())
}

/// Publishes a checkpoint; the position of the older of the two that are kept.
pub(crate) fn publish(
    dir: &Path,
    header: &Header,
    position: LogPosition,
    correlator: &Correlator,
    detection: &Detection,
) -> std::io::Result<Option<LogPosition>> {
    let parts = [serde_json::to_vec(header)?, correlator.save(), detection.save()];
    let lengths = parts.each_ref().map(|part| (part.len() as u64).to_le_bytes());
    let mut pieces: Vec<&[u8]> = vec![FORMAT];
    for (length, part) in lengths.iter().zip(&parts) {
        pieces.extend([length.as_slice(), part]);
    }
    let mut hasher = blake3::Hasher::new();
    for piece in &pieces {
        hasher.update(piece);
    }
    let hash = hasher.finalize();
    pieces.push(hash.as_bytes());
    write_durably(&dir.join(format!("{position:020}.state")), &pieces)?;
    let mut kept = all(dir)?;
    while kept.len() > KEPT {
        let (_, oldest) = kept.remove(0);
        std::fs::remove_file(oldest)?;
    }
    Ok(kept.first().filter(|_| kept.len() == KEPT).map(|(position, _)| *position))
}

fn read(
    path: &Path,
    position: LogPosition,
    correlate: durward_correlate::Settings,
) -> anyhow::Result<Found> {
    let bytes = std::fs::read(path)?;
    let (header, mut rest) = header(checked(&bytes)?)?;
    let correlator = Correlator::restore(correlate, part(&mut rest)?)?;
    let detection = Detection::restore(part(&mut rest)?)?;
    Ok(Found { header, state: Checkpoint { position, correlator, detection } })
}

/// What is before the checksum, if that fits.
fn checked(bytes: &[u8]) -> anyhow::Result<&[u8]> {
    let (body, hash) =
        bytes.split_last_chunk::<HASH>().ok_or_else(|| anyhow::anyhow!("it is cut short"))?;
    anyhow::ensure!(blake3::hash(body).as_bytes() == hash, "it is not what was written");
    Ok(body)
}

fn header(body: &[u8]) -> anyhow::Result<(Header, &[u8])> {
    let mut rest = body
        .strip_prefix(FORMAT)
        .ok_or_else(|| anyhow::anyhow!("it was written by another version"))?;
    let header = serde_json::from_slice(part(&mut rest)?)?;
    Ok((header, rest))
}

/// Takes one length and that many bytes off the front.
fn part<'a>(rest: &mut &'a [u8]) -> anyhow::Result<&'a [u8]> {
    let cut = || anyhow::anyhow!("it is cut short");
    let (length, after) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let (part, after) = after.split_at_checked(length).ok_or_else(cut)?;
    *rest = after;
    Ok(part)
}

/// Every checkpoint, oldest first.
fn all(dir: &Path) -> std::io::Result<Vec<(LogPosition, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_state = path.extension().is_some_and(|extension| extension == "state");
        let position = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(position) = position.filter(|_| is_state) {
            found.push((position, path));
        }
    }
    found.sort();
    Ok(found)
}
