//! Role-based access control as the API server decides it.
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use durward_schemas::tables::Access;
use durward_schemas::values::SubjectKind;

use crate::body::{Rule, Subject};

/// The subject of a binding in the form that user names and groups have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubjectKey {
    pub kind: SubjectKind,
    pub name: String,
}

impl SubjectKey {
    /// `binding_namespace` stands in for a `ServiceAccount` subject without one.
    pub(crate) fn of(subject: &Subject, binding_namespace: Option<&str>) -> Option<Self> {
        let (kind, name) = match subject.kind.as_str() {
            "ServiceAccount" => {
                // An empty namespace is none, as the authorizer takes it.
                let own = subject.namespace.as_deref().filter(|namespace| !namespace.is_empty());
                let namespace = own.or(binding_namespace)?;
                let name = format!("system:serviceaccount:{namespace}:{}", subject.name);
                (SubjectKind::ServiceAccount, name)
            }
            "User" => (SubjectKind::User, subject.name.clone()),
            "Group" => (SubjectKind::Group, subject.name.clone()),
            _ => return None,
        };
        Some(Self { kind, name })
    }

    /// The subject for people: `ServiceAccount web/frontend`, `User alice`, `Group ops`.
    pub(crate) fn sentence(&self) -> String {
        match self.kind {
            SubjectKind::ServiceAccount => {
                let short = self.name.trim_start_matches("system:serviceaccount:");
                format!("ServiceAccount {}", short.replacen(':', "/", 1))
            }
            SubjectKind::User => format!("User {}", self.name),
            SubjectKind::Group => format!("Group {}", self.name),
        }
    }
}

/// What an authorizer was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub user: &'a str,
    pub groups: &'a [String],
    verb: &'a str,
    api_group: &'a str,
    resource: Option<&'a str>,
    subresource: Option<&'a str>,
    pub namespace: Option<&'a str>,
    name: Option<&'a str>,
    path: &'a str,
}

impl<'a> Question<'a> {
    /// The question behind `access`; `None` where nobody authenticated.
    pub(crate) fn of(access: &'a Access) -> Option<Self> {
        // "the request is evaluated as the impersonated user":
        // https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/
        let (user, groups) = match &access.impersonated_identity {
            Some(user) => (user.as_str(), access.impersonated_groups.as_deref()),
            None => (access.identity.as_deref()?, access.groups.as_deref()),
        };
        let path = access.request_uri.as_deref().unwrap_or_default();
        Some(Self {
            user,
            groups: groups.unwrap_or_default(),
            verb: access.verb.as_deref().unwrap_or_default(),
            api_group: access.api_group.as_deref().unwrap_or_default(),
            resource: access.resource.as_deref(),
            subresource: access.subresource.as_deref(),
            namespace: access.object_namespace.as_deref(),
            name: access.object_name.as_deref(),
            path: path.split('?').next().unwrap_or(path),
        })
    }

    /// The path that is asked for, without its query.
    pub(crate) fn path(&self) -> &str {
        self.path
    }

    /// May the one who asks act as `name`, a `kind` of `users`, `groups` or `serviceaccounts`?
    /// <https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/>
    pub(crate) fn to_impersonate(access: &'a Access) -> Option<Self> {
        let other = access.impersonated_identity.as_deref()?;
        let account = other.strip_prefix("system:serviceaccount:");
        let account = account.and_then(|account| account.split_once(':'));
        let (resource, namespace, name) = match account {
            Some((namespace, name)) => ("serviceaccounts", Some(namespace), name),
            None => ("users", None, other),
        };
        Some(Self {
            user: access.identity.as_deref()?,
            groups: access.groups.as_deref().unwrap_or_default(),
            verb: "impersonate",
            api_group: "",
            resource: Some(resource),
            subresource: None,
            namespace,
            name: Some(name),
            path: "",
        })
    }

    /// Every subject that a binding could name to reach the one who asks.
    pub(crate) fn subjects(&self) -> Vec<SubjectKey> {
        let kind = if self.user.starts_with("system:serviceaccount:") {
            SubjectKind::ServiceAccount
        } else {
            SubjectKind::User
        };
        let as_user = SubjectKey { kind: SubjectKind::User, name: self.user.to_owned() };
        let groups = self
            .groups
            .iter()
            .map(|name| SubjectKey { kind: SubjectKind::Group, name: name.clone() });
        let mut all: Vec<_> = groups.collect();
        if kind == SubjectKind::ServiceAccount {
            all.push(SubjectKey { kind, name: self.user.to_owned() });
        }
        all.push(as_user);
        all
    }

    /// Whether `rule` allows it; the binding's namespace is the caller's matter.
    pub(crate) fn allowed_by(&self, rule: &Rule) -> bool {
        if !has(&rule.verbs, self.verb) {
            return false;
        }
        match self.resource {
            Some(resource) => {
                has(&rule.api_groups, self.api_group)
                    && rule.resources.iter().any(|pattern| self.matches_resource(pattern, resource))
                    && self.matches_name(&rule.resource_names)
            }
            None => rule.non_resource_urls.iter().any(|pattern| matches_path(pattern, self.path)),
        }
    }

    /// `*`, `pods`, `pods/log` or `*/scale`.
    fn matches_resource(&self, pattern: &str, resource: &str) -> bool {
        match (pattern.split_once('/'), self.subresource) {
            _ if pattern == "*" => true,
            (Some((left, right)), Some(subresource)) => {
                right == subresource && (left == "*" || left == resource)
            }
            (None, None) => pattern == resource,
            _ => false,
        }
    }

    fn matches_name(&self, names: &[String]) -> bool {
        names.is_empty()
            || self.name.is_some_and(|name| names.iter().any(|allowed| allowed == name))
    }
}

fn has(allowed: &[String], asked: &str) -> bool {
    allowed.iter().any(|value| value == "*" || value == asked)
}

/// A trailing `*` matches any suffix.
fn matches_path(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

/// The rule as texts `verb group/resource name`, for people: `get secrets`, `* */*`, `get secrets db`.
///
/// A `RoleBinding` gives no paths, so `in_namespace` leaves them out.
pub(crate) fn permissions(rule: &Rule, in_namespace: bool) -> Vec<String> {
    let mut texts = Vec::new();
    let names: Vec<String> = match rule.resource_names.as_slice() {
        [] => vec![String::new()],
        names => names.iter().map(|name| format!(" {name}")).collect(),
    };
    for verb in &rule.verbs {
        let urls = rule.non_resource_urls.iter().filter(|_| !in_namespace);
        texts.extend(urls.map(|url| format!("{verb} {url}")));
        for group in &rule.api_groups {
            let slash = if group.is_empty() { "" } else { "/" };
            for resource in &rule.resources {
                let text = |name| format!("{verb} {group}{slash}{resource}{name}");
                texts.extend(names.iter().map(text));
            }
        }
    }
    texts
}

#[cfg(test)]
mod tests;
