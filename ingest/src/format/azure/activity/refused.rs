//! Refusals by Azure Policy, which neither a status nor a role tells in full.

use durward_schemas::tables::Access;
use serde_json::Value;

use super::super::opened;

/// The code of Azure Policy in the answer to a request, or to the deployment that holds it.
/// <https://learn.microsoft.com/en-us/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy>
const DISALLOWED: &str = "RequestDisallowedByPolicy";

/// A refusal by Azure Policy.
pub(super) struct Refusal {
    /// The id of the assignment of the policy, where it is told.
    pub(super) assignment: Option<String>,
}

/// Whether Azure Policy let a request not happen.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/platform/activity-log-schema#policy-category>
pub(super) fn by_policy(
    access: &Access,
    properties: Option<&Value>,
    message: Option<&str>,
) -> Option<Refusal> {
    let verb = access.verb.as_deref().unwrap_or_default();
    if verb.eq_ignore_ascii_case("Microsoft.Authorization/policies/deny/action") {
        return Some(Refusal { assignment: properties.and_then(of_policies) });
    }
    let message = message.filter(|message| message.contains(DISALLOWED))?;
    let told: Option<Value> = serde_json::from_str(message).ok();
    let error = told.as_ref().and_then(|told| told.get("error"));
    Some(Refusal { assignment: error.and_then(of_error) })
}

/// The assignment of the policy with effect `deny` among those that were looked at.
fn of_policies(properties: &Value) -> Option<String> {
    let told = opened(properties.get("policies")?);
    let policies = told.as_array()?;
    let denies = |policy: &&Value| {
        let effect = policy.get("policyDefinitionEffect").and_then(Value::as_str);
        effect.is_some_and(|effect| effect.eq_ignore_ascii_case("deny"))
    };
    policies.iter().find(denies)?.get("policyAssignmentId")?.as_str().map(str::to_owned)
}

/// The assignment that an error names: a deployment has the errors of its parts inside its own.
fn of_error(error: &Value) -> Option<String> {
    let list = |key: &str| error.get(key).and_then(Value::as_array).into_iter().flatten();
    let own = list("additionalInfo").find_map(|more| more.pointer("/info/policyAssignmentId"));
    let own = own.and_then(Value::as_str).map(str::to_owned);
    own.or_else(|| list("details").find_map(of_error))
}
