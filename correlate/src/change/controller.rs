//! Writes of controllers, which have their cause in the change of something else.
//!
//! An `ownerReferences` is a claim of whoever writes it: only the controller that creates such objects for such owners
//! shows by it that somebody's change demanded the object. Neither a prefix nor a namespace proves a controller
//! (DESIGN decision 25), and who borrows its name is none.

use durward_schemas::controllers;
use durward_schemas::tables::Access;
use durward_schemas::values::{ChangeAction, ChangeKind, IdentityKind};

use crate::state::objects::Content;

/// The controllers of kube-controller-manager that write workloads, nodes and namespaces.
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles>
///
/// One that is not listed here is taken for a hand, so a newer cluster shows more changes, not fewer.
const CONTROLLERS: &[&str] = &[
    "attachdetach-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "namespace-controller",
    "node-controller",
    "pod-garbage-collector",
    "replicaset-controller",
    "replication-controller",
    "resourcequota-controller",
    "route-controller",
    "service-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
    "ttl-controller",
];

/// Whether a controller creates or deletes a workload since the owner of that demands it.
pub(super) fn demanded(access: &Access, action: ChangeAction, after: &Content) -> bool {
    if action != ChangeAction::Create {
        return keeps(access, ChangeKind::Workload);
    }
    match after.known() {
        Some(seen) => {
            let owner = seen.body.metadata.controller();
            owner.is_some_and(|owner| controllers::creates_for(access, &owner.kind))
        }
        // The audit policy left the body out: of those that create such objects it is the work.
        None => controllers::creates(access),
    }
}

/// Whether a controller keeps the object: its status, its labels, and whether it is still there.
pub(super) fn keeps(access: &Access, kind: ChangeKind) -> bool {
    let is_kept = matches!(kind, ChangeKind::Workload | ChangeKind::Node | ChangeKind::Namespace);
    is_kept && !controllers::is_borrowed(access) && is_controller(access, kind)
}

fn is_controller(access: &Access, kind: ChangeKind) -> bool {
    let identity = access.identity.as_deref().unwrap_or_default();
    match access.identity_kind {
        // A kubelet writes its own node and no other.
        IdentityKind::Node => {
            let node = identity.strip_prefix("system:node:");
            kind == ChangeKind::Node && node.is_some() && node == access.object_name.as_deref()
        }
        IdentityKind::System => kind != ChangeKind::Workload || identity == controllers::MANAGER,
        IdentityKind::ServiceAccount => {
            let name = access.service_account.as_deref().unwrap_or_default();
            access.namespace.as_deref() == Some("kube-system") && CONTROLLERS.contains(&name)
        }
        _ => false,
    }
}
