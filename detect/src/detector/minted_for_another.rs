//! A token that one identity minted for another, and that is used.
//!
//! Workloads get their tokens from their node; people ask for one now and then. A workload that
//! mints for another workload hands itself that workload's rights.

use durward_schemas::Identity;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, IdentityKind, Provider, severity};

use crate::detector::{Detector, Hit, Seen, is_issuer};
use crate::escape::{query, sql};
use crate::sentence;
use crate::settings::Settings;

/// Finds uses of tokens that were minted for another.
#[derive(Debug)]
pub(crate) struct MintedForAnother {
    issuers: Vec<String>,
}

impl MintedForAnother {
    /// `issuers` may mint for others.
    pub(crate) fn new(issuers: Vec<String>) -> Self {
        Self { issuers }
    }

    fn severity(&self, row: &Access, minter: &str) -> Option<i64> {
        let holder = row.identity.as_deref()?;
        if minter == holder || self.issuers.iter().any(|issuer| issuer == minter) {
            return None;
        }
        if is_issuer(minter) {
            return node_of_another_pod(row, minter).then_some(severity::HIGH);
        }
        // A new node asks for its certificate with a token that it was given to join.
        if row.identity_kind == IdentityKind::Node && minter.starts_with("system:bootstrap:") {
            return None;
        }
        let minter = Identity::kubernetes(None, minter);
        let namespace =
            |identity: &Identity| identity.service_account().map(|(ns, _)| ns == "kube-system");
        match minter.kind {
            IdentityKind::User if row.pod.is_none() => Some(severity::INFORMATIONAL),
            IdentityKind::User => Some(severity::LOW),
            _ if namespace(&minter) == Some(true) && namespace(&row.who()) == Some(true) => None,
            _ => Some(severity::HIGH),
        }
    }
}

/// Whether `minter` is a node that minted for a pod which does not run on it.
///
/// Tokens name their node since Kubernetes 1.30; where they do not, nothing is said.
/// <https://github.com/kubernetes/enhancements/tree/master/keps/sig-auth/4193-bound-service-account-token-improvements>
fn node_of_another_pod(row: &Access, minter: &str) -> bool {
    let runs_on = row.node.as_deref().filter(|_| row.pod.is_some());
    match (minter.strip_prefix("system:node:"), runs_on) {
        (Some(minter), Some(node)) => minter != node,
        _ => false,
    }
}

impl Detector for MintedForAnother {
    fn name(&self) -> &'static str {
        "minted_for_another"
    }

    fn configure(&mut self, settings: &Settings) {
        self.issuers.clone_from(&settings.token_issuers);
    }

    /// A token that mints for its own holder hides who minted the first one.
    fn judge(&mut self, seen: Seen<'_>) -> Vec<Hit> {
        let row = seen.row;
        let first = row.minted_by.as_deref().and_then(|minter| self.minted_by(row, minter));
        let root = || self.minted_by(row, &seen.root()?);
        first.or_else(root).into_iter().collect()
    }

    fn judges_again(&self) -> bool {
        true
    }
}

impl MintedForAnother {
    /// What is off about a credential that goes back to `minter`.
    fn minted_by(&self, row: &Access, minter: &str) -> Option<Hit> {
        let credential = row.credential_id.as_ref()?;
        // A session of a cloud is always minted by another: that is what assuming a role means. EKS
        // lets it in, too.
        let of_cloud = [CredentialKind::CloudSession, CredentialKind::CloudStaticKey];
        let is_of_cloud = row.credential_kind.is_some_and(|kind| of_cloud.contains(&kind));
        if row.provider != Provider::Kubernetes || is_of_cloud || !row.judged {
            return None;
        }
        let severity_id = self.severity(row, minter)?;
        let (who, deed, place) = (sentence::who(row), sentence::deed(row), sentence::place(row));
        let is_first = row.minted_by.as_deref() == Some(minter);
        let minter = sentence::kubernetes(minter);
        let ago =
            row.credential_issued_time.map(|issued| sentence::duration(row.time.since(issued)));
        let mut ago = ago.map(|ago| format!(" {ago} before")).unwrap_or_default();
        if !is_first {
            // The time is that of the last credential, not of the one that this minter asked for.
            ago = String::from(", by way of other tokens");
        }
        let (noun, proof, done) = match (row.credential_kind, row.pod.is_some()) {
            (Some(CredentialKind::ClientCertificate), _) => {
                ("Certificate", "a certificate", "asked for")
            }
            (_, true) => ("Token", "a token, bound to a pod,", "minted"),
            (_, false) => ("Token", "a token, bound to no pod,", "minted"),
        };
        Some(Hit {
            anchor: credential.to_string(),
            title: format!("{noun} minted for another identity is used"),
            reason: format!("{who} {deed} from {place} with {proof} that {minter} had {done}{ago}"),
            severity_id,
            techniques: vec!["T1528".into(), "T1550.001".into()],
            next_step: query(&format!(
                "SELECT time, source_ip, verb, resource, object_namespace, object_name, status_code FROM correlated_events WHERE credential_id = {} ORDER BY time",
                sql(credential.as_str())
            )),
            ..Hit::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(minter: &str, holder: &str, pod_on: Option<&str>, expected: Option<i64>) {
        let who = Identity::kubernetes(None, holder);
        let row = Access {
            judged: true,
            identity: who.name.clone(),
            identity_kind: who.kind,
            credential_id: Some("JTI=1".into()),
            credential_kind: Some(CredentialKind::BoundToken),
            minted_by: Some(minter.into()),
            pod: pod_on.map(|_| "pod".into()),
            node: pod_on.filter(|node| !node.is_empty()).map(Into::into),
            ..Access::default()
        };
        let issuers = vec!["system:serviceaccount:vault:vault".into()];
        let hits = MintedForAnother::new(issuers).judge(Seen::of(&row));
        assert_eq!(hits.first().map(|hit| hit.severity_id), expected, "{minter} for {holder}");
    }

    /// Scenario: everybody who mints tokens, for themselves and for others.
    /// Guarantees: workloads that mint for another are grave, people are not, issuers are nothing.
    #[test]
    fn who_mints_decides() {
        let cart = "system:serviceaccount:shop:cart";
        let backup = "system:serviceaccount:ops:backup";
        let system = "system:serviceaccount:kube-system:cloud-provider";
        check(backup, cart, None, Some(severity::HIGH));
        check(backup, cart, Some("node-1"), Some(severity::HIGH));
        check(cart, cart, None, None);
        check("alice", cart, None, Some(severity::INFORMATIONAL));
        check("alice", cart, Some("node-1"), Some(severity::LOW));
        check("system:node:node-1", cart, Some("node-1"), None);
        check("system:node:node-2", cart, Some("node-1"), Some(severity::HIGH));
        // Before Kubernetes 1.30 a token does not say where its pod runs.
        check("system:node:node-2", cart, Some(""), None);
        check("system:kube-controller-manager", system, None, None);
        check(system, "system:serviceaccount:kube-system:job-controller", None, None);
        check(system, cart, None, Some(severity::HIGH));
        check("system:serviceaccount:vault:vault", cart, None, None);
    }

    /// Scenario: certificates that a new node, a workload and a person asked for, in another's name.
    /// Guarantees: nodes that join are nothing; the sentence speaks of a certificate.
    #[test]
    fn certificates_are_minted_too() {
        let hit = |minter: &str, holder: &str| {
            let who = Identity::kubernetes(None, holder);
            let row = Access {
                judged: true,
                identity: who.name.clone(),
                identity_kind: who.kind,
                credential_id: Some("X509SHA256=1".into()),
                credential_kind: Some(CredentialKind::ClientCertificate),
                minted_by: Some(minter.into()),
                ..Access::default()
            };
            MintedForAnother::new(Vec::new()).judge(Seen::of(&row)).pop()
        };
        assert_eq!(hit("system:bootstrap:abcdef", "system:node:node-9"), None);
        let by_workload = hit("system:serviceaccount:shop:cart", "system:node:node-9").unwrap();
        assert_eq!(by_workload.severity_id, severity::HIGH);
        assert!(
            by_workload
                .reason
                .contains("a certificate that ServiceAccount shop/cart had asked for")
        );
        assert_eq!(hit("alice", "mallory").unwrap().severity_id, severity::INFORMATIONAL);
    }

    /// Scenario: EKS lets in the session of a role, which a ServiceAccount was given.
    /// Guarantees: it is no token that was minted for another.
    #[test]
    fn sessions_of_clouds_are_no_tokens() {
        let row = |kind| Access {
            judged: true,
            identity: Some("arn:aws:sts::1:assumed-role/web/s".into()),
            identity_kind: IdentityKind::User,
            credential_id: Some("ASIAIOSFODNN7EXAMPLE".into()),
            credential_kind: Some(kind),
            minted_by: Some("system:serviceaccount:shop:cart".into()),
            ..Access::default()
        };
        let hits = |kind| MintedForAnother::new(Vec::new()).judge(Seen::of(&row(kind))).len();
        assert_eq!((hits(CredentialKind::CloudSession), hits(CredentialKind::BoundToken)), (0, 1));
    }
}
