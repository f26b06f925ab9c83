//! Reads a policy file value by value, and collects every mistake instead of stopping at the first.
//!
//! ```text
//! let raw = reader::read(source, findings, |table| RawThing {
//!     mode: table.required("mode", Value::keyword::<Mode>),
//!     leeway: table.optional("leeway", Value::duration),
//!     hosts: table.optional("hosts", |value| value.list(Value::text)),
//!     identity: table.optional("identity", |value| value.table(read_identity)),
//! });
//! ```
//!
//! A getter gives `None` where the key is absent or its value is a mistake; the mistake is then among the findings. A table knows which keys
//! were asked for: whatever else it has is a finding too, so that nothing in a file is silently ignored.
//!
//! It knows TOML and no policy: no key is named here.

mod conceal;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::finding::Findings;
use super::source::Source;
use super::units;
use crate::decision;

/// A value and where it stands, in bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    pub value: T,
    pub span: Range<usize>,
}

impl<T> Placed<T> {
    /// The same place, another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Placed<U> {
        Placed { value: f(self.value), span: self.span }
    }
}

/// A table under a name that the file chose: `[upstreams.attributes]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T> {
    /// The name, with the place of the key.
    pub name: Placed<String>,
    pub value: T,
}

/// A closed set of words.
pub trait Keyword: Copy + 'static {
    /// Every word and what it means, in the order in which messages list them.
    const WORDS: &'static [(&'static str, Self)];
}

/// After so many syntax errors the rest are consequences: an unclosed bracket cascades.
const SYNTAX_ERRORS_SHOWN_MAX: usize = 3;

/// Reads one file. `fill` asks the top-level table for its keys.
///
/// `None` means syntax errors: nothing of such a file is believed. Mistakes of other kinds leave `None` in what `fill` gets, and stand in
/// `findings`.
pub fn read<T>(source: &Source, findings: &mut Findings, fill: impl FnOnce(&mut Table<'_>) -> T) -> Option<T> {
    let (document, mut errors) = DeTable::parse_recoverable(&source.text);
    conceal::secrets(source, document.get_ref(), findings);
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        for error in errors.iter().take(SYNTAX_ERRORS_SHOWN_MAX) {
            let span = error.span().unwrap_or_default();
            conceal::suspicious_line(source, &span, findings);
            findings.error(source, span, error.message().replace('\n', " "));
        }
        return None;
    }
    let desk = Desk { source, findings: RefCell::new(findings.take()), unknown: RefCell::default() };
    let place = source.line_at(0);
    let mut root = Table::new(&desk, document.get_ref(), place, Path::default());
    let filled = fill(&mut root);
    let root_keys: Vec<&'static str> = root.asked.clone();
    root.finish();
    let Desk { findings: written, unknown, .. } = desk;
    *findings = written.into_inner();
    for key in unknown.into_inner() {
        key.report(source, &root_keys, findings);
    }
    Some(filled)
}

/// What all tables of one file share.
struct Desk<'s> {
    source: &'s Source,
    findings: RefCell<Findings>,
    unknown: RefCell<Vec<UnknownKey>>,
}

/// A key that nobody asked for. It is reported last, when the keys of the top level are known.
struct UnknownKey {
    name: String,
    path: String,
    span: Range<usize>,
    siblings: Vec<&'static str>,
    /// Whether the message is already there and lacks only the advice.
    misread: Option<String>,
}

impl UnknownKey {
    fn report(self, source: &Source, root_keys: &[&'static str], findings: &mut Findings) {
        let line = source.line_at(self.span.start);
        let begins_its_line = source.text.get(line.start..self.span.start).is_some_and(|text| text.trim().is_empty());
        let belongs_above = begins_its_line
            && root_keys.contains(&self.name.as_str())
            && !self.siblings.contains(&self.name.as_str())
            && source.text.get(..self.span.start).is_some_and(|before| before.contains("\n["));
        let message = self.misread.unwrap_or_else(|| format!("unknown key {}", quoted(&self.path)));
        let finding = findings.error(source, self.span, message);
        if belongs_above {
            finding.help(format!("{} belongs above the first `[table]`", quoted(&self.name)));
        } else if let Some(word) = closest(&self.name, self.siblings.iter().copied()) {
            finding.help(format!("did you mean `{word}`?"));
        } else if !self.siblings.is_empty() {
            finding.help(format!(
                "known here: {}",
                self.siblings.iter().map(|key| quoted(key)).collect::<Vec<_>>().join(", ")
            ));
        }
    }
}

/// Where in the file's tables a value stands, as messages show it.
#[derive(Clone, Debug, Default)]
struct Path {
    /// What the table is called before its keys count: ``attribute `plan`: ``.
    title: String,
    keys: String,
}

impl Path {
    fn key(&self, key: &str) -> Self {
        let keys = if self.keys.is_empty() { key.to_owned() } else { format!("{}.{key}", self.keys) };
        Self { title: self.title.clone(), keys }
    }

    fn index(&self, index: usize) -> Self {
        Self { title: self.title.clone(), keys: format!("{}[{index}]", self.keys) }
    }

    fn titled(kind: &str, name: &str) -> Self {
        Self { title: format!("{kind} {}: ", quoted(name)), keys: String::new() }
    }

    fn prefix(&self) -> String {
        if self.keys.is_empty() { self.title.clone() } else { format!("{}{}: ", self.title, quoted(&self.keys)) }
    }
}

/// One table of the file.
pub struct Table<'a> {
    desk: &'a Desk<'a>,
    entries: &'a DeTable<'a>,
    span: Range<usize>,
    path: Path,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    fn new(desk: &'a Desk<'a>, entries: &'a DeTable<'a>, span: Range<usize>, path: Path) -> Self {
        Self { desk, entries, span, path, asked: Vec::new() }
    }

    /// The value of `key`; that it is missing is a mistake.
    pub fn required<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        let found = self.find(key);
        if found.is_none() {
            let Path { title, keys } = self.path.key(key);
            let message = format!("{title}{} is missing", quoted(&keys));
            self.desk.findings.borrow_mut().error(self.desk.source, self.span.clone(), message);
        }
        read(&found?)
    }

    /// The value of `key`, where it is there.
    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        read(&self.find(key)?)
    }

    /// Whether the table has `key`, right or wrong. It counts as asked for.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Where the table stands: its header, or for the file its first line.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Adds a mistake that concerns several keys of this table.
    pub fn error(&self, span: Range<usize>, message: impl Display) {
        let message = format!("{}{message}", self.path.prefix());
        self.desk.findings.borrow_mut().error(self.desk.source, span, message);
    }

    /// Lets nobody see the lines of keys that are unknown here: a secret may stand there.
    pub fn conceal_unknown(&self) {
        for (key, value) in self.entries {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                self.desk.findings.borrow_mut().conceal(self.desk.source, value.span());
            }
        }
    }

    fn find(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let value = self.entries.get(key)?;
        Some(Value { desk: self.desk, value, path: self.path.key(key) })
    }

    fn finish(self) {
        for (key, _) in self.entries {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                self.desk.unknown.borrow_mut().push(UnknownKey {
                    name: key.get_ref().to_string(),
                    path: format!("{}{}", self.path_before_key(), key.get_ref()),
                    span: key.span(),
                    siblings: self.asked.clone(),
                    misread: None,
                });
            }
        }
    }

    fn path_before_key(&self) -> String {
        if self.path.keys.is_empty() { String::new() } else { format!("{}.", self.path.keys) }
    }
}

/// One value of the file.
pub struct Value<'a> {
    desk: &'a Desk<'a>,
    value: &'a Spanned<DeValue<'a>>,
    path: Path,
}

impl<'a> Value<'a> {
    /// Where the value stands.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// Adds a mistake about this value, with the path of its key before the message.
    pub fn error(&self, message: impl Display) {
        self.error_with_help(message, None);
    }

    fn error_with_help(&self, message: impl Display, help: Option<String>) {
        let mut findings = self.desk.findings.borrow_mut();
        let message = format!("{}{message}", self.path.prefix());
        let finding = findings.error(self.desk.source, self.span(), message);
        if let Some(help) = help {
            finding.help(help);
        }
    }

    /// Lets nobody see the line of this value.
    pub fn conceal(&self) {
        self.desk.findings.borrow_mut().conceal(self.desk.source, self.span());
    }

    fn placed<T>(&self, value: T) -> Placed<T> {
        Placed { value, span: self.span() }
    }

    fn expected<T>(&self, what: impl Display) -> Option<T> {
        self.error(format!("expected {what}, found {}", self.kind()));
        None
    }

    fn kind(&self) -> &'static str {
        match self.value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// Whether the value is a table.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    /// Whether the value is text.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    /// Text that is not empty.
    pub fn text(&self) -> Option<Placed<String>> {
        match self.value.get_ref().as_str() {
            Some("") => {
                self.error("expected text, found nothing between the quotes");
                None
            }
            Some(text) => Some(self.placed(text.to_owned())),
            None => self.expected("text"),
        }
    }

    /// Text that may be empty.
    pub fn any_text(&self) -> Option<Placed<String>> {
        match self.value.get_ref().as_str() {
            Some(text) => Some(self.placed(text.to_owned())),
            None => self.expected("text"),
        }
    }

    /// Text that `parse` takes; its error is the message, with what was found behind it.
    pub fn parsed<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<Placed<T>> {
        let text = self.any_text()?.value;
        match parse(&text) {
            Ok(value) => Some(self.placed(value)),
            Err(error) => {
                self.error(format!("{error}, found {}", quoted(&text)));
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<Placed<bool>> {
        match self.value.get_ref().as_bool() {
            Some(value) => Some(self.placed(value)),
            None => self.expected("`true` or `false`"),
        }
    }

    /// An integer within `range`.
    pub fn integer<N>(&self, range: RangeInclusive<N>) -> Option<Placed<N>>
    where
        N: TryFrom<i64> + PartialOrd + Display,
    {
        let Some(integer) = self.value.get_ref().as_integer() else {
            return self.expected("an integer");
        };
        let number =
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|number| N::try_from(number).ok());
        let Some(number) = number.filter(|number| range.contains(number)) else {
            self.error(format!("expected {} to {}, found {integer}", range.start(), range.end()));
            return None;
        };
        Some(self.placed(number))
    }

    /// A duration such as `500ms`, `30s`, `5m`, `2h` or `7d`.
    pub fn duration(&self) -> Option<Placed<Duration>> {
        match self.value.get_ref().as_str() {
            Some(_) => self.parsed(units::duration),
            None => self.expected("a duration such as `\"30s\"`"),
        }
    }

    /// A number of bytes, as an integer or as text with a unit: `"256 KiB"`, `"1 MiB"`.
    pub fn bytes(&self) -> Option<Placed<u64>> {
        if self.value.get_ref().is_integer() {
            return Some(self.integer(0..=i64::MAX)?.map(i64::unsigned_abs));
        }
        match self.value.get_ref().as_str() {
            Some(_) => self.parsed(units::bytes),
            None => self.expected("a size such as `\"256 KiB\"`"),
        }
    }

    /// A moment, as a date of TOML with time and offset: `2026-11-27T08:00:00Z`. Whole seconds since 1970.
    pub fn moment(&self) -> Option<Placed<i64>> {
        const EXPECTED: &str = "a moment with its offset such as `2026-11-27T08:00:00Z`, without quotes";
        let Some(datetime) = self.value.get_ref().as_datetime() else {
            return self.expected(EXPECTED);
        };
        // A date without time or offset begins at another moment wherever it is read.
        let Ok(moment) = datetime.to_string().parse::<jiff::Timestamp>() else {
            self.error(format!("expected {EXPECTED}, found `{datetime}`"));
            return None;
        };
        Some(self.placed(moment.as_second()))
    }

    /// One word of a closed set.
    pub fn keyword<K: Keyword>(&self) -> Option<Placed<K>> {
        let words = || K::WORDS.iter().map(|(word, _)| *word);
        let expected = one_of(words());
        let Some(text) = self.value.get_ref().as_str() else {
            return self.expected(expected);
        };
        if let Some((_, meaning)) = K::WORDS.iter().find(|(word, _)| *word == text) {
            return Some(self.placed(*meaning));
        }
        let help = closest(text, words()).map(|word| format!("did you mean `{word}`?"));
        self.error_with_help(format!("expected {expected}, found {}", quoted(text)), help);
        None
    }

    /// An address and port to listen on or to speak to: `127.0.0.1:8443`, `[::1]:8443`.
    pub fn socket_address(&self) -> Option<Placed<SocketAddr>> {
        self.parsed(|text| {
            text.parse().map_err(|_| "expected an address with a port such as `127.0.0.1:8443` or `[::1]:8443`")
        })
    }

    /// A path; what it is relative to is for the caller to say.
    pub fn path(&self) -> Option<Placed<PathBuf>> {
        Some(self.text()?.map(PathBuf::from))
    }

    /// Whatever stands here, as the JSON value that it spells, numbers digit by digit. Dates, and numbers that JSON does not have, are
    /// mistakes.
    pub fn json(&self) -> Option<Placed<decision::Value<'static>>> {
        let value = match self.value.get_ref() {
            DeValue::String(text) => decision::Value::Text(Cow::Owned(text.to_string())),
            DeValue::Boolean(boolean) => decision::Value::Bool(*boolean),
            DeValue::Integer(_) => {
                let digits = self.integer(i64::MIN..=i64::MAX)?.value.to_string();
                decision::Value::Number(Cow::Owned(digits))
            }
            DeValue::Float(number) => {
                let digits = number.as_str().trim_start_matches('+');
                if digits.ends_with(['f', 'n']) {
                    return self.expected("a number that JSON has");
                }
                decision::Value::Number(Cow::Owned(digits.to_owned()))
            }
            DeValue::Datetime(_) => return self.expected("text, a number, a boolean, a list or a table"),
            DeValue::Array(_) => {
                let items = self.list(|item| Some(item.json()?.value))?;
                decision::Value::List(items.value)
            }
            DeValue::Table(_) => {
                let entries = self.entries(|value| Some(value.json()?.value))?.value;
                let entry = |Named { name, value }: Named<decision::Value<'static>>| (Cow::Owned(name.value), value);
                decision::Value::Object(entries.into_iter().map(entry).collect())
            }
        };
        Some(self.placed(value))
    }

    /// A list, each element read by `read`. Elements with mistakes are left out, and are findings.
    pub fn list<T>(&self, read: impl FnMut(&Value<'a>) -> Option<T>) -> Option<Placed<Vec<T>>> {
        let Some(array) = self.value.get_ref().as_array() else {
            return self.expected("a list");
        };
        let elements = array.iter().enumerate().map(|(index, value)| Value {
            desk: self.desk,
            value,
            path: self.path.index(index),
        });
        Some(self.placed(elements.collect::<Vec<_>>().iter().filter_map(read).collect()))
    }

    /// Whether the value is a list of nothing.
    #[must_use]
    pub fn is_empty_list(&self) -> bool {
        self.value.get_ref().as_array().is_some_and(|array| array.is_empty())
    }

    /// Whether it is a table without keys.
    pub fn is_empty_table(&self) -> bool {
        self.value.get_ref().as_table().is_some_and(toml::map::Map::is_empty)
    }

    /// A table whose keys are known: `fill` asks for them, and all others are mistakes.
    pub fn table<T>(&self, fill: impl FnOnce(&mut Table<'a>) -> T) -> Option<Placed<T>> {
        let Some(entries) = self.value.get_ref().as_table() else {
            return self.expected("a table");
        };
        let span = self.span();
        let mut table = Table::new(self.desk, entries, span.clone(), self.path.clone());
        let filled = fill(&mut table);
        table.finish();
        Some(Placed { value: filled, span })
    }

    /// A table whose keys are names that the file chooses, each value read by `read`. Entries with mistakes are left out, and are findings.
    pub fn entries<T>(&self, mut read: impl FnMut(&Value<'a>) -> Option<T>) -> Option<Placed<Vec<Named<T>>>> {
        let Some(entries) = self.value.get_ref().as_table() else {
            return self.expected("a table");
        };
        let read_entry = |(key, value): (&Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)| {
            let name = key.get_ref().to_string();
            let value = Value { desk: self.desk, value, path: self.path.key(&name) };
            Some(Named { value: read(&value)?, name: Placed { value: name, span: key.span() } })
        };
        Some(self.placed(entries.iter().filter_map(read_entry).collect()))
    }

    /// A table whose keys are names that the file chooses, each of which stands for one `kind` of thing and is a table itself. Gives each
    /// name with the place of its key.
    pub fn named_tables<T>(
        &self,
        kind: &str,
        mut fill: impl FnMut(&mut Table<'a>) -> T,
    ) -> Option<Placed<Vec<Named<T>>>> {
        let Some(entries) = self.value.get_ref().as_table() else {
            return self.expected("a table");
        };
        let mut named = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = key.get_ref();
            let value = Value { desk: self.desk, value, path: Path::titled(kind, name) };
            if !value.is_table() {
                self.desk.unknown.borrow_mut().push(UnknownKey {
                    name: name.to_string(),
                    path: String::new(),
                    span: key.span(),
                    siblings: Vec::new(),
                    misread: Some(format!("{}expected a table, found {}", value.path.prefix(), value.kind())),
                });
                continue;
            }
            if let Some(filled) = value.table(&mut fill) {
                named.push(Named { name: Placed { value: name.to_string(), span: key.span() }, value: filled.value });
            }
        }
        Some(self.placed(named))
    }
}

/// A name or word of the file as messages show it: in backticks, on one line, not endless.
pub fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{}`", shown.replace("\\\"", "\"").replace("\\'", "'"))
}

/// ``` `a`, `b` or `c` ```.
pub fn one_of<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} or {last}", words.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// The candidate that `word` was probably meant to be.
pub fn closest<'w>(word: &str, candidates: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' ', '.'], "_");
    let word = plain(word);
    let distances_max = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= distances_max)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
