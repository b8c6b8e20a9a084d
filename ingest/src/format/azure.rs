//! What Azure Monitor writes through diagnostic settings: one record in, by its category one access
//! or one row of `logs` out.
//!
//! Common fields: <https://learn.microsoft.com/en-us/azure/azure-monitor/platform/resource-logs-schema>.
//! One Event Hub carries records of all categories. The same records come from the REST interface,
//! from Log Analytics and from Microsoft Graph with other names and spelling, and without `properties`.

pub(super) mod activity;
pub(super) mod audit;
pub(super) mod signin;

use std::borrow::Cow;

use durward_schemas::Identity;
use durward_schemas::tables::Access;
use durward_schemas::values::{IdentityKind, Provider};
use serde_json::{Map, Value, json};

use super::cloud::Message;
use super::envelope::Envelope;
use super::fields::{self, Fields};
use super::{Failure, Format, Reading};
use crate::split::Item;

/// The common fields as diagnostic settings spell them.
const SPELLING: &[&str] = &[
    "time",
    "resourceId",
    "operationName",
    "category",
    "resultType",
    "resultSignature",
    "resultDescription",
    "durationMs",
    "callerIpAddress",
    "correlationId",
    "identity",
    "level",
    "location",
    "tenantId",
    "properties",
    "statusCode",
    "caller",
    "claims",
    "authorization",
    "eventDataId",
    "httpRequest",
];

/// What Log Analytics has beside a name for people, or for what it keeps as a text: these are meant.
const MEANT: &[(&str, &str)] = &[
    ("OperationNameValue", "operationName"),
    ("CategoryValue", "category"),
    ("Claims_d", "claims"),
    ("Authorization_d", "authorization"),
    ("Properties_d", "properties"),
];

/// What they are called by other doors: Log Analytics, REST, Microsoft Graph.
const ALIASES: &[(&str, &str)] = &[
    ("TimeGenerated", "time"),
    ("eventTimestamp", "time"),
    ("ActivityStatusValue", "resultType"),
    ("ActivitySubstatusValue", "resultSignature"),
    ("status", "resultType"),
    ("subStatus", "resultSignature"),
    ("_ResourceId", "resourceId"),
];

/// Reads one record into `reading`.
pub(super) fn read(
    envelope: &Envelope<'_>,
    bytes: &[u8],
    item: &Item,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let context = &envelope.context;
    let record = parse(bytes)?;
    match envelope.format {
        Format::AksAudit => return aks(envelope, &record, item, reading),
        Format::AzureSignin => reading.accesses.push(signin::read(record, context)?),
        Format::AzureAudit => reading.accesses.push(audit::read(record, context)?),
        _ => reading.accesses.push(activity::read(record, context)?),
    }
    Ok(())
}

/// The fields of a record, spelled as diagnostic settings do.
fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    let mut record = fields::parse(bytes, &["properties"])?;
    fields::spell(&mut record, SPELLING);
    of_analytics(&mut record);
    for (theirs, ours) in ALIASES {
        // Microsoft Graph has an object with an error code under `status`, which stays.
        let is_name = record.get(*theirs).is_some_and(|value| name(value).is_some());
        if is_name && !record.contains_key(*ours) {
            let value = record.remove(*theirs).unwrap_or_default();
            record.insert((*ours).to_owned(), value);
        }
    }
    for key in ["properties", "identity", "claims", "authorization", "httpRequest"] {
        read_text(&mut record, key);
    }
    record.retain(|_, value| !value.is_null());
    if !record.contains_key("tenantId")
        && let Some(tenant) = record.get("resourceId").and_then(Value::as_str).and_then(tenant)
    {
        record.insert("tenantId".to_owned(), tenant.into());
    }
    Ok(record)
}

/// Puts what Log Analytics means in the place of what it says. `TenantId` is its workspace there, in
/// every table; the tenant of Microsoft Entra is `AADTenantId`.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/logs/log-standard-columns>
fn of_analytics(record: &mut Map<String, Value>) {
    let is_of_table = ["TimeGenerated", "AADTenantId"].iter().any(|key| record.contains_key(*key));
    if is_of_table {
        let workspace = record.remove("tenantId");
        let tenant = record.remove("AADTenantId");
        for (key, value) in [("workspaceId", workspace), ("tenantId", tenant)] {
            if let Some(value) = value {
                record.insert(key.to_owned(), value);
            }
        }
    }
    for (theirs, ours) in MEANT {
        let says = |value: &Value| !value.is_null() && *value != "" && *value != "{}";
        let is_name = theirs.ends_with("Value");
        if record.get(*theirs).is_some_and(says)
            && (is_name || !record.get(*ours).is_some_and(says))
            && let Some(value) = record.remove(*theirs)
        {
            record.insert((*ours).to_owned(), value);
        }
    }
}

/// Puts an object or a list in the place of the text that holds it.
fn read_text(record: &mut Map<String, Value>, key: &str) {
    if let Some(Value::String(text)) = record.get(key)
        && text.starts_with(['{', '['])
        && let Ok(inner) = serde_json::from_str::<Value>(text)
    {
        record.insert(key.to_owned(), inner);
    }
}

/// What a value is, or the JSON that it holds as a text.
fn opened(told: &Value) -> Cow<'_, Value> {
    let inner = told.as_str().and_then(|text| serde_json::from_str(text).ok());
    inner.map_or(Cow::Borrowed(told), Cow::Owned)
}

/// The tenant in the id of a resource that belongs to no subscription: `/tenants/ID/providers/...`.
fn tenant(resource: &str) -> Option<String> {
    let mut parts = resource.split('/').skip(1);
    parts.next().filter(|sort| sort.eq_ignore_ascii_case("tenants"))?;
    parts.next().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// A name: a text, or in the REST interface an object with its `value`.
fn name(value: &Value) -> Option<&str> {
    value.get("value").unwrap_or(value).as_str().filter(|name| !name.is_empty())
}

/// Takes a name.
fn take_name(fields: &mut Fields, key: &str) -> Option<String> {
    let name = fields.get(key).and_then(name)?.to_owned();
    fields.take(key);
    Some(name)
}

/// A log line of an AKS control plane, in which an audit event may stand.
/// <https://learn.microsoft.com/en-us/azure/aks/monitor-aks-reference#resource-logs>
fn aks(
    envelope: &Envelope<'_>,
    record: &Map<String, Value>,
    item: &Item,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let properties = record.get("properties").cloned().unwrap_or_default();
    let resource = text(record.get("resourceId"));
    let cluster = resource.as_deref().and_then(cluster_of);
    let envelope = envelope.of_cluster(cluster.as_deref());
    let log = properties.get("log").or_else(|| record.get("log_s"));
    let log = match log {
        Some(Value::String(log)) => log.trim_ascii().to_owned(),
        // Some exporters have parsed the text.
        Some(log) => log.to_string(),
        None => row_of_table(record).ok_or_else(no_log)?,
    };
    let category = text(record.get("category"));
    // `ContainerLogV2` is what containers print.
    let is_of_containers = category
        .as_deref()
        .is_some_and(|name| name.to_ascii_lowercase().starts_with("containerlog"));
    let plain = Message {
        time: text(record.get("time")),
        service: category,
        resource: json!({ "cloud.resource_id": resource, "k8s.pod.name": properties.get("pod") })
            .as_object()
            .cloned()
            .unwrap_or_default(),
        ..Message::default()
    };
    if is_of_containers {
        envelope.words(&log, plain, reading);
    } else {
        envelope.message(&log, plain, item, reading);
    }
    Ok(())
}

fn no_log() -> Failure {
    Failure::new("no_log", "the record has no properties.log")
}

/// The columns of the tables `AKSAudit` and `AKSAuditAdmin` of Log Analytics.
/// <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/aksaudit>
const AKS_AUDIT: &[(&str, &str)] = &[
    ("AuditId", "auditID"),
    ("Level", "level"),
    ("Stage", "stage"),
    ("RequestUri", "requestURI"),
    ("Verb", "verb"),
    ("User", "user"),
    ("ImpersonatedUser", "impersonatedUser"),
    ("SourceIps", "sourceIPs"),
    ("UserAgent", "userAgent"),
    ("ObjectRef", "objectRef"),
    ("ResponseStatus", "responseStatus"),
    ("RequestObject", "requestObject"),
    ("ResponseObject", "responseObject"),
    ("RequestReceivedTime", "requestReceivedTimestamp"),
    ("StageReceivedTime", "stageTimestamp"),
    ("Annotations", "annotations"),
];

/// The event that a row of those tables is; columns are texts or objects.
fn row_of_table(record: &Map<String, Value>) -> Option<String> {
    let mut row = record.clone();
    let names: Vec<&str> = AKS_AUDIT.iter().map(|(theirs, _)| *theirs).collect();
    fields::spell(&mut row, &names);
    row.get("AuditId")?;
    let mut event = Map::new();
    for (theirs, ours) in AKS_AUDIT {
        read_text(&mut row, theirs);
        let value = row.remove(*theirs).filter(|value| !value.is_null() && *value != "");
        if let Some(value) = value {
            event.insert((*ours).to_owned(), value);
        }
    }
    event.insert("kind".to_owned(), "Event".into());
    event.insert("apiVersion".to_owned(), "audit.k8s.io/v1".into());
    Some(Value::Object(event).to_string())
}

/// The name of the cluster, the last part. Azure minds no case and writes capitals now and then.
fn cluster_of(resource: &str) -> Option<String> {
    let mut parts = resource.rsplit('/');
    let name = parts.next().filter(|name| !name.is_empty())?;
    parts.next().filter(|sort| sort.eq_ignore_ascii_case("managedClusters"))?;
    Some(name.to_ascii_lowercase())
}

/// The subscription in the id of a resource.
fn subscription(resource: &str) -> Option<String> {
    let mut parts = resource.split('/');
    parts.find(|part| part.eq_ignore_ascii_case("subscriptions"))?;
    parts.next().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// Who that is, as far as a record says.
#[derive(Debug, Default)]
struct Principal {
    tenant: Option<String>,
    /// A user principal name or an address.
    user: Option<String>,
    /// The id of the application.
    app: Option<String>,
    /// The id of the object in the directory.
    object: Option<String>,
    is_managed_identity: bool,
    is_user: bool,
}

impl Principal {
    /// Fills who acted.
    fn fill(self, access: &mut Access) {
        let tenant = self.tenant.as_deref();
        let azure = |text: &str| Identity::parse(Provider::Azure, tenant, text);
        let of_object = |kind: IdentityKind, id: &str| Identity {
            kind,
            realm: self.tenant.clone(),
            name: Some(format!("oid:{id}")),
        };
        let identity = match (&self.user, &self.app, &self.object) {
            (_, _, Some(id)) if self.is_managed_identity => azure(&format!("oid:{id}")),
            (Some(user), ..) => azure(user),
            (None, _, Some(id)) if self.is_user => of_object(IdentityKind::User, id),
            (None, Some(app), _) => azure(&format!("appid:{app}")),
            (None, None, Some(id)) => of_object(IdentityKind::AzureApplication, id),
            (None, None, None) => Identity { realm: self.tenant.clone(), ..Identity::default() },
        };
        access.identity_kind = identity.kind;
        access.identity_realm = identity.realm;
        access.identity = identity.name;
        access.identity_uid = self.object;
    }
}
