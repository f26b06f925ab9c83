//! One gateway with its upstream and a connection that is made again whenever the gateway closes it.

use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;

use super::client::form_request;
use super::{Answer, Client, Received, Setup, TestGateway, TestUpstream, form};

/// A session that a lead's bench knows.
pub const LEAD: (&str, &str) = ("anonymous_session", "lead");

pub struct Bench {
    pub upstream: TestUpstream,
    pub gateway: TestGateway,
    pub client: Client,
    sent: usize,
}

impl Bench {
    pub async fn start(setup: impl FnOnce(SocketAddr) -> Setup) -> Self {
        Self::over(TestUpstream::start().await, setup).await
    }

    /// In front of an upstream of the test's own.
    pub async fn over(upstream: TestUpstream, setup: impl FnOnce(SocketAddr) -> Setup) -> Self {
        let gateway = setup(upstream.address).start();
        let client = gateway.http1().await;
        Self { upstream, gateway, client, sent: 0 }
    }

    /// Of parts that the test made itself.
    pub fn of(upstream: TestUpstream, gateway: TestGateway, client: Client) -> Self {
        Self { upstream, gateway, client, sent: 0 }
    }

    /// The workspace `acme`, changed as the test needs it.
    pub async fn acme(change: impl FnOnce(Setup) -> Setup) -> Self {
        Self::start(|upstream| change(Setup::acme(upstream))).await
    }

    /// The workspace `acme`, whose messenger has said that the session [`LEAD`] is a lead's.
    pub async fn with_lead(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = TestUpstream::saying(r#"{"user":{"role":"contact_role","id":"1"},"anonymous_session":"lead"}"#);
        let mut bench = Self::over(upstream.await, |upstream| change(Setup::acme(upstream))).await;
        bench.passes(form_request("/messenger/web/ping", form(&[("app_id", "abc12345"), ("user_data", "{}")]))).await;
        bench.upstream.forget();
        bench
    }

    /// Our own origin, as a frame that came through this gateway sends it.
    pub fn own_origin(&self) -> String {
        format!("https://localhost:{}", self.gateway.address.port())
    }

    /// Sends a request; what reached the upstream before is forgotten.
    pub async fn send(&mut self, request: Request<impl Into<Bytes>>) -> Answer {
        self.upstream.forget();
        let answer = self.client.send(request).await;
        self.sent += 1;
        if answer.header("connection") == Some("close") {
            self.client = self.gateway.http1().await;
        }
        answer
    }

    /// Takes something back in the workspace `acme`, which is a record too.
    #[track_caller]
    pub fn revoke(&mut self, members: &str) -> String {
        self.sent += 1;
        self.gateway.revoke(members)
    }

    /// One more request was sent, over another connection or without an answer.
    pub fn count_one(&mut self) {
        self.sent += 1;
    }

    /// The record of the request that was sent last.
    #[track_caller]
    pub fn record(&self) -> serde_json::Value {
        self.gateway.records(self.sent).pop().expect("a record")
    }

    /// The verdict on `name` in the record of the request that was sent last.
    #[track_caller]
    pub fn verdict(&self, name: &str) -> String {
        let record = self.record();
        let attributes = record["attributes"].as_array().expect("a list");
        let found = attributes.iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no `{name}` in {record}"))["verdict"].as_str().expect("text").to_owned()
    }

    /// The request is sent on; gives what the upstream received.
    pub async fn passes(&mut self, request: Request<impl Into<Bytes>>) -> Received {
        let (request, shown) = shown(request);
        let answer = self.send(request).await;
        assert_eq!(answer.status, 200, "{shown}\n{}\n{}", answer.text(), self.record());
        self.upstream.only()
    }

    /// The request is refused with `status` and nothing of it reaches the upstream; gives the record's code.
    pub async fn refused(&mut self, request: Request<impl Into<Bytes>>, status: u16) -> String {
        let (request, shown) = shown(request);
        let answer = self.send(request).await;
        let code = self.record()["outcome"].as_str().expect("text").to_owned();
        assert_eq!(answer.status.as_u16(), status, "{code}: {shown}\n{}", answer.text());
        assert!(self.upstream.received().is_empty(), "{code}: {shown} reached the upstream");
        code
    }
}

/// The request, and its beginning for people.
fn shown(request: Request<impl Into<Bytes>>) -> (Request<Bytes>, String) {
    const SHOWN_CHARS_MAX: usize = 200;
    let request = request.map(Into::into);
    let body: String = String::from_utf8_lossy(request.body()).chars().take(SHOWN_CHARS_MAX).collect();
    let shown = format!("{} {} {body}", request.method(), request.uri());
    (request, shown)
}
