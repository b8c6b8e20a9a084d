//! Connections: a listener in, requests out to a router, over HTTP/1.1 and HTTP/2, with or without TLS.
//!
//! Whoever connects is a stranger. A connection has a time to say what it wants, a time to go on, and an end;
//! what it costs is bounded for each address and for the door (`receive/connections.rs`).

use std::future::Future;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::client::{Client, Peer};
use super::connections::{Connections, Limits, Place};
use super::handshakes::Handshakes;
use super::linger::Lingering;
use super::tls::DoorTls;

/// How often a silent HTTP/2 connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Requests on one HTTP/2 connection at the same time.
const STREAMS: u32 = 128;
/// Bytes that a connection of HTTP/1.1 holds that nobody has asked for; a head has to fit.
const MOST_BUFFERED: usize = 64 << 10;
/// The same of a stream of HTTP/2, and of its connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 512 << 10;
/// A connection without a request under way is waited for at the end, so long.
const FAREWELL: Duration = Duration::from_secs(1);
/// Rest after an error of `accept`, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` until `shutdown`, then finishes the requests that are under way.
pub async fn serve(
    listener: TcpListener,
    tls: Option<DoorTls>,
    app: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let handshakes = match tls.is_some().then(Handshakes::start).transpose() {
        Ok(handshakes) => handshakes,
        Err(error) => return tracing::error!(%error, "a door has no thread for TLS"),
    };
    let connections = Connections::new(limits);
    let (closing, closed) = watch::channel(false);
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    let door = Door { server: Arc::new(server(limits)), app, limits, tls, handshakes, closed };
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener) => accepted,
        };
        let place = tokio::select! {
            () = &mut shutdown => break,
            place = connections.place(address) => place,
        };
        let Some(place) = place else { continue };
        let connection = Connection { door: door.clone(), address, place: Arc::new(place) };
        let open = open.clone();
        tokio::spawn(async move {
            connection.open(stream).await;
            drop(open);
        });
    }
    drop((listener, open));
    closing.send_replace(true);
    // Each connection ends by itself in time; nothing is ever sent here.
    all_closed.recv().await;
}

fn server(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.first_within)
        .max_buf_size(MOST_BUFFERED);
    server
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS);
    server
}

async fn accept(listener: &TcpListener) -> (TcpStream, IpAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address.ip()),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What all connections of a door share.
#[derive(Clone)]
struct Door {
    server: Arc<auto::Builder<TokioExecutor>>,
    app: Router,
    limits: Limits,
    tls: Option<DoorTls>,
    handshakes: Option<Handshakes>,
    closed: watch::Receiver<bool>,
}

/// One connection.
struct Connection {
    door: Door,
    address: IpAddr,
    place: Arc<Place>,
}

impl Connection {
    async fn open(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection broke at once");
        }
        let place = Arc::clone(&self.place);
        let stream = Lingering::new(stream, Arc::clone(&place));
        tokio::select! {
            () = place.evicted() => {}
            () = self.run(stream) => {}
        }
    }

    async fn run(self, stream: Lingering) {
        let (Some(tls), Some(handshakes)) = (&self.door.tls, &self.door.handshakes) else {
            return self.serve(stream, Client::default(), std::future::pending()).await;
        };
        let changed = tls.changed();
        let patience = self.door.limits.first_within;
        let mut closed = self.door.closed.clone();
        let accepted = tokio::select! {
            accepted = handshakes.accept(tls.acceptor(), stream, patience) => accepted,
            _ = closed.wait_for(|closed| *closed) => None,
        };
        let Some(stream) = accepted else { return };
        let certificates = stream.get_ref().1.peer_certificates();
        let client = Client::of(certificates.and_then(<[_]>::first));
        self.serve(stream, client, changed).await;
    }

    /// Serves requests; `outdated` tells that the client was let in by certificates that count no more.
    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        client: Client,
        outdated: impl Future<Output = ()>,
    ) {
        let Self { door, address, place } = self;
        let drain = door.limits.drain;
        let peer = Peer { address, client };
        let service = requests(door.app, Arc::clone(&place), peer);
        let connection = door.server.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut closed = door.closed;
        let (mut outdated, mut is_ending) = (pin!(outdated), false);
        let mut leave_at = None;
        loop {
            let overdue = pin!(overdue(&place, leave_at));
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended badly");
                    }
                    return;
                }
                () = overdue => return place.cut(),
                _ = closed.wait_for(|closed| *closed), if !is_ending => {
                    leave_at = Some(Instant::now() + drain);
                }
                () = &mut outdated, if !is_ending => {}
            }
            is_ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// When a connection has lasted too long: none of its own time is left, or the door's.
async fn overdue(place: &Place, leave_at: Option<Instant>) {
    let Some(leave_at) = leave_at else { return place.overdue().await };
    tokio::select! {
        () = place.overdue() => {}
        () = tokio::time::sleep_until(leave_at) => {
            tracing::warn!("a request was still under way at the end; its sender heard nothing");
        }
        () = place.quiet_for(FAREWELL) => {}
    }
}

type Answering =
    Pin<Box<dyn Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send>>;

/// Hands requests to the router with who sent them, and notes what goes on.
fn requests(
    app: Router,
    place: Arc<Place>,
    peer: Peer,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = std::convert::Infallible,
    Future = Answering,
> {
    let app = TowerToHyperService::new(app);
    service_fn(move |mut request: Request<Incoming>| {
        let under_way = Arc::new(place.begin());
        request.extensions_mut().insert(peer.clone());
        let coming = Arc::clone(&under_way);
        let request = request.map(|body| {
            Body::new(body.map_frame(move |frame| {
                coming.touch();
                frame
            }))
        });
        let answer = app.call(request);
        let answering: Answering = Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    under_way.touch();
                    frame
                }))
            }))
        });
        answering
    })
}

#[cfg(test)]
mod tests;
