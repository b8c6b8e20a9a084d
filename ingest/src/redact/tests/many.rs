//! Canaries by the ten thousand, searched for in every form in which one could be read again; and
//! what is taken for a secret and is none.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::sync::LazyLock;

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Canaries, redactor};
use crate::format::{Format, read};
use crate::lab;

/// Every canary, and nothing else, looks like this; its number tells which one it is.
static CANARY: LazyLock<regex::bytes::Regex> =
    LazyLock::new(|| regex::bytes::Regex::new("Kn[0-9a-f]{9}Zq[0-9]+").unwrap());

impl Canaries {
    /// Kinds of places beyond those of `plant`: one document of each.
    fn more(&mut self) {
        let private = format!(
            "-----BEGIN EC PRIVATE KEY-----\n{}\n-----END EC PRIVATE KEY-----",
            self.secret()
        );
        self.event("certificatesigningrequests", &json!({"kind": "CertificateSigningRequest", "spec": {"request": "e30=", "privateKey": private}}), &Value::Null);
        let release = json!({"name": "shop", "config": {"password": self.secret()}}).to_string();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(release.as_bytes()).unwrap();
        let engine = base64::engine::general_purpose::STANDARD;
        let twice = engine.encode(engine.encode(gzip.finish().unwrap()));
        let helm =
            json!({"kind": "Secret", "type": "helm.sh/release.v1", "data": {"release": twice}});
        self.event("secrets", &helm, &Value::Null);
        let watched =
            json!({"type": "ADDED", "object": {"kind": "Secret", "data": {"a": self.base64()}}});
        self.event("secrets", &Value::Null, &watched);
        let merged = json!({"data": {"a": self.base64()}, "stringData": {"b": self.secret()}});
        self.event("secrets", &merged, &merged);
        let applied = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "managedFields": []}, "stringData": {"a": self.secret()}});
        self.event("secrets", &applied, &Value::Null);
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\nusers:\n- name: hook\n  user:\n    password: {}\n    token: {}\n",
            self.secret(),
            self.secret()
        );
        self.event(
            "configmaps",
            &json!({"kind": "ConfigMap", "data": {"kubeconfig": kubeconfig}}),
            &Value::Null,
        );
        let strings = json!({"env": [
            {"name": "AWS_SECRET_ACCESS_KEY", "value": self.secret()},
            {"name": "AZURE_CLIENT_SECRET", "value": self.secret()},
            {"name": "STORAGE", "value": format!("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net", self.secret())},
            {"name": "GOOGLE_CREDENTIALS", "value": json!({"type": "service_account", "private_key": self.secret()}).to_string()},
            {"name": "SQL", "value": format!("Server=db;User Id=a;Password={};", self.secret())},
            {"name": "REDIS_URL", "value": format!("redis://:{}@cache:6379/0", self.secret())}]});
        self.event("pods", &strings, &Value::Null);
        // Keys are texts too: somebody may have put a token there.
        let keys = json!({"metadata": {"annotations": {self.token(): "x"}}});
        self.event("pods", &keys, &keys);
        // Escapes hide the name and the secret from whoever looks at bytes alone.
        let secret = self.secret();
        let mut escaped = String::new();
        for c in secret.chars() {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("a String takes it");
        }
        let event = format!(
            r#"{{"auditID":"a","stage":"s","verb":"create","requestObject":{{"kind":"\u0053ecret","stringD\u0061ta":{{"p":"{escaped}"}}}}}}"#
        );
        self.documents.push((Format::KubeAudit, event.clone()));
        let cut = event.split_at(event.len() - 6).0.to_owned();
        self.documents.push((Format::KubeAudit, cut));
        for format in Format::ALL {
            let broken = format!(
                "{{\"password\": \"{}\", \"token\": \"{}\" nope",
                self.secret(),
                self.token()
            );
            self.documents.push((*format, broken));
        }
    }
}

/// The first canary that can be read out of `bytes`: as they are, as UTF-16, and out of base64 and
/// gzip, in each other to a depth of four.
fn found(bytes: &[u8], depth: usize) -> Option<String> {
    let told = |bytes: &[u8]| {
        let found = CANARY.find(bytes)?;
        Some(String::from_utf8_lossy(found.as_bytes()).into_owned())
    };
    let narrow: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    if let Some(canary) = told(bytes).or_else(|| told(&narrow)) {
        return Some(canary);
    }
    if depth == 0 {
        return None;
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        // What was unpacked before an error counts too.
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).ok();
        return found(&plain, depth - 1);
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    let url = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for run in bytes.split(|byte| !is_base64(*byte)).filter(|run| run.len() >= 20) {
        let run: Vec<u8> = run
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        for start in 0..4 {
            let rest = &run[start..];
            if let Ok(plain) = url.decode(&rest[..rest.len() / 4 * 4])
                && let Some(canary) =
                    found(&plain, if plain.starts_with(&[0x1f, 0x8b]) { depth } else { depth - 1 })
            {
                return Some(canary);
            }
        }
    }
    None
}

/// Scenario: 10,000 canaries in all kinds of places of all formats, whole and cut in half, through
/// the log.
/// Guarantees: each format has some; none can be read out of the rows, nor out of any frame or byte
/// of the log, in plain, in base64, as UTF-16 or out of gzip.
#[test]
fn ten_thousand_canaries_are_gone() {
    let mut canaries = Canaries::plant(ROUNDS);
    (0..ROUNDS).for_each(|_| canaries.more());
    let planted: BTreeSet<&[u8]> = canaries
        .secrets
        .iter()
        .filter_map(|secret| CANARY.find(secret.as_bytes()))
        .map(|canary| canary.as_bytes())
        .collect();
    assert!(planted.len() >= 10_000, "{}", planted.len());
    assert!(canaries.documents.iter().any(|(_, document)| protobuf(document).is_some()));
    for format in Format::ALL {
        assert!(canaries.documents.iter().any(|(known, _)| known == format), "{format} has none");
    }
    let (dir, log, intake) =
        lab::intake(crate::LogSettings::default(), crate::IntakeSettings::default());
    let mut survivors = std::collections::BTreeMap::new();
    for (format, document) in &canaries.documents {
        let context = intake.context(Some("prod"), "test");
        let mut contents = Vec::new();
        let half = document.as_bytes()[..document.len() / 2].to_vec();
        for input in [document.clone().into_bytes(), half].into_iter().chain(protobuf(document)) {
            let reading = read(*format, &input, &context);
            let kept = format!("{reading:?}");
            if let Some(canary) = found(kept.as_bytes(), 4) {
                survivors.entry(canary).or_insert((format, document, kept));
            }
            contents.extend(reading.into_contents());
        }
        log.append_blocking(contents).unwrap();
    }
    let first = survivors.first_key_value();
    assert!(survivors.is_empty(), "{} of {}: {first:?}", survivors.len(), planted.len());
    let records = format!("{:?}", lab::records(&log));
    assert_eq!(found(records.as_bytes(), 1), None);
    for entry in std::fs::read_dir(dir.path().join("log")).unwrap() {
        assert_eq!(found(&std::fs::read(entry.unwrap().path()).unwrap(), 1), None);
    }
}

/// An export of OTLP in its other form.
fn protobuf(document: &str) -> Option<Vec<u8>> {
    use opentelemetry_proto::tonic::collector::{
        logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
    };
    use prost::Message;
    let traces = || serde_json::from_str::<ExportTraceServiceRequest>(document).ok();
    let traces = traces().filter(|_| document.contains("resourceSpans"));
    let logs = || serde_json::from_str::<ExportLogsServiceRequest>(document).ok();
    let logs = logs().filter(|_| document.contains("resourceLogs"));
    traces.map(|export| export.encode_to_vec()).or(logs.map(|export| export.encode_to_vec()))
}

/// Rounds that plant 10,000 canaries together.
const ROUNDS: usize = 80;

/// Lines of JSON among the inputs that nobody here wrote and the recordings of careful policies and of
/// meshes; documents of many lines are one line each.
fn documents() -> Option<Vec<Value>> {
    let mut documents = Vec::new();
    for name in ["a-production", "d-stratus", "e-benign", "f-production"] {
        let log = lab::recorded(name, "audit.jsonl.zst")?;
        documents.extend(String::from_utf8(log).unwrap().lines().map(str::to_owned));
    }
    let mut files = Vec::new();
    for name in ["story-json/envoy", "story-json/spire", "spire-rotation"] {
        files.extend(lab::mesh(name, ".log").unwrap());
    }
    for (folder, ending) in [
        ("hubble_flows", ".json"),
        ("panther", ".jsonl"),
        ("cloudtrail_stratus", ".json"),
        ("csa_gcp", ".json"),
        ("falco_k8s_audit/traces", ".json"),
        ("audit2rbac", ".log"),
        ("aks_envelope", ".json"),
        ("eks_pod_identity", ".jsonl"),
        ("otlp/examples", ".json"),
        ("otlp/collector_contrib", ".json"),
        ("ocsf/eks_audit_v1.5/samples", ".raw"),
        ("ocsf/cloudtrail_v1.5/API Activity/samples", ".raw"),
    ] {
        files.extend(lab::shared_files(folder, ending).unwrap());
    }
    for (_, bytes) in files {
        let text = String::from_utf8(bytes).unwrap();
        let text = text.trim_start_matches('\u{feff}');
        if serde_json::from_str::<Value>(text).is_ok() {
            documents.push(text.to_owned());
        } else {
            documents.extend(text.lines().map(str::to_owned));
        }
    }
    Some(documents.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
}

/// Scenario: every different text of the recordings of careful policies, of meshes, and of the shared data
/// of clouds and clusters, where it stands, in which secrets are few or were taken out before.
/// Guarantees: at most one of a thousand is taken for one, the true ones among them.
#[test]
fn benign_texts_stay() {
    let Some(documents) = documents() else { return };
    let (mut texts, mut touched) = (BTreeSet::new(), BTreeSet::new());
    for document in documents {
        let mut redacted = document.clone();
        redactor().json(&mut redacted);
        compare(&document, Some(&redacted), &mut texts, &mut touched);
    }
    let said = writeln!(
        std::io::stderr(),
        "taken for a secret: {} of {} texts",
        touched.len(),
        texts.len()
    );
    said.expect("standard error");
    assert!(texts.len() > 50_000, "{}", texts.len());
    assert!(
        touched.len() * 1000 <= texts.len(),
        "{} of {}: {touched:?}",
        touched.len(),
        texts.len()
    );
}

/// Every text in `before`, and those that are others in `after`.
fn compare(
    before: &Value,
    after: Option<&Value>,
    texts: &mut BTreeSet<String>,
    touched: &mut BTreeSet<String>,
) {
    match before {
        Value::String(text) => {
            texts.insert(text.clone());
            if after.and_then(Value::as_str) != Some(text) {
                touched.insert(text.clone());
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                compare(item, after.and_then(|after| after.get(at)), texts, touched);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                compare(field, after.and_then(|after| after.get(name)), texts, touched);
            }
        }
        _ => {}
    }
}
