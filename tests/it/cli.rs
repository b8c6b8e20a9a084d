//! The command contract: exit codes, outputs, and how bad input is told.

use serde_json::json;

use crate::program::{Place, Ran, scenario};

fn check(ran: &Ran, code: i32, words: &[&str]) {
    let all = format!("{}{}", ran.out, ran.err);
    assert_eq!(ran.code, code, "{all}");
    for word in words {
        assert!(all.contains(word), "{word:?} is not in: {all}");
    }
}

/// Scenario: the same files are taken twice, then a file that is cut in the middle.
/// Guarantees: accepted + duplicates + rejected = received, and a second run changes nothing.
#[test]
fn ingest_twice_changes_nothing() {
    let place = Place::new();
    let first = place.ingest(scenario("stolen-token"));
    assert_eq!(first["duplicates"], 0);
    let received = first["read"]["accesses"].as_i64().expect("a count")
        + first["read"]["objects"].as_i64().expect("a count");
    assert_eq!(first["accepted"], received);
    let before = place.query("SELECT count(*) AS n, max(log_position) AS last FROM accesses");
    let findings = place.query("SELECT * FROM findings_versions ORDER BY finding_id, version");
    let second = place.ingest(scenario("stolen-token"));
    assert_eq!((&second["accepted"], &second["duplicates"]), (&0.into(), &received.into()));
    assert_eq!(
        place.query("SELECT count(*) AS n, max(log_position) AS last FROM accesses"),
        before
    );
    assert_eq!(
        place.query("SELECT * FROM findings_versions ORDER BY finding_id, version"),
        findings
    );
}

/// Scenario: wrong JSON, deep nesting, `{"kind":0}`, missing and impossible times, broken UTF-8, U+0000, a cut gzip.
/// Guarantees: a reject with its reason for each, no crash, no lost neighbour.
#[test]
fn bad_input_is_kept_as_rejects() {
    let place = Place::new();
    let good = scenario("stolen-token").audit_lines().expect("lines").remove(0);
    let mut bytes = Vec::new();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for line in [
        good.as_bytes(),
        b"{\"kind\":0}",
        b"nonsense",
        b"{\"a\":",
        deep.as_bytes(),
        b"\xff\xfe{}",
        b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\"}",
        b"\0",
    ] {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    let file = place.path("mixed.jsonl");
    std::fs::write(&file, bytes).expect("a file");
    let told = place.ingest_paths("c", &[&file]);
    assert_eq!(told["read"]["accesses"], 1, "{told}");
    assert_eq!(place.count("accesses"), 1);
    let rejects = place.query("SELECT reason, detail, hint FROM rejects");
    assert_eq!(
        i64::try_from(rejects.len()).expect("few"),
        told["rejected"].as_i64().expect("a count")
    );
    assert!(rejects.iter().all(|row| row["reason"].is_string() && row["detail"].is_string()));
    let cut = place.path("cut.gz");
    std::fs::write(&cut, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]).expect("a file");
    let ran = place.run(&["ingest", cut.to_str().expect("a path")]);
    assert!(ran.code == 0 || ran.code == 4, "{ran:?}");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
}

/// Scenario: a directory without data, a missing file, a locked and a newer directory.
/// Guarantees: exit code 4, what is wrong and what to do.
#[test]
fn data_directories_explain_themselves() {
    let place = Place::new();
    check(&place.run(&["query", "SELECT 1"]), 4, &["there is no data in", "durward ingest FILE"]);
    check(&place.run(&["ingest", "/nowhere/audit.log"]), 4, &["reading /nowhere/audit.log"]);
    let lock = std::fs::File::create(place.data().join("lock")).expect("a lock");
    lock.lock().expect("locked");
    check(&place.run(&["ingest", "Cargo.toml"]), 4, &["is in use", "--to"]);
    drop(lock);
    std::fs::write(place.data().join("format.json"), r#"{"format":99,"id":"x"}"#).expect("a file");
    check(&place.run(&["query", "SELECT 1"]), 4, &["format 99", "newer Durward"]);
}

/// Scenario: wrong statements, a wrong flag, a wrong configuration.
/// Guarantees: exit code 2 for usage and SQL, 3 for configuration, each with a hint.
#[test]
fn mistakes_have_their_codes() {
    let place = Place::new();
    place.ingest(scenario("quiet-monday"));
    check(
        &place.run(&["query", "SELECT * FROM acesses"]),
        2,
        &["no table or view acesses", "accesses"],
    );
    check(&place.run(&["query", "SELEC 1"]), 2, &["reading SQL"]);
    check(&place.run(&["query", "DROP TABLE accesses"]), 2, &["only reading is offered"]);
    check(
        &place.run(&["query", "--max-rows", "3", "SELECT time FROM accesses"]),
        2,
        &["more than 3 rows", "--max-rows"],
    );
    check(&place.run(&["query", "--timeout", "fast", "SELECT 1"]), 2, &["30s"]);
    check(&place.run(&["ingest", "--format", "xml", "Cargo.toml"]), 2, &["is not a format"]);
    check(&place.run(&["explain", "0000"]), 2, &["nothing is known of 0000"]);
    check(&place.run(&["frobnicate"]), 2, &["frobnicate"]);
    let config = place.path("durward.yaml");
    std::fs::write(&config, "version: 1\nlisten:\n  audti: {}\n").expect("a file");
    check(
        &place.run(&["config", "check", config.to_str().expect("a path")]),
        3,
        &["line 3", "did you mean audit"],
    );
    check(&place.run(&["findings", "list", "--fail-on", "critical"]), 0, &[]);
}

/// Scenario: a query that would run for ever, and one that would take all memory.
/// Guarantees: each ends by its limit with an error that names it.
#[test]
fn queries_end_at_their_limits() {
    let place = Place::new();
    place.ingest(scenario("quiet-monday"));
    let product = "SELECT count(*) FROM accesses a, accesses b, accesses c, accesses d WHERE a.time < b.time OR c.time < d.time";
    check(
        &place.run(&["query", "--timeout", "1s", product]),
        2,
        &["took longer than 1 s", "--timeout"],
    );
    let wide = "SELECT string_agg(a.request_uri, ',') FROM accesses a, accesses b, accesses c GROUP BY b.event_id, c.event_id ORDER BY 1";
    let ran = place.run(&["query", "--timeout", "20s", "--memory", "16MiB", wide]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// Scenario: a story with an incident, asked about in every form.
/// Guarantees: findings fail a pipeline when told to; explain and who name keys and grades; JSON is JSON.
#[test]
fn answers_name_their_evidence() {
    let place = Place::new();
    place.ingest(scenario("operator-removes-binding"));
    let refused =
        place.query("SELECT event_id FROM denials WHERE change_evidence = 'exact' LIMIT 1");
    let id = refused[0]["event_id"].as_str().expect("an id");
    check(
        &place.run(&["explain", id]),
        0,
        &["refused", "alice deleted RoleBinding payments/ledger", "exact"],
    );
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["explain", id, "-o", "json"]).out).expect("JSON");
    assert_eq!(json["facts"]["change"]["actor"], "alice");
    check(
        &place.run(&["who", "payments/ledger"]),
        0,
        &["Deployment payments/ledger", "credential", "refused"],
    );
    check(&place.run(&["doctor"]), 0, &["Sources", "accepted"]);
    let stolen = Place::new();
    stolen.ingest(scenario("stolen-token"));
    let listed = stolen.run(&["findings", "list", "-o", "csv", "--fail-on", "high"]);
    check(&listed, 1, &["Token of a pod used from another address"]);
    let finding =
        stolen.query("SELECT finding_id FROM findings WHERE detector = 'two_addresses' LIMIT 1");
    let id = finding[0]["finding_id"].as_str().expect("an id");
    check(
        &stolen.run(&["findings", "show", id.get(..8).unwrap_or(id)]),
        0,
        &["possible by", "credential", "minted"],
    );
    let csv = stolen.run(&[
        "query",
        "-o",
        "csv",
        "SELECT time, title FROM findings WHERE detector = 'two_addresses'",
    ]);
    check(&csv, 0, &["time,title\n2026-", ",\"Token of a pod used from another address\""]);
}

/// Scenario: configuration shown with origins and described.
/// Guarantees: each value says where it came from; the schema is JSON.
#[test]
fn configuration_is_shown_and_described() {
    let place = Place::new();
    check(
        &place.run(&["config", "show", "--set", "default_cluster=prod"]),
        0,
        &["default_cluster: \"prod\"", "# --set", "# default"],
    );
    let schema: serde_json::Value =
        serde_json::from_str(&place.run(&["config", "schema"]).out).expect("JSON");
    assert_eq!(schema["type"], "object");
    check(&place.run(&["rules", "list"]), 0, &["high", "anonymous"]);
}

/// Scenario: an audit log at level Metadata, with a binding in it; then the recommended policy.
/// Guarantees: the rules that can never fire are named, and the policy is one that can be used.
#[test]
fn doctor_names_rules_that_cannot_fire() {
    let place = Place::new();
    let event = json!({
        "auditID": "a", "stage": "ResponseComplete", "level": "Metadata", "verb": "create",
        "requestURI": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "user": {"username": "alice"}, "responseStatus": {"code": 201},
        "objectRef": {"apiGroup": "rbac.authorization.k8s.io", "resource": "clusterrolebindings", "name": "b"},
        "requestReceivedTimestamp": "2026-11-24T10:00:00Z", "stageTimestamp": "2026-11-24T10:00:01Z",
    });
    let path = place.path("audit.jsonl");
    std::fs::write(&path, event.to_string()).expect("a file");
    place.ingest_paths("shop", &[&path]);
    let said = place.run(&["doctor"]).out;
    for part in [
        "rbac_cluster_admin_bound can never fire: of 1 requests to clusterrolebindings",
        "--audit-policy",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let policy = place.run(&["doctor", "--audit-policy"]).out;
    assert!(policy.contains("kind: Policy"), "{policy}");
}

/// Scenario: an access, asked where its columns come from.
/// Guarantees: each column with the field of its format, and what no column took.
#[test]
fn mapping_names_fields() {
    let place = Place::new();
    place.ingest(scenario("quiet-monday"));
    let rows = place.query("SELECT event_id FROM accesses WHERE judged LIMIT 1");
    let id = rows[0]["event_id"].as_str().expect("an id");
    let shown = place.run(&["explain", "--mapping", id]);
    for part in ["read as kube-audit", "from user.username", "what no column took"] {
        assert!(shown.out.contains(part), "{shown:?}");
    }
}

/// Scenario: the pages of docs/reference that come from code.
/// Guarantees: they are what the program says of itself: `just reference` was run.
#[test]
fn reference_pages_are_current() {
    for page in ["cli", "tables", "config", "sources", "rules"] {
        let made = Place::new().run(&["reference", page]);
        let path = format!("{}/docs/reference/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(path).expect("a page");
        assert!(made.out == kept, "docs/reference/{page}.md is old: run `just reference`");
    }
}

/// Scenario: a data directory that was there before, open to everybody, as a volume or systemd makes it.
/// Guarantees: nobody else on the machine can read what is written into it.
#[cfg(unix)]
#[test]
fn nothing_in_the_data_directory_is_for_others() {
    use std::os::unix::fs::PermissionsExt;

    fn open_to_others(path: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(path).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = std::fs::metadata(&path).expect("metadata");
            if metadata.permissions().mode() & 0o077 != 0 {
                found.push(path.display().to_string());
            }
            if metadata.is_dir() {
                open_to_others(&path, found);
            }
        }
    }
    let place = Place::new();
    std::fs::create_dir(place.data()).expect("a directory");
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.data(), everybody).expect("permissions");
    place.ingest(scenario("stolen-token"));
    let mut found = Vec::new();
    open_to_others(&place.data(), &mut found);
    assert_eq!(found, Vec::<String>::new());
}

/// Scenario: a file of OTLP in which a container prints what reads as an event of an API server, taken with and
/// without the container in the configuration; a container that is none.
/// Guarantees: a log record at first, of which `doctor` says what to do; an access where the configuration names it;
/// a name that is none is refused with its key.
#[test]
fn a_container_is_believed_where_it_is_named() {
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a-1", "verb": "get",
        "stage": "ResponseComplete", "requestURI": "/api", "user": {"username": "system:admin"},
        "requestReceivedTimestamp": "2026-11-23T17:41:37.000000Z"});
    let pair = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let export = json!({"resourceLogs": [{
        "resource": {"attributes": [pair("k8s.namespace.name", "kube-system"), pair("k8s.container.name", "kube-apiserver")]},
        "scopeLogs": [{"logRecords": [{"body": {"stringValue": event.to_string()}}]}]}]});
    let taken = |named: &[&str]| {
        let place = Place::new();
        let file = place.path("export.json");
        std::fs::write(&file, export.to_string()).expect("a file");
        let file = file.display().to_string();
        let args = [&["ingest", "--cluster", "c", "--format", "otlp"], named, &[&file]].concat();
        (place.run(&args), place)
    };
    let (ran, place) = taken(&[]);
    check(&ran, 0, &[]);
    assert_eq!((place.count("accesses"), place.count("logs")), (0, 1));
    check(&place.run(&["doctor"]), 0, &["read as audit records", "audit_containers"]);
    let (ran, place) = taken(&["--set", "audit_containers=[kube-system/kube-apiserver]"]);
    check(&ran, 0, &[]);
    assert_eq!((place.count("accesses"), place.count("logs")), (1, 0));
    let (ran, _place) = taken(&["--set", "audit_containers=[kube-apiserver]"]);
    check(&ran, 3, &["audit_containers", "NAMESPACE/CONTAINER"]);
}

/// Scenario: findings and incidents of a story are listed whole, filtered in every way, and with filters that are
/// none.
/// Guarantees: rows fit a terminal and are those that were asked for; what is left out is counted, with the option
/// that shows it; programs get every column; what is no time is refused with an example.
#[test]
fn lists_hold_what_was_asked_for() {
    let place = Place::new();
    place.ingest(scenario("stolen-token"));
    let list = |args: &[&str]| place.run(&[&["findings", "list"], args].concat());
    let rows = |args: &[&str]| {
        let ran = list(&[args, &["-o", "json"]].concat());
        let rows: Vec<serde_json::Value> = serde_json::from_str(&ran.out).expect("JSON");
        rows
    };
    let (usual, all) = (rows(&[]), rows(&["--all"]));
    assert!(!usual.is_empty() && usual.len() < all.len(), "{usual:?}");
    assert_eq!(i64::try_from(all.len()).expect("few"), place.count("findings"));
    let shown = list(&[]);
    check(&shown, 0, &["high", "shop/cart", "--all shows them"]);
    check(&list(&["--limit", "1"]), 0, &["more: --limit"]);
    let identity = usual[0]["identity"].as_str().expect("a name");
    let time = usual[0]["time"].as_str().expect("a time");
    for (args, least) in [
        (&["--severity", "high"][..], 1),
        (&["--identity", identity], 1),
        (&["--since", time], 1),
        (&["--until", time], 0),
        (&["--cluster", "nowhere"], 0),
        (&["--since", "1h"], 0),
        (&["--rule", "no_such_rule"], 0),
    ] {
        let found = rows(args);
        assert!(found.len() >= least && found.len() <= usual.len(), "{args:?}: {found:?}");
        assert!(least > 0 || found.len() < usual.len(), "{args:?}: {found:?}");
    }
    let high = rows(&["--severity", "high"]);
    assert!(high.iter().all(|row| row["severity_id"].as_i64() >= Some(4)), "{high:?}");
    check(&place.run(&["incidents", "list"]), 0, &["high", " row"]);
    let ran = place.run(&["incidents", "list", "-o", "json"]);
    let incidents: Vec<serde_json::Value> = serde_json::from_str(&ran.out).expect("JSON");
    let id = incidents[0]["incident_id"].as_str().expect("an id");
    check(&place.run(&["incidents", "show", id.get(..12).expect("an id")]), 0, &["finding"]);
    check(&list(&["--since", "yesterday"]), 2, &["2026-07-23T10:00:00Z", "24h"]);
    check(&list(&["--fail-on", "high"]), 1, &[]);
    check(&list(&["--fail-on", "high", "--cluster", "nowhere"]), 0, &[]);
}

/// Scenario: the lock of a data directory is deleted while a server holds it, and another program begins.
/// Guarantees: it is refused: two that write would lose what they acknowledge.
#[test]
fn a_deleted_lock_is_still_held() {
    let place = Place::new();
    std::fs::create_dir(place.data()).expect("a directory");
    let held = std::fs::File::open(place.data()).expect("a directory");
    held.try_lock().expect("a lock");
    let [_, audit] = place.files(scenario("stolen-token"));
    let audit = audit.display().to_string();
    check(&place.run(&["ingest", "--cluster", "c", &audit]), 4, &["is in use by process"]);
    drop(held);
    check(&place.run(&["ingest", "--cluster", "c", &audit]), 0, &[]);
}
