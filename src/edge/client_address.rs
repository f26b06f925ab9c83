//! Where a request comes from: the client's address, and who says so.
//!
//! Found once for each request, from the connection and from what trusted proxies say of it, before the headers that say it are taken away.
//! Nobody but a trusted proxy is believed, and none of them about more than the hop before it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

use crate::policy::{Networks, ProxyHeader, TrustedProxies};

/// Whose word an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// Nobody's: it is the other end of the socket.
    Socket,
    /// That of a balancer before TLS.
    ProxyProtocol,
    XForwardedFor,
    Forwarded,
    /// That of trusted proxies up to an element that is no address: the address is the last proxy that could be read.
    XForwardedForBroken,
    ForwardedBroken,
}

impl AddressSource {
    /// Its stable name in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AddressSource::Socket => "socket",
            AddressSource::ProxyProtocol => "proxy_protocol",
            AddressSource::XForwardedFor => "x_forwarded_for",
            AddressSource::Forwarded => "forwarded",
            AddressSource::XForwardedForBroken => "x_forwarded_for_broken",
            AddressSource::ForwardedBroken => "forwarded_broken",
        }
    }

    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Socket,
        Self::ProxyProtocol,
        Self::XForwardedFor,
        Self::Forwarded,
        Self::XForwardedForBroken,
        Self::ForwardedBroken,
    ];
}

/// The address of whoever sent a request. IPv4 is always spelled as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    pub ip: IpAddr,
    pub source: AddressSource,
}

/// Elements of a header that are looked at, from the right. A chain of more proxies is none.
pub const ELEMENTS_MAX: usize = 16;

/// The longest element, in bytes.
pub const ELEMENT_BYTES_MAX: usize = 256;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl ClientAddress {
    /// The client of a request: of the connection's other end, where that is no trusted proxy; otherwise whom it names, or whom those name
    /// that it names, right to left. What an untrusted one says is not looked at.
    #[must_use]
    pub fn find(connection: Self, headers: &HeaderMap, trusted: Option<&TrustedProxies>) -> Self {
        let connection = Self { ip: connection.ip.to_canonical(), ..connection };
        let Some(TrustedProxies { networks, header }) = trusted else { return connection };
        if !networks.contain(connection.ip) {
            return connection;
        }
        match header {
            ProxyHeader::XForwardedFor => {
                let walk = walk(connection, headers, &X_FORWARDED_FOR, networks, read_address);
                walk.into_address(connection, AddressSource::XForwardedFor, AddressSource::XForwardedForBroken)
            }
            ProxyHeader::Forwarded => {
                let walk = walk(connection, headers, &FORWARDED, networks, read_forwarded);
                walk.into_address(connection, AddressSource::Forwarded, AddressSource::ForwardedBroken)
            }
        }
    }
}

/// How far the walk came.
enum Walk {
    /// The header is not there.
    Nothing,
    /// The first one that nobody vouches for, or the last of the list.
    Found(IpAddr),
    /// The last one that could be read.
    Broken(IpAddr),
}

impl Walk {
    fn into_address(self, connection: ClientAddress, found: AddressSource, broken: AddressSource) -> ClientAddress {
        match self {
            Walk::Nothing => connection,
            Walk::Found(ip) => ClientAddress { ip, source: found },
            Walk::Broken(ip) => ClientAddress { ip, source: broken },
        }
    }
}

fn walk(
    connection: ClientAddress,
    headers: &HeaderMap,
    name: &HeaderName,
    trusted: &Networks,
    read: impl Fn(&str) -> Option<IpAddr>,
) -> Walk {
    let mut last = connection.ip;
    // At every comma, also within quotes: what an address needs has none, and so nobody who writes further left can join what stands here.
    let elements = headers.get_all(name).iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for (index, element) in elements.enumerate() {
        // An empty element is one in the place of a client that a trusted proxy did not know. What stands left of it nobody vouches for.
        let address = str::from_utf8(element)
            .ok()
            .filter(|text| index < ELEMENTS_MAX && text.len() <= ELEMENT_BYTES_MAX)
            .and_then(|text| read(text.trim_matches([' ', '\t'])));
        let Some(address) = address else { return Walk::Broken(last) };
        last = address.to_canonical();
        if !trusted.contain(last) {
            return Walk::Found(last);
        }
    }
    if headers.contains_key(name) { Walk::Found(last) } else { Walk::Nothing }
}

/// An address as `X-Forwarded-For` has it: bare, an IPv6 one in brackets or not, with a port where it cannot be misread.
fn read_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address = address.parse::<Ipv6Addr>().ok()?;
        (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(IpAddr::V6(address))
    } else {
        let (address, port) = text.split_once(':')?;
        is_port(port).then(|| address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)).flatten()
    }
}

/// RFC 7239 §6: digits, or a name that hides them.
fn is_port(text: &str) -> bool {
    let is_hidden = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    match text.strip_prefix('_') {
        Some(name) => is_hidden(name),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The `for` of one element of `Forwarded` (RFC 7239 §4). `unknown` and names that hide an address are none.
fn read_forwarded(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';').map(|pair| pair.trim_matches([' ', '\t'])).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
        let value = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        // Nothing that an address, a host or a scheme is spelled with needs an escape, and with one two readers part.
        if !is_token || value.bytes().any(|byte| matches!(byte, b'"' | b'\\') || !(b' '..=b'~').contains(&byte)) {
            return None;
        }
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    let node = found?;
    // In brackets, or it is no address of RFC 7239 §6: `2001:db8::1:80` is two things.
    let address = read_address(node)?;
    (address.is_ipv4() || node.starts_with('[')).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Network;

    fn trusted(header: ProxyHeader) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:f::/48"].iter().map(|text| Network::try_from(*text).unwrap());
        TrustedProxies { networks: networks.collect(), header }
    }

    fn found(header: ProxyHeader, socket: &str, lines: &[(&str, &str)]) -> ClientAddress {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let connection = ClientAddress { ip: socket.parse().unwrap(), source: AddressSource::Socket };
        ClientAddress::find(connection, &headers, Some(&trusted(header)))
    }

    #[track_caller]
    fn check(lines: &[&str], expected: &str) {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        let ClientAddress { ip, source } = found(ProxyHeader::XForwardedFor, "10.0.0.1", &lines);
        assert_eq!(format!("{ip} {}", source.as_str()), expected, "{lines:?}");
    }

    #[track_caller]
    fn check_forwarded(lines: &[&str], expected: &str) {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let ClientAddress { ip, source } = found(ProxyHeader::Forwarded, "10.0.0.1", &lines);
        assert_eq!(format!("{ip} {}", source.as_str()), expected, "{lines:?}");
    }

    #[test]
    fn the_first_that_no_trusted_proxy_stands_behind_is_the_client() {
        check(&[], "10.0.0.1 socket");
        check(&["192.0.2.7"], "192.0.2.7 x_forwarded_for");
        check(&["6.6.6.6, 192.0.2.7"], "192.0.2.7 x_forwarded_for");
        check(&["6.6.6.6,192.0.2.7 ,\t10.0.0.2 , 10.9.9.9"], "192.0.2.7 x_forwarded_for");
        check(&["10.0.0.3, 10.0.0.2"], "10.0.0.3 x_forwarded_for");
        check(&["2001:db8::1"], "2001:db8::1 x_forwarded_for");
        check(&["192.0.2.7, 2001:db8:f::9"], "192.0.2.7 x_forwarded_for");
        check(&["::ffff:192.0.2.7, ::ffff:10.0.0.2"], "192.0.2.7 x_forwarded_for");
    }

    #[test]
    fn lines_of_one_header_are_one_list() {
        check(&["6.6.6.6", "192.0.2.7", "10.0.0.2"], "192.0.2.7 x_forwarded_for");
        check(&["6.6.6.6, 192.0.2.7", "10.0.0.3, 10.0.0.2"], "192.0.2.7 x_forwarded_for");
    }

    #[test]
    fn ports_and_brackets_are_no_part_of_an_address() {
        for spelled in ["192.0.2.7:4711", "[::ffff:192.0.2.7]:1", "192.0.2.7:_hidden"] {
            check(&[spelled], "192.0.2.7 x_forwarded_for");
        }
        for spelled in ["[2001:db8::1]", "[2001:db8::1]:65535"] {
            check(&[spelled], "2001:db8::1 x_forwarded_for");
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_walk_before_it() {
        for broken in [
            "unknown",
            "_hidden",
            "",
            " ",
            "\"192.0.2.8\"",
            "192.0.2.8:",
            "192.0.2.8:123456",
            "192.0.2.8:8a",
            "192.0.2.08",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]x",
            "[192.0.2.8]",
            "fe80::1%eth0",
            "192.0.2.8 192.0.2.9",
            "0xc0000201",
        ] {
            check(&[&format!("6.6.6.6, {broken}")], "10.0.0.1 x_forwarded_for_broken");
            check(&[&format!("6.6.6.6, {broken}, 10.0.0.2")], "10.0.0.2 x_forwarded_for_broken");
            check(&[&format!("{broken}, 192.0.2.7, 10.0.0.2")], "192.0.2.7 x_forwarded_for");
        }
        check(&["6.6.6.6", ""], "10.0.0.1 x_forwarded_for_broken");
    }

    #[test]
    fn a_chain_has_an_end() {
        let chain = |proxies: usize| format!("192.0.2.7{}", ", 10.0.0.2".repeat(proxies));
        check(&[&chain(ELEMENTS_MAX - 1)], "192.0.2.7 x_forwarded_for");
        check(&[&chain(ELEMENTS_MAX)], "10.0.0.2 x_forwarded_for_broken");
        check(&[&chain(5000)], "10.0.0.2 x_forwarded_for_broken");
        let spaces = " ".repeat(ELEMENT_BYTES_MAX);
        check(&[&format!("6.6.6.6, 192.0.2.7{spaces}x")], "10.0.0.1 x_forwarded_for_broken");
        check_forwarded(&[&format!("for=6.6.6.6;by={spaces}")], "10.0.0.1 forwarded_broken");
    }

    #[test]
    fn an_untrusted_one_says_nothing_of_its_client() {
        let lines = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")];
        for header in [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded] {
            for socket in ["192.0.2.1", "11.0.0.1", "9.255.255.255", "2001:db8:e::1"] {
                let client = found(header, socket, &lines);
                assert_eq!(client, ClientAddress { ip: socket.parse().unwrap(), source: AddressSource::Socket });
            }
        }
        let connection = ClientAddress { ip: "10.0.0.1".parse().unwrap(), source: AddressSource::ProxyProtocol };
        assert_eq!(ClientAddress::find(connection, &HeaderMap::new(), None), connection);
    }

    #[test]
    fn the_other_header_is_nobodys_word() {
        let client = found(ProxyHeader::XForwardedFor, "10.0.0.1", &[("forwarded", "for=6.6.6.6")]);
        assert_eq!((client.ip, client.source), ("10.0.0.1".parse().unwrap(), AddressSource::Socket));
        let client = found(ProxyHeader::Forwarded, "10.0.0.1", &[("x-forwarded-for", "6.6.6.6")]);
        assert_eq!((client.ip, client.source), ("10.0.0.1".parse().unwrap(), AddressSource::Socket));
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_spells_it() {
        for element in [
            "for=192.0.2.7",
            "For=192.0.2.7",
            "for=\"192.0.2.7:4711\"",
            "proto=https;for=192.0.2.7;by=203.0.113.43;host=a.example",
            "for=192.0.2.7 ; proto=https",
            ";for=192.0.2.7;;",
            "for=\"[::ffff:192.0.2.7]\";proto=https",
        ] {
            check_forwarded(&[element], "192.0.2.7 forwarded");
            check_forwarded(&[&format!("for=6.6.6.6, {element}, for=10.0.0.2;by=\"_b\"")], "192.0.2.7 forwarded");
        }
        check_forwarded(&["for=\"[2001:db8::1]:4711\""], "2001:db8::1 forwarded");
        check_forwarded(&["for=\"[2001:db8::1]\"", "for=10.0.0.2"], "2001:db8::1 forwarded");
    }

    #[test]
    fn forwarded_that_cannot_be_read_ends_the_walk() {
        for broken in [
            "for=unknown",
            "for=_hidden",
            "for=\"_SEVKISEK\"",
            "for=",
            "for",
            "by=192.0.2.8",
            "for=192.0.2.8;for=192.0.2.9",
            "for=192.0.2.8;FOR=192.0.2.8",
            "for=\"192.0.2.8",
            "for=192.0.2.8\"",
            "for=\"192.0.2\\.8\"",
            "for=2001:db8::1",
            "for=\"2001:db8::1\"",
            "192.0.2.8",
            "for =192.0.2.8",
            "for= 192.0.2.8",
            ";",
            "for=192.0.2.8;by=\"a;b\"",
            "for=192.0.2.8;by",
            "=192.0.2.8",
        ] {
            check_forwarded(&[&format!("for=6.6.6.6, {broken}")], "10.0.0.1 forwarded_broken");
        }
    }

    #[test]
    fn a_quote_that_is_opened_on_the_left_swallows_nothing_on_the_right() {
        check_forwarded(&["for=\"6.6.6.6, for=192.0.2.7"], "192.0.2.7 forwarded");
        check_forwarded(&["by=\"a", "for=192.0.2.7;by=\"b\""], "192.0.2.7 forwarded");
        // Not even what would be whole together with it.
        check_forwarded(&["by=\"a, b\";for=6.6.6.6"], "10.0.0.1 forwarded_broken");
    }
}
