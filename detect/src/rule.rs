//! Sigma rules: read, checked against the schema, bound to columns (DESIGN decision 16).
//!
//! In: rule files. Out: rules that can be put to a row, or the line that is wrong and what was
//! perhaps meant. `source` maps the field names of each log to columns.

mod built_in;
mod certificate;
mod contradiction;
pub(crate) mod event;
mod field;
mod need;
mod node_path;
mod patch;
pub(crate) mod pod_spec;
mod read;
pub(crate) mod source;
mod webhook;

use durward_schemas::values::severity;
use rsigma_eval::{CompiledRule, evaluate_rule};
use serde::{Deserialize, Serialize};

pub(crate) use built_in::BUILT_IN;
pub use need::Need;
pub(crate) use read::read;

use crate::rule::event::RowEvent;
use crate::rule::source::{LogSource, SOURCES};

/// A rule file as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleFile {
    /// Its name, for messages.
    pub name: String,
    /// Its text, YAML.
    pub text: String,
}

/// A rule that cannot be used: where, what is wrong, and what was perhaps meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}{}", meant(suggestion.as_deref()))]
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

/// Something in a rule that audit events do not have and that was read as what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleWarning {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What was read as what.
    pub message: String,
}

/// One rule, ready to be put to rows.
#[derive(Debug)]
pub(crate) struct Rule {
    pub id: String,
    /// The log whose rows it judges.
    pub source: &'static LogSource,
    pub title: String,
    pub description: String,
    pub severity_id: i64,
    pub techniques: Vec<String>,
    /// What it needs of bodies; `None` if it can fire without.
    need: Option<Need>,
    /// The step to take next, with `{field}` for what the row says.
    pub next_step: Option<String>,
    matcher: CompiledRule,
}

impl Rule {
    /// Whether the rule holds for the row.
    pub(crate) fn holds(&self, event: &RowEvent<'_>) -> bool {
        (self.source.covers)(event.row)
            && evaluate_rule(&self.matcher, &event.in_words_of(self.source)).is_some()
    }
}

/// A built-in rule, for people who look for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id, as `findings.rule_id` has it.
    pub id: String,
    /// What it finds, in a few words.
    pub title: String,
    /// `informational low medium high critical`.
    pub level: &'static str,
    /// The log whose rows it judges, `product/service`.
    pub log: String,
    /// Why that matters, in a sentence.
    pub description: String,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
}

/// The built-in rules, by id.
#[must_use]
pub fn listed() -> Vec<Listed> {
    let list = |rule: Rule| Listed {
        level: severity::name(rule.severity_id),
        log: rule.source.name(),
        id: rule.id,
        title: rule.title,
        description: rule.description,
        techniques: rule.techniques,
    };
    load(&[]).unwrap_or_default().into_iter().map(list).collect()
}

/// The ids of the rules in a file, as `findings.rule_id` has them; none of a file that cannot be used.
#[must_use]
pub fn ids(file: &RuleFile) -> Vec<String> {
    let rules = read(file, &mut Vec::new()).unwrap_or_default();
    rules.into_iter().map(|rule| rule.id).collect()
}

/// A log that rules can be written for, for people who write one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Sigma's `product`.
    pub product: &'static str,
    /// Sigma's `service`.
    pub service: &'static str,
    /// Its fields, and the column that each is read from.
    pub fields: Vec<(&'static str, &'static str)>,
    /// Names beneath which any path may be asked for.
    pub also: Vec<&'static str>,
}

/// Every log that rules can be written for.
pub fn logs() -> impl Iterator<Item = Log> {
    SOURCES.iter().map(|source| Log {
        product: source.product,
        service: source.service,
        fields: source.fields.iter().map(|field| (field.name, field.column)).collect(),
        also: source
            .beneath
            .iter()
            .map(|beneath| beneath.name)
            .chain(source.others.iter().copied())
            .collect(),
    })
}

/// What the built-in rules that read bodies need, by id.
#[must_use]
pub fn needs() -> Vec<Need> {
    load(&[]).unwrap_or_default().into_iter().filter_map(|rule| rule.need).collect()
}

/// Checks rules without using them; what was read as something else.
///
/// # Errors
/// The first rule that cannot be used.
pub fn check_rules(files: &[RuleFile]) -> Result<Vec<RuleWarning>, RuleError> {
    let mut warnings = Vec::new();
    for file in files {
        read(file, &mut warnings)?;
    }
    Ok(warnings)
}

/// The built-in rules and `files`; a rule of `files` takes the place of the built-in one of its id.
pub(crate) fn load(files: &[RuleFile]) -> Result<Vec<Rule>, RuleError> {
    let mut rules: Vec<Rule> = Vec::new();
    let built_in = BUILT_IN
        .iter()
        .map(|(name, text)| RuleFile { name: (*name).to_owned(), text: (*text).to_owned() });
    for file in built_in.chain(files.iter().cloned()) {
        for rule in read(&file, &mut Vec::new())? {
            rules.retain(|other| other.id != rule.id);
            rules.push(rule);
        }
    }
    // Hits come in the order of rules, whatever order the files were read in.
    rules.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(rules)
}

fn severity_of(level: Option<rsigma_parser::Level>) -> i64 {
    use rsigma_parser::Level;
    match level {
        Some(Level::Informational) | None => severity::INFORMATIONAL,
        Some(Level::Low) => severity::LOW,
        Some(Level::Medium) => severity::MEDIUM,
        Some(Level::High) => severity::HIGH,
        Some(Level::Critical) => severity::CRITICAL,
    }
}

fn meant(suggestion: Option<&str>) -> String {
    suggestion.map(|meant| format!(", did you mean {meant}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
