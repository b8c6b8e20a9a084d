//! What a server says of itself and of its sources: metrics, `sources`, `doctor`.

use serde_json::{Value, json};

use crate::program::Place;
use crate::serve::{Running, batch, client, post};

async fn metrics(server: &Running) -> String {
    let answer = client().get(server.url("admin", "/metrics")).send().await.expect("an answer");
    answer.text().await.expect("text")
}

/// The samples of a metric: labels and value.
fn samples<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let samples = text.lines().filter_map(|line| line.strip_prefix(name));
    samples.filter(|rest| rest.starts_with(['{', ' '])).collect()
}

/// Scenario: the metrics of a server that has taken nothing yet, and after one event.
/// Guarantees: every metric that is described has samples from the start, with every label that it can have; what
/// is counted moves.
#[tokio::test]
async fn every_metric_lives_from_the_start() {
    let place = Place::new();
    let server = Running::start(&place, &[]);
    let text = metrics(&server).await;
    let described: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(described.len() >= 12, "{text}");
    let page = format!("{}/docs/reference/metrics.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(page).expect("a page");
    for name in &described {
        assert!(!samples(&text, name).is_empty(), "{name} has no sample: {text}");
        assert!(page.contains(&format!("| `{name}` |")), "docs/reference/metrics.md lacks {name}");
    }
    for (name, expected) in [
        ("durward_ingest_events_total", 3),
        ("durward_correlate_amendments_total", 10),
        ("durward_findings_total", 5),
        ("durward_notify_total", 3),
        ("durward_state_entries", 28),
    ] {
        assert_eq!(samples(&text, name).len(), expected, "{name}: {text}");
    }
    assert!(text.contains(concat!(
        "durward_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    )));
    let end = |text: &str| -> i64 {
        samples(text, "durward_log_end_position")[0].trim().parse().expect("a number")
    };
    assert_eq!(post(&client(), server.url("audit", "/v1/k8s-audit/shop"), batch(1)).await, 200);
    let after = metrics(&server).await;
    assert!(end(&after) > end(&text), "{after}");
    let bytes: i64 = samples(&after, "durward_log_bytes")[0].trim().parse().expect("a number");
    assert!(bytes > 0, "{after}");
    assert_eq!(server.stop("-TERM"), Some(0));
}

/// Scenario: one webhook for two clusters, a Collector that tells of losses, a file, and silences of one identity, of
/// everybody, and of everybody until a time that has passed.
/// Guarantees: one row for each source, format and cluster, with losses, watermark and lag; advice names the cluster,
/// and the silence that is in force for everybody is shown.
#[tokio::test]
async fn sources_stand_apart_by_format_and_cluster() {
    let place = Place::new();
    let silences = "detect.exemptions=[{of: secrets_listed, reason: shared}, {of: two_addresses, identity: alice, reason: hers}, \
                    {of: csr_approved, until: 2020-01-01, reason: over}]";
    let server = Running::start(&place, &["--set".to_owned(), silences.to_owned()]);
    let client = client();
    for (id, cluster) in [(1, "a"), (2, "b"), (3, "b")] {
        let url = server.url("audit", &format!("/v1/k8s-audit/{cluster}"));
        assert_eq!(post(&client, url, batch(id)).await, 200);
    }
    let number = |name: &str, value: u32| {
        json!({"name": name, "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
            {"asInt": value.to_string(), "startTimeUnixNano": "1795456613800247744", "timeUnixNano": "1795456613900247744"}]}})
    };
    let lost = json!({"resourceMetrics": [{"resource": {"attributes": []}, "scopeMetrics": [{"metrics": [
        number("otelcol_exporter_send_failed_log_records", 7), number("otelcol_exporter_sent_log_records", 9)]}]}]});
    assert_eq!(post(&client, server.url("otlp_http", "/v1/metrics"), lost.to_string()).await, 200);
    let span = json!({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": [{
        "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "s", "kind": 2, "droppedLinksCount": 2,
        "startTimeUnixNano": "1795456613800247744", "endTimeUnixNano": "1795456613900247744"}]}]}]});
    assert_eq!(post(&client, server.url("otlp_http", "/v1/traces"), span.to_string()).await, 200);
    assert_eq!(server.stop("-TERM"), Some(0));
    let rows = place.query("SELECT * FROM sources ORDER BY source, kind, cluster");
    let short: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!([
                row["source"],
                row["kind"],
                row["cluster"],
                row["accepted"],
                row["lost_estimate"]
            ])
        })
        .collect();
    let expected = [
        json!(["audit", "kube-audit", "a", 1, 0]),
        json!(["audit", "kube-audit", "b", 2, 0]),
        json!(["otlp_http", "otlp", null, 3, 9]),
    ];
    assert_eq!(short, expected, "{rows:?}");
    assert!(
        rows.iter().all(|row| row["watermark"].is_string() && row["lag_seconds"].is_i64()),
        "{rows:?}"
    );
    assert_eq!((&rows[0]["state"], &rows[2]["state"]), (&json!("live"), &json!("degraded")));
    assert_eq!(place.count("source_counters WHERE lag_seconds IS NULL OR watermark IS NULL"), 0);
    let said = place.run(&["doctor"]).out;
    for part in [
        "audit (kube-audit, cluster a): live, 1 accepted",
        "otlp_http (otlp): degraded, 3 accepted, 0 duplicates, 0 rejected, 9 lost",
        "cluster a: 1 accesses, and the policy that was there before them was never listed",
        "cluster b: 2 accesses, and the policy",
        "audit (cluster b): 2 accesses, and no stage ResponseStarted among them",
        "otlp_http: 9 losses are told by the source itself",
        "secrets_listed is silenced for every identity, for ever: shared",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(
        !said.contains("two_addresses is silenced") && !said.contains("csr_approved"),
        "{said}"
    );
}

/// Scenario: a file that is read to its end.
/// Guarantees: all that it has surely brought is its last event.
#[test]
fn watermarks_of_files_are_their_last_events() {
    let place = Place::new();
    let path = place.path("audit.jsonl");
    let batch: Value = serde_json::from_str(&batch(1)).expect("JSON");
    std::fs::write(&path, batch["items"][0].to_string()).expect("a file");
    place.ingest_paths("shop", &[&path]);
    let rows = place.query("SELECT kind, cluster, watermark, last_time FROM sources");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["watermark"], "2026-07-23T10:00:00.000000Z", "{rows:?}");
    assert_eq!(rows[0]["watermark"], rows[0]["last_time"]);
}
