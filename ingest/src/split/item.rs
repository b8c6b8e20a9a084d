//! What a stream is taken apart into.

use serde_json::Value;

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

/// A text that is none may be the name of a secret beside it, so what is beside it goes too; not in the event itself,
/// whose fields are known.
fn leave_out_what_is_no_text(value: &mut Value, is_event: bool) {
    let is_torn = |value: &Value| value.as_str().is_some_and(is_broken);
    match value {
        Value::String(text) if is_broken(text) => NO_TEXT.clone_into(text),
        Value::Array(items) => {
            let any = items.iter().any(is_torn);
            for item in items {
                leave_out(item, any);
            }
        }
        Value::Object(fields) => {
            let any = fields.iter().any(|(name, value)| is_broken(name) || is_torn(value));
            fields.retain(|name, _| !is_broken(name));
            for value in fields.values_mut() {
                leave_out(value, any && !is_event);
            }
        }
        _ => {}
    }
}

fn leave_out(value: &mut Value, is_beside: bool) {
    match value {
        Value::String(_) | Value::Array(_) | Value::Object(_) if is_beside => {
            *value = NO_TEXT.into()
        }
        other => leave_out_what_is_no_text(other, false),
    }
}

fn is_broken(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

impl Item {
    /// An item of JSON in which not all is text, without the texts that are none: a client can put such bytes into a
    /// patch, which an API server audits as it came, and must not hide the event by that. What else such a text holds
    /// cannot be told from a secret, so the whole of it goes, and the value of such a name with it.
    pub(crate) fn legible(&self) -> Option<Self> {
        let is_json = self.bytes.trim_ascii_start().first() == Some(&b'{');
        if !is_json || std::str::from_utf8(&self.bytes).is_ok() {
            return None;
        }
        let mut value = serde_json::from_str(&String::from_utf8_lossy(&self.bytes)).ok()?;
        leave_out_what_is_no_text(&mut value, true);
        Some(Self { bytes: value.to_string().into_bytes(), ..self.clone() })
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
