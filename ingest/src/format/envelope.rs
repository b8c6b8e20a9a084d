//! What clouds wrap records in: one item in, the records inside it out, each to its reader.
//!
//! | envelope | told by | source |
//! |---|---|---|
//! | gzip, several members, also in base64 | its first bytes | <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html> |
//! | lists | `Records`, `records` | CloudTrail files, Azure diagnostic settings, Lambda |
//! | answers | `value`, `entries`, `receivedMessages`, `Events`, `events`, `Messages`, `results`, `tables`, `QueryResultRows` | REST interfaces and command lines |
//! | `CloudWatch` subscription | `logEvents` | as gzip |
//! | lines that `CloudWatch` exported | a time before the message | <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/S3Export.html> |
//! | `EventBridge` | `detail-type`, `detail` | <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html> |
//! | Pub/Sub, pushed or pulled | `message.data` | <https://cloud.google.com/pubsub/docs/push> |
//! | Lambda, Kinesis, Firehose, SNS, SQS | `awslogs`, `kinesis`, `data`, `Sns`, `body` | <https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html> |
//!
//! Envelopes stand in envelopes. A record is read for what it is, whatever its envelope was called,
//! since one hub or bucket carries many sorts; only what is of no known sort is read as the format
//! that the input was taken for.

mod cloudwatch;
mod sort;
mod wrap;

use std::cell::Cell;
use std::io::Read as _;

use durward_schemas::Time;
use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};

use super::cloud::Message;
use super::fields::Raw;
use super::output::{Output, PRINTED};
use super::{Context, Failure, Format, MAX_INSIDE, MAX_ITEM, Reading, too_many};
use super::{azure, cloudtrail, gcp_audit, gke_audit, kube_audit};
use crate::redact::decode_base64;
use crate::split::{Fault, Item, Splitter};

use sort::is_azure;
pub(super) use sort::{of_category, sort};
pub(super) use wrap::LISTS;
use wrap::{Inside, group, inside, is_list, row_of_query};
/// Envelopes within envelopes that are opened.
const DEPTH: usize = 8;
/// Bytes that one compressed item may become, with all that is compressed inside it.
const MAX_INFLATED: usize = 64 << 20;
/// RFC 1952.
pub(super) const GZIP: &[u8] = &[0x1f, 0x8b];

/// Reads one item, and whatever is inside it.
pub(super) fn read(format: Format, item: &Item, context: &Context<'_>, reading: &mut Reading) {
    let left = Cell::new(MAX_INFLATED);
    let most = reading.items() + MAX_INSIDE;
    let envelope =
        Envelope { format, context: *context, depth: 0, is_torn: false, left: &left, most };
    envelope.open(item, reading);
}

/// What is known of an item from the envelopes around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Envelope<'a> {
    /// The format that the item is taken for.
    pub(super) format: Format,
    pub(super) context: Context<'a>,
    depth: usize,
    /// Whether what the item was cut out of is told already.
    is_torn: bool,
    /// Bytes that may yet be inflated.
    left: &'a Cell<usize>,
    /// Rows and rejects that there may be.
    most: usize,
}

impl<'a> Envelope<'a> {
    /// Reads an item; one that cannot be read becomes a reject.
    fn open(&self, item: &Item, reading: &mut Reading) {
        let result = match item.fault {
            // Of a group that was cut the messages before the cut are whole.
            Some(Fault::Unclosed) if cloudwatch::is_group(&item.bytes) => {
                cloudwatch::read(self, item, reading)
            }
            Some(Fault::Unclosed) if self.is_torn => Ok(()),
            Some(fault) => Err(Failure::of(fault)),
            None => self.look(item, reading),
        };
        if let Err(failure) = result {
            reading.rejects.push(self.context.reject_item(self.format, item, &failure));
        }
    }

    /// Tells the form of an item by its first bytes.
    fn look(&self, item: &Item, reading: &mut Reading) -> Result<(), Failure> {
        let bytes = item.bytes.trim_ascii();
        if self.depth > DEPTH {
            return Err(Failure::new("too_deep", "there are too many envelopes in one another"));
        }
        match bytes.first() {
            _ if bytes.starts_with(GZIP) => {
                self.inflate(bytes, item, reading);
                Ok(())
            }
            Some(b'{') => self.object(bytes, item, reading),
            Some(b'[') => match row_of_query(bytes) {
                Some(row) => self.object(&row, item, reading),
                None => self.line(bytes, item, reading),
            },
            Some(b'"') => {
                let text: String = serde_json::from_slice(bytes)?;
                self.inner(text.as_bytes(), item, reading);
                Ok(())
            }
            _ => self.line(bytes, item, reading),
        }
    }

    /// A line that is no JSON: a message behind its time, or base64.
    fn line(&self, bytes: &[u8], item: &Item, reading: &mut Reading) -> Result<(), Failure> {
        let text = std::str::from_utf8(bytes).ok();
        if text.is_some_and(is_head) && item.bytes.ends_with(b" ") {
            return Ok(());
        }
        if let Some((time, message)) = text.and_then(|text| text.split_once(' '))
            && Time::parse(time).is_some()
        {
            let (stream, message) = behind_stream(message).unwrap_or(("", message));
            let service = Some(stream.to_owned()).filter(|stream| !stream.is_empty());
            let plain = Message { time: Some(time.to_owned()), service, ..Message::default() };
            self.message(message, plain, item, reading);
            return Ok(());
        }
        let decoded = text.and_then(decode_base64).filter(|decoded| is_container(decoded));
        let Some(decoded) = decoded else {
            // The parser knows best what is wrong.
            serde_json::from_slice::<Value>(bytes)?;
            return Err(unknown_record());
        };
        self.inner(&decoded, item, reading);
        Ok(())
    }

    /// Opens what an envelope held.
    fn inner(&self, bytes: &[u8], outer: &Item, reading: &mut Reading) {
        self.split(bytes, outer, false, reading);
    }

    /// Opens every item in `bytes`. Where they are torn, what is left of the last one is not told
    /// of again.
    fn split(&self, bytes: &[u8], outer: &Item, is_torn: bool, reading: &mut Reading) {
        let inside = Self { depth: self.depth + 1, is_torn, ..*self };
        if bytes.starts_with(GZIP) {
            let item = Item { position: outer.position.clone(), ..Item::whole(bytes) };
            return inside.open(&item, reading);
        }
        let mut items = Splitter::of_lists(LISTS, MAX_ITEM).items(bytes).peekable();
        let mut is_one = true;
        while let Some(mut item) = items.next() {
            if self.is_full(reading) {
                let reject = self.context.reject_item(self.format, outer, &too_many());
                return reading.rejects.push(reject);
            }
            is_one = is_one && items.peek().is_none();
            item.position = if is_one {
                outer.position.clone()
            } else {
                format!("{}, {}", outer.position, item.position)
            };
            inside.open(&item, reading);
        }
    }

    /// Whether one item has become as many rows and rejects as one may.
    fn is_full(&self, reading: &Reading) -> bool {
        reading.items() >= self.most
    }

    /// Inflates; what comes before a tear is read, the tear is a reject.
    fn inflate(&self, bytes: &[u8], item: &Item, reading: &mut Reading) {
        let mut plain = Vec::new();
        let left = self.left.get();
        let result = MultiGzDecoder::new(bytes).take(left as u64 + 1).read_to_end(&mut plain);
        self.left.set(left.saturating_sub(plain.len()));
        let failure = match result {
            _ if plain.len() > left => {
                plain.clear();
                Some(Failure::new("too_large", "the item becomes larger than is read"))
            }
            Ok(_) => None,
            Err(error) => {
                let detail = format!("the item does not decompress to its end ({})", error.kind());
                Some(Failure::new("not_decompressed", detail).hint("the item was cut on its way"))
            }
        };
        self.split(&plain, item, failure.is_some(), reading);
        if let Some(failure) = failure {
            reading.rejects.push(self.context.reject_item(self.format, item, &failure));
        }
    }

    /// An envelope, or a record.
    fn object(&self, bytes: &[u8], item: &Item, reading: &mut Reading) -> Result<(), Failure> {
        let raw: Raw<'_> = serde_json::from_slice(bytes)?;
        if raw.contains_key("logEvents") {
            return cloudwatch::read(self, item, reading);
        }
        match inside(&raw)? {
            Some(Inside::Bytes(inside)) => self.inner(&inside, item, reading),
            Some(Inside::Message { text, plain }) => {
                let group = group(&raw);
                let envelope = self.of_cluster(group.as_deref().and_then(cloudwatch::cluster_of));
                if group.as_deref().is_some_and(cloudwatch::is_of_containers) {
                    envelope.words(&text, *plain, reading);
                } else {
                    envelope.message(&text, *plain, item, reading);
                }
            }
            Some(Inside::Words { text, plain }) => self.words(&text, *plain, reading),
            None => match sort(&raw) {
                Some(sort) => self.record(sort, bytes, item, reading),
                None => self.unsorted(&raw, bytes, item, reading),
            },
        }
        Ok(())
    }

    /// An object of no known sort: a list within a list, or a record of the format that is expected.
    fn unsorted(&self, raw: &Raw<'_>, bytes: &[u8], item: &Item, reading: &mut Reading) {
        if is_list(raw) {
            self.inner(bytes, item, reading);
        } else if let Some(message) = cloudtrail::beside(bytes) {
            reading.logs.push(message.row(&self.context));
        } else {
            self.record(self.format, bytes, item, reading);
        }
    }

    /// Reads a record of a known sort; one that cannot be read becomes a reject of that sort.
    fn record(&self, sort: Format, bytes: &[u8], item: &Item, reading: &mut Reading) {
        let envelope = Self { format: sort, ..*self };
        let context = &self.context;
        let access = match sort {
            Format::KubeAudit => kube_audit::read(bytes, context).map(Some),
            Format::GkeAudit => gke_audit::read(bytes, context).map(Some),
            Format::CloudTrail => cloudtrail::read(bytes, context).map(Some),
            Format::GcpAudit => gcp_audit::read(bytes, context, reading).map(|()| None),
            sort if is_azure(sort) => azure::read(&envelope, bytes, item, reading).map(|()| None),
            _ => Err(unknown_record()),
        };
        match access {
            Ok(access) => reading.accesses.extend(access),
            Err(failure) => reading.rejects.push(context.reject_item(sort, item, &failure)),
        }
    }

    /// A text that may be an audit record of any sort, and otherwise is a log record.
    pub(super) fn message(
        &self,
        text: &str,
        mut plain: Message,
        item: &Item,
        reading: &mut Reading,
    ) {
        let line = line_in(text);
        if line.as_deref().and_then(speaks_of).is_some() && self.is_doubtful(text, &plain) {
            plain.attributes.insert(PRINTED.to_owned(), true.into());
            return self.words(text, plain, reading);
        }
        let text = line.as_deref().unwrap_or(text);
        let item = Item { position: item.position.clone(), ..Item::whole(text.as_bytes()) };
        let is_json = text.trim_ascii_start().starts_with('{');
        let raw = serde_json::from_str::<Raw<'_>>(text);
        if raw.as_ref().is_ok_and(is_list) && speaks_of(text).is_some() {
            return self.inner(text.as_bytes(), &item, reading);
        }
        if let Some(sort) = raw.as_ref().ok().and_then(sort) {
            return self.record(sort, text.as_bytes(), &item, reading);
        }
        if let Some(sort) = speaks_of(text).filter(|_| is_json) {
            let failure = raw.err().map_or_else(unknown_record, |error| cut(text, error.into()));
            return reading.rejects.push(self.context.reject_item(sort, &item, &failure));
        }
        self.words(text, plain, reading);
    }

    /// Whether a shipper of logs says of a record that a container wrote it which is not believed. Only the control
    /// plane writes to its own log group.
    fn is_doubtful(&self, record: &str, plain: &Message) -> bool {
        let group = plain.resource.get("aws.log.group.names").and_then(|names| names.get(0));
        if group.and_then(Value::as_str).and_then(cloudwatch::cluster_of).is_some() {
            return false;
        }
        let fields = serde_json::from_str::<Map<String, Value>>(record).ok();
        let output = fields.as_ref().and_then(Output::of_shipper);
        output.is_some_and(|output| !output.is_believed(&self.context))
    }

    /// A text that is a log record whatever it says, since those whose events it may hold do not write there.
    pub(super) fn words(&self, text: &str, mut plain: Message, reading: &mut Reading) {
        plain.body = text.into();
        reading.logs.push(plain.row(&self.context));
    }

    /// The same for records of `cluster`, unless the door vouches for another.
    pub(super) fn of_cluster<'b>(&self, cluster: Option<&'b str>) -> Envelope<'b>
    where
        'a: 'b,
    {
        let context = Context {
            cluster: self.context.cluster.or(self.context.named(cluster)),
            ..self.context
        };
        Envelope { context, ..*self }
    }
}

fn unknown_record() -> Failure {
    Failure::new("unknown_record", "the record is of no sort that is read")
        .hint("name the format with --format; a name that is none is answered with all of them")
}

/// Why a message that was an audit record cannot be read: most often it was cut.
fn cut(text: &str, failure: Failure) -> Failure {
    if text.contains("[Truncated") {
        return Failure::new("truncated", "the message was cut by what carried it")
            .hint("let the audit policy log fewer bodies");
    }
    failure
}

/// The sort of audit records that a message names, which cannot be read as one.
fn speaks_of(text: &str) -> Option<Format> {
    const MARKS: &[(&str, Format)] = &[
        ("\"auditID\"", Format::KubeAudit),
        ("audit.k8s.io/", Format::KubeAudit),
        ("\"eventVersion\"", Format::CloudTrail),
    ];
    MARKS.iter().find(|(mark, _)| text.contains(mark)).map(|(_, format)| *format)
}

/// Whether a line is a time and a stream, and nothing more. `aws logs tail --format json` ends it in a
/// blank, and writes the message on the lines below.
/// <https://github.com/aws/aws-cli/blob/v2/awscli/customizations/logs/tail.py>
fn is_head(text: &str) -> bool {
    let parts = text.split_once(' ');
    parts.is_some_and(|(time, stream)| Time::parse(time).is_some() && !stream.contains(' '))
}

/// The stream that `aws logs tail` writes before a message, and a record behind it.
fn behind_stream(message: &str) -> Option<(&str, &str)> {
    let (stream, message) = message.split_once(' ').filter(|(_, rest)| rest.starts_with('{'))?;
    let raw: Raw<'_> = serde_json::from_str(message).ok()?;
    sort(&raw).map(|_| (stream, message))
}

/// The line that a message holds as a text, or that a container runtime's logger wrapped in `log`.
fn line_in(text: &str) -> Option<String> {
    let trimmed = text.trim_ascii();
    if trimmed.starts_with('"') {
        return serde_json::from_str(trimmed).ok();
    }
    memchr::memmem::find(trimmed.as_bytes(), b"\"log\"")?;
    let raw: Raw<'_> = serde_json::from_str(trimmed).ok()?;
    let line: String = serde_json::from_str(raw.get("log")?.get()).ok()?;
    (sort(&raw).is_none() && line.starts_with('{')).then_some(line)
}

/// Whether bytes begin as something that envelopes hold.
fn is_container(bytes: &[u8]) -> bool {
    bytes.starts_with(GZIP) || matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests;
