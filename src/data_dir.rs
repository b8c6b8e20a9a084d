//! The data directory: whose it is, which format it has, and that only one process writes to it.

mod notes;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use durward_correlate::lake::owner;
use durward_detect::Exemption;
use durward_schemas::record::Loss;
use durward_schemas::{Time, crash};
use serde::{Deserialize, Serialize};

use crate::checkpoint;
use crate::failure::Failure;

/// The format that this program writes; a directory with a higher one is left alone.
///
/// | format | what changed |
/// |--:|---|
/// | 1 | |
/// | 2 | columns were added to `accesses`, `findings_versions` and `source_counters`, and edges to `amendments` |
const FORMAT: u32 = 2;
const LOSSES: &str = "losses.json";
const SILENCES: &str = "silences.json";
/// Losses that are remembered: the latest, and those by which rows are gone before others.
const MOST_LOSSES: usize = 100;
/// What a directory holds, each a directory of its own.
const PARTS: [&str; 5] = ["log", "lake", "checkpoints", "outbox", "keys"];

/// What `format.json` says.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Label {
    format: u32,
    id: String,
    /// Of the two before it; older programs wrote none.
    checksum: Option<String>,
}

impl Label {
    fn new(id: String) -> Self {
        let checksum = Some(Self::checksum(FORMAT, &id));
        Self { format: FORMAT, id, checksum }
    }

    fn checksum(format: u32, id: &str) -> String {
        blake3::hash(format!("{format} {id}").as_bytes()).to_hex().chars().take(16).collect()
    }

    /// Whether checkpoints and lake say the same id, for a label without a checksum.
    fn is_of(&self, path: &Path) -> Result<bool, Failure> {
        Ok(self.checksum.is_some() || told_id(path)?.is_none_or(|id| id == self.id))
    }

    fn is_whole(&self) -> bool {
        let written = self.checksum.as_deref();
        written.is_none_or(|written| written == Self::checksum(self.format, &self.id))
    }
}

/// One of what `losses.json` tells: a part of the directory that was lost, damaged, or stood still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownLoss {
    /// When it was found.
    pub(crate) time: String,
    pub(crate) part: String,
    pub(crate) text: String,
    /// Rows that were acknowledged are gone, or may be.
    pub(crate) is_lasting: bool,
}

/// A data directory that this process alone may write to.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    id: String,
    /// What was missing when it was taken.
    missing: Vec<Loss>,
    _locks: [File; 2],
}

impl DataDir {
    /// Takes the directory, making it if there is none.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        make(path)?;
        let locks = lock(path)?;
        let is_used = PARTS.iter().any(|part| path.join(part).is_dir());
        let mut missing = Vec::new();
        let label = match label(path)? {
            Some(label) if label.is_whole() && label.is_of(path)? => Some(label),
            None if !is_used => None,
            Some(_) if !is_used => {
                return Err(Failure::io(format!(
                    "{} cannot be read",
                    path.join("format.json").display()
                ))
                .hint("is this a data directory of Durward?"));
            }
            damaged => {
                let id = known_id(path)?;
                let state = if damaged.is_some() { "was damaged" } else { "was missing" };
                let text = format!(
                    "format.json {state} and was written again: its id {id} is what lake and checkpoints say"
                );
                missing.push(Loss { part: "format".into(), text, is_lasting: false });
                Some(Label { format: 0, id, checksum: None })
            }
        };
        let label = match label {
            Some(label) if label.format == FORMAT && label.checksum.is_some() => label,
            // Before anything else is written, so that no older program reads what it does not know.
            Some(label) => write_label(path, label.id)?,
            None => write_label(path, random_id(path)?)?,
        };
        if is_used {
            missing.extend(missing_keys(path));
        }
        make_parts(path)?;
        Ok(Self { path: path.to_owned(), id: label.id, missing, _locks: locks })
    }

    /// What was missing when the directory was taken.
    pub(crate) fn missing(&self) -> &[Loss] {
        &self.missing
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

    /// Whether a loss is remembered already.
    pub(crate) fn knows(&self, loss: &Loss) -> bool {
        losses(&self.path).iter().any(|known| known.text == loss.text)
    }

    /// Remembers a loss, for `doctor`.
    pub(crate) fn write_loss(&self, loss: &Loss, now: Time) -> std::io::Result<()> {
        let mut known = losses(&self.path);
        let Loss { part, text, is_lasting } = loss.clone();
        known.push(KnownLoss { time: now.to_string(), part, text, is_lasting });
        while known.len() > MOST_LOSSES {
            let first = known.iter().position(|known| !known.is_lasting).unwrap_or_default();
            known.remove(first);
        }
        notes::write(&self.path.join(LOSSES), &known)
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

/// What of a directory was lost, as far as that is known.
pub(crate) fn losses(path: &Path) -> Vec<KnownLoss> {
    let known = notes::read::<KnownLoss>(&path.join(LOSSES));
    let silences = notes::read::<Exemption>(&path.join(SILENCES));
    let damaged = [
        (known.is_damaged, LOSSES, "what was lost before is not known"),
        (
            silences.is_damaged,
            SILENCES,
            "which silences are in force is known when it is served again",
        ),
    ];
    let damaged = damaged.into_iter().filter(|(is_damaged, ..)| *is_damaged);
    let damaged = damaged.map(|(_, file, text)| KnownLoss {
        time: "an unknown time".into(),
        part: file.into(),
        text: format!("{file} is damaged: {text}"),
        is_lasting: false,
    });
    damaged.chain(known.list).collect()
}

/// The silences that were configured when the directory was served last.
pub(crate) fn silences(path: &Path) -> Vec<Exemption> {
    notes::read(&path.join(SILENCES)).list
}

/// Remembers silences in `path`, for `doctor`.
pub(crate) fn write_silences(path: &Path, silences: &[Exemption]) -> std::io::Result<()> {
    notes::write(path, silences)
}

fn lake(path: &Path) -> PathBuf {
    path.join("lake")
}

fn make(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // The first directory that is there already holds the name of the first that is new.
    let above: Vec<&Path> = path.ancestors().skip(1).collect();
    let there = above.iter().take_while(|above| !above.is_dir()).count() + 1;
    let made = builder.create(path).and_then(|()| above.iter().take(there).try_for_each(sync));
    made.map_err(|error| {
        Failure::io(format!("making data directory {}: {error}", path.display()))
            .hint("choose a directory that can be written to with --data-dir")
    })
}

/// Makes the directories of the parts; their names are on the device before anything is in them.
fn make_parts(path: &Path) -> Result<(), Failure> {
    let missing: Vec<PathBuf> =
        PARTS.iter().map(|part| path.join(part)).filter(|part| !part.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let made = missing.iter().try_for_each(std::fs::create_dir).and_then(|()| sync(&path));
    made.map_err(|error| Failure::io(format!("making the parts of {}: {error}", path.display())))
}

fn sync(directory: &(impl AsRef<Path> + ?Sized)) -> std::io::Result<()> {
    let directory = directory.as_ref();
    // The parent of a relative name is empty.
    let named = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(named)?.sync_all()
}

/// The id of a directory whose label is gone, as checkpoints and lake say it.
fn known_id(path: &Path) -> Result<String, Failure> {
    match told_id(path)? {
        Some(id) => Ok(id),
        None if !lake(path).join("accesses").is_dir() => random_id(path),
        None => Err(Failure::io(format!(
            "{} is missing or damaged, and neither checkpoints nor lake say whose data this is",
            path.join("format.json").display()
        ))
        .hint("put format.json back from a copy of the directory: without it rows would be written twice")),
    }
}

fn told_id(path: &Path) -> Result<Option<String>, Failure> {
    let id = checkpoint::id(&path.join("checkpoints")).map_err(fail_to_label(path))?;
    Ok(id.or_else(|| owner(&lake(path))))
}

/// The keys that are not there, where others or data are: what they made is not made again.
fn missing_keys(path: &Path) -> Vec<Loss> {
    let has_state = path.join("log").is_dir() || path.join("checkpoints").is_dir();
    let missing = ["redaction", "reject"]
        .into_iter()
        .filter(|name| has_state && !path.join("keys").join(name).is_file());
    let loss = |name: &str| Loss {
        part: "keys".into(),
        text: format!(
            "keys/{name} was missing in {} and was made anew: markers of secrets and ids made with the old key do not match those that are made from now on; put it back from a copy if there is one",
            path.display()
        ),
        is_lasting: false,
    };
    missing.map(loss).collect()
}

/// Locks the directory itself, which nobody can take away and make anew beside us as a file in it, and the file that
/// says who holds it, which is what older programs look at.
fn lock(path: &Path) -> Result<[File; 2], Failure> {
    let name = path.join("lock");
    let fail = |error: std::io::Error| Failure::io(format!("locking {}: {error}", path.display()));
    let directory = File::open(path).map_err(fail)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(fail)?;
    match directory.try_lock().and_then(|()| file.try_lock()) {
        Ok(()) => {
            // For people only, so a full disk is no reason not to start.
            let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            if let Err(error) = noted {
                tracing::warn!(%error, path = %name.display(), "the lock does not say who holds it");
            }
            Ok([directory, file])
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _unreadable = file.read_to_string(&mut holder);
            let holder = if holder.is_empty() { "of another name".to_owned() } else { holder };
            Err(Failure::io(format!("data directory {} is in use by process {holder}", path.display()))
                .hint("send to that server: durward ingest --to http://HOST:PORT FILE, with the address of its queries that it printed as it began; queries work beside it"))
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
    // What cannot be read is as good as gone.
    let damaged = Label { format: 0, id: String::new(), checksum: Some(String::new()) };
    let label: Label = serde_json::from_str(&text).unwrap_or(damaged);
    if label.format > FORMAT && label.is_whole() {
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
    let label = Label::new(id);
    let text = serde_json::to_string(&label).unwrap_or_default();
    write_durably(&path.join("format.json"), &[text.as_bytes()]).map_err(fail_to_label(path))?;
    Ok(label)
}

/// Writes a file that is there whole or not at all, also after a power cut or on a full disk.
pub(crate) fn write_durably(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let written = write_new(&new, parts).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _absent = std::fs::remove_file(&new);
    }
    written?;
    sync(path.parent().unwrap_or(Path::new(".")))
}

fn write_new(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()?;
    crash::point("file_written");
    Ok(())
}
