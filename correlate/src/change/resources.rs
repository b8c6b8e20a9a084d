//! Resources whose writes are changes.

use durward_schemas::values::ChangeKind;

/// Resources whose writes are changes: API group, resource, object kind, change kind.
const RESOURCES: &[(&str, &str, &str, ChangeKind)] = &[
    ("rbac.authorization.k8s.io", "roles", "Role", ChangeKind::Role),
    ("rbac.authorization.k8s.io", "rolebindings", "RoleBinding", ChangeKind::RoleBinding),
    ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", ChangeKind::ClusterRole),
    (
        "rbac.authorization.k8s.io",
        "clusterrolebindings",
        "ClusterRoleBinding",
        ChangeKind::ClusterRoleBinding,
    ),
    ("", "serviceaccounts", "ServiceAccount", ChangeKind::ServiceAccount),
    ("", "namespaces", "Namespace", ChangeKind::Namespace),
    ("", "nodes", "Node", ChangeKind::Node),
    ("", "secrets", "Secret", ChangeKind::SecretReference),
    ("", "replicationcontrollers", "ReplicationController", ChangeKind::Workload),
    ("apps", "deployments", "Deployment", ChangeKind::Workload),
    ("apps", "daemonsets", "DaemonSet", ChangeKind::Workload),
    ("apps", "statefulsets", "StatefulSet", ChangeKind::Workload),
    ("apps", "replicasets", "ReplicaSet", ChangeKind::Workload),
    ("batch", "jobs", "Job", ChangeKind::Workload),
    ("batch", "cronjobs", "CronJob", ChangeKind::Workload),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        ChangeKind::AdmissionWebhook,
    ),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        ChangeKind::AdmissionWebhook,
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
        "ValidatingAdmissionPolicy",
        ChangeKind::ValidatingPolicy,
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        ChangeKind::ValidatingPolicy,
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicies",
        "MutatingAdmissionPolicy",
        ChangeKind::ValidatingPolicy,
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
        "MutatingAdmissionPolicyBinding",
        ChangeKind::ValidatingPolicy,
    ),
    ("networking.k8s.io", "networkpolicies", "NetworkPolicy", ChangeKind::NetworkPolicy),
    ("cilium.io", "ciliumnetworkpolicies", "CiliumNetworkPolicy", ChangeKind::NetworkPolicy),
    (
        "cilium.io",
        "ciliumclusterwidenetworkpolicies",
        "CiliumClusterwideNetworkPolicy",
        ChangeKind::NetworkPolicy,
    ),
    ("security.istio.io", "authorizationpolicies", "AuthorizationPolicy", ChangeKind::MeshPolicy),
    ("security.istio.io", "peerauthentications", "PeerAuthentication", ChangeKind::MeshPolicy),
    (
        "security.istio.io",
        "requestauthentications",
        "RequestAuthentication",
        ChangeKind::MeshPolicy,
    ),
    (
        "certificates.k8s.io",
        "certificatesigningrequests",
        "CertificateSigningRequest",
        ChangeKind::CertificateApproval,
    ),
];

/// The object kind of an audited resource, if its writes are changes.
pub(crate) fn kind_of(api_group: &str, resource: &str) -> Option<(&'static str, ChangeKind)> {
    let row =
        RESOURCES.iter().find(|(group, name, ..)| *group == api_group && *name == resource)?;
    Some((row.2, row.3))
}

/// Whether objects of `kind` are configuration whose versions are kept.
pub(crate) fn is_kept(kind: &str) -> bool {
    RESOURCES
        .iter()
        .any(|(_, _, object, change)| *object == kind && *change != ChangeKind::SecretReference)
}
