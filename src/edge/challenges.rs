//! Challenges under way: what a certificate authority finds when it looks whether a name is ours (RFC 8555 §8).
//!
//! They are put here for the moments that one order takes. Neither kind reaches a route: a certificate for `acme-tls/1` is shown to a hello
//! that offers nothing else, after which the connection ends; a text is told by the plain listener at its one path.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::tls::provider;

/// The protocol of the challenge on a TLS listener (RFC 8737 §6.2).
pub(super) const ACME_TLS: &[u8] = b"acme-tls/1";

/// Where the plain listener tells a text (RFC 8555 §8.3).
const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

/// Challenges under way at one time: those of one order.
pub const CHALLENGES_MAX: usize = 100;

/// The longest token and text of a challenge; real ones have less than 100 bytes.
pub const CHALLENGE_BYTES_MAX: usize = 512;

/// The challenges under way, shared by all listeners.
#[derive(Default)]
pub struct Challenges {
    open: Mutex<HashMap<Key, Told>>,
    on_tls: AtomicBool,
    looks: AtomicU64,
}

/// What an authority asks by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// The name that a hello asks for.
    ServerName(String),
    /// The token in a path.
    Token(String),
}

/// What it is told.
enum Told {
    Certificate(Arc<CertifiedKey>),
    /// To whoever asks at this host.
    Text {
        host: String,
        text: String,
    },
}

/// Why a challenge cannot be put here.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    #[error("a token of a challenge is not base64url, or too long")]
    Token,
    #[error("more than {CHALLENGES_MAX} challenges at one time")]
    TooMany,
    #[error("the certificate of a challenge cannot be made")]
    Certificate,
}

/// A challenge under way; it ends with this.
#[must_use]
pub struct OpenChallenge {
    challenges: Arc<Challenges>,
    key: Key,
}

impl Drop for OpenChallenge {
    fn drop(&mut self) {
        self.challenges.open().remove(&self.key);
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").field("open", &self.open().len()).finish()
    }
}

impl Challenges {
    /// Whether TLS listeners speak the challenge's protocol, from the next time on that their certificates are replaced. A listener that
    /// orders nothing refuses it like any other that is not HTTP.
    pub fn expect_on_tls(&self, expected: bool) {
        self.on_tls.store(expected, Ordering::Release);
    }

    /// How often somebody was shown or told one, since the start. None while an order was under way: the authority never came this far.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    fn looked<T>(&self, shown: T) -> T {
        self.looks.fetch_add(1, Ordering::Relaxed);
        shown
    }

    pub(super) fn are_expected_on_tls(&self) -> bool {
        self.on_tls.load(Ordering::Acquire)
    }

    /// Shows a certificate for `name` that proves knowledge of the key authorization, whose SHA-256 this is (RFC 8737 §3).
    ///
    /// # Errors
    ///
    /// [`ChallengeError::TooMany`], [`ChallengeError::Certificate`].
    pub fn show(self: &Arc<Self>, name: &str, digest: &[u8; 32]) -> Result<OpenChallenge, ChallengeError> {
        let certificate = challenge_certificate(name, digest).map_err(|_| ChallengeError::Certificate)?;
        self.put(Key::ServerName(name.to_owned()), Told::Certificate(Arc::new(certificate)))
    }

    /// Tells whoever asks for `token` at `host` over plain HTTP this key authorization.
    ///
    /// # Errors
    ///
    /// [`ChallengeError::Token`], [`ChallengeError::TooMany`].
    pub fn tell(
        self: &Arc<Self>,
        host: &str,
        token: &str,
        key_authorization: &str,
    ) -> Result<OpenChallenge, ChallengeError> {
        // RFC 8555 §8.3: base64url and nothing else. It becomes part of a path.
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !is_token(token) || token.len().max(key_authorization.len()) > CHALLENGE_BYTES_MAX {
            return Err(ChallengeError::Token);
        }
        let text = Told::Text { host: host.to_owned(), text: key_authorization.to_owned() };
        self.put(Key::Token(token.to_owned()), text)
    }

    fn put(self: &Arc<Self>, key: Key, told: Told) -> Result<OpenChallenge, ChallengeError> {
        let mut open = self.open();
        if open.len() >= CHALLENGES_MAX && !open.contains_key(&key) {
            return Err(ChallengeError::TooMany);
        }
        open.insert(key.clone(), told);
        Ok(OpenChallenge { challenges: Arc::clone(self), key })
    }

    /// The certificate for a hello that is one of a challenge. Without a challenge for that name there is none, and the handshake ends.
    pub(super) fn certificate(&self, server_name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let key = Key::ServerName(server_name?.to_ascii_lowercase());
        match self.open().get(&key)? {
            Told::Certificate(certificate) => Some(self.looked(Arc::clone(certificate))),
            Told::Text { .. } => None,
        }
    }

    /// The text at a path of the plain listener.
    pub(super) fn text(&self, host: &str, path: &str) -> Option<String> {
        let token = path.strip_prefix(WELL_KNOWN)?;
        match self.open().get(&Key::Token(token.to_owned()))? {
            Told::Text { host: of, text } => (of == host).then(|| self.looked(text.clone())),
            Told::Certificate(_) => None,
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Key, Told>> {
        // It is whole at every moment.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a hello that offers the challenge's protocol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It speaks of no challenge.
    None,
    /// The challenge's protocol alone (RFC 8737 §3).
    Alone,
    /// Among others: no authority does that.
    Mixed,
}

impl Offer {
    pub(super) fn of(hello: &ClientHello<'_>) -> Self {
        let Some(protocols) = hello.alpn() else { return Self::None };
        let (mut ours, mut others) = (0_usize, 0_usize);
        for protocol in protocols {
            if protocol == ACME_TLS { ours += 1 } else { others += 1 }
        }
        match (ours, others) {
            (0, _) => Self::None,
            (1, 0) => Self::Alone,
            (_, _) => Self::Mixed,
        }
    }
}

/// A certificate that signs itself and says the digest in its critical extension `acmeIdentifier`. Its key lives as long as the challenge.
fn challenge_certificate(name: &str, digest: &[u8; 32]) -> Result<CertifiedKey, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate: CertificateDer<'static> = params.self_signed(&key)?.into();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider().key_provider.load_private_key(key).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    Ok(CertifiedKey::new(vec![certificate], key))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    use super::*;

    const DIGEST: [u8; 32] = [7; 32];

    #[test]
    fn the_certificate_is_for_one_name_and_says_the_digest_critically() {
        let challenges = Arc::new(Challenges::default());
        let open = challenges.show("chat.example", &DIGEST).expect("shown");
        assert!(challenges.certificate(Some("other.example")).is_none() && challenges.certificate(None).is_none());
        let shown = challenges.certificate(Some("Chat.Example")).expect("a certificate");
        let [der] = shown.cert.as_slice() else { panic!("one certificate") };
        let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
        let mut identifiers =
            certificate.extensions().iter().filter(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
        let identifier = identifiers.next().expect("acmeIdentifier");
        assert!(identifier.critical && identifiers.next().is_none());
        assert_eq!(identifier.value, [&[4, 32][..], &DIGEST].concat(), "an octet string of 32 bytes");
        let names = certificate.subject_alternative_name().expect("readable").expect("there");
        assert_eq!(names.value.general_names, [GeneralName::DNSName("chat.example")]);
        assert_eq!(challenges.looks(), 1);
        drop(open);
        assert!(challenges.certificate(Some("chat.example")).is_none(), "it ends with the challenge");
    }

    #[test]
    fn a_text_is_told_at_one_path_and_one_host() {
        let challenges = Arc::new(Challenges::default());
        let open = challenges.tell("chat.example", "to-ken_1", "to-ken_1.thumb").expect("told");
        let at = |host: &str, path: &str| challenges.text(host, path);
        assert_eq!(at("chat.example", "/.well-known/acme-challenge/to-ken_1").as_deref(), Some("to-ken_1.thumb"));
        for (host, path) in [
            ("other.example", "/.well-known/acme-challenge/to-ken_1"),
            ("chat.example", "/.well-known/acme-challenge/to-ken_2"),
            ("chat.example", "/.well-known/acme-challenge/to-ken_1/"),
            ("chat.example", "/.well-known/acme-challenge/"),
            ("chat.example", "/.Well-Known/acme-challenge/to-ken_1"),
            ("chat.example", "to-ken_1"),
        ] {
            assert_eq!(at(host, path), None, "{host} {path}");
        }
        assert!(challenges.certificate(Some("to-ken_1")).is_none());
        drop(open);
        assert_eq!(at("chat.example", "/.well-known/acme-challenge/to-ken_1"), None);
    }

    #[test]
    fn what_an_authority_says_is_no_path_and_not_without_end() {
        let challenges = Arc::new(Challenges::default());
        for token in ["", "a/b", "..", "a%2f", "a b", &"a".repeat(CHALLENGE_BYTES_MAX + 1)] {
            assert!(matches!(challenges.tell("a.example", token, "x"), Err(ChallengeError::Token)), "{token}");
        }
        let open: Vec<_> =
            (0..CHALLENGES_MAX).map(|at| challenges.tell("a.example", &at.to_string(), "x").expect("told")).collect();
        assert!(matches!(challenges.tell("a.example", "more", "x"), Err(ChallengeError::TooMany)));
        drop(open);
        assert!(challenges.tell("a.example", "more", "x").is_ok());
    }
}
