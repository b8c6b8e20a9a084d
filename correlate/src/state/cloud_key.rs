//! The key of a service account that a call of Google Cloud made.
//!
//! <https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys>

use durward_schemas::tables::{Access, Credential};
use durward_schemas::values::{CredentialKind, Provider};
use durward_schemas::{Identity, Time};

use crate::body;
use crate::state::credentials::minted;

/// What `access` made, if it made a key: `//iam.googleapis.com/projects/P/serviceAccounts/EMAIL/keys/ID`.
pub(super) fn issued(access: &Access) -> Option<Credential> {
    let minted = minted(access)?;
    let (_, account) = minted.credential_id.as_str().split_once("/serviceAccounts/")?;
    let holder = Identity::parse(Provider::Gcp, None, account.split('/').next()?);
    let response = body::value(access.response_object.as_ref());
    let ends = ["/valid_before_time", "/validBeforeTime"].iter();
    let end = ends.filter_map(|path| response.pointer(path)).find_map(|end| {
        let seconds = end.get("seconds");
        let seconds = seconds.and_then(|it| it.as_i64().or_else(|| it.as_str()?.parse().ok()));
        let seconds = seconds.map(|seconds| Time(seconds.saturating_mul(1_000_000)));
        end.as_str().and_then(Time::parse).or(seconds)
    });
    Some(Credential {
        credential_kind: CredentialKind::CloudStaticKey,
        identity: holder.name,
        identity_kind: holder.kind,
        identity_realm: holder.realm,
        expires_time: end,
        ..minted
    })
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;
    use durward_schemas::ids::CredentialId;

    use super::*;

    /// Scenario: a key is made for a service account; its end is told as the log has it, as the API has it,
    /// and not at all.
    /// Guarantees: the key is that account's, whoever made it, and ends when it was said to.
    #[test]
    fn keys_are_of_their_account() {
        for (response, end) in [
            (r#"{"valid_before_time":{"seconds":1700000000}}"#, Some("2023-11-14T22:13:20Z")),
            (r#"{"valid_before_time":{"seconds":"1700000000"}}"#, Some("2023-11-14T22:13:20Z")),
            (r#"{"validBeforeTime":"2023-11-14T22:13:20Z"}"#, Some("2023-11-14T22:13:20Z")),
            ("{}", None),
        ] {
            let id = "//iam.googleapis.com/projects/acme/serviceAccounts/ci@acme.iam.gserviceaccount.com/keys/1f";
            let access = Access {
                provider: Provider::Gcp,
                identity: Some("mallory@example.com".into()),
                issued_credential_id: Some(CredentialId(id.into())),
                response_object: Some(Json(response.into())),
                ..Access::default()
            };
            let key = issued(&access).unwrap();
            assert_eq!(key.identity.as_deref(), Some("ci@acme.iam.gserviceaccount.com"));
            assert_eq!(key.issued_by.as_deref(), Some("mallory@example.com"));
            assert_eq!(key.expires_time, end.and_then(Time::parse), "{response}");
        }
    }
}
