//! What a profile file says, each value with its place. Single values are already parsed here; what concerns several of them is not.

use std::collections::BTreeMap;

use http::{HeaderName, Method};
use schemars::JsonSchema;

use super::super::finding::Findings;
use super::super::keywords::keywords;
use super::super::reader::{self, Named, Placed, Table, Value};
use super::super::source::Source;
use crate::decision::{Spelling, TokenReader};
use crate::profile::{
    Body, Class, PathPattern, Place, Platform, Pointer, Replaces, Rest, Serves, SessionRole, Teaches, Upgrade,
    WebhookAlgorithm, WhenEmpty, WidgetOrigin,
};

/// What one messenger looks like on the wire.
#[derive(JsonSchema)]
#[schemars(title = "Countersign: a profile", deny_unknown_fields)]
pub(in super::super) struct RawProfile {
    #[schemars(required)]
    pub(super) title: Option<Placed<String>>,
    /// Who reads tokens behind the gateway: the backend itself, or nobody, so that what they sign is written into the payload.
    #[schemars(required)]
    pub(super) token_reader: Option<Placed<TokenReader>>,
    /// Whose page the widget's requests come from: the customer's, or a frame that the messenger serves through the gateway. Default: page.
    pub(super) widget_origin: Option<Placed<WidgetOrigin>>,
    /// The platform of all requests, where only one speaks this wire. Default: not known, or said at `platform_at`.
    pub(super) platform: Option<Placed<Platform>>,
    /// Where requests say their platform, such as `field:platform`. It narrows which keys count.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) platform_at: Option<Places>,
    /// What they say there, each word with the platform that it means. Any other is an unknown platform.
    #[schemars(with = "Option<BTreeMap<String, Platform>>")]
    pub(super) platform_words: Option<Placed<Vec<Named<Placed<Platform>>>>>,
    /// Where requests name the workspace, such as `field:app_id`.
    #[schemars(required, with = "Option<Vec<String>>")]
    pub(super) workspace_at: Option<Places>,
    /// The shape by which a token's claims are read.
    #[schemars(required)]
    pub(super) claims: Option<Placed<String>>,
    /// Claims that are an attribute of another name, each with that, such as `phone_number = "phone"`. Default: each is called like its attribute.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) claim_names: Option<TextsByName>,
    #[schemars(required)]
    pub(super) identity: Option<Placed<RawIdentity>>,
    #[schemars(required)]
    pub(super) tokens: Option<Placed<RawTokens>>,
    pub(super) folding: Option<Placed<RawFolding>>,
    /// Other spellings of one fact, each with the name that it stands for.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) aliases: Option<TextsByName>,
    pub(super) refusals: Option<Placed<RawRefusals>>,
    /// How the backend's answers say whom a session belongs to. Default: they do not.
    pub(super) roles: Option<Placed<RawRoles>>,
    /// Which member of a document is what, under names to which documents and other shapes refer.
    #[schemars(required, with = "Option<BTreeMap<String, RawShape>>")]
    pub(super) shapes: Option<Placed<Vec<Named<RawShape>>>>,
    /// The kinds of request that the messenger knows. Any other is refused.
    #[schemars(with = "Option<BTreeMap<String, RawOperation>>")]
    pub(super) operations: Option<Placed<Vec<Named<RawOperation>>>>,
}

pub(super) type Texts = Placed<Vec<Placed<String>>>;
pub(super) type Places = Placed<Vec<Placed<Place>>>;
pub(super) type TextsByName = Placed<Vec<Named<Placed<String>>>>;

/// Where a request says who its user is. Every list is said in full, also an empty one: this is nothing to leave to a default.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawIdentity {
    /// Such as `document:user_id`.
    #[schemars(required, with = "Option<Vec<String>>")]
    pub(super) user_id: Option<Places>,
    #[schemars(required, with = "Option<Vec<String>>")]
    pub(super) email: Option<Places>,
    /// What names a session of the messenger: whoever brings one may be known upstream.
    #[schemars(required, with = "Option<Vec<String>>")]
    pub(super) session: Option<Places>,
    /// The claims that name the user, most telling first.
    #[schemars(required)]
    pub(super) user_id_claims: Option<Texts>,
    #[schemars(required)]
    pub(super) email_claims: Option<Texts>,
}

/// Where proofs sit.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawTokens {
    /// Such as `bearer:authorization`.
    #[schemars(required, with = "Option<Vec<String>>")]
    pub(super) jwt: Option<Places>,
    #[schemars(required, with = "Option<Vec<String>>")]
    pub(super) user_hash: Option<Places>,
    /// The session token that an operation with `exchange` gave, such as `bearer:authorization`. Default: none.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) session: Option<Places>,
    /// Attributes under an encryption that the gateway does not open: refused where the workspace enforces.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) sealed: Option<Places>,
}

/// When the backend takes two spellings for one name.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawFolding {
    /// Characters that the backend replaces within a name.
    pub(super) replaced: Option<Placed<String>>,
    /// The character by which it replaces them.
    pub(super) replacement: Option<Placed<String>>,
    /// Objects that say only where an attribute is kept, not which it is.
    pub(super) containers: Option<Texts>,
}

/// The answers to refusals that the messenger's own client understands.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawRefusals {
    /// Identity is required and no proof came.
    pub(super) identity_missing: Option<Placed<RawRefusal>>,
    /// A proof came and does not hold.
    pub(super) identity_bad: Option<Placed<RawRefusal>>,
}

/// Where the answers to operations of `teaches = "role"` say who asked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawRoles {
    /// The role in the answer: a JSON pointer (RFC 6901), such as `/user/role`.
    #[schemars(required, with = "Option<String>")]
    pub(super) at: Option<Placed<Pointer>>,
    /// The session in the answer, such as `/anonymous_session`.
    #[schemars(required, with = "Option<String>")]
    pub(super) session: Option<Placed<Pointer>>,
    /// What the messenger's words mean: `visitor`, `lead` or `user`.
    #[schemars(required, with = "Option<BTreeMap<String, SessionRole>>")]
    pub(super) words: Option<Placed<Vec<Named<Placed<SessionRole>>>>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawRefusal {
    #[schemars(required, range(min = 400, max = 499))]
    pub(super) status: Option<Placed<u16>>,
    /// JSON text, sent as it stands. Default: problem details (RFC 9457).
    pub(super) json: Option<Placed<String>>,
}

/// How one JSON value is read. Its kind says which of the other keys it may have.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawShape {
    #[schemars(required)]
    pub(super) kind: Option<Placed<Kind>>,
    /// What stands before each name in the catalogue. Default: nothing.
    pub(super) prefix: Option<Placed<String>>,
    /// Whether this is the attributes' own place, or one where the backend may look for them as well. Default: own.
    pub(super) spelling: Option<Placed<Spelling>>,
    /// What members are that nothing names. Default: attributes.
    pub(super) rest: Option<Placed<Rest>>,
    /// Members that are no attributes. They pass.
    pub(super) settings: Option<Texts>,
    /// Members that are tokens and hashes. They pass and are never recorded.
    pub(super) credentials: Option<Texts>,
    /// Members with a shape of their own; `shape[]` is a list of it.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) nested: Option<TextsByName>,
    /// For an object that is one of several with ids.
    pub(super) group: Option<Placed<RawGroup>>,
    /// Which signed attributes may be written into this object: `"any"`, or these. Default: none.
    #[schemars(with = "Option<AcceptsText>")]
    pub(super) accepts: Option<Placed<RawAccepts>>,
    /// The member that says which attribute is answered.
    pub(super) identifier: Option<Placed<String>>,
    /// Prefixes of the identifier and what they stand for, tried in order.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) prefixes: Option<TextsByName>,
    /// The member of each answer that names it.
    pub(super) name: Option<Placed<String>>,
    /// The member that has the answer.
    pub(super) value: Option<Placed<String>>,
}

/// What kind of value a shape reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its members are attributes, settings and credentials.
    Object,
    /// One answer to a bot.
    Answer,
    /// A list of answers.
    Answers,
    /// A list of names to delete.
    Names,
}

keywords!(
    Kind: "object" => Kind::Object,
    "answer" => Kind::Answer,
    "answers" => Kind::Answers,
    "names" => Kind::Names,
);

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawGroup {
    /// Its name in the catalogue.
    #[schemars(required)]
    pub(super) name: Option<Placed<String>>,
    /// The members that may hold its id, most telling first.
    #[schemars(required, length(min = 1))]
    pub(super) id: Option<Texts>,
    /// Without one member of each list the object cannot stand.
    #[schemars(required)]
    pub(super) required: Option<Placed<Vec<Texts>>>,
}

pub(super) enum RawAccepts {
    Any,
    Only(Vec<Placed<String>>),
}

/// How `accepts` is spelled.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "the schema's form of `RawAccepts`")]
enum AcceptsText {
    Any(AnyWord),
    Only(Vec<String>),
}

/// One kind of request.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawOperation {
    /// Methods and a path: `POST /contacts/{id}`, `GET HEAD /assets/**`.
    #[schemars(required, with = "Option<String>")]
    pub(super) on: Option<Placed<Call>>,
    #[schemars(required)]
    pub(super) class: Option<Placed<Class>>,
    /// How the body is spelled. `stream` is never opened.
    #[schemars(required)]
    pub(super) body: Option<Placed<Body>>,
    /// Where attributes are, and in which shape: `"field:user_data" = "user"`, `body = "contact"`, `"body:/contact" = "contact"`.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) documents: Option<TextsByName>,
    /// Form fields that are attributes themselves, each with the attribute that it sets.
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub(super) fields: Option<TextsByName>,
    /// For `collect`: what must be there for the answer to belong to a question.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) context: Option<Places>,
    /// Where this request names the user, beside the places of `[identity]`.
    #[schemars(with = "Option<Vec<String>>")]
    pub(super) subject: Option<Places>,
    /// What to do when nothing of a document is left. Default: send.
    pub(super) when_empty: Option<Placed<WhenEmpty>>,
    /// Whether the request clears the attributes that it does not name. Default: nothing.
    pub(super) replaces: Option<Placed<Replaces>>,
    /// Whether the request may become a WebSocket. Default: never.
    pub(super) upgrade: Option<Placed<Upgrade>>,
    /// What the answer is: `frame`, the widget's page, which only pages of trusted domains may put into a frame. Default: anything.
    pub(super) serves: Option<Placed<Serves>>,
    /// What the answer teaches: the `role` of whoever asked. Default: nothing.
    pub(super) teaches: Option<Placed<Teaches>>,
    /// For `identify`: the request shows a token, and its answer gives a session token that stands for it.
    pub(super) exchange: Option<Placed<RawExchange>>,
    /// For `webhook`, and there required: how the vendor signs it.
    pub(super) signature: Option<Placed<RawSignature>>,
}

/// Where the signature of a webhook is, and of what.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawSignature {
    /// The header, such as `x-hub-signature`.
    #[schemars(required, with = "Option<String>")]
    pub(super) header: Option<Placed<HeaderName>>,
    /// What stands before its hexadecimal digits, such as `sha1=`. Default: nothing.
    pub(super) prefix: Option<Placed<String>>,
    #[schemars(required)]
    pub(super) algorithm: Option<Placed<WebhookAlgorithm>>,
    /// The header with the time of sending in Unix seconds; the signature is then of the time, a dot and the body. Default: of the body alone.
    #[schemars(with = "Option<String>")]
    pub(super) timestamp: Option<Placed<HeaderName>>,
}

/// Where a token and the session token for it stand.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawExchange {
    /// Where the request has the token, beside the places of `[tokens]`, such as `body:/jwt`.
    #[schemars(required, with = "Option<Vec<String>>")]
    pub(super) token: Option<Places>,
    /// Where the answer has the session token: JSON pointers (RFC 6901), one of which is there.
    #[schemars(required, with = "Option<Vec<String>>", length(min = 1))]
    pub(super) session: Option<Placed<Vec<Placed<Pointer>>>>,
}

/// Methods and a path.
pub(super) struct Call {
    pub(super) methods: Vec<Method>,
    pub(super) path: PathPattern,
}

impl RawProfile {
    /// Reads the file; `None` where it has syntax errors.
    pub(in super::super) fn read(source: &Source, findings: &mut Findings) -> Option<Self> {
        reader::read(source, findings, |table| Self {
            title: table.required("title", Value::text),
            token_reader: table.required("token_reader", Value::keyword),
            widget_origin: table.optional("widget_origin", Value::keyword),
            platform: table.optional("platform", Value::keyword),
            platform_at: table.optional("platform_at", |value| said(value, places)),
            platform_words: table
                .optional("platform_words", |value| said(value, |value| value.entries(Value::keyword))),
            workspace_at: table.required("workspace_at", places),
            claims: table.required("claims", Value::text),
            claim_names: table.optional("claim_names", |value| value.entries(Value::text)),
            identity: table.required("identity", |value| value.table(RawIdentity::fill)),
            tokens: table.required("tokens", |value| value.table(RawTokens::fill)),
            folding: table.optional("folding", |value| value.table(RawFolding::fill)),
            aliases: table.optional("aliases", texts_by_name),
            refusals: table.optional("refusals", |value| value.table(RawRefusals::fill)),
            roles: table.optional("roles", |value| value.table(RawRoles::fill)),
            shapes: table.required("shapes", |value| value.named_tables("shape", RawShape::fill)),
            operations: table.optional("operations", |value| value.named_tables("operation", RawOperation::fill)),
        })
    }
}

impl RawIdentity {
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
            session: table.optional("session", places),
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

impl RawRoles {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            at: table.required("at", pointer),
            session: table.required("session", pointer),
            words: table.required("words", |value| value.entries(Value::keyword)),
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

/// Only operators' own texts come here, so which of two equal names counts is for their author to see.
fn json(text: &str) -> Result<String, &'static str> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected JSON"),
    }
}

impl RawShape {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            kind: table.required("kind", Value::keyword),
            prefix: table.optional("prefix", Value::text),
            spelling: table.optional("spelling", Value::keyword),
            rest: table.optional("rest", Value::keyword),
            settings: table.optional("settings", texts),
            credentials: table.optional("credentials", texts),
            nested: table.optional("nested", texts_by_name),
            group: table.optional("group", |value| value.table(RawGroup::fill)),
            accepts: table.optional("accepts", RawAccepts::read),
            identifier: table.optional("identifier", Value::text),
            prefixes: table.optional("prefixes", texts_by_name),
            name: table.optional("name", Value::text),
            value: table.optional("value", Value::text),
        }
    }
}

impl RawGroup {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            name: table.required("name", Value::text),
            id: table.required("id", texts),
            required: table.required("required", |value| value.list(texts)),
        }
    }
}

impl RawAccepts {
    fn read(value: &Value<'_>) -> Option<Placed<Self>> {
        if value.is_text() {
            return Some(value.keyword()?.map(|AnyWord::Any| Self::Any));
        }
        Some(texts(value)?.map(Self::Only))
    }
}

impl RawOperation {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            on: table.required("on", |value| value.parsed(Call::parse)),
            class: table.required("class", Value::keyword),
            body: table.required("body", Value::keyword),
            documents: table.optional("documents", texts_by_name),
            fields: table.optional("fields", texts_by_name),
            context: table.optional("context", places),
            subject: table.optional("subject", places),
            when_empty: table.optional("when_empty", Value::keyword),
            replaces: table.optional("replaces", Value::keyword),
            upgrade: table.optional("upgrade", Value::keyword),
            serves: table.optional("serves", Value::keyword),
            teaches: table.optional("teaches", Value::keyword),
            exchange: table.optional("exchange", |value| value.table(RawExchange::fill)),
            signature: table.optional("signature", |value| value.table(RawSignature::fill)),
        }
    }
}

impl RawSignature {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            header: table.required("header", header_name),
            prefix: table.optional("prefix", Value::text),
            algorithm: table.required("algorithm", Value::keyword),
            timestamp: table.optional("timestamp", header_name),
        }
    }
}

/// A header's name in lower case.
fn header_name(value: &Value<'_>) -> Option<Placed<HeaderName>> {
    value.parsed(|text| match HeaderName::try_from(text) {
        Ok(name) if name.as_str() == text => Ok(name),
        Ok(_) | Err(_) => Err("expected the name of a header in lower case"),
    })
}

impl RawExchange {
    fn fill(table: &mut Table<'_>) -> Self {
        Self {
            token: table.required("token", places),
            session: table.required("session", |value| {
                if value.is_empty_list() {
                    value.error("expected at least one pointer");
                }
                value.list(pointer)
            }),
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

fn places(value: &Value<'_>) -> Option<Places> {
    value.list(|value| value.parsed(|text| Place::try_from(text)))
}

/// Where, or in which words, something is said.
fn said<'a, T>(value: &Value<'a>, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
    if value.is_empty_list() || value.is_empty_table() {
        value.error("nothing in it says a platform: leave it out");
    }
    read(value)
}

/// A pointer to a member: the answer as a whole says nothing.
fn pointer(value: &Value<'_>) -> Option<Placed<Pointer>> {
    value.parsed(|text| match Pointer::try_from(text) {
        Ok(pointer) if pointer.names().is_empty() => Err("expected a JSON pointer such as `/user/role`".to_owned()),
        Ok(pointer) => Ok(pointer),
        Err(error) => Err(error.to_string()),
    })
}

fn texts(value: &Value<'_>) -> Option<Texts> {
    value.list(Value::text)
}

/// Values may be empty: the prefix `custom_data.` of an identifier stands for nothing.
fn texts_by_name(value: &Value<'_>) -> Option<TextsByName> {
    value.entries(Value::any_text)
}

#[derive(Clone, Copy)]
enum AnyWord {
    Any,
}

keywords!(AnyWord: "any" => AnyWord::Any);
keywords!(TokenReader: "upstream" => TokenReader::Upstream, "gateway" => TokenReader::Gateway);
keywords!(WidgetOrigin: "page" => WidgetOrigin::Page, "gateway" => WidgetOrigin::Gateway);
keywords!(Platform: "web" => Platform::Web, "ios" => Platform::Ios, "android" => Platform::Android);
keywords!(Spelling: "own" => Spelling::Own, "alias" => Spelling::Alias);
keywords!(Rest: "attributes" => Rest::Attributes, "settings" => Rest::Settings);
keywords!(
    Class: "update" => Class::Update,
    "event" => Class::Event,
    "collect" => Class::Collect,
    "delete" => Class::Delete,
    "identify" => Class::Identify,
    "session_end" => Class::SessionEnd,
    "telemetry" => Class::Telemetry,
    "pass" => Class::Pass,
    "server_api" => Class::ServerApi,
    "webhook" => Class::Webhook,
);
keywords!(
    WebhookAlgorithm: "hmac-sha1" => WebhookAlgorithm::HmacSha1,
    "hmac-sha256" => WebhookAlgorithm::HmacSha256,
);
keywords!(Body: "none" => Body::None, "json" => Body::Json, "form" => Body::Form, "stream" => Body::Stream);
keywords!(WhenEmpty: "send" => WhenEmpty::Send, "refuse" => WhenEmpty::Refuse);
keywords!(Replaces: "nothing" => Replaces::Nothing, "all" => Replaces::All);
keywords!(Teaches: "nothing" => Teaches::Nothing, "role" => Teaches::Role);
keywords!(
    SessionRole: "visitor" => SessionRole::Visitor,
    "lead" => SessionRole::Lead,
    "user" => SessionRole::User,
);
keywords!(Serves: "anything" => Serves::Anything, "frame" => Serves::Frame);
keywords!(Upgrade: "never" => Upgrade::Never, "websocket" => Upgrade::WebSocket);
