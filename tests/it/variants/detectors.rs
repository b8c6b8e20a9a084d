//! Short recordings that detectors find something in, in the spellings and envelopes of sources.

use durward_ingest::Format;
use serde_json::{Value, json};

use super::found;
use super::spelled::{TIME, VARIANTS};

const LEDGER: &str = "system:serviceaccount:payments:ledger";
const BACKUP: &str = "system:serviceaccount:ops:backup";

/// A request at so many seconds after the beginning.
fn request(second: u32, user: &str, verb: &str, object: &Value) -> Value {
    let time = format!(
        "2026-07-23T{:02}:{:02}:{:02}.000000Z",
        10 + second / 3600,
        second / 60 % 60,
        second % 60
    );
    let namespace = user.rsplit(':').nth(1).unwrap_or_default();
    let groups = [
        "system:serviceaccounts",
        &format!("system:serviceaccounts:{namespace}"),
        "system:authenticated",
    ];
    let part = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "auditID": format!("11111111-2222-3333-4444-{second:012}"),
        "requestURI": format!("/api/v1/namespaces/{}/{}/{}", part("namespace"), part("resource"), part("name")),
        "verb": verb, "user": {"username": user, "uid": "u", "groups": groups},
        "objectRef": object, "sourceIPs": ["10.0.0.7"], "userAgent": "client/1",
        "requestReceivedTimestamp": time, "stageTimestamp": time,
        "responseStatus": {"code": 200},
        "annotations": {"authorization.k8s.io/decision": "allow"},
    })
}

fn read(second: u32, user: &str) -> Value {
    request(
        second,
        user,
        "get",
        &json!({"resource": "configmaps", "namespace": "payments", "name": "c"}),
    )
}

/// With a token that is bound to a pod.
fn with_token(mut event: Value, token: &str) -> Value {
    event["user"]["extra"] = json!({
        "authentication.kubernetes.io/credential-id": [token],
        "authentication.kubernetes.io/pod-name": ["ledger-0"],
        "authentication.kubernetes.io/pod-uid": ["5f0c7c0e-0000-4000-8000-000000000001"],
    });
    event
}

/// The minting of a token of the ledger.
fn minted(second: u32, by: &str, token: &str) -> Value {
    let object = json!({"resource": "serviceaccounts", "subresource": "token", "namespace": "payments", "name": "ledger"});
    let mut event = request(second, by, "create", &object);
    event["annotations"]["authentication.kubernetes.io/issued-credential-id"] = token.into();
    event["responseStatus"] = json!({"code": 201});
    event
}

fn from(mut event: Value, address: &str) -> Value {
    event["sourceIPs"] = json!([address]);
    event
}

fn secret(second: u32, at: u32) -> Value {
    let (namespace, name) = (format!("n{}", at % 4), format!("s{at}"));
    request(
        second,
        BACKUP,
        "get",
        &json!({"resource": "secrets", "namespace": namespace, "name": name}),
    )
}

/// Each detector of requests to the API server, and a recording that it finds something in.
fn recordings() -> Vec<(&'static str, Vec<Value>)> {
    let reused = |mut event: Value| {
        event["auditID"] = "99999999-2222-3333-4444-000000000001".into();
        event
    };
    let mut cut =
        request(0, BACKUP, "create", &json!({"resource": "pods", "namespace": "ops", "name": "p"}));
    cut["annotations"]["audit.k8s.io/truncated"] = "true".into();
    cut["responseStatus"] = json!({"code": 201});
    let secrets = (0..8).map(|at| secret(300 + at, at));
    vec![
        (
            "two_addresses",
            vec![
                with_token(read(0, LEDGER), "JTI=a"),
                from(with_token(read(1, LEDGER), "JTI=a"), "198.51.100.7"),
            ],
        ),
        (
            "minted_later",
            vec![minted(900, "system:node:n", "JTI=b"), with_token(read(0, LEDGER), "JTI=b")],
        ),
        (
            "minted_later",
            vec![with_token(read(0, LEDGER), "JTI=b"), minted(900, "system:node:n", "JTI=b")],
        ),
        (
            "minted_for_another",
            vec![minted(0, BACKUP, "JTI=c"), with_token(read(1, LEDGER), "JTI=c")],
        ),
        (
            "minted_for_another",
            vec![with_token(read(1, LEDGER), "JTI=c"), minted(0, BACKUP, "JTI=c")],
        ),
        ("reused_audit_id", vec![reused(read(0, LEDGER)), reused(secret(1, 1))]),
        ("blindness", vec![cut]),
        ("secrets_enumerated", std::iter::once(read(0, BACKUP)).chain(secrets).collect()),
        ("first_seen", vec![read(0, BACKUP), secret(1, 1)]),
    ]
}

/// Scenario: a short recording for each detector of requests to the API server, in eleven spellings and
/// envelopes, each read by the real reader and taken through correlation and detection.
/// Guarantees: what is found in one spelling is found in every one, and nothing of it is rejected.
#[test]
fn detectors_find_it_in_every_spelling() {
    let mut missed = Vec::new();
    for (detector, events) in recordings() {
        for spelling in VARIANTS {
            let texts: Vec<String> = events.iter().cloned().map(spelling.spelled).collect();
            let found = found(spelling.format, &texts);
            if !found.iter().any(|judge| judge == detector) {
                missed.push(format!("{detector} {}: {found:?}", spelling.name));
            }
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

/// A line of a SPIRE server's log about an entry that `caller` made.
fn entry(second: u32, caller: &str) -> Value {
    json!({
        "level": "info", "msg": "API accessed", "type": "audit", "subsystem_name": "api",
        "service": "entry.v1.Entry", "method": "BatchCreateEntry", "status": "success",
        "time": format!("2026-07-23T10:00:{second:02}Z"), "request_id": format!("r-{second}"),
        "authorized_as": "admin", "authorized_via": "caller", "caller_id": caller, "caller_addr": "10.2.0.7:1",
        "spiffe_id": "spiffe://shop.test/ledger", "parent_id": "spiffe://shop.test/node/a",
        "selectors": format!("k8s:ns:n{second}"), "admin": false, "downstream": false,
    })
}

/// A line as SPIRE writes it unless it is told to write JSON.
fn as_text(line: &Value) -> String {
    let fields = line.as_object().expect("an object").iter();
    let pairs = fields.map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text:?}"),
        other => format!("{name}={other}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// A line of SPIRE in an envelope.
type Line = (&'static str, Format, fn(Value) -> String);

const LINES: [Line; 10] = [
    ("JSON", Format::Spire, |line| line.to_string()),
    ("behind a byte order mark, with the line ends of Windows", Format::Spire, |line| {
        format!("\u{feff}{line}\r\n")
    }),
    ("text", Format::Spire, |line| as_text(&line)),
    ("a line of a container runtime", Format::Spire, |line| format!("{TIME} stderr F {line}\n")),
    ("a line in two pieces", Format::Spire, |line| {
        let text = line.to_string();
        let (first, second) = text.split_at(40);
        format!("{TIME} stderr P {first}\n{TIME} stderr F {second}\n")
    }),
    ("Docker", Format::Spire, |line| {
        json!({"log": format!("{line}\n"), "stream": "stderr", "time": TIME}).to_string()
    }),
    ("Fluent Bit, with the pod", Format::Spire, |line| {
        json!({"log": line.to_string(), "stream": "stderr", "kubernetes": {"pod_name": "spire-server-0"}}).to_string()
    }),
    ("a line of a container runtime, as text", Format::Spire, |line| {
        format!("{TIME} stderr F {}\n", as_text(&line))
    }),
    ("OTLP", Format::Otlp, |line| {
        json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [
            {"timeUnixNano": "1784800800000000000", "body": {"stringValue": line.to_string()}},
        ]}]}]})
        .to_string()
    }),
    ("with fields of a later version", Format::Spire, |mut line| {
        line["later"] = json!({"version": [1]});
        line.to_string()
    }),
];

/// Scenario: two callers make entries for one SPIFFE ID, the log of SPIRE in ten spellings and envelopes.
/// Guarantees: the second is found in every one.
#[test]
fn entries_taken_over_are_found_in_every_spelling() {
    let mut missed = Vec::new();
    for (name, format, spelled) in LINES {
        let callers = ["spiffe://shop.test/registrar", "spiffe://shop.test/mallory"];
        let texts: Vec<String> =
            (1..).zip(callers).map(|(second, caller)| spelled(entry(second, caller))).collect();
        let found = found(format, &texts);
        if !found.iter().any(|judge| judge == "entry_taken_over") {
            missed.push(format!("{name}: {found:?}"));
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}
