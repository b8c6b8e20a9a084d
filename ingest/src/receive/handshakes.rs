//! TLS handshakes, on a thread of their own: they cost the most of all that a stranger can ask for, and who
//! asks for many waits behind his own.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::linger::Lingering;
use crate::room::{Holder, Room};

/// Handshakes at the same time; one address gets half of them.
const AT_ONCE: usize = 32;

/// The thread, which ends with the last who holds it.
#[derive(Debug, Clone)]
pub(super) struct Handshakes {
    handle: Handle,
    places: Room,
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
        Ok(Self { handle, places: Room::new(AT_ONCE), _running: Arc::new(running) })
    }

    /// Shakes hands, within `patience` from now on; `None` if nothing came of it.
    pub(super) async fn accept(
        &self,
        tls: TlsAcceptor,
        stream: Lingering,
        address: IpAddr,
        patience: Duration,
    ) -> Option<TlsStream<Lingering>> {
        let holder = Holder::new("tls", address);
        let places = self.places.clone();
        let handshake = async move {
            let _place = places.take_within(&holder, 1, patience).await?;
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
