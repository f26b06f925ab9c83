//! The text of a token: three parts of base64url and a header (RFC 7515 §7.1), read strictly and not believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::verdict::TokenError;
use crate::decision::Value;
use crate::envelope::json;
use crate::policy::{Algorithm, Limits};

/// A token whose shape is right and whose signature nobody has looked at. Its payload cannot be read; see
/// [`TokenKeys::verify`](super::jwt::TokenKeys::verify).
pub(super) struct UnverifiedToken<'t> {
    /// What is signed: header, dot, payload, as they came.
    pub(super) message: &'t str,
    /// As it came, canonical base64url.
    pub(super) signature: &'t str,
    /// Decoded. For `jwt.rs` alone, which hands it on when the signature holds.
    pub(super) payload: Vec<u8>,
    /// What the header says the algorithm is; `None` where no key could have it (RFC 7518 §3.1). It chooses nothing: a key has its own, and this must be it.
    pub(super) algorithm: Option<Algorithm>,
    /// What the header says the key is. It is compared, and never part of a path, a query or a log.
    pub(super) key_id: Option<String>,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads a token's shape and header.
    ///
    /// # Errors
    /// [`TokenError::TooLarge`] before any work, and what is wrong with parts or header.
    pub(super) fn parse(text: &'t str, limits: &Limits) -> Result<Self, TokenError> {
        if text.len() > limits.token_bytes_max {
            return Err(TokenError::TooLarge);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let (mut decoded, mut room) = (Vec::with_capacity(payload.len()), Vec::with_capacity(signature.len()));
        // Only whether it can be decoded.
        decode(signature, &mut room)?;
        decode(payload, &mut decoded)?;
        let (algorithm, key_id) = if header == USUAL_HEADER {
            (Some(Algorithm::Hs256), None)
        } else {
            decode(header, &mut room)?;
            read_header(&json::read(&room, limits).map_err(|_| TokenError::Malformed)?)?
        };
        Ok(Self { message, signature, payload: decoded, algorithm, key_id })
    }
}

/// What most libraries write for HS256, `{"alg":"HS256","typ":"JWT"}`: known at sight.
const USUAL_HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// A part that is not empty. The engine refuses padding, white space, the standard alphabet (also a fourth part's dot), and bits behind the
/// end: one token has one spelling, so that a list of revoked or seen ones cannot be walked around.
fn decode(part: &str, into: &mut Vec<u8>) -> Result<(), TokenError> {
    if part.is_empty() {
        return Err(TokenError::Malformed);
    }
    into.clear();
    URL_SAFE_NO_PAD.decode_vec(part, into).map_err(|_| TokenError::Malformed)
}

/// The algorithm and the key's id of a header that asks for nothing else.
fn read_header(header: &Value<'_>) -> Result<(Option<Algorithm>, Option<String>), TokenError> {
    let (mut algorithm, mut key_id) = (None, None);
    for (name, value) in header.as_object().ok_or(TokenError::Malformed)? {
        match &**name {
            "alg" => algorithm = Some(Algorithm::named(text(value)?)),
            "kid" => key_id = Some(text(value)?.to_owned()),
            // `JWT` in any case (RFC 7519 §5.1). An `at+jwt` or `dpop+jwt` was signed for another purpose.
            "typ" if text(value)?.eq_ignore_ascii_case("JWT") => {}
            "typ" => return Err(TokenError::WrongType),
            "cty" => return Err(TokenError::Nested),
            "crit" => return Err(TokenError::CriticalHeader),
            "b64" => return Err(TokenError::UnencodedPayload),
            "jwk" | "jku" | "x5u" | "x5c" => return Err(TokenError::EmbeddedKey),
            // What is not understood is ignored (RFC 7515 §4): a thumbprint, a private name.
            _ => {}
        }
    }
    Ok((algorithm.ok_or(TokenError::Malformed)?, key_id))
}

fn text<'v>(value: &'v Value<'_>) -> Result<&'v str, TokenError> {
    value.as_text().ok_or(TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{HEADER, SECRET, encode, sign};

    #[track_caller]
    fn check(text: &str, expected: Result<(), TokenError>) {
        assert_eq!(UnverifiedToken::parse(text, &Limits::default()).map(|_| ()), expected, "{text}");
    }

    #[track_caller]
    fn check_header(header: &str, expected: Result<(), TokenError>) {
        check(&sign(header, "{}", SECRET), expected);
    }

    #[test]
    fn the_usual_header_is_what_it_is_taken_for() {
        assert_eq!(USUAL_HEADER, encode(HEADER));
        let (limits, bytes) = (Limits::default(), HEADER.as_bytes());
        let read = read_header(&json::read(bytes, &limits).expect("JSON"));
        assert_eq!(read, Ok((Some(Algorithm::Hs256), None)));
    }

    #[test]
    fn a_token_is_three_parts() {
        let (header, payload) = (encode(HEADER), encode("{}"));
        check(&format!("{header}.{payload}.AAAA"), Ok(()));
        for text in [
            String::new(),
            ".".into(),
            "..".into(),
            header.clone(),
            format!("{header}.{payload}"),
            format!("{header}.{payload}."),
            format!("{header}..AAAA"),
            format!(".{payload}.AAAA"),
            format!("{header}.{payload}.AAAA.AAAA"),
            format!("{header}.{payload}.AAAA."),
            format!("{header}.{payload}.AAAA.AAAA.AAAA"),
        ] {
            check(&text, Err(TokenError::Malformed));
        }
    }

    #[test]
    fn a_part_has_one_spelling() {
        let (header, payload) = (encode(HEADER), encode("{}"));
        // `AA` and `AB` decode to the same byte; only the first has no bits behind the end.
        check(&format!("{header}.{payload}.AA"), Ok(()));
        for signature in ["AB", "A", "AA==", "AA=", "AA ", " AA", "A A", "AA\n", "A+AA", "A/AA", "AA\0", "A\u{e4}A"] {
            check(&format!("{header}.{payload}.{signature}"), Err(TokenError::Malformed));
        }
        assert_eq!(payload, "e30");
        for payload in ["e31", "e30=", "e30\t"] {
            check(&format!("{header}.{payload}.AA"), Err(TokenError::Malformed));
        }
        check(&format!(" {header}.{payload}.AA"), Err(TokenError::Malformed));
    }

    #[test]
    fn one_byte_over_the_limit_is_too_large() {
        let text = sign(HEADER, "{}", SECRET);
        let limits = |token_bytes_max| Limits { token_bytes_max, ..Limits::default() };
        assert!(UnverifiedToken::parse(&text, &limits(text.len())).is_ok());
        let parsed = UnverifiedToken::parse(&text, &limits(text.len() - 1));
        assert_eq!(parsed.err(), Some(TokenError::TooLarge));
        check(&".".repeat(1024 * 1024), Err(TokenError::TooLarge));
    }

    #[test]
    fn a_header_is_one_strict_object() {
        check_header(r#"{"alg":"HS256"}"#, Ok(()));
        check_header(r#" { "alg" : "HS256" } "#, Ok(()));
        check_header(r#"{"\u0061lg":"HS256"}"#, Ok(()));
        for header in [
            "",
            "null",
            "[]",
            r#"["HS256"]"#,
            r#""HS256""#,
            r#"{"alg":"HS256"}x"#,
            r#"{"alg":"HS256",}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"HS256","\u0061lg":"none"}"#,
            r#"{"alg":"HS256","x":{"a":1,"a":2}}"#,
            "\u{feff}{\"alg\":\"HS256\"}",
        ] {
            check_header(header, Err(TokenError::Malformed));
        }
    }

    #[test]
    fn the_algorithm_is_a_text_and_so_is_the_key_id() {
        check_header(r#"{"alg":"HS256","kid":"web"}"#, Ok(()));
        check_header(r#"{"alg":"HS256","kid":""}"#, Ok(()));
        for header in [
            "{}",
            r#"{"ALG":"HS256"}"#,
            r#"{"alg":null}"#,
            r#"{"alg":256}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":"HS256","kid":1}"#,
            r#"{"alg":"HS256","kid":null}"#,
            r#"{"alg":"HS256","kid":["web"]}"#,
            r#"{"alg":"HS256","kid":{"id":"web"}}"#,
            r#"{"alg":"HS256","typ":null}"#,
        ] {
            check_header(header, Err(TokenError::Malformed));
        }
    }

    #[test]
    fn only_a_jwt_is_a_jwt() {
        for typ in ["JWT", "jwt", "Jwt"] {
            check_header(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), Ok(()));
        }
        for typ in ["at+jwt", "JWE", "JWT ", "", "application/jwt"] {
            check_header(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#), Err(TokenError::WrongType));
        }
    }

    #[test]
    fn a_header_that_asks_for_more_is_refused() {
        check_header(r#"{"alg":"HS256","x5t":"AAAA","private":true}"#, Ok(()));
        check_header(r#"{"alg":"HS256","crit":["exp"]}"#, Err(TokenError::CriticalHeader));
        check_header(r#"{"alg":"HS256","crit":[]}"#, Err(TokenError::CriticalHeader));
        check_header(r#"{"alg":"HS256","b64":false}"#, Err(TokenError::UnencodedPayload));
        check_header(r#"{"alg":"HS256","cty":"JWT"}"#, Err(TokenError::Nested));
        check_header(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#, Err(TokenError::EmbeddedKey));
        check_header(r#"{"alg":"HS256","jku":"https://evil.example/keys"}"#, Err(TokenError::EmbeddedKey));
        check_header(r#"{"alg":"HS256","x5u":"https://evil.example/cert"}"#, Err(TokenError::EmbeddedKey));
        check_header(r#"{"alg":"HS256","x5c":[]}"#, Err(TokenError::EmbeddedKey));
        check_header(r#"{"alg":"HS256","\u006awk":{}}"#, Err(TokenError::EmbeddedKey));
    }
}
