//! Which lines of a file nobody is shown: those where a secret stands, or may stand.
//!
//! It knows the words by which keys speak of secrets, and nothing else of what a policy says.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::finding::Findings;
use super::super::source::Source;

/// Conceals every text under a key that speaks of a secret, unless it says where the secret is to be found.
pub(super) fn secrets(source: &Source, table: &DeTable<'_>, findings: &mut Findings) {
    within_table(source, table, Secrecy::Open, findings);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Open,
    Secret,
}

fn within_table(source: &Source, table: &DeTable<'_>, secrecy: Secrecy, findings: &mut Findings) {
    for (key, value) in table {
        let name = key.get_ref().to_lowercase();
        let secrecy = match secrecy {
            Secrecy::Secret if matches!(name.as_str(), "env" | "file") => Secrecy::Open,
            Secrecy::Open if !speaks_of_secret(&name) => Secrecy::Open,
            Secrecy::Open | Secrecy::Secret => Secrecy::Secret,
        };
        within_value(source, value, secrecy, findings);
    }
}

fn within_value(source: &Source, value: &Spanned<DeValue<'_>>, secrecy: Secrecy, findings: &mut Findings) {
    match value.get_ref() {
        DeValue::Table(table) => within_table(source, table, secrecy, findings),
        DeValue::Array(array) => array.iter().for_each(|value| within_value(source, value, secrecy, findings)),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            if secrecy == Secrecy::Secret {
                findings.conceal(source, value.span());
            }
        }
    }
}

fn speaks_of_secret(key: &str) -> bool {
    ["secret", "password", "passphrase", "subject_key"].iter().any(|word| key.contains(word))
}

/// A syntax error leaves us without keys and values, so the text itself must tell whether a secret may stand there: on the line, or in a text
/// of several lines that began further up.
pub(super) fn suspicious_line(source: &Source, span: &Range<usize>, findings: &mut Findings) {
    let line = source.line_at(span.start);
    let text = source.text.to_lowercase();
    let upto = text.get(..line.end.min(text.len())).unwrap_or(&text);
    let on_line = upto.lines().next_back().is_some_and(speaks_of_secret);
    let further_up =
        upto.lines().any(|line| speaks_of_secret(line) && (line.contains("\"\"\"") || line.contains("'''")));
    if on_line || further_up || text.len() != source.text.len() {
        findings.conceal(source, span.clone());
    }
}
