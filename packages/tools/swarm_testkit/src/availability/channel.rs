//! How late messages come, how late threads wake, and which messages never come.

use std::collections::VecDeque;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use swarm_base::Time;

/// A distribution as quantiles: (share that is at most as late, ns); straight lines in the logarithm between them.
#[derive(Clone, Copy, Debug)]
pub struct Lateness(&'static [(f64, f64)]);

impl Lateness {
    /// A message from an ordinary thread of one process to the callback of another: half of a bare echo's way there and back
    /// (`cargo xtask evidence gate`: 235 us in the middle, 465 us at the 99th percentile), and the tail with which an
    /// ordinary thread at 1 kHz wakes on the same idle machine (3.7 ms at 99.9 %, 10.7 ms at most).
    pub const MESSAGE: Self = Self(&[(0.0, 8e4), (0.5, 1.2e5), (0.99, 2.3e5), (0.999, 3.7e6), (1.0, 1.07e7)]);
    /// The deciding thread under SCHED_FIFO (`cargo xtask evidence safety-jitter`, two shared virtual cores without a
    /// real-time kernel, the worse of two runs).
    pub const DECIDING: Self =
        Self(&[(0.0, 2e3), (0.5, 6e3), (0.99, 5e4), (0.999, 1.1e6), (0.9999, 1.4e6), (1.0, 2.3e6)]);

    pub fn sample(self, random: &mut SmallRng) -> u64 {
        let share = random.random::<f64>();
        let quantiles = self.0;
        let above = quantiles.iter().position(|(at, _)| *at > share).unwrap_or(quantiles.len() - 1).max(1);
        let ((from, least), (to, most)) = (quantiles[above - 1], quantiles[above]);
        (least * (most / least).powf((share - from) / (to - from))) as u64
    }
}

/// A topic: messages arrive late, in order, or not at all.
#[derive(Debug)]
pub struct Channel<T> {
    /// Share of the messages that are lost.
    drops: f64,
    /// (arrival, sent, message)
    under_way: VecDeque<(Time, Time, T)>,
    last: Time,
}

impl<T> Channel<T> {
    pub fn new(drops: f64) -> Self {
        Self { drops, under_way: VecDeque::with_capacity(32), last: Time::ZERO }
    }

    pub fn send(&mut self, now: Time, message: T, random: &mut SmallRng) {
        if random.random::<f64>() < self.drops {
            return;
        }
        // One writer's messages do not overtake one another.
        let arrival = Time(now.0 + Lateness::MESSAGE.sample(random)).max(self.last);
        self.last = arrival;
        self.under_way.push_back((arrival, now, message));
    }

    /// The next message that has arrived by `now`: arrival, when it was sent, message.
    pub fn receive(&mut self, now: Time) -> Option<(Time, Time, T)> {
        self.under_way.pop_front_if(|(arrival, ..)| *arrival <= now)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn messages_arrive_in_order_late_and_some_never() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut channel = Channel::new(0.01);
        let mut arrived = Vec::new();
        let (messages, period) = (100_000, 2_000_000);
        for n in 0..messages {
            let now = Time(n * period);
            channel.send(now, n, &mut random);
            while let Some((arrival, sent, n)) = channel.receive(now) {
                assert!(arrival.0 >= sent.0 + 80_000);
                arrived.push((arrival, n));
            }
        }
        assert!(arrived.is_sorted());
        let lost = messages - arrived.len() as u64;
        assert!((800..1200).contains(&lost), "{lost}");
    }

    #[test]
    fn lateness_has_the_quantiles_it_names() {
        let mut random = SmallRng::seed_from_u64(2);
        let mut late: Vec<u64> = (0..100_000).map(|_| Lateness::MESSAGE.sample(&mut random)).collect();
        late.sort_unstable();
        let near =
            |share: f64, expected: f64| (late[(share * 1e5) as usize] as f64 / expected - 1.0).abs() < 0.1;
        assert!(near(0.5, 1.2e5) && near(0.99, 2.3e5), "{} {}", late[50_000], late[99_000]);
        assert!(late[0] >= 80_000 && late[99_999] <= 10_700_000);
    }
}
