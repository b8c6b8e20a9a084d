//! One deed in the spellings and envelopes that sources send it in: rules and detectors.

mod detectors;
mod spelled;
mod webhooks;

use std::path::Path;

use durward_ingest::Format;
use serde::Deserialize;
use serde_json::{Value, json};

use self::spelled::{CREATIONS, Spelling, TIME, VARIANTS};
use crate::story::Stage;

/// The rules that say the gravest things of Kubernetes.
const RULES: [&str; 17] = [
    "anonymous_allowed",
    "csr_approved",
    "csr_created_for_masters",
    "debug_container_mounts_token",
    "exec_by_workload",
    "exec_reads_token",
    "impersonation_by_workload",
    "impersonation_of_masters",
    "node_proxy_command",
    "pod_opens_node",
    "pod_owns_node",
    "rbac_bound_to_everybody",
    "rbac_cluster_admin_bound",
    "rbac_system_role_bound",
    "secrets_listed",
    "token_requested_by_workload",
    "token_requested_for_kube_system",
];

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

/// Rules that hold for what is read, and detectors that say something of it.
fn found(format: Format, texts: &[String]) -> Vec<String> {
    let mut stage = Stage::new();
    for text in texts {
        let reading = stage.read(format, text.as_bytes());
        assert_eq!(reading.rejects.len(), 0, "{text}: {:?}", reading.rejects);
        stage.take(reading);
    }
    let findings = stage.judgements.into_iter().flat_map(|judgement| judgement.findings);
    findings.map(|finding| finding.rule_id.unwrap_or(finding.detector)).collect()
}

/// Rules whose yes-case creates an object.
const MADE: [&str; 6] = [
    "csr_created_for_masters",
    "pod_opens_node",
    "pod_owns_node",
    "rbac_bound_to_everybody",
    "rbac_cluster_admin_bound",
    "rbac_system_role_bound",
];

/// Rules that need what GKE does not send: groups of somebody impersonated, and paths of a proxy or a command.
const NOT_BY_GKE: [&str; 4] = [
    "exec_reads_token",
    "impersonation_by_workload",
    "impersonation_of_masters",
    "node_proxy_command",
];

/// Rules that look at what cannot be changed: an object of which one thing is told again is no new deed.
const NEW_ONLY: [&str; 3] =
    ["csr_created_for_masters", "rbac_cluster_admin_bound", "rbac_system_role_bound"];

/// Scenario: the first yes-case of the gravest rules that look at what is made, spelled in every way in which
/// Kubernetes makes an object; and of those that need nothing else, as GKE tells it.
/// Guarantees: a deed is a deed whichever verb and body it has.
#[test]
fn deeds_are_found_by_every_verb() {
    let mut missed = Vec::new();
    let mut check = |rule: &str, name: &str, format: Format, text: String| {
        let found = found(format, &[text]);
        if !found.iter().any(|id| id == rule) {
            missed.push(format!("{rule} {name}: {found:?}"));
        }
    };
    for rule in MADE {
        let is_new_only = NEW_ONLY.contains(&rule);
        for (name, spelled) in CREATIONS.into_iter().take(if is_new_only { 4 } else { 5 }) {
            let event = spelled(event(rule));
            check(rule, name, Format::KubeAudit, event.to_string());
            check(rule, name, Format::GkeAudit, spelled::by_gke(&event).to_string());
        }
    }
    for rule in RULES.into_iter().filter(|rule| !NOT_BY_GKE.contains(rule)) {
        check(rule, "GKE", Format::GkeAudit, spelled::by_gke(&event(rule)).to_string());
    }
    assert_eq!(missed, Vec::<String>::new());
}

/// Scenario: the first yes-case of the gravest rules for Kubernetes, in eleven spellings and envelopes,
/// each read by the real reader and taken through correlation and detection.
/// Guarantees: a deed is found in every spelling, and nothing of it is rejected.
#[test]
fn deeds_are_found_in_every_spelling() {
    let mut missed = Vec::new();
    for rule in RULES {
        let event = event(rule);
        for Spelling { name, format, spelled } in VARIANTS {
            let found = found(*format, &[spelled(event.clone())]);
            if !found.iter().any(|id| id == rule) {
                missed.push(format!("{rule} {name}: {found:?}"));
            }
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}
