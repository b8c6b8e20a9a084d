//! Rows in words, for reasons and alerts. Escaping is left to where the words are shown.

use durward_schemas::Identity;
use durward_schemas::tables::Access;
use durward_schemas::time::{DAY, HOUR, MINUTE, SECOND};
use durward_schemas::values::{Decision, IdentityKind};

use crate::rule::source::came_to_nothing;

/// Groups that somebody acts in, as many as a sentence names.
const MOST_GROUPS: usize = 4;

/// `ServiceAccount shop/cart`, `user alice`, `node node-3`.
pub(crate) fn identity(kind: IdentityKind, name: Option<&str>) -> String {
    let identity = Identity { kind, realm: None, name: name.map(Into::into) };
    match kind {
        IdentityKind::ServiceAccount => format!("ServiceAccount {}", identity.short()),
        IdentityKind::User => format!("user {}", identity.short()),
        IdentityKind::Unauthenticated => "somebody without a valid credential".into(),
        _ => identity.short(),
    }
}

/// A canonical Kubernetes name in words.
pub(crate) fn kubernetes(name: &str) -> String {
    identity(Identity::kubernetes(None, name).kind, Some(name))
}

/// Who a row is by, with the pod and workload that held the credential.
pub(crate) fn who(row: &Access) -> String {
    let mut who = identity(row.identity_kind, row.identity.as_deref());
    if let Some(other) = row.impersonated_identity.as_ref().filter(|_| !may_not_act(row)) {
        who = format!("{who} as {}", kubernetes(other));
        let groups = row.impersonated_groups.as_deref().unwrap_or_default();
        // Whoever impersonates is put into it without asking.
        let groups: Vec<_> =
            groups.iter().filter(|group| *group != "system:authenticated").collect();
        let named: Vec<_> = groups.iter().take(MOST_GROUPS).map(|group| group.as_str()).collect();
        if !named.is_empty() {
            let more = groups.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            who = format!("{who} of {}{more}", named.join(", "));
        }
    }
    match (&row.pod, &row.workload, &row.workload_kind) {
        (Some(pod), Some(workload), Some(kind)) => format!("{who}, pod {pod} of {kind} {workload}"),
        (Some(pod), ..) => format!("{who}, pod {pod}"),
        _ => who,
    }
}

/// Whether the refusal is that of acting as somebody else.
fn may_not_act(row: &Access) -> bool {
    row.decision == Decision::Deny && row.decided_by.as_deref() == Some("impersonation")
}

/// `listed secrets in payments`, `was refused to get nodes/node-1`.
pub(crate) fn deed(row: &Access) -> String {
    let verb = row.verb.as_deref().unwrap_or("asked");
    let object = object(row);
    if may_not_act(row) {
        let group = || {
            format!(
                "somebody of {}",
                row.impersonated_groups.clone().unwrap_or_default().join(", ")
            )
        };
        let other = row.impersonated_identity.as_deref().map_or_else(group, kubernetes);
        return format!("was refused to act as {other} and {verb} {object}");
    }
    if row.decision == Decision::Deny {
        return format!("was refused to {verb} {object}");
    }
    if let Some(failure) = failure(row) {
        let asked = if verb == "get" { "asked for".to_owned() } else { format!("asked to {verb}") };
        return format!("{asked} {object} ({failure})");
    }
    let is_minting = (row.resource.as_deref(), row.subresource.as_deref())
        == (Some("serviceaccounts"), Some("token"));
    if let Some(name) = row.object_name.as_ref().filter(|_| is_minting) {
        let namespace = row.object_namespace.as_deref().unwrap_or_default();
        return format!("minted a token of ServiceAccount {namespace}/{name}");
    }
    // These verbs say how the connection was asked for, not what was done.
    let done = match row.subresource.as_deref().unwrap_or_default() {
        "exec" => "ran a command by",
        "attach" | "portforward" | "proxy" => "connected by",
        "ephemeralcontainers" => "added a debug container by",
        _ => past(verb),
    };
    if done.is_empty() { format!("did {verb} {object}") } else { format!("{done} {object}") }
}

/// How a request that was let through came to nothing.
fn failure(row: &Access) -> Option<String> {
    if !came_to_nothing(row) {
        return (row.status_code == Some(504)).then(|| "it may not be done".to_owned());
    }
    let failure = match row.status_code {
        Some(404 | 410) => "it was not there".to_owned(),
        Some(code) => format!("it failed with {code}"),
        None => "it failed".to_owned(),
    };
    Some(failure)
}

/// The verb in the past; empty for one that is not known.
fn past(verb: &str) -> &'static str {
    match verb {
        "get" => "read",
        "list" => "listed",
        "watch" => "watched",
        "create" => "created",
        "update" | "patch" => "changed",
        "delete" | "deletecollection" => "deleted",
        "asked" => "asked for",
        _ => "",
    }
}

/// `secrets payments/ledger-db`, `pods/exec shop/cart-5hcp2`, `/metrics`.
pub(crate) fn object(row: &Access) -> String {
    let Some(resource) = &row.resource else {
        let uri = row.request_uri.as_deref().unwrap_or("a path");
        return uri.split('?').next().unwrap_or(uri).to_owned();
    };
    let what = match &row.subresource {
        Some(subresource) => format!("{resource}/{subresource}"),
        None => resource.clone(),
    };
    match (&row.object_namespace, &row.object_name) {
        (Some(namespace), Some(name)) => format!("{what} {namespace}/{name}"),
        (Some(namespace), None) => format!("{what} in {namespace}"),
        (None, Some(name)) => format!("{what} {name}"),
        (None, None) => what,
    }
}

/// Where a row came from.
pub(crate) fn place(row: &Access) -> &str {
    row.source_ip.as_deref().unwrap_or("an unknown address")
}

/// A span of time in its largest sensible unit: `6 min`, `3 h`, `2 days`.
pub(crate) fn duration(micros: i64) -> String {
    let micros = micros.max(0);
    match micros {
        0..SECOND => format!("{} ms", micros / 1000),
        SECOND..MINUTE => format!("{} s", micros / SECOND),
        MINUTE..HOUR => format!("{} min", micros / MINUTE),
        HOUR..DAY => format!("{} h", micros / HOUR),
        _ => format!("{} days", micros / DAY),
    }
}

/// `1 token`, `3 tokens`.
pub(crate) fn count(number: i64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// 1st, 2nd, 3rd.
pub(crate) fn ordinal(number: i64) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: numbers and spans as they occur.
    /// Guarantees: they read as English.
    #[test]
    fn numbers_read_as_english() {
        let ordinals = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal);
        let expected =
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"];
        assert_eq!(ordinals, expected);
        let spans = [3_000, 4 * SECOND, 6 * MINUTE, 90 * MINUTE, 3 * DAY].map(duration);
        assert_eq!(spans, ["3 ms", "4 s", "6 min", "1 h", "3 days"]);
        assert_eq!((count(1, "token"), count(0, "token")), ("1 token".into(), "0 tokens".into()));
    }

    /// Scenario: rows of every shape.
    /// Guarantees: each is a sentence's subject and predicate.
    #[test]
    fn rows_become_words() {
        let text = |text: &str| Some(text.to_owned());
        let row = Access {
            identity: text("system:serviceaccount:shop:cart"),
            identity_kind: IdentityKind::ServiceAccount,
            pod: text("cart-1"),
            verb: text("get"),
            resource: text("secrets"),
            object_namespace: text("shop"),
            object_name: text("cart-redis"),
            ..Access::default()
        };
        assert_eq!(who(&row), "ServiceAccount shop/cart, pod cart-1");
        assert_eq!(deed(&row), "read secrets shop/cart-redis");
        let exec = Access { subresource: text("exec"), resource: text("pods"), ..row.clone() };
        assert_eq!(deed(&exec), "ran a command by pods/exec shop/cart-redis");
        let answered = |verb: &str, code: i64| {
            let row = Access { verb: text(verb), status_code: Some(code), ..row.clone() };
            deed(&row)
        };
        assert_eq!(answered("get", 200), "read secrets shop/cart-redis");
        assert_eq!(answered("get", 404), "asked for secrets shop/cart-redis (it was not there)");
        assert_eq!(
            answered("list", 500),
            "asked to list secrets shop/cart-redis (it failed with 500)"
        );
        assert_eq!(
            answered("create", 409),
            "asked to create secrets shop/cart-redis (it failed with 409)"
        );
        assert_eq!(
            answered("create", 504),
            "asked to create secrets shop/cart-redis (it may not be done)"
        );
        let refused = Access { decision: Decision::Deny, ..row };
        assert_eq!(deed(&refused), "was refused to get secrets shop/cart-redis");
        let path =
            Access { request_uri: text("/metrics?x=1"), verb: text("get"), ..Access::default() };
        assert_eq!(deed(&path), "read /metrics");
    }
}
