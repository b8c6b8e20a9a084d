//! Identities of clouds that lose what let them in.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::program::Place;

/// A role loses a policy, and then the trust by which a `ServiceAccount` became it.
fn in_aws() -> Vec<Value> {
    let aws = |id: u32,
               service: &str,
               name: &str,
               who: Value,
               parameters: Value,
               error: Option<&str>| {
        json!({
            "eventVersion": "1.11", "eventTime": format!("2026-07-23T10:00:{id:02}Z"), "eventSource": format!("{service}.amazonaws.com"),
            "eventName": name, "awsRegion": "us-east-1", "sourceIPAddress": "203.0.113.7", "eventType": "AwsApiCall",
            "eventID": format!("11111111-2222-3333-4444-{id:012}"), "requestID": format!("r-{id}"), "recipientAccountId": "123456789012",
            "userIdentity": who, "requestParameters": parameters, "errorCode": error, "errorMessage": error.map(|_| format!("not authorized to perform: {service}:{name}")),
        })
    };
    let alice = json!({"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/alice", "accountId": "123456789012", "userName": "alice"});
    let ledger = json!({"type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/ledger/s", "accountId": "123456789012",
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::123456789012:role/apps/ledger"}}});
    let provider =
        "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE";
    let account = json!({"type": "WebIdentityUser", "userName": "system:serviceaccount:payments:ledger", "identityProvider": provider});
    let role =
        json!({"roleArn": "arn:aws:iam::123456789012:role/apps/ledger", "roleSessionName": "s"});
    vec![
        aws(
            10,
            "iam",
            "DetachRolePolicy",
            alice.clone(),
            json!({"roleName": "ledger", "policyArn": "arn:aws:iam::aws:policy/SecretsManagerReadWrite"}),
            None,
        ),
        aws(
            20,
            "secretsmanager",
            "GetSecretValue",
            ledger,
            json!({"secretId": "prod/db"}),
            Some("AccessDenied"),
        ),
        aws(
            30,
            "iam",
            "UpdateAssumeRolePolicy",
            alice,
            json!({"roleName": "ledger", "policyDocument": "{}"}),
            None,
        ),
        aws(40, "sts", "AssumeRoleWithWebIdentity", account, role, Some("AccessDenied")),
    ]
}

/// A service account loses a role in a project.
fn in_gcp() -> Vec<Value> {
    let gcp = |id: u32, service: &str, method: &str, who: &str, rest: Value| {
        let mut payload = json!({"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": service, "methodName": method,
            "authenticationInfo": {"principalEmail": who}, "requestMetadata": {"callerIp": "203.0.113.7"}});
        payload
            .as_object_mut()
            .expect("an object")
            .extend(rest.as_object().expect("an object").clone());
        json!({"logName": "projects/acme/logs/cloudaudit.googleapis.com%2Factivity", "insertId": format!("i{id}"),
            "timestamp": format!("2026-07-23T10:00:{id:02}Z"), "resource": {"type": "project", "labels": {"project_id": "acme"}}, "protoPayload": payload})
    };
    let delta = json!({"action": "REMOVE", "role": "roles/storage.objectViewer", "member": "serviceAccount:ci@acme.iam.gserviceaccount.com"});
    vec![
        gcp(
            10,
            "cloudresourcemanager.googleapis.com",
            "SetIamPolicy",
            "carol@example.com",
            json!({"resourceName": "projects/acme", "authorizationInfo": [{"permission": "resourcemanager.projects.setIamPolicy", "granted": true}],
                "serviceData": {"policyDelta": {"bindingDeltas": [delta]}}}),
        ),
        gcp(
            20,
            "storage.googleapis.com",
            "storage.objects.get",
            "ci@acme.iam.gserviceaccount.com",
            json!({"resourceName": "projects/_/buckets/ledger/objects/a", "authorizationInfo": [{"permission": "storage.objects.get", "granted": false}],
                "status": {"code": 7, "message": "ci does not have storage.objects.get access"}}),
        ),
    ]
}

/// A managed identity loses the assignment of a role, in the spelling of diagnostic settings.
fn in_azure() -> Vec<Value> {
    let subscription = "/SUBSCRIPTIONS/0E0E/RESOURCEGROUPS/SHOP/PROVIDERS";
    let azure = |id: u32,
                 operation: &str,
                 resource: &str,
                 status: &str,
                 claims: Value,
                 more: Value| {
        json!({"time": format!("2026-07-23T10:00:{id:02}.0000000Z"), "resourceId": format!("{subscription}/{resource}"), "operationName": operation, "category": "Administrative",
            "resultType": if status == "OK" { "Success" } else { "Failure" }, "resultSignature": status, "correlationId": format!("c-{id}"), "callerIpAddress": "203.0.113.7",
            "identity": {"claims": claims}, "properties": more})
    };
    let removed = json!({"properties": {"principalId": "5b0b", "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/4633"}});
    vec![
        azure(
            10,
            "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/DELETE",
            "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/A1",
            "OK",
            json!({"upn": "dave@example.com", "tid": "t"}),
            json!({"statusCode": "OK", "responseBody": removed.to_string()}),
        ),
        azure(
            20,
            "MICROSOFT.KEYVAULT/VAULTS/READ",
            "MICROSOFT.KEYVAULT/VAULTS/LEDGER",
            "Forbidden",
            json!({"appid": "a1b2", "oid": "5b0b", "tid": "t", "xms_mirid": "/subscriptions/0e0e/ledger"}),
            json!({"statusCode": "Forbidden", "statusMessage": "does not have authorization to perform action"}),
        ),
    ]
}

/// Scenario: an identity of each cloud loses a role, or a role its trust, and is refused then; told in this
/// order, and backwards, as delivery of clouds may have it.
/// Guarantees: each refusal leads to the change that may have caused it and who made it, as derived, in a
/// sentence of that cloud; what the actors of the changes did is not blamed on anybody.
#[test]
fn refusals_of_clouds_lead_to_the_change_of_policy() {
    let mut told = String::new();
    for (cloud, events) in [("aws", in_aws()), ("gcp", in_gcp()), ("azure", in_azure())] {
        let mut orders = Vec::new();
        for is_backwards in [false, true] {
            let place = Place::new();
            let mut lines: Vec<String> = events.iter().map(Value::to_string).collect();
            if is_backwards {
                lines.reverse();
            }
            for (number, line) in lines.iter().enumerate() {
                let path = place.path(&format!("{number}.json"));
                std::fs::write(&path, line).expect("a file");
                place.ingest_paths("shop", &[&path]);
            }
            let rows = place.query(
                "SELECT verb, decision, change_actor, change_evidence, decision_explained FROM correlated_events ORDER BY time",
            );
            assert_eq!(place.count("incidents"), 0, "{cloud}");
            orders.push(rows);
        }
        assert_eq!(orders[0], orders[1], "{cloud}");
        for row in &orders[0] {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let keys =
                ["verb", "decision", "change_actor", "change_evidence", "decision_explained"];
            writeln!(told, "{cloud}: {}", keys.map(text).join(" | ")).expect("a String takes it");
        }
    }
    insta::assert_snapshot!(told);
}
