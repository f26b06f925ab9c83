//! Upstreams: takes judged requests, and streamed ones of operations that are never opened, and nothing else.
//!
//! It owns connections, deadlines and what crosses the hop. It knows no attribute, no status of ours and no file: certificate
//! authorities are given to it as text.

mod call;
mod connect;
mod error;
mod fetch;
mod forwarded;
mod headers;
mod http1;
mod http2;
mod outbound;
mod request_body;
mod response_body;
mod tls;
mod trace;
mod websocket;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

pub use call::{CallLimits, Caller};
pub use error::{ResponseBodyError, UpstreamError, UpstreamSetupError};
pub use fetch::{FetchError, Fetcher, FetcherError, SystemRoots};
pub use forwarded::ForwardFacts;
pub use headers::clean_response_headers;
use headers::settle_framing;
pub use outbound::{ForwardHead, JudgedBody, Outbound, PassPermit};
pub use response_body::UpstreamBody;
pub use trace::Traceparent;
pub use websocket::{Handshake, HandshakeError, Splice, SpliceEnd, Switch, UpgradePermit};

use crate::policy::{self, HostHeader, HttpVersion, Limits, Pace};
use connect::{Connector, Security};
use request_body::{RequestBody, Watch};
use response_body::Source;
use tls::Alpn;

/// The upstreams of a configuration, by name, with their connections.
pub struct Upstreams(HashMap<String, Arc<Backend>>);

impl Upstreams {
    /// Prepares the upstreams; connects to none. `authorities` are the PEM texts of those that name their own, by upstream name.
    ///
    /// # Errors
    ///
    /// An upstream cannot be used as it is configured.
    pub fn new(
        upstreams: &[policy::Upstream],
        authorities: &dyn Fn(&str) -> Option<Vec<u8>>,
        limits: &Limits,
    ) -> Result<Self, UpstreamSetupError> {
        let mut system = None;
        let mut backends = HashMap::new();
        for upstream in upstreams {
            let backend = Backend::new(upstream, authorities, &mut system, limits)?;
            if backends.insert(upstream.name.clone(), Arc::new(backend)).is_some() {
                return Err(UpstreamSetupError::Twice { name: upstream.name.clone() });
            }
        }
        Ok(Self(backends))
    }

    /// Sends a request on and waits for the head of the answer, cleaned of what does not cross; its body is streamed.
    ///
    /// A request is never sent a second time once a byte of it may have arrived.
    ///
    /// # Errors
    ///
    /// There is no answer; see [`UpstreamError`].
    pub async fn send(&self, name: &str, outbound: Outbound) -> Result<Response<UpstreamBody>, UpstreamError> {
        self.find(name)?.send(outbound).await
    }

    fn find(&self, name: &str) -> Result<&Arc<Backend>, UpstreamError> {
        self.0.get(name).ok_or(UpstreamError::Unknown)
    }
}

/// One upstream.
struct Backend {
    connector: Connector,
    scheme: Scheme,
    host: Host,
    protocol: Protocol,
    permits: Arc<Semaphore>,
    response_timeout: Duration,
    idle_timeout: Duration,
    /// The longest wait for the next piece of a client's streamed body.
    client_timeout: Duration,
    body_pace: Pace,
    stream_bytes_max: u64,
    /// Whether the task that closes idle connections runs. It needs a runtime, so the first request starts it.
    reaper: OnceLock<()>,
}

/// Which `Host` the upstream sees.
enum Host {
    Clients,
    Fixed { authority: Authority, value: HeaderValue },
}

enum Protocol {
    Http1(Arc<http1::Pool>),
    Http2(http2::Pool),
}

impl Backend {
    fn new(
        upstream: &policy::Upstream,
        authorities: &dyn Fn(&str) -> Option<Vec<u8>>,
        system: &mut Option<RootCertStore>,
        limits: &Limits,
    ) -> Result<Self, UpstreamSetupError> {
        let name = &upstream.name;
        let broken = |reason| UpstreamSetupError::Url { name: name.clone(), reason };
        let host = upstream.url.host_str().ok_or_else(|| broken("the url has no host"))?;
        let port = upstream.url.port_or_known_default().ok_or_else(|| broken("the url has no port"))?;
        let (scheme, security) = match upstream.url.scheme() {
            "http" => (Scheme::HTTP, Security::Plain),
            "https" => {
                let roots = match (&upstream.ca, &*system) {
                    (Some(_), _) => {
                        let missing = || UpstreamSetupError::AuthoritiesMissing { name: name.clone() };
                        tls::own_roots(name, &authorities(name).ok_or_else(missing)?)?
                    }
                    (None, Some(roots)) => roots.clone(),
                    (None, None) => system.insert(tls::system_roots()?).clone(),
                };
                // A certificate's name is the url's host, whatever `Host` says; IPv6 stands there without brackets.
                let subject = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                let subject = ServerName::try_from(subject).map_err(|_| broken("no certificate can have this host"))?;
                let http1 = tls::client_config(name, roots.clone(), Alpn::Http1)?;
                let http2 = tls::client_config(name, roots, Alpn::Http2)?;
                (Scheme::HTTPS, Security::Tls { name: subject, http1: Arc::new(http1), http2: Arc::new(http2) })
            }
            _ => return Err(broken("expected http or https")),
        };
        let fixed = match &upstream.host_header {
            HostHeader::Preserve => None,
            HostHeader::Upstream => {
                let port = upstream.url.port().map_or_else(String::new, |port| format!(":{port}"));
                Some(format!("{host}{port}"))
            }
            HostHeader::Named(host) => Some(host.clone()),
        };
        let host_header = match fixed {
            None => Host::Clients,
            Some(text) => {
                let no_host = |_| UpstreamSetupError::Host { name: name.clone() };
                let authority = Authority::try_from(text.as_str()).map_err(no_host)?;
                let value = HeaderValue::try_from(text).map_err(|_| UpstreamSetupError::Host { name: name.clone() })?;
                Host::Fixed { authority, value }
            }
        };
        Ok(Self {
            connector: Connector {
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port,
                security,
                connect_timeout: upstream.connect_timeout,
            },
            scheme,
            host: host_header,
            protocol: match upstream.http_version {
                HttpVersion::Http1 => {
                    Protocol::Http1(Arc::new(http1::Pool::new(upstream.connections_max, upstream.idle_timeout)))
                }
                HttpVersion::Http2 => Protocol::Http2(http2::Pool::new(upstream.idle_timeout)),
            },
            permits: Arc::new(Semaphore::new(upstream.connections_max.min(Semaphore::MAX_PERMITS))),
            response_timeout: upstream.response_timeout,
            idle_timeout: upstream.idle_timeout,
            client_timeout: limits.body_timeout,
            body_pace: limits.body_pace(),
            stream_bytes_max: limits.stream_bytes_max,
            reaper: OnceLock::new(),
        })
    }

    async fn send(self: &Arc<Self>, outbound: Outbound) -> Result<Response<UpstreamBody>, UpstreamError> {
        let (request, watch) = self.request(outbound)?;
        let permit = self.admit().await?;
        self.reaper.get_or_init(|| drop(tokio::spawn(reap(Arc::downgrade(self), self.idle_timeout))));
        let (response, source) = match &self.protocol {
            Protocol::Http1(pool) => {
                let (response, link) = pool.exchange(&self.connector, request, &watch).await?;
                (response, Source::Http1 { link, pool: Arc::clone(pool), permit })
            }
            Protocol::Http2(pool) => {
                let (response, place) = Box::pin(pool.exchange(&self.connector, request, &watch)).await?;
                (response, Source::Http2 { place, permit })
            }
        };
        // Nobody asked to switch: what follows would be read as another protocol than it is.
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::Switched);
        }
        self.relay(response, source)
    }

    fn relay(&self, response: Response<Incoming>, source: Source) -> Result<Response<UpstreamBody>, UpstreamError> {
        let (mut head, incoming) = response.into_parts();
        settle_framing(&mut head.headers)?;
        clean_response_headers(&mut head.headers);
        // The version is ours (RFC 9110 section 2.5): by that of a backend which ends its answers with its connection, one that broke off
        // would look whole.
        head.version = Version::HTTP_11;
        // hyper keeps the reason phrase and more there; none of it is for the client.
        head.extensions.clear();
        Ok(Response::from_parts(head, UpstreamBody::new(incoming, source, self.idle_timeout)))
    }

    /// A permit for one request in flight. Waiting for one is waiting for a connection, and takes no longer.
    async fn admit(&self) -> Result<OwnedSemaphorePermit, UpstreamError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        match timeout(self.connector.connect_timeout, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(UpstreamError::Saturated),
        }
    }

    fn request(&self, outbound: Outbound) -> Result<(Request<RequestBody>, Watch), UpstreamError> {
        match outbound {
            Outbound::Judged { mut head, body } => {
                let (bytes, content_type) = body.into_parts();
                headers::clean_judged_headers(&mut head.headers, content_type);
                let body = RequestBody::whole(bytes);
                let request = match &self.protocol {
                    Protocol::Http1(_) => self.http1_request(head, body),
                    Protocol::Http2(_) => self.http2_request(head, body)?,
                };
                Ok((request, Watch::whole(self.response_timeout)))
            }
            Outbound::Verified { mut head, body } => {
                headers::clean_request_headers(&mut head.headers);
                let body = RequestBody::whole(body.into_body());
                let request = match &self.protocol {
                    Protocol::Http1(_) => self.http1_request(head, body),
                    Protocol::Http2(_) => self.http2_request(head, body)?,
                };
                Ok((request, Watch::whole(self.response_timeout)))
            }
            Outbound::Passed { mut head, body, permit } => {
                let bytes_max = permit.bytes_max(self.stream_bytes_max);
                let (watch, body) =
                    Watch::streamed(body, bytes_max, self.response_timeout, self.client_timeout, self.body_pace)?;
                headers::clean_request_headers(&mut head.headers);
                let request = match &self.protocol {
                    Protocol::Http1(_) => self.http1_request(head, body),
                    Protocol::Http2(_) => self.http2_request(head, body)?,
                };
                Ok((request, watch))
            }
        }
    }

    /// Origin-form and `Host` (RFC 9112 §3.2.1). hyper frames the body by its exact length, or in chunks where it has none.
    fn http1_request(&self, head: ForwardHead, body: RequestBody) -> Request<RequestBody> {
        let ForwardHead { method, path_and_query, mut headers, facts } = head;
        let host = match &self.host {
            Host::Fixed { value, .. } => Some(value.clone()),
            Host::Clients => HeaderValue::from_str(facts.host.as_str()).ok(),
        };
        if let Some(host) = host {
            headers.insert(HOST, host);
        }
        // hyper says nothing about an empty body, and some servers answer 411 to that (RFC 9110 §8.6).
        if [Method::POST, Method::PUT, Method::PATCH].contains(&method) && http_body::Body::is_end_stream(&body) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        facts.write(&mut headers);
        assemble(method, Uri::from(path_and_query), headers, body)
    }

    /// `:scheme`, `:authority` and `:path` (RFC 9113 §8.3.1).
    fn http2_request(&self, head: ForwardHead, body: RequestBody) -> Result<Request<RequestBody>, UpstreamError> {
        let ForwardHead { method, path_and_query, mut headers, facts } = head;
        let authority = match &self.host {
            Host::Fixed { authority, .. } => authority.clone(),
            Host::Clients => facts.host.clone(),
        };
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(authority)
            .path_and_query(path_and_query)
            .build()
            .map_err(UpstreamError::Target)?;
        facts.write(&mut headers);
        Ok(assemble(method, uri, headers, body))
    }
}

fn assemble(method: Method, uri: Uri, headers: HeaderMap, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    request
}

/// Closes idle connections until the upstream itself is gone.
async fn reap(backend: Weak<Backend>, idle_timeout: Duration) {
    let mut ticks = tokio::time::interval((idle_timeout / 2).max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(backend) = backend.upgrade() else { return };
        match &backend.protocol {
            Protocol::Http1(pool) => pool.reap(),
            Protocol::Http2(pool) => pool.reap(),
        }
    }
}
