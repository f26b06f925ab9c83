//! The middle of a request's journey, where nothing waits, step by step: open, verify, judge, rewrite.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::Context;
use countersign::clock::UnixSeconds;
use countersign::decision::{Channel, Circumstances, Signed, judge};
use countersign::envelope::{Decoded, Envelope, EnvelopeError, Guard, Rewritten, Wire};
use countersign::identity::{
    ConfiguredSecrets, DRAWN_BYTES, Holder, KeyMaterial, Presented, Proofs, Secret, SignedPayload, Verifier,
};
use countersign::policy::{self, Gateway, Paint, PolicyFiles, Source, Workspace};
use countersign::profile::{Operation, PathParams, shipped};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::sample::{self, Size};

/// The same at every run, so that a token costs the same at every run. November 2026.
const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

/// One size of request, and what it is called.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    size: Size,
}

/// By size of the form and number of attributes. A hundred attributes do not fit into 1 KB, nor a thousand into 16 KB.
pub const CASES: [Case; 6] = [
    case("1KB-10", 1, 10),
    case("16KB-10", 16, 10),
    case("16KB-100", 16, 100),
    case("256KB-10", 256, 10),
    case("256KB-100", 256, 100),
    case("256KB-1000", 256, 1_000),
];

const fn case(name: &'static str, kib: usize, attributes: usize) -> Case {
    Case { name, size: Size { body_bytes: kib * 1024, attributes } }
}

impl Case {
    /// The form, the same at every run.
    pub fn body(self) -> String {
        sample::form(self.size, 42, NOW.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The form's fields, the document's members, and what they want to change.
    Open,
    /// The token's signature, times and subject, and what it signs.
    Verify,
    Judge,
    /// The form anew, and read back by the second reader.
    Rewrite,
    /// All of these, one after the other.
    Whole,
}

impl Step {
    pub const ALL: [Self; 5] = [Self::Open, Self::Verify, Self::Judge, Self::Rewrite, Self::Whole];

    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Verify => "verify",
            Self::Judge => "judge",
            Self::Rewrite => "rewrite",
            Self::Whole => "whole",
        }
    }
}

/// A workspace with everything that its requests need.
pub struct Middle {
    gateway: Gateway,
    workspace: Workspace,
    operation: Arc<Operation>,
    guard: Guard,
    verifier: Verifier,
    secrets: ConfiguredSecrets,
    headers: HeaderMap,
    params: PathParams<'static>,
}

/// `gateway.toml` with nothing in it but what must be.
const GATEWAY: &str = r#"
[[listeners]]
name = "public"
address = "127.0.0.1:0"
certificates = [{ certificate = "certificate.pem", key = "key.pem" }]

[upstreams.attributes]
url = "http://127.0.0.1:9000"
"#;

/// Not drawn: seeding random numbers takes another number of instructions each time.
const DRAWN: &[u8; DRAWN_BYTES] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

impl Middle {
    pub fn prepare() -> anyhow::Result<Self> {
        let profiles = shipped().map(|(id, text)| Source::new(format!("profiles/{id}.toml"), text));
        let files = PolicyFiles {
            gateway: Some(Source::new("gateway.toml", GATEWAY)),
            profiles: profiles.to_vec(),
            workspaces: vec![Source::new("workspaces/acme.toml", sample::workspace())],
            addresses: Vec::new(),
            base: "policies".into(),
        };
        let (set, findings) = policy::parse(&files);
        let set = set.with_context(|| findings.render(Paint::Plain))?;
        let workspace = set.workspaces.into_iter().next().context("one workspace")?;
        let operation = workspace.operations.iter().find(|operation| operation.name == "ping").context("`ping`")?;
        let secret = Secret::from(sample::SECRET.as_bytes().to_vec());
        let secrets = ConfiguredSecrets::of(DRAWN, [("acme", "bench", &secret)]);
        let materials = vec![KeyMaterial::Secret(secret)];
        let verifier = Verifier::new(&workspace.identity, materials, &workspace.profile, &set.gateway.limits)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let operation = Arc::clone(operation);
        let guard = Guard::new(&workspace.profile, &operation);
        Ok(Self {
            gateway: set.gateway,
            workspace,
            operation,
            guard,
            verifier,
            secrets,
            headers,
            params: PathParams::new(),
        })
    }

    /// Walks the whole way once, then lends `run` one step of it, to be done as often as it likes.
    pub fn lend<R>(&self, body: &str, step: Step, run: impl FnOnce(&mut dyn FnMut()) -> R) -> anyhow::Result<R> {
        let decoded = self.decode(body)?;
        let envelope = self.open(&decoded)?;
        let walked = envelope.walk(&[], &self.secrets)?;
        let update = walked.update();
        let presented = self.presented(&envelope)?;
        let mut payload = SignedPayload::default();
        let proofs = self.verifier.verify(&presented, NOW, &mut payload);
        let signed = self.signed(&proofs);
        signed.as_ref().context("the token is refused")?;
        let circumstances = self.circumstances(&envelope, &proofs);
        let judged = judge(&self.workspace.catalogue, circumstances, &self.secrets, signed.as_ref(), update);
        self.whole(body)?;
        Ok(match step {
            Step::Open => run(&mut || {
                let _ = black_box(self.count(black_box(body)));
            }),
            Step::Verify => run(&mut || {
                let mut payload = SignedPayload::default();
                let proofs = self.verifier.verify(black_box(&presented), NOW, &mut payload);
                drop(black_box(self.signed(&proofs)));
            }),
            Step::Judge => run(&mut || {
                let update = black_box(update);
                drop(black_box(judge(
                    &self.workspace.catalogue,
                    circumstances,
                    &self.secrets,
                    signed.as_ref(),
                    update,
                )));
            }),
            Step::Rewrite => run(&mut || {
                drop(black_box(black_box(&walked).rewrite(&judged, self.gateway.read_back)));
            }),
            Step::Whole => run(&mut || drop(black_box(self.whole(black_box(body))))),
        })
    }

    fn whole(&self, body: &str) -> anyhow::Result<Rewritten> {
        let decoded = self.decode(body)?;
        let envelope = self.open(&decoded)?;
        let presented = self.presented(&envelope)?;
        let mut payload = SignedPayload::default();
        let proofs = self.verifier.verify(&presented, NOW, &mut payload);
        let signed = self.signed(&proofs);
        let walked = envelope.walk(&[], &self.secrets)?;
        let update = walked.update();
        let circumstances = self.circumstances(&envelope, &proofs);
        let judged = judge(&self.workspace.catalogue, circumstances, &self.secrets, signed.as_ref(), update);
        Ok(walked.rewrite(&judged, self.gateway.read_back)?)
    }

    /// How many writes there are: opening alone.
    fn count(&self, body: &str) -> Result<usize, EnvelopeError> {
        let decoded = self.decode(body)?;
        let envelope = self.open(&decoded)?;
        Ok(black_box(envelope.walk(&[], &self.secrets)?).update().writes.len())
    }

    fn decode<'r>(&'r self, body: &'r str) -> Result<Decoded<'r>, EnvelopeError> {
        let wire = Wire { headers: &self.headers, query: None, params: &self.params, body: body.as_bytes() };
        Decoded::decode(&self.operation, &wire, &self.gateway.limits)
    }

    fn open<'a>(&'a self, decoded: &'a Decoded<'a>) -> Result<Envelope<'a>, EnvelopeError> {
        decoded.open(&self.guard, &self.workspace.profile, &self.operation, &self.gateway.limits)
    }

    fn presented<'e>(&self, envelope: &'e Envelope<'_>) -> Result<Presented<'e>, EnvelopeError> {
        let profile = &self.workspace.profile;
        Ok(Presented {
            sealed: vec![],
            tokens: envelope.texts_at(&profile.tokens.jwt)?,
            user_hashes: envelope.texts_at(&profile.tokens.user_hash)?,
            user_ids: envelope.texts_at(&profile.identity.user_id)?,
            emails: envelope.texts_at(&profile.identity.email)?,
            sessions: vec![],
            exchanged: None,
            platform: None,
        })
    }

    fn signed<'p>(&'p self, proofs: &'p Proofs<'_>) -> Option<Signed<'p>> {
        proofs.claims().map(|claims| claims.signed(&self.workspace.profile))
    }

    fn circumstances(&self, envelope: &Envelope<'_>, proofs: &Proofs<'_>) -> Circumstances<'static> {
        Circumstances {
            channel: Channel::Messenger,
            subject: proofs.user_or_lead(Holder::Hidden, None),
            token_reader: self.workspace.profile.token_reader,
            additions: envelope.additions(),
        }
    }
}
