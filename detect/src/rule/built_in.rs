//! The rules that come with Durward, in the order of their names.

/// Name and text of each.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("admission_failed_open.yml", include_str!("../../rules/admission_failed_open.yml")),
    ("anonymous_allowed.yml", include_str!("../../rules/anonymous_allowed.yml")),
    ("anonymous_path_allowed.yml", include_str!("../../rules/anonymous_path_allowed.yml")),
    ("aws_auth_changed.yml", include_str!("../../rules/aws_auth_changed.yml")),
    ("csr_approved.yml", include_str!("../../rules/csr_approved.yml")),
    (
        "csr_approved_for_control_plane.yml",
        include_str!("../../rules/csr_approved_for_control_plane.yml"),
    ),
    ("events_deleted.yml", include_str!("../../rules/events_deleted.yml")),
    ("exec_by_person.yml", include_str!("../../rules/exec_by_person.yml")),
    ("exec_by_workload.yml", include_str!("../../rules/exec_by_workload.yml")),
    ("exec_in_kube_system.yml", include_str!("../../rules/exec_in_kube_system.yml")),
    ("exec_reads_token.yml", include_str!("../../rules/exec_reads_token.yml")),
    ("impersonation_by_workload.yml", include_str!("../../rules/impersonation_by_workload.yml")),
    (
        "impersonation_of_control_plane.yml",
        include_str!("../../rules/impersonation_of_control_plane.yml"),
    ),
    ("node_proxy_command.yml", include_str!("../../rules/node_proxy_command.yml")),
    ("node_proxy_used.yml", include_str!("../../rules/node_proxy_used.yml")),
    ("pod_near_node.yml", include_str!("../../rules/pod_near_node.yml")),
    ("pod_opens_node.yml", include_str!("../../rules/pod_opens_node.yml")),
    ("pod_owns_node.yml", include_str!("../../rules/pod_owns_node.yml")),
    (
        "rbac_bound_to_all_authenticated.yml",
        include_str!("../../rules/rbac_bound_to_all_authenticated.yml"),
    ),
    ("rbac_bound_to_everybody.yml", include_str!("../../rules/rbac_bound_to_everybody.yml")),
    ("rbac_cluster_admin_bound.yml", include_str!("../../rules/rbac_cluster_admin_bound.yml")),
    (
        "rbac_cluster_admin_bound_in_namespace.yml",
        include_str!("../../rules/rbac_cluster_admin_bound_in_namespace.yml"),
    ),
    (
        "rbac_held_role_allows_everything.yml",
        include_str!("../../rules/rbac_held_role_allows_everything.yml"),
    ),
    (
        "rbac_role_allows_everything.yml",
        include_str!("../../rules/rbac_role_allows_everything.yml"),
    ),
    ("rbac_role_may_escalate.yml", include_str!("../../rules/rbac_role_may_escalate.yml")),
    ("rights_asked_by_workload.yml", include_str!("../../rules/rights_asked_by_workload.yml")),
    ("secrets_listed.yml", include_str!("../../rules/secrets_listed.yml")),
    ("secrets_watched.yml", include_str!("../../rules/secrets_watched.yml")),
    (
        "token_requested_by_workload.yml",
        include_str!("../../rules/token_requested_by_workload.yml"),
    ),
    (
        "token_requested_for_kube_system.yml",
        include_str!("../../rules/token_requested_for_kube_system.yml"),
    ),
    ("webhook_changed.yml", include_str!("../../rules/webhook_changed.yml")),
    ("webhook_outside_cluster.yml", include_str!("../../rules/webhook_outside_cluster.yml")),
    ("webhook_sees_secrets.yml", include_str!("../../rules/webhook_sees_secrets.yml")),
];
