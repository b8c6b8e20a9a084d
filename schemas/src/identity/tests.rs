use proptest::prelude::*;

use super::*;

fn check(provider: Provider, text: &str, kind: IdentityKind, name: &str) {
    let identity = Identity::parse(provider, Some("prod"), text);
    assert_eq!((identity.kind, identity.name.as_deref()), (kind, Some(name)), "{text}");
}

/// Scenario: user names as API servers, meshes and clouds write them.
/// Guarantees: each is one kind of principal, decided by the provider and never by the text alone.
#[test]
fn provider_decides_what_a_name_means() {
    use IdentityKind as K;
    use Provider as P;
    let same = |provider, text: &str, kind| check(provider, text, kind, text);
    same(P::Kubernetes, "system:serviceaccount:web:frontend", K::ServiceAccount);
    // A prefix proves no component.
    same(P::Kubernetes, "system:serviceaccount:web:", K::User);
    same(P::Kubernetes, "system:serviceaccount:a:b:c", K::User);
    same(P::Kubernetes, "system:admin", K::User);
    same(P::Kubernetes, "system:node:node-1", K::Node);
    same(P::Kubernetes, "system:node:", K::User);
    same(P::Kubernetes, "system:anonymous", K::Anonymous);
    same(P::Kubernetes, "system:kube-scheduler", K::System);
    same(P::Kubernetes, "alice", K::User);
    same(P::Kubernetes, "spiffe://shop/ns/a/sa/b", K::User);
    same(P::Kubernetes, "x@y.iam.gserviceaccount.com", K::User);
    same(P::Envoy, "spiffe://shop/ns/a/sa/b", K::Spiffe);
    same(P::Envoy, "spiffe://", K::Unknown);
    same(P::Aws, "arn:aws:iam::123456789012:user/eve", K::AwsUser);
    let role = "arn:aws:iam::123456789012:role/reader";
    check(P::Aws, "arn:aws:sts::123456789012:assumed-role/reader/session-7", K::AwsRole, role);
    same(P::Aws, "ec2.amazonaws.com", K::AwsService);
    same(P::Azure, "appid:7f0b", K::AzureApplication);
    same(P::Azure, "oid:7f0b", K::AzureManagedIdentity);
    same(P::Aws, "arn:aws:iam::123456789012:root", K::AwsUser);
    same(P::Aws, "arn:aws:sts::123456789012:federated-user/eve", K::AwsUser);
    same(P::Gcp, "eve@example.com", K::User);
    same(P::Gcp, "ci@acme.iam.gserviceaccount.com", K::GcpServiceAccount);
    let account = "system:serviceaccount:web:frontend";
    check(P::Gcp, "serviceAccount:acme.svc.id.goog[web/frontend]", K::ServiceAccount, account);
    let pools = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools";
    let gke = format!("{pools}/acme.svc.id.goog/subject/ns/web/sa/frontend");
    check(P::Gcp, &gke, K::ServiceAccount, account);
    check(P::Gcp, &format!("{pools}/ci/subject/{account}"), K::ServiceAccount, account);
    check(P::Gcp, &format!("{pools}/ci/subject/repo:acme/shop"), K::User, "repo:acme/shop");
}

/// Scenario: a 401, whose event has no user name.
/// Guarantees: nobody is named, and the realm stays.
#[test]
fn empty_user_is_unauthenticated() {
    let nobody = Identity::kubernetes(Some("prod"), "");
    assert_eq!(nobody, Identity::unauthenticated(Some("prod")));
    assert_eq!(nobody.short(), "unauthenticated");
}

/// Scenario: a SPIFFE ID parsed under the wrong realm.
/// Guarantees: its trust domain, not the caller's realm, vouches for it.
#[test]
fn spiffe_realm_is_the_trust_domain() {
    let identity = Identity::parse(Provider::Istio, Some("prod"), "spiffe://shop.test/ns/a/sa/b");
    assert_eq!(identity.realm.as_deref(), Some("shop.test"));
}

/// Scenario: principals of Google and of AWS whose realm is not the account of the log.
/// Guarantees: the project, the pool or the issuer vouches for each; for users of Google nobody does.
#[test]
fn clouds_name_their_realms() {
    let realm = |text: &str| Identity::parse(Provider::Gcp, Some("log"), text).realm;
    assert_eq!(realm("ci@acme.iam.gserviceaccount.com").as_deref(), Some("acme"));
    assert_eq!(realm("7-compute@developer.gserviceaccount.com").as_deref(), Some("7"));
    assert_eq!(realm("acme@appspot.gserviceaccount.com").as_deref(), Some("acme"));
    assert_eq!(realm("serviceAccount:acme.svc.id.goog[a/b]").as_deref(), Some("acme.svc.id.goog"));
    assert_eq!(realm("user:eve@example.com"), None);
    let eks = Identity::federated(Some("oidc.eks.example/id/7"), "system:serviceaccount:a:b");
    assert_eq!(eks.service_account(), Some(("a", "b")));
    assert_eq!(eks.realm.as_deref(), Some("oidc.eks.example/id/7"));
}

proptest! {
    /// Scenario: any kind with any realm and any name, attacker text included.
    /// Guarantees: the tagged form reads back as the same identity.
    #[test]
    fn tagged_form_round_trips(
        kind in proptest::sample::select(IdentityKind::ALL),
        realm in proptest::option::of(".*"),
        name in proptest::option::of(".*"),
    ) {
        let identity = Identity { kind, realm, name };
        let read_back = identity.to_string().parse::<Identity>();
        prop_assert_eq!(read_back, Ok(identity));
    }

    /// Scenario: any text given as the name of any provider's principal.
    /// Guarantees: parsing answers, and the answer round-trips too.
    #[test]
    fn parsing_never_fails(
        provider in proptest::sample::select(Provider::ALL),
        text in ".*",
    ) {
        let identity = Identity::parse(provider, Some("a/b%"), &text);
        let read_back = identity.to_string().parse::<Identity>();
        prop_assert_eq!(read_back, Ok(identity));
    }
}
