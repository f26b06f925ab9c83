//! Opening: from a request's bytes to the attribute documents in it.
//!
//! [`Decoded::decode`] cuts the body by its codec, and the query; [`Decoded::open`] holds all names against the guard and reads the documents.

mod content_type;
mod form_parts;
mod json_body;
mod query;

use http::HeaderMap;

use self::content_type::{FORM, JSON, admit_type};
use self::form_parts::open_form;
pub(super) use self::form_parts::{attribute_of, field_of};
use self::json_body::open_json;
use self::query::Query;
pub(super) use self::query::readings;
use super::EnvelopeError;
use super::form::{self, Pair};
use super::guard::Guard;
use super::opened::{Envelope, Parsed};
use crate::policy::Limits;
use crate::profile::{Body, Operation, PathParams, Profile};

/// What of a request may carry something.
#[derive(Clone, Copy)]
pub struct Wire<'r> {
    pub headers: &'r HeaderMap,
    pub query: Option<&'r str>,
    pub params: &'r PathParams<'r>,
    /// After [inflating](super::coding::inflate).
    pub body: &'r [u8],
}

/// A request whose body was cut by its codec, and not read yet. The envelope borrows from it.
pub struct Decoded<'r> {
    pub(super) headers: &'r HeaderMap,
    pub(super) params: &'r PathParams<'r>,
    query: Query<'r>,
    content: Content<'r>,
    body_bytes: usize,
}

enum Content<'r> {
    None,
    Json(&'r [u8]),
    Form(Vec<Pair<'r>>),
}

impl<'r> Decoded<'r> {
    /// Cuts the body as the operation's codec says.
    ///
    /// # Errors
    ///
    /// The body is not of the operation's type, cannot be decoded, or has too many fields; so for the query.
    pub fn decode(operation: &Operation, wire: &Wire<'r>, limits: &Limits) -> Result<Self, EnvelopeError> {
        let content = match operation.body {
            Body::None if wire.body.is_empty() => Content::None,
            Body::None => return Err(EnvelopeError::UnexpectedBody),
            Body::Stream => return Err(EnvelopeError::Streamed),
            Body::Json if wire.body.is_empty() => return Err(EnvelopeError::MissingBody),
            Body::Json => {
                admit_type(wire.headers, JSON)?;
                Content::Json(wire.body)
            }
            // A form of no fields needs no type.
            Body::Form if wire.body.is_empty() => Content::Form(Vec::new()),
            Body::Form => {
                admit_type(wire.headers, FORM)?;
                Content::Form(form::read(wire.body, limits)?)
            }
        };
        let query = Query::read(wire.query.unwrap_or_default(), limits)?;
        Ok(Self { headers: wire.headers, params: wire.params, query, content, body_bytes: wire.body.len() })
    }

    /// Finds and reads the documents, and refuses whatever a backend might take for one. What is in them [`Envelope::walk`] says.
    ///
    /// # Errors
    ///
    /// A document cannot be read, is present twice or where it does not belong; a name is another spelling of a document, token or identity.
    pub fn open<'a>(
        &'a self,
        guard: &Guard,
        profile: &'a Profile,
        operation: &'a Operation,
        limits: &Limits,
    ) -> Result<Envelope<'a>, EnvelopeError> {
        self.query.admit(guard, operation)?;
        let parsed = match &self.content {
            Content::None => Parsed::Empty,
            Content::Json(text) => Parsed::Json(open_json(text, guard, operation, limits)?),
            Content::Form(pairs) => Parsed::Form(open_form(pairs, guard, operation, limits)?),
        };
        let query = match parsed {
            Parsed::Json(_) => self.query.unnamed(guard),
            Parsed::Empty | Parsed::Form(_) => Vec::new(),
        };
        Ok(Envelope { decoded: self, profile, operation, parsed, query })
    }

    /// The query's parameters, in their order.
    pub(super) fn parameters(&self) -> &[Pair<'r>] {
        self.query.parameters()
    }

    /// How long the body is, after inflating.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{json_operation, operation, ping, root_operation, with, writes};
    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), query in "[a-z_=&%;\\[\\].]{0,24}") {
            for operation in [ping(), root_operation(), json_operation(), operation(Body::None, vec![])] {
                let _ = with(&operation, &query, &bytes, |envelope| writes(envelope, &[]).len());
            }
        }

        #[test]
        fn nothing_that_looks_like_a_form_makes_it_panic(text in "(user_data|form_params|a)?[\\[\\]a0=&%{}\":,.]{0,24}") {
            let _ = with(&ping(), "", text.as_bytes(), |envelope| writes(envelope, &[]).len());
        }
    }
}
