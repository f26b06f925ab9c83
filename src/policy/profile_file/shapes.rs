//! Shapes by name: from what a file says of each to shapes that hold one another.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::finding::Findings;
use super::super::keywords::word;
use super::super::reader::{Named, Placed, closest, one_of, quoted};
use super::super::source::Source;
use super::raw::{Kind, RawAccepts, RawGroup, RawShape};
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
        let shape = self.shape(name, raw).map(Arc::new);
        self.open.pop();
        self.shapes.insert(name.value.clone(), shape.clone());
        shape
    }

    fn shape(&mut self, title: &Placed<String>, raw: &'r RawShape) -> Option<Shape> {
        let kind = raw.kind.as_ref()?.value;
        self.refuse_keys_of_other_kinds(&title.value, kind, raw);
        let RawShape { prefix, identifier, prefixes, name, value, .. } = raw;
        let prefix = || text(prefix.as_ref()).unwrap_or_default();
        Some(match kind {
            Kind::Object => Shape::Members(self.members(&title.value, raw)?),
            Kind::Answer => Shape::Collected(Collected {
                identifier: self.needed(title, "identifier", identifier.as_ref())?,
                value: self.needed(title, "value", value.as_ref())?,
                prefixes: prefixes
                    .iter()
                    .flat_map(|prefixes| &prefixes.value)
                    .map(|prefix| (prefix.name.value.clone(), prefix.value.value.clone()))
                    .collect(),
            }),
            Kind::Answers => Shape::Pairs(Pairs {
                name: self.needed(title, "name", name.as_ref())?,
                value: self.needed(title, "value", value.as_ref())?,
                prefix: prefix(),
            }),
            Kind::Names => Shape::Names { prefix: prefix() },
        })
    }

    fn needed(&mut self, title: &Placed<String>, key: &str, found: Option<&Placed<String>>) -> Option<String> {
        if found.is_none() {
            let message = format!("shape {}: `{key}` is missing", quoted(&title.value));
            self.findings.error(self.source, title.span.clone(), message);
        }
        text(found)
    }

    fn refuse_keys_of_other_kinds(&mut self, name: &str, kind: Kind, raw: &RawShape) {
        /// Where the key's value stands, where it is there.
        type Place = Option<Range<usize>>;
        fn place<T>(found: Option<&Placed<T>>) -> Place {
            found.map(|found| found.span.clone())
        }
        let RawShape {
            kind: _,
            prefix,
            spelling,
            rest,
            settings,
            credentials,
            nested,
            group,
            accepts,
            identifier,
            prefixes,
            name: of_name,
            value,
        } = raw;
        let keys: [(&str, Place, &[Kind]); 12] = [
            ("prefix", place(prefix.as_ref()), &[Kind::Object, Kind::Answers, Kind::Names]),
            ("spelling", place(spelling.as_ref()), &[Kind::Object]),
            ("rest", place(rest.as_ref()), &[Kind::Object]),
            ("settings", place(settings.as_ref()), &[Kind::Object]),
            ("credentials", place(credentials.as_ref()), &[Kind::Object]),
            ("nested", place(nested.as_ref()), &[Kind::Object]),
            ("group", place(group.as_ref()), &[Kind::Object]),
            ("accepts", place(accepts.as_ref()), &[Kind::Object]),
            ("identifier", place(identifier.as_ref()), &[Kind::Answer]),
            ("prefixes", place(prefixes.as_ref()), &[Kind::Answer]),
            ("name", place(of_name.as_ref()), &[Kind::Answers]),
            ("value", place(value.as_ref()), &[Kind::Answer, Kind::Answers]),
        ];
        for (key, place, kinds) in keys {
            if let Some(place) = place.filter(|_| !kinds.contains(&kind)) {
                let kinds = one_of(kinds.iter().map(|kind| word(*kind)));
                let message = format!("shape {}: `{key}` belongs to {kinds}, not to `{}`", quoted(name), word(kind));
                self.findings.error(self.source, place, message);
            }
        }
    }

    fn members(&mut self, name: &str, raw: &'r RawShape) -> Option<Members> {
        self.refuse_members_named_twice(name, raw);
        let nested = raw.nested.iter().flat_map(|nested| &nested.value);
        let nested: Vec<Option<(String, Nested)>> = nested.map(|nested| self.nested(name, nested)).collect();
        let group = match &raw.group {
            Some(group) => Some(self.group(name, &group.value)?),
            None => None,
        };
        Some(Members {
            prefix: text(raw.prefix.as_ref()).unwrap_or_default(),
            // What stands here is what the keys mean where a file leaves them out: attributes of this place, to which nothing is added.
            spelling: raw.spelling.as_ref().map_or(Spelling::Own, |spelling| spelling.value),
            rest: raw.rest.as_ref().map_or(Rest::Attributes, |rest| rest.value),
            accepts: match raw.accepts.as_ref().map(|accepts| &accepts.value) {
                None => Accepts::Nothing,
                Some(RawAccepts::Any) => Accepts::Any,
                Some(RawAccepts::Only(names)) => Accepts::Only(values(names)),
            },
            group,
            settings: raw.settings.as_ref().map(|settings| values(&settings.value)).unwrap_or_default(),
            credentials: raw.credentials.as_ref().map(|credentials| values(&credentials.value)).unwrap_or_default(),
            nested: nested.into_iter().collect::<Option<_>>()?,
        })
    }

    fn refuse_members_named_twice(&mut self, name: &str, raw: &RawShape) {
        let settings = raw.settings.iter().flat_map(|settings| &settings.value);
        let credentials = raw.credentials.iter().flat_map(|credentials| &credentials.value);
        let nested = raw.nested.iter().flat_map(|nested| &nested.value).map(|nested| &nested.name);
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

    fn group(&mut self, name: &str, raw: &RawGroup) -> Option<GroupRule> {
        let RawGroup { name: group, id, required } = raw;
        let (id, required) = (id.as_ref()?, required.as_ref()?);
        if id.value.is_empty() {
            let message = format!("shape {}: `group.id`: expected at least one name", quoted(name));
            self.findings.error(self.source, id.span.clone(), message);
        }
        for alternatives in required.value.iter().filter(|alternatives| alternatives.value.is_empty()) {
            // An alternative of nothing could never be met.
            let message = format!("shape {}: `group.required`: expected a name in every list", quoted(name));
            self.findings.error(self.source, alternatives.span.clone(), message);
        }
        Some(GroupRule {
            name: text(group.as_ref())?,
            id: values(&id.value),
            required: required.value.iter().map(|alternatives| values(&alternatives.value)).collect(),
        })
    }
}

fn text(found: Option<&Placed<String>>) -> Option<String> {
    found.map(|found| found.value.clone())
}

fn values(found: &[Placed<String>]) -> Vec<String> {
    found.iter().map(|found| found.value.clone()).collect()
}
