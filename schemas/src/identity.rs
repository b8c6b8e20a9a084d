//! Who: a canonical principal with its realm.
//!
//! Parsing takes the provider, because text alone lies: a Kubernetes user may be named
//! `spiffe://...` and is still that cluster's user.

use std::fmt;
use std::str::FromStr;

use crate::values::{IdentityKind, Provider};

/// A principal: its kind, the realm that vouches for it, and its name there.
///
/// `name` is `None` only for [`IdentityKind::Unauthenticated`] and [`IdentityKind::Unknown`].
/// Joins use all three parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Identity {
    /// What sort of principal.
    pub kind: IdentityKind,
    /// Cluster, trust domain, account, project or tenant.
    pub realm: Option<String>,
    /// The canonical name.
    pub name: Option<String>,
}

/// A tagged identity that does not have the form `kind/realm/text`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading identity {text:?}: expected kind/realm/name with a known kind")]
pub struct NotAnIdentity {
    /// What was found.
    pub text: String,
}

/// Users of the control plane's components. That a name begins with `system:` proves nothing: people of
/// some distributions work as `system:admin`.
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#core-component-roles>
const COMPONENTS: &[&str] = &[
    "system:apiserver",
    "system:cloud-controller-manager",
    "system:konnectivity-server",
    "system:kube-controller-manager",
    "system:kube-proxy",
    "system:kube-scheduler",
];

impl Identity {
    /// The principal that `text` names where `provider` speaks for `realm`.
    #[must_use]
    pub fn parse(provider: Provider, realm: Option<&str>, text: &str) -> Self {
        match provider {
            Provider::Kubernetes => Self::kubernetes(realm, text),
            Provider::Spire | Provider::Envoy | Provider::Istio | Provider::Cilium => {
                Self::spiffe(text)
                    .unwrap_or_else(|| Self::named(IdentityKind::Unknown, realm, text))
            }
            Provider::Aws => Self::aws(text),
            Provider::Gcp => Self::gcp(text),
            Provider::Azure => Self::azure(realm, text),
            Provider::Vault | Provider::Otlp => Self::named(IdentityKind::Unknown, realm, text),
        }
    }

    /// A user name as an API server reports it.
    /// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/>
    #[must_use]
    pub fn kubernetes(cluster: Option<&str>, user: &str) -> Self {
        let kind = if user.is_empty() {
            return Self {
                kind: IdentityKind::Unauthenticated,
                realm: cluster.map(Into::into),
                name: None,
            };
        } else if service_account_parts(user).is_some() {
            IdentityKind::ServiceAccount
        } else if user.strip_prefix("system:node:").is_some_and(|node| !node.is_empty()) {
            IdentityKind::Node
        } else if user == "system:anonymous" {
            IdentityKind::Anonymous
        } else if COMPONENTS.contains(&user) {
            IdentityKind::System
        } else {
            IdentityKind::User
        };
        Self::named(kind, cluster, user)
    }

    /// A SPIFFE ID; `None` if `uri` is none.
    /// <https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#2-spiffe-identity>
    #[must_use]
    pub fn spiffe(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("spiffe://")?;
        let trust_domain = rest.split('/').next().filter(|domain| !domain.is_empty())?;
        Some(Self::named(IdentityKind::Spiffe, Some(trust_domain), uri))
    }

    /// Nobody, in `realm`.
    #[must_use]
    pub fn unauthenticated(realm: Option<&str>) -> Self {
        Self { kind: IdentityKind::Unauthenticated, realm: realm.map(Into::into), name: None }
    }

    /// Namespace and name, for a `ServiceAccount`.
    #[must_use]
    pub fn service_account(&self) -> Option<(&str, &str)> {
        if self.kind != IdentityKind::ServiceAccount {
            return None;
        }
        service_account_parts(self.name.as_deref()?)
    }

    /// The name for people: `namespace/name` for a `ServiceAccount`, else the canonical name.
    #[must_use]
    pub fn short(&self) -> String {
        match (self.service_account(), &self.name) {
            (Some((namespace, name)), _) => format!("{namespace}/{name}"),
            (None, Some(name)) => name.clone(),
            (None, None) => self.kind.to_string(),
        }
    }

    /// An ARN of a role (its sessions are the role), a user or a service.
    fn aws(arn: &str) -> Self {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let [_, partition, service, _, account, resource] = parts[..] else {
            return Self::named(IdentityKind::AwsService, None, arn);
        };
        match (service, resource.split_once('/')) {
            ("sts", Some(("assumed-role", session))) => {
                let role = session.split('/').next().unwrap_or(session);
                let arn = format!("arn:{partition}:iam::{account}:role/{role}");
                Self::named(IdentityKind::AwsRole, Some(account), &arn)
            }
            ("iam", Some(("role", _))) => Self::named(IdentityKind::AwsRole, Some(account), arn),
            ("iam", Some(("user", _))) | ("sts", Some(("federated-user", _))) => {
                Self::named(IdentityKind::AwsUser, Some(account), arn)
            }
            ("iam", None) if resource == "root" => {
                Self::named(IdentityKind::AwsUser, Some(account), arn)
            }
            _ => Self::named(IdentityKind::Unknown, Some(account), arn),
        }
    }

    /// A subject that an identity provider outside the cloud vouches for: a `ServiceAccount` of the
    /// cluster whose issuer that is, or anybody else. The realm is the issuer or the pool.
    #[must_use]
    pub fn federated(issuer: Option<&str>, subject: &str) -> Self {
        let is_account = service_account_parts(subject).is_some();
        let kind = if is_account { IdentityKind::ServiceAccount } else { IdentityKind::User };
        Self::named(kind, issuer, subject)
    }

    /// A principal as Google's audit logs and policies write it. The realm of a service account is
    /// its project, that of a federated subject its pool; users of Google have none.
    /// <https://cloud.google.com/iam/docs/principal-identifiers>
    fn gcp(principal: &str) -> Self {
        let federated = principal.strip_prefix("principal://iam.googleapis.com/");
        if let Some((pool, subject)) = federated.and_then(|rest| rest.split_once("/subject/")) {
            return Self::of_pool(pool, subject);
        }
        let name =
            ["serviceAccount:", "user:"].iter().find_map(|sort| principal.strip_prefix(sort));
        let name = name.unwrap_or(principal);
        // The older form of GKE: `PROJECT.svc.id.goog[namespace/name]`.
        let old = name.strip_suffix(']').and_then(|name| name.split_once('['));
        if let Some((pool, account)) = old {
            return Self::federated(Some(pool), &account_name(account.split_once('/'), account));
        }
        let Some((local, domain)) = name.split_once('@') else {
            return Self::named(IdentityKind::User, None, name);
        };
        if !domain.ends_with("gserviceaccount.com") {
            return Self::named(IdentityKind::User, None, name);
        }
        let project = match domain.strip_suffix(".iam.gserviceaccount.com") {
            Some(project) => project,
            None => local.strip_suffix("-compute").unwrap_or(local),
        };
        Self::named(IdentityKind::GcpServiceAccount, Some(project), name)
    }

    /// A subject of a workload identity pool; GKE has one for each project, `PROJECT.svc.id.goog`.
    fn of_pool(pool: &str, subject: &str) -> Self {
        let gke = pool.rsplit('/').next().filter(|name| name.ends_with(".svc.id.goog"));
        let account = subject.strip_prefix("ns/").and_then(|rest| rest.split_once("/sa/"));
        match gke {
            Some(gke) => Self::federated(Some(gke), &account_name(account, subject)),
            None => Self::federated(Some(pool), subject),
        }
    }

    fn azure(tenant: Option<&str>, text: &str) -> Self {
        let kind = match text.split_once(':') {
            Some(("appid", _)) => IdentityKind::AzureApplication,
            Some(("oid", _)) => IdentityKind::AzureManagedIdentity,
            _ => IdentityKind::User,
        };
        Self::named(kind, tenant, text)
    }

    fn named(kind: IdentityKind, realm: Option<&str>, name: &str) -> Self {
        Self { kind, realm: realm.map(Into::into), name: Some(name.to_owned()) }
    }
}

/// The user name of a `ServiceAccount` by its parts, else `subject` as it is.
fn account_name(parts: Option<(&str, &str)>, subject: &str) -> String {
    parts.map_or_else(
        || subject.to_owned(),
        |(namespace, name)| format!("system:serviceaccount:{namespace}:{name}"),
    )
}

/// `system:serviceaccount:<namespace>:<name>` taken apart; neither part may hold a colon or be empty.
fn service_account_parts(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    let whole = !namespace.is_empty() && !name.is_empty() && !name.contains(':');
    whole.then_some((namespace, name))
}

impl fmt::Display for Identity {
    /// The tagged form: `kind/realm/name`, with `/` and `%` of the realm percent-encoded and `-` for what is absent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let realm = self.realm.as_deref().map_or_else(|| "-".to_owned(), escape_realm);
        match &self.name {
            Some(name) => write!(f, "{}/{realm}/={name}", self.kind),
            None => write!(f, "{}/{realm}/-", self.kind),
        }
    }
}

impl FromStr for Identity {
    type Err = NotAnIdentity;

    fn from_str(text: &str) -> Result<Self, NotAnIdentity> {
        let wrong = || NotAnIdentity { text: text.to_owned() };
        let mut parts = text.splitn(3, '/');
        let (Some(kind), Some(realm), Some(name)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let name = match name.strip_prefix('=') {
            Some(name) => Some(name.to_owned()),
            None if name == "-" => None,
            None => return Err(wrong()),
        };
        let realm = if realm == "-" { None } else { Some(unescape_realm(realm)) };
        Ok(Self { kind: kind.parse().map_err(|_| wrong())?, realm, name })
    }
}

fn escape_realm(realm: &str) -> String {
    let escaped = realm.replace('%', "%25").replace('/', "%2F");
    // A realm that is one dash would read as an absent one.
    if escaped == "-" { "%2D".to_owned() } else { escaped }
}

fn unescape_realm(realm: &str) -> String {
    realm.replace("%2D", "-").replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests;
