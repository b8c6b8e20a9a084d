//! Judges correlated rows, opens incidents and tells people.
//!
//! Sigma, statistics and Slack live only here. Read it in the order of the walk,
//! observe -> score -> suppress -> owe -> deliver:
//!
//! 1. [`detection`]: observe: one turn -> one judgement, row by row in log order.
//! 2. `detector`: the judges, one file each; [`rule`]: the Sigma rules that one of them reads.
//! 3. `finding`: score: hits -> versions of findings; `counted`: many of them are one; `owner` and `lineage` say whose doing they are,
//!    `tally` how unusual, `argument` why they were possible.
//! 4. `suppress` and [`settings`]: what is known and accepted.
//! 5. `story`: findings -> incidents; `owe`: an incident -> what people are owed.
//! 6. [`alert`]: the outbox that remembers what is owed, Slack and terminals that are told.
//! 7. [`escape`]: the one place where text from logs becomes safe to show.
//!
//! `recent` holds rows that may be amended, `state` saves everything, `memory` bounds it.

pub mod alert;
mod argument;
mod counted;
pub mod detection;
mod detector;
pub mod escape;
mod finding;
mod lineage;
mod memory;
mod owe;
mod owner;
mod recent;
pub mod rule;
mod sentence;
pub mod settings;
mod state;
mod story;
mod suppress;
mod tally;
#[cfg(test)]
mod testing;

pub use alert::Alert;
pub use detection::{Detection, Judgement, StateError, detector_names};
pub use memory::Fill;
pub use rule::{RuleError, RuleFile, RuleWarning, check_rules};
pub use settings::{Exemption, Settings};
