//! The other end of the doors: what `ingest --to` and the demo send to a running server.
//!
//! Plain HTTP to loopback only; what is sent elsewhere is an exporter's business.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;

use crate::format::Format;
use crate::split::Splitter;

/// Events of one batch, as the API server's webhook sends them by default.
const MAX_BATCH: usize = 400;
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 << 10;
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
    /// The content has no door.
    #[error("{path} has no door: only audit events and OTLP lines can be sent to a server")]
    NoDoor {
        /// The file.
        path: String,
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

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Events, or exports of OTLP.
    pub items: u64,
    /// Requests that were answered with success.
    pub requests: u64,
}

/// Sends a file through the doors at `url`: audit events in batches, OTLP/JSON line by line.
///
/// # Errors
/// If the file cannot be read, has no door, or is not taken after many tries.
pub async fn file(url: &str, cluster: &str, path: &Path) -> Result<Sent, SendError> {
    let bytes = unpacked(path)?;
    let name = path.display().to_string();
    let mut sent = Sent::default();
    match Format::detect(&bytes) {
        Some(Format::KubeAudit) => {
            let target = format!("{}/v1/k8s-audit/{cluster}", url.trim_end_matches('/'));
            for (body, items) in batches(&bytes) {
                post(&target, body).await?;
                sent.items += items;
                sent.requests += 1;
            }
        }
        Some(Format::Otlp) => {
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let target = format!("{}/v1/{}", url.trim_end_matches('/'), signal(line));
                post(&target, Bytes::copy_from_slice(line)).await?;
                sent.items += 1;
                sent.requests += 1;
            }
        }
        Some(_) | None => return Err(SendError::NoDoor { path: name }),
    }
    Ok(sent)
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
        let text = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let text = text
            .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
            .unwrap_or_default();
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

/// Events as `EventList` bodies, cut as the API server cuts them.
fn batches(bytes: &[u8]) -> Vec<(Bytes, u64)> {
    let mut splitter: Splitter = Format::KubeAudit.splitter();
    let mut items = splitter.push(bytes);
    items.extend(splitter.finish());
    let chunks = items.chunks(MAX_BATCH).map(|chunk| {
        let mut body =
            br#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#
                .to_vec();
        for (index, item) in chunk.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&item.bytes);
        }
        body.extend_from_slice(b"]}");
        (Bytes::from(body), chunk.len() as u64)
    });
    chunks.collect()
}

/// The signal of one OTLP/JSON export, by its only key.
fn signal(line: &[u8]) -> &'static str {
    let head = line.get(..64).unwrap_or(line);
    let holds = |key: &[u8]| memchr::memmem::find(head, key).is_some();
    if holds(b"resourceLogs") {
        "logs"
    } else if holds(b"resourceMetrics") {
        "metrics"
    } else {
        "traces"
    }
}

fn unpacked(path: &Path) -> Result<Vec<u8>, SendError> {
    let fail = |source| SendError::File { path: path.display().to_string(), source };
    let bytes = std::fs::read(path).map_err(fail)?;
    let mut plain = Vec::new();
    match bytes.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return zstd::decode_all(bytes.as_slice()).map_err(fail),
        [0x1f, 0x8b, ..] => {
            flate2::read::MultiGzDecoder::new(bytes.as_slice())
                .read_to_end(&mut plain)
                .map_err(fail)?;
        }
        _ => return Ok(bytes),
    }
    Ok(plain)
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
