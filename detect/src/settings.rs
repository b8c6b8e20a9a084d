//! What operators may say about detection. Plain data; the root fills it from the configuration.

use durward_schemas::Time;
use durward_schemas::time::{HOUR, MINUTE};

/// How detection behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// From when on what is seen counts as learned; by default from the first row on.
    pub learned_since: Option<Time>,
    /// Findings that are known and accepted: kept as rows, told to nobody.
    pub exemptions: Vec<Exemption>,
    /// Identities whose business it is to mint tokens for others, by canonical name.
    pub token_issuers: Vec<String>,
    /// A story ends when nothing was found for so long, in microseconds.
    pub story_gap: i64,
    /// Two findings of medium severity open an incident within this time, in microseconds.
    pub pair_within: i64,
    /// Clocks of API servers may differ by so much, in microseconds.
    pub clock_skew: i64,
    /// A learning detector can alert only after it has known an identity for so long, in microseconds.
    pub learn_for: i64,
    /// A learning detector can alert only when it knows so many peers.
    pub learn_peers: usize,
}

impl Default for Settings {
    /// DESIGN decision 17 for stories, the issue for learning; the rest is judgement.
    fn default() -> Self {
        Self {
            learned_since: None,
            exemptions: Vec::new(),
            token_issuers: Vec::new(),
            story_gap: 6 * HOUR,
            pair_within: HOUR,
            clock_skew: MINUTE,
            learn_for: 24 * HOUR,
            learn_peers: 20,
        }
    }
}

/// One accepted finding: what, of whom, until when, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// The name of a detector or the id of a rule.
    pub of: String,
    /// The identity, by canonical name; everybody if absent.
    pub identity: Option<String>,
    /// The cluster; all if absent.
    pub cluster: Option<String>,
    /// Until when it holds, by event time; for ever if absent.
    pub until: Option<Time>,
    /// Why it is accepted.
    pub reason: String,
}
