//! One end of a flow: whose pod it is, by the labels that make its identity.
//!
//! <https://docs.cilium.io/en/stable/gettingstarted/terminology/#identity>

use durward_schemas::Identity;
use durward_schemas::values::IdentityKind;
use serde_json::Value;

use super::super::fields::Fields;
use super::super::{Context, Failure};

/// One end of a flow.
#[derive(Debug, Clone, Default)]
pub(super) struct Endpoint {
    pub(super) identity: Identity,
    /// The number that Cilium has for its labels.
    pub(super) number: Option<i64>,
    pub(super) namespace: Option<String>,
    pub(super) pod: Option<String>,
    /// The pod's owner as `namespace/name`.
    pub(super) workload: Option<String>,
    pub(super) workload_kind: Option<String>,
}

impl Endpoint {
    /// Reads what has a column.
    pub(super) fn read(fields: &Fields, context: &Context<'_>) -> Self {
        let labels = labels(fields);
        let label = |key: &str| labels.iter().find_map(|label| label.strip_prefix(key));
        let namespace = fields.get("namespace").and_then(Value::as_str).map(str::to_owned);
        let namespace =
            namespace.or_else(|| label("k8s:io.kubernetes.pod.namespace=").map(str::to_owned));
        let account = label("k8s:io.cilium.k8s.policy.serviceaccount=");
        let cluster = label("k8s:io.cilium.k8s.policy.cluster=").map(str::to_owned);
        let named = || fields.get("cluster_name").and_then(Value::as_str).map(str::to_owned);
        let realm = context.cluster.map(str::to_owned).or_else(|| {
            let realm = cluster.or_else(named);
            context.named(realm.as_deref()).map(str::to_owned)
        });
        // A node that runs the API server, or an address that is its, is told by that first.
        let api_server = label("reserved:kube-apiserver").map(|_| "kube-apiserver");
        let reserved = api_server.or(label("reserved:"));
        let reserved = reserved.map(|name| format!("reserved:{name}"));
        let identity = match (namespace.as_deref(), account, reserved) {
            (Some(namespace), Some(account), _) => {
                let name = format!("system:serviceaccount:{namespace}:{account}");
                Identity::kubernetes(realm.as_deref(), &name)
            }
            (_, _, Some(name)) => of_reserved(name, realm),
            _ => Identity::default(),
        };
        let owner = fields.get("workloads").and_then(|list| list.get(0));
        let text = |key: &str| owner.and_then(|owner| owner.get(key)?.as_str()).map(str::to_owned);
        let workload = namespace.as_ref().zip(text("name"));
        Self {
            identity,
            number: fields.get("identity").and_then(Value::as_i64),
            workload: workload.map(|(namespace, name)| format!("{namespace}/{name}")),
            workload_kind: text("kind"),
            namespace,
            pod: fields.get("pod_name").and_then(Value::as_str).map(str::to_owned),
        }
    }
}

/// Takes a word of a closed list; protobuf writes a number for one that is newer than the exporter.
pub(super) fn word(fields: &mut Fields, key: &str) -> Result<Option<String>, Failure> {
    match fields.get(key) {
        Some(Value::Number(_)) => Ok(fields.take(key).map(|number| number.to_string())),
        _ => fields.text(key),
    }
}

fn labels(fields: &Fields) -> Vec<String> {
    let list = fields.get("labels").and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// Nodes, the API server and Cilium's own parts belong to the system; the world is anybody.
fn of_reserved(name: String, realm: Option<String>) -> Identity {
    let is_anybody =
        matches!(name.as_str(), "reserved:world" | "reserved:unmanaged" | "reserved:unknown");
    let kind = if is_anybody || name.starts_with("reserved:world") {
        IdentityKind::Unknown
    } else {
        IdentityKind::System
    };
    Identity { kind, realm, name: Some(name) }
}
