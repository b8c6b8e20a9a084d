//! Canaries in records of clouds: where requests, answers and messages would really hold them.

use std::io::Write as _;

use base64::Engine as _;
use serde_json::{Value, json};

use super::Canaries;
use crate::format::Format;

impl Canaries {
    /// One set of documents, whole, in envelopes, and with messages that were cut.
    pub(super) fn clouds(&mut self) {
        let trail = self.cloudtrail();
        self.documents.push((Format::CloudTrail, json!({ "Records": [trail] }).to_string()));
        let group = self.cloudwatch();
        self.documents.push((Format::CloudWatch, group.to_string()));
        self.documents.push((Format::CloudWatch, gzip_base64(&group)));
        let entry = self.gcp();
        let pushed = base64(entry.to_string().as_bytes());
        let pushed = json!({"message": {"data": pushed}, "subscription": "projects/p/s"});
        self.documents.push((Format::GcpAudit, entry.to_string()));
        self.documents.push((Format::GcpAudit, pushed.to_string()));
        let messages = self.messages();
        self.documents.push((Format::GcpAudit, messages.to_string()));
        let gke = self.gke();
        self.documents.push((Format::GkeAudit, gke.to_string()));
        let records = self.azure();
        self.documents.push((Format::AzureActivity, json!({ "records": records }).to_string()));
    }

    fn cloudtrail(&mut self) -> Value {
        json!({"eventVersion": "1.11", "eventSource": "rds.amazonaws.com", "eventName": "CreateDBInstance", "eventTime": "2026-07-23T10:00:00Z",
            "userAgent": format!("curl Authorization: Bearer {}", self.token()),
            "errorMessage": format!("invalid: password={}", self.secret()),
            "requestParameters": {"masterUserPassword": self.secret(), "secretString": self.secret(), "webIdentityToken": self.token(),
                "SAMLAssertion": self.secret(), "X-Amz-Signature": self.secret(),
                "url": format!("https://b.s3.amazonaws.com/k?X-Amz-Signature={}", self.secret()),
                "environment": {"variables": {"DB_PASSWORD": self.secret()}},
                "containerDefinitions": [{"environment": [{"name": "API_TOKEN", "value": self.secret()}]}]},
            "responseElements": {"credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "sessionToken": self.secret(), "secretAccessKey": self.secret()},
                "accessKey": {"secretAccessKey": self.secret()}},
            "additionalEventData": {"note": format!("postgres://u:{}@db/x", self.secret())}})
    }

    fn cloudwatch(&mut self) -> Value {
        let secret = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a", "verb": "create", "stage": "ResponseComplete",
            "objectRef": {"resource": "secrets"}, "requestObject": {"kind": "Secret", "data": {"a": self.base64()}, "stringData": {"b": self.secret()}}});
        let whole = secret.to_string();
        let cut = format!("{}[Truncated...]", whole.split_at(whole.len() - 20).0);
        let trail = self.cloudtrail();
        let events: Vec<Value> = [
            whole,
            cut,
            trail.to_string(),
            format!("I0723 10:00:00 server.go:1] started with --token={}", self.secret()),
            format!("{{\"level\": \"info\", \"password\": \"{}\", \"cut", self.secret()),
        ]
        .iter()
        .map(|message| json!({"id": "1", "timestamp": 1_784_800_800_131_i64, "message": message}))
        .collect();
        json!({"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "/aws/eks/prod/cluster", "logStream": "kube-apiserver-audit-0", "logEvents": events})
    }

    fn gcp(&mut self) -> Value {
        json!({"logName": "projects/p/logs/l", "insertId": "1", "timestamp": "2026-07-23T10:00:00Z", "labels": {"session_token": self.secret()},
            "protoPayload": {"serviceName": "sqladmin.googleapis.com", "methodName": "cloudsql.users.create",
                "requestMetadata": {"callerSuppliedUserAgent": format!("x password={}", self.secret())},
                "status": {"code": 3, "message": format!("bad token={}", self.secret())},
                "request": {"password": self.secret(), "instance": {"metadata": {"items": [{"key": "db-password", "value": self.secret()}]}}},
                "response": {"accessToken": self.secret(), "signedJwt": self.token(), "privateKeyData": self.base64()},
                "metadata": {"apiKey": self.secret()}}})
    }

    fn messages(&mut self) -> Value {
        let name = "projects/p/logs/l";
        json!([{"logName": name, "insertId": "1", "textPayload": format!("login password={}", self.secret())},
            {"logName": name, "insertId": "2", "jsonPayload": {"client_secret": self.secret(), "url": format!("https://u:{}@h/", self.secret())}}])
    }

    fn gke(&mut self) -> Value {
        json!({"logName": "projects/p/logs/l", "insertId": "1", "protoPayload": {"serviceName": "k8s.io", "methodName": "io.k8s.core.v1.secrets.create",
            "resourceName": "core/v1/namespaces/a/secrets/b", "request": {"data": {"a": self.base64()}, "stringData": {"b": self.secret()}},
            "response": {"kind": "Secret", "data": {"a": self.base64()}}}})
    }

    fn azure(&mut self) -> Vec<Value> {
        let body = json!({"properties": {"administratorLoginPassword": self.secret(), "primaryKey": self.secret()}});
        let answer = json!({"keys": [{"keyName": "key1", "value": self.secret()}]});
        let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a", "verb": "create",
            "objectRef": {"resource": "secrets"}, "requestObject": {"stringData": {"b": self.secret()}}})
        .to_string();
        let cut = event.split_at(event.len() - 9).0.to_owned();
        let operation = "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read";
        vec![
            json!({"operationName": "Microsoft.Sql/servers/write", "resourceId": "/", "correlationId": "1",
                "uri": format!("https://a.blob.core.windows.net/c?sv=1&sig={}", self.secret()),
                "properties": {"requestbody": body.to_string(), "responseBody": answer.to_string(), "statusMessage": format!("password={}", self.secret())}}),
            json!({"operationName": operation, "category": "kube-audit", "properties": {"log": event}}),
            json!({"operationName": operation, "category": "kube-audit", "properties": {"log": cut}}),
            json!({"operationName": operation, "category": "kube-apiserver", "properties": {"log": format!("--token={}", self.secret())}}),
            json!({"category": "SignInLogs", "properties": {"appId": "a", "status": {"errorCode": 1, "failureReason": format!("password={}", self.secret())}}}),
            json!({"category": "AuditLogs", "properties": {"activityDisplayName": "a", "additionalDetails": [{"key": "ClientSecret", "value": self.secret()}],
                "targetResources": [{"modifiedProperties": [{"displayName": "x", "newValue": json!([{"SecretText": self.secret()}]).to_string()}]}]}}),
            json!({"nothing": "known", "password": self.secret()}),
        ]
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// As a Lambda or Kinesis has it.
fn gzip_base64(value: &Value) -> String {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(value.to_string().as_bytes()).unwrap();
    base64(&gzip.finish().unwrap())
}
