//! A version that waits to be deployed, compared with the run in progress: it is given what the run is told, and moves nothing.
//!
//! The control loop writes down every tick of its run ([`Telling`]); whoever carries out the deployment reads it on a thread of
//! its own ([`Beside`]), from the run's first tick on, whenever the deployment was asked for. Its policies are not those of the run, and
//! answer in the ticks in which those have answered: how long an inference takes beside a run says nothing.

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
        let (run, ticks) = (&self.telling.identity.run, self.shadow.ticks());
        match self.shadow.difference() {
            Some(difference) => format!("beside run {run} it first parted at {difference}"),
            None if self.telling.has_room() => {
                format!("beside run {run} it did the same for all {ticks} ticks")
            }
            None => format!(
                "beside run {run} it did the same for the first {ticks} ticks, and nothing later was compared"
            ),
        }
    }
}

/// Makes the skill that is to be put beside a run.
pub type Candidate<'a> = dyn Fn() -> Result<Skill, String> + 'a;

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

/// Waits until nothing moves, for as long as `patience` and longer for an arm that was never heard ([`FIRST_HEARING`]), with
/// `candidate` beside the run in progress. Gives how the two compared, in words; `None` if there was nothing to compare with. The
/// error says what still moves.
pub fn await_rest(
    cell: &dyn Cell,
    candidate: &Candidate<'_>,
    patience: Duration,
) -> Result<Option<String>, String> {
    let begun = Instant::now();
    let mut beside: Option<Result<Beside, String>> = None;
    loop {
        let (run, arms) = cell.motion();
        let Err(moves) = check_rest(run.as_deref(), &arms) else {
            return Ok(beside.map(|beside| match beside {
                Ok(mut beside) => {
                    beside.follow();
                    beside.summary()
                }
                Err(reason) => format!("it could not be compared with the run before: {reason}"),
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
            beside = cell.telling().map(|telling| Ok(Beside::new(&candidate()?, telling)));
        }
        if let Some(Ok(beside)) = &mut beside {
            beside.follow();
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

#[cfg(test)]
mod tests {
    use swarm_skill_core::{Run, SafetyView, Timing};

    use super::*;

    /// A run of no roles at all is over at once, and is told on and on.
    #[test]
    fn the_summary_says_where_the_comparison_ended() {
        let identity = RunIdentity {
            run: "r7".into(),
            epoch: 1,
            instance: 1,
            roles: Vec::new(),
            phases: Vec::new(),
            timing: Timing::default(),
        };
        let mut run = Run::new(Vec::new(), identity.clone(), Vec::new(), 1, Time::ZERO);
        let shadow = Shadow::new(&[], &[], &identity, 1, Time::ZERO);
        let telling = Arc::new(Telling::new(identity, 1, Time::ZERO, Vec::new()));
        let mut beside = Beside { telling: Arc::clone(&telling), shadow };
        let safety = SafetyView { epoch: 1, permits_motion: true, state: "RUN".into() };
        let mut tell = |ticks: usize| {
            for _ in 0..ticks {
                let state = run.tick(&[], &safety, Time::ZERO).clone();
                let (inputs, wishes, orders, policies) = Default::default();
                let safety = safety.clone();
                telling.tell(Told { now: Time::ZERO, safety, inputs, wishes, orders, policies, state });
            }
            beside.follow();
            beside.summary()
        };
        assert_eq!(tell(MOST_TOLD - 1), "beside run r7 it did the same for all 23999 ticks");
        assert_eq!(
            tell(5),
            "beside run r7 it did the same for the first 24000 ticks, and nothing later was compared"
        );
    }
}
