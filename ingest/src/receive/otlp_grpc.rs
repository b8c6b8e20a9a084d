//! OTLP over gRPC: the three `Export` calls.
//!
//! A call is one message in, one out, so the frames are read here instead of by generated code:
//! the message is bounded before it is decompressed, and one item that does not decode does not cost
//! the others. What may be sent again is answered UNAVAILABLE with `RetryInfo`; INTERNAL never, since
//! it makes every exporter drop its data.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::future::Future;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::client::Peer;
use super::otlp::{Coding, Door, NotTaken, OtlpSettings, Sent, Taken};
use super::otlp_http::response_bytes;
use super::page::{Hosts, content_type, guarded};
use super::serve;
use crate::format::otlp::Signal;
use crate::intake::Intake;

/// Bytes before a message: whether it is compressed, and its length.
const FRAME: usize = 5;
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// What requests may be compressed with.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

/// Serves the door until `shutdown`, then finishes what is under way.
pub async fn serve(
    listener: TcpListener,
    settings: OtlpSettings,
    intake: Intake,
    shutdown: impl Future<Output = ()>,
) {
    let (tls, limits) = (settings.tls.clone(), intake.settings().limits);
    let app = guarded(app(Door::new(settings, intake)), Hosts::Any);
    serve::serve(listener, tls, app, limits, shutdown).await;
}

fn app(door: Door) -> Router {
    let route = |signal: Signal| {
        post(move |State(door): State<Door>, request: Request| async move {
            let taken = receive(&door, signal, request).await;
            answer(&door, signal, taken)
        })
    };
    let path = |part: &str| format!("/opentelemetry.proto.collector.{part}/Export");
    Router::new()
        .route(&path("trace.v1.TraceService"), route(Signal::Traces))
        .route(&path("logs.v1.LogsService"), route(Signal::Logs))
        .route(&path("metrics.v1.MetricsService"), route(Signal::Metrics))
        .fallback(|| async { refusal(&Status::unimplemented("no such call: OTLP is served here")) })
        .with_state(door)
}

async fn receive(door: &Door, signal: Signal, request: Request) -> Taken {
    let (head, body) = request.into_parts();
    // Proxies name whatever host they like here. No page can speak HTTP/2 without TLS.
    let kind = content_type(&head.headers);
    let is_grpc = matches!(kind, "application/grpc" | "application/grpc+proto");
    if head.version != Version::HTTP_2 || !is_grpc {
        return Err(NotTaken::Unreadable("this is no call of gRPC over HTTP/2".to_owned()));
    }
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let peer = Peer::of(&head.extensions);
    let mut room = door.room(&peer, text(header::USER_AGENT.as_str()));
    let bytes = door.body(body, &mut room).await?;
    let (is_compressed, message) = message(&bytes)?;
    let encoding =
        if is_compressed { text("grpc-encoding").unwrap_or_default() } else { "identity" };
    let encoding = encoding.to_owned();
    let sent = Sent { signal, coding: Coding::Protobuf, encoding, bytes: message, peer };
    door.take(sent, room).await
}

/// The one message of a call, and whether it is compressed.
fn message(bytes: &Bytes) -> Result<(bool, Bytes), NotTaken> {
    let broken = || NotTaken::Unreadable("the call does not hold one whole message".to_owned());
    let (flag, length) = bytes.split_at_checked(FRAME).ok_or_else(broken)?.0.split_at(1);
    let length = u32::from_be_bytes(length.try_into().map_err(|_| broken())?) as usize;
    if bytes.len() != FRAME + length {
        return Err(broken());
    }
    Ok((flag != [0], bytes.slice(FRAME..)))
}

fn answer(door: &Door, signal: Signal, taken: Taken) -> Response {
    let status = match taken {
        Ok(rejected) => return success(&response_bytes(signal, rejected)),
        Err(NotTaken::Busy) => {
            let wait = Some(door.intake.settings().retry_after);
            let details = ErrorDetails::with_retry_info(wait);
            Status::with_error_details(Code::Unavailable, "no room now", details)
        }
        Err(NotTaken::TooLarge) => {
            Status::resource_exhausted("the request is larger than is taken")
        }
        Err(NotTaken::Unreadable(detail)) => Status::invalid_argument(detail),
        Err(NotTaken::UnknownEncoding) => {
            Status::unimplemented("compress with gzip or zstd, or not at all")
        }
    };
    refusal(&status)
}

fn success(message: &[u8]) -> Response {
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or_default().to_be_bytes());
    frame.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(frame));
    let body = body.with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response
}

/// A response without a message: the status stands in its headers.
fn refusal(status: &Status) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    headers.insert("grpc-accept-encoding", ACCEPTED);
    if status.add_header(headers).is_err() {
        headers.insert("grpc-status", HeaderValue::from_static("14"));
    }
    response
}
