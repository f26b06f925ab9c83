//! The parts of a form: its fields, and the documents that stand in one field as JSON text, in several as brackets, or spread over fields of
//! their own. Each document comes once and one way.

use std::borrow::Cow;

use super::super::brackets::Brackets;
use super::super::form::Pair;
use super::super::guard::{FieldKind, Guard};
use super::super::opened::{Part, Spelled};
use super::super::{EnvelopeError, json};
use crate::decision::Value;
use crate::policy::Limits;
use crate::profile::{Document, DocumentAt, Operation, Shape};

/// Reads the documents among `pairs`. Everything else stays a field by itself, in its place.
pub(super) fn open_form<'a>(
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

/// A document that a form has so far.
struct Present<'a> {
    document: &'a Document,
    position: usize,
    /// `None`: as JSON text.
    brackets: Option<Brackets<'a>>,
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

pub(in crate::envelope) fn field_of(document: &Document) -> &str {
    match &document.at {
        DocumentAt::Field(name) => name,
        DocumentAt::Body(_) | DocumentAt::Fields(_) => "",
    }
}

/// The attribute that a form field is by itself.
pub(in crate::envelope) fn attribute_of<'o>(operation: &'o Operation, name: &str) -> Option<(&'o Document, &'o str)> {
    operation.documents.iter().find_map(|document| match &document.at {
        DocumentAt::Fields(fields) => {
            let field = fields.iter().find(|field| field.field == name)?;
            Some((document, field.attribute.as_str()))
        }
        DocumentAt::Field(_) | DocumentAt::Body(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{check, headers, operation, ping, profile, writes};
    use super::super::super::{BracketsError, JsonError};
    use super::super::content_type::FORM;
    use super::super::{Decoded, Wire};
    use super::*;
    use crate::profile::Body;

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
}
