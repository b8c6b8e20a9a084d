use std::collections::BTreeSet;
use std::io::Read;

use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, IdentityKind};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::json;

use super::super::{Format, read};
use super::*;
use crate::lab;
use crate::lab::with_context;

fn reading(input: &[u8]) -> Reading {
    with_context(|context| read(Format::Otlp, input, context))
}

/// The requests of a folder of `requests.jsonl` and `bodies.bin`: path, headers, body decompressed.
pub(in crate::format) fn requests(folder: &str) -> Option<Vec<(Value, Vec<u8>)>> {
    let folder = lab::lab()?.join("mesh/recordings").join(folder);
    let heads = std::fs::read_to_string(folder.join("requests.jsonl")).unwrap();
    let bodies = std::fs::read(folder.join("bodies.bin")).unwrap();
    let request = |line: &str| {
        let head: Value = serde_json::from_str(line).unwrap();
        let at = |key: &str| usize::try_from(head[key].as_u64().unwrap()).unwrap();
        let body = &bodies[at("offset")..at("offset") + at("length")];
        let mut plain = Vec::new();
        match head["encoding"].as_str().unwrap() {
            "gzip" => assert!(
                flate2::read::MultiGzDecoder::new(body).read_to_end(&mut plain).unwrap() > 0
            ),
            "zstd" => plain = zstd::decode_all(body).unwrap(),
            _ => plain = body.to_vec(),
        }
        (head, plain)
    };
    Some(heads.lines().map(request).collect())
}

/// Scenario: one audit file through the Collector as text and as map, in protobuf and JSON, and the
/// file itself.
/// Guarantees: the same accesses under the same ids by every way; the one line that is no event is a
/// reject of the file, and a log record like any other of the Collector's.
#[test]
fn collector_and_file_agree() {
    let Some(lab) = lab::lab() else { return };
    let file = std::fs::read(lab.join("mesh/recordings/otelcol/audit.input.log")).unwrap();
    let ids = |reading: Reading| {
        assert_eq!(reading.logs.len() + reading.rejects.len(), 1);
        reading.accesses.into_iter().map(|access| access.event_id).collect::<BTreeSet<_>>()
    };
    let expect = ids(with_context(|context| read(Format::KubeAudit, &file, context)));
    for way in [
        "grpc-gzip-string",
        "grpc-none-string",
        "grpc-zstd-string",
        "http-json-gzip-map",
        "http-json-none-map",
        "http-json-zstd-map",
        "http-proto-gzip-map",
        "http-proto-none-map",
        "http-proto-zstd-map",
    ] {
        let found = requests(&format!("otelcol/{way}")).unwrap();
        let found: BTreeSet<_> = found.iter().flat_map(|(_, body)| ids(reading(body))).collect();
        assert_eq!(found, expect, "{way}");
    }
    assert_eq!(expect.len(), 88);
}

/// Scenario: every request of two Envoys, logs, traces and metrics.
/// Guarantees: as many rows as items were sent, no reject; each log record is an access, and none is
/// a log too. Nobody whose handshake failed is anybody, whatever the certificate said.
#[test]
fn envoys_are_accounted_for() {
    let Some(requests) = requests("story-json/otlp") else { return };
    let mut all = Reading::default();
    for (_, body) in &requests {
        all.merge(reading(body));
    }
    let counts = (all.logs.len(), all.spans.len(), all.metrics.len(), all.rejects.len());
    assert_eq!(counts, (0, 2125, 1997, 0));
    let years = all.metrics.iter().filter_map(|metric| metric.start_time);
    assert!(years.map(|time| time.to_string()).all(|time| time.starts_with("2026-")));
    assert_eq!(all.accesses.len(), 863 + 602 + 278);
    let ids: BTreeSet<_> = all.accesses.iter().map(|access| &access.event_id).collect();
    assert_eq!(ids.len(), all.accesses.len());
    let refused: Vec<_> = all
        .accesses
        .iter()
        .filter(|access| access.decision == Decision::Deny && access.status_code.is_none())
        .collect();
    // labels.jsonl: 11 without a certificate, 2 expired, 2 of another trust domain.
    assert_eq!(refused.len(), 15);
    let is_nobody = |access: &&Access| access.identity.is_none() && access.credential_id.is_none();
    assert!(refused.iter().all(is_nobody));
    let claims = refused.iter().filter(|access| {
        access.unmapped.as_ref().is_some_and(|rest| rest.as_str().contains("source.principal"))
    });
    assert_eq!(claims.count(), 4);
    let served = all.accesses.iter().filter(|access| access.identity.is_some()).collect::<Vec<_>>();
    assert!(served.iter().all(|access| access.identity_kind == IdentityKind::Spiffe));
    assert!(served.iter().all(|access| access.credential_id.is_some()));
    assert!(all.accesses.iter().filter(|a| a.verb.is_some()).all(|a| a.claimed_trace_id.is_some()));
}

/// Scenario: the certificates that peers of two Envoys showed, and those that the SPIRE server signed.
/// Guarantees: each is known by one id on both sides, though one writes serial numbers in hexadecimal
/// and the other in decimal.
#[test]
fn shown_certificates_are_signed_ones() {
    let Some(requests) = requests("story-json/otlp") else { return };
    let shown: BTreeSet<CredentialId> = requests
        .iter()
        .flat_map(|(_, body)| reading(body).accesses)
        .filter_map(|access| access.credential_id)
        .collect();
    let files = lab::mesh("story-json/spire", "spire-server.log").unwrap();
    let server = with_context(|context| read(Format::Spire, &files[0].1, context));
    let signed: BTreeSet<_> =
        server.accesses.into_iter().filter_map(|access| access.issued_credential_id).collect();
    assert_eq!(shown.difference(&signed).collect::<Vec<_>>(), Vec::<&CredentialId>::new());
    // Two more had expired: what a refused handshake showed is no credential.
    assert_eq!(shown.len(), 22);
}

/// Scenario: what two Envoys sent, directly and through a Collector that batches both.
/// Guarantees: the same rows under the same ids by both ways.
#[test]
fn envoys_and_collector_agree() {
    let Some(direct) = requests("story-json/otlp") else { return };
    let ids = |requests: &[(Value, Vec<u8>)]| {
        let mut all = Reading::default();
        for (_, body) in requests {
            all.merge(reading(body));
        }
        assert_eq!((all.rejects.len(), all.logs.len()), (0, 0));
        let accesses = all.accesses.into_iter().map(|row| row.event_id);
        let spans = all.spans.into_iter().map(|row| row.event_id);
        let metrics = all.metrics.into_iter().map(|row| row.event_id);
        accesses.chain(spans).chain(metrics).collect::<BTreeSet<_>>()
    };
    let direct = ids(&direct);
    let collected = ids(&requests("otelcol/fanin-grpc-gzip").unwrap());
    let missing = direct.difference(&collected).count();
    let strange = collected.difference(&direct).count();
    assert_eq!((missing, strange), (0, 0), "of {}", direct.len());
}

/// Scenario: one log record of each kind that two Envoys sent.
/// Guarantees: every column reads as the snapshot says.
#[test]
fn notable_records_read_as_recorded() {
    let Some(requests) = requests("story-json/otlp") else { return };
    let mut kinds = std::collections::BTreeMap::new();
    for (_, body) in &requests {
        for access in reading(body).accesses {
            let reason = access.decision_reason.clone().unwrap_or_default();
            let side = format!("{:?} {:?} {reason}", access.stage, access.peer_identity.is_some());
            kinds.entry(side).or_insert(access);
        }
    }
    insta::assert_snapshot!(lab::told(&kinds.into_values().collect::<Vec<_>>()));
}

/// Scenario: the lines of a SPIRE server through the Collector, and the file itself.
/// Guarantees: accesses under the same ids by both ways; the other lines are log records.
#[test]
fn spire_and_collector_agree() {
    let Some(files) = lab::mesh("story-json/spire", "spire-server.log") else { return };
    let file = with_context(|context| read(Format::Spire, &files[0].1, context));
    let mut all = Reading::default();
    for (_, body) in requests("otelcol/spire-string-grpc-gzip").unwrap() {
        all.merge(reading(&body));
    }
    let ids = |reading: &Reading| {
        reading.accesses.iter().map(|access| access.event_id.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&all), ids(&file));
    assert_eq!((all.logs.len(), all.rejects.len()), (file.logs.len(), 0));
    assert_eq!(all.items(), lab::lines(&files[0].1));
}

/// Scenario: the API server's own spans, and spans of workloads in JSON lines.
/// Guarantees: every span is a row with its audit id, links and pod.
#[test]
fn spans_of_recordings_are_rows() {
    let Some(frames) = lab::frames("c-careless", "otlp.frames.zst") else { return };
    let Some(lines) = lab::recorded("c-careless", "client-spans.jsonl.zst") else { return };
    let mut all = Reading::default();
    for frame in &frames {
        all.merge(reading(&frame.body));
    }
    assert!(all.rejects.is_empty() && all.spans.len() > 10_000, "{}", all.spans.len());
    let audited = all.spans.iter().filter(|span| span.audit_id.is_some()).count();
    assert!(audited > 5_000, "{audited}");
    assert!(all.spans.iter().any(|span| span.links.is_some()));
    let clients = reading(&lines);
    assert_eq!(
        clients.spans.len(),
        lines.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).count()
    );
    assert!(clients.spans.iter().all(|span| span.pod_uid.is_some() && span.kind == "client"));
}

/// Scenario: the examples of the OTLP specification.
/// Guarantees: every field that has a column is in it.
#[test]
fn examples_of_the_specification_read() {
    let Some(data) = std::env::var_os("DURWARD_SHARED_DATA") else {
        return {
            use std::io::Write;
            // The runner swallows what print macros say in a test that passes.
            writeln!(std::io::stderr(), "skipped: DURWARD_SHARED_DATA is not set")
                .expect("standard error");
        };
    };
    let mut all = Reading::default();
    for name in ["trace.json", "logs.json", "metrics.json"] {
        let path = std::path::Path::new(&data).join("otlp/examples").join(name);
        all.merge(reading(&std::fs::read(path).unwrap()));
    }
    insta::assert_debug_snapshot!(all);
}

fn one_span(more: Value) -> Reading {
    let mut span = json!({"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
        "name": "x", "startTimeUnixNano": "1795456613800247744", "endTimeUnixNano": 1_795_456_613_825_230_866_u64});
    let Value::Object(more) = more else { panic!("not an object") };
    span.as_object_mut().unwrap().extend(more);
    let good = json!({"name": "good"});
    reading(
        json!({"resourceSpans": [{"scopeSpans": [{"spans": [good, span, good]}]}]})
            .to_string()
            .as_bytes(),
    )
}

/// Scenario: JSON with nulls, upper-case ids, numbers as texts, unknown fields and values.
/// Guarantees: read as the specification says.
#[test]
fn json_is_read_leniently() {
    for more in [
        json!({"attributes": null, "links": null, "status": null, "parentSpanId": null, "zzz": 1}),
        json!({"attributes": [{"key": "a", "value": {"futureValue": {"x": 1}}}, {"key": "b", "value": null}, null]}),
        json!({"events": [{"timeUnixNano": "5", "name": "e", "attributes": []}], "flags": 257, "droppedLinksCount": 1}),
    ] {
        let reading = one_span(more.clone());
        assert_eq!(reading.rejects, [], "{more}");
        assert_eq!(reading.spans[1].trace_id, "5b8efff798038103d269b633813fc60c");
        assert_eq!(reading.spans[1].duration_ns, 24_983_122);
    }
    for empty in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":null}"#] {
        let items = with_context(|context| {
            let mut reading = Reading::default();
            let document = Document::parse(empty.as_bytes()).unwrap();
            document.read(Signal::Traces, context, &mut reading, &mut |_| true);
            reading.items()
        });
        assert_eq!(items, 0);
    }
}

/// Scenario: one bad span between two good ones, in JSON and in protobuf, and inputs that are none.
/// Guarantees: one reject, two rows; or one reject.
#[test]
fn bad_items_stand_alone() {
    for more in [json!({"traceId": "zz"}), json!({"name": 7}), json!({"startTimeUnixNano": "soon"})]
    {
        let reading = one_span(more);
        assert_eq!((reading.spans.len(), reading.rejects.len()), (2, 1));
        assert_eq!(reading.rejects[0].position.as_deref(), Some("item 2"));
    }
    let span = |name: &str| Span { name: name.into(), trace_id: vec![1; 16], ..Span::default() };
    let spans = vec![span("good"), span("CUT-HERE"), span("good")];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    let mut bytes = request.encode_to_vec();
    let at = memchr::memmem::find(&bytes, b"CUT-HERE").unwrap();
    bytes[at] = 0xff;
    let reading = with_context(|context| {
        let mut reading = Reading::default();
        read_protobuf(Signal::Traces, &bytes, context, &mut reading, &mut |_| true).unwrap();
        reading
    });
    assert_eq!((reading.spans.len(), reading.rejects.len()), (2, 1));
    for bad in ["{", "{\"a\":1}", "\n\u{ff}garbage", "7"] {
        let reading = self::reading(bad.as_bytes());
        assert_eq!((reading.items(), reading.rejects.len()), (1, 1), "{bad}");
    }
}

fn log_record(body: any_value::Value) -> Value {
    let body = AnyValue { value: Some(body) };
    json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{
        "body": serde_json::to_value(body).unwrap(),
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
    }]}]}]})
}

/// Scenario: audit events in a body as text, bytes, list, cut text; texts that only speak of them.
/// Guarantees: events are accesses with the trace as a claim; what was cut is a reject; the rest are logs.
#[test]
fn audit_events_are_found_in_bodies() {
    use any_value::Value::{BytesValue, StringValue};
    let event = r#"{"auditID":"a","stage":"ResponseComplete","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#;
    let check = |body: any_value::Value, expect: (usize, usize, usize)| {
        let reading = reading(log_record(body.clone()).to_string().as_bytes());
        let found = (reading.accesses.len(), reading.logs.len(), reading.rejects.len());
        assert_eq!(found, expect, "{body:?}");
        let claims: Vec<_> =
            reading.accesses.iter().filter_map(|a| a.claimed_trace_id.as_deref()).collect();
        assert!(claims.iter().all(|claim| *claim == "5b8efff798038103d269b633813fc60c"));
    };
    check(StringValue(event.into()), (1, 0, 0));
    check(StringValue(Value::from(event).to_string()), (1, 0, 0));
    check(BytesValue(event.into()), (1, 0, 0));
    check(StringValue(format!(r#"{{"kind":"EventList","items":[{event},{event}]}}"#)), (2, 0, 0));
    check(StringValue(event.split_at(event.len() - 9).0.into()), (0, 0, 1));
    check(StringValue("saw auditID a at stage ResponseComplete".into()), (0, 1, 0));
    check(StringValue(r#"{"msg":"see auditID"}"#.into()), (0, 1, 0));
    let attribute = |key: &str, value: &str| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(StringValue(value.into())) }),
        ..KeyValue::default()
    };
    // Vector and Fluent Bit make a map of what they read, and leave the line in it.
    let carried = KeyValueList { values: vec![attribute("message", event)] };
    check(any_value::Value::KvlistValue(carried), (1, 0, 0));
    let spread = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes": [
        serde_json::to_value(attribute("auditID", "a")).unwrap(),
        serde_json::to_value(attribute("stage", "ResponseComplete")).unwrap(),
        serde_json::to_value(attribute("requestReceivedTimestamp", "2026-11-23T17:56:57Z")).unwrap(),
        serde_json::to_value(attribute("log.file.name", "audit.log")).unwrap(),
    ]}]}]}]});
    let spread = reading(spread.to_string().as_bytes());
    let line = with_context(|context| read(Format::KubeAudit, event.as_bytes(), context));
    assert_eq!(spread.accesses[0].event_id, line.accesses[0].event_id);
}

/// Scenario: a line of each mesh format in a body as text, bytes and map, and texts that only look so.
/// Guarantees: an access under the id of its native door, once, with whose record it was; else a log.
#[test]
fn native_lines_are_found_in_bodies() {
    use any_value::Value::{BytesValue, StringValue};
    let in_record = |body: Value| {
        json!({"resourceLogs": [{"resource": {"attributes": [{"key": "k8s.node.name", "value": {"stringValue": "p-1"}}]},
            "scopeLogs": [{"logRecords": [{"body": body, "timeUnixNano": "1795456613800247744"}]}]}]})
    };
    let body =
        |value: any_value::Value| serde_json::to_value(AnyValue { value: Some(value) }).unwrap();
    for (format, line) in [
        (
            Format::Envoy,
            r#"{"start_time":"2026-11-23T17:41:37Z","response_flags":"DC","response_code":200}"#,
        ),
        (
            Format::Envoy,
            "[2026-11-23T17:41:37Z] \"GET / HTTP/1.1\" 200 - 0 3 1 0 \"-\" \"x\" \"7\" \"h\" \"-\"",
        ),
        (
            Format::Spire,
            r#"{"time":"2026-11-23T17:41:37Z","msg":"API accessed","type":"audit","method":"ListEntries","status":"success"}"#,
        ),
        (
            Format::Spire,
            "time=\"2026-11-23T17:41:37Z\" level=info msg=\"API accessed\" type=audit status=success",
        ),
        (
            Format::Hubble,
            r#"{"flow":{"time":"2026-11-23T17:41:37Z","verdict":"FORWARDED"},"time":"2026-11-23T17:41:37Z"}"#,
        ),
        (
            Format::Vault,
            r#"{"time":"2026-11-23T17:41:37Z","type":"response","request":{"id":"1","operation":"read"}}"#,
        ),
    ] {
        let native = with_context(|context| read(format, line.as_bytes(), context));
        let mut bodies = vec![body(StringValue(line.into())), body(BytesValue(line.into()))];
        if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
            bodies.push(
                json!({"kvlistValue": {"values": fields.iter().map(pair).collect::<Vec<_>>()}}),
            );
        }
        for body in bodies {
            let found = reading(in_record(body).to_string().as_bytes());
            assert_eq!((found.items(), found.accesses.len()), (1, 1), "{line}");
            assert_eq!(found.accesses[0].event_id, native.accesses[0].event_id, "{line}");
            assert!(
                found.accesses[0].unmapped.as_ref().unwrap().as_str().contains("p-1"),
                "{line}"
            );
        }
    }
    for other in [
        "time to go: type=audit",
        r#"{"type":"request","request":{"method":"GET","path":"/"}}"#,
        r#"{"flow":"of things","verdict":1}"#,
        r#"{"level":"info","msg":"hello","subsystem_name":"api"}"#,
        "[2026-11-23 17:41:37.697][12][info][main] starting",
        "[1,2,3]",
    ] {
        let found = reading(in_record(body(StringValue(other.into()))).to_string().as_bytes());
        assert_eq!((found.items(), found.logs.len()), (1, 1), "{other}");
    }
}

/// A field of a JSON object as OTLP has it: every number a double, as the Collector makes them.
fn pair((key, value): (&String, &Value)) -> Value {
    let value = match value {
        Value::Object(fields) => {
            json!({"kvlistValue": {"values": fields.iter().map(pair).collect::<Vec<_>>()}})
        }
        Value::Number(number) => json!({"doubleValue": number.as_f64()}),
        other => json!({"stringValue": other}),
    };
    json!({"key": key, "value": value})
}

/// Scenario: spans, records and points with all that has no column, in old names, from two scopes.
/// Guarantees: nothing is lost, the names of today stand beside older ones, and what differs in the
/// scope only is two rows.
#[test]
fn nothing_is_lost() {
    let span = one_span(json!({
        "traceState": "a=b", "droppedEventsCount": 2, "flags": 257,
        "links": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "traceState": "c=d",
            "attributes": [{"key": "k", "value": {"intValue": "7"}}]}],
        "events": [{"timeUnixNano": "1795456613800247744", "name": "exception", "droppedAttributesCount": 1,
            "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}]}],
        "attributes": [
            {"key": "http.status_code", "value": {"stringValue": "403"}},
            {"key": "http.request.header.x-request-id", "value": {"arrayValue": {"values": [{"stringValue": "r-1"}]}}},
            {"key": "upstream.principal", "value": {"stringValue": "spiffe://a/b"}},
            {"key": "source.principal", "value": {"stringValue": "-"}},
            {"key": "nested", "value": {"kvlistValue": {"values": [{"key": "x", "value": {"arrayValue": {}}}]}}},
        ],
    }));
    insta::assert_debug_snapshot!(span.spans[1]);
    let points = |scope: &str| {
        let metric = |data: Value| {
            let mut metric = json!({"name": "m", "unit": "s"});
            metric.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
            metric
        };
        let point = json!({"timeUnixNano": "1795456613800247744", "asInt": "7", "exemplars": [{"asDouble": 0.5,
            "timeUnixNano": "1795456613800247744", "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
            "filteredAttributes": [{"key": "user", "value": {"stringValue": "u"}}]}]});
        json!({"resourceMetrics": [{"scopeMetrics": [{"scope": {"name": scope}, "metrics": [
            metric(json!({"sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [point]}})),
            metric(json!({"exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [{"timeUnixNano": "1795456613800247744",
                "count": "3", "sum": 1.5, "scale": 2, "zeroCount": "1", "zeroThreshold": 0.25,
                "positive": {"offset": 1, "bucketCounts": ["1", "1"]}, "negative": {"offset": 0, "bucketCounts": []}}]}})),
            metric(json!({"summary": {"dataPoints": [{"timeUnixNano": "1795456613800247744", "count": "2", "sum": 3.0,
                "quantileValues": [{"quantile": 0.5, "value": 1.0}]}]}})),
            metric(json!({"futureKind": {}})),
        ]}]}]})
    };
    let [one, two] = ["one", "two"].map(|scope| reading(points(scope).to_string().as_bytes()));
    assert_eq!((one.metrics.len(), one.rejects.len()), (3, 1));
    assert_eq!(one.rejects[0].reason, "no_data");
    assert!(one.metrics.iter().zip(&two.metrics).all(|(one, two)| one.event_id != two.event_id));
    insta::assert_debug_snapshot!(one.metrics);
}

/// Scenario: a record whose trace stands among its attributes, and one from the future.
/// Guarantees: the trace is known; an id does not depend on when a record is received.
#[test]
fn records_of_other_programs() {
    let record = |more: Value| {
        let mut record =
            json!({"timeUnixNano": "1795456613800247744", "body": {"stringValue": "x"}});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).to_string()
    };
    let attribute = json!({"attributes": [{"key": "trace_id", "value": {"stringValue": "5B8EFFF798038103D269B633813FC60C"}}]});
    let log = &reading(record(attribute).as_bytes()).logs[0];
    assert_eq!(log.trace_id.as_deref(), Some("5b8efff798038103d269b633813fc60c"));
    let future = record(json!({"timeUnixNano": "1795700000000000000"}));
    let ids = [0, 10].map(|days| {
        with_context(|context| {
            let received = context.received.plus(days * durward_schemas::time::DAY);
            read(Format::Otlp, future.as_bytes(), &Context { received, ..*context }).logs[0].clone()
        })
    });
    assert_ne!(ids[0].time, ids[1].time);
    assert_eq!(ids[0].event_id, ids[1].event_id);
}

/// Scenario: items with and without a cluster, at listeners that have one, a default, or neither.
/// Guarantees: the listener's word counts before the claim, the claim before the default.
#[test]
fn clusters_by_listener_claim_default() {
    let request = |claim: &str| {
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{claim}]}},"scopeSpans":[{{"spans":[{{"name":"x"}}]}}]}}]}}"#
        )
    };
    let claim = request(r#"{"key":"k8s.cluster.name","value":{"stringValue":"claimed"}}"#);
    let check = |input: &str,
                 cluster: Option<&str>,
                 default_cluster: Option<&str>,
                 expect: Option<&str>| {
        let reading = with_context(|context| {
            read(Format::Otlp, input.as_bytes(), &Context { cluster, default_cluster, ..*context })
        });
        assert_eq!(reading.spans[0].cluster.as_deref(), expect);
    };
    check(&claim, Some("listener"), Some("default"), Some("listener"));
    check(&claim, None, Some("default"), Some("claimed"));
    check(&request(""), None, Some("default"), Some("default"));
    check(&request(""), None, None, None);
}

/// Scenario: an access in the body of a record whose attributes say who asked; other bodies beside
/// other attributes.
/// Guarantees: one access that knows both; what says nothing of an access is none.
#[test]
fn attributes_complete_lines_in_bodies() {
    let read = |body: &str, attributes: Value| {
        let attributes = attributes.as_object().unwrap().iter();
        let attributes: Vec<Value> = attributes
            .map(|(key, text)| json!({"key": key, "value": {"stringValue": text}}))
            .collect();
        let record = json!({"timeUnixNano": "1795455697000000000", "body": {"stringValue": body}, "attributes": attributes});
        let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
        reading(request.to_string().as_bytes())
    };
    let text = "[2026-11-23T17:41:37.000Z] \"GET /a HTTP/1.1\" 403 - rbac_access_denied_matched_policy[none] - \"-\" 0 19 0 - \
        \"-\" \"curl\" \"7\" \"orders\" \"-\" inbound|80|| - 10.0.0.9:80 10.0.0.7:1 - default\n";
    let line = json!({"response_code": 403, "response_code_details": "rbac_access_denied_matched_policy[none]",
        "request_id": "7", "start_time": "2026-11-23T17:41:37.000Z"});
    let who = json!({"source.principal": "spiffe://shop.test/ns/web/sa/frontend"});
    for body in [text, &line.to_string()] {
        let reading = read(body, who.clone());
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{body}");
        let access = &reading.accesses[0];
        assert_eq!(access.service_account.as_deref(), Some("frontend"), "{body}");
        let found = (access.decision, access.status_code, access.request_id.as_deref());
        assert_eq!(found, (Decision::Deny, Some(403), Some("7")));
    }
    for (body, attributes) in [
        (r#"{"method":"GET","path":"/","status":200}"#, json!({})),
        (r#"{"method":"GET","path":"/","status":200}"#, who.clone()),
        ("hello", who),
    ] {
        assert_eq!(read(body, attributes).logs.len(), 1, "{body}");
    }
}

/// A request in JSON with one item of a signal.
fn request_of(signal: Signal, item: &Value) -> Value {
    let [resources, scopes, items] = signal.levels();
    let resource =
        json!({"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]});
    json!({resources: [{"resource": resource, scopes: [{"scope": {"name": "s"}, items: [item]}]}]})
}

/// The same with names as protobuf has them.
fn snake(value: &Value) -> Value {
    let name = |key: &str| {
        key.chars().fold(String::new(), |mut out, c| {
            if c.is_ascii_uppercase() {
                out.push('_');
            }
            out.push(c.to_ascii_lowercase());
            out
        })
    };
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (name(key), snake(value))).collect()
        }
        Value::Array(items) => items.iter().map(snake).collect(),
        other => other.clone(),
    }
}

/// Whether an item gives one row under one id in every form: with names as protobuf has them, with
/// libraries for scopes, and with other values at some places.
fn same(signal: Signal, item: &Value, forms: &[(&str, Value)]) {
    let rows = |request: &Value| {
        let bytes = request.to_string();
        assert_eq!(Format::detect(bytes.as_bytes()), Some(Format::Otlp), "{request}");
        let reading = reading(bytes.as_bytes());
        assert_eq!((reading.items(), reading.rejects.len()), (1, 0), "{request}");
        (reading.spans, reading.logs, reading.metrics)
    };
    let mut item = item.clone();
    if signal != Signal::Metrics {
        item["traceId"] = json!("5b8efff798038103d269b633813fc60c");
        item["spanId"] = json!("eee19b7ec3c1b174");
    }
    let request = request_of(signal, &item);
    let expect = rows(&request);
    assert_eq!(rows(&snake(&request)), expect);
    let old = request.to_string().replace("\"scope\":", "\"instrumentationLibrary\":");
    let old = old.replace("\"scope", "\"instrumentationLibrary");
    assert_eq!(rows(&serde_json::from_str(&old).unwrap()), expect);
    for (pointer, form) in forms {
        let mut item = item.clone();
        *item.pointer_mut(pointer).unwrap() = form.clone();
        assert_eq!(rows(&request_of(signal, &item)), expect, "{pointer} {form}");
    }
}

/// Scenario: one span, log record and metric as OTLP has them in JSON, and as JSON of protobuf may be:
/// names of enums, ids in base64, names with `_`, numbers as texts or doubles, scopes as libraries,
/// and fields of later versions.
/// Guarantees: the same row under the same id, whatever the form.
#[test]
fn forms_of_json_are_one() {
    same(
        Signal::Traces,
        &json!({"name": "GET /", "kind": 2, "startTimeUnixNano": "1795455697000000000", "endTimeUnixNano": "1795455698000000000",
            "status": {"code": 2}, "attributes": [{"key": "n", "value": {"intValue": "5"}}]}),
        &[
            ("/kind", json!("SPAN_KIND_SERVER")),
            ("/kind", json!("2")),
            ("/status/code", json!("STATUS_CODE_ERROR")),
            ("/traceId", json!("W47/95gDgQPSabYzgT/GDA==")),
            ("/traceId", json!("5B8EFFF798038103D269B633813FC60C")),
            ("/spanId", json!("7uGbfsPBsXQ=")),
            ("/startTimeUnixNano", json!(1_795_455_697_000_000_000_i64)),
            ("/startTimeUnixNano", json!(1.795_455_697e18)),
            ("/attributes/0/value/intValue", json!(5)),
            ("/attributes/0/value/intValue", json!(5.0)),
            ("/attributes/0/value", json!({"intValue": 5, "later": {"x": 1}, "newValue": 1})),
        ],
    );
    same(
        Signal::Logs,
        &json!({"timeUnixNano": "1795455697000000000", "severityNumber": 18, "body": {"stringValue": "x"},
            "attributes": [{"key": "d", "value": {"doubleValue": 1.5}}]}),
        &[
            ("/severityNumber", json!("SEVERITY_NUMBER_ERROR2")),
            ("/severityNumber", json!("18")),
            ("/attributes/0/value/doubleValue", json!("1.5")),
            ("/body", json!({"stringValue": "x", "later": [1]})),
        ],
    );
    same(
        Signal::Metrics,
        &json!({"name": "s", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
            {"asInt": "5", "timeUnixNano": "1795455697000000000"}]}}),
        &[
            ("/sum/aggregationTemporality", json!("AGGREGATION_TEMPORALITY_CUMULATIVE")),
            ("/sum/dataPoints/0/asInt", json!(5)),
            ("/sum/dataPoints/0/asInt", json!(5.0)),
        ],
    );
    same(
        Signal::Metrics,
        &json!({"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": [{"count": "3", "sum": 6.5, "min": 1.0,
            "bucketCounts": ["1", "2"], "explicitBounds": [1.0], "timeUnixNano": "1795455697000000000"}]}}),
        &[
            ("/histogram/aggregationTemporality", json!("AGGREGATION_TEMPORALITY_DELTA")),
            ("/histogram/dataPoints/0/bucketCounts", json!([1, 2.0])),
            ("/histogram/dataPoints/0/explicitBounds", json!([1])),
            ("/histogram/dataPoints/0/sum", json!("6.5")),
            ("/histogram/dataPoints/0/count", json!(3)),
        ],
    );
}

/// Scenario: words that no version knows, ids that are none, and doubles that are no numbers.
/// Guarantees: what is unknown is unspecified; a broken id rejects its item only; a double of JSON is
/// the text that it is of protobuf.
#[test]
fn unknown_words_are_unspecified() {
    let span = |kind: &str, id: &str| {
        let span = json!({"name": "x", "kind": kind, "traceId": id, "startTimeUnixNano": "1795455697000000000"});
        reading(request_of(Signal::Traces, &span).to_string().as_bytes())
    };
    assert_eq!(
        span("SPAN_KIND_LATER", "5b8efff798038103d269b633813fc60c").spans[0].kind,
        "unspecified"
    );
    assert_eq!(span("SPAN_KIND_SERVER", "no id").rejects.len(), 1);
    for (double, expect) in [("NaN", "NaN"), ("Infinity", "inf"), ("-Infinity", "-inf")] {
        let record = json!({"timeUnixNano": "1795455697000000000", "attributes": [{"key": "d", "value": {"doubleValue": double}}]});
        let reading = reading(request_of(Signal::Logs, &record).to_string().as_bytes());
        let attributes = reading.logs[0].attributes.as_str();
        assert!(attributes.starts_with(&format!("{{\"d\":\"{expect}\"")), "{attributes}");
    }
}

/// Scenario: a client's bytes that are no text in attributes, in their names, in a resource and in
/// bodies, in protobuf and in JSON, whose signal is named or not.
/// Guarantees: each item is a row; only the broken texts are gone, and the value of a broken name with
/// it; a line of a proxy in such a body is still an access.
#[test]
fn broken_texts_cost_themselves() {
    let pair = |key: &str, text: &str| json!({"key": key, "value": {"stringValue": text}});
    let read = |request: &Value, signal: Option<Signal>| {
        let text = request.to_string();
        let break_it = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at: Vec<usize> = memchr::memmem::find_iter(&bytes, b"~~").collect();
            assert!(!at.is_empty());
            for at in at {
                bytes[at] = 0xff;
            }
            bytes
        };
        let encoded = match signal {
            Some(Signal::Logs) => {
                serde_json::from_str::<ExportLogsServiceRequest>(&text).unwrap().encode_to_vec()
            }
            _ => serde_json::from_str::<ExportTraceServiceRequest>(&text).unwrap().encode_to_vec(),
        };
        [reading(&break_it(text.as_bytes())), reading(&break_it(&encoded))]
    };
    let span = json!({"name": "x", "traceId": "5b8efff798038103d269b633813fc60c", "kind": 2,
        "attributes": [pair("http.target", "/a~~b"), pair("pass~~word", "s3cr3t"), pair("kept", "yes")],
        "events": [{"name": "e", "attributes": [pair("why", "be~~cause")]}]});
    let mut request = request_of(Signal::Traces, &span);
    let resource = &mut request["resourceSpans"][0]["resource"]["attributes"];
    resource.as_array_mut().unwrap().push(pair("host.name", "n~~"));
    for reading in read(&request, None) {
        assert_eq!((reading.spans.len(), reading.items()), (1, 1), "{:?}", reading.rejects);
        let span = &reading.spans[0];
        assert_eq!((span.service.as_deref(), span.kind.as_str()), (Some("orders"), "server"));
        assert!(span.attributes.as_str().contains(r#""kept":"yes""#));
        assert!(!format!("{span:?}").contains("s3cr3t"));
    }
    let line = "[2026-11-23T17:41:37.000Z] \"GET /a HTTP/1.1\" 403 - rbac_access_denied_matched_policy[none] - \"-\" 0 19 0 - \
        \"-\" \"cu~~rl\" \"7\" \"orders\" \"-\" inbound|80|| - 10.0.0.9:80 10.0.0.7:1 - default\n";
    let record = |body: &str| {
        let record = json!({"timeUnixNano": "1795455697000000000", "body": {"stringValue": body}, "attributes": [pair("a", "b~~")]});
        read(&request_of(Signal::Logs, &record), Some(Signal::Logs))
    };
    for reading in record(line) {
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{:?}", reading.rejects);
        assert_eq!(reading.accesses[0].decision, Decision::Deny);
    }
    for (body, expect) in [
        ("hello", "hello"),
        ("login failed pass~~word=s3cr3t", "login failed "),
        ("login failed password=s3c~~s3cr3t", "login failed "),
        (r#"{"level":"info","pass~~word":"s3cr3t"}"#, r#""level":"info""#),
    ] {
        for reading in record(body) {
            assert_eq!((reading.logs.len(), reading.items()), (1, 1));
            let found = reading.logs[0].body.as_deref().unwrap();
            assert!(found.contains(expect) && !found.contains("s3cr3t"), "{found}");
        }
    }
    for reading in record(r#"{"auditID":"7","requestObject":{"pass~~word":"s3cr3t"}}"#) {
        assert_eq!(reading.items(), 1);
        assert!(!format!("{reading:?}").contains("s3cr3t"));
    }
}

/// Scenario: a resource by itself, as Java's exporter for logs writes it, and in a request.
/// Guarantees: the same row, and the format is recognised.
#[test]
fn resources_stand_alone() {
    let alone = json!({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeSpans": [{"scope": {"name": "a"}, "spans": [{"name": "GET", "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174", "startTimeUnixNano": "1795455697000000000"}]}], "schemaUrl": "x"});
    let request = json!({"resourceSpans": [alone]}).to_string();
    let alone = alone.to_string();
    assert_eq!(Format::detect(alone.as_bytes()), Some(Format::Otlp));
    let found = reading(alone.as_bytes());
    assert_eq!((found.spans.len(), found.items()), (1, 1));
    assert_eq!(found, reading(request.as_bytes()));
}
