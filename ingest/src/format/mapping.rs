//! Which field of a format fills which column: a table for people, from which `docs/reference/sources.md`
//! and `durward explain --mapping` are made.

/// One line of a format's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// The column of the row.
    pub column: &'static str,
    /// The fields that fill it, as the source names them, and how.
    pub from: &'static str,
}

impl Mapping {
    pub(super) const fn new(column: &'static str, from: &'static str) -> Self {
        Self { column, from }
    }
}
