//! What a stream is taken apart into.

/// One item, or what is left of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its bytes; only the first 4 KiB of one that is too large.
    pub(crate) bytes: Vec<u8>,
    /// One that is too large, without what makes it so.
    pub(crate) condensed: Option<Vec<u8>>,
    /// Its length.
    pub(crate) length: usize,
    /// Where it stands: `line 7`, `item 3`.
    pub(crate) position: String,
    /// Bytes of text before it.
    pub(crate) offset: u64,
    /// Why it cannot be read.
    pub(crate) fault: Option<Fault>,
}

impl Item {
    /// An item of JSON in which not all is text, with a mark in the place of what is none: a client can put such bytes
    /// into a patch, which an API server audits as it came, and must not hide the event by that.
    pub(crate) fn legible(&self) -> Option<Self> {
        let is_json = matches!(self.bytes.trim_ascii_start().first(), Some(b'{' | b'['));
        let is_text = || std::str::from_utf8(&self.bytes).is_ok();
        (is_json && !is_text()).then(|| {
            let bytes = String::from_utf8_lossy(&self.bytes).into_owned().into_bytes();
            Self { bytes, ..self.clone() }
        })
    }

    /// An input that is one item.
    pub(crate) fn whole(bytes: &[u8]) -> Self {
        let position = "line 1".to_owned();
        let length = bytes.len();
        Self { bytes: bytes.to_vec(), condensed: None, length, position, offset: 0, fault: None }
    }
}

/// What is wrong with an item before anybody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Longer than allowed.
    TooLarge,
    /// The input ended, or the next value began, before it was closed.
    Unclosed,
}
