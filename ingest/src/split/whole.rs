//! The end of an object that is all there: bytes in, a length out.

use memchr::memchr3;

use super::Lists;

/// Where the object that `bytes` begin with ends; `None` if it goes on over lines or beyond `bytes`, if its
/// brackets do not match or are too many, or if it has a list under one of `lists`.
pub(super) fn object_end(bytes: &[u8], lists: Lists) -> Option<usize> {
    let mut depth = 0;
    // Whether each open bracket is that of an object, the innermost in the lowest bit.
    let mut objects = 0_u64;
    let mut at = 0;
    loop {
        let byte = *bytes.get(at)?;
        let is_object = u64::from(matches!(byte, b'{' | b'}'));
        at += 1;
        match byte {
            b'{' | b'[' if depth == u64::BITS => return None,
            b'{' | b'[' => {
                objects = objects << 1 | is_object;
                depth += 1;
            }
            b'}' | b']' if objects & 1 != is_object => return None,
            b'}' | b']' if depth == 1 => return Some(at),
            b'}' | b']' => {
                objects >>= 1;
                depth -= 1;
            }
            b'"' => {
                let start = at - 1;
                at = string_end(bytes, at)?;
                if depth == 1 && lists.contains(&bytes.get(start..at)?) {
                    return None;
                }
            }
            b'\n' => return None,
            _ => {}
        }
    }
}

/// Where the string ends whose first byte is at `at`; `None` if it does not, or not on its line.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let found = memchr3(b'"', b'\\', b'\n', rest)?;
        at += found + 1;
        match rest.get(found)? {
            b'"' => return Some(at),
            b'\\' if bytes.get(at) != Some(&b'\n') => at += 1,
            _ => return None,
        }
    }
}
