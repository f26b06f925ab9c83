//! The load: kept-alive TLS 1.3 connections that post the same request again and again, and check every answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http1::Reader;

/// New connections that are opened at the same time.
const OPENING: usize = 32;

/// Opens connections to one proxy.
#[derive(Clone)]
pub struct Dialer {
    connector: TlsConnector,
    address: SocketAddr,
}

/// One kept-alive connection.
pub struct Client {
    reader: Reader<TlsStream<TcpStream>>,
    head: String,
}

/// What every connection of the comparison speaks: TLS 1.3 with X25519, which all proxies have, the cipher suites that browsers offer in
/// their order, and never resumed.
pub fn tls(ca: CertificateDer<'static>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(ca)?;
    let provider = CryptoProvider {
        cipher_suites: vec![
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl Dialer {
    pub fn new(tls: Arc<ClientConfig>, port: u16) -> Self {
        Self { connector: TlsConnector::from(tls), address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    pub async fn connect(&self) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let stream = self.connector.connect(name, stream).await?;
        Ok(Client { reader: Reader::new(stream), head: String::new() })
    }

    /// As many connections as there are requests to post on them, each used once.
    pub async fn connect_each(&self, requests: &[Arc<[u8]>]) -> anyhow::Result<Vec<(Client, Arc<[u8]>)>> {
        let mut clients = Vec::new();
        for request in requests {
            let mut client = self.connect().await?;
            client.exchange(request).await?;
            clients.push((client, Arc::clone(request)));
        }
        Ok(clients)
    }

    /// Handshakes with one request each, some at the same time; gives the connections, still open.
    pub async fn open(&self, count: usize, request: &Arc<[u8]>) -> anyhow::Result<Vec<Client>> {
        self.in_parallel(count, request, async |client| Ok(client)).await
    }

    /// The same, each connection closed after its request.
    pub async fn open_and_close(&self, count: usize, request: &Arc<[u8]>) -> anyhow::Result<()> {
        self.in_parallel(count, request, async |mut client: Client| Ok(client.reader.stream.shutdown().await?)).await?;
        Ok(())
    }

    async fn in_parallel<T: Send + 'static, F: Future<Output = anyhow::Result<T>> + Send>(
        &self,
        count: usize,
        request: &Arc<[u8]>,
        afterwards: impl Fn(Client) -> F + Copy + Send + 'static,
    ) -> anyhow::Result<Vec<T>> {
        let left = Arc::new(AtomicUsize::new(count));
        let mut tasks = JoinSet::new();
        for _ in 0..OPENING {
            let (dialer, request, left) = (self.clone(), Arc::clone(request), Arc::clone(&left));
            tasks.spawn(async move {
                let mut done = Vec::new();
                while take_one(&left) {
                    let mut client = dialer.connect().await?;
                    client.exchange(&request).await?;
                    done.push(afterwards(client).await?);
                }
                anyhow::Ok(done)
            });
        }
        let mut all = Vec::with_capacity(count);
        while let Some(done) = tasks.join_next().await {
            all.extend(done??);
        }
        Ok(all)
    }
}

impl Client {
    /// Posts a request and waits for the whole answer, which must be 200.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.reader.stream.write_all(request).await?;
        self.reader.stream.flush().await?;
        let answer = self.reader.read(&mut self.head).await?.context("the connection ended before the answer")?;
        ensure!(
            answer.status() == "200",
            "expected 200, came\n{}{}",
            answer.head,
            String::from_utf8_lossy(&answer.body)
        );
        ensure!(!answer.body.is_empty(), "an answer without body");
        Ok(())
    }
}

/// Posts `total` requests, on each connection the next as soon as the last is answered.
pub async fn closed_loop(clients: Vec<(Client, Arc<[u8]>)>, total: usize) -> anyhow::Result<Vec<(Client, Arc<[u8]>)>> {
    let left = Arc::new(AtomicUsize::new(total));
    let mut tasks = JoinSet::new();
    for (mut client, request) in clients {
        let left = Arc::clone(&left);
        tasks.spawn(async move {
            while take_one(&left) {
                client.exchange(&request).await?;
            }
            anyhow::Ok((client, request))
        });
    }
    let mut clients = Vec::new();
    while let Some(client) = tasks.join_next().await {
        clients.push(client??);
    }
    Ok(clients)
}

/// Posts requests at a fixed rate for a while, whether answered or not, and gives the time that each took, sorted.
///
/// The time of a request begins when it was due, also where its connection was still waiting for an answer then. Only the
/// lateness of our own timer (it ticks in milliseconds) is not the proxy's, and is left out.
pub async fn paced(
    clients: Vec<(Client, Arc<[u8]>)>,
    per_second: u32,
    duration: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let interval = Duration::from_secs(1) / per_second;
    let turn = interval * u32::try_from(clients.len())?;
    let begin = Instant::now() + Duration::from_millis(10);
    let end = begin + duration;
    let mut tasks = JoinSet::new();
    let mut first_due = begin;
    for (mut client, request) in clients {
        let mut due = first_due;
        first_due += interval;
        tasks.spawn(async move {
            let mut times = Vec::new();
            while due < end {
                let began = if Instant::now() < due {
                    sleep_until(due).await;
                    Instant::now()
                } else {
                    due
                };
                client.exchange(&request).await?;
                times.push(began.elapsed());
                due += turn;
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = tasks.join_next().await {
        all.extend(times??);
    }
    all.sort_unstable();
    Ok(all)
}

/// Does `load` on a thread that never sleeps meanwhile.
///
/// Over the loopback whoever writes pays for waking whoever reads, in a virtual machine some microseconds. A proxy that is busier than the
/// load would pay them for each request and a quicker one for a few at a time, although neither would to a network card.
pub async fn awake<T>(load: impl Future<Output = T>) -> T {
    let sentry = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let done = load.await;
    sentry.abort();
    done
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}
