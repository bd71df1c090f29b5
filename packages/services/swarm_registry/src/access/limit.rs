//! How often one caller may ask, and one address before it is known who asks.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// Callers that were quiet for a while are forgotten beyond so many.
const MOST_CALLERS: usize = 4096;

/// Several people, and their programs, may share an address.
const CALLERS_BEHIND_AN_ADDRESS: u32 = 4;

/// A bucket for each caller, by name: it holds the requests of two seconds. And one for each address from which somebody comes without a
/// certificate, for so many callers.
#[derive(Debug)]
pub struct RateLimit {
    callers: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl RateLimit {
    pub fn per_second(requests: NonZeroU32) -> Self {
        let quota = |requests: NonZeroU32| {
            Quota::per_second(requests).allow_burst(requests.saturating_add(requests.get()))
        };
        let shared =
            NonZeroU32::new(requests.get().saturating_mul(CALLERS_BEHIND_AN_ADDRESS)).unwrap_or(requests);
        Self {
            callers: DefaultKeyedRateLimiter::keyed(quota(requests)),
            addresses: DefaultKeyedRateLimiter::keyed(quota(shared)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a request of this caller, or says how long it has to wait.
    pub fn take(&self, caller: &str) -> Result<(), Duration> {
        if self.callers.len() > MOST_CALLERS {
            self.callers.retain_recent();
        }
        let taken = self.callers.check_key(&caller.to_owned());
        taken.map_err(|refused| refused.wait_time_from(self.clock.now()))
    }

    /// The same for an address. Of IPv6, whoever has one has all of a /64.
    pub fn take_address(&self, address: IpAddr) -> Result<(), Duration> {
        if self.addresses.len() > MOST_CALLERS {
            self.addresses.retain_recent();
        }
        let network = match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
            v4 @ IpAddr::V4(_) => v4,
        };
        let taken = self.addresses.check_key(&network);
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
