//! Standard output, whose reader may go away: `durward query ... | head -1` is no error.

use std::io::{self, Write};

use durward_detect::escape;
use serde_json::Value;

/// What a write fails with after the reader of standard output has gone.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub(crate) struct ReaderGone;

/// Standard output, locked.
pub(crate) fn lock() -> Out<io::StdoutLock<'static>> {
    Out(io::stdout().lock())
}

/// Says a line on standard error, if anybody still reads it.
pub(crate) fn say(text: &str) {
    let _unread = writeln!(io::stderr(), "{text}");
}

/// A value as people and programs read it; what rows hold in it moves no cursor and hides nothing.
pub(crate) fn json(value: &Value) -> String {
    escape::json(&format!("{value:#}"))
}

/// A writer that tells a closed pipe from every other failure.
pub(crate) struct Out<W>(W);

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(marked)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(marked)
    }
}

fn marked(error: io::Error) -> io::Error {
    let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
    if is_closed { io::Error::new(io::ErrorKind::BrokenPipe, ReaderGone) } else { error }
}

/// Whether an error comes of a reader that has gone.
pub(crate) fn is_reader_gone(error: &anyhow::Error) -> bool {
    let is_gone = |error: &io::Error| {
        error.get_ref().and_then(|inner| inner.downcast_ref::<ReaderGone>()).is_some()
    };
    error.chain().any(|link| {
        link.is::<ReaderGone>() || link.downcast_ref::<io::Error>().is_some_and(is_gone)
    })
}
