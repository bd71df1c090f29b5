//! What goes wrong in a real cell, injected into a running one; how soon the decision finds it.
//!
//! Vocabulary
//! - *fault*: one thing that goes wrong with one arm, its messages, or what is said to the cell ([`Fault`]).
//! - *phase*: the moment of the nominal motion at which it begins; random, from a printed seed.
//! - *observable*: the first cycle whose inputs differ from what a healthy cell could say, by the tolerances that are
//!   documented ([`Observable`]). Nobody can find a fault sooner without false stops.
//! - *cycles*: steps from that one, which counts as 1, up to the one that reacts.
//!
//! Flow of an episode: clone the [`Rig`] at its phase; per cycle let the healthy cell speak, let the fault change what was said or
//! done, take it in through [`ingest`](swarm_safety_core::ingest), step, and look at the verdict.
//!
//! Deliberately absent: what needs the process around the decision (its threads, its disk, its death), and what cannot be seen
//! from messages at all ([`UNSEEN`]), which is an assumption of use.

mod rig;
mod table;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use swarm_safety_core::{CauseKind, MAX_ROBOTS, SafetyState, Verdict};

pub use rig::{PERIOD, Rig, Said};
pub use table::{FAULTS, UNSEEN};

use crate::cell::CellError;

/// Cycles after which a fault counts as not found.
const PATIENCE: u32 = 1500;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub id: &'static str,
    pub says: &'static str,
    pub begins: Begins,
    pub observable: Observable,
    pub reaction: Reaction,
    /// Changes what is said, or the rig itself, before a step.
    pub inject: fn(&mut Moment<'_>),
    /// Changes what an arm does after a step.
    pub act: fn(&mut Moment<'_>),
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

/// When a fault could be seen at the earliest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observable {
    /// In the cycle in which it begins.
    AtOnce,
    /// That many cycles later.
    After(u32),
    /// When the last healthy message is older than this, s.
    Overdue(f64),
    /// When positions differ from the sum of the velocities by more than the tolerance, 0.03 rad; older differences fade in 1 s.
    Contradiction,
    /// When a joint is 0.1 rad/s faster than, or turns otherwise than, it was told within 0.1 s.
    Disobedience,
    /// When an arm that was told to move has reported standstill for this long, s.
    Standing(f64),
}

/// What the decision must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    Stop,
    /// Moves nothing for it, and says why.
    RefuseCommand,
    RefuseReset,
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
    /// The first episode in which it was not found: arm, phase.
    pub missed: Option<(usize, usize)>,
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
    let most = (2000 / phases.max(1)).max(1) * 2;
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
    let mut found =
        Found { fault, episodes: 0, detected: 0, worst_cycles: 0, causes: Vec::new(), missed: None };
    for arm in 0..MAX_ROBOTS {
        for phase in 0..moving.len() {
            let (rig, watches) = if fault.begins == Begins::Cold { &cold[phase] } else { &moving[phase] };
            let mut rig = rig.clone();
            if fault.begins == Begins::Stopped {
                stop(&mut rig);
            }
            found.episodes += 1;
            match episode(fault, rig, watches[arm].clone(), arm, rng.random()) {
                Some((cycles, cause)) => {
                    found.detected += 1;
                    found.worst_cycles = found.worst_cycles.max(cycles);
                    if let Some(cause) = cause.filter(|cause| !found.causes.contains(cause)) {
                        found.causes.push(cause);
                    }
                }
                None => found.missed = found.missed.or(Some((arm, phase))),
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
    // 0.25 rad/s at 7.5 rad/s^2 are 17 cycles of braking.
    for _ in 0..40 {
        rig.cycle();
    }
}

/// Cycles from observable to the reaction, and the cause then; `None` if there was no reaction.
fn episode(
    fault: &Fault,
    mut rig: Rig,
    mut watch: Watch,
    arm: usize,
    chance: f64,
) -> Option<(u32, Option<&'static str>)> {
    let first = (rig.clone(), rig.say());
    let mut seen = None;
    for age in 0..PATIENCE {
        let mut said = rig.say();
        (fault.inject)(&mut Moment { rig: &mut rig, said: &mut said, arm, age, first: &first, chance });
        rig.hear(&said);
        watch.hears(&said, arm);
        if seen.is_none() && watch.sees(fault.observable, &said, arm, age) {
            seen = Some(age);
        }
        let before = rig.state.state();
        let verdict = rig.decide();
        if reacted(fault.reaction, before, &verdict, arm) {
            // A reaction before the fault shows by its own rule is one to another of its marks.
            let cycles = seen.map_or(1, |seen| age - seen + 1);
            return Some((cycles, verdict.cause.map(|cause| cause.kind.code())));
        }
        (fault.act)(&mut Moment { rig: &mut rig, said: &mut said, arm, age, first: &first, chance });
        watch.told(&verdict, arm);
        rig.pass();
    }
    None
}

fn reacted(reaction: Reaction, before: SafetyState, verdict: &Verdict, arm: usize) -> bool {
    let still_refused = !verdict.state.moves() || before.moves();
    match reaction {
        Reaction::Stop => verdict.state.is_stop(),
        Reaction::Estop => verdict.state == SafetyState::Estop && !matches!(verdict.reset, Some(Ok(_))),
        Reaction::RefuseCommand => verdict.robots[arm].refusal.is_some() && still_refused,
        Reaction::RefuseReset => {
            matches!(verdict.reset, Some(Err(_))) && (before.moves() || verdict.state.is_stop())
        }
        Reaction::Slow => verdict.state == SafetyState::Slow && verdict.robots[arm].scale < 1.0,
        Reaction::Deepen => verdict.cause.is_some_and(|cause| cause.kind == CauseKind::StopIneffective),
    }
}

/// When a fault can be seen, by the documented tolerances; written apart from the core.
#[derive(Clone, Debug)]
struct Watch {
    /// Reported before: positions, velocities, stamp.
    before: Option<(Vec<f64>, Vec<f64>, u64)>,
    sum: Vec<f64>,
    /// Velocities told in the last 0.1 s, newest last.
    told: Vec<Vec<f64>>,
    standing: u32,
}

impl Watch {
    fn new() -> Self {
        Self { before: None, sum: vec![0.0; 7], told: Vec::new(), standing: 0 }
    }

    fn told(&mut self, verdict: &Verdict, arm: usize) {
        self.told.push(verdict.robots[arm].velocity.iter().copied().collect());
        if self.told.len() > 50 {
            self.told.remove(0);
        }
    }

    fn sees(&mut self, observable: Observable, said: &Said, arm: usize, age: u32) -> bool {
        let period = PERIOD.as_secs_f64();
        match observable {
            Observable::AtOnce => true,
            Observable::After(cycles) => age >= cycles,
            // The last healthy message came with the cycle before the first.
            Observable::Overdue(limit) => f64::from(age + 1) * period > limit + 1e-9,
            Observable::Contradiction => self.sum.iter().any(|sum| sum.abs() > 0.03),
            Observable::Disobedience => said.joints[arm].iter().any(|message| {
                let told = |joint: usize| self.told.iter().map(move |told| told[joint]);
                age > 0
                    && message.velocity.iter().enumerate().any(|(joint, velocity)| {
                        let low = told(joint).fold(0.0, f64::min) * 1.1 - 0.1;
                        let high = told(joint).fold(0.0, f64::max) * 1.1 + 0.1;
                        !(low..=high).contains(velocity)
                    })
            }),
            Observable::Standing(limit) => {
                let reported = said.joints[arm].last();
                let moves = reported.is_some_and(|message| message.velocity.iter().any(|v| v.abs() > 0.01));
                self.standing = if moves { 0 } else { self.standing + 1 };
                f64::from(self.standing) * period > limit
            }
        }
    }

    /// Sums up positions against velocities; of several messages in one cycle the last one is what is seen.
    fn hears(&mut self, said: &Said, arm: usize) {
        let Some(message) = said.joints[arm].last() else { return };
        let now = (message.position.clone(), message.velocity.clone(), message.sent_ns);
        if let Some((position, velocity, sent_ns)) = &self.before {
            let dt = message.sent_ns.saturating_sub(*sent_ns) as f64 * 1e-9;
            // Arrays of a malformed message may differ in length.
            let values = position.iter().zip(velocity).zip(now.0.iter().zip(&now.1));
            for (sum, ((q, qd), (q_now, qd_now))) in self.sum.iter_mut().zip(values) {
                *sum = *sum * (1.0 - dt) + q_now - q - (qd + qd_now) / 2.0 * dt;
            }
        }
        self.before = Some(now);
    }
}

/// The figures as a Markdown table.
pub fn markdown(found: &[Found]) -> String {
    let mut lines = vec![
        "| fault | what goes wrong | observable | reaction | shown as | detected | worst cycles |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(found.iter().map(|found| {
        let Fault { id, says, observable, reaction, .. } = found.fault;
        let (detected, episodes, worst) = (found.detected, found.episodes, found.worst_cycles);
        let causes = if found.causes.is_empty() { "-".to_owned() } else { found.causes.join(", ") };
        format!(
            "| `{id}` | {says} | {} | {} | {causes} | {detected}/{episodes} | {worst} |",
            observable.text(),
            reaction.text()
        )
    }));
    lines.push("\nNot to be seen from what the monitor hears, and so not counted:\n".to_owned());
    lines.push("| fault | assumption of use that covers it |\n|---|---|".to_owned());
    lines.extend(UNSEEN.iter().map(|(fault, assumption)| format!("| {fault} | {assumption} |")));
    lines.join("\n") + "\n"
}

impl Observable {
    fn text(self) -> String {
        match self {
            Self::AtOnce => "at once".to_owned(),
            Self::After(cycles) => format!("{cycles} cycles later"),
            Self::Overdue(limit) => format!("when the time-out of {limit} s is over"),
            Self::Contradiction => "when positions and velocities differ by 0.03 rad".to_owned(),
            Self::Disobedience => "when 0.1 rad/s off what was told within 0.1 s".to_owned(),
            Self::Standing(limit) => format!("when it has reported standstill for {limit} s"),
        }
    }
}

impl Reaction {
    const fn text(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::RefuseCommand => "command refused",
            Self::RefuseReset => "reset refused",
            Self::Slow => "slow down",
            Self::Deepen => "deeper stop",
            Self::Estop => "emergency stop",
        }
    }
}
