//! What is inside an object that is an envelope, told by its keys.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::cloud::Message;
use super::super::fields::Raw;
use super::super::{Failure, Format};
use super::sort;
use crate::redact::decode_base64;
use crate::split::Lists;

/// The lists in which clouds keep records: files and streams, lists of events of an API
/// server, then what their interfaces answer.
pub(in super::super) const LISTS: Lists = &[
    b"\"Records\"",
    b"\"records\"",
    b"\"items\"",
    b"\"value\"",
    b"\"entries\"",
    b"\"receivedMessages\"",
    b"\"Events\"",
    b"\"events\"",
    b"\"Messages\"",
    b"\"results\"",
    b"\"tables\"",
    b"\"QueryResultRows\"",
];

/// What an envelope holds.
pub(super) enum Inside {
    /// Anything that may be read.
    Bytes(Vec<u8>),
    /// A message, and what is told of it.
    Message { text: String, plain: Box<Message> },
    /// The same of what no audit record stands in.
    Words { text: String, plain: Box<Message> },
}

/// Whether an object keeps a list under one of the keys above.
pub(super) fn is_list(raw: &Raw<'_>) -> bool {
    raw.iter().any(|(key, value)| {
        LISTS.contains(&format!("\"{key}\"").as_bytes()) && value.get().starts_with('[')
    })
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// What an envelope holds, as text or base64; `None` if `raw` is no envelope.
pub(super) fn inside(raw: &Raw<'_>) -> Result<Option<Inside>, Failure> {
    if let Some(message) = message(raw) {
        return Ok(Some(message));
    }
    if let Some(text) = plain(raw) {
        return Ok(Some(Inside::Bytes(text)));
    }
    let Some(base64) = encoded(raw) else { return Ok(None) };
    let decoded = decode_base64(&base64);
    let decoded =
        decoded.ok_or_else(|| Failure::new("not_base64", "the envelope holds no base64"))?;
    Ok(Some(Inside::Bytes(decoded)))
}

/// A message of `CloudWatch` as its interface answers it, or as a query of Insights does; or an event
/// of `EventBridge` that is no audit record.
fn message(raw: &Raw<'_>) -> Option<Inside> {
    let of = |key: &str| raw.get(key).and_then(|value| text(value));
    if let Some(detail) = raw.get("detail").filter(|_| raw.contains_key("detail-type")) {
        let inner: Option<Raw<'_>> = serde_json::from_str(detail.get()).ok();
        let sort_inside = inner.as_ref().and_then(sort);
        let is_record = sort_inside.is_some() || inner.as_ref().is_some_and(is_of_trail);
        let plain = Message { time: of("time"), service: of("source"), ..Message::default() };
        let text = detail.get().to_owned();
        // Whoever may put events on a bus chooses their detail, but no source that begins so:
        // <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
        let is_foreign = of("source").is_some_and(|source| !source.starts_with("aws."));
        if is_foreign && sort_inside == Some(Format::CloudTrail) {
            return Some(Inside::Words { text, plain: Box::new(plain) });
        }
        return (!is_record).then(|| Inside::Message { text, plain: Box::new(plain) });
    }
    let is_event =
        ["ingestionTime", "eventId", "logStreamName"].iter().any(|key| raw.contains_key(*key));
    // The console writes a message that is JSON as an object.
    let message = raw.get("@message").or_else(|| raw.get("message").filter(|_| is_event))?;
    let told = text(message).or_else(|| {
        let object = message.get().to_owned();
        object.starts_with('{').then_some(object)
    })?;
    let time = raw.get("timestamp").or_else(|| raw.get("@timestamp"));
    let time = time.and_then(|time| match serde_json::from_str(time.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Number(millis) => Some(millis.to_string()),
        _ => None,
    });
    let service = of("logStreamName").or_else(|| of("@logStream"));
    let plain = Message { time, service, ..Message::default() };
    Some(Inside::Message { text: told, plain: Box::new(plain) })
}

/// The group of a message that a query of Insights found: `@log` is the account and the group.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html>
pub(super) fn group(raw: &Raw<'_>) -> Option<String> {
    let log = raw.get("@log").and_then(|log| text(log))?;
    log.split_once(':').map(|(_, group)| group.to_owned())
}

/// A row of the answer to a query of Insights, which is a list of fields, or to one of CloudTrail Lake,
/// which is a list of objects of one field, as an object.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetQueryResults.html>
/// <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetQueryResults.html>
pub(super) fn row_of_query(bytes: &[u8]) -> Option<Vec<u8>> {
    let cells: Vec<Map<String, Value>> = serde_json::from_slice(bytes).ok()?;
    let mut row = Map::new();
    for mut cell in cells {
        match (cell.remove("field"), cell.remove("value")) {
            (Some(Value::String(field)), Some(value)) => _ = row.insert(field, value),
            (None, None) => row.append(&mut cell),
            _ => return None,
        }
    }
    (!row.is_empty()).then(|| Value::Object(row).to_string().into_bytes())
}

/// What is no event, but written by CloudTrail, or another envelope.
fn is_of_trail(raw: &Raw<'_>) -> bool {
    raw.contains_key("insightDetails") || raw.contains_key("detail-type")
}

/// The rows of a table, as a query of Log Analytics answers it, as objects.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/logs/api/response-format>
fn rows_of_table(raw: &Raw<'_>) -> Option<Vec<u8>> {
    #[derive(serde::Deserialize)]
    struct Column {
        name: String,
    }
    let columns: Vec<Column> = serde_json::from_str(raw.get("columns")?.get()).ok()?;
    let rows: Vec<Vec<Value>> = serde_json::from_str(raw.get("rows")?.get()).ok()?;
    let object = |row: Vec<Value>| -> Value {
        columns.iter().map(|column| column.name.clone()).zip(row).collect()
    };
    let rows: Value = rows.into_iter().map(object).collect();
    Some(rows.to_string().into_bytes())
}

/// What an envelope holds as it is, or as text.
fn plain(raw: &Raw<'_>) -> Option<Vec<u8>> {
    let of = |key: &str| raw.get(key).and_then(|value| text(value)).map(String::into_bytes);
    let inner = |key: &str, inner: &str| {
        let fields: Raw<'_> = serde_json::from_str(raw.get(key)?.get()).ok()?;
        fields.get(inner).and_then(|value| text(value)).map(String::into_bytes)
    };
    let has = |key: &str| raw.contains_key(key);
    let whole = |key: &str| raw.get(key).map(|value| value.get().as_bytes().to_vec());
    if has("detail-type") && has("detail") {
        return whole("detail");
    }
    // <https://github.com/cloudevents/spec/blob/main/cloudevents/formats/json-format.md>
    if has("specversion") && raw.get("data").is_some_and(|data| data.get().starts_with('{')) {
        return whole("data");
    }
    if let Some(message) = inner("Sns", "Message") {
        return Some(message);
    }
    // A notification of SNS as it is sent; others ask whether to subscribe.
    if has("TopicArn")
        || (has("Message") && raw.get("Type").is_some_and(|kind| kind.get() == "\"Notification\""))
    {
        let is_told = raw.get("Type").is_none_or(|kind| kind.get() == "\"Notification\"");
        return if is_told { of("Message") } else { Some(Vec::new()) };
    }
    if raw.get("eventSource").is_some_and(|source| source.get() == "\"aws:sqs\"") {
        return Some(of("body").unwrap_or_default());
    }
    // A message of SQS that was fetched, or an event of an Event Hub that was captured.
    if has("ReceiptHandle") || has("EnqueuedTimeUtc") {
        return of("Body").or_else(|| whole("Body"));
    }
    // An event of an Event Hub, as Splunk's add-on keeps it; a document of Elasticsearch.
    if has("x-opt-sequence-number") || has("x-opt-offset") {
        return of("body").or_else(|| whole("body"));
    }
    if let Some(rows) = rows_of_table(raw) {
        return Some(rows);
    }
    if has("_index") && has("_source") {
        return whole("_source");
    }
    of("CloudTrailEvent").or_else(|| of("eventJson"))
}

/// What an envelope holds in base64.
fn encoded(raw: &Raw<'_>) -> Option<String> {
    let inner = |key: &str, inner: &str| {
        let fields: Raw<'_> = serde_json::from_str(raw.get(key)?.get()).ok()?;
        fields.get(inner).and_then(|value| text(value))
    };
    // Firehose, Kinesis and Pub/Sub name the record beside its data.
    let is_record =
        ["recordId", "kinesisRecordMetadata", "SequenceNumber", "messageId", "publishTime"]
            .iter()
            .any(|key| raw.contains_key(*key));
    let data = || {
        let data = raw.get("data").or_else(|| raw.get("Data"))?;
        text(data).filter(|_| is_record || raw.len() <= 2)
    };
    inner("message", "data")
        .or_else(|| inner("awslogs", "data"))
        .or_else(|| inner("kinesis", "data"))
        .or_else(data)
}
