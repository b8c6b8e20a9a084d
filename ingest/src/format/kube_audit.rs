//! Format `kube-audit`: one event of audit.k8s.io in, one access out.
//!
//! Fields: <https://github.com/kubernetes/apiserver/blob/master/pkg/apis/audit/v1/types.go>.
//! An event is read field by field, so that what no column takes is still kept, and its id is
//! hashed over the same content whether it came by webhook, file or Collector.

mod answer;
mod carried;
mod columns;
mod impersonation;
mod issued;
pub(super) mod legacy;
mod reason;

use durward_schemas::Identity;
use durward_schemas::cell::Json;
use durward_schemas::ids::{CredentialId, EventId, RequestKey};
use durward_schemas::tables::Access;
use durward_schemas::time::Time;
use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome, Provider};
use serde_json::{Map, Value};

use self::answer::Answer;
pub(super) use self::carried::fields as carried;
pub(super) use self::columns::MAPPING;
use self::issued::Issued;
use super::fields::{self, Fields};
use super::{Context, Failure, Format, cloud, gke_audit, mesh};
use crate::canonical;
use crate::normalize::{self, Timed};
use crate::redact::Body;

/// The fields that hold what clients send and are sent.
const BODIES: &[&str] = &["requestObject", "responseObject"];

/// Reads one event; a text that holds an event, as Kafka exporters send it, counts as the event, and
/// so does a line that a container runtime or a shipper of logs has wrapped it in.
pub(crate) fn read(bytes: &[u8], context: &Context<'_>) -> Result<Access, Failure> {
    let bytes = carried::behind_prefix(mesh::payload(bytes));
    if bytes.first() == Some(&b'"') {
        let inner: String = serde_json::from_slice(bytes)?;
        return read_event(parse(inner.as_bytes())?, context);
    }
    if bytes.first() != Some(&b'{') {
        return carried::read_text(bytes, context);
    }
    let mut event = parse(bytes)?;
    for _ in 0..mesh::DEEPEST {
        let Some(carried) = carried(&mut event) else { break };
        event = carried?;
    }
    read_event(event, context)
}

/// Whether a text says that it is an event.
pub(super) fn is_marked(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"\"audit.k8s.io/").is_some()
}

/// The fields of an event.
fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    fields::parse(bytes, BODIES)
}

/// Reads an event that is parsed already.
pub(crate) fn read_event(
    mut event: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    let version = check_kind(&mut event)?;
    if !is_event(&event, version.is_some()) {
        return Err(not_an_event());
    }
    read_fields(Format::KubeAudit, event, version, context)
}

/// Reads the fields of what is known to be an event, told in `format`.
pub(super) fn read_fields(
    format: Format,
    mut event: Map<String, Value>,
    version: Option<Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    let version = version.filter(|version| version != "audit.k8s.io/v1");
    let issued = Issued::read(&event);
    redact(&mut event, context);
    let told = context.text_of_fields(&event);
    let caller = if format == Format::GkeAudit {
        gke_audit::Caller::take(&mut event)
    } else {
        gke_audit::Caller::default()
    };
    let mut event = Fields::new(event);
    let mut access = Access {
        provider: Provider::Kubernetes,
        cluster: context.cluster.map(str::to_owned),
        source: context.source.to_owned(),
        format: format.name().to_owned(),
        source_event_id: event.text("auditID")?,
        stage: event.text("stage")?,
        level: event.text("level")?,
        verb: event.text("verb")?,
        user_agent: event.text("userAgent")?,
        class_uid: normalize::API_ACTIVITY,
        ..Access::default()
    };
    access.activity_id = normalize::activity(access.verb.as_deref().unwrap_or_default());
    let received = times(&mut access, &mut event, context)?;
    who(&mut access, &mut event)?;
    caller.fill(&mut access);
    let answer = what(&mut access, &mut event)?;
    let is_refusal = outcome(&mut access, &mut event, answer)?;
    annotated(&mut access, &mut event, is_refusal)?;
    if access.identity.is_none() && access.status_code != Some(401) {
        // Nobody was refused: the source does not say who it was.
        access.identity_kind = IdentityKind::Unknown;
    }
    source(&mut access, &mut event, context)?;
    issued.fill(&mut access);
    access.unmapped = event.rest(version);
    access.event_id = EventId::of(received, context.cluster, told.as_bytes());
    access.request_key = request_key(&access, received, context);
    Ok(access)
}

fn not_an_event() -> Failure {
    Failure::new("not_an_audit_event", "the item has no auditID and does not say what was asked")
        .hint("events: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/")
}

/// Whether these fields can be an event: the webhook leaves out its kind, and tools that pass events
/// on leave out more, but an audit id, or a verb and what it was about, is left.
fn is_event(event: &Map<String, Value>, says_so: bool) -> bool {
    let has = |key: &str| event.get(key).is_some_and(|value| !value.is_null());
    let asks = has("verb") && (has("objectRef") || has("requestURI"));
    has("auditID") || asks || (says_so && (has("verb") || has("requestURI")))
}

/// Takes `kind` and `apiVersion`, which the webhook leaves out; gives the version, if it is said.
fn check_kind(event: &mut Map<String, Value>) -> Result<Option<Value>, Failure> {
    let version = event.remove("apiVersion").unwrap_or_default();
    let kind = event.remove("kind").unwrap_or_default();
    let is_event = kind.is_null() || kind == "Event";
    match version.as_str() {
        _ if !is_event => Err(not_an_event()),
        None if !version.is_null() => Err(not_an_event()),
        None | Some("") => Ok(None),
        Some(version) if version.starts_with("audit.k8s.io/") => Ok(Some(version.into())),
        Some(_) => Err(not_an_event()),
    }
}

fn redact(event: &mut Map<String, Value>, context: &Context<'_>) {
    let redactor = context.keys.redactor();
    let resource = event.get("objectRef").and_then(|object| object.get("resource"));
    let body = Body::of(resource.and_then(Value::as_str));
    for (key, value) in event.iter_mut() {
        match (key.as_str(), value) {
            ("requestObject" | "responseObject", value) => redactor.body(value, body),
            ("requestURI", Value::String(uri)) => *uri = redactor.uri(uri),
            (_, value) => redactor.json(value),
        }
    }
}

/// When the server received the request and when it told; gives the claim that enters ids.
fn times(access: &mut Access, event: &mut Fields, context: &Context<'_>) -> Result<Time, Failure> {
    let received = event.claim("requestReceivedTimestamp")?;
    let stage = event.claim("stageTimestamp")?;
    // v1beta1 before Kubernetes 1.10 had one time only.
    let claim = match (&received, &stage) {
        (None, None) => event.claim("timestamp")?,
        (received, stage) => received.clone().or(stage.clone()),
    };
    let Timed { time, for_ids, is_suspect, claimed } = cloud::believe(claim.as_deref(), context);
    access.time = time;
    access.time_suspect = Some(is_suspect);
    access.claimed_time = claimed;
    let [received, stage] = [received, stage].map(|text| text.as_deref().and_then(cloud::moment));
    access.observed_time = stage;
    if access.is_deciding() {
        access.duration_us =
            received.zip(stage).map(|(from, to)| to.since(from)).filter(|us| *us >= 0);
    }
    Ok(for_ids)
}

/// Who asked, with which credential, as whom.
fn who(access: &mut Access, event: &mut Fields) -> Result<(), Failure> {
    let mut user = event.object("user")?;
    let name = user.text("username")?.unwrap_or_default();
    let identity = Identity::kubernetes(access.cluster.as_deref(), &name);
    if let Some((namespace, account)) = identity.service_account() {
        access.namespace = Some(namespace.to_owned());
        access.service_account = Some(account.to_owned());
    }
    access.identity_kind = identity.kind;
    access.identity_realm = identity.realm;
    access.identity = identity.name;
    access.identity_uid = user.text("uid")?;
    access.groups = user.texts("groups")?;
    let extra = user.take("extra");
    if let Some(extra) = &extra {
        credential(access, extra);
        access.extra = Some(Json(canonical::sorted(extra)));
    }
    if access.credential_kind.is_none() && access.identity_kind == IdentityKind::Anonymous {
        access.credential_kind = Some(CredentialKind::None);
    }
    event.keep("user", user);
    let mut impersonated = event.object("impersonatedUser")?;
    access.impersonated_identity = impersonated.text("username")?;
    access.impersonated_groups = impersonated.texts("groups")?;
    event.keep("impersonatedUser", impersonated);
    Ok(())
}

/// The credential and what it is bound to: KEP-4193.
fn credential(access: &mut Access, extra: &Value) {
    let first = |name: &str| {
        let values = extra.get(name)?;
        let first = values.as_array().map_or(Some(values), |values| values.first())?;
        first.as_str().map(str::to_owned)
    };
    let claim = |name: &str| first(&format!("authentication.kubernetes.io/{name}"));
    // EKS lets in who signs with a key of AWS: <https://github.com/kubernetes-sigs/aws-iam-authenticator>
    let key = || first("accessKeyId").filter(|key| cloud_kind(key).is_some());
    access.credential_id = claim("credential-id").or_else(key).map(CredentialId);
    access.pod = claim("pod-name");
    access.pod_uid = claim("pod-uid");
    access.node = claim("node-name");
    access.node_uid = claim("node-uid");
    let is_account = access.identity_kind == IdentityKind::ServiceAccount;
    access.credential_kind =
        access.credential_id.as_ref().map(|id| match id.as_str().split_once('=') {
            Some(("JTI", _)) if is_account => CredentialKind::BoundToken,
            Some(("JTI", _)) => CredentialKind::OidcToken,
            Some(("X509SHA256", _)) => CredentialKind::ClientCertificate,
            _ => cloud_kind(id.as_str()).unwrap_or_default(),
        });
}

/// The first letters of an access key id of AWS tell whether it is temporary.
fn cloud_kind(id: &str) -> Option<CredentialKind> {
    match id.get(..4)? {
        "ASIA" => Some(CredentialKind::CloudSession),
        "AKIA" => Some(CredentialKind::CloudStaticKey),
        _ => None,
    }
}

/// What was asked for; gives how the answer tells that it ended.
fn what(access: &mut Access, event: &mut Fields) -> Result<Answer, Failure> {
    access.request_uri = event.text("requestURI")?;
    if event.has("objectRef") {
        let mut object = event.object("objectRef")?;
        access.api_group = object.text("apiGroup")?;
        access.api_version = object.text("apiVersion")?;
        // v1alpha1 has the group before the version.
        let version = access.api_version.clone().unwrap_or_default();
        if let Some((group, version)) = version.split_once('/') {
            access.api_group.get_or_insert_with(|| group.to_owned());
            access.api_version = Some(version.to_owned());
        }
        access.api_group.get_or_insert_default();
        access.resource = object.text("resource")?;
        access.subresource = object.text("subresource")?;
        access.object_namespace = object.text("namespace")?;
        access.object_name = object.text("name")?;
        access.object_uid = object.text("uid")?;
        event.keep("objectRef", object);
    }
    let request = event.take("requestObject");
    let response = event.take("responseObject");
    if let Some(metadata) = response.as_ref().and_then(|object| object.get("metadata")) {
        let text = |key| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
        // The name that the server made up for `generateName` stands only in the answer.
        access.object_name = access.object_name.take().or_else(|| text("name"));
        access.object_uid = access.object_uid.take().or_else(|| text("uid"));
    }
    access.dry_run = is_dry_run(access, request.as_ref());
    let answer = Answer::of(response.as_ref());
    access.request_object = request.map(|body| Json(canonical::sorted(&body)));
    access.response_object = response.map(|body| Json(canonical::sorted(&body)));
    Ok(answer)
}

/// `?dryRun=All`; of a deletion with a body what that says, since the server does not look at the query then. Not
/// known where the body of a deletion is not logged.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>,
/// <https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/delete.go>
fn is_dry_run(access: &Access, request: Option<&Value>) -> Option<bool> {
    let query = access.request_uri.as_deref().and_then(|uri| uri.split_once('?'));
    let pairs = query.map(|(_, query)| serde_urlencoded::from_str::<Vec<(String, String)>>(query));
    let pairs = pairs.and_then(Result::ok).unwrap_or_default();
    let in_query = pairs.iter().any(|(name, value)| name == "dryRun" && !value.is_empty());
    let says = |body: &Value| {
        body.get("dryRun").and_then(Value::as_array).is_some_and(|all| !all.is_empty())
    };
    if !access.verb.as_deref().is_some_and(|verb| verb.starts_with("delete")) {
        let options = request.filter(|body| body["kind"] == "DeleteOptions");
        return Some(in_query || options.is_some_and(says));
    }
    match request {
        Some(body) => Some(says(body)),
        None if !in_query => Some(false),
        None if access.level.as_deref() == Some("Metadata") => None,
        None => Some(true),
    }
}

/// How it ended; gives whether the answer is that of the authorizer.
fn outcome(access: &mut Access, event: &mut Fields, answer: Answer) -> Result<bool, Failure> {
    let mut status = event.object("responseStatus")?;
    access.status_code = status.integer("code")?.or(answer.code);
    access.status_reason = status.text("reason")?.or(answer.reason);
    if access.object_uid.is_none() {
        let uid = status.get("details").and_then(|details| details.get("uid"));
        access.object_uid = uid.and_then(Value::as_str).map(str::to_owned);
    }
    let message = status.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
    let message = message.or(answer.message.as_deref()).unwrap_or_default();
    let is_refusal = access.status_code == Some(403) && is_refusal(message);
    if is_refusal {
        impersonation::fill(access, message);
    }
    let says_failure = status.get("status").is_some_and(|status| status == answer::FAILURE);
    status.drop_if_empty("metadata");
    event.keep("responseStatus", status);
    // Sources leave the code out that says it.
    let is_told = says_failure || (answer.has_failed && access.status_code.is_none());
    let has_failed = access.status_code.map_or(is_told, |code| code >= 400);
    if has_failed || access.stage.as_deref() == Some("Panic") {
        access.outcome = Outcome::Failure;
    } else if access.stage.as_deref() == Some("RequestReceived") {
        access.outcome = Outcome::Unknown;
    }
    Ok(is_refusal)
}

/// Whether the authorizer says so: API servers before 1.8 wrote no annotations. Admission, which may
/// forbid too, names the object first.
/// <https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/responsewriters/errors.go>
fn is_refusal(message: &str) -> bool {
    let user = message.split_once("User \"");
    user.is_some_and(|(before, rest)| {
        let is_first = before.is_empty() || before.ends_with("forbidden: ");
        is_first && rest.contains("\" cannot ")
    })
}

/// What the server wrote beside the event: the decision and its reason, a minted credential.
fn annotated(access: &mut Access, event: &mut Fields, is_refusal: bool) -> Result<(), Failure> {
    let Some(annotations) = event.take("annotations") else {
        decide(access, None, None, is_refusal);
        return Ok(());
    };
    if !annotations.is_object() && !annotations.is_null() {
        return Err(fields::wrong_type("annotations", "an object"));
    }
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    let truncated = annotations.get("audit.k8s.io/truncated");
    access.truncated = truncated.is_some_and(|told| *told == "true" || *told == true);
    let issued = text("authentication.kubernetes.io/issued-credential-id");
    access.issued_credential_id = issued.map(CredentialId::from);
    if text("authentication.k8s.io/legacy-token").is_some() {
        access.credential_kind = Some(CredentialKind::LegacyToken);
    }
    let [decision, reason] =
        ["authorization.k8s.io/decision", "authorization.k8s.io/reason"].map(text);
    decide(access, decision, reason, is_refusal);
    access.annotations = Some(Json(canonical::sorted(&annotations)));
    Ok(())
}

/// The decision: <https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/filters/authorization.go>
fn decide(access: &mut Access, decision: Option<&str>, reason: Option<&str>, is_refusal: bool) {
    access.decision = match (decision, reason) {
        (Some("allow"), _) => Decision::Allow,
        (Some("forbid"), _) => Decision::Deny,
        // The authorizer failed: no decision, and this reason.
        (None, Some("internal error")) => Decision::Error,
        // A 401 has no annotations and no user: authentication refused it.
        (None, _) if is_refusal || access.status_code == Some(401) => Decision::Deny,
        _ => Decision::Unknown,
    };
    let by_authentication =
        access.decision == Decision::Deny && decision.is_none() && access.status_code == Some(401);
    access.decision_reason = reason.map(str::to_owned).or(access.decision_reason.take());
    if let Some(decided) = reason.and_then(reason::parse) {
        access.decided_by = Some(decided.binding);
        access.decided_role = Some(decided.role);
        access.decided_subject = Some(decided.subject);
    } else if by_authentication {
        access.decided_by = Some("authentication".to_owned());
    }
}

/// Where it came from.
fn source(access: &mut Access, event: &mut Fields, context: &Context<'_>) -> Result<(), Failure> {
    let addresses = event.texts("sourceIPs")?.unwrap_or_default();
    let (sender, others) = normalize::sender(&addresses, context.trusted_proxies);
    access.source_ip = sender;
    access.forwarded_for = Some(others).filter(|others| !others.is_empty());
    Ok(())
}

/// The key of the request that this stage belongs to. Markers are left out, as in event ids.
fn request_key(access: &Access, received: Time, context: &Context<'_>) -> RequestKey {
    let uri = access.request_uri.as_deref().unwrap_or_default();
    RequestKey::of(
        context.cluster,
        access.source_event_id.as_deref().unwrap_or_default(),
        received,
        access.identity.as_deref().unwrap_or_default(),
        access.verb.as_deref().unwrap_or_default(),
        &context.keys.redactor().without_markers(uri),
    )
}

#[cfg(test)]
mod tests;
