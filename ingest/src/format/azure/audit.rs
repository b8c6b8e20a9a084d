//! Format `azure-audit`: one record of the audit log of Microsoft Entra in, one access out: who
//! changed which application, credential, role or policy of the directory.
//!
//! <https://learn.microsoft.com/en-us/graph/api/resources/directoryaudit>. What was changed to what
//! stands in `request_object` (`targetResources`, with their modified properties).

use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, Outcome, Provider};
use serde_json::{Map, Value};

use super::super::cloud::{Record, Request, address, stored};
use super::super::fields::{self, Fields};
use super::super::mapping::Mapping;
use super::super::{Context, Failure, Format};
use super::{Principal, read_text, take_name};
use crate::normalize;

/// Which field of a record fills which column.
pub(in super::super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "properties.activityDateTime, else time"),
    Mapping::new("time_suspect", "properties.activityDateTime, else time"),
    Mapping::new("claimed_time", "properties.activityDateTime, else time"),
    Mapping::new("source_event_id", "properties.id"),
    Mapping::new("request_id", "properties.correlationId, else correlationId"),
    Mapping::new("verb", "properties.activityDisplayName, else operationName"),
    Mapping::new("activity_id", "properties.operationType"),
    Mapping::new("api_group", "properties.loggedByService"),
    Mapping::new("resource", "properties.targetResources.type of the first"),
    Mapping::new("object_name", "properties.targetResources.displayName of the first"),
    Mapping::new("object_uid", "properties.targetResources.id of the first"),
    Mapping::new(
        "identity",
        "properties.initiatedBy.user.userPrincipalName, else properties.initiatedBy.user.id, else \
         properties.initiatedBy.app.appId, else properties.initiatedBy.app.servicePrincipalId",
    ),
    Mapping::new(
        "identity_kind",
        "properties.initiatedBy.user.userPrincipalName, else properties.initiatedBy.user.id, else \
         properties.initiatedBy.app.appId, else properties.initiatedBy.app.servicePrincipalId",
    ),
    Mapping::new("identity_realm", "tenantId"),
    Mapping::new(
        "identity_uid",
        "properties.initiatedBy.user.id, else properties.initiatedBy.app.servicePrincipalId",
    ),
    Mapping::new("extra", "properties.initiatedBy"),
    Mapping::new("source_ip", "properties.initiatedBy.user.ipAddress, else callerIpAddress"),
    Mapping::new(
        "user_agent",
        "properties.userAgent, else userAgent, else properties.additionalDetails[User-Agent]",
    ),
    Mapping::new("region", "location"),
    Mapping::new("request_object", "properties.targetResources"),
    Mapping::new("decision", "properties.result, properties.resultReason, else result"),
    Mapping::new("outcome", "properties.result, else result"),
    Mapping::new("status_reason", "properties.result, else result"),
    Mapping::new("decision_reason", "properties.resultReason, else resultDescription"),
    Mapping::new("annotations", "properties.additionalDetails"),
];

/// The fields of a record, as Microsoft Graph spells them.
const SPELLING: &[&str] = &[
    "id",
    "activityDateTime",
    "activityDisplayName",
    "operationType",
    "loggedByService",
    "initiatedBy",
    "targetResources",
    "additionalDetails",
    "result",
    "resultReason",
    "AADOperationType",
];

/// Objects that Log Analytics may have as texts.
const PARSED: &[&str] = &["initiatedBy", "targetResources", "additionalDetails"];

/// Reads one record.
pub(in super::super) fn read(
    mut record: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    gather(&mut record);
    let mut record = Record::open(record, context);
    let fields = &mut record.fields;
    let mut access = Access {
        provider: Provider::Azure,
        source: context.source.to_owned(),
        format: Format::AzureAudit.name().to_owned(),
        region: fields.text_if("location"),
        identity_realm: fields.text_if("tenantId"),
        ..Access::default()
    };
    let operation = take_name(fields, "operationName");
    let correlation = fields.text_if("correlationId");
    let logged = fields.text_if("time");
    let caller = fields.text_if("callerIpAddress");
    let described = fields.text_if("resultDescription");
    let result = fields.text_if("result");
    let beside = fields.text_if("userAgent");
    let claim = fields.inside("properties", |more| {
        access.source_event_id = more.text_if("id");
        access.request_id = more.text_if("correlationId");
        access.verb = more.text_if("activityDisplayName");
        access.api_group = more.text_if("loggedByService");
        let kind = more.text_if("operationType").or_else(|| more.text_if("AADOperationType"));
        let kind = kind.unwrap_or_default();
        access.activity_id = normalize::activity_of(&kind);
        who(&mut access, more);
        what(&mut access, more);
        outcome(&mut access, more, result);
        let details = more.take("additionalDetails");
        access.user_agent =
            more.text_if("userAgent").or(beside).or_else(|| agent(details.as_ref()));
        access.annotations = details.as_ref().map(stored);
        more.text_if("activityDateTime")
    });
    access.verb = access.verb.take().or(operation);
    if access.verb.is_none() {
        return Err(Failure::new("not_an_azure_record", "the record names no activity"));
    }
    access.request_id = access.request_id.take().or(correlation);
    access.decision_reason = access.decision_reason.take().or(described);
    access.source_ip = access.source_ip.take().or_else(|| caller.as_deref().and_then(address));
    record.time(&mut access, claim.or(logged).as_deref(), context);
    let request = Request {
        id: &access.source_event_id.clone().or(access.request_id.clone()).unwrap_or_default(),
        time: record.claimed(),
        user: &access.identity.clone().unwrap_or_default(),
        target: &access.object_uid.clone().unwrap_or_default(),
    };
    Ok(record.close(access, &request))
}

/// Puts the fields of a record under `properties`, where diagnostic settings have them.
fn gather(record: &mut Map<String, Value>) {
    if let Some(Value::Object(properties)) = record.get_mut("properties") {
        fields::spell(properties, SPELLING);
        return;
    }
    fields::spell(record, SPELLING);
    let found = SPELLING.iter().filter_map(|key| Some(((*key).to_owned(), record.remove(*key)?)));
    let mut properties: Map<String, Value> = found.collect();
    for key in PARSED {
        read_text(&mut properties, key);
    }
    record.insert("properties".to_owned(), Value::Object(properties));
}

/// The program that asked for the change, where it stands among the details.
fn agent(details: Option<&Value>) -> Option<String> {
    let details = details.and_then(Value::as_array)?;
    let agent = details.iter().find(|detail| detail["key"] == "User-Agent")?;
    agent.get("value")?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Who began it: a user or an application.
fn who(access: &mut Access, more: &mut Fields) {
    let Some(by) = more.take("initiatedBy") else { return };
    let text = |path: &str| {
        by.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    // An application has a user beside it, whose fields are null.
    let is_user =
        ["/user/id", "/user/userPrincipalName"].into_iter().any(|path| text(path).is_some());
    let principal = Principal {
        tenant: access.identity_realm.clone(),
        user: text("/user/userPrincipalName"),
        app: text("/app/appId"),
        object: text("/user/id").or_else(|| text("/app/servicePrincipalId")),
        is_managed_identity: false,
        is_user,
    };
    principal.fill(access);
    access.source_ip = text("/user/ipAddress").as_deref().and_then(address);
    access.extra = Some(stored(&by));
}

/// What was changed.
fn what(access: &mut Access, more: &mut Fields) {
    let targets = more.take("targetResources");
    let first = targets.as_ref().and_then(|targets| targets.as_array()?.first());
    let text = |key: &str| first.and_then(|target| target.get(key)?.as_str()).map(str::to_owned);
    access.resource = text("type");
    access.object_name = text("displayName");
    access.object_uid = text("id");
    access.request_object = targets.as_ref().map(stored);
}

/// Words in reasons of refusals; services word them as they like.
const REFUSALS: &[&str] = &[
    "Access denied",
    "AccessDenied",
    "Authorization_RequestDenied",
    "Forbidden",
    "Insufficient privileges",
    "InsufficientPrivileges",
    "Unauthorized",
];

fn outcome(access: &mut Access, more: &mut Fields, beside: Option<String>) {
    let result = more.text_if("result").or(beside);
    access.decision_reason = more.text_if("resultReason");
    let refused = access
        .decision_reason
        .as_deref()
        .is_some_and(|reason| REFUSALS.iter().any(|words| reason.contains(words)));
    match result.as_deref() {
        Some(result) if result.eq_ignore_ascii_case("success") => {
            access.decision = Decision::Allow;
        }
        Some(_) => {
            access.outcome = Outcome::Failure;
            access.decision = if refused { Decision::Deny } else { Decision::Unknown };
        }
        None => {}
    }
    access.status_reason = result;
}

#[cfg(test)]
mod tests;
