//! Who sent an item, by its resource: cluster, pod, owner, and the attributes as JSON.
//!
//! Names: <https://opentelemetry.io/docs/specs/semconv/resource/k8s/>. All of it is claimed.

use base64::Engine as _;
use durward_schemas::cell::Json;
use durward_schemas::ids::hash128;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

use super::super::{Context, semconv};
use crate::canonical;
use crate::hex;
use crate::normalize::Timed;

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
    /// The listener's cluster, else the claimed one, else the default (DESIGN decision 10).
    pub(crate) cluster: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) pod: Option<String>,
    pub(crate) pod_uid: Option<String>,
    pub(crate) node: Option<String>,
    /// The pod's owner as `namespace/name`.
    pub(crate) workload: Option<String>,
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
        resource: &Resource,
        scope: &InstrumentationScope,
        context: &Context<'_>,
    ) -> Self {
        let attributes = attributes(&resource.attributes, context);
        let scope_fields = scope_fields(scope, context);
        let says = |key: &str| text(&attributes, &[key]);
        let claimed = || says("k8s.cluster.name");
        let namespace = says("k8s.namespace.name");
        let owner = text(&attributes, OWNERS);
        let attributes_json = Json(canonical::sorted_fields(&attributes));
        let scope = scope_json(&scope_fields);
        let told = [Some(attributes_json.as_str()), scope.as_ref().map(Json::as_str)];
        Self {
            cluster: context
                .cluster
                .map(str::to_owned)
                .or_else(claimed)
                .or_else(|| context.default_cluster.map(str::to_owned)),
            service: says("service.name"),
            workload: namespace.as_ref().zip(owner).map(|(space, name)| format!("{space}/{name}")),
            namespace,
            pod: says("k8s.pod.name"),
            pod_uid: says("k8s.pod.uid"),
            node: says("k8s.node.name"),
            for_ids: hash128("origin", &[context.parts_for_ids(&told).as_bytes()]),
            attributes: attributes_json,
            scope,
            scope_attributes: scope_fields
                .into_iter()
                .map(|(name, value)| (format!("otel.scope.{name}"), value))
                .collect(),
        }
    }
}

fn scope_fields(scope: &InstrumentationScope, context: &Context<'_>) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, text) in [("name", &scope.name), ("version", &scope.version)] {
        if !text.is_empty() {
            fields.insert(key.to_owned(), text.as_str().into());
        }
    }
    if !scope.attributes.is_empty() {
        fields.insert("attributes".to_owned(), attributes(&scope.attributes, context).into());
    }
    fields
}

fn scope_json(fields: &Map<String, Value>) -> Option<Json> {
    (!fields.is_empty()).then(|| Json(canonical::sorted_fields(fields)))
}

/// Attributes as JSON, redacted.
pub(crate) fn attributes(list: &[KeyValue], context: &Context<'_>) -> Map<String, Value> {
    let mut fields = object(list);
    context.keys.redactor().addresses(&mut fields);
    let mut value = Value::Object(fields);
    context.keys.redactor().json(&mut value);
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn object(list: &[KeyValue]) -> Map<String, Value> {
    list.iter().map(|pair| (pair.key.clone(), value(pair.value.as_ref()))).collect()
}

/// A value as JSON, not redacted. A double that is an integer becomes one: the Collector makes
/// every number of a JSON body a double.
pub(crate) fn value(any: Option<&AnyValue>) -> Value {
    match any.and_then(|any| any.value.as_ref()) {
        Some(Any::StringValue(text)) => text.as_str().into(),
        Some(Any::BoolValue(truth)) => (*truth).into(),
        Some(Any::IntValue(integer)) => (*integer).into(),
        Some(Any::DoubleValue(double)) => number(*double),
        Some(Any::ArrayValue(array)) => array.values.iter().map(|any| value(Some(any))).collect(),
        Some(Any::KvlistValue(list)) => Value::Object(object(&list.values)),
        Some(Any::BytesValue(bytes)) => {
            base64::engine::general_purpose::STANDARD.encode(bytes).into()
        }
        _ => Value::Null,
    }
}

/// Doubles beyond this do not hold every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn number(double: f64) -> Value {
    if double.fract() == 0.0 && double.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is an integer within 53 bits")]
        return (double as i64).into();
    }
    // JSON has no NaN and no infinity.
    serde_json::Number::from_f64(double).map_or_else(|| double.to_string().into(), Value::Number)
}

/// The first of `keys` that is a text with something in it; headers are lists of texts.
pub(crate) fn text(attributes: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    let first = |value: &'_ Value| value.get(0).unwrap_or(value).as_str().map(str::to_owned);
    let mut texts = keys.iter().filter_map(|key| first(attributes.get(*key)?));
    // Envoy writes a dash for what it does not know.
    texts.find(|text| !text.is_empty() && text != "-")
}

/// An id as hex; none if it is empty or all zeros.
pub(crate) fn hex(id: &[u8]) -> Option<String> {
    let is_set = id.iter().any(|byte| *byte != 0);
    is_set.then(|| hex::hex(id))
}

/// Adds what has no column, under the names that other formats have for it, unless it says nothing.
/// <https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/>
pub(crate) fn add(attributes: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    let value = value.into();
    let says_nothing = value.is_null() || value == 0 || value == "";
    if !says_nothing {
        attributes.entry(name).or_insert(value);
    }
}

/// Adds the scope of a row that has no column for it.
pub(crate) fn add_scope(attributes: &mut Map<String, Value>, origin: &Origin) {
    for (name, value) in &origin.scope_attributes {
        attributes.entry(name).or_insert_with(|| value.clone());
    }
}

/// Attributes as they were sent, which enter ids, and as they are stored.
pub(crate) struct Told {
    pub(crate) sent: String,
    pub(crate) stored: Json,
}

/// Adds to attributes what we know better: a claimed time that is not believed, which has no column,
/// and the names of today. None of it may enter an id, since it depends on when and by whom it is read.
pub(crate) fn told(attributes: &mut Map<String, Value>, timed: &Timed) -> Told {
    let sent = canonical::sorted_fields(attributes);
    let has_changed = flag(attributes, timed) | semconv::add_names(attributes);
    let stored = if has_changed { canonical::sorted_fields(attributes) } else { sent.clone() };
    Told { sent, stored: Json(stored) }
}

/// Keeps a claimed time that is not believed among the attributes, which have no column for it.
pub(crate) fn flag(attributes: &mut Map<String, Value>, timed: &Timed) -> bool {
    if let Some(claimed) = &timed.claimed {
        attributes.insert("durward.claimed_time".to_owned(), claimed.as_str().into());
    }
    timed.claimed.is_some()
}
