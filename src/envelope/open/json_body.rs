//! A JSON body: its documents stand at the profile's pointers, each once and none within another.

use super::super::guard::Guard;
use super::super::{EnvelopeError, json};
use crate::decision::Value;
use crate::policy::Limits;
use crate::profile::{DocumentAt, Operation, Pointer};

/// Reads the body, and looks whether each of its documents can be told from what is around it.
pub(super) fn open_json<'a>(
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

#[cfg(test)]
mod tests {
    use super::super::super::JsonError;
    use super::super::super::fixtures::{body, check, json_operation, operation, place, root_operation, shapes};
    use super::*;
    use crate::profile::Body;

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
        check(&root_operation(), "", r#"{"user_id":1,"User":2,"Company":{}}"#, Ok(3));
        for body in [
            r#"{"user_id":1,"USER_ID":2}"#,
            r#"{"User_Id":2}"#,
            r#"{"intercom_user_jwt":"x","Intercom_User_JWT":"y"}"#,
            r#"{"user_id ":2}"#,
        ] {
            check(&root_operation(), "", body, Err(EnvelopeError::DisguisedField));
            let in_contact = format!(r#"{{"contact":{body}}}"#);
            check(&json_operation(), "", &in_contact, Err(EnvelopeError::DisguisedField));
        }
        let beside = Operation {
            subject: vec![place("body:/user/id"), place("body:/user/uid"), place("body:/user/UID")],
            ..json_operation()
        };
        check(&beside, "", r#"{"user":{"id":1,"uid":1,"UID":1,"ids":2},"contact":{"ID":3}}"#, Ok(1));
        for body in [r#"{"user":{"id":1,"ID":2}}"#, r#"{"user":{"Id":2}}"#, r#"{"user":{"Uid":2}}"#, r#"{"User":{}}"#] {
            check(&beside, "", body, Err(EnvelopeError::DisguisedField));
        }
        check(&root_operation(), "", "{}x", Err(JsonError::TrailingBytes.into()));
        let overlapping = operation(Body::Json, vec![body("", shapes::user_data()), body("/a", shapes::user_data())]);
        check(&overlapping, "", r#"{"a":{}}"#, Err(EnvelopeError::DocumentTwice));
    }
}
