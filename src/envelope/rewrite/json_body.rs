//! A JSON body around its documents.

use super::super::walked::Removed;
use super::kept::{DocumentOut, Out};
use crate::decision::Value;
use crate::profile::DocumentAt;

pub(super) fn write_json<'v>(
    body: &'v Value<'v>,
    outs: Vec<DocumentOut<'v>>,
    removed: &Removed,
    room: usize,
) -> Vec<u8> {
    let slots = outs.into_iter().filter_map(|out| match &out.document.at {
        DocumentAt::Body(pointer) => Some((pointer.names(), out.out)),
        DocumentAt::Field(_) | DocumentAt::Fields(_) => None,
    });
    let mut bytes = Vec::with_capacity(room);
    embed(body, slots.collect(), removed).write(&mut bytes);
    bytes
}

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

const NO_MEMBERS: &Value<'static> = &Value::Object(Vec::new());
