//! What the kernel says of a process.

use std::time::Duration;

use anyhow::Context;

#[derive(Clone, Copy)]
pub struct Reading {
    pub resident_kib: u64,
    /// The most that was ever resident.
    pub most_kib: u64,
    /// In user and system.
    pub cpu: Duration,
}

/// `sysconf(_SC_CLK_TCK)`, which is the same on every Linux that this runs on.
const TICKS_PER_SECOND: u64 = 100;

impl Reading {
    pub fn of(process: u32) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).with_context(|| format!("no {name}"))
        };
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        // Behind the name, which may hold anything, `utime` and `stime` are the twelfth and thirteenth.
        let (_, fields) = stat.rsplit_once(')').context("no name")?;
        let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Self {
            resident_kib: kib("VmRSS:")?,
            most_kib: kib("VmHWM:")?,
            cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND),
        })
    }
}
