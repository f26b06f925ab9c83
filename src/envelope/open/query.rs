//! The query. It goes on as it came, and backends cut it in two ways, so that it has to mean the same in both.

use std::borrow::Cow;

use super::super::EnvelopeError;
use super::super::brackets::is_index;
use super::super::form::{self, Pair};
use super::super::guard::{Guard, dashed, fold, is_undivided};
use crate::decision::Value;
use crate::policy::Limits;
use crate::profile::Operation;

/// The parameters of a query, in their order.
pub(super) struct Query<'r> {
    parameters: Vec<Pair<'r>>,
    /// As readers divide them that take semicolons for ampersands (HTML 4.01 section B.2.2), such as Rack up to version 2; empty without a
    /// semicolon.
    divided: Vec<Pair<'static>>,
}

impl<'r> Query<'r> {
    /// Cuts `text` into parameters, both ways.
    pub(super) fn read(text: &'r str, limits: &Limits) -> Result<Self, EnvelopeError> {
        let parameters = form::read(text.as_bytes(), limits)?;
        let divided = if text.contains(';') {
            let divided = text.replace(';', "&");
            let owned = |(name, text): Pair<'_>| (Cow::Owned(name.into_owned()), Cow::Owned(text.into_owned()));
            form::read(divided.as_bytes(), limits)?.into_iter().map(owned).collect()
        } else {
            Vec::new()
        };
        Ok(Self { parameters, divided })
    }

    pub(super) fn parameters(&self) -> &[Pair<'r>] {
        &self.parameters
    }

    /// Refuses what may not stand in the query, or stands there in one way of cutting it and not in the other.
    pub(super) fn admit(&self, guard: &Guard, operation: &Operation) -> Result<(), EnvelopeError> {
        guard.admit_query(&self.parameters, operation)?;
        if !self.divided.is_empty() {
            guard.admit_query(&self.divided, operation)?;
            guard.admit_division(&self.parameters, &self.divided)?;
        }
        Ok(())
    }

    /// The parameters that no place names, of both ways.
    pub(super) fn unnamed(&self, guard: &Guard) -> Vec<(&str, Value<'_>)> {
        let divided = guard.unnamed_parameters(&self.divided);
        guard.unnamed_parameters(&self.parameters).chain(divided).collect()
    }
}

/// The other names that frameworks read out of a parameter's, each with what they find there. `[role]` and `role]` are `role` to Rack before
/// version 3, and the first of them to `qs`; `role[x]` is an object in it to all, and `is.admin` is `is_admin` to PHP.
pub(in crate::envelope) fn readings<'s>(name: &str, text: &'s Value<'s>) -> Vec<(String, &'s Value<'s>)> {
    if is_undivided(name) {
        return Vec::new();
    }
    let folded = fold(name);
    let (first, rest) = folded.split_at(folded.find(DIVIDERS).unwrap_or(folded.len()));
    let path = || folded.split(DIVIDERS).filter(|segment| !is_index(segment));
    let in_php = match folded.split_once('[') {
        Some((before, after)) if after.contains(']') => before,
        Some(_) | None => &folded,
    };
    let mut readings = vec![(first.to_owned(), below(rest, text))];
    if path().nth(1).is_some() {
        readings.push((path().collect::<Vec<_>>().join("."), text));
    }
    let dashed = dashed(in_php);
    if dashed != first {
        readings.push((dashed, below(folded.get(in_php.len()..).unwrap_or_default(), text)));
    }
    readings
}

/// Where some framework ends a segment of a name, also one that it decodes twice.
const DIVIDERS: [char; 4] = ['[', ']', '.', '%'];

/// What a parameter is whose name goes on so behind its first segment.
fn below<'s>(rest: &str, text: &'s Value<'s>) -> &'s Value<'s> {
    let rest = rest.trim_start_matches(']');
    match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((segment, _)) if is_index(segment) => A_LIST,
        Some(_) => AN_OBJECT,
        None if rest.is_empty() => text,
        None => AN_OBJECT,
    }
}

const A_LIST: &Value<'static> = &Value::List(Vec::new());
const AN_OBJECT: &Value<'static> = &Value::Object(Vec::new());

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{check, json_operation, ping, root_operation};
    use super::*;

    #[test]
    fn the_query_carries_no_document_and_no_identity() {
        for query in [
            "user_data=%7B%7D",
            "user_data[plan]=pro",
            "User_Data=x",
            "user.data=x",
            "user_id=7",
            "user_id[]=7",
            "intercom_user_jwt=x",
            "a=1;user_data=x",
            "form_params=x",
        ] {
            check(&ping(), query, "a=1", Err(EnvelopeError::QueryDocument));
        }
        check(&ping(), "website_token=x&jwt=y&a=1&b[c]=2", "a=1", Ok(0));
        check(&ping(), "website_token=x&website_token=x", "a=1", Err(EnvelopeError::PlaceTwice));
        check(&ping(), "Website_Token=x", "a=1", Err(EnvelopeError::DisguisedField));
        check(&ping(), "website_token[]=x", "a=1", Err(EnvelopeError::DisguisedField));
        check(&ping(), "a=%zz", "a=1", Err(EnvelopeError::Percent));
        check(&ping(), "jwt=y&website_token=x&a=1;b=2;c", "a=1", Ok(0));
        for query in ["a=1;jwt=y", ";jwt=y", "jwt=y;a=1", "jwt=y;", "a;website_token=x", "website_token=x&a;jwt=y"] {
            check(&ping(), query, "a=1", Err(EnvelopeError::DisguisedField));
        }
        check(&ping(), "jwt=y&a;jwt=y", "a=1", Err(EnvelopeError::PlaceTwice));
        for query in ["contact=x", "contact[email]=x", "Contact[email]=x", "message[answers]=x", "user_id=7"] {
            check(&json_operation(), query, "{}", Err(EnvelopeError::QueryDocument));
        }
        for query in ["company[plan]=x", "custom_attributes[plan]=x", "intercom_user_jwt=x", "user_hash=x"] {
            check(&root_operation(), query, "{}", Err(EnvelopeError::QueryDocument));
        }
        check(&root_operation(), "website_token=x&locale=en", "{}", Ok(0));
    }

    #[test]
    fn a_name_is_read_as_each_framework_reads_it() {
        let read = |name: &str| {
            let text = Value::Text("x".into());
            let shown = |value: &Value<'_>| match value {
                Value::List(_) => "a list".to_owned(),
                Value::Object(_) => "an object".to_owned(),
                Value::Text(text) => text.to_string(),
                Value::Null | Value::Bool(_) | Value::Number(_) => "something else".to_owned(),
            };
            readings(name, &text).iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect::<Vec<_>>()
        };
        for name in ["role", "Role", "is_admin", "x-y", ""] {
            assert!(read(name).is_empty(), "{name}");
        }
        for name in ["[role]", "role]", "[[role]]", "]role", " [role]", "[ROLE]"] {
            assert_eq!(read(name).first().map(String::as_str), Some("role: x"), "{name}");
        }
        for name in ["role[]", "role[0]", "[role][]"] {
            assert_eq!(read(name).first().map(String::as_str), Some("role: a list"), "{name}");
        }
        for name in ["role[x]", "role[", "role.x", "role%5B%5D", "[role][x]"] {
            assert_eq!(read(name).first().map(String::as_str), Some("role: an object"), "{name}");
        }
        for name in ["company[plan]", "company.plan", "company[][plan]", "company[0][plan]", "[company][plan]"] {
            assert!(read(name).contains(&"company.plan: x".to_owned()), "{name}");
        }
        for name in ["is.admin", "is admin", "is[admin"] {
            assert!(read(name).contains(&"is_admin: x".to_owned()), "{name}");
        }
        assert!(read("is.admin[]").contains(&"is_admin: a list".to_owned()));
    }
}
