//! Paths in, texts of rules out: files, and the `.yml` files of directories, in order of names.

use std::path::{Path, PathBuf};

use durward_detect::RuleFile;

use crate::failure::Failure;

/// Reads all of them.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<RuleFile>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(read(&inside(path)?)?);
            continue;
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(path, &error))?;
        files.push(RuleFile { name: path.display().to_string(), text });
    }
    Ok(files)
}

/// Rules and directories in a directory.
fn inside(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| failed(path, &error))? {
        found.push(entry.map_err(|error| failed(path, &error))?.path());
    }
    let is_rule = |path: &PathBuf| {
        let ending = path.extension().and_then(std::ffi::OsStr::to_str);
        path.is_dir() || matches!(ending, Some("yml" | "yaml"))
    };
    found.retain(is_rule);
    found.sort();
    Ok(found)
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format!("reading {}: {error}", path.display()))
}
