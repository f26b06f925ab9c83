//! How much memory rates take, in a process of its own: beside other tests it could not be told.

// Tests may panic (`clippy.toml`): this says that all of it is tests, the helpers too.
#![cfg(test)]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use countersign::decision::Mode;
use countersign::edge::rates::{Rates, Taken};
use countersign::policy::Rate;

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_million_addresses_take_no_more_memory_than_the_table_has() {
    let number = |number| NonZeroU32::new(number).expect("not zero");
    // It comes back so slowly that nothing is forgotten while this runs.
    let rate = Rate { count: number(1), per: Duration::from_secs(3_600), burst: number(100), mode: Mode::Enforce };
    let rates = Rates::new(65_536);
    let ask = |from: u32, to: u32| {
        for address in from..to {
            let taken = rates.by_address(&rate, IpAddr::V4(Ipv4Addr::from_bits(address)), rates.now());
            assert!(!matches!(taken, Taken::Refused(_)), "{address}");
        }
    };
    let before = resident();
    ask(0, 50_000);
    let first = resident();
    ask(50_000, 1_050_000);
    let after = resident();
    // Its places are 65,536 of 16 bytes and a lock for eight of them, all made with the first key.
    assert!(first - before < 2 * 1024, "{} KiB", first - before);
    assert!(after.saturating_sub(first) < 256, "{} KiB more for a million addresses", after - first);
}
