//! Where a text stops being a token.
//!
//! It looks again at what the verifier has refused already, part by part as a reader would, and says the first thing that is wrong.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::outline::{harmless, kind};
use crate::decision::Value;
use crate::envelope::JsonError;
use crate::envelope::json;
use crate::policy::Limits;

/// The parts of a token (RFC 7515 §7.1).
const PARTS: [&str; 3] = ["header", "payload", "signature"];

/// The parts of an encrypted token (RFC 7516 §7.1).
const PARTS_ENCRYPTED: usize = 5;

/// What is wrong with the shape of `text`, where something is.
pub(super) fn place(text: &str, limits: &Limits) -> Option<String> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Some(wrong_number(text, parts.len())) };
    let mut decoded = Vec::new();
    for (name, part) in PARTS.into_iter().zip([header, payload, signature]) {
        if part.is_empty() {
            return Some(format!("its {name} is empty"));
        }
        match URL_SAFE_NO_PAD.decode(part) {
            Ok(bytes) => decoded.push(bytes),
            Err(error) => return Some(format!("its {name} is not base64url: {}", undecodable(part, &error))),
        }
    }
    let [header, payload, _] = &decoded[..] else { return None };
    let wrong = read_object(header, "its header", limits).map_or_else(Some, |header| wrong_header(&header));
    wrong.or_else(|| read_object(payload, "its payload", limits).err())
}

fn wrong_number(text: &str, parts: usize) -> String {
    let expected = "expected three, with dots between them: header, payload, signature";
    let guess = match parts {
        PARTS_ENCRYPTED => "; five are an encrypted token, which no messenger's backend reads",
        _ if text.starts_with('{') => "; this is JSON, not yet signed",
        1 if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            "; 64 hexadecimal digits are a `user_hash`, which is another proof"
        }
        2 => "; the signature is missing, or the text was cut off",
        _ => "",
    };
    match parts {
        _ if text.is_empty() => "it is empty".to_owned(),
        1 => format!("it has one part, {expected}{guess}"),
        _ => format!("it has {parts} parts, {expected}{guess}"),
    }
}

/// Where base64url ends (RFC 4648 §5). A character is named only where it is one that people meet: a part may be the signature.
fn undecodable(part: &str, error: &DecodeError) -> String {
    if let Some(offset) = part.find('=') {
        return format!("padding (`=`) at offset {offset}; base64url in tokens has none");
    }
    match error {
        DecodeError::InvalidByte(offset, byte) => match byte {
            b'+' | b'/' => format!(
                "`{}` at offset {offset} is of the standard alphabet; tokens have `-` and `_`",
                char::from(*byte)
            ),
            b'\n' | b'\r' => format!("a line break at offset {offset}; was it pasted from several lines?"),
            b' ' | b'\t' => format!("white space at offset {offset}"),
            b'"' | b'\'' => format!("a quotation mark at offset {offset}"),
            b'%' => format!("`%` at offset {offset}; it is percent-encoded"),
            _ => format!("a character at offset {offset} that does not belong there"),
        },
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
            format!("no text has {} characters in it; it was cut off", part.len())
        }
        DecodeError::InvalidLastSymbol { offset, .. } => {
            format!("its last character, at offset {offset}, has bits behind the end; it was cut off or changed")
        }
    }
}

/// Reads what must be a JSON object; `name` is what the error calls it.
pub(in crate::identity) fn read_object<'b>(bytes: &'b [u8], name: &str, limits: &Limits) -> Result<Value<'b>, String> {
    let unread = |error| format!("{name} cannot be read: {}", unreadable(bytes, error));
    let value = json::read(bytes, limits).map_err(unread)?;
    match value.as_object() {
        Some(_) => Ok(value),
        None => Err(format!("{name} is {}, expected a JSON object", kind(&value))),
    }
}

/// What is wrong with the JSON, and where, as far as another reader stumbles there too: ours knows no lines.
fn unreadable(bytes: &[u8], error: JsonError) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(not_utf8) => return format!("{error}, from byte {} on", not_utf8.valid_up_to()),
    };
    if let (JsonError::NameTwice, Ok(Repeated(Some(name)))) = (error, serde_json::from_str(text)) {
        return format!("{error}: `{}`", harmless(&name));
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => error.to_string(),
        Err(place) => format!("{error}, line {}, column {}", place.line(), place.column()),
    }
}

/// The first name that an object has twice.
struct Repeated(Option<String>);

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(None))
    }
}

impl<'de> Visitor<'de> for Repeated {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let (mut names, mut repeated) = (Vec::<String>::new(), self.0);
        while let Some((name, IgnoredAny)) = members.next_entry()? {
            if repeated.is_none() && names.contains(&name) {
                repeated = Some(name);
            } else {
                names.push(name);
            }
        }
        Ok(Self(repeated))
    }
}

/// What a header must say, and as a text.
fn wrong_header(header: &Value<'_>) -> Option<String> {
    if header.member("alg").is_none() {
        return Some("its header has no `alg`".to_owned());
    }
    ["alg", "kid", "typ"].into_iter().find_map(|name| {
        let value = header.member(name)?;
        match value.as_text() {
            Some(_) => None,
            None => Some(format!("`{name}` of its header is {}, expected a text", kind(value))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{HEADER, SECRET, encode, sign};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(place(text, &Limits::default()).as_deref(), Some(expected), "{text}");
    }

    #[track_caller]
    fn check_signed(header: &str, payload: &str, expected: &str) {
        check(&sign(header, payload, SECRET), expected);
    }

    #[test]
    fn nothing_is_wrong_with_a_token() {
        for (header, payload) in [(HEADER, "{}"), (r#"{"alg":"none","crit":[]}"#, r#"{"a":{"b":[1]}}"#)] {
            assert_eq!(place(&sign(header, payload, SECRET), &Limits::default()), None);
        }
    }

    #[test]
    fn the_number_of_parts() {
        const THREE: &str = "expected three, with dots between them: header, payload, signature";
        check("", "it is empty");
        check("eyJhbGciOiJIUzI1NiJ9", &format!("it has one part, {THREE}"));
        let hash = "14255644703afde09642fd12b8e9d2f3727b47a90950fde862ce8fca029cbb34";
        check(
            hash,
            &format!("it has one part, {THREE}; 64 hexadecimal digits are a `user_hash`, which is another proof"),
        );
        check(hash.trim_start_matches('1'), &format!("it has one part, {THREE}"));
        check(r#"{"user_id":"user-42"}"#, &format!("it has one part, {THREE}; this is JSON, not yet signed"));
        check("e30.e30", &format!("it has 2 parts, {THREE}; the signature is missing, or the text was cut off"));
        check("e30.e30.AA.AA", &format!("it has 4 parts, {THREE}"));
        let encrypted = "; five are an encrypted token, which no messenger's backend reads";
        check("e30.e30.AA.AA.AA", &format!("it has 5 parts, {THREE}{encrypted}"));
    }

    #[test]
    fn an_empty_part_is_named() {
        check(".e30.AA", "its header is empty");
        check("e30..AA", "its payload is empty");
        check("e30.e30.", "its signature is empty");
    }

    #[test]
    fn where_base64url_ends() {
        let check_signature = |signature: &str, expected: &str| {
            let text = format!("{}.e30.{signature}", encode(HEADER));
            check(&text, &format!("its signature is not base64url: {expected}"));
        };
        check_signature("AA==", "padding (`=`) at offset 2; base64url in tokens has none");
        check_signature("AAA=", "padding (`=`) at offset 3; base64url in tokens has none");
        check_signature("A+AA", "`+` at offset 1 is of the standard alphabet; tokens have `-` and `_`");
        check_signature("AAA/", "`/` at offset 3 is of the standard alphabet; tokens have `-` and `_`");
        check_signature("AA\nA", "a line break at offset 2; was it pasted from several lines?");
        check_signature("AA A", "white space at offset 2");
        check_signature("AAAA\"", "a quotation mark at offset 4");
        check_signature("AA%2", "`%` at offset 2; it is percent-encoded");
        check_signature("A*AA", "a character at offset 1 that does not belong there");
        check_signature("AAAAA", "no text has 5 characters in it; it was cut off");
        check_signature("AB", "its last character, at offset 1, has bits behind the end; it was cut off or changed");
        check("e30=.e30.AA", "its header is not base64url: padding (`=`) at offset 3; base64url in tokens has none");
        check(&format!("{}.e3 0.AA", encode(HEADER)), "its payload is not base64url: white space at offset 2");
    }

    #[test]
    fn where_json_ends() {
        check_signed(r#"{"alg":}"#, "{}", "its header cannot be read: the text is no JSON, line 1, column 8");
        check_signed(HEADER, "{\n\"a\":1,\n}", "its payload cannot be read: the text is no JSON, line 3, column 1");
        check_signed(HEADER, "{} x", "its payload cannot be read: bytes follow the value, line 1, column 4");
        let twice = r#"{"plan":1,"a":{"b":1},"plan":2}"#;
        check_signed(HEADER, twice, "its payload cannot be read: an object has a name twice: `plan`");
        let twice_within = r#"{"plan":1,"a":{"b":1,"b":2}}"#;
        check_signed(HEADER, twice_within, "its payload cannot be read: an object has a name twice");
        check_signed(HEADER, "[]", "its payload is a list, expected a JSON object");
        check_signed(r#""HS256""#, "{}", "its header is a text, expected a JSON object");
        let text = format!("{}.{}.AA", encode(HEADER), URL_SAFE_NO_PAD.encode(b"{\"a\":\"\xe4\"}"));
        check(&text, "its payload cannot be read: the text is not UTF-8, from byte 6 on");
    }

    #[test]
    fn what_a_header_must_say() {
        check_signed("{}", "{}", "its header has no `alg`");
        check_signed(r#"{"alg":256}"#, "{}", "`alg` of its header is a number, expected a text");
        check_signed(r#"{"alg":"HS256","kid":null}"#, "{}", "`kid` of its header is null, expected a text");
        check_signed(r#"{"alg":"HS256","typ":["JWT"]}"#, "{}", "`typ` of its header is a list, expected a text");
    }
}
