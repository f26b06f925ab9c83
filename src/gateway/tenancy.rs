//! Whose a request is: the tenant that it names, or those that it can be for.
//!
//! A request that is opened names it anywhere; of one that is not, and of a body that is not read yet, the head alone speaks. Two names that
//! are not the same are none.

use std::borrow::Cow;

use super::Judgement;
use super::judgement::Witness;
use crate::edge::origin::{AdmittedOrigin, OriginRefusal, RequestOrigin};
use crate::envelope::{EnvelopeError, query_overrides_method, text_in_headers};
use crate::epoch::Tenant;
use crate::profile::{Class, Place};
use crate::rejection::Rejection;

/// A request that is not opened.
pub struct Unopened<'j> {
    /// Whose it is; the first, by its file's name, of several whose page it may be.
    pub tenant: &'j Tenant,
    pub admitted: Option<AdmittedOrigin>,
    /// On whose rate it counts. Where it may be for several it is nobody's: none of them shall pay for another's pages.
    pub charged: Option<&'j Tenant>,
}

impl<'j> Judgement<'j> {
    /// Whose a request is that is not opened, and its origin as that tenant admits it: another tenant's page is no page of this one.
    ///
    /// # Errors
    ///
    /// It could be for several upstreams; it may not come from here, or not like this, to one that it could be for; or its origin is
    /// nobody's of those.
    pub fn unopened(&self, origin: &RequestOrigin, witness: &mut impl Witness) -> Result<Unopened<'j>, Rejection> {
        self.admit_method()?;
        let meant = self.unopened_tenants()?;
        if let [tenant] = *meant {
            witness.tenant(tenant, self.route.operation);
            let admitted = self.admit_to(tenant, origin, witness)?;
            return Ok(Unopened { tenant, admitted, charged: Some(tenant) });
        }
        // The backend knows whose it is, and nobody here does: to whomever it may be for it must be allowed to come.
        for tenant in &meant {
            self.admit_address(&[tenant])?;
            self.admit_fetch(origin, &[tenant])?;
            if self.route.operation.class == Class::ServerApi {
                self.admit_origin(origin, &[tenant])?;
            }
        }
        // A page may be one tenant's alone: it is for that one, then.
        let mut trusting = meant.iter().filter(|tenant| self.admit_origin(origin, &[tenant]).is_ok());
        let tenant = trusting.next().ok_or(Rejection::Origin(OriginRefusal::Untrusted))?;
        witness.tenant(tenant, self.route.operation);
        let charged = trusting.next().is_none().then_some(*tenant);
        Ok(Unopened { tenant, admitted: self.admit_to(tenant, origin, witness)?, charged })
    }

    /// The tenant of a request that is not opened and whose keys decide: named by its head, or the only one that needs no name.
    ///
    /// # Errors
    ///
    /// There is none such, a browser sends it, it may not come from here, or the backend could take its method for another.
    pub fn named_alone(&self, origin: &RequestOrigin, witness: &mut impl Witness) -> Result<&'j Tenant, Rejection> {
        let tenant = self.tenant(&self.named()?)?;
        witness.tenant(tenant, self.route.operation);
        self.admit_method()?;
        self.admit(origin, &[tenant])?;
        Ok(tenant)
    }

    /// One method was routed, and the backend must not take it for another.
    fn admit_method(&self) -> Result<(), EnvelopeError> {
        match self.head.query() {
            Some(query) if query_overrides_method(query) => Err(EnvelopeError::MethodOverride),
            Some(_) | None => Ok(()),
        }
    }

    /// The tenant that is meant, where that is known before the body is read.
    pub(super) fn meant(&self) -> Option<&'j Tenant> {
        match (self.route.tenants.as_slice(), self.named_tenant()) {
            ([tenant], _) => Some(*tenant),
            (_, Ok(named)) => named,
            (_, Err(_)) => None,
        }
    }

    /// The tenant that the head names, where it names one.
    fn named_tenant(&self) -> Result<Option<&'j Tenant>, Rejection> {
        let named = self.named()?;
        if named.is_empty() { Ok(None) } else { self.tenant(&named).map(Some) }
    }

    /// The tenant that the address names, where it names one: all that a browser asks for by, and keeps an answer under, when it loads a page.
    pub(super) fn addressed_tenant(&self) -> Result<Option<&'j Tenant>, Rejection> {
        let named = self.named_at(|place| matches!(place, Place::Path(_) | Place::Query(_)))?;
        if named.is_empty() { Ok(None) } else { self.tenant(&named).map(Some) }
    }

    /// The tenant that the request names, or the only one that needs no name.
    pub(super) fn tenant(&self, ids: &[Cow<'_, str>]) -> Result<&'j Tenant, Rejection> {
        let mut ids = ids.iter();
        let id = ids.next();
        if ids.any(|other| Some(other) != id) {
            return Err(Rejection::WorkspaceTwice);
        }
        let named = |tenant: &&&Tenant| id.is_some_and(|id| tenant.workspace.app_ids.iter().any(|app_id| app_id == id));
        let unnamed = |tenant: &&&Tenant| tenant.workspace.app_ids.is_empty();
        let mut found = self.route.tenants.iter().filter(named);
        let found = match (found.next(), found.next()) {
            (None, _) => {
                let mut unnamed = self.route.tenants.iter().filter(unnamed);
                (unnamed.next(), unnamed.next())
            }
            one_or_two => one_or_two,
        };
        match found {
            (Some(tenant), None) => Ok(tenant),
            (None | Some(_), _) => Err(Rejection::WorkspaceUnknown),
        }
    }

    /// The one that its head names, or all that it may be for: those share an upstream.
    fn unopened_tenants(&self) -> Result<Vec<&'j Tenant>, Rejection> {
        if let Some(tenant) = self.named_tenant()? {
            return Ok(vec![tenant]);
        }
        let mut tenants = self.route.tenants.iter();
        let first = tenants.next().ok_or(Rejection::RouteUnknown)?;
        if tenants.all(|tenant| tenant.workspace.upstream == first.workspace.upstream) {
            Ok(self.route.tenants.clone())
        } else {
            Err(Rejection::WorkspaceUnknown)
        }
    }

    /// What the head calls the workspace.
    fn named(&self) -> Result<Vec<Cow<'_, str>>, Rejection> {
        self.named_at(|_| true)
    }

    /// What those places of the head that count call the workspace.
    fn named_at(&self, counts: impl Fn(&Place) -> bool) -> Result<Vec<Cow<'_, str>>, Rejection> {
        let profile = &*self.route.tenants.first().ok_or(Rejection::RouteUnknown)?.workspace.profile;
        let mut named: Vec<Cow<'_, str>> = Vec::new();
        for place in profile.workspace_at.iter().filter(|place| counts(place)) {
            match place {
                Place::Path(name) => {
                    let params = self.route.params.iter().filter(|(param, _)| param == name);
                    named.extend(params.map(|(_, value)| Cow::Borrowed(*value)));
                }
                // All of them: this backend reads the first and that one the last, and a third divides at semicolons too.
                Place::Query(name) => {
                    let query = self.head.query().unwrap_or_default();
                    for reading in [query, &query.replace(';', "&")] {
                        let pairs = form_urlencoded::parse(reading.as_bytes()).filter(|(key, _)| key == name);
                        named.extend(pairs.map(|(_, value)| Cow::Owned(value.into_owned())));
                    }
                }
                Place::Header(_) | Place::Bearer(_) | Place::Cookie(_) => {
                    named.extend(text_in_headers(&self.parts.headers, place)?);
                }
                Place::Document(_) | Place::Body(_) | Place::Field(_) => {}
            }
        }
        Ok(named)
    }
}
