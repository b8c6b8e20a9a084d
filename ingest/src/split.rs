//! JSON text into items, while it streams in: chunks of bytes in, whole items out.
//!
//! An item is an element of a list (`[...]`, or `"items": [...]` of an object), or a value by itself
//! (one document, JSON lines). Clouds name the list of an object otherwise: `Records`. Items are
//! found by brackets and quotes alone, so one that is not JSON never takes a neighbour with it. Memory is bounded by the largest item that is allowed.

mod condense;
mod encoding;
mod item;
mod pieces;
mod state;
mod whole;

use memchr::memchr3;

use self::condense::Condenser;
use self::encoding::Decoder;
pub(crate) use self::encoding::decoded;
pub(crate) use self::item::{Fault, Item};
use self::pieces::Pieces;
use self::state::{Key, Quotes, State, Takes};
use self::whole::object_end;

/// Bytes kept of an item that is too large.
const HEAD: usize = 4096;
/// Bytes of a text that are split at a time.
pub(crate) const SLICE: usize = 256 << 10;
/// Brackets that are remembered by kind; deeper ones are only counted.
const REMEMBERED: usize = 4096;

/// The keys, in their quotes, under which objects keep the list that is taken apart.
pub(crate) type Lists = &'static [&'static [u8]];

/// The list of a Kubernetes object.
const ITEMS: Lists = &[b"\"items\""];
/// Bytes of a string that are remembered, since it may be the key of a list.
const LONGEST_KEY: usize = 20;

/// Finds items in a stream of bytes.
#[derive(Debug)]
pub(crate) struct Splitter {
    takes: Takes,
    lists: Lists,
    max: usize,
    state: State,
    key: Key,
    /// Whether the list that is open belongs to an object.
    in_object: bool,
    /// The beginning of the latest string, quotes included: it may be the key of a list.
    string: Vec<u8>,
    brackets: Vec<u8>,
    deeper: usize,
    quotes: Quotes,
    after_newline: bool,
    buffer: Vec<u8>,
    /// Takes an item as soon as it is too large, if such items are to be condensed.
    condenser: Option<Condenser>,
    condenses: bool,
    length: usize,
    line: usize,
    item_line: usize,
    index: usize,
    /// Bytes of text that were taken, and how many of them stand before the item.
    offset: u64,
    item_offset: u64,
    found: Vec<Item>,
    decoder: Decoder,
    pieces: Pieces,
}

impl Splitter {
    /// A splitter for items of at most `max` bytes. `unpacks` tells whether lists are taken apart.
    pub(crate) fn new(unpacks: bool, max: usize) -> Self {
        Self {
            takes: if unpacks { Takes::Lists } else { Takes::Documents },
            lists: ITEMS,
            max,
            state: State::Between,
            key: Key::Other,
            in_object: false,
            string: Vec::new(),
            brackets: Vec::new(),
            deeper: 0,
            quotes: Quotes::Outside,
            after_newline: true,
            buffer: Vec::new(),
            condenser: None,
            condenses: false,
            length: 0,
            line: 1,
            item_line: 1,
            index: 0,
            offset: 0,
            item_offset: 0,
            found: Vec::new(),
            decoder: Decoder::default(),
            pieces: Pieces::default(),
        }
    }

    /// The same, with items that are too large condensed beside their beginning.
    pub(crate) fn condensing(self) -> Self {
        Self { condenses: true, ..self }
    }

    /// A splitter for logs: lines of text, lines of JSON, lists of these.
    pub(crate) fn lines(max: usize) -> Self {
        Self { takes: Takes::Lines, ..Self::new(true, max) }
    }

    /// A splitter that takes apart lists by themselves, and those that objects keep under `lists`.
    pub(crate) fn of_lists(lists: Lists, max: usize) -> Self {
        debug_assert!(lists.iter().all(|key| key.len() <= LONGEST_KEY), "keys are recognised");
        Self { lists, ..Self::new(true, max) }
    }

    /// Takes the next bytes; gives the items that ended in them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Item> {
        let text = self.decoder.push(bytes);
        self.scan(&text);
        self.pieces.join(std::mem::take(&mut self.found), self.max)
    }

    /// The items of a text, found as they are asked for: a list of empty ones is many times larger as items.
    pub(crate) fn items(mut self, text: &[u8]) -> impl Iterator<Item = Item> {
        let mut slices = text.chunks(SLICE).map(Some).chain([None]);
        let mut found = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(item) = found.next() {
                    return Some(item);
                }
                let items = match slices.next()? {
                    Some(slice) => self.push(slice),
                    None => self.finish(),
                };
                found = items.into_iter();
            }
        })
    }

    fn scan(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let rest = bytes.get(at..).unwrap_or_default();
            let length = if self.quotes == Quotes::Inside {
                self.string_bytes(rest)
            } else if let Some(object) = self.whole(rest) {
                self.take(object);
                object.len()
            } else {
                self.byte(byte);
                1
            };
            at += length;
            self.offset += length as u64;
        }
    }

    /// The item that `bytes` begin with, if it is an object of which all is here: on one line, with no
    /// list in it to be taken apart. Nearly every item of a log is, and to find its end is all there is to do.
    fn whole<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        if bytes.first() != Some(&b'{') || !matches!(self.state, State::Between | State::List) {
            return None;
        }
        let lists = if self.state == State::Between { self.lists } else { &[] };
        bytes.get(..object_end(bytes, lists)?).filter(|object| object.len() <= self.max)
    }

    /// Takes an object that is whole.
    fn take(&mut self, object: &[u8]) {
        if self.state == State::List {
            self.index += 1;
            self.start(State::Element);
        } else {
            self.start(State::Value);
        }
        self.buffer = object.to_vec();
        self.length = object.len();
        self.after_newline = false;
        self.key = Key::Other;
        self.end();
    }

    /// Bytes that are held of items that have not ended.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len() + self.pieces.held()
    }

    /// Ends the input; gives what was still open.
    pub(crate) fn finish(&mut self) -> Vec<Item> {
        let rest = self.decoder.finish();
        self.scan(&rest);
        match self.state {
            State::Between => {}
            State::Junk => self.emit(None),
            State::Bracket | State::Value | State::Element | State::List | State::Envelope => {
                self.emit(Some(Fault::Unclosed));
            }
        }
        self.state = State::Between;
        let mut items = self.pieces.join(std::mem::take(&mut self.found), self.max);
        items.extend(self.pieces.finish(self.max));
        items
    }

    /// Takes bytes of a string up to what may end it; says how many.
    fn string_bytes(&mut self, bytes: &[u8]) -> usize {
        let plain = memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len());
        let (run, rest) = bytes.split_at(plain);
        if !run.is_empty() {
            let starts_line = self.after_newline && run.starts_with(b"{");
            if starts_line && self.state == State::Value {
                self.restart();
                return 0;
            }
            self.after_newline = false;
            self.keep(run);
        }
        let Some(&byte) = rest.first() else { return plain };
        self.byte(byte);
        plain + 1
    }

    /// A `{` that begins a line begins a new value: the one before it was never closed.
    fn restart(&mut self) {
        self.emit(Some(Fault::Unclosed));
        self.state = State::Between;
    }

    /// Whether `byte` shows that the value before it was never closed: among lines of text a value may
    /// go on over lines, but its strings do not, and neither do its lines begin as text does.
    fn tears(&self, byte: u8) -> bool {
        let has_text = self.takes == Takes::Lines;
        let goes_on = matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b'"' | b'}' | b']');
        match byte {
            b'{' if self.after_newline => true,
            b'\n' if has_text => self.quotes != Quotes::Outside,
            _ => has_text && self.after_newline && !goes_on,
        }
    }

    fn byte(&mut self, byte: u8) {
        if self.state == State::Value && self.tears(byte) {
            self.restart();
        }
        match self.state {
            State::Between => self.between(byte),
            State::Junk if byte == b'\n' => self.end(),
            State::Junk => self.keep(&[byte]),
            State::Bracket => self.bracket(byte),
            State::List => self.list(byte),
            State::Value | State::Element | State::Envelope => self.inside(byte),
        }
        self.after_newline = byte == b'\n';
        self.line += usize::from(byte == b'\n');
    }

    fn between(&mut self, byte: u8) {
        match byte {
            // White space, a byte order mark, the separator of RFC 7464, commas of a torn list.
            b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xef | 0xbb | 0xbf | 0x1e => {}
            b'[' if self.takes == Takes::Lines => {
                self.start(State::Bracket);
                self.keep(&[byte]);
            }
            b'[' if self.takes == Takes::Lists => self.open_list(false),
            b'{' | b'[' => {
                self.start(State::Value);
                self.inside(byte);
            }
            _ => {
                self.start(State::Junk);
                self.keep(&[byte]);
            }
        }
    }

    /// A list begins with an item; a line of text begins with a time.
    fn bracket(&mut self, byte: u8) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {}
            b'{' | b'"' | b']' => {
                self.open_list(false);
                self.list(byte);
            }
            _ => {
                self.state = State::Junk;
                self.keep(&[byte]);
            }
        }
    }

    fn open_list(&mut self, in_object: bool) {
        self.start(State::List);
        self.in_object = in_object;
        self.index = 0;
        self.brackets.clear();
    }

    fn list(&mut self, byte: u8) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
            b']' => self.close_list(),
            _ => {
                self.index += 1;
                self.start(State::Element);
                self.inside(byte);
            }
        }
    }

    /// Back to the object that holds the list, or to the end of a list by itself.
    fn close_list(&mut self) {
        self.key = Key::Other;
        self.state = if self.in_object { State::Envelope } else { State::Between };
        if self.in_object {
            self.brackets.push(b'{');
        }
    }

    fn inside(&mut self, byte: u8) {
        if self.quotes != Quotes::Outside {
            return self.inside_string(byte);
        }
        let is_scalar = self.state == State::Element && self.brackets.is_empty();
        match byte {
            b'"' => {
                self.quotes = Quotes::Inside;
                self.string.clear();
            }
            b'[' if self.opens_items() => return self.open_list(true),
            b'{' | b'[' => self.open(byte),
            b'}' | b']' if !is_scalar => self.close(byte),
            b',' | b' ' | b'\n' | b'\r' | b'\t' | b']' if is_scalar => {
                self.end();
                return self.list(byte);
            }
            _ => {}
        }
        self.follow_key(byte);
        self.keep(&[byte]);
        let is_closed = self.brackets.is_empty() && self.deeper == 0;
        if is_closed && matches!(byte, b'}' | b']') {
            self.end();
        }
    }

    fn inside_string(&mut self, byte: u8) {
        self.keep(&[byte]);
        match (self.quotes, byte) {
            (Quotes::Escaped, _) => self.quotes = Quotes::Inside,
            (_, b'\\') => self.quotes = Quotes::Escaped,
            (_, b'"') => {
                self.quotes = Quotes::Outside;
                let is_items =
                    self.brackets.len() == 1 && self.lists.contains(&self.string.as_slice());
                self.key = if is_items { Key::Items } else { Key::Other };
                if self.brackets.is_empty() {
                    self.end();
                }
            }
            _ => {}
        }
    }

    fn opens_items(&self) -> bool {
        let may_unpack =
            self.takes != Takes::Documents && matches!(self.state, State::Value | State::Envelope);
        may_unpack && self.key == Key::Colon && self.brackets == [b'{']
    }

    fn follow_key(&mut self, byte: u8) {
        self.key = match (byte, self.key) {
            (b' ' | b'\n' | b'\r' | b'\t', key) => key,
            (b':', Key::Items) => Key::Colon,
            _ => Key::Other,
        };
    }

    fn open(&mut self, byte: u8) {
        if self.brackets.len() < REMEMBERED {
            self.brackets.push(byte);
        } else {
            self.deeper += 1;
        }
    }

    /// Closes up to the bracket that `byte` belongs to, so that a forgotten one costs only its item.
    fn close(&mut self, byte: u8) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        let opening = if byte == b'}' { b'{' } else { b'[' };
        if self.brackets.contains(&opening) {
            while self.brackets.pop().is_some_and(|bracket| bracket != opening) {}
        }
    }

    fn start(&mut self, state: State) {
        self.state = state;
        self.buffer.clear();
        self.condenser = None;
        self.length = 0;
        self.item_line = self.line;
        self.item_offset = self.offset;
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.quotes != Quotes::Outside && self.string.len() <= LONGEST_KEY {
            self.string.extend_from_slice(bytes);
        }
        let before = self.length;
        self.length += bytes.len();
        if self.state == State::Envelope || before > self.max {
            if let Some(condenser) = &mut self.condenser {
                condenser.push(bytes);
            }
            return;
        }
        let room = self.max - before;
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if self.length > self.max {
            if self.condenses {
                let condenser = self.condenser.insert(Condenser::default());
                condenser.push(&self.buffer);
                condenser.push(bytes.get(room..).unwrap_or_default());
            }
            self.buffer.truncate(HEAD);
        }
    }

    /// The value or item is whole.
    fn end(&mut self) {
        if self.state != State::Envelope {
            self.emit(None);
        }
        self.state = if self.state == State::Element { State::List } else { State::Between };
    }

    fn emit(&mut self, fault: Option<Fault>) {
        let fault = if self.length > self.max { Some(Fault::TooLarge) } else { fault };
        let in_list = matches!(self.state, State::Element | State::List | State::Envelope);
        let position = if in_list {
            format!("item {}", self.index)
        } else {
            format!("line {}", self.item_line)
        };
        let bytes = std::mem::take(&mut self.buffer);
        let condensed = self.condenser.take().filter(|_| fault == Some(Fault::TooLarge));
        let condensed = condensed.and_then(Condenser::finish);
        let (length, offset) = (self.length, self.item_offset);
        self.found.push(Item { bytes, condensed, length, position, offset, fault });
        self.brackets.clear();
        self.deeper = 0;
        self.quotes = Quotes::Outside;
    }
}

#[cfg(test)]
mod tests;
