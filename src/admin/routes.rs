//! What the admin listener answers, and to whom.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use super::revocations::{self, Revoking};
use super::state::{AdminState, Readiness};

/// The routes, behind the look at who asks.
pub(super) fn router(state: Arc<AdminState>, revoking: Revoking) -> Router {
    let revocations = revocations::router(Arc::clone(&state), revoking);
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/keys", get(keys))
        .with_state(state)
        .merge(revocations)
        .layer(from_fn(admit))
}

async fn livez() -> &'static str {
    "alive\n"
}

async fn readyz(State(state): State<Arc<AdminState>>) -> Response {
    let readiness = state.readiness();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        Readiness::NoEpoch | Readiness::NoCertificate | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", readiness.as_str())).into_response()
}

async fn metrics(State(state): State<Arc<AdminState>>) -> Response {
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, openmetrics)], state.metrics().encode()).into_response()
}

async fn status(State(state): State<Arc<AdminState>>) -> Response {
    json(&state.status(crate::clock::now()))
}

async fn keys(State(state): State<Arc<AdminState>>) -> Response {
    json(&state.keys(crate::clock::now()))
}

fn json(answer: &impl Serialize) -> Response {
    match serde_json::to_string(answer) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Lets in only those who mean this machine. A web page in an operator's browser can reach loopback too: by a name of its own that it
/// resolves to 127.0.0.1 (then `Host` is that name), or across origins (then there is an `Origin`).
async fn admit(request: Request, next: Next) -> Response {
    let mut response = if !means_loopback(request.uri(), request.headers()) {
        (StatusCode::MISDIRECTED_REQUEST, "expected a loopback address or `localhost` as host\n").into_response()
    } else if request.headers().contains_key(ORIGIN) {
        (StatusCode::FORBIDDEN, "not for web pages\n").into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn means_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let authority = host.to_str().ok().and_then(|host| host.parse().ok());
    authority.is_some_and(|authority| is_loopback(&authority)) && uri.authority().is_none_or(is_loopback)
}

fn is_loopback(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, expected: bool) {
        assert_eq!(host.parse().is_ok_and(|authority| is_loopback(&authority)), expected, "{host}");
    }

    #[test]
    fn only_loopback_and_localhost_mean_this_machine() {
        for host in ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.8.9.1:9000", "[::1]", "[::1]:9000"] {
            check(host, true);
        }
        for host in [
            "",
            "localhost.evil.example",
            "evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "192.0.2.1",
            "[::2]",
            "0.0.0.0",
            "2130706433",
            "127.1",
            "localhost.",
        ] {
            check(host, false);
        }
    }

    #[test]
    fn a_host_must_be_there_once_and_the_target_must_agree() {
        let mut headers = HeaderMap::new();
        let path = Uri::from_static("/livez");
        assert!(!means_loopback(&path, &headers));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(means_loopback(&path, &headers));
        assert!(!means_loopback(&Uri::from_static("http://evil.example/livez"), &headers));
        headers.append(HOST, HeaderValue::from_static("localhost"));
        assert!(!means_loopback(&path, &headers));
    }
}
