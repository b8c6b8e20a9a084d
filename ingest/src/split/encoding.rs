//! UTF-16 in, UTF-8 out: what Windows PowerShell writes with `>`. Text in any other encoding passes as it is.

use std::borrow::Cow;

/// Bytes by which an encoding is told.
const HEAD: usize = 4;

/// The order of the two bytes of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn unit(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }
}

/// The order of bytes of a text that begins with `head`, if it is UTF-16: by its byte order mark, else by
/// its first two characters, which are ASCII in every input that is read (RFC 4627, section 3).
fn order_of(head: &[u8]) -> Option<Order> {
    let is_plain = |byte: u8| (b' '..0x7f).contains(&byte);
    match *head {
        // With two zeros behind it the mark is that of UTF-32.
        [0xff, 0xfe, 0, 0, ..] => None,
        [0xff, 0xfe, ..] => Some(Order::Little),
        [0xfe, 0xff, ..] => Some(Order::Big),
        [one, 0, other, 0, ..] if is_plain(one) && is_plain(other) => Some(Order::Little),
        [0, one, 0, other, ..] if is_plain(one) && is_plain(other) => Some(Order::Big),
        _ => None,
    }
}

/// The beginning of a text in UTF-8, by which its format is recognised.
pub(crate) fn decoded(head: &[u8]) -> Cow<'_, [u8]> {
    if order_of(head).is_none() {
        return Cow::Borrowed(head);
    }
    let mut decoder = Decoder::default();
    Cow::Owned(decoder.push(head).into_owned())
}

/// Decodes a stream of bytes.
#[derive(Debug)]
pub(super) struct Decoder(State);

#[derive(Debug)]
enum State {
    /// Too few bytes came to tell.
    Undecided(Vec<u8>),
    Plain,
    Utf16 {
        order: Order,
        /// The first byte of a unit whose second has not come.
        half: Option<u8>,
        /// The first unit of a pair.
        high: Option<u16>,
    },
}

impl Default for Decoder {
    fn default() -> Self {
        Self(State::Undecided(Vec::new()))
    }
}

impl Decoder {
    /// Takes the next bytes; gives what is text of them.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let bytes = match &mut self.0 {
            State::Plain => return Cow::Borrowed(bytes),
            State::Utf16 { .. } => return Cow::Owned(self.decode(bytes)),
            State::Undecided(head) if head.len() + bytes.len() < HEAD => {
                head.extend_from_slice(bytes);
                return Cow::Borrowed(&[]);
            }
            State::Undecided(head) if head.is_empty() => Cow::Borrowed(bytes),
            State::Undecided(head) => {
                head.extend_from_slice(bytes);
                Cow::Owned(std::mem::take(head))
            }
        };
        let text = self.decide(&bytes);
        if matches!(self.0, State::Plain) {
            bytes
        } else {
            Cow::Owned(self.decode(bytes.get(text..).unwrap_or_default()))
        }
    }

    /// Ends the stream; gives the text that was held back. Half of a character is one that cannot be read.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if let State::Undecided(head) = &mut self.0 {
            let head = std::mem::take(head);
            let begin = self.decide(&head);
            let text = if matches!(self.0, State::Plain) {
                head
            } else {
                self.decode(head.get(begin..).unwrap_or_default())
            };
            return [text, self.finish()].concat();
        }
        let State::Utf16 { half, high, .. } = &mut self.0 else { return Vec::new() };
        let is_cut = half.take().is_some() | high.take().is_some();
        let sign = is_cut.then(|| char::REPLACEMENT_CHARACTER.to_string());
        sign.unwrap_or_default().into_bytes()
    }

    /// Tells the encoding, if it is not known yet; gives where the text begins, behind its mark.
    fn decide(&mut self, head: &[u8]) -> usize {
        if !matches!(self.0, State::Undecided(_)) {
            return 0;
        }
        let utf16 = |order| State::Utf16 { order, half: None, high: None };
        self.0 = order_of(head).map_or(State::Plain, utf16);
        let is_marked = matches!(head, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        if is_marked { 2 } else { 0 }
    }

    fn decode(&mut self, bytes: &[u8]) -> Vec<u8> {
        let State::Utf16 { order, half, high } = &mut self.0 else { return Vec::new() };
        let mut text = String::with_capacity(bytes.len());
        for byte in bytes {
            let Some(first) = half.take() else {
                *half = Some(*byte);
                continue;
            };
            let unit = order.unit([first, *byte]);
            let is_low = (0xdc00..0xe000).contains(&unit);
            let pair = [high.take(), Some(unit)];
            if pair[0].is_some() && !is_low {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            if (0xd800..0xdc00).contains(&unit) {
                *high = Some(unit);
                continue;
            }
            let units = pair.into_iter().skip(usize::from(!is_low)).flatten();
            text.extend(
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)),
            );
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that `bytes` are, at once and byte by byte, which must agree.
    fn text(bytes: &[u8]) -> String {
        let mut whole = Decoder::default();
        let mut found = whole.push(bytes).into_owned();
        found.extend(whole.finish());
        let mut bytewise = Decoder::default();
        let mut again = Vec::new();
        for byte in bytes {
            again.extend_from_slice(&bytewise.push(&[*byte]));
        }
        again.extend(bytewise.finish());
        assert_eq!(found, again, "{bytes:x?}");
        String::from_utf8_lossy(&found).into_owned()
    }

    /// `text` in UTF-16.
    fn encoded(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// Scenario: texts in UTF-16 of both orders of bytes, with a byte order mark and without, at once and
    /// byte by byte; cut in the middle of a character; and in UTF-8.
    /// Guarantees: the text; of half a character the sign that it cannot be read.
    #[test]
    fn both_orders_of_bytes_are_decoded() {
        let line = "{\"name\":\"caf\u{e9} \u{1f600}\"}\n";
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(text(&encoded(&format!("\u{feff}{line}"), bytes)), line);
            assert_eq!(text(&encoded(line, bytes)), line);
            assert_eq!(text(&encoded("\u{feff}", bytes)), "");
            let mut cut = encoded("\u{feff}a\u{1f600}", bytes);
            cut.truncate(cut.len() - 2);
            assert_eq!(text(&cut), "a\u{fffd}");
            cut.pop();
            assert_eq!(text(&cut), "a\u{fffd}");
        }
        let unpaired = [0xff, 0xfe, 0x00, 0xdc, b'a', 0, 0x00, 0xd8, b'b', 0];
        assert_eq!(text(&unpaired), "\u{fffd}a\u{fffd}b");
        for plain in ["", "{", "{}", "abc", line, "\u{feff}{}"] {
            assert_eq!(text(plain.as_bytes()), plain);
        }
        for other in [&b"\n\0\n\0"[..], b"\xff\xfe\0\0a\0\0\0", b"\0\0\0a"] {
            assert_eq!(decoded(other).as_ref(), other);
        }
    }
}
