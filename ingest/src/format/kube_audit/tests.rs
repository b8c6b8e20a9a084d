use std::collections::HashSet;

use serde_json::json;

use super::super::{Format, Reading, read};
use super::*;
use crate::lab;
use crate::lab::with_context;

fn reading(input: &str) -> Reading {
    with_context(|context| read(Format::KubeAudit, input.as_bytes(), context))
}

fn access(event: &Value) -> Access {
    let reading = reading(&event.to_string());
    assert_eq!(reading.rejects, [], "{event}");
    reading.accesses.into_iter().next().unwrap()
}

/// An event that says only what it must.
fn event(more: Value) -> Value {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a-1", "stage": "ResponseComplete",
        "requestReceivedTimestamp": "2026-11-23T17:56:57.403991Z",
        "stageTimestamp": "2026-11-23T17:56:57.406635Z",
    });
    let Value::Object(more) = more else { panic!("not an object") };
    event.as_object_mut().unwrap().extend(more);
    event
}

/// Scenario: every event of every recording.
/// Guarantees: as many rows as lines, no reject, and no two rows alike.
#[test]
fn recordings_are_accounted_for() {
    for name in lab::RECORDINGS {
        let Some(log) = lab::recorded(name, "audit.jsonl.zst") else { return };
        let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        let reading = with_context(|context| read(Format::KubeAudit, &log, context));
        assert_eq!((reading.accesses.len(), reading.rejects.len()), (lines, 0), "{name}");
        let ids: HashSet<_> = reading.accesses.iter().map(|access| &access.event_id).collect();
        assert_eq!(ids.len(), lines, "{name}");
    }
}

/// Scenario: the same recording as the log file has it and as the webhook sent it.
/// Guarantees: the webhook brings no event that the file has not, under the same id.
#[test]
fn webhook_and_file_agree() {
    for name in lab::RECORDINGS {
        let Some(log) = lab::recorded(name, "audit.jsonl.zst") else { return };
        let Some(frames) = lab::frames(name, "webhook.frames.zst") else { return };
        let ids = |bytes: &[u8]| {
            let reading = with_context(|context| read(Format::KubeAudit, bytes, context));
            assert_eq!(reading.rejects, []);
            reading
                .accesses
                .into_iter()
                .map(|a| (a.event_id, a.request_key))
                .collect::<HashSet<_>>()
        };
        let file = ids(&log);
        let webhook: HashSet<_> = frames.iter().flat_map(|frame| ids(&frame.body)).collect();
        assert!(webhook.is_subset(&file), "{name}: {:?}", webhook.difference(&file).next());
        assert!(webhook.len() + 100 > file.len(), "{name}");
    }
}

/// Scenario: one real event of each notable shape.
/// Guarantees: every column reads as the snapshot says.
#[test]
fn notable_events_read_as_recorded() {
    let Some(samples) = lab::recorded("samples", "events.jsonl") else { return };
    let reading = with_context(|context| read(Format::KubeAudit, &samples, context));
    let columns = reading.accesses.iter().map(|a| {
        let who = format!("{} {:?} {:?}", a.who(), a.credential_id, a.credential_kind);
        let bound = format!("{:?} {:?} {:?}", a.pod, a.node, a.issued_credential_id);
        let what = format!(
            "{:?} {:?}/{:?}/{:?} {:?}/{:?} {:?}",
            a.verb,
            a.api_group,
            a.resource,
            a.subresource,
            a.object_namespace,
            a.object_name,
            a.dry_run
        );
        let decided = format!(
            "{} {:?} {:?} {:?} {} {:?} {:?}",
            a.decision,
            a.decided_by,
            a.decided_role,
            a.decided_subject,
            a.outcome,
            a.status_code,
            a.status_reason
        );
        let from = format!("{:?} {:?} {:?}us", a.source_ip, a.forwarded_for, a.duration_us);
        let rest = format!("truncated {} unmapped {:?}", a.truncated, a.unmapped);
        [who, bound, what, decided, from, rest].join("\n  ")
    });
    insta::assert_snapshot!(columns.collect::<Vec<_>>().join("\n"));
}

/// Scenario: an event as line, in a list, in an array, in a list without kind, quoted as a text,
/// with other white space, key order and number forms.
/// Guarantees: one id for all of them.
#[test]
fn form_does_not_change_the_id() {
    let status =
        json!({"responseStatus": {"code": 200, "metadata": {}}, "requestObject": {"b": 1, "a": 2}});
    let line = event(status).to_string();
    let id = |input: &str| {
        let reading = reading(input);
        assert_eq!(reading.items(), 1, "{input}");
        reading.accesses[0].event_id.clone()
    };
    let bare =
        line.replace(r#""kind":"Event","#, "").replace(r#""apiVersion":"audit.k8s.io/v1","#, "");
    assert!(!bare.contains("audit.k8s.io"));
    for form in [
        bare.clone(),
        format!("[{line}]"),
        format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{bare}]}}"#),
        Value::from(line.clone()).to_string(),
        serde_json::to_string_pretty(&event(json!({"requestObject": {"a": 2.0, "b": 1e0}, "responseStatus": {"metadata": {}, "code": 200.0}}))).unwrap(),
    ] {
        assert_eq!(id(&form), id(&line), "{form}");
    }
    assert_ne!(id(&line.replace("200", "201")), id(&line));
}

/// Scenario: two requests under one audit id, as a client can arrange.
/// Guarantees: two ids and two request keys; the stages of one request share its key.
#[test]
fn audit_id_is_a_claim() {
    let get = access(&event(json!({"verb": "get", "requestURI": "/a"})));
    let list = access(&event(json!({"verb": "list", "requestURI": "/a"})));
    let started =
        access(&event(json!({"verb": "get", "requestURI": "/a", "stage": "ResponseStarted"})));
    assert_ne!(get.event_id, list.event_id);
    assert_ne!(get.request_key, list.request_key);
    assert_ne!(get.event_id, started.event_id);
    assert_eq!(get.request_key, started.request_key);
}

/// Scenario: the same secret event read under two redaction keys.
/// Guarantees: ids do not depend on a key that rotates; markers do.
#[test]
fn ids_do_not_depend_on_keys() {
    let secret = event(json!({
        "objectRef": {"resource": "secrets"}, "requestURI": "/a?token=s3cr3t",
        "requestObject": {"kind": "Secret", "data": {"p": "czNjcjN0"}},
    }));
    let read_with = |key: u8| {
        let keys = crate::Keys::from_bytes(&[key; 32], [9; 32]);
        with_context(|context| {
            let context = Context { keys: &keys, ..*context };
            super::read(secret.to_string().as_bytes(), &context).unwrap()
        })
    };
    let (one, two) = (read_with(1), read_with(2));
    assert_ne!(one.request_object, two.request_object);
    assert_eq!((one.event_id, one.request_key), (two.event_id, two.request_key));
}

/// Scenario: decisions with and without annotations, as the server writes them.
/// Guarantees: each is what the server decided; a 401 is a refusal by authentication, and nothing else
/// makes a caller unauthenticated.
#[test]
fn decisions_are_read() {
    let check = |annotations: Value, code: i64, expect: Decision, by: Option<&str>| {
        let read =
            access(&event(json!({"annotations": annotations, "responseStatus": {"code": code}})));
        assert_eq!((read.decision, read.decided_by.as_deref()), (expect, by));
    };
    let decided = |decision: &str| json!({"authorization.k8s.io/decision": decision});
    check(decided("allow"), 404, Decision::Allow, None);
    check(decided("forbid"), 403, Decision::Deny, None);
    check(json!({"authorization.k8s.io/reason": "internal error"}), 500, Decision::Error, None);
    check(Value::Null, 401, Decision::Deny, Some("authentication"));
    check(decided("allow"), 401, Decision::Allow, None);
    let kind = |code: i64| access(&event(json!({"responseStatus": {"code": code}}))).identity_kind;
    assert_eq!((kind(401), kind(200)), (IdentityKind::Unauthenticated, IdentityKind::Unknown));
    check(Value::Null, 200, Decision::Unknown, None);
}

/// Scenario: times that are missing, broken, in 1970 and 2262, and an old event with one time.
/// Guarantees: nobody's row is lost, the time is the receipt's, flagged, with the claim kept; the id
/// stays the same whenever it is received.
#[test]
fn unbelievable_times_are_flagged() {
    let check = |time: Value, suspect: bool| {
        let with = event(json!({"requestReceivedTimestamp": time, "stageTimestamp": null}));
        let read = access(&with);
        assert_eq!(read.time_suspect, Some(suspect), "{time}");
        assert_eq!(read.claimed_time.as_deref(), time.as_str().filter(|_| suspect));
        let later = with_context(|context| {
            let context = Context { received: context.received.plus(1), ..*context };
            super::read(with.to_string().as_bytes(), &context).unwrap()
        });
        assert_eq!(later.event_id, read.event_id);
    };
    check(json!("2026-11-23T17:56:57Z"), false);
    check(json!("1970-01-01T00:00:00Z"), true);
    check(json!("2262-04-11T23:47:16Z"), true);
    check(json!("soon"), true);
    check(Value::Null, true);
    let old = event(json!({
        "apiVersion": "audit.k8s.io/v1beta1", "timestamp": "2018-09-26T20:18:57Z",
        "requestReceivedTimestamp": null, "stageTimestamp": null,
    }));
    let old = access(&old);
    assert_eq!(Some(old.time), Time::parse("2018-09-26T20:18:57Z"));
    assert_eq!(old.unmapped.unwrap().as_str(), r#"{"apiVersion":"audit.k8s.io/v1beta1"}"#);
}

/// Scenario: items that are no audit events, or whose fields have other types.
/// Guarantees: a reject with a reason each, and the events beside them.
#[test]
fn what_is_no_event_is_a_reject() {
    let check = |item: &str, reason: &str| {
        let good = event(json!({})).to_string();
        let reading = reading(&format!("[{good},{item},{good}]"));
        let rejected: Vec<_> =
            reading.rejects.iter().map(|r| (r.reason.as_str(), r.position.as_deref())).collect();
        assert_eq!(
            (reading.accesses.len(), rejected),
            (2, vec![(reason, Some("item 2"))]),
            "{item}"
        );
    };
    check("7", "wrong_type");
    check("{}", "not_an_audit_event");
    check(r#"{"kind":0}"#, "not_an_audit_event");
    check(r#"{"kind":"Event","apiVersion":"v1","auditID":"a","stage":"s"}"#, "not_an_audit_event");
    check(&event(json!({"auditID": 5})).to_string(), "wrong_type");
    check(&event(json!({"user": "eve"})).to_string(), "wrong_type");
    check(&event(json!({"sourceIPs": 7})).to_string(), "wrong_type");
    check(&event(json!({"annotations": []})).to_string(), "wrong_type");
    check(r#"{"auditID":nope}"#, "not_json");
}

/// Scenario: a body nested deeper than is read, by a client who wants to hide an event.
/// Guarantees: the event is a row; only the body is left out.
#[test]
fn deep_bodies_hide_nothing() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let line = event(json!({"requestObject": "deep"})).to_string().replace("\"deep\"", &deep);
    let read = &reading(&line).accesses[0];
    assert_eq!(
        read.request_object.as_ref().unwrap().as_str(),
        format!("\"{}\"", fields::UNREADABLE)
    );
}

/// Scenario: U+0000, hostile markup and bytes that the server replaced, in names and agents.
/// Guarantees: they are kept as they are; whoever shows them escapes them.
#[test]
fn hostile_text_is_kept() {
    let read = access(&event(
        json!({"objectRef": {"resource": "roles", "name": "a\u{0}<!channel>\u{202e}"}, "userAgent": "caf\u{fffd}"}),
    ));
    assert_eq!(read.object_name.as_deref(), Some("a\u{0}<!channel>\u{202e}"));
    assert_eq!(read.user_agent.as_deref(), Some("caf\u{fffd}"));
}

/// Scenario: requests that are only tried, told in the query, also encoded, or in the body of a deletion, which the
/// server believes alone; a deletion whose body is not logged.
/// Guarantees: what is known is known, other requests are no dry runs, and where the body would decide nothing is.
#[test]
fn dry_runs_are_seen() {
    let dry = |verb: &str, uri: &str, level: &str, body: Value| {
        access(&event(
            json!({"verb": verb, "requestURI": uri, "level": level, "requestObject": body}),
        ))
        .dry_run
    };
    let (no, tried, done) =
        (Value::Null, json!({"dryRun": ["All"]}), json!({"gracePeriodSeconds": 0}));
    assert_eq!(dry("create", "/a?x=1&dryRun=All", "Request", json!({"kind": "Pod"})), Some(true));
    assert_eq!(dry("create", "/a?%64ryRun=All", "Metadata", no.clone()), Some(true));
    assert_eq!(dry("create", "/a?dryRun=", "Request", json!({"kind": "Pod"})), Some(false));
    assert_eq!(dry("delete", "/a", "Request", tried.clone()), Some(true));
    assert_eq!(dry("delete", "/a?dryRun=All", "Request", done), Some(false));
    assert_eq!(dry("deletecollection", "/a?dryRun=All", "Request", no.clone()), Some(true));
    assert_eq!(dry("delete", "/a?dryRun=All", "Metadata", no.clone()), None);
    assert_eq!(dry("delete", "/a", "Metadata", no), Some(false));
}

/// Scenario: a token minted by a server that writes no annotation for it.
/// Guarantees: the token's id is known, the token is not.
#[test]
fn minted_ids_are_read_from_tokens() {
    // {"jti":"7"} between two more parts.
    let token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJqdGkiOiI3In0.c2lnbmF0dXJl";
    let read = access(&event(
        json!({"responseObject": {"kind": "TokenRequest", "status": {"token": token}}}),
    ));
    assert_eq!(read.issued_credential_id, Some("JTI=7".into()));
    assert!(!read.response_object.unwrap().as_str().contains("eyJ"));
}

/// Scenario: EKS lets in a session of AWS, a static key, and something that is no key; and a token.
/// Guarantees: the key is the credential, of its kind, as CloudTrail names it; a token's id goes first.
#[test]
fn access_keys_of_eks_are_credentials() {
    let check = |extra: Value, id: Option<&str>, kind: Option<CredentialKind>| {
        let read = access(&event(json!({"user": {"username": "arn:aws:sts::1:assumed-role/web/s",
            "extra": extra}})));
        let found = read.credential_id.as_ref().map(CredentialId::as_str);
        assert_eq!((found, read.credential_kind), (id, kind));
    };
    let session = "ASIAIOSFODNN7EXAMPLE";
    check(json!({"accessKeyId": [session]}), Some(session), Some(CredentialKind::CloudSession));
    check(json!({"accessKeyId": session}), Some(session), Some(CredentialKind::CloudSession));
    let key = "AKIAIOSFODNN7EXAMPLE";
    check(json!({"accessKeyId": [key]}), Some(key), Some(CredentialKind::CloudStaticKey));
    check(json!({"accessKeyId": ["x"]}), None, None);
    let both = json!({"accessKeyId": [session],
        "authentication.kubernetes.io/credential-id": ["JTI=1"]});
    check(both, Some("JTI=1"), Some(CredentialKind::OidcToken));
}

/// Scenario: refusals without annotations: by the authorizer of old servers, of paths, by admission.
/// Guarantees: what the authorizer says is a refusal; what admission says is not known to be one.
#[test]
fn old_servers_refuse_in_words() {
    let check = |message: &str, code: i64, expect: Decision| {
        let row = access(&event(json!({"user": {"username": "eve"},
            "responseStatus": {"code": code, "reason": "Forbidden", "message": message}})));
        assert_eq!((row.decision, row.decided_by), (expect, None), "{message}");
    };
    let pods = r#"pods is forbidden: User "eve" cannot list resource "pods" in API group """#;
    check(pods, 403, Decision::Deny);
    check(r#"forbidden: User "eve" cannot get path "/metrics""#, 403, Decision::Deny);
    check(r#"User "eve" cannot list pods in the namespace "web""#, 403, Decision::Deny);
    check(r#"pods "a" is forbidden: violates PodSecurity "restricted""#, 403, Decision::Unknown);
    check(r#"pods "User "eve" cannot" is forbidden: no"#, 403, Decision::Unknown);
    check(pods, 500, Decision::Unknown);
}

/// Scenario: objects of v1alpha1, whose version has the group before it, and of later versions.
/// Guarantees: group and version by themselves.
#[test]
fn old_versions_name_their_group() {
    let check = |object: Value, group: &str, version: &str| {
        let row =
            access(&event(json!({"apiVersion": "audit.k8s.io/v1alpha1", "objectRef": object})));
        let found = (row.api_group.as_deref(), row.api_version.as_deref());
        assert_eq!(found, (Some(group), Some(version)), "{object}");
    };
    check(json!({"resource": "deployments", "apiVersion": "apps/v1beta1"}), "apps", "v1beta1");
    check(json!({"resource": "pods", "apiVersion": "v1"}), "", "v1");
    check(json!({"resource": "x", "apiGroup": "apps", "apiVersion": "v1"}), "apps", "v1");
}

/// Scenario: an event in the line of a container runtime, of Docker, of a shipper of logs, and in a
/// document of Elasticsearch.
/// Guarantees: the same row as by itself, and the format is recognised.
#[test]
fn wrapped_lines_are_the_event() {
    let event = event(json!({"verb": "get", "requestURI": "/api"}));
    let expect = access(&event);
    for line in [
        format!("2026-11-23T17:56:57.5Z stdout F {event}"),
        format!("<134>Nov 23 17:56:57 cp-1 kube-apiserver[7]: {event}"),
        json!({"log": format!("{event}\n"), "stream": "stdout", "time": "2026-11-23T17:56:57.5Z"})
            .to_string(),
        json!({"message": event.to_string(), "@timestamp": "x"}).to_string(),
        json!({"_index": "audit", "_source": event}).to_string(),
        json!({"labels": {"job": "a"}, "line": event.to_string(), "timestamp": "x"}).to_string(),
        json!({"__CURSOR": "x", "MESSAGE": event.to_string()}).to_string(),
        json!({"preview": false, "result": {"_raw": event.to_string()}}).to_string(),
        json!({"event": event, "sourcetype": "x", "time": 7}).to_string(),
        json!({"_id": "x", "attributes": event, "source": "x"}).to_string(),
        json!({"id": "x", "content": {"attributes": event}}).to_string(),
        json!({"message": event, "timestamp": 7}).to_string(),
    ] {
        assert_eq!(Format::detect(line.as_bytes()), Some(Format::KubeAudit), "{line}");
        assert_eq!(reading(&line).accesses, std::slice::from_ref(&expect), "{line}");
    }
    assert_eq!(reading(r#"{"log":"ready"}"#).rejects[0].reason, "not_an_audit_event");
}

/// Scenario: what exporters make of times, numbers and lists.
/// Guarantees: the same columns as the server's own forms give.
#[test]
fn exporters_change_types() {
    let columns = |more: Value| {
        let row = access(&event(more));
        assert_eq!(row.time_suspect, Some(false));
        (row.time, row.status_code, row.source_ip, row.groups, row.duration_us)
    };
    let expect = columns(json!({"responseStatus": {"code": 200}, "sourceIPs": ["10.0.0.7"],
        "user": {"username": "eve", "groups": ["g"]}}));
    let told = columns(json!({"responseStatus": {"code": "200"}, "sourceIPs": "10.0.0.7",
        "user": {"username": "eve", "groups": ["g", null]},
        "requestReceivedTimestamp": "2026-11-23T17:56:57.403991",
        "stageTimestamp": 1_795_456_617_406_635_i64}));
    assert_eq!(told, expect);
}

/// Scenario: events in text, as API servers write the legacy format today and wrote it in 2017, with
/// placeholders, and an agent that looks like more fields; the answer of a server before 1.7; YAML.
/// Guarantees: the columns that the same event has in JSON; the rest are rejects with a hint.
#[test]
fn legacy_text_is_read() {
    let today = "2026-11-23T17:56:57.403991Z AUDIT: id=\"a-1\" stage=\"ResponseComplete\" ip=\"10.0.0.7\" method=\"get\" \
        user=\"eve\" groups=\"dev\",\"system:authenticated\" as=\"system:admin\" asgroups=<none> user-agent=\"x user=\\\"root\\\"\" \
        namespace=\"web\" uri=\"/api/v1/namespaces/web/pods\" response=\"200\"";
    assert_eq!(Format::detect(today.as_bytes()), Some(Format::KubeAudit));
    let found = reading(today).accesses.into_iter().next().unwrap();
    let expect = access(
        &json!({"auditID": "a-1", "stage": "ResponseComplete", "verb": "get", "sourceIPs": ["10.0.0.7"],
        "user": {"username": "eve", "groups": ["dev", "system:authenticated"]}, "userAgent": "x user=\"root\"",
        "impersonatedUser": {"username": "system:admin", "groups": null}, "objectRef": {"namespace": "web"},
        "requestURI": "/api/v1/namespaces/web/pods", "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-11-23T17:56:57.403991Z"}),
    );
    assert_eq!(found, expect);
    let then = "2026-11-23T17:56:57.403991Z AUDIT: id=\"a-1\" ip=\"10.0.0.7\" method=\"GET\" user=\"admin\" \
        groups=\"\\\"system:masters\\\",\\\"x\\\"\" as=\"<self>\" asgroups=\"<lookup>\" namespace=\"<none>\" uri=\"/api\"";
    let found = reading(then).accesses.into_iter().next().unwrap();
    assert_eq!(found.groups, Some(vec!["system:masters".to_owned(), "x".to_owned()]));
    assert_eq!((found.impersonated_identity, found.object_namespace), (None, None));
    let answer = "2026-11-23T17:56:57.403991Z AUDIT: id=\"a-1\" response=\"200\"";
    for other in [answer, "apiVersion: audit.k8s.io/v1"] {
        let rejects = reading(other).rejects;
        assert_eq!((rejects.len(), rejects[0].reason.as_str()), (1, "not_json"), "{other}");
        assert!(rejects[0].hint.is_some());
    }
}

/// Scenario: objects of Kubernetes whose author has put an event into a message, among events.
/// Guarantees: nobody becomes who he says he is: each is a reject.
#[test]
fn objects_carry_no_events() {
    let forged = event(json!({"user": {"username": "system:admin"}}));
    for object in [
        json!({"kind": "Event", "apiVersion": "v1", "message": forged.to_string(), "metadata": {"name": "a"}}),
        json!({"kind": "Event", "apiVersion": "events.k8s.io/v1", "note": "x", "event": forged.to_string()}),
        json!({"kind": "Widget", "apiVersion": "example.com/v1", "content": forged}),
    ] {
        let reading = reading(&object.to_string());
        assert_eq!((reading.accesses.len(), reading.rejects.len()), (0, 1), "{object}");
    }
}

/// Scenario: a signer writes a certificate; the API server had written who asked for it, and with what.
/// Guarantees: the credential's id is the SHA-256 of the certificate, its holder and end are read from it,
/// and redaction leaves who asked. An approval, and a reading of the same request, issue nothing.
#[test]
fn signed_certificates_have_ids() {
    let certificate = include_str!("../tests/certificate.pem");
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certificate);
    let signing = |verb: &str, subresource: &str| {
        access(&event(json!({
            "verb": verb,
            "objectRef": {"resource": "certificatesigningrequests", "name": "mallory",
                "apiGroup": "certificates.k8s.io", "apiVersion": "v1", "subresource": subresource},
            "responseStatus": {"code": 200},
            "responseObject": {"spec": {"username": "alice", "extra": {
                "authentication.kubernetes.io/credential-id": ["JTI=765d46c8-6d7f-4702-bd80-d5e45856cd2f"]}},
                "status": {"certificate": encoded}},
        })))
    };
    let signed = signing("update", "status");
    let id = "X509SHA256=d3a248b1ea2d69b72e8d6832f83ad7fd4669cff69e4b0e8b393f5809a454727e";
    assert_eq!(signed.issued_credential_id, Some(id.into()));
    assert_eq!(signed.issued_to.as_deref(), Some("mallory"));
    assert_eq!(signed.issued_expires_time.unwrap().to_string(), "2036-11-27T02:35:52.000000Z");
    let kept = signed.response_object.unwrap().0;
    assert!(kept.contains("JTI=765d46c8-6d7f-4702-bd80-d5e45856cd2f"), "{kept}");
    assert_eq!(signing("update", "approval").issued_credential_id, None);
    assert_eq!(signing("get", "").issued_credential_id, None);
}

/// Scenario: a client puts bytes that are no text into a patch, which the API server audits as it came: in an event by
/// itself, and in a list.
/// Guarantees: the event is read; the texts that are none are left out, and the values of such names.
#[test]
fn bytes_that_are_no_text_hide_nothing() {
    let event = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","verb":"patch","requestURI":"/x","user":{"username":"eve"},"requestObject":{"metadata":{"annotations":{"x":"a?b","pass?word":"hunter2"}},"subjects":[{"kind":"User","name":"eve"}]}}"#;
    let event: Vec<u8> =
        event.iter().map(|byte| if *byte == b'?' { 0xff } else { *byte }).collect();
    let list =
        [br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":["#, &event[..], b"]}"]
            .concat();
    for input in [event, list] {
        let found = with_context(|context| read(Format::KubeAudit, &input, context));
        assert_eq!((found.accesses.len(), found.rejects.len()), (1, 0), "{found:?}");
        let body = found.accesses[0].request_object.as_ref().unwrap().as_str();
        assert!(body.contains("unreadable") && body.contains("eve"), "{body}");
        assert!(found.accesses[0].truncated && !format!("{found:?}").contains("hunter2"));
    }
}
