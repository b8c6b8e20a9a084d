//! Aggregated ClusterRoles: the author is whoever wrote the role that a label selects.

use super::*;
use crate::resolve::AGGREGATION_CONTROLLER;

fn cluster_wide(access: Access) -> Access {
    let api_group = Some("rbac.authorization.k8s.io".into());
    Access { object_namespace: None, api_group, ..access }
}

/// `view` as the controller leaves it, with these rules.
fn view(second: i64, by: &str, verb: &str, rules: &str) -> Access {
    let body = format!(
        r#"{{"kind":"ClusterRole","metadata":{{"name":"view"}},"rules":[{rules}],
        "aggregationRule":{{"clusterRoleSelectors":[{{"matchLabels":{{"to-view":"true"}}}}]}}}}"#
    );
    let made = request(second, by, verb, "clusterroles", "view");
    cluster_wide(Access { response_object: Some(Json(body)), ..made })
}

/// A role of `alice` that `view` selects, or not.
fn custom(second: i64, label: &str) -> Access {
    let body = format!(
        r#"{{"kind":"ClusterRole","metadata":{{"name":"custom","labels":{{"{label}":"true"}}}},"rules":[{SECRETS}]}}"#
    );
    let made = request(second, "alice", "create", "clusterroles", "custom");
    cluster_wide(Access { request_object: Some(Json(body)), ..made })
}

const PODS: &str = r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}"#;
const SECRETS: &str = r#"{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}"#;

fn bound(second: i64) -> Access {
    let body = r#"{"kind":"ClusterRoleBinding","metadata":{"name":"viewers"},
        "subjects":[{"kind":"User","name":"bob"}],"roleRef":{"kind":"ClusterRole","name":"view"}}"#;
    let made = request(second, "carol", "create", "clusterrolebindings", "viewers");
    cluster_wide(Access { request_object: Some(Json(body.into())), ..made })
}

fn read(second: i64) -> Access {
    Access {
        decided_by: Some("ClusterRoleBinding/viewers".into()),
        decided_role: Some("ClusterRole/view".into()),
        ..request(second, "bob", "get", "secrets", "db")
    }
}

fn story(label: &str) -> Vec<Access> {
    let both = format!("{PODS},{SECRETS}");
    vec![
        view(1, "system:apiserver", "create", PODS),
        bound(2),
        custom(3, label),
        view(4, AGGREGATION_CONTROLLER, "patch", &both),
        read(6),
    ]
}

/// Scenario: alice writes a ClusterRole that `view` selects by its label, a controller adds its rules to
/// `view`, and bob reads by `view` what alice gave.
/// Guarantees: alice is the change behind bob's access, derived, and the one on whose behalf the controller
/// acted, in any order of arrival.
#[test]
fn the_author_is_behind_the_controller() {
    let rows = story("to-view");
    let change = links::told(&rows, 6, Edge::Change).expect("a change");
    assert_eq!(
        (&change["change_actor"], &change["change_evidence"]),
        (&"alice".into(), &"derived".into())
    );
    let actor = links::told(&rows, 4, Edge::Actor).expect("an author");
    assert_eq!(
        (&actor["on_behalf_of"], &actor["on_behalf_of_evidence"]),
        (&"alice".into(), &"derived".into())
    );
    assert_eq!(actor["via"], AGGREGATION_CONTROLLER);
}

/// Scenario: the same with a label that `view` does not select, and a change of what `view` selects.
/// Guarantees: nobody is blamed for what he did not give: the controller's write is its own, and so is that
/// of whoever changed the aggregate.
#[test]
fn what_is_not_selected_gives_nothing() {
    let change = links::told(&story("to-edit"), 6, Edge::Change).expect("a change");
    assert_eq!(change["change_actor"], AGGREGATION_CONTROLLER);
    assert_eq!(links::told(&story("to-edit"), 4, Edge::Actor), None);
    let body =
        r#"{"kind":"ClusterRole","metadata":{"name":"view"},"rules":[],"aggregationRule":{}}"#;
    let mut rows = story("to-view");
    let changed = view(5, "mallory", "update", PODS);
    rows.insert(4, Access { response_object: Some(Json(body.into())), ..changed });
    let change = links::told(&rows, 6, Edge::Change).expect("a change");
    assert_eq!(change["change_actor"], "mallory");
}

/// `wide`, with these labels, as `by` wrote it.
fn wide(second: i64, by: &str, verb: &str, labels: &str) -> Access {
    let body = format!(
        r#"{{"kind":"ClusterRole","metadata":{{"name":"wide","labels":{{{labels}}}}},"rules":[{SECRETS}]}}"#
    );
    let made = request(second, by, verb, "clusterroles", "wide");
    cluster_wide(Access { response_object: Some(Json(body)), ..made })
}

/// Scenario: eve only sets the label by which `view` selects a role that dave wrote long before; another label is
/// set without effect; bob reads by what was added, and dan by a binding to that role itself.
/// Guarantees: the label is a change, and eve its author behind the controller; a label that selects nothing is
/// none; a label is no change of what the role itself allows.
#[test]
fn whoever_sets_the_label_is_the_author() {
    let both = format!("{PODS},{SECRETS}");
    let direct = Access {
        decided_by: Some("ClusterRoleBinding/wide".into()),
        decided_role: Some("ClusterRole/wide".into()),
        ..request(7, "dan", "get", "secrets", "db")
    };
    let rows = |labels: &str| {
        vec![
            view(1, "system:apiserver", "create", PODS),
            bound(2),
            wide(3, "dave", "create", ""),
            wide(4, "eve", "patch", labels),
            view(5, AGGREGATION_CONTROLLER, "patch", &both),
            read(6),
            direct.clone(),
        ]
    };
    let labelled = rows(r#""to-view":"true""#);
    let change = links::told(&labelled, 6, Edge::Change).expect("a change");
    assert_eq!(
        (&change["change_actor"], &change["change_evidence"]),
        (&"eve".into(), &"derived".into())
    );
    let actor = links::told(&labelled, 5, Edge::Actor).expect("an author");
    assert_eq!(actor["on_behalf_of"], "eve");
    let change = links::told(&labelled, 7, Edge::Change).expect("a change");
    assert_eq!(change["change_actor"], "dave");
    let other = rows(r#""tier":"one""#);
    let change = links::told(&other, 6, Edge::Change).expect("a change");
    assert_eq!(change["change_actor"], AGGREGATION_CONTROLLER);
}

/// Scenario: alice wrote a role that `view` selects; then somebody writes with the controller's name into `view`
/// what no selected role gives, with or without what alice gave; or what alice gave, with a token that eve minted.
/// Guarantees: alice is not blamed for what she did not give, and a stolen token acts for nobody.
#[test]
fn the_author_gave_what_was_added() {
    const ALL: &str = r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}"#;
    for added in [format!("{PODS},{ALL}"), format!("{PODS},{SECRETS},{ALL}")] {
        let mut rows = story("to-view");
        rows[3] = view(4, AGGREGATION_CONTROLLER, "patch", &added);
        assert_eq!(links::told(&rows, 4, Edge::Actor), None);
        let change = links::told(&rows, 6, Edge::Change).expect("a change");
        assert_eq!(change["change_actor"], AGGREGATION_CONTROLLER);
    }
    let minting = |by: &str| {
        let made =
            request(0, by, "create", "serviceaccounts", "clusterrole-aggregation-controller");
        Access {
            subresource: Some("token".into()),
            object_namespace: Some("kube-system".into()),
            issued_credential_id: Some(CredentialId::from("JTI=stolen")),
            ..made
        }
    };
    for (minter, expected) in [("eve", None), ("system:kube-controller-manager", Some("alice"))] {
        let mut rows = story("to-view");
        rows[3].credential_id = Some(CredentialId::from("JTI=stolen"));
        rows[3].credential_kind = Some(CredentialKind::BoundToken);
        rows.insert(0, minting(minter));
        let actor = links::told(&rows, 4, Edge::Actor);
        let found = actor.as_ref().and_then(|actor| actor["on_behalf_of"].as_str());
        assert_eq!(found, expected, "minted by {minter}");
    }
}
