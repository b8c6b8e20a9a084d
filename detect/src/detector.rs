//! The judges: each looks at a row and says what is off about it, if anything.
//!
//! A detector judges; what becomes of its hits (versions, incidents, silence) is decided after it.
//! Each is bounded in memory, and its hits depend on nothing but the rows before, in log order.

pub(crate) mod blindness;
pub(crate) mod entry_taken_over;
#[cfg(test)]
mod eviction;
pub(crate) mod first_seen;
pub(crate) mod minted_for_another;
pub(crate) mod minted_later;
pub(crate) mod reused_audit_id;
pub(crate) mod secrets_enumerated;
pub(crate) mod sigma;
pub(crate) mod two_addresses;

use std::fmt;

use durward_schemas::ids::{EventId, FindingId};
use durward_schemas::shares;
use durward_schemas::tables::{Access, Change, Workload};
use durward_schemas::values::{EventRole, IdentityKind};
use serde_json::Value;

use crate::lineage::Lineage;
use crate::memory::Look;
use crate::owner::Maker;
use crate::settings::Settings;

/// A row, the change that it made, and who minted what before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub row: &'a Access,
    pub change: Option<&'a Change>,
    /// Correlation took the row, and it changed nothing that decides.
    pub unchanged: bool,
    pub lineage: Option<&'a Lineage>,
}

impl<'a> Seen<'a> {
    /// A row that changed nothing, looked at by itself.
    pub(crate) fn of(row: &'a Access) -> Self {
        Self { row, change: None, unchanged: false, lineage: None }
    }

    /// The workload that began the minting which led to the row's credential, if another one used it.
    pub(crate) fn root(&self) -> Option<String> {
        self.lineage?.root(self.row)
    }
}

/// One judgement about one row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Hit {
    /// The rule, where the detector has rules.
    pub rule: Option<String>,
    /// What is judged: a request, a credential, an audit id.
    pub anchor: String,
    /// What the row is to the finding.
    pub role: EventRole,
    /// What it is, in a few words.
    pub title: String,
    /// Who did what and why that is off, in one sentence.
    pub reason: String,
    /// OCSF severity.
    pub severity_id: i64,
    /// The detector does not know enough yet to tell anybody.
    pub learning: bool,
    /// Other events that the judgement rests on.
    pub evidence: Vec<EventId>,
    /// How unusual it is, in counts; counted by rule and identity if absent.
    pub unusual: Option<String>,
    /// The parts of the judgement.
    pub ledger: Vec<Value>,
    /// Chance of this by accident.
    pub p_value: Option<f64>,
    /// MITRE ATT&CK techniques.
    pub techniques: Vec<String>,
    /// One next step.
    pub next_step: String,
    /// Who made the owner of what a controller created: it is their doing, not the controller's.
    pub maker: Option<Maker>,
    /// One of many: below the budget, hits of one identity, kind of object and day are one finding.
    pub repeats: bool,
    /// Nobody's doing that is known: a controller's work for an owner that was there before.
    pub nobody: bool,
}

impl Hit {
    /// The id of the finding (DESIGN decision 17).
    pub(crate) fn finding_id(&self, detector: &str, cluster: Option<&str>) -> FindingId {
        FindingId::of(detector, self.rule.as_deref().unwrap_or_default(), cluster, &self.anchor)
    }
}

/// The identity of a workload or a person: of no node, of no component, of somebody.
pub(crate) fn actor(row: &Access) -> Option<&str> {
    let kinds = [IdentityKind::ServiceAccount, IdentityKind::User];
    row.identity.as_deref().filter(|_| kinds.contains(&row.identity_kind))
}

/// Whose a thing is that a row makes known, for memories with a bound: the cluster, the namespace of a
/// `ServiceAccount` or the sort of identity, and the identity. Whoever may make identities makes them in a place
/// of his own.
pub(crate) fn owner(row: &Access) -> String {
    let cluster = row.cluster.as_deref().unwrap_or_default();
    let identity = row.identity.as_deref().unwrap_or_default();
    match &row.namespace {
        Some(namespace) => shares::owner(&[cluster, namespace, identity]),
        None => shares::owner(&[cluster, row.identity_kind.as_str(), identity]),
    }
}

/// A judge of rows.
pub(crate) trait Detector: fmt::Debug + Send {
    /// Its name, as `findings.detector` has it.
    fn name(&self) -> &'static str;

    /// Judges a row; remembers of it what later rows are judged by.
    fn judge(&mut self, seen: Seen<'_>) -> Vec<Hit>;

    /// Takes note of where a pod runs.
    fn learn(&mut self, _pod: &Workload) {}

    /// Takes what operators say from now on.
    fn configure(&mut self, _settings: &Settings) {}

    /// Whether an amended row is judged again: true for judges without memory.
    fn judges_again(&self) -> bool {
        false
    }

    /// Its memories, to look at how full they are.
    fn memories(&self, _look: Look<'_>) {}

    /// What it remembers.
    fn save(&self) -> Result<Value, serde_json::Error> {
        Ok(Value::Null)
    }

    /// Takes up where [`Self::save`] left off.
    fn restore(&mut self, _saved: Value) -> Result<(), serde_json::Error> {
        Ok(())
    }
}

/// The issuers whose minting for others is their business: nodes for pods bound to them, the
/// controller manager, and kube-system's `ServiceAccounts` for kube-system's.
pub(crate) fn is_issuer(minter: &str) -> bool {
    minter.starts_with("system:node:") || minter == "system:kube-controller-manager"
}
