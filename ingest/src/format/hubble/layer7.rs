//! What a flow says of the protocol above: HTTP, DNS, Kafka.

use durward_schemas::tables::Access;
use durward_schemas::values::Outcome;
use serde_json::{Map, Value};

use super::super::fields::Fields;
use super::super::mesh;
use super::super::{Context, Failure};
use super::endpoint::word;
use crate::normalize;

/// Redacts an event: the URL as such, also in the sentence that repeats it, headers by their names;
/// the rest by names and looks.
pub(super) fn redact(event: &mut Map<String, Value>, context: &Context<'_>) {
    let redactor = context.keys.redactor();
    let mut headers = Value::Null;
    let mut api_key = None;
    if let Some(flow) = flow(event) {
        api_key = kafka(flow).and_then(take_api_key);
        if let Some(Value::String(summary)) = flow.get_mut("Summary") {
            *summary = mesh::words(summary, context);
        }
        if let Some(http) = http(flow) {
            if let Some(Value::String(url)) = http.get_mut("url") {
                *url = redactor.uri(url);
            }
            headers = http.remove("headers").unwrap_or_default();
        }
    }
    let mut value = Value::Object(std::mem::take(event));
    redactor.json(&mut value);
    if let Value::Object(redacted) = value {
        *event = redacted;
    }
    if let (Some(kafka), Some(api_key)) = (flow(event).and_then(kafka), api_key) {
        kafka.insert(API_KEY.to_owned(), api_key);
    }
    headers.as_array_mut().into_iter().flatten().for_each(|header| redact_header(header, context));
    if let (Some(http), false) = (flow(event).and_then(http), headers.is_null()) {
        http.insert("headers".to_owned(), headers);
    }
}

/// What Kafka calls the kind of a request, such as `produce`, is no secret.
/// <https://kafka.apache.org/protocol.html#protocol_api_keys>
const API_KEY: &str = "api_key";

fn take_api_key(kafka: &mut Map<String, Value>) -> Option<Value> {
    let key = kafka.get(API_KEY)?.as_str()?;
    let is_kind = key.len() < 32 && key.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_kind.then(|| kafka.remove(API_KEY)).flatten()
}

pub(super) fn flow(event: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    if event.contains_key("flow") { event.get_mut("flow")?.as_object_mut() } else { Some(event) }
}

fn http(flow: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    flow.get_mut("l7")?.get_mut("http")?.as_object_mut()
}

fn kafka(flow: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    flow.get_mut("l7")?.get_mut("kafka")?.as_object_mut()
}

/// A header is no variable of an environment: ids of traces look drawn by lot, and are no secrets.
fn redact_header(header: &mut Value, context: &Context<'_>) {
    let name = header.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
    let value = header.get("value").cloned().unwrap_or_default();
    let mut field = Value::Object(Map::from_iter([(name.clone(), value)]));
    context.keys.redactor().json(&mut field);
    let redacted = field.as_object().and_then(|field| field.iter().next());
    if let (Some((name, value)), Value::Object(header)) = (redacted, header) {
        header.insert("key".to_owned(), name.as_str().into());
        header.insert("value".to_owned(), value.clone());
    }
}

/// Takes what has a column.
pub(super) fn read(
    access: &mut Access,
    flow: &mut Fields,
    context: &Context<'_>,
) -> Result<(), Failure> {
    traced(access, flow);
    if !flow.has("l7") {
        return Ok(());
    }
    let mut l7 = flow.object("l7")?;
    access.stage = word(&mut l7, "type")?;
    let latency = l7.take("latency_ns");
    // 64 bits are texts in JSON of protobuf.
    let nanos = latency.and_then(|n| n.as_i64().or_else(|| n.as_str()?.parse().ok()));
    access.duration_us = nanos.map(|nanos| nanos / 1000);
    if l7.has("http") {
        let mut http = l7.object("http")?;
        of_http(access, &mut http, context)?;
        l7.keep("http", http);
    } else if l7.has("dns") {
        let mut dns = l7.object("dns")?;
        of_dns(access, &mut dns)?;
        l7.keep("dns", dns);
    } else if l7.has("kafka") {
        let mut kafka = l7.object("kafka")?;
        of_kafka(access, &mut kafka)?;
        l7.keep("kafka", kafka);
    }
    flow.keep("l7", l7);
    Ok(())
}

/// <https://github.com/cilium/cilium/blob/main/api/v1/flow/flow.proto>, `TraceContext`
fn traced(access: &mut Access, flow: &Fields) {
    let parent = flow.get("trace_context").and_then(|trace| trace.get("parent"));
    let id = |name: &str| parent.and_then(|parent| parent.get(name)?.as_str());
    let found = mesh::trace(id);
    access.claimed_trace_id = found.trace;
    access.claimed_span_id = found.span;
}

fn of_http(access: &mut Access, http: &mut Fields, context: &Context<'_>) -> Result<(), Failure> {
    access.verb = http.text("method")?;
    access.request_uri = http.text("url")?;
    access.status_code = http.integer("code")?.filter(|code| *code > 0);
    if access.status_code.is_some_and(|code| code >= 400) {
        access.outcome = Outcome::Failure;
    }
    access.class_uid = normalize::HTTP_ACTIVITY;
    access.activity_id = normalize::http_activity(access.verb.as_deref().unwrap_or_default());
    let headers = http.get("headers").and_then(Value::as_array);
    let headers: Vec<(String, String)> = headers.into_iter().flatten().filter_map(header).collect();
    let value = |name: &str| {
        let found = headers.iter().find(|header| header.0 == name);
        found.map(|header| header.1.as_str()).filter(|value| !value.is_empty())
    };
    access.user_agent = value("user_agent").map(str::to_owned);
    access.request_id = value("x_request_id").map(str::to_owned);
    let hops = value("x_forwarded_for").unwrap_or_default().split(',').map(str::trim);
    let mut hops: Vec<String> = hops.filter(|hop| !hop.is_empty()).map(str::to_owned).collect();
    hops.extend(access.source_ip.take());
    let (sender, others) = normalize::sender(&hops, context.trusted_proxies);
    access.source_ip = sender;
    access.forwarded_for = Some(others).filter(|others| !others.is_empty());
    let found = mesh::trace(value);
    access.claimed_trace_id = access.claimed_trace_id.take().or(found.trace);
    access.claimed_span_id = access.claimed_span_id.take().or(found.span);
    Ok(())
}

/// A header, its name spelled in one way.
fn header(header: &Value) -> Option<(String, String)> {
    let text = |key: &str| header.get(key)?.as_str();
    Some((mesh::spelled(text("key")?), text("value")?.to_owned()))
}

fn of_dns(access: &mut Access, dns: &mut Fields) -> Result<(), Failure> {
    access.verb = Some("query".to_owned());
    access.resource = Some("dns".to_owned());
    access.object_name = dns.text("query")?;
    access.class_uid = normalize::DNS_ACTIVITY;
    let code = dns.integer("rcode")?.unwrap_or_default();
    access.status_reason = usize::try_from(code)
        .ok()
        .and_then(|code| RCODES.get(code))
        .map_or_else(|| Some(format!("RCODE{code}")), |name| name.map(str::to_owned));
    if code != 0 {
        access.outcome = Outcome::Failure;
    }
    Ok(())
}

/// <https://www.iana.org/assignments/dns-parameters/dns-parameters.xhtml#dns-parameters-6>
const RCODES: &[Option<&str>] =
    &[None, Some("FormErr"), Some("ServFail"), Some("NXDomain"), Some("NotImp"), Some("Refused")];

fn of_kafka(access: &mut Access, kafka: &mut Fields) -> Result<(), Failure> {
    access.verb = kafka.text("api_key")?;
    access.resource = Some("kafka".to_owned());
    access.object_name = kafka.text("topic")?;
    let code = kafka.integer("error_code")?.filter(|code| *code != 0);
    access.status_reason = code.map(|code| code.to_string());
    if code.is_some() {
        access.outcome = Outcome::Failure;
    }
    Ok(())
}
