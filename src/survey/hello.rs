//! A `ClientHello` as no library of today would send it: old versions, weak suites, compression. It is for asking, never for agreeing: there is
//! no key behind it (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2, RFC 6101 §5.6.1.2).

use super::facts::Version;

/// What is offered.
#[derive(Clone, Debug)]
pub(super) struct Hello<'h> {
    pub version: Version,
    pub suites: &'h [u16],
    pub groups: &'h [u16],
    /// A name, never an address (RFC 6066 §3).
    pub server_name: Option<&'h str>,
    /// Whether this is said to be a second try after a failure (RFC 7507).
    pub is_fallback: bool,
    /// Of the client, and for a session that nobody has.
    pub random: [u8; 64],
}

/// `TLS_FALLBACK_SCSV`, and what it is answered with.
const FALLBACK: u16 = 0x5600;
/// `TLS_EMPTY_RENEGOTIATION_INFO_SCSV`, for SSL 3, which has no extensions.
const RENEGOTIATION: u16 = 0x00ff;

/// What certificates may be signed with: everything, so that weak ones are shown too.
const SIGNATURES: [u16; 16] = [
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601,
    0x0203, 0x0201,
];

impl Hello<'_> {
    /// The record with the message.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let is_tls13 = self.version == Version::Tls13;
        // TLS 1.3 says 1.2 here, and what it means in an extension (RFC 8446 §4.2.1).
        let version = self.version.number().min(Version::Tls12.number());
        let (random, session) = self.random.split_at(32);
        let mut hello = Bytes::default();
        hello.u16(version);
        hello.raw(random);
        hello.within_u8(|bytes| bytes.raw(if is_tls13 { session } else { &[] }));
        hello.within_u16(|bytes| {
            self.suites.iter().for_each(|suite| bytes.u16(*suite));
            if self.version == Version::Ssl3 {
                bytes.u16(RENEGOTIATION);
            }
            if self.is_fallback {
                bytes.u16(FALLBACK);
            }
        });
        // DEFLATE first (RFC 3749), where it exists: whoever takes it would compress secrets.
        hello.within_u8(|bytes| bytes.raw(if is_tls13 { &[0] } else { &[1, 0] }));
        if self.version != Version::Ssl3 {
            hello.within_u16(|bytes| self.extensions(bytes));
        }
        let mut message = Bytes::default();
        message.raw(&[1, 0]);
        message.within_u16(|bytes| bytes.raw(&hello.0));
        let mut record = Bytes::default();
        record.raw(&[22]);
        // What servers of all times take in a first record.
        record.u16(version.min(Version::Tls10.number()));
        record.within_u16(|bytes| bytes.raw(&message.0));
        record.0
    }

    fn extensions(&self, bytes: &mut Bytes) {
        let is_tls13 = self.version == Version::Tls13;
        if let Some(name) = self.server_name {
            bytes.extension(0, |bytes| {
                bytes.within_u16(|bytes| {
                    bytes.raw(&[0]);
                    bytes.within_u16(|bytes| bytes.raw(name.as_bytes()));
                });
            });
        }
        bytes.extension(5, |bytes| bytes.raw(&[1, 0, 0, 0, 0]));
        bytes.extension(10, |bytes| bytes.within_u16(|bytes| self.groups.iter().for_each(|group| bytes.u16(*group))));
        bytes.extension(11, |bytes| bytes.raw(&[1, 0]));
        if self.version >= Version::Tls12 {
            bytes.extension(13, |bytes| {
                bytes.within_u16(|bytes| SIGNATURES.iter().for_each(|scheme| bytes.u16(*scheme)));
            });
        }
        bytes.extension(16, |bytes| {
            bytes.within_u16(|bytes| {
                for protocol in [&b"h2"[..], b"http/1.1"] {
                    bytes.within_u8(|bytes| bytes.raw(protocol));
                }
            });
        });
        if is_tls13 {
            bytes.extension(43, |bytes| bytes.within_u8(|bytes| bytes.u16(Version::Tls13.number())));
            bytes.extension(45, |bytes| bytes.raw(&[1, 1]));
            // No share at all: the server answers which suite and group it would take, and nobody computes anything (RFC 8446 §4.2.8).
            bytes.extension(51, |bytes| bytes.u16(0));
        } else {
            // Without it, servers that are careful take no session at all (RFC 7627).
            bytes.extension(23, |_| {});
            bytes.extension(0xff01, |bytes| bytes.raw(&[0]));
        }
    }
}

/// Bytes with lengths in front. Nothing here comes near 64 KiB: 255 suites, 16 groups, a name of 253 bytes.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn u16(&mut self, number: u16) {
        self.raw(&number.to_be_bytes());
    }

    fn within_u8(&mut self, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.raw(&[u8::try_from(inner.0.len()).unwrap_or(u8::MAX)]);
        self.raw(&inner.0);
    }

    fn within_u16(&mut self, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fill(&mut inner);
        self.u16(u16::try_from(inner.0.len()).unwrap_or(u16::MAX));
        self.raw(&inner.0);
    }

    fn extension(&mut self, number: u16, fill: impl FnOnce(&mut Self)) {
        self.u16(number);
        self.within_u16(fill);
    }
}

#[cfg(test)]
mod tests {
    use rustls::server::Acceptor;

    use super::*;

    fn hello(version: Version, suites: &[u16]) -> Vec<u8> {
        let groups = [0x001d, 0x0017];
        let server_name = Some("gateway.example");
        Hello { version, suites, groups: &groups, server_name, is_fallback: false, random: [7; 64] }.to_bytes()
    }

    #[test]
    fn a_server_of_today_reads_what_was_meant() {
        for (version, suites) in [(Version::Tls12, &[0xc02b_u16, 0xc02f][..]), (Version::Tls13, &[0x1301, 0x1302])] {
            let mut acceptor = Acceptor::default();
            acceptor.read_tls(&mut hello(version, suites).as_slice()).expect("read");
            let accepted = acceptor.accept().unwrap_or_else(|(error, _)| panic!("{error}")).expect("whole");
            let read = accepted.client_hello();
            assert_eq!(read.server_name(), Some("gateway.example"));
            let read_suites: Vec<u16> = read.cipher_suites().iter().map(|suite| u16::from(*suite)).collect();
            assert_eq!(read_suites, suites);
            let alpn: Vec<&[u8]> = read.alpn().expect("protocols").collect();
            assert_eq!(alpn, [&b"h2"[..], b"http/1.1"]);
        }
    }

    #[test]
    fn ssl_3_has_no_extensions_and_an_old_record() {
        let bytes = hello(Version::Ssl3, &[0x0005]);
        assert_eq!(&bytes[..3], [22, 3, 0]);
        assert_eq!(&bytes[9..11], [3, 0]);
        // The version, the random, no session, two suites with the length in front, two ways to compress.
        assert_eq!(bytes.len(), 9 + 2 + 32 + 1 + 2 + 4 + 3);
    }
}
