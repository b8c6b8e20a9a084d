//! Admission webhooks that a `ServiceAccount` changes: in every spelling of the change, and in the envelopes of sources.

use durward_ingest::Format;
use serde_json::{Value, json};

use super::found;
use super::spelled::VARIANTS;

const CERTIFICATE: &str =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCm5ldwotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==";

fn policy() -> Value {
    json!({
        "kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": "policy"},
        "webhooks": [{
            "name": "a.example.com", "sideEffects": "None", "failurePolicy": "Fail", "namespaceSelector": {},
            "clientConfig": {"service": {"name": "a", "namespace": "a"}, "caBundle": CERTIFICATE},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        }],
    })
}

fn event(second: u32, user: &str, verb: &str, body: &Value) -> Value {
    let time = format!("2026-07-23T10:00:{second:02}.000000Z");
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "stage": "ResponseComplete",
        "auditID": format!("11111111-2222-3333-4444-{second:012}"), "verb": verb,
        "requestURI": "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/policy",
        "user": {"username": user, "groups": ["system:authenticated"]},
        "objectRef": {"resource": "validatingwebhookconfigurations", "apiGroup": "admissionregistration.k8s.io",
            "apiVersion": "v1", "name": "policy"},
        "sourceIPs": ["10.0.0.7"], "requestReceivedTimestamp": time, "stageTimestamp": time,
        "responseStatus": {"code": if verb == "create" { 201 } else { 200 }}, "requestObject": body,
        "annotations": {"authorization.k8s.io/decision": "allow"},
    })
}

/// A change of one part of the webhook as verb and body, in every way in which Kubernetes changes an object.
fn spellings(part: &str, value: &Value) -> Vec<(&'static str, &'static str, Value)> {
    let mut whole = policy();
    let place = whole.pointer_mut("/webhooks/0").and_then(Value::as_object_mut).expect("a webhook");
    let (name, inner) =
        part.split_once('/').map_or((part, None), |(name, rest)| (name, Some(rest)));
    let changed = inner.map_or_else(|| value.clone(), |inner| json!({ inner: value }));
    match inner {
        Some(inner) => place[name][inner] = value.clone(),
        None => drop(place.insert(name.into(), value.clone())),
    }
    let step = json!([{"op": "replace", "path": format!("/webhooks/0/{part}"), "value": value}]);
    let merged = json!({ "webhooks": whole["webhooks"] });
    vec![
        ("update", "update", whole.clone()),
        ("apply", "patch", whole),
        ("JSON patch", "patch", step),
        ("merge patch", "patch", merged),
        (
            "strategic merge patch",
            "patch",
            json!({"webhooks": [{"name": "a.example.com", name: changed}]}),
        ),
    ]
}

/// Whether the change is found after the configuration was made, and of what nobody saw before.
fn check(part: &str, value: &Value, expected: [bool; 2]) {
    let cainjector = "system:serviceaccount:cert-manager:cainjector";
    let made = event(1, "alice", "create", &policy()).to_string();
    for (name, verb, body) in spellings(part, value) {
        let event = event(2, cainjector, verb, &body);
        // Of a whole object that nobody saw before nobody knows what was changed.
        let is_part = matches!(name, "JSON patch" | "strategic merge patch");
        // Redaction masks the value of such a step: that it is a certificate is not known.
        let is_masked = name == "JSON patch" && part.ends_with("caBundle");
        let expected = expected.map(|expected| expected || is_masked);
        let texts = [vec![made.clone(), event.to_string()], vec![event.to_string()]];
        for (texts, expected) in texts.into_iter().zip([expected[0], expected[1] || !is_part]) {
            let by_creation = texts.len() - 1;
            let all = found(Format::KubeAudit, &texts);
            let hits = all.iter().filter(|id| *id == "webhook_changed").count();
            assert_eq!(
                hits > by_creation,
                expected,
                "{part} by {name}, {} events: {all:?}",
                texts.len()
            );
        }
    }
}

/// Scenario: a certificate manager's `ServiceAccount` renews a certificate, and makes the webhook ask nobody by each of
/// its parts, by every verb, after the configuration was seen and before.
/// Guarantees: it is judged by what is changed, not by who changes it; a renewal after what was seen is none.
#[test]
fn webhooks_that_are_made_to_ask_nobody_are_found() {
    let new = CERTIFICATE.replace("bmV3", "bmV4");
    check("clientConfig/caBundle", &new.into(), [false, false]);
    for (part, value) in [
        ("failurePolicy", json!("Ignore")),
        ("rules", json!([])),
        ("namespaceSelector", json!({"matchLabels": {"no": "such"}})),
        ("objectSelector", json!({"matchLabels": {"no": "such"}})),
        ("clientConfig", json!({"url": "https://collect.example.com/", "caBundle": CERTIFICATE})),
        ("clientConfig/caBundle", json!("bm9uc2Vuc2U=")),
        ("matchConditions", json!([{"name": "never", "expression": "false"}])),
    ] {
        check(part, &value, [true, true]);
    }
}

/// Scenario: a webhook is let fail unseen, in the envelopes of sources.
/// Guarantees: it is found in each.
#[test]
fn webhooks_are_judged_in_every_envelope() {
    let patch = json!({"webhooks": [{"name": "a.example.com", "failurePolicy": "Ignore"}]});
    for variant in VARIANTS {
        let event = event(2, "system:serviceaccount:shop:cart", "patch", &patch);
        let all = found(variant.format, &[(variant.spelled)(event)]);
        assert!(all.iter().any(|id| id == "webhook_changed"), "{}: {all:?}", variant.name);
    }
}
