//! An identity does something sensitive that it never did, and that its peers do not do.
//!
//! This detector learns: until it has known the identity for a day and has twenty peers to
//! compare it with, its rows say what it knows and nobody is told. Alone it never opens an
//! incident; it makes another detector's finding weigh more.

use std::collections::BTreeSet;

use durward_schemas::Time;
use durward_schemas::tables::Access;
use durward_schemas::time::HOUR;
use durward_schemas::values::severity;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::detector::{Detector, Hit, Seen, actor, owner};
use crate::memory::{Look, Memory};
use crate::rule::source::{came_to_nothing, is_allowed};
use crate::sentence;
use crate::settings::Settings;

/// Identities and actions remembered, of each.
const MOST: usize = 20_000;

/// Actions remembered of one identity; what comes after is not judged.
const MOST_ACTIONS: usize = 512;

/// What identities are known to do.
#[derive(Debug)]
pub(crate) struct FirstSeen {
    settings: Settings,
    known: Known,
}

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    habits: Memory<(String, String), Habits>,
    /// How many identities do it, by cluster, kind of identity and action.
    doers: Memory<(String, String, String), i64>,
    /// By cluster and kind of identity.
    peers: Memory<(String, String), Peers>,
}

/// One identity: since when it is known, and what it does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Habits {
    since: i64,
    requests: i64,
    actions: BTreeSet<String>,
}

/// All identities of one kind in one cluster.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Peers {
    identities: i64,
    requests: i64,
    novelties: i64,
}

impl FirstSeen {
    pub(crate) fn new(settings: &Settings) -> Self {
        let known =
            Known { habits: Memory::of(MOST), doers: Memory::of(MOST), peers: Memory::of(1_000) };
        Self { settings: settings.clone(), known }
    }
}

/// What is known at the moment of one novelty.
struct Knowledge {
    known_for: i64,
    requests: i64,
    peers: i64,
    doers: i64,
    chance: f64,
}

impl Known {
    /// Takes note of a row; what is known if it is the identity's first sensitive action of its sort.
    fn take(
        &mut self,
        row: &Access,
        identity: &str,
        learned_since: Option<Time>,
    ) -> Option<(String, Knowledge)> {
        let cluster = row.cluster.clone().unwrap_or_default();
        let kind = row.identity_kind.to_string();
        let peers =
            self.peers.entry(&(cluster.clone(), kind.clone()), || cluster.clone(), Peers::default);
        peers.requests += 1;
        let habits = self.habits.entry(
            &(cluster.clone(), identity.to_owned()),
            || owner(row),
            || {
                peers.identities += 1;
                Habits { since: row.time.0, ..Habits::default() }
            },
        );
        habits.requests += 1;
        let action = sensitive(row).filter(|_| habits.actions.len() < MOST_ACTIONS)?;
        if !habits.actions.insert(action.clone()) {
            return None;
        }
        peers.novelties += 1;
        let doers = self.doers.entry(&(cluster, kind, action.clone()), || owner(row), || 0);
        *doers += 1;
        let since = Time(habits.since).max(learned_since.unwrap_or(Time(habits.since)));
        let knowledge = Knowledge {
            known_for: row.time.since(since).max(0),
            requests: habits.requests - 1,
            peers: peers.identities - 1,
            doers: *doers - 1,
            chance: ratio(peers.novelties, peers.requests),
        };
        Some((action, knowledge))
    }
}

impl Detector for FirstSeen {
    fn name(&self) -> &'static str {
        "first_seen"
    }

    fn configure(&mut self, settings: &Settings) {
        self.settings = settings.clone();
    }

    fn judge(&mut self, Seen { row, .. }: Seen<'_>) -> Vec<Hit> {
        let Some(identity) = actor(row) else { return Vec::new() };
        if !row.judged || !is_allowed(row) || came_to_nothing(row) {
            return Vec::new();
        }
        let novelty = self.known.take(row, identity, self.settings.learned_since);
        // Of who was never seen before nothing is known that this could differ from.
        let novelty = novelty.filter(|(_, known)| known.requests > 0);
        novelty
            .map(|(action, known)| hit(row, &action, &known, &self.settings))
            .into_iter()
            .collect()
    }

    fn memories(&self, look: Look<'_>) {
        look("identity_habits", &self.known.habits);
        look("habit_doers", &self.known.doers);
    }

    fn save(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&self.known)
    }

    fn restore(&mut self, saved: Value) -> Result<(), serde_json::Error> {
        self.known = serde_json::from_value(saved)?;
        Ok(())
    }
}

fn hit(row: &Access, action: &str, known: &Knowledge, settings: &Settings) -> Hit {
    let least_peers = i64::try_from(settings.learn_peers).unwrap_or(i64::MAX);
    let learning = known.known_for < settings.learn_for || known.peers < least_peers;
    let hours = known.known_for / HOUR;
    let severity_id = match (learning, known.doers) {
        (true, _) => severity::INFORMATIONAL,
        (false, 0) => severity::MEDIUM,
        (false, _) => severity::LOW,
    };
    let (who, deed, place) = (sentence::who(row), sentence::deed(row), sentence::place(row));
    Hit {
        anchor: row.request_key.to_string(),
        title: format!("First time: {action}"),
        reason: format!(
            "{who} {deed} from {place}, which it never did in {hours} h that it is known"
        ),
        severity_id,
        learning,
        unusual: Some(format!(
            "first time in {} and {hours} h; {} of {} peers do this",
            sentence::count(known.requests, "request"),
            known.doers,
            known.peers
        )),
        ledger: vec![json!({
            "action": action,
            "known_hours": hours,
            "known_requests": known.requests,
            "known_peers": known.peers,
            "peers_that_do_it": known.doers,
        })],
        p_value: Some(known.chance),
        next_step: format!("durward explain {}", row.event_id),
        ..Hit::default()
    }
}

/// The action with its scope, if it is one of those that give secrets, power or a shell.
fn sensitive(row: &Access) -> Option<String> {
    let verb = row.verb.as_deref()?;
    let resource = row.resource.as_deref()?;
    let subresource = row.subresource.as_deref().unwrap_or_default();
    let writes = !matches!(verb, "get" | "list" | "watch");
    let group = row.api_group.as_deref().unwrap_or_default();
    // A custom resource that is called like one of these is another.
    let is_sensitive = (group.is_empty()
        && matches!(
            (resource, subresource),
            ("secrets", "")
                | ("pods", "exec" | "attach" | "portforward" | "ephemeralcontainers")
                | ("nodes" | "services" | "pods", "proxy")
                | ("serviceaccounts", "token")
        ))
        || (writes
            && matches!(
                group,
                "rbac.authorization.k8s.io"
                    | "admissionregistration.k8s.io"
                    | "certificates.k8s.io"
            ));
    let as_another = if row.impersonated_identity.is_some() { " as another identity" } else { "" };
    if !is_sensitive && as_another.is_empty() {
        return None;
    }
    let slash = if subresource.is_empty() { "" } else { "/" };
    Some(format!("{verb} {resource}{slash}{subresource} {}{as_another}", scope(row)))
}

fn scope(row: &Access) -> &'static str {
    match (&row.object_namespace, &row.namespace) {
        (None, _) => "cluster-wide",
        (Some(object), Some(own)) if object == own => "in its own namespace",
        (Some(object), _) if object == "kube-system" => "in kube-system",
        (Some(_), Some(_)) => "in another namespace",
        (Some(_), None) => "in one namespace",
    }
}

fn ratio(part: i64, whole: i64) -> f64 {
    let number = |n: i64| f64::from(i32::try_from(n).unwrap_or(i32::MAX));
    (number(part) + 0.5) / (number(whole) + 1.0)
}

#[cfg(test)]
mod tests {
    use durward_schemas::values::{Decision, IdentityKind, Outcome};

    use super::*;

    fn row(identity: &str, hour: i64, verb: &str, resource: &str) -> Access {
        Access {
            judged: true,
            time: Time(hour * HOUR),
            identity: Some(identity.into()),
            identity_kind: IdentityKind::ServiceAccount,
            namespace: Some("shop".into()),
            decision: Decision::Allow,
            verb: Some(verb.into()),
            resource: Some(resource.into()),
            ..Access::default()
        }
    }

    /// Severity of the one hit, and whether it is still learning, of `identity` at `hour` among `peers`.
    fn check(peers: usize, others_do_it: usize, hour: i64, expected: Option<(i64, bool)>) {
        let mut judge = FirstSeen::new(&Settings::default());
        let mut take = |row: Access| judge.judge(Seen::of(&row));
        take(row("it", 0, "get", "pods"));
        for peer in 0..peers {
            let resource = if peer < others_do_it { "secrets" } else { "pods" };
            take(row(&format!("peer-{peer}"), 0, "list", resource));
        }
        let hits = take(row("it", hour, "list", "secrets"));
        assert_eq!(hits.first().map(|hit| (hit.severity_id, hit.learning)), expected);
        assert!(take(row("it", hour, "list", "secrets")).is_empty(), "the second time is no first");
    }

    /// Scenario: a first listing of Secrets, early and late, with few and many peers.
    /// Guarantees: nobody is told before a day and twenty peers; what peers do weighs less.
    #[test]
    fn it_learns_before_it_tells() {
        check(30, 0, 23, Some((severity::INFORMATIONAL, true)));
        check(19, 0, 30, Some((severity::INFORMATIONAL, true)));
        check(20, 0, 24, Some((severity::MEDIUM, false)));
        check(20, 1, 24, Some((severity::LOW, false)));
    }

    /// Scenario: first deeds that give nothing, are refused, or are a controller's.
    /// Guarantees: they are no finding.
    #[test]
    fn only_sensitive_deeds_count() {
        let mut judge = FirstSeen::new(&Settings::default());
        let refused = Access { decision: Decision::Deny, ..row("a", 0, "list", "secrets") };
        let node = Access { identity_kind: IdentityKind::Node, ..row("a", 0, "list", "secrets") };
        for row in [row("a", 0, "list", "pods"), refused, node] {
            assert!(judge.judge(Seen::of(&row)).is_empty());
        }
    }

    /// Scenario: a Secret that is not there is asked for, and a day later one that is.
    /// Guarantees: what came to nothing is neither a first time nor a habit; the first that is read is.
    #[test]
    fn what_came_to_nothing_is_no_deed() {
        let mut judge = FirstSeen::new(&Settings::default());
        let get = |hour| row("it", hour, "get", "secrets");
        assert!(judge.judge(Seen::of(&row("it", 0, "get", "pods"))).is_empty());
        let missing = Access { status_code: Some(404), outcome: Outcome::Failure, ..get(1) };
        assert!(judge.judge(Seen::of(&missing)).is_empty());
        assert_eq!(judge.judge(Seen::of(&get(25))).len(), 1);
    }
}
