use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::record::{Loss, Turn};
use durward_schemas::time::{DAY, HOUR, MINUTE, SECOND};
use durward_schemas::values::{ChangeKind, Decision, EventRole, FindingState, IdentityKind};
use serde_json::{Value, json};

use super::*;
use crate::testing;

/// When the first row is recorded: long after what it tells of.
const RECORDED: i64 = 1_000 * DAY;

/// Rows at positions of their own, in the order in which they are given.
fn turns(rows: Vec<Access>) -> Vec<Turn> {
    let place = |(at, row): (usize, Access)| {
        let position = LogPosition::try_from(at).expect("a small number");
        let row = Access { log_position: position, ingest_time: Time(RECORDED + position), ..row };
        Turn {
            last_position: position,
            ingest_time: Time(RECORDED + position),
            accesses: vec![row],
            ..Turn::default()
        }
    };
    rows.into_iter().enumerate().map(place).collect()
}

fn detection() -> Detection {
    Detection::new(Settings::default()).expect("the built-in rules are right")
}

/// Everything that the turns gave rise to, in one judgement.
fn judge(detection: &mut Detection, turns: &[Turn]) -> Judgement {
    let mut all = Judgement::default();
    for turn in turns {
        let one = detection.observe(turn);
        all.findings.extend(one.findings);
        all.finding_events.extend(one.finding_events);
        all.incidents.extend(one.incidents);
        all.owed.extend(one.owed);
    }
    all
}

fn check(rows: Vec<Access>, expected_incidents: usize) -> Judgement {
    let judgement = judge(&mut detection(), &turns(rows));
    let mut opened: Vec<_> = judgement.incidents.iter().map(|i| i.incident_id.clone()).collect();
    opened.sort();
    opened.dedup();
    assert_eq!(opened.len(), expected_incidents, "{:#?}", judgement.incidents);
    judgement
}

fn event(user: &str, at: i64, more: Value) -> Access {
    let mut event = json!({
        "user": {"username": user},
        "sourceIPs": ["10.0.0.1"],
        "annotations": {"authorization.k8s.io/decision": "allow"},
        "responseStatus": {"code": 201},
        "at": at,
    });
    let (Value::Object(event), Value::Object(more)) = (&mut event, more) else { unreachable!() };
    event.extend(more);
    Access { time: Time(at), ..testing::row(&Value::Object(event.clone())) }
}

/// A pod's token used from an address.
fn token(at: i64, address: &str) -> Access {
    let extra = json!({
        "authentication.kubernetes.io/credential-id": ["JTI=1"],
        "authentication.kubernetes.io/pod-name": ["cart-1"],
        "authentication.kubernetes.io/pod-uid": ["uid-1"],
    });
    let user = "system:serviceaccount:shop:cart";
    let who = json!({"username": user, "extra": extra});
    let secret = json!({"resource": "secrets", "namespace": "shop", "name": "cart-redis"});
    let row = event(
        user,
        at,
        json!({
            "user": who, "verb": "get", "objectRef": secret, "sourceIPs": [address],
        }),
    );
    Access {
        decided_by: Some("RoleBinding/shop/cart".into()),
        decided_role: Some("Role/shop/cart".into()),
        decided_subject: Some("ServiceAccount shop/cart".into()),
        change_summary: Some("alice created RoleBinding shop/cart".into()),
        change_time: Some(Time(at - 6 * MINUTE)),
        change_id: Some("change-1".into()),
        ..row
    }
}

fn cluster_admin(user: &str, at: i64) -> Access {
    event(
        user,
        at,
        json!({
            "verb": "create",
            "objectRef": {"resource": "clusterrolebindings", "name": "x", "apiGroup": "rbac.authorization.k8s.io"},
            "requestObject": {"roleRef": {"name": "cluster-admin"}},
        }),
    )
}

fn list_secrets(user: &str, at: i64) -> Access {
    event(user, at, json!({"verb": "list", "objectRef": {"resource": "secrets"}}))
}

/// Scenario: a pod's token is used from its own address and then four times from another.
/// Guarantees: one finding and one incident in versions, with anchors and evidence apart, and an alert that is a whole argument.
#[test]
fn a_stolen_token_is_one_story() {
    let mut rows = vec![token(0, "10.0.0.1")];
    rows.extend((1..5).map(|at| token(at * SECOND, "198.51.100.7")));
    let first = rows.first().map(|row| row.event_id.clone()).expect("a row");
    let judgement = check(rows, 1);
    let findings: Vec<_> =
        judgement.findings.iter().filter(|f| f.detector == "two_addresses").collect();
    assert_eq!(findings.iter().map(|f| f.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(findings.iter().all(|f| f.state == FindingState::Alerted && f.incident_id.is_some()));
    let in_role = |role| {
        let all = judgement.finding_events.iter();
        let mine = all.filter(|e| e.role == role && e.finding_id == findings[0].finding_id);
        mine.map(|e| e.event_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(in_role(EventRole::Anchor).len(), 4);
    assert_eq!(in_role(EventRole::Evidence), [first]);
    let alert = judgement.owed.last().expect("something is owed");
    assert_eq!((alert.version, alert.event_count, alert.severity_id), (4, 5, 4));
    insta::assert_snapshot!(crate::alert::text::render(alert));
}

/// Scenario: one log cut into records of one row, of all rows, and saved and restored between each.
/// Guarantees: the same rows, whatever the cut (P1).
#[test]
fn cuts_change_nothing() {
    let mut rows: Vec<Access> = (0..30)
        .map(|at| token(at, if at % 3 == 0 { "10.0.0.1" } else { "198.51.100.7" }))
        .collect();
    rows.extend([cluster_admin("alice", 40), list_secrets("alice", 41), cluster_admin("bob", 42)]);
    let single = turns(rows);
    // The recording time is the record's; here it is one for all, as it is for one log.
    let at = Time(RECORDED);
    let single: Vec<Turn> = single
        .into_iter()
        .map(|turn| {
            let accesses =
                turn.accesses.into_iter().map(|row| Access { ingest_time: at, ..row }).collect();
            Turn { ingest_time: at, accesses, ..turn }
        })
        .collect();
    let whole = Turn {
        ingest_time: at,
        accesses: single.iter().flat_map(|turn| turn.accesses.clone()).collect(),
        ..single.last().cloned().expect("a turn")
    };
    let expected = judge(&mut detection(), &single);
    let tables =
        |j: &Judgement| (j.findings.clone(), j.finding_events.clone(), j.incidents.clone());
    let mut once = detection();
    assert_eq!(tables(&judge(&mut once, &[whole])), tables(&expected));
    let mut restored = detection();
    let mut all = Judgement::default();
    for turn in &single {
        let saved = restored.save();
        restored = Detection::restore(&saved).expect("it was just saved");
        let part = restored.observe(turn);
        all.findings.extend(part.findings);
        all.finding_events.extend(part.finding_events);
        all.incidents.extend(part.incidents);
    }
    assert_eq!(tables(&all), tables(&expected));
    assert_eq!(restored.save(), once.save());
}

/// Scenario: saved states that are cut, of another format, or empty.
/// Guarantees: an error, never a panic or half a state.
#[test]
fn broken_states_are_refused() {
    let mut full = detection();
    judge(&mut full, &turns(vec![cluster_admin("alice", 0)]));
    let saved = full.save();
    for cut in (0..saved.len()).step_by(97) {
        let part = saved.get(..cut).expect("a part");
        assert!(Detection::restore(part).is_err(), "{cut}");
    }
    assert!(Detection::restore(b"durward detection 9\n").is_err());
}

/// Scenario: the same identity within six hours and after more, and another one.
/// Guarantees: a story has one incident until a gap ends it.
#[test]
fn a_gap_ends_a_story() {
    check(vec![cluster_admin("alice", 0), cluster_admin("alice", 6 * HOUR)], 1);
    check(vec![cluster_admin("alice", 0), cluster_admin("alice", 6 * HOUR + 1)], 2);
    check(vec![cluster_admin("alice", 0), cluster_admin("bob", 1)], 2);
    let judgement = check(vec![cluster_admin("alice", 0), list_secrets("alice", 1)], 1);
    let joined = judgement.findings.iter().find(|f| f.rule_id.as_deref() == Some("secrets_listed"));
    assert_eq!(joined.map(|f| f.state), Some(FindingState::Grouped));
    let alone = check(vec![list_secrets("alice", 0)], 0);
    assert!(alone.findings.iter().any(|f| f.state == FindingState::BelowBudget));
}

/// Scenario: a day of learning, then a first listing of Secrets that a rule finds too, then the first
/// reading of one, by the same identity or by another.
/// Guarantees: two medium findings of different judges about different requests open one incident
/// within an hour; two about one request do not, nor do two of identities that share nothing.
#[test]
fn two_medium_findings_open_an_incident() {
    let pods =
        |user: &str| event(user, 0, json!({"verb": "list", "objectRef": {"resource": "pods"}}));
    let peers = (0..25).map(|n| pods(&format!("peer-{n}"))).chain([pods("alice"), pods("bob")]);
    let secret = json!({"resource": "secrets", "namespace": "shop", "name": "cart"});
    let read = |user: &str, at: i64| event(user, at, json!({"verb": "get", "objectRef": secret}));
    let listed = || list_secrets("alice", 25 * HOUR);
    let rows = |more: Vec<Access>| peers.clone().chain(more).collect::<Vec<_>>();
    check(rows(vec![listed()]), 0);
    let judgement = check(rows(vec![listed(), read("alice", 26 * HOUR)]), 1);
    let alerted = judgement.findings.iter().filter(|f| f.state == FindingState::Alerted);
    assert_eq!(alerted.count(), 2);
    check(rows(vec![listed(), read("alice", 26 * HOUR + 1)]), 0);
    check(rows(vec![listed(), read("bob", 25 * HOUR)]), 0);
}

/// Scenario: a `DaemonSet` that owns its nodes, made by carol, whose pods a controller creates; and a controller's pods for an owner that nobody saw made.
/// Guarantees: the pods are evidence of carol's finding, and never a story of the controller.
#[test]
fn what_controllers_create_is_their_makers_doing() {
    let spec = json!({
        "hostPID": true,
        "containers": [{"name": "a", "securityContext": {"privileged": true}}],
    });
    let made = event(
        "carol",
        0,
        json!({
            "verb": "create",
            "objectRef": {"resource": "daemonsets", "namespace": "shop", "name": "node-check", "apiGroup": "apps"},
            "requestObject": {"spec": {"template": {"spec": spec}}},
        }),
    );
    let controller = "system:serviceaccount:kube-system:daemon-set-controller";
    let pod = |owner: &str, at: i64| {
        event(
            controller,
            at,
            json!({
                "verb": "create",
                "objectRef": {"resource": "pods", "namespace": "shop"},
                "requestObject": {
                    "metadata": {"ownerReferences": [{"controller": true, "kind": "DaemonSet", "name": owner}]},
                    "spec": spec,
                },
            }),
        )
    };
    let change = Change {
        change_id: "change-1".into(),
        kind: ChangeKind::Workload,
        resource: "daemonsets".into(),
        namespace: Some("shop".into()),
        name: Some("node-check".into()),
        actor: "carol".into(),
        actor_kind: IdentityKind::User,
        event_id: Some(made.event_id.clone()),
        ..Change::default()
    };
    let mut turns = turns(vec![made, pod("node-check", 1), pod("node-check", 2), pod("older", 3)]);
    turns[0].changes.push(change);
    let judgement = judge(&mut detection(), &turns);
    let grave: Vec<_> = judgement
        .findings
        .iter()
        .filter(|f| f.rule_id.as_deref() == Some("pod_owns_node"))
        .collect();
    let carols: Vec<_> = grave.iter().filter(|f| f.identity.as_deref() == Some("carol")).collect();
    assert_eq!(carols.iter().map(|f| f.version).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(carols.iter().all(|f| f.finding_id == carols[0].finding_id));
    let nobodys: Vec<_> =
        grave.iter().filter(|f| f.identity.as_deref() == Some(controller)).collect();
    assert!(
        nobodys.iter().all(|f| f.severity_id == 1 && f.incident_id.is_none()) && nobodys.len() == 1
    );
    assert!(judgement.incidents.iter().all(|i| i.identity.as_deref() == Some("carol")));
}

/// Scenario: the minting of a token becomes known after its use, and is then taken back; a stage that comes later shows a failure.
/// Guarantees: amendments raise a finding to an incident, and withdraw it without a second one.
#[test]
fn amendments_raise_and_withdraw() {
    let used = Access { decision: Decision::Allow, ..token(0, "10.0.0.1") };
    let lineage = |minter: Option<&str>, position: i64| Amendment {
        request_key: used.request_key.clone(),
        edge: Edge::Lineage,
        values: minter.map(|minter| {
            Json(json!({"minted_by": minter, "credential_issued_time": 0}).to_string())
        }),
        log_position: position,
        ingest_time: Time(RECORDED + position),
        ..Amendment::default()
    };
    let mut turns = turns(vec![used.clone()]);
    let backup = "system:serviceaccount:ops:backup";
    for (position, minter) in [(1, Some("alice")), (2, Some(backup)), (3, None)] {
        let turn = Turn {
            last_position: position,
            ingest_time: Time(RECORDED + position),
            amendments: vec![lineage(minter, position)],
            ..Turn::default()
        };
        turns.push(turn);
    }
    let judgement = judge(&mut detection(), &turns);
    let said: Vec<_> = judgement
        .findings
        .iter()
        .filter(|f| f.detector == "minted_for_another")
        .map(|f| (f.version, f.severity_id, f.state))
        .collect();
    let expected = [
        (1, 2, FindingState::BelowBudget),
        (2, 4, FindingState::Alerted),
        (3, 1, FindingState::Withdrawn),
    ];
    assert_eq!(said, expected);
    assert_eq!(judgement.incidents.iter().map(|i| i.severity_id).collect::<Vec<_>>(), [4, 1]);
    assert!(judgement.owed.last().is_some_and(Alert::is_taken_back));
}

/// Scenario: a finding of many events, then a tick.
/// Guarantees: versions become rare, no event is lost, and the tick says the exact number.
#[test]
fn many_events_make_few_versions() {
    let mut rows = vec![token(0, "10.0.0.1")];
    rows.extend((1..200).map(|at| token(at, "198.51.100.7")));
    let mut turns = turns(rows);
    turns.push(Turn { last_position: 200, is_tick: true, ..Turn::default() });
    let judgement = judge(&mut detection(), &turns);
    let versions: Vec<_> =
        judgement.findings.iter().filter(|f| f.detector == "two_addresses").collect();
    assert!(versions.len() < 30, "{}", versions.len());
    assert_eq!(
        judgement.finding_events.iter().filter(|e| e.finding_id == versions[0].finding_id).count(),
        200
    );
    assert_eq!(judgement.incidents.last().map(|i| i.event_count), Some(200));
    assert_eq!(versions.last().and_then(|f| f.event_ids.as_ref()).map(Vec::len), Some(20));
}

/// Scenario: an exemption for one identity comes by the log; then a checkpoint.
/// Guarantees: its finding is a row that says so, and nobody is told; others are. It outlives the
/// checkpoint, and settings that cannot be read change nothing.
#[test]
fn the_exempt_are_rows_only() {
    let exemption = crate::Exemption {
        of: "rbac_cluster_admin_bound".into(),
        identity: Some("alice".into()),
        cluster: None,
        until: None,
        reason: "she sets up clusters".into(),
    };
    let settings = Settings { exemptions: vec![exemption], ..Settings::default() };
    let mut detection = detection();
    for logged in [settings.logged(), Json("{}".into())] {
        detection.observe(&Turn { settings: Some(logged), ..Turn::default() });
    }
    let mut detection = Detection::restore(&detection.save()).expect("it was just saved");
    let judgement =
        judge(&mut detection, &turns(vec![cluster_admin("alice", 0), cluster_admin("bob", 1)]));
    let states: Vec<_> = judgement
        .findings
        .iter()
        .filter(|f| f.rule_id.as_deref() == Some("rbac_cluster_admin_bound"))
        .map(|f| f.state)
        .collect();
    assert_eq!(states, [FindingState::Silenced, FindingState::Alerted]);
    assert_eq!(judgement.owed.len(), 1);
}

/// Scenario: backup mints a token of ledger, which mints a second and that a third for ledger itself; the last
/// is used. Then the same begun by ledger's own pod.
/// Guarantees: the last token leads to backup, however many steps are between; who mints for itself does nothing grave.
#[test]
fn the_root_minter_counts() {
    let ledger = "system:serviceaccount:payments:ledger";
    let minted = |id: &str, by: &str, with: &str| Credential {
        cluster: Some("prod".into()),
        credential_id: id.into(),
        issued_by: Some(by.into()),
        issued_by_credential_id: Some(with.into()),
        ..Credential::default()
    };
    let used = |first_minter: &str| {
        let row = event(ledger, 9, json!({"verb": "get", "objectRef": {"resource": "pods"}}));
        let row = Access {
            credential_id: Some("JTI=3".into()),
            minted_by: Some(ledger.into()),
            minted_by_credential_id: Some("JTI=2".into()),
            ..row
        };
        let mut turns = turns(vec![row]);
        let chain = [
            ("JTI=1", first_minter, "JTI=0"),
            ("JTI=2", ledger, "JTI=1"),
            ("JTI=3", ledger, "JTI=2"),
        ];
        let learned = chain.map(|(id, by, with)| minted(id, by, with)).to_vec();
        turns.insert(0, Turn { credentials: learned, ..Turn::default() });
        judge(&mut detection(), &turns)
    };
    let of = |judgement: &Judgement| {
        let found = judgement.findings.iter().find(|f| f.detector == "minted_for_another");
        found.map(|finding| (finding.severity_id, finding.reason.clone()))
    };
    let (severity_id, reason) = of(&used("system:serviceaccount:ops:backup")).expect("a finding");
    assert_eq!(severity_id, severity::HIGH);
    assert!(reason.contains("ServiceAccount ops/backup"), "{reason}");
    assert_eq!(of(&used(ledger)), None);
}

/// Scenario: the log says that a part of our own was lost for good, that another was mended, and the first again.
/// Guarantees: each is a finding about nobody and no event; what lasts opens one incident that people are owed.
#[test]
fn losses_are_findings() {
    let loss = |text: &str, is_lasting: bool| Turn {
        last_position: 7,
        loss: Some(Loss { part: "log".into(), text: text.into(), is_lasting }),
        ..Turn::default()
    };
    let mut detection = Detection::new(Settings::default()).expect("rules");
    let gone = detection.observe(&loss("positions 5 to 7 are lost", true));
    let mended = detection.observe(&loss("checkpoint 5 is passed over", false));
    let again = detection.observe(&loss("positions 5 to 7 are lost", true));
    let finding = gone.findings.first().expect("a finding");
    assert_eq!((finding.severity_id, finding.identity.as_ref()), (severity::HIGH, None));
    assert_eq!(finding.reason, "positions 5 to 7 are lost");
    assert!(gone.finding_events.is_empty() && gone.owed.len() == 1, "{gone:?}");
    let severities: Vec<i64> = mended.findings.iter().map(|finding| finding.severity_id).collect();
    assert_eq!((severities, mended.incidents.len()), (vec![severity::LOW], 0));
    assert!(
        again
            .incidents
            .iter()
            .all(|incident| incident.incident_id == gone.incidents[0].incident_id)
    );
}

/// Scenario: sixty privileged pods by one identity, then cluster-admin bound by it.
/// Guarantees: the alert that is owed then tells of the binding, among what happened and as a kind of its own, so that
/// it is told at once.
#[test]
fn padding_does_not_hide_what_comes_after() {
    let pod = |at: i64| {
        event(
            "mallory",
            at * SECOND,
            json!({
                "verb": "create",
                "objectRef": {"resource": "pods", "namespace": "shop", "name": format!("p{at}")},
                "requestObject": {"spec": {
                    "volumes": [{"name": "h", "hostPath": {"path": "/"}}],
                    "containers": [{"name": "c", "volumeMounts": [{"name": "h", "mountPath": "/h"}]}],
                }},
            }),
        )
    };
    let rows = (0..120).map(pod).chain([cluster_admin("mallory", 121 * SECOND)]);
    let judgement = check(rows.collect(), 1);
    let [.., before, last] = &judgement.owed[..] else { unreachable!("two alerts are owed") };
    assert_eq!((before.grave_sorts, last.grave_sorts), (1, 2));
    let told = last.story.what.iter().filter(|what| what.contains("clusterrolebindings"));
    assert_eq!(told.count(), 1, "{:?}", last.story.what);
}

/// Scenario: an identity binds cluster-admin every minute; one of the events says that it is of twenty hours later,
/// recorded with the others or long before that time.
/// Guarantees: where it is ahead of its recording, it is part of the story; where it may be true, it is a story of its
/// own, and those before it and after it are one.
#[test]
fn a_wrong_clock_splits_no_story() {
    let rows = |at: Option<i64>| {
        let row = move |minute: i64| {
            let ahead = if minute == 10 { 20 * HOUR } else { 0 };
            let row = cluster_admin("mallory", minute * MINUTE + ahead);
            (row, at.map(|at| Time(at + minute * MINUTE)))
        };
        (0..20).map(row)
    };
    let opened = |at: Option<i64>| {
        let (rows, recorded): (Vec<_>, Vec<_>) = rows(at).unzip();
        let mut turns = turns(rows);
        for (turn, at) in turns.iter_mut().zip(recorded) {
            if let Some(at) = at {
                turn.ingest_time = at;
                turn.accesses.iter_mut().for_each(|row| row.ingest_time = at);
            }
        }
        let incidents = judge(&mut detection(), &turns).incidents.into_iter();
        incidents.map(|it| it.incident_id).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((opened(Some(0)), opened(None)), (1, 2));
}

/// Scenario: an identity uses more tokens than are remembered.
/// Guarantees: that something was forgotten is told once a day, with whose it was; it opens nothing.
#[test]
fn what_is_forgotten_is_told() {
    let mut judge = detection();
    let (name, fill) =
        judge.fills().into_iter().find(|(name, _)| *name == "credential_addresses").unwrap();
    assert_eq!((name, fill.forgotten), ("credential_addresses", 0));
    let row = |at: i64| {
        let extra = json!({
            "authentication.kubernetes.io/credential-id": [format!("JTI={at}")],
            "authentication.kubernetes.io/pod-name": ["p"],
            "authentication.kubernetes.io/pod-uid": [format!("uid-{at}")],
        });
        let who = json!({"username": "mallory", "extra": extra});
        event("mallory", at, json!({"user": who, "verb": "get", "objectRef": {"resource": "x"}}))
    };
    let most = i64::try_from(fill.most).expect("few");
    let rows: Vec<Access> = (0..most + 3).map(row).collect();
    let all = self::judge(&mut judge, &turns(rows));
    let told: Vec<_> = all
        .findings
        .iter()
        .filter(|it| it.detector == "blindness" && it.reason.contains("credential addresses"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0]
            .reason
            .ends_with("the oldest of prod user mallory, of whom most are, were forgotten"),
        "{}",
        told[0].reason
    );
    assert_eq!(all.incidents, []);
}
