//! PROXY protocol, as whoever reaches the port may begin: not one byte beyond the header is consumed, and a reader of somebody else's, given all
//! of it at once, finds the same header in it.
//!
//! The first byte says in pieces of which size it comes.
#![no_main]

use std::net::SocketAddr;

use countersign::edge::proxy_protocol::{HEADER_BYTES_MAX, ProxyHeaderError, missing_bytes, parse};
use libfuzzer_sys::fuzz_target;
use ppp::{v1, v2};

/// How many bytes were consumed, and what they say; `None` where the input ends before the header does.
fn read(data: &[u8], piece: usize) -> (usize, Option<Result<Option<SocketAddr>, ProxyHeaderError>>) {
    let mut consumed = 0;
    loop {
        match missing_bytes(&data[..consumed]) {
            Err(error) => return (consumed, Some(Err(error))),
            Ok(0) => return (consumed, Some(parse(&data[..consumed]))),
            Ok(_) if consumed == data.len() => return (consumed, None),
            Ok(missing) => consumed += missing.min(piece).min(data.len() - consumed),
        }
    }
}

/// The length of the header that the other reader finds, and whom it names where it is of a kind that counts.
fn other(data: &[u8]) -> Option<(usize, Option<SocketAddr>)> {
    if let Ok(header) = v1::Header::try_from(data) {
        let source = match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
        };
        return Some((header.header.len(), source));
    }
    let header = v2::Header::try_from(data).ok()?;
    let source = match (header.command, header.addresses, header.protocol) {
        (v2::Command::Local, _, _) => None,
        (v2::Command::Proxy, v2::Addresses::Unspecified, v2::Protocol::Unspecified) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(ip), v2::Protocol::Stream) => {
            Some((ip.source_address, ip.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(ip), v2::Protocol::Stream) => {
            Some((ip.source_address, ip.source_port).into())
        }
        _ => return None,
    };
    let is_whole = source.is_none() || header.tlvs().all(|tlv| tlv.is_ok());
    is_whole.then_some((header.len(), source))
}

fuzz_target!(|input: &[u8]| {
    let Some((piece, data)) = input.split_first() else { return };
    let (consumed, found) = read(data, usize::from(*piece).max(1));
    assert!(consumed <= HEADER_BYTES_MAX);
    let theirs = other(data);
    if let Some((length, source)) = theirs {
        assert!(consumed <= length, "{consumed} bytes of a header of {length}");
        // A line feed within a line, or one without its carriage return, is nothing to them.
        let header = &data[..length];
        let feeds = header.iter().filter(|byte| **byte == b'\n').count();
        let is_plain = data.starts_with(v2::PROTOCOL_PREFIX) || (header.ends_with(b"\r\n") && feeds == 1);
        if is_plain && length <= HEADER_BYTES_MAX {
            assert_eq!(found, Some(Ok(source)));
        }
    }
    if let Some(Ok(named)) = found {
        assert_eq!(theirs, Some((consumed, named)));
    }
    // In whatever pieces it comes.
    assert_eq!(read(data, usize::MAX).1.map(Result::ok), found.map(Result::ok));
});
