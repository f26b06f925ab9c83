//! What goes on of the documents: what the verdicts leave of them.

use super::super::json;
use super::super::opened::{Opened, Spelled};
use super::super::walk::Node;
use super::super::walked::{Removed, Walked};
use super::RewriteError;
use crate::decision::{Effect, Judged, Value, Verdict};
use crate::profile::{Document, Shape};

/// A document as it goes on.
pub(super) struct DocumentOut<'v> {
    pub(super) document: &'v Document,
    pub(super) spelled: Spelled,
    pub(super) out: Out<'v>,
}

/// What goes on.
pub(super) enum Out<'v> {
    Value(&'v Value<'v>),
    Object(Vec<(&'v str, Out<'v>)>),
    List(Vec<Out<'v>>),
}

impl Walked<'_> {
    /// The documents without what was left out, and before anything is added.
    pub(super) fn kept<'s>(&'s self, judged: &'s Judged<'s>) -> Result<Vec<DocumentOut<'s>>, RewriteError> {
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

impl Out<'_> {
    pub(super) fn empty(shape: &Shape) -> Self {
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

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Out::Value(_) => false,
            Out::Object(entries) => entries.is_empty(),
            Out::List(items) => items.is_empty(),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Out::Value(value) => json::write(value, out),
            Out::Object(entries) => {
                json::write_object(entries.iter().map(|(name, value)| (*name, value)), out, Out::write);
            }
            Out::List(items) => json::write_list(items.iter(), out, Out::write),
        }
    }
}
