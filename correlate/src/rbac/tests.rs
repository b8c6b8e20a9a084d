use super::*;

fn rule(text: &str) -> Rule {
    serde_json::from_str(text).expect("a rule")
}

fn asked(verb: &str, group: &str, resource: &str, name: &str) -> Access {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    Access {
        identity: Some("alice".into()),
        verb: Some(verb.into()),
        api_group: Some(group.into()),
        resource: Some(resource.into()),
        subresource,
        object_name: (!name.is_empty()).then(|| name.into()),
        ..Access::default()
    }
}

fn check(rule_text: &str, access: &Access, expected: bool) {
    let question = Question::of(access).expect("somebody asks");
    assert_eq!(question.allowed_by(&rule(rule_text)), expected, "{rule_text} for {access:?}");
}

/// Scenario: rules and requests as the RBAC documentation describes them.
/// Guarantees: wildcards, subresources and resource names match exactly what the API server lets through.
#[test]
fn rules_match_as_the_api_server_matches() {
    let pods = r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}"#;
    check(pods, &asked("get", "", "pods", "a"), true);
    check(pods, &asked("list", "", "pods", ""), false);
    check(pods, &asked("get", "apps", "pods", ""), false);
    check(pods, &asked("get", "", "pods/log", "a"), false);
    let log = r#"{"verbs":["*"],"apiGroups":["*"],"resources":["pods/log","*/scale"]}"#;
    check(log, &asked("get", "", "pods/log", "a"), true);
    check(log, &asked("update", "apps", "deployments/scale", "a"), true);
    check(log, &asked("get", "", "pods", "a"), false);
    let all = r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}"#;
    check(all, &asked("create", "", "pods/exec", "a"), true);
    let named =
        r#"{"verbs":["get"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["db"]}"#;
    check(named, &asked("get", "", "secrets", "db"), true);
    check(named, &asked("get", "", "secrets", "other"), false);
    check(named, &asked("get", "", "secrets", ""), false);
}

/// Scenario: paths that are not resources.
/// Guarantees: only a trailing star is a wildcard, and the query does not count.
#[test]
fn paths_match_by_prefix_star() {
    let mut access = asked("get", "", "x", "");
    access.resource = None;
    access.request_uri = Some("/healthz/etcd?verbose".into());
    check(r#"{"verbs":["get"],"nonResourceURLs":["/healthz/*"]}"#, &access, true);
    check(r#"{"verbs":["get"],"nonResourceURLs":["/healthz"]}"#, &access, false);
    check(r#"{"verbs":["get"],"nonResourceURLs":["*"],"rules":null}"#, &access, true);
}

/// Scenario: a request made under impersonation.
/// Guarantees: the impersonated user and groups are asked for, not the real ones.
#[test]
fn impersonation_asks_for_the_other() {
    let access = Access {
        impersonated_identity: Some("system:serviceaccount:a:b".into()),
        impersonated_groups: Some(vec!["g".into()]),
        ..asked("get", "", "pods", "")
    };
    let subjects = Question::of(&access).expect("somebody asks").subjects();
    let names: Vec<_> = subjects.iter().map(SubjectKey::sentence).collect();
    assert_eq!(names, ["Group g", "ServiceAccount a/b", "User system:serviceaccount:a:b"]);
}
