//! `ClusterRole`s that a controller fills with the rules of others, which their labels select.
//!
//! "The control plane overwrites any values that you manually specify in the rules field of an aggregate
//! ClusterRole": who wrote a selected role is the author of what the aggregate gives.
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#aggregated-clusterroles>

use std::collections::{BTreeMap, BTreeSet};

use crate::body::{AggregationRule, Labels};
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
    /// where `key` is no aggregate, or what it selects was changed itself.
    pub(crate) fn author<'a>(
        &'a self,
        objects: &'a Objects,
        key: &ObjectKey,
        version: &Version,
    ) -> Option<(&'a ObjectKey, &'a Version)> {
        let sources = self.sources.get(key)?;
        let rule = |version: &Version| version.content.known()?.body.aggregation_rule.clone();
        let before = objects.before(key, version.from)?;
        if rule(before) != rule(version) {
            return None;
        }
        let changes = sources.iter().filter_map(|source| {
            let upto = objects.history(source).iter().rev();
            let mut upto = upto.skip_while(|other| other.from > version.from);
            Some((source, upto.find(|other| other.change.is_some())?))
        });
        changes.max_by_key(|(_, found)| (found.from, found.change.clone()))
    }
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
