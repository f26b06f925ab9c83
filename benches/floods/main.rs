//! What floods cost the gateway, and what they cost everybody else: the real binary, one flood at a time, a well-behaved client beside it.
//!
//! `cargo bench --bench floods` prints a table in markdown; `-- --quick` is a run of seconds for CI, `-- --check` fails where memory grows beyond
//! [`GROWTH_KIB_MAX`] or the well-behaved client is not served, `-- --only ping,settings` runs only some. What is measured: `docs/performance.md`.

#[allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "the tests' own gateway and clients, of which a part is needed here"
)]
mod support;

mod flood;
mod process;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use flood::{FLOODS, Flood, Target};
use process::Reading;
use support::{Client, Protocol, Setup, TestGateway, TestUpstream, form};

/// Connections of a flood at once.
const CONNECTIONS: usize = 50;
/// The well-behaved client sends a request each so often.
const PACE: Duration = Duration::from_millis(10);
/// A request that takes longer is not served.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// No flood may make the process grow by more.
const GROWTH_KIB_MAX: u64 = 64 * 1024;
/// What is asked of the upstream; it answers with so many bytes where `large` is among it.
const LARGE_BYTES: usize = 256 * 1024;

/// What came of one flood.
struct Outcome {
    name: &'static str,
    quiet: Duration,
    beside: Duration,
    slowest: Duration,
    served: usize,
    failed: usize,
    reached: usize,
    connections: u64,
    before: Reading,
    after: Reading,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo test --all-targets` runs this too, without that flag.
    if !has("--bench") {
        println!("nothing measured: cargo bench --bench floods");
        return Ok(ExitCode::SUCCESS);
    }
    let only = arguments.iter().skip_while(|argument| *argument != "--only").nth(1);
    let lasts = Duration::from_secs(if has("--quick") { 2 } else { 10 });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!(
        "| flood | connections | reached the upstream | RSS before, after, most (MiB) | CPU s | median beside (quiet), slowest (ms) | served, not |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut is_met = true;
    for flood in FLOODS.iter().filter(|flood| only.is_none_or(|only| only.split(',').any(|name| name == flood.name))) {
        let outcome = runtime.block_on(measure(flood, lasts)).with_context(|| flood.name)?;
        is_met &= outcome.print();
    }
    Ok(if has("--check") && !is_met { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure(flood: &'static Flood, lasts: Duration) -> anyhow::Result<Outcome> {
    let upstream = TestUpstream::answering(|received| {
        let is_large = received.body.windows(5).any(|window| window == b"large");
        let body = if is_large { vec![b'x'; LARGE_BYTES] } else { b"{}".to_vec() };
        (Duration::ZERO, http::Response::new(body.into()))
    })
    .await;
    let gateway = Setup::acme(upstream.address).start();
    let target =
        Arc::new(Target { address: gateway.address, ca_pem: gateway.ca_pem.clone(), connections: AtomicU64::new(0) });

    let (quiet, _, _) = good_client(&gateway, Duration::from_secs(1)).await?;
    ensure!(!quiet.is_empty(), "the gateway serves nobody");
    let before = Reading::of(gateway.process())?;
    let reached_before = upstream.received().len();
    let ends = Instant::now() + lasts;
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let target = Arc::clone(&target);
            tokio::spawn(async move {
                while Instant::now() < ends {
                    // Whoever is let go comes back.
                    drop(timeout(ends - Instant::now(), (flood.run)(&target)).await);
                    sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    let (times, failed, slowest) = good_client(&gateway, lasts).await?;
    for worker in workers {
        worker.await?;
    }
    let after = Reading::of(gateway.process())?;
    Ok(Outcome {
        name: flood.name,
        quiet: median(quiet),
        served: times.len(),
        beside: median(times),
        slowest,
        failed,
        reached: upstream.received().len().saturating_sub(reached_before),
        connections: target.connections.load(Ordering::Relaxed),
        before,
        after,
    })
}

/// How long each request took, how many failed, and the longest.
type Served = (Vec<Duration>, usize, Duration);

/// Asks for so long, from a thread of its own, so that it waits for the gateway and never for the flood's own clients.
async fn good_client(gateway: &TestGateway, lasts: Duration) -> anyhow::Result<Served> {
    let (address, ca_pem) = (gateway.address, gateway.ca_pem.clone());
    let asking = tokio::task::spawn_blocking(move || -> anyhow::Result<Served> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(ask(address, &ca_pem, lasts)))
    });
    asking.await?
}

/// The floods have an address of their own, as floods do: what they use up is not everybody's.
async fn from_elsewhere(gateway: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0)))?;
    socket.connect(gateway).await
}

async fn ask(address: SocketAddr, ca_pem: &str, lasts: Duration) -> Served {
    let (mut times, mut failed, mut slowest) = (Vec::new(), 0, Duration::ZERO);
    let mut client = None;
    let ends = Instant::now() + lasts;
    while Instant::now() < ends {
        let began = Instant::now();
        let served = timeout(SERVED_WITHIN, async {
            let client = match &mut client {
                Some(client) => client,
                none @ None => none.insert(Client::over(from_elsewhere(address).await?, ca_pem, Protocol::Http2).await),
            };
            let body = form(&[("app_id", "abc12345"), ("user_data", "{}")]);
            std::io::Result::Ok(client.post_form("/messenger/web/ping", body).await.status == 200)
        });
        if matches!(served.await, Ok(Ok(true))) {
            times.push(began.elapsed());
        } else {
            failed += 1;
        }
        slowest = slowest.max(began.elapsed());
        sleep(PACE).await;
    }
    (times, failed, slowest)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl Outcome {
    /// Prints its row; whether all is as it must be.
    fn print(&self) -> bool {
        let own = self.served + self.failed;
        println!(
            "| {} | {} | {} | {}, {}, {} | {:.2} | {:.1} ({:.1}), {:.0} | {}, {} |",
            self.name,
            self.connections,
            self.reached.saturating_sub(own),
            self.before.resident_kib / 1024,
            self.after.resident_kib / 1024,
            self.after.most_kib / 1024,
            (self.after.cpu.saturating_sub(self.before.cpu)).as_secs_f64(),
            self.beside.as_secs_f64() * 1e3,
            self.quiet.as_secs_f64() * 1e3,
            self.slowest.as_secs_f64() * 1e3,
            self.served,
            self.failed,
        );
        self.failed == 0 && self.served > 0 && self.after.most_kib < self.before.resident_kib + GROWTH_KIB_MAX
    }
}
