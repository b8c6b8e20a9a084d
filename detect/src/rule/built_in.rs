//! The rules that come with Durward, in the order of their names.

/// Name and text of each.
pub(crate) const BUILT_IN: &[(&str, &str)] = &[
    ("admission_failed_open.yml", include_str!("../../rules/admission_failed_open.yml")),
    ("anonymous_allowed.yml", include_str!("../../rules/anonymous_allowed.yml")),
    ("anonymous_path_allowed.yml", include_str!("../../rules/anonymous_path_allowed.yml")),
    (
        "aws_access_key_made_by_session.yml",
        include_str!("../../rules/aws_access_key_made_by_session.yml"),
    ),
    ("aws_administrator_attached.yml", include_str!("../../rules/aws_administrator_attached.yml")),
    ("aws_auth_changed.yml", include_str!("../../rules/aws_auth_changed.yml")),
    ("aws_logging_stopped.yml", include_str!("../../rules/aws_logging_stopped.yml")),
    ("aws_trust_anchor_created.yml", include_str!("../../rules/aws_trust_anchor_created.yml")),
    (
        "aws_trust_given_to_another_account.yml",
        include_str!("../../rules/aws_trust_given_to_another_account.yml"),
    ),
    (
        "aws_trust_opened_to_everybody.yml",
        include_str!("../../rules/aws_trust_opened_to_everybody.yml"),
    ),
    (
        "azure_application_credential_added.yml",
        include_str!("../../rules/azure_application_credential_added.yml"),
    ),
    ("azure_diagnostics_deleted.yml", include_str!("../../rules/azure_diagnostics_deleted.yml")),
    (
        "azure_federated_credential_changed.yml",
        include_str!("../../rules/azure_federated_credential_changed.yml"),
    ),
    ("azure_owner_assigned.yml", include_str!("../../rules/azure_owner_assigned.yml")),
    (
        "cloud_access_changed_by_workload.yml",
        include_str!("../../rules/cloud_access_changed_by_workload.yml"),
    ),
    ("csr_approved.yml", include_str!("../../rules/csr_approved.yml")),
    (
        "csr_approved_for_control_plane.yml",
        include_str!("../../rules/csr_approved_for_control_plane.yml"),
    ),
    (
        "csr_created_for_control_plane.yml",
        include_str!("../../rules/csr_created_for_control_plane.yml"),
    ),
    ("csr_created_for_masters.yml", include_str!("../../rules/csr_created_for_masters.yml")),
    (
        "debug_container_mounts_token.yml",
        include_str!("../../rules/debug_container_mounts_token.yml"),
    ),
    ("eks_cluster_admin_granted.yml", include_str!("../../rules/eks_cluster_admin_granted.yml")),
    ("eks_session_tags_disabled.yml", include_str!("../../rules/eks_session_tags_disabled.yml")),
    ("events_deleted.yml", include_str!("../../rules/events_deleted.yml")),
    ("exec_by_person.yml", include_str!("../../rules/exec_by_person.yml")),
    ("exec_by_workload.yml", include_str!("../../rules/exec_by_workload.yml")),
    ("exec_in_kube_system.yml", include_str!("../../rules/exec_in_kube_system.yml")),
    ("exec_reads_token.yml", include_str!("../../rules/exec_reads_token.yml")),
    ("gcp_log_sink_deleted.yml", include_str!("../../rules/gcp_log_sink_deleted.yml")),
    ("gcp_opened_to_everybody.yml", include_str!("../../rules/gcp_opened_to_everybody.yml")),
    ("gcp_owner_granted.yml", include_str!("../../rules/gcp_owner_granted.yml")),
    (
        "gcp_service_account_key_created.yml",
        include_str!("../../rules/gcp_service_account_key_created.yml"),
    ),
    (
        "identity_contradicts_itself.yml",
        include_str!("../../rules/identity_contradicts_itself.yml"),
    ),
    ("impersonation_by_workload.yml", include_str!("../../rules/impersonation_by_workload.yml")),
    (
        "impersonation_of_control_plane.yml",
        include_str!("../../rules/impersonation_of_control_plane.yml"),
    ),
    ("impersonation_of_masters.yml", include_str!("../../rules/impersonation_of_masters.yml")),
    (
        "masters_from_public_address.yml",
        include_str!("../../rules/masters_from_public_address.yml"),
    ),
    ("node_proxy_command.yml", include_str!("../../rules/node_proxy_command.yml")),
    ("node_proxy_used.yml", include_str!("../../rules/node_proxy_used.yml")),
    ("pod_less_confined.yml", include_str!("../../rules/pod_less_confined.yml")),
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
    ("rbac_role_opens_pods.yml", include_str!("../../rules/rbac_role_opens_pods.yml")),
    ("rbac_system_role_bound.yml", include_str!("../../rules/rbac_system_role_bound.yml")),
    ("rbac_system_role_changed.yml", include_str!("../../rules/rbac_system_role_changed.yml")),
    ("rights_asked_by_workload.yml", include_str!("../../rules/rights_asked_by_workload.yml")),
    ("secrets_listed.yml", include_str!("../../rules/secrets_listed.yml")),
    ("secrets_watched.yml", include_str!("../../rules/secrets_watched.yml")),
    (
        "sender_names_another_cluster.yml",
        include_str!("../../rules/sender_names_another_cluster.yml"),
    ),
    (
        "spire_administration_refused_to_workload.yml",
        include_str!("../../rules/spire_administration_refused_to_workload.yml"),
    ),
    ("spire_call_refused.yml", include_str!("../../rules/spire_call_refused.yml")),
    (
        "spire_entry_gives_administration.yml",
        include_str!("../../rules/spire_entry_gives_administration.yml"),
    ),
    ("spire_svid_minted.yml", include_str!("../../rules/spire_svid_minted.yml")),
    (
        "spire_svid_minted_by_workload.yml",
        include_str!("../../rules/spire_svid_minted_by_workload.yml"),
    ),
    (
        "spire_trusts_another_domain.yml",
        include_str!("../../rules/spire_trusts_another_domain.yml"),
    ),
    (
        "system_principal_from_public_address.yml",
        include_str!("../../rules/system_principal_from_public_address.yml"),
    ),
    ("token_requested_by_person.yml", include_str!("../../rules/token_requested_by_person.yml")),
    (
        "token_requested_by_workload.yml",
        include_str!("../../rules/token_requested_by_workload.yml"),
    ),
    (
        "token_requested_for_kube_system.yml",
        include_str!("../../rules/token_requested_for_kube_system.yml"),
    ),
    ("vault_audit_disabled.yml", include_str!("../../rules/vault_audit_disabled.yml")),
    ("vault_login_way_added.yml", include_str!("../../rules/vault_login_way_added.yml")),
    ("vault_root_token_used.yml", include_str!("../../rules/vault_root_token_used.yml")),
    ("webhook_changed.yml", include_str!("../../rules/webhook_changed.yml")),
    ("webhook_outside_cluster.yml", include_str!("../../rules/webhook_outside_cluster.yml")),
    ("webhook_sees_secrets.yml", include_str!("../../rules/webhook_sees_secrets.yml")),
];
