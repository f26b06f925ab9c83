//! `[attributes]` of a workspace: what it knows, and who may change it.

use std::collections::HashMap;

use schemars::JsonSchema;

use super::super::finding::Findings;
use super::super::reader::{Named, Placed, Table, Value, quoted};
use super::super::schemas::Count;
use super::super::shapes;
use super::super::source::Source;
use crate::decision::{Attribute, Collect, Key, Kind, Lock, Value as Sent, ValueRule};
use crate::profile::Profile;

/// One attribute.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in super::super) struct RawAttribute {
    /// Who may change it: anybody (`off`), or whoever signs it (`enforce`; `observe` only records what that would do).
    #[schemars(required)]
    lock: Option<Placed<Lock>>,
    /// What kind of value it takes. Default: any text, number or boolean.
    #[schemars(rename = "type")]
    kind: Option<Placed<Kind>>,
    /// The only values that it takes.
    #[schemars(length(min = 1))]
    one_of: Option<Placed<Vec<Placed<String>>>>,
    /// In characters.
    #[schemars(with = "Option<Count>")]
    max_length: Option<Placed<usize>>,
    /// Whether a bot may ask a lead for it, although it is locked. Default: never.
    collect: Option<Placed<Collect>>,
}

/// Longer values do not fit into a request anyway.
const LENGTH_MAX: usize = 1_000_000;

impl RawAttribute {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            lock: table.required("lock", Value::keyword),
            kind: table.optional("type", Value::keyword),
            one_of: table.optional("one_of", |value| {
                if value.is_empty_list() {
                    value.error("expected at least one value: nothing could be written");
                }
                value.list(Value::text)
            }),
            max_length: table.optional("max_length", |value| value.integer(1..=LENGTH_MAX)),
            collect: table.optional("collect", Value::keyword),
        }
    }

    fn resolve(self, name: &str, source: &Source, findings: &mut Findings) -> Option<Attribute> {
        let Self { lock, kind, one_of, max_length, collect } = self;
        let mut rule = ValueRule {
            kind: kind.map_or(Kind::Scalar, |kind| kind.value),
            one_of: Vec::new(),
            max_length: max_length.map(|max| max.value),
        };
        let options = one_of.map(|options| options.value).unwrap_or_default();
        let mut fits = true;
        for option in &options {
            if !rule.admits(&Sent::Text(option.value.as_str().into())) {
                fits = false;
                findings.error(
                    source,
                    option.span.clone(),
                    format!(
                        "attribute {}: `one_of`: {} does not fit its `type` and `max_length`",
                        quoted(name),
                        quoted(&option.value)
                    ),
                );
            }
        }
        rule.one_of = options.into_iter().map(|option| option.value).collect();
        fits.then_some(())?;
        Some(Attribute {
            name: name.to_owned(),
            lock: lock?.value,
            rule,
            collect: collect.map_or(Collect::Never, |word| word.value),
        })
    }
}

/// The attributes of the catalogue, in the order of the file. `None` after a mistake in any.
pub(super) fn resolve(
    raw: Vec<Named<RawAttribute>>,
    profile: &Profile,
    source: &Source,
    findings: &mut Findings,
) -> Option<Vec<Attribute>> {
    let mut by_key: HashMap<Key, String> = HashMap::with_capacity(raw.len());
    let mut attributes = Some(Vec::with_capacity(raw.len()));
    for Named { name, value } in raw {
        let key = profile.folding.key(&name.value);
        let misspelled = own_spelling(&name.value, &key, profile);
        if let Some(own) = &misspelled {
            let message = format!("attribute {}: is spelled {} on this wire", quoted(&name.value), quoted(own));
            findings.error(source, name.span.clone(), message);
        } else if let Some(first) = by_key.get(&key) {
            let message = format!("{} and {} are one name to the backend", quoted(&name.value), quoted(first));
            findings
                .error(source, name.span.clone(), message)
                .help("keep one of the two: its lock covers every spelling");
        }
        let is_its_own = misspelled.is_none() && !by_key.contains_key(&key);
        by_key.entry(key).or_insert_with(|| name.value.clone());
        let attribute = value.resolve(&name.value, source, findings).filter(|_| is_its_own);
        attributes = attributes.zip(attribute).map(|(mut attributes, attribute)| {
            attributes.push(attribute);
            attributes
        });
    }
    attributes
}

/// The profile's own spelling of the attribute, where `name` is another one. A lock under a spelling that the wire does not have would
/// match no honest write.
fn own_spelling(name: &str, key: &Key, profile: &Profile) -> Option<String> {
    for (alias, own) in &profile.aliases {
        if name == own {
            return None;
        }
        if *key == profile.folding.key(alias) || *key == profile.folding.key(own) {
            return Some(own.clone());
        }
    }
    let segments: Vec<&str> = name.split('.').collect();
    let is_container = |segment: &&str| profile.folding.containers.iter().any(|container| container == segment);
    let (last, places) = segments.split_last()?;
    if !places.iter().any(is_container) || shapes::has_prefix(profile, &places.join(".")) {
        return None;
    }
    let kept: Vec<&str> = places.iter().copied().filter(|segment| !is_container(segment)).chain([*last]).collect();
    Some(kept.join("."))
}
