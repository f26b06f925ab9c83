//! The files that ops edit: text → `RawX` (what a file says, each value with its place) → `X` (what is true).
//!
//! Pure: it is given text and gives back values or findings; it opens no file and reads no secret.

mod acme;
mod acme_file;
mod address_lists;
mod algorithm;
mod case_file;
mod cases;
mod client_address;
mod client_address_file;
mod client_identity;
mod domains_file;
mod fetch_metadata;
mod finding;
#[cfg(test)]
mod fixtures;
mod gateway;
mod gateway_file;
mod hsts;
mod keywords;
mod kin;
mod limits;
mod limits_file;
mod lints;
mod listener_tls;
mod listener_tls_file;
mod networks;
mod owners;
mod pace;
mod profile_file;
mod proxy_protocol_file;
mod rates;
mod rates_file;
mod reader;
mod schemas;
mod secret;
mod set;
mod shapes;
mod source;
mod state_file;
mod tls_floor;
mod trusted_domains;
mod units;
mod upstream_file;
mod webhook;
mod workspace;
mod workspace_file;

pub use acme::{AcmeChallenge, AcmePolicy, ExternalAccount, ORDERED_NAMES_MAX, OrderedCertificate};
pub use address_lists::{AddressRule, shipped_addresses};
pub use algorithm::{Algorithm, KEY_TRIES_MAX, KeyKind};
pub use case_file::parse_cases;
pub use cases::{
    AppId, Case, CaseFile, CaseRequest, Content, Expectation, ExpectedOutcome, ExpectedVerdict, ExpectedVerdicts,
    Passage, Signer,
};
pub use client_address::{ProxyHeader, ProxyProtocol, TrustedProxies};
pub use client_identity::{ClientIdentity, ClientIdentityError};
pub use fetch_metadata::FetchMetadataRule;
pub use finding::{Finding, Findings, Paint, Severity};
pub use gateway::{
    AdminListener, AuditSettings, CertificateSource, DomainsSettings, Gateway, HostHeader, HttpVersion, Listener,
    OnFailure, PlainListener, ReadBack, StateSettings, Upstream,
};
pub use hsts::{Hsts, HstsError};
pub use keywords::word;
pub use limits::{HELD_PER_BODY_BYTE, Limits, ROOM_SHARE};
pub use listener_tls::{ClientCertificates, Demand, ListenerTls, Ocsp};
pub use networks::{NETWORKS_MAX, Network, NetworkError, Networks};
pub use pace::Pace;
pub use profile_file::parse_profile;
pub use rates::{Penalty, RATE_COUNT_MAX, Rate, Rates, WorkspaceRates};
pub use reader::Keyword;
pub use schemas::schemas;
pub use set::{PolicyFiles, PolicySet, parse, parse_gateway};
pub use source::{FileLine, Source};
pub use tls_floor::TlsGrade;
pub use trusted_domains::{Origin, OriginError, TrustedDomain, TrustedDomainError, TrustedDomains};
pub use units::duration as parse_duration;
pub use webhook::{WEBHOOK_KEYS_MAX, WebhookKey, WebhookPolicy};
pub use workspace::{
    Admission, EncryptedPayload, Expiry, IdentityPolicy, IssuerPolicy, KeyPolicy, KeySetPolicy, KeySetSource,
    KeySource, KeyTerm, KeyUse, OnMisfit, OnReplace, OnSessionEnd, Replay, Require, SecretEncoding, SecretSource,
    ServerLocks, ServerPolicy, Workspace,
};
pub use workspace_file::KEY_SETS_MAX;
