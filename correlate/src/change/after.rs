//! What an object is after a write: the answer, else the request, else the patch upon what was known.
//!
//! A deed is the same in every spelling: JSON patch (RFC 6902), JSON merge patch (RFC 7386),
//! strategic merge patch and server-side apply give the object that `create` and `update` give.
//! Where the object before was not seen, only what the patch says is known of the one after.

use durward_schemas::cell::Json;
use durward_schemas::tables::Access;
use json_patch::{Patch, PatchOperation};
use serde_json::{Map, Value};

use crate::change::{is_creation, is_patch, parse};
use crate::state::objects::Content;

/// Lists without a merge key: every patch but a JSON patch replaces them.
const LISTS: &[&str] = &["subjects", "rules"];

/// Marks of a strategic merge patch:
/// <https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md>.
const DIRECTIVE: char = '$';

/// The object after the write, given what it was `before`.
pub(super) fn after(access: &Access, before: Option<&Content>) -> Content {
    let is_object = |json: &&Json| {
        parse(json)
            .is_some_and(|value| value.get("metadata").is_some() && value["kind"] != "Status")
    };
    if let Some(answer) = access.response_object.as_ref().filter(is_object) {
        return Content::of(Some(answer));
    }
    let Some(sent) = access.request_object.as_ref() else { return Content::Unseen };
    let is_whole = access.verb.as_deref() != Some("patch") || is_creation(access);
    match parse(sent) {
        Some(Value::Object(_)) if is_whole => Content::of(Some(sent).filter(is_object)),
        Some(Value::Object(patch)) if is_patch(&patch) => merged(&patch, before),
        Some(steps @ Value::Array(_)) => {
            serde_json::from_value(steps).map_or(Content::Unseen, |steps| stepped(&steps, before))
        }
        _ => Content::Unseen,
    }
}

/// A merge patch of either sort, or an apply configuration, upon what was known.
fn merged(patch: &Map<String, Value>, before: Option<&Content>) -> Content {
    let is_strategic = has_directive(patch);
    let known = before.and_then(Content::known).and_then(|seen| parse(&seen.json));
    let mut value = known.unwrap_or_else(|| Value::Object(Map::new()));
    merge(&mut value, &Value::Object(patch.clone()), is_strategic);
    content(&value, before.is_some_and(|before| before.seen().is_some()))
}

/// A JSON patch upon what was known. The server took every step, so one that does not fit shows that
/// the object was another.
fn stepped(steps: &Patch, before: Option<&Content>) -> Content {
    let known = before.and_then(Content::known).and_then(|seen| parse(&seen.json));
    if let Some(mut value) = known.clone()
        && json_patch::patch(&mut value, steps).is_ok()
    {
        return content(&value, before.is_some_and(|before| before.seen().is_some()));
    }
    let mut value = known.unwrap_or_else(|| Value::Object(Map::new()));
    for step in &steps.0 {
        step_upon(&mut value, step);
    }
    content(&value, false)
}

/// One step upon an object of which more may be there than is known: what is added is there afterwards.
fn step_upon(value: &mut Value, step: &PatchOperation) {
    let (path, added) = match step {
        PatchOperation::Add(step) => (step.path.to_string(), &step.value),
        PatchOperation::Replace(step) => (step.path.to_string(), &step.value),
        _ => return,
    };
    let mut at = value;
    for part in path.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let is_place = part == "-" || part.parse::<usize>().is_ok();
        at = if is_place && !at.is_object() { item_of(at, &part) } else { field_of(at, &part) };
    }
    at.clone_from(added);
}

/// The place in a list, which is as long as is known: a further one where it is not.
fn item_of<'v>(list: &'v mut Value, part: &str) -> &'v mut Value {
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    let known = list.as_array().map_or(0, Vec::len);
    let at = part.parse().unwrap_or(known).min(known);
    if at == known
        && let Some(items) = list.as_array_mut()
    {
        items.push(Value::Null);
    }
    &mut list[at]
}

fn field_of<'v>(object: &'v mut Value, part: &str) -> &'v mut Value {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    &mut object[part]
}

fn content(value: &Value, is_whole: bool) -> Content {
    let json = Json(value.to_string());
    if is_whole { Content::of(Some(&json)) } else { Content::part(&json) }
}

fn has_directive(patch: &Map<String, Value>) -> bool {
    patch.iter().any(|(name, value)| {
        name.starts_with(DIRECTIVE)
            || match value {
                Value::Object(inner) => has_directive(inner),
                Value::Array(items) => items.iter().filter_map(Value::as_object).any(has_directive),
                _ => false,
            }
    })
}

/// JSON merge patch: <https://www.rfc-editor.org/rfc/rfc7386#section-2>. A strategic one merges lists of
/// named items by name; RBAC lists have no merge key, so it replaces them too.
fn merge(target: &mut Value, patch: &Value, is_strategic: bool) {
    match patch {
        Value::Object(patch) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            let Value::Object(fields) = target else { return };
            for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with(DIRECTIVE)) {
                if value.is_null() {
                    fields.remove(name);
                } else {
                    let by_name = is_strategic && !LISTS.contains(&name.as_str());
                    merge(fields.entry(name.clone()).or_insert(Value::Null), value, by_name);
                }
            }
        }
        Value::Array(items)
            if is_strategic && items.iter().all(|item| item["name"].is_string()) =>
        {
            merge_by_name(target, items);
        }
        _ => target.clone_from(patch),
    }
}

fn merge_by_name(target: &mut Value, items: &[Value]) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Value::Array(known) = target else { return };
    for item in items {
        if item["$patch"] == "delete" {
            known.retain(|old| old["name"] != item["name"]);
            continue;
        }
        match known.iter_mut().find(|old| old["name"] == item["name"]) {
            Some(old) => merge(old, item, true),
            None => known.push(item.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The subjects after a write, and whether that is all of them.
    fn subjects(
        verb: &str,
        code: i64,
        sent: Option<&str>,
        before: &Content,
    ) -> (Vec<String>, bool) {
        let access = Access {
            verb: Some(verb.into()),
            status_code: Some(code),
            request_object: sent.map(|sent| Json(sent.into())),
            ..Access::default()
        };
        let content = after(&access, Some(before));
        let known = content.known().map(|seen| seen.body.subjects.clone()).unwrap_or_default();
        (known.into_iter().map(|subject| subject.name).collect(), content.is_whole())
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const BEFORE: &str = r#"{"kind":"RoleBinding","metadata":{"name":"b"},"subjects":[{"kind":"Group","name":"a"}],"roleRef":{"kind":"Role","name":"r"}}"#;
    const AFTER: &str = r#"{"kind":"RoleBinding","metadata":{"name":"b"},"subjects":[{"kind":"Group","name":"a"},{"kind":"Group","name":"x"}],"roleRef":{"kind":"Role","name":"r"}}"#;

    /// Scenario: the same subject is added by every spelling of a write, over a binding that was seen
    /// and over one that was not.
    /// Guarantees: over what was seen the object after is whole and the same; over what was not, what
    /// the write says is known and nothing else is taken for all; without a body nothing is known.
    #[test]
    fn every_spelling_gives_the_object_after() {
        let seen = Content::of(Some(&Json(BEFORE.into())));
        let steps = r#"[{"op":"add","path":"/subjects/1","value":{"kind":"Group","name":"x"}}]"#;
        let end = r#"[{"op":"add","path":"/subjects/-","value":{"kind":"Group","name":"x"}}]"#;
        let list = r#"[{"op":"replace","path":"/subjects","value":[{"kind":"Group","name":"a"},{"kind":"Group","name":"x"}]}]"#;
        let patch = r#"{"subjects":[{"kind":"Group","name":"a"},{"kind":"Group","name":"x"}]}"#;
        let strategic = r#"{"$retainKeys":[],"subjects":[{"kind":"Group","name":"a"},{"kind":"Group","name":"x"}]}"#;
        for (verb, code, sent, unseen) in [
            ("create", 201, AFTER, (names(&["a", "x"]), true)),
            ("update", 200, AFTER, (names(&["a", "x"]), true)),
            ("patch", 201, AFTER, (names(&["a", "x"]), true)),
            ("patch", 200, AFTER, (names(&["a", "x"]), false)),
            ("patch", 200, patch, (names(&["a", "x"]), false)),
            ("patch", 200, strategic, (names(&["a", "x"]), false)),
            ("patch", 200, steps, (names(&["x"]), false)),
            ("patch", 200, end, (names(&["x"]), false)),
            ("patch", 200, list, (names(&["a", "x"]), false)),
        ] {
            let found = subjects(verb, code, Some(sent), &seen);
            assert_eq!(found, (names(&["a", "x"]), true), "{verb} {code} {sent}");
            assert_eq!(subjects(verb, code, Some(sent), &Content::Unseen), unseen, "{sent}");
        }
        for verb in ["create", "update", "patch"] {
            assert_eq!(subjects(verb, 200, None, &seen), (names(&[]), false));
        }
    }

    /// Scenario: a step that does not fit what was known of the binding.
    /// Guarantees: what was known is no longer taken for all of it.
    #[test]
    fn a_step_that_does_not_fit_shows_that_something_was_missed() {
        let seen = Content::of(Some(&Json(BEFORE.into())));
        let steps = r#"[{"op":"test","path":"/subjects/5/name","value":"y"},{"op":"add","path":"/subjects/6","value":{"kind":"Group","name":"x"}}]"#;
        assert_eq!(subjects("patch", 200, Some(steps), &seen), (names(&["a", "x"]), false));
    }
}
