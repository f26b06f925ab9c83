//! JSON: a strict reader and the one writer.
//!
//! `jiter` cuts the text into tokens; what this file adds is everything in which two readers might differ: it refuses a name twice, a
//! lone surrogate, a byte order mark, a NUL, a number that overflows, and whatever is deeper, longer or more than the limits allow. Numbers
//! are kept as they were written. It knows no document, attribute or policy.

use std::borrow::Cow;
use std::collections::HashSet;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, Peek};

use crate::decision::{Entry, Value};
use crate::policy::Limits;

/// Why a text is not the JSON that we read (RFC 8259, and RFC 7493 where the two leave room).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("the text begins with a byte order mark")]
    ByteOrderMark,
    #[error("the text is no JSON")]
    Syntax,
    #[error("bytes follow the value")]
    TrailingBytes,
    #[error("an object has a name twice")]
    NameTwice,
    #[error("a text has half a surrogate pair")]
    LoneSurrogate,
    #[error("a text has a NUL")]
    Nul,
    #[error("a number is beyond what a double can hold")]
    NumberOutOfRange,
    #[error("values are nested too deeply")]
    TooDeep,
    #[error("there are too many values")]
    TooManyValues,
    #[error("a name is too long")]
    NameTooLong,
    #[error("a text is too long")]
    TextTooLong,
    #[error("a number is too long")]
    NumberTooLong,
}

/// However deep a policy lets values nest, this is where the stack, and the second reader's own limit, say no.
pub(super) const DEPTH_CEILING: usize = 100;

/// Reads one JSON value.
///
/// # Errors
///
/// Whatever is no JSON, or is JSON that two readers may read differently, or exceeds `limits`.
pub fn read<'t>(text: &'t [u8], limits: &Limits) -> Result<Value<'t>, JsonError> {
    // UTF-8 throughout: then every token is a slice of a `str`, and what cannot be text never reaches the tokeniser.
    let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let mut reader = Reader { text, tokens: Jiter::new(text.as_bytes()), limits, values_left: limits.json_values_max };
    let peek = reader.tokens.peek().map_err(|error| refused(&error))?;
    let value = reader.value(peek, limits.json_depth_max.min(DEPTH_CEILING))?;
    reader.tokens.finish().map_err(|error| refused(&error))?;
    Ok(value)
}

struct Reader<'t, 'l> {
    text: &'t str,
    tokens: Jiter<'t>,
    limits: &'l Limits,
    values_left: usize,
}

impl<'t> Reader<'t, '_> {
    fn value(&mut self, peek: Peek, depth_left: usize) -> Result<Value<'t>, JsonError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(JsonError::TooManyValues)?;
        match peek {
            Peek::String => self.string().map(Value::Text),
            Peek::Object => self.object(depth_left.checked_sub(1).ok_or(JsonError::TooDeep)?),
            Peek::Array => self.list(depth_left.checked_sub(1).ok_or(JsonError::TooDeep)?),
            Peek::Null => self.tokens.known_null().map(|()| Value::Null).map_err(|error| refused(&error)),
            Peek::True | Peek::False => self.tokens.known_bool(peek).map(Value::Bool).map_err(|error| refused(&error)),
            _ => self.number(peek),
        }
    }

    fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        let text = self.tokens.known_str().map_err(|error| refused(&error))?;
        admit(text, self.limits.text_bytes_max, JsonError::TextTooLong)?;
        Ok(borrowed(self.text, text))
    }

    fn number(&mut self, peek: Peek) -> Result<Value<'t>, JsonError> {
        let start = self.tokens.current_index();
        self.tokens.known_number_bytes(peek).map_err(|error| refused(&error))?;
        let digits = self.text.get(start..self.tokens.current_index()).ok_or(JsonError::Syntax)?;
        if digits.len() > self.limits.number_bytes_max {
            return Err(JsonError::NumberTooLong);
        }
        if !is_number(digits.as_bytes()) {
            return Err(JsonError::Syntax);
        }
        // Some readers make `1e400` infinite, others refuse it: nobody knows what the backend would store.
        if may_overflow(digits) && !digits.parse().is_ok_and(f64::is_finite) {
            return Err(JsonError::NumberOutOfRange);
        }
        Ok(Value::Number(Cow::Borrowed(digits)))
    }

    fn list(&mut self, depth_left: usize) -> Result<Value<'t>, JsonError> {
        let mut items = Vec::new();
        let mut next = self.tokens.known_array().map_err(|error| refused(&error))?;
        while let Some(peek) = next {
            items.push(self.value(peek, depth_left)?);
            next = self.tokens.array_step().map_err(|error| refused(&error))?;
        }
        Ok(Value::List(items))
    }

    fn object(&mut self, depth_left: usize) -> Result<Value<'t>, JsonError> {
        // Room for the document's own members at once; for each of thousands of small objects within, a peer could make us hold much.
        let is_outermost = self.values_left + 1 == self.limits.json_values_max;
        let mut entries: Vec<Entry<'t>> = Vec::with_capacity(if is_outermost { FEW_NAMES } else { 0 });
        let mut name = self.tokens.known_object().map_err(|error| refused(&error))?;
        while let Some(spelled) = name {
            admit(spelled, self.limits.name_bytes_max, JsonError::NameTooLong)?;
            let spelled = borrowed(self.text, spelled);
            let peek = self.tokens.peek().map_err(|error| refused(&error))?;
            let value = self.value(peek, depth_left)?;
            entries.push((spelled, value));
            name = self.tokens.next_key().map_err(|error| refused(&error))?;
        }
        if has_name_twice(&entries) { Err(JsonError::NameTwice) } else { Ok(Value::Object(entries)) }
    }
}

/// The unescaped `text` of a string: lent by the source, where the tokeniser found no escape and lent it itself.
fn borrowed<'t>(source: &'t str, text: &str) -> Cow<'t, str> {
    let start = text.as_ptr().addr().wrapping_sub(source.as_ptr().addr());
    match source.get(start..start.wrapping_add(text.len())) {
        Some(lent) if std::ptr::eq(lent, text) => Cow::Borrowed(lent),
        Some(_) | None => Cow::Owned(text.to_owned()),
    }
}

fn admit(text: &str, bytes_max: usize, too_long: JsonError) -> Result<(), JsonError> {
    if text.len() > bytes_max {
        return Err(too_long);
    }
    // A backend in C ends the text there, so it would read a shorter name or value than we judged.
    if memchr::memchr(0, text.as_bytes()).is_some() { Err(JsonError::Nul) } else { Ok(()) }
}

/// Below this many names it is quicker to look at each than to hash them.
const FEW_NAMES: usize = 16;

/// Whether a name appears twice: readers keep the first, the last, or both, so a second is an error (RFC 8259 §4).
fn has_name_twice(entries: &[Entry<'_>]) -> bool {
    if entries.len() > FEW_NAMES {
        let mut seen = HashSet::with_capacity(entries.len());
        return !entries.iter().all(|(name, _)| seen.insert(&**name));
    }
    let mut rest = entries;
    while let Some(((name, _), others)) = rest.split_first() {
        if others.iter().any(|(other, _)| other == name) {
            return true;
        }
        rest = others;
    }
    false
}

/// The grammar of RFC 8259 §6, to the letter.
fn is_number(digits: &[u8]) -> bool {
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    let rest = match digits {
        [b'0', rest @ ..] => rest,
        [b'1'..=b'9', ..] => after_digits(digits),
        _ => return false,
    };
    let rest = match rest {
        [b'.', fraction @ ..] if starts_with_digit(fraction) => after_digits(fraction),
        rest => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', exponent @ ..] => {
            let exponent = match exponent {
                [b'+' | b'-', exponent @ ..] => exponent,
                exponent => exponent,
            };
            starts_with_digit(exponent) && after_digits(exponent).is_empty()
        }
        _ => false,
    }
}

fn starts_with_digit(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_digit)
}

fn after_digits(bytes: &[u8]) -> &[u8] {
    let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    bytes.get(count..).unwrap_or_default()
}

/// The greatest double has 309 digits before its point.
const DIGITS_OF_DOUBLE: usize = 308;

fn may_overflow(digits: &str) -> bool {
    digits.len() > DIGITS_OF_DOUBLE || digits.contains(['e', 'E'])
}

fn refused(error: &JiterError) -> JsonError {
    match &error.error_type {
        JiterErrorType::JsonError(
            JsonErrorType::LoneLeadingSurrogateInHexEscape | JsonErrorType::UnexpectedEndOfHexEscape,
        ) => JsonError::LoneSurrogate,
        JiterErrorType::JsonError(JsonErrorType::TrailingCharacters) => JsonError::TrailingBytes,
        JiterErrorType::JsonError(_) | JiterErrorType::WrongType { .. } => JsonError::Syntax,
    }
}

/// Writes `value` in the one spelling that leaves this gateway: no white space, only the escapes that RFC 8259 §7 demands, numbers as they
/// were written.
pub fn write(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => write_list(items.iter(), out, write),
        Value::Object(entries) => {
            write_object(entries.iter().map(|(name, value)| (&**name, value)), out, write);
        }
    }
}

pub(super) fn write_list<T>(items: impl Iterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

pub(super) fn write_object<'n, T>(
    entries: impl Iterator<Item = (&'n str, T)>,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    out.push(b'{');
    for (index, (name, value)) in entries.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut plain = text.as_bytes();
    while let Some(at) = first_escaped(plain) {
        let (before, rest) = plain.split_at(at);
        out.extend_from_slice(before);
        let Some((byte, rest)) = rest.split_first() else { break };
        let short = match byte {
            b'"' | b'\\' => Some(*byte),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0x08 => Some(b'b'),
            0x0c => Some(b'f'),
            _ => None,
        };
        if let Some(short) = short {
            out.extend_from_slice(&[b'\\', short]);
        } else {
            out.extend_from_slice(b"\\u00");
            out.extend([byte >> 4, byte & 0xf].iter().filter_map(|digit| HEX.get(usize::from(*digit))));
        }
        plain = rest;
    }
    out.extend_from_slice(plain);
    out.push(b'"');
}

/// Where the first byte is that cannot stand in a text as it is. Most texts have none, so that they are looked at in blocks, which a processor
/// compares at once.
fn first_escaped(text: &[u8]) -> Option<usize> {
    const BLOCK_BYTES: usize = 16;
    let is_escaped = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let clean = text
        .chunks_exact(BLOCK_BYTES)
        .take_while(|block| !block.iter().fold(false, |any, byte| any | is_escaped(*byte)));
    let skipped = clean.count() * BLOCK_BYTES;
    text.get(skipped..)?.iter().position(|byte| is_escaped(*byte)).map(|at| skipped + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use struson::reader::{JsonReader, JsonStreamReader, ReaderSettings};

    use super::*;

    const READ: Result<(), JsonError> = Ok(());

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expected: Result<(), JsonError>) {
        let text = text.as_ref();
        let read = read(text, &Limits::default()).map(drop);
        assert_eq!(read, expected, "{}", text.escape_ascii());
        // What is no JSON to us must be none to two other readers, and what we read they must read too. What we refuse on top of the
        // grammar they may take.
        let theirs = (struson_reads(text), serde_json_reads(text));
        match expected {
            Ok(()) => assert_eq!(theirs, (true, true), "{}", text.escape_ascii()),
            Err(
                JsonError::Syntax
                | JsonError::TrailingBytes
                | JsonError::NotUtf8
                | JsonError::ByteOrderMark
                | JsonError::LoneSurrogate,
            ) => assert_eq!(theirs, (false, false), "{}", text.escape_ascii()),
            Err(_) => {}
        }
    }

    fn struson_reads(text: &[u8]) -> bool {
        let settings = ReaderSettings { restrict_number_values: false, ..ReaderSettings::default() };
        let mut reader = JsonStreamReader::new_custom(text, settings);
        let mut writer = struson::writer::JsonStreamWriter::new(std::io::sink());
        reader.transfer_to(&mut writer).is_ok() && reader.consume_trailing_whitespace().is_ok()
    }

    fn serde_json_reads(text: &[u8]) -> bool {
        std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<serde_json::Value>(text).is_ok())
    }

    #[test]
    #[rustfmt::skip]
    fn what_is_json_is_read() {
        for text in [
            "null", "true", "false", "0", "-0", "1", "-1", "10", "0.5", "-0.5", "1.10", "1e5", "1E5", "1e+5", "1e-5",
            "0e0", "0e+1", "0.0e0", "123456789012345678901234567890", "9007199254740993", "4.9e-324", r#""""#,
            r#""a""#, r#""\"\\\/\b\f\n\r\t""#, r#""\u0041""#, r#""\u00e9\u00E9""#, r#""\ud834\udd1e""#, r#""\u0001""#,
            r#""\uffff""#, "\"\u{7f}\"", "\"\u{e9}\u{1d11e}\u{2028}\"", "[]", "[ ]", "[1]", "[1,2]", "[[],[[]]]",
            r#"[null,true,false,"",0,{}]"#, "{}", "{ }", r#"{"":0}"#, r#"{"a":1}"#, r#"{"a":{"a":1}}"#,
            r#"{"a":1,"A":2}"#, r#"{"a" : [ 1 , 2 ] , "b":"c"}"#, " \t\r\n1 \t\r\n", r#"{"a\"b":1}"#, r#"{"\\":1}"#,
            r#"{"\u0061":1}"#, r#"[{"a":1},{"a":1}]"#,
        ] {
            check(text, READ);
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_is_no_json_is_refused() {
        for text in [
            "", " ", "nul", "nulll ", "Null", "TRUE", "tru", "truth", "undefined", "NaN", "Infinity", "-Infinity", "-NaN",
            "inf", "01", "-01", "00", "1.", ".1", "-.1", "+1", "-", "--1", "- 1", "1e", "1e+", "1E-", "0e", "1.e1",
            "1.2.3", "1e1.5", "1_000", "0x1", "1a", "\u{ff11}", "\"", "\"a", "a\"", "'a'", r#""\x""#, r#""\u12""#,
            r#""\u12g4""#, r#""\U0041""#, "\"\\", r#""\'""#, "\"\t\"", "\"\n\"", "\"\0\"", "\"\u{1f}\"", "[", "]", "[1",
            "[1,", "[,]", "[,1]", "[1,]", "[1,,2]", "[1 2]", "[1;2]", "[1}", "{", "}", "{a:1}", "{1:1}", "{'a':1}",
            r#"{"a"}"#, r#"{"a":}"#, r#"{"a" 1}"#, r#"{"a":1"#, r#"{"a":1,}"#, "{,}", r#"{,"a":1}"#, r#"{"a":1,,"b":2}"#,
            r#"{"a":1 "b":2}"#, r#"{"a"::1}"#, "{null:1}", r#"{"a":1]"#, r#"{"a":1,"b""#, r#"{"a":01}"#, "[1/**/]",
            "//\n1", "# a\n1", "[\u{a0}1]", "\u{c}1", "\u{b}1", "[1\0]", "[1\0,2]", "(1)", "<1>", "[tru]", "[-]", "[1.]",
            "[\u{2060}1]",
        ] {
            let read = read(text.as_bytes(), &Limits::default()).map(drop);
            assert!(matches!(read, Err(JsonError::Syntax | JsonError::TrailingBytes)), "{text:?}: {read:?}");
            check(text, read);
        }
    }

    #[test]
    fn one_value_and_nothing_behind_it() {
        for text in ["1 2", "{}{}", "[]]", "{} x", "null,", "1\0", r#""a""b""#, "{}\u{a0}"] {
            check(text, Err(JsonError::TrailingBytes));
        }
    }

    #[test]
    fn a_name_twice_is_refused_at_any_depth_and_in_any_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"":1,"":2}"#,
            r#"[[{"x":{"a":1,"a":2}}]]"#,
            "{\"\\u00e9\":1,\"\u{e9}\":2}",
        ] {
            check(text, Err(JsonError::NameTwice));
        }
        let many: Vec<String> = (0..1000).map(|index| format!("\"n{index}\":{index}")).collect();
        check(format!("{{{}}}", many.join(",")), READ);
        check(format!("{{{},\"n500\":0}}", many.join(",")), Err(JsonError::NameTwice));
    }

    #[test]
    fn text_is_unicode_or_refused() {
        for text in [
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\udc00\ud800""#,
            r#""\ud800x""#,
            r#""\ud834\n""#,
            r#"{"\ud800":1}"#,
        ] {
            check(text, Err(JsonError::LoneSurrogate));
        }
        for text in [
            &b"\"\xff\""[..],
            b"\"\xc0\xaf\"",
            b"\"\xed\xa0\x80\"",
            b"\"\xf4\x90\x80\x80\"",
            b"\"\xe2\x82\"",
            b"{\"\xff\":1}",
            b"\xfe\xff\0\"\0a\0\"",
        ] {
            check(text, Err(JsonError::NotUtf8));
        }
        check("\u{feff}{}", Err(JsonError::ByteOrderMark));
        check("\"\u{feff}\"", READ);
    }

    #[test]
    fn a_nul_ends_no_name_and_no_text() {
        check(r#""\u0000""#, Err(JsonError::Nul));
        check(r#"{"plan\u0000x":1}"#, Err(JsonError::Nul));
        check(r#"{"a":["b\u0000"]}"#, Err(JsonError::Nul));
        check(r#""\\u0000""#, READ);
    }

    #[test]
    fn numbers_beyond_a_double_are_refused() {
        check("1e309", Err(JsonError::NumberOutOfRange));
        check("-1E400", Err(JsonError::NumberOutOfRange));
        check("1.7976931348623157e308", READ);
        let wide = Limits { number_bytes_max: 1000, ..Limits::default() };
        assert_eq!(read("9".repeat(400).as_bytes(), &wide).map(drop), Err(JsonError::NumberOutOfRange));
        assert_eq!(read("9".repeat(300).as_bytes(), &wide).map(drop), READ);
    }

    #[test]
    fn each_limit_lets_its_number_pass_and_refuses_one_more() {
        let limits = Limits {
            json_depth_max: 2,
            json_values_max: 4,
            name_bytes_max: 3,
            text_bytes_max: 3,
            number_bytes_max: 3,
            ..Limits::default()
        };
        for (fits, exceeds, error) in [
            ("[[1]]", "[[[]]]", JsonError::TooDeep),
            ("[1,2,3]", "[1,2,3,4]", JsonError::TooManyValues),
            (r#"{"abc":1}"#, r#"{"abcd":1}"#, JsonError::NameTooLong),
            (r#""ab\n""#, r#""abcd""#, JsonError::TextTooLong),
            ("123", "1234", JsonError::NumberTooLong),
        ] {
            assert_eq!(read(fits.as_bytes(), &limits).map(drop), READ, "{fits}");
            assert_eq!(read(exceeds.as_bytes(), &limits).map(drop), Err(error), "{exceeds}");
        }
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let lax = Limits { json_depth_max: usize::MAX, ..Limits::default() };
        assert_eq!(read(deep(DEPTH_CEILING).as_bytes(), &lax).map(drop), READ);
        assert_eq!(read(deep(DEPTH_CEILING + 1).as_bytes(), &lax).map(drop), Err(JsonError::TooDeep));
        assert_eq!(read("[".repeat(1_000_000).as_bytes(), &lax).map(drop), Err(JsonError::TooDeep));
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let text = r#"{"plain":"plain","esc\u0061ped":"\n"}"#;
        let Ok(Value::Object(entries)) = read(text.as_bytes(), &Limits::default()) else { panic!("an object") };
        assert!(matches!(entries[0], (Cow::Borrowed("plain"), Value::Text(Cow::Borrowed("plain")))));
        assert!(
            matches!(&entries[1], (Cow::Owned(name), Value::Text(Cow::Owned(text))) if name == "escaped" && text == "\n")
        );
    }

    #[track_caller]
    fn rewrites(text: &str, expected: &str) {
        let mut out = Vec::new();
        write(&read(text.as_bytes(), &Limits::default()).expect("JSON"), &mut out);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn there_is_one_spelling_on_the_way_out() {
        rewrites(
            r#" { "b" : [ 1.10 , -0 , 1E5, 9007199254740993 ] , "a" : null } "#,
            r#"{"b":[1.10,-0,1E5,9007199254740993],"a":null}"#,
        );
        rewrites(
            r#""\u0041\/\u00e9\ud834\udd1e\u001F\u007f\b\f\n\r\t\"\\<""#,
            "\"A/\u{e9}\u{1d11e}\\u001f\u{7f}\\b\\f\\n\\r\\t\\\"\\\\<\"",
        );
        rewrites(r#"[[],{},true,false,""]"#, r#"[[],{},true,false,""]"#);
    }

    fn values() -> impl Strategy<Value = Value<'static>> {
        let text = "[a-c\"\\\\\u{1}\u{e9}\u{1d11e}]{0,4}";
        let digits = "-?(0|[1-9][0-9]{0,18})([.][0-9]{1,4})?([eE][+-]?[0-9]{1,2})?";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            digits.prop_map(|digits| Value::Number(digits.into())),
            text.prop_map(|text| Value::Text(text.into())),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                proptest::collection::btree_map(text, inner, 0..6).prop_map(|entries| {
                    Value::Object(entries.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_value(value in values()) {
            let mut out = Vec::new();
            write(&value, &mut out);
            prop_assert!(read(&out, &Limits::default()).as_ref() == Ok(&value));
            prop_assert!(struson_reads(&out) && serde_json_reads(&out));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes, &Limits::default());
        }

        #[test]
        fn what_looks_like_json_is_read_only_where_others_read_it(text in "[\\[\\]{}:,\"\\\\ u0d8a1.eE+-]{0,16}") {
            if read(text.as_bytes(), &Limits::default()).is_ok() {
                prop_assert!(struson_reads(text.as_bytes()) && serde_json_reads(text.as_bytes()), "{}", text);
            }
        }
    }
}
