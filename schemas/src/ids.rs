//! Typed ids, and the one way in which they are hashed.
//!
//! Every id is lower-case hex, so it survives any shell, URL and SQL client unquoted.
//! Nothing that rotates enters an id: no key, no configuration, no clock.

use crate::time::Time;

/// Declares a newtype over text.
macro_rules! id_type {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub String);

        impl $name {
            /// The text of the id.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
        }

        impl From<&str> for $name { fn from(text: &str) -> Self { Self(text.to_owned()) } }

        impl From<String> for $name { fn from(text: String) -> Self { Self(text) } }
    )+};
}

id_type! {
    /// One row of `accesses`, `spans`, `logs` or `metrics`: time prefix + 128-bit hash of content.
    EventId;
    /// What all stages of one request share.
    RequestKey;
    /// One row of `changes`.
    ChangeId;
    /// One judgement: see DESIGN decision 17.
    FindingId;
    /// One story of findings.
    IncidentId;
    /// One input that could not be read.
    RejectId;
    /// One attempt to tell somebody.
    DeliveryId;
    /// One proof of identity: `JTI=...`, `X509SHA256=...`, an access key id.
    CredentialId;
}

/// The ordinal of a row in the log: the order of everything.
pub type LogPosition = i64;

/// A 128-bit BLAKE3 hash over length-prefixed parts, as 32 hex digits.
///
/// `domain` separates uses, so that equal content never gives equal ids of different kinds.
#[must_use]
pub fn hash128(domain: &str, parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hash = hasher.finalize().to_hex();
    hash.as_str().get(..32).unwrap_or_default().to_owned()
}

impl EventId {
    /// `time` as twelve hex digits of milliseconds, then the hash of cluster and canonical content.
    ///
    /// The prefix makes ids sort by time and keeps recent ones close together on disk.
    #[must_use]
    pub fn of(time: Time, cluster: Option<&str>, canonical: &[u8]) -> Self {
        let millis = u64::try_from(time.0.div_euclid(1000)).unwrap_or(0) & 0xffff_ffff_ffff;
        let realm = cluster.unwrap_or_default();
        Self(format!("{millis:012x}{}", hash128("event", &[realm.as_bytes(), canonical])))
    }
}

impl RequestKey {
    /// Hash of what all stages of one request share (DESIGN decision 6).
    #[must_use]
    pub fn of(
        cluster: Option<&str>,
        audit_id: &str,
        received: Time,
        user: &str,
        verb: &str,
        uri: &str,
    ) -> Self {
        let parts = [
            cluster.unwrap_or_default().as_bytes(),
            audit_id.as_bytes(),
            &received.0.to_le_bytes(),
            user.as_bytes(),
            verb.as_bytes(),
            uri.as_bytes(),
        ];
        Self(hash128("request", &parts))
    }

    /// The key of another request that has this one, too: of the event that showed it.
    #[must_use]
    pub fn of_another(&self, event: &EventId) -> Self {
        Self(hash128("another request", &[self.0.as_bytes(), event.0.as_bytes()]))
    }
}

impl FindingId {
    /// Hash of detector, rule, cluster and the anchor that the detector declares.
    #[must_use]
    pub fn of(detector: &str, rule: &str, cluster: Option<&str>, anchor: &str) -> Self {
        let cluster = cluster.unwrap_or_default();
        let parts = [detector.as_bytes(), rule.as_bytes(), cluster.as_bytes(), anchor.as_bytes()];
        Self(hash128("finding", &parts))
    }
}

impl IncidentId {
    /// Hash of the finding that opened it.
    #[must_use]
    pub fn of(opened_by: &FindingId) -> Self {
        Self(hash128("incident", &[opened_by.0.as_bytes()]))
    }
}

impl ChangeId {
    /// Hash of the event that made the change and the object that it touched.
    #[must_use]
    pub fn of(cluster: Option<&str>, cause: &str, object: &str) -> Self {
        let cluster = cluster.unwrap_or_default();
        Self(hash128("change", &[cluster.as_bytes(), cause.as_bytes(), object.as_bytes()]))
    }
}
