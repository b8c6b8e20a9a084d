//! A change in one sentence, and the permissions that it gave or took.

mod difference;

use std::collections::BTreeSet;

use durward_schemas::Time;
use durward_schemas::values::{ChangeAction, ChangeKind};

use crate::body;
use crate::rbac::{SubjectKey, permissions};
use crate::state::objects::{Content, ObjectKey, Objects};
use crate::state::policy::{is_binding, role_key, rules_at};

/// As many permissions or subjects as a row lists; the sentence says how many there are.
const MOST_LISTED: usize = 100;
/// As many as a sentence names.
const MOST_NAMED: usize = 3;
/// Said of a write whose body was not logged.
const UNSEEN: &str = ", whose content was not logged";

/// What a change says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    pub summary: String,
    pub grants_added: Vec<String>,
    pub grants_removed: Vec<String>,
    pub subjects: Vec<SubjectKey>,
}

/// What was done by whom: all that a sentence needs besides the object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    /// The actor, for people.
    pub actor: &'a str,
    /// The resource, for a write whose object has no known name.
    pub resource: &'a str,
    pub kind: ChangeKind,
    pub action: ChangeAction,
}

/// The sentence and the effect of the change that made `key` into `content` at `from`.
pub(crate) fn of(
    objects: &Objects,
    deed: Deed,
    key: Option<&ObjectKey>,
    content: &Content,
    from: Time,
) -> Told {
    let Deed { actor, resource, kind, action } = deed;
    let done = match action {
        ChangeAction::Create => "created",
        ChangeAction::Update => "changed",
        ChangeAction::Delete => "deleted",
    };
    let Some(key) = key else {
        return Told { summary: format!("{actor} {done} some {resource}"), ..Told::default() };
    };
    match kind {
        ChangeKind::RoleBinding | ChangeKind::ClusterRoleBinding => {
            binding(objects, actor, done, key, content, from)
        }
        ChangeKind::Role | ChangeKind::ClusterRole => {
            role(objects, actor, done, key, content, from)
        }
        ChangeKind::CertificateApproval if action == ChangeAction::Update => {
            let done = judgement(content).unwrap_or(done);
            Told { summary: format!("{actor} {done} {}", readable(key)), ..Told::default() }
        }
        _ => {
            let before = objects.before(key, from).map(|version| &version.content);
            let different = before.map(|before| difference::of(kind, before, content));
            let summary =
                format!("{actor} {done} {}{}", readable(key), different.unwrap_or_default());
            Told { summary, ..Told::default() }
        }
    }
}

/// What the last condition of a `CertificateSigningRequest` says that was done to it.
fn judgement(content: &Content) -> Option<&'static str> {
    let json = body::value(content.known().map(|seen| &seen.json));
    let last = json.pointer("/status/conditions")?.as_array()?.last()?;
    match last.get("type")?.as_str()? {
        "Approved" => Some("approved"),
        "Denied" => Some("denied"),
        _ => None,
    }
}

fn binding(
    objects: &Objects,
    actor: &str,
    done: &str,
    key: &ObjectKey,
    content: &Content,
    from: Time,
) -> Told {
    let before = objects.before(key, from).map(|version| &version.content);
    let (had, has) = (given(objects, key, before, from), given(objects, key, Some(content), from));
    let subjects: BTreeSet<SubjectKey> = had.subjects.union(&has.subjects).cloned().collect();
    let role = has.role.or(had.role).map_or_else(|| "a role".to_owned(), |role| readable(&role));
    let new: Vec<_> = has.subjects.difference(&had.subjects).map(SubjectKey::sentence).collect();
    // What was not seen takes nothing away.
    let is_whole = content.is_whole();
    let old = had.subjects.difference(&has.subjects).filter(|_| is_whole);
    let old: Vec<_> = old.map(SubjectKey::sentence).collect();
    let (gained, lost) = (!new.is_empty(), !old.is_empty());
    let both_seen = before.and_then(Content::seen).is_some() && content.seen().is_some();
    let mut summary = format!("{actor} {done} {}", readable(key));
    if both_seen && (gained || lost) {
        // Of a binding that was seen before and after, what differs is said.
        let gives = (gained).then(|| format!("now gives {role} to {}", named(new.into_iter())));
        let takes = (lost).then(|| format!("no longer to {}", named(old.into_iter())));
        let parts: Vec<_> = gives.into_iter().chain(takes).collect();
        summary = format!(
            "{summary}: it {}",
            if gained { parts.join(", ") } else { format!("gives {role} {}", parts.join(", ")) }
        );
    } else if has.subjects.is_empty() && !is_whole {
        let names = named(had.subjects.iter().map(SubjectKey::sentence));
        let gave = if names.is_empty() {
            String::new()
        } else {
            format!("; before, it gave {role} to {names}")
        };
        summary = format!("{summary}{UNSEEN}{gave}");
    } else if !subjects.is_empty() {
        let gives = if done == "deleted" { "which gave" } else { "which gives" };
        let shown = if done == "deleted" { &subjects } else { &has.subjects };
        let names = named(shown.iter().map(SubjectKey::sentence));
        summary = format!("{summary}, {gives} {role} to {names}");
    }
    Told {
        summary,
        grants_added: if gained { listed(has.permissions) } else { Vec::new() },
        grants_removed: if lost { listed(had.permissions) } else { Vec::new() },
        subjects: subjects.into_iter().take(MOST_LISTED).collect(),
    }
}

/// What a binding gave to whom in one version.
#[derive(Default)]
struct Given {
    subjects: BTreeSet<SubjectKey>,
    role: Option<ObjectKey>,
    permissions: Vec<String>,
}

fn given(objects: &Objects, key: &ObjectKey, content: Option<&Content>, time: Time) -> Given {
    let Some((content, seen)) = content.and_then(|content| Some((content, content.known()?)))
    else {
        return Given::default();
    };
    let named = seen.body.subjects.iter();
    let role = role_key(key, content);
    let rules = role.as_ref().map_or(&[][..], |role| rules_at(objects, role, time).0);
    Given {
        subjects: named.filter_map(|s| SubjectKey::of(s, key.namespace.as_deref())).collect(),
        permissions: rules
            .iter()
            .flat_map(|rule| permissions(rule, key.namespace.is_some()))
            .collect(),
        role,
    }
}

fn role(
    objects: &Objects,
    actor: &str,
    done: &str,
    key: &ObjectKey,
    content: &Content,
    from: Time,
) -> Told {
    let texts = |content: Option<&Content>| -> BTreeSet<String> {
        let rules =
            content.and_then(Content::known).map_or(&[][..], |seen| seen.body.rules.as_slice());
        rules.iter().flat_map(|rule| permissions(rule, false)).collect()
    };
    let had = texts(objects.before(key, from).map(|version| &version.content));
    let has = texts(Some(content));
    let (added, removed, effect) = match content {
        Content::Unseen => (Vec::new(), Vec::new(), UNSEEN.to_owned()),
        // Of what is known in part nothing is known to be gone.
        Content::Partly(_) => gained_and_lost(&had, &had.union(&has).cloned().collect()),
        Content::Seen(_) | Content::Gone => gained_and_lost(&had, &has),
    };
    Told {
        summary: format!("{actor} {done} {}{effect}", readable(key)),
        grants_added: listed(added),
        grants_removed: listed(removed),
        subjects: holders(objects, key, from),
    }
}

/// What a role allows now and did not, what it allowed and does not, and both in words.
fn gained_and_lost(
    had: &BTreeSet<String>,
    has: &BTreeSet<String>,
) -> (Vec<String>, Vec<String>, String) {
    let added: Vec<String> = has.difference(had).cloned().collect();
    // What was allowed for a name and is allowed for all now was not taken away.
    let (widened, removed): (Vec<String>, Vec<String>) =
        had.difference(has).cloned().partition(|text| has.contains(without_name(text)));
    let mut effect = match (added.is_empty(), removed.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(": it now also allows {}", named(added.iter().cloned())),
        (true, false) => format!(": it no longer allows {}", named(removed.iter().cloned())),
        (false, false) => format!(
            ": it now also allows {}, no longer {}",
            named(added.iter().cloned()),
            named(removed.iter().cloned())
        ),
    };
    if !added.is_empty() && !widened.is_empty() {
        let before = named(widened.iter().cloned());
        effect = format!("{effect}; of that, before only {before}");
    }
    (added, removed, effect)
}

/// A permission for one name, `get secrets db`, without the name.
fn without_name(permission: &str) -> &str {
    name_of(permission)
        .map_or(permission, |name| permission.strip_suffix(name).unwrap_or(permission).trim_end())
}

/// The name that a permission is limited to; verbs and resources hold no spaces.
fn name_of(permission: &str) -> Option<&str> {
    permission.splitn(3, ' ').nth(2)
}

/// Who holds a role at `time`.
fn holders(objects: &Objects, role: &ObjectKey, time: Time) -> Vec<SubjectKey> {
    let cluster = role.cluster.as_deref();
    let kinds = ["ClusterRoleBinding", "RoleBinding"];
    let bindings = kinds.iter().flat_map(|kind| objects.existing(cluster, kind, time));
    let mine = bindings.filter(|(key, version)| {
        is_binding(key) && role_key(key, &version.content).as_ref() == Some(role)
    });
    let subjects: BTreeSet<SubjectKey> = mine
        .filter_map(|(key, version)| Some((key, version.content.known()?)))
        .flat_map(|(key, seen)| {
            let all = seen.body.subjects.iter();
            all.filter_map(|subject| SubjectKey::of(subject, key.namespace.as_deref()))
                .collect::<Vec<_>>()
        })
        .collect();
    subjects.into_iter().take(MOST_LISTED).collect()
}

/// `RoleBinding payments/ledger`.
fn readable(key: &ObjectKey) -> String {
    match &key.namespace {
        Some(namespace) => format!("{} {namespace}/{}", key.kind, key.name),
        None => format!("{} {}", key.kind, key.name),
    }
}

fn named(texts: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = texts.collect();
    let shown = all.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn listed(mut texts: Vec<String>) -> Vec<String> {
    texts.truncate(MOST_LISTED);
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(had: &[&str], has: &[&str], expected: &str, removed: usize) {
        let set = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        let (_, lost, effect) = gained_and_lost(&set(had), &set(has));
        assert_eq!((effect.as_str(), lost.len()), (expected, removed));
    }

    /// Scenario: a role loses the names that it was limited to, gets some, and is changed otherwise.
    /// Guarantees: from names to all is a widening that says what it was, and takes nothing away.
    #[test]
    fn losing_names_is_a_widening() {
        let limits = "; of that, before only get secrets a, get secrets b";
        check(
            &["get secrets a", "get secrets b"],
            &["get secrets"],
            &format!(": it now also allows get secrets{limits}"),
            0,
        );
        let narrowed = ": it now also allows get secrets a, no longer get secrets";
        check(&["get secrets"], &["get secrets a"], narrowed, 1);
        check(
            &["get secrets a"],
            &["list secrets"],
            ": it now also allows list secrets, no longer get secrets a",
            1,
        );
        check(&["get secrets", "get secrets a"], &["get secrets"], "", 0);
        check(&["get pods"], &["get pods"], "", 0);
    }
}
