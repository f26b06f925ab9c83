//! `X-Forwarded-For` and `Forwarded`, as a client may write them through trusted proxies: the address is the connection's own or stands in the
//! header, and what is added on the left changes nothing.
//!
//! The first byte says which header, and from whom; each line is one of its lines.
#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use countersign::edge::{AddressSource, ClientAddress};
use countersign::policy::{Network, ProxyHeader, TrustedProxies};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

static TRUSTED: LazyLock<[TrustedProxies; 2]> = LazyLock::new(|| {
    [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded].map(|header| {
        let networks = ["10.0.0.0/8", "2001:db8:f::/48"].map(|text| Network::try_from(text).expect("a network"));
        TrustedProxies { networks: networks.into_iter().collect(), header }
    })
});

const NAMES: [&str; 2] = ["x-forwarded-for", "forwarded"];
const LEFT: [&str; 2] = ["6.6.6.6", "for=6.6.6.6"];

fn headers(name: &'static str, lines: &[Vec<u8>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_bytes(line).ok()?);
    }
    Some(headers)
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let which = usize::from(kind & 1);
    let (trusted, name) = (&TRUSTED[which], NAMES[which]);
    let socket: IpAddr = if kind & 2 == 0 { [10, 0, 0, 1] } else { [192, 0, 2, 1] }.into();
    let connection = ClientAddress { ip: socket, source: AddressSource::Socket };
    let lines: Vec<Vec<u8>> = rest.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let Some(map) = headers(name, &lines) else { return };
    let found = ClientAddress::find(connection, &map, Some(trusted));
    assert!(!matches!(found.ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()));
    if !trusted.networks.contain(socket) {
        assert_eq!(found, connection);
        return;
    }
    // It stands there, or nobody said it.
    let is_said = lines.iter().any(|line| {
        let text = String::from_utf8_lossy(line);
        // An address may stand before a port.
        let spelled = |word: &str| {
            let cut = word.rsplit_once(':').map_or(word, |(address, _)| address);
            [word, cut].iter().any(|word| word.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical() == found.ip))
        };
        text.split(|char: char| !char.is_ascii_hexdigit() && char != ':' && char != '.' && char != '_')
            .any(|word| spelled(word.split('_').next().unwrap_or_default()) || spelled(word))
    });
    assert!(found.ip == socket || is_said, "{found:?}");
    // An untrusted client, or a broken element, is where the walk ends.
    let is_broken = matches!(found.source, AddressSource::XForwardedForBroken | AddressSource::ForwardedBroken);
    if is_broken || !trusted.networks.contain(found.ip) {
        let mut more = lines.clone();
        more[0] = [LEFT[which].as_bytes(), b",", &lines[0]].concat();
        let map = headers(name, &more).expect("headers");
        assert_eq!(ClientAddress::find(connection, &map, Some(trusted)), found);
        more.insert(0, LEFT[which].as_bytes().to_vec());
        let map = headers(name, &more).expect("headers");
        assert_eq!(ClientAddress::find(connection, &map, Some(trusted)), found);
    }
});
