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
    same(P::Kubernetes, "system:serviceaccount:web:", K::System);
    same(P::Kubernetes, "system:serviceaccount:a:b:c", K::System);
    same(P::Kubernetes, "system:node:node-1", K::Node);
    same(P::Kubernetes, "system:node:", K::System);
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
