//! Webhooks: whether a vendor's own server sent this body.
//!
//! The signature is of the bytes as they came over the wire, so they are sent on as they came. Where the vendor signs a time, a webhook counts
//! near that time and once.

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::Secret;
use super::material;
use crate::clock::UnixSeconds;
use crate::policy::{KeyTerm, OnFailure, WebhookPolicy};
use crate::profile::{WebhookAlgorithm, WebhookSignature};
use crate::state::{Claimed, Key, Space, StateError, Store};

/// Why a webhook is none. Outside all of them read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    #[error("the webhook has no signature, or no time that it signs")]
    Missing,
    /// Twice, of another length, with other digits, or behind another prefix.
    #[error("the signature, or its time, is not written as this vendor writes it")]
    Malformed,
    #[error("no key in force made the signature of this body")]
    Bad,
    #[error("the webhook was signed too long ago, or is to come")]
    Stale,
    #[error("the webhook has been here before")]
    Replayed,
    /// Whether it has been here cannot be known now.
    #[error("the state has no answer")]
    StateUnavailable,
}

/// Why a secret for webhooks is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookKeyError {
    #[error("webhook key `{key}`: the secret is not written as `encoding` says")]
    Encoding { key: String },
    #[error(
        "webhook key `{key}`: the secret has fewer than {WEBHOOK_SECRET_BYTES_MIN} bytes: guessed, it signs for everybody"
    )]
    Short { key: String },
}

/// Vendors give secrets of 20 bytes and more.
pub const WEBHOOK_SECRET_BYTES_MIN: usize = 16;

/// The keys of a workspace for webhooks.
pub struct WebhookKeys {
    keys: Vec<OneKey>,
    tolerance_seconds: i64,
}

struct OneKey {
    id: String,
    term: KeyTerm,
    sha1: hmac::Key,
    sha256: hmac::Key,
}

impl OneKey {
    fn new(id: &str, term: KeyTerm, secret: &[u8]) -> Self {
        Self {
            id: id.to_owned(),
            term,
            sha1: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret),
            sha256: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    fn of(&self, algorithm: WebhookAlgorithm) -> &hmac::Key {
        match algorithm {
            WebhookAlgorithm::HmacSha1 => &self.sha1,
            WebhookAlgorithm::HmacSha256 => &self.sha256,
        }
    }
}

/// A signature as a request has it, whether it holds or not.
#[derive(Clone, Debug)]
pub struct PresentedSignature {
    algorithm: WebhookAlgorithm,
    tag: Vec<u8>,
    /// As it is spelled, and what it means.
    time: Option<(String, i64)>,
}

impl PresentedSignature {
    /// Takes it out of the headers, before a byte of the body is read.
    ///
    /// # Errors
    ///
    /// [`WebhookError::Missing`] and [`WebhookError::Malformed`].
    pub fn read(signature: &WebhookSignature, headers: &HeaderMap) -> Result<Self, WebhookError> {
        let text = one(headers, &signature.header)?;
        let digits = text.strip_prefix(signature.prefix.as_str()).ok_or(WebhookError::Malformed)?;
        let tag = lower_hex(digits).filter(|tag| tag.len() == signature.algorithm.tag_bytes());
        let time = match &signature.timestamp {
            Some(name) => Some(read_time(one(headers, name)?)?),
            None => None,
        };
        Ok(Self { algorithm: signature.algorithm, tag: tag.ok_or(WebhookError::Malformed)?, time })
    }
}

/// The header's one value.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, WebhookError> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(WebhookError::Missing)?;
    match (values.next(), value.to_str()) {
        (None, Ok("")) => Err(WebhookError::Missing),
        (None, Ok(text)) => Ok(text),
        (Some(_), _) | (None, Err(_)) => Err(WebhookError::Malformed),
    }
}

/// Two spellings of one signature would be two webhooks to whoever remembers them.
fn lower_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(high)? << 4) | digit(low)?)).collect()
}

/// Digits of seconds until the year 33658. Milliseconds have one more than there are today, and are another time.
const TIME_DIGITS_MAX: usize = 12;

fn read_time(text: &str) -> Result<(String, i64), WebhookError> {
    let is_number = (1..=TIME_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| is_number).ok_or(WebhookError::Malformed)?;
    Ok((text.to_owned(), seconds))
}

impl WebhookKeys {
    /// Makes the keys of a policy, whose secrets are in its order.
    ///
    /// # Errors
    ///
    /// A secret is none.
    pub fn new(policy: &WebhookPolicy, secrets: &[Secret]) -> Result<Self, WebhookKeyError> {
        let keys = policy.keys.iter().zip(secrets).map(|(key, written)| {
            let id = || key.id.clone();
            let secret =
                material::decode(written, key.encoding).ok_or_else(|| WebhookKeyError::Encoding { key: id() })?;
            if secret.expose_secret().len() < WEBHOOK_SECRET_BYTES_MIN {
                return Err(WebhookKeyError::Short { key: id() });
            }
            Ok(OneKey::new(&key.id, key.term, secret.expose_secret()))
        });
        let tolerance_seconds = i64::try_from(policy.tolerance.as_secs()).unwrap_or(i64::MAX);
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, tolerance_seconds })
    }

    /// Verifies a body by the signature that came with it.
    ///
    /// # Errors
    ///
    /// [`WebhookError::Bad`].
    pub fn verify<'k>(
        &'k self,
        presented: &PresentedSignature,
        body: Bytes,
        now: UnixSeconds,
    ) -> Result<SignedWebhook<'k>, WebhookError> {
        let message = message(presented.time.as_ref().map(|(text, _)| text.as_str()), &body);
        // `hmac::verify` compares in constant time.
        let signed = |key: &&OneKey| hmac::verify(key.of(presented.algorithm), &message, &presented.tag).is_ok();
        let key = self.keys.iter().filter(|key| key.term.holds(now.0)).find(signed).ok_or(WebhookError::Bad)?;
        let timed = presented.time.as_ref().map(|(_, time)| Timed {
            tag: presented.tag.clone(),
            time: *time,
            tolerance_seconds: self.tolerance_seconds,
        });
        Ok(SignedWebhook { body, key_id: &key.id, timed })
    }
}

/// What is signed.
fn message(time: Option<&str>, body: &Bytes) -> Bytes {
    match time {
        Some(time) => [time.as_bytes(), b".", body].concat().into(),
        None => body.clone(),
    }
}

/// A webhook whose signature holds. Whether its time is near and it has not been here before is still to be asked.
#[must_use]
pub struct SignedWebhook<'k> {
    body: Bytes,
    key_id: &'k str,
    timed: Option<Timed>,
}

/// What is signed with its time, and counts near it.
struct Timed {
    tag: Vec<u8>,
    time: i64,
    tolerance_seconds: i64,
}

impl<'k> SignedWebhook<'k> {
    /// The policy's name of the key that signed it.
    #[must_use]
    pub fn key_id(&self) -> &'k str {
        self.key_id
    }

    /// Uses it up, where it has a time: it counts near that, and once.
    ///
    /// # Errors
    ///
    /// [`WebhookError::Stale`] and [`WebhookError::Replayed`]; [`WebhookError::StateUnavailable`] where it cannot be known and the policy says `closed`.
    pub async fn admit(
        self,
        workspace: &str,
        state: &dyn Store,
        on_failure: OnFailure,
        now: UnixSeconds,
    ) -> Result<(VerifiedWebhook, UsedUp), WebhookError> {
        let mut used = UsedUp(None);
        if let Some(Timed { tag, time, tolerance_seconds }) = self.timed {
            if now.0.abs_diff(time) > tolerance_seconds.unsigned_abs() {
                return Err(WebhookError::Stale);
            }
            // The first second in which it would be too old anyway.
            let until = UnixSeconds(time.saturating_add(tolerance_seconds).saturating_add(1));
            let key = Key::of(Space::Webhook, workspace, &tag);
            match (state.claim(key, Bytes::new(), until, now).await, on_failure) {
                (Ok(Claimed::First), _) => used = UsedUp(Some(key)),
                (Err(_), OnFailure::Open) => {}
                (Ok(Claimed::Already(_)), _) => return Err(WebhookError::Replayed),
                (Err(_), OnFailure::Closed) => return Err(WebhookError::StateUnavailable),
            }
        }
        Ok((VerifiedWebhook { body: self.body }, used))
    }
}

/// That a webhook was used up here, and by nobody else.
#[derive(Debug)]
pub struct UsedUp(Option<Key>);

impl UsedUp {
    /// The backend failed: the vendor may send the same webhook again, for as long as its time is near.
    ///
    /// # Errors
    ///
    /// The state has no answer; it stays used up, which is the safe side.
    pub async fn give_back(self, state: &dyn Store) -> Result<(), StateError> {
        match self.0 {
            Some(key) => state.remove(key).await,
            None => Ok(()),
        }
    }
}

/// The body of a webhook that its vendor signed, to the byte.
///
/// ```compile_fail,E0451
/// // Its one maker is the verification above.
/// let webhook = countersign::identity::VerifiedWebhook { body: "{}".into() };
/// ```
#[derive(Debug)]
pub struct VerifiedWebhook {
    body: Bytes,
}

impl VerifiedWebhook {
    /// The bytes that were verified, and no others.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.body
    }
}

/// The headers with which a vendor would send `body`, for rehearsals. `time` counts only where the vendor signs one.
#[must_use]
pub fn sign_webhook(
    signature: &WebhookSignature,
    secret: &Secret,
    body: &[u8],
    time: UnixSeconds,
) -> Vec<(HeaderName, HeaderValue)> {
    let time = signature.timestamp.as_ref().map(|name| (name, time.0.to_string()));
    let key = OneKey::new("", KeyTerm::default(), secret.expose_secret());
    let message = message(time.as_ref().map(|(_, text)| text.as_str()), &Bytes::copy_from_slice(body));
    let tag = hmac::sign(key.of(signature.algorithm), &message);
    let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let time = time.map(|(name, text)| (name.clone(), text));
    [(signature.header.clone(), format!("{}{digits}", signature.prefix))]
        .into_iter()
        .chain(time)
        .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::policy::{SecretEncoding, SecretSource, WebhookKey};
    use crate::state::{Memory, MemoryLimits};

    const SECRET: &str = "webhook-secret-0123456789";
    const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

    fn keys(terms: &[(&str, KeyTerm)]) -> WebhookKeys {
        let key = |(secret, term): &(&str, KeyTerm)| WebhookKey {
            id: (*secret).to_owned(),
            secret: SecretSource::Env(String::new()),
            encoding: SecretEncoding::Text,
            term: *term,
        };
        let policy = WebhookPolicy { keys: terms.iter().map(key).collect(), ..WebhookPolicy::default() };
        let secrets: Vec<_> = terms.iter().map(|(secret, _)| Secret::from(secret.as_bytes().to_vec())).collect();
        WebhookKeys::new(&policy, &secrets).expect("keys")
    }

    fn scheme(algorithm: WebhookAlgorithm, timestamp: bool) -> WebhookSignature {
        WebhookSignature {
            header: HeaderName::from_static("x-signature"),
            prefix: "v=".to_owned(),
            algorithm,
            timestamp: timestamp.then_some(HeaderName::from_static("x-time")),
        }
    }

    fn signed_by(signature: &WebhookSignature, secret: &str, body: &str, time: i64) -> HeaderMap {
        let secret = Secret::from(secret.as_bytes().to_vec());
        sign_webhook(signature, &secret, body.as_bytes(), UnixSeconds(time)).into_iter().collect()
    }

    #[test]
    fn signatures_that_others_made_hold() {
        // By `printf '{"a":1}' | openssl dgst -sha1 -hmac …`, and of the body with a time before it by `-sha256`.
        for (signature, lines) in [
            (scheme(WebhookAlgorithm::HmacSha1, false), &[("x-signature", SHA1)][..]),
            (scheme(WebhookAlgorithm::HmacSha256, false), &[("x-signature", SHA256)]),
            (scheme(WebhookAlgorithm::HmacSha256, true), &[("x-signature", TIMED), ("x-time", "1795000000")]),
        ] {
            let headers =
                lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let presented = PresentedSignature::read(&signature, &headers.collect()).expect("a signature");
            let keys = keys(&[(SECRET, KeyTerm::default())]);
            assert!(keys.verify(&presented, r#"{"a":1}"#.into(), NOW).is_ok());
            assert_eq!(keys.verify(&presented, r#"{"a":2}"#.into(), NOW).err(), Some(WebhookError::Bad));
        }
    }

    const SHA1: &str = "v=b5b6015c495156213833b48838a0a3eff1df53b3";
    const SHA256: &str = "v=e3e19b8f8f21de59027e5336c56177bd6968f82c6ecf9886594f940560ace68f";
    const TIMED: &str = "v=b0c0bab28edb3a86387e23963fcbf3d1af86870016cfc4eac74191efe9508f42";

    #[test]
    fn keys_follow_one_another() {
        let signature = scheme(WebhookAlgorithm::HmacSha1, false);
        let old = KeyTerm { not_before: None, not_after: Some(NOW.0) };
        let new = KeyTerm { not_before: Some(NOW.0 - 10), not_after: None };
        let keys = keys(&[("the-old-secret-0123", old), ("the-new-secret-0123", new)]);
        for (secret, now, expected) in [
            ("the-old-secret-0123", NOW.0 - 1, Ok("the-old-secret-0123")),
            ("the-old-secret-0123", NOW.0, Err(WebhookError::Bad)),
            ("the-new-secret-0123", NOW.0 - 10, Ok("the-new-secret-0123")),
            ("the-new-secret-0123", NOW.0 - 11, Err(WebhookError::Bad)),
            ("a-strangers-secret-1", NOW.0, Err(WebhookError::Bad)),
        ] {
            let headers = signed_by(&signature, secret, "body", 0);
            let presented = PresentedSignature::read(&signature, &headers).expect("a signature");
            let found = keys.verify(&presented, "body".into(), UnixSeconds(now)).map(|signed| signed.key_id());
            assert_eq!(found, expected, "{secret} {now}");
        }
    }

    #[test]
    fn a_time_is_near_or_it_is_none() {
        let signature = scheme(WebhookAlgorithm::HmacSha256, true);
        let keys = keys(&[(SECRET, KeyTerm::default())]);
        for (time, expected) in [
            (NOW.0, None),
            (NOW.0 - 300, None),
            (NOW.0 + 300, None),
            (NOW.0 - 301, Some(WebhookError::Stale)),
            (NOW.0 + 301, Some(WebhookError::Stale)),
            (NOW.0 * 10, Some(WebhookError::Stale)),
            (0, Some(WebhookError::Stale)),
        ] {
            let headers = signed_by(&signature, SECRET, "body", time);
            let presented = PresentedSignature::read(&signature, &headers).expect("a signature");
            // Too far away, it tells whose it is all the same.
            let signed = keys.verify(&presented, "body".into(), NOW).expect("signed");
            assert_eq!(signed.key_id(), SECRET);
            let state = Memory::new(MemoryLimits::default());
            let admitted = signed.admit("acme", &state, OnFailure::Closed, NOW).now_or_never().expect("at once");
            assert_eq!(admitted.err(), expected, "{time}");
        }
        for text in ["", "1795000000000", "-1", "+1795000000", "1795000000.0", "0x6afd2fc0", " ", "now"] {
            let mut headers = signed_by(&signature, SECRET, "body", NOW.0);
            headers.insert("x-time", text.parse().expect("a header"));
            let expected = if text.is_empty() { WebhookError::Missing } else { WebhookError::Malformed };
            assert_eq!(PresentedSignature::read(&signature, &headers).err(), Some(expected), "{text}");
        }
    }

    #[test]
    fn within_its_window_it_counts_once() {
        let signature = scheme(WebhookAlgorithm::HmacSha256, true);
        let keys = keys(&[(SECRET, KeyTerm::default())]);
        let state = Memory::new(MemoryLimits::default());
        let headers = signed_by(&signature, SECRET, "body", NOW.0);
        let presented = PresentedSignature::read(&signature, &headers).expect("a signature");
        let come = |workspace: &str, after: i64| {
            let now = UnixSeconds(NOW.0 + after);
            let signed = keys.verify(&presented, "body".into(), now)?;
            signed
                .admit(workspace, &state, OnFailure::Closed, now)
                .now_or_never()
                .expect("at once")
                .map(|(_, used)| used)
        };
        let used = come("acme", 0).expect("the first");
        let refused = |workspace, after| come(workspace, after).err();
        assert_eq!(refused("acme", 0), Some(WebhookError::Replayed));
        assert_eq!(refused("acme", 300), Some(WebhookError::Replayed));
        assert_eq!(refused("acme", 301), Some(WebhookError::Stale));
        assert_eq!(refused("other", 0), None);
        // Given back it counts once more, and no more.
        assert_eq!(used.give_back(&state).now_or_never(), Some(Ok(())));
        assert_eq!(refused("other", 0), Some(WebhookError::Replayed));
        assert_eq!([refused("acme", 1), refused("acme", 1)], [None, Some(WebhookError::Replayed)]);
    }

    #[test]
    fn a_full_state_is_what_the_policy_says() {
        let signature = scheme(WebhookAlgorithm::HmacSha256, true);
        let keys = keys(&[(SECRET, KeyTerm::default())]);
        let state = Memory::new(MemoryLimits { kept_max: 0, ..MemoryLimits::default() });
        let headers = signed_by(&signature, SECRET, "body", NOW.0);
        let presented = PresentedSignature::read(&signature, &headers).expect("a signature");
        for (on_failure, expected) in
            [(OnFailure::Closed, Some(WebhookError::StateUnavailable)), (OnFailure::Open, None)]
        {
            let signed = keys.verify(&presented, "body".into(), NOW).expect("signed");
            assert_eq!(signed.admit("acme", &state, on_failure, NOW).now_or_never().expect("at once").err(), expected);
        }
    }

    #[test]
    fn short_secrets_and_those_that_are_written_otherwise_are_none() {
        let policy = |encoding| WebhookPolicy {
            keys: vec![WebhookKey {
                id: "one".to_owned(),
                secret: SecretSource::Env(String::new()),
                encoding,
                term: KeyTerm::default(),
            }],
            ..WebhookPolicy::default()
        };
        let made =
            |encoding, text: &str| WebhookKeys::new(&policy(encoding), &[Secret::from(text.as_bytes().to_vec())]);
        assert!(made(SecretEncoding::Text, "0123456789abcdef").is_ok());
        assert_eq!(
            made(SecretEncoding::Text, "0123456789abcde").err(),
            Some(WebhookKeyError::Short { key: "one".into() })
        );
        assert_eq!(made(SecretEncoding::Hex, "zz").err(), Some(WebhookKeyError::Encoding { key: "one".into() }));
    }
}
