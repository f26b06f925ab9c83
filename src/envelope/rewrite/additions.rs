//! Additions: signed attributes that the payload did not name, and the objects that have a place for them.

use std::collections::HashSet;

use super::super::opened::{Envelope, Parsed, Spelled};
use super::super::read_back::plain_name;
use super::super::walked::Walked;
use super::RewriteError;
use super::kept::{DocumentOut, Out};
use crate::decision::{Addition, Additions, Folding};
use crate::profile::{Accepts, DocumentAt, Members, Nested, Shape};

impl Envelope<'_> {
    /// Whether any object of the operation's documents accepts attributes that the payload did not name.
    #[must_use]
    pub fn additions(&self) -> Additions {
        let accepts = self.operation.documents.iter().any(|document| accepts_any(&document.shape));
        if accepts { Additions::Welcome } else { Additions::Unwelcome }
    }
}

impl Walked<'_> {
    /// Adds what has a place, and gives what has none.
    pub(super) fn add_all<'v>(
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
        // Two claims may be one member: `tier` and `custom_attributes.tier`. The first counts, as where a token says one name twice; for the
        // other there is no place in any object, so that no backend has two values to choose from.
        let folding = &self.envelope.profile.folding;
        let mut named = HashSet::new();
        let (mut pending, again): (Vec<&Addition<'_>>, Vec<_>) =
            additions.iter().partition(|addition| named.insert(plain_name(&addition.name, folding)));
        for welcome in [Welcome::ByName, Welcome::Any, Welcome::Dotted] {
            let mut elsewhere = Vec::new();
            if welcome == Welcome::Dotted {
                elsewhere = pending.extract_if(.., |addition| self.is_path(&addition.name)).collect();
            }
            for out in outs.iter_mut() {
                if let (Shape::Members(members), Out::Object(entries)) = (&*out.document.shape, &mut out.out) {
                    add(members, entries, &mut pending, welcome, folding)?;
                }
            }
            pending.extend(elsewhere);
        }
        pending.extend(again);
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
        let mut present: HashSet<&str> = entries.iter().map(|(name, _)| *name).collect();
        if accepted.iter().any(|(name, _)| !present.insert(name)) {
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

/// The last segment of `full`, if the others lead to the object at `prefix`. Containers lead nowhere: `custom_attributes.plan` is `plan`.
fn member_of<'n>(full: &'n str, prefix: &str, folding: &Folding) -> Option<&'n str> {
    let (path, member) = full.rsplit_once('.').unwrap_or(("", full));
    let container = |segment: &&str| folding.containers.iter().any(|container| container == segment);
    let path = path.split('.').filter(|segment| !segment.is_empty() && !container(segment));
    path.eq(prefix.split('.').filter(|segment| !segment.is_empty())).then_some(member)
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
