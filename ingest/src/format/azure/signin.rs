//! Format `azure-signin`: one sign-in to Microsoft Entra in, one access out: the request of an
//! application, a managed identity or a user for a token.
//!
//! <https://learn.microsoft.com/en-us/graph/api/resources/signin>. The token that was given out has
//! the id `uniqueTokenIdentifier`, which its later uses carry as `uti`. Which `ServiceAccount` stood
//! behind a federated credential is not told, only the id of that credential's configuration, which
//! stands in `extra`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome, Provider};
use serde_json::{Map, Value};

use super::super::cloud::{Record, Request, address, stored};
use super::super::fields::{self, Fields};
use super::super::mapping::Mapping;
use super::super::{Context, Failure, Format};
use super::{Principal, take_name};
use crate::normalize;
use crate::redact::decode_base64;

/// Which field of a sign-in fills which column.
pub(in super::super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "properties.createdDateTime, else time"),
    Mapping::new("time_suspect", "properties.createdDateTime, else time"),
    Mapping::new("claimed_time", "properties.createdDateTime, else time"),
    Mapping::new("source_event_id", "properties.id"),
    Mapping::new("request_id", "properties.correlationId, else correlationId"),
    Mapping::new("verb", "operationName"),
    Mapping::new("resource", "category"),
    Mapping::new("object_name", "properties.resourceDisplayName"),
    Mapping::new("object_uid", "properties.resourceServicePrincipalId, else properties.resourceId"),
    Mapping::new(
        "identity",
        "properties.appId, properties.servicePrincipalId, properties.userPrincipalName, \
         properties.userId by category; null where properties.status.errorCode, else resultType \
         tells that authentication failed",
    ),
    Mapping::new("identity_kind", "category, properties.status.errorCode, else resultType"),
    Mapping::new("identity_realm", "tenantId"),
    Mapping::new(
        "identity_uid",
        "properties.servicePrincipalId, properties.userId by category, \
         properties.status.errorCode, else resultType",
    ),
    Mapping::new("credential_id", "properties.servicePrincipalCredentialKeyId"),
    Mapping::new("credential_kind", "properties.clientCredentialType"),
    Mapping::new(
        "issued_credential_id",
        "properties.uniqueTokenIdentifier, properties.status.errorCode",
    ),
    Mapping::new("extra", "properties"),
    Mapping::new("source_ip", "properties.ipAddress, else callerIpAddress"),
    Mapping::new("user_agent", "properties.userAgent"),
    Mapping::new("decision", "properties.status.errorCode, else resultType"),
    Mapping::new("outcome", "properties.status.errorCode, else resultType"),
    Mapping::new("status_reason", "properties.status.errorCode, else resultType"),
    Mapping::new("decision_reason", "properties.status.failureReason, else resultDescription"),
    Mapping::new("decided_by", "properties.status.errorCode, else resultType"),
];

/// The fields of a sign-in, as Microsoft Graph spells them. Outside diagnostic settings they stand
/// beside the common ones, in Log Analytics with capitals.
const SPELLING: &[&str] = &[
    "createdDateTime",
    "id",
    "appId",
    "appDisplayName",
    "servicePrincipalId",
    "servicePrincipalName",
    "federatedCredentialId",
    "clientCredentialType",
    "managedIdentityType",
    "uniqueTokenIdentifier",
    "servicePrincipalCredentialKeyId",
    "servicePrincipalCredentialThumbprint",
    "resourceDisplayName",
    "resourceServicePrincipalId",
    "userPrincipalName",
    "userId",
    "ipAddress",
    "userAgent",
    "conditionalAccessStatus",
    "signInEventTypes",
    "resourceIdentity",
];

/// Errors after which it was known who asked, and what refused: conditional access, an application that
/// is for those only who are assigned to it, or nobody's consent to what it may do.
/// <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>
const AUTHENTICATED: &[(&str, &[&str])] = &[
    (
        "conditional access",
        &[
            "53000", "53001", "53002", "53003", "53004", "53009", "53011", "530003", "530031",
            "530032", "530034",
        ],
    ),
    ("app assignment", &["50105", "501051"]),
    ("consent", &["65001", "90094"]),
];

/// Interruptions of a sign-in that follow the proof, and are no errors: whether to stay signed in, whether
/// that is what was wanted, and how to be reached for a new password.
const INTERRUPTED: &[&str] = &["50125", "50140", "50199"];

/// Errors of a service that did not come to decide: too busy, or broken.
const UNDECIDED: &[&str] = &["90006", "90012", "90024", "90033"];

/// Reads one sign-in.
pub(in super::super) fn read(
    mut record: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    gather(&mut record);
    let mut record = Record::open(record, context);
    let fields = &mut record.fields;
    let more = fields.object("properties")?;
    if !["appId", "servicePrincipalId", "userId", "userPrincipalName"]
        .iter()
        .any(|key| more.has(key))
    {
        return Err(Failure::new("not_a_sign_in", "the record names no application and no user"));
    }
    let text = |key: &str| {
        more.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let mut access = Access {
        provider: Provider::Azure,
        source: context.source.to_owned(),
        format: Format::AzureSignin.name().to_owned(),
        verb: take_name(fields, "operationName").or_else(|| Some("Sign-in activity".to_owned())),
        resource: fields.text_if("category").or_else(|| fields.text_if("Type")),
        object_name: text("resourceDisplayName"),
        object_uid: ["resourceServicePrincipalId", "resourceIdentity", "resourceId"]
            .into_iter()
            .find_map(text),
        source_event_id: text("id"),
        user_agent: text("userAgent"),
        activity_id: normalize::activity_of("signin"),
        ..Access::default()
    };
    let correlation = fields.text_if("correlationId");
    access.request_id = text("correlationId").or(correlation);
    let caller = fields.text_if("callerIpAddress");
    let seen = text("ipAddress").as_deref().and_then(address);
    access.source_ip = seen.or_else(|| caller.as_deref().and_then(address));
    let claim = text("createdDateTime");
    let logged = fields.text_if("time");
    let is_application = is_application(access.resource.as_deref(), &more);
    outcome(&mut access, fields, &more);
    access.identity_realm = fields.text_if("tenantId");
    if access.identity_kind != IdentityKind::Unauthenticated {
        who(&mut access, is_application, &more, &text);
    }
    credential(&mut access, &text);
    access.extra = Some(stored(&Value::Object(more.into_inner())));
    record.time(&mut access, claim.or(logged).as_deref(), context);
    let request = Request {
        id: &access.source_event_id.clone().or(access.request_id.clone()).unwrap_or_default(),
        time: record.claimed(),
        user: &access.identity.clone().unwrap_or_default(),
        target: &access.object_name.clone().unwrap_or_default(),
    };
    Ok(record.close(access, &request))
}

/// Puts the fields of a sign-in under `properties`, where diagnostic settings have them.
fn gather(record: &mut Map<String, Value>) {
    if !record.get("properties").is_some_and(Value::is_object) {
        let mut properties = Map::new();
        fields::spell(record, SPELLING);
        for key in SPELLING.iter().chain(&["status", "riskState", "resourceId", "correlationId"]) {
            if let Some(value) = record.remove(*key) {
                properties.insert((*key).to_owned(), value);
            }
        }
        record.insert("properties".to_owned(), Value::Object(properties));
    } else if let Some(Value::Object(properties)) = record.get_mut("properties") {
        fields::spell(properties, SPELLING);
        properties.retain(|_, value| !value.is_null());
    }
}

/// Whether no user signed in. Outside diagnostic settings there may be no category.
fn is_application(category: Option<&str>, more: &Fields) -> bool {
    if let Some(category) = category {
        return category.contains("ServicePrincipal") || category.contains("ManagedIdentity");
    }
    let kind = more.get("signInEventTypes").and_then(|kinds| kinds.as_array()?.first()?.as_str());
    match kind {
        Some(kind) => matches!(kind, "servicePrincipal" | "managedIdentity"),
        // An application has a user beside it, whose fields are empty.
        None => ["userPrincipalName", "userId"].into_iter().all(|key| {
            let id = more.get(key).and_then(Value::as_str);
            id.is_none_or(str::is_empty)
        }),
    }
}

/// Whether Microsoft Graph says that a managed identity signed in.
fn is_managed(more: &Fields) -> bool {
    let kinds = more.get("signInEventTypes").and_then(Value::as_array);
    kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "managedIdentity"))
}

fn who(
    access: &mut Access,
    is_application: bool,
    more: &Fields,
    text: &dyn Fn(&str) -> Option<String>,
) {
    let category = access.resource.clone().unwrap_or_default();
    let managed = text("managedIdentityType").filter(|kind| kind != "none");
    let is_managed_identity =
        category.contains("ManagedIdentity") || managed.is_some() || is_managed(more);
    let principal = if is_application {
        Principal {
            app: text("appId"),
            object: text("servicePrincipalId"),
            is_managed_identity,
            ..Principal::default()
        }
    } else {
        Principal {
            user: text("userPrincipalName"),
            object: text("userId"),
            is_user: true,
            ..Principal::default()
        }
    };
    Principal { tenant: access.identity_realm.clone(), ..principal }.fill(access);
}

/// What was shown, and the token that was given out.
fn credential(access: &mut Access, text: &dyn Fn(&str) -> Option<String>) {
    access.credential_id = text("servicePrincipalCredentialKeyId").map(CredentialId);
    access.credential_kind = match text("clientCredentialType").as_deref() {
        Some("clientSecret") => Some(CredentialKind::CloudStaticKey),
        Some("clientAssertion" | "federatedIdentityCredential") => Some(CredentialKind::OidcToken),
        Some("certificate") => Some(CredentialKind::ClientCertificate),
        Some("none") | None => None,
        Some(_) => Some(CredentialKind::Unknown),
    };
    if access.outcome == Outcome::Success {
        let token = text("uniqueTokenIdentifier");
        access.issued_credential_id =
            token.map(|uti| CredentialId(format!("UTI={}", token_id(&uti))));
    }
}

/// Zero is success; any other code says why there is no token.
fn outcome(access: &mut Access, fields: &mut Fields, more: &Fields) {
    let status = more.get("status");
    let code = status.and_then(|status| status.get("errorCode")).and_then(|code| match code {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    });
    let reason = status.and_then(|status| status.get("failureReason")?.as_str());
    let reason = reason.filter(|reason| !matches!(*reason, "" | "Other.")).map(str::to_owned);
    let described = fields.text_if("resultDescription");
    let result = fields.scalar_if("resultType");
    let code = code.or(result).unwrap_or_default();
    access.decision_reason = reason.or(described);
    match code.as_str() {
        "0" | "Success" => access.decision = Decision::Allow,
        "" => {}
        code => {
            access.decision = Decision::Deny;
            access.outcome = Outcome::Failure;
            access.status_reason = Some(code.to_owned());
            if UNDECIDED.contains(&code) {
                access.decision = Decision::Error;
                access.identity_kind = IdentityKind::Unauthenticated;
            } else if INTERRUPTED.contains(&code) {
                access.decision = Decision::Unknown;
            } else if let Some(by) = refused_by(code) {
                access.decided_by = Some(by.to_owned());
            } else {
                access.decided_by = Some("authentication".to_owned());
                access.identity_kind = IdentityKind::Unauthenticated;
            }
        }
    }
}

/// What refused somebody who is known.
fn refused_by(code: &str) -> Option<&'static str> {
    AUTHENTICATED.iter().find(|(_, codes)| codes.contains(&code)).map(|(by, _)| *by)
}

/// The id of a token as tokens carry it, `uti`: the sixteen bytes of the id of the sign-in, in base64 of
/// RFC 4648 section 5 without padding. Until 2022 sign-ins had that id as text in base64 instead.
fn token_id(told: &str) -> String {
    let text = decode_base64(told).and_then(|bytes| String::from_utf8(bytes).ok());
    let bytes = text.as_deref().and_then(bytes_of_guid);
    bytes.map_or_else(|| told.to_owned(), |bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// The bytes of a GUID, whose first three groups are numbers with their lowest byte first.
/// <https://learn.microsoft.com/en-us/dotnet/api/system.guid.tobytearray>
fn bytes_of_guid(text: &str) -> Option<Vec<u8>> {
    let groups: Vec<&str> = text.split('-').collect();
    let [first, second, third, fourth, last] = groups.as_slice() else { return None };
    let is_guid = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (head, tail) = (number(first)?, number(&[*fourth, *last].concat())?);
    let middle = [number(second)?, number(third)?];
    let mut bytes = u32::try_from(head).ok()?.to_le_bytes().to_vec();
    for number in middle {
        bytes.extend(u16::try_from(number).ok()?.to_le_bytes());
    }
    bytes.extend(tail.to_be_bytes());
    is_guid.then_some(bytes)
}

#[cfg(test)]
mod tests;
