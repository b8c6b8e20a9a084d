//! One event by every door: its id is that of its content (DESIGN decision 9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use serde_json::{Value, json};

use super::super::{Format, read};
use crate::lab::with_context;

const TIME: &str = "2026-07-23T10:00:00.123456789Z";

/// A map or a list of OTLP as the Collector's JSON parser makes it: every number is a double, and the order of the
/// fields is another one.
fn any(value: &Value) -> AnyValue {
    use any_value::Value as Any;
    let value = match value {
        Value::Null => None,
        Value::Bool(bool) => Some(Any::BoolValue(*bool)),
        Value::Number(number) => number.as_f64().map(Any::DoubleValue),
        Value::String(text) => Some(Any::StringValue(text.clone())),
        Value::Array(items) => {
            Some(Any::ArrayValue(ArrayValue { values: items.iter().map(any).collect() }))
        }
        Value::Object(fields) => {
            let pair = |(key, value): (&String, &Value)| KeyValue {
                key: key.clone(),
                value: Some(any(value)),
                ..KeyValue::default()
            };
            let values = fields.iter().rev().map(pair).collect();
            Some(Any::KvlistValue(KeyValueList { values }))
        }
    };
    AnyValue { value }
}

/// An export of one log record: protobuf, as gRPC and HTTP carry it, and JSON.
fn exported(body: &AnyValue) -> [Vec<u8>; 2] {
    let record = LogRecord {
        time_unix_nano: 1_784_800_800_000_000_000,
        body: Some(body.clone()),
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    let request = ExportLogsServiceRequest { resource_logs: vec![resource] };
    [request.encode_to_vec(), serde_json::to_vec(&request).expect("JSON")]
}

/// The doors that carry a record of any sort whole.
fn by_any(record: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let text = record.to_string();
    let [proto, json_text] = exported(&any(&Value::String(text.clone())));
    let [proto_map, json_map] = exported(&any(record));
    vec![
        ("a line of a file", format!("{text}\n").into_bytes()),
        ("behind a byte order mark", format!("\u{feff}{text}\r\n").into_bytes()),
        ("printed over many lines", serde_json::to_vec_pretty(record).expect("JSON")),
        ("OTLP protobuf, text", proto),
        ("OTLP JSON, text", json_text),
        ("OTLP protobuf, map", proto_map),
        ("OTLP JSON, map", json_map),
    ]
}

fn by_api_server(event: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let text = event.to_string();
    let line = json!({"log": format!("{text}\n"), "stream": "stdout", "time": TIME});
    let watch = json!({
        "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "/aws/eks/prod/cluster",
        "logStream": "kube-apiserver-audit-1", "subscriptionFilters": ["audit"],
        "logEvents": [{"id": "1", "timestamp": 1_784_800_800_000_i64, "message": text}],
    });
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": [event]});
    let hub = json!({"records": [{
        "category": "kube-audit", "time": TIME, "resourceId": "/SUBSCRIPTIONS/S/X/MANAGEDCLUSTERS/PROD",
        "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "properties": {"log": text, "stream": "stdout", "pod": "kube-apiserver-1"},
    }]});
    let (first, second) = text.split_at(50);
    vec![
        ("a list of the webhook", list.to_string().into_bytes()),
        ("a container runtime", format!("{TIME} stdout F {text}\n").into_bytes()),
        (
            "a container runtime, in pieces",
            format!("{TIME} stdout P {first}\n{TIME} stdout F {second}\n").into_bytes(),
        ),
        ("Docker, Fluent Bit", line.to_string().into_bytes()),
        ("EKS: CloudWatch", watch.to_string().into_bytes()),
        ("AKS: Event Hubs", hub.to_string().into_bytes()),
    ]
}

fn by_google(entry: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let data = STANDARD.encode(entry.to_string());
    let pushed = json!({"message": {"data": data, "messageId": "7"}, "subscription": "projects/a/subscriptions/s"});
    vec![
        ("a list", json!([entry]).to_string().into_bytes()),
        ("Pub/Sub", pushed.to_string().into_bytes()),
    ]
}

fn by_amazon(event: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let bridge = json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "source": "aws.eks", "detail": event});
    let watch = json!({
        "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "trail", "logStream": "s",
        "subscriptionFilters": ["f"],
        "logEvents": [{"id": "1", "timestamp": 1_784_800_800_000_i64, "message": event.to_string()}],
    });
    vec![
        ("a file of S3", json!({"Records": [event]}).to_string().into_bytes()),
        ("EventBridge", bridge.to_string().into_bytes()),
        ("CloudWatch", watch.to_string().into_bytes()),
    ]
}

/// Every door has the record under one id.
fn check(name: &str, doors: &[(&'static str, Vec<u8>)]) {
    let id = |door: &str, bytes: &[u8]| {
        let format = Format::detect(bytes).expect(door);
        let reading = with_context(|context| read(format, bytes, context));
        assert_eq!(reading.accesses.len(), 1, "{name} by {door}: {:?}", reading.rejects);
        reading.accesses.first().map(|access| access.event_id.clone())
    };
    let ids: Vec<_> = doors.iter().map(|(door, bytes)| (*door, id(door, bytes))).collect();
    let others = ids.iter().filter(|(_, id)| *id != ids[0].1);
    assert_eq!(others.collect::<Vec<_>>(), Vec::<&(&str, _)>::new(), "{name}: {:?}", ids[0]);
}

fn event(rest: &Value) -> Value {
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "stage": "ResponseComplete",
        "auditID": "a-1", "requestURI": "/api/v1/namespaces/web/serviceaccounts/cart/token", "verb": "create",
        "user": {"username": "system:serviceaccount:web:cart", "uid": "u", "groups": ["g"],
            "extra": {"authentication.kubernetes.io/credential-id": ["JTI=1"]}},
        "sourceIPs": ["10.0.0.9"], "userAgent": "kubectl/v1.34",
        "objectRef": {"resource": "serviceaccounts", "subresource": "token", "namespace": "web", "name": "cart", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestReceivedTimestamp": TIME, "stageTimestamp": TIME,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    });
    for (key, value) in rest.as_object().expect("an object") {
        event[key] = value.clone();
    }
    event
}

/// Scenario: events of an API server with numbers, empty parts, nulls, texts of every script, secrets and bodies that
/// are lists; an entry of GKE; a call of CloudTrail; each by every door that carries it whole.
/// Guarantees: an event has one `event_id`, whichever door it came by.
#[test]
fn an_event_keeps_its_id_by_every_door() {
    let bodies = [
        json!({}),
        // A number of more digits is rounded where JSON has it with a fraction, as the Collector's maps do.
        json!({"requestObject": {"spec": {"expirationSeconds": 3607, "ratio": 0.5, "big": 900_719_925_474_099_i64, "minus": -1.0e-7, "zero": -0.0}}}),
        json!({"requestObject": [{"op": "add", "path": "/a~1b", "value": [1, 2.0, {}, [], ""]}]}),
        json!({"requestObject": {"data": {"password": "hunter2-hunter2"}, "token": "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIn0.c2ln"}}),
        json!({"userAgent": "\u{1f600} \u{202e}\u{e9}\u{65}\u{301} \"\\\u{7f}\t", "requestObject": {"\u{e9}": "\u{65}\u{301}", "A": 1, "a": 2}}),
        json!({"requestObject": {"emptyDir": {}, "list": [], "text": "", "yes": true}}),
    ];
    for rest in &bodies {
        let event = event(rest);
        check(&rest.to_string(), &[by_any(&event), by_api_server(&event)].concat());
    }
    let entry = json!({
        "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Factivity", "insertId": "i", "timestamp": TIME,
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "prod"}},
        "labels": {"authorization.k8s.io/decision": "allow"},
        "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
            "methodName": "io.k8s.core.v1.pods.create", "resourceName": "core/v1/namespaces/web/pods/p",
            "authenticationInfo": {"principalEmail": "alice@example.com"}, "requestMetadata": {"callerIp": "203.0.113.7"},
            "authorizationInfo": [{"granted": true}], "request": {"spec": {"priority": 0, "ratio": 1.5}}},
    });
    check("GKE", &[by_any(&entry), by_google(&entry)].concat());
    let call = json!({
        "eventVersion": "1.11", "eventTime": "2026-07-23T10:00:10Z", "eventSource": "eks.amazonaws.com",
        "eventName": "CreateAccessEntry", "awsRegion": "us-east-1", "sourceIPAddress": "203.0.113.7",
        "eventType": "AwsApiCall", "eventID": "e-1", "requestID": "r-1", "recipientAccountId": "123456789012",
        "requestParameters": {"name": "prod", "count": 3},
        "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/a/s", "accountId": "123456789012"},
    });
    check("CloudTrail", &[by_any(&call), by_amazon(&call)].concat());
}
