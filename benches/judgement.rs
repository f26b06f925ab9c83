//! Open, verify, judge, rewrite: how long each takes, by size of the body and number of attributes.
//!
//! `cargo bench --bench judgement`; one case alone: `cargo bench --bench judgement -- 1KB-10`. Criterion compares with the run before.
//! On a busy machine look at `instructions` instead.

#[path = "support/middle.rs"]
mod middle;
#[path = "support/sample.rs"]
mod sample;

use std::time::Duration;

use criterion::{Criterion, Throughput};
use middle::{CASES, Middle, Step};

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let middle = Middle::prepare()?;
    for case in CASES {
        let body = case.body();
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Bytes(u64::try_from(body.len())?));
        for step in Step::ALL {
            middle.lend(&body, step, |once| {
                group.bench_function(step.name(), |bencher| bencher.iter(&mut *once));
            })?;
        }
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
