//! Tables of Log Analytics in which resources have a table of their own: what diagnostic settings have
//! under `identity` and `properties` are columns there.

use serde_json::{Map, Value};

use super::super::super::fields::{self, Fields};
use super::super::read_text;

/// The table of requests to Microsoft Graph, whose rows name no operation.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/microsoftgraphactivitylogs>
const GRAPH: &str = "MicrosoftGraphActivityLogs";
/// What diagnostic settings call each of them.
const GRAPH_OPERATION: &str = "Microsoft Graph Activity";
/// The tables of Key Vault and of storage accounts.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/storagebloblogs>
const OTHERS: &[&str] = &[
    "AZKVAuditLogs",
    "StorageBlobLogs",
    "StorageFileLogs",
    "StorageQueueLogs",
    "StorageTableLogs",
];

/// Columns that are properties elsewhere.
const PROPERTIES: &[&str] = &[
    "appId",
    "clientInfo",
    "httpStatusCode",
    "requestMethod",
    "requestUri",
    "responseStatusCode",
    "servicePrincipalId",
    "signInActivityId",
    "userAgent",
    "userAgentHeader",
    "userId",
];
/// Columns of who asked a storage account, and what a requester calls them.
const REQUESTER: &[(&str, &str)] = &[
    ("RequesterAppId", "appId"),
    ("RequesterObjectId", "objectId"),
    ("RequesterTenantId", "tenantId"),
    ("RequesterUpn", "upn"),
];
/// Other columns, and what diagnostic settings call them.
const OTHER: &[(&str, &str)] = &[
    ("AadTenantId", "tenantId"),
    ("IPAddress", "callerIpAddress"),
    ("OperationId", "correlationId"),
];

/// Puts columns where diagnostic settings have them, if `fields` are a row of such a table.
pub(super) fn gather(fields: &mut Fields) {
    let table = fields.get("Type").and_then(Value::as_str).unwrap_or_default();
    let is_graph = table == GRAPH;
    if !is_graph && !OTHERS.contains(&table) {
        return;
    }
    let mut row = std::mem::take(fields).into_inner();
    fields::spell(&mut row, PROPERTIES);
    let found = PROPERTIES.iter().filter_map(|key| row.remove_entry(*key));
    let properties: Map<String, Value> = found.collect();
    let mut identity = Map::new();
    let requester = renamed(&mut row, REQUESTER);
    if !requester.is_empty() {
        identity.insert("requester".to_owned(), Value::Object(requester));
    }
    read_text(&mut row, "AuthorizationDetails");
    identity.append(&mut renamed(
        &mut row,
        &[("AuthenticationType", "type"), ("AuthorizationDetails", "authorization")],
    ));
    for (key, value) in renamed(&mut row, OTHER) {
        row.entry(key).or_insert(value);
    }
    if is_graph {
        row.entry("operationName").or_insert_with(|| GRAPH_OPERATION.into());
    }
    for (key, inner) in [("properties", properties), ("identity", identity)] {
        if !inner.is_empty() {
            row.entry(key).or_insert(Value::Object(inner));
        }
    }
    *fields = Fields::new(row);
}

/// Takes the columns of `names` that say something, under their other names.
fn renamed(row: &mut Map<String, Value>, names: &[(&str, &str)]) -> Map<String, Value> {
    let says = |value: &Value| !value.is_null() && *value != "";
    let found = names.iter().filter_map(|(theirs, ours)| {
        let value = row.remove(*theirs).filter(says)?;
        Some(((*ours).to_owned(), value))
    });
    found.collect()
}
