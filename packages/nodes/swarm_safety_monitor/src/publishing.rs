//! The publishing thread: says in ROS what the deciding thread has decided, and tells whoever waits for an answer.
//!
//! It runs below the deciding thread and above everything else. The middleware locks and allocates; here it may. Once a second it looks
//! whether both threads still run in real time: as it alone carries permits, a cell that it cannot look after stops by silence.

use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use swarm_base::{Clock as _, Duration, Shutdown, Time};
use swarm_rt::cells::queue::Receiver;
use swarm_rt::periodic::Occasion;
use swarm_rt::wake::Sleeper;
use swarm_rt::{KernelClock, Lack, ThreadWish};
use swarm_safety_core::{Config, Inputs, Refusal, ResetRefusal, SafetyState, Verdict};

use crate::deciding::{Cycle, Said};
use crate::intake::Intake;
use crate::outputs::{Context, Outputs};
use crate::real_time::{self, Seat, Thread, Watch};

/// Longest sleep: how soon a shutdown request is seen when nothing is said.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// Stack that is made resident.
const STACK_BYTES: usize = 256 << 10;

/// Limits as the status names them.
#[derive(Clone, Debug)]
pub struct InForce {
    pub config: Arc<Config>,
    /// Skill id and version, empty for the ceiling alone.
    pub skill: String,
    /// Artifact digest, empty for the ceiling alone.
    pub artifact: String,
}

/// How the gate does, for diagnostics and the services.
#[derive(Clone, Debug)]
pub struct Status {
    pub config: Arc<Config>,
    pub state: SafetyState,
    pub inputs: Inputs,
    pub epoch: u64,
    pub cycle: u64,
    /// Every part of the set-up took, and is still there.
    pub real_time: bool,
    /// Started although some of it did not.
    pub degraded: bool,
    /// What did not take.
    pub lacks: Vec<String>,
    /// What took and has been taken away since.
    pub lost: Vec<String>,
    /// Periods that passed without a step of their own.
    pub overruns: u64,
    /// Longest time between two steps since the last look.
    pub longest_gap: Duration,
    /// Well-formed commands that were not taken.
    pub refused_commands: u64,
    pub publish_failures: u64,
    /// Cycles that found the queue to this thread full.
    pub lost_cycles: u64,
}

/// The epoch in force, and the epoch that the reset began or why it was refused.
pub type ResetAnswer = (u64, Result<u64, String>);

/// Shared by the publishing thread, the services and the diagnostics.
#[derive(Debug)]
pub struct Board {
    status: Mutex<Status>,
    /// Limits handed to the deciding thread, until newer ones are in force.
    limits: Mutex<Vec<Arc<InForce>>>,
    /// Who waits for the next answer to a reset.
    resets: Mutex<Vec<mpsc::Sender<ResetAnswer>>>,
    /// Who waits for the limits of this number to be in force, for their epoch.
    exchanges: Mutex<Vec<(u64, mpsc::Sender<u64>)>>,
}

impl Board {
    pub fn new(config: Arc<Config>, epoch: u64) -> Self {
        let in_force = InForce { config: Arc::clone(&config), skill: String::new(), artifact: String::new() };
        Self {
            status: Mutex::new(Status {
                config,
                state: SafetyState::Deny,
                inputs: Inputs::default(),
                epoch,
                cycle: 0,
                real_time: false,
                degraded: false,
                lacks: Vec::new(),
                lost: Vec::new(),
                overruns: 0,
                longest_gap: Duration::ZERO,
                refused_commands: 0,
                publish_failures: 0,
                lost_cycles: 0,
            }),
            limits: Mutex::new(vec![Arc::new(in_force)]),
            resets: Mutex::default(),
            exchanges: Mutex::default(),
        }
    }

    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// The status, starting a new longest gap.
    pub fn look(&self) -> Status {
        let mut status = lock(&self.status);
        let seen = status.clone();
        status.longest_gap = Duration::ZERO;
        seen
    }

    /// Says how the threads were set up.
    pub fn set_up(&self, lacks: Vec<String>, degraded: bool) {
        let mut status = lock(&self.status);
        status.real_time = lacks.is_empty();
        (status.lacks, status.degraded) = (lacks, degraded);
    }

    /// Says what the threads have lost of their set-up by now.
    fn lost(&self, lost: Vec<String>) {
        let mut status = lock(&self.status);
        status.real_time = status.lacks.is_empty() && lost.is_empty();
        status.lost = lost;
    }

    /// Announces limits before they are handed over, and waits on `reply` for their epoch.
    pub fn announce(&self, limits: InForce, reply: mpsc::Sender<u64>) {
        lock(&self.exchanges).push((limits.config.generation(), reply));
        lock(&self.limits).push(Arc::new(limits));
    }

    pub fn await_reset(&self, reply: mpsc::Sender<ResetAnswer>) {
        lock(&self.resets).push(reply);
    }
}

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
        {
            let status = lock(&self.publisher.board.status);
            (self.context.real_time, self.context.degraded) = (status.real_time, status.degraded);
        }
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
            let mut limits = lock(&self.publisher.board.limits);
            let at = limits.iter().position(is_meant)?;
            limits.drain(..at);
            self.in_force = limits.first().cloned();
        }
        self.in_force.clone()
    }

    fn answer(&self, in_force: &InForce, cycle: &Cycle) {
        let verdict = &cycle.verdict;
        lock(&self.publisher.board.exchanges).retain(|(generation, reply)| {
            let waits = *generation > cycle.generation;
            if !waits {
                // The asker may have given up waiting; the limits hold all the same.
                let _ = reply.send(verdict.epoch);
            }
            waits
        });
        if let Some(answer) = &verdict.reset {
            let answer = answer.map_err(|refusal: ResetRefusal| refusal.detail(&in_force.config));
            for reply in lock(&self.publisher.board.resets).drain(..) {
                // As above.
                let _ = reply.send((verdict.epoch, answer.clone()));
            }
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
        let mut status = lock(&self.publisher.board.status);
        if !Arc::ptr_eq(&status.config, config) {
            status.config = Arc::clone(config);
        }
        status.state = verdict.state;
        status.inputs = cycle.inputs;
        status.epoch = verdict.epoch;
        status.cycle = verdict.cycle;
        status.publish_failures = self.publisher.outputs.failures();
        status.lost_cycles = self.publisher.said.lost().count();
        status.refused_commands +=
            verdict.robots.iter().filter(|robot| robot.refusal.is_some()).count() as u64;
        if let Occasion::Tick(tick) = cycle.occasion {
            status.overruns += tick.missed;
        }
        if let Some(last) = self.last {
            status.longest_gap = status.longest_gap.max(cycle.now - last);
        }
        self.last = Some(cycle.now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every holder leaves a whole value behind at each point where it could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
