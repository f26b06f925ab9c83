//! What something is remembered under.

use std::fmt;

use aws_lc_rs::digest;

/// What kinds of things are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// Tokens by their `jti`, until they end.
    TokenId,
    /// Sessions of a messenger: whose they are, as its own answers said.
    Session,
    /// Session tokens that a messenger gave for a verified token: what that one says.
    Exchange,
}

/// What becomes of a thing when there is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It stays until its end, and the other finds the store full: what it guards against would come back.
    UntilItsEnd,
    /// The one that was not asked for the longest goes: nobody gains by its being forgotten.
    WhileThereIsRoom,
}

impl Space {
    /// What becomes of things of this kind.
    #[must_use]
    pub fn keeping(self) -> Keeping {
        match self {
            Space::TokenId => Keeping::UntilItsEnd,
            Space::Session | Space::Exchange => Keeping::WhileThereIsRoom,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Space::TokenId => "token_id",
            Space::Session => "session",
            Space::Exchange => "exchange",
        }
    }
}

/// The name of a thing: SHA-256 over its kind, its workspace and its text, so that it tells nothing of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    space: Space,
    digest: [u8; digest::SHA256_OUTPUT_LEN],
}

impl Key {
    /// Names `text` of a workspace.
    #[must_use]
    pub fn of(space: Space, workspace: &str, text: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [space.label().as_bytes(), workspace.as_bytes(), text] {
            // Lengths first, so that no two names are one sequence of bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        Self { space, digest: bytes }
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
