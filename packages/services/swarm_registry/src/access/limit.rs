//! How often one caller may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// Callers that were quiet for a while are forgotten beyond so many.
const MOST_CALLERS: usize = 4096;

/// A bucket for each caller, by name: it holds the requests of two seconds.
#[derive(Debug)]
pub struct RateLimit {
    buckets: DefaultKeyedRateLimiter<String>,
    clock: DefaultClock,
}

impl RateLimit {
    pub fn per_second(requests: NonZeroU32) -> Self {
        let quota = Quota::per_second(requests).allow_burst(requests.saturating_add(requests.get()));
        Self { buckets: DefaultKeyedRateLimiter::keyed(quota), clock: DefaultClock::default() }
    }

    /// Counts a request of this caller, or says how long it has to wait.
    pub fn take(&self, caller: &str) -> Result<(), Duration> {
        if self.buckets.len() > MOST_CALLERS {
            self.buckets.retain_recent();
        }
        let taken = self.buckets.check_key(&caller.to_owned());
        taken.map_err(|refused| refused.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_callers_haste_is_not_anothers() {
        let limit = RateLimit::per_second(NonZeroU32::MIN);
        assert!(limit.take("a").is_ok() && limit.take("a").is_ok());
        let wait = (0..1000).find_map(|_| limit.take("a").err()).expect("a thousand at once are too many");
        assert!(!wait.is_zero() && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(limit.take("b").is_ok());
    }
}
