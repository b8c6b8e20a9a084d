//! What must hold of every input, whatever it is: the one entry of the fuzz targets (`fuzz/`), which
//! the property tests of the readers share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use durward_schemas::Time;
use durward_schemas::record::Content;
use serde_json::{Value, json};

use crate::format::Failure;
use crate::format::otlp::{Document, Signal, read_protobuf, weigh_protobuf};
use crate::{Context, Format, Keys, Reading, read};

/// What is handed an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The reader of a format.
    Format(Format),
    /// What recognises a format, and then the reader of that format.
    Detect,
    /// The body of an export of traces.
    Traces,
    /// The body of an export of logs.
    Logs,
    /// The body of an export of metrics.
    Metrics,
    /// The redactor, with secrets planted into the input.
    Redactor,
}

/// Secrets that are known by their looks, wherever they stand.
const CANARIES: [&str; 3] = [
    "AKIAIOSFODNN7CANARYX",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJjYW5hcnkifQ.Y2FuYXJ5",
];

/// Checks what must hold of `data`. Its last two bytes also say where readers see it cut.
///
/// # Panics
///
/// Where something does not hold: that is what a fuzzer looks for.
pub fn check(target: Target, data: &[u8]) {
    with_context(|context| match target {
        Target::Format(format) => check_format(format, data, context),
        Target::Detect => {
            if let Some(format) = Format::detect(data) {
                check_format(format, data, context);
            }
        }
        Target::Traces => check_export(Signal::Traces, data, context),
        Target::Logs => check_export(Signal::Logs, data, context),
        Target::Metrics => check_export(Signal::Metrics, data, context),
        Target::Redactor => check_redactor(data, context),
    });
}

fn with_context(run: impl FnOnce(&Context<'_>)) {
    // Compiling what secrets look like takes longer than most reads.
    static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::from_bytes(&[7; 32], [9; 32]));
    run(&Context {
        cluster: Some("prod"),
        source: "fuzz",
        received: Time(0),
        as_of: None,
        keys: &KEYS,
        trusted_proxies: &[],
        audit_containers: &const { BTreeSet::new() },
        default_cluster: None,
        issuers: &const { BTreeMap::new() },
        speaker: None,
    });
}

fn check_format(format: Format, data: &[u8], context: &Context<'_>) {
    let whole = read(format, data, context);
    assert_kept(&whole);
    if format.is_binary(data) {
        return;
    }
    let size = match data {
        [.., high, low] => usize::from(u16::from_be_bytes([*high, *low])) % data.len() + 1,
        _ => 1,
    };
    let mut splitter = format.splitter();
    let mut items: Vec<_> = data.chunks(size).flat_map(|chunk| splitter.push(chunk)).collect();
    items.extend(splitter.finish());
    let mut pieces = Reading::default();
    for item in &items {
        format.read_item(item, context, &mut pieces);
    }
    assert_eq!(pieces, whole, "{format} in chunks of {size}");
    if matches!(
        format,
        Format::KubeAudit | Format::Envoy | Format::Spire | Format::Hubble | Format::Vault
    ) {
        assert_eq!(whole.items(), items.len(), "rows and rejects of {format} are its items");
    }
}

fn check_export(signal: Signal, data: &[u8], context: &Context<'_>) {
    type Read<'a> = &'a dyn Fn(&mut Reading) -> Result<(), Failure>;
    let protobuf = |reading: &mut Reading| {
        weigh_protobuf(signal, data, usize::MAX)?;
        read_protobuf(signal, data, context, reading, &mut |_| true)
    };
    let json = |reading: &mut Reading| {
        Document::parse(data)?.read(signal, context, reading, &mut |_| true);
        Ok(())
    };
    let reads: [Read<'_>; 2] = [&protobuf, &json];
    for read in reads {
        let (mut once, mut again) = (Reading::default(), Reading::default());
        let result = read(&mut once);
        assert_eq!(read(&mut again), result);
        assert_eq!(once, again, "what is read depends on the input alone");
        assert!(result.is_ok() || once.items() == 0, "a refused request leaves no rows");
        assert_kept(&once);
    }
}

/// What is read is what is sealed: no row is lost on the way to the log.
fn assert_kept(reading: &Reading) {
    let contents = reading.clone().into_contents();
    let sealed: usize = contents.iter().map(Content::positions).sum();
    assert_eq!(sealed, reading.items());
}

fn check_redactor(data: &[u8], context: &Context<'_>) {
    let redactor = context.keys.redactor();
    let text = String::from_utf8_lossy(data);
    let (before, after) = text.split_at(text.floor_char_boundary(text.len() / 2));
    // What a fuzzer put there itself may be glued to letters, and then no longer is of the known form.
    for canary in CANARIES.into_iter().filter(|canary| !text.contains(canary)) {
        let planted = format!("{before} {canary} {after}");
        let clean = |out: &str| assert!(!out.contains(canary), "{canary} is left in {out}");
        let once = redactor.text(&planted);
        clean(&once);
        assert_eq!(redactor.text(&once), once, "redacting settles");
        let mut value = json!({ "note": planted, "list": [planted], "password": canary });
        redactor.json(&mut value);
        clean(&value.to_string());
        clean(&crate::redact::mask_unparsed(planted.as_bytes()));
        // The id of an access key is kept where a field says that it is one: it joins rows.
        let is_id = canary.starts_with("AKIA");
        if let Some(mut document) = serde_json::from_slice::<Value>(data).ok().filter(|_| !is_id) {
            plant(&mut document, canary);
            redactor.json(&mut document);
            clean(&document.to_string());
        }
    }
}

/// Puts `canary` in the place of every text.
fn plant(value: &mut Value, canary: &str) {
    match value {
        Value::String(text) => canary.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| plant(item, canary)),
        Value::Object(fields) => fields.values_mut().for_each(|field| plant(field, canary)),
        _ => {}
    }
}
