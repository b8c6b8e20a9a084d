use std::collections::HashSet;
use std::io;

use durward_schemas::ids::EventId;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::{Client, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::senders::{Mismatch, Name, Sender, Senders};
use super::*;
use crate::lab::{self, Open, receipts, rows};
use crate::log::LogSettings;
use crate::receive::TlsSettings;
use crate::{IntakeSettings, format};

const PATIENCE: std::time::Duration = std::time::Duration::from_hours(1);
const EVENT: &str = r#"{"auditID":"a","stage":"ResponseComplete","verb":"get","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#;

async fn open_with(log: LogSettings, settings: IntakeSettings, tls: Option<DoorTls>) -> Open {
    let webhook = WebhookSettings { source: "audit".into(), tls, hosts: Vec::new() };
    Open::door(log, settings, |listener, intake, close| serve(listener, webhook, intake, close))
        .await
}

async fn open() -> Open {
    open_with(LogSettings::default(), IntakeSettings::default(), None).await
}

async fn post(door: &Open, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let url = door.url("/v1/k8s-audit/shop?timeout=30s");
    Client::new()
        .post(url)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap()
}

/// Scenario: every batch that a real API server sent in a recording, bodies with tokens and Secrets
/// included, posted again; then once more.
/// Guarantees: each is answered 200 when its rows are in the log; they are among the file's, under
/// the same ids; nothing in the log holds a token.
#[tokio::test]
async fn recorded_batches_are_taken() {
    let Some(frames) = lab::frames("c-careless", "webhook.frames.zst") else { return };
    let Some(file) = lab::recorded("c-careless", "audit.jsonl.zst") else { return };
    let door = open().await;
    for frame in &frames {
        assert_eq!(frame.head["answered"], "200");
        assert_eq!(post(&door, frame.body.clone()).await.status(), StatusCode::OK);
    }
    let context = door.intake.context(Some("shop"), "audit");
    let file = format::read(format::Format::KubeAudit, &file, &context);
    let ids: HashSet<&EventId> = file.accesses.iter().map(|access| &access.event_id).collect();
    let records = door.records();
    let found = rows(&records);
    assert!(found.rejects.is_empty() && found.accesses.len() + 100 > ids.len());
    assert!(found.accesses.iter().all(|access| ids.contains(&access.event_id)));
    assert!(found.accesses.iter().all(|access| access.cluster.as_deref() == Some("shop")));
    let items: i64 = receipts(&records).iter().map(|receipt| receipt.items).sum();
    assert_eq!(
        (receipts(&records).len(), items),
        (frames.len(), i64::try_from(found.items()).unwrap())
    );
    let kept = format!("{records:?}");
    assert!(!kept.contains("eyJhbGciOi"), "a token is in the log");
}

/// Scenario: batches with a bad item, without any good one, that are no JSON, empty, in chunks.
/// Guarantees: 200 each, what can be read is rows, the rest rejects; a sender never tries again for
/// what is in a batch.
#[tokio::test]
async fn no_batch_is_refused_for_its_content() {
    let check = async |body: String, expect: (usize, usize)| {
        let door = open().await;
        let chunks: Vec<_> = body.as_bytes().chunks(7).map(bytes::Bytes::copy_from_slice).collect();
        let chunks = chunks.into_iter().map(|chunk| Ok::<_, io::Error>(Frame::data(chunk)));
        let chunked = reqwest::Body::wrap(StreamBody::new(futures::stream::iter(chunks)));
        for answer in [post(&door, body.clone()).await, post(&door, chunked).await] {
            assert_eq!(answer.status(), StatusCode::OK, "{body}");
        }
        let found = rows(&door.records());
        let found = (found.accesses.len() / 2, found.rejects.len() / 2);
        assert_eq!(found, expect, "{body}");
    };
    check(format!(r#"{{"kind":"EventList","items":[{EVENT},{{"kind":0}},{EVENT}]}}"#), (2, 1))
        .await;
    check(format!(r#"{{"items":[{EVENT},nope,{EVENT}]}}"#), (2, 1)).await;
    check(r#"{"kind":0}"#.into(), (0, 1)).await;
    check("not json".into(), (0, 1)).await;
    check(format!(r#"{{"items":[{EVENT},"#), (1, 1)).await;
    check(String::new(), (0, 0)).await;
    check(r#"{"kind":"EventList","items":[]}"#.into(), (0, 0)).await;
}

/// Scenario: a batch of 29 MB with one event of 9 MB in its middle, which a long text makes so large, and with
/// something as large behind it that is no event.
/// Guarantees: 200, and every item is a row: the large one is cut, and told as that; what is no event is a reject with
/// its length.
#[tokio::test]
async fn large_batches_are_taken_in_parts() {
    // However slow the machine is: what is proven is that the batch is taken apart.
    let patient = IntakeSettings { webhook_within: PATIENCE, ..IntakeSettings::default() };
    let door = open_with(LogSettings::default(), patient, None).await;
    let padded = |bytes: usize| {
        EVENT.replacen('{', &format!(r#"{{"note":"{}","#, "a ".repeat(bytes / 2)), 1)
    };
    let mut items = vec![padded(1 << 20); 20];
    items.insert(10, padded(9 << 20));
    items.push(format!(r#"{{"note":"{}"}}"#, "a ".repeat(9 << 19)));
    let answer = post(&door, format!(r#"{{"items":[{}]}}"#, items.join(","))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let records = door.records();
    let found = rows(&records);
    assert_eq!((found.accesses.len(), found.rejects.len()), (21, 1));
    assert_eq!(found.accesses.iter().filter(|row| row.truncated).count(), 1);
    assert_eq!(
        (found.rejects[0].reason.as_str(), found.rejects[0].position.as_deref()),
        ("too_large", Some("item 22"))
    );
    assert!(found.rejects[0].byte_length > 9 << 20);
    assert_eq!(receipts(&records)[0].items, 22);
}

/// Scenario: a log that is full, and more requests under way than there is room for.
/// Guarantees: 503 with `Retry-After: 30` at once, nothing kept, and the refusals are told by the
/// next receipt.
#[tokio::test]
async fn load_is_shed_politely() {
    let full = LogSettings { budget_bytes: 0, ..LogSettings::default() };
    let door = open_with(full, IntakeSettings::default(), None).await;
    let answer = post(&door, EVENT).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "30");
    assert!(door.records().is_empty());

    let door = open().await;
    let all = door.intake.take_all_room();
    for _ in 0..2 {
        assert_eq!(post(&door, EVENT).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    drop(all);
    assert_eq!(post(&door, EVENT).await.status(), StatusCode::OK);
    assert_eq!(receipts(&door.records())[0].refused, 2);
}

/// Scenario: other paths, methods and codings.
/// Guarantees: each is told what is wrong; none of them can carry a batch of an API server.
#[tokio::test]
async fn other_requests_are_told() {
    let door = open().await;
    let client = Client::new();
    let status =
        async |request: reqwest::RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(client.post(door.url("/v1/k8s-audit/"))).await, 404);
    assert_eq!(status(client.post(door.url("/"))).await, 404);
    assert_eq!(status(client.get(door.url("/v1/k8s-audit/shop"))).await, 405);
    assert_eq!(status(client.post(door.url("/v1/k8s-audit/a%0Ab"))).await, 400);
    let gzip = client.post(door.url("/v1/k8s-audit/shop")).header("content-encoding", "gzip");
    assert_eq!(status(gzip).await, 415);
    assert!(door.records().is_empty());
}

/// Scenario: the door is told to close while a batch is half sent.
/// Guarantees: the batch is finished and answered 200, then the door is closed.
#[tokio::test]
async fn batches_under_way_are_finished() {
    let door = open().await;
    let address = door.address;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        EVENT.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The door asks for the body only when the request has begun.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 Continue"));
    let (served, log, _dir) = door.begin_close();
    stream.write_all(EVENT.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    served.await.unwrap();
    assert_eq!(rows(&lab::records(&log)).accesses.len(), 1);
    assert!(TcpStream::connect(address).await.is_err());
}

/// Scenario: TLS with client certificates, asked by clients with and without one, and in clear.
/// Guarantees: only the one with a certificate is heard, over HTTP/2.
#[tokio::test]
async fn tls_asks_for_client_certificates() {
    let authority = lab::authority();
    let tls = authority.door();
    let door =
        open_with(LogSettings::default(), IntakeSettings::default(), Some(tls.clone())).await;
    let url = format!("https://localhost:{}/v1/k8s-audit/shop", door.address.port());
    let client = || authority.client(door.address);
    let known = client().identity(authority.identity()).build().unwrap();
    let answer = known
        .post(&url)
        .header("content-type", "application/json")
        .body(EVENT)
        .send()
        .await
        .unwrap();
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, reqwest::Version::HTTP_2));
    assert!(client().build().unwrap().post(&url).body(EVENT).send().await.is_err());
    assert!(Client::new().post(door.url("/v1/k8s-audit/shop")).body(EVENT).send().await.is_err());
    assert_eq!(rows(&door.records()).accesses.len(), 1);
}

/// Scenario: files that are missing, hold something else, or belong to something else.
/// Guarantees: each is refused with what is wrong with it, and all at once.
#[test]
fn bad_files_open_no_door() {
    let (authority, other) = (lab::authority(), lab::authority());
    let files = authority.files();
    let check = |files: TlsSettings, expected: &[&str]| {
        let errors = DoorTls::load(&files).unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{told:?}");
        }
    };
    assert!(DoorTls::load(&files).is_ok());
    let none = || std::path::PathBuf::from("/nowhere/tls.pem");
    let missing = TlsSettings { certificate: none(), key: none(), client_ca: Some(none()) };
    check(missing, &["reading PEM file /nowhere/tls.pem"; 3]);
    check(TlsSettings { key: files.certificate.clone(), ..files.clone() }, &["tls.pem"]);
    let other = TlsSettings { key: other.files().key, ..files.clone() };
    check(other, &["is not that of the certificate in"]);
    let empty = Some(files.key.clone());
    check(TlsSettings { client_ca: empty, ..files }, &["there is no certificate in it"]);
}

/// Scenario: a door whose certificate is replaced while it is open, asked before and after.
/// Guarantees: it shows the certificate of that time; the door stays open.
#[tokio::test]
async fn certificates_are_replaced_while_the_door_is_open() {
    let (authority, other) = (lab::authority(), lab::authority());
    let tls = authority.door();
    let door =
        open_with(LogSettings::default(), IntakeSettings::default(), Some(tls.clone())).await;
    let url = format!("https://localhost:{}/v1/k8s-audit/shop", door.address.port());
    let heard = async |authority: &lab::Authority| {
        let client = authority.client(door.address).identity(authority.identity());
        client.build().unwrap().post(&url).body(EVENT).send().await.is_ok()
    };
    assert_eq!((heard(&authority).await, heard(&other).await), (true, false));
    tls.replace(&other.door());
    assert_eq!((heard(&authority).await, heard(&other).await), (false, true));
}

/// Scenario: a batch of events of three bytes, many times more rows than bytes.
/// Guarantees: 200, every one of them is a reject, and no content of the log holds more than it may.
#[tokio::test]
async fn small_items_are_appended_in_parts() {
    let patient = IntakeSettings { webhook_within: PATIENCE, ..IntakeSettings::default() };
    let door = open_with(LogSettings::default(), patient, None).await;
    let count = 2 * seal::MAX_ROWS + 1;
    let body = format!(r#"{{"items":[{}{{}}]}}"#, "{},".repeat(count - 1));
    assert_eq!(post(&door, body).await.status(), StatusCode::OK);
    let records = door.records();
    assert_eq!(rows(&records).rejects.len(), count);
    assert_eq!(receipts(&records)[0].items, i64::try_from(count).unwrap());
    assert_eq!(records.len(), 4, "three parts and the receipt");
}

/// Scenario: a sender with a cluster in the map, and one that is in no map, post batches of both clusters.
/// Guarantees: only its own is taken from the first, and none of a mapped cluster from the other; that it was
/// tried is kept; where that is configured it is kept with what was claimed.
#[tokio::test]
async fn certificates_decide_the_cluster() {
    let authority = lab::authority();
    let known = authority.identity_of(&["spiffe://corp.example/prod"], "x");
    let other = authority.identity_of(&["spiffe://corp.example/other"], "x");
    let check = async |mismatch,
                       identity: &reqwest::Identity,
                       path: &str,
                       expect: (u16, Option<Option<&str>>)| {
        let name = Name::Uri("spiffe://corp.example/prod".into());
        let sender = Sender { name, clusters: ["prod".to_owned()].into(), source: None };
        let senders = Senders::new(vec![sender], mismatch);
        let settings = IntakeSettings { senders, ..IntakeSettings::default() };
        let door = open_with(LogSettings::default(), settings, Some(authority.door())).await;
        let url = format!("https://localhost:{}/v1/k8s-audit/{path}", door.address.port());
        let client = authority.client(door.address).identity(identity.clone()).build().unwrap();
        let sent = client.post(url).header("content-type", "application/json");
        let status = sent.body(EVENT).send().await.unwrap().status().as_u16();
        let found = rows(&door.records());
        let cluster = found.accesses.first().map(|access| {
            assert_eq!(access.claimed_cluster.as_deref(), Some(path));
            assert!(access.sender.as_deref().unwrap().starts_with("uri:spiffe://corp.example/"));
            access.cluster.as_deref()
        });
        assert_eq!((status, cluster), expect, "{path}");
        let reasons: Vec<&str> =
            found.rejects.iter().map(|reject| reject.reason.as_str()).collect();
        assert_eq!(reasons.contains(&"not_its_cluster"), status == 403, "{reasons:?}");
    };
    let refuse = Mismatch::Refuse;
    check(refuse, &known, "prod", (200, Some(Some("prod")))).await;
    check(refuse, &known, "shop", (403, None)).await;
    check(refuse, &other, "prod", (403, None)).await;
    check(refuse, &other, "shop", (200, Some(Some("shop")))).await;
    check(Mismatch::Keep, &other, "prod", (200, Some(None))).await;
    check(Mismatch::Keep, &known, "shop", (200, Some(Some("prod")))).await;
}

/// Scenario: the files of a door's certificate, key and authorities change: to others that fit, then to a
/// certificate without its key, then back; a client keeps its connection throughout.
/// Guarantees: what fits is in force without being told, also for the connection that is open: whoever is of
/// an authority that is gone is not heard again; what does not fit changes nothing, and is said once.
#[tokio::test]
async fn files_of_certificates_are_read_again() {
    let (authority, other) = (lab::authority(), lab::authority());
    let files = authority.files();
    let before = std::fs::read(&files.key).unwrap();
    let tls = authority.door();
    let door =
        open_with(LogSettings::default(), IntakeSettings::default(), Some(tls.clone())).await;
    let url = format!("https://localhost:{}/v1/k8s-audit/shop", door.address.port());
    let client = |authority: &lab::Authority| {
        authority.client(door.address).identity(authority.identity()).build().unwrap()
    };
    let heard = async |client: &Client| {
        let sent = client.post(&url).header("content-type", "application/json").body(EVENT);
        sent.send().await.is_ok()
    };
    let kept = client(&authority);
    assert!(heard(&kept).await && !tls.read_again().unwrap());
    let ca = files.client_ca.clone().unwrap();
    for (to, from) in [
        (&files.certificate, other.files().certificate),
        (&files.key, other.files().key),
        (&ca, other.files().client_ca.unwrap()),
    ] {
        std::fs::copy(from, to).unwrap();
    }
    assert!(tls.read_again().unwrap());
    // What is under way is finished; the connection ends then.
    let mut more = 0;
    while more < 100 && heard(&kept).await {
        more += 1;
    }
    assert!(more < 100 && heard(&client(&other)).await);
    std::fs::write(&files.key, before).unwrap();
    assert!(tls.read_again().is_err() && !tls.read_again().unwrap());
    assert!(heard(&client(&other)).await);
}
