//! The tables of mapping say what the readers do: each field of full records is changed, and the
//! columns that change with it are those that the table names.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::table::Row as _;
use durward_schemas::tables::Access;
use serde_json::Value;

use super::super::{Format, envelope, read};
use super::samples::{SAMPLES, Sample};
use crate::lab::with_context;

/// Columns that change with every field, or with none that a reader knows of.
const IDS: &[&str] = &["event_id", "request_key", "unmapped"];

/// One value in a record that is no list and no object.
#[derive(Debug, Clone)]
struct Leaf {
    /// Where it stands, as the tables write it: `user.extra[a/b]`, without indices of lists.
    path: String,
    /// Where it stands, as JSON pointers write it.
    pointer: String,
}

/// Every leaf of `value`.
fn leaves(value: &Value, path: &str, pointer: &str, out: &mut Vec<Leaf>) {
    match value {
        Value::Object(fields) => {
            // A pair of key and value is a field of that name.
            let named = fields.get("key").filter(|_| fields.contains_key("value"));
            for (key, inner) in fields {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                let path = match named.and_then(Value::as_str) {
                    Some(name) => format!("{path}[{name}]"),
                    None if key.contains(['.', '/']) => format!("{path}[{key}]"),
                    None if path.is_empty() => key.clone(),
                    None => format!("{path}.{key}"),
                };
                leaves(inner, &path, &format!("{pointer}/{escaped}"), out);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, path, &format!("{pointer}/{index}"), out);
            }
        }
        _ => out.push(Leaf { path: path.to_owned(), pointer: pointer.to_owned() }),
    }
}

/// The fields that a line of a table names, in its order.
fn tokens(from: &str) -> Vec<&str> {
    from.split([' ', ',', ';', ':', '(', ')']).filter(|token| !token.is_empty()).collect()
}

/// Whether `path` is `token`, or inside it.
fn is_inside(path: &str, token: &str) -> bool {
    let rest = path.strip_prefix(token);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The row of a record; none if it is a reject, or now of another sort.
fn access(format: Format, record: &Value) -> Option<Access> {
    let text = record.to_string();
    let sort = envelope::sort(&serde_json::from_str(&text).unwrap());
    if sort.is_some_and(|sort| sort != format) {
        return None;
    }
    // No cluster is vouched for: then an envelope's counts.
    let reading = with_context(|context| {
        let context = super::super::Context { cluster: None, ..*context };
        read(format, text.as_bytes(), &context)
    });
    reading.accesses.into_iter().next()
}

/// The columns in which two rows differ.
fn differing(one: &Access, other: &Access) -> BTreeSet<&'static str> {
    let batch = Access::to_batch(&[one.clone(), other.clone()]);
    let columns = Access::TABLE.columns.iter().map(|column| column.name);
    columns
        .filter(|name| {
            let column = batch.column_by_name(name).unwrap();
            column.slice(0, 1) != column.slice(1, 1)
        })
        .collect()
}

/// `record` with other values at `leaf`, and without it.
fn changed(record: &Value, leaf: &Leaf, words: &[&str]) -> Vec<Value> {
    let value = record.pointer(&leaf.pointer).unwrap();
    let mut others: Vec<Value> = match value {
        Value::String(text) => {
            let more =
                [format!("{text}x"), "2026-07-23T09:00:09Z".to_owned(), "192.0.2.9".to_owned()];
            more.into_iter().map(Value::from).collect()
        }
        Value::Number(_) => [1, 7, 16, 403, 401, 500, 53_003].map(Value::from).to_vec(),
        Value::Bool(truth) => vec![Value::from(!truth)],
        _ => Vec::new(),
    };
    others.extend(words.iter().map(|word| Value::from(*word)).filter(|_| value.is_string()));
    let with = |other: &Value| {
        let mut record = record.clone();
        *record.pointer_mut(&leaf.pointer).unwrap() = other.clone();
        record
    };
    let mut records: Vec<Value> = others.iter().filter(|other| *other != value).map(with).collect();
    records.push(without(record, leaf));
    records
}

/// `record` without the field or item at `leaf`.
fn without(record: &Value, leaf: &Leaf) -> Value {
    let mut record = record.clone();
    let (parent, key) = leaf.pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    match record.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.remove(&key)),
        Some(Value::Array(items)) => drop(items.remove(key.parse().unwrap())),
        _ => {}
    }
    record
}

/// The columns that any change of `leaf` changes.
fn columns_of(sample: &Sample, record: &Value, leaf: &Leaf) -> BTreeSet<&'static str> {
    let Some(before) = access(sample.format, record) else { return BTreeSet::new() };
    let mut columns = BTreeSet::new();
    for record in changed(record, leaf, sample.words) {
        if let Some(after) = access(sample.format, &record) {
            columns.extend(differing(&before, &after));
        }
    }
    columns
}

fn parsed(sample: &Sample) -> (Value, Vec<Leaf>) {
    let record: Value = serde_json::from_str(sample.record).unwrap();
    let mut found = Vec::new();
    leaves(&record, "", "", &mut found);
    (record, found)
}

/// Scenario: each field of each sample gets other values, or is left out.
/// Guarantees: only columns change whose line names the field; what no line names is in `unmapped`.
#[test]
fn fields_fill_what_the_tables_say() {
    let mut wrong = BTreeMap::new();
    for sample in SAMPLES {
        let (record, found) = parsed(sample);
        for leaf in &found {
            let named: BTreeSet<&str> = sample
                .format
                .mapping()
                .iter()
                .filter(|line| tokens(line.from).iter().any(|token| is_inside(&leaf.path, token)))
                .map(|line| line.column)
                .collect();
            let columns = columns_of(sample, &record, leaf);
            let unnamed: Vec<_> = columns
                .iter()
                .filter(|column| !named.contains(*column) && !IDS.contains(column))
                .collect();
            if !unnamed.is_empty() {
                wrong.insert(format!("{}: {}", sample.name, leaf.path), format!("{unnamed:?}"));
            }
            let is_lost = named.is_empty() && !columns.contains("unmapped");
            if is_lost && !SAYS_NOTHING.contains(&leaf.path.as_str()) {
                wrong.insert(format!("{}: {}", sample.name, leaf.path), "lost".to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Fields that say only what the row says anyway: that it is an event of this format.
const SAYS_NOTHING: &[&str] = &[
    "kind",
    "category",
    "protoPayload.@type",
    "protoPayload.serviceName",
    "metadata.creationTimestamp",
    "properties.userPrincipalName",
    "requestParameters",
    "responseElements",
];

/// Scenario: each field that a line of a table names, in records with and without each other field of
/// the line.
/// Guarantees: each changes the column of its line in some sample, so that no table claims too much.
#[test]
fn tables_claim_nothing_too_much() {
    let mut unproven = BTreeSet::new();
    // The formats of meshes have samples of their own: `mesh.rs`.
    let has_sample = |format: &Format| SAMPLES.iter().any(|sample| sample.format == *format);
    for format in Format::ALL.iter().filter(|format| has_sample(format)) {
        if *format == Format::AksAudit {
            continue;
        }
        for line in format.mapping() {
            for token in tokens(line.from) {
                unproven.insert((format.name(), line.column, token));
            }
        }
    }
    for sample in SAMPLES {
        let (full, found) = parsed(sample);
        for line in sample.format.mapping() {
            for token in tokens(line.from) {
                let key = (sample.format.name(), line.column, token);
                if !unproven.contains(&key) {
                    continue;
                }
                let others = tokens(line.from).into_iter().filter(|other| *other != token);
                let others: Vec<Vec<&Leaf>> = others
                    .map(|other| found.iter().filter(|leaf| is_inside(&leaf.path, other)).collect())
                    .filter(|leaves: &Vec<&Leaf>| !leaves.is_empty())
                    .collect();
                let inside: Vec<&Leaf> =
                    found.iter().filter(|leaf| is_inside(&leaf.path, token)).collect();
                if !inside.is_empty()
                    && subsets(&others).any(|gone| {
                        // From behind, so that no place in a list moves.
                        let record =
                            gone.iter().rev().fold(full.clone(), |r, leaf| without(&r, leaf));
                        let columns = |leaf: &&Leaf| {
                            let is_there = record.pointer(&leaf.pointer).is_some();
                            is_there && columns_of(sample, &record, leaf).contains(line.column)
                        };
                        inside.iter().any(columns)
                    })
                {
                    unproven.remove(&key);
                }
            }
        }
    }
    // Other words are no fields.
    unproven.retain(|(_, _, token)| is_field(token));
    assert!(unproven.is_empty(), "{unproven:#?}");
}

/// Every choice of some of `parts`, the leaves of each together, in the order of the record.
fn subsets<'a>(parts: &'a [Vec<&'a Leaf>]) -> impl Iterator<Item = Vec<&'a Leaf>> {
    (0..1_usize << parts.len()).map(|choice| {
        let chosen = parts.iter().enumerate().filter(move |(index, _)| choice >> index & 1 == 1);
        let mut leaves: Vec<&Leaf> = chosen.flat_map(|(_, part)| part.iter().copied()).collect();
        leaves.sort_by(|one, other| one.pointer.cmp(&other.pointer));
        leaves.dedup_by(|one, other| one.pointer == other.pointer);
        leaves
    })
}

/// Whether a word of a table is the name of a field: it has a dot, or is one of a record's keys.
fn is_field(token: &str) -> bool {
    let keys = SAMPLES.iter().flat_map(|sample| parsed(sample).1);
    let keys: BTreeSet<String> =
        keys.map(|leaf| leaf.path.split(['.', '[']).next().unwrap().to_owned()).collect();
    let first = token.split(['.', '[']).next().unwrap_or_default();
    keys.contains(first) && token != "pods.eks.amazonaws.com" || token.starts_with("properties.")
}
