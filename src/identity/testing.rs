//! What the tests of this room share: one workspace's keys, and somebody who signs with them.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KeyMaterial, Presented, Secret, Verifier};
use crate::clock::UnixSeconds;
use crate::decision::{Folding, Spelling, TokenReader};
use crate::policy::{
    Algorithm, EncryptedPayload, Expiry, IdentityPolicy, KeyPolicy, KeySource, KeyTerm, KeyUse, Limits, OnSessionEnd,
    Replay, Require, SecretEncoding, SecretSource,
};
use crate::profile::{
    Accepts, IdentityPlaces, Members, PlatformSource, Platforms, Profile, RefusalShapes, Rest, Shape, TokenPlaces,
};

/// The secret of the vectors.
pub(super) const SECRET: &[u8] = b"test-secret-0123456789abcdef0123456789";
pub(super) const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// November 2026.
pub(super) const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

pub(super) fn secret(bytes: &[u8]) -> Secret {
    Secret::from(bytes.to_vec())
}

pub(super) fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn signature(algorithm: hmac::Algorithm, secret: &[u8], message: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes()))
}

pub(super) fn sign(header: &str, payload: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(payload));
    let signature = signature(hmac::HMAC_SHA256, secret, &message);
    format!("{message}.{signature}")
}

/// A token of the workspace.
pub(super) fn token(payload: &str) -> String {
    sign(HEADER, payload, SECRET)
}

pub(super) fn user_hash(subject: &str) -> String {
    hash_by(SECRET, subject)
}

pub(super) fn hash_by(secret: &[u8], subject: &str) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), subject.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A request that presents nothing.
pub(super) fn presented() -> Presented<'static> {
    Presented {
        tokens: vec![],
        user_hashes: vec![],
        sealed: vec![],
        user_ids: vec![],
        emails: vec![],
        sessions: vec![],
        exchanged: None,
        platform: None,
    }
}

pub(super) fn key(id: &str, uses: &[KeyUse]) -> KeyPolicy {
    let source = SecretSource::Env("UNUSED".into());
    KeyPolicy {
        id: id.into(),
        algorithm: Algorithm::Hs256,
        source: KeySource::Secret { source, encoding: SecretEncoding::Text },
        uses: uses.to_vec(),
        platforms: Platforms::ALL,
        term: KeyTerm::default(),
    }
}

pub(super) fn policy() -> IdentityPolicy {
    IdentityPolicy {
        require: Require::Identified,
        expiry: Expiry::Required,
        max_lifetime: None,
        leeway: Duration::from_secs(30),
        issuers: vec![],
        audiences: vec![],
        required_claims: vec![],
        keys: vec![key("web", &[KeyUse::Jwt, KeyUse::UserHash])],
        key_sets: vec![],
        token_at: vec![],
        ticket_at: vec![],
        exchange_lifetime: None,
        encrypted_payload: EncryptedPayload::Refuse,
        replay: Replay::Allow,
        session_end: OnSessionEnd::Keep,
    }
}

pub(super) fn profile() -> Profile {
    let claims = Shape::Members(Members {
        prefix: String::new(),
        spelling: Spelling::Own,
        group: None,
        settings: ["exp", "nbf", "iat"].map(String::from).to_vec(),
        credentials: vec![],
        nested: vec![],
        rest: Rest::Attributes,
        accepts: Accepts::Nothing,
    });
    Profile {
        id: "intercom-web".into(),
        title: "Intercom".into(),
        folding: Folding::default(),
        aliases: vec![],
        token_reader: TokenReader::Upstream,
        widget_origin: crate::profile::WidgetOrigin::Page,
        platform: PlatformSource::Untold,
        workspace_at: vec![],
        identity: IdentityPlaces {
            user_id_claims: vec!["user_id".into(), "sub".into()],
            email_claims: vec!["email".into()],
            ..IdentityPlaces::default()
        },
        tokens: TokenPlaces::default(),
        claims: Arc::new(claims),
        claim_names: Vec::new(),
        roles: None,
        operations: vec![],
        refusals: RefusalShapes::default(),
    }
}

pub(super) fn verifier() -> Verifier {
    verifier_of(&policy())
}

/// A verifier all of whose keys have the secret of the vectors.
pub(super) fn verifier_of(policy: &IdentityPolicy) -> Verifier {
    let materials = policy.keys.iter().map(|_| KeyMaterial::Secret(secret(SECRET))).collect();
    Verifier::new(policy, materials, &profile(), &Limits::default()).expect("good keys")
}
