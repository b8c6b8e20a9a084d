//! The one clock of the program; everything else is handed a [`Clock`].

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use durward_schemas::{Clock, Time};

/// The clock of the machine.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the clock that others are handed comes from"
)]
pub(crate) fn system() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}
