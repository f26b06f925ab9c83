//! Content codings (RFC 9110 §8.4): at most one, inflated within limits that count while it inflates.

use std::borrow::Cow;
use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::EnvelopeError;
use crate::policy::Limits;

/// Undoes the content coding that `headers` name. Whoever sends the inflated body on must take that header out.
///
/// # Errors
///
/// A coding other than `identity`, `gzip` (`x-gzip`) and `br`, or several; corrupt, cut or continued data; more inflated bytes than
/// `inflated_bytes_max`, or than `inflate_ratio_max` for each byte of `body`.
pub fn inflate<'b>(headers: &HeaderMap, body: &'b [u8], limits: &Limits) -> Result<Cow<'b, [u8]>, EnvelopeError> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => return admit(Cow::Borrowed(body), limits),
        (Some(coding), None) => coding.as_bytes().trim_ascii(),
        (Some(_), Some(_)) => return Err(EnvelopeError::Coding),
    };
    let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
    if is("identity") {
        admit(Cow::Borrowed(body), limits)
    } else if is("gzip") || is("x-gzip") {
        gunzip(body, limits).map(Cow::Owned)
    } else if is("br") {
        unbrotli(body, limits).map(Cow::Owned)
    } else {
        Err(EnvelopeError::Coding)
    }
}

fn admit<'b>(body: Cow<'b, [u8]>, limits: &Limits) -> Result<Cow<'b, [u8]>, EnvelopeError> {
    if body.len() > limits.inflated_bytes_max { Err(EnvelopeError::InflateLimit) } else { Ok(body) }
}

/// How many bytes may come out of `body`, and what it is if more do.
fn room(body: &[u8], limits: &Limits) -> (usize, EnvelopeError) {
    let by_ratio = body.len().saturating_mul(limits.inflate_ratio_max);
    if by_ratio < limits.inflated_bytes_max {
        (by_ratio, EnvelopeError::InflateRatio)
    } else {
        (limits.inflated_bytes_max, EnvelopeError::InflateLimit)
    }
}

fn gunzip(body: &[u8], limits: &Limits) -> Result<Vec<u8>, EnvelopeError> {
    let (bytes_max, too_many) = room(body, limits);
    let mut inflated = Vec::new();
    // All members, as RFC 1952 §2.2 has it: a reader that stops after the first would see another body than we judged. What follows the
    // last one and is no member is an error of this decoder.
    let mut decoder = MultiGzDecoder::new(body).take(u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1));
    decoder.read_to_end(&mut inflated).map_err(|_| EnvelopeError::CorruptCoding)?;
    if inflated.len() > bytes_max { Err(too_many) } else { Ok(inflated) }
}

/// Inflated at a time, in bytes.
const CHUNK_BYTES: usize = 8 * 1024;

fn unbrotli(body: &[u8], limits: &Limits) -> Result<Vec<u8>, EnvelopeError> {
    let (bytes_max, too_many) = room(body, limits);
    // Strict: the windows of RFC 7932 and no larger ones, which a few bytes could make us allocate.
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let mut inflated = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    let (mut input_left, mut input_offset, mut total_out) = (body.len(), 0, 0);
    loop {
        let (mut chunk_left, mut chunk_offset) = (chunk.len(), 0);
        let result = BrotliDecompressStream(
            &mut input_left,
            &mut input_offset,
            body,
            &mut chunk_left,
            &mut chunk_offset,
            &mut chunk,
            &mut total_out,
            &mut state,
        );
        inflated.extend_from_slice(chunk.get(..chunk_offset).unwrap_or_default());
        if inflated.len() > bytes_max {
            return Err(too_many);
        }
        match result {
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess if input_left == 0 => return Ok(inflated),
            BrotliResult::ResultSuccess | BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(EnvelopeError::CorruptCoding);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    }

    /// One uncompressed meta-block and an empty last one (RFC 7932 §9.2), with a window of 64 KiB.
    fn brotli(text: &[u8]) -> Vec<u8> {
        let head = u32::try_from(text.len() - 1).expect("a short text") << 4 | 1 << 20;
        let mut bytes = head.to_le_bytes()[..3].to_vec();
        bytes.extend_from_slice(text);
        bytes.push(3);
        bytes
    }

    #[track_caller]
    fn check(codings: &[&str], body: &[u8], expected: Result<&[u8], EnvelopeError>) {
        check_within(&Limits::default(), codings, body, expected);
    }

    #[track_caller]
    fn check_within(limits: &Limits, codings: &[&str], body: &[u8], expected: Result<&[u8], EnvelopeError>) {
        let mut headers = HeaderMap::new();
        for coding in codings {
            headers.append(CONTENT_ENCODING, HeaderValue::from_str(coding).expect("a header value"));
        }
        let inflated = inflate(&headers, body, limits);
        assert_eq!(inflated.as_deref(), expected.as_ref().map(|expected| *expected));
    }

    #[test]
    fn each_known_coding_is_undone() {
        check(&[], b"plain", Ok(b"plain"));
        check(&["identity"], b"plain", Ok(b"plain"));
        check(&["gzip"], &gzip(b"a=1"), Ok(b"a=1"));
        check(&[" X-GZip "], &gzip(b"a=1"), Ok(b"a=1"));
        check(&["br"], &brotli(b"a=1"), Ok(b"a=1"));
        check(&["gzip"], &[gzip(b"a=1"), gzip(b"&b=2")].concat(), Ok(b"a=1&b=2"));
    }

    #[test]
    fn unknown_and_stacked_codings_are_refused() {
        for codings in [
            &["deflate"][..],
            &["zstd"],
            &[""],
            &["gzip, br"],
            &["gzip,gzip"],
            &["gzip", "gzip"],
            &["identity", "gzip"],
        ] {
            check(codings, &gzip(b"a=1"), Err(EnvelopeError::Coding));
        }
    }

    #[test]
    fn corrupt_cut_and_continued_data_is_refused() {
        let zipped = gzip(b"a=1");
        check(&["gzip"], b"", Err(EnvelopeError::CorruptCoding));
        check(&["gzip"], b"a=1", Err(EnvelopeError::CorruptCoding));
        check(&["gzip"], &zipped[..zipped.len() - 1], Err(EnvelopeError::CorruptCoding));
        check(&["gzip"], &[&zipped[..], b"x"].concat(), Err(EnvelopeError::CorruptCoding));
        check(&["gzip"], &[&zipped[..], b"\0\0"].concat(), Err(EnvelopeError::CorruptCoding));
        check(
            &["gzip"],
            &[&zipped[..], b"&plan=pro and longer than a header"].concat(),
            Err(EnvelopeError::CorruptCoding),
        );
        let mut wrong_sum = zipped.clone();
        let sum = wrong_sum.len() - 8;
        wrong_sum[sum] ^= 1;
        check(&["gzip"], &wrong_sum, Err(EnvelopeError::CorruptCoding));
        let squeezed = brotli(b"a=1");
        check(&["br"], b"", Err(EnvelopeError::CorruptCoding));
        check(&["br"], &squeezed[..squeezed.len() - 1], Err(EnvelopeError::CorruptCoding));
        check(&["br"], &[&squeezed[..], b"x"].concat(), Err(EnvelopeError::CorruptCoding));
        check(&["br"], &zipped, Err(EnvelopeError::CorruptCoding));
        // A window of 2^30 bytes, beyond RFC 7932.
        check(&["br"], &[0x11, 0x1e, 0x03], Err(EnvelopeError::CorruptCoding));
    }

    #[test]
    fn inflated_bytes_and_ratio_have_limits() {
        let limits = Limits { inflated_bytes_max: 1000, inflate_ratio_max: 1000, ..Limits::default() };
        let full = vec![b'a'; 1000];
        let over = vec![b'a'; 1001];
        for (coding, encode) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("br", brotli), ("identity", <[u8]>::to_vec)] {
            check_within(&limits, &[coding], &encode(&full), Ok(&full));
            check_within(&limits, &[coding], &encode(&over), Err(EnvelopeError::InflateLimit));
        }
        let bomb = gzip(&vec![0; 1_000_000]);
        check(&["gzip"], &bomb, Err(EnvelopeError::InflateRatio));
        let none = Limits { inflate_ratio_max: 0, ..Limits::default() };
        check_within(&none, &["br"], &brotli(b"a"), Err(EnvelopeError::InflateRatio));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), flip in any::<(u8, u8)>()) {
            for coding in ["gzip", "br"] {
                let mut headers = HeaderMap::new();
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
                let _ = inflate(&headers, &bytes, &Limits::default());
                let mut almost = if coding == "br" { brotli(b"hello") } else { gzip(b"hello") };
                let at = usize::from(flip.0) % almost.len();
                almost[at] ^= flip.1;
                let _ = inflate(&headers, &almost, &Limits::default());
            }
        }
    }
}
