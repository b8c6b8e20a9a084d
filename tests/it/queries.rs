//! Questions to a running server that cost too much, or are asked by many.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Place, scenario};
use crate::serve::{Running, client, eventually};

/// So many rows that nobody waits for the end.
const SLOW: &str = "SELECT count(*) FROM accesses a, accesses b, accesses c, accesses d WHERE a.event_id > b.event_id AND c.event_id > d.event_id AND a.time + (c.time - b.time) > d.time";

async fn ask(server: &Running, sql: &str) -> (u16, String) {
    let asked = client()
        .post(server.url("web", "/api/v1/query"))
        .header("content-type", "application/json")
        .body(json!({ "sql": sql, "timeout": "25s" }).to_string());
    let answer = asked.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

/// Processes that this server started and that still live.
fn workers(server: &Running) -> usize {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let parents = entries.filter_map(|entry| {
        let status = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = status.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let is_dead = fields.next()? == "Z";
        (!is_dead).then(|| fields.next()?.parse::<u32>().ok()).flatten()
    });
    parents.filter(|parent| *parent == server.id()).count()
}

/// Scenario: seven questions that take for ever, then a short one; then those who asked the seven go away.
/// Guarantees: the short one is answered while the slow ones still run or wait; no worker outlives who asked, and
/// none leaves a file behind.
#[tokio::test(flavor = "multi_thread")]
async fn short_questions_pass_slow_ones() {
    let place = Place::new();
    place.ingest(scenario("minted-for-another"));
    let server = Running::start(&place, &[]);
    let slow: Vec<_> = (0..7)
        .map(|_| {
            let url = server.url("web", "/api/v1/query");
            let asked = client()
                .post(url)
                .header("content-type", "application/json")
                .body(json!({ "sql": SLOW, "timeout": "25s" }).to_string());
            tokio::spawn(asked.send())
        })
        .collect();
    // Two run, two are stopped behind them, and the places for short ones change hands.
    let mut answered = (0, String::new());
    for _ in 0..10 {
        answered = ask(&server, "SELECT count(*) AS n FROM accesses").await;
        if answered.0 == 200 {
            break;
        }
    }
    let rows: Value = serde_json::from_str(&answered.1).expect("JSON");
    assert!(answered.0 == 200 && rows[0]["n"].as_i64() > Some(0), "{answered:?}");
    let running = slow.iter().filter(|asked| !asked.is_finished()).count();
    assert!(running >= 2, "the slow ones ended before the short one was answered");
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("the end of all workers", || workers(&server) == 0);
    let left = fs::read_dir(place.data().join("spill")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "files of ended queries");
    assert_eq!(server.stop("-TERM"), Some(0));
}

/// Scenario: an answer of many megabytes as each output, a name that is hidden text, and one that fails at its end.
/// Guarantees: what is passed on as it comes is what a whole answer would be; what fails in the middle breaks off.
#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_passed_on_whole() {
    let place = Place::new();
    place.ingest(scenario("minted-for-another"));
    let server = Running::start(&place, &[]);
    let sql = "SELECT a.event_id, a.user_agent, a.annotations, b.request_key, 'x\u{202e}y' AS hidden FROM accesses a, accesses b LIMIT 40000";
    let (status, text) = ask(&server, sql).await;
    let rows: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    assert_eq!((status, rows.len()), (200, 40_000));
    assert!(text.len() > 4 << 20 && !text.contains('\u{202e}'), "{} bytes", text.len());
    assert_eq!(rows[39_999]["hidden"], "x\u{202e}y");
    let (status, text) =
        ask(&server, "SELECT a.event_id, b.event_id AS other FROM accesses a, accesses b").await;
    assert!(
        status == 422 || serde_json::from_str::<Value>(&text).is_err(),
        "an answer that is cut looks whole"
    );
    assert_eq!(server.stop("-TERM"), Some(0));
}
