//! The inputs of `../shared/data`, which nobody here wrote: every item of each is accounted for.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::super::{Format, Reading, read};
use crate::lab::{shared, with_context};

/// How the items of a file are found without the code under test.
pub(super) enum Shape {
    /// One document: a list, an object with a list under a key, or one item.
    Document,
    /// A document on each line.
    Lines,
    /// A document on each line, in which the item stands under this key.
    Under(&'static str),
}

/// Files by folder and ending, and their shape.
pub(super) const FILES: &[(&str, &str, Shape)] = &[
    ("falco_k8s_audit/traces", ".json", Shape::Lines),
    ("audit2rbac", ".log", Shape::Lines),
    ("aks_envelope", ".json", Shape::Document),
    ("eks_pod_identity", ".jsonl", Shape::Under("event")),
    ("cloudtrail_stratus", ".json", Shape::Document),
    ("csa_gcp", ".json", Shape::Document),
    ("otlp/collector_contrib", "first_record.json", Shape::Document),
    ("otlp/collector_contrib", "activity.json", Shape::Document),
    ("otlp/collector_contrib", "data_access.json", Shape::Document),
    ("ocsf/eks_audit_v1.5/samples", ".raw", Shape::Document),
    ("ocsf/cloudtrail_v1.5/API Activity/samples", ".raw", Shape::Document),
    ("ocsf/cloudtrail_v1.5/Account Change/samples", ".raw", Shape::Document),
    ("ocsf/cloudtrail_v1.5/Authentication/samples", ".raw", Shape::Document),
];

/// Unit tests of rules, in which each file has logs of many sorts: read as a hub that carries all.
pub(super) const MIXED: &[(&str, Format)] = &[
    ("aws_cloudtrail.jsonl", Format::CloudTrail),
    ("gcp_audit.jsonl", Format::GcpAudit),
    ("eks_k8s_audit.jsonl", Format::CloudWatch),
    ("azure_activity.jsonl", Format::AzureActivity),
    ("azure_audit_signin.jsonl", Format::AzureSignin),
];

/// The items of a file: each once, as text.
pub(super) fn items(text: &str, shape: &Shape) -> Vec<Value> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    match shape {
        Shape::Lines => lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        Shape::Under(key) => {
            let item = |line| serde_json::from_str::<Value>(line).unwrap()[*key].take();
            lines().map(item).collect()
        }
        Shape::Document => match serde_json::from_str(text).unwrap() {
            Value::Array(items) => items,
            Value::Object(mut document) => {
                let keys = ["records", "Records"];
                match keys.iter().find_map(|key| document.remove(*key)) {
                    Some(Value::Array(items)) => items,
                    _ => vec![serde_json::from_str(text).unwrap()],
                }
            }
            other => vec![other],
        },
    }
}

/// The input as somebody would hand it in.
pub(super) fn input(text: &str, shape: &Shape) -> Vec<u8> {
    match shape {
        Shape::Under(_) => {
            let lines = items(text, shape).into_iter().map(|item| item.to_string() + "\n");
            lines.collect::<String>().into_bytes()
        }
        Shape::Lines | Shape::Document => text.as_bytes().to_vec(),
    }
}

pub(super) fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// Scenario: every shared file of Kubernetes audit and of the clouds, most of whose secrets were taken
/// out before they were published.
/// Guarantees: what is masked stands behind the names that the snapshot says, and nothing else is.
#[test]
fn only_secrets_are_masked() {
    let Some(data) = shared() else { return };
    let mut names = BTreeMap::new();
    let mut count = |reading: &Reading| {
        let text = format!("{reading:?}");
        let mut parts = text.split("redacted:").peekable();
        while let Some(before) = parts.next().filter(|_| parts.peek().is_some()) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            let name = before.rsplit(|c| !is_name(c)).find(|name| !name.is_empty());
            let name = name.filter(|name| name.len() <= 24).unwrap_or("(the rest of a text)");
            *names.entry(name.to_owned()).or_insert(0) += 1;
        }
    };
    for (folder, ending, shape) in FILES {
        for path in files(&data.join(folder), ending) {
            let input = input(&std::fs::read_to_string(&path).unwrap(), shape);
            if let Some(format) = Format::detect(&input) {
                count(&with_context(|context| read(format, &input, context)));
            }
        }
    }
    for (name, format) in MIXED {
        let text = std::fs::read_to_string(data.join("panther").join(name)).unwrap();
        let input = input(&text, &Shape::Under("log"));
        count(&with_context(|context| read(*format, &input, context)));
    }
    insta::assert_debug_snapshot!(names);
}
