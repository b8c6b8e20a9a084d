//! What carries the lines of a log: container runtimes, syslog, `kubectl logs`, shippers of logs. A line
//! as it was stored in, the line as the program wrote it out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use durward_schemas::Time;
use serde_json::value::RawValue;

/// A line without what a container runtime wrote before it: a time, the stream and a tag.
/// <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>
pub(crate) fn payload(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii();
    // Nearly every line is JSON, which begins with no time.
    if line.starts_with(b"{") {
        return line;
    }
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let (Some(time), Some(stream), Some(tag), Some(rest)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return line;
    };
    let is_prefix = matches!(stream, b"stdout" | b"stderr") && matches!(tag, [b'F' | b'P', ..]);
    if is_prefix && is_time(time) { rest.trim_ascii() } else { line }
}

/// Whether a word is a time.
fn is_time(word: &[u8]) -> bool {
    std::str::from_utf8(word).is_ok_and(|time| Time::parse(time).is_some())
}

/// The fields in which carriers keep a line as a text: Docker and Fluent Bit, Filebeat and Vector,
/// Loki, journald, Splunk, Cloud Logging.
/// <https://docs.docker.com/engine/logging/drivers/json-file/>,
/// <https://www.elastic.co/docs/reference/ecs/ecs-base#field-message>,
/// <https://grafana.com/docs/loki/latest/query/logcli/>,
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.journal-fields.html>,
/// <https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>.
pub(crate) const LINES: &[&str] =
    &["log", "message", "line", "MESSAGE", "_raw", "event", "textPayload"];

/// The fields in which carriers keep a line that they have taken apart: Elasticsearch, Splunk, Datadog,
/// Fluent Bit, Sumo Logic, Cloud Logging.
/// <https://docs.fluentbit.io/manual/pipeline/filters/kubernetes>, `Merge_Log_Key`
pub(crate) const OBJECTS: &[&str] = &[
    "_source",
    "event",
    "result",
    "content",
    "attributes",
    "log_processed",
    "message",
    "jsonPayload",
];

/// Carriers inside one another: a document of Elasticsearch holds what Docker keeps.
pub(crate) const DEEPEST: usize = 3;

/// As [`payload`], and without the records in which shippers keep each line. What has a field that
/// `is_own` is no carrier.
pub(crate) fn unwrapped(line: &[u8], is_own: fn(&str) -> bool) -> Cow<'_, [u8]> {
    let line = payload(line);
    let mut found = None;
    for _ in 0..DEEPEST {
        let Some(inner) = carried(found.as_deref().unwrap_or(line), is_own) else { break };
        found = Some(payload(&inner).to_vec());
    }
    found.map_or(Cow::Borrowed(line), Cow::Owned)
}

/// What a record holds, if it is a carrier's.
fn carried(record: &[u8], is_own: fn(&str) -> bool) -> Option<Vec<u8>> {
    // Most lines speak of none of these, and are parsed once.
    let may_carry = || LINES.iter().chain(OBJECTS).any(|name| names(record, name));
    if record.first() != Some(&b'{') || !may_carry() {
        return None;
    }
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(record).ok()?;
    if fields.keys().any(|name| is_own(name)) {
        return None;
    }
    let text = |name: &&str| serde_json::from_str::<String>(fields.get(*name)?.get()).ok();
    // Docker and Fluent Bit name the stream; whatever stands beside it is the line.
    if fields.contains_key("stream")
        && let Some(line) = text(&"log")
    {
        return Some(line.into_bytes());
    }
    let line = LINES.iter().filter_map(text).find(|line| is_line(line.trim().as_bytes()));
    let object = || {
        let objects = OBJECTS.iter().filter_map(|name| Some(fields.get(*name)?.get()));
        objects.map(str::trim).find(|object| object.starts_with('{'))
    };
    line.map(String::into_bytes).or_else(|| object().map(|object| object.as_bytes().to_vec()))
}

/// Whether a record has this name between quotes.
fn names(record: &[u8], name: &str) -> bool {
    let is_quote = |at: Option<usize>| at.and_then(|at| record.get(at)) == Some(&b'"');
    memchr::memmem::find_iter(record, name)
        .any(|at| is_quote(at.checked_sub(1)) && is_quote(Some(at + name.len())))
}

/// Whether a text looks like a line of a log that readers know, rather than like words.
fn is_line(text: &[u8]) -> bool {
    begins(text) || text.split(u8::is_ascii_whitespace).next().is_some_and(is_time)
}

/// Whether a text begins as lines do: an object, a time in brackets, a time that is named, a time.
fn begins(text: &[u8]) -> bool {
    match text {
        [b'{', rest @ ..] => matches!(rest.trim_ascii_start(), [b'"', ..]),
        [b'[', rest @ ..] => is_date(rest),
        _ => text.starts_with(b"time=") || text.starts_with(b"ACCESS [") || is_date(text),
    }
}

/// `2026-11-23`, and what follows.
fn is_date(text: &[u8]) -> bool {
    let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    let dash = |at: usize| text.get(at) == Some(&b'-');
    [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(digit) && dash(4) && dash(7)
}

/// Bytes before a line, at most.
const LONGEST: usize = 256;

/// A line without what stands before it: what syslog, journald, `docker compose logs`,
/// `kubectl logs --prefix` or `--timestamps`, or an option `prefix` wrote. `None` if nothing in it begins
/// as a line does.
pub(crate) fn behind_prefix(line: &[u8]) -> Option<&[u8]> {
    let line = payload(line);
    let begins_at = |at: usize| {
        let is_apart = at.checked_sub(1).and_then(|at| line.get(at)).is_some_and(|byte| {
            byte.is_ascii_whitespace() || matches!(byte, b':' | b'-' | b'|' | b']' | b'>')
        });
        is_apart && line.get(at..).is_some_and(begins)
    };
    let at = (1..line.len().min(LONGEST)).find(|at| begins_at(*at))?;
    let (prefix, line) = line.split_at_checked(at)?;
    // Behind a quote stands what somebody else may have written.
    (!prefix.contains(&b'"')).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Scenario: lines as programs write them and as container runtimes keep them.
    /// Guarantees: what the program wrote, and nothing else is cut off.
    #[test]
    fn runtimes_prefix_is_cut_off() {
        let check = |line: &str, expect: &str| {
            assert_eq!(String::from_utf8_lossy(payload(line.as_bytes())), expect);
        };
        check("2026-11-25T00:00:00.123456789Z stdout F {\"a\": 1}\n", "{\"a\": 1}");
        check("2026-11-25T00:00:00.123456789+01:00 stderr P [x] y z", "[x] y z");
        check("soon stdout F x", "soon stdout F x");
        check("  [2026] \"GET / HTTP/1.1\" 200 ", "[2026] \"GET / HTTP/1.1\" 200");
    }

    /// Scenario: a line in the records of Docker, Filebeat, Vector, Loki, journald and Splunk, one inside
    /// another, and taken apart; and records that hold no line.
    /// Guarantees: the line, or the record as it is.
    #[test]
    fn records_of_shippers_are_opened() {
        let line = r#"{"verdict":"DROPPED"}"#;
        let docker = json!({"log": format!("{line}\n"), "stream": "stdout", "time": "x"});
        for record in [
            docker.clone(),
            json!({"_p": "F", "kubernetes": {"pod_name": "a"}, "log": line, "stream": "stderr"}),
            json!({"@timestamp": "x", "log": {"offset": 7}, "message": line}),
            json!({"labels": {"app": "a"}, "line": line, "timestamp": "x"}),
            json!({"MESSAGE": line, "_PID": "7"}),
            json!({"preview": false, "result": {"_raw": line}}),
            json!({"event": line, "sourcetype": "x"}),
            json!({"_index": "x", "_source": docker}),
            json!({"log_processed": {"verdict": "DROPPED"}, "log": 7}),
            json!({"message": {"verdict": "DROPPED"}, "timestamp": 7}),
            json!({"insertId": "x", "jsonPayload": {"verdict": "DROPPED"}, "logName": "x"}),
            json!({"insertId": "x", "textPayload": line, "logName": "x"}),
            json!({"content": {"attributes": {"verdict": "DROPPED"}}, "id": "x"}),
        ] {
            let record = record.to_string();
            let found = unwrapped(record.as_bytes(), |name| name == "msg");
            assert_eq!(String::from_utf8_lossy(&found), line, "{record}");
        }
        let words = json!({"log": "[x] y \"z\"\n", "stream": "stdout"}).to_string();
        assert_eq!(unwrapped(words.as_bytes(), |name| name == "msg").as_ref(), b"[x] y \"z\"");
        let own = r#"{"message":"{\"x\":1}","msg":"x"}"#;
        for record in [own, r#"{"log":"x"}"#, r#"{"message":"connection complete"}"#, "[x]", "{"] {
            assert_eq!(
                unwrapped(record.as_bytes(), |name| name == "msg").as_ref(),
                record.as_bytes()
            );
        }
    }

    /// Scenario: lines behind what syslog, journald, compose, kubectl and the name of a log write.
    /// Guarantees: the line; what begins as a line does and holds no other is none.
    #[test]
    fn prefixes_are_cut_off() {
        let check = |line: &str, expect: Option<&str>| {
            let found = behind_prefix(line.as_bytes()).map(String::from_utf8_lossy);
            assert_eq!(found.as_deref(), expect, "{line}");
        };
        let (named, access) =
            ("time=\"x\" level=info", "[2026-11-23T17:41:37Z] \"GET / HTTP/1.1\"");
        check(&format!("Nov 23 17:41:37 a spire-server[7]: {named}"), Some(named));
        check(&format!("spire-server-1  | {named}"), Some(named));
        check(&format!("[pod/a/istio-proxy] {access}"), Some(access));
        check(&format!("2026-11-23T17:41:37Z {access}"), Some(access));
        check(&format!("ACCESS {access}"), Some(access));
        check("a: {\"x\":1}", Some("{\"x\":1}"));
        check("[pod/z/c] 2026-11-23T17:41:37Z\tinfo", Some("2026-11-23T17:41:37Z\tinfo"));
        check(named, None);
        check(access, None);
        check("a{\"x\":1}", None);
        check(&format!("[x] \"GET / {access}"), None);
        check("", None);
    }
}
