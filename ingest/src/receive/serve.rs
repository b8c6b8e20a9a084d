//! Connections: a listener in, requests out to a router, over HTTP/1.1 and HTTP/2, with or without TLS.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use super::client::Client;
use super::tls::DoorTls;

/// A client that has not said what it wants by then is dropped.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Requests on one HTTP/2 connection at the same time.
const STREAMS: u32 = 128;
/// Requests under way are waited for at the end, so long.
const DRAIN: Duration = Duration::from_secs(10);
/// Rest after an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` until `shutdown`, then finishes the requests that are under way.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<DoorTls>,
    app: Router,
    connections: usize,
    shutdown: impl Future<Output = ()>,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS);
    let server = Arc::new(server);
    let room = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let (stream, permit) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let connection = Connection {
            server: Arc::clone(&server),
            app: app.clone(),
            watcher: graceful.watcher(),
        };
        let tls = tls.as_ref().map(DoorTls::acceptor);
        tokio::spawn(async move {
            connection.open(stream, tls).await;
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way at the end; their senders heard nothing");
    }
}

/// The next connection, when there is room for one.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        match (Arc::clone(room).acquire_owned().await, listener.accept().await) {
            (Ok(permit), Ok((stream, _))) => return (stream, permit),
            (_, Err(error)) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(PAUSE).await;
            }
            (Err(_), _) => std::future::pending().await,
        }
    }
}

/// One connection.
struct Connection {
    server: Arc<auto::Builder<TokioExecutor>>,
    app: Router,
    watcher: Watcher,
}

impl Connection {
    async fn open(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke at once");
        }
        let Some(tls) = tls else { return self.serve(stream, Client::default()).await };
        match tokio::time::timeout(HEADERS_WITHIN, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let client = Client::of(certificates.and_then(<[_]>::first));
                self.serve(stream, client).await;
            }
            Ok(Err(error)) => tracing::info!(%error, "a TLS handshake was refused"),
            Err(_) => tracing::info!("a TLS handshake took too long"),
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        client: Client,
    ) {
        let service = TowerToHyperService::new(self.app.layer(Extension(client)));
        let connection = self.server.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}
