//! `application/x-www-form-urlencoded` (WHATWG URL §5), read strictly: the standard replaces what it cannot decode, we refuse it.

use std::borrow::Cow;

use super::EnvelopeError;
use crate::policy::Limits;

/// A name and its value, decoded.
pub(super) type Pair<'r> = (Cow<'r, str>, Cow<'r, str>);

/// Cuts `text` into pairs, in their order. Empty pieces between two `&` are nothing, as the standard has it.
pub(super) fn read<'r>(text: &'r [u8], limits: &Limits) -> Result<Vec<Pair<'r>>, EnvelopeError> {
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = cut(rest, b'&');
        rest = after;
        if piece.is_empty() {
            continue;
        }
        if pairs.len() >= limits.form_fields_max {
            return Err(EnvelopeError::TooManyFields);
        }
        let (name, value) = cut(piece, b'=');
        let (name, value) = (decode(name)?, decode(value)?);
        if name.len() > limits.name_bytes_max {
            return Err(EnvelopeError::NameTooLong);
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// What stands before the first `mark`, and what behind it.
fn cut(text: &[u8], mark: u8) -> (&[u8], &[u8]) {
    let (before, from_mark) = text.split_at(memchr::memchr(mark, text).unwrap_or(text.len()));
    (before, from_mark.get(1..).unwrap_or_default())
}

fn decode(text: &[u8]) -> Result<Cow<'_, str>, EnvelopeError> {
    let decoded = if memchr::memchr2(b'%', b'+', text).is_some() {
        let decoded = decode_bytes(text).ok_or(EnvelopeError::Percent)?;
        Cow::Owned(String::from_utf8(decoded).map_err(|_| EnvelopeError::NotUtf8)?)
    } else {
        Cow::Borrowed(std::str::from_utf8(text).map_err(|_| EnvelopeError::NotUtf8)?)
    };
    // Where a backend's strings end at a NUL, the name or value would be another one than we judged.
    if memchr::memchr(0, decoded.as_bytes()).is_some() { Err(EnvelopeError::Nul) } else { Ok(decoded) }
}

/// `None`: a percent sign without two digits behind it.
fn decode_bytes(text: &[u8]) -> Option<Vec<u8>> {
    // Nothing decodes to more than it was.
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (plain, coded) = rest.split_at(plain_bytes(rest));
        decoded.extend_from_slice(plain);
        rest = coded;
        // What is encoded often comes in rows: `%22%3A%22` between a name and a text.
        loop {
            rest = match rest {
                [] => return Some(decoded),
                [b'%', high, low, rest @ ..] => {
                    let (high, low) = (HEX_DIGITS.get(usize::from(*high))?, HEX_DIGITS.get(usize::from(*low))?);
                    if *high > 0xf || *low > 0xf {
                        return None;
                    }
                    decoded.push(high << 4 | low);
                    rest
                }
                [b'%', ..] => return None,
                [b'+', rest @ ..] => {
                    decoded.push(b' ');
                    rest
                }
                [_, ..] => break,
            };
        }
    }
}

/// How many bytes stand for themselves before the first percent or plus sign.
///
/// Eight at a time: JSON in a form has something encoded every few bytes, and for runs as short as that `memchr` costs more than it saves.
fn plain_bytes(text: &[u8]) -> usize {
    let mut plain = 0;
    while let Some(word) = text.get(plain..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        let coded = zero_bytes(word ^ PERCENTS) | zero_bytes(word ^ PLUSES);
        if coded != 0 {
            return plain + (coded.trailing_zeros() / 8) as usize;
        }
        plain += size_of::<u64>();
    }
    let rest = text.get(plain..).unwrap_or_default();
    plain + rest.iter().position(|byte| matches!(byte, b'%' | b'+')).unwrap_or(rest.len())
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH_BITS: u64 = ONES << 7;
const PERCENTS: u64 = ONES * b'%' as u64;
const PLUSES: u64 = ONES * b'+' as u64;

/// The high bit of each byte that is zero; the lowest one that is set is right, and all that is asked for.
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH_BITS
}

/// What a byte is worth as a hexadecimal digit; more than fifteen where it is none.
static HEX_DIGITS: [u8; 256] = {
    let mut worth = [u8::MAX; 256];
    let mut digit: u8 = 0;
    #[expect(clippy::indexing_slicing, reason = "in a constant: an index out of bounds would not compile")]
    while digit < 16 {
        worth[b"0123456789abcdef"[digit as usize] as usize] = digit;
        worth[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    worth
};

/// Appends one pair in the standard's own spelling (WHATWG URL §5.2): what is no letter, digit or one of `*-._` is a percent sign with two
/// capital digits, a space a plus sign.
pub(super) fn write(name: &str, value: &[u8], out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'&');
    }
    encode(name.as_bytes(), out);
    out.push(b'=');
    encode(value, out);
}

fn encode(mut bytes: &[u8], out: &mut Vec<u8>) {
    // Of JSON about every tenth byte is encoded.
    out.reserve(bytes.len() + bytes.len() / 2);
    let is_plain = |byte: u8| IS_PLAIN.get(usize::from(byte)) == Some(&true);
    while !bytes.is_empty() {
        let run = bytes.iter().position(|byte| !is_plain(*byte)).unwrap_or(bytes.len());
        let (plain, rest) = bytes.split_at(run);
        out.extend_from_slice(plain);
        bytes = rest;
        while let Some((byte, rest)) = bytes.split_first().filter(|(byte, _)| !is_plain(**byte)) {
            match byte {
                b' ' => out.push(b'+'),
                byte => out.extend_from_slice(&[b'%', capital_digit(byte >> 4), capital_digit(byte & 0xf)]),
            }
            bytes = rest;
        }
    }
}

/// The bytes that are spelled as themselves.
static IS_PLAIN: [bool; 256] = {
    let mut is_plain = [false; 256];
    let mut byte: u8 = 0;
    #[expect(clippy::indexing_slicing, reason = "in a constant: an index out of bounds would not compile")]
    while byte < 128 {
        is_plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_');
        byte += 1;
    }
    is_plain
};

fn capital_digit(worth: u8) -> u8 {
    if worth < 10 { b'0' + worth } else { b'A' + (worth - 10) }
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
