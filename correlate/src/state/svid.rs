//! The SVID that a call of SPIRE's server signed.
//! <https://github.com/spiffe/spire/blob/main/doc/spire_server.md#audit-log>

use durward_schemas::tables::{Access, Credential};
use durward_schemas::values::CredentialKind;
use durward_schemas::{Identity, Time};
use serde_json::Value;

use crate::body;
use crate::state::credentials::minted;

/// What `access` signed, if it signed one.
pub(super) fn issued(access: &Access) -> Option<Credential> {
    let minted = minted(access)?;
    let holder = Identity::spiffe(access.object_name.as_deref()?)?;
    let is_jwt = access.verb.as_deref().is_some_and(|verb| verb.contains("JWT"));
    let answer = body::value(access.response_object.as_ref());
    Some(Credential {
        credential_kind: if is_jwt { CredentialKind::SvidJwt } else { CredentialKind::SvidX509 },
        identity: holder.name,
        identity_kind: holder.kind,
        identity_realm: holder.realm,
        // An audit line says `expires_at`, the line of level debug `expiration`.
        expires_time: expires(&answer["expires_at"]).or_else(|| expires(&answer["expiration"])),
        ..minted
    })
}

/// The text format writes numbers as text.
fn expires(value: &Value) -> Option<Time> {
    let seconds = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let time = seconds.map(|seconds| Time(seconds.saturating_mul(1_000_000)));
    time.or_else(|| value.as_str().and_then(Time::parse))
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;
    use durward_schemas::values::Provider;

    use super::*;

    /// Scenario: an X.509 and a JWT SVID that SPIRE's server says it signed, and a call without a
    /// SPIFFE ID.
    /// Guarantees: each has its holder, trust domain, kind and end; the last signs nothing.
    #[test]
    fn signed_svids_are_credentials() {
        let told = |verb: &str, object: &str, answer: &str| {
            let access = Access {
                provider: Provider::Spire,
                verb: Some(verb.into()),
                object_name: Some(object.into()),
                identity: Some("spiffe://shop.test/agent".into()),
                issued_credential_id: Some("X509SERIAL=1".into()),
                response_object: Some(Json(answer.into())),
                ..Access::default()
            };
            let found = issued(&access)?;
            Some((
                found.identity?,
                found.identity_realm?,
                found.credential_kind,
                found.expires_time?.0,
            ))
        };
        let id = "spiffe://shop.test/ns/web/sa/frontend";
        let expected =
            |kind| Some((id.to_owned(), "shop.test".to_owned(), kind, 1_795_455_735_000_000));
        let x509 = told("BatchNewX509SVID", id, r#"{"expires_at":1795455735}"#);
        assert_eq!(x509, expected(CredentialKind::SvidX509));
        let jwt = told("NewJWTSVID", id, r#"{"expires_at":"1795455735"}"#);
        assert_eq!(jwt, expected(CredentialKind::SvidJwt));
        assert_eq!(told("BatchNewX509SVID", "web", "{}"), None);
    }
}
