//! Answers: what those of the upstream tell about whom a session belongs to.

use super::place::{Place, Pointer};

/// What an answer teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teaches {
    Nothing,
    /// The role of whoever asked; see [`RoleAnswer`].
    Role,
}

/// A request that shows a token once, and its answer that gives a session token for it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Where the request has the token, beside the places of every request.
    pub token: Vec<Place>,
    /// Where the answer has the session token: one of these.
    pub session: Vec<Pointer>,
}

/// Who somebody is to the messenger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRole {
    /// Has said nothing yet.
    Visitor,
    /// Has written, and has no account.
    Lead,
    User,
}

/// Where an answer says who asked, and in which session.
#[derive(Clone, Debug)]
pub struct RoleAnswer {
    pub role: Pointer,
    /// The session that goes on from here: it may be another than the request's.
    pub session: Pointer,
    /// How the messenger calls each role.
    pub words: Vec<(String, SessionRole)>,
}

impl RoleAnswer {
    /// The role of that name. A word that the profile does not have means nothing.
    #[must_use]
    pub fn role(&self, word: &str) -> Option<SessionRole> {
        self.words.iter().find(|(known, _)| known == word).map(|(_, role)| *role)
    }
}
