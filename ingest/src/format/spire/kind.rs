//! What a line of the log is: most are no accesses.

use serde_json::{Map, Value};

use super::attested;
use super::words::code_of;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A call that was let in, or an item of it.
    Audit,
    /// What a call signed, which a line of level debug tells with its serial number.
    Signed,
    /// A call of the server's API that was refused.
    Refused,
    /// An agent that was not attested, of a server that writes no audit lines.
    NotAttested,
    /// A workload that asked an agent and got nothing.
    NoIdentity,
    /// A workload that asked an agent and got an SVID.
    Fetched,
    /// The pod in which an agent found a process.
    Attested,
    /// A workload that asked an agent for what others get, and may not.
    NoDelegate,
    /// Anything else.
    Other,
}

/// What a line is, by its message and its fields.
pub(super) fn kind(fields: &Map<String, Value>) -> Kind {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_call = fields.contains_key("method") && fields.contains_key("service");
    let is_refusal = matches!(code_of(text("error")), Some("PermissionDenied" | "Unauthenticated"));
    let is_denied = text("error").contains("not authorized for the requested identities");
    match text("msg") {
        "API accessed" if text("type") == "audit" => Kind::Audit,
        "Failed to authenticate caller" => Kind::Refused,
        "Signed X509 SVID" if is_call && fields.contains_key("serial_num") => Kind::Signed,
        "No identity issued" => Kind::NoIdentity,
        "Fetched X.509 SVID" | "Fetched JWT SVID" if is_call && !text("spiffe_id").is_empty() => {
            Kind::Fetched
        }
        "PID attested to have selectors"
            if fields.get("selectors").is_some_and(attested::is_of_pod) =>
        {
            Kind::Attested
        }
        "no identity issued" if is_call => Kind::NoIdentity,
        message if message.contains("not configured as an authorized delegate") => Kind::NoDelegate,
        _ if !is_call => Kind::Other,
        _ if text("subsystem_name") == "api" && is_refusal => Kind::Refused,
        message if text("method") == "AttestAgent" && is_failed_attestation(message) => {
            Kind::NotAttested
        }
        _ if is_denied => Kind::NoIdentity,
        _ => Kind::Other,
    }
}

/// Whether a line says of an agent that what it showed was no proof.
/// <https://github.com/spiffe/spire/blob/main/pkg/server/api/agent/v1/service.go>, `AttestAgent`
fn is_failed_attestation(message: &str) -> bool {
    let message = message.strip_prefix("Invalid argument: ").unwrap_or(message);
    message == "join token expired"
        || message.get(..16).is_some_and(|head| head.eq_ignore_ascii_case("failed to attest"))
}
