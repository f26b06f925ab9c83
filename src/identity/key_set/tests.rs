use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{document, jwk};
use super::*;
use crate::identity::SigningKey;
use crate::identity::public_key::vectors::RSA_N;

const TAKEN: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

fn es256(kid: &str) -> Value {
    jwk(kid, &SigningKey::draw(Algorithm::Es256).expect("a key"))
}

fn rsa(kid: &str) -> Value {
    json!({"kty": "RSA", "kid": kid, "n": RSA_N, "e": "AQAB"})
}

fn with(mut jwk: Value, members: Value) -> Value {
    let (Value::Object(jwk_members), Value::Object(members)) = (&mut jwk, members) else { panic!("objects") };
    jwk_members.extend(members);
    jwk
}

fn parse(keys: &[Value], algorithms: &[Algorithm]) -> Result<KeySet, KeySetError> {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), algorithms)
}

/// Beside a good key, this one is left out for that reason.
#[track_caller]
fn check(jwk: Value, expected: LeftOut) {
    let set = parse(&[es256("good"), jwk.clone()], &TAKEN).expect("a set");
    assert_eq!((set.len(), set.left_out()), (1, &[expected][..]), "{jwk}");
    assert!(set.keys.has("good"));
    assert_eq!(parse(&[jwk], &TAKEN).err(), Some(KeySetError::NoUsableKey), "alone it is no set");
}

#[test]
fn what_is_not_for_verifying_tokens_is_left_out_and_the_rest_stays() {
    check(json!({"kty": "oct", "kid": "a", "k": "AAAA", "alg": "HS256"}), LeftOut::Secret);
    check(json!({"kty": "oct", "kid": "a", "k": "AAAA", "alg": "RS256"}), LeftOut::Secret);
    check(with(es256("a"), json!({"d": "AAAA"})), LeftOut::Private);
    check(with(rsa("a"), json!({"p": "AAAA"})), LeftOut::Private);
    check(with(es256("a"), json!({"use": "enc"})), LeftOut::OtherUse);
    check(with(es256("a"), json!({"key_ops": ["encrypt"]})), LeftOut::OtherUse);
    check(with(es256("a"), json!({"key_ops": "verify"})), LeftOut::OtherUse);
    check(with(es256("a"), json!({"alg": "ES384"})), LeftOut::OtherAlgorithm);
    check(with(es256("a"), json!({"alg": "HS256"})), LeftOut::OtherAlgorithm);
    check(with(es256("a"), json!({"alg": "none"})), LeftOut::OtherAlgorithm);
    check(with(es256("a"), json!({"alg": 256})), LeftOut::OtherAlgorithm);
    check(with(es256("a"), json!({"alg": "RS256"})), LeftOut::Unreadable);
    check(with(es256("a"), json!({"crv": "P-384"})), LeftOut::OtherAlgorithm);
    check(with(es256("a"), json!({"x": "AAAA"})), LeftOut::Unreadable);
    check(with(es256("a"), json!({"y": 1})), LeftOut::Unreadable);
    check(with(rsa("a"), json!({"n": RSA_N.get(..172)})), LeftOut::Weak);
    check(with(rsa("a"), json!({"e": "AQ"})), LeftOut::Weak);
    check(json!({"kty": "AKP", "kid": "a", "alg": "ML-DSA-65"}), LeftOut::OtherAlgorithm);
    for nothing in [json!(null), json!("key"), json!([]), json!({}), json!({"kty": 1})] {
        check(nothing, LeftOut::Unreadable);
    }
    for kid in
        [json!(""), json!("a b"), json!("a\u{e9}"), json!("\u{202e}"), json!(1), json!("k".repeat(KID_BYTES_MAX + 1))]
    {
        check(with(es256("a"), json!({ "kid": kid })), LeftOut::KeyId);
    }
    let longest = "k".repeat(KID_BYTES_MAX);
    assert!(parse(&[es256(&longest)], &TAKEN).expect("a set").keys.has(&longest));
}

#[test]
fn two_keys_of_one_id_are_none() {
    let set = parse(&[es256("a"), es256("a"), es256("b")], &TAKEN).expect("a set");
    assert_eq!((set.len(), set.left_out()), (1, &[LeftOut::Ambiguous, LeftOut::Ambiguous][..]));
    assert!(!set.keys.has("a") && set.keys.has("b"));
    // One that is not for tokens takes nobody's name.
    let set = parse(&[es256("a"), with(es256("a"), json!({"use": "enc"}))], &TAKEN).expect("a set");
    assert!(set.keys.has("a"));
    assert!(!parse(&[es256("a"), es256("A")], &TAKEN).expect("a set").keys.has("Aa"));
}

#[test]
fn a_key_has_one_algorithm() {
    assert_eq!(parse(&[rsa("a")], &[Algorithm::Rs256]).expect("a set").len(), 1);
    assert_eq!(parse(&[rsa("a")], &[Algorithm::Rs256, Algorithm::Es256]).expect("a set").len(), 1);
    let several = [Algorithm::Rs256, Algorithm::Ps256];
    assert_eq!(parse(&[rsa("a")], &several).err(), Some(KeySetError::NoUsableKey));
    let set = parse(&[rsa("a"), with(rsa("b"), json!({"alg": "PS256"}))], &several).expect("a set");
    assert_eq!((set.len(), set.left_out()), (1, &[LeftOut::SeveralAlgorithms][..]));
    let curves = [Algorithm::Es256, Algorithm::Es384];
    assert_eq!(parse(&[es256("a")], &curves).expect("a set").len(), 1, "the curve says which");
}

#[test]
fn what_is_no_set_is_none() {
    let no_set = |text: &str| KeySet::parse(text.as_bytes(), &TAKEN).expect_err("no set");
    for text in ["", "<html></html>", "{", "{\"keys\":[]", "\u{feff}{\"keys\":[]}", "{\"keys\":[],\"keys\":[]}"] {
        assert_eq!(no_set(text), KeySetError::NotJson, "{text}");
    }
    for text in ["[]", "{}", "null", "{\"keys\":{}}", "{\"keys\":null}", "{\"Keys\":[]}", &es256("a").to_string()] {
        assert_eq!(no_set(text), KeySetError::NotASet, "{text}");
    }
    assert_eq!(no_set("{\"keys\":[]}"), KeySetError::NoUsableKey);
    let twice = es256("a").to_string().replacen('{', "{\"kid\":\"b\",", 1);
    assert_eq!(no_set(&format!("{{\"keys\":[{twice}]}}")), KeySetError::NotJson, "a member twice");
}

#[test]
fn a_set_has_limits() {
    let kids: Vec<String> = (0..=SET_KEYS_MAX).map(|index| format!("key-{index}")).collect();
    let kids: Vec<&str> = kids.iter().map(String::as_str).collect();
    let parse = |text: &str| KeySet::parse(text.as_bytes(), &TAKEN);
    assert_eq!(parse(&document(&kids[..SET_KEYS_MAX])).expect("a set").len(), SET_KEYS_MAX);
    assert_eq!(parse(&document(&kids)).err(), Some(KeySetError::TooManyKeys));
    let small = document(&["a"]);
    let padded = |bytes: usize| format!("{small}{}", " ".repeat(bytes - small.len()));
    assert!(parse(&padded(SET_BYTES_MAX)).is_ok());
    assert_eq!(parse(&padded(SET_BYTES_MAX + 1)).err(), Some(KeySetError::TooLong));
}

#[test]
fn a_set_is_known_again_by_its_bytes() {
    let text = document(&["a"]);
    let set = KeySet::parse(text.as_bytes(), &TAKEN).expect("a set");
    assert!(set.is_of(text.as_bytes()) && !set.is_of(format!("{text} ").as_bytes()));
}

/// A set with keys of all kinds.
fn mixed() -> String {
    json!({"keys": [es256("a"), rsa("b"), {"kty": "oct", "kid": "c", "k": "AAAA"}, with(rsa("d"), json!({"alg": "PS512"}))]})
        .to_string()
}

/// Whatever came of it: only listed algorithms, and no more keys than there may be.
fn assert_sound(content: &[u8], algorithms: &[Algorithm]) {
    if let Ok(set) = KeySet::parse(content, algorithms) {
        assert!((1..=SET_KEYS_MAX).contains(&set.len()));
        assert!(set.keys.algorithms().all(|algorithm| algorithms.contains(&algorithm)));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(content in prop::collection::vec(any::<u8>(), 0..400)) {
        assert_sound(&content, &TAKEN);
    }

    #[test]
    fn a_set_that_was_changed_gives_no_key_of_another_algorithm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        words in prop::collection::vec((0_usize..12, 0_usize..12), 0..4),
        picked in prop::sample::subsequence(vec![Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa], 1..=5),
    ) {
        const WORDS: [&str; 12] = ["\"RSA\"", "\"EC\"", "\"oct\"", "\"OKP\"", "\"P-256\"", "\"PS512\"", "\"HS256\"", "\"none\"", "\"alg\"", "\"kty\"", "\"kid\"", "\"use\""];
        let mut text = mixed();
        for (old, new) in words {
            text = text.replacen(WORDS[old], WORDS[new], 1);
        }
        let mut content = text.into_bytes();
        for (at, byte) in changes {
            let at = at.index(content.len());
            content[at] = byte;
        }
        assert_sound(&content, &picked);
    }
}
