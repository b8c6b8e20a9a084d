//! Which format an input has, by its first bytes: the first key that tells.

use serde_json::Value;

use super::{Format, envelope, envoy, kube_audit, mesh, vault};
use crate::redact::decode_base64;
use crate::split::decoded;
use durward_schemas::Time;

/// The format of an input that begins with `head`, which may end anywhere.
pub(super) fn detect(head: &[u8]) -> Option<Format> {
    let head = &*decoded(head);
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let by_lines = || text.split(|byte| *byte == b'\n').take(LINES).find_map(by_line);
    match text.first()? {
        b'{' => {
            let format = by_keys(text, 1).map(|format| of_gke(format, text));
            format.or_else(|| of_query(text))
        }
        b'[' => by_keys(text, 2).map(|format| of_gke(format, text)).or_else(by_lines),
        _ if head.starts_with(envelope::GZIP) => Some(Format::CloudWatch),
        // Of lines that may be those of several programs what only one of them writes tells more.
        _ if is_cloudwatch(text) => {
            Some(by_lines().filter(|format| is_of_mesh(*format)).unwrap_or(Format::CloudWatch))
        }
        // An OTLP request in protobuf begins with its field 1, which has a length: `resource_*`.
        _ if head.first() == Some(&0x0a) => Some(Format::Otlp),
        _ => by_lines(),
    }
}

/// Lines of text that are looked at: a proxy logs what it does before its first access.
const LINES: usize = 200;

/// The format of a log by one line of it, JSON or text.
fn by_line(line: &[u8]) -> Option<Format> {
    let line = mesh::payload(line);
    match line {
        [b'{', ..] => by_keys(line, 1),
        _ if kube_audit::is_marked(line) || kube_audit::legacy::is_marked(line) => {
            Some(Format::KubeAudit)
        }
        // What is no JSON has its hint in the reject.
        _ if line.starts_with(b"<json:object ") => Some(Format::Vault),
        [b'[', digit, ..] if digit.is_ascii_digit() => is_access(line).then_some(Format::Envoy),
        [b't', b'i', b'm', b'e', b'=', ..] => is_spire(line).then_some(Format::Spire),
        _ if is_ztunnel(line) => Some(Format::Envoy),
        // Behind a prefix it has to say more.
        _ if memchr::memmem::find(line, b"\"request\":{").is_some() => {
            by_keys(vault::behind_prefix(line), 1).filter(|format| *format == Format::Vault)
        }
        _ => mesh::behind_prefix(line).and_then(of_text),
    }
}

/// The format of a line that stood behind a prefix, where more than one of its words tells.
fn of_text(line: &[u8]) -> Option<Format> {
    let holds = |what: &[u8]| memchr::memmem::find(line, what).is_some();
    match line {
        [b'{', ..] if holds(b"\"flow\":{") && holds(b"\"verdict\"") => Some(Format::Hubble),
        [b'{', ..] => {
            by_keys(line, 1).filter(|format| matches!(format, Format::Envoy | Format::Spire))
        }
        // Other servers write a time and a request, too.
        [b'[', ..] => envoy::line(line).map(|_| Format::Envoy),
        [b't', ..] => is_spire(line).then_some(Format::Spire),
        _ => is_ztunnel(line).then_some(Format::Envoy),
    }
}

/// Formats of meshes and of what mints their identities.
fn is_of_mesh(format: Format) -> bool {
    matches!(format, Format::Envoy | Format::Spire | Format::Hubble | Format::Vault)
}

/// Whether a line of text is an access of Istio's ztunnel.
fn is_ztunnel(line: &[u8]) -> bool {
    let head = memchr::memmem::find(line, b"src.addr=").and_then(|at| line.get(..at));
    let mut words = head.unwrap_or_default().split(u8::is_ascii_whitespace);
    words.any(|word| matches!(word, b"access" | b"access:"))
}

/// Whether a line of `key=value` is SPIRE's: many programs write such lines, few name a subsystem.
fn is_spire(line: &[u8]) -> bool {
    let holds = |what: &[u8]| memchr::memmem::find(line, what).is_some();
    holds(b" subsystem_name=") || holds(b" type=audit")
}

/// Whether a line that begins with a time in brackets goes on with a request: the log of the proxy
/// itself does not.
fn is_access(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"] \"").is_some_and(|at| at < 64)
}

/// GKE's entries of Cloud Logging are told from others by their service.
fn of_gke(format: Format, text: &[u8]) -> Format {
    let mut services = memchr::memmem::find_iter(text, b"\"serviceName\"");
    let is_gke = services.any(|at| {
        let value = text.get(at..).unwrap_or_default().splitn(2, |byte| *byte == b':').nth(1);
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"\"k8s.io\""))
    });
    if is_gke && format == Format::GcpAudit { Format::GkeAudit } else { format }
}

/// What answers a query, with rows that are no objects: lists of fields are of Insights of `CloudWatch`,
/// lists of values of Log Analytics, whose tables all have a column for the time.
fn of_query(text: &[u8]) -> Option<Format> {
    let holds = |what: &[u8]| memchr::memmem::find(text, what).is_some();
    let is_field = holds(b"\"@ptr\"") || holds(b"\"@message\"");
    if holds(b"\"results\"") && holds(b"\"field\"") && is_field {
        return Some(Format::CloudWatch);
    }
    let is_table = holds(b"\"tables\"") && holds(b"\"columns\"");
    (is_table && holds(b"\"TimeGenerated\"")).then_some(Format::AzureActivity)
}

/// Lines of messages behind their time, and compressed records in base64.
fn is_cloudwatch(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // Container runtimes write the time and a stream.
    let is_text = kube_audit::legacy::is_marked(line);
    if mesh::payload(line) != line.trim_ascii() || is_ztunnel(line) || is_text {
        return false;
    }
    // The first bytes suffice: the line may be longer than what is there of it.
    let Ok(start) = std::str::from_utf8(line.get(..40).unwrap_or(line)) else { return false };
    let is_dated = start.split_once(' ').is_some_and(|(time, _)| Time::parse(time).is_some());
    is_dated || decode_base64(start).is_some_and(|bytes| bytes.starts_with(envelope::GZIP))
}

/// Walks the keys that stand at `depth`, and those of a list of items, until one tells.
fn by_keys(text: &[u8], mut depth: usize) -> Option<Format> {
    let mut at = 0;
    let mut weak = None;
    let mut key = String::new();
    let mut rest = text;
    let mut opened = None;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' if is_list(&key) && at == depth => {
                at += 1;
                depth += 2;
            }
            // What a carrier has taken apart, such as a document that Elasticsearch was given.
            b'{' if at == depth && mesh::OBJECTS.contains(&key.as_str()) => {
                opened = opened.or(Some(at));
                at += 1;
                depth += 1;
            }
            b'{' | b'[' => at += 1,
            b'}' | b']' => {
                at = at.saturating_sub(1);
                if opened == Some(at) {
                    depth = at;
                    opened = None;
                }
            }
            b'"' => {
                let Some((string, after)) = take_string(rest) else { break };
                rest = after;
                let is_key = rest.trim_ascii_start().first() == Some(&b':');
                if at == depth {
                    let told = if is_key { by_key(&string) } else { by_value(&key, &string) };
                    if told.is_some() {
                        return told;
                    }
                    weak = weak.or(if is_key { hint(&string) } else { hint_of(&key, &string) });
                    key = string;
                }
            }
            _ => {}
        }
    }
    weak
}

/// Whether a key holds the items that an object is about.
fn is_list(key: &str) -> bool {
    let quoted = format!("\"{key}\"");
    envelope::LISTS.contains(&quoted.as_bytes())
}

fn by_key(key: &str) -> Option<Format> {
    match key {
        "resourceSpans" | "resourceLogs" | "resourceMetrics" | "resource_spans"
        | "resource_logs" | "resource_metrics" | "scopeSpans" | "scopeLogs" | "scopeMetrics" => {
            Some(Format::Otlp)
        }
        "auditID" => Some(Format::KubeAudit),
        "objects" => Some(Format::KubeList),
        "flow"
        | "verdict"
        | "lost_events"
        | "trace_observation_point"
        | "agent_event"
        | "debug_event"
        | "node_status" => Some(Format::Hubble),
        "subsystem_name" => Some(Format::Spire),
        "@level" => Some(Format::Vault),
        key if envoy::is_telling(key) => Some(Format::Envoy),
        "logEvents" | "awslogs" | "kinesis" | "Sns" | "ingestionTime" | "logStreamName"
        | "@message" | "TopicArn" | "ReceiptHandle" => Some(Format::CloudWatch),
        "userIdentity" | "useridentity" | "detail-type" | "CloudTrailEvent" | "insightDetails"
        | "digestStartTime" | "QueryResultRows" => Some(Format::CloudTrail),
        "EnqueuedTimeUtc" | "x-opt-sequence-number" => Some(Format::AzureActivity),
        "protoPayload" | "protopayload_auditlog" | "jsonPayload" | "logName" => {
            Some(Format::GcpAudit)
        }
        "signInEventTypes" | "conditionalAccessStatus" => Some(Format::AzureSignin),
        "activityDisplayName" => Some(Format::AzureAudit),
        "AuditId" => Some(Format::AksAudit),
        _ => None,
    }
}

fn by_value(key: &str, value: &str) -> Option<Format> {
    match key {
        "apiVersion" if value.starts_with("audit.k8s.io/") => Some(Format::KubeAudit),
        // Events of CloudTrail have dates there.
        "apiVersion" if is_version(value) => Some(Format::KubeList),
        "type" if matches!(value, "request" | "response" | "kmip-request" | "kmip-response") => {
            Some(Format::Vault)
        }
        "type" if value == "audit" => Some(Format::Spire),
        "scope" if envoy::is_scope(value) => Some(Format::Envoy),
        // A line as Docker keeps it, which is not to hold another.
        "log" if !value.starts_with("{\"log\":") => {
            by_line(value.as_bytes()).filter(|format| is_of_mesh(*format))
        }
        "category" | "Category" | "Type" => envelope::of_category(value),
        "type" if value.starts_with("google.cloud.") => Some(Format::GcpAudit),
        "type" if matches!(value, "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK") => {
            Some(Format::KubeList)
        }
        "subscription" if value.starts_with("projects/") => Some(Format::GcpAudit),
        "eventSource" | "eventsource" if value.ends_with(".amazonaws.com") => {
            Some(Format::CloudTrail)
        }
        "eventSource" if value == "aws:sqs" => Some(Format::CloudWatch),
        // A record of Firehose or Kinesis, in base64 and compressed.
        "data" | "Data" if value.starts_with("H4sI") => Some(Format::CloudWatch),
        _ => None,
    }
}

/// Whether a text is a version of an API of Kubernetes, such as `v1` or `apps/v1beta2`.
fn is_version(text: &str) -> bool {
    let version = text.rsplit('/').next().and_then(|version| version.strip_prefix('v'));
    version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

/// What a value tells if no other tells more.
fn hint_of(key: &str, value: &str) -> Option<Format> {
    let is_resource =
        ["resourceId", "_ResourceId"].iter().any(|name| key.eq_ignore_ascii_case(name));
    // Docker and shippers of logs wrap the line.
    if mesh::LINES.contains(&key) {
        let is_event = value.starts_with('{') && kube_audit::is_marked(value.as_bytes());
        // What Docker keeps is told by its value.
        let of_mesh =
            || by_line(value.as_bytes()).filter(|format| key != "log" && is_of_mesh(*format));
        return is_event.then_some(Format::KubeAudit).or_else(of_mesh);
    }
    (is_resource && value.starts_with('/')).then_some(Format::AzureActivity)
}

/// What a key tells if no other tells more.
fn hint(key: &str) -> Option<Format> {
    match key {
        "metadata" | "items" => Some(Format::KubeList),
        "ackId" | "publishTime" => Some(Format::GcpAudit),
        _ => None,
    }
}

/// The string that `text` continues, up to its quote, and what follows.
fn take_string(text: &[u8]) -> Option<(String, &[u8])> {
    let mut is_escaped = false;
    let end = text.iter().position(|&byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })?;
    let (string, rest) = text.split_at_checked(end)?;
    let quoted = [b"\"", string, b"\""].concat();
    let string = serde_json::from_slice::<Value>(&quoted).ok()?;
    Some((string.as_str()?.to_owned(), rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the first bytes of every form of input, in any order of keys, cut off, or foreign.
    /// Guarantees: the format, or none; what clients can write into an event does not mislead.
    #[test]
    fn first_key_that_tells() {
        let check = |head: &str, expect: Option<Format>| {
            assert_eq!(detect(head.as_bytes()), expect, "{head}");
        };
        let (audit, list, otlp) =
            (Some(Format::KubeAudit), Some(Format::KubeList), Some(Format::Otlp));
        check(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","lev"#, audit);
        check(r#"{"kind":"Event","metadata":{"x":1},"level":"Request","auditID":"7"}"#, audit);
        check(r#"{"annotations":{"resourceSpans":"x"},"auditID":"7"}"#, audit);
        check(r#"{"items":[{"level":"Metadata","auditID":"7"}]}"#, audit);
        check(r#"[{"auditID":"7"}]"#, audit);
        check(r#"{"apiVersion":"v1","items":[{"kind":"Pod"}],"kind":"List"}"#, list);
        check(r#"{"kind":"EventList","apiVersion":"v1","items":[]}"#, list);
        check(r#"{"time": "2026-11-23T17:56:54Z", "objects": {"/api/v1/pods": []}}"#, list);
        check("\u{feff} {\"resourceLogs\":[{", otlp);
        check("\u{a}\u{2}\u{3}", otlp);
        check("E1124 12:00:00 klog", None);
        let cloudtrail = Some(Format::CloudTrail);
        check(r#"{"Records":[{"eventVersion":"1.11","userIdentity":{"type""#, cloudtrail);
        check(r#"[{"awsRegion":"x","eventName":"y","userIdentity":{}}]"#, cloudtrail);
        check(r#"{"version":"0","detail-type":"AWS API Call via CloudTrail""#, cloudtrail);
        check(r#"{"eventSource":"sts.amazonaws.com","eventName":"x"}"#, cloudtrail);
        check(r#"{"apiVersion":"2012-08-10","eventSource":"dynamodb.amazonaws.com"}"#, cloudtrail);
        let cloudwatch = Some(Format::CloudWatch);
        check(r#"{"messageType":"DATA_MESSAGE","owner":"1","logEvents":["#, cloudwatch);
        check(r#"{"awslogs":{"data":"H4sI"}}"#, cloudwatch);
        check(r#"{"requestId":"x","records":[{"data":"H4sI"}]}"#, cloudwatch);
        check("H4sIAAAAAAAA/zXOMQ6CQBQF0HpfsZnfOwnZgA==", cloudwatch);
        check("2026-07-23T10:00:00.131Z {\"kind\":\"Event\"", cloudwatch);
        let gcp = Some(Format::GcpAudit);
        check(r#"{"insertId":"a","protoPayload":{"serviceName":"iam.googleapis.com""#, gcp);
        check(r#"{"message":{"data":"e30=","messageId":"1"},"subscription":"projects/p/s""#, gcp);
        check(r#"[{"ackId":"x","message":{"data":"e30="}}]"#, gcp);
        let gke = Some(Format::GkeAudit);
        check(r#"{"protoPayload":{"methodName":"x","serviceName": "k8s.io"}}"#, gke);
        let record = |category: &str| {
            format!(
                r#"{{"records":[{{"operationName":"x","category":"{category}","resourceId":"/"}}]}}"#
            )
        };
        check(&record("kube-audit-admin"), Some(Format::AksAudit));
        check(&record("ManagedIdentitySignInLogs"), Some(Format::AzureSignin));
        check(&record("AuditLogs"), Some(Format::AzureAudit));
        check(&record("Administrative"), Some(Format::AzureActivity));
        check(r#"{"kind":"attack","label":"stolen-token"}"#, None);
        let (envoy, spire) = (Some(Format::Envoy), Some(Format::Spire));
        check(r#"{"flow":{"time":"x"},"node_name":"n"}"#, Some(Format::Hubble));
        check(r#"{"time":"x","verdict":"DROPPED","IP":{}}"#, Some(Format::Hubble));
        check(r#"{"time":"x","type":"request","auth":{"type":"audit"},"#, Some(Format::Vault));
        check(r#"{"auth":{"x":1},"request":{"id":"7"},"type":"response"}"#, Some(Format::Vault));
        check(
            r#"Nov 23 17:41:37 a vault[7]: {"time":"x","type":"request","request":{"#,
            Some(Format::Vault),
        );
        check(r#"{"level":"info","msg":"x"}{"level":"info","subsystem_name":"api"}"#, spire);
        check(r#"{"level":"info","msg":"API accessed","type":"audit"}"#, spire);
        check("time=\"2026-11-23T17:54:18Z\" level=info msg=x", None);
        check("time=\"x\" level=info msg=x\ntime=\"x\" msg=x subsystem_name=api", spire);
        check(r#"{"method":"GET","response_code_details":"via_upstream"}"#, envoy);
        check(r#"[{"start_time":"x","upstream-cluster":"x"}]"#, envoy);
        check("[2026-11-23T17:41:37.697Z] \"GET / HTTP/1.1\" 200 -", envoy);
        check("[2026-11-23 17:41:37.697][1][info] x\n[2026-11-23T17:41:37.697Z] \"GET /", envoy);
        check("2026-11-23T17:41:37Z\tinfo\tready\n{\"response_flags\":\"-\"}", envoy);
        check("2026-11-23T17:41:37Z stdout F {\"flow\":{}}", Some(Format::Hubble));
        check("[2026-11-23 17:41:37.697][1][info][main] starting", None);
        check(r#"{"operationName":"GetCart","variables":{}}"#, None);
        check(r#"{"eventName":"click","eventSource":"web"}"#, None);
        check("", None);
    }

    /// Scenario: the first bytes of forms that few senders write.
    /// Guarantees: the format, or none.
    #[test]
    fn rare_forms_are_told() {
        let check = |head: &str, expect: Option<Format>| {
            assert_eq!(detect(head.as_bytes()), expect, "{head}");
        };
        let (envoy, otlp) = (Some(Format::Envoy), Some(Format::Otlp));
        check(r#"{"resource_spans":[{"#, otlp);
        check(r#"{"resource":{"attributes":[]},"scopeSpans":[{"#, otlp);
        check(
            r#"{"log":"[2026-11-23T17:41:37.697Z] \"GET / HTTP/1.1\" 200 - x\n","stream":"#,
            envoy,
        );
        check(
            r#"{"log":"started"}{"log":"{\"flow\":{}}","stream":"stdout"}"#,
            Some(Format::Hubble),
        );
        check(r#"{"log":"{\"log\":\"{\\\"flow\\\":{}}\"}"}"#, None);
        check(r#"@cee: {"time":"x","type":"request","request":{"id":"7"}}"#, Some(Format::Vault));
        check(r#"Nov 23 17:41:37 a app[7]: {"verdict":"x","type":"request"}"#, None);
        check(r#"{"node_status":{"state_change":"NODE_CONNECTED"}}"#, Some(Format::Hubble));
        check("2026-11-23T17:41:37Z info access connection complete src.addr=1.1.1.1:1", envoy);
        check("2026-11-23T17:41:37Z\tinfo\thttp access\tr\tsrc.addr=1.1.1.1:1", envoy);
        check("2026-11-23T17:41:37Z ready\n2026-11-23T17:41:37Z {\"response_flags\":1}", envoy);
        check("2026-11-23T17:41:37Z ready", Some(Format::CloudWatch));
        check(r#"{"message":{"data":"e30="},"subscription":"projects/a"}"#, Some(Format::GcpAudit));
        check(r#"{"attributes":{"x":{}},"verdict":"x"}"#, Some(Format::Hubble));
        check("Nov 23 17:41:37 a app[7]: time=\"x\" level=info msg=x", None);
        check(
            "10.0.0.7 - - [2026-11-23T17:41:37Z] \"GET / HTTP/1.1\" 200 612 \"-\" \"curl\"",
            None,
        );
        check("10.0.0.7:1 web.id - [2026-11-23T17:41:37Z] \"GET / HTTP/2.0\" 200 - 9 40 1 2", None);
    }
}
