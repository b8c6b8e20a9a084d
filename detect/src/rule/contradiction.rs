//! What an identity says of itself that cannot be true together.

use durward_schemas::tables::Access;
use durward_schemas::values::CredentialKind;

const ALL_ACCOUNTS: &str = "system:serviceaccounts";
const ANYBODY: &str = "system:authenticated";

/// The contradictions of name, groups and credential, each in a word. What was not seen contradicts nothing.
/// <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>
pub(crate) fn contradictions(row: &Access) -> Vec<&'static str> {
    let Some(name) = row.identity.as_deref() else { return Vec::new() };
    let groups = row.groups.as_deref().unwrap_or_default();
    let has = |group: &str| groups.iter().any(|other| other == group);
    let lacks = |group: &str| !groups.is_empty() && !has(group);
    let by =
        |kinds: &[CredentialKind]| row.credential_kind.is_some_and(|kind| kinds.contains(&kind));
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let namespace = account.map(|(namespace, _)| namespace);
    let is_node = name.starts_with("system:node:");
    let of_another_namespace = groups
        .iter()
        .filter_map(|group| group.strip_prefix(ALL_ACCOUNTS)?.strip_prefix(':'))
        .any(|of| namespace != Some(of));
    let tokens = [CredentialKind::BoundToken, CredentialKind::LegacyToken];
    let all = [
        (
            account.is_some() && by(&[CredentialKind::ClientCertificate]),
            "certificate of a ServiceAccount",
        ),
        (account.is_some() && lacks(ALL_ACCOUNTS), "ServiceAccount outside of its group"),
        (of_another_namespace, "group of another namespace"),
        (is_node && by(&tokens), "token of a node"),
        (is_node && lacks("system:nodes"), "node outside of its group"),
        (name == "system:anonymous" && has(ANYBODY), "anonymous and authenticated"),
    ];
    all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, groups: &[&str], kind: Option<CredentialKind>, expected: &[&str]) {
        let row = Access {
            identity: Some(name.into()),
            groups: Some(groups.iter().map(|&group| group.into()).collect()),
            credential_kind: kind,
            ..Access::default()
        };
        assert_eq!(contradictions(&row), expected, "{name} {groups:?}");
        let unseen = Access { groups: None, credential_kind: None, ..row };
        assert_eq!(contradictions(&unseen), Vec::<&str>::new(), "{name}");
    }

    /// Scenario: every name with groups and credentials that fit, that do not, and that were not seen.
    /// Guarantees: only what was seen contradicts.
    #[test]
    fn only_what_was_seen_contradicts() {
        let cart = "system:serviceaccount:shop:cart";
        let fits =
            ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"];
        let certificate = Some(CredentialKind::ClientCertificate);
        let token = Some(CredentialKind::BoundToken);
        check(cart, &fits, token, &[]);
        check(cart, &fits, None, &[]);
        check(cart, &[], token, &[]);
        check(cart, &fits, certificate, &["certificate of a ServiceAccount"]);
        check(cart, &["system:authenticated"], token, &["ServiceAccount outside of its group"]);
        check(
            cart,
            &["system:serviceaccounts", "system:serviceaccounts:ops"],
            token,
            &["group of another namespace"],
        );
        check("alice", &["system:serviceaccounts:shop"], None, &["group of another namespace"]);
        check("alice", &["system:authenticated"], certificate, &[]);
        check("system:node:n1", &["system:nodes"], certificate, &[]);
        check("system:node:n1", &["system:nodes"], token, &["token of a node"]);
        check(
            "system:node:n1",
            &["system:authenticated"],
            certificate,
            &["node outside of its group"],
        );
        check("system:anonymous", &["system:unauthenticated"], None, &[]);
        check(
            "system:anonymous",
            &["system:unauthenticated", "system:authenticated"],
            None,
            &["anonymous and authenticated"],
        );
    }
}
