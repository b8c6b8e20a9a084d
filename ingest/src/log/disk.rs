//! The few things that the writer asks of a disk; tests have one that fails on purpose.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Where segments are made.
pub(super) trait Disk: Send {
    /// Makes a new file, which must not be there yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Flushes the names in a directory.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes a small file hold `text`, wholly or not at all, and flushes it; not its name.
    fn replace(&self, path: &Path, text: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A segment that is being written.
pub(super) trait DiskFile: Send {
    /// Writes at the end.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Flushes the content to the device.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub(super) struct LocalDisk;

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().create_new(true).append(true).open(path)?))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let new = path.with_extension("new");
        std::fs::write(&new, text)?;
        File::open(&new)?.sync_all()?;
        std::fs::rename(&new, path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

impl DiskFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // fdatasync: the length is flushed too, since without it the data could not be read.
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
