//! One audit id on two different requests: whoever looks one up by it finds the other.
//!
//! Clients may choose the id by the header `Audit-ID`, so it is no key.
//! <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Event>

use durward_schemas::ids::{EventId, hash128};
use durward_schemas::tables::Access;
use durward_schemas::values::{Provider, severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::detector::{Detector, Hit, Seen, owner};
use crate::escape::shortened;
use crate::memory::{Look, Memory};
use crate::sentence;

/// Audit ids remembered. An id that comes back later is not recognised.
const MOST: usize = 100_000;

/// Remembers the first request of each audit id.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReusedAuditId {
    first: Memory<(String, String), First>,
}

/// What makes a request another one, and the event that showed it first.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct First {
    request: String,
    event_id: String,
    deed: String,
    /// When it was received, and its key.
    #[serde(default)]
    time: i64,
    #[serde(default)]
    key: String,
}

impl Default for ReusedAuditId {
    fn default() -> Self {
        Self { first: Memory::of(MOST) }
    }
}

impl Detector for ReusedAuditId {
    fn name(&self) -> &'static str {
        "reused_audit_id"
    }

    fn judge(&mut self, Seen { row, .. }: Seen<'_>) -> Vec<Hit> {
        // A request that failed to authenticate has no user to compare; it is sent again with one.
        let (Some(audit_id), Some(_)) = (&row.source_event_id, &row.identity) else {
            return Vec::new();
        };
        if !row.judged || row.provider != Provider::Kubernetes {
            return Vec::new();
        }
        let key = (row.cluster.clone().unwrap_or_default(), audit_id.clone());
        let request = request(row);
        let first = self.first.entry(
            &key,
            || owner(row),
            || First {
                request: request.clone(),
                event_id: row.event_id.to_string(),
                deed: format!("{} {}", sentence::who(row), sentence::deed(row)),
                time: row.time.0,
                key: row.request_key.to_string(),
            },
        );
        // Stages and repetitions of one request share user, verb and URI. Where the time is the same too, and yet
        // it is another request, both were made to look like one.
        let is_hidden = first.time == row.time.0
            && !first.key.is_empty()
            && first.key != row.request_key.as_str();
        if first.request == request && !is_hidden {
            return Vec::new();
        }
        vec![hit(row, audit_id, first)]
    }

    fn memories(&self, look: Look<'_>) {
        look("audit_ids", &self.first);
    }

    fn save(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn restore(&mut self, saved: Value) -> Result<(), serde_json::Error> {
        *self = serde_json::from_value(saved)?;
        Ok(())
    }
}

fn request(row: &Access) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (user, verb, uri) = (text(&row.identity), text(&row.verb), text(&row.request_uri));
    hash128("audit id", &[user.as_bytes(), verb.as_bytes(), uri.as_bytes()])
}

fn hit(row: &Access, audit_id: &str, first: &First) -> Hit {
    let (who, deed, place) = (sentence::who(row), sentence::deed(row), sentence::place(row));
    Hit {
        anchor: audit_id.to_owned(),
        title: "Audit id reused for a different request".into(),
        reason: format!(
            "{who} {deed} from {place} under the audit id {}, under which before {}",
            shortened(audit_id, 64),
            first.deed
        ),
        severity_id: severity::HIGH,
        evidence: vec![EventId::from(first.event_id.as_str())],
        unusual: Some("API servers give every request an id of its own; only a client that sets it can use one twice".into()),
        techniques: vec!["T1562.008".into(), "T1036".into()],
        next_step: format!("durward explain {}", row.event_id),
        ..Hit::default()
    }
}

#[cfg(test)]
mod tests {
    use durward_schemas::Time;

    use super::*;

    fn row(user: Option<&str>, verb: &str, uri: &str) -> Access {
        Access {
            judged: true,
            request_key: format!("{user:?} {verb} {uri}").as_str().into(),
            event_id: EventId(format!("{user:?} {verb} {uri}")),
            source_event_id: Some("id".into()),
            identity: user.map(Into::into),
            verb: Some(verb.into()),
            request_uri: Some(uri.into()),
            ..Access::default()
        }
    }

    fn check(then: &Access, expected: usize) {
        let mut judge = ReusedAuditId::default();
        let first = row(Some("a"), "get", "/x");
        assert!(judge.judge(Seen::of(&first)).is_empty());
        let saved = judge.save().expect("it can be saved");
        let mut judge = ReusedAuditId::default();
        judge.restore(saved).expect("it can be read");
        let hits = judge.judge(Seen::of(then));
        assert_eq!(hits.len(), expected, "{:?}", then.event_id);
        for hit in hits {
            assert_eq!((hit.anchor.as_str(), hit.evidence), ("id", vec![first.event_id.clone()]));
        }
    }

    /// Scenario: an id on the same request again, on requests that differ in one thing, and on one that differs in its
    /// body only, in the same microsecond.
    /// Guarantees: user, verb or URI make it another request, and so does the correlator; a repetition, a 401 and
    /// another cluster do not.
    #[test]
    fn another_request_under_the_same_id() {
        check(&row(Some("a"), "get", "/x"), 0);
        check(&row(Some("b"), "get", "/x"), 1);
        check(&row(Some("a"), "list", "/x"), 1);
        check(&row(Some("a"), "get", "/y"), 1);
        check(&Access { request_key: "k".into(), ..row(Some("a"), "get", "/x") }, 1);
        let later =
            Access { time: Time(1), request_key: "k".into(), ..row(Some("a"), "get", "/x") };
        check(&later, 0);
        check(&row(None, "get", "/y"), 0);
        check(&Access { judged: false, ..row(Some("b"), "get", "/x") }, 0);
        check(&Access { cluster: Some("b".into()), ..row(Some("b"), "get", "/x") }, 0);
    }
}
