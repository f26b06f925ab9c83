//! Tokens: what anybody may send, and what the holder of a key may sign.
//!
//! The first byte says which. A token that nobody signed is never valid; of one that is, an independent reader says the same as we do.
#![no_main]

use std::sync::LazyLock;

use countersign::identity::{ProofVerdict, SignedPayload, Verifier};
use countersign_fuzz::{NOW, SECRET_KEY, Stage, presented, secret, sign};
use libfuzzer_sys::fuzz_target;

static STAGE: LazyLock<(Stage, Verifier)> = LazyLock::new(|| {
    let stage = Stage::new(SECRET_KEY).expect("policies");
    let verifier = stage.verifier(vec![secret()]).expect("a key");
    (stage, verifier)
});

fuzz_target!(|data: &[u8]| {
    let (stage, verifier) = &*STAGE;
    let Some((kind, rest)) = data.split_first() else { return };
    let (token, header, payload) = match kind % 3 {
        0 => match std::str::from_utf8(rest) {
            Ok(token) => (token.to_owned(), None, None),
            Err(_) => return,
        },
        1 => (sign(br#"{"alg":"HS256"}"#, rest), Some(&br#"{"alg":"HS256"}"#[..]), Some(rest)),
        _ => {
            let mut parts = rest.splitn(2, |byte| *byte == b'\n');
            let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            (sign(header, payload), Some(header), Some(payload))
        }
    };
    let presented = presented(Some(&token), None);
    let mut held = SignedPayload::default();
    let proofs = verifier.verify(&presented, NOW, &mut held);
    if proofs.verdict() != ProofVerdict::Valid {
        assert!(proofs.claims().is_none() && proofs.subject().is_none());
        return;
    }
    let (Some(header), Some(payload)) = (header, payload) else {
        panic!("nobody signed it, and it is valid");
    };
    let header: serde_json::Value = serde_json::from_slice(header).expect("the header of a valid token is JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none() && header.get("jwk").is_none());
    let claims: serde_json::Value = serde_json::from_slice(payload).expect("the claims of a valid token are JSON");
    let subject = match &claims["user_id"] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        // The other reader loses digits there; we must not.
        serde_json::Value::Number(_) => {
            let digits = proofs.subject().expect("a subject").as_bytes();
            assert!(payload.windows(digits.len()).any(|part| part == digits));
            return;
        }
        other => panic!("a subject that is neither text nor number: {other}"),
    };
    assert_eq!(proofs.subject(), Some(subject.as_str()));
    let signed = proofs.claims().map(|claims| claims.signed(&stage.workspace.profile));
    assert!(signed.is_some());
});
