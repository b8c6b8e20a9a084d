//! Columns whose values are a closed list. Stored as text, handled as types.

/// Declares an enum whose variants are stored as text.
macro_rules! text_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The text that the tables hold.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownValue;
            fn from_str(text: &str) -> Result<Self, UnknownValue> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownValue { column: stringify!($name), value: text.to_owned() }),
                }
            }
        }
    };
}

/// A text that is not among the values of its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a value of {column}")]
pub struct UnknownValue {
    /// The type whose values were expected.
    pub column: &'static str,
    /// What was found.
    pub value: String,
}

text_enum! {
    /// Which system's identities and decisions a row speaks of.
    Provider {
        #[default]
        /// A Kubernetes API server.
        Kubernetes = "kubernetes",
        /// Amazon Web Services.
        Aws = "aws",
        /// Google Cloud.
        Gcp = "gcp",
        /// Microsoft Azure.
        Azure = "azure",
        /// A SPIRE server or agent.
        Spire = "spire",
        /// An Envoy proxy.
        Envoy = "envoy",
        /// An Istio mesh.
        Istio = "istio",
        /// Cilium, by Hubble.
        Cilium = "cilium",
        /// `HashiCorp` Vault.
        Vault = "vault",
        /// OpenTelemetry itself.
        Otlp = "otlp",
    }
}

text_enum! {
    /// What sort of principal an identity is.
    IdentityKind {
        /// A Kubernetes `ServiceAccount`.
        ServiceAccount = "service_account",
        /// A SPIFFE ID.
        Spiffe = "spiffe",
        /// A Kubernetes node.
        Node = "node",
        /// A human or any other named user.
        User = "user",
        /// The API server's anonymous user.
        Anonymous = "anonymous",
        /// A component of the control plane (`system:*`).
        System = "system",
        /// An AWS IAM role, its sessions included.
        AwsRole = "aws_role",
        /// An AWS IAM user.
        AwsUser = "aws_user",
        /// An AWS service acting by itself.
        AwsService = "aws_service",
        /// A Google service account.
        GcpServiceAccount = "gcp_service_account",
        /// An Azure application or service principal.
        AzureApplication = "azure_application",
        /// An Azure managed identity.
        AzureManagedIdentity = "azure_managed_identity",
        /// Nobody: authentication failed.
        Unauthenticated = "unauthenticated",
        #[default]
        /// The source did not say.
        Unknown = "unknown",
    }
}

text_enum! {
    /// What the authorizer, or authentication before it, decided.
    Decision {
        /// Let in.
        Allow = "allow",
        /// Refused; a 401 is a refusal by authentication.
        Deny = "deny",
        /// The authorizer failed.
        Error = "error",
        #[default]
        /// The source did not say.
        Unknown = "unknown",
    }
}

text_enum! {
    /// How the request ended; an allowed request may fail.
    Outcome {
        #[default]
        /// Below 400.
        Success = "success",
        /// 400 and above.
        Failure = "failure",
        /// It had not ended.
        Unknown = "unknown",
    }
}

text_enum! {
    /// How good the key is that made an edge.
    Evidence {
        /// A shared key that a client cannot choose.
        Exact = "exact",
        /// Computed from policy or inventory as it was.
        Derived = "derived",
        #[default]
        /// Time or address only.
        Heuristic = "heuristic",
    }
}

text_enum! {
    /// What sort of proof of an identity was shown.
    CredentialKind {
        /// A `ServiceAccount` token from the `TokenRequest` API.
        BoundToken = "bound_token",
        /// A `ServiceAccount` token kept in a Secret.
        LegacyToken = "legacy_token",
        /// A token of an external OIDC issuer.
        OidcToken = "oidc_token",
        /// An X.509 client certificate.
        ClientCertificate = "client_certificate",
        /// An X.509 SVID.
        SvidX509 = "svid_x509",
        /// A JWT SVID.
        SvidJwt = "svid_jwt",
        /// Temporary cloud credentials.
        CloudSession = "cloud_session",
        /// A long-lived cloud key.
        CloudStaticKey = "cloud_static_key",
        /// No credential at all.
        None = "none",
        #[default]
        /// The source did not say.
        Unknown = "unknown",
    }
}

text_enum! {
    /// What a configuration change touched.
    ChangeKind {
        /// A Role.
        Role = "role",
        /// A `RoleBinding`.
        RoleBinding = "role_binding",
        /// A `ClusterRole`.
        ClusterRole = "cluster_role",
        /// A `ClusterRoleBinding`.
        ClusterRoleBinding = "cluster_role_binding",
        /// A `ServiceAccount`.
        ServiceAccount = "service_account",
        #[default]
        /// A pod template: Deployment, `DaemonSet`, `StatefulSet`, Job, `CronJob`, `ReplicaSet`.
        Workload = "workload",
        /// A Namespace and its labels.
        Namespace = "namespace",
        /// A Secret was created, replaced or deleted; never its content.
        SecretReference = "secret_reference",
        /// An admission webhook configuration.
        AdmissionWebhook = "admission_webhook",
        /// A `ValidatingAdmissionPolicy`, a `MutatingAdmissionPolicy` or a binding of one.
        ValidatingPolicy = "validating_policy",
        /// A `NetworkPolicy`.
        NetworkPolicy = "network_policy",
        /// A policy of a service mesh.
        MeshPolicy = "mesh_policy",
        /// How the cluster authenticates.
        AuthenticationConfig = "authentication_config",
        /// A Node.
        Node = "node",
        /// A `CertificateSigningRequest` or its approval.
        CertificateApproval = "certificate_approval",
        /// A cloud role.
        CloudRole = "cloud_role",
        /// A cloud permission policy.
        CloudPolicy = "cloud_policy",
        /// Who may assume a cloud role.
        TrustPolicy = "trust_policy",
        /// The audit policy itself.
        AuditPolicy = "audit_policy",
        /// A SPIRE registration entry.
        SpireEntry = "spire_entry",
    }
}

text_enum! {
    /// What a change did to its object.
    ChangeAction {
        #[default]
        /// Made it.
        Create = "create",
        /// Altered it.
        Update = "update",
        /// Removed it.
        Delete = "delete",
    }
}

text_enum! {
    /// What became of a finding.
    FindingState {
        /// Its incident was told to people.
        Alerted = "alerted",
        /// It joined an incident that was told already.
        Grouped = "grouped",
        #[default]
        /// Kept as a row, not told.
        BelowBudget = "below_budget",
        /// A silence covers it.
        Silenced = "silenced",
        /// Its detector is still learning.
        Learning = "learning",
        /// Later evidence took it back.
        Withdrawn = "withdrawn",
    }
}

text_enum! {
    /// Who holds a grant.
    SubjectKind {
        #[default]
        /// A `ServiceAccount`, written `system:serviceaccount:<namespace>:<name>`.
        ServiceAccount = "service_account",
        /// A user name.
        User = "user",
        /// A group name.
        Group = "group",
    }
}

text_enum! {
    /// Which edge of an access an amendment speaks of.
    Edge {
        #[default]
        /// Who held the credential.
        Workload = "workload",
        /// Which credential was shown.
        Credential = "credential",
        /// Which credential minted it.
        Lineage = "lineage",
        /// Which change made it possible or impossible.
        Change = "change",
        /// Which span belongs to it.
        Trace = "trace",
        /// How it ended.
        Outcome = "outcome",
        /// Which binding let it impersonate.
        Impersonation = "impersonation",
        /// Who was behind it, and who was probably refused.
        Actor = "actor",
        /// Which other row tells of the same request.
        Request = "request",
        /// Which span links to the one that served it.
        Link = "link",
    }
}

text_enum! {
    /// What people found a finding to be.
    Disposition {
        #[default]
        /// An attack.
        TruePositive = "true_positive",
        /// The judgement was wrong.
        FalsePositive = "false_positive",
        /// Rightly seen, and allowed.
        BenignTruePositive = "benign_true_positive",
    }
}

text_enum! {
    /// What a source event is to a finding.
    EventRole {
        #[default]
        /// What is judged.
        Anchor = "anchor",
        /// What the judgement rests on.
        Evidence = "evidence",
        /// What happened around it.
        Context = "context",
    }
}

/// OCSF severity: 1 informational, 2 low, 3 medium, 4 high, 5 critical.
pub mod severity {
    /// Worth a row, no action.
    pub const INFORMATIONAL: i64 = 1;
    /// Worth knowing.
    pub const LOW: i64 = 2;
    /// Worth a look.
    pub const MEDIUM: i64 = 3;
    /// Opens an incident by itself.
    pub const HIGH: i64 = 4;
    /// Opens an incident by itself, and first in line.
    pub const CRITICAL: i64 = 5;

    /// The word for a severity.
    #[must_use]
    pub const fn name(severity_id: i64) -> &'static str {
        match severity_id {
            1 => "informational",
            2 => "low",
            3 => "medium",
            4 => "high",
            _ => "critical",
        }
    }
}
