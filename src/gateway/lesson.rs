//! Lessons: what an answer of the upstream teaches, and whom.
//!
//! Nothing that is not understood teaches anything, and nothing here can fail: the answer is relayed as it came in any case. It names no socket.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::envelope::{coding, json};
use crate::identity::{Binding, Exchanges, SESSION_BYTES_MAX, Sessions};
use crate::policy::Limits;
use crate::profile::{Exchange, Operation, Pointer, Profile, RoleAnswer, SessionRole};
use crate::state::Store;

/// Of a longer answer nothing is learned, in bytes as they come over the wire.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The same once its content coding is undone, in bytes.
const ANSWER_INFLATED_BYTES_MAX: usize = 1024 * 1024;

/// How deep values may nest in an answer, and how many there may be.
const ANSWER_DEPTH_MAX: usize = 32;
const ANSWER_VALUES_MAX: usize = 100_000;

/// What the answer to one request will teach.
pub struct Lesson {
    pub(super) workspace: Box<str>,
    pub(super) profile: Arc<Profile>,
    /// The sessions of the request.
    pub(super) sessions: Vec<String>,
    teaching: Teaching,
    pub(super) limits: Limits,
}

/// What it is about.
pub(super) enum Teaching {
    /// Whose a session is.
    Role,
    /// Which session token was given for the request's token; without a binding no token held.
    Session { operation: Arc<Operation>, binding: Option<Binding> },
}

impl Lesson {
    pub(super) fn new(
        workspace: &str,
        profile: &Arc<Profile>,
        sessions: &[Cow<'_, str>],
        teaching: Teaching,
        limits: &Limits,
    ) -> Self {
        Self {
            workspace: workspace.into(),
            profile: Arc::clone(profile),
            sessions: sessions.iter().map(|session| session.clone().into_owned()).collect(),
            teaching,
            limits: Limits {
                inflated_bytes_max: ANSWER_INFLATED_BYTES_MAX,
                json_depth_max: ANSWER_DEPTH_MAX,
                json_values_max: ANSWER_VALUES_MAX,
                text_bytes_max: ANSWER_BYTES_MAX,
                ..limits.clone()
            },
        }
    }

    /// Whether an answer with this head can teach anything: a whole one, in JSON.
    pub(super) fn can_be_read(status: StatusCode, headers: &HeaderMap) -> bool {
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(content_type), None) = (types.next(), types.next()) else { return false };
        let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is_json = essence.eq_ignore_ascii_case(b"application/json");
        is_json && status.is_success() && status != StatusCode::PARTIAL_CONTENT
    }

    /// Reads the whole answer and remembers what it says.
    pub(super) async fn learn(self, headers: HeaderMap, body: Vec<u8>, state: Arc<dyn Store>, now: UnixSeconds) {
        let Ok(body) = coding::inflate(&headers, &body, &self.limits) else { return };
        // Strict here too: of two equal names the client may go by the other.
        let Ok(answer) = json::read(&body, &self.limits) else { return };
        let Self { workspace, profile, sessions, teaching, limits: _ } = self;
        match (teaching, &profile.roles) {
            (Teaching::Role, None) => {}
            (Teaching::Role, Some(roles)) => {
                learn_role(roles, &answer, &sessions, &Sessions::new(&*state, &workspace, now)).await;
            }
            (Teaching::Session { operation, binding }, _) => {
                let Some(exchange) = &operation.exchange else { return };
                learn_session(exchange, &answer, binding, &Exchanges::new(&*state, &workspace, now)).await;
            }
        }
    }
}

/// Binds the session token of the answer to the token that it was given for. One that was given for none stands for nothing from now on.
async fn learn_session(exchange: &Exchange, answer: &Value<'_>, binding: Option<Binding>, exchanges: &Exchanges<'_>) {
    let mut given = exchange.session.iter().filter_map(|pointer| value_at(answer, pointer));
    // Of two the client may go by the other.
    let (Some(session), None) = (given.next(), given.next()) else { return };
    let Some(session) = session.as_text().filter(|text| is_session(text)) else { return };
    let learned = match binding {
        Some(binding) => exchanges.bind(session, binding).await,
        None => exchanges.unbind(session).await,
    };
    if let Err(error) = learned {
        tracing::debug!(%error, "session_not_remembered");
    }
}

async fn learn_role(roles: &RoleAnswer, answer: &Value<'_>, asked: &[String], sessions: &Sessions<'_>) {
    let Some(role) = value_at(answer, &roles.role).and_then(Value::as_text).and_then(|word| roles.role(word)) else {
        return;
    };
    let next = match value_at(answer, &roles.session) {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_text().filter(|text| is_session(text)) {
            Some(session) => Some(session),
            None => return,
        },
    };
    let whose: Vec<&str> = match (role, next) {
        // Strictly: every session that has to do with it.
        (SessionRole::User, next) => asked.iter().map(String::as_str).chain(next).collect(),
        // The one that goes on from here. Whose the request's own is is not said, where the backend gave another.
        (SessionRole::Visitor | SessionRole::Lead, Some(next)) => vec![next],
        (SessionRole::Visitor | SessionRole::Lead, None) => match asked.split_first() {
            Some((first, others)) if others.iter().all(|other| other == first) => vec![first],
            Some(_) | None => vec![],
        },
    };
    for session in whose {
        // What the state does not take nobody knows, and is judged strictly.
        if let Err(error) = sessions.remember(session, role).await {
            tracing::debug!(%error, "session_not_remembered");
        }
    }
}

fn value_at<'v, 'a>(answer: &'v Value<'a>, pointer: &Pointer) -> Option<&'v Value<'a>> {
    pointer.names().iter().try_fold(answer, |at, name| at.member(name))
}

/// Whether a text is one that clients send as a session.
fn is_session(text: &str) -> bool {
    super::presented::is_said(text) && !text.trim().is_empty() && text.len() <= SESSION_BYTES_MAX
}

/// Asks the upstream for an answer that is read here: coded by `gzip` where the client takes that, else not at all.
pub(super) fn ask_readably(headers: &mut HeaderMap) {
    let takes_gzip = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            // `q=0` and `q=0.000` refuse it (RFC 9110 §12.4.2).
            let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
            name.trim().eq_ignore_ascii_case("gzip")
                && (weight.is_empty() || weight.contains(|digit: char| ('1'..='9').contains(&digit)))
        })
    });
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(if takes_gzip { "gzip" } else { "identity" }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_asked(values: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, value.parse().expect("a value"));
        }
        ask_readably(&mut headers);
        let asked: Vec<_> = headers.get_all(ACCEPT_ENCODING).iter().collect();
        assert_eq!(asked, [expected], "{values:?}");
    }

    #[test]
    fn the_upstream_is_asked_for_what_is_read_here_and_the_client_takes() {
        check_asked(&["gzip, deflate, br, zstd"], "gzip");
        check_asked(&["br", "GZIP;q=0.5"], "gzip");
        for refused in ["", "zstd", "br", "gzip;q=0", "gzip; q=0.000", "x-gzip", "gzipped", "*"] {
            check_asked(&[refused], "identity");
        }
        check_asked(&[], "identity");
    }

    #[track_caller]
    fn check_head(status: u16, types: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        for value in types {
            headers.append(CONTENT_TYPE, value.parse().expect("a value"));
        }
        assert_eq!(Lesson::can_be_read(status.try_into().expect("a status"), &headers), expected, "{status} {types:?}");
    }

    #[test]
    fn only_a_whole_answer_in_json_teaches() {
        check_head(200, &["application/json"], true);
        check_head(201, &["Application/JSON; charset=utf-8"], true);
        for status in [206, 204 + 100, 304, 400, 401, 500] {
            check_head(status, &["application/json"], false);
        }
        for types in [&[][..], &["text/html"], &["application/jsonp"], &["application/json", "application/json"]] {
            check_head(200, types, false);
        }
    }
}
