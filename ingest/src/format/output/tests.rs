use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{Context, Format, Reading, read};
use crate::lab::with_context;

/// What is read of a record of this resource, with these attributes and this body.
fn record(resource: &[(&str, &str)], attributes: &[(&str, &str)], body: &str) -> String {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<Value> {
        let pair =
            |(key, value): &(&str, &str)| json!({"key": key, "value": {"stringValue": value}});
        pairs.iter().map(pair).collect()
    };
    let record = json!({"attributes": pairs(attributes), "body": {"stringValue": body}});
    json!({"resourceLogs": [{"resource": {"attributes": pairs(resource)},
        "scopeLogs": [{"logRecords": [record]}]}]})
    .to_string()
}

fn reading(format: Format, input: &str, named: &[&str]) -> Reading {
    let named: BTreeSet<String> = named.iter().map(|&name| name.to_owned()).collect();
    with_context(|context| {
        read(format, input.as_bytes(), &Context { audit_containers: &named, ..*context })
    })
}

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a-1","verb":"get","stage":"ResponseComplete","requestURI":"/api","user":{"username":"system:admin"}}"#;
const CLOUDTRAIL: &str = r#"{"eventVersion":"1.11","eventID":"e","eventTime":"2026-11-23T17:41:37Z","eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","userIdentity":{"type":"Root"}}"#;
const SPIRE: &str = r#"{"authorized_as":"local","level":"info","method":"MintX509SVID","msg":"API accessed","service":"svid.v1.SVID","status":"success","subsystem_name":"api","time":"2026-11-23T17:41:37Z","type":"audit"}"#;
const ENVOY: &str = r#"{"start_time":"2026-11-23T17:41:37.000Z","method":"GET","path":"/","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","upstream_host":"10.0.0.1:80"}"#;

/// Scenario: records that read as events of an API server, a cloud and SPIRE, by every mark that tells the output
/// of a container or an application, with and without the container named in the configuration.
/// Guarantees: none is an access unless its container is named; each is kept as a log record that says so, and
/// nothing is rejected.
#[test]
fn containers_tell_no_accesses() {
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let space = ("k8s.namespace.name", "ns");
    let by_resource: Pairs<'_> = &[space, ("k8s.container.name", "c")];
    let marks: [(Pairs<'_>, Pairs<'_>, bool); 10] = [
        (by_resource, &[], true),
        (&[], by_resource, true),
        (&[space], &[("k8s.container.name", "c"), ("log.iostream", "stdout")], true),
        (&[], &[("log.file.path", "/var/log/pods/ns_p_u/c/0.log")], true),
        (&[], &[("log.file.path", "/var/log/containers/p_ns_c-0a1b.log")], true),
        (&[], &[("log.file.path", "/var/lib/docker/containers/0a/0a-json.log")], false),
        (&[space, ("k8s.pod.name", "p")], &[], false),
        (&[("k8s.pod.uid", "u")], &[], false),
        (&[("container.id", "0a")], &[], false),
        (&[("telemetry.sdk.name", "opentelemetry")], &[], false),
    ];
    for (resource, attributes, is_named) in marks {
        for body in [EVENT, CLOUDTRAIL, SPIRE] {
            let input = record(resource, attributes, body);
            for named in [&[][..], &["ns/other"], &["ns/c"]] {
                let found = reading(Format::Otlp, &input, named);
                let expect = usize::from(is_named && named == ["ns/c"]);
                let told = format!("{input} with {named:?}");
                assert_eq!((found.accesses.len(), found.rejects.len()), (expect, 0), "{told}");
                assert_eq!(found.logs.len(), 1 - expect, "{told}");
                let is_marked = |log: &durward_schemas::tables::Log| {
                    log.attributes.as_str().contains(super::PRINTED)
                };
                assert!(found.logs.iter().all(is_marked), "{told}");
            }
        }
    }
}

/// Scenario: an event in the line of a container runtime and in the record of a shipper, whole and cut; and one
/// that a Collector read from a file of the node.
/// Guarantees: what the body itself says of a container counts as attributes do; a file is no container.
#[test]
fn bodies_tell_of_containers() {
    let quoted = Value::from(EVENT).to_string();
    let shipped = format!(
        r#"{{"kubernetes":{{"namespace_name":"ns","container_name":"c"}},"log":{quoted},"stream":"stdout"}}"#
    );
    let docker = format!(r#"{{"log":{quoted},"stream":"stdout","time":"2026-11-23T17:41:37Z"}}"#);
    let runtime = format!("2026-11-23T17:41:37Z stdout F {EVENT}");
    for (body, is_named) in [(shipped, true), (docker, false), (runtime, false)] {
        for (named, expect) in [(&[][..], 0), (&["ns/c"][..], usize::from(is_named))] {
            let found = reading(Format::Otlp, &record(&[], &[], &body), named);
            assert_eq!((found.accesses.len(), found.logs.len()), (expect, 1 - expect), "{body}");
        }
    }
    let file = [("log.file.path", "/var/log/kubernetes/audit.log"), ("log.file.name", "audit.log")];
    let found = reading(Format::Otlp, &record(&[("k8s.node.name", "cp")], &file, EVENT), &[]);
    assert_eq!((found.accesses.len(), found.logs.len()), (1, 0));
    let cut = record(&[("k8s.container.name", "c")], &[], EVENT.get(..60).unwrap());
    let found = reading(Format::Otlp, &cut, &[]);
    assert_eq!((found.accesses.len(), found.logs.len(), found.rejects.len()), (0, 1, 0));
}

/// Scenario: an event that the container writes which is named, and the same by a file.
/// Guarantees: whose output it was is kept; it is no part of the id.
#[test]
fn containers_own_what_they_print() {
    let of = |resource: &[(&str, &str)]| {
        reading(Format::Otlp, &record(resource, &[], EVENT), &["ns/c"]).accesses.remove(0)
    };
    let printed = of(&[("k8s.namespace.name", "ns"), ("k8s.container.name", "c")]);
    let read = of(&[("k8s.node.name", "cp")]);
    assert!(format!("{:?}", printed.unmapped).contains("k8s.container.name"));
    assert_eq!((read.unmapped, read.event_id), (None, printed.event_id));
}

/// Scenario: a line of a proxy beside an application.
/// Guarantees: proxies stand in every pod and tell of its own traffic, so theirs is an access.
#[test]
fn proxies_tell_of_their_pod() {
    let resource = [("k8s.namespace.name", "ns"), ("k8s.container.name", "istio-proxy")];
    let found = reading(Format::Otlp, &record(&resource, &[], ENVOY), &[]);
    assert_eq!((found.accesses.len(), found.logs.len()), (1, 0));
}

/// Scenario: a group of CloudWatch holds what Fluent Bit read from a container, and what an API server wrote.
/// Guarantees: a shipper's record is a log record unless its container is named.
#[test]
fn shippers_tell_of_containers() {
    let message = json!({"kubernetes": {"namespace_name": "ns", "container_name": "c"}, "log": EVENT, "stream": "stdout"});
    let group = |message: &str| {
        json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "apps", "logStream": "s",
            "subscriptionFilters": ["f"], "logEvents": [{"id": "1", "timestamp": 1_795_455_697_000_i64, "message": message}]})
        .to_string()
    };
    let shipped = group(&message.to_string());
    for (input, named, expect) in
        [(&shipped, &[][..], 0), (&shipped, &["ns/c"][..], 1), (&group(EVENT), &[][..], 1)]
    {
        let found = reading(Format::CloudWatch, input, named);
        assert_eq!((found.accesses.len(), found.logs.len()), (expect, 1 - expect), "{found:?}");
    }
}
