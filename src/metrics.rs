//! What the program counts of itself, in the Prometheus text format. Never a name of an identity.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use durward_correlate::correlator::Sizes;
use durward_correlate::lake::Judged;
use durward_schemas::record::Turn;
use durward_schemas::values::{Edge, severity};

/// Counters and gauges by name and labels.
#[derive(Debug)]
pub(crate) struct Metrics {
    values: Mutex<BTreeMap<(&'static str, String), i64>>,
}

/// What can come of an attempt to tell somebody.
const OUTCOMES: &[&str] = &["delivered", "refused", "retry"];

/// Names with their kind and meaning, in the order in which they are shown.
const NAMES: &[(&str, &str, &str)] = &[
    ("durward_build_info", "gauge", "Version of the program."),
    ("durward_ingest_events_total", "counter", "Rows by what became of them."),
    ("durward_correlate_amendments_total", "counter", "Edges that became known later, by edge."),
    ("durward_findings_total", "counter", "New versions of findings by severity."),
    ("durward_incidents_total", "counter", "New versions of incidents."),
    ("durward_notify_total", "counter", "Attempts to tell somebody by outcome."),
    ("durward_config_reloads_total", "counter", "Times that SIGHUP was followed, or refused."),
    ("durward_config_last_reload_successful", "gauge", "0 after a reload that was refused."),
    ("durward_log_position", "gauge", "Last position of the log that was taken."),
    ("durward_log_end_position", "gauge", "Next position of the log."),
    ("durward_log_bytes", "gauge", "Bytes of the log on disk."),
    ("durward_pipeline_blocked", "gauge", "1 while a disk refuses and the log's records wait."),
    ("durward_state_entries", "gauge", "What the state holds by kind."),
    ("durward_state_forgotten_total", "counter", "What was let go of for want of room, by kind."),
];

impl Metrics {
    /// Every sample that there can be, from the start: what was never counted is zero, and not absent.
    pub(crate) fn new() -> Self {
        let metrics = Self { values: Mutex::default() };
        let label = |name: &'static str, key: &str, values: &[&str]| {
            for value in values {
                metrics.set(name, &format!("{key}=\"{value}\""), 0);
            }
        };
        label("durward_ingest_events_total", "outcome", &["accepted", "duplicate", "rejected"]);
        let edges: Vec<&str> = Edge::ALL.iter().map(|edge| edge.as_str()).collect();
        label("durward_correlate_amendments_total", "edge", &edges);
        let severities = severity::INFORMATIONAL..=severity::CRITICAL;
        let severities: Vec<&str> = severities.map(severity::name).collect();
        label("durward_findings_total", "severity", &severities);
        label("durward_notify_total", "outcome", OUTCOMES);
        label("durward_config_reloads_total", "outcome", &["accepted", "refused"]);
        for name in [
            "durward_incidents_total",
            "durward_log_position",
            "durward_log_end_position",
            "durward_log_bytes",
            "durward_pipeline_blocked",
        ] {
            metrics.set(name, "", 0);
        }
        metrics.set("durward_config_last_reload_successful", "", 1);
        let version = concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"");
        metrics.set("durward_build_info", version, 1);
        metrics
    }

    /// How much the state holds.
    pub(crate) fn sizes(&self, sizes: &Sizes) {
        for (kind, size, forgotten) in sizes {
            let kind = format!("kind=\"{kind}\"");
            self.set("durward_state_entries", &kind, i64::try_from(*size).unwrap_or(i64::MAX));
            let forgotten = i64::try_from(*forgotten).unwrap_or(i64::MAX);
            self.set("durward_state_forgotten_total", &kind, forgotten);
        }
    }

    /// Counts one turn.
    pub(crate) fn turn(&self, turn: &Turn, judged: &Judged) {
        let signals = turn.spans.len() + turn.logs.len() + turn.metrics.len();
        self.add(
            "durward_ingest_events_total",
            "outcome=\"accepted\"",
            turn.accesses.len() + signals,
        );
        self.add("durward_ingest_events_total", "outcome=\"duplicate\"", turn.duplicates);
        self.add("durward_ingest_events_total", "outcome=\"rejected\"", turn.rejects.len());
        for amendment in &turn.amendments {
            self.add(
                "durward_correlate_amendments_total",
                &format!("edge=\"{}\"", amendment.edge),
                1,
            );
        }
        for finding in &judged.findings {
            let label = format!("severity=\"{}\"", severity::name(finding.severity_id));
            self.add("durward_findings_total", &label, 1);
        }
        self.add("durward_incidents_total", "", judged.incidents.len());
        for delivery in &judged.deliveries {
            self.add("durward_notify_total", &format!("outcome=\"{}\"", delivery.outcome), 1);
        }
        // A delivery is no record of the log.
        if turn.last_position > 0 {
            self.set("durward_log_position", "", turn.last_position);
        }
    }

    /// Counts one reading of the configuration while the server runs.
    pub(crate) fn reloaded(&self, is_accepted: bool) {
        let outcome = if is_accepted { "accepted" } else { "refused" };
        self.add("durward_config_reloads_total", &format!("outcome=\"{outcome}\""), 1);
        self.set("durward_config_last_reload_successful", "", is_accepted.into());
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, name: &'static str, labels: &str, value: i64) {
        if let Ok(mut values) = self.values.lock() {
            values.insert((name, labels.to_owned()), value);
        }
    }

    fn add(&self, name: &'static str, labels: &str, count: usize) {
        if let Ok(mut values) = self.values.lock() {
            *values.entry((name, labels.to_owned())).or_insert(0) +=
                i64::try_from(count).unwrap_or(i64::MAX);
        }
    }

    /// The text that a scraper reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let Ok(values) = self.values.lock() else { return text };
        for (name, kind, help) in NAMES {
            // Writing into a String does not fail.
            let _written = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for ((_, labels), value) in values.iter().filter(|((found, _), _)| found == name) {
                let labels =
                    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
                let _written = writeln!(text, "{name}{labels} {value}");
            }
        }
        text
    }
}
