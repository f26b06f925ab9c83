//! The client of the admin listener: what a command asks of the process that runs on this machine.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use serde_json::Value;

use crate::epoch::{LoadError, PolicyDirectory, SecretError, fetch_secret};
use crate::policy::{Gateway, PolicyFiles, parse};

/// For the connection; the process is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// For each piece of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A list of as many things as there may be is shorter.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Why the process cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminClientError {
    #[error("`gateway.toml` has no `[admin]`: set its `address` and `token`, and start the gateway again")]
    NoListener,
    #[error(
        "`[admin]` has no `token`: make one with `openssl rand -hex 32 > admin.token; chmod 600 admin.token`, set \
         `token = {{ file = \"admin.token\" }}`, and start the gateway again"
    )]
    NoToken,
    #[error("[admin] token: {0}")]
    Token(#[from] SecretError),
    #[error("expected a loopback address, found `{0}`: the token goes to nobody else")]
    NotLoopback(SocketAddr),
    #[error("no gateway answers on {0}: does it run, with this `gateway.toml`? `--admin` names another address")]
    Down(SocketAddr, #[source] io::Error),
    #[error("what answers on {0} is no gateway of this version")]
    Garbage(SocketAddr),
    #[error("{0}")]
    Refused(String),
}

/// One process, and what opens it.
pub struct AdminClient {
    address: SocketAddr,
    token: SecretSlice<u8>,
}

/// `gateway.toml` of a directory; a mistake in a workspace keeps nobody from asking the process that runs.
pub fn gateway(policies: &Path) -> Result<Gateway, LoadError> {
    let files = PolicyDirectory::read(policies)?;
    let alone = PolicyFiles { profiles: Vec::new(), workspaces: Vec::new(), ..files.policy_files().clone() };
    let (set, findings) = parse(&alone);
    set.map(|set| set.gateway).ok_or(LoadError::Policy(findings))
}

impl AdminClient {
    /// The process whose `gateway.toml` this is; `address` is another than the one it names.
    ///
    /// # Errors
    ///
    /// The file names no listener or no token, the token cannot be read, or the address is not this machine's.
    pub fn new(gateway: &Gateway, address: Option<SocketAddr>) -> Result<Self, AdminClientError> {
        let admin = gateway.admin.as_ref().ok_or(AdminClientError::NoListener)?;
        let address = address.unwrap_or(admin.address);
        if !address.ip().is_loopback() {
            return Err(AdminClientError::NotLoopback(address));
        }
        let token = fetch_secret(admin.token.as_ref().ok_or(AdminClientError::NoToken)?)?;
        Ok(Self { address, token })
    }

    /// Asks; gives the status and the answer's JSON.
    ///
    /// # Errors
    ///
    /// Nobody answers, or somebody else does.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), AdminClientError> {
        let address = self.address;
        let down = |error| AdminClientError::Down(address, error);
        let answer = self.exchange(method, path, body).map_err(down)?;
        read(&answer).ok_or(AdminClientError::Garbage(address))
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let body = body.map(ToString::to_string);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(body) = &body {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        head.push_str("Authorization: Bearer ");
        stream.write_all(head.as_bytes())?;
        stream.write_all(self.token.expose_secret())?;
        stream.write_all(b"\r\n\r\n")?;
        stream.write_all(body.unwrap_or_default().as_bytes())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Status and JSON of an answer that ends with its connection.
fn read(answer: &[u8]) -> Option<(u16, Value)> {
    let answer = std::str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    // Words alone are the answer of a listener that knows nothing of this path, or that takes us for a web page.
    Some((status, body.parse().unwrap_or(Value::Null)))
}

/// The answer, where it is the one that was hoped for; what the process says otherwise.
pub fn hoped_for((status, answer): (u16, Value)) -> Result<Value, AdminClientError> {
    if (200..300).contains(&status) && answer.is_object() {
        return Ok(answer);
    }
    let said = answer.get("error").and_then(Value::as_str).map(str::to_owned);
    Err(AdminClientError::Refused(said.unwrap_or_else(|| format!("the gateway answers with status {status}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_json() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\na: b\r\n\r\n{\"a\":1}"), Some((200, serde_json::json!({"a": 1}))));
        assert_eq!(read(b"HTTP/1.1 404 Not Found\r\n\r\nno"), Some((404, Value::Null)));
        for garbage in
            [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n\r\n{}", b"HTTP/1.1 2\r\n\r\n", b"\xff\r\n\r\n"]
        {
            assert_eq!(read(garbage), None);
        }
    }
}
