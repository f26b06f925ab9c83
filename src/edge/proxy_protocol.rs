//! PROXY protocol, versions 1 and 2: a balancer that passes TCP through says before the first byte whom a connection is from.
//!
//! Taken from listed networks alone, and from them always: one that says nothing, or says it wrongly, is closed without an answer. Not one
//! byte beyond the header is read, since what follows is the client's.

use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Duration, Instant, timeout_at};

use super::client_address::AddressSource;
use super::connections::{Connections, Permit, Tally};
use crate::policy::{Admission, ProxyProtocol};

/// Why a connection has no header that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyHeaderError {
    /// The first bytes are of something else.
    #[error("there is no PROXY header")]
    Absent,
    #[error("the PROXY header is malformed")]
    Malformed,
    /// UDP, or a Unix socket: nobody is connected to us so.
    #[error("the PROXY header is of another kind of connection")]
    Family,
    #[error("the PROXY header is too long")]
    TooLong,
}

/// Of a header of version 1, as its specification says, with its line end.
const V1_BYTES_MAX: usize = 107;

/// Of a header of version 2 with all that a balancer adds to it. Its own length field would allow 64 KiB.
pub const HEADER_BYTES_MAX: usize = 2048;

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = v2::PROTOCOL_PREFIX;
/// Signature, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;

/// For the whole header. It comes with the first packet, if it comes at all; the handshake's own deadline holds as well.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many bytes still belong to the header for certain, by what was read of it; none when it is whole. Whoever reads no more than these
/// reads nothing of what follows.
///
/// # Errors
///
/// However it goes on, it is no header.
pub fn missing_bytes(read: &[u8]) -> Result<usize, ProxyHeaderError> {
    let begins = |signature: &[u8]| read.iter().zip(signature).all(|(byte, expected)| byte == expected);
    if begins(V2_SIGNATURE) {
        let Some(length) = read.get(V2_FIXED_BYTES - 2..V2_FIXED_BYTES).and_then(|bytes| bytes.first_chunk()) else {
            // Both kinds are at least as long as this signature.
            let known = if read.len() < V2_SIGNATURE.len() { V2_SIGNATURE.len() } else { V2_FIXED_BYTES };
            return Ok(known - read.len());
        };
        let whole = V2_FIXED_BYTES + usize::from(u16::from_be_bytes(*length));
        if whole > HEADER_BYTES_MAX {
            return Err(ProxyHeaderError::TooLong);
        }
        return whole.checked_sub(read.len()).ok_or(ProxyHeaderError::Malformed);
    }
    if !begins(V1_SIGNATURE) {
        return Err(ProxyHeaderError::Absent);
    }
    missing_of_line(read)
}

/// Of version 1: a line that ends with CR LF.
fn missing_of_line(read: &[u8]) -> Result<usize, ProxyHeaderError> {
    match read.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
        Some(end) if read.get(end..) == Some(b"\r\n") => return Ok(0),
        Some(end) if read.get(end..) == Some(b"\r") && read.len() < V1_BYTES_MAX => return Ok(1),
        Some(_) => return Err(ProxyHeaderError::Malformed),
        None if read.len() + 2 > V1_BYTES_MAX => return Err(ProxyHeaderError::TooLong),
        None => {}
    }
    if read.len() < V2_SIGNATURE.len() {
        return Ok(V2_SIGNATURE.len() - read.len());
    }
    // Five spaces, each with something behind it, and the line's end. `UNKNOWN` may have none of that.
    let is_tcp = read.get(V1_SIGNATURE.len()..).is_some_and(|rest| rest.starts_with(b"TCP"));
    let spaces = read.split(|byte| *byte == b' ').count().saturating_sub(1);
    let to_come = if is_tcp { 5_usize.saturating_sub(spaces) * 2 } else { 0 };
    Ok((to_come + 2).min(V1_BYTES_MAX - read.len()))
}

/// Reads a whole header: whom the connection is from. `None`: the balancer's own, such as a health check, or nobody that it knows.
///
/// # Errors
///
/// It is no header, or of something that is no TCP connection.
pub fn parse(header: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    if header.starts_with(V2_SIGNATURE) {
        let header = v2::Header::try_from(header).map_err(|_| ProxyHeaderError::Malformed)?;
        return parse_binary(&header);
    }
    let header = v1::Header::try_from(header).map_err(|_| ProxyHeaderError::Malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
        v1::Addresses::Tcp6(ip) => Some(SocketAddr::from((ip.source_address, ip.source_port))),
    })
}

fn parse_binary(header: &v2::Header<'_>) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    match header.command {
        // Whatever else it says is to be ignored.
        v2::Command::Local => return Ok(None),
        v2::Command::Proxy => {}
    }
    let address = match (header.addresses, header.protocol) {
        (v2::Addresses::Unspecified, v2::Protocol::Unspecified) => return Ok(None),
        (v2::Addresses::IPv4(ip), v2::Protocol::Stream) => SocketAddr::from((ip.source_address, ip.source_port)),
        (v2::Addresses::IPv6(ip), v2::Protocol::Stream) => SocketAddr::from((ip.source_address, ip.source_port)),
        (
            v2::Addresses::Unspecified | v2::Addresses::IPv4(_) | v2::Addresses::IPv6(_) | v2::Addresses::Unix(_),
            v2::Protocol::Unspecified | v2::Protocol::Stream | v2::Protocol::Datagram,
        ) => return Err(ProxyHeaderError::Family),
    };
    if header.tlvs().any(|tlv| tlv.is_err()) {
        return Err(ProxyHeaderError::Malformed);
    }
    Ok(Some(address))
}

/// Takes the header off a connection, and nothing of what follows. `None`: it closed before its first byte, as a check of the port does.
async fn take(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Option<SocketAddr>>, ProxyHeaderError> {
    let mut header = Vec::with_capacity(V1_BYTES_MAX);
    loop {
        let missing = missing_bytes(&header)?;
        if missing == 0 {
            return parse(&header).map(Some);
        }
        let mut bytes = (&mut *stream).take(missing as u64);
        // A connection that breaks is like one that ends.
        if !matches!(bytes.read_buf(&mut header).await, Ok(1..)) {
            return if header.is_empty() { Ok(None) } else { Err(ProxyHeaderError::Malformed) };
        }
    }
}

/// What becomes of a connection by the address of its socket alone.
pub(super) fn admit(
    policy: Option<&ProxyProtocol>,
    address: SocketAddr,
    connections: &std::sync::Arc<Connections>,
) -> Option<Permit> {
    let tally = &connections.tally;
    let permit = match policy {
        Some(policy) if policy.from.contain(address.ip()) => connections.admit_unnamed(),
        Some(ProxyProtocol { from: _, others: Admission::Refuse }) => {
            Tally::count(&tally.proxy_unlisted);
            return None;
        }
        Some(ProxyProtocol { from: _, others: Admission::Allow }) | None => connections.admit(address.ip()),
    };
    if permit.is_err() {
        Tally::count(&tally.refused);
    }
    permit.ok()
}

/// Whom an admitted connection is from. `None`: it is to be closed, and counted already.
pub(super) async fn greet(
    stream: &mut (impl AsyncRead + Unpin),
    socket: SocketAddr,
    permit: &mut Permit,
    handshake_timeout: Duration,
) -> Option<(SocketAddr, AddressSource)> {
    if permit.is_named() {
        return Some((socket, AddressSource::Socket));
    }
    let deadline = Instant::now() + HEADER_TIMEOUT.min(handshake_timeout);
    let taken = timeout_at(deadline, take(stream)).await;
    let tally = &permit.connections().tally;
    let named = match taken {
        Ok(Ok(named)) => named?,
        Ok(Err(ProxyHeaderError::Absent)) => {
            Tally::count(&tally.proxy_absent);
            return None;
        }
        Ok(Err(ProxyHeaderError::Malformed | ProxyHeaderError::Family | ProxyHeaderError::TooLong)) => {
            Tally::count(&tally.proxy_malformed);
            return None;
        }
        Err(_) => {
            Tally::count(&tally.proxy_timed_out);
            return None;
        }
    };
    // The balancer's own connections are limited with all others, and not by its address: behind it everybody has that.
    let Some(client) = named else { return Some((socket, AddressSource::Socket)) };
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    if permit.name(client.ip()).is_err() {
        Tally::count(&permit.connections().tally.refused);
        return None;
    }
    Some((client, AddressSource::ProxyProtocol))
}

#[cfg(test)]
mod tests;
