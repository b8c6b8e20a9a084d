//! What exporters send, made durable: bytes in, placed rows out of the log.
//!
//! One event's way through this crate, each step a file named after it:
//!
//! 1. [`receive`]: a door takes bytes, and refuses early and politely when there is no room.
//! 2. [`mod@format`]: a pure reader makes rows and rejects of them; one bad item never loses a neighbour.
//! 3. [`redact`]: secrets become keyed markers before anything is kept.
//! 4. [`normalize`]: what all readers do alike: which time is believed, which address is the sender's.
//! 5. [`seal`]: rows become contents of bounded size.
//! 6. [`log`]: contents are flushed to the device; only then the sender hears ok.
//!
//! [`send`] is the other end of the doors, for `ingest --to` and the demo.

mod canonical;
pub mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hex;
pub mod intake;
pub mod keys;
#[cfg(test)]
mod lab;
pub mod log;
pub mod network;
pub mod normalize;
pub mod receive;
pub mod redact;
mod room;
pub mod seal;
pub mod send;
mod split;

pub use format::{Context, Format, Reading, read};
pub use intake::{Intake, IntakeSettings};
pub use keys::{Keys, KeysError};
pub use log::{
    Appended, Appender, Gap, Log, LogError, LogSettings, Missing, Read, Reader, Refusal,
};
pub use network::Network;
