//! Meshes and SPIRE: who was refused by which policy since which change, and what entries allow.

use serde_json::{Value, json};

use crate::program::Place;

/// A write of an authorization policy, as an API server logs it.
fn policy(second: u32, user: &str, verb: &str, name: &str, allowed: &str) -> String {
    let rules = json!([{"from": [{"source": {"principals": [allowed]}}]}]);
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete",
        "auditID": format!("11111111-2222-3333-4444-{second:012}"), "verb": verb,
        "requestURI": format!("/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies/{name}"),
        "user": {"username": user, "groups": ["ops", "system:authenticated"]}, "sourceIPs": ["10.0.0.9"],
        "objectRef": {"resource": "authorizationpolicies", "apiGroup": "security.istio.io", "apiVersion": "v1", "namespace": "shop", "name": name},
        "responseStatus": {"code": 200},
        "requestObject": {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": name, "namespace": "shop"}, "spec": {"rules": rules}},
        "requestReceivedTimestamp": format!("2026-07-23T10:00:{second:02}.000000Z"), "stageTimestamp": format!("2026-07-23T10:00:{second:02}.010000Z"),
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    })
    .to_string()
}

/// A request that a sidecar logs, as Istio's JSON format has it with the peers of our guide.
fn request(second: u32, from: &str, code: u32, details: &str) -> String {
    json!({
        "start_time": format!("2026-07-23T10:00:{second:02}.500Z"), "method": "GET", "path": "/api/orders/7", "protocol": "HTTP/1.1",
        "response_code": code, "response_code_details": details, "response_flags": "-", "request_id": format!("r-{second}"),
        "authority": "orders.shop.svc.cluster.local:8080", "upstream_cluster": "inbound|8080||", "duration": 3, "bytes_sent": 19, "bytes_received": 0,
        "downstream_remote_address": "10.2.0.7:39660", "downstream_peer_uri_san": format!("spiffe://shop.test/ns/{from}"),
        "downstream_local_uri_san": "spiffe://shop.test/ns/shop/sa/orders",
    })
    .to_string()
}

/// A row of `correlated_events`: decision, who or what decided, whose change it may be, and the sentence.
fn row(
    decision: &str,
    by: Option<&str>,
    actor: Option<&str>,
    evidence: Option<&str>,
    why: &str,
) -> Value {
    json!({"decision": decision, "decided_by": by, "change_actor": actor, "change_evidence": evidence, "decision_explained": why})
}

/// Scenario: policies of a mesh are written, requests are let in, refused since none allows them any
/// more, and refused by a policy; the audit log comes first, and then the access log does.
/// Guarantees: each refusal names its policy, who changed it and how that is known, in either order;
/// what is let in is not blamed on anybody; refusals alone are no incident.
#[test]
fn refusals_lead_to_the_policy_and_its_change() {
    let audit = [
        policy(10, "alice", "create", "orders-allow", "shop.test/ns/batch/sa/report"),
        policy(20, "bob", "update", "orders-allow", "shop.test/ns/web/sa/frontend"),
        policy(30, "carol", "create", "no-export", "*"),
    ];
    let accesses = [
        request(15, "batch/sa/report", 200, "via_upstream"),
        request(25, "batch/sa/report", 403, "rbac_access_denied_matched_policy[none]"),
        request(
            35,
            "web/sa/frontend",
            403,
            "rbac_access_denied_matched_policy[ns[shop]-policy[no-export]-rule[0]]",
        ),
    ];
    let named = "AuthorizationPolicy/shop/no-export";
    for is_audit_first in [true, false] {
        let place = Place::new();
        let [audit_log, access_log] = [place.path("audit.jsonl"), place.path("access.jsonl")];
        std::fs::write(&audit_log, audit.join("\n")).expect("a file");
        std::fs::write(&access_log, accesses.join("\n")).expect("a file");
        let mut files = [&audit_log, &access_log];
        if !is_audit_first {
            files.reverse();
        }
        for file in files {
            place.ingest_paths("shop", &[file]);
        }
        let rows = place.query(
            "SELECT decision, decided_by, change_actor, change_evidence, decision_explained FROM correlated_events \
             WHERE format = 'envoy' ORDER BY time",
        );
        let expected = [
            row("allow", None, None, None, "allowed; the source does not say by what"),
            row(
                "deny",
                None,
                Some("bob"),
                Some("derived"),
                "refused: rbac_access_denied_matched_policy[none], perhaps since bob changed AuthorizationPolicy shop/orders-allow: spec.rules[0].from[0].source.principals[0] from shop.test/ns/batch/sa/report to shop.test/ns/web/sa/frontend",
            ),
            row(
                "deny",
                Some(named),
                Some("carol"),
                Some("exact"),
                "refused by AuthorizationPolicy/shop/no-export, since carol created AuthorizationPolicy shop/no-export",
            ),
        ];
        assert_eq!(rows, expected, "audit first: {is_audit_first}");
        let refused = place.query(
            "SELECT identity, namespace, service_account, peer_identity, object_namespace, object_name, provider \
             FROM accesses WHERE decision = 'deny' ORDER BY time LIMIT 1",
        );
        let expected = json!({
            "identity": "spiffe://shop.test/ns/batch/sa/report", "namespace": "batch", "service_account": "report",
            "peer_identity": "spiffe://shop.test/ns/shop/sa/orders", "object_namespace": "shop", "object_name": "orders", "provider": "istio",
        });
        assert_eq!(refused, [expected]);
        let kinds = place.query("SELECT DISTINCT kind, provider FROM changes");
        assert_eq!(kinds, [json!({"kind": "mesh_policy", "provider": "kubernetes"})]);
        assert_eq!(place.count("incidents"), 0);
        let id = place.query(
            "SELECT event_id FROM accesses WHERE decision = 'deny' ORDER BY time DESC LIMIT 1",
        );
        let told = place.run(&["explain", id[0]["event_id"].as_str().expect("an id")]);
        assert!(told.out.contains("carol") && told.out.contains("no-export"), "{}", told.out);
    }
}

/// A line of a SPIRE server's log.
fn spire(second: u32, method: &str, rest: &Value) -> String {
    let mut line = json!({
        "level": "info", "msg": "API accessed", "type": "audit", "subsystem_name": "api", "service": "entry.v1.Entry", "method": method,
        "time": format!("2026-07-23T10:00:{second:02}Z"), "request_id": format!("00000000-0000-4000-8000-{second:012}"), "status": "success",
        "authorized_as": "local", "authorized_via": "transport", "caller_uid": 0, "caller_path": "/opt/spire/bin/spire-server",
    });
    let fields = line.as_object_mut().expect("an object");
    fields.extend(rest.as_object().expect("an object").clone());
    line.to_string()
}

/// Scenario: the life of an entry in SPIRE (created, its SVID signed, changed, deleted), then a workload
/// that asks the server for its entries, and at last an entry that may administer the server.
/// Guarantees: each write of an entry is a change with its actor; the SVID is a credential of its
/// identity; the refused workload is a finding, the administrator an incident, and nothing else is.
#[test]
fn entries_are_changes_and_administrators_are_incidents() {
    let place = Place::new();
    let etl = "spiffe://shop.test/ns/batch/sa/etl";
    let entry = |id: &str, admin: bool| json!({"spiffe_id": id, "parent_id": "spiffe://shop.test/node/node-a", "selectors": "k8s:ns:batch,k8s:sa:etl", "admin": admin, "downstream": false});
    let mut updated = entry(etl, false);
    updated["entry_id"] = "a85b34f4-711e-4e48-a476-57d6b15c303f".into();
    let signed = json!({"service": "svid.v1.SVID", "authorized_as": "agent", "caller_id": "spiffe://shop.test/spire/agent/x509pop/1",
        "spiffe_id": etl, "serial_num": "5906882690629929435719446232898529795", "expires_at": "2026-07-23T11:00:00Z"});
    let quiet = [
        spire(1, "BatchCreateEntry", &entry(etl, false)),
        spire(2, "BatchNewX509SVID", &signed),
        spire(3, "BatchUpdateEntry", &updated),
        spire(4, "BatchDeleteEntry", &json!({"entry_id": "a85b34f4-711e-4e48-a476-57d6b15c303f"})),
    ];
    let path = place.path("quiet.log");
    std::fs::write(&path, quiet.join("\n")).expect("a file");
    place.ingest_paths("shop", &[&path]);
    let changes = place.query("SELECT action, kind, actor, provider FROM changes ORDER BY time");
    let change = |action: &str| json!({"action": action, "kind": "spire_entry", "actor": "uid:0", "provider": "spire"});
    assert_eq!(changes, [change("create"), change("update"), change("delete")]);
    let svids = place.query("SELECT identity, credential_kind, issued_by FROM credentials WHERE issued_time IS NOT NULL");
    let expected = json!({"identity": etl, "credential_kind": "svid_x509", "issued_by": "spiffe://shop.test/spire/agent/x509pop/1"});
    assert_eq!(svids, [expected]);
    assert_eq!(place.count("findings"), 0, "a quiet day");

    let refused = json!({"level": "error", "msg": "Failed to authenticate caller", "subsystem_name": "api", "service": "entry.v1.Entry", "method": "ListEntries",
        "time": "2026-07-23T10:00:10Z", "request_id": "r", "caller_id": etl, "caller_addr": "10.2.0.7:1", "error": "rpc error: code = PermissionDenied desc = authorization denied for method /spire.api.server.entry.v1.Entry/ListEntries"});
    let admin = spire(20, "BatchCreateEntry", &entry("spiffe://shop.test/mallory", true));
    let path = place.path("loud.log");
    std::fs::write(&path, format!("{refused}\n{admin}\n")).expect("a file");
    place.ingest_paths("shop", &[&path]);
    let found = place
        .query("SELECT rule_id, incident_id IS NOT NULL AS told FROM findings ORDER BY rule_id");
    assert_eq!(
        found,
        [
            json!({"rule_id": "spire_administration_refused_to_workload", "told": false}),
            json!({"rule_id": "spire_entry_gives_administration", "told": true}),
        ]
    );
    assert_eq!(place.count("incidents"), 1);
}

/// Scenario: Hubble tells of a flow of a Deployment's pod, of which the cluster's own logs never told.
/// Guarantees: what Cilium says of the owner stays.
#[test]
fn what_cilium_says_of_an_owner_stays() {
    let end = |name: &str, pod: &str| {
        json!({"namespace": "shop", "pod_name": pod, "workloads": [{"name": name, "kind": "Deployment"}],
            "labels": [format!("k8s:io.cilium.k8s.policy.serviceaccount={name}"), "k8s:io.kubernetes.pod.namespace=shop"]})
    };
    let flow = json!({"flow": {"time": "2026-07-23T10:00:05Z", "uuid": "f-1", "verdict": "DROPPED", "drop_reason_desc": "POLICY_DENIED",
        "IP": {"source": "10.0.1.7", "destination": "10.0.2.8", "ipVersion": "IPv4"}, "l4": {"TCP": {"source_port": 40000, "destination_port": 8080}},
        "source": end("checkout", "checkout-1"), "destination": end("ledger", "ledger-1"), "Type": "L3_L4", "traffic_direction": "INGRESS",
        "is_reply": false}, "node_name": "n", "time": "2026-07-23T10:00:05Z"});
    let place = Place::new();
    let path = place.path("flows.json");
    std::fs::write(&path, flow.to_string()).expect("a file");
    place.ingest_paths("shop", &[&path]);
    assert_eq!(
        place.query("SELECT workload, workload_kind, workload_evidence FROM correlated_events"),
        [
            json!({"workload": "shop/checkout", "workload_kind": "Deployment", "workload_evidence": "derived"})
        ],
    );
}

/// Scenario: Istio's format without peers, a SPIRE server that logs no serial numbers, and an audit log whose
/// clock is an hour ahead.
/// Guarantees: doctor says of each source what it lacks and what follows, and nothing of the others.
#[test]
fn doctor_explains_each_source() {
    let place = Place::new();
    let take = |source: &str, format: &str, line: String| {
        let path = place.path(source);
        std::fs::write(&path, line).expect("a file");
        let ran = place.run(&[
            "ingest",
            "--cluster",
            "shop",
            "--source",
            source,
            "--format",
            format,
            path.to_str().expect("a path"),
        ]);
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    let mut request: Value =
        serde_json::from_str(&request(15, "batch/sa/report", 200, "via_upstream")).expect("JSON");
    let fields = request.as_object_mut().expect("an object");
    fields.remove("downstream_peer_uri_san");
    fields.remove("downstream_local_uri_san");
    take("sidecars", "envoy", request.to_string());
    let minted = json!({"service": "svid.v1.SVID", "spiffe_id": "spiffe://shop.test/x", "csr": "a3407248a19398dc7cd08cef9ebc208127f7127c83bc54400badff743ca382da", "expires_at": "2026-07-23T11:00:00Z"});
    take("spire-server", "spire", spire(2, "MintX509SVID", &minted));
    let hour_ahead = durward_schemas::Time(
        i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_micros())
            .expect("this century")
            + 3_600_000_000,
    );
    let mut event: Value =
        serde_json::from_str(&policy(10, "alice", "create", "orders-allow", "*")).expect("JSON");
    event["requestReceivedTimestamp"] = hour_ahead.to_string().into();
    event["stageTimestamp"] = hour_ahead.to_string().into();
    take("api-server", "kube-audit", event.to_string());
    let said = place.run(&["doctor"]).out;
    for expected in [
        "! sidecars (cluster shop): 1 accesses of the mesh, and none of them names its peer",
        "! spire-server (cluster shop): 1 SVIDs were minted, and the log says none of their serial numbers",
        "! api-server (cluster shop): 1 events are from after they were received",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(
        !said.contains("sidecars (cluster shop): 1 events")
            && !said.contains("GKE")
            && !said.contains("AWS"),
        "{said}"
    );
}

/// Scenario: a SPIRE server at level debug signs an SVID, a sidecar logs an access by a peer with that serial
/// number, and a pod that runs as the peer's ServiceAccount is listed; told in this order and backwards.
/// Guarantees: the access leads back to who had the SVID signed, exactly, and to the one workload that runs as
/// its ServiceAccount; the line of level debug is no request of its own.
#[test]
fn accesses_lead_back_to_the_svid() {
    let report = "spiffe://shop.test/ns/batch/sa/report";
    let call = json!({"service": "svid.v1.SVID", "authorized_as": "agent", "authorized_via": "datastore", "caller_id": "spiffe://shop.test/spire/agent/k8s_psat/shop/1",
        "entry_id": "014ad8d4-112e-43d6-bc77-ebb83bcd6070", "spiffe_id": report});
    let mut signed: Value =
        serde_json::from_str(&spire(2, "BatchNewX509SVID", &call)).expect("JSON");
    let audit = signed.to_string();
    let fields = signed.as_object_mut().expect("an object");
    for gone in ["type", "status", "caller_uid", "caller_path"] {
        fields.remove(gone);
    }
    fields.insert("msg".into(), "Signed X509 SVID".into());
    fields.insert("level".into(), "debug".into());
    fields.insert("serial_num".into(), "255".into());
    fields.insert("expiration".into(), "2026-07-23T11:00:00Z".into());
    let mut access: Value =
        serde_json::from_str(&request(15, "batch/sa/report", 200, "via_upstream")).expect("JSON");
    access["peer_serial"] = "ff".into();
    let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"report-0","namespace":"batch","uid":"8a7c1f7e-0000-4000-8000-000000000001",
        "creationTimestamp":"2026-07-23T09:00:00Z","ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"report","controller":true}]},
        "spec":{"serviceAccountName":"report"}}"#;
    let files = [
        ("signed.log", signed.to_string()),
        ("audit.log", audit),
        ("access.log", access.to_string()),
        ("pod.json", pod.to_owned()),
    ];
    for backwards in [false, true] {
        let place = Place::new();
        let mut files: Vec<_> = files.iter().collect();
        if backwards {
            files.reverse();
        }
        for (name, text) in files {
            let path = place.path(name);
            std::fs::write(&path, text).expect("a file");
            place.ingest_paths("shop", &[&path]);
        }
        let rows = place.query(
            "SELECT identity, minted_by, lineage_evidence, credential_expires_time, workload, workload_evidence \
             FROM correlated_events WHERE format = 'envoy'",
        );
        let expected = json!({
            "identity": report, "minted_by": "spiffe://shop.test/spire/agent/k8s_psat/shop/1", "lineage_evidence": "exact",
            "credential_expires_time": "2026-07-23T11:00:00.000000Z", "workload": "batch/report", "workload_evidence": "derived",
        });
        assert_eq!(rows, [expected], "backwards: {backwards}");
        assert_eq!(place.count("accesses WHERE judged AND provider = 'spire'"), 1);
    }
}
