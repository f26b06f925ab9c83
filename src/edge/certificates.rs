//! Certificates: from PEM files to something that can be shown, or the reason why not.
//!
//! A pair that does not belong together, or whose time is not now, never starts and never replaces a good one.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::certificate_names::CertificateNames;
use super::private_file::PrivateFile;
use super::tls::provider;
use crate::clock::UnixSeconds;
use crate::policy::CertificateSource;

/// One certificate chain with its key. The two belong together, and every certificate of the chain was valid when it was loaded.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Arc<CertificateNames>,
    ends: UnixSeconds,
    source: PathBuf,
    /// The file of its key, where group or world could read it when it was loaded.
    open_key: Option<PathBuf>,
}

/// The certificates of one listener, the first of which is shown to clients that name no server. There is at least one.
#[derive(Clone, Debug)]
pub struct Certificates {
    first: Certificate,
    others: Vec<Certificate>,
}

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("a listener needs a certificate; run `countersign certs dev`")]
    None,
    #[error("cannot read `{}`: {source}; `countersign certs dev` makes one for development", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)", path.display())]
    NoCertificate { path: PathBuf },
    #[error("`{}` holds no private key in PEM (`-----BEGIN PRIVATE KEY-----`)", path.display())]
    NoKey { path: PathBuf },
    #[error("`{}` is not PEM", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("certificate {position} of `{}` cannot be read", path.display())]
    Malformed { path: PathBuf, position: usize },
    #[error("the key in `{}` is of a kind that cannot be used", path.display())]
    KeyKind { path: PathBuf, source: rustls::Error },
    #[error("the key in `{}` is not that of the first certificate in `{}`", key.display(), path.display())]
    KeyMismatch { path: PathBuf, key: PathBuf },
    #[error("certificate {position} of `{}` is not issued by the one behind it", path.display())]
    Chain { path: PathBuf, position: usize },
    #[error("certificate {position} of `{}` expired at {ended} (seconds since 1970)", path.display())]
    Expired { path: PathBuf, position: usize, ended: i64 },
    #[error("certificate {position} of `{}` begins only at {begins} (seconds since 1970)", path.display())]
    NotYet { path: PathBuf, position: usize, begins: i64 },
    #[error("the first certificate of `{}` names no host (subject alternative name)", path.display())]
    NoNames { path: PathBuf },
}

impl CertificateError {
    /// When the certificate begins, where its time is to come: then it may be tried again.
    #[must_use]
    pub fn begins(&self) -> Option<UnixSeconds> {
        match self {
            Self::NotYet { begins, .. } => Some(UnixSeconds(*begins)),
            Self::None
            | Self::Read { .. }
            | Self::NoCertificate { .. }
            | Self::NoKey { .. }
            | Self::Pem { .. }
            | Self::Malformed { .. }
            | Self::KeyKind { .. }
            | Self::KeyMismatch { .. }
            | Self::Chain { .. }
            | Self::Expired { .. }
            | Self::NoNames { .. } => None,
        }
    }
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
        Ok(Self { first, others: certificates.collect() })
    }

    /// All of them, the first first.
    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The certificate for a server name: the first that has it; without a name the first of all. A name that none has gets none.
    #[must_use]
    pub fn find(&self, server_name: Option<&str>) -> Option<&Certificate> {
        match server_name {
            Some(name) => {
                let name = name.to_ascii_lowercase();
                self.iter().find(|certificate| certificate.names.cover(&name))
            }
            None => Some(&self.first),
        }
    }
}

impl Certificate {
    /// Loads a chain and its key from files.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub fn load(source: &CertificateSource, now: UnixSeconds) -> Result<Self, CertificateError> {
        let unread = |path: &Path| {
            let path = path.to_owned();
            |source| CertificateError::Read { path, source }
        };
        let chain = fs::read(&source.certificate).map_err(unread(&source.certificate))?;
        let key = PrivateFile::open(&source.key).map_err(unread(&source.key))?;
        let is_open = key.mode() & READABLE_BY_OTHERS != 0;
        let pem = key.read(KEY_BYTES_MAX).map_err(unread(&source.key))?;
        let certificate = Self::read(source, &chain, &pem, now)?;
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
        let path = || source.certificate.clone();
        let chain = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| CertificateError::Pem { path: path(), source })?;
        let Facts { names, ends } = read_chain(&source.certificate, &chain, now)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|source_error| {
            let path = source.key.clone();
            if matches!(source_error, pem::Error::NoItemsFound) {
                CertificateError::NoKey { path }
            } else {
                CertificateError::Pem { path, source: source_error }
            }
        })?;
        let key = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| CertificateError::KeyKind { path: source.key.clone(), source: error })?;
        let key = CertifiedKey::new(chain, key);
        // All keys of our provider can say their public half, so not knowing is a mismatch too.
        key.keys_match().map_err(|_| CertificateError::KeyMismatch { path: path(), key: source.key.clone() })?;
        Ok(Self { key: Arc::new(key), names: Arc::new(names), ends, source: path(), open_key: None })
    }

    pub(super) fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The chain as it is shown, each certificate in DER, the host's own first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(|certificate| &**certificate)
    }

    /// The hosts for which it speaks.
    #[must_use]
    pub fn names(&self) -> &Arc<CertificateNames> {
        &self.names
    }

    /// When the first certificate of the chain to expire does.
    #[must_use]
    pub fn ends(&self) -> UnixSeconds {
        self.ends
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
        f.debug_struct("Certificate").field("source", &self.source).field("ends", &self.ends).finish_non_exhaustive()
    }
}

struct Facts {
    names: CertificateNames,
    ends: UnixSeconds,
}

fn read_chain(path: &Path, chain: &[CertificateDer<'_>], now: UnixSeconds) -> Result<Facts, CertificateError> {
    let path = || path.to_owned();
    let mut facts: Option<Facts> = None;
    let mut issuer: Option<Vec<u8>> = None;
    for (position, der) in (1..).zip(chain) {
        let malformed = || CertificateError::Malformed { path: path(), position };
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        if issuer.as_deref().is_some_and(|issuer| issuer != certificate.subject().as_raw()) {
            return Err(CertificateError::Chain { path: path(), position: position - 1 });
        }
        issuer = Some(certificate.issuer().as_raw().to_vec());
        let (begins, ends) =
            (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
        if now.0 > ends {
            return Err(CertificateError::Expired { path: path(), position, ended: ends });
        }
        if now.0 < begins {
            return Err(CertificateError::NotYet { path: path(), position, begins });
        }
        match &mut facts {
            None => facts = Some(Facts { names: read_names(&certificate), ends: UnixSeconds(ends) }),
            Some(facts) => facts.ends = facts.ends.min(UnixSeconds(ends)),
        }
    }
    let facts = facts.ok_or_else(|| CertificateError::NoCertificate { path: path() })?;
    if facts.names.is_empty() {
        return Err(CertificateError::NoNames { path: path() });
    }
    Ok(facts)
}

fn read_names(certificate: &X509Certificate<'_>) -> CertificateNames {
    let mut names = CertificateNames::default();
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() else { continue };
        for name in &alternatives.general_names {
            if let GeneralName::DNSName(name) = name {
                names.add_dns(name);
            } else if let GeneralName::IPAddress(octets) = name {
                if let Ok(octets) = <[u8; 4]>::try_from(*octets) {
                    names.add_address(octets.into());
                } else if let Ok(octets) = <[u8; 16]>::try_from(*octets) {
                    names.add_address(octets.into());
                }
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
        check(&a.chain_pem, key, NOW.0 - DAY, "certificate 1 of `a.pem` begins only at");
        let strange = format!("{}{}", a.chain_pem, made("c.example").chain_pem);
        check(&strange, key, NOW.0, "certificate 1 of `a.pem` is not issued by the one behind it");
        let whole = format!("{}{}", a.chain_pem, a.ca_pem);
        check(&whole, key, NOW.0, "fine");
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
