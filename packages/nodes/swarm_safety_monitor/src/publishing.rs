//! The publishing thread: says in ROS what the deciding thread has decided, and tells whoever waits for an answer.
//!
//! It runs below the deciding thread and above everything else. The middleware locks and allocates; here it may. Once a second it looks
//! whether both threads still run in real time: as it alone carries permits, a cell that it cannot look after stops by silence.

use std::sync::Arc;
use std::thread::Builder;

use swarm_base::{Clock as _, Duration, Shutdown, Time};
use swarm_rt::cells::queue::Receiver;
use swarm_rt::periodic::Occasion;
use swarm_rt::wake::Sleeper;
use swarm_rt::{KernelClock, Lack, ThreadWish};
use swarm_safety_core::{Config, Refusal, ResetRefusal, Verdict};

use crate::board::{Board, InForce};
use crate::deciding::{Cycle, Said};
use crate::intake::Intake;
use crate::outputs::{Context, Outputs};
use crate::real_time::{self, Seat, Thread, Watch};

/// Longest sleep: how soon a shutdown request is seen when nothing is said.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// Stack that is made resident.
const STACK_BYTES: usize = 256 << 10;

/// What the thread works with.
#[derive(Debug)]
pub struct Publisher {
    pub outputs: Outputs,
    pub board: Arc<Board>,
    pub intake: Arc<Intake>,
    pub said: Receiver<Said>,
    pub retired: Receiver<Arc<Config>>,
    pub sleeper: Sleeper,
    /// Priority of `SCHED_FIFO`; `None` = the system's fair time sharing.
    pub priority: Option<u8>,
    /// The deciding thread's.
    pub seat: Option<Seat>,
    pub on_loss: OnLoss,
}

/// What becomes of a cell whose threads lose their real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    Stop,
    /// It was started to go without: every status says so.
    Continue,
}

/// Starts the thread; it ends after a shutdown request, when the deciding thread has said its last. Gives what it lacks.
pub fn start(publisher: Publisher, shutdown: Shutdown) -> std::io::Result<(Thread, Vec<Lack>)> {
    let robots = publisher.board.status().config.arms().len();
    let wish =
        publisher.priority.map(|priority| ThreadWish { priority, cpu: None, stack_bytes: STACK_BYTES });
    real_time::start(Builder::new().name("publish".to_owned()), wish, move |set_up| {
        let seats = publisher.seat.into_iter().chain(set_up.seat());
        let watch = Watch::new(seats, KernelClock.now());
        set_up.is_done();
        let context = Context::default();
        let refusals = vec![None; robots];
        let worker =
            Worker { publisher, watch, in_force: None, context, refusals, last: None, trace: String::new() };
        worker.work(&shutdown);
    })
}

struct Worker {
    publisher: Publisher,
    watch: Watch,
    /// The limits of the last cycle.
    in_force: Option<Arc<InForce>>,
    context: Context,
    /// Last refusal per robot, so that a stream of equal ones is logged once.
    refusals: Vec<Option<Refusal>>,
    last: Option<Time>,
    trace: String,
}

impl Worker {
    fn work(mut self, shutdown: &Shutdown) {
        let mut silenced = false;
        // After a shutdown request the deciding thread says once more that nothing is permitted.
        while !(shutdown.is_requested() && silenced) {
            self.publisher.sleeper.sleep_until(KernelClock.now() + LONGEST_SLEEP);
            while let Some(said) = self.publisher.said.receive() {
                match said {
                    Said::Cycle(cycle) => {
                        silenced = false;
                        self.tell(&cycle);
                    }
                    Said::Silence { epoch } => {
                        silenced = true;
                        self.last = None;
                        self.publisher.outputs.withdraw(epoch);
                    }
                }
            }
            // Old limits are freed here.
            while self.publisher.retired.receive().is_some() {}
            self.look_after_real_time();
        }
    }

    fn tell(&mut self, cycle: &Cycle) {
        let Some(in_force) = self.in_force(cycle.generation) else { return };
        let verdict = &cycle.verdict;
        // Before everything that takes a lock: who holds one may be held up itself, and drivers wait.
        self.publisher.outputs.grant(verdict, &in_force.artifact, cycle.now);
        if verdict.state.moves() {
            self.publisher.intake.trace_id(&mut self.trace);
        } else if self.context.artifact != in_force.artifact {
            self.trace.clear();
        }
        if self.context.artifact != in_force.artifact {
            // Its commands count from now on; of which epoch they are, the deciding thread says.
            let artifact = Some(in_force.artifact.as_str()).filter(|artifact| !artifact.is_empty());
            self.publisher.intake.loaded(artifact);
        }
        self.context.reset_epoch = verdict.reset_began().unwrap_or(self.context.reset_epoch);
        (self.context.real_time, self.context.degraded) = self.publisher.board.real_time();
        self.context.skill.clone_from(&in_force.skill);
        self.context.artifact.clone_from(&in_force.artifact);
        self.context.trace_id.clone_from(&self.trace);
        let (config, outputs) = (&in_force.config, &mut self.publisher.outputs);
        outputs.tell_status(config, verdict, &self.context, cycle.now);
        self.answer(&in_force, cycle);
        self.log(config, verdict);
        self.note(config, cycle);
    }

    fn look_after_real_time(&mut self) {
        let Some(lost) = self.watch.look(KernelClock.now()) else { return };
        let lost: Vec<String> = lost.iter().map(ToString::to_string).collect();
        for lack in &lost {
            tracing::error!("real time is lost: {lack}");
        }
        if lost.is_empty() {
            tracing::info!("the threads run in real time again");
        }
        // SR-18
        let stops = self.publisher.on_loss == OnLoss::Stop && !lost.is_empty();
        self.publisher.intake.real_time_lost(stops);
        self.publisher.board.lost(lost);
    }

    /// The limits that a cycle was decided under; older ones are let go.
    fn in_force(&mut self, generation: u64) -> Option<Arc<InForce>> {
        let is_meant = |limits: &Arc<InForce>| limits.config.generation() == generation;
        if !self.in_force.as_ref().is_some_and(is_meant) {
            self.in_force = Some(self.publisher.board.limits(generation)?);
        }
        self.in_force.clone()
    }

    fn answer(&self, in_force: &InForce, cycle: &Cycle) {
        let verdict = &cycle.verdict;
        self.publisher.board.in_force_since(cycle.generation, verdict.epoch);
        if let Some(answer) = &verdict.reset {
            let answer = answer.map_err(|refusal: ResetRefusal| refusal.detail(&in_force.config));
            self.publisher.board.answer_reset(&(verdict.epoch, answer));
        }
    }

    fn log(&mut self, config: &Config, verdict: &Verdict) {
        if verdict.changed {
            if let Some(cause) = &verdict.cause {
                tracing::warn!(
                    state = verdict.state.name(),
                    cause = cause.kind.code(),
                    epoch = verdict.epoch,
                    "{}",
                    cause.detail(config)
                );
            } else {
                tracing::info!(state = verdict.state.name(), epoch = verdict.epoch, "safety state");
            }
        }
        for ((last, robot), arm) in self.refusals.iter_mut().zip(&verdict.robots).zip(config.arms()) {
            if robot.refusal.is_some() && robot.refusal != *last {
                let refusal = robot.refusal.map_or("", Refusal::code);
                tracing::warn!(robot = arm.name, refusal, epoch = verdict.epoch, "command not taken");
            }
            if robot.refusal.is_some() || verdict.changed {
                *last = robot.refusal;
            }
        }
    }

    fn note(&mut self, config: &Arc<Config>, cycle: &Cycle) {
        let verdict = &cycle.verdict;
        let gap = self.last.replace(cycle.now).map(|last| cycle.now - last);
        let publisher = &self.publisher;
        publisher.board.note(|status| {
            if !Arc::ptr_eq(&status.config, config) {
                status.config = Arc::clone(config);
            }
            status.state = verdict.state;
            status.inputs = cycle.inputs;
            status.epoch = verdict.epoch;
            status.cycle = verdict.cycle;
            status.publish_failures = publisher.outputs.failures();
            status.lost_cycles = publisher.said.lost().count();
            status.refused_commands +=
                verdict.robots.iter().filter(|robot| robot.refusal.is_some()).count() as u64;
            if let Occasion::Tick(tick) = cycle.occasion {
                status.overruns += tick.missed;
            }
            status.longest_gap = gap.map_or(status.longest_gap, |gap| status.longest_gap.max(gap));
        });
    }
}
