//! Checksums of the lake's files, each in a file beside it, in the format of Hadoop's local file system.
//!
//! `.NAME.crc` holds `crc` and a zero byte, 512 as four bytes, and the CRC-32 of each 512 bytes of `NAME`, all
//! big-endian, so that Spark and Hadoop check them too. The Parquet writer that we use knows no checksums of pages.
//! <https://hadoop.apache.org/docs/stable/api/org/apache/hadoop/fs/ChecksumFileSystem.html>

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What a file of checksums begins with.
const MAGIC: &[u8; 4] = b"crc\0";
/// Bytes that one checksum is for.
const CHUNK: usize = 512;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is what was written.
    Whole,
    /// It is not, from this byte on at the latest.
    Damaged(usize),
    /// Nothing says what was written.
    Unknown,
}

/// Whether `path` is written once, and gets checksums.
pub(crate) fn is_checked(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet" || extension == "json")
}

/// Where the checksums of `path` are; none for what has no name.
pub(crate) fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    Some(path.with_file_name(format!(".{name}.crc")))
}

/// Whether a file of this name holds checksums.
pub(crate) fn is_checksums(name: &str) -> bool {
    name.starts_with('.') && Path::new(name).extension().is_some_and(|extension| extension == "crc")
}

/// Writes the checksums of `path`, flushed to the device but for their name.
pub(crate) fn write(path: &Path) -> io::Result<()> {
    let Some(beside) = beside(path).filter(|_| is_checked(path)) else { return Ok(()) };
    let mut file = File::create(beside)?;
    file.write_all(&checksums(&std::fs::read(path)?))?;
    file.sync_data()
}

/// Compares a file with its checksums.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn check(path: &Path) -> io::Result<Checked> {
    let bytes = std::fs::read(path)?;
    let Some(written) = beside(path).and_then(|beside| std::fs::read(beside).ok()) else {
        return Ok(Checked::Unknown);
    };
    // Torn by a crash, before anything named the file.
    let Some(written) = written.strip_prefix(header().as_slice()) else {
        return Ok(Checked::Unknown);
    };
    let found = checksums(&bytes);
    let found = found.get(header().len()..).unwrap_or_default();
    let same = written.chunks(4).zip(found.chunks(4)).take_while(|(one, other)| one == other);
    let damaged = Checked::Damaged(same.count() * CHUNK);
    Ok(if written == found { Checked::Whole } else { damaged })
}

fn header() -> [u8; 8] {
    let mut header = [0; 8];
    let (magic, length) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    length.copy_from_slice(&u32::try_from(CHUNK).unwrap_or_default().to_be_bytes());
    header
}

fn checksums(bytes: &[u8]) -> Vec<u8> {
    let mut all = header().to_vec();
    all.extend(bytes.chunks(CHUNK).flat_map(|chunk| crc32fast::hash(chunk).to_be_bytes()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a file of a few chunks as it was written, with each byte turned, cut, grown; without its checksums,
    /// and with torn ones.
    /// Guarantees: it is whole only as it was written; where nothing says what was written, nothing is claimed.
    #[test]
    fn every_turned_byte_is_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.parquet");
        let bytes: Vec<u8> = (0..1_200_u32).flat_map(u32::to_le_bytes).take(1_200).collect();
        std::fs::write(&path, &bytes).expect("a file");
        write(&path).expect("checksums");
        let check_as = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("a file");
            check(&path).expect("a file")
        };
        assert_eq!(check_as(&bytes), Checked::Whole);
        for at in 0..bytes.len() {
            let mut turned = bytes.clone();
            turned[at] ^= 1;
            assert_eq!(check_as(&turned), Checked::Damaged(at / CHUNK * CHUNK), "byte {at}");
        }
        assert_eq!(check_as(&bytes[..1_100]), Checked::Damaged(1_024));
        assert_eq!(check_as(&[bytes.as_slice(), &[0; 600]].concat()), Checked::Damaged(1_024));
        let beside = beside(&path).expect("a name");
        for torn in [&b""[..], b"crc", &[0; 20]] {
            std::fs::write(&beside, torn).expect("a file");
            assert_eq!(check_as(&bytes), Checked::Unknown);
        }
        std::fs::remove_file(&beside).expect("it was there");
        assert_eq!(check_as(&bytes), Checked::Unknown);
    }

    /// Scenario: checksums of nine bytes whose CRC-32 is known, `123456789`.
    /// Guarantees: the file is what Hadoop's `ChecksumFileSystem` writes.
    #[test]
    fn the_format_is_that_of_hadoop() {
        let expected = [b'c', b'r', b'c', 0, 0, 0, 2, 0, 0xcb, 0xf4, 0x39, 0x26];
        assert_eq!(checksums(b"123456789"), expected);
    }
}
