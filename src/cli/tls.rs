//! `countersign tls`: what strangers see of a TLS listener, and what it is worth.

mod report;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use url::{Host, Url};

use self::report::{Listened, Report};
use super::Failure;
use crate::clock;
use crate::edge::certificates::{CertificateError, Certificates};
use crate::policy::{Gateway, Listener, TlsGrade, parse_duration};
use crate::survey::{
    Asked, Authorities, AuthoritiesError, Connecting, Facts, HstsFacts, Resolve, Shown, SurveyError, ask, grade,
    of_configuration,
};

#[derive(Args)]
#[command(after_help = "Example:\n  countersign tls check --policies policies")]
pub struct Arguments {
    #[command(subcommand)]
    command: Tls,
}

#[derive(Subcommand)]
enum Tls {
    /// Grade a server, or the listeners of `gateway.toml`, by the public rules of SSL Labs.
    Check(Box<Check>),
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  countersign tls check --policies policies\n  countersign tls check gateway.example.com\n\nWithout HOST nothing has to run: the listeners are graded by their configuration, and those that run are asked too. It takes some fifty connections, and a few hundred to a server that accepts everything; nothing is sent but hellos and one `GET /`. A gateway that is asked counts them among its failed handshakes. Exit code 0: the grade is the floor or better; 1: it is lower; 2: broken input, or nobody answers."
)]
struct Check {
    /// Whom to ask: a name or address, perhaps with a port (443); the listeners of the policies by default.
    #[arg(value_name = "HOST[:PORT]")]
    host: Option<String>,
    /// The directory with `gateway.toml`.
    #[arg(long, env = "COUNTERSIGN_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// PEM of the authorities to believe; the system's by default.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where the name is found, for this run: may be given more than once.
    #[arg(long, value_name = "HOST=ADDRESS[:PORT]")]
    resolve: Vec<Resolve>,
    /// Connect there, and ask for HOST all the same.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "host")]
    connect: Option<SocketAddr>,
    /// The lowest grade that is fine; `tls_floor` of `gateway.toml` by default, or `A` for HOST.
    #[arg(long, value_name = "GRADE", value_parser = grade_of)]
    floor: Option<TlsGrade>,
    /// For each question.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

/// The grade is below the floor.
const FOUND: u8 = 1;

#[derive(Debug, thiserror::Error)]
enum TlsCommandError {
    #[error("expected a host name or address, perhaps with a port, found `{0}`")]
    Host(String),
    #[error("`{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}`: {source}", path.display())]
    Authorities { path: PathBuf, source: AuthoritiesError },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Certificates(Vec<CertificateError>),
}

fn grade_of(text: &str) -> Result<TlsGrade, String> {
    crate::policy::Keyword::WORDS
        .iter()
        .find(|(word, _): &&(&str, TlsGrade)| word.eq_ignore_ascii_case(text))
        .map(|(_, grade)| *grade)
        .ok_or_else(|| "expected one of A+, A, A-, B, C, D, E, F".to_owned())
}

/// Whom a command believes: a file's authorities, or else the system's.
pub(super) fn authorities(ca: Option<&PathBuf>) -> Result<Authorities, Failure> {
    let Some(path) = ca else { return Ok(Authorities::system()?) };
    let pem = fs::read(path).map_err(|source| TlsCommandError::Read { path: path.clone(), source })?;
    Ok(Authorities::of_pem(&pem).map_err(|source| TlsCommandError::Authorities { path: path.clone(), source })?)
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Tls::Check(check) = &arguments.command;
    let authorities = match authorities(check.ca.as_ref()) {
        // A small container knows nobody. Of our own listeners trust decides nothing, so that need not be a mistake.
        Err(_) if check.ca.is_none() && check.host.is_none() => Authorities::Unasked,
        authorities => authorities?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut reports = Vec::new();
    if let Some(host) = &check.host {
        reports.push(runtime.block_on(check.of_host(host, &authorities))?);
    } else {
        let gateway = super::admin_client::gateway(&check.policies)?;
        for listener in &gateway.listeners {
            reports.push(runtime.block_on(check.of_listener(listener, &gateway, &authorities))?);
        }
    }
    // A name that is being looked up holds nobody up.
    runtime.shutdown_background();
    if check.json {
        anstream::println!("{}", serde_json::to_string_pretty(&report::json(&reports))?);
    } else {
        anstream::print!("{}", report::render(&reports));
    }
    Ok(if reports.iter().all(Report::is_fine) { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

impl Check {
    async fn of_host(&self, text: &str, authorities: &Authorities) -> Result<Report, Failure> {
        let (host, port) = host_of(text).ok_or_else(|| TlsCommandError::Host(text.to_owned()))?;
        let connecting = Connecting { host: &host, port, resolve: &self.resolve };
        let (address, facts) = self.ask(connecting, self.connect, &host, authorities).await?;
        let graded = grade(&facts);
        // Whoever is not believed is not reached.
        let floor = self.floor.unwrap_or_default();
        let is_fine = match graded.shown {
            Shown::Letter(letter) => letter >= floor,
            Shown::Untrusted | Shown::Mismatch => false,
        };
        Ok(Report { of: format!("{host}:{port}"), listened: Listened::At(address), facts, graded, floor, is_fine })
    }

    /// By its configuration, and by what it says where it runs: the lower of the two.
    async fn of_listener(
        &self,
        listener: &Listener,
        gateway: &Gateway,
        authorities: &Authorities,
    ) -> Result<Report, Failure> {
        let now = clock::now_seconds();
        let certificates = Certificates::load(&listener.certificates, now).map_err(TlsCommandError::Certificates)?;
        let configured = of_configuration(&certificates, &gateway.hsts, authorities, now.0);
        let names = configured.certificates.first().map_or(&[][..], |certificate| &certificate.names);
        // A star stands for any label.
        let name = names.first().map_or_else(|| "localhost".to_owned(), |name| name.replacen("*.", "check.", 1));
        let (mut facts, mut listened) = (configured, Listened::Nowhere);
        if listener.proxy_protocol.is_some() {
            // Without a balancer's header it closes, whoever connects: that says nothing of its TLS.
            listened = Listened::Otherwise("only its balancers may speak first (`proxy_protocol`)".to_owned());
        } else if listener.address.port() != 0 {
            let address = on_this_machine(listener.address);
            let connecting = Connecting { host: &name, port: address.port(), resolve: &[] };
            match self.ask(connecting, Some(address), &name, authorities).await {
                Ok((_, seen)) => (facts, listened) = (lower(facts, seen), Listened::At(address)),
                Err(SurveyError::Unreachable(_)) => {}
                Err(error) => listened = Listened::Otherwise(error.to_string()),
            }
        }
        let graded = grade(&facts);
        let floor = self.floor.unwrap_or(gateway.tls_floor);
        // Who believes a certificate is no matter of the configuration, and those for development nobody does.
        let is_fine = graded.letter >= floor;
        Ok(Report { of: format!("listener `{}`", listener.name), listened, facts, graded, floor, is_fine })
    }

    async fn ask(
        &self,
        connecting: Connecting<'_>,
        address: Option<SocketAddr>,
        server_name: &str,
        authorities: &Authorities,
    ) -> Result<(SocketAddr, Facts), SurveyError> {
        let now = clock::now_seconds().0;
        ask(&Asked { connecting, address, server_name, authorities, timeout: self.timeout, now }).await
    }
}

/// What was seen, unless it is better than what is configured: then another program listens there, or an old configuration is in force.
fn lower(configured: Facts, seen: Facts) -> Facts {
    // A listener that asks for a client certificate answers us nothing; what it would say is known.
    let hsts = if seen.hsts == HstsFacts::Unknown { configured.hsts.clone() } else { seen.hsts.clone() };
    let seen = Facts { hsts, ..seen };
    if grade(&seen).letter <= grade(&configured).letter { seen } else { configured }
}

fn on_this_machine(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}

/// The name in its one spelling, or the address without brackets, and the port.
fn host_of(text: &str) -> Option<(String, u16)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_string(), 443));
    }
    let url = Url::parse(&format!("https://{}", text.strip_prefix("https://").unwrap_or(text))).ok()?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !is_bare || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let host = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Some((host, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_ask_is_a_name_or_an_address() {
        let of = |text: &str| host_of(text);
        let some = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(of("gateway.example"), some("gateway.example", 443));
        assert_eq!(of("Gateway.Example:8443"), some("gateway.example", 8443));
        assert_eq!(of("https://gateway.example/"), some("gateway.example", 443));
        assert_eq!(of("127.0.0.1:8443"), some("127.0.0.1", 8443));
        assert_eq!(of("::1"), some("::1", 443));
        assert_eq!(of("[::1]:8443"), some("::1", 8443));
        assert_eq!(of("b\u{fc}cher.example"), some("xn--bcher-kva.example", 443));
        for wrong in
            ["", "a.example/path", "http://a.example", "user@a.example", "a.example:port", "a b", "a.example?x"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
