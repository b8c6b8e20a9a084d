mod doors;
mod inputs;
mod mapping;
mod mesh;
mod mutated;
mod neutral;
mod samples;
mod shared;

use durward_schemas::record::Content;
use durward_schemas::table::Row;
use proptest::prelude::*;

use super::*;
use crate::lab::with_context;

/// Pieces from which inputs are made: good items, bad ones, and what stands between them.
const PIECES: &[&str] = &[
    r#"{"auditID":"a","stage":"s","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#,
    r#"{"kind":"Pod","metadata":{"name":"a"}}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"},{"name":7}]}]}]}"#,
    r#"{"kind":"EventList","items":["#,
    r#"{"Records":["#,
    r#"{"records":["#,
    r#"{"eventName":"GetObject","eventSource":"s3.amazonaws.com","requestParameters":{"a":1}}"#,
    r#"{"messageType":"DATA_MESSAGE","logGroup":"/aws/eks/a/cluster","logEvents":[{"timestamp":1,"message":"x"},7]}"#,
    r#"{"logName":"projects/a/logs/b","protoPayload":{"serviceName":"k8s.io","methodName":"io.k8s.core.v1.pods.list"}}"#,
    r#"{"logName":"projects/a/logs/b","protoPayload":{"serviceName":"iam.googleapis.com","methodName":7}}"#,
    r#"{"operationName":"a/b/write","category":"kube-audit","resourceId":"/","properties":{"log":"{\"auditID\":1}"}}"#,
    r#"{"operationName":"a/b/write","resourceId":"/","identity":{"claims":{"appid":7}}}"#,
    r#"{"category":"SignInLogs","properties":{"appId":"a","status":{"errorCode":7}}}"#,
    r#"{"category":"AuditLogs","properties":{"activityDisplayName":"a","targetResources":[7]}}"#,
    r#"{"message":{"data":"e30="}}"#,
    "H4sIAAAAAAAA/6uu",
    "2026-07-23T10:00:00Z ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\n",
    "\"",
    "\\",
    "nope",
    "\u{0}",
    "{\"kind\":0}",
    "7",
    "\u{a}\u{3}\u{a}\u{1}\u{1}",
    r#"{"response_flags":"DC","source.principal":"spiffe://a/ns/b/sa/c","response_code":"7"}"#,
    "[2026-11-23T17:41:37Z] \"GET /a HTTP/1.1\" 200 - 0 3 1 0 \"-\" \"x\" \"7\" \"h\" \"1.1.1.1:1\"\n",
    "[2026-11-23T17:41:37Z] \"- - -\" 0 - - - \"-\" 0 0 0 - ",
    r#"{"time":"2026-11-23T17:41:37Z","msg":"API accessed","type":"audit","status":"error"}"#,
    "time=\"2026-11-23T17:41:37Z\" level=info msg=\"API accessed\" type=audit\n",
    "2026-11-23T17:41:37Z stdout F ",
    r#"{"flow":{"verdict":"DROPPED","l7":{"http":{"headers":[{"key":"b3","value":"1-2"}]}}}}"#,
    r#"{"lost_events":{"num_events_lost":"1"}}"#,
    r#"{"type":"response","request":{"path":"auth/a/login","operation":"update"},"response":{"auth":{}}}"#,
    r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"response_flags"}]}]}]}]}"#,
];

proptest! {
    /// Scenario: any bytes, and any arrangement of good items, bad ones and punctuation.
    /// Guarantees: every format answers, and nothing that is no white space goes unaccounted.
    #[test]
    fn any_input_is_accounted_for(
        bytes in any::<Vec<u8>>(),
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..12),
    ) {
        for format in Format::ALL {
            for input in [bytes.as_slice(), pieces.concat().as_bytes()] {
                let reading = with_context(|context| read(*format, input, context));
                let contents = reading.clone().into_contents();
                let sealed: usize = contents.iter().map(Content::positions).sum();
                prop_assert_eq!(sealed, reading.items());
            }
        }
    }

    /// Scenario: lines of each line format, good ones and broken ones in any order, at once and cut.
    /// Guarantees: rows and rejects together are the lines; each good one is a row, and ids do not
    /// depend on how the input came in pieces.
    #[test]
    fn lines_are_rows_or_rejects(choice in proptest::collection::vec(0_usize..5, 0..20), cut in any::<usize>()) {
        let good = [
            (Format::Envoy, r#"{"response_flags":"DC","start_time":"2026-11-23T17:41:37Z"}"#),
            (Format::Envoy, "[2026-11-23T17:41:37Z] \"GET / HTTP/1.1\" 200 - 0 3 1 0 \"-\" \"x\" \"7\" \"h\" \"-\""),
            (Format::Spire, "time=\"2026-11-23T17:41:37Z\" level=info msg=x"),
            (Format::Spire, r#"{"level":"info","msg":"API accessed","type":"audit","status":"success"}"#),
            (Format::Hubble, r#"{"flow":{"verdict":"FORWARDED"}}"#),
            (Format::Vault, r#"{"type":"request","request":{"id":"1","operation":"read"}}"#),
        ];
        for (format, good) in good {
            let items = [good, "nope", "7", r#"{"flow":7,"request":7,"x":1}"#, "{\"cut\":\"here"];
            let lines: Vec<&str> = choice.iter().map(|index| items[*index]).collect();
            let rows = choice.iter().filter(|index| **index == 0).count();
            let input = lines.join("\n");
            let whole = with_context(|context| read(format, input.as_bytes(), context));
            prop_assert_eq!((whole.items() - whole.rejects.len(), whole.items()), (rows, lines.len()), "{} {}", format, input);
            let (one, two) = input.as_bytes().split_at(cut % (input.len() + 1));
            let mut splitter = format.splitter();
            let mut items = splitter.push(one);
            items.extend(splitter.push(two));
            items.extend(splitter.finish());
            let mut pieces = Reading::default();
            with_context(|context| items.iter().for_each(|item| format.read_item(item, context, &mut pieces)));
            prop_assert_eq!(pieces, whole);
        }
    }

    /// Scenario: a list of audit events in which any may be broken in some way.
    /// Guarantees: rows and rejects together are the items; each good one is a row.
    #[test]
    fn rows_and_rejects_are_the_items(choice in proptest::collection::vec(0_usize..5, 0..20)) {
        let items = [PIECES[0], "{}", "nope", "7", r#"{"auditID":[1]}"#];
        let list: Vec<&str> = choice.iter().map(|index| items[*index]).collect();
        let good = choice.iter().filter(|index| **index == 0).count();
        for input in [format!(r#"{{"items":[{}]}}"#, list.join(",")), list.join("\n")] {
            let reading = with_context(|context| read(Format::KubeAudit, input.as_bytes(), context));
            prop_assert_eq!((reading.accesses.len(), reading.items()), (good, list.len()), "{}", input);
        }
    }
}

/// A good record of each format that has envelopes, as a list of its cloud holds it.
const RECORDS: &[(Format, &str, &str)] = &[
    (Format::CloudTrail, "Records", r#"{"eventName":"x","eventSource":"y"}"#),
    (Format::GcpAudit, "items", r#"{"protoPayload":{"methodName":"x"}}"#),
    (
        Format::GkeAudit,
        "items",
        r#"{"protoPayload":{"serviceName":"k8s.io","methodName":"io.k8s.core.v1.pods.list"}}"#,
    ),
    (
        Format::AksAudit,
        "records",
        r#"{"category":"kube-audit","properties":{"log":"{\"auditID\":\"a\"}"}}"#,
    ),
    (Format::AzureActivity, "records", r#"{"operationName":"x","resourceId":"y"}"#),
    (Format::AzureSignin, "records", r#"{"category":"SignInLogs","properties":{"appId":"x"}}"#),
    (Format::AzureAudit, "records", r#"{"category":"AuditLogs","operationName":"x"}"#),
    (Format::CloudWatch, "Records", r#"{"logEvents":[{"message":"{\"auditID\":\"a\"}"}]}"#),
];

proptest! {
    /// Scenario: records of a cloud in a list, an array and lines, in which any may be broken.
    /// Guarantees: rows and rejects together are the items; each good one is a row.
    #[test]
    fn records_stand_alone(choice in proptest::collection::vec(0_usize..5, 0..12)) {
        for (format, list, good) in RECORDS {
            let items = [*good, "{}", "nope", "7", r#"{"eventName":[1]}"#];
            let texts: Vec<&str> = choice.iter().map(|index| items[*index]).collect();
            let whole = choice.iter().filter(|index| **index == 0).count();
            let mut inputs = vec![format!("[{}]", texts.join(",")), texts.join("\n")];
            if *list != "items" {
                inputs.push(format!(r#"{{"{list}":[{}]}}"#, texts.join(",")));
            }
            for input in inputs {
                let reading = with_context(|context| read(*format, input.as_bytes(), context));
                let found = (reading.accesses.len(), reading.items());
                prop_assert_eq!(found, (whole, texts.len()), "{} {}", format, input);
            }
        }
    }
}

/// Scenario: the tables that say which field fills which column.
/// Guarantees: each names only columns of `accesses`, and each column once.
#[test]
fn mappings_name_columns() {
    let columns: Vec<&str> = Access::TABLE.columns.iter().map(|column| column.name).collect();
    for format in Format::ALL {
        let mut named: Vec<&str> = format.mapping().iter().map(|line| line.column).collect();
        let strange: Vec<&&str> = named.iter().filter(|name| !columns.contains(name)).collect();
        assert!(strange.is_empty(), "{format}: {strange:?}");
        named.sort_unstable();
        let before = named.len();
        named.dedup();
        assert_eq!(named.len(), before, "{format} names a column twice");
    }
}

/// The columns of a row that hold anything, one in a line.
fn columns(access: &Access) -> String {
    let text = format!("{access:#?}");
    let mut columns: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("    ")) {
        let begins =
            line.get(4..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        match columns.last_mut() {
            Some(column) if !begins => column.push_str(line.trim()),
            _ => columns.push(line.to_owned()),
        }
    }
    columns.retain(|column| !column.ends_with(": None,"));
    columns.join("\n")
}

/// Scenario: one full record of each sort.
/// Guarantees: every column reads as the snapshot says.
#[test]
fn samples_read_as_written() {
    let rows = samples::SAMPLES.iter().map(|sample| {
        let reading =
            with_context(|context| read(sample.format, sample.record.as_bytes(), context));
        assert_eq!(reading.items(), reading.accesses.len(), "{}", sample.name);
        format!("{}\n{}", sample.name, columns(&reading.accesses[0]))
    });
    insta::assert_snapshot!(rows.collect::<Vec<_>>().join("\n\n"));
}
