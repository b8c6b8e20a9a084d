//! Files through a running server: `POST /api/v1/ingest` with one file in, counts out.
//!
//! The file is read while it comes, as `ingest` reads one of its paths: compression and format are
//! recognised, nothing is kept before it is redacted, and the answer comes when all of it is on the
//! device. Who sends must show the token of the data directory. The sender waits while the log is
//! full; what was durable when a call broke is recognised when it is sent again.

use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Buf;
use durward_schemas::Time;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use super::files::{FileSettings, FilesError, Ingested, ingest_stream};
use crate::format::Format;
use crate::intake::Intake;
use crate::keys::Keys;

/// Where the door is.
pub const PATH: &str = "/api/v1/ingest";
/// Chunks of a body that wait to be read; more make the sender wait.
const WAITING: usize = 4;

/// What is said about a file, in the query of the URL.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// The cluster that it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The source that its rows are booked under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its format; found out if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// As of when listed objects stood, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}

#[derive(Clone)]
struct Door {
    intake: Intake,
    data_dir: Arc<Path>,
}

/// The route, for the server that holds the data directory, whose token counts as it is there.
pub fn router(intake: Intake, data_dir: &Path) -> Router {
    let door = Door { intake, data_dir: data_dir.into() };
    Router::new()
        .route(PATH, post(receive))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(door)
}

async fn receive(
    State(door): State<Door>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // Hashes are compared in constant time.
    let hash = |token: &str| blake3::hash(token.as_bytes());
    let is_known =
        Keys::upload_token(&door.data_dir).is_ok_and(|token| hash(shown) == hash(&token));
    if !is_known {
        let text = "the token of the data directory is missing: use durward ingest --to\n";
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    let settings = match settings(asked) {
        Ok(settings) => settings,
        Err(reason) => {
            return (StatusCode::BAD_REQUEST, reason + "\n").into_response();
        }
    };
    let (chunks, reader) = channel();
    let intake = door.intake.clone();
    let reading =
        tokio::task::spawn_blocking(move || ingest_stream(Box::new(reader), &settings, &intake));
    pump(body, chunks).await;
    match reading.await {
        Ok(Ok(ingested)) => told(&ingested),
        Ok(Err(FilesError::Append(refusal))) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response()
        }
        Ok(Err(error @ FilesError::Read { .. })) => {
            (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn settings(asked: Asked) -> Result<FileSettings, String> {
    let format = asked.format.as_deref().map(Format::from_str).transpose();
    let time = |text: &str| Time::parse(text).ok_or_else(|| format!("as_of: {text} is no time"));
    Ok(FileSettings {
        cluster: asked.cluster,
        source: asked.source.unwrap_or_else(|| "file".to_owned()),
        format: format.map_err(|error| error.to_string())?,
        as_of: asked.as_of.as_deref().map(time).transpose()?,
    })
}

fn told(ingested: &Ingested) -> Response {
    let body = json!({
        "files": ingested.files,
        "bytes": ingested.bytes,
        "read": {
            "accesses": ingested.accesses,
            "objects": ingested.objects,
            "spans": ingested.spans,
            "logs": ingested.logs,
            "metrics": ingested.metrics,
            "rejects": ingested.rejects,
        },
    });
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// Hands the body on as it comes; a connection that broke is not the end of the file.
async fn pump(body: Body, chunks: mpsc::Sender<io::Result<Bytes>>) {
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let broken = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
        // A reader that is gone has its reason, which is the answer.
        if chunks.send(chunk.map_err(broken)).await.is_err() {
            return;
        }
    }
}

/// Chunks in, a blocking reader out.
struct Chunks {
    coming: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Chunks) {
    let (send, coming) = mpsc::channel(WAITING);
    (send, Chunks { coming, rest: Bytes::new() })
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.coming.blocking_recv() {
                None => return Ok(0),
                Some(chunk) => self.rest = chunk?,
            }
        }
        let length = buffer.len().min(self.rest.len());
        if let Some(to) = buffer.get_mut(..length) {
            self.rest.copy_to_slice(to);
        }
        Ok(length)
    }
}
