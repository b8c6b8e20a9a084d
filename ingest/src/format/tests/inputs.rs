//! Every input that nobody here wrote, and every recording of the lab, item by item: the page
//! `docs/reference/inputs.md`, which `DURWARD_BLESS=1` writes anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::super::otlp;
use super::super::{Format, Reading, read};
use super::shared::{FILES, MIXED, Shape, files, input, items};
use crate::lab::{self, RECORDINGS, with_context};

/// The page, without its rows.
const HEAD: &str = "# Inputs\n\n\
<!-- Made by a test (`ingest/src/format/tests/inputs.rs`); do not edit. -->\n\n\
What the readers make of every file that nobody here wrote (`../shared/data`) and of every recording of the lab (`../shared/lab`).\n\
The items of a file are counted without the readers, and are its rows and rejects.\n\n\
| file | format | items | accesses | objects | spans | logs | metrics | rejects |\n\
|---|---|--:|--:|--:|--:|--:|--:|---|\n";

/// Folders of shared data that hold no input of a reader.
const OTHERS: &str = "\nNo inputs: `nab` (time series), `nezha` (spans and logs as CSV), `sigma` (rules), `spire` (a table of fields), \
`falco_k8s_audit/rules` and the files beside the samples of `ocsf` (their OCSF form), `otlp/jaeger/otlp2jaeger-out.json` (Jaeger's own form).\n";

/// The rows of the page.
#[derive(Default)]
struct Page(String);

impl Page {
    fn add(&mut self, name: &str, format: &str, items: usize, reading: &Reading) {
        assert_eq!(reading.items(), items, "{name}");
        let mut reasons = BTreeMap::new();
        for reject in &reading.rejects {
            *reasons.entry(format!("{} {}", reject.format, reject.reason)).or_insert(0) += 1;
        }
        let reasons: Vec<String> =
            reasons.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let Reading { accesses, objects, spans, logs, metrics, rejects: _ } = reading;
        writeln!(
            self.0,
            "| `{name}` | {format} | {items} | {} | {} | {} | {} | {} | {} |",
            accesses.len(),
            objects.len(),
            spans.len(),
            logs.len(),
            metrics.len(),
            reasons.join(", "),
        )
        .expect("a String takes it");
    }

    /// A file as somebody hands it in, its format recognised.
    fn detected(&mut self, name: &str, bytes: &[u8], items: Option<usize>) {
        let Some(format) = Format::detect(bytes) else {
            // The file door rejects the whole of a file that it does not recognise.
            writeln!(self.0, "| `{name}` | not recognised | 1 | 0 | 0 | 0 | 0 | 0 | 1 |")
                .expect("a String takes it");
            return;
        };
        let reading = with_context(|context| read(format, bytes, context));
        self.add(name, format.name(), items.unwrap_or_else(|| reading.items()), &reading);
    }
}

/// Scenario: every shared file and every recording that holds what a reader reads.
/// Guarantees: rows and rejects are its items, and the page says how many of each, and why.
#[test]
fn every_item_is_accounted_for() {
    let (Some(data), Some(lab)) = (lab::shared(), lab::lab()) else { return };
    let mut page = Page::default();
    for (folder, ending, shape) in FILES {
        for path in files(&data.join(folder), ending) {
            let name = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
            let text = std::fs::read_to_string(&path).unwrap();
            page.detected(&name, &input(&text, shape), Some(items(&text, shape).len()));
        }
    }
    for (name, format) in MIXED {
        let text = std::fs::read_to_string(data.join("panther").join(name)).unwrap();
        let shape = Shape::Under("log");
        let reading = with_context(|context| read(*format, &input(&text, &shape), context));
        page.add(&format!("panther/{name}"), format.name(), items(&text, &shape).len(), &reading);
    }
    lines(&mut page, &data, "", &["hubble_flows"], ".json");
    // Of an export the items are what the reader finds; tests of OTLP count them otherwise.
    for folder in ["otlp/examples", "otlp/jaeger"] {
        for (name, bytes) in lab::folder(&data.join(folder), ".json") {
            page.detected(&format!("{folder}/{name}"), &bytes, None);
        }
    }
    kubernetes(&mut page);
    let folders = ["story-json/envoy", "story-json/spire", "spire-text", "spire-rotation"];
    lines(&mut page, &lab.join("mesh/recordings"), "lab/mesh/", &folders, ".log");
    exports(&mut page, &lab);
    assert!(page.0.lines().count() > 140, "{}", page.0.lines().count());
    blessed(&format!("{HEAD}{}{OTHERS}", page.0));
}

/// Files of lines.
fn lines(page: &mut Page, root: &Path, before: &str, folders: &[&str], ending: &str) {
    for folder in folders {
        for (name, bytes) in lab::folder(&root.join(folder), ending) {
            let items = lab::lines(&bytes);
            page.detected(&format!("{before}{folder}/{name}"), &bytes, Some(items));
        }
    }
}

/// The audit logs of the lab's clusters, and the objects that were there at their start.
fn kubernetes(page: &mut Page) {
    for recording in RECORDINGS {
        let name = |file: &str| format!("lab/k8s/{recording}/{file}");
        let state = lab::recorded(recording, "state-start.json.zst").unwrap();
        let state_of: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let lists = state_of["objects"].as_object().unwrap().values();
        let items = lists.map(|list| list.as_array().unwrap().len()).sum();
        page.detected(&name("state-start.json"), &state, Some(items));
        let audit = lab::recorded(recording, "audit.jsonl.zst").unwrap();
        page.detected(&name("audit.jsonl"), &audit, Some(lab::lines(&audit)));
    }
}

/// What Envoys and Collectors sent: all requests of a folder together.
fn exports(page: &mut Page, lab: &Path) {
    let root = lab.join("mesh/recordings");
    let mut folders = vec!["story-json/otlp".to_owned()];
    let inside = std::fs::read_dir(root.join("otelcol")).unwrap().map(|entry| entry.unwrap());
    let inside = inside.filter(|entry| entry.path().join("requests.jsonl").is_file());
    folders.extend(inside.map(|entry| format!("otelcol/{}", entry.file_name().to_string_lossy())));
    folders.sort();
    for folder in folders.iter().filter(|folder| !folder.contains("snappy")) {
        let mut all = Reading::default();
        for (_, body) in otlp::tests::requests(folder).unwrap() {
            all.merge(with_context(|context| read(Format::Otlp, &body, context)));
        }
        page.add(&format!("lab/mesh/{folder}"), "otlp", all.items(), &all);
    }
}

fn blessed(page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/inputs.md");
    if std::env::var_os("DURWARD_BLESS").is_some() {
        std::fs::write(&path, page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/reference/inputs.md is old: bless it and read the diff");
}
