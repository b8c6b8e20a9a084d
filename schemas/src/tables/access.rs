//! Accesses and what became known of them later.

use crate::cell::Json;
use crate::identity::Identity;
use crate::ids::{ChangeId, CredentialId, EventId, LogPosition, RequestKey};
use crate::table::table;
use crate::time::Time;
use crate::values::{
    ChangeKind, CredentialKind, Decision, Edge, Evidence, IdentityKind, Outcome, Provider,
};

table! {
    /// One row for each stage of each request by an identity, with its edges.
    Access = "accesses", recorded: ingest_time {
        /// When the deciding server received the request.
        time: Time,
        /// Time prefix and 128-bit hash of cluster and canonical content; the same by every door.
        event_id: EventId,
        /// This row stands for its request: the first deciding stage in log order.
        judged: bool,
        /// Hash of cluster, audit id, received time, user, verb and URI.
        request_key: RequestKey,
        /// The ordinal of the row in the log.
        log_position: LogPosition,
        /// The Kubernetes cluster; of a cloud's row that of the `ServiceAccount`, if its issuer is known to be the cluster's.
        cluster: Option<String>,
        /// Whose identities and decisions the row speaks of.
        provider: Provider,
        /// Who authenticated; null for a 401.
        identity: Option<String>,
        /// What sort of principal.
        identity_kind: IdentityKind,
        /// Cluster, trust domain, account, project or tenant.
        identity_realm: Option<String>,
        /// The namespace of the `ServiceAccount`.
        namespace: Option<String>,
        /// The name of the `ServiceAccount`.
        service_account: Option<String>,
        /// Kubernetes verb, or a cloud's operation.
        verb: Option<String>,
        /// API group; empty for the core group, a cloud's service.
        api_group: Option<String>,
        /// Resource in plural; null for paths that are not resources.
        resource: Option<String>,
        /// Subresource, such as `exec` or `token`.
        subresource: Option<String>,
        /// Namespace of the object. Chosen by clients.
        object_namespace: Option<String>,
        /// Name of the object. Chosen by clients.
        object_name: Option<String>,
        /// What was decided.
        decision: Decision,
        /// How it ended; an allowed request may fail.
        outcome: Outcome,
        /// HTTP status, where the source has one.
        status_code: Option<i64>,
        /// The owner of the pod that held the credential, as `namespace/name`.
        workload: Option<String>,
        /// Deployment, `DaemonSet`, `StatefulSet`, Job, Pod and so on.
        workload_kind: Option<String>,
        /// How the owner is known: `exact` by the pod's UID, `derived` by its name or as the only workload of the `ServiceAccount`.
        workload_evidence: Option<Evidence>,
        /// The credential that was shown.
        credential_id: Option<CredentialId>,
        /// What sort of credential.
        credential_kind: Option<CredentialKind>,
        /// The last hop that the server saw.
        source_ip: Option<String>,
        /// The latest earlier change that could alter this decision.
        change_id: Option<ChangeId>,
        /// `exact`: it touched the deciding binding, its role or the missing grant; `derived`: other policy of this identity.
        change_evidence: Option<Evidence>,
        /// The trace of the span that made or served this access.
        trace_id: Option<String>,
        /// How the span is known.
        trace_evidence: Option<Evidence>,
        /// Audit stage.
        stage: Option<String>,
        /// The configured source.
        source: String,
        /// `auditID`, `eventID` or `insertId`, as claimed.
        source_event_id: Option<String>,
        /// Cloud account, project or subscription.
        account: Option<String>,
        /// Cloud region.
        region: Option<String>,
        /// UID of the identity, as the server knows it.
        identity_uid: Option<String>,
        /// Groups of the identity.
        groups: Option<Vec<String>>,
        /// The identity that authorization was asked for, when impersonating.
        impersonated_identity: Option<String>,
        /// Groups of the impersonated identity.
        impersonated_groups: Option<Vec<String>>,
        /// The credential that this access minted.
        issued_credential_id: Option<CredentialId>,
        /// Pod that the credential is bound to.
        pod: Option<String>,
        /// UID of that pod.
        pod_uid: Option<String>,
        /// Node that the credential is bound to.
        node: Option<String>,
        /// UID of that node.
        node_uid: Option<String>,
        /// The other end of a mesh access.
        peer_identity: Option<String>,
        /// API version of the resource.
        api_version: Option<String>,
        /// UID of the object, where the server says it.
        object_uid: Option<String>,
        /// Request URI, redacted. Chosen by clients.
        request_uri: Option<String>,
        /// Whether nothing was to be persisted.
        dry_run: Option<bool>,
        /// The authorizer's reason as written.
        decision_reason: Option<String>,
        /// `ClusterRoleBinding/name`, `RoleBinding/namespace/name`, a policy id, `authentication`, or `impersonation` where acting as another was refused.
        decided_by: Option<String>,
        /// `ClusterRole/name` or `Role/namespace/name` that the deciding binding refers to.
        decided_role: Option<String>,
        /// Which subject or group of the binding matched.
        decided_subject: Option<String>,
        /// The response's status reason.
        status_reason: Option<String>,
        /// Time to the answer in microseconds.
        duration_us: Option<i64>,
        /// All addresses but the last: claims of the client.
        forwarded_for: Option<Vec<String>>,
        /// User agent: a claim of the client.
        user_agent: Option<String>,
        /// Trace id that the event itself carries: a claim.
        claimed_trace_id: Option<String>,
        /// Span id that the event itself carries: a claim.
        claimed_span_id: Option<String>,
        /// Request id that the event itself carries.
        request_id: Option<String>,
        /// When the credential was issued, where its minting was seen.
        credential_issued_time: Option<Time>,
        /// When the credential expires, where its minting was seen.
        credential_expires_time: Option<Time>,
        /// Who minted the credential.
        minted_by: Option<String>,
        /// The credential that minted the credential.
        minted_by_credential_id: Option<CredentialId>,
        /// Number of mintings from the root credential to this one.
        lineage_depth: Option<i64>,
        /// How the minting is known.
        lineage_evidence: Option<Evidence>,
        /// The span that made or served this access.
        span_id: Option<String>,
        /// Service of that span.
        trace_service: Option<String>,
        /// Name of that span.
        trace_name: Option<String>,
        /// When the change was made.
        change_time: Option<Time>,
        /// What the change touched.
        change_kind: Option<ChangeKind>,
        /// The change in one sentence.
        change_summary: Option<String>,
        /// Who made the change.
        change_actor: Option<String>,
        /// The latest change of the workload's template.
        workload_change_id: Option<ChangeId>,
        /// OCSF class.
        class_uid: i64,
        /// OCSF activity.
        activity_id: i64,
        /// Audit level.
        level: Option<String>,
        /// Whether the source cut the event.
        truncated: bool,
        /// Audit annotations, redacted.
        annotations: Option<Json>,
        /// `user.extra`, redacted.
        extra: Option<Json>,
        /// Request body, redacted.
        request_object: Option<Json>,
        /// Response body, redacted.
        response_object: Option<Json>,
        /// What no column took, redacted.
        unmapped: Option<Json>,
        /// When the source observed the event.
        observed_time: Option<Time>,
        /// When the log took it.
        ingest_time: Time,
        /// The claimed time was not believable.
        time_suspect: Option<bool>,
        /// The claimed time, as text.
        claimed_time: Option<String>,
        /// The format that it was read as, such as `kube-audit`; docs/reference/sources.md.
        format: String,
        /// Who the door verified as its sender.
        sender: Option<String>,
        /// The cluster that the message itself names: a claim of its sender.
        claimed_cluster: Option<String>,
        /// Where in its source it stood: `file@offset`, topic/partition/offset, object key.
        source_position: Option<String>,
        /// The person or agent on whose behalf the identity acted.
        on_behalf_of: Option<String>,
        /// What sort of principal that is.
        on_behalf_of_kind: Option<IdentityKind>,
        /// How that is known.
        on_behalf_of_evidence: Option<Evidence>,
        /// By what it acted for them: a service, a controller, a delegation.
        via: Option<String>,
        /// The binding that let the identity impersonate, as `decided_by` names bindings.
        impersonation_decided_by: Option<String>,
        /// The change that gave that binding.
        impersonation_change_id: Option<ChangeId>,
        /// SPIRE entry, Vault role or EKS access entry that gave the identity.
        entry_id: Option<String>,
        /// The trace of a span that links to the serving span: the client's.
        linked_trace_id: Option<String>,
        /// That span.
        linked_span_id: Option<String>,
        /// How the link is known.
        link_evidence: Option<Evidence>,
        /// The `request_key` of the same request as another server told it.
        same_request_as: Option<String>,
        /// Who was probably refused by a 401.
        likely_identity: Option<String>,
        /// Why their credential probably no longer held.
        likely_cause: Option<String>,
        /// How that is known.
        likely_evidence: Option<Evidence>,
        /// An object of the event had a name twice: the last counted.
        duplicate_keys: Option<bool>,
        /// Whom a minting answer says that the credential was issued to.
        issued_to: Option<String>,
        /// Until when the issued credential holds.
        issued_expires_time: Option<Time>,
        /// Audiences of the issued credential.
        issued_audience: Option<Vec<String>>,
        /// UID of the pod that the issued credential is bound to.
        issued_pod_uid: Option<String>,
        /// Subjects of a policy change, as the source names them.
        concerns: Option<Vec<String>>,
        /// What a refusal comes to over the policy as it was known: `allow` contradicts it, `unknown` says that not enough was seen.
        replayed_decision: Option<Decision>,
        /// The binding that, as far as is known, gave what was refused, or could have.
        replayed_by: Option<String>,
    }
}

impl Access {
    /// Who authenticated.
    #[must_use]
    pub fn who(&self) -> Identity {
        Identity {
            kind: self.identity_kind,
            realm: self.identity_realm.clone(),
            name: self.identity.clone(),
        }
    }

    /// Whether a write was allowed and then took longer than its client was to wait, which the client may choose: it
    /// may be done yet.
    /// <https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/finisher/finisher.go>
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        let is_read = matches!(self.verb.as_deref(), Some("get" | "list" | "watch"));
        self.provider == Provider::Kubernetes
            && self.decision != Decision::Deny
            && self.status_code == Some(504)
            && !is_read
    }

    /// Whether this stage carries a decision; `RequestReceived` never does (DESIGN decision 6), nor
    /// does the beginning of an operation of Azure, or what SPIRE says of an SVID or a process besides.
    #[must_use]
    pub fn is_deciding(&self) -> bool {
        !matches!(
            self.stage.as_deref(),
            Some("RequestReceived" | "Start" | "Started" | "BeginRequest" | "Signed" | "Attested")
        )
    }
}

table! {
    /// One edge of a judged access that became known, changed or was withdrawn later.
    Amendment = "amendments", recorded: ingest_time {
        /// Time of the access.
        time: Time,
        /// The request that is amended.
        request_key: RequestKey,
        /// Which edge.
        edge: Edge,
        /// Counts from 1 for each request and edge.
        version: i64,
        /// The grade of the edge now.
        evidence: Option<Evidence>,
        /// The columns of the edge with their values; null withdraws the edge.
        values: Option<Json>,
        /// Why the edge changed.
        reason: String,
        /// The position of the row that brought the evidence.
        log_position: LogPosition,
        /// When the log took that row.
        ingest_time: Time,
    }
}
