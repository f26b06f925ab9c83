//! Encrypted settings: what anybody may send, and what the holder of the secret may have encrypted.
#![no_main]

use std::sync::LazyLock;

use countersign::identity::{ProofVerdict, SignedPayload, Verifier};
use countersign_fuzz::{NOW, SECRET_KEY, Stage, presented, seal, secret};
use libfuzzer_sys::fuzz_target;

static STAGE: LazyLock<(Stage, Verifier)> = LazyLock::new(|| {
    let stage = Stage::new(SECRET_KEY).expect("policies");
    let verifier = stage.verifier(vec![secret()]).expect("a key");
    (stage, verifier)
});

fuzz_target!(|data: &[u8]| {
    let (stage, verifier) = &*STAGE;
    let Some((kind, rest)) = data.split_first() else { return };
    let (text, plain) = if kind % 2 == 0 {
        let Ok(text) = std::str::from_utf8(rest) else { return };
        (text.to_owned(), None)
    } else {
        (seal(rest).expect("sealed"), Some(rest))
    };
    let presented = presented(None, Some(&text));
    let mut held = SignedPayload::default();
    let proofs = verifier.verify(&presented, NOW, &mut held);
    if proofs.verdict() != ProofVerdict::SealedValid {
        assert!(proofs.claims().is_none() && proofs.subject().is_none());
        return;
    }
    let plain = plain.expect("nobody sealed it, and it opens");
    let settings: serde_json::Value = serde_json::from_slice(plain).expect("settings that hold are JSON");
    assert!(settings.is_object());
    assert!(proofs.claims().map(|claims| claims.signed(&stage.workspace.profile)).is_some());
});
