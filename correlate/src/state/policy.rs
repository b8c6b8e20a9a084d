//! Which change of policy could alter a decision: the subject's own bindings and their roles, as they were.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;
use durward_schemas::ids::ChangeId;
use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, Evidence};

use crate::body::Rule;
use crate::rbac::{Question, SubjectKey};
use crate::state::aggregation::Aggregation;
use crate::state::objects::{Content, ObjectKey, Objects, Version};

/// Groups that everybody is in: a change for them is no change of one identity.
const EVERYBODY: [&str; 3] =
    ["system:authenticated", "system:unauthenticated", "system:serviceaccounts"];

/// Bindings by the subjects that they ever named, and those of which not all subjects were ever seen.
/// Derived from [`Objects`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Policy {
    bindings: BTreeMap<(Option<String>, SubjectKey), BTreeSet<ObjectKey>>,
    unseen: BTreeMap<Option<String>, BTreeSet<ObjectKey>>,
    aggregation: Aggregation,
}

/// The latest earlier change that could alter a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    pub change: ChangeId,
    pub evidence: Evidence,
}

/// Whether something was given, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Yes,
    No,
    Unknown,
}

/// What the policy as it was known says of one refusal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Refusal {
    /// The change that took what had allowed it.
    pub cause: Option<Cause>,
    /// What the policy comes to: `Allow` contradicts the refusal.
    pub replayed: Decision,
    /// The binding that gives it, or could.
    pub binding: Option<ObjectKey>,
}

impl Policy {
    /// Takes note of the subjects that a binding names, and of what a role selects.
    pub(crate) fn index(&mut self, key: &ObjectKey, content: &Content) {
        self.aggregation.index(key, content);
        if !is_binding(key) {
            return;
        }
        if !content.is_whole() {
            self.unseen.entry(key.cluster.clone()).or_default().insert(key.clone());
        }
        let subjects = content.known().map_or(&[][..], |seen| seen.body.subjects.as_slice());
        for subject in subjects {
            if let Some(subject) = SubjectKey::of(subject, key.namespace.as_deref()) {
                let entry = self.bindings.entry((key.cluster.clone(), subject)).or_default();
                entry.insert(key.clone());
            }
        }
    }

    /// The latest earlier change of what let `access` through, over `objects` as they were at its time.
    pub(crate) fn cause(&self, objects: &Objects, access: &Access) -> Option<Cause> {
        let question = Question::of(access)?;
        let cluster = access.cluster.as_deref();
        if access.decision != Decision::Allow {
            return None;
        }
        let derived = || self.latest_of_identity(objects, cluster, &question, access.time);
        self.deciding_change(objects, access)
            .or_else(|| derived().map(|change| Cause { change, evidence: Evidence::Derived }))
    }

    /// Why `access`, which asked this `question`, was refused. `is_listed` says whether all bindings were listed before
    /// it: only then is one that was not seen not there.
    pub(crate) fn refusal(
        &self,
        objects: &Objects,
        question: &Question,
        access: &Access,
        is_listed: bool,
    ) -> Refusal {
        let cluster = access.cluster.as_deref();
        let mut lost = BTreeMap::new();
        let mut unknown = None;
        for subject in question.subjects() {
            let asked = Asked { subject: &subject, question };
            for binding in self.bindings_of(cluster, &subject) {
                match asked.given(objects, binding, access.time) {
                    Given::Yes => {
                        let binding = Some(binding.clone());
                        return Refusal { replayed: Decision::Allow, binding, cause: None };
                    }
                    Given::Unknown => unknown = Some(binding.clone()),
                    Given::No => {
                        let taken = asked.taken(objects, binding, access.time);
                        lost.extend(taken.and_then(|taken| self.lost(objects, &taken)));
                    }
                }
            }
        }
        let cause = lost.pop_last().map(|(_, cause)| cause);
        let unknown = unknown.or_else(|| self.unseen_binding(objects, question, access));
        let is_unknown = unknown.is_some() || !is_listed;
        let replayed = if is_unknown { Decision::Unknown } else { Decision::Deny };
        Refusal { replayed, binding: unknown, cause }
    }

    /// The binding that let `access` act as another, and the latest change of it or its role.
    pub(crate) fn impersonation(
        &self,
        objects: &Objects,
        access: &Access,
    ) -> Option<(ObjectKey, Option<ChangeId>)> {
        let question = Question::to_impersonate(access)?;
        let subjects = question.subjects();
        let mut giving = subjects.iter().flat_map(|subject| {
            let asked = Asked { subject, question: &question };
            let bindings = self.bindings_of(access.cluster.as_deref(), subject);
            bindings.filter(move |binding| asked.given(objects, binding, access.time) == Given::Yes)
        });
        let binding = giving.next()?.clone();
        let touched = touched_objects(objects, &binding);
        let made = touched.iter().filter_map(|key| self.authored(objects, key, access.time));
        let last = made.max_by_key(|(version, _)| order(version));
        Some((binding, last.and_then(|(version, _)| version.change.clone())))
    }

    /// A binding that could give it, of which not all subjects were seen.
    fn unseen_binding(
        &self,
        objects: &Objects,
        question: &Question,
        access: &Access,
    ) -> Option<ObjectKey> {
        let unseen = self.unseen.get(&access.cluster)?.iter();
        let mut reaching = unseen.filter(|key| {
            key.namespace.is_none() || key.namespace.as_deref() == question.namespace
        });
        let is_unseen = |key: &&ObjectKey| {
            objects.at(key, access.time).is_some_and(|version| !version.content.is_whole())
        };
        reaching.find(is_unseen).cloned()
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
        let made = touched.filter_map(|key| self.authored(objects, &key, time));
        made.max_by_key(|(version, _)| order(version))
            .and_then(|(version, _)| version.change.clone())
    }

    /// The latest change of the deciding binding or its role: what the authorizer itself named. What a write
    /// without a body did is not known, so it is not exact, and neither is what a label selected.
    fn deciding_change(&self, objects: &Objects, access: &Access) -> Option<Cause> {
        let named = [access.decided_by.as_deref(), access.decided_role.as_deref()];
        let keys = named.into_iter().flatten();
        let keys = keys.filter_map(|path| ObjectKey::parse(access.cluster.as_deref(), path));
        let made = keys.filter_map(|key| self.authored(objects, &key, access.time));
        let (last, is_own) = made.max_by_key(|(version, _)| order(version))?;
        let is_exact = is_own && last.content.is_whole();
        let evidence = if is_exact { Evidence::Exact } else { Evidence::Derived };
        Some(Cause { change: last.change.clone()?, evidence })
    }

    /// The latest version of one object up to `time` that a change made, or the version of the role that
    /// somebody wrote and a controller added to it; whether it is the object's own.
    fn authored<'a>(
        &'a self,
        objects: &'a Objects,
        key: &ObjectKey,
        time: Time,
    ) -> Option<(&'a Version, bool)> {
        let own = latest_version(objects, key, time)?;
        let author = self.aggregation.author(objects, key, own);
        Some(author.map_or((own, true), |(_, version)| (version, false)))
    }

    /// Who wrote a role whose rules a controller added to `role` in its version at `time`.
    pub(crate) fn author(
        &self,
        objects: &Objects,
        role: &ObjectKey,
        time: Time,
    ) -> Option<ChangeId> {
        let version = objects.at(role, time)?;
        self.aggregation.author(objects, role, version)?.1.change.clone()
    }

    /// The change that made a version after which something was no longer given.
    fn lost<'a>(
        &'a self,
        objects: &'a Objects,
        taken: &Taken<'a>,
    ) -> Option<((Time, &'a str), Cause)> {
        let author = self.aggregation.author(objects, &taken.key, taken.version);
        let version = author.map_or(taken.version, |(_, version)| version);
        let is_exact = taken.is_exact && author.is_none();
        let evidence = if is_exact { Evidence::Exact } else { Evidence::Derived };
        Some((order(version), Cause { change: version.change.clone()?, evidence }))
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

/// What is asked for, and as which subject, over objects as they were.
struct Asked<'a> {
    subject: &'a SubjectKey,
    question: &'a Question<'a>,
}

impl Asked<'_> {
    /// Whether `binding` gave the subject what is asked for, at `time`.
    fn given(&self, objects: &Objects, binding: &ObjectKey, time: Time) -> Given {
        // "A RoleBinding grants permissions within a specific namespace".
        if binding.namespace.is_some() && binding.namespace.as_deref() != self.question.namespace {
            return Given::No;
        }
        let Some(version) = objects.at(binding, time) else { return Given::No };
        let names = |named| {
            SubjectKey::of(named, binding.namespace.as_deref()).as_ref() == Some(self.subject)
        };
        let known = version.content.known();
        if !known.is_some_and(|seen| seen.body.subjects.iter().any(names)) {
            return if version.content.is_whole() { Given::No } else { Given::Unknown };
        }
        let Some(role) = role_key(binding, &version.content) else { return Given::Unknown };
        let Some(role) = objects.at(&role, time) else { return Given::Unknown };
        let rules = role.content.known().map_or(&[][..], |seen| seen.body.rules.as_slice());
        if rules.iter().any(|rule| self.question.allowed_by(rule)) {
            Given::Yes
        } else if role.content.is_whole() {
            Given::No
        } else {
            Given::Unknown
        }
    }

    /// The last version up to `time` after which `binding` no longer gave it.
    ///
    /// It is exact where what it had given and what it gives now were seen.
    fn taken<'o>(
        &self,
        objects: &'o Objects,
        binding: &ObjectKey,
        time: Time,
    ) -> Option<Taken<'o>> {
        let touched = touched_objects(objects, binding);
        let versions = touched.into_iter().flat_map(|key| {
            let history = objects.history(&key).iter();
            history.map(move |version| (key.clone(), version))
        });
        let made = versions.filter(|(_, it)| it.from <= time && it.change.is_some());
        let taking = made.filter(|(_, version)| {
            self.given(objects, binding, version.from) == Given::No
                && self.given(objects, binding, version.from.plus(-1)) != Given::No
        });
        let (key, version) = taking.max_by_key(|(_, version)| order(version))?;
        let had = self.given(objects, binding, version.from.plus(-1));
        let is_exact = had == Given::Yes && version.content.is_whole();
        Some(Taken { key, version, is_exact })
    }
}

/// The version of an object after which something was no longer given.
struct Taken<'a> {
    key: ObjectKey,
    version: &'a Version,
    is_exact: bool,
}

/// Whether `key` is a binding.
pub(crate) fn is_binding(key: &ObjectKey) -> bool {
    matches!(key.kind.as_str(), "RoleBinding" | "ClusterRoleBinding")
}

/// The role that a binding's `roleRef` names.
pub(crate) fn role_key(binding: &ObjectKey, content: &Content) -> Option<ObjectKey> {
    let role = content.known()?.body.role_ref.as_ref()?;
    let namespace = if role.kind == "Role" { binding.namespace.clone() } else { None };
    Some(ObjectKey {
        cluster: binding.cluster.clone(),
        kind: role.kind.clone(),
        namespace,
        name: role.name.clone(),
    })
}

/// The rules that a role had at `time`, as far as they are known, and whether those are all.
pub(crate) fn rules_at<'a>(
    objects: &'a Objects,
    role: &ObjectKey,
    time: Time,
) -> (&'a [Rule], bool) {
    let Some(version) = objects.at(role, time) else { return (&[], false) };
    let known = version.content.known().map_or(&[][..], |seen| seen.body.rules.as_slice());
    (known, version.content.is_whole())
}

/// The binding and every role that it ever referred to.
fn touched_objects(objects: &Objects, binding: &ObjectKey) -> BTreeSet<ObjectKey> {
    let history = objects.history(binding).iter();
    let roles = history.filter_map(|version| role_key(binding, &version.content));
    roles.chain([binding.clone()]).collect()
}

/// The latest version of one object up to `time` that a change made. A role of which only the labels were changed
/// allows what it did: those labels concern the aggregates that select by them.
fn latest_version<'a>(objects: &'a Objects, key: &ObjectKey, time: Time) -> Option<&'a Version> {
    let history = objects.history(key);
    let upto = history.partition_point(|version| version.from <= time);
    let changes = (0..upto).rev().filter_map(|at| {
        let version = history.get(at).filter(|version| version.change.is_some())?;
        Some((version, at.checked_sub(1).and_then(|at| history.get(at))))
    });
    let mut changes = changes.filter(|(version, before)| {
        let before = before.and_then(|before| before.content.seen());
        let both = before.zip(version.content.seen()).filter(|_| key.kind == "ClusterRole");
        both.is_none_or(|(had, has)| {
            had.body.rules != has.body.rules
                || had.body.aggregation_rule != has.body.aggregation_rule
        })
    });
    changes.next().map(|(version, _)| version)
}

/// The latest change of one object up to `time`, with its place in the order of changes.
pub(crate) fn latest_change<'a>(
    objects: &'a Objects,
    key: &ObjectKey,
    time: Time,
) -> Option<((Time, &'a str), ChangeId)> {
    let last = latest_version(objects, key, time)?;
    Some((order(last), last.change.clone()?))
}

/// Changes of one instant are told apart by what they are, not by when they arrived.
fn order(version: &Version) -> (Time, &str) {
    (version.from, version.change.as_ref().map_or("", ChangeId::as_str))
}
