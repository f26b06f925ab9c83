//! How a request is answered: our own answers, what every answer wears, and the record that goes with it.

use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use uuid::Uuid;

use super::recorded_body::{Keeps, RecordedBody, Source};
use super::taught_body::TaughtBody;
use crate::audit::{Event, Outcome};
use crate::edge::at_once::Place;
use crate::edge::headers::{SecurityHeaders, apply_to_own_answer};
use crate::edge::origin::AdmittedOrigin;
use crate::edge::rates::Nearly;
use crate::edge::relayed::{self, Loaded, Reader};
use crate::edge::{Body, body, cors};
use crate::observe::InFlight;
use crate::profile::{Profile, Refusal, RefusalBody};
use crate::rejection::{Party, Rejection};

/// What an answer needs to know of the way that its request has come so far, whether it was refused or not.
#[derive(Default)]
pub(super) struct Progress {
    /// Whose page may read the answer.
    pub(super) origin: Option<AdmittedOrigin>,
    /// How this messenger's widget is refused.
    pub(super) profile: Option<Arc<Profile>>,
    /// What the upstream's answer will be to the browser.
    pub(super) loaded: Loaded,
    /// The request's body, until somebody reads it. Dropped before the answer is complete it would reset an HTTP/2 stream, and its client
    /// would see that rather than the answer.
    pub(super) unread: Option<Incoming>,
    /// Of which rate little is left.
    pub(super) nearly: Option<Nearly>,
    /// Among the requests of its address.
    pub(super) place: Option<Place>,
}

/// What a request that was not refused ends in.
pub(super) enum Reply {
    /// The upstream's answer.
    Relayed(Response<TaughtBody>),
    /// Our own: a preflight's, or the switch to a WebSocket.
    Own(Response<Body>),
}

impl Reply {
    /// Who got it may ask the same again (RFC 9110 section 15.6).
    pub(super) fn is_server_error(&self) -> bool {
        match self {
            Reply::Relayed(response) => response.status().is_server_error(),
            Reply::Own(response) => response.status().is_server_error(),
        }
    }
}

/// The answer to a request, however its journey ended. Its record ends with its body.
pub(super) fn finish(
    method: &Method,
    outcome: Result<Reply, Rejection>,
    security: &SecurityHeaders,
    event: Event,
    progress: Progress,
    in_flight: InFlight,
) -> Response<Body> {
    let (code, mut response) = match outcome {
        Ok(Reply::Relayed(mut response)) => {
            let reader = if progress.origin.is_some() { Reader::Admitted } else { Reader::Unknown };
            relayed::apply(response.headers_mut(), &progress.loaded, reader);
            ("sent", response.map(Source::Upstream))
        }
        Ok(Reply::Own(response)) => ("answered", response.map(Source::Own)),
        Err(rejection) => {
            let refusal = refuse(&rejection, progress.profile.as_deref(), event.id());
            (rejection.code(), refusal.map(Source::Own))
        }
    };
    if has_no_content(method, response.status()) {
        response = without_content(response);
    }
    if let (Some(nearly), "sent" | "answered") = (progress.nearly, code) {
        nearly.tell(response.headers_mut());
    }
    dress(&mut response, security, progress.origin.as_ref(), event.id());
    let outcome = Outcome { code, status: response.status().as_u16() };
    let keeps = Keeps { in_flight, unread: progress.unread, place: progress.place };
    response.map(|body| RecordedBody::new(body, event, outcome, keeps).boxed())
}

/// RFC 9110 section 6.4.1. Over HTTP/2 content here breaks the stream, over HTTP/1.1 it is never asked for.
fn has_no_content(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The same head without content; to `HEAD` it says how long that would be.
fn without_content(mut response: Response<Source>) -> Response<Source> {
    if let (Source::Own(body), false) = (response.body(), response.status().is_informational())
        && let Some(length @ 1..) = body.size_hint().exact()
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    response.map(|_| Source::Own(body::empty()))
}

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Seconds after which a client may ask again, where the reason is one that passes.
const RETRY_AFTER_SECONDS: u16 = 5;

/// The answer to a refused request: in the profile's own shape where the widget needs that, else as `application/problem+json`
/// (RFC 9457). `Proxy-Status` (RFC 9209) says that it is ours and not the backend's.
fn refuse(rejection: &Rejection, profile: Option<&Profile>, id: Uuid) -> Response<Body> {
    let shape = profile.and_then(|profile| match rejection.party() {
        Party::IdentityMissing => profile.refusals.identity_missing.as_ref(),
        Party::IdentityBad => profile.refusals.identity_bad.as_ref(),
        Party::Client | Party::Gateway | Party::Upstream => None,
    });
    let (status, content_type, body) = match shape {
        Some(Refusal { status, body: RefusalBody::Json(text) }) => (*status, "application/json", text.clone()),
        Some(Refusal { status, body: RefusalBody::Problem }) => (*status, PROBLEM, problem(*status, rejection, id)),
        None => (rejection.status(), PROBLEM, problem(rejection.status(), rejection, id)),
    };
    let mut response = Response::new(body::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(&PROXY_STATUS, HeaderValue::from_static(rejection.proxy_status()));
    apply_to_own_answer(headers);
    if let Rejection::MethodNotAllowed(methods) = rejection {
        let allow = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        if let Ok(allow) = HeaderValue::try_from(allow) {
            headers.insert(header::ALLOW, allow);
        }
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
        }
        _ => {}
    }
    if let Rejection::Rate(exceeded) = rejection {
        exceeded.tell(headers);
    }
    if rejection.ends_connection() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

const PROBLEM: &str = "application/problem+json";

/// All of it is ours: fixed words, a status and an id.
fn problem(status: StatusCode, rejection: &Rejection, id: Uuid) -> String {
    format!(
        r#"{{"type":"about:blank","title":"{}","status":{},"instance":"urn:uuid:{id}"}}"#,
        rejection.words(),
        status.as_u16()
    )
}

/// Puts on an answer what all of them wear: HSTS and its like, exact CORS or none, the decision's id.
fn dress<B>(response: &mut Response<B>, security: &SecurityHeaders, origin: Option<&AdmittedOrigin>, id: Uuid) {
    let own_preflight = response.status() == StatusCode::NO_CONTENT
        && response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_METHODS);
    let headers = response.headers_mut();
    security.apply(headers);
    match origin {
        // A preflight's answer says more, and was written for this very origin.
        Some(_) if own_preflight => {}
        Some(origin) => cors::apply(headers, origin),
        None => cors::withhold(headers),
    }
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(&X_REQUEST_ID, id);
    }
}
