//! Certificates for development: an authority that signs once and is forgotten, and a certificate for this machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::clock::UnixSeconds;

/// What [`make_dev`] makes, all PEM.
pub struct DevCertificates {
    /// For clients to trust. Its key is gone, so nobody can sign anything else with it.
    pub ca_pem: String,
    /// For the listener.
    pub chain_pem: String,
    pub key_pem: zeroize::Zeroizing<String>,
}

/// Where they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevPaths {
    pub ca: PathBuf,
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// For how long the certificate is valid.
pub const VALID_DAYS: i64 = 90;
/// Clocks of other machines may be behind.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Who this machine is to itself.
const LOCAL_NAMES: [&str; 4] = ["localhost", "*.localhost", "127.0.0.1", "::1"];

/// Makes an authority and a certificate for `localhost`, its addresses, and the further `names`: host names, `*.` names or addresses.
///
/// # Errors
///
/// A name that no certificate can hold, or no source of randomness.
pub fn make_dev(names: &[String], now: UnixSeconds) -> Result<DevCertificates, rcgen::Error> {
    // `date_time_ymd` is rcgen's door to the type of its dates, whose default would be 1975 to 4096.
    let seconds = u64::try_from(now.0).unwrap_or(0);
    let now = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let ends = now + Duration::from_secs(VALID_DAYS.unsigned_abs() * 86_400);

    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, format!("Countersign development authority {seconds}"));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (authority.not_before, authority.not_after) = (now - BACKDATED, ends);
    let authority_key = KeyPair::generate()?;
    let ca_pem = authority.self_signed(&authority_key)?.pem();

    let all_names: Vec<String> =
        LOCAL_NAMES.iter().map(|name| (*name).to_owned()).chain(names.iter().cloned()).collect();
    let mut leaf = CertificateParams::new(all_names)?;
    leaf.distinguished_name.push(DnType::CommonName, "Countersign development");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (now - BACKDATED, ends);
    let key = KeyPair::generate()?;
    let chain_pem = leaf.signed_by(&key, &Issuer::new(authority, authority_key))?.pem();
    Ok(DevCertificates { ca_pem, chain_pem, key_pem: zeroize::Zeroizing::new(key.serialize_pem()) })
}

impl DevCertificates {
    /// Writes `dev-ca.pem`, `dev.pem` and `dev-key.pem` into `directory`, over what is there. The key is for its owner alone.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or written.
    pub fn write(&self, directory: &Path) -> io::Result<DevPaths> {
        fs::create_dir_all(directory)?;
        let paths = DevPaths {
            ca: directory.join("dev-ca.pem"),
            chain: directory.join("dev.pem"),
            key: directory.join("dev-key.pem"),
        };
        write_whole(&paths.ca, self.ca_pem.as_bytes(), 0o644)?;
        write_whole(&paths.chain, self.chain_pem.as_bytes(), 0o644)?;
        write_whole(&paths.key, self.key_pem.as_bytes(), 0o600)?;
        Ok(paths)
    }
}

/// Through a file beside it, so that the rights hold from the first byte and nobody reads half of it.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::edge::certificates::Certificate;
    use crate::policy::CertificateSource;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    #[test]
    fn what_is_written_can_be_loaded_and_the_key_is_for_its_owner() {
        let directory = tempfile::tempdir().expect("a directory");
        for _ in 0..2 {
            let made = make_dev(&["chat.test".to_owned()], NOW).expect("certificates");
            let paths = made.write(&directory.path().join("certs")).expect("written");
            let mode = fs::metadata(&paths.key).expect("a key").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let source = CertificateSource { certificate: paths.chain, key: paths.key };
            let certificate = Certificate::load(&source, NOW).expect("a certificate");
            for host in ["localhost", "a.localhost", "127.0.0.1", "::1", "chat.test"] {
                assert!(certificate.names().cover(host), "{host}");
            }
            assert!(!certificate.names().cover("example.com"));
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        assert!(make_dev(&["b\u{fc}cher.example".to_owned()], NOW).is_err());
    }
}
