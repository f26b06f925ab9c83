//! `application/x-www-form-urlencoded` (WHATWG URL §5), read strictly: the standard replaces what it cannot decode, we refuse it.

use std::borrow::Cow;

use super::EnvelopeError;
use crate::policy::Limits;

/// A name and its value, decoded.
pub(super) type Pair<'r> = (Cow<'r, str>, Cow<'r, str>);

/// Cuts `text` into pairs, in their order. Empty pieces between two `&` are nothing, as the standard has it.
pub(super) fn read<'r>(text: &'r [u8], limits: &Limits) -> Result<Vec<Pair<'r>>, EnvelopeError> {
    let mut pairs = Vec::with_capacity(if text.is_empty() { 0 } else { FIELDS_USUAL });
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

/// Widgets send about so many.
const FIELDS_USUAL: usize = 20;

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

/// A word at a time where nothing in it is encoded, a byte at a time else: JSON in a form has something encoded every few bytes, and often
/// several in a row. For runs as short as that a search and a copy by library would cost more than they save. `None`: a percent sign
/// without two digits behind it.
fn decode_bytes(text: &[u8]) -> Option<Vec<u8>> {
    // Nothing decodes to more than it was; the last word that is copied may be less than whole.
    let mut decoded = vec![0; text.len() + size_of::<Word>()];
    let mut length = 0;
    let mut rest = text;
    loop {
        if rest.first() != Some(&b'%')
            && let Some(word) = rest.first_chunk()
        {
            let plain = plain_bytes(Word::from_le_bytes(*word));
            *decoded.get_mut(length..)?.first_chunk_mut()? = *word;
            length += plain;
            rest = rest.get(plain..)?;
            if plain == size_of::<Word>() {
                continue;
            }
        }
        let byte = match rest {
            [] => break,
            [b'%', high, low, after @ ..] => {
                let (high, low) = (HEX_DIGITS.get(usize::from(*high))?, HEX_DIGITS.get(usize::from(*low))?);
                if *high > 0xf || *low > 0xf {
                    return None;
                }
                rest = after;
                high << 4 | low
            }
            [b'%', ..] => return None,
            [byte, after @ ..] => {
                rest = after;
                if *byte == b'+' { b' ' } else { *byte }
            }
        };
        *decoded.get_mut(length)? = byte;
        length += 1;
    }
    decoded.truncate(length);
    Some(decoded)
}

/// What is looked at at once.
type Word = u128;

/// How many bytes of a word, from its lowest, stand for themselves before the first percent or plus sign.
fn plain_bytes(word: Word) -> usize {
    const ONES: Word = Word::from_ne_bytes([1; size_of::<Word>()]);
    // The high bit of each byte that is zero. The lowest one that is set is right, and all that is asked for.
    let zeros = |word: Word| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let coded = zeros(word ^ (ONES * Word::from(b'%'))) | zeros(word ^ (ONES * Word::from(b'+')));
    (coded.trailing_zeros() / u8::BITS) as usize
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
