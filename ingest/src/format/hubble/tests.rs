use std::collections::BTreeSet;

use durward_schemas::values::IdentityKind;
use serde_json::json;

use super::super::{Format, Reading, read};
use super::*;
use crate::lab;
use crate::lab::with_context;

fn reading(input: &str) -> Reading {
    with_context(|context| read(Format::Hubble, input.as_bytes(), context))
}

fn access(flow: &Value) -> Access {
    let reading = reading(&json!({"flow": flow, "node_name": "n"}).to_string());
    assert_eq!((reading.items(), reading.accesses.len()), (1, 1), "{flow}");
    reading.accesses.into_iter().next().unwrap()
}

fn end(namespace: &str, account: &str) -> Value {
    json!({"ID": 7, "identity": 4711, "namespace": namespace, "pod_name": format!("{account}-0"), "labels": [
        format!("k8s:io.cilium.k8s.policy.serviceaccount={account}"),
        format!("k8s:io.kubernetes.pod.namespace={namespace}")]})
}

/// A flow of `web/frontend` to `shop/orders` that says more.
fn flow(more: Value) -> Value {
    let mut flow = json!({"time": "2026-11-23T17:41:37.697Z", "verdict": "FORWARDED", "Type": "L3_L4",
        "IP": {"source": "10.0.0.7", "destination": "10.0.0.9", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 8080}}, "is_reply": false,
        "source": end("web", "frontend"), "destination": end("shop", "orders"), "traffic_direction": "EGRESS"});
    let Value::Object(more) = more else { panic!("not an object") };
    flow.as_object_mut().unwrap().extend(more);
    flow
}

/// Scenario: the sample files of Cilium.
/// Guarantees: as many rows as flows, no reject, no two alike; each speaks of its client, and those of
/// one connection of the same one.
#[test]
fn samples_are_accounted_for() {
    let Some(files) = lab::shared_files("hubble_flows", ".json") else { return };
    for (name, bytes) in &files {
        assert_eq!(Format::detect(bytes), Some(Format::Hubble), "{name}");
        let reading = with_context(|context| read(Format::Hubble, bytes, context));
        let found = (reading.accesses.len(), reading.items());
        assert_eq!(found, (lab::lines(bytes), lab::lines(bytes)), "{name}");
        let ids: BTreeSet<_> = reading.accesses.iter().map(|access| &access.event_id).collect();
        assert_eq!(ids.len(), found.0, "{name}");
        let is_known = |access: &&Access| access.identity.is_some();
        assert_eq!(reading.accesses.iter().filter(is_known).count(), found.0, "{name}");
        let clients: BTreeSet<_> =
            reading.accesses.iter().map(|a| (&a.request_key, &a.identity, &a.source_ip)).collect();
        let keys: BTreeSet<_> = reading.accesses.iter().map(|a| &a.request_key).collect();
        assert_eq!(clients.len(), keys.len(), "{name}");
    }
}

/// Scenario: one flow of each layer of Cilium's samples, and refusals as newer versions write them.
/// Guarantees: every column reads as the snapshot says.
#[test]
fn notable_flows_read_as_written() {
    let Some(files) = lab::shared_files("hubble_flows", ".json") else { return };
    let mut kinds = std::collections::BTreeMap::new();
    for (_, bytes) in &files {
        for access in with_context(|context| read(Format::Hubble, bytes, context)).accesses {
            let kind =
                (access.stage.clone(), access.class_uid, access.status_code, access.decision);
            kinds.entry(kind).or_insert(access);
        }
    }
    let denied = flow(json!({
        "uuid": "u-1", "verdict": "DROPPED", "drop_reason": 181, "drop_reason_desc": "POLICY_DENY",
        "traffic_direction": "INGRESS", "trace_observation_point": "TO_ENDPOINT", "auth_type": "DISABLED",
        "ingress_denied_by": [{"name": "no-web", "namespace": "shop", "kind": "CiliumNetworkPolicy", "revision": "3"}],
        "destination_service": {"name": "orders", "namespace": "shop"},
    }));
    let mut told = lab::told(&kinds.into_values().collect::<Vec<_>>());
    told.push('\n');
    told.push_str(&lab::told(&[access(&denied)]));
    insta::assert_snapshot!(told);
}

/// Scenario: verdicts with and without reasons and policies.
/// Guarantees: what a policy refused is a denial by that policy; what was lost for other reasons is a
/// failure and no decision.
#[test]
fn verdicts_are_decisions() {
    let check = |more: Value, decision: Decision, by: Option<&str>, outcome: Outcome| {
        let access = access(&flow(more.clone()));
        let found = (access.decision, access.decided_by.as_deref(), access.outcome);
        assert_eq!(found, (decision, by, outcome), "{more}");
    };
    let (deny, failure, success) = (Decision::Deny, Outcome::Failure, Outcome::Success);
    check(json!({}), Decision::Allow, None, success);
    check(json!({"verdict": "REDIRECTED"}), Decision::Allow, None, success);
    check(
        json!({"egress_allowed_by": [{"name": "out", "namespace": "web", "kind": "NetworkPolicy"}]}),
        Decision::Allow,
        Some("NetworkPolicy/web/out"),
        success,
    );
    let dropped = |reason: &str| json!({"verdict": "DROPPED", "drop_reason_desc": reason});
    check(dropped("POLICY_DENIED"), deny, None, failure);
    check(dropped("AUTH_REQUIRED"), deny, Some("authentication"), failure);
    check(dropped("INVALID_SOURCE_IP"), deny, None, failure);
    check(dropped("DENIED_BY_LB_SRC_RANGE_CHECK"), deny, None, failure);
    check(dropped("UNENCRYPTED_TRAFFIC"), deny, None, failure);
    check(dropped("STALE_OR_UNROUTABLE_IP"), Decision::Unknown, None, failure);
    check(json!({"verdict": "DROPPED", "drop_reason": 133}), deny, None, failure);
    check(json!({"verdict": "DROPPED", "drop_reason": 181}), deny, None, failure);
    check(json!({"verdict": "DROPPED", "drop_reason": 151}), Decision::Unknown, None, failure);
    check(json!({"verdict": 2, "drop_reason_desc": 189}), deny, Some("authentication"), failure);
    check(json!({"verdict": "FORWARDED", "drop_reason": 0}), Decision::Allow, None, success);
    let event =
        |sub: u32| json!({"verdict": "DROPPED", "event_type": {"type": 1, "sub_type": sub}});
    check(event(133), deny, None, failure);
    check(event(151), Decision::Unknown, None, failure);
    check(json!({"verdict": "DROPPED"}), Decision::Unknown, None, failure);
    check(
        json!({"verdict": "DROPPED", "l7": {"type": "REQUEST", "http": {"code": 403}}}),
        deny,
        None,
        failure,
    );
    check(
        json!({"verdict": "AUDIT", "ingress_denied_by": [{"name": "all", "labels": ["k8s:io.cilium.k8s.policy.derived-from=CiliumClusterwideNetworkPolicy"]}]}),
        Decision::Allow,
        Some("CiliumClusterwideNetworkPolicy/all"),
        success,
    );
    check(json!({"verdict": "DROPPED", "drop_reason_desc": 999}), Decision::Unknown, None, failure);
    check(json!({"verdict": "ERROR"}), Decision::Error, None, failure);
    check(json!({"verdict": "VERDICT_UNKNOWN"}), Decision::Unknown, None, success);
}

/// Scenario: a request and its answer, seen from both sides of the proxy.
/// Guarantees: both speak of the client and are stages of one request; the answer brings its code.
#[test]
fn answers_belong_to_requests() {
    let headers = json!([{"key": "X-Request-Id", "value": "7"}, {"key": "traceparent",
        "value": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, {"key": "User-Agent", "value": "curl"},
        {"key": "Authorization", "value": "Basic czNjcjN0"}]);
    let http =
        json!({"method": "GET", "url": "http://orders.shop/a?token=s3cr3t", "headers": headers});
    let request = access(&flow(
        json!({"l7": {"type": "REQUEST", "http": http}, "Summary": "HTTP/1.1 GET http://orders.shop/a?token=s3cr3t"}),
    ));
    let mut http = http;
    http["code"] = json!(503);
    let answer =
        access(&flow(json!({"l7": {"type": "RESPONSE", "http": http, "latency_ns": "1678100"},
        "is_reply": true, "source": end("shop", "orders"), "destination": end("web", "frontend"),
        "IP": {"source": "10.0.0.9", "destination": "10.0.0.7"}, "time": "2026-11-23T17:41:37.699Z",
        "l4": {"TCP": {"source_port": 8080, "destination_port": 40000}}})));
    for access in [&request, &answer] {
        assert_eq!(access.identity.as_deref(), Some("system:serviceaccount:web:frontend"));
        assert_eq!(access.identity_kind, IdentityKind::ServiceAccount);
        assert_eq!(access.peer_identity.as_deref(), Some("system:serviceaccount:shop:orders"));
        assert_eq!(access.source_ip.as_deref(), Some("10.0.0.7"));
        assert_eq!(access.claimed_trace_id.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert!(
            !format!("{access:?}").contains("s3cr3t") && !format!("{access:?}").contains("czNj")
        );
    }
    assert_eq!(request.request_key, answer.request_key);
    assert_eq!((answer.status_code, answer.outcome), (Some(503), Outcome::Failure));
    assert_eq!(answer.duration_us, Some(1678));
    let later =
        access(&flow(json!({"l7": {"type": "REQUEST", "http": {"method": "GET", "url": "/a"}}})));
    let again =
        access(&flow(json!({"l7": {"type": "REQUEST", "http": {"method": "GET", "url": "/a"}},
        "time": "2026-11-23T17:41:37.698Z"})));
    assert_ne!(later.request_key, again.request_key);
}

/// Scenario: flows that are bare, lost events, messages of agents, and other things.
/// Guarantees: a flow is a row in either form under its own columns; the others are log rows or rejects.
#[test]
fn other_events_are_logs_or_rejects() {
    let bare = reading(&flow(json!({})).to_string());
    assert_eq!(bare.accesses[0].identity.as_deref(), Some("system:serviceaccount:web:frontend"));
    let lost = r#"{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"42"},"node_name":"n","time":"2026-11-23T17:41:37Z"}"#;
    let log = &reading(lost).logs[0];
    assert_eq!((log.severity_number, log.body.as_deref()), (Some(13), Some("lost_events")));
    assert!(log.attributes.as_str().contains("42"));
    assert_eq!(reading(r#"{"agent_event":{"type":"POLICY_UPDATED"}}"#).logs.len(), 1);
    let good = json!({"flow": flow(json!({}))});
    for bad in [
        "{}",
        "7",
        "nope",
        r#"{"flow":7}"#,
        r#"{"flow":{"source":7}}"#,
        r#"{"flow":{"verdict":[7]}}"#,
    ] {
        let reading = reading(&format!("{good}\n{bad}\n{good}"));
        assert_eq!((reading.accesses.len(), reading.rejects.len()), (2, 1), "{bad}");
    }
}

/// Scenario: a flow as the first versions of Hubble wrote it, and as today's do.
/// Guarantees: the same columns of both.
#[test]
fn first_versions_are_read() {
    let old = json!({"time": {"seconds": 1_795_455_697, "nanos": 697_000_000}, "verdict": 2, "drop_reason": 133,
        "IP": {"source": "10.0.0.7", "destination": "10.0.0.9", "ipVersion": 1}, "Type": 2, "reply": false,
        "l4": {"Protocol": {"TCP": {"source_port": 40000, "destination_port": 8080}}}, "traffic_direction": 2,
        "source": end("web", "frontend"), "destination": end("shop", "orders"),
        "l7": {"type": 1, "Record": {"Http": {"method": "GET", "url": "/a"}}}});
    let new = flow(json!({"verdict": "DROPPED", "drop_reason_desc": "POLICY_DENIED", "Type": "L7",
        "l7": {"type": "REQUEST", "http": {"method": "GET", "url": "/a"}}}));
    let old = reading(&old.to_string());
    assert_eq!((old.accesses.len(), old.items()), (1, 1));
    let (old, new) = (&old.accesses[0], access(&new));
    assert_eq!(old.time, new.time);
    assert_eq!((old.decision, &old.decision_reason), (Decision::Deny, &new.decision_reason));
    assert_eq!((&old.identity, &old.source_ip), (&new.identity, &new.source_ip));
    assert_eq!(
        (&old.verb, &old.request_uri, &old.stage),
        (&new.verb, &new.request_uri, &new.stage)
    );
    assert_eq!(old.request_key, new.request_key);
}

/// Scenario: flows whose policy asks for SPIRE, forwarded and refused for want of it.
/// Guarantees: only who was let through has shown an SVID.
#[test]
fn refused_ends_have_proven_nothing() {
    let kind = |more: Value| access(&flow(more)).credential_kind;
    let svid = Some(CredentialKind::SvidX509);
    assert_eq!(kind(json!({"auth_type": "SPIRE"})), svid);
    assert_eq!(kind(json!({"auth_type": 1})), svid);
    let refused =
        json!({"auth_type": "SPIRE", "verdict": "DROPPED", "drop_reason_desc": "AUTH_REQUIRED"});
    assert_eq!(kind(refused), None);
    assert_eq!(kind(json!({"auth_type": "SPIRE", "verdict": "DROPPED", "drop_reason": 189})), None);
    assert_eq!(kind(json!({"auth_type": "DISABLED"})), None);
}

/// Scenario: requests to Kafka, and flows in a wrapper that say nearly nothing.
/// Guarantees: the kind of a request is no secret, though it is called a key, unless it looks like
/// one; every flow is a row.
#[test]
fn kafka_and_sparse_flows() {
    let verb = |api_key: &str| {
        access(&flow(
            json!({"l7": {"type": "REQUEST", "kafka": {"api_key": api_key, "topic": "t"}}}),
        ))
        .verb
    };
    assert_eq!(verb("produce").as_deref(), Some("produce"));
    assert!(verb("s3cr3ts3cr3ts3cr3t").is_some_and(|verb| !verb.contains("s3cr3t")));
    for sparse in
        [json!({"source": {"identity": 100}}), json!({"Type": "SOCK"}), json!({"uuid": "u"})]
    {
        assert_eq!(access(&sparse).decision, Decision::Unknown, "{sparse}");
    }
}

/// Scenario: a flow as Splunk and Loki keep it and behind a prefix, and a flow told in words.
/// Guarantees: the same row; what is no JSON is a reject that says how to get it.
#[test]
fn carried_flows_are_read() {
    let flow = flow(json!({}));
    let expect = reading(&flow.to_string()).accesses;
    for line in [
        json!({"event": flow, "sourcetype": "x"}).to_string(),
        json!({"line": flow.to_string(), "timestamp": "x"}).to_string(),
    ] {
        assert_eq!(Format::detect(line.as_bytes()), Some(Format::Hubble), "{line}");
        assert_eq!(reading(&line).accesses, expect, "{line}");
    }
    let wrapped = json!({"flow": flow}).to_string();
    let behind = format!("2026-11-23T17:41:38Z {wrapped}");
    assert_eq!(Format::detect(behind.as_bytes()), Some(Format::Hubble));
    assert_eq!(reading(&behind).accesses, reading(&wrapped).accesses);
    let words =
        "Nov 23 17:41:37.697: web/a:40000 -> shop/b:8080 Policy denied DROPPED (TCP Flags: SYN)";
    let rejects = reading(words).rejects;
    assert!(rejects[0].hint.as_deref().is_some_and(|hint| hint.contains("-o json")));
}

/// Scenario: ends with labels of Cilium's own, of which one is the API server's.
/// Guarantees: the API server's goes first, as in Cilium's metrics; else the first.
#[test]
fn api_servers_are_told_first() {
    let who = |labels: Value| {
        let row = access(&flow(json!({"source": {"identity": 1, "labels": labels}})));
        row.identity.unwrap()
    };
    assert_eq!(who(json!(["reserved:host", "reserved:kube-apiserver"])), "reserved:kube-apiserver");
    assert_eq!(who(json!(["reserved:host", "reserved:remote-node"])), "reserved:host");
}
