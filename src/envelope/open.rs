//! Opening: from a request's bytes to the attribute documents in it.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::brackets::Brackets;
use super::form::{self, Pair};
use super::guard::{FieldKind, Guard};
use super::{EnvelopeError, json};
use crate::decision::{Change, Role, Spelling, Update, Value, Write};
use crate::policy::Limits;
use crate::profile::{Body, Document, DocumentAt, Operation, PathParams, Pointer, Profile, Shape};

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

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The declared type must be exactly the operation's: under another one the backend would read the same bytes another way.
fn admit_type(headers: &HeaderMap, expected: &str) -> Result<(), EnvelopeError> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(declared), None) = (types.next(), types.next()) else { return Err(EnvelopeError::ContentType) };
    let declared = declared.to_str().map_err(|_| EnvelopeError::ContentType)?;
    let (essence, parameters) = declared.split_once(';').unwrap_or((declared, ""));
    let is_utf8 = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            name.eq_ignore_ascii_case("charset") && bare.eq_ignore_ascii_case("utf-8")
        })
    };
    let parameters = parameters.trim_matches(is_ows);
    if essence.trim_matches(is_ows).eq_ignore_ascii_case(expected) && (parameters.is_empty() || is_utf8(parameters)) {
        Ok(())
    } else {
        Err(EnvelopeError::ContentType)
    }
}

/// Optional white space (RFC 9110 §5.6.3).
pub(super) fn is_ows(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

fn open_json<'a>(
    text: &'a [u8],
    guard: &Guard,
    operation: &Operation,
    limits: &Limits,
) -> Result<Value<'a>, EnvelopeError> {
    let body = json::read(text, limits)?;
    guard.admit_body(&body, operation)?;
    let pointers = || {
        operation.documents.iter().filter_map(|document| match &document.at {
            DocumentAt::Body(pointer) => Some(pointer),
            DocumentAt::Field(_) | DocumentAt::Fields(_) => None,
        })
    };
    for (index, pointer) in pointers().enumerate() {
        let found = descend(&body, pointer)?;
        // One document within another would be judged twice, and perhaps differently.
        let within =
            |other: &Pointer| pointer.names().starts_with(other.names()) || other.names().starts_with(pointer.names());
        if found.is_some() && pointers().take(index).any(within) {
            return Err(EnvelopeError::DocumentTwice);
        }
    }
    Ok(body)
}

/// The value at `pointer`.
///
/// # Errors
///
/// Something on the way is no object: nobody can say what the backend makes of that.
fn descend<'v, 'a>(value: &'v Value<'a>, pointer: &Pointer) -> Result<Option<&'v Value<'a>>, EnvelopeError> {
    let mut at = value;
    for name in pointer.names() {
        if at.as_object().is_none() {
            return Err(EnvelopeError::NotAnObject);
        }
        match at.member(name) {
            Some(below) => at = below,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn open_form<'a>(
    pairs: &'a [Pair<'a>],
    guard: &Guard,
    operation: &'a Operation,
    limits: &Limits,
) -> Result<Vec<Part<'a>>, EnvelopeError> {
    let mut seen = vec![false; guard.len()];
    // Where the documents that came so far stand among the parts.
    let mut present: Vec<Present<'a>> = Vec::new();
    let mut parts: Vec<Part<'a>> = Vec::with_capacity(pairs.len());
    for (name, text) in pairs {
        let field = match guard.field(name)? {
            FieldKind::Plain => {
                parts.push(Part::Field { name, value: Value::Text(Cow::Borrowed(&**text)) });
                continue;
            }
            FieldKind::Once(index) => {
                match seen.get_mut(index) {
                    Some(seen) if !*seen => *seen = true,
                    Some(_) | None => return Err(EnvelopeError::PlaceTwice),
                }
                let value = Value::Text(Cow::Borrowed(&**text));
                match attribute_of(operation, name) {
                    Some((document, attribute)) => {
                        add_attribute(document, attribute, value, &mut present, &mut parts);
                    }
                    None => parts.push(Part::Field { name, value }),
                }
                continue;
            }
            FieldKind::Document(field) | FieldKind::Brackets(field) => field,
        };
        let path = name.get(field.len()..).unwrap_or_default();
        let document = document_at(operation, field)?;
        let known = present.iter_mut().find(|present| std::ptr::eq(present.document, document));
        match (known, path) {
            (Some(Present { brackets: Some(brackets), .. }), path) if !path.is_empty() => {
                brackets.add(path, text, limits)?;
            }
            // A second JSON text, or one of each.
            (Some(_), _) => return Err(EnvelopeError::DocumentTwice),
            (None, "") => {
                present.push(Present { document, position: parts.len(), brackets: None });
                let value = read_document(document, text, limits)?;
                parts.push(Part::Document { document, spelled: Spelled::Json, value });
            }
            (None, path) => {
                let mut brackets = Brackets::default();
                brackets.add(path, text, limits)?;
                present.push(Present { document, position: parts.len(), brackets: Some(brackets) });
                parts.push(Part::Document { document, spelled: Spelled::Brackets, value: Value::Null });
            }
        }
    }
    for Present { position, brackets, .. } in present {
        if let (Some(brackets), Some(Part::Document { value, .. })) = (brackets, parts.get_mut(position)) {
            *value = brackets.value()?;
        }
    }
    Ok(parts)
}

/// The attribute that a form field is by itself.
pub(super) fn attribute_of<'o>(operation: &'o Operation, name: &str) -> Option<(&'o Document, &'o str)> {
    operation.documents.iter().find_map(|document| match &document.at {
        DocumentAt::Fields(fields) => {
            let field = fields.iter().find(|field| field.field == name)?;
            Some((document, field.attribute.as_str()))
        }
        DocumentAt::Field(_) | DocumentAt::Body(_) => None,
    })
}

/// Fields that are attributes themselves make one flat object, which stands where the first of them stood.
fn add_attribute<'a>(
    document: &'a Document,
    attribute: &'a str,
    value: Value<'a>,
    present: &mut Vec<Present<'a>>,
    parts: &mut Vec<Part<'a>>,
) {
    let entry = (Cow::Borrowed(attribute), value);
    let known = present.iter().find(|present| std::ptr::eq(present.document, document));
    match known.and_then(|known| parts.get_mut(known.position)) {
        Some(Part::Document { value: Value::Object(entries), .. }) => entries.push(entry),
        Some(Part::Document { .. } | Part::Field { .. }) | None => {
            present.push(Present { document, position: parts.len(), brackets: None });
            parts.push(Part::Document { document, spelled: Spelled::Fields, value: Value::Object(vec![entry]) });
        }
    }
}

/// A document that a form has so far.
struct Present<'a> {
    document: &'a Document,
    position: usize,
    /// `None`: as JSON text.
    brackets: Option<Brackets<'a>>,
}

fn read_document<'a>(document: &Document, text: &'a str, limits: &Limits) -> Result<Value<'a>, EnvelopeError> {
    // Widgets send `user_data=` and `user_data=undefined` for nothing at all; what a backend makes of them we do not guess.
    match &*document.shape {
        Shape::Members(_) | Shape::Collected(_) if matches!(text, "" | "undefined") => Err(EnvelopeError::NotAnObject),
        Shape::Members(_) | Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_) | Shape::Opaque => {
            Ok(json::read(text.as_bytes(), limits)?)
        }
    }
}

fn document_at<'a>(operation: &'a Operation, field: &str) -> Result<&'a Document, EnvelopeError> {
    let at = |document: &&Document| field_of(document) == field;
    operation.documents.iter().find(at).ok_or(EnvelopeError::StrayDocument)
}

pub(super) fn field_of(document: &Document) -> &str {
    match &document.at {
        DocumentAt::Field(name) => name,
        DocumentAt::Body(_) | DocumentAt::Fields(_) => "",
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

/// One request, opened: every byte of its body is accounted for.
pub struct Envelope<'a> {
    pub(super) decoded: &'a Decoded<'a>,
    pub(super) profile: &'a Profile,
    pub(super) operation: &'a Operation,
    pub(super) parsed: Parsed<'a>,
    query: Vec<(&'a str, Value<'a>)>,
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

pub(super) fn plain_write<'s>(name: Cow<'s, str>, value: &'s Value<'s>, role: Role) -> Write<'s> {
    Write { prefix: "", name, change: Change::Set(value), role, spelling: Spelling::Own, group: None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::fixtures::{
        body, check, headers, json_operation, operation, ping, place, profile, root_operation, shapes, with, writes,
    };
    use super::super::{BracketsError, JsonError};
    use super::*;
    use crate::profile::{Accepts, Members, Nested, Place, Rest};

    #[test]
    fn the_type_must_be_the_operations() {
        let form = ping();
        let json = root_operation();
        let decode = |operation: &Operation, types: &[&str], body: &[u8]| {
            let pairs: Vec<(&'static str, &str)> = types.iter().map(|value| ("content-type", *value)).collect();
            let (headers, params) = (headers(&pairs), vec![]);
            let wire = Wire { headers: &headers, query: None, params: &params, body };
            Decoded::decode(operation, &wire, &Limits::default()).map(drop)
        };
        for declared in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; Charset=\"UTF-8\"",
            "application/x-www-form-urlencoded ;charset=utf-8",
        ] {
            assert_eq!(decode(&form, &[declared], b"a=1"), Ok(()), "{declared}");
        }
        assert_eq!(decode(&json, &["application/json;charset=utf-8"], b"{}"), Ok(()));
        for declared in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded; charset=utf-16",
            "application/x-www-form-urlencoded; charset=utf-8; charset=utf-16",
            "application/x-www-form-urlencoded; boundary=x",
            "application/x-www-form-urlencoded, application/json",
            "",
        ] {
            assert_eq!(decode(&form, &[declared], b"a=1"), Err(EnvelopeError::ContentType), "{declared}");
        }
        for declared in
            ["application/x-www-form-urlencoded", "text/json", "application/json+x", "application/vnd.api+json"]
        {
            assert_eq!(decode(&json, &[declared], b"{}"), Err(EnvelopeError::ContentType), "{declared}");
        }
        assert_eq!(decode(&form, &[], b"a=1"), Err(EnvelopeError::ContentType));
        assert_eq!(decode(&form, &[], b""), Ok(()));
        assert_eq!(decode(&form, &["application/x-www-form-urlencoded"; 2], b"a=1"), Err(EnvelopeError::ContentType));
        assert_eq!(decode(&json, &["application/json"], b""), Err(EnvelopeError::MissingBody));
        let none = operation(Body::None, vec![]);
        assert_eq!(decode(&none, &[], b""), Ok(()));
        assert_eq!(decode(&none, &[], b" "), Err(EnvelopeError::UnexpectedBody));
        assert_eq!(decode(&operation(Body::Stream, vec![]), &[], b""), Err(EnvelopeError::Streamed));
    }

    #[test]
    fn a_form_carries_its_document_once() {
        check(&ping(), "", "a=1&user_data=%7B%22plan%22%3A1%7D", Ok(1));
        check(&ping(), "", "user_data[plan]=pro&a=1&user_data[company][id]=x", Ok(2));
        check(&ping(), "", "user_data=%7B%7D&form_params=%7B%22identifier%22%3A%22email%22%7D", Ok(1));
        check(&ping(), "", "a=1", Ok(0));
        check(&ping(), "", "", Ok(0));
        for twice in [
            "user_data=%7B%7D&user_data=%7B%7D",
            "user_data=%7B%7D&user_data[plan]=pro",
            "user_data[plan]=pro&user_data=%7B%7D",
        ] {
            check(&ping(), "", twice, Err(EnvelopeError::DocumentTwice));
        }
        check(&ping(), "", "user_data[plan]=a&user_data[plan]=b", Err(BracketsError::NameTwice.into()));
        check(&ping(), "", "user_data[]=a", Err(BracketsError::EmptySegment.into()));
        check(&ping(), "", "user_data[plan=a", Err(BracketsError::Unbalanced.into()));
        check(&ping(), "", "user_data%5Bplan=a", Err(BracketsError::Unbalanced.into()));
        check(&ping(), "", "user_data[0]=a", Err(EnvelopeError::NotAnObject));
        for none in
            ["user_data=", "user_data", "user_data=undefined", "user_data=%5B%5D", "user_data=null", "user_data=7"]
        {
            check(&ping(), "", none, Err(EnvelopeError::NotAnObject));
        }
        check(&ping(), "", "user_data=%7Bx", Err(JsonError::Syntax.into()));
        check(&ping(), "", "user_data=%7B%22plan%22:1,%22plan%22:2%7D", Err(JsonError::NameTwice.into()));
        check(&ping(), "", "user_data=%EF%BB%BF%7B%7D", Err(JsonError::ByteOrderMark.into()));
    }

    #[test]
    fn another_spelling_of_a_known_field_is_refused() {
        for name in [
            "User_Data",
            "+user_data",
            "user_data+",
            "user.data",
            "user+data",
            "user_data.plan",
            "%5Buser_data%5D",
            "user_data%255Bplan%255D",
            "user_data]",
            "user%5Bdata",
            "%EF%BD%95ser_data",
            "Intercom_User_Jwt",
            "intercom_user_jwt[]",
            "intercom_user_jwt[a]",
            "USER_ID",
            "user.id",
            "App_Id",
            "website_token",
            "jwt",
        ] {
            check(&ping(), "", &format!("{name}=x"), Err(EnvelopeError::DisguisedField));
        }
        check(&ping(), "", "user_data%00=x", Err(EnvelopeError::Nul));
        for name in ["user_data2", "user_active_company_id", "data", "key[]", "my[user_data]"] {
            check(&ping(), "", &format!("{name}=x&{name}=y"), Ok(0));
        }
        for name in ["app_id", "user_id", "intercom_user_jwt"] {
            check(&ping(), "", &format!("{name}=x"), Ok(0));
            check(&ping(), "", &format!("{name}=x&{name}=x"), Err(EnvelopeError::PlaceTwice));
        }
    }

    #[test]
    fn a_document_of_another_operation_is_refused_here() {
        let other = operation(Body::Form, vec![]);
        check(&other, "", "metrics=1", Ok(0));
        check(&other, "", "user_data=%7B%7D", Err(EnvelopeError::StrayDocument));
        check(&other, "", "user_data[plan]=pro", Err(EnvelopeError::StrayDocument));
        check(&operation(Body::None, vec![]), "user_data=%7B%7D", "", Err(EnvelopeError::QueryDocument));
    }

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
    fn a_json_body_holds_its_documents_at_their_pointers() {
        check(&root_operation(), "", r#"{"plan":1,"name":2}"#, Ok(2));
        check(&json_operation(), "", r#"{"contact":{"email":1},"message":{"answers":[{"name":"a"}]},"x":1}"#, Ok(2));
        check(&json_operation(), "", r#"{"x":1,"message":{}}"#, Ok(0));
        for body in ["[]", "null", "7", r#""x""#] {
            check(&root_operation(), "", body, Err(EnvelopeError::NotAnObject));
            check(&json_operation(), "", body, Err(EnvelopeError::NotAnObject));
        }
        for body in [r#"{"contact":null}"#, r#"{"contact":[]}"#, r#"{"message":[]}"#, r#"{"message":null}"#] {
            check(&json_operation(), "", body, Err(EnvelopeError::NotAnObject));
        }
        check(&json_operation(), "", r#"{"message":{"answers":{}}}"#, Err(EnvelopeError::NotAList));
        for body in
            [r#"{"Contact":{}}"#, r#"{"contact ":{}}"#, r#"{"contact[email]":1}"#, r#"{"message":{"Answers":[]}}"#]
        {
            check(&json_operation(), "", body, Err(EnvelopeError::DisguisedField));
        }
        check(&root_operation(), "", r#"{"website_token":"x"}"#, Err(EnvelopeError::DisguisedField));
        check(&root_operation(), "", "{}x", Err(JsonError::TrailingBytes.into()));
        let overlapping = operation(Body::Json, vec![body("", shapes::user_data()), body("/a", shapes::user_data())]);
        check(&overlapping, "", r#"{"a":{}}"#, Err(EnvelopeError::DocumentTwice));
    }

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

    #[test]
    fn many_parts_cost_no_more_than_their_sum() {
        let limits = Limits { form_fields_max: 100_000, inflated_bytes_max: usize::MAX, ..Limits::default() };
        let fields: Vec<String> = (0..20_000).map(|index| format!("user_data[n{index}]=x")).collect();
        let text = fields.join("&");
        let (headers, params) = (headers(&[("content-type", FORM)]), vec![]);
        let wire = Wire { headers: &headers, query: None, params: &params, body: text.as_bytes() };
        let (operation, profile) = (ping(), profile());
        let decoded = Decoded::decode(&operation, &wire, &limits).expect("a form");
        let envelope =
            decoded.open(&Guard::new(&profile, &operation), &profile, &operation, &limits).expect("an envelope");
        assert_eq!(writes(&envelope, &[]).len(), 20_000);
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
