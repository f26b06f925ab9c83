//! A messenger, its requests and its documents for the tests of this room.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use super::{Decoded, Envelope, EnvelopeError, Guard, Wire};
use crate::decision::{Folding, NoSecrets, TokenReader, Write};
use crate::policy::Limits;
use crate::profile::{
    Body, Class, Document, DocumentAt, IdentityPlaces, Operation, Place, PlatformSource, Pointer, Profile,
    RefusalShapes, Replaces, Serves, Shape, Teaches, TokenPlaces, Upgrade, WhenEmpty,
};

pub(super) mod shapes;

pub(super) fn place(text: &str) -> Place {
    Place::try_from(text).expect("a place")
}

pub(super) fn field(name: &str, shape: Arc<Shape>) -> Document {
    Document { at: DocumentAt::Field(name.into()), shape }
}

pub(super) fn body(pointer: &str, shape: Arc<Shape>) -> Document {
    Document { at: DocumentAt::Body(Pointer::try_from(pointer).expect("a pointer")), shape }
}

pub(super) fn operation(body: Body, documents: Vec<Document>) -> Operation {
    Operation {
        name: "ping".into(),
        methods: vec![Method::POST],
        path: "/ping/{id}".try_into().expect("a pattern"),
        class: Class::Update,
        body,
        documents,
        context: vec![],
        subject: vec![],
        when_empty: WhenEmpty::Send,
        replaces: Replaces::Nothing,
        upgrade: Upgrade::Never,
        serves: Serves::Anything,
        teaches: Teaches::Nothing,
        exchange: None,
        webhook: None,
    }
}

pub(super) fn ping() -> Operation {
    operation(Body::Form, vec![field("user_data", shapes::user_data()), field("form_params", shapes::collected())])
}

pub(super) fn profile() -> Profile {
    Profile {
        id: "test".into(),
        title: "Test".into(),
        folding: Folding {
            replaced: vec!['.', ' '],
            replacement: Some('_'),
            containers: vec!["custom_attributes".into()],
        },
        aliases: vec![],
        token_reader: TokenReader::Gateway,
        widget_origin: crate::profile::WidgetOrigin::Page,
        platform: PlatformSource::Untold,
        workspace_at: vec![place("field:app_id"), place("query:website_token")],
        identity: IdentityPlaces {
            user_id: vec![place("document:user_id"), place("field:user_id")],
            ..IdentityPlaces::default()
        },
        tokens: TokenPlaces {
            sealed: Vec::new(),
            jwt: vec![place("document:intercom_user_jwt"), place("field:intercom_user_jwt"), place("query:jwt")],
            user_hash: vec![],
            session: vec![],
        },
        claims: shapes::user_data(),
        claim_names: Vec::new(),
        roles: None,
        operations: vec![Arc::new(ping())],
        refusals: RefusalShapes { identity_missing: None, identity_bad: None },
    }
}

pub(super) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).expect("a header value"));
    }
    headers
}

pub(super) fn writes<'v>(envelope: &'v Envelope<'_>, own: &[Place]) -> Vec<Write<'v>> {
    envelope.walk(own, &NoSecrets).expect("documents of their shape").update().writes.clone()
}

/// Opens a request and looks at it.
pub(super) fn with<T>(
    operation: &Operation,
    query: &str,
    body: &[u8],
    look: impl FnOnce(&Envelope<'_>) -> T,
) -> Result<T, EnvelopeError> {
    let declared = match operation.body {
        Body::Json => "application/json",
        Body::Form | Body::None | Body::Stream => "application/x-www-form-urlencoded",
    };
    let headers = headers(&[
        ("content-type", declared),
        ("authorization", "bearer  abc "),
        ("x-user", "7"),
        ("cookie", "a=1; session=xyz"),
        ("cookie", "twice=1; twice=1"),
    ]);
    let params = vec![("id".to_owned(), "c%C3%A9")];
    let wire = Wire { headers: &headers, query: Some(query), params: &params, body };
    let profile = profile();
    let decoded = Decoded::decode(operation, &wire, &Limits::default())?;
    let envelope = decoded.open(&Guard::new(&profile, operation), &profile, operation, &Limits::default())?;
    envelope.walk(&[], &NoSecrets)?;
    Ok(look(&envelope))
}

/// How many writes an opened request has, or why it is not opened.
#[track_caller]
pub(super) fn check(operation: &Operation, query: &str, body: &str, expected: Result<usize, EnvelopeError>) {
    let writes = with(operation, query, body.as_bytes(), |envelope| writes(envelope, &[]).len());
    assert_eq!(writes, expected, "?{query} {body}");
}

pub(super) fn json_operation() -> Operation {
    operation(Body::Json, vec![body("/contact", shapes::user_data()), body("/message/answers", shapes::pairs())])
}

pub(super) fn root_operation() -> Operation {
    operation(Body::Json, vec![body("", shapes::user_data())])
}
