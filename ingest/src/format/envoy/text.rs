//! Access logs in the default formats of Istio and Envoy: a line of text in, named fields out.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#default-format-string>.
//! Envoy does not escape quotes in what clients send, so a line is read from both ends: what stands
//! between can then forge nothing but other claims of the same client.

use serde_json::{Map, Value};

use super::super::mesh::Line;

/// The fields of Istio's default format; its JSON has these names.
/// <https://istio.io/latest/docs/tasks/observability/logs/access-log/#default-access-log-format>
pub(super) const ISTIO: &[&str] = &[
    "start_time",
    "method",
    "path",
    "protocol",
    "response_code",
    "response_flags",
    "response_code_details",
    "connection_termination_details",
    "upstream_transport_failure_reason",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_service_time",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
    "upstream_cluster",
    "upstream_local_address",
    "downstream_local_address",
    "downstream_remote_address",
    "requested_server_name",
    "route_name",
];

/// The fields of a line; `None` if it has none of the formats.
pub(super) fn access(line: &str) -> Option<Map<String, Value>> {
    if !line.starts_with('[') {
        return of_ztunnel(line);
    }
    let mut fields = Map::new();
    let mut set = |name: &str, value: &str| fields.insert(name.to_owned(), value.into());
    let (time, rest) = line.strip_prefix('[')?.split_once("] \"")?;
    super::super::mesh::time(time)?;
    set("start_time", time);
    // Neither a method nor a path has a space.
    let (method, rest) = rest.split_once(' ')?;
    let (path, rest) = rest.split_once(' ')?;
    let (protocol, rest) = rest.split_once("\" ")?;
    let (code, rest) = rest.split_once(' ')?;
    let (flags, rest) = rest.split_once(' ')?;
    code.parse::<u16>().ok()?;
    for (name, value) in [
        ("method", method),
        ("path", path),
        ("protocol", protocol),
        ("response_code", code),
        ("response_flags", flags),
    ] {
        set(name, value);
    }
    let (ended, rest) = reasons(rest)?;
    for (name, value) in ended {
        set(name, value);
    }
    let rest = counts(rest, &mut set)?;
    let (quoted, bare) = rest.rsplit_once('"')?;
    claims(quoted.strip_prefix('"')?, &mut set)?;
    upstream(bare, &mut set)?;
    Some(fields)
}

/// `<time> <level> access <message> key=value ...`, parted by tabs or spaces, as ztunnel writes.
fn of_ztunnel(line: &str) -> Option<Map<String, Value>> {
    let word = |text: &'_ str| {
        let (word, rest) = text.split_once(char::is_whitespace)?;
        Some((word.to_owned(), rest.trim_start().to_owned()))
    };
    let (time, rest) = word(line)?;
    super::super::mesh::time(&time)?;
    let (level, rest) = word(&rest)?;
    let (scope, rest) = match rest.strip_prefix("http access") {
        Some(rest) => ("http access".to_owned(), rest.trim_start().to_owned()),
        None => word(&rest)?,
    };
    // Before Istio 1.23 with a colon.
    let scope = scope.trim_end_matches(':');
    let (head, _) = rest.split_once('=').filter(|_| super::is_scope(scope))?;
    let (message, _) = head.rsplit_once(char::is_whitespace)?;
    let mut fields = super::super::mesh::pairs(rest.get(message.len()..)?)?;
    let message = message.trim_end();
    for (name, value) in
        [("time", time.as_str()), ("level", &level), ("scope", scope), ("message", message)]
    {
        fields.insert(name.to_owned(), value.into());
    }
    Some(fields)
}

/// Why it ended, which Istio writes and Envoy does not; and the rest of the line.
fn reasons(text: &str) -> Option<(Vec<(&'static str, &str)>, &str)> {
    let begins_with_count = text.split(' ').next().is_some_and(|word| word.parse::<u64>().is_ok());
    if begins_with_count {
        return Some((Vec::new(), text));
    }
    let failure = "upstream_transport_failure_reason";
    if let Some(rest) = text.strip_prefix('"') {
        // Istio before 1.9: the state of Mixer, and no reasons; before 1.3 the state only.
        let (mixer, rest) = rest.split_once("\" ")?;
        let mut found = vec![("mixer_status", mixer)];
        let Some(quoted) = rest.strip_prefix('"') else { return Some((found, rest)) };
        let (reason, rest) = quoted.split_once("\" ")?;
        found.push((failure, reason));
        return Some((found, rest));
    }
    let (details, rest) = text.split_once(' ')?;
    if let Some(quoted) = rest.strip_prefix('"') {
        // Istio 1.8.
        let (reason, rest) = quoted.split_once("\" ")?;
        return Some((vec![("response_code_details", details), (failure, reason)], rest));
    }
    let (termination, rest) = rest.split_once(" \"")?;
    let (reason, rest) = rest.split_once("\" ")?;
    let found = vec![
        ("response_code_details", details),
        ("connection_termination_details", termination),
        (failure, reason),
    ];
    Some((found, rest))
}

fn counts<'a>(
    mut text: &'a str,
    set: &mut impl FnMut(&str, &str) -> Option<Value>,
) -> Option<&'a str> {
    for name in ["bytes_received", "bytes_sent", "duration", "upstream_service_time"] {
        let (count, rest) = text.split_once(' ')?;
        let is_count = count == "-" || count.parse::<f64>().is_ok();
        is_count.then(|| set(name, count))?;
        text = rest;
    }
    Some(text)
}

/// What the client says of itself: from the right, since an agent may hold quotes.
fn claims(text: &str, set: &mut impl FnMut(&str, &str) -> Option<Value>) -> Option<()> {
    let (rest, host) = text.rsplit_once("\" \"")?;
    let (rest, authority) = rest.rsplit_once("\" \"")?;
    let (rest, id) = rest.rsplit_once("\" \"")?;
    let (forwarded, agent) = rest.split_once("\" \"")?;
    set("x_forwarded_for", forwarded);
    set("user_agent", agent);
    set("request_id", id);
    set("authority", authority);
    set("upstream_host", host);
    Some(())
}

/// What Istio writes of the upstream and the connection; Envoy writes nothing.
fn upstream(text: &str, set: &mut impl FnMut(&str, &str) -> Option<Value>) -> Option<()> {
    let text = text.trim();
    if text.is_empty() {
        return Some(());
    }
    let mut words = text.splitn(6, ' ');
    for name in ISTIO.get(18..)? {
        match words.next() {
            Some(word) => set(name, word),
            // Istio before 1.3 names no route.
            None if *name == "route_name" => break,
            None => return None,
        };
    }
    Some(())
}

/// A line of the log of the proxy or of the agent beside it, which come in the same stream:
/// `[2026-11-23 17:41:37.697][12][info][main] ...` or `2026-11-23T17:41:37.697Z<tab>info<tab>...`.
pub(super) fn own_log(line: &str) -> Option<Line> {
    let (time, level, message) = if let Some(rest) = line.strip_prefix('[') {
        let (time, rest) = rest.split_once("][")?;
        let (_thread, rest) = rest.split_once("][")?;
        let (level, rest) = rest.split_once("][")?;
        (time, level, rest.split_once("] ")?.1)
    } else {
        let mut words = line.splitn(3, '\t');
        match (words.next()?, words.next(), words.next()) {
            (time, Some(level), Some(message)) => (time, level, message),
            _ => spaced(line)?,
        }
    };
    super::super::mesh::time(time)?;
    Some(Line {
        time: Some(time.to_owned()),
        level: Some(level.to_owned()),
        message: Some(message.to_owned()),
        ..Line::default()
    })
}

/// The parts of a line of Istio's or ztunnel's log whose tabs became spaces on its way here.
fn spaced(line: &str) -> Option<(&str, &str, &str)> {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];
    let (time, rest) = line.split_once(' ')?;
    let (level, message) = rest.trim_start().split_once(' ')?;
    let known = LEVELS.iter().any(|name| level.eq_ignore_ascii_case(name));
    known.then_some((time, level, message.trim_start()))
}
