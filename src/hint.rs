//! Commands that people are told to type: with the data directory that they would have to name again.

use std::path::{Path, PathBuf};

use durward_detect::escape;

/// Verbs that look at a data directory.
const VERBS: &[&str] =
    &["query", "findings", "incidents", "explain", "who", "doctor", "ingest", "serve"];
const PROGRAM: &str = "durward ";

/// The commands in `text`, naming `data_dir` unless it is the one that is taken anyway.
pub(crate) fn complete(text: &str, data_dir: &Path) -> String {
    let is_default = default_data_dir().as_deref() == Some(data_dir);
    if is_default { text.to_owned() } else { naming(text, data_dir) }
}

/// Where data is kept if no flag says where.
pub(crate) fn default_data_dir() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    variable("DURWARD_DATA_DIR")
        .or_else(|| variable("XDG_STATE_HOME").map(|dir| dir.join("durward")))
        .or_else(|| variable("HOME").map(|dir| dir.join(".local/state/durward")))
}

fn naming(text: &str, data_dir: &Path) -> String {
    let named = format!("--data-dir {} ", escape::shell(&data_dir.display().to_string()));
    let mut parts = text.split(PROGRAM);
    let mut completed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        completed.push_str(PROGRAM);
        let word = part.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next();
        if word.is_some_and(|word| VERBS.contains(&word)) {
            completed.push_str(&named);
        }
        completed.push_str(part);
    }
    completed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: hints with commands that look at a data directory, with others, and without any.
    /// Guarantees: the first name the directory, quoted for a shell; the others stay as they are.
    #[test]
    fn commands_name_the_directory() {
        let check = |text: &str, expected: &str| {
            assert_eq!(naming(text, Path::new("/a b")), expected);
        };
        check(
            "see `durward findings list` and `durward query`",
            "see `durward --data-dir '/a b' findings list` and `durward --data-dir '/a b' query`",
        );
        check("`durward rules lint FILE` checks", "`durward rules lint FILE` checks");
        check("durward.yaml", "durward.yaml");
    }
}
