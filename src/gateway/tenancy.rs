//! Whose a request is: the tenant that it names, or the one that it can only be for.
//!
//! A request that is opened names it anywhere; of one that is not, and of a body that is not read yet, path and query alone speak. Two names
//! that are not the same are none.

use std::borrow::Cow;

use super::Judgement;
use super::judgement::Witness;
use crate::edge::origin::{AdmittedOrigin, RequestOrigin};
use crate::envelope::{EnvelopeError, query_overrides_method};
use crate::epoch::Tenant;
use crate::profile::{Class, Place};
use crate::rejection::Rejection;

impl<'j> Judgement<'j> {
    /// The tenant of a request that is not opened, and its origin as that tenant admits it: another tenant's page is no page of this one.
    ///
    /// # Errors
    ///
    /// It could be for several upstreams, or the origin is somebody else's.
    pub fn unopened(
        &self,
        origin: &RequestOrigin,
        witness: &mut impl Witness,
    ) -> Result<(&'j Tenant, Option<AdmittedOrigin>), Rejection> {
        // One method was routed, and the backend must not take it for another.
        if self.head.query().is_some_and(query_overrides_method) {
            return Err(EnvelopeError::MethodOverride.into());
        }
        let (tenant, meant) = self.unopened_tenant()?;
        if self.route.operation.class == Class::ServerApi {
            // What is not opened may be for any of them: each must let this server in.
            meant.iter().try_for_each(|tenant| self.admit(origin, &[tenant]).map(drop))?;
        }
        Ok((tenant, self.admit_to(tenant, origin, witness)?))
    }

    /// The tenant of a request that is not opened and whose keys decide: named by its path or query, or the only one that needs no name.
    ///
    /// # Errors
    ///
    /// There is none such, a browser sends it, or it may not come from here.
    pub fn named_alone(&self, origin: &RequestOrigin) -> Result<&'j Tenant, Rejection> {
        let tenant = self.tenant(&self.named()?)?;
        self.admit(origin, &[tenant])?;
        Ok(tenant)
    }

    /// The tenant that is meant, where that is known before the body is read.
    pub(super) fn meant(&self) -> Option<&'j Tenant> {
        match (self.route.tenants.as_slice(), self.named_tenant()) {
            ([tenant], _) => Some(*tenant),
            (_, Ok(named)) => named,
            (_, Err(_)) => None,
        }
    }

    /// The tenant that path and query name, where they name one.
    pub(super) fn named_tenant(&self) -> Result<Option<&'j Tenant>, Rejection> {
        let named = self.named()?;
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

    /// Named by its path or query, or the one whose upstream they all share; and all that it may be for.
    fn unopened_tenant(&self) -> Result<(&'j Tenant, Vec<&'j Tenant>), Rejection> {
        if let Some(tenant) = self.named_tenant()? {
            return Ok((tenant, vec![tenant]));
        }
        let mut tenants = self.route.tenants.iter();
        let first = tenants.next().ok_or(Rejection::RouteUnknown)?;
        if tenants.all(|tenant| tenant.workspace.upstream == first.workspace.upstream) {
            Ok((first, self.route.tenants.clone()))
        } else {
            Err(Rejection::WorkspaceUnknown)
        }
    }

    /// What a path or query calls the workspace.
    fn named(&self) -> Result<Vec<Cow<'_, str>>, Rejection> {
        let profile = &*self.route.tenants.first().ok_or(Rejection::RouteUnknown)?.workspace.profile;
        let mut named: Vec<Cow<'_, str>> = Vec::new();
        for place in &profile.workspace_at {
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
                Place::Document(_)
                | Place::Body(_)
                | Place::Field(_)
                | Place::Header(_)
                | Place::Bearer(_)
                | Place::Cookie(_) => {}
            }
        }
        Ok(named)
    }
}
