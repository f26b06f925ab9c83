//! Histograms of durations.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// How long something took, as a histogram in seconds. Clones count into the same one.
///
/// The library's own histogram takes a lock for each observation, which all threads of a busy gateway would share.
#[derive(Clone)]
pub struct Latency(Arc<Inner>);

struct Inner {
    /// The upper bounds of the buckets; a last bucket takes what is above them.
    bounds: &'static [Duration],
    counts: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
}

const fn micros<const N: usize>(bounds: [u64; N]) -> [Duration; N] {
    let mut durations = [Duration::ZERO; N];
    let mut index = 0;
    while index < N {
        #[expect(clippy::indexing_slicing, reason = "in a constant: an index out of bounds would not compile")]
        {
            durations[index] = Duration::from_micros(bounds[index]);
        }
        index += 1;
    }
    durations
}

/// Of whole requests and of upstreams: half a millisecond to half a minute.
static NETWORK: [Duration; 15] = micros([
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000,
]);

/// Of a judgement, which only computes: microseconds to milliseconds.
static COMPUTATION: [Duration; 12] = micros([2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 50_000]);

impl Latency {
    /// For what waits for a network: half a millisecond to half a minute.
    #[must_use]
    pub fn of_network() -> Self {
        Self::new(&NETWORK)
    }

    /// For what only computes: microseconds to milliseconds.
    #[must_use]
    pub fn of_computation() -> Self {
        Self::new(&COMPUTATION)
    }

    fn new(bounds: &'static [Duration]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { bounds, counts, sum_nanos: AtomicU64::new(0) }))
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        // A bucket holds what is at most its bound.
        let bucket = self.0.bounds.partition_point(|bound| *bound < duration);
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Latency(..)")
    }
}

impl TypedMetric for Latency {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder) -> fmt::Result {
        let bounds = self.0.bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(self.0.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        // Counted from the buckets, so that it never differs from the last of them.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(self.0.sum_nanos.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram(sum, count, &buckets, None::<&HashMap<usize, Exemplar<NoLabelSet, f64>>>)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let latency = Latency::of_network();
        for micros in [0, 500, 501, 30_000_000, 30_000_001] {
            latency.observe(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register("took", "How long", latency);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "took_sum 60.001002",
            "took_count 5",
            r#"took_bucket{le="0.0005"} 2"#,
            r#"took_bucket{le="0.001"} 3"#,
            r#"took_bucket{le="10.0"} 3"#,
            r#"took_bucket{le="30.0"} 4"#,
            r#"took_bucket{le="+Inf"} 5"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn bounds_rise() {
        assert!(NETWORK.is_sorted() && COMPUTATION.is_sorted());
    }
}
