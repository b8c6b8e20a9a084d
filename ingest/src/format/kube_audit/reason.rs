//! Who RBAC says let a request in: the text of `authorization.k8s.io/reason` in, names out.
//!
//! `RBAC: allowed by RoleBinding "name/namespace" of Role "role" to ServiceAccount "name/namespace"`,
//! quoted as Go does. It names one sufficient binding, not all.
//! <https://github.com/kubernetes/kubernetes/blob/master/pkg/registry/rbac/validation/rule.go>

use super::super::go;

/// What the reason names, as the columns write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    /// `ClusterRoleBinding/name` or `RoleBinding/namespace/name`.
    pub(super) binding: String,
    /// `ClusterRole/name` or `Role/namespace/name`.
    pub(super) role: String,
    /// `ServiceAccount/namespace/name`, `User/name` or `Group/name`.
    pub(super) subject: String,
}

/// Reads an RBAC reason; `None` for those of other authorizers.
pub(super) fn parse(reason: &str) -> Option<Decided> {
    let rest = reason.strip_prefix("RBAC: allowed by ")?;
    let (kind, rest) = rest.split_once(' ')?;
    let (name, rest) = go::unquote(rest)?;
    let (binding, namespace) = match kind {
        "ClusterRoleBinding" => (format!("{kind}/{name}"), None),
        // A namespace has no slash, a name has none either: the last one parts them.
        "RoleBinding" => {
            let (name, namespace) = name.rsplit_once('/')?;
            (format!("{kind}/{namespace}/{name}"), Some(namespace.to_owned()))
        }
        _ => return None,
    };
    let (kind, rest) = rest.strip_prefix(" of ")?.split_once(' ')?;
    let (name, rest) = go::unquote(rest)?;
    let role = match (kind, namespace) {
        ("Role", Some(namespace)) => format!("{kind}/{namespace}/{name}"),
        _ => format!("{kind}/{name}"),
    };
    let (kind, rest) = rest.strip_prefix(" to ")?.split_once(' ')?;
    let (name, _) = go::unquote(rest)?;
    let subject = match (kind, name.rsplit_once('/')) {
        ("ServiceAccount", Some((name, namespace))) => format!("{kind}/{namespace}/{name}"),
        _ => format!("{kind}/{name}"),
    };
    Some(Decided { binding, role, subject })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reason: &str, expect: Option<[&str; 3]>) {
        let expect = expect.map(|[binding, role, subject]| Decided {
            binding: binding.into(),
            role: role.into(),
            subject: subject.into(),
        });
        assert_eq!(parse(reason), expect, "{reason}");
    }

    /// Scenario: reasons as API servers write them, of RBAC and others, with hostile names.
    /// Guarantees: binding, role and subject in the usual order of namespace and name, or nothing.
    #[test]
    fn reasons_name_the_binding() {
        check(
            r#"RBAC: allowed by ClusterRoleBinding "backup" of ClusterRole "reader" to ServiceAccount "backup/ops""#,
            Some(["ClusterRoleBinding/backup", "ClusterRole/reader", "ServiceAccount/ops/backup"]),
        );
        check(
            r#"RBAC: allowed by RoleBinding "ledger/payments" of Role "ledger" to User "eve""#,
            Some(["RoleBinding/payments/ledger", "Role/payments/ledger", "User/eve"]),
        );
        check(
            r#"RBAC: allowed by RoleBinding "developers/shop" of ClusterRole "edit" to Group "shop:developers""#,
            Some(["RoleBinding/shop/developers", "ClusterRole/edit", "Group/shop:developers"]),
        );
        check(
            r#"RBAC: allowed by ClusterRoleBinding "a\" of \u202e\x00" of ClusterRole "b" to Group "c""#,
            Some(["ClusterRoleBinding/a\" of \u{202e}\0", "ClusterRole/b", "Group/c"]),
        );
        for other in [
            "",
            "RBAC: clusterrole.rbac.authorization.k8s.io \"x\" not found",
            "access granted by IAM permissions.",
        ] {
            check(other, None);
        }
        check(r#"RBAC: allowed by ClusterRoleBinding "cut"#, None);
    }
}
