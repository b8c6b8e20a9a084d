//! An alert to Slack's incoming webhook; what came of it, as a row of `deliveries`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use durward_schemas::Time;
use durward_schemas::ids::{DeliveryId, hash128};
use durward_schemas::tables::Delivery;
use durward_schemas::time::SECOND;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::alert::{Alert, slack};
use crate::escape::{shortened, visible};

/// Slack answers in a word; what is longer is not Slack.
const LONGEST_ANSWER: usize = 4 * 1024;

/// Nobody is waited for longer than this, whatever the answer asks.
const LONGEST_WAIT: f64 = 3_600.0;

/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A route that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The file with the URL cannot be read.
    #[error("reading the webhook URL from {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It holds no URL that may be used. The text is a secret and not shown.
    #[error("the webhook URL in {path} is not an https URL (http is allowed on loopback only)")]
    Url {
        /// The file.
        path: PathBuf,
    },
    /// The client cannot be made.
    #[error("making the client of the webhook")]
    Client(#[source] reqwest::Error),
}

/// A way to people: one incoming webhook of Slack.
pub struct SlackRoute {
    name: String,
    /// Where the URL stands.
    path: PathBuf,
    /// A secret: whoever knows it can post.
    url: Url,
    client: Client,
}

impl std::fmt::Debug for SlackRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlackRoute").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What came of one attempt.
struct Answer {
    outcome: &'static str,
    status: Option<StatusCode>,
    retry_after: Option<f64>,
    error: Option<String>,
}

impl SlackRoute {
    /// The route `name`, whose URL stands in the file at `path`.
    ///
    /// A rustls provider must be installed before.
    ///
    /// # Errors
    /// If the file cannot be read or holds no URL that may be used.
    pub fn from_file(name: &str, path: &Path) -> Result<Self, RouteError> {
        let url = read_url(path)?;
        let client = Client::builder()
            .timeout(TIMEOUT)
            // A redirect would carry the alert to somewhere that nobody configured.
            .redirect(Policy::none())
            .user_agent(concat!("durward/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(RouteError::Client)?;
        Ok(Self { name: name.to_owned(), path: path.to_owned(), url, client })
    }

    /// Takes the URL that stands in the file now.
    ///
    /// # Errors
    /// As [`SlackRoute::from_file`]; the URL stays as it is.
    pub fn read_again(&mut self) -> Result<(), RouteError> {
        self.url = read_url(&self.path)?;
        Ok(())
    }

    /// Tells an alert; `attempt` counts from 1.
    pub async fn deliver(&self, alert: &Alert, attempt: i64, now: Time) -> Delivery {
        let answer = self.post(alert, now).await;
        Delivery {
            time: now,
            delivery_id: delivery_id(alert, &self.name, attempt),
            incident_id: alert.incident_id.clone(),
            log_position: alert.log_position,
            route: self.name.clone(),
            channel: format!("slack {}", self.url.host_str().unwrap_or_default()),
            attempt,
            outcome: answer.outcome.to_owned(),
            http_status: answer.status.map(|status| i64::from(status.as_u16())),
            retry_after_seconds: answer.retry_after,
            error: answer.error,
            ingest_time: now,
        }
    }

    async fn post(&self, alert: &Alert, now: Time) -> Answer {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(slack::render(alert).to_string());
        match request.send().await {
            Ok(response) => answer(response, now).await,
            Err(error) => failed("retry", None, &said(error)),
        }
    }
}

fn delivery_id(alert: &Alert, route: &str, attempt: i64) -> DeliveryId {
    let id = [alert.incident_id.as_str().as_bytes(), route.as_bytes(), &attempt.to_le_bytes()];
    DeliveryId(hash128("delivery", &id))
}

/// What came of a message for one of the incidents that it told of.
#[must_use]
pub fn of_incident(told: &Delivery, alert: &Alert, attempt: i64) -> Delivery {
    Delivery {
        delivery_id: delivery_id(alert, &told.route, attempt),
        incident_id: alert.incident_id.clone(),
        log_position: alert.log_position,
        attempt,
        ..told.clone()
    }
}

/// The URL in a file.
fn read_url(path: &Path) -> Result<Url, RouteError> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(RouteError::File { path, source }),
    };
    let url = Url::parse(text.trim()).ok().filter(is_allowed);
    url.ok_or(RouteError::Url { path })
}

/// Only to hosts that prove who they are, or to this machine.
fn is_allowed(url: &Url) -> bool {
    let is_loopback = match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>:
/// only the word `ok` is success; 429 says when to come again; other 4xx stay what they are.
async fn answer(response: Response, now: Time) -> Answer {
    let status = response.status();
    let retry_after = retry_after(&response, now);
    let body = match body(response).await {
        Ok(body) => body,
        Err(error) => return failed("retry", Some(status), &said(error)),
    };
    match status {
        StatusCode::OK if body.trim() == "ok" => {
            Answer { outcome: "delivered", status: Some(status), retry_after: None, error: None }
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Answer { retry_after, ..failed("retry", Some(status), &body) }
        }
        // A 200 of somebody else: a proxy, a captive portal. It may go away.
        _ if status.is_success() || status.is_server_error() => {
            failed("retry", Some(status), &body)
        }
        _ => failed("refused", Some(status), &body),
    }
}

fn failed(outcome: &'static str, status: Option<StatusCode>, said: &str) -> Answer {
    let error = visible(&shortened(said.trim(), 200));
    Answer { outcome, status, retry_after: None, error: Some(error) }
}

/// An error without the URL, which is a secret, but with its causes.
fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

async fn body(mut response: Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = LONGEST_ANSWER.saturating_sub(bytes.len());
        bytes.extend(chunk.iter().take(room));
        if room <= chunk.len() {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Seconds, or a date: <https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>.
fn retry_after(response: &Response, now: Time) -> Option<f64> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.parse::<f64>().ok().or_else(|| {
        let date = DateTime::parse_from_rfc2822(text).ok()?;
        let micros = Time(date.timestamp_micros()).since(now);
        i32::try_from(micros / SECOND).ok().map(f64::from)
    });
    seconds.filter(|seconds| seconds.is_finite()).map(|seconds| seconds.clamp(0.0, LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
