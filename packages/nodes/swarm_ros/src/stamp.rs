//! Message stamps. A stamp is ROS time (wall clock, or `/clock` under `use_sim_time`) and says when a value was taken, and so how long
//! it was under way; from its arrival on, its age is counted with the monotonic `swarm_base::Time`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use r2r::builtin_interfaces::msg::{Duration as DurationMsg, Time as TimeMsg};
use r2r::std_msgs::msg::Header;

/// Where a node's message stamps come from.
#[derive(Clone)]
pub struct RosClock {
    clock: Arc<Mutex<r2r::Clock>>,
}

impl std::fmt::Debug for RosClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RosClock").finish_non_exhaustive()
    }
}

impl RosClock {
    pub(crate) fn new(clock: Arc<Mutex<r2r::Clock>>) -> Self {
        Self { clock }
    }

    /// Stamp of this moment; zero until the first `/clock` message under `use_sim_time`.
    pub fn now(&self) -> TimeMsg {
        let read = self.clock.lock().unwrap_or_else(PoisonError::into_inner).get_now();
        // rcl fails here only on an invalid clock, which the node's own clock is not while the node lives.
        read.map_or_else(|_| wall_now(), |since_epoch| from_nanos(since_epoch.as_nanos() as u64))
    }

    /// Header of this moment.
    pub fn header(&self, frame_id: &str) -> Header {
        Header { stamp: self.now(), frame_id: frame_id.to_owned() }
    }
}

/// Stamp of the wall clock.
pub fn wall_now() -> TimeMsg {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    from_nanos(since_epoch.as_nanos() as u64)
}

/// Stamp from nanoseconds since the epoch of its clock; the message holds seconds as 32 bit and ends in 2038.
pub fn from_nanos(ns: u64) -> TimeMsg {
    TimeMsg {
        sec: i32::try_from(ns / 1_000_000_000).unwrap_or(i32::MAX),
        nanosec: (ns % 1_000_000_000) as u32,
    }
}

/// Nanoseconds since the epoch of the stamp's clock; a stamp before it counts as zero.
pub fn to_nanos(stamp: &TimeMsg) -> u64 {
    u64::try_from(stamp.sec).unwrap_or(0) * 1_000_000_000 + u64::from(stamp.nanosec)
}

/// A span as a message.
pub fn duration_msg(span: Duration) -> DurationMsg {
    DurationMsg { sec: i32::try_from(span.as_secs()).unwrap_or(i32::MAX), nanosec: span.subsec_nanos() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_to_the_nanosecond() {
        for ns in [0, 1, 999_999_999, 1_000_000_000, 1_795_000_000_123_456_789] {
            assert_eq!(to_nanos(&from_nanos(ns)), ns);
        }
    }

    #[test]
    fn a_stamp_before_the_epoch_counts_as_the_epoch() {
        assert_eq!(to_nanos(&TimeMsg { sec: -3, nanosec: 0 }), 0);
    }
}
