//! The names by which fields are known, the operator's first: any spelling of a name counts.
//! Istio's ztunnel has names of its own.

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
pub(super) const CODES: &[&str] =
    &["response_code", "http_response_status_code", "http_status_code", "status_code", "status"];
pub(super) const DETAILS: &[&str] = &["response_code_details"];
pub(super) const TERMINATION: &[&str] = &["connection_termination_details"];
pub(super) const FLAGS: &[&str] = &["response_flags"];
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
