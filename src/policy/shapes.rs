//! What the shapes of a profile say about names: prefixes and groups.

use crate::profile::{GroupRule, Nested, Profile, Rest, Shape};

/// Whether some object of the profile keeps attributes under `prefix`.
pub(super) fn has_prefix(profile: &Profile, prefix: &str) -> bool {
    let mut found = false;
    visit_all(profile, &mut |shape| {
        found |= match shape {
            Shape::Members(members) => members.prefix == prefix,
            Shape::Names { prefix: own } => own == prefix,
            Shape::Pairs(pairs) => pairs.prefix == prefix,
            Shape::Collected(_) | Shape::Opaque => false,
        };
    });
    found
}

/// The groups of the profile, each once.
pub(super) fn groups(profile: &Profile) -> Vec<GroupRule> {
    let mut groups: Vec<GroupRule> = Vec::new();
    visit_all(profile, &mut |shape| {
        if let Shape::Members(members) = shape
            && let Some(group) = &members.group
            && !groups.contains(group)
        {
            groups.push(group.clone());
        }
    });
    groups
}

/// Whether the profile passes the name unjudged, as a setting or a credential of the messenger.
pub(super) fn is_reserved(profile: &Profile, name: &str) -> bool {
    let (prefix, member) = name.rsplit_once('.').unwrap_or(("", name));
    let mut reserved = false;
    visit_all(profile, &mut |shape| {
        if let Shape::Members(members) = shape {
            let named = members.settings.iter().chain(&members.credentials).any(|setting| setting == member);
            reserved |= named && members.prefix == prefix && members.rest == Rest::Attributes;
        }
    });
    reserved
}

fn visit_all(profile: &Profile, see: &mut dyn FnMut(&Shape)) {
    for document in profile.operations.iter().flat_map(|operation| &operation.documents) {
        visit(&document.shape, see);
    }
}

fn visit(shape: &Shape, see: &mut dyn FnMut(&Shape)) {
    see(shape);
    if let Shape::Members(members) = shape {
        for (_, nested) in &members.nested {
            match nested {
                Nested::One(shape) | Nested::Each(shape) => visit(shape, see),
            }
        }
    }
}
