//! Who was probably refused by authentication.

use super::*;

fn from_client(access: Access) -> Access {
    Access { source_ip: Some("10.0.0.7".into()), user_agent: Some("cart/1".into()), ..access }
}

/// A use of `frontend`'s token from the client at `second`.
fn used(second: i64) -> Access {
    from_client(with_token(request(second, FRONTEND, "get", "configmaps", "settings"), "JTI=a"))
}

/// A 401 of the same client.
fn refused(second: i64) -> Access {
    Access {
        identity: None,
        identity_kind: IdentityKind::Unauthenticated,
        decided_by: Some("authentication".into()),
        status_code: Some(401),
        namespace: None,
        service_account: None,
        ..from_client(denied(request(second, "", "get", "configmaps", "settings")))
    }
}

fn deleted(second: i64, resource: &str, name: &str) -> Access {
    request(second, "bob", "delete", resource, name)
}

fn pod() -> Access {
    let body = r#"{"kind":"Pod","metadata":{"name":"frontend-5d-abcde","uid":"uid-1"},
        "spec":{"serviceAccountName":"frontend"}}"#;
    Access {
        response_object: Some(Json(body.into())),
        ..request(1, "system:serviceaccount:kube-system:c", "create", "pods", "frontend-5d-abcde")
    }
}

/// What the 401 at second 9 says of its holder, however the rows arrived.
fn likely(rows: &[Access]) -> Option<(String, String, String)> {
    let found = links::told(rows, 9, Edge::Actor)?;
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    Some((text("likely_identity"), text("likely_cause"), text("likely_evidence")))
}

/// Scenario: a client is let in, then what its token rests on ends (its ServiceAccount, its namespace, its
/// pod, its time), then it is refused by authentication.
/// Guarantees: the refusal names who it probably was and what ended, heuristically, in any order of arrival.
#[test]
fn a_401_after_a_deletion_names_its_probable_holder() {
    let told = |cause: &str| Some((FRONTEND.to_owned(), cause.to_owned(), "heuristic".to_owned()));
    let account = [used(3), deleted(5, "serviceaccounts", "frontend"), refused(9)];
    assert_eq!(likely(&account), told("bob deleted ServiceAccount web/frontend"));
    let space = Access { object_namespace: None, ..deleted(5, "namespaces", "web") };
    assert_eq!(likely(&[used(3), space, refused(9)]), told("bob deleted Namespace web"));
    let minted = Access {
        issued_expires_time: Some(at(7)),
        ..mint(2, "system:node:node-1", "X509SHA256=a", "JTI=a")
    };
    let expired = format!("its credential expired at {}", at(7));
    assert_eq!(likely(&[minted, used(3), refused(9)]), told(&expired));
}

/// Scenario: a pod is made, its token is used, it is deleted, and its client is refused.
/// Guarantees: the refusal names the pod that was deleted.
#[test]
fn a_401_after_a_pods_deletion_names_the_pod() {
    let rows = vec![pod(), used(3), deleted(5, "pods", "frontend-5d-abcde"), refused(9)];
    let whole = all(play(&mut Correlator::default(), rows, &[1]));
    let cause = whole.accesses[3].likely_cause.as_deref();
    assert_eq!(cause, Some("pod web/frontend-5d-abcde was deleted"));
}

/// Scenario: a 401 where nothing ended, where another's ServiceAccount ended, of another client, before the
/// deletion, and of a client by which two were let in whose credentials both ended.
/// Guarantees: nothing is said.
#[test]
fn nobody_is_named_without_a_cause() {
    assert_eq!(likely(&[used(3), refused(9)]), None);
    assert_eq!(likely(&[used(3), deleted(5, "serviceaccounts", "cart"), refused(9)]), None);
    let elsewhere = Access { source_ip: Some("10.0.0.8".into()), ..used(3) };
    let account = || deleted(5, "serviceaccounts", "frontend");
    assert_eq!(likely(&[elsewhere, account(), refused(9)]), None);
    assert_eq!(likely(&[used(3), deleted(10, "serviceaccounts", "frontend"), refused(9)]), None);
    let other = Access {
        identity: Some("system:serviceaccount:web:cart".into()),
        service_account: Some("cart".into()),
        credential_id: Some(CredentialId::from("JTI=c")),
        ..used(4)
    };
    let both = [used(3), other, account(), deleted(6, "serviceaccounts", "cart"), refused(9)];
    assert_eq!(likely(&both), None);
}
