//! `product: azure`: the Activity Log, and the audit and sign-in logs of Microsoft Entra.
//!
//! <https://learn.microsoft.com/en-us/azure/azure-monitor/platform/activity-log-schema>,
//! <https://learn.microsoft.com/en-us/graph/api/resources/directoryaudit>,
//! <https://learn.microsoft.com/en-us/graph/api/resources/signin>.

use durward_schemas::cell::Json;
use durward_schemas::values::Provider;
use rsigma_eval::EventValue;

use super::{Beneath, LogSource, Object};
use crate::rule::field::{Field, fields, text};

pub(super) const ACTIVITY: LogSource = LogSource {
    product: "azure",
    service: "activitylogs",
    covers: |row| row.provider == Provider::Azure && row.format == "azure-activity",
    fields: FIELDS,
    beneath: &[
        Beneath::new("properties.requestbody", Object::Request),
        Beneath::new("properties.responseBody", Object::Response),
        Beneath::new("identity.authorization", Object::Annotations),
        Beneath::new("identity.claims", Object::Extra),
    ],
    others: &["category", "identity", "level", "properties", "resultType"],
    aliases: &[("Caller", "caller"), ("status", "resultSignature")],
    misplaced: &[],
};

pub(super) const AUDIT: LogSource = LogSource {
    service: "auditlogs",
    covers: |row| row.provider == Provider::Azure && row.format == "azure-audit",
    beneath: &[
        Beneath::new("properties.targetResources", Object::Request),
        Beneath::new("properties.initiatedBy", Object::Extra),
        Beneath::new("properties.additionalDetails", Object::Annotations),
    ],
    others: &["category", "identity", "level", "properties"],
    // What it was is said three times in a record.
    aliases: &[
        ("properties.message", "operationName"),
        ("properties.activityDisplayName", "operationName"),
        ("ActivityDisplayName", "operationName"),
    ],
    ..ACTIVITY
};

pub(super) const SIGN_IN: LogSource = LogSource {
    service: "signinlogs",
    covers: |row| row.provider == Provider::Azure && row.format == "azure-signin",
    beneath: &[Beneath::new("properties", Object::Extra)],
    others: &["category", "identity", "level"],
    aliases: &[
        ("ResultType", "resultSignature"),
        ("AppId", "properties.appId"),
        ("AppDisplayName", "properties.appDisplayName"),
        ("ResourceDisplayName", "properties.resourceDisplayName"),
        ("ServicePrincipalId", "properties.servicePrincipalId"),
        ("UserPrincipalName", "properties.userPrincipalName"),
        ("IPAddress", "callerIpAddress"),
    ],
    ..ACTIVITY
};

fields! {
    "operationName" => "verb", |event| text(event.row.verb.as_deref());
    "resourceId" => "object_name", |event| text(event.row.object_name.as_deref());
    "caller" => "identity", |event| text(event.row.identity.as_deref());
    "callerIpAddress" => "source_ip", |event| text(event.row.source_ip.as_deref());
    "correlationId" => "request_id", |event| text(event.row.request_id.as_deref());
    "location" => "region", |event| text(event.row.region.as_deref());
    "tenantId" => "identity_realm", |event| text(event.row.identity_realm.as_deref());
    "resultSignature" => "status_reason", |event| text(event.row.status_reason.as_deref());
    "resultDescription" => "decision_reason", |event| text(event.row.decision_reason.as_deref());
    "properties.requestbody" => "request_object",
        |event| text(event.row.request_object.as_ref().map(Json::as_str));
    "properties.responseBody" => "response_object",
        |event| text(event.row.response_object.as_ref().map(Json::as_str));
    // Whether it ended well, `success` or `failure`.
    "outcome" => "outcome", |event| Some(EventValue::Str(event.row.outcome.as_str().into()));
}
