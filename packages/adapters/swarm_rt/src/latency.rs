//! Latencies, recorded on the real-time thread: no allocation, bounded time, one part in a thousand exact.

use std::fmt;

use hdrhistogram::Histogram;
use swarm_base::Duration;

/// Longest latency with a bucket of its own; longer ones count in the last bucket, and the maximum stays exact.
const LONGEST: Duration = Duration::from_millis(100_000);
const SIGNIFICANT_DIGITS: u8 = 3;

/// A histogram of spans of time. All its memory is taken when it is made.
#[derive(Clone)]
pub struct Latencies {
    histogram: Histogram<u64>,
    max: Duration,
}

impl Latencies {
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST.0, SIGNIFICANT_DIGITS);
        Self { histogram: histogram.expect("1 to 10^11 at three digits are bounds"), max: Duration::ZERO }
    }

    pub fn record(&mut self, latency: Duration) {
        self.record_many(latency, 1);
    }

    /// The same latency `count` times.
    pub fn record_many(&mut self, latency: Duration, count: u64) {
        self.histogram.saturating_record_n(latency.0, count);
        if count > 0 {
            self.max = self.max.max(latency);
        }
    }

    /// Takes the samples of `other` too.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all histograms here have the same bounds");
        self.max = self.max.max(other.max);
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The latency that a share of `quantile` of all samples does not exceed, up to one part in a thousand; zero without
    /// samples. With fewer than `1 / (1 - quantile)` samples it is the maximum, and says no more than that.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration(self.histogram.value_at_quantile(quantile)).min(self.max)
    }

    pub fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    pub fn p999(&self) -> Duration {
        self.quantile(0.999)
    }

    pub fn p9999(&self) -> Duration {
        self.quantile(0.9999)
    }

    pub fn p99999(&self) -> Duration {
        self.quantile(0.99999)
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// Microseconds: median, the tail, the maximum.
impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = |latency: Duration| latency.0 as f64 / 1e3;
        write!(
            f,
            "p50 {:.1}, p99 {:.1}, p99.9 {:.1}, p99.99 {:.1}, p99.999 {:.1}, max {:.1} us of {}",
            us(self.p50()),
            us(self.p99()),
            us(self.p999()),
            us(self.p9999()),
            us(self.p99999()),
            us(self.max()),
            self.count()
        )
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latencies({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(samples: &[u64]) -> Latencies {
        let mut latencies = Latencies::new();
        for ns in samples {
            latencies.record(Duration(*ns));
        }
        latencies
    }

    proptest! {
        #[test]
        fn a_quantile_is_that_of_the_sorted_samples_to_a_part_in_a_thousand(
            mut samples in prop::collection::vec(0u64..10_000_000_000, 1..400),
            quantile in 0.0f64..=1.0,
        ) {
            let got = of(&samples).quantile(quantile).0 as f64;
            samples.sort_unstable();
            let rank = (quantile * samples.len() as f64).ceil().max(1.0) as usize - 1;
            // Rounding of `quantile * n` may choose a neighbour.
            let near = [rank.saturating_sub(1), rank, (rank + 1).min(samples.len() - 1)];
            let close = |index: &usize| (got - samples[*index] as f64).abs() <= samples[*index] as f64 * 1e-3 + 1.0;
            prop_assert!(near.iter().any(close), "{got} at {quantile} of {samples:?}");
        }

        #[test]
        fn sums_are_those_of_all_samples(
            a in prop::collection::vec(0u64..1_000_000, 0..50),
            b in prop::collection::vec(0u64..1_000_000, 0..50),
        ) {
            let mut sum = of(&a);
            sum.add(&of(&b));
            let all = of(&[a, b].concat());
            prop_assert_eq!(sum.to_string(), all.to_string());
        }
    }

    #[test]
    fn the_maximum_is_exact_even_beyond_the_last_bucket() {
        let latencies = of(&[5, 123_456_789, LONGEST.0 * 3 + 1]);
        assert_eq!(latencies.max(), Duration(LONGEST.0 * 3 + 1));
        assert_eq!(latencies.count(), 3);
    }

    #[test]
    fn without_samples_all_is_zero() {
        assert_eq!((Latencies::new().p99999(), Latencies::new().max()), (Duration::ZERO, Duration::ZERO));
    }
}
