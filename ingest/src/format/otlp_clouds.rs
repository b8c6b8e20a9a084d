//! Audit records of clouds in log records of OTLP: as the text of the body, or taken apart into
//! attributes as the encodings of the OpenTelemetry Collector do, put together again and read by the
//! same readers.
//!
//! <https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/extension/encoding/awslogsencodingextension>,
//! <https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/extension/encoding/googlecloudlogentryencodingextension>.

use durward_schemas::Time;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Map, Value};

use super::fields::Raw;
use super::otlp::{Origin, value};
use super::{Context, Format, Reading, envelope};

/// An attribute, and where its value stands in the record.
type Place = (&'static str, &'static [&'static str]);

const USER: &str = "userIdentity";
const SESSION: &str = "sessionContext";
const ISSUER: &str = "sessionIssuer";
const PAYLOAD: &str = "protoPayload";
const IDENTITY: &str = "identity";
const CLAIMS: &str = "claims";
const AUTHORIZATION: &str = "authorization";
const EVIDENCE: &str = "evidence";

/// The attributes of an event of CloudTrail.
const CLOUDTRAIL: &[Place] = &[
    ("aws.cloudtrail.event_version", &["eventVersion"]),
    ("aws.cloudtrail.event_id", &["eventID"]),
    ("rpc.method", &["eventName"]),
    ("rpc.service", &["eventSource"]),
    ("rpc.system", &["eventType"]),
    ("aws.request_id", &["requestID"]),
    ("aws.error.code", &["errorCode"]),
    ("aws.error.message", &["errorMessage"]),
    ("aws.event.read_only", &["readOnly"]),
    ("aws.event.management", &["managementEvent"]),
    ("aws.event.category", &["eventCategory"]),
    ("aws.request.parameters", &["requestParameters"]),
    ("aws.response.elements", &["responseElements"]),
    ("aws.resources", &["resources"]),
    ("aws.shared_event_id", &["sharedEventID"]),
    ("source.address", &["sourceIPAddress"]),
    ("user_agent.original", &["userAgent"]),
    ("user.name", &[USER, "userName"]),
    ("aws.access_key.id", &[USER, "accessKeyId"]),
    ("aws.user_identity.access_key.id", &[USER, "accessKeyId"]),
    ("aws.principal.id", &[USER, "principalId"]),
    ("aws.principal.arn", &[USER, "arn"]),
    ("aws.principal.type", &[USER, "type"]),
    ("aws.user_identity.account_id", &[USER, "accountId"]),
    ("aws.user_identity.invoked_by", &[USER, "invokedBy"]),
    ("aws.user_identity.identity_provider", &[USER, "identityProvider"]),
    ("aws.user_identity.session_context.issuer.arn", &[USER, SESSION, ISSUER, "arn"]),
    ("aws.user_identity.session_context.issuer.type", &[USER, SESSION, ISSUER, "type"]),
    (
        "aws.user_identity.session_context.issuer.principal_id",
        &[USER, SESSION, ISSUER, "principalId"],
    ),
    ("aws.user_identity.session_context.issuer.account_id", &[USER, SESSION, ISSUER, "accountId"]),
    ("aws.user_identity.session_context.issuer.user_name", &[USER, SESSION, ISSUER, "userName"]),
    (
        "aws.user_identity.session_context.attributes.creation_date",
        &[USER, SESSION, "attributes", "creationDate"],
    ),
    (
        "aws.user_identity.session_context.attributes.mfa_authenticated",
        &[USER, SESSION, "attributes", "mfaAuthenticated"],
    ),
    ("cloud.region", &["awsRegion"]),
    ("cloud.account.id", &["recipientAccountId"]),
];

/// The attributes of an entry of Cloud Audit Logs.
const GCP: &[Place] = &[
    ("log.record.uid", &["insertId"]),
    ("gcp.audit.service.name", &[PAYLOAD, "serviceName"]),
    ("gcp.audit.method.name", &[PAYLOAD, "methodName"]),
    ("gcp.audit.resource.name", &[PAYLOAD, "resourceName"]),
    ("gcp.audit.authorization", &[PAYLOAD, "authorizationInfo"]),
    ("gcp.audit.request", &[PAYLOAD, "request"]),
    ("gcp.audit.response", &[PAYLOAD, "response"]),
    ("gcp.audit.metadata", &[PAYLOAD, "metadata"]),
    ("rpc.jsonrpc.error_code", &[PAYLOAD, "status", "code"]),
    ("rpc.jsonrpc.error_message", &[PAYLOAD, "status", "message"]),
    ("user.email", &[PAYLOAD, "authenticationInfo", "principalEmail"]),
    ("user.id", &[PAYLOAD, "authenticationInfo", "principalSubject"]),
    (
        "gcp.audit.authentication.authority_selector",
        &[PAYLOAD, "authenticationInfo", "authoritySelector"],
    ),
    (
        "gcp.audit.policy_violation.info",
        &[PAYLOAD, "policyViolationInfo", "orgPolicyViolationInfo", "violationInfo"],
    ),
    (
        "gcp.audit.authentication.service_account.key.name",
        &[PAYLOAD, "authenticationInfo", "serviceAccountKeyName"],
    ),
    ("client.address", &[PAYLOAD, "requestMetadata", "callerIp"]),
    ("user_agent.original", &[PAYLOAD, "requestMetadata", "callerSuppliedUserAgent"]),
    ("gcp.operation.id", &["operation", "id"]),
    ("gcp.operation.producer", &["operation", "producer"]),
    ("gcp.operation.first", &["operation", "first"]),
    ("gcp.operation.last", &["operation", "last"]),
    ("gcp.resource_type", &["resource", "type"]),
    ("gcp.project", &["resource", "labels", "project_id"]),
];

/// The attributes of a record of Azure, and what the Collector calls its fields in a map in the body.
/// <https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/pkg/translator/azurelogs>,
/// <https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/extension/encoding/azureencodingextension>
const AZURE: &[Place] = &[
    ("azure.category", &["category"]),
    ("azure.operation.name", &["operationName"]),
    ("azure.result.type", &["resultType"]),
    ("azure.result.signature", &["resultSignature"]),
    ("azure.result.description", &["resultDescription"]),
    ("azure.correlation.id", &["correlationId"]),
    ("azure.correlation_id", &["correlationId"]),
    ("azure.duration", &["durationMs"]),
    ("azure.identity", &[IDENTITY]),
    ("azure.identity.application.id", &[IDENTITY, CLAIMS, "appid"]),
    ("azure.identity.identifier.object", &[IDENTITY, CLAIMS, "oid"]),
    ("azure.identity.type", &[IDENTITY, CLAIMS, "idtyp"]),
    ("user.email", &[IDENTITY, CLAIMS, "email"]),
    ("azure.identity.authorization.scope", &[IDENTITY, AUTHORIZATION, "scope"]),
    ("azure.identity.authorization.action", &[IDENTITY, AUTHORIZATION, "action"]),
    ("azure.identity.authorization.evidence.role", &[IDENTITY, AUTHORIZATION, EVIDENCE, "role"]),
    (
        "azure.identity.authorization.evidence.role.assignment.id",
        &[IDENTITY, AUTHORIZATION, EVIDENCE, "roleAssignmentId"],
    ),
    (
        "azure.identity.authorization.evidence.role.assignment.scope",
        &[IDENTITY, AUTHORIZATION, EVIDENCE, "roleAssignmentScope"],
    ),
    (
        "azure.identity.authorization.evidence.role.definition.id",
        &[IDENTITY, AUTHORIZATION, EVIDENCE, "roleDefinitionId"],
    ),
    (
        "azure.identity.authorization.evidence.principal.id",
        &[IDENTITY, AUTHORIZATION, EVIDENCE, "principalId"],
    ),
    (
        "azure.identity.authorization.evidence.principal.type",
        &[IDENTITY, AUTHORIZATION, EVIDENCE, "principalType"],
    ),
    ("azure.administrative.status_message", &["properties", "statusMessage"]),
    ("azure.administrative.status_message.text", &["properties", "statusMessage"]),
    ("azure.pim.caller.upn", &[IDENTITY, CLAIMS, "UPN"]),
    ("azure.pim.caller.object_id", &[IDENTITY, CLAIMS, "ObjectID"]),
    ("azure.operation.duration", &["durationMs"]),
    ("azure.operation.version", &["operationVersion"]),
    ("azure.properties", &["properties"]),
    ("azure.tenant.id", &["tenantId"]),
    ("azure.resource.id", &["resourceId"]),
    ("cloud.resource_id", &["resourceId"]),
    ("cloud.region", &["location"]),
    ("net.sock.peer.addr", &["callerIpAddress"]),
    ("network.peer.address", &["callerIpAddress"]),
    ("operation.name", &["operationName"]),
    ("result.type", &["resultType"]),
    ("result.signature", &["resultSignature"]),
    ("result.description", &["resultDescription"]),
    ("correlation.id", &["correlationId"]),
    ("duration", &["durationMs"]),
    ("tenant.id", &["tenantId"]),
];

/// Labels, of the entry or of its resource.
const LABEL: &str = "gcp.label.";

/// What clouds call the keys that tell their records from what others log.
const MARKS: &[&str] =
    &["amazonaws.com", "\"protoPayload\"", "\"logEvents\"", "SignInLogs\"", "\"resourceId\""];

/// Records in the text of a body; none if it is a text like any other.
pub(super) fn in_text(text: &[u8], context: &Context<'_>) -> Option<Reading> {
    let speaks = |mark: &&str| memchr::memmem::find(text, mark.as_bytes()).is_some();
    if !text.starts_with(b"{") || !MARKS.iter().any(speaks) {
        return None;
    }
    let raw: Raw<'_> = serde_json::from_slice(text).ok()?;
    let has = |key: &str| raw.contains_key(key);
    // What comes in lists is read for what each record is.
    let format = if has("logEvents") {
        Format::CloudWatch
    } else if has("records") {
        Format::AzureActivity
    } else if has("Records") {
        Format::CloudTrail
    } else {
        let in_envelope = || Format::detect(text).filter(|format| format.is_cloud());
        envelope::sort(&raw).or_else(in_envelope)?
    };
    read(format, text, context)
}

/// A record that was taken apart into a map or attributes; none if these are a log record's like any
/// other.
pub(super) fn in_attributes(
    record: &LogRecord,
    origin: &Origin,
    context: &Context<'_>,
) -> Option<Reading> {
    let body = value(record.body.as_ref());
    if body.is_object()
        && let Some(reading) = in_text(body.to_string().as_bytes(), context)
    {
        return Some(reading);
    }
    let has = |key: &str| record.attributes.iter().any(|pair| pair.key == key);
    let (format, places) = if has("aws.cloudtrail.event_id") {
        (Format::CloudTrail, CLOUDTRAIL)
    } else if has("gcp.audit.method.name") {
        (Format::GcpAudit, GCP)
    } else if has("azure.category") || has("azure.operation.name") {
        (Format::AzureActivity, AZURE)
    } else {
        return None;
    };
    let mut fields = Value::Object(Map::new());
    let of_resource: Map<String, Value> =
        serde_json::from_str(origin.attributes.as_str()).unwrap_or_default();
    for (key, value) in of_resource {
        match key.strip_prefix(LABEL) {
            Some(label) => put(&mut fields, &["resource", "labels", label], value),
            None => place(&mut fields, places, &key, value),
        }
    }
    for pair in &record.attributes {
        let value = value(pair.value.as_ref());
        match pair.key.strip_prefix(LABEL) {
            Some(label) => put(&mut fields, &["labels", label], value),
            None => place(&mut fields, places, &pair.key, value),
        }
    }
    if let (Format::AzureActivity, Value::Object(body)) = (format, body) {
        for (key, value) in body {
            place(&mut fields, places, &key, value);
        }
    }
    let time = match format {
        Format::CloudTrail => "eventTime",
        Format::AzureActivity => "time",
        _ => "timestamp",
    };
    put(&mut fields, &[time], Time::from_nanos(record.time_unix_nano).to_string().into());
    read(format, fields.to_string().as_bytes(), context)
}

/// What was read, if any of it is an access.
fn read(format: Format, text: &[u8], context: &Context<'_>) -> Option<Reading> {
    let reading = super::read_inside(format, text, context);
    (!reading.accesses.is_empty()).then_some(reading)
}

/// Puts an attribute where it belongs; one that is not known keeps its name.
fn place(fields: &mut Value, places: &[Place], key: &str, value: Value) {
    match places.iter().find(|(name, _)| *name == key) {
        Some((_, path)) => put(fields, path, value),
        None => put(fields, &[key], value),
    }
}

fn put(fields: &mut Value, path: &[&str], value: Value) {
    let [key, rest @ ..] = path else {
        *fields = value;
        return;
    };
    if let Value::Object(fields) = fields {
        let inner = fields.entry(*key).or_insert_with(|| Value::Object(Map::new()));
        put(inner, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read as read_all;
    use super::*;
    use crate::lab::with_context;
    use durward_schemas::tables::Access;

    fn attributes(pairs: &Value) -> Value {
        let pairs = pairs.as_object().unwrap().iter().map(|(key, value)| {
            let value = match value {
                Value::String(text) => json!({ "stringValue": text }),
                Value::Bool(truth) => json!({ "boolValue": truth }),
                Value::Number(number) => json!({ "intValue": number.to_string() }),
                Value::Object(_) => json!({"kvlistValue": {"values": attributes(value)}}),
                _ => json!({"arrayValue": {"values": [{"kvlistValue": {"values": attributes(&value[0])}}]}}),
            };
            json!({ "key": key, "value": value })
        });
        pairs.collect()
    }

    fn reading(resource: &Value, record: &Value) -> Reading {
        let export = json!({"resourceLogs": [{"resource": {"attributes": attributes(resource)},
            "scopeLogs": [{"logRecords": [record]}]}]});
        with_context(|context| read_all(Format::Otlp, export.to_string().as_bytes(), context))
    }

    /// The columns that a record fills whichever way it comes.
    fn columns(row: &Access) -> String {
        let row = Access {
            event_id: "".into(),
            request_key: "".into(),
            observed_time: None,
            unmapped: None,
            ..row.clone()
        };
        format!("{row:#?}")
    }

    fn native(format: Format, record: &Value) -> Access {
        let text = record.to_string();
        with_context(|context| read_all(format, text.as_bytes(), context)).accesses.remove(0)
    }

    /// Scenario: an event of CloudTrail and entries of Google, as the Collector takes them apart, and
    /// as they are.
    /// Guarantees: the same columns.
    #[test]
    fn attributes_are_put_together() {
        let event = json!({"eventVersion": "1.08", "eventName": "StartInstances", "eventSource": "ec2.amazonaws.com", "eventTime": "2023-07-19T21:17:28Z",
            "eventID": "e-1", "requestID": "r-1", "eventType": "AwsApiCall", "readOnly": false, "awsRegion": "us-east-1", "recipientAccountId": "1",
            "sourceIPAddress": "192.0.2.0", "userAgent": "aws-cli", "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/Mateo",
            "principalId": "AIDA", "accountId": "1", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "Mateo"}});
        let record = json!({"timeUnixNano": "1689801448000000000", "body": {}, "attributes": attributes(&json!({
            "aws.cloudtrail.event_version": "1.08", "aws.cloudtrail.event_id": "e-1", "rpc.method": "StartInstances", "rpc.system": "AwsApiCall",
            "rpc.service": "ec2.amazonaws.com", "aws.request_id": "r-1", "aws.event.read_only": false, "source.address": "192.0.2.0",
            "user_agent.original": "aws-cli", "user.name": "Mateo", "aws.access_key.id": "AKIAIOSFODNN7EXAMPLE", "aws.principal.id": "AIDA",
            "aws.principal.arn": "arn:aws:iam::1:user/Mateo", "aws.principal.type": "IAMUser", "aws.user_identity.account_id": "1"}))});
        let read = reading(&json!({"cloud.region": "us-east-1", "cloud.account.id": "1"}), &record);
        assert_eq!((read.accesses.len(), read.items()), (1, 1));
        assert_eq!(columns(&read.accesses[0]), columns(&native(Format::CloudTrail, &event)));

        let entry = json!({"insertId": "i-1", "timestamp": "2025-08-15T12:54:34Z", "resource": {"type": "k8s_cluster", "labels": {"project_id": "acme", "cluster_name": "c"}},
            "labels": {"authorization.k8s.io/decision": "allow"}, "operation": {"id": "o-1"}, "protoPayload": {"serviceName": "k8s.io",
            "methodName": "io.k8s.core.v1.pods.list", "resourceName": "core/v1/pods", "status": {"code": 0}, "authorizationInfo": [{"granted": true}],
            "authenticationInfo": {"principalEmail": "eve@example.com"}, "requestMetadata": {"callerIp": "172.16.0.3"}}});
        let record = json!({"timeUnixNano": "1755262474000000000", "attributes": attributes(&json!({
            "log.record.uid": "i-1", "gcp.audit.service.name": "k8s.io", "gcp.audit.method.name": "io.k8s.core.v1.pods.list",
            "gcp.audit.resource.name": "core/v1/pods", "rpc.jsonrpc.error_code": 0, "user.email": "eve@example.com", "client.address": "172.16.0.3",
            "gcp.audit.authorization": [{"granted": true}], "gcp.label.authorization.k8s.io/decision": "allow", "gcp.operation.id": "o-1"}))});
        let resource = json!({"gcp.project": "acme", "gcp.resource_type": "k8s_cluster", "gcp.label.cluster_name": "c", "gcp.label.project_id": "acme"});
        let read = reading(&resource, &record);
        assert_eq!((read.accesses.len(), read.items()), (1, 1));
        assert_eq!(columns(&read.accesses[0]), columns(&native(Format::GkeAudit, &entry)));
    }

    /// Scenario: an audit event of AKS and an activity of Azure, as three generations of the Collector
    /// take them apart, and records of clouds parsed into maps.
    /// Guarantees: the same columns as the record itself gives.
    #[test]
    fn maps_and_attributes_of_azure_are_put_together() {
        fn any(value: &Value) -> Value {
            match value {
                Value::Object(fields) => {
                    let pairs =
                        fields.iter().map(|(key, value)| json!({"key": key, "value": any(value)}));
                    json!({"kvlistValue": {"values": pairs.collect::<Vec<_>>()}})
                }
                Value::String(text) => json!({ "stringValue": text }),
                _ => json!({}),
            }
        }
        let pairs = |value: &Value| any(value)["kvlistValue"]["values"].clone();
        let check = |resource: &Value, body: &Value, attributes: &Value, expect: &Access| {
            let record = json!({"timeUnixNano": "1784800800000000000", "body": any(body), "attributes": pairs(attributes)});
            let export = json!({"resourceLogs": [{"resource": {"attributes": pairs(resource)}, "scopeLogs": [{"logRecords": [record]}]}]});
            let read = with_context(|context| {
                read_all(Format::Otlp, export.to_string().as_bytes(), context)
            });
            assert_eq!((read.accesses.len(), read.items()), (1, 1), "{export}");
            assert_eq!(columns(&read.accesses[0]), columns(expect), "{export}");
        };
        let audit = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "a-1", "verb": "get", "requestURI": "/",
            "requestReceivedTimestamp": "2026-07-23T10:00:00Z"});
        let id = "/SUBSCRIPTIONS/1/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD";
        let aks = json!({"category": "kube-audit", "operationName": "x", "resourceId": id, "properties": {"log": audit.to_string()}});
        let expect = native(Format::AksAudit, &aks);
        check(&json!({}), &aks, &json!({}), &expect);
        let named = json!({"azure.category": "kube-audit", "azure.operation.name": "x"});
        check(
            &json!({"cloud.resource_id": id}),
            &json!({"properties": aks["properties"]}),
            &named,
            &expect,
        );
        let mut flat = named.clone();
        flat["azure.properties"] = aks["properties"].clone();
        check(&json!({"azure.resource.id": id}), &json!({}), &flat, &expect);

        let activity = json!({"time": "2026-07-23T10:00:00Z", "category": "Administrative", "operationName": "Microsoft.Sql/servers/write",
            "resourceId": "/SUBSCRIPTIONS/1/X", "resultType": "Failure", "resultSignature": "Failed.Forbidden", "correlationId": "c",
            "callerIpAddress": "203.0.113.7", "tenantId": "t", "identity": {"claims": {"appid": "a", "oid": "o"}}});
        let expect = native(Format::AzureActivity, &activity);
        let attributes = json!({"azure.category": "Administrative", "azure.operation.name": "Microsoft.Sql/servers/write",
            "azure.result.type": "Failure", "azure.result.signature": "Failed.Forbidden", "azure.correlation_id": "c",
            "network.peer.address": "203.0.113.7"});
        check(
            &json!({"cloud.resource_id": "/SUBSCRIPTIONS/1/X"}),
            &json!({"identity": activity["identity"], "tenant.id": "t"}),
            &attributes,
            &expect,
        );
        let event = json!({"eventVersion": "1.08", "eventName": "GetObject", "eventSource": "s3.amazonaws.com", "eventTime": "2023-07-19T21:17:28Z"});
        check(&json!({}), &event, &json!({}), &native(Format::CloudTrail, &event));
        let bridge = json!({"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": event});
        check(&json!({}), &bridge, &json!({}), &native(Format::CloudTrail, &event));
    }

    /// Scenario: an entry of Google by a federated principal that a policy refused, and an activity and a
    /// change of roles of Azure, whose identities the Collector takes apart into attributes of their own.
    /// Guarantees: the same columns as the record itself gives.
    #[test]
    fn identities_are_put_together() {
        let check = |record: &Value, format: Format, own: &Value| {
            let read = reading(&json!({}), record);
            assert_eq!((read.accesses.len(), read.items()), (1, 1), "{record}");
            let expect = native(format, own);
            assert!(expect.identity.is_some(), "{own}");
            assert_eq!(columns(&read.accesses[0]), columns(&expect), "{record}");
        };
        let subject = "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s";
        let entry = json!({"insertId": "i-1", "timestamp": "2025-08-15T12:54:34Z", "protoPayload": {"serviceName": "storage.googleapis.com",
            "methodName": "storage.objects.get", "status": {"code": 7}, "policyViolationInfo": {"orgPolicyViolationInfo": {"violationInfo":
            [{"constraint": "constraints/storage.publicAccessPrevention"}]}}, "authenticationInfo": {"principalSubject": subject, "authoritySelector": "a"}}});
        let record = json!({"timeUnixNano": "1755262474000000000", "attributes": attributes(&json!({"log.record.uid": "i-1",
            "gcp.audit.service.name": "storage.googleapis.com", "gcp.audit.method.name": "storage.objects.get", "rpc.jsonrpc.error_code": 7,
            "user.id": subject, "gcp.audit.authentication.authority_selector": "a",
            "gcp.audit.policy_violation.info": [{"constraint": "constraints/storage.publicAccessPrevention"}]}))});
        check(&record, Format::GcpAudit, &entry);

        let activity = json!({"time": "2026-07-23T10:00:00Z", "category": "Administrative", "operationName": "Microsoft.Sql/servers/write",
            "resultType": "Failure", "durationMs": 7, "operationVersion": "1", "identity": {"claims": {"appid": "a", "oid": "o", "idtyp": "app", "email": "e@example.com"},
            "authorization": {"scope": "/subscriptions/1", "action": "Microsoft.Sql/servers/write", "evidence": {"role": "Owner", "roleAssignmentId": "ra",
            "roleAssignmentScope": "/", "roleDefinitionId": "rd", "principalId": "p", "principalType": "User"}}},
            "properties": {"statusMessage": "refused"}});
        let time = "1784800800000000000";
        let record = json!({"timeUnixNano": time, "attributes": attributes(&json!({"azure.category": "Administrative",
            "azure.operation.name": "Microsoft.Sql/servers/write", "azure.result.type": "Failure", "azure.operation.duration": 7,
            "azure.operation.version": "1", "azure.identity.application.id": "a", "azure.identity.identifier.object": "o",
            "azure.identity.type": "app", "user.email": "e@example.com", "azure.identity.authorization.scope": "/subscriptions/1",
            "azure.identity.authorization.action": "Microsoft.Sql/servers/write", "azure.identity.authorization.evidence.role": "Owner",
            "azure.identity.authorization.evidence.role.assignment.id": "ra", "azure.identity.authorization.evidence.role.assignment.scope": "/",
            "azure.identity.authorization.evidence.role.definition.id": "rd", "azure.identity.authorization.evidence.principal.id": "p",
            "azure.identity.authorization.evidence.principal.type": "User", "azure.administrative.status_message.text": "refused"}))});
        check(&record, Format::AzureActivity, &activity);

        let told =
            json!({"error": {"additionalInfo": {"a": "b"}, "code": "RequestDisallowedByPolicy"}});
        let refused = json!({"time": "2026-07-23T10:00:00Z", "category": "Administrative", "operationName": "Microsoft.Sql/servers/write",
            "resultType": "Failure", "identity": {"claims": {"oid": "o"}}, "properties": {"statusMessage": told.to_string()}});
        let record = json!({"timeUnixNano": time, "attributes": attributes(&json!({"azure.category": "Administrative",
            "azure.operation.name": "Microsoft.Sql/servers/write", "azure.result.type": "Failure", "azure.identity.identifier.object": "o",
            "azure.administrative.status_message": told}))});
        check(&record, Format::AzureActivity, &refused);

        let change = json!({"time": "2026-07-23T10:00:00Z", "category": "Administrative", "operationName": "Microsoft.Authorization/x/write",
            "properties": {"TenantID": "t", "CallerInfo": [{"CallerIdentityType": "UPN", "CallerIdentityValue": "e@example.com"},
            {"CallerIdentityType": "ObjectID", "CallerIdentityValue": "o"}]}});
        let record = json!({"timeUnixNano": time, "attributes": attributes(&json!({"azure.category": "Administrative", "azure.tenant.id": "t",
            "azure.operation.name": "Microsoft.Authorization/x/write", "azure.pim.caller.upn": "e@example.com",
            "azure.pim.caller.object_id": "o"}))});
        let read = reading(&json!({}), &record);
        let who = |row: &Access| {
            [row.identity.clone(), row.identity_uid.clone(), row.identity_realm.clone()]
        };
        let expect = who(&native(Format::AzureActivity, &change));
        assert!(expect.iter().all(Option::is_some));
        assert_eq!(who(&read.accesses[0]), expect);
    }

    /// Scenario: records of clouds, and of applications that name things alike, as the text of a body.
    /// Guarantees: the first are accesses under the ids that they have elsewhere, the others logs.
    #[test]
    fn bodies_are_read() {
        let event = json!({"eventVersion": "1.08", "eventName": "GetObject", "eventSource": "s3.amazonaws.com", "eventTime": "2023-07-19T21:17:28Z"});
        let body = |text: &Value| json!({"body": {"stringValue": text.to_string()}});
        let read = reading(&json!({}), &body(&event));
        assert_eq!(read.accesses[0].event_id, native(Format::CloudTrail, &event).event_id);
        assert_eq!(read.items(), 1);
        // A message of an Event Hub, as the Collector hands it on.
        let record = json!({"time": "2023-07-19T21:17:28Z", "category": "Administrative", "resourceId": "/SUBSCRIPTIONS/S",
            "operationName": "Microsoft.Authorization/roleAssignments/write", "resultType": "Success"});
        let hub = reading(&json!({}), &body(&json!({"records": [record, record]})));
        assert_eq!((hub.accesses.len(), hub.items()), (2, 2));
        for other in [
            json!({"eventName": "click", "eventSource": "web"}),
            json!({"operationName": "GetCart", "tenantId": "t", "correlationId": "c"}),
            json!({"verb": "get", "requestURI": "/"}),
        ] {
            let read = reading(&json!({}), &body(&other));
            assert_eq!((read.accesses.len(), read.logs.len()), (0, 1), "{other}");
        }
    }
}
