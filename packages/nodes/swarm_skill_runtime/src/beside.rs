//! A version that waits to be deployed, compared with the run in progress: it is given what the run is told, and moves nothing.
//!
//! The control loop writes down every tick of its run ([`Telling`]); whoever carries out the deployment reads it on a thread of
//! its own ([`Beside`]), from the run's first tick on, whenever the deployment was asked for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use swarm_base::{Role, Time};
use swarm_skill_core::{ArmAtRest, NotAtRest, RunIdentity, Shadow, Skill, Told, check_rest};

use crate::world::FIRST_HEARING;

/// Ticks of a run that are kept: four minutes, about 40 MB.
const MOST_TOLD: usize = 24_000;

/// A run as it goes on.
#[derive(Debug)]
pub struct Telling {
    identity: RunIdentity,
    safety_epoch: u64,
    begun: Time,
    /// Roles and their robots, in the order of what they are told.
    cast: Vec<(Role, String)>,
    ticks: Mutex<Vec<Arc<Told>>>,
}

impl Telling {
    pub fn new(identity: RunIdentity, safety_epoch: u64, begun: Time, cast: Vec<(Role, String)>) -> Self {
        Self { identity, safety_epoch, begun, cast, ticks: Mutex::default() }
    }

    /// Whether further ticks are kept.
    pub fn has_room(&self) -> bool {
        self.ticks.lock().unwrap_or_else(PoisonError::into_inner).len() < MOST_TOLD
    }

    /// The next tick; none after the last that there is room for.
    pub fn tell(&self, told: Told) {
        let mut ticks = self.ticks.lock().unwrap_or_else(PoisonError::into_inner);
        if ticks.len() < MOST_TOLD {
            ticks.push(Arc::new(told));
        }
    }

    /// Ticks from number `from` (0 is the first) on.
    fn since(&self, from: usize) -> Vec<Arc<Told>> {
        let ticks = self.ticks.lock().unwrap_or_else(PoisonError::into_inner);
        ticks.get(from..).unwrap_or_default().to_vec()
    }
}

/// A skill beside a run.
#[derive(Debug)]
pub struct Beside {
    telling: Arc<Telling>,
    shadow: Shadow,
}

impl Beside {
    pub fn new(skill: &Skill, telling: Arc<Telling>) -> Self {
        let shadow =
            Shadow::new(&skill.roles, &skill.phases, &telling.identity, telling.safety_epoch, telling.begun);
        Self { telling, shadow }
    }

    /// Takes in what the run has been told since.
    pub fn follow(&mut self) {
        if self.shadow.difference().is_some() {
            return;
        }
        for told in self.telling.since(self.shadow.ticks() as usize) {
            if self.shadow.follow(&self.telling.cast, &told).is_some() {
                return;
            }
        }
    }

    /// How the two compare, for the operator.
    pub fn summary(&self) -> String {
        let run = &self.telling.identity.run;
        match self.shadow.difference() {
            Some(difference) => format!("beside run {run} it first parted at {difference}"),
            None => format!("beside run {run} it did the same for all {} ticks", self.shadow.ticks()),
        }
    }
}

/// Time between two looks at the cell.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A cell in which something may move.
pub trait Cell {
    /// Trace id of a run in progress, and what is measured of the arms.
    fn motion(&self) -> (Option<String>, Vec<ArmAtRest>);

    /// The run in progress.
    fn telling(&self) -> Option<Arc<Telling>>;

    /// Why it is useless to wait any longer.
    fn given_up(&self) -> Option<String>;
}

/// Waits until nothing moves, for as long as `patience` and longer for an arm that was never heard ([`FIRST_HEARING`]), with `candidate` beside the run in progress. Gives how the two compared,
/// in words; `None` if there was nothing to compare with. The error says what still moves.
pub fn await_rest(cell: &dyn Cell, candidate: &Skill, patience: Duration) -> Result<Option<String>, String> {
    let begun = Instant::now();
    let mut beside: Option<Beside> = None;
    loop {
        let (run, arms) = cell.motion();
        let Err(moves) = check_rest(run.as_deref(), &arms) else {
            return Ok(beside.map(|mut beside| {
                beside.follow();
                beside.summary()
            }));
        };
        if let Some(reason) = cell.given_up() {
            return Err(reason);
        }
        let patience = match moves {
            NotAtRest::Unheard { .. } => patience.max(FIRST_HEARING.to_std()),
            _ => patience,
        };
        if begun.elapsed() >= patience {
            let waited = if patience.is_zero() {
                String::new()
            } else {
                format!(" (waited {} s)", patience.as_secs_f64())
            };
            return Err(format!("{moves}{waited}"));
        }
        if beside.is_none() {
            beside = cell.telling().map(|telling| Beside::new(candidate, telling));
        }
        if let Some(beside) = &mut beside {
            beside.follow();
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
