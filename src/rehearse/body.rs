//! The body of a case's request, and the places in it.

use std::borrow::Cow;

use http::HeaderValue;

use super::found::{field_text, text_of};
use super::request::DraftError;
use crate::decision::Value;
use crate::policy::Content;
use crate::profile::{Body, DocumentAt, Operation, Place};

/// A name and text that were put into the body for the case.
pub(super) struct Placed {
    name: String,
    text: String,
}

impl Placed {
    pub(super) fn is(&self, name: &str, text: &str) -> bool {
        self.name == name && self.text == text
    }
}

/// A body as it comes together.
pub(super) enum DraftBody {
    Empty,
    /// To the letter.
    Text(String),
    Json {
        body: Value<'static>,
        /// Where in it the operation's first document is.
        document: Vec<String>,
    },
    Form {
        /// The field of the operation's first document.
        field: Option<String>,
        document: Option<Value<'static>>,
        fields: Vec<(String, Value<'static>)>,
    },
}

impl DraftBody {
    /// What a case tells, for an operation where it has one.
    ///
    /// # Errors
    ///
    /// [`DraftError::NoPlaceForUpdate`].
    pub(super) fn of(content: &Content, operation: Option<&Operation>) -> Result<Self, DraftError> {
        let (update, fields) = match content {
            Content::Whole(Value::Text(text)) => return Ok(Self::Text(text.clone().into_owned())),
            Content::Whole(body) => {
                return Ok(Self::Json { body: body.clone(), document: document_names(operation).to_vec() });
            }
            Content::Told { update, fields } => (update.clone(), fields.clone()),
        };
        let at = operation.and_then(|operation| operation.documents.first()).map(|document| &document.at);
        let takes_form = operation.is_some_and(|operation| operation.body == Body::Form);
        if takes_form || !fields.is_empty() {
            let field = match at {
                Some(DocumentAt::Field(field)) => Some(field.clone()),
                Some(DocumentAt::Body(_) | DocumentAt::Fields(_)) | None => None,
            };
            if update.is_some() && field.is_none() {
                return Err(DraftError::NoPlaceForUpdate);
            }
            return Ok(Self::Form { field, document: update, fields });
        }
        let names = document_names(operation);
        Ok(match update {
            None => Self::Empty,
            Some(Value::Text(text)) => Self::Text(names.iter().rev().fold(text.into_owned(), |inner, name| {
                format!("{{{}:{inner}}}", text_of(&Value::Text(Cow::Borrowed(name))))
            })),
            Some(update) => Self::Json {
                body: names.iter().rev().fold(update, |inner, name| wrap(inner, name)),
                document: names.to_vec(),
            },
        })
    }

    /// Whether something stands at the place. A body to the letter is never looked into: it says what it says.
    pub(super) fn has(&self, place: &Place) -> bool {
        let member =
            |value: &Value<'_>, names: &[String]| names.iter().try_fold(value, |at, name| at.member(name)).is_some();
        match (self, place) {
            (Self::Text(_), _) => true,
            (Self::Json { body, document }, Place::Document(pointer)) => {
                member(body, &[document.as_slice(), pointer.names()].concat())
            }
            (Self::Json { body, .. }, Place::Body(pointer)) => member(body, pointer.names()),
            (Self::Form { document: Some(document), .. }, Place::Document(pointer)) => {
                member(document, pointer.names())
            }
            (Self::Form { fields, .. }, Place::Field(name)) => fields.iter().any(|(field, _)| field == name),
            (Self::Empty | Self::Json { .. } | Self::Form { .. }, _) => false,
        }
    }

    /// Puts a text there, unless something stands there already or the body has no such place.
    pub(super) fn place(&mut self, place: &Place, text: &str) -> Option<Placed> {
        let (target, names) = match (self, place) {
            (Self::Json { body, document }, Place::Document(pointer)) => {
                (body, [document.as_slice(), pointer.names()].concat())
            }
            (Self::Json { body, .. }, Place::Body(pointer)) => (body, pointer.names().to_vec()),
            (Self::Form { field: Some(_), document, .. }, Place::Document(pointer)) => {
                (document.get_or_insert_with(|| Value::Object(Vec::new())), pointer.names().to_vec())
            }
            (Self::Form { fields, .. }, Place::Field(name)) if !fields.iter().any(|(field, _)| field == name) => {
                fields.push((name.clone(), Value::Text(Cow::Owned(text.to_owned()))));
                return Some(Placed { name: name.clone(), text: text.to_owned() });
            }
            (Self::Empty | Self::Text(_) | Self::Json { .. } | Self::Form { .. }, _) => return None,
        };
        let name = names.last()?.clone();
        insert(target, &names, text).then(|| Placed { name, text: text.to_owned() })
    }

    /// The body and its type; `None` where there is none.
    pub(super) fn write(self, takes: Option<Body>) -> Option<(String, HeaderValue)> {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        match self {
            Self::Empty => None,
            Self::Text(text) if takes == Some(Body::Form) => Some((text, FORM)),
            Self::Text(text) => Some((text, JSON)),
            Self::Json { body, .. } => Some((text_of(&body), JSON)),
            Self::Form { field, document, fields } => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in &fields {
                    form.append_pair(name, &field_text(value));
                }
                if let (Some(field), Some(document)) = (field, document) {
                    form.append_pair(&field, &field_text(&document));
                }
                Some((form.finish(), FORM))
            }
        }
    }
}

/// Where in a JSON body the operation's first document is.
fn document_names(operation: Option<&Operation>) -> &[String] {
    match operation.and_then(|operation| operation.documents.first()).map(|document| &document.at) {
        Some(DocumentAt::Body(pointer)) => pointer.names(),
        Some(DocumentAt::Field(_) | DocumentAt::Fields(_)) | None => &[],
    }
}

fn wrap(inner: Value<'static>, name: &str) -> Value<'static> {
    Value::Object(vec![(Cow::Owned(name.to_owned()), inner)])
}

/// Puts a text at a pointer of objects. What stands there stays.
fn insert(value: &mut Value<'static>, names: &[String], text: &str) -> bool {
    let (Value::Object(entries), Some((first, rest))) = (value, names.split_first()) else { return false };
    let known = entries.iter_mut().find(|(name, _)| name == first);
    match (known, rest.is_empty()) {
        (Some(_), true) => false,
        (Some((_, inner)), false) => insert(inner, rest, text),
        (None, _) => {
            let text = Value::Text(Cow::Owned(text.to_owned()));
            entries.push((Cow::Owned(first.clone()), rest.iter().rev().fold(text, |inner, name| wrap(inner, name))));
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::read_again;

    fn value(text: &str) -> Value<'static> {
        read_again(text.as_bytes()).expect("JSON").into_owned()
    }

    fn json(text: &str, document: &[&str]) -> DraftBody {
        DraftBody::Json { body: value(text), document: document.iter().map(|name| String::from(*name)).collect() }
    }

    fn form(document: Option<&str>) -> DraftBody {
        DraftBody::Form { field: Some("user_data".into()), document: document.map(value), fields: Vec::new() }
    }

    /// Places `T` and says what is written, or that it has no place.
    #[track_caller]
    fn check(mut body: DraftBody, place: &str, expected: Option<&str>) {
        let place = Place::try_from(place).expect("a place");
        assert!(expected.is_none() || !body.has(&place), "nothing stands there yet");
        let placed = body.place(&place, "T");
        assert_eq!(placed.is_some(), expected.is_some());
        if let Some(expected) = expected {
            assert!(body.has(&place));
            assert_eq!(body.write(None).map(|(body, _)| body).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_the_case_does_not_say_is_put_where_it_belongs() {
        check(json("{}", &[]), "document:token", Some(r#"{"token":"T"}"#));
        check(json(r#"{"user":{"a":1.10}}"#, &["user"]), "document:token", Some(r#"{"user":{"a":1.10,"token":"T"}}"#));
        check(json("{}", &["user"]), "body:/auth/token", Some(r#"{"auth":{"token":"T"}}"#));
        check(form(Some("{}")), "document:token", Some("user_data=%7B%22token%22%3A%22T%22%7D"));
        check(form(None), "document:token", Some("user_data=%7B%22token%22%3A%22T%22%7D"));
        check(form(None), "field:token", Some("token=T"));
    }

    #[test]
    fn what_the_case_says_stays_as_it_is() {
        check(json(r#"{"token":"mine"}"#, &[]), "document:token", None);
        check(json(r#"{"user":"text"}"#, &["user"]), "document:token", None);
        check(form(Some(r#""text""#)), "document:token", None);
        check(DraftBody::Text("{}".into()), "document:token", None);
        check(DraftBody::Empty, "field:token", None);
    }
}
