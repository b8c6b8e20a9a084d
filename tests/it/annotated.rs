//! Workloads that act in a cloud under a name that their ServiceAccount is annotated with.

use serde_json::{Value, json};

use crate::program::Place;

/// A `ServiceAccount` that is annotated so, and a pod of its own that runs as it.
fn workload(name: &str, annotation: &str, principal: &str) -> [Value; 2] {
    let metadata = |name: &str, rest: Value| {
        let mut metadata = json!({"name": name, "namespace": "payments", "creationTimestamp": "2026-07-23T09:00:00Z"});
        metadata
            .as_object_mut()
            .expect("an object")
            .extend(rest.as_object().expect("an object").clone());
        metadata
    };
    let owner = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "uid": format!("owner-{name}"), "controller": true}]);
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": metadata(name, json!({"uid": format!("account-{name}"), "annotations": {annotation: principal}}))}),
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": metadata(&format!("{name}-0"), json!({"uid": format!("pod-{name}"), "ownerReferences": owner})),
            "spec": {"serviceAccountName": name, "nodeName": "node-1", "containers": [{"name": "c", "image": "i"}]}}),
    ]
}

/// What each does in its cloud: only the name that it has there is told.
fn calls() -> [Value; 3] {
    [
        json!({"eventVersion": "1.11", "eventTime": "2026-07-23T10:00:10Z", "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
            "awsRegion": "us-east-1", "sourceIPAddress": "10.0.3.17", "eventType": "AwsApiCall", "eventID": "e-1", "requestID": "r-1",
            "recipientAccountId": "123456789012", "requestParameters": {"bucketName": "ledger"},
            "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/ledger/s", "accountId": "123456789012",
                "sessionContext": {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::123456789012:role/ledger"}}}}),
        json!({"logName": "projects/acme/logs/cloudaudit.googleapis.com%2Fdata_access", "insertId": "i1", "timestamp": "2026-07-23T10:00:20Z",
            "resource": {"type": "gcs_bucket", "labels": {"project_id": "acme"}},
            "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "storage.googleapis.com",
                "methodName": "storage.objects.get", "resourceName": "projects/_/buckets/b/objects/a",
                "authenticationInfo": {"principalEmail": "reader@acme.iam.gserviceaccount.com"}, "requestMetadata": {"callerIp": "10.0.3.18"},
                "authorizationInfo": [{"permission": "storage.objects.get", "granted": true}]}}),
        json!({"time": "2026-07-23T10:00:30.0000000Z", "operationName": "MICROSOFT.KEYVAULT/VAULTS/READ", "category": "Administrative",
            "resourceId": "/SUBSCRIPTIONS/0E0E/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/LEDGER",
            "resultType": "Success", "resultSignature": "OK", "correlationId": "c-1", "callerIpAddress": "10.0.3.19",
            "identity": {"claims": {"appid": "5C0FFEE0-0000-4000-8000-000000000001", "oid": "o", "tid": "t"}}, "properties": {"statusCode": "OK"}}),
    ]
}

/// Scenario: an application signs in to Entra with the token of a cluster, and calls with what it got; told in
/// this order and backwards.
/// Guarantees: the call says when its token was given, and the token is known with its holder.
#[test]
fn calls_in_azure_lead_back_to_the_sign_in() {
    let app = "5c0ffee0-0000-4000-8000-000000000001";
    let sign_in = json!({"time": "2026-07-23T10:00:05Z", "category": "ServicePrincipalSignInLogs", "operationName": "Sign-in activity",
        "tenantId": "t", "resultType": "0", "callerIpAddress": "10.0.3.19", "correlationId": "c-0",
        "properties": {"id": "s-1", "createdDateTime": "2026-07-23T10:00:05Z", "appId": app, "servicePrincipalId": "o", "ipAddress": "10.0.3.19",
            "federatedCredentialId": "f-1", "clientCredentialType": "federatedIdentityCredential", "uniqueTokenIdentifier": "AbCdEf", "status": {"errorCode": 0}}});
    let call = json!({"time": "2026-07-23T10:00:30Z", "operationName": "MICROSOFT.KEYVAULT/VAULTS/READ", "category": "Administrative",
        "resourceId": "/SUBSCRIPTIONS/0E0E/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/LEDGER",
        "resultType": "Success", "resultSignature": "OK", "correlationId": "c-1", "callerIpAddress": "10.0.3.19",
        "identity": {"claims": {"appid": app, "oid": "o", "tid": "t", "uti": "AbCdEf"}}, "properties": {"statusCode": "OK"}});
    for events in [[&sign_in, &call], [&call, &sign_in]] {
        let place = Place::new();
        for (number, event) in events.iter().enumerate() {
            let path = place.path(&format!("{number}.json"));
            std::fs::write(&path, event.to_string()).expect("a file");
            place.ingest_paths("shop", &[&path]);
        }
        assert_eq!(
            place.query(
                "SELECT credential_issued_time, minted_by, lineage_evidence FROM correlated_events WHERE credential_id = 'UTI=AbCdEf'",
            ),
            [json!({"credential_issued_time": "2026-07-23T10:00:05.000000Z", "minted_by": format!("appid:{app}"), "lineage_evidence": "exact"})],
        );
        assert_eq!(
            place.query("SELECT credential_kind, identity FROM credentials WHERE credential_id = 'UTI=AbCdEf'"),
            [json!({"credential_kind": "cloud_session", "identity": format!("appid:{app}")})],
        );
        assert_eq!(
            place.count("findings WHERE detector IN ('minted_later', 'minted_for_another')"),
            0
        );
    }
}

/// Scenario: ServiceAccounts with the annotations of EKS, GKE and AKS, a pod of each, and a call of each
/// cloud by the principal of its annotation; the cluster listed before the calls, and after them. Then a
/// second account claims the role of the first.
/// Guarantees: each call has its workload, as derived, in both orders; of two that claim one role nobody
/// knows which it was, and nothing is said.
#[test]
fn calls_in_a_cloud_lead_back_by_annotation() {
    let role = "arn:aws:iam::123456789012:role/ledger";
    let workloads = [
        workload("ledger", "eks.amazonaws.com/role-arn", role),
        workload("reader", "iam.gke.io/gcp-service-account", "reader@acme.iam.gserviceaccount.com"),
        workload(
            "vault",
            "azure.workload.identity/client-id",
            "5c0ffee0-0000-4000-8000-000000000001",
        ),
    ];
    let second = workload("second", "eks.amazonaws.com/role-arn", role);
    for lists_first in [true, false] {
        let place = Place::new();
        let take = |name: &str, content: &Value| {
            let path = place.path(name);
            std::fs::write(&path, content.to_string()).expect("a file");
            place.ingest_paths("shop", &[&path]);
        };
        let list = |name: &str, items: &[Value]| {
            take(name, &json!({"apiVersion": "v1", "kind": "List", "items": items}));
        };
        if lists_first {
            list("objects.json", &workloads.concat());
        }
        for (number, call) in calls().iter().enumerate() {
            take(&format!("{number}.json"), call);
        }
        if !lists_first {
            list("objects.json", &workloads.concat());
        }
        let told = || {
            place.query(
                "SELECT provider, workload, workload_kind, workload_evidence FROM correlated_events ORDER BY time",
            )
        };
        let row = |provider: &str, workload: Option<&str>| {
            json!({"provider": provider, "workload": workload,
                "workload_kind": workload.map(|_| "StatefulSet"), "workload_evidence": workload.map(|_| "derived")})
        };
        let [gcp, azure] =
            [row("gcp", Some("payments/reader")), row("azure", Some("payments/vault"))];
        let expected = [row("aws", Some("payments/ledger")), gcp.clone(), azure.clone()];
        assert_eq!(told(), expected, "{lists_first}");
        list("second.json", &second);
        assert_eq!(told(), [row("aws", None), gcp, azure], "{lists_first}");
    }
}
