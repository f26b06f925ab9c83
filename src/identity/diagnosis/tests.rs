use std::time::Duration;

use aws_lc_rs::hmac;
use proptest::prelude::*;

use super::*;
use crate::identity::testing::{self, HEADER, NOW, SECRET, encode, key, profile, secret, sign, signature, token};
use crate::policy::Expiry;
use crate::profile::PlatformSource;

const IOS_SECRET: &[u8] = b"ios-secret-0123456789abcdef0123456789ab";
const OTHER_SECRET: &[u8] = b"other-secret-0123456789abcdef0123456789";
const HASH_SECRET: &[u8] = b"hash-secret-0123456789abcdef0123456789a";
const CLAIMS: &str = r#"{"user_id":"user-42","exp":1795000600}"#;

/// Two keys for tokens, one for hashes alone; a leeway of 30 seconds.
fn policy() -> IdentityPolicy {
    let keys = vec![
        key("web-2026", &[KeyUse::Jwt, KeyUse::UserHash]),
        key("ios-2026", &[KeyUse::Jwt]),
        key("hash-2026", &[KeyUse::UserHash]),
    ];
    IdentityPolicy { keys, ..testing::policy() }
}

fn beta_policy() -> IdentityPolicy {
    IdentityPolicy { keys: vec![key("beta-2026", &[KeyUse::Jwt])], ..testing::policy() }
}

fn material(bytes: &[u8]) -> KeyMaterial {
    KeyMaterial::Secret(secret(bytes))
}

fn had(secrets: &[&[u8]]) -> Vec<Result<KeyMaterial, String>> {
    secrets.iter().map(|bytes| Ok(material(bytes))).collect()
}

/// What workspace `acme` says, with workspace `beta` beside it.
fn ask(
    policy: &IdentityPolicy,
    materials: Vec<Result<KeyMaterial, String>>,
    text: &str,
    user_id: Option<&str>,
) -> Diagnosis {
    let (beta_policy, profile, limits) = (beta_policy(), profile(), Limits::default());
    let acme = Examiner::new("acme", policy, &profile, &limits, materials).expect("good keys");
    let beta = Examiner::new("beta", &beta_policy, &profile, &limits, had(&[OTHER_SECRET])).expect("good keys");
    diagnose(&Question { token: text, user_id, platform: None, now: NOW }, &[acme, beta], Some("acme")).remove(0)
}

#[test]
fn a_key_of_another_platform_is_named_with_its_platforms() {
    let keys = vec![
        key("web-2026", &[KeyUse::Jwt]),
        KeyPolicy { platforms: Platforms::of(&[Platform::Ios]), ..key("ios-2026", &[KeyUse::Jwt]) },
    ];
    let policy = IdentityPolicy { keys, ..testing::policy() };
    let limits = Limits::default();
    let said = |words: &[(&str, Platform)]| PlatformSource::Said {
        at: vec![],
        words: words.iter().map(|(word, platform)| ((*word).to_owned(), *platform)).collect(),
    };
    let apps = said(&[("web", Platform::Web), ("ios", Platform::Ios)]);
    let text = sign(HEADER, r#"{"user_id":"user-42","exp":1795000600}"#, IOS_SECRET);
    let signer = "it matches key `ios-2026` of workspace `acme`, which is for `ios` only";
    for (platform, source, code, begin) in [
        (Some(Platform::Ios), &apps, "valid", ""),
        (
            Some(Platform::Web),
            &apps,
            "key_for_other_platform",
            "its key is not for `web`, where the request comes from; ",
        ),
        (
            None,
            &apps,
            "key_for_other_platform",
            "its key is not for all platforms, and the request does not say where it comes from; ",
        ),
        // On a wire of pages, saying something else is of no use.
        (
            Some(Platform::Ios),
            &PlatformSource::Always(Platform::Web),
            "key_for_other_platform",
            "its key is not for `web`, where the request comes from; ",
        ),
        (
            Some(Platform::Ios),
            &PlatformSource::Untold,
            "key_for_other_platform",
            "its key is not for all platforms, and profile `chat` does not tell where a request comes from; ",
        ),
    ] {
        let profile = Profile { id: "chat".to_owned(), platform: source.clone(), ..profile() };
        let materials = had(&[SECRET, IOS_SECRET]);
        let acme = Examiner::new("acme", &policy, &profile, &limits, materials).expect("good keys");
        let found = diagnose(&Question { token: &text, user_id: None, platform, now: NOW }, &[acme], None).remove(0);
        assert_eq!(found.verdict.code(), code, "{}", found.sentence);
        if code != "valid" {
            assert_eq!(found.sentence, format!("{begin}{signer}"));
            assert_eq!(found.hints, [""; 0]);
        }
    }
}

#[track_caller]
fn check_of(policy: &IdentityPolicy, text: &str, code: &str, sentence: &str, hints: &[&str]) {
    let found = ask(policy, had(&[SECRET, IOS_SECRET, HASH_SECRET]), text, None);
    assert_eq!((found.verdict.code(), &*found.sentence), (code, sentence));
    assert_eq!(found.hints, hints);
}

#[track_caller]
fn check(text: &str, code: &str, sentence: &str, hints: &[&str]) {
    check_of(&policy(), text, code, sentence, hints);
}

/// A token that names its key says these claims.
#[track_caller]
fn check_claims(policy: &IdentityPolicy, claims: &str, code: &str, sentence: &str, hints: &[&str]) {
    let header = r#"{"alg":"HS256","kid":"web-2026"}"#;
    let claims = format!(r#"{{"user_id":"user-42"{}{claims}}}"#, if claims.is_empty() { "" } else { "," });
    check_of(policy, &sign(header, &claims, SECRET), code, sentence, hints);
}

const SIGNED: &str = "; key `web-2026` signed it";
const EACH: &str = "it has no `kid`: each of 2 keys is tried";
const WOULD_BE: &str = "but for its signature it would be valid for another 10 minutes, until 2026-11-18T11:16:40Z";

#[test]
fn until_when_a_token_is_valid() {
    let policy = policy();
    check(&token(CLAIMS), "valid", &format!("for another 10 minutes, until 2026-11-18T11:16:40Z{SIGNED}"), &[EACH]);
    let soon = "it ends within a minute: a page lives longer, and must fetch another in time";
    let valid = |exp: i64, sentence: &str, hints: &[&str]| {
        check_claims(&policy, &format!(r#""exp":{}"#, NOW.0 + exp), "valid", &format!("{sentence}{SIGNED}"), hints);
    };
    valid(60, "for another 1 minute, until 2026-11-18T11:07:40Z", &[]);
    valid(59, "for another 59 seconds, until 2026-11-18T11:07:39Z", &[soon]);
    let leeway = "by nothing but the leeway of 30 seconds: it ended 29 seconds ago, at 2026-11-18T11:06:11Z";
    valid(-29, leeway, &[]);
}

#[test]
fn by_how_much_a_token_is_late() {
    let policy = policy();
    let late = |exp: i64, sentence: &str, hints: &[&str]| {
        check_claims(&policy, &format!(r#""exp":{exp}"#), "expired", sentence, hints);
    };
    late(NOW.0 - 30, "it ended 30 seconds ago, at 2026-11-18T11:06:10Z", &[]);
    late(NOW.0 - 11_520, "it ended 3 hours 12 minutes ago, at 2026-11-18T07:54:40Z", &[]);
    let lifetime = "`exp` looks like a lifetime: it is a time, in seconds since 1970, so add the lifetime to now";
    late(3_600, "it ended 20775 days 10 hours ago, at 1970-01-01T01:00:00Z", &[lifetime]);
    late(100_000_000, "it ended 19618 days 1 hour ago, at 1973-03-03T09:46:40Z", &[]);
}

#[test]
fn a_token_without_an_end() {
    check_claims(&policy(), "", "expiry_missing", "it has no `exp`: it must say when it ends", &[]);
    let endless = IdentityPolicy { expiry: Expiry::Optional, ..policy() };
    let sentence = format!("and it never ends: it has no `exp`, and the policy takes it so{SIGNED}");
    check_claims(&endless, "", "valid", &sentence, &[]);
    let bounded = IdentityPolicy { max_lifetime: Some(Duration::from_secs(7200)), ..endless };
    let neither = "it has neither `exp` nor `iat`: where there is a `max_lifetime`, it needs one of them";
    check_claims(&bounded, "", "expiry_missing", neither, &[]);
    let old = format!(r#""iat":{}"#, NOW.0 - 7230);
    let sentence = "it ended 30 seconds ago: it has no `exp`, and may live for 2 hours from its `iat`";
    check_claims(&bounded, &old, "expired", sentence, &[]);
    let fresh = format!(r#""iat":{}"#, NOW.0 - 3600);
    let sentence = format!("for another 1 hour, until 2026-11-18T12:06:40Z{SIGNED}");
    check_claims(&bounded, &fresh, "valid", &sentence, &[]);
}

#[test]
fn by_how_much_a_token_is_early() {
    let policy = policy();
    let clocks = "the clock of whoever signed it is ahead, or the clock of this machine is behind";
    let early = |claim: &str, ahead: i64, sentence: &str| {
        let claims = format!(r#""exp":1795009000,"{claim}":{}"#, NOW.0 + ahead);
        check_claims(&policy, &claims, "not_yet_valid", sentence, &[clocks]);
    };
    early("nbf", 31, "its `nbf` is 31 seconds ahead, and the leeway is 30 seconds");
    early("iat", 300, "its `iat` is 5 minutes ahead, and the leeway is 30 seconds");
    let claims = format!(r#""exp":1795000600,"nbf":{0},"iat":{0}"#, NOW.0 + 30);
    let sentence = format!("for another 10 minutes, until 2026-11-18T11:16:40Z{SIGNED}");
    check_claims(&policy, &claims, "valid", &sentence, &[]);
    let claims = format!(r#""exp":1795000600,"nbf":{},"iat":{}"#, NOW.0 + 30, NOW.0 + 31);
    let sentence = "its `iat` is 31 seconds ahead, and the leeway is 30 seconds";
    check_claims(&policy, &claims, "not_yet_valid", sentence, &[clocks]);
}

#[test]
fn by_how_much_a_token_lives_too_long() {
    let policy = IdentityPolicy { max_lifetime: Some(Duration::from_secs(7200)), ..policy() };
    let long = |claims: &str, sentence: &str| check_claims(&policy, claims, "lifetime_too_long", sentence, &[]);
    let exp = NOW.0 + 3 * 3600;
    long(&format!(r#""exp":{exp}"#), "it lives for 3 hours from now, 1 hour longer than the `max_lifetime` of 2 hours");
    long(
        &format!(r#""exp":{},"iat":{}"#, NOW.0 + 60, NOW.0 - 7141),
        "it lives for 2 hours from its `iat`, 1 second longer than the `max_lifetime` of 2 hours",
    );
    let sentence = format!("for another 1 minute, until 2026-11-18T11:07:40Z{SIGNED}");
    check_claims(&policy, &format!(r#""exp":{},"iat":{}"#, NOW.0 + 60, NOW.0 - 7140), "valid", &sentence, &[]);
}

#[test]
fn a_time_that_counts_something_else() {
    let policy = policy();
    check_claims(
        &policy,
        r#""exp":1795000600000"#,
        "exp_in_milliseconds",
        "its `exp` is 1795000600000, which looks like milliseconds; did you mean 1795000600 (2026-11-18T11:16:40Z)?",
        &[],
    );
    check_claims(
        &policy,
        r#""exp":1795000600,"iat":1000000000000"#,
        "iat_in_milliseconds",
        "its `iat` is 1000000000000, which looks like milliseconds; did you mean 1000000000 (2001-09-09T01:46:40Z)?",
        &[],
    );
    let exp = 999_999_999_999_i64;
    let sentence = format!("for another {} days 14 hours, until second {exp}{SIGNED}", (exp - NOW.0) / 86_400);
    check_claims(&policy, &format!(r#""exp":{exp}"#), "valid", &sentence, &[]);
}

#[test]
fn a_time_that_is_no_whole_number() {
    let policy = policy();
    let wrong = |value: &str, sentence: &str| {
        check_claims(&policy, &format!(r#""exp":{value}"#), "exp_not_integer", sentence, &[]);
    };
    let whole = "expected whole seconds since 1970";
    wrong(r#""1795000600""#, &format!("its `exp` is \"1795000600\": {whole}, without quotation marks"));
    wrong(r#""canary""#, &format!("its `exp` is a text: {whole}, without quotation marks"));
    wrong("1795000600.5", &format!("its `exp` is 1795000600.5: {whole}, without fraction or exponent"));
    wrong("1.7e9", &format!("its `exp` is 1.7e9: {whole}, without fraction or exponent"));
    wrong("null", &format!("its `exp` is null: {whole}"));
    wrong("[1795000600]", &format!("its `exp` is a list: {whole}"));
    let sentence = "its `nbf` is 99999999999999999999, which is beyond all times";
    check_claims(&policy, r#""exp":1795000600,"nbf":99999999999999999999"#, "nbf_out_of_range", sentence, &[]);
}

#[test]
fn a_token_that_names_no_user() {
    let missing = |claims: &str, sentence: &str, hints: &[&str]| {
        let claims = format!(r#"{{{claims}"exp":1795000600}}"#);
        check(&sign(r#"{"alg":"HS256","kid":"web-2026"}"#, &claims, SECRET), "missing_subject", sentence, hints);
    };
    let none = "it names no user: of `user_id`, `sub`, it has none";
    let expected = "expected a text, or a whole number in digits";
    missing("", none, &[]);
    missing(r#""email":"ada@example.com","#, none, &[]);
    missing(r#""userId":"user-42","#, none, &["it has `userId`: did you mean `user_id`?"]);
    missing(r#""user_id":" ","#, "its `user_id` is blank", &[]);
    missing(r#""user_id":null,"sub":"user-42","#, &format!("its `user_id` is null: {expected}"), &[]);
    missing(r#""sub":4.2,"#, &format!("its `sub` is a number that is not whole: {expected}"), &[]);
}

#[test]
fn a_token_about_somebody_else() {
    let asked = |user_id: &str| {
        let text = sign(r#"{"alg":"HS256","kid":"web-2026"}"#, CLAIMS, SECRET);
        ask(&policy(), had(&[SECRET, IOS_SECRET, HASH_SECRET]), &text, Some(user_id))
    };
    assert_eq!(asked("user-42").verdict, Examined::Valid);
    for (user_id, hint) in [
        ("user-43", None),
        ("User-42", Some("the two are the same but for the case of letters, and are compared to the letter")),
        ("user-42 ", Some("the two are the same but for white space around them, and are compared to the letter")),
    ] {
        let found = asked(user_id);
        assert_eq!(found.verdict, Examined::Failed(TokenError::SubjectMismatch), "{user_id}");
        assert_eq!(found.sentence, "its `user_id` is not the user id that was given");
        assert_eq!(found.hints, Vec::from_iter(hint), "{user_id}");
        assert_eq!(found.key.as_deref(), Some("web-2026"));
    }
}

#[test]
fn whose_key_signed_it_instead() {
    let by = |kid: &str, secret: &[u8]| sign(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), CLAIMS, secret);
    let did_not = "key `web-2026`, which its `kid` names, did not sign it";
    let bad = |text: &str, sentence: &str| check(text, "bad_signature", sentence, &[WOULD_BE]);
    bad(&by("web-2026", IOS_SECRET), &format!("{did_not}; it matches key `ios-2026` of workspace `acme`"));
    bad(&by("web-2026", OTHER_SECRET), &format!("{did_not}; it matches key `beta-2026` of workspace `beta`"));
    let hash = "; it matches key `hash-2026` of workspace `acme`, which is not for tokens";
    bad(&by("web-2026", HASH_SECRET), &format!("{did_not}{hash}"));
    bad(&by("web-2026", b"nobodys-secret-0123456789abcdef01234567"), &format!("{did_not}; {NOBODY}"));
    let none = "it was signed by none of `web-2026`, `ios-2026`";
    bad(&sign(HEADER, CLAIMS, OTHER_SECRET), &format!("{none}; it matches key `beta-2026` of workspace `beta`"));
    bad(&sign(HEADER, CLAIMS, b"nobodys-secret-0123456789abcdef01234567"), &format!("{none}; {NOBODY}"));
    check(&sign(HEADER, CLAIMS, IOS_SECRET), "valid", &format!("{TEN_MINUTES}; key `ios-2026` signed it"), &[EACH]);
}

const NOBODY: &str = "it matches no other key either";
const TEN_MINUTES: &str = "for another 10 minutes, until 2026-11-18T11:16:40Z";

#[test]
fn a_secret_that_was_decoded_before_somebody_signed_with_it() {
    let text = "00112233445566778899aabbccddeeff0123456789abcdefedededededededed";
    let bytes = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    let bytes = [bytes.as_slice(), &[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef], &[0xed; 8]].concat();
    let asked = |by: &[u8]| {
        let secrets = had(&[text.as_bytes(), IOS_SECRET, HASH_SECRET]);
        ask(&policy(), secrets, &sign(HEADER, CLAIMS, by), None).sentence
    };
    let matches = "it was signed by none of `web-2026`, `ios-2026`; it matches key `web-2026` of workspace `acme`";
    assert_eq!(
        asked(&bytes),
        format!("{matches} with its secret decoded from hexadecimal (sign with the text as it stands)")
    );
    let with_line_break = format!("{text}\n");
    assert_eq!(
        asked(with_line_break.as_bytes()),
        format!("{matches} with a line break behind its secret (sign with the text alone)")
    );
    assert_eq!(asked(&bytes[..31]), format!("it was signed by none of `web-2026`, `ios-2026`; {NOBODY}"));
}

#[test]
fn a_bad_signature_does_not_hide_the_next_mistake() {
    let text = sign(r#"{"alg":"HS256","kid":"web-2026"}"#, r#"{"exp":1794996400}"#, IOS_SECRET);
    check(
        &text,
        "bad_signature",
        "key `web-2026`, which its `kid` names, did not sign it; it matches key `ios-2026` of workspace `acme`",
        &["besides, it ended 1 hour ago, at 2026-11-18T10:06:40Z (`expired`)"],
    );
    let text = token(r#"{"exp":1794996400}"#);
    let user = "besides, it names no user: of `user_id`, `sub`, it has none (`missing_subject`)";
    check(&text, "expired", "it ended 1 hour ago, at 2026-11-18T10:06:40Z", &[user]);
}

#[test]
fn a_key_id_that_names_none() {
    let by = |kid: &str, secret: &[u8]| sign(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), CLAIMS, secret);
    let unknown = |kid: &str, hints: &[&str]| {
        let sentence = format!(
            "its `kid` is `{kid}`, and the keys for tokens are `web-2026`, `ios-2026`; it matches key `web-2026` of workspace `acme`"
        );
        check(&by(kid, SECRET), "unknown_key", &sentence, &[hints, &[WOULD_BE]].concat());
    };
    unknown("web-2025", &[]);
    unknown("WEB-2026", &["did you mean `web-2026`? A `kid` is compared to the letter"]);
    check(
        &by("hash-2026", HASH_SECRET),
        "unknown_key",
        "its `kid` names `hash-2026`, which is not for tokens; those are `web-2026`, `ios-2026`; it matches key `hash-2026` of workspace `acme`, which is not for tokens",
        &[WOULD_BE],
    );
    let hashes_only = IdentityPolicy { keys: vec![key("hash-2026", &[KeyUse::UserHash])], ..testing::policy() };
    let found = ask(&hashes_only, had(&[HASH_SECRET]), &sign(HEADER, CLAIMS, OTHER_SECRET), None);
    assert_eq!(
        found.sentence,
        "the workspace has no key for tokens: none has `use = [\"jwt\"]`; it matches key `beta-2026` of workspace `beta`"
    );
}

#[test]
fn another_algorithm_than_the_keys() {
    let with = |header: &str| sign(header, CLAIMS, SECRET);
    let wrong = |header: &str, sentence: &str, hints: &[&str]| {
        check(&with(header), "wrong_algorithm", sentence, &[hints, &[WOULD_BE]].concat());
    };
    let keys = "`web-2026` is for `HS256`, `ios-2026` is for `HS256`";
    wrong(r#"{"alg":"HS512"}"#, &format!("its header says `HS512`, and key {keys}"), &[]);
    wrong(r#"{"alg":"RS256","kid":"ios-2026"}"#, "its header says `RS256`, and key `ios-2026` is for `HS256`", &[]);
    let none = "`none` is no signature at all: anybody can write such a token";
    wrong(r#"{"alg":"none"}"#, &format!("its header says `none`, and key {keys}"), &[none]);
    let letters = "`hs256` is compared to the letter: write `HS256`";
    wrong(r#"{"alg":"hs256"}"#, &format!("its header says `hs256`, and key {keys}"), &[letters]);
    // The header says it; that the signature is another's is another matter.
    let message = format!("{}.{}", encode(HEADER), encode(CLAIMS));
    let text = format!("{message}.{}", signature(hmac::HMAC_SHA512, SECRET, &message));
    let sentence = format!("it was signed by none of `web-2026`, `ios-2026`; {NOBODY}");
    let long = "its signature has 64 bytes, and one of `HS256` has 32: it was made by another algorithm, or cut off";
    check(&text, "bad_signature", &sentence, &[long, WOULD_BE]);
}

#[test]
fn a_header_that_asks_for_more() {
    let asks = |member: &str, code: &str, sentence: &str| {
        check(&sign(&format!(r#"{{"alg":"HS256",{member}}}"#), CLAIMS, SECRET), code, sentence, &[]);
    };
    asks(r#""crit":["exp"]"#, "critical_header", "its header has `crit`, which asks for an extension");
    asks(r#""b64":false"#, "unencoded_payload", "its header has `b64`, by which the payload would be another");
    asks(r#""cty":"JWT""#, "nested", "its header has `cty`: it carries another token");
    asks(
        r#""jku":"https://canary.example","x5c":[]"#,
        "embedded_key",
        "its header has `jku`, `x5c`: a token that brings its own key proves nothing",
    );
    asks(
        r#""typ":"at+jwt""#,
        "wrong_type",
        "its `typ` is `at+jwt`, expected `JWT` or none: it was made for something else",
    );
    check(
        &sign(r#"{"alg":"HS256","typ":"jwt","x":1}"#, CLAIMS, SECRET),
        "valid",
        &format!("{TEN_MINUTES}{SIGNED}"),
        &[EACH],
    );
}

#[test]
fn what_is_no_token_says_where() {
    check(
        "e30.e30",
        "malformed",
        "it has 2 parts, expected three, with dots between them: header, payload, signature; the signature is missing, or the text was cut off",
        &[],
    );
    // The payload is looked at behind the signature, and so the key is known.
    let text = token(r#"{"exp":1,"plan":"pro","plan":"free"}"#);
    let sentence = "its payload cannot be read: an object has a name twice: `plan`";
    check(&text, "malformed", sentence, &[]);
    let long = token(&format!(r#"{{"plan":"{}"}}"#, "x".repeat(4096)));
    let sentence = format!("it has {} bytes, more than the 4096 of `token_bytes_max`", long.len());
    check(&long, "too_large", &sentence, &[]);
}

#[test]
fn without_keys_all_that_needs_none_is_said() {
    let missing = || {
        let why = || Err("the environment variable `WEB` is not set".to_owned());
        vec![why(), Ok(material(IOS_SECRET)), Ok(material(HASH_SECRET))]
    };
    let why = "key `web-2026`: the environment variable `WEB` is not set";
    let unsaid = "whether it is signed cannot be said, for key `web-2026` could not be had";
    let asked = |text: &str| {
        let found = ask(&policy(), missing(), text, None);
        (found.verdict.code(), found.sentence, found.hints)
    };
    let kid = |kid: &str, by: &[u8]| sign(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), CLAIMS, by);
    let unsaid = |hints: &[&str]| {
        let hints: Vec<String> = hints.iter().map(|hint| (*hint).to_owned()).collect();
        ("unverified", unsaid.to_owned(), hints)
    };
    assert_eq!(asked(&token(CLAIMS)), unsaid(&[WOULD_BE, why]));
    assert_eq!(asked(&kid("web-2026", SECRET)), unsaid(&[WOULD_BE, why]));
    let beta = "it matches key `beta-2026` of workspace `beta`";
    assert_eq!(asked(&kid("web-2026", OTHER_SECRET)), unsaid(&[WOULD_BE, beta, why]));
    let late = "besides, it ended 1 hour ago, at 2026-11-18T10:06:40Z (`expired`)";
    assert_eq!(asked(&token(r#"{"user_id":"user-42","exp":1794996400}"#)), unsaid(&[late, why]));
    // A key that could be had is one that can sign, and the others need not be known.
    for (text, code) in [
        (kid("ios-2026", IOS_SECRET), "valid"),
        (kid("ios-2026", OTHER_SECRET), "bad_signature"),
        (sign(HEADER, CLAIMS, IOS_SECRET), "valid"),
        (kid("web-2025", SECRET), "unknown_key"),
        (sign(r#"{"alg":"none"}"#, CLAIMS, SECRET), "wrong_algorithm"),
        (sign(r#"{"alg":"none","kid":"web-2026"}"#, CLAIMS, SECRET), "wrong_algorithm"),
        ("e30.e30".to_owned(), "malformed"),
    ] {
        let (found, _, hints) = asked(&text);
        assert_eq!(found, code);
        assert_eq!(hints.last().map(String::as_str), Some(why), "{code}");
    }
}

#[test]
fn a_secret_that_is_too_weak_is_as_good_as_none() {
    let found = ask(&policy(), had(&[b"short", IOS_SECRET, HASH_SECRET]), &token(CLAIMS), None);
    assert_eq!(found.verdict, Examined::Unverified);
    let weak = "key `web-2026`: expected a secret of at least 32 bytes for tokens";
    assert_eq!(found.hints.last().map(String::as_str), Some(weak));
}

#[test]
fn what_it_says_is_what_the_verifier_says() {
    for text in [
        token(CLAIMS),
        token("{}"),
        sign(HEADER, CLAIMS, IOS_SECRET),
        sign(HEADER, CLAIMS, OTHER_SECRET),
        sign("{}", CLAIMS, SECRET),
        String::new(),
        "....".into(),
    ] {
        let found = ask(&policy(), had(&[SECRET, IOS_SECRET, HASH_SECRET]), &text, None);
        assert_eq!((found.verdict.code(), found.key), verified(&text), "{text}");
    }
}

#[test]
fn no_value_and_no_secret_is_ever_said() {
    let claims = r#"{"user_id":"canary-user","email":"canary@example.com","plan":"canary","exp":"canary","iat":1}"#;
    for text in [
        token(claims),
        sign(HEADER, claims, OTHER_SECRET),
        sign(r#"{"alg":"HS256","jku":"canary"}"#, claims, SECRET),
        token(r#"{"user_id":"canary-user","exp":1795000600}"#),
    ] {
        let found = ask(&policy(), had(&[SECRET, IOS_SECRET, HASH_SECRET]), &text, Some("user-42"));
        let told = format!("{found:?}{}", serde_json::to_string(&found).expect("JSON"));
        let (_, signed) = text.rsplit_once('.').expect("three parts");
        assert!(!told.contains("canary") && !told.contains("secret-0") && !told.contains(signed), "{told}");
    }
}

/// The verdict of production for the same question.
fn verified(text: &str) -> (&'static str, Option<String>) {
    let (policy, profile, limits) = (policy(), profile(), Limits::default());
    let secrets = [SECRET, IOS_SECRET, HASH_SECRET].map(material).into();
    let verifier = Verifier::new(&policy, secrets, &profile, &limits).expect("keys");
    let presented = Presented { tokens: vec![text.into()], ..testing::presented() };
    let mut payload = SignedPayload::default();
    let proofs = verifier.verify(&presented, NOW, &mut payload);
    (proofs.verdict().code(), proofs.key_id().map(str::to_owned))
}

proptest! {
    #[test]
    fn any_text_is_explained_and_never_differently_from_the_verifier(text in any::<String>()) {
        let found = ask(&policy(), had(&[SECRET, IOS_SECRET, HASH_SECRET]), &text, None);
        prop_assert_eq!((found.verdict.code(), found.key), verified(&text));
    }

    #[test]
    fn any_header_claims_and_times_are_explained(
        header in r#"\{("alg":"(HS256|none)")?(,"kid":"(web-2026|[a-z]{0,3})")?(,"[a-z]{1,3}":(null|1|"JWT"))?\}"#,
        exp in any::<i64>(),
        iat in any::<i64>(),
        claims in r#"("user_id":("a"|1|1\.5|null|""),)?("nbf":("1"|1e3|-?[0-9]{1,20}),)?"#,
        by_ios in any::<bool>(),
    ) {
        let claims = format!("{{{claims}\"exp\":{exp},\"iat\":{iat}}}");
        let text = sign(&header, &claims, if by_ios { IOS_SECRET } else { SECRET });
        for policy in [policy(), IdentityPolicy { max_lifetime: Some(Duration::MAX), ..policy() }] {
            let found = ask(&policy, had(&[SECRET, IOS_SECRET, HASH_SECRET]), &text, None);
            prop_assert!(!found.sentence.is_empty());
            if policy.max_lifetime.is_none() {
                prop_assert_eq!((found.verdict.code(), found.key), verified(&text));
            }
        }
    }
}

/// What is asked of the second key, at one moment.
#[test]
fn when_a_key_counts() {
    let header = r#"{"alg":"HS256","kid":"web-2026"}"#;
    let with = |not_before, not_after| {
        let mut policy = policy();
        policy.keys[0].term = KeyTerm { not_before, not_after };
        policy
    };
    let text = sign(header, CLAIMS, SECRET);
    let signed = "it matches key `web-2026` of workspace `acme`, which is not in force";
    let ended = format!("key `web-2026` has not counted since 2026-11-18T11:06:40Z; {signed}");
    check_of(&with(None, Some(NOW.0)), &text, "key_not_in_force", &ended, &[WOULD_BE]);
    let begins = format!("key `web-2026` counts from 2026-11-18T11:06:41Z on; {signed}");
    check_of(&with(Some(NOW.0 + 1), None), &text, "key_not_in_force", &begins, &[WOULD_BE]);
    check_of(
        &with(Some(NOW.0), Some(NOW.0 + 1)),
        &text,
        "valid",
        &format!("for another 10 minutes, until 2026-11-18T11:16:40Z{SIGNED}"),
        &[],
    );
    // Without `kid` the other key is tried, and did not sign it.
    let sentence = format!("it was signed by none of `web-2026`, `ios-2026`; {signed}");
    check_of(&with(None, Some(NOW.0)), &token(CLAIMS), "bad_signature", &sentence, &[WOULD_BE]);
}

#[test]
fn what_the_policy_asks_of_issuer_audience_and_claims() {
    let asks = |issuers: &[&str], audiences: &[&str], required: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (issuers, audiences, required_claims) = (texts(issuers), texts(audiences), texts(required));
        IdentityPolicy { issuers, audiences, required_claims, ..policy() }
    };
    let claims = |more: &str| format!(r#""exp":1795000600{more}"#);
    let issuer = asks(&["acme", "https://id.example"], &[], &[]);
    check_claims(
        &issuer,
        &claims(""),
        "wrong_issuer",
        "its `iss` is not there, expected `acme`, `https://id.example`",
        &[],
    );
    let other = claims(r#","iss":"evil.example""#);
    check_claims(&issuer, &other, "wrong_issuer", "its `iss` is another, expected `acme`, `https://id.example`", &[]);
    let audience = asks(&[], &["messenger"], &[]);
    let other = claims(r#","aud":["shop"]"#);
    check_claims(&audience, &other, "wrong_audience", "its `aud` is a list of others, expected `messenger`", &[]);
    let required = asks(&[], &[], &["jti", "tenant", "exp"]);
    let other = claims(r#","jti":null"#);
    let sentence = "it lacks `jti`, `tenant`, which `required_claims` asks for";
    check_claims(&required, &other, "claim_missing", sentence, &[]);
}

#[test]
fn a_secret_that_the_policy_decodes_and_the_server_does_not() {
    let digits = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let mut policy = policy();
    let source = crate::policy::SecretSource::Env("UNUSED".into());
    policy.keys[0].source = KeySource::Secret { source, encoding: SecretEncoding::Hex };
    let materials = || had(&[digits.as_bytes(), IOS_SECRET, HASH_SECRET]);
    let found = ask(&policy, materials(), &sign(HEADER, CLAIMS, digits.as_bytes()), None);
    assert_eq!(
        found.sentence,
        "it was signed by none of `web-2026`, `ios-2026`; it matches key `web-2026` of workspace `acme` with the text of its \
         secret, which the policy decodes (`encoding`)"
    );
    let bytes: Vec<u8> = (0..32).collect();
    assert_eq!(ask(&policy, materials(), &sign(HEADER, CLAIMS, &bytes), None).verdict, Examined::Valid);
}
