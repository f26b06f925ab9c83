//! The sentences: what a failure means for this token and this policy, with what was expected. They decide nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::outline::{harmless, integer, kind, time_or_kind};
use super::spans::{counted, moment, span};
use super::{malformed, outline};
use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::identity::TokenError;
use crate::identity::verdict::TimeClaim;
use crate::policy::{Algorithm, Expiry, IdentityPolicy, KeyPolicy, KeyUse, Limits, word};
use crate::profile::{Platform, PlatformSource, Profile};
use crate::state::TOKEN_ID_BYTES_MAX;

/// All that a sentence may speak of.
pub(super) struct Explainer<'e> {
    pub(super) text: &'e str,
    /// As it says itself; nobody need have signed either.
    pub(super) header: Option<&'e Value<'e>>,
    pub(super) claims: Option<&'e Value<'e>>,
    pub(super) policy: &'e IdentityPolicy,
    pub(super) profile: &'e Profile,
    pub(super) limits: &'e Limits,
    pub(super) user_id: Option<&'e str>,
    /// From which the request comes.
    pub(super) platform: Option<Platform>,
    pub(super) now: UnixSeconds,
}

impl Explainer<'_> {
    /// What is wrong, with what was expected.
    pub(super) fn failure(&self, error: TokenError) -> String {
        match error {
            TokenError::TwoTokens => error.to_string(),
            TokenError::TooLarge => {
                let max = self.limits.token_bytes_max;
                format!("it has {} bytes, more than the {max} of `token_bytes_max`", self.text.len())
            }
            TokenError::Malformed => malformed::place(self.text, self.limits).unwrap_or_else(|| error.to_string()),
            TokenError::CriticalHeader => "its header has `crit`, which asks for an extension".to_owned(),
            TokenError::UnencodedPayload => "its header has `b64`, by which the payload would be another".to_owned(),
            TokenError::EmbeddedKey => {
                let names = ["jwk", "jku", "x5u", "x5c"].into_iter().filter(|name| self.in_header(name).is_some());
                format!("its header has {}: a token that brings its own key proves nothing", quoted(names))
            }
            TokenError::Nested => "its header has `cty`: it carries another token".to_owned(),
            TokenError::WrongType => {
                format!("its `typ` is {}, expected `JWT` or none: it was made for something else", self.said("typ"))
            }
            TokenError::WrongAlgorithm => self.wrong_algorithm(),
            TokenError::UnknownKey => self.unknown_key(),
            TokenError::KeysStale => self.keys_stale(),
            TokenError::BadSignature => match self.kid() {
                Some(kid) => format!("key `{}`, which its `kid` names, did not sign it", harmless(kid)),
                None => format!("it was signed by none of {}", quoted(self.names())),
            },
            TokenError::KeyForOtherPlatform => self.other_platform(),
            TokenError::KeyNotInForce => self.not_in_force(),
            TokenError::NotInteger(claim) => self.not_integer(claim),
            TokenError::InMilliseconds(claim) => self.in_milliseconds(claim),
            TokenError::OutOfRange(claim) => {
                format!("its `{}` is {}, which is beyond all times", claim.name(), self.written(claim))
            }
            TokenError::ExpiryMissing => match self.policy.expiry {
                Expiry::Required => "it has no `exp`: it must say when it ends".to_owned(),
                Expiry::Optional if self.policy.max_lifetime.is_none() => {
                    "it has no `exp`, which `replay` or `session_end` asks for: it is known again until it ends"
                        .to_owned()
                }
                Expiry::Optional => {
                    "it has neither `exp` nor `iat`: where there is a `max_lifetime`, it needs one of them".to_owned()
                }
            },
            TokenError::Expired => self.expired(),
            TokenError::NotYetValid => self.not_yet_valid(),
            TokenError::LifetimeTooLong => self.lifetime_too_long(),
            TokenError::WrongIssuer => {
                format!(
                    "its `iss` is {}, expected {}",
                    self.whose("iss"),
                    quoted(self.policy.issuers.iter().map(String::as_str))
                )
            }
            TokenError::WrongAudience => {
                let expected = quoted(self.policy.audiences.iter().map(String::as_str));
                format!("its `aud` is {}, expected {expected}", self.whose("aud"))
            }
            TokenError::ClaimMissing => {
                let says = |name: &&String| {
                    let value = self.claims.and_then(|claims| claims.member(name));
                    value.is_none_or(|value| matches!(value, Value::Null))
                };
                let missing = self.policy.required_claims.iter().filter(says).map(String::as_str);
                format!("it lacks {}, which `required_claims` asks for", quoted(missing))
            }
            TokenError::IdMissing => {
                format!(
                    "it has no `jti` of 1 to {TOKEN_ID_BYTES_MAX} bytes of text, which `replay` or `session_end` asks for"
                )
            }
            TokenError::MissingSubject => self.missing_subject(),
            TokenError::SubjectMismatch => {
                format!("its `{}` is not the user id that was given", self.subject().map_or("", |(name, _)| name))
            }
        }
    }

    /// Until when it holds.
    pub(super) fn success(&self) -> String {
        let now = i128::from(self.now.0);
        match self.end() {
            None => "and it never ends: it has no `exp`, and the policy takes it so".to_owned(),
            Some(end) if end > now => format!("for another {}, until {}", span(end - now), moment(end)),
            Some(end) => {
                let leeway = span(seconds(self.policy.leeway.as_secs()));
                format!("by nothing but the leeway of {leeway}: it ended {} ago, at {}", span(now - end), moment(end))
            }
        }
    }

    /// What is no failure and yet worth knowing.
    pub(super) fn hints(&self, verdict: Result<(), TokenError>) -> Vec<String> {
        let mut hints = Vec::new();
        match verdict {
            Ok(()) => {
                let left = self.end().map(|end| end - i128::from(self.now.0));
                if left.is_some_and(|left| (1..SHORT_SECONDS).contains(&left)) {
                    hints.push(
                        "it ends within a minute: a page lives longer, and must fetch another in time".to_owned(),
                    );
                }
                let keys = self.token_keys().count();
                if self.kid().is_none() && keys > 1 {
                    hints.push(format!(
                        "it has no `kid`: each of {} is tried",
                        counted(i128::try_from(keys).unwrap_or(i128::MAX), "key")
                    ));
                }
            }
            Err(TokenError::WrongAlgorithm) => hints.extend(self.nearly_an_algorithm()),
            Err(TokenError::BadSignature) => hints.extend(self.length_of_another_algorithm()),
            Err(TokenError::Expired) => {
                let exp = self.time(TimeClaim::Exp);
                if exp.is_some_and(|exp| (0..LIFETIMES_BELOW).contains(&exp)) {
                    hints.push(
                        "`exp` looks like a lifetime: it is a time, in seconds since 1970, so add the lifetime to now"
                            .to_owned(),
                    );
                }
            }
            Err(TokenError::NotYetValid) => {
                hints
                    .push("the clock of whoever signed it is ahead, or the clock of this machine is behind".to_owned());
            }
            Err(TokenError::MissingSubject) => hints.extend(self.misspelled_subject()),
            Err(TokenError::SubjectMismatch) => hints.extend(self.nearly_the_same_user()),
            Err(TokenError::UnknownKey) => hints.extend(self.nearly_the_same_key()),
            Err(
                TokenError::TwoTokens
                | TokenError::TooLarge
                | TokenError::Malformed
                | TokenError::CriticalHeader
                | TokenError::UnencodedPayload
                | TokenError::EmbeddedKey
                | TokenError::Nested
                | TokenError::WrongType
                | TokenError::NotInteger(_)
                | TokenError::InMilliseconds(_)
                | TokenError::OutOfRange(_)
                | TokenError::ExpiryMissing
                | TokenError::LifetimeTooLong
                | TokenError::KeysStale
                | TokenError::KeyNotInForce
                | TokenError::KeyForOtherPlatform
                | TokenError::WrongIssuer
                | TokenError::WrongAudience
                | TokenError::ClaimMissing
                | TokenError::IdMissing,
            ) => {}
        }
        hints
    }

    /// The keys that verify tokens.
    fn token_keys(&self) -> impl Iterator<Item = &KeyPolicy> {
        self.policy.keys.iter().filter(|key| key.uses.contains(&KeyUse::Jwt))
    }

    /// What the policy calls its keys for tokens, and its sets of them.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.token_keys().map(|key| &*key.id).chain(self.policy.key_sets.iter().map(|set| &*set.id))
    }

    fn in_header(&self, name: &str) -> Option<&Value<'_>> {
        self.header?.member(name)
    }

    fn kid(&self) -> Option<&str> {
        self.in_header("kid")?.as_text()
    }

    /// What the header says there, as code.
    fn said(&self, name: &str) -> String {
        self.in_header(name).map_or_else(String::new, |value| format!("`{}`", outline::text_or_kind(value)))
    }

    fn wrong_algorithm(&self) -> String {
        let all = |keys: &mut dyn Iterator<Item = &KeyPolicy>| {
            keys.map(|key| format!("`{}` is for `{}`", key.id, word(key.algorithm))).collect::<Vec<_>>().join(", ")
        };
        let keys = match self.kid() {
            Some(kid) => all(&mut self.token_keys().filter(|key| key.id == kid)),
            None => all(&mut self.token_keys()),
        };
        let sets = self.policy.key_sets.iter().map(|set| {
            let algorithms = quoted(set.algorithms.iter().map(|algorithm| word(*algorithm)));
            format!("key set `{}` is for {algorithms}", set.id)
        });
        let own = (!keys.is_empty()).then(|| format!("key {keys}"));
        let all: Vec<String> = own.into_iter().chain(sets).collect();
        format!("its header says {}, and {}", self.said("alg"), all.join(", "))
    }

    fn nearly_an_algorithm(&self) -> Option<String> {
        let alg = self.in_header("alg")?.as_text()?;
        if alg.eq_ignore_ascii_case("none") {
            return Some("`none` is no signature at all: anybody can write such a token".to_owned());
        }
        let meant =
            self.token_keys().map(|key| word(key.algorithm)).find(|name| name.eq_ignore_ascii_case(alg.trim()))?;
        Some(format!("`{}` is compared to the letter: write `{meant}`", harmless(alg)))
    }

    /// A tag is as long as its hash, whatever the header says.
    fn length_of_another_algorithm(&self) -> Option<String> {
        let (_, signature) = self.text.rsplit_once('.')?;
        let bytes = URL_SAFE_NO_PAD.decode(signature).ok()?.len();
        let named = |key: &&KeyPolicy| self.kid().is_none_or(|kid| kid == key.id);
        let expected = self.token_keys().filter(named);
        let expected = expected.filter_map(|key| Some((word(key.algorithm), tag_bytes(key.algorithm)?)));
        let mut expected = expected.filter(|(name, _)| self.in_header("alg").and_then(Value::as_text) == Some(name));
        let (name, expected) = expected.next().filter(|(_, expected)| *expected != bytes)?;
        Some(format!(
            "its signature has {bytes} bytes, and one of `{name}` has {expected}: it was made by another algorithm, or cut off"
        ))
    }

    fn unknown_key(&self) -> String {
        if self.names().next().is_none() {
            return "the workspace has no key for tokens: none has `use = [\"jwt\"]`".to_owned();
        }
        let own = quoted(self.token_keys().map(|key| &*key.id));
        let sets = quoted(self.policy.key_sets.iter().map(|set| &*set.id));
        let keys = match (own.is_empty(), sets.is_empty()) {
            (_, true) => own,
            (true, false) => format!("those of {sets}, which have none of that name"),
            (false, false) => format!("{own} and those of {sets}, which have none of that name"),
        };
        match self.kid() {
            Some(kid) if self.policy.keys.iter().any(|key| key.id == kid) => {
                format!("its `kid` names `{}`, which is not for tokens; those are {keys}", harmless(kid))
            }
            Some(_) => format!("its `kid` is {}, and the keys for tokens are {keys}", self.said("kid")),
            None => format!("none of {keys} is in force"),
        }
    }

    /// Which sets are too old to say.
    fn keys_stale(&self) -> String {
        let sets = quoted(self.policy.key_sets.iter().map(|set| set.id.as_str()));
        format!(
            "a key of {sets} may have signed it, and the issuer has not confirmed those for longer than `stale_after`"
        )
    }

    /// When the keys that could have signed it count.
    fn other_platform(&self) -> String {
        match (self.platform, &self.profile.platform) {
            (Some(platform), _) => format!("its key is not for `{}`, where the request comes from", word(platform)),
            (None, PlatformSource::Untold) => {
                let profile = &self.profile.id;
                format!(
                    "its key is not for all platforms, and profile `{profile}` does not tell where a request comes from"
                )
            }
            (None, PlatformSource::Always(_) | PlatformSource::Said { .. }) => {
                "its key is not for all platforms, and the request does not say where it comes from".to_owned()
            }
        }
    }

    fn not_in_force(&self) -> String {
        let algorithm = self.in_header("alg").and_then(Value::as_text).and_then(Algorithm::named);
        let could = |key: &&KeyPolicy| match self.kid() {
            Some(kid) => key.id == kid,
            None => Some(key.algorithm) == algorithm,
        };
        let told = self.token_keys().filter(could).map(|key| {
            let at = |seconds: i64| moment(i128::from(seconds));
            match (key.term.not_before, key.term.not_after) {
                (Some(begin), _) if begin > self.now.0 => format!("`{}` counts from {} on", key.id, at(begin)),
                (_, Some(end)) => format!("`{}` has not counted since {}", key.id, at(end)),
                (Some(_) | None, None) => format!("`{}` counts", key.id),
            }
        });
        format!("key {}", told.collect::<Vec<_>>().join(", "))
    }

    /// Of a claim that is a name: what kind of value it has, for the value may be anybody's.
    fn whose(&self, name: &str) -> &'static str {
        match self.claims.and_then(|claims| claims.member(name)) {
            None => "not there",
            Some(Value::Text(_)) => "another",
            Some(Value::List(_)) => "a list of others",
            Some(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_))) => kind(value),
        }
    }

    fn nearly_the_same_key(&self) -> Option<String> {
        let kid = self.kid()?;
        let meant = self.token_keys().find(|key| key.id.eq_ignore_ascii_case(kid.trim()))?;
        Some(format!("did you mean `{}`? A `kid` is compared to the letter", meant.id))
    }

    fn time(&self, claim: TimeClaim) -> Option<i128> {
        integer(self.claims?.member(claim.name())?)
    }

    fn written(&self, claim: TimeClaim) -> String {
        self.claims.and_then(|claims| claims.member(claim.name())).map_or_else(String::new, time_or_kind)
    }

    /// When it ends: by its `exp`, or by the longest life since its `iat`.
    fn end(&self) -> Option<i128> {
        let by_lifetime = || Some(self.time(TimeClaim::Iat)? + self.lifetime_max()?);
        self.time(TimeClaim::Exp).or_else(by_lifetime)
    }

    fn lifetime_max(&self) -> Option<i128> {
        self.policy.max_lifetime.map(|lifetime| seconds(lifetime.as_secs()))
    }

    fn not_integer(&self, claim: TimeClaim) -> String {
        let expected = "expected whole seconds since 1970";
        let (name, written) = (claim.name(), self.written(claim));
        match self.claims.and_then(|claims| claims.member(name)) {
            Some(Value::Text(_)) => format!("its `{name}` is {written}: {expected}, without quotation marks"),
            Some(Value::Number(_)) => format!("its `{name}` is {written}: {expected}, without fraction or exponent"),
            Some(Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_)) | None => {
                format!("its `{name}` is {written}: {expected}")
            }
        }
    }

    fn in_milliseconds(&self, claim: TimeClaim) -> String {
        let name = claim.name();
        let meant = self.time(claim).map(|milliseconds| milliseconds / 1000);
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant} ({})?", moment(meant)));
        format!("its `{name}` is {}, which looks like milliseconds{meant}", self.written(claim))
    }

    fn expired(&self) -> String {
        let Some(end) = self.end() else { return TokenError::Expired.to_string() };
        let ago = span(i128::from(self.now.0) - end);
        match (self.time(TimeClaim::Exp), self.lifetime_max()) {
            (None, Some(max)) => {
                format!("it ended {ago} ago: it has no `exp`, and may live for {} from its `iat`", span(max))
            }
            (Some(_), _) | (None, None) => format!("it ended {ago} ago, at {}", moment(end)),
        }
    }

    fn not_yet_valid(&self) -> String {
        let ahead = |claim| self.time(claim).map(|begin| begin - i128::from(self.now.0));
        let leeway = seconds(self.policy.leeway.as_secs());
        match (ahead(TimeClaim::Nbf), ahead(TimeClaim::Iat)) {
            (Some(ahead), _) if ahead > leeway => {
                format!("its `nbf` is {} ahead, and the leeway is {}", span(ahead), span(leeway))
            }
            (_, Some(ahead)) => format!("its `iat` is {} ahead, and the leeway is {}", span(ahead), span(leeway)),
            (Some(_) | None, None) => TokenError::NotYetValid.to_string(),
        }
    }

    fn lifetime_too_long(&self) -> String {
        let (Some(exp), Some(max)) = (self.time(TimeClaim::Exp), self.lifetime_max()) else {
            return TokenError::LifetimeTooLong.to_string();
        };
        let left = exp - i128::from(self.now.0);
        let whole = self.time(TimeClaim::Iat).map(|iat| exp - iat).filter(|whole| *whole > max);
        let (lives, from) = whole.map_or((left, "now"), |whole| (whole, "its `iat`"));
        let (over, max) = (span(lives - max), span(max));
        format!("it lives for {} from {from}, {over} longer than the `max_lifetime` of {max}", span(lives))
    }

    /// The claim that says who the user is, whatever it says: the first that is there, as the verifier takes it.
    fn subject(&self) -> Option<(&str, &Value<'_>)> {
        let names = &self.profile.identity.user_id_claims;
        names.iter().find_map(|name| Some((name.as_str(), self.claims?.member(name)?)))
    }

    fn missing_subject(&self) -> String {
        let names = || quoted(self.profile.identity.user_id_claims.iter().map(String::as_str));
        match self.subject() {
            None => format!("it names no user: of {}, it has none", names()),
            Some((name, Value::Text(_))) => format!("its `{name}` is blank"),
            Some((name, Value::Number(_))) => {
                format!("its `{name}` is a number that is not whole: expected a text, or a whole number in digits")
            }
            Some((name, value @ (Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_)))) => {
                format!("its `{name}` is {}: expected a text, or a whole number in digits", kind(value))
            }
        }
    }

    /// A claim that is the subject but for case and what joins words.
    fn misspelled_subject(&self) -> Option<String> {
        let folded = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        let claims = self.claims?.as_object()?;
        self.profile.identity.user_id_claims.iter().find_map(|expected| {
            let (found, _) = claims.iter().find(|(name, _)| name != expected && folded(name) == folded(expected))?;
            Some(format!("it has `{}`: did you mean `{expected}`?", harmless(found)))
        })
    }

    fn nearly_the_same_user(&self) -> Option<String> {
        let (ours, theirs) = (self.subject()?.1.as_id()?, self.user_id?);
        let same_but = if ours.trim() == theirs.trim() {
            "white space around them"
        } else if ours.eq_ignore_ascii_case(theirs) {
            "the case of letters"
        } else if ours.trim_start_matches('0') == theirs.trim_start_matches('0') {
            "zeros in front"
        } else {
            return None;
        };
        Some(format!("the two are the same but for {same_but}, and are compared to the letter"))
    }
}

/// How long a signature is, where that is known without the key.
fn tag_bytes(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::Hs256 => Some(32),
        Algorithm::Hs384 => Some(48),
        // Ed25519 and P-256 have two numbers of 32 bytes each.
        Algorithm::Hs512 | Algorithm::Es256 | Algorithm::EdDsa => Some(64),
        Algorithm::Es384 => Some(96),
        Algorithm::Es512 => Some(132),
        // As long as the modulus.
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512 => None,
    }
}

/// Less is short for a page.
const SHORT_SECONDS: i128 = 60;

/// Times before 1973 are lifetimes: a hundred million seconds are three years.
const LIFETIMES_BELOW: i128 = 100_000_000;

fn seconds(seconds: u64) -> i128 {
    i128::from(seconds)
}

/// Names as code, with commas.
pub(in crate::identity) fn quoted<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.map(|name| format!("`{}`", harmless(name))).collect::<Vec<_>>().join(", ")
}
