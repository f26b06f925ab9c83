//! The walk over a document: which member is what.
//!
//! This is the one place that classifies members. It yields the writes for the decision and, in step with them, the nodes that the
//! rewriting goes along, so that write *i* of the one is write *i* of the other. It knows no verdict.

use std::borrow::Cow;

use super::EnvelopeError;
use super::guard::is_other_spelling;
use crate::decision::{Change, Group, GroupIndex, Role, Spelling, Update, Value, Write};
use crate::profile::{Collected, Members, Nested, Pairs, Rest, Shape};

/// What a token's claims say of attributes, read by the same walk as a document.
///
/// Claims that do not have their shape say nothing. One that `names` has, by its whole name, is the attribute that stands there.
#[must_use]
pub fn claims<'v>(shape: &'v Shape, names: &'v [(String, String)], claims: &'v Value<'v>) -> Update<'v> {
    let mut walk = Walk::default();
    let mut update = match walk.document(shape, claims, &[]) {
        Ok(_) => walk.update,
        Err(_) => Update::default(),
    };
    if names.is_empty() {
        return update;
    }
    for write in &mut update.writes {
        let attribute = names.iter().find(|(claim, _)| *claim == *write.full_name()).map(|(_, attribute)| attribute);
        if let (Some(attribute), Role::Attribute | Role::Setting) = (attribute, write.role) {
            let (prefix, name) = attribute.rsplit_once('.').unwrap_or(("", attribute));
            (write.prefix, write.name, write.role) = (prefix, Cow::Borrowed(name), Role::Attribute);
        }
    }
    update
}

/// A part of a document, in step with the writes: each `usize` is the index of a write.
#[derive(Debug)]
pub(super) enum Node<'v> {
    /// Goes as its write's verdict says.
    Write(&'v Value<'v>, usize),
    /// A name in a list of names to delete.
    Name(&'v Value<'v>, usize),
    /// No attribute of its own; goes where what is around it goes.
    Kept(&'v Value<'v>),
    Object(Vec<(&'v str, Node<'v>)>),
    List(Vec<Node<'v>>),
    /// An object that one write stands for, its value at a member.
    Bound {
        write: usize,
        value: &'v str,
        entries: Vec<(&'v str, Node<'v>)>,
    },
}

/// Pointers to tokens that only this gateway reads, relative to where the walk is.
pub(super) type OwnPointers<'p> = [&'p [String]];

/// The walk over the documents of one envelope, or over claims.
#[derive(Default)]
pub(super) struct Walk<'v> {
    pub(super) update: Update<'v>,
}

/// What stands where a value was not sent.
const ABSENT: &Value<'static> = &Value::Null;

impl<'v> Walk<'v> {
    /// Walks over one document and adds its writes.
    ///
    /// # Errors
    ///
    /// The document is not of its shape.
    pub(super) fn document(
        &mut self,
        shape: &'v Shape,
        value: &'v Value<'v>,
        own: &OwnPointers<'_>,
    ) -> Result<Node<'v>, EnvelopeError> {
        self.shaped(shape, value, None, own)
    }

    fn shaped(
        &mut self,
        shape: &'v Shape,
        value: &'v Value<'v>,
        group: Option<GroupIndex>,
        own: &OwnPointers<'_>,
    ) -> Result<Node<'v>, EnvelopeError> {
        match (shape, value) {
            (Shape::Opaque, _) => Ok(Node::Kept(value)),
            (Shape::Members(members), Value::Object(_)) => self.members(members, value, group, own),
            (Shape::Collected(collected), Value::Object(_)) => self.collected(collected, value),
            (Shape::Names { prefix }, Value::List(items)) => {
                items.iter().map(|item| self.name(prefix, item)).collect::<Result<_, _>>().map(Node::List)
            }
            (Shape::Pairs(pairs), Value::List(items)) => {
                items.iter().map(|item| self.pair(pairs, item)).collect::<Result<_, _>>().map(Node::List)
            }
            (Shape::Members(_) | Shape::Collected(_), _) => Err(EnvelopeError::NotAnObject),
            (Shape::Names { .. } | Shape::Pairs(_), _) => Err(EnvelopeError::NotAList),
        }
    }

    fn members(
        &mut self,
        members: &'v Members,
        object: &'v Value<'v>,
        around: Option<GroupIndex>,
        own: &OwnPointers<'_>,
    ) -> Result<Node<'v>, EnvelopeError> {
        let group = match &members.group {
            Some(rule) => {
                self.update.groups.push(Group {
                    name: &rule.name,
                    id: id_of(object, &rule.id),
                    required: &rule.required,
                });
                Some(GroupIndex(self.update.groups.len() - 1))
            }
            None => around,
        };
        let entries = object.as_object().unwrap_or_default();
        let mut nodes = Vec::with_capacity(entries.len());
        self.update.writes.reserve(entries.len());
        for (name, value) in entries {
            let (mut own_here, mut own_below) = (false, Vec::new());
            for pointer in own {
                match pointer.split_first() {
                    Some((first, [])) => own_here |= first == name,
                    Some((first, rest)) if first == name => own_below.push(rest),
                    Some(_) | None => {}
                }
            }
            let member = Member { members, group, name };
            let nested = members.nested.iter().find(|(nested, _)| nested == name);
            let node = match nested {
                Some((_, nested)) => self.nested(nested, &member, value, &own_below)?,
                None if own_here => self.write(&member, value, Role::OwnCredential),
                None => self.write(&member, value, role(members, name)),
            };
            nodes.push((&**name, node));
        }
        Ok(Node::Object(nodes))
    }

    fn nested(
        &mut self,
        nested: &'v Nested,
        member: &Member<'v>,
        value: &'v Value<'v>,
        own: &OwnPointers<'_>,
    ) -> Result<Node<'v>, EnvelopeError> {
        match nested {
            Nested::One(shape) => self.part(shape, member, value, own),
            Nested::Each(shape) => match value {
                Value::List(items) if !items.is_empty() => items
                    .iter()
                    .map(|item| self.part(shape, member, item, own))
                    .collect::<Result<_, _>>()
                    .map(Node::List),
                // As forms spell lists: the names are indices.
                Value::Object(entries) if is_list_of_form(value) => entries
                    .iter()
                    .map(|(index, item)| Ok((&**index, self.part(shape, member, item, own)?)))
                    .collect::<Result<_, _>>()
                    .map(Node::Object),
                // Also an empty list: to a backend that replaces, it clears all there was.
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Text(_)
                | Value::List(_)
                | Value::Object(_) => Ok(self.write(member, value, whole(shape))),
            },
        }
    }

    /// One nested object, or whatever stands in its place.
    fn part(
        &mut self,
        shape: &'v Shape,
        member: &Member<'v>,
        value: &'v Value<'v>,
        own: &OwnPointers<'_>,
    ) -> Result<Node<'v>, EnvelopeError> {
        match (shape, value) {
            (Shape::Members(members), Value::Object(_)) => self.members(members, value, member.group, own),
            (Shape::Members(_) | Shape::Opaque, _) => Ok(self.write(member, value, whole(shape))),
            (Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_), _) => {
                self.shaped(shape, value, member.group, own)
            }
        }
    }

    fn write(&mut self, member: &Member<'v>, value: &'v Value<'v>, role: Role) -> Node<'v> {
        let write = Write {
            prefix: &member.members.prefix,
            name: Cow::Borrowed(member.name),
            change: Change::Set(value),
            role,
            spelling: member.members.spelling,
            group: member.group,
        };
        Node::Write(value, self.push(write))
    }

    fn setting(&mut self, name: &'v str, value: &'v Value<'v>) -> Node<'v> {
        Node::Write(value, self.push(plain_write("", name, Change::Set(value), Role::Setting)))
    }

    fn push(&mut self, write: Write<'v>) -> usize {
        self.update.writes.push(write);
        self.update.writes.len() - 1
    }

    fn collected(&mut self, shape: &'v Collected, answer: &'v Value<'v>) -> Result<Node<'v>, EnvelopeError> {
        let identifier = answer.member(&shape.identifier).and_then(Value::as_text).ok_or(EnvelopeError::NameNotText)?;
        let by_prefix = shape
            .prefixes
            .iter()
            .find_map(|(spelled, prefix)| Some((prefix.as_str(), identifier.strip_prefix(spelled.as_str())?)));
        let (prefix, name) = by_prefix.unwrap_or(("", identifier));
        self.bound(prefix, name, &shape.identifier, &shape.value, answer)
    }

    fn pair(&mut self, shape: &'v Pairs, pair: &'v Value<'v>) -> Result<Node<'v>, EnvelopeError> {
        let name = pair.member(&shape.name).and_then(Value::as_text).ok_or(EnvelopeError::NameNotText)?;
        self.bound(&shape.prefix, name, &shape.name, &shape.value, pair)
    }

    /// An object whose member `named_by` names an attribute and whose member `value` is its value; its other members are settings.
    fn bound(
        &mut self,
        prefix: &'v str,
        name: &'v str,
        named_by: &'v str,
        value: &'v str,
        object: &'v Value<'v>,
    ) -> Result<Node<'v>, EnvelopeError> {
        let members = object.as_object().unwrap_or_default();
        // To a backend that compares without case, `Value` is the value, and whichever of the two comes last.
        if members.iter().any(|(name, _)| is_other_spelling(name, named_by) || is_other_spelling(name, value)) {
            return Err(EnvelopeError::DisguisedField);
        }
        let set = Change::Set(object.member(value).unwrap_or(ABSENT));
        let write = self.push(plain_write(prefix, name, set, Role::Attribute));
        let entries = members.iter().map(|(name, member)| {
            let of_write = name == named_by || name == value;
            (&**name, if of_write { Node::Kept(member) } else { self.setting(name, member) })
        });
        let entries = entries.collect();
        Ok(Node::Bound { write, value, entries })
    }

    fn name(&mut self, prefix: &'v str, item: &'v Value<'v>) -> Result<Node<'v>, EnvelopeError> {
        let name = item.as_text().ok_or(EnvelopeError::NameNotText)?;
        Ok(Node::Name(item, self.push(plain_write(prefix, name, Change::Delete, Role::Attribute))))
    }
}

/// A member of an object, before it is known what it is.
struct Member<'v> {
    members: &'v Members,
    group: Option<GroupIndex>,
    name: &'v str,
}

fn plain_write<'v>(prefix: &'v str, name: &'v str, change: Change<'v>, role: Role) -> Write<'v> {
    Write { prefix, name: Cow::Borrowed(name), change, role, spelling: Spelling::Own, group: None }
}

/// Names are compared exactly as spelled: what only looks like a setting is an attribute, and judged.
fn role(members: &Members, name: &str) -> Role {
    let named = |names: &[String]| names.iter().any(|other| other == name);
    match members.rest {
        _ if named(&members.credentials) => Role::Credential,
        _ if named(&members.settings) => Role::Setting,
        Rest::Attributes => Role::Attribute,
        Rest::Settings => Role::Setting,
    }
}

/// What a member is that is written as a whole although its shape has parts.
fn whole(shape: &Shape) -> Role {
    match shape {
        Shape::Members(_) | Shape::Collected(_) | Shape::Names { .. } | Shape::Pairs(_) => Role::WholeGroup,
        Shape::Opaque => Role::Setting,
    }
}

/// The id of a group's object, if all the places that name it agree, and nothing else may be taken for one: a backend that looked there would
/// change another object.
fn id_of<'v>(object: &'v Value<'v>, names: &[String]) -> Option<&'v str> {
    let named = |name: &str| names.iter().any(|other| other == name);
    let other_spelling = |name: &str| names.iter().any(|other| is_other_spelling(name, other)) && !named(name);
    if object.as_object().unwrap_or_default().iter().any(|(name, _)| other_spelling(name)) {
        return None;
    }
    let mut present = names.iter().filter_map(|name| object.member(name));
    let id = present.next()?.as_id()?;
    present.all(|other| other.as_id() == Some(id)).then_some(id)
}

fn is_list_of_form(value: &Value<'_>) -> bool {
    value.as_object().is_some_and(|entries| {
        !entries.is_empty()
            && entries.iter().all(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests;
