//! What OTLP brought.

use crate::cell::Json;
use crate::ids::{EventId, LogPosition};
use crate::table::table;
use crate::time::Time;

table! {
    /// One span.
    Span = "spans", recorded: ingest_time {
        /// When it started.
        time: Time,
        /// Trace id, 32 hex digits.
        trace_id: String,
        /// Span id, 16 hex digits.
        span_id: String,
        /// Span id of the parent.
        parent_span_id: Option<String>,
        /// The ordinal of the row in the log.
        log_position: LogPosition,
        /// `service.name`.
        service: Option<String>,
        /// Name of the span.
        name: String,
        /// `internal server client producer consumer unspecified`.
        kind: String,
        /// `unset ok error`.
        status_code: String,
        /// Duration in nanoseconds.
        duration_ns: i64,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// Namespace of the pod.
        namespace: Option<String>,
        /// Name of the pod.
        pod: Option<String>,
        /// UID of the pod.
        pod_uid: Option<String>,
        /// Node.
        node: Option<String>,
        /// Owner of the pod, as the exporter says.
        workload: Option<String>,
        /// `audit-id` of an API server's span, cut to 64 characters by the server.
        audit_id: Option<String>,
        /// Request id.
        request_id: Option<String>,
        /// Identity of the other end, as the exporter says.
        peer_identity: Option<String>,
        /// Status message.
        status_message: Option<String>,
        /// When it ended.
        end_time: Time,
        /// Attributes, redacted.
        attributes: Json,
        /// Resource attributes, redacted.
        resource_attributes: Json,
        /// Instrumentation scope.
        scope: Option<Json>,
        /// Links to other spans.
        links: Option<Json>,
        /// Events of the span.
        events: Option<Json>,
        /// Time prefix and hash of content.
        event_id: EventId,
        /// The configured source.
        source: String,
        /// When the log took it.
        ingest_time: Time,
    }
}

table! {
    /// One log record that is not an access.
    Log = "logs", recorded: ingest_time {
        /// When it happened.
        time: Time,
        /// Trace id.
        trace_id: Option<String>,
        /// Span id.
        span_id: Option<String>,
        /// The ordinal of the row in the log.
        log_position: LogPosition,
        /// `service.name`.
        service: Option<String>,
        /// Severity, 1 to 24.
        severity_number: Option<i64>,
        /// Severity as written.
        severity_text: Option<String>,
        /// The body as text, redacted.
        body: Option<String>,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// Namespace of the pod.
        namespace: Option<String>,
        /// Name of the pod.
        pod: Option<String>,
        /// UID of the pod.
        pod_uid: Option<String>,
        /// When the exporter observed it.
        observed_time: Option<Time>,
        /// Attributes, redacted.
        attributes: Json,
        /// Resource attributes, redacted.
        resource_attributes: Json,
        /// Time prefix and hash of content.
        event_id: EventId,
        /// The configured source.
        source: String,
        /// When the log took it.
        ingest_time: Time,
    }
}

table! {
    /// One data point of a metric.
    Metric = "metrics", recorded: ingest_time {
        /// When it was read.
        time: Time,
        /// Name of the metric.
        name: String,
        /// The ordinal of the row in the log.
        log_position: LogPosition,
        /// `service.name`.
        service: Option<String>,
        /// `gauge sum histogram exponential_histogram summary`.
        kind: String,
        /// Value of a gauge or a sum.
        value: Option<f64>,
        /// Unit.
        unit: Option<String>,
        /// `delta cumulative unspecified`.
        temporality: Option<String>,
        /// Start of the interval.
        start_time: Option<Time>,
        /// Number of observations.
        count: Option<i64>,
        /// Sum of observations.
        sum: Option<f64>,
        /// Buckets or quantiles.
        buckets: Option<Json>,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// Namespace of the pod.
        namespace: Option<String>,
        /// Name of the pod.
        pod: Option<String>,
        /// UID of the pod.
        pod_uid: Option<String>,
        /// Attributes, redacted.
        attributes: Json,
        /// Resource attributes, redacted.
        resource_attributes: Json,
        /// Trace id of the first exemplar.
        exemplar_trace_id: Option<String>,
        /// Time prefix and hash of content.
        event_id: EventId,
        /// The configured source.
        source: String,
        /// When the log took it.
        ingest_time: Time,
    }
}
