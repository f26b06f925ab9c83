//! The TLS listener: from a socket to requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::connection::{Answer, Answering, Protocols, Serving};
use super::connections::{Connections, Permit, Tally};
use super::drain::Drain;
use super::peer::{Alpn, Handle, Peer};
use super::tls::ReloadableTls;
use crate::policy::Limits;

/// What a TLS listener needs. Several runtimes may each serve a clone of the socket with the same value.
pub struct TlsEdge<H> {
    /// The listener's name in records.
    pub name: Arc<str>,
    pub tls: Arc<ReloadableTls>,
    pub limits: Arc<Limits>,
    pub connections: Arc<Connections>,
    pub handler: Arc<H>,
    pub drain: Drain,
}

/// Accepts connections and serves them until the drain begins; then the socket closes and this returns, while connections finish.
/// [`Drain::finished`] waits for those.
///
/// # Errors
///
/// The socket cannot be used by this runtime.
pub async fn serve_tls<H: Handle>(listener: std::net::TcpListener, edge: Arc<TlsEdge<H>>) -> io::Result<()> {
    let protocols =
        Arc::new(Protocols::new(Arc::clone(&edge.limits), Arc::clone(&edge.connections), edge.drain.clone()));
    accept(listener, &edge.connections, &edge.drain, |stream, address, permit| {
        serve_connection(Arc::clone(&edge), Arc::clone(&protocols), stream, address, permit)
    })
    .await
}

/// After an error that is not of one connection: the process has no more descriptors or memory. Trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and spawns what serves them, until the drain begins.
pub(super) async fn accept<F>(
    listener: std::net::TcpListener,
    connections: &Arc<Connections>,
    drain: &Drain,
    serve: impl Fn(TcpStream, SocketAddr, Permit) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                let Ok(permit) = connections.admit(address.ip()) else {
                    Tally::count(&connections.tally.refused);
                    continue;
                };
                Tally::count(&connections.tally.accepted);
                // A socket that cannot be told so is slower, not wrong.
                drop(stream.set_nodelay(true));
                drain.tasks().spawn(serve(stream, address, permit));
                // Whoever has accepted one begins with that one, and leaves the next to others that have nothing to do.
                yield_now().await;
            }
            Err(error) => {
                Tally::count(&connections.tally.accept_errors);
                if !is_of_one_connection(&error) {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn serve_connection<H: Handle>(
    edge: Arc<TlsEdge<H>>,
    protocols: Arc<Protocols>,
    stream: TcpStream,
    address: SocketAddr,
    permit: Permit,
) {
    // In a box that is gone when the handshake is over, so that an idle connection does not keep its room.
    let serving = Box::pin(shake_hands(edge, protocols, stream, address, permit)).await;
    if let Some(serving) = serving {
        serving.await;
    }
}

async fn shake_hands<H: Handle>(
    edge: Arc<TlsEdge<H>>,
    protocols: Arc<Protocols>,
    stream: TcpStream,
    address: SocketAddr,
    permit: Permit,
) -> Option<Serving> {
    let tally = &edge.connections.tally;
    let local = stream.local_addr().ok()?;
    let tls = edge.tls.current();
    let handshake = timeout(edge.limits.handshake_timeout, tls.acceptor().accept(stream));
    let stream = tokio::select! {
        () = edge.drain.begun() => return None,
        result = handshake => match result {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) => {
                Tally::count(&tally.handshakes_failed);
                return None;
            }
            Err(_) => {
                Tally::count(&tally.handshakes_timed_out);
                return None;
            }
        },
    };
    let facts = tls.facts(stream.get_ref().1)?;
    let alpn = facts.alpn;
    let peer = Arc::new(Peer { address, local, listener: Arc::clone(&edge.name), tls: facts });
    let answer = Arc::new(ByHandler { handler: Arc::clone(&edge.handler), peer });
    Some(match alpn {
        Alpn::Http1 => protocols.serve_http1(stream, permit, answer),
        Alpn::Http2 => protocols.serve_http2(stream, permit, answer),
    })
}

/// The handler with the peer of one connection.
struct ByHandler<H> {
    handler: Arc<H>,
    peer: Arc<Peer>,
}

impl<H: Handle> Answer for ByHandler<H> {
    fn answer(&self, request: Request<Incoming>) -> Answering {
        let (handler, peer) = (Arc::clone(&self.handler), Arc::clone(&self.peer));
        Box::pin(handler.handle(peer, request))
    }

    fn strict_transport_security(&self) -> Option<HeaderValue> {
        self.handler.strict_transport_security()
    }
}
