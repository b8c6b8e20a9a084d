//! A successful call of a cloud or of SPIRE -> the change of identities, policies or trust that it made.
//!
//! AWS: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>,
//! Google: <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditData>,
//! Azure: <https://learn.microsoft.com/en-us/azure/role-based-access-control/permissions/management-and-governance>.

use durward_schemas::ids::ChangeId;
use durward_schemas::tables::{Access, Change};
use durward_schemas::values::{ChangeAction, ChangeKind, Decision, Outcome, Provider};

use super::{directory, made_by, some, subjects};
use crate::body;

/// Words in names of calls that say what changes, the more telling ones first.
const KINDS: &[(&str, ChangeKind)] = &[
    // Who may become somebody.
    ("AssumeRolePolicy", ChangeKind::TrustPolicy),
    ("OpenIDConnectProvider", ChangeKind::TrustPolicy),
    ("SAMLProvider", ChangeKind::TrustPolicy),
    ("PodIdentityAssociation", ChangeKind::TrustPolicy),
    ("TrustAnchor", ChangeKind::TrustPolicy),
    ("WorkloadIdentityPool", ChangeKind::TrustPolicy),
    ("federatedIdentityCredentials", ChangeKind::TrustPolicy),
    // Who may enter a cluster.
    ("AccessEntry", ChangeKind::AuthenticationConfig),
    ("AccessPolicy", ChangeKind::AuthenticationConfig),
    // What somebody may do.
    ("IamPolicy", ChangeKind::CloudPolicy),
    ("IAMPolicy", ChangeKind::CloudPolicy),
    // Cloud Storage has a name of its own for it.
    ("IamPermissions", ChangeKind::CloudPolicy),
    ("PermissionsBoundary", ChangeKind::CloudPolicy),
    ("RolePolicy", ChangeKind::CloudPolicy),
    ("UserPolicy", ChangeKind::CloudPolicy),
    ("GroupPolicy", ChangeKind::CloudPolicy),
    ("PolicyVersion", ChangeKind::CloudPolicy),
    ("CreatePolicy", ChangeKind::CloudPolicy),
    ("DeletePolicy", ChangeKind::CloudPolicy),
    ("BucketPolicy", ChangeKind::CloudPolicy),
    ("KeyPolicy", ChangeKind::CloudPolicy),
    // What an organization allows at most, and what IAM Identity Center gives.
    ("AttachPolicy", ChangeKind::CloudPolicy),
    ("DetachPolicy", ChangeKind::CloudPolicy),
    ("UpdatePolicy", ChangeKind::CloudPolicy),
    ("PermissionSet", ChangeKind::CloudPolicy),
    ("AccountAssignment", ChangeKind::CloudPolicy),
    ("UserToGroup", ChangeKind::CloudPolicy),
    ("UserFromGroup", ChangeKind::CloudPolicy),
    ("roleAssignments", ChangeKind::CloudPolicy),
    ("roleDefinitions", ChangeKind::CloudPolicy),
    // Who there is.
    ("CreateRole", ChangeKind::CloudRole),
    ("DeleteRole", ChangeKind::CloudRole),
    ("UpdateRole", ChangeKind::CloudRole),
    ("CreateUser", ChangeKind::CloudRole),
    ("DeleteUser", ChangeKind::CloudRole),
    ("LoginProfile", ChangeKind::CloudRole),
    ("ServiceAccountKey", ChangeKind::CloudRole),
    ("ServiceAccount", ChangeKind::CloudRole),
    ("userAssignedIdentities", ChangeKind::CloudRole),
];

/// Services whose calls may be such changes.
const SERVICES: &[&str] = &[
    "eks.amazonaws.com",
    "iam.amazonaws.com",
    "kms.amazonaws.com",
    "organizations.amazonaws.com",
    "rolesanywhere.amazonaws.com",
    "s3.amazonaws.com",
    "sso.amazonaws.com",
];

/// How calls begin that change something.
const ACTIONS: &[(&str, ChangeAction)] = &[
    ("Create", ChangeAction::Create),
    ("Add", ChangeAction::Update),
    ("Associate", ChangeAction::Update),
    ("Attach", ChangeAction::Update),
    ("Patch", ChangeAction::Update),
    ("Put", ChangeAction::Update),
    ("Set", ChangeAction::Update),
    ("Update", ChangeAction::Update),
    ("Delete", ChangeAction::Delete),
    ("Detach", ChangeAction::Update),
    ("Disassociate", ChangeAction::Update),
    ("Remove", ChangeAction::Update),
];

/// The change that `access` made, if it made one.
pub(super) fn change(access: &Access) -> Option<Change> {
    let is_done = access.outcome == Outcome::Success && access.decision != Decision::Deny;
    if !is_done || access.dry_run == Some(true) {
        return None;
    }
    let verb = access.verb.as_deref()?;
    let (kind, action) = what(access, verb)?;
    let object = access.object_name.clone();
    let path = format!("{kind}/{}", object.as_deref().unwrap_or("?"));
    let actor = access.who().short();
    let (added, removed) = deltas(access);
    let subjects = subjects::of(access);
    let mut summary = sentence(&actor, verb, object.as_deref(), access, &added, &removed);
    let accounts = subjects.iter().filter(|name| name.starts_with(subjects::ACCOUNT));
    let trusted: Vec<&str> = accounts.map(String::as_str).collect();
    if kind == ChangeKind::TrustPolicy && !trusted.is_empty() {
        summary = format!("{summary}, which names {}", trusted.join(", "));
    }
    Some(Change {
        change_id: ChangeId::of(access.cluster.as_deref(), access.event_id.as_str(), &path),
        kind,
        action,
        name: object.clone(),
        after: access.request_object.clone(),
        summary,
        grants_added: some(added),
        grants_removed: some(removed),
        subjects: some(subjects),
        ..made_by(access)
    })
}

fn what(access: &Access, verb: &str) -> Option<(ChangeKind, ChangeAction)> {
    if access.provider == Provider::Spire {
        let name = verb.strip_prefix("Batch").unwrap_or(verb);
        return Some((
            ChangeKind::SpireEntry,
            beginning(name).filter(|_| name.ends_with("Entry"))?,
        ));
    }
    if let Some(kind) = directory::kind(access) {
        return Some((kind, beginning(verb).unwrap_or(ChangeAction::Update)));
    }
    let lower = verb.to_ascii_lowercase();
    let action = match access.provider {
        Provider::Aws if !SERVICES.contains(&access.api_group.as_deref()?) => return None,
        Provider::Aws | Provider::Gcp => beginning(method(verb))?,
        // `Microsoft.Authorization/roleAssignments/write`; diagnostic settings write it in capitals.
        Provider::Azure if lower.ends_with("/write") => ChangeAction::Update,
        Provider::Azure if lower.ends_with("/delete") => ChangeAction::Delete,
        _ => return None,
    };
    let kind = KINDS.iter().find(|(word, _)| lower.contains(&word.to_ascii_lowercase()))?;
    Some((kind.1, action))
}

/// The method of `google.iam.admin.v1.SetIAMPolicy`.
fn method(verb: &str) -> &str {
    verb.rsplit('.').next().unwrap_or(verb)
}

/// Older methods of Google begin with small letters.
fn beginning(name: &str) -> Option<ChangeAction> {
    let begins =
        |word: &str| name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
    ACTIONS.iter().find(|(word, _)| begins(word)).map(|(_, action)| *action)
}

/// What a call gives and takes: `ROLE to MEMBER` as Google's audit log says, `POLICY to ROLE` of AWS.
fn deltas(access: &Access) -> (Vec<String>, Vec<String>) {
    if access.provider == Provider::Aws {
        let verb = access.verb.as_deref().unwrap_or_default();
        let attached = || subjects::attached(access).into_iter().collect();
        return match verb {
            _ if verb.starts_with("Attach") => (attached(), Vec::new()),
            _ if verb.starts_with("Detach") => (Vec::new(), attached()),
            _ => (Vec::new(), Vec::new()),
        };
    }
    let annotations = body::value(access.annotations.as_ref());
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for delta in subjects::binding_deltas(&annotations) {
        let text = |key: &str| delta[key].as_str().unwrap_or("?");
        let told = format!("{} to {}", text("role"), text("member"));
        if text("action") == "REMOVE" { removed.push(told) } else { added.push(told) }
    }
    (added, removed)
}

fn sentence(
    actor: &str,
    verb: &str,
    object: Option<&str>,
    access: &Access,
    added: &[String],
    removed: &[String],
) -> String {
    let call = if access.provider == Provider::Gcp { method(verb) } else { verb };
    // Activities of Entra are named in words.
    let quote = if call.contains(' ') { "\"" } else { "" };
    let mut text = format!("{actor} called {quote}{call}{quote}");
    if let Some(object) = object {
        text = format!("{text} for {object}");
    }
    let request = body::value(access.request_object.as_ref());
    let parameter = |name: &str| request.get(name)?.as_str().map(str::to_owned);
    // The role or user that a policy is attached to, where the policy is the object, or the other way.
    let beside = ["roleName", "userName", "groupName", "policyArn", "policyName"];
    let beside = beside.iter().filter_map(|name| parameter(name));
    let mut others = beside.filter(|other| object != Some(other.as_str()));
    if let Some(other) = others.next().filter(|_| added.is_empty() && removed.is_empty()) {
        text = format!("{text} and {other}");
    }
    if !added.is_empty() {
        text = format!("{text}, which gives {}", added.join(", "));
    }
    if !removed.is_empty() {
        // `ROLE to MEMBER`; neither has a space.
        let taken: Vec<_> = removed.iter().map(|told| told.replacen(" to ", " from ", 1)).collect();
        text = format!("{text}, which takes {}", taken.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;

    fn told(provider: Provider, group: &str, verb: &str, request: &str) -> Option<String> {
        let access = Access {
            provider,
            identity: Some("alice".into()),
            api_group: Some(group.into()),
            verb: Some(verb.into()),
            object_name: Some("ledger".into()),
            decision: Decision::Allow,
            request_object: Some(Json(request.into())),
            annotations: Some(Json(
                r#"{"serviceData":{"policyDelta":{"bindingDeltas":[{"action":"ADD","role":"roles/owner","member":"user:m"}]}}}"#.into(),
            ))
            .filter(|_| provider == Provider::Gcp),
            ..Access::default()
        };
        change(&access).map(|made| format!("{} {}: {}", made.action, made.kind, made.summary))
    }

    /// Scenario: calls of three clouds that change who may do what, and calls that do not.
    /// Guarantees: each change has its kind and a sentence that names who, what and of whom.
    #[test]
    fn calls_that_change_identities_are_changes() {
        let iam = "iam.amazonaws.com";
        let cases = [
            told(Provider::Aws, iam, "UpdateAssumeRolePolicy", r#"{"roleName":"ledger"}"#),
            told(
                Provider::Aws,
                iam,
                "AttachRolePolicy",
                r#"{"roleName":"ledger","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}"#,
            ),
            told(Provider::Aws, iam, "DeleteRole", "{}"),
            told(Provider::Aws, "eks.amazonaws.com", "CreateAccessEntry", "{}"),
            told(Provider::Aws, "eks.amazonaws.com", "DeletePodIdentityAssociation", "{}"),
            told(Provider::Gcp, "iam.googleapis.com", "google.iam.admin.v1.SetIAMPolicy", "{}"),
            told(Provider::Azure, "", "Microsoft.Authorization/roleAssignments/write", "{}"),
            told(Provider::Azure, "", "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/DELETE", "{}"),
            told(Provider::Spire, "entry.v1.Entry", "BatchCreateEntry", "{}"),
            told(Provider::Spire, "entry.v1.Entry", "BatchDeleteEntry", "{}"),
            told(Provider::Spire, "entry.v1.Entry", "SyncAuthorizedEntries", "{}"),
            told(Provider::Azure, "Core Directory", "Add member to role", "[]"),
            told(
                Provider::Azure,
                "Core Directory",
                "Update application",
                r#"[{"modifiedProperties":[{"displayName":"FederatedIdentityCredentials","newValue":"[{\"Subject\":\"system:serviceaccount:payments:ledger\"}]"}]}]"#,
            ),
            told(Provider::Azure, "PIM", "Add member to role in PIM requested (permanent)", "[]"),
            told(Provider::Azure, "Core Directory", "Update user", "[]"),
            told(Provider::Aws, iam, "GetRolePolicy", "{}"),
            told(Provider::Aws, "s3.amazonaws.com", "PutBucketPolicy", "{}"),
            told(Provider::Aws, "s3.amazonaws.com", "PutObject", "{}"),
            told(Provider::Aws, "kms.amazonaws.com", "PutKeyPolicy", "{}"),
            told(Provider::Aws, "sso.amazonaws.com", "CreateAccountAssignment", "{}"),
            told(
                Provider::Aws,
                iam,
                "DetachRolePolicy",
                r#"{"roleName":"ledger","policyArn":"arn:aws:iam::1:policy/p"}"#,
            ),
            told(Provider::Aws, iam, "CreatePolicyVersion", r#"{"policyArn":"ledger"}"#),
            told(Provider::Gcp, "storage.googleapis.com", "storage.setIamPermissions", "{}"),
            told(Provider::Azure, "", "Microsoft.Authorization/roleAssignments/read", "{}"),
        ];
        let lines: Vec<String> =
            cases.into_iter().map(|told| told.unwrap_or_else(|| "nothing".into())).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
