//! What a write changed of an admission webhook: its certificate alone, or whom it asks and when.
//!
//! Controllers renew the certificate in configurations of webhooks. Whoever does that, by the same right, makes the
//! webhook ask nobody: by `failurePolicy: Ignore`, without rules, with a selector that leaves all out, at another place.
//! So what was changed says which of both it is, not whose name stands beside it.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use durward_schemas::tables::{Access, Change};
use durward_schemas::values::ChangeAction;
use serde_json::{Map, Value, json};

use crate::rule::event::parse;

/// Whether nothing of a configuration was changed but certificates and its metadata. What is not known to be only that
/// is more. `unchanged` says that correlation saw that nothing changed that decides.
pub(crate) fn is_renewal(row: &Access, change: Option<&Change>, unchanged: bool) -> bool {
    let resources = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
    let is_of_webhooks = row.resource.as_deref().is_some_and(|name| resources.contains(&name));
    let is_update = matches!(row.verb.as_deref(), Some("update" | "patch"))
        && change.is_none_or(|change| change.action == ChangeAction::Update);
    if !is_of_webhooks || !is_update {
        return false;
    }
    if unchanged || (row.verb.as_deref() == Some("patch") && patches_certificates_only(row)) {
        return true;
    }
    let body = |body: fn(&Change) -> Option<&_>| parse(change.and_then(body));
    let (before, after) =
        (body(|change| change.before.as_ref()), body(|change| change.after.as_ref()));
    let (Some(before), Some(after)) = (before["webhooks"].as_array(), after["webhooks"].as_array())
    else {
        return false;
    };
    before.len() == after.len()
        && before.iter().zip(after).all(|(before, after)| asks_as_before(before, after))
}

/// Whether a webhook asks the same about the same as before, or fails no longer unseen.
fn asks_as_before(before: &Value, after: &Value) -> bool {
    let had = bundle(before).is_some_and(|bundle| !bundle.is_empty());
    let has = bundle(after).is_some_and(is_certificate);
    let (mut before, after) = (whole(before), whole(after));
    if after["failurePolicy"] == "Fail" {
        before["failurePolicy"] = "Fail".into();
    }
    (has || !had) && before == after
}

fn bundle(webhook: &Value) -> Option<&str> {
    webhook.pointer("/clientConfig/caBundle")?.as_str()
}

/// Whether a text is certificates as a bundle has them. With anything else no server is believed.
fn is_certificate(bundle: &str) -> bool {
    let bytes = STANDARD.decode(bundle.trim()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----")
}

/// A webhook without its certificate, with what the API server puts where nothing was said.
fn whole(webhook: &Value) -> Value {
    let mut webhook = webhook.clone();
    if let Some(client) = webhook.get_mut("clientConfig").and_then(Value::as_object_mut) {
        client.remove("caBundle");
        if let Some(service) = client.get_mut("service").and_then(Value::as_object_mut) {
            service.entry("port").or_insert_with(|| 443.into());
        }
    }
    for rule in webhook.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(rule) = rule.as_object_mut() {
            rule.entry("scope").or_insert_with(|| "*".into());
        }
    }
    let Value::Object(said) = webhook else { return webhook };
    let unsaid = json!({
        "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
        "timeoutSeconds": 10, "reinvocationPolicy": "Never",
    });
    let Value::Object(mut whole) = unsaid else { return Value::Object(said) };
    whole.extend(said.into_iter().filter(|(_, value)| !value.is_null()));
    Value::Object(whole)
}

/// Whether a patch says nothing but certificates and metadata. An apply says all that its manager wants, so what it
/// leaves out may be gone.
fn patches_certificates_only(row: &Access) -> bool {
    match parse(row.request_object.as_ref()) {
        Value::Array(steps) => steps.iter().all(is_step_of_certificate),
        Value::Object(patch) => {
            let webhooks = patch.get("webhooks").and_then(Value::as_array);
            patch.keys().all(|key| {
                matches!(key.as_str(), "metadata" | "webhooks" | "$setElementOrder/webhooks")
            }) && webhooks.is_none_or(|all| all.iter().all(is_of_certificate))
                && (webhooks.is_some() || patch.contains_key("metadata"))
        }
        _ => false,
    }
}

/// `{"name": "a", "clientConfig": {"caBundle": "..."}}`: a strategic merge patch finds the webhook by its name.
fn is_of_certificate(webhook: &Value) -> bool {
    let only = |object: Option<&Map<String, Value>>, keys: &[&str]| {
        object.is_some_and(|object| object.keys().all(|key| keys.contains(&key.as_str())))
    };
    only(webhook.as_object(), &["name", "clientConfig"])
        && only(webhook["clientConfig"].as_object(), &["caBundle"])
        && bundle(webhook).is_some_and(is_certificate)
}

fn is_step_of_certificate(step: &Value) -> bool {
    let path = step["path"].as_str().unwrap_or_default();
    let op = step["op"].as_str().unwrap_or_default();
    let place = path.strip_prefix("/webhooks/").and_then(|rest| rest.split_once('/'));
    let is_bundle = place.is_some_and(|(at, rest)| {
        at.bytes().all(|digit| digit.is_ascii_digit()) && rest == "clientConfig/caBundle"
    });
    match op {
        "test" => true,
        "add" | "replace" if is_bundle => step["value"].as_str().is_some_and(is_certificate),
        "add" | "replace" | "remove" => path.starts_with("/metadata/"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn webhook(more: &Value) -> Value {
        let mut webhook = json!({
            "name": "a.example.com", "sideEffects": "None",
            "clientConfig": {"service": {"name": "a", "namespace": "a"}, "caBundle": certificate("old")},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        });
        let Value::Object(webhook_fields) = &mut webhook else { return webhook };
        webhook_fields.extend(more.as_object().cloned().unwrap_or_default());
        webhook
    }

    fn certificate(text: &str) -> String {
        STANDARD.encode(format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"))
    }

    fn written(verb: &str, body: &Value) -> Access {
        testing::row(&json!({
            "user": {"username": "system:serviceaccount:shop:cart"}, "verb": verb,
            "objectRef": {"resource": "validatingwebhookconfigurations", "name": "policy"},
            "requestObject": body,
        }))
    }

    /// Whether an update from one list of webhooks to another is a renewal.
    fn updated(before: &Value, after: &Value) -> bool {
        let change = |body: &Value| json!({ "webhooks": body });
        let told = json!({"action": "update", "before": change(before), "after": change(after)});
        let row = written("update", &change(after));
        is_renewal(&row, testing::change(&told).as_ref(), false)
    }

    fn client(bundle: &str) -> Value {
        json!({"clientConfig": {"service": {"name": "a", "namespace": "a", "port": 443}, "caBundle": bundle}})
    }

    /// Scenario: a configuration that was seen before is updated: its certificate, what the API server fills in, and
    /// each part by which it asks somebody else, about less, or lets through what nobody answers.
    /// Guarantees: only a certificate in place of another is a renewal, and what makes it fail seen.
    #[test]
    fn only_a_certificate_is_a_renewal() {
        let before = json!([webhook(&json!({}))]);
        let after = |more: &Value| json!([webhook(more)]);
        let new = after(&client(&certificate("new")));
        assert!(updated(&before, &new));
        let filled =
            json!({"failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10});
        assert!(updated(&before, &after(&filled)));
        let ignoring = after(&json!({"failurePolicy": "Ignore"}));
        assert!(updated(&ignoring, &before));
        for weaker in [
            json!({"failurePolicy": "Ignore"}),
            json!({"rules": []}),
            json!({"rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["nodes"]}]}),
            json!({"namespaceSelector": {"matchLabels": {"no": "such"}}}),
            json!({"objectSelector": {"matchLabels": {"no": "such"}}}),
            json!({"matchConditions": [{"name": "never", "expression": "false"}]}),
            json!({"clientConfig": {"url": "https://collect.example.com/", "caBundle": certificate("old")}}),
            json!({"clientConfig": {"service": {"name": "b", "namespace": "a"}, "caBundle": certificate("old")}}),
            client(""),
            client("bm9uc2Vuc2U="),
        ] {
            assert!(!updated(&before, &after(&weaker)), "{weaker}");
        }
        assert!(!updated(&before, &json!([])));
        assert!(!updated(&before, &json!([webhook(&json!({})), webhook(&json!({"name": "b"}))])));
    }

    /// Scenario: patches of what nobody saw before, in every form, and a whole object upon it.
    /// Guarantees: a patch that says a certificate and metadata only is a renewal; what may say more is none, and of a
    /// whole object nobody knows, except where nothing changed.
    #[test]
    fn patches_say_what_they_change() {
        let check = |verb: &str, body: Value, expected: bool| {
            assert_eq!(is_renewal(&written(verb, &body), None, false), expected, "{body}");
        };
        let new = certificate("new");
        let step = |path: &str, value: &str| json!({"op": "replace", "path": path, "value": value});
        let bundle = step("/webhooks/0/clientConfig/caBundle", &new);
        check("patch", json!([bundle]), true);
        check("patch", json!([{"op": "add", "path": "/metadata/labels/a", "value": "b"}]), true);
        check("patch", json!([bundle, step("/webhooks/0/failurePolicy", "Ignore")]), false);
        check("patch", json!([step("/webhooks/0/clientConfig/caBundle", "eA==")]), false);
        check("patch", json!([{"op": "remove", "path": "/webhooks/0"}]), false);
        let strategic = json!({"name": "a.example.com", "clientConfig": {"caBundle": new}});
        check("patch", json!({"webhooks": [strategic]}), true);
        check("patch", json!({"metadata": {"labels": {"a": "b"}}}), true);
        check("patch", json!({"webhooks": [{"name": "a.example.com", "rules": []}]}), false);
        check("patch", json!({"webhooks": [{"name": "a.example.com", "$patch": "delete"}]}), false);
        check("patch", json!({"webhooks": [{"$patch": "replace"}]}), false);
        check("patch", json!({"webhooks": null}), false);
        check("patch", json!({"$patch": "replace", "webhooks": []}), false);
        let applied = json!({"kind": "ValidatingWebhookConfiguration", "webhooks": [strategic]});
        check("patch", applied.clone(), false);
        check("update", applied.clone(), false);
        assert!(is_renewal(&written("update", &applied), None, true));
        assert!(!is_renewal(&written("create", &applied), None, true));
    }
}
