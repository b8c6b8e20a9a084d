//! Which change of a cloud's policies could alter the decision on a call.
//!
//! Clouds seldom say which policy refused, and hold more policies than their logs ever name. The latest
//! change of what the caller may do, or of who may become the role that was asked for, is therefore
//! derived; exact is only what a cloud itself names as deciding: Azure the role assignment that let in, AWS
//! a policy that denies.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::Time;
use durward_schemas::ids::ChangeId;
use durward_schemas::tables::{Access, Change};
use durward_schemas::values::{ChangeKind, Evidence, Provider};

use crate::state::policy::Cause;

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// What this principal may do.
    Holder(String),
    /// Who may become this role.
    Trust(String),
    /// This assignment of a role.
    Assignment(String),
    /// A managed policy of AWS, which many may hold.
    Policy(String),
    /// Who may reach this bucket or key.
    Resource(String),
}

/// When a holder was given a policy (true) and when it lost it.
type Attached = BTreeMap<Time, bool>;

/// Changes by what they are about. Derived from the changes that the state holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CloudPolicy {
    changes: BTreeMap<About, BTreeSet<(Time, ChangeId)>>,
    /// Managed policies by their holder.
    attached: BTreeMap<String, BTreeMap<String, Attached>>,
}

impl CloudPolicy {
    /// Takes note of whom a change concerns.
    pub(crate) fn index(&mut self, change: &Change) {
        for about in about_change(change) {
            let entry = self.changes.entry(about).or_default();
            entry.insert((change.time, change.change_id.clone()));
        }
        let given = change.grants_added.iter().flatten().map(|grant| (grant, true));
        let taken = change.grants_removed.iter().flatten().map(|grant| (grant, false));
        for (grant, is_given) in given.chain(taken).filter(|_| change.provider == Provider::Aws) {
            let Some((policy, _)) = grant.split_once(" to ") else { continue };
            for holder in change.subjects.iter().flatten() {
                let policies = self.attached.entry(principal(holder)).or_default();
                let times = policies.entry(policy.to_owned()).or_default();
                times.insert(change.time, is_given);
            }
        }
    }

    /// The latest change before `access` of what decides on it.
    pub(crate) fn cause(&self, access: &Access) -> Option<Cause> {
        let latest = |about: &About| {
            // CloudTrail tells whole seconds: what is of the same one is not known to be earlier.
            self.changes.get(about)?.iter().rev().find(|(time, _)| *time < access.time)
        };
        if access.decided_by.as_deref() == Some("authentication") {
            return None;
        }
        let named = named(access.decided_by.as_deref());
        if let Some((_, change)) = named.as_ref().and_then(latest) {
            return Some(Cause { change: change.clone(), evidence: Evidence::Exact });
        }
        let (_, change) = self.about(access).iter().filter_map(latest).max()?;
        Some(Cause { change: change.clone(), evidence: Evidence::Derived })
    }

    /// Tells of an access whether `change` could alter the decision on it.
    pub(crate) fn concerns(&self, change: &Change) -> impl Fn(&Access) -> bool + use<'_> {
        let (about, time) = (about_change(change), change.time);
        move |access| {
            let named = || named(access.decided_by.as_deref());
            time < access.time
                && is_decided_by_cloud(access)
                && self.about(access).into_iter().chain(named()).any(|it| about.contains(&it))
        }
    }

    /// Everything that may decide on `access`.
    fn about(&self, access: &Access) -> Vec<About> {
        let who = access.identity.as_deref().map(principal);
        let policies = who.iter().flat_map(|who| self.policies(who, access.time));
        let mut about: Vec<About> = policies.map(|policy| About::Policy(policy.clone())).collect();
        // Azure assigns roles to objects of its directory, and logs may call them by other names.
        let object = access.identity_uid.as_deref().filter(|_| access.provider == Provider::Azure);
        let object = object.map(|id| principal(&format!("oid:{id}")));
        about.extend(who.into_iter().chain(object).map(About::Holder));
        if access.verb.as_deref().is_some_and(|verb| verb.starts_with("AssumeRole")) {
            about.extend(access.object_name.as_deref().map(|role| About::Trust(principal(role))));
        }
        about.extend(resource(access.api_group.as_deref(), access.object_name.as_deref()));
        about
    }

    /// The managed policies that `holder` had at `time`. Who loses one later had it before.
    fn policies(&self, holder: &str, time: Time) -> impl Iterator<Item = &String> {
        let had = move |times: &Attached| {
            let before = times.range(..=time).next_back().map(|(_, is_given)| *is_given);
            before.unwrap_or_else(|| times.values().next() == Some(&false))
        };
        let policies = self.attached.get(holder).into_iter().flatten();
        policies.filter(move |(_, times)| had(times)).map(|(policy, _)| policy)
    }
}

/// Whether a cloud decides on accesses like this.
fn is_decided_by_cloud(access: &Access) -> bool {
    matches!(access.provider, Provider::Aws | Provider::Gcp | Provider::Azure)
}

fn about_change(change: &Change) -> Vec<About> {
    let subjects = change.subjects.iter().flatten().map(|subject| principal(subject));
    match (change.provider, change.kind) {
        // Who may enter a cluster is for the cluster to decide.
        (_, ChangeKind::AuthenticationConfig) => Vec::new(),
        (Provider::Aws, ChangeKind::TrustPolicy) => {
            let is_role = |name: &str| name.contains(":role/");
            subjects
                .map(|name| if is_role(&name) { About::Trust(name) } else { About::Holder(name) })
                .collect()
        }
        // A role that is made or deleted is one that can or cannot be assumed.
        (Provider::Aws, ChangeKind::CloudRole) => {
            subjects.flat_map(|name| [About::Holder(name.clone()), About::Trust(name)]).collect()
        }
        (Provider::Aws | Provider::Gcp | Provider::Azure, _) => {
            let name = change.name.as_deref();
            subjects
                .map(About::Holder)
                .chain(named(name))
                .chain(resource(change.api_group.as_deref(), name))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// One name for a principal: AWS leaves out the path of a role in the ARN of its sessions.
pub(crate) fn principal(name: &str) -> String {
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    match parts[..] {
        ["arn", _, "iam", _, account, resource] => {
            let sort = resource.split('/').next().unwrap_or_default();
            let last = resource.rsplit('/').next().unwrap_or_default();
            format!("{account}:{sort}/{last}")
        }
        _ => name.to_ascii_lowercase(),
    }
}

/// The assignment of a role or the policy of this name.
fn named(name: Option<&str>) -> Option<About> {
    let policy = name.filter(|name| name.starts_with("arn:") && name.contains(":policy/"));
    policy.map(|arn| About::Policy(arn.to_owned())).or_else(|| assignment(name))
}

/// The assignment in `roleAssignments/ID`, at the end of the path of a resource.
fn assignment(path: Option<&str>) -> Option<About> {
    let (rest, id) = path?.rsplit_once('/')?;
    let sort = rest.rsplit('/').next()?;
    sort.eq_ignore_ascii_case("roleAssignments").then(|| About::Assignment(id.to_ascii_lowercase()))
}

/// The bucket of `arn:aws:s3:::bucket/object`, the key of `arn:aws:kms:REGION:ACCOUNT:key/ID`: these have
/// policies of their own.
fn resource(service: Option<&str>, name: Option<&str>) -> Option<About> {
    let name = name?.rsplit(':').next()?;
    let found = match service? {
        "s3.amazonaws.com" => name.split('/').next()?,
        "kms.amazonaws.com" => name.strip_prefix("key/").unwrap_or(name),
        _ => return None,
    };
    Some(About::Resource(found.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(id: &str, at: i64, kind: ChangeKind, name: &str, subject: &str) -> Change {
        Change {
            change_id: ChangeId(id.into()),
            time: Time(at),
            provider: if subject.starts_with("oid:") { Provider::Azure } else { Provider::Aws },
            kind,
            name: Some(name.into()),
            subjects: Some(vec![subject.into()]),
            ..Change::default()
        }
    }

    fn call(
        provider: Provider,
        who: &str,
        verb: &str,
        object: &str,
        by: Option<&str>,
        at: i64,
    ) -> Access {
        Access {
            provider,
            identity: Some(who.into()),
            verb: Some(verb.into()),
            object_name: Some(object.into()),
            decided_by: by.map(Into::into),
            time: Time(at),
            ..Access::default()
        }
    }

    /// Checks which change each call leads to, and that news of it concerns the call.
    fn check(changes: &[Change], cases: Vec<(Access, Option<(&str, Evidence)>)>) {
        let mut state = CloudPolicy::default();
        for change in changes {
            state.index(change);
        }
        for (access, expected) in cases {
            let cause = state.cause(&access);
            let found = cause.as_ref().map(|cause| (cause.change.as_str(), cause.evidence));
            assert_eq!(found, expected, "{access:?}");
            let news = changes.iter().any(|change| {
                state.concerns(change)(&access)
                    && Some(change.change_id.as_str()) == found.map(|it| it.0)
            });
            assert_eq!(news, expected.is_some(), "{access:?}");
        }
    }

    /// Scenario: changes of what a role may do, of who may become it, and of a role assignment; calls by the
    /// role, of the role, in the same instant, without a valid credential, and let in by the assignment.
    /// Guarantees: each call leads to the latest change of what decides on it, and only an assignment that is
    /// named is exact; news of a change concerns the calls whose cause it may be.
    #[test]
    fn calls_lead_to_what_decides_on_them() {
        let role = "arn:aws:iam::1:role/ledger";
        let changes = [
            change("policy", 10, ChangeKind::CloudPolicy, "ledger", role),
            change("trust", 20, ChangeKind::TrustPolicy, "ledger", role),
            change("entry", 30, ChangeKind::AuthenticationConfig, "ledger", role),
            change("assigned", 40, ChangeKind::CloudPolicy, "/x/roleAssignments/A1", "oid:p"),
            change("other", 50, ChangeKind::CloudPolicy, "/x/roleAssignments/b2", "oid:p"),
        ];
        let path = "arn:aws:iam::1:role/apps/ledger";
        let aws = |verb, object, by, at| call(Provider::Aws, path, verb, object, by, at);
        let azure = |by, at| call(Provider::Azure, "OID:P", "read", "vault", by, at);
        let (derived, exact) = (Evidence::Derived, Evidence::Exact);
        check(
            &changes,
            vec![
                (aws("GetObject", "b", None, 60), Some(("policy", derived))),
                (aws("GetObject", "b", None, 10), None),
                (aws("GetObject", "b", Some("authentication"), 60), None),
                (aws("AssumeRole", path, None, 60), Some(("trust", derived))),
                (
                    aws("AssumeRole", "arn:aws:iam::2:role/ledger", None, 60),
                    Some(("policy", derived)),
                ),
                (azure(None, 60), Some(("other", derived))),
                (azure(Some("roleAssignments/a1"), 60), Some(("assigned", exact))),
            ],
        );
    }

    /// Scenario: a managed policy gets another version, a role loses it later, a bucket gets a policy; calls by
    /// the role before and after, and into the bucket.
    /// Guarantees: the version concerns the role while it has the policy, the bucket's policy who goes there.
    #[test]
    fn policies_of_many_and_of_resources_concern_calls() {
        let (reader, managed) = ("arn:aws:iam::1:role/reader", "arn:aws:iam::1:policy/managed");
        let of_nobody = |id, at, name| Change {
            api_group: Some("s3.amazonaws.com".into()),
            subjects: None,
            ..change(id, at, ChangeKind::CloudPolicy, name, "")
        };
        let changes = [
            of_nobody("version", 20, managed),
            of_nobody("bucket", 22, "arn:aws:s3:::vault"),
            Change {
                grants_removed: Some(vec![format!("{managed} to reader")]),
                ..change("taken", 30, ChangeKind::CloudPolicy, "reader", reader)
            },
        ];
        let by_reader = |object, at| Access {
            api_group: Some("s3.amazonaws.com".into()),
            ..call(Provider::Aws, reader, "GetObject", object, None, at)
        };
        check(
            &changes,
            vec![
                (by_reader("b", 15), None),
                (by_reader("b", 25), Some(("version", Evidence::Derived))),
                (by_reader("b", 35), Some(("taken", Evidence::Derived))),
                (
                    call(Provider::Aws, "x", "GetObject", "b", Some(managed), 35),
                    Some(("version", Evidence::Exact)),
                ),
                (by_reader("arn:aws:s3:::vault/gold", 25), Some(("bucket", Evidence::Derived))),
            ],
        );
    }
}
