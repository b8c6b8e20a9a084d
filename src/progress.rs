//! How far the loop after the log has come, and what it waits for: written by the loop, read by the admin door.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use durward_schemas::ids::LogPosition;

/// How far the loop has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The last position that was in the log when the program started.
    target: AtomicI64,
    reached: AtomicI64,
    /// Why it stands still, if it does.
    blocked: Mutex<Option<String>>,
}

impl Progress {
    /// Everything up to `target` was in the log at the start; everything up to `reached` can be asked for.
    pub(crate) fn begin(&self, reached: LogPosition, target: LogPosition) {
        self.target.store(target, Ordering::Relaxed);
        self.reached.store(reached, Ordering::Relaxed);
    }

    pub(crate) fn reach(&self, position: LogPosition) {
        self.reached.store(position, Ordering::Relaxed);
    }

    /// Something is refused, and tried again.
    pub(crate) fn block(&self, why: String) {
        *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    pub(crate) fn unblock(&self) {
        *self.blocked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn blocked(&self) -> Option<String> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why nobody is to rely on what is read here yet; none once all is taken that was in the log at the start.
    pub(crate) fn lacks(&self) -> Option<String> {
        if let Some(why) = self.blocked() {
            return Some(why);
        }
        let reached = self.reached.load(Ordering::Relaxed);
        let target = self.target.load(Ordering::Relaxed);
        (reached < target)
            .then(|| format!("taking what is in the log: position {reached} of {target}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a start with ten positions in the log, a disk that refuses in the middle, and more that comes later.
    /// Guarantees: ready is who has taken what was there at the start and waits for nothing; the rest says why not.
    #[test]
    fn ready_means_caught_up() {
        let progress = Progress::default();
        assert_eq!(progress.lacks(), None);
        progress.begin(3, 10);
        let lacks = || progress.lacks().unwrap_or_default();
        assert_eq!(lacks(), "taking what is in the log: position 3 of 10");
        progress.reach(9);
        progress.block("the disk is full".to_owned());
        assert_eq!(lacks(), "the disk is full");
        progress.unblock();
        assert_eq!(lacks(), "taking what is in the log: position 9 of 10");
        progress.reach(10);
        assert_eq!(progress.lacks(), None);
    }
}
