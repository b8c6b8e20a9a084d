//! Format `hubble`: one flow of Cilium in, one access out.
//!
//! Fields: <https://github.com/cilium/cilium/blob/main/api/v1/flow/flow.proto>, as the exporter and
//! `hubble observe -o json` write them. A reply is told from the side of who asked, so that all flows
//! of a connection speak of one client. Lost events and what agents say of themselves are log rows.

mod endpoint;
mod layer7;
mod older;

use durward_schemas::ids::{EventId, RequestKey};
use durward_schemas::tables::Access;
use durward_schemas::time::{MINUTE, Time};
use durward_schemas::values::{CredentialKind, Decision, Evidence, Outcome, Provider};
use serde_json::{Map, Value};

use self::endpoint::Endpoint;
use super::fields::Fields;
use super::mapping::Mapping;
use super::mesh::{self, Line};
use super::{Context, Failure, Format, Reading};
use crate::normalize;

/// Which field of a flow fills which column. The client is `source`, of a reply `destination`.
pub(super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "flow.time, else time"),
    Mapping::new("time_suspect", "flow.time, else time"),
    Mapping::new("claimed_time", "flow.time, else time"),
    Mapping::new("source_event_id", "flow.uuid"),
    Mapping::new("class_uid", "flow.l7: HTTP, DNS or Network Activity"),
    Mapping::new("activity_id", "flow.l7.http.method, flow.l7"),
    Mapping::new("stage", "flow.l7.type, else flow.trace_observation_point, else flow.Type"),
    Mapping::new(
        "identity",
        "of the client, by flow.is_reply: flow.source.labels, flow.source.namespace, \
         flow.destination.labels, flow.destination.namespace",
    ),
    Mapping::new(
        "identity_kind",
        "of the client, by flow.is_reply: flow.source.labels, flow.source.namespace, \
         flow.destination.labels, flow.destination.namespace",
    ),
    Mapping::new(
        "identity_realm",
        "the cluster, else of the client, by flow.is_reply: flow.source.labels, \
         flow.source.namespace, flow.source.cluster_name, flow.destination.labels, \
         flow.destination.namespace, flow.destination.cluster_name",
    ),
    Mapping::new(
        "namespace",
        "of the client, by flow.is_reply: flow.source.labels, flow.source.namespace, \
         flow.destination.labels, flow.destination.namespace",
    ),
    Mapping::new(
        "service_account",
        "of the client, by flow.is_reply: flow.source.labels, flow.source.namespace, \
         flow.destination.labels, flow.destination.namespace",
    ),
    Mapping::new(
        "identity_uid",
        "of the client, by flow.is_reply: flow.source.identity, flow.destination.identity",
    ),
    Mapping::new(
        "credential_kind",
        "flow.auth_type: SPIRE, unless flow.drop_reason_desc is AUTH_REQUIRED",
    ),
    Mapping::new(
        "pod",
        "of the client, by flow.is_reply: flow.source.pod_name, flow.destination.pod_name",
    ),
    Mapping::new(
        "workload",
        "of the client, by flow.is_reply: flow.source.namespace, flow.source.labels, \
         flow.source.workloads.name, flow.destination.namespace, flow.destination.labels, \
         flow.destination.workloads.name",
    ),
    Mapping::new(
        "workload_kind",
        "of the client, by flow.is_reply: flow.source.workloads.kind, \
         flow.destination.workloads.kind",
    ),
    Mapping::new(
        "workload_evidence",
        "of the client, by flow.is_reply: flow.source.namespace, flow.source.labels, \
         flow.source.workloads.name, flow.destination.namespace, flow.destination.labels, \
         flow.destination.workloads.name",
    ),
    Mapping::new(
        "peer_identity",
        "the same of the other end: flow.destination.labels, flow.destination.namespace, \
         flow.source.labels, flow.source.namespace, flow.is_reply",
    ),
    Mapping::new(
        "object_namespace",
        "flow.destination_service.namespace, else of the other end flow.destination.namespace, \
         flow.destination.labels, flow.source.namespace, flow.source.labels, flow.is_reply",
    ),
    Mapping::new(
        "object_name",
        "flow.l7.dns.query, flow.l7.kafka.topic, else flow.destination_service.name, else of \
         the other end flow.destination.pod_name, flow.source.pod_name, flow.is_reply, else \
         flow.destination_names",
    ),
    Mapping::new("resource", "flow.l7: dns, kafka"),
    Mapping::new("verb", "flow.l7.http.method, flow.l7.kafka.api_key, query of flow.l7.dns"),
    Mapping::new("request_uri", "flow.l7.http.url"),
    Mapping::new("status_code", "flow.l7.http.code"),
    Mapping::new("status_reason", "flow.l7.dns.rcode, flow.l7.kafka.error_code"),
    Mapping::new("duration_us", "flow.l7.latency_ns"),
    Mapping::new("user_agent", "flow.l7.http.headers: User-Agent"),
    Mapping::new("request_id", "flow.l7.http.headers: X-Request-Id"),
    Mapping::new(
        "claimed_trace_id",
        "flow.trace_context.parent.trace_id, else flow.l7.http.headers: traceparent, b3, \
         X-B3-TraceId",
    ),
    Mapping::new("claimed_span_id", "flow.l7.http.headers: traceparent, b3, X-B3-SpanId"),
    Mapping::new(
        "source_ip",
        "flow.IP of the client by flow.is_reply, after X-Forwarded-For of flow.l7.http.headers \
         of trusted proxies",
    ),
    Mapping::new(
        "forwarded_for",
        "flow.l7.http.headers: X-Forwarded-For; flow.IP by flow.is_reply of trusted proxies",
    ),
    Mapping::new("decision", "flow.verdict, flow.drop_reason_desc, else flow.drop_reason, flow.l7"),
    Mapping::new(
        "decision_reason",
        "flow.drop_reason_desc, else flow.drop_reason, else flow.verdict",
    ),
    Mapping::new(
        "decided_by",
        "flow.egress_denied_by, flow.ingress_denied_by, flow.egress_allowed_by, \
         flow.ingress_allowed_by: kind/namespace/name of the first, by flow.verdict, \
         flow.drop_reason_desc, else flow.drop_reason",
    ),
    Mapping::new(
        "outcome",
        "flow.verdict, flow.l7.http.code, flow.l7.dns.rcode, flow.l7.kafka.error_code",
    ),
];

/// What Cilium says when a policy refused, when two sides did not prove who they are, or when one
/// lied about its address. Other drops are no decisions.
/// <https://github.com/cilium/cilium/blob/main/api/v1/flow/flow.proto>, `DropReason`
const REFUSALS: &[&str] = &[
    "POLICY_DENIED",
    "POLICY_DENY",
    "AUTH_REQUIRED",
    "INVALID_SOURCE_MAC",
    "INVALID_SOURCE_IP",
    "INVALID_IDENTITY",
    "DENIED_BY_LB_SRC_RANGE_CHECK",
    "UNENCRYPTED_TRAFFIC",
];

/// Fields of which a flow has at least one, and those that tell one in its wrapper.
const FLOWS: &[&str] = &["verdict", "IP", "l4", "l7", "traffic_direction", "event_type"];
const WRAPPED: &[&str] = &["source", "destination", "Type", "uuid", "ethernet", "drop_reason_desc"];

/// Events that are no flows.
const OTHERS: &[&str] = &["lost_events", "agent_event", "debug_event", "node_status"];

/// Flows of one connection are one access for so long: ports are used again.
const WINDOW: i64 = 5 * MINUTE;

/// Reads one event.
pub(super) fn read(
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let line = mesh::unwrapped(bytes, |name| name == "flow" || FLOWS.contains(&name));
    let is_whole = matches!(line.first(), Some(b'{' | b'"'));
    let behind = if is_whole { None } else { mesh::behind_prefix(&line) };
    let line = behind.unwrap_or(&line);
    if !matches!(line.first(), Some(b'{' | b'"')) {
        return Err(not_a_flow("the line is not JSON"));
    }
    let mut event = mesh::fields(line)?;
    let wrapped = event.get("flow").and_then(Value::as_object);
    let is_wrapped =
        wrapped.is_some_and(|flow| WRAPPED.iter().any(|field| flow.contains_key(*field)));
    let flow = wrapped.unwrap_or(&event);
    if is_wrapped || FLOWS.iter().any(|field| flow.contains_key(*field)) {
        reading.accesses.push(access(event, context)?);
        return Ok(());
    }
    let Some(kind) = OTHERS.iter().find(|kind| event.contains_key(**kind)) else {
        return Err(not_a_flow("the item has no flow"));
    };
    let time = event.remove("time").and_then(|time| time.as_str().map(str::to_owned));
    let mut rest = Value::Object(event);
    context.keys.redactor().json(&mut rest);
    let Value::Object(rest) = rest else { return Ok(()) };
    let level = if *kind == "lost_events" { "warning" } else { "info" };
    let message = Some((*kind).to_owned());
    reading.logs.push(mesh::log(Line { time, level: Some(level.into()), message, rest }, context));
    Ok(())
}

fn not_a_flow(detail: &str) -> Failure {
    Failure::new("not_a_flow", detail)
        .hint("flows come from the exporter, or from hubble observe -o json")
}

fn access(mut event: Map<String, Value>, context: &Context<'_>) -> Result<Access, Failure> {
    older::rename(&mut event);
    layer7::redact(&mut event, context);
    let told = context.text_of_fields(&event);
    let mut event = Fields::new(event);
    let is_bare = !event.has("flow");
    let mut flow = if is_bare { std::mem::take(&mut event) } else { event.object("flow")? };
    let mut access = Access {
        provider: Provider::Cilium,
        cluster: context.cluster.map(str::to_owned),
        source: context.source.to_owned(),
        format: Format::Hubble.name().to_owned(),
        source_event_id: flow.text("uuid")?,
        class_uid: normalize::NETWORK_ACTIVITY,
        activity_id: normalize::TRAFFIC,
        ..Access::default()
    };
    let claim = flow.text("time")?.or(said(&event, "time"));
    if claim == said(&event, "time") {
        event.take("time");
    }
    let for_ids = mesh::set_time(&mut access, claim.as_deref(), context);
    // Whoever observed it twice says the same; the outer one is kept if they differ.
    if event.get("node_name") == flow.get("node_name") {
        event.take("node_name");
    }
    let ends = ends(&mut access, &mut flow, context)?;
    decide(&mut access, &mut flow)?;
    layer7::read(&mut access, &mut flow, context)?;
    objects(&mut access, &ends.server, &flow);
    let point = flow.get("trace_observation_point").and_then(Value::as_str);
    let layer = || flow.get("Type").and_then(Value::as_str);
    access.stage = access.stage.take().or_else(|| point.or_else(layer).map(str::to_owned));
    access.event_id = EventId::of(for_ids, context.cluster, told.as_bytes());
    access.request_key = request_key(&access, for_ids, &ends, &flow, context);
    if is_bare {
        event = flow;
    } else {
        event.keep("flow", flow);
    }
    access.unmapped = event.rest(None);
    Ok(access)
}

fn said(fields: &Fields, key: &str) -> Option<String> {
    fields.get(key).and_then(Value::as_str).map(str::to_owned)
}

/// What else the ends of a flow say.
#[derive(Debug, Default)]
struct Ends {
    server: Endpoint,
    /// Addresses and ports: what tells connections apart.
    connection: String,
}

/// Who asked whom. In a reply source and destination have changed places.
fn ends(access: &mut Access, flow: &mut Fields, context: &Context<'_>) -> Result<Ends, Failure> {
    let is_reply =
        ["is_reply", "reply"].iter().any(|key| flow.get(key) == Some(&Value::Bool(true)));
    let mut names = ["source", "destination"];
    if is_reply {
        names.reverse();
    }
    let [client, server] = names;
    let mut of_ends = Vec::new();
    for name in [client, server] {
        let mut fields = flow.object(name)?;
        of_ends.push(Endpoint::read(&fields, context));
        if name == client {
            fields.take("pod_name");
        }
        flow.keep(name, fields);
    }
    let of_server = of_ends.pop().unwrap_or_default();
    let of_client = of_ends.pop().unwrap_or_default();
    let ip = flow.get("IP");
    let address = |name: &str| ip.and_then(|ip| ip.get(name)?.as_str()).unwrap_or_default();
    let ports = flow.get("l4").and_then(|l4| l4.as_object()?.iter().next());
    let port = |name: &str| {
        let port = ports.and_then(|(_, ports)| ports.get(format!("{name}_port"))?.as_u64());
        port.unwrap_or_default()
    };
    let connection = format!(
        "{} {}:{} {}:{}",
        ports.map_or("", |(protocol, _)| protocol),
        address(client),
        port(client),
        address(server),
        port(server),
    );
    access.source_ip = Some(address(client).to_owned()).filter(|address| !address.is_empty());
    mesh::set_identity(access, of_client.identity);
    access.identity_uid = of_client.number.map(|number| number.to_string());
    access.pod = of_client.pod;
    access.workload_evidence = of_client.workload.as_ref().map(|_| Evidence::Derived);
    access.workload = of_client.workload;
    access.workload_kind = of_client.workload_kind;
    access.peer_identity.clone_from(&of_server.identity.name);
    // The policy asks for it; who is refused for want of it has proven nothing.
    let says = |key: &str, what: &str| flow.get(key).and_then(Value::as_str) == Some(what);
    let is_proven = says("auth_type", "SPIRE") && !says("drop_reason_desc", "AUTH_REQUIRED");
    access.credential_kind = is_proven.then_some(CredentialKind::SvidX509);
    Ok(Ends { server: of_server, connection })
}

/// What was asked for, where no protocol says more: the service, else the pod, else the name.
fn objects(access: &mut Access, server: &Endpoint, flow: &Fields) {
    let service = flow.get("destination_service");
    let text = |key: &str| service.and_then(|service| service.get(key)?.as_str());
    let name = || {
        let names = flow.get("destination_names").and_then(|names| names.get(0)?.as_str());
        text("name").map(str::to_owned).or_else(|| server.pod.clone()).or(names.map(str::to_owned))
    };
    access.object_name = access.object_name.take().or_else(name);
    let namespace = text("namespace").map(str::to_owned);
    access.object_namespace = namespace.or_else(|| server.namespace.clone());
}

/// What the network decided, and by which policy.
fn decide(access: &mut Access, flow: &mut Fields) -> Result<(), Failure> {
    let verdict = endpoint::word(flow, "verdict")?.unwrap_or_default();
    let reason = endpoint::word(flow, "drop_reason_desc")?;
    let is_layer7 = flow.has("l7");
    let is_refusal = reason.as_deref().is_none_or(|reason| REFUSALS.contains(&reason));
    access.decision = match verdict.as_str() {
        // What would have been refused, were the policy in force.
        "FORWARDED" | "REDIRECTED" | "TRANSLATED" | "AUDIT" => Decision::Allow,
        "DROPPED" if is_refusal && (is_layer7 || reason.is_some()) => Decision::Deny,
        "ERROR" => Decision::Error,
        _ => Decision::Unknown,
    };
    let has_failed = matches!(verdict.as_str(), "DROPPED" | "ERROR");
    access.outcome = if has_failed { Outcome::Failure } else { Outcome::Success };
    let is_denied = access.decision == Decision::Deny || verdict == "AUDIT";
    access.decided_by = deciding_policy(flow, if is_denied { "denied_by" } else { "allowed_by" });
    if reason.as_deref() == Some("AUTH_REQUIRED") {
        access.decided_by = Some("authentication".to_owned());
    }
    access.decision_reason = reason.or(Some(verdict)).filter(|reason| !reason.is_empty());
    Ok(())
}

/// The first policy of a list such as `ingress_denied_by`; the list stays. A drop for want of any
/// policy that allows names none.
fn deciding_policy(flow: &Fields, what: &str) -> Option<String> {
    let lists = ["egress", "ingress"].map(|way| format!("{way}_{what}"));
    let first = |key: &String| flow.get(key)?.as_array()?.first();
    let policy = lists.iter().find_map(first)?;
    let text = |key: &str| policy.get(key)?.as_str().filter(|text| !text.is_empty());
    let label = |key: &str| {
        let mut labels = policy.get("labels")?.as_array()?.iter().filter_map(Value::as_str);
        labels.find_map(|label| label.strip_prefix(key))
    };
    let kind = text("kind").or_else(|| label("k8s:io.cilium.k8s.policy.derived-from="));
    let name = text("name").or_else(|| label("k8s:io.cilium.k8s.policy.name="))?;
    let namespace = text("namespace").or_else(|| label("k8s:io.cilium.k8s.policy.namespace="));
    Some(match (kind.unwrap_or("CiliumNetworkPolicy"), namespace) {
        (kind, Some(namespace)) => format!("{kind}/{namespace}/{name}"),
        ("CiliumNetworkPolicy", None) => format!("CiliumClusterwideNetworkPolicy/{name}"),
        (kind, None) => format!("{kind}/{name}"),
    })
}

/// The key of the request, where it has an id, else of its connection: request and answer are stages
/// of one, and so are the packets of a connection. An HTTP request without an id is its own, since
/// the next one on the connection may be just like it.
fn request_key(
    access: &Access,
    time: Time,
    ends: &Ends,
    flow: &Fields,
    context: &Context<'_>,
) -> RequestKey {
    let text = |key: &str| flow.get(key).and_then(Value::as_str).unwrap_or_default();
    let decision = access.decision.as_str();
    let place = format!("{} {decision} {}", ends.connection, text("traffic_direction"));
    let id = access.request_id.as_deref().unwrap_or_default();
    let is_window = !id.is_empty() || access.request_uri.is_none();
    let name = access.object_name.as_deref().filter(|_| access.verb.is_some());
    let uri = access.request_uri.as_deref().or(name).unwrap_or_default();
    RequestKey::of(
        context.cluster,
        &format!("{place} {id}"),
        if is_window { Time(time.0.div_euclid(WINDOW) * WINDOW) } else { time },
        access.identity.as_deref().unwrap_or_default(),
        access.verb.as_deref().unwrap_or_default(),
        &context.keys.redactor().without_markers(uri),
    )
}

#[cfg(test)]
mod tests;
