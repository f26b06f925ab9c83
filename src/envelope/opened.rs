//! A request, opened: its documents, and all that stands beside them.
//!
//! [`Decoded::open`] makes it. It says what is present and where, and not what that changes.

use std::borrow::Cow;

use super::open::{Decoded, readings};
use crate::decision::{Change, Role, Spelling, Update, Value, Write};
use crate::profile::{Document, DocumentAt, Operation, Profile};

/// One request, opened: every byte of its body is accounted for.
pub struct Envelope<'a> {
    pub(super) decoded: &'a Decoded<'a>,
    pub(super) profile: &'a Profile,
    pub(super) operation: &'a Operation,
    pub(super) parsed: Parsed<'a>,
    /// What the query has that no place names, where the body is JSON.
    pub(super) query: Vec<(&'a str, Value<'a>)>,
}

impl Envelope<'_> {
    /// The query's parameters that the profile does not name, of a request whose body is JSON, as settings.
    ///
    /// Rails and PHP merge the query into the body, and the query goes on as it came. Where judging these leaves one out, an attribute of the
    /// catalogue stands in the query, and the request cannot be sent on.
    #[must_use]
    pub fn query_update(&self) -> Update<'_> {
        let writes = self.query.iter().map(|(name, value)| plain_write(Cow::Borrowed(*name), value, Role::Setting));
        Update { writes: writes.collect(), groups: Vec::new() }
    }

    /// The same parameters by the other names that frameworks read out of theirs, to be judged in the same way.
    #[must_use]
    pub fn query_readings(&self) -> Update<'_> {
        let read = self.query.iter().flat_map(|(name, value)| readings(name, value));
        let writes = read.map(|(name, value)| plain_write(Cow::Owned(name), value, Role::Setting));
        Update { writes: writes.collect(), groups: Vec::new() }
    }

    /// Whether everything that proves an answer to belong to a question is present and not empty. Where the profile names nothing, nothing is
    /// proven.
    #[must_use]
    pub fn context_present(&self) -> bool {
        let present = |place| match self.text_at(place) {
            Ok(Some(text)) => !text.trim().is_empty() && text != "undefined" && text != "null",
            Ok(None) | Err(_) => false,
        };
        !self.operation.context.is_empty() && self.operation.context.iter().all(present)
    }

    /// The documents that are present, in the order of the wire; those of a JSON body in the profile's.
    pub(super) fn documents(&self) -> impl Iterator<Item = Opened<'_>> {
        let (body, parts) = match &self.parsed {
            Parsed::Empty => (None, None),
            Parsed::Json(body) => (Some(body), None),
            Parsed::Form(parts) => (None, Some(parts)),
        };
        let in_body = body.into_iter().flat_map(|body| {
            self.operation.documents.iter().filter_map(move |document| match &document.at {
                DocumentAt::Body(pointer) => {
                    let value = pointer.names().iter().try_fold(body, |at, name| at.member(name))?;
                    Some(Opened { document, spelled: Spelled::Json, value })
                }
                DocumentAt::Field(_) | DocumentAt::Fields(_) => None,
            })
        });
        let in_fields = parts.into_iter().flatten().filter_map(|part| match part {
            &Part::Document { document, spelled, ref value } => Some(Opened { document, spelled, value }),
            Part::Field { .. } => None,
        });
        in_body.chain(in_fields)
    }
}

/// A body after reading.
pub(super) enum Parsed<'a> {
    Empty,
    Json(Value<'a>),
    Form(Vec<Part<'a>>),
}

/// A form's field, or all fields of one document.
pub(super) enum Part<'a> {
    Field { name: &'a str, value: Value<'a> },
    Document { document: &'a Document, spelled: Spelled, value: Value<'a> },
}

/// How a form carries a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelled {
    Json,
    Brackets,
    /// Its members are fields of their own.
    Fields,
}

/// A document that is present.
#[derive(Clone, Copy)]
pub(super) struct Opened<'s> {
    pub(super) document: &'s Document,
    pub(super) spelled: Spelled,
    pub(super) value: &'s Value<'s>,
}

pub(super) fn plain_write<'s>(name: Cow<'s, str>, value: &'s Value<'s>, role: Role) -> Write<'s> {
    Write { prefix: "", name, change: Change::Set(value), role, spelling: Spelling::Own, group: None }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{ping, place, root_operation, with};
    use super::*;

    #[test]
    fn parameters_that_nobody_names_are_shown_for_judgement() {
        let names = |operation: &Operation| {
            with(operation, "website_token=x&plan=pro&x[y]=1", b"{}", |envelope| {
                envelope.query_update().writes.iter().map(|write| write.name.to_string()).collect::<Vec<_>>()
            })
        };
        assert_eq!(names(&root_operation()), Ok(vec!["plan".to_owned(), "x[y]".to_owned()]));
    }

    #[test]
    fn a_context_that_nobody_names_is_not_present() {
        let present = |context: &[&str], body: &str| {
            let operation = Operation { context: context.iter().map(|text| place(text)).collect(), ..ping() };
            with(&operation, "", body.as_bytes(), |envelope| envelope.context_present().then_some(()))
        };
        let answer = "form_params[identifier]=email&form_params[part]=7";
        assert_eq!(present(&["document:part", "path:id"], answer), Ok(Some(())));
        assert_eq!(present(&["document:part", "path:other"], answer), Ok(None));
        assert_eq!(present(&["document:part"], "form_params[identifier]=email&form_params[part]="), Ok(None));
        assert_eq!(present(&["document:part"], "form_params[identifier]=email&form_params[part]=undefined"), Ok(None));
        assert_eq!(present(&[], answer), Ok(None));
    }
}
