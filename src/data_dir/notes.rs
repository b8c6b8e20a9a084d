//! What is noted in a data directory for `durward doctor`: a list with a checksum, written whole or not at all.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::write_durably;

/// The file: a list, and the BLAKE3 hash of its bytes.
#[derive(Serialize, Deserialize)]
struct Sealed {
    checksum: String,
    notes: Box<RawValue>,
}

/// What a file of notes holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notes<T> {
    pub(super) list: Vec<T>,
    /// Whether it is not what was written.
    pub(super) is_damaged: bool,
}

/// Reads notes; of what is damaged none. A file that is not there holds none, and one that an older program wrote
/// is a bare list.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Notes<T> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            let is_damaged = error.kind() != std::io::ErrorKind::NotFound;
            return Notes { list: Vec::new(), is_damaged };
        }
    };
    let is_bare = text.trim_ascii_start().starts_with(b"[");
    let sealed: Option<Sealed> = serde_json::from_slice(&text).ok().filter(|_| !is_bare);
    let list = match &sealed {
        Some(sealed) if checksum(sealed.notes.get()) == sealed.checksum => {
            serde_json::from_str(sealed.notes.get()).ok()
        }
        None if is_bare => serde_json::from_slice(&text).ok(),
        Some(_) | None => None,
    };
    Notes { is_damaged: list.is_none(), list: list.unwrap_or_default() }
}

/// Writes notes in the place of what was there.
pub(super) fn write<T: Serialize>(path: &Path, list: &[T]) -> std::io::Result<()> {
    let notes = serde_json::value::to_raw_value(list)?;
    let sealed = Sealed { checksum: checksum(notes.get()), notes };
    write_durably(path, &[&serde_json::to_vec(&sealed)?])
}

fn checksum(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: notes are written, read, damaged in every byte, cut, and read as an older program wrote them.
    /// Guarantees: what was written is read; whatever else is there is damaged or the same notes, never others.
    #[test]
    fn damaged_notes_are_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.json");
        let read = || super::read::<String>(&path);
        assert_eq!(read(), Notes { list: vec![], is_damaged: false });
        let list = vec!["a".to_owned(), "b".to_owned()];
        write(&path, &list).unwrap();
        let whole = Notes { list: list.clone(), is_damaged: false };
        assert_eq!(read(), whole);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            std::fs::write(&path, &other).unwrap();
            let found = read();
            assert!(found.is_damaged || found == whole, "byte {at}: {found:?}");
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert!(read().is_damaged, "cut at {at}");
        }
        std::fs::write(&path, serde_json::to_vec(&list).unwrap()).unwrap();
        assert_eq!(read(), whole);
    }
}
