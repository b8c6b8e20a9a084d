//! Plays recordings through the stages in memory: read, correlate, detect.

use std::io::Write;
use std::path::PathBuf;

use durward_correlate::deduplicate::Older;
use durward_correlate::{Correlator, Settings};
use durward_detect::{Detection, Judgement, RuleFile};
use durward_ingest::{Context, Format, Keys, Reading, read};
use durward_schemas::Time;
use durward_schemas::record::{Content, Record, Turn};
use durward_schemas::tables::Access;

/// The lab's recordings; `None`, said in one line, where they are not there.
pub(crate) fn recordings(test: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("DURWARD_SHARED_DATA");
    let dir = shared.map(|shared| PathBuf::from(shared).join("../lab/k8s/recordings"));
    let found = dir.filter(|dir| dir.is_dir());
    if found.is_none() {
        said(&format!(
            "skipped {test}: set DURWARD_SHARED_DATA to the folder that has ../lab beside it"
        ));
    }
    found
}

/// Says a line that the test runner does not swallow.
pub(crate) fn said(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("standard error");
}

/// The lines or the document of a compressed file.
pub(crate) fn unpacked(path: &std::path::Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("a file of the recording");
    zstd::decode_all(file).expect("a zstd file")
}

/// A reader of one cluster's files, with keys of its own.
pub(crate) struct Stage {
    keys: Keys,
    position: i64,
    correlator: Correlator,
    detection: Detection,
    pub(crate) turns: Vec<Turn>,
    pub(crate) judgements: Vec<Judgement>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with_rules(&[])
    }

    /// With rules beside the built-in ones.
    pub(crate) fn with_rules(rules: &[RuleFile]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = Keys::open(dir.path()).expect("keys");
        let rules = rules.to_vec();
        let settings = durward_detect::Settings { rules, ..durward_detect::Settings::default() };
        Self {
            keys,
            position: 0,
            correlator: Correlator::new(Settings::default()),
            detection: Detection::new(settings).expect("rules that load"),
            turns: Vec::new(),
            judgements: Vec::new(),
        }
    }

    pub(crate) fn read(&self, format: Format, bytes: &[u8]) -> Reading {
        let context = Context {
            cluster: Some("lab"),
            source: "file",
            received: Time(2_000_000_000_000_000),
            as_of: None,
            keys: &self.keys,
            trusted_proxies: &[],
            audit_containers: &std::collections::BTreeSet::new(),
            default_cluster: None,
            issuers: &std::collections::BTreeMap::new(),
            speaker: None,
        };
        read(format, bytes, &context)
    }

    /// Another stage with the same state, and nothing judged yet.
    pub(crate) fn copy(&self) -> Self {
        let detection = Detection::restore(&self.detection.save());
        Self {
            position: self.position,
            correlator: self.correlator.clone(),
            detection: detection.expect("a state that was just saved"),
            ..Self::new()
        }
    }

    /// Takes rows as the log would.
    pub(crate) fn accesses<'a>(&mut self, rows: impl Iterator<Item = &'a Access>) {
        let accesses = rows.cloned().collect();
        self.take(Reading { accesses, ..Reading::default() });
    }

    /// Takes one reading as the log would.
    pub(crate) fn take(&mut self, reading: Reading) {
        let now = Time(2_000_000_000_000_000);
        let Reading { accesses, objects, spans, logs, metrics, rejects } = reading;
        let contents = [
            Content::Objects(objects),
            Content::Accesses(accesses),
            Content::Spans(spans),
            Content::Logs(logs),
            Content::Metrics(metrics),
            Content::Rejects(rejects),
        ];
        for mut content in contents.into_iter().filter(|content| content.positions() > 0) {
            content.place(self.position, now);
            let record = Record { first_position: self.position, ingest_time: now, content };
            self.position += i64::try_from(record.content.positions()).expect("few");
            let turn = self.correlator.turn(record, &Older::default());
            self.judgements.push(self.detection.observe(&turn));
            self.turns.push(turn);
        }
    }
}
