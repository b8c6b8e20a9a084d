//! The configuration: what is typed, checked strictly, and where each value came from.
//!
//! Defaults, then the file, then `--set`. Secrets are never values, always files.

mod exemption;
mod problem;
mod reading;
mod sender;
mod settings;
mod suggest;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use durward_detect::alert::Pace;
use serde::{Deserialize, Serialize};
use serde_json::Value;
pub(crate) use settings::{DoorFiles, Settings, route};

use crate::cli;
use crate::failure::{Code, Failure};

/// The whole configuration; every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The layout of this file: 1.
    pub version: u32,
    /// Cluster of what does not say where it is from.
    pub default_cluster: Option<String>,
    /// What is known of clusters, by name.
    pub clusters: BTreeMap<String, Cluster>,
    /// Proxies whose word on the address before them is believed, as CIDR ranges.
    pub trusted_proxies: Vec<String>,
    /// Containers whose output is believed where it reads as audit records, as `NAMESPACE/CONTAINER`; what others
    /// print stays a log record.
    pub audit_containers: Vec<String>,
    /// Rows that were recorded longer ago are dropped by whole days, such as `90d`; null keeps all.
    pub retention: Option<String>,
    /// Who may speak for which cluster, by the client's certificate. Nobody else speaks for these clusters.
    pub senders: Vec<Sender>,
    /// What becomes of what a sender says of a cluster that is not its own: `refuse`, or `finding`, which keeps it
    /// under no cluster or the sender's only one.
    pub sender_mismatch: Mismatch,
    /// The doors.
    pub listen: Listen,
    /// How people are told by Slack.
    pub slack: Slack,
    /// What detection is told.
    pub detect: Detect,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: 1,
            default_cluster: None,
            clusters: BTreeMap::new(),
            trusted_proxies: Vec::new(),
            audit_containers: Vec::new(),
            retention: None,
            senders: Vec::new(),
            sender_mismatch: Mismatch::Refuse,
            listen: Listen::default(),
            slack: Slack::default(),
            detect: Detect::default(),
        }
    }
}

/// What is known of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cluster {
    /// The issuer of its `ServiceAccount` tokens, by which clouds name it.
    pub issuer: String,
}

/// One sender, by exactly one name in its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sender {
    /// A URI among its subject alternative names, such as a SPIFFE ID.
    #[serde(default)]
    pub uri: Option<String>,
    /// A DNS name among them.
    #[serde(default)]
    pub dns: Option<String>,
    /// Its whole subject, such as `CN=kube-apiserver,O=prod`, in the order of the certificate.
    #[serde(default)]
    pub subject: Option<String>,
    /// The clusters that it may speak for.
    pub clusters: Vec<String>,
    /// The source that its rows are booked under; that of the door if absent.
    #[serde(default)]
    pub source: Option<String>,
}

/// What becomes of what a sender says of a cluster that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mismatch {
    /// It is refused.
    Refuse,
    /// It is kept, and told as a finding.
    Finding,
}

/// The doors; all on loopback unless configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listen {
    /// Audit webhook, `/v1/k8s-audit/{cluster}`.
    pub audit: Door,
    /// OTLP over gRPC.
    pub otlp_grpc: Door,
    /// OTLP over HTTP.
    pub otlp_http: Door,
    /// Web and query API.
    pub web: Door,
    /// Health and metrics.
    pub admin: Door,
}

impl Default for Listen {
    fn default() -> Self {
        let on = |port| Door {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: None,
            hosts: Vec::new(),
            cluster: None,
        };
        Self {
            audit: on(8443),
            otlp_grpc: on(4317),
            otlp_http: on(4318),
            web: on(8080),
            admin: on(9464),
        }
    }
}

/// One door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Door {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS; required off loopback.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Names of hosts, beside those of loopback, under which clients reach this door without TLS, such as that of a
    /// proxy; others are refused, since a page in a browser may have sent them.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// OTLP: cluster of everything that arrives here from who is in no map of `senders`.
    #[serde(default)]
    pub cluster: Option<String>,
}

/// TLS of one door.
#[expect(clippy::struct_field_names, reason = "keys that name files say so")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Private key, PEM.
    pub key_file: PathBuf,
    /// Authorities whose client certificates are let in, PEM; required off loopback.
    #[serde(default)]
    pub client_ca_file: Option<PathBuf>,
}

/// Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Slack {
    /// File that holds the URL of an incoming webhook; null tells nobody.
    pub webhook_url_file: Option<PathBuf>,
    /// So long a new incident waits for more of its story before it is told.
    pub group_wait: String,
    /// An incident that was told is told again after so long, if something grave of another sort joined it: at once.
    pub group_interval: String,
    /// An incident that was told is told again after so long, if it only went on.
    pub repeat_interval: String,
}

impl Default for Slack {
    fn default() -> Self {
        Self {
            webhook_url_file: None,
            group_wait: "30s".into(),
            group_interval: "0s".into(),
            repeat_interval: "4h".into(),
        }
    }
}

/// Detection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Detect {
    /// Identities whose business it is to mint tokens for others.
    pub token_issuers: Vec<String>,
    /// Findings that are known and accepted.
    pub exemptions: Vec<Exemption>,
    /// Sigma rules beside the built-in ones: files, and directories of `.yml` files.
    pub rules: Vec<PathBuf>,
}

/// One accepted finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exemption {
    /// The name of a detector or the id of a rule.
    pub of: String,
    /// The identity; everybody if absent.
    #[serde(default)]
    pub identity: Option<String>,
    /// The cluster; all if absent.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Until when, RFC 3339; for ever if absent.
    #[serde(default)]
    pub until: Option<String>,
    /// Why it is accepted.
    pub reason: String,
}

/// A configuration, and where each value came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loaded {
    pub config: Config,
    /// `listen.audit.address` -> `file` or `--set`; what is not here is a default.
    pub origins: BTreeMap<String, &'static str>,
    /// The file and its text.
    pub file: Option<(PathBuf, String)>,
}

/// The schema of the file.
pub(crate) const SCHEMA: &str = include_str!("config/schema.json");

/// Defaults, then `file`, then `sets`. What the values mean is for [`Settings::of`] to say.
pub(crate) fn load(file: Option<&Path>, sets: &[String]) -> Result<Loaded, Failure> {
    let mut origins = BTreeMap::new();
    let mut value = plain(&Config::default());
    let mut read = None;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(Code::Config, anyhow::anyhow!("reading {}: {error}", path.display()))
        })?;
        let typed = parse(path, &text)?;
        let given: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        note(&given, "", "file", &mut origins);
        value = plain(&typed);
        read = Some((path.to_owned(), text));
    }
    for set in sets {
        let (key, text) = set.split_once('=').ok_or_else(|| {
            Failure::usage(format!("--set {set}: there is no ="))
                .hint("write --set listen.audit.address=127.0.0.1:0")
        })?;
        put(&mut value, key, text)?;
        origins.insert(key.to_owned(), "--set");
    }
    let config: Config = serde_json::from_value(value).map_err(|error| {
        Failure::new(Code::Config, anyhow::anyhow!("--set: {error}"))
            .hint("`durward config show` lists the keys")
    })?;
    Ok(Loaded { config, origins, file: read })
}

/// Refuses values that mean nothing; nothing that they name is opened.
pub(crate) fn check_values(loaded: &Loaded) -> Result<(), Failure> {
    let mut problems = problem::Problems::of(loaded);
    value::check(&loaded.config, &mut problems);
    problems.end()
}

/// The file, strictly: an unknown key is an error with its line and a suggestion.
fn parse(path: &Path, text: &str) -> Result<Config, Failure> {
    if text.trim().is_empty() {
        return Ok(Config::default());
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        let failure = Failure::new(Code::Config, anyhow::anyhow!("{}: {first}", path.display()));
        match suggest::suggestion(&message) {
            Some(key) => failure.hint(format!("did you mean {key}?")),
            None => failure.hint("`durward config schema` describes every key"),
        }
    })
}

impl Config {
    /// How long rows are kept.
    pub(crate) fn retention(&self) -> Result<Option<Duration>, String> {
        self.retention.as_deref().map(cli::duration).transpose()
    }

    /// When people are told; else the key that is wrong, and why.
    pub(crate) fn pace(&self) -> Result<Pace, (&'static str, String)> {
        let micros = |key: &'static str, text: &str| {
            let duration = cli::duration(text).map_err(|reason| (key, reason))?;
            Ok(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
        };
        Ok(Pace {
            group_wait: micros("slack.group_wait", &self.slack.group_wait)?,
            group_interval: micros("slack.group_interval", &self.slack.group_interval)?,
            repeat_after: micros("slack.repeat_interval", &self.slack.repeat_interval)?,
            ..Pace::default()
        })
    }
}

fn plain(config: &Config) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

/// Every leaf that `value` names.
pub(crate) fn leaves(value: &Value, prefix: &str, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path =
                    if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                leaves(value, &path, found);
            }
        }
        leaf => found.push((prefix.to_owned(), leaf.clone())),
    }
}

fn note(
    value: &Value,
    prefix: &str,
    origin: &'static str,
    origins: &mut BTreeMap<String, &'static str>,
) {
    let mut found = Vec::new();
    leaves(value, prefix, &mut found);
    origins.extend(found.into_iter().map(|(path, _)| (path, origin)));
}

/// Sets one key; its value is read as YAML, so that `null`, numbers and lists can be typed.
fn put(value: &mut Value, key: &str, text: &str) -> Result<(), Failure> {
    let mut place = value;
    for name in key.split('.') {
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        let Value::Object(fields) = place else {
            return Err(Failure::new(
                Code::Config,
                anyhow::anyhow!("--set {key}: {name} is inside a value"),
            )
            .hint("`durward config show` lists the keys"));
        };
        place = fields.entry(name).or_insert(Value::Null);
    }
    *place = serde_saphyr::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests;
