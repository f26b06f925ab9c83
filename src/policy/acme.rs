//! Certificates that are ordered (ACME, RFC 8555) rather than brought: from whom, how, and where they are kept.

use std::path::{Path, PathBuf};

use url::Url;

use super::workspace::SecretSource;

/// `[acme]` of `gateway.toml`: one authority, and one account with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmePolicy {
    /// The address of the authority's directory (RFC 8555 §7.1.1): `https`, or `http` on this machine.
    pub directory: Url,
    /// Certificate authorities for the directory's own TLS; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// Where the authority may write to, as `mailto:` addresses.
    pub contact: Vec<String>,
    /// The directory of the account, the keys and the certificates.
    pub store: PathBuf,
    pub challenge: AcmeChallenge,
    /// Which kind of certificate, by the authority's own name of it.
    pub profile: Option<String>,
    /// For authorities that give certificates only to customers (RFC 8555 §7.3.4).
    pub external_account: Option<ExternalAccount>,
}

/// How control of a name is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// By a certificate for this one purpose, on the TLS listener (RFC 8737).
    TlsAlpn01,
    /// By a text on the plain listener (RFC 8555 §8.3).
    Http01,
}

/// What binds the account with the authority to that of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    pub key_id: String,
    /// Where the key is: base64url, as authorities give it.
    pub secret: SecretSource,
}

/// A certificate to order for a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedCertificate {
    /// Host names in lower case; the first one names the file. There is at least one.
    pub names: Vec<String>,
    /// Where chain and key are once they were issued: one file, so that they always belong together.
    pub file: PathBuf,
}

/// Names of one certificate; authorities take no more.
pub const ORDERED_NAMES_MAX: usize = 100;

impl AcmePolicy {
    /// The part of the store that is this authority's: what a staging authority issued is never taken for the real one's.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        folder(&self.store, &self.directory)
    }
}

fn folder(store: &Path, directory: &Url) -> PathBuf {
    let host = directory.host_str().unwrap_or_default();
    let port = directory.port().map_or_else(String::new, |port| format!(":{port}"));
    let plain = |char: char| if char.is_ascii_alphanumeric() || matches!(char, '.' | '-') { char } else { '-' };
    let name: String = format!("{host}{port}{}", directory.path()).chars().map(plain).collect();
    store.join(name.trim_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_directory_has_a_folder_of_its_own_below_the_store() {
        for (directory, expected) in [
            ("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org-directory"),
            ("https://acme.example/v2/DV90/", "acme.example-v2-DV90"),
            ("https://127.0.0.1:14000/dir", "127.0.0.1-14000-dir"),
            ("https://[::1]:14000/%2f../dir?x=../y", "1--14000--2f..-dir"),
        ] {
            let name = folder(Path::new("store"), &directory.parse().expect("a url"));
            assert_eq!(name, Path::new("store").join(expected), "{directory}");
        }
    }
}
