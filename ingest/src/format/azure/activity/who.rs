//! Who called Azure: the claims of the token, or what stands for them in the log of a service.

use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, IdentityKind};
use serde_json::{Map, Value};

use super::super::super::cloud::stored;
use super::super::super::fields::Fields;
use super::super::{Principal, opened};

/// Claims are named by URIs in tokens of version 1: the short name, and what the URI ends in.
const CLAIMS: &[(&str, &[&str])] = &[
    (
        "oid",
        &[
            "oid",
            "objectId",
            "http://schemas.microsoft.com/identity/claims/objectidentifier",
            "servicePrincipalId",
            "userId",
            "ObjectID",
        ],
    ),
    (
        "tid",
        &["tid", "tenantId", "http://schemas.microsoft.com/identity/claims/tenantid", "TenantID"],
    ),
    ("upn", &["upn", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn", "UPN"]),
    ("email", &["email", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"]),
    ("name", &["unique_name", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"]),
    ("appid", &["appid", "appId", "azp"]),
    ("uti", &["uti", "signInActivityId"]),
    ("xms_mirid", &["xms_mirid"]),
];

/// Fills who called, by the claims of the token, and which role let in. Tells whether of all roles that
/// were checked none did.
pub(super) fn who(access: &mut Access, fields: &mut Fields) -> bool {
    let caller = fields.text_if("caller");
    let tenant = fields.text_if("tenantId");
    let own = [fields.take("claims"), fields.take("authorization")];
    let (claims, authorization, requester) = fields.inside("identity", |identity| {
        let claims = identity.take("claims").or_else(|| identity.take("claim"));
        (claims, identity.take("authorization"), identity.take("requester"))
    });
    let [own_claims, own_authorization] = own;
    // A storage account has a requester, whose fields are named as claims are; the logs of Microsoft
    // Graph and of Privileged Identity Management have them among the properties.
    let claims = claims.or(own_claims).or(requester);
    let claims = claims.or_else(|| of_graph(fields.get("properties")));
    let claims = claims.or_else(|| fields.inside("properties", of_privileged));
    let authorization = authorization.or(own_authorization);
    let claim = |name: &str| {
        let (_, keys) = CLAIMS.iter().find(|(short, _)| *short == name)?;
        let claims = claims.as_ref()?;
        let found = keys.iter().find_map(|key| claims.get(*key)?.as_str());
        found.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let evidence = Evidence(authorization.as_ref());
    let [caller_user, caller_object, caller_name] = by_form(caller);
    // A service of Azure has its name where people have an address.
    let (address, service): (Vec<String>, Vec<String>) =
        claim("email").into_iter().partition(|email| email.contains('@'));
    let user = claim("upn").or_else(|| address.into_iter().next()).or_else(|| claim("name"));
    let principal = Principal {
        tenant: claim("tid").or(tenant),
        user: user.or(caller_user),
        app: claim("appid"),
        object: claim("oid").or(caller_object),
        is_managed_identity: claim("xms_mirid").is_some(),
        is_user: evidence.of_principal("principalType") == Some("User")
            || is_user_of_graph(claims.as_ref()),
    };
    principal.fill(access);
    if access.identity.is_none() {
        access.identity = service.into_iter().next().or(caller_name);
    }
    access.credential_id = claim("uti").map(|uti| CredentialId(format!("UTI={uti}")));
    access.credential_kind = access.credential_id.as_ref().map(|_| CredentialKind::CloudSession);
    let sort = fields.inside("identity", |identity| identity.get("type").cloned());
    of_storage(access, sort.as_ref().and_then(Value::as_str));
    access.decided_by = evidence.of_role("roleAssignmentId").map(assignment);
    access.decided_role = evidence.of_role("role").map(str::to_owned);
    access.decided_subject = evidence
        .of_principal("principalType")
        .zip(evidence.of_principal("principalId"))
        .map(|(kind, id)| format!("{kind}/{id}"));
    access.extra = claims.as_ref().map(stored);
    access.annotations = authorization.as_ref().map(stored);
    evidence.has_refused()
}

fn assignment(id: &str) -> String {
    format!("roleAssignments/{id}")
}

/// What `caller` is by its form: the name of a user, the id of an object, or the name by which a service
/// of Azure calls, such as `Microsoft.Insights/alertRules`.
fn by_form(caller: Option<String>) -> [Option<String>; 3] {
    match caller {
        Some(caller) if caller.contains('@') => [Some(caller), None, None],
        Some(caller) if caller.contains(['.', '/', ' ']) => [None, None, Some(caller)],
        caller => [None, caller, None],
    }
}

/// What was checked: one role that lets in, or a list of what a storage account checked.
/// <https://learn.microsoft.com/en-us/azure/storage/blobs/monitor-blob-storage-reference#fields-that-describe-how-the-operation-was-authenticated>
struct Evidence<'a>(Option<&'a Value>);

impl<'a> Evidence<'a> {
    fn first(&self) -> Option<&'a Value> {
        let found = self.0?;
        found.get("evidence").or_else(|| found.get(0))
    }

    fn has_refused(&self) -> bool {
        let checks = self.0.and_then(Value::as_array);
        let checks = checks.filter(|checks| !checks.is_empty());
        checks.is_some_and(|checks| checks.iter().all(is_refusal))
    }

    /// Of the role that let in. One that a storage account refused by let nobody in.
    fn of_role(&self, key: &str) -> Option<&'a str> {
        let first = self.first()?;
        first.get(key)?.as_str().filter(|_| !is_refusal(first))
    }

    /// Of whom was asked for; a storage account has a list of them.
    fn of_principal(&self, key: &str) -> Option<&'a str> {
        let first = self.first()?;
        let short = if key == "principalType" { "type" } else { "id" };
        let listed = || first.get("principals")?.get(0)?.get(short)?.as_str();
        first.get(key).and_then(Value::as_str).or_else(listed)
    }
}

/// Whether a storage account says of what it checked that it does not let in.
fn is_refusal(check: &Value) -> bool {
    check.get("result").is_some_and(|result| result == "Denied")
}

/// What was shown to a storage account: nothing, its key, or a signature that was made with its key.
fn of_storage(access: &mut Access, sort: Option<&str>) {
    let kind = match sort {
        Some("Anonymous") => CredentialKind::None,
        Some("AccountKey" | "SAS") => CredentialKind::CloudStaticKey,
        _ => return,
    };
    access.credential_kind = access.credential_kind.or(Some(kind));
    if access.identity.is_none() && kind == CredentialKind::None {
        access.identity_kind = IdentityKind::Anonymous;
        access.identity = Some("anonymous".to_owned());
    }
}

/// Who called Microsoft Graph.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/microsoftgraphactivitylogs>
fn of_graph(properties: Option<&Value>) -> Option<Value> {
    let properties = properties?.as_object()?;
    let is_asked = properties.contains_key("requestMethod");
    let named = ["appId", "servicePrincipalId", "userId", "tenantId", "signInActivityId"];
    let claims = named.iter().filter_map(|key| {
        let value = properties.get(*key).filter(|value| !value.is_null() && **value != "")?;
        Some(((*key).to_owned(), value.clone()))
    });
    let claims: Map<String, Value> = claims.collect();
    (is_asked && !claims.is_empty()).then_some(Value::Object(claims))
}

fn is_user_of_graph(claims: Option<&Value>) -> bool {
    claims.is_some_and(|claims| claims.get("userId").is_some())
}

/// Who asked Privileged Identity Management to activate a role: a list of kinds and values, as a text.
/// Of what the service does by itself no UPN is told, though it is called a user too.
/// <https://learn.microsoft.com/en-us/entra/id-governance/privileged-identity-management/azure-pim-resource-rbac>
fn of_privileged(properties: &mut Fields) -> Option<Value> {
    let told = opened(properties.get("CallerInfo")?);
    let pairs = told.as_array()?.iter().filter_map(|pair| {
        let kind = pair.get("CallerIdentityType")?.as_str()?.to_owned();
        Some((kind, pair.get("CallerIdentityValue")?.clone()))
    });
    let mut claims: Map<String, Value> = pairs.collect();
    if let Some(tenant) = properties.get("TenantID") {
        claims.insert("TenantID".to_owned(), tenant.clone());
    }
    properties.take("CallerInfo");
    (!claims.is_empty()).then_some(Value::Object(claims))
}
