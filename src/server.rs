//! The running process: what is started in which order, reloaded together, and stopped in which order.
//!
//! It owns signals, the reload and the drain. It decides nothing about requests: that is [`gateway`](crate::gateway).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, AdminError, AdminState, EpochFacts, ReloadFacts};
use crate::audit::{AuditError, Recorder, RecorderTask, SubjectKey, SubjectKeyError};
use crate::clock;
use crate::edge::certificates::CertificateError;
use crate::edge::connections::Connections;
use crate::edge::drain::Drain;
use crate::edge::listener::{serve_plain, serve_tls};
use crate::edge::tls::{ReloadableTls, TlsError};
use crate::epoch::{self, Epoch, Epochs, LoadError, SecretError, fetch_secret};
use crate::gateway::Gateway;
use crate::observe::{Metrics, ReloadResult};
use crate::policy;

/// Why the process does not start. One line each, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("listener `{name}`: {source}")]
    Certificate { name: String, source: CertificateError },
    #[error("listener `{name}`: {source}")]
    Tls { name: String, source: TlsError },
    #[error("listener `{name}`: the address {address} is already in use: stop what listens there, or change `address`")]
    InUse { name: String, address: SocketAddr },
    #[error("listener `{name}`: cannot listen on {address}: {source}")]
    Listen { name: String, address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("[audit] subject_key: {0}")]
    SubjectSecret(#[from] SecretError),
    #[error("[audit] subject_key: {0}")]
    SubjectKey(#[from] SubjectKeyError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("signals cannot be received: {0}")]
    Signals(io::Error),
}

/// A process that has its sockets and has read its policies, and serves nothing yet.
pub struct Server {
    epochs: Arc<Epochs>,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    recorder_task: RecorderTask,
    listeners: Vec<Bound>,
    plain: Option<(TcpListener, u16)>,
    admin: Option<TcpListener>,
}

/// A listener of `gateway.toml` on its socket.
struct Bound {
    settings: policy::Listener,
    socket: TcpListener,
    tls: Arc<ReloadableTls>,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct Listening {
    pub name: String,
    pub address: SocketAddr,
}

/// At the end the records that wait are written, for at most this long.
const LAST_RECORDS: Duration = Duration::from_secs(5);

impl Server {
    /// Reads the policies, opens the record and binds every socket: whatever can be wrong is wrong now.
    ///
    /// # Errors
    ///
    /// The first thing that is not as it must be.
    pub fn bind(policies: &Path) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let epochs = Arc::new(Epochs::start(policies, &metrics)?);
        let epoch = epochs.current();
        let gateway = &epoch.gateway;
        let now = clock::now_seconds();
        let mut listeners = Vec::new();
        for settings in &gateway.listeners {
            let tls = ReloadableTls::load(&settings.certificates, now).map_err(|source| StartError::Tls { name: settings.name.clone(), source })?;
            let socket = listen(&settings.name, settings.address)?;
            listeners.push(Bound { settings: settings.clone(), socket, tls: Arc::new(tls) });
        }
        let plain = match &gateway.plain {
            Some(plain) => Some((listen("plain", plain.address)?, plain.redirect_port)),
            None => None,
        };
        let admin = match &gateway.admin {
            Some(admin) => Some(listen("admin", admin.address)?),
            None => None,
        };
        let key = match &gateway.audit.subject_key {
            Some(source) => SubjectKey::new(fetch_secret(source)?.expose_secret())?,
            None => SubjectKey::random()?,
        };
        let (recorder, recorder_task) = Recorder::start(&gateway.audit, key)?;
        Ok(Self { epochs, metrics, recorder, recorder_task, listeners, plain, admin })
    }

    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub fn listening(&self) -> Vec<Listening> {
        let tls = self.listeners.iter().map(|bound| (bound.settings.name.as_str(), &bound.socket));
        let plain = self.plain.iter().map(|(socket, _)| ("plain", socket));
        let admin = self.admin.iter().map(|socket| ("admin", socket));
        tls.chain(plain)
            .chain(admin)
            .filter_map(|(name, socket)| Some(Listening { name: name.to_owned(), address: socket.local_addr().ok()? }))
            .collect()
    }

    /// Serves until SIGTERM or SIGINT, or until `stop` is cancelled; then drains.
    ///
    /// # Errors
    ///
    /// Signals cannot be received.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let Self { epochs, metrics, recorder, recorder_task, listeners, plain, admin } = self;
        todo!()
    }
}

fn listen(name: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::InUse { name: name.to_owned(), address },
        _ => StartError::Listen { name: name.to_owned(), address, source },
    };
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP)).map_err(failed)?;
    // A restart must not wait for the last connections of the process before it.
    socket.set_reuse_address(true).map_err(failed)?;
    socket.bind(&address.into()).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket.into())
}

/// Connections that wait to be accepted; the kernel has its own ceiling.
const BACKLOG: i32 = 4096;
