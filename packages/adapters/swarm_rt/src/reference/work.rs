//! Work of a known length, to be timed beside work that is measured, in turns with it.
//!
//! It is the same instructions each time, without memory or branches that could differ. So what it takes longer now and then,
//! the machine has taken: interrupts, other programs, the host. The machine takes as much from whatever runs beside it.

use std::hint::black_box;
use std::time::Instant;

use swarm_base::Duration;

/// A sum whose every term waits for the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWork {
    terms: u32,
}

impl FixedWork {
    /// Work that takes `target`, as this machine goes at present.
    pub fn lasting(target: Duration) -> Self {
        const MANY: FixedWork = FixedWork { terms: 10_000 };
        let mut times: Vec<u128> = (0..101)
            .map(|_| {
                let began = Instant::now();
                MANY.carry_out();
                began.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        let median = times[times.len() / 2].max(1);
        Self { terms: (target.0 as f64 / median as f64 * f64::from(MANY.terms)).ceil() as u32 }
    }

    pub fn carry_out(self) -> f64 {
        black_box((0..self.terms).fold(black_box(1.0), |sum, _| sum * 0.999 + 0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_work_has_more_terms_and_every_term_counts() {
        let [short, long] = [1_000, 1_000_000].map(|ns| FixedWork::lasting(Duration(ns)));
        assert!(short.terms > 0 && long.terms > 20 * short.terms, "{short:?} {long:?}");
        let sum_of = |terms| FixedWork { terms }.carry_out();
        assert!(sum_of(0) == 1.0 && sum_of(1) == 1.499 && sum_of(2) > sum_of(1));
    }
}
