//! Whose story a row belongs to: the root identity of its credential's lineage.

use durward_schemas::Identity;
use durward_schemas::shares;
use durward_schemas::tables::{Access, Credential};
use durward_schemas::values::IdentityKind;
use serde::{Deserialize, Serialize};

use crate::detector::is_issuer;
use crate::memory::{Look, Memory};

/// Credentials whose minting is remembered.
const MOST: usize = 50_000;

/// Whose story a row belongs to, and the credentials that lead there, its own first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    pub story: Option<String>,
    pub credentials: Vec<String>,
}

/// A chain longer than this is a loop or an attack on the reader.
const LONGEST: usize = 16;

/// Who minted which credential with which.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Lineage {
    minted: Memory<(String, String), (String, Option<String>)>,
}

impl Default for Lineage {
    fn default() -> Self {
        Self { minted: Memory::of(MOST) }
    }
}

impl Lineage {
    /// Its memory.
    pub(crate) fn memories(&self, look: Look<'_>) {
        look("mintings", &self.minted);
    }

    /// Takes note of a minting.
    pub(crate) fn learn(&mut self, credential: &Credential) {
        if let Some(minter) = &credential.issued_by {
            let key = (cluster(credential.cluster.as_ref()), credential.credential_id.to_string());
            let with = credential.issued_by_credential_id.as_ref().map(ToString::to_string);
            let owner = shares::owner(&[&key.0, minter]);
            self.minted.insert(key, &owner, (minter.clone(), with));
        }
    }

    /// The workload that began the minting which led to the row's credential, if another one used it.
    pub(crate) fn root(&self, row: &Access) -> Option<String> {
        row.minted_by.as_ref()?;
        self.origin(row).story.filter(|story| row.identity.as_ref() != Some(story))
    }

    /// Where the story of a row began: the identity at the root of its credential's lineage.
    ///
    /// A node or the controller manager that gives a workload its token is not its root: it is how
    /// every workload gets one. A person is no root either: what was done with a token that a person
    /// once had minted is the story of the token's holder, not of that person's day.
    pub(crate) fn origin(&self, row: &Access) -> Origin {
        let mut origin = Origin { story: row.identity.clone(), credentials: Vec::new() };
        let mut credential = row.credential_id.as_ref().map(ToString::to_string);
        let mut minter = row.minted_by.clone();
        let mut with = row.minted_by_credential_id.as_ref().map(ToString::to_string);
        for _ in 0..LONGEST {
            if let Some(id) = credential.take() {
                let key = (cluster(row.cluster.as_ref()), id);
                if let Some(known) = self.minted.peek(&key) {
                    (minter, with) = (Some(known.0.clone()), known.1.clone());
                }
                origin.credentials.push(key.1);
            }
            match minter.take().filter(|minter| is_workload(minter)) {
                Some(minter) => origin.story = Some(minter),
                None => break,
            }
            credential = with.take();
        }
        origin
    }
}

/// Whether what a minter does with a minted token is the minter's own story.
fn is_workload(minter: &str) -> bool {
    let kind = Identity::kubernetes(None, minter).kind;
    !is_issuer(minter)
        && !matches!(kind, IdentityKind::User | IdentityKind::Anonymous | IdentityKind::System)
}

fn cluster(cluster: Option<&String>) -> String {
    cluster.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(id: &str, minter: &str, with: &str) -> Credential {
        Credential {
            credential_id: id.into(),
            issued_by: Some(minter.into()),
            issued_by_credential_id: Some(with.into()),
            ..Credential::default()
        }
    }

    fn check(id: &str, user: &str, expected: &str) {
        let mut lineage = Lineage::default();
        lineage.learn(&credential("pod", "system:node:n1", "kubelet"));
        lineage.learn(&credential("second", "system:serviceaccount:ops:backup", "pod"));
        lineage.learn(&credential("third", "system:serviceaccount:payments:ledger", "second"));
        lineage.learn(&credential("loop", "system:serviceaccount:shop:loop", "loop"));
        lineage.learn(&credential("ci", "alice", "certificate"));
        lineage.learn(&credential("by ci", "system:serviceaccount:ops:ci", "ci"));
        let row = Access {
            identity: Some(user.into()),
            credential_id: Some(id.into()),
            ..Access::default()
        };
        assert_eq!(lineage.origin(&row).story.as_deref(), Some(expected), "{id}");
    }

    /// Scenario: tokens minted by a kubelet, by a workload, by a minted token, by a person, and by itself.
    /// Guarantees: the root is the workload that began to mint for others; kubelets and persons are no root; a loop ends.
    #[test]
    fn the_root_is_who_began() {
        let backup = "system:serviceaccount:ops:backup";
        check("pod", backup, backup);
        check("second", "system:serviceaccount:payments:ledger", backup);
        check("third", "x", backup);
        check("loop", "y", "system:serviceaccount:shop:loop");
        check("ci", "system:serviceaccount:ops:ci", "system:serviceaccount:ops:ci");
        check("by ci", "system:serviceaccount:shop:cart", "system:serviceaccount:ops:ci");
        check("unknown", "alice", "alice");
    }
}
