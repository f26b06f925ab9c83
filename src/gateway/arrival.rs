//! The beginning of the journey: hygiene, route, origin. All that a head says, before a byte of the body is read.
//!
//! It needs no socket: a rehearsal walks the same way.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;

use super::Judgement;
use crate::edge::cors::Preflight;
use crate::edge::hygiene::{self, Head};
use crate::edge::origin::{AdmittedOrigin, OriginRefusal, RequestOrigin};
use crate::edge::{ClientCertificate, TlsFacts};
use crate::epoch::{Epoch, Route, Tenant};
use crate::policy::Origin;
use crate::profile::{Operation, Profile};
use crate::rejection::Rejection;

/// A request whose head says whose it is, and from which page.
pub struct Arrival<'a> {
    pub head: Head<'a>,
    pub route: Route<'a>,
    pub origin: RequestOrigin,
    pub admitted: Option<AdmittedOrigin>,
    pub preflight: Option<Preflight>,
}

/// Whoever wants to know how far a request came that was refused on the way.
pub trait Arriving {
    /// What it asks for is known.
    fn routed(&mut self, _: &Operation, _: &Arc<Profile>) {}
    /// The page that it says it comes from, admitted or not.
    fn origin(&mut self, _: &Origin) {}
    /// That page is trusted by no workspace that could be meant; by this one, where it is known which.
    fn foreign(&mut self, _: &Origin, _: Option<&Tenant>) {}
}

/// The beginning of a request's way, up to its body; rehearsals go it too. [`hygiene::scrub`] has been over `parts`.
///
/// # Errors
///
/// The first reason for which the request goes nowhere.
pub fn arrive<'a>(
    epoch: &'a Epoch,
    parts: &'a Parts,
    tls: Option<&TlsFacts>,
    client: Option<IpAddr>,
    certificate: Option<&ClientCertificate>,
    arriving: &mut impl Arriving,
) -> Result<Arrival<'a>, Rejection> {
    // Hygiene: what two servers read differently goes nowhere.
    let head = hygiene::inspect(parts)?;
    if let Some(tls) = tls {
        head.admit_host(tls)?;
    }

    // Route: one operation of one profile, and the tenants that have it on this host.
    let preflight = Preflight::read(parts);
    let method = preflight.as_ref().map_or(&parts.method, |preflight| &preflight.method);
    let route = epoch.route(method, head.host(), head.path())?;
    let profile = route.tenants.first().map(|tenant| &tenant.workspace.profile).ok_or(Rejection::RouteUnknown)?;
    arriving.routed(route.operation, profile);

    // Origin, first pass: a cheap no, before a byte of the body is read.
    let origin = RequestOrigin::read(&parts.headers)?;
    if let RequestOrigin::Origin(origin) = &origin {
        arriving.origin(origin);
    }
    let judgement = Judgement { epoch, head: &head, parts, route: &route, client, certificate };
    let admitted = judgement.admit(&origin, &route.tenants).inspect_err(|rejection| {
        if let (Rejection::Origin(OriginRefusal::Untrusted), RequestOrigin::Origin(origin)) = (rejection, &origin) {
            arriving.foreign(origin, judgement.meant());
        }
    })?;
    Ok(Arrival { head, route, origin, admitted, preflight })
}
