//! Who sent an item, by its resource: cluster, pod, owner, and the attributes as JSON.
//!
//! Names: <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>. All of it is claimed.

use durward_schemas::cell::Json;
use durward_schemas::ids::hash128;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

use super::super::{Context, output};
use super::attributes::{Attributes, CLAIMED_TIME};
use crate::canonical;
use crate::hex;
use crate::normalize::Timed;
use crate::receive::senders::Speaker;

/// Owners of pods, the highest first.
const OWNERS: &[&str] = &[
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "k8s.replicaset.name",
];

/// What a resource and a scope say.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The listener's cluster, else the claimed one, else the default (DESIGN decision 10); what the sender may
    /// speak for decides first.
    pub(crate) cluster: Option<String>,
    /// The cluster that it names itself.
    pub(crate) claimed_cluster: Option<String>,
    /// Whether it is refused, since its sender may not speak for that cluster.
    pub(crate) is_refused: bool,
    pub(crate) service: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) pod: Option<String>,
    pub(crate) pod_uid: Option<String>,
    pub(crate) node: Option<String>,
    /// The pod's owner as `namespace/name`.
    pub(crate) workload: Option<String>,
    /// What the resource says of whose output it is, as pairs of a name and a value.
    pub(crate) of_output: Vec<(&'static str, String)>,
    /// The resource's attributes, redacted.
    pub(crate) attributes: Json,
    pub(crate) scope: Option<Json>,
    /// What stands for resource and scope in the ids of rows: they are hashed once for all.
    pub(crate) for_ids: String,
    /// The same as attributes, for rows that have no column for it.
    scope_attributes: Map<String, Value>,
}

impl Origin {
    pub(super) fn new(
        resource: Resource,
        scope: InstrumentationScope,
        context: &Context<'_>,
    ) -> Self {
        let attributes = Attributes::new(resource.attributes, context);
        let scope_fields = scope_fields(scope, context);
        let says = |key: &str| attributes.text(&[key]);
        let namespace = says("k8s.namespace.name");
        let owner = attributes.text(OWNERS);
        let of_output = output::names().filter_map(|name| Some((name, says(name)?)));
        let of_output = of_output.collect();
        let attributes = Json(attributes.json());
        let scope = scope_json(&scope_fields);
        let told = [Some(attributes.as_str()), scope.as_ref().map(Json::as_str)];
        let claimed = says("k8s.cluster.name");
        let settled = context.settle(claimed.as_deref());
        Self {
            is_refused: settled.is_mismatch && context.speaker.is_some_and(Speaker::refuses),
            cluster: settled.cluster,
            claimed_cluster: claimed,
            service: says("service.name"),
            workload: namespace.as_ref().zip(owner).map(|(space, name)| format!("{space}/{name}")),
            namespace,
            of_output,
            pod: says("k8s.pod.name"),
            pod_uid: says("k8s.pod.uid"),
            node: says("k8s.node.name"),
            for_ids: hash128("origin", &[context.parts_for_ids(&told).as_bytes()]),
            attributes,
            scope,
            scope_attributes: scope_fields
                .into_iter()
                .map(|(name, value)| (format!("otel.scope.{name}"), value))
                .collect(),
        }
    }
}

fn scope_fields(scope: InstrumentationScope, context: &Context<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, text) in [("name", &scope.name), ("version", &scope.version)] {
        if !text.is_empty() {
            fields.insert(key.to_owned(), text.as_str().into());
        }
    }
    if !scope.attributes.is_empty() {
        let attributes = Attributes::new(scope.attributes, context);
        fields.insert("attributes".to_owned(), attributes.into());
    }
    fields
}

fn scope_json(fields: &Map<String, Value>) -> Option<Json> {
    (!fields.is_empty()).then(|| Json(canonical::sorted_fields(fields.iter())))
}

/// An id as hex; none if it is empty or all zeros.
pub(crate) fn hex(id: &[u8]) -> Option<String> {
    let is_set = id.iter().any(|byte| *byte != 0);
    is_set.then(|| hex::hex(id))
}

/// Adds what has no column, under the names that other formats have for it, unless it says nothing.
/// <https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/>
pub(crate) fn add(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    let value = value.into();
    if says_something(&value) {
        fields.entry(name).or_insert(value);
    }
}

/// Whether a value says something.
pub(super) fn says_something(value: &Value) -> bool {
    !(value.is_null() || *value == 0 || *value == "")
}

/// Adds the scope of a row that has no column for it.
pub(crate) fn add_scope(attributes: &mut Attributes, origin: &Origin) {
    for (name, value) in &origin.scope_attributes {
        attributes.add(name, value.clone());
    }
}

/// Keeps a claimed time that is not believed among fields that have no column for it.
pub(crate) fn flag(fields: &mut Map<String, Value>, timed: &Timed) {
    if let Some(claimed) = &timed.claimed {
        fields.insert(CLAIMED_TIME.to_owned(), claimed.as_str().into());
    }
}
