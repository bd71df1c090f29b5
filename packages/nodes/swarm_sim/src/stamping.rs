//! Stamps in ROS time for what is measured in simulated time.
//!
//! A simulation that cannot keep up loses time: between two cycles more passes on the wall clock than in the cell. Stamped by the wall
//! clock, an arm's positions would then contradict its velocities, which a real arm's never do, and which the safety monitor stops
//! for. So stamps go on with simulated time, from a moment at which both were the same, as long as the [`pace`](crate::pace) makes a lag
//! up for. Where it gives time up they leap, and the leap looks like what it is: a time in which nothing was measured.

use swarm_base::Time;

use crate::pace::MAX_LAG;

/// Where simulated time stands on the clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamping {
    /// Clock (ns since its epoch) and simulated time at the last moment at which they were made equal.
    anchor: Option<(u64, Time)>,
}

impl Stamping {
    /// The stamp of what is measured at `simulated` time, while the clock shows `now` (both ns).
    pub fn stamp(&mut self, now: u64, simulated: Time) -> u64 {
        let gone_on = self.anchor.and_then(|(clock, since)| Some(clock + simulated.0.checked_sub(since.0)?));
        match gone_on {
            // Never ahead of the clock, and so faster than it only by leaps.
            Some(stamp) if stamp <= now && now - stamp <= MAX_LAG.0 => stamp,
            _ => {
                self.anchor = Some((now, simulated));
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const EPOCH: u64 = 1_700_000_000_000 * MS;

    #[test]
    fn stamps_are_as_far_apart_as_the_cycles_though_the_clock_runs_on() {
        let mut stamping = Stamping::default();
        let mut stamp =
            |wall: u64, cycle: u64| stamping.stamp(EPOCH + wall * MS, Time::from_millis(cycle)) - EPOCH;
        // A cycle that is late, and two that make up for it.
        let stamps = [stamp(0, 2), stamp(7, 4), stamp(7, 6), stamp(7, 8), stamp(8, 10)];
        assert_eq!(stamps, [0, 2, 4, 6, 8].map(|ms| ms * MS));
    }

    #[test]
    fn what_is_too_far_behind_leaps_once_and_a_reset_begins_anew() {
        let mut stamping = Stamping::default();
        let mut stamp =
            |wall: u64, cycle: u64| stamping.stamp(EPOCH + wall * MS, Time::from_millis(cycle)) - EPOCH;
        let stamps = [stamp(0, 2), stamp(9, 4), stamp(11, 6), stamp(13, 2), stamp(15, 4)];
        assert_eq!(stamps, [0, 9, 11, 13, 15].map(|ms| ms * MS));
    }

    #[test]
    fn faster_than_the_clock_is_the_clock() {
        let mut stamping = Stamping::default();
        let stamps: Vec<u64> = (0..50)
            .map(|cycle| stamping.stamp(EPOCH + cycle * MS, Time::from_millis(2 * cycle)) - EPOCH)
            .collect();
        assert!(stamps.iter().zip(0..).all(|(stamp, cycle)| *stamp == cycle * MS), "{stamps:?}");
    }
}
