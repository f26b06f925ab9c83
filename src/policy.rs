//! The files that ops edit: text → `RawX` (what a file says, each value with its place) → `X` (what is true).
//!
//! Pure: it is given text and gives back values or findings; it opens no file and reads no secret.

mod algorithm;
mod case_file;
mod cases;
mod finding;
#[cfg(test)]
mod fixtures;
mod gateway;
mod gateway_file;
mod hsts;
mod keywords;
mod limits;
mod limits_file;
mod lints;
mod profile_file;
mod rates;
mod rates_file;
mod reader;
mod schemas;
mod secret;
mod set;
mod shapes;
mod source;
mod state_file;
mod trusted_domains;
mod units;
mod upstream_file;
mod workspace;
mod workspace_file;

pub use algorithm::{Algorithm, KEY_TRIES_MAX, KeyKind};
pub use case_file::parse_cases;
pub use cases::{
    AppId, Case, CaseFile, CaseRequest, Content, Expectation, ExpectedOutcome, ExpectedVerdict, ExpectedVerdicts,
    Passage, Signer,
};
pub use finding::{Finding, Findings, Paint, Severity};
pub use gateway::{
    AdminListener, AuditSettings, CertificateSource, Gateway, HostHeader, HttpVersion, Listener, OnFailure,
    PlainListener, ReadBack, StateSettings, Upstream,
};
pub use hsts::{Hsts, HstsError};
pub use keywords::word;
pub use limits::{HELD_PER_BODY_BYTE, Limits, ROOM_SHARE};
pub use profile_file::parse_profile;
pub use rates::{Penalty, RATE_COUNT_MAX, Rate, Rates, WorkspaceRates};
pub use reader::Keyword;
pub use schemas::schemas;
pub use set::{PolicyFiles, PolicySet, parse};
pub use source::Source;
pub use trusted_domains::{Origin, OriginError, TrustedDomain, TrustedDomainError, TrustedDomains};
pub use units::duration as parse_duration;
pub use workspace::{
    Admission, EncryptedPayload, Expiry, IdentityPolicy, IssuerPolicy, KeyPolicy, KeySetPolicy, KeySetSource,
    KeySource, KeyTerm, KeyUse, OnMisfit, OnReplace, OnSessionEnd, Replay, Require, SecretEncoding, SecretSource,
    Workspace,
};
pub use workspace_file::KEY_SETS_MAX;
