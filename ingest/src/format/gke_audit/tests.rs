use arrow::array::Array as _;
use durward_schemas::table::Row as _;
use serde_json::json;

use super::super::{Format, read as read_all};
use super::*;
use crate::lab::with_context;

fn access(payload: &Value) -> Access {
    let mut payload = payload.clone();
    payload["serviceName"] = "k8s.io".into();
    let entry = json!({"logName": "projects/acme/logs/x", "timestamp": "2026-07-23T10:00:00Z", "protoPayload": payload});
    let reading =
        with_context(|context| read_all(Format::GkeAudit, entry.to_string().as_bytes(), context));
    assert_eq!(reading.rejects, [], "{entry}");
    reading.accesses.into_iter().next().unwrap()
}

/// What GKE does not send of a request that any other door tells in full.
const NOT_SENT: &[&str] = &[
    "stage",
    "level",
    "identity_uid",
    "groups",
    "extra",
    "credential_id",
    "credential_kind",
    "pod",
    "pod_uid",
    "node",
    "node_uid",
    "impersonated_identity",
    "impersonated_groups",
    "forwarded_for",
    "request_uri",
    "status_code",
    "status_reason",
    "duration_us",
];

/// Scenario: one request as the webhook tells it and as GKE does.
/// Guarantees: the same row but for what GKE does not send, which is null, and for what is its own.
#[test]
fn gke_sends_less() {
    let user = "system:serviceaccount:web:frontend";
    let annotations = json!({"authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"ops/web\" of Role \"exec\" to ServiceAccount \"frontend/web\""});
    let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "a-1", "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/web/pods/p/exec", "verb": "create", "userAgent": "kubectl", "sourceIPs": ["10.0.0.9", "203.0.113.7"],
        "user": {"username": user, "uid": "u", "groups": ["g"], "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"],
            "authentication.kubernetes.io/pod-name": ["p"], "authentication.kubernetes.io/pod-uid": ["u"],
            "authentication.kubernetes.io/node-name": ["n"], "authentication.kubernetes.io/node-uid": ["u"]}},
        "impersonatedUser": {"username": "alice", "groups": ["g"]},
        "objectRef": {"resource": "pods", "namespace": "web", "name": "p", "apiGroup": "", "apiVersion": "v1", "subresource": "exec"},
        "responseStatus": {"code": 101, "reason": "x"}, "requestObject": {"a": 1}, "responseObject": {"b": 1}, "annotations": annotations,
        "requestReceivedTimestamp": "2026-07-23T10:00:00Z", "stageTimestamp": "2026-07-23T10:00:01Z"});
    let entry = json!({"logName": "projects/acme/logs/x", "insertId": "i", "operation": {"id": "a-1"}, "labels": annotations,
        "timestamp": "2026-07-23T10:00:00Z", "receiveTimestamp": "2026-07-23T10:00:02Z",
        "protoPayload": {"serviceName": "k8s.io", "methodName": "io.k8s.core.v1.pods.exec.create", "resourceName": "core/v1/namespaces/web/pods/p/exec",
            "authenticationInfo": {"principalEmail": user}, "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "kubectl"},
            "request": {"a": 1}, "response": {"b": 1}, "authorizationInfo": [{"granted": true}]}});
    let row = |format: Format, input: &Value| {
        with_context(|context| read_all(format, input.to_string().as_bytes(), context))
            .accesses
            .remove(0)
    };
    let batch = Access::to_batch(&[row(Format::KubeAudit, &event), row(Format::GkeAudit, &entry)]);
    for column in Access::TABLE.columns {
        let values = batch.column_by_name(column.name).unwrap();
        let (sent, by_gke) = (values.slice(0, 1), values.slice(1, 1));
        if NOT_SENT.contains(&column.name) {
            assert_eq!((sent.null_count(), by_gke.null_count()), (0, 1), "{}", column.name);
        } else if !["event_id", "request_key", "observed_time", "unmapped", "format"]
            .contains(&column.name)
        {
            assert_eq!(&sent, &by_gke, "{}", column.name);
        }
    }
}

/// Scenario: names of resources with and without namespace, name and subresource, and none at all.
/// Guarantees: the object is the one that the event of the API server would name.
#[test]
fn objects_are_read_from_names() {
    let check = |path: &str, method: &str, expect: [Option<&str>; 5]| {
        let row = access(&json!({"methodName": method, "resourceName": path}));
        let found = [
            row.api_group.as_deref(),
            row.resource.as_deref(),
            row.object_namespace.as_deref(),
            row.object_name.as_deref(),
            row.subresource.as_deref(),
        ];
        assert_eq!(found, expect, "{path}");
    };
    let rbac = Some("rbac.authorization.k8s.io");
    let x = "io.k8s.core.v1.x.get";
    check("core/v1/nodes", x, [Some(""), Some("nodes"), None, None, None]);
    check("core/v1/nodes/n1", x, [Some(""), Some("nodes"), None, Some("n1"), None]);
    check(
        "core/v1/nodes/n1/proxy/logs",
        x,
        [Some(""), Some("nodes"), None, Some("n1"), Some("proxy")],
    );
    check("core/v1/namespaces", x, [Some(""), Some("namespaces"), None, None, None]);
    check("core/v1/namespaces/a", x, [Some(""), Some("namespaces"), Some("a"), Some("a"), None]);
    check(
        "core/v1/namespaces/a/finalize",
        x,
        [Some(""), Some("namespaces"), Some("a"), Some("a"), Some("finalize")],
    );
    check("core/v1/namespaces/a/pods", x, [Some(""), Some("pods"), Some("a"), None, None]);
    check(
        "core/v1/namespaces/a/pods/p/exec",
        x,
        [Some(""), Some("pods"), Some("a"), Some("p"), Some("exec")],
    );
    check(
        "rbac.authorization.k8s.io/v1/clusterroles/system:controller",
        x,
        [rbac, Some("clusterroles"), None, Some("system:controller"), None],
    );
    check(
        "",
        "io.k8s.core.v1.pods.exec.create",
        [Some(""), Some("pods"), None, None, Some("exec")],
    );
    check(
        "",
        "io.k8s.apps.v1.deployments.list",
        [Some("apps"), Some("deployments"), None, None, None],
    );
    check("/readyz", "io.k8s.readyz", [None; 5]);
}

/// Scenario: paths that are no resources, and methods that end in no verb.
/// Guarantees: the path is the request's, no verb is made up, and the method is kept.
#[test]
fn verbs_are_not_made_up() {
    let row = access(&json!({"methodName": "io.k8s.readyz", "resourceName": "/readyz"}));
    assert_eq!((row.verb, row.request_uri.as_deref()), (None, Some("/readyz")));
    assert!(row.unmapped.unwrap().as_str().contains("io.k8s.readyz"));
    let row = access(&json!({"methodName": "io.k8s.core.v1.pods.deletecollection"}));
    assert_eq!(row.verb.as_deref(), Some("deletecollection"));
}

/// Scenario: decisions by annotation, by status and by the permissions that were granted.
/// Guarantees: each is what was decided, and success gets no HTTP status that nobody sent.
#[test]
fn decisions_are_read() {
    let check = |more: Value, decision: Decision, status: Option<i64>| {
        let mut payload = json!({"methodName": "io.k8s.core.v1.pods.get"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let row = access(&payload);
        assert_eq!((row.decision, row.status_code), (decision, status), "{more}");
        assert_eq!(row.outcome == Outcome::Failure, status.is_some(), "{more}");
    };
    check(json!({"status": {"code": 7}}), Decision::Deny, Some(403));
    check(json!({"status": {"code": 16}}), Decision::Deny, Some(401));
    let granted = json!([{"granted": true}]);
    check(json!({"status": {"code": 5}, "authorizationInfo": granted}), Decision::Allow, Some(404));
    check(json!({"status": {}, "authorizationInfo": granted}), Decision::Allow, None);
    check(json!({}), Decision::Unknown, None);
}

/// Scenario: a body nested deeper than is read, by a client who wants to hide a request.
/// Guarantees: the request is a row; only the body is left out.
#[test]
fn deep_bodies_hide_nothing() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let entry = r#"{"protoPayload":{"serviceName":"k8s.io","methodName":"io.k8s.core.v1.pods.create","request":DEEP}}"#;
    let entry = entry.replace("DEEP", &deep);
    let row = with_context(|context| read(entry.as_bytes(), context)).unwrap();
    assert!(row.request_object.unwrap().as_str().contains("unreadable"));
}

/// Scenario: methods that are a verb alone, of paths that look like names of resources and do not.
/// Guarantees: the path, and no object.
#[test]
fn paths_are_no_objects() {
    for (path, expect) in [
        ("readyz", "/readyz"),
        ("api/v1", "/api/v1"),
        ("openapi/v3/apis/apps", "/openapi/v3/apis/apps"),
        ("/healthz", "/healthz"),
    ] {
        let row = access(&json!({"methodName": "io.k8s.get", "resourceName": path}));
        assert_eq!(row.request_uri.as_deref(), Some(expect));
        assert_eq!((row.verb.as_deref(), row.api_group, row.resource), (Some("get"), None, None));
    }
}

/// Scenario: a status that BigQuery has made a text, and labels whose names it has changed.
/// Guarantees: it is the same refusal, and the same decision.
#[test]
fn statuses_may_be_texts() {
    let row = access(
        &json!({"methodName": "io.k8s.core.v1.pods.get", "resourceName": "core/v1/namespaces/a/pods/b",
        "status": {"code": "7"}, "authorizationInfo": [{"granted": "true"}]}),
    );
    assert_eq!(
        (row.decision, row.status_code, row.outcome),
        (Decision::Deny, Some(403), Outcome::Failure)
    );
    let entry = json!({"logName": "projects/acme/logs/x", "timestamp": "2026-07-23 10:00:00 UTC",
        "labels": {"authorization_k8s_io_decision": "forbid", "authorization_k8s_io_reason": "no"},
        "protopayload_auditlog": {"serviceName": "k8s.io", "methodName": "io.k8s.core.v1.pods.get"}});
    let read =
        with_context(|context| read_all(Format::GkeAudit, entry.to_string().as_bytes(), context));
    assert_eq!(read.accesses[0].decision, Decision::Deny);
    assert_eq!(read.accesses[0].decision_reason.as_deref(), Some("no"));
    assert_eq!(read.accesses[0].time.to_string(), "2026-07-23T10:00:00.000000Z");
}

/// Scenario: who acts as somebody else, as nobody, as itself; a person of an identity pool; a ServiceAccount
/// told of by its pool.
/// Guarantees: who acts and as whom, as the reader of all other entries of Google Cloud tells the former;
/// the id is that of the entry as it was read before either was known.
#[test]
fn who_acts_and_as_whom() {
    let subject =
        "principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/frank";
    let proxy = "system:serviceaccount:portal:proxy";
    let pool = "serviceAccount:acme.svc.id.goog[web/frontend]";
    for (info, identity, acting_as) in [
        (
            json!({"principalEmail": proxy, "authoritySelector": "erin@example.com"}),
            Some(proxy),
            Some("erin@example.com"),
        ),
        (json!({"principalEmail": proxy, "authoritySelector": proxy}), Some(proxy), None),
        (json!({"principalSubject": subject}), Some(subject), None),
        (
            json!({"principalSubject": subject, "authoritySelector": "system:kube-controller-manager"}),
            Some(subject),
            Some("system:kube-controller-manager"),
        ),
        (json!({"authoritySelector": "system:anonymous"}), Some("system:anonymous"), None),
        (json!({"principalEmail": "acme.svc.id.goog", "principalSubject": pool}), Some(pool), None),
        (
            json!({"principalEmail": "principal://goog/subject/eve@example.com"}),
            Some("eve@example.com"),
            None,
        ),
    ] {
        let row = access(
            &json!({"methodName": "io.k8s.core.v1.pods.list", "resourceName": "core/v1/pods", "authenticationInfo": info}),
        );
        assert_eq!(
            (row.identity.as_deref(), row.impersonated_identity.as_deref()),
            (identity, acting_as),
            "{info}"
        );
        let of_cloud = google::principal(&Fields::new(info.as_object().cloned().unwrap()));
        assert!(of_cloud.is_none() || of_cloud == row.identity, "{info}");
    }
}

/// Scenario: answers that tell of a failure without a code, with one, and of what ended well.
/// Guarantees: a failure is none of what ended well, whichever field tells it.
#[test]
fn failures_without_a_code_are_failures() {
    let check = |fields: Value, expect: Outcome| {
        let mut payload = json!({"methodName": "io.k8s.core.v1.pods.create", "resourceName": "core/v1/namespaces/web/pods"});
        payload.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
        assert_eq!(access(&payload).outcome, expect, "{payload}");
    };
    let body = |status: &str| json!({"@type": "core.k8s.io/v1.Status", "status": status});
    check(json!({"response": body("Failure")}), Outcome::Failure);
    check(
        json!({"response": {"kind": "Status", "status": "Failure", "code": 409}}),
        Outcome::Failure,
    );
    check(json!({"status": "Failure"}), Outcome::Failure);
    check(json!({"status": {"status": "Failure"}}), Outcome::Failure);
    check(json!({"status": {"message": "already exists"}}), Outcome::Failure);
    check(json!({"status": {"code": 6}}), Outcome::Failure);
    check(json!({"response": body("Success"), "status": {}}), Outcome::Success);
    check(json!({"status": {"message": "OK"}}), Outcome::Success);
    check(json!({"response": {"kind": "Pod", "status": "Failure"}}), Outcome::Success);
    check(json!({}), Outcome::Success);
}

/// Scenario: labels that say that a request was only tried, and that its bodies were cut.
/// Guarantees: both are known as they are of the API server's own events.
#[test]
fn labels_tell_of_rehearsals_and_cuts() {
    let read = |labels: serde_json::Value| {
        let entry = json!({"logName": "projects/acme/logs/x", "timestamp": "2026-07-23T10:00:00Z", "labels": labels,
            "protoPayload": {"serviceName": "k8s.io", "methodName": "io.k8s.core.v1.pods.create", "resourceName": "core/v1/namespaces/a/pods/b"}});
        let text = entry.to_string();
        let row = with_context(|context| read_all(Format::GkeAudit, text.as_bytes(), context))
            .accesses
            .remove(0);
        (row.dry_run, row.truncated)
    };
    assert_eq!(read(json!({"command.gke.io/dryRun": "true"})), (Some(true), false));
    assert_eq!(read(json!({"audit.k8s.io/truncated": "true"})), (Some(false), true));
    assert_eq!(read(json!({})), (Some(false), false));
}
