//! OTLP over HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics`, protobuf or JSON.
//!
//! What may be sent again is answered 429 with `Retry-After`; whatever else is not 2xx makes the
//! Collector drop its data, so it is kept for what can never be read.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>

use std::future::Future;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::client::Peer;
use super::otlp::{Coding, Door, NotTaken, OtlpSettings, Sent, Taken};
use super::page::{Hosts, content_type, guarded};
use super::serve;
use crate::format::otlp::Signal;
use crate::intake::Intake;

/// Serves the door until `shutdown`, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    settings: OtlpSettings,
    intake: Intake,
    shutdown: impl Future<Output = ()>,
) {
    let (tls, limits) = (settings.tls.clone(), intake.settings().limits);
    let hosts = Hosts::of_door(tls.is_some(), &settings.hosts);
    let app = guarded(app(Door::new(settings, intake)), hosts);
    serve::serve(listener, tls, app, limits, shutdown).await;
}

fn app(door: Door) -> Router {
    let route = |signal: Signal| {
        post(move |State(door): State<Door>, request: Request| async move {
            receive(&door, signal, request).await
        })
    };
    Router::new()
        .route("/v1/traces", route(Signal::Traces))
        .route("/v1/logs", route(Signal::Logs))
        .route("/v1/metrics", route(Signal::Metrics))
        .with_state(door)
}

async fn receive(door: &Door, signal: Signal, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let text = |name: &HeaderName| text(&head.headers, name);
    let coding = match content_type(&head.headers) {
        "application/json" => Coding::Json,
        "application/x-protobuf" => Coding::Protobuf,
        _ => {
            let text = "send application/x-protobuf or application/json\n";
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
        }
    };
    let agent = head.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let peer = Peer::of(&head.extensions);
    let mut room = door.room(&peer, agent);
    let taken = match door.body(body, &mut room).await {
        Ok(bytes) => {
            let encoding = text(&header::CONTENT_ENCODING).to_owned();
            door.take(Sent { signal, coding, encoding, bytes, peer }, room).await
        }
        Err(refused) => Err(refused),
    };
    answer(door, signal, coding, taken)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn answer(door: &Door, signal: Signal, coding: Coding, taken: Taken) -> Response {
    match taken {
        Ok(rejected) => success(signal, coding, rejected),
        Err(NotTaken::Busy) => {
            // Whole seconds, and never none.
            let seconds = door.intake.settings().retry_after.as_secs().max(1).to_string();
            let status = status(coding, 14, "no room now");
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], status)
                .into_response()
        }
        Err(NotTaken::TooLarge) => {
            let status = status(coding, 8, "the request is larger than is taken");
            (StatusCode::PAYLOAD_TOO_LARGE, status).into_response()
        }
        Err(NotTaken::UnknownEncoding) => {
            let status = status(coding, 3, "compress with gzip or zstd, or not at all");
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, status).into_response()
        }
        Err(NotTaken::Unreadable(detail)) => {
            (StatusCode::BAD_REQUEST, status(coding, 3, &detail)).into_response()
        }
    }
}

/// A success without rejects says nothing; one with rejects says how many.
fn success(signal: Signal, coding: Coding, rejected: usize) -> Response {
    match coding {
        Coding::Protobuf => {
            let bytes = response_bytes(signal, rejected);
            ([(header::CONTENT_TYPE, "application/x-protobuf")], bytes).into_response()
        }
        Coding::Json => {
            let rejects = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            let partial = json!({rejects: rejected.to_string(), "errorMessage": REJECTED});
            let body = if rejected == 0 { json!({}) } else { json!({"partialSuccess": partial}) };
            json_body(&body)
        }
    }
}

/// What a partial success says.
pub(super) const REJECTED: &str = "some items could not be read: see table rejects";

/// An `Export*ServiceResponse`. In each signal field 1 is the partial success, in which field 1 is
/// the number of rejects and field 2 the message.
pub(super) fn response_bytes(signal: Signal, rejected: usize) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::{logs, metrics, trace};
    let count = i64::try_from(rejected).unwrap_or(i64::MAX);
    let error_message = REJECTED.to_owned();
    if rejected == 0 {
        return Vec::new();
    }
    match signal {
        Signal::Traces => trace::v1::ExportTraceServiceResponse {
            partial_success: Some(trace::v1::ExportTracePartialSuccess {
                rejected_spans: count,
                error_message,
            }),
        }
        .encode_to_vec(),
        Signal::Logs => logs::v1::ExportLogsServiceResponse {
            partial_success: Some(logs::v1::ExportLogsPartialSuccess {
                rejected_log_records: count,
                error_message,
            }),
        }
        .encode_to_vec(),
        Signal::Metrics => metrics::v1::ExportMetricsServiceResponse {
            partial_success: Some(metrics::v1::ExportMetricsPartialSuccess {
                rejected_data_points: count,
                error_message,
            }),
        }
        .encode_to_vec(),
    }
}

/// A `google.rpc.Status` in the coding of the request.
fn status(coding: Coding, code: i32, message: &str) -> Response {
    match coding {
        Coding::Json => json_body(&json!({"code": code, "message": message})),
        Coding::Protobuf => {
            let status = tonic_types::Status { code, message: message.to_owned(), details: vec![] };
            let bytes = status.encode_to_vec();
            ([(header::CONTENT_TYPE, "application/x-protobuf")], bytes).into_response()
        }
    }
}

fn json_body(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
