//! `product: kubernetes, service: audit`: the fields of audit.k8s.io/v1.
//!
//! <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>. A few more speak of what the
//! event alone does not say plainly; each says what it is.

use std::borrow::Cow;
use std::net::IpAddr;

use durward_schemas::cell::Json;
use durward_schemas::controllers;
use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, Outcome, Provider};
use rsigma_eval::EventValue;

use super::{Beneath, LogSource, Object};
use crate::rule::contradiction;
use crate::rule::field::{Field, fields, list, some_of, text};

pub(super) const SOURCE: LogSource = LogSource {
    product: "kubernetes",
    service: "audit",
    covers: |row| row.provider == Provider::Kubernetes,
    fields: FIELDS,
    beneath: &[
        Beneath::new("requestObject", Object::Request),
        Beneath::new("responseObject", Object::Response),
        // The object as it is after the write, whichever way the write was spelled.
        Beneath::new("object", Object::After),
        // Keys of these hold dots and slashes: what follows is one key.
        Beneath::new("annotations", Object::Annotations),
        Beneath::new("user.extra", Object::Extra),
    ],
    others: &[],
    aliases: &[
        ("apiGroup", "objectRef.apiGroup"),
        ("hostPath", "podSpec.hostPath.path"),
        ("capabilities", "podSpec.capabilities"),
    ],
    misplaced: &[(
        "responseStatus.code",
        "ALLOW",
        "annotations.authorization.k8s.io/decision",
        "allow",
    )],
};

fields! {
    "level" => "level", |event| text(event.row.level.as_deref());
    "auditID" => "source_event_id", |event| text(event.row.source_event_id.as_deref());
    "stage" => "stage", |event| text(event.row.stage.as_deref());
    "requestURI" => "request_uri", |event| text(event.row.request_uri.as_deref());
    "verb" => "verb", |event| text(event.row.verb.as_deref());
    "user.username" => "identity", |event| text(event.row.identity.as_deref());
    "user.uid" => "identity_uid", |event| text(event.row.identity_uid.as_deref());
    "user.groups" => "groups", |event| list(event.row.groups.as_deref());
    "impersonatedUser.username" => "impersonated_identity",
        |event| text(event.row.impersonated_identity.as_deref());
    "impersonatedUser.groups" => "impersonated_groups",
        |event| list(event.row.impersonated_groups.as_deref());
    "sourceIPs" => "source_ip", |event| text(event.row.source_ip.as_deref());
    // Whether the address is one of the public internet; absent if it cannot be read.
    "sourceIPs.public" => "source_ip",
        |event| event.row.source_ip.as_deref().and_then(is_public).map(EventValue::Bool);
    "userAgent" => "user_agent", |event| text(event.row.user_agent.as_deref());
    "objectRef.resource" => "resource", |event| text(event.row.resource.as_deref());
    "objectRef.subresource" => "subresource", |event| text(event.row.subresource.as_deref());
    "objectRef.namespace" => "object_namespace",
        |event| text(event.row.object_namespace.as_deref());
    "objectRef.name" => "object_name", |event| text(event.row.object_name.as_deref());
    "objectRef.uid" => "object_uid", |event| text(event.row.object_uid.as_deref());
    "objectRef.apiGroup" => "api_group", |event| text(event.row.api_group.as_deref());
    "objectRef.apiVersion" => "api_version", |event| text(event.row.api_version.as_deref());
    "responseStatus.code" => "status_code", |event| event.row.status_code.map(EventValue::Int);
    "responseStatus.reason" => "status_reason", |event| text(event.row.status_reason.as_deref());
    "annotations.authorization.k8s.io/decision" => "decision",
        |event| text(decision(event.row.decision));
    "annotations.authorization.k8s.io/reason" => "decision_reason",
        |event| text(event.row.decision_reason.as_deref());
    "requestObject" => "request_object",
        |event| text(event.row.request_object.as_ref().map(Json::as_str));
    "responseObject" => "response_object",
        |event| text(event.row.response_object.as_ref().map(Json::as_str));
    "annotations" => "annotations",
        |event| text(event.row.annotations.as_ref().map(Json::as_str));
    // `success`, or `failure` for a status of 400 and above or a panic: GKE sends no status. A write that was answered
    // too early, as its client may choose, counts as done.
    "outcome" => "outcome", |event| Some(EventValue::Str(told_outcome(event.row).into()));
    // Whether it was let through: the decision says so or, where a source sends none, the answer does.
    "allowed" => "decision", |event| Some(EventValue::Bool(is_allowed(event.row)));
    // Whether what was let through came to nothing: what was asked for was not there, or was not done.
    "fruitless" => "outcome", |event| Some(EventValue::Bool(came_to_nothing(event.row)));
    // Whether nothing was to be kept, by the URI or by the body.
    "dryRun" => "dry_run", |event| event.row.dry_run.map(EventValue::Bool);
    // `user` is a person or a program with a name of its own; see `identity_kind` of `accesses`.
    "user.kind" => "identity_kind",
        |event| Some(EventValue::Str(event.row.identity_kind.as_str().into()));
    // The namespace of a ServiceAccount's own name.
    "user.namespace" => "namespace", |event| text(event.row.namespace.as_deref());
    // Whether somebody else may be behind the name: who acts as another, or has a token that another than the manager of
    // all controllers minted.
    "user.borrowed" => "minted_by",
        |event| Some(EventValue::Bool(controllers::is_borrowed(event.row)));
    // What name, groups and credential say that cannot be true together.
    "user.contradictions" => "identity", |event| contradicted(event.row);
    // What the pod or the template in the body opens to the node, less what it opened before.
    "podSpec.privileged" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().privileged));
    "podSpec.hostProcess" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().host_process));
    "podSpec.hostPID" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().host_pid));
    "podSpec.hostIPC" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().host_ipc));
    "podSpec.hostNetwork" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().host_network));
    "podSpec.capabilities" => "request_object",
        |event| some_of(event.pod_spec().capabilities.iter());
    // Settings that give up what confines a container: `runAsUser`, `allowPrivilegeEscalation`, `procMount`,
    // `seccompProfile`, `appArmorProfile`.
    "podSpec.unconfined" => "request_object",
        |event| some_of(event.pod_spec().unconfined.iter());
    "podSpec.hostPath.path" => "request_object",
        |event| some_of(event.pod_spec().writable.iter().chain(&event.pod_spec().read_only));
    "podSpec.hostPath.writable" => "request_object",
        |event| some_of(event.pod_spec().writable.iter());
    // Whether a debug container mounts the token of its pod.
    "podSpec.debugContainerMountsToken" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().debug_token));
    // Names and organizations that a CertificateSigningRequest asks for.
    "certificate.subject" => "request_object",
        |event| some_of(event.certificate_subjects().iter());
    // Whether a write changed nothing of admission webhooks but certificates.
    "webhooks.renewed" => "request_object",
        |event| Some(EventValue::Bool(event.renews_webhooks()));
    // What the change that this request made did, as the table `changes` has it.
    "changes.grants_added" => "grants_added",
        |event| list(event.change?.grants_added.as_deref());
    // `create`, `update` or `delete`: apply creates what is not there.
    "changes.action" => "action", |event| text(event.action());
    "changes.subjects" => "subjects", |event| list(event.change?.subjects.as_deref());
    // Subjects of a binding that it was not known to have before.
    "changes.subjects_added" => "after", |event| texts(event.subjects_added());
}

fn told_outcome(row: &Access) -> &'static str {
    if row.may_be_done() { Outcome::Success.as_str() } else { row.outcome.as_str() }
}

/// Whether an address is neither private, shared, local nor for documentation.
fn is_public(address: &str) -> Option<bool> {
    let is_public = match address.parse::<IpAddr>().ok()?.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            let is_local = v4.is_private() || v4.is_loopback() || v4.is_link_local();
            !is_local && !is_shared && !v4.is_unspecified() && !v4.is_documentation()
        }
        // Global unicast addresses are 2000::/3; pods of IPv6 clusters have them too.
        IpAddr::V6(_) => return None,
    };
    Some(is_public)
}

fn contradicted(row: &Access) -> Option<EventValue<'static>> {
    texts(contradiction::contradictions(row))
}

fn texts<T: Into<Cow<'static, str>>>(texts: Vec<T>) -> Option<EventValue<'static>> {
    let texts: Vec<_> = texts.into_iter().map(|text| EventValue::Str(text.into())).collect();
    (!texts.is_empty()).then_some(EventValue::Array(texts))
}

/// Some exports have no annotations; a request that was answered with success was allowed.
/// Without an answer nothing is known.
pub(crate) fn is_allowed(row: &Access) -> bool {
    match row.decision {
        Decision::Allow => true,
        Decision::Unknown => row.status_code.is_some() && row.outcome == Outcome::Success,
        Decision::Deny | Decision::Error => false,
    }
}

/// Whether a request that was allowed came to nothing: what was asked for was not there, or was not done. A write that
/// was answered too early may be done yet, and of what was cut off some may have been sent.
pub(crate) fn came_to_nothing(row: &Access) -> bool {
    let has_failed = row.status_code.map_or(row.outcome == Outcome::Failure, |code| code >= 400);
    has_failed && !row.may_be_done() && row.stage.as_deref() != Some("Panic")
}

/// The decision as the annotation spells it.
fn decision(decision: Decision) -> Option<&'static str> {
    match decision {
        Decision::Allow => Some("allow"),
        Decision::Deny => Some("forbid"),
        Decision::Error | Decision::Unknown => None,
    }
}
