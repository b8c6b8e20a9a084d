//! An identity reads one Secret after the other, by name and across namespaces, that it never read before.
//!
//! Whoever starts reads what it needs: what a pod, or who has none, begins to read in its first moments is
//! its work and says little. Kubelets read the Secrets of their pods, and are left out by their kind.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::ids::EventId;
use durward_schemas::tables::Access;
use durward_schemas::time::{MINUTE, SECOND};
use durward_schemas::values::{Provider, severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::detector::{Detector, Hit, Seen, actor, owner};
use crate::escape::shell;
use crate::memory::{Look, Memory};
use crate::rule::source::{came_to_nothing, is_allowed};
use crate::sentence;

/// Identities and pods remembered, of each.
const MOST: usize = 20_000;

/// Secrets remembered of one identity.
const MOST_SECRETS: usize = 256;
/// As many of one namespace never give way: whoever reads so many of so many namespaces reads whatever there is, and
/// what comes after is not judged.
const KEPT_OF_NAMESPACE: usize = 32;

/// So many Secrets in so many namespaces within this time are an enumeration.
const LEAST_SECRETS: usize = 6;
const LEAST_NAMESPACES: usize = 3;
const WITHIN: i64 = 10 * MINUTE;

/// Who was seen for so long has begun to read what it needs to start.
const STARTED: i64 = 30 * SECOND;

/// What identities read, and since when they are seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SecretsEnumerated {
    read: Memory<(String, String), Read>,
    /// Time of the first request, by cluster and UID of a pod, or the identity.
    seen_since: Memory<(String, String), i64>,
}

/// What one identity reads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Read {
    /// Namespace and name, with a slash between them.
    known: BTreeSet<String>,
    /// Those that were new within the time of an enumeration: when, and by which event.
    new: BTreeMap<String, (i64, String)>,
    /// The enumeration which goes on.
    began: Option<Began>,
}

/// How an enumeration began: the event that made it one, and how long after its reader was seen first half of
/// the Secrets were read.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Began {
    event: String,
    after: i64,
}

impl Default for SecretsEnumerated {
    fn default() -> Self {
        Self { read: Memory::of(MOST), seen_since: Memory::of(MOST) }
    }
}

impl Read {
    /// Takes note of a Secret; how the enumeration began, if it is part of one.
    fn take(&mut self, secret: String, row: &Access, seen_since: i64) -> Option<Began> {
        let is_new = !self.known.contains(&secret);
        if !is_new || (self.known.len() >= MOST_SECRETS && !self.make_room()) {
            return None;
        }
        self.known.insert(secret.clone());
        let time = row.time.0;
        self.new.retain(|_, (then, _)| time.abs_diff(*then) <= WITHIN.unsigned_abs());
        self.new.insert(secret, (time, row.event_id.to_string()));
        if self.new.len() < LEAST_SECRETS || self.namespaces() < LEAST_NAMESPACES {
            self.began = None;
            return None;
        }
        if self.began.is_none() {
            let mut times: Vec<i64> = self.new.values().map(|(then, _)| *then).collect();
            times.sort_unstable();
            let median = times.get(times.len() / 2).copied().unwrap_or(time);
            let event = row.event_id.to_string();
            self.began = Some(Began { event, after: median.saturating_sub(seen_since) });
        }
        self.began.clone()
    }

    /// Forgets a Secret of the namespace of which most are known: whoever reads many of his own forgets those. False
    /// where none has too many.
    fn make_room(&mut self) -> bool {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (namespace, _) in self.known.iter().filter_map(|secret| secret.split_once('/')) {
            *counts.entry(namespace).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let Some((namespace, _)) = most.filter(|(_, count)| *count > KEPT_OF_NAMESPACE) else {
            return false;
        };
        let prefix = format!("{namespace}/");
        let first = self.known.range(prefix.clone()..).next().cloned();
        first
            .filter(|secret| secret.starts_with(&prefix))
            .is_some_and(|secret| self.known.remove(&secret))
    }

    fn namespaces(&self) -> usize {
        let namespaces = self.new.keys().filter_map(|secret| secret.split_once('/'));
        namespaces.map(|(namespace, _)| namespace).collect::<BTreeSet<_>>().len()
    }
}

impl Detector for SecretsEnumerated {
    fn name(&self) -> &'static str {
        "secrets_enumerated"
    }

    fn judge(&mut self, Seen { row, .. }: Seen<'_>) -> Vec<Hit> {
        let Some(identity) = actor(row).map(str::to_owned) else { return Vec::new() };
        if !row.judged || row.provider != Provider::Kubernetes {
            return Vec::new();
        }
        let cluster = row.cluster.clone().unwrap_or_default();
        let reader = row.pod_uid.clone().unwrap_or_else(|| identity.clone());
        let since =
            *self.seen_since.entry(&(cluster.clone(), reader), || owner(row), || row.time.0);
        let Some(secret) = secret_of(row) else { return Vec::new() };
        let read = self.read.entry(&(cluster, identity), || owner(row), Read::default);
        let began = read.take(secret, row, since);
        began.map(|began| hit(row, read, &began)).into_iter().collect()
    }

    fn memories(&self, look: Look<'_>) {
        look("secret_readers", &self.read);
        look("readers_since", &self.seen_since);
    }

    fn save(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn restore(&mut self, saved: Value) -> Result<(), serde_json::Error> {
        *self = serde_json::from_value(saved)?;
        Ok(())
    }
}

/// Namespace and name of the Secret that the row read. One that is not there was not read.
fn secret_of(row: &Access) -> Option<String> {
    let is_core = row.api_group.as_deref().unwrap_or_default().is_empty();
    let is_secret = row.resource.as_deref() == Some("secrets") && row.subresource.is_none();
    // A write that is only tried answers with the Secret, too.
    let answers = match row.verb.as_deref() {
        Some("get") => true,
        Some("update" | "patch" | "delete") => row.dry_run == Some(true),
        _ => false,
    };
    let is_read = answers && is_allowed(row) && !came_to_nothing(row);
    let secret = format!("{}/{}", row.object_namespace.as_ref()?, row.object_name.as_ref()?);
    (is_core && is_secret && is_read).then_some(secret)
}

fn hit(row: &Access, read: &Read, began: &Began) -> Hit {
    let (who, place) = (sentence::who(row), sentence::place(row));
    let (secrets, namespaces) = (read.new.len(), read.namespaces());
    let within = sentence::duration(WITHIN);
    let after = sentence::duration(began.after);
    Hit {
        anchor: began.event.clone(),
        title: "Secrets read one after the other".into(),
        reason: format!(
            "{who} read {secrets} Secrets of {namespaces} namespaces by name within {within} from {place}, \
             none of which it was seen to read before"
        ),
        severity_id: if began.after < STARTED { severity::LOW } else { severity::MEDIUM },
        evidence: read.new.values().map(|(_, event)| EventId::from(event.as_str())).collect(),
        unusual: Some(format!("{secrets} new Secrets, {after} after it was seen first")),
        ledger: vec![json!({
            "secrets": secrets,
            "namespaces": namespaces,
            "seconds_since_first_seen": began.after / SECOND,
        })],
        techniques: vec!["T1552.007".into(), "T1613".into()],
        next_step: format!("durward who -- {}", shell(row.identity.as_deref().unwrap_or_default())),
        ..Hit::default()
    }
}

#[cfg(test)]
mod tests {
    use durward_schemas::Time;
    use durward_schemas::values::{Decision, IdentityKind};

    use super::*;

    /// One read: when, in seconds, of which namespace and name.
    fn read(second: i64, namespace: &str, name: &str) -> Access {
        Access {
            judged: true,
            time: Time(second * 1_000_000),
            event_id: EventId(format!("{second} {namespace}/{name}")),
            identity: Some("system:serviceaccount:ops:rotator".into()),
            identity_kind: IdentityKind::ServiceAccount,
            verb: Some("get".into()),
            resource: Some("secrets".into()),
            object_namespace: Some(namespace.into()),
            object_name: Some(name.into()),
            decision: Decision::Allow,
            ..Access::default()
        }
    }

    /// Severities of the hits of rows, with the state saved and read again in between.
    fn judged(rows: &[Access]) -> Vec<i64> {
        let mut judge = SecretsEnumerated::default();
        let mut severities = Vec::new();
        for row in rows {
            severities.extend(judge.judge(Seen::of(row)).iter().map(|hit| hit.severity_id));
            let saved = judge.save().expect("it can be saved");
            judge.restore(saved).expect("it can be read");
        }
        severities
    }

    fn walk(second: i64, secrets: usize, namespaces: usize) -> Vec<Access> {
        let one = |at: usize| {
            let second = second + i64::try_from(at).expect("few");
            read(second, &format!("n{}", at % namespaces), &format!("s{at}"))
        };
        (0..secrets).map(one).collect()
    }

    fn other() -> Access {
        Access { resource: Some("pods".into()), ..read(0, "ops", "p") }
    }

    /// Scenario: a ServiceAccount that was known for minutes reads Secrets of three namespaces by name; fewer,
    /// of fewer namespaces, slowly, the same again, refused, not there,
    /// and as kubelets do.
    /// Guarantees: only many new ones of many namespaces in a short time are medium.
    #[test]
    fn many_new_secrets_of_many_namespaces() {
        let after = |rows: Vec<Access>| judged(&[vec![other()], rows].concat());
        assert_eq!(after(walk(300, 7, 3)), [severity::MEDIUM, severity::MEDIUM]);
        assert_eq!(after(walk(300, 5, 3)), [0; 0]);
        assert_eq!(after(walk(300, 20, 2)), [0; 0]);
        let slowly = walk(300, 20, 4).into_iter().enumerate();
        let slowly = slowly.map(|(at, row)| Access {
            time: row.time.plus(i64::try_from(at).expect("few") * 3 * MINUTE),
            ..row
        });
        assert_eq!(after(slowly.collect()), [0; 0]);
        let again = (300..).zip(["a", "b", "c"].repeat(7));
        let again = again.map(|(second, namespace)| read(second, namespace, "s")).collect();
        assert_eq!(after(again), [0; 0]);
        let refused = walk(300, 20, 4).into_iter();
        assert_eq!(
            after(refused.map(|row| Access { decision: Decision::Deny, ..row }).collect()),
            [0; 0]
        );
        let missing = walk(300, 20, 4).into_iter();
        let missing = missing.map(|row| Access { status_code: Some(404), ..row });
        assert_eq!(after(missing.collect()), [0; 0]);
        let node = walk(300, 20, 4).into_iter();
        let node = node.map(|row| Access { identity_kind: IdentityKind::Node, ..row });
        assert_eq!(after(node.collect()), [0; 0]);
        let custom = walk(300, 20, 4).into_iter();
        let custom = custom.map(|row| Access { api_group: Some("x.example".into()), ..row });
        assert_eq!(after(custom.collect()), [0; 0]);
    }

    /// Scenario: a controller reads all its Secrets when its pod is seen first, and goes on for an hour.
    /// Guarantees: that is low, and opens nothing.
    #[test]
    fn who_starts_reads_what_it_needs() {
        assert_eq!(judged(&walk(300, 7, 3)), [severity::LOW, severity::LOW]);
        let slowly = walk(300, 60, 4).into_iter().enumerate();
        let slowly = slowly.map(|(at, row)| Access {
            time: row.time.plus(i64::try_from(at.saturating_sub(8)).expect("few") * MINUTE),
            ..row
        });
        assert!(judged(&slowly.collect::<Vec<_>>()).iter().all(|it| *it == severity::LOW));
    }

    /// Scenario: an identity first reads as many Secrets of its own namespace as are remembered, then those of others;
    /// and one that has read so many of many namespaces for long.
    /// Guarantees: nobody exempts himself by Secrets of his own; whose work it is to read them all is not told again.
    #[test]
    fn secrets_of_ones_own_give_way() {
        let own = (0..300).map(|at| read(at * 60, "own", &format!("s{at}")));
        let others =
            (0..9).map(|at| read(20_000 + at, &format!("ns{}", at % 3), &format!("s{at}")));
        let rows: Vec<Access> = own.chain(others).collect();
        assert!(judged(&rows).contains(&severity::MEDIUM));
        let all = |second: i64, from: i64| {
            (from..from + 300).map(move |at| {
                read(second + at * 700, &format!("ns{}", at % 20), &format!("s{at}"))
            })
        };
        let rows: Vec<Access> = all(0, 0).chain(all(1_000_000, 150)).collect();
        assert_eq!(judged(&rows), Vec::<i64>::new());
    }

    /// Scenario: Secrets are read one after the other by writes that are only tried, and by writes.
    /// Guarantees: a write that is only tried answers with the Secret, and is a read of it.
    #[test]
    fn what_is_only_tried_is_read() {
        let rows = |verb: &str, dry_run: bool| -> Vec<Access> {
            let row = |at: i64| Access {
                verb: Some(verb.into()),
                dry_run: Some(dry_run),
                ..read(1_000 + at, &format!("ns{}", at % 3), &format!("s{at}"))
            };
            std::iter::once(read(0, "own", "s")).chain((0..9).map(row)).collect()
        };
        for verb in ["update", "patch", "delete"] {
            assert!(judged(&rows(verb, true)).contains(&severity::MEDIUM), "{verb}");
            assert_eq!(judged(&rows(verb, false)), Vec::<i64>::new(), "{verb}");
        }
    }
}
