//! How sources spell an event of the API server.

use durward_ingest::Format;
use serde_json::{Value, json};

pub(super) const TIME: &str = "2026-07-23T10:00:00.000000Z";

/// A spelling: its name, the format it is read as, and the text of an event in it.
pub(super) struct Spelling {
    pub name: &'static str,
    pub format: Format,
    pub spelled: fn(Value) -> String,
}

const fn spelling(name: &'static str, format: Format, spelled: fn(Value) -> String) -> Spelling {
    Spelling { name, format, spelled }
}

pub(super) const VARIANTS: &[Spelling] = &[
    spelling("as the API server writes it", Format::KubeAudit, |event| event.to_string()),
    spelling("a list of the webhook", Format::KubeAudit, |event| {
        json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event]}).to_string()
    }),
    spelling("without the annotations of the decision", Format::KubeAudit, |mut event| {
        if let Some(annotations) = event["annotations"].as_object_mut() {
            annotations.retain(|name, _| !name.starts_with("authorization."));
        }
        event.to_string()
    }),
    spelling("with the answer", Format::KubeAudit, |mut event| {
        event["level"] = "RequestResponse".into();
        event["responseObject"] = event["requestObject"].clone();
        event.to_string()
    }),
    spelling(
        "through a proxy, by another client, with fields of a later version",
        Format::KubeAudit,
        |mut event| {
            let addresses = event["sourceIPs"].as_array_mut().expect("addresses");
            addresses.insert(0, "2001:db8::7".into());
            event["userAgent"] = "curl/8.11.1".into();
            event["later"] = json!({"version": [1]});
            event.to_string()
        },
    ),
    spelling(
        "behind a byte order mark, with the line ends of Windows",
        Format::KubeAudit,
        |event| format!("\u{feff}{event}\r\n"),
    ),
    spelling("a line of a container runtime", Format::KubeAudit, |event| {
        format!("{TIME} stdout F {event}\n")
    }),
    spelling("Fluent Bit", Format::KubeAudit, |event| {
        json!({"log": format!("{event}\n"), "stream": "stdout", "time": TIME}).to_string()
    }),
    spelling("CloudWatch", Format::CloudWatch, |event| {
        json!({
            "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/aws/eks/prod/cluster",
            "logStream": "kube-apiserver-audit-1", "subscriptionFilters": ["audit"],
            "logEvents": [{"id": "1", "timestamp": 1_784_800_800_000_i64, "message": event.to_string()}],
        })
        .to_string()
    }),
    spelling("Event Hubs", Format::AksAudit, |event| {
        json!({"records": [{
            "category": "kube-audit", "time": TIME,
            "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
            "resourceId": "/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD",
            "properties": {"log": event.to_string(), "stream": "stdout", "pod": "kube-apiserver-1"},
        }]})
        .to_string()
    }),
    spelling("OTLP", Format::Otlp, |event| {
        json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": [
            {"timeUnixNano": "1784800800000000000", "body": {"stringValue": event.to_string()}},
        ]}]}]})
        .to_string()
    }),
];

/// A way to make an object, and what it makes of the event.
type Creation = (&'static str, fn(Value) -> Value);

/// The ways in which Kubernetes makes an object, as a change of the event that creates it.
pub(super) const CREATIONS: [Creation; 5] = [
    ("create", |event| event),
    ("create, by the answer alone", |mut event| {
        event["responseObject"] = event["requestObject"].take();
        event
    }),
    ("update of what was not there", |event| written(event, "update", 201)),
    ("apply of what was not there", |event| written(event, "patch", 201)),
    ("apply of what is there", |event| written(event, "patch", 200)),
];

fn written(mut event: Value, verb: &str, code: i64) -> Value {
    let made = if code == 201 { "2026-07-23T10:00:00Z" } else { "2026-07-20T08:00:00Z" };
    event["responseObject"] = event["requestObject"].clone();
    event["responseObject"]["metadata"] = json!({ "creationTimestamp": made });
    event["verb"] = verb.into();
    event["responseStatus"] = json!({ "code": code });
    event["userAgent"] = "argocd-application-controller/v3.1".into();
    event
}

/// What GKE sends of an event.
/// <https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging>
pub(super) fn by_gke(event: &Value) -> Value {
    let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = match text("/objectRef/apiGroup") {
        "" => ("core", "v1"),
        group => (group, "v1"),
    };
    let namespace = text("/objectRef/namespace");
    let namespaces = if namespace.is_empty() { "" } else { "namespaces" };
    let [resource, name, sub] =
        ["resource", "name", "subresource"].map(|part| text(&format!("/objectRef/{part}")));
    let parts = [group, version, namespaces, namespace, resource, name, sub];
    let path: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let rest = text("/requestURI").split_once("/proxy/").map(|(_, rest)| rest);
    let path = [path.join("/")].into_iter().chain(rest.map(str::to_owned)).collect::<Vec<_>>();
    let method: Vec<&str> = ["io.k8s", group, version, resource, sub, text("/verb")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    json!({
        "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Factivity", "insertId": "i",
        "timestamp": TIME, "labels": event["annotations"],
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "prod", "project_id": "acme"}},
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
            "methodName": method.join("."), "resourceName": path.join("/"),
            "authenticationInfo": {"principalEmail": event["user"]["username"]},
            "requestMetadata": {"callerIp": "10.0.0.7", "callerSuppliedUserAgent": "kubectl"},
            "authorizationInfo": [{"granted": true}],
            "request": event["requestObject"], "response": event["responseObject"],
        },
    })
}
