//! What a controller of the control plane creates is the doing of whoever made its owner (DESIGN decision 17).
//!
//! A name or an `ownerReferences` proves nothing, since whoever creates a pod writes both: only the controllers of
//! kube-controller-manager hand a deed on, each for its own kind, with a credential that nobody else minted, and
//! only what the owner's template gives.

use durward_schemas::controllers;
use durward_schemas::shares;
use durward_schemas::tables::{Access, Change};
use durward_schemas::values::ChangeKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::counted;
use crate::detector::owner;
use crate::memory::{Look, Memory};
use crate::rule::pod_spec::PodSpec;

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
    /// Somebody made it, with this template if that was seen.
    Made(Maker, Option<PodSpec>),
    /// A controller made it for the owner of this resource and name, with this template.
    For(String, String, PodSpec),
}

impl Known {
    fn template(&self) -> Option<&PodSpec> {
        match self {
            Self::Made(_, template) => template.as_ref(),
            Self::For(.., template) => Some(template),
        }
    }
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
            let known = Known::Made(made(row, change), template(change));
            self.known.insert(key, &owner(row), known);
        } else if row.verb.as_deref() == Some("create")
            && let Some(name) = &row.object_name
            && let Some(handed) = handed_on(row)
            && self.is_given(row, &handed)
        {
            let key = key(row, row.resource.as_deref().unwrap_or_default(), name);
            let place = shares::owner(&[&key.0, &key.1]);
            let known = Known::For(handed.resource, handed.name, handed.openings);
            self.known.insert(key, &place, known);
        }
    }

    /// Whose doing `row` is.
    pub(crate) fn doing(&self, row: &Access) -> Doing {
        let handed = handed_on(row).filter(|handed| self.is_given(row, handed));
        let Some(Handed { mut resource, mut name, .. }) = handed else { return Doing::Own };
        for _ in 0..LONGEST {
            match self.known.peek(&key(row, &resource, &name)) {
                Some(Known::Made(maker, _)) => return Doing::Of(maker.clone()),
                Some(Known::For(above, owner, _)) => {
                    (resource, name) = (above.clone(), owner.clone());
                }
                None => return Doing::Nobodys,
            }
        }
        Doing::Nobodys
    }

    /// Whether the owner's template gives what was created: nothing opens the node that the template, where it was
    /// seen, does not open too.
    fn is_given(&self, row: &Access, handed: &Handed) -> bool {
        let owner = self.known.peek(&key(row, &handed.resource, &handed.name));
        let template = owner.and_then(Known::template);
        template
            .is_none_or(|template| handed.openings.clone().added_to(template) == PodSpec::default())
    }
}

/// What a controller creates for an owner.
struct Handed {
    resource: String,
    name: String,
    openings: PodSpec,
}

/// The owner for which a controller does its work by `row`, under its own name or that of the manager of all.
fn handed_on(row: &Access) -> Option<Handed> {
    let body: Value = serde_json::from_str(row.request_object.as_ref()?.as_str()).ok()?;
    let owners = body.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let kind = owner["kind"].as_str().filter(|kind| controllers::creates_for(row, kind))?;
    Some(Handed {
        resource: format!("{}s", kind.to_lowercase()),
        name: owner["name"].as_str()?.to_owned(),
        openings: PodSpec::of(&body),
    })
}

/// The openings of the template that a change left, where all of it was seen: a patch upon what nobody saw names
/// no kind.
fn template(change: &Change) -> Option<PodSpec> {
    let body: Value = serde_json::from_str(change.after.as_ref()?.as_str()).ok()?;
    body.get("kind")?;
    Some(PodSpec::of(&body))
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
    use durward_schemas::cell::Json;
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
        check_with(&json!({}), row, expected);
    }

    /// Whose doing `row` is after alice made a Deployment with a template of this pod specification.
    fn check_with(spec: &Value, row: &Access, expected: &str) {
        let made = row_of_deployment();
        let after = json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}});
        let change = Change {
            after: Some(Json(after.to_string())),
            kind: ChangeKind::Workload,
            resource: "deployments".into(),
            name: Some("cart".into()),
            actor: "alice".into(),
            ..Change::default()
        };
        let mut owners = Owners::default();
        owners.learn(&made, Some(&change));
        let set = self::row(DEPLOYER, "replicasets", Some("cart-7d"), Some(("Deployment", "cart")));
        let set = with(&set, &json!({"spec": {"template": {"spec": spec}}}));
        owners.learn(&set, None);
        let said = match owners.doing(row) {
            Doing::Own => "its own".to_owned(),
            Doing::Of(maker) => maker.identity,
            Doing::Nobodys => "nobody's".to_owned(),
        };
        assert_eq!(said, expected);
    }

    /// The row with more in its body.
    fn with(row: &Access, more: &Value) -> Access {
        let body = row.request_object.as_ref().expect("a body");
        let mut body: Value = serde_json::from_str(body.as_str()).expect("JSON");
        body["spec"] = more["spec"].clone();
        Access { request_object: Some(Json(body.to_string())), ..row.clone() }
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
    /// Scenario: pods with forged owners by a `ServiceAccount` of kube-system that is called a controller, by a
    /// controller of another kind, and by the right one with a token that eve minted; a pod that opens the node
    /// more than the template of its owner, or as much.
    /// Guarantees: such a pod is its creator's own doing, and nobody else's; what the template gives is its maker's.
    #[test]
    fn a_claimed_owner_proves_nothing() {
        let pod = |by: &str| row(by, "pods", None, Some(("ReplicaSet", "cart-7d")));
        let account = |name: &str| format!("system:serviceaccount:kube-system:{name}");
        check(&pod(&account("evil-controller")), "its own");
        check(&pod(&account("job-controller")), "its own");
        let of_deployment = row(REPLICATOR, "pods", None, Some(("Deployment", "cart")));
        check(&of_deployment, "its own");
        let minted = |by: &str| Access { minted_by: Some(by.into()), ..pod(REPLICATOR) };
        check(&minted("eve"), "its own");
        check(&minted("system:kube-controller-manager"), "alice");
        let open =
            json!({"hostPID": true, "containers": [{"securityContext": {"privileged": true}}]});
        let opened = with(&pod(REPLICATOR), &json!({"spec": open}));
        check(&opened, "its own");
        check_with(&open, &opened, "alice");
        let half = json!({"hostPID": true});
        check_with(&open, &with(&pod(REPLICATOR), &json!({"spec": half})), "alice");
        check_with(&half, &opened, "its own");
    }
}
