//! A form around its documents, each spelled as it came: as JSON text, in brackets, or as fields of its own.

use std::borrow::Cow;

use super::super::open::field_of;
use super::super::opened::{Part, Spelled};
use super::super::walked::Removed;
use super::super::{brackets, form};
use super::RewriteError;
use super::kept::{DocumentOut, Out};
use crate::decision::Value;
use crate::profile::DocumentAt;

pub(super) fn write_form(
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

/// A scalar as forms know it: everything is text.
pub(in crate::envelope) fn bracket_text<'s>(value: &'s Value<'_>) -> Cow<'s, str> {
    match value {
        Value::Text(text) | Value::Number(text) => Cow::Borrowed(text),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Null | Value::List(_) | Value::Object(_) => Cow::Borrowed(""),
    }
}
