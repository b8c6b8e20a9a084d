//! The repository's files as tidy rules see them: which part is production, which is tests.

use std::collections::BTreeSet;
use std::path::Path;

/// One file: its path from the root, with `/`, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Nothing of it is in the program.
    is_test: bool,
}

/// Folders that hold nothing of ours, or nothing that people read.
const SKIPPED: &[&str] = &["target", ".git", "node_modules", "__pycache__"];

impl File {
    /// A file by itself; `tests` in its path makes it a test.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let is_test = path.split('/').any(|part| part == "tests" || part == "tests.rs");
        Self { path: path.into(), text: text.into(), is_test }
    }

    /// Its lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// How many lines are production: all before the tests at its end.
    pub(crate) fn production(&self) -> usize {
        if self.is_test {
            return 0;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        lines.windows(2).position(opens_tests).unwrap_or(lines.len())
    }

    /// The lines of its tests.
    pub(crate) fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().skip(self.production())
    }

    /// The files whose modules it declares for tests only.
    fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let lines: Vec<&str> = self.text.lines().collect();
        let pairs = lines.windows(2).filter(|pair| *pair[0] == *"#[cfg(test)]");
        let declared = pairs.filter_map(|pair| pair[1].strip_suffix(';')?.rsplit_once("mod "));
        declared.map(|(_, name)| format!("{folder}/{name}.rs")).collect()
    }
}

/// `#[cfg(test)]`, and a module with a body under it.
fn opens_tests(pair: &[&str]) -> bool {
    pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
}

/// Every file of the repository whose name ends in one of `endings`.
pub(crate) fn files(endings: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    walk(root, &mut paths);
    paths.sort();
    let read = |path: &String| {
        let bytes = std::fs::read(root.join(path)).expect("a file of the repository");
        File::new(path, &String::from_utf8_lossy(&bytes))
    };
    let wanted = paths.iter().filter(|path| endings.iter().any(|ending| path.ends_with(ending)));
    let mut files: Vec<File> = wanted.map(read).collect();
    let of_tests: BTreeSet<String> = files.iter().flat_map(File::test_modules).collect();
    for file in &mut files {
        file.is_test |= of_tests.contains(&file.path);
    }
    files
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry of a folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if SKIPPED.contains(&name) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            found.push(path.replace('\\', "/"));
        }
    }
}
