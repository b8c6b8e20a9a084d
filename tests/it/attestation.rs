//! What SPIRE's agents attest becomes workloads.

use serde_json::{Value, json};

use crate::program::Place;

/// Lines of an agent at level debug: a process in a pod is attested and gets an SVID, and so is one in no pod.
fn agent() -> String {
    let selectors = r#"[type:"k8s" value:"container-image:orders:2" type:"k8s" value:"node-name:node-b" type:"k8s" value:"ns:shop" type:"k8s" value:"pod-name:orders-7c9-x1" type:"k8s" value:"pod-owner:ReplicaSet:orders-7c9" type:"k8s" value:"pod-uid:0e8f" type:"k8s" value:"sa:orders"]"#;
    let text = |second: u32, message: &str, more: &str| {
        format!("time=\"2026-07-23T10:00:{second:02}Z\" level=debug msg=\"{message}\" {more}")
    };
    let fetched = "method=FetchX509SVID service=WorkloadAPI subsystem_name=endpoints registered=true count=1 ttl=3599.1";
    let quoted = selectors.replace('"', "\\\"");
    let attested = "PID attested to have selectors";
    [
        text(1, attested, &format!("pid=7012 selectors=\"{quoted}\" subsystem_name=workload_attestor")),
        text(2, "Fetched X.509 SVID", &format!("{fetched} pid=7012 spiffe_id=\"spiffe://shop.test/ns/shop/sa/orders\"")),
        text(3, attested, "pid=301 selectors=\"[type:\\\"unix\\\" value:\\\"uid:0\\\"]\" subsystem_name=workload_attestor"),
        text(4, "Fetched X.509 SVID", &format!("{fetched} pid=301 spiffe_id=\"spiffe://shop.test/backup\"")),
        text(5, "Fetched X.509 SVID", &format!("{fetched} pid=301 spiffe_id=\"spiffe://shop.test/backup\"")),
    ]
    .join("\n")
}

/// The pod's object, as it is listed: its ReplicaSet belongs to a Deployment.
fn listed() -> Value {
    let owner = |kind: &str, name: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": true}]);
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "orders-7c9", "namespace": "shop", "uid": "0d", "ownerReferences": owner("Deployment", "orders")}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "orders-7c9-x1", "namespace": "shop", "uid": "0e8f", "creationTimestamp": "2026-07-23T09:00:00Z",
            "ownerReferences": owner("ReplicaSet", "orders-7c9")}, "spec": {"serviceAccountName": "orders", "containers": [{"image": "orders:2"}]}},
    ]})
}

/// Scenario: an agent of SPIRE attests a process in a pod and one in none, a sidecar logs a request by the
/// pod's ServiceAccount, and the pod is listed at last, or at first.
/// Guarantees: the attested pod is a workload with its owner, node and image, to which the request leads; its
/// object then says what the owner belongs to; a process in no pod is one by number and SVID, told once; in
/// either order the latest rows are the same, and who got an SVID is an access.
#[test]
fn attested_processes_are_workloads() {
    let request = json!({
        "start_time": "2026-07-23T10:00:30.500Z", "method": "GET", "path": "/", "protocol": "HTTP/1.1", "response_code": 200,
        "response_code_details": "via_upstream", "response_flags": "-", "request_id": "r", "upstream_cluster": "inbound|8080||",
        "downstream_remote_address": "10.2.0.7:39660", "downstream_peer_uri_san": "spiffe://shop.test/ns/shop/sa/orders",
        "downstream_local_uri_san": "spiffe://shop.test/ns/shop/sa/stock",
    });
    let workload = |pod: &str, uid: Value, kind: &str, name: &str, since: &str| json!({"pod": pod, "pod_uid": uid, "workload_kind": kind, "workload": name, "since": since});
    let ask = "SELECT pod, pod_uid, workload_kind, workload, date_format(valid_from, '%H:%M:%S') AS since FROM workloads ORDER BY pod";
    for is_listed_first in [false, true] {
        let place = Place::new();
        let take = |name: &str, text: String| {
            std::fs::write(place.path(name), text).expect("a file");
            place.ingest_paths("shop", &[&place.path(name)]);
        };
        if is_listed_first {
            take("pods.json", listed().to_string());
        }
        take("agent.log", agent());
        take("access.jsonl", request.to_string());
        if !is_listed_first {
            let rows = place.query(ask);
            assert_eq!(
                rows[0],
                workload("orders-7c9-x1", "0e8f".into(), "ReplicaSet", "orders-7c9", "10:00:01")
            );
            let told = place.query("SELECT node, images, service_account, namespace FROM workloads WHERE pod_uid = '0e8f'");
            let expected = json!({"node": "node-b", "images": ["orders:2"], "service_account": "orders", "namespace": "shop"});
            assert_eq!(told, [expected]);
            take("pods.json", listed().to_string());
        }
        let rows = place.query(ask);
        let expected = [
            workload("orders-7c9-x1", "0e8f".into(), "Deployment", "orders", "09:00:00"),
            workload(
                "pid:301/backup",
                Value::Null,
                "Process",
                "spiffe://shop.test/backup",
                "10:00:04",
            ),
            workload(
                "pid:7012/ns/shop/sa/orders",
                Value::Null,
                "Process",
                "spiffe://shop.test/ns/shop/sa/orders",
                "10:00:02",
            ),
        ];
        assert_eq!(rows, expected, "listed first: {is_listed_first}");
        assert_eq!(place.count("workloads_versions WHERE workload_kind = 'Process'"), 2);
        let led = place.query("SELECT workload, workload_kind, workload_evidence FROM correlated_events WHERE format = 'envoy'");
        let expected = json!({"workload": "shop/orders", "workload_kind": "Deployment", "workload_evidence": "derived"});
        assert_eq!(led, [expected], "listed first: {is_listed_first}");
        let fetched = place.query("SELECT DISTINCT identity, verb, decision FROM correlated_events WHERE format = 'spire' ORDER BY identity");
        let fetch = |who: &str| json!({"identity": format!("spiffe://shop.test/{who}"), "verb": "FetchX509SVID", "decision": "allow"});
        assert_eq!(fetched, [fetch("backup"), fetch("ns/shop/sa/orders")]);
        assert_eq!(place.count("findings"), 0, "a quiet day");
    }
}
