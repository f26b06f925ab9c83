//! The running process: what is started in which order, reloaded together, and stopped in which order.
//!
//! It owns signals, the reload and the drain. It decides nothing about requests: that is [`gateway`](crate::gateway).

mod background;
mod bind;
mod domains;
mod grades;
mod listeners;
mod offer;
mod ordered;
mod readings;
mod reload;
mod start_error;
mod workers;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use start_error::StartError;

use crate::acme::Renewals;
use crate::admin::{self, AdminState, AdminToken, Revoking};
use crate::audit::{Recorder, RecorderTask};
use crate::clock;
use crate::edge::challenges::Challenges;
use crate::edge::connections::Connections;
use crate::edge::drain::{Drain, Finished};
use crate::edge::runtimes::Runtimes;
use crate::epoch::{Epochs, Watch};
use crate::gateway::Gateway;
use crate::observe::Metrics;
use crate::stapling::Stapler;
use crate::state::{DiskTask, Store};
use background::Background;
use domains::Domains;
use grades::Grades;
use listeners::{Bound, BoundPlain};
use offer::follow_certificates;
use reload::{Reloader, tell_in_force};
use workers::Workers;

/// A process that has its sockets and has read its policies, and serves nothing yet.
pub struct Server {
    epochs: Arc<Epochs>,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    recorder_task: RecorderTask,
    listeners: Vec<Bound>,
    plain: Option<BoundPlain>,
    admin: Option<TcpListener>,
    admin_token: Option<AdminToken>,
    store: Arc<dyn Store>,
    disk_task: Option<DiskTask>,
    challenges: Arc<Challenges>,
    renewals: Arc<Renewals>,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct Listening {
    pub name: String,
    pub address: SocketAddr,
}

/// A process that serves.
struct Running {
    background: Background,
    drain: Drain,
    /// Ends WebSockets, which have no end of their own.
    tunnels: CancellationToken,
    drain_timeout: Duration,
    watch: Watch,
    reloader: Reloader,
    /// Tells those who look at what is in force to look again.
    reloaded: watch::Sender<()>,
}

impl Server {
    /// Serves with so many threads, and whatever is not a request with this one, until SIGTERM or SIGINT, or until `stop` is cancelled; then
    /// drains. SIGHUP and changes of the policy files, and of the files that they name, reload.
    ///
    /// # Errors
    ///
    /// Signals cannot be received, a socket cannot be used, or there are no threads to be had.
    pub async fn run(self, workers: NonZeroUsize, stop: CancellationToken) -> Result<(), StartError> {
        let mut signals = Signals::new().map_err(StartError::Signals)?;
        let mut running = self.start(workers).await?;
        running.reload_until_stopped(&mut signals, &stop).await;
        running.drain(&mut signals).await;
        running.background.end().await;
        tracing::info!("stopped");
        Ok(())
    }

    /// Starts everything, each part before those that need it.
    async fn start(self, count: NonZeroUsize) -> Result<Running, StartError> {
        let listening = self.listening();
        let Self {
            epochs,
            metrics,
            recorder,
            recorder_task,
            listeners,
            plain,
            admin,
            admin_token,
            store,
            disk_task,
            challenges,
            renewals,
        } = self;
        let epoch = epochs.current();
        let limits = Arc::new(epoch.gateway.limits.clone());
        let connections = Connections::new(&limits);
        let stapler = Stapler::new(&metrics);
        let shown: Vec<_> = listeners.iter().map(Bound::shown).collect();
        let watched = listeners.iter().filter_map(Bound::watched).collect();
        readings::read_connections(&metrics, &connections);
        readings::read_key_sets(&metrics, &epochs);
        readings::read_orders(&metrics, &renewals);
        readings::read_state(&metrics, &store);
        readings::read_tls(&metrics, &connections, &stapler, &shown);

        let workers = Workers::start(count).map_err(|source| StartError::Workers { count, source })?;
        let mut background = Background::new(workers, disk_task, recorder_task);
        // Before anybody is served, and for no longer than a start may take: the first tokens shall find their keys.
        background.until_drained(Arc::clone(epochs.issuers()).run());
        epochs.issuers().first_asked().await;

        let (drain, tunnels) = (Drain::new(), CancellationToken::new());
        let state = AdminState::new(Arc::clone(&metrics), recorder.clone(), clock::now());
        let gateway = Arc::new(Gateway::new(
            Arc::clone(&epochs),
            recorder.clone(),
            metrics,
            Arc::clone(&store),
            drain.clone(),
            tunnels.clone(),
        ));
        // Each listener is accepted from by one of the workers, and its connections are given to all.
        for (listener, acceptor) in listeners.into_iter().zip(background.workers().iter().cycle()) {
            let runtimes = Runtimes::new(background.workers().to_vec());
            acceptor.spawn(listener.serve(&gateway, &limits, &connections, &drain, runtimes));
        }
        follow_certificates(&stapler, &epoch, &shown);
        background.until_drained(Arc::clone(&stapler).run());
        if let Some(plain) = plain {
            let limits = Arc::clone(&limits);
            background.until_drained(plain.serve(limits, connections, drain.clone(), challenges));
        }
        if let Some(socket) = admin {
            let socket = tokio::net::TcpListener::from_std(socket).map_err(StartError::Signals)?;
            let revoking = Revoking { store, token: admin_token };
            background.until_told(|told| admin::serve(socket, Arc::clone(&state), revoking, told));
        }
        tell_in_force(&state, &epoch, &shown);
        let mut grades = Grades::new(&epochs, &state, watched);
        grades.look().await;
        // Before anybody is told that we are ready: a change from then on is seen.
        let mut watch = Watch::start(epochs.directory());
        watch.follow(&epochs.named_files());
        for Listening { name, address } in &listening {
            tracing::info!(listener = name, address = %address, "listening");
        }
        tracing::info!(epoch = &**epoch.digest(), "ready");

        let (reloaded, reloads) = watch::channel(());
        background.until_drained(grades.run(reloads.clone()));
        background.until_drained(Domains::new(&epochs, &state).run(reloads));
        // The listeners answer challenges by now.
        background.until_drain(Arc::clone(&renewals).run());
        let started = epoch.gateway.clone();
        let reloader = Reloader { started, epochs, state, shown, stapler, recorder, renewals, begins: None };
        Ok(Running { background, drain, tunnels, drain_timeout: limits.drain_timeout, watch, reloader, reloaded })
    }
}

impl Running {
    /// Has everything that is reloaded follow what operators and authorities change, until somebody stops the process.
    async fn reload_until_stopped(&mut self, signals: &mut Signals, stop: &CancellationToken) {
        let Self { watch, reloader, reloaded, .. } = self;
        loop {
            tokio::select! {
                () = watch.changed() => reloader.reload_if_changed().await,
                () = reloader.begun() => reloader.reload_if_changed().await,
                () = reloader.renewals.renewed() => reloader.show_issued(),
                _ = signals.hangup.recv() => reloader.reload_by_hand().await,
                _ = signals.terminate.recv() => return,
                _ = signals.interrupt.recv() => return,
                () = stop.cancelled() => return,
            }
            // After the reload, which may have brought other files.
            watch.follow(&reloader.epochs.named_files());
            reloaded.send_replace(());
        }
    }

    /// Nothing new; what was begun is finished, or cut after a while.
    async fn drain(&mut self, signals: &mut Signals) {
        self.background.begin_drain();
        self.reloader.state.drain();
        tracing::info!(seconds = self.drain_timeout.as_secs(), "draining");
        self.drain.begin(self.drain_timeout);
        self.tunnels.cancel();
        tokio::select! {
            finished = self.drain.finished() => if finished == Finished::Some {
                tracing::warn!("the drain's deadline has passed: what was left is cut");
            },
            // Whoever asks twice does not want to wait.
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
        }
    }
}

/// What operators say to the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}
