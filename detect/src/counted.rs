//! What repeats below the budget is one finding with a count (DESIGN decision 26).
//!
//! The anchor of a counted finding is judge, identity, kind of object and UTC day of event time, so
//! the order of arrival does not matter. Each hit of medium severity is also kept by itself for a
//! while: one that opens an incident with another becomes a finding of its own and leaves the count.

use durward_schemas::Time;
use durward_schemas::ids::FindingId;
use durward_schemas::tables::{Access, FindingEvent};
use durward_schemas::values::{IdentityKind, severity};

use crate::detector::{Hit, blindness};
use crate::finding::{Known, Scored};

/// A change counts as shared by an access that it could alter only for so long.
const CHANGE_IS_RECENT: i64 = durward_schemas::time::HOUR;

/// One hit of a counted finding, as the finding that it may become.
#[derive(Debug, Clone)]
pub(crate) struct Single {
    pub known: Known,
    /// The finding that it is counted in.
    pub group: FindingId,
    /// Its events and their roles.
    pub events: Vec<(String, String)>,
}

impl Single {
    pub(crate) fn new(known: Known, group: FindingId) -> Self {
        Self { known, group, events: Vec::new() }
    }

    pub(crate) fn add(&mut self, events: &[FindingEvent]) {
        let pairs = events.iter().map(|event| (event.event_id.to_string(), event.role.to_string()));
        self.events.extend(pairs);
    }
}

/// Whether a hit is one of many that one finding counts.
pub(crate) fn is_counted(hit: &Hit) -> bool {
    hit.repeats && hit.severity_id < severity::HIGH
}

/// The finding that a hit is counted in.
pub(crate) fn group_id(scored: Scored<'_>) -> FindingId {
    let Scored { detector, hit, seen, .. } = scored;
    let time = hit.maker.as_ref().map_or(seen.row.time, |maker| Time(maker.time));
    let anchor = format!("counted\u{1f}{}\u{1f}{}", habit(scored), time.date());
    let rule = hit.rule.as_deref().unwrap_or_default();
    FindingId::of(detector, rule, seen.row.cluster.as_deref(), &anchor)
}

/// Judge, identity and kind of object: what an identity does again and again is its habit.
pub(crate) fn habit(scored: Scored<'_>) -> String {
    let Scored { detector, hit, seen, .. } = scored;
    let judge = hit.rule.as_deref().unwrap_or(detector);
    let (kind, identity, object) = match &hit.maker {
        Some(maker) => {
            (maker.identity_kind.as_str(), Some(&maker.identity), maker.object_kind.clone())
        }
        None => {
            (seen.row.identity_kind.as_str(), seen.row.identity.as_ref(), object_kind(seen.row))
        }
    };
    let identity = identity.map(String::as_str).unwrap_or_default();
    [judge, kind, identity, &object].join("\u{1f}")
}

/// `pods/exec`, `roles.rbac.authorization.k8s.io`, `path` for what is no resource.
pub(crate) fn object_kind(row: &Access) -> String {
    let Some(resource) = &row.resource else { return "path".into() };
    let group = row.api_group.as_deref().filter(|group| !group.is_empty());
    let group = group.map(|group| format!(".{group}")).unwrap_or_default();
    let slash = row.subresource.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    format!("{resource}{group}{slash}")
}

/// Credentials, changes and the identity that another finding may share with this one.
///
/// Those without a valid credential share no identity: the name stands for everybody. What cannot be seen is no deed of
/// anybody: it shares nothing but the credential that it was done with.
pub(crate) fn shared(scored: Scored<'_>) -> Vec<String> {
    let Scored { detector, hit, seen, origin, .. } = scored;
    let row = seen.row;
    let is_blindness = detector == blindness::NAME;
    if let Some(maker) = &hit.maker {
        let credential = maker.credential_id.iter().map(|id| credential(id));
        if is_blindness {
            return credential.collect();
        }
        let rest = [format!("change {}", maker.change_id), format!("identity {}", maker.identity)];
        return credential.chain(rest).collect();
    }
    let mut shared: Vec<String> = origin.credentials.iter().map(|id| credential(id)).collect();
    if is_blindness {
        shared.truncate(1);
        return shared;
    }
    shared.extend(row.issued_credential_id.iter().map(|id| credential(id.as_str())));
    let made = seen.change.map(|change| &change.change_id);
    let is_recent = row.change_time.is_some_and(|time| row.time.since(time) <= CHANGE_IS_RECENT);
    let altered = row.change_id.as_ref().filter(|_| is_recent);
    shared.extend(made.into_iter().chain(altered).map(|id| format!("change {id}")));
    let is_nobody =
        matches!(row.identity_kind, IdentityKind::Anonymous | IdentityKind::Unauthenticated);
    shared.extend(row.identity.iter().filter(|_| !is_nobody).map(|who| format!("identity {who}")));
    shared
}

fn credential(id: &str) -> String {
    format!("credential {id}")
}

/// Whether a row asks for a further page of a listing: the listing is one deed, however long it is.
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks>
pub(crate) fn is_next_page(row: &Access) -> bool {
    let query = row.request_uri.as_deref().and_then(|uri| uri.split_once('?'));
    row.verb.as_deref() == Some("list")
        && query.is_some_and(|(_, query)| {
            query
                .split('&')
                .any(|part| part.strip_prefix("continue=").is_some_and(|t| !t.is_empty()))
        })
}

#[cfg(test)]
mod tests {
    use durward_schemas::Time;

    use super::*;
    use crate::detector::Seen;
    use crate::finding::Cause;
    use crate::lineage::Origin;
    use crate::owner::Maker;
    use crate::settings::Settings;

    /// What a hit of `detector` on a row by alice shares, or on a controller's row for what alice made.
    fn check(detector: &str, is_made: bool, expected: &[&str]) {
        let row = Access {
            identity: Some("alice".into()),
            change_id: Some("old".into()),
            change_time: Some(Time(0)),
            ..Access::default()
        };
        let maker = Maker {
            identity: "alice".into(),
            identity_kind: "user".into(),
            credential_id: Some("X509SHA256=a".into()),
            change_id: "made".into(),
            change_summary: String::new(),
            request_key: String::new(),
            event_id: String::new(),
            time: 0,
            object_kind: "deployments.apps".into(),
        };
        let hit = Hit { maker: is_made.then_some(maker), ..Hit::default() };
        let credentials = ["X509SHA256=a", "JTI=root"].map(str::to_owned).to_vec();
        let origin = Origin { credentials, ..Origin::default() };
        let (seen, cause, settings) = (Seen::of(&row), Cause::default(), &Settings::default());
        let scored = Scored { detector, hit: &hit, seen, origin: &origin, cause, settings };
        assert_eq!(shared(scored), expected, "{detector}");
    }

    /// Scenario: findings about what cannot be seen and about deeds, of a row and of what its owner's maker made.
    /// Guarantees: the former share the credential itself and nothing else, so that they pair with no other story.
    #[test]
    fn what_cannot_be_seen_shares_its_credential_only() {
        let credential = "credential X509SHA256=a";
        check("blindness", false, &[credential]);
        check("blindness", true, &[credential]);
        check("sigma", false, &[credential, "credential JTI=root", "change old", "identity alice"]);
        check("sigma", true, &[credential, "change made", "identity alice"]);
    }
}
