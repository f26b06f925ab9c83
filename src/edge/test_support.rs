//! What several tests of this room need.

use std::sync::Arc;
use std::time::Duration;

use crate::decision::{Catalogue, Folding, Mode, TokenReader, Unlisted};
use crate::policy::{
    Admission, EncryptedPayload, Expiry, FetchMetadataRule, FileLine, IdentityPolicy, OnMisfit, OnReplace,
    OnSessionEnd, Replay, Require, TrustedDomain, TrustedDomains, WebhookPolicy, Workspace,
};
use crate::profile::{IdentityPlaces, PlatformSource, Profile, RefusalShapes, Shape, TokenPlaces};

/// A workspace of which only the trusted domains matter.
pub fn workspace(trusted_domains: &[&str]) -> Workspace {
    let domains = trusted_domains.iter().map(|text| TrustedDomain::try_from(*text).expect("a trusted domain"));
    let profile = Profile {
        id: "json".into(),
        title: String::new(),
        folding: Folding::default(),
        aliases: Vec::new(),
        token_reader: TokenReader::Gateway,
        widget_origin: crate::profile::WidgetOrigin::Page,
        platform: PlatformSource::Untold,
        workspace_at: Vec::new(),
        identity: IdentityPlaces::default(),
        tokens: TokenPlaces::default(),
        claims: Arc::new(Shape::Opaque),
        claim_names: Vec::new(),
        roles: None,
        operations: Vec::new(),
        refusals: RefusalShapes::default(),
    };
    let catalogue = Catalogue::new(Mode::Enforce, Unlisted::Drop, Unlisted::Drop, Folding::default(), &[], Vec::new());
    Workspace {
        id: "acme".into(),
        profile: Arc::new(profile),
        app_ids: Vec::new(),
        hosts: Vec::new(),
        upstream: "attributes".into(),
        trusted_domains: TrustedDomains::new(domains.collect()),
        trusted_domains_at: FileLine::default(),
        missing_origin: Admission::Refuse,
        null_origin: Admission::Refuse,
        fetch_metadata: FetchMetadataRule::Enforce,
        identity: IdentityPolicy {
            require: Require::Never,
            expiry: Expiry::Required,
            max_lifetime: None,
            leeway: Duration::ZERO,
            issuers: Vec::new(),
            audiences: Vec::new(),
            required_claims: Vec::new(),
            key_sets: Vec::new(),
            keys: Vec::new(),
            encrypted_payload: EncryptedPayload::Refuse,
            replay: Replay::Allow,
            session_end: OnSessionEnd::Keep,
            token_at: Vec::new(),
            ticket_at: Vec::new(),
            exchange_lifetime: None,
        },
        server: crate::policy::ServerPolicy::default(),
        catalogue: catalogue.expect("an empty catalogue"),
        rates: crate::policy::WorkspaceRates::default(),
        on_misfit: OnMisfit::Drop,
        on_replace: OnReplace::Refuse,
        operations: Vec::new(),
        addresses: Vec::new(),
        webhooks: WebhookPolicy::default(),
    }
}
