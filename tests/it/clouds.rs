//! Cloud sessions of workloads: from the ServiceAccount to the call, in one chain.

use std::collections::BTreeSet;
use std::fmt::Write;

use durward_detect::RuleFile;
use durward_ingest::Format;
use serde_json::{Value, json};

use crate::program::Place;
use crate::story::{Stage, said};

/// Five events of CloudTrail: an IRSA session is made and used, refused something, and a session of
/// EKS Pod Identity is made by the node's agent and used.
fn events() -> String {
    let provider =
        "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE";
    let event = |id: u32, second: u32, source: &str, name: &str, rest: Value| {
        let mut event = json!({
            "eventVersion": "1.11", "eventTime": format!("2026-07-23T10:00:{second:02}Z"),
            "eventSource": source, "eventName": name, "awsRegion": "eu-west-1",
            "sourceIPAddress": "10.0.3.17", "userAgent": "aws-sdk-go-v2/1.36.0",
            "eventID": format!("11111111-2222-3333-4444-{id:012}"), "eventType": "AwsApiCall",
            "requestID": format!("r-{id}"), "recipientAccountId": "123456789012",
        });
        let fields = event.as_object_mut().expect("an object");
        fields.extend(rest.as_object().expect("an object").clone());
        event.to_string()
    };
    let user = |role: &str, key: &str| {
        json!({
            "type": "AssumedRole", "arn": format!("arn:aws:sts::123456789012:assumed-role/{role}/s"),
            "accountId": "123456789012", "accessKeyId": key, "principalId": "AROAEXAMPLE:s",
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": format!("arn:aws:iam::123456789012:role/{role}"), "accountId": "123456789012"}},
        })
    };
    let tag = |key: &str, value: &str| json!({"key": key, "value": value});
    [
        event(1, 5, "sts.amazonaws.com", "AssumeRoleWithWebIdentity", json!({
            "userIdentity": {"type": "WebIdentityUser", "userName": "system:serviceaccount:payments:ledger",
                "principalId": format!("{provider}:sts.amazonaws.com:system:serviceaccount:payments:ledger"), "identityProvider": provider},
            "requestParameters": {"roleArn": "arn:aws:iam::123456789012:role/ledger", "roleSessionName": "s"},
            "responseElements": {"credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "expiration": "Jul 23, 2026, 11:00:05 AM"},
                "subjectFromWebIdentityToken": "system:serviceaccount:payments:ledger",
                "assumedRoleUser": {"arn": "arn:aws:sts::123456789012:assumed-role/ledger/s"}},
        })),
        event(2, 20, "secretsmanager.amazonaws.com", "GetSecretValue", json!({
            "userIdentity": user("ledger", "ASIAIOSFODNN7EXAMPLE"), "requestParameters": {"secretId": "prod/db"},
        })),
        event(3, 30, "iam.amazonaws.com", "CreateAccessKey", json!({
            "userIdentity": user("ledger", "ASIAIOSFODNN7EXAMPLE"), "requestParameters": {"userName": "admin"},
            "errorCode": "AccessDenied", "errorMessage": "User is not authorized to perform: iam:CreateAccessKey",
        })),
        event(4, 40, "sts.amazonaws.com", "AssumeRole", json!({
            "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
            "requestParameters": {"roleArn": "arn:aws:iam::123456789012:role/reports", "roleSessionName": "eks-shop-report-0",
                "tags": [tag("kubernetes-namespace", "batch"), tag("kubernetes-service-account", "report"),
                    tag("kubernetes-pod-name", "report-0"), tag("kubernetes-pod-uid", "8a7c1f7e-0000-4000-8000-000000000001")]},
            "responseElements": {"credentials": {"accessKeyId": "ASIAI44QH8DHBEXAMPLE", "expiration": "Jul 23, 2026, 4:00:40 PM"}},
        })),
        event(5, 50, "s3.amazonaws.com", "GetObject", json!({
            "userIdentity": user("reports", "ASIAI44QH8DHBEXAMPLE"), "requestParameters": {"bucketName": "reports"},
        })),
    ]
    .join("\n")
}

/// The pod that the session of EKS Pod Identity is for.
const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"report-0","namespace":"batch",
    "uid":"8a7c1f7e-0000-4000-8000-000000000001","creationTimestamp":"2026-07-23T09:00:00Z",
    "ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"report","controller":true}]},
    "spec":{"serviceAccountName":"report"}}"#;

/// Scenario: IRSA and EKS Pod Identity, as CloudTrail tells of them, uses before their minting too.
/// Guarantees: each call of a session names the ServiceAccount that got it and until when it holds,
/// and its workload where the session was minted for a pod; a
/// refusal is a refusal; who minted which role's session is no finding, and nothing is an incident.
#[test]
fn sessions_lead_back_to_service_accounts() {
    let events = events();
    let lines: Vec<&str> = events.lines().collect();
    // CloudTrail's files come late and in any order.
    for order in [[0, 1, 2, 3, 4], [4, 2, 1, 3, 0]] {
        let place = Place::new();
        let pods = place.path("pods.json");
        std::fs::write(&pods, POD).expect("a file");
        place.ingest_paths("shop", &[&pods]);
        for (number, at) in order.iter().enumerate() {
            let path = place.path(&format!("{number}.json"));
            std::fs::write(&path, lines[*at]).expect("a file");
            place.ingest_paths("shop", &[&path]);
        }
        let uses = place.query(
            "SELECT verb, decision, identity, minted_by, credential_expires_time, lineage_evidence, workload \
             FROM correlated_events WHERE identity_kind = 'aws_role' ORDER BY time",
        );
        let use_of = |verb: &str,
                      decision: &str,
                      role: &str,
                      by: &str,
                      until: &str,
                      workload: Option<&str>| {
            json!({
                "verb": verb, "decision": decision, "identity": format!("arn:aws:iam::123456789012:role/{role}"),
                "minted_by": format!("system:serviceaccount:{by}"),
                "credential_expires_time": format!("2026-07-23T{until}.000000Z"), "lineage_evidence": "exact", "workload": workload,
            })
        };
        assert_eq!(
            uses,
            [
                use_of("GetSecretValue", "allow", "ledger", "payments:ledger", "11:00:05", None),
                use_of("CreateAccessKey", "deny", "ledger", "payments:ledger", "11:00:05", None),
                use_of(
                    "GetObject",
                    "allow",
                    "reports",
                    "batch:report",
                    "16:00:40",
                    Some("batch/report")
                ),
            ],
            "{order:?}"
        );
        let pods = place.query("SELECT pod FROM credentials WHERE pod IS NOT NULL");
        assert_eq!(pods, [json!({ "pod": "report-0" })]);
        assert_eq!(place.count("incidents"), 0);
        assert_eq!(place.count("findings WHERE detector = 'minted_for_another'"), 0);
    }
}

/// One request as the API server logs it: somebody binds cluster-admin.
fn binding() -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "7d0a3f2e-0000-4000-8000-000000000001",
        "stage": "ResponseComplete", "requestURI": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "verb": "create",
        "user": {"username": "mallory@example.com", "groups": ["system:authenticated"]}, "sourceIPs": ["203.0.113.7"], "userAgent": "kubectl/v1.34",
        "objectRef": {"resource": "clusterrolebindings", "name": "debug", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"},
        "responseStatus": {"code": 201}, "requestObject": binding_object(),
        "requestReceivedTimestamp": "2026-07-23T10:00:00.000000Z", "stageTimestamp": "2026-07-23T10:00:00.010000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    })
}

fn binding_object() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "debug"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "web"}],
    })
}

/// The same as CloudWatch hands it on from EKS, Event Hubs from AKS, and Cloud Logging from GKE.
fn in_every_cloud() -> [(&'static str, Value); 3] {
    let event = binding().to_string();
    let eks = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/eks/shop/cluster",
        "logStream": "kube-apiserver-audit-1", "subscriptionFilters": ["all"],
        "logEvents": [{"id": "1", "timestamp": 1_784_800_800_000_i64, "message": event}],
    });
    let aks = json!({"records": [{
        "category": "kube-audit", "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read", "time": "2026-07-23T10:00:00Z",
        "resourceId": "/SUBSCRIPTIONS/0/RESOURCEGROUPS/SHOP/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/SHOP",
        "properties": {"log": event, "stream": "stdout", "pod": "kube-apiserver-1"},
    }]});
    let gke = json!({
        "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Factivity", "insertId": "i", "timestamp": "2026-07-23T10:00:00Z",
        "operation": {"id": "7d0a3f2e-0000-4000-8000-000000000001", "producer": "k8s.io", "first": true, "last": true},
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "shop", "location": "europe-west1", "project_id": "acme"}},
        "labels": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
            "methodName": "io.k8s.authorization.rbac.v1.clusterrolebindings.create",
            "resourceName": "rbac.authorization.k8s.io/v1/clusterrolebindings/debug",
            "authenticationInfo": {"principalEmail": "mallory@example.com"}, "authorizationInfo": [{"granted": true}],
            "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "kubectl/v1.34"},
            "request": binding_object(), "response": binding_object(),
        },
    });
    [("eks", eks), ("aks", aks), ("gke", gke)]
}

/// Scenario: somebody binds cluster-admin in a cluster of EKS, of AKS and of GKE.
/// Guarantees: each cloud's envelope, its format recognised, gives the same access, the same change and the
/// same incident.
#[test]
fn a_deed_is_judged_alike_in_every_cloud() {
    let mut told = Vec::new();
    for (cloud, envelope) in in_every_cloud() {
        let place = Place::new();
        let path = place.path("log.json");
        std::fs::write(&path, envelope.to_string()).expect("a file");
        place.ingest_paths("shop", &[&path]);
        let all = [
            "SELECT provider, cluster, identity, identity_kind, verb, resource, object_name, decision, source_ip, time FROM accesses",
            "SELECT kind, action, actor, summary, grants_added, subjects FROM changes",
            "SELECT rule_id, severity_id, state, title, reason FROM findings ORDER BY rule_id",
            "SELECT title, severity_id, status FROM incidents",
        ]
        .map(|sql| place.query(sql));
        assert!(all.iter().all(|rows| !rows.is_empty()), "{cloud}: {all:#?}");
        assert_eq!(all[3].len(), 1, "{cloud}");
        told.push((cloud, all));
    }
    let (_, first) = &told[0];
    for (cloud, all) in &told {
        assert_eq!(all, first, "{cloud}");
    }
}

/// Scenario: attacks on an account of AWS, as CloudTrail tells of them, each named after its technique;
/// the built-in rules, and the ones that SigmaHQ publishes for CloudTrail.
/// Guarantees: each technique is found by the rules that are about it, and the rules are put to the rows
/// of every file.
#[test]
fn public_attacks_are_found_by_public_rules() {
    let Some(data) = std::env::var_os("DURWARD_SHARED_DATA").map(std::path::PathBuf::from) else {
        return said("skipped public_attacks_are_found_by_public_rules: set DURWARD_SHARED_DATA");
    };
    let files = |folder: &str, ending: &str| {
        let entries = std::fs::read_dir(data.join(folder)).expect("a folder of shared data");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut paths: Vec<_> =
            paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
        paths.sort();
        paths
    };
    let rules =
        files("sigma/rules/cloud/aws/cloudtrail", ".yml").into_iter().map(|path| RuleFile {
            name: path.display().to_string(),
            text: std::fs::read_to_string(&path).expect("a rule"),
        });
    let rules: Vec<_> = rules.collect();
    let mut lines = String::new();
    for path in files("cloudtrail_stratus", ".json") {
        let mut stage = Stage::with_rules(&rules);
        let bytes = std::fs::read(&path).expect("a file");
        let format = Format::detect(&bytes).expect("a format");
        stage.take(stage.read(format, &bytes));
        let found: BTreeSet<String> = stage
            .judgements
            .iter()
            .flat_map(|judgement| &judgement.findings)
            .filter_map(|finding| finding.rule_id.clone())
            .collect();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let found: Vec<String> = found.into_iter().collect();
        writeln!(lines, "{name}: {}", found.join(", ")).expect("a String takes it");
    }
    insta::assert_snapshot!(lines);
}
