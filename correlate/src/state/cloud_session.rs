//! The credential that a call of AWS minted: a session of a role, or an access key of a user.
//!
//! AssumeRole: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>,
//! EKS Pod Identity: <https://docs.aws.amazon.com/eks/latest/APIReference/API_auth_AssumeRoleForPodIdentity.html>.

use chrono::NaiveDateTime;
use durward_schemas::tables::{Access, Credential};
use durward_schemas::values::{CredentialKind, IdentityKind, Provider};
use durward_schemas::{Identity, Time};
use serde_json::Value;

use crate::body;
use crate::state::credentials::minted;

/// How CloudTrail writes the end of a session, besides RFC 3339: `Jul 23, 2026, 11:00:05 AM`.
const EXPIRATION: &str = "%b %d, %Y, %I:%M:%S %p";

/// What `access` minted, if it is a call of AWS that mints.
pub(super) fn issued(access: &Access) -> Option<Credential> {
    let minted = minted(access)?;
    let request = body::value(access.request_object.as_ref());
    let response = body::value(access.response_object.as_ref());
    let text = |body: &Value, path: &str| body.pointer(path)?.as_str().map(str::to_owned);
    let key_of = text(&response, "/accessKey/userName");
    let role = text(&request, "/roleArn").or_else(|| text(&response, "/assumedRoleUser/arn"));
    let holder = match (&key_of, &role, &access.account) {
        (Some(user), _, Some(account)) => {
            Identity::parse(Provider::Aws, None, &format!("arn:aws:iam::{account}:user/{user}"))
        }
        (None, Some(role), _) => Identity::parse(Provider::Aws, None, role),
        _ => Identity { kind: IdentityKind::Unknown, ..Identity::default() },
    };
    let expires = text(&response, "/credentials/expiration");
    // A session that a cluster's ServiceAccount got is of that account, whoever fetched it.
    let account = access.namespace.as_ref().zip(access.service_account.as_ref());
    let for_account =
        account.map(|(namespace, name)| format!("system:serviceaccount:{namespace}:{name}"));
    Some(Credential {
        credential_kind: if key_of.is_some() {
            CredentialKind::CloudStaticKey
        } else {
            CredentialKind::CloudSession
        },
        identity: holder.name,
        identity_kind: holder.kind,
        identity_realm: holder.realm,
        expires_time: expires.as_deref().and_then(expiration),
        issued_by: for_account.or_else(|| minted.issued_by.clone()),
        pod: access.pod.clone(),
        pod_uid: access.pod_uid.clone(),
        ..minted
    })
}

fn expiration(text: &str) -> Option<Time> {
    // Java writes a narrow space before AM and PM.
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parsed = || NaiveDateTime::parse_from_str(&plain, EXPIRATION).ok();
    Time::parse(text).or_else(|| parsed().map(|time| Time(time.and_utc().timestamp_micros())))
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;

    fn check(request: &str, response: &str, expected: (&str, CredentialKind, &str, Option<&str>)) {
        let access = Access {
            provider: Provider::Aws,
            account: Some("123456789012".into()),
            identity: Some("arn:aws:iam::123456789012:role/node".into()),
            issued_credential_id: Some("ASIAEXAMPLE".into()),
            request_object: Some(Json(request.into())),
            response_object: Some(Json(response.into())),
            namespace: Some("payments".into()),
            service_account: Some("ledger".into()),
            pod: Some("ledger-0".into()),
            ..Access::default()
        };
        let found = issued(&access).expect("a credential");
        let (identity, kind, by, expires) = expected;
        assert_eq!(found.identity.as_deref(), Some(identity));
        assert_eq!((found.credential_kind, found.issued_by.as_deref()), (kind, Some(by)));
        assert_eq!(found.expires_time, expires.and_then(Time::parse));
        assert_eq!(found.pod.as_deref(), Some("ledger-0"));
    }

    /// Scenario: a role assumed with a ServiceAccount's token, by the agent of EKS Pod Identity, and
    /// an access key that is made for a user; the end of a session in each spelling.
    /// Guarantees: each credential has its holder, its kind, its end, and the account it is for.
    #[test]
    fn calls_that_mint_are_read() {
        let account = "system:serviceaccount:payments:ledger";
        check(
            r#"{"roleArn":"arn:aws:iam::123456789012:role/apps/ledger"}"#,
            r#"{"credentials":{"expiration":"Jul 23, 2026, 11:00:05\u202fAM"}}"#,
            (
                "arn:aws:iam::123456789012:role/apps/ledger",
                CredentialKind::CloudSession,
                account,
                Some("2026-07-23T11:00:05Z"),
            ),
        );
        check(
            "{}",
            r#"{"assumedRoleUser":{"arn":"arn:aws:sts::123456789012:assumed-role/ledger/eks-a-b"},"credentials":{"expiration":"2026-07-23T11:00:05Z"}}"#,
            (
                "arn:aws:iam::123456789012:role/ledger",
                CredentialKind::CloudSession,
                account,
                Some("2026-07-23T11:00:05Z"),
            ),
        );
        check(
            r#"{"userName":"ci"}"#,
            r#"{"accessKey":{"userName":"ci","accessKeyId":"ASIAEXAMPLE"}}"#,
            ("arn:aws:iam::123456789012:user/ci", CredentialKind::CloudStaticKey, account, None),
        );
    }
}
