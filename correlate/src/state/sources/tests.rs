use durward_schemas::cell::Json;

use super::*;

fn receipt(source: &str, kind: &str, refused: i64) -> Receipt {
    Receipt { source: source.into(), kind: kind.into(), bytes: 10, refused, ..Receipt::default() }
}

fn access(source: &str, format: &str, cluster: &str, time: i64) -> Access {
    Access {
        source: source.into(),
        format: format.into(),
        cluster: Some(cluster.into()),
        time: Time(time),
        ..Access::default()
    }
}

/// Scenario: log records of Hubble before the receipt that names their format, and a tick between; accesses of two
/// clusters and two formats by one source.
/// Guarantees: one row for each source, format and cluster; what has no format yet waits for it.
#[test]
fn formats_and_clusters_stand_apart() {
    let mut sources = Sources::default();
    let log = Log { source: "hubble".into(), attributes: Json("{}".into()), ..Log::default() };
    sources.count(&log, Fate::Accepted);
    sources.lost(&log, 21);
    assert_eq!(sources.tick(Time(1), 1), []);
    sources.received(&receipt("hubble", "kube-audit", 0), Time(2));
    sources.received(&receipt("hubble", "hubble", 0), Time(2));
    for (format, cluster) in [("kube-audit", "a"), ("kube-audit", "b"), ("vault", "a")] {
        sources.count(&access("otlp", format, cluster, 5), Fate::Accepted);
    }
    let rows = sources.tick(Time(3 * SECOND), 2);
    let keys: Vec<_> = rows
        .iter()
        .map(|row| (&*row.source, &*row.kind, row.cluster.as_deref(), row.accepted))
        .collect();
    let expected = [
        ("hubble", "hubble", None, 1),
        ("hubble", "kube-audit", None, 0),
        ("otlp", "kube-audit", Some("a"), 1),
        ("otlp", "kube-audit", Some("b"), 1),
        ("otlp", "vault", Some("a"), 1),
    ];
    assert_eq!(keys, expected);
    assert_eq!((rows[0].lost_estimate, rows[0].lost_reported, rows[0].bytes), (21, Some(21), 10));
    assert_eq!(rows[2].lag_seconds, Some(2.999_995));
}

/// Scenario: a door, a door that refused a delivery, and a file before and after its end.
/// Guarantees: a door's watermark stands its lateness before the tick and is held since the refusal, a file's is its
/// last event once it has ended; before that nothing is claimed.
#[test]
fn watermarks_claim_what_has_surely_arrived() {
    let mut sources = Sources::default();
    let minutes = |count: i64| Time(count * MINUTE);
    let check = |sources: &mut Sources, tick: i64, expected: Option<Time>| {
        sources.count(&access("audit", "kube-audit", "a", 7), Fate::Duplicate);
        let rows = sources.tick(minutes(tick), tick);
        assert_eq!(rows.iter().map(|row| row.watermark).collect::<Vec<_>>(), [expected], "{tick}");
    };
    check(&mut sources, 1, None);
    let from = |refused: i64| Receipt {
        cluster: Some("a".into()),
        ..receipt("audit", "kube-audit", refused)
    };
    sources.received(&from(0), minutes(10));
    check(&mut sources, 11, Some(minutes(6)));
    sources.received(&from(1), minutes(12));
    check(&mut sources, 15, Some(minutes(7)));
    check(&mut sources, 17, Some(minutes(12)));
    sources.ended("audit");
    let rows = {
        sources.count(&access("audit", "kube-audit", "a", 9), Fate::Accepted);
        sources.ended("audit");
        sources.tick(minutes(18), 18)
    };
    assert_eq!(rows[0].watermark, Some(Time(9)));
    check(&mut sources, 19, None);
}

/// Scenario: what is remembered of sources, through a checkpoint.
/// Guarantees: it comes back as it was.
#[test]
fn memory_goes_through_a_checkpoint() {
    let mut sources = Sources::default();
    sources.count(&access("audit", "kube-audit", "a", 7), Fate::Accepted);
    sources.received(&receipt("audit", "kube-audit", 3), Time(5));
    let text = serde_json::to_string(sources.parts().1).expect("JSON");
    let mut restored = Sources::default();
    restored.restore_known(serde_json::from_str(&text).expect("JSON"));
    sources.parts().0.for_each(|counter| restored.restore(counter.clone()));
    assert_eq!(restored, sources);
}
