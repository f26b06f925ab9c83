//! Why a process does not start, or a reload changes nothing: in words for whoever runs it.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use super::grades;
use super::offer::OfferError;
use crate::acme::AcmeError;
use crate::admin::{AdminError, AdminTokenError};
use crate::audit::{AuditError, SubjectKeyError};
use crate::clock::UnixSeconds;
use crate::edge::certificates::CertificateError;
use crate::edge::tls::TlsError;
use crate::epoch::{LoadError, SecretError};
use crate::policy::{Severity, TlsGrade};
use crate::state::DiskError;

/// Why the process does not start. One line each, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}", lines(name, mistakes))]
    Certificates { name: String, mistakes: Vec<CertificateError> },
    #[error("{}", grades::lines(name, *grade, *floor, lowering))]
    Grade { name: String, grade: TlsGrade, floor: TlsGrade, lowering: Vec<String> },
    #[error("listener `{name}`: {source}")]
    Offer { name: String, source: OfferError },
    #[error("listener `{name}`: {source}")]
    Tls { name: String, source: TlsError },
    #[error("listener `{name}`: the address {address} is already in use: stop what listens there, or change `address`")]
    InUse { name: String, address: SocketAddr },
    #[error("listener `{name}`: cannot listen on {address}: {source}")]
    Listen { name: String, address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("[audit] subject_key: {0}")]
    SubjectSecret(#[from] SecretError),
    #[error("[audit] subject_key: {0}")]
    SubjectKey(#[from] SubjectKeyError),
    #[error("[admin] token: {0}")]
    AdminSecret(SecretError),
    #[error("[admin] token: {0}")]
    AdminToken(#[from] AdminTokenError),
    #[error("[state]: {0}")]
    State(#[from] DiskError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Acme(#[from] AcmeError),
    #[error("signals or sockets cannot be used: {0}")]
    Signals(io::Error),
    #[error(
        "the {count} threads that serve requests cannot be started: {source}; fewer can be asked for with `--workers`"
    )]
    Workers { count: NonZeroUsize, source: io::Error },
    #[error("the listener `{name}` is gone from `gateway.toml`: listeners change only with a restart")]
    ListenerGone { name: String },
}

impl StartError {
    /// Its mistakes, one line each.
    pub(super) fn mistakes(&self) -> Vec<String> {
        match self {
            StartError::Load(LoadError::Policy(findings)) => {
                findings.iter().filter(|finding| finding.severity == Severity::Error).map(ToString::to_string).collect()
            }
            StartError::Certificates { .. }
            | StartError::Grade { .. }
            | StartError::Load(LoadError::Files(_) | LoadError::Build(_))
            | StartError::Offer { .. }
            | StartError::Tls { .. }
            | StartError::InUse { .. }
            | StartError::Listen { .. }
            | StartError::Audit(_)
            | StartError::SubjectSecret(_)
            | StartError::SubjectKey(_)
            | StartError::AdminSecret(_)
            | StartError::AdminToken(_)
            | StartError::State(_)
            | StartError::Admin(_)
            | StartError::Acme(_)
            | StartError::Signals(_)
            | StartError::Workers { .. }
            | StartError::ListenerGone { .. } => self.to_string().lines().map(str::to_owned).collect(),
        }
    }

    /// When the first of the certificates begins that are refused because their time is to come.
    pub(super) fn begins(&self) -> Option<UnixSeconds> {
        let Self::Certificates { mistakes, .. } = self else { return None };
        mistakes.iter().filter_map(CertificateError::begins).min()
    }
}

fn lines(name: &str, mistakes: &[CertificateError]) -> String {
    mistakes.iter().map(|mistake| format!("listener `{name}`: {mistake}")).collect::<Vec<_>>().join("\n")
}
