//! Sets of keys, as an issuer may publish them. Whatever one holds, it verifies nothing by an algorithm that the policy does not name.
//!
//! The first byte says which algorithms the policy takes.
#![no_main]

use std::sync::LazyLock;

use countersign::identity::{KeySet, ProofVerdict, PublishedKeys, SET_KEYS_MAX, SignedPayload};
use countersign::policy::Algorithm;
use countersign_fuzz::{NOW, Stage, presented, sign};
use libfuzzer_sys::fuzz_target;

const POLICIES: [&[Algorithm]; 4] = [
    &[Algorithm::Rs256],
    &[Algorithm::Es256, Algorithm::EdDsa],
    &[Algorithm::Rs256, Algorithm::Ps256],
    &[Algorithm::Es512, Algorithm::Es384],
];

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let set = "[[identity.key_sets]]\nid = \"idp\"\nalgorithms = [\"RS256\"]\nfile = \"set.json\"\n";
    Stage::new(set).expect("policies")
});

/// By a secret: it must never verify, whatever is published.
static FORGED: LazyLock<Vec<String>> = LazyLock::new(|| {
    [&br#"{"alg":"HS256","kid":"one"}"#[..], br#"{"alg":"HS256"}"#]
        .map(|header| sign(header, br#"{"user_id":"1","exp":1795000060}"#))
        .to_vec()
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, content)) = data.split_first() else { return };
    let Some(algorithms) = POLICIES.get(usize::from(*kind) % POLICIES.len()) else { return };
    let Ok(set) = KeySet::parse(content, algorithms) else { return };
    assert!((1..=SET_KEYS_MAX).contains(&(set.len() + set.left_out().len())));
    let document: serde_json::Value = serde_json::from_slice(content).expect("a set is JSON");
    assert!(document["keys"].as_array().is_some_and(|keys| keys.len() == set.len() + set.left_out().len()));
    let published = std::sync::Arc::new(PublishedKeys::fixed(set));
    let verifier = STAGE.verifier(Vec::new()).expect("no key of its own");
    let verifier = verifier.with_key_sets(&STAGE.workspace.identity, vec![published]).expect("one set");
    for token in FORGED.iter() {
        let presented = presented(Some(token), None);
        let mut held = SignedPayload::default();
        assert_ne!(verifier.verify(&presented, NOW, &mut held).verdict(), ProofVerdict::Valid);
    }
});
