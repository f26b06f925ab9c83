//! What the targets share: one workspace, its keys, and somebody who can use them.

use anyhow::Context;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::clock::UnixSeconds;
use countersign::identity::{KeyMaterial, Presented, Secret, Verifier};
use countersign::policy::{self, Limits, Paint, PolicyFiles, Source, Workspace};
use countersign::profile::shipped;

/// November 2026.
pub const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

/// The secret of the one key.
pub const SECRET: &[u8] = b"fuzzing-0123456789abcdefghijklmnopqrstuv";

const GATEWAY: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
certificates = [{ certificate = "certificate.pem", key = "key.pem" }]
[upstreams.attributes]
url = "http://127.0.0.1:9000"
"#;

const WORKSPACE: &str = r#"
profile = "intercom-web"
app_ids = ["abc12345"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"
[identity]
require = "identified"
"#;

/// The key of tokens, hashes and encrypted settings.
pub const SECRET_KEY: &str = r#"
encrypted_payload = "open"
[[identity.keys]]
id = "one"
algorithm = "HS256"
secret = { env = "UNUSED" }
use = ["jwt", "user_hash", "encrypted_payload"]
"#;

/// A workspace, with what its file says of keys.
pub struct Stage {
    pub workspace: Workspace,
    limits: Limits,
}

impl Stage {
    /// Reads the policies.
    ///
    /// # Errors
    ///
    /// They are wrong, which is a mistake in this file.
    pub fn new(keys: &str) -> anyhow::Result<Self> {
        let profiles = shipped().map(|(id, text)| Source::new(format!("profiles/{id}.toml"), text));
        let files = PolicyFiles {
            gateway: Some(Source::new("gateway.toml", GATEWAY)),
            profiles: profiles.to_vec(),
            workspaces: vec![Source::new("workspaces/acme.toml", format!("{WORKSPACE}{keys}"))],
            addresses: Vec::new(),
            base: "policies".into(),
        };
        let (set, findings) = policy::parse(&files);
        let set = set.with_context(|| findings.render(Paint::Plain))?;
        let workspace = set.workspaces.into_iter().next().context("one workspace")?;
        Ok(Self { workspace, limits: set.gateway.limits })
    }

    /// A verifier whose keys are made of `materials`; `None` where they are no keys.
    #[must_use]
    pub fn verifier(&self, materials: Vec<KeyMaterial>) -> Option<Verifier> {
        Verifier::new(&self.workspace.identity, materials, &self.workspace.profile, &self.limits).ok()
    }
}

/// What [`SECRET_KEY`] is made of.
#[must_use]
pub fn secret() -> KeyMaterial {
    KeyMaterial::Secret(Secret::from(SECRET.to_vec()))
}

/// A request that presents these, and no id beside them.
#[must_use]
pub fn presented<'r>(token: Option<&'r str>, sealed: Option<&'r str>) -> Presented<'r> {
    Presented {
        tokens: token.map(Into::into).into_iter().collect(),
        sealed: sealed.map(Into::into).into_iter().collect(),
        user_hashes: Vec::new(),
        user_ids: Vec::new(),
        emails: Vec::new(),
        sessions: Vec::new(),
        platform: None,
        exchanged: None,
    }
}

/// A token with any header and payload whose signature holds.
#[must_use]
pub fn sign(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// Encrypted settings with any content that open.
///
/// # Errors
///
/// The cipher refuses, which it never does.
pub fn seal(plain: &[u8]) -> anyhow::Result<String> {
    let key = digest::digest(&digest::SHA256, SECRET);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref())?);
    let nonce = [7; 12];
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)?;
    Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
}
