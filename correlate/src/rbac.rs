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
                let namespace = subject.namespace.as_deref().or(binding_namespace)?;
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

/// The rule as texts `verb group/resource`, for people: `get secrets`, `* */*`, `get /metrics`.
pub(crate) fn permissions(rule: &Rule) -> Vec<String> {
    let mut texts = Vec::new();
    for verb in &rule.verbs {
        for url in &rule.non_resource_urls {
            texts.push(format!("{verb} {url}"));
        }
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let slash = if group.is_empty() { "" } else { "/" };
                texts.push(format!("{verb} {group}{slash}{resource}"));
            }
        }
    }
    texts
}

#[cfg(test)]
mod tests;
