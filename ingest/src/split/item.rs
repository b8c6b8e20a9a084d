//! What a stream is taken apart into.

use serde_json::{Map, Value};

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

/// What stands for a text that is none.
const NO_TEXT: &str = "unreadable: no text";

/// The fields of an event that hold what clients send as they sent it.
const BODIES: [&str; 2] = ["requestObject", "responseObject"];

/// The texts in which bytes that are none were replaced by a mark that stands nowhere else.
struct Torn(char);

impl Torn {
    fn text(bytes: &[u8]) -> Option<(Self, String)> {
        let valid = || bytes.utf8_chunks().map(|chunk| chunk.valid());
        let mark =
            ('\u{f0000}'..='\u{ffffd}').find(|mark| !valid().any(|text| text.contains(*mark)))?;
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                text.push(mark);
            }
        }
        Some((Self(mark), text))
    }

    fn is_in(&self, value: &Value) -> bool {
        value.as_str().is_some_and(|text| text.contains(self.0))
    }

    /// Leaves such texts out. One may be the name of a secret beside it, so what is beside it goes too.
    fn leave_out(&self, value: &mut Value, is_beside: bool) {
        match value {
            Value::String(_) | Value::Array(_) | Value::Object(_) if is_beside => {
                *value = NO_TEXT.into();
            }
            Value::String(text) if text.contains(self.0) => NO_TEXT.clone_into(text),
            Value::Array(items) => {
                let any = items.iter().any(|item| self.is_in(item));
                for item in items {
                    self.leave_out(item, any);
                }
            }
            Value::Object(fields) => {
                let is_torn =
                    |(name, value): (&String, &Value)| name.contains(self.0) || self.is_in(value);
                let any = fields.iter().any(is_torn);
                fields.retain(|name, _| !name.contains(self.0));
                for value in fields.values_mut() {
                    self.leave_out(value, any);
                }
            }
            _ => {}
        }
    }
}

impl Item {
    /// An event whose bodies are not all text, without the texts that are none: a client can put such bytes into a
    /// patch, which an API server audits as it came, and must not hide the event by that. What else such a text
    /// holds cannot be told from a secret, so the whole of it goes. In its own fields a server writes text.
    pub(crate) fn legible(&self) -> Option<Self> {
        let is_json = self.bytes.trim_ascii_start().first() == Some(&b'{');
        if !is_json || std::str::from_utf8(&self.bytes).is_ok() {
            return None;
        }
        let (torn, text) = Torn::text(&self.bytes)?;
        let mut fields: Map<String, Value> = serde_json::from_str(&text).ok()?;
        for (name, value) in &mut fields {
            if BODIES.contains(&name.as_str()) {
                torn.leave_out(value, false);
            } else if name.contains(torn.0) || value.to_string().contains(torn.0) {
                return None;
            }
        }
        let bytes = Value::Object(fields).to_string().into_bytes();
        Some(Self { bytes, ..self.clone() })
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
