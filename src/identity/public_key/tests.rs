use super::*;
use crate::identity::public_key::vectors::{
    ED_PEM, P256_PEM, P384_PEM, P521_PEM, RSA_1024_PEM, RSA_N, RSA_PEM, RSA_PKCS1_PEM,
};

#[track_caller]
fn check(algorithm: Algorithm, content: &str, expected: Result<(), PublicKeyError>) {
    assert_eq!(read(content.as_bytes(), algorithm, "web").map(|_| ()), expected, "{algorithm:?} {content}");
}

fn unfit(algorithm: Algorithm) -> Result<(), PublicKeyError> {
    Err(PublicKeyError::Unfit(word(algorithm)))
}

#[test]
fn a_key_is_for_the_algorithms_of_its_kind_and_curve_alone() {
    let fitting: [(&str, &[Algorithm]); 6] = [
        (
            RSA_PEM,
            &[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
                Algorithm::Ps384,
                Algorithm::Ps512,
            ],
        ),
        (RSA_PKCS1_PEM, &[Algorithm::Rs256, Algorithm::Ps512]),
        (P256_PEM, &[Algorithm::Es256]),
        (P384_PEM, &[Algorithm::Es384]),
        (P521_PEM, &[Algorithm::Es512]),
        (ED_PEM, &[Algorithm::EdDsa]),
    ];
    let all = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::EdDsa];
    for (pem, fit) in fitting {
        for algorithm in fit {
            check(*algorithm, pem, Ok(()));
        }
        for algorithm in all.iter().filter(|algorithm| !fit.contains(algorithm)) {
            check(*algorithm, pem, unfit(*algorithm));
        }
    }
    for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
        check(algorithm, RSA_PEM, unfit(algorithm));
    }
}

#[test]
fn a_file_holds_one_public_key_and_nothing_else() {
    check(Algorithm::Rs256, &format!("{RSA_PEM}{P256_PEM}"), Err(PublicKeyError::Unreadable));
    check(Algorithm::Rs256, &RSA_PEM.replace("PUBLIC KEY", "PRIVATE KEY"), Err(PublicKeyError::Private));
    check(Algorithm::Rs256, &RSA_PEM.replace("PUBLIC KEY", "RSA PRIVATE KEY"), Err(PublicKeyError::Private));
    check(Algorithm::Rs256, &RSA_PEM.replace("PUBLIC KEY", "CERTIFICATE"), Err(PublicKeyError::Certificate));
    check(Algorithm::Rs256, &RSA_PEM.replace("PUBLIC KEY", "DH PARAMETERS"), Err(PublicKeyError::Unreadable));
    for content in ["", "\n", "AAAA", "{", "[]", "{}", r#"{"keys":{}}"#, r#"{"kty":1}"#, "-----BEGIN PUBLIC KEY-----\n"]
    {
        check(Algorithm::Rs256, content, Err(PublicKeyError::Unreadable));
    }
    let cut = RSA_PEM.replacen("MII", "MIJ", 1);
    check(Algorithm::Rs256, &cut, unfit(Algorithm::Rs256));
}

#[test]
fn a_weak_rsa_key_is_none() {
    check(Algorithm::Rs256, RSA_1024_PEM, Err(PublicKeyError::RsaSize(1024)));
    let with = |n: &str, e: &str| format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#);
    check(Algorithm::Rs256, &with(RSA_N, "AQAB"), Ok(()));
    check(Algorithm::Rs256, &with(RSA_N, "Aw"), Ok(()));
    // 1, 2, 0 and nothing: whether the library says so or we do.
    for exponent in ["AQ", "AAE", "Ag", "AA", ""] {
        assert!(read(with(RSA_N, exponent).as_bytes(), Algorithm::Rs256, "web").is_err(), "{exponent}");
    }
    let longer = format!("{}{}", "_".repeat(1368), "8");
    assert!(read(with(&longer, "AQAB").as_bytes(), Algorithm::Rs256, "web").is_err(), "8208 bits");
}

/// RFC 8037 appendix A.2, and RFC 7515 appendix A.3.
const ED_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const P256_JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

#[test]
fn a_jwk_says_what_it_is_for() {
    check(Algorithm::EdDsa, ED_JWK, Ok(()));
    check(Algorithm::Es256, P256_JWK, Ok(()));
    check(Algorithm::Es384, P256_JWK, unfit(Algorithm::Es384));
    check(Algorithm::EdDsa, P256_JWK, unfit(Algorithm::EdDsa));
    let with = |member: &str| ED_JWK.replacen('{', &format!("{{{member},"), 1);
    for member in
        [r#""alg":"EdDSA""#, r#""alg":"Ed25519""#, r#""use":"sig""#, r#""key_ops":["verify"]"#, r#""kid":"another""#]
    {
        check(Algorithm::EdDsa, &with(member), Ok(()));
    }
    check(Algorithm::EdDsa, &with(r#""alg":"ES256""#), Err(PublicKeyError::OtherAlgorithm("ES256".into())));
    check(Algorithm::EdDsa, &with(r#""use":"enc""#), Err(PublicKeyError::OtherUse));
    check(Algorithm::EdDsa, &with(r#""key_ops":["sign"]"#), Err(PublicKeyError::OtherUse));
    check(Algorithm::EdDsa, &with(r#""key_ops":"verify""#), Err(PublicKeyError::OtherUse));
    check(Algorithm::EdDsa, &with(r#""d":"AAAA""#), Err(PublicKeyError::Private));
    check(Algorithm::EdDsa, &with(r#""x":"AAAA""#), Err(PublicKeyError::Unreadable));
    check(Algorithm::EdDsa, r#"{"kty":"oct","k":"AAAA"}"#, Err(PublicKeyError::Symmetric));
    check(Algorithm::EdDsa, &ED_JWK.replace("Ed25519", "X25519"), unfit(Algorithm::EdDsa));
}

#[test]
fn a_point_has_its_full_length_and_lies_on_the_curve() {
    let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    // One bit of it, one byte less, one more, and another alphabet.
    check(
        Algorithm::Es256,
        &P256_JWK.replace(y, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4"),
        unfit(Algorithm::Es256),
    );
    check(
        Algorithm::Es256,
        &P256_JWK.replace(y, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5Q"),
        unfit(Algorithm::Es256),
    );
    check(Algorithm::Es256, &P256_JWK.replace(y, &format!("AA{y}")), Err(PublicKeyError::Unreadable));
    check(Algorithm::Es256, &P256_JWK.replace(y, &y.replace('_', "/")), Err(PublicKeyError::Unreadable));
}

#[test]
fn of_a_set_the_key_of_that_id_counts() {
    let named = |id: &str, jwk: &str| jwk.replacen('{', &format!(r#"{{"kid":"{id}","#), 1);
    let set = |keys: &[String]| format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    let (own, other) = (named("web", ED_JWK), named("ios", P256_JWK));
    check(Algorithm::EdDsa, &set(&[other.clone(), own.clone()]), Ok(()));
    check(Algorithm::EdDsa, &set(&[other]), Err(PublicKeyError::NotInSet));
    check(Algorithm::EdDsa, &set(&[ED_JWK.into()]), Err(PublicKeyError::NotInSet));
    check(Algorithm::EdDsa, &set(&[]), Err(PublicKeyError::NotInSet));
    check(Algorithm::EdDsa, &set(&[own.clone(), own]), Err(PublicKeyError::TwiceInSet));
}

mod robustness {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_a_file_holds_makes_it_panic(content in prop::collection::vec(any::<u8>(), 0..400)) {
            for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
                prop_assert!(read(&content, algorithm, "web").is_err());
            }
        }

        #[test]
        fn a_broken_file_is_a_key_or_an_error(at in 0..400_usize, byte in any::<u8>(), whole in prop::sample::select(vec![RSA_PEM, P256_PEM, ED_JWK, P256_JWK])) {
            let mut content = whole.as_bytes().to_vec();
            if let Some(place) = content.get_mut(at) {
                *place = byte;
            }
            for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
                let _ = read(&content, algorithm, "web");
            }
        }
    }
}
