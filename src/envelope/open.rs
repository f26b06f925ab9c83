//! Opening: from a request's bytes to the attribute documents in it.

mod content_type;
mod form_parts;
mod json_body;

use std::borrow::Cow;

use http::HeaderMap;

use self::content_type::{FORM, JSON, admit_type};
use self::form_parts::open_form;
pub(super) use self::form_parts::{attribute_of, field_of};
use self::json_body::open_json;
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
    pub(super) query: Vec<Pair<'r>>,
    /// The query as readers divide it that take semicolons for ampersands (HTML 4.01 section B.2.2), such as Rack up to version 2; empty
    /// without a semicolon.
    divided: Vec<Pair<'static>>,
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
        let raw_query = wire.query.unwrap_or_default();
        let query = form::read(raw_query.as_bytes(), limits)?;
        let divided = if raw_query.contains(';') {
            let divided = raw_query.replace(';', "&");
            let owned = |(name, text): Pair<'_>| (Cow::Owned(name.into_owned()), Cow::Owned(text.into_owned()));
            form::read(divided.as_bytes(), limits)?.into_iter().map(owned).collect()
        } else {
            Vec::new()
        };
        Ok(Self { headers: wire.headers, params: wire.params, query, divided, content, body_bytes: wire.body.len() })
    }

    /// How long the body is, after inflating.
    pub(super) fn body_bytes(&self) -> usize {
        self.body_bytes
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
        guard.admit_query(&self.query, operation)?;
        if !self.divided.is_empty() {
            guard.admit_query(&self.divided, operation)?;
            guard.admit_division(&self.query, &self.divided)?;
        }
        let parsed = match &self.content {
            Content::None => Parsed::Empty,
            Content::Json(text) => Parsed::Json(open_json(text, guard, operation, limits)?),
            Content::Form(pairs) => Parsed::Form(open_form(pairs, guard, operation, limits)?),
        };
        let query = match parsed {
            Parsed::Json(_) => {
                let divided = guard.unnamed_parameters(&self.divided);
                guard.unnamed_parameters(&self.query).chain(divided).collect()
            }
            Parsed::Empty | Parsed::Form(_) => Vec::new(),
        };
        Ok(Envelope { decoded: self, profile, operation, parsed, query })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{check, json_operation, operation, ping, root_operation, with, writes};
    use super::*;

    #[test]
    fn the_query_carries_no_document_and_no_identity() {
        for query in [
            "user_data=%7B%7D",
            "user_data[plan]=pro",
            "User_Data=x",
            "user.data=x",
            "user_id=7",
            "user_id[]=7",
            "intercom_user_jwt=x",
            "a=1;user_data=x",
            "form_params=x",
        ] {
            check(&ping(), query, "a=1", Err(EnvelopeError::QueryDocument));
        }
        check(&ping(), "website_token=x&jwt=y&a=1&b[c]=2", "a=1", Ok(0));
        check(&ping(), "website_token=x&website_token=x", "a=1", Err(EnvelopeError::PlaceTwice));
        check(&ping(), "Website_Token=x", "a=1", Err(EnvelopeError::DisguisedField));
        check(&ping(), "website_token[]=x", "a=1", Err(EnvelopeError::DisguisedField));
        check(&ping(), "a=%zz", "a=1", Err(EnvelopeError::Percent));
        check(&ping(), "jwt=y&website_token=x&a=1;b=2;c", "a=1", Ok(0));
        for query in ["a=1;jwt=y", ";jwt=y", "jwt=y;a=1", "jwt=y;", "a;website_token=x", "website_token=x&a;jwt=y"] {
            check(&ping(), query, "a=1", Err(EnvelopeError::DisguisedField));
        }
        check(&ping(), "jwt=y&a;jwt=y", "a=1", Err(EnvelopeError::PlaceTwice));
        for query in ["contact=x", "contact[email]=x", "Contact[email]=x", "message[answers]=x", "user_id=7"] {
            check(&json_operation(), query, "{}", Err(EnvelopeError::QueryDocument));
        }
        for query in ["company[plan]=x", "custom_attributes[plan]=x", "intercom_user_jwt=x", "user_hash=x"] {
            check(&root_operation(), query, "{}", Err(EnvelopeError::QueryDocument));
        }
        check(&root_operation(), "website_token=x&locale=en", "{}", Ok(0));
    }

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
