//! What a SPIRE agent attested a process to be: its selectors.
//!
//! JSON logs have a list of objects with `type` and `value`, text logs what Go prints of it:
//! `[type:"k8s" value:"ns:payments" type:"k8s" value:"sa:ledger"]`.
//! <https://github.com/spiffe/spire/blob/main/doc/plugin_agent_workloadattestor_k8s.md#workload-selectors>

use durward_schemas::tables::Access;
use serde_json::Value;

/// The selectors as `type:value`, in their order.
pub(super) fn selectors(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().filter_map(object).collect(),
        Value::String(text) => printed(text),
        _ => Vec::new(),
    }
}

fn object(selector: &Value) -> Option<String> {
    let text = |key: &str| selector.get(key)?.as_str();
    Some(format!("{}:{}", text("type")?, text("value")?))
}

/// Go quotes as JSON does, as far as selectors go.
fn printed(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((sort, value, after)) = next(rest) {
        found.push(format!("{sort}:{value}"));
        rest = after;
    }
    found
}

fn next(text: &str) -> Option<(String, String, &str)> {
    let (sort, rest) = quoted(text.split_once("type:")?.1)?;
    let (value, rest) = quoted(rest.split_once("value:")?.1)?;
    Some((sort, value, rest))
}

/// A quoted text at the front, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = inner.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    let (whole, rest) = text.split_at(end + 2);
    Some((serde_json::from_str(whole).ok()?, rest))
}

/// Whether Kubernetes attested the process; of others a line tells no more than it says.
pub(super) fn is_of_pod(value: &Value) -> bool {
    selectors(value).iter().any(|selector| selector.starts_with("k8s:pod-uid:"))
}

/// Fills the pod in which the process runs.
pub(super) fn fill(access: &mut Access, selectors: &[String]) {
    let of = |key: &str| {
        let mut values = selectors.iter().filter_map(|all| {
            all.strip_prefix("k8s:")?.strip_prefix(key)?.strip_prefix(':').map(str::to_owned)
        });
        values.next()
    };
    access.namespace = of("ns");
    access.service_account = of("sa");
    access.pod = of("pod-name");
    access.pod_uid = of("pod-uid");
    access.node = of("node-name");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Scenario: selectors in a JSON log, in a text log, with quotes within, cut, and none.
    /// Guarantees: the same list from both; of what is cut, the whole ones before it.
    #[test]
    fn selectors_are_read_from_json_and_text() {
        let expected = ["unix:uid:0", r#"k8s:pod-label:note:a "b""#, "k8s:ns:payments"];
        let list = json!([
            {"type": "unix", "value": "uid:0"},
            {"type": "k8s", "value": "pod-label:note:a \"b\""},
            {"type": "k8s", "value": "ns:payments"},
        ]);
        assert_eq!(selectors(&list), expected);
        let text = r#"[type:"unix"  value:"uid:0" type:"k8s" value:"pod-label:note:a \"b\"" type:"k8s" value:"ns:payments"]"#;
        assert_eq!(selectors(&text.into()), expected);
        let cut = text.strip_suffix(r#"ents"]"#).unwrap();
        assert_eq!(selectors(&cut.into()), expected[..2]);
        for none in [json!("[]"), json!([]), json!(null), json!([{"type": 7}])] {
            assert_eq!(selectors(&none), [""; 0], "{none}");
        }
    }
}
