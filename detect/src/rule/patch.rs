//! What a patch says of an object, where the object itself was not seen.

use serde_json::{Map, Value};

/// A path with more parts leads to nothing in an object of Kubernetes.
const DEEPEST: usize = 32;

/// The parts that a JSON Patch adds or replaces, as an object; a merge patch and an object are that already.
/// <https://www.rfc-editor.org/rfc/rfc6902>
pub(crate) fn said(body: Value) -> Value {
    let Value::Array(operations) = body else { return body };
    let mut object = Value::Object(Map::new());
    for operation in &operations {
        let path = operation["path"].as_str().and_then(|path| path.strip_prefix('/'));
        let path = path.filter(|path| path.split('/').count() <= DEEPEST);
        if let (Some("add" | "replace"), Some(path)) = (operation["op"].as_str(), path) {
            put(&mut object, path, &operation["value"]);
        }
    }
    object
}

/// Places `value` at `path`. What is put into a list stands at its end, whichever index it was given.
fn put(place: &mut Value, path: &str, value: &Value) {
    let (part, rest) = path.split_once('/').map_or((path, None), |(part, rest)| (part, Some(rest)));
    let is_index = part == "-" || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let inner = if is_index {
        if !place.is_array() {
            *place = Value::Array(Vec::new());
        }
        let Value::Array(list) = place else { return };
        list.push(Value::Null);
        list.last_mut()
    } else {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(map) = place else { return };
        Some(map.entry(part.replace("~1", "/").replace("~0", "~")).or_insert(Value::Null))
    };
    match (inner, rest) {
        (Some(inner), Some(rest)) => put(inner, rest, value),
        (Some(inner), None) => *inner = value.clone(),
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Scenario: a JSON Patch of a template, and a merge patch.
    /// Guarantees: what is added stands where it would stand in the object, what is removed or tested is left out.
    #[test]
    fn a_patch_is_read_as_an_object() {
        let patch = json!([
            {"op": "test", "path": "/spec/paused", "value": true},
            {"op": "remove", "path": "/spec/hostIPC"},
            {"op": "replace", "path": "/spec/hostPID", "value": true},
            {"op": "add", "path": "/spec/containers/0/securityContext", "value": {"privileged": true}},
            {"op": "add", "path": "/spec/volumes/-", "value": {"name": "h", "hostPath": {"path": "/"}}},
            {"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"},
            {"op": "add", "path": "", "value": 1},
            {"op": "add", "path": "/a".repeat(100_000), "value": 1},
        ]);
        let object = json!({
            "spec": {
                "hostPID": true,
                "containers": [{"securityContext": {"privileged": true}}],
                "volumes": [{"name": "h", "hostPath": {"path": "/"}}],
            },
            "metadata": {"annotations": {"a/b": "c"}},
        });
        assert_eq!(said(patch), object);
        assert_eq!(said(object.clone()), object);
    }
}
