use super::*;
use crate::identity::material::KeyMaterial;
use crate::identity::public_key;
use crate::identity::public_key::vectors::{ED_PEM, PAYLOAD, SIGNED};
use crate::identity::signing::SigningKey;
use crate::identity::testing::{HEADER, NOW, SECRET, encode, secret, sign, signature};
use crate::policy::{Limits, word};
use crate::profile::Platform;

const OLD: &[u8] = b"old-secret-0123456789abcdef0123456789";
const UNKNOWN: &[u8] = b"nobodys-secret-0123456789abcdef0123456789";

fn keys() -> TokenKeys {
    let mut keys = TokenKeys::new();
    for (id, bytes) in [("web-2025", OLD), ("web-2026", SECRET)] {
        keys.push(id, Algorithm::Hs256, KeyTerm::default(), Platforms::ALL, VerifyingKey::secret(&secret(bytes)));
    }
    keys
}

fn verify(keys: &TokenKeys, text: &str) -> Result<String, TokenError> {
    let token = UnverifiedToken::parse(text, &Limits::default())?;
    let found = keys.verify(&mut Trial::new(token, NOW, None, &mut SignedPayload::default())).map(ToString::to_string);
    found.map_err(|refused| refused.error)
}

#[track_caller]
fn check(header: &str, by: &[u8], expected: Result<&str, TokenError>) {
    assert_eq!(verify(&keys(), &sign(header, "{}", by)), expected.map(str::to_owned), "{header}");
}

#[test]
fn without_a_kid_every_key_in_force_counts() {
    check(HEADER, SECRET, Ok("web-2026"));
    check(HEADER, OLD, Ok("web-2025"));
    check(HEADER, UNKNOWN, Err(TokenError::BadSignature));
}

#[test]
fn with_a_kid_only_that_key_counts() {
    check(r#"{"alg":"HS256","kid":"web-2026"}"#, SECRET, Ok("web-2026"));
    check(r#"{"alg":"HS256","kid":"web-2025"}"#, OLD, Ok("web-2025"));
    check(r#"{"alg":"HS256","kid":"web-2025"}"#, SECRET, Err(TokenError::BadSignature));
    check(r#"{"alg":"HS256","kid":"web-2026"}"#, UNKNOWN, Err(TokenError::BadSignature));
    for kid in ["", "web-2027", "WEB-2026", "web-2026 ", "../../dev/null", "' OR 1=1 --", "0"] {
        check(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), SECRET, Err(TokenError::UnknownKey));
    }
}

#[test]
fn the_header_never_chooses_the_algorithm() {
    for alg in
        ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"]
    {
        check(&format!(r#"{{"alg":"{alg}"}}"#), SECRET, Err(TokenError::WrongAlgorithm));
        check(&format!(r#"{{"alg":"{alg}","kid":"web-2026"}}"#), SECRET, Err(TokenError::WrongAlgorithm));
    }
}

#[test]
fn a_real_signature_of_another_algorithm_is_none() {
    let message = format!("{}.{}", encode(r#"{"alg":"HS512"}"#), encode("{}"));
    let signed = signature(aws_lc_rs::hmac::HMAC_SHA512, SECRET, &message);
    assert_eq!(verify(&keys(), &format!("{message}.{signed}")), Err(TokenError::WrongAlgorithm));
    let message = format!("{}.{}", encode(HEADER), encode("{}"));
    let signed = signature(aws_lc_rs::hmac::HMAC_SHA512, SECRET, &message);
    assert_eq!(verify(&keys(), &format!("{message}.{signed}")), Err(TokenError::BadSignature));
}

#[test]
fn a_signature_cut_short_is_none() {
    let text = sign(HEADER, "{}", SECRET);
    let (message, _) = text.rsplit_once('.').expect("three parts");
    for signature in ["AA", "AAAA"] {
        assert_eq!(verify(&keys(), &format!("{message}.{signature}")), Err(TokenError::BadSignature));
    }
    let shorter = text.get(..text.len() - 3).expect("ASCII");
    assert!(verify(&keys(), shorter).is_err());
}

#[test]
fn without_keys_every_key_is_unknown() {
    assert_eq!(verify(&TokenKeys::new(), &sign(HEADER, "{}", SECRET)), Err(TokenError::UnknownKey));
    let empty = sign(HEADER, "{}", b"");
    assert_eq!(verify(&TokenKeys::new(), &empty), Err(TokenError::UnknownKey));
}

#[test]
fn the_key_that_signed_last_is_tried_first_and_the_others_still_count() {
    let keys = keys();
    for (by, id) in [(SECRET, "web-2026"), (SECRET, "web-2026"), (OLD, "web-2025"), (SECRET, "web-2026")] {
        assert_eq!(verify(&keys, &sign(HEADER, "{}", by)).as_deref(), Ok(id));
        assert_eq!(*keys.keys[keys.recent.load(Ordering::Relaxed)].id, *id);
    }
    assert_eq!(verify(&keys, &sign(HEADER, "{}", UNKNOWN)), Err(TokenError::BadSignature));
    assert_eq!(keys.recent.load(Ordering::Relaxed), 1, "a failure moves nothing");
}

/// `{"alg":…,"typ":"JWT"}`, the payload, and the signature.
fn compact(alg: &str, payload: &str, signature: &str) -> String {
    format!("{}.{payload}.{signature}", encode(&format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#)))
}

fn only(algorithm: Algorithm, pem: &str) -> TokenKeys {
    let key = public_key::read(pem.as_bytes(), algorithm, "web").expect("a key");
    let mut keys = TokenKeys::new();
    keys.push("web", algorithm, KeyTerm::default(), Platforms::ALL, VerifyingKey::Public(key));
    keys
}

#[test]
fn signatures_of_another_library_hold_and_broken_ones_do_not() {
    for (algorithm, pem, signature) in SIGNED {
        let keys = only(algorithm, pem);
        let alg = word(algorithm);
        assert_eq!(verify(&keys, &compact(alg, PAYLOAD, signature)).as_deref(), Ok("web"), "{alg}");
        // Another payload, another first byte, half of it, too much of it.
        let other = encode(r#"{"user_id":"user-43"}"#);
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let cut = signature.get(..signature.len() / 8 * 4).expect("ASCII");
        for (payload, signature) in [
            (other.as_str(), signature.to_owned()),
            (PAYLOAD, format!("{first}{}", signature.get(1..).expect("ASCII"))),
            (PAYLOAD, cut.to_owned()),
            (PAYLOAD, format!("AAAA{signature}")),
            (PAYLOAD, "A".repeat(signature.len() / 4 * 4)),
        ] {
            let verdict = verify(&keys, &compact(alg, payload, &signature));
            assert_eq!(verdict, Err(TokenError::BadSignature), "{alg} {signature}");
        }
    }
}

#[test]
fn a_key_verifies_by_its_own_algorithm_whatever_the_header_says() {
    for (algorithm, pem, signature) in SIGNED {
        let keys = only(algorithm, pem);
        for other in SIGNED.map(|(other, ..)| word(other)).into_iter().chain(["HS256", "HS512", "none"]) {
            if other != word(algorithm) {
                let verdict = verify(&keys, &compact(other, PAYLOAD, signature));
                assert_eq!(verdict, Err(TokenError::WrongAlgorithm), "{algorithm:?} as {other}");
            }
        }
        // The oldest trick: the public key as a shared secret.
        let forged = sign(HEADER, "{}", pem.as_bytes());
        assert_eq!(verify(&keys, &forged), Err(TokenError::WrongAlgorithm));
    }
}

#[test]
fn shared_secrets_sign_by_the_longer_hashes_too() {
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        let signing = SigningKey::of_secret(algorithm, SECRET).expect("a secret");
        let mut keys = TokenKeys::new();
        keys.push("web", algorithm, KeyTerm::default(), Platforms::ALL, VerifyingKey::secret(&secret(SECRET)));
        assert_eq!(verify(&keys, &signing.token(b"{}").expect("signed")).as_deref(), Ok("web"), "{algorithm:?}");
        for other in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
            if other != algorithm {
                let header = format!(r#"{{"alg":"{}"}}"#, word(other));
                let token = signing.sign(&header, b"{}").expect("signed");
                assert_eq!(verify(&keys, &token), Err(TokenError::WrongAlgorithm));
                let mut others = TokenKeys::new();
                others.push("web", other, KeyTerm::default(), Platforms::ALL, VerifyingKey::secret(&secret(SECRET)));
                assert_eq!(verify(&others, &token), Err(TokenError::BadSignature));
            }
        }
    }
}

#[test]
fn a_key_counts_from_its_first_second_to_before_its_last() {
    #[track_caller]
    fn check(not_before: Option<i64>, not_after: Option<i64>, expected: Result<&str, TokenError>) {
        let mut keys = TokenKeys::new();
        let term = KeyTerm { not_before, not_after };
        keys.push("web-2026", Algorithm::Hs256, term, Platforms::ALL, VerifyingKey::secret(&secret(SECRET)));
        for header in [HEADER, r#"{"alg":"HS256","kid":"web-2026"}"#] {
            assert_eq!(verify(&keys, &sign(header, "{}", SECRET)), expected.map(str::to_owned), "{header}");
        }
    }
    let now = NOW.0;
    check(Some(now), None, Ok("web-2026"));
    check(Some(now + 1), None, Err(TokenError::KeyNotInForce));
    check(None, Some(now + 1), Ok("web-2026"));
    check(None, Some(now), Err(TokenError::KeyNotInForce));
    check(Some(now - 1), Some(now + 1), Ok("web-2026"));
}

#[test]
fn beside_a_key_in_force_one_that_is_not_changes_nothing() {
    let mut keys = keys();
    let over = KeyTerm { not_before: None, not_after: Some(NOW.0) };
    keys.push("web-2024", Algorithm::Hs256, over, Platforms::ALL, VerifyingKey::secret(&secret(UNKNOWN)));
    assert_eq!(verify(&keys, &sign(HEADER, "{}", SECRET)).as_deref(), Ok("web-2026"));
    assert_eq!(verify(&keys, &sign(HEADER, "{}", UNKNOWN)), Err(TokenError::BadSignature));
    let named = sign(r#"{"alg":"HS256","kid":"web-2024"}"#, "{}", UNKNOWN);
    assert_eq!(verify(&keys, &named), Err(TokenError::KeyNotInForce));
}

#[test]
fn a_key_for_another_platform_is_told_from_a_stranger_s_and_verifies_nothing() {
    let mut keys = TokenKeys::new();
    for (id, bytes, platforms) in [
        ("all", OLD, &Platform::ALL[..]),
        ("ios", SECRET, &[Platform::Ios]),
        ("apps", UNKNOWN, &[Platform::Ios, Platform::Android]),
    ] {
        let key = VerifyingKey::secret(&secret(bytes));
        keys.push(id, Algorithm::Hs256, KeyTerm::default(), Platforms::of(platforms), key);
    }
    let verify = |text: &str, platform| {
        let token = UnverifiedToken::parse(text, &Limits::default()).expect("a token");
        let mut room = SignedPayload::default();
        let found = keys.verify(&mut Trial::new(token, NOW, platform, &mut room)).map(ToString::to_string);
        assert_eq!(room.bytes().is_empty(), found.is_err(), "what is refused is not read");
        found.map_err(|refused| {
            assert_eq!(refused.key_id.is_some(), refused.error == TokenError::KeyForOtherPlatform);
            (refused.error, refused.key_id.map(str::to_owned))
        })
    };
    for (by, id, platforms) in [
        (OLD, "all", &[None, Some(Platform::Web), Some(Platform::Ios), Some(Platform::Android)][..]),
        (SECRET, "ios", &[Some(Platform::Ios)]),
        (UNKNOWN, "apps", &[Some(Platform::Ios), Some(Platform::Android)]),
    ] {
        for platform in [None, Some(Platform::Web), Some(Platform::Ios), Some(Platform::Android)] {
            let expected = if platforms.contains(&platform) {
                Ok(id.to_owned())
            } else {
                Err((TokenError::KeyForOtherPlatform, Some(id.to_owned())))
            };
            let named = format!(r#"{{"alg":"HS256","kid":"{id}"}}"#);
            for header in [HEADER, &named] {
                // Twice: the key that signed last is tried first, and is no more for it.
                for _ in 0..2 {
                    assert_eq!(verify(&sign(header, "{}", by), platform), expected, "{id} {platform:?} {header}");
                }
            }
        }
    }
    let forged = sign(r#"{"alg":"HS256","kid":"ios"}"#, "{}", b"a-strangers-secret-0123456789abcdef0123");
    assert_eq!(verify(&forged, Some(Platform::Web)), Err((TokenError::BadSignature, None)), "a name is no signature");
    assert_eq!(
        verify(&sign(HEADER, "{}", b"a-strangers-secret-0123456789abcdef0123"), None),
        Err((TokenError::BadSignature, None))
    );
}

#[test]
fn a_token_without_kid_costs_so_many_signatures_and_one_with_kid_one() {
    let mut keys = TokenKeys::new();
    for index in 0..=KEY_TRIES_MAX {
        let bytes = format!("secret-{index}-0123456789abcdef0123456789");
        let key = VerifyingKey::secret(&secret(bytes.as_bytes()));
        keys.push(&format!("key-{index}"), Algorithm::Hs256, KeyTerm::default(), Platforms::ALL, key);
    }
    let by = |index: usize| format!("secret-{index}-0123456789abcdef0123456789");
    let last = KEY_TRIES_MAX;
    assert_eq!(verify(&keys, &sign(HEADER, "{}", by(last).as_bytes())), Err(TokenError::BadSignature));
    assert!(verify(&keys, &sign(HEADER, "{}", by(last - 1).as_bytes())).is_ok());
    let named = format!(r#"{{"alg":"HS256","kid":"key-{last}"}}"#);
    assert!(verify(&keys, &sign(&named, "{}", by(last).as_bytes())).is_ok());
    // The one that signed last is tried first, wherever it stands.
    assert!(verify(&keys, &sign(HEADER, "{}", by(last).as_bytes())).is_ok());
}

#[test]
fn one_pair_under_two_names_counts_on_both_platforms_whichever_was_seen_first() {
    let signing = SigningKey::draw(Algorithm::EdDsa).expect("a key");
    let KeyMaterial::PublicKey(pem) = signing.material().expect("material") else { panic!("a pair") };
    let mut keys = TokenKeys::new();
    for (id, platform) in [("ios", Platform::Ios), ("web", Platform::Web)] {
        let key = VerifyingKey::Public(public_key::read(&pem, Algorithm::EdDsa, id).expect("a key"));
        keys.push(id, Algorithm::EdDsa, KeyTerm::default(), Platforms::of(&[platform]), key);
    }
    let text = signing.token(b"{}").expect("signed");
    let verify = |platform| {
        let token = UnverifiedToken::parse(&text, &Limits::default()).expect("a token");
        let mut room = SignedPayload::default();
        let found = keys.verify(&mut Trial::new(token, NOW, Some(platform), &mut room)).map(ToString::to_string);
        found.map_err(|refused| refused.error)
    };
    for _ in 0..2 {
        assert_eq!(verify(Platform::Ios), Ok("ios".to_owned()));
        assert_eq!(verify(Platform::Web), Ok("web".to_owned()));
        assert_eq!(verify(Platform::Android), Err(TokenError::KeyForOtherPlatform));
    }
}

/// Whatever is remembered of a token, its key must still be the one, and in force.
#[test]
fn a_token_that_was_seen_is_asked_for_its_key_again() {
    let signing = SigningKey::draw(Algorithm::EdDsa).expect("a key");
    let KeyMaterial::PublicKey(pem) = signing.material().expect("material") else { panic!("a pair") };
    let key = || VerifyingKey::Public(public_key::read(&pem, Algorithm::EdDsa, "web").expect("a key"));
    let mut keys = TokenKeys::new();
    let term = KeyTerm { not_before: None, not_after: Some(NOW.0 + 1) };
    let stranger = only(Algorithm::EdDsa, ED_PEM).keys.pop().expect("a key");
    keys.push("other", Algorithm::EdDsa, KeyTerm::default(), Platforms::ALL, stranger.key);
    keys.push("web", Algorithm::EdDsa, term, Platforms::ALL, key());
    let text = signing.token(b"{}").expect("signed");
    let at = |text: &str, now: i64| {
        let token = UnverifiedToken::parse(text, &Limits::default())?;
        let mut room = SignedPayload::default();
        let id = keys.verify(&mut Trial::new(token, UnixSeconds(now), None, &mut room)).map(ToString::to_string);
        id.map(|id| (id, room.bytes().to_vec())).map_err(|refused| refused.error)
    };
    for _ in 0..3 {
        assert_eq!(at(&text, NOW.0), Ok(("web".to_owned(), b"{}".to_vec())));
    }
    // Its key is over; the other one in force never signed it.
    assert!(matches!(at(&text, NOW.0 + 1), Err(TokenError::BadSignature | TokenError::KeyNotInForce)));
    // One bit of the signature later it is another token.
    let (message, signature) = text.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let changed = format!("{message}.{first}{}", signature.get(1..).expect("ASCII"));
    assert_eq!(at(&changed, NOW.0), Err(TokenError::BadSignature));
    assert_eq!(at(&format!("{message}.{signature}"), NOW.0).map(|(id, _)| id), Ok("web".to_owned()));
}

#[test]
fn a_signature_of_the_same_pair_by_another_hash_or_padding_is_none() {
    let rsa =
        [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];
    let signing = SigningKey::draw(Algorithm::Ps384).expect("a key");
    let KeyMaterial::PublicKey(pem) = signing.material().expect("material") else { panic!("a pair") };
    for algorithm in rsa {
        let keys = only(algorithm, std::str::from_utf8(&pem).expect("PEM"));
        let token = signing.sign(&format!(r#"{{"alg":"{}"}}"#, word(algorithm)), b"{}").expect("signed");
        let expected = if algorithm == Algorithm::Ps384 { Ok("web".to_owned()) } else { Err(TokenError::BadSignature) };
        assert_eq!(verify(&keys, &token), expected, "{algorithm:?}");
    }
}

/// The order of P-256 (SEC 2 §2.4.2), and of Ed25519's group in its own order of bytes (RFC 8032 §5.1).
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const ED_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().as_chunks::<2>().0;
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex")).collect()
}

#[test]
fn numbers_out_of_range_sign_nothing() {
    let (algorithm, pem, signature) = SIGNED[6];
    assert_eq!(algorithm, Algorithm::Es256);
    let keys = only(algorithm, pem);
    let good = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let (r, s) = good.split_at(32);
    let (zero, mut one, order) = (vec![0; 32], vec![0; 32], bytes(P256_ORDER));
    one[31] = 1;
    let asn1 = [&[0x30, 0x44, 0x02, 0x20], r, &[0x02, 0x20], s].concat();
    for broken in [
        [&zero, s].concat(),
        [r, &zero].concat(),
        [&zero[..], &zero].concat(),
        [&order, s].concat(),
        [r, &order].concat(),
        [&order[..], &order].concat(),
        [&one[..], &one].concat(),
        [s, r].concat(),
        [&[0], r, &[0], s].concat(),
        asn1,
    ] {
        let token = compact("ES256", PAYLOAD, &URL_SAFE_NO_PAD.encode(&broken));
        assert_eq!(verify(&keys, &token), Err(TokenError::BadSignature), "{broken:02x?}");
    }
}

#[test]
fn a_token_of_ed25519_has_one_signature() {
    let (algorithm, pem, signature) = SIGNED[9];
    assert_eq!(algorithm, Algorithm::EdDsa);
    let mut changed = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    // The second number and the order of the group say the same, and only the smaller counts.
    let mut carry = 0;
    for (byte, order) in changed.iter_mut().skip(32).zip(bytes(ED_ORDER)) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    let token = compact("EdDSA", PAYLOAD, &URL_SAFE_NO_PAD.encode(&changed));
    assert_eq!(verify(&only(algorithm, pem), &token), Err(TokenError::BadSignature));
}
