//! The lake's files -> what is wrong with them: those that are missing, and those that are not what was written.

use std::path::{Path, PathBuf};

use durward_schemas::tables::LAKE;

use crate::lake::checksum::{self, Checked};
use crate::lake::delta::DeltaLog;
use crate::lake::{Lake, LakeError};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files that are what was written.
    pub whole: usize,
    /// Files of which nothing says what was written: older than checksums.
    pub unknown: usize,
    /// What is wrong, each with the file.
    pub wrong: Vec<Wrong>,
}

/// One file that rows cannot be read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The table.
    pub table: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl Lake {
    /// Checks the `newest` files of each table.
    ///
    /// # Errors
    /// If a table's list of files cannot be read.
    pub fn verify_newest(&self, dir: &Path, newest: usize) -> Result<Verified, LakeError> {
        let mut verified = Verified::default();
        for (name, delta) in &self.tables {
            let files = delta.files()?;
            for file in files.iter().rev().take(newest) {
                verified.check(name, dir.join(name).join(file));
            }
        }
        Ok(verified)
    }
}

impl Verified {
    fn check(&mut self, table: &'static str, path: PathBuf) {
        let what = match checksum::check(&path) {
            Ok(Checked::Whole) => {
                self.whole += 1;
                return;
            }
            Ok(Checked::Unknown) => {
                self.unknown += 1;
                return;
            }
            Ok(Checked::Damaged(at)) => format!("it is not what was written, from byte {at} on"),
            Err(error) => error.to_string(),
        };
        self.wrong.push(Wrong { table, path, what });
    }
}

/// Checks every file that a table of the lake in `dir` is made of.
///
/// # Errors
/// If a table cannot be opened, as when the list of its files is damaged.
pub async fn verify(dir: &Path) -> Result<Verified, LakeError> {
    let mut verified = Verified::default();
    for table in LAKE {
        let place = dir.join(table.name);
        if !place.join("_delta_log").is_dir() {
            let what = "the table is not there".to_owned();
            verified.wrong.push(Wrong { table: table.name, path: place, what });
            continue;
        }
        for path in commits(&place) {
            verified.check(table.name, path);
        }
        for file in DeltaLog::files_in(dir, table).await? {
            verified.check(table.name, place.join(file));
        }
    }
    Ok(verified)
}

/// The files of the table's own log.
fn commits(place: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.join("_delta_log")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| checksum::is_checked(path));
    paths.sort();
    paths
}
