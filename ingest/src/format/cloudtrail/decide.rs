//! What AWS decided, by the code of the error, and how it ended.

use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, IdentityKind, Outcome};
use serde_json::Value;

use super::super::fields::Fields;

/// What an error code tells of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nobody: the proof of identity was refused.
    Unauthenticated,
    /// A policy refused.
    Denied,
    /// It would have been allowed.
    Tried,
    /// The request may have failed before anybody decided.
    Nothing,
    /// It was allowed and failed.
    Failed,
}

/// Codes that refuse a proof of identity.
/// <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>
const UNAUTHENTICATED: &[&str] = &[
    "AuthFailure",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "IDPRejectedClaim",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClient",
    "InvalidClientTokenId",
    "InvalidGrant",
    "InvalidIdentityToken",
    "InvalidSecurity",
    "InvalidSecurityToken",
    "InvalidSignature",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingSecurityHeader",
    "NotAuthenticated",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClient",
];

/// Words in codes of refusals by policy; services put their own before and after.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AllAccessDisabled",
    "AuthorizationError",
    "Forbidden",
    "NotAuthorized",
    "Unauthorized",
];

/// Words in codes of services that did not come to decide: too busy, broken, or not subscribed to.
const UNDECIDED: &[&str] = &[
    "AccountProblem",
    "IDPCommunicationError",
    "InternalError",
    "InternalException",
    "InternalFailure",
    "InternalServer",
    "InternalService",
    "NotSignedUp",
    "OptInRequired",
    "RegionDisabled",
    "RequestLimitExceeded",
    "ServiceFailure",
    "ServiceUnavailable",
    "SlowDown",
    "SubscriptionRequired",
    "Throttl",
    "ThroughputExceeded",
    "TooManyRequests",
];

/// The status of HTTP that some services write as the code, also where there is no error.
fn status(code: &str) -> Option<i64> {
    code.parse().ok().filter(|status| (100..600).contains(status))
}

/// What a status of HTTP tells; success is no error.
fn told_by_status(status: i64) -> Option<Told> {
    match status {
        ..=399 => None,
        401 => Some(Told::Unauthenticated),
        403 => Some(Told::Denied),
        429 | 500.. => Some(Told::Nothing),
        _ => Some(Told::Failed),
    }
}

/// Reads a code such as `Client.UnauthorizedOperation`, `KMS.ThrottlingException` or
/// `Throttling.RateExceeded`: services put their own before and after it.
fn told_by(code: &str) -> Told {
    let is = |known: &[&str]| {
        let mut parts = code.split('.').map(|part| part.strip_suffix("Exception").unwrap_or(part));
        parts.any(|part| known.contains(&part))
    };
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if is(UNAUTHENTICATED) {
        Told::Unauthenticated
    } else if has(DENIED) {
        Told::Denied
    } else if is(&["DryRunOperation"]) {
        // <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html>:
        // "If you have the required permissions, the error response is DryRunOperation."
        Told::Tried
    } else if has(UNDECIDED) {
        Told::Nothing
    } else {
        Told::Failed
    }
}

/// The decision and how it ended.
pub(super) fn decide(access: &mut Access, fields: &mut Fields) {
    let code = fields.scalar_if("errorCode");
    let message = fields.text_if("errorMessage");
    let verb = access.verb.as_deref();
    let sign_in = ["responseElements", "serviceEventDetails"]
        .into_iter()
        .find_map(|key| sign_in(verb, fields.get(key)));
    access.status_code = code.as_deref().and_then(status);
    let told = match (&code, sign_in) {
        (Some(code), _) => access.status_code.map_or_else(|| Some(told_by(code)), told_by_status),
        (None, Some(false)) => Some(Told::Unauthenticated),
        (None, None) if message.is_some() => Some(Told::Nothing),
        (None, _) => None,
    };
    let by_service = fields.get("eventType").is_some_and(|kind| kind == "AwsServiceEvent");
    access.decision = match told {
        Some(Told::Denied | Told::Unauthenticated) => Decision::Deny,
        // What a service did by itself nobody had to allow; but a sign-in is told as such an event.
        _ if by_service && sign_in.is_none() => Decision::Unknown,
        None | Some(Told::Failed | Told::Tried) => Decision::Allow,
        Some(Told::Nothing) => Decision::Unknown,
    };
    if told.is_some_and(|told| told != Told::Tried) {
        access.outcome = Outcome::Failure;
    }
    access.dry_run = (told == Some(Told::Tried)).then_some(true);
    access.decided_by = match told {
        Some(Told::Unauthenticated) => Some("authentication".to_owned()),
        // The policy of an endpoint is named after the endpoint.
        Some(Told::Denied) if code.as_deref() == Some("VpceAccessDenied") => {
            fields.get("vpcEndpointId").and_then(Value::as_str).map(str::to_owned)
        }
        Some(Told::Denied) => message.as_deref().and_then(policy).map(str::to_owned),
        _ => None,
    };
    if told == Some(Told::Unauthenticated) {
        access.identity_kind = IdentityKind::Unauthenticated;
    }
    access.status_reason = code;
    if access.decision == Decision::Deny {
        access.decision_reason = message;
    } else {
        fields.keep_text("errorMessage", message);
    }
}

/// The policy that a message ends in: `... with an explicit deny in a service control policy: ARN`. Names
/// of things stand before it, which clients choose, so nothing may follow but what AWS encodes.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
fn policy(message: &str) -> Option<&str> {
    let (_, told) = message.rsplit_once(" with an explicit deny in ")?;
    let (_, told) = told.split_once(": ")?;
    let (arn, rest) = told.split_once(' ').unwrap_or((told, ""));
    let arn = arn.trim_end_matches('.');
    let is_last = rest.is_empty() || rest.starts_with("Encoded authorization failure message");
    (is_last && arn.starts_with("arn:") && arn.contains(":policy/")).then_some(arn)
}

/// Whether somebody signed in, for events that tell: `{"ConsoleLogin": "Failure"}`.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aws-console-sign-in-events.html>
fn sign_in(verb: Option<&str>, response: Option<&Value>) -> Option<bool> {
    match response?.get(verb?)?.as_str()? {
        "Success" => Some(true),
        "Failure" => Some(false),
        _ => None,
    }
}
