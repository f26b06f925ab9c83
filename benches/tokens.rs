//! What a token costs, by algorithm: the bare signature by the cryptographic library, a token never seen before, and the same token again.
//!
//! `cargo bench --bench tokens`; one algorithm alone: `cargo bench --bench tokens -- ES256`.

#[path = "support/sample.rs"]
#[expect(dead_code, reason = "shared with benches that send whole requests")]
mod sample;

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;

use anyhow::Context;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::clock::UnixSeconds;
use countersign::identity::{KeyMaterial, Presented, ProofVerdict, SignedPayload, SigningKey, Verifier};
use countersign::policy::{
    self, Algorithm, KeyPolicy, KeySource, KeyTerm, KeyUse, Keyword, PolicyFiles, SecretEncoding, SecretSource, Source,
    Workspace,
};
use countersign::profile::{self, Platforms};
use criterion::Criterion;
use secrecy::ExposeSecret;

const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

/// More than the verifier remembers, so that going round them meets none that it remembers.
const TOKENS: usize = 4096;

const GATEWAY: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:8443"
certificates = [{ certificate = "a.pem", key = "a.pem" }]
[upstreams.attributes]
url = "http://127.0.0.1:9000"
"#;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let workspace = workspace()?;
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for (name, algorithm) in Algorithm::WORDS {
        if !wanted.is_empty() && !wanted.iter().any(|filter| filter.starts_with(name)) {
            continue;
        }
        let key = SigningKey::draw(*algorithm)?;
        let tokens: Vec<String> = (0..TOKENS)
            .map(|index| {
                key.token(format!(r#"{{"user_id":"user-{index}","plan":"pro","seats":5,"exp":1795000600}}"#).as_bytes())
            })
            .collect::<Result<_, _>>()?;
        let verifier = verifier(&workspace, *algorithm, key.material()?)?;
        let mut group = criterion.benchmark_group(*name);
        let bare = Bare::new(*algorithm, &key.material()?)?;
        let first = tokens.first().context("a token")?;
        group.bench_function("bare", |bencher| bencher.iter(|| assert!(bare.holds(black_box(first)))));
        let mut next = tokens.iter().cycle();
        group.bench_function("new", |bencher| bencher.iter(|| verify(&verifier, next.next().unwrap_or(first))));
        group.bench_function("again", |bencher| bencher.iter(|| verify(&verifier, black_box(first))));
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}

fn verify(verifier: &Verifier, token: &str) {
    let presented = Presented {
        tokens: vec![Cow::Borrowed(token)],
        user_hashes: vec![],
        sealed: vec![],
        user_ids: vec![],
        emails: vec![],
        sessions: vec![],
        exchanged: None,
        platform: None,
    };
    let mut payload = SignedPayload::default();
    assert_eq!(verifier.verify(&presented, NOW, &mut payload).verdict(), ProofVerdict::Valid);
}

fn workspace() -> anyhow::Result<Workspace> {
    let profiles = profile::shipped().map(|(id, text)| Source::new(format!("profiles/{id}.toml"), text));
    let files = PolicyFiles {
        gateway: Some(Source::new("gateway.toml", GATEWAY)),
        profiles: profiles.to_vec(),
        workspaces: vec![Source::new("workspaces/acme.toml", sample::workspace())],
        addresses: Vec::new(),
        base: "policies".into(),
    };
    let (set, _) = policy::parse(&files);
    set.and_then(|set| set.workspaces.into_iter().next()).context("one workspace")
}

fn verifier(workspace: &Workspace, algorithm: Algorithm, material: KeyMaterial) -> anyhow::Result<Verifier> {
    let source = match &material {
        KeyMaterial::Secret(_) => {
            KeySource::Secret { source: SecretSource::Env("UNUSED".into()), encoding: SecretEncoding::Text }
        }
        KeyMaterial::PublicKey(_) => KeySource::PublicKey("unused".into()),
    };
    let key = KeyPolicy {
        id: "web".into(),
        algorithm,
        source,
        uses: vec![KeyUse::Jwt],
        platforms: Platforms::ALL,
        term: KeyTerm::default(),
    };
    let mut policy = workspace.identity.clone();
    policy.keys = vec![key];
    Ok(Verifier::new(&policy, vec![material], &workspace.profile, &policy::Limits::default())?)
}

/// The library's own work and nothing else: a key that is ready, a signature that is decoded.
enum Bare {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Bare {
    fn new(algorithm: Algorithm, material: &KeyMaterial) -> anyhow::Result<Self> {
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::Hs256 => return Self::secret(hmac::HMAC_SHA256, material),
            Algorithm::Hs384 => return Self::secret(hmac::HMAC_SHA384, material),
            Algorithm::Hs512 => return Self::secret(hmac::HMAC_SHA512, material),
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Algorithm::EdDsa => &signature::ED25519,
        };
        let KeyMaterial::PublicKey(pem) = material else { anyhow::bail!("no public key") };
        let digits: String = std::str::from_utf8(pem)?.lines().filter(|line| !line.starts_with('-')).collect();
        Ok(Bare::Public(ParsedPublicKey::new(verification, STANDARD.decode(digits)?)?))
    }

    fn secret(hash: hmac::Algorithm, material: &KeyMaterial) -> anyhow::Result<Self> {
        let KeyMaterial::Secret(secret) = material else { anyhow::bail!("no secret") };
        Ok(Bare::Secret(Box::new(hmac::Key::new(hash, secret.expose_secret()))))
    }

    fn holds(&self, token: &str) -> bool {
        let Some((message, signature)) = token.rsplit_once('.') else { return false };
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        match self {
            Bare::Secret(key) => hmac::verify(key, message.as_bytes(), &signature).is_ok(),
            Bare::Public(key) => key.verify_sig(message.as_bytes(), &signature).is_ok(),
        }
    }
}
