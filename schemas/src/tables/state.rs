//! What is known of configuration, credentials, workloads and permissions.

use crate::cell::Json;
use crate::ids::{ChangeId, CredentialId, EventId, LogPosition};
use crate::table::table;
use crate::time::Time;
use crate::values::{
    ChangeAction, ChangeKind, CredentialKind, Evidence, IdentityKind, Provider, SubjectKind,
};

table! {
    /// One configuration change that can alter what an identity may do, or what a workload is.
    Change = "changes", recorded: ingest_time {
        /// When the server received the request that made it.
        time: Time,
        /// Hash of cluster, event and object.
        change_id: ChangeId,
        /// The ordinal of the row's cause in the log.
        log_position: LogPosition,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// Whose configuration.
        provider: Provider,
        /// What was touched.
        kind: ChangeKind,
        /// What was done to it.
        action: ChangeAction,
        /// API group of the object.
        api_group: Option<String>,
        /// Resource of the object.
        resource: String,
        /// Namespace of the object.
        namespace: Option<String>,
        /// Name of the object.
        name: Option<String>,
        /// Who made the change.
        actor: String,
        /// What sort of principal made it.
        actor_kind: IdentityKind,
        /// The credential that the actor used.
        actor_credential_id: Option<CredentialId>,
        /// The access that made the change.
        event_id: Option<EventId>,
        /// The object before, where it was seen.
        before: Option<Json>,
        /// The object after, where the body was logged.
        after: Option<Json>,
        /// The change in one sentence.
        summary: String,
        /// Permissions that it gave, as `verb group/resource`.
        grants_added: Option<Vec<String>>,
        /// Permissions that it took.
        grants_removed: Option<Vec<String>>,
        /// Whose permissions changed.
        subjects: Option<Vec<String>>,
        /// The change that this one undoes or repeats.
        flap_of: Option<String>,
        /// The configured source.
        source: String,
        /// When the log took its cause.
        ingest_time: Time,
    }
}

table! {
    /// One issued proof of an identity, as known at `recorded_time`.
    Credential = "credentials_versions", recorded: recorded_time {
        /// `JTI=...`, `X509SHA256=...`, an access key id.
        credential_id: CredentialId,
        /// Counts from 1 for each credential.
        version: i64,
        /// When this version was recorded.
        recorded_time: Time,
        /// The ordinal of the row's cause in the log.
        log_position: LogPosition,
        /// What sort of credential.
        credential_kind: CredentialKind,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// Whose identity it proves.
        identity: Option<String>,
        /// What sort of principal that is.
        identity_kind: IdentityKind,
        /// Its realm.
        identity_realm: Option<String>,
        /// When it was issued; null if the issuing was not seen.
        issued_time: Option<Time>,
        /// When it expires.
        expires_time: Option<Time>,
        /// Who issued it.
        issued_by: Option<String>,
        /// The credential of the issuer.
        issued_by_credential_id: Option<CredentialId>,
        /// The access that issued it.
        issued_event_id: Option<EventId>,
        /// Audiences that it was issued for.
        audiences: Option<Vec<String>>,
        /// Pod that it is bound to.
        pod: Option<String>,
        /// UID of that pod.
        pod_uid: Option<String>,
        /// Node that it is bound to.
        node: Option<String>,
        /// UID of that node.
        node_uid: Option<String>,
        /// The first credential of its lineage.
        root_credential_id: Option<CredentialId>,
        /// Number of mintings from the root.
        depth: Option<i64>,
        /// How the lineage is known.
        evidence: Evidence,
    }
}

table! {
    /// One pod incarnation, or a process that holds an SVID, as known at `recorded_time`.
    Workload = "workloads_versions", recorded: recorded_time {
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// Namespace of the pod; empty for a process whose SPIFFE ID names none.
        namespace: String,
        /// Name of the pod; `pid:NUMBER/PATH` for a process that got the SVID with that path from SPIRE.
        pod: String,
        /// UID of the pod.
        pod_uid: Option<String>,
        /// Counts from 1 for each pod incarnation.
        version: i64,
        /// When this version was recorded.
        recorded_time: Time,
        /// The ordinal of the row's cause in the log.
        log_position: LogPosition,
        /// Deployment, `DaemonSet`, `StatefulSet`, Job, Pod and so on; `Process` for one that holds an SVID.
        workload_kind: Option<String>,
        /// Name of the owner; the SPIFFE ID of a process.
        workload: Option<String>,
        /// `ServiceAccount` that the pod runs as.
        service_account: Option<String>,
        /// Node that it runs on.
        node: Option<String>,
        /// Address of the pod.
        ip: Option<String>,
        /// Images of its containers.
        images: Option<Vec<String>>,
        /// From when it existed.
        valid_from: Option<Time>,
        /// Until when it existed.
        valid_to: Option<Time>,
        /// How the owner is known.
        evidence: Evidence,
    }
}

table! {
    /// One effective permission for a subject, from then to then, as known at `recorded_time`.
    Grant = "grants_versions", recorded: recorded_time {
        /// The Kubernetes cluster.
        cluster: String,
        /// What sort of subject.
        subject_kind: SubjectKind,
        /// The subject's name.
        subject: String,
        /// The verb; `*` for all.
        verb: String,
        /// The API group; `*` for all.
        api_group: Option<String>,
        /// The resource, with `/subresource`; `*` for all.
        resource: Option<String>,
        /// Counts from 1 for each grant.
        version: i64,
        /// When this version was recorded.
        recorded_time: Time,
        /// The ordinal of the row's cause in the log.
        log_position: LogPosition,
        /// The subresource.
        subresource: Option<String>,
        /// The object's name, where the rule names one.
        object_name: Option<String>,
        /// A path that is not a resource.
        non_resource_url: Option<String>,
        /// The namespace; null for cluster-wide.
        namespace: Option<String>,
        /// `ClusterRole/name` or `Role/namespace/name`.
        role: String,
        /// `ClusterRoleBinding/name` or `RoleBinding/namespace/name`.
        binding: String,
        /// The change that gave it.
        granted_by_change_id: Option<ChangeId>,
        /// The change that took it.
        revoked_by_change_id: Option<ChangeId>,
        /// From when it held; null if it was there before we looked.
        valid_from: Option<Time>,
        /// Until when it held.
        valid_to: Option<Time>,
        /// How it is known.
        evidence: Evidence,
    }
}
