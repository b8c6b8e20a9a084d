//! Who may speak for which cluster: the map of the operator in, what one client may say out.
//!
//! A client is who its certificate says, and nothing that it sends changes that. A cluster that is in the map
//! is spoken for by those who have it there, and by nobody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::client::Client;

/// A name in a certificate, of the sort that it is there: one of another sort that reads the same is another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A URI among the subject alternative names, such as a SPIFFE ID.
    Uri(String),
    /// A DNS name among them.
    Dns(String),
    /// The whole subject, as `CN=kube-apiserver,O=prod`, in the order of the certificate.
    Subject(String),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uri(name) => write!(f, "uri:{name}"),
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Subject(name) => write!(f, "subject:{name}"),
        }
    }
}

/// What a sender may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The name in its certificate.
    pub name: Name,
    /// Its clusters.
    pub clusters: BTreeSet<String>,
    /// The source that its rows are booked under, if not that of the door.
    pub source: Option<String>,
}

/// What becomes of what a sender says of a cluster that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mismatch {
    /// It is refused.
    #[default]
    Refuse,
    /// It is kept, of no cluster or of the sender's only one, with what it claimed.
    Keep,
}

/// The map.
#[derive(Debug, Clone, Default)]
pub struct Senders {
    known: Arc<[Sender]>,
    /// Clusters that are somebody's.
    mapped: Arc<BTreeSet<String>>,
    mismatch: Mismatch,
}

impl Senders {
    /// The map of these.
    #[must_use]
    pub fn new(senders: Vec<Sender>, mismatch: Mismatch) -> Self {
        let mapped = senders.iter().flat_map(|sender| sender.clusters.iter().cloned()).collect();
        Self { known: senders.into(), mapped: Arc::new(mapped), mismatch }
    }

    /// What a client may say. Of its names the first that is in the map counts.
    pub(super) fn speaker(&self, client: &Client) -> Speaker {
        let known = client
            .names()
            .iter()
            .find_map(|name| self.known.iter().find(|sender| sender.name == *name));
        let name = known.map(|sender| &sender.name).or_else(|| client.names().first());
        Speaker {
            name: name.map(ToString::to_string),
            clusters: known.map(|sender| sender.clusters.clone()),
            source: known.and_then(|sender| sender.source.clone()),
            mapped: Arc::clone(&self.mapped),
            mismatch: self.mismatch,
        }
    }
}

/// Who sends, and what may be believed of it.
#[derive(Debug, Clone, Default)]
pub struct Speaker {
    name: Option<String>,
    /// Its clusters; `None` if it is not in the map.
    clusters: Option<BTreeSet<String>>,
    source: Option<String>,
    mapped: Arc<BTreeSet<String>>,
    mismatch: Mismatch,
}

/// Whose something is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settled {
    pub(crate) cluster: Option<String>,
    /// Whether the sender named a cluster that it may not speak for.
    pub(crate) is_mismatch: bool,
}

impl Speaker {
    /// Who the door verified.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The source to book its rows under, if not `door`'s.
    pub(super) fn source<'a>(&'a self, door: &'a str) -> &'a str {
        self.source.as_deref().unwrap_or(door)
    }

    /// Whether what is of another's cluster is refused.
    pub(crate) fn refuses(&self) -> bool {
        self.mismatch == Mismatch::Refuse
    }

    /// Whether it may speak for a cluster.
    pub(crate) fn may_name(&self, cluster: &str) -> bool {
        match &self.clusters {
            Some(own) => own.contains(cluster),
            None => !self.mapped.contains(cluster),
        }
    }

    /// The cluster of what names `claimed`, at a door for `door`, where `default` is of those who say nothing.
    pub(crate) fn settle(
        &self,
        door: Option<&str>,
        claimed: Option<&str>,
        default: Option<&str>,
    ) -> Settled {
        let named = match &self.clusters {
            Some(_) => claimed.or(door),
            // The door vouches for whoever nobody else vouches for.
            None => door.or(claimed),
        };
        let own = || self.clusters.as_ref().filter(|own| own.len() == 1)?.first().cloned();
        let default = || default.filter(|default| self.may_name(default)).map(str::to_owned);
        match named {
            Some(named) if self.may_name(named) => {
                Settled { cluster: Some(named.to_owned()), is_mismatch: false }
            }
            Some(_) => Settled { cluster: own(), is_mismatch: true },
            None => Settled { cluster: own().or_else(default), is_mismatch: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: senders with one cluster, with two, and in no map, at doors with a cluster and without, which
    /// claim their own cluster, another's, one that is nobody's, and nothing.
    /// Guarantees: nobody speaks for a mapped cluster but who has it; a contradiction is told; who has one
    /// cluster is of that one whatever is claimed.
    #[test]
    fn clusters_are_spoken_for_by_their_own() {
        let sender = |name: &str, clusters: &[&str]| Sender {
            name: Name::Uri(name.into()),
            clusters: clusters.iter().map(|&name| name.into()).collect(),
            source: None,
        };
        let senders =
            Senders::new(vec![sender("one", &["a"]), sender("two", &["b", "c"])], Mismatch::Refuse);
        let check =
            |who: &str, door: Option<&str>, claimed: Option<&str>, expect: (Option<&str>, bool)| {
                let client = Client::named(vec![Name::Uri(who.into())]);
                let settled = senders.speaker(&client).settle(door, claimed, Some("d"));
                let told = (settled.cluster.as_deref(), settled.is_mismatch);
                assert_eq!(told, expect, "{who} {door:?} {claimed:?}");
            };
        check("one", None, Some("a"), (Some("a"), false));
        check("one", None, None, (Some("a"), false));
        check("one", None, Some("b"), (Some("a"), true));
        check("one", None, Some("x"), (Some("a"), true));
        check("one", Some("b"), None, (Some("a"), true));
        check("two", None, Some("c"), (Some("c"), false));
        check("two", Some("b"), None, (Some("b"), false));
        check("two", None, None, (None, false));
        check("two", None, Some("a"), (None, true));
        check("nobody", None, Some("a"), (None, true));
        check("nobody", Some("a"), None, (None, true));
        check("nobody", None, Some("x"), (Some("x"), false));
        check("nobody", Some("x"), Some("a"), (Some("x"), false));
        check("nobody", None, None, (Some("d"), false));
        let speaker = Senders::default().speaker(&Client::default());
        assert_eq!(speaker.settle(None, Some("a"), None).cluster.as_deref(), Some("a"));
    }

    /// Scenario: certificates whose DNS name or common name reads like the URI in the map.
    /// Guarantees: only the URI is that sender.
    #[test]
    fn names_are_of_one_sort() {
        let clusters: BTreeSet<String> = ["a".to_owned()].into();
        let name = "spiffe://x/y".to_owned();
        let sender = Sender { name: Name::Uri(name.clone()), clusters, source: None };
        let senders = Senders::new(vec![sender], Mismatch::Refuse);
        let may = |name| senders.speaker(&Client::named(vec![name])).may_name("a");
        assert!(may(Name::Uri(name.clone())));
        for other in [
            Name::Dns(name.clone()),
            Name::Subject(name.clone()),
            Name::Subject(format!("CN={name}")),
        ] {
            assert!(!may(other));
        }
    }
}
