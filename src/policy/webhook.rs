//! `[webhooks]` of a workspace, as it is true.

use std::time::Duration;

use super::workspace::{KeyTerm, SecretEncoding, SecretSource};

/// By what a workspace's webhooks are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookPolicy {
    /// By how much the time of a webhook may differ from ours, where its vendor signs one.
    pub tolerance: Duration,
    pub keys: Vec<WebhookKey>,
}

/// One secret that a vendor signs webhooks with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookKey {
    /// Its name in records.
    pub id: String,
    pub secret: SecretSource,
    pub encoding: SecretEncoding,
    pub term: KeyTerm,
}

/// Secrets of one workspace: each is tried, since a webhook does not say which it was signed with.
pub const WEBHOOK_KEYS_MAX: usize = 8;

impl Default for WebhookPolicy {
    fn default() -> Self {
        Self { tolerance: Duration::from_secs(300), keys: Vec::new() }
    }
}
