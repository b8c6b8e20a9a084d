//! What is owed to people.

use durward_schemas::Time;
use durward_schemas::ids::{IncidentId, LogPosition};
use serde::{Deserialize, Serialize};

/// One version of one incident, in the words in which people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The incident.
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
    pub first_time: Time,
    /// Time of the latest event.
    pub last_time: Time,
    /// Number of findings.
    pub finding_count: i64,
    /// Number of events.
    pub event_count: i64,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
    /// The argument.
    pub story: Story,
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
