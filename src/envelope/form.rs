//! `application/x-www-form-urlencoded` (WHATWG URL §5), read strictly: the standard replaces what it cannot decode, we refuse it.

use std::borrow::Cow;

use super::EnvelopeError;
use crate::policy::Limits;

/// A name and its value, decoded.
pub(super) type Pair<'r> = (Cow<'r, str>, Cow<'r, str>);

/// Cuts `text` into pairs, in their order. Empty pieces between two `&` are nothing, as the standard has it.
pub(super) fn read<'r>(text: &'r [u8], limits: &Limits) -> Result<Vec<Pair<'r>>, EnvelopeError> {
    let mut pairs = Vec::new();
    for piece in text.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()) {
        if pairs.len() >= limits.form_fields_max {
            return Err(EnvelopeError::TooManyFields);
        }
        let mut halves = piece.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next().unwrap_or_default())?;
        let value = decode(halves.next().unwrap_or_default())?;
        if name.len() > limits.name_bytes_max {
            return Err(EnvelopeError::NameTooLong);
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decode(text: &[u8]) -> Result<Cow<'_, str>, EnvelopeError> {
    let decoded = if text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        let mut decoded = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'%' | b'+')) {
            let (plain, coded) = rest.split_at(at);
            decoded.extend_from_slice(plain);
            rest = match coded {
                [b'%', high, low, rest @ ..] => {
                    decoded.push(hex_digit(*high)? << 4 | hex_digit(*low)?);
                    rest
                }
                [b'+', rest @ ..] => {
                    decoded.push(b' ');
                    rest
                }
                _ => return Err(EnvelopeError::Percent),
            };
        }
        decoded.extend_from_slice(rest);
        Cow::Owned(String::from_utf8(decoded).map_err(|_| EnvelopeError::NotUtf8)?)
    } else {
        Cow::Borrowed(std::str::from_utf8(text).map_err(|_| EnvelopeError::NotUtf8)?)
    };
    // Where a backend's strings end at a NUL, the name or value would be another one than we judged.
    if decoded.contains('\0') { Err(EnvelopeError::Nul) } else { Ok(decoded) }
}

fn hex_digit(byte: u8) -> Result<u8, EnvelopeError> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(EnvelopeError::Percent),
    }
}

/// Appends one pair in the standard's own spelling.
pub(super) fn write(name: &str, value: &[u8], out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'&');
    }
    encode(name.as_bytes(), out);
    out.push(b'=');
    encode(value, out);
}

fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    form_urlencoded::byte_serialize(bytes).for_each(|piece| out.extend_from_slice(piece.as_bytes()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str)], EnvelopeError>) {
        let pairs = read(text.as_bytes(), &Limits::default());
        let pairs = pairs.as_ref().map(|pairs| pairs.iter().map(|(name, value)| (&**name, &**value)).collect());
        assert_eq!(pairs, expected.as_ref().map(|expected| expected.to_vec()), "{text}");
    }

    #[test]
    fn pairs_are_decoded_in_their_order() {
        check("", Ok(&[]));
        check("a=1&b=2&a=3", Ok(&[("a", "1"), ("b", "2"), ("a", "3")]));
        check("&&a=1&&", Ok(&[("a", "1")]));
        check("a", Ok(&[("a", "")]));
        check("=x", Ok(&[("", "x")]));
        check("a=b=c", Ok(&[("a", "b=c")]));
        check("a+b=%2B+%20", Ok(&[("a b", "+  ")]));
        check("%61=%C3%a9", Ok(&[("a", "\u{e9}")]));
        check("a=\u{e9}", Ok(&[("a", "\u{e9}")]));
        check("a;b=1;c", Ok(&[("a;b", "1;c")]));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "%=1", "a=%+1", "a=%%41"] {
            check(text, Err(EnvelopeError::Percent));
        }
        for text in ["a=%ff", "%c0%af=1", "a=%ed%a0%80"] {
            check(text, Err(EnvelopeError::NotUtf8));
        }
        check("a%00=1", Err(EnvelopeError::Nul));
        check("a=1%00", Err(EnvelopeError::Nul));
        assert_eq!(read(b"a=\xff", &Limits::default()), Err(EnvelopeError::NotUtf8));
    }

    #[test]
    fn fields_and_names_have_limits() {
        let limits = Limits { form_fields_max: 2, name_bytes_max: 2, ..Limits::default() };
        assert!(read(b"aa=1&b=2", &limits).is_ok());
        assert_eq!(read(b"a=1&b=2&c=3", &limits), Err(EnvelopeError::TooManyFields));
        assert_eq!(read(b"aaa=1", &limits), Err(EnvelopeError::NameTooLong));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_alike_here_and_elsewhere(pairs in proptest::collection::vec(("[^\0]{0,8}", "[^\0]{0,8}"), 0..5)) {
            let mut out = Vec::new();
            for (name, value) in &pairs {
                write(name, value.as_bytes(), &mut out);
            }
            let ours: Vec<(String, String)> = read(&out, &Limits::default()).expect("a form").into_iter()
                .map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            let theirs: Vec<(String, String)> = form_urlencoded::parse(&out).into_owned().collect();
            prop_assert_eq!(&ours, &pairs);
            prop_assert_eq!(&theirs, &pairs);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes, &Limits::default());
        }
    }
}
