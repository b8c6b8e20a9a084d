//! What a kube-system controller creates is the doing of whoever made its owner (DESIGN decision 17).

use durward_schemas::shares;
use durward_schemas::tables::{Access, Change};
use durward_schemas::values::{ChangeKind, IdentityKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::counted;
use crate::detector::owner;
use crate::memory::{Look, Memory};

/// Objects whose makers are remembered.
const MOST: usize = 20_000;

/// A chain of owners longer than this is a loop: Pod, Job, `CronJob` is the longest there is.
const LONGEST: usize = 4;

/// Who made an object that owns pods, by which request and change. Ids are kept as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Maker {
    pub identity: String,
    pub identity_kind: String,
    pub credential_id: Option<String>,
    pub change_id: String,
    pub change_summary: String,
    pub request_key: String,
    pub event_id: String,
    /// When it was made, in microseconds.
    pub time: i64,
    /// What was made.
    pub object_kind: String,
}

/// Whose doing a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Its own identity's.
    Own,
    /// A controller's, for what somebody made.
    Of(Maker),
    /// A controller's, for what was there before anybody looked.
    Nobodys,
}

/// An object by cluster, namespace, resource and name.
type Key = (String, String, String, String);

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Known {
    /// Somebody made it.
    Made(Maker),
    /// A controller made it for the owner of this resource and name.
    For(String, String),
}

/// The makers of what owns pods.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Owners {
    known: Memory<Key, Known>,
}

impl Default for Owners {
    fn default() -> Self {
        Self { known: Memory::of(MOST) }
    }
}

impl Owners {
    /// Its memory.
    pub(crate) fn memories(&self, look: Look<'_>) {
        look("makers", &self.known);
    }

    /// Takes note of who made what.
    pub(crate) fn learn(&mut self, row: &Access, change: Option<&Change>) {
        if let Some(change) = change.filter(|change| change.kind == ChangeKind::Workload) {
            let key = key(row, &change.resource, change.name.as_deref().unwrap_or_default());
            self.known.insert(key, &owner(row), Known::Made(made(row, change)));
        } else if is_controller(row)
            && row.verb.as_deref() == Some("create")
            && let Some(name) = &row.object_name
            && let Some((resource, owner)) = owner_of(row)
        {
            let key = key(row, row.resource.as_deref().unwrap_or_default(), name);
            let place = shares::owner(&[&key.0, &key.1]);
            self.known.insert(key, &place, Known::For(resource, owner));
        }
    }

    /// Whose doing `row` is.
    pub(crate) fn doing(&self, row: &Access) -> Doing {
        let owner = if is_controller(row) { owner_of(row) } else { None };
        let Some((mut resource, mut name)) = owner else { return Doing::Own };
        for _ in 0..LONGEST {
            match self.known.peek(&key(row, &resource, &name)) {
                Some(Known::Made(maker)) => return Doing::Of(maker.clone()),
                Some(Known::For(above, owner)) => (resource, name) = (above.clone(), owner.clone()),
                None => return Doing::Nobodys,
            }
        }
        Doing::Nobodys
    }
}

/// The controllers of kube-controller-manager, under their own names or all under its.
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#controller-roles>
fn is_controller(row: &Access) -> bool {
    let name = row.service_account.as_deref().unwrap_or_default();
    row.identity.as_deref() == Some("system:kube-controller-manager")
        || (row.identity_kind == IdentityKind::ServiceAccount
            && row.namespace.as_deref() == Some("kube-system")
            && name.ends_with("-controller"))
}

/// Resource and name of the owner that the created object names as its controller.
fn owner_of(row: &Access) -> Option<(String, String)> {
    let body: Value = serde_json::from_str(row.request_object.as_ref()?.as_str()).ok()?;
    let owners = body.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let resource = format!("{}s", owner["kind"].as_str()?.to_lowercase());
    Some((resource, owner["name"].as_str()?.to_owned()))
}

fn key(row: &Access, resource: &str, name: &str) -> Key {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (text(&row.cluster), text(&row.object_namespace), resource.to_owned(), name.to_owned())
}

fn made(row: &Access, change: &Change) -> Maker {
    Maker {
        identity: change.actor.clone(),
        identity_kind: change.actor_kind.to_string(),
        credential_id: change.actor_credential_id.as_ref().map(ToString::to_string),
        change_id: change.change_id.to_string(),
        change_summary: change.summary.clone(),
        request_key: row.request_key.to_string(),
        event_id: row.event_id.to_string(),
        time: row.time.0,
        object_kind: counted::object_kind(row),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn row(user: &str, resource: &str, name: Option<&str>, owner: Option<(&str, &str)>) -> Access {
        let owners =
            owner.map(|(kind, name)| json!([{"kind": kind, "name": name, "controller": true}]));
        testing::row(&json!({
            "user": {"username": user},
            "verb": "create",
            "objectRef": {"resource": resource, "namespace": "shop", "name": name},
            "requestObject": {"metadata": {"ownerReferences": owners}},
        }))
    }

    const DEPLOYER: &str = "system:serviceaccount:kube-system:deployment-controller";
    const REPLICATOR: &str = "system:serviceaccount:kube-system:replicaset-controller";

    fn check(row: &Access, expected: &str) {
        let made = row_of_deployment();
        let change = Change {
            kind: ChangeKind::Workload,
            resource: "deployments".into(),
            name: Some("cart".into()),
            actor: "alice".into(),
            ..Change::default()
        };
        let mut owners = Owners::default();
        owners.learn(&made, Some(&change));
        owners.learn(
            &self::row(DEPLOYER, "replicasets", Some("cart-7d"), Some(("Deployment", "cart"))),
            None,
        );
        let said = match owners.doing(row) {
            Doing::Own => "its own".to_owned(),
            Doing::Of(maker) => maker.identity,
            Doing::Nobodys => "nobody's".to_owned(),
        };
        assert_eq!(said, expected);
    }

    fn row_of_deployment() -> Access {
        row("alice", "deployments", Some("cart"), None)
    }

    /// Scenario: pods of a `ReplicaSet` of alice's Deployment, of an owner that is not known, and of somebody who only claims an owner.
    /// Guarantees: the chain is followed to who made its end; only controllers of the control plane are believed.
    #[test]
    fn the_chain_of_owners_is_followed() {
        check(&row(REPLICATOR, "pods", None, Some(("ReplicaSet", "cart-7d"))), "alice");
        check(
            &row(DEPLOYER, "replicasets", Some("cart-8e"), Some(("Deployment", "cart"))),
            "alice",
        );
        check(&row(REPLICATOR, "pods", None, Some(("ReplicaSet", "older"))), "nobody's");
        check(&row(REPLICATOR, "pods", None, None), "its own");
        let claims = Some(("ReplicaSet", "cart-7d"));
        check(&row("carol", "pods", None, claims), "its own");
        check(&row("system:serviceaccount:kube-system:network", "pods", None, claims), "its own");
        check(&row("system:serviceaccount:shop:evil-controller", "pods", None, claims), "its own");
    }
}
