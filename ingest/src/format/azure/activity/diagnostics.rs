//! Resource logs that name things otherwise: rows of `AzureDiagnostics`, in which all resources share one
//! table whose columns end in their type, logs of Event Hubs and Service Bus, and of Azure AD Graph.
//!
//! <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/azurediagnostics>
//! <https://learn.microsoft.com/en-us/azure/event-hubs/monitor-event-hubs-reference#runtime-audit-logs>

use serde_json::{Map, Value, json};

use super::super::super::fields::Fields;
use super::PROPERTIES;
use crate::redact::is_uuid;

/// What a column of that table ends in: text, number, GUID, Boolean, time.
const TYPES: &[&str] = &["_s", "_d", "_g", "_b", "_t"];
/// What the columns of claims begin with.
const CLAIM: &str = "identity_claim_";
/// What columns of claims end in whose names are URIs, and the short names of those claims.
const SHORT: &[(&str, &str)] = &[
    ("_identity_claims_objectidentifier", "oid"),
    ("_identity_claims_tenantid", "tid"),
    ("_identity_claims_upn", "upn"),
    ("_identity_claims_emailaddress", "email"),
    ("_identity_claims_name", "unique_name"),
];
/// The categories of what is done with Event Hubs and Service Bus, and their tables in Log Analytics.
const RUNTIME: &[&str] =
    &["RuntimeAuditLogs", "AZMSRunTimeAuditLogs", "OperationalLogs", "AZMSOperationalLogs"];
/// What these call the common fields.
const COMMON: &[(&str, &str)] = &[
    ("ActivityName", "operationName"),
    ("EventName", "operationName"),
    ("ActivityId", "correlationId"),
    ("Time", "time"),
    ("EventTimeString", "time"),
    ("Status", "resultType"),
    ("ClientIp", "callerIpAddress"),
];
/// The category of requests to Azure AD Graph, which Microsoft Graph has followed.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/aadgraphactivitylogs>
const OLD_GRAPH: &str = "AzureADGraphActivityLogs";
/// What its properties are called by Microsoft Graph, and what stands beside the properties there.
const GRAPH: &[(&str, &str)] =
    &[("httpMethod", "requestMethod"), ("httpStatusCode", "responseStatusCode")];
const BESIDE: &[(&str, &str)] = &[
    ("timeGenerated", "time"),
    ("callerIpAddress", "callerIpAddress"),
    ("requestId", "correlationId"),
    ("durationMs", "durationMs"),
];

/// Puts claims and properties where diagnostic settings have them, if `fields` are a row of that table.
pub(super) fn gather(fields: &mut Fields) {
    let is_of_table = fields.get("Type").is_some_and(|table| table == "AzureDiagnostics");
    let mut row = std::mem::take(fields).into_inner();
    if is_of_table || row.keys().any(|key| key.starts_with(CLAIM)) {
        columns(&mut row);
    }
    *fields = Fields::new(row);
}

fn columns(row: &mut Map<String, Value>) {
    let (mut claims, mut properties) = (Map::new(), Map::new());
    for (column, value) in std::mem::take(row) {
        let name = TYPES.iter().find_map(|kind| column.strip_suffix(kind));
        let says = !value.is_null() && value != "";
        let known = |name: &str| PROPERTIES.iter().find(|own| own.eq_ignore_ascii_case(name));
        match name {
            Some(name) if name.starts_with(CLAIM) => {
                let name = name.trim_start_matches(CLAIM);
                let short = SHORT.iter().find(|(end, _)| name.ends_with(end));
                if says {
                    claims.insert(short.map_or(name, |(_, short)| short).to_owned(), value);
                }
            }
            Some("properties") if value.is_string() => {
                let text = value.as_str().unwrap_or_default();
                match serde_json::from_str(text) {
                    Ok(Value::Object(mut inner)) => properties.append(&mut inner),
                    _ => _ = row.insert(column, value),
                }
            }
            Some(name) if says && known(name).is_some() => {
                properties.insert(name.to_owned(), value);
            }
            _ => _ = row.insert(column, value),
        }
    }
    if !claims.is_empty() {
        row.entry("identity").or_insert_with(|| json!({ "claims": claims }));
    }
    if !properties.is_empty() {
        row.entry("properties").or_insert(Value::Object(properties));
    }
}

/// The application that a runtime audit log names. It stands under the name of a secret, so it is read
/// before anything is redacted; what is no id is the name of a policy, or one that anybody may give.
pub(super) fn application(record: &Map<String, Value>) -> Option<String> {
    let by_token = ["AAD", "Azure Active Directory", "Microsoft Entra ID"];
    let kind = column(record, "AuthType")?.as_str()?;
    let id = ["AuthId", "AuthKey"].iter().find_map(|key| column(record, key)?.as_str())?;
    (is_runtime(record) && by_token.contains(&kind) && is_uuid(id)).then(|| id.to_owned())
}

fn is_runtime(record: &Map<String, Value>) -> bool {
    let is = |key: &str| {
        record.get(key).and_then(Value::as_str).is_some_and(|name| RUNTIME.contains(&name))
    };
    is("category") || is("Type")
}

/// A column of a runtime audit log, which stands by itself, with its type, or among the properties.
fn column<'a>(record: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let typed = || TYPES.iter().find_map(|kind| record.get(&format!("{name}{kind}")));
    let found = record.get(name).or_else(typed);
    found.or_else(|| record.get("properties")?.get(name)).filter(|value| !value.is_null())
}

/// Puts what a runtime audit log says where diagnostic settings have it.
pub(super) fn runtime(fields: &mut Fields, application: Option<String>) {
    let mut row = std::mem::take(fields).into_inner();
    if is_runtime(&row) {
        for (theirs, ours) in COMMON {
            let value = column(&row, theirs).cloned();
            if let Some(value) = value.filter(|_| !row.contains_key(*ours)) {
                row.insert((*ours).to_owned(), value);
                row.remove(*theirs);
            }
        }
        // What is told as the caller of an operation is a program, such as the portal.
        if let Some(program) = row.remove("caller") {
            row.insert("Caller".to_owned(), program);
        }
        let kind = column(&row, "AuthType").cloned().unwrap_or_default();
        let claims = application.map(|id| json!({ "appid": id }));
        let says = !kind.is_null() || claims.is_some();
        if says {
            row.insert("identity".to_owned(), json!({ "type": kind, "claims": claims }));
        }
    }
    old_graph(&mut row);
    *fields = Fields::new(row);
}

/// Gives a request to Azure AD Graph the names of one to Microsoft Graph.
fn old_graph(row: &mut Map<String, Value>) {
    if row.get("category").is_none_or(|category| category != OLD_GRAPH) {
        return;
    }
    let Some(Value::Object(mut properties)) = row.remove("properties") else { return };
    for (theirs, ours) in BESIDE {
        if let Some(value) = properties.remove(*theirs) {
            row.entry(*ours).or_insert(value);
        }
    }
    for (theirs, ours) in GRAPH {
        if let Some(value) = properties.remove(*theirs) {
            properties.insert((*ours).to_owned(), value);
        }
    }
    row.insert("properties".to_owned(), Value::Object(properties));
}
