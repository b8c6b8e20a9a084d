//! The names by which fields are known, the operator's first: any spelling of a name counts.
//! Istio's ztunnel has names of its own.

use super::super::mapping::Mapping;

/// Which fields fill which column; of several names the first that is there. A name stands for all
/// its spellings, such as `x-request-id` for `x_request_id`.
pub(in crate::format) const MAPPING: &[Mapping] = &[
    Mapping::new(
        "provider",
        "upstream_cluster, response_code_details, connection_termination_details, \
         rbac_metadata, scope, of OTLP resource.node_name: Istio's names",
    ),
    Mapping::new("time", "timeUnixNano, else start_time, or timestamp, or time"),
    Mapping::new("time_suspect", "timeUnixNano, else start_time, or timestamp, or time"),
    Mapping::new("claimed_time", "timeUnixNano, else start_time, or timestamp, or time"),
    Mapping::new("verb", "method, or http_request_method, or http_method"),
    Mapping::new("class_uid", "method, response_code: HTTP Activity, else Network Activity"),
    Mapping::new("activity_id", "method"),
    Mapping::new(
        "request_uri",
        "x_envoy_original_path, or path, or url_path, or http_target, or http_url",
    ),
    Mapping::new("status_code", "response_code, or http_response_status_code, or http_status_code"),
    Mapping::new("status_reason", "response_flags"),
    Mapping::new(
        "stage",
        "access_log_type, else `connection` without method and response_code; a beginning by \
         access_log_type or message is `RequestReceived`: it has no decision",
    ),
    Mapping::new("duration_us", "duration, or duration_ms, milliseconds"),
    Mapping::new(
        "identity",
        "downstream_peer_uri_san, or source_principal, or src.identity, or downstream_peer, else \
         downstream_peer_subject, else upstream_local_uri_san unless it is a gateway's by \
         upstream_local_address, downstream_remote_address; none beside \
         downstream_transport_failure_reason, connection_termination_details",
    ),
    Mapping::new(
        "identity_kind",
        "downstream_peer_uri_san, or source_principal, or src.identity, else \
         downstream_peer_subject, else upstream_local_uri_san unless it is a gateway's by \
         upstream_local_address, downstream_remote_address; none beside \
         downstream_transport_failure_reason, connection_termination_details; without any \
         `unauthenticated` if a handshake failed or response_code, response_code_details, \
         response_flags, grpc_status, error refuse who shows none, of ztunnel by direction; of a \
         connection that matched nothing by response_code_details, upstream_cluster, \
         requested_server_name, downstream_local_address",
    ),
    Mapping::new(
        "identity_realm",
        "downstream_peer_uri_san, or source_principal, or src.identity, else \
         downstream_peer_subject, else upstream_local_uri_san unless it is a gateway's by \
         upstream_local_address, downstream_remote_address; none beside \
         downstream_transport_failure_reason, connection_termination_details: the trust domain",
    ),
    Mapping::new(
        "namespace",
        "downstream_peer_uri_san, or source_principal, or src.identity, else \
         downstream_peer_subject, else upstream_local_uri_san unless it is a gateway's by \
         upstream_local_address, downstream_remote_address; none beside \
         downstream_transport_failure_reason, connection_termination_details: \
         /ns/NAMESPACE/sa/NAME",
    ),
    Mapping::new(
        "service_account",
        "downstream_peer_uri_san, or source_principal, or src.identity, else \
         downstream_peer_subject, else upstream_local_uri_san unless it is a gateway's by \
         upstream_local_address, downstream_remote_address; none beside \
         downstream_transport_failure_reason, connection_termination_details: \
         /ns/NAMESPACE/sa/NAME",
    ),
    Mapping::new("pod", "src.workload of ztunnel, by src.namespace, src.identity"),
    Mapping::new(
        "peer_identity",
        "downstream_local_uri_san, or destination_principal, or dst.identity, else \
         upstream_peer_uri_san unless upstream_transport_failure_reason; none beside \
         downstream_transport_failure_reason, connection_termination_details",
    ),
    Mapping::new(
        "credential_id",
        "downstream_peer_serial, else downstream_peer_fingerprint_256, of \
         downstream_peer_uri_san, or source_principal, or downstream_peer_subject; none beside \
         downstream_transport_failure_reason, connection_termination_details",
    ),
    Mapping::new(
        "credential_kind",
        "downstream_peer_uri_san, or source_principal, or src.identity, else \
         downstream_peer_subject, else upstream_local_uri_san unless it is a gateway's by \
         upstream_local_address, downstream_remote_address; none beside \
         downstream_transport_failure_reason, connection_termination_details, of ztunnel \
         direction; of a connection that matched nothing by response_code_details, \
         upstream_cluster, requested_server_name, downstream_local_address",
    ),
    Mapping::new(
        "source_ip",
        "x_forwarded_for and downstream_direct_remote_address, or downstream_remote_address, or \
         src.addr, the last that is no trusted proxy",
    ),
    Mapping::new("forwarded_for", "x_forwarded_for and downstream_remote_address, the others"),
    Mapping::new("user_agent", "user_agent"),
    Mapping::new("request_id", "x_request_id, or request_id"),
    Mapping::new(
        "claimed_trace_id",
        "of OTLP traceId, else traceparent, or b3, or x_b3_traceid, or trace_id",
    ),
    Mapping::new(
        "claimed_span_id",
        "of OTLP spanId, else traceparent, or b3, or x_b3_spanid, or span_id",
    ),
    Mapping::new(
        "object_name",
        "upstream_cluster, else requested_server_name of Istio, else authority, or \
         dst.service, else dst.workload, else requested_server_name",
    ),
    Mapping::new(
        "object_namespace",
        "upstream_cluster, else requested_server_name of Istio, else authority, or dst.service, \
         else dst.namespace of dst.workload",
    ),
    Mapping::new(
        "decision",
        "downstream_transport_failure_reason, response_code_details, \
         connection_termination_details, error with scope and direction, rbac_metadata, \
         response_code, response_flags, grpc_status, upstream_transport_failure_reason, \
         upstream_host; of a connection that matched nothing upstream_cluster, \
         requested_server_name, downstream_local_address; none of a beginning by \
         access_log_type, message",
    ),
    Mapping::new(
        "decided_by",
        "response_code_details, connection_termination_details, error with scope, \
         rbac_metadata: AuthorizationPolicy/ns/name; `authentication` by \
         downstream_transport_failure_reason, response_code, grpc_status; `ext_authz` by \
         response_flags; by access_log_type; of a connection that matched nothing by \
         response_code_details, upstream_cluster, requested_server_name, downstream_local_address",
    ),
    Mapping::new(
        "decision_reason",
        "downstream_transport_failure_reason, else response_code_details, else \
         connection_termination_details, else error with scope, else \
         upstream_transport_failure_reason",
    ),
    Mapping::new(
        "outcome",
        "response_code, response_code_details, response_flags, grpc_status, rbac_metadata, \
         downstream_transport_failure_reason, upstream_transport_failure_reason, \
         connection_termination_details, error with scope",
    ),
];

pub(super) const TIMES: &[&str] = &["time_unix_nano", "start_time", "timestamp", "time", "ts"];
pub(super) const METHODS: &[&str] = &["method", "http_request_method", "http_method", "req_method"];
pub(super) const PATHS: &[&str] = &[
    "x_envoy_original_path",
    "x_envoy_origin_path",
    "path",
    "url_path",
    "http_target",
    "url_full",
    "http_url",
    "req_path",
    "uri",
];
pub(super) const CODES: &[&str] = &[
    "response_code",
    "http_response_status_code",
    "http_status_code",
    "status_code",
    "status",
    "code",
];
pub(super) const DETAILS: &[&str] = &["response_code_details"];
pub(super) const TERMINATION: &[&str] = &["connection_termination_details"];
pub(super) const FLAGS: &[&str] = &["response_flags", "response_flags_long"];
pub(super) const DOWNSTREAM_FAILURE: &[&str] = &["downstream_transport_failure_reason"];
pub(super) const UPSTREAM_FAILURE: &[&str] = &["upstream_transport_failure_reason"];
pub(super) const DURATIONS: &[&str] = &["duration", "duration_ms"];
pub(super) const AGENTS: &[&str] = &["user_agent", "user_agent_original", "http_user_agent"];
pub(super) const REQUEST_IDS: &[&str] = &["x_request_id", "request_id", "guid_x_request_id"];
pub(super) const FORWARDED: &[&str] = &["x_forwarded_for", "forwarded_for"];
pub(super) const REMOTE: &[&str] = &[
    "downstream_direct_remote_address",
    "downstream_remote_address",
    "downstream_remote_address_without_port",
    "source_address",
    "client_address",
    "network_peer_address",
    "src_addr",
];
pub(super) const PEERS: &[&str] = &[
    "downstream_peer_uri_san",
    "source_principal",
    "peer_spiffe_id",
    "source_identity",
    "src_identity",
];
/// Names that people give to the same, which may as well be an address: only a SPIFFE ID counts. Others
/// may be headers that a client sends.
pub(super) const NAMED_PEERS: &[&str] = &["downstream_peer", "downstream_peer_san", "peer_uri_san"];
pub(super) const LOCALS: &[&str] =
    &["downstream_local_uri_san", "destination_principal", "destination_identity", "dst_identity"];
pub(super) const UPSTREAM_PEERS: &[&str] = &["upstream_peer_uri_san", "upstream_principal"];
pub(super) const UPSTREAM_LOCALS: &[&str] = &["upstream_local_uri_san", "upstream_local_principal"];
pub(super) const SERIALS: &[&str] = &["downstream_peer_serial", "peer_serial"];
pub(super) const FINGERPRINTS: &[&str] =
    &["downstream_peer_fingerprint_256", "peer_fingerprint_256"];
pub(super) const CLUSTERS: &[&str] = &["upstream_cluster", "upstream_cluster_raw"];
pub(super) const UPSTREAM_HOSTS: &[&str] = &["upstream_host", "upstream_remote_address"];
pub(super) const SERVER_NAMES: &[&str] = &["requested_server_name"];
pub(super) const AUTHORITIES: &[&str] =
    &["dst_service", "authority", "host", "server_address", "http_host"];
/// Where a connection came to.
pub(super) const LOCAL_ADDRESSES: &[&str] = &["downstream_local_address"];
/// What a certificate without URIs says of whom it is.
pub(super) const SUBJECTS: &[&str] = &["downstream_peer_subject", "peer_subject"];
/// This proxy's own end of its connection to the upstream.
pub(super) const UPSTREAM_LOCAL_ADDRESSES: &[&str] = &["upstream_local_address"];
/// Where ztunnel says that a connection went that asked for no service.
pub(super) const WORKLOADS: &[&str] = &["dst_workload"];
pub(super) const NAMESPACES: &[&str] = &["dst_namespace"];
/// Where ztunnel says that it came from: the name of a workload is its pod's.
/// <https://github.com/istio/ztunnel/blob/master/src/proxy/metrics.rs>
pub(super) const SOURCE_WORKLOADS: &[&str] = &["src_workload"];
pub(super) const SOURCE_NAMESPACES: &[&str] = &["src_namespace"];
/// Which way a connection went, and what happened to it, as ztunnel says.
pub(super) const DIRECTIONS: &[&str] = &["direction"];
pub(super) const MESSAGES: &[&str] = &["message"];
/// What ztunnel says of a connection that ended badly, and where it says that a line is an access.
pub(super) const ERRORS: &[&str] = &["error"];
pub(super) const SCOPES: &[&str] = &["scope"];
pub(super) const LOG_TYPES: &[&str] = &["access_log_type"];
pub(super) const CONNECTIONS: &[&str] = &["connection_id"];
pub(super) const GRPC: &[&str] = &["grpc_status", "grpc_status_number", "rpc_grpc_status_code"];

/// Fields that only access logs of proxies have.
pub(super) const TELLING: &[&str] = &[
    "response_code_details",
    "response_flags",
    "response_flags_long",
    "connection_termination_details",
    "downstream_transport_failure_reason",
    "upstream_transport_failure_reason",
    "upstream_cluster",
    "upstream_host",
    "upstream_local_address",
    "upstream_peer_uri_san",
    "downstream_peer_uri_san",
    "downstream_local_uri_san",
    "downstream_remote_address",
    "downstream_local_address",
];
