//! Format `gcp-audit`: one entry of Cloud Audit Logs in, one access out; other entries become logs.
//!
//! Fields: <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog>.
//! Who acted is the principal whose permissions counted. Where a service account was impersonated,
//! whoever did so stands in `extra` (`serviceAccountDelegationInfo`, first the one who began).

use durward_schemas::Identity;
use durward_schemas::Time;
use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome, Provider};
use serde_json::{Map, Value};

use super::cloud::{Message, Record, Request, moment, stored};
use super::fields::Fields;
use super::google::last_part;
use super::mapping::Mapping;
use super::{Context, Failure, Format, Reading, google};
use crate::normalize;

/// Which field of an entry fills which column.
pub(super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "timestamp"),
    Mapping::new("time_suspect", "timestamp"),
    Mapping::new("claimed_time", "timestamp"),
    Mapping::new("observed_time", "receiveTimestamp"),
    Mapping::new("source_event_id", "insertId"),
    Mapping::new("account", "resource.labels.project_id, else logName"),
    Mapping::new(
        "region",
        "resource.labels.location, else resource.labels.region, else resource.labels.zone",
    ),
    Mapping::new("api_group", "protoPayload.serviceName"),
    Mapping::new("verb", "protoPayload.methodName"),
    Mapping::new("activity_id", "protoPayload.methodName"),
    Mapping::new("resource", "resource.type"),
    Mapping::new("object_name", "protoPayload.resourceName"),
    Mapping::new(
        "identity",
        "protoPayload.metadata.mapped_principal where protoPayload.methodName and \
         protoPayload.status.code tell of an exchange that ended well, \
         else protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject",
    ),
    Mapping::new(
        "identity_kind",
        "protoPayload.metadata.mapped_principal where protoPayload.methodName and \
         protoPayload.status.code tell of an exchange that ended well, \
         else protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject",
    ),
    Mapping::new(
        "identity_realm",
        "protoPayload.metadata.mapped_principal where protoPayload.methodName and \
         protoPayload.status.code tell of an exchange that ended well, \
         else protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject",
    ),
    Mapping::new(
        "namespace",
        "protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject, \
         else protoPayload.authenticationInfo.serviceAccountDelegationInfo.principalSubject of the first, \
         else protoPayload.metadata.mapped_principal; null where protoPayload.status.code tells of \
         a refused proof",
    ),
    Mapping::new(
        "service_account",
        "protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject, \
         else protoPayload.authenticationInfo.serviceAccountDelegationInfo.principalSubject of the first, \
         else protoPayload.metadata.mapped_principal; null where protoPayload.status.code tells of \
         a refused proof",
    ),
    Mapping::new("credential_id", "protoPayload.authenticationInfo.serviceAccountKeyName"),
    Mapping::new("credential_kind", "protoPayload.authenticationInfo.serviceAccountKeyName"),
    Mapping::new("extra", "protoPayload.authenticationInfo"),
    Mapping::new("source_ip", "protoPayload.requestMetadata.callerIp, if it is an address"),
    Mapping::new("user_agent", "protoPayload.requestMetadata.callerSuppliedUserAgent"),
    Mapping::new(
        "decision",
        "protoPayload.status.code, protoPayload.authorizationInfo, protoPayload.policyViolationInfo, \
         protoPayload.metadata.dryRun, protoPayload.methodName",
    ),
    Mapping::new(
        "outcome",
        "protoPayload.status.code, protoPayload.authorizationInfo, protoPayload.metadata.dryRun, \
         protoPayload.methodName",
    ),
    Mapping::new("status_code", "protoPayload.status.code, as HTTP has it"),
    Mapping::new("status_reason", "protoPayload.status.code, by its name"),
    Mapping::new(
        "decision_reason",
        "protoPayload.metadata.violationReason, else protoPayload.status.message; where \
         protoPayload.status.code, protoPayload.authorizationInfo, \
         protoPayload.policyViolationInfo, protoPayload.metadata.dryRun or protoPayload.methodName \
         tells of a refusal",
    ),
    Mapping::new(
        "decided_by",
        "protoPayload.metadata.securityPolicyInfo.servicePerimeterName, else \
         protoPayload.policyViolationInfo.orgPolicyViolationInfo.violationInfo.constraint; \
         protoPayload.status.code, protoPayload.metadata.dryRun, protoPayload.methodName",
    ),
    Mapping::new("request_object", "protoPayload.request"),
    Mapping::new("response_object", "protoPayload.response"),
    Mapping::new(
        "issued_credential_id",
        "protoPayload.response.name, where protoPayload.methodName makes a key",
    ),
    Mapping::new(
        "annotations",
        "protoPayload.authorizationInfo, protoPayload.metadata, protoPayload.serviceData, \
         protoPayload.policyViolationInfo",
    ),
    Mapping::new("truncated", "split.totalSplits"),
    Mapping::new("claimed_trace_id", "trace"),
    Mapping::new("claimed_span_id", "spanId"),
];

/// What a service wrote beside the request: whether it may, and what it changed.
const ANNOTATIONS: &[&str] =
    &["authorizationInfo", "metadata", "serviceData", "policyViolationInfo"];
/// What methods of the log of sign-ins begin with.
/// <https://developers.google.com/workspace/admin/reports/v1/appendix/activity/login>
const LOGIN: &str = "google.login.LoginService.";
/// Who acts where Google does something by itself.
/// <https://cloud.google.com/logging/docs/audit#system-event>
const GOOGLE: &str = "system@google.com";
/// What the name of a key of a service account begins with where the key is used.
const IAM: &str = "//iam.googleapis.com/";

/// Reads one entry into `reading`.
pub(super) fn read(
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let entry = google::parse(bytes)?;
    if entry.contains_key("protoPayload") {
        reading.accesses.push(audit(entry, context)?);
    } else if entry.contains_key("logName") || entry.contains_key("insertId") {
        reading.logs.push(log(entry).row(context));
    } else {
        return Err(google::not_an_entry());
    }
    Ok(())
}

/// Any other entry of Cloud Logging.
fn log(entry: Map<String, Value>) -> Message {
    let mut entry = Fields::new(entry);
    let text = entry.text_if("textPayload").map(Value::from);
    let body = text.or_else(|| entry.take("jsonPayload")).unwrap_or_default();
    let resource = entry.object("resource").unwrap_or_default().into_inner();
    let service = resource.get("type").and_then(Value::as_str).map(str::to_owned);
    // Resources of GKE: <https://cloud.google.com/logging/docs/api/v2/resource-list>
    let label = |name: &str| resource.get("labels")?.get(name)?.as_str().map(str::to_owned);
    let [cluster, namespace, pod] = ["cluster_name", "namespace_name", "pod_name"].map(label);
    Message {
        time: entry.text_if("timestamp"),
        service,
        cluster,
        namespace,
        pod,
        severity: entry.text_if("severity"),
        body,
        trace_id: entry.text_if("trace").map(last_part),
        span_id: entry.text_if("spanId"),
        attributes: entry.into_inner(),
        resource,
    }
}

/// Reads an audit log.
fn audit(entry: Map<String, Value>, context: &Context<'_>) -> Result<Access, Failure> {
    let mut record = Record::open(entry, context);
    let mut access = Access {
        provider: Provider::Gcp,
        source: context.source.to_owned(),
        format: Format::GcpAudit.name().to_owned(),
        ..Access::default()
    };
    let fields = &mut record.fields;
    let claim = fields.text_if("timestamp");
    access.observed_time = fields.text_if("receiveTimestamp").as_deref().and_then(moment);
    access.source_event_id = fields.text_if("insertId");
    access.claimed_trace_id = fields.text_if("trace").map(last_part);
    access.claimed_span_id = fields.text_if("spanId");
    access.truncated = google::is_split(fields.get("split"));
    place(&mut access, fields);
    fields.inside("protoPayload", |payload| {
        payload.text_if("@type");
        access.api_group = payload.text_if("serviceName");
        access.verb = payload.text_if("methodName");
        access.object_name = payload.text_if("resourceName");
        payload.inside("authenticationInfo", |info| who(&mut access, info));
        payload.inside("requestMetadata", |metadata| {
            access.source_ip = google::caller(metadata);
            access.user_agent = metadata.text_if("callerSuppliedUserAgent");
        });
        mapped(&mut access, payload);
        outcome(&mut access, payload);
        bodies(&mut access, payload);
    });
    if access.verb.is_none() && access.api_group.is_none() {
        return Err(google::not_an_entry());
    }
    access.activity_id = normalize::activity_of(access.verb.as_deref().unwrap_or_default());
    record.time(&mut access, claim.as_deref(), context);
    let operation = lasting(record.fields.get("operation")).map(str::to_owned);
    let (id, user) = (access.source_event_id.clone(), access.identity.clone());
    let request = match &operation {
        Some(operation) => Request { id: operation, time: Time::default(), user: "", target: "" },
        None => Request {
            id: &id.unwrap_or_default(),
            time: record.claimed(),
            user: &user.unwrap_or_default(),
            target: &access.object_name.clone().unwrap_or_default(),
        },
    };
    Ok(record.close(access, &request))
}

/// The id of an operation that has an entry for its beginning and one for its end, of which only the
/// first tells who was allowed what: they are one request.
/// <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogEntryOperation>
fn lasting(operation: Option<&Value>) -> Option<&str> {
    let operation = operation?;
    let is = |key: &str| operation.get(key).is_some_and(|told| *told == true || *told == "true");
    let id = operation.get("id")?.as_str().filter(|id| !id.is_empty())?;
    (is("first") != is("last")).then_some(id)
}

/// The project and the place of the resource.
fn place(access: &mut Access, fields: &mut Fields) {
    fields.inside("resource", |resource| {
        access.resource = resource.text_if("type");
        resource.inside("labels", |labels| {
            access.account = labels.text_if("project_id");
            access.region =
                ["location", "region", "zone"].into_iter().find_map(|key| labels.text_if(key));
        });
    });
    if access.account.is_none() {
        let name = fields.get("logName").and_then(Value::as_str);
        let project = name.and_then(|name| name.strip_prefix("projects/")?.split('/').next());
        access.account = project.map(str::to_owned);
    }
}

/// Who acted, and by which key.
fn who(access: &mut Access, info: &mut Fields) {
    let text = |key: &str| {
        info.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    if let Some(principal) = google::principal(info) {
        let identity = Identity::parse(Provider::Gcp, None, &principal);
        account(access, &identity);
        access.identity_kind = match identity.name.as_deref() {
            Some(GOOGLE) => IdentityKind::System,
            // An agent or another resource that has an identity of its own, which is no person.
            Some(name) if name.starts_with("principal://") => IdentityKind::Unknown,
            _ => identity.kind,
        };
        access.identity_realm = identity.realm;
        access.identity = identity.name;
    }
    if access.service_account.is_none() {
        behind(access, info.get("serviceAccountDelegationInfo"));
    }
    if let Some(key) = text("serviceAccountKeyName") {
        access.credential_id = Some(CredentialId(key));
        access.credential_kind = Some(CredentialKind::CloudStaticKey);
    }
    let all = Value::Object(std::mem::take(info).into_inner());
    let is_empty = all.as_object().is_none_or(Map::is_empty);
    access.extra = (!is_empty).then(|| stored(&all));
}

/// The ServiceAccount that acts as a service account of Google: the first of those who delegated to it.
/// <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog#ServiceAccountDelegationInfo>
fn behind(access: &mut Access, delegation: Option<&Value>) {
    let subjects = delegation.and_then(Value::as_array).into_iter().flatten();
    let subjects = subjects.filter_map(|by| by.get("principalSubject")?.as_str());
    let mut identities = subjects.map(|subject| Identity::parse(Provider::Gcp, None, subject));
    if let Some(first) = identities.find(|identity| identity.service_account().is_some()) {
        account(access, &first);
    }
}

/// The ServiceAccount that `identity` is, if it is one.
fn account(access: &mut Access, identity: &Identity) {
    let account = identity.service_account();
    access.namespace = account.map(|(namespace, _)| namespace.to_owned());
    access.service_account = account.map(|(_, name)| name.to_owned());
}

/// Whom an exchange of a token made a subject of a pool. Where it ended well, that is who acts with the
/// token afterwards; the subject at the identity provider stays in `extra`.
/// <https://cloud.google.com/iam/docs/audit-logging/examples-workload-identity>
fn mapped(access: &mut Access, payload: &Fields) {
    let metadata = payload.get("metadata");
    let keys = ["mapped_principal", "mappedPrincipal"];
    let principal = keys.iter().find_map(|key| metadata?.get(*key)?.as_str());
    let Some(principal) = principal else { return };
    let identity = Identity::parse(Provider::Gcp, None, principal);
    if access.service_account.is_none() {
        account(access, &identity);
    }
    if is_exchange(access) && google::code(payload.get("status")) == 0 {
        access.identity_kind = identity.kind;
        access.identity_realm = identity.realm;
        access.identity = identity.name;
    }
}

/// Whether a token was to be exchanged for one of Google's.
fn is_exchange(access: &Access) -> bool {
    access.verb.as_deref().is_some_and(|verb| verb.ends_with(".SecurityTokenService.ExchangeToken"))
}

/// How it ended and what was decided.
fn outcome(access: &mut Access, payload: &mut Fields) {
    let (code, message) = payload.inside("status", |status| {
        (status.integer("code").ok().flatten().unwrap_or_default(), status.text_if("message"))
    });
    if let Some((status, name)) = google::http_status(code) {
        access.status_code = Some(status);
        access.status_reason = Some(name.to_owned());
    }
    access.decision = google::decision(payload.get("authorizationInfo"), code);
    let constraint = constraint(payload.get("policyViolationInfo")).filter(|_| code != 0);
    let metadata = payload.get("metadata");
    let is_rehearsed = metadata.is_some_and(|metadata| metadata["dryRun"] == true);
    let login = access.verb.as_deref().and_then(|verb| verb.strip_prefix(LOGIN));
    let failed_login = login == Some("loginFailure");
    if is_rehearsed {
        // A perimeter that is only tried out refuses nobody.
        access.decision = Decision::Unknown;
    } else if constraint.is_some() || failed_login {
        access.decision = Decision::Deny;
    } else if code == 0 && (is_exchange(access) || login == Some("loginSuccess")) {
        // Nobody is asked for a permission who only proves who it is.
        access.decision = Decision::Allow;
    }
    let perimeter = metadata
        .and_then(|metadata| metadata.get("securityPolicyInfo")?.get("servicePerimeterName"));
    let perimeter = perimeter.and_then(Value::as_str).map(str::to_owned);
    let violation = metadata.and_then(|metadata| metadata.get("violationReason")?.as_str());
    if access.decision == Decision::Deny {
        access.decision_reason = violation.map(str::to_owned).or(message);
    } else {
        payload.inside("status", |status| status.keep_text("message", message));
    }
    access.decided_by = match (access.decision, code) {
        (Decision::Deny, _) if code == 16 || failed_login => {
            nobody(access);
            Some("authentication".to_owned())
        }
        (Decision::Deny, _) => perimeter.or(constraint),
        _ => None,
    };
    if (code != 0 && !is_rehearsed) || access.decision == Decision::Deny {
        access.outcome = Outcome::Failure;
    }
}

/// A claim whose proof was refused is nobody's; it stays in `extra`.
fn nobody(access: &mut Access) {
    access.identity_kind = IdentityKind::Unauthenticated;
    access.identity_realm = None;
    access.identity = None;
    access.namespace = None;
    access.service_account = None;
}

/// The constraint of the organization that a request was against.
/// <https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog#OrgPolicyViolationInfo>
fn constraint(violation: Option<&Value>) -> Option<String> {
    let violations = violation?.get("orgPolicyViolationInfo")?.get("violationInfo")?;
    violations.get(0)?.get("constraint")?.as_str().map(str::to_owned)
}

/// What was sent and answered, and what the service says of it.
fn bodies(access: &mut Access, payload: &mut Fields) {
    let request = payload.take("request");
    let response = payload.take("response");
    let makes_key =
        access.verb.as_deref().is_some_and(|verb| verb.ends_with("CreateServiceAccountKey"));
    let key = response.as_ref().and_then(|response| response.get("name")?.as_str());
    access.issued_credential_id =
        key.filter(|_| makes_key).map(|name| CredentialId(format!("{IAM}{name}")));
    access.request_object = request.as_ref().map(stored);
    access.response_object = response.as_ref().map(stored);
    let mut annotations = Map::new();
    for key in ANNOTATIONS {
        if let Some(value) = payload.take(key) {
            annotations.insert((*key).to_owned(), value);
        }
    }
    access.annotations = (!annotations.is_empty()).then(|| stored(&Value::Object(annotations)));
}

#[cfg(test)]
mod tests;
