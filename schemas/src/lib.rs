//! The tables, identities and ids that every stage meets in.
//!
//! Nothing here knows a wire format, a file or a clock: this crate is the shared language.
//! Read it in this order:
//!
//! 1. [`time`] and [`values`]: what a cell may say.
//! 2. [`identity`]: who. A type, never a `String`.
//! 3. [`ids`]: typed ids and how they are hashed.
//! 4. [`cell`] and [`table`]: how a Rust row is an Arrow row.
//! 5. [`tables`]: every table, column by column, with its meaning.
//! 6. [`record`]: what the log holds, and what one turn of the pipeline makes of it.
//!
//! [`address`] is one spelling for each address, [`controllers`] whose work an object is.
//! [`shares`] is how memories with a bound stay fair.
//! [`crash`] is where tests may end the program.

pub mod address;
pub mod cell;
pub mod controllers;
pub mod crash;
pub mod identity;
pub mod ids;
pub mod ipc;
pub mod record;
pub mod shares;
pub mod table;
pub mod tables;
pub mod time;
pub mod values;

pub use identity::Identity;
pub use time::{Clock, Time};
