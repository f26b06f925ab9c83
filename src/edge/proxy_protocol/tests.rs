use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::ReadBuf;

use super::*;

/// Gives one piece at each read.
struct Pieces<'p>(Vec<&'p [u8]>);

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(first) = self.0.first_mut() {
            let count = first.len().min(buffer.remaining());
            buffer.put_slice(&first[..count]);
            *first = &first[count..];
            if first.is_empty() {
                self.0.remove(0);
            }
        }
        Poll::Ready(Ok(()))
    }
}

type Taken = Result<Option<Option<SocketAddr>>, ProxyHeaderError>;

/// What the header says, and how many bytes were left for the client.
async fn taken(pieces: Vec<&[u8]>) -> (Taken, usize) {
    let mut stream = Pieces(pieces);
    let taken = take(&mut stream).await;
    (taken, stream.0.iter().map(|piece| piece.len()).sum())
}

fn v2(command: u8, family: u8, length: u16, rest: &[u8]) -> Vec<u8> {
    [V2_SIGNATURE, &[command, family], &length.to_be_bytes(), rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 1, 187];

fn ipv6(source: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    [&octets(source)[..], &octets("2001:db8::2"), &[0x12, 0x34, 1, 187]].concat()
}

fn short(rest: &[u8]) -> u16 {
    u16::try_from(rest.len()).unwrap()
}

/// Whole, byte by byte, and with what follows in the same packet: the header says this, and what follows is untouched.
#[track_caller]
fn check(header: &[u8], expected: Option<&str>) {
    let expected = expected.map(|address| address.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let follows = [b"PROXY TCP4 6.6.6.6 10.0.0.1 1 2\r\n", &v2(0x21, 0x11, 12, &IPV4)[..]].concat();
    let whole = [header, &follows].concat();
    for pieces in [vec![header, &follows[..]], vec![&whole[..]], whole.chunks(1).collect()] {
        let (taken, left) = runtime.block_on(taken(pieces));
        assert_eq!((taken, left), (Ok(Some(expected)), follows.len()), "{header:?}");
    }
}

#[track_caller]
fn refused(bytes: &[u8], expected: ProxyHeaderError) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for pieces in [vec![bytes], bytes.chunks(1).collect()] {
        assert_eq!(runtime.block_on(taken(pieces)).0, Err(expected), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_header_says_whom_a_connection_is_from() {
    check(b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r\n", Some("192.0.2.7:4660"));
    check(b"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", Some("1.2.3.4:0"));
    check(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535"));
    check(b"PROXY TCP6 2001:db8::1 2001:db8::2 4660 443\r\n", Some("[2001:db8::1]:4660"));
    check(b"PROXY TCP6 :: :: 0 0\r\n", Some("[::]:0"));
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    check(format!("PROXY TCP6 {long} {long} 65535 65535\r\n").as_bytes(), Some(&format!("[{long}]:65535")));
    check(&v2(0x21, 0x11, 12, &IPV4), Some("192.0.2.7:4660"));
    let mapped = ipv6("2001:db8::1");
    check(&v2(0x21, 0x21, short(&mapped), &mapped), Some("[2001:db8::1]:4660"));
    // With what balancers add: a text of ALPN and a number of their own.
    let more = [&IPV4[..], &[1, 0, 2, b'h', b'2', 0xea, 0, 1, 9]].concat();
    check(&v2(0x21, 0x11, short(&more), &more), Some("192.0.2.7:4660"));
}

#[test]
fn what_a_balancer_sends_for_itself_is_its_own() {
    check(b"PROXY UNKNOWN\r\n", None);
    check(b"PROXY UNKNOWN 6.6.6.6 10.0.0.1 1 2\r\n", None);
    let worst = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_BYTES_MAX - 16));
    assert_eq!(worst.len(), V1_BYTES_MAX);
    check(worst.as_bytes(), None);
    check(&v2(0x20, 0x00, 0, &[]), None);
    check(&v2(0x20, 0x11, 12, &IPV4), None);
    check(&v2(0x20, 0x31, 216, &[b'x'; 216]), None);
    check(&v2(0x21, 0x00, 0, &[]), None);
    check(&v2(0x21, 0x00, 5, &[0xea, 0, 2, 1, 2]), None);
}

#[test]
fn what_is_no_header_is_none() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b" PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\0",
    ] {
        refused(bytes, ProxyHeaderError::Absent);
    }
}

#[test]
fn half_a_header_and_a_wrong_one_are_refused() {
    for line in [
        "PROXY ",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4660 44",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\r",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4660 443\rX",
        "PROXY \r\n",
        "PROXY\u{20}\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4660\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4660 443 1\r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 4660 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 4660 443 \r\n",
        "PROXY TCP4 192.0.2.07 10.0.0.1 4660 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 -1 443\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 04660 443\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 4660 443\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 4660 443\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::2 4660 443\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 4660 443\r\n",
        "PROXY tcp4 192.0.2.7 10.0.0.1 4660 443\r\n",
        "PROXY TCP4 a.example 10.0.0.1 4660 443\r\n",
        "PROXY TCP 192.0.2.7 10.0.0.1 4660 443\r\n",
    ] {
        refused(line.as_bytes(), ProxyHeaderError::Malformed);
    }
    refused(b"PROXY TCP4 \xff\xfe 10.0.0.1 4660 443\r\n", ProxyHeaderError::Malformed);
    let whole = v2(0x21, 0x11, 12, &IPV4);
    for length in 1..whole.len() {
        refused(&whole[..length], ProxyHeaderError::Malformed);
    }
    for (command, family, length, rest) in [
        (0x11, 0x11, 12, &IPV4[..]),
        (0x22, 0x11, 12, &IPV4),
        (0x21, 0x41, 12, &IPV4),
        (0x21, 0x13, 12, &IPV4),
        (0x21, 0x11, 11, &IPV4[..11]),
        (0x21, 0x21, 12, &IPV4),
        // What is added is longer than the header.
        (0x21, 0x11, 16, &[&IPV4[..], &[1, 0, 200, b'h']].concat()),
        (0x21, 0x11, 14, &[&IPV4[..], &[1, 0]].concat()),
    ] {
        refused(&v2(command, family, length, rest), ProxyHeaderError::Malformed);
    }
}

#[test]
fn what_is_no_tcp_connection_is_refused() {
    let v6 = ipv6("2001:db8::1");
    for (family, rest) in [
        (0x12, &IPV4[..]),
        (0x10, &IPV4),
        (0x22, &v6),
        (0x31, &[b'x'; 216]),
        (0x32, &[b'x'; 216]),
        (0x01, &[]),
        (0x02, &[]),
    ] {
        refused(&v2(0x21, family, short(rest), rest), ProxyHeaderError::Family);
    }
}

#[test]
fn a_header_has_an_end() {
    refused(format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_BYTES_MAX - 15)).as_bytes(), ProxyHeaderError::TooLong);
    refused("PROXY TCP4 ".repeat(50).as_bytes(), ProxyHeaderError::TooLong);
    let most = HEADER_BYTES_MAX - V2_FIXED_BYTES;
    let padding =
        |bytes: usize| [&IPV4[..], &[4], &(short(&vec![0; bytes - 15])).to_be_bytes(), &vec![0; bytes - 15]].concat();
    check(&v2(0x21, 0x11, short(&padding(most)), &padding(most)), Some("192.0.2.7:4660"));
    // Before a byte of it is read.
    refused(&v2(0x21, 0x11, short(&padding(most + 1)), &[]), ProxyHeaderError::TooLong);
    refused(&v2(0x20, 0x00, u16::MAX, &[]), ProxyHeaderError::TooLong);
}

#[tokio::test]
async fn a_look_at_the_port_is_nobody() {
    assert_eq!(taken(vec![]).await, (Ok(None), 0));
}

proptest! {
    /// Whatever comes, nothing beyond what the library takes for the header is consumed, and both say the same of it.
    #[test]
    fn no_byte_of_the_client_is_read(
        start in prop::sample::select(vec![
            b"PROXY TCP4 1.2.3.4 ".to_vec(), b"PROXY ".to_vec(), V2_SIGNATURE.to_vec(), v2(0x21, 0x11, 12, &IPV4), vec![],
        ]),
        rest in prop::collection::vec(prop_oneof![Just(b' '), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'.'), any::<u8>()], 0..60),
    ) {
        let bytes = [&start[..], &rest].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (taken, left) = runtime.block_on(taken(vec![&bytes]));
        if let Ok(Some(named)) = taken {
            let length = v1::Header::try_from(&bytes[..]).map(|header| header.header.len()).ok()
                .or_else(|| v2::Header::try_from(&bytes[..]).map(|header| header.len()).ok());
            prop_assert_eq!(length, Some(bytes.len() - left));
            prop_assert_eq!(parse(&bytes[..bytes.len() - left]), Ok(named));
        }
    }
}
