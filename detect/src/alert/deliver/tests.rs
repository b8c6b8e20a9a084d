use std::io::Write;

use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::alert::sample;

const NOW: Time = Time(1_795_370_300_000_000);

fn route(url: &str) -> Result<SlackRoute, RouteError> {
    // Another test may have installed it already.
    rustls::crypto::ring::default_provider().install_default().unwrap_or_default();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{url}").expect("it can be written");
    SlackRoute::from_file("security", file.path())
}

async fn check(answer: ResponseTemplate, expected: (&str, i64, Option<f64>, Option<&str>)) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/services/T0/B0/secret"))
        .and(header("content-type", "application/json; charset=utf-8"))
        .respond_with(answer)
        .expect(1)
        .mount(&server)
        .await;
    let route =
        route(&format!("{}/services/T0/B0/secret", server.uri())).expect("loopback is allowed");
    let delivery = route.deliver(&sample::alert(), 1, NOW).await;
    let (outcome, status, wait, error) = expected;
    assert_eq!((delivery.outcome.as_str(), delivery.http_status), (outcome, Some(status)));
    assert_eq!((delivery.retry_after_seconds, delivery.error.as_deref()), (wait, error));
    assert_eq!((delivery.log_position, delivery.attempt), (42, 1));
    assert!(!format!("{delivery:?} {route:?}").contains("secret"));
}

/// Scenario: the file of the URL changes to another, then to words.
/// Guarantees: alerts go where the file says now; where it says nothing that may be used, where it said before.
#[tokio::test]
async fn the_url_is_read_again() {
    rustls::crypto::ring::default_provider().install_default().unwrap_or_default();
    let (first, second) = (MockServer::start().await, MockServer::start().await);
    for (server, told) in [(&first, 0), (&second, 2)] {
        let ok = ResponseTemplate::new(200).set_body_string("ok");
        Mock::given(method("POST")).respond_with(ok).expect(told).mount(server).await;
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let write = |text: &str| std::fs::write(file.path(), text).expect("it can be written");
    write(&format!("{}/services/T0/B0/x", first.uri()));
    let mut route = SlackRoute::from_file("security", file.path()).expect("a route");
    write(&format!("{}/services/T0/B0/x", second.uri()));
    route.read_again().expect("a URL");
    assert_eq!(route.deliver(&sample::alert(), 1, NOW).await.outcome, "delivered");
    write("words");
    assert!(route.read_again().is_err());
    assert_eq!(route.deliver(&sample::alert(), 2, NOW).await.outcome, "delivered");
}

/// Scenario: every sort of answer that Slack, a proxy or nobody gives.
/// Guarantees: only `ok` is delivered; what may pass is tried again when it was asked for; the rest is refused.
#[tokio::test]
async fn answers_become_outcomes() {
    let say = |status: u16, body: &str| ResponseTemplate::new(status).set_body_string(body);
    check(say(200, "ok"), ("delivered", 200, None, None)).await;
    check(say(200, "<html>"), ("retry", 200, None, Some("<html>"))).await;
    let busy = say(429, "rate_limited").insert_header("retry-after", "3");
    check(busy, ("retry", 429, Some(3.0), Some("rate_limited"))).await;
    let date = say(429, "").insert_header("retry-after", "Sun, 22 Nov 2026 17:58:25 GMT");
    check(date, ("retry", 429, Some(5.0), Some(""))).await;
    let forever = say(503, "").insert_header("retry-after", "999999999");
    check(forever, ("retry", 503, Some(3_600.0), Some(""))).await;
    check(say(500, "rollup_error"), ("retry", 500, None, Some("rollup_error"))).await;
    check(say(404, "no_service"), ("refused", 404, None, Some("no_service"))).await;
    check(say(410, "channel_is_archived"), ("refused", 410, None, Some("channel_is_archived")))
        .await;
    let elsewhere = ResponseTemplate::new(302).insert_header("location", "https://evil.example/");
    check(elsewhere, ("refused", 302, None, Some(""))).await;
    let hostile = say(400, &"\u{1b}[2J".repeat(10_000));
    let server_said = "\\u{1b}[2J";
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(hostile).mount(&server).await;
    let delivery = route(&server.uri()).expect("a route").deliver(&sample::alert(), 1, NOW).await;
    let error = delivery.error.expect("an error");
    assert!(error.starts_with(server_said) && error.len() < 1_000);
}

/// Scenario: nobody listens.
/// Guarantees: it is tried again, and the error does not show the URL.
#[tokio::test]
async fn silence_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let route = route(&format!("http://{address}/services/T0/B0/secret")).expect("a route");
    let delivery = route.deliver(&sample::alert(), 2, NOW).await;
    assert_eq!((delivery.outcome.as_str(), delivery.http_status), ("retry", None));
    let error = delivery.error.expect("an error");
    assert!(!error.is_empty() && !error.contains("secret"), "{error}");
}

/// Scenario: files that hold no URL that may be used.
/// Guarantees: an error that names the file and not its content.
#[test]
fn only_safe_urls_are_taken() {
    for url in
        ["", "hooks.slack.com/secret", "http://hooks.slack.com/secret", "ftp://127.0.0.1/secret"]
    {
        let error = route(url).expect_err(url).to_string();
        assert!(error.contains("is not an https URL") && !error.contains("secret"), "{error}");
    }
    assert!(route("https://hooks.slack.com/services/T0/B0/secret").is_ok());
    assert!(SlackRoute::from_file("x", Path::new("/nowhere/url")).is_err());
}

/// The lab's strict stand-in for Slack; ends with the test.
struct Double {
    process: std::process::Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.process.kill().expect("it can be ended");
        self.process.wait().expect("it ends");
    }
}

impl Double {
    /// `None`, said in one line, where it cannot be started.
    fn start() -> Option<Self> {
        use std::io::BufRead;
        let data = std::env::var_os("DURWARD_SHARED_DATA").map(std::path::PathBuf::from);
        let program = data.map(|data| data.join("../lab/sinks/slack-sink"));
        let directory = tempfile::tempdir().expect("a directory");
        let started = program.filter(|program| program.is_file()).and_then(|program| {
            let mut command = std::process::Command::new("python3");
            command.arg(program).args(["--port", "0", "--out"]).arg(directory.path());
            command.stdout(std::process::Stdio::piped()).spawn().ok()
        });
        let Some(mut process) = started else {
            println!(
                "skipped strict_slack_takes_every_alert: it needs python3, and DURWARD_SHARED_DATA with ../lab beside it"
            );
            return None;
        };
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        std::io::BufReader::new(output).read_line(&mut line).expect("it says where it listens");
        let url = line.split(' ').find(|word| word.starts_with("http://"));
        let url = url.expect("a URL").to_owned();
        Some(Self { process, url, _directory: directory })
    }
}

/// Scenario: an ordinary and a hostile alert to the lab's strict Slack.
/// Guarantees: both are taken, within every limit, and nothing that people regret is in them.
#[tokio::test]
async fn strict_slack_takes_every_alert() {
    let Some(double) = Double::start() else { return };
    let route = route(&double.url).expect("a route");
    for alert in [sample::alert(), sample::hostile()] {
        let delivery = route.deliver(&alert, 1, NOW).await;
        assert_eq!((delivery.outcome.as_str(), delivery.error), ("delivered", None));
    }
    let control = Url::parse(&double.url).and_then(|url| url.join("/control")).expect("a URL");
    let said = reqwest::get(control).await.expect("it answers").text().await.expect("text");
    assert!(said.contains("\"lint\": []") && said.contains("\"requests\": 2"), "{said}");
}
