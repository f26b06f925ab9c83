//! The files that ops edit: text → `RawX` (what a file says, each value with its place) → `X` (what is true).
//!
//! Pure: it is given text and gives back values or findings; it opens no file and reads no secret.

mod finding;
mod gateway;
mod hsts;
mod limits;
mod profile_file;
pub mod reader;
mod source;
mod trusted_domains;
mod units;
mod workspace;

pub use finding::{Finding, Findings, Paint, Severity};
pub use gateway::{
    AdminListener, AuditSettings, CertificateSource, Gateway, HostHeader, HttpVersion, Listener, PlainListener,
    ReadBack, Upstream,
};
pub use hsts::{Hsts, HstsError};
pub use limits::Limits;
pub use profile_file::parse_profile;
pub use source::Source;
pub use trusted_domains::{Origin, OriginError, TrustedDomain, TrustedDomainError, TrustedDomains};
pub use workspace::{
    Admission, Algorithm, Expiry, IdentityPolicy, KeyPolicy, KeyUse, OnMisfit, OnReplace, Require, SecretSource,
    Workspace,
};
