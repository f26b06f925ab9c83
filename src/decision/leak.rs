//! Leaks: a secret, or a private key, in an update. What is in one is stored by the messenger and shown to whoever reads there.
//!
//! Which texts are secrets the caller knows, and says by [`KnownSecrets`]; what a private key looks like is known here.

use super::update::{Change, Write};
use super::value::Value;

/// Which of the known secrets: whoever knows them knows whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretIndex(pub usize);

/// Whoever knows the secrets that no update may hold.
pub trait KnownSecrets {
    /// The length of the shortest: no shorter text is one, or holds one.
    fn bytes_min(&self) -> usize;
    /// The first secret that the text is or holds.
    fn find(&self, text: &str) -> Option<SecretIndex>;
}

/// Nobody's secrets.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

impl KnownSecrets for NoSecrets {
    fn bytes_min(&self) -> usize {
        usize::MAX
    }

    fn find(&self, _: &str) -> Option<SecretIndex> {
        None
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    ConfiguredSecret(SecretIndex),
    PrivateKey,
}

impl Leak {
    /// The stable name of its kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Leak::ConfiguredSecret(_) => "configured_secret",
            Leak::PrivateKey => "private_key",
        }
    }
}

/// Where a leak was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeakPlace {
    /// The name of the write of this index is the secret, so that nobody may write the name anywhere.
    Name(usize),
    /// The value of the write of this index.
    Value(usize),
    /// A claim of a token, by its name; by [`WITHHELD`] where the name is the secret.
    Claim(String),
}

/// What stands in the place of a name that must not be written.
pub const WITHHELD: &str = "(a secret)";

/// One leak of a judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaked {
    pub leak: Leak,
    pub place: LeakPlace,
}

/// Which part of a write leaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Name,
    Value,
}

/// Looks at texts. Most are shorter than any secret, and cost a comparison.
#[derive(Clone, Copy)]
pub struct Screen<'s> {
    secrets: &'s dyn KnownSecrets,
    bytes_min: usize,
}

impl<'s> Screen<'s> {
    /// For these secrets, and for private keys.
    #[must_use]
    pub fn new(secrets: &'s dyn KnownSecrets) -> Self {
        Self { secrets, bytes_min: secrets.bytes_min().min(PEM_BYTES_MIN) }
    }

    /// Whether the write holds a secret, in its name or anywhere in its value.
    #[inline]
    pub(super) fn leak_of(self, write: &Write<'_>) -> Option<(Part, Leak)> {
        if let Some(leak) = self.leak_in_text(&write.name) {
            return Some((Part::Name, leak));
        }
        match write.change {
            Change::Set(Value::Null | Value::Bool(_)) | Change::Delete => None,
            Change::Set(Value::Number(text) | Value::Text(text)) => self.leak_in_text(text),
            Change::Set(value @ (Value::List(_) | Value::Object(_))) => self.leak_in_value(value),
        }
        .map(|leak| (Part::Value, leak))
    }

    fn leak_in_value(self, value: &Value<'_>) -> Option<Leak> {
        match value {
            Value::Null | Value::Bool(_) => None,
            Value::Number(text) | Value::Text(text) => self.leak_in_text(text),
            Value::List(items) => items.iter().find_map(|item| self.leak_in_value(item)),
            Value::Object(entries) => {
                entries.iter().find_map(|(name, value)| self.leak_in_text(name).or_else(|| self.leak_in_value(value)))
            }
        }
    }

    /// Whether one text is or holds a secret.
    #[inline]
    #[must_use]
    pub fn leak_in_text(self, text: &str) -> Option<Leak> {
        if text.len() < self.bytes_min { None } else { self.leak_in_long_text(text) }
    }

    #[cold]
    fn leak_in_long_text(self, text: &str) -> Option<Leak> {
        let secret = self.secrets.find(text).map(Leak::ConfiguredSecret);
        secret.or_else(|| holds_private_key(text).then_some(Leak::PrivateKey))
    }
}

/// The shortest line by which a private key begins.
const PEM_BYTES_MIN: usize = "----BEGIN PRIVATE KEY----".len();

/// RFC 7468 §2 has five before and after; the file format of SSH2 (RFC 4716 §3.3) has four.
const DASHES: &[u8] = b"----";

const BEGIN: &[u8] = b"BEGIN";

/// The longest label between `BEGIN` and the dashes: the known ones are half of it.
const PEM_LABEL_BYTES_MAX: usize = 64;

/// Whether a text has the line by which a private key begins, of whatever kind: a key that is cut off behind it, or whose lines come one
/// by one in a list, is a key all the same.
///
/// Case is RFC 7468's. White space may be more or less than there, escaped (`\n`, `%20`), or a `+`: none of these is a capital letter.
fn holds_private_key(text: &str) -> bool {
    if text.len() < PEM_BYTES_MIN {
        return false;
    }
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'B', bytes).any(|at| {
        let Some((before, after)) = bytes.split_at_checked(at) else { return false };
        let Some(label) = after.strip_prefix(BEGIN) else { return false };
        is_dashed(before) && is_private(label)
    })
}

/// How much may stand between the dashes and `BEGIN`: a few spaces, however they are spelled.
const PEM_SPACE_BYTES_MAX: usize = 12;

fn is_dashed(before: &[u8]) -> bool {
    let is_space = |byte: &u8| !byte.is_ascii_uppercase() && *byte != b'-';
    let space = before.iter().rev().take(PEM_SPACE_BYTES_MAX).take_while(|byte| is_space(byte)).count();
    before.len().checked_sub(space).and_then(|end| before.get(..end)).is_some_and(|before| before.ends_with(DASHES))
}

fn is_private(label: &[u8]) -> bool {
    let room = label.len().min(PEM_LABEL_BYTES_MAX + DASHES.len());
    let label = label.get(..room).unwrap_or_default();
    let Some(end) = label.windows(DASHES.len()).position(|window| window == DASHES) else { return false };
    let letters: Vec<u8> = label.iter().take(end).copied().filter(u8::is_ascii_uppercase).collect();
    memchr::memmem::find(&letters, b"PRIVATEKEY").is_some()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        assert_eq!(Screen::new(&NoSecrets).leak_in_text(text) == Some(Leak::PrivateKey), expected, "{text:?}");
    }

    #[test]
    fn a_private_key_of_any_kind_is_one() {
        for kind in ["", "ENCRYPTED ", "RSA ", "EC ", "DSA ", "OPENSSH ", "SSH2 ENCRYPTED "] {
            check(
                &format!("-----BEGIN {kind}PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END {kind}PRIVATE KEY-----\n"),
                true,
            );
        }
        check("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ", true);
        check("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nP2/56wAAAgI", true);
    }

    #[test]
    fn a_private_key_is_one_however_its_white_space_is_spelled() {
        for text in [
            r"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----\n",
            r"-----BEGIN\nRSA\tPRIVATE\r\nKEY-----",
            "-----BEGIN RSA  PRIVATE\u{a0}KEY ----- MIIE",
            "-----BEGIN%20RSA%20PRIVATE%20KEY-----%0AMIIE",
            "-----BEGIN+EC+PRIVATE+KEY-----MIIE",
            "----- \nBEGIN PRIVATE KEY -----",
            "{\"key\": \"-----BEGIN PRIVATE KEY-----",
            "B BE BEGI -----BEGIN X-----BEGIN PRIVATE KEY-----",
            "\u{e9}\u{e9}-----BEGIN PRIVATE KEY-----\u{e9}",
        ] {
            check(text, true);
        }
    }

    #[test]
    fn what_is_public_or_no_key_is_none() {
        for text in [
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBg\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----\nMIIBIjANBg\n-----END CERTIFICATE-----",
            "-----END PRIVATE KEY-----",
            "BEGIN PRIVATE KEY and more of the text",
            "-----begin private key-----MIIEvQIBADANBg",
            "-----BEGIN a private key of ours-----",
            "---BEGIN PRIVATE KEY--- and more text",
            "-----BEGIN PRIVATE KEY",
            &format!("-----BEGIN {} PRIVATE KEY-----", "X".repeat(64)),
            "",
            "BEGIN",
        ] {
            check(text, false);
        }
    }

    /// Knows one secret, whole.
    struct One(&'static str);

    impl KnownSecrets for One {
        fn bytes_min(&self) -> usize {
            self.0.len()
        }

        fn find(&self, text: &str) -> Option<SecretIndex> {
            (text == self.0).then_some(SecretIndex(7))
        }
    }

    #[test]
    fn a_secret_is_found_at_any_depth_in_names_and_in_digits() {
        let text = |text: &'static str| Value::Text(Cow::Borrowed(text));
        let object = |name: &'static str, value| Value::Object(vec![(Cow::Borrowed(name), value)]);
        let found = Some(Leak::ConfiguredSecret(SecretIndex(7)));
        let check =
            |value: Value<'_>, expected| assert_eq!(Screen::new(&One("12345678")).leak_in_value(&value), expected);
        check(text("12345678"), found);
        check(Value::Number("12345678".into()), found);
        check(Value::List(vec![Value::Null, object("a", Value::List(vec![text("12345678")]))]), found);
        check(object("12345678", Value::Bool(true)), found);
        check(object("a", text("1234567")), None);
        check(Value::Bool(true), None);
    }
}
