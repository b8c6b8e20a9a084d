//! Which change of a policy of the mesh or the network could alter the decision on a connection.
//!
//! The policy that decided is named by the proxy. Where none allowed the request, no policy is named:
//! then any policy of the destination's namespace may once have, so its latest change is derived
//! (<https://istio.io/latest/docs/reference/config/security/authorization-policy/>: an allowing policy
//! selects workloads of its own namespace).

use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, Evidence, Provider};

use crate::state::objects::{ObjectKey, Objects};
use crate::state::policy::{Cause, latest_change};

/// Kinds whose changes concern connections.
const KINDS: &[&str] = &[
    "AuthorizationPolicy",
    "CiliumClusterwideNetworkPolicy",
    "CiliumNetworkPolicy",
    "NetworkPolicy",
];

/// Whether `key` is a policy of a mesh or a network.
pub(crate) fn is_mesh_policy(key: &ObjectKey) -> bool {
    KINDS.contains(&key.kind.as_str())
}

/// Whether such policies decide on accesses like this.
pub(crate) fn is_decided_by_mesh(access: &Access) -> bool {
    matches!(access.provider, Provider::Envoy | Provider::Istio | Provider::Cilium)
}

/// The latest earlier change that could alter the decision.
pub(crate) fn cause(objects: &Objects, access: &Access) -> Option<Cause> {
    let cluster = access.cluster.as_deref();
    let decided_by = access.decided_by.as_deref();
    if let Some(named) = decided_by.and_then(|path| ObjectKey::parse(cluster, path)) {
        let (_, change) = latest_change(objects, &named, access.time)?;
        return Some(Cause { change, evidence: Evidence::Exact });
    }
    if access.decision != Decision::Deny || decided_by == Some("authentication") {
        return None;
    }
    let namespace = access.object_namespace.as_deref()?;
    let policies = KINDS.iter().flat_map(|kind| objects.of_namespace(cluster, kind, namespace));
    let changes = policies.filter_map(|key| latest_change(objects, key, access.time));
    let (_, change) = changes.max_by_key(|(order, _)| *order)?;
    Some(Cause { change, evidence: Evidence::Derived })
}
