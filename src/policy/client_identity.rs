//! Who a client certificate speaks for, as a policy names it.

use std::fmt;

/// Bytes of a SHA-256.
pub const DIGEST_BYTES: usize = 32;

/// One name that a client certificate may have. It has exactly one spelling, and nothing in it stands for anything else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientIdentity {
    /// A DNS name among its alternative names (RFC 5280 §4.2.1.6).
    Dns(String),
    /// A URI among them, such as a SPIFFE ID.
    Uri(String),
    /// An e-mail address among them.
    Email(String),
    /// The SHA-256 of the certificate.
    Certificate([u8; DIGEST_BYTES]),
    /// The SHA-256 of its public key (`SubjectPublicKeyInfo`): it stays with a renewal that keeps the key.
    Key([u8; DIGEST_BYTES]),
}

/// Why a text names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientIdentityError {
    #[error("expected a name of a client certificate")]
    Empty,
    #[error("expected a whole name: nothing stands for another")]
    Wildcard,
    #[error("expected a name without blanks, at most {NAME_BYTES_MAX} bytes")]
    Name,
    #[error("expected a DNS name in lower case, without a dot at its end")]
    Dns,
    #[error("expected 64 hexadecimal digits in lower case, without colons")]
    Digest,
}

/// Alternative names are short.
const NAME_BYTES_MAX: usize = 1024;

const CERTIFICATE: &str = "sha256:";
const KEY: &str = "key-sha256:";

impl TryFrom<&str> for ClientIdentity {
    type Error = ClientIdentityError;

    /// `spiffe://…` and whatever else has a colon is a URI, what has an `@` an e-mail address, `sha256:…` and `key-sha256:…` are digests,
    /// and the rest are DNS names.
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Err(ClientIdentityError::Empty);
        }
        if text.len() > NAME_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ClientIdentityError::Name);
        }
        if let Some(hex) = text.strip_prefix(CERTIFICATE) {
            return digest(hex).map(Self::Certificate);
        }
        if let Some(hex) = text.strip_prefix(KEY) {
            return digest(hex).map(Self::Key);
        }
        if text.contains('*') {
            return Err(ClientIdentityError::Wildcard);
        }
        if text.contains(':') {
            return Ok(Self::Uri(text.to_owned()));
        }
        if text.contains('@') {
            return Ok(Self::Email(text.to_owned()));
        }
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        };
        if text.split('.').all(is_label) { Ok(Self::Dns(text.to_owned())) } else { Err(ClientIdentityError::Dns) }
    }
}

fn digest(hex: &str) -> Result<[u8; DIGEST_BYTES], ClientIdentityError> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = hex.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    let bytes = pairs.collect::<Option<Vec<u8>>>().ok_or(ClientIdentityError::Digest)?;
    bytes.try_into().map_err(|_| ClientIdentityError::Digest)
}

impl fmt::Display for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, digest) = match self {
            Self::Dns(name) | Self::Uri(name) | Self::Email(name) => return f.write_str(name),
            Self::Certificate(digest) => (CERTIFICATE, digest),
            Self::Key(digest) => (KEY, digest),
        };
        f.write_str(prefix)?;
        digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<ClientIdentity, ClientIdentityError>) {
        let found = ClientIdentity::try_from(text);
        assert_eq!(found, expected, "{text}");
        if let Ok(identity) = found {
            assert_eq!(identity.to_string(), text, "it has one spelling");
        }
    }

    #[test]
    fn a_name_says_by_its_form_what_it_is() {
        use ClientIdentity::{Certificate, Dns, Email, Key, Uri};
        check("billing.acme.example", Ok(Dns("billing.acme.example".into())));
        check("billing", Ok(Dns("billing".into())));
        check("spiffe://acme/backend", Ok(Uri("spiffe://acme/backend".into())));
        check("urn:uuid:1", Ok(Uri("urn:uuid:1".into())));
        check("ops@acme.example", Ok(Email("ops@acme.example".into())));
        check(&format!("sha256:{}", "0f".repeat(32)), Ok(Certificate([0x0f; 32])));
        check(&format!("key-sha256:{}", "a0".repeat(32)), Ok(Key([0xa0; 32])));
    }

    #[test]
    fn what_could_mean_several_or_nobody_is_refused() {
        check("", Err(ClientIdentityError::Empty));
        check("*.acme.example", Err(ClientIdentityError::Wildcard));
        check("spiffe://acme/*", Err(ClientIdentityError::Wildcard));
        check("Billing.acme.example", Err(ClientIdentityError::Dns));
        check("billing.acme.example.", Err(ClientIdentityError::Dns));
        check("billing acme", Err(ClientIdentityError::Name));
        check("b\u{fc}cher.example", Err(ClientIdentityError::Name));
        check(&"a".repeat(NAME_BYTES_MAX + 1), Err(ClientIdentityError::Name));
        check("sha256:", Err(ClientIdentityError::Digest));
        check(&format!("sha256:{}", "0F".repeat(32)), Err(ClientIdentityError::Digest));
        check(&format!("sha256:{}", "0f".repeat(31)), Err(ClientIdentityError::Digest));
        check(&format!("sha256:{}0", "0f".repeat(31)), Err(ClientIdentityError::Digest));
        check(&format!("key-sha256:{}", "0f".repeat(33)), Err(ClientIdentityError::Digest));
    }
}
