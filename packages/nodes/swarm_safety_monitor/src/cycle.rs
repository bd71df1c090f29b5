//! The deciding thread: once per period, and at once on an event, one step of the core.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration as StdDuration;

use swarm_base::{Clock, Duration, MonotonicClock, Shutdown, Time};
use swarm_cell::Schedule;
use swarm_ros::LifecycleState;
use swarm_safety_core::{Config, Inputs, Refusal, ResetRefusal, SafetyState, State, Verdict, step};

use crate::envelopes::Limits;
use crate::intake::Intake;
use crate::outputs::{Context, Occasion, Outputs};
use crate::real_time;

/// How often an inactive gate looks whether it became active.
const INACTIVE_PERIOD: StdDuration = StdDuration::from_millis(10);

/// What the services ask of the deciding thread.
#[derive(Debug)]
pub enum Request {
    /// Takes effect with the next step, unless a robot moves.
    Exchange { limits: Box<Limits>, reply: Sender<Result<u64, String>> },
    /// Told of the answer to the next reset.
    AwaitReset { reply: Sender<(u64, Result<u64, String>)> },
}

/// How the gate does, for diagnostics and the services.
#[derive(Clone, Debug)]
pub struct Status {
    pub config: Arc<Config>,
    pub state: SafetyState,
    pub epoch: u64,
    pub cycle: u64,
    pub real_time: bool,
    /// Periods that passed without a step of their own.
    pub overruns: u64,
    /// Longest time between two steps since the last look.
    pub longest_gap: Duration,
    /// Well-formed commands that were not taken.
    pub refused_commands: u64,
    pub publish_failures: u64,
}

/// The parts that the deciding thread works with.
#[derive(Debug)]
pub struct Gate {
    pub config: Config,
    pub first_epoch: u64,
    pub schedule: Schedule,
    pub intake: Arc<Intake>,
    pub outputs: Outputs,
    pub clock: MonotonicClock,
    pub lifecycle: LifecycleState,
    pub shutdown: Shutdown,
}

/// A handle on the deciding thread. Clones share it.
#[derive(Clone, Debug)]
pub struct Deciding {
    requests: Sender<Request>,
    status: Arc<Mutex<Status>>,
    intake: Arc<Intake>,
}

impl Deciding {
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

    /// Hands a request over and wakes the thread for it.
    pub fn request(&self, request: Request) -> Result<(), String> {
        self.requests.send(request).map_err(|_| "the deciding thread has ended".to_owned())?;
        self.intake.poke();
        Ok(())
    }
}

/// Starts the deciding thread; it ends after a shutdown request.
pub fn start(gate: Gate) -> std::io::Result<(Deciding, JoinHandle<()>)> {
    let (requests, received) = mpsc::channel();
    let state = State::new(&gate.config, gate.first_epoch);
    let status = Arc::new(Mutex::new(Status {
        config: Arc::new(gate.config.clone()),
        state: state.state(),
        epoch: state.epoch(),
        cycle: 0,
        real_time: false,
        overruns: 0,
        longest_gap: Duration::ZERO,
        refused_commands: 0,
        publish_failures: 0,
    }));
    let deciding = Deciding { requests, status: Arc::clone(&status), intake: Arc::clone(&gate.intake) };
    let worker = Worker {
        config: Arc::new(gate.config.clone()),
        state,
        requests: received,
        status,
        context: Context::default(),
        last_inputs: Inputs::default(),
        last_step: None,
        awaiting_reset: None,
        refusals: vec![None; gate.config.arms().len()],
        gate,
    };
    let thread = std::thread::Builder::new().name("decide".to_owned()).spawn(move || worker.work())?;
    Ok((deciding, thread))
}

struct Worker {
    gate: Gate,
    config: Arc<Config>,
    state: State,
    requests: Receiver<Request>,
    status: Arc<Mutex<Status>>,
    context: Context,
    last_inputs: Inputs,
    last_step: Option<Time>,
    awaiting_reset: Option<Sender<(u64, Result<u64, String>)>>,
    /// Last refusal per robot, so that a stream of equal ones is logged once.
    refusals: Vec<Option<Refusal>>,
}

impl Worker {
    fn work(mut self) {
        self.context.real_time = real_time::apply(&self.gate.schedule);
        let period = Duration::from_micros(self.gate.schedule.period_us);
        let mut due = self.gate.clock.now();
        while !self.gate.shutdown.is_requested() {
            if !self.gate.lifecycle.is_active() {
                if self.last_step.take().is_some() {
                    self.gate.outputs.withdraw(self.state.epoch());
                }
                self.gate.intake.wait(INACTIVE_PERIOD);
                self.answer_requests();
                due = self.gate.clock.now();
                continue;
            }
            self.gate.intake.wait((due - self.gate.clock.now()).to_std());
            self.answer_requests();
            let now = self.gate.clock.now();
            let occasion = if now >= due { Occasion::Periodic } else { Occasion::Event };
            if occasion == Occasion::Periodic {
                due = due + period;
                if due <= now {
                    let missed = (now - due).0 / period.0 + 1;
                    lock(&self.status).overruns += missed;
                    due = now + period;
                }
            }
            self.step(occasion, now);
        }
        self.gate.outputs.withdraw(self.state.epoch());
    }

    fn step(&mut self, occasion: Occasion, now: Time) {
        let inputs = self.gate.intake.take();
        let (state, verdict) = step(&self.config, &self.state, &inputs, now);
        if verdict.state.moves() {
            self.context.trace_id = self.gate.intake.trace_id();
        }
        self.gate.outputs.publish(&self.config, &verdict, &self.context, occasion, now);
        self.answer_reset(&verdict);
        self.log(&verdict);
        self.note(&verdict, now);
        (self.state, self.last_inputs, self.last_step) = (state, inputs, Some(now));
    }

    fn answer_requests(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Exchange { limits, reply } => {
                    // The asker may have given up waiting; the limits hold all the same.
                    let _ = reply.send(self.exchange(*limits));
                }
                Request::AwaitReset { reply } => self.awaiting_reset = Some(reply),
            }
        }
    }

    /// Puts new limits into force. The core stops a cell whose limits change in motion; asking first spares a running skill
    /// that stop.
    fn exchange(&mut self, limits: Limits) -> Result<u64, String> {
        if let Some((robot, speed)) = self.moving() {
            return Err(format!(
                "{robot} moves at {speed:.3} rad/s: an envelope is exchanged only while every arm is at rest"
            ));
        }
        let Limits { config, skill, artifact } = limits;
        tracing::info!(skill, artifact, "limits exchanged");
        self.config = Arc::new(config);
        lock(&self.status).config = Arc::clone(&self.config);
        self.gate.intake.loaded(artifact.as_deref());
        (self.context.skill, self.context.artifact) = (skill, artifact.unwrap_or_default());
        self.context.trace_id.clear();
        // The core begins the new epoch with its next step, which this makes at once so that the answer can name it.
        let now = self.gate.clock.now();
        self.step(Occasion::Event, now);
        Ok(self.state.epoch())
    }

    /// A robot that is told to move, or moves, and how fast.
    fn moving(&self) -> Option<(String, f64)> {
        let rest = self.config.tolerances().rest_rad_s;
        let told = lock(&self.status).state.moves();
        self.config.arms().iter().zip(&self.last_inputs.robots).find_map(|(arm, heard)| {
            let speed = heard.joints.map_or(0.0, |joints| joints.qd.amax());
            (told || speed > rest).then(|| (arm.name.clone(), speed))
        })
    }

    fn answer_reset(&mut self, verdict: &Verdict) {
        let Some(answer) = &verdict.reset else { return };
        let answer = answer.map_err(|refusal: ResetRefusal| refusal.detail(&self.config));
        if let Some(reply) = self.awaiting_reset.take() {
            // As above: the asker may be gone.
            let _ = reply.send((verdict.epoch, answer));
        }
    }

    fn log(&mut self, verdict: &Verdict) {
        if verdict.changed {
            if let Some(cause) = &verdict.cause {
                tracing::warn!(
                    state = verdict.state.name(),
                    cause = cause.kind.code(),
                    epoch = verdict.epoch,
                    "{}",
                    cause.detail(&self.config)
                );
            } else {
                tracing::info!(state = verdict.state.name(), epoch = verdict.epoch, "safety state");
            }
        }
        for ((last, robot), arm) in self.refusals.iter_mut().zip(&verdict.robots).zip(self.config.arms()) {
            if robot.refusal.is_some() && robot.refusal != *last {
                let refusal = robot.refusal.map_or("", Refusal::code);
                tracing::warn!(robot = arm.name, refusal, epoch = verdict.epoch, "command not taken");
            }
            if robot.refusal.is_some() || verdict.changed {
                *last = robot.refusal;
            }
        }
    }

    fn note(&self, verdict: &Verdict, now: Time) {
        let mut status = lock(&self.status);
        status.state = verdict.state;
        status.epoch = verdict.epoch;
        status.cycle = verdict.cycle;
        status.real_time = self.context.real_time;
        status.publish_failures = self.gate.outputs.failures();
        status.refused_commands +=
            verdict.robots.iter().filter(|robot| robot.refusal.is_some()).count() as u64;
        if let Some(last) = self.last_step {
            status.longest_gap = status.longest_gap.max(now - last);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
