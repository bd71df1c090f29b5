//! One run of a skill: all its roles, ticked together at 100 Hz on the time given.
//!
//! A run starts with every role, ends with one [`Outcome`], and in between answers only two questions: what does each role want of
//! its robot, and is it over. It is over when the outcome is known *and* every arm stands *and* every leaf that was interrupted has
//! stopped; so an answer to a cancel is an answer about the arms, and about what the trees had begun elsewhere. A leaf that cannot be
//! stopped is an alarm, [`Run::alarm`].

use swarm_base::{Duration, Role, Time};
use swarm_bt::{Ring, State};
use swarm_bt_log::TickRecorder;

use crate::errand::Order;
use crate::executor::RoleExecutor;
use crate::link::Link;
use crate::message::Standing;
use crate::policy::PolicyTick;
use crate::role_io::{RoleInputs, RoleOutputs};
use crate::role_spec::{Activity, RoleSpec, RoleState, RunIdentity};

/// What the safety monitor says, as far as it concerns a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetyView {
    /// Reset epoch.
    pub epoch: u64,
    /// Motion passes, or would pass with the next command (READY, RUN, SLOW).
    pub permits_motion: bool,
    /// State and cause as words, e.g. `ESTOP: emergency_stop`.
    pub state: String,
}

impl SafetyView {
    /// Whether the safety monitor is letting a run move the arms (RUN, SLOW).
    pub fn is_moving(&self) -> bool {
        let name = self.state.split(':').next().unwrap_or_default();
        name == "RUN" || name == "SLOW"
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// With the reason, which names the role it comes from.
    Aborted(String),
    Canceled(String),
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    Running,
    /// The outcome is known; the arms are being brought to rest.
    Stopping(Outcome),
    Ended(Outcome),
}

/// An arm slower than this stands, rad/s. Drives and their measurements are never exactly at zero.
pub const REST_RAD_PER_S: f64 = 0.01;

/// An arm that has not come to rest within this time, or of which it is not known, is the safety monitor's affair; the run ends.
const STOP_TIMEOUT: Duration = Duration::from_millis(3_000);

/// How long every arm must have stood, told to stand, before a run has ended. Commands are a stream without repetition, in which
/// messages can be lost; a safety monitor that misses the last one, to stand still, finds a moving arm's commands ceased and
/// stops the cell. So several of them go out.
const STANDING_TOLD: Duration = Duration::from_millis(50);

/// All roles of one run.
#[derive(Debug)]
pub struct Run {
    identity: RunIdentity,
    executors: Vec<RoleExecutor>,
    state: RunState,
    safety_epoch: u64,
    started: Time,
    stopping_since: Time,
    /// Since when every arm has stood.
    resting_since: Option<Time>,
    ended: Time,
}

impl Run {
    /// A run that begins `now`. `links` are the connected ends for the roles of `specs`, in the same order; `safety_epoch` is the
    /// one under which the run is started, and its commands carry it.
    ///
    /// # Panics
    /// If there are not as many links as roles.
    pub fn new(
        specs: Vec<RoleSpec>,
        identity: RunIdentity,
        links: Vec<Box<dyn Link>>,
        safety_epoch: u64,
        now: Time,
    ) -> Self {
        assert_eq!(specs.len(), links.len(), "every role has its end of the link");
        let executors = specs
            .into_iter()
            .zip(links)
            .map(|(spec, link)| RoleExecutor::new(spec, &identity, link, now))
            .collect();
        Self {
            identity,
            executors,
            state: RunState::Running,
            safety_epoch,
            started: now,
            stopping_since: now,
            resting_since: None,
            ended: now,
        }
    }

    /// Records the trees of the roles that `recorder` has a recorder for; to be called before the first tick.
    #[must_use]
    pub fn record_with(
        mut self,
        mut recorder: impl FnMut(&RoleSpec) -> Option<Box<dyn TickRecorder>>,
    ) -> Self {
        let record = |executor: RoleExecutor| match recorder(executor.spec()) {
            Some(recorder) => executor.with_recorder(recorder),
            None => executor,
        };
        self.executors = self.executors.into_iter().map(record).collect();
        self
    }

    /// The recorders of a run that has ended, to be finished.
    pub fn take_recorders(&mut self) -> Vec<Box<dyn TickRecorder>> {
        self.executors.iter_mut().filter_map(RoleExecutor::take_recorder).collect()
    }

    /// One tick of every role, nominally every 10 ms. `inputs` are in the order of the roles.
    ///
    /// # Panics
    /// If there are not as many inputs as roles.
    pub fn tick(&mut self, inputs: &[RoleInputs], safety: &SafetyView, now: Time) -> &RunState {
        assert_eq!(inputs.len(), self.executors.len(), "every role has its inputs");
        if let RunState::Ended(_) = self.state {
            return &self.state;
        }
        if self.state == RunState::Running {
            if safety.epoch != self.safety_epoch {
                let (own, new) = (self.safety_epoch, safety.epoch);
                self.abort(&format!(
                    "the safety monitor was reset (epoch {new}, the run was started under {own})"
                ));
            } else if !safety.permits_motion {
                self.abort(&format!("the safety monitor stopped the cell: {}", safety.state));
            }
        }
        for (executor, inputs) in self.executors.iter_mut().zip(inputs) {
            executor.tick(inputs, now);
        }
        self.advance(inputs, now);
        &self.state
    }

    /// Halts every role. The run ends as canceled when the arms stand.
    pub fn cancel(&mut self, reason: &str) {
        if self.state == RunState::Running {
            self.stop_with(Outcome::Canceled(reason.to_owned()), reason);
        }
    }

    pub fn state(&self) -> &RunState {
        &self.state
    }

    pub fn identity(&self) -> &RunIdentity {
        &self.identity
    }

    pub fn safety_epoch(&self) -> u64 {
        self.safety_epoch
    }

    /// The roles' wishes of the last tick: role, robot, wish.
    pub fn outputs(&self) -> impl Iterator<Item = (&RoleSpec, &RoleOutputs)> {
        self.executors.iter().map(|executor| (executor.spec(), executor.outputs()))
    }

    /// What the roles want of the cell's peripherals after the last tick.
    pub fn orders(&self) -> impl Iterator<Item = (Role, &Order)> {
        self.executors
            .iter()
            .flat_map(|executor| executor.orders().iter().map(move |order| (executor.spec().role, order)))
    }

    /// What the roles' chunked policies did in the last tick, in the order of the roles.
    pub fn policies(&self) -> impl Iterator<Item = PolicyTick> {
        self.executors.iter().map(RoleExecutor::policy_tick)
    }

    /// What the roles' chunked policies do in the next tick, as [`Self::policies`] of another run.
    pub(crate) fn set_pace(&mut self, policies: &[PolicyTick]) {
        for (executor, pace) in self.executors.iter_mut().zip(policies) {
            executor.set_pace(*pace);
        }
    }

    /// Why the cell has to be stopped from outside, with the role that says so: something that a tree has begun cannot be stopped by it.
    pub fn alarm(&self) -> Option<(Role, &str)> {
        self.executors.iter().find_map(|executor| Some((executor.spec().role, executor.alarm()?)))
    }

    /// Each role's tree for whoever watches, see [`RoleExecutor::watched`].
    pub fn watched(&mut self) -> impl Iterator<Item = (&RoleSpec, &State, &mut Ring)> {
        self.executors.iter_mut().map(RoleExecutor::watched)
    }

    /// The roles' executors, in the order of the run's roles.
    pub fn executors(&self) -> &[RoleExecutor] {
        &self.executors
    }

    pub fn role_states(&self) -> Vec<RoleState> {
        let canceled = matches!(
            &self.state,
            RunState::Stopping(Outcome::Canceled(_)) | RunState::Ended(Outcome::Canceled(_))
        );
        self.executors
            .iter()
            .map(|executor| {
                let mut state = executor.state();
                if canceled && state.activity == Activity::Aborted {
                    state.activity = Activity::Canceled;
                }
                state
            })
            .collect()
    }

    /// From start to end, or to `now` if it has not ended.
    pub fn duration(&self, now: Time) -> Duration {
        match self.state {
            RunState::Ended(_) => self.ended.since(self.started),
            RunState::Running | RunState::Stopping(_) => now.since(self.started),
        }
    }

    fn abort(&mut self, reason: &str) {
        self.stop_with(Outcome::Aborted(reason.to_owned()), reason);
    }

    fn stop_with(&mut self, outcome: Outcome, reason: &str) {
        for executor in &mut self.executors {
            executor.abort(reason);
        }
        self.state = RunState::Stopping(outcome);
    }

    /// Running -> Stopping -> Ended.
    fn advance(&mut self, inputs: &[RoleInputs], now: Time) {
        if self.state == RunState::Running {
            self.stopping_since = now;
            if let Some(outcome) = self.outcome() {
                self.state = RunState::Stopping(outcome);
            }
        }
        if let RunState::Stopping(outcome) = &self.state {
            let resting = self.executors.iter().zip(inputs).all(|(executor, inputs)| {
                executor.is_at_rest(inputs, REST_RAD_PER_S, now) && executor.standing() != &Standing::Active
            });
            self.resting_since = if resting { self.resting_since.or(Some(now)) } else { None };
            let rested = self.resting_since.is_some_and(|since| now.since(since) >= STANDING_TOLD);
            // Each has its own limit, after which it is an alarm.
            let stopping = self.executors.iter().any(RoleExecutor::is_stopping);
            if !stopping && (rested || now.since(self.stopping_since) >= STOP_TIMEOUT) {
                self.ended = now;
                self.state = RunState::Ended(outcome.clone());
            }
        }
    }

    /// Success when every role is done; an abort as soon as one has given up.
    fn outcome(&self) -> Option<Outcome> {
        let aborted = self.executors.iter().find_map(|executor| match executor.standing() {
            Standing::Aborted(reason) => Some(Outcome::Aborted(named(executor.spec().role, reason))),
            Standing::Active | Standing::Done | Standing::Standby => None,
        });
        let all_done = self.executors.iter().all(|executor| executor.standing() == &Standing::Done);
        aborted.or(all_done.then_some(Outcome::Succeeded))
    }
}

/// A reason with the role that it comes from, unless it names one already.
fn named(role: Role, reason: &str) -> String {
    if crate::cooperation::names_a_role(reason) { reason.to_owned() } else { format!("{role}: {reason}") }
}
