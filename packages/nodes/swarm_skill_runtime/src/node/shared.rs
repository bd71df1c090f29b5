//! What the threads of the node share, and what goals and deployments ask of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::FutureExt as _;
use r2r::swarm_msgs::srv::LoadEnvelope;
use swarm_artifact::ArtifactId;
use swarm_base::{Clock as _, Duration, MonotonicClock, Role, Shutdown};
use swarm_metrics::Metrics;
use swarm_ros::{LifecycleState, Parameter};
use swarm_skill_core::{ArmAtRest, Goal};

use crate::beside::{self, Candidate, Telling};
use crate::deployer::{ActiveSkill, Deployer, NotDeployed, Order, Surroundings};
use crate::engine::{Engine, GoalSink, NOTHING_DEPLOYED};
use crate::rehearsal::{Rehearsals, Rehearsed};
use crate::robots::Robots;
use crate::world::World;

/// Longest time that the safety monitor may take for an envelope.
const ENVELOPE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Longest time from the safety monitor's answer to the status that shows it; it says the status 50 times a second.
const STATUS_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// Time between two looks at what another thread fulfils.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(2);

/// What the threads share.
pub struct Shared {
    pub(super) clock: MonotonicClock,
    pub(super) world: Mutex<World>,
    pub(super) engine: Mutex<Engine>,
    pub(super) robots: Arc<Robots>,
    pub(super) deployer: Deployer,
    pub(super) rehearsals: Rehearsals,
    pub(super) last_good: Mutex<String>,
    pub(super) lifecycle: LifecycleState,
    pub(super) join_timeout: Duration,
    pub(super) swap_wait_s: Parameter<f64>,
    pub(super) envelopes: Mutex<r2r::Client<LoadEnvelope::Service>>,
    pub(super) metrics: Arc<Metrics>,
    /// Cause of the stop that the safety monitor is in; empty in none.
    pub(super) stopped: Mutex<String>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("deployer", &self.deployer).finish_non_exhaustive()
    }
}

impl Shared {
    /// A goal for the control loop. `mistake` is what is wrong with it already.
    pub fn ask(&self, goal: Goal, skill_id: &str, mistake: Option<String>, sink: Box<dyn GoalSink>) {
        let active = self.deployer.active();
        let patience = if goal.patience == Duration::ZERO { self.join_timeout } else { goal.patience };
        let refusal = mistake.or_else(|| self.refusal(skill_id, active.as_deref()));
        self.engine().ask(&Goal { patience, ..goal }, active.as_deref(), refusal, sink, self.clock.now());
    }

    /// Why nothing can be done with this skill now.
    fn refusal(&self, skill_id: &str, active: Option<&ActiveSkill>) -> Option<String> {
        if !self.lifecycle.is_active() {
            return Some("the runtime is not active".into());
        }
        if self.deployer.is_busy() {
            return Some("a deployment is being carried out; try again when it is done".into());
        }
        let other = active.filter(|active| active.skill_id != skill_id)?;
        Some(format!("the deployed skill is {}, not '{skill_id}'", other.title()))
    }

    /// Computes a preview on a thread of its own, until `stop`; `tell` hears of it. The error says why there is none.
    pub fn preview(
        self: &Arc<Self>,
        skill_id: &str,
        stop: Shutdown,
        tell: impl Fn(Rehearsed) + Send + 'static,
    ) -> Result<(), String> {
        let active = self.deployer.active();
        if let Some(refusal) = self.refusal(skill_id, active.as_deref()) {
            return Err(refusal);
        }
        let active = active.ok_or(NOTHING_DEPLOYED)?;
        if let Some(run) = self.engine().run_in_progress() {
            return Err(format!("run {run} is in progress; cancel it or wait for its end"));
        }
        let rehearsal = self.rehearsals.begin(active, &self.robots, &self.world())?;
        let shared = Arc::clone(self);
        let play = move || rehearsal.play(&shared.deployer, &stop, &tell);
        super::spawn("preview", play).map(drop).map_err(|error| format!("{error:#}"))
    }

    pub fn cancel(&self, role: Option<Role>, reason: &str) {
        self.engine().cancel(role, reason);
    }

    /// Counts a stop of the cell once, however often it is said.
    pub(super) fn count_stop(&self, state: &str, cause: &str) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let now = if matches!(state, "STOP2" | "STOP1" | "ESTOP") { cause } else { "" };
        if *stopped != now {
            now.clone_into(&mut stopped);
            if !now.is_empty() {
                self.metrics.safety_violation(now);
            }
        }
    }

    pub(super) fn carry_out(&self, order: &Order) -> Result<Arc<ActiveSkill>, NotDeployed> {
        if !self.lifecycle.is_active() {
            return Err(NotDeployed { message: "the runtime is not active".into(), unacceptable: false });
        }
        let started = Instant::now();
        let result = self.deployer.carry_out(order, self);
        self.remember_last_good();
        match &result {
            Ok(active) => tracing::info!(
                "{} is in force after {:.2} s",
                active.title(),
                started.elapsed().as_secs_f64()
            ),
            Err(reason) => tracing::error!("refused: {reason}"),
        }
        result
    }

    /// For the status, which does not look at the disk.
    pub(super) fn remember_last_good(&self) {
        *self.last_good.lock().unwrap_or_else(PoisonError::into_inner) = self.deployer.last_good();
    }

    // A poisoned lock means that a thread panicked between two statements that each leave a whole value behind.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl beside::Cell for Shared {
    fn motion(&self) -> (Option<String>, Vec<ArmAtRest>) {
        let run = self.engine().run_in_progress().map(str::to_owned);
        (run, self.world().arms(self.clock.now()))
    }

    fn telling(&self) -> Option<Arc<Telling>> {
        self.engine().telling()
    }

    fn given_up(&self) -> Option<String> {
        (!self.lifecycle.is_active()).then(|| "the runtime was deactivated".into())
    }
}

impl Surroundings for Shared {
    fn await_rest(&self, candidate: &Candidate<'_>) -> Result<Option<String>, String> {
        let patience = std::time::Duration::from_secs_f64(self.swap_wait_s.get());
        beside::await_rest(self, candidate, patience)
    }

    fn load_envelope(&self, artifact: Option<ArtifactId>) -> Result<(), String> {
        let service = "/safety_monitor/load_envelope";
        let client = self.envelopes.lock().unwrap_or_else(PoisonError::into_inner);
        let there = r2r::Node::is_available(&*client)
            .map_err(|error| format!("cannot look for {service}: {error}"))?;
        wait(there)
            .ok_or_else(|| format!("no node offers {service}; is the safety monitor running?"))?
            .map_err(|error| format!("cannot look for {service}: {error}"))?;
        // After a run the safety monitor goes on guarding it until its last command has grown old.
        let deadline = Instant::now() + STATUS_TIMEOUT;
        while self.world().safety(self.clock.now()).is_moving() && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
        let request = LoadEnvelope::Request {
            artifact: artifact.map(|artifact| artifact.to_string()).unwrap_or_default(),
        };
        let answer = client.request(&request).map_err(|error| format!("cannot call {service}: {error}"))?;
        let answer = wait(answer)
            .ok_or_else(|| format!("{service} has not answered within {} s", ENVELOPE_TIMEOUT.as_secs()))?
            .map_err(|error| format!("cannot call {service}: {error}"))?;
        if !answer.success {
            return Err(format!("the safety monitor refuses the envelope: {}", answer.message));
        }
        // A run looks at the status; so a run that is asked for after this order finds what was ordered.
        let deadline = Instant::now() + STATUS_TIMEOUT;
        while self.world().loaded_artifact(self.clock.now()) != Some(request.artifact.as_str()) {
            if Instant::now() >= deadline {
                return Err(format!(
                    "the safety monitor took the envelope, but no /safety_monitor status has named it within {} s",
                    STATUS_TIMEOUT.as_secs()
                ));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }
}

/// Waits on a thread of its own for what the spin thread will fulfil.
fn wait<T>(future: impl Future<Output = T>) -> Option<T> {
    let deadline = Instant::now() + ENVELOPE_TIMEOUT;
    let mut future = Box::pin(future);
    loop {
        if let Some(value) = future.as_mut().now_or_never() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
