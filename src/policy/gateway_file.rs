//! `gateway.toml`: what the file says, and what it means.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;

use super::acme_file::{self, Orders, RawAcme};
use super::client_address_file::RawClientAddress;
use super::domains_file::RawDomains;
use super::finding::Findings;
use super::gateway::{AdminListener, AuditSettings, CertificateSource, Gateway, Listener, PlainListener, ReadBack};
use super::hsts::Hsts;
use super::limits_file::{RawLimits, positive_bytes};
use super::listener_tls::Ocsp;
use super::listener_tls_file::{self, RawClientCertificates, RawTickets};
use super::proxy_protocol_file::{self, RawProxyProtocol};
use super::rates_file::RawRates;
use super::reader::{self, Named, Placed, Table, Value, quoted};
use super::schemas::{Address, Count, DurationText, Size};
use super::secret::RawSecret;
use super::source::Source;
use super::state_file::RawState;
use super::tls_floor::TlsGrade;
use super::upstream_file::RawUpstream;

/// The process: its listeners, backends, limits and audit.
#[derive(Debug, JsonSchema)]
#[schemars(title = "Countersign: gateway.toml", deny_unknown_fields)]
pub(super) struct RawGateway {
    /// Whether what leaves is parsed again and compared with the judgement.
    read_back: Option<Placed<ReadBack>>,
    /// A directory for the sets of keys that were fetched, so that a restart knows them also while their issuer is gone. Default: none.
    key_cache: Option<Placed<PathBuf>>,
    /// The grade by the rules of SSL Labs that every listener has at least; less does not start, and is not reloaded. Default: A.
    tls_floor: Option<Placed<TlsGrade>>,
    /// Where browsers connect.
    #[schemars(required, length(min = 1))]
    listeners: Option<Placed<Vec<Placed<RawListener>>>>,
    plain: Option<Placed<RawPlain>>,
    admin: Option<Placed<RawAdmin>>,
    /// The backends, each under the name by which workspaces call it.
    #[schemars(required, with = "Option<BTreeMap<String, RawUpstream>>")]
    upstreams: Option<Placed<Vec<Named<RawUpstream>>>>,
    hsts: Option<Placed<RawHsts>>,
    limits: Option<Placed<RawLimits>>,
    rates: Option<Placed<RawRates>>,
    audit: Option<Placed<RawAudit>>,
    state: Option<Placed<RawState>>,
    client_address: Option<Placed<RawClientAddress>>,
    acme: Option<Placed<RawAcme>>,
    domains: Option<Placed<RawDomains>>,
}

/// A TLS listener.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawListener {
    /// What records and metrics call it.
    #[schemars(required)]
    name: Option<Placed<String>>,
    /// The address and port to listen on.
    #[schemars(required, with = "Option<Address>")]
    address: Option<Placed<SocketAddr>>,
    /// The name that a client asks for (SNI) picks one.
    #[schemars(required, length(min = 1))]
    certificates: Option<Placed<Vec<Placed<RawCertificate>>>>,
    proxy_protocol: Option<Placed<RawProxyProtocol>>,
    /// Default: the process draws keys of its own.
    tickets: Option<Placed<RawTickets>>,
    /// Default: none are asked for.
    client_certificates: Option<Placed<RawClientCertificates>>,
    /// Whether the issuer's word that a certificate is not revoked is fetched and shown. Default: on.
    ocsp: Option<Placed<Ocsp>>,
}

/// A certificate chain and its key, both PEM, relative to the directory of the policies; or the names of one that `[acme]` orders.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{ "required": ["certificate", "key"] }, { "required": ["acme"] }]))]
struct RawCertificate {
    certificate: Option<Placed<PathBuf>>,
    key: Option<Placed<PathBuf>>,
    /// Host names of one certificate; the first says where it is kept.
    #[schemars(length(min = 1, max = 100))]
    acme: Option<Placed<Vec<Placed<String>>>>,
}

/// Plain HTTP: answers with a redirect to `https:` and nothing else.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawPlain {
    #[schemars(required, with = "Option<Address>")]
    address: Option<Placed<SocketAddr>>,
    /// The port that the redirect names. Default: 443.
    redirect_port: Option<Placed<u16>>,
    proxy_protocol: Option<Placed<RawProxyProtocol>>,
}

/// Health, metrics and revocations, for this machine alone.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawAdmin {
    /// A loopback address and a port.
    #[schemars(required, with = "Option<Address>")]
    address: Option<Placed<SocketAddr>>,
    /// What whoever makes a revocation must show. Default: nobody may.
    token: Option<Placed<RawSecret>>,
}

/// `Strict-Transport-Security` (RFC 6797).
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawHsts {
    /// How long browsers remember; `"0s"` tells them to forget. Default: two years.
    #[schemars(with = "Option<DurationText>")]
    max_age: Option<Placed<Duration>>,
    /// Default: false.
    include_subdomains: Option<Placed<bool>>,
    /// Default: false. Needs a year and the subdomains.
    preload: Option<Placed<bool>>,
}

/// Where decisions are recorded.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawAudit {
    /// Default: standard output.
    file: Option<Placed<PathBuf>>,
    /// The size at which a new file begins. Default: 64 MiB.
    #[schemars(with = "Option<Size>")]
    rotate: Option<Placed<u64>>,
    /// How many full files stay. Default: 10.
    keep: Option<Placed<usize>>,
    /// How many records may wait for the disk. Default: 10000.
    #[schemars(with = "Option<Count>")]
    queue_records_max: Option<Placed<usize>>,
    /// The key of the hashes that stand for subjects. Default: made at start, so that hashes of two runs differ.
    subject_key: Option<RawSecret>,
}

/// More of anything are slips of the keyboard.
const COUNT_MAX: usize = 1_000_000_000;

impl RawGateway {
    /// Reads the file; `None` where it has syntax errors.
    pub(super) fn read(source: &Source, findings: &mut Findings) -> Option<Self> {
        reader::read(source, findings, |table| Self {
            read_back: table.optional("read_back", Value::keyword),
            key_cache: table.optional("key_cache", Value::path),
            tls_floor: table.optional("tls_floor", Value::keyword),
            listeners: table.required("listeners", |value| at_least_one(value, RawListener::read)),
            plain: table.optional("plain", |value| value.table(RawPlain::read)),
            admin: table.optional("admin", |value| value.table(RawAdmin::read)),
            upstreams: table.required("upstreams", |value| value.named_tables("upstream", RawUpstream::read)),
            hsts: table.optional("hsts", |value| value.table(RawHsts::read)),
            limits: table.optional("limits", |value| value.table(RawLimits::read)),
            rates: table.optional("rates", |value| value.table(RawRates::read)),
            audit: table.optional("audit", |value| value.table(RawAudit::read)),
            state: table.optional("state", |value| value.table(RawState::read)),
            client_address: table.optional("client_address", |value| value.table(RawClientAddress::read)),
            acme: table.optional("acme", |value| value.table(RawAcme::read)),
            domains: table.optional("domains", |value| value.table(RawDomains::read)),
        })
    }

    /// The names of the upstreams, also of those with mistakes.
    pub(super) fn upstream_names(&self) -> Vec<String> {
        self.upstreams.iter().flat_map(|upstreams| &upstreams.value).map(|named| named.name.value.clone()).collect()
    }

    /// What the file means; relative paths are below `base`. `None` after a mistake that is already among the findings.
    pub(super) fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<Gateway> {
        let Self {
            read_back,
            key_cache,
            tls_floor,
            listeners,
            plain,
            admin,
            upstreams,
            hsts,
            limits,
            rates,
            audit,
            state,
            client_address,
            acme,
            domains,
        } = self;
        let acme_at = acme.as_ref().map(|acme| acme.span.clone());
        let acme = acme.map(|acme| acme.value.resolve(plain.is_some(), source, base, findings));
        let mut orders = Orders::new(acme.is_some(), acme.as_ref().and_then(Option::as_ref));
        let listeners =
            listeners.map(|listeners| resolve_listeners(listeners.value, &mut orders, source, base, findings));
        if let Some(span) = acme_at {
            orders.finish(span, source, findings);
        }
        let plain = plain.map(|plain| plain.value.resolve());
        let state = state.map(|state| state.value).unwrap_or_default().resolve(base);
        if let Some(token) = admin.as_ref().and_then(|admin| admin.value.token.as_ref())
            && state.directory.is_none()
        {
            let message = "`admin.token`: revocations end with the process";
            findings.warning(source, token.span.clone(), message).help("`directory` in `[state]` keeps them");
        }
        let admin = admin.map(|admin| admin.value.resolve(source, base, findings));
        let upstreams = upstreams.map(|upstreams| {
            let resolve = |named: Named<RawUpstream>| named.value.resolve(named.name, source, base, findings);
            upstreams.value.into_iter().map(resolve).collect::<Vec<_>>()
        });
        let hsts = match hsts {
            Some(hsts) => hsts.value.resolve(hsts.span, source, findings),
            None => Some(Hsts::default()),
        };
        let audit = audit.map(|audit| audit.value).unwrap_or_default().resolve(base);
        let client_address = client_address.map(|table| table.value.resolve());
        let domains = domains.map(|domains| domains.value.resolve(base));
        let rates = rates.map(|rates| rates.value).unwrap_or_default().resolve(source, findings);
        let limits_span = limits.as_ref().map(|limits| limits.span.clone()).unwrap_or_default();
        let limits = limits.map(|limits| limits.value).unwrap_or_default().resolve();
        if !limits.longest_body_fits() {
            let message = "`limits`: a body of `body_bytes_max` never finds room in `buffered_bytes_max`";
            findings.warning(source, limits_span, message).help("`buffered_bytes_max` of six times as much");
        }
        Some(Gateway {
            listeners: listeners?.into_iter().collect::<Option<_>>()?,
            plain: all_or_nothing(plain)?,
            admin: all_or_nothing(admin)?,
            upstreams: upstreams?.into_iter().collect::<Option<_>>()?,
            hsts: hsts?,
            limits,
            rates: rates?,
            audit: audit?,
            state,
            client_address: all_or_nothing(client_address)?,
            acme: all_or_nothing(acme)?,
            read_back: read_back.map_or(ReadBack::On, |word| word.value),
            key_cache: key_cache.map(|directory| base.join(directory.value)),
            tls_floor: tls_floor.map_or_else(TlsGrade::default, |grade| grade.value),
            domains: all_or_nothing(domains)?,
        })
    }
}

/// An absent section is fine, a broken one is not.
#[expect(clippy::option_option, reason = "the outer is whether the section is there, the inner whether it makes sense")]
fn all_or_nothing<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    section.map_or(Some(None), |made| made.map(Some))
}

type Listed<T> = Placed<Vec<Placed<T>>>;

fn at_least_one<'a, T>(value: &Value<'a>, fill: fn(&mut Table<'a>) -> T) -> Option<Listed<T>> {
    let list = value.list(|value| value.table(fill))?;
    if value.is_empty_list() {
        value.error("expected at least one");
    }
    Some(list)
}

impl RawListener {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            name: table.required("name", Value::text),
            address: table.required("address", Value::socket_address),
            certificates: table.required("certificates", |value| at_least_one(value, RawCertificate::read)),
            proxy_protocol: table.optional("proxy_protocol", |value| value.table(RawProxyProtocol::read)),
            tickets: table.optional("tickets", |value| value.table(RawTickets::read)),
            client_certificates: table
                .optional("client_certificates", |value| value.table(RawClientCertificates::read)),
            ocsp: table.optional("ocsp", Value::keyword),
        }
    }

    fn resolve(
        self,
        orders: &mut Orders<'_>,
        source: &Source,
        base: &Path,
        findings: &mut Findings,
    ) -> Option<Listener> {
        let Self { name, address, certificates, proxy_protocol, tickets, client_certificates, ocsp } = self;
        let tls = listener_tls_file::resolve(tickets, client_certificates, ocsp, source, base, findings);
        let mut ordered = Vec::new();
        let mut resolve = |certificate: Placed<RawCertificate>| {
            let RawCertificate { certificate, key, acme } = certificate.value;
            match acme {
                Some(names) => {
                    let (source, order) = orders.order(names, source, findings)?;
                    ordered.push(order);
                    Some(source)
                }
                None => {
                    Some(CertificateSource { certificate: base.join(certificate?.value), key: base.join(key?.value) })
                }
            }
        };
        // All of them, so that each mistake is found.
        let certificates: Vec<_> = certificates?.value.into_iter().map(&mut resolve).collect();
        Some(Listener {
            tls: tls?,
            name: name?.value,
            address: address?.value,
            certificates: certificates.into_iter().collect::<Option<_>>()?,
            ordered,
            proxy_protocol: proxy_protocol_file::resolve(proxy_protocol)?,
        })
    }
}

impl RawCertificate {
    fn read(table: &mut Table<'_>) -> Self {
        if !table.has("acme") {
            let (certificate, key) = (table.required("certificate", Value::path), table.required("key", Value::path));
            return Self { certificate, key, acme: None };
        }
        if table.has("certificate") || table.has("key") {
            table.error(table.span(), "expected either `acme`, or `certificate` and `key`");
        }
        Self {
            certificate: table.optional("certificate", Value::path),
            key: table.optional("key", Value::path),
            acme: table.optional("acme", acme_file::read_names),
        }
    }
}

fn resolve_listeners(
    raw: Vec<Placed<RawListener>>,
    orders: &mut Orders<'_>,
    source: &Source,
    base: &Path,
    findings: &mut Findings,
) -> Vec<Option<Listener>> {
    let mut names: Vec<String> = Vec::new();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for listener in &raw {
        if let Some(name) = &listener.value.name {
            if names.contains(&name.value) {
                findings.error(source, name.span.clone(), format!("two listeners are called {}", quoted(&name.value)));
            }
            names.push(name.value.clone());
        }
        if let Some(address) = &listener.value.address {
            // The system picks another port for each `:0`.
            if address.value.port() != 0 && addresses.contains(&address.value) {
                findings.error(
                    source,
                    address.span.clone(),
                    format!("two listeners have the address `{}`", address.value),
                );
            }
            addresses.push(address.value);
        }
    }
    raw.into_iter().map(|listener| listener.value.resolve(orders, source, base, findings)).collect()
}

impl RawPlain {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            address: table.required("address", Value::socket_address),
            redirect_port: table.optional("redirect_port", |value| value.integer(1..=u16::MAX)),
            proxy_protocol: table.optional("proxy_protocol", |value| value.table(RawProxyProtocol::read)),
        }
    }

    fn resolve(self) -> Option<PlainListener> {
        let Self { address, redirect_port, proxy_protocol } = self;
        Some(PlainListener {
            address: address?.value,
            redirect_port: redirect_port.map_or(443, |port| port.value),
            proxy_protocol: proxy_protocol_file::resolve(proxy_protocol)?,
        })
    }
}

impl RawAdmin {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            address: table.required("address", Value::socket_address),
            token: table.optional("token", |value| Some(Placed { value: RawSecret::read(value)?, span: value.span() })),
        }
    }

    fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<AdminListener> {
        let Self { address, token } = self;
        let address = address?;
        if !address.value.ip().is_loopback() {
            findings
                .error(
                    source,
                    address.span,
                    format!("`admin.address`: expected a loopback address, found `{}`", address.value),
                )
                .help("whoever reaches this listener sees health and metrics without a password");
            return None;
        }
        let token = match token {
            Some(token) => Some(token.value.resolve(base)?),
            None => None,
        };
        Some(AdminListener { address: address.value, token })
    }
}

impl RawHsts {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            max_age: table.optional("max_age", Value::duration),
            include_subdomains: table.optional("include_subdomains", Value::boolean),
            preload: table.optional("preload", Value::boolean),
        }
    }

    fn resolve(self, span: std::ops::Range<usize>, source: &Source, findings: &mut Findings) -> Option<Hsts> {
        let Self { max_age, include_subdomains, preload } = self;
        let place = preload.as_ref().map_or(span, |preload| preload.span.clone());
        let is_set = |flag: Option<Placed<bool>>| flag.is_some_and(|flag| flag.value);
        let max_age = max_age.map_or(Hsts::default().max_age(), |age| age.value);
        match Hsts::new(max_age, is_set(include_subdomains), is_set(preload)) {
            Ok(hsts) => Some(hsts),
            Err(error) => {
                findings.error(source, place, format!("`hsts`: {error}"));
                None
            }
        }
    }
}

impl RawAudit {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            file: table.optional("file", Value::path),
            rotate: table.optional("rotate", positive_bytes),
            keep: table.optional("keep", |value| value.integer(0..=10_000)),
            queue_records_max: table.optional("queue_records_max", |value| value.integer(1..=COUNT_MAX)),
            subject_key: table.optional("subject_key", RawSecret::read),
        }
    }

    fn resolve(self, base: &Path) -> Option<AuditSettings> {
        let Self { file, rotate, keep, queue_records_max, subject_key } = self;
        Some(AuditSettings {
            file: file.map(|file| base.join(file.value)),
            rotate_bytes: rotate.map_or(64 * 1024 * 1024, |size| size.value),
            keep: keep.map_or(10, |keep| keep.value),
            queue_records_max: queue_records_max.map_or(10_000, |count| count.value),
            subject_key: match subject_key {
                Some(key) => Some(key.resolve(base)?),
                None => None,
            },
        })
    }
}

#[cfg(test)]
mod tests;
