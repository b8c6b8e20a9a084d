//! Every table, column by column.
//!
//! These names are what people type in psql, what rules name and what tests assert on.

pub mod access;
pub mod account;
pub mod judgement;
pub mod object;
pub mod signal;
pub mod state;

pub use access::{Access, Amendment};
pub use account::{Reject, SourceCounter};
pub use judgement::{Delivery, Finding, FindingEvent, Incident};
pub use object::Object;
pub use signal::{Log, Metric, Span};
pub use state::{Change, Credential, Grant, Workload};

use crate::table::{Row, Table};

/// The tables of the lake, in the order in which one turn's rows are committed.
///
/// `accesses` comes before `finding_events` and those before `findings`, so that a reader who
/// sees a finding sees what it speaks of.
pub const LAKE: &[Table] = &[
    Access::TABLE,
    Amendment::TABLE,
    Object::TABLE,
    Change::TABLE,
    Credential::TABLE,
    Workload::TABLE,
    Grant::TABLE,
    Span::TABLE,
    Log::TABLE,
    Metric::TABLE,
    Reject::TABLE,
    SourceCounter::TABLE,
    FindingEvent::TABLE,
    Finding::TABLE,
    Incident::TABLE,
    Delivery::TABLE,
];

#[cfg(test)]
mod tests;
