//! Format `kube-list`: Kubernetes objects as somebody listed them in, [`Object`] rows out.
//!
//! One object, a `v1.List`, a typed list (whose items have no kind of their own), lines of any of
//! these, events of a watch, or a dump by path: `{"time": ..., "objects": {"/api/v1/pods": [...]}}`.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::ids::EventId;
use durward_schemas::tables::Object;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Context, Failure, Format, MAX_ITEM, Reading};
use crate::canonical;
use crate::redact::Body;
use crate::split::Item;

/// What a document may be, told by the fields that it has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    time: Option<String>,
    #[serde(borrow, default)]
    objects: Option<BTreeMap<String, Vec<&'a RawValue>>>,
    /// What a watch says happened to an object.
    #[serde(rename = "type", borrow, default)]
    happened: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

/// What an object is where it does not say so itself.
#[derive(Clone, Copy)]
struct Sort<'a> {
    api_version: &'a str,
    kind: &'a str,
}

/// Reads one document into `reading`; an object that cannot be read becomes a reject of its own.
pub(super) fn read(
    item: &Item,
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let text = std::str::from_utf8(&item.bytes);
    let text = text.map_err(|_| Failure::new("not_utf8", "the document is not UTF-8"))?;
    if text.starts_with('[') {
        let objects: Vec<&RawValue> = serde_json::from_str(text)?;
        read_all(&objects, None, context.received_as_of(None), context, reading);
        return Ok(());
    }
    if !text.starts_with('{') {
        return Err(Failure::new("not_json", "the item is not JSON")
            .hint("YAML is not read: list objects with kubectl get -o json"));
    }
    let document: Document<'_> = serde_json::from_str(text)?;
    let time = context.received_as_of(document.time.as_deref());
    if let Some(objects) = &document.objects {
        read_dump(objects, time, context, reading);
    } else if let Some(objects) = &document.items {
        // A typed list is named after its items; a plain one says nothing of them.
        let kind = document.kind.as_deref().and_then(|kind| kind.strip_suffix("List"));
        let sort = kind.filter(|kind| !kind.is_empty()).zip(document.api_version.as_deref());
        let sort = sort.map(|(kind, api_version)| Sort { api_version, kind });
        read_all(objects, sort, time, context, reading);
    } else if let (None, Some(happened), Some(object)) =
        (&document.kind, document.happened, document.object)
    {
        read_watched(happened.get(), object.get(), time, context, reading)?;
    } else {
        reading.objects.push(read_object(text, None, time, context)?);
    }
    Ok(())
}

/// Reads an event of a watch: an object that is gone is not listed, and a bookmark is none.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>
fn read_watched(
    happened: &str,
    object: &str,
    time: Time,
    context: &Context<'_>,
    reading: &mut Reading,
) -> Result<(), Failure> {
    match happened {
        "\"DELETED\"" | "\"BOOKMARK\"" | "\"ERROR\"" => {}
        _ => reading.objects.push(read_object(object, None, time, context)?),
    }
    Ok(())
}

impl Context<'_> {
    /// As of when listed objects stood: what somebody said, else what the file says, else now.
    fn received_as_of(&self, file: Option<&str>) -> Time {
        self.as_of.or_else(|| file.and_then(Time::parse)).unwrap_or(self.received)
    }
}

fn read_dump(
    objects: &BTreeMap<String, Vec<&RawValue>>,
    time: Time,
    context: &Context<'_>,
    reading: &mut Reading,
) {
    for (path, items) in objects {
        let sort = sort_of_path(path);
        let sort = sort.as_ref().map(|(api_version, kind)| Sort { api_version, kind });
        read_all(items, sort, time, context, reading);
    }
}

fn read_all(
    objects: &[&RawValue],
    sort: Option<Sort<'_>>,
    time: Time,
    context: &Context<'_>,
    reading: &mut Reading,
) {
    for (index, text) in objects.iter().enumerate() {
        match read_object(text.get(), sort, time, context) {
            Ok(object) => reading.objects.push(object),
            Err(failure) => {
                let position = Some(format!("item {}", index + 1));
                let reject = context.reject(Format::KubeList, text.get().as_bytes(), &failure);
                reading.rejects.push(durward_schemas::tables::Reject { position, ..reject });
            }
        }
    }
}

fn read_object(
    text: &str,
    sort: Option<Sort<'_>>,
    time: Time,
    context: &Context<'_>,
) -> Result<Object, Failure> {
    if text.len() > MAX_ITEM {
        return Err(Failure::new("too_large", "the object is larger than is read"));
    }
    let mut object: Value = serde_json::from_str(text)?;
    let own = |key: &str| object.get(key).and_then(Value::as_str);
    let kind = own("kind").or(sort.map(|sort| sort.kind)).map(str::to_owned);
    let kind = kind.ok_or_else(|| {
        Failure::new("unknown_kind", "neither the object nor its list says what it is")
            .hint("list with `kubectl get -o json`, which writes kind and apiVersion")
    })?;
    let api_version = own("apiVersion").or(sort.map(|sort| sort.api_version)).unwrap_or_default();
    let api_group = api_version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
    let body = match kind.as_str() {
        "Secret" => Body::Secret,
        "ConfigMap" => Body::ConfigMap,
        _ => Body::Other,
    };
    context.keys.redactor().body(&mut object, body);
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let metadata = metadata.ok_or_else(no_name)?;
    // Who last wrote which field is half of an object and says nothing of what it allows.
    metadata.remove("managedFields");
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).map(str::to_owned);
    let (name, namespace, uid) =
        (text("name").ok_or_else(no_name)?, text("namespace"), text("uid"));
    let told = format!("{api_group}/{kind} {}", context.text_for_ids(&object));
    Ok(Object {
        time,
        // Listed again without a time it is the same object: its resourceVersion says when it is not.
        event_id: EventId::of(Time::default(), context.cluster, told.as_bytes()),
        cluster: context.cluster.map(str::to_owned),
        api_group,
        kind,
        namespace,
        name,
        uid,
        object: Json(canonical::sorted(&object)),
        source: context.source.to_owned(),
        ..Object::default()
    })
}

fn no_name() -> Failure {
    Failure::new("no_name", "the object has no metadata.name").hint(
        "list objects with kubectl get -o json: neither tables nor answers that failed are read",
    )
}

/// API version and kind of the objects under a path such as `/apis/apps/v1/deployments`.
fn sort_of_path(path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let (api_version, resource) = match parts.as_slice() {
        ["api", version, .., resource] => ((*version).to_owned(), resource),
        ["apis", group, version, .., resource] => (format!("{group}/{version}"), resource),
        _ => return None,
    };
    let kind = KINDS.iter().find(|(plural, _)| plural == resource)?.1;
    Some((api_version, kind.to_owned()))
}

/// Resources in plural and their kinds: a path names the one, an object the other.
const KINDS: &[(&str, &str)] = &[
    ("certificatesigningrequests", "CertificateSigningRequest"),
    ("clusterrolebindings", "ClusterRoleBinding"),
    ("clusterroles", "ClusterRole"),
    ("configmaps", "ConfigMap"),
    ("cronjobs", "CronJob"),
    ("daemonsets", "DaemonSet"),
    ("deployments", "Deployment"),
    ("endpointslices", "EndpointSlice"),
    ("ingresses", "Ingress"),
    ("jobs", "Job"),
    ("mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
    ("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding"),
    ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    ("namespaces", "Namespace"),
    ("networkpolicies", "NetworkPolicy"),
    ("nodes", "Node"),
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("persistentvolumes", "PersistentVolume"),
    ("pods", "Pod"),
    ("replicasets", "ReplicaSet"),
    ("replicationcontrollers", "ReplicationController"),
    ("rolebindings", "RoleBinding"),
    ("roles", "Role"),
    ("secrets", "Secret"),
    ("serviceaccounts", "ServiceAccount"),
    ("services", "Service"),
    ("statefulsets", "StatefulSet"),
    ("validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
    ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
    ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
];

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use crate::lab::with_context;

    fn objects(input: &str) -> Reading {
        with_context(|context| read(Format::KubeList, input.as_bytes(), context))
    }

    fn check(input: &str, expect: &[(&str, &str, &str)]) {
        let reading = objects(input);
        let found = reading.objects.iter();
        let found: Vec<_> =
            found.map(|o| (o.api_group.as_str(), o.kind.as_str(), o.name.as_str())).collect();
        assert_eq!(found, expect, "{input}");
    }

    /// Scenario: objects in every form of list, by path, in lines, alone.
    /// Guarantees: each is a row of its group and kind, whoever says so: it, its list or its path.
    #[test]
    fn kinds_come_from_object_list_or_path() {
        let pod = r#"{"metadata":{"name":"a"}}"#;
        let role = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r"}}"#;
        let rbac = "rbac.authorization.k8s.io";
        check(
            &format!(r#"{{"apiVersion":"v1","items":[{role}],"kind":"List"}}"#),
            &[(rbac, "Role", "r")],
        );
        check(
            &format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{pod},{role}]}}"#),
            &[("", "Pod", "a"), (rbac, "Role", "r")],
        );
        check(&format!("{role}\n{role}\n"), &[(rbac, "Role", "r"); 2]);
        check(&format!("[{role}]"), &[(rbac, "Role", "r")]);
        check(
            &format!(r#"{{"objects":{{"/apis/apps/v1/deployments":[{pod}],"/api/v1/pods":[]}}}}"#),
            &[("apps", "Deployment", "a")],
        );
    }

    /// Scenario: objects without a name or a kind, and ones that are no objects, between good ones.
    /// Guarantees: each bad one is one reject with its place, and no good one is lost.
    #[test]
    fn bad_objects_stand_alone() {
        let reading = objects(
            r#"{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"a"}},7,{"metadata":{}},{"metadata":{"name":"b"}}]}"#,
        );
        let reasons: Vec<_> =
            reading.rejects.iter().map(|r| (r.reason.as_str(), r.position.as_deref())).collect();
        assert_eq!(reasons, [("no_name", Some("item 2")), ("no_name", Some("item 3"))]);
        assert_eq!(reading.objects.len(), 2);
        let unknown = objects(r#"{"objects":{"/api/v1/gadgets":[{"metadata":{"name":"a"}}]}}"#);
        assert_eq!(unknown.rejects.first().map(|r| r.reason.as_str()), Some("unknown_kind"));
    }

    /// Scenario: a dump with a time, and the same with `--as-of`.
    /// Guarantees: the stated time wins over the file's, the file's over the time of receipt.
    #[test]
    fn time_is_as_of() {
        let dump = r#"{"time":"2026-11-23T17:56:54Z","objects":{"/api/v1/pods":[{"metadata":{"name":"a","managedFields":[1]}}]}}"#;
        let at = |as_of: Option<Time>| {
            with_context(|context| {
                read(Format::KubeList, dump.as_bytes(), &Context { as_of, ..*context })
            })
        };
        let file = at(None);
        assert_eq!(Some(file.objects[0].time), Time::parse("2026-11-23T17:56:54Z"));
        assert_eq!(file.objects[0].object.as_str(), r#"{"metadata":{"name":"a"}}"#);
        assert_eq!(at(Some(Time(5))).objects[0].time, Time(5));
    }

    /// Scenario: what a watch of pods says, line by line.
    /// Guarantees: objects that are there are rows, the others are nothing; the format is recognised.
    #[test]
    fn watches_list_what_is_there() {
        let pod = |name: &str| {
            format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}"}}}}"#)
        };
        let line =
            |kind: &str, name: &str| format!(r#"{{"type":"{kind}","object":{}}}"#, pod(name));
        let lines = [
            line("ADDED", "a"),
            line("MODIFIED", "b"),
            line("DELETED", "c"),
            line("BOOKMARK", "d"),
        ];
        let input = lines.join("\n");
        assert_eq!(Format::detect(input.as_bytes()), Some(Format::KubeList));
        check(&input, &[("", "Pod", "a"), ("", "Pod", "b")]);
        assert_eq!(objects(&input).rejects, []);
    }
}
