//! Judged rows that may still be amended, and the findings that rest on them.

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::ids::{FindingId, RequestKey};
use durward_schemas::tables::{Access, Amendment};
use durward_schemas::time::MINUTE;
use durward_schemas::values::{Edge, Evidence, Outcome};
use serde_json::{Map, Value};

use crate::detector::owner;
use crate::memory::Memory;

/// Rows held at most.
const MOST: usize = 20_000;

/// Rows are amended for the lateness of the slowest source, `CloudTrail`'s twenty minutes.
const AMENDED_FOR: i64 = 30 * MINUTE;

/// One row, and the findings that it anchors.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// Behind a pointer, since a map has empty places.
    pub row: Box<Access>,
    pub findings: Vec<FindingId>,
}

/// Rows by request.
#[derive(Debug)]
pub(crate) struct Recent {
    rows: Memory<RequestKey, Held>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { rows: Memory::of(MOST) }
    }
}

impl Recent {
    /// Holds a judged row, if later evidence may change what was judged of it.
    pub(crate) fn hold(&mut self, row: &Access, findings: Vec<FindingId>) {
        let may_change = !findings.is_empty()
            || row.stage.as_deref() == Some("ResponseStarted")
            || (row.credential_id.is_some() && row.minted_by.is_none());
        if !row.judged || !may_change {
            return;
        }
        let mut row = row.clone();
        // Bodies matter again only where a rule looked at one, or the outcome is not known yet.
        if findings.is_empty() && row.stage.as_deref() != Some("ResponseStarted") {
            row.request_object = None;
            row.response_object = None;
        }
        self.restore(Held { row: Box::new(row), findings });
    }

    /// The row as it was held, and as it is now that `amendment` is known.
    pub(crate) fn amend(&mut self, amendment: &Amendment) -> Option<(Held, Access)> {
        let held = self.rows.get(&amendment.request_key)?;
        if amendment.ingest_time.since(held.row.ingest_time) > AMENDED_FOR {
            return None;
        }
        let before = held.clone();
        apply(amendment, &mut held.row);
        Some((before, (*held.row).clone()))
    }

    /// Sets the findings of a row that was judged again.
    pub(crate) fn set_findings(&mut self, request: &RequestKey, findings: Vec<FindingId>) {
        if let Some(held) = self.rows.get(request) {
            held.findings = findings;
        }
    }

    /// All rows, for a checkpoint.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Held> {
        self.rows.values()
    }

    /// Takes back a row from a checkpoint.
    pub(crate) fn restore(&mut self, held: Held) {
        let owner = owner(&held.row);
        self.rows.insert(held.row.request_key.clone(), &owner, held);
    }
}

/// Writes the columns of an amendment into its row; an edge without values is withdrawn.
fn apply(amendment: &Amendment, row: &mut Access) {
    let values = amendment.values.as_ref().map(Json::as_str);
    let values: Map<String, Value> =
        values.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let text = |name: &str| values.get(name).and_then(Value::as_str).map(str::to_owned);
    let time = |name: &str| values.get(name).and_then(Value::as_i64).map(Time);
    let grade = |name: &str| -> Option<Evidence> { text(name)?.parse().ok() };
    match amendment.edge {
        Edge::Workload => {
            row.workload = text("workload");
            row.workload_kind = text("workload_kind");
            row.workload_evidence = grade("workload_evidence");
            row.workload_change_id = text("workload_change_id").map(Into::into);
        }
        Edge::Lineage => {
            row.credential_issued_time = time("credential_issued_time");
            row.credential_expires_time = time("credential_expires_time");
            row.minted_by = text("minted_by");
            row.minted_by_credential_id = text("minted_by_credential_id").map(Into::into);
            row.lineage_depth = values.get("lineage_depth").and_then(Value::as_i64);
            row.lineage_evidence = grade("lineage_evidence");
        }
        Edge::Change => {
            row.change_id = text("change_id").map(Into::into);
            row.change_evidence = grade("change_evidence");
            row.change_time = time("change_time");
            row.change_kind = text("change_kind").and_then(|kind| kind.parse().ok());
            row.change_summary = text("change_summary");
            row.change_actor = text("change_actor");
            row.replayed_decision =
                text("replayed_decision").and_then(|decision| decision.parse().ok());
            row.replayed_by = text("replayed_by");
        }
        Edge::Trace => {
            row.trace_id = text("trace_id");
            row.trace_evidence = grade("trace_evidence");
            row.span_id = text("span_id");
            row.trace_service = text("trace_service");
            row.trace_name = text("trace_name");
        }
        Edge::Outcome => {
            let outcome = text("outcome").and_then(|outcome| outcome.parse::<Outcome>().ok());
            row.outcome = outcome.unwrap_or(row.outcome);
            row.status_code = values.get("status_code").and_then(Value::as_i64);
            row.duration_us = values.get("duration_us").and_then(Value::as_i64);
        }
        Edge::Impersonation => {
            row.impersonation_decided_by = text("impersonation_decided_by");
            row.impersonation_change_id = text("impersonation_change_id").map(Into::into);
        }
        Edge::Actor => {
            row.on_behalf_of = text("on_behalf_of");
            row.on_behalf_of_kind = text("on_behalf_of_kind").and_then(|kind| kind.parse().ok());
            row.on_behalf_of_evidence = grade("on_behalf_of_evidence");
            row.via = text("via");
            row.likely_identity = text("likely_identity");
            row.likely_cause = text("likely_cause");
            row.likely_evidence = grade("likely_evidence");
        }
        Edge::Request => {
            row.same_request_as = text("same_request_as");
            row.judged &= row.same_request_as.is_none();
        }
        Edge::Link => {
            row.linked_trace_id = text("linked_trace_id");
            row.linked_span_id = text("linked_span_id");
            row.link_evidence = grade("link_evidence");
        }
        Edge::Credential => row.credential_id = text("credential_id").map(Into::into),
    }
}
