//! An epoch: the policy set, with everything that requests need made ready once.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::rand;
use http::HeaderName;
use zeroize::Zeroizing;

use super::key_sets::{self, KeySetBuildError};
use super::secrets::{self, SecretError};
use crate::edge::frame_ancestors::{FrameAncestors, OwnPages};
use crate::edge::headers::SecurityHeaders;
use crate::edge::regular_file::{self, PEM_BYTES_MAX};
use crate::envelope::Guard;
use crate::identity::{
    ConfiguredSecrets, DRAWN_BYTES, KeyError, KeyMaterial, PublishedKeys, Secret, Verifier, WebhookKeyError,
    WebhookKeys,
};
use crate::issuers::Issuers;
use crate::observe::{Metrics, WorkspaceMetrics};
use crate::policy::{Gateway, KeyPolicy, KeySetPolicy, PolicySet, WebhookKey, Workspace};
use crate::profile::{Operation, Path, PathParams, Place, RouteError, Routes, WidgetOrigin};
use crate::upstream::{SystemRoots, UpstreamSetupError, Upstreams};

/// One tenant with its verifier and counters.
pub struct Tenant {
    pub workspace: Workspace,
    pub verifier: Verifier,
    pub webhooks: WebhookKeys,
    pub metrics: Arc<WorkspaceMetrics>,
    /// The headers in which it takes a token for us alone.
    pub token_headers: Vec<HeaderName>,
    /// Whose pages may put its widget's page into a frame.
    pub frame_ancestors: FrameAncestors,
}

/// One set of policy files, ready to serve.
pub struct Epoch {
    digest: Arc<str>,
    pub gateway: Gateway,
    pub security_headers: SecurityHeaders,
    pub upstreams: Upstreams,
    /// The headers in which any tenant takes a token for us alone: they come in whatever they are called.
    pub token_headers: Vec<HeaderName>,
    /// The secrets of all tenants' keys: no update may hold one.
    pub secrets: ConfiguredSecrets,
    tenants: Vec<Tenant>,
    routes: Routes<Served>,
}

/// What is kept beside an operation.
struct Served {
    guard: Guard,
    /// Indices of the tenants that have it.
    tenants: Vec<usize>,
}

/// Where a request goes: one operation, and the tenants that have it on the request's host.
pub struct Route<'e> {
    pub operation: &'e Arc<Operation>,
    pub guard: &'e Guard,
    pub tenants: Vec<&'e Tenant>,
    pub params: PathParams<'e>,
}

/// Why a policy set that is right in itself cannot be in force here.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("workspace `{workspace}`, key `{key}`: {source}")]
    Secret { workspace: String, key: String, source: SecretError },
    #[error("workspace `{workspace}`, key set `{set}`: {source}")]
    KeySet { workspace: String, set: String, source: KeySetBuildError },
    #[error("workspace `{workspace}`: {source}")]
    Key { workspace: String, source: KeyError },
    #[error("workspace `{workspace}`: {source}")]
    Webhook { workspace: String, source: WebhookKeyError },
    #[error("cannot read the certificate authorities `{}`: {source}", path.display())]
    Ca { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
    #[error("the system has no random numbers")]
    Random,
}

impl Epoch {
    /// Makes everything ready: secrets are fetched, keys built, upstreams set up.
    ///
    /// # Errors
    ///
    /// The first thing that cannot be had.
    pub fn build(digest: &str, set: PolicySet, metrics: &Arc<Metrics>, issuers: &Issuers) -> Result<Self, BuildError> {
        let system = SystemRoots::default();
        let published = |_: &Workspace, set: &KeySetPolicy| key_sets::publish(set, issuers, &system);
        let webhook = |_: &Workspace, key: &WebhookKey| secrets::fetch(&key.secret);
        Self::assemble(digest, set, metrics, |_, key| secrets::fetch_key(&key.source), webhook, published)
    }

    /// The same with the keys' material from wherever `material_of` has it, and the sets of keys from where `published` has them. Only this
    /// room may choose: [`Epoch::build`] for what serves, [`RehearsalEpoch`](super::RehearsalEpoch) for what does not.
    pub(super) fn assemble(
        digest: &str,
        set: PolicySet,
        metrics: &Arc<Metrics>,
        material_of: impl Fn(&Workspace, &KeyPolicy) -> Result<KeyMaterial, SecretError>,
        webhook_secret: impl Fn(&Workspace, &WebhookKey) -> Result<Secret, SecretError>,
        published: impl Fn(&Workspace, &KeySetPolicy) -> Result<Arc<PublishedKeys>, KeySetBuildError>,
    ) -> Result<Self, BuildError> {
        let PolicySet { gateway, profiles: _, workspaces } = set;
        let mut authorities = HashMap::new();
        for upstream in &gateway.upstreams {
            if let Some(path) = &upstream.ca {
                let pem = regular_file::read(path, PEM_BYTES_MAX)
                    .map_err(|source| BuildError::Ca { path: path.clone(), source })?;
                authorities.insert(upstream.name.clone(), pem);
            }
        }
        let upstreams = Upstreams::new(&gateway.upstreams, &|name| authorities.get(name).cloned(), &gateway.limits)?;
        let security_headers = SecurityHeaders::from(&gateway.hsts);
        let mut drawn = Zeroizing::new([0; DRAWN_BYTES]);
        rand::fill(&mut *drawn).map_err(|_| BuildError::Random)?;
        let mut known = ConfiguredSecrets::new(&drawn);
        let tenants: Vec<Tenant> = workspaces
            .into_iter()
            .map(|workspace| {
                tenant(workspace, &gateway, metrics, &material_of, &webhook_secret, &published, &mut known)
            })
            .collect::<Result<_, _>>()?;
        known.arrange();
        let routes = routes(&tenants);
        let mut token_headers: Vec<HeaderName> =
            tenants.iter().flat_map(|tenant| &tenant.token_headers).cloned().collect();
        token_headers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        token_headers.dedup();
        let digest = digest.into();
        Ok(Self { digest, gateway, security_headers, upstreams, token_headers, secrets: known, tenants, routes })
    }

    /// The name of the epoch.
    #[must_use]
    pub fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// All tenants.
    #[must_use]
    pub fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// Where a request goes.
    ///
    /// # Errors
    ///
    /// No operation has the path, or none takes the method.
    pub fn route<'e>(&'e self, method: &http::Method, host: &str, path: Path<'e>) -> Result<Route<'e>, RouteError> {
        let on_host = |tenant: &&Tenant| {
            let hosts = &tenant.workspace.hosts;
            hosts.is_empty() || hosts.iter().any(|name| name == host)
        };
        let (operation, served, params) = self.routes.find(method, path, |served| {
            served.tenants.iter().filter_map(|index| self.tenants.get(*index)).any(|tenant| on_host(&tenant))
        })?;
        let tenants = served.tenants.iter().filter_map(|index| self.tenants.get(*index)).filter(on_host).collect();
        Ok(Route { operation, guard: &served.guard, tenants, params })
    }
}

fn tenant(
    workspace: Workspace,
    gateway: &Gateway,
    metrics: &Arc<Metrics>,
    material_of: impl Fn(&Workspace, &KeyPolicy) -> Result<KeyMaterial, SecretError>,
    webhook_secret: impl Fn(&Workspace, &WebhookKey) -> Result<Secret, SecretError>,
    published: impl Fn(&Workspace, &KeySetPolicy) -> Result<Arc<PublishedKeys>, KeySetBuildError>,
    known: &mut ConfiguredSecrets,
) -> Result<Tenant, BuildError> {
    let keys = &workspace.identity.keys;
    let materials = keys
        .iter()
        .map(|key| {
            material_of(&workspace, key).map_err(|source| BuildError::Secret {
                workspace: workspace.id.clone(),
                key: key.id.clone(),
                source,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (key, material) in keys.iter().zip(&materials) {
        match material {
            KeyMaterial::Secret(secret) => known.add(&workspace.id, &key.id, secret),
            // Anybody may have it.
            KeyMaterial::PublicKey(_) => {}
        }
    }
    let key_sets = workspace
        .identity
        .key_sets
        .iter()
        .map(|set| {
            published(&workspace, set).map_err(|source| BuildError::KeySet {
                workspace: workspace.id.clone(),
                set: set.id.clone(),
                source,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let verifier = Verifier::new(&workspace.identity, materials, &workspace.profile, &gateway.limits)
        .and_then(|verifier| verifier.with_key_sets(&workspace.identity, key_sets))
        .map_err(|source| BuildError::Key { workspace: workspace.id.clone(), source })?;
    let webhook_keys = &workspace.webhooks.keys;
    let secrets = webhook_keys
        .iter()
        .map(|key| {
            webhook_secret(&workspace, key).map_err(|source| BuildError::Secret {
                workspace: workspace.id.clone(),
                key: key.id.clone(),
                source,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (key, secret) in webhook_keys.iter().zip(&secrets) {
        known.add(&workspace.id, &key.id, secret);
    }
    let webhooks = WebhookKeys::new(&workspace.webhooks, &secrets)
        .map_err(|source| BuildError::Webhook { workspace: workspace.id.clone(), source })?;
    let metrics = Arc::new(WorkspaceMetrics::new(metrics, &workspace));
    let token_headers = token_headers(workspace.identity.token_at.iter().chain(&workspace.identity.ticket_at));
    let own_pages = match workspace.profile.widget_origin {
        WidgetOrigin::Gateway => OwnPages::MayFrame,
        WidgetOrigin::Page => OwnPages::MayNot,
    };
    let frame_ancestors = FrameAncestors::of(&workspace.trusted_domains, own_pages);
    Ok(Tenant { workspace, verifier, webhooks, metrics, token_headers, frame_ancestors })
}

fn token_headers<'p>(places: impl Iterator<Item = &'p Place>) -> Vec<HeaderName> {
    places
        .filter_map(|place| match place {
            Place::Header(name) | Place::Bearer(name) => HeaderName::try_from(name.as_str()).ok(),
            Place::Document(_)
            | Place::Body(_)
            | Place::Field(_)
            | Place::Query(_)
            | Place::Cookie(_)
            | Place::Path(_) => None,
        })
        .collect()
}

/// One route for each operation, with the tenants that share it.
fn routes(tenants: &[Tenant]) -> Routes<Served> {
    let mut routes: Vec<(Arc<Operation>, Served)> = Vec::new();
    let mut places: HashMap<*const Operation, usize> = HashMap::new();
    for (index, tenant) in tenants.iter().enumerate() {
        for operation in &tenant.workspace.operations {
            let place = *places.entry(Arc::as_ptr(operation)).or_insert_with(|| {
                let guard = Guard::new(&tenant.workspace.profile, operation);
                routes.push((Arc::clone(operation), Served { guard, tenants: Vec::new() }));
                routes.len() - 1
            });
            if let Some((_, served)) = routes.get_mut(place) {
                served.tenants.push(index);
            }
        }
    }
    Routes::new(routes)
}
