//! The second reader: reads what was written by other means than it was written with, and compares it with the judgement.
//!
//! `serde_json` reads here, not `jiter`, and forms are cut and decoded another way than when they came in; the order of fields and members,
//! and every digit of every number, must be what was judged.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::RewriteError;
use super::brackets::Brackets;
use super::form::Pair;
use super::open::attribute_of;
use super::opened::{Envelope, Parsed, Part};
use super::rewrite::bracket_text;
use super::walk::Walk;
use super::walked::{Removed, Walked};
use crate::decision::{Change, Effect, Entry, Folding, Judged, Role, Value, Write};
use crate::policy::Limits;
use crate::profile::{Document, DocumentAt, Shape};

/// Reads `body` and compares it. `removed` is what was taken out beside the documents.
///
/// # Errors
///
/// It cannot be read, has something that was not kept, replaced or added, or lacks something that was.
pub(super) fn compare(
    walked: &Walked<'_>,
    judged: &Judged<'_>,
    removed: &Removed,
    body: &[u8],
) -> Result<(), RewriteError> {
    let envelope = walked.envelope;
    match &envelope.parsed {
        Parsed::Empty if body.is_empty() => Ok(()),
        Parsed::Empty => Err(RewriteError::Mismatch),
        Parsed::Json(original) => {
            let seen = read_json(body)?;
            let pointers: Vec<&[String]> = envelope.operation.documents.iter().filter_map(pointer_of).collect();
            if !same_around(original, &seen, &pointers, removed) {
                return Err(RewriteError::Mismatch);
            }
            let found = envelope.operation.documents.iter().filter_map(|document| {
                let value = pointer_of(document)?.iter().try_fold(&seen, |at, name| at.member(name))?;
                Some(Found { document, value: Cow::Borrowed(value), reading: Reading::Exact })
            });
            compare_documents(walked, judged, removed, &found.collect::<Vec<_>>())
        }
        Parsed::Form(parts) => {
            let pairs = parse_form(body)?;
            let found = read_form(envelope, parts, &pairs, removed)?;
            compare_documents(walked, judged, removed, &found)
        }
    }
}

fn pointer_of(document: &Document) -> Option<&[String]> {
    match &document.at {
        DocumentAt::Body(pointer) => Some(pointer.names()),
        DocumentAt::Field(_) | DocumentAt::Fields(_) => None,
    }
}

/// A document as it was read back.
struct Found<'f> {
    document: &'f Document,
    value: Cow<'f, Value<'f>>,
    reading: Reading,
}

/// How values compare.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Exact,
    /// Form brackets know only texts.
    AsText,
}

impl Reading {
    fn same(self, judged: &Value<'_>, seen: &Value<'_>) -> bool {
        match (self, judged, seen) {
            (Reading::Exact, judged, seen) => judged == seen,
            (Reading::AsText, Value::List(judged), Value::List(seen)) => {
                judged.len() == seen.len() && judged.iter().zip(seen).all(|(judged, seen)| self.same(judged, seen))
            }
            (Reading::AsText, Value::Object(judged), Value::Object(seen)) => {
                judged.len() == seen.len()
                    && judged.iter().zip(seen).all(|(judged, seen)| judged.0 == seen.0 && self.same(&judged.1, &seen.1))
            }
            (Reading::AsText, Value::List(_) | Value::Object(_), _) => false,
            (Reading::AsText, judged, seen) => seen.as_text() == Some(&*bracket_text(judged)),
        }
    }
}

/// Every write that is found was kept, replaced or added; every one that was, is found; in the order in which they were judged.
fn compare_documents(
    walked: &Walked<'_>,
    judged: &Judged<'_>,
    removed: &Removed,
    found: &[Found<'_>],
) -> Result<(), RewriteError> {
    let folding = &walked.envelope.profile.folding;
    let mut expected = walked.update.writes.iter().zip(judged.verdicts()).filter_map(|(write, verdict)| {
        match (verdict.effect, write.change) {
            (Effect::LeftOut, _) | (Effect::Replaced(_), Change::Delete) => None,
            (Effect::Kept, change) => Some((write, change)),
            (Effect::Replaced(signed), Change::Set(_)) => Some((write, Change::Set(signed))),
        }
    });
    let mut next = expected.next();
    let mut added: HashMap<String, &Value<'_>> =
        judged.additions().iter().map(|addition| (plain_name(&addition.name, folding), addition.value)).collect();
    for Found { document, value, reading } in found {
        let mut walk = Walk::default();
        if !is_answer_left_out(&document.shape, value) {
            walk.document(&document.shape, value, &[]).map_err(|_| RewriteError::Mismatch)?;
        }
        for write in &walk.update.writes {
            loop {
                if next.is_some_and(|(judged, change)| is_same(judged, change, write, *reading)) {
                    next = expected.next();
                    break;
                }
                if let Change::Set(value) = write.change
                    && added
                        .remove(&plain_name(&write.full_name(), folding))
                        .is_some_and(|judged| reading.same(judged, value))
                {
                    break;
                }
                // A setting goes with the answer that it belongs to.
                match next {
                    Some((judged, _)) if judged.role == Role::Setting => next = expected.next(),
                    Some(_) | None => return Err(RewriteError::Mismatch),
                }
            }
        }
        match &*document.shape {
            Shape::Opaque => {
                let original = walked.envelope.documents().find(|opened| std::ptr::eq(opened.document, *document));
                let same = |original: &Value<'_>| match left_of(original, removed) {
                    Some(left) => reading.same(&left, value),
                    None => is_hollow(value),
                };
                if !original.is_some_and(|original| same(original.value)) {
                    return Err(RewriteError::Mismatch);
                }
            }
            Shape::Members(_) | Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_) => {}
        }
    }
    let all_found = next.into_iter().chain(expected).all(|(judged, _)| judged.role == Role::Setting);
    if all_found && added.is_empty() { Ok(()) } else { Err(RewriteError::Mismatch) }
}

/// What is left of a value of no shape; nothing where what was taken out of it emptied it.
fn left_of<'v>(value: &'v Value<'v>, removed: &Removed) -> Option<Cow<'v, Value<'v>>> {
    if removed.is_empty() {
        return Some(Cow::Borrowed(value));
    }
    if removed.has(value) {
        return None;
    }
    let left = match value {
        Value::List(items) => {
            Value::List(items.iter().filter_map(|item| left_of(item, removed)).map(Cow::into_owned).collect())
        }
        Value::Object(entries) => {
            let left =
                entries.iter().filter_map(|(name, value)| Some((name.clone(), left_of(value, removed)?.into_owned())));
            Value::Object(left.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return Some(Cow::Borrowed(value)),
    };
    (is_hollow(value) || !is_hollow(&left)).then_some(Cow::Owned(left))
}

fn is_hollow(value: &Value<'_>) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
    }
}

/// Of an answer that was left out nothing stays, not even the name by which it would be walked.
fn is_answer_left_out(shape: &Shape, value: &Value<'_>) -> bool {
    match shape {
        Shape::Collected(_) => value.as_object().is_some_and(<[_]>::is_empty),
        Shape::Members(_) | Shape::Names { .. } | Shape::Pairs(_) | Shape::Opaque => false,
    }
}

fn is_same(judged: &Write<'_>, change: Change<'_>, seen: &Write<'_>, reading: Reading) -> bool {
    same_prefix(judged.prefix, seen.prefix)
        && judged.name == seen.name
        && match (change, seen.change) {
            (Change::Set(judged), Change::Set(seen)) => reading.same(judged, seen),
            (Change::Delete, Change::Delete) => true,
            (Change::Set(_), Change::Delete) | (Change::Delete, Change::Set(_)) => false,
        }
}

/// Most prefixes are empty, and an empty `String` points nowhere: to compare two such by what they point at costs some processors, which
/// must first find out that there is nothing, a hundred times what other comparisons do.
fn same_prefix(judged: &str, seen: &str) -> bool {
    match (judged, seen) {
        ("", other) | (other, "") => other.is_empty(),
        (judged, seen) => judged == seen,
    }
}

/// The name without the segments that only say where an attribute is kept.
pub(super) fn plain_name(full: &str, folding: &Folding) -> String {
    let (path, member) = full.rsplit_once('.').unwrap_or(("", full));
    let is_container = |segment: &str| folding.containers.iter().any(|container| container == segment);
    let segments = path.split('.').filter(|segment| !segment.is_empty() && !is_container(segment));
    segments.chain([member]).collect::<Vec<_>>().join(".")
}

/// Whether two bodies are the same but for their documents and what was taken out.
fn same_around(original: &Value<'_>, seen: &Value<'_>, documents: &[&[String]], removed: &Removed) -> bool {
    if documents.iter().any(|pointer| pointer.is_empty()) {
        return true;
    }
    if documents.is_empty() && removed.is_empty() {
        return original == seen;
    }
    let (original, seen) = match (original, seen) {
        (Value::Object(original), Value::Object(seen)) => (original, seen),
        (Value::List(original), Value::List(seen)) => {
            let mut seen = seen.iter();
            let mut kept = original.iter().filter(|item| !removed.has(item));
            return kept.all(|item| seen.next().is_some_and(|seen| same_around(item, seen, &[], removed)))
                && seen.next().is_none();
        }
        (original, seen) => return original == seen,
    };
    let below = |name: &str| -> Vec<&[String]> {
        let steps = documents.iter().filter_map(|pointer| pointer.split_first());
        steps.filter(|(first, _)| *first == name).map(|(_, rest)| rest).collect()
    };
    let mut seen = seen.iter();
    for (name, value) in original {
        if removed.has(value) && below(name).is_empty() {
            continue;
        }
        match seen.next() {
            Some((other, other_value)) if other == name && same_around(value, other_value, &below(name), removed) => {}
            Some(_) | None => return false,
        }
    }
    // What follows was made to hold additions.
    seen.all(|(name, value)| {
        let below = below(name);
        !below.is_empty() && same_around(&Value::Object(Vec::new()), value, &below, removed)
    })
}

/// The pairs of a form as the standard's lenient parser has them (WHATWG URL §5.1), but for what is no UTF-8.
fn parse_form(body: &[u8]) -> Result<Vec<Pair<'_>>, RewriteError> {
    let body = std::str::from_utf8(body).map_err(|_| RewriteError::Unreadable)?;
    let mut pairs = Vec::with_capacity(memchr::memchr_iter(b'&', body.as_bytes()).count() + 1);
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(memchr::memchr(b'&', rest.as_bytes()).unwrap_or(rest.len()));
        rest = after.strip_prefix('&').unwrap_or_default();
        if !piece.is_empty() {
            let (name, value) = piece.split_at(memchr::memchr(b'=', piece.as_bytes()).unwrap_or(piece.len()));
            pairs.push((percent_decode(name)?, percent_decode(value.strip_prefix('=').unwrap_or_default())?));
        }
    }
    Ok(pairs)
}

fn percent_decode(text: &str) -> Result<Cow<'_, str>, RewriteError> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let Some(first) = text.bytes().position(|byte| byte == b'%' || byte == b'+') else {
        return Ok(Cow::Borrowed(text));
    };
    let mut decoded = Vec::with_capacity(text.len());
    let (plain, mut rest) = text.as_bytes().split_at(first);
    decoded.extend_from_slice(plain);
    while let [byte, after @ ..] = rest {
        rest = after;
        decoded.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    high * 16 + low
                }
                (Some(_) | None, _) => b'%',
            },
            (byte, _) => *byte,
        });
        if rest.first() == Some(&b'%') {
            continue;
        }
        let run = rest.iter().position(|byte| *byte == b'%' || *byte == b'+').unwrap_or(rest.len());
        let (plain, coded) = rest.split_at(run);
        decoded.extend_from_slice(plain);
        rest = coded;
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| RewriteError::Unreadable)
}

fn read_form<'f>(
    envelope: &'f Envelope<'_>,
    parts: &[Part<'_>],
    pairs: &'f [Pair<'f>],
    removed: &Removed,
) -> Result<Vec<Found<'f>>, RewriteError> {
    let mut fields = parts.iter().filter_map(|part| match part {
        Part::Field { value, .. } if removed.has(value) => None,
        Part::Field { name, value } => Some((*name, value.as_text().unwrap_or_default())),
        Part::Document { .. } => None,
    });
    let mut found: Vec<Found<'f>> = Vec::new();
    // The limits are for what peers send; a signed value may be longer.
    let unlimited = Limits {
        json_depth_max: usize::MAX,
        name_bytes_max: usize::MAX,
        text_bytes_max: usize::MAX,
        ..Limits::default()
    };
    let mut spread: Vec<(usize, Brackets<'f>)> = Vec::new();
    for (name, text) in pairs {
        let of_document = envelope.operation.documents.iter().find_map(|document| {
            let DocumentAt::Field(field) = &document.at else { return None };
            let rest = name.strip_prefix(field.as_str())?;
            (rest.is_empty() || rest.starts_with('[')).then_some((document, rest))
        });
        if let Some((document, attribute)) = attribute_of(envelope.operation, name) {
            let entry = (Cow::Borrowed(attribute), Value::Text(Cow::Borrowed(&**text)));
            match found
                .iter_mut()
                .find(|found| std::ptr::eq(found.document, document))
                .map(|found| found.value.to_mut())
            {
                Some(Value::Object(entries)) => entries.push(entry),
                Some(_) => return Err(RewriteError::Mismatch),
                None => {
                    let value = Cow::Owned(Value::Object(vec![entry]));
                    found.push(Found { document, value, reading: Reading::AsText });
                }
            }
            continue;
        }
        let Some((document, path)) = of_document else {
            if fields.next() != Some((name, text)) {
                return Err(RewriteError::Mismatch);
            }
            continue;
        };
        let known = found.iter().position(|found| std::ptr::eq(found.document, document));
        match (path, known) {
            ("", None) => {
                let value = Cow::Owned(read_json(text.as_bytes())?);
                found.push(Found { document, value, reading: Reading::Exact });
            }
            ("", Some(_)) => return Err(RewriteError::Mismatch),
            (path, known) => {
                let index = known.unwrap_or(found.len());
                if known.is_none() {
                    found.push(Found { document, value: Cow::Owned(Value::Null), reading: Reading::AsText });
                    spread.push((index, Brackets::default()));
                }
                let brackets = spread.iter_mut().find(|(at, _)| *at == index).ok_or(RewriteError::Mismatch)?;
                brackets.1.add(path, text, &unlimited).map_err(|_| RewriteError::Unreadable)?;
            }
        }
    }
    for (index, brackets) in spread {
        if let Some(found) = found.get_mut(index) {
            found.value = Cow::Owned(brackets.value().map_err(|_| RewriteError::Unreadable)?);
        }
    }
    if fields.next().is_some() { Err(RewriteError::Mismatch) } else { Ok(found) }
}

/// Reads JSON with `serde_json`: a name twice is an error, and a number is its digits, provided that `serde_json` reads that number there.
///
/// # Errors
///
/// [`RewriteError::Unreadable`].
pub(crate) fn read_json(text: &[u8]) -> Result<Value<'_>, RewriteError> {
    let text = std::str::from_utf8(text).map_err(|_| RewriteError::Unreadable)?;
    let numbers = RefCell::new(Numbers { rest: text });
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Seed { numbers: &numbers }.deserialize(&mut reader).map_err(|_| RewriteError::Unreadable)?;
    reader.end().map_err(|_| RewriteError::Unreadable)?;
    if numbers.borrow_mut().next().is_some() { Err(RewriteError::Unreadable) } else { Ok(value) }
}

/// The numbers of a JSON text, as written, in their order.
struct Numbers<'de> {
    rest: &'de str,
}

impl<'de> Iterator for Numbers<'de> {
    type Item = &'de str;

    fn next(&mut self) -> Option<&'de str> {
        loop {
            let at = self.rest.bytes().position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
            let (_, rest) = self.rest.split_at_checked(at)?;
            if let Some(text) = rest.strip_prefix('"') {
                self.rest = after_text(text)?;
                continue;
            }
            let is_of_number = |byte: u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
            let end = rest.bytes().position(|byte| !is_of_number(byte)).unwrap_or(rest.len());
            let (digits, rest) = rest.split_at_checked(end)?;
            self.rest = rest;
            return Some(digits);
        }
    }
}

/// What follows the closing quote.
fn after_text(mut text: &str) -> Option<&str> {
    loop {
        let at = memchr::memchr2(b'"', b'\\', text.as_bytes())?;
        let (_, rest) = text.split_at_checked(at)?;
        match rest.strip_prefix('"') {
            Some(after) => return Some(after),
            // A backslash and whatever it escapes; of `\u0022` the rest is plain.
            None => text = rest.get(2..)?,
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'n, 'de> {
    numbers: &'n RefCell<Numbers<'de>>,
}

impl<'de> Seed<'_, 'de> {
    fn number<E: Error>(self, agrees: impl Fn(&str) -> bool) -> Result<Value<'de>, E> {
        match self.numbers.borrow_mut().next() {
            Some(digits) if agrees(digits) => Ok(Value::Number(Cow::Borrowed(digits))),
            Some(_) | None => Err(E::custom("a number is not where it was written")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, 'de> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, 'de> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value<'de>, E> {
        self.number(|digits| digits.parse() == Ok(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value<'de>, E> {
        self.number(|digits| digits.parse() == Ok(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value<'de>, E> {
        // `serde_json` rounds the last bit its own way.
        let close = |digits: f64| (digits - value).abs() <= value.abs() * 4.0 * f64::EPSILON + f64::MIN_POSITIVE;
        self.number(|digits| digits.parse().is_ok_and(close))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut entries: Vec<Entry<'de>> = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            entries.push((name, map.next_value_seed(self)?));
        }
        let names = || entries.iter().map(|(name, _): &Entry<'_>| &**name);
        let twice = if entries.len() > FEW_NAMES {
            let mut names: Vec<&str> = names().collect();
            names.sort_unstable();
            names.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
        } else {
            names().enumerate().any(|(index, name)| names().take(index).any(|other| other == name))
        };
        if twice { Err(A::Error::custom("a name stands twice")) } else { Ok(Value::Object(entries)) }
    }
}

/// Up to so many names it is quicker to look at each pair than to sort them.
const FEW_NAMES: usize = 16;

/// A member's name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn forms_are_read_as_the_standard_reads_them(text in "([ab=&+%]|%[0-9a-fA-F]{2}|%2[0-9a-f]|\\PC){0,24}") {
            let theirs: Vec<(Cow<'_, str>, Cow<'_, str>)> = form_urlencoded::parse(text.as_bytes()).collect();
            let replaced = theirs.iter().flat_map(|(name, value)| [name, value]).any(|it| it.contains('\u{fffd}'));
            match parse_form(text.as_bytes()) {
                Ok(ours) => prop_assert_eq!(ours, theirs),
                Err(error) => prop_assert_eq!((error, replaced), (RewriteError::Unreadable, true)),
            }
        }
    }
}
