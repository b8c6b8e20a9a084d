//! What the controllers of kube-controller-manager create, and for which kind of owner.
//!
//! An `ownerReferences` is a claim of whoever writes it, and a name proves nothing: what an object belongs to is
//! known where its own controller created it, with a credential that nobody else minted.

use crate::tables::Access;
use crate::values::IdentityKind;

/// The controller, the resource that it creates, and the kind of the owner that it creates it for.
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles>
const CONTROLLERS: [(&str, &str, &str); 7] = [
    ("replicaset-controller", "pods", "ReplicaSet"),
    ("replication-controller", "pods", "ReplicationController"),
    ("daemon-set-controller", "pods", "DaemonSet"),
    ("statefulset-controller", "pods", "StatefulSet"),
    ("job-controller", "pods", "Job"),
    ("deployment-controller", "replicasets", "Deployment"),
    ("cronjob-controller", "jobs", "CronJob"),
];

/// The manager of all controllers, which also works under its own name.
pub const MANAGER: &str = "system:kube-controller-manager";

/// Whether a row is the work of the controller that creates such objects for owners of this `kind`.
#[must_use]
pub fn creates_for(row: &Access, kind: &str) -> bool {
    creates_any(row, |makes_for| makes_for == kind)
}

/// Whether a row is the work of a controller that creates such objects, for whichever owner.
#[must_use]
pub fn creates(row: &Access) -> bool {
    creates_any(row, |_| true)
}

/// Whether somebody else may be behind the name of a controller: as whom it acts, or with a token that another than
/// the manager of all minted.
#[must_use]
pub fn is_borrowed(row: &Access) -> bool {
    row.impersonated_identity.is_some() || is_minted_by_others(row)
}

/// Whether somebody else than the manager of all controllers minted the credential: whoever holds it is no controller.
#[must_use]
pub fn is_minted_by_others(row: &Access) -> bool {
    row.minted_by.as_deref().is_some_and(|minter| minter != MANAGER)
}

fn creates_any(row: &Access, is_owner: impl Fn(&str) -> bool) -> bool {
    let identity = row.identity.as_deref().unwrap_or_default();
    let account = identity
        .strip_prefix("system:serviceaccount:kube-system:")
        .filter(|_| row.identity_kind == IdentityKind::ServiceAccount);
    let resource = row.resource.as_deref();
    !is_borrowed(row)
        && CONTROLLERS.iter().any(|(controller, makes, makes_for)| {
            (identity == MANAGER || account == Some(*controller))
                && Some(*makes) == resource
                && is_owner(makes_for)
        })
}
