//! Rows for tests, from events in the words of audit.k8s.io/v1.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use durward_schemas::cell::Json;
use durward_schemas::ids::{EventId, RequestKey, hash128};
use durward_schemas::table::Row;
use durward_schemas::tables::{Access, Change};
use durward_schemas::values::{CredentialKind, Decision, Outcome};
use durward_schemas::{Identity, Time};
use serde_json::Value;

/// The row of a judged event. What an event does not say stays absent.
pub(crate) fn row(event: &Value) -> Access {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let list = |pointer: &str| {
        let items = event.pointer(pointer)?.as_array()?;
        Some(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>())
    };
    let body = |name: &str| event.get(name).map(|body| Json(with_certificate(&body.to_string())));
    let who = text("/user/username").map(|user| Identity::kubernetes(Some("prod"), &user));
    let account = who.as_ref().and_then(Identity::service_account);
    let code = event.pointer("/responseStatus/code").and_then(Value::as_i64);
    let extra = |key: &str| {
        let key = format!("authentication.kubernetes.io/{key}");
        event.pointer("/user/extra")?.get(key)?.get(0)?.as_str().map(str::to_owned)
    };
    let key = hash128("test", &[event.to_string().as_bytes()]);
    Access {
        judged: true,
        event_id: EventId(format!("e{key}")),
        request_key: RequestKey(key),
        cluster: Some("prod".into()),
        time: text("/requestReceivedTimestamp").and_then(|t| Time::parse(&t)).unwrap_or(Time(0)),
        namespace: account.map(|(namespace, _)| namespace.to_owned()),
        service_account: account.map(|(_, name)| name.to_owned()),
        identity: text("/user/username"),
        identity_kind: who.as_ref().map(|who| who.kind).unwrap_or_default(),
        groups: list("/user/groups"),
        impersonated_identity: text("/impersonatedUser/username"),
        impersonated_groups: list("/impersonatedUser/groups"),
        verb: text("/verb"),
        dry_run: text("/requestURI").map(|uri| uri.contains("dryRun=All")),
        request_uri: text("/requestURI"),
        user_agent: text("/userAgent"),
        source_ip: list("/sourceIPs").and_then(|all| all.last().cloned()),
        source_event_id: text("/auditID"),
        stage: text("/stage"),
        api_group: event.get("objectRef").and(text("/objectRef/apiGroup").or(Some(String::new()))),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        object_namespace: text("/objectRef/namespace"),
        object_name: text("/objectRef/name"),
        decision: match event.pointer("/annotations/authorization.k8s.io~1decision") {
            Some(decision) if decision == "allow" => Decision::Allow,
            Some(_) => Decision::Deny,
            None => Decision::Unknown,
        },
        outcome: if code >= Some(400) { Outcome::Failure } else { Outcome::Success },
        status_code: code,
        credential_id: extra("credential-id").map(Into::into),
        credential_kind: extra("credential-id").map(|_| CredentialKind::BoundToken),
        pod: extra("pod-name"),
        pod_uid: extra("pod-uid"),
        node: extra("node-name"),
        annotations: event.get("annotations").map(|all| Json(all.to_string())),
        request_object: body("requestObject"),
        response_object: body("responseObject"),
        ..Access::default()
    }
}

/// The judged row with these columns; the others are as absent as they can be.
pub(crate) fn row_of_columns(columns: &Value) -> Access {
    let empty = Access { judged: true, ..Access::default() };
    let batch = Access::to_batch(&[empty]);
    let mut arrays = batch.columns().to_vec();
    for (name, value) in columns.as_object().expect("columns by name") {
        let (at, field) = batch.schema_ref().column_with_name(name).expect("a column of accesses");
        let array: ArrayRef = match (field.data_type(), value) {
            (DataType::Utf8, Value::String(text)) => {
                Arc::new(StringArray::from(vec![text.as_str()]))
            }
            (DataType::Int64, Value::Number(number)) => {
                Arc::new(Int64Array::from(vec![number.as_i64()]))
            }
            (kind, value) => panic!("column {name} is {kind}, not {value}"),
        };
        *arrays.get_mut(at).expect("an array a field") = array;
    }
    let batch = RecordBatch::try_new(batch.schema(), arrays).expect("columns of their types");
    Access::from_batch(&batch).expect("a batch of accesses").remove(0)
}

/// The change that a case says its event made.
pub(crate) fn change(change: &Value) -> Option<Change> {
    let list = |name: &str| {
        let items = change.get(name)?.as_array()?;
        Some(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
    };
    let body = |name: &str| change.get(name).map(|body| Json(body.to_string()));
    let action = change.get("action").and_then(Value::as_str).and_then(|text| text.parse().ok());
    change.as_object()?;
    Some(Change {
        change_id: "change".into(),
        action: action.unwrap_or_default(),
        summary: "somebody changed something".into(),
        grants_added: list("grants_added"),
        subjects: list("subjects"),
        before: body("before"),
        after: body("after"),
        ..Change::default()
    })
}

/// `{{certificate NAME ORGANIZATION...}}` becomes a `spec.request` that asks for them.
fn with_certificate(body: &str) -> String {
    let Some((before, rest)) = body.split_once("{{certificate ") else { return body.to_owned() };
    let Some((names, after)) = rest.split_once("}}") else { return body.to_owned() };
    let mut der = Vec::new();
    for (at, name) in names.split(' ').enumerate() {
        der.extend([0x06, 0x03, 0x55, 0x04, if at == 0 { 0x0a } else { 0x03 }, 0x0c]);
        der.push(u8::try_from(name.len()).expect("a short name"));
        der.extend(name.as_bytes());
    }
    let pem = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        STANDARD.encode(der)
    );
    format!("{before}{}{after}", STANDARD.encode(pem))
}
