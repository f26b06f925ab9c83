//! A case becomes a request: what it does not say is filled in where the profile looks for it.

use std::borrow::Cow;
use std::sync::Arc;

use futures_util::FutureExt;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};

use super::NOW;
use super::body::{DraftBody, Placed};
use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::edge::cors::Preflight;
use crate::edge::hygiene;
use crate::envelope::json;
use crate::epoch::{RehearsalEpoch, Tenant};
use crate::identity::{self, Exchanges, Presented, SignedPayload, SigningKey};
use crate::policy::{Algorithm, AppId, Case, CaseRequest, KeyPolicy, KeyUse, Signer, Workspace};
use crate::profile::{Operation, Place};
use crate::state::Memory;

/// Why a case cannot be made a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    #[error("no key of the workspace is for that (`use`)")]
    NoKey,
    #[error("`signed_by`: the workspace has no key `{0}`")]
    UnknownKey(String),
    #[error(
        "the request has no place for a token: name one with `token_at` in the workspace, or give `update` as a table; of a ticket, with `ticket_at`"
    )]
    NoPlaceForToken,
    #[error("the request has no place for a `user_hash`")]
    NoPlaceForHash,
    #[error("the request has no place for a session, or names one itself")]
    NoPlaceForSession,
    #[error("`exchanged`: a token with these claims does not hold, and no session is given for it")]
    NotExchanged,
    #[error("the operation has no document for `update`: say it with `form` or `body`")]
    NoPlaceForUpdate,
    #[error("the system has no random numbers to sign with")]
    Unsigned,
    #[error("not a request that can be written")]
    Unwritable,
}

/// A request as it would reach the gateway.
pub(super) struct Drafted {
    pub(super) parts: Parts,
    pub(super) body: Vec<u8>,
    /// From where it comes, where the case says so.
    pub(super) client: Option<std::net::IpAddr>,
    /// What the case did not write itself.
    pub(super) placed: Vec<Placed>,
}

/// Where a workspace answers on any host.
const HOST: HeaderValue = HeaderValue::from_static("gateway.example");

/// The session of a case that says whose it is.
pub(super) const SESSION: &str = "a-session-that-is-known";

/// How long a token lives that does not say: ten minutes.
const TOKEN_SECONDS: i64 = 600;

/// Makes the request of a case.
///
/// # Errors
///
/// Something that it asks for has no place there, or no key.
pub(super) fn draft(stage: &RehearsalEpoch, tenant: &Tenant, case: &Case) -> Result<Drafted, DraftError> {
    let request = &case.request;
    let workspace = &tenant.workspace;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        headers.append(name, value.clone());
    }
    let own_host = workspace.hosts.first().and_then(|host| HeaderValue::try_from(host.as_str()).ok());
    let host = request.host.clone().or(own_host).unwrap_or(HOST);
    headers.entry(header::HOST).or_insert(host);
    if let Some(origin) = &request.origin {
        headers.entry(header::ORIGIN).or_insert(origin.clone());
    }
    let route = Route::find(stage, request, &headers)?;
    let body = DraftBody::of(&request.content, route.operation.as_deref())?;
    let mut draft = Draft { route, headers, query: request.path.query().map(ToOwned::to_owned), body, placed: vec![] };
    draft.name_workspace(tenant, &request.app_id);
    draft.prove(stage, tenant, request)?;
    draft.join(stage, tenant, request)?;
    let mut drafted = draft.finish(request)?;
    sign_webhook(stage, tenant, request, &mut drafted);
    Ok(drafted)
}

/// Signs a webhook as its vendor would, by the workspace's first key in force, unless the case has a signature of its own.
fn sign_webhook(stage: &RehearsalEpoch, tenant: &Tenant, request: &CaseRequest, drafted: &mut Drafted) {
    let parts = &drafted.parts;
    let signature = hygiene::inspect(parts).ok().and_then(|head| {
        let route = stage.epoch().route(&parts.method, head.host(), head.path()).ok()?;
        route.operation.webhook.clone()
    });
    let now = request.now.unwrap_or(NOW.0);
    let mut keys = tenant.workspace.webhooks.keys.iter().filter(|key| key.term.holds(now));
    let secret = keys.next().and_then(|key| stage.webhook_secret(&tenant.workspace.id, &key.id));
    if let (Some(signature), Some(secret)) = (signature, secret)
        && !drafted.parts.headers.contains_key(&signature.header)
    {
        for (name, value) in identity::sign_webhook(&signature, secret, &drafted.body, UnixSeconds(now)) {
            // A time that the case says itself is the vendor's.
            drafted.parts.headers.entry(name).or_insert(value);
        }
    }
}

/// Binds the session of a case to the token that it says the session was given for, as the gateway does at an exchange.
///
/// # Errors
///
/// No key signs tokens, or this one does not hold.
pub(super) fn exchange(
    stage: &RehearsalEpoch,
    tenant: &Tenant,
    claims: &Value<'static>,
    now: UnixSeconds,
    state: &Memory,
) -> Result<(), DraftError> {
    let Workspace { id, identity, .. } = &tenant.workspace;
    let (_, key) = first_key(stage, &tenant.workspace, KeyUse::Jwt)?;
    let mut payload = Vec::new();
    json::write(&with_expiry(claims, now.0), &mut payload);
    let token = key.token(&payload).map_err(|_| DraftError::Unsigned)?;
    let presented = Presented {
        tokens: vec![Cow::Owned(token)],
        user_hashes: Vec::new(),
        sealed: Vec::new(),
        user_ids: Vec::new(),
        emails: Vec::new(),
        exchanged: None,
        sessions: Vec::new(),
        platform: tenant.workspace.profile.platform.if_said(None),
    };
    let mut payload = SignedPayload::default();
    let proofs = tenant.verifier.verify(&presented, now, &mut payload);
    let binding = proofs.binding(now, identity.exchange_lifetime).ok_or(DraftError::NotExchanged)?;
    let bound = Exchanges::new(state, id, now).bind(SESSION, binding).now_or_never();
    bound.and_then(Result::ok).ok_or(DraftError::NotExchanged)
}

/// The key with which a case that names none is signed.
fn first_key<'s>(
    stage: &'s RehearsalEpoch,
    workspace: &Workspace,
    wanted: KeyUse,
) -> Result<(Algorithm, &'s SigningKey), DraftError> {
    // A key that counts for no request of this wire would fail every case.
    let counts = |key: &&KeyPolicy| workspace.profile.platform.admits(key.platforms);
    let keys = || workspace.identity.keys.iter().filter(|key| key.uses.contains(&wanted));
    let own = keys().find(counts).or_else(|| keys().next()).map(|key| (key.algorithm, &key.id));
    // All keys of a set are for tokens.
    let sets = workspace.identity.key_sets.iter().filter(|_| wanted == KeyUse::Jwt);
    let of_set = || sets.into_iter().find_map(|set| Some((*set.algorithms.first()?, &set.id)));
    let (algorithm, id) = own.or_else(of_set).ok_or(DraftError::NoKey)?;
    Ok((algorithm, stage.key(&workspace.id, id).ok_or(DraftError::NoKey)?))
}

/// What the request will turn out to be.
struct Route {
    operation: Option<Arc<Operation>>,
    params: Vec<String>,
}

impl Route {
    /// The gateway's own way to an operation. Where it has none, the request is still sent, to be refused.
    fn find(stage: &RehearsalEpoch, request: &CaseRequest, headers: &HeaderMap) -> Result<Self, DraftError> {
        let parts = parts_of(request, request.path.clone(), headers.clone())?;
        let found = hygiene::inspect(&parts).ok().and_then(|head| {
            let preflight = Preflight::read(&parts);
            let method = preflight.as_ref().map_or(&parts.method, |preflight| &preflight.method);
            let route = stage.epoch().route(method, head.host(), head.path()).ok()?;
            let params = route.params.iter().map(|(name, _)| name.clone()).collect();
            Some(Self { operation: Some(Arc::clone(route.operation)), params })
        });
        Ok(found.unwrap_or(Self { operation: None, params: Vec::new() }))
    }
}

struct Draft {
    route: Route,
    headers: HeaderMap,
    query: Option<String>,
    body: DraftBody,
    placed: Vec<Placed>,
}

impl Draft {
    fn name_workspace(&mut self, tenant: &Tenant, app_id: &AppId) {
        let places = &tenant.workspace.profile.workspace_at;
        let id = match app_id {
            AppId::Nowhere => return,
            AppId::Other(id) => id,
            // It names the workspace itself, rightly or not.
            AppId::Own if places.iter().any(|place| self.has(place)) => return,
            AppId::Own => match tenant.workspace.app_ids.first() {
                Some(id) => id,
                None => return,
            },
        };
        for place in places {
            if let Place::Query(name) = place {
                let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, id).finish();
                self.query = Some(match &self.query {
                    Some(query) => format!("{query}&{pair}"),
                    None => pair,
                });
                return;
            }
            if self.place(place, id) {
                return;
            }
        }
    }

    fn prove(&mut self, stage: &RehearsalEpoch, tenant: &Tenant, request: &CaseRequest) -> Result<(), DraftError> {
        let workspace = &tenant.workspace;
        let tokens = &workspace.profile.tokens;
        let first_for = |wanted: KeyUse| first_key(stage, workspace, wanted);
        if let Some(claims) = &request.signed {
            let stranger;
            let key = match &request.signer {
                Signer::First => first_for(KeyUse::Jwt)?.1,
                Signer::Key(id) => stage.key(&workspace.id, id).ok_or_else(|| DraftError::UnknownKey(id.clone()))?,
                // Right in all but whose it is.
                Signer::Nobody => {
                    let algorithm = first_for(KeyUse::Jwt).map_or(Algorithm::Hs256, |(algorithm, _)| algorithm);
                    stranger = SigningKey::draw(algorithm).map_err(|_| DraftError::Unsigned)?;
                    &stranger
                }
            };
            let mut payload = Vec::new();
            json::write(&with_expiry(claims, request.now.unwrap_or(NOW.0)), &mut payload);
            let token = key.token(&payload).map_err(|_| DraftError::Unsigned)?;
            // Where a workspace names a place of its own, its messenger knows none.
            let mut places = tokens.jwt.iter().chain(&workspace.identity.token_at);
            if !places.any(|place| self.place(place, &token)) {
                return Err(DraftError::NoPlaceForToken);
            }
        }
        if let Some(id) = &request.hashed {
            let hash = first_for(KeyUse::UserHash)?.1.user_hash(id).ok_or(DraftError::NoKey)?;
            if !tokens.user_hash.iter().any(|place| self.place(place, &hash)) {
                return Err(DraftError::NoPlaceForHash);
            }
        }
        Ok(())
    }

    /// The session of a case, and the ticket for it.
    fn join(&mut self, stage: &RehearsalEpoch, tenant: &Tenant, request: &CaseRequest) -> Result<(), DraftError> {
        let workspace = &tenant.workspace;
        if request.exchanged.is_some()
            && !workspace.profile.tokens.session.iter().any(|place| self.place(place, SESSION))
        {
            return Err(DraftError::NoPlaceForSession);
        }
        let needs_session = request.session_role.is_some() || request.ticket.is_some();
        if needs_session && !workspace.profile.identity.session.iter().any(|place| self.place(place, SESSION)) {
            return Err(DraftError::NoPlaceForSession);
        }
        let Some(claims) = &request.ticket else { return Ok(()) };
        let key = workspace.identity.keys.iter().find(|key| key.uses.contains(&KeyUse::CollectorTicket));
        let key = key.and_then(|key| stage.key(&workspace.id, &key.id)).ok_or(DraftError::NoKey)?;
        let claims = with_member(&with_expiry(claims, request.now.unwrap_or(NOW.0)), "session", || {
            Value::Text(Cow::Borrowed(SESSION))
        });
        let mut payload = Vec::new();
        json::write(&claims, &mut payload);
        let ticket = key.token(&payload).map_err(|_| DraftError::Unsigned)?;
        if !workspace.identity.ticket_at.iter().any(|place| self.place(place, &ticket)) {
            return Err(DraftError::NoPlaceForToken);
        }
        Ok(())
    }

    /// Whether something stands at the place already.
    fn has(&self, place: &Place) -> bool {
        match place {
            Place::Document(_) | Place::Body(_) | Place::Field(_) => self.body.has(place),
            Place::Query(name) => {
                let query = self.query.as_deref().unwrap_or_default();
                form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == *name)
            }
            Place::Header(name) | Place::Bearer(name) => self.headers.contains_key(name),
            Place::Path(name) => self.route.params.contains(name),
            Place::Cookie(_) => self.headers.contains_key(header::COOKIE),
        }
    }

    /// Puts a text there, unless something stands there already or the request has no such place.
    fn place(&mut self, place: &Place, text: &str) -> bool {
        match place {
            Place::Document(_) | Place::Body(_) | Place::Field(_) => match self.body.place(place, text) {
                Some(placed) => {
                    self.placed.push(placed);
                    true
                }
                None => false,
            },
            Place::Header(name) => self.place_header(name, text.to_owned()),
            Place::Bearer(name) => self.place_header(name, format!("Bearer {text}")),
            Place::Cookie(name) => self.place_header("cookie", format!("{name}={text}")),
            // A proof in a query ends up in logs: no case sends one there unless it says so itself.
            Place::Query(_) | Place::Path(_) => false,
        }
    }

    fn place_header(&mut self, name: &str, text: String) -> bool {
        match (HeaderName::try_from(name), HeaderValue::try_from(text)) {
            (Ok(name), Ok(value)) if !self.headers.contains_key(&name) => {
                self.headers.insert(name, value);
                true
            }
            (Ok(_) | Err(_), _) => false,
        }
    }

    fn finish(self, request: &CaseRequest) -> Result<Drafted, DraftError> {
        let Self { route, mut headers, query, body, placed } = self;
        let takes = route.operation.as_ref().map(|operation| operation.body);
        let written = body.write(takes);
        if let Some((body, content_type)) = &written {
            let content_type = request.content_type.clone().unwrap_or_else(|| content_type.clone());
            headers.entry(header::CONTENT_TYPE).or_insert(content_type);
            headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(body.len()));
        }
        let path = match query {
            Some(query) => PathAndQuery::try_from(format!("{}?{query}", request.path.path())),
            None => PathAndQuery::try_from(request.path.path()),
        };
        let parts = parts_of(request, path.map_err(|_| DraftError::Unwritable)?, headers)?;
        let body = written.map(|(body, _)| body.into_bytes()).unwrap_or_default();
        Ok(Drafted { parts, body, client: request.client, placed })
    }
}

fn parts_of(request: &CaseRequest, path: PathAndQuery, headers: HeaderMap) -> Result<Parts, DraftError> {
    let built = Request::builder().method(request.method.clone()).uri(Uri::from(path)).body(());
    let (mut parts, ()) = built.map_err(|_| DraftError::Unwritable)?.into_parts();
    parts.headers = headers;
    Ok(parts)
}

fn with_expiry(claims: &Value<'static>, now: i64) -> Value<'static> {
    with_member(claims, "exp", || Value::Number(Cow::Owned(now.saturating_add(TOKEN_SECONDS).to_string())))
}

/// The claims with one more, unless they have it.
fn with_member(claims: &Value<'static>, name: &'static str, value: impl FnOnce() -> Value<'static>) -> Value<'static> {
    match claims {
        Value::Object(entries) if claims.member(name).is_none() => {
            let mut entries = entries.clone();
            entries.push((Cow::Borrowed(name), value()));
            Value::Object(entries)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
            claims.clone()
        }
    }
}
