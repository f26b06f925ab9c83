//! What a key is made of, as it was fetched: the bytes of a secret, or the file of a public key.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::Secret;
use crate::policy::SecretEncoding;

/// What was fetched for a key, not yet looked at.
#[derive(Clone, Debug)]
pub enum KeyMaterial {
    /// A secret, as it is written down.
    Secret(Secret),
    /// The content of a file: PEM, a JWK, or a JWK Set.
    PublicKey(Vec<u8>),
}

/// Padding is the custom of whoever wrote it down.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// RFC 4648 §5, padded or not.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// RFC 4648 §4, padded or not.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// The bytes that a secret stands for; `None` where it is not written so.
pub(super) fn decode(secret: &Secret, encoding: SecretEncoding) -> Option<Secret> {
    let text = secret.expose_secret();
    let bytes = match encoding {
        SecretEncoding::Text => Zeroizing::new(text.to_vec()),
        SecretEncoding::Base64Url => Zeroizing::new(BASE64URL.decode(text).ok()?),
        SecretEncoding::Hex => Zeroizing::new(hex(text)?),
    };
    Some(Secret::from(bytes.to_vec()))
}

/// The bytes of an even number of hexadecimal digits, in either case (RFC 4648 §8).
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::secret;

    #[track_caller]
    fn check(encoding: SecretEncoding, text: &str, expected: Option<&[u8]>) {
        let decoded = decode(&secret(text.as_bytes()), encoding);
        assert_eq!(decoded.as_ref().map(ExposeSecret::expose_secret), expected, "{text}");
    }

    #[test]
    fn a_secret_is_the_text_unless_it_is_said_to_stand_for_bytes() {
        check(SecretEncoding::Text, "3q2-7w", Some(b"3q2-7w"));
        check(SecretEncoding::Base64Url, "3q2-7w", Some(&[0xde, 0xad, 0xbe, 0xef]));
        check(SecretEncoding::Base64Url, "3q2-7w==", Some(&[0xde, 0xad, 0xbe, 0xef]));
        check(SecretEncoding::Hex, "deadBEEF", Some(&[0xde, 0xad, 0xbe, 0xef]));
    }

    #[test]
    fn what_is_written_otherwise_is_no_secret() {
        // The standard alphabet, white space, bits behind the end, a digit too many.
        for text in ["3q2+7w", "3q2-7w\n", "3q2-7x", "3q2-7", "3q2 -7w"] {
            check(SecretEncoding::Base64Url, text, None);
        }
        for text in ["deadbee", "deadbeeg", "0xdeadbeef", "de ad", "+dea", "\u{e4}"] {
            check(SecretEncoding::Hex, text, None);
        }
    }
}
