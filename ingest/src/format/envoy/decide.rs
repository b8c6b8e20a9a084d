//! What a proxy decided: why it says an answer was as it was in, a decision out.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details>

use durward_schemas::values::Decision;
use serde_json::{Map, Value};

use super::super::mesh::Named;
use super::names::{DETAILS, DOWNSTREAM_FAILURE, ERRORS, TERMINATION, UPSTREAM_FAILURE};

/// What a filter for roles wrote into the metadata of a request.
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rbac_filter#dynamic-metadata>
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Rbac {
    allowed: Option<bool>,
    policy: Option<String>,
}

/// What a line says of why.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts<'a> {
    pub(super) code: Option<i64>,
    pub(super) flags: Option<&'a str>,
    /// How a call of gRPC ended, by name or number.
    pub(super) grpc: Option<&'a str>,
    pub(super) details: Option<&'a str>,
    pub(super) termination: Option<&'a str>,
    pub(super) downstream_failure: Option<&'a str>,
    pub(super) upstream_failure: Option<&'a str>,
    /// What ztunnel says of a connection that ended badly.
    pub(super) error: Option<&'a str>,
    /// The field that says that the peer showed nothing, or no proof, where no reason of the transport
    /// does.
    pub(super) unproven: Option<&'static [&'static str]>,
    pub(super) has_upstream: bool,
    /// Whether it is said that no upstream was asked: the answer is the proxy's own.
    pub(super) is_local: bool,
    /// Whether the line is of the beginning, before anything was decided.
    pub(super) is_beginning: bool,
    pub(super) rbac: Rbac,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) by: Option<String>,
    /// The field that holds the reason.
    pub(super) reason_from: &'static [&'static str],
}

impl Facts<'_> {
    /// Whether the peer did not prove who it is. Proxies that know no reason of the transport write
    /// why the connection ended.
    pub(super) fn has_failed_handshake(&self) -> bool {
        const OF_TLS: &[&str] = &["TLS_error", "TLS error", "SSL_routines", "transport_socket"];
        let of_tls = |text: &str| OF_TLS.iter().any(|what| text.contains(what));
        self.downstream_failure.is_some()
            || self.unproven.is_some()
            || self.termination.is_some_and(of_tls)
    }

    /// Whether it ended badly.
    pub(super) fn has_failed(&self) -> bool {
        match self.code {
            _ if self.has_failed_call() => true,
            Some(code) => code >= 400,
            None => {
                self.flags.is_some()
                    || self.downstream_failure.is_some()
                    || self.upstream_failure.is_some()
                    || self.termination.is_some()
                    || self.error.is_some()
            }
        }
    }

    fn has_failed_call(&self) -> bool {
        self.grpc.is_some_and(|status| status != "0" && !status.eq_ignore_ascii_case("ok"))
    }

    /// Whether a call of gRPC ended with this status: <https://grpc.io/docs/guides/status-codes/>.
    fn is_call(&self, number: &str, name: &str) -> bool {
        self.grpc.is_some_and(|status| {
            status == number || status.replace('_', "").eq_ignore_ascii_case(name)
        })
    }

    /// Whether an external service refused. Without details the flag tells, for an error too.
    fn is_refused_outside(&self) -> bool {
        const FLAGS: &[&str] = &["UAEX", "UnauthorizedExternalService"];
        let mut flags = self.flags.into_iter().flat_map(|flags| flags.split(','));
        flags.any(|flag| FLAGS.contains(&flag.trim()))
    }
}

/// The decision, by the first reason that tells.
pub(super) fn decide(facts: &Facts<'_>) -> Decided {
    let by_authentication = || Some("authentication".to_owned());
    let decided = |decision, by, reason_from| Decided { decision, by, reason_from };
    if facts.code.is_none() && facts.has_failed_handshake() {
        let from =
            if facts.downstream_failure.is_some() { DOWNSTREAM_FAILURE } else { TERMINATION };
        let from = facts.unproven.unwrap_or(from);
        return decided(Decision::Deny, by_authentication(), from);
    }
    if let Some(by) = facts.error.and_then(refused_by_ztunnel) {
        return decided(Decision::Deny, (by != NO_POLICY).then(|| object(by)), ERRORS);
    }
    for (text, from) in [(facts.details, DETAILS), (facts.termination, TERMINATION)] {
        let Some(text) = text else { continue };
        if let Some(id) = refusing_policy(text) {
            return decided(Decision::Deny, (id != NO_POLICY).then(|| policy(id)), from);
        }
        // A browser without a session is sent to log in, with a 302.
        if text.starts_with("jwt_authn_access_denied") || text == "oauth.missing_credentials" {
            return decided(Decision::Deny, by_authentication(), from);
        }
        if text.starts_with("ext_authz_denied") {
            return decided(Decision::Deny, Some("ext_authz".to_owned()), from);
        }
        if text.starts_with("ext_authz_error") {
            return decided(Decision::Error, Some("ext_authz".to_owned()), from);
        }
    }
    let from = match (facts.details, facts.termination, facts.error) {
        (Some(_), _, _) => DETAILS,
        (None, Some(_), _) => TERMINATION,
        (None, None, Some(_)) => ERRORS,
        (None, None, None) => UPSTREAM_FAILURE,
    };
    let (decision, by) = by_answer(facts);
    decided(decision, by, from)
}

/// The decision where no filter refused. A 403 of the upstream is not this proxy's word: the proxy
/// on the other side, or the program, knows why.
fn by_answer(facts: &Facts<'_>) -> (Decision, Option<String>) {
    let is_answer = facts.details.map_or(!facts.is_local, |details| details == "via_upstream");
    let code = match facts.code {
        Some(200) if facts.is_call("16", "Unauthenticated") => Some(401),
        Some(200) if facts.is_call("7", "PermissionDenied") => Some(403),
        code => code,
    };
    match (code, facts.rbac.allowed) {
        _ if facts.is_beginning => (Decision::Unknown, None),
        _ if facts.is_refused_outside() => (Decision::Deny, Some("ext_authz".to_owned())),
        (Some(401), _) => (Decision::Deny, Some("authentication".to_owned())),
        (_, Some(true)) => (Decision::Allow, facts.rbac.policy.clone()),
        (_, Some(false)) => (Decision::Deny, facts.rbac.policy.clone()),
        (Some(403), _) if is_answer => (Decision::Unknown, None),
        (Some(403), _) => (Decision::Deny, None),
        (Some(code), _) if code < 400 || facts.has_upstream => (Decision::Allow, None),
        (None, _) if !facts.has_failed() => (Decision::Allow, None),
        _ => (Decision::Unknown, None),
    }
}

/// What stands for the policy where none allowed the request.
const NO_POLICY: &str = "none";

/// What ztunnel says where a policy that it does not name ended a connection: one that was let in before
/// it came, and in Solo's distribution one that leaves the mesh.
const BY_SOME_POLICY: &[&str] =
    &["connection closed due to policy change", "request denied due to egress policy"];

/// Namespace and name of the policy by which ztunnel refused a connection, if that is why it ended.
/// <https://github.com/istio/ztunnel/blob/master/src/state.rs>, `AuthorizationRejectionError`
fn refused_by_ztunnel(error: &str) -> Option<&str> {
    if BY_SOME_POLICY.iter().any(|what| error.contains(what)) {
        return Some(NO_POLICY);
    }
    let reason = error.split_once("policy rejection")?.1;
    Some(reason.split_once("explicitly denied by: ").map_or(NO_POLICY, |(_, policy)| policy.trim()))
}

/// The object that a policy of ztunnel was made from: Istio makes policies of what it demands of
/// authentication, too, of which the one for all stands for any number of objects.
/// <https://github.com/istio/istio/blob/master/pilot/pkg/serviceregistry/ambient/authorization.go>
fn object(policy: &str) -> String {
    let (namespace, name) = policy.split_once('/').unwrap_or(("", policy));
    if name == "istio_converted_static_strict" {
        return "authentication".to_owned();
    }
    match name.strip_prefix("converted_peer_authentication_") {
        Some(name) => format!("PeerAuthentication/{namespace}/{name}"),
        None => format!("AuthorizationPolicy/{policy}"),
    }
}

/// The id of the policy in `rbac_access_denied_matched_policy[...]`.
fn refusing_policy(text: &str) -> Option<&str> {
    let rest = text.split_once("rbac_access_denied_matched_policy[")?.1;
    let id = rest.rsplit_once(']').map_or(rest, |(id, _)| id);
    Some(if id.is_empty() { NO_POLICY } else { id })
}

/// The policy by its object where its id is made by Istio:
/// `ns[<namespace>]-policy[<name>]-rule[<index>]`, else by the id.
fn policy(id: &str) -> String {
    let parts = || {
        let (namespace, rest) = id.strip_prefix("ns[")?.split_once("]-policy[")?;
        let (name, _) = rest.rsplit_once("]-rule[")?;
        Some(format!("AuthorizationPolicy/{namespace}/{name}"))
    };
    parts().unwrap_or_else(|| id.to_owned())
}

/// The metadata of the filter, which may be JSON in a text, or spread over the fields.
pub(super) fn metadata(fields: &Named) -> Option<Value> {
    const FILTERS: &[&str] =
        &["envoy_filters_http_rbac", "envoy_filters_network_rbac", "rbac_metadata", "rbac"];
    const SPREAD: &[&str] = &["enforced_engine_result", "enforced_effective_policy_id"];
    let nested = |value: &Value| match value {
        Value::String(text) => serde_json::from_str(text).ok(),
        value => Some(value.clone()),
    };
    if let Some(found) = fields.get(FILTERS).and_then(nested) {
        return Some(found);
    }
    let all = fields.get(&["dynamic_metadata", "metadata", "filter_metadata"]).and_then(nested);
    let of_filter = |all: &Value| {
        let of = |name| all.get(name).cloned();
        of("envoy.filters.http.rbac").or_else(|| of("envoy.filters.network.rbac"))
    };
    if let Some(found) = all.as_ref().and_then(of_filter) {
        return Some(found);
    }
    let spread =
        SPREAD.iter().filter_map(|name| Some(((*name).to_owned(), fields.get(&[name])?.clone())));
    let spread: Map<String, Value> = spread.collect();
    (!spread.is_empty()).then_some(Value::Object(spread))
}

/// What the filter decided. What only a policy that is tried out says was not decided.
pub(super) fn rbac(fields: &Named) -> Rbac {
    let found = metadata(fields).unwrap_or_default();
    let text = |key: &str| found.get(key).and_then(Value::as_str);
    Rbac {
        allowed: text("enforced_engine_result").map(|result| result == "allowed"),
        policy: text("enforced_effective_policy_id").map(policy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(facts: &Facts<'_>, decision: Decision, by: Option<&str>) {
        let decided = decide(facts);
        assert_eq!((decided.decision, decided.by.as_deref()), (decision, by), "{facts:?}");
    }

    fn details(code: i64, details: &str) -> Facts<'_> {
        Facts { code: Some(code), details: Some(details), ..Facts::default() }
    }

    /// Scenario: what filters of Envoy and Istio write when they refuse or let pass.
    /// Guarantees: the decision and the policy's object; nothing where no policy is named.
    #[test]
    fn details_name_the_policy() {
        let denied = "rbac_access_denied_matched_policy";
        check(
            &details(403, &format!("{denied}[ns[shop]-policy[orders-no-export]-rule[0]]")),
            Decision::Deny,
            Some("AuthorizationPolicy/shop/orders-no-export"),
        );
        check(&details(403, &format!("{denied}[none]")), Decision::Deny, None);
        check(&details(403, &format!("{denied}[by-hand]")), Decision::Deny, Some("by-hand"));
        check(&details(403, &format!("{denied}[cut")), Decision::Deny, Some("cut"));
        check(
            &details(401, "jwt_authn_access_denied{Jwt_is_missing}"),
            Decision::Deny,
            Some("authentication"),
        );
        check(&details(403, "ext_authz_denied"), Decision::Deny, Some("ext_authz"));
        check(&details(403, "ext_authz_error"), Decision::Error, Some("ext_authz"));
        check(&details(200, "via_upstream"), Decision::Allow, None);
        check(&details(403, "via_upstream"), Decision::Unknown, None);
        check(&details(403, "direct_response"), Decision::Deny, None);
        check(&details(404, "route_not_found"), Decision::Unknown, None);
        let reset =
            Facts { has_upstream: true, ..details(503, "upstream_reset_before_response_started") };
        check(&reset, Decision::Allow, None);
    }

    /// Scenario: connections that ended well, by a policy, by TLS on either side, or by flags.
    /// Guarantees: a refusal has who refused; a failure on the other side is no decision of ours.
    #[test]
    fn connections_are_decided() {
        check(&Facts::default(), Decision::Allow, None);
        let ended = "rbac_access_denied_matched_policy[ns[a]-policy[b-]-rule[]-rule[1]]";
        check(
            &Facts { termination: Some(ended), ..Facts::default() },
            Decision::Deny,
            Some("AuthorizationPolicy/a/b-]-rule["),
        );
        let tls = Some("TLS_error:|268435581:SSL_routines:x");
        check(
            &Facts { downstream_failure: tls, ..Facts::default() },
            Decision::Deny,
            Some("authentication"),
        );
        check(
            &Facts { termination: Some("transport_socket_timeout"), ..Facts::default() },
            Decision::Deny,
            Some("authentication"),
        );
        check(
            &Facts { upstream_failure: tls, flags: Some("UF"), ..Facts::default() },
            Decision::Unknown,
            None,
        );
        let refused = |error| Facts { error: Some(error), ..Facts::default() };
        check(
            &refused(
                "connection closed due to policy rejection: explicitly denied by: shop/no-web",
            ),
            Decision::Deny,
            Some("AuthorizationPolicy/shop/no-web"),
        );
        check(
            &refused(
                "connection closed due to policy rejection: allow policies exist, but none allowed",
            ),
            Decision::Deny,
            None,
        );
        check(&refused("connection refused (os error 111)"), Decision::Unknown, None);
        check(&Facts { flags: Some("NR"), ..Facts::default() }, Decision::Unknown, None);
    }

    /// Scenario: metadata of the filter as an object, as text, spread out, or only tried out.
    /// Guarantees: what was enforced counts, with its policy; a dry run does not.
    #[test]
    fn metadata_names_the_policy() {
        let check = |fields: Value, allowed: Option<bool>, policy: Option<&str>| {
            let Value::Object(map) = fields.clone() else { panic!("not an object") };
            let found = rbac(&Named::new(map));
            assert_eq!((found.allowed, found.policy.as_deref()), (allowed, policy), "{fields}");
        };
        let enforced = serde_json::json!({
            "enforced_engine_result": "allowed", "enforced_effective_policy_id": "ns[a]-policy[b]-rule[0]",
            "istio_dry_run_allow_shadow_engine_result": "denied",
        });
        let expect = Some("AuthorizationPolicy/a/b");
        check(serde_json::json!({"rbac_metadata": enforced.to_string()}), Some(true), expect);
        check(
            serde_json::json!({"dynamic_metadata": {"envoy.filters.http.rbac": enforced}}),
            Some(true),
            expect,
        );
        check(enforced, Some(true), expect);
        let tried = serde_json::json!({"rbac_metadata": {"shadow_engine_result": "denied", "shadow_effective_policy_id": "x"}});
        check(tried, None, None);
    }
}
