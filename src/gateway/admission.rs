//! The first look at where a request comes from: whether that address, that page or that server may be here at all.
//!
//! Nearly every request passes it twice: by any tenant that it could be for, before its body is read, and by the one that it is for.

use super::Judgement;
use super::judgement::Witness;
use super::server_channel::Caller;
use crate::edge::origin::{self, AdmittedOrigin, OriginRefusal, RequestOrigin, SameOrigin};
use crate::epoch::Tenant;
use crate::profile::{Class, Upgrade, WidgetOrigin};
use crate::rejection::Rejection;

impl Judgement<'_> {
    /// Admits an origin that one of `tenants` trusts. What a page loads by itself (a script, the widget's frame) names no origin.
    ///
    /// # Errors
    ///
    /// None of them does, or none lets in the client's address; the operation is for servers and a browser calls it; or the browser's own
    /// words speak against the request.
    pub fn admit(&self, origin: &RequestOrigin, tenants: &[&Tenant]) -> Result<Option<AdmittedOrigin>, Rejection> {
        // Before the origin: whoever may not be here at all learns nothing of whom else we trust.
        self.admit_address(tenants)?;
        let admitted = self.admit_origin(origin, tenants)?;
        self.admit_fetch(origin, tenants)?;
        Ok(admitted)
    }

    /// Admits the client's address where one of `tenants` lets it in.
    ///
    /// # Errors
    ///
    /// None of them does.
    pub(super) fn admit_address(&self, tenants: &[&Tenant]) -> Result<(), Rejection> {
        let admits = |tenant: &&Tenant, client| tenant.workspace.admits_address(&self.route.operation.name, client);
        match self.client {
            Some(client) if !tenants.iter().any(|tenant| admits(tenant, client)) => Err(Rejection::AddressNotAllowed),
            Some(_) | None => Ok(()),
        }
    }

    /// The second pass: the origin as the tenant itself admits it.
    pub(super) fn admit_to(
        &self,
        tenant: &Tenant,
        origin: &RequestOrigin,
        witness: &mut impl Witness,
    ) -> Result<Option<AdmittedOrigin>, Rejection> {
        self.admit(origin, &[tenant]).inspect_err(|rejection| {
            if let (Rejection::Origin(OriginRefusal::Untrusted), RequestOrigin::Origin(origin)) = (rejection, origin) {
                witness.foreign(tenant, origin);
            }
        })
    }

    pub(super) fn admit_origin(
        &self,
        origin: &RequestOrigin,
        tenants: &[&Tenant],
    ) -> Result<Option<AdmittedOrigin>, Rejection> {
        let missing = *origin == RequestOrigin::Missing;
        match self.route.operation.class {
            Class::ServerApi if missing => {
                let admitted = tenants
                    .iter()
                    .map(|tenant| self.caller(origin, tenant).admit_to_server_api(self.certificate, tenant));
                // Of several that it could be for, the one that it turns out to be for is asked again.
                admitted.reduce(Result::or).unwrap_or(Ok(()))?;
                return Ok(None);
            }
            Class::Webhook if missing => return Ok(None),
            Class::ServerApi | Class::Webhook => return Err(Rejection::ServerOnly),
            Class::Pass if missing && self.parts.method.is_safe() && self.route.operation.upgrade == Upgrade::Never => {
                return Ok(None);
            }
            Class::Pass
            | Class::Update
            | Class::Event
            | Class::Collect
            | Class::Delete
            | Class::Identify
            | Class::SessionEnd
            | Class::Telemetry => {}
        }
        let servers = tenants.iter().filter(|tenant| self.caller(origin, tenant) != Caller::Anybody);
        if let Some(admitted) = origin::admit_servers(origin, servers.map(|tenant| &tenant.workspace)) {
            return Ok(Some(admitted));
        }
        let own_frame = tenants.iter().any(|tenant| tenant.workspace.profile.widget_origin == WidgetOrigin::Gateway);
        let same_origin = if own_frame { SameOrigin::Trusted(self.head) } else { SameOrigin::Untrusted };
        Ok(Some(origin::admit(origin, same_origin, tenants.iter().map(|tenant| &tenant.workspace))?))
    }

    pub(super) fn caller(&self, origin: &RequestOrigin, tenant: &Tenant) -> Caller {
        Caller::of(self.certificate, origin, &self.parts.headers, tenant)
    }
}

/// Whether a request was not let in, by whichever pass. Its page reads no answer, then: not even where the first pass had let it in, for a
/// tenant that the request turned out not to be for.
pub(super) fn is_turned_away(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::Origin(_)
            | Rejection::AddressNotAllowed
            | Rejection::Fetch(_)
            | Rejection::ServerOnly
            | Rejection::ClientCertificate(_)
    )
}
