//! What somebody does so that nobody hears of what else he does, through reading, correlation and detection.

use durward_ingest::Format;
use serde_json::{Value, json};

use crate::story::Stage;

const TIME: &str = "2026-07-23T10:00:00.000001Z";

fn event(audit_id: &str, body: &Value) -> Value {
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": audit_id,
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/pods", "verb": "create",
        "user": {"username": "mallory", "groups": ["system:authenticated"]}, "sourceIPs": ["10.0.0.7"],
        "userAgent": "kubectl", "objectRef": {"resource": "pods", "namespace": "shop", "name": "p", "apiVersion": "v1"},
        "responseStatus": {"code": 201}, "requestObject": body, "responseObject": body,
        "requestReceivedTimestamp": TIME, "stageTimestamp": TIME,
        "annotations": {"authorization.k8s.io/decision": "allow"},
    })
}

fn pod(value: &str) -> Value {
    json!({"spec": {
        "volumes": [{"name": "h", "hostPath": {"path": "/"}}],
        "containers": [{
            "name": "c", "env": [{"name": "A", "value": value}],
            "volumeMounts": [{"name": "h", "mountPath": "/h"}],
        }],
    }})
}

/// Judges of everything that is said of the text.
fn judges(text: &str) -> (Vec<String>, Stage) {
    let mut stage = Stage::new();
    let reading = stage.read(Format::KubeAudit, text.as_bytes());
    assert_eq!((reading.accesses.len(), reading.rejects.len()), (text.lines().count(), 0));
    stage.take(reading);
    let findings = stage.judgements.iter().flat_map(|judgement| &judgement.findings);
    let judges =
        findings.map(|finding| finding.rule_id.clone().unwrap_or(finding.detector.clone()));
    (judges.collect(), stage)
}

/// Scenario: a pod that mounts the node's root, with an environment value of 1.4 MiB of `<`, each of which the API
/// server writes as six bytes; then the same with a hundred thousand small values.
/// Guarantees: it is an access of who made it; what else the pod has is judged where only a value is large, and that
/// something is left out is told in both.
#[test]
fn padding_hides_no_request() {
    let large = event("a", &pod("PADDING")).to_string();
    let large = large.replace("PADDING", &"\\u003c".repeat(1_400_000));
    let (found, stage) = judges(&large);
    for judge in ["pod_owns_node", "blindness"] {
        assert!(found.iter().any(|name| name == judge), "{judge}: {found:?}");
    }
    let row = stage.turns.iter().flat_map(|turn| &turn.accesses).next().expect("an access");
    assert_eq!((row.identity.as_deref(), row.truncated), (Some("mallory"), true));
    let mut many = pod("x");
    many["spec"]["containers"][0]["env"] =
        (0..100_000).map(|at| json!({"name": format!("A{at}"), "value": "x".repeat(50)})).collect();
    let (found, _) = judges(&event("a", &many).to_string());
    assert_eq!(found, ["blindness"]);
}

/// Scenario: a harmless request, and one with the same audit id, microsecond, user, verb and URI that makes a pod which
/// owns its node.
/// Guarantees: the second is judged, and it is told that the audit id was used twice.
#[test]
fn a_request_behind_another_is_judged() {
    let harmless = json!({"spec": {"containers": [{"name": "c"}]}});
    let text = format!("{}\n{}\n", event("a", &harmless), event("a", &pod("x")));
    let (found, _) = judges(&text);
    for judge in ["pod_owns_node", "reused_audit_id"] {
        assert!(found.iter().any(|name| name == judge), "{judge}: {found:?}");
    }
}
