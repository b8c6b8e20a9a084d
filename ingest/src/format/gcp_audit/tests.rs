use serde_json::json;

use super::super::{Format, read as read_all};
use super::*;
use crate::lab::with_context;

fn reading(entry: &Value) -> Reading {
    with_context(|context| read_all(Format::GcpAudit, entry.to_string().as_bytes(), context))
}

fn access(payload: &Value) -> Access {
    let reading = reading(&json!({"insertId": "1", "protoPayload": payload}));
    assert_eq!(reading.rejects, [], "{payload}");
    reading.accesses.into_iter().next().unwrap()
}

/// Scenario: permissions granted, refused, some of several, in BigQuery's texts, and statuses.
/// Guarantees: what was decided; unknown where nobody says.
#[test]
fn decisions_are_read() {
    let check = |granted: Value, code: i64, expect: Decision| {
        let row = access(
            &json!({"methodName": "x", "authorizationInfo": granted, "status": {"code": code}}),
        );
        assert_eq!(row.decision, expect, "{granted} {code}");
        let has_failed = code != 0 || expect == Decision::Deny;
        assert_eq!(row.outcome == Outcome::Failure, has_failed, "{granted} {code}");
    };
    check(json!([{"granted": true}]), 0, Decision::Allow);
    check(json!([{"granted": "true"}]), 0, Decision::Allow);
    check(json!([{"granted": false}, {"granted": true}]), 0, Decision::Allow);
    check(json!([{"granted": false}]), 0, Decision::Deny);
    check(json!([{"granted": true}]), 5, Decision::Allow);
    check(json!([{"granted": true}]), 7, Decision::Deny);
    check(json!([{"permission": "x"}]), 7, Decision::Deny);
    check(json!([{"permission": "x"}]), 0, Decision::Unknown);
    check(json!([]), 16, Decision::Deny);
    check(json!(7), 0, Decision::Unknown);
}

/// Scenario: users, service accounts and federated subjects, as email or as subject.
/// Guarantees: each is one identity, and a `ServiceAccount` of GKE is known by namespace and name.
#[test]
fn principals_are_told_apart() {
    let check = |info: Value, kind: IdentityKind, realm: Option<&str>, account: Option<&str>| {
        let row = access(&json!({"methodName": "x", "authenticationInfo": info}));
        let found =
            (row.identity_kind, row.identity_realm.as_deref(), row.service_account.as_deref());
        assert_eq!(found, (kind, realm, account), "{info}");
    };
    let pool = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools";
    check(json!({"principalEmail": "eve@example.com"}), IdentityKind::User, None, None);
    check(
        json!({"principalEmail": "ci@acme.iam.gserviceaccount.com"}),
        IdentityKind::GcpServiceAccount,
        Some("acme"),
        None,
    );
    check(
        json!({"principalSubject": format!("{pool}/acme.svc.id.goog/subject/ns/web/sa/frontend")}),
        IdentityKind::ServiceAccount,
        Some("acme.svc.id.goog"),
        Some("frontend"),
    );
    check(
        json!({"principalSubject": format!("{pool}/github/subject/repo:acme/shop")}),
        IdentityKind::User,
        Some("projects/1/locations/global/workloadIdentityPools/github"),
        None,
    );
    let agent =
        "principal://iam.googleapis.com/projects/1/locations/us-central1/reasoningEngines/7";
    check(json!({ "principalSubject": agent }), IdentityKind::Unknown, None, None);
    check(json!({}), IdentityKind::Unknown, None, None);
    check(json!({"principalEmail": "acme.svc.id.goog"}), IdentityKind::Unknown, None, None);
    check(
        json!({"principalEmail": "acme.svc.id.goog", "principalSubject": "serviceAccount:acme.svc.id.goog[web/frontend]"}),
        IdentityKind::ServiceAccount,
        Some("acme.svc.id.goog"),
        Some("frontend"),
    );
}

/// Scenario: entries that are no audit logs, and items that are no entries.
/// Guarantees: the first are rows of `logs` with their trace, the second rejects.
#[test]
fn other_entries_are_logs() {
    let entry = json!({"logName": "projects/acme/logs/app", "timestamp": "2026-07-23T10:00:00Z", "severity": "ERROR",
        "resource": {"type": "k8s_container", "labels": {"pod_name": "a"}}, "textPayload": "it broke",
        "trace": "projects/acme/traces/4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"});
    let log = reading(&entry).logs.remove(0);
    assert_eq!(log.body.as_deref(), Some("it broke"));
    assert_eq!(log.service.as_deref(), Some("k8s_container"));
    assert_eq!((log.cluster.as_deref(), log.pod.as_deref()), (Some("prod"), Some("a")));
    assert_eq!(log.trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(log.time.to_string(), "2026-07-23T10:00:00.000000Z");
    for item in [json!({}), json!({"protoPayload": {}}), json!({"protoPayload": 7})] {
        let reading = reading(&item);
        assert_eq!((reading.rejects.len(), reading.items()), (1, 1), "{item}");
    }
}

/// Scenario: an entry as a sink into BigQuery writes it.
/// Guarantees: bodies that are texts there are read, and absent fields are no fields.
#[test]
fn bigquery_names_are_known() {
    let entry = json!({"insertId": "1", "textPayload": null, "protopayload_auditlog": {"methodName": "x", "status": null,
        "requestJson": "{\"a\":1}", "metadataJson": "{\"b\":2}", "responseJson": null}});
    let row = reading(&entry).accesses.remove(0);
    assert_eq!(row.request_object.unwrap().as_str(), r#"{"a":1}"#);
    assert_eq!(row.annotations.unwrap().as_str(), r#"{"metadata":{"b":2}}"#);
    assert_eq!((row.response_object, row.unmapped), (None, None));
}

/// Scenario: a service account that a ServiceAccount of GKE acts as, through one more, a person who acts as
/// one, and the exchange of a ServiceAccount's token for one of Google's.
/// Guarantees: the ServiceAccount behind it is known, the service account stays who acts; a person is none.
#[test]
fn who_is_behind_a_service_account_is_known() {
    let pool = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/acme.svc.id.goog/subject/ns/web/sa/frontend";
    let delegated = |first: &str| {
        access(&json!({"methodName": "storage.objects.get", "authenticationInfo": {
            "principalEmail": "reader@acme.iam.gserviceaccount.com",
            "serviceAccountDelegationInfo": [
                {"principalSubject": first},
                {"principalSubject": "serviceAccount:between@acme.iam.gserviceaccount.com"},
            ],
        }}))
    };
    let account = |row: &Access| Some((row.namespace.clone()?, row.service_account.clone()?));
    let frontend = Some(("web".to_owned(), "frontend".to_owned()));
    let row = delegated(pool);
    assert_eq!(account(&row), frontend);
    assert_eq!(row.identity.as_deref(), Some("reader@acme.iam.gserviceaccount.com"));
    assert_eq!(account(&delegated("user:eve@example.com")), None);
    let exchanged = json!({"serviceName": "sts.googleapis.com", "methodName": "google.identity.sts.v1.SecurityTokenService.ExchangeToken",
        "authenticationInfo": {"principalSubject": "0123"}, "metadata": {"mapped_principal": pool}});
    assert_eq!(account(&access(&exchanged)), frontend);
}

/// Scenario: refusals by a constraint of the organization, by a perimeter that is only tried out, and of
/// a person who fails to sign in.
/// Guarantees: who refused; what is tried out refuses nobody.
#[test]
fn policies_refuse_too() {
    let check = |payload: Value, decision: Decision, by: Option<&str>, outcome: Outcome| {
        let row = access(&payload);
        let found = (row.decision, row.decided_by.as_deref(), row.outcome);
        assert_eq!(found, (decision, by, outcome), "{payload}");
    };
    let violated =
        json!({"orgPolicyViolationInfo": {"violationInfo": [{"constraint": "constraints/x"}]}});
    check(
        json!({"methodName": "x", "authorizationInfo": [{"granted": true}], "policyViolationInfo": violated,
            "status": {"code": 9}}),
        Decision::Deny,
        Some("constraints/x"),
        Outcome::Failure,
    );
    check(
        json!({"methodName": "x", "authorizationInfo": [{"granted": true}], "policyViolationInfo": violated}),
        Decision::Allow,
        None,
        Outcome::Success,
    );
    let perimeter = |dry: bool| {
        json!({"methodName": "x", "status": {"code": "7"},
            "metadata": {"dryRun": dry, "securityPolicyInfo": {"servicePerimeterName": "p"}}})
    };
    check(perimeter(false), Decision::Deny, Some("p"), Outcome::Failure);
    check(perimeter(true), Decision::Unknown, None, Outcome::Success);
    check(
        json!({"methodName": "google.login.LoginService.loginFailure"}),
        Decision::Deny,
        Some("authentication"),
        Outcome::Failure,
    );
}

/// Scenario: the beginning and the end of one operation, entries that are both, and another operation.
/// Guarantees: beginning and end are one request; any other entry is its own.
#[test]
fn operations_are_one_request() {
    let key = |insert: &str, operation: Value| {
        let entry = json!({"insertId": insert, "timestamp": format!("2026-07-23T10:00:0{insert}Z"), "operation": operation,
            "protoPayload": {"methodName": "v1.compute.instances.insert"}});
        reading(&entry).accesses.remove(0).request_key
    };
    let begin = key("1", json!({"id": "o-1", "first": true}));
    assert_eq!(key("2", json!({"id": "o-1", "last": true})), begin);
    assert_ne!(key("3", json!({"id": "o-2", "last": true})), begin);
    let whole = json!({"id": "o-1", "first": true, "last": true});
    assert_ne!(key("4", whole.clone()), key("5", whole));
}

/// Scenario: users and service accounts in the form of policies of version 2.
/// Guarantees: the same identity as by their address.
#[test]
fn subjects_of_google_are_addresses() {
    for (subject, email) in [
        ("principal://goog/subject/eve@example.com", "eve@example.com"),
        (
            "principal://iam.googleapis.com/projects/-/serviceAccounts/ci@acme.iam.gserviceaccount.com",
            "ci@acme.iam.gserviceaccount.com",
        ),
    ] {
        let who = |info: Value| {
            let row = access(&json!({"methodName": "x", "authenticationInfo": info}));
            (row.identity_kind, row.identity_realm, row.identity)
        };
        assert_eq!(
            who(json!({"principalSubject": subject})),
            who(json!({"principalEmail": email})),
            "{subject}"
        );
    }
}

/// Scenario: exchanges of a token for one of Google's, one that ended well and one that did not.
/// Guarantees: who exchanged is whom the pool made of it, as in all that is done with the token; nobody is
/// asked for a permission, so the end tells; an exchange that failed makes nobody of anybody.
#[test]
fn exchanged_tokens_are_of_their_subject() {
    let pool = "projects/1/locations/global/workloadIdentityPools/p";
    let subject = "system:serviceaccount:web:frontend";
    let mapped = format!("principal://iam.googleapis.com/{pool}/subject/{subject}");
    let row = |key: &str, code: i64| {
        access(
            &json!({"serviceName": "sts.googleapis.com", "methodName": "google.identity.sts.v1.SecurityTokenService.ExchangeToken",
            "authenticationInfo": {"principalSubject": subject}, "status": {"code": code},
            "authorizationInfo": [{"permission": "sts.identityProviders.checkLogging"}], "metadata": {key: mapped}}),
        )
    };
    let used =
        access(&json!({"methodName": "x", "authenticationInfo": {"principalSubject": mapped}}));
    for key in ["mapped_principal", "mappedPrincipal"] {
        let exchanged = row(key, 0);
        assert_eq!(
            (exchanged.identity_kind, &exchanged.identity, &exchanged.identity_realm),
            (IdentityKind::ServiceAccount, &used.identity, &used.identity_realm)
        );
        assert_eq!(exchanged.identity_realm.as_deref(), Some(pool));
        assert_eq!((exchanged.decision, exchanged.outcome), (Decision::Allow, Outcome::Success));
    }
    let failed = row("mapped_principal", 3);
    assert_ne!(failed.identity_realm.as_deref(), Some(pool));
    assert_eq!((failed.decision, failed.outcome), (Decision::Unknown, Outcome::Failure));
}

/// Scenario: what Google does by itself, and a person who signs in.
/// Guarantees: Google's system is no person; who signed in was let in.
#[test]
fn google_itself_is_no_person() {
    let row = access(
        &json!({"methodName": "x", "authenticationInfo": {"principalEmail": "system@google.com"}}),
    );
    assert_eq!(
        (row.identity_kind, row.identity.as_deref(), row.decision),
        (IdentityKind::System, Some("system@google.com"), Decision::Unknown)
    );
    let row = access(&json!({"methodName": "google.login.LoginService.loginSuccess",
        "authenticationInfo": {"principalEmail": "eve@example.com"}}));
    assert_eq!((row.decision, row.outcome), (Decision::Allow, Outcome::Success));
}

/// Scenario: a person who fails to sign in, and a call with a proof that is refused.
/// Guarantees: nobody is held to it; what was claimed stays.
#[test]
fn claims_that_are_refused_are_nobodys() {
    let claimed = json!({"principalEmail": "eve@example.com"});
    for payload in [
        json!({"methodName": "google.login.LoginService.loginFailure", "authenticationInfo": claimed}),
        json!({"methodName": "x", "authenticationInfo": claimed, "status": {"code": 16}}),
    ] {
        let row = access(&payload);
        assert_eq!((row.identity_kind, row.identity), (IdentityKind::Unauthenticated, None));
        assert_eq!(row.decided_by.as_deref(), Some("authentication"));
        assert!(row.extra.unwrap().as_str().contains("eve@example.com"));
    }
}
