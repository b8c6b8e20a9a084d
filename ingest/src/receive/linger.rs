//! A connection that ends so that its answer is heard.
//!
//! A system that closes a connection on bytes that it has not read tells the other end to forget what
//! it was answered. So the other end is told that nothing more comes, and what it still says is read
//! for a while. <https://www.rfc-editor.org/rfc/rfc9112#section-9.6>

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::connections::Place;

/// How long is read what nobody wants.
const WITHIN: Duration = Duration::from_secs(3);
/// Bytes that are read of it at most.
const MOST: u64 = 64 << 20;

/// A stream that lingers when it is dropped, if somebody may wait for an answer.
#[derive(Debug)]
pub(super) struct Lingering {
    stream: Option<TcpStream>,
    place: Arc<Place>,
    is_ended: bool,
}

impl Lingering {
    pub(super) fn new(stream: TcpStream, place: Arc<Place>) -> Self {
        Self { stream: Some(stream), place, is_ended: false }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream()?.poll_read(context, buffer);
        let is_read = matches!(polled, Poll::Ready(Ok(())));
        self.is_ended |= is_read && buffer.filled().len() == before && buffer.remaining() > 0;
        polled
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        if self.is_ended || !self.place.is_waited_for() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            // It keeps its place meanwhile.
            runtime.spawn(linger(stream, Arc::clone(&self.place)));
        }
    }
}

async fn linger(mut stream: TcpStream, place: Arc<Place>) {
    let read = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MOST), &mut tokio::io::sink()).await
    };
    tokio::select! {
        () = place.evicted() => {}
        read = tokio::time::timeout(WITHIN, read) => {
            tracing::trace!(?read, "a connection has ended");
        }
    }
}
