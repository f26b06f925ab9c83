//! Envelopes: the body of one request in its codec, opened once and rewritten once.
//!
//! [`coding`] inflates, [`Decoded`] cuts the body into fields or takes it as JSON, [`Envelope`] finds the attribute documents in it,
//! [`Walked`] says what they want to change and writes the body anew around what was kept. What two backends might read differently is
//! refused, never mended. Pure: it knows no verdict's reason and no HTTP status, and of secrets only
//! whether a text holds one, from who knows.

mod brackets;
pub mod coding;
#[cfg(test)]
mod fixtures;
mod form;
mod guard;
pub mod json;
mod open;
mod opened;
mod places;
mod read_back;
mod rewrite;
mod walk;
mod walked;

pub use brackets::BracketsError;
pub use guard::{Guard, query_overrides_method};
pub use json::JsonError;
pub use open::{Decoded, Wire};
pub use opened::Envelope;
pub use places::text_in_headers;
pub(crate) use read_back::read_json as read_again;
pub use rewrite::{RewriteError, Rewritten};
pub use walk::claims;
pub use walked::Walked;

/// Why an envelope is not opened. Each leaf is one reason; none carries anything that the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the body's type is missing, repeated, or not the operation's")]
    ContentType,
    #[error("the content coding is unknown, or there are several")]
    Coding,
    #[error("the content coding is corrupt")]
    CorruptCoding,
    #[error("the inflated body is too long")]
    InflateLimit,
    #[error("the body inflates too far")]
    InflateRatio,
    #[error("the operation has no body, yet one came")]
    UnexpectedBody,
    #[error("the operation has a body, yet none came")]
    MissingBody,
    #[error("the body of this operation is streamed and never opened")]
    Streamed,
    #[error("a name or value is not UTF-8")]
    NotUtf8,
    #[error("a percent-encoding is malformed")]
    Percent,
    #[error("a name or value has a NUL")]
    Nul,
    #[error("there are too many fields")]
    TooManyFields,
    #[error("a field's name is too long")]
    NameTooLong,
    #[error("a value is too long")]
    TextTooLong,
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    Brackets(#[from] BracketsError),
    #[error("a document is present twice")]
    DocumentTwice,
    #[error("a document stands in an operation that has none there")]
    StrayDocument,
    #[error("a document, token or identity stands in the query")]
    QueryDocument,
    #[error("a name is another spelling of a document, token or identity")]
    DisguisedField,
    #[error("a field, parameter or member asks for another method")]
    MethodOverride,
    #[error("a token, identity or workspace is named twice in one place")]
    PlaceTwice,
    #[error("two places that say the same thing disagree")]
    PlacesDisagree,
    #[error("neither text nor number stands where a token, identity or workspace belongs")]
    PlaceNotText,
    #[error("an object belongs where something else stands")]
    NotAnObject,
    #[error("a list belongs where something else stands")]
    NotAList,
    #[error("an answer or a name to delete is not named by a text")]
    NameNotText,
}
