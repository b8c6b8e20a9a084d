//! Format `cloudtrail`: one event of AWS CloudTrail in, one access out.
//!
//! Fields: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.
//! A session is the role that it was made of; what tells it from the others is its credential (the
//! access key id), and how it came about stands in `extra` (the session context). So a chain is one
//! of columns: the event that mints a session has its key as `issued_credential_id`, each event of
//! the session as `credential_id`.

mod decide;
mod what;
mod who;

use durward_schemas::tables::Access;
use durward_schemas::values::Provider;
use serde_json::{Map, Value};

use super::cloud::{Message, Record, Request, address};
use super::fields::{self, Fields};
use super::mapping::Mapping;
use super::{Context, Failure, Format};
use crate::normalize;

/// A source of what is known of a caller, unless the proof of identity was refused.
macro_rules! proven {
    ($from:literal) => {
        concat!(
            $from,
            "; null where errorCode, responseElements, serviceEventDetails, eventName tell of a refused proof"
        )
    };
}

/// Which field of an event fills which column.
pub(super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "eventTime"),
    Mapping::new("time_suspect", "eventTime"),
    Mapping::new("claimed_time", "eventTime"),
    Mapping::new("source_event_id", "eventID"),
    Mapping::new("request_id", "requestID"),
    Mapping::new("api_group", "eventSource"),
    Mapping::new("verb", "eventName"),
    Mapping::new("activity_id", "eventName, readOnly"),
    Mapping::new("account", "recipientAccountId, else userIdentity.accountId"),
    Mapping::new("region", "awsRegion"),
    Mapping::new(
        "source_ip",
        "sourceIPAddress, the last of its addresses that is no trusted proxy",
    ),
    Mapping::new("forwarded_for", "sourceIPAddress, its other addresses"),
    Mapping::new("user_agent", "userAgent"),
    Mapping::new(
        "identity",
        proven!(
            "userIdentity.sessionContext.sessionIssuer.arn, else userIdentity.arn; by \
             userIdentity.type also userIdentity.invokedBy, userIdentity.userName, \
             userIdentity.principalId, userIdentity.accountId, userIdentity.onBehalfOf.userId"
        ),
    ),
    Mapping::new(
        "identity_kind",
        proven!(
            "userIdentity.type, userIdentity.sessionContext.sessionIssuer.arn, else \
             userIdentity.arn; also userIdentity.userName, userIdentity.principalId, \
             userIdentity.accountId, userIdentity.invokedBy, userIdentity.onBehalfOf.userId"
        ),
    ),
    Mapping::new(
        "identity_realm",
        proven!(
            "userIdentity.sessionContext.sessionIssuer.arn, else userIdentity.arn; by \
             userIdentity.type also userIdentity.accountId, userIdentity.identityProvider, \
             userIdentity.onBehalfOf.identityStoreArn"
        ),
    ),
    Mapping::new(
        "cluster",
        "the cluster that is configured for userIdentity.identityProvider, where \
         userIdentity.type, userIdentity.userName and errorCode tell of a ServiceAccount",
    ),
    Mapping::new(
        "namespace",
        "userIdentity.userName where userIdentity.type and errorCode allow, else \
         responseElements.subject.namespace, else requestParameters.tags[kubernetes-namespace] \
         where userIdentity.invokedBy is EKS Pod Identity",
    ),
    Mapping::new(
        "service_account",
        "userIdentity.userName where userIdentity.type and errorCode allow, else \
         responseElements.subject.serviceAccount, else \
         requestParameters.tags[kubernetes-service-account] where userIdentity.invokedBy is EKS \
         Pod Identity",
    ),
    Mapping::new(
        "pod",
        "requestParameters.tags[kubernetes-pod-name] where userIdentity.type and \
         userIdentity.invokedBy are those of EKS Pod Identity",
    ),
    Mapping::new(
        "pod_uid",
        "requestParameters.tags[kubernetes-pod-uid] where userIdentity.type and \
         userIdentity.invokedBy are those of EKS Pod Identity",
    ),
    Mapping::new("identity_uid", proven!("userIdentity.principalId")),
    Mapping::new(
        "credential_id",
        proven!("userIdentity.accessKeyId, else userIdentity.credentialId"),
    ),
    Mapping::new(
        "credential_kind",
        proven!(
            "userIdentity.accessKeyId, else userIdentity.credentialId, else userIdentity.type, \
             userIdentity.accountId"
        ),
    ),
    Mapping::new("extra", proven!("userIdentity.sessionContext")),
    Mapping::new(
        "resource",
        "resources.type of the one whose resources.ARN requestParameters name, else of the first, or \
         of the one inside it, else eventSource, eventName, requestParameters, else responseElements",
    ),
    Mapping::new(
        "object_name",
        "resources.ARN of the one that requestParameters name, else of the first, or of the one \
         inside it, else requestParameters, responseElements, eventSource",
    ),
    Mapping::new("request_object", "requestParameters"),
    Mapping::new("response_object", "responseElements"),
    Mapping::new(
        "issued_credential_id",
        "responseElements.credentials.accessKeyId, else responseElements.accessKey.accessKeyId, else \
         responseElements.credentialSet.credentials.accessKeyId of the first",
    ),
    Mapping::new(
        "decision",
        "errorCode, errorMessage, eventType, responseElements, serviceEventDetails, eventName",
    ),
    Mapping::new(
        "outcome",
        "errorCode, errorMessage, responseElements, serviceEventDetails, eventName",
    ),
    Mapping::new("status_code", "errorCode, if it is a status of HTTP"),
    Mapping::new("status_reason", "errorCode"),
    Mapping::new(
        "decision_reason",
        "errorMessage, where errorCode, responseElements, serviceEventDetails, eventName tell of a refusal",
    ),
    Mapping::new(
        "decided_by",
        "errorCode, vpcEndpointId, errorMessage, responseElements, serviceEventDetails, eventName",
    ),
    Mapping::new("dry_run", "errorCode"),
    Mapping::new(
        "truncated",
        "requestParameters.omitted, responseElements.omitted, additionalEventData.omitted",
    ),
];

/// The fields that hold what clients send and services answer.
const BODIES: &[&str] =
    &["requestParameters", "responseElements", "additionalEventData", "serviceEventDetails"];

/// The spelling of CloudTrail; Athena and Security Lake write all in small letters.
const SPELLING: &[&str] = &[
    "eventVersion",
    "userIdentity",
    "eventTime",
    "eventSource",
    "eventName",
    "awsRegion",
    "sourceIPAddress",
    "userAgent",
    "errorCode",
    "errorMessage",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "requestID",
    "eventID",
    "eventType",
    "recipientAccountId",
    "readOnly",
    "resources",
    "sharedEventID",
    "vpcEndpointId",
];

/// Objects that Athena and CloudTrail Lake have as texts.
const PARSED: &[&str] = &[
    "userIdentity",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "resources",
];

/// Reads one event.
pub(super) fn read(bytes: &[u8], context: &Context<'_>) -> Result<Access, Failure> {
    let mut event = fields::parse(bytes, BODIES)?;
    fields::spell(&mut event, SPELLING);
    for key in PARSED {
        read_text(&mut event, key);
    }
    let source = event.get("eventSource").and_then(Value::as_str).unwrap_or_default();
    if !event.get("eventName").is_some_and(Value::is_string) || source.starts_with("aws:") {
        return Err(not_an_event());
    }
    let session = who::session_tags(&event);
    let account = text_at(&event, "userIdentity", "/accountId");
    let mut record = Record::open(event, context);
    let fields = &mut record.fields;
    let mut access = Access {
        provider: Provider::Aws,
        source: context.source.to_owned(),
        format: Format::CloudTrail.name().to_owned(),
        source_event_id: fields.text_if("eventID"),
        request_id: fields.text_if("requestID"),
        api_group: fields.text_if("eventSource"),
        verb: fields.text_if("eventName"),
        region: fields.text_if("awsRegion"),
        user_agent: fields.text_if("userAgent"),
        account: fields.scalar_if("recipientAccountId").or(account),
        ..Access::default()
    };
    let claim = fields.text_if("eventTime");
    decide::decide(&mut access, fields);
    who::who(&mut access, fields);
    what::what(&mut access, fields);
    session.fill(&mut access);
    // A ServiceAccount is of the cluster whose issuer vouched for it, if the operator said whose it is.
    let issuer = access.identity_realm.as_ref().filter(|_| access.service_account.is_some());
    let vouched = issuer.and_then(|issuer| context.issuers.get(issuer));
    access.cluster = context.named(vouched.map(String::as_str)).map(str::to_owned);
    activity(&mut access, fields);
    sources(&mut access, fields, context);
    record.time(&mut access, claim.as_deref(), context);
    // One action that is told to several accounts is one request.
    let shared = record.fields.text_if("sharedEventID");
    record.fields.keep_text("sharedEventID", shared.clone());
    let own = access.source_event_id.clone().unwrap_or_default();
    let user = access.identity.clone().unwrap_or_default();
    let request = Request {
        id: shared.as_ref().unwrap_or(&own),
        time: record.claimed(),
        user: if shared.is_some() { "" } else { &user },
        target: "",
    };
    Ok(record.close(access, &request))
}

fn not_an_event() -> Failure {
    Failure::new("not_a_cloudtrail_event", "the item has no eventName, or is a notification")
        .hint("notifications of other services tell of no request; leave them out")
}

/// Puts an object in the place of the text that holds it.
fn read_text(event: &mut Map<String, Value>, key: &str) {
    if let Some(Value::String(text)) = event.get(key)
        && text.starts_with(['{', '['])
        && let Ok(inner) = serde_json::from_str::<Value>(text)
    {
        event.insert(key.to_owned(), inner);
    }
}

/// What CloudTrail writes beside events: what is unusual among them, counts of them, and digests of its
/// files. They tell of no request, and become rows of `logs`.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-insights-events.html>
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-aggregated-events.html>
pub(super) fn beside(bytes: &[u8]) -> Option<Message> {
    let event: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
    let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
    let (service, time) = if event.contains_key("insightDetails") {
        ("cloudtrail-insight", text("eventTime"))
    } else if event.contains_key("digestStartTime") && event.contains_key("awsAccountId") {
        ("cloudtrail-digest", text("digestEndTime"))
    } else if event.get("eventType").is_some_and(|kind| kind == "AwsAggregatedEvent") {
        ("cloudtrail-aggregated", text_at(&event, "timeWindow", "/windowEnd"))
    } else {
        return None;
    };
    let body = Value::Object(event);
    Some(Message { time, service: Some(service.to_owned()), body, ..Message::default() })
}

fn activity(access: &mut Access, fields: &mut Fields) {
    access.activity_id = normalize::activity_of(access.verb.as_deref().unwrap_or_default());
    // Athena has texts.
    let reads = fields.get("readOnly").is_some_and(|reads| *reads == true || *reads == "true");
    if reads {
        access.activity_id = normalize::activity("get");
    }
    fields.take("readOnly");
}

/// The address of the caller. Services that act by themselves name themselves, and not an address; behind
/// proxies there are several with commas between them, of which the last one is that which AWS saw.
fn sources(access: &mut Access, fields: &mut Fields, context: &Context<'_>) {
    let told = fields.get("sourceIPAddress").and_then(Value::as_str).unwrap_or_default();
    let addresses: Option<Vec<String>> = told.split(',').map(|one| address(one.trim())).collect();
    let Some(addresses) = addresses else { return };
    let (sender, others) = normalize::sender(&addresses, context.trusted_proxies);
    access.source_ip = sender;
    access.forwarded_for = Some(others).filter(|others| !others.is_empty());
    fields.take("sourceIPAddress");
}

/// An object's fields by path, where all of them are there.
fn text_at(event: &Map<String, Value>, key: &str, path: &str) -> Option<String> {
    event.get(key)?.pointer(path)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
