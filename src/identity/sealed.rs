//! Encrypted settings: what a company's server encrypted to the messenger instead of signing it (Intercom's Encrypted Mode).
//!
//! AES-256-GCM under the SHA-256 of the messenger's secret, in base64: twelve bytes of nonce, the ciphertext, sixteen bytes of tag. Only
//! who knows the secret can have made one, so that what is in it counts as signed. It says by itself neither when it ends nor for how many
//! requests it is: who has one may send it again, about the same user.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use base64::Engine;
use secrecy::ExposeSecret;

use super::Secret;
use super::material::BASE64;
use super::verdict::{Refused, SealedError};
use crate::clock::UnixSeconds;
use crate::policy::KeyTerm;
use crate::profile::{Platform, Platforms};

/// The longest encrypted payload, in characters. A user's settings take a few hundred.
pub const SEALED_CHARS_MAX: usize = 64 * 1024;

/// The keys of a workspace for encrypted payloads, at most [`KEY_TRIES_MAX`](crate::policy::KEY_TRIES_MAX): a payload does not say whose it is.
pub(super) struct SealedKeys(Vec<SealedKey>);

struct SealedKey {
    id: String,
    term: KeyTerm,
    platforms: Platforms,
    key: LessSafeKey,
}

/// What a payload held, and the key that opened it.
pub(super) struct Opened<'k> {
    pub(super) key_id: &'k str,
    pub(super) plain: Vec<u8>,
}

impl SealedKeys {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, id: &str, term: KeyTerm, platforms: Platforms, secret: &Secret) {
        let hashed = digest::digest(&digest::SHA256, secret.expose_secret());
        // A SHA-256 is as long as the key.
        if let Ok(key) = UnboundKey::new(&AES_256_GCM, hashed.as_ref()) {
            self.0.push(SealedKey { id: id.to_owned(), term, platforms, key: LessSafeKey::new(key) });
        }
    }

    /// Opens a payload.
    ///
    /// # Errors
    /// It is too long or no base64, no key is in force, none of them made it, whole and unchanged, or the one that did is not for `platform`.
    pub(super) fn open(
        &self,
        sealed: &str,
        now: UnixSeconds,
        platform: Option<Platform>,
    ) -> Result<Opened<'_>, Refused<'_, SealedError>> {
        if sealed.len() > SEALED_CHARS_MAX {
            return Err(SealedError::TooLarge.into());
        }
        let bytes = BASE64.decode(sealed).map_err(|_| SealedError::Malformed)?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SealedError::Malformed)?;
        let in_force = || self.0.iter().filter(|key| key.term.holds(now.0));
        if in_force().next().is_none() {
            return Err(SealedError::WithoutKey.into());
        }
        let counts = |key: &&SealedKey| key.platforms.count_from(platform);
        // Keys for other platforms come last, to be told from a stranger's.
        for key in in_force().filter(counts).chain(in_force().filter(|key| !counts(key))) {
            let mut plain = ciphertext.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let length = key.key.open_in_place(nonce, Aad::empty(), &mut plain).map(|plain| plain.len());
            if let Ok(length) = length {
                if !counts(&key) {
                    return Err(Refused { error: SealedError::KeyForOtherPlatform, key_id: Some(&key.id) });
                }
                plain.truncate(length);
                return Ok(Opened { key_id: &key.id, plain });
            }
        }
        Err(SealedError::Bad.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::testing::{NOW, SECRET, secret};

    /// Made with another library.
    const VECTOR: &str = "AAAAAAAAAAAAAAAAtcBVpVKbrUti9qHBV7sNU0YaoV8TYcNGTaiXvZas+u4zcw/h+TjicJnEGZqawM29RdE=";
    const PLAIN: &str = r#"{"user_id":"user-42","plan":"pro"}"#;

    fn keys() -> SealedKeys {
        let mut keys = SealedKeys::new();
        keys.push("old", KeyTerm::default(), Platforms::ALL, &secret(b"old-secret-0123456789abcdef0123456789"));
        keys.push("web", KeyTerm::default(), Platforms::ALL, &secret(SECRET));
        keys
    }

    #[track_caller]
    fn check(keys: &SealedKeys, sealed: &str, expected: Result<(&str, &str), SealedError>) {
        let opened = keys.open(sealed, NOW, None).map_err(|refused| refused.error);
        let opened = opened.as_ref().map(|opened| (opened.key_id, std::str::from_utf8(&opened.plain).expect("text")));
        assert_eq!(opened, expected.as_ref().map(|found| *found), "{sealed}");
    }

    #[test]
    fn the_vector_opens_with_every_key_in_force_and_with_no_other() {
        check(&keys(), VECTOR, Ok(("web", PLAIN)));
        check(&keys(), VECTOR.trim_end_matches('='), Ok(("web", PLAIN)));
        let mut others = SealedKeys::new();
        check(&others, VECTOR, Err(SealedError::WithoutKey));
        others.push("old", KeyTerm::default(), Platforms::ALL, &secret(b"old-secret-0123456789abcdef0123456789"));
        check(&others, VECTOR, Err(SealedError::Bad));
        let mut over = SealedKeys::new();
        over.push("web", KeyTerm { not_before: None, not_after: Some(NOW.0) }, Platforms::ALL, &secret(SECRET));
        check(&over, VECTOR, Err(SealedError::WithoutKey));
    }

    #[test]
    fn what_a_key_for_another_platform_made_is_not_opened() {
        fn opened(keys: &SealedKeys, platform: Option<Platform>) -> Result<&str, Refused<'_, SealedError>> {
            keys.open(VECTOR, NOW, platform).map(|opened| opened.key_id)
        }
        let mut keys = SealedKeys::new();
        keys.push("ios", KeyTerm::default(), Platforms::of(&[Platform::Ios]), &secret(SECRET));
        assert_eq!(opened(&keys, Some(Platform::Ios)), Ok("ios"));
        for platform in [None, Some(Platform::Web), Some(Platform::Android)] {
            assert_eq!(
                opened(&keys, platform),
                Err(Refused { error: SealedError::KeyForOtherPlatform, key_id: Some("ios") })
            );
        }
        keys.push("all", KeyTerm::default(), Platforms::ALL, &secret(SECRET));
        assert_eq!(opened(&keys, None), Ok("all"));
    }

    #[test]
    fn no_change_of_one_character_opens() {
        for at in 0..VECTOR.len() {
            for other in ["A", "Q", "g", "/", "-", " ", "="] {
                let mut changed = VECTOR.to_owned();
                changed.replace_range(at..=at, other);
                let opened = keys().open(&changed, NOW, None).is_ok();
                assert!(!opened || changed.trim_end_matches('=') == VECTOR.trim_end_matches('='), "{at} {other}");
            }
        }
    }

    #[test]
    fn what_is_too_short_too_long_or_no_base64_is_none() {
        for sealed in ["A", "AAAA", "AAAAAAAAAAAAAAA", "%", "AAAAAAAAAAAAAAAA\n", "\u{e4}"] {
            check(&keys(), sealed, Err(SealedError::Malformed));
        }
        // A nonce and nothing behind it.
        check(&keys(), "AAAAAAAAAAAAAAAA", Err(SealedError::Bad));
        check(&keys(), &"A".repeat(SEALED_CHARS_MAX), Err(SealedError::Bad));
        check(&keys(), &"A".repeat(SEALED_CHARS_MAX + 1), Err(SealedError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_none_that_nobody_made_opens(sealed in "\\PC{0,200}") {
            prop_assert!(keys().open(&sealed, NOW, None).is_err());
        }
    }
}
