use serde_json::json;

use super::super::super::{Format, read as read_all};
use super::*;
use crate::lab::with_context;

fn access(record: &Value) -> Access {
    let reading = with_context(|context| {
        read_all(Format::AzureSignin, record.to_string().as_bytes(), context)
    });
    assert_eq!(reading.rejects, [], "{record}");
    reading.accesses.into_iter().next().unwrap()
}

/// Scenario: sign-ins of each category that succeed, that fail, and that a policy refuses.
/// Guarantees: a caller whose proof was refused is nobody; one whom only a policy refused is known,
/// and only success gives out a token.
#[test]
fn only_proof_makes_an_identity() {
    let check = |category: &str, code: i64, kind: IdentityKind, by: Option<&str>| {
        let row = access(
            &json!({"category": category, "properties": {"appId": "a", "servicePrincipalId": "o", "userPrincipalName": "eve@example.com",
            "uniqueTokenIdentifier": "u", "status": {"errorCode": code}}}),
        );
        assert_eq!((row.identity_kind, row.decided_by.as_deref()), (kind, by), "{category} {code}");
        assert_eq!(row.identity.is_some(), kind != IdentityKind::Unauthenticated);
        assert_eq!(row.issued_credential_id.is_some(), code == 0);
        assert_eq!(row.decision == Decision::Allow, code == 0);
        assert!(row.extra.unwrap().as_str().contains("eve@example.com"));
    };
    check("SignInLogs", 0, IdentityKind::User, None);
    check("NonInteractiveUserSignInLogs", 0, IdentityKind::User, None);
    check("ServicePrincipalSignInLogs", 0, IdentityKind::AzureApplication, None);
    check("ManagedIdentitySignInLogs", 0, IdentityKind::AzureManagedIdentity, None);
    check(
        "ServicePrincipalSignInLogs",
        7_000_215,
        IdentityKind::Unauthenticated,
        Some("authentication"),
    );
    check("SignInLogs", 53_003, IdentityKind::User, Some("conditional access"));
}

/// Scenario: the same sign-in by diagnostic settings, by Microsoft Graph and out of Log Analytics.
/// Guarantees: the same columns.
#[test]
fn doors_spell_differently() {
    let inner = json!({"id": "s-1", "createdDateTime": "2026-07-23T10:00:00Z", "appId": "a", "servicePrincipalId": "o",
        "ipAddress": "203.0.113.7", "uniqueTokenIdentifier": "u", "federatedCredentialId": "f", "status": {"errorCode": 0}});
    let settings =
        json!({"category": "ServicePrincipalSignInLogs", "tenantId": "t", "properties": inner});
    let mut graph = inner.clone();
    graph["signInEventTypes"] = json!(["servicePrincipal"]);
    let analytics = json!({"TimeGenerated": "2026-07-23T10:00:00Z", "Category": "ServicePrincipalSignInLogs", "AppId": "a", "Id": "s-1",
        "ServicePrincipalId": "o", "IPAddress": "203.0.113.7", "UniqueTokenIdentifier": "u", "FederatedCredentialId": "f", "ResultType": "0"});
    let columns = |record: &Value| {
        let row = access(record);
        (
            row.time,
            row.identity,
            row.identity_kind,
            row.identity_uid,
            row.source_ip,
            row.issued_credential_id,
            row.source_event_id,
            row.decision,
        )
    };
    let expect = columns(&settings);
    assert_eq!(columns(&graph), expect);
    assert_eq!(columns(&analytics), expect);
}

/// Scenario: Microsoft Graph's sign-ins of service principals and managed identities, which have an empty
/// user beside them.
/// Guarantees: each is the application or the managed identity, and no user.
#[test]
fn graph_tells_kinds_of_sign_in() {
    let check = |kind: &str, expect: (IdentityKind, &str)| {
        let row = access(
            &json!({"id": "1", "createdDateTime": "2026-07-23T10:00:00Z", "appId": "a", "servicePrincipalId": "o",
            "userId": "", "userPrincipalName": null, "signInEventTypes": [kind], "status": {"errorCode": 0}}),
        );
        assert_eq!(
            (row.identity_kind, row.identity.as_deref()),
            (expect.0, Some(expect.1)),
            "{kind}"
        );
    };
    check("servicePrincipal", (IdentityKind::AzureApplication, "appid:a"));
    check("managedIdentity", (IdentityKind::AzureManagedIdentity, "oid:o"));
}

/// Scenario: sign-ins out of Log Analytics, with and without the tenant, and out of settings that leave
/// the tenant out.
/// Guarantees: the realm is the tenant of Microsoft Entra, and never the workspace.
#[test]
fn workspaces_are_no_tenants() {
    let check = |more: Value, expect: Option<&str>| {
        let mut record = json!({"appId": "a", "servicePrincipalId": "o", "resultType": 0});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let row = access(&record);
        assert_eq!(row.identity_realm.as_deref(), expect, "{more}");
        assert_eq!(row.identity_kind, IdentityKind::AzureManagedIdentity, "{more}");
    };
    let table = "AADManagedIdentitySignInLogs";
    let now = "2026-07-23T10:00:00Z";
    check(
        json!({"Type": table, "TimeGenerated": now, "TenantId": "w", "AADTenantId": "t"}),
        Some("t"),
    );
    check(json!({"Type": table, "TimeGenerated": now, "TenantId": "w"}), None);
    let category = "ManagedIdentitySignInLogs";
    check(json!({"category": category, "tenantId": "t"}), Some("t"));
    let resource = "/tenants/t/providers/Microsoft.aadiam";
    check(json!({"category": category, "resourceId": resource}), Some("t"));
}

/// Scenario: errors of applications that are known, and of a service that is too busy to decide.
/// Guarantees: the first are known, the second is no refusal.
#[test]
fn errors_are_told_apart() {
    let check = |code: &str, decision: Decision, by: Option<&str>, is_known: bool| {
        let row = access(&json!({"category": "ServicePrincipalSignInLogs", "resultType": code,
            "properties": {"appId": "a", "uniqueTokenIdentifier": "u"}}));
        assert_eq!((row.decision, row.decided_by.as_deref()), (decision, by), "{code}");
        assert_eq!((row.identity.is_some(), row.issued_credential_id), (is_known, None), "{code}");
    };
    check("501051", Decision::Deny, Some("app assignment"), true);
    check("530032", Decision::Deny, Some("conditional access"), true);
    check("7000222", Decision::Deny, Some("authentication"), false);
    check("90033", Decision::Error, None, false);
}

/// Scenario: sign-ins that were interrupted after the proof, and refusals by an application and by
/// those who may consent.
/// Guarantees: who it is; an interruption refuses nobody, and gives out no token; who refused is told apart.
#[test]
fn interruptions_are_no_refusals() {
    let check = |code: i64, decision: Decision, by: Option<&str>| {
        let row = access(&json!({"category": "SignInLogs", "location": "FR",
            "properties": {"userPrincipalName": "eve@example.com", "uniqueTokenIdentifier": "u", "status": {"errorCode": code}}}));
        assert_eq!((row.decision, row.decided_by.as_deref()), (decision, by), "{code}");
        assert_eq!(row.identity.as_deref(), Some("eve@example.com"), "{code}");
        assert_eq!((row.outcome, row.issued_credential_id), (Outcome::Failure, None), "{code}");
        // Where a person was is no region of a cloud.
        assert_eq!(row.region, None);
    };
    check(50_140, Decision::Unknown, None);
    check(50_125, Decision::Unknown, None);
    check(50_105, Decision::Deny, Some("app assignment"));
    check(65_001, Decision::Deny, Some("consent"));
    check(53_003, Decision::Deny, Some("conditional access"));
}

/// Scenario: the id of one token as sign-ins had it up to 2022, which is that of the sign-in, and as they
/// have had it since; ids that are neither.
/// Guarantees: the first two are one, which is what tokens carry; others stay as they are.
#[test]
fn older_ids_of_tokens_are_those_that_tokens_carry() {
    let issued = |id: &str| {
        let row = access(&json!({"category": "ServicePrincipalSignInLogs",
            "properties": {"appId": "a", "uniqueTokenIdentifier": id, "status": {"errorCode": 0}}}));
        row.issued_credential_id.unwrap().to_string()
    };
    // 00112233-4455-6677-8899-aabbccddeeff
    let older = "MDAxMTIyMzMtNDQ1NS02Njc3LTg4OTktYWFiYmNjZGRlZWZm";
    assert_eq!(issued(older), "UTI=MyIRAFVEd2aImaq7zN3u_w");
    for id in ["MyIRAFVEd2aImaq7zN3u_w", "u-1", "MDAxMTIyMzM"] {
        assert_eq!(issued(id), format!("UTI={id}"));
    }
}
