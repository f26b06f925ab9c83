//! An envelope, walked over: what the request wants to change and, in step with that, what the rewriting goes along.

use std::borrow::Cow;

use super::EnvelopeError;
use super::open::{Envelope, Opened, Parsed, Part, plain_write};
use super::walk::{Node, Walk};
use crate::decision::{Change, Code, Effect, Judged, Role, Update, Value};
use crate::profile::{Document, DocumentAt, Place};

/// The writes of one envelope's documents, and where in the documents each stands. It belongs to that envelope alone, so that no judgement
/// of another one's update can be written into it.
pub struct Walked<'v> {
    pub(super) envelope: &'v Envelope<'v>,
    pub(super) update: Update<'v>,
    /// The documents, in the order of their writes.
    pub(super) documents: Vec<(Opened<'v>, Node<'v>)>,
    /// How many of the writes are the documents'. Those of our own tokens beside them follow.
    pub(super) of_documents: usize,
}

impl<'a> Envelope<'a> {
    /// Walks over the documents: a write for each member, in the order of the wire. Whatever sits at a place of `own_credentials`, in a
    /// document or beside one, is a write as well, as [`Role::OwnCredential`], so that it is taken out. (What sits in the middle of a single
    /// value is part of that value.)
    ///
    /// # Errors
    ///
    /// A document is not of its shape.
    pub fn walk<'v>(&'v self, own_credentials: &[Place]) -> Result<Walked<'v>, EnvelopeError>
    where
        'a: 'v,
    {
        let mut walk = Walk::default();
        let mut documents = Vec::new();
        for opened in self.documents() {
            let own = own_credentials.iter().filter_map(|place| pointer_within(opened.document, place));
            let node = walk.document(&opened.document.shape, opened.value, &own.collect::<Vec<_>>())?;
            documents.push((opened, node));
        }
        let mut update = walk.update;
        let of_documents = update.writes.len();
        for place in own_credentials {
            let beside = self.beside_documents(place).into_iter();
            update.writes.extend(beside.map(|(name, value)| plain_write(name, value, Role::OwnCredential)));
        }
        Ok(Walked { envelope: self, update, documents, of_documents })
    }

    /// What sits at `place` in the body, outside of every document.
    fn beside_documents(&self, place: &Place) -> Vec<(Cow<'_, str>, &Value<'_>)> {
        match (place, &self.parsed) {
            (Place::Field(field), Parsed::Form(parts)) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Field { name, value } if name == field => Some((Cow::Borrowed(*name), value)),
                    Part::Field { .. } | Part::Document { .. } => None,
                })
                .collect(),
            (Place::Body(pointer), Parsed::Json(body)) => {
                let in_document =
                    self.operation.documents.iter().any(|document| pointer_within(document, place).is_some());
                let found = pointer.names().iter().try_fold(body, |at, name| at.member(name));
                match (found, pointer.names().last()) {
                    (Some(value), Some(name)) if !in_document => vec![(Cow::Owned(name.clone()), value)],
                    (Some(_), Some(_) | None) | (None, _) => Vec::new(),
                }
            }
            (Place::Field(_) | Place::Body(_), Parsed::Empty | Parsed::Json(_) | Parsed::Form(_))
            | (
                Place::Document(_)
                | Place::Query(_)
                | Place::Header(_)
                | Place::Bearer(_)
                | Place::Cookie(_)
                | Place::Path(_),
                _,
            ) => Vec::new(),
        }
    }
}

impl<'v> Walked<'v> {
    /// What the request wants to change.
    #[must_use]
    pub fn update(&self) -> &Update<'v> {
        &self.update
    }

    /// Whether nothing of any attribute is left in the documents.
    #[must_use]
    pub fn documents_empty(&self, judged: &Judged<'_>) -> bool {
        let left = self.update.writes.iter().zip(judged.verdicts()).any(|(write, verdict)| {
            let attribute = !matches!(verdict.code, Code::Setting | Code::Credential);
            attribute
                && match (verdict.effect, write.change) {
                    (Effect::LeftOut, _) | (Effect::Replaced(_), Change::Delete) => false,
                    (Effect::Kept, _) | (Effect::Replaced(_), Change::Set(_)) => true,
                }
        });
        !left && judged.additions().is_empty()
    }

    /// Our own tokens that sat beside the documents and are taken out.
    pub(super) fn removed_beside(&self, judged: &Judged<'_>) -> Vec<&Value<'v>> {
        let beside = self.update.writes.iter().zip(judged.verdicts()).skip(self.of_documents);
        let removed = beside.filter_map(|(write, verdict)| match (write.change, verdict.effect) {
            (Change::Set(value), Effect::LeftOut) => Some(value),
            (Change::Set(_), Effect::Kept | Effect::Replaced(_)) | (Change::Delete, _) => None,
        });
        removed.collect()
    }
}

/// Where within `document` a place is.
fn pointer_within<'p>(document: &Document, place: &'p Place) -> Option<&'p [String]> {
    match (place, &document.at) {
        (Place::Document(pointer), _) => Some(pointer.names()),
        (Place::Body(pointer), DocumentAt::Body(at)) => pointer.names().strip_prefix(at.names()),
        (
            Place::Body(_)
            | Place::Field(_)
            | Place::Query(_)
            | Place::Header(_)
            | Place::Bearer(_)
            | Place::Cookie(_)
            | Place::Path(_),
            _,
        ) => None,
    }
}
