//! Lines that a container runtime wrote in pieces: pieces in, whole lines out.
//!
//! Runtimes cut lines at 16 KiB. The CRI tags every piece `P` and the last one `F`; Docker ends only the
//! last one with a line break; journald, Fluent Bit and Fluentd mark the pieces in fields of their own.
//! Streams are joined apart from one another, and what is held is bounded.
//! <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>,
//! <https://github.com/moby/moby/blob/master/daemon/logger/copier.go>

use std::mem::take;

use serde_json::{Map, Value};

use super::{Fault, HEAD, Item};

/// Lines that are held open at the same time.
const MAX_OPEN: usize = 64;
/// What Docker reads at a time: a shorter record without a line break is no piece of a line of text.
const PIECE: usize = 16 << 10;

/// The fields in which a line is kept, with the field that marks a piece, what it then holds, and the field
/// that is true in the last piece.
const RECORDS: &[(&str, &str, &str, &str)] = &[
    ("log", "_p", "P", ""),
    ("log", "logtag", "P", ""),
    ("log", "partial_message", "true", "partial_last"),
    ("message", "partial_message", "true", "partial_last"),
    ("MESSAGE", "CONTAINER_PARTIAL_MESSAGE", "true", "CONTAINER_PARTIAL_LAST"),
];

/// Lines of which some pieces have come.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    open: Vec<Line>,
}

/// A line of which some pieces have come.
#[derive(Debug)]
struct Line {
    stream: String,
    /// The item that the first piece came in.
    first: Item,
    carrier: Carrier,
    text: Vec<u8>,
    length: usize,
    object: Object,
}

/// What a piece came in.
#[derive(Debug)]
enum Carrier {
    /// A line of the CRI, up to its tag.
    Cri(Vec<u8>),
    /// A record, and the field that holds the line.
    Record(Map<String, Value>, &'static str),
}

/// One piece.
struct Piece {
    stream: String,
    carrier: Carrier,
    text: Vec<u8>,
    end: End,
}

/// Whether a piece is the last one of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Last,
    More,
    /// It has neither a mark nor a line break.
    Untold,
}

impl Pieces {
    /// Joins pieces among `items`; other items pass as they are. `max` bounds a line, and twice as much all
    /// that is held.
    pub(super) fn join(&mut self, items: Vec<Item>, max: usize) -> Vec<Item> {
        if self.open.is_empty() && !items.iter().any(may_be_piece) {
            return items;
        }
        let mut whole = Vec::with_capacity(items.len());
        for item in items {
            self.take(item, max, &mut whole);
        }
        whole
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.open.iter().map(|line| line.text.len()).sum()
    }

    /// Ends the input; gives the lines whose last piece never came.
    pub(super) fn finish(&mut self, max: usize) -> Vec<Item> {
        take(&mut self.open).into_iter().map(|line| line.close(max, false)).collect()
    }

    fn take(&mut self, item: Item, max: usize, whole: &mut Vec<Item>) {
        let piece =
            if item.fault.is_none() && may_be_piece(&item) { Piece::of(&item) } else { None };
        let Some(piece) = piece else { return whole.push(item) };
        let Some(at) = self.open.iter().position(|line| line.stream == piece.stream) else {
            if piece.is_whole() {
                return whole.push(item);
            }
            self.open.push(Line::begin(item, piece, max));
            return self.bound(max, whole);
        };
        if let Some(line) = self.open.get_mut(at)
            && (!is_closed(&piece.text) || line.is_closed_with(&piece.text))
        {
            let is_last = line.add(&piece, max);
            if is_last {
                whole.push(self.open.remove(at).close(max, true));
            }
            return self.bound(max, whole);
        }
        // An object that is whole belongs to no line before it, whose writer ended in the middle.
        whole.push(self.open.remove(at).close(max, false));
        self.take(item, max, whole);
    }

    /// Gives up the oldest lines while too much is held.
    fn bound(&mut self, max: usize, whole: &mut Vec<Item>) {
        while self.open.len() > MAX_OPEN || (self.open.len() > 1 && self.held() > 2 * max) {
            whole.push(self.open.remove(0).close(max, false));
        }
    }
}

impl Line {
    fn begin(first: Item, piece: Piece, max: usize) -> Self {
        let Piece { stream, carrier, text, .. } = piece;
        let object = Object::default();
        let mut line = Self { stream, first, carrier, text: Vec::new(), length: 0, object };
        line.append(&text, max);
        line
    }

    /// Adds a piece; gives whether it is the last one.
    fn add(&mut self, piece: &Piece, max: usize) -> bool {
        self.append(&piece.text, max);
        match piece.end {
            End::Last => true,
            End::More => false,
            End::Untold if self.text.starts_with(b"{") => {
                self.length <= max && self.object.is_closed()
            }
            End::Untold => piece.text.len() < PIECE,
        }
    }

    fn append(&mut self, text: &[u8], max: usize) {
        let room = max.saturating_sub(self.length);
        self.text.extend_from_slice(text.get(..room).unwrap_or(text));
        self.length += text.len();
        self.object.add(text);
        if self.length > max {
            self.text.truncate(HEAD);
        }
    }

    /// Whether `text` ends the object that the line is.
    fn is_closed_with(&self, text: &[u8]) -> bool {
        self.text.starts_with(b"{") && is_closed(&[self.text.as_slice(), text].concat())
    }

    /// The whole line as its carrier would have kept it.
    fn close(self, max: usize, is_ended: bool) -> Item {
        let Self { first, carrier, text, length, .. } = self;
        let fault = match () {
            () if length > max => Some(Fault::TooLarge),
            () if is_ended || is_closed(&text) => None,
            () => Some(Fault::Unclosed),
        };
        let bytes = match carrier {
            Carrier::Cri(prefix) => [&prefix, &b" F "[..], &text].concat(),
            Carrier::Record(mut fields, key) => {
                fields.retain(|name, _| !RECORDS.iter().any(|(_, mark, _, _)| name == mark));
                fields.insert(key.to_owned(), String::from_utf8_lossy(&text).into_owned().into());
                Value::Object(fields).to_string().into_bytes()
            }
        };
        let length = if length > max { length } else { bytes.len() };
        Item { bytes, length, fault, ..first }
    }
}

impl Piece {
    /// The piece that an item is; `None` if it is no line that a runtime keeps.
    fn of(item: &Item) -> Option<Self> {
        if item.bytes.first() == Some(&b'{') {
            Self::of_record(&item.bytes)
        } else {
            Self::of_cri(&item.bytes)
        }
    }

    fn of_cri(line: &[u8]) -> Option<Self> {
        let [prefix, stream, tag, text] = cri(line)?;
        let end = if tag.starts_with(b"P") { End::More } else { End::Last };
        let stream = format!("cri {}", String::from_utf8_lossy(stream));
        Some(Self { stream, carrier: Carrier::Cri(prefix.to_vec()), text: text.to_vec(), end })
    }

    fn of_record(record: &[u8]) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(record).ok()?;
        let is = |name: &str, what: &str| match fields.get(name) {
            Some(Value::String(text)) => text == what,
            Some(Value::Bool(truth)) => *truth && what == "true",
            _ => false,
        };
        let told = RECORDS.iter().find(|(key, mark, _, _)| {
            fields.contains_key(*mark) && fields.get(*key).is_some_and(Value::is_string)
        });
        let (key, marked) = match told {
            Some((key, mark, what, last)) => (
                *key,
                Some(if is(mark, what) && !is(last, "true") { End::More } else { End::Last }),
            ),
            // Docker names the stream and the time, and marks nothing.
            None if fields.contains_key("stream") => ("log", None),
            None => return None,
        };
        let text = fields.get(key)?.as_str()?.as_bytes().to_vec();
        let by_break = if text.ends_with(b"\n") { End::Last } else { End::Untold };
        let of = |name: &str| fields.get(name).map(Value::to_string).unwrap_or_default();
        let containers = ["stream", "kubernetes", "container_id", "CONTAINER_ID", "partial_id"];
        let stream = containers.map(of).join(" ");
        Some(Self {
            stream,
            end: marked.unwrap_or(by_break),
            text,
            carrier: Carrier::Record(fields, key),
        })
    }

    /// Whether a piece that no other stands before is a line by itself.
    fn is_whole(&self) -> bool {
        match self.end {
            End::Last => true,
            End::More => false,
            End::Untold if self.text.starts_with(b"{") => is_closed(&self.text),
            End::Untold => self.text.len() < PIECE,
        }
    }
}

/// Whether an item may be a piece, by a glance at it.
fn may_be_piece(item: &Item) -> bool {
    match item.bytes.first() {
        Some(b'{') => {
            let names = |name: &[u8]| memchr::memmem::find(&item.bytes, name).is_some();
            names(b"\"stream\"")
                || names(b"partial_message\"")
                || names(b"\"CONTAINER_PARTIAL_MESSAGE\"")
        }
        Some(byte) => byte.is_ascii_digit() && cri(&item.bytes).is_some(),
        None => false,
    }
}

/// Time and stream, the stream, the tag and the text of a line of the CRI. The last piece may be empty.
fn cri(line: &[u8]) -> Option<[&[u8]; 4]> {
    let time = memchr::memchr(b' ', line)?;
    let rest = line.get(time + 1..)?;
    let stream = [&b"stdout"[..], b"stderr"].into_iter().find(|name| rest.starts_with(name))?;
    let (prefix, rest) = line.split_at_checked(time + 1 + stream.len())?;
    let rest = rest.strip_prefix(b" ")?;
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (tag, text) = rest.split_at_checked(end)?;
    let is_tag = matches!(tag, [b'F' | b'P'] | [b'F' | b'P', b':', ..]);
    is_tag.then(|| [prefix, stream, tag, text.strip_prefix(b" ").unwrap_or(text)])
}

/// Whether a text is one object, all of it there.
fn is_closed(text: &[u8]) -> bool {
    let mut object = Object::default();
    object.add(text);
    object.is_closed()
}

/// How far a text that comes in pieces is one object. Each byte is looked at once, however many pieces there are.
#[derive(Debug, Default)]
struct Object {
    depth: usize,
    at: At,
    /// Its first byte.
    first: Option<u8>,
}

/// Where in an object the end of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    /// Outside of strings.
    #[default]
    Outside,
    /// In a string.
    Inside,
    /// In a string, after a backslash.
    Escaped,
    /// Behind its end.
    End,
    /// Behind something else that came after its end.
    More,
}

impl Object {
    fn add(&mut self, text: &[u8]) {
        for &byte in text {
            if self.first.is_none() && !byte.is_ascii_whitespace() {
                self.first = Some(byte);
            }
            self.at = match (self.at, byte) {
                (At::Escaped, _) | (At::Outside, b'"') => At::Inside,
                (At::Inside, b'\\') => At::Escaped,
                (At::Inside, b'"') => At::Outside,
                (At::Outside, b'{' | b'[') => {
                    self.depth += 1;
                    At::Outside
                }
                (At::Outside, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 { At::End } else { At::Outside }
                }
                (At::End, byte) if !byte.is_ascii_whitespace() => At::More,
                (at, _) => at,
            };
        }
    }

    fn is_closed(&self) -> bool {
        self.at == At::End && self.first == Some(b'{')
    }
}

#[cfg(test)]
mod tests;
