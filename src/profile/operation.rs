//! Operations: the kinds of request that a messenger knows.

use std::sync::Arc;

use http::Method;

use super::answer::{Exchange, Teaches};
use super::path::PathPattern;
use super::place::{Place, Pointer};
use super::shape::Shape;
use super::webhook::WebhookSignature;

/// What an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Update,
    Event,
    /// A lead answers a bot.
    Collect,
    /// Names of attributes to delete.
    Delete,
    Identify,
    SessionEnd,
    Telemetry,
    /// Assets, the widget's page, the realtime channel: streamed both ways, never opened.
    Pass,
    /// Server to server: not the messenger, and never from a browser.
    ServerApi,
    /// What a vendor's server sends and signs: verified as a whole and sent on to the byte, and never from a browser.
    Webhook,
}

impl Class {
    /// The stable name, in policy files and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Update => "update",
            Class::Event => "event",
            Class::Collect => "collect",
            Class::Delete => "delete",
            Class::Identify => "identify",
            Class::SessionEnd => "session_end",
            Class::Telemetry => "telemetry",
            Class::Pass => "pass",
            Class::ServerApi => "server_api",
            Class::Webhook => "webhook",
        }
    }
}

/// How the body is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none; a request that brings one is refused.
    None,
    /// `application/json`.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Never opened: streamed for [`Class::Pass`] and [`Class::ServerApi`], held until it is verified for [`Class::Webhook`]; only for these.
    Stream,
}

/// Where an attribute document sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentAt {
    /// The JSON body, or the value at a pointer in it.
    Body(Pointer),
    /// JSON text in a form field, or its bracket spelling (`user_data[plan]=pro`).
    Field(String),
    /// Form fields that are attributes themselves (`phone_number=…`).
    ///
    /// Those that are present are the members of one flat object, under the attributes' names and with their text as values; where none is
    /// present the document is absent. A member that is left out takes its field with it, one that is replaced gives its field another
    /// text, and nothing is added. Places `document:…` do not look in here: whoever answers with an address does not sign in with it.
    Fields(Vec<FieldAttribute>),
}

/// A form field and the attribute that it sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldAttribute {
    pub field: String,
    /// Its name in the catalogue's spelling.
    pub attribute: String,
}

/// One attribute document of an operation. It may be absent; it may not be present twice.
#[derive(Clone, Debug)]
pub struct Document {
    pub at: DocumentAt,
    pub shape: Arc<Shape>,
}

/// What to do when nothing of a document is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenEmpty {
    /// Send the rest of the request on.
    Send,
    /// Refuse the request: an empty one would mean something else (delete all, no answer).
    Refuse,
}

/// Whether the operation clears what it does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    Nothing,
    /// All attributes below the shape's prefix: to leave out a locked one would erase it.
    All,
}

/// Whether the operation may become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    Never,
    WebSocket,
}

/// What the operation's answer is, where browsers have to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    Anything,
    /// The widget's page, which a customer's page puts into a frame.
    Frame,
}

/// One kind of request of a profile.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its name in records and metrics.
    pub name: String,
    pub methods: Vec<Method>,
    pub path: PathPattern,
    pub class: Class,
    pub body: Body,
    pub documents: Vec<Document>,
    /// For [`Class::Collect`]: what must be present for the answer to belong to a bot's question.
    pub context: Vec<Place>,
    /// The subject that the path or body names, beside those of the profile.
    pub subject: Vec<Place>,
    pub when_empty: WhenEmpty,
    pub replaces: Replaces,
    pub upgrade: Upgrade,
    pub serves: Serves,
    /// What the upstream's answer teaches.
    pub teaches: Teaches,
    /// Where it exchanges a token for a session.
    pub exchange: Option<Exchange>,
    /// For [`Class::Webhook`], and there always: how it is signed.
    pub webhook: Option<WebhookSignature>,
}
