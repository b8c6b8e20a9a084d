//! Format `azure-activity`: one record of the Azure Activity Log, or of a resource's own log, in,
//! one access out.
//!
//! <https://learn.microsoft.com/en-us/azure/azure-monitor/platform/activity-log-schema>. One operation
//! has several records (`Start`, `Accept`, `Success`), which are its stages. Whoever calls is told by
//! the claims of the token; the `uti` among them is the id that the sign-in gave to the token.

mod diagnostics;
mod refused;
mod tables;
mod who;

use durward_schemas::Time;
use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, Outcome, Provider};
use serde_json::{Map, Value};

use super::super::cloud::{Record, Request, address, stored};
use super::super::fields::Fields;
use super::super::mapping::Mapping;
use super::super::{Context, Failure, Format};
use super::{name, subscription, take_name};
use crate::normalize;

/// Which field of a record fills which column.
pub(in super::super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "time"),
    Mapping::new("time_suspect", "time"),
    Mapping::new("claimed_time", "time"),
    Mapping::new("duration_us", "durationMs"),
    Mapping::new("stage", "resultType"),
    Mapping::new("source_event_id", "eventDataId, else properties.eventDataId"),
    Mapping::new("request_id", "correlationId"),
    Mapping::new("verb", "operationName"),
    Mapping::new("api_group", "operationName, up to the first slash"),
    Mapping::new("resource", "operationName, between the first slash and the last"),
    Mapping::new("activity_id", "properties.requestMethod, else operationName"),
    Mapping::new("object_name", "resourceId"),
    Mapping::new("account", "resourceId, its subscription"),
    Mapping::new("region", "location"),
    Mapping::new("source_ip", "callerIpAddress, else httpRequest.clientIpAddress"),
    Mapping::new(
        "user_agent",
        "properties.userAgentHeader, else properties.userAgent, else properties.clientInfo",
    ),
    Mapping::new("request_uri", "uri, else properties.requestUri"),
    Mapping::new(
        "extra",
        "identity.claims, else identity.requester, else properties.CallerInfo, properties.TenantID, else properties.appId, properties.servicePrincipalId, properties.userId, \
         properties.tenantId, properties.signInActivityId where there is properties.requestMethod",
    ),
    Mapping::new(
        "identity",
        "identity.claims (xms_mirid, upn, email, name, appid, oid), else identity.requester, else properties.appId, \
         properties.servicePrincipalId, properties.userId where there is properties.requestMethod, \
         else properties.CallerInfo, else caller, identity.type",
    ),
    Mapping::new(
        "identity_kind",
        "identity.claims (xms_mirid, upn, email, name, appid, oid), else identity.requester, else properties.appId, \
         properties.servicePrincipalId, properties.userId where there is properties.requestMethod, \
         else properties.CallerInfo, else caller, identity.type; \
         identity.authorization.evidence.principalType, else \
         identity.authorization.principals.type of the first",
    ),
    Mapping::new(
        "identity_realm",
        "identity.claims (tid), else identity.requester, else properties.tenantId where there is properties.requestMethod, \
         else properties.TenantID where there is properties.CallerInfo, else tenantId",
    ),
    Mapping::new(
        "identity_uid",
        "identity.claims (oid), else identity.requester, else properties.servicePrincipalId, else properties.userId where \
         there is properties.requestMethod, else properties.CallerInfo, else caller",
    ),
    Mapping::new(
        "credential_id",
        "identity.claims (uti), else properties.signInActivityId where there is properties.requestMethod",
    ),
    Mapping::new(
        "credential_kind",
        "identity.claims (uti), else properties.signInActivityId where there is \
         properties.requestMethod, else identity.type",
    ),
    Mapping::new("annotations", "identity.authorization"),
    Mapping::new(
        "decision",
        "statusCode, properties.statusCode, properties.httpStatusCode, \
         properties.responseStatusCode, resultSignature, resultType, operationName, \
         properties.statusMessage, identity.authorization",
    ),
    Mapping::new(
        "outcome",
        "statusCode, properties.statusCode, properties.httpStatusCode, \
         properties.responseStatusCode, resultSignature, resultType, operationName",
    ),
    Mapping::new(
        "status_code",
        "statusCode, else properties.statusCode, else properties.httpStatusCode, else \
         properties.responseStatusCode, else resultSignature",
    ),
    Mapping::new("status_reason", "resultSignature, else statusText"),
    Mapping::new(
        "decision_reason",
        "properties.statusMessage, else resultDescription; where statusCode, \
         properties.statusCode, properties.httpStatusCode, properties.responseStatusCode, \
         resultSignature or operationName tells of a refusal",
    ),
    Mapping::new(
        "decided_by",
        "identity.authorization.evidence.roleAssignmentId, else \
         identity.authorization.roleAssignmentId of the first, else properties.policies, else \
         properties.statusMessage; identity.authorization.result, resultSignature, statusCode, \
         properties.statusCode, properties.httpStatusCode, properties.responseStatusCode, \
         operationName",
    ),
    Mapping::new("decided_role", "identity.authorization.evidence.role"),
    Mapping::new(
        "decided_subject",
        "identity.authorization.evidence.principalType, \
         identity.authorization.evidence.principalId, else \
         identity.authorization.principals of the first",
    ),
    Mapping::new("request_object", "properties.requestbody"),
    Mapping::new("response_object", "properties.responseBody"),
];

/// The properties that columns take, and the parts of an identity: services do not agree on their case.
const PROPERTIES: &[&str] = &[
    "statusCode",
    "httpStatusCode",
    "responseStatusCode",
    "statusMessage",
    "eventDataId",
    "userAgentHeader",
    "userAgent",
    "clientInfo",
    "requestUri",
    "requestMethod",
    "policies",
    "requestBody",
    "responseBody",
];
/// What storage accounts have beside the common fields.
const STORAGE: &[&str] = &["uri", "statusText"];
const IDENTITY: &[&str] = &["claims", "claim", "authorization", "requester", "type"];

/// Reads one record.
pub(in super::super) fn read(
    record: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    let application = diagnostics::application(&record);
    let mut record = Record::open(record, context);
    let fields = &mut record.fields;
    fields.spell(STORAGE);
    tables::gather(fields);
    diagnostics::gather(fields);
    diagnostics::runtime(fields, application);
    fields.inside("properties", |more| more.spell(PROPERTIES));
    fields.inside("identity", |identity| identity.spell(IDENTITY));
    let mut access = Access {
        provider: Provider::Azure,
        source: context.source.to_owned(),
        format: Format::AzureActivity.name().to_owned(),
        verb: take_name(fields, "operationName"),
        object_name: fields.text_if("resourceId"),
        region: fields.text_if("location"),
        request_id: fields.text_if("correlationId"),
        source_event_id: fields.text_if("eventDataId"),
        stage: take_name(fields, "resultType"),
        ..Access::default()
    };
    if access.verb.is_none() {
        return Err(not_a_record());
    }
    let claim = fields.text_if("time");
    operation(&mut access);
    access.account = access.object_name.as_deref().and_then(subscription);
    source(&mut access, fields);
    let millis = fields.scalar_if("durationMs").and_then(|text| text.parse::<i64>().ok());
    access.duration_us = millis.map(|millis| millis.saturating_mul(1000));
    let has_refused = who::who(&mut access, fields);
    outcome(&mut access, fields, has_refused);
    record.time(&mut access, claim.as_deref(), context);
    let correlation = access.request_id.clone().unwrap_or_default();
    // Stages of one operation share it, and have a time each. Without it a record stands alone.
    let time = if correlation.is_empty() { record.claimed() } else { Time::default() };
    let request = Request {
        id: &correlation,
        time,
        user: &access.identity.clone().unwrap_or_default(),
        target: &access.object_name.clone().unwrap_or_default(),
    };
    Ok(record.close(access, &request))
}

fn not_a_record() -> Failure {
    Failure::new("not_an_azure_record", "the item has no operationName")
        .hint("records: https://learn.microsoft.com/en-us/azure/azure-monitor/platform/resource-logs-schema")
}

/// `Microsoft.Storage/storageAccounts/blobServices/write`: the service, the sort, the activity.
fn operation(access: &mut Access) {
    let verb = access.verb.as_deref().unwrap_or_default();
    let parts = verb.split_once('/');
    access.api_group = parts.map(|(service, _)| service.to_owned());
    let sort = parts.and_then(|(_, rest)| rest.rsplit_once('/'));
    access.resource = sort.map(|(sort, _)| sort.to_owned());
    access.activity_id = activity(verb);
}

/// What an operation does. Key Vault and storage accounts write one word for it, in which the sort may
/// stand first: `SecretListVersions`, `GetBlob`.
/// <https://learn.microsoft.com/en-us/azure/key-vault/general/logging#interpret-your-key-vault-logs>
fn activity(operation: &str) -> i64 {
    let other = normalize::activity_of("");
    let whole = normalize::activity_of(operation);
    if whole != other || operation.contains(['/', ' ', '.']) {
        return whole;
    }
    let starts = operation.char_indices().filter(|(_, c)| c.is_ascii_uppercase());
    let words = starts.filter_map(|(at, _)| operation.get(at..));
    words.map(normalize::activity_of).find(|activity| *activity != other).unwrap_or(other)
}

fn source(access: &mut Access, fields: &mut Fields) {
    let caller = fields.get("callerIpAddress").and_then(Value::as_str).and_then(address);
    if caller.is_some() {
        fields.take("callerIpAddress");
    }
    let client = || fields.inside("httpRequest", |request| request.text_if("clientIpAddress"));
    access.source_ip = caller.or_else(client);
    // Storage accounts, Microsoft Graph and Key Vault name them differently.
    let own = fields.text_if("uri");
    fields.inside("properties", |more| {
        let agents = ["userAgentHeader", "userAgent", "clientInfo"];
        access.user_agent = agents.into_iter().find_map(|key| more.text_if(key));
        access.request_uri = own.or_else(|| more.text_if("requestUri"));
        if let Some(method) = more.get("requestMethod").and_then(Value::as_str) {
            access.activity_id = normalize::activity(&method.to_ascii_lowercase());
        }
    });
    if access.source_event_id.is_none() {
        access.source_event_id = fields.inside("properties", |more| more.text_if("eventDataId"));
    }
}

/// How it ended and what was decided. `has_refused`: no role lets in, of all that were checked.
fn outcome(access: &mut Access, fields: &mut Fields, has_refused: bool) {
    let signature = fields.get("resultSignature").and_then(name).map(str::to_owned);
    let signature = match signature {
        None => fields.scalar_if("resultSignature"),
        signature => {
            fields.take("resultSignature");
            signature
        }
    };
    let own = fields.scalar_if("statusCode");
    let described = fields.text_if("resultDescription");
    let (status, message) = fields.inside("properties", |more| {
        access.request_object = take_json(more, "requestBody");
        access.response_object = take_json(more, "responseBody");
        let status = ["statusCode", "httpStatusCode", "responseStatusCode"];
        let status = status.into_iter().find_map(|key| more.scalar_if(key));
        // The Collector of OpenTelemetry parses the text.
        let message = more.text_if("statusMessage").or_else(|| {
            more.get("statusMessage").filter(|told| told.is_object())?;
            more.take("statusMessage").map(|told| told.to_string())
        });
        (status, message)
    });
    let statuses = [own, status, signature.clone()];
    access.status_code = statuses.iter().flatten().find_map(|text| http_status(text));
    access.status_reason = signature.or_else(|| fields.text_if("statusText"));
    let stage = access.stage.as_deref().unwrap_or_default();
    let has_failed = ["Fail", "ClientError", "ServerError"].iter().any(|word| stage.contains(word));
    let has_ended = stage.starts_with("Succe") || stage.starts_with("Accept");
    let was_let_in = access.decided_by.is_some();
    let policy = refused::by_policy(access, fields.get("properties"), message.as_deref());
    access.decision = match access.status_code {
        Some(401 | 403) => Decision::Deny,
        // A service that is too busy, or broken, may not have come to decide.
        Some(429 | 500..) if !was_let_in => Decision::Unknown,
        Some(_) => Decision::Allow,
        None if has_failed => Decision::Unknown,
        None if has_ended => Decision::Allow,
        None => Decision::Unknown,
    };
    let has_worked = access.status_code.is_some_and(|code| code < 400);
    if policy.is_some() || (has_refused && !has_worked) {
        access.decision = Decision::Deny;
    }
    if !access.is_deciding() {
        access.decision = Decision::Unknown;
    }
    if access.decision == Decision::Deny {
        access.decision_reason = message.or(described);
    } else {
        fields.keep_text("resultDescription", described);
        fields.inside("properties", |more| more.keep_text("statusMessage", message));
    }
    let is_refused = access.decision == Decision::Deny;
    if is_refused || has_failed || access.status_code.is_some_and(|code| code >= 400) {
        access.outcome = Outcome::Failure;
    }
    match (access.decision, access.status_code) {
        (Decision::Deny, Some(401)) => access.decided_by = Some("authentication".to_owned()),
        // The evidence names the role that would let in, which is not what refused.
        (Decision::Deny, _) => access.decided_by = policy.and_then(|by| by.assignment),
        _ => {}
    }
}

/// Takes a body, which stands there as text.
fn take_json(fields: &mut Fields, key: &str) -> Option<durward_schemas::cell::Json> {
    match fields.take(key)? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => {
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Some(stored(&value))
        }
        value => Some(stored(&value)),
    }
}

/// `403`, `Forbidden`, `Failed.Forbidden`, `Forbidden (HTTP Status Code: 403)`: a status is a number,
/// or a name of .NET for one.
/// <https://learn.microsoft.com/en-us/dotnet/api/system.net.httpstatuscode>
fn http_status(text: &str) -> Option<i64> {
    const NAMES: &[(&str, i64)] = &[
        ("OK", 200),
        ("Created", 201),
        ("Accepted", 202),
        ("NoContent", 204),
        ("BadRequest", 400),
        ("Unauthorized", 401),
        ("Forbidden", 403),
        ("NotFound", 404),
        ("MethodNotAllowed", 405),
        ("Conflict", 409),
        ("Gone", 410),
        ("PreconditionFailed", 412),
        ("TooManyRequests", 429),
        ("InternalServerError", 500),
        ("BadGateway", 502),
        ("ServiceUnavailable", 503),
        ("GatewayTimeout", 504),
    ];
    let mut words = text.rsplit(|c: char| !c.is_ascii_alphanumeric());
    let status = |word: &str| {
        let number = word.parse().ok().filter(|number| (100..600).contains(number));
        let named = NAMES.iter().find(|(name, _)| *name == word).map(|(_, status)| *status);
        number.or(named)
    };
    // `Accepted.Created`: what was answered stands last.
    words.find_map(status)
}

#[cfg(test)]
mod tests;
