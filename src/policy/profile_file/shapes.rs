//! Shapes by name: from what a file says of each to shapes that hold one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::finding::Findings;
use super::super::reader::{Named, Placed, closest, one_of, quoted};
use super::super::source::Source;
use super::raw::{RawAccepts, RawGroup, RawObject, RawShape};
use crate::decision::Spelling;
use crate::profile::{Accepts, Collected, GroupRule, Members, Nested, Pairs, Rest, Shape};

/// The shape that every file has without saying so: read strictly, passed on whole.
const OPAQUE: &str = "opaque";

/// The shapes of a file.
pub(super) struct Shapes {
    /// `None` for one that has mistakes, which are already among the findings.
    shapes: BTreeMap<String, Option<Arc<Shape>>>,
}

impl Shapes {
    /// Builds all shapes of a file.
    pub(super) fn build(raw: Vec<Named<RawShape>>, source: &Source, findings: &mut Findings) -> Self {
        for Named { name, .. } in raw.iter().filter(|raw| raw.name.value == OPAQUE) {
            let message = format!("shape `{OPAQUE}`: is there in every profile and cannot be another");
            findings.error(source, name.span.clone(), message);
        }
        let shapes = BTreeMap::from([(OPAQUE.to_owned(), Some(Arc::new(Shape::Opaque)))]);
        let mut builder = Builder { raw: &raw, source, findings, shapes, open: Vec::new() };
        for Named { name, .. } in &raw {
            builder.build(&name.value);
        }
        Self { shapes: builder.shapes }
    }

    /// Finds the shape that a value names; `whose` stands before the message.
    pub(super) fn find(
        &self,
        name: &Placed<String>,
        whose: &str,
        source: &Source,
        findings: &mut Findings,
    ) -> Option<Arc<Shape>> {
        if let Some(shape) = self.shapes.get(&name.value) {
            return shape.clone();
        }
        unknown_shape(name, &name.value, whose, self.shapes.keys().map(String::as_str), source, findings);
        None
    }
}

fn unknown_shape<'n>(
    place: &Placed<String>,
    name: &str,
    whose: &str,
    known: impl Iterator<Item = &'n str> + Clone,
    source: &Source,
    findings: &mut Findings,
) {
    let finding = findings.error(source, place.span.clone(), format!("{whose}: unknown shape {}", quoted(name)));
    match closest(name, known.clone()) {
        Some(word) => finding.help(format!("did you mean `{word}`?")),
        None => finding.help(format!("known here: {}", one_of(known))),
    };
}

struct Builder<'r> {
    raw: &'r [Named<RawShape>],
    source: &'r Source,
    findings: &'r mut Findings,
    shapes: BTreeMap<String, Option<Arc<Shape>>>,
    /// The shapes that wait for one that they hold, outermost first.
    open: Vec<&'r str>,
}

impl<'r> Builder<'r> {
    fn build(&mut self, name: &str) -> Option<Arc<Shape>> {
        if let Some(shape) = self.shapes.get(name) {
            return shape.clone();
        }
        let Named { name, value: raw } = self.raw.iter().find(|raw| raw.name.value == name)?;
        self.open.push(&name.value);
        let shape = self.shape(&name.value, raw).map(Arc::new);
        self.open.pop();
        self.shapes.insert(name.value.clone(), shape.clone());
        shape
    }

    fn shape(&mut self, name: &str, raw: &'r RawShape) -> Option<Shape> {
        match raw {
            RawShape::Object(object) => self.members(name, object).map(Shape::Members),
            RawShape::Answer { identifier, value, prefixes } => Some(Shape::Collected(Collected {
                identifier: text(identifier.as_ref())?,
                value: text(value.as_ref())?,
                prefixes: prefixes
                    .iter()
                    .map(|prefix| (prefix.name.value.clone(), prefix.value.value.clone()))
                    .collect(),
            })),
            RawShape::Answers { name, value, prefix } => Some(Shape::Pairs(Pairs {
                name: text(name.as_ref())?,
                value: text(value.as_ref())?,
                prefix: text(prefix.as_ref()).unwrap_or_default(),
            })),
            RawShape::Names { prefix } => Some(Shape::Names { prefix: text(prefix.as_ref()).unwrap_or_default() }),
            RawShape::Opaque => Some(Shape::Opaque),
            RawShape::Unknown => None,
        }
    }

    fn members(&mut self, name: &str, raw: &'r RawObject) -> Option<Members> {
        let RawObject { prefix, spelling, rest, settings, credentials, nested, group, accepts } = raw;
        self.refuse_members_named_twice(name, raw);
        let nested: Vec<Option<(String, Nested)>> = nested.iter().map(|nested| self.nested(name, nested)).collect();
        let group = match group {
            Some(group) => Some(self.group(name, group)?),
            None => None,
        };
        Some(Members {
            prefix: text(prefix.as_ref()).unwrap_or_default(),
            // What stands here is what the keys mean where a file leaves them out: attributes of this place, to which nothing is added.
            spelling: spelling.as_ref().map_or(Spelling::Own, |spelling| spelling.value),
            rest: rest.as_ref().map_or(Rest::Attributes, |rest| rest.value),
            accepts: match accepts.as_ref().map(|accepts| &accepts.value) {
                None => Accepts::Nothing,
                Some(RawAccepts::Any) => Accepts::Any,
                Some(RawAccepts::Only(names)) => Accepts::Only(values(names)),
            },
            group,
            settings: values(settings.as_deref().unwrap_or_default()),
            credentials: values(credentials.as_deref().unwrap_or_default()),
            nested: nested.into_iter().collect::<Option<_>>()?,
        })
    }

    fn refuse_members_named_twice(&mut self, name: &str, raw: &RawObject) {
        let settings = raw.settings.iter().flatten();
        let credentials = raw.credentials.iter().flatten();
        let nested = raw.nested.iter().map(|nested| &nested.name);
        let mut seen: Vec<&str> = Vec::new();
        for member in settings.chain(credentials).chain(nested) {
            if seen.contains(&member.value.as_str()) {
                let message = format!("shape {}: {} stands here twice", quoted(name), quoted(&member.value));
                self.findings.error(self.source, member.span.clone(), message);
            }
            seen.push(&member.value);
        }
    }

    fn nested(&mut self, name: &str, nested: &Named<Placed<String>>) -> Option<(String, Nested)> {
        let Named { name: member, value: shape } = nested;
        let (inner, make): (&str, fn(Arc<Shape>) -> Nested) = match shape.value.strip_suffix("[]") {
            Some(inner) => (inner, Nested::Each),
            None => (&shape.value, Nested::One),
        };
        let whose = format!("shape {}: `nested.{}`", quoted(name), member.value);
        if let Some(at) = self.open.iter().position(|open| *open == inner) {
            let ring = self.open.iter().skip(at).chain([&inner]).map(|name| quoted(name)).collect::<Vec<_>>();
            let message = format!("{whose}: a shape cannot hold itself: {}", ring.join(" in "));
            self.findings.error(self.source, shape.span.clone(), message);
            return None;
        }
        if inner != OPAQUE && !self.raw.iter().any(|raw| raw.name.value == inner) {
            let known = self.raw.iter().map(|raw| raw.name.value.as_str()).chain([OPAQUE]);
            unknown_shape(shape, inner, &whose, known, self.source, self.findings);
            return None;
        }
        Some((member.value.clone(), make(self.build(inner)?)))
    }

    fn group(&mut self, name: &str, raw: &Placed<RawGroup>) -> Option<GroupRule> {
        let RawGroup { name: group, id, required } = &raw.value;
        let (id, required) = (id.as_ref()?, required.as_ref()?);
        if id.is_empty() {
            let message = format!("shape {}: `group.id`: expected at least one name", quoted(name));
            self.findings.error(self.source, raw.span.clone(), message);
        }
        for alternatives in required.iter().filter(|alternatives| alternatives.value.is_empty()) {
            // An alternative of nothing could never be met.
            let message = format!("shape {}: `group.required`: expected a name in every list", quoted(name));
            self.findings.error(self.source, alternatives.span.clone(), message);
        }
        Some(GroupRule {
            name: text(group.as_ref())?,
            id: values(id),
            required: required.iter().map(|alternatives| values(&alternatives.value)).collect(),
        })
    }
}

fn text(found: Option<&Placed<String>>) -> Option<String> {
    found.map(|found| found.value.clone())
}

fn values(found: &[Placed<String>]) -> Vec<String> {
    found.iter().map(|found| found.value.clone()).collect()
}
