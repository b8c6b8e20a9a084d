//! A subscription of `CloudWatch` Logs: a log group's messages in, a row or reject for each out.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>
//!
//! The group of an EKS cluster holds the audit events, and beside them the text logs of its control
//! plane; these become rows of `logs`. `CONTROL_MESSAGE` only asks whether somebody listens.

use durward_schemas::Time;
use durward_schemas::time::SECOND;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, json};

use super::super::cloud::Message;
use super::super::fields::Raw;
use super::super::{Failure, Reading};
use super::Envelope;
use crate::split::Item;

/// What an envelope says of all its messages.
#[derive(Debug, Default)]
struct Origin {
    group: String,
    stream: String,
    owner: String,
}

#[derive(Deserialize)]
struct LogEvent {
    /// Milliseconds since 1970.
    #[serde(default)]
    timestamp: i64,
    message: String,
}

/// Reads the messages of one envelope.
pub(super) fn read(
    envelope: &Envelope<'_>,
    raw: &Raw<'_>,
    item: &Item,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let text = |key: &str| {
        let value = raw.get(key).and_then(|value| serde_json::from_str(value.get()).ok());
        value.unwrap_or_default()
    };
    let kind: String = text("messageType");
    if kind == "CONTROL_MESSAGE" {
        return Ok(());
    }
    let origin =
        Origin { group: text("logGroup"), stream: text("logStream"), owner: text("owner") };
    let events = raw.get("logEvents").map_or("[]", |events| events.get());
    let events: Vec<&RawValue> = serde_json::from_str(events)?;
    let envelope = envelope.of_cluster(origin.cluster());
    for (index, event) in events.iter().enumerate() {
        let position = format!("{}, message {}", item.position, index + 1);
        let item = Item { position, ..Item::whole(event.get().as_bytes()) };
        match serde_json::from_str::<LogEvent>(event.get()) {
            Ok(event) => envelope.message(&event.message, origin.of(&event), &item, reading),
            Err(error) => {
                let failure = Failure::from(error);
                let reject = envelope.context.reject_item(envelope.format, &item, &failure);
                reading.rejects.push(reject);
            }
        }
    }
    Ok(())
}

impl Origin {
    /// The name of an EKS cluster stands in that of its log group.
    /// <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>
    fn cluster(&self) -> Option<&str> {
        let cluster = self.group.strip_prefix("/aws/eks/")?.strip_suffix("/cluster")?;
        Some(cluster).filter(|name| !name.is_empty())
    }

    /// A log record of this stream, but for its text.
    fn of(&self, event: &LogEvent) -> Message {
        let micros = event.timestamp.saturating_mul(SECOND / 1000);
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
