//! What operators may say about detection. Plain data; the root fills it from the configuration, and
//! it comes by the log like everything that changes judgements (DESIGN decision 1).

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::time::{HOUR, MINUTE};
use serde::{Deserialize, Serialize};

use crate::rule::RuleFile;

/// How detection behaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// From when on what is seen counts as learned; by default from the first row on.
    #[serde(with = "micros")]
    pub learned_since: Option<Time>,
    /// Findings that are known and accepted: kept as rows, told to nobody.
    pub exemptions: Vec<Exemption>,
    /// Identities whose business it is to mint tokens for others, by canonical name.
    pub token_issuers: Vec<String>,
    /// Sigma rules beside the built-in ones; one takes the place of the built-in rule of its id.
    pub rules: Vec<RuleFile>,
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
            rules: Vec::new(),
            story_gap: 6 * HOUR,
            pair_within: HOUR,
            clock_skew: MINUTE,
            learn_for: 24 * HOUR,
            learn_peers: 20,
        }
    }
}

/// What a record of the log holds.
#[derive(Serialize, Deserialize)]
struct Logged {
    /// The version of the program, for people who look: another version may judge otherwise.
    program: String,
    detect: Settings,
}

impl Settings {
    /// As the log holds them.
    #[must_use]
    pub fn logged(&self) -> Json {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let logged = Logged { program, detect: self.clone() };
        // Serializing our own plain structs into memory does not fail.
        Json(serde_json::to_string(&logged).unwrap_or_default())
    }

    /// The settings that a record of the log holds; what another version had beside them is left out.
    pub(crate) fn read(logged: &Json) -> Result<Self, serde_json::Error> {
        serde_json::from_str(logged.as_str()).map(|logged: Logged| logged.detect)
    }
}

/// A time as microseconds.
mod micros {
    use durward_schemas::Time;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes fields so")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Time>, to: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.0).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Time>, D::Error> {
        Option::<i64>::deserialize(from).map(|micros| micros.map(Time))
    }
}

/// One accepted finding: what, of whom, until when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// The name of a detector or the id of a rule.
    pub of: String,
    /// The identity, by canonical name; everybody if absent.
    pub identity: Option<String>,
    /// The cluster; all if absent.
    pub cluster: Option<String>,
    /// Until when it holds, by event time; for ever if absent.
    #[serde(with = "micros")]
    pub until: Option<Time>,
    /// Why it is accepted.
    pub reason: String,
}
