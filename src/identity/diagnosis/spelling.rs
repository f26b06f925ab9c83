//! Ways in which people misread a secret: the text is the key, and some decode it first.

use base64::Engine;
use secrecy::ExposeSecret;

use crate::identity::material::BASE64;
use crate::identity::{Secret, material};
use crate::policy::SecretEncoding;

/// How somebody may have read a secret before they signed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As the policy says (`encoding`).
    AsConfigured,
    AsText,
    FromHexadecimal,
    FromBase64,
    FromBase64Url,
    WithLineBreak,
}

impl Spelling {
    pub(super) const ALL: [Spelling; 6] = [
        Spelling::AsConfigured,
        Spelling::AsText,
        Spelling::FromHexadecimal,
        Spelling::FromBase64,
        Spelling::FromBase64Url,
        Spelling::WithLineBreak,
    ];

    /// The secret read so, where it can be.
    pub(super) fn of(self, secret: &Secret, encoding: SecretEncoding) -> Option<Secret> {
        let bytes = secret.expose_secret();
        match self {
            Spelling::AsConfigured => material::decode(secret, encoding),
            Spelling::AsText => Some(secret.clone()),
            Spelling::FromHexadecimal => material::decode(secret, SecretEncoding::Hex),
            Spelling::FromBase64 => BASE64.decode(bytes).ok().map(Secret::from),
            Spelling::FromBase64Url => material::decode(secret, SecretEncoding::Base64Url),
            Spelling::WithLineBreak => Some(Secret::from([bytes, b"\n"].concat())),
        }
    }

    /// What to add to the name of the key.
    pub(super) fn words(self) -> &'static str {
        match self {
            Spelling::AsConfigured => "",
            Spelling::AsText => " with the text of its secret, which the policy decodes (`encoding`)",
            Spelling::FromHexadecimal => " with its secret decoded from hexadecimal (sign with the text as it stands)",
            Spelling::FromBase64 => " with its secret decoded from base64 (sign with the text as it stands)",
            Spelling::FromBase64Url => " with its secret decoded from base64url (sign with the text as it stands)",
            Spelling::WithLineBreak => " with a line break behind its secret (sign with the text alone)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::secret;

    #[track_caller]
    fn check(spelling: Spelling, text: &str, expected: Option<&[u8]>) {
        let read = spelling.of(&secret(text.as_bytes()), SecretEncoding::Hex);
        assert_eq!(read.as_ref().map(ExposeSecret::expose_secret), expected, "{spelling:?} {text}");
    }

    #[test]
    fn a_secret_is_read_in_every_way_in_which_it_can_be() {
        check(Spelling::AsConfigured, "00ff", Some(&[0x00, 0xff]));
        check(Spelling::AsText, "00ff", Some(b"00ff"));
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
