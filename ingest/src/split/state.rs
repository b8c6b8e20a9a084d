//! Where the scan of a stream is.

/// Where the scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Between values.
    Between,
    /// In a value by itself, which may turn out to hold a list of items.
    Value,
    /// In a run that is no object and no list; it ends with the line.
    Junk,
    /// After a `[` that begins a list, or a line of text that begins with a time in brackets.
    Bracket,
    /// In a list, between items.
    List,
    /// In an item of a list.
    Element,
    /// In an object beside its list of items.
    Envelope,
}

/// How far the key of a list and what must follow it have been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Other,
    Items,
    Colon,
}

/// Whether the scan is in a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    Outside,
    Inside,
    /// After a backslash.
    Escaped,
}

/// What an input is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Whole documents.
    Documents,
    /// Values, and lists that are taken apart.
    Lists,
    /// The same, and lines of text.
    Lines,
}
