//! Sigma rules: read, checked against the schema, bound to columns.

/// A rule file as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Its name, for messages.
    pub name: String,
    /// Its text, YAML.
    pub text: String,
}

/// A rule that cannot be used: where, what is wrong, and what was perhaps meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}{}", suggestion.as_ref().map(|s| format!(" (did you mean {s}?)")).unwrap_or_default())]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What was perhaps meant.
    pub suggestion: Option<String>,
}
