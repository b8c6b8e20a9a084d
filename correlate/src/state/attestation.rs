//! What a decision proves of policy: the binding, the role and the subject that it names stood so then.
//!
//! It fills what no write and no listing showed. Where bodies were seen it adds nothing, and a cache of
//! the authorizer that is a moment behind a deletion proves no object.

use durward_schemas::cell::Json;
use durward_schemas::tables::Access;
use durward_schemas::time::SECOND;
use durward_schemas::values::{Decision, Provider};
use serde_json::{Value, json};

use crate::rbac::Question;
use crate::state::objects::{Content, ObjectKey, Objects, Version};
use crate::state::policy::is_binding;

/// So long the authorizer may still decide by what was deleted.
const CACHED: i64 = 10 * SECOND;
/// Proven rules or subjects of one object; further ones are not kept.
const MAX_PROVEN: usize = 64;

/// Notes what `access` proves; the objects of which more is known now.
pub(crate) fn attest(objects: &mut Objects, access: &Access) -> Vec<ObjectKey> {
    let is_reasoned = access.provider == Provider::Kubernetes && access.decision == Decision::Allow;
    let named = [&access.decided_by, &access.decided_role, &access.decided_subject];
    let [Some(binding), Some(role), Some(subject)] = named else { return Vec::new() };
    let cluster = access.cluster.as_deref();
    let key = ObjectKey::parse(cluster, binding).filter(|key| is_reasoned && is_binding(key));
    let Some((key, role_key)) = key.zip(ObjectKey::parse(cluster, role)) else { return Vec::new() };
    let mut told = Vec::new();
    if let Some(subject) = subject_of(subject) {
        let reference = json!({ "kind": role_key.kind, "name": role_key.name });
        if prove(objects, &key, access, "subjects", &subject, Some(&reference)) {
            told.push(key);
        }
    }
    if let Some(rule) = rule_of(access)
        && prove(objects, &role_key, access, "rules", &rule, None)
    {
        told.push(role_key);
    }
    told
}

/// Adds `item` to what is known of an object at the time of `access`; true if it was not known.
fn prove(
    objects: &mut Objects,
    key: &ObjectKey,
    access: &Access,
    list: &str,
    item: &Value,
    role: Option<&Value>,
) -> bool {
    let at = objects.at(key, access.time);
    let known = match at.map(|version| &version.content) {
        Some(Content::Seen(_)) => return false,
        Some(Content::Gone) if at.is_some_and(|at| access.time.since(at.from) < CACHED) => {
            return false;
        }
        Some(Content::Partly(seen)) => serde_json::from_str(seen.json.as_str()).unwrap_or_default(),
        Some(Content::Unseen | Content::Gone) | None => Value::Null,
    };
    let Some(content) = with(known, list, item, role) else { return false };
    let held = objects.at_mut(key, access.time);
    if let Some(version) = held.filter(|version| version.content != Content::Gone) {
        version.content = content;
    } else {
        let (from, position) = (access.time, access.log_position);
        objects.insert(key.clone(), Version { from, position, content, change: None });
    }
    true
}

/// What was known with `item`, if that is new.
fn with(known: Value, list: &str, item: &Value, role: Option<&Value>) -> Option<Content> {
    let mut value = if known.is_object() { known } else { json!({}) };
    let mut items = value.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let has_role = role.is_none_or(|role| value.get("roleRef") == Some(role));
    if (items.contains(item) && has_role) || items.len() >= MAX_PROVEN {
        return None;
    }
    if !items.contains(item) {
        items.push(item.clone());
    }
    // What was proven in any order is the same.
    items.sort_by_key(ToString::to_string);
    value[list] = Value::Array(items);
    if let Some(role) = role {
        value["roleRef"] = role.clone();
    }
    Some(Content::part(&Json(value.to_string())))
}

/// `ServiceAccount/web/frontend`, `Group/ops` or `User/alice` as a subject of a binding.
fn subject_of(text: &str) -> Option<Value> {
    let (kind, name) = text.split_once('/')?;
    match kind {
        "ServiceAccount" => {
            let (namespace, name) = name.split_once('/')?;
            Some(json!({ "kind": kind, "namespace": namespace, "name": name }))
        }
        "User" | "Group" => Some(json!({ "kind": kind, "name": name })),
        _ => None,
    }
}

/// The narrowest rule that lets the request through.
fn rule_of(access: &Access) -> Option<Value> {
    let question = Question::of(access)?;
    let verb = access.verb.as_deref()?;
    let Some(resource) = &access.resource else {
        return Some(json!({ "verbs": [verb], "nonResourceURLs": [question.path()] }));
    };
    let sub = access.subresource.as_ref().map(|sub| format!("/{sub}")).unwrap_or_default();
    let mut rule = json!({
        "verbs": [verb],
        "apiGroups": [access.api_group.as_deref().unwrap_or_default()],
        "resources": [format!("{resource}{sub}")],
    });
    if let Some(name) = &access.object_name {
        rule["resourceNames"] = json!([name]);
    }
    Some(rule)
}
