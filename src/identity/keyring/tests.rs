use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::identity::jwt::VerifyingKey;
use crate::identity::key_set_testing::jwk;
use crate::identity::testing::{NOW, SECRET, sign};
use crate::identity::{KeySet, Secret, SigningKey};
use crate::policy::{IssuerPolicy, KeyTerm, Limits};
use crate::profile::Platforms;

const STALE_AFTER: i64 = 100;

/// A set of an issuer, and how often a key of it was missed.
struct Issuer {
    published: Arc<PublishedKeys>,
    missed: Arc<AtomicUsize>,
}

fn issuer() -> Issuer {
    let missed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&missed);
    Issuer {
        published: Arc::new(PublishedKeys::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        })),
        missed,
    }
}

impl Issuer {
    fn publish(&self, keys: &[(&str, &SigningKey)], at: i64) {
        let keys: Vec<_> = keys.iter().map(|(kid, key)| jwk(kid, key)).collect();
        let document = serde_json::json!({ "keys": keys }).to_string();
        let set = KeySet::parse(document.as_bytes(), &[Algorithm::Es256, Algorithm::EdDsa]).expect("a set");
        self.published.confirm(Arc::new(set), UnixSeconds(at));
    }

    fn named(&self, id: &str) -> NamedSet {
        let issuer = IssuerPolicy {
            url: "https://issuer.example/jwks.json".parse().expect("a url"),
            ca: None,
            refresh: std::time::Duration::from_secs(10),
            stale_after: std::time::Duration::from_secs(STALE_AFTER.unsigned_abs()),
        };
        let policy = KeySetPolicy {
            id: id.into(),
            algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
            source: KeySetSource::Issuer(issuer),
        };
        NamedSet::new(&policy, Arc::clone(&self.published))
    }

    fn missed(&self) -> usize {
        self.missed.load(Ordering::SeqCst)
    }
}

fn ring(sets: Vec<NamedSet>) -> Keyring {
    let mut own = TokenKeys::new();
    let secret = Secret::from(SECRET.to_vec());
    own.push("web", Algorithm::Hs256, KeyTerm::default(), Platforms::ALL, VerifyingKey::secret(&secret));
    Keyring { own, sets }
}

fn key() -> SigningKey {
    SigningKey::draw(Algorithm::Es256).expect("a key")
}

fn token(key: &SigningKey, kid: Option<&str>) -> String {
    let kid = kid.map_or_else(String::new, |kid| format!(r#","kid":"{kid}""#));
    key.sign(&format!(r#"{{"alg":"ES256"{kid}}}"#), b"{}").expect("signed")
}

fn verify(ring: &Keyring, text: &str, now: i64) -> Result<String, TokenError> {
    let token = UnverifiedToken::parse(text, &Limits::default()).expect("a token");
    let found = ring.verify(token, UnixSeconds(now), None, &mut SignedPayload::default());
    found.map_err(|refused| refused.error).map(|name| {
        assert!(name.full.starts_with(name.policy_id));
        name.full.into_owned()
    })
}

#[test]
fn a_key_of_a_set_signs_under_the_sets_name() {
    let (issuer, key, other) = (issuer(), key(), key());
    issuer.publish(&[("k1", &key)], NOW.0);
    let ring = ring(vec![issuer.named("idp")]);
    let verify = |text: &str| verify(&ring, text, NOW.0);
    assert_eq!(verify(&token(&key, Some("k1"))).as_deref(), Ok("idp/k1"));
    assert_eq!(verify(&token(&key, Some("k1"))).as_deref(), Ok("idp/k1"), "known by now");
    assert_eq!(verify(&token(&key, None)).as_deref(), Ok("idp/k1"));
    assert_eq!(verify(&sign(r#"{"alg":"HS256"}"#, "{}", SECRET)).as_deref(), Ok("web"));
    assert_eq!(verify(&sign(r#"{"alg":"HS256","kid":"web"}"#, "{}", SECRET)).as_deref(), Ok("web"));
    assert_eq!(verify(&token(&other, Some("k1"))), Err(TokenError::BadSignature));
    assert_eq!(verify(&token(&other, None)), Err(TokenError::BadSignature));
    assert_eq!(issuer.missed(), 0, "all of them were there");
    // The record's name of a key is none by which a token may call it.
    for kid in ["idp/k1", "idp", "K1", "k1 ", ""] {
        assert_eq!(verify(&token(&key, Some(kid))), Err(TokenError::UnknownKey), "{kid}");
    }
    assert_eq!(issuer.missed(), 5);
}

#[test]
fn what_a_set_publishes_replaces_no_own_key() {
    let (issuer, key) = (issuer(), key());
    issuer.publish(&[("web", &key)], NOW.0);
    let ring = ring(vec![issuer.named("idp")]);
    assert_eq!(verify(&ring, &token(&key, Some("web")), NOW.0), Err(TokenError::WrongAlgorithm));
    let by_own = sign(r#"{"alg":"HS256","kid":"web"}"#, "{}", SECRET);
    assert_eq!(verify(&ring, &by_own, NOW.0).as_deref(), Ok("web"));
}

#[test]
fn a_key_that_was_withdrawn_signs_nothing_also_what_it_had_signed() {
    let (issuer, old, new) = (issuer(), key(), key());
    let ring = ring(vec![issuer.named("idp")]);
    issuer.publish(&[("old", &old), ("new", &new)], NOW.0);
    let texts = [token(&old, Some("old")), token(&old, None)];
    for text in &texts {
        assert_eq!(verify(&ring, text, NOW.0).as_deref(), Ok("idp/old"));
    }
    issuer.publish(&[("new", &new)], NOW.0);
    assert_eq!(verify(&ring, &texts[0], NOW.0), Err(TokenError::UnknownKey));
    assert_eq!(verify(&ring, &texts[1], NOW.0), Err(TokenError::BadSignature));
    // Another key under the name of before.
    issuer.publish(&[("old", &new)], NOW.0);
    assert_eq!(verify(&ring, &texts[0], NOW.0), Err(TokenError::BadSignature));
}

#[test]
fn a_set_that_nobody_confirmed_says_nothing_of_any_token_that_may_be_its_own() {
    let (issuer, key, other) = (issuer(), key(), key());
    let ring = ring(vec![issuer.named("idp")]);
    let texts = [token(&key, Some("k1")), token(&key, None), token(&other, Some("k1")), token(&other, Some("k2"))];
    for text in &texts {
        assert_eq!(verify(&ring, text, NOW.0), Err(TokenError::KeysStale), "nothing is known yet");
    }
    issuer.publish(&[("k1", &key)], NOW.0);
    let last = NOW.0 + STALE_AFTER;
    assert_eq!(verify(&ring, &texts[0], last).as_deref(), Ok("idp/k1"));
    for text in &texts {
        assert_eq!(verify(&ring, text, last + 1), Err(TokenError::KeysStale));
    }
    assert_eq!(verify(&ring, &texts[0], NOW.0 - 1_000_000).as_deref(), Ok("idp/k1"), "the clock was set back");
    assert!(issuer.missed() >= 8, "each of them asks");
    let missed = issuer.missed();
    // A token of an algorithm that the set never has is none of its own.
    let own = |secret| sign(r#"{"alg":"HS256"}"#, "{}", secret);
    assert_eq!(verify(&ring, &own(SECRET), last + 1).as_deref(), Ok("web"));
    assert_eq!(
        verify(&ring, &own(b"another-secret-0123456789abcdef0123456789"), last + 1),
        Err(TokenError::BadSignature)
    );
    let unknown = sign(r#"{"alg":"HS256","kid":"k9"}"#, "{}", SECRET);
    assert_eq!(verify(&ring, &unknown, last + 1), Err(TokenError::UnknownKey));
    assert_eq!(issuer.missed(), missed, "and asks nobody");
    issuer.publish(&[("k1", &key)], last + 1);
    assert_eq!(verify(&ring, &texts[0], last + 1).as_deref(), Ok("idp/k1"), "it is back");
}

#[test]
fn of_two_sets_the_one_that_has_the_key_decides() {
    let (fresh, stale) = (issuer(), issuer());
    let (key, other) = (key(), self::key());
    fresh.publish(&[("k1", &key)], NOW.0);
    for sets in [vec![fresh.named("fresh"), stale.named("stale")], vec![stale.named("stale"), fresh.named("fresh")]] {
        let ring = ring(sets);
        assert_eq!(verify(&ring, &token(&key, Some("k1")), NOW.0).as_deref(), Ok("fresh/k1"));
        assert_eq!(verify(&ring, &token(&key, None), NOW.0).as_deref(), Ok("fresh/k1"));
        assert_eq!(verify(&ring, &token(&other, Some("k1")), NOW.0), Err(TokenError::BadSignature));
        assert_eq!(verify(&ring, &token(&other, Some("k2")), NOW.0), Err(TokenError::KeysStale));
        assert_eq!(verify(&ring, &token(&other, None), NOW.0), Err(TokenError::KeysStale));
    }
}

#[test]
fn a_token_without_key_id_costs_no_more_signatures_with_sets_than_without() {
    let issuers: Vec<Issuer> = (0..3).map(|_| issuer()).collect();
    let keys: Vec<SigningKey> = (0..12).map(|_| key()).collect();
    for (issuer, keys) in issuers.iter().zip(keys.chunks(4)) {
        let kids = ["a", "b", "c", "d"];
        issuer.publish(&kids.into_iter().zip(keys).collect::<Vec<_>>(), NOW.0);
    }
    let ring = ring(issuers.iter().map(|issuer| issuer.named("idp")).collect());
    assert!(verify(&ring, &token(&keys[7], None), NOW.0).is_ok());
    // The ninth is not tried, unless it is named or known.
    assert_eq!(verify(&ring, &token(&keys[8], None), NOW.0), Err(TokenError::BadSignature));
}
