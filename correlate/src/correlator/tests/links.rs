//! From a `ServiceAccount` in a mesh, in Vault or in a cloud back to its workload, in any order.

use durward_schemas::values::Provider;

use super::*;

/// A pod of `workload` that runs as `account`, made at `second`.
fn pod(second: i64, workload: &str, account: &str) -> Access {
    let time = chrono::DateTime::from_timestamp_micros(at(second).0).expect("a time").to_rfc3339();
    let body = format!(
        r#"{{"kind":"Pod","metadata":{{"name":"{workload}-0","uid":"uid-{workload}",
        "creationTimestamp":"{time}",
        "ownerReferences":[{{"kind":"StatefulSet","name":"{workload}","controller":true}}]}},
        "spec":{{"serviceAccountName":"{account}"}}}}"#
    );
    Access {
        response_object: Some(Json(body)),
        ..request(
            second,
            "system:serviceaccount:kube-system:statefulset-controller",
            "create",
            "pods",
            workload,
        )
    }
}

fn gone(second: i64, workload: &str) -> Access {
    request(second, "alice", "delete", "pods", &format!("{workload}-0"))
}

/// An access by `FRONTEND` outside Kubernetes, which names no pod.
fn outside(second: i64, provider: Provider) -> Access {
    Access { provider, source_event_id: None, ..request(second, FRONTEND, "GET", "orders", "1") }
}

/// A session of AWS that EKS Pod Identity or IRSA minted, as CloudTrail tells it.
fn session(second: i64, cluster: Option<&str>, pod_uid: Option<&str>) -> Access {
    Access {
        cluster: cluster.map(Into::into),
        pod_uid: pod_uid.map(Into::into),
        issued_credential_id: Some(CredentialId::from("ASIAEXAMPLE")),
        request_object: Some(Json(r#"{"roleArn":"arn:aws:iam::1:role/web"}"#.into())),
        response_object: Some(Json(r#"{"credentials":{"accessKeyId":"ASIAEXAMPLE"}}"#.into())),
        ..outside(second, Provider::Aws)
    }
}

/// A use of that session, by whichever server.
fn used(second: i64, provider: Provider, cluster: Option<&str>) -> Access {
    Access {
        provider,
        cluster: cluster.map(Into::into),
        identity: Some("arn:aws:iam::1:role/web".into()),
        identity_kind: IdentityKind::AwsRole,
        namespace: None,
        service_account: None,
        credential_id: Some(CredentialId::from("ASIAEXAMPLE")),
        credential_kind: Some(CredentialKind::CloudSession),
        ..request(second, "web", "get", "buckets", "b")
    }
}

/// What the columns of one edge say of the request at `second`, however its rows arrived.
pub(super) fn told(rows: &[Access], second: i64, edge: Edge) -> Option<serde_json::Value> {
    let ends = |rows: Vec<Access>| {
        let mut correlator = Correlator::default();
        let found = edges(&play(&mut correlator, rows, &[1]));
        let restored = Correlator::restore(Settings::default(), &correlator.save());
        assert_eq!(restored.expect("whole"), correlator, "a checkpoint holds all that is known");
        found.get(&(format!("{second:032x}"), edge.as_str())).cloned().flatten()
    };
    let in_order = ends(rows.to_vec());
    let backwards = ends(rows.iter().rev().cloned().collect());
    assert_eq!(in_order, backwards, "the order of arrival does not matter");
    in_order
}

fn workload(rows: &[Access], second: i64) -> Option<(String, String)> {
    let found = told(rows, second, Edge::Workload)?;
    let text = |name: &str| found[name].as_str().expect("a text").to_owned();
    Some((text("workload"), text("workload_evidence")))
}

fn derived(name: &str) -> (String, String) {
    (name.to_owned(), "derived".to_owned())
}

/// Scenario: a mesh and Vault name a ServiceAccount; one workload runs as it, then two, before the
/// first pod, and in another namespace's name; each also told backwards.
/// Guarantees: the one workload is derived; of two, and of none at that time, there is no edge.
#[test]
fn the_only_workload_of_an_account_is_found() {
    for provider in [Provider::Envoy, Provider::Vault] {
        let one = [pod(1, "frontend", "frontend"), pod(2, "other", "other"), outside(9, provider)];
        assert_eq!(workload(&one, 9), Some(derived("web/frontend")));
        let two = [pod(1, "a", "frontend"), pod(2, "b", "frontend"), outside(9, provider)];
        assert_eq!(workload(&two, 9), None);
        let before = [outside(1, provider), pod(2, "frontend", "frontend")];
        assert_eq!(workload(&before, 1), None);
        let elsewhere = Access { cluster: Some("test".into()), ..outside(9, provider) };
        assert_eq!(workload(&[pod(1, "frontend", "frontend"), elsewhere], 9), None);
    }
}

/// Scenario: one of two workloads of a ServiceAccount is deleted before the access: told in order, late, and
/// before the pod's creation; also the only one.
/// Guarantees: only those that lived at that time count, whatever the order of arrival.
#[test]
fn pods_that_are_gone_do_not_count() {
    let (a, b) = (pod(1, "a", "frontend"), pod(2, "b", "frontend"));
    let (deletion, access) = (gone(3, "a"), outside(9, Provider::Envoy));
    for rows in [[0, 1, 2, 3], [0, 1, 3, 2], [2, 0, 1, 3], [2, 3, 0, 1], [3, 2, 1, 0]] {
        let told = [&a, &b, &deletion, &access];
        let rows = rows.map(|at| told[at].clone());
        assert_eq!(workload(&rows, 9), Some(derived("web/b")));
    }
    assert_eq!(workload(&[deletion, a, access], 9), None);
}

/// Scenario: a request to the API server by a ServiceAccount's token that names no pod.
/// Guarantees: it gets no workload, though one runs as the account.
#[test]
fn old_tokens_stay_without_a_workload() {
    let rows = [pod(1, "frontend", "frontend"), outside(9, Provider::Kubernetes)];
    assert_eq!(workload(&rows, 9), None);
}

/// Scenario: a session for a pod by its UID, and one for a ServiceAccount of a known cluster, each
/// used in CloudTrail without a cluster; also told backwards, the pod last.
/// Guarantees: the pod's owner is exact, the account's only workload derived.
#[test]
fn uses_of_a_session_lead_to_the_workload() {
    let here = pod(1, "frontend", "frontend");
    let of_pod =
        [here.clone(), session(2, None, Some("uid-frontend")), used(9, Provider::Aws, None)];
    let exact = Some(("web/frontend".to_owned(), "exact".to_owned()));
    assert_eq!(workload(&of_pod, 9), exact);
    assert_eq!(workload(&of_pod, 2), exact);
    let of_account = [here, session(2, Some("prod"), None), used(9, Provider::Aws, None)];
    assert_eq!(workload(&of_account, 9), Some(derived("web/frontend")));
}

/// Scenario: CloudTrail, which knows no cluster, mints a session that EKS lets into a cluster.
/// Guarantees: the request to the API server has the lineage and the workload of the session.
#[test]
fn sessions_are_known_in_every_cluster() {
    let rows = [
        pod(1, "frontend", "frontend"),
        session(2, None, Some("uid-frontend")),
        used(9, Provider::Kubernetes, Some("shop")),
    ];
    let lineage = told(&rows, 9, Edge::Lineage).expect("a lineage");
    assert_eq!(
        (&lineage["minted_by"], &lineage["lineage_evidence"]),
        (&FRONTEND.into(), &"exact".into())
    );
    assert_eq!(workload(&rows, 9).map(|(name, _)| name).as_deref(), Some("web/frontend"));
}

/// Scenario: a ServiceAccount logs in to Vault with a certificate, and its token is used.
/// Guarantees: the use has the lineage: by whom, with what, until when; and the workload.
#[test]
fn a_token_of_vault_leads_to_its_login() {
    let login = Access {
        request_uri: Some("auth/kubernetes/login".into()),
        credential_id: Some(CredentialId::from("X509SERIAL=1")),
        issued_credential_id: Some(CredentialId::from("ACCESSOR=a")),
        response_object: Some(Json(r#"{"auth":{"token_ttl":60}}"#.into())),
        ..outside(2, Provider::Vault)
    };
    let used = Access {
        credential_id: Some(CredentialId::from("ACCESSOR=a")),
        ..outside(9, Provider::Vault)
    };
    let rows = [pod(1, "frontend", "frontend"), login, used];
    let lineage = told(&rows, 9, Edge::Lineage).expect("a lineage");
    assert_eq!(lineage["minted_by"], FRONTEND);
    assert_eq!(lineage["minted_by_credential_id"], "X509SERIAL=1");
    assert_eq!(lineage["credential_expires_time"], at(62).0);
    assert_eq!(workload(&rows, 9), Some(derived("web/frontend")));
}

/// Scenario: RBAC of a ServiceAccount changes before it assumes a role of a cloud.
/// Guarantees: the change is no cause of the cloud's decision, though the row names the cluster.
#[test]
fn bindings_decide_nothing_in_a_cloud() {
    let rows = [role(1), binding(2, "create", "frontend"), session(9, Some("prod"), None)];
    assert_eq!(told(&rows, 9, Edge::Change), None);
}

/// A call of IAM by alice, on what `object` names.
fn iam(second: i64, verb: &str, object: &str, body: &str) -> Access {
    Access {
        provider: Provider::Aws,
        cluster: None,
        source_event_id: None,
        account: Some("1".into()),
        api_group: Some("iam.amazonaws.com".into()),
        request_object: Some(Json(body.into())),
        ..request(second, "arn:aws:iam::1:user/alice", verb, "AWS::IAM::Role", object)
    }
}

/// Scenario: a managed policy of AWS is given to a role, gets another version, and the role is refused; also
/// told backwards, and from a checkpoint.
/// Guarantees: the refusal leads to the version; that of a policy which the role does not have is not blamed.
#[test]
fn a_version_of_a_managed_policy_concerns_who_has_it() {
    let arn = "arn:aws:iam::1:policy/reader";
    let attached = iam(
        1,
        "AttachRolePolicy",
        "web",
        r#"{"roleName":"web","policyArn":"arn:aws:iam::1:policy/reader"}"#,
    );
    let refused = denied(used(9, Provider::Aws, None));
    for (policy, verb) in
        [(arn, "CreatePolicyVersion"), ("arn:aws:iam::1:policy/other", "AttachRolePolicy")]
    {
        let version = iam(5, "CreatePolicyVersion", policy, "{}");
        let edge = told(&[attached.clone(), version, refused.clone()], 9, Edge::Change);
        let summary = edge.expect("an edge")["change_summary"].clone();
        assert!(summary.as_str().expect("a text").contains(verb), "{summary}");
    }
}

/// Scenario: a pod's session assumes a second role, and that a third, whose key is used.
/// Guarantees: the access leads to the pod that began, and its lineage is two mintings behind the first, whichever row
/// arrives first.
#[test]
fn roles_that_assume_roles_lead_to_the_pod() {
    let chained = |second, with: &str, issued: &str| Access {
        credential_id: Some(CredentialId::from(with)),
        credential_kind: Some(CredentialKind::CloudSession),
        issued_credential_id: Some(CredentialId::from(issued)),
        response_object: Some(Json(format!(r#"{{"credentials":{{"accessKeyId":"{issued}"}}}}"#))),
        ..used(second, Provider::Aws, None)
    };
    let rows = [
        pod(1, "web", "frontend"),
        session(2, Some("prod"), Some("uid-web")),
        chained(3, "ASIAEXAMPLE", "ASIASECOND"),
        chained(4, "ASIASECOND", "ASIATHIRD"),
        Access { credential_id: Some("ASIATHIRD".into()), ..used(5, Provider::Aws, None) },
    ];
    assert_eq!(workload(&rows, 5), Some(("web/web".to_owned(), "exact".to_owned())));
    let lineage = told(&rows, 5, Edge::Lineage).expect("a lineage");
    assert_eq!(lineage["lineage_depth"], 2);
}

/// Scenario: an agent of SPIRE gives a process an SVID, which is shown in the mesh; another's is shown, and
/// one before the agent gave it.
/// Guarantees: the access leads to the process, derived; the others to none.
#[test]
fn svids_lead_to_the_process_that_holds_them() {
    let (cart, report) =
        ("spiffe://shop.test/ns/shop/sa/cart", "spiffe://shop.test/ns/shop/sa/report");
    let spiffe = |second, holder: &str, provider| Access {
        provider,
        identity: Some(holder.into()),
        identity_kind: IdentityKind::Spiffe,
        namespace: Some("shop".into()),
        source_event_id: None,
        ..request(second, holder, "GET", "orders", "1")
    };
    let fetched = Access {
        verb: Some("FetchX509SVID".into()),
        extra: Some(Json(r#"{"pid":7}"#.into())),
        ..spiffe(2, cart, Provider::Spire)
    };
    let rows = [
        spiffe(1, cart, Provider::Envoy),
        fetched,
        spiffe(3, cart, Provider::Envoy),
        spiffe(4, report, Provider::Envoy),
    ];
    assert_eq!(workload(&rows, 3), Some(derived(cart)));
    assert_eq!((workload(&rows, 1), workload(&rows, 4)), (None, None));
}
