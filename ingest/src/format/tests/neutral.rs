//! The same behaviour in a cluster of EKS, GKE or AKS is the same row, but for what a cloud does not
//! send: unit tests of another product, in `../shared/data/panther`, have it in these shapes.

use std::collections::BTreeMap;

use durward_schemas::tables::Access;
use serde_json::Value;

use super::super::{Format, read};
use crate::lab::{shared, with_context};

/// Tests of one rule that show one behaviour, each in the shape of another cloud.
const PAIRS: &[(&str, &str, &str)] = &[
    (
        "Kubernetes.AdmissionController.Created",
        "EKS MutatingWebhookConfiguration Created",
        "GKE MutatingWebhookConfiguration Created",
    ),
    ("Kubernetes.API.AnonymousAccess", "EKS Anonymous API Access", "GCP GKE Anonymous API Access"),
    (
        "Kubernetes.ClusterRoleBinding.Privileged",
        "EKS ClusterRoleBinding to cluster-admin",
        "GKE ClusterRoleBinding to admin role",
    ),
    ("Kubernetes.CronJob.CreatedOrModified", "EKS CronJob Created", "GCP GKE CronJob Created"),
    ("Kubernetes.Pod.Exec", "EKS Exec Into Pod", "GCP GKE Exec Into Pod"),
    (
        "Kubernetes.API.IOC.Activity",
        "EKS Activity from Tor Exit Node",
        "GCP GKE Activity from Tor Exit Node",
    ),
    (
        "Kubernetes.Kubectl.CP.Operation",
        "EKS kubectl cp from pod (requestURI format)",
        "GKE kubectl cp from pod",
    ),
    (
        "Kubernetes.Pod.SystemNamespace",
        "EKS pod created in kube-system",
        "GKE pod created in gke-system",
    ),
    (
        "Kubernetes.Pod.Dangerous.Capabilities",
        "EKS Pod with SYS_ADMIN Capability",
        "GKE Pod with BPF Capability",
    ),
    ("Kubernetes.Pod.Host.Network", "EKS Pod With Host Network", "GCP GKE Pod With Host Network"),
    (
        "Kubernetes.Pod.HostPath.Volume",
        "EKS Pod With Suspicious HostPath",
        "GCP GKE Pod With HostPath",
    ),
    (
        "Kubernetes.Pod.Privileged.Created",
        "EKS Privileged Pod Created",
        "GCP GKE Privileged Pod Created",
    ),
    (
        "Kubernetes.Role.NodeProxyPermissions",
        "EKS ClusterRole with nodes/proxy permission",
        "GKE ClusterRole with nodes proxy access",
    ),
    (
        "Kubernetes.Role.Wildcard",
        "EKS ClusterRole with wildcard resources and verbs",
        "GKE ClusterRole with wildcard resources only",
    ),
    (
        "Kubernetes.Role.WritePermissions",
        "EKS ClusterRole with delete permissions on secrets",
        "GKE ClusterRole with deletecollection",
    ),
    (
        "Kubernetes.Secret.AccessDenied",
        "EKS failed secret get (403 Forbidden)",
        "AKS failed secret get (401 Unauthorized)",
    ),
    (
        "Kubernetes.Service.NodePort.Deployed",
        "EKS NodePort Service Created",
        "GCP GKE NodePort Service Created",
    ),
    (
        "Kubernetes.Pod.StealServiceAccountToken",
        "EKS cat service account token",
        "GKE steal token with sh -c",
    ),
];

/// What a behaviour is, apart from names, addresses and statuses, which differ from test to test.
fn behaviour(row: &Access) -> BTreeMap<&'static str, Option<String>> {
    BTreeMap::from([
        ("provider", Some(row.provider.to_string())),
        ("identity_kind", Some(row.identity_kind.to_string())),
        ("verb", row.verb.clone()),
        ("resource", row.resource.clone()),
        ("subresource", row.subresource.clone()),
        ("api_group", row.api_group.clone().filter(|group| !group.is_empty())),
    ])
}

/// Scenario: one behaviour in the shapes of two clouds, for each rule that has it in two.
/// Guarantees: the same provider, sort of identity, verb, group, resource and subresource.
#[test]
fn behaviour_is_the_same_in_every_cloud() {
    let Some(data) = shared() else { return };
    let mut rows = BTreeMap::new();
    for file in ["eks_k8s_audit.jsonl", "azure_activity.jsonl"] {
        let text = std::fs::read_to_string(data.join("panther").join(file)).unwrap();
        for line in text.lines() {
            let mut case: Value = serde_json::from_str(line).unwrap();
            let name = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
            let key = (name("rule_id"), name("name"));
            let log = case["log"].take().to_string();
            let reading = with_context(|context| read(Format::CloudWatch, log.as_bytes(), context));
            rows.insert(key, reading.accesses.into_iter().next());
        }
    }
    let mut compared = 0;
    for (rule, one, other) in PAIRS {
        let row = |name: &str| {
            let key = ((*rule).to_owned(), name.to_owned());
            rows.get(&key).cloned().flatten().unwrap_or_else(|| panic!("no row of {rule}: {name}"))
        };
        let (one, other) = (row(one), row(other));
        let (one, other) = (behaviour(&one), behaviour(&other));
        for (column, value) in &one {
            // The tests are made by hand: some leave out the verb or the group.
            if let (Some(value), Some(other)) = (value, &other[column]) {
                assert_eq!(value, other, "{rule}: {column}");
            }
        }
        compared += one.values().flatten().count();
    }
    assert!(compared > 4 * PAIRS.len(), "{compared}");
}
