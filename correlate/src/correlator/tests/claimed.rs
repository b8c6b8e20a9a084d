//! Owners that are claimed: whoever creates a pod, or asks for the token of one, is not the workload.

use durward_schemas::values::ChangeKind;

use super::*;

const REPLICA_SETS: &str = "system:serviceaccount:kube-system:replicaset-controller";
const DEPLOYMENTS: &str = "system:serviceaccount:kube-system:deployment-controller";
const NODE: &str = "system:node:node-1";

fn owned(kind: &str, name: &str, uid: &str, owner: Option<(&str, &str)>) -> Json {
    let owner = owner.map(|(kind, name)| {
        format!(r#""ownerReferences":[{{"kind":"{kind}","name":"{name}","controller":true}}],"#)
    });
    let owner = owner.unwrap_or_default();
    Json(format!(
        r#"{{"kind":"{kind}","metadata":{{{owner}"name":"{name}","namespace":"web","uid":"{uid}"}},"spec":{{}}}}"#
    ))
}

fn pod(second: i64, by: &str, owner: Option<&str>) -> Access {
    let body = owned("Pod", "frontend-5d-abcde", "uid-1", owner.map(|name| ("ReplicaSet", name)));
    let made = request(second, by, "create", "pods", "frontend-5d-abcde");
    Access { response_object: Some(body), status_code: Some(201), ..made }
}

fn replica_set(second: i64, by: &str, verb: &str, owner: Option<&str>) -> Access {
    let body = owned("ReplicaSet", "frontend-5d", "uid-2", owner.map(|name| ("Deployment", name)));
    let made = request(second, by, verb, "replicasets", "frontend-5d");
    Access { response_object: Some(body), api_group: Some("apps".into()), ..made }
}

fn used(second: i64) -> Access {
    with_token(request(second, FRONTEND, "get", "configmaps", "settings"), "JTI=a")
}

fn minted(second: i64, by: &str) -> Access {
    mint(second, by, "X509SHA256=a", "JTI=a")
}

/// Kind, name and grade of the workload of the access at second 9.
fn workload(rows: &[Access]) -> (String, String, String) {
    let told = links::told(rows, 9, Edge::Workload).expect("a workload");
    let text = |column: &str| told[column].as_str().unwrap_or_default().to_owned();
    (text("workload_kind"), text("workload"), text("workload_evidence"))
}

fn check(rows: &[Access], kind: &str, name: &str, grade: &str) {
    assert_eq!(workload(rows), (kind.into(), name.into(), grade.into()), "{rows:#?}");
}

/// Scenario: a pod and its ReplicaSet are made by their controllers, by a person who claims the same owners, and
/// changed by people afterwards.
/// Guarantees: what a controller makes for its owner is exact, what somebody else writes is derived, and stays so
/// whatever is seen of it later; in any order of arrival.
#[test]
fn owners_are_the_word_of_who_writes_them() {
    let node = minted(5, NODE);
    let made = [
        replica_set(1, DEPLOYMENTS, "create", Some("frontend")),
        pod(2, REPLICA_SETS, Some("frontend-5d")),
        node.clone(),
        used(9),
    ];
    check(&made, "Deployment", "web/frontend", "exact");
    let scaled = [&made[..], &[replica_set(3, "alice", "update", Some("frontend"))]].concat();
    check(&scaled, "Deployment", "web/frontend", "exact");

    let by_hand = [pod(2, "mallory", Some("frontend-5d")), node.clone(), used(9)];
    check(&by_hand, "ReplicaSet", "web/frontend-5d", "derived");
    let set_by_hand = [
        replica_set(1, "mallory", "create", Some("frontend")),
        pod(2, REPLICA_SETS, Some("frontend-5d")),
        node.clone(),
        used(9),
    ];
    check(&set_by_hand, "Deployment", "web/frontend", "derived");
    // Nobody owns it: it is itself.
    let alone = [pod(2, "mallory", None), node, used(9)];
    check(&alone, "Pod", "web/frontend-5d-abcde", "exact");
}

/// Scenario: a controller's name with a token that somebody else minted, or by impersonation.
/// Guarantees: that is not the controller.
#[test]
fn controllers_are_not_those_who_borrow_their_name() {
    let borrowed = Access {
        identity: Some("mallory".into()),
        identity_kind: IdentityKind::User,
        impersonated_identity: Some(REPLICA_SETS.into()),
        ..pod(2, REPLICA_SETS, Some("frontend-5d"))
    };
    let node = minted(5, NODE);
    check(&[borrowed, node.clone(), used(9)], "ReplicaSet", "web/frontend-5d", "derived");
    let stolen = Access {
        credential_id: Some(CredentialId::from("JTI=stolen")),
        ..pod(2, REPLICA_SETS, Some("frontend-5d"))
    };
    let token = Access {
        object_namespace: Some("kube-system".into()),
        ..mint(1, "mallory", "X509SHA256=m", "JTI=stolen")
    };
    let rows = vec![token, stolen, node, used(9)];
    let told = edges(&play(&mut Correlator::default(), rows, &[1]));
    let told = told.get(&(format!("{:032x}", 9), "workload")).cloned().flatten();
    assert_eq!(told.expect("a workload")["workload_evidence"], "derived");
}

/// Scenario: the token of a pod is minted by its node, and by a person who asks for one that is bound to the pod.
/// Guarantees: who asked for it has it, so that it is the pod's workload is no more than derived.
#[test]
fn a_token_belongs_to_who_asked_for_it() {
    let made = pod(2, REPLICA_SETS, Some("frontend-5d"));
    check(&[made.clone(), minted(5, NODE), used(9)], "ReplicaSet", "web/frontend-5d", "exact");
    let by_hand = [made.clone(), minted(5, "mallory"), used(9)];
    check(&by_hand, "ReplicaSet", "web/frontend-5d", "derived");
    // Of a minting that nobody saw nothing is known to be wrong.
    check(&[made, used(9)], "ReplicaSet", "web/frontend-5d", "exact");
}

/// Scenario: a request by the token of a Secret that claims the id and the pod of a bound token, which its node minted.
/// Guarantees: it has no minting, and the workload of that pod is no more than derived.
#[test]
fn the_token_of_a_secret_is_not_a_pods() {
    let legacy = Access { credential_kind: Some(CredentialKind::LegacyToken), ..used(9) };
    let rows = [pod(2, REPLICA_SETS, Some("frontend-5d")), minted(5, NODE), legacy];
    check(&rows, "ReplicaSet", "web/frontend-5d", "derived");
    assert_eq!(links::told(&rows, 9, Edge::Lineage), None);
}

/// Who changed a workload, as the changes of `rows` tell.
fn changed(rows: &[Access]) -> Vec<String> {
    let whole = all(play(&mut Correlator::default(), rows.to_vec(), &[1]));
    let workloads =
        whole.changes.iter().filter(|change| change.kind == ChangeKind::Workload).cloned();
    workloads
        .map(|change| format!("{} {} {}", change.actor, change.action, change.resource))
        .collect()
}

/// A write of a Job with this owner.
fn job(second: i64, by: &str, verb: &str, owner: Option<(&str, &str)>, image: &str) -> Access {
    let Json(body) = owned("Job", "miner", "uid-3", owner);
    let spec = format!(r#""spec":{{"template":{{"spec":{{"image":"{image}"}}}}}}"#);
    let body = Json(body.replace(r#""spec":{}"#, &spec));
    let made = request(second, by, verb, "jobs", "miner");
    Access { response_object: Some(body), api_group: Some("batch".into()), ..made }
}

/// Scenario: a ReplicaSet and a Job with an owner, written by the controllers that make such objects for such owners, by
/// others, by one that borrows a controller's name, and changed and deleted by people and by controllers.
/// Guarantees: an owner reference hides only what its own controller made; what anybody else writes is a change by him.
#[test]
fn a_claimed_owner_hides_no_change() {
    let cronjobs = "system:serviceaccount:kube-system:cronjob-controller";
    let collector = "system:serviceaccount:kube-system:generic-garbage-collector";
    let set = |by: &str, verb: &str| replica_set(1, by, verb, Some("frontend"));
    let of = |kind: &'static str| Some((kind, "nightly"));
    assert_eq!(changed(&[set(DEPLOYMENTS, "create"), set(DEPLOYMENTS, "update")]), [""; 0]);
    assert_eq!(changed(&[set("mallory", "create")]), ["mallory create replicasets"]);
    assert_eq!(changed(&[set("mallory", "update")]), ["mallory update replicasets"]);
    assert_eq!(changed(&[set(NODE, "create")]), [format!("{NODE} create replicasets")]);
    assert_eq!(changed(&[set(cronjobs, "create")]), [format!("{cronjobs} create replicasets")]);
    let alone = replica_set(1, DEPLOYMENTS, "create", None);
    assert_eq!(changed(&[alone]), [format!("{DEPLOYMENTS} create replicasets")]);

    assert_eq!(changed(&[job(1, cronjobs, "create", of("CronJob"), "a")]), [""; 0]);
    let claimed = job(1, cronjobs, "create", of("Deployment"), "a");
    assert_eq!(changed(&[claimed]), [format!("{cronjobs} create jobs")]);
    let made = job(1, "mallory", "create", of("CronJob"), "a");
    let swapped = job(2, "eve", "update", of("CronJob"), "b");
    let kept = job(3, cronjobs, "update", of("CronJob"), "b");
    let gone = request(4, collector, "delete", "jobs", "miner");
    let gone = Access { api_group: Some("batch".into()), ..gone };
    let all = ["mallory create jobs", "eve update jobs"];
    assert_eq!(changed(&[made, swapped, kept, gone]), all);
}

/// Scenario: a controller's name with a token that somebody else minted, and by impersonation, at every level of audit.
/// Guarantees: what is written by it is a change; a controller's own write without its body is none.
#[test]
fn a_borrowed_name_hides_no_change() {
    let token = Access {
        object_namespace: Some("kube-system".into()),
        ..mint(1, "mallory", "X509SHA256=m", "JTI=stolen")
    };
    let with =
        |row: Access| Access { credential_id: Some(CredentialId::from("JTI=stolen")), ..row };
    let set = replica_set(2, DEPLOYMENTS, "create", Some("frontend"));
    let told = [format!("{DEPLOYMENTS} create replicasets")];
    assert_eq!(changed(&[token.clone(), with(set.clone())]), told);
    let unseen = Access { response_object: None, ..set.clone() };
    assert_eq!(changed(std::slice::from_ref(&unseen)), [""; 0]);
    assert_eq!(changed(&[token, with(unseen)]), told);
    let as_controller = Access {
        identity: Some("mallory".into()),
        identity_kind: IdentityKind::User,
        impersonated_identity: Some(DEPLOYMENTS.into()),
        ..set
    };
    assert_eq!(changed(&[as_controller]), ["mallory create replicasets"]);
}
