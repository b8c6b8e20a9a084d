//! What is owed, until somebody said 200 (DESIGN decision 20).
//!
//! In: alerts, once for each version of an incident however often they come. Out: what is due now.
//! Everything is on disk before a call returns. One message speaks for all versions of an incident
//! that came while it waited. Afterwards the same incident is told again when it becomes graver,
//! after [`Pace::group_interval`] when something grave of another sort joined it, and after
//! [`Pace::repeat_after`] if it only went on.

mod entry;
mod journal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use durward_schemas::Time;
use durward_schemas::ids::{IncidentId, LogPosition};
use durward_schemas::tables::Delivery;
use durward_schemas::time::{HOUR, MINUTE, SECOND};

use crate::alert::Alert;
use crate::alert::outbox::entry::Entry;
use crate::alert::outbox::journal::{Journal, Note};

/// Incidents that were told and are still remembered; of older ones the position says enough.
const MOST_TOLD: usize = 2_000;

/// When people are told, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// So long an alert waits for more of its incident.
    pub group_wait: i64,
    /// An incident that was told is told again after so long, if something grave of another sort joined it.
    pub group_interval: i64,
    /// An incident that was told is told again after so long, if it only went on.
    pub repeat_after: i64,
    /// The first wait after a failure; it doubles with each.
    pub first_retry: i64,
    /// The longest wait after a failure, unless the answer asked for more.
    pub longest_retry: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            group_wait: 30 * SECOND,
            group_interval: 0,
            repeat_after: 4 * HOUR,
            first_retry: SECOND,
            longest_retry: 5 * MINUTE,
        }
    }
}

/// One alert that is to be told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What to tell.
    pub alert: Alert,
    /// Which attempt it is, from 1.
    pub attempt: i64,
}

/// An outbox that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{doing} the outbox in {directory}")]
pub struct OutboxError {
    /// What was attempted.
    pub doing: &'static str,
    /// The outbox's directory.
    pub directory: PathBuf,
    /// Why it failed.
    pub source: std::io::Error,
}

/// The alerts that are owed, on disk and here.
#[derive(Debug)]
pub struct Outbox {
    pace: Pace,
    journal: Journal,
    /// Nothing at or before this position is owed again.
    position: LogPosition,
    entries: BTreeMap<IncidentId, Entry>,
}

impl Outbox {
    /// Opens the outbox in `directory`, which is made if it is not there.
    ///
    /// A tail that was cut by a crash is dropped: what it said was not yet promised.
    ///
    /// # Errors
    /// If the directory cannot be read or written.
    pub fn open(directory: &Path, pace: Pace) -> Result<Self, OutboxError> {
        let (journal, notes) = Journal::open(directory)?;
        let mut outbox =
            Self { pace, journal, position: LogPosition::MIN, entries: BTreeMap::new() };
        for note in notes {
            outbox.take(note);
        }
        outbox.forget();
        outbox.journal.rewrite(&outbox.notes())?;
        Ok(outbox)
    }

    /// The position up to which everything is owed by the outbox in `directory`, if there is one.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn position_in(directory: &Path) -> Result<Option<LogPosition>, OutboxError> {
        let positions = Journal::read(directory)?.into_iter().filter_map(|note| match note {
            Note::Position(position) => Some(position),
            _ => None,
        });
        Ok(positions.max())
    }

    /// Owes alerts; those at or before the position are owed already.
    ///
    /// # Errors
    /// If they cannot be written; then none of them is owed.
    pub fn owe(&mut self, alerts: &[Alert], now: Time) -> Result<(), OutboxError> {
        let new = alerts.iter().filter(|alert| alert.log_position > self.position);
        let new: Vec<Note> =
            new.map(|alert| Note::Owed { alert: Box::new(alert.clone()), at: now.0 }).collect();
        let Some(last) = alerts.iter().map(|alert| alert.log_position).max() else { return Ok(()) };
        if new.is_empty() {
            return Ok(());
        }
        self.write(new.into_iter().chain([Note::Position(last)]).collect())
    }

    /// Declares everything up to `position` as owed, so that it is told to nobody: for a log that
    /// is replayed although its outbox was lost.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn skip_to(&mut self, position: LogPosition) -> Result<(), OutboxError> {
        if position <= self.position {
            return Ok(());
        }
        self.write(vec![Note::Position(position)])
    }

    /// What is to be told at `now`, the gravest first.
    #[must_use]
    pub fn due(&self, now: Time) -> Vec<Due> {
        let due =
            self.entries.values().filter(|e| e.due_time(&self.pace).is_some_and(|at| at <= now));
        let mut due: Vec<Due> = due.filter_map(Entry::due).collect();
        due.sort_by_key(|due| (-due.alert.severity_id, due.alert.log_position));
        due
    }

    /// When the next alert will be due, if one waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        self.entries.values().filter_map(|entry| entry.due_time(&self.pace)).min()
    }

    /// Takes what came of an attempt.
    ///
    /// # Errors
    /// If it cannot be written; then the attempt is forgotten at the next start, and may be made again.
    pub fn settle(&mut self, delivery: &Delivery) -> Result<(), OutboxError> {
        let note = Note::of(delivery);
        let written = self.journal.append(std::slice::from_ref(&note));
        // Whoever was told is not told again and again because a disk is full.
        self.take(note);
        written
    }

    /// The position up to which everything is owed.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Number of incidents of which something waits to be told.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.entries.values().filter(|entry| entry.due_time(&self.pace).is_some()).count()
    }

    /// Number of incidents whose last message was refused for good.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_refused()).count()
    }

    fn write(&mut self, notes: Vec<Note>) -> Result<(), OutboxError> {
        self.journal.append(&notes)?;
        for note in notes {
            self.take(note);
        }
        Ok(())
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Position(position) => self.position = self.position.max(position),
            Note::Owed { alert, at } => {
                let entry = self.entries.entry(alert.incident_id.clone()).or_default();
                entry.owe(*alert, Time(at));
            }
            Note::Settled(settled) => {
                if let Some(entry) =
                    self.entries.get_mut(&IncidentId::from(settled.incident_id.as_str()))
                {
                    entry.settle(&settled, &self.pace);
                }
            }
            Note::Entry { incident_id, entry } => {
                self.entries.insert(incident_id.into(), *entry);
            }
        }
    }

    /// The state as notes, the shortest journal that says the same.
    fn notes(&self) -> Vec<Note> {
        let entries = self.entries.iter().map(|(incident_id, entry)| Note::Entry {
            incident_id: incident_id.to_string(),
            entry: Box::new(entry.clone()),
        });
        entries.chain([Note::Position(self.position)]).collect()
    }

    /// Forgets the incidents that were told longest ago.
    fn forget(&mut self) {
        let mut told: Vec<(Time, IncidentId)> = self
            .entries
            .iter()
            .filter_map(|(id, entry)| Some((entry.told_time()?, id.clone())))
            .collect();
        told.sort();
        for (_, id) in told.iter().rev().skip(MOST_TOLD) {
            self.entries.remove(id);
        }
    }
}

#[cfg(test)]
mod tests;
