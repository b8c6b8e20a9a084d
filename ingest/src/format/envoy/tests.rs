use std::collections::BTreeSet;

use durward_schemas::values::{CredentialKind, Decision, IdentityKind};
use serde_json::json;

use super::super::{Format, Reading, read};
use super::*;
use crate::lab;
use crate::lab::with_context;

fn reading(input: &str) -> Reading {
    with_context(|context| read(Format::Envoy, input.as_bytes(), context))
}

fn access(line: &Value) -> Access {
    let reading = reading(&line.to_string());
    assert_eq!((reading.items(), reading.accesses.len()), (1, 1), "{line}");
    reading.accesses.into_iter().next().unwrap()
}

/// Scenario: the access logs of two Envoys in Istio's default formats, JSON and text.
/// Guarantees: as many rows as lines, no reject; the two formats of one log give the same ids; who
/// was refused, and by which policy, as the recording's labels count them.
#[test]
fn recordings_are_accounted_for() {
    let Some(files) = lab::mesh("story-json/envoy", ".log") else { return };
    let mut ids = Vec::new();
    for (name, bytes) in &files {
        assert_eq!(Format::detect(bytes), Some(Format::Envoy), "{name}");
        let reading = with_context(|context| read(Format::Envoy, bytes, context));
        let found = (reading.accesses.len(), reading.items());
        assert_eq!(found, (lab::lines(bytes), lab::lines(bytes)), "{name}");
        assert!(reading.accesses.iter().all(|access| access.provider == Provider::Istio));
        let of_file: BTreeSet<_> =
            reading.accesses.iter().map(|access| access.event_id.clone()).collect();
        assert_eq!(of_file.len(), found.0, "{name}");
        let denied = |by: Option<&str>| {
            let denied = reading.accesses.iter().filter(|access| access.decision == Decision::Deny);
            denied.filter(|access| access.decided_by.as_deref() == by).count()
        };
        if name.starts_with("inbound") {
            let by_policy = denied(Some("AuthorizationPolicy/shop/orders-no-export"));
            assert_eq!((by_policy, denied(None)), (8, 13 + 6), "{name}");
            assert_eq!(denied(Some("authentication")), 7, "{name}");
        }
        ids.push(of_file);
    }
    assert_eq!(ids[0], ids[1]);
}

/// Lines as Envoy and Istio write them, from both sides, by request and by connection.
const NOTABLE: &str = r#"
{"start_time":"2026-11-23T17:41:37.697Z","method":"GET","path":"/api/orders?id=7&token=s3cr3t","protocol":"HTTP/2","response_code":200,"response_flags":"-","response_code_details":"via_upstream","connection_termination_details":null,"bytes_received":0,"bytes_sent":3,"duration":2,"x_forwarded_for":"192.0.2.2","user_agent":"curl/8","request_id":"c5219a52-3052-91ba-ae51-2747b0f9bda5","authority":"orders.shop:8080","upstream_host":"10.0.0.9:8080","upstream_cluster":"inbound|8080||","downstream_remote_address":"10.0.0.7:39530","DOWNSTREAM_PEER_URI_SAN":"spiffe://shop.test/ns/web/sa/frontend","downstream_local_uri_san":"spiffe://shop.test/ns/shop/sa/orders","downstream_peer_serial":"0a1b2c","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
{"start_time":"2026-11-23T17:41:38Z","method":"POST","path":"/api/export","response_code":"403","response_flags":"-","response_code_details":"rbac_access_denied_matched_policy[ns[shop]-policy[orders-no-export]-rule[0]]","source.principal":"shop.test/ns/batch/sa/report","destination.principal":"shop.test/ns/shop/sa/orders","duration":"1","x-request-id":"1","upstream_host":"-"}
{"start_time":"2026-11-23T17:41:39Z","method":"GET","path":"/","response_code":200,"response_code_details":"via_upstream","source.principal":"-","downstream_remote_address":"[2001:db8::1]:443"}
{"start_time":"2026-11-23T17:41:40Z","downstream_transport_failure_reason":"TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end","source.principal":"spiffe://shop.test/ns/ops/sa/breakglass","peer.serial":"0a","source.address":"127.0.0.1:40000","response_flags":"-","duration_ms":"3"}
[2026-11-23T17:41:41.000Z] "GET /api?q=1 HTTP/1.1" 503 UF upstream_reset_before_response_started{connection_failure} - "TLS_error:_certificate verify failed" 0 95 12 - "-" "agent "quoted" x" "7b0c" "orders.shop:8080" "10.0.0.9:8080" outbound|8080|v1|orders.shop.svc.cluster.local - 10.0.0.9:8080 10.0.0.7:39530 outbound_.8080_._.orders.shop.svc.cluster.local default
[2026-11-23T17:41:42.000Z] "- - -" 0 - rbac_access_denied_matched_policy[none] rbac_access_denied_matched_policy[none] "-" 0 0 0 - "-" "-" "-" "-" "-" inbound|5432|| - 10.0.0.9:5432 10.0.0.7:39531 - -
[2026-11-23T17:41:43.000Z] "GET / HTTP/1.1" 200 - 0 3 1 0 "-" "curl/8" "9c" "shop.example" "10.0.0.9:8080"
"#;

/// Scenario: one line of each notable shape.
/// Guarantees: every column reads as the snapshot says; the one secret is gone.
#[test]
fn notable_lines_read_as_written() {
    let reading = reading(NOTABLE);
    assert_eq!((reading.rejects.len(), reading.accesses.len()), (0, 7), "{:?}", reading.rejects);
    let told = lab::told(&reading.accesses);
    assert!(!told.contains("s3cr3t"));
    insta::assert_snapshot!(told);
}

/// Scenario: a peer's SPIFFE ID beside a failed handshake, in every spelling, with and without a code.
/// Guarantees: nobody is known; the claim is kept, and is in no column of identities.
#[test]
fn claims_beside_failed_handshakes_are_no_identities() {
    let claim = "spiffe://shop.test/ns/ops/sa/breakglass";
    for name in ["source.principal", "DOWNSTREAM_PEER_URI_SAN", "downstreamPeerUriSan"] {
        for code in [json!(0), json!(200), Value::Null] {
            let access = access(&json!({
                name: claim, "downstream_transport_failure_reason": "TLS_error:x", "response_code": code,
                "downstream_local_uri_san": "spiffe://shop.test/ns/shop/sa/orders",
            }));
            assert_eq!(
                (access.identity_kind, &access.identity),
                (IdentityKind::Unauthenticated, &None)
            );
            assert_eq!(
                (access.credential_id, access.peer_identity, access.namespace),
                (None, None, None)
            );
            assert!(access.unmapped.unwrap().as_str().contains(claim), "{name}");
        }
    }
    let old = access(&json!({
        "source_principal": claim, "connection_termination_details": "TLS_error:_certificate_verify_failed",
    }));
    assert_eq!((old.identity, old.decision), (None, Decision::Deny));
    let upstream = access(&json!({
        "upstream_peer_uri_san": claim, "upstream_transport_failure_reason": "TLS_error:x", "response_code": 503,
    }));
    assert_eq!(upstream.peer_identity, None);
    assert!(upstream.unmapped.unwrap().as_str().contains(claim));
    let two = access(
        &json!({"source_principal": format!("{claim},spiffe://a/b"), "response_flags": "-"}),
    );
    assert_eq!((two.identity, two.identity_kind), (None, IdentityKind::Unknown));
}

/// Scenario: the default fields, in the names of Envoy Gateway, Contour and semantic conventions.
/// Guarantees: the same columns.
#[test]
fn names_are_the_users() {
    let shapes = [
        json!({"start_time": "2026-11-23T17:41:37.697Z", "method": "GET", "x-envoy-origin-path": "/a",
            "response_code": 404, "response_flags": "NR", "user-agent": "x", "x-request-id": "7",
            "x-forwarded-for": "192.0.2.2, 192.0.2.3", "downstream_remote_address": "10.0.0.7:1"}),
        json!({"@timestamp": "2026-11-23T17:41:37.697Z", "method": "GET", "path": "/a",
            "response_code": 404, "response_flags": "NR", "user_agent": "x", "request_id": "7",
            "x_forwarded_for": "192.0.2.2,192.0.2.3", "downstream_remote_address": "10.0.0.7:1"}),
        json!({"timestamp": 1_795_455_697_697_i64, "http.request.method": "GET", "url.path": "/a",
            "http.response.status_code": "404", "response_flags": "NR", "user_agent.original": "x",
            "request_id": "7", "x-forwarded-for": "192.0.2.2,192.0.2.3", "source.address": "10.0.0.7:1"}),
    ];
    for shape in shapes {
        let access = access(&shape);
        assert_eq!(access.time.to_string(), "2026-11-23T17:41:37.697000Z", "{shape}");
        assert_eq!(
            (access.verb.as_deref(), access.request_uri.as_deref()),
            (Some("GET"), Some("/a"))
        );
        assert_eq!((access.status_code, access.status_reason.as_deref()), (Some(404), Some("NR")));
        assert_eq!(
            (access.user_agent.as_deref(), access.request_id.as_deref()),
            (Some("x"), Some("7"))
        );
        assert_eq!(access.source_ip.as_deref(), Some("10.0.0.7"));
        assert_eq!(access.forwarded_for, Some(vec!["192.0.2.2".into(), "192.0.2.3".into()]));
        assert_eq!(access.outcome, Outcome::Failure);
    }
}

/// Scenario: a client who writes quotes and columns into its agent, to pass for another.
/// Guarantees: what the proxy saw stays what it was.
#[test]
fn agents_forge_nothing() {
    let line = |agent: &str| {
        format!(
            "[2026-11-23T17:41:37.697Z] \"GET /a HTTP/1.1\" 403 - rbac_access_denied_matched_policy[none] - \
             \"-\" 0 19 0 - \"192.0.2.2\" \"{agent}\" \"7\" \"orders.shop\" \"10.0.0.9:8080\" inbound|8080|| \
             - 10.0.0.9:8080 10.0.0.7:39530 - default"
        )
    };
    let honest = &reading(&line("x")).accesses[0];
    let agent = "x\" \"9\" \"evil\" \"1.1.1.1:1\" outbound|1||e - 1.1.1.1:1 2.2.2.2:2 - z";
    let forged = &reading(&line(agent)).accesses[0];
    assert_eq!(forged.user_agent.as_deref(), Some(agent));
    let seen = |access: &Access| {
        (access.decision, access.source_ip.clone(), access.request_id.clone(), access.status_code)
    };
    assert_eq!(seen(forged), seen(honest));
}

/// Scenario: a connection that ztunnel refused, as it writes text and JSON.
/// Guarantees: one row under one id, with both identities and the policy.
#[test]
fn ztunnel_is_read() {
    let text = "2026-10-09T11:39:41.876395Z\terror\taccess\tconnection complete\tsrc.addr=10.244.0.14:58564 \
        src.workload=\"shuttle-7b5\" src.namespace=\"starfleet\" src.identity=\"spiffe://cluster.local/ns/starfleet/sa/shuttle\" \
        dst.addr=10.244.0.8:15008 dst.service=\"cargo.starfleet.svc.cluster.local\" \
        dst.identity=\"spiffe://cluster.local/ns/starfleet/sa/cargo\" direction=\"inbound\" bytes_sent=0 duration=\"3ms\" \
        error=\"connection closed due to policy rejection: explicitly denied by: starfleet/no-shuttles\"";
    let json = json!({"time": "2026-10-09T11:39:41.876395Z", "level": "error", "scope": "access", "message": "connection complete",
        "src.addr": "10.244.0.14:58564", "src.workload": "shuttle-7b5", "src.namespace": "starfleet",
        "src.identity": "spiffe://cluster.local/ns/starfleet/sa/shuttle", "dst.addr": "10.244.0.8:15008",
        "dst.service": "cargo.starfleet.svc.cluster.local", "dst.identity": "spiffe://cluster.local/ns/starfleet/sa/cargo",
        "direction": "inbound", "bytes_sent": 0, "duration": "3ms",
        "error": "connection closed due to policy rejection: explicitly denied by: starfleet/no-shuttles"});
    assert_eq!(Format::detect(text.as_bytes()), Some(Format::Envoy));
    assert_eq!(Format::detect(json.to_string().as_bytes()), Some(Format::Envoy));
    let of_text = &reading(text).accesses[0];
    assert_eq!(*of_text, access(&json));
    assert_eq!(of_text.provider, Provider::Istio);
    assert_eq!((of_text.decision, of_text.outcome), (Decision::Deny, Outcome::Failure));
    assert_eq!(of_text.decided_by.as_deref(), Some("AuthorizationPolicy/starfleet/no-shuttles"));
    assert_eq!(of_text.service_account.as_deref(), Some("shuttle"));
    assert_eq!(
        of_text.peer_identity.as_deref(),
        Some("spiffe://cluster.local/ns/starfleet/sa/cargo")
    );
    assert_eq!((of_text.object_name.as_deref(), of_text.duration_us), (Some("cargo"), Some(3000)));
    assert_eq!(of_text.source_ip.as_deref(), Some("10.244.0.14"));
}

/// Scenario: what a sidecar writes beside its accesses, and lines of unknown formats.
/// Guarantees: its own log is log rows; the rest are rejects with a reason, and neighbours stay.
#[test]
fn other_lines_are_logs_or_rejects() {
    let good = r#"{"response_flags":"-","response_code":200}"#;
    let check = |line: &str, expect: (usize, usize), reason: Option<&str>| {
        let reading = reading(&format!("{good}\n{line}\n{good}"));
        let found = (reading.logs.len(), reading.rejects.len());
        assert_eq!((reading.accesses.len(), found), (2, expect), "{line}");
        assert_eq!(reading.rejects.first().map(|reject| reject.reason.as_str()), reason);
        assert!(reading.rejects.iter().all(|reject| reject.hint.is_some()), "{line}");
    };
    check(
        "[2026-11-23 17:41:37.697][12][warning][config] [source/x.cc:1] gRPC closed",
        (1, 0),
        None,
    );
    check("2026-11-23T17:41:37.697Z\tinfo\txdsproxy\tconnected", (1, 0), None);
    check(
        "2026-11-23T17:41:37.697Z  info  state:proxy{}: deny policy match policy=x",
        (1, 0),
        None,
    );
    check(r#"{"level":"info","time":"2026-11-23T17:41:37Z","msg":"ready"}"#, (1, 0), None);
    check("GET / 200 12ms", (0, 1), Some("unknown_text_format"));
    check("2026-11-23T17:41:37Z GET / 200", (0, 1), Some("unknown_text_format"));
    check("[2026-11-23T17:41:37.697Z] \"GET / HTTP/1.1\" 200", (0, 1), Some("unknown_text_format"));
    check(r#"{"method":"GET"}"#, (0, 1), Some("not_an_access_log"));
    check("[1,2", (0, 1), Some("unknown_text_format"));
}

/// Scenario: the same line by itself, in a list, with the prefix of a container runtime.
/// Guarantees: one id, the same key of the request; a retry under the same request id is another.
#[test]
fn form_does_not_change_the_id() {
    let line = json!({"start_time": "2026-11-23T17:41:37.697Z", "request_id": "7", "response_flags": "-", "response_code": 200});
    let ids = |input: &str| {
        let reading = reading(input);
        assert_eq!((reading.items(), reading.accesses.len()), (1, 1), "{input}");
        (reading.accesses[0].event_id.clone(), reading.accesses[0].request_key.clone())
    };
    let expect = ids(&line.to_string());
    for form in [
        format!("[\n{line}\n]"),
        format!("2026-11-25T00:00:00Z stdout F {line}"),
        Value::from(line.to_string()).to_string(),
        line.to_string().replace("200", "\"200\"").replace("\"-\"", "null"),
        json!({"log": format!("{line}\n"), "stream": "stdout", "time": "x"}).to_string(),
    ] {
        assert_eq!(ids(&form), expect, "{form}");
    }
    let retry = ids(&line.to_string().replace("37.697", "37.698"));
    assert!(retry.0 != expect.0 && retry.1 != expect.1);
}

/// Scenario: refusals in formats without details: by flags, by the absence of an upstream, by the status
/// of a call; and beginnings of what has not been decided yet.
/// Guarantees: who was refused is, and has failed, whatever the code; what the upstream said is unknown;
/// a beginning decides nothing.
#[test]
fn refusals_without_details() {
    let check = |line: Value, decision: Decision, by: Option<&str>, outcome: Outcome| {
        let access = access(&line);
        let found = (access.decision, access.decided_by.as_deref(), access.outcome);
        assert_eq!(found, (decision, by, outcome), "{line}");
    };
    let (deny, unknown, failure) = (Decision::Deny, Decision::Unknown, Outcome::Failure);
    let outside = Some("ext_authz");
    check(json!({"response_code": 403, "response_flags": "UAEX"}), deny, outside, failure);
    check(json!({"response_code": 403, "response_flags": "DC,UAEX"}), deny, outside, failure);
    check(
        json!({"response_code": 401, "response_flags_long": "UnauthorizedExternalService"}),
        deny,
        outside,
        failure,
    );
    check(
        json!({"response_code": 302, "response_code_details": "ext_authz_denied"}),
        deny,
        outside,
        failure,
    );
    check(
        json!({"response_code": 302, "response_code_details": "oauth.missing_credentials"}),
        deny,
        Some("authentication"),
        failure,
    );
    check(
        json!({"response_code": 403, "response_flags": "-", "upstream_host": "-"}),
        deny,
        None,
        failure,
    );
    check(
        json!({"response_code": 403, "response_flags": "-", "upstream_host": "10.0.0.9:80"}),
        unknown,
        None,
        failure,
    );
    check(json!({"response_code": 429, "response_flags": "RL"}), unknown, None, failure);
    for status in [json!(7), json!("7"), json!("PermissionDenied"), json!("PERMISSION_DENIED")] {
        check(
            json!({"response_code": 200, "grpc_status": status, "response_code_details": "via_upstream"}),
            unknown,
            None,
            failure,
        );
    }
    for status in [json!(16), json!("Unauthenticated")] {
        check(
            json!({"response_code": 200, "grpc_status": status, "response_flags": "-"}),
            deny,
            Some("authentication"),
            failure,
        );
    }
    check(
        json!({"response_code": 200, "grpc_status": 0, "response_flags": "-"}),
        Decision::Allow,
        None,
        Outcome::Success,
    );
    for begins in ["DownstreamStart", "TcpConnectionStart"] {
        let line = json!({"access_log_type": begins, "response_flags": "-", "method": "GET"});
        check(line.clone(), unknown, None, Outcome::Success);
        assert!(!access(&line).is_deciding());
        assert!(access(&line).unmapped.unwrap().as_str().contains(begins));
    }
}

/// Scenario: one request in the default formats of Istio from 1.1 on.
/// Guarantees: the same columns of each, as far as the format has them.
#[test]
fn older_formats_are_read() {
    let line = |reasons: &str, route: &str| {
        format!(
            "[2026-11-23T17:41:37.697Z] \"GET /a HTTP/1.1\" 503 UF {reasons} 0 135 11 10 \"-\" \"curl/7\" \"7\" \
             \"orders:8080\" \"127.0.0.1:80\" inbound|8080|http|orders.shop.svc.cluster.local - 10.0.0.9:8080 \
             10.0.0.7:38618 outbound_.8080_._.orders.shop.svc.cluster.local{route}"
        )
    };
    for (reasons, route, reason) in [
        ("\"-\"", "", None),
        ("\"-\" \"TLS error\"", "", Some("TLS error")),
        ("\"-\" \"TLS error\"", " default", Some("TLS error")),
        ("via_upstream \"-\"", " default", Some("via_upstream")),
        ("via_upstream - \"-\"", " default", Some("via_upstream")),
    ] {
        let text = line(reasons, route);
        assert_eq!(Format::detect(text.as_bytes()), Some(Format::Envoy));
        let reading = reading(&text);
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{text}");
        let access = &reading.accesses[0];
        assert_eq!(access.decision_reason.as_deref(), reason, "{text}");
        assert_eq!(access.provider, Provider::Istio);
        assert_eq!((access.status_code, access.duration_us), (Some(503), Some(11_000)));
        assert_eq!(access.source_ip.as_deref(), Some("10.0.0.7"));
        let object = (access.object_namespace.as_deref(), access.object_name.as_deref());
        assert_eq!(object, (Some("shop"), Some("orders")), "{text}");
    }
}

/// Scenario: connections as ztunnel of several versions refuses and begins them.
/// Guarantees: each is read; who is refused, and by an object that exists; nobody who showed nothing.
#[test]
fn ztunnels_of_all_versions() {
    let check = |line: &str, expect: (Decision, Option<&str>, IdentityKind)| {
        assert_eq!(Format::detect(line.as_bytes()), Some(Format::Envoy), "{line}");
        let reading = reading(line);
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{line}");
        let access = &reading.accesses[0];
        let found = (access.decision, access.decided_by.as_deref(), access.identity_kind);
        assert_eq!(found, expect, "{line}");
        assert_eq!(access.source_ip.as_deref(), Some("10.0.0.7"));
        assert_eq!(access.object_namespace.as_deref(), Some("shop"), "{line}");
        assert_eq!(access.is_deciding(), !line.contains("opened"));
    };
    let line = |head: &str, who: &str, error: &str| {
        format!(
            "2026-11-23T17:41:37.697Z{head}src.addr=10.0.0.7:1 {who}dst.addr=10.0.0.9:80 dst.workload=\"orders-1\" \
             dst.namespace=\"shop\" direction=\"inbound\"{error}"
        )
    };
    let (spaced, tabbed) =
        (" error access connection complete ", "\terror\taccess\tconnection complete\t");
    let who = "src.identity=\"spiffe://shop.test/ns/web/sa/frontend\" ";
    let error = " error=\"connection closed due to policy rejection";
    let denied = |by, kind| (Decision::Deny, by, kind);
    let spiffe = IdentityKind::Spiffe;
    check(&line(tabbed, who, &format!("{error}\"")), denied(None, spiffe));
    let strict =
        format!("{error}: explicitly denied by: istio-system/istio_converted_static_strict\"");
    let nobody = denied(Some("authentication"), IdentityKind::Unauthenticated);
    check(&line(tabbed, "", &strict), nobody);
    check(&line(spaced, "", &strict), nobody);
    let named =
        format!("{error}: explicitly denied by: shop/converted_peer_authentication_strict\"");
    let by = Some("PeerAuthentication/shop/strict");
    check(&line(spaced, "", &named), denied(by, IdentityKind::Unauthenticated));
    let unknown = |kind| (Decision::Unknown, None, kind);
    check(&line(" DEBUG access: connection opened ", who, ""), unknown(spiffe));
    check(&line("\tdebug\taccess\tconnection opened\t", who, ""), unknown(spiffe));
    check(&line(tabbed, who, " error=\"http status: 401 Unauthorized\""), unknown(spiffe));
    check(&line(tabbed, who, " duration=\"3ms\""), (Decision::Allow, None, spiffe));
    let change = " error=\"connection closed due to policy change\"";
    check(&line(tabbed, who, change), denied(None, spiffe));
    let http = "\tinfo\thttp access\trequest complete\t";
    check(&line(http, who, " method=GET response_code=200"), (Decision::Allow, None, spiffe));
    let copied = "    error    access    connection complete    ";
    check(&line(copied, who, change), denied(None, spiffe));
}

/// Scenario: peers of ztunnel that showed nothing, went away, or refused ztunnel; and of a sidecar that
/// demands TLS, and of gateways.
/// Guarantees: who showed nothing is refused by authentication; the others are no decision.
#[test]
fn peers_without_proof_are_refused() {
    let check = |line: &str, decision: Decision, kind: IdentityKind| {
        let reading = reading(line);
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{line}");
        let access = &reading.accesses[0];
        assert_eq!((access.decision, access.identity_kind), (decision, kind), "{line}");
        let by = (decision == Decision::Deny).then_some("authentication");
        assert_eq!(access.decided_by.as_deref(), by, "{line}");
        assert!(access.decision_reason.is_some(), "{line}");
    };
    let (deny, unknown) = (Decision::Deny, Decision::Unknown);
    let nobody = IdentityKind::Unauthenticated;
    let handshake = |direction: &str, error: &str| {
        format!(
            "2026-11-23T17:41:37Z\twarn\taccess\tconnection failed\tsrc.addr=10.0.0.7:1 dst.addr=10.0.0.9:15008 \
             direction=\"{direction}\" error=\"tls handshake error: Custom {{ kind: {error} }}\""
        )
    };
    check(&handshake("inbound", "InvalidData, error: NoCertificatesPresented"), deny, nobody);
    let gone = "UnexpectedEof, error: eof";
    check(&handshake("inbound", gone), unknown, IdentityKind::Unknown);
    let refused = "InvalidData, error: AlertReceived(UnknownCA)";
    check(&handshake("inbound", refused), unknown, IdentityKind::Unknown);
    check(&handshake("outbound", "InvalidData, error: x"), unknown, IdentityKind::Unknown);
    let unmatched = |local: &str, name: &str| {
        format!(
            "[2026-11-23T17:41:37Z] \"- - -\" 0 NR filter_chain_not_found - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" \
             - - {local} 10.0.0.7:40000 {name} -"
        )
    };
    check(&unmatched("10.0.0.9:8080", "-"), deny, nobody);
    check(&unmatched("10.0.0.9:8080", "shop.example"), unknown, IdentityKind::Unknown);
    check(&unmatched("10.0.0.9:8443", "-"), unknown, IdentityKind::Unknown);
}

/// Scenario: lines of ztunnel whose source is of the namespace of its identity, and of another.
/// Guarantees: the pod of the former; the latter stays as it is.
#[test]
fn ztunnel_names_pods() {
    let pod = |namespace: &str| {
        let row = access(
            &json!({"time": "2026-11-23T17:41:37Z", "level": "info", "scope": "access",
            "message": "connection complete", "src.addr": "10.0.0.7:1", "src.workload": "frontend-1",
            "src.namespace": namespace, "src.identity": "spiffe://shop.test/ns/web/sa/frontend"}),
        );
        row.pod
    };
    assert_eq!(pod("web").as_deref(), Some("frontend-1"));
    assert_eq!(pod("shop"), None);
}

/// Scenario: a line behind what Emissary, kubectl, syslog and shippers of logs write, and a header that
/// looks like a line.
/// Guarantees: one id, and the format is recognised; nothing is read that a client wrote.
#[test]
fn carried_lines_are_read() {
    let line = "[2026-11-23T17:41:37.697Z] \"GET /a HTTP/1.1\" 200 - 0 3 1 0 \"-\" \"curl/8\" \"9c\" \"shop.example\" \"10.0.0.9:8080\"";
    let expect = &reading(line).accesses[0].event_id;
    for carried in [
        format!("ACCESS {line}"),
        format!("[pod/web-1/istio-proxy] {line}"),
        format!("2026-11-23T17:41:38.1Z {line}"),
        format!("<14>Nov 23 17:41:37 node-1 envoy[7]: {line}"),
        json!({"message": format!("ACCESS {line}"), "stream": "stdout", "kubernetes": {"pod": {"name": "a"}}}).to_string(),
        json!({"labels": {"app": "a"}, "line": line, "timestamp": "x"}).to_string(),
    ] {
        assert_eq!(Format::detect(carried.as_bytes()), Some(Format::Envoy), "{carried}");
        let reading = reading(&carried);
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{carried}");
        assert_eq!(&reading.accesses[0].event_id, expect, "{carried}");
    }
    let forged = format!("[x] \"GET / {line}");
    assert_eq!(reading(&forged).rejects.len(), 1);
}

/// Scenario: what a sidecar and a gateway forward, and clients whose certificates have no URI.
/// Guarantees: a sidecar's identity is its program's, a gateway's is nobody's; a certificate's subject
/// names whoever shows it, unless the handshake failed or there is a URI.
#[test]
fn whose_identity_it_is() {
    let who = |more: Value| {
        let mut line = json!({"response_code": 200, "response_flags": "-"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let access = access(&line);
        (access.identity, access.identity_kind, access.credential_kind)
    };
    let own = "spiffe://shop.test/ns/web/sa/frontend";
    let svid = (Some(own.to_owned()), IdentityKind::Spiffe, Some(CredentialKind::SvidX509));
    let nobody = (None, IdentityKind::Unknown, None);
    let forwarded = |remote: &str, local: &str| {
        who(json!({"upstream_local_uri_san": own, "downstream_remote_address": remote,
            "upstream_local_address": local, "downstream_peer_uri_san": "-"}))
    };
    assert_eq!(forwarded("10.0.0.7:1", "10.0.0.7:2"), svid);
    assert_eq!(forwarded("127.0.0.1:1", "10.0.0.7:2"), svid);
    assert_eq!(forwarded("203.0.113.5:0", "10.0.0.7:2"), svid);
    assert_eq!(forwarded("203.0.113.5:4000", "10.0.0.7:2"), nobody);
    assert_eq!(forwarded("203.0.113.5:4000", "-"), svid);
    let subject = (
        Some("CN=web,O=acme".to_owned()),
        IdentityKind::Unknown,
        Some(CredentialKind::ClientCertificate),
    );
    let shown = json!({"downstream_peer_subject": "CN=web,O=acme", "source_principal": "-"});
    assert_eq!(who(shown), subject);
    assert_eq!(who(json!({"downstream_peer_subject": "O=SPIRE,C=US"})), nobody);
    assert_eq!(who(json!({"source_principal": "unknown"})), nobody);
    assert_eq!(who(json!({"downstream_peer": own})), svid);
    assert_eq!(who(json!({"downstream_peer": "10.0.0.7:1"})), nobody);
    assert_eq!(who(json!({"downstream_peer_subject": "CN=web", "source_principal": own})), svid);
    let failed = who(
        json!({"downstream_peer_subject": "CN=web", "downstream_transport_failure_reason": "TLS_error:x"}),
    );
    assert_eq!((failed.0, failed.1), (None, IdentityKind::Unauthenticated));
}

/// Scenario: addresses that a proxy took from a header, which have no port, and such as it saw.
/// Guarantees: the former are not told twice.
#[test]
fn addresses_of_headers_are_told_once() {
    let addresses = |forwarded: &str, remote: &str| {
        let line = json!({"response_flags": "-", "x_forwarded_for": forwarded, "downstream_remote_address": remote});
        let access = access(&line);
        (access.source_ip.unwrap(), access.forwarded_for.unwrap_or_default())
    };
    let one = |ip: &str, hops: &[&str]| {
        (ip.to_owned(), hops.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(addresses("192.0.2.1", "192.0.2.1:0"), one("192.0.2.1", &[]));
    assert_eq!(addresses("192.0.2.1", "10.0.0.7:1"), one("10.0.0.7", &["192.0.2.1"]));
    assert_eq!(addresses("192.0.2.1", "10.0.0.7:0"), one("10.0.0.7", &["192.0.2.1"]));
}

/// Scenario: names of services with ports, of hosts that only TLS names, and of other meshes.
/// Guarantees: service and namespace without the port; Consul's logs are no Istio's.
#[test]
fn destinations_and_providers() {
    let object = |line: Value| {
        let access = access(&line);
        (access.object_namespace, access.object_name, access.provider)
    };
    let of = |namespace: Option<&str>, name: &str, provider| {
        (namespace.map(str::to_owned), Some(name.to_owned()), provider)
    };
    assert_eq!(
        object(json!({"response_flags": "-", "authority": "orders.shop.svc:8080"})),
        of(Some("shop"), "orders", Provider::Envoy)
    );
    assert_eq!(
        object(
            json!({"upstream_cluster": "PassthroughCluster", "requested_server_name": "a.example"})
        ),
        of(None, "a.example", Provider::Istio)
    );
    let mut consul: Map<String, Value> =
        text::ISTIO.iter().map(|name| ((*name).to_owned(), "-".into())).collect();
    consul.insert("upstream_cluster".into(), "web.default.dc1.internal.7.consul".into());
    consul.insert("authority".into(), "web".into());
    assert_eq!(object(Value::Object(consul)), of(None, "web", Provider::Envoy));
}
