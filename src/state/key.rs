//! What something is remembered under.

use std::fmt;

use aws_lc_rs::digest;

/// What kinds of things are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Tokens by their `jti`, until they end.
    TokenId,
    /// Tokens that ended with a session before their time.
    EndedToken,
    /// Which tokens a session carried.
    SessionTokens,
    /// Sessions of a messenger: whose they are, as its own answers said.
    Session,
    /// Session tokens that a messenger gave for a verified token: what that one says.
    Exchange,
    /// Webhooks by their signature, until they are too old to count.
    Webhook,
}

/// What becomes of a thing when there is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It stays until its end, and the other finds the store full: what it guards against would come back.
    UntilItsEnd,
    /// The one of its kind that was not asked for the longest goes: nobody gains by its being forgotten.
    WhileThereIsRoom(Share),
}

/// Whose room it is: what anybody can fill pushes out nothing of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Sessions,
    SessionTokens,
    Exchanges,
}

impl Space {
    /// What becomes of things of this kind.
    #[must_use]
    pub fn keeping(self) -> Keeping {
        match self {
            Space::TokenId | Space::EndedToken | Space::Webhook => Keeping::UntilItsEnd,
            Space::Session => Keeping::WhileThereIsRoom(Share::Sessions),
            Space::SessionTokens => Keeping::WhileThereIsRoom(Share::SessionTokens),
            Space::Exchange => Keeping::WhileThereIsRoom(Share::Exchanges),
        }
    }

    /// Those that stay until their end, and so outlive the process where there is a disk.
    const KEPT: [Space; 3] = [Space::TokenId, Space::EndedToken, Space::Webhook];

    fn label(self) -> &'static str {
        match self {
            Space::TokenId => "token_id",
            Space::EndedToken => "ended_token",
            Space::SessionTokens => "session_tokens",
            Space::Session => "session",
            Space::Exchange => "exchange",
            Space::Webhook => "webhook",
        }
    }
}

/// The name of a thing: SHA-256 over its kind, its workspace and its text, so that it tells nothing of the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    space: Space,
    digest: [u8; digest::SHA256_OUTPUT_LEN],
}

impl Key {
    /// Names `text` of a workspace.
    #[must_use]
    pub fn of(space: Space, workspace: &str, text: &[u8]) -> Self {
        Self { space, digest: digest_of(space.label(), workspace, text) }
    }

    /// The name of this digest, which was taken of the name of another thing.
    #[must_use]
    pub fn of_digest(space: Space, digest: [u8; digest::SHA256_OUTPUT_LEN]) -> Self {
        Self { space, digest }
    }

    /// As a file has it: the kind's word, a zero, and the digest.
    pub(super) fn written(&self) -> Vec<u8> {
        [self.space.label().as_bytes(), &[0], &self.digest].concat()
    }

    /// What [`written`](Self::written) wrote, of a kind that stays until its end.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (label, digest) = bytes.split_last_chunk()?;
        let label = label.strip_suffix(&[0])?;
        let space = Space::KEPT.into_iter().find(|space| space.label().as_bytes() == label)?;
        Some(Self { space, digest: *digest })
    }

    /// What kind of thing it names.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// The digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8; digest::SHA256_OUTPUT_LEN] {
        &self.digest
    }
}

/// SHA-256 over the three.
pub(super) fn digest_of(label: &str, workspace: &str, text: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [label.as_bytes(), workspace.as_bytes(), text] {
        // Lengths first, so that no two names are one sequence of bytes.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Says its kind alone: whoever has the digest of a guessable text has the text.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("space", &self.space).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for space in Space::KEPT {
            assert_eq!(space.keeping(), Keeping::UntilItsEnd);
            let key = Key::of(space, "acme", b"1");
            assert_eq!(Key::read(&key.written()), Some(key));
            assert_eq!(Key::read(&key.written()[1..]), None);
        }
        assert_eq!(Key::read(&Key::of(Space::Session, "acme", b"1").written()), None);
        assert_eq!(Key::read(b""), None);
    }

    #[test]
    fn what_is_spelled_alike_elsewhere_is_another_thing() {
        let key = Key::of(Space::Session, "acme", b"1");
        assert_eq!(key, Key::of(Space::Session, "acme", b"1"));
        for other in [
            Key::of(Space::TokenId, "acme", b"1"),
            Key::of(Space::Session, "acme1", b""),
            Key::of(Space::Session, "acm", b"e1"),
            Key::of(Space::Session, "acme", b"1\0"),
        ] {
            assert_ne!(key.bytes(), other.bytes());
        }
    }
}
