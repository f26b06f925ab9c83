//! The client of the admin listener: what a command asks of the process that runs on this machine.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretSlice};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::epoch::{LoadError, PolicyDirectory, SecretError, fetch_secret};
use crate::policy::{AdminListener, Gateway, parse_gateway};

/// From the connection to the end of the answer.
const ANSWER_SECONDS_MAX: u64 = 10;

/// Ten thousand workspaces with some keys each say less, and as many revocations as there may be.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why the process cannot be asked, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum AdminClientError {
    #[error(
        "`gateway.toml` has no `[admin]`, so that the gateway tells nobody: add it with `address = \"127.0.0.1:9100\"`, and `token` for what \
         changes something, and start the gateway again"
    )]
    NoListener,
    #[error(
        "`[admin] address` has port 0, any free one: say with `--admin` which one it took; it is in its log, `listening` of `admin`"
    )]
    AnyPort,
    #[error(
        "expected a loopback address, found `{0}`: the admin listener is there for its own machine alone, so ask on that one"
    )]
    NotLoopback(SocketAddr),
    #[error(
        "`[admin]` has no `token`: make one with `openssl rand -hex 32 > admin.token; chmod 600 admin.token` beside the directory of the \
         policies, set `token = {{ file = \"../admin.token\" }}`, and start the gateway again"
    )]
    NoToken,
    #[error("[admin] token: {0}")]
    Token(#[from] SecretError),
    #[error(
        "nobody answers on `{address}`: does the gateway run on this machine, with this `[admin] address`? If it has another, say so with `--admin`"
    )]
    Down { address: SocketAddr, source: BoxError },
    #[error("no answer on `{0}` within {ANSWER_SECONDS_MAX} seconds")]
    Slow(SocketAddr),
    #[error("{0}")]
    Refused(String),
    /// It says so itself.
    #[error("there is nothing of this name")]
    NotThere,
    #[error("`{address}` answers {status} to `{path}`: is it the admin listener of a gateway of this version?")]
    Status { address: SocketAddr, path: String, status: StatusCode },
    #[error("what `{address}` answers to `{path}` is not what a gateway of this version says")]
    Garbage { address: SocketAddr, path: String },
    #[error("this machine starts nothing: {0}")]
    Runtime(#[from] io::Error),
}

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One process, and what opens it.
pub struct AdminClient {
    pub address: SocketAddr,
    /// Only what changes something needs it.
    token: Option<SecretSlice<u8>>,
}

/// `gateway.toml` of a directory; a mistake in a workspace keeps nobody from asking the process that runs.
pub fn gateway(policies: &Path) -> Result<Gateway, LoadError> {
    let files = PolicyDirectory::read(policies)?;
    let (gateway, findings) = parse_gateway(files.policy_files());
    gateway.ok_or(LoadError::Policy(findings))
}

impl AdminClient {
    /// For asking alone: at the address that the operator says, or else the policies.
    ///
    /// # Errors
    ///
    /// No listener is named, or one that is not this machine's.
    pub fn reading(asked: Option<SocketAddr>, admin: Option<&AdminListener>) -> Result<Self, AdminClientError> {
        let address = match (asked, admin) {
            (Some(address), _) => address,
            (None, Some(admin)) => admin.address,
            (None, None) => return Err(AdminClientError::NoListener),
        };
        if !address.ip().is_loopback() {
            return Err(AdminClientError::NotLoopback(address));
        }
        if address.port() == 0 { Err(AdminClientError::AnyPort) } else { Ok(Self { address, token: None }) }
    }

    /// For changes too.
    ///
    /// # Errors
    ///
    /// As [`reading`](Self::reading); or the policies name no token, or it cannot be read.
    pub fn writing(asked: Option<SocketAddr>, admin: Option<&AdminListener>) -> Result<Self, AdminClientError> {
        let admin = admin.ok_or(AdminClientError::NoListener)?;
        let token = fetch_secret(admin.token.as_ref().ok_or(AdminClientError::NoToken)?)?;
        Ok(Self { token: Some(token), ..Self::reading(asked, Some(admin))? })
    }

    /// Asks; gives the status and the answer's JSON, `null` where it is none.
    ///
    /// # Errors
    ///
    /// Nobody answers, or not in time.
    pub fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), AdminClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let within = Duration::from_secs(ANSWER_SECONDS_MAX);
        match runtime.block_on(async { timeout(within, self.exchange(method, path, body)).await }) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(AdminClientError::Down { address: self.address, source }),
            Err(_) => Err(AdminClientError::Slow(self.address)),
        }
    }

    /// Asks for something that is there.
    ///
    /// # Errors
    ///
    /// As [`ask`](Self::ask); or the process refuses, or somebody else answers.
    pub fn hope(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, AdminClientError> {
        let (status, answer) = self.ask(method, path, body)?;
        match (status.is_success(), answer.get("error").and_then(Value::as_str)) {
            (true, _) if answer.is_object() => Ok(answer),
            (true, _) => Err(self.garbage(path)),
            (false, Some(_)) if status == StatusCode::NOT_FOUND => Err(AdminClientError::NotThere),
            (false, Some(said)) => Err(AdminClientError::Refused(said.to_owned())),
            (false, None) => Err(AdminClientError::Status { address: self.address, path: path.to_owned(), status }),
        }
    }

    /// The answer is not what was asked for.
    pub fn garbage(&self, path: &str) -> AdminClientError {
        AdminClientError::Garbage { address: self.address, path: path.to_owned() }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), BoxError> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driving = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.address.to_string());
        if let Some(token) = &self.token {
            let bearer = Zeroizing::new([b"Bearer ", token.expose_secret()].concat());
            let mut bearer = HeaderValue::from_bytes(&bearer)?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let response = sender.send_request(request.body(Full::<bytes::Bytes>::from(body))?).await?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
        driving.abort();
        // Words alone are the answer of a listener that knows nothing of this path, or of somebody else.
        Ok((status, String::from_utf8_lossy(&answer).parse().unwrap_or(Value::Null)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: Option<&str>, admin: Option<&str>, expected: Result<&str, &str>) {
        let parse = |address: &str| address.parse().expect("an address");
        let admin = admin.map(|address| AdminListener { address: parse(address), token: None });
        let client = AdminClient::reading(asked.map(parse), admin.as_ref());
        let found = client.map(|client| client.address).map_err(|error| error.to_string());
        match expected {
            Ok(address) => assert_eq!(found, Ok(parse(address))),
            Err(begin) => assert!(found.as_ref().is_err_and(|told| told.starts_with(begin)), "{found:?}"),
        }
    }

    #[test]
    fn where_to_ask_is_what_the_operator_says_before_what_the_policies_say() {
        check(None, Some("127.0.0.1:9100"), Ok("127.0.0.1:9100"));
        check(Some("[::1]:9101"), Some("127.0.0.1:9100"), Ok("[::1]:9101"));
        check(Some("127.0.0.1:9101"), None, Ok("127.0.0.1:9101"));
        check(None, None, Err("`gateway.toml` has no `[admin]`"));
        check(None, Some("127.0.0.1:0"), Err("`[admin] address` has port 0"));
        check(Some("192.0.2.1:9100"), Some("127.0.0.1:9100"), Err("expected a loopback address"));
        check(Some("0.0.0.0:9100"), None, Err("expected a loopback address"));
    }

    #[test]
    fn a_change_needs_a_token() {
        let admin = AdminListener { address: "127.0.0.1:9100".parse().expect("an address"), token: None };
        assert!(matches!(AdminClient::writing(None, Some(&admin)), Err(AdminClientError::NoToken)));
        assert!(matches!(AdminClient::writing(Some(admin.address), None), Err(AdminClientError::NoListener)));
    }
}
