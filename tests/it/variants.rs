//! One deed in the spellings and envelopes that sources send it in.

use std::path::Path;

use durward_ingest::Format;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::story::Stage;

/// The rules that say the gravest things of Kubernetes.
const RULES: [&str; 15] = [
    "anonymous_allowed",
    "csr_approved",
    "csr_created_for_masters",
    "exec_by_workload",
    "exec_reads_token",
    "impersonation_by_workload",
    "impersonation_of_masters",
    "node_proxy_command",
    "pod_owns_node",
    "rbac_bound_to_everybody",
    "rbac_cluster_admin_bound",
    "rbac_system_role_bound",
    "secrets_listed",
    "token_requested_by_workload",
    "token_requested_for_kube_system",
];

const TIME: &str = "2026-07-23T10:00:00.000000Z";

/// A real request for a certificate, of `/O=system:masters/CN=mallory`, by openssl.
const REQUEST: &str = concat!(
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIbU1JR05BZ0VBTUNzeEZ6QVZCZ05WQkFvTURuTjVjM1Js",
    "YlRwdFlYTjBaWEp6TVJBd0RnWURWUVFEREFkdApZV3hzYjNKNU1Ga3dFd1lIS29aSXpqMENBUVlJS29aSXpqMERBUWNEUWdB",
    "RW1TRkJRa0NzZHdJb3ViaXd6L1pECi9WaGtVT25SZWc2UXF2TkpPWVQ1TmJGTTRTV0wzNEJEK3BlS21icSsxUUVEc0E2MFBI",
    "ZUVpNjFpNFFpZjZxaloKd3FBQU1Bb0dDQ3FHU000OUJBTUNBMGdBTUVVQ0lRRFJteUlYbnF3Z3EvaDJYZDFTS3hBVFNNU3RP",
    "UEx4cVhUaQpBd3VxdHBZKzJ3SWdjcXpMN0lnam5GZGxhRjZNN0hpREdZTFg3SGRmQTIwMzZmN1dYallhc1NzPQotLS0tLUVO",
    "RCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K",
);

#[derive(Deserialize)]
struct Cases {
    yes: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    event: Value,
}

/// A spelling: its name, the format it is read as, and the text of an event in it.
type Variant = (&'static str, Format, fn(Value) -> String);

const VARIANTS: [Variant; 11] = [
    ("as the API server writes it", Format::KubeAudit, |event| event.to_string()),
    ("a list of the webhook", Format::KubeAudit, |event| {
        json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event]}).to_string()
    }),
    ("without annotations", Format::KubeAudit, |mut event| {
        event["annotations"] = Value::Null;
        event.to_string()
    }),
    ("with the answer", Format::KubeAudit, |mut event| {
        event["level"] = "RequestResponse".into();
        event["responseObject"] = event["requestObject"].clone();
        event.to_string()
    }),
    (
        "through a proxy, by another client, with fields of a later version",
        Format::KubeAudit,
        |mut event| {
            event["sourceIPs"] = json!(["2001:db8::7", "10.0.0.1"]);
            event["userAgent"] = "curl/8.11.1".into();
            event["later"] = json!({"version": [1]});
            event.to_string()
        },
    ),
    ("behind a byte order mark, with the line ends of Windows", Format::KubeAudit, |event| {
        format!("\u{feff}{event}\r\n")
    }),
    ("a line of a container runtime", Format::KubeAudit, |event| {
        format!("{TIME} stdout F {event}\n")
    }),
    ("Fluent Bit", Format::KubeAudit, |event| {
        json!({"log": format!("{event}\n"), "stream": "stdout", "time": TIME}).to_string()
    }),
    ("CloudWatch", Format::CloudWatch, |event| {
        json!({
            "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/aws/eks/prod/cluster",
            "logStream": "kube-apiserver-audit-1", "subscriptionFilters": ["audit"],
            "logEvents": [{"id": "1", "timestamp": 1_784_800_800_000_i64, "message": event.to_string()}],
        })
        .to_string()
    }),
    ("Event Hubs", Format::AksAudit, |event| {
        json!({"records": [{
            "category": "kube-audit", "time": TIME,
            "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
            "resourceId": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD",
            "properties": {"log": event.to_string(), "stream": "stdout", "pod": "kube-apiserver-1"},
        }]})
        .to_string()
    }),
    ("OTLP", Format::Otlp, |event| {
        json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [
            {"timeUnixNano": "1784800800000000000", "body": {"stringValue": event.to_string()}},
        ]}]}]})
        .to_string()
    }),
];

/// The event of the rule's first yes-case, as an API server tells it.
fn event(rule: &str) -> Value {
    let path = format!("{}/detect/rules/{rule}.cases.yml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(Path::new(&path)).expect("cases of the rule");
    let cases: Cases = serde_saphyr::from_str(&text).expect("cases that can be read");
    let case = cases.yes.into_iter().next().expect("a yes-case");
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "stage": "ResponseComplete",
        "auditID": "11111111-2222-3333-4444-555555555555", "requestURI": "/apis",
        "sourceIPs": ["10.0.0.7"], "userAgent": "kubectl/v1.34.4",
        "requestReceivedTimestamp": TIME, "stageTimestamp": TIME,
        "responseStatus": {"code": 200},
        "annotations": {"authorization.k8s.io/decision": "allow"},
    });
    for (key, value) in case.event.as_object().expect("an event") {
        event[key] = value.clone();
    }
    // The case has a stand-in.
    if rule == "csr_created_for_masters" {
        event["requestObject"]["spec"]["request"] = REQUEST.into();
    }
    event
}

/// Rules that hold for what is read.
fn found(format: Format, text: &str) -> Vec<String> {
    let mut stage = Stage::new();
    let reading = stage.read(format, text.as_bytes());
    assert_eq!(reading.rejects.len(), 0, "{text}: {:?}", reading.rejects);
    stage.take(reading);
    let findings = stage.judgements.into_iter().flat_map(|judgement| judgement.findings);
    findings.filter_map(|finding| finding.rule_id).collect()
}

/// Scenario: the first yes-case of the fifteen gravest rules for Kubernetes, in eleven spellings and envelopes,
/// each read by the real reader and taken through correlation and detection.
/// Guarantees: a deed is found in every spelling, and nothing of it is rejected.
#[test]
fn deeds_are_found_in_every_spelling() {
    let mut missed = Vec::new();
    for rule in RULES {
        let event = event(rule);
        for (name, format, spelled) in VARIANTS {
            let found = found(format, &spelled(event.clone()));
            if !found.iter().any(|id| id == rule) {
                missed.push(format!("{rule} {name}: {found:?}"));
            }
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}
