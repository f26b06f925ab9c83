//! An envelope, walked over: what the request wants to change and, in step with that, what the rewriting goes along.

use std::borrow::Cow;

use super::EnvelopeError;
use super::opened::{Envelope, Opened, Parsed, Part, plain_write};
use super::walk::{Node, Walk};
use crate::decision::{Change, Code, Effect, Judged, KnownSecrets, Role, Screen, Update, Value, WITHHELD};
use crate::profile::{Document, DocumentAt, Place, Shape};

/// The writes of one envelope's documents, and where in the documents each stands. It belongs to that envelope alone, so that no judgement
/// of another one's update can be written into it.
pub struct Walked<'v> {
    pub(super) envelope: &'v Envelope<'v>,
    pub(super) update: Update<'v>,
    /// The documents, in the order of their writes.
    pub(super) documents: Vec<(Opened<'v>, Node<'v>)>,
    /// How many of the writes are the documents'. Those of what is taken out beside them follow: our own tokens, and secrets.
    pub(super) of_documents: usize,
}

impl<'a> Envelope<'a> {
    /// Walks over the documents: a write for each member, in the order of the wire. Whatever sits at a place of `own_credentials`, in a
    /// document or beside one, is a write as well, as [`Role::OwnCredential`], so that it is taken out. (What sits in the middle of a single
    /// value is part of that value.) So is one of `secrets` in what is no attribute: the rest of the body, and what is opaque.
    ///
    /// # Errors
    ///
    /// A document is not of its shape.
    pub fn walk<'v>(
        &'v self,
        own_credentials: &[Place],
        secrets: &dyn KnownSecrets,
    ) -> Result<Walked<'v>, EnvelopeError>
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
        let mut search = Search { screen: Screen::new(secrets), path: Vec::new(), found: Vec::new() };
        self.search(&mut search);
        // One of our own tokens has its write already.
        let is_own = |value: &Value<'_>| {
            let own = update.writes.iter().skip(of_documents);
            own.into_iter().any(|write| matches!(write.change, Change::Set(own) if std::ptr::eq(own, value)))
        };
        search.found.retain(|(_, value)| !is_own(value));
        let leaks = search.found.into_iter();
        update.writes.extend(leaks.map(|(name, value)| plain_write(Cow::Owned(name), value, Role::Setting)));
        Ok(Walked { envelope: self, update, documents, of_documents })
    }

    /// Looks for secrets wherever no write of a document is.
    fn search<'v>(&'v self, search: &mut Search<'v, '_>) {
        let is_opaque = |opened: &Opened<'_>| matches!(*opened.document.shape, Shape::Opaque);
        for opened in self.documents().filter(is_opaque) {
            search.within(name_of(opened.document), opened.value);
        }
        match &self.parsed {
            Parsed::Empty => {}
            Parsed::Form(parts) => {
                for part in parts {
                    if let Part::Field { name, value } = part {
                        search.member(name, value);
                    }
                }
            }
            Parsed::Json(body) => {
                let pointers = self.operation.documents.iter().filter_map(|document| match &document.at {
                    DocumentAt::Body(pointer) => Some(pointer.names()),
                    DocumentAt::Field(_) | DocumentAt::Fields(_) => None,
                });
                search.around(body, &pointers.collect::<Vec<_>>());
            }
        }
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

    /// What is taken out beside the documents, and in the middle of opaque ones: our own tokens, and secrets.
    pub(super) fn removed_beside(&self, judged: &Judged<'_>) -> Removed {
        let beside = self.update.writes.iter().zip(judged.verdicts()).skip(self.of_documents);
        let removed = beside.filter_map(|(write, verdict)| match (write.change, verdict.effect) {
            (Change::Set(value), Effect::LeftOut) => Some(value),
            (Change::Set(_), Effect::Kept | Effect::Replaced(_)) | (Change::Delete, _) => None,
        });
        Removed::of(removed)
    }
}

/// Values that are taken out, known by where they are.
#[derive(Default)]
pub(super) struct Removed {
    /// In their order: a peer may have made them many.
    addresses: Vec<usize>,
}

impl Removed {
    fn of<'v>(values: impl IntoIterator<Item = &'v Value<'v>>) -> Self {
        let mut addresses: Vec<usize> = values.into_iter().map(|value| std::ptr::from_ref(value).addr()).collect();
        addresses.sort_unstable();
        Self { addresses }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    pub(super) fn has(&self, value: &Value<'_>) -> bool {
        !self.is_empty() && self.addresses.binary_search(&std::ptr::from_ref(value).addr()).is_ok()
    }
}

/// A search for secrets in what has no writes.
struct Search<'v, 's> {
    screen: Screen<'s>,
    /// The names of the objects around.
    path: Vec<&'v str>,
    /// What has to go: the value that is a secret, or the one whose name is.
    found: Vec<(String, &'v Value<'v>)>,
}

impl<'v> Search<'v, '_> {
    fn within(&mut self, name: &'v str, value: &'v Value<'v>) {
        self.path.push(name);
        self.value(value);
        self.path.pop();
    }

    fn member(&mut self, name: &'v str, value: &'v Value<'v>) {
        if self.screen.leak_in_text(name).is_some() {
            // By itself: as a part of a path a short one is no secret.
            self.found.push((name.to_owned(), value));
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(text) | Value::Text(text) if self.screen.leak_in_text(text).is_none() => {}
            Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => self.within(name, value),
        }
    }

    fn value(&mut self, value: &'v Value<'v>) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(text) | Value::Text(text) => {
                if self.screen.leak_in_text(text).is_some() {
                    let name = self.path.join(".");
                    // Names that are none by themselves must not make one together.
                    let name = self.screen.leak_in_text(&name).map_or(name, |_| WITHHELD.to_owned());
                    self.found.push((name, value));
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(entries) => entries.iter().for_each(|(name, value)| self.member(name, value)),
        }
    }

    /// What is outside of the documents at `pointers`.
    fn around(&mut self, value: &'v Value<'v>, pointers: &[&[String]]) {
        if pointers.iter().any(|pointer| pointer.is_empty()) {
            return;
        }
        if pointers.is_empty() {
            return self.value(value);
        }
        for (name, value) in value.as_object().unwrap_or_default() {
            let below = pointers.iter().filter_map(|pointer| pointer.split_first());
            let below: Vec<&[String]> = below.filter(|(first, _)| *first == name).map(|(_, rest)| rest).collect();
            if below.is_empty() {
                self.member(name, value);
            } else {
                self.path.push(name);
                self.around(value, &below);
                self.path.pop();
            }
        }
    }
}

/// What a document is called.
fn name_of(document: &Document) -> &str {
    match &document.at {
        DocumentAt::Field(name) => name,
        DocumentAt::Body(pointer) => pointer.names().last().map_or("body", String::as_str),
        DocumentAt::Fields(_) => "",
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixtures::{body, check, json_operation, operation, ping, place, shapes, with, writes};
    use super::*;
    use crate::decision::Spelling;
    use crate::profile::{Accepts, Body, Members, Nested, Operation, Rest};

    #[test]
    fn own_credentials_are_found_in_documents_and_beside_them() {
        let roles = |operation: &Operation, body: &str, places: &[Place]| {
            with(operation, "", body.as_bytes(), |envelope| {
                writes(envelope, places).iter().map(|write| write.role).collect::<Vec<_>>()
            })
        };
        let own = [place("document:cs"), place("field:cs"), place("body:/x/cs"), place("body:/contact/cs")];
        assert_eq!(
            roles(&ping(), "cs=t&user_data[plan]=x&user_data[cs]=t", &own),
            Ok(vec![Role::Attribute, Role::OwnCredential, Role::OwnCredential])
        );
        assert_eq!(
            roles(&json_operation(), r#"{"contact":{"cs":1,"plan":1},"x":{"cs":1}}"#, &own),
            Ok(vec![Role::OwnCredential, Role::Attribute, Role::OwnCredential])
        );
        assert_eq!(roles(&ping(), "CS=t&user_data[CS]=t", &own), Ok(vec![Role::Attribute]));
    }

    #[test]
    fn settings_around_documents_are_writes_too() {
        let contact = Members {
            prefix: String::new(),
            spelling: Spelling::Own,
            group: None,
            settings: vec![],
            credentials: vec![],
            nested: vec![("contact".into(), Nested::One(shapes::user_data()))],
            rest: Rest::Settings,
            accepts: Accepts::Nothing,
        };
        let operation = operation(Body::Json, vec![body("", Arc::new(Shape::Members(contact)))]);
        check(&operation, "", r#"{"message":{"content":"hi"},"contact":{"email":"x","plan":1}}"#, Ok(3));
    }
}
