//! The TLS listener: from a socket to requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::time::{Instant, sleep, timeout_at};

use super::certificate_fault::CertificateFault;
use super::connection::{Answer, Answering, Protocols, Serving};
use super::connections::{Connections, Permit, Tally};
use super::drain::Drain;
use super::peer::{Alpn, Handle, Peer};
use super::proxy_protocol;
use super::runtimes::Runtimes;
use super::tls::{self, ReloadableTls};
use crate::clock;
use crate::policy::{Limits, ProxyProtocol};

/// What a TLS listener needs.
pub struct TlsEdge<H> {
    /// The listener's name in records.
    pub name: Arc<str>,
    pub tls: Arc<ReloadableTls>,
    /// Balancers before it.
    pub proxy_protocol: Option<ProxyProtocol>,
    pub limits: Arc<Limits>,
    pub connections: Arc<Connections>,
    pub handler: Arc<H>,
    pub drain: Drain,
    /// Who serves its connections.
    pub runtimes: Runtimes,
}

/// Accepts connections and has them served until the drain begins; then the socket closes and this returns, while connections finish.
/// [`Drain::finished`] waits for those.
///
/// # Errors
///
/// The socket cannot be used by this runtime.
pub async fn serve_tls<H: Handle>(listener: std::net::TcpListener, edge: Arc<TlsEdge<H>>) -> io::Result<()> {
    let protocols =
        Arc::new(Protocols::new(Arc::clone(&edge.limits), Arc::clone(&edge.connections), edge.drain.clone()));
    let serve = {
        let edge = Arc::clone(&edge);
        move |stream, address, permit| {
            serve_connection(Arc::clone(&edge), Arc::clone(&protocols), stream, address, permit)
        }
    };
    accept(listener, &edge.runtimes, &edge.connections, edge.proxy_protocol.as_ref(), &edge.drain, serve).await
}

/// After an error that is not of one connection: the process has no more descriptors or memory. Trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and spawns what serves them, each on the runtime whose turn it is, until the drain begins.
pub(super) async fn accept<S, F>(
    listener: std::net::TcpListener,
    runtimes: &Runtimes,
    connections: &Arc<Connections>,
    proxy_protocol: Option<&ProxyProtocol>,
    drain: &Drain,
    serve: S,
) -> io::Result<()>
where
    S: Fn(TcpStream, SocketAddr, Permit) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let own = runtime::Handle::current().id();
    loop {
        let accepted = tokio::select! {
            biased;
            () = drain.begun() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                let Some(permit) = proxy_protocol::admit(proxy_protocol, address, connections) else { continue };
                Tally::count(&connections.tally.accepted);
                // A socket that cannot be told so is slower, not wrong.
                drop(stream.set_nodelay(true));
                match runtimes.next() {
                    Some(runtime) if runtime.id() != own => {
                        // This runtime watches it no longer. One that cannot be watched is gone.
                        let Ok(stream) = stream.into_std() else { continue };
                        let serve = serve.clone();
                        let serving = async move {
                            if let Ok(stream) = TcpStream::from_std(stream) {
                                serve(stream, address, permit).await;
                            }
                        };
                        drain.tasks().spawn_on(serving, runtime);
                    }
                    Some(_) | None => {
                        drain.tasks().spawn(serve(stream, address, permit));
                    }
                }
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
    mut stream: TcpStream,
    address: SocketAddr,
    mut permit: Permit,
) -> Option<Serving> {
    let tally = &edge.connections.tally;
    let local = stream.local_addr().ok()?;
    let deadline = Instant::now() + edge.limits.handshake_timeout;
    let (address, address_source) = tokio::select! {
        () = edge.drain.begun() => return None,
        from = proxy_protocol::greet(&mut stream, address, &mut permit, edge.limits.handshake_timeout) => from?,
    };
    // Before a byte of it is read: a handshake costs us more than it costs whoever asks for one.
    if !edge.handler.admits_handshake(address.ip()) {
        Tally::count(&tally.handshakes_limited);
        return None;
    }
    if edge.handler.is_trusted_proxy(address.ip()) {
        permit.speak_for_others();
    }
    let begun = clock::now_seconds();
    let handshake = timeout_at(deadline, tls::shake_hands(&edge.tls, stream));
    let (tls, stream) = tokio::select! {
        () = edge.drain.begun() => return None,
        result = handshake => match result {
            Ok(Ok(shaken)) => shaken,
            Ok(Err(error)) => {
                Tally::count(&tally.handshakes_failed);
                if let Some(fault) = CertificateFault::of(&error) {
                    edge.handler.certificate_refused(&edge.name, address.ip(), fault);
                }
                return None;
            }
            Err(_) => {
                Tally::count(&tally.handshakes_timed_out);
                return None;
            }
        },
    };
    let facts = tls.facts(stream.get_ref().1, &edge.tls, begun)?;
    tally.handshakes.count(&facts);
    let alpn = facts.alpn;
    let peer = Arc::new(Peer { address, address_source, local, listener: Arc::clone(&edge.name), tls: facts });
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::runtime::Builder;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn connections_are_served_by_the_runtimes_in_turn() {
        let worker = || Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (first, second) = (worker(), worker());
        let handles = vec![runtime::Handle::current(), first.handle().clone(), second.handle().clone()];
        let ids: Vec<_> = handles.iter().map(runtime::Handle::id).collect();
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (sender, mut served_by) = mpsc::unbounded_channel();
        let serve = move |mut stream: TcpStream, _, permit: Permit| {
            let sender = sender.clone();
            async move {
                // Only where the socket is watched does this end.
                let byte = stream.read_u8().await.expect("a byte");
                stream.write_all(&[byte]).await.expect("sent");
                sender.send(runtime::Handle::current().id()).expect("somebody hears");
                drop(permit);
            }
        };
        tokio::spawn(async move {
            let (runtimes, connections) = (Runtimes::new(handles), Connections::new(&Limits::default()));
            accept(listener, &runtimes, &connections, None, &Drain::new(), serve).await
        });
        for id in ids.iter().chain(&ids) {
            let mut client = TcpStream::connect(address).await.expect("a connection");
            client.write_all(b"x").await.expect("sent");
            assert_eq!(client.read_u8().await.expect("a byte"), b'x');
            assert_eq!(served_by.recv().await, Some(*id));
        }
        first.shutdown_background();
        second.shutdown_background();
    }
}
