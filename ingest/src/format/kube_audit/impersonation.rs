//! Whom somebody may not act as: the server's message in, whom he asked for out.
//!
//! A refused impersonation ends before the request is authorized, so its event has no decision, and names in no
//! other field whom it was about: `users "bob" is forbidden: User "alice" cannot impersonate resource "users" in API
//! group "" at the cluster scope`.
//! <https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/filters/impersonation.go>

use durward_schemas::tables::Access;

use super::super::go;

/// What decided: the refusal is no answer to what was asked for.
const DECIDED_BY: &str = "impersonation";

/// Whom somebody asked to act as.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// A user, or a `ServiceAccount` by its user name.
    Identity(String),
    Group(String),
    /// A UID or an extra field.
    Other,
}

/// Reads the message of a refusal; `None` for those of other requests.
fn refused(message: &str) -> Option<Refused> {
    let (before, after) = message.split_once("\" cannot impersonate")?;
    let named =
        before.split_once(' ').and_then(|(resource, rest)| Some((resource, go::unquote(rest)?.0)));
    let in_namespace =
        after.split_once(" in the namespace ").and_then(|(_, rest)| go::unquote(rest));
    Some(match (named, in_namespace) {
        (Some(("users", name)), _) => Refused::Identity(name),
        (Some(("groups", name)), _) => Refused::Group(name),
        (Some(("serviceaccounts", name)), Some((namespace, _))) => {
            Refused::Identity(format!("system:serviceaccount:{namespace}:{name}"))
        }
        _ => Refused::Other,
    })
}

/// Fills in what the message of a refusal says of an impersonation.
pub(super) fn fill(access: &mut Access, message: &str) {
    let Some(refused) = refused(message) else { return };
    access.decided_by = Some(DECIDED_BY.to_owned());
    access.decision_reason = Some(message.to_owned());
    match refused {
        Refused::Identity(name) => {
            access.impersonated_identity.get_or_insert(name);
        }
        Refused::Group(name) => {
            access.impersonated_groups.get_or_insert_with(|| vec![name]);
        }
        Refused::Other => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: refusals of a user, a group, a ServiceAccount, an extra field, and of what somebody asked for
    /// himself.
    /// Guarantees: whom he asked to act as, where the message names somebody.
    #[test]
    fn whom_somebody_may_not_act_as_is_in_the_message() {
        let check = |message: &str, expect: Option<Refused>| {
            assert_eq!(refused(message), expect, "{message}");
        };
        check(
            r#"users "bob" is forbidden: User "alice" cannot impersonate resource "users" in API group "" at the cluster scope"#,
            Some(Refused::Identity("bob".to_owned())),
        );
        check(
            r#"groups "system:masters" is forbidden: User "alice" cannot impersonate resource "groups" in API group "" at the cluster scope"#,
            Some(Refused::Group("system:masters".to_owned())),
        );
        check(
            r#"serviceaccounts "ledger" is forbidden: User "alice" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "payments""#,
            Some(Refused::Identity("system:serviceaccount:payments:ledger".to_owned())),
        );
        check(
            r#"userextras.authentication.k8s.io "x" is forbidden: User "alice" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io" at the cluster scope"#,
            Some(Refused::Other),
        );
        check(
            r#"secrets "x" is forbidden: User "alice" cannot get resource "secrets" in API group "" in the namespace "a""#,
            None,
        );
    }
}
