//! What Kubernetes objects say that correlation needs: owners, policy rules, pod templates.
//!
//! Reading is lenient: a missing or null part is empty, and what is no object is `None`.

use std::collections::BTreeMap;

use durward_schemas::cell::Json;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A body as it is; null where there is none, or none that can be read.
pub(crate) fn value(json: Option<&Json>) -> Value {
    json.and_then(|json| serde_json::from_str(json.as_str()).ok()).unwrap_or_default()
}

/// `metadata` of any object.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub name: Option<String>,
    pub generate_name: Option<String>,
    pub namespace: Option<String>,
    pub uid: Option<String>,
    pub creation_timestamp: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<OwnerReference>,
    #[serde(deserialize_with = "or_default")]
    pub annotations: Annotations,
    #[serde(deserialize_with = "or_default")]
    pub labels: Labels,
}

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// The annotations that say as whom a `ServiceAccount` acts in a cloud.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Annotations {
    #[serde(rename = "eks.amazonaws.com/role-arn")]
    pub role_arn: Option<String>,
    #[serde(rename = "iam.gke.io/gcp-service-account")]
    pub google_account: Option<String>,
    #[serde(rename = "azure.workload.identity/client-id")]
    pub client_id: Option<String>,
}

/// Who owns an object; at most one owner is its controller.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OwnerReference {
    pub kind: String,
    pub name: String,
    pub controller: Option<bool>,
}

impl Metadata {
    /// The managing controller, as
    /// <https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/> says.
    pub(crate) fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }
}

/// One rule of a Role or `ClusterRole`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Rule {
    #[serde(deserialize_with = "or_default")]
    pub verbs: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub api_groups: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub resources: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub resource_names: Vec<String>,
    #[serde(deserialize_with = "or_default", rename = "nonResourceURLs")]
    pub non_resource_urls: Vec<String>,
}

/// One subject of a binding.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Subject {
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
}

/// The role that a binding grants.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct RoleRef {
    pub kind: String,
    pub name: String,
}

/// The parts of a pod's specification that say what it is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub service_account_name: Option<String>,
    pub node_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub init_containers: Vec<Container>,
}

/// A container's image.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    pub image: Option<String>,
}

/// An object of any kind; parts that its kind does not have stay empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Body {
    pub kind: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    pub rules: Vec<Rule>,
    #[serde(deserialize_with = "or_default")]
    pub subjects: Vec<Subject>,
    pub role_ref: Option<RoleRef>,
    pub aggregation_rule: Option<AggregationRule>,
}

/// Whose rules an aggregate `ClusterRole` takes over.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AggregationRule {
    #[serde(deserialize_with = "or_default")]
    cluster_role_selectors: Vec<LabelSelector>,
}

/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/>
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LabelSelector {
    #[serde(deserialize_with = "or_default")]
    match_labels: Labels,
    #[serde(deserialize_with = "or_default")]
    match_expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(deserialize_with = "or_default")]
    values: Vec<String>,
}

impl AggregationRule {
    /// Whether one of the selectors selects an object with these labels.
    pub(crate) fn selects(&self, labels: &Labels) -> bool {
        self.cluster_role_selectors.iter().any(|selector| selector.selects(labels))
    }
}

impl LabelSelector {
    fn selects(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let is_listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

impl Body {
    /// The object in `json`, if it is one.
    pub(crate) fn read(json: &Json) -> Option<Self> {
        serde_json::from_str(json.as_str()).ok()
    }
}

/// A pod: only pods have `spec.containers` at the top.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    #[serde(deserialize_with = "or_default")]
    pub spec: PodSpec,
    #[serde(deserialize_with = "or_default")]
    pub status: PodStatus,
}

/// Where a pod runs.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
}

impl Pod {
    /// The pod in `json`, if it is an object.
    pub(crate) fn read(json: &Json) -> Option<Self> {
        serde_json::from_str(json.as_str()).ok()
    }

    /// Images of all containers, in their order.
    pub(crate) fn images(&self) -> Vec<String> {
        let containers = self.spec.init_containers.iter().chain(&self.spec.containers);
        containers.filter_map(|container| container.image.clone()).collect()
    }
}

/// What a `TokenRequest` asked for: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct TokenRequest {
    #[serde(deserialize_with = "or_default")]
    pub spec: TokenRequestSpec,
    #[serde(deserialize_with = "or_default")]
    pub status: TokenRequestStatus,
}

/// Lifetime, audiences and the object that the token is bound to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TokenRequestSpec {
    #[serde(deserialize_with = "or_default")]
    pub audiences: Vec<String>,
    pub expiration_seconds: Option<i64>,
    pub bound_object_ref: Option<BoundObjectRef>,
}

/// When the token expires.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct TokenRequestStatus {
    pub expiration_timestamp: Option<String>,
}

/// The object whose deletion ends the token.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct BoundObjectRef {
    pub kind: Option<String>,
    pub name: Option<String>,
    pub uid: Option<String>,
}

impl TokenRequest {
    /// The request in `json`; empty if it is none.
    pub(crate) fn read(json: Option<&Json>) -> Self {
        json.and_then(|json| serde_json::from_str(json.as_str()).ok()).unwrap_or_default()
    }
}

/// A null is an absence.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
