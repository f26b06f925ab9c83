//! The survey: what a TLS server shows to strangers, and what that is worth. Our own listeners, and others that an operator names.
//!
//! It owns the asking (hellos as no client of today sends them, within limits of bytes, time and number), the reading of the answers, and the
//! grade, which is a function of facts alone. It knows no request and no attribute, believes no certificate that it records, and sends
//! nothing but hellos and one bare `GET /`.

mod answer;
mod ask;
mod certificate;
mod client;
mod domains;
mod facts;
mod grade;
mod hello;
mod hsts;
mod own;
mod probe;
mod suites;

pub use ask::{Asked, SurveyError, ask};
pub use certificate::{Authorities, AuthoritiesError};
pub use client::{Connecting, Resolve, ResolveError};
pub use domains::{
    DOMAINS_MAX, DomainFacts, DomainFinding, DomainReport, Looking, Visit, look_at, trusted_domains, visits,
};
pub use facts::{CertificateFacts, Facts, Group, HstsFacts, Offer, PublicKey, SignatureHash, Trust, Version};
pub use grade::{Effect, Finding, GUIDE, Graded, HSTS_SECONDS_MIN, Scores, Shown, grade};
pub use own::{SelfError, of_configuration, shake_hands_with_self};
pub use suites::{Agreement, Suite};
