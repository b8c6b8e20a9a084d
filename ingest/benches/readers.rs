//! What reading costs, step by step and beside the parsers that others begin with, in one run.
//!
//! `cargo bench --workspace --bench readers -- AUDIT.jsonl SPANS.bin`, both made by the load generator
//! of the shared bench (`gen audit`, `gen otlp-spans`: exports, each behind its length in four bytes).
//! Rows are made and let go of in batches of some hundreds, as the program has them.
//! CPU time of this thread; every round runs each step once; medians of seven rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use durward_ingest::{Context, Format, Keys, read};
use durward_schemas::table::Row;
use durward_schemas::tables::{Access, Span};
use durward_schemas::{Time, ipc};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 7;
/// Lines that are read at once: those of a webhook's batch.
const BATCH: usize = 400;

/// Names of steps and what each took, by round.
#[derive(Default)]
struct Steps(Vec<(&'static str, Vec<u64>)>);

impl Steps {
    fn take<T>(&mut self, name: &'static str, step: impl FnOnce() -> T) -> T {
        let before = cpu();
        let made = black_box(step());
        let took = cpu() - before;
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(took),
            None => self.0.push((name, vec![took])),
        }
        made
    }

    fn print(mut self, what: &str, items: usize, bytes: usize) {
        println!("{what}: {items} items, {bytes} bytes");
        for (name, rounds) in &mut self.0 {
            rounds.sort_unstable();
            let median = rounds[rounds.len() / 2];
            let each = median / u64::try_from(items).expect("a count");
            println!("  {name:<34} {each:>7} ns an item");
        }
    }
}

/// Nanoseconds that this thread has had a processor: <https://docs.kernel.org/scheduler/sched-stats.html>
fn cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn main() {
    let mut paths = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let place = tempfile::tempdir().expect("a directory");
    let keys = Keys::open(place.path()).expect("keys");
    let context = Context {
        cluster: Some("bench"),
        source: "bench",
        received: Time(2_000_000_000_000_000),
        as_of: None,
        keys: &keys,
        trusted_proxies: &[],
        audit_containers: &const { BTreeSet::new() },
        default_cluster: None,
        issuers: &const { BTreeMap::new() },
        speaker: None,
    };
    let Some(audit) = paths.next() else { return println!("readers: no file, nothing to measure") };
    kube_audit(&std::fs::read(audit).expect("a file"), &context);
    if let Some(spans) = paths.next() {
        otlp(&std::fs::read(spans).expect("a file"), &context);
    }
}

fn kube_audit(bytes: &[u8], context: &Context<'_>) {
    let lines: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let batches: Vec<Vec<u8>> = lines.chunks(BATCH).map(|lines| lines.join(&b'\n')).collect();
    let read = |batch: &Vec<u8>| read(Format::KubeAudit, batch, context).accesses;
    let mut steps = Steps::default();
    for _ in 0..ROUNDS {
        steps.take("peer: serde_json, tree", || {
            let parse = |line: &&[u8]| serde_json::from_slice::<serde_json::Value>(line).is_ok();
            lines.iter().filter(|line| parse(line)).count()
        });
        let rows = steps.take("ours: lines to redacted rows", || {
            batches.iter().map(|batch| read(batch).len()).sum::<usize>()
        });
        assert_eq!(rows, lines.len(), "every line is a row");
        let rows: Vec<Vec<Access>> = batches.iter().map(read).collect();
        steps.take("ours: rows to Arrow", || {
            rows.iter().map(|rows| Access::to_batch(rows).num_rows()).sum::<usize>()
        });
        steps.take("ours: rows to a frame of the log", || {
            rows.iter().map(|rows| ipc::write(rows).expect("rows").len()).sum::<usize>()
        });
    }
    steps.print("kube-audit", lines.len(), bytes.len());
}

fn otlp(bytes: &[u8], context: &Context<'_>) {
    let exports = exports(bytes);
    let read = |export: &&[u8]| read(Format::Otlp, export, context).spans;
    let mut steps = Steps::default();
    let mut spans = 0;
    for _ in 0..ROUNDS {
        steps.take("peer: prost, messages", || {
            let decode = |export: &&[u8]| ExportTraceServiceRequest::decode(*export).is_ok();
            exports.iter().filter(|export| decode(export)).count()
        });
        spans = steps.take("ours: exports to redacted rows", || {
            exports.iter().map(|export| read(export).len()).sum()
        });
        let rows: Vec<Vec<Span>> = exports.iter().map(read).collect();
        steps.take("ours: rows to Arrow", || {
            rows.iter().map(|rows| Span::to_batch(rows).num_rows()).sum::<usize>()
        });
    }
    steps.print("OTLP spans", spans, bytes.len());
}

/// Exports, each behind its length as four bytes, little-endian.
fn exports(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).expect("a length");
        let Some((export, rest)) = rest.split_at_checked(length) else { break };
        found.push(export);
        bytes = rest;
    }
    found
}
