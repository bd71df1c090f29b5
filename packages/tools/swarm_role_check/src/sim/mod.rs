//! Random runs of three roles, judged in every tick.
//!
//! An *episode* is one run from its begin until everybody has ended, after a [`Plan`] that a seed draws: programs, clocks that are up
//! to 2 % wrong, weather on the link, one fault of one role ([`Fault`](plan::Fault)) at a random moment or at the safe point, and maybe
//! a robot that stands by for it. What is broken is an [`Invariant`]; the seed replays it.

mod bounds;
mod net;
pub mod plan;
mod sabotage;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::invariants::Invariant;

pub use bounds::Judge;
pub use plan::Plan;
pub use sabotage::Sabotage;
pub use world::World;

/// Episodes in which a deliberate fault of the protocol must be noticed.
pub const SABOTAGED_EPISODES: u64 = 5_000;

/// How an episode went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    pub seed: u64,
    /// What was broken first, and in which tick.
    pub broken: Option<(Invariant, u32)>,
    pub ticks: u32,
    /// Every role has done its part.
    pub done: bool,
    /// Another robot took a role over.
    pub replaced: bool,
    /// Ticks from a fault that ends the run until everybody had ended.
    pub bound: Option<u32>,
}

/// What many episodes came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub episodes: u64,
    pub violations: u64,
    /// The first seed that broke each invariant.
    pub broken: BTreeMap<Invariant, (u64, u32)>,
    pub done: u64,
    pub replaced: u64,
    /// Episodes whose fault ended the run, and the longest that it took.
    pub ended_by_fault: u64,
    pub worst_bound_ticks: u32,
    pub ticks: u64,
}

/// Plays one episode to its end, or to the first broken invariant.
pub fn play(seed: u64, sabotage: Sabotage) -> Episode {
    let mut world = World::new(Plan::draw(seed), sabotage);
    let mut judge = Judge::default();
    let mut broken = None;
    while broken.is_none() && !(world.has_ended() && world.tick > 0) {
        world.step();
        broken = judge.look(&world).map(|invariant| (invariant, world.tick));
    }
    let done = world.players.iter().filter(|player| player.is_done()).count() >= plan::ROLES.len();
    Episode { seed, broken, ticks: world.tick, done, replaced: world.is_replaced(), bound: judge.bound }
}

/// Plays all seeds of a range, on so many threads.
pub fn play_all(seeds: Range<u64>, sabotage: Sabotage, threads: usize) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut summary = Summary::default();
        loop {
            // In lots, so that threads seldom meet.
            let lot = next.fetch_add(64, Ordering::Relaxed);
            if lot >= seeds.end {
                return summary;
            }
            for seed in lot..(lot + 64).min(seeds.end) {
                summary.add(&play(seed, sabotage));
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let summaries = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        summaries.fold(Summary::default(), Summary::merged)
    })
}

impl Summary {
    fn add(&mut self, episode: &Episode) {
        self.episodes += 1;
        self.ticks += u64::from(episode.ticks);
        self.done += u64::from(episode.done);
        self.replaced += u64::from(episode.replaced);
        if let Some(bound) = episode.bound {
            self.ended_by_fault += 1;
            self.worst_bound_ticks = self.worst_bound_ticks.max(bound);
        }
        if let Some((invariant, tick)) = episode.broken {
            self.violations += 1;
            self.broken.entry(invariant).or_insert((episode.seed, tick));
        }
    }

    fn merged(mut self, other: Self) -> Self {
        self.episodes += other.episodes;
        self.violations += other.violations;
        self.done += other.done;
        self.replaced += other.replaced;
        self.ended_by_fault += other.ended_by_fault;
        self.worst_bound_ticks = self.worst_bound_ticks.max(other.worst_bound_ticks);
        self.ticks += other.ticks;
        for (invariant, found) in other.broken {
            let first = self.broken.entry(invariant).or_insert(found);
            *first = (*first).min(found);
        }
        self
    }
}
