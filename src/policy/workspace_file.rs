//! `workspaces/*.toml`: what the file says, and what it means.

mod addresses;
mod attributes;
mod identity;
mod key_sets;
mod keys;
mod routes;
pub(super) mod server;
mod webhooks;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use url::Host;

use self::addresses::RawAddresses;
use self::attributes::RawAttribute;
use self::identity::RawIdentity;
pub use self::key_sets::KEY_SETS_MAX;
use self::routes::RawRoute;
pub(super) use self::routes::share_a_call;
use self::server::RawServer;
use self::webhooks::RawWebhooks;
use super::address_lists::AddressLists;
use super::fetch_metadata::FetchMetadataRule;
use super::finding::Findings;
use super::keywords::keywords;
use super::rates_file::RawWorkspaceRates;
use super::reader::{self, Named, Placed, Value, closest, one_of, quoted};
use super::source::Source;
use super::trusted_domains::{TrustedDomain, TrustedDomains};
use super::workspace::{Admission, OnMisfit, OnReplace, ServerPolicy, Workspace};
use crate::decision::{Catalogue, Mode, Unlisted};
use crate::profile::Profile;

/// One tenant of the messenger: its domains, keys and attributes.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Countersign: a workspace", deny_unknown_fields)]
pub(super) struct RawWorkspace {
    /// What its messenger looks like on the wire: the name of a profile.
    #[schemars(required)]
    profile: Option<Placed<String>>,
    /// The ids by which requests name the workspace. Default: whatever reaches its hosts and paths is its own.
    app_ids: Option<Placed<Vec<Placed<String>>>>,
    /// The host names that it answers on, lower case, without port. Default: any.
    hosts: Option<Placed<Vec<Placed<String>>>>,
    /// The backend: a name of `[upstreams]` in `gateway.toml`.
    #[schemars(required)]
    upstream: Option<Placed<String>>,
    /// The ceiling over every lock below.
    #[schemars(required)]
    mode: Option<Placed<Mode>>,
    /// The web origins from which its widget may speak. An empty list trusts nobody.
    #[schemars(required, with = "Option<Vec<String>>")]
    trusted_domains: Option<Placed<Vec<Placed<TrustedDomain>>>>,
    /// A request without `Origin`: native applications send none.
    #[schemars(required)]
    missing_origin: Option<Placed<Admission>>,
    /// `Origin: null`: sandboxed frames send it. Default: refuse.
    null_origin: Option<Placed<Admission>>,
    /// A request that its browser's own words (`Sec-Fetch-…`) speak against. Default: enforce, so that it is refused.
    fetch_metadata: Option<Placed<FetchMetadataRule>>,
    /// What happens to attributes that are not listed below. Default: drop.
    unlisted: Option<Placed<Unlisted>>,
    /// What happens to unlisted attributes that a token signs. Default: drop.
    signed_unlisted: Option<Placed<SignedUnlisted>>,
    /// What a value of the wrong type costs: the attribute, or the whole request. Default: drop.
    on_misfit: Option<Placed<OnMisfit>>,
    /// Requests that clear all they do not name, while locked attributes are among those. Default: refuse.
    on_replace: Option<Placed<OnReplace>>,
    #[schemars(required)]
    identity: Option<Placed<RawIdentity>>,
    /// The workspace's own servers.
    server: Option<Placed<RawServer>>,
    /// The attributes that the workspace knows, each with its lock.
    #[schemars(with = "Option<BTreeMap<String, RawAttribute>>")]
    attributes: Option<Placed<Vec<Named<RawAttribute>>>>,
    rates: Option<Placed<RawWorkspaceRates>>,
    /// The calls of the profile `json`, which knows none of its own.
    routes: Option<Placed<Vec<Placed<RawRoute>>>>,
    /// From where requests may come. Default: from anywhere.
    addresses: Option<Placed<Vec<Placed<RawAddresses>>>>,
    webhooks: Option<Placed<RawWebhooks>>,
}

/// What a signed name may do that nobody listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignedUnlisted {
    Drop,
    Keep,
}

keywords!(SignedUnlisted: "drop" => SignedUnlisted::Drop, "keep" => SignedUnlisted::Keep);

/// Where in the file stands what findings of several files, and lints, speak of.
pub(super) struct Landmarks {
    pub(super) profile: Range<usize>,
    pub(super) app_ids: Vec<Placed<String>>,
    pub(super) trusted_domains: Range<usize>,
    pub(super) missing_origin: Range<usize>,
    pub(super) fetch_metadata: Range<usize>,
    pub(super) identity: Range<usize>,
    pub(super) server: Range<usize>,
    /// In the order of the catalogue.
    pub(super) attributes: Vec<Range<usize>>,
    pub(super) unlisted: Unlisted,
}

/// What a workspace may refer to.
pub(super) struct Surroundings<'a> {
    pub(super) profiles: &'a [Arc<Profile>],
    /// Profiles that are there and have mistakes of their own: to name one is no second mistake.
    pub(super) broken_profiles: &'a [String],
    /// `None` where `gateway.toml` cannot be read.
    pub(super) upstreams: Option<&'a [String]>,
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    pub(super) address_lists: &'a AddressLists,
}

impl RawWorkspace {
    /// Reads the file; `None` where it has syntax errors.
    pub(super) fn read(source: &Source, findings: &mut Findings) -> Option<Self> {
        reader::read(source, findings, |table| Self {
            profile: table.required("profile", Value::text),
            app_ids: table.optional("app_ids", |value| value.list(Value::text)),
            hosts: table.optional("hosts", |value| value.list(|value| value.parsed(parse_host))),
            upstream: table.required("upstream", Value::text),
            mode: table.required("mode", Value::keyword),
            trusted_domains: table.required("trusted_domains", |value| {
                value.list(|value| value.parsed(|text| TrustedDomain::try_from(text)))
            }),
            missing_origin: table.required("missing_origin", Value::keyword),
            null_origin: table.optional("null_origin", Value::keyword),
            fetch_metadata: table.optional("fetch_metadata", Value::keyword),
            unlisted: table.optional("unlisted", Value::keyword),
            signed_unlisted: table.optional("signed_unlisted", Value::keyword),
            on_misfit: table.optional("on_misfit", Value::keyword),
            on_replace: table.optional("on_replace", Value::keyword),
            identity: table.required("identity", |value| value.table(RawIdentity::read)),
            server: table.optional("server", |value| value.table(RawServer::read)),
            attributes: table.optional("attributes", |value| value.named_tables("attribute", RawAttribute::read)),
            rates: table.optional("rates", |value| value.table(RawWorkspaceRates::read)),
            routes: table.optional("routes", |value| value.list(|value| value.table(RawRoute::read))),
            addresses: table.optional("addresses", |value| value.list(|value| value.table(RawAddresses::read))),
            webhooks: table.optional("webhooks", |value| value.table(RawWebhooks::read)),
        })
    }

    /// The places of the file, which its meaning no longer knows.
    pub(super) fn landmarks(&self) -> Landmarks {
        fn place<T>(placed: Option<&Placed<T>>) -> Range<usize> {
            placed.map_or(0..0, |placed| placed.span.clone())
        }
        Landmarks {
            profile: place(self.profile.as_ref()),
            app_ids: self.app_ids.as_ref().map(|ids| ids.value.clone()).unwrap_or_default(),
            trusted_domains: place(self.trusted_domains.as_ref()),
            missing_origin: place(self.missing_origin.as_ref()),
            fetch_metadata: place(self.fetch_metadata.as_ref()),
            identity: place(self.identity.as_ref()),
            server: place(self.server.as_ref()),
            attributes: self
                .attributes
                .iter()
                .flat_map(|attributes| &attributes.value)
                .map(|attribute| attribute.name.span.clone())
                .collect(),
            unlisted: self.unlisted.as_ref().map_or(Unlisted::Drop, |word| word.value),
        }
    }

    /// What the file means. `None` after a mistake that is already among the findings.
    pub(super) fn resolve(
        self,
        source: &Source,
        surroundings: &Surroundings<'_>,
        findings: &mut Findings,
    ) -> Option<Workspace> {
        let Self {
            profile,
            app_ids,
            hosts,
            upstream,
            mode,
            trusted_domains,
            missing_origin,
            null_origin,
            fetch_metadata,
            unlisted,
            signed_unlisted,
            on_misfit,
            on_replace,
            identity,
            server,
            attributes,
            rates,
            routes,
            addresses,
            webhooks,
        } = self;
        let server = match server {
            Some(server) => server.value.resolve(),
            None => Some(ServerPolicy::default()),
        };
        let routes = routes.map(|routes| routes::resolve(routes, source, findings));
        let upstream = upstream.and_then(|upstream| find_upstream(upstream, source, surroundings, findings));
        let rates = rates.map(|rates| rates.value).unwrap_or_default().resolve(source, findings);
        let identity = identity.and_then(|identity| identity.value.resolve(source, surroundings.base, findings));
        let profile = find_profile(profile?, source, surroundings, findings)?;
        let operations = routes::of_profile(&profile, routes, source, findings);
        let addresses = addresses.map(|addresses| addresses.value).unwrap_or_default();
        let known = operations.as_deref().unwrap_or_default();
        let addresses = addresses::resolve(addresses, known, surroundings.address_lists, source, findings);
        let webhooks = webhooks::resolve(webhooks, known, source, surroundings.base, findings);
        let attributes = attributes.map(|attributes| attributes.value).unwrap_or_default();
        let attributes = attributes::resolve(attributes, &profile, source, findings);
        let catalogue = Catalogue::new(
            mode?.value,
            unlisted.map_or(Unlisted::Drop, |word| word.value),
            match signed_unlisted.map_or(SignedUnlisted::Drop, |word| word.value) {
                SignedUnlisted::Drop => Unlisted::Drop,
                SignedUnlisted::Keep => Unlisted::Keep,
            },
            profile.folding.clone(),
            &profile.aliases,
            attributes?,
        );
        if let Err(error) = &catalogue {
            findings.error(source, source.line_at(0), error.to_string());
        }
        let trusted_domains = trusted_domains?;
        let trusted_domains_at = source.file_line(trusted_domains.span.start);
        let domains = trusted_domains.value.into_iter().map(|domain| domain.value).collect();
        Some(Workspace {
            id: source.stem().to_owned(),
            app_ids: plain(app_ids),
            hosts: plain(hosts),
            upstream: upstream?,
            trusted_domains: TrustedDomains::new(domains),
            trusted_domains_at,
            missing_origin: missing_origin?.value,
            null_origin: null_origin.map_or(Admission::Refuse, |word| word.value),
            fetch_metadata: fetch_metadata.map_or_else(FetchMetadataRule::default, |word| word.value),
            identity: identity?,
            server: server?,
            catalogue: catalogue.ok()?,
            on_misfit: on_misfit.map_or(OnMisfit::Drop, |word| word.value),
            on_replace: on_replace.map_or(OnReplace::Refuse, |word| word.value),
            rates: rates?,
            operations: operations?,
            addresses: addresses?,
            webhooks: webhooks?,
            profile,
        })
    }
}

fn plain(list: Option<Placed<Vec<Placed<String>>>>) -> Vec<String> {
    list.map(|list| list.value.into_iter().map(|item| item.value).collect()).unwrap_or_default()
}

fn find_profile(
    name: Placed<String>,
    source: &Source,
    surroundings: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<Arc<Profile>> {
    if let Some(profile) = surroundings.profiles.iter().find(|profile| profile.id == name.value) {
        return Some(Arc::clone(profile));
    }
    if !surroundings.broken_profiles.contains(&name.value) {
        let known = || surroundings.profiles.iter().map(|profile| profile.id.as_str());
        let finding =
            findings.error(source, name.span, format!("`profile`: there is no profile {}", quoted(&name.value)));
        finding.help(did_you_mean(&name.value, known()));
    }
    None
}

fn find_upstream(
    name: Placed<String>,
    source: &Source,
    surroundings: &Surroundings<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let known = surroundings.upstreams?;
    if known.contains(&name.value) {
        return Some(name.value);
    }
    let message = format!("`upstream`: `gateway.toml` has no upstream {}", quoted(&name.value));
    findings.error(source, name.span, message).help(did_you_mean(&name.value, known.iter().map(String::as_str)));
    None
}

fn did_you_mean<'w>(word: &str, known: impl Iterator<Item = &'w str> + Clone) -> String {
    match closest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there is {}", one_of(known)),
    }
}

/// Takes only the spelling in which `Host` is compared: lower case, punycode, no port.
fn parse_host(text: &str) -> Result<String, String> {
    match Host::parse(text) {
        Ok(host) if host.to_string() == text && !text.ends_with('.') => Ok(text.to_owned()),
        Ok(host) => Err(format!("expected the spelling `{}`", host.to_string().trim_end_matches('.'))),
        Err(_) => Err("expected a host name without port".to_owned()),
    }
}

#[cfg(test)]
mod tests;
