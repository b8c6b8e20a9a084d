use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::super::webhook::{self, WebhookSettings};
use super::super::{DoorTls, Limits};
use crate::IntakeSettings;
use crate::lab::{self, Open, rows};
use crate::log::LogSettings;

const EVENT: &str = r#"{"auditID":"a","stage":"ResponseComplete","verb":"get","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#;
const HEAD: &str =
    "POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
/// So long that no test comes to its end.
const PATIENCE: Duration = Duration::from_hours(1);
/// So short that every test does.
const SHORT: Duration = Duration::from_millis(50);

async fn open_with(settings: IntakeSettings, tls: Option<DoorTls>) -> Open {
    let webhook = WebhookSettings { source: "audit".into(), tls, hosts: Vec::new() };
    Open::door(LogSettings::default(), settings, |listener, intake, close| {
        webhook::serve(listener, webhook, intake, close)
    })
    .await
}

async fn open(limits: Limits) -> Open {
    open_with(IntakeSettings { limits, body_grace: PATIENCE, ..IntakeSettings::default() }, None)
        .await
}

/// A batch by a client at this address of loopback.
async fn post(door: &Open, from: [u8; 4], body: impl Into<reqwest::Body>) -> StatusCode {
    let client = Client::builder().local_address(IpAddr::from(from)).build().unwrap();
    let sent =
        client.post(door.url("/v1/k8s-audit/shop")).header("content-type", "application/json");
    sent.body(body).send().await.unwrap().status()
}

/// A connection from this address that has said `text`.
async fn say(door: SocketAddr, from: [u8; 4], text: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let mut stream = socket.connect(door).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// All that the door says until it closes the connection.
async fn heard(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too.
    let _end = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

const ONE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

/// Scenario: connections that say nothing, a part of a head, or of the preface of HTTP/2, with TLS and
/// without, and others that go on saying nothing while the door is full.
/// Guarantees: each is ended by the door when its time is over; a full door ends the one that is silent for
/// longest for whoever comes next, who is answered.
#[tokio::test]
async fn the_silent_are_given_up() {
    for tls in [None, Some(lab::authority().door())] {
        let limits = Limits { first_within: SHORT, ..Limits::default() };
        let door = open_with(IntakeSettings { limits, ..IntakeSettings::default() }, tls).await;
        for text in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: localhost\r\nx-"] {
            let answer = heard(say(door.address, ONE, text).await).await;
            assert!(!answer.contains("200 OK"), "{text}: {answer}");
        }
    }
    let limits = Limits { first_within: PATIENCE, connections: 3, ..Limits::default() };
    let door = open(limits).await;
    let mut silent = Vec::new();
    for last in 1..=3 {
        silent.push(say(door.address, [127, 0, 1, last], "").await);
    }
    assert_eq!(post(&door, OTHER, EVENT).await, StatusCode::OK);
    assert_eq!(heard(silent.remove(0)).await, "");
    assert_eq!(rows(&door.records()).accesses.len(), 1);
}

/// Scenario: one address holds as many connections as it may, all of them in the middle of a batch; it opens
/// one more, and another address comes.
/// Guarantees: the one more is closed at once, the other address is answered.
#[tokio::test]
async fn an_address_holds_its_share_of_connections() {
    let door = open(Limits { of_address: 2, ..Limits::default() }).await;
    let text = format!("{HEAD}expect: 100-continue\r\ncontent-length: 9\r\n\r\n");
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = say(door.address, ONE, &text).await;
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).await.unwrap();
        held.push(stream);
    }
    assert_eq!(heard(say(door.address, ONE, "").await).await, "");
    assert_eq!(post(&door, OTHER, EVENT).await, StatusCode::OK);
}

/// Scenario: clients that declare bodies of 32 MiB and send a byte of it; one that sends nothing more.
/// Guarantees: what is declared takes no room from anybody; who stops is answered so that an API server sends
/// again, and so that it is heard.
#[tokio::test]
async fn what_is_declared_takes_no_room() {
    let door = open(Limits::default()).await;
    let text = format!("{HEAD}content-length: 33554432\r\n\r\n{{");
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(say(door.address, ONE, &text).await);
    }
    assert_eq!(post(&door, ONE, EVENT).await, StatusCode::OK);

    let hasty = IntakeSettings { body_grace: SHORT, ..IntakeSettings::default() };
    let door = open_with(hasty, None).await;
    let answer = heard(say(door.address, ONE, &text).await).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 30"), "{answer}");
}

/// Scenario: one client sends two thirds of what the door has room for, and does not end; another sends a batch.
/// Guarantees: the first is refused when it holds its share, while the second is taken.
#[tokio::test]
async fn a_client_holds_its_share_of_room() {
    let settings = IntakeSettings {
        inflight_bytes: 1 << 20,
        body_grace: PATIENCE,
        ..IntakeSettings::default()
    };
    let door = open_with(settings, None).await;
    // An item that does not end is held as it comes.
    let mut greedy =
        say(door.address, ONE, &format!("{HEAD}content-length: 9000000\r\n\r\n")).await;
    greedy.write_all(b"{\"items\":[{\"a\":\"").await.unwrap();
    greedy.write_all(&vec![b'x'; 500 << 10]).await.unwrap();
    // With this it would hold two thirds of the room.
    let lot = vec![b'x'; 200 << 10];
    let more = async {
        // Once it is refused nobody listens.
        let _broken = greedy.write_all(&lot).await;
        heard(greedy).await
    };
    let (answer, other) = tokio::join!(more, post(&door, OTHER, EVENT));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(other, StatusCode::OK);
}

/// Scenario: a batch that is refused before it is read, by a client that only listens once it has sent all.
/// Guarantees: it hears why.
#[tokio::test]
async fn refusals_are_heard() {
    let door = open(Limits::default()).await;
    let text = "POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 8000000\r\n\r\n";
    let mut stream = say(door.address, ONE, text).await;
    for _ in 0..8 {
        stream.write_all(&vec![b' '; 1_000_000]).await.unwrap();
    }
    let answer = heard(stream).await;
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
}

/// Scenario: the door is told to close while clients are silent, in the middle of a head, of the preface of
/// HTTP/2, of a handshake, of a body that never ends, and while one has been answered and stays.
/// Guarantees: it closes, whatever they do.
#[tokio::test]
async fn a_door_closes_whatever_clients_do() {
    for tls in [None, Some(lab::authority().door())] {
        let limits = Limits { drain: SHORT, first_within: PATIENCE, ..Limits::default() };
        let settings = IntakeSettings { limits, body_grace: PATIENCE, ..IntakeSettings::default() };
        let door = open_with(settings, tls.clone()).await;
        let mut held = Vec::new();
        let half = format!("{HEAD}content-length: 99\r\n\r\n{{");
        let answered = format!("{HEAD}content-length: 0\r\n\r\n");
        for text in [
            "",
            "G",
            "GET / HTTP/1.1\r\nhost: x\r\nx-",
            "PRI * HT",
            "\x16\x03\x01",
            &half,
            &answered,
        ] {
            held.push(say(door.address, ONE, text).await);
        }
        if tls.is_none() {
            let mut answer = [0; 12];
            held.last_mut().unwrap().read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 200");
        }
        let (served, _log, _dir) = door.begin_close();
        served.await.unwrap();
    }
}

/// Scenario: what takes long to read is being read, and a short batch comes; the test runs on one thread.
/// Guarantees: the short one is answered first.
#[tokio::test]
async fn reading_stops_no_door() {
    let door = open(Limits::default()).await;
    let alone = tokio::task::spawn_blocking({
        let intake = door.intake.clone();
        move || intake.alone().unwrap()
    });
    let alone = alone.await.unwrap();
    let numbers = format!(r#"{{"items":[{{"x":[{}0]}}]}}"#, "0,".repeat(1_000_000));
    let long = post(&door, ONE, numbers);
    let short = async {
        assert_eq!(post(&door, OTHER, EVENT).await, StatusCode::OK);
        let found = rows(&door.records());
        assert_eq!((found.accesses.len(), found.rejects.len()), (1, 0));
        drop(alone);
    };
    let (long, ()) = tokio::join!(long, short);
    assert_eq!(long, StatusCode::OK);
    assert_eq!(rows(&door.records()).rejects.len(), 1);
}

/// Scenario: requests as a page in a browser has them sent: other types of content, hosts and origins.
/// Guarantees: none of them adds a row.
#[tokio::test]
async fn pages_add_no_rows() {
    let door = open(Limits::default()).await;
    let url = door.url("/v1/k8s-audit/shop");
    for (name, value, expected) in [
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("host", "evil.example", 403),
        ("origin", "https://evil.example", 403),
    ] {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert(name, value.parse().unwrap());
        let sent = Client::new().post(&url).headers(headers).body(EVENT).send().await.unwrap();
        assert_eq!(sent.status().as_u16(), expected, "{name}: {value}");
    }
    assert_eq!(Client::new().post(&url).body(EVENT).send().await.unwrap().status(), 415);
    assert!(door.records().is_empty());
}
