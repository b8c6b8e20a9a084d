//! A subscription of `CloudWatch` Logs: a log group's messages in, a row or reject for each out.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>
//!
//! The group of an EKS cluster holds the audit events, and beside them the text logs of its control
//! plane; these become rows of `logs`. `CONTROL_MESSAGE` only asks whether somebody listens.

use durward_schemas::Time;
use durward_schemas::time::SECOND;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::cloud::Message;
use super::super::fields::Raw;
use super::super::{Failure, MAX_ITEM, Reading, google};
use super::{Envelope, too_many};
use crate::split::{Fault, Item, Lists, Splitter};

/// What an envelope says of all its messages.
#[derive(Debug, Default)]
struct Origin {
    group: String,
    stream: String,
    owner: String,
}

#[derive(Deserialize)]
struct LogEvent<'a> {
    /// Milliseconds since 1970.
    #[serde(default)]
    timestamp: Value,
    /// A text; what passes groups on may have parsed it.
    #[serde(borrow)]
    message: &'a RawValue,
}

/// The list of messages.
const EVENTS: &str = "\"logEvents\"";
const LISTS: Lists = &[EVENTS.as_bytes()];

/// Streams of the control plane of EKS that are not the API server's.
/// <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>
const OTHERS: &[&str] =
    &["authenticator-", "kube-controller-manager-", "cloud-controller-manager-", "kube-scheduler-"];

/// Whether bytes, which may be cut, are an envelope.
pub(super) fn is_group(bytes: &[u8]) -> bool {
    bytes.starts_with(b"{") && memchr::memmem::find(bytes, EVENTS.as_bytes()).is_some()
}

/// Reads the messages of one envelope, which may be cut.
pub(super) fn read(
    envelope: &Envelope<'_>,
    item: &Item,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let bytes = item.bytes.trim_ascii();
    let (kind, origin) = origin(bytes)?;
    if kind == "CONTROL_MESSAGE" {
        return Ok(());
    }
    let envelope = envelope.of_cluster(origin.cluster());
    let events = Splitter::of_lists(LISTS, MAX_ITEM).items(bytes);
    for (index, mut event) in events.enumerate() {
        if envelope.is_full(reading) {
            return Err(too_many());
        }
        event.position = format!("{}, message {}", item.position, index + 1);
        let parsed = match event.fault {
            Some(Fault::Unclosed) if envelope.is_torn => continue,
            Some(fault) => Err(Failure::of(fault)),
            None => serde_json::from_slice::<LogEvent>(&event.bytes).map_err(Failure::from),
        };
        match parsed {
            Ok(told) => {
                let text = serde_json::from_str::<String>(told.message.get());
                let text = text.as_deref().unwrap_or(told.message.get());
                let plain = origin.of(&told);
                if origin.holds_audit_records() {
                    envelope.message(text, plain, &event, reading);
                } else {
                    envelope.words(text, plain, reading);
                }
            }
            Err(failure) => {
                let reject = envelope.context.reject_item(envelope.format, &event, &failure);
                reading.rejects.push(reject);
            }
        }
    }
    Ok(())
}

/// What an envelope says beside its messages: of one that was cut, what stands before them.
fn origin(bytes: &[u8]) -> Result<(String, Origin), Failure> {
    let before = memchr::memmem::find(bytes, EVENTS.as_bytes()).unwrap_or(bytes.len());
    let cut = [bytes.get(..before).unwrap_or_default(), b"\"logEvents\":[]}"].concat();
    let raw: Raw<'_> = serde_json::from_slice(bytes).or_else(|_| serde_json::from_slice(&cut))?;
    let text = |key: &str| {
        let value = raw.get(key).and_then(|value| serde_json::from_str(value.get()).ok());
        value.unwrap_or_default()
    };
    let origin =
        Origin { group: text("logGroup"), stream: text("logStream"), owner: text("owner") };
    Ok((text("messageType"), origin))
}

/// Whether a group holds what containers print.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-reference.html>
pub(super) fn is_of_containers(group: &str) -> bool {
    group.starts_with("/aws/containerinsights/")
}

/// The name of an EKS cluster stands in that of its log group.
/// <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>
pub(super) fn cluster_of(group: &str) -> Option<&str> {
    let cluster = group.strip_prefix("/aws/eks/")?.strip_suffix("/cluster")?;
    Some(cluster).filter(|name| !name.is_empty())
}

impl Origin {
    fn cluster(&self) -> Option<&str> {
        cluster_of(&self.group)
    }

    /// Whether audit records may stand here. What containers print, and what other parts of a control plane
    /// write, may look like one and be anybody's words.
    fn holds_audit_records(&self) -> bool {
        let is_of_other = OTHERS.iter().any(|name| self.stream.starts_with(name));
        !is_of_containers(&self.group) && (self.cluster().is_none() || !is_of_other)
    }

    /// A log record of this stream, but for its text.
    fn of(&self, event: &LogEvent<'_>) -> Message {
        let millis = google::integer(Some(&event.timestamp)).unwrap_or_default();
        let micros = millis.saturating_mul(SECOND / 1000);
        // `kube-apiserver-0a1b2c`: a stream is named after what writes it, and a hash.
        let service = self.stream.rsplit_once('-').map_or(self.stream.as_str(), |(name, _)| name);
        let resource = json!({
            "aws.log.group.names": [self.group],
            "aws.log.stream.names": [self.stream],
            "cloud.account.id": self.owner,
        });
        Message {
            time: Some(Time(micros).to_string()),
            service: Some(service.to_owned()).filter(|service| !service.is_empty()),
            resource: resource.as_object().cloned().unwrap_or_else(Map::new),
            ..Message::default()
        }
    }
}
