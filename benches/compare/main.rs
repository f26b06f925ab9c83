//! The gateway doing the whole job, side by side with nginx and HAProxy as plain TLS proxies and with nginx+Lua doing the whole
//! job too: same backend, same request, same connections, one worker each, alternated in one run.
//!
//! `cargo bench --bench compare` prints a table in markdown; `-- --quick` is a run of seconds for CI, `-- --check` fails where an
//! aim is missed, `-- --only small,idle` measures only some rows, `-- --beside PATH` adds another build of the gateway. What is measured
//! and how: `docs/performance.md`.

mod backend;
mod http1;
mod load;
mod process;
mod proxies;
mod report;
#[path = "../support/sample.rs"]
mod sample;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use countersign::clock;
use tokio::time::{Instant, sleep, timeout};

use proxies::{Kind, Proxy, Site};
use report::{Measure, Report};
use sample::Size;

const SMALL: Size = Size { body_bytes: 1024, attributes: 10 };
const LARGE: Size = Size { body_bytes: 256 * 1024, attributes: 1_000 };

/// Kept-alive connections, each with a user of its own.
const CONNECTIONS: usize = 32;

/// Large requests need fewer to keep everybody busy.
const LARGE_CONNECTIONS: usize = 8;

const PACED_PER_SECOND: u32 = 1_000;

/// Nothing here takes longer, even on a slow machine; a proxy that hangs must not hang CI.
const STEP_PATIENCE: Duration = Duration::from_secs(120);

/// How much is measured.
struct Plan {
    rounds: usize,
    small_requests: usize,
    large_requests: usize,
    new_connections: usize,
    paced: Duration,
    idle_connections: usize,
}

const FULL: Plan = Plan {
    rounds: 5,
    small_requests: 20_000,
    large_requests: 400,
    new_connections: 2_000,
    paced: Duration::from_secs(3),
    idle_connections: 2_000,
};

const QUICK: Plan = Plan {
    rounds: 3,
    small_requests: 3_000,
    large_requests: 60,
    new_connections: 200,
    paced: Duration::from_millis(500),
    idle_connections: 500,
};

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo test --all-targets` runs this too, without that flag.
    if !has("--bench") {
        println!("nothing measured: cargo bench --bench compare");
        return Ok(ExitCode::SUCCESS);
    }
    let value = |flag: &str| arguments.iter().skip_while(|argument| *argument != flag).nth(1);
    let plan = if has("--quick") { QUICK } else { FULL };
    let measures = match value("--only") {
        Some(names) => names.split(',').map(Measure::named).collect::<anyhow::Result<_>>()?,
        None => Measure::ALL.to_vec(),
    };
    let beside = value("--beside").map(PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&plan, &measures, beside))?;
    Ok(if has("--check") && !report.is_met() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn measure(plan: &Plan, measures: &[Measure], beside: Option<PathBuf>) -> anyhow::Result<Report> {
    let site = Site::prepare(beside)?;
    let bench = Bench::new(&site)?;
    let proxies = bench.start_all().await?;
    let mut report = Report::default();
    for round in 0..plan.rounds {
        // Every other round runs backwards, so that nobody always comes first or always after the same neighbour.
        let mut order: Vec<&Proxy> = proxies.iter().collect();
        if !round.is_multiple_of(2) {
            order.reverse();
        }
        // The latencies come together, and the idle connections need a process of their own.
        let in_rounds = measures.iter().filter(|measure| !matches!(measure, Measure::Latency99 | Measure::Idle));
        for &measure in in_rounds {
            for proxy in &order {
                eprintln!("round {} of {}: {measure:?}, {}", round + 1, plan.rounds, proxy.kind.title());
                timeout(STEP_PATIENCE, bench.step(plan, round, measure, proxy, &mut report))
                    .await
                    .with_context(|| format!("{} hangs at {measure:?}", proxy.kind.title()))??;
            }
        }
    }
    let kinds: Vec<Kind> = proxies.iter().map(|proxy| proxy.kind).collect();
    drop(proxies);
    for kind in kinds.iter().filter(|_| measures.contains(&Measure::Idle)) {
        eprintln!("{} idle connections: {}", plan.idle_connections, kind.title());
        let idle = timeout(STEP_PATIENCE, bench.idle(*kind, plan.idle_connections));
        report.add(*kind, Measure::Idle, 0, idle.await.with_context(|| format!("{} hangs", kind.title()))??);
    }
    println!("{}\n{}", report.table(&kinds, measures)?, report.aims_table()?);
    Ok(report)
}

/// The requests, and the site they are posted to.
struct Bench<'s> {
    site: &'s Site,
    small: Vec<Arc<[u8]>>,
    large: Vec<Arc<[u8]>>,
    small_form: String,
}

impl<'s> Bench<'s> {
    fn new(site: &'s Site) -> anyhow::Result<Self> {
        let now = clock::now_seconds().0;
        let posts = |size, count| (0..count).map(|user| post(&sample::form(size, user, now))).collect();
        let small_form = sample::form(SMALL, 0, now);
        for (size, length) in [(SMALL, small_form.len()), (LARGE, sample::form(LARGE, 0, now).len())] {
            ensure!(
                length.abs_diff(size.body_bytes) < size.body_bytes / 5,
                "a body of {length} bytes is called {size:?}"
            );
        }
        Ok(Self { site, small: posts(SMALL, CONNECTIONS), large: posts(LARGE, LARGE_CONNECTIONS), small_form })
    }

    /// Every proxy that serves and does what its column says. Only the gateway may be absent: then a line says why.
    async fn start_all(&self) -> anyhow::Result<Vec<Proxy>> {
        let mut proxies = Vec::new();
        for kind in self.site.kinds() {
            let proxy = match self.site.start(kind).await {
                Ok(proxy) => proxy,
                Err(problem) if kind == Kind::Countersign => {
                    eprintln!("Countersign is left out: {problem:#}");
                    continue;
                }
                Err(problem) => return Err(problem),
            };
            self.site.prove(&proxy, &self.small_form, self.first_small()?).await?;
            proxies.push(proxy);
        }
        Ok(proxies)
    }

    fn first_small(&self) -> anyhow::Result<&Arc<[u8]>> {
        self.small.first().context("there are connections")
    }

    async fn step(
        &self,
        plan: &Plan,
        round: usize,
        measure: Measure,
        proxy: &Proxy,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let dialer = self.site.dialer(proxy);
        match measure {
            Measure::SmallCpu | Measure::LargeCpu => {
                let (requests, total) = if measure == Measure::SmallCpu {
                    (&self.small, plan.small_requests)
                } else {
                    (&self.large, plan.large_requests)
                };
                let clients = dialer.connect_each(requests).await?;
                let clients = load::awake(load::closed_loop(clients, total / 10)).await?;
                let load = load::closed_loop(clients, total);
                report.add(proxy.kind, measure, round, self.cpu_per_thousand(proxy, total, load).await?);
            }
            Measure::ConnectionCpu => {
                let total = plan.new_connections;
                dialer.open_and_close(total / 10, self.first_small()?).await?;
                let load = async {
                    dialer.open_and_close(total, self.first_small()?).await?;
                    // The proxy's end of the last ones.
                    sleep(Duration::from_millis(50)).await;
                    anyhow::Ok(())
                };
                report.add(proxy.kind, measure, round, self.cpu_per_thousand(proxy, total, load).await?);
            }
            Measure::LatencyMedian | Measure::Latency99 => {
                let clients = dialer.connect_each(&self.small).await?;
                let times = load::awake(load::paced(clients, PACED_PER_SECOND, plan.paced)).await?;
                for (measure, percent) in [(Measure::LatencyMedian, 50), (Measure::Latency99, 99)] {
                    let time = times.get(times.len() * percent / 100).context("nothing was answered")?;
                    report.add(proxy.kind, measure, round, time.as_secs_f64() * 1000.0);
                }
            }
            Measure::Idle => {
                report.add(proxy.kind, measure, round, self.idle(proxy.kind, plan.idle_connections).await?);
            }
        }
        Ok(())
    }

    /// CPU seconds of the proxy per 1,000 of `total`, all of which must arrive at the backend.
    async fn cpu_per_thousand<T>(
        &self,
        proxy: &Proxy,
        total: usize,
        load: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<f64> {
        let answered = self.site.backend().answered();
        let (before, began) = (process::cpu_time(proxy.id())?, Instant::now());
        load::awake(load).await?;
        let took = began.elapsed().as_secs_f64();
        let spent = process::cpu_time(proxy.id())?.saturating_sub(before).as_secs_f64();
        let arrived = self.site.backend().answered() - answered;
        ensure!(arrived == u64::try_from(total)?, "{arrived} of {total} requests arrived");
        let total = f64::from(u32::try_from(total)?);
        eprintln!("  {:.0} requests/s, {:.0} % of a CPU", total / took, spent / took * 100.0);
        Ok(spent * 1000.0 / total)
    }

    /// KiB that a process of its own grows by for each connection that has sent one request and then nothing.
    async fn idle(&self, kind: Kind, count: usize) -> anyhow::Result<f64> {
        let proxy = self.site.start(kind).await?;
        let dialer = self.site.dialer(&proxy);
        // What a process needs once, whatever the number of connections.
        drop(load::closed_loop(dialer.connect_each(&self.small).await?, 1_000).await?);
        sleep(Duration::from_secs(1)).await;
        let before = process::resident_kib(proxy.id())?;
        let clients = dialer.open(count, self.first_small()?).await?;
        sleep(Duration::from_secs(1)).await;
        let after = process::resident_kib(proxy.id())?;
        ensure!(clients.len() == count, "{} of {count} connections are open", clients.len());
        let grown = u32::try_from(after.saturating_sub(before))?;
        Ok(f64::from(grown) / f64::from(u32::try_from(count)?))
    }
}

/// A request as it goes over the wire.
fn post(form: &str) -> Arc<[u8]> {
    let request = format!(
        "POST /messenger/web/ping HTTP/1.1\r\nHost: localhost\r\nOrigin: {}\r\nReferer: {}/\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         Accept: */*\r\nAccept-Language: en\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        sample::ORIGIN,
        sample::ORIGIN,
        form.len(),
    );
    Arc::from(request.into_bytes())
}
