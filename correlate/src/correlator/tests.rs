//! A small cluster told as rows: who minted what, who changed what, who was let in.

use std::collections::BTreeMap;

use durward_schemas::cell::Json;
use durward_schemas::ids::{CredentialId, RequestKey};
use durward_schemas::time::SECOND;
use durward_schemas::values::{CredentialKind, Decision, Evidence, IdentityKind, Outcome};
use proptest::prelude::*;

use super::*;

mod aggregation;
mod certificates;
mod claimed;
mod links;
mod refused;
mod traces;
mod unseen;

const START: i64 = 1_800_000_000 * SECOND;

fn at(second: i64) -> Time {
    Time(START + second * SECOND)
}

/// One request of `user` at `second`.
fn request(second: i64, user: &str, verb: &str, resource: &str, name: &str) -> Access {
    let parts: Vec<&str> = user.split(':').collect();
    let service_account = user.starts_with("system:serviceaccount:");
    let id = format!("{second:012x}{second:032x}");
    let group = if resource.starts_with("role") { "rbac.authorization.k8s.io" } else { "" };
    let uri = format!("/api/{resource}/{name}");
    Access {
        time: at(second),
        event_id: EventId(id),
        request_key: RequestKey(format!("{second:032x}")),
        cluster: Some("prod".into()),
        identity: Some(user.into()),
        identity_kind: if service_account {
            IdentityKind::ServiceAccount
        } else {
            IdentityKind::User
        },
        identity_realm: Some("prod".into()),
        namespace: service_account.then(|| parts[2].into()),
        service_account: service_account.then(|| parts[3].into()),
        verb: Some(verb.into()),
        api_group: Some(group.into()),
        resource: Some(resource.into()),
        object_namespace: Some("web".into()),
        object_name: Some(name.into()),
        decision: Decision::Allow,
        outcome: Outcome::Success,
        status_code: Some(200),
        stage: Some("ResponseComplete".into()),
        source: "test".into(),
        source_event_id: Some(format!("audit-{second}")),
        request_uri: Some(uri),
        duration_us: Some(1_000),
        ..Access::default()
    }
}

fn with_token(access: Access, token: &str) -> Access {
    Access {
        credential_id: Some(CredentialId::from(token)),
        credential_kind: Some(CredentialKind::BoundToken),
        pod: Some("frontend-5d-abcde".into()),
        pod_uid: Some("uid-1".into()),
        ..access
    }
}

fn mint(second: i64, by: &str, with: &str, token: &str) -> Access {
    let access = request(second, by, "create", "serviceaccounts", "frontend");
    Access {
        subresource: Some("token".into()),
        credential_id: Some(CredentialId::from(with)),
        issued_credential_id: Some(CredentialId::from(token)),
        ..access
    }
}

fn binding(second: i64, verb: &str, subject: &str) -> Access {
    let body = format!(
        r#"{{"kind":"RoleBinding","metadata":{{"name":"readers","namespace":"web"}},
        "subjects":[{{"kind":"ServiceAccount","name":"{subject}","namespace":"web"}}],
        "roleRef":{{"kind":"Role","name":"reader"}}}}"#
    );
    let body = (verb != "delete").then_some(Json(body));
    Access { request_object: body, ..request(second, "alice", verb, "rolebindings", "readers") }
}

fn role(second: i64) -> Access {
    let body = r#"{"kind":"Role","metadata":{"name":"reader","namespace":"web"},
        "rules":[{"verbs":["get"],"apiGroups":[""],"resources":["configmaps"]}]}"#;
    Access {
        request_object: Some(Json(body.into())),
        ..request(second, "alice", "create", "roles", "reader")
    }
}

fn made_pod(second: i64) -> Access {
    let body = r#"{"kind":"Pod","metadata":{"generateName":"frontend-5d-",
        "ownerReferences":[{"kind":"ReplicaSet","name":"frontend-5d","controller":true}]},"spec":{}}"#;
    let controller = "system:serviceaccount:kube-system:replicaset-controller";
    Access {
        object_name: None,
        request_object: Some(Json(body.into())),
        ..request(second, controller, "create", "pods", "")
    }
}

fn allowed(access: Access) -> Access {
    Access {
        decided_by: Some("RoleBinding/web/readers".into()),
        decided_role: Some("Role/web/reader".into()),
        ..access
    }
}

fn denied(access: Access) -> Access {
    Access { decision: Decision::Deny, outcome: Outcome::Failure, status_code: Some(403), ..access }
}

const FRONTEND: &str = "system:serviceaccount:web:frontend";

/// A day in ten requests.
pub(crate) fn story() -> Vec<Access> {
    let read =
        |second| with_token(request(second, FRONTEND, "get", "configmaps", "settings"), "JTI=b");
    vec![
        role(1),
        binding(2, "create", "frontend"),
        made_pod(3),
        mint(4, "system:node:node-1", "X509SHA256=a", "JTI=a"),
        mint(5, FRONTEND, "JTI=a", "JTI=b"),
        allowed(read(6)),
        binding(7, "delete", "frontend"),
        denied(read(8)),
        binding(9, "create", "frontend"),
        allowed(read(10)),
    ]
}

/// Takes rows as records of the given sizes; the last size repeats.
pub(crate) fn play(correlator: &mut Correlator, rows: Vec<Access>, cuts: &[usize]) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut position = 1;
    let mut rows = rows.into_iter().peekable();
    let mut cuts = cuts.iter().copied().chain(std::iter::repeat(cuts.last().copied().unwrap_or(1)));
    while rows.peek().is_some() {
        let size = cuts.next().unwrap_or(1).max(1);
        let mut content = Content::Accesses(rows.by_ref().take(size).collect());
        content.place(position, at(100));
        let record = Record { first_position: position, ingest_time: at(100), content };
        position += i64::try_from(record.content.positions()).expect("few");
        turns.push(correlator.turn(record, &Older::default()));
    }
    turns
}

/// Edges of each request after all amendments.
fn edges(turns: &[Turn]) -> BTreeMap<(String, &'static str), Option<serde_json::Value>> {
    let mut found = BTreeMap::new();
    for turn in turns {
        for row in &turn.accesses {
            for edge in EDGES {
                let columns = columns(edge, row).map(serde_json::Value::Object);
                found.insert((row.request_key.0.clone(), edge.as_str()), columns);
            }
        }
        for row in &turn.amendments {
            let values =
                row.values.as_ref().map(|json| serde_json::from_str(json.as_str()).expect("JSON"));
            found.insert((row.request_key.0.clone(), row.edge.as_str()), values);
        }
    }
    found
}

/// Everything that a run wrote, in order.
fn all(turns: Vec<Turn>) -> Turn {
    let mut whole = Turn::default();
    for turn in turns {
        whole.accesses.extend(turn.accesses);
        whole.amendments.extend(turn.amendments);
        whole.changes.extend(turn.changes);
        whole.credentials.extend(turn.credentials);
        whole.workloads.extend(turn.workloads);
        whole.grants.extend(turn.grants);
        whole.duplicates += turn.duplicates;
    }
    whole
}

/// Scenario: a binding is made, used, removed, missed and put back, by a token that a token minted.
/// Guarantees: every edge names the key that made it, with its grade.
#[test]
fn edges_tell_who_and_why() {
    let whole = all(play(&mut Correlator::default(), story(), &[1]));
    let [first, refused, last] = [5, 7, 9].map(|index| &whole.accesses[index]);
    assert_eq!(first.workload.as_deref(), Some("web/frontend-5d"));
    assert_eq!(first.workload_evidence, Some(Evidence::Derived));
    assert_eq!(first.minted_by.as_deref(), Some(FRONTEND));
    assert_eq!((first.lineage_depth, first.lineage_evidence), (Some(2), Some(Evidence::Exact)));
    assert_eq!(first.change_evidence, Some(Evidence::Exact));
    assert_eq!(
        refused.change_summary.as_deref(),
        Some(
            "alice deleted RoleBinding web/readers, which gave Role web/reader to ServiceAccount web/frontend"
        )
    );
    assert_eq!(refused.change_evidence, Some(Evidence::Exact));
    assert_eq!(last.change_time, Some(at(9)));
    assert_eq!(
        whole.changes.last().and_then(|change| change.flap_of.clone()),
        Some(whole.changes[2].change_id.0.clone())
    );
    let open: Vec<_> =
        whole.grants.iter().map(|grant| (grant.version, grant.valid_to.is_some())).collect();
    assert_eq!(open, [(1, false), (2, true), (1, false)]);
}

/// Scenario: the same request is told again, whole and by a later stage.
/// Guarantees: one access is judged once; the rest is a duplicate or an amendment of its outcome.
#[test]
fn one_request_is_judged_once() {
    let started = Some("ResponseStarted".to_owned());
    let first = Access { stage: started, ..request(1, "alice", "watch", "configmaps", "") };
    let later = Access {
        event_id: EventId("later".into()),
        stage: Some("ResponseComplete".into()),
        duration_us: Some(9),
        status_code: Some(500),
        outcome: Outcome::Failure,
        ..first.clone()
    };
    let whole = all(play(&mut Correlator::default(), vec![first.clone(), first, later], &[3]));
    assert_eq!(whole.accesses.iter().map(|row| row.judged).collect::<Vec<_>>(), [true, false]);
    assert_eq!(whole.duplicates, 1);
    assert_eq!(whole.amendments.iter().map(|row| row.edge).collect::<Vec<_>>(), [Edge::Outcome]);
}

/// Scenario: two requests with one audit id, microsecond, user, verb and URI, and different bodies, each told in one
/// stage by one door; then the same of a door that cuts, of another door, and of another stage.
/// Guarantees: the second is a request of its own, is judged and changes what it changes; what another door tells or what
/// was cut is no second request.
#[test]
fn a_request_hidden_behind_another_is_judged() {
    let first = binding(1, "create", "a");
    let hidden = Access {
        event_id: EventId("hidden".into()),
        request_key: first.request_key.clone(),
        ..binding(1, "create", "b")
    };
    let judged = |second: Access| {
        let whole = all(play(&mut Correlator::default(), vec![first.clone(), second], &[2]));
        let keys: BTreeSet<_> =
            whole.accesses.iter().map(|row| row.request_key.0.clone()).collect();
        let judged = whole.accesses.iter().filter(|row| row.judged).count();
        (judged, keys.len(), whole.changes.len())
    };
    assert_eq!(judged(hidden.clone()), (2, 2, 2));
    assert_eq!(judged(Access { truncated: true, ..hidden.clone() }), (1, 1, 1));
    assert_eq!(judged(Access { source: "other".into(), ..hidden.clone() }), (1, 1, 1));
    assert_eq!(judged(Access { stage: Some("Panic".into()), ..hidden }), (1, 1, 1));
}

/// Scenario: failed and dry-run writes.
/// Guarantees: they change nothing.
#[test]
fn failed_writes_change_nothing() {
    let dry = Access { dry_run: Some(true), ..binding(1, "create", "a") };
    let refused = denied(binding(2, "create", "a"));
    let conflict =
        Access { status_code: Some(409), outcome: Outcome::Failure, ..binding(3, "create", "a") };
    let whole = all(play(&mut Correlator::default(), vec![dry, refused, conflict], &[3]));
    assert_eq!((whole.changes, whole.grants), (vec![], vec![]));
}

/// Scenario: a checkpoint in the middle of the story, damaged and whole.
/// Guarantees: the whole one is the very same state; a damaged one is refused.
#[test]
fn checkpoints_are_the_state() {
    let mut correlator = Correlator::default();
    play(&mut correlator, story(), &[4]);
    let mut bytes = correlator.save();
    assert_eq!(Correlator::restore(Settings::default(), &bytes).expect("whole"), correlator);
    bytes[20] ^= 1;
    assert!(Correlator::restore(Settings::default(), &bytes).is_err());
    assert!(Correlator::restore(Settings::default(), &bytes[..10]).is_err());
}

proptest! {
    /// Scenario: the story cut into records of any sizes (P1).
    /// Guarantees: the same rows in every table, amendments included.
    #[test]
    fn cuts_do_not_matter(cuts in proptest::collection::vec(1_usize..6, 1..8)) {
        let one = all(play(&mut Correlator::default(), story(), &[100]));
        let many = all(play(&mut Correlator::default(), story(), &cuts));
        prop_assert_eq!(one, many);
    }

    /// Scenario: the story in any order of arrival within the lateness (P2).
    /// Guarantees: the same edges of every request once everything has arrived.
    #[test]
    fn arrival_does_not_matter(order in Just((0..story().len()).collect::<Vec<_>>()).prop_shuffle()) {
        let told = story();
        let shuffled: Vec<Access> = order.iter().map(|index| told[*index].clone()).collect();
        let in_order = edges(&play(&mut Correlator::default(), told, &[3]));
        let in_any = edges(&play(&mut Correlator::default(), shuffled, &[3]));
        prop_assert_eq!(in_order, in_any);
    }
}
