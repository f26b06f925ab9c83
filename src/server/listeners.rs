//! The listeners of `gateway.toml`: on their sockets before anything is served, and served until the drain begins.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::StartError;
use super::grades::Watched;
use super::offer::load_offer;
use crate::edge::challenges::Challenges;
use crate::edge::connections::Connections;
use crate::edge::drain::Drain;
use crate::edge::listener::{TlsEdge, serve_tls};
use crate::edge::plain::{PlainEdge, serve_plain};
use crate::edge::runtimes::Runtimes;
use crate::edge::tls::ReloadableTls;
use crate::gateway::Gateway;
use crate::policy::{self, Limits, PlainListener, ProxyProtocol};

/// A TLS listener on its socket, with what it shows.
pub(super) struct Bound {
    pub(super) name: Arc<str>,
    pub(super) socket: TcpListener,
    tls: Arc<ReloadableTls>,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Bound {
    /// Loads what it shows, then binds its socket.
    ///
    /// # Errors
    ///
    /// One of these cannot be had.
    pub(super) fn bind(
        settings: &policy::Listener,
        gateway: &policy::Gateway,
        challenges: &Arc<Challenges>,
    ) -> Result<Self, StartError> {
        let name = || settings.name.clone();
        let offer = load_offer(settings, None, gateway)?;
        let tls = ReloadableTls::with_challenges(offer, Arc::clone(challenges))
            .map_err(|source| StartError::Tls { name: name(), source })?;
        let socket = listen(&settings.name, settings.address)?;
        let proxy_protocol = settings.proxy_protocol.clone();
        Ok(Self { name: name().into(), socket, tls: Arc::new(tls), proxy_protocol })
    }

    /// By its name, what it shows from reload to reload.
    pub(super) fn shown(&self) -> (Arc<str>, Arc<ReloadableTls>) {
        (Arc::clone(&self.name), Arc::clone(&self.tls))
    }

    /// The same for whoever looks at its grade, and connects to it for that.
    pub(super) fn watched(&self) -> Option<Watched> {
        let (name, tls) = self.shown();
        Some(Watched { name, address: self.socket.local_addr().ok()?, tls })
    }

    /// Accepts until the drain begins. `runtimes` serve the connections.
    pub(super) fn serve(
        self,
        gateway: &Arc<Gateway>,
        limits: &Arc<Limits>,
        connections: &Arc<Connections>,
        drain: &Drain,
        runtimes: Runtimes,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Self { name, socket, tls, proxy_protocol } = self;
        let edge = TlsEdge {
            name,
            tls,
            proxy_protocol,
            limits: Arc::clone(limits),
            connections: Arc::clone(connections),
            handler: Arc::clone(gateway),
            drain: drain.clone(),
            runtimes,
        };
        report(serve_tls(socket, Arc::new(edge)))
    }
}

/// The listener without TLS on its socket.
pub(super) struct BoundPlain {
    pub(super) socket: TcpListener,
    settings: PlainListener,
}

impl BoundPlain {
    /// Binds its socket.
    ///
    /// # Errors
    ///
    /// It cannot be had.
    pub(super) fn bind(settings: &PlainListener) -> Result<Self, StartError> {
        Ok(Self { socket: listen("plain", settings.address)?, settings: settings.clone() })
    }

    /// Serves until the drain begins.
    pub(super) async fn serve(
        self,
        limits: Arc<Limits>,
        connections: Arc<Connections>,
        drain: Drain,
        challenges: Arc<Challenges>,
    ) {
        let PlainListener { address: _, redirect_port, proxy_protocol } = self.settings;
        let edge = PlainEdge { redirect_port, proxy_protocol, limits, connections, drain, challenges };
        report(serve_plain(self.socket, Arc::new(edge))).await;
    }
}

async fn report(serving: impl Future<Output = io::Result<()>>) {
    if let Err(error) = serving.await {
        tracing::error!(error = %error, "a listener ended");
    }
}

/// Binds a socket and listens; nobody is accepted yet.
pub(super) fn listen(name: &str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            StartError::InUse { name: name.to_owned(), address }
        } else {
            StartError::Listen { name: name.to_owned(), address, source }
        }
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
