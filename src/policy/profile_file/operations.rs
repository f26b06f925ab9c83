//! Operations: what a file says of each, and what has to fit together before it is one.

use std::sync::Arc;

use http::Method;

use super::super::finding::Findings;
use super::super::reader::{Named, Placed, quoted};
use super::super::source::Source;
use super::raw::{Call, RawExchange, RawOperation, RawSignature, TextsByName};
use super::shapes::Shapes;
use crate::decision::Spelling;
use crate::profile::{
    Accepts, Body, Class, Document, DocumentAt, Exchange, FieldAttribute, Members, Operation, PathPattern, Place,
    Pointer, Replaces, Rest, Serves, Shape, Teaches, Upgrade, WebhookSignature, WhenEmpty,
};

/// Builds every operation. Those with mistakes are left out; the mistakes are among the findings.
pub(super) fn build(
    raw: Vec<Named<RawOperation>>,
    shapes: &Shapes,
    source: &Source,
    findings: &mut Findings,
) -> Vec<Arc<Operation>> {
    let mut operations: Vec<Arc<Operation>> = Vec::with_capacity(raw.len());
    for Named { name, value: raw } in raw {
        let title = format!("operation {}", quoted(&name.value));
        let place = raw.on.as_ref().map(|on| on.span.clone());
        let mut builder = Builder { title, name, shapes, source, findings };
        let Some(operation) = builder.build(raw) else { continue };
        let twin = operations.iter().find(|other| answers_the_same(other, &operation));
        if let (Some(twin), Some(place)) = (twin, place) {
            builder.error(place, &format!("`on`: {} answers this already", quoted(&twin.name)));
        }
        operations.push(Arc::new(operation));
    }
    operations
}

fn answers_the_same(one: &Operation, other: &Operation) -> bool {
    one.path.same_paths_as(&other.path) && one.methods.iter().any(|method| other.methods.contains(method))
}

struct Builder<'o> {
    title: String,
    name: Placed<String>,
    shapes: &'o Shapes,
    source: &'o Source,
    findings: &'o mut Findings,
}

impl Builder<'_> {
    fn build(&mut self, raw: RawOperation) -> Option<Operation> {
        let RawOperation {
            on,
            class,
            body,
            documents,
            fields,
            context,
            subject,
            when_empty,
            replaces,
            upgrade,
            serves,
            teaches,
            exchange,
            signature,
        } = raw;
        self.admit_name();
        let documents = self.documents(documents, fields, body.as_ref());
        let (on, class, body, documents) = (on?, class?, body?, documents?);
        self.admit_body(&class, &body, &documents);
        let context = context.map(|context| context.value).unwrap_or_default();
        let subject = subject.map(|subject| subject.value).unwrap_or_default();
        self.admit_context(&class, &context);
        self.admit_places(&context, &on.value.path);
        self.admit_places(&subject, &on.value.path);
        if let Some(upgrade) = upgrade.as_ref().filter(|upgrade| upgrade.value == Upgrade::WebSocket) {
            // RFC 6455 section 4.1: the handshake is a GET, and what follows it is read by nobody here.
            if class.value != Class::Pass || on.value.methods != [Method::GET] {
                self.error(upgrade.span.clone(), "`upgrade`: expected `class = \"pass\"` and `GET` alone");
            }
        }
        if let Some(serves) = serves.as_ref().filter(|serves| serves.value == Serves::Frame)
            && (class.value != Class::Pass || !on.value.methods.iter().all(Method::is_safe))
        {
            self.error(
                serves.span.clone(),
                "`serves`: a frame is loaded: expected `class = \"pass\"` and `GET` or `HEAD`",
            );
        }
        if let Some(teaches) = teaches.as_ref().filter(|teaches| teaches.value != Teaches::Nothing)
            && matches!(class.value, Class::Pass | Class::ServerApi | Class::Webhook)
        {
            let message = format!("`teaches`: `{}` is never opened, and nobody knows who asks", class.value.as_str());
            self.error(teaches.span.clone(), &message);
        }
        let exchange = match exchange {
            Some(exchange) => Some(self.exchange(exchange, &class, &on.value.path)?),
            None => None,
        };
        let webhook = self.webhook(signature, &class, &on)?;
        Some(Operation {
            name: self.name.value.clone(),
            methods: on.value.methods,
            path: on.value.path,
            class: class.value,
            body: body.value,
            documents,
            context: context.into_iter().map(|place| place.value).collect(),
            subject: subject.into_iter().map(|place| place.value).collect(),
            when_empty: when_empty.map_or(WhenEmpty::Send, |when_empty| when_empty.value),
            replaces: replaces.map_or(Replaces::Nothing, |replaces| replaces.value),
            upgrade: upgrade.map_or(Upgrade::Never, |upgrade| upgrade.value),
            serves: serves.map_or(Serves::Anything, |serves| serves.value),
            teaches: teaches.map_or(Teaches::Nothing, |teaches| teaches.value),
            exchange,
            webhook,
        })
    }

    fn error(&mut self, span: std::ops::Range<usize>, message: &str) {
        self.findings.error(self.source, span, format!("{}: {message}", self.title));
    }

    /// The name is a label of metrics and stands in records.
    fn admit_name(&mut self) {
        let name = &self.name.value;
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            self.error(self.name.span.clone(), "expected a name of lower-case letters, digits and `_`");
        }
    }

    fn admit_body(&mut self, class: &Placed<Class>, body: &Placed<Body>, documents: &[Document]) {
        let streams = matches!(class.value, Class::Pass | Class::ServerApi | Class::Webhook);
        match (body.value, streams) {
            (Body::Stream, false) => {
                let message =
                    format!("`body`: only `pass`, `server_api` and `webhook` stream, not `{}`", class.value.as_str());
                self.error(body.span.clone(), &message);
            }
            (Body::Json | Body::Form, true) => {
                let message =
                    format!("`body`: `{}` is never opened: expected `none` or `stream`", class.value.as_str());
                self.error(body.span.clone(), &message);
            }
            (Body::None, true) if class.value == Class::Webhook => {
                self.error(body.span.clone(), "`body`: a `webhook` is its body: expected `stream`");
            }
            (Body::None | Body::Json | Body::Form, false) | (Body::None | Body::Stream, true) => {}
        }
        if class.value == Class::Delete && documents.is_empty() {
            self.error(class.span.clone(), "`class`: a `delete` needs a document that names what to delete");
        }
    }

    fn admit_context(&mut self, class: &Placed<Class>, context: &[Placed<Place>]) {
        match (class.value == Class::Collect, context.first()) {
            // An answer without a question would be proven by nothing at all.
            (true, None) => self.error(class.span.clone(), "`class`: a `collect` needs a `context`"),
            (false, Some(place)) => self.error(place.span.clone(), "`context`: only for `class = \"collect\"`"),
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn exchange(&mut self, raw: Placed<RawExchange>, class: &Placed<Class>, path: &PathPattern) -> Option<Exchange> {
        if class.value != Class::Identify {
            self.error(raw.span, "`exchange`: only for `class = \"identify\"`");
            return None;
        }
        let RawExchange { token, session } = raw.value;
        let (token, session) = (token?.value, session?.value);
        self.admit_places(&token, path);
        let token = token.into_iter().map(|place| place.value).collect();
        Some(Exchange { token, session: session.into_iter().map(|pointer| pointer.value).collect() })
    }

    /// A webhook without a signature would be anybody's.
    #[expect(clippy::option_option, reason = "the outer is whether it makes sense, the inner whether it is one")]
    fn webhook(
        &mut self,
        signature: Option<Placed<RawSignature>>,
        class: &Placed<Class>,
        on: &Placed<Call>,
    ) -> Option<Option<WebhookSignature>> {
        match (signature, class.value == Class::Webhook) {
            (None, false) => Some(None),
            (None, true) => {
                self.error(class.span.clone(), "`class`: a `webhook` needs a `signature`");
                None
            }
            (Some(signature), false) => {
                self.error(signature.span, "`signature`: only for `class = \"webhook\"`");
                None
            }
            (Some(_), true) if on.value.methods.iter().any(Method::is_safe) => {
                self.error(on.span.clone(), "`on`: a `webhook` brings a body: not with `GET` or `HEAD`");
                None
            }
            (Some(signature), true) => {
                let RawSignature { header, prefix, algorithm, timestamp } = signature.value;
                let prefix = prefix.map(|prefix| prefix.value).unwrap_or_default();
                let (header, timestamp) = (header?.value, timestamp.map(|name| name.value));
                Some(Some(WebhookSignature { header, prefix, algorithm: algorithm?.value, timestamp }))
            }
        }
    }

    fn admit_places(&mut self, places: &[Placed<Place>], path: &PathPattern) {
        for place in places {
            match &place.value {
                Place::Path(name) if !path.names().any(|known| known == name) => {
                    self.error(place.span.clone(), &format!("the path has no `{{{name}}}`"));
                }
                Place::Path(_)
                | Place::Document(_)
                | Place::Body(_)
                | Place::Field(_)
                | Place::Query(_)
                | Place::Header(_)
                | Place::Bearer(_)
                | Place::Cookie(_) => {}
            }
        }
    }

    fn documents(
        &mut self,
        raw: Option<TextsByName>,
        fields: Option<TextsByName>,
        body: Option<&Placed<Body>>,
    ) -> Option<Vec<Document>> {
        let mut documents: Vec<Document> = Vec::new();
        let mut complete = true;
        for Named { name: key, value: shape } in raw.into_iter().flat_map(|raw| raw.value) {
            let whose = format!("{}: `documents.{}`", self.title, key.value);
            let shape = self.shapes.find(&shape, &whose, self.source, self.findings);
            let Some(at) = self.document_at(&key) else {
                complete = false;
                continue;
            };
            self.admit_codec(&key, &at, body);
            if documents.iter().any(|other| overlap(&other.at, &at)) {
                self.error(key.span.clone(), &format!("`documents`: {} is read twice", quoted(&key.value)));
            }
            match shape {
                Some(shape) => documents.push(Document { at, shape }),
                None => complete = false,
            }
        }
        let fields = fields.map(|fields| fields.value).unwrap_or_default();
        if let Some(first) = fields.first() {
            let place = first.name.clone();
            let at = DocumentAt::Fields(
                fields
                    .into_iter()
                    .map(|field| FieldAttribute { field: field.name.value, attribute: field.value.value })
                    .collect(),
            );
            self.admit_codec(&place, &at, body);
            if documents.iter().any(|other| overlap(&other.at, &at)) {
                self.error(place.span, "`fields`: a document is read from one of them");
            }
            documents.push(Document { at, shape: Arc::new(Shape::Members(flat())) });
        }
        complete.then_some(documents)
    }

    fn document_at(&mut self, key: &Placed<String>) -> Option<DocumentAt> {
        let (kind, name) = key.value.split_once(':').unwrap_or((&key.value, ""));
        match (kind, name) {
            ("body", pointer) => match Pointer::try_from(pointer) {
                Ok(pointer) => return Some(DocumentAt::Body(pointer)),
                Err(error) => self.error(key.span.clone(), &format!("`documents`: {error}")),
            },
            ("field", name) if !name.is_empty() => return Some(DocumentAt::Field(name.to_owned())),
            _ => {
                let found = quoted(&key.value);
                self.error(
                    key.span.clone(),
                    &format!("`documents`: expected `body`, `body:/a/b` or `field:name`, found {found}"),
                );
            }
        }
        None
    }

    fn admit_codec(&mut self, key: &Placed<String>, at: &DocumentAt, body: Option<&Placed<Body>>) {
        let needed = match at {
            DocumentAt::Body(_) => (Body::Json, "json"),
            DocumentAt::Field(_) | DocumentAt::Fields(_) => (Body::Form, "form"),
        };
        if body.is_some_and(|body| body.value != needed.0) {
            self.error(key.span.clone(), &format!("{} needs `body = \"{}\"`", quoted(&key.value), needed.1));
        }
    }
}

/// Whether two documents would read one value, which then would be judged twice and perhaps differently.
fn overlap(one: &DocumentAt, other: &DocumentAt) -> bool {
    match (one, other) {
        (DocumentAt::Body(one), DocumentAt::Body(other)) => {
            one.names().iter().zip(other.names()).all(|(one, other)| one == other)
        }
        (DocumentAt::Field(one), DocumentAt::Field(other)) => one == other,
        (DocumentAt::Field(name), DocumentAt::Fields(fields))
        | (DocumentAt::Fields(fields), DocumentAt::Field(name)) => fields.iter().any(|field| field.field == *name),
        (DocumentAt::Fields(one), DocumentAt::Fields(other)) => {
            one.iter().any(|one| other.iter().any(|other| one.field == other.field))
        }
        (DocumentAt::Body(_), DocumentAt::Field(_) | DocumentAt::Fields(_))
        | (DocumentAt::Field(_) | DocumentAt::Fields(_), DocumentAt::Body(_)) => false,
    }
}

/// How the form fields that are attributes themselves are read.
fn flat() -> Members {
    Members {
        prefix: String::new(),
        spelling: Spelling::Own,
        group: None,
        settings: Vec::new(),
        credentials: Vec::new(),
        nested: Vec::new(),
        rest: Rest::Attributes,
        accepts: Accepts::Nothing,
    }
}
