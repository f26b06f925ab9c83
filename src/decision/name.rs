//! Names: when two spellings may mean one attribute to a backend.

use std::borrow::Borrow;

use icu_casemap::CaseMapperBorrowed;
use icu_normalizer::ComposingNormalizerBorrowed;

/// What a name is compared by: no spelling, only an equivalence class. Two names with one key may be one attribute upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

/// A key hashes and compares as its text does.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Key {
    /// The keys of this name and of all objects around it.
    pub(super) fn objects(&self) -> impl Iterator<Item = Key> {
        let ends = self.0.match_indices('.').map(|(end, _)| end).chain([self.0.len()]);
        ends.filter_map(|end| self.0.get(..end)).map(|object| Key(object.to_owned()))
    }

    /// The compared form, for messages to operators.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a messenger's backend folds names, as its profile tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folding {
    /// Characters that the backend replaces within a name, and by which.
    pub replaced: Vec<char>,
    pub replacement: Option<char>,
    /// Path segments that say only where an attribute is kept, not which it is: `custom_attributes.plan` is `plan`.
    pub containers: Vec<String>,
}

impl Folding {
    /// The key of a name whose dots divide a path, as in a catalogue: `company.plan`.
    #[must_use]
    pub fn key(&self, path: &str) -> Key {
        if self.is_folded(path) {
            return Key(path.to_owned());
        }
        let mut segments: Vec<String> = path.split('.').map(|segment| self.segment(segment)).collect();
        if segments.len() > 1 {
            let last = segments.pop();
            segments.retain(|segment| !self.is_container(segment));
            segments.extend(last);
        }
        Key(segments.join("."))
    }

    /// The key of one object member's name under `prefix`, where a dot is a character like any other: Intercom makes `plan.tier` into
    /// `plan_tier`.
    #[must_use]
    pub fn member_key(&self, prefix: &str, name: &str) -> Key {
        let name = self.segment(name);
        if prefix.is_empty() {
            return Key(name);
        }
        let mut key = self.key(prefix).0;
        key.push('.');
        key.push_str(&name);
        Key(key)
    }

    /// The object around `key`, where `key` is a container; empty at the top.
    pub(super) fn around_container(&self, key: &Key) -> Option<Key> {
        let (around, last) = key.0.rsplit_once('.').unwrap_or(("", &key.0));
        self.is_container(last).then(|| Key(around.to_owned()))
    }

    fn is_container(&self, folded: &str) -> bool {
        self.containers.iter().any(|container| self.segment(container) == folded)
    }

    /// Whether a name is its own key, as most are: lower-case ASCII letters, digits and underscores in one segment.
    pub(super) fn is_folded(&self, name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        // No backend is known that replaces any of these.
        let replaces_plain = |char: &char| u8::try_from(*char).is_ok_and(is_plain);
        name.bytes().all(is_plain) && !self.replaced.iter().any(|char| replaces_plain(char) && name.contains(*char))
    }

    fn segment(&self, name: &str) -> String {
        if self.is_folded(name) {
            return name.to_owned();
        }
        if name.is_ascii() {
            return self.ascii_segment(name);
        }
        // Compatibility composition, a superset of NFC, also folds the full-width and ligature look-alikes of ASCII letters.
        let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(name);
        let folded = CaseMapperBorrowed::new().fold_string(&composed);
        let folded = ComposingNormalizerBorrowed::new_nfkc().normalize(&folded);
        self.replace(&folded).collect()
    }

    /// ASCII composes with nothing, and folds by lower case alone.
    fn ascii_segment(&self, name: &str) -> String {
        self.replace(name).map(|char| char.to_ascii_lowercase()).collect()
    }

    fn replace<'n>(&self, name: &'n str) -> impl Iterator<Item = char> + use<'n, '_> {
        name.trim_matches(|char: char| char.is_whitespace() || is_invisible(char))
            .chars()
            .filter(|char| self.replaced.contains(char) || !is_invisible(*char))
            .map(|char| if self.replaced.contains(&char) { self.replacement.unwrap_or(char) } else { char })
    }
}

/// Characters that leave no trace on a screen, and that a backend may strip: controls, soft hyphen, joiners, directional marks, variation
/// selectors, byte order mark.
fn is_invisible(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intercom() -> Folding {
        Folding {
            replaced: ".$~`!@#%^&*'{}[]|\\\" \0".chars().collect(),
            replacement: Some('_'),
            containers: vec!["custom_attributes".into(), "customAttributes".into()],
        }
    }

    #[track_caller]
    fn check(name: &str, key: &str) {
        assert_eq!(intercom().member_key("", name).as_str(), key, "{name:?}");
    }

    #[test]
    fn spellings_of_one_name_have_one_key() {
        for name in [
            "plan_tier",
            "Plan_Tier",
            "plan.tier",
            "plan$tier",
            "plan tier",
            " plan_tier ",
            "plan_tier\0",
            "plan_\u{200b}tier",
            "\u{ff50}lan_tier",
            "PLAN_TIER",
            "plan_t\u{ad}ier",
        ] {
            check(name, "plan_tier");
        }
        check("stra\u{df}e", "strasse");
        check("\u{212a}ey", "key");
        check("e\u{301}", "\u{e9}");
    }

    proptest::proptest! {
        #[test]
        fn ascii_folds_as_everything_else_does(name in "[ -~\\x00\\t]{0,12}") {
            let folding = intercom();
            let composed = CaseMapperBorrowed::new().fold_string(&name).into_owned();
            let long_way: String = folding.replace(&composed).collect();
            proptest::prop_assert_eq!(folding.segment(&name), long_way);
        }
    }

    #[test]
    fn other_names_have_other_keys() {
        check("plantier", "plantier");
        check("plan-tier", "plan-tier");
        check("", "");
    }

    #[test]
    fn containers_say_where_and_not_which() {
        assert_eq!(intercom().key("custom_attributes.plan").as_str(), "plan");
        assert_eq!(intercom().key("company.customAttributes.plan").as_str(), "company.plan");
        assert_eq!(intercom().key("custom_attributes").as_str(), "custom_attributes");
        assert_eq!(intercom().member_key("company", "Plan.Tier").as_str(), "company.plan_tier");
    }
}
