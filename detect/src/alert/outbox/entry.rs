//! One incident in the outbox: what waits to be told of it, and what was told.

use std::collections::BTreeMap;

use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::alert::outbox::journal::Settled;
use crate::alert::outbox::{Due, Pace};

/// One incident. Times are microseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The latest version that is not told.
    waiting: Option<Alert>,
    /// Since when something waits.
    since: i64,
    /// Not before then, after a failure.
    not_before: i64,
    /// Attempts that failed since something was told.
    failures: i64,
    /// No more attempts until something new comes.
    refused: bool,
    /// Each version that may be under way, by position.
    under_way: BTreeMap<LogPosition, Gravity>,
    /// What was told last.
    told: Option<Told>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Told {
    at: i64,
    gravity: Gravity,
}

/// How grave a version is: its severity, and how many sorts of grave findings it has.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Gravity {
    severity_id: i64,
    sorts: i64,
}

impl Gravity {
    fn of(alert: &Alert) -> Self {
        Self { severity_id: alert.severity_id, sorts: alert.grave_sorts }
    }
}

impl Entry {
    /// A new version, which speaks for those before it.
    pub(super) fn owe(&mut self, alert: Alert, now: Time) {
        if self.waiting.is_none() {
            self.since = now.0;
        }
        self.refused = false;
        self.under_way.insert(alert.log_position, Gravity::of(&alert));
        self.waiting = Some(alert);
    }

    /// What to tell, and how often it was tried before.
    pub(super) fn due(&self) -> Option<Due> {
        let alert = self.waiting.clone()?;
        Some(Due { alert, attempt: self.failures + 1 })
    }

    /// From when on it may be told.
    pub(super) fn due_time(&self, pace: &Pace) -> Option<Time> {
        let alert = self.waiting.as_ref().filter(|_| !self.refused)?;
        let grouped = self.since.saturating_add(pace.group_wait);
        let at = match self.told {
            // What was never told need not be taken back.
            None if alert.is_taken_back() => return None,
            None => grouped,
            Some(told) => grouped.max(told.at.saturating_add(pause(told.gravity, alert, pace))),
        };
        Some(Time(at.max(self.not_before)))
    }

    /// Takes what came of an attempt.
    pub(super) fn settle(&mut self, settled: &Settled, pace: &Pace) {
        match settled.outcome.as_str() {
            "delivered" => self.tell(settled),
            "refused" => self.refused = self.is_about(settled),
            _ => {
                let doublings = u32::try_from(self.failures.min(32)).unwrap_or(32);
                let wait = pace.first_retry.saturating_mul(1_i64.wrapping_shl(doublings));
                let wait = wait.min(pace.longest_retry).max(settled.retry_after);
                self.failures += 1;
                self.not_before = settled.at.saturating_add(wait);
            }
        }
    }

    /// The version at the position was told; a later one still waits.
    fn tell(&mut self, settled: &Settled) {
        let gravity = self.under_way.get(&settled.log_position).copied();
        let gravity = gravity.or(self.told.map(|told| told.gravity)).unwrap_or_default();
        self.told = Some(Told { at: settled.at, gravity });
        self.failures = 0;
        self.not_before = 0;
        self.under_way = self.under_way.split_off(&(settled.log_position + 1));
        if self.is_about(settled) {
            self.waiting = None;
        } else {
            self.since = settled.at;
        }
    }

    /// Whether the attempt spoke of the latest version.
    fn is_about(&self, settled: &Settled) -> bool {
        let latest = self.waiting.as_ref().map(|alert| alert.log_position);
        latest.is_some_and(|latest| latest <= settled.log_position)
    }

    /// When something was told, if nothing waits.
    pub(super) fn told_time(&self) -> Option<Time> {
        self.told.filter(|_| self.waiting.is_none()).map(|told| Time(told.at))
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }
}

/// How long after it was told an incident may be told again as `alert`.
fn pause(told: Gravity, alert: &Alert, pace: &Pace) -> i64 {
    let now = Gravity::of(alert);
    if alert.is_taken_back() || now.severity_id > told.severity_id {
        0
    } else if now.sorts > told.sorts {
        pace.group_interval
    } else {
        pace.repeat_after
    }
}
