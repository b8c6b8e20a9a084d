//! What detectors judged, which stories the judgements tell, and whom we told.

use crate::cell::Json;
use crate::ids::{CredentialId, DeliveryId, EventId, FindingId, IncidentId, LogPosition};
use crate::table::table;
use crate::time::Time;
use crate::values::{Disposition, EventRole, FindingState, IdentityKind};

table! {
    /// One judgement by one detector, as known at `recorded_time`.
    Finding = "findings_versions", recorded: recorded_time {
        /// Time of what is judged.
        time: Time,
        /// Hash of detector, rule, cluster and anchor.
        finding_id: FindingId,
        /// Counts from 1 for each finding.
        version: i64,
        /// When this version was recorded.
        recorded_time: Time,
        /// The ordinal of the row's cause in the log.
        log_position: LogPosition,
        /// The detector.
        detector: String,
        /// The rule, where the detector has rules.
        rule_id: Option<String>,
        /// What it is, in a few words.
        title: String,
        /// Who did what and why that is off, in one sentence.
        reason: String,
        /// OCSF severity, 1 to 5.
        severity_id: i64,
        /// What became of it.
        state: FindingState,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// Whose behaviour is judged.
        identity: Option<String>,
        /// What sort of principal.
        identity_kind: Option<IdentityKind>,
        /// The workload that held the credential.
        workload: Option<String>,
        /// The credential.
        credential_id: Option<CredentialId>,
        /// The incident that it belongs to.
        incident_id: Option<IncidentId>,
        /// Chance of this by accident, where the detector is statistical.
        p_value: Option<f64>,
        /// Bits of surprise.
        score_bits: Option<f64>,
        /// The parts of the judgement, as JSON.
        ledger: Json,
        /// At most twenty of its events; `finding_events` has all.
        event_ids: Option<Vec<String>>,
        /// Changes that it rests on.
        change_ids: Option<Vec<String>>,
        /// Traces that it rests on.
        trace_ids: Option<Vec<String>>,
        /// MITRE ATT&CK techniques.
        techniques: Option<Vec<String>>,
        /// When the log took its cause.
        ingest_time: Time,
        /// How often it happened, where one finding counts what repeats.
        count: Option<i64>,
        /// Time of its first event.
        first_time: Option<Time>,
        /// Time of its latest event.
        last_time: Option<Time>,
        /// The sort of object that was touched, as `group/resource`.
        object_kind: Option<String>,
        /// Who is to look at it.
        owner: Option<String>,
        /// What people found it to be.
        disposition: Option<Disposition>,
    }
}

table! {
    /// One event of one finding.
    FindingEvent = "finding_events", recorded: ingest_time {
        /// The finding.
        finding_id: FindingId,
        /// The version of the finding that brought it.
        version: i64,
        /// The access, span or log.
        event_id: EventId,
        /// What it is to the finding; anchors are what is judged.
        role: EventRole,
        /// The ordinal of the row's cause in the log.
        log_position: LogPosition,
        /// When the log took its cause.
        ingest_time: Time,
    }
}

table! {
    /// Findings that tell one story, as known at `recorded_time`.
    Incident = "incidents_versions", recorded: recorded_time {
        /// Hash of the finding that opened it.
        incident_id: IncidentId,
        /// Counts from 1 for each incident.
        version: i64,
        /// When this version was recorded.
        recorded_time: Time,
        /// The ordinal of the row's cause in the log.
        log_position: LogPosition,
        /// The finding that opened it.
        opened_by_finding_id: FindingId,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// The root identity of its story.
        identity: Option<String>,
        /// What it is, in a few words.
        title: String,
        /// OCSF severity, 1 to 5: the highest of its findings.
        severity_id: i64,
        /// `open` or `merged`.
        status: String,
        /// Time of the first event.
        opened_time: Time,
        /// Time of the latest event.
        last_time: Time,
        /// Number of findings.
        finding_count: i64,
        /// Number of events.
        event_count: i64,
        /// The story in a paragraph.
        summary: String,
        /// The incident that it became part of.
        merged_into: Option<String>,
    }
}

table! {
    /// One attempt to tell somebody.
    Delivery = "deliveries", recorded: ingest_time {
        /// When it was tried.
        time: Time,
        /// Hash of incident, route and attempt.
        delivery_id: DeliveryId,
        /// The incident.
        incident_id: IncidentId,
        /// The position up to which the incident was told.
        log_position: LogPosition,
        /// The configured route.
        route: String,
        /// Where it went, without secrets.
        channel: String,
        /// Counts from 1.
        attempt: i64,
        /// `delivered retry refused`.
        outcome: String,
        /// HTTP status of the answer.
        http_status: Option<i64>,
        /// What the answer asked us to wait.
        retry_after_seconds: Option<f64>,
        /// What went wrong.
        error: Option<String>,
        /// When it was recorded.
        ingest_time: Time,
    }
}
