//! Whom a change of a cloud's identities or policies concerns: the principals that the call names.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>,
//! Google: <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditData>,
//! Azure: <https://learn.microsoft.com/en-us/rest/api/authorization/role-assignments/create>.

use std::collections::BTreeSet;

use durward_schemas::Identity;
use durward_schemas::tables::Access;
use durward_schemas::values::Provider;
use serde_json::Value;

use super::directory;
use crate::body;

/// How the name of a `ServiceAccount` begins wherever a trust policy names it.
pub(super) const ACCOUNT: &str = "system:serviceaccount:";

/// The canonical names of those whom the change that `access` made concerns.
pub(super) fn of(access: &Access) -> Vec<String> {
    let request = body::value(access.request_object.as_ref());
    let response = body::value(access.response_object.as_ref());
    let found: BTreeSet<String> = match access.provider {
        Provider::Aws => aws(access, &request, &response),
        Provider::Gcp => gcp(access),
        Provider::Azure => {
            let mut found = [&request, &response].into_iter().flat_map(azure).collect();
            directory::subjects(&request, &mut found);
            found
        }
        _ => BTreeSet::new(),
    };
    found.into_iter().collect()
}

fn aws(access: &Access, request: &Value, response: &Value) -> BTreeSet<String> {
    let text = |body: &Value, name: &str| body.get(name)?.as_str().map(str::to_owned);
    let partition = match access.region.as_deref() {
        Some(region) if region.starts_with("cn-") => "aws-cn",
        Some(region) if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let arn = |sort: &str, name: &str| {
        let account = access.account.as_deref()?;
        Some(format!("arn:{partition}:iam::{account}:{sort}/{name}"))
    };
    let named = [("roleName", "role"), ("userName", "user")].into_iter();
    let mut found: BTreeSet<String> =
        named.filter_map(|(parameter, sort)| arn(sort, &text(request, parameter)?)).collect();
    // An association of EKS Pod Identity is told whole only in the answer.
    for association in [request, response.get("association").unwrap_or(&Value::Null)] {
        found.extend(["roleArn", "principalArn"].iter().filter_map(|name| text(association, name)));
        let account = text(association, "namespace").zip(text(association, "serviceAccount"));
        found.extend(account.map(|(namespace, name)| format!("{ACCOUNT}{namespace}:{name}")));
    }
    for document in ["policyDocument", "assumeRolePolicyDocument"] {
        let document = text(request, document).and_then(|text| serde_json::from_str(&text).ok());
        accounts(&document.unwrap_or_default(), &mut found);
    }
    found
}

/// The managed policy that a call attaches or detaches, and to whom: `POLICY to ROLE`.
pub(super) fn attached(access: &Access) -> Option<String> {
    let request = body::value(access.request_object.as_ref());
    let text = |name: &str| request.get(name)?.as_str();
    let holder = ["roleName", "userName", "groupName"].into_iter().find_map(text)?;
    Some(format!("{} to {holder}", text("policyArn")?))
}

/// Every `ServiceAccount` that a trust policy names in a condition; with a wildcard it is none.
fn accounts(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::String(text) if text.starts_with(ACCOUNT) && !text.contains(['*', '?']) => {
            found.insert(text.clone());
        }
        Value::Array(list) => list.iter().for_each(|inner| accounts(inner, found)),
        Value::Object(fields) => fields.values().for_each(|inner| accounts(inner, found)),
        _ => {}
    }
}

/// Members of the bindings that were added and removed, and the service account that the call is about.
fn gcp(access: &Access) -> BTreeSet<String> {
    let annotations = body::value(access.annotations.as_ref());
    let members = binding_deltas(&annotations).filter_map(|delta| delta["member"].as_str());
    let object = access.object_name.as_deref().and_then(|path| path.rsplit('/').next());
    let object = object.filter(|name| name.contains('@'));
    let canonical = |member: &str| Identity::parse(Provider::Gcp, None, member).name;
    members.chain(object).filter_map(canonical).collect()
}

/// What Google's audit log says that a change of policy adds and removes.
pub(super) fn binding_deltas(annotations: &Value) -> impl Iterator<Item = &Value> {
    let deltas = annotations.pointer("/serviceData/policyDelta/bindingDeltas");
    deltas.and_then(Value::as_array).into_iter().flatten()
}

/// The principal of a role assignment, and the subject of a federated credential.
fn azure(body: &Value) -> Vec<String> {
    let properties = get(body, "properties").unwrap_or(body);
    let text = |name: &str| get(properties, name)?.as_str().filter(|text| !text.is_empty());
    let assigned = text("principalId").map(|id| format!("oid:{id}"));
    let federated = text("subject").map(str::to_owned);
    assigned.into_iter().chain(federated).collect()
}

/// Azure minds no case in the names of fields.
fn get<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    let mut fields = body.as_object()?.iter();
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;

    fn check(provider: Provider, object: &str, bodies: [&str; 3], expected: &[&str]) {
        let [request, response, annotations] = bodies.map(|body| Some(Json(body.into())));
        let access = Access {
            provider,
            account: Some("123456789012".into()),
            object_name: Some(object.into()),
            request_object: request,
            response_object: response,
            annotations,
            ..Access::default()
        };
        assert_eq!(of(&access), expected, "{object}");
    }

    /// Scenario: calls of three clouds that give roles and trust: to a role, a user, a `ServiceAccount` in a
    /// trust policy, one in the answer only, members of a policy, and in a body of Azure in either case.
    /// Guarantees: each names whom it concerns by the name that accesses have; a wildcard names nobody.
    #[test]
    fn calls_name_whom_they_concern() {
        let role = "arn:aws:iam::123456789012:role/ledger";
        let account = "system:serviceaccount:payments:ledger";
        let aws = |request: &str, response: &str, expected: &[&str]| {
            check(Provider::Aws, "ledger", [request, response, "{}"], expected);
        };
        aws(
            r#"{"roleName":"ledger","policyArn":"arn:aws:iam::aws:policy/Admin"}"#,
            "null",
            &[role],
        );
        aws(r#"{"userName":"ci","groupName":"ops"}"#, "{}", &["arn:aws:iam::123456789012:user/ci"]);
        aws(
            r#"{"roleName":"ledger","policyDocument":"{\"Statement\":[{\"Condition\":{\"StringEquals\":{\"oidc:sub\":[\"system:serviceaccount:payments:ledger\"]},\"StringLike\":{\"oidc:sub\":\"system:serviceaccount:web:*\"}}}]}"}"#,
            "{}",
            &[role, account],
        );
        aws(
            r#"{"associationId":"a-1"}"#,
            r#"{"association":{"namespace":"payments","serviceAccount":"ledger","roleArn":"arn:aws:iam::123456789012:role/ledger"}}"#,
            &[role, account],
        );
        check(
            Provider::Gcp,
            "projects/-/serviceAccounts/ci@acme.iam.gserviceaccount.com",
            [
                "{}",
                "{}",
                r#"{"serviceData":{"policyDelta":{"bindingDeltas":[{"action":"ADD","role":"roles/owner","member":"user:m@example.com"}]}}}"#,
            ],
            &["ci@acme.iam.gserviceaccount.com", "m@example.com"],
        );
        let azure = |request: &str, response: &str, expected: &[&str]| {
            check(Provider::Azure, "roleAssignments/1", [request, response, "{}"], expected);
        };
        azure(
            r#"[{"type":"User","id":"u-1","userPrincipalName":"m@example.com"},{"type":"Application","id":"a-1","modifiedProperties":[
                {"displayName":"FederatedIdentityCredentials","oldValue":"[]","newValue":"[{\"Name\":\"shop\",\"Issuer\":\"i\",\"Subject\":\"system:serviceaccount:payments:ledger\"}]"}]}]"#,
            "{}",
            &["m@example.com", "oid:u-1", account],
        );
        azure(r#"{"Properties":{"PrincipalId":"p-1"}}"#, "{}", &["oid:p-1"]);
        azure("null", r#"{"properties":{"principalId":"p-1"}}"#, &["oid:p-1"]);
        azure(
            r#"{"properties":{"subject":"system:serviceaccount:payments:ledger","issuer":"i"}}"#,
            "{}",
            &[account],
        );
    }
}
