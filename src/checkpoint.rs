//! Checkpoints of the state on disk: two are kept, a damaged one is passed over.

use std::path::{Path, PathBuf};

use durward_correlate::Correlator;
use durward_detect::Detection;
use durward_schemas::ids::LogPosition;

use crate::data_dir::write_durably;

const KEPT: usize = 2;

/// The state after everything up to and with `position`.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub position: LogPosition,
    pub correlator: Correlator,
    pub detection: Detection,
}

/// The newest checkpoint that reads back whole, if there is any.
pub(crate) fn load(
    dir: &Path,
    correlate: durward_correlate::Settings,
) -> std::io::Result<Option<Checkpoint>> {
    for (position, path) in all(dir)?.into_iter().rev() {
        match read(&path, correlate) {
            Ok((correlator, detection)) => {
                return Ok(Some(Checkpoint { position, correlator, detection }));
            }
            Err(error) => {
                tracing::warn!(
                    checkpoint = position,
                    error = format!("{error:#}"),
                    "checkpoint passed over"
                );
            }
        }
    }
    Ok(None)
}

/// The position of the newest checkpoint, whether it reads back or not.
pub(crate) fn newest(dir: &Path) -> std::io::Result<Option<LogPosition>> {
    Ok(all(dir)?.last().map(|(position, _)| *position))
}

/// Publishes a checkpoint; the position of the older of the two that are kept.
pub(crate) fn publish(
    dir: &Path,
    position: LogPosition,
    correlator: &Correlator,
    detection: &Detection,
) -> std::io::Result<Option<LogPosition>> {
    std::fs::create_dir_all(dir)?;
    let correlate = correlator.save();
    let detect = detection.save();
    let length = (correlate.len() as u64).to_le_bytes();
    let path = dir.join(format!("{position:020}.state"));
    write_durably(&path, &[&length, &correlate, &detect])?;
    let mut kept = all(dir)?;
    while kept.len() > KEPT {
        let (_, oldest) = kept.remove(0);
        std::fs::remove_file(oldest)?;
    }
    Ok(kept.first().filter(|_| kept.len() == KEPT).map(|(position, _)| *position))
}

fn read(
    path: &Path,
    correlate: durward_correlate::Settings,
) -> anyhow::Result<(Correlator, Detection)> {
    let bytes = std::fs::read(path)?;
    let (length, rest) =
        bytes.split_first_chunk::<8>().ok_or_else(|| anyhow::anyhow!("it is cut short"))?;
    let length = usize::try_from(u64::from_le_bytes(*length))?;
    let (first, second) =
        rest.split_at_checked(length).ok_or_else(|| anyhow::anyhow!("it is cut short"))?;
    let correlator = Correlator::restore(correlate, first)?;
    let detection = Detection::restore(second)?;
    Ok((correlator, detection))
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
