//! Playing action chunks: which action is due now, while chunks come from elsewhere, overlap, come late, or do not come.
//!
//! # Vocabulary
//!
//! - *chunk*: the actions that a policy wants from the instant of its observation on, one every *period*; between two of them the
//!   action is on the straight line. It covers the time from its first to its last action.
//! - *live*: covers the present.
//! - *rest*: the action that means to stand still: no velocity, or the position where the arm is.
//!
//! # Rules
//!
//! 1. What is due is the weighted mean of what the live chunks say about the present, with weights `w_i = exp(-m i)`, `i = 0` the oldest
//!    (temporal ensembling: Zhao et al., "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware", 2023, algorithm 2; as
//!    LeRobot's `ACTTemporalEnsembler`, whose `m` is 0.01). Of more chunks than [`Playing::ensemble`] the oldest goes; with one there
//!    is no mean, as LeRobot plays diffusion policies.
//! 2. When a chunk comes or goes, the mean would jump. What it would jump by is added, and taken away again evenly over
//!    [`Playing::blend`]. So from one tick to the next an action changes by what the chunks themselves change by, and by no more than the
//!    share `dt / blend` of a jump. It also stays between the least and the greatest that the live chunks and the action before say.
//! 3. When no chunk is live, what is due is rest: hold. The next chunk is blended in from there. A chunk that comes late therefore
//!    means that the arm waits, and never that it jumps to where it should have been.
//! 4. A chunk that is over when it comes, or older than the newest one, is dropped and counted.
//!
//! All of it depends on the chunks, the ticks in which they came, and nothing else.

use std::collections::VecDeque;

use swarm_base::{Duration, Time};

/// How chunks are played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playing {
    /// Actions per chunk, at least 2.
    pub horizon: usize,
    /// Values per action.
    pub action_len: usize,
    /// Time between two actions of a chunk.
    pub period: Duration,
    /// Chunks that are averaged at most, at least 1.
    pub ensemble: usize,
    /// `m` of rule 1: above 0 favours older chunks.
    pub coefficient: f64,
    /// Span of rule 2.
    pub blend: Duration,
}

/// Plays the chunks of one policy.
#[derive(Clone, Debug)]
pub struct ChunkPlayer {
    playing: Playing,
    /// By the time of their first action, oldest first.
    chunks: VecDeque<Chunk>,
    /// Emptied ones, so that playing does not allocate.
    spare: Vec<Vec<f64>>,
    /// The chunks that the last action was made of; none after rest.
    made_of: Vec<Time>,
    last: Vec<f64>,
    mean: Vec<f64>,
    /// What the mean jumped by, when, and between what an action has to stay since.
    gap: Vec<f64>,
    gap_since: Time,
    bounds: Vec<(f64, f64)>,
    dropped: u64,
}

#[derive(Clone, Debug)]
struct Chunk {
    from: Time,
    actions: Vec<f64>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Due<'a> {
    Act(&'a [f64]),
    /// No chunk covers the present: stand still.
    Hold,
}

impl Playing {
    /// From the first to the last action of a chunk.
    pub fn span(&self) -> Duration {
        Duration(self.period.0.saturating_mul(self.horizon.saturating_sub(1) as u64))
    }
}

impl ChunkPlayer {
    pub fn new(playing: Playing) -> Self {
        let len = playing.action_len;
        Self {
            playing,
            chunks: VecDeque::with_capacity(playing.ensemble + 1),
            spare: Vec::with_capacity(playing.ensemble + 1),
            made_of: Vec::with_capacity(playing.ensemble + 1),
            last: vec![0.0; len],
            mean: vec![0.0; len],
            gap: vec![0.0; len],
            gap_since: Time::ZERO,
            bounds: vec![(0.0, 0.0); len],
            dropped: 0,
        }
    }

    /// A chunk has come; its first action is for `from`, the instant of its observation.
    ///
    /// # Panics
    /// If it has not `horizon * action_len` values: who takes a policy's answer checks its length.
    pub fn accept(&mut self, from: Time, actions: &[f64], now: Time) {
        assert_eq!(actions.len(), self.playing.horizon * self.playing.action_len, "values of a chunk");
        let old = self.chunks.back().is_some_and(|newest| newest.from >= from);
        if old || now > from + self.playing.span() {
            self.dropped += 1;
            return;
        }
        let mut values = self.spare.pop().unwrap_or_default();
        values.clear();
        values.extend_from_slice(actions);
        self.chunks.push_back(Chunk { from, actions: values });
        while self.chunks.len() > self.playing.ensemble {
            self.forget_oldest();
        }
    }

    /// What is due now; `rest` is the action that means to stand still. To be called once per tick, with a time that never goes back.
    pub fn due(&mut self, now: Time, rest: &[f64]) -> Due<'_> {
        while self.chunks.front().is_some_and(|chunk| now > chunk.from + self.playing.span()) {
            self.forget_oldest();
        }
        if self.chunks.is_empty() {
            self.made_of.clear();
            return Due::Hold;
        }
        if self.made_of.is_empty() {
            self.last.copy_from_slice(rest);
        }
        self.average(now);
        if !self.made_of.iter().eq(self.chunks.iter().map(|chunk| &chunk.from)) {
            self.made_of.clear();
            self.made_of.extend(self.chunks.iter().map(|chunk| chunk.from));
            self.begin_blend(now);
        }
        let blended = now.since(self.gap_since).as_secs_f64() / self.playing.blend.as_secs_f64().max(1e-9);
        let left = (1.0 - blended).max(0.0);
        for (i, last) in self.last.iter_mut().enumerate() {
            let (least, greatest) = self.bounds[i];
            *last = (self.mean[i] + self.gap[i] * left).clamp(least, greatest);
        }
        Due::Act(&self.last)
    }

    /// Forgets all chunks; the next one is blended in from rest.
    pub fn clear(&mut self) {
        while !self.chunks.is_empty() {
            self.forget_oldest();
        }
        self.made_of.clear();
    }

    /// Chunks that came too late to be played, or out of order.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn forget_oldest(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.spare.push(chunk.actions);
        }
    }

    /// Rule 2: the mean has come to be made of other chunks.
    fn begin_blend(&mut self, now: Time) {
        self.gap_since = now;
        for i in 0..self.playing.action_len {
            let last = self.last[i];
            self.gap[i] = last - self.mean[i];
            let said = self
                .chunks
                .iter()
                .flat_map(|chunk| chunk.actions[i..].iter().step_by(self.playing.action_len));
            self.bounds[i] =
                said.fold((last, last), |(low, high), value| (low.min(*value), high.max(*value)));
        }
    }

    /// Rule 1, into `mean`.
    fn average(&mut self, now: Time) {
        let Playing { horizon, action_len, period, coefficient, .. } = self.playing;
        self.mean.fill(0.0);
        // Relative to the oldest weight, 1; the sum is above 0 whatever the coefficient.
        let total: f64 = (0..self.chunks.len()).map(|i| (-coefficient * i as f64).exp()).sum();
        for (i, chunk) in self.chunks.iter().enumerate() {
            let weight = (-coefficient * i as f64).exp() / total;
            let steps = now.since(chunk.from).as_secs_f64() / period.as_secs_f64();
            let first = (steps.floor() as usize).min(horizon - 2);
            let share = (steps - first as f64).min(1.0);
            let action = |step: usize| &chunk.actions[step * action_len..(step + 1) * action_len];
            for ((mean, from), to) in self.mean.iter_mut().zip(action(first)).zip(action(first + 1)) {
                *mean += weight * (from + (to - from) * share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(20);
    const PLAYING: Playing = Playing {
        horizon: 5,
        action_len: 1,
        period: PERIOD,
        ensemble: 4,
        coefficient: 0.01,
        blend: Duration::from_millis(100),
    };

    fn act(player: &mut ChunkPlayer, ms: u64) -> Option<f64> {
        match player.due(Time::from_millis(ms), &[0.0]) {
            Due::Act(action) => Some(action[0]),
            Due::Hold => None,
        }
    }

    /// A player past its first blend.
    fn settled(playing: Playing, chunks: &[(u64, [f64; 5])], ms: u64) -> f64 {
        let mut player = ChunkPlayer::new(Playing { blend: Duration::ZERO, ..playing });
        for (from, actions) in chunks {
            player.accept(Time::from_millis(*from), actions, Time::from_millis(*from));
        }
        act(&mut player, ms);
        act(&mut player, ms + 1).unwrap()
    }

    #[test]
    fn one_chunk_is_played_along_straight_lines() {
        let ramp = (0, [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!((settled(PLAYING, &[ramp], 29) - 1.5).abs() < 1e-12);
        assert!((settled(PLAYING, &[ramp], 79) - 4.0).abs() < 1e-12);
    }

    /// LeRobot's ensembler, asked by hand: weights 1, e^-m, e^-2m from the oldest on.
    #[test]
    fn chunks_are_averaged_with_the_weights_of_act() {
        let chunks = [(0, [1.0; 5]), (20, [2.0; 5]), (40, [4.0; 5])];
        for m in [0.0_f64, 0.01, 0.5, -0.5] {
            let (w1, w2) = ((-m).exp(), (-2.0 * m).exp());
            let expected = (1.0 + 2.0 * w1 + 4.0 * w2) / (1.0 + w1 + w2);
            let found = settled(Playing { coefficient: m, ..PLAYING }, &chunks, 45);
            assert!((found - expected).abs() < 1e-12, "m {m}: {found} is not {expected}");
        }
        let newest = settled(Playing { ensemble: 1, ..PLAYING }, &chunks, 45);
        assert!((newest - 4.0).abs() < 1e-12, "of one chunk there is no mean");
    }

    #[test]
    fn without_a_live_chunk_the_arm_holds_and_goes_on_from_rest() {
        let mut player = ChunkPlayer::new(PLAYING);
        assert_eq!(act(&mut player, 0), None);
        player.accept(Time::ZERO, &[1.0; 5], Time::from_millis(10));
        assert_eq!(act(&mut player, 10), Some(0.0), "begins at rest");
        assert!((act(&mut player, 60).unwrap() - 0.5).abs() < 1e-12, "half of the blend");
        assert!(act(&mut player, 80).is_some());
        assert_eq!(act(&mut player, 81), None, "the next chunk is late");
        player.accept(Time::from_millis(70), &[1.0; 5], Time::from_millis(120));
        assert_eq!(act(&mut player, 120), Some(0.0), "goes on from rest, not from where it would have been");
    }

    #[test]
    fn a_chunk_that_is_over_or_out_of_order_is_dropped_and_counted() {
        let mut player = ChunkPlayer::new(PLAYING);
        player.accept(Time::ZERO, &[1.0; 5], Time::from_millis(81));
        assert_eq!((act(&mut player, 81), player.dropped()), (None, 1));
        player.accept(Time::from_millis(90), &[1.0; 5], Time::from_millis(100));
        player.accept(Time::from_millis(80), &[9.0; 5], Time::from_millis(100));
        player.accept(Time::from_millis(90), &[9.0; 5], Time::from_millis(100));
        assert_eq!(player.dropped(), 3);
    }

    proptest! {
        /// Whatever chunks come whenever, an action changes per tick by what the chunks change by and the share of a blend, and stays
        /// within what chunks and rest have said.
        #[test]
        fn no_arrival_makes_an_action_jump(
            arrivals in prop::collection::vec((0..40_u64, 0..12_u64, prop::array::uniform5(-1.0..1.0_f64)), 0..12),
            ensemble in 1..5_usize,
            coefficient in -1.0..1.0_f64,
        ) {
            let mut player = ChunkPlayer::new(Playing { ensemble, coefficient, ..PLAYING });
            // Two per period is the steepest that values in -1..1 can be; two is also the widest gap.
            let most = 2.0 * 10.0 / 20.0 + 2.0 * 10.0 / 100.0 + 1e-9;
            let mut last = None;
            for tick in 0..60_u64 {
                let now = Time::from_millis(tick * 10);
                for (at, _, actions) in arrivals.iter().filter(|(at, late, _)| at + late == tick) {
                    player.accept(Time::from_millis(at * 10), actions, now);
                }
                match player.due(now, &[0.0]) {
                    Due::Hold => last = Some(0.0),
                    Due::Act(action) => {
                        let from: f64 = last.unwrap_or(0.0);
                        prop_assert!((action[0] - from).abs() <= most, "from {from} to {} at {now:?}", action[0]);
                        prop_assert!(action[0].abs() <= 1.0);
                        last = Some(action[0]);
                    }
                }
            }
        }

        /// The same chunks in the same ticks give the same actions, to the bit.
        #[test]
        fn playing_is_deterministic(chunks in prop::collection::vec(prop::array::uniform5(-1.0..1.0_f64), 1..6)) {
            let play = || {
                let mut player = ChunkPlayer::new(PLAYING);
                let mut actions = Vec::new();
                for tick in 0..40_u64 {
                    if let Some(chunk) = chunks.get(tick as usize / 5).filter(|_| tick % 5 == 3) {
                        player.accept(Time::from_millis((tick - 2) * 10), chunk, Time::from_millis(tick * 10));
                    }
                    actions.push(act(&mut player, tick * 10).map(f64::to_bits));
                }
                actions
            };
            prop_assert_eq!(play(), play());
        }
    }
}
