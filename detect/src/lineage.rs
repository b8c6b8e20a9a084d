//! Whose story a row belongs to: the root identity of its credential's lineage.

use durward_schemas::tables::{Access, Credential};
use serde::{Deserialize, Serialize};

use crate::detector::is_issuer;
use crate::memory::Memory;

/// Credentials whose minting is remembered.
const MOST: usize = 50_000;

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
    /// Takes note of a minting.
    pub(crate) fn learn(&mut self, credential: &Credential) {
        if let Some(minter) = &credential.issued_by {
            let key = (cluster(credential.cluster.as_ref()), credential.credential_id.to_string());
            let with = credential.issued_by_credential_id.as_ref().map(ToString::to_string);
            self.minted.insert(key, (minter.clone(), with));
        }
    }

    /// The identity at the root of the lineage of the row's credential, else the row's own.
    ///
    /// A node or the controller manager that gives a workload its token is not its root: it is
    /// how every workload gets one.
    pub(crate) fn root(&self, row: &Access) -> Option<String> {
        let mut root = row.identity.clone();
        let mut credential = row.credential_id.as_ref().map(ToString::to_string);
        let mut minter = row.minted_by.clone();
        let mut with = row.minted_by_credential_id.as_ref().map(ToString::to_string);
        for _ in 0..LONGEST {
            if let Some(known) = credential
                .take()
                .and_then(|id| self.minted.peek(&(cluster(row.cluster.as_ref()), id)))
            {
                (minter, with) = (Some(known.0.clone()), known.1.clone());
            }
            match minter.take().filter(|minter| !is_issuer(minter)) {
                Some(minter) => root = Some(minter),
                None => break,
            }
            credential = with.take();
        }
        root
    }
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
        lineage.learn(&credential("loop", "somebody", "loop"));
        let row = Access {
            identity: Some(user.into()),
            credential_id: Some(id.into()),
            ..Access::default()
        };
        assert_eq!(lineage.root(&row).as_deref(), Some(expected), "{id}");
    }

    /// Scenario: tokens minted by a kubelet, by a workload, by a minted token, and by itself.
    /// Guarantees: the root is who began to mint for others; kubelets are no root; a loop ends.
    #[test]
    fn the_root_is_who_began() {
        let backup = "system:serviceaccount:ops:backup";
        check("pod", backup, backup);
        check("second", "system:serviceaccount:payments:ledger", backup);
        check("third", "x", backup);
        check("loop", "y", "somebody");
        check("unknown", "alice", "alice");
    }
}
