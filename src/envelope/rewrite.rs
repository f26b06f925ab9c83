//! Rewriting: the body, written anew around what was kept.
//!
//! Nothing of the bytes that came is copied: what leaves is a value that was read and judged, in our own spelling.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;

use super::open::field_of;
use super::opened::{Envelope, Opened, Parsed, Part, Spelled};
use super::walk::Node;
use super::walked::{Removed, Walked};
use super::{brackets, form, json, read_back};
use crate::decision::{Addition, Additions, Effect, Folding, Judged, Value, Verdict};
use crate::policy::ReadBack;
use crate::profile::{Accepts, Document, DocumentAt, Members, Nested, Shape};

/// A body that holds what was judged and nothing else.
///
/// It has one maker, [`Walked::rewrite`]:
///
/// ```compile_fail
/// let body = bytes::Bytes::from_static(b"user_data={}");
/// let rewritten = countersign::envelope::Rewritten { body, content_type: None };
/// ```
pub struct Rewritten {
    body: Bytes,
    content_type: Option<&'static str>,
}

impl Rewritten {
    /// The body, without any content coding.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body, given away.
    #[must_use]
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The type to declare; `None` where there is no body.
    #[must_use]
    pub fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }
}

/// Says how long it is and never what is in it.
impl fmt::Debug for Rewritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rewritten({} bytes)", self.body.len())
    }
}

/// Why a judged update could not be written. All of these are our own mistakes, or the profile's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    #[error("the judgement is of another update")]
    Foreign,
    #[error("no object of the document accepts a signed attribute")]
    NoPlace,
    #[error("a signed attribute is to be added where its name stands already")]
    AdditionTwice,
    #[error("a value or name cannot be spelled in form brackets")]
    BracketValue,
    #[error("what was written cannot be read back")]
    Unreadable,
    #[error("what was written is not what was judged")]
    Mismatch,
}

impl Envelope<'_> {
    /// Whether any object of the operation's documents accepts attributes that the payload did not name.
    #[must_use]
    pub fn additions(&self) -> Additions {
        let accepts = self.operation.documents.iter().any(|document| accepts_any(&document.shape));
        if accepts { Additions::Welcome } else { Additions::Unwelcome }
    }
}

impl Walked<'_> {
    /// Writes the body anew: without what was left out, with the signed value where it replaces another, with what is added.
    ///
    /// # Errors
    ///
    /// `judged` is the judgement of another update; an addition has no place; the second reader does not find in the written body what was
    /// judged.
    pub fn rewrite(&self, judged: &Judged<'_>, read_back: ReadBack) -> Result<Rewritten, RewriteError> {
        let mut outs = self.kept(judged)?;
        if !self.add_all(judged.additions(), &mut outs)?.is_empty() {
            return Err(RewriteError::NoPlace);
        }
        let removed = self.removed_beside(judged);
        // What leaves is about as long as what came, unless the token adds much.
        let room = self.envelope.decoded.body_bytes();
        let (body, content_type) = match &self.envelope.parsed {
            Parsed::Empty => (Vec::new(), None),
            Parsed::Json(body) => (write_json(body, outs, &removed, room), Some("application/json")),
            Parsed::Form(parts) => {
                (write_form(parts, &outs, &removed, room)?, Some("application/x-www-form-urlencoded"))
            }
        };
        if cfg!(debug_assertions) || read_back == ReadBack::On {
            read_back::compare(self, judged, &removed, &body)?;
        }
        Ok(Rewritten { body: Bytes::from(body), content_type })
    }

    /// The names of those additions for which no object of these documents has a place.
    ///
    /// # Errors
    ///
    /// As for [`rewrite`](Self::rewrite).
    pub fn placeless(&self, judged: &Judged<'_>) -> Result<Vec<String>, RewriteError> {
        if judged.additions().is_empty() {
            return Ok(Vec::new());
        }
        let placeless = self.add_all(judged.additions(), &mut self.kept(judged)?)?;
        Ok(placeless.into_iter().map(|addition| addition.name.clone()).collect())
    }

    /// The documents without what was left out, and before anything is added.
    fn kept<'s>(&'s self, judged: &'s Judged<'s>) -> Result<Vec<DocumentOut<'s>>, RewriteError> {
        if self.update.writes.len() != judged.verdicts().len() {
            return Err(RewriteError::Foreign);
        }
        let removed = self.removed_beside(judged);
        let kept = self.documents.iter().map(|(Opened { document, spelled, value }, node)| {
            let out = match (&*document.shape, removed.is_empty()) {
                (Shape::Opaque, false) => without(value, &removed).unwrap_or_else(|| Out::emptied(value)),
                (
                    Shape::Opaque | Shape::Members(_) | Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_),
                    _,
                ) => keep(node, judged.verdicts())?.unwrap_or_else(|| Out::empty(&document.shape)),
            };
            Ok(DocumentOut { document, spelled: *spelled, out })
        });
        kept.collect()
    }

    /// Adds what has a place, and gives what has none.
    fn add_all<'v>(
        &'v self,
        additions: &'v [Addition<'v>],
        outs: &mut Vec<DocumentOut<'v>>,
    ) -> Result<Vec<&'v Addition<'v>>, RewriteError> {
        if additions.is_empty() {
            return Ok(Vec::new());
        }
        let present = outs.len();
        let absent = self.envelope.operation.documents.iter().filter(|document| {
            let can_be_made = match (&document.at, &self.envelope.parsed) {
                (DocumentAt::Body(_), Parsed::Json(_)) | (DocumentAt::Field(_), Parsed::Form(_)) => true,
                (DocumentAt::Body(_), Parsed::Empty | Parsed::Form(_))
                | (DocumentAt::Field(_), Parsed::Empty | Parsed::Json(_))
                | (DocumentAt::Fields(_), _) => false,
            };
            can_be_made && !outs.iter().any(|out| std::ptr::eq(out.document, *document))
        });
        let absent: Vec<DocumentOut<'_>> = absent
            .map(|document| DocumentOut { document, spelled: Spelled::Json, out: Out::empty(&document.shape) })
            .collect();
        outs.extend(absent);
        let mut pending: Vec<&Addition<'_>> = additions.iter().collect();
        for welcome in [Welcome::ByName, Welcome::Any, Welcome::Dotted] {
            let mut elsewhere = Vec::new();
            if welcome == Welcome::Dotted {
                elsewhere = pending.extract_if(.., |addition| self.is_path(&addition.name)).collect();
            }
            for out in outs.iter_mut() {
                if let (Shape::Members(members), Out::Object(entries)) = (&*out.document.shape, &mut out.out) {
                    add(members, entries, &mut pending, welcome, &self.envelope.profile.folding)?;
                }
            }
            pending.extend(elsewhere);
        }
        let mut index = 0;
        outs.retain(|out| {
            index += 1;
            index <= present || !out.out.is_empty()
        });
        Ok(pending)
    }

    /// Whether a name with dots leads to an object that this messenger knows, if not here then in another of its requests: then it is no
    /// name of a member with dots in it.
    fn is_path(&self, full: &str) -> bool {
        let Envelope { profile, operation, .. } = self.envelope;
        let operations = profile.operations.iter().map(|operation| &**operation).chain([*operation]);
        let documents = operations.flat_map(|operation| &operation.documents).map(|document| &*document.shape);
        documents.chain([&*profile.claims]).any(|shape| leads_into(shape, full, &profile.folding))
    }
}

fn leads_into(shape: &Shape, full: &str, folding: &Folding) -> bool {
    match shape {
        Shape::Members(members) => {
            let here = !members.prefix.is_empty() && member_of(full, &members.prefix, folding).is_some();
            here || members.nested.iter().any(|(_, nested)| match nested {
                Nested::One(shape) | Nested::Each(shape) => leads_into(shape, full, folding),
            })
        }
        Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_) | Shape::Opaque => false,
    }
}

struct DocumentOut<'v> {
    document: &'v Document,
    spelled: Spelled,
    out: Out<'v>,
}

/// What goes on.
enum Out<'v> {
    Value(&'v Value<'v>),
    Object(Vec<(&'v str, Out<'v>)>),
    List(Vec<Out<'v>>),
}

impl Out<'_> {
    fn empty(shape: &Shape) -> Self {
        match shape {
            Shape::Members(_) | Shape::Collected(_) | Shape::Opaque => Out::Object(Vec::new()),
            Shape::Names { .. } | Shape::Pairs(_) => Out::List(Vec::new()),
        }
    }

    /// What is left of a value of which nothing is.
    fn emptied(value: &Value<'_>) -> Self {
        match value {
            Value::List(_) => Out::List(Vec::new()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Object(_) => {
                Out::Object(Vec::new())
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Out::Value(_) => false,
            Out::Object(entries) => entries.is_empty(),
            Out::List(items) => items.is_empty(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Out::Value(value) => json::write(value, out),
            Out::Object(entries) => {
                json::write_object(entries.iter().map(|(name, value)| (*name, value)), out, Out::write);
            }
            Out::List(items) => json::write_list(items.iter(), out, Out::write),
        }
    }
}

/// What is left of a part; `None` where nothing of it is. What came empty stays empty; what was emptied goes, because an empty object or
/// list in its place may clear what is there.
fn keep<'v>(node: &Node<'v>, verdicts: &[Verdict<'v>]) -> Result<Option<Out<'v>>, RewriteError> {
    let effect = |index: usize| verdicts.get(index).map(|verdict| verdict.effect).ok_or(RewriteError::Foreign);
    match node {
        Node::Kept(value) => Ok(Some(Out::Value(value))),
        Node::Write(value, index) => Ok(match effect(*index)? {
            Effect::Kept => Some(Out::Value(value)),
            Effect::Replaced(signed) => Some(Out::Value(signed)),
            Effect::LeftOut => None,
        }),
        // In a list of names to delete there is no room for a value: what a token sets is not deleted.
        Node::Name(name, index) => Ok(match effect(*index)? {
            Effect::Kept => Some(Out::Value(name)),
            Effect::Replaced(_) | Effect::LeftOut => None,
        }),
        Node::Object(entries) => {
            let kept = keep_entries(entries, verdicts)?;
            Ok((entries.is_empty() || !kept.is_empty()).then_some(Out::Object(kept)))
        }
        Node::List(items) => {
            let kept = items.iter().filter_map(|item| keep(item, verdicts).transpose());
            let kept = kept.collect::<Result<Vec<_>, _>>()?;
            Ok((items.is_empty() || !kept.is_empty()).then_some(Out::List(kept)))
        }
        Node::Bound { write, value, entries } => {
            let effect = effect(*write)?;
            if effect == Effect::LeftOut {
                return Ok(None);
            }
            let mut kept = keep_entries(entries, verdicts)?;
            if let Effect::Replaced(signed) = effect {
                match kept.iter_mut().find(|(name, _)| name == value) {
                    Some((_, old)) => *old = Out::Value(signed),
                    None => kept.push((value, Out::Value(signed))),
                }
            }
            Ok(Some(Out::Object(kept)))
        }
    }
}

/// A value of no shape, without what was taken out of it. What is emptied by that goes too.
fn without<'v>(value: &'v Value<'v>, removed: &Removed) -> Option<Out<'v>> {
    if removed.has(value) {
        return None;
    }
    match value {
        Value::List(items) if !items.is_empty() => {
            let kept: Vec<Out<'_>> = items.iter().filter_map(|item| without(item, removed)).collect();
            (!kept.is_empty()).then_some(Out::List(kept))
        }
        Value::Object(entries) if !entries.is_empty() => {
            let kept = entries.iter().filter_map(|(name, value)| Some((&**name, without(value, removed)?)));
            let kept: Vec<(&str, Out<'_>)> = kept.collect();
            (!kept.is_empty()).then_some(Out::Object(kept))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
            Some(Out::Value(value))
        }
    }
}

fn keep_entries<'v>(
    entries: &[(&'v str, Node<'v>)],
    verdicts: &[Verdict<'v>],
) -> Result<Vec<(&'v str, Out<'v>)>, RewriteError> {
    let mut all = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        if let Some(kept) = keep(node, verdicts)? {
            all.push((*name, kept));
        }
    }
    Ok(all)
}

/// Why an object accepts an addition; tried in this order over all objects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Welcome {
    ByName,
    Any,
    /// A name with dots in it that is no path to any object.
    Dotted,
}

/// Puts into `entries`, and the objects below, what of `pending` they accept.
fn add<'v>(
    members: &'v Members,
    entries: &mut Vec<(&'v str, Out<'v>)>,
    pending: &mut Vec<&'v Addition<'v>>,
    welcome: Welcome,
    folding: &Folding,
) -> Result<(), RewriteError> {
    if pending.is_empty() {
        return Ok(());
    }
    let mut accepted = Vec::new();
    pending.retain(|addition| match accepts(members, &addition.name, welcome, folding) {
        Some(name) => {
            accepted.push((name, addition.value));
            false
        }
        None => true,
    });
    if !accepted.is_empty() {
        let present: HashSet<&str> = entries.iter().map(|(name, _)| *name).collect();
        if accepted.iter().any(|(name, _)| present.contains(name)) {
            return Err(RewriteError::AdditionTwice);
        }
        entries.extend(accepted.into_iter().map(|(name, value)| (name, Out::Value(value))));
    }
    for (name, nested) in &members.nested {
        let Nested::One(shape) = nested else { continue };
        let Shape::Members(inner) = &**shape else { continue };
        match entries.iter_mut().find(|(other, _)| other == name) {
            Some((_, Out::Object(below))) => add(inner, below, pending, welcome, folding)?,
            // Something else stands in the object's place.
            Some((_, Out::Value(_) | Out::List(_))) => {}
            None => {
                let mut below = Vec::new();
                add(inner, &mut below, pending, welcome, folding)?;
                if !below.is_empty() {
                    entries.push((name, Out::Object(below)));
                }
            }
        }
    }
    Ok(())
}

fn accepts_any(shape: &Shape) -> bool {
    match shape {
        Shape::Members(members) => {
            members.accepts != Accepts::Nothing
                || members.nested.iter().any(|(_, nested)| match nested {
                    Nested::One(shape) => accepts_any(shape),
                    Nested::Each(_) => false,
                })
        }
        Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_) | Shape::Opaque => false,
    }
}

/// The member's name under which `members` accepts the attribute `full`.
fn accepts<'n>(members: &Members, full: &'n str, welcome: Welcome, folding: &Folding) -> Option<&'n str> {
    let member = match welcome {
        Welcome::ByName | Welcome::Any => member_of(full, &members.prefix, folding)?,
        Welcome::Dotted if members.prefix.is_empty() && full.contains('.') => full,
        Welcome::Dotted => return None,
    };
    let accepted = match (&members.accepts, welcome) {
        (Accepts::Only(names), Welcome::ByName) => names.iter().any(|name| name == member || name == full),
        (Accepts::Any, Welcome::Any | Welcome::Dotted) => true,
        (Accepts::Nothing, _)
        | (Accepts::Any, Welcome::ByName)
        | (Accepts::Only(_), Welcome::Any | Welcome::Dotted) => false,
    };
    // A member of that name would be read as an object.
    (accepted && !members.nested.iter().any(|(nested, _)| nested == member)).then_some(member)
}

/// The last segment of `full`, if the others lead to the object at `prefix`. Containers lead nowhere: `custom_attributes.plan` is `plan`.
fn member_of<'n>(full: &'n str, prefix: &str, folding: &Folding) -> Option<&'n str> {
    let (path, member) = full.rsplit_once('.').unwrap_or(("", full));
    let container = |segment: &&str| folding.containers.iter().any(|container| container == segment);
    let path = path.split('.').filter(|segment| !segment.is_empty() && !container(segment));
    path.eq(prefix.split('.').filter(|segment| !segment.is_empty())).then_some(member)
}

fn write_json<'v>(body: &'v Value<'v>, outs: Vec<DocumentOut<'v>>, removed: &Removed, room: usize) -> Vec<u8> {
    let slots = outs.into_iter().filter_map(|out| match &out.document.at {
        DocumentAt::Body(pointer) => Some((pointer.names(), out.out)),
        DocumentAt::Field(_) | DocumentAt::Fields(_) => None,
    });
    let mut bytes = Vec::with_capacity(room);
    embed(body, slots.collect(), removed).write(&mut bytes);
    bytes
}

const NO_MEMBERS: &Value<'static> = &Value::Object(Vec::new());

/// The body with its documents in their places.
fn embed<'v>(value: &'v Value<'v>, mut slots: Vec<(&'v [String], Out<'v>)>, removed: &Removed) -> Out<'v> {
    if let Some(here) = slots.iter().position(|(pointer, _)| pointer.is_empty()) {
        return slots.swap_remove(here).1;
    }
    if slots.is_empty() && removed.is_empty() {
        return Out::Value(value);
    }
    let entries = match value {
        Value::Object(entries) => entries,
        Value::List(items) => {
            let kept = items.iter().filter(|item| !removed.has(item));
            return Out::List(kept.map(|item| embed(item, Vec::new(), removed)).collect());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return Out::Value(value),
    };
    let mut below = |name: &str| -> Vec<(&'v [String], Out<'v>)> {
        let taken = slots.extract_if(.., |(pointer, _)| pointer.first().is_some_and(|first| first == name));
        taken.map(|(pointer, out)| (pointer.get(1..).unwrap_or_default(), out)).collect()
    };
    let mut out = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let below = below(name);
        // What is left of a document stands in its slot.
        if !removed.has(value) || !below.is_empty() {
            out.push((&**name, embed(value, below, removed)));
        }
    }
    while let Some((Some(name), _)) = slots.first().map(|(pointer, out)| (pointer.first(), out)) {
        let taken = slots.extract_if(.., |(pointer, _)| pointer.first() == Some(name));
        let taken = taken.map(|(pointer, out)| (pointer.get(1..).unwrap_or_default(), out)).collect();
        out.push((name, embed(NO_MEMBERS, taken, removed)));
    }
    Out::Object(out)
}

fn write_form(
    parts: &[Part<'_>],
    outs: &[DocumentOut<'_>],
    removed: &Removed,
    room: usize,
) -> Result<Vec<u8>, RewriteError> {
    let mut bytes = Vec::with_capacity(room);
    let mut outs = outs.iter();
    for part in parts {
        match part {
            Part::Field { name, value } => {
                if !removed.has(value) {
                    form::write(name, value.as_text().unwrap_or_default().as_bytes(), &mut bytes);
                }
            }
            // The documents are in the order of their parts.
            Part::Document { .. } => write_field(outs.next().ok_or(RewriteError::Foreign)?, &mut bytes)?,
        }
    }
    // Those that were made for additions.
    outs.try_for_each(|out| write_field(out, &mut bytes))?;
    Ok(bytes)
}

fn write_field(out: &DocumentOut<'_>, bytes: &mut Vec<u8>) -> Result<(), RewriteError> {
    let field = field_of(out.document);
    match out.spelled {
        Spelled::Json => {
            let mut text = Vec::with_capacity(bytes.capacity() - bytes.len());
            out.out.write(&mut text);
            form::write(field, &text, bytes);
            Ok(())
        }
        Spelled::Brackets => write_brackets(&mut field.to_owned(), &out.out, bytes),
        Spelled::Fields => write_attributes(out, bytes),
    }
}

/// Each member goes back into the field that it came in.
fn write_attributes(out: &DocumentOut<'_>, bytes: &mut Vec<u8>) -> Result<(), RewriteError> {
    let DocumentAt::Fields(fields) = &out.document.at else { return Err(RewriteError::Foreign) };
    let Out::Object(entries) = &out.out else { return Err(RewriteError::Foreign) };
    for (attribute, value) in entries {
        let field = fields.iter().find(|field| field.attribute == **attribute).ok_or(RewriteError::Foreign)?;
        match value {
            Out::Value(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_))) => {
                form::write(&field.field, bracket_text(value).as_bytes(), bytes);
            }
            Out::Value(Value::List(_) | Value::Object(_)) | Out::Object(_) | Out::List(_) => {
                return Err(RewriteError::BracketValue);
            }
        }
    }
    Ok(())
}

fn write_brackets(name: &mut String, out: &Out<'_>, bytes: &mut Vec<u8>) -> Result<(), RewriteError> {
    match out {
        Out::Object(entries) => {
            entries.iter().try_for_each(|(segment, out)| below(name, segment, |name| write_brackets(name, out, bytes)))
        }
        Out::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, out)| within(name, &index.to_string(), |name| write_brackets(name, out, bytes))),
        Out::Value(value) => write_bracket_value(name, value, bytes),
    }
}

fn write_bracket_value(name: &mut String, value: &Value<'_>, bytes: &mut Vec<u8>) -> Result<(), RewriteError> {
    match value {
        Value::Object(entries) if !entries.is_empty() => entries
            .iter()
            .try_for_each(|(segment, value)| below(name, segment, |name| write_bracket_value(name, value, bytes))),
        Value::List(items) if !items.is_empty() => items.iter().enumerate().try_for_each(|(index, value)| {
            within(name, &index.to_string(), |name| write_bracket_value(name, value, bytes))
        }),
        // Brackets know no empty object and no empty list.
        Value::Object(_) | Value::List(_) => Err(RewriteError::BracketValue),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            form::write(name, bracket_text(value).as_bytes(), bytes);
            Ok(())
        }
    }
}

/// A scalar as forms know it: everything is text.
pub(super) fn bracket_text<'s>(value: &'s Value<'_>) -> Cow<'s, str> {
    match value {
        Value::Text(text) | Value::Number(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Null | Value::List(_) | Value::Object(_) => Cow::Borrowed(""),
    }
}

fn below(
    name: &mut String,
    segment: &str,
    write: impl FnOnce(&mut String) -> Result<(), RewriteError>,
) -> Result<(), RewriteError> {
    if brackets::can_spell(segment) { within(name, segment, write) } else { Err(RewriteError::BracketValue) }
}

fn within(
    name: &mut String,
    segment: &str,
    write: impl FnOnce(&mut String) -> Result<(), RewriteError>,
) -> Result<(), RewriteError> {
    let length = name.len();
    name.push('[');
    name.push_str(segment);
    name.push(']');
    let written = write(name);
    name.truncate(length);
    written
}

#[cfg(test)]
mod tests;
