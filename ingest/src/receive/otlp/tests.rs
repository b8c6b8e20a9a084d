use std::io::Write;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::Client;
use serde_json::{Value, json};
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::super::senders::{Mismatch, Name, Sender, Senders};
use super::super::{otlp_grpc, otlp_http};
use super::*;
use crate::IntakeSettings;
use crate::lab::{self, Open, receipts, rows};
use crate::log::LogSettings;

fn door(cluster: Option<&str>) -> OtlpSettings {
    OtlpSettings {
        source: "otlp".into(),
        cluster: cluster.map(Into::into),
        tls: None,
        hosts: Vec::new(),
    }
}

async fn http(log: LogSettings, settings: IntakeSettings) -> Open {
    Open::door(log, settings, |listener, intake, close| {
        otlp_http::serve(listener, door(None), intake, close)
    })
    .await
}

async fn grpc(log: LogSettings, settings: IntakeSettings) -> Open {
    Open::door(log, settings, |listener, intake, close| {
        otlp_grpc::serve(listener, door(Some("shop")), intake, close)
    })
    .await
}

async fn traces(door: &Open) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(door.url("")).await.unwrap()
}

fn spans(count: usize) -> ExportTraceServiceRequest {
    let span = |index: usize| Span {
        name: format!("span {index}"),
        trace_id: vec![1; 16],
        span_id: index.to_be_bytes().to_vec(),
        start_time_unix_nano: 1_795_456_613_800_247_744,
        end_time_unix_nano: 1_795_456_613_800_248_744,
        ..Span::default()
    };
    let spans = (0..count).map(span).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Settings under which nothing is ever durable.
fn full() -> LogSettings {
    LogSettings { budget_bytes: 0, ..LogSettings::default() }
}

/// Scenario: exports by a gRPC client, plain, gzip, zstd, empty, and as an API server sent them.
/// Guarantees: OK without a partial success when the spans are in the log, with the door's cluster.
#[tokio::test]
async fn grpc_takes_every_compression() {
    let door = grpc(LogSettings::default(), IntakeSettings::default()).await;
    let mut client = traces(&door).await;
    let answer = client.export(spans(3)).await.unwrap().into_inner();
    assert_eq!(answer.partial_success, None);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        traces(&door).await.send_compressed(encoding).export(spans(2)).await.unwrap();
    }
    client.export(spans(0)).await.unwrap();
    let found = rows(&door.records());
    assert_eq!((found.spans.len(), found.rejects.len()), (7, 0));
    assert!(found.spans.iter().all(|span| span.cluster.as_deref() == Some("shop")));
    assert_eq!(receipts(&door.records()).len(), 4);
    if let Some(recorded) = lab::recorded("samples", "otlp-export.pb") {
        let request = ExportTraceServiceRequest::decode(recorded.as_slice()).unwrap();
        client.export(request).await.unwrap();
        assert!(rows(&door.records()).spans.len() > 300);
    }
}

/// Scenario: the same by HTTP, protobuf and JSON, each compression, and an audit event in a log.
/// Guarantees: 200 in the coding of the request, empty when nothing was rejected.
#[tokio::test]
async fn http_takes_every_coding() {
    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    let protobuf = spans(2).encode_to_vec();
    let json = serde_json::to_vec(&spans(2)).unwrap();
    for (kind, plain, empty) in
        [("application/x-protobuf", protobuf, ""), ("application/json; charset=utf-8", json, "{}")]
    {
        let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
        for (encoding, body) in
            [("identity", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd)]
        {
            let answer = post(&door, "/v1/traces", kind, encoding, body).await;
            assert_eq!(
                (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
                (200, kind.split(';').next().unwrap())
            );
            assert_eq!(answer.text().await.unwrap(), empty, "{kind} {encoding}");
        }
    }
    let event = r#"{"auditID":"a","stage":"ResponseComplete","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#;
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": event}}]}]}]});
    post(&door, "/v1/logs", "application/json", "identity", logs.to_string().into()).await;
    for (path, body) in [("/v1/metrics", "{}"), ("/v1/metrics", "")] {
        assert_eq!(
            post(&door, path, "application/json", "identity", body.into()).await.status(),
            200
        );
    }
    let found = rows(&door.records());
    assert_eq!((found.spans.len(), found.accesses.len(), found.logs.len()), (12, 1, 0));
}

async fn post(
    door: &Open,
    path: &str,
    kind: &str,
    encoding: &str,
    body: Vec<u8>,
) -> reqwest::Response {
    let request = Client::new().post(door.url(path)).header("content-type", kind);
    let request = request.header("user-agent", "collector").header("content-encoding", encoding);
    request.body(body).send().await.unwrap()
}

/// Scenario: one bad span between good ones.
/// Guarantees: a partial success counts it, by both doors; the good ones are in the log.
#[tokio::test]
async fn partial_success_counts_rejects() {
    let good = json!({"name": "x"});
    let request =
        json!({"resourceSpans": [{"scopeSpans": [{"spans": [good, {"name": 7}, good]}]}]});
    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    let answer =
        post(&door, "/v1/traces", "application/json", "identity", request.to_string().into()).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
    let found = rows(&door.records());
    assert_eq!((found.spans.len(), found.rejects.len()), (2, 1));

    let mut broken = spans(3).encode_to_vec();
    let at = memchr::memmem::find(&broken, b"span 1").unwrap();
    broken[at] = 0xff;
    let answer =
        post(&door, "/v1/traces", "application/x-protobuf", "identity", broken.clone()).await;
    let answer =
        opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse::decode(
            answer.bytes().await.unwrap(),
        )
        .unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);

    // A client of generated code cannot send such a span, so the frame is written by hand.
    let door = grpc(LogSettings::default(), IntakeSettings::default()).await;
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(broken.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&broken);
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = client
        .post(door.url(path))
        .header("content-type", "application/grpc")
        .body(frame)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.bytes().await.unwrap().len() > 5);
    assert_eq!(rows(&door.records()).spans.len(), 2);
}

async fn refused(door: &Open, count: usize) -> Status {
    traces(door).await.export(spans(count)).await.unwrap_err()
}

/// Scenario: a log that is full, no room for the body, and one that takes too long.
/// Guarantees: UNAVAILABLE with RetryInfo, 429 with Retry-After: all of it comes again; the refusals
/// are counted.
#[tokio::test]
async fn load_is_shed_so_that_it_comes_again() {
    let door = grpc(full(), IntakeSettings::default()).await;
    let status = refused(&door, 1).await;
    assert_eq!(status.code(), Code::Unavailable);
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!((1..=5).contains(&wait.as_secs()), "{wait:?}");

    let door = http(full(), IntakeSettings::default()).await;
    let answer = post(&door, "/v1/traces", "application/json", "identity", b"{}".to_vec()).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()),
        (429, "2")
    );

    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    let all = door.intake.take_all_room();
    let body = spans(1).encode_to_vec();
    let send = async || {
        post(&door, "/v1/traces", "application/x-protobuf", "identity", body.clone()).await.status()
    };
    assert_eq!(send().await, 429);
    drop(all);
    assert_eq!(send().await, 200);
    assert_eq!(receipts(&door.records())[0].refused, 1);
}

/// Scenario: there is no room, and Envoy, who never tries again, sends.
/// Guarantees: it is waited for, and taken when room comes back in time.
#[tokio::test]
async fn envoy_is_refused_last() {
    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    let all = door.intake.take_all_room();
    let request =
        Client::new().post(door.url("/v1/traces")).header("content-type", "application/x-protobuf");
    let request = request
        .header("user-agent", "OTel-OTLP-Exporter-Envoy/abc/1.40.0")
        .body(spans(1).encode_to_vec());
    let sent = tokio::spawn(request.send());
    // A request of somebody else is refused meanwhile: Envoy's is waiting, or not there yet.
    let other = post(&door, "/v1/traces", "application/json", "identity", b"{}".to_vec()).await;
    assert_eq!(other.status(), 429);
    drop(all);
    assert_eq!(sent.await.unwrap().unwrap().status(), 200);
    assert!(never_retries(None) && !never_retries(Some("OTel OTLP Exporter Go/1.34.0")));
}

/// Scenario: what can never be taken: garbage, bombs, too large, unknown compression, other calls.
/// Guarantees: the answer says so, none of them is INTERNAL or 500, and garbage is kept as a reject.
#[tokio::test]
async fn what_can_never_be_taken_is_told() {
    let small = IntakeSettings { request_bytes: 1 << 20, ..IntakeSettings::default() };
    let door = http(LogSettings::default(), small.clone()).await;
    let check = async |path: &str, kind: &str, encoding: &str, body: Vec<u8>, expect: u16| {
        let answer = post(&door, path, kind, encoding, body).await;
        assert_eq!(answer.status().as_u16(), expect, "{path} {kind} {encoding}");
    };
    let (protobuf, json) = ("application/x-protobuf", "application/json");
    let bomb = gzip(&vec![0; 20 << 20]);
    check("/v1/traces", json, "identity", b"{".to_vec(), 400).await;
    check("/v1/traces", json, "identity", b"[]".to_vec(), 400).await;
    check("/v1/logs", protobuf, "identity", b"garbage".to_vec(), 400).await;
    check("/v1/logs", protobuf, "gzip", b"garbage".to_vec(), 400).await;
    check("/v1/logs", protobuf, "gzip", bomb.clone(), 413).await;
    check("/v1/logs", protobuf, "identity", vec![0; 2 << 20], 413).await;
    check("/v1/logs", protobuf, "snappy", vec![0], 415).await;
    check("/v1/logs", "text/plain", "identity", vec![0], 415).await;
    check("/v1/nothing", json, "identity", vec![], 404).await;
    assert_eq!(Client::new().get(door.url("/v1/traces")).send().await.unwrap().status(), 405);
    assert_eq!(rows(&door.records()).rejects.len(), 3);

    let door = grpc(LogSettings::default(), small).await;
    assert_eq!(refused(&door, 100_000).await.code(), Code::ResourceExhausted);
    LogsServiceClient::connect(door.url("")).await.unwrap().export(
        opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest::default(),
    ).await.unwrap();
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let other = client.post(door.url("/other.Service/Call")).body("").send().await.unwrap();
    assert_eq!(other.headers()["grpc-status"], "12");
    for body in [&b""[..], b"\0\0\0\0\x09short", b"\0\0\0\0\x07garbage"] {
        let answer = client
            .post(door.url(path))
            .header("content-type", "application/grpc")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["grpc-status"], "3", "{body:?}");
    }
}

/// A resource that names a cluster, with one audit event in a log record, in JSON.
fn claiming(cluster: Option<&str>) -> String {
    let event = r#"{"auditID":"a","stage":"ResponseComplete","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#;
    let claim =
        cluster.map(|name| json!({"key": "k8s.cluster.name", "value": {"stringValue": name}}));
    let attributes: Vec<Value> = claim.into_iter().collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": attributes},
        "scopeLogs": [{"logRecords": [{"body": {"stringValue": event}}]}],
    }]})
    .to_string()
}

/// Scenario: a sender with one cluster in the map, and one that is not in it, whose common name reads like the
/// first one's URI, send rows of the first's cluster, of another's and of nobody's, and of none.
/// Guarantees: the certificate decides; what is another's is a reject, or is kept with what it claimed where
/// that is configured; who sent it and what it claimed is in the row.
#[tokio::test]
async fn certificates_decide_the_cluster() {
    const ID: &str = "spiffe://corp.example/prod";
    let authority = lab::authority();
    let of = |mismatch| {
        let sender = |uri: &str, cluster: &str| Sender {
            name: Name::Uri(uri.into()),
            clusters: [cluster.to_owned()].into(),
            source: Some(format!("{cluster}-otlp")),
        };
        Senders::new(vec![sender(ID, "prod"), sender("spiffe://corp.example/dev", "dev")], mismatch)
    };
    let known = authority.identity_of(&[ID], "x");
    let forged = authority.identity_of(&[], ID);
    let subject = format!("subject:CN={ID},O=prod");
    for (mismatch, identity, claimed, expected) in [
        (
            Mismatch::Refuse,
            &known,
            Some("prod"),
            Some((Some("prod"), "prod-otlp", "uri:spiffe://corp.example/prod")),
        ),
        (
            Mismatch::Refuse,
            &known,
            None,
            Some((Some("prod"), "prod-otlp", "uri:spiffe://corp.example/prod")),
        ),
        (Mismatch::Refuse, &known, Some("dev"), None),
        (
            Mismatch::Keep,
            &known,
            Some("dev"),
            Some((Some("prod"), "prod-otlp", "uri:spiffe://corp.example/prod")),
        ),
        (Mismatch::Refuse, &forged, Some("prod"), None),
        (Mismatch::Keep, &forged, Some("prod"), Some((None, "otlp", subject.as_str()))),
        (Mismatch::Refuse, &forged, Some("lab"), Some((Some("lab"), "otlp", subject.as_str()))),
    ] {
        let settings = OtlpSettings { tls: Some(authority.door()), ..door(None) };
        let intake = IntakeSettings { senders: of(mismatch), ..IntakeSettings::default() };
        let open = Open::door(LogSettings::default(), intake, |listener, intake, close| {
            otlp_http::serve(listener, settings, intake, close)
        });
        let open = open.await;
        let url = format!("https://localhost:{}/v1/logs", open.address.port());
        let client = authority.client(open.address).identity(identity.clone()).build().unwrap();
        let sent = client.post(url).header("content-type", "application/json");
        let answer = sent.body(claiming(claimed)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let found = rows(&open.records());
        let told = found.accesses.first().map(|access| {
            assert_eq!(access.claimed_cluster.as_deref(), claimed);
            (access.cluster.as_deref(), access.source.as_str(), access.sender.as_deref().unwrap())
        });
        assert_eq!(told, expected, "{mismatch:?} {claimed:?}");
        let reasons: Vec<&str> =
            found.rejects.iter().map(|reject| reject.reason.as_str()).collect();
        let refused: &[&str] = if expected.is_none() { &["not_its_cluster"] } else { &[] };
        assert_eq!(reasons, refused);
    }
}

/// Scenario: requests of some hundred bytes that become millions of records, points, values and copies of a
/// resource, in protobuf and JSON, by both doors.
/// Guarantees: each is refused before any of it is made; no row of it is in the log.
#[tokio::test]
async fn what_bytes_become_is_weighed() {
    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    let field = |number: u8, content: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost::encoding::encode_varint(content.len() as u64, &mut out);
        [out, content.to_vec()].concat()
    };
    let items = |items: &[u8]| field(1, &field(2, items));
    let records = items(&b"\x12\0".repeat(1_000_000));
    let points = items(&field(2, &field(5, &b"\x0a\0".repeat(1_000_000))));
    let resource = field(1, &field(1, &field(1, &vec![b'x'; 100 << 10])));
    let copies = field(1, &[resource, field(2, &b"\x12\0".repeat(10_000))].concat());
    let large = field(1, &field(1, &field(1, &vec![b'x'; 1 << 20])));
    let empty = |count| {
        format!(
            r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{}{{}}]}}]}}]}}"#,
            "{},".repeat(count)
        )
    };
    let numbers = format!(r#"{{"x":[{}0]}}"#, "0,".repeat(3_000_000));
    let (protobuf, json) = ("application/x-protobuf", "application/json");
    for (name, path, kind, body, expected) in [
        ("records", "/v1/logs", protobuf, records.clone(), 413),
        ("points", "/v1/metrics", protobuf, points, 413),
        ("copies of a resource", "/v1/logs", protobuf, copies, 413),
        ("a resource", "/v1/logs", protobuf, [large, items(b"\x12\0")].concat(), 400),
        ("records in JSON", "/v1/logs", json, empty(400_000).into_bytes(), 413),
        ("numbers in JSON", "/v1/logs", json, numbers.into_bytes(), 413),
    ] {
        let answer = post(&door, path, kind, "gzip", gzip(&body)).await;
        assert_eq!(answer.status().as_u16(), expected, "{name}");
    }
    // What can never be read is kept as a reject.
    let found = rows(&door.records());
    assert_eq!((found.items(), found.rejects.len()), (1, 1));

    let door = grpc(LogSettings::default(), IntakeSettings::default()).await;
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(records.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&records);
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let call = client.post(door.url(path)).header("content-type", "application/grpc");
    assert_eq!(call.body(frame).send().await.unwrap().headers()["grpc-status"], "8");
    assert!(door.records().is_empty());
}

/// Scenario: one item with more values than are read of one, between others; a body with a list of many empty
/// events in it.
/// Guarantees: the first is one reject, and its neighbours are rows; of the second as many are read as may be,
/// and one reject says so.
#[tokio::test]
async fn what_one_item_becomes_is_bounded() {
    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    let pairs = vec![opentelemetry_proto::tonic::common::v1::KeyValue::default(); 1_100_000];
    let record = |attributes| opentelemetry_proto::tonic::logs::v1::LogRecord {
        attributes,
        ..Default::default()
    };
    let scope = opentelemetry_proto::tonic::logs::v1::ScopeLogs {
        log_records: vec![record(vec![]), record(pairs), record(vec![])],
        ..Default::default()
    };
    let resource = opentelemetry_proto::tonic::logs::v1::ResourceLogs {
        scope_logs: vec![scope],
        ..Default::default()
    };
    let request = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest {
        resource_logs: vec![resource],
    };
    let body = gzip(&request.encode_to_vec());
    assert_eq!(post(&door, "/v1/logs", "application/x-protobuf", "gzip", body).await.status(), 200);
    let found = rows(&door.records());
    assert_eq!((found.logs.len(), found.rejects.len()), (2, 1));
    assert_eq!(found.rejects[0].reason, "too_large");

    let event = r#"{"auditID":"a","stage":"ResponseComplete","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#;
    let many = format!(r#"{{"items":[{event},{}{{}}]}}"#, "{},".repeat(30_000));
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": many}}]}]}]});
    let answer = post(&door, "/v1/logs", "application/json", "identity", logs.to_string().into());
    assert_eq!(answer.await.status(), 200);
    let found = rows(&door.records());
    assert_eq!(found.accesses.len(), 1);
    assert!((20_000..20_010).contains(&found.rejects.len()), "{}", found.rejects.len());
    assert!(found.rejects.iter().any(|reject| reject.reason == "too_many"));
}

/// Scenario: frames of zstd of a few bytes, which ask for windows of 32 and of 128 MiB.
/// Guarantees: the first is read, as the Collector's best level writes it; the other is refused.
#[tokio::test]
async fn windows_of_zstd_are_bounded() {
    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    // Magic number, no flags, the window's exponent less ten, and one last block of two bytes as they are.
    let frame = |log: u8| [b"\x28\xb5\x2f\xfd\0", &[(log - 10) << 3][..], b"\x11\0\0{}"].concat();
    for (log, expected) in [(25, 200), (27, 400)] {
        let answer = post(&door, "/v1/logs", "application/json", "zstd", frame(log)).await;
        assert_eq!(answer.status().as_u16(), expected, "{log}");
    }
}

/// Scenario: bodies that stop coming, by both doors.
/// Guarantees: they are answered so that an exporter sends again.
#[tokio::test]
async fn slow_bodies_come_again() {
    let hasty = IntakeSettings {
        body_grace: std::time::Duration::from_millis(50),
        ..IntakeSettings::default()
    };
    let never = || {
        let first = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        let stream = futures::StreamExt::chain(first, futures::stream::pending());
        let stream = futures::StreamExt::map(stream, |part| part.map(hyper::body::Frame::data));
        reqwest::Body::wrap(http_body_util::StreamBody::new(stream))
    };
    let door = http(LogSettings::default(), hasty.clone()).await;
    let sent = Client::new().post(door.url("/v1/logs")).header("content-type", "application/json");
    let answer = sent.body(never()).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"2".parse().unwrap())
    );
    let door = grpc(LogSettings::default(), hasty).await;
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let call = client.post(door.url(path)).header("content-type", "application/grpc");
    let answer = call.body(never()).send().await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "14");
    assert!(answer.headers().contains_key("grpc-status-details-bin"));
}

/// Scenario: calls of gRPC as a page in a browser could send them: over HTTP/1.1, or with another type of
/// content; and requests by HTTP from another host and origin.
/// Guarantees: nothing of them is kept.
#[tokio::test]
async fn pages_add_no_rows() {
    let door = grpc(LogSettings::default(), IntakeSettings::default()).await;
    let path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let http_2 = Client::builder().http2_prior_knowledge().build().unwrap();
    for (client, kind) in [(Client::new(), "application/grpc"), (http_2, "text/plain")] {
        let call = client.post(door.url(path)).header("content-type", kind);
        assert_eq!(call.body(vec![0; 5]).send().await.unwrap().headers()["grpc-status"], "3");
    }
    assert!(door.records().is_empty());
    let door = http(LogSettings::default(), IntakeSettings::default()).await;
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let sent =
            Client::new().post(door.url("/v1/logs")).header("content-type", "application/json");
        let answer = sent.header(name, value).body("{}").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{name}");
    }
    assert!(door.records().is_empty());
}
