//! Revocations over the admin listener: make one, list them, end one.
//!
//! What is taken back is named in the request and hashed before it is kept: no answer, record or log repeats it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::state::AdminState;
use super::writing::{self, AdminToken, WriteRefusal};
use crate::audit::{Change, Changed};
use crate::clock::{self, UnixSeconds};
use crate::state::{
    Digest, REVOCATIONS_MAX, Reason, ReasonError, Revocation, RevocationId, Revoked, StateError, Store,
    TOKEN_ID_BYTES_MAX,
};

/// How long a revocation counts that does not say: longer than any token should live.
pub const REVOCATION_SECONDS: i64 = 30 * 86_400;

/// The longest that one may count without being for ever: ten years.
const REVOCATION_SECONDS_MAX: i64 = 3_653 * 86_400;

/// Of a moment in the future nobody knows what is issued until then; clocks may differ by this much.
const ISSUED_BEFORE_AHEAD_SECONDS_MAX: i64 = 300;

/// The longest id of a user or a key, in bytes: no token and no request has a longer one.
const NAME_BYTES_MAX: usize = 8 * 1024;

/// A request for a revocation is short.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// For a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the routes need.
#[derive(Clone)]
pub struct Revoking {
    pub store: Arc<dyn Store>,
    /// `None`: nobody may.
    pub token: Option<AdminToken>,
}

#[derive(Clone)]
struct Desk {
    state: Arc<AdminState>,
    revoking: Revoking,
}

pub(super) fn router(state: Arc<AdminState>, revoking: Revoking) -> Router {
    Router::new()
        .route("/revocations", get(list).post(make))
        .route("/revocations/{id}", delete(end))
        .with_state(Desk { state, revoking })
}

/// What a request for a revocation says. What is revoked is one of `jti`, `subject`, `key` and `issued_before`; beside the last one
/// `subject` says whose tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    workspace: String,
    jti: Option<String>,
    subject: Option<String>,
    key: Option<String>,
    /// Unix seconds.
    issued_before: Option<i64>,
    for_seconds: Option<i64>,
    #[serde(default)]
    forever: bool,
    #[serde(default)]
    reason: String,
}

/// A revocation as answers show it.
#[derive(Serialize)]
struct Shown<'r> {
    id: String,
    workspace: &'r str,
    kind: &'static str,
    /// The key's id, of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'r str>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<i64>,
    /// Of `issued_before`: whether it is about one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    of_subject: Option<bool>,
    made: i64,
    /// `null`: for ever.
    until: Option<i64>,
    reason: &'r str,
    /// What whoever made it should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// Of a workspace that only observes.
const REFUSES_NOTHING: &str =
    "the workspace does not enforce: what was taken back is recorded there, and nothing is refused";

impl<'r> Shown<'r> {
    fn of(revocation: &'r Revocation) -> Self {
        let Revocation { id, workspace, revoked, made, until, reason } = revocation;
        let (key, issued_before, of_subject) = match revoked {
            Revoked::TokenId(_) | Revoked::Subject(_) => (None, None, None),
            Revoked::Key(key) => (Some(&**key), None, None),
            Revoked::IssuedBefore { before, subject } => (None, Some(before.0), Some(subject.is_some())),
        };
        Self {
            id: id.to_string(),
            workspace,
            kind: revoked.kind(),
            key,
            issued_before,
            of_subject,
            made: made.0,
            until: until.map(|until| until.0),
            reason: reason.as_str(),
            note: None,
        }
    }
}

/// Why there is no revocation.
#[derive(Debug, thiserror::Error)]
enum RevokeError {
    #[error(transparent)]
    Refused(#[from] WriteRefusal),
    #[error("expected the whole body within {} seconds and {BODY_BYTES_MAX} bytes", BODY_TIMEOUT.as_secs())]
    Body,
    /// Of the parser's words only the place: its message may repeat what was to be revoked.
    #[error("not a request for a revocation: line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("expected one of `jti`, `subject`, `key` and `issued_before`; `subject` may stand beside the last one")]
    Kind,
    #[error("expected 1 to {max} bytes in `{name}`")]
    Name { name: &'static str, max: usize },
    #[error("`issued_before`: expected a time in the past, in seconds since 1970")]
    IssuedBefore,
    #[error("`for_seconds`: expected 1 to {REVOCATION_SECONDS_MAX}, and not beside `forever`")]
    For,
    #[error(transparent)]
    Reason(#[from] ReasonError),
    #[error("there is no workspace of this name: the workspaces are {0}")]
    Workspace(String),
    #[error("the workspace has no key of this id: its keys are {0}")]
    Key(String),
    #[error("there is no revocation of this id")]
    Unknown,
    #[error(
        "there are {REVOCATIONS_MAX} revocations in force: end some, or take back a key or all that was issued before a moment"
    )]
    Full,
    #[error("{0}")]
    State(StateError),
}

impl From<StateError> for RevokeError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Full => RevokeError::Full,
            StateError::Unavailable | StateError::NotWritten | StateError::TooLong => RevokeError::State(error),
        }
    }
}

impl RevokeError {
    fn status(&self) -> StatusCode {
        match self {
            RevokeError::Refused(refusal) => refusal.status(),
            RevokeError::Body => StatusCode::PAYLOAD_TOO_LARGE,
            RevokeError::Json { .. } => StatusCode::BAD_REQUEST,
            RevokeError::Kind
            | RevokeError::Name { .. }
            | RevokeError::IssuedBefore
            | RevokeError::For
            | RevokeError::Reason(_)
            | RevokeError::Workspace(_)
            | RevokeError::Key(_) => StatusCode::UNPROCESSABLE_ENTITY,
            RevokeError::Unknown => StatusCode::NOT_FOUND,
            RevokeError::Full => StatusCode::CONFLICT,
            RevokeError::State(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for RevokeError {
    fn into_response(self) -> Response {
        let status = self.status();
        json(status, &serde_json::json!({ "error": self.to_string() }))
    }
}

async fn list(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, RevokeError> {
    desk.admit(&headers)?;
    let (revocations, now) = (desk.revoking.store.revocations(), clock::now_seconds());
    let in_force = revocations.all().iter().filter(|one| one.until.is_none_or(|until| now < until));
    let shown: Vec<Shown<'_>> = in_force.map(Shown::of).collect();
    Ok(json(StatusCode::OK, &serde_json::json!({ "revocations": shown })))
}

async fn make(State(desk): State<Desk>, request: Request) -> Result<Response, RevokeError> {
    desk.admit(request.headers())?;
    writing::admit_json(request.headers())?;
    let asked = read(request.into_body()).await?;
    let now = clock::now_seconds();
    let revocation = asked.into_revocation(&desk.state, now)?;
    let made = desk.revoking.store.revoke(revocation.clone(), now).await;
    // What counts is recorded, also where it could not be written down.
    if matches!(made, Ok(()) | Err(StateError::NotWritten)) {
        desk.record(Changed::RevocationMade, &revocation);
    }
    made?;
    let note = (!desk.state.enforces(&revocation.workspace)).then_some(REFUSES_NOTHING);
    Ok(json(StatusCode::CREATED, &Shown { note, ..Shown::of(&revocation) }))
}

async fn end(State(desk): State<Desk>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, RevokeError> {
    desk.admit(&headers)?;
    let id: RevocationId = id.parse().map_err(|_| RevokeError::Unknown)?;
    let revocations = desk.revoking.store.revocations();
    let revocation = revocations.all().iter().find(|one| one.id == id).ok_or(RevokeError::Unknown)?;
    if !desk.revoking.store.unrevoke(id).await? {
        return Err(RevokeError::Unknown);
    }
    desk.record(Changed::RevocationEnded, revocation);
    Ok(json(StatusCode::OK, &Shown::of(revocation)))
}

impl Desk {
    fn admit(&self, headers: &HeaderMap) -> Result<(), RevokeError> {
        Ok(writing::admit(headers, self.revoking.token.as_ref())?)
    }

    fn record(&self, changed: Changed, revocation: &Revocation) {
        let Revocation { id, workspace, revoked, .. } = revocation;
        let kind = revoked.kind();
        self.state.record(&Change { time: clock::now(), changed, workspace, id: &id.to_string(), kind });
        tracing::warn!(workspace, kind, id = %id, "{}", changed.as_str());
    }
}

async fn read(body: Body) -> Result<Asked, RevokeError> {
    let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await;
    let body = body.map_err(|_| RevokeError::Body)?.map_err(|_| RevokeError::Body)?;
    let text = std::str::from_utf8(&body).map_err(|_| RevokeError::Json { line: 1, column: 1 })?;
    // A name that stands there twice is a mistake: serde says so of the fields of a struct.
    serde_json::from_str(text).map_err(|error| RevokeError::Json { line: error.line(), column: error.column() })
}

impl Asked {
    fn into_revocation(self, state: &AdminState, now: UnixSeconds) -> Result<Revocation, RevokeError> {
        let Self { workspace, jti, subject, key, issued_before, for_seconds, forever, reason } = self;
        state.knows(&workspace, key.as_deref())?;
        let named =
            [("jti", &jti, TOKEN_ID_BYTES_MAX), ("subject", &subject, NAME_BYTES_MAX), ("key", &key, NAME_BYTES_MAX)];
        for (name, text, max) in named {
            if text.as_ref().is_some_and(|text| !(1..=max).contains(&text.len())) {
                return Err(RevokeError::Name { name, max });
            }
        }
        let revoked = match (jti, subject, key, issued_before) {
            (Some(id), None, None, None) => Revoked::TokenId(Digest::of_token_id(&workspace, &id)),
            (None, Some(subject), None, None) => Revoked::Subject(Digest::of_subject(&workspace, &subject)),
            (None, None, Some(key), None) => Revoked::Key(key),
            (None, subject, None, Some(before)) => {
                if !(0..=now.0 + ISSUED_BEFORE_AHEAD_SECONDS_MAX).contains(&before) {
                    return Err(RevokeError::IssuedBefore);
                }
                let subject = subject.map(|subject| Digest::of_subject(&workspace, &subject));
                Revoked::IssuedBefore { before: UnixSeconds(before), subject }
            }
            (_, _, _, _) => return Err(RevokeError::Kind),
        };
        let until = match (for_seconds, forever) {
            (None, true) => None,
            (Some(_), true) => return Err(RevokeError::For),
            (None, false) => Some(UnixSeconds(now.0 + REVOCATION_SECONDS)),
            (Some(seconds), false) if (1..=REVOCATION_SECONDS_MAX).contains(&seconds) => {
                Some(UnixSeconds(now.0 + seconds))
            }
            (Some(_), false) => return Err(RevokeError::For),
        };
        let reason = Reason::try_from(reason)?;
        Ok(Revocation { id: RevocationId::draw(clock::now())?, workspace, revoked, made: now, until, reason })
    }
}

impl AdminState {
    /// Refuses names that nothing in force has: a revocation of nobody would look like one that counts.
    fn knows(&self, workspace: &str, key: Option<&str>) -> Result<(), RevokeError> {
        let epoch = self.epoch();
        let workspaces = epoch.iter().flat_map(|epoch| &epoch.facts);
        let listed = |names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let Some(found) = workspaces.clone().find(|known| known.workspace == workspace) else {
            return Err(RevokeError::Workspace(listed(&mut workspaces.map(|known| &*known.workspace))));
        };
        match key {
            None => Ok(()),
            // The keys of a set come and go, so that of `set/kid` only the set can be known.
            Some(key) => {
                let set = key.split_once('/').map(|(set, _)| set);
                if found.keys.iter().any(|known| known == key || set == Some(known)) {
                    Ok(())
                } else {
                    Err(RevokeError::Key(listed(&mut found.keys.iter().map(|key| &**key))))
                }
            }
        }
    }
}

impl AdminState {
    fn enforces(&self, workspace: &str) -> bool {
        self.epoch().is_some_and(|epoch| epoch.facts.iter().any(|facts| facts.workspace == workspace && facts.enforces))
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => (status, [(CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
