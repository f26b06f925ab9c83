//! What may leave: a judged body, one that its vendor signed, or one streamed for an operation that is never opened.

use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;
use http::uri::PathAndQuery;
use hyper::body::Incoming;

use super::forwarded::ForwardFacts;
use crate::envelope::Rewritten;
use crate::identity::VerifiedWebhook;
use crate::profile::{Body, Class, Operation};

/// A request on its way to an upstream. There is no fourth kind, and none can be made without its proof.
pub enum Outbound {
    /// Its body was written by us from what was judged.
    Judged { head: ForwardHead, body: JudgedBody },
    /// Its body is a webhook's, sent on as it came.
    Verified { head: ForwardHead, body: VerifiedWebhook },
    /// Its body is streamed unopened, within limits.
    Passed { head: ForwardHead, body: Incoming, permit: PassPermit },
}

/// The head of a request, as the client sent it. Host, hop-by-hop fields and those that only a gateway may set are replaced on the way.
pub struct ForwardHead {
    pub method: Method,
    /// Already admitted, and sent on to the letter.
    pub path_and_query: PathAndQuery,
    pub headers: HeaderMap,
    pub facts: ForwardFacts,
}

/// A body written from what was judged.
///
/// ```compile_fail
/// let body = countersign::upstream::JudgedBody { bytes: "{}".into(), content_type: None };
/// ```
pub struct JudgedBody {
    bytes: Bytes,
    content_type: Option<&'static str>,
}

/// What was rewritten is what was judged: its one maker is the envelope, and it needs a judgement.
impl From<Rewritten> for JudgedBody {
    fn from(rewritten: Rewritten) -> Self {
        let content_type = rewritten.content_type();
        Self { bytes: rewritten.into_body(), content_type }
    }
}

impl JudgedBody {
    #[cfg(test)]
    pub(super) fn new(bytes: Bytes, content_type: Option<&'static str>) -> Self {
        Self { bytes, content_type }
    }

    pub(super) fn into_parts(self) -> (Bytes, Option<&'static str>) {
        (self.bytes, self.content_type)
    }
}

/// Shows that an operation's requests may be sent without being opened.
///
/// ```compile_fail
/// let permit = countersign::upstream::PassPermit { body: todo!() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassPermit {
    body: Streamed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streamed {
    Nothing,
    WithinLimit,
}

impl PassPermit {
    /// `None` for every operation whose requests are judged.
    #[must_use]
    pub fn of(operation: &Operation) -> Option<Self> {
        match operation.class {
            Class::Pass | Class::ServerApi => {}
            Class::Update
            | Class::Event
            | Class::Collect
            | Class::Delete
            | Class::Identify
            | Class::SessionEnd
            | Class::Telemetry
            | Class::Webhook => return None,
        }
        match operation.body {
            Body::Stream => Some(Self { body: Streamed::WithinLimit }),
            Body::None => Some(Self { body: Streamed::Nothing }),
            Body::Json | Body::Form => None,
        }
    }

    /// How much may be streamed, of a limit.
    pub(super) fn bytes_max(self, limit: u64) -> u64 {
        match self.body {
            Streamed::Nothing => 0,
            Streamed::WithinLimit => limit,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::profile::{Replaces, Teaches, Upgrade, WhenEmpty};

    pub(in super::super) fn operation(class: Class, body: Body, upgrade: Upgrade) -> Operation {
        Operation {
            name: "test".to_owned(),
            methods: vec![Method::GET],
            path: "/**".try_into().unwrap(),
            class,
            body,
            documents: Vec::new(),
            context: Vec::new(),
            subject: Vec::new(),
            when_empty: WhenEmpty::Send,
            replaces: Replaces::Nothing,
            upgrade,
            serves: crate::profile::Serves::Anything,
            teaches: Teaches::Nothing,
            exchange: None,
            webhook: None,
        }
    }

    #[test]
    fn only_operations_that_are_never_opened_may_pass() {
        let permit = |class, body| PassPermit::of(&operation(class, body, Upgrade::Never));
        assert_eq!(permit(Class::Pass, Body::Stream).unwrap().bytes_max(9), 9);
        assert_eq!(permit(Class::ServerApi, Body::Stream).unwrap().bytes_max(9), 9);
        assert_eq!(permit(Class::Pass, Body::None).unwrap().bytes_max(9), 0);
        assert_eq!(permit(Class::ServerApi, Body::Json), None);
        assert_eq!(permit(Class::Update, Body::Stream), None);
        assert_eq!(permit(Class::Webhook, Body::Stream), None);
        assert_eq!(permit(Class::Telemetry, Body::None), None);
    }
}
