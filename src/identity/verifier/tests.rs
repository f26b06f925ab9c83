use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::decision::Subject;
use crate::identity::public_key::vectors::P256_PEM;
use crate::identity::testing::{
    self, HEADER, NOW, SECRET, key, presented, profile, secret, token, user_hash, verifier,
};
use crate::identity::{HashError, Holder, ProofVerdict, TimeClaim};
use crate::policy::{Algorithm, KeyPolicy, KeySource, KeyUse};

const PAYLOAD: &str = r#"{"user_id":"user-42","email":"ada@example.com","plan":"pro","seats":5,"exp":4102444800}"#;
const VECTOR: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoidXNlci00MiIsImVtYWlsIjoiYWRhQGV4YW1wbGUuY29tIiwicGxhbiI6InBybyIsInNlYXRzIjo1LCJleHAiOjQxMDI0NDQ4MDB9.5GCB-fVWkgpWF_rknHcIoILv33LxkjWwScK0NQCA-PU";

fn texts<'r>(texts: &[&'r str]) -> Vec<Cow<'r, str>> {
    texts.iter().map(|text| Cow::Borrowed(*text)).collect()
}

fn token_failed(error: TokenError) -> ProofVerdict {
    ProofVerdict::Failed(ProofError::Token(error))
}

fn hash_failed(error: HashError) -> ProofVerdict {
    ProofVerdict::Failed(ProofError::Hash(error))
}

#[track_caller]
fn check(tokens: &[&str], hashes: &[&str], user_ids: &[&str], expected: ProofVerdict) {
    let presented = Presented {
        tokens: texts(tokens),
        user_hashes: texts(hashes),
        user_ids: texts(user_ids),
        ..testing::presented()
    };
    let verifier = verifier();
    let mut payload = SignedPayload::default();
    let proofs = verifier.verify(&presented, NOW, &mut payload);
    assert_eq!(proofs.verdict(), expected);
    assert_eq!(proofs.claims().is_some(), expected == ProofVerdict::Valid, "only a valid token signs");
    let proven = matches!(expected, ProofVerdict::Valid | ProofVerdict::HashValid);
    assert_eq!(proofs.subject(), proven.then_some("user-42"));
}

#[track_caller]
fn check_payload(payload: &str, expected: ProofVerdict) {
    check(&[&token(payload)], &[], &["user-42"], expected);
}

#[test]
fn the_vector_holds() {
    assert_eq!(token(PAYLOAD), VECTOR);
    check(&[VECTOR], &[], &["user-42"], ProofVerdict::Valid);
    check(&[VECTOR], &[], &[], ProofVerdict::Valid);
    check(&[VECTOR], &[], &["user-43"], token_failed(TokenError::SubjectMismatch));
    check(&[&VECTOR.to_lowercase()], &[], &["user-42"], token_failed(TokenError::Malformed));
}

#[test]
fn nothing_presented_is_absent_and_an_empty_text_is_not() {
    check(&[], &[], &["user-42"], ProofVerdict::Absent);
    check(&[""], &[], &["user-42"], token_failed(TokenError::Malformed));
    check(&[], &[""], &["user-42"], hash_failed(HashError::Bad));
}

#[test]
fn one_token_twice_is_one_and_two_are_none() {
    let other = token(r#"{"user_id":"user-42","exp":4102444800}"#);
    check(&[VECTOR, VECTOR], &[], &["user-42"], ProofVerdict::Valid);
    check(&[VECTOR, &other], &[], &["user-42"], token_failed(TokenError::TwoTokens));
    check(&[VECTOR, ""], &[], &["user-42"], token_failed(TokenError::TwoTokens));
    check(&[VECTOR, VECTOR, &format!("{VECTOR} ")], &[], &["user-42"], token_failed(TokenError::TwoTokens));
}

#[test]
fn a_token_counts_before_a_hash() {
    let (hash, bad_hash) = (user_hash("user-42"), "0".repeat(64));
    let expired = token(r#"{"user_id":"user-42","exp":1}"#);
    check(&[], &[&hash], &["user-42"], ProofVerdict::HashValid);
    check(&[], &[&bad_hash], &["user-42"], hash_failed(HashError::Bad));
    check(&[], &[&hash], &["user-43"], hash_failed(HashError::Bad));
    check(&[VECTOR], &[&bad_hash], &["user-42"], ProofVerdict::Valid);
    check(&[&expired], &[&hash], &["user-42"], token_failed(TokenError::Expired));
    check(&["x"], &[&hash], &["user-42"], token_failed(TokenError::Malformed));
}

#[test]
fn a_payload_is_one_strict_object() {
    for payload in [
        "",
        "null",
        "[]",
        r#"[{"user_id":"user-42","exp":4102444800}]"#,
        r#""user-42""#,
        r#"{"user_id":"user-42","exp":4102444800}{}"#,
        r#"{"user_id":"user-43","user_id":"user-42","exp":4102444800}"#,
        r#"{"user_id":"user-42","exp":1,"exp":4102444800}"#,
        r#"{"user_id":"user-42","exp":1,"\u0065xp":4102444800}"#,
        r#"{"user_id":"user-42","exp":4102444800,"company":{"plan":"free","plan":"pro"}}"#,
        r#"{"user_id":"user-42","exp":4102444800,"companies":[{"a":1,"\u0061":2}]}"#,
        r#"{"user_id":"\ud800","exp":4102444800}"#,
        r#"{"user_id":"user-42","exp":04102444800}"#,
        r#"{"user_id":"user-42","exp":+4102444800}"#,
        r#"{"user_id":"user-42","exp":NaN}"#,
    ] {
        check_payload(payload, token_failed(TokenError::Malformed));
    }
    check_payload(r#"{"\u0075ser_id":"user\u002d42","\u0065xp":4102444800}"#, ProofVerdict::Valid);
}

#[test]
fn claims_are_looked_at_in_an_order_and_only_behind_a_signature() {
    check_payload(r#"{"user_id":"user-42"}"#, token_failed(TokenError::ExpiryMissing));
    check_payload(r#"{"user_id":"user-42","exp":"1"}"#, token_failed(TokenError::NotInteger(TimeClaim::Exp)));
    check_payload(r#"{"user_id":"user-42","exp":1}"#, token_failed(TokenError::Expired));
    check_payload(r#"{"exp":4102444800}"#, token_failed(TokenError::MissingSubject));
    check_payload(r#"{"user_id":"user-43","exp":4102444800}"#, token_failed(TokenError::SubjectMismatch));
    for payload in ["", "[]", "{}", r#"{"user_id":"user-42","exp":1}"#, PAYLOAD] {
        let forged = testing::sign(HEADER, payload, b"nobodys-secret-0123456789abcdef0123456789");
        let expected = if payload.is_empty() { TokenError::Malformed } else { TokenError::BadSignature };
        check(&[&forged], &[], &["user-42"], token_failed(expected));
    }
}

#[test]
fn a_token_of_one_byte_more_than_the_limit_is_too_large() {
    let limits = |token_bytes_max| Limits { token_bytes_max, ..Limits::default() };
    let verdict = |limits: &Limits| {
        let verifier = Verifier::new(&testing::policy(), vec![KeyMaterial::Secret(secret(SECRET))], &profile(), limits)
            .expect("keys");
        verifier
            .verify(&Presented { tokens: texts(&[VECTOR]), ..presented() }, NOW, &mut SignedPayload::default())
            .verdict()
    };
    assert_eq!(verdict(&limits(VECTOR.len())), ProofVerdict::Valid);
    assert_eq!(verdict(&limits(VECTOR.len() - 1)), token_failed(TokenError::TooLarge));
}

#[test]
fn no_change_of_one_character_holds() {
    let verifier = verifier();
    for at in 0..VECTOR.len() {
        for other in ["A", "Q", "g", "_", "-", ".", "=", " "] {
            let mut changed = VECTOR.to_owned();
            changed.replace_range(at..=at, other);
            let presented = Presented { tokens: texts(&[&changed]), ..presented() };
            let verdict = verifier.verify(&presented, NOW, &mut SignedPayload::default()).verdict();
            assert_eq!(verdict == ProofVerdict::Valid, changed == VECTOR, "{at} {other:?}");
        }
    }
}

#[test]
fn the_key_of_a_well_signed_token_is_known_even_if_it_is_expired() {
    let verifier = verifier();
    let key_id = |text: &str| {
        let presented = Presented { tokens: texts(&[text]), ..presented() };
        verifier.verify(&presented, NOW, &mut SignedPayload::default()).key_id().map(str::to_owned)
    };
    assert_eq!(key_id(VECTOR).as_deref(), Some("web"));
    assert_eq!(key_id(&token(r#"{"user_id":"user-42","exp":1}"#)).as_deref(), Some("web"));
    assert_eq!(key_id(&testing::sign(r#"{"alg":"none","kid":"web"}"#, PAYLOAD, SECRET)), None);
}

#[test]
fn a_key_verifies_what_it_is_for() {
    let policy = |uses: &[KeyUse]| IdentityPolicy { keys: vec![key("web", uses)], ..testing::policy() };
    let hash = user_hash("user-42");
    let with_token = Presented { tokens: texts(&[VECTOR]), ..presented() };
    let with_hash = Presented { user_hashes: texts(&[&hash]), user_ids: texts(&["user-42"]), ..presented() };
    let of_tokens = testing::verifier_of(&policy(&[KeyUse::Jwt]));
    assert_eq!(of_tokens.verify(&with_token, NOW, &mut SignedPayload::default()).verdict(), ProofVerdict::Valid);
    assert_eq!(
        of_tokens.verify(&with_hash, NOW, &mut SignedPayload::default()).verdict(),
        hash_failed(HashError::WithoutKey)
    );
    let of_hashes = testing::verifier_of(&policy(&[KeyUse::UserHash]));
    assert_eq!(
        of_hashes.verify(&with_token, NOW, &mut SignedPayload::default()).verdict(),
        token_failed(TokenError::UnknownKey)
    );
    assert_eq!(of_hashes.verify(&with_hash, NOW, &mut SignedPayload::default()).verdict(), ProofVerdict::HashValid);
}

#[track_caller]
fn check_keys(uses: KeyUse, ids: &[&str], materials: usize, expected: Option<KeyError>) {
    let keys = ids.iter().map(|id| key(id, &[uses])).collect();
    let policy = IdentityPolicy { keys, ..testing::policy() };
    let materials = (0..materials).map(|_| KeyMaterial::Secret(secret(SECRET))).collect();
    assert_eq!(Verifier::new(&policy, materials, &profile(), &Limits::default()).err(), expected);
}

#[test]
fn every_key_has_its_material_and_its_id() {
    check_keys(KeyUse::Jwt, &[], 0, None);
    check_keys(KeyUse::Jwt, &["a", "b"], 2, None);
    check_keys(KeyUse::Jwt, &["a", "b"], 1, Some(KeyError::Missing { id: "b".into() }));
    check_keys(KeyUse::Jwt, &["a", "b"], 3, Some(KeyError::Surplus));
    check_keys(KeyUse::Jwt, &["a", "a"], 2, Some(KeyError::Repeated { id: "a".into() }));
}

#[test]
fn keys_have_a_limit_for_each_use() {
    let ids: Vec<String> = (0..=KEYS_MAX).map(|index| format!("key-{index}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (uses, most) in [(KeyUse::Jwt, KEYS_MAX), (KeyUse::UserHash, KEY_TRIES_MAX)] {
        check_keys(uses, &ids[..most], most, None);
        check_keys(uses, &ids[..=most], most + 1, Some(KeyError::TooMany { id: format!("key-{most}") }));
    }
}

#[test]
fn a_public_key_is_no_secret_and_a_secret_no_public_key() {
    let new = |policy: KeyPolicy, material| {
        let policy = IdentityPolicy { keys: vec![policy], ..testing::policy() };
        Verifier::new(&policy, vec![material], &profile(), &Limits::default()).err()
    };
    let pem = || KeyMaterial::PublicKey(P256_PEM.as_bytes().to_vec());
    let source = KeySource::PublicKey("web.pem".into());
    let public = || KeyPolicy { source: source.clone(), algorithm: Algorithm::Es256, ..key("web", &[KeyUse::Jwt]) };
    assert_eq!(new(public(), pem()), None);
    let other_kind = Some(KeyError::OtherKind { id: "web".into() });
    assert_eq!(new(public(), KeyMaterial::Secret(secret(P256_PEM.as_bytes()))), other_kind);
    assert_eq!(new(key("web", &[KeyUse::Jwt]), pem()), other_kind);
}

#[test]
fn what_the_policy_asks_of_issuer_audience_and_claims_is_asked_after_the_times() {
    let policy =
        IdentityPolicy { issuers: vec!["acme".into()], required_claims: vec!["jti".into()], ..testing::policy() };
    let verifier = testing::verifier_of(&policy);
    let verdict = |payload: &str| {
        let presented = Presented { tokens: vec![token(payload).into()], ..presented() };
        verifier.verify(&presented, NOW, &mut SignedPayload::default()).verdict()
    };
    assert_eq!(verdict(r#"{"user_id":"user-42","exp":4102444800,"iss":"acme","jti":"1"}"#), ProofVerdict::Valid);
    assert_eq!(
        verdict(r#"{"user_id":"user-42","exp":4102444800,"iss":"acme"}"#),
        token_failed(TokenError::ClaimMissing)
    );
    assert_eq!(verdict(r#"{"user_id":"user-42","exp":4102444800,"jti":"1"}"#), token_failed(TokenError::WrongIssuer));
    assert_eq!(verdict(r#"{"user_id":"user-42","exp":1,"jti":"1"}"#), token_failed(TokenError::Expired));
}

#[test]
fn one_verifier_serves_every_thread() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&verifier());
}

#[test]
fn a_session_hides_nobody() {
    let verifier = verifier();
    let is_lead = |presented: &Presented<'_>, holder| {
        verifier.verify(presented, NOW, &mut SignedPayload::default()).user_or_lead(holder, None) == Subject::Lead
    };
    for holder in [Holder::Unasked, Holder::Lead] {
        assert!(is_lead(&presented(), holder));
        assert!(!is_lead(&Presented { emails: texts(&["ada@example.com"]), ..presented() }, holder));
        assert!(!is_lead(&Presented { tokens: texts(&["x"]), ..presented() }, holder));
    }
    for holder in [Holder::Hidden, Holder::Unknown, Holder::User] {
        assert!(!is_lead(&presented(), holder));
    }
}

#[test]
fn debug_shows_no_secret_token_or_claim() {
    let verifier = verifier();
    let hash = user_hash("user-42");
    let with = |tokens: &[&'static str]| Presented {
        sealed: vec![],
        tokens: texts(tokens),
        user_hashes: texts(&[&hash]),
        user_ids: texts(&["user-42"]),
        emails: texts(&["ada@example.com"]),
        sessions: texts(&["c2Vzc2lvbg"]),
        exchanged: None,
        platform: None,
    };
    let (by_token, by_hash) = (with(&[VECTOR]), with(&[]));
    let (mut payload, mut none) = (SignedPayload::default(), SignedPayload::default());
    let proofs = verifier.verify(&by_token, NOW, &mut payload);
    let hashed = verifier.verify(&by_hash, NOW, &mut none);
    assert_eq!((proofs.verdict(), hashed.verdict()), (ProofVerdict::Valid, ProofVerdict::HashValid));
    let claims = proofs.claims();
    let shown = format!("{verifier:?} {by_token:?} {proofs:?} {claims:?} {hashed:?} {:?}", secret(SECRET));
    for canary in ["test-secret", "eyJ", "user-42", "ada@", "pro\"", "seats", &hash] {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
    assert!(shown.contains("web"), "the key's id is for records");
}

proptest! {
    #[test]
    fn no_text_panics_and_none_that_nobody_signed_holds(
        text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_-]{0,40}){0,4}"],
        hash in prop_oneof![any::<String>(), "[0-9a-f]{60,68}"],
        now in any::<i64>(),
    ) {
        let verifier = verifier();
        for presented in [
            Presented { tokens: texts(&[&text]), ..presented() },
            Presented { user_hashes: texts(&[&hash]), user_ids: texts(&["user-42"]), ..presented() },
        ] {
            let verdict = verifier.verify(&presented, UnixSeconds(now), &mut SignedPayload::default()).verdict();
            prop_assert!(matches!(verdict, ProofVerdict::Failed(_)));
        }
    }

    #[test]
    fn no_signed_payload_panics(
        payload in prop_oneof![
            any::<String>(),
            "\\{\"exp\":-?[0-9]{0,25}(\\.[0-9]|e[0-9])?,\"user_id\":\"?[a-z0-9.]{0,5}\"?\\}",
        ],
        now in any::<i64>(),
    ) {
        let text = token(&payload);
        let verifier = verifier();
        let presented = Presented { tokens: texts(&[&text]), ..presented() };
        let _ = verifier.verify(&presented, UnixSeconds(now), &mut SignedPayload::default()).verdict();
    }

    #[test]
    fn a_token_holds_until_it_ends_and_not_a_second_longer(exp in 0_i64..999_999_999_999, late in -40_i64..40) {
        let text = token(&format!(r#"{{"user_id":"user-42","exp":{exp}}}"#));
        let verifier = verifier();
        let presented = Presented { tokens: texts(&[&text]), ..presented() };
        let verdict = verifier.verify(&presented, UnixSeconds(exp + late), &mut SignedPayload::default()).verdict();
        prop_assert_eq!(verdict == ProofVerdict::Valid, late < 30);
    }
}

/// `{"user_id":"user-42","plan":"pro"}` under the secret of the vectors, made with another library.
const SEALED: &str = "AAAAAAAAAAAAAAAAtcBVpVKbrUti9qHBV7sNU0YaoV8TYcNGTaiXvZas+u4zcw/h+TjicJnEGZqawM29RdE=";

#[test]
fn what_came_encrypted_says_who_and_what() {
    let uses = [KeyUse::Jwt, KeyUse::UserHash, KeyUse::EncryptedPayload];
    let policy = IdentityPolicy { keys: vec![key("web", &uses)], issuers: vec!["acme".into()], ..testing::policy() };
    let verifier = testing::verifier_of(&policy);
    let verdict =
        |sealed: &[&'static str], user_ids: &[&'static str], tokens: &[&'static str], hashes: &[&'static str]| {
            let presented = Presented {
                sealed: texts(sealed),
                user_ids: texts(user_ids),
                tokens: texts(tokens),
                user_hashes: texts(hashes),
                ..presented()
            };
            let mut payload = SignedPayload::default();
            let proofs = verifier.verify(&presented, NOW, &mut payload);
            let valid = proofs.verdict() == ProofVerdict::SealedValid;
            assert_eq!(proofs.claims().is_some(), valid);
            assert_eq!(proofs.subject(), valid.then_some("user-42"));
            proofs.verdict()
        };
    let failed = |error| ProofVerdict::Failed(ProofError::Sealed(error));
    assert_eq!(verdict(&[SEALED], &[], &[], &[]), ProofVerdict::SealedValid);
    assert_eq!(verdict(&[SEALED, SEALED], &["user-42"], &[], &[]), ProofVerdict::SealedValid);
    assert_eq!(verdict(&[SEALED], &["user-42"], &[], &["anything"]), ProofVerdict::SealedValid);
    assert_eq!(verdict(&[SEALED], &["user-43"], &[], &[]), token_failed(TokenError::SubjectMismatch));
    assert_eq!(verdict(&[SEALED, "AAAA"], &[], &[], &[]), failed(SealedError::Two));
    assert_eq!(verdict(&[SEALED], &[], &[VECTOR], &[]), failed(SealedError::BesideToken));
    assert_eq!(verdict(&["AAAA"], &["user-42"], &[], &[]), failed(SealedError::Malformed));
    let hash: &'static str = "14255644703afde09642fd12b8e9d2f3727b47a90950fde862ce8fca029cbb34";
    assert_eq!(verdict(&["AAAA"], &["user-42"], &[], &[hash]), failed(SealedError::Malformed), "no hash mends it");
}

#[test]
fn a_token_that_holds_is_told_from_others_and_no_other_is_told() {
    let (verifier, hasher) = (verifier(), std::hash::RandomState::new());
    let other = token(r#"{"user_id":"user-42","exp":4102444800,"iat":7}"#);
    let expired = token(r#"{"user_id":"user-42","exp":1}"#);
    let told = |tokens: &[&str]| {
        let presented = Presented { tokens: texts(tokens), ..presented() };
        let mut payload = SignedPayload::default();
        let told = verifier.verify(&presented, NOW, &mut payload).hashed_token(&hasher);
        told.map(|(hash, times)| (hash, times.exp, times.iat))
    };
    let first = told(&[VECTOR]).expect("it holds");
    assert_eq!((first.1, first.2), (Some(4_102_444_800), None));
    assert_eq!(told(&[VECTOR, VECTOR]), Some(first));
    let second = told(&[&other]).expect("it holds");
    assert_ne!(first.0, second.0);
    assert_eq!(second.2, Some(7));
    assert_eq!([told(&[]), told(&[&expired]), told(&["x"]), told(&[VECTOR, &other])], [None; 4]);
}
