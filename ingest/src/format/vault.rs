//! Format `vault`: one entry of an audit device of Vault or OpenBao in, one access out.
//!
//! Fields: <https://developer.hashicorp.com/vault/docs/audit/schema>. An entry of type `request` comes
//! before the operation and says nothing of how it ended; `response` follows with the same id. What
//! Vault has hashed with a key of its own stays as it is; what it was told to write in clear is
//! redacted here.

mod kmip;
mod own;
mod secrets;

use durward_schemas::Identity;
use durward_schemas::cell::Json;
use durward_schemas::ids::{CredentialId, EventId, RequestKey};
use durward_schemas::tables::Access;
use durward_schemas::time::Time;
use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome, Provider};
use serde_json::{Map, Value};

use super::fields::Fields;
use super::mapping::Mapping;
use super::mesh;
use super::{Context, Failure, Format, Reading};
use crate::canonical;
use crate::normalize;

/// Which field of an entry fills which column.
pub(super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "time"),
    Mapping::new("time_suspect", "time"),
    Mapping::new("claimed_time", "time"),
    Mapping::new(
        "stage",
        "type; a request without error and response.data.error is `RequestReceived`: it has no \
         decision",
    ),
    Mapping::new("class_uid", "request.path: a login is Authentication"),
    Mapping::new("activity_id", "request.operation, request.path"),
    Mapping::new("source_event_id", "request.id"),
    Mapping::new("request_id", "request.id"),
    Mapping::new("verb", "request.operation; of KMIP `Operation` in request.data"),
    Mapping::new("request_uri", "request.path"),
    Mapping::new("api_group", "request.mount_type"),
    Mapping::new("resource", "request.mount_point"),
    Mapping::new(
        "object_name",
        "request.path without request.mount_point and request.namespace.path; of KMIP \
         `UniqueIdentifier` in request.data",
    ),
    Mapping::new(
        "identity",
        "response.auth.metadata.service_account_namespace, else \
         auth.metadata.service_account_namespace, response.auth.metadata.service_account_name, \
         else auth.metadata.service_account_name, response.auth.display_name, else \
         auth.display_name; the former of a login by request.path; of clouds \
         auth.metadata.client_arn, auth.metadata.canonical_arn, \
         auth.metadata.service_account_email; of a child token, by auth.display_name, its name only",
    ),
    Mapping::new(
        "identity_kind",
        "response.auth.metadata.service_account_namespace, else \
         auth.metadata.service_account_namespace, response.auth.metadata.service_account_name, \
         else auth.metadata.service_account_name, response.auth.display_name, else \
         auth.display_name; the former of a login by request.path, request.mount_type; without \
         any `unauthenticated` if refused, by error, response.data, \
         auth.policy_results.allowed, type; of clouds auth.metadata.client_arn, \
         auth.metadata.canonical_arn, auth.metadata.service_account_email",
    ),
    Mapping::new(
        "identity_realm",
        "the cluster; of a SPIFFE ID in response.auth.display_name, else auth.display_name; the \
         former of a login by request.path its trust domain; of clouds the account or project: \
         auth.metadata.client_arn, auth.metadata.canonical_arn, \
         auth.metadata.service_account_email",
    ),
    Mapping::new(
        "namespace",
        "response.auth.metadata.service_account_namespace, else \
         auth.metadata.service_account_namespace, response.auth.metadata.service_account_name, \
         else auth.metadata.service_account_name, response.auth.display_name, else \
         auth.display_name; the former of a login by request.path",
    ),
    Mapping::new(
        "service_account",
        "response.auth.metadata.service_account_namespace, else \
         auth.metadata.service_account_namespace, response.auth.metadata.service_account_name, \
         else auth.metadata.service_account_name, response.auth.display_name, else \
         auth.display_name; the former of a login by request.path",
    ),
    Mapping::new(
        "identity_uid",
        "response.auth.metadata.service_account_uid, else auth.metadata.service_account_uid, \
         response.auth.entity_id, else auth.entity_id; the former of a login by request.path; of a \
         child token by auth.display_name, response.auth.display_name the latter",
    ),
    Mapping::new(
        "credential_id",
        "request.client_token_accessor, else auth.accessor; of a login by request.path \
         response.auth.metadata.serial_number, auth.metadata.serial_number; of KMIP \
         request.client_certificate_serial_number",
    ),
    Mapping::new(
        "credential_kind",
        "of a login by request.path request.mount_type, response.auth.display_name, \
         auth.display_name; else request.client_token, auth.client_token, \
         request.client_token_accessor, auth.accessor",
    ),
    Mapping::new(
        "issued_credential_id",
        "response.auth.accessor, else response.wrap_info.wrapped_accessor, else \
         response.wrap_info.accessor; none that is request.client_token_accessor, auth.accessor \
         but of a login by request.path",
    ),
    Mapping::new(
        "source_ip",
        "request.headers: x-forwarded-for; request.remote_address, the last that is no trusted \
         proxy",
    ),
    Mapping::new(
        "forwarded_for",
        "request.headers: x-forwarded-for; request.remote_address, the others",
    ),
    Mapping::new("user_agent", "request.headers: user-agent"),
    Mapping::new(
        "decision",
        "error, response.data, auth.policy_results.allowed, type; of a login request.path",
    ),
    Mapping::new("decision_reason", "error"),
    Mapping::new(
        "decided_by",
        "of a login by request.path its role, response.auth.metadata.role, \
         response.auth.metadata.role_name or response.auth.metadata.cert_name, as auth/MOUNT/role/NAME; else the first name in \
         auth.policy_results.granting_policies; by error, response.data, \
         auth.policy_results.allowed, type; `authentication` if auth.display_name, \
         auth.metadata are unknown",
    ),
    Mapping::new(
        "entry_id",
        "the role of a login by request.path: response.auth.metadata.role, \
         response.auth.metadata.role_name or response.auth.metadata.cert_name, as auth/MOUNT/role/NAME; by error, \
         response.data, auth.policy_results.allowed, type",
    ),
    Mapping::new("outcome", "error, response.data"),
    Mapping::new("extra", "auth"),
    Mapping::new("request_object", "request.data"),
    Mapping::new("response_object", "response"),
];

/// Reads one entry.
pub(super) fn read(
    bytes: &[u8],
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let line = mesh::unwrapped(bytes, |name| name == "request");
    if line.starts_with(b"<json:") {
        return Err(not_an_entry());
    }
    if let Some(own) = own::of_text(&line) {
        reading.logs.push(own::log(own, context));
        return Ok(());
    }
    let mut entry = mesh::fields(behind_prefix(&line))?;
    match own::of_fields(&mut entry) {
        Some(own) => reading.logs.push(own::log(own, context)),
        None => reading.accesses.push(access(entry, context)?),
    }
    Ok(())
}

/// An entry without what syslog or the option `prefix` of an audit device wrote before it.
/// <https://developer.hashicorp.com/vault/docs/audit#enable-an-audit-device>
pub(super) fn behind_prefix(line: &[u8]) -> &[u8] {
    const LONGEST: usize = 256;
    let is_entry = matches!(line.first(), Some(b'{' | b'"'));
    let begins = memchr::memmem::find(line.get(..LONGEST).unwrap_or(line), b"{\"");
    begins.filter(|_| !is_entry).and_then(|at| line.get(at..)).unwrap_or(line)
}

fn not_an_entry() -> Failure {
    Failure::new("not_a_vault_entry", "the item has no operation, or its type is none of two")
        .hint("entries of audit devices have type request or response; JSONX is not read")
}

fn access(mut entry: Map<String, Value>, context: &Context<'_>) -> Result<Access, Failure> {
    let kmip = kmip::Said::of(&entry);
    secrets::redact(&mut entry, context);
    if let Some(said) = kmip {
        return kmip::access(said, entry, context);
    }
    let told = context.text_of_fields(&entry);
    let mut entry = Fields::new(entry);
    let kind = entry.text("type")?.filter(|kind| matches!(kind.as_str(), "request" | "response"));
    let operation = entry.get("request").and_then(|request| request.get("operation"));
    let (Some(kind), Some(_)) = (kind, operation) else { return Err(not_an_entry()) };
    let mut access = Access {
        provider: Provider::Vault,
        cluster: context.cluster.map(str::to_owned),
        source: context.source.to_owned(),
        format: Format::Vault.name().to_owned(),
        class_uid: normalize::API_ACTIVITY,
        ..Access::default()
    };
    let claim = entry.text("time")?;
    let for_ids = mesh::set_time(&mut access, claim.as_deref(), context);
    let mut request = entry.object("request")?;
    let response = entry.object("response")?;
    let auth = entry.object("auth")?;
    what(&mut access, &mut request)?;
    let login = Login::of(&access, &auth, &response, &request);
    addresses(&mut access, &mut request, context);
    who(&mut access, login.as_ref(), &auth, &response, &mut request)?;
    decide(&mut access, &kind, login.as_ref(), &auth, &response, &mut entry)?;
    if access.identity.is_none() {
        mesh::set_nobody(&mut access);
    }
    access.request_object = request.take("data").map(|data| Json(canonical::sorted(&data)));
    access.extra = auth.rest(None);
    access.response_object = response.rest(None);
    entry.keep("request", request);
    access.unmapped = entry.rest(None);
    access.event_id = EventId::of(for_ids, context.cluster, told.as_bytes());
    access.request_key = request_key(&access, context);
    Ok(access)
}

/// What was asked for.
fn what(access: &mut Access, request: &mut Fields) -> Result<(), Failure> {
    let id = request.text("id")?;
    access.source_event_id.clone_from(&id);
    access.request_id = id;
    access.verb = request.text("operation")?;
    access.activity_id = normalize::activity_of(access.verb.as_deref().unwrap_or_default());
    access.request_uri = request.text("path")?;
    access.api_group = request.text("mount_type")?;
    let mount = request.text("mount_point")?;
    let path = access.request_uri.as_deref().unwrap_or_default();
    let below = |mount: &str| path.strip_prefix(below_namespace(request, mount));
    let rest = mount.as_deref().and_then(below).unwrap_or(path);
    access.object_name = Some(rest.to_owned()).filter(|rest| !rest.is_empty());
    access.resource = mount.map(|mount| mount.trim_end_matches('/').to_owned());
    Ok(())
}

/// A mount without the namespace in which it is, which paths leave out.
/// <https://developer.hashicorp.com/vault/docs/enterprise/namespaces>
fn below_namespace<'a>(request: &Fields, mount: &'a str) -> &'a str {
    let path = request.get("namespace").and_then(|namespace| namespace.get("path")?.as_str());
    path.and_then(|path| mount.strip_prefix(path)).unwrap_or(mount)
}

/// What is known of a login: it makes a token, and shows none.
#[derive(Debug)]
struct Login {
    /// `kubernetes`, `jwt`, `cert` and so on.
    method: String,
    /// `auth/<mount>/`
    mount: String,
}

impl Login {
    fn of(access: &Access, auth: &Fields, response: &Fields, request: &Fields) -> Option<Self> {
        let path = access.request_uri.as_deref().unwrap_or_default();
        // A mount may have a name of several parts.
        let mount = access.resource.as_deref().map(|mount| below_namespace(request, mount));
        let named = mount.and_then(|mount| mount.strip_prefix("auth/"));
        let below = path.strip_prefix("auth/")?;
        let (name, rest) = named
            .and_then(|name| Some((name, below.strip_prefix(name)?.strip_prefix('/')?)))
            .or_else(|| below.split_once('/'))?;
        let is_path =
            rest == "login" || rest.starts_with("login/") || rest.ends_with("oidc/callback");
        // Whoever logs in by another path: the token that acts is the token that is made.
        let accessor = |fields: &Fields| fields.get("accessor").cloned();
        let made = response.get("auth").and_then(|auth| auth.get("accessor").cloned());
        let is_echo = made.is_some() && made == accessor(auth) && !request.has("client_token");
        let method = access.api_group.clone().unwrap_or_else(|| name.to_owned());
        (is_path || is_echo).then(|| Self { method, mount: format!("auth/{name}/") })
    }

    /// What let it in: `auth/<mount>/role/<role>`, of certificates `auth/<mount>/certs/<name>`. What
    /// `AppRole` calls `role_name` is a role.
    fn role(&self, metadata: Option<&Value>) -> Option<String> {
        let text = |key: &str| metadata.and_then(|metadata| metadata.get(key)?.as_str());
        let role = text("role").or_else(|| text("role_name")).map(|role| ("role", role));
        let (kind, name) = role.or_else(|| text("cert_name").map(|name| ("certs", name)))?;
        Some(format!("{}{kind}/{name}", self.mount))
    }

    fn credential_kind(&self, identity: &Identity) -> CredentialKind {
        match self.method.as_str() {
            "cert" => CredentialKind::ClientCertificate,
            "jwt" if identity.kind == IdentityKind::Spiffe => CredentialKind::SvidJwt,
            "jwt" | "oidc" => CredentialKind::OidcToken,
            // A token of a ServiceAccount, bound or not.
            _ => CredentialKind::Unknown,
        }
    }
}

fn addresses(access: &mut Access, request: &mut Fields, context: &Context<'_>) {
    let headers = request.get("headers");
    let header = |name: &str| {
        let values = headers.and_then(|headers| headers.get(name));
        let first = values.and_then(|values| values.get(0).or(Some(values)));
        first.and_then(Value::as_str).map(str::to_owned)
    };
    access.user_agent = header("user-agent");
    let hops = header("x-forwarded-for").unwrap_or_default();
    let hops = hops.split(',').map(|hop| hop.trim().to_owned()).filter(|hop| !hop.is_empty());
    let mut hops: Vec<String> = hops.collect();
    hops.extend(request.get("remote_address").and_then(Value::as_str).and_then(mesh::ip));
    let (sender, others) = normalize::sender(&hops, context.trusted_proxies);
    access.source_ip = sender;
    access.forwarded_for = Some(others).filter(|others| !others.is_empty());
}

/// Who asked, with which token; of a login, who was let in, and which token he got.
fn who(
    access: &mut Access,
    login: Option<&Login>,
    auth: &Fields,
    response: &Fields,
    request: &mut Fields,
) -> Result<(), Failure> {
    let made = response.get("auth");
    let of = |key: &str| match made.filter(|_| login.is_some()) {
        Some(made) => made.get(key),
        None => auth.get(key),
    };
    // Who makes a token from his own writes its metadata; every other is written by Vault.
    let is_child =
        text(of("display_name")).is_some_and(|name| name.split('-').next() == Some("token"));
    let metadata = of("metadata").filter(|_| !is_child);
    let said = |key: &str| text(metadata.and_then(|metadata| metadata.get(key)));
    let identity = identity(access, login, text(of("display_name")), said);
    access.identity_uid = said("service_account_uid").or(text(of("entity_id"))).map(str::to_owned);
    // What is wrapped is had for the token that wraps it.
    let wrapped = response.get("wrap_info");
    let of_wrapped = |key: &str| text(wrapped.and_then(|wrapped| wrapped.get(key)));
    let issued = text(made.and_then(|made| made.get("accessor")))
        .or_else(|| of_wrapped("wrapped_accessor"))
        .or_else(|| of_wrapped("accessor"));
    access.issued_credential_id = issued.map(accessor);
    if let Some(login) = login {
        access.class_uid = normalize::AUTHENTICATION;
        access.activity_id = 1;
        access.credential_kind = Some(login.credential_kind(&identity));
        access.credential_id = said("serial_number").and_then(mesh::serial_of_decimal);
    } else {
        let shown = request.text("client_token_accessor")?;
        let shown = shown.or_else(|| text(auth.get("accessor")).map(str::to_owned));
        let has_token = |fields: &Fields| text(fields.get("client_token")).is_some();
        let is_anonymous = shown.is_none() && !has_token(request) && !has_token(auth);
        let kind = if is_anonymous { CredentialKind::None } else { CredentialKind::Unknown };
        access.credential_kind = Some(kind);
        access.credential_id = shown.as_deref().map(accessor);
        // Who renews his own token gets no other.
        if access.issued_credential_id == access.credential_id {
            access.issued_credential_id = None;
        }
    }
    mesh::set_identity(access, identity);
    Ok(())
}

/// A text that says something.
fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn accessor(accessor: &str) -> CredentialId {
    CredentialId(format!("ACCESSOR={accessor}"))
}

/// The account, role or SPIFFE ID behind a token, else the name that Vault shows for it.
/// <https://developer.hashicorp.com/vault/docs/auth/kubernetes>,
/// <https://developer.hashicorp.com/vault/api-docs/auth/aws#iam_metadata>,
/// <https://developer.hashicorp.com/vault/api-docs/auth/gcp#iam_metadata>
fn identity<'a>(
    access: &Access,
    login: Option<&Login>,
    shown: Option<&'a str>,
    said: impl Fn(&str) -> Option<&'a str>,
) -> Identity {
    let realm = access.cluster.as_deref();
    let account = said("service_account_namespace").zip(said("service_account_name"));
    if let Some((namespace, name)) = account {
        return Identity::kubernetes(realm, &format!("system:serviceaccount:{namespace}:{name}"));
    }
    let role = said("client_arn").or_else(|| said("canonical_arn"));
    if let Some(arn) = role.filter(|arn| arn.starts_with("arn:")) {
        return Identity::parse(Provider::Aws, None, arn);
    }
    if let Some(email) = said("service_account_email") {
        return Identity::parse(Provider::Gcp, None, email);
    }
    let Some(shown) = shown else { return Identity::unauthenticated(realm) };
    // Vault puts the mount before the subject: `jwt-spiffe://shop.test/ns/web/sa/frontend`.
    let subject = ["spiffe://", "system:serviceaccount:"].iter().find_map(|form| {
        let at = shown.find(form)?;
        shown.get(at..)
    });
    if let Some(subject) = subject {
        let account = || Identity::kubernetes(realm, subject);
        return Identity::spiffe(subject).unwrap_or_else(account);
    }
    let method = shown.split('-').next().unwrap_or_default();
    let of_login = login.map_or("", |login| login.method.as_str());
    let is_person = PEOPLE.contains(&method) || PEOPLE.contains(&of_login);
    let kind = if is_person { IdentityKind::User } else { IdentityKind::Unknown };
    Identity { kind, ..Identity::parse(Provider::Vault, realm, shown) }
}

/// Methods by which people log in, and the token that everything began with.
const PEOPLE: &[&str] = &["userpass", "ldap", "oidc", "github", "okta", "radius", "root"];

/// What says that a policy refused, or that a token is none.
const REFUSED: &[&str] =
    &["permission denied", "invalid token", "bad token", "missing client token"];

/// What says of a login that whoever should have decided could not: Vault, the API server that reviews
/// tokens, or a directory.
const BROKEN: &[&str] = &[
    "internal error",
    "context deadline exceeded",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "no such host",
    "Vault is sealed",
];

/// What Vault decided, and how it ended.
fn decide(
    access: &mut Access,
    kind: &str,
    login: Option<&Login>,
    auth: &Fields,
    response: &Fields,
    entry: &mut Fields,
) -> Result<(), Failure> {
    let error = entry.text("error")?;
    // An answer of 400 is nothing but an error, hashed; a secret may have a key of that name.
    let data = response.get("data").and_then(Value::as_object);
    let in_data = data.is_some_and(|data| data.len() == 1 && data.contains_key("error"));
    let has_failed = error.is_some() || in_data;
    let results = auth.get("policy_results");
    let is_allowed = results.and_then(|results| results.get("allowed")?.as_bool());
    let says = |reasons: &[&str]| {
        error.as_deref().is_some_and(|error| reasons.iter().any(|reason| error.contains(reason)))
    };
    let is_waiting = kind == "request" && !has_failed;
    access.stage = Some(if is_waiting { "RequestReceived" } else { kind }.to_owned());
    access.outcome = if has_failed { Outcome::Failure } else { Outcome::Success };
    access.decision = match (is_waiting, has_failed) {
        (true, _) => Decision::Unknown,
        (_, true) if login.is_some() && says(BROKEN) => Decision::Error,
        // Whoever asks too often is let in later.
        (_, true) if login.is_some() && says(&["quota exceeded"]) => Decision::Unknown,
        (_, true) if login.is_some() || says(REFUSED) || is_allowed == Some(false) => {
            Decision::Deny
        }
        (_, true) if is_allowed == Some(true) => Decision::Allow,
        (_, true) => Decision::Unknown,
        (_, false) => Decision::Allow,
    };
    let is_unknown = login.is_some() || access.identity.is_none();
    let granting = results.and_then(|results| {
        let mut policies = results.get("granting_policies")?.as_array()?.iter();
        policies.find_map(|policy| policy.get("name")?.as_str()).map(str::to_owned)
    });
    access.decided_by = match access.decision {
        Decision::Deny if is_unknown => Some("authentication".to_owned()),
        Decision::Allow => {
            let metadata = response.get("auth").and_then(|auth| auth.get("metadata"));
            login.map_or(granting, |login| login.role(metadata))
        }
        _ => None,
    };
    if login.is_some() && access.decision == Decision::Allow {
        access.entry_id.clone_from(&access.decided_by);
    }
    access.decision_reason = error;
    Ok(())
}

/// The key of the request: its two entries share its id, and nothing that a client chooses.
fn request_key(access: &Access, context: &Context<'_>) -> RequestKey {
    let id = access.request_id.as_deref().unwrap_or(access.event_id.as_str());
    let verb = access.verb.as_deref().unwrap_or_default();
    let uri = access.request_uri.as_deref().unwrap_or_default();
    let uri = context.keys.redactor().without_markers(uri);
    // Who logs in is known to the second entry only.
    RequestKey::of(context.cluster, id, Time::default(), "", verb, &uri)
}

#[cfg(test)]
mod tests;
