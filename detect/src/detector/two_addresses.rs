//! One pod-bound credential from two source addresses: a pod has one, so a second user has a copy.
//!
//! What is ordinary is no evidence: the pod's own address, an address that kubelets use too (host
//! network, source NAT), one address of each family, and an address that the tokens of many pods were
//! used from already: a NAT, a proxy or an aggregated API server. That is learned of the address itself,
//! never of the population: where many tokens have two addresses, a third one is as grave as ever.
//! Only the last hop is looked at; earlier ones are claims of the client. Where a node is shows a request that it was let
//! make: whoever was refused may have named it only.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::address::spelled;
use durward_schemas::controllers::MANAGER;
use durward_schemas::ids::EventId;
use durward_schemas::shares;
use durward_schemas::tables::{Access, Workload};
use durward_schemas::values::{IdentityKind, Provider, severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::detector::{Detector, Hit, Seen, owner};
use crate::escape::shell;
use crate::memory::{Look, Memory};
use crate::rule::source::is_allowed;
use crate::sentence;

/// Pods, node addresses and credentials remembered, of each.
const MOST: usize = 50_000;

/// An address that so many others use, which belong elsewhere, is shared. Another namespace is one, however many
/// tokens it has, since whoever has one makes as many as he likes; in the token's own namespace each counts.
const MANY: usize = 3;

/// Where pods and nodes are, and from where credentials were used.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TwoAddresses {
    pods: Memory<Key, String>,
    nodes: Memory<Key, ()>,
    uses: Memory<Key, Use>,
    /// By cluster and address: the credentials that were used from there and belong elsewhere.
    #[serde(default = "nothing")]
    shared_by: Memory<Key, Sharing>,
}

/// A cluster and a pod's UID, an address or a credential.
type Key = (String, String);

/// From where a credential was used: the first address of each family, and whether from elsewhere.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Use {
    /// Address and event, by family.
    first: BTreeMap<String, (String, String)>,
}

impl Default for TwoAddresses {
    fn default() -> Self {
        Self {
            pods: Memory::of(MOST),
            nodes: Memory::of(MOST),
            uses: Memory::of(MOST),
            shared_by: nothing(),
        }
    }
}

impl Detector for TwoAddresses {
    fn name(&self) -> &'static str {
        "two_addresses"
    }

    fn learn(&mut self, pod: &Workload) {
        if let (Some(uid), Some(ip)) = (&pod.pod_uid, &pod.ip) {
            let cluster = name(pod.cluster.as_ref());
            let owner = shares::owner(&[&cluster, &pod.namespace]);
            self.pods.insert((cluster, uid.clone()), &owner, spelled(ip));
        }
    }

    fn judge(&mut self, Seen { row, .. }: Seen<'_>) -> Vec<Hit> {
        let Some(address) = row.source_ip.as_deref().filter(|_| row.judged) else {
            return Vec::new();
        };
        let (address, cluster) = (spelled(address), name(row.cluster.as_ref()));
        if row.identity_kind == IdentityKind::Node {
            if is_by_node(row) {
                let owner = shares::owner(&[&cluster, row.identity.as_deref().unwrap_or_default()]);
                self.nodes.insert((cluster, address), &owner, ());
            }
            return Vec::new();
        }
        let (Some(credential), Some(uid)) = (&row.credential_id, &row.pod_uid) else {
            return Vec::new();
        };
        if self.nodes.get(&(cluster.clone(), address.clone())).is_some() {
            return Vec::new();
        }
        let pod_ip = self.pods.get(&(cluster.clone(), uid.clone())).cloned();
        let key = (cluster.clone(), credential.to_string());
        let used = self.uses.entry(&key, || owner(row), Use::default);
        let Some(home) = used.home(row, &address, pod_ip) else { return Vec::new() };
        let place = (cluster, address.clone());
        let sharing = self.shared_by.entry(&place, || owner(row), Sharing::default);
        let others = sharing.take(&name(row.namespace.as_ref()), credential.as_str());
        vec![hit(row, &address, &home, others)]
    }

    fn memories(&self, look: Look<'_>) {
        look("pod_addresses", &self.pods);
        look("node_addresses", &self.nodes);
        look("credential_addresses", &self.uses);
        look("shared_addresses", &self.shared_by);
    }

    fn save(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn restore(&mut self, saved: Value) -> Result<(), serde_json::Error> {
        *self = serde_json::from_value(saved)?;
        Ok(())
    }
}

/// Whether an API server let a node do it, by a credential of the node's own: what it made for itself, or what it
/// joined the cluster by.
fn is_by_node(row: &Access) -> bool {
    let is_own = |minter: &str| {
        minter == MANAGER
            || minter.starts_with("system:bootstrap:")
            || Some(minter) == row.identity.as_deref()
    };
    row.provider == Provider::Kubernetes
        && is_allowed(row)
        && row.minted_by.as_deref().is_none_or(is_own)
}

/// Credentials that were used from an address, by the namespace of their holders.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Sharing(BTreeMap<String, BTreeSet<String>>);

fn nothing() -> Memory<Key, Sharing> {
    Memory::of(MOST)
}

impl Sharing {
    /// Takes note of a credential; how many others use the address.
    fn take(&mut self, namespace: &str, credential: &str) -> usize {
        if self.0.len() <= MANY || self.0.contains_key(namespace) {
            let here = self.0.entry(namespace.to_owned()).or_default();
            if here.len() <= MANY {
                here.insert(credential.to_owned());
            }
        }
        let here = self.0.get(namespace).into_iter().flatten();
        let elsewhere = self.0.keys().filter(|other| *other != namespace);
        here.filter(|other| *other != credential).count() + elsewhere.count()
    }
}

/// The address that a credential belongs to, and how that is known.
struct Home {
    address: String,
    /// The event that showed it; none if it is the pod's own.
    event_id: Option<String>,
}

impl Use {
    /// Where the credential belongs, if that is not `address`.
    fn home(&mut self, row: &Access, address: &str, pod_ip: Option<String>) -> Option<Home> {
        let pod_ip = pod_ip.filter(|ip| family(ip) == family(address));
        if let Some(ip) = pod_ip {
            return (ip != address).then_some(Home { address: ip, event_id: None });
        }
        let here = || (address.to_owned(), row.event_id.to_string());
        let (first, event_id) = self.first.entry(family(address).to_owned()).or_insert_with(here);
        let event_id = Some(event_id.clone());
        (first != address).then(|| Home { address: first.clone(), event_id })
    }
}

fn hit(row: &Access, address: &str, home: &Home, others: usize) -> Hit {
    let (who, deed) = (sentence::who(row), sentence::deed(row));
    let belongs = match home.event_id {
        None => format!("its pod has the address {}", home.address),
        Some(_) => format!("it was first used from {}", home.address),
    };
    let is_shared = others >= MANY;
    let count = i64::try_from(others).unwrap_or(i64::MAX);
    Hit {
        anchor: row.credential_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        title: "Token of a pod used from another address".into(),
        reason: format!("{who} {deed} from {address} with a token bound to the pod, but {belongs}"),
        severity_id: if is_shared { severity::INFORMATIONAL } else { severity::HIGH },
        evidence: home.event_id.as_deref().map(EventId::from).into_iter().collect(),
        unusual: Some(match (is_shared, others) {
            (true, _) => {
                format!(
                    "the tokens of {MANY} or more others were used from {address} too: it is shared"
                )
            }
            (false, 0) => format!("no other pod's token was used from {address}"),
            (false, _) => {
                let tokens = sentence::count(count, "token of another pod");
                format!("{tokens} used from {address} too")
            }
        }),
        ledger: vec![json!({
            "address": address,
            "belongs_to": home.address,
            "other_tokens_there": others,
        })],
        techniques: vec!["T1528".into(), "T1550.001".into()],
        next_step: next_step(row),
        ..Hit::default()
    }
}

/// A bound token ends with its pod.
/// <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens>
fn next_step(row: &Access) -> String {
    match (&row.pod, &row.namespace) {
        (Some(pod), Some(namespace)) => format!(
            "kubectl delete pod -n {} -- {}  # its token ends with it",
            shell(namespace),
            shell(pod)
        ),
        _ => format!("durward explain {}", row.event_id),
    }
}

fn family(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

fn name(cluster: Option<&String>) -> String {
    cluster.cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use durward_schemas::values::{Decision, Outcome};

    use super::*;

    fn row(token: usize, address: &str) -> Access {
        Access {
            judged: true,
            event_id: EventId(format!("{token} {address}")),
            source_ip: Some(address.into()),
            credential_id: Some(format!("JTI={token}").into()),
            pod: Some("pod".into()),
            pod_uid: Some(format!("uid-{token}")),
            namespace: Some("shop".into()),
            ..Access::default()
        }
    }

    /// A request that a node was let make.
    fn node(address: &str) -> Access {
        Access {
            identity: Some("system:node:node-1".into()),
            identity_kind: IdentityKind::Node,
            decision: Decision::Allow,
            ..row(9, address)
        }
    }

    /// Severities of the hits of a sequence of uses.
    fn check(judge: &mut TwoAddresses, uses: &[(usize, &str)], expected: &[i64]) {
        let rows: Vec<Access> = uses.iter().map(|(token, address)| row(*token, address)).collect();
        let hits = rows.iter().flat_map(|row| judge.judge(Seen::of(row)));
        assert_eq!(hits.map(|hit| hit.severity_id).collect::<Vec<_>>(), expected, "{uses:?}");
    }

    fn with_pod(token: usize, ip: &str) -> TwoAddresses {
        let mut judge = TwoAddresses::default();
        let uid = Some(format!("uid-{token}"));
        judge.learn(&Workload { pod_uid: uid, ip: Some(ip.into()), ..Workload::default() });
        judge
    }

    const HIGH: i64 = severity::HIGH;

    /// Scenario: a token at one address, at two, in either order, and at its pod's.
    /// Guarantees: the second place is found; where the pod is known, any other place is, also the first.
    #[test]
    fn a_second_place_is_found() {
        let new = TwoAddresses::default;
        check(&mut new(), &[(1, "10.0.0.1"), (1, "10.0.0.1"), (2, "10.0.0.2")], &[]);
        check(&mut new(), &[(1, "10.0.0.1"), (1, "198.51.100.7")], &[HIGH]);
        check(&mut with_pod(1, "10.0.0.1"), &[(1, "10.0.0.1"), (1, "10.0.0.1")], &[]);
        check(&mut with_pod(1, "10.0.0.1"), &[(1, "198.51.100.7"), (1, "10.0.0.1")], &[HIGH]);
    }

    /// Scenario: a pod with both families, a pod behind its node's address, credentials of no pod.
    /// Guarantees: none of them is a second place; a second address of one family is.
    #[test]
    fn what_is_ordinary_is_no_evidence() {
        let mut judge = with_pod(1, "10.0.0.1");
        check(&mut judge, &[(1, "fd00::1"), (1, "10.0.0.1"), (1, "fd00::1")], &[]);
        check(&mut judge, &[(1, "fd00::2")], &[HIGH]);
        assert!(judge.judge(Seen::of(&node("192.0.2.1"))).is_empty());
        check(&mut judge, &[(2, "10.0.0.2"), (2, "192.0.2.1")], &[]);
        for address in ["10.0.0.3", "10.0.0.4"] {
            let unbound = Access { pod_uid: None, ..row(3, address) };
            assert!(judge.judge(Seen::of(&unbound)).is_empty());
        }
    }

    /// Scenario: a token is used from its own address and from one that a node was let in from, was refused at, claims
    /// without an answer, or used with a certificate that somebody else asked for.
    /// Guarantees: only a request that a node was let make, with a credential of its own, teaches where nodes are.
    #[test]
    fn only_nodes_teach_where_nodes_are() {
        let check = |node: Access, expected: &[i64]| {
            let mut judge = with_pod(1, "10.0.0.1");
            assert!(judge.judge(Seen::of(&node)).is_empty());
            self::check(&mut judge, &[(1, "192.0.2.1")], expected);
        };
        let there = || node("192.0.2.1");
        check(there(), &[]);
        for decision in [Decision::Deny, Decision::Error, Decision::Unknown] {
            let outcome = Outcome::Failure;
            check(Access { decision, outcome, status_code: Some(401), ..there() }, &[HIGH]);
        }
        let minted = |by: &str| Access { minted_by: Some(by.into()), ..there() };
        check(minted("system:node:node-1"), &[]);
        check(minted("system:bootstrap:abcdef"), &[]);
        check(minted("mallory"), &[HIGH]);
        check(minted("system:node:node-2"), &[HIGH]);
        check(Access { provider: Provider::Envoy, ..there() }, &[HIGH]);
    }

    /// Scenario: pods, nodes and tokens at addresses of IPv6, in brackets, with zones, in full, and of IPv4 mapped into it.
    /// Guarantees: one address is one place however it is written; another one is found as with IPv4.
    #[test]
    fn an_address_is_one_however_it_is_written() {
        let full = "FD00:0:0:0:0:0:0:1";
        check(
            &mut with_pod(1, full),
            &[(1, "fd00::1"), (1, "[fd00::1]"), (1, "[fd00::1]:443")],
            &[],
        );
        check(&mut with_pod(1, full), &[(1, "fd00::2")], &[HIGH]);
        check(&mut with_pod(1, "10.0.0.1"), &[(1, "::ffff:10.0.0.1")], &[]);
        check(&mut with_pod(1, "10.0.0.1"), &[(1, "::ffff:10.0.0.2")], &[HIGH]);
        for (of_node, used) in [("[fe80::1%eth0]", "fe80::1"), ("::ffff:192.0.2.1", "192.0.2.1")] {
            for (of_node, used) in [(of_node, used), (used, of_node)] {
                let mut judge = TwoAddresses::default();
                check(&mut judge, &[(1, "fe80::7"), (1, "10.0.0.1")], &[]);
                judge.judge(Seen::of(&node(of_node)));
                check(&mut judge, &[(1, used)], &[]);
            }
        }
    }

    /// Scenario: somebody uses four tokens of two pods of his own namespace, and four of another one, from two
    /// addresses, then the token that he stole in a third one.
    /// Guarantees: the theft is as grave as without them: two namespaces are two, however many tokens they have.
    #[test]
    fn tokens_of_ones_own_share_no_address() {
        let mut judge = TwoAddresses::default();
        let of = |namespace: &str, token: usize, address: &str| Access {
            namespace: Some(namespace.into()),
            ..row(token, address)
        };
        for token in 0..8 {
            for address in ["10.0.0.1", "198.51.100.7"] {
                let namespace = if token < 4 { "attacker" } else { "other" };
                judge.judge(Seen::of(&of(namespace, token, address)));
            }
        }
        let mut hit = |address: &str| judge.judge(Seen::of(&of("victim", 9, address))).pop();
        assert_eq!(hit("10.0.0.9"), None);
        assert_eq!(hit("198.51.100.7").map(|hit| hit.severity_id), Some(HIGH));
    }

    /// Scenario: tokens of six pods are used from an address that all share, then one of them from an
    /// address that nobody shares.
    /// Guarantees: after the third the shared address is known as such and opens nothing; another address
    /// is as grave as ever, however many tokens have two.
    #[test]
    fn an_address_that_many_share_is_learned() {
        let mut judge = TwoAddresses::default();
        let shared: Vec<_> =
            (0..6).flat_map(|token| [(token, "10.0.0.1"), (token, "10.0.0.2")]).collect();
        check(&mut judge, &shared, &[HIGH, HIGH, HIGH, 1, 1, 1]);
        check(&mut judge, &[(5, "10.0.0.2"), (5, "198.51.100.7")], &[1, HIGH]);
        check(&mut judge, &[(7, "10.0.0.1"), (7, "10.0.0.2")], &[1]);
    }
}
