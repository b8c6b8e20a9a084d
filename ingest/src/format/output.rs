//! Whose output a log record is. An application may print whatever reads as an audit record, so what a container
//! or an application's SDK says is believed only where the configuration names the container (DESIGN decision 25).
//!
//! Attributes: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/k8s/>, those of the Collector's
//! `container` parser among them; paths: <https://kubernetes.io/docs/concepts/cluster-administration/logging/>;
//! fields of shippers: <https://docs.fluentbit.io/manual/pipeline/filters/kubernetes>.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Map, Value};

use super::otlp::{Origin, value};
use super::{Context, mesh};

/// What says where a container is, and is said of others too.
const PLACES: [&str; 3] = [NAMESPACE, PATH, PATH_RESOLVED];

/// What is told of nothing else than the words of a container, a pod or an application's SDK.
const MARKS: [&str; 8] = [
    CONTAINER,
    "k8s.pod.name",
    "k8s.pod.uid",
    "k8s.pod.ip",
    "container.id",
    "container.name",
    "log.iostream",
    "telemetry.sdk.name",
];

/// The attributes that tell whose output it is.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PLACES.into_iter().chain(MARKS)
}

/// The attribute of a log record that reads as an audit record, and that a container wrote which is not named in
/// `audit_containers`.
pub(super) const PRINTED: &str = "durward.audit_record_of_container";
const NAMESPACE: &str = "k8s.namespace.name";
const CONTAINER: &str = "k8s.container.name";
/// The file from which a record was read.
const PATH: &str = "log.file.path";
const PATH_RESOLVED: &str = "log.file.path_resolved";

/// What a container or an application has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// `namespace/container`, if that is known.
    container: Option<String>,
}

impl Output {
    /// Whose output a record of OTLP is; `None` where nothing says that an application wrote it.
    pub(super) fn of(record: &LogRecord, origin: &Origin) -> Option<Self> {
        let of_resource = |name: &str| {
            let found = origin.of_output.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| text.clone())
        };
        let says = |name: &str| text_of(&record.attributes, name).or_else(|| of_resource(name));
        let in_path = [PATH, PATH_RESOLVED].into_iter().find_map(|name| of_path(&says(name)?));
        let in_body = of_body(&value(record.body.as_ref()));
        let is_marked = MARKS.into_iter().any(|name| says(name).is_some());
        let named = says(NAMESPACE).zip(says(CONTAINER));
        let named = named.map(|(namespace, name)| Self::named(&namespace, &name));
        let found = named.or(in_path).or(in_body);
        found.or_else(|| is_marked.then_some(Self { container: None }))
    }

    /// Whose output a record of a shipper of logs is.
    pub(super) fn of_shipper(fields: &Map<String, Value>) -> Option<Self> {
        let kubernetes = fields.get("kubernetes").and_then(Value::as_object);
        if kubernetes.is_none() && !(fields.contains_key("stream") && fields.contains_key("log")) {
            return None;
        }
        let field = |name: &str| kubernetes.and_then(|fields| fields.get(name));
        // Fluent Bit's names, and those of Filebeat.
        let namespace = field("namespace_name").or(field("namespace")).and_then(Value::as_str);
        let name = field("container_name").or(field("container").and_then(|it| it.get("name")));
        let name = name.and_then(Value::as_str);
        let named = namespace.zip(name).map(|(namespace, name)| Self::named(namespace, name));
        Some(named.unwrap_or(Self { container: None }))
    }

    fn named(namespace: &str, container: &str) -> Self {
        Self { container: Some(format!("{namespace}/{container}")) }
    }

    /// Whether the configuration names the container.
    pub(super) fn is_believed(&self, context: &Context<'_>) -> bool {
        let name = self.container.as_ref();
        name.is_some_and(|name| context.audit_containers.contains(name))
    }
}

/// What the body itself says: the line of a container runtime, or the record of a shipper.
fn of_body(body: &Value) -> Option<Output> {
    match body {
        Value::Object(fields) => Output::of_shipper(fields),
        Value::String(text) => {
            let text = text.trim();
            if mesh::payload(text.as_bytes()).len() < text.len() {
                return Some(Output { container: None });
            }
            let may_be = text.starts_with('{')
                && ["\"kubernetes\"", "\"stream\""].iter().any(|mark| text.contains(mark));
            let fields: Option<Map<String, Value>> =
                may_be.then(|| serde_json::from_str(text).ok()).flatten();
            Output::of_shipper(&fields?)
        }
        _ => None,
    }
}

/// Whose output a file below `/var/log/pods` or `/var/log/containers` is; a path of Docker's names no container.
fn of_path(path: &str) -> Option<Output> {
    // NAMESPACE_POD_UID/CONTAINER/0.log: names hold no underscore.
    let of_pods = |rest: &str| {
        let (pod, rest) = rest.split_once('/')?;
        Some(Output::named(pod.split_once('_')?.0, rest.split_once('/')?.0))
    };
    // POD_NAMESPACE_CONTAINER-ID.log
    let of_containers = |rest: &str| {
        let (namespace, rest) = rest.split_once('_')?.1.split_once('_')?;
        Some(Output::named(namespace, rest.rsplit_once('-')?.0))
    };
    let unknown = Output { container: None };
    let behind = |mark: &str| path.split_once(mark).map(|(_, rest)| rest);
    if let Some(rest) = behind("/log/pods/") {
        return Some(of_pods(rest).unwrap_or(unknown));
    }
    if let Some(rest) = behind("/log/containers/") {
        return Some(of_containers(rest).unwrap_or(unknown));
    }
    behind("/docker/containers/").map(|_| unknown)
}

fn text_of(attributes: &[KeyValue], name: &str) -> Option<String> {
    let pair = attributes.iter().find(|pair| pair.key == name)?;
    value(pair.value.as_ref()).as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
