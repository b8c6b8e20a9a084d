//! The keys of an installation: a data directory in, [`Keys`] out.
//!
//! `keys/redaction` makes the markers that stand for secrets; during a rotation it has two lines,
//! of which the first is used. `keys/reject` makes the ids of rejects and never rotates;
//! `keys/upload` lets files in through a running server. All are made at the first start, readable
//! by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use durward_schemas::ids::RejectId;

use crate::hex::hex;
use crate::redact::Redactor;

/// Bytes in a key.
const KEY_BYTES: usize = 32;

/// The keys of an installation, and what is made with them.
#[derive(Debug)]
pub struct Keys {
    redactor: Redactor,
    reject: [u8; KEY_BYTES],
}

/// Why the keys could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A key file or its directory could not be read or made.
    #[error("opening key file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key file holds something else than keys.
    #[error("reading key file {path}: each line must be {} hex digits", 2 * KEY_BYTES)]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

impl Keys {
    /// Opens the keys under `data_dir`, and makes those that are not there yet.
    pub fn open(data_dir: &Path) -> Result<Self, KeysError> {
        let dir = data_dir.join("keys");
        fs::create_dir_all(&dir).map_err(|source| KeysError::File { path: dir.clone(), source })?;
        Ok(Self::from_bytes(&open_key(&dir, "redaction")?, open_key(&dir, "reject")?))
    }

    /// Whether the keys that are there under `data_dir` can be used; makes none.
    ///
    /// # Errors
    /// The first that cannot be read, or is no key.
    pub fn check(data_dir: &Path) -> Result<(), KeysError> {
        let dir = data_dir.join("keys");
        ["redaction", "reject", "upload"].into_iter().try_for_each(|name| {
            let path = dir.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => parse_keys(&text, path).map(|_first| ()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(source) => Err(KeysError::File { path, source }),
            }
        })
    }

    /// What whoever sends files to a running server must show: only who may read the data directory
    /// knows it.
    pub fn upload_token(data_dir: &Path) -> Result<String, KeysError> {
        let dir = data_dir.join("keys");
        fs::create_dir_all(&dir).map_err(|source| KeysError::File { path: dir.clone(), source })?;
        open_key(&dir, "upload").map(|key| hex(&key))
    }

    /// Keys whose bytes are known: for tests, and for nodes that are handed theirs.
    #[must_use]
    pub fn from_bytes(redaction: &[u8; KEY_BYTES], reject: [u8; KEY_BYTES]) -> Self {
        Self { redactor: Redactor::new(redaction), reject }
    }

    /// What replaces secrets by markers.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The id of a reject: a keyed hash of cluster, format and the bytes as received.
    ///
    /// It is keyed because the bytes may hold secrets that could be guessed from a plain hash.
    #[must_use]
    pub fn reject_id(&self, cluster: Option<&str>, format: &str, bytes: &[u8]) -> RejectId {
        let mut hasher = blake3::Hasher::new_keyed(&self.reject);
        for part in [cluster.unwrap_or_default().as_bytes(), format.as_bytes(), bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        RejectId(hasher.finalize().to_hex().chars().take(32).collect())
    }
}

/// The key in `dir/name`, made if it is not there.
fn open_key(dir: &Path, name: &str) -> Result<[u8; KEY_BYTES], KeysError> {
    let path = dir.join(name);
    let failed = |source| KeysError::File { path: path.clone(), source };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_key(dir, name).map_err(failed)?
        }
        Err(error) => return Err(failed(error)),
    };
    parse_keys(&text, path)
}

/// The first of the keys in a file, all of which must be keys.
fn parse_keys(text: &str, path: PathBuf) -> Result<[u8; KEY_BYTES], KeysError> {
    let mut keys = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(parse_key);
    let first = keys.next().flatten();
    first.filter(|_| keys.all(|key| key.is_some())).ok_or(KeysError::NotAKey { path })
}

fn parse_key(line: &str) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if line.len() != 2 * KEY_BYTES || !line.is_ascii() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(line.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// Makes a key of random bytes; it appears under its name only when it is whole and flushed.
fn make_key(dir: &Path, name: &str) -> io::Result<String> {
    let mut key = [0; KEY_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let text = hex(&key) + "\n";
    let draft = dir.join(format!("{name}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, dir.join(name))?;
    File::open(dir)?.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Scenario: a data directory is opened twice.
    /// Guarantees: the keys are made once, owner-only, and the second start has the same.
    #[test]
    fn keys_are_made_once_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Keys::open(dir.path()).unwrap();
        let second = Keys::open(dir.path()).unwrap();
        for name in ["redaction", "reject"] {
            let mode = fs::metadata(dir.path().join("keys").join(name)).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
        }
        assert_eq!(first.redactor().mask("s"), second.redactor().mask("s"));
        let id = |keys: &Keys| keys.reject_id(Some("prod"), "otlp", b"bytes");
        assert_eq!(id(&first), id(&second));
    }

    /// Scenario: a key file that was edited by hand, in good and in bad ways.
    /// Guarantees: two lines are a rotation and the first counts; anything else is named.
    #[test]
    fn key_files_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let before = Keys::open(dir.path()).unwrap().redactor().mask("s");
        let path = dir.path().join("keys/redaction");
        let key = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{}\n{key}", "ab".repeat(32))).unwrap();
        assert_ne!(Keys::open(dir.path()).unwrap().redactor().mask("s"), before);
        for bad in ["", "abc", &"zz".repeat(32), &format!("{key}short")] {
            fs::write(&path, bad).unwrap();
            let error = Keys::open(dir.path()).unwrap_err();
            assert!(matches!(error, KeysError::NotAKey { .. }), "{bad}");
        }
    }
}
