//! Cases: requests to try on a workspace's policy, and what is expected to become of each.

use std::fmt;
use std::net::IpAddr;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};

use super::client_identity::ClientIdentity;
use crate::decision::{self, Code, Force};
use crate::profile::SessionRole;

/// The cases of one workspace.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// The workspace's name: the file's, without its endings.
    pub workspace: String,
    pub file: String,
    pub cases: Vec<Case>,
}

/// A request, and what is expected to become of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// A sentence.
    pub name: String,
    /// Where in the file it begins, from one.
    pub line: usize,
    pub request: CaseRequest,
    pub expect: Expectation,
}

/// A request as a case tells it.
#[derive(Clone, Debug)]
pub struct CaseRequest {
    pub method: Method,
    /// With its query.
    pub path: PathAndQuery,
    pub host: Option<HeaderValue>,
    /// The header `Origin`; `None` sends none.
    pub origin: Option<HeaderValue>,
    pub app_id: AppId,
    /// Who the certificate speaks for that the client has shown; `None`: it has shown none.
    pub client_certificate: Option<ClientIdentity>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub content: Content,
    pub content_type: Option<HeaderValue>,
    /// What a token says.
    pub signed: Option<decision::Value<'static>>,
    pub signer: Signer,
    /// Whose id is hashed.
    pub hashed: Option<String>,
    /// From where it comes. `None`: from wherever the workspace lets requests come.
    pub client: Option<IpAddr>,
    /// Whose the request's session is, where the messenger has said so before.
    pub session_role: Option<SessionRole>,
    /// What the token said that the request's session was given for.
    pub exchanged: Option<decision::Value<'static>>,
    /// What a collector ticket says.
    pub ticket: Option<decision::Value<'static>>,
    /// The time of the request, in seconds since 1970.
    pub now: Option<i64>,
}

/// How the request names the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppId {
    /// By its first id, at the place where the profile looks for it.
    Own,
    Nowhere,
    Other(String),
}

/// What the request carries. A text where a document belongs is its JSON to the letter, right or wrong.
#[derive(Clone, Debug)]
pub enum Content {
    /// The update, where the operation has its first document; and the other fields of a form.
    Told { update: Option<decision::Value<'static>>, fields: Vec<(String, decision::Value<'static>)> },
    /// The whole body.
    Whole(decision::Value<'static>),
}

/// Who signs the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The workspace's first key for tokens.
    First,
    /// The key of this id.
    Key(String),
    /// Somebody who has no key of the workspace.
    Nobody,
}

/// What is expected. What is not named may be as it likes.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub outcome: ExpectedOutcome,
    /// The operation's first document, as it goes on.
    pub goes_on: Option<decision::Value<'static>>,
    /// All other fields of the form, as they go on.
    pub fields: Option<Vec<(String, decision::Value<'static>)>>,
    /// The whole JSON body, as it goes on.
    pub body: Option<decision::Value<'static>>,
    pub verdicts: Vec<(String, ExpectedVerdicts)>,
    pub proof: Option<String>,
    /// The code of the refusal that would come, were the workspace enforcing.
    pub would_refuse: Option<String>,
}

/// How the request ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedOutcome {
    Goes(Passage),
    /// The code of the refusal.
    Refused(String),
}

/// How a request goes that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Judged, and sent.
    Sent,
    /// Streamed, and never opened.
    Passed,
    /// Answered by the gateway itself: a preflight.
    Answered,
}

/// The verdicts of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpectedVerdicts {
    /// Wherever the name stands.
    Each(ExpectedVerdict),
    /// Where it stands several times: one after the other.
    InOrder(Vec<ExpectedVerdict>),
}

/// A verdict, spelled `locked`, or `locked, observed` where it changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedVerdict {
    pub code: Code,
    pub force: Force,
}

/// What stands behind the code of a verdict that changes nothing.
pub(super) const OBSERVED: &str = ", observed";

impl fmt::Display for ExpectedVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        match self.force {
            Force::Applied => Ok(()),
            Force::Recorded => f.write_str(OBSERVED),
        }
    }
}
