//! Who may change something: whoever has the operator's token, and no web page.
//!
//! A browser on this machine reaches loopback too, and so do its other users. A page cannot set the header with the token without asking
//! first, and nobody answers it; another user does not have the token, which stands in a file that only its owner reads.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

/// The shortest token, in bytes: nobody can try so many.
pub const ADMIN_TOKEN_BYTES_MIN: usize = 32;

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminTokenError {
    #[error("expected at least {ADMIN_TOKEN_BYTES_MIN} bytes: make one with `openssl rand -hex 32`")]
    Short,
    #[error("expected visible ASCII characters, as a header can carry: make one with `openssl rand -hex 32`")]
    NotVisible,
}

/// What an operator's program shows. Kept as its SHA-256, so that a comparison takes as long for every text.
#[derive(Clone)]
pub struct AdminToken(digest::Digest);

impl AdminToken {
    /// The operator's token.
    ///
    /// # Errors
    ///
    /// It can be guessed, or no header can carry it.
    pub fn new(secret: &[u8]) -> Result<Self, AdminTokenError> {
        if !secret.iter().all(u8::is_ascii_graphic) {
            return Err(AdminTokenError::NotVisible);
        }
        if secret.len() < ADMIN_TOKEN_BYTES_MIN {
            return Err(AdminTokenError::Short);
        }
        Ok(Self(digest::digest(&digest::SHA256, secret)))
    }

    fn is(&self, shown: &[u8]) -> bool {
        let shown = digest::digest(&digest::SHA256, shown);
        constant_time::verify_slices_are_equal(self.0.as_ref(), shown.as_ref()).is_ok()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WriteRefusal {
    #[error("writing is off: set `token = {{ file = \"…\" }}` in `[admin]` of `gateway.toml` and start again")]
    Off,
    #[error("not for web pages")]
    Page,
    #[error("expected `Authorization: Bearer` with the token of `[admin]`")]
    Token,
    #[error("expected `Content-Type: application/json`")]
    ContentType,
}

impl WriteRefusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            WriteRefusal::Off | WriteRefusal::Page => StatusCode::FORBIDDEN,
            WriteRefusal::Token => StatusCode::UNAUTHORIZED,
            WriteRefusal::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Admits a request that reads or changes what only an operator may. `Host` and `Origin` were looked at before.
pub(super) fn admit(headers: &HeaderMap, token: Option<&AdminToken>) -> Result<(), WriteRefusal> {
    // Fetch Metadata (W3C): whatever a page does, a browser says so.
    if headers.keys().any(|name| name.as_str().starts_with("sec-fetch-")) {
        return Err(WriteRefusal::Page);
    }
    let token = token.ok_or(WriteRefusal::Off)?;
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else { return Err(WriteRefusal::Token) };
    // RFC 6750 §2.1; the scheme in any case (RFC 9110 §11.1).
    let (scheme, shown) = shown.as_bytes().split_first_chunk::<7>().ok_or(WriteRefusal::Token)?;
    if scheme.eq_ignore_ascii_case(b"bearer ") && token.is(shown) { Ok(()) } else { Err(WriteRefusal::Token) }
}

/// Admits a body of JSON alone: a page can send other types without asking first.
pub(super) fn admit_json(headers: &HeaderMap) -> Result<(), WriteRefusal> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else { return Err(WriteRefusal::ContentType) };
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    if essence.trim_ascii().eq_ignore_ascii_case(b"application/json") { Ok(()) } else { Err(WriteRefusal::ContentType) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HeaderName;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[track_caller]
    fn check(headers: &[(&'static str, &str)], expected: Result<(), WriteRefusal>) {
        let token = AdminToken::new(TOKEN.as_bytes()).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(admit(&map, Some(&token)), expected, "{headers:?}");
        assert!(admit(&map, None).is_err(), "without a token nobody may");
    }

    #[test]
    fn only_the_whole_token_opens() {
        let bearer = format!("Bearer {TOKEN}");
        check(&[("authorization", &bearer)], Ok(()));
        check(&[("authorization", &format!("bEARER {TOKEN}"))], Ok(()));
        for shown in [
            String::new(),
            TOKEN.to_owned(),
            "Bearer ".to_owned(),
            format!("Bearer  {TOKEN}"),
            format!("Bearer {TOKEN}0"),
            format!("Bearer {}", TOKEN.trim_start_matches('0')),
            format!("Bearer {}", TOKEN.to_uppercase()),
            format!("Basic {TOKEN}"),
        ] {
            check(&[("authorization", &shown)], Err(WriteRefusal::Token));
        }
        check(&[], Err(WriteRefusal::Token));
        check(&[("authorization", &bearer), ("authorization", &bearer)], Err(WriteRefusal::Token));
        check(&[("authorization", &bearer), ("sec-fetch-site", "same-origin")], Err(WriteRefusal::Page));
        check(&[("authorization", &bearer), ("sec-fetch-mode", "cors")], Err(WriteRefusal::Page));
    }

    #[test]
    fn a_token_is_long_and_fits_a_header() {
        assert!(AdminToken::new(TOKEN.as_bytes()).is_ok());
        assert_eq!(AdminToken::new(&TOKEN.as_bytes()[1..]).err(), Some(AdminTokenError::Short));
        assert_eq!(AdminToken::new(b"").err(), Some(AdminTokenError::Short));
        assert_eq!(AdminToken::new(&[b' '; 40]).err(), Some(AdminTokenError::NotVisible));
        assert_eq!(AdminToken::new("\u{e4}".repeat(40).as_bytes()).err(), Some(AdminTokenError::NotVisible));
    }

    #[test]
    fn a_body_is_json_and_says_so() {
        let is_json = |value: &str| {
            admit_json(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(value).unwrap())])).is_ok()
        };
        assert!(is_json("application/json") && is_json("Application/JSON; charset=utf-8"));
        for near in
            ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", "text/plain;application/json", ""]
        {
            assert!(!is_json(near), "{near}");
        }
        assert!(admit_json(&HeaderMap::new()).is_err());
    }
}
