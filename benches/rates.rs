//! What a rate costs a request: one key again and again, a million keys in turn, a table that is full of debts, and two threads with one key.
//!
//! `cargo bench --bench rates` prints a table in markdown; `-- --test` does a hundredth of it, for CI.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use countersign::decision::Mode;
use countersign::edge::rates::Rates;
use countersign::policy::{Limits, Rate, Rates as Policy};

/// Questions of each case.
const QUESTIONS: u32 = 5_000_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo test --all-targets` runs this too, without that flag.
    if !has("--bench") {
        println!("nothing measured: cargo bench --bench rates");
        return Ok(());
    }
    let questions = if has("--test") { QUESTIONS / 100 } else { QUESTIONS };
    let usual = Policy::default().requests_per_address;
    let one_an_hour = Rate {
        count: NonZeroU32::MIN,
        per: Duration::from_secs(3_600),
        burst: NonZeroU32::new(1_000).context("not zero")?,
        mode: Mode::Enforce,
    };
    println!("| case | ns for each question |\n| --- | ---: |");
    let row = |case: &str, rate: &Rate, keys: u32, threads: u32| {
        let rates = Rates::new(Limits::default().rate_keys_max);
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for question in 0..questions / threads {
                        let address = IpAddr::V4(Ipv4Addr::from_bits(question % keys));
                        let _ = black_box(rates.by_address(rate, black_box(address), rates.now()));
                    }
                });
            }
        });
        println!("| {case} | {:.0} |", began.elapsed().as_secs_f64() * 1e9 / f64::from(questions));
    };
    row("one address", &usual, 1, 1);
    row("a million addresses in turn", &usual, 1_000_000, 1);
    row("a million addresses in turn, of which all owe", &one_an_hour, 1_000_000, 1);
    row("one address, two threads", &usual, 1, 2);
    Ok(())
}
