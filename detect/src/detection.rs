//! One turn -> one judgement, row by row in log order.

use durward_schemas::record::Turn;
use durward_schemas::tables::{Finding, FindingEvent, Incident};

use crate::alert::Alert;
use crate::rule::{RuleError, RuleFile};
use crate::settings::Settings;

/// What one turn gave rise to, in the order of the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judgement {
    /// New versions of findings.
    pub findings: Vec<Finding>,
    /// New events of findings.
    pub finding_events: Vec<FindingEvent>,
    /// New versions of incidents.
    pub incidents: Vec<Incident>,
    /// What is owed to people: the latest version of each incident that changed.
    pub owed: Vec<Alert>,
}

/// A saved state that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The rules that it is to be used with are wrong.
    #[error("reading the rules")]
    Rules(#[from] RuleError),
    /// It was cut, or written by another version.
    #[error("reading the saved state of detection: {0}")]
    Unreadable(String),
}

/// All detectors, stories and what they remember.
#[derive(Debug)]
pub struct Detection {}

impl Detection {
    /// Everything forgotten, with the built-in rules and `rules`.
    ///
    /// # Errors
    /// If a rule is no Sigma rule or names a field that the schema does not have.
    pub fn new(_settings: Settings, _rules: &[RuleFile]) -> Result<Self, RuleError> {
        Ok(Self {})
    }

    /// Judges one turn.
    pub fn observe(&mut self, _turn: &Turn) -> Judgement {
        Judgement::default()
    }

    /// What is remembered, for a checkpoint.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes up where [`Self::save`] left off.
    ///
    /// # Errors
    /// If the rules are wrong, or `saved` was cut or written by another version.
    pub fn restore(settings: Settings, rules: &[RuleFile], _saved: &[u8]) -> Result<Self, StateError> {
        Ok(Self::new(settings, rules)?)
    }
}
