//! Judges correlated rows, opens incidents and tells people.
//!
//! Sigma, statistics and Slack live only here. Read it in the order of the walk,
//! observe -> score -> suppress -> owe -> deliver:
//!
//! 1. [`detection`]: one turn -> one judgement, row by row in log order.
//! 2. [`detector`]: the judges, one file each; [`rule`]: the Sigma rules that one of them reads.
//! 3. [`settings`]: what operators may say about them.
//! 4. [`alert`]: what is owed to people, the outbox that remembers it, Slack that is told.
//! 5. [`escape`]: the one place where text from logs becomes safe to show.

pub mod alert;
pub mod detection;
pub mod rule;
pub mod settings;

pub use alert::Alert;
pub use detection::{Detection, Judgement, StateError};
pub use rule::{RuleError, RuleFile};
pub use settings::{Exemption, Settings};
