//! TLS handshakes, on one thread of their own: they cost the most of all that a stranger can ask for, and
//! however many ask, the doors go on. How many there are at a time is bounded by the places for connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::linger::Lingering;
/// The thread, which ends with the last who holds it.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    handle: Handle,
    _running: Arc<oneshot::Sender<()>>,
}

impl Handshakes {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        std::thread::Builder::new().name("door-tls".to_owned()).spawn(move || {
            let _ended = runtime.block_on(ended);
        })?;
        Ok(Self { handle, _running: Arc::new(running) })
    }

    /// Shakes hands, within `patience` from now on; `None` if nothing came of it.
    pub(super) async fn accept(
        &self,
        tls: TlsAcceptor,
        stream: Lingering,
        patience: Duration,
    ) -> Option<TlsStream<Lingering>> {
        let handshake = async move {
            match tls.accept(stream).await {
                Ok(stream) => Some(stream),
                Err(error) => {
                    tracing::debug!(%error, "a TLS handshake was refused");
                    None
                }
            }
        };
        let handshake = self.handle.spawn(async move {
            let done = tokio::time::timeout(patience, handshake).await;
            done.ok().flatten()
        });
        let guard = Abort(handshake.abort_handle());
        let accepted = handshake.await.ok().flatten();
        drop(guard);
        accepted
    }
}

/// Ends a task when whoever waits for it is gone.
struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
