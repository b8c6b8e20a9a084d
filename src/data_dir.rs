//! The data directory: whose it is, which format it has, and that only one process writes to it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use durward_detect::Exemption;
use durward_schemas::crash;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The format that this program writes; a directory with a higher one is left alone.
///
/// | format | what changed |
/// |--:|---|
/// | 1 | |
/// | 2 | columns were added to `accesses`, `findings_versions` and `source_counters`, and edges to `amendments` |
const FORMAT: u32 = 2;
const REBUILT: &str = "rebuilt.json";
const SILENCES: &str = "silences.json";

/// What `format.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Label {
    format: u32,
    id: String,
}

/// What `rebuilt.json` says: which part of the log was lost before its state was checkpointed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rebuilt {
    /// The first position that was read from the lake.
    pub(crate) first_position: i64,
    /// The last.
    pub(crate) last_position: i64,
    /// When the oldest row that was found there was recorded.
    pub(crate) oldest: Option<String>,
}

/// A data directory that this process alone may write to.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    id: String,
    _lock: File,
}

impl DataDir {
    /// Takes the directory, making it if there is none.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        make(path)?;
        let lock = lock(path)?;
        let label = match label(path)? {
            Some(label) if label.format == FORMAT => label,
            // Before anything else is written, so that no older program reads what it does not know.
            Some(label) => write_label(path, label.id)?,
            None => write_label(path, random_id(path)?)?,
        };
        Ok(Self { path: path.to_owned(), id: label.id, _lock: lock })
    }

    /// Random at its making: the owner that its commits carry.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn lake(&self) -> PathBuf {
        lake(&self.path)
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    pub(crate) fn outbox(&self) -> PathBuf {
        self.path.join("outbox")
    }

    /// Where the silences in force are remembered, for `doctor`.
    pub(crate) fn silences(&self) -> PathBuf {
        self.path.join(SILENCES)
    }

    /// Remembers that the state was made anew, for `doctor`.
    pub(crate) fn write_rebuilt(&self, rebuilt: &Rebuilt) -> std::io::Result<()> {
        let text = serde_json::to_vec(rebuilt)?;
        write_durably(&self.path.join(REBUILT), &[&text])
    }
}

/// The lake of a directory that others may be writing to; says what to do if there is none.
pub(crate) fn readable_lake(path: &Path) -> Result<PathBuf, Failure> {
    let none = || {
        Failure::io(format!("there is no data in {}", path.display()))
            .hint("name another with --data-dir, or bring something in: durward ingest FILE")
    };
    label(path)?.ok_or_else(none)?;
    let lake = lake(path);
    if lake.join("accesses").join("_delta_log").is_dir() { Ok(lake) } else { Err(none()) }
}

/// How the state of a directory was made anew, if it ever was.
pub(crate) fn rebuilt(path: &Path) -> Option<Rebuilt> {
    let text = std::fs::read(path.join(REBUILT)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The silences that were configured when the directory was served last.
pub(crate) fn silences(path: &Path) -> Vec<Exemption> {
    let text = std::fs::read(path.join(SILENCES)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Remembers silences in `path`, for `doctor`.
pub(crate) fn write_silences(path: &Path, silences: &[Exemption]) -> std::io::Result<()> {
    write_durably(path, &[&serde_json::to_vec(silences)?])
}

fn lake(path: &Path) -> PathBuf {
    path.join("lake")
}

fn make(path: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| {
        Failure::io(format!("making data directory {}: {error}", path.display()))
            .hint("choose a directory that can be written to with --data-dir")
    })
}

fn lock(path: &Path) -> Result<File, Failure> {
    let name = path.join("lock");
    let fail = |error: std::io::Error| Failure::io(format!("locking {}: {error}", path.display()));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(fail)?;
            write!(file, "{}", std::process::id()).map_err(fail)?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _unreadable = file.read_to_string(&mut holder);
            Err(Failure::io(format!("data directory {} is in use by process {holder}", path.display()))
                .hint("send to that server: durward ingest --to http://127.0.0.1:8080 FILE; queries work beside it"))
        }
        Err(TryLockError::Error(error)) => Err(fail(error)),
    }
}

fn label(path: &Path) -> Result<Option<Label>, Failure> {
    let name = path.join("format.json");
    let text = match std::fs::read_to_string(&name) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::io(format!("reading {}: {error}", name.display()))),
    };
    let label: Label = serde_json::from_str(&text).map_err(|error| {
        Failure::io(format!("reading {}: {error}", name.display()))
            .hint("is this a data directory of Durward?")
    })?;
    if label.format > FORMAT {
        return Err(Failure::io(format!(
            "data directory {} has format {}, this program knows {FORMAT}",
            path.display(),
            label.format
        ))
        .hint("it was written by a newer Durward: use that one, or another --data-dir"));
    }
    Ok(Some(label))
}

fn fail_to_label(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::io(format!("labelling {}: {error}", path.display()))
}

fn random_id(path: &Path) -> Result<String, Failure> {
    let mut random = [0_u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(fail_to_label(path))?;
    Ok(format!("{:032x}", u128::from_le_bytes(random)))
}

fn write_label(path: &Path, id: String) -> Result<Label, Failure> {
    let label = Label { format: FORMAT, id };
    let text = serde_json::to_string(&label).unwrap_or_default();
    write_durably(&path.join("format.json"), &[text.as_bytes()]).map_err(fail_to_label(path))?;
    Ok(label)
}

/// Writes a file that is there whole or not at all, also after a power cut.
pub(crate) fn write_durably(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()?;
    crash::point("file_written");
    std::fs::rename(&new, path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
