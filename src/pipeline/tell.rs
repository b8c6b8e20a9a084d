//! To whom the loop says what people are owed.

use std::sync::{Arc, Mutex, PoisonError};

use durward_detect::alert::{Alert, Outbox};
use durward_schemas::ids::LogPosition;
use durward_schemas::{Time, crash};

/// The outbox, between the loop that owes and the deliverer that tells.
pub(crate) type SharedOutbox = Arc<Mutex<Outbox>>;

/// The outbox, and what is not to be told.
pub(crate) struct Telling {
    pub(crate) outbox: SharedOutbox,
    /// What has this position or a later one is told to nobody.
    pub(crate) muted_from: Option<LogPosition>,
}

impl Telling {
    /// Owes alerts, unless they are not to be told.
    pub(super) fn owe(&self, alerts: &[Alert], now: Time) -> anyhow::Result<()> {
        let is_told = |alert: &&Alert| self.muted_from.is_none_or(|from| alert.log_position < from);
        let told: Vec<Alert> = alerts.iter().filter(is_told).cloned().collect();
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).owe(&told, now)?;
        if !told.is_empty() {
            crash::point("alert_owed");
        }
        Ok(())
    }

    /// Nothing up to `position` is told any more.
    pub(super) fn skip_to(&self, position: LogPosition) -> anyhow::Result<()> {
        Ok(self.outbox.lock().unwrap_or_else(PoisonError::into_inner).skip_to(position)?)
    }
}
