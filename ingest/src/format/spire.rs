//! Format `spire`: one line of the log of a SPIRE server or agent in, one access or log row out.
//!
//! Calls of the server's API are accesses: audit lines
//! (<https://github.com/spiffe/spire/blob/main/doc/telemetry/auditlog.md>), and refusals, which are
//! no audit lines but errors. So are workloads to which an agent gave an identity or none, and what it
//! attested them to be, which agents tell at level debug. The operation's fields become the request's
//! body: of them `changes`, `credentials` and `workloads` are made.

mod attested;
mod kind;
mod words;

use durward_schemas::Identity;
use durward_schemas::cell::Json;
use durward_schemas::ids::{CredentialId, EventId, RequestKey};
use durward_schemas::tables::{Access, Log};
use durward_schemas::time::Time;
use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome, Provider};
use serde_json::{Map, Value};

use self::kind::{Kind, kind};
use self::words::{BROKEN, code_name, code_of, number, number_code, taken, word};
use super::fields::Fields;
use super::mapping::Mapping;
use super::mesh::{self, Line};
use super::{Context, Failure, Format, Reading};
use crate::canonical;
use crate::normalize;

/// Which field of a line fills which column.
pub(super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "time"),
    Mapping::new("time_suspect", "time"),
    Mapping::new("claimed_time", "time"),
    Mapping::new(
        "stage",
        "msg: `Signed` of a line of level debug that tells an SVID's serial number, `Attested` of \
         one that tells of which pod a process is; they have no decision",
    ),
    Mapping::new("verb", "method"),
    Mapping::new(
        "class_uid",
        "method, service: Authentication for what mints or proves an identity",
    ),
    Mapping::new("activity_id", "method, service"),
    Mapping::new("api_group", "service"),
    Mapping::new("resource", "service: entry.v1.Entry is `entries`"),
    Mapping::new(
        "object_name",
        "entry_id, else spiffe_id, agent_id, trust_domain_id, local_authority_id; by service of \
         SVIDs spiffe_id",
    ),
    Mapping::new(
        "identity",
        "caller_id, else `uid:` and caller_uid; agent_id of who is attested, by method and \
         status; by msg spiffe_id of who fetches an SVID, default_id of who is no delegate",
    ),
    Mapping::new(
        "identity_kind",
        "caller_id, caller_uid, agent_id, spiffe_id, default_id, method; without any \
         `unauthenticated` if refused, by status, status_code, status_message, error, msg, \
         authorized_as",
    ),
    Mapping::new(
        "identity_realm",
        "caller_id, agent_id, spiffe_id, default_id, by msg: the trust domain",
    ),
    Mapping::new(
        "namespace",
        "caller_id, spiffe_id, default_id, by msg: /ns/NAMESPACE/sa/NAME; selectors: k8s:ns",
    ),
    Mapping::new(
        "service_account",
        "caller_id, spiffe_id, default_id, by msg: /ns/NAMESPACE/sa/NAME; selectors: k8s:sa",
    ),
    Mapping::new("pod", "selectors: k8s:pod-name; by msg"),
    Mapping::new("pod_uid", "selectors: k8s:pod-uid; by msg"),
    Mapping::new("node", "selectors: k8s:node-name; by msg"),
    Mapping::new("credential_kind", "caller_id, caller_uid, default_id, by msg"),
    Mapping::new("source_ip", "caller_addr"),
    Mapping::new("request_id", "request_id"),
    Mapping::new("decision", "status, status_code, status_message, error, msg, method"),
    Mapping::new(
        "decision_reason",
        "error, else status_message of a refusal by status, status_code, method; else \
         authorized_via; by msg",
    ),
    Mapping::new(
        "decided_by",
        "`authentication` if an attestation or a certificate is refused: method, status, \
         status_code, error",
    ),
    Mapping::new("decided_role", "authorized_as"),
    Mapping::new("entry_id", "entry_id"),
    Mapping::new("outcome", "status, error, msg"),
    Mapping::new("status_reason", "status_code, else error: the name of the gRPC code; by msg"),
    Mapping::new(
        "issued_credential_id",
        "serial_num, else csr, of X509-SVIDs; jti, else request_id, of others; by method and \
         status",
    ),
    Mapping::new(
        "extra",
        "caller_uid, caller_gid, caller_path, caller_addr, pid, registered; selectors.type and \
         selectors.value of what is attested, by msg",
    ),
    Mapping::new(
        "request_object",
        "the fields of the operation: csr, entry_id, spiffe_id, parent_id, selectors, agent_id, \
         trust_domain_id, local_authority_id, ttl, count, audience, jti and whatever else; of service \
         entries expires_at",
    ),
    Mapping::new(
        "response_object",
        "expires_at unless service entries, expiration, serial_num, jti, status_code, \
         status_message",
    ),
];

/// Fields that speak of the line or the caller, not of the operation.
const CALLER: &[&str] =
    &["caller_uid", "caller_gid", "caller_path", "caller_addr", "pid", "registered"];
/// Fields that speak of the answer.
const ANSWER: &[&str] =
    &["expires_at", "expiration", "serial_num", "jti", "status_code", "status_message"];

/// Methods that mint an SVID.
const X509: &[&str] = &["BatchNewX509SVID", "MintX509SVID", "NewDownstreamX509CA", "RenewAgent"];
const JWT: &[&str] = &["NewJWTSVID", "MintJWTSVID", "NewWITSVID", "MintWITSVID"];

/// The stage of a line that tells what was signed, see [`Access::is_deciding`].
const SIGNED: &str = "Signed";

/// The stage of a line that tells of which pod a process is.
const ATTESTED: &str = "Attested";

/// Reads one line, JSON or text.
pub(super) fn read(
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let line = mesh::unwrapped(bytes, |name| name == "msg");
    let is_whole = matches!(line.first(), Some(b'{' | b'"')) || line.starts_with(b"time=");
    let behind = if is_whole { None } else { mesh::behind_prefix(&line) };
    let mut fields = line_fields(behind.unwrap_or(&line))?;
    mesh::mask_broken(&mut fields);
    older_names(&mut fields);
    number_code(&mut fields);
    match kind(&fields) {
        Kind::Other => reading.logs.push(log(fields, context)?),
        kind => reading.accesses.push(access(kind, fields, context)?),
    }
    Ok(())
}

/// The fields of a line as the program wrote it.
fn line_fields(line: &[u8]) -> Result<Map<String, Value>, Failure> {
    if matches!(line.first(), Some(b'{' | b'"')) {
        return mesh::fields(line);
    }
    let pairs = mesh::pairs(&String::from_utf8_lossy(line)).filter(is_log);
    pairs.ok_or_else(not_logfmt)
}

/// Until 1.1 names of the caller had a dash: `caller-addr`.
fn older_names(fields: &mut Map<String, Value>) {
    for name in ["caller_id", "caller_addr", "caller_uid", "caller_gid", "caller_path"] {
        if let Some(value) = fields.remove(&name.replace('_', "-")) {
            fields.insert(name.to_owned(), value);
        }
    }
}

fn is_log(fields: &Map<String, Value>) -> bool {
    fields.contains_key("time") && fields.contains_key("msg")
}

fn not_logfmt() -> Failure {
    Failure::new("not_a_spire_log", "the line is neither JSON nor key=value with time and msg")
        .hint("the server and the agent write both: log_format is json or text")
}

fn log(mut fields: Map<String, Value>, context: &Context<'_>) -> Result<Log, Failure> {
    redact(&mut fields, context);
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    let (time, level, message) = (take("time"), take("level"), take("msg"));
    if message.is_none() && level.is_none() {
        return Err(not_logfmt());
    }
    Ok(mesh::log(Line { time, level, message, rest: fields }, context))
}

fn redact(fields: &mut Map<String, Value>, context: &Context<'_>) {
    let mut value = Value::Object(std::mem::take(fields));
    context.keys.redactor().json(&mut value);
    if let Value::Object(redacted) = value {
        *fields = redacted;
    }
}

fn access(
    kind: Kind,
    mut fields: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    redact(&mut fields, context);
    let told = context.text_of_fields(&fields);
    let mut fields = Fields::new(fields);
    let mut access = Access {
        provider: Provider::Spire,
        cluster: context.cluster.map(str::to_owned),
        source: context.source.to_owned(),
        format: Format::Spire.name().to_owned(),
        verb: fields.text("method")?,
        api_group: fields.text("service")?,
        // Text does not tell a word of digits from a number.
        request_id: taken(&mut fields, "request_id")?,
        ..Access::default()
    };
    let message = fields.text_if("msg");
    for said in ["level", "msg", "type", "subsystem_name"] {
        fields.take(said);
    }
    let claim = taken(&mut fields, "time")?;
    let for_ids = mesh::set_time(&mut access, claim.as_deref(), context);
    access.resource = access.api_group.as_deref().and_then(resource);
    decide(kind, &mut access, &mut fields)?;
    if kind == Kind::NotAttested {
        access.decision_reason = access.decision_reason.take().or(message);
    }
    who(kind, &mut access, &mut fields)?;
    let item = bodies(&mut access, fields);
    classify(&mut access);
    access.event_id = EventId::of(for_ids, context.cluster, told.as_bytes());
    access.request_key = request_key(&access, &item, context);
    Ok(access)
}

/// `entry.v1.Entry` is `entries`.
fn resource(service: &str) -> Option<String> {
    let service = service.strip_prefix("spire.api.server.").unwrap_or(service);
    let name = service.split('.').next().filter(|_| service.contains(".v1."))?;
    Some(match name {
        "entry" => "entries".to_owned(),
        "localauthority" => "localauthorities".to_owned(),
        "debug" | "logger" => name.to_owned(),
        name => format!("{name}s"),
    })
}

/// What the server decided, and how it ended.
fn decide(kind: Kind, access: &mut Access, fields: &mut Fields) -> Result<(), Failure> {
    let error = fields.text("error")?;
    let status = fields.text("status")?;
    access.decided_role = fields.text("authorized_as")?;
    let via = fields.text("authorized_via")?;
    // Lines that follow these tell what was decided, and who called.
    let stage = match kind {
        Kind::Signed => Some(SIGNED),
        Kind::Attested => Some(ATTESTED),
        _ => None,
    };
    if stage.is_some() || kind == Kind::Fetched {
        access.stage = stage.map(str::to_owned);
        access.outcome = Outcome::Success;
        access.decision = if stage.is_some() { Decision::Unknown } else { Decision::Allow };
        return Ok(());
    }
    let has_failed = kind != Kind::Audit || status.is_some_and(|status| status != "success");
    let message = fields.get("status_message").and_then(Value::as_str).map(str::to_owned);
    let code = fields.get("status_code").and_then(number).and_then(code_name);
    let code = code.or_else(|| error.as_deref().and_then(code_of));
    let is_attestation = access.verb.as_deref() == Some("AttestAgent");
    let says_refused = message.as_deref().is_some_and(|message| message.contains("not authorized"));
    let is_refused = kind != Kind::Audit
        || (has_failed && (is_attestation || says_refused))
        || matches!(code, Some("PermissionDenied" | "Unauthenticated"));
    // Whoever should have decided of an attestation could not.
    let is_broken = (is_attestation || kind == Kind::Refused)
        && code.is_some_and(|code| BROKEN.contains(&code));
    access.outcome = if has_failed { Outcome::Failure } else { Outcome::Success };
    access.decision = match is_refused {
        true if is_broken => Decision::Error,
        true => Decision::Deny,
        false => Decision::Allow,
    };
    // Who is not who he says, or says nothing, is refused by authentication; the others by policy.
    let is_unknown = is_attestation || code == Some("Unauthenticated");
    access.decided_by = (is_refused && is_unknown).then(|| "authentication".to_owned());
    access.status_reason = code.map(str::to_owned);
    let no_identity = (kind == Kind::NoIdentity).then(|| "no identity issued".to_owned());
    access.decision_reason =
        error.or_else(|| message.filter(|_| is_refused)).or(no_identity).or(via);
    Ok(())
}

/// Who called: by the certificate of an agent or a workload, by the process at the server's socket,
/// or nobody that is known.
fn who(kind: Kind, access: &mut Access, fields: &mut Fields) -> Result<(), Failure> {
    let caller = fields.text("caller_id")?;
    access.source_ip = fields.get("caller_addr").and_then(Value::as_str).and_then(mesh::ip);
    let uid = fields.get("caller_uid").and_then(number);
    let mut extra = Map::new();
    for name in CALLER {
        if let Some(value) = fields.take(name) {
            extra.insert((*name).to_owned(), value);
        }
    }
    // Whom the agent knows the caller to be, who showed nothing.
    let delegate = match kind {
        Kind::NoDelegate => taken(fields, "default_id")?,
        _ => None,
    };
    let attested = fields.get("agent_id").and_then(Value::as_str).map(str::to_owned);
    let attested = attested.filter(|_| access.decision == Decision::Allow);
    if kind == Kind::Attested {
        let selectors = fields.take("selectors").map(|value| attested::selectors(&value));
        attested::fill(access, selectors.as_deref().unwrap_or_default());
        extra.insert("selectors".to_owned(), selectors.into());
    }
    let fetched = fields.get("spiffe_id").and_then(Value::as_str).map(str::to_owned);
    match (caller, uid) {
        (None, None) if let Some(delegate) = &delegate => {
            access.credential_kind = Some(CredentialKind::None);
            mesh::set_identity(access, Identity::parse(Provider::Spire, None, delegate));
        }
        // Whoever is attested shows no certificate yet, and is known when the call has ended.
        (None, None) if access.verb.as_deref() == Some("AttestAgent") && attested.is_some() => {
            let agent = attested.unwrap_or_default();
            mesh::set_identity(access, Identity::parse(Provider::Spire, None, &agent));
        }
        (Some(caller), _) => {
            access.credential_kind = Some(CredentialKind::SvidX509);
            mesh::set_identity(access, Identity::parse(Provider::Spire, None, &caller));
        }
        (None, Some(uid)) => {
            access.credential_kind = Some(CredentialKind::None);
            access.identity_kind = IdentityKind::User;
            access.identity = Some(format!("uid:{uid}"));
        }
        // At the socket of a server that does not see the process: no `hostPID`.
        (None, None) if access.decided_role.as_deref() == Some("local") => {}
        (None, None) if kind == Kind::Attested => {}
        (None, None) if kind == Kind::Fetched => {
            let holder = fetched.unwrap_or_default();
            mesh::set_identity(access, Identity::parse(Provider::Spire, None, &holder));
        }
        (None, None) if kind == Kind::NoIdentity => {
            mesh::set_nobody(access);
        }
        (None, None) => {
            mesh::set_nobody(access);
            access.credential_kind = Some(CredentialKind::None);
        }
    }
    let is_empty = extra.is_empty();
    access.extra = (!is_empty).then(|| Json(canonical::sorted(&Value::Object(extra))));
    Ok(())
}

/// What was asked for and what came of it; gives what tells the items of one call apart.
fn bodies(access: &mut Access, mut fields: Fields) -> String {
    let method = access.verb.as_deref().unwrap_or_default();
    let mut answer = Map::new();
    // An entry has an end, too, which was asked for.
    let is_entry = access.resource.as_deref() == Some("entries");
    for name in ANSWER.iter().filter(|name| !(is_entry && **name == "expires_at")) {
        if let Some(value) = fields.take(name) {
            answer.insert((*name).to_owned(), value);
        }
    }
    let said = |name: &&str| fields.get(name).and_then(word).filter(|text| !text.is_empty());
    let first = |names: &[&str]| names.iter().find_map(said);
    access.object_name = first(match access.resource.as_deref() {
        Some("svids") => &["spiffe_id", "entry_id"],
        _ => &["entry_id", "spiffe_id", "agent_id", "trust_domain_id", "local_authority_id"],
    });
    access.entry_id = first(&["entry_id"]);
    let entry = first(&["entry_id", "trust_domain_id"]).filter(|_| method.starts_with("Batch"));
    if access.outcome == Outcome::Success {
        access.issued_credential_id = issued(access, &fields, &answer);
    }
    let is_new = method == "BatchCreateEntry";
    access.request_object = fields.rest(None);
    let is_empty = answer.is_empty();
    access.response_object = (!is_empty).then(|| Json(canonical::sorted(&Value::Object(answer))));
    // New entries have no id yet.
    let whole = access.request_object.as_ref().filter(|_| is_new).map(|body| body.0.clone());
    whole.or(entry).unwrap_or_default()
}

/// The SVID that was minted. Its serial number stands in few lines; the hash of the request for it is
/// its own, too. JWT-SVIDs have no id of their own unless the server is told to give one, and of an
/// agent's first SVID nothing is logged but the call.
fn issued(access: &Access, fields: &Fields, answer: &Map<String, Value>) -> Option<CredentialId> {
    let method = access.verb.as_deref()?;
    let text = |name: &str| answer.get(name).or_else(|| fields.get(name)).and_then(word);
    if X509.contains(&method) {
        let csr = || text("csr").map(|csr| CredentialId(format!("X509CSR={csr}")));
        return text("serial_num").as_deref().and_then(mesh::serial_of_decimal).or_else(csr);
    }
    if !JWT.contains(&method) && method != "AttestAgent" {
        return None;
    }
    let jti = text("jti").map(|jti| format!("JTI={jti}"));
    let of_call = || access.request_id.as_ref().map(|id| format!("SPIRE={id}"));
    jti.or_else(of_call).map(CredentialId)
}

/// OCSF: what mints or proves an identity is Authentication, the rest API Activity.
fn classify(access: &mut Access) {
    let method = access.verb.as_deref().unwrap_or_default();
    let service = access.api_group.as_deref().unwrap_or_default();
    let is_login = matches!(method, "AttestAgent" | "CreateJoinToken")
        || access.stage.as_deref() == Some(ATTESTED)
        || matches!(service, "WorkloadAPI" | "SDS.v3");
    if X509.contains(&method) || JWT.contains(&method) || is_login {
        access.class_uid = normalize::AUTHENTICATION;
        access.activity_id = if method == "AttestAgent" { 1 } else { 3 };
        return;
    }
    access.class_uid = normalize::API_ACTIVITY;
    let verb = method.strip_prefix("Batch").unwrap_or(method);
    access.activity_id = match verb {
        verb if ["Create", "Append", "Set"].iter().any(|word| verb.starts_with(word)) => 1,
        verb if ["Get", "List", "Count", "Sync"].iter().any(|word| verb.starts_with(word)) => 2,
        verb if ["Update", "Refresh", "Post"].iter().any(|word| verb.starts_with(word)) => 3,
        verb if ["Delete", "Ban"].iter().any(|word| verb.starts_with(word)) => 4,
        _ => 99,
    };
}

/// The key of the call, and in a call of many items of the item. What has no id is its own.
fn request_key(access: &Access, item: &str, context: &Context<'_>) -> RequestKey {
    RequestKey::of(
        context.cluster,
        access.request_id.as_deref().unwrap_or(access.event_id.as_str()),
        // A call has one id and several lines, each with a time of its own.
        Time::default(),
        access.identity.as_deref().unwrap_or_default(),
        access.verb.as_deref().unwrap_or_default(),
        &context.keys.redactor().without_markers(item),
    )
}

#[cfg(test)]
mod tests;
