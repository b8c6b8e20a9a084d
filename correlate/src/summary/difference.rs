//! What differs between two versions of an object, in the parts of it that decide.

use durward_schemas::values::ChangeKind;
use serde_json::Value;

use crate::body;
use crate::change::essential;
use crate::state::objects::Content;

/// Differences that are named; the rest is counted.
const MAX_NAMED: usize = 3;
/// Characters of a value that are shown.
const MAX_SHOWN: usize = 60;

/// `: spec.replicas from 1 to 2`, empty where nothing is known to differ.
pub(super) fn of(kind: ChangeKind, before: &Content, after: &Content) -> String {
    let (Some(before), Some(after)) = (before.seen(), after.seen()) else { return String::new() };
    let [before, after] = [before, after].map(|seen| body::value(Some(&seen.json)));
    let mut found = Vec::new();
    for part in essential(kind) {
        let part_of = |value: &Value| value.pointer(part).cloned().unwrap_or_default();
        let path = part.trim_start_matches('/').replace('/', ".");
        collect(&path, &part_of(&before), &part_of(&after), &mut found);
    }
    if found.is_empty() {
        return String::new();
    }
    let shown = found.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match found.len().saturating_sub(MAX_NAMED) {
        0 => format!(": {shown}"),
        more => format!(": {shown} and {more} more"),
    }
}

/// Leaves that differ, as `path from old to new`; items of lists by their name where all have one.
fn collect(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let inner = format!("{path}.{key}");
                let of = |fields: &serde_json::Map<String, Value>| fields.get(key).cloned();
                collect(&inner, &of(old).unwrap_or_default(), &of(new).unwrap_or_default(), found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                let name = new.get("name").and_then(Value::as_str);
                let name = name.map_or_else(|| index.to_string(), str::to_owned);
                collect(&format!("{path}[{name}]"), old, new, found);
            }
        }
        _ => found.push(match (before, after) {
            (Value::Null, new) => format!("{path} set to {}", shown(new)),
            (old, Value::Null) => format!("{path} {} removed", shown(old)),
            (old, new) => format!("{path} from {} to {}", shown(old), shown(new)),
        }),
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;

    /// Scenario: a Deployment's image and a variable change, a ServiceAccount gets an annotation, and a body
    /// was not logged.
    /// Guarantees: what differs is said with both values, the rest is counted; of what was not seen nothing.
    #[test]
    fn what_differs_is_said() {
        let content = |json: &str| Content::of(Some(&Json(json.to_owned())));
        let pod = |image: &str, value: &str| {
            content(&format!(
                r#"{{"spec":{{"template":{{"spec":{{"containers":[{{"name":"web","image":"{image}","env":[{{"name":"A","value":"{value}"}}]}}]}}}}}}}}"#
            ))
        };
        let told = of(ChangeKind::Workload, &pod("shop:1", "x"), &pod("shop:2", "x"));
        assert_eq!(told, ": spec.template.spec.containers[web].image from shop:1 to shop:2");
        let both = of(ChangeKind::Workload, &pod("shop:1", "x"), &pod("shop:2", "y"));
        assert!(both.ends_with("containers[web].env[A].value from x to y, spec.template.spec.containers[web].image from shop:1 to shop:2"), "{both}");
        let account = |annotations: &str| {
            content(&format!(r#"{{"metadata":{{"annotations":{annotations}}}}}"#))
        };
        let told = of(
            ChangeKind::ServiceAccount,
            &account("{}"),
            &account(r#"{"eks.amazonaws.com/role-arn":"r"}"#),
        );
        assert_eq!(told, ": metadata.annotations.eks.amazonaws.com/role-arn set to r");
        assert_eq!(of(ChangeKind::Workload, &Content::Unseen, &pod("a", "b")), "");
    }
}
