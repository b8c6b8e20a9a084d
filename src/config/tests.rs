use super::*;

fn loaded(text: &str, sets: &[&str]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("durward.yaml");
    std::fs::write(&file, text).expect("a file");
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let loaded = load(Some(&file), &sets).map_err(|failure| failure.text())?;
    Settings::of(&loaded, None).map_err(|failure| failure.text())?;
    Ok(loaded)
}

/// All that is wrong with a configuration that can be read.
fn problems(text: &str) -> String {
    loaded(text, &[]).expect_err("something is wrong")
}

/// Scenario: a key with a typing error.
/// Guarantees: it is refused with its line and the key that was meant.
#[test]
fn unknown_keys_are_refused_with_line_and_suggestion() {
    let error =
        loaded("version: 1\nlisten:\n  audit:\n    adress: 127.0.0.1:0\n", &[]).unwrap_err();
    assert!(error.contains("line 4") && error.contains("did you mean address"), "{error}");
}

/// Scenario: doors opened to a network without, and with, client certificates.
/// Guarantees: deny by default: the first does not start.
#[test]
fn open_doors_need_client_certificates() {
    let open = "version: 1\nlisten: {audit: {address: \"0.0.0.0:8443\"}}\n";
    assert!(loaded(open, &[]).unwrap_err().contains("not on loopback"));
    let closed = "version: 1\nlisten: {audit: {address: \"0.0.0.0:8443\", tls: {cert_file: a, key_file: b, client_ca_file: c}}}\n";
    assert!(!problems(closed).contains("not on loopback"));
    assert!(loaded("version: 1\nlisten: {web: {address: \"0.0.0.0:80\"}}\n", &[]).is_err());
}

/// Scenario: an issuer of ServiceAccount tokens with its cluster, and something that is no issuer.
/// Guarantees: the first is taken; the other is refused.
#[test]
fn issuers_are_urls() {
    let known = "version: 1\nclusters: {shop: {issuer: \"https://oidc.example/id/1\"}}\n";
    assert_eq!(loaded(known, &[]).expect("valid").config.clusters.len(), 1);
    let wrong = "version: 1\nclusters: {shop: {issuer: payments}}\n";
    assert!(loaded(wrong, &[]).unwrap_err().contains("is no issuer"));
}

/// Scenario: a value in the file and the same one set on the command line.
/// Guarantees: the command line wins, and each value knows where it came from.
#[test]
fn command_line_wins_over_the_file() {
    let found = loaded("version: 1\ndefault_cluster: a\nretention: 90d\n", &["default_cluster=b"])
        .expect("valid");
    assert_eq!(found.config.default_cluster.as_deref(), Some("b"));
    assert_eq!(found.origins.get("default_cluster"), Some(&"--set"));
    assert_eq!(found.origins.get("retention"), Some(&"file"));
    assert_eq!(found.config.retention(), Ok(Some(Duration::from_hours(2160))));
}

/// Scenario: the published schema beside the default configuration.
/// Guarantees: every key of one is a key of the other.
#[test]
fn schema_names_every_key() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let names = |pointer: &str| -> Vec<String> {
        let object = schema.pointer(pointer).and_then(Value::as_object);
        object.expect(pointer).keys().cloned().collect()
    };
    let keys = |value: Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let default = plain(&Config::default());
    assert_eq!(names("/properties"), keys(default.clone()));
    assert_eq!(names("/properties/listen/properties"), keys(default["listen"].clone()));
    assert_eq!(names("/properties/detect/properties"), keys(default["detect"].clone()));
    assert_eq!(names("/properties/slack/properties"), keys(default["slack"].clone()));
    let sender = "senders: [{uri: \"spiffe://x\", clusters: [a]}]";
    let sender = serde_saphyr::from_str::<Config>(sender).expect("a sender");
    assert_eq!(names("/$defs/sender/properties"), keys(plain(&sender)["senders"][0].clone()));
    assert_eq!(names("/$defs/door/properties"), keys(default["listen"]["audit"].clone()));
}

/// Scenario: silences that end at a time, on a date, in the past, at no time, and of what there is not.
/// Guarantees: times and dates are taken; the others are refused with line and suggestion.
#[test]
fn silences_end_when_they_say() {
    let silence = |of: &str, until: &str| {
        loaded(
            &format!(
                "version: 1\ndetect:\n  exemptions:\n  - of: {of}\n    until: {until}\n    reason: known\n"
            ),
            &[],
        )
    };
    for (until, expected) in
        [("2026-12-31T18:00:00Z", "2026-12-31T18:00:00Z"), ("2020-01-01", "2020-01-01T00:00:00Z")]
    {
        let settings = Settings::of(&silence("two_addresses", until).expect(until), None);
        let exemptions = settings.expect(until).detection.exemptions;
        assert_eq!(exemptions[0].until, durward_schemas::Time::parse(expected));
    }
    for until in ["tomorrow", "2026-13-01", "31.12.2026", "1y"] {
        let error = silence("two_addresses", until).unwrap_err();
        assert!(error.contains(":5: ") && error.contains("write 2026-12-31"), "{error}");
    }
    let error = silence("two_adresses", "2026-12-31").unwrap_err();
    assert!(error.contains(":4: ") && error.contains("did you mean two_addresses?"), "{error}");
}

/// Scenario: keys that a door has no use for, and senders that nothing can be known of.
/// Guarantees: each is refused with its place; what means something is taken.
#[test]
fn keys_that_do_nothing_are_refused() {
    for (text, expected) in [
        ("listen: {audit: {address: \"127.0.0.1:0\", cluster: a}}", "listen.audit.cluster: "),
        ("listen: {web: {address: \"127.0.0.1:0\", cluster: a}}", "listen.web.cluster: "),
        ("listen: {admin: {address: \"127.0.0.1:0\", cluster: a}}", "listen.admin.cluster: "),
        ("listen: {otlp_grpc: {address: \"127.0.0.1:0\", hosts: [a]}}", "listen.otlp_grpc.hosts: "),
        (
            "listen: {audit: {address: \"127.0.0.1:0\", hosts: [a], tls: {cert_file: a, key_file: b}}}",
            "listen.audit.hosts: ",
        ),
        (
            "listen: {web: {address: \"127.0.0.1:0\", tls: {cert_file: a, key_file: b}}}",
            "listen.web.tls: ",
        ),
        ("senders: [{dns: a.example, clusters: [a]}]", "no door asks for the certificates"),
        ("senders: [{clusters: [a]}]", "a sender has one name"),
        ("senders: [{dns: a.example, uri: \"a:b\", clusters: [a]}]", "a sender has one name"),
        ("senders: [{uri: no-uri, clusters: [a]}]", "a sender has one name"),
        ("senders: [{dns: a.example, clusters: []}]", "a sender has clusters"),
        (
            "senders: [{dns: a.example, clusters: [a]}, {dns: a.example, clusters: [b]}]",
            "this sender is there twice",
        ),
    ] {
        let told = problems(&format!("version: 1\n{text}\n"));
        assert!(told.contains(expected), "{text}: {told}");
    }
    let hosts =
        "version: 1\nlisten: {audit: {address: \"127.0.0.1:0\", hosts: [durward.example]}}\n";
    assert!(loaded(hosts, &[]).is_ok());
}
