//! An item that is too large, without what makes it so: long strings, then whole members.
//!
//! Whoever pads a request does not hide the rest of it. What is left is JSON again, and a function of the item's
//! bytes alone, so that it has one id by every door.

/// A string of more bytes is left out; its length is told in its place.
const LONGEST_STRING: usize = 1024;

/// A member of the item of more bytes is left out even without its long strings.
const LARGEST_MEMBER: usize = 1 << 20;

/// What is larger even so is no event.
const LARGEST: usize = 4 << 20;

/// Takes the bytes of one item.
#[derive(Debug, Default)]
pub(super) struct Condenser {
    out: Vec<u8>,
    depth: usize,
    /// Where the member of the item begins that is read now.
    member: usize,
    /// Whether what is left of that member is left out.
    skips: bool,
    string: Option<Text>,
    fails: bool,
}

/// A string that is open.
#[derive(Debug, Default)]
struct Text {
    begin: usize,
    length: usize,
    is_escaped: bool,
}

impl Condenser {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.fails {
                return;
            }
            match self.string.take() {
                Some(text) => self.within(text, byte),
                None => self.between(byte),
            }
            if self.out.len() > LARGEST {
                self.fails = true;
            } else if self.depth > 0 && self.out.len() > self.member + LARGEST_MEMBER {
                self.out.truncate(self.member);
                self.out.extend(b"null");
                self.skips = true;
            }
        }
    }

    /// What is left; nothing if that is still too large.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        Some(self.out).filter(|_| !self.fails)
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'"' => self.string = Some(Text { begin: self.out.len(), ..Text::default() }),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        let ends_member =
            (self.depth == 1 && byte == b',') || (self.depth == 0 && matches!(byte, b'}' | b']'));
        self.skips &= !ends_member;
        self.put(byte);
        if self.depth == 1 && matches!(byte, b':' | b',' | b'{') {
            self.member = self.out.len();
        }
    }

    fn within(&mut self, mut text: Text, byte: u8) {
        text.length += 1;
        let ends = byte == b'"' && !text.is_escaped;
        text.is_escaped = byte == b'\\' && !text.is_escaped;
        if text.length <= LONGEST_STRING {
            self.put(byte);
        } else if !self.skips {
            self.out.truncate(text.begin);
        }
        if !ends {
            self.string = Some(text);
        } else if text.length > LONGEST_STRING {
            let told = format!("\"({} bytes left out)\"", text.length - 1);
            told.bytes().for_each(|byte| self.put(byte));
        }
    }

    fn put(&mut self, byte: u8) {
        if !self.skips {
            self.out.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn condensed(text: &str) -> Option<Value> {
        let mut condenser = Condenser::default();
        // In pieces of any size.
        for piece in text.as_bytes().chunks(7) {
            condenser.push(piece);
        }
        serde_json::from_slice(&condenser.finish()?).ok()
    }

    /// Scenario: an item with a long string of escapes; with a hundred thousand short ones; in a list within a list;
    /// with members that are large in a row; and one whose members are too many.
    /// Guarantees: what is long is told by its length, what is large without it is null, everything else is as it was.
    #[test]
    fn what_is_large_is_left_out() {
        let padding = "\\u003c".repeat(200_000);
        let text = format!(r#"{{"a":1,"b":{{"c":"{padding}","d":["x\"y"]}},"e":"f"}}"#);
        let told = "(1200000 bytes left out)";
        assert_eq!(
            condensed(&text),
            Some(json!({"a": 1, "b": {"c": told, "d": ["x\"y"]}, "e": "f"}))
        );
        let many = format!("[{}]", vec![r#"{"name":"n","value":"v"}"#; 100_000].join(","));
        let text = format!(r#"{{"a":{{"b":{many}}},"c":{many}, "d" : true}}"#);
        assert_eq!(condensed(&text), Some(json!({"a": null, "c": null, "d": true})));
        let within = format!(r#"{{"a":[[{{"b":"{padding}"}},[]]]}}"#);
        assert_eq!(condensed(&within), Some(json!({"a": [[{"b": told}, []]]})));
        let members: Vec<String> =
            (0..10).map(|at| format!(r#""{at}":"{}""#, r#"x":"y","#.repeat(100_000))).collect();
        assert_eq!(condensed(&format!("{{{}}}", members.join(","))), None);
    }

    /// Scenario: an item without anything long.
    /// Guarantees: it is as it was.
    #[test]
    fn what_is_small_stays() {
        let item = json!({"a": [1, {"b": "\u{e9}\n\\"}], "c": {}, "d": "", "e": null});
        assert_eq!(condensed(&item.to_string()), Some(item));
    }
}
