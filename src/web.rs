//! The web door: questions in SQL over HTTP, and files, for programs on this machine.
//!
//! A page in a browser can reach loopback too, so a request must name a loopback host, come from
//! no other origin, and have a content type that a page cannot send without asking first.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use durward_correlate::query::{Fault, Limits, QueryError};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::render::{self, Output};
use crate::sql;

/// Queries that run at once; more wait, and then are refused.
const AT_ONCE: usize = 4;
/// How long a query waits for a place.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BODY_BYTES: usize = 1 << 20;

const HELP: &str = "Durward answers SQL here:\n\n  curl -H 'Content-Type: application/json' \
    -d '{\"sql\":\"SELECT * FROM incidents\"}' http://HOST:PORT/api/v1/query\n";

/// What the web door needs.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    lake: PathBuf,
    places: Arc<Semaphore>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    sql: String,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    max_rows: Option<usize>,
}

/// The routes.
pub(crate) fn router(lake: PathBuf, upload: Router) -> Router {
    Router::new()
        .route("/", get(|| async { HELP }))
        .route("/api/v1/query", post(query))
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .with_state(Web { lake, places: Arc::new(Semaphore::new(AT_ONCE)) })
        .merge(upload)
}

async fn query(State(web): State<Web>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(reason) = from_here(&headers) {
        return refuse(StatusCode::FORBIDDEN, reason, None);
    }
    let asked: Asked = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(error) => {
            return refuse(
                StatusCode::BAD_REQUEST,
                &error.to_string(),
                Some("send {\"sql\": \"SELECT ...\"}"),
            );
        }
    };
    let mut limits = Limits::default();
    if let Some(text) = &asked.timeout {
        match crate::cli::duration(text) {
            Ok(timeout) => limits.timeout = timeout.min(limits.timeout),
            Err(reason) => {
                return refuse(StatusCode::BAD_REQUEST, &format!("timeout: {reason}"), None);
            }
        }
    }
    limits.max_rows = asked.max_rows.unwrap_or(limits.max_rows).min(limits.max_rows);
    let Ok(Ok(_place)) = tokio::time::timeout(PATIENCE, web.places.acquire()).await else {
        return refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many queries at once",
            Some("try again in some seconds"),
        );
    };
    match sql::question(&web.lake, &asked.sql, limits).await {
        Ok(answer) => {
            let mut bytes = Vec::new();
            match render::answer(&answer, Output::Json, &mut bytes) {
                Ok(()) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
                Err(error) => {
                    refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}"), None)
                }
            }
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &QueryError) -> Response {
    let status = match error.fault {
        Fault::Statement => StatusCode::BAD_REQUEST,
        Fault::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Data => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, &error.message, error.hint.as_deref())
}

fn refuse(status: StatusCode, message: &str, hint: Option<&str>) -> Response {
    let body = json!({ "error": message, "hint": hint }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A loopback host, no other origin, and JSON.
fn from_here(headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = text(header::HOST);
    if !is_loopback(host) {
        return Err("the Host header names no loopback address");
    }
    let origin = text(header::ORIGIN);
    if !origin.is_empty() && origin.strip_prefix("http://") != Some(host) {
        return Err("the request comes from another origin");
    }
    if text(header::CONTENT_TYPE).split(';').next().map(str::trim) != Some("application/json") {
        return Err("the Content-Type is not application/json");
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
