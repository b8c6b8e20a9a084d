//! The admin door: is it alive, is it ready, what does it count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use durward_ingest::Log;
use durward_ingest::receive::page::{Hosts, guarded};

use crate::metrics::Metrics;
use crate::progress::Progress;

/// What the admin door shows.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    /// Whose size is read when it is asked for.
    pub(crate) log: Arc<Log>,
    /// How far the loop has come.
    pub(crate) progress: Arc<Progress>,
    /// False before the doors are open, and as soon as the program was told to stop.
    pub(crate) ready: Arc<AtomicBool>,
}

/// The routes.
pub(crate) fn router(admin: Admin, hosts: Hosts) -> Router {
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/healthz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(admin);
    guarded(app, hosts)
}

async fn metrics(State(admin): State<Admin>) -> String {
    admin.metrics.set("durward_log_end_position", "", admin.log.end());
    let bytes = i64::try_from(admin.log.bytes()).unwrap_or(i64::MAX);
    admin.metrics.set("durward_log_bytes", "", bytes);
    let blocked = i64::from(admin.progress.blocked().is_some());
    admin.metrics.set("durward_pipeline_blocked", "", blocked);
    admin.metrics.text()
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    let lacks = match admin.ready.load(Ordering::Relaxed) {
        true if admin.log.is_held() => Some("the log takes nothing: is the disk full?".to_owned()),
        true => admin.progress.lacks(),
        false => Some("starting or stopping".to_owned()),
    };
    match lacks {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(lacks) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {lacks}\n")),
    }
}
