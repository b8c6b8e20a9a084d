//! One validation for `config check` and `serve`: all that is wrong is told before anything is opened.

use crate::program::Place;

/// Everything that can be wrong with what a configuration names; `BAD` is a rule, `DIR` where files are.
const WRONG: &str = "\
version: 1
trusted_proxies: [10.0.0.0/8, nonsense]
listen:
  audit:
    address: 127.0.0.1:18443
    tls:
      cert_file: /nowhere/tls.pem
      key_file: DIR/words
  otlp_http:
    address: 127.0.0.1:0
    tls: {cert_file: DIR/one.pem, key_file: DIR/other.key, client_ca_file: DIR/words}
  otlp_grpc:
    address: 127.0.0.1:0
    tls: {cert_file: DIR/one.pem, key_file: DIR/other.key}
  web: {address: \"127.0.0.1:18443\"}
  admin:
    address: 127.0.0.1:0
    tls: {cert_file: DIR/one.pem, key_file: DIR/other.key}
slack:
  webhook_url_file: /nowhere/slack
detect:
  rules:
  - /nowhere/rules
  - DIR/bad.yml
  exemptions:
  - {of: secrets_listed, until: tomorrow, reason: known}
  - {of: two_adresses, reason: known}
";

/// Its faults: line, key, what is said.
const FAULTS: &[(u32, &str, &str)] = &[
    (2, "trusted_proxies", "\"nonsense\""),
    (7, "listen.audit.tls.cert_file", "/nowhere/tls.pem"),
    (8, "listen.audit.tls.key_file", "words"),
    (11, "listen.otlp_http.tls.client_ca_file", "there is no certificate in it"),
    (14, "listen.otlp_grpc.tls.key_file", "is not that of the certificate in"),
    (15, "listen.web.address", "is taken by listen.audit"),
    (18, "listen.admin.tls", "this door has no TLS"),
    (20, "slack.webhook_url_file", "/nowhere/slack"),
    (23, "detect.rules", "/nowhere/rules"),
    (24, "detect.rules", "bad.yml:5: objectRef.resources is not a field"),
    (26, "detect.exemptions.until", "tomorrow is no date and no time"),
    (27, "detect.exemptions.of", "did you mean two_addresses?"),
];

/// The certificate and the key of two self-signed certificates.
fn key_pair(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Scenario: a configuration in which everything is wrong that names a file, a network, a port or a
/// judge, and a data directory that is a file; checked, and served.
/// Guarantees: both tell every fault with its line and a hint and exit with 3; nothing says that it is
/// ready, and nothing is made.
#[test]
fn all_that_is_wrong_is_told_before_anything_is_opened() {
    let place = Place::new();
    let write = |name: &str, text: &str| std::fs::write(place.path(name), text).expect("a file");
    write("words", "these are words\n");
    write("one.pem", &key_pair("one").0);
    write("other.key", &key_pair("other").1);
    let rule = "title: t\nlogsource: {product: kubernetes, service: audit}\ndetection:\n  s:\n    objectRef.resources: pods\n  condition: s\n";
    write("bad.yml", rule);
    let dir = place.path("").display().to_string();
    write("durward.yaml", &WRONG.replace("DIR/", &dir));
    write("data", "no directory");
    let config = place.path("durward.yaml").display().to_string();
    for verb in [vec!["config", "check", &config], vec!["serve", "--config", &config]] {
        let ran = place.run(&verb);
        assert_eq!(ran.code, 3, "{ran:?}");
        for (line, key, said) in FAULTS {
            let place = format!("{config}:{line}: {key}: ");
            let mut lines = ran.err.lines();
            let told = lines.find(|told| told.contains(&place)).unwrap_or_default();
            let hint = lines.next().unwrap_or_default();
            assert!(hint.starts_with(" hint: "), "{place}{}", ran.err);
            assert!(told.contains(said) || hint.contains(said), "{said} is not in {told}{hint}");
        }
        assert!(ran.err.contains("data: it is no directory"), "{}", ran.err);
        let told = ran.err.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(told, FAULTS.len() + 1, "{}", ran.err);
        assert!(!ran.err.contains("ready") && ran.out.is_empty(), "{ran:?}");
    }
}

/// Scenario: a door whose port is in use, and a data directory whose upload token is no key.
/// Guarantees: `serve` ends with 4 and with 3, says what to do, and never that it is ready.
#[test]
fn doors_that_cannot_be_opened_end_the_program() {
    let place = Place::new();
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address");
    let mut args = vec!["serve".to_owned()];
    for door in ["audit", "otlp_grpc", "otlp_http", "web", "admin"] {
        let address = if door == "web" { address.to_string() } else { "127.0.0.1:0".into() };
        args.extend(["--set".into(), format!("listen.{door}.address={address}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ran = place.run(&args);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.err.contains("opening listen.web") && ran.err.contains("hint: choose another"));
    assert!(!place.data().exists());

    std::fs::create_dir_all(place.data().join("keys")).expect("a directory");
    std::fs::write(place.data().join("keys/upload"), "no key\n").expect("a file");
    drop(held);
    let ran = place.run(&args);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("keys/upload: each line must be 64 hex digits"), "{}", ran.err);
    assert!(!ran.err.contains("ready"), "{}", ran.err);
}

/// Scenario: a silence of a rule that its operators wrote, by the name that its findings have.
/// Guarantees: it is taken.
#[test]
fn own_rules_can_be_silenced() {
    let place = Place::new();
    let write = |name: &str, text: &str| std::fs::write(place.path(name), text).expect("a file");
    write(
        "mine.yml",
        "title: t\nname: pods_read\nlogsource: {product: kubernetes, service: audit}\ndetection:\n  s:\n    objectRef.resource: pods\n  condition: s\n",
    );
    let rules = place.path("mine.yml").display().to_string();
    write(
        "durward.yaml",
        &format!(
            "version: 1\ndetect:\n  rules: [{rules}]\n  exemptions: [{{of: pods_read, reason: known}}]\n"
        ),
    );
    let ran = place.run(&["config", "check", &place.path("durward.yaml").display().to_string()]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
}
