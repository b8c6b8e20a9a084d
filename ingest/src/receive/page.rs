//! A page in a browser reaches loopback too, and would be taken for a sender. So a request must name a host
//! that is meant, come from no page, and have a type of content that no page sends without asking first.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

/// The hosts that requests may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any: a certificate says where the client is.
    Any,
    /// Those of loopback, and these: whoever makes a name of his own lead here has a page under it
    /// (DNS rebinding).
    Loopback(Arc<[String]>),
}

impl Hosts {
    /// Those of a door with TLS or without.
    #[must_use]
    pub fn of_door(has_tls: bool, others: &[String]) -> Self {
        if has_tls { Self::Any } else { Self::Loopback(others.into()) }
    }

    fn has(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Loopback(others) => {
                let name = name(host);
                is_loopback(name) || others.iter().any(|other| other.eq_ignore_ascii_case(name))
            }
        }
    }

    /// Whether a request may come from a program, and no page made a browser send it.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
        // HTTP/2 has it in the URI, and a request line may too: whatever is named has to be meant.
        let named =
            headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
        let named: Vec<&str> =
            uri.authority().map(Authority::as_str).into_iter().chain(named).collect();
        let host = named.first().copied().unwrap_or_default();
        if !self.has(host) || !named.iter().all(|host| self.has(host)) {
            return Err(
                "the Host header names no loopback address, and no name of listen.*.hosts\n",
            );
        }
        match headers.get(header::ORIGIN) {
            None => Ok(()),
            Some(origin) if origin.to_str().is_ok_and(|origin| is_same(origin, host)) => Ok(()),
            Some(_) => Err("the request comes from a page of another origin\n"),
        }
    }
}

/// Refuses what a page may have sent.
pub fn guarded(app: Router, hosts: Hosts) -> Router {
    app.layer(from_fn_with_state(hosts, guard))
}

async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    match hosts.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => (StatusCode::FORBIDDEN, reason).into_response(),
    }
}

/// The type of content, without what follows it.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.split(';').next()).unwrap_or_default().trim()
}

fn is_same(origin: &str, host: &str) -> bool {
    let schemes = ["http://", "https://"];
    schemes.iter().any(|scheme| origin.strip_prefix(scheme) == Some(host))
}

/// A host without its port.
fn name(host: &str) -> &str {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_start_matches('[').trim_end_matches(']')
}

fn is_loopback(name: &str) -> bool {
    let is_address = || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    name.eq_ignore_ascii_case("localhost") || is_address()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: hosts and origins as programs and pages have them, with and without names of one's own.
    /// Guarantees: loopback in any spelling passes, whatever another name leads here, be it in one of two places,
    /// and whatever comes from another page does not; a door with TLS looks at the origin alone.
    #[test]
    fn pages_are_told_from_programs() {
        let check = |others: &[&str], has_tls: bool, host: &str, origin: Option<&str>| {
            let others: Vec<String> = others.iter().map(|&name| name.into()).collect();
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let hosts = Hosts::of_door(has_tls, &others);
            hosts.check(&Uri::from_static("/"), &headers).is_ok()
        };
        for host in
            ["localhost", "LOCALHOST:8443", "127.0.0.1:1", "127.9.9.9", "[::1]:8443", "[::1]"]
        {
            assert!(check(&[], false, host, None), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8443",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "10.0.0.1",
            "[::2]:1",
        ] {
            assert!(!check(&[], false, host, None), "{host}");
            assert!(check(&[], true, host, None), "{host}");
        }
        assert!(check(&["durward.example"], false, "Durward.example:8443", None));
        assert!(!check(&["durward.example"], false, "x.durward.example", None));
        assert!(check(&[], false, "localhost:1", Some("http://localhost:1")));
        for origin in ["https://evil.example", "http://localhost:2", "null", ""] {
            assert!(!check(&[], false, "localhost:1", Some(origin)), "{origin}");
            assert!(!check(&[], true, "localhost:1", Some(origin)), "{origin}");
        }
        let by_http_2 = Uri::from_static("http://evil.example/v1/logs");
        assert!(Hosts::of_door(false, &[]).check(&by_http_2, &HeaderMap::new()).is_err());
        let absolute = |uri: &'static str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            Hosts::of_door(false, &[]).check(&Uri::from_static(uri), &headers).is_ok()
        };
        assert!(absolute("http://localhost:8443/v1/logs", "localhost:8443"));
        assert!(!absolute("http://localhost:8443/v1/logs", "evil.example"));
        assert!(!absolute("http://evil.example/v1/logs", "localhost:8443"));
    }
}
