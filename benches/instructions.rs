//! Open, verify, judge, rewrite: how many instructions each takes. Unlike time they hardly vary, so a regression shows on any machine,
//! however busy.
//!
//! `cargo bench --bench instructions` prints a table. `-- --check` compares it with `benches/instructions.txt` and fails where a step grew
//! by more than a tenth; `-- --write` makes the table the new baseline; `--quick` looks at the smallest and the largest case only, for CI.
//! It runs itself under valgrind's callgrind, whose processor has the same features everywhere.

#[path = "support/middle.rs"]
mod middle;
#[path = "support/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use middle::{CASES, Case, Middle, Step};

/// The committed baseline: a line for each step, `case step instructions`.
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// By how much a step may grow, in percent.
const GROWTH_PERCENT_MAX: u64 = 10;

/// How often a step is done, to see about how dear it is.
const ITERATIONS_FIRST: u64 = 10;

/// How often one is done that takes few instructions: what happens once, and now and then takes some hundred thousand (the collection of
/// entropy, say), must not show.
const ITERATIONS_OF_CHEAP: u64 = 400;

/// Up to so many instructions a step is cheap.
const CHEAP_MAX: u64 = 1_000_000;

/// What tells the process that it is the one under valgrind.
const MEASURED: &str = "--measured";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case, step, iterations] = arguments.as_slice()
        && flag == MEASURED
    {
        run(case, step, iterations.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo test --all-targets` runs this too, without that flag.
    if !has("--bench") {
        println!("nothing measured: cargo bench --bench instructions");
        return Ok(ExitCode::SUCCESS);
    }
    // Before minutes are spent on counting.
    let baseline = if has("--check") { Some(read_baseline()?) } else { None };
    let [smallest, .., largest] = CASES;
    let counts = if has("--quick") { count_all(&[smallest, largest])? } else { count_all(&CASES)? };
    if has("--write") {
        let lines = counts.iter().map(|((case, step), count)| format!("{case} {step} {count}\n"));
        fs::write(BASELINE, lines.collect::<String>())?;
    }
    print_table(&counts);
    baseline.map_or(Ok(ExitCode::SUCCESS), |baseline| compare(&counts, &baseline))
}

/// Instructions of one step, by the names of case and step.
type Counts = BTreeMap<(String, String), u64>;

fn count_all(cases: &[Case]) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    for &case in cases {
        let setup = collected(case, Step::Whole, 0)?;
        for step in Step::ALL {
            let each = |iterations| anyhow::Ok(collected(case, step, iterations)?.saturating_sub(setup) / iterations);
            let first = each(ITERATIONS_FIRST)?;
            let count = if first > CHEAP_MAX { first } else { each(ITERATIONS_OF_CHEAP)? };
            counts.insert((case.name.to_owned(), step.name().to_owned()), count);
        }
    }
    Ok(counts)
}

/// What callgrind counts in a whole process that does one step so often.
fn collected(case: Case, step: Step, iterations: u64) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([MEASURED, case.name, step.name(), &iterations.to_string()])
        .output()
        .context("instructions are counted by valgrind: apt-get install valgrind")?;
    let log = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}, {}: {log}", case.name, step.name());
    let count = log.lines().find_map(|line| line.split_once("Collected : ")).context("callgrind counted nothing")?.1;
    Ok(count.trim().parse()?)
}

/// The process under valgrind.
fn run(case: &str, step: &str, iterations: u64) -> anyhow::Result<()> {
    let case = CASES.into_iter().find(|known| known.name == case).context("no such case")?;
    let step = Step::ALL.into_iter().find(|known| known.name() == step).context("no such step")?;
    Middle::prepare()?.lend(&case.body(), step, |once| (0..iterations).for_each(|_| once()))
}

fn print_table(counts: &Counts) {
    let row = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    let first = std::iter::once("instructions".to_owned());
    row(first.chain(Step::ALL.map(|step| step.name().to_owned())).collect());
    row(std::iter::once("---".to_owned()).chain(Step::ALL.map(|_| "---:".to_owned())).collect());
    let of_step = |case: Case, step: Step| counts.get(&(case.name.to_owned(), step.name().to_owned()));
    for case in CASES.into_iter().filter(|case| of_step(*case, Step::Whole).is_some()) {
        let of_step = |step: Step| of_step(case, step).map_or_else(String::new, ToString::to_string);
        row(std::iter::once(case.name.to_owned()).chain(Step::ALL.map(of_step)).collect());
    }
}

fn compare(counts: &Counts, baseline: &Counts) -> anyhow::Result<ExitCode> {
    let mut verdict = ExitCode::SUCCESS;
    for ((case, step), count) in counts {
        let key = (case.clone(), step.clone());
        let before =
            *baseline.get(&key).with_context(|| format!("{case} {step} is not in the baseline: -- --write"))?;
        if *count > before + before * GROWTH_PERCENT_MAX / 100 {
            eprintln!("{case} {step}: {count} instructions, {before} in the baseline");
            verdict = ExitCode::FAILURE;
        }
    }
    Ok(verdict)
}

fn read_baseline() -> anyhow::Result<Counts> {
    let text = fs::read_to_string(BASELINE).context("there is no baseline yet: -- --write")?;
    text.lines()
        .map(|line| {
            let [case, step, count] = line.split(' ').collect::<Vec<_>>()[..] else {
                anyhow::bail!("expected `case step instructions`, found `{line}`")
            };
            Ok(((case.to_owned(), step.to_owned()), count.parse()?))
        })
        .collect()
}
