//! What was not seen takes nothing away, and a request that two servers tell is one.

use durward_schemas::tables::Object;

use super::*;

/// Roles and bindings of everything that `story` speaks of, listed at the start.
fn listed() -> Record {
    let object = |at: i64, kind: &str, name: &str, body: &str| Object {
        event_id: EventId(format!("{:044x}", 0xff00 + at)),
        cluster: Some("prod".into()),
        kind: kind.into(),
        namespace: (!kind.starts_with("Cluster")).then(|| "web".into()),
        name: name.into(),
        object: Json(body.into()),
        time: super::at(0),
        ..Object::default()
    };
    let role = r#"{"kind":"Role","metadata":{"name":"reader"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["configmaps"]}]}"#;
    let binding = r#"{"kind":"RoleBinding","metadata":{"name":"readers"},"subjects":[{"kind":"ServiceAccount","name":"frontend","namespace":"web"}],"roleRef":{"kind":"Role","name":"reader"}}"#;
    let other = r#"{"kind":"ClusterRole","metadata":{"name":"x"}}"#;
    let bound = r#"{"kind":"ClusterRoleBinding","metadata":{"name":"x"},"subjects":[],"roleRef":{"kind":"ClusterRole","name":"x"}}"#;
    let mut content = Content::Objects(vec![
        object(1, "Role", "reader", role),
        object(2, "RoleBinding", "readers", binding),
        object(3, "ClusterRole", "x", other),
        object(4, "ClusterRoleBinding", "x", bound),
    ]);
    content.place(-10, super::at(100));
    Record { first_position: -10, ingest_time: super::at(100), content }
}

fn read(second: i64) -> Access {
    request(second, FRONTEND, "get", "configmaps", "settings")
}

fn let_in(second: i64) -> Access {
    Access { decided_subject: Some("ServiceAccount/web/frontend".into()), ..allowed(read(second)) }
}

/// A write whose body the audit policy left out.
fn unseen(second: i64, verb: &str) -> Access {
    request(second, "argo", verb, "rolebindings", "readers")
}

fn deleted(second: i64) -> Access {
    request(second, "bob", "delete", "rolebindings", "readers")
}

fn namespace_deleted(second: i64) -> Access {
    request(second, "eve", "delete", "namespaces", "web")
}

/// What the last of `rows` says: the change blamed, its grade, and what replay comes to; the same
/// backwards, and no grant is closed by a write without a body.
fn last(rows: &[Access]) -> (Option<String>, Option<String>, Option<String>) {
    let ends = |rows: Vec<Access>, key: String| {
        let mut correlator = Correlator::default();
        correlator.turn(listed(), &Older::default());
        let turns = play(&mut correlator, rows, &[1]);
        let restored = Correlator::restore(Settings::default(), &correlator.save());
        assert_eq!(restored.expect("whole"), correlator, "a checkpoint holds all that is known");
        let found = edges(&turns);
        found.get(&(key, "change")).cloned().flatten().unwrap_or_default()
    };
    let key = rows.last().expect("a row").request_key.0.clone();
    let found = ends(rows.to_vec(), key.clone());
    assert_eq!(found, ends(rows.iter().rev().cloned().collect(), key), "backwards");
    let text = |name: &str| found.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    (text("change_actor"), text("change_evidence"), text("replayed_decision"))
}

fn some(texts: [&str; 3]) -> (Option<String>, Option<String>, Option<String>) {
    let [actor, evidence, replayed] = texts.map(|text| (!text.is_empty()).then(|| text.to_owned()));
    (actor, evidence, replayed)
}

/// Scenario: a binding is written without its body, used or not, deleted or not; then it is refused.
/// Guarantees: the write takes no blame; a use after it proves that it still gave; a deletion after that
/// is exact, and without the use only perhaps; a refusal that nothing explains contradicts the state.
#[test]
fn a_write_without_its_body_takes_nothing_away() {
    let refused = denied(read(9));
    for verb in ["update", "patch"] {
        let unseen = unseen(2, verb);
        let cases = [
            (vec![refused.clone()], ["", "", "allow"]),
            (vec![unseen.clone(), refused.clone()], ["", "", "unknown"]),
            (vec![unseen.clone(), let_in(4), refused.clone()], ["", "", "allow"]),
            (vec![unseen.clone(), deleted(6), refused.clone()], ["bob", "derived", "deny"]),
            (vec![unseen, let_in(4), deleted(6), refused.clone()], ["bob", "exact", "deny"]),
            (vec![deleted(6), refused.clone()], ["bob", "exact", "deny"]),
        ];
        for (rows, expected) in cases {
            assert_eq!(last(&rows), some(expected), "{verb}, {} rows", rows.len());
        }
    }
}

/// Scenario: the namespace of a binding is deleted, and what it let in is refused.
/// Guarantees: the deletion is the cause, and ends the grants.
#[test]
fn a_namespace_ends_what_is_in_it() {
    let rows = [namespace_deleted(3), denied(read(9))];
    assert_eq!(last(&rows), some(["eve", "exact", "deny"]));
    let mut correlator = Correlator::default();
    correlator.turn(listed(), &Older::default());
    let whole = all(play(&mut correlator, rows.to_vec(), &[1]));
    assert!(whole.grants.iter().all(|grant| grant.valid_to.is_some()) && !whole.grants.is_empty());
}

/// Scenario: writes without a body to a binding and to its role, and a selected deletion of bindings.
/// Guarantees: no grant is closed.
#[test]
fn no_grant_is_closed_by_what_was_not_seen() {
    let role = request(2, "argo", "update", "roles", "reader");
    let selected = Access {
        object_name: None,
        request_uri: Some("/apis/rolebindings?labelSelector=a%3Db".into()),
        ..request(3, "argo", "deletecollection", "rolebindings", "")
    };
    for row in [unseen(2, "update"), unseen(2, "patch"), role, selected] {
        let mut correlator = Correlator::default();
        correlator.turn(listed(), &Older::default());
        let whole = all(play(&mut correlator, vec![row.clone()], &[1]));
        assert_eq!(whole.grants, [], "{:?} {:?}", row.verb, row.resource);
        assert_eq!(last(&[row, denied(read(9))]), some(["", "", "unknown"]));
    }
}

/// Scenario: nothing was ever listed.
/// Guarantees: that no binding is known to grant it is no answer.
#[test]
fn what_was_never_listed_is_unknown() {
    let found = edges(&play(&mut Correlator::default(), vec![denied(read(9))], &[1]));
    let found = found[&(read(9).request_key.0, "change")].clone().expect("a replay");
    assert_eq!(found["replayed_decision"], "unknown");
}

/// What the API server tells of a request for an aggregated API, and what the server behind it tells.
fn told_twice() -> [Access; 2] {
    let outer = Access { source_ip: Some("10.42.0.8".into()), duration_us: Some(5_000), ..read(1) };
    let inner = Access {
        event_id: EventId("f".repeat(44)),
        request_key: RequestKey("f".repeat(32)),
        time: outer.time.plus(1_234),
        source_ip: Some("10.42.250.1".into()),
        forwarded_for: Some(vec!["10.42.0.8".into()]),
        ..outer.clone()
    };
    let inner = Access { duration_us: Some(1_800), ..inner };
    [outer, inner]
}

/// Keys of the rows that stand for a request, after amendments.
fn standing(rows: Vec<Access>) -> Vec<String> {
    let whole = all(play(&mut Correlator::default(), rows, &[1]));
    let copies: Vec<_> = whole.amendments.iter().filter(|row| row.edge == Edge::Request).collect();
    let stands =
        |row: &&Access| row.judged && copies.iter().all(|copy| copy.request_key != row.request_key);
    whole.accesses.iter().filter(stands).map(|row| row.request_key.0.clone()).collect()
}

/// Scenario: an API server and an aggregated one tell one request, in either order; and two requests
/// that share an audit id but differ in one of time, path, hops or answer.
/// Guarantees: the API server's row stands for the one request; each of two requests stands for itself.
#[test]
fn a_request_that_two_servers_tell_is_one() {
    let [outer, inner] = told_twice();
    let only = vec![outer.request_key.0.clone()];
    assert_eq!(standing(vec![outer.clone(), inner.clone()]), only);
    assert_eq!(standing(vec![inner.clone(), outer.clone()]), only);
    let later = Access { time: at(50), ..inner.clone() };
    let elsewhere = Access { request_uri: Some("/api/v1/secrets".into()), ..inner.clone() };
    let alone = Access { forwarded_for: None, ..inner.clone() };
    let another = Access { forwarded_for: Some(vec!["10.42.0.9".into()]), ..inner.clone() };
    let refused = Access { status_code: Some(403), ..inner };
    for other in [later, elsewhere, alone, another, refused] {
        assert_eq!(standing(vec![outer.clone(), other]).len(), 2);
    }
}

/// The change that a write made, after `before`.
fn change_of(before: &[Access], write: Access) -> Change {
    let mut rows = before.to_vec();
    rows.push(write);
    let turns = play(&mut Correlator::default(), rows, &[1]);
    turns.into_iter().flat_map(|turn| turn.changes).last().expect("a change")
}

/// Scenario: a binding and a role that are known are written without a body, with a part of one, and by a request
/// whose answer was a timeout.
/// Guarantees: the change says that its content was not logged, and gives and takes nothing that was not seen.
#[test]
fn what_was_not_seen_is_in_no_sentence() {
    let known = [role(1), binding(2, "create", "frontend")];
    let told = change_of(&known, unseen(3, "update"));
    assert_eq!(
        told.summary,
        "argo changed RoleBinding web/readers, whose content was not logged; before, it gave Role web/reader to ServiceAccount web/frontend"
    );
    assert_eq!((told.grants_added, told.grants_removed), (None, None));
    let told = change_of(&known, request(3, "argo", "update", "roles", "reader"));
    assert_eq!(told.summary, "argo changed Role web/reader, whose content was not logged");
    assert_eq!((told.grants_added, told.grants_removed), (None, None));
    let late =
        |access: Access| Access { outcome: Outcome::Failure, status_code: Some(504), ..access };
    let told = change_of(&known, late(deleted(3)));
    assert_eq!(
        told.summary,
        "bob may have deleted RoleBinding web/readers, whose content was not logged; before, it gave Role web/reader to ServiceAccount web/frontend"
    );
    assert_eq!(told.grants_removed, None);
}

/// Scenario: a binding was deleted by a request that timed out; then its use is refused, or let in.
/// Guarantees: whether it was deleted is unknown: the refusal is not explained by it for certain, and the use proves
/// that it stood.
#[test]
fn a_timeout_may_have_done_it() {
    let late = Access { outcome: Outcome::Failure, status_code: Some(504), ..deleted(5) };
    let refused = last(&[late.clone(), denied(read(9))]);
    assert_eq!((refused.1, refused.2.as_deref()), (None, Some("unknown")));
    let still = last(&[late, let_in(7), denied(read(9))]);
    assert_eq!(still.2.as_deref(), Some("allow"));
}

/// Scenario: somebody acts as another, and makes objects by `generateName` of which the answer is not logged, or with
/// bytes in the place of a patch.
/// Guarantees: the change says as whom, what the object gives, and that there was a change.
#[test]
fn changes_say_what_is_known_of_them() {
    let as_bob = |access: Access| Access { impersonated_identity: Some("bob".into()), ..access };
    let told = change_of(&[role(1)], as_bob(binding(2, "create", "frontend")));
    assert_eq!(
        told.summary,
        "alice as bob created RoleBinding web/readers, which gives Role web/reader to ServiceAccount web/frontend"
    );
    let named = binding(2, "create", "frontend").request_object.expect("a body").0;
    let body = named.replace(r#""name":"readers""#, r#""generateName":"readers-""#);
    let generated = Access {
        object_name: None,
        request_object: Some(Json(body)),
        ..binding(2, "create", "frontend")
    };
    let told = change_of(&[role(1)], generated);
    assert_eq!(
        (told.summary.as_str(), told.name, told.grants_added),
        (
            "alice created RoleBinding web/readers-*, which gives Role web/reader to ServiceAccount web/frontend",
            None,
            Some(vec!["get configmaps".to_owned()])
        )
    );
    for body in [r#"{"Raw":"c3ViamVjdHM="}"#, r#""subjects: []""#] {
        let patch = Access {
            request_object: Some(Json(body.into())),
            ..request(3, "alice", "patch", "rolebindings", "readers")
        };
        let told = change_of(&[role(1), binding(2, "create", "frontend")], patch);
        assert!(told.summary.contains("whose content was not logged"), "{}", told.summary);
    }
}

/// Scenario: somebody who may read configmaps is refused to act as another one when he reads them.
/// Guarantees: the policy that lets him read says nothing of acting as another: no contradiction.
#[test]
fn a_refused_impersonation_is_no_refused_request() {
    let refused = Access {
        decided_by: Some("impersonation".into()),
        impersonated_identity: Some("carol".into()),
        ..denied(read(9))
    };
    let told = last(&[let_in(7), refused]);
    assert_eq!((told.0, told.2.as_deref()), (None, Some("deny")));
}
