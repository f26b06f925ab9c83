//! `user_hash`: the lower-case hexadecimal HMAC-SHA256 of a user's id, or of the e-mail where there is no id.
//!
//! It has no end, covers no attribute, and is the same every time: identity, never a signature.

use aws_lc_rs::hmac;
use secrecy::ExposeSecret;

use super::Secret;
use super::proofs::{Agreed, Presented};
use super::verdict::{HashError, Refused};
use crate::clock::UnixSeconds;
use crate::policy::KeyTerm;
use crate::profile::Platforms;

/// The keys of a workspace for hashes, at most [`KEY_TRIES_MAX`](crate::policy::KEY_TRIES_MAX): a hash does not say whose it is.
pub(super) struct HashKeys(Vec<HashKey>);

struct HashKey {
    id: String,
    term: KeyTerm,
    platforms: Platforms,
    key: hmac::Key,
}

/// Whose hash holds, and by which key.
pub(super) struct HashedSubject<'k, 't> {
    pub(super) key_id: &'k str,
    pub(super) subject: &'t str,
}

impl HashKeys {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, id: &str, term: KeyTerm, platforms: Platforms, secret: &Secret) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret());
        self.0.push(HashKey { id: id.to_owned(), term, platforms, key });
    }

    /// Verifies the hashes that a request presents; `None` where it presents none.
    pub(super) fn verify<'t>(
        &self,
        presented: &'t Presented<'_>,
        now: UnixSeconds,
    ) -> Result<Option<HashedSubject<'_, 't>>, Refused<'_, HashError>> {
        let hash = match Agreed::of(&presented.user_hashes) {
            Agreed::Nothing => return Ok(None),
            Agreed::One(hash) => hash,
            Agreed::Several => return Err(HashError::TwoHashes.into()),
        };
        let subject = subject(presented)?;
        let in_force = || self.0.iter().filter(|key| key.term.holds(now.0));
        if in_force().next().is_none() {
            return Err(HashError::WithoutKey.into());
        }
        let tag = decode(hash).ok_or(HashError::Bad)?;
        // `hmac::verify` compares in constant time.
        let signed = |key: &&HashKey| hmac::verify(&key.key, subject.as_bytes(), &tag).is_ok();
        let counts = |key: &&HashKey| key.platforms.count_from(presented.platform);
        // Keys for other platforms come last, to be told from a stranger's.
        let mut ordered = in_force().filter(counts).chain(in_force().filter(|key| !counts(key)));
        let key = ordered.find(signed).ok_or(HashError::Bad)?;
        let key_id = &*key.id;
        if !counts(&key) {
            return Err(Refused { error: HashError::KeyForOtherPlatform, key_id: Some(key_id) });
        }
        Ok(Some(HashedSubject { key_id, subject }))
    }
}

/// Of what the hash must be: the user id where there is one, and only then not the e-mail; the backend asks the same.
pub(super) fn subject<'t>(presented: &'t Presented<'_>) -> Result<&'t str, HashError> {
    let agreed = match Agreed::of(&presented.user_ids) {
        Agreed::Nothing => Agreed::of(&presented.emails),
        agreed @ (Agreed::One(_) | Agreed::Several) => agreed,
    };
    match agreed {
        // A server that hashes the id of somebody who is not signed in hands out the hash of nothing: it is everybody's.
        Agreed::One(subject) if subject.trim().is_empty() => Err(HashError::WithoutSubject),
        Agreed::One(subject) => Ok(subject),
        Agreed::Nothing => Err(HashError::WithoutSubject),
        Agreed::Several => Err(HashError::TwoSubjects),
    }
}

const TAG_BYTES: usize = 32;

/// The bytes of 64 lower-case hexadecimal digits. Upper case is another spelling, which the backend does not know.
fn decode(hash: &str) -> Option<[u8; TAG_BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hash.as_bytes().as_chunks::<2>();
    if pairs.len() != TAG_BYTES || !rest.is_empty() {
        return None;
    }
    let mut tag = [0; TAG_BYTES];
    for (byte, [high, low]) in tag.iter_mut().zip(pairs) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(tag)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::identity::testing::{self, NOW, SECRET, hash_by, secret, user_hash};
    use crate::profile::Platform;

    const OLD: &[u8] = b"an-older-secret";

    #[test]
    fn a_hash_by_a_key_for_another_platform_proves_nobody() {
        let ios = Platforms::of(&[Platform::Ios]);
        let web = Platforms::of(&[Platform::Web]);
        let verify = |platforms: &[(&str, Platforms)], platform| {
            let mut keys = HashKeys::new();
            for (id, platforms) in platforms {
                keys.push(id, KeyTerm::default(), *platforms, &secret(SECRET));
            }
            let (user_hashes, user_ids) = (vec![user_hash("user-42").into()], vec!["user-42".into()]);
            let presented = Presented { user_hashes, user_ids, platform, ..testing::presented() };
            let verified = keys.verify(&presented, NOW);
            let verified = verified.map(|found| found.map(|found| found.key_id.to_owned()));
            verified.map_err(|refused| (refused.error, refused.key_id.map(str::to_owned)))
        };
        let other = Err((HashError::KeyForOtherPlatform, Some("ios".to_owned())));
        assert_eq!(verify(&[("ios", ios)], Some(Platform::Ios)), Ok(Some("ios".to_owned())));
        assert_eq!(verify(&[("ios", ios)], Some(Platform::Web)), other);
        assert_eq!(verify(&[("ios", ios)], None), other);
        assert_eq!(verify(&[("ios", ios), ("web", web)], Some(Platform::Web)), Ok(Some("web".to_owned())));
        assert_eq!(verify(&[("ios", ios), ("all", Platforms::ALL)], None), Ok(Some("all".to_owned())));
    }

    #[track_caller]
    fn check(hashes: &[&str], user_ids: &[&str], emails: &[&str], expected: Result<Option<(&str, &str)>, HashError>) {
        let mut keys = HashKeys::new();
        keys.push("old", KeyTerm::default(), Platforms::ALL, &secret(OLD));
        keys.push("web", KeyTerm::default(), Platforms::ALL, &secret(SECRET));
        let texts = |texts: &[&str]| texts.iter().map(|text| Cow::Owned((*text).to_owned())).collect();
        let presented = Presented {
            user_hashes: texts(hashes),
            user_ids: texts(user_ids),
            emails: texts(emails),
            ..testing::presented()
        };
        let verified = keys.verify(&presented, NOW).map(|found| found.map(|found| (found.key_id, found.subject)));
        let verified = verified.map_err(|refused| refused.error);
        assert_eq!(verified, expected, "{hashes:?} {user_ids:?} {emails:?}");
    }

    const OF_ID: &str = "14255644703afde09642fd12b8e9d2f3727b47a90950fde862ce8fca029cbb34";
    const OF_EMAIL: &str = "e09f3eabc1770196ee60fb456d6eea62acca6b1f7b7c4a2849059fe5215efe49";

    #[test]
    fn the_vectors_hold() {
        check(&[OF_ID], &["user-42"], &[], Ok(Some(("web", "user-42"))));
        check(&[OF_EMAIL], &[], &["ada@example.com"], Ok(Some(("web", "ada@example.com"))));
        check(&[OF_ID, OF_ID], &["user-42", "user-42"], &[], Ok(Some(("web", "user-42"))));
        check(&[], &["user-42"], &[], Ok(None));
    }

    #[test]
    fn with_an_id_the_hash_is_of_the_id() {
        check(&[OF_ID], &["user-42"], &["bob@example.com"], Ok(Some(("web", "user-42"))));
        check(&[OF_EMAIL], &["user-42"], &["ada@example.com"], Err(HashError::Bad));
        check(&[OF_ID], &["user-43"], &[], Err(HashError::Bad));
        check(&[OF_ID], &["User-42"], &[], Err(HashError::Bad));
        check(&[OF_EMAIL], &[], &["Ada@example.com"], Err(HashError::Bad));
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let rest = OF_ID.strip_prefix('1').expect("its first digit");
        let variants = [
            OF_ID.to_uppercase(),
            rest.to_owned(),
            format!("0{rest}"),
            format!("{OF_ID}0"),
            format!("{OF_ID}00"),
            format!("{OF_ID} "),
            format!("0x{OF_ID}"),
            String::new(),
            "\u{e4}".repeat(32),
        ];
        for hash in &variants {
            check(&[hash], &["user-42"], &[], Err(HashError::Bad));
        }
    }

    #[test]
    fn nobodys_hash_proves_nobody() {
        check(&[OF_ID], &[], &[], Err(HashError::WithoutSubject));
        for blank in ["", " "] {
            let hash = user_hash(blank);
            check(&[&hash], &[blank], &[], Err(HashError::WithoutSubject));
            check(&[&hash], &[], &[blank], Err(HashError::WithoutSubject));
        }
        check(&[OF_EMAIL], &[""], &["ada@example.com"], Err(HashError::WithoutSubject));
    }

    #[test]
    fn two_of_anything_are_not_one() {
        check(&[OF_ID, OF_EMAIL], &["user-42"], &[], Err(HashError::TwoHashes));
        check(&[OF_ID], &["user-42", "user-43"], &[], Err(HashError::TwoSubjects));
        check(&[OF_EMAIL], &[], &["ada@example.com", "bob@example.com"], Err(HashError::TwoSubjects));
    }

    #[test]
    fn every_key_in_force_counts_and_no_other() {
        check(&[&hash_by(OLD, "user-42")], &["user-42"], &[], Ok(Some(("old", "user-42"))));
        check(&[&hash_by(b"", "user-42")], &["user-42"], &[], Err(HashError::Bad));
        check(&[&hash_by(b"nobodys-secret", "user-42")], &["user-42"], &[], Err(HashError::Bad));
        let presented =
            Presented { user_hashes: vec![OF_ID.into()], user_ids: vec!["user-42".into()], ..testing::presented() };
        assert_eq!(HashKeys::new().verify(&presented, NOW).err(), Some(HashError::WithoutKey.into()));
    }

    #[test]
    fn a_key_out_of_its_term_is_none() {
        #[track_caller]
        fn check(not_before: Option<i64>, not_after: Option<i64>, expected: Result<&str, HashError>) {
            let mut keys = HashKeys::new();
            keys.push("web", KeyTerm { not_before, not_after }, Platforms::ALL, &secret(SECRET));
            let presented =
                Presented { user_hashes: vec![OF_ID.into()], user_ids: vec!["user-42".into()], ..testing::presented() };
            let verified = keys.verify(&presented, NOW).map(|found| found.map_or("", |found| found.key_id));
            let verified = verified.map_err(|refused| refused.error);
            assert_eq!(verified, expected);
        }
        check(Some(NOW.0), Some(NOW.0 + 1), Ok("web"));
        check(Some(NOW.0 + 1), None, Err(HashError::WithoutKey));
        check(None, Some(NOW.0), Err(HashError::WithoutKey));
    }
}
