//! The line of a change: what an operator did to the running process.

use std::time::SystemTime;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    RevocationMade,
    RevocationEnded,
}

impl Changed {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Changed::RevocationMade => "revocation_made",
            Changed::RevocationEnded => "revocation_ended",
        }
    }
}

/// One change. Whom it is about stands in no record.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    pub time: SystemTime,
    pub changed: Changed,
    /// The workspace's id, as the policy names it.
    pub workspace: &'c str,
    /// The name of what was made or ended: ours.
    pub id: &'c str,
    /// Of which kind it is: one of our own words.
    pub kind: &'static str,
}
