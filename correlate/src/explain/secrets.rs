//! Secrets that hold a token of a `ServiceAccount`: whoever makes one has minted a token by hand.
//!
//! Such a token has no id, is bound to no pod and does not end, and no request by it names its Secret: that it is the
//! token of one of them is possible, and no more.
//! <https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets>

use serde_json::Value;

use crate::explain::{Ask, Fields, Line, like, line, literal, some, text};
use crate::query::QueryError;

/// As many Secrets as are named.
const MOST_SHOWN: usize = 5;

/// As many writes of Secrets as are looked at for those.
const MOST_READ: usize = 200;

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Whether an access may be by the token of a Secret: the API server says so, or says nothing of the token.
pub(super) fn may_be_by_one(access: &Fields) -> bool {
    let is_account = text(access, "identity_kind") == "service_account";
    let kind = some(access, "credential_kind");
    is_account
        && text(access, "provider") == "kubernetes"
        && some(access, "pod").is_none()
        && match kind {
            Some(kind) => kind == "legacy_token",
            None => some(access, "credential_id").is_none(),
        }
}

/// The writes that made Secrets with a token of `account`, an identity, the newest first: all, or those of one
/// cluster until a time.
pub(super) async fn made(
    lake: &impl Ask,
    account: &str,
    before: Option<&Fields>,
) -> Result<Vec<Fields>, QueryError> {
    let parts = account.strip_prefix("system:serviceaccount:").and_then(|it| it.split_once(':'));
    let Some((namespace, name)) = parts else { return Ok(Vec::new()) };
    let limits = before.map_or_else(String::new, |access| {
        let cluster = some(access, "cluster").map_or_else(|| "NULL".to_owned(), literal);
        let time = literal(text(access, "time"));
        format!(
            " AND (cluster IS NOT DISTINCT FROM {cluster}) AND time <= CAST({time} AS TIMESTAMP)"
        )
    });
    let sql = format!(
        "SELECT time, event_id, identity, impersonated_identity, object_name, \
         coalesce(response_object, request_object) AS body FROM accesses \
         WHERE judged AND provider = 'kubernetes' AND resource = 'secrets' AND coalesce(api_group, '') = '' \
         AND subresource IS NULL AND verb IN ('create', 'update', 'patch') AND outcome = 'success' \
         AND (dry_run IS DISTINCT FROM true) AND object_namespace = {} \
         AND coalesce(response_object, request_object) LIKE {}{limits} ORDER BY time DESC LIMIT {MOST_READ}",
        literal(namespace),
        like(TYPE),
    );
    let mut made = lake.ask(&sql).await?;
    made.retain(|row| is_token_of(text(row, "body"), name));
    made.truncate(MOST_SHOWN);
    Ok(made)
}

/// Whether a body is a Secret with a token of the `ServiceAccount` of this name.
fn is_token_of(body: &str, name: &str) -> bool {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let account = body.pointer("/metadata/annotations").and_then(|all| all.get(ACCOUNT));
    body["type"] == TYPE && account.is_some_and(|account| account == name)
}

/// Each Secret with who made it.
pub(super) fn lines(made: &[Fields], account: &str) -> Vec<Line> {
    let told = |row: &Fields| {
        let by = some(row, "identity").unwrap_or("somebody");
        let acting = some(row, "impersonated_identity");
        let by = acting.map_or_else(|| by.to_owned(), |other| format!("{by} as {other}"));
        let name = some(row, "object_name").unwrap_or("of a name that was not logged");
        let namespace = account.split(':').nth(2).unwrap_or_default();
        format!(
            "Secret {namespace}/{name}, written {} by {by} (derived: it holds a token of this ServiceAccount, and no \
             request says which Secret its token is of)",
            text(row, "time")
        )
    };
    made.iter().map(|row| line("may be of", told(row))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Scenario: Secrets of that type and of others, of this account and of others, and what is no JSON.
    /// Guarantees: only a Secret that holds a token of the account is an origin.
    #[test]
    fn only_tokens_of_the_account_count() {
        let body = |sort: &str, of: &str| {
            json!({"type": sort, "metadata": {"annotations": {ACCOUNT: of}}}).to_string()
        };
        assert!(is_token_of(&body(TYPE, "frontend"), "frontend"));
        assert!(!is_token_of(&body(TYPE, "frontend-2"), "frontend"));
        assert!(!is_token_of(&body("Opaque", "frontend"), "frontend"));
        assert!(!is_token_of(&format!(r#"{{"type":"{TYPE}"}}"#), "frontend"));
        assert!(!is_token_of("kubernetes.io/service-account-token frontend", "frontend"));
    }

    /// Scenario: accesses by every sort of token.
    /// Guarantees: only what has no id and no pod may be by the token of a Secret.
    #[test]
    fn bound_tokens_are_of_no_secret() {
        let check = |more: Value, expected: bool| {
            let mut access = Fields::new();
            access.insert("provider".into(), "kubernetes".into());
            access.insert("identity_kind".into(), "service_account".into());
            access.extend(more.as_object().cloned().unwrap_or_default());
            assert_eq!(may_be_by_one(&access), expected, "{access:?}");
        };
        check(json!({"credential_kind": "legacy_token"}), true);
        check(json!({}), true);
        check(json!({"credential_kind": "bound_token", "credential_id": "JTI=1"}), false);
        check(json!({"pod": "frontend-1"}), false);
        check(json!({"identity_kind": "user"}), false);
        check(json!({"provider": "istio"}), false);
    }
}
