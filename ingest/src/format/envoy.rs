//! Format `envoy`: one line of an access log of Envoy or Istio in, one access out.
//! Ambient Istio's ztunnel is read too: it decides like a sidecar.
//!
//! Lines are JSON with names that people choose, or text in Istio's or Envoy's default format; the
//! OTLP logger's records come here too. Operators:
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>,
//! Istio's format: <https://istio.io/latest/docs/tasks/observability/logs/access-log/>.

mod decide;
mod names;
mod text;
mod who;

use durward_schemas::ids::{EventId, RequestKey};
use durward_schemas::tables::Access;
use durward_schemas::time::Time;
use durward_schemas::values::{Decision, Outcome, Provider};
use serde_json::{Map, Value};

use self::decide::{Facts, decide};
pub(super) use self::names::MAPPING;
use self::who::Handshake;
use super::mesh::{self, Line, Named};
use super::{Context, Failure, Format, Reading};
use crate::normalize;
use crate::redact::mask_unparsed;

/// Reads one line.
pub(super) fn read(
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let line = mesh::unwrapped(bytes, is_telling);
    if let Some(read) = read_line(&line, context, reading) {
        return read;
    }
    let behind = mesh::behind_prefix(&line);
    let read = behind.and_then(|line| read_line(line, context, reading));
    read.unwrap_or_else(|| Err(unknown_text()))
}

/// Reads a line as the proxy wrote it; `None` if it has none of the formats.
fn read_line(
    line: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Option<Result<(), Failure>> {
    if matches!(line.first(), Some(b'{' | b'"')) {
        let fields = mesh::fields(line);
        return Some(fields.and_then(|fields| read_object(fields, context, reading)));
    }
    let line = String::from_utf8_lossy(line);
    if let Some(mut fields) = text::access(&line) {
        mesh::mask_broken(&mut fields);
        reading.accesses.push(read_fields(fields, context));
        return Some(Ok(()));
    }
    let mut own = text::own_log(&line)?;
    let is_broken = line.contains(char::REPLACEMENT_CHARACTER);
    own.message = own.message.map(|message| {
        let redactor = context.keys.redactor();
        if is_broken { mask_unparsed(message.as_bytes()) } else { redactor.text(&message) }
    });
    reading.logs.push(mesh::log(own, context));
    Some(Ok(()))
}

fn read_object(
    mut fields: Map<String, Value>,
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    if is_access(&fields) {
        reading.accesses.push(read_fields(fields, context));
        return Ok(());
    }
    // The agent beside a sidecar logs into the same stream.
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (Some(level), Some(message)) = (take("level"), take("msg").or_else(|| take("message")))
    else {
        return Err(Failure::new(
            "not_an_access_log",
            "no field of the line is one of an access log",
        )
        .hint("log response_flags and response_code_details too: see the guide to Envoy"));
    };
    let time = take("time").or_else(|| take("ts"));
    let redactor = context.keys.redactor();
    let mut rest = Value::Object(fields);
    redactor.json(&mut rest);
    let Value::Object(rest) = rest else { return Ok(()) };
    let message = Some(redactor.text(&message));
    reading.logs.push(mesh::log(Line { time, level: Some(level), message, rest }, context));
    Ok(())
}

fn unknown_text() -> Failure {
    Failure::new("unknown_text_format", "the line has neither Istio's nor Envoy's default format")
        .hint("log JSON, or by OTLP: a format of text that somebody made cannot be told apart")
}

/// Whether fields are those of an access log.
pub(super) fn is_access(fields: &Map<String, Value>) -> bool {
    let scope = fields.get("scope").and_then(Value::as_str);
    scope.is_some_and(is_scope) || fields.keys().any(|name| is_telling(name)) || is_request(fields)
}

/// Whether fields are those of a request and its answer, in a format that says little else.
fn is_request(fields: &Map<String, Value>) -> bool {
    let has =
        |names: &[&str]| fields.keys().any(|name| names.contains(&mesh::spelled(name).as_str()));
    has(names::CODES) && has(names::METHODS) && has(names::PATHS)
}

/// Whether Istio's ztunnel says that a line is an access: of a connection, or in Solo's distribution of a
/// request in it. <https://docs.solo.io/gloo-mesh/latest/ambient/observability/l7-telemetry/>
pub(super) fn is_scope(scope: &str) -> bool {
    matches!(scope, "access" | "http access")
}

/// Whether a line is an access that Istio's ztunnel tells.
/// <https://istio.io/latest/docs/ambient/usage/troubleshoot-ztunnel/#verifying-traffic-through-ztunnel-logs>
fn is_ztunnel(fields: &Named) -> bool {
    fields.peek(names::SCOPES).is_some_and(is_scope) && fields.speaks_of(&["src_addr"])
}

/// Whether ztunnel speaks for whom a connection came to.
fn is_inbound(fields: &Named) -> bool {
    is_ztunnel(fields) && fields.peek(names::DIRECTIONS) == Some("inbound")
}

/// Whether only access logs of proxies have a field of this name.
pub(super) fn is_telling(name: &str) -> bool {
    names::TELLING.contains(&mesh::spelled(name).as_str())
}

/// Whether a field of this name says whom a certificate names, which no default format has.
pub(super) fn says_who(name: &str) -> bool {
    let name = mesh::spelled(name);
    let lists = [names::PEERS, names::LOCALS, names::UPSTREAM_PEERS, names::UPSTREAM_LOCALS];
    lists.iter().any(|names| names.contains(&name.as_str()))
}

/// The fields of an access in one line, JSON or text.
pub(super) fn line(bytes: &[u8]) -> Option<Map<String, Value>> {
    let line = bytes.trim_ascii();
    if line.first() == Some(&b'{') {
        let is_telling = |fields: &Map<String, Value>| fields.keys().any(|name| is_telling(name));
        return mesh::fields(line).ok().filter(is_telling);
    }
    let mut fields = text::access(&String::from_utf8_lossy(line))?;
    mesh::mask_broken(&mut fields);
    Some(fields)
}

/// Reads the fields of a line.
pub(super) fn read_fields(fields: Map<String, Value>, context: &Context<'_>) -> Access {
    let fields = redacted(fields, context);
    let told = context.text_for_ids(&plain(&fields));
    let mut fields = Named::new(fields);
    let mut access = Access {
        provider: provider(&fields),
        cluster: context.cluster.map(str::to_owned),
        source: context.source.to_owned(),
        format: Format::Envoy.name().to_owned(),
        verb: fields.text(names::METHODS),
        request_uri: fields.text(names::PATHS),
        user_agent: fields.text(names::AGENTS),
        request_id: fields.text(names::REQUEST_IDS),
        ..Access::default()
    };
    let started = fields.text(names::TIMES);
    let for_ids = mesh::set_time(&mut access, started.as_deref(), context);
    let handshake = outcome(&mut access, &mut fields);
    who::set(&mut access, &mut fields, handshake);
    who::set_pod(&mut access, &mut fields);
    addresses(&mut access, &mut fields, context);
    destination(&mut access, &fields);
    traced(&mut access, &mut fields);
    classify(&mut access, &mut fields);
    access.event_id = EventId::of(for_ids, context.cluster, told.as_bytes());
    access.request_key = request_key(&access, for_ids, &fields, context);
    access.unmapped = fields.rest();
    access
}

/// Paths and addresses as such, whatever they are called; the rest by names and looks.
fn redacted(mut fields: Map<String, Value>, context: &Context<'_>) -> Map<String, Value> {
    let redactor = context.keys.redactor();
    redactor.addresses(fields.iter_mut().map(|(name, value)| (name.as_str(), value)));
    redactor.fields(&mut fields);
    fields
}

/// The content that ids are hashed over: the same for a number and its text, and for what is absent
/// and what is not there, so that Istio's two formats give one id.
fn plain(fields: &Map<String, Value>) -> Value {
    let told = fields.iter().filter_map(|(name, value)| match value {
        Value::Null => None,
        Value::String(text) if text == "-" || text.is_empty() => None,
        Value::Number(number) => Some((name.clone(), Value::String(number.to_string()))),
        value => Some((name.clone(), value.clone())),
    });
    Value::Object(told.collect())
}

/// Istio's proxies are Envoys; what its control plane names gives them away, and its default format.
/// Nothing that a client can write counts.
fn provider(fields: &Named) -> Provider {
    const NAMES: &[&str] = &[
        "outbound|",
        "outbound_.",
        "inbound|",
        "inbound-vip|",
        "InboundPassthroughCluster",
        "PassthroughCluster",
        "BlackHoleCluster",
    ];
    const NODES: &[&str] = &["sidecar~", "router~", "waypoint~"];
    let begins = |text: &str, with: &[&str]| with.iter().any(|name| text.starts_with(name));
    let of_cluster = fields.peek(names::CLUSTERS).is_some_and(|name| begins(name, NAMES));
    let of_policy = [names::DETAILS, names::TERMINATION]
        .iter()
        .any(|names| fields.peek(names).is_some_and(|text| text.contains("policy[ns[")));
    let of_filter = decide::metadata(fields).is_some_and(|found| {
        let text = found.to_string();
        text.contains("istio_dry_run_") || text.contains("\"ns[")
    });
    let of_node = node(fields).is_some_and(|name| begins(name, NODES));
    // Consul's default format has the same names, and clusters of its own.
    let of_consul = fields.peek(names::CLUSTERS).is_some_and(|name| name.ends_with(".consul"));
    let is_default = !of_consul && text::ISTIO.iter().all(|name| fields.speaks_of(&[name]));
    if is_default || is_ztunnel(fields) || of_cluster || of_policy || of_filter || of_node {
        Provider::Istio
    } else {
        Provider::Envoy
    }
}

/// What a proxy that sends OTLP is called.
fn node(fields: &Named) -> Option<&str> {
    fields.get(&["resource"])?.get("node_name")?.as_str()
}

/// How it ended and who decided so; gives which handshakes failed.
fn outcome(access: &mut Access, fields: &mut Named) -> Handshake {
    let code = fields.integer(names::CODES);
    access.status_code = code.filter(|code| *code > 0);
    access.status_reason = fields.text(names::FLAGS);
    let grpc = fields.get(names::GRPC).map(|status| match status {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let flags = access.status_reason.clone();
    let facts = Facts {
        code: access.status_code,
        flags: flags.as_deref(),
        grpc: grpc.as_deref(),
        details: fields.peek(names::DETAILS),
        termination: fields.peek(names::TERMINATION),
        downstream_failure: fields.peek(names::DOWNSTREAM_FAILURE),
        upstream_failure: fields.peek(names::UPSTREAM_FAILURE),
        error: fields.peek(names::ERRORS).filter(|_| is_ztunnel(fields)),
        unproven: unproven(access.provider, fields),
        has_upstream: fields.peek(names::UPSTREAM_HOSTS).is_some(),
        is_local: fields.speaks_of(names::UPSTREAM_HOSTS)
            && fields.get(names::UPSTREAM_HOSTS).is_none(),
        is_beginning: is_beginning(fields),
        rbac: decide::rbac(fields),
    };
    let decided = decide(&facts);
    // Who is sent to log in is refused, too.
    let has_failed = facts.has_failed() || decided.decision == Decision::Deny;
    let handshake = Handshake {
        has_failed: facts.has_failed_handshake(),
        has_failed_upstream: facts.upstream_failure.is_some(),
    };
    // What the reason was read from is in its column; the others stay as they are.
    let taken = decided.reason_from;
    access.outcome = if has_failed { Outcome::Failure } else { Outcome::Success };
    access.decision = decided.decision;
    access.decided_by = decided.by;
    access.decision_reason = fields.text(taken);
    handshake
}

/// The field that says that a peer showed nothing, or no proof.
fn unproven(provider: Provider, fields: &Named) -> Option<&'static [&'static str]> {
    if provider == Provider::Istio && is_plain(fields) {
        return Some(names::DETAILS);
    }
    let error = fields.peek(names::ERRORS).filter(|_| is_inbound(fields));
    error.is_some_and(is_refused_handshake).then_some(names::ERRORS)
}

/// Whether ztunnel refused a peer for what it showed, or for showing nothing. Who went away, or would
/// not have ztunnel's own certificate, was not refused. <https://github.com/istio/ztunnel/pull/1524>
fn is_refused_handshake(error: &str) -> bool {
    error.contains("tls handshake error")
        && error.contains("InvalidData")
        && !error.contains("AlertReceived")
}

/// Whether a connection matched nothing that a sidecar listens for, and named no server: without TLS it
/// came to one that demands mutual TLS. Where a gateway listens for TLS it may be a client that names no
/// server, so what comes to ports that are for it says nothing.
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details>
fn is_plain(fields: &Named) -> bool {
    const OF_GATEWAYS: &[&str] = &[":443", ":8443", ":15443"];
    let local = fields.peek(names::LOCAL_ADDRESSES);
    fields.peek(names::DETAILS) == Some("filter_chain_not_found")
        && fields.peek(names::SERVER_NAMES).is_none()
        && local.is_some_and(|local| !OF_GATEWAYS.iter().any(|port| local.ends_with(port)))
}

/// Whether a line is written when a request or a connection begins, beside the one at its end.
/// <https://www.envoyproxy.io/docs/envoy/latest/api-v3/data/accesslog/v3/accesslog.proto#enum-data-accesslog-v3-accesslogtype>
fn is_beginning(fields: &Named) -> bool {
    const TYPES: &[&str] = &["DownstreamStart", "TcpConnectionStart"];
    fields.peek(names::LOG_TYPES).is_some_and(|name| TYPES.contains(&name))
        || (is_ztunnel(fields) && fields.peek(names::MESSAGES) == Some("connection opened"))
}

fn addresses(access: &mut Access, fields: &mut Named, context: &Context<'_>) {
    let forwarded = fields.text(names::FORWARDED).unwrap_or_default();
    let forwarded = forwarded.split(',').map(|hop| hop.trim().to_owned());
    let mut hops: Vec<String> = forwarded.filter(|hop| !hop.is_empty()).collect();
    // The port stays where it was: it tells connections apart.
    let remote = fields.peek(names::REMOTE);
    let ip = remote.and_then(mesh::ip);
    // Without a port it is one of the hops, as which it stands there already.
    let is_hop = remote.is_some_and(|remote| remote.ends_with(":0")) && hops.last() == ip.as_ref();
    hops.extend(ip.filter(|_| !is_hop));
    let (sender, others) = normalize::sender(&hops, context.trusted_proxies);
    access.source_ip = sender;
    access.forwarded_for = Some(others).filter(|others| !others.is_empty());
}

/// What was asked: the service that Istio's names say, else the host that the client named. The
/// fields stay: they say port and subset too.
fn destination(access: &mut Access, fields: &Named) {
    let of_cluster = fields.peek(names::CLUSTERS).and_then(|name| name.rsplit_once('|'));
    let of_sni = fields.peek(names::SERVER_NAMES).and_then(|name| name.rsplit_once("_._."));
    let named = of_cluster.map(|(_, host)| host).filter(|host| !host.is_empty());
    let named = named.or(of_sni.map(|(_, host)| host));
    let named = named.or_else(|| fields.peek(names::AUTHORITIES));
    if let (None, Some(workload)) = (named, fields.peek(names::WORKLOADS)) {
        access.object_name = Some(workload.to_owned());
        access.object_namespace = fields.peek(names::NAMESPACES).map(str::to_owned);
        return;
    }
    let Some(host) = named.or_else(|| fields.peek(names::SERVER_NAMES)) else { return };
    let bare = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
    let mut parts = bare.map_or(host, |(bare, _)| bare).split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(namespace), Some("svc")) => {
            access.object_name = Some(name.to_owned());
            access.object_namespace = Some(namespace.to_owned());
        }
        _ => access.object_name = Some(host.to_owned()),
    }
}

fn traced(access: &mut Access, fields: &mut Named) {
    let found = mesh::trace(|name| fields.peek(&[name]));
    if let (Some(trace), Some(plain)) = (&found.trace, fields.peek(&["trace_id"]))
        && plain.eq_ignore_ascii_case(trace)
    {
        fields.take(&["trace_id"]);
    }
    access.claimed_trace_id = found.trace;
    access.claimed_span_id = found.span;
}

fn classify(access: &mut Access, fields: &mut Named) {
    if let Some(Value::String(text)) = fields.get(names::DURATIONS).cloned() {
        // ztunnel writes the unit, Envoy leaves it out.
        access.duration_us = text.trim_end_matches("ms").parse().ok().and_then(micros);
    } else {
        access.duration_us = fields.get(names::DURATIONS).and_then(Value::as_f64).and_then(micros);
    }
    if access.duration_us.is_some() {
        fields.take(names::DURATIONS);
    }
    let is_request = access.verb.is_some() || access.status_code.is_some();
    let connection = || (!is_request).then(|| "connection".to_owned());
    access.stage = if is_beginning(fields) {
        // The line at the end has the decision; which line this is stays in its field.
        Some("RequestReceived".to_owned())
    } else {
        fields.text(names::LOG_TYPES).or_else(connection)
    };
    access.class_uid =
        if is_request { normalize::HTTP_ACTIVITY } else { normalize::NETWORK_ACTIVITY };
    access.activity_id = match access.verb.as_deref() {
        _ if !is_request => normalize::TRAFFIC,
        verb => normalize::http_activity(verb.unwrap_or_default()),
    };
}

fn micros(millis: f64) -> Option<i64> {
    let micros = (millis * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "checked to be small")]
    (0.0..1e15).contains(&micros).then_some(micros as i64)
}

/// The key of the request: of what has no request id each line is its own.
fn request_key(
    access: &Access,
    started: Time,
    fields: &Named,
    context: &Context<'_>,
) -> RequestKey {
    let connection = fields.get(names::CONNECTIONS).map(|id| match id {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let id = access.request_id.as_deref().or(connection.as_deref());
    let uri = access.request_uri.as_deref().unwrap_or_default();
    RequestKey::of(
        context.cluster,
        id.unwrap_or(access.event_id.as_str()),
        started,
        access.identity.as_deref().unwrap_or_default(),
        access.verb.as_deref().unwrap_or_default(),
        &context.keys.redactor().without_markers(uri),
    )
}

#[cfg(test)]
mod tests;
