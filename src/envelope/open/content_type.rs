//! The declared type of a body: exactly the operation's, or the request is refused.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::super::EnvelopeError;
use super::super::places::is_ows;

pub(super) const JSON: &str = "application/json";
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The declared type must be exactly the operation's: under another one the backend would read the same bytes another way.
pub(super) fn admit_type(headers: &HeaderMap, expected: &str) -> Result<(), EnvelopeError> {
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

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{headers, operation, ping, root_operation};
    use super::super::{Decoded, Wire};
    use super::*;
    use crate::policy::Limits;
    use crate::profile::{Body, Operation};

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
}
