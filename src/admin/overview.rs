//! What of the process needs a look, and what an operator may want to know beside: the second half of `/status`.

use std::time::SystemTime;

use serde::Serialize;

use super::fairness::fairly;
use super::state::{EpochFacts, Readiness, ReloadFacts, WorkspaceFacts, rfc3339};
use crate::audit::Numbers;
use crate::clock::UnixSeconds;
use crate::observe::{
    AuthorityReading, CertificateReading, ConnectionsReading, DomainReading, Failing, GradeReading, KeySetReading,
    ListReading, Metrics, ORIGINS_SHOWN, OrderReading, RefusedOrigin, ReloadResult, StateReading, UpstreamReading,
};
use crate::policy::{Origin, TrustedDomain};

/// A certificate that ends sooner needs a look, in days.
const CERTIFICATE_DAYS_MIN: i64 = 14;

/// What it is made from.
pub(super) struct Seen<'s> {
    pub(super) readiness: Readiness,
    pub(super) epoch: Option<&'s EpochFacts>,
    pub(super) reload: Option<&'s ReloadFacts>,
    pub(super) workspaces_gone: &'s [String],
    pub(super) certificates: &'s [CertificateReading],
    pub(super) grades: &'s [GradeReading],
    pub(super) domains: &'s [DomainReading],
    pub(super) audit: Numbers,
    pub(super) metrics: &'s Metrics,
    pub(super) now: SystemTime,
}

/// The second half of the answer to `/status`.
#[derive(Serialize)]
pub(super) struct Overview {
    at: String,
    alarms: Vec<Alarm>,
    workspaces: Vec<WorkspaceStatus>,
    upstream_health: Vec<UpstreamStatus>,
    connections_max: Option<usize>,
    connections_refused: u64,
    state_entries: Option<u64>,
    revocations: Option<u64>,
    refused_origins: Vec<OriginStatus>,
}

/// The number of the lowest grade that needs no look: A.
const GRADE_MIN: u8 = 6;

/// Something that needs a look.
#[derive(Debug, Serialize)]
struct Alarm {
    /// The stable name.
    code: &'static str,
    words: String,
}

#[derive(Serialize)]
struct WorkspaceStatus {
    workspace: String,
    mode: &'static str,
}

#[derive(Serialize)]
struct UpstreamStatus {
    upstream: String,
    /// When it answered last.
    answered: Option<String>,
    failing_since: Option<String>,
    /// Requests in a row that it did not answer.
    failed_requests: u64,
    last_error: Option<&'static str>,
}

/// An origin that is refused, and what would let it in. Whether that is right the operator alone knows.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct OriginStatus {
    origin: String,
    /// `null`: it was refused before the request said for whom it was.
    workspace: Option<String>,
    requests: u64,
    first_seen: String,
    last_seen: String,
    /// Whether its domain is that of a trusted one. Of any other, somebody else is more likely to be the owner.
    kin: bool,
    /// The list that it is not on.
    file: Option<String>,
    line: Option<usize>,
    /// The line with which it would be, for kin alone.
    add: Option<String>,
}

impl Overview {
    pub(super) fn of(seen: &Seen<'_>) -> Self {
        let facts = seen.epoch.map(|epoch| epoch.facts.as_slice()).unwrap_or_default();
        let in_force =
            |reading: &UpstreamReading| seen.epoch.is_some_and(|epoch| epoch.upstreams.contains(&reading.upstream));
        let upstreams: Vec<UpstreamReading> = seen.metrics.upstreams().into_iter().filter(in_force).collect();
        let ConnectionsReading { refused: connections_refused, .. } = seen.metrics.connections();
        let state = seen.metrics.state();
        Self {
            at: rfc3339(seen.now),
            alarms: alarms(seen, &upstreams, state.as_ref()),
            workspaces: facts
                .iter()
                .map(|facts| WorkspaceStatus { workspace: facts.workspace.clone(), mode: facts.mode })
                .collect(),
            upstream_health: upstreams.into_iter().map(UpstreamStatus::from).collect(),
            connections_max: seen.epoch.map(|epoch| epoch.connections_max),
            connections_refused,
            state_entries: state.as_ref().map(|state| state.entries),
            revocations: state.as_ref().map(|state| state.revocations),
            refused_origins: refused_origins(seen.metrics, facts),
        }
    }
}

fn alarms(seen: &Seen<'_>, upstreams: &[UpstreamReading], state: Option<&StateReading>) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut raise = |code, words: String| alarms.push(Alarm { code, words });
    match seen.readiness {
        Readiness::Ready => {}
        Readiness::NoEpoch | Readiness::NoCertificate | Readiness::Draining => {
            raise("not_ready", format!("it is not ready: {}", seen.readiness.as_str()));
        }
    }
    if let Some(reload) = seen.reload.filter(|reload| reload.result == ReloadResult::Failed) {
        let mistakes = counted(reload.findings as u64, "mistake");
        raise("reload_failed", format!("the last reload failed with {mistakes}: the policies of before stay in force"));
    }
    if !seen.workspaces_gone.is_empty() {
        raise("workspace_gone", gone(seen.workspaces_gone));
    }
    for certificate in seen.certificates {
        let days = certificate.days_left(UnixSeconds::of(seen.now));
        if days < 0 {
            raise("certificate_ended", format!("the certificate `{}` has ended", certificate.name));
        } else if days < CERTIFICATE_DAYS_MIN {
            let days = counted(days.unsigned_abs(), "day");
            raise("certificate_ends", format!("the certificate `{}` ends in {days}", certificate.name));
        }
    }
    let now = UnixSeconds::of(seen.now);
    let tls = seen.metrics.tls();
    for ListReading { listener, ends } in &tls.lists {
        if *ends <= now {
            let words = format!("a list of revoked client certificates of the listener `{listener}` is out of date: ");
            raise("client_list_ended", words + "nobody whom it is about is let in");
        }
    }
    for AuthorityReading { listener, ends } in &tls.authorities {
        if *ends < now {
            let words = format!("an authority of client certificates of the listener `{listener}` has ended: ");
            raise("client_authority_ended", words + "nobody of it is let in");
        }
    }
    for certificate in tls.staples.iter().filter(|staple| staple.is_revoked) {
        raise(
            "certificate_revoked",
            format!("its issuer has taken the certificate `{}` back", certificate.certificate),
        );
    }
    for OrderReading { name, ends, failure, .. } in seen.metrics.orders() {
        if let Some(code) = failure {
            let held = if ends.is_some() { "the one of before is shown" } else { "there is none to show" };
            raise("order_fails", format!("the last order of a certificate for `{name}` failed: `{code}`; {held}"));
        }
    }
    for GradeReading { listener, grade, number, findings, .. } in seen.grades {
        if *number < GRADE_MIN {
            raise("tls_grade", format!("the listener `{listener}` is graded {grade}: {}", findings.join(", ")));
        }
    }
    for DomainReading { domain, findings, .. } in seen.domains {
        if !findings.is_empty() {
            raise("domain_unfit", format!("the trusted domain `{domain}`: {}", findings.join(", ")));
        }
    }
    for UpstreamReading { upstream, failing, .. } in upstreams {
        if let Some(Failing { requests, code, .. }) = failing {
            let requests = counted(*requests, "request");
            raise("upstream_fails", format!("the upstream `{upstream}` did not answer the last {requests}: `{code}`"));
        }
    }
    for KeySetReading { workspace, set, is_stale, .. } in seen.metrics.key_sets() {
        if is_stale {
            raise(
                "keys_stale",
                format!("nobody confirms the keys of `{set}` of `{workspace}`: their tokens are refused"),
            );
        }
    }
    if seen.metrics.leaked_secrets() > 0 {
        let requests = counted(seen.metrics.leaked_secrets(), "request");
        raise("secret_leaked", format!("{requests} carried the secret of a key: look for `secret_leaked` in the log"));
    }
    if seen.audit.lost > 0 {
        raise("records_lost", format!("{} of requests were lost", counted(seen.audit.lost, "record")));
    }
    if let Some(unwritten) = state.map(|state| state.unwritten).filter(|unwritten| *unwritten > 0) {
        let things = counted(unwritten, "thing");
        raise("state_unwritten", format!("{things} of the state found no room on the way to the disk"));
    }
    alarms
}

/// Of more the others are counted.
const GONE_NAMED_MAX: usize = 12;

fn gone(workspaces: &[String]) -> String {
    let named: Vec<String> = workspaces.iter().take(GONE_NAMED_MAX).map(|name| format!("`{name}`")).collect();
    let untold = workspaces.len() - named.len();
    let more = if untold > 0 { format!(", and {untold} more") } else { String::new() };
    let count = counted(workspaces.len() as u64, "workspace");
    format!("the last change of the policies took {count} away: {}{more}", named.join(", "))
}

/// All that are kept.
fn refused_origins(metrics: &Metrics, facts: &[WorkspaceFacts]) -> Vec<OriginStatus> {
    let refused = metrics.refused_origins().report().into_iter();
    let told = refused.filter_map(|refused| {
        let domain = refused.origin.owned_domain().to_owned();
        Some((domain, origin_status(refused, facts)?))
    });
    let told = fairly(told.collect(), ORIGINS_SHOWN, |(domain, status)| {
        status.kin.then(|| (status.workspace.clone(), domain.clone()))
    });
    told.into_iter().map(|(_, status)| status).collect()
}

/// `None`: it is trusted by now.
fn origin_status(refused: RefusedOrigin, facts: &[WorkspaceFacts]) -> Option<OriginStatus> {
    let RefusedOrigin { workspace, origin, requests, first, last } = refused;
    let own = workspace.as_ref().and_then(|id| facts.iter().find(|facts| facts.workspace == *id));
    let trusts = |facts: &WorkspaceFacts| facts.trusted_domains.trust(&origin);
    let is_kin = |facts: &&WorkspaceFacts| facts.trusted_domains.have_kin(&origin);
    let (is_trusted, list, kin) = match (&workspace, own) {
        (Some(_), Some(own)) => (trusts(own), Some(own), is_kin(&own)),
        // The workspace is gone.
        (Some(_), None) => (true, None, false),
        (None, _) => {
            let mut kin = facts.iter().filter(is_kin);
            let first = kin.next();
            // Of several lists it is not for us to say which.
            let only = first.filter(|_| kin.next().is_none());
            (facts.iter().any(trusts), only, first.is_some())
        }
    };
    (!is_trusted).then(|| OriginStatus {
        requests,
        first_seen: moment(first),
        last_seen: moment(last),
        kin,
        file: list.map(|list| list.trusted_domains_at.file.clone()),
        line: list.map(|list| list.trusted_domains_at.line),
        // A stranger's domain nobody shall paste from here: a look-alike looks right.
        add: list.filter(|_| kin).and_then(|_| line_to_add(&origin)),
        origin: origin.to_string(),
        workspace,
    })
}

/// `None` where it cannot stand on the list: `http` to elsewhere.
fn line_to_add(origin: &Origin) -> Option<String> {
    let can_stand = TrustedDomain::try_from(origin.as_str()).is_ok();
    can_stand.then(|| format!("trusted_domains = [..., \"{origin}\"]"))
}

impl From<UpstreamReading> for UpstreamStatus {
    fn from(reading: UpstreamReading) -> Self {
        let UpstreamReading { upstream, answered, failing } = reading;
        Self {
            upstream,
            answered: answered.map(moment),
            failing_since: failing.map(|failing| moment(failing.since)),
            failed_requests: failing.map_or(0, |failing| failing.requests),
            last_error: failing.map(|failing| failing.code),
        }
    }
}

fn moment(at: UnixSeconds) -> String {
    jiff::Timestamp::from_second(at.0).map_or_else(|_| String::new(), |time| time.to_string())
}

fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{FileLine, TrustedDomains};

    fn facts(workspace: &str, domains: &[&str]) -> WorkspaceFacts {
        let domains = domains.iter().map(|text| TrustedDomain::try_from(*text).expect("an entry")).collect();
        WorkspaceFacts {
            workspace: workspace.into(),
            keys: vec![],
            enforces: true,
            mode: "enforce",
            trusted_domains: TrustedDomains::new(domains),
            trusted_domains_at: FileLine { file: format!("workspaces/{workspace}.toml"), line: 7 },
        }
    }

    /// Whether it is kin, the list and the line.
    #[track_caller]
    fn check(workspace: &str, origin: &str, expected: Option<(bool, Option<&str>, Option<&str>)>) {
        let all = [
            facts("acme", &["https://app.acme.example"]),
            facts("shop", &["https://*.shop.example"]),
            facts("new", &[]),
        ];
        let refused = RefusedOrigin {
            workspace: (!workspace.is_empty()).then(|| workspace.to_owned()),
            origin: Origin::try_from(origin).expect("an origin"),
            requests: 3,
            first: UnixSeconds(0),
            last: UnixSeconds(60),
        };
        let status = origin_status(refused, &all);
        let found = status.as_ref().map(|status| (status.kin, status.file.as_deref(), status.add.as_deref()));
        assert_eq!(found, expected, "{workspace} {origin}");
    }

    #[test]
    fn what_is_told_of_a_refused_origin_is_the_list_that_it_is_not_on() {
        let acme = Some("workspaces/acme.toml");
        let line = Some("trusted_domains = [..., \"https://new.acme.example\"]");
        check("acme", "https://new.acme.example", Some((true, acme, line)));
        // The list alone: what is no kin may look right and be somebody else's.
        check("acme", "https://app.acme.example.evil.test", Some((false, acme, None)));
        check("new", "https://a.test", Some((false, Some("workspaces/new.toml"), None)));
        // In clear nothing is trusted.
        check("acme", "http://new.acme.example", Some((true, acme, None)));
        // Whose it is was not said: the looks decide, or nobody.
        let line = Some("trusted_domains = [..., \"https://new.acme.example\"]");
        check("", "https://new.acme.example", Some((true, acme, line)));
        check("", "https://evil.test", Some((false, None, None)));
    }

    #[test]
    fn of_many_workspaces_that_are_gone_the_first_are_named() {
        let names: Vec<String> = (0..14).map(|number| format!("w{number}")).collect();
        assert_eq!(gone(&names[..1]), "the last change of the policies took 1 workspace away: `w0`");
        assert!(gone(&names).ends_with("took 14 workspaces away: `w0`, `w1`, `w2`, `w3`, `w4`, `w5`, `w6`, `w7`, `w8`, `w9`, `w10`, `w11`, and 2 more"));
    }

    #[test]
    fn what_is_trusted_by_now_or_of_a_workspace_that_is_gone_is_not_told() {
        check("acme", "https://app.acme.example", None);
        check("", "https://x.shop.example", None);
        check("gone", "https://new.acme.example", None);
    }
}
