//! The plain-HTTP listener: leads browsers to https, and takes nothing else.
//!
//! A certificate authority that looks whether a name is ours is told the text of a challenge under way (RFC 8555 §8.3).
//!
//! An update that came in the clear was read and perhaps changed on its way. To redirect it would only make that a habit, so it is refused.

use std::io;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::net::TcpStream;

use super::body::{self, Body};
use super::challenges::Challenges;
use super::connection::{Answer, Answering, Protocols};
use super::connections::Connections;
use super::drain::Drain;
use super::headers::apply_to_own_answer;
use super::hygiene::{self, Framing};
use super::listener::accept;
use super::proxy_protocol;
use super::runtimes::Runtimes;
use crate::policy::{Limits, ProxyProtocol};

/// What a plain listener needs.
pub struct PlainEdge {
    /// The port of the TLS listener.
    pub redirect_port: u16,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub limits: Arc<Limits>,
    pub connections: Arc<Connections>,
    pub drain: Drain,
    /// Those under way.
    pub challenges: Arc<Challenges>,
}

/// Serves until the drain begins: the text of a challenge to whoever looks for it, 308 to GET and HEAD without a body, 403 to everything else.
///
/// # Errors
///
/// The socket cannot be used by this runtime.
pub async fn serve_plain(listener: std::net::TcpListener, edge: Arc<PlainEdge>) -> io::Result<()> {
    let protocols =
        Arc::new(Protocols::new(Arc::clone(&edge.limits), Arc::clone(&edge.connections), edge.drain.clone()));
    let answer = Arc::new(Redirect { port: edge.redirect_port, challenges: Arc::clone(&edge.challenges) });
    let serve = {
        let edge = Arc::clone(&edge);
        move |mut stream: TcpStream, address, mut permit| {
            let (edge, protocols, answer) = (Arc::clone(&edge), Arc::clone(&protocols), Arc::clone(&answer));
            async move {
                let greeted = tokio::select! {
                    () = edge.drain.begun() => None,
                    from = proxy_protocol::greet(&mut stream, address, &mut permit, edge.limits.handshake_timeout) => from,
                };
                if greeted.is_some() {
                    protocols.serve_http1(stream, permit, answer).await;
                }
            }
        }
    };
    accept(listener, &Runtimes::default(), &edge.connections, edge.proxy_protocol.as_ref(), &edge.drain, serve).await
}

struct Redirect {
    port: u16,
    challenges: Arc<Challenges>,
}

impl Answer for Redirect {
    fn answer(&self, request: Request<Incoming>) -> Answering {
        let (parts, _) = request.into_parts();
        let response = challenge(&parts, &self.challenges).unwrap_or_else(|| redirect(&parts, self.port));
        Box::pin(std::future::ready(response))
    }

    fn strict_transport_security(&self) -> Option<HeaderValue> {
        None
    }
}

/// The text of a challenge under way, where this asks for it.
fn challenge(parts: &http::request::Parts, challenges: &Challenges) -> Option<Response<Body>> {
    // Nearly always there is none, and then nothing is looked at.
    if parts.method != Method::GET || !parts.uri.path().starts_with("/.well-known/") {
        return None;
    }
    let head = hygiene::inspect(parts).ok()?;
    let (Framing::None, None) = (head.framing(), head.query()) else { return None };
    let text = challenges.text(head.host(), head.path().as_str())?;
    let mut response = Response::new(body::full(text));
    let headers = response.headers_mut();
    apply_to_own_answer(headers);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

fn redirect(parts: &http::request::Parts, port: u16) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = match (locate(parts, port), &parts.method) {
        (Ok(location), &Method::GET | &Method::HEAD) => {
            response.headers_mut().insert(header::LOCATION, location);
            StatusCode::PERMANENT_REDIRECT
        }
        (Err(NotHere::Malformed), &Method::GET | &Method::HEAD) => StatusCode::BAD_REQUEST,
        (Ok(_) | Err(NotHere::Malformed | NotHere::Body), _) => StatusCode::FORBIDDEN,
    };
    let headers = response.headers_mut();
    apply_to_own_answer(headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Why there is nowhere to go.
enum NotHere {
    Malformed,
    Body,
}

fn locate(parts: &http::request::Parts, port: u16) -> Result<HeaderValue, NotHere> {
    let head = hygiene::inspect(parts).map_err(|_| NotHere::Malformed)?;
    match head.framing() {
        Framing::None => {}
        Framing::Length(_) | Framing::Open => return Err(NotHere::Body),
    }
    let host = if head.host().contains(':') { format!("[{}]", head.host()) } else { head.host().to_owned() };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let query = head.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("https://{host}{port}{}{query}", head.path().as_str());
    HeaderValue::try_from(location).map_err(|_| NotHere::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, target: &str, headers: &[(&str, &str)], port: u16, expected: (u16, Option<&str>)) {
        let request = headers.iter().fold(Request::builder().method(method).uri(target), |request, (name, value)| {
            request.header(*name, *value)
        });
        let response = redirect(&request.body(()).expect("a request").into_parts().0, port);
        let location = response.headers().get("location").map(|value| value.to_str().expect("text"));
        assert_eq!((response.status().as_u16(), location), expected, "{method} {target}");
        assert!(!response.headers().contains_key("strict-transport-security"));
        assert_eq!(response.headers()["connection"], "close");
    }

    #[test]
    fn reads_are_led_to_https_and_writes_are_refused() {
        let host = ("host", "Chat.example:8080");
        check("GET", "/a?b=c", &[host], 443, (308, Some("https://chat.example/a?b=c")));
        check("HEAD", "/", &[host], 8443, (308, Some("https://chat.example:8443/")));
        check("GET", "/", &[("host", "[::1]:80")], 8443, (308, Some("https://[::1]:8443/")));
        check("GET", "/", &[host, ("content-length", "0")], 443, (308, Some("https://chat.example/")));
        check("GET", "/", &[host, ("content-length", "1")], 443, (403, None));
        check("GET", "/", &[host, ("transfer-encoding", "chunked")], 443, (403, None));
        check("POST", "/", &[host], 443, (403, None));
        check("OPTIONS", "/", &[host], 443, (403, None));
        check("PUT", "/", &[], 443, (403, None));
        check("GET", "/", &[], 443, (400, None));
        check("GET", "/", &[("host", "chat.example/@evil.test")], 443, (400, None));
        check("GET", "//evil.test/", &[host], 443, (400, None));
    }
}
