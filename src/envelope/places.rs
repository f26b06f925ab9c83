//! Places: the text of a token, an id or a workspace's name, wherever the profile says it sits.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::COOKIE;

use super::EnvelopeError;
use super::opened::{Envelope, Parsed, Part, Spelled};
use crate::decision::Value;
use crate::profile::Place;

type Text<'s> = Result<Option<Cow<'s, str>>, EnvelopeError>;

impl Envelope<'_> {
    /// The text at `place`: a number gives its digits, `null` is nothing.
    ///
    /// # Errors
    ///
    /// The place is there twice; two documents disagree; what is there is neither text nor number.
    pub fn text_at(&self, place: &Place) -> Text<'_> {
        let decoded = self.decoded;
        match place {
            Place::Document(pointer) => {
                let mut text: Option<Cow<'_, str>> = None;
                // Whoever answers a question with an address does not sign in with it.
                for opened in self.documents().filter(|opened| opened.spelled != Spelled::Fields) {
                    let found = text_below(opened.value, pointer.names())?;
                    if text.is_some() && found.is_some() && text != found {
                        return Err(EnvelopeError::PlacesDisagree);
                    }
                    text = text.or(found);
                }
                Ok(text)
            }
            Place::Body(pointer) => match &self.parsed {
                Parsed::Json(body) => text_below(body, pointer.names()),
                Parsed::Empty | Parsed::Form(_) => Ok(None),
            },
            Place::Field(field) => match &self.parsed {
                Parsed::Form(parts) => only(parts.iter().filter_map(|part| match part {
                    Part::Field { name, value } if name == field => value.as_text().map(Cow::Borrowed),
                    Part::Field { .. } | Part::Document { .. } => None,
                })),
                Parsed::Empty | Parsed::Json(_) => Ok(None),
            },
            Place::Query(parameter) => {
                let named = decoded.parameters().iter().filter(|(name, _)| name == parameter);
                only(named.map(|(_, text)| Cow::Borrowed(&**text)))
            }
            Place::Header(_) | Place::Bearer(_) | Place::Cookie(_) => text_in_headers(decoded.headers, place),
            Place::Path(param) => match decoded.params.iter().find(|(name, _)| name == param) {
                Some((_, segment)) => percent_encoding::percent_decode_str(segment)
                    .decode_utf8()
                    .map(Some)
                    .map_err(|_| EnvelopeError::NotUtf8),
                None => Ok(None),
            },
        }
    }

    /// The texts at all of `places` that are present, in the places' order.
    ///
    /// # Errors
    ///
    /// As for [`text_at`](Self::text_at).
    pub fn texts_at(&self, places: &[Place]) -> Result<Vec<Cow<'_, str>>, EnvelopeError> {
        places.iter().filter_map(|place| self.text_at(place).transpose()).collect()
    }
}

/// Optional white space (RFC 9110 \xa75.6.3).
pub(super) fn is_ows(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

/// The text at a place among the headers. It is read here alone, whether the body is opened or not: two readings would be two workspaces.
///
/// # Errors
///
/// The place is there twice, or is not UTF-8.
pub fn text_in_headers<'s>(headers: &'s HeaderMap, place: &Place) -> Text<'s> {
    match place {
        Place::Header(header) => Ok(header_text(headers, header)?.map(Cow::Borrowed)),
        Place::Bearer(header) => {
            let bearer = header_text(headers, header)?.and_then(|text| {
                let (scheme, token) = text.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(is_ows))
            });
            Ok(bearer.map(Cow::Borrowed))
        }
        Place::Cookie(cookie) => cookie_text(headers, cookie),
        Place::Document(_) | Place::Body(_) | Place::Field(_) | Place::Query(_) | Place::Path(_) => Ok(None),
    }
}

fn text_below<'s>(value: &'s Value<'_>, names: &[String]) -> Text<'s> {
    match names.iter().try_fold(value, |at, name| at.member(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => found.as_id().map(|text| Some(Cow::Borrowed(text))).ok_or(EnvelopeError::PlaceNotText),
    }
}

/// The one that there is. Of two, this backend takes the first and that one the last.
fn only<'s>(mut texts: impl Iterator<Item = Cow<'s, str>>) -> Text<'s> {
    match (texts.next(), texts.next()) {
        (text, None) => Ok(text),
        (_, Some(_)) => Err(EnvelopeError::PlaceTwice),
    }
}

fn header_text<'s>(headers: &'s HeaderMap, name: &str) -> Result<Option<&'s str>, EnvelopeError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_| EnvelopeError::NotUtf8)?;
            Ok(Some(text.trim_matches(is_ows)))
        }
        (Some(_), Some(_)) => Err(EnvelopeError::PlaceTwice),
    }
}

/// RFC 6265 §4.2.1; HTTP/2 may cut the header into several (RFC 9113 §8.2.3).
fn cookie_text<'s>(headers: &'s HeaderMap, name: &str) -> Text<'s> {
    let mut found = None;
    for header in headers.get_all(COOKIE) {
        let crumbs = header.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        for crumb in crumbs {
            let value = crumb.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            let Some(value) = value else { continue };
            if found.is_some() {
                return Err(EnvelopeError::PlaceTwice);
            }
            found = Some(Cow::Borrowed(std::str::from_utf8(value).map_err(|_| EnvelopeError::NotUtf8)?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::shapes::user_data;
    use super::super::fixtures::{body, operation, ping, place, with};
    use super::*;
    use crate::profile::Body;

    #[track_caller]
    fn check(
        operation: &crate::profile::Operation,
        body: &str,
        at: &str,
        expected: Result<Option<&str>, EnvelopeError>,
    ) {
        let query = "website_token=w%20t&jwt=j&a=1&a=2";
        let text = with(operation, query, body.as_bytes(), |envelope| {
            envelope.text_at(&place(at)).map(|text| text.map(Cow::into_owned))
        });
        assert_eq!(text, Ok(expected.map(|text| text.map(str::to_owned))), "{at} {body}");
    }

    #[test]
    fn each_kind_of_place_is_read() {
        let form =
            "app_id=x%20y&user_data=%7B%22user_id%22:9007199254740993,%22c%22:%7B%22d%22:%22e%22%7D,%22n%22:null%7D";
        check(&ping(), form, "field:app_id", Ok(Some("x y")));
        check(&ping(), form, "field:user_id", Ok(None));
        check(&ping(), form, "field:user_data", Ok(None));
        check(&ping(), form, "document:user_id", Ok(Some("9007199254740993")));
        check(&ping(), form, "document:/c/d", Ok(Some("e")));
        check(&ping(), form, "document:n", Ok(None));
        check(&ping(), form, "document:/user_id/x", Ok(None));
        check(&ping(), form, "body:/app_id", Ok(None));
        check(&ping(), form, "query:website_token", Ok(Some("w t")));
        check(&ping(), form, "query:none", Ok(None));
        check(&ping(), form, "bearer:authorization", Ok(Some("abc")));
        check(&ping(), form, "bearer:x-user", Ok(None));
        check(&ping(), form, "header:x-user", Ok(Some("7")));
        check(&ping(), form, "header:x-other", Ok(None));
        check(&ping(), form, "cookie:session", Ok(Some("xyz")));
        check(&ping(), form, "cookie:sess", Ok(None));
        check(&ping(), form, "path:id", Ok(Some("c\u{e9}")));
        check(&ping(), form, "path:other", Ok(None));
        let json = operation(Body::Json, vec![body("/contact", user_data())]);
        check(&json, r#"{"contact":{"user_id":"u"},"app":7}"#, "body:/app", Ok(Some("7")));
        check(&json, r#"{"contact":{"user_id":"u"},"app":7}"#, "document:user_id", Ok(Some("u")));
        check(&json, r#"{"contact":{"user_id":"u"},"app":7}"#, "field:app", Ok(None));
    }

    #[test]
    fn twice_disagreeing_and_not_text_are_errors() {
        check(&ping(), "a=1", "query:a", Err(EnvelopeError::PlaceTwice));
        check(&ping(), "a=1&a=1", "field:a", Err(EnvelopeError::PlaceTwice));
        check(&ping(), "a=1", "header:cookie", Err(EnvelopeError::PlaceTwice));
        check(&ping(), "a=1", "cookie:twice", Err(EnvelopeError::PlaceTwice));
        for value in ["true", "[]", "%7B%7D"] {
            let form = format!("user_data=%7B%22user_id%22:{value}%7D");
            check(&ping(), &form, "document:user_id", Err(EnvelopeError::PlaceNotText));
        }
        let two = |a, b| format!("user_data[user_id]={a}&form_params[identifier]=x&form_params[user_id]={b}");
        check(&ping(), &two("7", "7"), "document:user_id", Ok(Some("7")));
        check(&ping(), &two("7", "8"), "document:user_id", Err(EnvelopeError::PlacesDisagree));
    }

    #[test]
    fn texts_come_in_the_order_of_the_places() {
        let places = [place("query:jwt"), place("field:none"), place("header:x-user")];
        let texts = with(&ping(), "jwt=j", b"a=1", |envelope| {
            envelope.texts_at(&places).map(|texts| texts.iter().map(ToString::to_string).collect::<Vec<_>>())
        });
        assert_eq!(texts, Ok(Ok(vec!["j".to_owned(), "7".to_owned()])));
    }
}
