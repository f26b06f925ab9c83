//! Names in records: ours as they are, a peer's cut down.

use std::borrow::Cow;

use super::subject::{Hash, SubjectKey};
use crate::decision::{Code, Force};

/// The name of an attribute as a record may say it.
///
/// What the catalogue does not have is text that a peer chose: it may forge a line for whoever reads it, and a token may stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedName<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) by: NamedBy,
}

/// Whose word a name is: a record has room for all of the catalogue's, and for a few of a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBy {
    Catalogue,
    Peer,
}

impl<'a> RecordedName<'a> {
    /// A name as the catalogue spells it.
    #[must_use]
    pub fn of_catalogue(name: &'a str) -> Self {
        Self { text: Cow::Borrowed(name), by: NamedBy::Catalogue }
    }

    /// A name that a peer chose: without control, directional and invisible characters; where it is long or looks like a credential, only
    /// its length and keyed hash.
    #[must_use]
    pub fn foreign(name: &'a str, key: &SubjectKey) -> Self {
        let text = harmless(name, NAME_CHARACTERS_MAX, |name| key.name(name));
        Self { text, by: NamedBy::Peer }
    }

    /// The text that the record has.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// What became of one attribute, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeVerdict<'a> {
    pub name: RecordedName<'a>,
    pub code: Code,
    pub force: Force,
}

/// The longest name of a peer's that is recorded as text.
const NAME_CHARACTERS_MAX: usize = 64;

/// The longest origin that is recorded as text: scheme, a host name of 253 characters (RFC 1035 §2.3.4), port.
pub(super) const ORIGIN_CHARACTERS_MAX: usize = 270;

/// A peer's text as a record may have it.
pub(super) fn harmless(text: &str, characters_max: usize, hash: impl FnOnce(&str) -> Hash) -> Cow<'_, str> {
    let characters_max = if looks_like_a_credential(text) { 0 } else { characters_max };
    legible(text, characters_max, hash)
}

/// The longest name of a client certificate that is recorded as text.
pub(super) const CERTIFICATE_CHARACTERS_MAX: usize = 270;

/// The same, where no credential can be: an authority that the operator trusts has signed it, or it is a digest of our own.
pub(super) fn legible(text: &str, characters_max: usize, hash: impl FnOnce(&str) -> Hash) -> Cow<'_, str> {
    let length = text.chars().count();
    if length > characters_max {
        return Cow::Owned(format!("({length} characters, {})", hash(text)));
    }
    if text.chars().any(is_misleading) {
        return Cow::Owned(
            text.chars().map(|char| if is_misleading(char) { char::REPLACEMENT_CHARACTER } else { char }).collect(),
        );
    }
    Cow::Borrowed(text)
}

/// A run of this many letters and digits, of both kinds, is more likely a hash or a key than a word: a `user_hash` has 64.
const CREDENTIAL_RUN: usize = 24;

fn looks_like_a_credential(text: &str) -> bool {
    text.split(|char: char| !char.is_ascii_alphanumeric()).any(|run| {
        run.len() >= CREDENTIAL_RUN
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// Characters that make a line look other than it is: controls, line separators, directional marks, joiners, fillers, tags.
fn is_misleading(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SubjectKey {
        SubjectKey::new(&[7; 32]).unwrap()
    }

    #[track_caller]
    fn check(name: &str, recorded: &str) {
        assert_eq!(RecordedName::foreign(name, &key()).as_str(), recorded, "{name:?}");
    }

    #[track_caller]
    fn check_hidden(name: &str) {
        let recorded = RecordedName::foreign(name, &key());
        assert_eq!(recorded.as_str(), format!("({} characters, {})", name.chars().count(), key().name(name)));
    }

    #[test]
    fn an_ordinary_name_is_recorded_as_it_is() {
        check("plan", "plan");
        check("Größe der Firma", "Größe der Firma");
        check("", "");
        check(&"é".repeat(64), &"é".repeat(64));
        check("how_did_you_hear_about_us_in_the_year_2026", "how_did_you_hear_about_us_in_the_year_2026");
    }

    #[test]
    fn characters_that_mislead_are_replaced() {
        check("a\nb", "a\u{fffd}b");
        check("a\u{202e}b\u{200b}\0", "a\u{fffd}b\u{fffd}\u{fffd}");
        check("\u{2028}", "\u{fffd}");
    }

    #[test]
    fn a_long_name_is_recorded_by_length_and_hash() {
        check_hidden(&"é".repeat(65));
    }

    #[test]
    fn a_name_that_looks_like_a_credential_is_recorded_by_length_and_hash() {
        check_hidden("5f4dcc3b5aa765d61d8327deb882cf99");
        check_hidden(&"a1".repeat(32));
        check_hidden("sk_live_4eC39HqLyjWDarjtT1zdp7dcX");
        // The near misses: one character less, or no digit.
        check("a1a1a1a1a1a1a1a1a1a1a1a", "a1a1a1a1a1a1a1a1a1a1a1a");
        check("donaudampfschifffahrtsgesellschaft", "donaudampfschifffahrtsgesellschaft");
    }

    #[test]
    fn a_catalogues_name_is_the_operators_own() {
        let long = "a1".repeat(40);
        assert_eq!(RecordedName::of_catalogue(&long).as_str(), long);
    }
}
