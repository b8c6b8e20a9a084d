//! Which sort of record a JSON object is, by the keys that it has.

use super::super::fields::Raw;
use super::super::google::is_payload;
use super::Format;

/// The sort of the record with these fields; `None` if it is of none that is known.
pub(in super::super) fn sort(raw: &Raw<'_>) -> Option<Format> {
    let has = |key: &str| raw.get(key).is_some_and(|value| value.get() != "null");
    let begins = |key: &str, beginning: &str| {
        raw.get(key).is_some_and(|value| value.get().starts_with(beginning))
    };
    if has("auditID") || begins("apiVersion", "\"audit.k8s.io/") {
        return Some(Format::KubeAudit);
    }
    let payload = raw.iter().find(|(key, value)| is_payload(key) && value.get() != "null");
    if let Some((_, payload)) = payload {
        let payload = serde_json::from_str::<Raw<'_>>(payload.get()).ok()?;
        let text = |key: &str| payload.get(key).map_or("", |value| value.get());
        let is_gke =
            text("serviceName") == "\"k8s.io\"" || text("methodName").starts_with("\"io.k8s.");
        return Some(if is_gke { Format::GkeAudit } else { Format::GcpAudit });
    }
    let is_entry = has("logName") && (has("jsonPayload") || has("textPayload"));
    if is_entry {
        return Some(Format::GcpAudit);
    }
    if is_cloudtrail(raw) {
        return Some(Format::CloudTrail);
    }
    if begins("kind", "\"Event\"") && has("verb") && (has("objectRef") || has("requestURI")) {
        return Some(Format::KubeAudit);
    }
    azure(raw)
}

/// Applications name events too; those of AWS tell who called, where, or which of its services.
fn is_cloudtrail(raw: &Raw<'_>) -> bool {
    let get = |key: &str| raw.iter().find(|(own, _)| own.eq_ignore_ascii_case(key));
    let source = get("eventSource").map_or("", |(_, source)| source.get());
    let tells =
        ["userIdentity", "awsRegion", "recipientAccountId"].iter().any(|key| get(key).is_some());
    // Notifications of S3 and records of streams have a source such as `aws:s3`.
    let is_notification = source.starts_with("\"aws:");
    get("eventName").is_some()
        && !is_notification
        && (tells || source.ends_with(".amazonaws.com\""))
}

/// Whether `format` is one of the records of Azure, which come mixed.
pub(super) fn is_azure(format: Format) -> bool {
    use Format::{AksAudit, AzureActivity, AzureAudit, AzureSignin};
    matches!(format, AksAudit | AzureActivity | AzureAudit | AzureSignin)
}

/// Records of Azure are told by their category, whose key is not always spelled alike.
fn azure(raw: &Raw<'_>) -> Option<Format> {
    let get = |key: &str| raw.iter().find(|(own, _)| own.eq_ignore_ascii_case(key));
    let text = |key: &str| get(key).map_or("", |(_, value)| value.get());
    // Log Analytics names the table too.
    let names = [text("category"), raw.get("Type").map_or("", |table| table.get())];
    if let Some(format) = names.iter().find_map(|name| of_category(name.trim_matches('"'))) {
        return Some(format);
    }
    let properties = text("properties");
    let has_properties = |key: &str| properties.contains(key);
    // What a query answers may leave out the name of the table.
    let is_of_table = get("AuditId").is_some() && get("RequestUri").is_some();
    if is_of_table || (has_properties("\"log\"") && get("operationName").is_some()) {
        return Some(Format::AksAudit);
    }
    if has_properties("\"activityDisplayName\"") || !text("loggedByService").is_empty() {
        return Some(Format::AzureAudit);
    }
    let signs_in =
        ["signInEventTypes", "conditionalAccessStatus"].iter().any(|key| get(key).is_some());
    if signs_in
        || text("operationName") == "\"Sign-in activity\""
        || has_properties("\"conditionalAccessStatus\"")
    {
        return Some(Format::AzureSignin);
    }
    let names_it = get("operationName").or_else(|| get("operationNameValue")).is_some();
    // Applications name their operations too; only Azure has ids of resources that begin so.
    let is_resource =
        text("resourceId").starts_with("\"/") || text("_ResourceId").starts_with("\"/");
    (names_it && is_resource).then_some(Format::AzureActivity)
}

/// Tables, and categories of resources whose records may name no operation as others do.
const RESOURCES: &[&str] = &[
    "AzureActivity",
    "AzureADGraphActivityLogs",
    "MicrosoftGraphActivityLogs",
    "RuntimeAuditLogs",
    "AZMSRunTimeAuditLogs",
];

/// The sort of a category of diagnostic settings; `None` for those of many sorts.
pub(in super::super) fn of_category(category: &str) -> Option<Format> {
    // <https://learn.microsoft.com/en-us/azure/aks/monitor-aks-reference#resource-logs>
    const CONTROL_PLANE: &[&str] =
        &["kube-", "guard", "cluster-autoscaler", "cloud-controller-manager", "csi-", "fleet-"];
    // <https://learn.microsoft.com/en-us/azure/azure-monitor/reference/tables/tables-category>
    if category.contains("SignInLogs") || category == "SigninLogs" {
        Some(Format::AzureSignin)
    } else if matches!(category, "AKSAudit" | "AKSAuditAdmin") {
        Some(Format::AksAudit)
    } else if RESOURCES.contains(&category) {
        Some(Format::AzureActivity)
    } else if CONTROL_PLANE.iter().any(|beginning| category.starts_with(beginning)) {
        Some(Format::AksAudit)
    } else if category == "AuditLogs" {
        Some(Format::AzureAudit)
    } else {
        None
    }
}
