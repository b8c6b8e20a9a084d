//! The one mapping: audit field names, as Sigma rules have them, to columns.
//!
//! Names are those of audit.k8s.io/v1: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>.
//! A few more speak of what the event alone does not say plainly; each says what it is.

use std::borrow::Cow;

use durward_schemas::values::Decision;
use rsigma_eval::EventValue;

use crate::rule::event::RowEvent;

/// A field and how it is read from a row.
pub(crate) struct Field {
    /// The name in rules.
    pub name: &'static str,
    /// The column of `accesses` or `changes`; of a body, where it is computed from one.
    pub column: &'static str,
    /// Reads it.
    pub read: Read,
}

/// How a field is read.
pub(crate) type Read = for<'e> fn(&'e RowEvent<'_>) -> Option<EventValue<'e>>;

/// Fields that are objects: any path beneath them may be asked for.
pub(crate) const OBJECTS: [(&str, &str); 4] = [
    ("requestObject", "request_object"),
    ("responseObject", "response_object"),
    ("annotations", "annotations"),
    ("user.extra", "extra"),
];

/// Names that public rules use and audit events do not have, and what they mean.
pub(crate) const ALIASES: [(&str, &str); 3] = [
    ("apiGroup", "objectRef.apiGroup"),
    ("hostPath", "podSpec.hostPath.path"),
    ("capabilities", "podSpec.capabilities"),
];

/// A value that public rules look for in the wrong field: field, value, right field, right value.
pub(crate) const MISPLACED: [(&str, &str, &str, &str); 1] =
    [("responseStatus.code", "ALLOW", "annotations.authorization.k8s.io/decision", "allow")];

macro_rules! fields {
    ($($name:literal => $column:literal, $read:expr;)+) => {
        /// Every field, in the order of audit.k8s.io/v1.
        pub(crate) const FIELDS: &[Field] = &[$(Field {
            name: $name,
            column: $column,
            read: $read,
        }),+];
    };
}

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
        |event| text(event.row.request_object.as_ref().map(durward_schemas::cell::Json::as_str));
    "responseObject" => "response_object",
        |event| text(event.row.response_object.as_ref().map(durward_schemas::cell::Json::as_str));
    "annotations" => "annotations",
        |event| text(event.row.annotations.as_ref().map(durward_schemas::cell::Json::as_str));
    // Whether nothing was to be kept, by the URI or by the body.
    "dryRun" => "dry_run", |event| event.row.dry_run.map(EventValue::Bool);
    // The namespace of a ServiceAccount's own name.
    "user.namespace" => "namespace", |event| text(event.row.namespace.as_deref());
    // What the pod or the template in the body opens to the node, less what it opened before.
    "podSpec.privileged" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().privileged));
    "podSpec.hostPID" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().host_pid));
    "podSpec.hostIPC" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().host_ipc));
    "podSpec.hostNetwork" => "request_object",
        |event| Some(EventValue::Bool(event.pod_spec().host_network));
    "podSpec.capabilities" => "request_object",
        |event| some_of(event.pod_spec().capabilities.iter());
    "podSpec.hostPath.path" => "request_object",
        |event| some_of(event.pod_spec().writable.iter().chain(&event.pod_spec().read_only));
    "podSpec.hostPath.writable" => "request_object",
        |event| some_of(event.pod_spec().writable.iter());
    // Names and organizations that a CertificateSigningRequest asks for.
    "certificate.subject" => "request_object",
        |event| some_of(event.certificate_subjects().iter());
    // What the change that this request made did, as the table `changes` has it.
    "changes.grants_added" => "grants_added",
        |event| list(event.change?.grants_added.as_deref());
    "changes.subjects" => "subjects", |event| list(event.change?.subjects.as_deref());
}

/// The field of that name.
pub(crate) fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// The object and the path beneath it, for a name such as `requestObject.spec.hostPID`.
pub(crate) fn beneath(name: &str) -> Option<(&'static str, &str)> {
    OBJECTS.iter().find_map(|(object, _)| {
        let path = name.strip_prefix(object)?.strip_prefix('.')?;
        (!path.is_empty()).then_some((*object, path))
    })
}

/// Whether rules may ask for `name`.
pub(crate) fn is_known(name: &str) -> bool {
    field(name).is_some() || beneath(name).is_some()
}

/// The known name that is most like `name`, if any is.
pub(crate) fn suggestion(name: &str) -> Option<String> {
    let alike = |known: &str| {
        // A bare name is often the last part of the right one: `apiGroup` of `objectRef.apiGroup`.
        let part =
            if name.contains('.') { known } else { known.rsplit('.').next().unwrap_or(known) };
        strsim::normalized_damerau_levenshtein(part, name)
    };
    let names = FIELDS.iter().map(|field| (alike(field.name), field.name));
    let best = names.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    (best.0 > 0.6).then(|| best.1.to_owned())
}

fn text(text: Option<&str>) -> Option<EventValue<'_>> {
    text.map(|text| EventValue::Str(Cow::Borrowed(text)))
}

fn list(list: Option<&[String]>) -> Option<EventValue<'_>> {
    list.and_then(|list| some_of(list.iter()))
}

fn some_of<'e>(items: impl Iterator<Item = &'e String>) -> Option<EventValue<'e>> {
    let items: Vec<_> = items.map(|item| EventValue::Str(Cow::Borrowed(item.as_str()))).collect();
    (!items.is_empty()).then_some(EventValue::Array(items))
}

/// The decision as the annotation spells it.
fn decision(decision: Decision) -> Option<&'static str> {
    match decision {
        Decision::Allow => Some("allow"),
        Decision::Deny => Some("forbid"),
        Decision::Error | Decision::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use durward_schemas::table::Row;
    use durward_schemas::tables::{Access, Change};

    use super::*;

    /// Scenario: every field that rules may name.
    /// Guarantees: its column is one of the schema's, and no name stands twice.
    #[test]
    fn every_field_is_a_column() {
        let columns: Vec<&str> = [Access::TABLE, Change::TABLE]
            .iter()
            .flat_map(|table| table.columns)
            .map(|column| column.name)
            .collect();
        for field in FIELDS {
            assert!(columns.contains(&field.column), "{}", field.name);
            assert_eq!(FIELDS.iter().filter(|other| other.name == field.name).count(), 1);
        }
        for (_, column) in OBJECTS {
            assert!(columns.contains(&column));
        }
        for (_, meant) in ALIASES {
            assert!(is_known(meant), "{meant}");
        }
    }

    /// Scenario: names that people get wrong.
    /// Guarantees: the right one is suggested, and nothing where nothing is like it.
    #[test]
    fn the_right_name_is_suggested() {
        let check = |wrong: &str, right: Option<&str>| {
            assert_eq!(suggestion(wrong).as_deref(), right, "{wrong}");
        };
        check("apiGroup", Some("objectRef.apiGroup"));
        check("user.name", Some("user.username"));
        check("objectRef.resources", Some("objectRef.resource"));
        check("requestUri", Some("requestURI"));
        check("CommandLine", None);
    }
}
