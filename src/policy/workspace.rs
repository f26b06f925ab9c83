//! A workspace: one tenant of the messenger, its domains, keys and catalogue.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::address_lists::AddressRule;
use super::algorithm::Algorithm;
use super::client_identity::ClientIdentity;
use super::fetch_metadata::FetchMetadataRule;
use super::networks::Networks;
use super::rates::WorkspaceRates;
use super::source::FileLine;
use super::trusted_domains::TrustedDomains;
use super::webhook::WebhookPolicy;
use crate::decision::{Catalogue, Mode};
use crate::profile::{Operation, Place, Platforms, Profile};

/// One tenant, as its file says it.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The file's name without its ending.
    pub id: String,
    pub profile: Arc<Profile>,
    /// The ids by which requests name the workspace. Empty: whatever reaches its hosts and paths is its own.
    pub app_ids: Vec<String>,
    /// The host names that it answers on, lower case, without port. Empty: any.
    pub hosts: Vec<String>,
    /// The name of an upstream in `gateway.toml`.
    pub upstream: String,
    pub trusted_domains: TrustedDomains,
    /// Where that list stands, for whoever adds to it.
    pub trusted_domains_at: FileLine,
    /// A request without `Origin`: native applications send none.
    pub missing_origin: Admission,
    /// `Origin: null`: sandboxed frames and web views send it.
    pub null_origin: Admission,
    /// What browsers say of a request by themselves.
    pub fetch_metadata: FetchMetadataRule,
    pub identity: IdentityPolicy,
    pub server: ServerPolicy,
    pub catalogue: Catalogue,
    pub on_misfit: OnMisfit,
    pub on_replace: OnReplace,
    pub rates: WorkspaceRates,
    /// The operations of this workspace: the profile's, or for `json` those that the file itself names.
    pub operations: Vec<Arc<Operation>>,
    /// From where requests may come. Empty: from anywhere.
    pub addresses: Vec<AddressRule>,
    pub webhooks: WebhookPolicy,
}

impl Workspace {
    /// Whether a request of an operation may come from an address.
    #[must_use]
    pub fn admits_address(&self, operation: &str, address: IpAddr) -> bool {
        self.networks_of(operation).is_none_or(|networks| networks.contain(address))
    }

    /// From where requests of an operation may come. `None`: from anywhere.
    pub(super) fn networks_of(&self, operation: &str) -> Option<&Networks> {
        let rules = || self.addresses.iter();
        let rule =
            rules().find(|rule| rule.names(operation)).or_else(|| rules().find(|rule| rule.operations.is_empty()));
        rule.map(|rule| &rule.from)
    }

    /// Whether its verdicts and refusals are carried out, and not only recorded.
    #[must_use]
    pub fn enforces(&self) -> bool {
        self.catalogue.mode() == Mode::Enforce
    }
}

/// Whether to let in what cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Refuse,
    Allow,
}

/// What a value of the wrong type costs: the attribute, or the whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMisfit {
    Drop,
    Refuse,
}

/// What to do with a request that clears all it does not name, while locked attributes are among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReplace {
    Refuse,
    Allow,
}

/// The workspace's own servers, known by their client certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerPolicy {
    /// Who they are: one of these names. Empty: there are none, and a server's operation asks for no certificate.
    pub client_certificates: Vec<ClientIdentity>,
    pub locks: ServerLocks,
}

/// Whether one of the workspace's servers may write what is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerLocks {
    /// A lock holds for it as for everybody.
    #[default]
    Hold,
    /// What it writes needs no token.
    Lift,
}

/// When a request must prove who its user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Require {
    Never,
    /// Where it names a user.
    Identified,
    Always,
}

/// How often a token may be used, or from where. All but the first ask for a `jti` and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// As often as it is sent, until it ends.
    Allow,
    /// Once.
    SingleUse,
    /// Only from the origin that sent it first.
    FirstOrigin,
    /// Only with the messenger's session with which it was sent first.
    FirstSession,
}

/// What becomes of the tokens of a session that a request ends. All but the first ask for a `jti` and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSessionEnd {
    /// They count until they end by themselves.
    Keep,
    /// They count no longer.
    Revoke,
}

/// Whether a token must say when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    Required,
    Optional,
}

/// How users are proven.
#[derive(Clone, Debug)]
pub struct IdentityPolicy {
    pub require: Require,
    pub expiry: Expiry,
    /// The longest time between now and `exp` (plus leeway); and between `iat` and `exp` where there is an `iat`.
    pub max_lifetime: Option<Duration>,
    /// By how much clocks may differ.
    pub leeway: Duration,
    /// Who must have issued a token: one of these, where there are any.
    pub issuers: Vec<String>,
    /// For whom a token must be: one of these, where there are any.
    pub audiences: Vec<String>,
    /// Claims that a token must have, beside those that it must have anyway.
    pub required_claims: Vec<String>,
    pub keys: Vec<KeyPolicy>,
    /// Sets of public keys that somebody else publishes, such as an identity provider.
    pub key_sets: Vec<KeySetPolicy>,
    pub replay: Replay,
    pub session_end: OnSessionEnd,
    pub encrypted_payload: EncryptedPayload,
    /// Places of the token beside the profile's, such as a header for messengers that know no tokens. It is taken out before sending.
    pub token_at: Vec<Place>,
    /// Places of collector tickets. They are taken out before sending.
    pub ticket_at: Vec<Place>,
    /// How long a session stands for the claims of the token that it was given for, at most.
    pub exchange_lifetime: Option<Duration>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// Its name in records; a token's `kid` names it by this.
    pub id: String,
    pub algorithm: Algorithm,
    pub source: KeySource,
    pub uses: Vec<KeyUse>,
    /// From which platforms requests must come for it to count.
    pub platforms: Platforms,
    pub term: KeyTerm,
}

/// Where a key is. Never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// One secret for whoever signs and whoever verifies.
    Secret { source: SecretSource, encoding: SecretEncoding },
    /// The public half of a pair, in a file: PEM, a JWK, or a JWK Set.
    PublicKey(PathBuf),
}

impl KeySource {
    /// The file that it is in, where it is in one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            KeySource::Secret { source: SecretSource::File(path), encoding: _ } | KeySource::PublicKey(path) => {
                Some(path)
            }
            KeySource::Secret { source: SecretSource::Env(_), encoding: _ } => None,
        }
    }
}

/// A set of public keys (RFC 7517 §5), all of which verify tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetPolicy {
    /// Its name in records and metrics; a key of it is `id/kid`.
    pub id: String,
    /// The only ones by which its keys may sign. None of them takes a secret: what is published is none.
    pub algorithms: Vec<Algorithm>,
    pub source: KeySetSource,
}

/// Where a set of keys is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySetSource {
    File(PathBuf),
    Issuer(IssuerPolicy),
}

/// A set that its issuer publishes at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerPolicy {
    /// `https`, or `http` to this machine; without user and fragment.
    pub url: url::Url,
    /// Certificate authorities to trust; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// The longest time from one fetch that went well to the next.
    pub refresh: Duration,
    /// For how long keys are trusted that the issuer has not confirmed since.
    pub stale_after: Duration,
}

/// How a secret is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEncoding {
    /// The text itself is the key, as with most messengers, also where it looks like base64url.
    Text,
    /// RFC 4648 §5, with or without padding.
    Base64Url,
    /// RFC 4648 §8, in either case.
    Hex,
}

/// From when to when a key counts, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyTerm {
    /// The first second.
    pub not_before: Option<i64>,
    /// The first second in which it does no longer.
    pub not_after: Option<i64>,
}

impl KeyTerm {
    /// Whether the key counts at `now`. No leeway: both ends are the operator's own, by our own clock.
    #[must_use]
    pub fn holds(self, now: i64) -> bool {
        self.not_before.is_none_or(|begin| begin <= now) && self.not_after.is_none_or(|end| now < end)
    }
}

/// What a key verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    Jwt,
    UserHash,
    EncryptedPayload,
    /// Stands alone: a ticket is no token.
    CollectorTicket,
}

/// What to do with settings that came encrypted. Unread they never pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedPayload {
    /// Refuse the request.
    Refuse,
    /// Open them: what they hold counts as signed.
    Open,
    /// Send the request without them.
    Drop,
}

/// Where a secret is. Never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    Env(String),
    File(PathBuf),
}
