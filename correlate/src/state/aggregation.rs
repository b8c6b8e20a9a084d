//! `ClusterRole`s that a controller fills with the rules of others, which their labels select.
//!
//! "The control plane overwrites any values that you manually specify in the rules field of an aggregate
//! ClusterRole": who wrote a selected role, or the label by which it is selected, is the author of what the
//! aggregate gives.
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;

use crate::body::{AggregationRule, Labels, Rule};
use crate::state::objects::{Content, ObjectKey, Objects, Version};

/// Which roles give their rules to which. Derived from [`Objects`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Aggregation {
    /// Aggregates with every rule that they ever had.
    rules: BTreeMap<ObjectKey, BTreeSet<AggregationRule>>,
    /// `ClusterRole`s with all labels that they ever had.
    labels: BTreeMap<ObjectKey, BTreeSet<Labels>>,
    sources: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl Aggregation {
    /// Takes note of a version of a `ClusterRole`.
    pub(crate) fn index(&mut self, key: &ObjectKey, content: &Content) {
        let Some(seen) = content.known().filter(|_| key.kind == "ClusterRole") else { return };
        let rule = seen.body.aggregation_rule.as_ref();
        if let Some(rule) = rule.filter(|rule| add(&mut self.rules, key, rule)) {
            let selected = self.labels.iter().filter(|(other, labels)| {
                is_another(other, key) && labels.iter().any(|labels| rule.selects(labels))
            });
            let selected: Vec<_> = selected.map(|(other, _)| other.clone()).collect();
            self.sources.entry(key.clone()).or_default().extend(selected);
        }
        let labels = &seen.body.metadata.labels;
        if !labels.is_empty() && add(&mut self.labels, key, labels) {
            let selecting = self.rules.iter().filter(|(other, rules)| {
                is_another(other, key) && rules.iter().any(|rule| rule.selects(labels))
            });
            for (other, _) in selecting {
                self.sources.entry(other.clone()).or_default().insert(key.clone());
            }
        }
    }

    /// The version of a selected role after which a controller made `version` of `key`, and that role; none
    /// where `key` is no aggregate, what it selects was changed itself, or the roles that are known do not give
    /// what was added: then it was no aggregation.
    pub(crate) fn author<'a>(
        &'a self,
        objects: &'a Objects,
        key: &ObjectKey,
        version: &Version,
    ) -> Option<(&'a ObjectKey, &'a Version)> {
        let sources = self.sources.get(key)?;
        let before = objects.before(key, version.from)?;
        let (had, has) = (before.content.known()?, version.content.known()?);
        if had.body.aggregation_rule != has.body.aggregation_rule {
            return None;
        }
        let rule = has.body.aggregation_rule.as_ref();
        let given = |content: Option<&'a Content>| rules_given(rule, content);
        let added = without(&has.body.rules, &had.body.rules);
        let removed = without(&had.body.rules, &has.body.rules);
        let give: Vec<&Rule> = sources
            .iter()
            .flat_map(|source| given(objects.at(source, version.from).map(|it| &it.content)))
            .collect();
        let is_aggregation = added.iter().all(|rule| give.contains(rule))
            && removed.iter().all(|rule| !give.contains(rule));
        if !is_aggregation {
            return None;
        }
        let made = sources.iter().filter_map(|source| {
            let history = objects.history(source);
            let upto = history.partition_point(|other| other.from <= version.from);
            let caused = (0..upto).rev().find(|at| {
                let older = at.checked_sub(1).and_then(|at| history.get(at));
                let before = given(older.map(|older| &older.content));
                let after = given(history.get(*at).map(|now| &now.content));
                history.get(*at).is_some_and(|now| now.change.is_some())
                    && (added.iter().any(|rule| after.contains(rule) && !before.contains(rule))
                        || removed
                            .iter()
                            .any(|rule| before.contains(rule) && !after.contains(rule)))
            })?;
            Some((source, history.get(caused)?))
        });
        made.max_by_key(|(_, found)| (found.from, found.change.clone()))
    }
}

/// The rules of a role that go to an aggregate with this rule, as far as they are known.
fn rules_given<'a>(rule: Option<&AggregationRule>, content: Option<&'a Content>) -> Vec<&'a Rule> {
    let seen = content.and_then(Content::known);
    let selected =
        seen.filter(|seen| rule.is_some_and(|it| it.selects(&seen.body.metadata.labels)));
    selected.map(|seen| seen.body.rules.iter().collect()).unwrap_or_default()
}

fn without<'a>(rules: &'a [Rule], others: &[Rule]) -> Vec<&'a Rule> {
    rules.iter().filter(|rule| !others.contains(rule)).collect()
}

/// The aggregates that a `ClusterRole` with this content gives its rules to, by name: whoever changes its labels
/// gives and takes what its rules allow.
pub(crate) fn aggregates(
    objects: &Objects,
    key: &ObjectKey,
    content: &Content,
    time: Time,
) -> BTreeSet<String> {
    let Some(seen) = content.known() else { return BTreeSet::new() };
    let labels = &seen.body.metadata.labels;
    let existing = objects.existing(key.cluster.as_deref(), "ClusterRole", time);
    let selecting = existing.filter(|(other, version)| {
        let seen = version.content.known();
        let rule = seen.and_then(|seen| seen.body.aggregation_rule.as_ref());
        *other != key && rule.is_some_and(|rule| rule.selects(labels))
    });
    // The aggregates that every cluster has, which may be older than what was seen.
    let standing = labels.iter().filter(|(_, value)| *value == "true").filter_map(|(label, _)| {
        let name = label.strip_prefix("rbac.authorization.k8s.io/aggregate-to-")?;
        ["admin", "edit", "view"].contains(&name).then(|| name.to_owned())
    });
    selecting.map(|(other, _)| other.name.clone()).chain(standing).collect()
}

fn is_another(other: &ObjectKey, key: &ObjectKey) -> bool {
    other != key && other.cluster == key.cluster
}

/// Whether `item` is new there.
fn add<T: Clone + Ord>(
    index: &mut BTreeMap<ObjectKey, BTreeSet<T>>,
    key: &ObjectKey,
    item: &T,
) -> bool {
    index.entry(key.clone()).or_default().insert(item.clone())
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;
    use crate::body::Body;

    /// Scenario: selectors by labels and by expressions, over the labels of a role.
    /// Guarantees: each selects as the API server's do; a rule without selectors selects nothing.
    #[test]
    fn selectors_select_labels() {
        let labels: Labels = [("tier".to_owned(), "edit".to_owned())].into();
        let selects = |selectors: &str| {
            let json = format!(r#"{{"aggregationRule":{{"clusterRoleSelectors":{selectors}}}}}"#);
            let body = Body::read(&Json(json)).expect("a body");
            body.aggregation_rule.expect("a rule").selects(&labels)
        };
        assert!(selects(r#"[{"matchLabels":{"tier":"edit"}}]"#));
        assert!(selects(r#"[{"matchLabels":{"tier":"view"}},{}]"#));
        assert!(!selects(r#"[{"matchLabels":{"tier":"view"}}]"#));
        assert!(!selects("[]"));
        let by = |expression: &str| selects(&format!(r#"[{{"matchExpressions":[{expression}]}}]"#));
        assert!(by(r#"{"key":"tier","operator":"In","values":["view","edit"]}"#));
        assert!(!by(r#"{"key":"tier","operator":"NotIn","values":["edit"]}"#));
        assert!(by(r#"{"key":"zone","operator":"NotIn","values":["edit"]}"#));
        assert!(by(r#"{"key":"tier","operator":"Exists"}"#));
        assert!(by(r#"{"key":"zone","operator":"DoesNotExist"}"#));
        assert!(!by(r#"{"key":"tier","operator":"Newer"}"#));
    }
}
