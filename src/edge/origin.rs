//! Origins: whether the page that sent a request is one from which the workspace's widget may speak.
//!
//! Asked twice: of all workspaces that a request could mean, before a byte of its body is read, and of the one that it turned out to mean.

use http::header::{self, HeaderMap};

use super::hygiene::Head;
use crate::policy::{Admission, Origin, Workspace};

/// What `Origin` says (RFC 6454 §7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOrigin {
    /// Native applications send none, and browsers none with a same-origin GET.
    Missing,
    /// Sandboxed frames and web views send `null`.
    Null,
    Origin(Origin),
    /// No web origin in the spelling that browsers send. Nobody trusts it.
    Malformed,
}

/// Why an origin is not admitted (403). The words are the same for all: which domains are trusted is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the origin is not trusted")]
pub enum OriginRefusal {
    Missing,
    Null,
    Repeated,
    Malformed,
    Untrusted,
}

/// Whether a page that this very host served counts as trusted.
#[derive(Clone, Copy, Debug)]
pub enum SameOrigin<'r> {
    Untrusted,
    /// The widget lives in a frame that comes from us: the profile says so.
    Trusted(&'r Head<'r>),
}

/// An origin that some workspace admits. Its makers are [`admit`] and, for a workspace's own servers, [`admit_servers`].
///
/// ```compile_fail,E0451
/// // The fields are private: there is no way around `admit`.
/// let admitted = countersign::edge::origin::AdmittedOrigin { kind: todo!() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedOrigin {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Missing,
    Null,
    Same(Origin),
    Trusted(Origin),
}

impl AdmittedOrigin {
    /// The value of `Access-Control-Allow-Origin`, where the page needs one.
    #[must_use]
    pub fn allow_origin(&self) -> Option<&str> {
        match &self.kind {
            Kind::Missing => None,
            Kind::Null => Some("null"),
            Kind::Same(origin) | Kind::Trusted(origin) => Some(origin.as_str()),
        }
    }

    /// The origin, where there is one.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        match &self.kind {
            Kind::Missing | Kind::Null => None,
            Kind::Same(origin) | Kind::Trusted(origin) => Some(origin),
        }
    }
}

impl RequestOrigin {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`OriginRefusal::Repeated`].
    pub fn read(headers: &HeaderMap) -> Result<Self, OriginRefusal> {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let Some(value) = values.next() else { return Ok(Self::Missing) };
        if values.next().is_some() {
            return Err(OriginRefusal::Repeated);
        }
        Ok(match value.to_str() {
            Ok("null") => Self::Null,
            Ok(text) => match Origin::try_from(text) {
                Ok(origin) => Self::Origin(origin),
                Err(_) => Self::Malformed,
            },
            Err(_) => Self::Malformed,
        })
    }
}

/// Admits an origin that at least one of `workspaces` admits. No workspaces admit nobody.
///
/// # Errors
///
/// None of them does.
pub fn admit<'w>(
    origin: &RequestOrigin,
    same_origin: SameOrigin<'_>,
    workspaces: impl IntoIterator<Item = &'w Workspace>,
) -> Result<AdmittedOrigin, OriginRefusal> {
    let mut workspaces = workspaces.into_iter();
    let (kind, refusal) = match origin {
        RequestOrigin::Missing => {
            let admitted = workspaces.any(|workspace| workspace.missing_origin == Admission::Allow);
            (admitted.then_some(Kind::Missing), OriginRefusal::Missing)
        }
        RequestOrigin::Null => {
            let admitted = workspaces.any(|workspace| workspace.null_origin == Admission::Allow);
            (admitted.then_some(Kind::Null), OriginRefusal::Null)
        }
        RequestOrigin::Origin(origin) => {
            let mut workspaces = workspaces.peekable();
            let kind = if workspaces.peek().is_some() && is_same_origin(origin, same_origin) {
                Some(Kind::Same(origin.clone()))
            } else {
                let trusted = workspaces.any(|workspace| workspace.trusted_domains.trust(origin));
                trusted.then(|| Kind::Trusted(origin.clone()))
            };
            (kind, OriginRefusal::Untrusted)
        }
        RequestOrigin::Malformed => (None, OriginRefusal::Malformed),
    };
    kind.map(|kind| AdmittedOrigin { kind }).ok_or(refusal)
}

/// Admits a request without an origin that one of `workspaces`' own servers sent, whatever they say of others without one. `None`: there
/// is an origin, or it is nobody's server.
pub fn admit_servers<'w>(
    origin: &RequestOrigin,
    workspaces: impl IntoIterator<Item = &'w Workspace>,
) -> Option<AdmittedOrigin> {
    let is_servers = *origin == RequestOrigin::Missing && workspaces.into_iter().next().is_some();
    is_servers.then_some(AdmittedOrigin { kind: Kind::Missing })
}

fn is_same_origin(origin: &Origin, same_origin: SameOrigin<'_>) -> bool {
    match same_origin {
        SameOrigin::Untrusted => false,
        // Always over https: that is how the request came.
        SameOrigin::Trusted(head) => {
            Origin::try_from(format!("https://{}", head.authority()).as_str()).is_ok_and(|own| own == *origin)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::edge::hygiene;
    use crate::edge::test_support::workspace;

    fn read(values: &[&str]) -> Result<RequestOrigin, OriginRefusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ORIGIN, value.parse().expect("a value"));
        }
        RequestOrigin::read(&headers)
    }

    #[test]
    fn the_header_is_read_once() {
        assert_eq!(read(&[]), Ok(RequestOrigin::Missing));
        assert_eq!(read(&["null"]), Ok(RequestOrigin::Null));
        assert_eq!(read(&["NULL"]), Ok(RequestOrigin::Malformed));
        assert_eq!(read(&[""]), Ok(RequestOrigin::Malformed));
        assert_eq!(read(&["https://a.example https://b.example"]), Ok(RequestOrigin::Malformed));
        assert_eq!(read(&["https://a.example", "https://a.example"]), Err(OriginRefusal::Repeated));
        let origin = Origin::try_from("https://a.example").expect("an origin");
        assert_eq!(read(&["https://a.example"]), Ok(RequestOrigin::Origin(origin)));
    }

    #[track_caller]
    fn check(value: &[&str], workspaces: &[&Workspace], expected: Result<Option<&str>, OriginRefusal>) {
        let origin = read(value).expect("at most one origin");
        let admitted = admit(&origin, SameOrigin::Untrusted, workspaces.iter().copied());
        assert_eq!(admitted.as_ref().map(AdmittedOrigin::allow_origin), expected.as_ref().copied());
    }

    #[test]
    fn an_origin_is_admitted_where_a_workspace_trusts_it() {
        let a = workspace(&["https://*.a.example"]);
        let b = workspace(&["https://b.example"]);
        check(&["https://b.example"], &[&a, &b], Ok(Some("https://b.example")));
        check(&["https://x.a.example"], &[&a, &b], Ok(Some("https://x.a.example")));
        check(&["https://b.example"], &[&a], Err(OriginRefusal::Untrusted));
        check(&["https://b.example"], &[], Err(OriginRefusal::Untrusted));
        check(&["http://b.example"], &[&a, &b], Err(OriginRefusal::Untrusted));
        check(&["https://evil-b.example"], &[&a, &b], Err(OriginRefusal::Untrusted));
        // No name that there can be, also below a wildcard.
        check(&["https://..a.example"], &[&a, &b], Err(OriginRefusal::Malformed));
        check(&["https://a,b.a.example"], &[&a, &b], Err(OriginRefusal::Malformed));
        check(&["https://B.example"], &[&a, &b], Err(OriginRefusal::Malformed));
    }

    #[test]
    fn absent_and_null_origins_are_admitted_only_by_choice() {
        let strict = workspace(&["https://a.example"]);
        let native = Workspace { missing_origin: Admission::Allow, ..strict.clone() };
        let framed = Workspace { null_origin: Admission::Allow, ..strict.clone() };
        check(&[], &[&strict, &framed], Err(OriginRefusal::Missing));
        check(&[], &[&strict, &native], Ok(None));
        check(&["null"], &[&strict, &native], Err(OriginRefusal::Null));
        check(&["null"], &[&framed], Ok(Some("null")));
    }

    #[test]
    fn our_own_host_is_an_origin_where_the_profile_says_so() {
        let request = Request::builder().uri("/x").header("host", "Chat.example:443").body(()).expect("a request");
        let (parts, ()) = request.into_parts();
        let head = hygiene::inspect(&parts).expect("a head");
        let a = workspace(&["https://a.example"]);
        let own = read(&["https://chat.example"]).expect("an origin");
        let admitted = admit(&own, SameOrigin::Trusted(&head), [&a]);
        assert_eq!(
            admitted.map(|admitted| admitted.origin().map(ToString::to_string)),
            Ok(Some("https://chat.example".to_owned()))
        );
        assert_eq!(admit(&own, SameOrigin::Untrusted, [&a]), Err(OriginRefusal::Untrusted));
        assert_eq!(admit(&own, SameOrigin::Trusted(&head), []), Err(OriginRefusal::Untrusted));
        for other in ["http://chat.example", "https://chat.example:8443", "https://x.chat.example"] {
            let other = read(&[other]).expect("an origin");
            assert_eq!(admit(&other, SameOrigin::Trusted(&head), [&a]), Err(OriginRefusal::Untrusted));
        }
    }
}
