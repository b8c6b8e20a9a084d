//! The web door: questions in SQL over HTTP, and files, for programs on this machine.
//!
//! A page in a browser can reach loopback too, so a request must name a loopback host, come from
//! no other origin, and have a content type that a page cannot send without asking first.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use durward_correlate::query::{Answer, Coming, Fault, Limits, Places, QueryError};
use durward_ingest::receive::page::{Hosts, guarded};
use futures::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::json;

use crate::render::{self, Output, Printer};
use crate::sql;

/// Queries that run at once, those that turn out slow, and those that are stopped until a slow one ends: with a
/// gigabyte each that is what the machine should have.
const SHORT: usize = 2;
const SLOW: usize = 2;
const STOPPED: usize = 2;
/// A table is laid out as a whole, so it is no longer than this, as Arrow.
const MOST_TABLE_BYTES: u64 = 32 << 20;
/// What is no longer than this is answered as a whole.
const MOST_WHOLE: usize = 1 << 20;
/// How long a query waits for a place.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BODY_BYTES: usize = 512 << 10;

const HELP: &str = "Durward answers SQL here:\n\n  curl -H 'Content-Type: application/json' \
    -d '{\"sql\":\"SELECT * FROM incidents\"}' http://HOST:PORT/api/v1/query\n";

/// What the web door needs.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    lake: PathBuf,
    places: Places,
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
pub(crate) fn router(lake: PathBuf, upload: Router, hosts: Hosts) -> Router {
    let app = Router::new()
        .route("/", get(|| async { HELP }))
        .route("/api/v1/query", post(query))
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .with_state(Web { lake, places: Places::of(SHORT, SLOW, STOPPED) })
        .merge(upload);
    guarded(app, hosts)
}

async fn query(State(web): State<Web>, headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if kind != "application/json" {
        return refuse(StatusCode::FORBIDDEN, "the Content-Type is not application/json", None);
    }
    let Some(output) = wanted(&headers) else {
        return refuse(
            StatusCode::NOT_ACCEPTABLE,
            "none of what Accept names is offered",
            Some("ask for application/json, application/x-ndjson, text/csv or text/plain"),
        );
    };
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
    if output == Output::Table {
        limits.max_bytes = MOST_TABLE_BYTES;
    }
    let asked = sql::stream(&web.lake, &asked.sql, limits, (&web.places, PATIENCE)).await;
    match asked {
        Ok(coming) => answered(coming, output).await.unwrap_or_else(|error| failed(&error)),
        Err(error) => failed(&error),
    }
}

/// The media type of each output.
const MEDIA_TYPES: [(&str, Output); 4] = [
    ("application/json", Output::Json),
    ("application/x-ndjson", Output::Ndjson),
    ("text/csv", Output::Csv),
    ("text/plain", Output::Table),
];

/// What the client likes best of what is offered; JSON where it does not say.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1>
fn wanted(headers: &HeaderMap) -> Option<Output> {
    let named = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let named = named.collect::<Vec<_>>().join(",");
    if named.trim().is_empty() {
        return Some(Output::Json);
    }
    let ranges: Vec<(&str, f32)> = named.split(',').map(range).collect();
    // The most exact range that covers a type says how much it is liked.
    let liked = |media: &str| {
        let group =
            media.split_once('/').map_or_else(String::new, |(group, _)| format!("{group}/*"));
        [media, &group, "*/*"].into_iter().find_map(|wanted| {
            let same = |(name, _): &&(&str, f32)| name.eq_ignore_ascii_case(wanted);
            ranges.iter().position(|range| same(&range))
        })
    };
    let offered = MEDIA_TYPES.iter().filter_map(|(media, output)| {
        let at = liked(media)?;
        let (_, quality) = ranges.get(at)?;
        (*quality > 0.0).then_some((*quality, at, *output))
    });
    // Of what is liked as much as another, what is named first; of one range, what is offered first.
    let best = offered.reduce(|best, other| {
        let is_better = other.0 > best.0 || (other.0 >= best.0 && other.1 < best.1);
        if is_better { other } else { best }
    });
    best.map(|(_, _, output)| output)
}

/// A media range of `Accept`, and how much it is liked.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
    (name, quality.unwrap_or(1.0))
}

/// What is short is answered whole, with the status that it deserves; what is long is passed on as it comes, and
/// breaks off where it fails.
async fn answered(mut coming: Coming, output: Output) -> Result<Response, QueryError> {
    let media = MEDIA_TYPES.iter().find(|(_, other)| *other == output).map(|(media, _)| *media);
    let media = match media.unwrap_or("application/json") {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    let media = [(header::CONTENT_TYPE, media)];
    if output == Output::Table {
        let mut batches = Vec::new();
        while let Some(batch) = coming.next().await? {
            batches.push(batch);
        }
        let answer = Answer { schema: Arc::clone(coming.schema()), batches };
        let mut bytes = Vec::new();
        render::answer(&answer, output, &mut bytes).map_err(|error| unprintable(&error))?;
        return Ok((media, bytes).into_response());
    }
    let mut printer = Printer::new(coming.schema(), output);
    let mut begun = String::new();
    while begun.len() < MOST_WHOLE {
        let Some(batch) = coming.next().await? else {
            begun += &printer.finish();
            return Ok((media, begun).into_response());
        };
        begun += &printer.print(&batch).map_err(|error| unprintable(&error))?;
    }
    let rest = stream::try_unfold(Some((coming, printer)), |left| async move {
        let Some((mut coming, mut printer)) = left else { return Ok(None) };
        let part = match coming.next().await.map_err(std::io::Error::other)? {
            Some(batch) => printer.print(&batch).map_err(std::io::Error::other)?,
            None => return Ok(Some((printer.finish(), None))),
        };
        Ok::<_, std::io::Error>(Some((part, Some((coming, printer)))))
    });
    let all = stream::once(async { Ok(begun) }).chain(rest);
    Ok((media, Body::from_stream(all)).into_response())
}

fn unprintable(error: &anyhow::Error) -> QueryError {
    QueryError { fault: Fault::Data, message: format!("{error:#}"), hint: None }
}

fn failed(error: &QueryError) -> Response {
    let status = match error.fault {
        Fault::Statement => StatusCode::BAD_REQUEST,
        Fault::Limit => StatusCode::UNPROCESSABLE_ENTITY,
        Fault::Data => StatusCode::INTERNAL_SERVER_ERROR,
        Fault::Busy => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, &error.message, error.hint.as_deref())
}

fn refuse(status: StatusCode, message: &str, hint: Option<&str>) -> Response {
    let body = json!({ "error": message, "hint": hint }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: what clients write into `Accept`.
    /// Guarantees: the most exact range decides, then the quality, then the order; what is not offered is no JSON.
    #[test]
    fn accept_is_honoured() {
        let check = |accept: Option<&str>, expected: Option<Output>| {
            let value = accept.map(|text| text.parse().expect("a header"));
            let headers = value.map(|value| (header::ACCEPT, value)).into_iter().collect();
            assert_eq!(wanted(&headers), expected, "{accept:?}");
        };
        check(None, Some(Output::Json));
        check(Some("*/*"), Some(Output::Json));
        check(Some("application/*"), Some(Output::Json));
        check(Some("text/*"), Some(Output::Csv));
        check(Some("Text/CSV; header=present"), Some(Output::Csv));
        check(Some("application/x-ndjson"), Some(Output::Ndjson));
        check(Some("text/plain, */*;q=0.1"), Some(Output::Table));
        check(Some("text/csv;q=0.5, application/x-ndjson;q=0.9"), Some(Output::Ndjson));
        check(Some("application/json;q=0, */*"), Some(Output::Ndjson));
        check(Some("application/xml"), None);
        check(Some("application/json;q=0"), None);
    }
}
