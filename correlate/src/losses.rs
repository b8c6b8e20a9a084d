//! What exporters themselves say that they lost: a row in, a count out.

use std::collections::BTreeMap;

use durward_schemas::tables::{Log, Metric, Span};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the reader of Hubble calls such an event.
const LOST_EVENTS: &str = "lost_events";

/// What OTLP exporters left out of a record, by the names under which our reader keeps the counts.
/// <https://opentelemetry.io/docs/specs/otel/common/#attribute-limits>
const DROPPED: &[&str] =
    &["otel.dropped_attributes_count", "otel.dropped_events_count", "otel.dropped_links_count"];

/// Counters of what is gone for good: of the Collector, and of the API server.
/// <https://opentelemetry.io/docs/collector/internal-telemetry/>,
/// <https://kubernetes.io/docs/reference/instrumentation/metrics/>
const COUNTERS: &[&str] = &[
    "otelcol_exporter_send_failed_",
    "otelcol_exporter_enqueue_failed_",
    "otelcol_processor_dropped_",
    "apiserver_audit_error_total",
];

/// Series whose value is remembered; of more nothing is counted.
const MOST_SERIES: usize = 1_000;

/// The last value of each cumulative counter.
pub(crate) type Series = BTreeMap<String, Counted>;

/// A cumulative counter as it was told last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    value: f64,
    start: Option<i64>,
}

/// How many events a log record says were lost, or attributes of itself: of Hubble's ring buffer and perf buffers
/// at least one, where it does not say how many.
/// <https://github.com/cilium/cilium/blob/main/api/v1/flow/flow.proto>, `LostEvent`
pub(crate) fn of_log(log: &Log) -> i64 {
    let Some(attributes) = read(log.attributes.as_str()) else { return 0 };
    let events = attributes.get(LOST_EVENTS).filter(|_| log.body.as_deref() == Some(LOST_EVENTS));
    let lost = events.map_or(0, |lost| number(lost.get("num_events_lost")).unwrap_or(1).max(1));
    lost.saturating_add(dropped(&attributes))
}

/// How many attributes, events and links a span says that it lacks.
pub(crate) fn of_span(span: &Span) -> i64 {
    read(span.attributes.as_str()).map_or(0, |attributes| dropped(&attributes))
}

/// How many items a metric says were lost since the same series said so before.
pub(crate) fn of_metric(metric: &Metric, series: &mut Series) -> i64 {
    if !COUNTERS.iter().any(|name| metric.name.starts_with(name)) {
        return 0;
    }
    let value = metric.value.filter(|value| value.is_finite()).unwrap_or(0.0).max(0.0);
    if metric.temporality.as_deref() == Some("delta") {
        return whole(value);
    }
    let parts = [
        metric.source.as_str(),
        metric.cluster.as_deref().unwrap_or_default(),
        metric.name.as_str(),
        metric.attributes.as_str(),
        metric.resource_attributes.as_str(),
    ];
    let key = parts.join("\u{0}");
    if series.len() >= MOST_SERIES && !series.contains_key(&key) {
        return 0;
    }
    let start = metric.start_time.map(|time| time.0);
    let before = series.insert(key, Counted { value, start });
    // A counter that begins anew counts from nothing.
    let before = before.filter(|before| before.start == start && before.value <= value);
    whole(value - before.map_or(0.0, |before| before.value))
}

fn dropped(attributes: &Value) -> i64 {
    DROPPED.iter().filter_map(|name| number(attributes.get(*name))).sum()
}

fn read(attributes: &str) -> Option<Value> {
    let may_tell = attributes.contains(LOST_EVENTS) || attributes.contains("otel.dropped_");
    may_tell.then(|| serde_json::from_str(attributes).ok()).flatten()
}

fn number(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    Some(number.max(0))
}

#[expect(clippy::cast_possible_truncation, reason = "a saturated count is still a count")]
fn whole(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use durward_schemas::Time;
    use durward_schemas::cell::Json;

    use super::*;

    /// Scenario: events of Hubble that tell of losses, by a number, by a text and without either; other logs.
    /// Guarantees: what was told is counted, and nothing else.
    #[test]
    fn told_losses_are_counted() {
        let check = |body: &str, attributes: &str, expected: i64| {
            let attributes = Json(attributes.into());
            let log = Log { body: Some(body.into()), attributes, ..Log::default() };
            assert_eq!(of_log(&log), expected, "{body}");
        };
        check("lost_events", r#"{"lost_events":{"num_events_lost":"17"}}"#, 17);
        check("lost_events", r#"{"lost_events":{"num_events_lost":3}}"#, 3);
        check("lost_events", r#"{"lost_events":{}}"#, 1);
        check("agent_event", r#"{"lost_events":{"num_events_lost":5}}"#, 0);
        check("lost_events", "{}", 0);
        check("hello", r#"{"otel.dropped_attributes_count":2}"#, 2);
        let attributes =
            Json(r#"{"otel.dropped_events_count":3,"otel.dropped_links_count":4}"#.into());
        assert_eq!(of_span(&Span { attributes, ..Span::default() }), 7);
    }

    /// Scenario: a Collector's counter told three times, after a restart, and as differences; another metric.
    /// Guarantees: each loss is counted once.
    #[test]
    fn counters_are_counted_by_their_differences() {
        let mut series = Series::new();
        let mut check = |name: &str, temporality: &str, start: i64, value: f64, expected: i64| {
            let metric = Metric {
                name: name.into(),
                temporality: Some(temporality.into()),
                start_time: Some(Time(start)),
                value: Some(value),
                ..Metric::default()
            };
            assert_eq!(of_metric(&metric, &mut series), expected, "{name} {value}");
        };
        let failed = "otelcol_exporter_send_failed_log_records";
        check(failed, "cumulative", 1, 5.0, 5);
        check(failed, "cumulative", 1, 5.0, 0);
        check(failed, "cumulative", 1, 8.0, 3);
        check(failed, "cumulative", 2, 8.0, 8);
        check(failed, "cumulative", 2, 1.0, 1);
        check(failed, "delta", 2, 2.0, 2);
        check("otelcol_exporter_sent_log_records", "cumulative", 1, 9.0, 0);
    }
}
