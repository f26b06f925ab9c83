//! Asking the running gateway on its admin listener.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::observe::UsageReport;
use crate::policy::AdminListener;

/// Why the gateway cannot be asked, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(
        "`gateway.toml` has no `[admin]`, so that the gateway tells nobody: add it with `address = \"127.0.0.1:9100\"` and restart"
    )]
    NoAdmin,
    #[error(
        "`[admin] address` has port 0, any free one: say with `--admin` which one it took; it is in its log, `listening` of `admin`"
    )]
    AnyPort,
    #[error(
        "expected a loopback address, found `{0}`: the admin listener is there for its own machine alone, so ask on that one"
    )]
    NotLoopback(SocketAddr),
    #[error(
        "nobody answers on `{address}`: does the gateway run on this machine, with this `[admin] address`? If it has another, say so with `--admin`"
    )]
    Unreachable { address: SocketAddr, source: BoxError },
    #[error("no answer on `{0}` within {ANSWER_SECONDS_MAX} seconds")]
    Slow(SocketAddr),
    #[error("`{address}` answers {status} to `/keys`: is it the admin listener of a gateway of this version?")]
    Status { address: SocketAddr, status: StatusCode },
    #[error("what `{address}` answers to `/keys` is not what a gateway of this version says")]
    Answer { address: SocketAddr, source: serde_json::Error },
}

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// From the connection to the end of the answer.
const ANSWER_SECONDS_MAX: u64 = 10;

/// Ten thousand workspaces with some keys each say less.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where to ask: `asked` where the operator said so, or where the policies have it.
pub(super) fn address(asked: Option<SocketAddr>, admin: Option<&AdminListener>) -> Result<SocketAddr, AskError> {
    let address = match (asked, admin) {
        (Some(address), _) => address,
        (None, Some(admin)) => admin.address,
        (None, None) => return Err(AskError::NoAdmin),
    };
    if !address.ip().is_loopback() {
        return Err(AskError::NotLoopback(address));
    }
    if address.port() == 0 { Err(AskError::AnyPort) } else { Ok(address) }
}

/// What the gateway says of the use of its keys.
pub(super) async fn ask(address: SocketAddr) -> Result<UsageReport, AskError> {
    let answered = timeout(Duration::from_secs(ANSWER_SECONDS_MAX), answer(address)).await;
    let (status, body) = match answered {
        Err(_) => return Err(AskError::Slow(address)),
        Ok(Err(source)) => return Err(AskError::Unreachable { address, source }),
        Ok(Ok(answer)) => answer,
    };
    if status != StatusCode::OK {
        return Err(AskError::Status { address, status });
    }
    serde_json::from_str(&String::from_utf8_lossy(&body)).map_err(|source| AskError::Answer { address, source })
}

async fn answer(address: SocketAddr) -> Result<(StatusCode, Bytes), BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let request = Request::get("/keys").header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    driving.abort();
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asked: Option<&str>, admin: Option<&str>, expected: Result<&str, &str>) {
        let parse = |address: &str| address.parse().expect("an address");
        let admin = admin.map(|address| AdminListener { address: parse(address), token: None });
        let found = address(asked.map(parse), admin.as_ref()).map_err(|error| error.to_string());
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
}
