//! An audit record of Microsoft Entra -> which change of identities, roles or trust it tells.
//!
//! Records name an activity in words, of which every one that is logged has been done:
//! <https://learn.microsoft.com/en-us/entra/identity/monitoring-health/reference-audit-activities>.

use std::collections::BTreeSet;

use durward_schemas::tables::Access;
use durward_schemas::values::{ChangeKind, Provider};
use serde_json::Value;

/// Words in names of activities that say what changes, in lower case, the more telling ones first.
const KINDS: &[(&str, ChangeKind)] = &[
    // Who may become somebody.
    ("federated identity credential", ChangeKind::TrustPolicy),
    ("federation settings", ChangeKind::TrustPolicy),
    ("domain authentication", ChangeKind::TrustPolicy),
    // How to prove who one is.
    ("authentication methods policy", ChangeKind::AuthenticationConfig),
    ("conditional access policy", ChangeKind::AuthenticationConfig),
    // What somebody may do.
    ("member to role", ChangeKind::CloudPolicy),
    ("member from role", ChangeKind::CloudPolicy),
    ("role assignment", ChangeKind::CloudPolicy),
    ("role definition", ChangeKind::CloudPolicy),
    ("elevated their access", ChangeKind::CloudPolicy),
    ("delegated permission grant", ChangeKind::CloudPolicy),
    ("oauth2permissiongrant", ChangeKind::CloudPolicy),
    ("consent to application", ChangeKind::CloudPolicy),
    ("member to group", ChangeKind::CloudPolicy),
    ("member from group", ChangeKind::CloudPolicy),
    ("owner to", ChangeKind::CloudPolicy),
    ("owner from", ChangeKind::CloudPolicy),
    // Who there is, and with which secrets.
    ("service principal", ChangeKind::CloudRole),
    ("update application", ChangeKind::CloudRole),
    ("add application", ChangeKind::CloudRole),
    ("delete application", ChangeKind::CloudRole),
];

/// The property of an application that holds whom it trusts.
const FEDERATED: &str = "FederatedIdentityCredentials";

/// What sort of change `access` tells, if it is a record of the directory that tells one.
pub(super) fn kind(access: &Access) -> Option<ChangeKind> {
    let verb = access.verb.as_deref()?;
    // Operations of resources are paths; a request for a role is not yet the role.
    if access.provider != Provider::Azure || verb.contains('/') || verb.contains("requested") {
        return None;
    }
    let sent = access.request_object.as_ref();
    if sent.is_some_and(|targets| targets.as_str().contains(FEDERATED)) {
        return Some(ChangeKind::TrustPolicy);
    }
    let lower = verb.to_ascii_lowercase();
    KINDS.iter().find(|(words, _)| lower.contains(words)).map(|(_, kind)| *kind)
}

/// Users and service principals among the targets, and subjects that an application trusts.
pub(super) fn subjects(targets: &Value, found: &mut BTreeSet<String>) {
    for target in targets.as_array().into_iter().flatten() {
        let text = |key: &str| target.get(key)?.as_str().filter(|text| !text.is_empty());
        if matches!(text("type"), Some("User" | "ServicePrincipal")) {
            found.extend(text("userPrincipalName").map(str::to_owned));
            found.extend(text("id").map(|id| format!("oid:{id}")));
        }
        let properties = target.get("modifiedProperties").and_then(Value::as_array);
        for property in properties.into_iter().flatten() {
            if property.get("displayName").is_some_and(|name| name == FEDERATED) {
                trusted(&property["newValue"], found);
            }
        }
    }
}

/// Values under `Subject` at any depth; values of properties are JSON as text.
fn trusted(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Ok(inner @ (Value::Array(_) | Value::Object(_) | Value::String(_))) =
                serde_json::from_str(text)
            {
                trusted(&inner, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| trusted(inner, found)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                match inner.as_str() {
                    Some(subject) if key.eq_ignore_ascii_case("subject") => {
                        found.insert(subject.to_owned());
                    }
                    _ => trusted(inner, found),
                }
            }
        }
        _ => {}
    }
}
