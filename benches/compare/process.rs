//! What a process and its children cost, from `/proc`, and on which CPU they run.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

/// The process and its descendants.
fn tree(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended since it was listed.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name in parentheses may hold spaces; state and parent follow it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.push((pid, parent.unwrap_or(0)));
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(tree)
}

/// User and system time of a process, its threads and its children since they began.
///
/// From `schedstat`, which counts in nanoseconds what `stat` rounds to ticks of 10 ms.
pub fn cpu_time(root: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for pid in tree(root)? {
        for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))? {
            let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let on_cpu = schedstat.split_whitespace().next().context("an empty schedstat")?;
            nanoseconds += on_cpu.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory of a process and its children in KiB, each shared page counted once (PSS).
pub fn resident_kib(root: u32) -> anyhow::Result<u64> {
    let mut total = 0;
    for pid in tree(root)? {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
        total += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(total)
}

/// Where things run: the proxies on the last CPU, load and backend on the others. On one CPU everything shares it.
pub struct Placement {
    last_cpu: usize,
}

impl Placement {
    /// Moves this process, with all its threads, off the proxies' CPU.
    pub fn take() -> anyhow::Result<Self> {
        let last_cpu = std::thread::available_parallelism()?.get() - 1;
        if last_cpu > 0 {
            let cpus = format!("0-{}", last_cpu - 1);
            let own = std::process::id().to_string();
            let output = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", &cpus, &own]).output()?;
            anyhow::ensure!(output.status.success(), "taskset: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self { last_cpu })
    }

    /// A command on the proxies' CPU. It ends with this process, also where this one is killed.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "taskset", "--cpu-list", &self.last_cpu.to_string(), program]);
        command
    }
}
