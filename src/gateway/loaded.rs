//! What an answer of the upstream is to the browser that asked: its headers go by that.

use super::Judgement;
use crate::edge::frame_ancestors::FrameAncestors;
use crate::edge::relayed::Loaded;
use crate::profile::{Class, Serves};
use crate::rejection::Rejection;

impl Judgement<'_> {
    /// What is loaded by a request that is not opened.
    ///
    /// # Errors
    ///
    /// It names no workspace of ours, or several.
    pub(super) fn loaded(&self) -> Result<Loaded, Rejection> {
        let operation = self.route.operation;
        Ok(match (operation.serves, operation.class) {
            (Serves::Frame, _) => Loaded::Frame(match (self.addressed_tenant()?, self.route.tenants.as_slice()) {
                (Some(tenant), _) => tenant.frame_ancestors.clone(),
                (None, [tenant]) => tenant.frame_ancestors.clone(),
                // Whose page it is was not said, and of several lists an attacker would choose.
                (None, _) => FrameAncestors::nobody(),
            }),
            (Serves::Anything, Class::Pass) if self.parts.method.is_safe() => Loaded::Resource,
            (
                Serves::Anything,
                Class::Pass
                | Class::Update
                | Class::Event
                | Class::Collect
                | Class::Delete
                | Class::Identify
                | Class::SessionEnd
                | Class::Telemetry
                | Class::ServerApi
                | Class::Webhook,
            ) => Loaded::Answer,
        })
    }
}
