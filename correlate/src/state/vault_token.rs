//! The token that Vault made for whoever logged in, known by its accessor.
//! <https://developer.hashicorp.com/vault/docs/concepts/tokens#token-accessors>

use durward_schemas::tables::{Access, Credential};
use durward_schemas::values::IdentityKind;
use serde_json::Value;

use crate::body;
use crate::state::credentials::minted;

/// The token that `access` made, if it is a login.
///
/// Of a token that is made by a token Vault does not say who will hold it.
pub(super) fn issued(access: &Access) -> Option<Credential> {
    let minted = minted(access)?;
    let is_login = access.request_uri.as_deref()?.strip_prefix("auth/")?.contains("/login");
    let answer = body::value(access.response_object.as_ref());
    let names = ["token_ttl", "lease_duration", "ttl"];
    let lives = names.into_iter().find_map(|name| seconds(&answer["auth"][name]));
    Some(Credential {
        identity: access.identity.clone().filter(|_| is_login),
        identity_kind: if is_login { access.identity_kind } else { IdentityKind::default() },
        identity_realm: access.identity_realm.clone().filter(|_| is_login),
        expires_time: lives.map(|seconds| access.time.plus(seconds.saturating_mul(1_000_000))),
        ..minted
    })
}

/// A lifetime of 0 has no end.
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).filter(|seconds| *seconds > 0)
}
