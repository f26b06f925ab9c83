//! What the state costs, and that its memory is flat: ten million token ids pass through it while time goes on, and ten million sessions.
//!
//! `cargo bench --bench state`; in short, to see that all of it runs: `cargo bench --bench state -- --test`. Resident memory is the kernel's
//! word (`VmRSS`); each case starts a process of its own, so that none finds what another left.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use countersign::clock::UnixSeconds;
use countersign::state::{Claimed, Key, Memory, MemoryLimits, OnDisk, Space, StateError, Store};
use futures_util::FutureExt;

/// Token ids each live for this long, and so many come in a second: a hundred thousand are in force at once.
const LIFETIME_SECONDS: u64 = 100;
const IDS_PER_SECOND: u64 = 1_000;

// Sessions have a third of what is kept while there is room.
const LIMITS: MemoryLimits = MemoryLimits { kept_max: 1_000_000, cached_bytes_max: 3 * 64 * 1024 * 1024 };

/// Where memory is looked at.
const MARKS: [u64; 3] = [1_000_000, 5_000_000, 10_000_000];

/// Everything a hundredth as large, where only running counts.
const SHORT: u64 = 100;

type Case = fn(&Plan) -> anyhow::Result<()>;

const CASES: [(&str, Case); 5] = [
    ("claim", claim),
    ("claim_again", claim_again),
    ("claim_on_disk", claim_on_disk),
    ("sessions", sessions),
    ("threads", threads),
];

/// How much of it is done.
struct Plan {
    divisor: u64,
}

impl Plan {
    fn marks(&self) -> [u64; 3] {
        MARKS.map(|mark| mark / self.divisor)
    }

    fn last(&self) -> u64 {
        self.marks().into_iter().max().unwrap_or_default()
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = Plan { divisor: if arguments.iter().any(|argument| argument == "--test") { SHORT } else { 1 } };
    let wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    if let (Ok(only), false) = (std::env::var(ONLY), plan.last() == 0) {
        let (_, run) = CASES.iter().find(|(name, _)| *name == only).context("a case of this name")?;
        return run(&plan);
    }
    for (name, _) in CASES {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        println!("{name}");
        let status = Command::new(std::env::current_exe()?).args(&arguments).env(ONLY, name).status()?;
        anyhow::ensure!(status.success(), "{name}: {status}");
    }
    Ok(())
}

/// Names the one case of a process.
const ONLY: &str = "STATE_BENCH_CASE";

/// Ten million ids, each used once, while time goes on.
fn claim(plan: &Plan) -> anyhow::Result<()> {
    let memory = Memory::new(LIMITS);
    through(plan, &memory, Space::TokenId, |store, key, now| claim_once(store, key, now))
}

/// The same with the file behind it.
fn claim_on_disk(plan: &Plan) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let (store, task) = OnDisk::open(&directory.path().join("state"), LIMITS, UnixSeconds(0))?;
    through(plan, &store, Space::TokenId, |store, key, now| claim_once(store, key, now))?;
    let began = Instant::now();
    task.flush_and_stop(Duration::from_secs(60))?;
    let file = std::fs::metadata(directory.path().join("state/state.redb"))?.len();
    println!(
        "  written out in {:?}; {} found no room; the file has {} MiB",
        began.elapsed(),
        store.numbers().unwritten,
        file >> 20
    );
    Ok(())
}

/// One id that comes again and again, as a copied token does.
fn claim_again(plan: &Plan) -> anyhow::Result<()> {
    let memory = Memory::new(LIMITS);
    let key = Key::of(Space::TokenId, "acme", b"1");
    let began = Instant::now();
    for _ in 0..plan.last() {
        black_box(at_once(memory.claim(key, Bytes::new(), UnixSeconds(2_000), UnixSeconds(1_000)))?);
    }
    say(plan.last(), began.elapsed(), &memory)
}

/// Ten million sessions: each is written once and read once, and the oldest go.
fn sessions(plan: &Plan) -> anyhow::Result<()> {
    let memory = Memory::new(LIMITS);
    let role = Bytes::from_static(b"user");
    through(plan, &memory, Space::Session, |store, key, now| {
        at_once(store.put(key, role.clone(), UnixSeconds(now.0 + 86_400), now))?;
        black_box(at_once(store.get(key, now))?);
        Ok(())
    })
}

/// As many threads as there are cores, all at once.
fn threads(plan: &Plan) -> anyhow::Result<()> {
    let memory = Memory::new(LIMITS);
    let cores = std::thread::available_parallelism()?.get() as u64;
    let each = plan.last() / 4 / cores;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..cores)
            .map(|thread| {
                let memory = &memory;
                scope.spawn(move || -> Result<(), StateError> {
                    for number in 0..each {
                        claim_once(memory, key(Space::TokenId, thread << 40 | number), now(number * cores))?;
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in running {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        anyhow::Ok(())
    })?;
    println!("  {cores} threads");
    say(each * cores, began.elapsed(), &memory)
}

fn through(
    plan: &Plan,
    store: &dyn Store,
    space: Space,
    act: impl Fn(&dyn Store, Key, UnixSeconds) -> Result<(), StateError>,
) -> anyhow::Result<()> {
    let mut resident = BTreeMap::new();
    let mut spent = Duration::ZERO;
    let mut began = Instant::now();
    for number in 0..plan.last() {
        act(store, key(space, number), now(number))?;
        if plan.marks().contains(&(number + 1)) {
            spent += began.elapsed();
            resident.insert(number + 1, resident_bytes()?);
            say(number + 1, spent, store)?;
            began = Instant::now();
        }
    }
    // In short, what grows is the allocator's first pages.
    if plan.divisor == 1 {
        let first = resident.values().next().copied().unwrap_or_default();
        let last = resident.values().next_back().copied().unwrap_or_default();
        anyhow::ensure!(last < first + first / 4 + (16 << 20), "memory grows: {resident:?}");
    }
    Ok(())
}

fn claim_once(store: &dyn Store, key: Key, now: UnixSeconds) -> Result<(), StateError> {
    let until = UnixSeconds(now.0 + i64::try_from(LIFETIME_SECONDS).unwrap_or_default());
    match at_once(store.claim(key, Bytes::new(), until, now))? {
        Claimed::First => Ok(()),
        // No id comes twice here.
        Claimed::Already(_) => Err(StateError::Unavailable),
    }
}

fn key(space: Space, number: u64) -> Key {
    Key::of(space, "acme", &number.to_be_bytes())
}

fn now(number: u64) -> UnixSeconds {
    UnixSeconds(i64::try_from(number / IDS_PER_SECOND).unwrap_or_default())
}

fn at_once<T>(answer: countersign::state::Answer<'_, T>) -> Result<T, StateError> {
    answer.now_or_never().unwrap_or(Err(StateError::Unavailable))
}

fn say(count: u64, spent: Duration, store: &dyn Store) -> anyhow::Result<()> {
    let each = spent.as_nanos() / u128::from(count.max(1));
    let (resident, entries) = (resident_bytes()? >> 20, store.numbers().entries);
    println!("  {count:>8}: {each:>5} ns each, {resident:>4} MiB resident, {entries:>7} kept until their end");
    Ok(())
}

fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kibibytes * 1024)
}
