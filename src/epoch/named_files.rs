//! The files that policies name: certificates and keys of listeners, secrets of keys, sets of keys, authorities of upstreams and issuers.
//!
//! Owns which files these are, and whether their contents are others than before. It knows nothing of what the contents mean and keeps
//! none of them.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::edge::regular_file;
use crate::policy::{AcmePolicy, CertificateSource, Gateway, KeySetSource, PolicySet, SecretSource};

/// The files that one set of policies names, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFiles {
    paths: BTreeSet<PathBuf>,
}

/// What was in all of them at one moment: a SHA-256, since among them are secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentsDigest([u8; digest::SHA256_OUTPUT_LEN]);

impl NamedFiles {
    /// What `set` names.
    pub(super) fn of(set: &PolicySet) -> Self {
        // A new setting says here whether it names a file. The record and its key are opened once, at start: a change of theirs takes a
        // restart, and a reload for it would change nothing.
        let Gateway {
            listeners,
            upstreams,
            plain: _,
            admin: _,
            hsts: _,
            limits: _,
            audit: _,
            state: _,
            acme,
            read_back: _,
            rates: _,
            key_cache: _,
            client_address: _,
            tls_floor: _,
            domains,
        } = &set.gateway;
        let mut paths = BTreeSet::new();
        for CertificateSource { certificate, key } in listeners.iter().flat_map(|listener| &listener.certificates) {
            paths.extend([certificate.clone(), key.clone()]);
        }
        if let Some(AcmePolicy { ca, external_account, .. }) = acme {
            paths.extend(ca.clone());
            if let Some(SecretSource::File(path)) = external_account.as_ref().map(|account| &account.secret) {
                paths.insert(path.clone());
            }
        }
        paths.extend(listeners.iter().flat_map(|listener| listener.tls.files()).map(Path::to_owned));
        paths.extend(domains.iter().filter_map(|domains| domains.ca.clone()));
        paths.extend(upstreams.iter().filter_map(|upstream| upstream.ca.clone()));
        let keys = set.workspaces.iter().flat_map(|workspace| &workspace.identity.keys);
        paths.extend(keys.filter_map(|key| key.source.file()).map(Path::to_owned));
        let webhooks = set.workspaces.iter().flat_map(|workspace| &workspace.webhooks.keys);
        paths.extend(webhooks.filter_map(|key| match &key.secret {
            SecretSource::File(path) => Some(path.clone()),
            SecretSource::Env(_) => None,
        }));
        let key_sets = set.workspaces.iter().flat_map(|workspace| &workspace.identity.key_sets);
        paths.extend(key_sets.filter_map(|set| match &set.source {
            KeySetSource::File(path) => Some(path.clone()),
            KeySetSource::Issuer(issuer) => issuer.ca.clone(),
        }));
        Self { paths }
    }

    /// Their paths, as the policies say them.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Reads them all. A file that cannot be read differs from every one that can, and from no other of its kind: why it cannot be
    /// read, the reload says.
    pub(super) fn digest(&self) -> ContentsDigest {
        let mut context = digest::Context::new(&digest::SHA256);
        for path in &self.paths {
            let name = path.as_os_str().as_encoded_bytes();
            // Lengths first, so that no two sets of files make one sequence of bytes.
            context.update(&(name.len() as u64).to_be_bytes());
            context.update(name);
            match digest_of(path) {
                Ok(digest) => {
                    context.update(&[1]);
                    context.update(digest.as_ref());
                }
                Err(_) => context.update(&[0]),
            }
        }
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        ContentsDigest(bytes)
    }
}

/// Keys, certificates and bundles of authorities are smaller by far; of a larger file its length and this much of it tell.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is read at once, and wiped.
const PIECE_BYTES: usize = 8 * 1024;

fn digest_of(path: &Path) -> io::Result<digest::Digest> {
    let file = regular_file::open(path)?;
    let metadata = file.metadata()?;
    let mut context = digest::Context::new(&digest::SHA256);
    // Whether others can read a file decides whether it may hold a secret, so `chmod` mends what a copy has broken.
    context.update(&(metadata.permissions().mode() & 0o077).to_be_bytes());
    context.update(&metadata.len().to_be_bytes());
    let mut file = file.take(FILE_BYTES_MAX);
    let mut piece = Zeroizing::new([0; PIECE_BYTES]);
    loop {
        match file.read(piece.as_mut_slice()) {
            Ok(0) => return Ok(context.finish()),
            Ok(count) => context.update(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::policy::{PolicyFiles, Source, parse};

    #[test]
    fn certificates_keys_secrets_and_authorities_are_named_and_what_is_opened_once_is_not() {
        let gateway = r#"
            [[listeners]]
            name = "public"
            address = "127.0.0.1:8443"
            certificates = [
                { certificate = "a.pem", key = "a.key" }, { certificate = "b.pem", key = "a.key" },
                { acme = ["chat.example"] }
            ]
            tickets = { file = "tickets.keys" }
            client_certificates = { mode = "required", ca = ["clients.pem"], crl = ["clients.crl"] }
            [acme]
            directory = "https://acme.example/dir"
            terms_of_service = "agreed"
            store = "acme"
            ca = "acme-ca.pem"
            eab = { key_id = "1", secret = { file = "eab.key" } }
            [upstreams.attributes]
            url = "https://attributes.example"
            ca = "ca.pem"
            [audit]
            file = "audit.jsonl"
            subject_key = { file = "subject.key" }
            [domains]
            check = "24h"
            ca = "domains.pem"
        "#;
        let acme = include_str!("../../policies/workspaces/acme.toml");
        let secret = r#"{ env = "ACME_MESSENGER_SECRET" }"#;
        assert!(acme.contains(secret));
        let key_sets = r#"
            [[identity.key_sets]]
            id = "file"
            algorithms = ["ES256"]
            file = "keys.json"
            [[identity.key_sets]]
            id = "idp"
            algorithms = ["ES256"]
            url = "https://issuer.example/jwks.json"
            ca = "issuer.pem"
        "#;
        let gateway = format!("key_cache = \"cache\"\n{gateway}");
        let shipped = crate::profile::shipped();
        let (set, findings) = parse(&PolicyFiles {
            gateway: Some(Source::new("gateway.toml", gateway)),
            profiles: shipped.iter().map(|(id, text)| Source::new(format!("{id}.toml"), *text)).collect(),
            workspaces: vec![Source::new("acme.toml", acme.replace(secret, r#"{ file = "acme.secret" }"#) + key_sets)],
            addresses: Vec::new(),
            base: "base".into(),
        });
        let named = NamedFiles::of(&set.unwrap_or_else(|| panic!("{findings:?}")));
        let expected = [
            "a.key",
            "a.pem",
            "acme/acme.example-dir/chat.example.pem",
            "acme-ca.pem",
            "acme.secret",
            "b.pem",
            "ca.pem",
            "clients.crl",
            "clients.pem",
            "domains.pem",
            "eab.key",
            "issuer.pem",
            "keys.json",
            "tickets.keys",
        ]
        .map(|name| Path::new("base").join(name));
        assert_eq!(named.paths().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_digest_tells_contents_and_rights_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secret");
        let named = NamedFiles { paths: BTreeSet::from([path.clone()]) };
        let write = |content: &[u8], mode: u32| {
            fs::write(&path, content).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
            named.digest()
        };
        let absent = named.digest();
        let first = write(b"one", 0o600);
        assert_ne!(first, absent);
        assert_eq!(named.digest(), first);
        assert_eq!(write(b"one", 0o400), first, "the owner's rights are nobody else's business");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode set");
        assert_ne!(write(b"one", 0o640), first);
        assert_ne!(write(b"two", 0o600), first);
        assert_ne!(write(b"", 0o600), absent);
        let long = vec![b'a'; PIECE_BYTES + 1];
        assert_ne!(write(&long, 0o600), write(&long[1..], 0o600));
        assert_eq!(write(b"one", 0o600), first);
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        assert_eq!(named.digest(), absent, "a directory cannot be read either");
    }

    #[test]
    fn contents_that_change_places_are_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
        let named = NamedFiles { paths: BTreeSet::from([one.clone(), two.clone()]) };
        fs::write(&one, "a").expect("written");
        fs::write(&two, "b").expect("written");
        let before = named.digest();
        fs::write(&one, "b").expect("written");
        fs::write(&two, "a").expect("written");
        assert_ne!(named.digest(), before);
    }
}
