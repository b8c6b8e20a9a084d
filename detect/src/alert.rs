//! What is owed to people: the alert, the outbox that remembers it, and how it is told.
//!
//! 1. [`outbox`]: owe -> due -> settle, on disk, once for each version of an incident.
//! 2. [`storm`]: what is told next, and what is told together.
//! 3. [`slack`] and [`text`]: an alert in the form of its place. Pure.
//! 4. [`deliver`]: an alert to Slack; what came of it, as a row.

pub mod deliver;
pub mod outbox;
pub mod slack;
pub mod storm;
pub mod text;

use durward_schemas::Time;
use durward_schemas::ids::{IncidentId, LogPosition};
use durward_schemas::values::severity;
use serde::{Deserialize, Serialize};

pub use deliver::{RouteError, SlackRoute};
pub use outbox::{Due, Outbox, OutboxError, Pace};
pub use storm::Message;

/// One version of one incident, in the words in which people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// The incident.
    #[serde(with = "incident_id")]
    pub incident_id: IncidentId,
    /// Its version.
    pub version: i64,
    /// The position of the row that made this version.
    pub log_position: LogPosition,
    /// OCSF severity, 1 to 5; informational when later evidence took everything back.
    pub severity_id: i64,
    /// The Kubernetes cluster.
    pub cluster: Option<String>,
    /// Time of the first event.
    #[serde(with = "micros")]
    pub first_time: Time,
    /// Time of the latest event.
    #[serde(with = "micros")]
    pub last_time: Time,
    /// Number of findings.
    pub finding_count: i64,
    /// Number of events.
    pub event_count: i64,
    /// Number of different sorts of findings of at least high severity.
    #[serde(default)]
    pub grave_sorts: i64,
    /// Every kind of finding with its count, the gravest first.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
    /// The argument.
    pub story: Story,
}

/// A kind of finding in an incident, and how many requests or credentials it was found of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kind {
    /// What it is, in a few words.
    pub title: String,
    /// How many.
    pub count: i64,
}

/// The argument of an alert. Everything in it may hold text from logs: escape it where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Story {
    /// What it is, in a few words.
    pub title: String,
    /// Who did it.
    pub who: String,
    /// What happened, the gravest finding first; at most three sentences.
    pub what: Vec<String>,
    /// The deciding binding and its role, or why nothing had to allow it.
    pub why_possible: Option<String>,
    /// What changed before: the change, its actor, how long before.
    pub what_changed: Option<String>,
    /// How unusual it is, in counts.
    pub unusual: Option<String>,
    /// One next step: a command or a question in SQL.
    pub next_step: String,
}

impl Alert {
    /// A message that tells nothing, to see whether it arrives.
    #[must_use]
    pub fn test(now: Time) -> Self {
        let story = Story {
            title: "Test message of Durward".into(),
            who: "whoever ran `durward notify test`".into(),
            what: vec!["Nothing happened; messages arrive here".into()],
            next_step: "durward findings list".into(),
            ..Story::default()
        };
        Self {
            incident_id: IncidentId::from("test"),
            version: 1,
            log_position: 0,
            severity_id: severity::INFORMATIONAL,
            cluster: None,
            first_time: now,
            last_time: now,
            finding_count: 0,
            event_count: 0,
            grave_sorts: 0,
            kinds: Vec::new(),
            techniques: Vec::new(),
            story,
        }
    }

    /// Whether later evidence took everything back.
    #[must_use]
    pub fn is_taken_back(&self) -> bool {
        self.severity_id <= severity::INFORMATIONAL
    }

    /// `12 x A workload opened a way into a pod`, for each kind of finding.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| format!("{} x {}", kind.count, kind.title)).collect()
    }

    /// `HIGH`, in capitals for the head of a message.
    #[must_use]
    pub fn severity(&self) -> String {
        severity::name(self.severity_id).to_uppercase()
    }

    /// `2 findings, 7 events, 17:58:09 to 17:58:11 UTC`.
    #[must_use]
    pub fn counts(&self) -> String {
        use crate::sentence::count;
        format!(
            "{}, {}, {} to {} UTC",
            count(self.finding_count, "finding"),
            count(self.event_count, "event"),
            self.first_time.clock(),
            self.last_time.clock()
        )
    }
}

mod incident_id {
    use durward_schemas::ids::IncidentId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &IncidentId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<IncidentId, D::Error> {
        String::deserialize(from).map(IncidentId)
    }
}

mod micros {
    use durward_schemas::Time;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(time.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Time, D::Error> {
        i64::deserialize(from).map(Time)
    }
}

#[cfg(test)]
pub(crate) mod sample;
