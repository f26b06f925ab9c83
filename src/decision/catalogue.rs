//! The catalogue: the attributes that a workspace knows, and the lock on each.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::name::{Folding, Key};
use super::value::Value;

/// The ceiling over every lock of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing is judged; every attribute goes on.
    Off,
    /// Everything is judged and recorded, nothing is left out.
    Observe,
    /// What the verdict says is done.
    Enforce,
}

/// Who may change one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// Anybody.
    Off,
    /// Whoever signs it; for now the unsigned write is recorded and passes.
    Observe,
    /// Whoever signs it.
    Enforce,
}

/// What happens to a name that the catalogue does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    Drop,
    Observe,
    Keep,
}

/// Whether a bot may ask a lead for the attribute, although it is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collect {
    Never,
    Leads,
}

/// What kind of value an attribute takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, number, boolean: everything but an object or a list.
    Scalar,
    Text,
    /// A number without fraction or exponent, or a text that spells one.
    Integer,
    Number,
    Boolean,
    /// Unix time in seconds; thirteen digits are milliseconds and a mistake.
    Date,
    /// A text with one `@` that has something on both sides and no white space.
    Email,
    /// An absolute `https:` or `http:` address.
    Url,
    List,
    Object,
    Any,
}

/// What a value of the attribute looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRule {
    pub kind: Kind,
    /// Where not empty: the only texts that are allowed (numbers and booleans by their text).
    pub one_of: Vec<String>,
    /// In characters (Unicode scalar values) of the text.
    pub max_length: Option<usize>,
}

impl Default for ValueRule {
    fn default() -> Self {
        Self { kind: Kind::Scalar, one_of: Vec::new(), max_length: None }
    }
}

impl ValueRule {
    /// Whether `value` may stand as the attribute's value. An erasure fits every rule: it is no value.
    #[must_use]
    pub fn admits(&self, value: &Value<'_>) -> bool {
        if value.is_erasure() {
            return true;
        }
        self.kind.admits(value) && self.admits_length(value) && self.admits_option(value)
    }

    fn admits_length(&self, value: &Value<'_>) -> bool {
        match (self.max_length, value.as_id()) {
            // No text has more characters than bytes.
            (Some(max), Some(text)) => text.len() <= max || text.chars().count() <= max,
            _ => true,
        }
    }

    fn admits_option(&self, value: &Value<'_>) -> bool {
        if self.one_of.is_empty() {
            return true;
        }
        let text = match value {
            Value::Bool(true) => "true",
            Value::Bool(false) => "false",
            Value::Text(text) | Value::Number(text) => text,
            Value::Null | Value::List(_) | Value::Object(_) => return false,
        };
        self.one_of.iter().any(|option| option == text)
    }
}

impl Kind {
    fn admits(self, value: &Value<'_>) -> bool {
        let text = value.as_text();
        match self {
            Kind::Any => true,
            Kind::List => matches!(value, Value::List(_)),
            Kind::Object => matches!(value, Value::Object(_)),
            Kind::Scalar => !matches!(value, Value::List(_) | Value::Object(_)),
            Kind::Text => text.is_some(),
            Kind::Boolean => matches!(value, Value::Bool(_)) || matches!(text, Some("true" | "false")),
            Kind::Integer => value.as_id().is_some_and(is_integer),
            Kind::Number => match value {
                Value::Number(_) => true,
                Value::Text(text) => text.parse::<f64>().is_ok_and(f64::is_finite),
                Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => false,
            },
            Kind::Date => value.as_id().is_some_and(|text| is_integer(text) && text.len() < MILLISECOND_DIGITS),
            Kind::Email => text.is_some_and(is_email),
            Kind::Url => text.is_some_and(is_url),
        }
    }
}

/// Unix time has ten digits until the year 2286; in milliseconds it has thirteen.
const MILLISECOND_DIGITS: usize = 12;

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_email(text: &str) -> bool {
    match text.split_once('@') {
        Some((local, domain)) => {
            !local.is_empty()
                && domain.contains('.')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && !domain.contains('@')
                && !text.contains(|char: char| char.is_whitespace() || char.is_control())
        }
        None => false,
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with(['/', '?', '#', ':'])
            && !text.contains(|char: char| char.is_whitespace() || char.is_control())
    })
}

/// One attribute of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The spelling that the backend knows; dots divide a path (`company.plan`).
    pub name: String,
    pub lock: Lock,
    pub rule: ValueRule,
    pub collect: Collect,
}

/// Two names of a catalogue that a backend may take for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{second}` and `{first}` are one name to the backend")]
pub struct CatalogueError {
    pub first: String,
    pub second: String,
}

/// The attributes that a workspace knows. No two of them share a key.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(super) mode: Mode,
    pub(super) unlisted: Unlisted,
    /// Whether a name that only a token carries may be created.
    pub(super) signed_unlisted: Unlisted,
    folding: Folding,
    attributes: Vec<Attribute>,
    asks_leads: bool,
    // What is in these the operator wrote, so that a quick hash will do: nobody outside can fill a bucket.
    by_name: FxHashMap<String, usize>,
    /// By the names' keys, and by those of their aliases.
    by_key: FxHashMap<Key, usize>,
    aliases: HashMap<Key, Key>,
    objects: HashMap<Key, Lock>,
}

/// Where a spelled name stands in the catalogue.
#[derive(Clone, Copy, Debug)]
pub enum Listing<'c> {
    /// Spelled as the catalogue spells it.
    Own(usize, &'c Attribute),
    /// Spelled otherwise, yet perhaps the same to the backend.
    Alias(usize, &'c Attribute),
    Unlisted,
}

impl Catalogue {
    /// Builds the catalogue of one workspace. `aliases` gives for each other spelling the name that it stands for.
    ///
    /// # Errors
    ///
    /// Two attributes whose names have one key: a lock on one of them would be no lock.
    pub fn new(
        mode: Mode,
        unlisted: Unlisted,
        signed_unlisted: Unlisted,
        folding: Folding,
        aliases: &[(String, String)],
        attributes: Vec<Attribute>,
    ) -> Result<Self, CatalogueError> {
        let mut by_name = FxHashMap::default();
        let mut by_key: FxHashMap<Key, usize> = FxHashMap::default();
        let aliases: HashMap<Key, Key> =
            aliases.iter().map(|(alias, name)| (folding.key(alias), folding.key(name))).collect();
        for (index, attribute) in attributes.iter().enumerate() {
            let key = folding.key(&attribute.name);
            let key = aliases.get(&key).unwrap_or(&key).clone();
            if let Some(first) = by_key.insert(key, index).and_then(|first| attributes.get(first)) {
                return Err(CatalogueError { first: first.name.clone(), second: attribute.name.clone() });
            }
            by_name.insert(attribute.name.clone(), index);
        }
        let objects = strictest_of_objects(&by_key, &attributes);
        // From here on a spelling is looked up once. A name of the catalogue is nobody's alias.
        for (alias, name) in &aliases {
            if let Some(index) = by_key.get(name).copied() {
                by_key.entry(alias.clone()).or_insert(index);
            }
        }
        let asks_leads = attributes.iter().any(|attribute| attribute.collect == Collect::Leads);
        Ok(Self { mode, unlisted, signed_unlisted, folding, attributes, asks_leads, by_name, by_key, aliases, objects })
    }

    /// The attributes, in the order of the file.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Whether a lead may be asked for any of them: else it does not matter who is one.
    #[must_use]
    pub fn asks_leads(&self) -> bool {
        self.asks_leads
    }

    /// The ceiling over every lock.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn find_exactly(&self, name: &str) -> Option<(usize, &Attribute)> {
        let index = *self.by_name.get(name)?;
        self.attributes.get(index).map(|attribute| (index, attribute))
    }

    /// Finds the member `name` of the object at `prefix` (empty, or `company`), whose joined spelling is `full`.
    ///
    /// A name with a dot in it is looked up twice, as one name and as a path, and the stricter answer counts: we do not know which of
    /// the two the backend sees.
    pub(super) fn find(&self, prefix: &str, name: &str, full: &str) -> Listing<'_> {
        // A dot in the name itself: the joined spelling then equals another name's, so it is not proof of the same place.
        if !name.contains('.')
            && let Some((index, attribute)) = self.find_exactly(full)
        {
            return Listing::Own(index, attribute);
        }
        let as_member = if prefix.is_empty() && self.folding.is_folded(name) {
            self.by_key(name)
        } else {
            self.by_key(self.folding.member_key(prefix, name).as_str())
        };
        let as_path = if name.contains('.') { self.by_key(self.folding.key(full).as_str()) } else { None };
        let stricter = match (as_member, as_path) {
            (Some(a), Some(b)) => Some(if b.1.lock > a.1.lock { b } else { a }),
            (one, None) | (None, one) => one,
        };
        // Spelled alike and found as a member: the very name. Found only as a path, the place is another.
        let own = |index| as_member.is_some_and(|(member, _)| member == index);
        match stricter {
            Some((index, attribute)) if attribute.name == full && own(index) => Listing::Own(index, attribute),
            Some((index, attribute)) => Listing::Alias(index, attribute),
            None => Listing::Unlisted,
        }
    }

    /// The entry for a whole object: `companies` in the file stands for `company` as well.
    pub(super) fn find_object(&self, object: &str) -> Option<(usize, &Attribute)> {
        self.by_key(self.folding.key(object).as_str())
    }

    fn by_key(&self, key: &str) -> Option<(usize, &Attribute)> {
        let index = *self.by_key.get(key)?;
        self.attributes.get(index).map(|attribute| (index, attribute))
    }

    /// The strictest lock within the object `group`, and of the object itself: what whoever replaces or clears the whole object writes.
    /// A container holds what the object around it holds.
    pub(super) fn group_lock(&self, group: &str) -> Option<Lock> {
        let key = self.folding.key(group);
        let key = self.aliases.get(&key).unwrap_or(&key);
        match self.folding.around_container(key) {
            Some(around) if around.as_str().is_empty() => self.attributes.iter().map(|attribute| attribute.lock).max(),
            Some(around) => self.objects.get(&around).copied(),
            None => self.objects.get(key).copied(),
        }
    }
}

/// The strictest lock of each object that has a listed member, or is listed itself.
fn strictest_of_objects(by_key: &FxHashMap<Key, usize>, attributes: &[Attribute]) -> HashMap<Key, Lock> {
    let mut objects: HashMap<Key, Lock> = HashMap::new();
    for (key, index) in by_key {
        let Some(attribute) = attributes.get(*index) else { continue };
        for object in key.objects() {
            let lock = objects.entry(object).or_insert(attribute.lock);
            *lock = attribute.lock.max(*lock);
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[track_caller]
    fn check(kind: Kind, value: Value<'_>, admitted: bool) {
        let rule = ValueRule { kind, ..ValueRule::default() };
        assert_eq!(rule.admits(&value), admitted, "{kind:?} {value:?}");
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text))
    }

    fn number(digits: &str) -> Value<'_> {
        Value::Number(Cow::Borrowed(digits))
    }

    #[test]
    fn each_kind_and_its_near_miss() {
        check(Kind::Scalar, number("1"), true);
        check(Kind::Scalar, Value::List(vec![]), false);
        check(Kind::Scalar, Value::Object(vec![]), false);
        check(Kind::Text, text("a"), true);
        check(Kind::Text, number("1"), false);
        check(Kind::Integer, number("-3"), true);
        check(Kind::Integer, text("3"), true);
        check(Kind::Integer, number("3.0"), false);
        check(Kind::Integer, number("3e1"), false);
        check(Kind::Number, number("3.5"), true);
        check(Kind::Number, text("inf"), false);
        check(Kind::Boolean, text("true"), true);
        check(Kind::Boolean, text("yes"), false);
        check(Kind::Date, number("1795000000"), true);
        check(Kind::Date, number("1795000000000"), false);
        check(Kind::Email, text("ada@example.com"), true);
        check(Kind::Email, text("ada@@example.com"), false);
        check(Kind::Email, text("ada@example"), false);
        check(Kind::Email, text("ada @example.com"), false);
        check(Kind::Url, text("https://example.com/a"), true);
        check(Kind::Url, text("javascript:alert(1)"), false);
        check(Kind::Url, text("https:///a"), false);
        check(Kind::List, Value::List(vec![]), true);
        check(Kind::List, text("[]"), false);
        check(Kind::Object, Value::Object(vec![]), true);
        check(Kind::Any, Value::Object(vec![]), true);
    }

    #[test]
    fn length_counts_characters_and_options_are_exact() {
        let rule = ValueRule { max_length: Some(2), ..ValueRule::default() };
        assert!(rule.admits(&text("\u{e9}\u{e9}")));
        assert!(!rule.admits(&text("abc")));
        assert!(!rule.admits(&number("123")));
        let rule = ValueRule { one_of: vec!["pro".into(), "1".into()], ..ValueRule::default() };
        assert!(rule.admits(&text("pro")));
        assert!(rule.admits(&number("1")));
        assert!(!rule.admits(&text("Pro")));
        assert!(!rule.admits(&Value::List(vec![])));
    }

    #[test]
    fn two_names_with_one_key_are_refused() {
        let attribute = |name: &str| Attribute {
            name: name.into(),
            lock: Lock::Enforce,
            rule: ValueRule::default(),
            collect: Collect::Never,
        };
        let build = |attributes| {
            Catalogue::new(
                Mode::Enforce,
                Unlisted::Drop,
                Unlisted::Drop,
                Folding::default(),
                &[("signed_up_at".into(), "created_at".into())],
                attributes,
            )
        };
        assert!(build(vec![attribute("plan"), attribute("tier")]).is_ok());
        assert!(build(vec![attribute("plan"), attribute("Plan")]).is_err());
        assert!(build(vec![attribute("created_at"), attribute("signed_up_at")]).is_err());
    }
}
