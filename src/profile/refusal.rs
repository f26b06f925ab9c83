//! How a messenger's widget wants to be refused.

use http::StatusCode;

/// The answers to refusals that a widget understands; everything else is answered as `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, Default)]
pub struct RefusalShapes {
    /// Identity is required and no proof came.
    pub identity_missing: Option<Refusal>,
    /// A proof came and does not hold.
    pub identity_bad: Option<Refusal>,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: RefusalBody,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalBody {
    Problem,
    /// JSON text, sent as it stands: the same for every cause, so that nothing can be learned from it.
    Json(String),
}
