//! Ways in which people misread a secret: the text is the key, and some decode it first.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::ExposeSecret;

use super::super::Secret;

/// How somebody may have read a secret before they signed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    AsItStands,
    FromHexadecimal,
    FromBase64,
    FromBase64Url,
    WithLineBreak,
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

impl Spelling {
    pub(super) const ALL: [Spelling; 5] = [
        Spelling::AsItStands,
        Spelling::FromHexadecimal,
        Spelling::FromBase64,
        Spelling::FromBase64Url,
        Spelling::WithLineBreak,
    ];

    /// The secret read so, where it can be.
    pub(super) fn of(self, secret: &Secret) -> Option<Secret> {
        let bytes = secret.expose_secret();
        let read = match self {
            Spelling::AsItStands => Some(bytes.to_vec()),
            Spelling::FromHexadecimal => from_hexadecimal(bytes),
            Spelling::FromBase64 => BASE64.decode(bytes).ok(),
            Spelling::FromBase64Url => BASE64URL.decode(bytes).ok(),
            Spelling::WithLineBreak => Some([bytes, b"\n"].concat()),
        };
        read.map(Secret::from)
    }

    /// What to add to the name of the key.
    pub(super) fn words(self) -> &'static str {
        match self {
            Spelling::AsItStands => "",
            Spelling::FromHexadecimal => " with its secret decoded from hexadecimal (sign with the text as it stands)",
            Spelling::FromBase64 => " with its secret decoded from base64 (sign with the text as it stands)",
            Spelling::FromBase64Url => " with its secret decoded from base64url (sign with the text as it stands)",
            Spelling::WithLineBreak => " with a line break behind its secret (sign with the text alone)",
        }
    }
}

fn from_hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::secret;

    #[track_caller]
    fn check(spelling: Spelling, text: &str, expected: Option<&[u8]>) {
        let read = spelling.of(&secret(text.as_bytes()));
        assert_eq!(read.as_ref().map(ExposeSecret::expose_secret), expected, "{spelling:?} {text}");
    }

    #[test]
    fn a_secret_is_read_in_every_way_in_which_it_can_be() {
        check(Spelling::AsItStands, "00ff", Some(b"00ff"));
        check(Spelling::FromHexadecimal, "00fF", Some(&[0x00, 0xff]));
        check(Spelling::FromHexadecimal, "00f", None);
        check(Spelling::FromHexadecimal, "00fg", None);
        check(Spelling::FromBase64, "+/8=", Some(&[0xfb, 0xff]));
        check(Spelling::FromBase64, "+/8", Some(&[0xfb, 0xff]));
        check(Spelling::FromBase64, "-_8=", None);
        check(Spelling::FromBase64Url, "-_8", Some(&[0xfb, 0xff]));
        check(Spelling::WithLineBreak, "a", Some(b"a\n"));
    }
}
