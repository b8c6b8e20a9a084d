//! What anybody expects of a command: pipes that close, hints that can be typed, ids that are not guessed, outputs
//! that are what was asked for.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::{Place, scenario};
use crate::serve::{Running, client};

/// Runs the program with nobody at the other end of its standard output and its standard error.
fn unread(place: &Place, args: &[&str]) -> Option<i32> {
    let closed = || std::io::pipe().expect("a pipe").1;
    let mut command = Command::new(env!("CARGO_BIN_EXE_durward"));
    command.env("DURWARD_DATA_DIR", place.data()).env_remove("DURWARD_CONFIG").args(args);
    command.stdin(Stdio::null()).stdout(closed()).stderr(closed());
    command.status().expect("it runs").code()
}

/// Scenario: each verb, whose readers have gone before it says anything.
/// Guarantees: no verb fails for it or panics.
#[test]
fn closed_pipes_are_no_errors() {
    let place = Place::new();
    place.ingest(scenario("quiet-monday"));
    let rows = place.query("SELECT event_id FROM accesses WHERE judged LIMIT 1");
    let id = rows[0]["event_id"].as_str().expect("an id");
    // More of it would only take longer.
    let line = scenario("quiet-monday").audit_lines().expect("lines").remove(0);
    let audit = place.path("line.jsonl").display().to_string();
    std::fs::write(&audit, line).expect("a file");
    let rule = place.path("mine.yml").display().to_string();
    let text = "title: t\nlogsource: {product: kubernetes, service: audit}\ndetection:\n  s:\n    objectRef.resource: pods\n  condition: s\n";
    std::fs::write(&rule, text).expect("a file");
    let all = "SELECT event_id, identity, verb, resource FROM accesses";
    for args in [
        vec!["--help"],
        vec!["query", all],
        vec!["query", "-o", "csv", all],
        vec!["query", "-o", "ndjson", all],
        vec!["findings", "list"],
        vec!["explain", "--mapping", id],
        vec!["doctor", "--audit-policy"],
        vec!["rules", "list"],
        vec!["rules", "lint", &rule],
        vec!["config", "show"],
        vec!["config", "schema"],
        vec!["reference", "tables"],
        vec!["ingest", "-o", "csv", &audit],
        vec!["ingest", &audit],
    ] {
        assert_eq!(unread(&place, &args), Some(0), "{args:?}");
    }
}

/// Scenario: failures that nobody reads.
/// Guarantees: each keeps its exit code.
#[test]
fn unread_failures_keep_their_codes() {
    let place = Place::new();
    for (args, expected) in [
        (vec!["query", "SELECT 1"], 4),
        (vec!["query", "--timeout", "fast", "SELECT 1"], 2),
        (vec!["ingest", "/nowhere/audit.log"], 4),
        (vec!["config", "check", "/nowhere/durward.yaml"], 3),
    ] {
        assert_eq!(unread(&place, &args), Some(expected), "{args:?}");
    }
}

/// Scenario: a directory that a flag names, and that has no data, an unknown id, and input that cannot be read.
/// Guarantees: each command in a hint names the directory; where the environment names it, none does.
#[test]
fn hints_can_be_typed() {
    let place = Place::new();
    let data = place.data().display().to_string();
    let run = |args: &[&str]| {
        let mut command = place.command();
        command.env_remove("DURWARD_DATA_DIR").args(["--data-dir", &data]).args(args);
        let ran = command.output().expect("it runs");
        String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned()
    };
    let check = |args: &[&str], command: &str| {
        let told = run(args);
        assert!(told.contains(&format!("durward --data-dir {data} {command}")), "{told}");
    };
    check(&["query", "SELECT 1"], "ingest FILE");
    let file = place.path("words.jsonl");
    std::fs::write(&file, "words\n").expect("a file");
    let file = file.display().to_string();
    check(&["ingest", "--format", "kube-audit", &file], "query \"SELECT reason");
    check(&["explain", "nothing"], "findings list");
    check(&["doctor"], "ingest an audit log file");
    let told = place.run(&["explain", "nothing"]).err;
    assert!(told.contains("`durward findings list`"), "{told}");
}

/// Scenario: the beginning of many ids, of one, and a limit of time that is too short.
/// Guarantees: what begins alike is listed and none is picked; what is unique is explained; the limit can be raised
/// where the error says so.
#[test]
fn ids_are_not_guessed() {
    let place = Place::new();
    place.ingest(scenario("stolen-token"));
    let several = place.run(&["explain", "0"]);
    assert_eq!((several.code, several.out.as_str()), (2, ""), "{several:?}");
    assert!(several.err.contains("more than one id begins with 0:"), "{}", several.err);
    let listed: Vec<&str> = several.err.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(listed.len() >= 2, "{}", several.err);
    for line in listed.iter().take(2) {
        let id = line.split_whitespace().nth(1).expect("an id");
        assert!(id.starts_with('0'), "{line}");
        assert_eq!(place.run(&["explain", id]).code, 0, "{line}");
    }
    let several = place.run(&["explain", "--mapping", "0"]);
    assert!(several.code == 2 && several.err.contains("more than one id"), "{several:?}");
    let rows = place.query("SELECT event_id, finding_id, incident_id FROM finding_events JOIN findings USING (finding_id) WHERE incident_id IS NOT NULL LIMIT 1");
    for column in ["event_id", "incident_id"] {
        let id = rows[0][column].as_str().expect("an id");
        let beginning = id.get(..id.len() - 1).expect("text");
        assert_eq!(place.run(&["explain", beginning]).code, 0, "{column} {beginning}");
    }
    for verb in [["explain", "0"], ["who", "alice"], ["findings", "list"]] {
        // A fast machine may answer in time; what matters is that the flag is there.
        let ran = place.run(&[verb.as_slice(), &["--timeout", "1ms"]].concat());
        let is_told = ran.err.contains("raise --timeout") || ran.err.contains("more than one id");
        assert!(ran.code == 0 || (ran.code == 2 && is_told), "{verb:?}: {ran:?}");
    }
}

/// Scenario: a text with ends of lines and a tab, in a table.
/// Guarantees: it is on one line, and readable.
#[test]
fn ends_of_lines_are_readable() {
    let place = Place::new();
    place.ingest(scenario("quiet-monday"));
    let ran = place.run(&["query", "SELECT 'a' || chr(10) || 'b' || chr(9) || 'c' AS t"]);
    assert!(ran.out.contains(r"a\nb\tc") && !ran.out.contains("u{"), "{}", ran.out);
}

/// Scenario: files taken, and sent to a server, in each output.
/// Guarantees: CSV is a header and a row, lines of JSON are lines, and JSON is JSON, with the same counts.
#[test]
fn ingest_prints_what_was_asked_for() {
    let place = Place::new();
    let story = scenario("quiet-monday");
    let files = place.files(story);
    let [state, audit] = [&files[0], &files[1]].map(|path| path.to_str().expect("a path"));
    let lines = story.audit_lines().expect("lines").len();
    let csv = |text: &str| {
        let mut rows =
            text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let head = rows.next().expect("a header");
        rows.map(|row| {
            head.clone().into_iter().zip(row).collect::<std::collections::BTreeMap<_, _>>()
        })
        .collect::<Vec<_>>()
    };
    let local = place.run(&["ingest", "-o", "csv", audit]);
    let rows = csv(&local.out);
    assert_eq!((rows.len(), rows[0]["accesses"].clone()), (1, lines.to_string()), "{}", local.out);
    assert_eq!(rows[0]["accepted"], lines.to_string(), "{}", local.out);
    let ndjson = place.run(&["ingest", "-o", "ndjson", audit]).out;
    let told: Value = serde_json::from_str(ndjson.trim()).expect("a line of JSON");
    assert_eq!(told["duplicates"], lines, "{ndjson}");

    let server = Running::start(&place, &[]);
    let url = server.url("web", "");
    let send = |output: &str| place.run(&["ingest", "--to", &url, "-o", output, state, audit]).out;
    let table = send("table");
    assert!(table.contains(&format!("{lines} accesses read")) && !table.contains('{'), "{table}");
    let rows = csv(&send("csv"));
    assert_eq!((rows.len(), rows[1]["accesses"].clone()), (2, lines.to_string()));
    let ndjson = send("ndjson");
    let told: Vec<Value> =
        ndjson.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((told.len(), &told[1]["read"]["accesses"]), (2, &json!(lines)), "{ndjson}");
    let told: Value = serde_json::from_str(&send("json")).expect("JSON");
    assert_eq!(told[1]["read"]["accesses"], lines, "{told}");
    assert_eq!(server.stop("-TERM"), Some(0));
}

/// Scenario: the query API, asked for each media type, for any, and for one that it does not offer.
/// Guarantees: the answer is what was asked for and says so; 406 names what there is.
#[tokio::test]
async fn query_answers_as_accept_says() {
    let place = Place::new();
    let server = Running::start(&place, &[]);
    let client = client();
    let ask = async |accept: &str| {
        let request = client.post(server.url("web", "/api/v1/query"));
        let request = request.header("content-type", "application/json").header("accept", accept);
        let body = json!({ "sql": "SELECT 1 AS one, 'a,b' AS two" }).to_string();
        let answer = request.body(body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let media = answer.headers()["content-type"].to_str().expect("text").to_owned();
        (status, media, answer.text().await.expect("text"))
    };
    let check = async |accept: &str, status: u16, media: &str, part: &str| {
        let (found, found_media, text) = ask(accept).await;
        assert_eq!((found, found_media.as_str()), (status, media), "{accept}: {text}");
        assert!(text.contains(part), "{accept}: {text}");
    };
    check("*/*", 200, "application/json", "[{\"one\":1,\"two\":\"a,b\"}]").await;
    check("application/x-ndjson", 200, "application/x-ndjson", "{\"one\":1,\"two\":\"a,b\"}\n")
        .await;
    check("text/csv", 200, "text/csv; charset=utf-8", "one,two\n1,\"a,b\"\n").await;
    check("text/plain", 200, "text/plain; charset=utf-8", "1 row").await;
    check("application/xml", 406, "application/json", "text/csv").await;
    assert_eq!(server.stop("-TERM"), Some(0));
}

/// Scenario: Ctrl-C while the demo tells its story.
/// Guarantees: it ends as interrupted, and leaves nothing behind.
#[test]
fn an_interrupted_demo_leaves_nothing() {
    let place = Place::new();
    let temporary = place.path("tmp");
    std::fs::create_dir_all(&temporary).expect("a directory");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_durward"))
        .arg("demo")
        .env("TMPDIR", &temporary)
        .env_remove("DURWARD_DATA_DIR")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(demo.stdout.take().expect("its words")).lines();
    let begun = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("2. "));
    assert!(begun && std::fs::read_dir(&temporary).expect("a directory").count() == 1);
    let killed = Command::new("kill").arg("-INT").arg(demo.id().to_string()).status();
    assert!(killed.expect("kill").success());
    assert_eq!(demo.wait().expect("it ends").code(), Some(130));
    assert_eq!(std::fs::read_dir(&temporary).expect("a directory").count(), 0);
}
