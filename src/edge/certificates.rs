//! Certificates: from PEM files to something that can be shown, or the reason why not.
//!
//! A pair that does not belong together, or whose time is not now, never starts and never replaces a good one. One whose time ends while it
//! is shown is shown still.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

pub use super::certificate_error::CertificateError;
use super::certificate_names::CertificateNames;
use super::chain::{Facts, read_chain};
use super::ocsp::Staple;
use super::pem_file;
use super::private_file::PrivateFile;
use super::regular_file::{self, PEM_BYTES_MAX};
use super::tls::provider;
use crate::clock::UnixSeconds;
use crate::policy::CertificateSource;

/// One certificate chain with its key. The two belong together, and every certificate of the chain was valid when it was first
/// loaded.
#[derive(Clone)]
pub struct Certificate {
    /// Replaced when the issuer's word of it is renewed.
    key: Arc<ArcSwap<CertifiedKey>>,
    facts: Arc<Facts>,
    source: PathBuf,
    /// The file of its key, where group or world could read it when it was loaded.
    open_key: Option<PathBuf>,
}

/// The certificates of one listener, the first of which is shown to clients that name no server. There is at least one, unless one is
/// [awaited](Self::awaited).
#[derive(Clone, Debug)]
pub struct Certificates {
    first: Option<Certificate>,
    others: Vec<Certificate>,
}

impl Certificates {
    /// Loads all `sources`.
    ///
    /// # Errors
    ///
    /// Every mistake of every source.
    pub fn load(sources: &[CertificateSource], now: UnixSeconds) -> Result<Self, Vec<CertificateError>> {
        let (mut loaded, mut errors) = (Vec::new(), Vec::new());
        for source in sources {
            match Certificate::load(source, now) {
                Ok(certificate) => loaded.push(certificate),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Self::new(loaded).map_err(|error| vec![error])
    }

    /// The certificates in their order.
    ///
    /// # Errors
    ///
    /// [`CertificateError::None`].
    pub fn new(certificates: Vec<Certificate>) -> Result<Self, CertificateError> {
        let mut certificates = certificates.into_iter();
        let first = certificates.next().ok_or(CertificateError::None)?;
        Ok(Self { first: Some(first), others: certificates.collect() })
    }

    /// None yet: those that were ordered are still to come, and nobody's handshake ends well until then.
    #[must_use]
    pub fn awaited() -> Self {
        Self { first: None, others: Vec::new() }
    }

    /// Whether there is none to show.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.first.is_none()
    }

    /// All of them, the first first.
    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.first.iter().chain(&self.others)
    }

    /// The certificate for a server name: the first that names it, else the first with a star for it; without a name the first of all. A
    /// name that none has gets none.
    #[must_use]
    pub fn find(&self, server_name: Option<&str>) -> Option<&Certificate> {
        match server_name {
            Some(name) => {
                let name = name.to_ascii_lowercase();
                // In whatever order the policy lists them: who has a certificate of its own is not shown another's.
                let named = self.iter().find(|certificate| certificate.names().name(&name));
                named.or_else(|| self.iter().find(|certificate| certificate.names().cover(&name)))
            }
            None => self.first.as_ref(),
        }
    }

    /// The certificate for a server name and a client that can verify these signatures: that of [`find`](Self::find), or where such a
    /// client could not verify it, the first that speaks for all of its names and that it can verify (RSA beside ECDSA).
    pub(super) fn pick(&self, server_name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Certificate> {
        let found = self.find(server_name)?;
        if found.signs_by(schemes) {
            return Some(found);
        }
        let mut stand_ins = self.iter().filter(|other| other.names().cover_all(found.names()));
        // Where there is none the handshake ends, and the alert says why.
        stand_ins.find(|other| other.signs_by(schemes)).or(Some(found))
    }

    /// Those that no client sees: whatever name it asks for, another comes first that it can verify as well.
    pub fn never_shown(&self) -> impl Iterator<Item = &Certificate> {
        let schemes: Vec<SignatureScheme> =
            provider().signature_verification_algorithms.mapping.iter().map(|(scheme, _)| *scheme).collect();
        self.iter().filter(move |certificate| {
            let is_seen = |name: Option<&str>| {
                schemes.iter().any(|scheme| {
                    let picked = self.pick(name, &[*scheme]);
                    picked
                        .is_some_and(|picked| picked.signs_by(&[*scheme]) && Arc::ptr_eq(&picked.key, &certificate.key))
                })
            };
            !is_seen(None) && !certificate.names().examples().any(|name| is_seen(Some(&name)))
        })
    }
}

impl Certificate {
    /// Loads a chain and its key from files.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub fn load(source: &CertificateSource, now: UnixSeconds) -> Result<Self, CertificateError> {
        let certificate = Self::open(source)?;
        certificate.facts.hold(&source.certificate, now)?;
        Ok(certificate)
    }

    /// The same, but a pair of `shown` whose time has ended meanwhile is as welcome as it was. Clients see it either way: to refuse it would
    /// only keep from them whatever else is new.
    ///
    /// # Errors
    ///
    /// As [`Certificate::load`].
    pub fn load_again(
        source: &CertificateSource,
        shown: &Certificates,
        now: UnixSeconds,
    ) -> Result<Self, CertificateError> {
        let certificate = Self::open(source)?;
        match certificate.facts.hold(&source.certificate, now) {
            Ok(()) => Ok(certificate),
            // The key is that of the chain, so the chain alone tells the pair.
            Err(CertificateError::Expired { .. })
                if shown.iter().any(|shown| shown.key.load().cert == certificate.key.load().cert) =>
            {
                Ok(certificate)
            }
            Err(error) => Err(error),
        }
    }

    /// Whenever its time is.
    fn open(source: &CertificateSource) -> Result<Self, CertificateError> {
        let unread = |path: &Path| {
            let path = path.to_owned();
            |source| CertificateError::Read { path, source }
        };
        let chain = regular_file::read(&source.certificate, PEM_BYTES_MAX).map_err(unread(&source.certificate))?;
        let key = PrivateFile::open(&source.key).map_err(unread(&source.key))?;
        let is_open = key.mode() & READABLE_BY_OTHERS != 0;
        let pem = key.read(KEY_BYTES_MAX).map_err(unread(&source.key))?;
        let certificate = Self::parse(source, &chain, &pem)?;
        Ok(Self { open_key: is_open.then(|| source.key.clone()), ..certificate })
    }

    /// Reads a chain and its key from PEM; `source` says in errors where they come from.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub fn read(
        source: &CertificateSource,
        chain_pem: &[u8],
        key_pem: &[u8],
        now: UnixSeconds,
    ) -> Result<Self, CertificateError> {
        let certificate = Self::parse(source, chain_pem, key_pem)?;
        certificate.facts.hold(&source.certificate, now)?;
        Ok(certificate)
    }

    fn parse(source: &CertificateSource, chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, CertificateError> {
        let path = || source.certificate.clone();
        let chain = pem_file::certificates(&source.certificate, chain_pem)?;
        let facts = read_chain(&source.certificate, &chain)?;
        let key = pem_file::key(&source.key, key_pem)?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| CertificateError::KeyKind { path: source.key.clone(), source: error })?;
        let key = CertifiedKey::new(chain, key);
        // All keys of our provider can say their public half, so not knowing is a mismatch too.
        key.keys_match().map_err(|_| CertificateError::KeyMismatch { path: path(), key: source.key.clone() })?;
        Ok(Self { key: Arc::new(ArcSwap::from_pointee(key)), facts: Arc::new(facts), source: path(), open_key: None })
    }

    /// Whether it can sign a handshake in one of these ways.
    fn signs_by(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.load().key.choose_scheme(schemes).is_some()
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        self.key.load_full()
    }

    /// The certificates, its own first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.key.load().cert.clone()
    }

    /// Shows the issuer's word that it is good, or none, from the next handshake on, wherever it is shown.
    pub fn staple(&self, staple: Option<&Staple>) {
        let ocsp = staple.map(|staple| staple.response().to_vec());
        self.key.store(Arc::new(CertifiedKey { ocsp, ..(*self.key()).clone() }));
    }

    /// The hosts for which it speaks.
    #[must_use]
    pub fn names(&self) -> &Arc<CertificateNames> {
        &self.facts.names
    }

    /// Whether it says that it is an authority itself. That is no reason to refuse it: most clients that trust such a one accept it.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.facts.is_authority
    }

    /// When the first certificate of the chain to expire does.
    #[must_use]
    pub fn ends(&self) -> UnixSeconds {
        self.facts.ends()
    }

    /// The file of the chain.
    #[must_use]
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The file of its key, where group or world could read it. That is no reason to refuse it: Kubernetes mounts secrets so.
    #[must_use]
    pub fn open_key(&self) -> Option<&Path> {
        self.open_key.as_deref()
    }
}

/// Keys are short; a larger file is another file.
const KEY_BYTES_MAX: usize = 1024 * 1024;

/// Group and world may read.
const READABLE_BY_OTHERS: u32 = 0o044;

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("source", &self.source).field("ends", &self.ends()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::edge::dev_certificates::{DevCertificates, VALID_DAYS, make_dev};

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
    const DAY: i64 = 86_400;

    fn source() -> CertificateSource {
        CertificateSource { certificate: "a.pem".into(), key: "a.key".into() }
    }

    fn made(name: &str) -> DevCertificates {
        make_dev(&[name.to_owned()], NOW).expect("certificates")
    }

    #[track_caller]
    fn check(chain: &str, key: &str, now: i64, expected: &str) {
        let read = Certificate::read(&source(), chain.as_bytes(), key.as_bytes(), UnixSeconds(now));
        let words = read.map_or_else(|error| error.to_string(), |_| "fine".to_owned());
        assert!(words.starts_with(expected), "{words}");
    }

    #[test]
    fn a_pair_is_read_or_the_reason_why_not_is_said() {
        let (a, b) = (made("a.example"), made("b.example"));
        let key = a.key_pem.as_str();
        check(&a.chain_pem, key, NOW.0, "fine");
        check(&a.chain_pem, &b.key_pem, NOW.0, "the key in `a.key` is not that of the first certificate in `a.pem`");
        check("", key, NOW.0, "`a.pem` holds no certificate");
        check(key, key, NOW.0, "`a.pem` holds no certificate");
        check(&a.chain_pem, "", NOW.0, "`a.key` holds no private key");
        check(&a.chain_pem, &a.chain_pem, NOW.0, "`a.key` holds no private key");
        check("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", key, NOW.0, "`a.pem` is not PEM");
        let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        check(empty, key, NOW.0, "certificate 1 of `a.pem` cannot be read");
        check(&a.chain_pem, key, NOW.0 + VALID_DAYS * DAY, "fine");
        check(&a.chain_pem, key, NOW.0 + VALID_DAYS * DAY + 1, "certificate 1 of `a.pem` expired at");
        check(&a.chain_pem, key, NOW.0 - DAY, "certificate 1 of `a.pem` begins only at 2027-01-15T0");
        let strange = format!("{}{}", a.chain_pem, made("c.example").chain_pem);
        check(&strange, key, NOW.0, "certificate 1 of `a.pem` is not issued by the one behind it");
        let whole = format!("{}{}", a.chain_pem, a.ca_pem);
        check(&whole, key, NOW.0, "fine");
    }

    #[test]
    fn what_clients_refuse_is_refused_before_them() {
        let issue = |ca: bool, purposes: &[ExtendedKeyUsagePurpose]| {
            let named = |name: &str| {
                let mut params = CertificateParams::new([name.to_owned()]).expect("parameters");
                params.distinguished_name.push(DnType::CommonName, name);
                params
            };
            let [root_key, key, leaf_key] = [(); 3].map(|()| KeyPair::generate().expect("a key"));
            let mut root = named("root.example");
            root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let mut between = named("between.example");
            between.is_ca = if ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
            let between_pem = between.signed_by(&key, &Issuer::new(root, root_key)).expect("a certificate").pem();
            let mut leaf = named("a.example");
            leaf.extended_key_usages = purposes.to_vec();
            let leaf_pem = leaf.signed_by(&leaf_key, &Issuer::new(between, key)).expect("a certificate").pem();
            (leaf_pem + &between_pem, leaf_key.serialize_pem())
        };
        for (ca, purposes, expected) in [
            (true, &[][..], "fine"),
            (true, &[ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth], "fine"),
            (true, &[ExtendedKeyUsagePurpose::Any], "fine"),
            (true, &[ExtendedKeyUsagePurpose::ClientAuth], "the first certificate of `a.pem` is not for servers"),
            (false, &[ExtendedKeyUsagePurpose::ServerAuth], "certificate 2 of `a.pem` is no authority"),
        ] {
            let (chain, key) = issue(ca, purposes);
            check(&chain, &key, NOW.0, expected);
        }
    }

    #[test]
    fn one_for_itself_that_says_it_is_an_authority_is_taken_and_known_as_such() {
        for (is_ca, is_authority) in
            [(IsCa::Ca(BasicConstraints::Unconstrained), true), (IsCa::ExplicitNoCa, false), (IsCa::NoCa, false)]
        {
            let mut params = CertificateParams::new(["a.example".to_owned()]).expect("parameters");
            params.is_ca = is_ca;
            let key = KeyPair::generate().expect("a key");
            let chain = params.self_signed(&key).expect("a certificate").pem();
            let read = Certificate::read(&source(), chain.as_bytes(), key.serialize_pem().as_bytes(), NOW);
            assert_eq!(read.expect("a certificate").is_authority(), is_authority);
        }
    }

    #[test]
    fn the_server_name_picks_the_certificate() {
        let read = |made: &DevCertificates, path: &str| {
            let source = CertificateSource { certificate: path.into(), key: "key".into() };
            Certificate::read(&source, made.chain_pem.as_bytes(), made.key_pem.as_bytes(), NOW).expect("a certificate")
        };
        let (a, b) = (read(&made("a.example"), "a.pem"), read(&made("b.example"), "b.pem"));
        let certificates = Certificates::new(vec![a, b]).expect("certificates");
        let found = |name| certificates.find(name).map(|certificate| certificate.source().to_owned());
        assert_eq!(found(None), Some("a.pem".into()));
        assert_eq!(found(Some("A.example")), Some("a.pem".into()));
        assert_eq!(found(Some("b.example")), Some("b.pem".into()));
        assert_eq!(found(Some("c.example")), None);
        assert_eq!(certificates.iter().map(|it| it.ends().0).max(), Some(NOW.0 + VALID_DAYS * DAY));
    }

    #[test]
    fn a_certificate_that_names_the_server_comes_before_any_star() {
        let read = |name: &str, path: &str| {
            let (source, made) = (CertificateSource { certificate: path.into(), key: "key".into() }, made(name));
            Certificate::read(&source, made.chain_pem.as_bytes(), made.key_pem.as_bytes(), NOW).expect("a certificate")
        };
        let (star, exact) = (read("*.acme.example", "star.pem"), read("chat.acme.example", "exact.pem"));
        for order in [[star.clone(), exact.clone()], [exact, star]] {
            let first = order[0].source().to_owned();
            let certificates = Certificates::new(order.to_vec()).expect("certificates");
            let found = |name| certificates.find(Some(name)).map(|certificate| certificate.source().to_owned());
            assert_eq!(found("chat.acme.example"), Some("exact.pem".into()));
            assert_eq!(found("CHAT.acme.example"), Some("exact.pem".into()));
            assert_eq!(found("other.acme.example"), Some("star.pem".into()));
            assert_eq!(found("a.chat.acme.example"), None);
            assert_eq!(found("acme.example"), None);
            // Both have it with a star: the order of the policy decides.
            assert_eq!(found("a.localhost"), Some(first));
        }
    }

    #[test]
    fn an_authority_of_the_same_name_is_not_the_issuer() {
        // Made in the same second, they are called alike.
        let (a, b) = (made("a.example"), made("a.example"));
        let chain = format!("{}{}", a.chain_pem, b.ca_pem);
        check(&chain, &a.key_pem, NOW.0, "certificate 1 of `a.pem` is not issued by the one behind it");
    }

    #[test]
    fn a_key_that_group_or_world_can_read_is_loaded_and_known_as_such() {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = made("a.example").write(directory.path()).expect("written");
        let source = CertificateSource { certificate: paths.chain, key: paths.key };
        for (mode, is_open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true)] {
            fs::set_permissions(&source.key, fs::Permissions::from_mode(mode)).expect("mode set");
            let certificate = Certificate::load(&source, NOW).expect("a certificate");
            assert_eq!(certificate.open_key(), is_open.then_some(source.key.as_path()), "{mode:o}");
        }
    }

    #[test]
    fn every_source_that_cannot_be_read_is_named() {
        let errors = Certificates::load(&[source(), source()], NOW).expect_err("no such files");
        assert_eq!(errors.len(), 2);
        assert!(errors.iter().all(|error| error.to_string().starts_with("cannot read `a.pem`")));
        assert!(matches!(Certificates::load(&[], NOW).expect_err("none").as_slice(), [CertificateError::None]));
    }
}
