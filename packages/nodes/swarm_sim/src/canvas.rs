//! Where the physics thread leaves what is to be drawn, for a thread that draws as fast as it can.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use swarm_mujoco::{CONTROL_PERIOD, Observation};

const CYCLES_PER_S: u64 = 1_000_000_000 / CONTROL_PERIOD.0;

/// One place for the newest view. Clones share it.
#[derive(Clone, Debug)]
pub struct Canvas {
    rate_hz: u64,
    place: Arc<(Mutex<Place>, Condvar)>,
}

#[derive(Debug, Default)]
struct Place {
    newest: Option<View>,
    skipped: u64,
}

/// The cell at one moment.
#[derive(Clone, Debug)]
pub struct View {
    pub observation: Observation,
    /// When it was so.
    pub taken: Instant,
    /// Views that were due since the last one that was taken, and were replaced by a newer.
    pub skipped: u64,
}

impl Canvas {
    /// For `rate_hz` views per simulated second, at most one each cycle.
    pub fn at(rate_hz: u32) -> Self {
        Self { rate_hz: u64::from(rate_hz), place: Arc::default() }
    }

    /// Leaves an observation if a view is due; one that was not taken yet is replaced.
    pub fn show(&self, observation: &Observation) {
        if !is_due(observation.cycle, self.rate_hz) {
            return;
        }
        let view = View { observation: observation.clone(), taken: Instant::now(), skipped: 0 };
        let (place, changed) = &*self.place;
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.newest.replace(view).is_some() {
            place.skipped += 1;
        }
        changed.notify_one();
    }

    /// The newest view that nobody took yet; waits for one.
    pub fn take(&self, wait: Duration) -> Option<View> {
        let (place, changed) = &*self.place;
        let waiting = place.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut place, _) = changed
            .wait_timeout_while(waiting, wait, |place| place.newest.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let skipped = std::mem::take(&mut place.skipped);
        place.newest.take().map(|view| View { skipped, ..view })
    }
}

/// Cycles of a simulated second are shared out evenly, whether the rate divides them or not.
fn is_due(cycle: u64, rate_hz: u64) -> bool {
    let views = |cycle: u64| cycle * rate_hz / CYCLES_PER_S;
    cycle == 0 || views(cycle) != views(cycle - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rate_has_its_views_in_each_second_and_evenly() {
        for rate_hz in [1, 7, 10, 15, 30, 60] {
            let due: Vec<u64> = (1..=10 * CYCLES_PER_S).filter(|&cycle| is_due(cycle, rate_hz)).collect();
            assert_eq!(due.len() as u64, 10 * rate_hz);
            let apart: Vec<u64> = due.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let most = *apart.iter().max().unwrap();
            assert!(most - apart.iter().min().unwrap() <= 1, "{rate_hz} Hz: {apart:?}");
        }
    }
}
