use std::io::Write;
use std::path::Path;

use durward_schemas::record::{Content, Record};

use super::*;
use crate::lab::{self, receipts, rows};
use crate::{IntakeSettings, Log, LogSettings};

fn event(second: u32, audit_id: &str) -> String {
    let time = format!("2026-11-23T17:{:02}:{:02}.000000Z", second / 60, second % 60);
    format!(
        r#"{{"auditID":"{audit_id}","stage":"ResponseComplete","requestReceivedTimestamp":"{time}","stageTimestamp":"{time}"}}{}"#,
        "\n"
    )
}

fn settings() -> FileSettings {
    FileSettings { cluster: Some("shop".into()), source: "files".into(), ..FileSettings::default() }
}

fn run(paths: &[PathBuf], settings: &FileSettings) -> (Ingested, Vec<Record>) {
    let (_dir, log, intake) = lab::intake(LogSettings::default(), IntakeSettings::default());
    let found = ingest(paths, settings, &intake, &mut |_| {}).unwrap();
    assert_eq!(found.last, log.end() - 1);
    (found, lab::records(&log))
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn audit_ids(records: &[Record]) -> Vec<String> {
    rows(records).accesses.into_iter().map(|access| access.source_event_id.unwrap()).collect()
}

/// Scenario: a recording's log, state and spans in one call.
/// Guarantees: rows are lines, the state comes first, events are in order of time, and every file
/// has its receipt before the end of the source.
#[test]
fn recordings_come_in_order() {
    let Some(lab) = lab::lab() else { return };
    let folder = lab.join("k8s/recordings/c-careless");
    let names = ["audit.jsonl.zst", "client-spans.jsonl.zst", "state-start.json.zst"];
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let (found, records) = run(&paths, &settings());
    let lines = |name: &str| {
        lab::recorded("c-careless", name).unwrap().split(|b| *b == b'\n').count() as u64 - 1
    };
    assert_eq!((found.accesses, found.spans), (lines(names[0]), lines(names[1])));
    assert_eq!((found.files, found.rejects), (3, 0));
    assert!(matches!(records[0].content, Content::Objects(_)));
    let times: Vec<_> = rows(&records).accesses.iter().map(|a| a.observed_time.unwrap()).collect();
    assert!(times.is_sorted());
    let items: i64 = receipts(&records).iter().map(|receipt| receipt.items).sum();
    assert_eq!(items.cast_unsigned(), found.accesses + found.spans + found.objects);
    assert_eq!(receipts(&records).len(), 3);
    assert_eq!(records.last().unwrap().content, Content::EndOfSource("files".into()));
}

/// Scenario: 47 traces of API servers from 2018 to 2021, of which one is no event.
/// Guarantees: each of their lines is a row, the one a reject that says what it is not.
#[test]
fn old_traces_are_accounted_for() {
    let Some(data) = lab::shared() else { return };
    let folder = data.join("falco_k8s_audit/traces");
    let (found, records) = run(std::slice::from_ref(&folder), &settings());
    let lines: usize = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .map(|text| text.lines().filter(|line| !line.is_empty()).count())
        .sum();
    assert_eq!((found.files, found.rejects), (47, 1));
    assert_eq!(found.accesses + found.rejects, lines as u64);
    assert_eq!(rows(&records).rejects[0].reason, "unknown_format");
}

/// Scenario: files as clouds export them: compressed, with a byte order mark, several in one.
/// Guarantees: each is recognised, and its items are rows.
#[test]
fn files_of_clouds_are_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let trail = r#"{"Records":[{"eventName":"a","eventSource":"s3.amazonaws.com"},{"eventName":"b","eventSource":"s3.amazonaws.com"}]}"#;
    let line = event(1, "1").replace('"', "\\\"");
    let group = format!(
        r#"{{"messageType":"DATA_MESSAGE","logGroup":"/aws/eks/a/cluster","logEvents":[{{"timestamp":1,"message":"{}"}}]}}"#,
        line.trim_end()
    );
    let hub = format!(
        "\u{feff}{{\"category\":\"kube-audit\",\"operationName\":\"x\",\"properties\":{{\"log\":\"{}\"}}}}",
        line.trim_end()
    );
    let exported = format!("2026-07-23T10:00:00.131Z {}", event(2, "2"));
    let paths = [
        write(dir.path(), "trail.json.gz", &gzip(trail.as_bytes())),
        write(dir.path(), "groups", &[gzip(group.as_bytes()), gzip(group.as_bytes())].concat()),
        write(dir.path(), "hub.json", hub.as_bytes()),
        write(dir.path(), "exported.gz", &gzip(exported.as_bytes())),
    ];
    let (found, records) = run(&paths, &settings());
    assert_eq!((found.accesses, found.rejects, found.files), (6, 0, 4));
    let kinds: Vec<String> = receipts(&records).into_iter().map(|receipt| receipt.kind).collect();
    for kind in ["cloudtrail", "cloudwatch", "aks-audit"] {
        assert!(kinds.iter().any(|found| found == kind), "{kind} in {kinds:?}");
    }
    let own: Vec<_> = rows(&records)
        .accesses
        .into_iter()
        .map(|row| (row.provider.to_string(), row.cluster))
        .collect();
    assert!(own.contains(&("aws".to_owned(), None)));
    assert!(own.contains(&("kubernetes".to_owned(), Some("shop".to_owned()))));
}

/// Scenario: two logs whose times interleave, a later one, one out of order within itself.
/// Guarantees: one order of time over all of them, whatever the order of the paths.
#[test]
fn files_are_merged_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let odd: String = (0..500).map(|n| event(2 * n + 1, &format!("{:04}", 2 * n + 1))).collect();
    let even: String = (0..500).rev().map(|n| event(2 * n, &format!("{:04}", 2 * n))).collect();
    let later: String = (1000..1100).map(|n| event(n, &format!("{n:04}"))).collect();
    let paths = [
        write(dir.path(), "z/later.log", later.as_bytes()),
        write(dir.path(), "odd.gz", &gzip(odd.as_bytes())),
        write(dir.path(), "even.zst", &zstd::encode_all(even.as_bytes(), 1).unwrap()),
    ];
    let expect: Vec<String> = (0..1100).map(|n| format!("{n:04}")).collect();
    assert_eq!(audit_ids(&run(&paths, &settings()).1), expect);
    let all = [dir.path().to_owned()];
    assert_eq!(audit_ids(&run(&all, &settings()).1), expect);
}

/// Scenario: more files than are held open, each of them some minutes of one day.
/// Guarantees: all of them in order, each with its receipt.
#[test]
fn many_files_are_opened_when_they_are_due() {
    let dir = tempfile::tempdir().unwrap();
    for file in 0..40 {
        let lines: String =
            (0..50).map(|n| event(40 * file + n, &format!("{:04}", 40 * file + n))).collect();
        write(dir.path(), &format!("{}.log", (file * 7) % 40), lines.as_bytes());
    }
    let (found, records) = run(&[dir.path().to_owned()], &settings());
    assert_eq!((found.files, found.accesses), (40, 2000));
    assert!(audit_ids(&records).is_sorted());
    assert!(receipts(&records).iter().all(|receipt| receipt.items == 50));
}

/// Scenario: files that are cut, unknown, empty, hidden, and protobuf, in a directory.
/// Guarantees: what can be read is rows, what cannot is one reject each with what to do.
#[test]
fn every_file_is_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..20_000).map(|n| event(n % 3000, &n.to_string())).collect();
    let packed = gzip(lines.as_bytes());
    let check =
        |name: &str, bytes: &[u8], expect: &dyn Fn(&Ingested) -> bool, reason: Option<&str>| {
            let path = write(dir.path(), name, bytes);
            let (found, records) = run(std::slice::from_ref(&path), &settings());
            let reasons: Vec<_> =
                rows(&records).rejects.into_iter().map(|reject| reject.reason).collect();
            assert!(expect(&found), "{name}: {found:?}");
            assert_eq!(reasons.first().map(String::as_str), reason, "{name}");
            assert_eq!(reasons.len(), usize::from(reason.is_some()), "{name}");
            std::fs::remove_file(path).unwrap();
        };
    check(
        "cut.gz",
        &packed[..packed.len() / 2],
        &|f| (5_000..15_000).contains(&f.accesses),
        Some("not_decompressed"),
    );
    check(
        "torn.log",
        &lines.as_bytes()[..lines.len() - 5],
        &|f| f.accesses == 19_999,
        Some("unclosed"),
    );
    check("notes.txt", b"Dear diary", &|f| f.accesses == 0, Some("unknown_format"));
    check(
        "policy.yaml",
        b"apiVersion: audit.k8s.io/v1",
        &|f| f.items() == 1,
        Some("unknown_format"),
    );
    check("empty", b"", &|f| f.items() == 0 && f.files == 1, None);
    check("magic.gz", b"\x1f\x8b", &|f| f.items() == 1, Some("not_decompressed"));
    write(dir.path(), ".hidden", b"Dear diary");
    assert_eq!(run(&[dir.path().to_owned()], &settings()).0.files, 0);
    if let Some(lab) = lab::lab() {
        let protobuf = lab.join("k8s/recordings/samples/otlp-export.pb");
        assert!(run(&[protobuf], &settings()).0.spans > 300);
    }
}

impl Ingested {
    fn items(&self) -> u64 {
        self.accesses + self.objects + self.spans + self.logs + self.metrics + self.rejects
    }
}

/// Scenario: a path that is not there, a log that takes nothing.
/// Guarantees: the error names the path; a closed log ends the call.
#[test]
fn errors_say_where() {
    let (_dir, log, intake) = lab::intake(LogSettings::default(), IntakeSettings::default());
    let missing = [PathBuf::from("/nowhere/audit.log")];
    let error = ingest(&missing, &settings(), &intake, &mut |_| {}).unwrap_err();
    assert_eq!(error.to_string(), "reading /nowhere/audit.log");
    drop::<Log>(log);
    let error = ingest(&[], &settings(), &intake, &mut |_| {}).unwrap_err();
    assert!(matches!(error, FilesError::Append(Refusal::Closed)));
}

/// Scenario: a large file is watched while it is read.
/// Guarantees: progress only grows and ends at the whole.
#[test]
fn progress_grows_to_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..12_000).map(|n| event(n % 3000, &n.to_string())).collect();
    let path = write(dir.path(), "audit.log", lines.as_bytes());
    let (_dir, _log, intake) = lab::intake(LogSettings::default(), IntakeSettings::default());
    let mut seen = Vec::new();
    ingest(&[path], &settings(), &intake, &mut |progress| seen.push(progress)).unwrap();
    assert!(seen.len() >= 3 && seen.is_sorted_by_key(|progress| (progress.bytes, progress.items)));
    let whole = lines.len() as u64;
    assert_eq!(*seen.last().unwrap(), Progress { bytes: whole, total: whole, items: 12_000 });
}

/// Scenario: the logs of a mesh in one call, text and JSON, each of a format of its own.
/// Guarantees: every format is recognised, every line is a row, and rows of all files come in order of
/// time.
#[test]
fn logs_of_a_mesh_come_in_order() {
    let Some(lab) = lab::lab() else { return };
    let recordings = lab.join("mesh/recordings/story-json");
    let paths = [
        recordings.join("envoy/inbound.istio.text.log"),
        recordings.join("envoy/outbound.istio.text.log"),
        recordings.join("spire"),
    ];
    let (found, records) = run(&paths, &settings());
    assert_eq!((found.accesses, found.logs), (863 + 602 + 432, 39 + 508 + 85 + 121));
    assert_eq!((found.files, found.rejects), (6, 0));
    let kinds: Vec<_> = receipts(&records).into_iter().map(|receipt| receipt.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "envoy").count(), 2);
    assert_eq!(kinds.iter().filter(|kind| *kind == "spire").count(), 4);
    let times: Vec<_> = rows(&records).accesses.iter().map(|access| access.time).collect();
    assert!(times.is_sorted());
}
