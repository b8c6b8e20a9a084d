//! Which change of policy could alter a decision: the subject's own bindings and their roles, as they were.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;
use durward_schemas::ids::ChangeId;
use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, Evidence};

use crate::body::Rule;
use crate::rbac::{Question, SubjectKey};
use crate::state::objects::{Content, ObjectKey, Objects, Version};

/// Groups that everybody is in: a change for them is no change of one identity.
const EVERYBODY: [&str; 3] =
    ["system:authenticated", "system:unauthenticated", "system:serviceaccounts"];

/// Bindings by the subjects that they ever named. Derived from [`Objects`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Policy {
    bindings: BTreeMap<(Option<String>, SubjectKey), BTreeSet<ObjectKey>>,
}

/// The latest earlier change that could alter a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub change: ChangeId,
    pub evidence: Evidence,
}

impl Policy {
    /// Takes note of the subjects that a binding names.
    pub(crate) fn index(&mut self, key: &ObjectKey, content: &Content) {
        let Some(seen) = content.seen().filter(|_| is_binding(key)) else { return };
        for subject in &seen.body.subjects {
            if let Some(subject) = SubjectKey::of(subject, key.namespace.as_deref()) {
                let entry = self.bindings.entry((key.cluster.clone(), subject)).or_default();
                entry.insert(key.clone());
            }
        }
    }

    /// Answers for one access over `objects` as they were at its time.
    pub(crate) fn cause(&self, objects: &Objects, access: &Access) -> Option<Cause> {
        let question = Question::of(access)?;
        let cluster = access.cluster.as_deref();
        let exact = match access.decision {
            Decision::Allow => deciding_change(objects, access),
            Decision::Deny => self.lost_grant(objects, cluster, &question, access.time),
            Decision::Error | Decision::Unknown => None,
        };
        let derived = || self.latest_of_identity(objects, cluster, &question, access.time);
        match exact {
            Some(change) => Some(Cause { change, evidence: Evidence::Exact }),
            None => derived().map(|change| Cause { change, evidence: Evidence::Derived }),
        }
    }

    /// The latest change before `time` that took away what would have allowed the request.
    fn lost_grant(
        &self,
        objects: &Objects,
        cluster: Option<&str>,
        question: &Question,
        time: Time,
    ) -> Option<ChangeId> {
        let mut lost = BTreeMap::new();
        for subject in question.subjects() {
            for binding in self.bindings_of(cluster, &subject) {
                let touched = touched_objects(objects, binding);
                let versions = touched.iter().flat_map(|key| objects.history(key));
                let took_it = |version: &&Version| {
                    let given = |then| grants(objects, binding, &subject, question, then);
                    version.from <= time
                        && version.change.is_some()
                        && given(version.from.plus(-1))
                        && !given(version.from)
                };
                lost.extend(versions.filter(took_it).map(|version| (order(version), version)));
            }
        }
        lost.pop_last().and_then(|(_, version)| version.change.clone())
    }

    /// The latest change before `time` of any binding, or its role, that names this very identity.
    fn latest_of_identity(
        &self,
        objects: &Objects,
        cluster: Option<&str>,
        question: &Question,
        time: Time,
    ) -> Option<ChangeId> {
        let own = question
            .subjects()
            .into_iter()
            .filter(|subject| !EVERYBODY.contains(&subject.name.as_str()));
        let bindings =
            own.flat_map(|subject| self.bindings_of(cluster, &subject).collect::<Vec<_>>());
        let touched = bindings.flat_map(|binding| touched_objects(objects, binding));
        let changes = touched.filter_map(|key| latest_change(objects, &key, time));
        changes.max_by_key(|(order, _)| *order).map(|(_, change)| change)
    }

    fn bindings_of(
        &self,
        cluster: Option<&str>,
        subject: &SubjectKey,
    ) -> impl Iterator<Item = &ObjectKey> {
        let key = (cluster.map(str::to_owned), subject.clone());
        self.bindings.get(&key).into_iter().flatten()
    }
}

/// Whether `key` is a binding.
pub(crate) fn is_binding(key: &ObjectKey) -> bool {
    matches!(key.kind.as_str(), "RoleBinding" | "ClusterRoleBinding")
}

/// The role that a binding's `roleRef` names.
pub(crate) fn role_key(binding: &ObjectKey, content: &Content) -> Option<ObjectKey> {
    let role = content.seen()?.body.role_ref.as_ref()?;
    let namespace = if role.kind == "Role" { binding.namespace.clone() } else { None };
    Some(ObjectKey {
        cluster: binding.cluster.clone(),
        kind: role.kind.clone(),
        namespace,
        name: role.name.clone(),
    })
}

/// The rules that a role had at `time`.
pub(crate) fn rules_at<'a>(objects: &'a Objects, role: &ObjectKey, time: Time) -> &'a [Rule] {
    let seen = objects.at(role, time).and_then(|version| version.content.seen());
    seen.map_or(&[], |seen| seen.body.rules.as_slice())
}

/// Whether `binding` gave `subject` what the question asks for, at `time`.
fn grants(
    objects: &Objects,
    binding: &ObjectKey,
    subject: &SubjectKey,
    question: &Question,
    time: Time,
) -> bool {
    // "A RoleBinding grants permissions within a specific namespace".
    if binding.namespace.is_some() && binding.namespace.as_deref() != question.namespace {
        return false;
    }
    let Some(version) = objects.at(binding, time) else { return false };
    let Some(seen) = version.content.seen() else { return false };
    let names =
        |named| SubjectKey::of(named, binding.namespace.as_deref()).as_ref() == Some(subject);
    let Some(role) = role_key(binding, &version.content) else { return false };
    seen.body.subjects.iter().any(names)
        && rules_at(objects, &role, time).iter().any(|rule| question.allowed_by(rule))
}

/// The binding and every role that it ever referred to.
fn touched_objects(objects: &Objects, binding: &ObjectKey) -> BTreeSet<ObjectKey> {
    let history = objects.history(binding).iter();
    let roles = history.filter_map(|version| role_key(binding, &version.content));
    roles.chain([binding.clone()]).collect()
}

/// The latest change of the deciding binding or its role: what the authorizer itself named.
fn deciding_change(objects: &Objects, access: &Access) -> Option<ChangeId> {
    let named = [access.decided_by.as_deref(), access.decided_role.as_deref()];
    let keys = named.into_iter().flatten();
    let keys = keys.filter_map(|path| ObjectKey::parse(access.cluster.as_deref(), path));
    let changes = keys.filter_map(|key| latest_change(objects, &key, access.time));
    changes.max_by_key(|(order, _)| *order).map(|(_, change)| change)
}

/// The latest change of one object up to `time`, with its place in the order of changes.
pub(crate) fn latest_change<'a>(
    objects: &'a Objects,
    key: &ObjectKey,
    time: Time,
) -> Option<((Time, &'a str), ChangeId)> {
    let mut upto = objects.history(key).iter().rev().skip_while(|version| version.from > time);
    upto.find_map(|version| Some((order(version), version.change.clone()?)))
}

/// Changes of one instant are told apart by what they are, not by when they arrived.
fn order(version: &Version) -> (Time, &str) {
    (version.from, version.change.as_ref().map_or("", ChangeId::as_str))
}
