//! The audit webhook: `POST /v1/k8s-audit/{cluster}` with an `EventList` in, accesses out.
//!
//! An API server tries a batch five times in 86 s and then drops it, whatever it is answered but 2xx
//! (`../shared/lab/k8s/README.md`). So a batch is never refused for what is in it: it is taken
//! apart while it streams in, what cannot be read becomes rejects, and the answer is 200 when all of
//! it is on the device. Under load the answer is 503 with `Retry-After: 30`, which makes the batch
//! live for four minutes.

use std::future::Future;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use tokio::net::TcpListener;

use super::serve;
use super::tls::DoorTls;
use crate::format::{Format, Reading};
use crate::intake::{Delivery, Intake};
use crate::log::Refusal;
use crate::seal;

/// Room that a batch takes while it is read: it is appended in parts, so a larger one takes no more.
const ROOM: usize = 2 * seal::MAX_BYTES;
/// Seconds that a busy API server is asked to wait: the kindest value, as measured.
const RETRY_AFTER: &str = "30";
/// Names of clusters are no longer than names of DNS.
const MAX_CLUSTER: usize = 253;

/// How the door behaves.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The source that its rows are booked under.
    pub source: String,
    /// TLS, required where the door is open to more than this machine.
    pub tls: Option<DoorTls>,
}

#[derive(Clone)]
struct Door {
    source: String,
    intake: Intake,
}

/// Serves the door until `shutdown`, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    settings: WebhookSettings,
    intake: Intake,
    shutdown: impl Future<Output = ()>,
) {
    let connections = intake.settings().connections;
    let door = Door { source: settings.source, intake };
    let app = Router::new().route("/v1/k8s-audit/{cluster}", post(receive)).with_state(door);
    serve::serve(listener, settings.tls, app, connections, shutdown).await;
}

/// Why a batch was not taken.
enum NotTaken {
    Busy,
    Broken,
}

async fn receive(
    State(door): State<Door>,
    Path(cluster): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    if cluster.len() > MAX_CLUSTER || cluster.chars().any(char::is_control) {
        return (StatusCode::BAD_REQUEST, "the path must end in the name of a cluster\n")
            .into_response();
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        let text = "send the batch as it is: API servers never compress\n";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let Some(_room) = door.intake.reserve(length.map_or(ROOM, |length: usize| length.min(ROOM)))
    else {
        door.intake.refuse(&door.source);
        return busy();
    };
    let within = door.intake.settings().webhook_within;
    let taken = tokio::time::timeout(within, door.take(&cluster, request.into_body())).await;
    match taken {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(NotTaken::Broken)) => StatusCode::BAD_REQUEST.into_response(),
        Ok(Err(NotTaken::Busy)) | Err(_) => busy(),
    }
}

fn busy() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], "no room now\n")
        .into_response()
}

impl Door {
    /// Reads a batch item by item and appends it, a large one in parts. What is sent again after a
    /// part was appended is recognised by its ids.
    async fn take(&self, cluster: &str, body: Body) -> Result<(), NotTaken> {
        let mut chunks = body.into_data_stream();
        let mut splitter = Format::KubeAudit.splitter();
        let mut reading = Reading::default();
        let (mut bytes, mut unsealed, mut items_before) = (0, 0, 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| NotTaken::Broken)?;
            bytes += chunk.len();
            unsealed += chunk.len();
            self.read(cluster, &splitter.push(&chunk), &mut reading);
            if unsealed >= seal::MAX_BYTES {
                unsealed = 0;
                let part = std::mem::take(&mut reading);
                items_before += part.items();
                self.intake.append(part.into_contents()).await.map_err(|_| NotTaken::Busy)?;
            }
        }
        self.read(cluster, &splitter.finish(), &mut reading);
        let delivery = Delivery {
            source: &self.source,
            cluster: Some(cluster),
            kind: Format::KubeAudit.name(),
            bytes,
            items_before,
        };
        let delivered: Result<_, Refusal> = self.intake.deliver(reading, delivery).await;
        delivered.map(|_| ()).map_err(|_| NotTaken::Busy)
    }

    fn read(&self, cluster: &str, items: &[crate::split::Item], reading: &mut Reading) {
        let context = self.intake.context(Some(cluster), &self.source);
        for item in items {
            Format::KubeAudit.read_item(item, &context, reading);
        }
    }
}

#[cfg(test)]
mod tests;
