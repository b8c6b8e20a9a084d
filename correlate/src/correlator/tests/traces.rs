//! From accesses to the spans of their traces, in any order.

use durward_schemas::values::Provider;
use serde_json::Value;

use super::*;

/// A span of half a millisecond that begins at `second`.
fn span(second: i64, kind: &str, trace: &str, id: &str) -> Span {
    Span {
        time: at(second),
        end_time: at(second).plus(500),
        event_id: EventId(format!("span-{id}")),
        trace_id: trace.into(),
        span_id: id.into(),
        kind: kind.into(),
        name: "GET".into(),
        cluster: Some("prod".into()),
        attributes: Json(
            r#"{"http.method":"GET","http.target":"/api/configmaps/settings"}"#.into(),
        ),
        source: "test".into(),
        ..Span::default()
    }
}

/// An API server's span of the request at `second`, which links to the client's.
fn served(second: i64, id: &str, link: &str) -> Span {
    Span {
        audit_id: Some(format!("audit-{second}")),
        links: Some(Json(format!(r#"[{{"trace_id":"client","span_id":"{link}"}}]"#))),
        ..span(second, "server", "server", id)
    }
}

/// The columns of `edge` at the request of `second`, in this order of arrival and in the opposite one.
fn told(contents: &[Content], second: i64, edge: Edge) -> Option<Value> {
    let ends = |contents: Vec<Content>| {
        let mut correlator = Correlator::default();
        let mut position = 1;
        let mut turns = Vec::new();
        for mut content in contents {
            content.place(position, at(100));
            let record = Record { first_position: position, ingest_time: at(100), content };
            position += i64::try_from(record.content.positions()).expect("few");
            turns.push(correlator.turn(record, &Older::default()));
        }
        let restored = Correlator::restore(Settings::default(), &correlator.save());
        assert_eq!(restored.expect("whole"), correlator, "a checkpoint holds all that is known");
        edges(&turns).get(&(format!("{second:032x}"), edge.as_str())).cloned().flatten()
    };
    let in_order = ends(contents.to_vec());
    let backwards = ends(contents.iter().rev().cloned().collect());
    assert_eq!(in_order, backwards, "the order of arrival does not matter");
    in_order
}

fn asked(second: i64) -> Content {
    Content::Accesses(vec![request(second, "alice", "get", "configmaps", "settings")])
}

/// Scenario: an API server does not continue a client's trace but links to it; the client sent its spans,
/// or did not.
/// Guarantees: the access leads to the client's span: derived where that was seen, and else heuristic,
/// since it is the client's word.
#[test]
fn links_lead_to_the_clients_span() {
    let client = Content::Spans(vec![span(1, "client", "client", "c1")]);
    let server = Content::Spans(vec![served(1, "s1", "c1")]);
    let seen = told(&[asked(1), server.clone(), client], 1, Edge::Link).expect("a link");
    assert_eq!(
        (&seen["linked_trace_id"], &seen["linked_span_id"]),
        (&"client".into(), &"c1".into())
    );
    assert_eq!(seen["link_evidence"], "derived");
    let unseen = told(&[asked(1), server.clone()], 1, Edge::Link).expect("a link");
    assert_eq!(unseen["link_evidence"], "heuristic");
    assert_eq!(told(&[asked(2), server.clone()], 2, Edge::Link), None);
    let trace = told(&[asked(1), server], 1, Edge::Trace).expect("a trace");
    assert_eq!((&trace["span_id"], &trace["trace_evidence"]), (&"s1".into(), &"exact".into()));
}

/// A line that a proxy logged of a request, with the trace and the span that it names.
fn proxied(second: i64, span: &str) -> Content {
    Content::Accesses(vec![Access {
        provider: Provider::Envoy,
        source_event_id: None,
        claimed_trace_id: Some("mesh".into()),
        claimed_span_id: Some(span.into()),
        ..request(second, "spiffe://shop.test/web", "GET", "orders", "1")
    }])
}

/// Scenario: a proxy logs its own span of a request; another's log quotes the header, which names the
/// client's span; one names a span of another time.
/// Guarantees: the proxy's own span is exact, since it made up its id; the others are derived; a span
/// that was not sent is none.
#[test]
fn lines_of_proxies_lead_to_their_spans() {
    let spans = Content::Spans(vec![
        span(1, "server", "mesh", "own"),
        span(1, "client", "mesh", "quoted"),
        span(50, "server", "mesh", "later"),
    ]);
    let grade = |name: &str| {
        let found = told(&[proxied(1, name), spans.clone()], 1, Edge::Trace)?;
        Some((found["span_id"].clone(), found["trace_evidence"].clone()))
    };
    let expected = |id: &str, grade: &str| Some((id.into(), grade.into()));
    assert_eq!(grade("own"), expected("own", "exact"));
    assert_eq!(grade("quoted"), expected("quoted", "derived"));
    assert_eq!(grade("later"), expected("later", "derived"));
    assert_eq!(grade("unsent"), None);
}
