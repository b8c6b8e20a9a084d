//! Format `gke-audit`: one entry of Cloud Logging for a request to a GKE API server in, one access out.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging>. GKE does not send the
//! event but what Cloud Audit Logs have room for: no stage, no level, no groups, nothing of the
//! credential but a Google key (`user.extra`), no request URI, no second time. What it does not send stays null; the
//! rest is put where an event has it, and read as one.

use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, Decision, Outcome};
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::mapping::Mapping;
use super::{Context, Failure, Format, cloud, google, kube_audit};

/// Which field of an entry fills which column.
pub(super) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "timestamp"),
    Mapping::new("time_suspect", "timestamp"),
    Mapping::new("claimed_time", "timestamp"),
    Mapping::new("observed_time", "receiveTimestamp"),
    Mapping::new("cluster", "resource.labels.cluster_name, unless the door names one"),
    Mapping::new("source_event_id", "operation.id, else insertId"),
    Mapping::new("verb", "protoPayload.methodName"),
    Mapping::new("activity_id", "protoPayload.methodName"),
    Mapping::new("claimed_trace_id", "trace"),
    Mapping::new("claimed_span_id", "spanId"),
    Mapping::new(
        "identity",
        "protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject, \
         else protoPayload.authenticationInfo.authoritySelector if it is nobody",
    ),
    Mapping::new(
        "identity_kind",
        "protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject, \
         else protoPayload.authenticationInfo.authoritySelector, \
         else protoPayload.status.code, protoPayload.response",
    ),
    Mapping::new(
        "impersonated_identity",
        "protoPayload.authenticationInfo.authoritySelector, unless it is \
         protoPayload.authenticationInfo.principalEmail or \
         protoPayload.authenticationInfo.principalSubject",
    ),
    Mapping::new("identity_realm", "resource.labels.cluster_name, unless the door names one"),
    Mapping::new(
        "namespace",
        "protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject",
    ),
    Mapping::new(
        "service_account",
        "protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject",
    ),
    Mapping::new("credential_id", "protoPayload.authenticationInfo.serviceAccountKeyName"),
    Mapping::new(
        "credential_kind",
        "protoPayload.authenticationInfo.serviceAccountKeyName, \
         protoPayload.authenticationInfo.principalEmail, \
         else protoPayload.authenticationInfo.principalSubject, \
         else protoPayload.authenticationInfo.authoritySelector",
    ),
    Mapping::new("user_agent", "protoPayload.requestMetadata.callerSuppliedUserAgent"),
    Mapping::new("source_ip", "protoPayload.requestMetadata.callerIp, if it is an address"),
    Mapping::new("api_group", "protoPayload.resourceName, else protoPayload.methodName"),
    Mapping::new("api_version", "protoPayload.resourceName, else protoPayload.methodName"),
    Mapping::new("resource", "protoPayload.resourceName, else protoPayload.methodName"),
    Mapping::new("subresource", "protoPayload.resourceName, else protoPayload.methodName"),
    Mapping::new(
        "request_uri",
        "protoPayload.resourceName, where protoPayload.methodName is of a path",
    ),
    Mapping::new("object_namespace", "protoPayload.resourceName"),
    Mapping::new(
        "object_name",
        "protoPayload.resourceName, else protoPayload.response.metadata.name",
    ),
    Mapping::new("object_uid", "protoPayload.response.metadata.uid"),
    Mapping::new("dry_run", "protoPayload.request.dryRun, protoPayload.request.kind"),
    Mapping::new("request_object", "protoPayload.request"),
    Mapping::new("response_object", "protoPayload.response"),
    Mapping::new(
        "status_code",
        "protoPayload.status.code, as HTTP has it, else protoPayload.response",
    ),
    Mapping::new("status_reason", "protoPayload.response"),
    Mapping::new(
        "outcome",
        "protoPayload.status.code, else protoPayload.status, protoPayload.response",
    ),
    Mapping::new(
        "decision",
        "labels[authorization.k8s.io/decision], else protoPayload.status.code, \
         protoPayload.authorizationInfo, protoPayload.response",
    ),
    Mapping::new("decision_reason", "labels[authorization.k8s.io/reason]"),
    Mapping::new("decided_by", "labels[authorization.k8s.io/reason], else protoPayload.response"),
    Mapping::new("decided_role", "labels[authorization.k8s.io/reason]"),
    Mapping::new("decided_subject", "labels[authorization.k8s.io/reason]"),
    Mapping::new("truncated", "split.totalSplits"),
    Mapping::new("annotations", "labels"),
];

/// Verbs of Kubernetes: the last part of a method, except for paths that are no resources.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#request-verb-resource>
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "head",
    "list",
    "options",
    "patch",
    "post",
    "proxy",
    "put",
    "update",
    "watch",
];

/// Reads one entry.
pub(super) fn read(bytes: &[u8], context: &Context<'_>) -> Result<Access, Failure> {
    let entry = google::parse(bytes)?;
    if !entry.get("protoPayload").is_some_and(|payload| payload["methodName"].is_string()) {
        return Err(google::not_an_entry());
    }
    let cluster = entry.get("resource").and_then(|resource| {
        resource.get("labels")?.get("cluster_name")?.as_str().map(str::to_owned)
    });
    let context =
        Context { cluster: context.cluster.or(context.named(cluster.as_deref())), ..*context };
    let received = entry.get("receiveTimestamp").and_then(Value::as_str).and_then(cloud::moment);
    let payload = entry.get("protoPayload");
    let permissions = payload.and_then(|payload| payload.get("authorizationInfo")).cloned();
    let is_split = google::is_split(entry.get("split"));
    let code = google::code(payload.and_then(|payload| payload.get("status")));
    let has_failed = has_failed(payload.and_then(|payload| payload.get("status")));
    let mut access = kube_audit::read_fields(Format::GkeAudit, event(entry), None, &context)?;
    access.observed_time = received;
    access.truncated |= is_split;
    if is_dry_run(&access) {
        access.dry_run = Some(true);
    }
    if access.decision == Decision::Unknown {
        access.decision = google::decision(permissions.as_ref(), code);
    }
    if access.decision == Decision::Deny || has_failed {
        access.outcome = Outcome::Failure;
    }
    Ok(access)
}

/// GKE leaves the query out of the path, and says so in a label.
fn is_dry_run(access: &Access) -> bool {
    let labels = access.annotations.as_ref();
    let labels = labels.and_then(|labels| serde_json::from_str::<Value>(labels.as_str()).ok());
    labels.is_some_and(|labels| labels["command.gke.io/dryRun"] == "true")
}

/// The entry as an audit event; what an event has no place for stays as it was.
fn event(entry: Map<String, Value>) -> Map<String, Value> {
    let mut entry = Fields::new(entry);
    let mut event = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            event.insert(key.to_owned(), value);
        }
    };
    let id = entry.inside("operation", |operation| operation.text_if("id"));
    put("auditID", id.or_else(|| entry.text_if("insertId")).map(Value::from));
    put("timestamp", entry.take("timestamp"));
    put("annotations", entry.take("labels"));
    entry.inside("protoPayload", |payload| {
        payload.text_if("serviceName");
        payload.text_if("@type");
        let who = payload.inside("authenticationInfo", principal);
        put("user", who.map(|name| json!({ "username": name })));
        let (from, agent) = payload.inside("requestMetadata", |metadata| {
            (google::caller(metadata), metadata.text_if("callerSuppliedUserAgent"))
        });
        put("sourceIPs", from.map(|address| json!([address])));
        put("userAgent", agent.map(Value::from));
        let method = payload.text_if("methodName");
        let verb = method.as_deref().and_then(verb_of);
        put("verb", verb.map(Value::from));
        let path = payload.text_if("resourceName");
        if method.as_deref().is_some_and(is_of_path) {
            put("requestURI", path.map(|path| with_slash(&path).into()));
        } else {
            put("objectRef", object(path.as_deref(), method.as_deref()));
            put("requestURI", path.filter(|path| path.starts_with('/')).map(Value::from));
        }
        put("requestObject", payload.take("request"));
        put("responseObject", payload.take("response"));
        let status = payload.inside("status", |status| status.integer("code").ok().flatten());
        let status = status.and_then(google::http_status);
        put("responseStatus", status.map(|(code, _)| json!({ "code": code })));
        // What a method says beside its verb stands in the name of the resource.
        if verb.is_none() {
            payload.keep_text("methodName", method);
        }
    });
    let mut all = entry.into_inner();
    all.append(&mut event);
    all
}

/// Whether a status without a code tells of a failure: success needs no words.
fn has_failed(status: Option<&Value>) -> bool {
    let Some(status) = status else { return false };
    let words = [Some(status), status.get("status"), status.get("message")];
    let mut words = words.into_iter().flatten().filter_map(Value::as_str);
    google::code(Some(status)) == 0
        && words
            .any(|word| !["", "OK", "Success"].iter().any(|well| word.eq_ignore_ascii_case(well)))
}

/// What an entry tells of a caller that an event of Kubernetes has no field for.
#[derive(Debug, Default)]
pub(super) struct Caller {
    /// The key of a service account of Google.
    key: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
}

impl Caller {
    /// Takes what `event` tells of who acted and as whom, and puts it where an event of Kubernetes has it.
    /// To be called when the id is made: it is made of these fields as they stand in the entry.
    pub(super) fn take(event: &mut Map<String, Value>) -> Self {
        let email =
            event.get("user").and_then(|user| user.get("username")?.as_str().map(str::to_owned));
        let mut entry = Fields::new(std::mem::take(event));
        let (mut name, mut acting_as, mut key) = (None, None, None);
        entry.inside("protoPayload", |payload| {
            payload.inside("authenticationInfo", |info| {
                info.keep_text("principalEmail", email.clone());
                name = google::principal(info);
                if name.is_none() || name == email {
                    info.text_if("principalEmail");
                } else {
                    info.text_if("principalSubject");
                }
                let selector = info.get("authoritySelector").and_then(Value::as_str);
                let is_other = selector.is_some_and(|selector| {
                    Some(selector) != email.as_deref() && Some(selector) != name.as_deref()
                });
                acting_as = if is_other { info.text_if("authoritySelector") } else { None };
                key = info.text_if("serviceAccountKeyName");
            });
        });
        let caller = Self {
            key,
            trace_id: entry.text_if("trace").map(google::last_part),
            span_id: entry.text_if("spanId"),
        };
        *event = entry.into_inner();
        for (field, name) in [("user", name), ("impersonatedUser", acting_as)] {
            if let Some(name) = name {
                event.insert(field.to_owned(), json!({ "username": name }));
            }
        }
        caller
    }

    /// Fills the columns that it is about.
    pub(super) fn fill(self, access: &mut Access) {
        access.claimed_trace_id = self.trace_id;
        access.claimed_span_id = self.span_id;
        if let Some(key) = self.key {
            access.credential_id = Some(CredentialId(key));
            access.credential_kind = Some(CredentialKind::CloudStaticKey);
        }
    }
}

/// The user name. Where nobody is named, a caller may have asked to be nobody.
fn principal(info: &mut Fields) -> Option<String> {
    let anonymous = "system:anonymous";
    let asked = info.get("authoritySelector").is_some_and(|selector| selector == anonymous);
    info.text_if("principalEmail").or_else(|| asked.then(|| anonymous.to_owned()))
}

/// `io.k8s.core.v1.pods.exec.create` ends in its verb.
fn verb_of(method: &str) -> Option<&str> {
    let verb = method.rsplit('.').next()?;
    VERBS.contains(&verb).then_some(verb)
}

/// Whether a method names no resource: `io.k8s.get` is of a path such as `readyz` or `api/v1`.
fn is_of_path(method: &str) -> bool {
    method.strip_prefix("io.k8s.").is_some_and(|verb| !verb.contains('.'))
}

/// The path as requests have it.
fn with_slash(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// The object by the name of the resource, else by the method, which names only its sort.
fn object(path: Option<&str>, method: Option<&str>) -> Option<Value> {
    let parts: Vec<&str> = path.unwrap_or_default().split('/').collect();
    let Some((group, version, rest)) = group_and_rest(&parts) else {
        return object_of_method(method?);
    };
    let mut object = json!({ "apiGroup": group, "apiVersion": version });
    let named = match rest {
        // A namespace is in itself, as API servers have it.
        ["namespaces", name] => {
            json!({ "resource": "namespaces", "namespace": name, "name": name })
        }
        ["namespaces", name, sub @ ("finalize" | "status")] => json!({
            "resource": "namespaces", "namespace": name, "name": name, "subresource": sub,
        }),
        ["namespaces", namespace, resource] => {
            json!({ "namespace": namespace, "resource": resource })
        }
        ["namespaces", namespace, resource, name] => {
            json!({ "namespace": namespace, "resource": resource, "name": name })
        }
        ["namespaces", namespace, resource, name, sub, ..] => json!({
            "namespace": namespace, "resource": resource, "name": name, "subresource": sub,
        }),
        [resource] => json!({ "resource": resource }),
        [resource, name] => json!({ "resource": resource, "name": name }),
        [resource, name, sub, ..] => {
            json!({ "resource": resource, "name": name, "subresource": sub })
        }
        [] => return None,
    };
    if let (Some(object), Value::Object(mut named)) = (object.as_object_mut(), named) {
        object.append(&mut named);
    }
    Some(object)
}

/// Group, version and the rest of `core/v1/namespaces/web/pods`.
fn group_and_rest<'a>(parts: &'a [&'a str]) -> Option<(&'a str, &'a str, &'a [&'a str])> {
    let [group, version, rest @ ..] = parts else { return None };
    let is_version = version.starts_with('v') && version.as_bytes().get(1)?.is_ascii_digit();
    (is_version && !group.is_empty() && !rest.is_empty()).then_some((
        if *group == "core" { "" } else { *group },
        *version,
        rest,
    ))
}

/// Version, resource and subresource of `io.k8s.core.v1.pods.exec.create`. The group is the short
/// form that methods have, except for the core.
fn object_of_method(method: &str) -> Option<Value> {
    let parts: Vec<&str> = method.strip_prefix("io.k8s.")?.split('.').collect();
    let [group, version, resource, rest @ ..] = parts.as_slice() else { return None };
    let [sub @ .., _] = rest else { return None };
    let mut object = json!({ "apiVersion": version, "resource": resource });
    if let (Some(sub), Some(object)) = (sub.first(), object.as_object_mut()) {
        object.insert("subresource".to_owned(), (*sub).into());
    }
    if let (false, Some(object)) = (*group == "core", object.as_object_mut()) {
        object.insert("apiGroup".to_owned(), (*group).into());
    }
    Some(object)
}

#[cfg(test)]
mod tests;
