//! Resolves accesses against credentials, workloads and changes; keeps the lake; answers SQL.
//!
//! DataFusion and Delta Lake live only here. Read it in the order of the walk:
//!
//! 1. [`correlator`]: one record of the log -> one turn. Its steps: `deduplicate`, `advance`
//!    (with `change` and `summary`), `resolve` (with `unauthenticated`); what is known stands in `state`.
//! 2. [`checkpoint`]: the state as bytes and back.
//! 3. [`lake`]: rows -> Delta tables, once and durably.
//! 4. [`query`]: SQL over the lake, in a process of its own, within limits.
//! 5. [`explain`]: why one access was allowed or refused, and who an identity is.

mod advance;
mod body;
mod change;
pub mod checkpoint;
pub mod correlator;
pub mod deduplicate;
pub mod doctor;
pub mod explain;
pub mod lake;
mod losses;
pub mod query;
mod rbac;
mod relay;
mod resolve;
mod state;
mod summary;
mod unauthenticated;

pub use correlator::{Correlator, Settings};
