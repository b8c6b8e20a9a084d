//! Bytes in, rows and rejects out: pure, total, one bad item never loses a neighbour.
//!
//! Each format is a file. What they share is here: what a reader knows of its input ([`Context`]),
//! what it makes ([`Reading`]), and how an input that cannot be read is kept.

mod azure;
mod cloud;
mod cloudtrail;
mod detect;
mod envelope;
mod envoy;
mod fields;
mod gcp_audit;
mod gke_audit;
mod go;
mod google;
mod hubble;
mod kube_audit;
mod kube_list;
mod mapping;
mod mesh;
pub(crate) mod otlp;
mod otlp_accesses;
mod otlp_clouds;
mod otlp_logs;
mod otlp_metrics;
mod otlp_traces;
mod output;
mod semconv;
mod spire;
mod vault;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::str::FromStr;

use durward_schemas::Time;
use durward_schemas::tables::{Access, Log, Metric, Object, Reject, Span};
use serde_json::{Map, Value};

pub use self::mapping::Mapping;
use crate::canonical;
use crate::keys::Keys;
use crate::network::Network;
use crate::receive::senders::{Settled, Speaker};
use crate::redact::mask_unparsed;
use crate::split::{Fault, Item, Splitter};

/// Bytes of one item at most; a larger one becomes a reject (DESIGN decision 2).
pub const MAX_ITEM: usize = 8 << 20;
/// Bytes of one document that cannot be taken apart: a list of objects, an OTLP export.
pub const MAX_DOCUMENT: usize = 512 << 20;

/// Rows and rejects that what stands in one item may become: an empty record is three bytes, and a reject a
/// thousand.
pub(crate) const MAX_INSIDE: usize = 20_000;

/// What a reader is told about its input.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The cluster that the door vouches for.
    pub cluster: Option<&'a str>,
    /// The configured source.
    pub source: &'a str,
    /// When the input was received.
    pub received: Time,
    /// As of when listed objects stood, if somebody said so.
    pub as_of: Option<Time>,
    /// The keys of the installation.
    pub keys: &'a Keys,
    /// Proxies whose word on the address before them is believed.
    pub trusted_proxies: &'a [Network],
    /// Containers whose output is believed where it reads as audit records, as `namespace/container`.
    pub audit_containers: &'a BTreeSet<String>,
    /// The cluster of OTLP items that neither the door nor they themselves name.
    pub default_cluster: Option<&'a str>,
    /// Clusters by the issuer of their `ServiceAccount` tokens, without `https://`.
    pub issuers: &'a BTreeMap<String, String>,
    /// Who sends it; nobody sends a file.
    pub speaker: Option<&'a Speaker>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// Stages of requests.
    pub accesses: Vec<Access>,
    /// Objects as listed.
    pub objects: Vec<Object>,
    /// Spans.
    pub spans: Vec<Span>,
    /// Log records.
    pub logs: Vec<Log>,
    /// Metric points.
    pub metrics: Vec<Metric>,
    /// What could not be read.
    pub rejects: Vec<Reject>,
}

impl Reading {
    /// Items: rows and rejects together.
    #[must_use]
    pub fn items(&self) -> usize {
        let signals = self.spans.len() + self.logs.len() + self.metrics.len();
        self.accesses.len() + self.objects.len() + signals + self.rejects.len()
    }

    /// Adds what another reading found.
    pub fn merge(&mut self, other: Self) {
        self.accesses.extend(other.accesses);
        self.objects.extend(other.objects);
        self.spans.extend(other.spans);
        self.logs.extend(other.logs);
        self.metrics.extend(other.metrics);
        self.rejects.extend(other.rejects);
    }
}

/// The formats of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Events of audit.k8s.io: lists, single events, lines.
    KubeAudit,
    /// Requests to API servers of GKE, as Cloud Logging has them.
    GkeAudit,
    /// Logs of AKS control planes, audit events among them.
    AksAudit,
    /// Kubernetes objects as `kubectl get -o json` lists them.
    KubeList,
    /// Events of AWS CloudTrail.
    CloudTrail,
    /// What AWS CloudWatch Logs hands on: audit events of EKS, events of CloudTrail, other messages.
    CloudWatch,
    /// Entries of Google's Cloud Logging: audit logs of all services.
    GcpAudit,
    /// The Azure Activity Log and logs of Azure resources.
    AzureActivity,
    /// Sign-ins to Microsoft Entra.
    AzureSignin,
    /// The audit log of Microsoft Entra.
    AzureAudit,
    /// OTLP exports, protobuf or JSON.
    Otlp,
    /// Access logs of Envoy and Istio, JSON or text.
    Envoy,
    /// Logs of SPIRE servers and agents, JSON or text.
    Spire,
    /// Flows of Cilium.
    Hubble,
    /// Entries of audit devices of Vault.
    Vault,
}

/// A text that names no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a format: expected one of {}", Format::names())]
pub struct UnknownFormat {
    /// What was found.
    pub text: String,
}

impl Format {
    /// Every format.
    pub const ALL: &[Self] = &[
        Self::KubeAudit,
        Self::GkeAudit,
        Self::AksAudit,
        Self::KubeList,
        Self::CloudTrail,
        Self::CloudWatch,
        Self::GcpAudit,
        Self::AzureActivity,
        Self::AzureSignin,
        Self::AzureAudit,
        Self::Otlp,
        Self::Envoy,
        Self::Spire,
        Self::Hubble,
        Self::Vault,
    ];

    /// The name that people type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KubeAudit => "kube-audit",
            Self::GkeAudit => "gke-audit",
            Self::AksAudit => "aks-audit",
            Self::KubeList => "kube-list",
            Self::CloudTrail => "cloudtrail",
            Self::CloudWatch => "cloudwatch",
            Self::GcpAudit => "gcp-audit",
            Self::AzureActivity => "azure-activity",
            Self::AzureSignin => "azure-signin",
            Self::AzureAudit => "azure-audit",
            Self::Otlp => "otlp",
            Self::Envoy => "envoy",
            Self::Spire => "spire",
            Self::Hubble => "hubble",
            Self::Vault => "vault",
        }
    }

    /// The names of all, for people.
    fn names() -> String {
        Self::ALL.iter().map(|format| format.name()).collect::<Vec<_>>().join(", ")
    }

    /// Which field fills which column of `accesses`; empty for a format that makes none.
    #[must_use]
    pub const fn mapping(self) -> &'static [Mapping] {
        match self {
            // The log of an AKS record is the event itself.
            Self::KubeAudit | Self::AksAudit => kube_audit::MAPPING,
            Self::GkeAudit => gke_audit::MAPPING,
            Self::CloudTrail => cloudtrail::MAPPING,
            Self::GcpAudit => gcp_audit::MAPPING,
            Self::AzureActivity => azure::activity::MAPPING,
            Self::AzureSignin => azure::signin::MAPPING,
            Self::AzureAudit => azure::audit::MAPPING,
            Self::Envoy => envoy::MAPPING,
            Self::Spire => spire::MAPPING,
            Self::Hubble => hubble::MAPPING,
            Self::Vault => vault::MAPPING,
            Self::KubeList | Self::CloudWatch | Self::Otlp => &[],
        }
    }

    /// Whether records of this format come in envelopes, and mixed with others.
    const fn is_cloud(self) -> bool {
        match self {
            Self::KubeAudit
            | Self::KubeList
            | Self::Otlp
            | Self::Envoy
            | Self::Spire
            | Self::Hubble
            | Self::Vault => false,
            Self::GkeAudit
            | Self::AksAudit
            | Self::CloudTrail
            | Self::CloudWatch
            | Self::GcpAudit
            | Self::AzureActivity
            | Self::AzureSignin
            | Self::AzureAudit => true,
        }
    }

    /// The format of an input that begins with `head`; `None` if it is none of ours.
    #[must_use]
    pub fn detect(head: &[u8]) -> Option<Self> {
        detect::detect(head)
    }

    /// Whether an input that begins with `head` is protobuf, or compressed: one item, not to be split.
    pub(crate) fn is_binary(self, head: &[u8]) -> bool {
        if self.is_cloud() {
            return head.starts_with(envelope::GZIP);
        }
        let is_text = head.trim_ascii_start().starts_with(b"{");
        self == Self::Otlp && head.first() == Some(&0x0a) && !is_text
    }

    /// What finds the items of this format.
    pub(crate) fn splitter(self) -> Splitter {
        match self {
            Self::KubeAudit => Splitter::new(true, MAX_ITEM).condensing(),
            Self::KubeList | Self::Otlp => Splitter::new(false, MAX_DOCUMENT),
            Self::Envoy | Self::Spire | Self::Hubble | Self::Vault => Splitter::lines(MAX_ITEM),
            _ => Splitter::of_lists(envelope::LISTS, MAX_ITEM),
        }
    }

    /// Reads one item into `reading`.
    pub(crate) fn read_item(self, item: &Item, context: &Context<'_>, reading: &mut Reading) {
        // Whoever pads an event does not hide it.
        let condensed = item.condensed.as_ref().filter(|_| self == Self::KubeAudit);
        if let Some(Ok(access)) = condensed.map(|bytes| kube_audit::read(bytes, context)) {
            reading.accesses.push(Access { truncated: true, ..access });
            return;
        }
        let legible = if self == Self::KubeAudit { item.legible() } else { None };
        let item = legible.as_ref().unwrap_or(item);
        // Of an envelope that was cut what is inside may be whole.
        if let Some(fault) = item.fault.filter(|_| !self.is_cloud()) {
            return reading.rejects.push(context.reject_item(self, item, &Failure::of(fault)));
        }
        let result = match self {
            Self::KubeAudit => kube_audit::read(&item.bytes, context).map(|access| {
                let truncated = access.truncated || legible.is_some();
                reading.accesses.push(Access { truncated, ..access });
            }),
            Self::KubeList => kube_list::read(item, context, reading),
            Self::Otlp => otlp::read_item(item, context, reading),
            Self::Envoy => envoy::read(&item.bytes, context, reading),
            Self::Spire => spire::read(&item.bytes, context, reading),
            Self::Hubble => hubble::read(&item.bytes, context, reading),
            Self::Vault => vault::read(&item.bytes, context, reading),
            _ => {
                envelope::read(self, item, context, reading);
                Ok(())
            }
        };
        if let Err(failure) = result {
            reading.rejects.push(context.reject_item(self, item, &failure));
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.iter().find(|format| format.name() == text);
        found.copied().ok_or_else(|| UnknownFormat { text: text.to_owned() })
    }
}

/// Reads everything in `bytes`: never fails, never panics.
#[must_use]
pub fn read(format: Format, bytes: &[u8], context: &Context<'_>) -> Reading {
    read_at_most(format, bytes, usize::MAX, context)
}

/// Reads what stands in an item of something else: a list in it may be long, and an empty record is three
/// bytes.
pub(crate) fn read_inside(format: Format, bytes: &[u8], context: &Context<'_>) -> Reading {
    read_at_most(format, bytes, MAX_INSIDE, context)
}

fn read_at_most(format: Format, bytes: &[u8], most: usize, context: &Context<'_>) -> Reading {
    let mut reading = Reading::default();
    if format.is_binary(bytes) {
        let item = Item::whole(bytes);
        format.read_item(&item, context, &mut reading);
        return reading;
    }
    for item in format.splitter().items(bytes) {
        if reading.items() >= most {
            reading.rejects.push(context.reject(format, bytes, &too_many()));
            break;
        }
        format.read_item(&item, context, &mut reading);
    }
    reading
}

/// Why what a sender says of another's cluster is not kept.
pub(crate) fn not_its_cluster() -> Failure {
    Failure::new("not_its_cluster", "its sender may not speak for the cluster that it names")
        .hint("name the cluster at its sender in `senders`, if it may")
}

/// Why what comes after in an item is not read.
pub(crate) fn too_many() -> Failure {
    Failure::new("too_many", "the item holds more records than are read of one")
        .hint("split the file, or send fewer records at once")
}

/// Why an item could not be read: a word to count, a sentence, and what to do. Never its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    pub(crate) hint: Option<&'static str>,
}

impl Failure {
    pub(crate) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    fn of(fault: Fault) -> Self {
        match fault {
            Fault::TooLarge => Self::new("too_large", "the item is larger than is read")
                .hint("switch on truncation in the API server, or log fewer bodies"),
            Fault::Unclosed => Self::new("unclosed", "the item ends in the middle")
                .hint("the line or file was cut: look at rotation and at limits of the shipper"),
        }
    }
}

impl From<serde_json::Error> for Failure {
    /// The place of the error, but not its text, which may quote the input.
    fn from(error: serde_json::Error) -> Self {
        let place = format!("at line {} column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Eof => Self::of(Fault::Unclosed),
            serde_json::error::Category::Data => {
                Self::new("wrong_type", format!("a field has another type than it should, {place}"))
            }
            _ => Self::new("not_json", format!("the item is not JSON, {place}")),
        }
    }
}

impl Context<'_> {
    /// The cluster of what names `claimed`.
    pub(crate) fn settle(&self, claimed: Option<&str>) -> Settled {
        let nobody = Speaker::default();
        self.speaker.unwrap_or(&nobody).settle(self.cluster, claimed, self.default_cluster)
    }

    /// A cluster that an item names, unless its sender may not speak for it.
    pub(crate) fn named<'b>(&self, cluster: Option<&'b str>) -> Option<&'b str> {
        cluster.filter(|cluster| self.speaker.is_none_or(|speaker| speaker.may_name(cluster)))
    }

    /// Notes who sent accesses, and what cluster they were sent as.
    pub(crate) fn sign(&self, accesses: &mut [Access], claimed: Option<&str>) {
        for access in accesses {
            access.sender = self.speaker.and_then(Speaker::name).map(str::to_owned);
            if let Some(claimed) = claimed {
                access.claimed_cluster = Some(claimed.to_owned());
            }
        }
    }

    /// The text that ids are hashed over: canonical, and with a constant for each secret.
    pub(crate) fn text_for_ids(&self, content: &Value) -> String {
        let redactor = self.keys.redactor();
        canonical::canonical(content, &|text| redactor.without_markers(text))
    }

    /// As [`Self::text_for_ids`], of the fields of an object.
    pub(crate) fn text_of_fields(&self, fields: &Map<String, Value>) -> String {
        let redactor = self.keys.redactor();
        canonical::canonical_fields(fields, &|text| redactor.without_markers(text))
    }

    /// What ids are hashed over where an item is no JSON: these parts in this order, each behind its length,
    /// with a constant for each secret.
    pub(crate) fn parts_for_ids(&self, parts: &[Option<&str>]) -> String {
        let mut told = String::with_capacity(1024);
        for part in parts {
            let text = part.map(|text| self.keys.redactor().without_markers(text));
            // Writing into memory does not fail.
            let written = match text {
                Some(text) => write!(told, "{}:{text}", text.len()),
                None => write!(told, "-"),
            };
            debug_assert!(written.is_ok(), "memory takes it");
        }
        told
    }

    /// Keeps an item that could not be read.
    pub(crate) fn reject_item(&self, format: Format, item: &Item, failure: &Failure) -> Reject {
        let mut reject = self.reject(format, &item.bytes, failure);
        if item.length != item.bytes.len() {
            // Of a too large item only head and length are known.
            let known = [item.bytes.as_slice(), &item.length.to_le_bytes()].concat();
            reject.reject_id = self.keys.reject_id(self.cluster, format.name(), &known);
            reject.byte_length = i64::try_from(item.length).unwrap_or(i64::MAX);
        }
        Reject { position: Some(item.position.clone()), ..reject }
    }

    /// Keeps bytes that could not be read.
    pub(crate) fn reject(&self, format: Format, bytes: &[u8], failure: &Failure) -> Reject {
        Reject {
            time: self.received,
            reject_id: self.keys.reject_id(self.cluster, format.name(), bytes),
            source: self.source.to_owned(),
            cluster: self.cluster.map(str::to_owned),
            format: format.name().to_owned(),
            reason: failure.reason.to_owned(),
            detail: failure.detail.clone(),
            hint: failure.hint.map(str::to_owned),
            head: Some(mask_unparsed(bytes)),
            byte_length: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            ..Reject::default()
        }
    }
}

#[cfg(test)]
mod tests;
