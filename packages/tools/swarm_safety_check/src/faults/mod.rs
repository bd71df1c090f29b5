//! What goes wrong in a real cell, injected into a running one; how soon the decision finds it, and whether it says what it was.
//!
//! Vocabulary
//! - *fault*: one thing that goes wrong with one arm, its messages, or what is said to the cell ([`Fault`]).
//! - *phase*: the moment of the nominal motion at which it begins; random, from a printed seed.
//! - *observable*: the first cycle whose inputs differ from what a healthy cell could say, by the tolerances that are
//!   documented ([`Observable`]). Nobody can find a fault sooner without false stops.
//! - *cycles*: steps from that one, which counts as 1, up to the one that reacts.
//! - *found*: the reaction came, and it names a cause that the fault is listed with, of the arm that has it. A stop for another
//!   reason is none ([`Found::wrong`]).
//!
//! Flow of an episode: clone the [`Rig`] at its phase; per cycle let the healthy cell speak, let the fault change what was said or
//! done, take it in through [`ingest`](swarm_safety_core::ingest), step, and look at the verdict.
//!
//! The same list is run on the production binary by tests/ros/test_faults.py, as far as faults can be injected by messages, and
//! published ([`published`]).
//!
//! Deliberately absent: what needs the process around the decision (its threads, its disk, its death), which is listed with its
//! tests ([`elsewhere`]); and what cannot be seen from messages at all ([`UNSEEN`]), which is an assumption of use.

pub mod elsewhere;
pub mod published;
mod rig;
mod table;
mod watch;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_safety_core::{MAX_ROBOTS, Refusal, ResetRefusal, SafetyState, Verdict};

pub use rig::{PERIOD, Rig, Said};
pub use table::{FAULTS, UNSEEN};
pub use watch::Observable;

use crate::cell::CellError;
use watch::{Look, Newest, Watch};

/// Cycles after which a fault counts as not found.
const PATIENCE: u32 = 3000;

/// Codes of causes, any of which names the fault.
pub type Codes = &'static [&'static str];

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub id: &'static str,
    /// What it goes wrong with.
    pub subject: Subject,
    pub says: &'static str,
    pub begins: Begins,
    pub observable: Observable,
    pub reaction: Reaction,
    pub binary: OnBinary,
    /// Changes what is said, or the rig itself, before a step.
    pub inject: fn(&mut Moment<'_>),
    /// Changes what an arm does after a step.
    pub act: fn(&mut Moment<'_>),
}

/// What a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    JointState,
    Wrench,
    Command,
    /// The arm itself.
    Arm,
    Presence,
    /// The emergency stop and the reset.
    Operator,
    /// The monitor's own time and limits.
    Monitor,
    /// All arms at once.
    Cell,
}

/// How a fault is run on the production binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBinary {
    /// By messages, in tests/ros/test_faults.py.
    Messages,
    /// By this test.
    Test(&'static str),
    /// Not, and why.
    No(&'static str),
}

/// The cell when a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// All arms move.
    Moving,
    /// Not yet reset.
    Cold,
    /// Stopped by a short press of the emergency stop, at rest.
    Stopped,
}

/// What the decision must do, and the causes of which it must name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Stop(Codes),
    /// Moves nothing for it, and says why.
    RefuseCommand(Codes),
    RefuseReset(Codes),
    /// SLOW, because the load is above the contact level.
    Slow,
    /// Deepens a stop that had no effect.
    Deepen,
    /// The emergency stop's own state.
    Estop,
}

/// A fault at work in one cycle.
#[derive(Debug)]
pub struct Moment<'a> {
    pub rig: &'a mut Rig,
    pub said: &'a mut Said,
    pub arm: usize,
    /// Cycles since it began.
    pub age: u32,
    /// What was said, and the rig, when it began.
    pub first: &'a (Rig, Said),
    /// What the healthy cell has said since then, in every cycle; the present one is the last.
    pub past: &'a [Said],
    /// The same number during one episode, 0..1.
    pub chance: f64,
}

/// What became of a fault in all its episodes.
#[derive(Clone, Debug)]
pub struct Found {
    pub fault: &'static Fault,
    pub episodes: u32,
    pub detected: u32,
    /// The most cycles from observable to the reaction.
    pub worst_cycles: u32,
    /// The causes that were shown.
    pub causes: Vec<&'static str>,
    /// Causes of reactions that the fault is not listed with: these count as not found.
    pub wrong: Vec<&'static str>,
    /// The first episode in which it was not found: arm, phase.
    pub missed: Option<(usize, usize)>,
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Found { cycles: u32, shown: &'static str },
    Wrong { shown: &'static str },
    Missed,
}

impl Reaction {
    /// What a reaction may name.
    pub const fn causes(self) -> Codes {
        match self {
            Self::Stop(codes) | Self::RefuseCommand(codes) | Self::RefuseReset(codes) => codes,
            Self::Slow => &["contact_force"],
            Self::Deepen => &["stop_ineffective"],
            Self::Estop => &["emergency_stop"],
        }
    }

    /// Short name, for tables and other languages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stop(_) => "stop",
            Self::RefuseCommand(_) => "command refused",
            Self::RefuseReset(_) => "reset refused",
            Self::Slow => "slow down",
            Self::Deepen => "deeper stop",
            Self::Estop => "emergency stop",
        }
    }
}

impl Subject {
    pub const fn name(self) -> &'static str {
        match self {
            Self::JointState => "joint state",
            Self::Wrench => "wrench",
            Self::Command => "command",
            Self::Arm => "arm",
            Self::Presence => "human presence",
            Self::Operator => "emergency stop and reset",
            Self::Monitor => "monitor",
            Self::Cell => "cell",
        }
    }

    /// It is one arm's, so that a cause must name that arm.
    const fn is_of_arm(self) -> bool {
        matches!(self, Self::JointState | Self::Wrench | Self::Command | Self::Arm)
    }
}

/// Injects every fault, into every arm, at `phases` random moments each.
pub fn inject_all(phases: usize, seed: u64, threads: usize) -> Result<Vec<Found>, CellError> {
    let (moving, cold) = moments(phases, seed)?;
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(fault) = FAULTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = inject(fault, &moving, &cold, seed);
                    found.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|found| FAULTS.iter().position(|fault| fault.id == found.fault.id));
    Ok(found)
}

/// The rig at a moment, and what has been said of each arm until then.
type At = (Rig, [Watch; MAX_ROBOTS]);

/// The rig at random moments of its nominal motion, and as many that wait for their first reset.
fn moments(phases: usize, seed: u64) -> Result<(Vec<At>, Vec<At>), CellError> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rig = Rig::cold()?;
    let mut cold = Vec::new();
    rig.cycle();
    let mut watches = [Watch::new(), Watch::new(), Watch::new()];
    for _ in 0..phases {
        cold.push((rig.clone(), watches.clone()));
        if rng.random_bool(0.1) {
            rig.cycle();
        }
    }
    let mut said = rig.say();
    said.reset = Some(rig.state.epoch());
    rig.hear(&said);
    rig.decide();
    rig.pass();
    rig.working = true;
    for _ in 0..500 {
        watched(&mut rig, &mut watches);
    }
    // Two periods of the motion, in random steps.
    let most = (rig::MOTION_CYCLES / phases.max(1)).max(1) * 4;
    let mut moving = Vec::new();
    for _ in 0..phases {
        for _ in 0..rng.random_range(1..=most) {
            let verdict = watched(&mut rig, &mut watches);
            if verdict.state != SafetyState::Run {
                let cause = verdict.cause.map(|cause| cause.detail(&rig.config));
                return Err(CellError::Config(format!(
                    "the nominal motion does not run: {:?} {cause:?}",
                    verdict.state
                )));
            }
        }
        moving.push((rig.clone(), watches.clone()));
    }
    Ok((moving, cold))
}

fn watched(rig: &mut Rig, watches: &mut [Watch; MAX_ROBOTS]) -> Verdict {
    let said = rig.say();
    rig.hear(&said);
    let verdict = rig.decide();
    for (arm, watch) in watches.iter_mut().enumerate() {
        watch.hears(&said, arm);
        watch.told(&verdict, arm);
    }
    rig.pass();
    verdict
}

fn inject(fault: &'static Fault, moving: &[At], cold: &[At], seed: u64) -> Found {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut found = Found {
        fault,
        episodes: 0,
        detected: 0,
        worst_cycles: 0,
        causes: Vec::new(),
        wrong: Vec::new(),
        missed: None,
    };
    for arm in 0..MAX_ROBOTS {
        for phase in 0..moving.len() {
            let (rig, watches) = if fault.begins == Begins::Cold { &cold[phase] } else { &moving[phase] };
            let mut rig = rig.clone();
            if fault.begins == Begins::Stopped {
                stop(&mut rig);
            }
            found.episodes += 1;
            let seen = match episode(fault, rig, watches[arm].clone(), arm, rng.random()) {
                Ending::Found { cycles, shown } => {
                    found.detected += 1;
                    found.worst_cycles = found.worst_cycles.max(cycles);
                    Some((&mut found.causes, shown))
                }
                Ending::Wrong { shown } => {
                    found.missed = found.missed.or(Some((arm, phase)));
                    Some((&mut found.wrong, shown))
                }
                Ending::Missed => {
                    found.missed = found.missed.or(Some((arm, phase)));
                    None
                }
            };
            if let Some((list, shown)) = seen
                && !list.contains(&shown)
            {
                list.push(shown);
            }
        }
    }
    found
}

fn stop(rig: &mut Rig) {
    rig.working = false;
    let mut said = rig.say();
    said.emergency_stop = vec![true, false];
    rig.hear(&said);
    rig.decide();
    rig.pass();
    // 0.25 rad/s at 7.5 rad/s^2 are 34 cycles of braking.
    for _ in 0..80 {
        rig.cycle();
    }
}

fn episode(fault: &Fault, mut rig: Rig, mut watch: Watch, arm: usize, chance: f64) -> Ending {
    let first = (rig.clone(), rig.say());
    let (mut past, mut newest) = (Vec::new(), Newest::default());
    let mut seen = None;
    for age in 0..PATIENCE {
        let mut said = rig.say();
        past.push(said.clone());
        let (rig, first, past) = (&mut rig, &first, past.as_slice());
        (fault.inject)(&mut Moment { rig: &mut *rig, said: &mut said, arm, age, first, past, chance });
        rig.hear(&said);
        watch.hears(&said, arm);
        newest.hears(&said, arm);
        let (config, now_ns) = (&rig.config, rig.wall_ns());
        let look = Look { config, said: &said, arm, age, now_ns, newest: &newest };
        if seen.is_none() && watch.sees(fault.observable, &look) {
            seen = Some(age);
        }
        let before = rig.state.state();
        let verdict = rig.decide();
        if let Some(shown) = shown(fault, before, &verdict, rig, arm) {
            if !fault.reaction.causes().contains(&shown) {
                return Ending::Wrong { shown };
            }
            // A reaction before the fault shows by its own rule is one to another of its marks.
            return Ending::Found { cycles: seen.map_or(1, |seen| age - seen + 1), shown };
        }
        (fault.act)(&mut Moment { rig: &mut *rig, said: &mut said, arm, age, first, past, chance });
        watch.told(&verdict, arm);
        rig.pass();
    }
    Ending::Missed
}

/// What a reaction of the fault's kind names as its cause, if there was one in this step.
fn shown(
    fault: &Fault,
    before: SafetyState,
    verdict: &Verdict,
    rig: &Rig,
    arm: usize,
) -> Option<&'static str> {
    const OF_ANOTHER_ARM: &str = "cause of another arm";
    let cause = || {
        let cause = verdict.cause?;
        let strange = fault.subject.is_of_arm() && cause.robot.is_some_and(|robot| robot != arm);
        Some(if strange { OF_ANOTHER_ARM } else { cause.kind.code() })
    };
    let robot = &verdict.robots[arm];
    match fault.reaction {
        Reaction::Stop(_) => cause().filter(|_| verdict.state.is_stop()),
        Reaction::Estop => cause().filter(|_| verdict.state == SafetyState::Estop),
        Reaction::Deepen => cause().filter(|code| *code == "stop_ineffective"),
        Reaction::RefuseCommand(_) => {
            robot.refusal.filter(|_| !verdict.state.moves() || before.moves()).map(Refusal::code)
        }
        Reaction::RefuseReset(_) => match verdict.reset {
            Some(Err(refusal)) if before.moves() || verdict.state.is_stop() => Some(why(&refusal)),
            _ => None,
        },
        Reaction::Slow => (verdict.state == SafetyState::Slow && robot.scale < 1.0).then(|| {
            let contact = rig.config.in_force().robots[arm].wrench.contact_force_n;
            if robot.measures.contact_force_n > contact { "contact_force" } else { "no contact" }
        }),
    }
}

/// Why a reset was refused, in a word.
const fn why(refusal: &ResetRefusal) -> &'static str {
    match refusal {
        ResetRefusal::WrongEpoch { .. } => "wrong_epoch",
        ResetRefusal::Running => "running",
        ResetRefusal::EmergencyStopHeld => "emergency_stop_held",
        ResetRefusal::CausePersists(cause) => cause.kind.code(),
        ResetRefusal::Moving { .. } => "moving",
    }
}
