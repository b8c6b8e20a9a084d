//! Somebody makes an entry of SPIRE for a SPIFFE ID whose entries others made: what it selects is that
//! identity from then on.
//!
//! Registrars make many entries for one SPIFFE ID, one for each node or pod; so only another caller counts.
//! Whose entries were made before anything was seen, nobody knows, and nothing is said.
//! <https://spiffe.io/docs/latest/deploying/registering/>

use std::collections::BTreeMap;

use durward_schemas::cell::Json;
use durward_schemas::ids::EventId;
use durward_schemas::tables::Access;
use durward_schemas::values::{Outcome, Provider, severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::detector::{Detector, Hit, Seen, owner};
use crate::escape::{shell, shortened};
use crate::memory::{Look, Memory};
use crate::sentence;

/// SPIFFE IDs remembered, and callers of each.
const MOST: usize = 50_000;
const MOST_CALLERS: usize = 16;

/// Remembers who makes entries for which SPIFFE ID.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EntryTakenOver {
    /// The first event of each caller, by SPIFFE ID.
    made: Memory<String, BTreeMap<String, String>>,
}

impl Default for EntryTakenOver {
    fn default() -> Self {
        Self { made: Memory::of(MOST) }
    }
}

impl Detector for EntryTakenOver {
    fn name(&self) -> &'static str {
        "entry_taken_over"
    }

    fn judge(&mut self, Seen { row, .. }: Seen<'_>) -> Vec<Hit> {
        let Some((holder, caller)) = entry_of(row) else { return Vec::new() };
        let callers = self.made.entry(&holder, || owner(row), BTreeMap::new);
        let others: Vec<EventId> = callers.values().map(|id| EventId::from(id.as_str())).collect();
        let is_new = !callers.contains_key(&caller);
        if is_new && callers.len() < MOST_CALLERS {
            callers.insert(caller, row.event_id.to_string());
        }
        if others.is_empty() || !is_new { Vec::new() } else { vec![hit(row, &holder, others)] }
    }

    fn memories(&self, look: Look<'_>) {
        look("spire_entries", &self.made);
    }

    fn save(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn restore(&mut self, saved: Value) -> Result<(), serde_json::Error> {
        *self = serde_json::from_value(saved)?;
        Ok(())
    }
}

/// The SPIFFE ID that an entry was made for, and who made it.
fn entry_of(row: &Access) -> Option<(String, String)> {
    let is_made =
        row.verb.as_deref() == Some("BatchCreateEntry") && row.outcome == Outcome::Success;
    if !row.judged || row.provider != Provider::Spire || !is_made {
        return None;
    }
    let holder = row.object_name.clone().filter(|name| name.starts_with("spiffe://"))?;
    Some((holder, row.identity.clone()?))
}

fn hit(row: &Access, holder: &str, others: Vec<EventId>) -> Hit {
    let who = sentence::who(row);
    let holder = shortened(holder, 128);
    Hit {
        anchor: row.request_key.to_string(),
        title: "An identity of SPIRE given to something else".into(),
        reason: format!(
            "{who} made an entry for {holder}, whose entries somebody else made before"
        ),
        severity_id: severity::MEDIUM,
        evidence: others,
        unusual: Some("whoever registers an identity makes all its entries".into()),
        ledger: vec![json!({ "entry": row.request_object.as_ref().map(Json::as_str) })],
        techniques: vec!["T1098".into(), "T1078".into()],
        next_step: format!("spire-server entry show -spiffeID {}", shell(&holder)),
        ..Hit::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(caller: &str, holder: &str) -> Access {
        Access {
            judged: true,
            event_id: EventId(format!("{caller} {holder}")),
            provider: Provider::Spire,
            identity: Some(caller.into()),
            verb: Some("BatchCreateEntry".into()),
            object_name: Some(holder.into()),
            outcome: Outcome::Success,
            ..Access::default()
        }
    }

    /// Scenario: a registrar makes two entries for one SPIFFE ID; then somebody else makes one for it, for
    /// another, and is refused.
    /// Guarantees: only the entry of another caller for a known SPIFFE ID is told, once, with the first as its
    /// evidence, and after the state was saved and read.
    #[test]
    fn an_entry_by_another_caller_is_told() {
        let mut judge = EntryTakenOver::default();
        let mut judged = |row: &Access| {
            let hits = judge.judge(Seen::of(row));
            let saved = judge.save().expect("it can be saved");
            judge.restore(saved).expect("it can be read");
            hits.into_iter().flat_map(|hit| hit.evidence).collect::<Vec<_>>()
        };
        let (ledger, other) = ("spiffe://shop.test/ledger", "spiffe://shop.test/other");
        let first = entry("spiffe://shop.test/registrar", ledger);
        assert_eq!(judged(&first), []);
        assert_eq!(judged(&first), []);
        let refused = Access { outcome: Outcome::Failure, ..entry("uid:0", ledger) };
        assert_eq!(judged(&refused), []);
        assert_eq!(judged(&entry("uid:0", other)), []);
        assert_eq!(judged(&entry("uid:0", ledger)), std::slice::from_ref(&first.event_id));
        assert_eq!(judged(&entry("uid:0", ledger)), []);
    }
}
