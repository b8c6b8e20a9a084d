use durward_schemas::values::{CredentialKind, IdentityKind};
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

/// Scenario: operations of Privileged Identity Management by a person and by the service itself, whose
/// caller stands in a text among the properties.
/// Guarantees: who began it, in which tenant.
#[test]
fn privileged_identity_management_tells_its_caller() {
    let row = |upn: &str| {
        let told = json!([
            {"CallerIdentityType": "UPN", "CallerIdentityValue": upn},
            {"CallerIdentityType": "ObjectID", "CallerIdentityValue": "o"},
            {"CallerIdentityType": "ObjectClass", "CallerIdentityValue": "User"},
        ]);
        access(
            &json!({"operationName": "Add member to role requested (PIM activation)", "resultType": "Succeeded",
            "properties": {"TenantID": "t", "CallerInfo": told.to_string(), "RoleDefinition": "Owner"}}),
        )
    };
    let person = row("eve@example.com");
    assert_eq!(
        (person.identity_kind, person.identity.as_deref()),
        (IdentityKind::User, Some("eve@example.com"))
    );
    assert_eq!(
        (person.identity_realm.as_deref(), person.identity_uid.as_deref(), person.activity_id),
        (Some("t"), Some("o"), 1)
    );
    let service = row("");
    assert_eq!(
        (service.identity_kind, service.identity.as_deref()),
        (IdentityKind::AzureApplication, Some("oid:o"))
    );
}

/// Scenario: services of Azure that call by their own name, also in a claim and from no address, and claims
/// with blanks around them.
/// Guarantees: the name is no id of an object, and no person's; blanks belong to no name.
#[test]
fn names_are_no_ids() {
    let row = access(&json!({"caller": "Microsoft.Insights/alertRules"}));
    assert_eq!(
        (row.identity_kind, row.identity.as_deref(), row.identity_uid),
        (IdentityKind::Unknown, Some("Microsoft.Insights/alertRules"), None)
    );
    let email = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";
    let row = access(
        &json!({"caller": "Microsoft.Advisor", "callerIpAddress": "0.0.0.0", "identity": {"claims": {email: "Microsoft.Advisor"}}}),
    );
    assert_eq!(
        (row.identity_kind, row.identity.as_deref(), row.source_ip),
        (IdentityKind::Unknown, Some("Microsoft.Advisor"), None)
    );
    let row = access(
        &json!({"identity": {"claims": {"name": "Eve", "unique_name": " eve@example.com", "tid": "t "}}}),
    );
    assert_eq!(
        (row.identity.as_deref(), row.identity_realm.as_deref()),
        (Some("eve@example.com"), Some("t"))
    );
}

/// Scenario: requests to storage accounts with a key, with signatures, as a person whom no role lets in,
/// and one that the service failed.
/// Guarantees: what was shown, who is behind it, which address was asked for without its secret; a role
/// that refused let nobody in; a failure of the service says nothing of what was decided.
#[test]
fn storage_tells_what_was_shown() {
    let row = |status: i64, identity: Value| {
        access(&json!({"category": "StorageRead", "operationName": "GetBlob", "resultType": null,
            "statusCode": status, "statusText": "text", "identity": identity,
            "uri": "https://a.blob.core.windows.net/b/c?sp=r&sig=cGFzc3dvcmRwYXNzd29yZA%3D%3D"}))
    };
    for (kind, expect) in [
        ("AccountKey", Some(CredentialKind::CloudStaticKey)),
        ("SAS", Some(CredentialKind::CloudStaticKey)),
        ("Anonymous", Some(CredentialKind::None)),
        ("OAuth", None),
    ] {
        assert_eq!(row(200, json!({ "type": kind })).credential_kind, expect, "{kind}");
    }
    let checked = |result: &str| {
        json!({"type": "DelegationSAS", "requester": {"objectId": "o", "tenantId": "t"},
            "authorization": [{"roleAssignmentId": "ra", "principals": [{"id": "o", "type": "User"}], "result": result}]})
    };
    let refused = row(403, checked("Denied"));
    assert_eq!(
        (refused.identity_kind, refused.identity.as_deref()),
        (IdentityKind::User, Some("oid:o"))
    );
    assert_eq!((refused.decision, refused.decided_by), (Decision::Deny, None));
    assert_eq!(refused.status_reason.as_deref(), Some("text"));
    let address = refused.request_uri.unwrap();
    assert!(address.starts_with("https://a.blob.core.windows.net/b/c?"), "{address}");
    assert!(!address.contains("cGFzc3dvcmRwYXNzd29yZA"), "{address}");
    let let_in = row(500, checked("Granted"));
    assert_eq!(
        (let_in.decision, let_in.decided_by.as_deref(), let_in.decided_subject.as_deref()),
        (Decision::Allow, Some("roleAssignments/ra"), Some("User/o"))
    );
    assert_eq!(row(500, json!({"type": "OAuth"})).decision, Decision::Unknown);
    assert_eq!(row(503, checked("Denied")).decision, Decision::Deny);
}

/// Scenario: a request to Microsoft Graph that deletes, and one to a Key Vault.
/// Guarantees: what was asked for, with what, and what that does.
#[test]
fn requests_have_addresses_and_agents() {
    let row = access(
        &json!({"operationName": "Microsoft Graph Activity", "resultType": null, "properties": {"requestMethod": "DELETE",
        "requestUri": "https://graph.microsoft.com/v1.0/applications/a", "userAgent": "curl", "responseStatusCode": 204, "appId": "a"}}),
    );
    assert_eq!(
        (row.request_uri.as_deref(), row.user_agent.as_deref(), row.activity_id),
        (Some("https://graph.microsoft.com/v1.0/applications/a"), Some("curl"), 4)
    );
    let row = access(
        &json!({"operationName": "SecretGet", "properties": {"clientInfo": "azsdk", "httpStatusCode": 200,
        "requestUri": "https://v.vault.azure.net/secrets/s/1"}}),
    );
    assert_eq!(
        (row.request_uri.as_deref(), row.user_agent.as_deref()),
        (Some("https://v.vault.azure.net/secrets/s/1"), Some("azsdk"))
    );
}

/// Scenario: a refusal by Azure Policy, as the policy tells it, as the request does that was refused, and
/// as the deployment does whose template holds that request.
/// Guarantees: each is a refusal; the assignment of the policy decided, where it is told.
#[test]
fn policies_name_their_assignment() {
    let assignment = "/subscriptions/1/providers/Microsoft.Authorization/policyAssignments/p";
    let policies = json!([
        {"policyDefinitionEffect": "Audit", "policyAssignmentId": "other"},
        {"policyDefinitionEffect": "deny", "policyAssignmentId": assignment},
    ]);
    let violated = json!({"code": "RequestDisallowedByPolicy",
        "additionalInfo": [{"type": "PolicyViolation", "info": {"policyAssignmentId": assignment}}]});
    let check = |more: Value, by: Option<&str>| {
        let row = access(&more);
        assert_eq!((row.decision, row.decided_by.as_deref()), (Decision::Deny, by), "{more}");
    };
    check(
        json!({"operationName": "Microsoft.Authorization/policies/deny/action", "resultType": "Failure",
            "properties": {"policies": policies.to_string()}}),
        Some(assignment),
    );
    let message = json!({ "error": violated }).to_string();
    check(
        json!({"resultType": "Failure", "properties": {"statusCode": "Forbidden", "statusMessage": message}}),
        Some(assignment),
    );
    let message =
        json!({"error": {"code": "InvalidTemplateDeployment", "details": [violated]}}).to_string();
    check(
        json!({"resultType": "Failure", "properties": {"statusCode": "BadRequest", "statusMessage": message}}),
        Some(assignment),
    );
    check(json!({"resultType": "Failure", "properties": {"statusCode": "Forbidden"}}), None);
}

/// Scenario: rows of Log Analytics for requests to Microsoft Graph and to a storage account, beside a sign-in.
/// Guarantees: each is what it is, with the columns that diagnostic settings give.
#[test]
fn tables_of_resources_are_read() {
    let now = "2026-07-23T10:00:00Z";
    let graph = json!({"Type": "MicrosoftGraphActivityLogs", "TimeGenerated": now, "TenantId": "w", "AadTenantId": "t",
        "AppId": "a", "ServicePrincipalId": "o", "UserId": "", "SignInActivityId": "u", "IPAddress": "203.0.113.7", "UserAgent": "curl",
        "RequestMethod": "POST", "RequestUri": "https://graph.microsoft.com/v1.0/applications/x/addPassword", "ResponseStatusCode": 201,
        "OperationId": "c", "_ResourceId": "/tenants/t/providers/microsoft.aadiam"});
    let blob = json!({"Type": "StorageBlobLogs", "TimeGenerated": now, "TenantId": "w", "OperationName": "GetBlob", "StatusCode": "403",
        "Uri": "https://a.blob.core.windows.net/b", "AuthenticationType": "OAuth", "RequesterObjectId": "o", "RequesterTenantId": "t",
        "RequesterAppId": "a", "RequesterUpn": "", "UserAgentHeader": "curl", "_ResourceId": "/subscriptions/1/x",
        "AuthorizationDetails": json!([{"roleAssignmentId": "ra", "principals": [{"id": "o", "type": "ServicePrincipal"}], "result": "Denied"}]).to_string()});
    let sign_in = json!({"Type": "AADServicePrincipalSignInLogs", "TimeGenerated": now, "AppId": "a", "ResultType": "0"});
    let text = json!([sign_in, graph, blob]).to_string();
    let format = Format::detect(text.as_bytes()).unwrap();
    let rows = with_context(|context| read_all(format, text.as_bytes(), context)).accesses;
    let found: Vec<_> = rows
        .iter()
        .map(|row| {
            let who = [&row.identity, &row.identity_realm, &row.identity_uid];
            (
                row.verb.as_deref(),
                who.map(Option::as_deref),
                row.decision,
                row.user_agent.as_deref(),
            )
        })
        .collect();
    let who = [Some("appid:a"), Some("t"), Some("o")];
    assert_eq!(
        found,
        [
            (Some("Sign-in activity"), [Some("appid:a"), None, None], Decision::Allow, None),
            (Some("Microsoft Graph Activity"), who, Decision::Allow, Some("curl")),
            (Some("GetBlob"), who, Decision::Deny, Some("curl")),
        ]
    );
    assert_eq!(rows[1].credential_id.as_ref().map(ToString::to_string).as_deref(), Some("UTI=u"));
    assert_eq!((rows[1].activity_id, rows[1].source_ip.as_deref()), (1, Some("203.0.113.7")));
    assert_eq!(rows[1].request_uri.as_deref().map(|uri| uri.ends_with("/addPassword")), Some(true));
    assert_eq!(rows[2].decided_subject.as_deref(), Some("ServicePrincipal/o"));
    let empty = access(&json!({"properties": {"requestBody": "", "responseBody": ""}}));
    assert_eq!((empty.request_object, empty.response_object), (None, None));
}

/// Scenario: rows of `AzureDiagnostics` for a Key Vault: an application, a person whom no role lets in, a
/// managed identity, and claims whose names were URIs.
/// Guarantees: who asked, with what, for which address, and what was decided.
#[test]
fn columns_with_types_are_claims_and_properties() {
    let row = |more: Value| {
        let mut row = json!({"Type": "AzureDiagnostics", "TimeGenerated": "2026-07-23T10:00:00Z", "TenantId": "w", "Category": "AuditEvent",
            "ResourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V", "OperationName": "SecretGet",
            "ResultType": "Success", "CallerIPAddress": "203.0.113.7", "httpStatusCode_d": 200, "clientInfo_s": "azsdk",
            "requestUri_s": "https://v.vault.azure.net/secrets/s", "identity_claim_oid_g": "o", "identity_claim_appid_g": "a"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = json!([row]).to_string();
        let format = Format::detect(text.as_bytes()).unwrap();
        with_context(|context| read_all(format, text.as_bytes(), context)).accesses.remove(0)
    };
    let check = |more: Value, kind: IdentityKind, name: &str, decision: Decision| {
        let row = row(more.clone());
        let found = (row.identity_kind, row.identity.as_deref(), row.decision);
        assert_eq!(found, (kind, Some(name), decision), "{more}");
        assert_eq!(row.identity_uid.as_deref(), Some("o"), "{more}");
    };
    check(json!({}), IdentityKind::AzureApplication, "appid:a", Decision::Allow);
    check(
        json!({"identity_claim_upn_s": "eve@example.com", "httpStatusCode_d": 403.0}),
        IdentityKind::User,
        "eve@example.com",
        Decision::Deny,
    );
    check(
        json!({"identity_claim_xms_mirid_s": "/m"}),
        IdentityKind::AzureManagedIdentity,
        "oid:o",
        Decision::Allow,
    );
    check(
        json!({"identity_claim_oid_g": "", "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g": "o"}),
        IdentityKind::AzureApplication,
        "appid:a",
        Decision::Allow,
    );
    let told = row(json!({"properties_s": "{\"statusMessage\": \"no\"}", "httpStatusCode_d": 403}));
    assert_eq!(
        (told.decision_reason.as_deref(), told.status_code, told.user_agent.as_deref()),
        (Some("no"), Some(403), Some("azsdk"))
    );
    assert_eq!(told.request_uri.as_deref(), Some("https://v.vault.azure.net/secrets/s"));
    assert_eq!(told.identity_realm, None, "a workspace is no tenant");
}

/// Scenario: runtime audit logs of Event Hubs and Service Bus, of an application and of the name of a
/// policy, as diagnostic settings, Log Analytics and its older table have them.
/// Guarantees: what was done, from where, by whom or with what, and how it ended; a policy is nobody.
#[test]
fn runtime_audit_logs_are_read() {
    let resource = "/SUBSCRIPTIONS/1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.EVENTHUB/NAMESPACES/N";
    let application = "6b1b1f3a-0000-4000-8000-000000000001";
    let check =
        |record: Value, who: Option<&str>, kind: Option<CredentialKind>, has_worked: bool| {
            let text = json!({ "records": [record] }).to_string();
            let format = Format::detect(text.as_bytes()).unwrap();
            let reading = with_context(|context| read_all(format, text.as_bytes(), context));
            assert_eq!(reading.rejects, [], "{record}");
            let row = &reading.accesses[0];
            assert_eq!(row.time.to_string(), "2026-07-23T10:00:00.000000Z", "{record}");
            assert_eq!(row.verb.as_deref(), Some("ConnectionOpen"), "{record}");
            assert_eq!(row.source_ip.as_deref(), Some("203.0.113.7"), "{record}");
            assert_eq!((row.identity.as_deref(), row.credential_kind), (who, kind), "{record}");
            let decision = if has_worked { Decision::Allow } else { Decision::Unknown };
            assert_eq!((row.decision, row.outcome == Outcome::Success), (decision, has_worked));
        };
    let told = |kind: &str, key: &str, status: &str| {
        json!({"ActivityId": "1", "ActivityName": "ConnectionOpen", "Status": status, "Protocol": "AMQP",
            "AuthType": kind, "AuthKey": key, "NetworkType": "Public", "ClientIp": "203.0.113.7"})
    };
    let with = |mut record: Value, more: Value| {
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    let common = json!({"ResourceId": resource, "Time": "7/23/2026 10:00:00 AM +00:00", "Category": "RuntimeAuditLogs"});
    let named = format!("appid:{application}");
    let by_token = told("Azure Active Directory", application, "Success");
    check(with(by_token.clone(), common.clone()), Some(&named), None, true);
    let by_policy = told("SAS", "RootManageSharedAccessKey", "Failure");
    let policy = Some(CredentialKind::CloudStaticKey);
    check(with(by_policy.clone(), common.clone()), None, policy, false);
    check(with(told("AAD", "shop", "Success"), common), None, None, true);
    let inside = json!({"category": "RuntimeAuditLogs", "resourceId": resource, "time": "2026-07-23T10:00:00Z", "properties": by_policy});
    check(inside, None, policy, false);
    let table = json!({"Type": "AZMSRunTimeAuditLogs", "TimeGenerated": "2026-07-23T10:00:00Z", "_ResourceId": resource});
    check(with(by_token, table), Some(&named), None, true);
    let older = json!({"Type": "AzureDiagnostics", "Category": "RuntimeAuditLogs", "TimeGenerated": "2026-07-23T10:00:00Z", "ResourceId": resource,
        "ActivityName_s": "ConnectionOpen", "Status_s": "Success", "AuthType_s": "AAD", "AuthKey_s": application, "ClientIp_s": "203.0.113.7"});
    check(older, Some(&named), None, true);
}

/// Scenario: requests to Azure AD Graph by a person and by an application, and an operation of the portal
/// on an Event Hub.
/// Guarantees: who asked, when, from where, for what, with which token, and what was decided; a program is
/// nobody.
#[test]
fn older_logs_of_resources_are_read() {
    let row = |record: Value| {
        let text = record.to_string();
        let format = Format::detect(text.as_bytes()).unwrap();
        assert_eq!(format, Format::AzureActivity);
        let mut reading = with_context(|context| read_all(format, text.as_bytes(), context));
        assert_eq!(reading.rejects, [], "{record}");
        reading.accesses.remove(0)
    };
    let graph = |more: Value| {
        let mut properties = json!({"appId": "a", "userId": "", "servicePrincipalId": "", "tenantId": "t", "callerIpAddress": "203.0.113.7",
            "httpMethod": "GET", "httpStatusCode": 200, "requestUri": "/v2/t/users", "requestId": "r", "signInActivityId": "u",
            "timeGenerated": "2026-07-23T10:00:00.1234567Z", "userAgent": "x", "durationMs": 5});
        properties.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row(
            json!({"category": "AzureADGraphActivityLogs", "operationName": "AAD Graph Activity", "tenantId": "t", "properties": properties}),
        )
    };
    let person = graph(json!({"userId": "o", "httpStatusCode": 403}));
    assert_eq!(
        (person.identity_kind, person.identity.as_deref()),
        (IdentityKind::User, Some("oid:o"))
    );
    assert_eq!((person.decision, person.status_code), (Decision::Deny, Some(403)));
    assert_eq!(person.time.to_string(), "2026-07-23T10:00:00.123456Z");
    assert_eq!(person.credential_id.as_ref().map(|id| id.0.as_str()), Some("UTI=u"));
    let application = graph(json!({"servicePrincipalId": "s", "httpMethod": "PATCH"}));
    assert_eq!(
        (
            application.identity.as_deref(),
            application.identity_uid.as_deref(),
            application.activity_id
        ),
        (Some("appid:a"), Some("s"), 3)
    );
    assert_eq!(
        (
            application.source_ip.as_deref(),
            application.request_id.as_deref(),
            application.request_uri.as_deref()
        ),
        (Some("203.0.113.7"), Some("r"), Some("/v2/t/users"))
    );
    let operation = row(
        json!({"ActivityId": "a", "Caller": "Portal", "EventName": "Retrieve ConsumerGroup", "Status": "Succeeded",
        "EventTimeString": "7/23/2026 10:00:00 AM +00:00", "category": "OperationalLogs", "resourceId": "/SUBSCRIPTIONS/1/X"}),
    );
    assert_eq!((operation.identity_kind, operation.identity), (IdentityKind::Unknown, None));
    assert_eq!(
        (operation.verb.as_deref(), operation.decision),
        (Some("Retrieve ConsumerGroup"), Decision::Allow)
    );
    assert_eq!(operation.time.to_string(), "2026-07-23T10:00:00.000000Z");
}

/// Scenario: operations of Key Vault and storage accounts, which are one word, and of other services.
/// Guarantees: what each does, wherever the word for it stands; what is no such word is other.
#[test]
fn one_word_tells_what_is_done() {
    for (operation, expect) in [
        ("SecretGet", 2),
        ("SecretListVersions", 2),
        ("SecretSet", 3),
        ("KeyDelete", 4),
        ("CertificateCreate", 1),
        ("VaultPut", 3),
        ("GetBlob", 2),
        ("PutBlob", 3),
        ("KeySign", 99),
        ("Authentication", 99),
        ("Microsoft.Sql/servers/write", 3),
        ("Microsoft.Sql/servers/getKeys/action", 99),
    ] {
        let row = access(&json!({ "operationName": operation }));
        assert_eq!(row.activity_id, expect, "{operation}");
    }
}
