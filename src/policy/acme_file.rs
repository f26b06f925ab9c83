//! `[acme]` of `gateway.toml`, and what a listener orders.

use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use url::Url;

use super::acme::{AcmeChallenge, AcmePolicy, ExternalAccount, ORDERED_NAMES_MAX, OrderedCertificate};
use super::finding::Findings;
use super::gateway::CertificateSource;
use super::keywords::keywords;
use super::reader::{Placed, Table, Value, quoted};
use super::secret::RawSecret;
use super::source::Source;
use super::trusted_domains::is_loopback;
use super::upstream_file::without_user;

/// Certificates by ACME (RFC 8555): who issues them, how, and where they are kept.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawAcme {
    /// The address of the authority's directory. There is no default: whom we trust with our names is said here.
    #[schemars(required, with = "Option<String>", extend("pattern" = "^https?://"))]
    directory: Option<Placed<Url>>,
    /// The authority's terms of service are read and agreed to.
    #[schemars(required)]
    terms_of_service: Option<Placed<Terms>>,
    /// A directory for the account, the keys and the certificates; made where there is none, for its owner alone.
    #[schemars(required)]
    store: Option<Placed<PathBuf>>,
    /// How control of a name is shown: on the TLS listener, which the authority reaches at port 443, or on `[plain]`, at port 80. Default:
    /// tls-alpn-01.
    challenge: Option<Placed<AcmeChallenge>>,
    /// Where the authority may write to, such as `mailto:ops@example.com`. Default: nowhere.
    #[schemars(length(max = 10))]
    contact: Option<Placed<Vec<Placed<String>>>>,
    /// PEM certificates of the authorities that vouch for the directory itself. Default: the system's.
    ca: Option<Placed<PathBuf>>,
    /// Which kind of certificate, by the authority's name of it, such as `shortlived`. Default: the authority's.
    profile: Option<Placed<String>>,
    /// For authorities that issue to their customers only (external account binding).
    eab: Option<Placed<RawExternalAccount>>,
}

/// What binds the account to that of a customer.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawExternalAccount {
    /// The authority's name of the key.
    #[schemars(required)]
    key_id: Option<Placed<String>>,
    /// The key, base64url, as the authority gives it.
    #[schemars(required)]
    secret: Option<RawSecret>,
}

/// The one thing that can be said of terms of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terms {
    Agreed,
}

keywords!(Terms: "agreed" => Terms::Agreed);
keywords!(AcmeChallenge: "tls-alpn-01" => AcmeChallenge::TlsAlpn01, "http-01" => AcmeChallenge::Http01);

/// Addresses to write to; nobody has more.
const CONTACTS_MAX: usize = 10;

/// A name on the wire (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

impl RawAcme {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            directory: table.required("directory", |value| without_user(value, parse_directory)),
            terms_of_service: table.required("terms_of_service", Value::keyword),
            store: table.required("store", Value::path),
            challenge: table.optional("challenge", Value::keyword),
            contact: table.optional("contact", read_contacts),
            ca: table.optional("ca", Value::path),
            profile: table.optional("profile", Value::text),
            eab: table.optional("eab", |value| {
                value.table(|table| RawExternalAccount {
                    key_id: table.required("key_id", Value::text),
                    secret: table.required("secret", RawSecret::read),
                })
            }),
        }
    }

    /// What it means. `has_plain`: there is a plain listener.
    pub(super) fn resolve(
        self,
        has_plain: bool,
        source: &Source,
        base: &Path,
        findings: &mut Findings,
    ) -> Option<AcmePolicy> {
        let Self { directory, terms_of_service, store, challenge, contact, ca, profile, eab } = self;
        if let Some(challenge) = &challenge
            && challenge.value == AcmeChallenge::Http01
            && !has_plain
        {
            findings
                .error(source, challenge.span.clone(), "`acme.challenge`: `http-01` is answered on the plain listener")
                .help("add `[plain]` with an address that the authority reaches at port 80, or use `tls-alpn-01`");
            return None;
        }
        let external_account = match eab {
            Some(Placed { value: RawExternalAccount { key_id, secret }, .. }) => {
                Some(ExternalAccount { key_id: key_id?.value, secret: secret?.resolve(base)? })
            }
            None => None,
        };
        let Placed { value: Terms::Agreed, .. } = terms_of_service?;
        Some(AcmePolicy {
            directory: directory?.value,
            ca: ca.map(|ca| base.join(ca.value)),
            contact: contact.map_or_else(Vec::new, |list| list.value.into_iter().map(|one| one.value).collect()),
            store: base.join(store?.value),
            challenge: challenge.map_or(AcmeChallenge::TlsAlpn01, |word| word.value),
            profile: profile.map(|profile| profile.value),
            external_account,
        })
    }
}

fn read_contacts(value: &Value<'_>) -> Option<Placed<Vec<Placed<String>>>> {
    let list = value.list(|value| value.parsed(parse_contact))?;
    if list.value.len() > CONTACTS_MAX {
        value.error(format!("expected at most {CONTACTS_MAX}, found {}", list.value.len()));
        return None;
    }
    Some(list)
}

/// The address of a directory: never in the clear over a network, where anybody could answer for the authority.
fn parse_directory(text: &str) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected the `https://` address of a directory, such as `https://acme-staging-v02.api.letsencrypt.org/directory`";
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url);
    if is_safe && url.host().is_some() && url.fragment().is_none() { Ok(url) } else { Err(EXPECTED) }
}

fn parse_contact(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "expected an address such as `mailto:ops@example.com`";
    let address = text.strip_prefix("mailto:").ok_or(EXPECTED)?;
    let (local, domain) = address.split_once('@').ok_or(EXPECTED)?;
    // RFC 8555 §7.3: one address, and nothing of what else such a URL may say.
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let is_one = is_plain(local) && is_plain(domain) && !address.contains(['?', ',', '&']) && !domain.contains('@');
    if is_one { Ok(text.to_owned()) } else { Err(EXPECTED) }
}

/// The names of one certificate.
pub(super) fn read_names(value: &Value<'_>) -> Option<Placed<Vec<Placed<String>>>> {
    let list = value.list(|value| value.parsed(parse_name))?;
    if value.is_empty_list() {
        value.error("expected at least one");
        return None;
    }
    if list.value.len() > ORDERED_NAMES_MAX {
        value.error(format!("expected at most {ORDERED_NAMES_MAX} names, found {}", list.value.len()));
        return None;
    }
    Some(list)
}

/// A host name as certificates have it.
fn parse_name(text: &str) -> Result<String, &'static str> {
    if text.starts_with('*') {
        return Err("a wildcard takes the challenge dns-01, which is not spoken here: name each host, or bring the \
                    certificate as files");
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Err("expected a host name; the certificate of an address comes as files");
    }
    if !text.is_ascii() {
        return Err("expected a host name in ASCII (`xn--…`)");
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("expected a host name in lower case");
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits alone makes an address of some spelling.
    let ends_well = text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label) && ends_well {
        Ok(text.to_owned())
    } else {
        Err("expected a host name such as `chat.example.com`")
    }
}

/// What `[acme]` says to the listeners, and what they have ordered so far.
pub(super) struct Orders<'a> {
    acme: Section<'a>,
    ordered: Vec<OrderedCertificate>,
}

/// `[acme]`, as far as it is known.
enum Section<'a> {
    Absent,
    /// Its mistakes are among the findings already.
    Broken,
    Good(&'a AcmePolicy),
}

impl<'a> Orders<'a> {
    /// `is_there`: the file has the section.
    pub(super) fn new(is_there: bool, acme: Option<&'a AcmePolicy>) -> Self {
        let acme = match acme {
            Some(acme) => Section::Good(acme),
            None if is_there => Section::Broken,
            None => Section::Absent,
        };
        Self { acme, ordered: Vec::new() }
    }

    /// What an entry `{ acme = [..] }` means: where the certificate will be, and what to order. `None` after a mistake.
    pub(super) fn order(
        &mut self,
        names: Placed<Vec<Placed<String>>>,
        source: &Source,
        findings: &mut Findings,
    ) -> Option<(CertificateSource, OrderedCertificate)> {
        let acme = match self.acme {
            Section::Good(acme) => acme,
            Section::Broken => return None,
            Section::Absent => {
                findings
                    .error(source, names.span, "a certificate by ACME needs `[acme]`")
                    .help("`[acme]` says who issues it: `directory`, `terms_of_service`, `store`");
                return None;
            }
        };
        let mut known: Vec<String> = Vec::new();
        for name in names.value {
            if known.contains(&name.value) {
                findings.error(source, name.span, format!("{} is here twice", quoted(&name.value)));
                return None;
            }
            known.push(name.value);
        }
        let first = known.first()?.clone();
        let file = acme.folder().join(format!("{first}.pem"));
        let order = OrderedCertificate { names: known, file: file.clone() };
        // Two listeners may show the same certificate, but one file holds only one.
        if self.ordered.iter().any(|other| other.file == order.file && *other != order) {
            findings
                .error(
                    source,
                    names.span,
                    format!("another certificate with other names begins with {}", quoted(&first)),
                )
                .help("the first name says where a certificate is kept: begin with another, or order the same names");
            return None;
        }
        if !self.ordered.contains(&order) {
            self.ordered.push(order.clone());
        }
        Some((CertificateSource { certificate: file.clone(), key: file }, order))
    }

    /// Whether somebody uses the section that stands at `span`.
    pub(super) fn finish(self, span: Range<usize>, source: &Source, findings: &mut Findings) {
        // Beside a mistake, which may be in the very entry, it would only be noise.
        if self.ordered.is_empty() && findings.error_count() == 0 {
            findings
                .warning(source, span, "`acme`: no listener orders a certificate")
                .help("`certificates = [{ acme = [\"chat.example.com\"] }]` in a listener does");
        }
    }
}

#[cfg(test)]
mod tests;
