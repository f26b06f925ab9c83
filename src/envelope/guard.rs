//! Guarded names: where documents, tokens, identity and workspace sit, and which other spellings a backend may take for them.

use std::borrow::Cow;

use super::EnvelopeError;
use super::form::Pair;
use crate::decision::{Folding, Value};
use crate::profile::{Accepts, DocumentAt, Operation, Place, Pointer, Profile, Shape};

/// What a guarded name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A document field of this operation.
    Document,
    /// A document field of another operation of the profile: the backend may read it here too.
    DocumentElsewhere,
    /// A form field of a token, of identity, or of the workspace.
    Field,
    /// A member of the JSON body that is a document, or in which such a thing sits.
    Body,
    /// A query parameter of a token, of identity, or of the workspace.
    Query,
}

struct Guarded {
    name: String,
    folded: String,
    kind: Kind,
}

/// The guarded names of one operation, ready before any request comes.
pub struct Guard {
    names: Vec<Guarded>,
    /// The ways into a JSON body to each document, token, identity and workspace.
    ways: Vec<Vec<String>>,
}

/// What a form field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind<'g> {
    /// A document as JSON text.
    Document(&'g str),
    /// A part of a document; the rest of the name is brackets.
    Brackets(&'g str),
    /// A token, identity, or workspace: index into a tally, so that each may appear once.
    Once(usize),
    Plain,
}

/// By this name Rails, Laravel and Symfony take another method from a field, a parameter or a member than the one that was judged.
const METHOD_OVERRIDE: &str = "_method";

fn overrides_method(name: &str) -> bool {
    if is_undivided(name) {
        return name.eq_ignore_ascii_case(METHOD_OVERRIDE);
    }
    // `fold` takes brackets away in front, and PHP makes one of them into `_`.
    folds_to(&fold(name), METHOD_OVERRIDE) || folds_to(&name.trim_start().to_lowercase(), METHOD_OVERRIDE)
}

/// Whether a query that nobody opens has a parameter by which frameworks take another method, however they cut it.
#[must_use]
pub fn query_overrides_method(query: &str) -> bool {
    let overrides = |reading: &str| form_urlencoded::parse(reading.as_bytes()).any(|(name, _)| overrides_method(&name));
    overrides(query) || query.contains(';') && overrides(&query.replace(';', "&"))
}

impl Guard {
    /// Gathers the names that `profile` gives a meaning in `operation`.
    #[must_use]
    pub fn new(profile: &Profile, operation: &Operation) -> Self {
        let mut guard = Self { names: Vec::new(), ways: Vec::new() };
        for document in &operation.documents {
            match &document.at {
                DocumentAt::Field(name) => guard.add(name, Kind::Document),
                DocumentAt::Fields(fields) => fields.iter().for_each(|field| guard.add(&field.field, Kind::Field)),
                DocumentAt::Body(pointer) => match pointer.names().first() {
                    Some(name) => guard.add(name, Kind::Body),
                    None => guard.add_members(&document.shape),
                },
            }
        }
        for document in profile.operations.iter().flat_map(|operation| &operation.documents) {
            match (&document.at, &*document.shape) {
                (_, Shape::Opaque) | (DocumentAt::Body(_) | DocumentAt::Fields(_), _) => {}
                (
                    DocumentAt::Field(name),
                    Shape::Members(_) | Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_),
                ) => guard.add(name, Kind::DocumentElsewhere),
            }
        }
        let places = [
            &profile.identity.user_id[..],
            &profile.identity.email,
            &profile.identity.session,
            &profile.tokens.jwt,
            &profile.tokens.user_hash,
            &profile.tokens.sealed,
            &profile.tokens.session,
            &profile.workspace_at,
            &operation.subject,
            &operation.context,
            profile.platform.places(),
        ];
        let exchanged = operation.exchange.iter().flat_map(|exchange| &exchange.token);
        for place in places.into_iter().flatten().chain(exchanged) {
            match place {
                Place::Field(name) => guard.add(name, Kind::Field),
                Place::Query(name) => guard.add(name, Kind::Query),
                Place::Document(pointer) => {
                    guard.add_first(pointer);
                    document_pointers(operation)
                        .for_each(|document| guard.add_way([document, pointer.names()].concat()));
                }
                Place::Body(pointer) => {
                    guard.add_first(pointer);
                    guard.add_way(pointer.names().to_vec());
                }
                Place::Header(_) | Place::Bearer(_) | Place::Cookie(_) | Place::Path(_) => {}
            }
        }
        for pointer in document_pointers(operation) {
            guard.add_way(pointer.to_vec());
        }
        guard
    }

    fn add_first(&mut self, pointer: &Pointer) {
        if let Some(name) = pointer.names().first() {
            self.add(name, Kind::Body);
        }
    }

    fn add_way(&mut self, way: Vec<String>) {
        if !way.is_empty() && !self.ways.contains(&way) {
            self.ways.push(way);
        }
    }

    fn add(&mut self, name: &str, kind: Kind) {
        // A document of this operation is not also one of another.
        let known = |guarded: &Guarded| {
            guarded.name == name
                && (guarded.kind == kind || (guarded.kind, kind) == (Kind::Document, Kind::DocumentElsewhere))
        };
        if !self.names.iter().any(known) {
            let folded = if is_plain(name) { name.to_owned() } else { dashed(&fold(name)) };
            self.names.push(Guarded { name: name.to_owned(), folded, kind });
        }
    }

    /// Where the body itself is the document, its known members are guarded: Rails and PHP merge the query into the body.
    fn add_members(&mut self, shape: &Shape) {
        match shape {
            Shape::Members(members) => {
                members.nested.iter().for_each(|(name, _)| self.add(name, Kind::Body));
                members.credentials.iter().for_each(|name| self.add(name, Kind::Body));
                match &members.accepts {
                    Accepts::Only(names) => names.iter().for_each(|name| self.add(name, Kind::Body)),
                    Accepts::Nothing | Accepts::Any => {}
                }
            }
            Shape::Collected(collected) => {
                self.add(&collected.identifier, Kind::Body);
                self.add(&collected.value, Kind::Body);
            }
            Shape::Names { .. } | Shape::Pairs(_) | Shape::Opaque => {}
        }
    }

    /// How many different [`FieldKind::Once`] there may be.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Says what a form field is.
    ///
    /// # Errors
    ///
    /// It is a document where none belongs, another spelling of a guarded name, or another method.
    pub(super) fn field(&self, name: &str) -> Result<FieldKind<'_>, EnvelopeError> {
        if overrides_method(name) {
            return Err(EnvelopeError::MethodOverride);
        }
        // Such a name could only be a guarded one as a whole.
        if is_undivided(name) && !self.names.iter().any(|guarded| name.eq_ignore_ascii_case(&guarded.folded)) {
            return Ok(FieldKind::Plain);
        }
        for (index, guarded) in self.names.iter().enumerate() {
            let rest = name.strip_prefix(guarded.name.as_str());
            match (guarded.kind, rest) {
                (Kind::Document, Some("")) => return Ok(FieldKind::Document(&guarded.name)),
                (Kind::Document, Some(rest)) if rest.starts_with('[') => {
                    return Ok(FieldKind::Brackets(&guarded.name));
                }
                (Kind::DocumentElsewhere, Some(rest)) if rest.is_empty() || rest.starts_with('[') => {
                    return Err(EnvelopeError::StrayDocument);
                }
                (Kind::Field, Some("")) => return Ok(FieldKind::Once(index)),
                (Kind::Document | Kind::DocumentElsewhere | Kind::Field | Kind::Body | Kind::Query, _) => {}
            }
        }
        let disguised = self.folds_to(name, &[Kind::Document, Kind::DocumentElsewhere, Kind::Field, Kind::Query]);
        if disguised { Err(EnvelopeError::DisguisedField) } else { Ok(FieldKind::Plain) }
    }

    /// The parameters that no place names.
    pub(super) fn unnamed_parameters<'r>(
        &self,
        pairs: &'r [Pair<'r>],
    ) -> impl Iterator<Item = (&'r str, Value<'r>)> + use<'_, 'r> {
        let named = |name: &str| self.names.iter().any(|guarded| guarded.kind == Kind::Query && guarded.name == *name);
        let unnamed = pairs.iter().filter(move |(name, _)| !named(name));
        unnamed.map(|(name, text)| (&**name, Value::Text(Cow::Borrowed(&**text))))
    }

    /// Looks at every parameter of the query, which goes on as it came.
    ///
    /// # Errors
    ///
    /// A document, token or identity that belongs into the body; another spelling of one that belongs here; one of those twice; another method.
    pub(super) fn admit_query(&self, pairs: &[Pair<'_>], operation: &Operation) -> Result<(), EnvelopeError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let mut seen = vec![false; self.names.len()];
        for (name, _) in pairs {
            if overrides_method(name) {
                return Err(EnvelopeError::MethodOverride);
            }
            let of_query = self.names.iter().position(|guarded| guarded.kind == Kind::Query && guarded.name == *name);
            if let Some(index) = of_query {
                match seen.get_mut(index) {
                    Some(seen) if !*seen => *seen = true,
                    Some(_) | None => return Err(EnvelopeError::PlaceTwice),
                }
                continue;
            }
            let has_documents = !operation.documents.is_empty();
            if self.folds_to(name, &[Kind::Document, Kind::DocumentElsewhere])
                || has_documents && self.folds_to(name, &[Kind::Field, Kind::Body])
            {
                return Err(EnvelopeError::QueryDocument);
            }
            if self.folds_to(name, &[Kind::Query]) {
                return Err(EnvelopeError::DisguisedField);
            }
        }
        Ok(())
    }

    /// Holds the query against the same query divided at semicolons too: who we take it to name must be who such a backend takes it to name.
    /// A token that only the backend saw would be one that nobody verified.
    ///
    /// # Errors
    ///
    /// A token, identity or workspace stands in one reading and not, or otherwise, in the other.
    pub(super) fn admit_division(&self, query: &[Pair<'_>], divided: &[Pair<'_>]) -> Result<(), EnvelopeError> {
        let named = |pairs: &[Pair<'_>], name: &str| {
            pairs.iter().find(|(other, _)| other == name).map(|(_, text)| text.to_string())
        };
        let mut names =
            self.names.iter().filter(|guarded| guarded.kind == Kind::Query).map(|guarded| guarded.name.as_str());
        if names.all(|name| named(query, name) == named(divided, name)) {
            Ok(())
        } else {
            Err(EnvelopeError::DisguisedField)
        }
    }

    /// Looks at the members of a JSON body along the ways to what is guarded: `Contact` beside, or instead of, `contact` is neither document
    /// nor nothing.
    pub(super) fn admit_body(&self, body: &Value<'_>, operation: &Operation) -> Result<(), EnvelopeError> {
        let root_is_document = document_pointers(operation).any(<[_]>::is_empty);
        for (name, _) in body.as_object().unwrap_or_default() {
            if overrides_method(name) {
                return Err(EnvelopeError::MethodOverride);
            }
            let is_spelled = |kind| self.names.iter().any(|guarded| guarded.kind == kind && guarded.name == *name);
            if is_spelled(Kind::Body) {
                continue;
            }
            // In a document every member is judged by its own name; around one nothing is, and what belongs into the query belongs nowhere
            // else. Of an exchange nothing is judged, and a backend that compares without case would take another token for ours.
            let is_judged = root_is_document && operation.exchange.is_none();
            if !is_judged && self.folds_to(name, &[Kind::Body]) || self.folds_to(name, &[Kind::Query]) {
                return Err(EnvelopeError::DisguisedField);
            }
        }
        // At every step, since `ID` beside `id` is another user to a backend that compares without case. Also within a document: its
        // members are judged as attributes, and an open one would go on.
        for way in &self.ways {
            let mut at = body;
            for (depth, step) in way.iter().enumerate() {
                let is_named = |name: &str| {
                    self.ways.iter().any(|other| {
                        other.get(..depth) == way.get(..depth) && other.get(depth).is_some_and(|step| step == name)
                    })
                };
                let disguised = |name: &str| is_other_spelling(name, step) && !is_named(name);
                if at.as_object().unwrap_or_default().iter().any(|(name, _)| disguised(name)) {
                    return Err(EnvelopeError::DisguisedField);
                }
                let Some(below) = at.member(step) else { break };
                at = below;
            }
        }
        Ok(())
    }

    fn folds_to(&self, name: &str, kinds: &[Kind]) -> bool {
        let folded = fold(name);
        self.names.iter().any(|guarded| kinds.contains(&guarded.kind) && folds_to(&folded, &guarded.folded))
    }
}

/// Where in a JSON body the documents are.
fn document_pointers(operation: &Operation) -> impl Iterator<Item = &[String]> {
    operation.documents.iter().filter_map(|document| match &document.at {
        DocumentAt::Body(pointer) => Some(pointer.names()),
        DocumentAt::Field(_) | DocumentAt::Fields(_) => None,
    })
}

/// Whether a backend may take `name` for `guarded`, although it is spelled otherwise.
pub(super) fn is_other_spelling(name: &str, guarded: &str) -> bool {
    if name == guarded {
        return false;
    }
    if is_undivided(name) && is_undivided(guarded) {
        return name.eq_ignore_ascii_case(guarded);
    }
    folds_to(&fold(name), &dashed(&fold(guarded)))
}

/// Whether a folded name is, or begins with and then divides at, a guarded one.
fn folds_to(folded: &str, guarded: &str) -> bool {
    // Both sides fold byte for byte, so the place where the guarded name ends is the place where the other one may divide. Most names do
    // not, and need no comparing.
    let Some((begin, rest)) = folded.as_bytes().split_at_checked(guarded.len()) else { return false };
    matches!(rest.first(), None | Some(b'[' | b']' | b'.' | b'%'))
        && begin.iter().zip(guarded.bytes()).all(|(other, byte)| byte == dashed_byte(*other))
}

/// Case, compatibility forms, invisible characters and white space around a name; Rack also skips brackets in front.
pub(super) fn fold(name: &str) -> Cow<'_, str> {
    if is_plain(name) {
        return Cow::Borrowed(name);
    }
    let name = name.trim_start_matches(|char: char| char.is_whitespace() || matches!(char, '[' | ']'));
    let folded = Folding::default().member_key("", name);
    Cow::Owned(folded.as_str().to_owned())
}

/// A plain name folds to itself, and has nothing in it at which it could divide.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A name that folds to its lower case, and has nothing in it at which it could divide.
pub(super) fn is_undivided(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// PHP makes these into `_`.
fn dashed_byte(byte: u8) -> u8 {
    if matches!(byte, b'.' | b' ' | b'[') { b'_' } else { byte }
}

pub(super) fn dashed(name: &str) -> String {
    name.replace(['.', ' ', '['], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_method_is_one_in_every_spelling() {
        for name in ["_method", "_METHOD", ".method", " .method", "[method", "_method[]", "_method]", "[_method]"] {
            assert!(overrides_method(name), "{name}");
        }
        for name in ["method", "_methods", "my_method", "__method", "_metho", ""] {
            assert!(!overrides_method(name), "{name}");
        }
        for query in ["_method=DELETE", "a=1&_method", "a=1;%5Fmethod=put", "%5b_method=patch", "+_method=x"] {
            assert!(query_overrides_method(query), "{query}");
        }
        for query in ["", "a=_method", "method=DELETE", "a=1;b=_method"] {
            assert!(!query_overrides_method(query), "{query}");
        }
    }

    #[test]
    fn other_spellings_fold_to_a_guarded_name() {
        for name in [
            "User_Data",
            " user_data",
            "user_data ",
            "user.data",
            "user data",
            "user[data",
            "user_data[]",
            "user_data[plan]",
            "user_data.plan",
            "user_data%5Bplan",
            "user_data]",
            "[user_data]",
            "\u{ff55}ser_data",
            "user_\u{200b}data",
            "USER.DATA[plan]",
            "user_data",
        ] {
            assert!(folds_to(&fold(name), "user_data"), "{name}");
        }
        for name in ["user_data2", "user", "user_data_version", "my_user_data", "userdata", "data", ""] {
            assert!(!folds_to(&fold(name), "user_data"), "{name}");
        }
    }
}
