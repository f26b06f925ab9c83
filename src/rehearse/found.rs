//! What became of a request: noted on the way, and read from what would have been sent.

use std::borrow::Cow;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::body::Placed;
use crate::decision::{Judged, Update, Value, Verdict};
use crate::envelope::{Rewritten, json, read_again};
use crate::epoch::Tenant;
use crate::gateway::{Arriving, WEBHOOK_VALID, Witness};
use crate::identity::{Proofs, WebhookError};
use crate::policy::{ExpectedVerdict, Passage, word};
use crate::profile::{Body, Document, DocumentAt, Operation};

/// All that became of a request. It is a test's own data, so it may be shown.
#[derive(Debug, Serialize)]
pub struct Found {
    pub outcome: Ending,
    /// The workspace that it turned out to be for.
    pub workspace: Option<String>,
    pub proof: Option<&'static str>,
    pub would_refuse: Option<&'static str>,
    /// By name, as the request spells it; those of names that only the token has come last.
    pub verdicts: Vec<NamedVerdict>,
    /// The operation's first document.
    pub goes_on: Option<Read>,
    /// All other fields of a form.
    #[serde(rename = "form")]
    pub fields: Vec<(String, String)>,
    /// The whole JSON body.
    pub body: Option<Read>,
}

/// How the request ended.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    Goes(Passage),
    Refused { code: &'static str, status: u16 },
}

/// The verdict for one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedVerdict {
    pub name: String,
    pub verdict: ExpectedVerdict,
}

/// JSON that was read by the second reader, without what the rehearsal itself had put there.
#[derive(Debug)]
pub struct Read(pub Value<'static>);

impl Read {
    /// The JSON text.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.0)
    }
}

/// The text of a form's field that has this value: JSON where it is a table or list.
pub(super) fn field_text(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => text.clone().into_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => text_of(value),
    }
}

/// The JSON text of a value.
pub(super) fn text_of(value: &Value<'_>) -> String {
    let mut text = Vec::new();
    json::write(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

impl Ending {
    /// In words: `sent`, or `refused: route_unknown (404)`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Ending::Goes(passage) => word(*passage).to_owned(),
            Ending::Refused { code, status } => format!("refused: {code} ({status})"),
        }
    }
}

/// Its code, as in records.
impl Serialize for Ending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Ending::Goes(passage) => word(*passage),
            Ending::Refused { code, .. } => code,
        })
    }
}

impl Serialize for NamedVerdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut named = serializer.serialize_struct("NamedVerdict", 2)?;
        named.serialize_field("name", &self.name)?;
        named.serialize_field("verdict", &self.verdict.to_string())?;
        named.end()
    }
}

/// As text: a number of JSON may have more digits than a reader of this keeps.
impl Serialize for Read {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

/// What is noted on the way.
#[derive(Debug, Default)]
pub(super) struct Notes {
    workspace: Option<String>,
    proof: Option<&'static str>,
    would_refuse: Option<&'static str>,
    verdicts: Vec<NamedVerdict>,
    goes_on: Option<Read>,
    fields: Vec<(String, String)>,
    body: Option<Read>,
}

impl Notes {
    pub(super) fn into_found(self, outcome: Ending) -> Found {
        let Self { workspace, proof, would_refuse, verdicts, goes_on, fields, body } = self;
        Found { outcome, workspace, proof, would_refuse, verdicts, goes_on, fields, body }
    }

    /// Reads what would have been sent, by other means than it was written with.
    pub(super) fn goes_on(&mut self, operation: &Operation, rewritten: &Rewritten, placed: &[Placed]) {
        let first = operation.documents.first();
        match operation.body {
            Body::Json => {
                let body = read_again(rewritten.body()).ok().map(|body| without(placed, body.into_owned()));
                self.goes_on = match (&body, first) {
                    (Some(body), Some(Document { at: DocumentAt::Body(pointer), .. })) => {
                        let value = pointer.names().iter().try_fold(body, |at, name| at.member(name));
                        value.cloned().map(Read)
                    }
                    (Some(_) | None, _) => None,
                };
                self.body = body.map(Read);
            }
            Body::Form => {
                let field = match first {
                    Some(Document { at: DocumentAt::Field(field), .. }) => Some(field.as_str()),
                    Some(Document { at: DocumentAt::Body(_) | DocumentAt::Fields(_), .. }) | None => None,
                };
                for (name, text) in form_urlencoded::parse(rewritten.body()) {
                    if Some(&*name) == field {
                        let document = read_again(text.as_bytes()).ok();
                        self.goes_on = document.map(|document| Read(without(placed, document.into_owned())));
                    } else if !placed.iter().any(|placed| placed.is(&name, &text)) {
                        self.fields.push((name.into_owned(), text.into_owned()));
                    }
                }
            }
            Body::None | Body::Stream => {}
        }
    }
}

/// The value without the token, hash or id that the rehearsal had put in: nobody could write those into an expectation.
fn without(placed: &[Placed], value: Value<'static>) -> Value<'static> {
    match value {
        Value::Object(mut entries) => {
            entries.retain(|(name, value)| {
                !value.as_text().is_some_and(|text| placed.iter().any(|placed| placed.is(name, text)))
            });
            Value::Object(entries.into_iter().map(|(name, value)| (name, without(placed, value))).collect())
        }
        Value::List(items) => Value::List(items.into_iter().map(|item| without(placed, item)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => value,
    }
}

/// A case says how it ends, and not how far it came.
impl Arriving for Notes {}

impl Witness for Notes {
    fn tenant(&mut self, tenant: &Tenant, _: &Operation) {
        self.workspace = Some(tenant.workspace.id.clone());
    }

    fn proofs(&mut self, _: &Tenant, proofs: &Proofs<'_>) {
        self.proof = Some(proofs.verdict().code());
    }

    fn webhook(&mut self, _: &Tenant, key_id: Option<&str>, _: Result<(), WebhookError>) {
        self.proof = key_id.map(|_| WEBHOOK_VALID);
    }

    fn would_refuse(&mut self, code: &'static str) {
        // The first, as in records.
        self.would_refuse.get_or_insert(code);
    }

    fn judged(&mut self, _: &Tenant, update: &Update<'_>, judged: &Judged<'_>) {
        let named = |name: Cow<'_, str>, verdict: &Verdict<'_>| NamedVerdict {
            name: name.into_owned(),
            verdict: ExpectedVerdict { code: verdict.code, force: verdict.force },
        };
        let writes = update.writes.iter().zip(judged.verdicts());
        self.verdicts = writes.map(|(write, verdict)| named(write.full_name(), verdict)).collect();
        self.verdicts.extend(judged.unnamed().iter().map(|(name, verdict)| named(Cow::Borrowed(name), verdict)));
    }
}

impl NamedVerdict {
    /// In words: `plan = locked`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} = {}", self.name, self.verdict)
    }
}
