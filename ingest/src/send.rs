//! The other end of the doors: what `ingest --to` and the demo send to a running server.
//!
//! Plain HTTP to loopback only; what is sent elsewhere is an exporter's business.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{Method, Request, Response, StatusCode, Uri, header};
use bytes::Bytes;
use futures::Stream;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::receive::files::{self, FilesError};
use crate::receive::upload::{Asked, PATH};

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;
/// Bytes of a file that are sent at a time.
const CHUNK: usize = 64 << 10;
/// How often a door that is busy is asked again.
const TRIES: u32 = 20;
/// The wait between tries where the door names none.
const PAUSE: Duration = Duration::from_secs(1);

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The address is none that may be sent to.
    #[error("sending to {url}: only http:// on this machine is sent to")]
    Address {
        /// What was given.
        url: String,
    },
    /// The file cannot be read.
    #[error("reading {path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody took it.
    #[error("sending to {url}: {reason}")]
    Refused {
        /// The door.
        url: String,
        /// What it said.
        reason: String,
    },
}

/// Sends one file to the server at `url`, as it is; what the server said that it read, as JSON.
///
/// # Errors
/// If the file cannot be read, or is not taken.
pub async fn file(url: &str, token: &str, asked: &Asked, path: &Path) -> Result<String, SendError> {
    let failed = |source| SendError::File { path: path.display().to_string(), source };
    let path = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
    let input = File::open(path).await.map_err(failed)?;
    let refused = |reason: String| SendError::Refused { url: url.to_owned(), reason };
    let query = serde_urlencoded::to_string(asked).map_err(|error| refused(error.to_string()))?;
    let uri = loopback(&format!("{}{PATH}?{query}", url.trim_end_matches('/')))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(StreamBody::new(Box::pin(chunks(input))))
        .map_err(|error| refused(error.to_string()))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.map_err(|error| refused(error.to_string()))?;
    let status = answer.status();
    let text = text(answer).await;
    if status.is_success() { Ok(text) } else { Err(refused(format!("{status} {}", text.trim()))) }
}

/// The files that paths stand for, those that list objects first: what existed before the events must
/// be known when they are correlated.
///
/// # Errors
/// If a path cannot be read.
pub fn in_order(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FilesError> {
    let (snapshots, others): (Vec<_>, Vec<_>) =
        files::expand(paths)?.into_iter().partition(|path| files::lists_objects(path));
    Ok(snapshots.into_iter().chain(others).collect())
}

/// A file as the frames of a body.
fn chunks(input: File) -> impl Stream<Item = std::io::Result<Frame<Bytes>>> {
    futures::stream::try_unfold(input, |mut input| async move {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
        let length = input.read_buf(&mut chunk).await?;
        Ok((length > 0).then(|| (Frame::data(chunk.freeze()), input)))
    })
}

/// What an answer says, as far as it is read.
async fn text(answer: Response<Incoming>) -> String {
    let read = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    read.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default()
}

/// Posts one JSON body; waits and tries again while the door is busy.
///
/// # Errors
/// If it is refused for good, or for too long.
pub async fn post(url: &str, body: Bytes) -> Result<(), SendError> {
    let refused = |reason: String| SendError::Refused { url: url.to_owned(), reason };
    let uri = loopback(url)?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    for _ in 0..TRIES {
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))
            .map_err(|error| refused(error.to_string()))?;
        let answer = client.request(request).await.map_err(|error| refused(error.to_string()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let wait = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let text = text(answer).await;
        let busy =
            matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if !busy {
            return Err(refused(format!("{status} {}", text.trim())));
        }
        tokio::time::sleep(wait.map_or(PAUSE, Duration::from_secs)).await;
    }
    Err(refused("it stayed busy".to_owned()))
}

/// Exports one OTLP/JSON body of traces over gRPC to `address`.
///
/// # Errors
/// If the body is none, or the door does not take it.
pub async fn traces(address: &str, json: &str) -> Result<(), SendError> {
    let url = format!("http://{address}");
    let refused = |reason: String| SendError::Refused { url: url.clone(), reason };
    loopback(&url)?;
    let request: ExportTraceServiceRequest =
        serde_json::from_str(json).map_err(|error| refused(error.to_string()))?;
    let client = TraceServiceClient::connect(url.clone()).await;
    let mut client = client.map_err(|error| refused(error.to_string()))?;
    client.export(request).await.map_err(|status| refused(status.to_string()))?;
    Ok(())
}

/// Plain HTTP carries audit events in the clear: it does not leave the machine.
fn loopback(url: &str) -> Result<Uri, SendError> {
    let wrong = || SendError::Address { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if uri.scheme_str() == Some("http") && is_loopback { Ok(uri) } else { Err(wrong()) }
}
