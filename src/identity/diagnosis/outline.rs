//! What may be shown of a token: its header, the names of its claims, its times. Never another claim's value, and nothing of its signature.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::spans::moment;
use crate::decision::Value;
use crate::envelope::json;
use crate::identity::token_id::name_of;
use crate::identity::verdict::TimeClaim;
use crate::policy::Limits;

/// The header and payload of a token as bytes, where they can be decoded. Nobody vouches for either.
pub(super) struct Opened {
    header: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

impl Opened {
    /// A text of more than `token_bytes_max` is not opened, as the verifier does not open it.
    pub(super) fn of(text: &str, limits: &Limits) -> Self {
        let mut parts = text.split('.').filter(|_| text.len() <= limits.token_bytes_max);
        // Padding does not belong there. What stands before it is shown all the same, for that helps to find out whose token it is.
        let mut next = || parts.next().and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
        Self { header: next(), payload: next() }
    }

    pub(super) fn header(&self, limits: &Limits) -> Option<Value<'_>> {
        json::read(self.header.as_deref()?, limits).ok().filter(|header| header.as_object().is_some())
    }

    pub(super) fn claims(&self, limits: &Limits) -> Option<Value<'_>> {
        json::read(self.payload.as_deref()?, limits).ok().filter(|claims| claims.as_object().is_some())
    }
}

/// The `jti` that a token says it has, whoever signed it: for an operator who takes it back, and for nothing that serves.
#[must_use]
pub fn claimed_token_id(text: &str, limits: &Limits) -> Option<String> {
    let opened = Opened::of(text, limits);
    let claims = opened.claims(limits)?;
    name_of(&claims).map(str::to_owned)
}

/// What a token shows without being believed.
#[derive(Debug, Serialize)]
pub struct Outline {
    pub bytes: usize,
    pub parts: usize,
    /// The header's `alg`, `typ` and `kid` with their values; `null` where there is no such header.
    pub header: Option<BTreeMap<String, String>>,
    /// The names of the header's other members.
    pub header_others: Vec<String>,
    /// The names of the claims, in their order; `null` where there are no such claims.
    pub claims: Option<Vec<String>>,
    pub times: Vec<TimeOutline>,
}

/// A claim that is a time.
#[derive(Debug, Serialize)]
pub struct TimeOutline {
    pub name: &'static str,
    /// As it was written, where it may be shown.
    pub value: String,
    /// The date, where it is one.
    pub moment: Option<String>,
}

const SHOWN_WITH_VALUE: [&str; 3] = ["alg", "typ", "kid"];

impl Outline {
    /// Looks at a token whoever signed it.
    #[must_use]
    pub fn of(text: &str, limits: &Limits) -> Self {
        let opened = Opened::of(text, limits);
        let header = opened.header(limits);
        let claims = opened.claims(limits);
        let members = header.as_ref().and_then(Value::as_object);
        let with_value = |(name, _): &&(std::borrow::Cow<'_, str>, Value<'_>)| SHOWN_WITH_VALUE.contains(&&**name);
        Self {
            bytes: text.len(),
            parts: text.split('.').count(),
            header: members.map(|members| {
                let shown = members.iter().filter(with_value);
                shown.map(|(name, value)| (name.clone().into_owned(), text_or_kind(value))).collect()
            }),
            header_others: members
                .unwrap_or_default()
                .iter()
                .filter(|member| !with_value(member))
                .map(|(name, _)| harmless(name))
                .collect(),
            claims: claims
                .as_ref()
                .and_then(Value::as_object)
                .map(|claims| claims.iter().map(|(name, _)| harmless(name)).collect()),
            times: claims.iter().flat_map(times).collect(),
        }
    }
}

fn times(claims: &Value<'_>) -> impl Iterator<Item = TimeOutline> {
    [TimeClaim::Iat, TimeClaim::Nbf, TimeClaim::Exp].into_iter().filter_map(|claim| {
        let value = claims.member(claim.name())?;
        let moment = integer(value).map(moment);
        Some(TimeOutline { name: claim.name(), value: time_or_kind(value), moment })
    })
}

/// The whole number of a time.
pub(super) fn integer(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Number(digits) => digits.parse::<i64>().ok().map(i128::from),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => None,
    }
}

/// A time as it was written. A text is shown only where it could be a time: what else somebody put there is a claim's value like any other.
pub(super) fn time_or_kind(value: &Value<'_>) -> String {
    match value {
        Value::Number(digits) => digits.clone().into_owned(),
        Value::Text(text) if looks_like_a_time(text) => format!("\"{text}\""),
        Value::Text(_) | Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => kind(value).to_owned(),
    }
}

/// As long as `2026-11-18T12:26:40.123456789+00:00`.
const TIME_BYTES_MAX: usize = 35;

fn looks_like_a_time(text: &str) -> bool {
    let is_of_a_time =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b':' | b'.' | b'T' | b'Z' | b' ');
    text.len() <= TIME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(is_of_a_time)
}

/// A text of the header, or what stands in its place.
pub(super) fn text_or_kind(value: &Value<'_>) -> String {
    value.as_text().map_or_else(|| kind(value).to_owned(), harmless)
}

/// What a value is, and nothing of what it says.
pub(super) fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Names and ids of people are shorter.
const SHOWN_CHARS_MAX: usize = 64;

/// A name that a stranger chose, for a terminal: without what moves its cursor or paints it, and not without end.
pub(super) fn harmless(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{HEADER, encode, token};

    fn outline(payload: &str) -> Outline {
        Outline::of(&token(payload), &Limits::default())
    }

    #[test]
    fn names_and_times_are_shown_and_no_other_value() {
        let shown =
            outline(r#"{"user_id":"canary-1","exp":4102444800,"iat":1.5,"nbf":"canary-2","plan":["canary-3"]}"#);
        assert_eq!(shown.claims.as_deref().expect("claims"), ["user_id", "exp", "iat", "nbf", "plan"]);
        let times: Vec<_> = shown.times.iter().map(|time| (time.name, &*time.value, time.moment.as_deref())).collect();
        let exp = ("exp", "4102444800", Some("2100-01-01T00:00:00Z"));
        assert_eq!(times, [("iat", "1.5", None), ("nbf", "a text", None), exp]);
        let json = serde_json::to_string(&shown).expect("JSON");
        assert!(!json.contains("canary") && !format!("{shown:?}").contains("canary"), "{json}");
    }

    #[test]
    fn a_time_as_text_is_shown_where_it_could_be_one() {
        for (value, shown) in [
            (r#""1795000000""#, r#""1795000000""#),
            (r#""2026-11-18T12:26:40Z""#, r#""2026-11-18T12:26:40Z""#),
            (r#""tomorrow""#, "a text"),
            (r#""1795000000 canary""#, "a text"),
            (r#""00000000000000000000000000000000000000""#, "a text"),
            ("null", "null"),
        ] {
            assert_eq!(outline(&format!(r#"{{"exp":{value}}}"#)).times[0].value, shown, "{value}");
        }
    }

    #[test]
    fn a_header_is_shown_by_name_but_for_three() {
        let header = r#"{"alg":"HS256","kid":"a\u001b[31mb","typ":5,"jku":"https://canary.example","x":1}"#;
        let text = format!("{}.{}.AAAA", encode(header), encode("{}"));
        let shown = Outline::of(&text, &Limits::default());
        let members = [("alg", "HS256"), ("kid", "a\\u{1b}[31mb"), ("typ", "a number")];
        assert_eq!(shown.header, Some(members.map(|(name, value)| (name.to_owned(), value.to_owned())).into()));
        assert_eq!(shown.header_others, ["jku", "x"]);
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        let padded = format!("{}=.{}==.AA", encode(HEADER), encode(r#"{"exp":1}"#));
        let shown = Outline::of(&padded, &Limits::default());
        assert_eq!(shown.claims.as_deref().expect("claims"), ["exp"], "padding hides nothing");
        for text in ["", "canary", "canary.canary", "....", "e30.W10.AA"] {
            let shown = Outline::of(text, &Limits::default());
            assert!(shown.claims.is_none() && shown.times.is_empty(), "{text}");
        }
        let limits = Limits { token_bytes_max: 10, ..Limits::default() };
        assert!(Outline::of(&token("{}"), &limits).header.is_none());
    }

    #[test]
    fn a_name_without_end_is_cut() {
        assert_eq!(harmless(&"n".repeat(64)), "n".repeat(64));
        assert_eq!(harmless(&"n".repeat(65)), format!("{}…", "n".repeat(64)));
    }
}
