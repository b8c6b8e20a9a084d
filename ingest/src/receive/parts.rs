//! A delivery in parts: rows are appended as soon as there are many, so that a large one takes no more room
//! than a small one. What is sent again after a part was appended is recognised by its ids.

use crate::format::Reading;
use crate::intake::{Intake, Wanted};
use crate::log::Refusal;
use crate::seal;

/// What was appended of a delivery whose rest is still coming.
pub(super) struct Parts {
    intake: Intake,
    pub(super) items: usize,
    pub(super) rejected: usize,
    /// Why a part was not appended, after which nothing else is.
    pub(super) refusal: Option<Refusal>,
    wanted: Wanted,
}

impl Parts {
    pub(super) fn new(intake: &Intake, wanted: &Wanted) -> Self {
        let (intake, wanted) = (intake.clone(), wanted.clone());
        Self { intake, items: 0, rejected: 0, refusal: None, wanted }
    }

    /// Appends what was read if it is much; tells whether the rest is wanted.
    pub(super) fn relieve(&mut self, reading: &mut Reading) -> bool {
        if reading.items() >= seal::MAX_ROWS || reading.weight() >= seal::MAX_BYTES {
            self.append(reading);
        }
        self.is_going_on()
    }

    /// Whether the rest is wanted; nobody is told of what he no longer waits for.
    pub(super) fn is_going_on(&mut self) -> bool {
        if !self.wanted.is_still() {
            self.refusal.get_or_insert(Refusal::Closed);
        }
        self.refusal.is_none()
    }

    /// Appends what was read; tells whether the rest is wanted.
    pub(super) fn append(&mut self, reading: &mut Reading) -> bool {
        let part = std::mem::take(reading);
        if self.refusal.is_none() {
            self.items += part.items();
            self.rejected += part.rejects.len();
            self.refusal = self.intake.append_blocking(&part.into_contents()).err();
        }
        self.refusal.is_none()
    }
}
