//! The trusted domains, looked at from time to time where the policy says so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::admin::AdminState;
use crate::clock;
use crate::edge::regular_file::{self, PEM_BYTES_MAX};
use crate::epoch::{Epoch, Epochs};
use crate::observe::DomainReading;
use crate::policy::DomainsSettings;
use crate::survey::{Authorities, AuthoritiesError, DomainReport, Looking, Visit, trusted_domains, visits};

/// For each step of one domain.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How soon it is tried again where nobody could be asked: the file of authorities may come.
const RETRY: Duration = Duration::from_secs(60);

/// Looks at the trusted domains and tells of them.
pub(super) struct Domains {
    epochs: Arc<Epochs>,
    state: Arc<AdminState>,
    /// By domain, the codes that were told last.
    told: HashMap<String, Vec<&'static str>>,
}

/// What is asked for, and of whom.
type Asked = (DomainsSettings, Vec<Visit>);

impl Domains {
    /// Has looked at nothing yet.
    pub(super) fn new(epochs: &Arc<Epochs>, state: &Arc<AdminState>) -> Self {
        Self { epochs: Arc::clone(epochs), state: Arc::clone(state), told: HashMap::new() }
    }

    /// Looks as often as the policy in force says; at once where the domains or the settings are others. Never, where it says nothing.
    pub(super) async fn run(mut self, mut reloaded: watch::Receiver<()>) {
        // What was asked last, and when it is due again.
        let mut last: Option<(Asked, Instant)> = None;
        let mut epoch = self.epochs.current();
        let mut asked = asked_by(&epoch);
        loop {
            if let Some(asked) = &asked {
                let is_same = last.as_ref().is_some_and(|(before, _)| before == asked);
                let due = last.as_ref().filter(|_| is_same).map(|(_, due)| *due);
                if due.is_none_or(|due| due <= Instant::now()) {
                    let at = Instant::now();
                    let again = if self.look(asked).await.is_ok() { asked.0.check } else { RETRY };
                    last = Some((asked.clone(), at + again));
                    continue;
                }
            } else if last.take().is_some() {
                self.told.clear();
                self.state.domains(Vec::new());
            }
            let due = last.as_ref().map(|(_, due)| *due);
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                changed = reloaded.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // Most events of the file system change nothing.
                    let current = self.epochs.current();
                    if !Arc::ptr_eq(&current, &epoch) {
                        (asked, epoch) = (asked_by(&current), current);
                    }
                }
            }
        }
    }

    async fn look(&mut self, (settings, visits): &Asked) -> Result<(), NotAsked> {
        let authorities = authorities(settings.ca.as_deref())
            .inspect_err(|error| tracing::error!(%error, "domains_not_asked: `ca` of `[domains]`"))?;
        let looking = Looking {
            resolve: &[],
            authorities: &authorities,
            timeout: TIMEOUT,
            expires_within: settings.expires_within,
            now: clock::now_seconds().0,
        };
        let reports = trusted_domains(visits, looking, || ()).await;
        // Known on the admin listener before the log tells of it.
        self.state.domains(reports.iter().map(reading).collect());
        let mut told = HashMap::new();
        for report in &reports {
            let codes = codes(report);
            let domain = &report.visit.origin;
            let before = self.told.get(domain).map_or(&[][..], Vec::as_slice);
            if codes.is_empty() && !before.is_empty() {
                tracing::info!(domain, "trusted_domain_fine");
            } else if codes != before {
                tracing::warn!(domain, findings = codes.join(" "), "trusted_domain_unfit");
            }
            told.insert(domain.clone(), codes);
        }
        self.told = told;
        let unfit = reports.iter().filter(|report| report.has_findings()).count();
        tracing::info!(domains = reports.len(), unfit, "trusted_domains_asked");
        Ok(())
    }
}

fn asked_by(epoch: &Epoch) -> Option<Asked> {
    let settings = epoch.gateway.domains.clone()?;
    let (visits, beyond) = visits(epoch.tenants().iter().map(|tenant| &tenant.workspace));
    if beyond > 0 {
        tracing::warn!(beyond, "some trusted domains are not asked: there are too many");
    }
    Some((settings, visits))
}

/// Nobody was asked: nobody knows whom to believe.
#[derive(Debug, thiserror::Error)]
enum NotAsked {
    #[error("`{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

fn authorities(ca: Option<&Path>) -> Result<Authorities, NotAsked> {
    let Some(path) = ca else { return Ok(Authorities::system()?) };
    let pem =
        regular_file::read(path, PEM_BYTES_MAX).map_err(|source| NotAsked::Read { path: path.to_owned(), source })?;
    Ok(Authorities::of_pem(&pem)?)
}

fn codes(report: &DomainReport) -> Vec<&'static str> {
    report.findings.iter().filter(|finding| finding.finding).map(|finding| finding.code).collect()
}

fn reading(report: &DomainReport) -> DomainReading {
    DomainReading {
        domain: report.visit.origin.clone(),
        has_hsts: report.has_hsts(),
        not_after: report.facts.as_ref().map(|facts| facts.ends),
        findings: codes(report),
    }
}
