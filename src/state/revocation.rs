//! One revocation: what an operator took back, until when, and why.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use aws_lc_rs::rand;
use uuid::Uuid;

use super::StateError;
use super::key::digest_of;
use crate::clock::UnixSeconds;

/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// The longest id of a token, in bytes: by a longer one it is neither known again nor taken back. Servers write a UUID or a hash.
pub const TOKEN_ID_BYTES_MAX: usize = 256;

/// What was taken back in one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    pub id: RevocationId,
    /// The workspace's id, as the policy names it.
    pub workspace: String,
    pub revoked: Revoked,
    pub made: UnixSeconds,
    /// The first second in which it counts no longer. `None`: for ever.
    pub until: Option<UnixSeconds>,
    pub reason: Reason,
}

/// Which proofs count no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Tokens of this `jti`, whoever issued them.
    TokenId(Digest),
    /// All proofs of this user.
    Subject(Digest),
    /// All that this key made.
    Key(String),
    /// Tokens with an `iat` before this second or with none, of one user or of all.
    IssuedBefore { before: UnixSeconds, subject: Option<Digest> },
}

impl Revoked {
    /// The kind in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Revoked::TokenId(_) => "jti",
            Revoked::Subject(_) => "subject",
            Revoked::Key(_) => "key",
            Revoked::IssuedBefore { .. } => "issued_before",
        }
    }
}

/// What stands for an id that is a value of a token: SHA-256 over its kind, its workspace and its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a `jti`.
    #[must_use]
    pub fn of_token_id(workspace: &str, id: &str) -> Self {
        Self(digest_of("revoked_token_id", workspace, id.as_bytes()))
    }

    /// Of a user's id.
    #[must_use]
    pub fn of_subject(workspace: &str, subject: &str) -> Self {
        Self(digest_of("revoked_subject", workspace, subject.as_bytes()))
    }

    pub(super) fn bytes(self) -> [u8; 32] {
        self.0
    }

    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Says nothing: whoever has the digest of a guessable text has the text.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// The name of a revocation (UUID version 7, RFC 9562 §5.7): later ones sort behind earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RevocationId(Uuid);

impl RevocationId {
    /// A new one.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn draw(now: SystemTime) -> Result<Self, StateError> {
        let mut random = [0; 10];
        rand::fill(&mut random).map_err(|_| StateError::Unavailable)?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Ok(Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()))
    }

    pub(super) fn number(self) -> u128 {
        self.0.as_u128()
    }

    pub(super) fn from_number(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }
}

impl fmt::Display for RevocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Not the name of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of a revocation, such as 019aa1c2-5d3e-7c41-9a57-0d9be2f1a6c4")]
pub struct RevocationIdError;

impl FromStr for RevocationId {
    type Err = RevocationIdError;

    /// One spelling: 36 characters with hyphens.
    fn from_str(text: &str) -> Result<Self, RevocationIdError> {
        let id = Uuid::try_parse(text).map_err(|_| RevocationIdError)?;
        if text.len() == 36 { Ok(Self(id)) } else { Err(RevocationIdError) }
    }
}

/// Why, in an operator's words: one line that nobody can forge another with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason(String);

/// Not a reason that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a reason of at most {REASON_CHARS_MAX} characters on one line, without control characters")]
pub struct ReasonError;

impl TryFrom<String> for Reason {
    type Error = ReasonError;

    fn try_from(text: String) -> Result<Self, ReasonError> {
        let is_shown = |character: char| !character.is_control() && !is_direction(character);
        let is_short = text.chars().count() <= REASON_CHARS_MAX;
        if is_short && text.chars().all(is_shown) { Ok(Self(text)) } else { Err(ReasonError) }
    }
}

impl Reason {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that end a line for some, or turn around what stands beside them (UAX #9).
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        for text in ["", "laptop stolen, ticket 4711", "\u{e4}\u{df} \u{1f600}", &"\u{e4}".repeat(REASON_CHARS_MAX)] {
            assert!(Reason::try_from(text.to_owned()).is_ok(), "{text}");
        }
        for text in ["a\nb", "a\rb", "a\tb", "\u{1b}[2J", "\u{0}", "\u{202e}x", "\u{2028}", &"a".repeat(201)] {
            assert_eq!(Reason::try_from(text.to_owned()), Err(ReasonError), "{text:?}");
        }
    }

    #[test]
    fn an_id_has_one_spelling_and_sorts_by_time() {
        let at = |millis| RevocationId::draw(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).unwrap();
        let [first, second] = [1_000, 1_001].map(at);
        assert!(first < second);
        let text = first.to_string();
        assert_eq!(text.parse(), Ok(first));
        for near in [
            "",
            "x",
            text.trim_end_matches(|digit: char| digit.is_ascii_hexdigit()),
            &text.replace('-', ""),
            &format!("{{{text}}}"),
            &format!("{text} "),
        ] {
            assert_eq!(near.parse::<RevocationId>(), Err(RevocationIdError), "{near}");
        }
    }

    #[test]
    fn what_is_revoked_is_of_one_kind_and_one_workspace() {
        let all = [
            Digest::of_token_id("acme", "1"),
            Digest::of_subject("acme", "1"),
            Digest::of_subject("beta", "1"),
            Digest::of_subject("acme", "2"),
        ];
        for (index, digest) in all.iter().enumerate() {
            assert_eq!(all.iter().filter(|other| *other == digest).count(), 1, "{index}");
        }
    }
}
