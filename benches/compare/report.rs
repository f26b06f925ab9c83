//! The figures of one run and the table they make. Every ratio is taken round by round, between two measurements that were
//! made one after the other.

use std::fmt::{self, Write};

use anyhow::bail;

use super::proxies::Kind;

/// What is measured, in the order of the table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    SmallCpu,
    LargeCpu,
    ConnectionCpu,
    LatencyMedian,
    Latency99,
    Idle,
}

impl Measure {
    /// In the order of the table's rows.
    pub const ALL: [Self; 6] =
        [Self::SmallCpu, Self::LargeCpu, Self::ConnectionCpu, Self::LatencyMedian, Self::Latency99, Self::Idle];

    /// The measure that `--only` calls so.
    pub fn named(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "small" => Self::SmallCpu,
            "large" => Self::LargeCpu,
            "connections" => Self::ConnectionCpu,
            "latency" => Self::LatencyMedian,
            "idle" => Self::Idle,
            _ => bail!("--only takes small, large, connections, latency and idle, with commas between them"),
        })
    }

    fn title(self) -> &'static str {
        match self {
            Self::SmallCpu => "CPU s per 1,000 requests, 1 KB, 10 attributes",
            Self::LargeCpu => "CPU s per 1,000 requests, 256 KB, 1,000 attributes",
            Self::ConnectionCpu => "CPU s per 1,000 new connections with a request each",
            Self::LatencyMedian => "p50 at 1,000 requests/s, ms",
            Self::Latency99 => "p99 at 1,000 requests/s, ms",
            Self::Idle => "KiB per idle TLS connection",
        }
    }

    fn decimals(self) -> usize {
        match self {
            Self::SmallCpu | Self::ConnectionCpu | Self::LatencyMedian | Self::Latency99 => 3,
            Self::LargeCpu => 2,
            Self::Idle => 1,
        }
    }
}

/// One figure: of whom, of what, in which round.
struct Figure {
    kind: Kind,
    measure: Measure,
    round: usize,
    value: f64,
}

/// All figures of a run.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

/// The middle of some figures, with the lowest and the highest.
#[derive(Clone, Copy)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median =
            if values.len().is_multiple_of(2) { f64::midpoint(*values.get(middle - 1)?, upper) } else { upper };
        Some(Self { low: *values.first()?, median, high: *values.last()? })
    }
}

/// What the whole job may cost.
struct Aim {
    words: &'static str,
    at_most: f64,
    found: Option<f64>,
}

impl Report {
    pub fn add(&mut self, kind: Kind, measure: Measure, round: usize, value: f64) {
        self.figures.push(Figure { kind, measure, round, value });
    }

    fn value(&self, kind: Kind, measure: Measure, round: usize) -> Option<f64> {
        let is_it = |figure: &&Figure| figure.kind == kind && figure.measure == measure && figure.round == round;
        self.figures.iter().find(is_it).map(|figure| figure.value)
    }

    fn spread(&self, kind: Kind, measure: Measure) -> Option<Spread> {
        let is_it = |figure: &&Figure| figure.kind == kind && figure.measure == measure;
        Spread::of(self.figures.iter().filter(is_it).map(|figure| figure.value).collect())
    }

    /// `kind`'s figures divided by `other`'s of the same round.
    fn ratio(&self, kind: Kind, other: Kind, measure: Measure) -> Option<Spread> {
        let is_it = |figure: &&Figure| figure.kind == kind && figure.measure == measure;
        let of_round = |figure: &Figure| Some(figure.value / self.value(other, measure, figure.round)?);
        Spread::of(self.figures.iter().filter(is_it).filter_map(of_round).collect())
    }

    /// The table, in markdown: the rows of `measures`, and the 99th percentile with the median.
    pub fn table(&self, kinds: &[Kind], measures: &[Measure]) -> Result<String, fmt::Error> {
        let mut table = String::from("|");
        for kind in kinds {
            let job = if kind.does_the_whole_job() { "the whole job" } else { "plain proxy" };
            write!(table, " | {}, {job}", kind.title())?;
        }
        write!(table, " |\n| ---{} |\n", " | ---:".repeat(kinds.len()))?;
        let asked = |measure: &Measure| {
            measures.contains(measure) || *measure == Measure::Latency99 && measures.contains(&Measure::LatencyMedian)
        };
        for measure in Measure::ALL.into_iter().filter(asked) {
            write!(table, "| {}", measure.title())?;
            for kind in kinds {
                table.push_str(" | ");
                if let Some(spread) = self.spread(*kind, measure) {
                    write!(table, "{:.*}", measure.decimals(), spread.median)?;
                }
            }
            table.push_str(" |\n");
            table.push_str("| × nginx, median (lowest to highest)");
            for kind in kinds {
                table.push_str(" | ");
                if let Some(ratio) = self.ratio(*kind, Kind::Nginx, measure) {
                    write!(table, "{:.2} ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high)?;
                }
            }
            table.push_str(" |\n");
        }
        Ok(table)
    }

    fn aims(&self) -> [Aim; 6] {
        let ratio = |other, measure| self.ratio(Kind::Countersign, other, measure).map(|ratio| ratio.median);
        let small = ratio(Kind::Nginx, Measure::SmallCpu);
        let small_to_lua = ratio(Kind::NginxLua, Measure::SmallCpu);
        [
            Aim { words: "CPU of a request × nginx as a plain proxy", at_most: 1.25, found: small },
            Aim { words: "CPU of a request × nginx+Lua doing the whole job", at_most: 0.55, found: small_to_lua },
            Aim {
                words: "CPU of a new connection × nginx",
                at_most: 0.65,
                found: ratio(Kind::Nginx, Measure::ConnectionCpu),
            },
            Aim {
                words: "KiB per idle TLS connection",
                at_most: 24.0,
                found: self.spread(Kind::Countersign, Measure::Idle).map(|spread| spread.median),
            },
            Aim {
                words: "CPU of a large request × nginx: no more than a small one's",
                at_most: small.unwrap_or(f64::NAN),
                found: ratio(Kind::Nginx, Measure::LargeCpu),
            },
            Aim {
                words: "CPU of a large request × nginx+Lua: no more than a small one's",
                at_most: small_to_lua.unwrap_or(f64::NAN),
                found: ratio(Kind::NginxLua, Measure::LargeCpu),
            },
        ]
    }

    /// The aims with what was found, in markdown; empty where not all of them were measured.
    pub fn aims_table(&self) -> Result<String, fmt::Error> {
        let mut table = String::from("| aim | at most | found | |\n| --- | ---: | ---: | --- |\n");
        for Aim { words, at_most, found } in self.aims() {
            let Some(found) = found else { return Ok(String::new()) };
            let word = if found <= at_most { "met" } else { "missed" };
            writeln!(table, "| {words} | {at_most:.2} | {found:.2} | {word} |")?;
        }
        Ok(table)
    }

    /// Whether every aim was measured and met.
    pub fn is_met(&self) -> bool {
        self.aims().iter().all(|aim| aim.found.is_some_and(|found| found <= aim.at_most))
    }
}
