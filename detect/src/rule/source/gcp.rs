//! `product: gcp, service: gcp.audit`: the fields of Google's audit logs.
//!
//! <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog> inside
//! <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry>.

use durward_schemas::cell::Json;
use durward_schemas::ids::CredentialId;
use durward_schemas::values::Provider;
use rsigma_eval::EventValue;

use super::{Beneath, LogSource, Object};
use crate::rule::field::{Field, fields, text};

pub(super) const SOURCE: LogSource = LogSource {
    product: "gcp",
    service: "gcp.audit",
    covers: |row| row.provider == Provider::Gcp,
    fields: FIELDS,
    beneath: &[
        Beneath::new("protoPayload.request", Object::Request),
        Beneath::new("protoPayload.response", Object::Response),
        Beneath::new("protoPayload.authenticationInfo", Object::Extra),
        Beneath::inside("protoPayload.authorizationInfo", Object::Annotations, "authorizationInfo"),
        Beneath::inside("protoPayload.metadata", Object::Annotations, "metadata"),
        Beneath::inside("protoPayload.serviceData", Object::Annotations, "serviceData"),
        Beneath::inside(
            "protoPayload.policyViolationInfo",
            Object::Annotations,
            "policyViolationInfo",
        ),
    ],
    others: &["logName", "operation", "protoPayload", "resource", "severity", "labels"],
    aliases: &[
        // What a Pub/Sub subscription puts around an entry, and where public rules look beside it.
        ("data.protoPayload.logName", "logName"),
        ("data.protoPayload.resource.type", "resource.type"),
        ("data.protoPayload.methodName", "protoPayload.methodName"),
        ("data.protoPayload.serviceName", "protoPayload.serviceName"),
        ("data.protoPayload.resourceName", "protoPayload.resourceName"),
        (
            "data.protoPayload.authorizationInfo.permission",
            "protoPayload.authorizationInfo.permission",
        ),
        ("data.protoPayload.authorizationInfo.granted", "protoPayload.authorizationInfo.granted"),
    ],
    misplaced: &[],
};

fields! {
    "protoPayload.methodName" => "verb", |event| text(event.row.verb.as_deref());
    // The same in the taxonomy of Sigma.
    "gcp.audit.method_name" => "verb", |event| text(event.row.verb.as_deref());
    "protoPayload.serviceName" => "api_group", |event| text(event.row.api_group.as_deref());
    "protoPayload.resourceName" => "object_name", |event| text(event.row.object_name.as_deref());
    "resource.type" => "resource", |event| text(event.row.resource.as_deref());
    "resource.labels.project_id" => "account", |event| text(event.row.account.as_deref());
    "insertId" => "source_event_id", |event| text(event.row.source_event_id.as_deref());
    "protoPayload.status.code" => "status_code",
        |event| event.row.status_code.map(EventValue::Int);
    "protoPayload.status.message" => "decision_reason",
        |event| text(event.row.decision_reason.as_deref())
            .or_else(|| event.other("protoPayload.status.message"));
    "protoPayload.authenticationInfo.principalEmail" => "identity",
        |event| text(event.row.identity.as_deref());
    "protoPayload.authenticationInfo.serviceAccountKeyName" => "credential_id",
        |event| text(event.row.credential_id.as_ref().map(CredentialId::as_str));
    "protoPayload.requestMetadata.callerIp" => "source_ip",
        |event| text(event.row.source_ip.as_deref());
    "protoPayload.requestMetadata.callerSuppliedUserAgent" => "user_agent",
        |event| text(event.row.user_agent.as_deref());
    "protoPayload.request" => "request_object",
        |event| text(event.row.request_object.as_ref().map(Json::as_str));
    "protoPayload.response" => "response_object",
        |event| text(event.row.response_object.as_ref().map(Json::as_str));
    // What the change that this call made did, as the table `changes` has it: `ROLE to MEMBER`.
    "changes.grants_added" => "grants_added",
        |event| crate::rule::field::list(event.change?.grants_added.as_deref());
}
