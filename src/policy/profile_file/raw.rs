//! What a profile file says, each value with its place. Single values are already parsed here; what concerns several of them is not.

use http::Method;

use super::super::reader::{Keyword, Named, Placed, Table, Value};
use crate::decision::{Spelling, TokenReader};
use crate::profile::{Body, Class, PathPattern, Place, Replaces, Rest, Upgrade, WhenEmpty};

/// A profile file. `None` is a key that is absent, or a mistake that is already among the findings.
pub(super) struct RawProfile {
    pub title: Option<Placed<String>>,
    pub token_reader: Option<Placed<TokenReader>>,
    pub workspace_at: Option<Vec<Placed<Place>>>,
    pub claims: Option<Placed<String>>,
    pub identity: Option<Placed<RawIdentity>>,
    pub tokens: Option<Placed<RawTokens>>,
    pub folding: Option<Placed<RawFolding>>,
    pub aliases: Vec<Named<Placed<String>>>,
    pub refusals: Option<Placed<RawRefusals>>,
    pub shapes: Vec<Named<RawShape>>,
    pub operations: Vec<Named<RawOperation>>,
}

pub(super) struct RawIdentity {
    pub user_id: Option<Vec<Placed<Place>>>,
    pub email: Option<Vec<Placed<Place>>>,
    pub session: Option<Vec<Placed<Place>>>,
    pub user_id_claims: Option<Vec<Placed<String>>>,
    pub email_claims: Option<Vec<Placed<String>>>,
}

pub(super) struct RawTokens {
    pub jwt: Option<Vec<Placed<Place>>>,
    pub user_hash: Option<Vec<Placed<Place>>>,
    pub sealed: Option<Vec<Placed<Place>>>,
}

pub(super) struct RawFolding {
    pub replaced: Option<Placed<String>>,
    pub replacement: Option<Placed<String>>,
    pub containers: Option<Vec<Placed<String>>>,
}

pub(super) struct RawRefusals {
    pub identity_missing: Option<Placed<RawRefusal>>,
    pub identity_bad: Option<Placed<RawRefusal>>,
}

pub(super) struct RawRefusal {
    pub status: Option<Placed<u16>>,
    pub json: Option<Placed<String>>,
}

pub(super) enum RawShape {
    Object(RawObject),
    Answer {
        identifier: Option<Placed<String>>,
        value: Option<Placed<String>>,
        prefixes: Vec<Named<Placed<String>>>,
    },
    Answers {
        name: Option<Placed<String>>,
        value: Option<Placed<String>>,
        prefix: Option<Placed<String>>,
    },
    Names {
        prefix: Option<Placed<String>>,
    },
    Opaque,
    /// Its kind is missing or wrong.
    Unknown,
}

pub(super) struct RawObject {
    pub prefix: Option<Placed<String>>,
    pub spelling: Option<Placed<Spelling>>,
    pub rest: Option<Placed<Rest>>,
    pub settings: Option<Vec<Placed<String>>>,
    pub credentials: Option<Vec<Placed<String>>>,
    pub nested: Vec<Named<Placed<String>>>,
    pub group: Option<Placed<RawGroup>>,
    pub accepts: Option<Placed<RawAccepts>>,
}

pub(super) struct RawGroup {
    pub name: Option<Placed<String>>,
    pub id: Option<Vec<Placed<String>>>,
    pub required: Option<Vec<Placed<Vec<Placed<String>>>>>,
}

pub(super) enum RawAccepts {
    Any,
    Only(Vec<Placed<String>>),
}

/// One operation, of a profile or of a workspace's own routes.
pub(super) struct RawOperation {
    pub on: Option<Placed<Call>>,
    pub class: Option<Placed<Class>>,
    pub body: Option<Placed<Body>>,
    pub documents: Vec<Named<Placed<String>>>,
    pub fields: Vec<Named<Placed<String>>>,
    pub context: Vec<Placed<Place>>,
    pub subject: Vec<Placed<Place>>,
    pub when_empty: Option<Placed<WhenEmpty>>,
    pub replaces: Option<Placed<Replaces>>,
    pub upgrade: Option<Placed<Upgrade>>,
}

/// Methods and a path: `GET HEAD /packs/**`.
pub(super) struct Call {
    pub methods: Vec<Method>,
    pub path: PathPattern,
}

#[derive(Clone, Copy)]
enum Kind {
    Object,
    Answer,
    Answers,
    Names,
    Opaque,
}

impl RawProfile {
    pub(super) fn fill(table: &mut Table<'_>) -> Self {
        Self {
            title: table.required("title", Value::text),
            token_reader: table.required("token_reader", Value::keyword),
            workspace_at: table.required("workspace_at", places),
            claims: table.required("claims", Value::text),
            identity: table.required("identity", |value| value.table(RawIdentity::fill)),
            tokens: table.required("tokens", |value| value.table(RawTokens::fill)),
            folding: table.optional("folding", |value| value.table(RawFolding::fill)),
            aliases: texts_by_name(table, "aliases"),
            refusals: table.optional("refusals", |value| value.table(RawRefusals::fill)),
            shapes: named(table.required("shapes", |value| value.named_tables("shape", RawShape::fill))),
            operations: named(
                table.optional("operations", |value| value.named_tables("operation", RawOperation::fill)),
            ),
        }
    }
}

impl RawIdentity {
    // Every list is said in full, also an empty one: who a request is about is nothing to leave to a default.
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            user_id: table.required("user_id", places),
            email: table.required("email", places),
            session: table.required("session", places),
            user_id_claims: table.required("user_id_claims", texts),
            email_claims: table.required("email_claims", texts),
        }
    }
}

impl RawTokens {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            jwt: table.required("jwt", places),
            user_hash: table.required("user_hash", places),
            sealed: table.optional("sealed", places),
        }
    }
}

impl RawFolding {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            replaced: table.optional("replaced", Value::text),
            replacement: table.optional("replacement", Value::text),
            containers: table.optional("containers", texts),
        }
    }
}

impl RawRefusals {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            identity_missing: table.optional("identity_missing", |value| value.table(RawRefusal::fill)),
            identity_bad: table.optional("identity_bad", |value| value.table(RawRefusal::fill)),
        }
    }
}

impl RawRefusal {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            status: table.required("status", |value| value.integer(400..=499)),
            json: table.optional("json", |value| value.parsed(json)),
        }
    }
}

/// Only our own files come here, so which of two equal names counts is for their author to see.
fn json(text: &str) -> Result<String, &'static str> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected JSON"),
    }
}

impl RawShape {
    fn fill(table: &mut Table<'_>) -> Self {
        match table.required("kind", Value::keyword).map(|kind| kind.value) {
            Some(Kind::Object) => Self::Object(RawObject::fill(table)),
            Some(Kind::Answer) => Self::Answer {
                identifier: table.required("identifier", Value::text),
                value: table.required("value", Value::text),
                prefixes: texts_by_name(table, "prefixes"),
            },
            Some(Kind::Answers) => Self::Answers {
                name: table.required("name", Value::text),
                value: table.required("value", Value::text),
                prefix: table.optional("prefix", Value::text),
            },
            Some(Kind::Names) => Self::Names { prefix: table.optional("prefix", Value::text) },
            Some(Kind::Opaque) => Self::Opaque,
            None => {
                // Without its kind nobody can tell which of its keys are wrong: read them all, so that one mistake is one finding.
                RawObject::fill(table);
                for key in ["identifier", "value", "prefixes", "name"] {
                    table.has(key);
                }
                Self::Unknown
            }
        }
    }
}

impl RawShape {
    /// The members that are read by shapes of their own.
    pub(super) fn nested(&self) -> &[Named<Placed<String>>] {
        match self {
            Self::Object(object) => &object.nested,
            Self::Answer { .. } | Self::Answers { .. } | Self::Names { .. } | Self::Opaque | Self::Unknown => &[],
        }
    }
}

impl RawObject {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            prefix: table.optional("prefix", Value::text),
            spelling: table.optional("spelling", Value::keyword),
            rest: table.optional("rest", Value::keyword),
            settings: table.optional("settings", texts),
            credentials: table.optional("credentials", texts),
            nested: texts_by_name(table, "nested"),
            group: table.optional("group", |value| value.table(RawGroup::fill)),
            accepts: table.optional("accepts", RawAccepts::read),
        }
    }
}

impl RawGroup {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            name: table.required("name", Value::text),
            id: table.required("id", texts),
            required: table.required("required", |value| Some(value.list(|value| value.list(Value::text))?.value)),
        }
    }
}

impl RawAccepts {
    fn read(value: &Value<'_>) -> Option<Placed<Self>> {
        if value.is_text() {
            return Some(value.keyword::<AnyWord>()?.map(|AnyWord| Self::Any));
        }
        Some(value.list(Value::text)?.map(Self::Only))
    }
}

impl RawOperation {
    /// Asks a table for the keys of an operation.
    pub(super) fn fill(table: &mut Table<'_>) -> Self {
        Self {
            on: table.required("on", |value| value.parsed(Call::parse)),
            class: table.required("class", Value::keyword),
            body: table.required("body", Value::keyword),
            documents: texts_by_name(table, "documents"),
            fields: texts_by_name(table, "fields"),
            context: table.optional("context", places).unwrap_or_default(),
            subject: table.optional("subject", places).unwrap_or_default(),
            when_empty: table.optional("when_empty", Value::keyword),
            replaces: table.optional("replaces", Value::keyword),
            upgrade: table.optional("upgrade", Value::keyword),
        }
    }
}

impl Call {
    fn parse(text: &str) -> Result<Self, String> {
        let mut words: Vec<&str> = text.split(' ').collect();
        let path = words.pop().unwrap_or_default();
        let methods = words.iter().map(|word| parse_method(word)).collect::<Option<Vec<_>>>().unwrap_or_default();
        let path = PathPattern::try_from(path).map_err(|error| format!("the path {error}"))?;
        if methods.is_empty() {
            return Err("expected methods (`GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE`) and a path".to_owned());
        }
        Ok(Self { methods, path })
    }
}

/// `OPTIONS` is not among them: preflights are answered here and never sent on.
fn parse_method(word: &str) -> Option<Method> {
    match word {
        "GET" => Some(Method::GET),
        "HEAD" => Some(Method::HEAD),
        "POST" => Some(Method::POST),
        "PUT" => Some(Method::PUT),
        "PATCH" => Some(Method::PATCH),
        "DELETE" => Some(Method::DELETE),
        _ => None,
    }
}

fn places(value: &Value<'_>) -> Option<Vec<Placed<Place>>> {
    Some(value.list(|value| value.parsed(|text| Place::try_from(text)))?.value)
}

fn texts(value: &Value<'_>) -> Option<Vec<Placed<String>>> {
    Some(value.list(Value::text)?.value)
}

fn texts_by_name(table: &mut Table<'_>, key: &'static str) -> Vec<Named<Placed<String>>> {
    // A value may be empty: the prefix `custom_data.` stands for nothing.
    named(table.optional(key, |value| value.entries(Value::any_text)))
}

fn named<T>(found: Option<Placed<Vec<Named<T>>>>) -> Vec<Named<T>> {
    found.map(|found| found.value).unwrap_or_default()
}

#[derive(Clone, Copy)]
struct AnyWord;

impl Keyword for AnyWord {
    const WORDS: &'static [(&'static str, Self)] = &[("any", AnyWord)];
}

impl Keyword for Kind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("object", Kind::Object),
        ("answer", Kind::Answer),
        ("answers", Kind::Answers),
        ("names", Kind::Names),
        ("opaque", Kind::Opaque),
    ];
}

impl Keyword for TokenReader {
    const WORDS: &'static [(&'static str, Self)] =
        &[("upstream", TokenReader::Upstream), ("gateway", TokenReader::Gateway)];
}

impl Keyword for Spelling {
    const WORDS: &'static [(&'static str, Self)] = &[("own", Spelling::Own), ("alias", Spelling::Alias)];
}

impl Keyword for Rest {
    const WORDS: &'static [(&'static str, Self)] = &[("attributes", Rest::Attributes), ("settings", Rest::Settings)];
}

impl Keyword for Class {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("update", Class::Update),
        ("event", Class::Event),
        ("collect", Class::Collect),
        ("delete", Class::Delete),
        ("identify", Class::Identify),
        ("session_end", Class::SessionEnd),
        ("telemetry", Class::Telemetry),
        ("pass", Class::Pass),
        ("server_api", Class::ServerApi),
    ];
}

impl Keyword for Body {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Body::None), ("json", Body::Json), ("form", Body::Form), ("stream", Body::Stream)];
}

impl Keyword for WhenEmpty {
    const WORDS: &'static [(&'static str, Self)] = &[("send", WhenEmpty::Send), ("refuse", WhenEmpty::Refuse)];
}

impl Keyword for Replaces {
    const WORDS: &'static [(&'static str, Self)] = &[("nothing", Replaces::Nothing), ("all", Replaces::All)];
}

impl Keyword for Upgrade {
    const WORDS: &'static [(&'static str, Self)] = &[("never", Upgrade::Never), ("websocket", Upgrade::WebSocket)];
}
