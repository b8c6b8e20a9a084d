//! Every configuration object that was seen, as it was from when to when.

use std::collections::BTreeMap;
use std::sync::Arc;

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::ids::{ChangeId, LogPosition};

use crate::body::Body;
use crate::change::is_kept;

/// An object that is written more often than this keeps its latest versions; the lake has them all.
const MOST_VERSIONS: usize = 64;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct ObjectKey {
    pub cluster: Option<String>,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

impl ObjectKey {
    /// `Role/namespace/name` or `ClusterRole/name`: the form of `decided_by` and `decided_role`.
    pub(crate) fn path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{}/{namespace}/{}", self.kind, self.name),
            None => format!("{}/{}", self.kind, self.name),
        }
    }

    /// The object that a `decided_by` or `decided_role` names.
    pub(crate) fn parse(cluster: Option<&str>, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let (kind, namespace, name) = match parts[..] {
            [kind, namespace, name] => (kind, Some(namespace), name),
            [kind, name] => (kind, None, name),
            _ => return None,
        };
        if !is_kept(kind) {
            return None;
        }
        Some(Self {
            cluster: cluster.map(Into::into),
            kind: kind.into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
        })
    }
}

/// The object from `from` on, until the next version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    pub from: Time,
    pub position: LogPosition,
    /// What it became; `Gone` after a deletion.
    pub content: Content,
    /// The change that made it so; `None` for what a snapshot found.
    pub change: Option<ChangeId>,
}

/// What an object is in one version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Its body was seen.
    Seen(Arc<Seen>),
    /// It exists, and these parts of it are known; what else it holds is not.
    Partly(Arc<Seen>),
    /// It exists, but its body was not logged.
    Unseen,
    /// It does not exist.
    Gone,
}

/// A body, as text and read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Seen {
    pub json: Json,
    pub body: Body,
}

impl Content {
    /// The content for a body; unseen where it cannot be read.
    pub(crate) fn of(json: Option<&Json>) -> Self {
        let seen = json.and_then(|json| Some(Seen { json: json.clone(), body: Body::read(json)? }));
        seen.map_or(Self::Unseen, |seen| Self::Seen(Arc::new(seen)))
    }

    /// The content for parts of a body; unseen where they say nothing.
    pub(crate) fn part(json: &Json) -> Self {
        match Self::of(Some(json)) {
            Self::Seen(seen) => Self::Partly(seen),
            other => other,
        }
    }

    /// The body, where all of it was seen.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Partly(_) | Self::Unseen | Self::Gone => None,
        }
    }

    /// What is known of the body: all of it, or parts.
    pub(crate) fn known(&self) -> Option<&Seen> {
        match self {
            Self::Seen(seen) | Self::Partly(seen) => Some(seen),
            Self::Unseen | Self::Gone => None,
        }
    }

    /// Whether what is not in [`Self::known`] is not there.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Seen(_) | Self::Gone)
    }
}

/// All objects with their versions in order of valid time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Objects {
    versions: BTreeMap<ObjectKey, Vec<Version>>,
}

impl Objects {
    /// Adds a version where it belongs in time; true if none is later.
    pub(crate) fn insert(&mut self, key: ObjectKey, version: Version) -> bool {
        let versions = self.versions.entry(key).or_default();
        let at = versions.partition_point(|other| {
            (other.from, other.position) <= (version.from, version.position)
        });
        versions.insert(at, version);
        let newest = at + 1 == versions.len();
        if versions.len() > MOST_VERSIONS {
            versions.remove(0);
        }
        newest
    }

    /// All versions of one object, oldest first.
    pub(crate) fn history(&self, key: &ObjectKey) -> &[Version] {
        self.versions.get(key).map_or(&[], Vec::as_slice)
    }

    /// The version that held at `time`.
    pub(crate) fn at(&self, key: &ObjectKey, time: Time) -> Option<&Version> {
        let history = self.history(key);
        let after = history.partition_point(|version| version.from <= time);
        after.checked_sub(1).and_then(|index| history.get(index))
    }

    /// The version that held just before `time`.
    pub(crate) fn before(&self, key: &ObjectKey, time: Time) -> Option<&Version> {
        self.at(key, time.plus(-1))
    }

    /// The version that held at `time`, to add to what is known of it.
    pub(crate) fn at_mut(&mut self, key: &ObjectKey, time: Time) -> Option<&mut Version> {
        let history = self.versions.get_mut(key)?;
        let after = history.partition_point(|version| version.from <= time);
        history.get_mut(after.checked_sub(1)?)
    }

    /// Every object in a namespace that exists at `time`.
    pub(crate) fn in_namespace(
        &self,
        cluster: Option<&str>,
        namespace: &str,
        time: Time,
    ) -> Vec<ObjectKey> {
        let here = |key: &ObjectKey| {
            key.cluster.as_deref() == cluster && key.namespace.as_deref() == Some(namespace)
        };
        let found = self.versions.keys().filter(|key| here(key));
        let lives = |key: &&ObjectKey| {
            self.at(key, time).is_some_and(|version| version.content != Content::Gone)
        };
        found.filter(lives).cloned().collect()
    }

    /// Everything, for a checkpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Version)> {
        self.versions.iter().flat_map(|(key, all)| all.iter().map(move |version| (key, version)))
    }

    /// Number of versions held.
    pub(crate) fn len(&self) -> usize {
        self.versions.values().map(Vec::len).sum()
    }

    /// Every object of `kind` that a namespace ever had.
    pub(crate) fn of_namespace<'a>(
        &'a self,
        cluster: Option<&'a str>,
        kind: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a ObjectKey> {
        let first = ObjectKey {
            cluster: cluster.map(Into::into),
            kind: kind.into(),
            namespace: Some(namespace.into()),
            name: String::new(),
        };
        self.versions.range(first..).map(|(key, _)| key).take_while(move |key| {
            key.cluster.as_deref() == cluster
                && key.kind == kind
                && key.namespace.as_deref() == Some(namespace)
        })
    }

    /// Every object of `kind` in `cluster` that exists at `time`.
    pub(crate) fn existing<'a>(
        &'a self,
        cluster: Option<&'a str>,
        kind: &'a str,
        time: Time,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Version)> {
        let first = ObjectKey {
            cluster: cluster.map(Into::into),
            kind: kind.into(),
            ..ObjectKey::default()
        };
        self.versions
            .range(first..)
            .take_while(move |(key, _)| key.cluster.as_deref() == cluster && key.kind == kind)
            .filter_map(move |(key, _)| Some((key, self.at(key, time)?)))
            .filter(|(_, version)| version.content != Content::Gone)
    }
}
