//! The wires: what each messenger looks like, as data.
//!
//! A profile says which requests there are, where in them attributes, tokens and identity sit, and how the widget wants to be refused.
//! It is pure: it opens no envelope and judges nothing.

mod answer;
mod operation;
mod path;
mod place;
mod platform;
mod refusal;
mod routes;
mod shape;
mod shipped;
mod webhook;

use std::sync::Arc;

pub use answer::{Exchange, RoleAnswer, SessionRole, Teaches};
pub use operation::{
    Body, Class, Document, DocumentAt, FieldAttribute, Operation, Replaces, Serves, Upgrade, WhenEmpty,
};
pub use path::{Path, PathError, PathParams, PathPattern};
pub use place::{Place, PlaceError, Pointer};
pub use platform::{Platform, PlatformSource, Platforms};
pub use refusal::{Refusal, RefusalBody, RefusalShapes};
pub use routes::{RouteError, Routes};
pub use shape::{Accepts, Collected, GroupRule, Members, Nested, Pairs, Rest, Shape};
pub use shipped::shipped;
pub use webhook::{WebhookAlgorithm, WebhookSignature};

use crate::decision::{Folding, TokenReader};

/// What one messenger looks like on the wire.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The file's name without its ending; workspaces name it.
    pub id: String,
    pub title: String,
    pub folding: Folding,
    /// Other spellings of one fact, each with the name that it stands for.
    pub aliases: Vec<(String, String)>,
    /// Whether the backend reads the token itself.
    pub token_reader: TokenReader,
    /// Whose page the widget's requests come from.
    pub widget_origin: WidgetOrigin,
    /// How the platform of a request is known, for keys that are not for all.
    pub platform: PlatformSource,
    /// Where the workspace is named; the first that is present counts, and all that are present must agree.
    pub workspace_at: Vec<Place>,
    pub identity: IdentityPlaces,
    pub tokens: TokenPlaces,
    /// How claims are read as attributes.
    pub claims: Arc<Shape>,
    /// Claims that are an attribute of another name, each with that.
    pub claim_names: Vec<(String, String)>,
    /// How answers say whom a session belongs to; `None`: this messenger's never do.
    pub roles: Option<RoleAnswer>,
    pub operations: Vec<Arc<Operation>>,
    pub refusals: RefusalShapes,
}

/// Whose page the widget's requests come from, and so what their `Origin` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WidgetOrigin {
    /// The customer's: one of the trusted domains.
    Page,
    /// A frame that the messenger itself serves, so that it comes through this gateway and has this gateway's own origin.
    Gateway,
}

/// Where a request says who its user is.
#[derive(Clone, Debug, Default)]
pub struct IdentityPlaces {
    pub user_id: Vec<Place>,
    pub email: Vec<Place>,
    /// A session of the messenger: its presence means that somebody may be known upstream.
    pub session: Vec<Place>,
    /// The claims that name the user id, most telling first.
    pub user_id_claims: Vec<String>,
    pub email_claims: Vec<String>,
}

/// Where proofs sit.
#[derive(Clone, Debug, Default)]
pub struct TokenPlaces {
    pub jwt: Vec<Place>,
    pub user_hash: Vec<Place>,
    /// The session token that an [`Exchange`] gave.
    pub session: Vec<Place>,
    /// Attributes under an encryption that this version does not open. Where the workspace enforces, a request that has one is refused:
    /// what nobody here can read nobody may send past us. An empty text and the text `undefined`, which scripts leave behind, are none.
    pub sealed: Vec<Place>,
}
