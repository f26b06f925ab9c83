//! What answers say of sessions: whose they are (`[roles]`), and for which token they were given (`exchange`).

use std::ops::Range;

use super::super::finding::Findings;
use super::super::reader::{Named, Placed, quoted};
use super::super::source::Source;
use super::raw::{RawOperation, RawRoles, RawTokens};
use crate::profile::{RoleAnswer, SessionRole, Teaches};

/// The operations whose answers teach a role, each with the place where it says so.
pub(super) fn taught(operations: Option<&Placed<Vec<Named<RawOperation>>>>) -> Vec<(String, Range<usize>)> {
    let operations = operations.into_iter().flat_map(|operations| &operations.value);
    let teaching = operations.filter_map(|operation| {
        let teaches = operation.value.teaches.as_ref().filter(|teaches| teaches.value == Teaches::Role)?;
        Some((operation.name.value.clone(), teaches.span.clone()))
    });
    teaching.collect()
}

/// Neither can do without the other: what says where the role is, and what says in whose answer.
pub(super) fn admit_teachers(
    taught: &[(String, Range<usize>)],
    roles: Option<Range<usize>>,
    source: &Source,
    findings: &mut Findings,
) {
    match (taught.first(), roles) {
        (Some((name, span)), None) => {
            let message = format!("operation {}: `teaches`: `[roles]` says where, and is missing", quoted(name));
            findings.error(source, span.clone(), message);
        }
        (None, Some(span)) => {
            let message = "`roles`: no operation has `teaches = \"role\"`: nobody would ever be known to be a lead";
            findings.error(source, span, message);
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

/// A session that nobody gives proves nothing, and one that nobody brings neither.
pub(super) fn admit_exchanges(
    operations: Option<&Placed<Vec<Named<RawOperation>>>>,
    tokens: Option<&Placed<RawTokens>>,
    source: &Source,
    findings: &mut Findings,
) {
    let mut operations = operations.into_iter().flat_map(|operations| &operations.value);
    let given = operations.find_map(|operation| Some((&operation.name, operation.value.exchange.as_ref()?)));
    let brought = tokens.and_then(|tokens| tokens.value.session.as_ref()).filter(|places| !places.value.is_empty());
    match (given, brought) {
        (Some((name, exchange)), None) => {
            let message = format!(
                "operation {}: `exchange`: `tokens.session` says where requests bring what it gives, and is missing",
                quoted(&name.value)
            );
            findings.error(source, exchange.span.clone(), message);
        }
        (None, Some(places)) => {
            findings.error(
                source,
                places.span.clone(),
                "`tokens.session`: no operation has an `exchange` that gives one",
            );
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

pub(super) fn build(raw: RawRoles, source: &Source, findings: &mut Findings) -> Option<RoleAnswer> {
    let RawRoles { at, session, words } = raw;
    let words = words?;
    // Without it whoever was a lead once would be one for as long as that is remembered.
    if !words.value.iter().any(|word| word.value.value == SessionRole::User) {
        findings.error(source, words.span, "`roles.words`: expected a word that means `user`");
        return None;
    }
    let words = words.value.into_iter().map(|word| (word.name.value, word.value.value)).collect();
    Some(RoleAnswer { role: at?.value, session: session?.value, words })
}
