//! Effective permissions: what each binding gives to whom, opened and closed as policy changes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;
use durward_schemas::ids::{ChangeId, LogPosition};
use durward_schemas::tables::Grant;
use durward_schemas::values::Evidence;

use crate::body::Rule;
use crate::rbac::SubjectKey;
use crate::state::objects::{Content, ObjectKey, Objects};
use crate::state::policy::{is_binding, role_key, rules_at};

/// What tells one grant of a binding from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct GrantKey {
    subject: SubjectKey,
    role: String,
    verb: String,
    api_group: Option<String>,
    resource: Option<String>,
    object_name: Option<String>,
    non_resource_url: Option<String>,
}

/// The open grants of each binding.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Grants {
    open: BTreeMap<ObjectKey, BTreeMap<GrantKey, Grant>>,
    by_role: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

/// The change, or the snapshot, after which grants are looked at again.
#[derive(Debug, Clone)]
pub(crate) struct Moment<'a> {
    pub time: Time,
    pub change: Option<&'a ChangeId>,
    pub log_position: LogPosition,
    pub recorded_time: Time,
}

impl Grants {
    /// Looks at the bindings that `key` touches as they are at `moment`; opened and closed grants.
    pub(crate) fn refresh(
        &mut self,
        objects: &Objects,
        key: &ObjectKey,
        moment: &Moment,
    ) -> Vec<Grant> {
        if is_binding(key) {
            return self.refresh_binding(objects, key, moment);
        }
        let bindings = self.by_role.get(key).cloned().unwrap_or_default();
        bindings.iter().flat_map(|binding| self.refresh_binding(objects, binding, moment)).collect()
    }

    /// Every open grant, for a checkpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.open.values().flat_map(BTreeMap::values)
    }

    /// Finds again which bindings refer to which roles, after a checkpoint.
    pub(crate) fn index_roles(&mut self, objects: &Objects) {
        for (binding, version) in objects.iter().filter(|(key, _)| is_binding(key)) {
            self.index_role(binding, &version.content);
            self.open.entry(binding.clone()).or_default();
        }
    }

    /// Takes back an open grant from a checkpoint.
    pub(crate) fn restore(&mut self, grant: Grant) {
        let cluster = Some(grant.cluster.as_str()).filter(|cluster| !cluster.is_empty());
        let Some(binding) = ObjectKey::parse(cluster, &grant.binding) else { return };
        let key = key_of(&grant);
        self.open.entry(binding).or_default().insert(key, grant);
    }

    /// Number of open grants.
    pub(crate) fn len(&self) -> usize {
        self.open.values().map(BTreeMap::len).sum()
    }

    fn refresh_binding(
        &mut self,
        objects: &Objects,
        binding: &ObjectKey,
        moment: &Moment,
    ) -> Vec<Grant> {
        if let Some(version) = objects.at(binding, moment.time) {
            self.index_role(binding, &version.content);
        }
        let (now, is_whole) = granted(objects, binding, moment);
        let open = self.open.entry(binding.clone()).or_default();
        let mut rows = Vec::new();
        // What was not seen takes nothing away.
        let gone = open.keys().filter(|key| is_whole && !now.contains_key(*key));
        let closed: Vec<_> = gone.cloned().collect();
        for key in closed {
            let Some(mut grant) = open.remove(&key) else { continue };
            grant.version += 1;
            grant.valid_to = Some(moment.time);
            grant.revoked_by_change_id = moment.change.cloned();
            grant.log_position = moment.log_position;
            grant.recorded_time = moment.recorded_time;
            rows.push(grant);
        }
        for (key, grant) in now {
            if let Entry::Vacant(place) = open.entry(key) {
                rows.push(place.insert(grant).clone());
            }
        }
        rows
    }

    fn index_role(&mut self, binding: &ObjectKey, content: &Content) {
        if let Some(role) = role_key(binding, content) {
            self.by_role.entry(role).or_default().insert(binding.clone());
        }
    }
}

/// What `binding` gives at the moment as far as is known, and whether that is all.
fn granted(
    objects: &Objects,
    binding: &ObjectKey,
    moment: &Moment,
) -> (BTreeMap<GrantKey, Grant>, bool) {
    let mut all = BTreeMap::new();
    let Some(version) = objects.at(binding, moment.time) else { return (all, false) };
    let (Some(known), Some(role)) = (version.content.known(), role_key(binding, &version.content))
    else {
        return (all, version.content.is_whole());
    };
    let (rules, has_all_rules) = rules_at(objects, &role, moment.time);
    for named in &known.body.subjects {
        let Some(subject) = SubjectKey::of(named, binding.namespace.as_deref()) else { continue };
        for rule in rules {
            for grant in grants_of(rule, binding.namespace.is_some()) {
                let grant = complete(grant, binding, &role, &subject, moment);
                all.insert(key_of(&grant), grant);
            }
        }
    }
    (all, version.content.is_whole() && has_all_rules)
}

/// The rule multiplied out: one grant for each verb, group, resource and name. A `RoleBinding` gives no
/// paths: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole>.
fn grants_of(rule: &Rule, in_namespace: bool) -> Vec<Grant> {
    let mut grants = Vec::new();
    let names: Vec<Option<String>> = match rule.resource_names.as_slice() {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    for verb in &rule.verbs {
        for url in rule.non_resource_urls.iter().filter(|_| !in_namespace) {
            let non_resource_url = Some(url.clone());
            grants.push(Grant { verb: verb.clone(), non_resource_url, ..Grant::default() });
        }
        for group in &rule.api_groups {
            for resource in &rule.resources {
                for name in &names {
                    grants.push(Grant {
                        verb: verb.clone(),
                        api_group: Some(group.clone()),
                        resource: Some(resource.clone()),
                        subresource: resource.split_once('/').map(|(_, sub)| sub.to_owned()),
                        object_name: name.clone(),
                        ..Grant::default()
                    });
                }
            }
        }
    }
    grants
}

fn complete(
    grant: Grant,
    binding: &ObjectKey,
    role: &ObjectKey,
    subject: &SubjectKey,
    moment: &Moment,
) -> Grant {
    Grant {
        cluster: binding.cluster.clone().unwrap_or_default(),
        subject_kind: subject.kind,
        subject: subject.name.clone(),
        version: 1,
        recorded_time: moment.recorded_time,
        log_position: moment.log_position,
        namespace: binding.namespace.clone(),
        role: role.path(),
        binding: binding.path(),
        granted_by_change_id: moment.change.cloned(),
        // What a snapshot found was there before we looked: since when is not known.
        valid_from: moment.change.map(|_| moment.time),
        evidence: Evidence::Derived,
        ..grant
    }
}

fn key_of(grant: &Grant) -> GrantKey {
    GrantKey {
        subject: SubjectKey { kind: grant.subject_kind, name: grant.subject.clone() },
        role: grant.role.clone(),
        verb: grant.verb.clone(),
        api_group: grant.api_group.clone(),
        resource: grant.resource.clone(),
        object_name: grant.object_name.clone(),
        non_resource_url: grant.non_resource_url.clone(),
    }
}
