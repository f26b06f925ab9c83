//! Signatures by another library, good and bad, and what our verifier makes of each. `make.py` says how they were made.

// Tests may panic (`clippy.toml`): this says that all of it is tests, the helpers too.
#![cfg(test)]

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::clock::UnixSeconds;
use countersign::identity::{KeyError, KeyMaterial, Presented, ProofVerdict, Secret, SignedPayload, Verifier};
use countersign::policy::{self, Paint, PolicyFiles, Source};
use countersign::profile::shipped;
use serde::Deserialize;

/// November 2026.
const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

const GATEWAY: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
certificates = [{ certificate = "certificate.pem", key = "key.pem" }]
[upstreams.attributes]
url = "http://127.0.0.1:9000"
"#;

#[derive(Deserialize)]
struct Group {
    algorithm: String,
    key: Key,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Secret(String),
    Jwk(serde_json::Value),
}

#[derive(Deserialize)]
struct Case {
    says: String,
    token: String,
    why: String,
}

fn groups() -> Vec<Group> {
    serde_json::from_str(include_str!("signatures.json")).expect("the vectors")
}

/// A workspace whose only key is that of the group, as an operator would write it down.
fn verifier(group: &Group) -> Verifier {
    with_key(&group.algorithm, &group.key).expect("a good key")
}

fn with_key(algorithm: &str, key: &Key) -> Result<Verifier, KeyError> {
    let (source, material) = match key {
        Key::Secret(text) => {
            ("secret = { env = \"UNUSED\" }", KeyMaterial::Secret(Secret::from(text.as_bytes().to_vec())))
        }
        Key::Jwk(jwk) => ("public_key = \"key.json\"", KeyMaterial::PublicKey(jwk.to_string().into_bytes())),
    };
    let workspace = format!(
        r#"
        profile = "intercom-web"
        app_ids = ["abc12345"]
        upstream = "attributes"
        mode = "enforce"
        trusted_domains = ["https://app.acme.example"]
        missing_origin = "refuse"
        [identity]
        require = "identified"
        [[identity.keys]]
        id = "one"
        algorithm = "{algorithm}"
        {source}
        use = ["jwt"]
        "#
    );
    let (set, findings) = policy::parse(&PolicyFiles {
        gateway: Some(Source::new("gateway.toml", GATEWAY)),
        profiles: shipped().map(|(id, text)| Source::new(format!("profiles/{id}.toml"), text)).to_vec(),
        workspaces: vec![Source::new("workspaces/acme.toml", workspace)],
        addresses: Vec::new(),
        base: "policies".into(),
    });
    let set = set.unwrap_or_else(|| panic!("{}", findings.render(Paint::Plain)));
    let workspace = set.workspaces.first().expect("one workspace");
    Verifier::new(&workspace.identity, vec![material], &workspace.profile, &set.gateway.limits)
}

fn verdict(verifier: &Verifier, token: &str) -> ProofVerdict {
    let presented = Presented {
        tokens: vec![token.into()],
        user_hashes: Vec::new(),
        sealed: Vec::new(),
        user_ids: Vec::new(),
        emails: Vec::new(),
        sessions: Vec::new(),
        platform: None,
        exchanged: None,
    };
    verifier.verify(&presented, NOW, &mut SignedPayload::default()).verdict()
}

#[test]
fn each_signature_is_what_its_maker_says() {
    let mut wrong = Vec::new();
    for group in groups() {
        let verifier = verifier(&group);
        for Case { says, token, why } in &group.cases {
            // Twice: a token that was seen is remembered.
            for found in [verdict(&verifier, token).code(), verdict(&verifier, token).code()] {
                if found != says {
                    wrong.push(format!("{}: {why}: expected {says}, found {found}: {token}", group.algorithm));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A good token of one key is nothing to any other, whatever its header says.
#[test]
fn no_key_takes_what_another_signed() {
    let groups = groups();
    for group in &groups {
        let verifier = verifier(group);
        for other in groups.iter().filter(|other| other.algorithm != group.algorithm) {
            for case in other.cases.iter().filter(|case| case.says == "valid") {
                assert_eq!(
                    verdict(&verifier, &case.token).code(),
                    "wrong_algorithm",
                    "{} by {}",
                    other.algorithm,
                    group.algorithm
                );
            }
        }
    }
}

/// Points of small order: for some of them one signature holds under every text.
#[test]
fn a_point_of_small_order_is_no_key() {
    let points = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for point in points {
        let bytes: Vec<u8> = point
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let x = URL_SAFE_NO_PAD.encode(&bytes);
        let jwk = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        assert!(with_key("EdDSA", &Key::Jwk(jwk)).is_err(), "{point}");
    }
}

#[test]
fn every_algorithm_has_its_cases() {
    let groups = groups();
    let algorithms: BTreeSet<&str> = groups.iter().map(|group| group.algorithm.as_str()).collect();
    assert_eq!(algorithms.len(), 13);
    for group in &groups {
        assert!(group.cases.iter().any(|case| case.says == "valid"), "{}", group.algorithm);
        assert!(group.cases.len() > 15, "{}", group.algorithm);
    }
}
