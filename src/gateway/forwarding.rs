//! Between the journey and an upstream: what a request's head becomes on its way there, and whether an answer came back.

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName};

use crate::audit::Event;
use crate::clock;
use crate::edge::hygiene::{Head, HygieneError};
use crate::epoch::Tenant;
use crate::rejection::{Party, Rejection};
use crate::upstream::{ForwardFacts, ForwardHead, Traceparent, UpstreamError};

/// The head of the request to the upstream: what came, less what was for us alone, and what we know of it.
pub(super) fn forward(
    parts: &Parts,
    head: &Head<'_>,
    event: &Event,
    consumed: &[HeaderName],
) -> Result<ForwardHead, Rejection> {
    let mut headers: HeaderMap = parts.headers.clone();
    for name in consumed {
        headers.remove(name);
    }
    let path_and_query = match parts.uri.path_and_query() {
        Some(path_and_query) => path_and_query.clone(),
        None => PathAndQuery::from_static("/"),
    };
    let facts = ForwardFacts {
        client: event.client(),
        host: Authority::try_from(head.authority()).map_err(|_| HygieneError::HostSyntax)?,
        request_id: event.id().to_string(),
        traceparent: Traceparent::of_request(&headers, event.id()),
    };
    Ok(ForwardHead { method: parts.method.clone(), path_and_query, headers, facts })
}

/// Remembers whether the upstream answered.
pub(super) fn heard<T>(tenant: &Tenant, answer: Result<T, UpstreamError>) -> Result<T, Rejection> {
    let health = tenant.metrics.upstream();
    match answer {
        Ok(answer) => {
            health.answered(clock::now_seconds());
            Ok(answer)
        }
        Err(error) => {
            let rejection = Rejection::from(error);
            if rejection.party() == Party::Upstream {
                health.failed(rejection.code(), clock::now_seconds());
            }
            Err(rejection)
        }
    }
}
