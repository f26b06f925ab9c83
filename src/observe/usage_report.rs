//! What is known of the use of keys, as the admin listener tells it and `countersign keys` reads it: names of the policy, numbers and times.

use serde::{Deserialize, Serialize};

/// The answer to `/keys`. All times are in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// When this was told.
    pub at: i64,
    /// When the process started, and with it all counts.
    pub started: i64,
    /// The digest of the policies in force.
    pub epoch: Option<String>,
    /// By name; also those that have gone.
    pub workspaces: Vec<WorkspaceReport>,
}

/// The keys of one workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceReport {
    pub workspace: String,
    /// When it was in force first.
    pub since: i64,
    /// Proofs that any of its keys signed, also where they are refused for something else.
    pub signed: u64,
    /// Those of them whose key has no name in the policy.
    pub signed_unnamed: u64,
    /// Proofs and webhooks that no key signed that is in force for them.
    pub unsigned: Kinds,
    pub risks: Risks,
    /// By name; also those that have gone.
    pub keys: Vec<KeyReport>,
    pub webhooks: WebhooksReport,
}

/// The keys of one workspace that webhooks are signed with. One may have the name of a key for proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhooksReport {
    /// Webhooks that any of its keys signed, also where they are refused for something else.
    pub signed: u64,
    /// By name; also those that have gone.
    pub keys: Vec<KeyReport>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyReport {
    pub key: String,
    /// Whether the policies in force have it; its term is another question.
    pub in_force: bool,
    /// When it was in force first.
    pub since: i64,
    /// What it signed and holds.
    pub verified: Kinds,
    /// What it signed and is refused for something else.
    pub refused: Kinds,
    /// What all keys signed since this one was in force first.
    pub signed_since: u64,
    pub last_use: Option<i64>,
    /// Its last use, or when it came into force, whichever was later.
    pub quiet_since: i64,
    /// What all keys signed since then; exact to the second.
    pub signed_since_quiet: u64,
}

/// Numbers of what was signed, by its kind. A key signs either webhooks or proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kinds {
    pub jwt: u64,
    pub user_hash: u64,
    pub encrypted_payload: u64,
    pub collector_ticket: u64,
    pub webhook: u64,
}

impl Kinds {
    /// Of every kind.
    #[must_use]
    pub fn all(self) -> u64 {
        self.proofs() + self.webhook
    }

    /// Of every kind that says who somebody is, or what.
    #[must_use]
    pub fn proofs(self) -> u64 {
        self.jwt + self.user_hash + self.encrypted_payload + self.collector_ticket
    }
}

/// What was unwise about tokens whose signature held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risks {
    /// Requests with a token without `exp`.
    pub no_expiry: u64,
    /// Requests with a token that lives longer than `max_lifetime`, or than a day where the policy has none.
    pub long_life: u64,
    /// Tokens that came from many addresses.
    pub shared: u64,
}
