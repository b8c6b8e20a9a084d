//! Secrets out: JSON values and texts in, the same with `redacted:<key id>:<HMAC>` for each secret.
//!
//! Equal secrets under one key give equal markers, so they stay joinable without being known.
//! Where secrets stand is told by place (`place.rs`: data of Secrets, environment, patches), by name
//! (`name.rs`: `DB_PASSWORD`, `lines.rs`), by looks (`text.rs`: tokens, keys, connection strings) or by address
//! (`uri.rs`). Input that could not be read at all is masked without being understood (`unparsed.rs`).

mod command;
mod lines;
mod marks;
mod name;
mod place;
mod quick;
mod text;
mod unparsed;
mod uri;

use std::borrow::Cow;

use hmac::{Hmac, Mac};
use memchr::memmem;
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::hex::hex;
pub use place::Body;
pub(crate) use text::{decode as decode_base64, is_uuid};
pub use unparsed::mask_unparsed;

/// What every marker begins with.
pub(crate) const MARKER: &str = "redacted:";
/// Hex digits of the HMAC in a marker: 128 bits.
const DIGITS: usize = 32;

/// Replaces secrets by markers under one key.
#[derive(Clone)]
pub struct Redactor {
    mac: Hmac<Sha256>,
    /// `redacted:<key id>:`
    prefix: String,
    looks: text::Looks,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor that makes its markers with `key`.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let id = blake3::derive_key("durward 2026 id of a redaction key", key);
        let id = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
        // HMAC pads a key to the block of its hash with zeros: RFC 2104, section 2.
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(padded, byte)| *padded = *byte);
        Self {
            mac: <Hmac<Sha256> as Mac>::new(&block.into()),
            prefix: format!("{MARKER}{id:08x}:"),
            looks: text::Looks::new(),
        }
    }

    /// The marker that stands for `secret`; a marker stays what it is.
    #[must_use]
    pub fn mask(&self, secret: &str) -> String {
        if self.is_marker(secret) {
            return secret.to_owned();
        }
        self.mask_bytes(secret.as_bytes())
    }

    /// The marker that stands for a secret that need not be text.
    fn mask_bytes(&self, secret: &[u8]) -> String {
        let mut mac = self.mac.clone();
        mac.update(secret);
        let digest = mac.finalize().into_bytes();
        self.prefix.clone() + &hex(digest.get(..DIGITS / 2).unwrap_or_default())
    }

    /// Redacts a body of a request or an answer, or an object as listed.
    pub fn body(&self, value: &mut Value, body: Body) {
        self.place(value, body.place());
    }

    /// Redacts any other JSON: annotations, attributes, whatever no column took.
    pub fn json(&self, value: &mut Value) {
        self.place(value, place::Place::General);
    }

    /// As [`Self::json`], the fields of an object.
    pub(crate) fn fields(&self, fields: &mut Map<String, Value>) {
        self.object(fields, place::Place::General);
    }

    /// Redacts a request URI; its shape stays.
    #[must_use]
    pub fn uri(&self, uri: &str) -> String {
        self.redact_uri(uri)
    }

    /// Redacts free text.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        self.clean(text.to_owned())
    }

    /// As [`Self::text`], in place.
    #[must_use]
    pub fn clean(&self, mut text: String) -> String {
        self.string(&mut text, place::Place::General);
        text
    }

    /// `text` with every marker of ours replaced by a constant: what ids are hashed over, since
    /// nothing that rotates may enter an id.
    #[must_use]
    pub fn without_markers<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let may_hold_one = text.len() >= self.prefix.len() + DIGITS;
        if !may_hold_one || memmem::find(text.as_bytes(), self.prefix.as_bytes()).is_none() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut parts = text.split(self.prefix.as_str());
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (digits, rest) = part.split_at_checked(DIGITS).unwrap_or((part, ""));
            let ours = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
            out.push_str(if ours { "redacted" } else { &self.prefix });
            out.push_str(if ours { rest } else { part });
        }
        Cow::Owned(out)
    }

    /// Whether a secret is known by a marker or a hash only.
    fn stays(&self, text: &str) -> bool {
        self.is_marker(text) || is_hashed(text)
    }

    /// Whether `text` is a marker of this key, and nothing else: behind one may stand what is left of a
    /// secret.
    fn is_marker(&self, text: &str) -> bool {
        text.strip_prefix(&self.prefix).is_some_and(|digits| {
            digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    }
}

/// Whether a text is a hash under a key of somebody else, as Vault writes into its audit log.
pub(crate) fn is_hashed(text: &str) -> bool {
    text.strip_prefix("hmac-sha256:")
        .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
