//! The reload: policies and certificates come into force together, or nothing changes.

use std::collections::{BTreeSet, HashSet};
use std::future::pending;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;

use super::offer::{follow_certificates, load_offer};
use super::{StartError, ordered};
use crate::acme::{Office, Renewals};
use crate::admin::{AdminState, EpochFacts, MISTAKES_TOLD_MAX, ReloadFacts, WorkspaceFacts};
use crate::audit::Recorder;
use crate::clock::{self, UnixSeconds};
use crate::edge::certificates::{Certificate, Certificates};
use crate::edge::tls::{Offer, ReloadableTls};
use crate::epoch::{Epoch, Epochs};
use crate::observe::{CertificateReading, ReloadResult};
use crate::policy;
use crate::stapling::Stapler;

/// What is reloaded together: policies and certificates. All of it comes into force, or none.
pub(super) struct Reloader {
    /// What the sockets were bound and the record was opened with.
    pub(super) started: policy::Gateway,
    pub(super) epochs: Arc<Epochs>,
    pub(super) state: Arc<AdminState>,
    pub(super) shown: Vec<(Arc<str>, Arc<ReloadableTls>)>,
    pub(super) stapler: Arc<Stapler>,
    pub(super) recorder: Recorder,
    pub(super) renewals: Arc<Renewals>,
    /// When the first certificate begins that was refused because its time is to come.
    pub(super) begins: Option<UnixSeconds>,
}

/// What comes into force together.
struct Prepared {
    epoch: Arc<Epoch>,
    /// Of each listener, in their order.
    offers: Vec<Offer>,
    office: Option<Arc<Office>>,
}

impl Reloader {
    /// For events on the file system: most of them change nothing that we read.
    pub(super) async fn reload_if_changed(&mut self) {
        let has_begun = self.begins.is_some_and(|begins| begins <= clock::now_seconds());
        let epochs = Arc::clone(&self.epochs);
        if has_begun || aside(move || epochs.has_changed()).await {
            self.reload().await;
        }
    }

    /// Waits for the time of a certificate that was refused because it is to come; for ever where none was.
    pub(super) async fn begun(&self) {
        match self.begins {
            Some(begins) => {
                let seconds = begins.0.saturating_sub(clock::now_seconds().0);
                sleep(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))).await;
            }
            None => pending().await,
        }
    }

    /// Reloads whether anything has changed or not.
    pub(super) async fn reload_by_hand(&mut self) {
        // And has seen what the last change took away.
        self.state.workspaces_gone(Vec::new());
        self.reload().await;
        // Whoever asks by hand means the issuers too; a file that has changed asks none.
        self.epochs.issuers().ask_all();
        self.stapler.ask_all();
        self.renewals.hasten();
    }

    async fn reload(&mut self) {
        self.recorder.reopen();
        let (epochs, shown) = (Arc::clone(&self.epochs), self.shown.clone());
        let prepared = aside(move || prepare(&epochs, &shown)).await;
        self.begins = prepared.as_ref().err().and_then(StartError::begins);
        // Known on the admin listener before the log tells of it: whoever follows the log asks there.
        match prepared {
            Ok(Prepared { epoch, offers, office }) => {
                self.renewals.enforce(office);
                for ((_, tls), offer) in self.shown.iter().zip(offers) {
                    if let Err(error) = tls.replace(offer) {
                        tracing::error!(error = %error, "the certificates of before stay");
                    }
                }
                follow_certificates(&self.stapler, &epoch, &self.shown);
                let before = self.epochs.current();
                self.epochs.enforce(Arc::clone(&epoch));
                tell_in_force(&self.state, &epoch, &self.shown);
                let gone = gone(&before, &epoch);
                // With the policies of before, certificates alone are others: what is told stays told.
                if before.digest() != epoch.digest() {
                    self.state.workspaces_gone(gone.clone());
                }
                self.tell(ReloadResult::Ok, &[]);
                tracing::info!(epoch = &**epoch.digest(), "policy_reloaded");
                for workspace in &gone {
                    tracing::warn!(workspace, "workspace_gone: no file has it any more, and its requests are refused");
                }
                for table in epoch.gateway.awaiting_restart(&self.started) {
                    tracing::warn!(table, "a change in this table of `gateway.toml` takes a restart");
                }
            }
            Err(error) => {
                let mistakes = error.mistakes();
                self.tell(ReloadResult::Failed, &mistakes);
                let in_force = self.epochs.current();
                let epoch = &**in_force.digest();
                tracing::error!(epoch, mistakes = mistakes.len(), "policy_reload_failed: the last good policies stay");
                for mistake in &mistakes {
                    tracing::error!(%mistake, "policy_mistake");
                }
            }
        }
    }

    fn tell(&self, result: ReloadResult, mistakes: &[String]) {
        let findings = mistakes.len();
        let mistakes = mistakes.iter().take(MISTAKES_TOLD_MAX).cloned().collect();
        self.state.reloaded(ReloadFacts { at: clock::now(), result, findings, mistakes });
    }
}

/// Reads files on another thread than the one that has the admin listener: disks and networks behind them may be slow.
async fn aside<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(read).await.map_err(JoinError::try_into_panic) {
        Ok(read) => read,
        Err(Ok(panic)) => resume_unwind(panic),
        // The process ends.
        Err(Err(_)) => pending().await,
    }
}

fn prepare(epochs: &Epochs, shown: &[(Arc<str>, Arc<ReloadableTls>)]) -> Result<Prepared, StartError> {
    let epoch = epochs.prepare()?;
    let mut offers = Vec::new();
    let office = Renewals::prepare(&epoch.gateway)?;
    for (name, tls) in shown {
        let settings = epoch.gateway.listener(name);
        // Listeners come and go with the process: their sockets were bound when it had the right to.
        let settings = settings.ok_or_else(|| StartError::ListenerGone { name: name.to_string() })?;
        offers.push(load_offer(settings, Some(&tls.certificates()), &epoch.gateway)?);
    }
    Ok(Prepared { epoch, offers, office })
}

/// Workspaces that were in force and are no more. To remove one is allowed, and is not to go unnoticed: the file may only be somewhere else.
fn gone(before: &Epoch, epoch: &Epoch) -> Vec<String> {
    let stays: HashSet<&str> = epoch.tenants().iter().map(|tenant| tenant.workspace.id.as_str()).collect();
    let all = before.tenants().iter().map(|tenant| &tenant.workspace.id);
    all.filter(|id| !stays.contains(id.as_str())).cloned().collect()
}

pub(super) fn tell_in_force(state: &AdminState, epoch: &Epoch, shown: &[(Arc<str>, Arc<ReloadableTls>)]) {
    state.epoch_in_force(EpochFacts {
        digest: epoch.digest().to_string(),
        since: clock::now(),
        workspaces: epoch.tenants().len(),
        upstreams: epoch.gateway.upstreams.iter().map(|upstream| upstream.name.clone()).collect(),
        facts: epoch.tenants().iter().map(|tenant| facts_of(&tenant.workspace)).collect(),
        connections_max: epoch.gateway.limits.connections_max,
    });
    let certificates = shown.iter().flat_map(|(name, tls)| {
        let certificates = tls.certificates();
        let reading = |certificate: &Certificate| {
            let name = format!("{name}: {}", certificate.source().display());
            CertificateReading { name, not_after: certificate.ends() }
        };
        certificates.iter().map(reading).collect::<Vec<_>>()
    });
    state.certificates_in_force(certificates.collect());
    state.certificates_awaited(shown.iter().any(|(_, tls)| tls.certificates().is_awaited()));
    warn_of_open_keys(shown);
    warn_of_hidden_certificates(shown);
    warn_of_authorities(shown);
}

fn facts_of(workspace: &policy::Workspace) -> WorkspaceFacts {
    WorkspaceFacts {
        workspace: workspace.id.clone(),
        keys: {
            let sets = workspace.identity.key_sets.iter().map(|set| set.id.clone());
            workspace.identity.keys.iter().map(|key| key.id.clone()).chain(sets).collect()
        },
        enforces: workspace.enforces(),
        mode: policy::word(workspace.catalogue.mode()),
        trusted_domains: workspace.trusted_domains.clone(),
        trusted_domains_at: workspace.trusted_domains_at.clone(),
    }
}

/// Whoever lists a certificate wants it shown.
fn warn_of_hidden_certificates(shown: &[(Arc<str>, Arc<ReloadableTls>)]) {
    for (listener, tls) in shown {
        for certificate in tls.certificates().never_shown() {
            let file = certificate.source().display();
            tracing::warn!(%listener, %file, "no client sees this certificate: others come first for each of its names");
        }
    }
}

/// Firefox and rustls, for two, take no authority for a server.
fn warn_of_authorities(shown: &[(Arc<str>, Arc<ReloadableTls>)]) {
    for (listener, tls) in shown {
        for certificate in tls.certificates().iter().filter(|certificate| certificate.is_authority()) {
            let file = certificate.source().display();
            tracing::warn!(%listener, %file, "this certificate says that it is an authority (`CA:TRUE`): some clients refuse it");
        }
    }
}

/// A key that others can read can be copied; whoever has it can be us. One line for each file, however many listeners share it.
fn warn_of_open_keys(shown: &[(Arc<str>, Arc<ReloadableTls>)]) {
    let certificates: Vec<_> = shown.iter().map(|(_, tls)| tls.certificates()).collect();
    let open: BTreeSet<_> =
        certificates.iter().flat_map(|certificates| certificates.iter().filter_map(Certificate::open_key)).collect();
    for key in open.into_iter().map(Path::display) {
        tracing::warn!("the private key `{key}` can be read by others: run `chmod 600 {key}`");
    }
}

pub(super) fn load_certificates(
    settings: &policy::Listener,
    shown: Option<&Certificates>,
) -> Result<Certificates, StartError> {
    ordered::load(settings, shown)
        .map_err(|mistakes| StartError::Certificates { name: settings.name.clone(), mistakes })
}
