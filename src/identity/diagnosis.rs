//! What is wrong with a token, in words: for those who run the gateway, never for a client.
//!
//! The verdict is the verifier's own; what stands here asks it and explains what it said. To explain, it reads tokens that nobody signed and
//! tries keys of other workspaces, which nothing that serves may do. It makes no proof of what it reads, and gives out names, times and
//! the ids of keys: never another claim's value, a secret, or a signature.

mod explain;
mod malformed;
mod outline;
mod spans;
mod spelling;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use self::explain::Explainer;
pub(super) use self::explain::quoted;
pub(super) use self::malformed::read_object;
use self::outline::Opened;
pub use self::outline::{Outline, TimeOutline, claimed_token_id};
pub use self::spans::{counted, moment, span};
use self::spelling::Spelling;
use super::compact::UnverifiedToken;
use super::issue::IssueRules;
use super::jwt::SignedPayload;
use super::subject::SubjectClaims;
use super::times::TimeRules;
use super::{KeyError, KeyMaterial, Presented, PublishedKeys, TokenError, Verifier, keys};
use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::policy::{
    IdentityPolicy, KeyPolicy, KeySetPolicy, KeySource, KeyTerm, KeyUse, Limits, SecretEncoding, word,
};
use crate::profile::{Platform, Platforms, Profile};

/// What is asked: would this token hold at this moment, for this user where one is named?
#[derive(Clone, Copy)]
pub struct Question<'q> {
    pub token: &'q str,
    pub user_id: Option<&'q str>,
    /// From which platform the request says it comes; what its wire makes of that, the profile knows.
    pub platform: Option<Platform>,
    pub now: UnixSeconds,
}

/// What a workspace says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Examined {
    Valid,
    Failed(TokenError),
    /// A key that may have signed it could not be had, so that nobody knows.
    Unverified,
}

impl Examined {
    /// The stable name: that of the record, but for `unverified`, which no request ends in.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Examined::Valid => "valid",
            Examined::Failed(error) => error.code(),
            Examined::Unverified => "unverified",
        }
    }
}

impl Serialize for Examined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// The answer of one workspace.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub workspace: String,
    pub verdict: Examined,
    /// The key of this workspace that signed it, also where it fails otherwise.
    pub key: Option<String>,
    pub sentence: String,
    /// What else is worth knowing.
    pub hints: Vec<String>,
}

/// One workspace, with those of its keys that could be had.
pub struct Examiner<'p> {
    workspace: &'p str,
    policy: &'p IdentityPolicy,
    profile: &'p Profile,
    limits: &'p Limits,
    keys: Vec<KeyAtHand<'p>>,
    /// The sets whose keys could not be had, and why.
    missing_sets: Vec<(&'p KeySetPolicy, String)>,
    /// By the keys that could be had.
    verifier: Verifier,
}

struct KeyAtHand<'p> {
    policy: &'p KeyPolicy,
    /// Or why it could not be had.
    material: Result<KeyMaterial, String>,
}

impl KeyAtHand<'_> {
    /// The key as somebody may have read it; `None` where it cannot be read so.
    fn read_as(&self, spelling: Spelling) -> Option<(KeyPolicy, KeyMaterial)> {
        let material = self.material.as_ref().ok()?;
        match (&self.policy.source, material) {
            (KeySource::Secret { source, encoding }, KeyMaterial::Secret(secret)) => {
                // What is read already is read as it stands.
                let source = KeySource::Secret { source: source.clone(), encoding: SecretEncoding::Text };
                let secret = spelling.of(secret, *encoding)?;
                Some((KeyPolicy { source, ..self.policy.clone() }, KeyMaterial::Secret(secret)))
            }
            (KeySource::PublicKey(_), KeyMaterial::PublicKey(_)) if spelling == Spelling::AsConfigured => {
                Some((self.policy.clone(), material.clone()))
            }
            (KeySource::PublicKey(_), KeyMaterial::PublicKey(_) | KeyMaterial::Secret(_))
            | (KeySource::Secret { .. }, KeyMaterial::PublicKey(_)) => None,
        }
    }
}

/// Asks every workspace, or the one of this id. Also then all are needed, for another's key may have signed the token.
#[must_use]
pub fn diagnose(question: &Question<'_>, examiners: &[Examiner<'_>], only: Option<&str>) -> Vec<Diagnosis> {
    let found = OnceCell::new();
    // Whoever signed it did so once: with many workspaces, each asking all others would take long.
    let signer = || found.get_or_init(|| signer(question, examiners)).clone();
    let asked = examiners.iter().filter(|examiner| only.is_none_or(|id| id == examiner.workspace));
    asked.map(|examiner| examiner.examine(question, signer)).collect()
}

impl<'p> Examiner<'p> {
    /// Takes the keys of `policy`, each with its material or why there is none, in the policy's order. One that is too weak to be in force is
    /// as good as none.
    ///
    /// # Errors
    ///
    /// The keys cannot be in force together.
    pub fn new(
        workspace: &'p str,
        policy: &'p IdentityPolicy,
        profile: &'p Profile,
        limits: &'p Limits,
        materials: Vec<Result<KeyMaterial, String>>,
    ) -> Result<Self, KeyError> {
        let mut at_hand = Vec::new();
        let (mut usable, mut usable_materials) = (Vec::new(), Vec::new());
        let mut materials = materials.into_iter();
        for key in &policy.keys {
            let material = materials.next().ok_or_else(|| KeyError::Missing { id: key.id.clone() })?;
            let material = material.map_err(|why| format!("key `{}`: {why}", key.id)).and_then(|material| {
                keys::admit(key, &material).map_err(|error| error.to_string())?;
                Ok(material)
            });
            if let Ok(material) = &material {
                usable.push(key.clone());
                usable_materials.push(material.clone());
            }
            at_hand.push(KeyAtHand { policy: key, material });
        }
        let verifier =
            Verifier::new(&IdentityPolicy { keys: usable, ..policy.clone() }, usable_materials, profile, limits)?;
        Ok(Self { workspace, policy, profile, limits, keys: at_hand, missing_sets: Vec::new(), verifier })
    }

    /// Takes the sets of keys of the policy as well, each with what is known of it or why nothing is, in the policy's order.
    ///
    /// # Errors
    ///
    /// The keys cannot be in force together.
    pub fn with_key_sets(mut self, sets: Vec<Result<Arc<PublishedKeys>, String>>) -> Result<Self, KeyError> {
        let (mut usable, mut published) = (Vec::new(), Vec::new());
        let mut sets = sets.into_iter();
        for policy in &self.policy.key_sets {
            match sets.next().ok_or_else(|| KeyError::Missing { id: policy.id.clone() })? {
                Ok(keys) => {
                    usable.push(policy.clone());
                    published.push(keys);
                }
                Err(why) => self.missing_sets.push((policy, why)),
            }
        }
        let policy = IdentityPolicy { key_sets: usable, ..self.policy.clone() };
        self.verifier = self.verifier.with_key_sets(&policy, published)?;
        Ok(self)
    }

    /// Asks the verifier, and explains what it says. `signer` tells whose key did sign a token that no key of this workspace signed.
    fn examine(&self, question: &Question<'_>, signer: impl Fn() -> Option<String>) -> Diagnosis {
        let platform = self.profile.platform.if_said(question.platform);
        let presented = Presented { platform, ..presented(question) };
        let mut payload = SignedPayload::default();
        let (verified, key) = self.verifier.verify_token(question.token, &presented, question.now, &mut payload);
        let verdict = match verified {
            Ok(_claims) => Examined::Valid,
            Err(error) => self.unless_keys_are_missing(error, question.token),
        };
        let opened = Opened::of(question.token, self.limits);
        let (header, claims) = (opened.header(self.limits), opened.claims(self.limits));
        let explainer = Explainer {
            text: question.token,
            header: header.as_ref(),
            claims: claims.as_ref(),
            policy: self.policy,
            profile: self.profile,
            limits: self.limits,
            user_id: question.user_id,
            platform,
            now: question.now,
        };
        let rest = || self.admit_unverified(claims.as_ref(), &presented, question.now);
        let (sentence, mut hints) = match verdict {
            Examined::Valid => {
                let signed = key.as_ref().map_or_else(String::new, |key| format!("; key `{}` signed it", key.full));
                (explainer.success() + &signed, explainer.hints(Ok(())))
            }
            Examined::Failed(error) => {
                let (mut sentence, mut hints) = (explainer.failure(error), explainer.hints(Err(error)));
                match Stage::of(error) {
                    Stage::Shape | Stage::Subject => {}
                    Stage::Signature => {
                        // A key of another algorithm than the header's is never tried.
                        if error != TokenError::WrongAlgorithm {
                            let signer = signer().unwrap_or_else(|| "it matches no other key either".to_owned());
                            sentence.push_str(&format!("; {signer}"));
                        }
                        hints.extend(besides(&explainer, rest()));
                    }
                    Stage::Platform => {
                        sentence.extend(signer().map(|signer| format!("; {signer}")));
                        hints.extend(rest().err().map(|error| again(&explainer, error)));
                    }
                    Stage::Times => {
                        let bound = claims.as_ref().map(|claims| self.subject().bind(claims, &presented).map(drop));
                        hints.extend(bound.and_then(Result::err).map(|error| again(&explainer, error)));
                    }
                }
                (sentence, hints)
            }
            Examined::Unverified => {
                let sentence =
                    format!("whether it is signed cannot be said, for {} could not be had", self.named_missing());
                let mut hints = besides(&explainer, rest());
                hints.extend(signer());
                (sentence, hints)
            }
        };
        hints.extend(self.missing().map(|(_, why)| why.to_owned()));
        hints.extend(self.missing_sets.iter().map(|(set, why)| format!("keys of `{}`: {why}", set.id)));
        let key = key.map(|key| key.full.into_owned());
        Diagnosis { workspace: self.workspace.to_owned(), verdict, key, sentence, hints }
    }

    /// The keys for tokens that could not be had, and why.
    fn missing(&self) -> impl Iterator<Item = (&KeyPolicy, &str)> {
        let for_tokens = self.keys.iter().filter(|key| key.policy.uses.contains(&KeyUse::Jwt));
        for_tokens.filter_map(|key| Some((key.policy, key.material.as_ref().err()?.as_str())))
    }

    /// All that could not be had, by name.
    fn named_missing(&self) -> String {
        let keys = quoted(self.missing().map(|(key, _)| &*key.id));
        let sets = quoted(self.missing_sets.iter().map(|(set, _)| &*set.id));
        match (keys.is_empty(), sets.is_empty()) {
            (false, false) => format!("key {keys} and the keys of {sets}"),
            (false, true) => format!("key {keys}"),
            (true, _) => format!("the keys of {sets}"),
        }
    }

    /// The verifier knows only the keys that could be had. What it misses one for, another may have signed.
    fn unless_keys_are_missing(&self, error: TokenError, token: &str) -> Examined {
        let (Stage::Signature, Ok(token)) = (Stage::of(error), UnverifiedToken::parse(token, self.limits)) else {
            return Examined::Failed(error);
        };
        let is_named = |key: &KeyPolicy| token.key_id.as_ref().is_none_or(|id| *id == key.id);
        let mut candidates = self.missing().map(|(key, _)| key).filter(|key| is_named(key)).peekable();
        // Any `kid` that nobody here has may be a key's of a set; a token without one may be signed by any.
        let may_be_published =
            token.key_id.is_none() || matches!(error, TokenError::UnknownKey | TokenError::KeysStale);
        let of_set =
            |(set, _): &(&KeySetPolicy, String)| token.algorithm.is_some_and(|one| set.algorithms.contains(&one));
        if may_be_published && self.missing_sets.iter().any(of_set) {
            return Examined::Unverified;
        }
        // No key at all is one thing; keys of which none is for the header's algorithm, another.
        let is_of_another_algorithm = error == TokenError::UnknownKey && candidates.peek().is_some();
        let error = if is_of_another_algorithm { TokenError::WrongAlgorithm } else { error };
        if candidates.any(|key| token.algorithm == Some(key.algorithm)) {
            Examined::Unverified
        } else {
            Examined::Failed(error)
        }
    }

    /// What the verifier would say of these claims if somebody had signed them. It gives a failure, and no claims.
    fn admit_unverified(
        &self,
        claims: Option<&Value<'_>>,
        presented: &Presented<'_>,
        now: UnixSeconds,
    ) -> Result<(), TokenError> {
        let claims = claims.ok_or(TokenError::Malformed)?;
        TimeRules::new(self.policy).admit(claims, now)?;
        IssueRules::new(self.policy).admit(claims)?;
        self.subject().bind(claims, presented).map(drop)
    }

    fn subject(&self) -> SubjectClaims {
        SubjectClaims::new(&self.profile.identity)
    }

    /// Whether this key alone, whatever it is for, whenever it counts and whatever the token's `kid` says, signed the token.
    fn is_signer(&self, key: KeyPolicy, material: KeyMaterial, kid: Option<&str>, question: &Question<'_>) -> bool {
        let id = kid.map_or_else(|| key.id.clone(), str::to_owned);
        let (uses, platforms, term) = (vec![KeyUse::Jwt], Platforms::ALL, KeyTerm::default());
        let keys = vec![KeyPolicy { id, uses, platforms, term, ..key }];
        let policy = IdentityPolicy { keys, ..self.policy.clone() };
        Verifier::new(&policy, vec![material], self.profile, self.limits).is_ok_and(|verifier| {
            let (presented, mut payload) = (presented(question), SignedPayload::default());
            let (_, key_id) = verifier.verify_token(question.token, &presented, question.now, &mut payload);
            key_id.is_some()
        })
    }
}

fn presented<'q>(question: &Question<'q>) -> Presented<'q> {
    Presented {
        tokens: vec![Cow::Borrowed(question.token)],
        user_hashes: vec![],
        sealed: vec![],
        user_ids: question.user_id.map(Cow::Borrowed).into_iter().collect(),
        emails: vec![],
        sessions: vec![],
        exchanged: None,
        platform: None,
    }
}

/// Where in its way a token fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Shape,
    Signature,
    Platform,
    Times,
    Subject,
}

impl Stage {
    fn of(error: TokenError) -> Self {
        match error {
            TokenError::TwoTokens
            | TokenError::TooLarge
            | TokenError::Malformed
            | TokenError::CriticalHeader
            | TokenError::UnencodedPayload
            | TokenError::EmbeddedKey
            | TokenError::Nested
            | TokenError::WrongType => Stage::Shape,
            TokenError::WrongAlgorithm
            | TokenError::UnknownKey
            | TokenError::KeysStale
            | TokenError::KeyNotInForce
            | TokenError::BadSignature => Stage::Signature,
            TokenError::KeyForOtherPlatform => Stage::Platform,
            TokenError::NotInteger(_)
            | TokenError::InMilliseconds(_)
            | TokenError::OutOfRange(_)
            | TokenError::ExpiryMissing
            | TokenError::Expired
            | TokenError::NotYetValid
            | TokenError::LifetimeTooLong
            | TokenError::WrongIssuer
            | TokenError::WrongAudience
            | TokenError::ClaimMissing
            | TokenError::IdMissing => Stage::Times,
            TokenError::MissingSubject | TokenError::SubjectMismatch => Stage::Subject,
        }
    }
}

/// What would become of the token if its signature held: the next mistake is better known now than when this one is mended.
fn besides(explainer: &Explainer<'_>, rest: Result<(), TokenError>) -> Vec<String> {
    match rest {
        Ok(()) => vec![format!("but for its signature it would be valid {}", explainer.success())],
        Err(error) => std::iter::once(again(explainer, error)).chain(explainer.hints(Err(error))).collect(),
    }
}

fn again(explainer: &Explainer<'_>, error: TokenError) -> String {
    format!("besides, {} (`{}`)", explainer.failure(error), error.code())
}

/// Whose key did sign it.
fn signer(question: &Question<'_>, all: &[Examiner<'_>]) -> Option<String> {
    let limits = all.first()?.limits;
    let kid = UnverifiedToken::parse(question.token, limits).ok()?.key_id;
    // A secret as it stands before any reading of one: two keys may be the same in different spellings.
    Spelling::ALL.into_iter().find_map(|spelling| {
        all.iter().find_map(|examiner| {
            let key = examiner.keys.iter().find(|key| {
                key.read_as(spelling)
                    .is_some_and(|(policy, material)| examiner.is_signer(policy, material, kid.as_deref(), question))
            })?;
            let other_use = if key.policy.uses.contains(&KeyUse::Jwt) { "" } else { ", which is not for tokens" };
            let (id, workspace) = (&key.policy.id, examiner.workspace);
            let other_platform = match key.policy.platforms {
                Platforms::ALL => String::new(),
                some => format!(", which is for {} only", quoted(some.iter().map(word))),
            };
            let other_time = if key.policy.term.holds(question.now.0) { "" } else { ", which is not in force" };
            Some(format!(
                "it matches key `{id}` of workspace `{workspace}`{}{other_use}{other_platform}{other_time}",
                spelling.words()
            ))
        })
    })
}

#[cfg(test)]
mod tests;
