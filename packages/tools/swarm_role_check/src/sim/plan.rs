//! What an episode will be: drawn from a seed before it begins.

use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use swarm_base::{Duration, Role};
use swarm_skill_core::{Phase, Timing};

use crate::player::{Step, TICK, Then};

/// The roles of every episode.
pub const ROLES: [Role; 3] = Role::ALL;

/// Phases of every episode; the third is a safe point.
pub const PHASES: [(&str, bool); 5] =
    [("approach", false), ("grip", false), ("gripped", true), ("mate", false), ("retreat", false)];
/// Number of the safe point, from 1 on.
pub const SAFE_POINT: u32 = 3;

/// Ticks after which an episode must have ended, whatever happened.
pub const CAP: u32 = 2_500;

/// Largest error of a clock's rate that is simulated, in millionths; the protocol is told to expect it.
pub const DRIFT_PPM: u32 = 20_000;

/// How badly the link treats messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Of 256.
    pub drop: u8,
    /// Of 256.
    pub duplicate: u8,
    /// Each message is under way for 1 to so many ticks, so messages overtake each other.
    pub delay_ticks: u32,
}

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(u32),
    /// So many ticks after the role came to the barrier of the safe point.
    AtSafePoint {
        ticks: u32,
    },
}

/// What happens to one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Its process ends; started again after so many ticks, it knows nothing.
    Crash {
        restart_after: Option<u32>,
    },
    /// Messages are lost, from and to it as said, for so many ticks or for ever.
    Cut {
        hears: bool,
        is_heard: bool,
        ticks: Option<u32>,
    },
    /// The link from it to the next role is lost, and no other.
    CutOneWay {
        ticks: Option<u32>,
    },
    Abort,
    /// Its tree asks everybody to hold, for so many ticks.
    Hold {
        ticks: u32,
    },
    /// Somebody else begins to play its role.
    Second,
}

/// Which role a fault strikes, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    pub role: usize,
    pub when: When,
    pub fault: Fault,
}

/// An episode.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub weather: Weather,
    pub strike: Strike,
    /// A robot stands by for the role that is struck.
    pub standby: bool,
    pub programs: [Arc<[Step]>; 3],
    /// Ticks after which each role begins.
    pub starts: [u32; 3],
    /// Where each clock begins, ns, and how wrong its rate is, in millionths; the fourth is a robot's that comes in.
    pub clocks: [(u64, i32); 4],
    pub timing: Timing,
    /// Ticks for which a step is waited for.
    pub patience: u32,
}

impl Plan {
    /// The [end bound](Self::end_bound) in the worst weather: ticks.
    pub const LONGEST_END_BOUND: u32 = 65;

    pub fn draw(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let rng = &mut rng;
        let weather = weather(rng);
        let (strike, standby) = strike(rng);
        let late = |rng: &mut SmallRng| if rng.random_bool(0.2) { rng.random_range(0..6) } else { 0 };
        let drift = DRIFT_PPM.cast_signed();
        Self {
            seed,
            weather,
            strike,
            standby,
            programs: programs(rng, strike),
            starts: [late(rng), late(rng), late(rng)],
            clocks: std::array::from_fn(|_| {
                (rng.random_range(0..1_000_000_000_000), rng.random_range(-drift..=drift))
            }),
            timing: timing(),
            patience: 150,
        }
    }

    /// Ticks from a fault until nobody moves any more, if the run cannot go on. A message may have been under way; one role may hear of
    /// the loss only from another one; each takes a tick to act on what it has heard.
    pub fn stop_bound(&self) -> u32 {
        slow(ticks(self.timing.peer_timeout) * 2) + 2 * self.weather.delay_ticks + 4
    }

    /// Ticks from a fault until every role has ended, if the run cannot go on.
    pub fn end_bound(&self) -> u32 {
        self.stop_bound() + slow(ticks(self.timing.hold_timeout)) + self.weather.delay_ticks + 2
    }
}

/// Patience scaled down, so that an episode is short; the relations of the shipped one are kept: a heartbeat is a fraction of the peer
/// time-out, that one of the lease term, and the fence lies within the hold time-out.
pub fn timing() -> Timing {
    let ticks = |ticks| Duration(ticks * TICK.0);
    Timing {
        heartbeat: ticks(2),
        peer_timeout: ticks(8),
        hold_timeout: ticks(24),
        lease_term: ticks(14),
        // An arm takes longer to stand than a message to arrive.
        stop_margin: ticks(5),
        clock_drift_ppm: DRIFT_PPM,
    }
}

pub fn phases() -> Vec<Phase> {
    PHASES.iter().map(|&(name, takeover)| Phase { name: name.to_owned(), takeover }).collect()
}

fn ticks(span: Duration) -> u32 {
    span.0.div_ceil(TICK.0) as u32
}

/// Ticks that a clock takes for so many, when it is as slow as it may be.
fn slow(ticks: u32) -> u32 {
    (ticks * (1_000_000 + DRIFT_PPM)).div_ceil(1_000_000) + 1
}

fn weather(rng: &mut SmallRng) -> Weather {
    match rng.random_range(0..4) {
        0 => Weather { drop: 0, duplicate: 0, delay_ticks: 1 },
        1 => Weather {
            drop: rng.random_range(0..160),
            duplicate: rng.random(),
            delay_ticks: rng.random_range(1..6),
        },
        _ => Weather {
            drop: rng.random_range(0..40),
            duplicate: rng.random_range(0..64),
            delay_ticks: rng.random_range(1..4),
        },
    }
}

fn strike(rng: &mut SmallRng) -> (Strike, bool) {
    let role = rng.random_range(0..3);
    let at = When::At(rng.random_range(1..120));
    let standby = rng.random_bool(0.5);
    let lasting = |rng: &mut SmallRng| rng.random_bool(0.5).then(|| rng.random_range(1..60));
    let (when, fault) = match rng.random_range(0..10) {
        0 => (at, Fault::None),
        1 => (at, Fault::Crash { restart_after: lasting(rng) }),
        2 => {
            let (hears, is_heard) =
                *[(false, false), (true, false), (false, true)].choose(rng).unwrap_or(&(false, false));
            (at, Fault::Cut { hears, is_heard, ticks: lasting(rng) })
        }
        3 => (at, Fault::CutOneWay { ticks: lasting(rng) }),
        4 => (at, Fault::Abort),
        5 => (at, Fault::Hold { ticks: rng.random_range(1..40) }),
        6 => (When::At(rng.random_range(0..40)), Fault::Second),
        7 => (
            When::AtSafePoint { ticks: rng.random_range(0..6) },
            Fault::Crash { restart_after: lasting(rng) },
        ),
        _ => {
            let when = When::AtSafePoint { ticks: rng.random_range(0..6) };
            (when, Fault::Cut { hears: rng.random_bool(0.3), is_heard: false, ticks: lasting(rng) })
        }
    };
    (Strike { role, when, fault }, standby && !matches!(fault, Fault::Second | Fault::None))
}

/// The same meetings for every role, and between them work of its own.
fn programs(rng: &mut SmallRng, strike: Strike) -> [Arc<[Step]>; 3] {
    let mut programs: [Vec<Step>; 3] = Default::default();
    let mut before = None;
    for index in 0..PHASES.len() {
        // What is done again behind the safe point may be done by a successor.
        let again = before.filter(|_| index + 1 > SAFE_POINT as usize && rng.random_bool(0.5));
        let together = again.or_else(|| together(rng, index));
        // Work in step has a name of its own each time.
        before = before.or(together.filter(|step| !matches!(step, Step::Sweep { .. })));
        for program in &mut programs {
            program.push(Step::Enter(index));
            let own = rng.random_range(0..3);
            for _ in 0..own {
                program.push(match rng.random_range(0..3) {
                    0 => Step::Use {
                        resource: if rng.random_bool(0.7) { "bench" } else { "light" },
                        ticks: rng.random_range(1..5),
                        then: if rng.random_bool(0.8) { Then::GiveBack } else { Then::Leave },
                    },
                    _ => Step::Work(rng.random_range(1..=6)),
                });
            }
            program.extend(together);
        }
        // Whoever is struck at the safe point waits there for another role.
        if index + 2 == SAFE_POINT as usize && matches!(strike.when, When::AtSafePoint { .. }) {
            let other = (strike.role + rng.random_range(1..3)) % 3;
            programs[other].push(Step::Work(rng.random_range(10..60)));
        }
    }
    programs.map(Arc::from)
}

fn together(rng: &mut SmallRng, index: usize) -> Option<Step> {
    const PAIR: [Role; 2] = [Role::Leader, Role::Follower];
    match rng.random_range(0..8) {
        0 => Some(Step::Meet { name: "all", with: &ROLES }),
        1 => Some(Step::Meet { name: "pair", with: &PAIR }),
        2 => Some(Step::Agree { name: "ready", needed: rng.random_range(2..=3) }),
        3 if index == 1 => Some(Step::HandOver { item: "peg", from: Role::Leader, to: Role::Follower }),
        4 if index == 3 => Some(Step::Sweep { name: "sweep", pieces: 8, slowness: rng.random_range(1..3) }),
        _ => None,
    }
}
