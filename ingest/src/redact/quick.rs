//! A quick look before a slow one: whether a text has any of some groups of three letters.
//!
//! Nearly no text of an audit log has any, and starting a regular expression costs more than reading
//! the text once.

/// Groups of three letters in either case, as bits: 5 for each letter, 15 for a group.
#[derive(Clone)]
pub(super) struct Quick(Box<[u64; GROUPS / 64]>);

const GROUPS: usize = 1 << 15;

impl Quick {
    /// Looks for these, in lower case.
    pub(super) fn new(groups: &[&[u8; 3]]) -> Self {
        let mut bits = Box::new([0; GROUPS / 64]);
        for group in groups {
            let place = group.iter().fold(0, |place, byte| next(place, *byte));
            if let Some(word) = bits.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        }
        Self(bits)
    }

    /// Whether `text` may have one. Always, if it is not ASCII: some letters of other alphabets have a
    /// lower case that is one of ours.
    pub(super) fn finds(&self, text: &str) -> bool {
        if !text.is_ascii() {
            return true;
        }
        let mut bytes = text.bytes();
        let start = bytes.by_ref().take(2).fold(0, next);
        let mut place = start;
        bytes.any(|byte| {
            place = next(place, byte);
            self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
        })
    }
}

/// The group that ends with `byte` after the one at `place`.
fn next(place: usize, byte: u8) -> usize {
    let bits = NUMBERS.get(usize::from(byte)).copied().unwrap_or_default();
    (place << 5 | usize::from(bits)) % GROUPS
}

/// What [`five_bits`] says of each byte.
const NUMBERS: [u8; 256] = {
    let mut numbers = [0; 256];
    let mut byte = 0;
    while byte < 255 {
        byte += 1;
        numbers[byte as usize] = five_bits(byte);
    }
    numbers
};

/// Letters and four marks each have a number, whatever their case; all else is one.
const fn five_bits(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => byte - b'a' + 1,
        b'A'..=b'Z' => byte - b'A' + 1,
        b'_' => 27,
        b'-' => 28,
        b'.' => 29,
        b':' => 30,
        b'/' => 31,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: texts with a group at the beginning, in the middle, at the end, in capitals, in none of
    /// these, and texts that are too short or of other alphabets.
    /// Guarantees: no group is missed; what has none is not looked at again.
    #[test]
    fn groups_are_found() {
        let quick = Quick::new(&[b"tok", b"://", b"a29"]);
        let found = ["token", "my token", "atok", "TOKEN", "x://", "ya29.", "to\u{212a}"];
        assert!(found.iter().all(|text| quick.finds(text)));
        let none = ["", "to", "t-ok", "objectRef", "kot", "/a/b:c", "10.0.0.1"];
        assert!(none.iter().all(|text| !quick.finds(text)));
    }
}
