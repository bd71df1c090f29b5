//! The link: messages under way.

use rand::RngExt as _;
use rand::rngs::SmallRng;
use swarm_skill_core::RoleMessage;

use super::plan::Weather;

/// Players that an episode has at most: three roles and one that comes in.
pub(super) const MOST: usize = 4;

#[derive(Debug)]
pub(super) struct Net {
    under_way: Vec<(u32, usize, RoleMessage)>,
    weather: Weather,
    /// `cut[from][to]`
    pub(super) cut: [[bool; MOST]; MOST],
}

impl Net {
    pub(super) fn new(weather: Weather) -> Self {
        Self { under_way: Vec::with_capacity(32), weather, cut: [[false; MOST]; MOST] }
    }

    pub(super) fn send(
        &mut self,
        from: usize,
        message: &RoleMessage,
        players: usize,
        tick: u32,
        rng: &mut SmallRng,
    ) {
        for to in (0..players).filter(|&to| to != from && !self.cut[from][to]) {
            if rng.random::<u8>() < self.weather.drop {
                continue;
            }
            let copies = if rng.random::<u8>() < self.weather.duplicate { 2 } else { 1 };
            for _ in 0..copies {
                let due = tick + rng.random_range(1..=self.weather.delay_ticks);
                self.under_way.push((due, to, message.clone()));
            }
        }
    }

    /// What arrives in this tick, in no particular order.
    pub(super) fn arrived(&mut self, tick: u32, mut deliver: impl FnMut(usize, RoleMessage)) {
        let mut index = 0;
        while index < self.under_way.len() {
            if self.under_way[index].0 <= tick {
                let (_, to, message) = self.under_way.swap_remove(index);
                deliver(to, message);
            } else {
                index += 1;
            }
        }
    }
}
