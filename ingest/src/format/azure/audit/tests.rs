use durward_schemas::values::IdentityKind;
use serde_json::json;

use super::super::super::{Format, read as read_all};
use super::*;
use crate::lab::with_context;

fn access(record: &Value) -> Access {
    let reading = with_context(|context| {
        read_all(Format::AzureAudit, record.to_string().as_bytes(), context)
    });
    assert_eq!(reading.rejects, [], "{record}");
    reading.accesses.into_iter().next().unwrap()
}

/// Scenario: changes by users, by applications and by nobody who is told.
/// Guarantees: who began it, as far as the record says.
#[test]
fn initiators_are_told_apart() {
    let check = |by: Value, kind: IdentityKind, name: Option<&str>| {
        let row = access(
            &json!({"category": "AuditLogs", "properties": {"activityDisplayName": "x", "initiatedBy": by}}),
        );
        assert_eq!((row.identity_kind, row.identity.as_deref()), (kind, name), "{by}");
    };
    check(
        json!({"user": {"id": "o", "userPrincipalName": "eve@example.com"}}),
        IdentityKind::User,
        Some("eve@example.com"),
    );
    check(json!({"user": {"id": "o", "userPrincipalName": ""}}), IdentityKind::User, Some("oid:o"));
    check(
        json!({"app": {"appId": "a", "servicePrincipalId": "o"}}),
        IdentityKind::AzureApplication,
        Some("appid:a"),
    );
    check(
        json!({"app": {"appId": null, "servicePrincipalId": "o"}}),
        IdentityKind::AzureApplication,
        Some("oid:o"),
    );
    check(json!({}), IdentityKind::Unknown, None);
    check(json!("eve"), IdentityKind::Unknown, None);
}

/// Scenario: the same record by diagnostic settings and by Microsoft Graph.
/// Guarantees: the same columns.
#[test]
fn doors_agree() {
    let inner = json!({"id": "d-1", "activityDisplayName": "Add owner", "activityDateTime": "2026-07-23T10:00:00Z", "loggedByService": "Core Directory",
        "result": "success", "targetResources": [{"id": "t", "type": "Application"}]});
    let settings = access(&json!({"category": "AuditLogs", "properties": inner}));
    let graph = access(&inner);
    let columns = |row: &Access| {
        (
            row.time,
            row.verb.clone(),
            row.object_uid.clone(),
            row.decision,
            row.source_event_id.clone(),
        )
    };
    assert_eq!(columns(&settings), columns(&graph));
}

/// Scenario: a row of Log Analytics, whose objects are texts, an application with an empty user beside it,
/// and refusals in the words of services.
/// Guarantees: who, what and in which tenant; a refusal is one.
#[test]
fn tables_and_words_are_read() {
    let row = access(
        &json!({"Type": "AuditLogs", "TimeGenerated": "2026-07-23T10:00:00Z", "Category": "ApplicationManagement",
        "TenantId": "w", "AADTenantId": "t", "OperationName": "x", "LoggedByService": "Core Directory", "Result": "failure",
        "ResultReason": "Microsoft.Online.Workflows.InsufficientPrivilegesException", "AADOperationType": "Add",
        "InitiatedBy": json!({"user": {"id": null, "userPrincipalName": null}, "app": {"appId": "a"}}).to_string(),
        "TargetResources": json!([{"id": "o", "type": "ServicePrincipal"}]).to_string()}),
    );
    assert_eq!(row.identity_kind, IdentityKind::AzureApplication);
    assert_eq!(
        [&row.identity, &row.identity_realm, &row.object_uid, &row.resource].map(Option::as_deref),
        [Some("appid:a"), Some("t"), Some("o"), Some("ServicePrincipal")]
    );
    assert_eq!((row.decision, row.activity_id), (Decision::Deny, 1));
}

/// Scenario: changes with the program that asked for them as a field, and among the details.
/// Guarantees: it is the user agent, the field first.
#[test]
fn agents_are_told() {
    let agent = |more: Value| {
        let mut properties = json!({"activityDisplayName": "x", "additionalDetails": [
            {"key": "AppId", "value": "a"}, {"key": "User-Agent", "value": "azsdk"}]});
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        access(&json!({"category": "AuditLogs", "properties": properties})).user_agent
    };
    assert_eq!(agent(json!({"userAgent": null})).as_deref(), Some("azsdk"));
    assert_eq!(agent(json!({"userAgent": "curl"})).as_deref(), Some("curl"));
    assert_eq!(agent(json!({"additionalDetails": []})), None);
}
