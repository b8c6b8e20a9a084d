//! Which `ServiceAccount` acts as which principal of a cloud, as its annotations say.
//!
//! EKS: <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>,
//! GKE: <https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity>,
//! AKS: <https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html>.
//!
//! An annotation asks to be let act so and does not prove that it was: what rests on it is derived.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::tables::Access;
use durward_schemas::values::Provider;

use crate::state::cloud_policy::principal;
use crate::state::objects::{Content, ObjectKey, Objects};
use crate::state::workloads::Account;

/// `ServiceAccount`s by principal, and the other way. Derived from the objects that the state holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CloudIdentities {
    accounts: BTreeMap<String, BTreeSet<Account>>,
    principals: BTreeMap<Account, BTreeSet<String>>,
}

impl CloudIdentities {
    /// Takes note of a version of an object; true if it is annotated so.
    pub(crate) fn index(&mut self, key: &ObjectKey, content: &Content) -> bool {
        let Some(account) = account(key) else { return false };
        let found = principals(content);
        for principal in &found {
            self.accounts.entry(principal.clone()).or_default().insert(account.clone());
            self.principals.entry(account.clone()).or_default().insert(principal.clone());
        }
        !found.is_empty()
    }

    /// The one `ServiceAccount` that was annotated with the identity of `access` when it acted.
    pub(crate) fn account_of(&self, objects: &Objects, access: &Access) -> Option<Account> {
        let principal = principal_of(access)?;
        let mut found = self.accounts.get(&principal)?.iter().filter(|account| {
            let key = key_of(account);
            // What stood in the first version that was seen is not known to have been otherwise.
            let version = objects.at(&key, access.time).or_else(|| objects.history(&key).first());
            version.is_some_and(|version| principals(&version.content).contains(&principal))
        });
        found.next().filter(|_| found.next().is_none()).cloned()
    }

    /// The principals that `account` was ever annotated with.
    pub(crate) fn of_account(&self, account: &Account) -> impl Iterator<Item = &String> {
        self.principals.get(account).into_iter().flatten()
    }
}

/// The principal that acted in a cloud, as annotations name it.
pub(crate) fn principal_of(access: &Access) -> Option<String> {
    let is_cloud = matches!(access.provider, Provider::Aws | Provider::Gcp | Provider::Azure);
    access.identity.as_deref().filter(|_| is_cloud).map(principal)
}

/// The principals in the annotations of a `ServiceAccount`.
fn principals(content: &Content) -> BTreeSet<String> {
    let Some(seen) = content.seen() else { return BTreeSet::new() };
    let annotations = &seen.body.metadata.annotations;
    let client = annotations.client_id.as_ref().map(|id| format!("appid:{id}"));
    let named = [&annotations.role_arn, &annotations.google_account, &client];
    named.into_iter().flatten().map(|name| principal(name)).collect()
}

/// The account that `key` stands for, if it is one.
pub(crate) fn account(key: &ObjectKey) -> Option<Account> {
    let namespace = key.namespace.clone().filter(|_| key.kind == "ServiceAccount")?;
    Some(((key.cluster.clone(), namespace), key.name.clone()))
}

fn key_of(((cluster, namespace), name): &Account) -> ObjectKey {
    ObjectKey {
        cluster: cluster.clone(),
        kind: "ServiceAccount".to_owned(),
        namespace: Some(namespace.clone()),
        name: name.clone(),
    }
}
