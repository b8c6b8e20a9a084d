//! SIGHUP at a running server: rules, exemptions and certificates change, or nothing does.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::program::Place;
use crate::serve::{Running, client, eventually, post};

/// A batch with one list of pods by alice.
fn event(id: u32) -> String {
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [{
        "level": "Metadata", "auditID": format!("a-{id}"), "stage": "ResponseComplete", "verb": "list", "requestURI": "/api/v1/pods",
        "user": {"username": "alice"}, "objectRef": {"resource": "pods", "apiVersion": "v1"}, "responseStatus": {"code": 200},
        "requestReceivedTimestamp": format!("2026-07-23T1{id}:00:00.000000Z"), "stageTimestamp": format!("2026-07-23T1{id}:00:00.100000Z"),
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }]})
    .to_string()
}

/// A rule that finds a list of pods, or one that names a field wrongly.
fn rule(field: &str) -> String {
    format!(
        "title: Somebody looks at pods\nname: pods_read\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n  s:\n    {field}: pods\n  condition: s\nlevel: high\n"
    )
}

/// The value of one sample of `/metrics`.
async fn sample(server: &Running, sample: &str) -> Option<i64> {
    let answer = client().get(server.url("admin", "/metrics")).send().await.expect("an answer");
    let text = answer.text().await.expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// Scenario: a server without rules; SIGHUP with a rule, with one that is wrong, and with a silence; an event
/// after each; then SIGKILL, and a start that has nothing but the log.
/// Guarantees: each event is judged as configured when it came, also when the log is replayed; what is wrong is
/// said and counted, and changes nothing; the server stays ready.
#[tokio::test]
async fn rules_and_silences_are_read_again() {
    let place = Place::new();
    let write = |name: &str, text: &str| std::fs::write(place.path(name), text).expect("a file");
    let rules = place.path("mine.yml").display().to_string();
    let config = place.path("durward.yaml").display().to_string();
    write("durward.yaml", "version: 1\n");
    let server = Running::start(&place, &["--config".to_owned(), config]);
    let url = server.url("audit", "/v1/k8s-audit/prod");
    let client = client();
    assert_eq!(post(&client, url.clone(), event(1)).await, 200);

    write("mine.yml", &rule("objectRef.resource"));
    write("durward.yaml", &format!("version: 1\nretention: 90d\ndetect: {{rules: [{rules}]}}\n"));
    assert_eq!(server.reload(), json!({"reloaded": true, "at_next_start": ["retention"]}));
    assert_eq!(post(&client, url.clone(), event(2)).await, 200);

    write("mine.yml", &rule("objectRef.resources"));
    let refused = server.reload();
    assert_eq!(refused["reloaded"], false);
    let told = refused["error"].as_str().expect("an error");
    assert!(
        told.contains("durward.yaml:3: detect.rules: ") && told.contains("mine.yml:6"),
        "{told}"
    );
    assert_eq!(post(&client, url.clone(), event(3)).await, 200);
    let ready = client.get(server.url("admin", "/readyz")).send().await.expect("an answer");
    assert_eq!(ready.status().as_u16(), 200);
    for (name, expected) in [
        ("durward_config_reloads_total{outcome=\"accepted\"}", 1),
        ("durward_config_reloads_total{outcome=\"refused\"}", 1),
        ("durward_config_last_reload_successful", 0),
    ] {
        assert_eq!(sample(&server, name).await, Some(expected), "{name}");
    }

    write("mine.yml", &rule("objectRef.resource"));
    let silence = "exemptions: [{of: pods_read, identity: alice, reason: known}]";
    write("durward.yaml", &format!("version: 1\ndetect: {{rules: [{rules}], {silence}}}\n"));
    assert_eq!(server.reload()["reloaded"], true);
    assert_eq!(post(&client, url, event(4)).await, 200);
    let judged = "SELECT a.source_event_id AS id, f.state FROM finding_events e JOIN accesses a ON a.event_id = e.event_id \
                  JOIN findings_versions f ON f.finding_id = e.finding_id AND f.log_position = e.log_position \
                  WHERE f.rule_id = 'pods_read' ORDER BY id";
    eventually("the last event", || place.count("accesses") == 4);
    let before = place.query(judged);
    assert_eq!(server.stop("-KILL"), None);
    let ids = |rows: &[Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ["a-2", "a-3", "a-4"], "{before:?}");

    std::fs::remove_dir_all(place.data().join("lake")).expect("a lake");
    let again = Running::start(&place, &[]);
    eventually("all of the log", || {
        place.data().join("lake/accesses/_delta_log").is_dir() && place.count("accesses") == 4
    });
    assert_eq!(again.stop("-TERM"), Some(0));
    assert_eq!(place.query(judged), before);
}

/// Writes `tls.pem` and `tls.key` for `localhost`; the authority that signed them.
fn certificate(dir: &Path) -> reqwest::Certificate {
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(vec![]).expect("a certificate");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).expect("a certificate").pem();
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a certificate");
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).expect("a certificate");
    std::fs::write(dir.join("tls.pem"), leaf.pem()).expect("a file");
    std::fs::write(dir.join("tls.key"), key.serialize_pem()).expect("a file");
    reqwest::Certificate::from_pem(root_pem.as_bytes()).expect("a certificate")
}

/// Scenario: a door with TLS whose files are replaced: by words, then by another certificate; SIGHUP after each;
/// then by a third without a word.
/// Guarantees: words change nothing and are told; with the other certificate only who trusts its authority is heard.
#[tokio::test]
async fn certificates_are_read_again() {
    let place = Place::new();
    let dir = place.path("tls");
    std::fs::create_dir_all(&dir).expect("a directory");
    let first = certificate(&dir);
    let files = |name: &str| dir.join(name).display().to_string();
    let tls = format!(
        "listen.audit.tls={{cert_file: {}, key_file: {}}}",
        files("tls.pem"),
        files("tls.key")
    );
    let server = Running::start(&place, &["--set".to_owned(), tls]);
    let url = server.url("audit", "/v1/k8s-audit/prod");
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port");
    let url = format!("https://localhost:{port}/v1/k8s-audit/prod");
    let address = ([127, 0, 0, 1], port.parse().expect("a port")).into();
    drop(client());
    let heard = async |authority: &reqwest::Certificate| {
        let client = reqwest::Client::builder().tls_certs_only([authority.clone()]);
        let client = client.resolve("localhost", address).build().expect("a client");
        post(&client, url.clone(), event(1)).await
    };
    assert_eq!(heard(&first).await, 200);

    std::fs::write(dir.join("tls.pem"), "words").expect("a file");
    let refused = server.reload();
    let told = refused["error"].as_str().expect("an error");
    assert!(told.contains("--set listen.audit.tls.cert_file: "), "{told}");
    assert_eq!(heard(&first).await, 200);

    let second = certificate(&dir);
    assert_eq!(server.reload(), json!({"reloaded": true, "at_next_start": []}));
    assert_eq!((heard(&first).await, heard(&second).await), (0, 200));

    // Kubernetes changes the files of a Secret, and tells nobody.
    let third = certificate(&dir);
    for _ in 0..600 {
        if heard(&third).await == 200 {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    assert_eq!((heard(&second).await, heard(&third).await), (0, 200));
    assert_eq!(server.stop("-TERM"), Some(0));
}
