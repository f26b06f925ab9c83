//! What was expected beside what was found.

use serde::Serialize;

use super::found::{Ending, Found, NamedVerdict, Read, field_text, text_of};
use crate::decision::Value;
use crate::envelope::read_again;
use crate::epoch::Tenant;
use crate::policy::{Expectation, ExpectedOutcome, ExpectedVerdict, ExpectedVerdicts, word};

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The key of the expectation.
    pub what: String,
    pub expected: String,
    pub found: String,
}

const NOTHING: &str = "nothing";

/// Every difference.
pub(super) fn compare(tenant: &Tenant, expect: &Expectation, found: &Found) -> Vec<Difference> {
    let Expectation { outcome, goes_on, fields, body, verdicts, proof, would_refuse } = expect;
    let mut desk = Desk { differences: Vec::new() };
    match (outcome, &found.outcome) {
        (ExpectedOutcome::Goes(expected), Ending::Goes(ended)) if expected == ended => {}
        (ExpectedOutcome::Refused(expected), Ending::Refused { code, .. }) if expected == code => {}
        (ExpectedOutcome::Goes(expected), ended) => desk.differ("status", word(*expected), ended.words()),
        (ExpectedOutcome::Refused(expected), ended) => desk.differ("refused", expected, ended.words()),
    }
    // A case of this file that another workspace answers for says nothing of this one.
    let own = &tenant.workspace.id;
    if let Some(other) = found.workspace.as_ref().filter(|workspace| *workspace != own) {
        desk.differ("workspace", own, other.clone());
    }
    desk.code("proof", proof.as_deref(), found.proof);
    desk.code("would_refuse", would_refuse.as_deref(), found.would_refuse);
    for (name, expected) in verdicts {
        desk.verdicts(name, expected, &found.verdicts);
    }
    if matches!(found.outcome, Ending::Goes(_)) {
        desk.document("goes_on", goes_on.as_ref(), found.goes_on.as_ref());
        desk.document("body", body.as_ref(), found.body.as_ref());
        if let Some(expected) = fields {
            desk.fields(expected, &found.fields);
        }
    }
    desk.differences
}

struct Desk {
    differences: Vec<Difference>,
}

impl Desk {
    fn differ(&mut self, what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) {
        self.differences.push(Difference { what: what.into(), expected: expected.into(), found: found.into() });
    }

    fn code(&mut self, what: &str, expected: Option<&str>, found: Option<&str>) {
        if let Some(expected) = expected
            && found != Some(expected)
        {
            self.differ(what, expected, found.unwrap_or(NOTHING));
        }
    }

    fn verdicts(&mut self, name: &str, expected: &ExpectedVerdicts, found: &[NamedVerdict]) {
        let of_name = found.iter().filter(|verdict| verdict.name == name).map(|verdict| verdict.verdict);
        let of_name: Vec<ExpectedVerdict> = of_name.collect();
        let (is_so, words) = match expected {
            ExpectedVerdicts::Each(expected) => (
                !of_name.is_empty() && of_name.iter().all(|verdict| verdict == expected),
                words(std::slice::from_ref(expected)),
            ),
            ExpectedVerdicts::InOrder(expected) => (*expected == of_name, words(expected)),
        };
        if !is_so {
            self.differ(format!("verdicts.{name}"), words, self::words(&of_name));
        }
    }

    /// Members in any order; numbers by their text.
    fn document(&mut self, what: &str, expected: Option<&Value<'static>>, found: Option<&Read>) {
        let Some(expected) = expected else { return };
        let found_text = found.map_or(NOTHING.to_owned(), Read::text);
        match document_of(expected) {
            Some(document) if found.is_some_and(|found| sorted(&found.0) == sorted(&document)) => {}
            Some(document) => self.differ(what, text_of(&document), found_text),
            None => self.differ(what, format!("no JSON: {}", text_of(expected)), found_text),
        }
    }

    /// Fields in any order, but for those of one name.
    fn fields(&mut self, expected: &[(String, Value<'static>)], found: &[(String, String)]) {
        let (mut expected, mut found) = (expected.to_vec(), found.to_vec());
        expected.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let same = |((name, value), (found_name, text)): (&(String, Value<'_>), &(String, String))| {
            name == found_name && is_field(value, text)
        };
        if expected.len() == found.len() && expected.iter().zip(&found).all(same) {
            return;
        }
        let told = expected.iter().map(|(name, value)| format!("{name} = {}", field_text(value)));
        let found_told = found.iter().map(|(name, text)| format!("{name} = {text}"));
        self.differ("form", listed(told), listed(found_told));
    }
}

/// A text stands for its JSON.
fn document_of(expected: &Value<'static>) -> Option<Value<'static>> {
    match expected {
        Value::Text(text) => read_again(text.as_bytes()).ok().map(Value::into_owned),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => Some(expected.clone()),
    }
}

/// Whether a field's text is what was expected: JSON text where a table or list is.
fn is_field(expected: &Value<'_>, text: &str) -> bool {
    match expected {
        Value::Text(_) | Value::Number(_) | Value::Null | Value::Bool(_) => field_text(expected) == text,
        Value::List(_) | Value::Object(_) => {
            read_again(text.as_bytes()).is_ok_and(|found| sorted(&found) == sorted(expected))
        }
    }
}

/// The value with the members of its objects in the order of their names.
fn sorted<'v>(value: &Value<'v>) -> Value<'v> {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries)
        }
        Value::List(items) => Value::List(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => value.clone(),
    }
}

fn words(verdicts: &[ExpectedVerdict]) -> String {
    match verdicts {
        [one] => one.to_string(),
        several => listed(several.iter().map(ToString::to_string)),
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() { NOTHING.to_owned() } else { items.join("; ") }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::decision::{Code, Force};

    /// What differs, where `expected` was expected of a document that is `found`.
    #[track_caller]
    fn check(expected: &str, found: Option<&str>, is_same: bool) {
        let read = |text: &str| read_again(text.as_bytes()).expect("JSON").into_owned();
        let mut desk = Desk { differences: Vec::new() };
        let found = found.map(|found| Read(read(found)));
        for expected in [read(expected), Value::Text(Cow::Owned(expected.to_owned()))] {
            desk.differences.clear();
            desk.document("goes_on", Some(&expected), found.as_ref());
            assert_eq!(desk.differences.is_empty(), is_same, "{:?}", desk.differences);
        }
    }

    #[test]
    fn documents_are_compared_by_what_they_say() {
        check(r#"{"a":1,"b":{"c":[1,2],"d":null}}"#, Some(r#"{"b":{"d":null,"c":[1,2]},"a":1}"#), true);
        check(r#"{"a":1.10}"#, Some(r#"{"a":1.1}"#), false);
        check(r#"{"a":9007199254740993}"#, Some(r#"{"a":9007199254740992}"#), false);
        check(r#"{"a":[1,2]}"#, Some(r#"{"a":[2,1]}"#), false);
        check(r#"{"a":5}"#, Some(r#"{"a":"5"}"#), false);
        check("{}", Some(r#"{"a":null}"#), false);
        check(r#"{"a":null}"#, Some("{}"), false);
        check("{}", None, false);
    }

    #[test]
    fn an_expectation_that_is_no_json_is_met_by_nothing() {
        let mut desk = Desk { differences: Vec::new() };
        desk.document("goes_on", Some(&Value::Text(Cow::Borrowed("{"))), Some(&Read(Value::Object(Vec::new()))));
        assert_eq!(desk.differences.len(), 1);
    }

    #[test]
    fn verdicts_are_compared_by_name() {
        let of = |code, force| ExpectedVerdict { code, force };
        let (locked, observed) = (of(Code::Locked, Force::Applied), of(Code::Locked, Force::Recorded));
        let found = |name: &str, verdict| NamedVerdict { name: name.into(), verdict };
        let found = [found("plan", locked), found("company.plan", locked), found("company.plan", observed)];
        let differs = |name: &str, expected: &ExpectedVerdicts| {
            let mut desk = Desk { differences: Vec::new() };
            desk.verdicts(name, expected, &found);
            desk.differences.pop().map(|difference| difference.found)
        };
        assert_eq!(differs("plan", &ExpectedVerdicts::Each(locked)), None);
        assert_eq!(differs("plan", &ExpectedVerdicts::Each(observed)).as_deref(), Some("locked"));
        assert_eq!(differs("Plan", &ExpectedVerdicts::Each(locked)).as_deref(), Some("nothing"));
        assert_eq!(differs("company.plan", &ExpectedVerdicts::InOrder(vec![locked, observed])), None);
        let told = Some("locked; locked, observed");
        assert_eq!(differs("company.plan", &ExpectedVerdicts::InOrder(vec![observed, locked])).as_deref(), told);
        assert_eq!(differs("company.plan", &ExpectedVerdicts::Each(locked)).as_deref(), told);
    }

    #[test]
    fn all_fields_count_and_their_order_does_not() {
        let text = |text: &'static str| Value::Text(Cow::Borrowed(text));
        let found = [("v".to_owned(), "3".to_owned()), ("data".to_owned(), r#"{"a":1}"#.to_owned())];
        let is_same = |expected: &[(String, Value<'static>)]| {
            let mut desk = Desk { differences: Vec::new() };
            desk.fields(expected, &found);
            desk.differences.is_empty()
        };
        let data = Value::Object(vec![(Cow::Borrowed("a"), Value::Number(Cow::Borrowed("1")))]);
        assert!(is_same(&[("data".into(), data.clone()), ("v".into(), Value::Number(Cow::Borrowed("3")))]));
        assert!(is_same(&[("data".into(), text(r#"{"a":1}"#)), ("v".into(), text("3"))]));
        assert!(!is_same(&[("data".into(), text(r#"{ "a": 1 }"#)), ("v".into(), text("3"))]), "a text is a text");
        assert!(!is_same(&[("data".into(), data)]));
    }
}
