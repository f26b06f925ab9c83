//! Collector tickets: what the server of a bot signs, so that the answer to its question passes in a session of which nothing is known.
//!
//! A ticket is a short-lived token by a key of its own use. It names the session and the attributes that were asked for, vouches for no value
//! and proves no user: whoever shows one is let give an answer, and nothing else. It is no one-time ticket; what limits it is its life.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::compact::UnverifiedToken;
use super::issue::IssueRules;
use super::jwt::{SignedPayload, TokenKeys, Trial};
use super::proofs::Agreed;
use super::times::TimeRules;
use super::verdict::TokenError;
use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::envelope::json;
use crate::policy::{IdentityPolicy, Limits};

/// The longest life of a ticket: from now to `exp` (leeway aside), and from `iat` to `exp` where there is an `iat`.
pub const TICKET_LIFETIME_MAX: Duration = Duration::from_secs(15 * 60);

/// How many attributes a ticket may name.
pub const TICKET_ATTRIBUTES_MAX: usize = 32;

/// What stood at the places of tickets, and what a ticket must be about.
pub struct PresentedTicket<'r> {
    pub tickets: Vec<Cow<'r, str>>,
    /// The sessions of the request.
    pub sessions: &'r [Cow<'r, str>],
    /// The conversation that the request names.
    pub conversation: Option<Cow<'r, str>>,
}

/// Why a ticket is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TicketError {
    #[error("two different tickets in one request")]
    Two,
    #[error(transparent)]
    Token(TokenError),
    #[error("it names no session or no attributes, or not as text")]
    Claims,
    #[error("it is for another session than the request's")]
    OtherSession,
    #[error("it is for another conversation than the request's")]
    OtherConversation,
}

impl TicketError {
    /// Those that are no failure of a token.
    pub const OWN: [TicketError; 4] =
        [TicketError::Two, TicketError::Claims, TicketError::OtherSession, TicketError::OtherConversation];

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            TicketError::Two => "two_tickets",
            TicketError::Token(error) => error.code(),
            TicketError::Claims => "ticket_claims",
            TicketError::OtherSession => "other_session",
            TicketError::OtherConversation => "other_conversation",
        }
    }
}

/// A ticket that holds, for this request's session and conversation. It has one maker, [`Verifier::ticket`](super::Verifier::ticket):
///
/// ```compile_fail,E0451
/// # use countersign::identity::Ticket;
/// let ticket = Ticket { attributes: vec!["plan".to_owned()], key_id: "bot".into() };
/// ```
pub struct Ticket {
    attributes: Vec<String>,
    key_id: Arc<str>,
}

impl Ticket {
    /// The id of the key that signed it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The attributes that were asked for, as the catalogue spells them.
    #[must_use]
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }
}

/// Says its key, and how many attributes it names.
impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("attributes", &self.attributes.len()).field("key_id", &self.key_id).finish()
    }
}

/// The keys of a workspace for tickets, and what is asked of one.
pub(super) struct TicketKeys {
    pub(super) keys: TokenKeys,
    times: TimeRules,
}

impl TicketKeys {
    pub(super) fn new(policy: &IdentityPolicy) -> Self {
        Self { keys: TokenKeys::new(), times: TimeRules::of_tickets(policy, TICKET_LIFETIME_MAX) }
    }

    /// Verifies what is presented as a ticket; `None`: nothing is.
    ///
    /// # Errors
    ///
    /// It does not hold, or is about something else.
    pub(super) fn verify(
        &self,
        presented: &PresentedTicket<'_>,
        now: UnixSeconds,
        limits: &Limits,
    ) -> Result<Option<Ticket>, TicketError> {
        let text = match Agreed::of(&presented.tickets) {
            Agreed::Nothing => return Ok(None),
            Agreed::One(text) => text,
            Agreed::Several => return Err(TicketError::Two),
        };
        let mut payload = SignedPayload::default();
        let token = UnverifiedToken::parse(text, limits).map_err(TicketError::Token)?;
        // A bot's own server signs it, whatever its user's client runs on: such keys are for all platforms.
        let verified = self.keys.verify(&mut Trial::new(token, now, None, &mut payload));
        let key_id = Arc::clone(verified.map_err(|refused| TicketError::Token(refused.error))?);
        let claims = json::read(payload.bytes(), limits).map_err(|_| TicketError::Token(TokenError::Malformed))?;
        self.times.admit(&claims, now).map_err(TicketError::Token)?;
        // Who issues tickets, and for whom, says their key.
        IssueRules::of_sealed().admit(&claims).map_err(TicketError::Token)?;
        let session = claims.member("session").and_then(Value::as_text).ok_or(TicketError::Claims)?;
        let attributes = attributes(&claims).ok_or(TicketError::Claims)?;
        match Agreed::of(presented.sessions) {
            Agreed::One(theirs) if theirs == session && !session.trim().is_empty() => {}
            Agreed::Nothing | Agreed::One(_) | Agreed::Several => return Err(TicketError::OtherSession),
        }
        match claims.member("conversation").map(Value::as_id) {
            None => {}
            Some(Some(ours)) if presented.conversation.as_deref() == Some(ours) => {}
            Some(_) => return Err(TicketError::OtherConversation),
        }
        Ok(Some(Ticket { attributes, key_id }))
    }
}

/// The attributes that a ticket names: one at least, and not too many.
fn attributes(claims: &Value<'_>) -> Option<Vec<String>> {
    let Some(Value::List(names)) = claims.member("attributes") else { return None };
    if names.is_empty() || names.len() > TICKET_ATTRIBUTES_MAX {
        return None;
    }
    names.iter().map(|name| name.as_text().filter(|name| !name.is_empty()).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Verifier;
    use crate::identity::testing::{self, HEADER, NOW, key, policy, sign, token};
    use crate::policy::KeyUse;

    fn verifier() -> Verifier {
        let keys = vec![key("bot", &[KeyUse::CollectorTicket])];
        testing::verifier_of(&IdentityPolicy { keys, ..policy() })
    }

    #[track_caller]
    fn check_presented(tickets: &[&str], sessions: &[&str], expected: Result<Option<&[&str]>, TicketError>) {
        let texts =
            |texts: &[&str]| -> Vec<Cow<'static, str>> { texts.iter().map(|text| (*text).to_owned().into()).collect() };
        let sessions = texts(sessions);
        let presented =
            PresentedTicket { tickets: texts(tickets), sessions: &sessions, conversation: Some("7".into()) };
        let found = verifier().ticket(&presented, NOW);
        let found = found.as_ref().map(|ticket| ticket.as_ref().map(Ticket::attributes)).map_err(|error| *error);
        let expected =
            expected.map(|names| names.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
        assert_eq!(found, expected.as_ref().map(Option::as_deref).map_err(|error| *error), "{tickets:?} {sessions:?}");
    }

    /// A ticket with these members beside its end.
    fn ticket(exp: i64, members: &str) -> String {
        token(&format!(r#"{{"exp":{}{members}}}"#, NOW.0 + exp))
    }

    const GOOD: &str = r#","session":"s","attributes":["phone","email"]"#;

    #[track_caller]
    fn check(exp: i64, members: &str, expected: Result<Option<&[&str]>, TicketError>) {
        check_presented(&[&ticket(exp, members)], &["s"], expected);
    }

    #[test]
    fn a_ticket_is_for_one_session_and_the_attributes_that_it_names() {
        let good: Result<Option<&[&str]>, _> = Ok(Some(&["phone", "email"]));
        check(600, GOOD, good);
        check_presented(&[], &["s"], Ok(None));
        let text = ticket(600, GOOD);
        check_presented(&[&text, &text], &["s", "s"], good);
        for sessions in [&[][..], &["S"], &["s "], &["s", "t"]] {
            check_presented(&[&text], sessions, Err(TicketError::OtherSession));
        }
        check_presented(&[&text, &ticket(601, GOOD)], &["s"], Err(TicketError::Two));
        for members in [
            r#","attributes":["phone"]"#,
            r#","session":"s""#,
            r#","session":7,"attributes":["phone"]"#,
            r#","session":"s","attributes":[]"#,
            r#","session":"s","attributes":"phone""#,
            r#","session":"s","attributes":["phone",7]"#,
            r#","session":"s","attributes":["phone",""]"#,
        ] {
            check(600, members, Err(TicketError::Claims));
        }
        let many = |count| format!(r#","session":"s","attributes":[{}]"#, vec![r#""a""#; count].join(","));
        check(600, &many(TICKET_ATTRIBUTES_MAX), Ok(Some(&["a"; TICKET_ATTRIBUTES_MAX])));
        check(600, &many(TICKET_ATTRIBUTES_MAX + 1), Err(TicketError::Claims));
    }

    #[test]
    fn a_ticket_may_name_its_conversation() {
        let good: Result<Option<&[&str]>, _> = Ok(Some(&["phone", "email"]));
        check(600, &format!(r#"{GOOD},"conversation":"7""#), good);
        check(600, &format!(r#"{GOOD},"conversation":7"#), good);
        for other in ["\"8\"", "null", "\"\"", "[7]"] {
            let other = format!(r#"{GOOD},"conversation":{other}"#);
            check(600, &other, Err(TicketError::OtherConversation));
        }
    }

    #[test]
    fn a_ticket_lives_for_a_quarter_of_an_hour() {
        let failed = |error| Err(TicketError::Token(error));
        check(900 + 30, GOOD, Ok(Some(&["phone", "email"])));
        check(900 + 31, GOOD, failed(TokenError::LifetimeTooLong));
        check(-29, GOOD, Ok(Some(&["phone", "email"])));
        check(-30, GOOD, failed(TokenError::Expired));
        check(600, &format!(r#"{GOOD},"iat":{}"#, NOW.0 - 301), failed(TokenError::LifetimeTooLong));
        check_presented(
            &[&token(r#"{"session":"s","attributes":["phone"]}"#)],
            &["s"],
            failed(TokenError::ExpiryMissing),
        );
    }

    #[test]
    fn a_ticket_is_no_token_and_a_token_is_no_ticket() {
        let text = ticket(600, &format!(r#"{GOOD},"user_id":"user-42","phone":"1""#));
        let presented = super::super::Presented { tokens: vec![text.clone().into()], ..testing::presented() };
        let of_tickets = verifier();
        let mut payload = SignedPayload::default();
        let verdict = of_tickets.verify(&presented, NOW, &mut payload).verdict();
        assert_eq!(verdict.code(), "unknown_key");
        let sessions = ["s".into()];
        let tickets = vec![text.into()];
        let presented = PresentedTicket { tickets, sessions: &sessions, conversation: None };
        let of_tokens = testing::verifier();
        assert_eq!(of_tokens.ticket(&presented, NOW).map(drop), Err(TicketError::Token(TokenError::UnknownKey)));
        let forged =
            sign(HEADER, &format!(r#"{{"exp":{}{GOOD}}}"#, NOW.0 + 600), b"another-secret-0123456789abcdef0123456789");
        check_presented(&[&forged], &["s"], Err(TicketError::Token(TokenError::BadSignature)));
        check_presented(&["x"], &["s"], Err(TicketError::Token(TokenError::Malformed)));
        check_presented(&[""], &["s"], Err(TicketError::Token(TokenError::Malformed)));
    }
}
