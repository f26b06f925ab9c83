//! The keys of `[[listeners]]` that are about TLS: `tickets`, `client_certificates`, `ocsp`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use super::finding::Findings;
use super::keywords::keywords;
use super::listener_tls::{ClientCertificates, Demand, ListenerTls, Ocsp};
use super::reader::{Placed, Table, Value};
use super::source::Source;

/// The keys of session tickets.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawTickets {
    /// One to three secrets, a line each: `openssl rand -base64 48`. The first seals, all of them open.
    #[schemars(required)]
    file: Option<Placed<PathBuf>>,
}

/// Certificates of clients (mTLS).
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawClientCertificates {
    /// Whether a client must show one.
    #[schemars(required)]
    mode: Option<Placed<RawDemand>>,
    /// PEM of the authorities that may have issued it.
    ca: Option<Placed<Vec<Placed<PathBuf>>>>,
    /// PEM of their lists of revoked certificates: one of each authority, none of them out of date. Default: nothing is revoked.
    crl: Option<Placed<Vec<Placed<PathBuf>>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RawDemand {
    Required,
    Optional,
    Off,
}

keywords!(RawDemand: "required" => RawDemand::Required, "optional" => RawDemand::Optional, "off" => RawDemand::Off);
keywords!(Ocsp: "on" => Ocsp::On, "off" => Ocsp::Off);

impl RawTickets {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self { file: table.required("file", Value::path) }
    }
}

impl RawClientCertificates {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            mode: table.required("mode", Value::keyword),
            ca: table.optional("ca", |value| value.list(Value::path)),
            crl: table.optional("crl", |value| value.list(Value::path)),
        }
    }

    /// What it means. `None` after a mistake that is already among the findings.
    pub(super) fn resolve(
        self,
        span: std::ops::Range<usize>,
        source: &Source,
        base: &Path,
        findings: &mut Findings,
    ) -> Option<ClientCertificates> {
        let Self { mode, ca, crl } = self;
        let demand = match mode?.value {
            RawDemand::Off => return Some(ClientCertificates::Off),
            RawDemand::Required => Demand::Required,
            RawDemand::Optional => Demand::Optional,
        };
        let files = |list: Option<Placed<Vec<Placed<PathBuf>>>>| {
            list.into_iter().flat_map(|list| list.value).map(|file| base.join(file.value)).collect::<Vec<_>>()
        };
        let span = ca.as_ref().map_or(span, |ca| ca.span.clone());
        let (ca, crl) = (files(ca), files(crl));
        if ca.is_empty() {
            findings
                .error(source, span, "`client_certificates.ca`: expected at least one file of authorities")
                .help("without one nobody's certificate holds; `mode = \"off\"` asks for none");
            return None;
        }
        Some(ClientCertificates::Asked { demand, ca, crl })
    }
}

/// The three keys together. `None` after a mistake that is already among the findings.
pub(super) fn resolve(
    tickets: Option<Placed<RawTickets>>,
    client_certificates: Option<Placed<RawClientCertificates>>,
    ocsp: Option<Placed<Ocsp>>,
    source: &Source,
    base: &Path,
    findings: &mut Findings,
) -> Option<ListenerTls> {
    let client_certificates = match client_certificates {
        Some(raw) => raw.value.resolve(raw.span, source, base, findings),
        None => Some(ClientCertificates::Off),
    };
    let tickets = match tickets {
        Some(raw) => Some(base.join(raw.value.file?.value)),
        None => None,
    };
    Some(ListenerTls {
        tickets,
        client_certificates: client_certificates?,
        ocsp: ocsp.map_or(Ocsp::On, |word| word.value),
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{GATEWAY, lines, read, with};
    use super::*;

    /// What the keys of a listener mean, or the mistakes in them, one line each.
    #[track_caller]
    fn check(keys: &str, expected: Result<ListenerTls, &[&str]>) {
        let (set, findings) = read(&with(GATEWAY, "[[listeners]]\n", &format!("[[listeners]]\n{keys}\n")), &[]);
        match expected {
            Ok(tls) => assert_eq!(set.unwrap_or_else(|| panic!("{findings:?}")).gateway.listeners[0].tls, tls),
            Err(expected) => {
                let found = lines(&findings);
                let is_so = |(found, expected): (&String, &&str)| found.contains(expected);
                assert!(found.len() == expected.len() && found.iter().zip(expected).all(is_so), "{found:?}");
            }
        }
    }

    #[test]
    fn what_is_not_said_is_neither_shared_nor_asked() {
        check("", Ok(ListenerTls { tickets: None, client_certificates: ClientCertificates::Off, ocsp: Ocsp::On }));
    }

    #[test]
    fn files_are_below_the_policies() {
        let keys = r#"
            tickets = { file = "tickets.keys" }
            client_certificates = { mode = "optional", ca = ["a.pem", "/b.pem"], crl = ["a.crl"] }
            ocsp = "off"
        "#;
        let client_certificates = ClientCertificates::Asked {
            demand: Demand::Optional,
            ca: vec!["policies/a.pem".into(), "/b.pem".into()],
            crl: vec!["policies/a.crl".into()],
        };
        let tls = ListenerTls { tickets: Some("policies/tickets.keys".into()), client_certificates, ocsp: Ocsp::Off };
        let named: Vec<_> = tls.files().map(|path| path.display().to_string()).collect();
        assert_eq!(named, ["policies/tickets.keys", "policies/a.pem", "/b.pem", "policies/a.crl"]);
        check(keys, Ok(tls));
        let off = ListenerTls::default();
        check(r#"client_certificates = { mode = "off", ca = ["a.pem"] }"#, Ok(off));
    }

    #[test]
    fn mistakes_are_said() {
        let no_authority = "`client_certificates.ca`: expected at least one file of authorities";
        check(r#"client_certificates = { mode = "required" }"#, Err(&[no_authority]));
        check(r#"client_certificates = { mode = "required", ca = [] }"#, Err(&[no_authority]));
        check(
            r#"client_certificates = { ca = ["a.pem"] }"#,
            Err(&["`listeners[0].client_certificates.mode` is missing"]),
        );
        check(r"tickets = { }", Err(&["`listeners[0].tickets.file` is missing"]));
        check(r#"tickets = "tickets.keys""#, Err(&["`listeners[0].tickets`: expected a table"]));
        check(
            r#"client_certificates = { mode = "always", ca = ["a.pem"] }"#,
            Err(&["`listeners[0].client_certificates.mode`: expected `required`, `optional` or `off`"]),
        );
        check(
            r#"tickets = { flie = "tickets.keys" }"#,
            Err(&["`listeners[0].tickets.file` is missing", "did you mean `file`?"]),
        );
    }
}
