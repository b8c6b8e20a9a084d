//! The controllers that objects say they have, and whose word that is.

use durward_schemas::values::Evidence;
use serde::{Deserialize, Serialize};

use crate::body::Metadata;

/// The controller that an object says it has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Above {
    pub kind: String,
    pub name: String,
    /// Whether that is the word of somebody else than this controller, who wrote the object.
    pub is_claimed: bool,
}

/// Who says what the controller of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Teller {
    /// The controller itself, which created the object.
    Controller,
    /// Somebody else, who wrote the object.
    Writer,
    /// Nobody knows who wrote it: it was listed, or changed in other parts.
    Listing,
}

impl Above {
    /// What an object says now, of which something was known `before`.
    pub(super) fn of(metadata: &Metadata, teller: Teller, before: Option<&Self>) -> Option<Self> {
        let owner = metadata.controller()?;
        let is_claimed = match teller {
            Teller::Controller => false,
            Teller::Writer => true,
            Teller::Listing => before.is_some_and(|before| before.is_claimed),
        };
        Some(Self { kind: owner.kind.clone(), name: owner.name.clone(), is_claimed })
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.kind, &self.name) == (&other.kind, &other.name)
    }
}

/// What is known of whose a pod is, which nobody owns or a controller.
pub(super) fn evidence(top: Option<&Above>) -> Evidence {
    let is_claimed = top.is_some_and(|top| top.is_claimed);
    if is_claimed { Evidence::Derived } else { Evidence::Exact }
}
