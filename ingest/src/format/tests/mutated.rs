//! Full records of every format, spoilt in every way: whatever is done to them, what must hold holds.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Format;
use super::mesh::SAMPLES as MESHES;
use super::samples::SAMPLES;
use crate::fuzz::{Target, check};

/// Documents of the formats that have no sample.
const DOCUMENTS: &[(Format, &str)] = &[
    (
        Format::AksAudit,
        r#"{"records":[{"category":"kube-audit","operationName":"Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
            "time":"2026-07-23T10:00:00Z","resourceId":"/SUBSCRIPTIONS/A","properties":{"pod":"p","stream":"stdout",
            "log":"{\"kind\":\"Event\",\"auditID\":\"a\",\"stage\":\"ResponseComplete\",\"verb\":\"get\"}"}}]}"#,
    ),
    (
        Format::KubeList,
        r#"{"kind":"List","apiVersion":"v1","items":[{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"b",
            "uid":"u","resourceVersion":"7","creationTimestamp":"2026-11-23T17:41:37Z"},"spec":{"serviceAccountName":"c"},"status":{"podIP":"10.0.0.7"}}]}"#,
    ),
    (
        Format::CloudWatch,
        r#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/a/cluster","logStream":"kube-apiserver-audit-0",
            "logEvents":[{"id":"1","timestamp":1784800800131,"message":"{\"auditID\":\"a\",\"kind\":\"Event\"}"}]}"#,
    ),
    (
        Format::Otlp,
        r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"a"}}]},"scopeSpans":[{"scope":{"name":"s"},
            "spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","name":"x","kind":2,"startTimeUnixNano":"1784800800131000000",
            "endTimeUnixNano":"1784800800132000000","attributes":[{"key":"audit-id","value":{"stringValue":"7"}}],"status":{"code":2}}]}]}],
            "resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1784800800131000000","severityNumber":9,"body":{"stringValue":"m"}}]}]}],
            "resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","unit":"1","sum":{"isMonotonic":true,"dataPoints":[{"asInt":"7","timeUnixNano":"1"}]}}]}]}]}"#,
    ),
];

/// A full record of each format.
fn records() -> Vec<(Format, Value)> {
    let samples = SAMPLES.iter().map(|sample| (sample.format, sample.record));
    let meshes = MESHES.iter().map(|sample| (sample.format, sample.record));
    let all = samples.chain(meshes).chain(DOCUMENTS.iter().copied());
    all.map(|(format, record)| (format, serde_json::from_str(record).unwrap())).collect()
}

/// The paths of all fields below `value`.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut below = |key: &str, value: &Value| {
        let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        paths(value, &path, found);
        found.push(path);
    };
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| below(&index.to_string(), item));
        }
        Value::Object(fields) => fields.iter().for_each(|(key, field)| below(key, field)),
        _ => {}
    }
}

/// Scenario: a full record of every format, each of its fields in turn of every other type.
/// Guarantees: there is a record for each format; each is read without a panic, and whole or in
/// chunks it makes the same rows with the same ids.
#[test]
fn fields_of_any_type_are_read() {
    let records = records();
    for format in Format::ALL {
        assert!(records.iter().any(|(known, _)| known == format), "{format} has no record");
    }
    let others = [
        json!(null),
        json!(true),
        json!(-7),
        json!(1e300),
        json!(""),
        json!([7]),
        json!({"a": {}}),
    ];
    for (format, record) in records {
        let mut found = Vec::new();
        paths(&record, "", &mut found);
        for (index, path) in found.iter().enumerate() {
            // Each type meets each format many times; each field meets two of them.
            for other in [&others[index % others.len()], &others[(index + 3) % others.len()]] {
                let mut record = record.clone();
                *record.pointer_mut(path).unwrap() = other.clone();
                check(Target::Format(format), record.to_string().as_bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Scenario: lines of full records of every format, cut, with pieces taken out, doubled and
    /// swapped, and bytes changed; and the two bytes that say where readers see them cut.
    /// Guarantees: no reader panics; rows and rejects are the items; ids do not depend on chunks.
    #[test]
    fn spoilt_records_are_accounted_for(
        changes in proptest::collection::vec((0_u8..6, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..5),
        size in any::<[u8; 2]>(),
    ) {
        for (format, record) in records() {
            let mut bytes = format!("{record}\n{record}\n").into_bytes();
            for (change, one, two, byte) in &changes {
                if bytes.is_empty() {
                    break;
                }
                let (one, two) = (one.index(bytes.len()), two.index(bytes.len()));
                let (from, to) = (one.min(two), one.max(two));
                match change {
                    0 => bytes.truncate(to),
                    1 => drop(bytes.drain(from..to)),
                    2 => { let piece = bytes[from..to].to_vec(); bytes.splice(from..from, piece); }
                    3 => bytes.swap(one, two),
                    4 => bytes[one] = *byte,
                    _ => bytes.rotate_left(one),
                }
            }
            bytes.extend(size);
            check(Target::Format(format), &bytes);
            check(Target::Detect, &bytes);
        }
    }
}
