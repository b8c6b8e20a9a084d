//! The running server: real sockets, the recorded webhook, SIGKILL and SIGTERM.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use durward_fixtures::Door;
use serde_json::{Value, json};

use crate::program::{Place, scenario};
use crate::story::{recordings, unpacked};

/// A batch with one list of pods.
pub(crate) fn batch(id: u32) -> String {
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [{
        "level": "Metadata", "auditID": format!("a-{id}"), "stage": "ResponseComplete", "verb": "list", "requestURI": "/api/v1/pods",
        "user": {"username": "alice"}, "objectRef": {"resource": "pods", "apiVersion": "v1"}, "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-07-23T10:00:00.000000Z", "stageTimestamp": "2026-07-23T10:00:00.100000Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }]})
    .to_string()
}

/// A server that is ready.
pub(crate) struct Running {
    child: Child,
    doors: Value,
    /// What it said on standard error since it was ready.
    said: Arc<Mutex<Vec<String>>>,
}

impl Running {
    pub(crate) fn start(place: &Place, more: &[String]) -> Self {
        Self::start_to_crash(place, more, "nowhere")
    }

    /// A server that ends as in a crash when it comes to the place `at`.
    fn start_to_crash(place: &Place, more: &[String], at: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_durward"));
        command.env("DURWARD_CRASH_AT", at);
        Self::start_by(command, place, more)
    }

    /// A server that `command` runs, which takes what is asked of the program.
    pub(crate) fn start_by(mut command: Command, place: &Place, more: &[String]) -> Self {
        command.env("DURWARD_DATA_DIR", place.data());
        command.args(["serve", "-o", "json"]);
        for door in ["audit", "otlp_grpc", "otlp_http", "web", "admin"] {
            command.args(["--set", &format!("listen.{door}.address=127.0.0.1:0")]);
        }
        let mut child = command
            .args(more)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("its words")).lines();
        let mut ready = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let doors = ready.find(|line| line["ready"] == true).expect("it is ready");
        let said = Arc::<Mutex<Vec<String>>>::default();
        let hear = Arc::clone(&said);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| hear.lock().expect("words").push(line));
        });
        Self { child, doors, said }
    }

    /// What it says on standard error after a SIGHUP.
    pub(crate) fn reload(&self) -> Value {
        let before = self.said.lock().expect("words").len();
        self.signal("-HUP");
        let mut told = None;
        eventually("an answer to SIGHUP", || {
            let said = self.said.lock().expect("words");
            let lines = said.iter().skip(before);
            told = lines
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .find(|line| line["reloaded"].is_boolean());
            told.is_some()
        });
        told.expect("an answer")
    }

    fn signal(&self, signal: &str) {
        let killed = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(killed.expect("kill").success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, door: &str, path: &str) -> String {
        format!("http://{}{path}", self.doors[door].as_str().expect("an address"))
    }

    pub(crate) fn stop(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.child.wait().expect("it ends").code()
    }
}

/// Polls until `done`, for at most a minute.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < until, "{what} did not come about");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

pub(crate) async fn post(client: &reqwest::Client, url: String, body: String) -> u16 {
    let sent = client.post(url).header("content-type", "application/json").body(body).send();
    sent.await.map_or(0, |answer| answer.status().as_u16())
}

pub(crate) fn client() -> reqwest::Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Scenario: half of a story by webhook and OTLP, SIGKILL, a new start, then all of it again, then SIGTERM.
/// Guarantees: what was answered 200 is a row; nothing is there twice; spans join; draining ends with 0.
#[tokio::test]
async fn acknowledged_is_durable_across_sigkill() {
    let place = Place::new();
    let story = scenario("stolen-token");
    let cluster = story.expectation().expect("an expectation").cluster;
    let deliveries = story.deliveries().expect("deliveries");
    let client = client();
    let set = ["--set".to_owned(), format!("listen.otlp_http.cluster={cluster}")];
    let first = Running::start(&place, &set);
    let mut acknowledged = 0;
    let target = |server: &Running, door: Door| match door {
        Door::AuditWebhook => server.url("audit", &format!("/v1/k8s-audit/{cluster}?timeout=30s")),
        Door::Traces => server.url("otlp_http", "/v1/traces"),
    };
    for delivery in deliveries.iter().take(deliveries.len() / 2) {
        let status = post(&client, target(&first, delivery.door), delivery.body.clone()).await;
        assert_eq!(status, 200);
        acknowledged += if delivery.door == Door::AuditWebhook { delivery.items } else { 0 };
    }
    assert_eq!(first.stop("-KILL"), None);
    let second = Running::start(&place, &set);
    eventually("every acknowledged event", || {
        place.count("accesses") >= i64::try_from(acknowledged).expect("few")
    });
    for delivery in &deliveries {
        assert_eq!(post(&client, target(&second, delivery.door), delivery.body.clone()).await, 200);
    }
    let lines = i64::try_from(story.audit_lines().expect("lines").len()).expect("few");
    eventually("every event", || place.count("accesses") == lines);
    eventually("spans at accesses", || {
        place.count("correlated_events WHERE trace_evidence = 'exact'") > 0
    });
    assert_eq!(place.query("SELECT count(DISTINCT event_id) AS n FROM accesses")[0]["n"], lines);
    assert_eq!(second.stop("-TERM"), Some(0));
    assert!(place.count("incidents") > 0);
    assert!(place.count("source_counters") > 0);
}

/// A stand-in for Slack that counts what it was told.
pub(crate) async fn slack(place: &Place) -> (Vec<String>, Arc<AtomicUsize>) {
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    let take = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { "ok" }
    };
    let router = axum::Router::new().route("/services/T0/B0/x", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/services/T0/B0/x", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let file = place.path("slack-url");
    std::fs::write(&file, url).expect("a file");
    let sets = [format!("slack.webhook_url_file={}", file.display()), "slack.group_wait=1s".into()];
    (sets.into_iter().flat_map(|set| ["--set".to_owned(), set]).collect(), told)
}

/// Scenario: the server crashes right after an alert was owed, and right after Slack took it.
/// Guarantees: the alert is told after the next start; told twice only where the answer was lost.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_survive_a_crash() {
    let story = scenario("minted-for-another");
    let cluster = story.expectation().expect("an expectation").cluster;
    let deliveries = story.deliveries().expect("deliveries");
    let client = client();
    for (at, lost_answers) in [("alert_owed", 0), ("alert_told", 1)] {
        let place = Place::new();
        let (set, told) = slack(&place).await;
        let mut first = Running::start_to_crash(&place, &set, at);
        let url = first.url("audit", &format!("/v1/k8s-audit/{cluster}"));
        for delivery in deliveries.iter().filter(|sent| sent.door == Door::AuditWebhook) {
            post(&client, url.clone(), delivery.body.clone()).await;
        }
        eventually("the crash", || first.child.try_wait().expect("a child").is_some());
        let second = Running::start(&place, &set);
        let delivered = "deliveries WHERE outcome = 'delivered'";
        eventually("the alert", || place.count(delivered) > 0);
        assert_eq!(second.stop("-TERM"), Some(0));
        let told = i64::try_from(told.load(Ordering::Relaxed)).expect("few");
        assert_eq!(told, place.count(delivered) + lost_answers, "{at}");
    }
}

/// Scenario: the web and admin doors, asked well, from a page of another origin, and with wrong content.
/// Guarantees: answers as JSON; a page in a browser is refused; liveness, readiness and metrics are there.
#[tokio::test]
async fn web_and_admin_doors_answer() {
    let place = Place::new();
    let server = Running::start(&place, &[]);
    let client = client();
    let query = server.url("web", "/api/v1/query");
    let ask = |headers: &[(&'static str, &'static str)], body: Value| {
        let mut request = client.post(&query).body(body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        async move { request.send().await.expect("an answer") }
    };
    let json_type = ("content-type", "application/json");
    let good = ask(&[json_type], json!({ "sql": "SELECT 1 AS one" })).await;
    assert_eq!(
        (good.status().as_u16(), good.text().await.expect("text").trim()),
        (200, r#"[{"one":1}]"#)
    );
    let refused = [
        ask(&[json_type, ("origin", "https://evil.example")], json!({ "sql": "SELECT 1" })).await,
        ask(&[json_type, ("host", "evil.example")], json!({ "sql": "SELECT 1" })).await,
        ask(&[("content-type", "text/plain")], json!({ "sql": "SELECT 1" })).await,
    ];
    assert!(refused.iter().all(|answer| answer.status().as_u16() == 403));
    assert_eq!(
        ask(&[json_type], json!({ "sql": "DROP TABLE accesses" })).await.status().as_u16(),
        400
    );
    assert_eq!(ask(&[json_type], json!({ "sq": "SELECT 1" })).await.status().as_u16(), 400);
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = client.get(server.url("admin", path)).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }
    let other = place.run(&["ingest", "Cargo.toml"]);
    assert_eq!(other.code, 4, "{other:?}");
    assert_eq!(server.stop("-INT"), Some(0));
}

/// Scenario: a snapshot and a file through a running server with `ingest --to`, twice, and once
/// without the token of its directory; after it has ended once more without `--to`.
/// Guarantees: every line is one row, the snapshot is known, nobody else may write, and each call
/// counts what it brought and no more.
#[test]
fn files_go_through_a_running_server() {
    let place = Place::new();
    let server = Running::start(&place, &[]);
    let story = scenario("quiet-monday");
    let paths = place.files(story);
    let [state, audit] = [&paths[0], &paths[1]].map(|path| path.to_str().expect("a path"));
    for _ in 0..2 {
        let sent = place.run(&[
            "ingest",
            "--to",
            &server.url("web", ""),
            "--cluster",
            "shop",
            state,
            audit,
        ]);
        assert_eq!(sent.code, 0, "{sent:?}");
    }
    let other = Place::new();
    let sent = other.run(&["ingest", "--to", &server.url("web", ""), audit]);
    assert!(sent.code == 4 && sent.err.contains("401"), "{sent:?}");
    let lines = i64::try_from(story.audit_lines().expect("lines").len()).expect("few");
    eventually("every line", || place.count("accesses") == lines);
    assert_eq!(server.stop("-TERM"), Some(0));
    assert!(place.count("grants WHERE valid_from IS NULL") > 0);
    // What a server counted it has counted when it ends, and it is no part of a later call's sum.
    let sums = place.query("SELECT sum(accepted) AS a, sum(duplicates) AS d FROM source_counters");
    assert_eq!(sums[0]["a"], sums[0]["d"]);
    let again = place.ingest_paths("shop", &[Path::new(state), Path::new(audit)]);
    assert_eq!((&again["accepted"], &again["duplicates"]), (&json!(0), &sums[0]["a"]));
}

/// The webhook requests of a recording: a line of JSON, then that many bytes, then a newline.
fn frames(bytes: &[u8]) -> Vec<String> {
    let mut rest = bytes;
    let mut bodies = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (head, after) = rest.split_at(end + 1);
        let head: Value = serde_json::from_slice(head).expect("a frame");
        let length = usize::try_from(head["bytes"].as_u64().expect("a length")).expect("small");
        let (body, after) = after.split_at(length);
        bodies.push(String::from_utf8_lossy(body).into_owned());
        rest = after.get(1..).unwrap_or_default();
    }
    bodies
}

/// Scenario: a recording's file, then the webhook requests that the API server sent meanwhile; then the webhook alone.
/// Guarantees: after the file all of the webhook is duplicates; alone it lacks only watches' ends at the shutdown.
#[tokio::test]
async fn webhook_and_file_are_the_same_events() {
    let Some(dir) = recordings("webhook_and_file_are_the_same_events") else { return };
    let dir = dir.join("d-stratus");
    let audit = dir.join("audit.jsonl.zst");
    let bodies = frames(&unpacked(&dir.join("webhook.frames.zst")));
    let client = client();
    let lines =
        unpacked(&audit).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    let lines = i64::try_from(lines).expect("few");
    let both = Place::new();
    both.ingest_paths("lab", &[&audit]);
    let alone = Place::new();
    for place in [&both, &alone] {
        let server = Running::start(place, &[]);
        for body in &bodies {
            assert_eq!(
                post(&client, server.url("audit", "/v1/k8s-audit/lab"), body.clone()).await,
                200
            );
        }
        assert_eq!(server.stop("-TERM"), Some(0));
    }
    assert_eq!(both.count("accesses"), lines);
    let lacking = format!(
        "(SELECT stage, verb FROM accesses) AS t WHERE NOT (stage = 'ResponseComplete' AND verb = 'watch') AND {} > 0",
        lines - alone.count("accesses")
    );
    assert!(alone.count(&lacking) > 0 || alone.count("accesses") == lines);
    let watches = "accesses WHERE stage = 'ResponseComplete' AND verb = 'watch'";
    assert_eq!(lines - alone.count("accesses"), both.count(watches) - alone.count(watches));
    assert_eq!(alone.count("rejects"), 0);
}

/// Scenario: a server with a rule of its operators, then one with a rule that names a field wrongly, then one
/// without rules; the same kind of event each time.
/// Guarantees: the rule judges while it is configured and not afterwards; what is wrong in a rule is said
/// with its line before anything is opened.
#[tokio::test]
async fn rules_of_operators_judge() {
    let place = Place::new();
    let rules = place.path("rules");
    std::fs::create_dir_all(&rules).expect("a directory");
    let rule = |field: &str| {
        format!(
            "title: Somebody looks at pods\nname: pods_read\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n  s:\n    {field}: pods\n  condition: s\nlevel: high\n"
        )
    };
    let write = |text: String| std::fs::write(rules.join("mine.yml"), text).expect("a file");
    write(rule("objectRef.resource"));
    let set = ["--set".to_owned(), format!("detect.rules=[\"{}\"]", rules.display())];
    let client = client();
    let first = Running::start(&place, &set);
    let url = first.url("audit", "/v1/k8s-audit/prod");
    assert_eq!(post(&client, url, batch(1)).await, 200);
    eventually("the finding", || place.count("findings WHERE rule_id = 'pods_read'") == 1);
    assert_eq!(first.stop("-TERM"), Some(0));

    write(rule("objectRef.resources"));
    let refused = place.run(&["serve", &set[0], &set[1]]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(
        refused.err.contains("mine.yml:6") && refused.err.contains("did you mean"),
        "{}",
        refused.err
    );

    let last = Running::start(&place, &[]);
    let url = last.url("audit", "/v1/k8s-audit/prod");
    assert_eq!(post(&client, url, batch(2)).await, 200);
    eventually("the second event", || place.count("accesses") == 2);
    assert_eq!(last.stop("-TERM"), Some(0));
    assert_eq!(place.count("findings WHERE rule_id = 'pods_read'"), 1);
}

/// Scenario: clients that are silent, in the middle of a head and of the preface of HTTP/2, at every door; then
/// SIGTERM; and the same with bodies that never end, and a second SIGTERM.
/// Guarantees: the first ends well whatever they do; the second signal ends at once.
#[test]
fn it_ends_whatever_clients_do() {
    let doors = ["audit", "otlp_grpc", "otlp_http", "web", "admin"];
    let hold = |server: &Running, text: &str| {
        doors.map(|door| {
            let address = server.doors[door].as_str().expect("an address");
            let mut stream = std::net::TcpStream::connect(address).expect("a connection");
            std::io::Write::write_all(&mut stream, text.as_bytes()).expect("it is taken");
            stream
        })
    };
    let place = Place::new();
    let server = Running::start(&place, &[]);
    let open = ["", "GET / HTTP/1.1\r\nhost: localhost\r\nx-", "PRI * HTTP/2.0\r\n"]
        .map(|text| hold(&server, text));
    assert_eq!(server.stop("-TERM"), Some(0));
    drop(open);
    let server = Running::start(&place, &[]);
    let half = "POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let _open = hold(&server, half);
    server.signal("-TERM");
    eventually("it is told to end", || {
        let address = server.doors["web"].as_str().expect("an address");
        std::net::TcpStream::connect(address).is_err()
    });
    assert_eq!(server.stop("-TERM"), Some(130));
}

/// Scenario: the token of uploads is replaced while the server runs; a file is sent with the one before, and with
/// the one that is there now.
/// Guarantees: only the second is taken.
#[test]
fn the_token_of_uploads_is_read_again() {
    let (place, other) = (Place::new(), Place::new());
    let server = Running::start(&place, &[]);
    let paths = place.files(scenario("quiet-monday"));
    let audit = paths[1].to_str().expect("a path");
    let token = |place: &Place| place.data().join("keys/upload");
    let before = std::fs::read_to_string(token(&place)).expect("a token");
    let now = "7f".repeat(32);
    std::fs::write(token(&place), &now).expect("a token");
    std::fs::create_dir_all(other.data().join("keys")).expect("a directory");
    for (shown, expected) in [(before, 4), (now, 0)] {
        std::fs::write(token(&other), shown).expect("a token");
        let to = server.url("web", "");
        let sent = other.run(&["ingest", "--to", &to, "--cluster", "shop", audit]);
        assert_eq!(sent.code, expected, "{sent:?}");
    }
    assert_eq!(server.stop("-TERM"), Some(0));
}
