//! How long to wait before the next attempt.

use std::time::Duration;

use crate::error::Remedy;

/// The wait after the `failures`th failure in a row (from 1) that `remedy` can end.
///
/// While the port does not answer an attempt is two packets, so that a camera is back at once after its boot. What answers
/// and is not ready is asked more gently. Where a person has to act, an attempt more is worse than one less: cameras lock an
/// account after five or so wrong passwords, for half an hour.
pub(crate) fn wait(remedy: Remedy, failures: u32) -> Duration {
    let (first_ms, longest_ms) = match remedy {
        Remedy::Port => (100, 500),
        Remedy::Camera => (250, 2_000),
        Remedy::Person => (10_000, 600_000),
    };
    let doublings = failures.saturating_sub(1).min(16);
    Duration::from_millis((first_ms << doublings).min(longest_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_that_fits_who_has_to_act() {
        let all = |remedy| (1..=8).map(|failures| wait(remedy, failures).as_millis()).collect::<Vec<_>>();
        assert_eq!(all(Remedy::Port), [100, 200, 400, 500, 500, 500, 500, 500]);
        assert_eq!(all(Remedy::Camera), [250, 500, 1000, 2000, 2000, 2000, 2000, 2000]);
        assert_eq!(wait(Remedy::Person, 1), Duration::from_secs(10));
        assert_eq!(wait(Remedy::Person, u32::MAX), Duration::from_mins(10));
        // Three attempts with a wrong password in the first half a minute, and no more than five in the first two.
        let tried: Vec<_> = (1..=4).map(|n| wait(Remedy::Person, n).as_secs()).collect();
        assert_eq!(tried, [10, 20, 40, 80]);
    }
}
