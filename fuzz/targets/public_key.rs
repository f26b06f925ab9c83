//! Files of public keys: PEM, a JWK, a JWK Set. Whatever one holds, no algorithm but the key's own is verified by it.
#![no_main]

use std::sync::LazyLock;

use countersign::identity::{KeyMaterial, ProofVerdict, SignedPayload};
use countersign_fuzz::{NOW, Stage, presented, sign};
use libfuzzer_sys::fuzz_target;

const ALGORITHMS: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

static STAGES: LazyLock<Vec<Stage>> = LazyLock::new(|| {
    ALGORITHMS
        .iter()
        .map(|algorithm| {
            let key = format!(
                "[[identity.keys]]\nid = \"one\"\nalgorithm = \"{algorithm}\"\npublic_key = \"key\"\nuse = [\"jwt\"]\n"
            );
            Stage::new(&key).expect("policies")
        })
        .collect()
});

/// By a secret, whatever the key: it must never verify.
static FORGED: LazyLock<String> =
    LazyLock::new(|| sign(br#"{"alg":"HS256","kid":"one"}"#, br#"{"user_id":"1","exp":1795000060}"#));

fuzz_target!(|data: &[u8]| {
    let Some((kind, content)) = data.split_first() else { return };
    let Some(stage) = STAGES.get(usize::from(*kind) % ALGORITHMS.len()) else { return };
    let Some(verifier) = stage.verifier(vec![KeyMaterial::PublicKey(content.to_vec())]) else { return };
    let presented = presented(Some(&FORGED), None);
    let mut held = SignedPayload::default();
    assert_ne!(verifier.verify(&presented, NOW, &mut held).verdict(), ProofVerdict::Valid);
});
