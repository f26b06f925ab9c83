//! What a TLS server shows to a stranger: gathered by asking, or from a configuration.
//!
//! Every value says what was seen. What was not looked at is `None`, and whoever grades takes it neither for good nor for bad.

use super::suites::Suite;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    Ssl3,
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl Version {
    /// From the oldest.
    pub const ALL: [Self; 5] = [Self::Ssl3, Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// What people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssl3 => "SSL 3",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }

    /// Its number on the wire.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::Ssl3 => 0x0300,
            Self::Tls10 => 0x0301,
            Self::Tls11 => 0x0302,
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }
}

/// A version that the server accepts, with the suites that it takes there in the order in which it took them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub version: Version,
    pub suites: Vec<Suite>,
    /// Whether the server's preference counts. `None`: not to be told, as where it takes only one.
    pub server_prefers: Option<bool>,
}

/// How keys are agreed on with one kind of group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Its number on the wire (IANA, TLS Supported Groups).
    pub id: u16,
    pub name: &'static str,
    /// What it is worth, as bits of a curve's field. The post-quantum ones count as the curve beside them.
    pub curve_bits: u16,
}

/// All groups that we know of, the usual ones first.
pub const GROUPS: [Group; 15] = [
    Group { id: 0x11ec, name: "X25519MLKEM768", curve_bits: 256 },
    Group { id: 0x11eb, name: "SecP256r1MLKEM768", curve_bits: 256 },
    Group { id: 0x11ed, name: "SecP384r1MLKEM1024", curve_bits: 384 },
    Group { id: 0x001d, name: "X25519", curve_bits: 256 },
    Group { id: 0x0017, name: "secp256r1", curve_bits: 256 },
    Group { id: 0x0018, name: "secp384r1", curve_bits: 384 },
    Group { id: 0x0019, name: "secp521r1", curve_bits: 521 },
    Group { id: 0x001e, name: "X448", curve_bits: 448 },
    Group { id: 0x001a, name: "brainpoolP256r1", curve_bits: 256 },
    Group { id: 0x001b, name: "brainpoolP384r1", curve_bits: 384 },
    Group { id: 0x001c, name: "brainpoolP512r1", curve_bits: 512 },
    Group { id: 0x0016, name: "secp256k1", curve_bits: 256 },
    Group { id: 0x0015, name: "secp224r1", curve_bits: 224 },
    Group { id: 0x0013, name: "secp192r1", curve_bits: 192 },
    Group { id: 0x0010, name: "secp160r1", curve_bits: 160 },
];

impl Group {
    /// The group of a number, where we know it.
    #[must_use]
    pub fn of(id: u16) -> Option<Self> {
        GROUPS.into_iter().find(|group| group.id == id)
    }
}

/// A certificate's public key, with its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey {
    Rsa(usize),
    /// Elliptic curves, those of Edwards too.
    Ec(usize),
    /// One that we do not know; its worth is not judged.
    Other,
}

/// The hash under a certificate's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureHash {
    /// MD2 or MD5: anybody can make another certificate with the same signature.
    Md5,
    Sha1,
    /// SHA-2 or better.
    Strong,
    Other,
}

/// Whether a client has reason to believe the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By the authorities that were given, or the system's.
    Trusted,
    /// Its issuer vouches for itself alone.
    SelfSigned,
    /// Nobody whom we trust has issued it, or a certificate between is missing.
    UnknownIssuer,
    /// Something else of the chain does not hold: a signature, a purpose, a constraint.
    Broken,
    /// Nobody asked.
    Unasked,
}

/// One chain that the server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    pub key: PublicKey,
    /// The weakest under which a certificate of the chain stands, but for that of an authority that signs itself.
    pub hash: SignatureHash,
    /// Unix seconds; of the whole chain the time in which all are valid.
    pub begins: i64,
    pub ends: i64,
    /// The names for which it speaks, as it spells them.
    pub names: Vec<String>,
    /// Whether one of these is the name that was asked for. `None`: there was none.
    pub covers_name: Option<bool>,
    pub trust: Trust,
    /// Whether it names somebody who says that it still holds (OCSP, RFC 6960).
    pub names_responder: bool,
}

/// What the server said about HTTP Strict Transport Security.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HstsFacts {
    /// No answer over HTTPS could be had.
    Unknown,
    Absent,
    /// Browsers ignore what they cannot read, and all but the first.
    Malformed,
    Says {
        max_age_seconds: u64,
        include_subdomains: bool,
        preload: bool,
    },
}

/// All that is known of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// From the newest version; none where nothing was accepted.
    pub offers: Vec<Offer>,
    pub groups: Vec<Group>,
    /// Bits of the smallest finite-field group that the server chose.
    pub dh_bits: Option<usize>,
    /// Whether it compresses before it encrypts (CVE-2012-4929).
    pub compresses: Option<bool>,
    /// Whether a renegotiation is bound to its connection (RFC 5746). `None`: TLS 1.3 alone, which has none.
    pub renegotiates_safely: Option<bool>,
    /// Whether a downgraded second try is refused (RFC 7507). `None`: there is nothing to downgrade from, or it was not asked.
    pub refuses_fallback: Option<bool>,
    /// Whether it staples a proof of its certificate's standing.
    pub staples: Option<bool>,
    /// What it picked of `h2` and `http/1.1`.
    pub alpn: Option<String>,
    pub certificates: Vec<CertificateFacts>,
    pub hsts: HstsFacts,
    /// The moment of looking, Unix seconds.
    pub at: i64,
    /// Questions to which no answer came in time, so that something may be missing above.
    pub unanswered: usize,
}

impl Facts {
    /// The suites of all versions, each once.
    #[must_use]
    pub fn suites(&self) -> Vec<Suite> {
        let mut suites: Vec<Suite> = self.offers.iter().flat_map(|offer| offer.suites.iter().copied()).collect();
        suites.sort_unstable();
        suites.dedup();
        suites
    }

    /// What is accepted of one version.
    #[must_use]
    pub fn offer(&self, version: Version) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.version == version)
    }
}
