//! One file: a path in, its rows out, nearly in order of time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use durward_schemas::Time;
use durward_schemas::tables::{Access, Log, Metric, Object, Reject, Span};

use super::{FilesError, WINDOW_BYTES, WINDOW_ROWS};
use crate::format::{Context, Failure, Format, Reading};
use crate::intake::Delivery;
use crate::seal;
use crate::split::{Item, Splitter};

/// Bytes that are read at a time, and by which a format is recognised.
const CHUNK: usize = 64 << 10;

/// The format of a file that has none of ours.
const UNKNOWN: &str = "unknown";
/// What errors call a file that was sent here.
const STREAM: &str = "the request";

/// One row of any kind.
#[derive(Debug)]
pub(super) enum Row {
    Access(Box<Access>),
    Object(Box<Object>),
    Span(Box<Span>),
    Log(Box<Log>),
    Metric(Box<Metric>),
    Reject(Box<Reject>),
}

impl Row {
    /// When what it says had happened: an access when its stage did, a span when it ended.
    fn time(&self) -> Option<Time> {
        match self {
            Self::Access(row) => Some(row.observed_time.unwrap_or(row.time)),
            Self::Object(row) => Some(row.time),
            Self::Span(row) => Some(row.end_time),
            Self::Log(row) => Some(row.time),
            Self::Metric(row) => Some(row.time),
            Self::Reject(_) => None,
        }
    }

    /// Bytes of it, roughly.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Access(row) => seal::access_bytes(row),
            Self::Object(row) => seal::object_bytes(row),
            Self::Span(row) => seal::span_bytes(row),
            Self::Log(row) => seal::log_bytes(row),
            Self::Metric(row) => seal::metric_bytes(row),
            Self::Reject(row) => seal::reject_bytes(row),
        }
    }

    pub(super) fn add_to(self, batch: &mut Reading) {
        match self {
            Self::Access(row) => batch.accesses.push(*row),
            Self::Object(row) => batch.objects.push(*row),
            Self::Span(row) => batch.spans.push(*row),
            Self::Log(row) => batch.logs.push(*row),
            Self::Metric(row) => batch.metrics.push(*row),
            Self::Reject(row) => batch.rejects.push(*row),
        }
    }
}

/// The rows of a reading, whatever their kind.
fn rows(reading: Reading) -> impl Iterator<Item = Row> {
    let objects = reading.objects.into_iter().map(|row| Row::Object(Box::new(row)));
    let accesses = reading.accesses.into_iter().map(|row| Row::Access(Box::new(row)));
    let spans = reading.spans.into_iter().map(|row| Row::Span(Box::new(row)));
    let logs = reading.logs.into_iter().map(|row| Row::Log(Box::new(row)));
    let metrics = reading.metrics.into_iter().map(|row| Row::Metric(Box::new(row)));
    let rejects = reading.rejects.into_iter().map(|row| Row::Reject(Box::new(row)));
    objects.chain(accesses).chain(spans).chain(logs).chain(metrics).chain(rejects)
}

/// A row in the window; rows of one time stay in the order of the file.
#[derive(Debug)]
struct Waiting {
    time: Time,
    ordinal: u64,
    row: Row,
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.ordinal).cmp(&(other.time, other.ordinal))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

/// A file that is being read, or that waits for its turn.
pub(super) struct Source {
    path: PathBuf,
    total: u64,
    /// Whether the file is closed until its first row is due.
    is_parked: bool,
    /// The time of its first row.
    first: Option<Time>,
    forced: Option<Format>,
    format: Option<Format>,
    input: Option<Input>,
    window: BinaryHeap<Reverse<Waiting>>,
    weight: usize,
    latest: Time,
    ordinal: u64,
    bytes: Arc<AtomicU64>,
}

/// What is left of a file.
struct Input {
    reader: Box<dyn Read>,
    splitter: Splitter,
    /// A document in protobuf, which is read whole.
    binary: Option<Vec<u8>>,
}

impl Source {
    /// Opens a file and reads its first window, to know its earliest row.
    pub(super) fn look(
        path: &Path,
        format: Option<Format>,
        context: &Context<'_>,
    ) -> Result<Self, FilesError> {
        Self::open(path, format, Arc::default(), context)
    }

    /// A file that is on its way, and is read as it comes.
    pub(super) fn stream(
        reader: Box<dyn Read>,
        format: Option<Format>,
        context: &Context<'_>,
    ) -> Result<Self, FilesError> {
        Self::begin_with(Path::new(STREAM), (reader, 0), format, Arc::default(), context)
    }

    /// Closes the file until it is due: there may be thousands. Standard input can be read only
    /// once and stays open.
    pub(super) fn park(&mut self) {
        self.first = self.time();
        if self.first.is_some() && self.path != Path::new("-") {
            self.is_parked = true;
            self.input = None;
            self.window = BinaryHeap::new();
        }
    }

    fn open(
        path: &Path,
        format: Option<Format>,
        bytes: Arc<AtomicU64>,
        context: &Context<'_>,
    ) -> Result<Self, FilesError> {
        let failed = |source| FilesError::Read { path: path.to_owned(), source };
        let raw: (Box<dyn Read>, u64) = if path == Path::new("-") {
            (Box::new(io::stdin()), 0)
        } else {
            let file = File::open(path).map_err(failed)?;
            let total = file.metadata().map_err(failed)?.len();
            (Box::new(file), total)
        };
        Self::begin_with(path, raw, format, bytes, context)
    }

    fn begin_with(
        path: &Path,
        (raw, total): (Box<dyn Read>, u64),
        format: Option<Format>,
        bytes: Arc<AtomicU64>,
        context: &Context<'_>,
    ) -> Result<Self, FilesError> {
        let failed = |source| FilesError::Read { path: path.to_owned(), source };
        bytes.store(0, Relaxed);
        let counted = Counted { inner: raw, bytes: Arc::clone(&bytes) };
        let mut source = Self {
            path: path.to_owned(),
            total,
            is_parked: false,
            first: None,
            forced: format,
            format,
            input: None,
            window: BinaryHeap::new(),
            weight: 0,
            latest: Time::default(),
            ordinal: 0,
            bytes,
        };
        source.begin(Box::new(counted), context).map_err(failed)?;
        source.fill(context, WINDOW_ROWS)?;
        Ok(source)
    }

    /// Recognises compression and format by the first bytes.
    fn begin(&mut self, raw: Box<dyn Read>, context: &Context<'_>) -> io::Result<()> {
        let (magic, raw) = peek(raw, 4)?;
        let plain = plain(&magic, raw)?;
        let (head, reader) = match peek(plain, CHUNK) {
            Ok(peeked) => peeked,
            Err(error) => {
                self.reject(&magic, &torn(&error), context);
                return Ok(());
            }
        };
        let Some(format) = self.format.or_else(|| Format::detect(&head)) else {
            if !head.trim_ascii().is_empty() {
                self.reject(&head, &unknown(), context);
            }
            return Ok(());
        };
        self.format = Some(format);
        let binary = format.is_binary(&head).then(Vec::new);
        self.input = Some(Input { reader, splitter: format.splitter(), binary });
        Ok(())
    }

    /// The earliest row of the window, when the window is full or the file has ended.
    pub(super) fn next(&mut self, context: &Context<'_>) -> Result<Option<Row>, FilesError> {
        if self.is_parked {
            *self = Self::open(&self.path, self.forced, Arc::clone(&self.bytes), context)?;
        }
        self.fill(context, WINDOW_ROWS)?;
        let Some(Reverse(waiting)) = self.window.pop() else { return Ok(None) };
        self.weight -= waiting.row.weight();
        Ok(Some(waiting.row))
    }

    /// The time of the earliest row that is left.
    pub(super) fn time(&self) -> Option<Time> {
        let waiting = self.window.peek().map(|Reverse(waiting)| waiting.time);
        if self.is_parked { self.first } else { waiting }
    }

    /// The format; none if it was not recognised.
    pub(super) fn format(&self) -> Option<Format> {
        self.format
    }

    /// Bytes of the file on disk.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The count of bytes read so far.
    pub(super) fn bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes)
    }

    /// What its receipt says.
    pub(super) fn delivery<'a>(&self, context: &Context<'a>) -> Delivery<'a> {
        Delivery {
            source: context.source,
            cluster: context.cluster,
            kind: self.format.map_or(UNKNOWN, Format::name),
            bytes: usize::try_from(self.bytes.load(Relaxed)).unwrap_or(usize::MAX),
            items_before: usize::try_from(self.ordinal).unwrap_or(usize::MAX),
        }
    }

    /// Reads until the window holds `rows` rows, or is heavy enough, or the file has ended.
    fn fill(&mut self, context: &Context<'_>, rows: usize) -> Result<(), FilesError> {
        while self.input.is_some() && self.window.len() < rows && self.weight < WINDOW_BYTES {
            self.read_chunk(context)?;
        }
        Ok(())
    }

    fn read_chunk(&mut self, context: &Context<'_>) -> Result<(), FilesError> {
        let (Some(input), Some(format)) = (&mut self.input, self.format) else { return Ok(()) };
        let mut chunk = vec![0; CHUNK];
        let (items, torn) = match input.reader.read(&mut chunk) {
            Ok(0) => (input.finish(), None),
            Ok(length) => (input.take(chunk.get(..length).unwrap_or_default()), None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            // Bytes that do not decompress: what was read stays, the rest is one reject.
            Err(error) if is_torn(&error) => (input.finish(), Some(torn(&error))),
            Err(source) => return Err(FilesError::Read { path: self.path.clone(), source }),
        };
        if items.is_end {
            self.input = None;
        }
        if let Some(failure) = torn {
            let rest: Vec<u8> = items.list.into_iter().flat_map(|item| item.bytes).collect();
            let rest = if rest.is_empty() {
                self.path.as_os_str().as_encoded_bytes().to_vec()
            } else {
                rest
            };
            self.reject(&rest, &failure, context);
            return Ok(());
        }
        let mut reading = Reading::default();
        for item in &items.list {
            format.read_item(item, context, &mut reading);
        }
        self.hold(reading);
        Ok(())
    }

    fn hold(&mut self, reading: Reading) {
        for row in rows(reading) {
            self.weight += row.weight();
            // A reject has no time: it stays behind what came before it.
            let time = row.time().unwrap_or(self.latest);
            self.latest = time;
            self.window.push(Reverse(Waiting { time, ordinal: self.ordinal, row }));
            self.ordinal += 1;
        }
    }

    fn reject(&mut self, bytes: &[u8], failure: &Failure, context: &Context<'_>) {
        let format = self.format.unwrap_or(Format::KubeAudit);
        let mut reject = context.reject(format, bytes, failure);
        if self.format.is_none() {
            UNKNOWN.clone_into(&mut reject.format);
        }
        self.hold(Reading { rejects: vec![reject], ..Reading::default() });
    }
}

/// Items of one chunk.
struct Items {
    list: Vec<Item>,
    is_end: bool,
}

impl Input {
    fn take(&mut self, chunk: &[u8]) -> Items {
        let list = match &mut self.binary {
            Some(document) => {
                document.extend_from_slice(chunk);
                Vec::new()
            }
            None => self.splitter.push(chunk),
        };
        Items { list, is_end: false }
    }

    fn finish(&mut self) -> Items {
        let list = match self.binary.take() {
            Some(document) => vec![Item::whole(&document)],
            None => self.splitter.finish(),
        };
        Items { list, is_end: true }
    }
}

/// The first bytes of a reader, and a reader that still has them.
fn peek(mut reader: Box<dyn Read>, length: usize) -> io::Result<(Vec<u8>, Box<dyn Read>)> {
    let mut head = Vec::new();
    reader.by_ref().take(length as u64).read_to_end(&mut head)?;
    let again = io::Cursor::new(head.clone()).chain(reader);
    Ok((head, Box::new(BufReader::with_capacity(CHUNK, again))))
}

/// The format of a file by its beginning; none if it cannot be read or is none of ours.
pub(super) fn format_of(path: &Path) -> Option<Format> {
    let (magic, raw) = peek(Box::new(File::open(path).ok()?), 4).ok()?;
    let (head, _) = peek(plain(&magic, raw).ok()?, CHUNK).ok()?;
    Format::detect(&head)
}

/// What a file holds when it is decompressed, if it is compressed.
fn plain(magic: &[u8], raw: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
    Ok(match magic {
        // RFC 1952: a file may have several members.
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(raw)),
        // RFC 8878.
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(raw)?),
        _ => raw,
    })
}

/// Errors of decompression: the file is cut or damaged, not the disk.
fn is_torn(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | InvalidData | InvalidInput | Other)
}

fn torn(error: &io::Error) -> Failure {
    let detail = format!("the file does not decompress to its end ({})", error.kind());
    Failure::new("not_decompressed", detail).hint("the file was cut or is still being written")
}

fn unknown() -> Failure {
    Failure::new("unknown_format", "the file has no format that is recognised")
        .hint("name its format with --format; a name that is none is answered with all of them")
}

/// Counts what passes.
struct Counted {
    inner: Box<dyn Read>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.bytes.fetch_add(length as u64, Relaxed);
        Ok(length)
    }
}
