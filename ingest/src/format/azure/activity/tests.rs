use durward_schemas::values::IdentityKind;
use serde_json::json;

use super::super::super::{Format, read as read_all};
use super::*;
use crate::lab::with_context;

fn access(more: &Value) -> Access {
    let mut record = json!({"time": "2026-07-23T10:00:00Z", "operationName": "Microsoft.Sql/servers/write", "resourceId": "/subscriptions/1/x",
        "correlationId": "c-1", "resultType": "Success"});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reading = with_context(|context| {
        read_all(Format::AzureActivity, record.to_string().as_bytes(), context)
    });
    assert_eq!(reading.rejects, [], "{record}");
    reading.accesses.into_iter().next().unwrap()
}

/// Scenario: statuses as numbers, names, both, behind words, as the REST interface has them, or none.
/// Guarantees: refused, allowed and not known are told apart.
#[test]
fn statuses_are_decisions() {
    let check = |more: Value, decision: Decision, status: Option<i64>, success: bool| {
        let row = access(&more);
        let found = (row.decision, row.status_code, row.outcome == Outcome::Success);
        assert_eq!(found, (decision, status, success), "{more}");
    };
    check(json!({"resultSignature": "200"}), Decision::Allow, Some(200), true);
    check(json!({"resultSignature": "Succeeded."}), Decision::Allow, None, true);
    check(json!({"resultSignature": "Accepted.Created"}), Decision::Allow, Some(201), true);
    check(
        json!({"resultType": "Failure", "resultSignature": "Failed.Forbidden"}),
        Decision::Deny,
        Some(403),
        false,
    );
    check(json!({"statusCode": 401, "resultType": "Failed"}), Decision::Deny, Some(401), false);
    check(
        json!({"resultType": "Failure", "properties": {"statusCode": "Conflict"}}),
        Decision::Allow,
        Some(409),
        false,
    );
    check(json!({"resultType": "Failure"}), Decision::Unknown, None, false);
    check(json!({"resultType": "Start"}), Decision::Unknown, None, true);
    check(json!({"resultType": "Active"}), Decision::Unknown, None, true);
    let rest = json!({"resultType": null, "status": {"value": "Failed", "localizedValue": "x"}, "subStatus": {"value": "Forbidden", "localizedValue": "Forbidden (HTTP Status Code: 403)"}});
    check(rest, Decision::Deny, Some(403), false);
}

/// Scenario: the beginning and the end of one operation, and another operation.
/// Guarantees: two stages of one request, of which the beginning decides nothing.
#[test]
fn stages_share_their_request() {
    let begin = access(&json!({"resultType": "Start"}));
    let end = access(&json!({"time": "2026-07-23T10:00:09Z"}));
    let other = access(&json!({"correlationId": "c-2"}));
    assert_eq!(begin.request_key, end.request_key);
    assert_ne!(begin.request_key, other.request_key);
    assert_eq!((begin.is_deciding(), end.is_deciding()), (false, true));
}

/// Scenario: users, applications, managed identities, by claims of both versions, by caller alone.
/// Guarantees: each is one identity of its tenant.
#[test]
fn callers_are_told_apart() {
    let check = |more: Value, kind: IdentityKind, name: Option<&str>| {
        let row = access(&more);
        assert_eq!((row.identity_kind, row.identity.as_deref()), (kind, name), "{more}");
    };
    let claims = |claims: Value| json!({"identity": {"claims": claims}});
    check(
        claims(json!({"appid": "a", "oid": "o", "idtyp": "app"})),
        IdentityKind::AzureApplication,
        Some("appid:a"),
    );
    check(
        claims(json!({"appid": "a", "oid": "o", "xms_mirid": "/m"})),
        IdentityKind::AzureManagedIdentity,
        Some("oid:o"),
    );
    let upn = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn";
    check(
        claims(json!({"appid": "a", upn: "eve@example.com"})),
        IdentityKind::User,
        Some("eve@example.com"),
    );
    check(json!({"caller": "eve@example.com"}), IdentityKind::User, Some("eve@example.com"));
    check(json!({"caller": "o-1"}), IdentityKind::AzureApplication, Some("oid:o-1"));
    check(json!({"identity": "eve"}), IdentityKind::Unknown, None);
    let requester =
        json!({"identity": {"type": "OAuth", "requester": {"appId": "a", "objectId": "o"}}});
    check(requester, IdentityKind::AzureApplication, Some("appid:a"));
}

/// Scenario: the token that a sign-in gave out, in the claims of a later operation.
/// Guarantees: one id for both, so that they join.
#[test]
fn tokens_join_sign_ins() {
    let used = access(&json!({"identity": {"claims": {"appid": "a", "uti": "u-1"}}}));
    let sign_in = json!({"category": "ServicePrincipalSignInLogs", "properties": {"appId": "a", "uniqueTokenIdentifier": "u-1", "status": {"errorCode": 0}}});
    let given = with_context(|context| {
        read_all(Format::AzureSignin, sign_in.to_string().as_bytes(), context)
    });
    assert_eq!(used.credential_id, given.accesses[0].issued_credential_id);
    assert!(used.credential_id.is_some());
}

/// Scenario: one operation as Log Analytics has it: with names for people, a workspace, objects as texts
/// and, in another column, as objects.
/// Guarantees: the operation, its tenant and what was decided are those that are meant.
#[test]
fn tables_are_read_as_meant() {
    let claims = json!({"appid": "a", "oid": "o", "tid": "t"});
    let check = |more: Value, realm: Option<&str>| {
        let mut record = json!({"Type": "AzureActivity", "TimeGenerated": "7/23/2026 10:00:00 AM", "TenantId": "w",
            "OperationName": "Write it", "OperationNameValue": "Microsoft.Sql/servers/write", "_ResourceId": "/subscriptions/1/x",
            "ActivityStatusValue": "Failure", "Caller": "o"});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = record.to_string();
        let format = Format::detect(text.as_bytes()).unwrap();
        let row =
            with_context(|context| read_all(format, text.as_bytes(), context)).accesses.remove(0);
        assert_eq!(row.time.to_string(), "2026-07-23T10:00:00.000000Z");
        assert_eq!(row.verb.as_deref(), Some("Microsoft.Sql/servers/write"), "{more}");
        assert_eq!((row.decision, row.status_code), (Decision::Deny, Some(403)), "{more}");
        assert_eq!(
            (row.identity_realm.as_deref(), row.identity_uid.as_deref()),
            (realm, Some("o"))
        );
    };
    let properties = json!({"statusCode": "Forbidden"});
    check(json!({"Claims": claims.to_string(), "Properties": properties.to_string()}), Some("t"));
    check(json!({"Claims": "", "Claims_d": claims, "Properties_d": properties}), Some("t"));
    check(json!({"Properties": properties.to_string()}), None);
}

/// Scenario: refusals as Key Vault, Microsoft Graph, Azure Policy and storage tell them, and a reader
/// whom nobody asked who it is.
/// Guarantees: who asked, as far as it is told, and what was decided.
#[test]
fn resources_tell_in_their_own_way() {
    let check = |more: Value, decision: Decision, who: (IdentityKind, Option<&str>)| {
        let row = access(&more);
        let found = (row.decision, row.identity_kind, row.identity.as_deref());
        assert_eq!(found, (decision, who.0, who.1), "{more}");
    };
    let nobody = (IdentityKind::Unknown, None);
    check(
        json!({"resultType": "Failed", "properties": {"StatusCode": "Forbidden"}, "identity": {"Claims": {"appid": "a"}}}),
        Decision::Deny,
        (IdentityKind::AzureApplication, Some("appid:a")),
    );
    check(
        json!({"resultType": "Failure", "properties": {"httpStatusCode": 403}}),
        Decision::Deny,
        nobody,
    );
    check(
        json!({"operationName": "MICROSOFT.AUTHORIZATION/POLICIES/DENY/ACTION", "resultType": "Failure"}),
        Decision::Deny,
        nobody,
    );
    check(
        json!({"resultType": null, "properties": {"requestMethod": "GET", "responseStatusCode": 403, "appId": "a",
            "servicePrincipalId": "o", "userId": null, "signInActivityId": "u"}}),
        Decision::Deny,
        (IdentityKind::AzureApplication, Some("appid:a")),
    );
    check(
        json!({"resultType": null, "statusCode": 200, "identity": {"type": "Anonymous"}}),
        Decision::Allow,
        (IdentityKind::Anonymous, Some("anonymous")),
    );
    let body = access(&json!({"properties": {"requestBody": "{\"a\":1}"}})).request_object;
    assert_eq!(body.unwrap().as_str(), r#"{"a":1}"#);
}
