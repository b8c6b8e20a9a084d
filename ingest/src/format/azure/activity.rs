//! Format `azure-activity`: one record of the Azure Activity Log, or of a resource's own log, in,
//! one access out.
//!
//! <https://learn.microsoft.com/en-us/azure/azure-monitor/platform/activity-log-schema>. One operation
//! has several records (`Start`, `Accept`, `Success`), which are its stages. Whoever calls is told by
//! the claims of the token; the `uti` among them is the id that the sign-in gave to the token.

use durward_schemas::Time;
use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome, Provider};
use serde_json::{Map, Value};

use super::super::cloud::{Record, Request, address, stored};
use super::super::fields::Fields;
use super::super::mapping::Mapping;
use super::super::{Context, Failure, Format};
use super::{Principal, name, subscription, take_name};
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
    Mapping::new("activity_id", "operationName"),
    Mapping::new("object_name", "resourceId"),
    Mapping::new("account", "resourceId, its subscription"),
    Mapping::new("region", "location"),
    Mapping::new("source_ip", "callerIpAddress, else httpRequest.clientIpAddress"),
    Mapping::new("user_agent", "properties.userAgentHeader"),
    Mapping::new(
        "extra",
        "identity.claims, else properties.appId, properties.servicePrincipalId, properties.userId, \
         properties.tenantId, properties.signInActivityId where there is properties.requestMethod",
    ),
    Mapping::new(
        "identity",
        "identity.claims (xms_mirid, upn, email, name, appid, oid), else properties.appId, \
         properties.servicePrincipalId, properties.userId where there is properties.requestMethod, else caller, identity.type",
    ),
    Mapping::new(
        "identity_kind",
        "identity.claims (xms_mirid, upn, email, name, appid, oid), else properties.appId, \
         properties.servicePrincipalId, properties.userId where there is properties.requestMethod, else caller, identity.type; \
         identity.authorization.evidence.principalType",
    ),
    Mapping::new(
        "identity_realm",
        "identity.claims (tid), else properties.tenantId where there is properties.requestMethod, else tenantId",
    ),
    Mapping::new(
        "identity_uid",
        "identity.claims (oid), else properties.servicePrincipalId, else properties.userId where \
         there is properties.requestMethod",
    ),
    Mapping::new(
        "credential_id",
        "identity.claims (uti), else properties.signInActivityId where there is properties.requestMethod",
    ),
    Mapping::new(
        "credential_kind",
        "identity.claims (uti), else properties.signInActivityId where there is properties.requestMethod",
    ),
    Mapping::new("annotations", "identity.authorization"),
    Mapping::new(
        "decision",
        "statusCode, properties.statusCode, properties.httpStatusCode, \
         properties.responseStatusCode, resultSignature, resultType, operationName",
    ),
    Mapping::new(
        "outcome",
        "statusCode, properties.statusCode, properties.httpStatusCode, \
         properties.responseStatusCode, resultSignature, resultType",
    ),
    Mapping::new(
        "status_code",
        "statusCode, else properties.statusCode, else properties.httpStatusCode, else \
         properties.responseStatusCode, else resultSignature",
    ),
    Mapping::new("status_reason", "resultSignature"),
    Mapping::new(
        "decision_reason",
        "properties.statusMessage, else resultDescription; where statusCode, \
         properties.statusCode, properties.httpStatusCode, properties.responseStatusCode, \
         resultSignature or operationName tells of a refusal",
    ),
    Mapping::new(
        "decided_by",
        "identity.authorization.evidence.roleAssignmentId, else \
         identity.authorization.roleAssignmentId of the first, resultSignature, statusCode, \
         properties.statusCode, properties.httpStatusCode, properties.responseStatusCode, \
         operationName",
    ),
    Mapping::new("decided_role", "identity.authorization.evidence.role"),
    Mapping::new(
        "decided_subject",
        "identity.authorization.evidence.principalType, \
         identity.authorization.evidence.principalId",
    ),
    Mapping::new("request_object", "properties.requestbody"),
    Mapping::new("response_object", "properties.responseBody"),
];

/// Claims are named by URIs in tokens of version 1: the short name, and what the URI ends in.
const CLAIMS: &[(&str, &[&str])] = &[
    (
        "oid",
        &[
            "oid",
            "objectId",
            "http://schemas.microsoft.com/identity/claims/objectidentifier",
            "servicePrincipalId",
            "userId",
        ],
    ),
    ("tid", &["tid", "tenantId", "http://schemas.microsoft.com/identity/claims/tenantid"]),
    ("upn", &["upn", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"]),
    ("email", &["email", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"]),
    ("name", &["unique_name", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"]),
    ("appid", &["appid", "appId", "azp"]),
    ("uti", &["uti", "signInActivityId"]),
    ("xms_mirid", &["xms_mirid"]),
];

/// The properties that columns take, and the parts of an identity: services do not agree on their case.
const PROPERTIES: &[&str] = &[
    "statusCode",
    "httpStatusCode",
    "responseStatusCode",
    "statusMessage",
    "eventDataId",
    "userAgentHeader",
    "requestBody",
    "responseBody",
];
const IDENTITY: &[&str] = &["claims", "claim", "authorization", "requester", "type"];

/// Reads one record.
pub(in super::super) fn read(
    record: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    let mut record = Record::open(record, context);
    let fields = &mut record.fields;
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
    who(&mut access, fields);
    outcome(&mut access, fields);
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
    access.activity_id = normalize::activity_of(verb);
}

fn source(access: &mut Access, fields: &mut Fields) {
    let caller = fields.get("callerIpAddress").and_then(Value::as_str).and_then(address);
    if caller.is_some() {
        fields.take("callerIpAddress");
    }
    let client = || fields.inside("httpRequest", |request| request.text_if("clientIpAddress"));
    access.source_ip = caller.or_else(client);
    access.user_agent = fields.inside("properties", |more| more.text_if("userAgentHeader"));
    if access.source_event_id.is_none() {
        access.source_event_id = fields.inside("properties", |more| more.text_if("eventDataId"));
    }
}

/// Who called, by the claims of the token, and which role let in.
fn who(access: &mut Access, fields: &mut Fields) {
    let caller = fields.text_if("caller");
    let tenant = fields.text_if("tenantId");
    let own = [fields.take("claims"), fields.take("authorization")];
    let (claims, authorization, requester) = fields.inside("identity", |identity| {
        let claims = identity.take("claims").or_else(|| identity.take("claim"));
        (claims, identity.take("authorization"), identity.take("requester"))
    });
    let [own_claims, own_authorization] = own;
    // A storage account has a requester, whose fields are named as claims are; the log of requests to
    // Microsoft Graph has them among its properties.
    let claims = claims.or(own_claims).or(requester).or_else(|| of_graph(fields.get("properties")));
    let authorization = authorization.or(own_authorization);
    let claim = |name: &str| {
        let (_, keys) = CLAIMS.iter().find(|(short, _)| *short == name)?;
        let claims = claims.as_ref()?;
        let found = keys.iter().find_map(|key| claims.get(*key)?.as_str());
        found.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let evidence = |key: &str| {
        // A storage account has a list of what it checked.
        let found = authorization.as_ref()?;
        found.get("evidence").or_else(|| found.get(0))?.get(key)?.as_str()
    };
    let sort = fields.inside("identity", |identity| identity.get("type").cloned());
    let caller_is_user = caller.as_deref().is_some_and(|caller| caller.contains('@'));
    let [caller_user, caller_app] = match caller {
        Some(caller) if caller_is_user => [Some(caller), None],
        caller => [None, caller],
    };
    let principal = Principal {
        tenant: claim("tid").or(tenant),
        user: ["upn", "email", "name"].into_iter().find_map(claim).or(caller_user),
        app: claim("appid"),
        object: claim("oid").or(caller_app),
        is_managed_identity: claim("xms_mirid").is_some(),
        is_user: evidence("principalType") == Some("User") || is_user_of_graph(claims.as_ref()),
    };
    principal.fill(access);
    if access.identity.is_none() && sort.is_some_and(|sort| sort == "Anonymous") {
        access.identity_kind = IdentityKind::Anonymous;
        access.identity = Some("anonymous".to_owned());
    }
    access.credential_id = claim("uti").map(|uti| CredentialId(format!("UTI={uti}")));
    access.credential_kind = access.credential_id.as_ref().map(|_| CredentialKind::CloudSession);
    access.decided_by = evidence("roleAssignmentId").map(|id| format!("roleAssignments/{id}"));
    access.decided_role = evidence("role").map(str::to_owned);
    access.decided_subject = evidence("principalType")
        .zip(evidence("principalId"))
        .map(|(kind, id)| format!("{kind}/{id}"));
    access.extra = claims.as_ref().map(stored);
    access.annotations = authorization.as_ref().map(stored);
}

/// Who called Microsoft Graph.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/microsoftgraphactivitylogs>
fn of_graph(properties: Option<&Value>) -> Option<Value> {
    let properties = properties?.as_object()?;
    let is_asked = properties.contains_key("requestMethod");
    let named = ["appId", "servicePrincipalId", "userId", "tenantId", "signInActivityId"];
    let claims = named.iter().filter_map(|key| {
        let value = properties.get(*key).filter(|value| !value.is_null() && **value != "")?;
        Some(((*key).to_owned(), value.clone()))
    });
    let claims: Map<String, Value> = claims.collect();
    (is_asked && !claims.is_empty()).then_some(Value::Object(claims))
}

fn is_user_of_graph(claims: Option<&Value>) -> bool {
    claims.is_some_and(|claims| claims.get("userId").is_some())
}

/// How it ended and what was decided.
fn outcome(access: &mut Access, fields: &mut Fields) {
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
        (status, more.text_if("statusMessage"))
    });
    let statuses = [own, status, signature.clone()];
    access.status_code = statuses.iter().flatten().find_map(|text| http_status(text));
    access.status_reason = signature;
    let stage = access.stage.as_deref().unwrap_or_default();
    let has_failed = ["Fail", "ClientError", "ServerError"].iter().any(|word| stage.contains(word));
    let has_ended = stage.starts_with("Succe") || stage.starts_with("Accept");
    access.decision = match access.status_code {
        Some(401 | 403) => Decision::Deny,
        Some(_) => Decision::Allow,
        None if has_failed => Decision::Unknown,
        None if has_ended => Decision::Allow,
        None => Decision::Unknown,
    };
    if is_refused_by_policy(access) {
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
    if has_failed || access.status_code.is_some_and(|code| code >= 400) {
        access.outcome = Outcome::Failure;
    }
    match (access.decision, access.status_code) {
        (Decision::Deny, Some(401)) => access.decided_by = Some("authentication".to_owned()),
        // The evidence names the role that would let in, which is not what refused.
        (Decision::Deny, _) => access.decided_by = None,
        _ => {}
    }
}

/// Whether Azure Policy says that it let a request not happen.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/platform/activity-log-schema#policy-category>
fn is_refused_by_policy(access: &Access) -> bool {
    let verb = access.verb.as_deref().unwrap_or_default();
    verb.eq_ignore_ascii_case("Microsoft.Authorization/policies/deny/action")
}

/// Takes a body, which stands there as text.
fn take_json(fields: &mut Fields, key: &str) -> Option<durward_schemas::cell::Json> {
    match fields.take(key)? {
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
