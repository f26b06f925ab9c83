//! An upstream that records every request to the byte and answers as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: http::Method,
    pub target: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Received {
    /// The values of a form field, in order.
    pub fn field(&self, name: &str) -> Vec<String> {
        form_urlencoded::parse(&self.body).filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// `user_data`, read by an ordinary parser.
    pub fn user_data(&self) -> serde_json::Value {
        let fields = self.field("user_data");
        let [text] = fields.as_slice() else { panic!("user_data {} times", fields.len()) };
        text.parse().expect("JSON")
    }

    /// The body, read by an ordinary parser.
    pub fn json(&self) -> serde_json::Value {
        std::str::from_utf8(&self.body).expect("text").parse().expect("JSON")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

/// A body that may come in pieces, and break off.
pub type Streamed = BoxBody<Bytes, std::io::Error>;

type Responder = dyn Fn(&Received) -> (Duration, Response<Streamed>) + Send + Sync;

/// A backend on a port of its own.
pub struct TestUpstream {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl TestUpstream {
    /// Answers everything at once with what a `ping` wants to see.
    pub async fn start() -> Self {
        Self::saying(r#"{"user":{"role":"user_role","id":"1"},"anonymous_session":"next"}"#).await
    }

    /// Answers everything at once with this JSON.
    pub async fn saying(body: &'static str) -> Self {
        Self::answering(|_| {
            let response = Response::builder().header("content-type", "application/json");
            (Duration::ZERO, response.body(body.into()).expect("ok"))
        })
        .await
    }

    pub async fn answering(
        respond: impl Fn(&Received) -> (Duration, Response<Full<Bytes>>) + Send + Sync + 'static,
    ) -> Self {
        Self::streaming(move |received| {
            let (delay, response) = respond(received);
            (delay, response.map(|body| body.map_err(|never| match never {}).boxed()))
        })
        .await
    }

    pub async fn streaming(
        respond: impl Fn(&Received) -> (Duration, Response<Streamed>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Mutex::new(Vec::new()));
        let respond: Arc<Responder> = Arc::new(respond);
        let log = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (respond, log) = (Arc::clone(&respond), Arc::clone(&log));
                tokio::spawn(async move {
                    let service = service_fn(|request: Request<Incoming>| {
                        let (respond, log) = (Arc::clone(&respond), Arc::clone(&log));
                        async move {
                            let (parts, body) = request.into_parts();
                            let body = body.collect().await?.to_bytes();
                            let one = Received {
                                method: parts.method,
                                target: parts.uri.to_string(),
                                headers: parts.headers,
                                body,
                            };
                            log.lock().expect("unpoisoned").push(one.clone());
                            let (delay, response) = respond(&one);
                            tokio::time::sleep(delay).await;
                            Ok::<_, hyper::Error>(response)
                        }
                    });
                    let mut server = hyper::server::conn::http1::Builder::new();
                    server.timer(TokioTimer::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, received, task }
    }

    /// Everything that arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("unpoisoned").clone()
    }

    /// The one request that arrived.
    #[track_caller]
    pub fn only(&self) -> Received {
        let received = self.received();
        let [one] = received.as_slice() else { panic!("expected one request, {} arrived", received.len()) };
        one.clone()
    }

    pub fn forget(&self) {
        self.received.lock().expect("unpoisoned").clear();
    }
}

impl Drop for TestUpstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}
