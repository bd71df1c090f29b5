//! The gate as it ships around the decision: its intake takes messages, its deciding thread's ends are here, its outputs publish. A
//! thread of this program publishes, so that it can look at the clock when a permit's withdrawal has been handed to the middleware.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::bail;
use r2r::geometry_msgs::msg::{Vector3, WrenchStamped};
use r2r::sensor_msgs::msg::{JointState, Range};
use r2r::swarm_msgs::msg::JointCommand;
use swarm_base::{Clock as _, Duration, Time};
use swarm_cell::RobotConfig;
use swarm_ros::CellFile;
use swarm_ros::stamp::wall_now;
use swarm_rt::latency::Latencies;
use swarm_rt::{KernelClock, ThreadWish, prepare_thread};
use swarm_safety_core::{Config, ResetRequest, SafetyState, Verdict, shipped};
use swarm_safety_monitor::deciding::{Decider, Said};
use swarm_safety_monitor::intake::{Intake, StampTolerance};
use swarm_safety_monitor::outputs::{Context, Outputs};

use crate::cell::{Bench, Ends, Place, RUN_UP_TRIES};

/// Name of the zone in which people are looked for.
const ZONE: &str = "door";
/// The artifact whose envelope is in force.
const ARTIFACT: &str = "9f86d081884c7d65";
/// How much lower than the deciding thread's the publishing thread's priority is, as in the monitor.
const PUBLISHER_BELOW: u8 = 1;
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

/// Everything but the deciding thread.
pub(crate) struct Gate {
    pub decider: Option<Decider>,
    pub intake: Arc<Intake>,
    pub turn: Arc<Turn>,
    spoken: Spoken,
    publishing: JoinHandle<Published>,
}

/// What the threads share: when the last press was made, what was decided last, and how many stops were published.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub pressed_at: AtomicU64,
    pub published: AtomicU64,
    pub finished: AtomicBool,
    newest: Mutex<Option<Verdict>>,
}

/// What the publishing thread gives back.
pub(crate) struct Published {
    pub outputs: Outputs,
    /// From the press until the withdrawn permit of every arm was handed to the middleware.
    pub latencies: Latencies,
    /// From the begin of publishing a stop to its end.
    pub own: Latencies,
}

impl Turn {
    pub(crate) fn newest(&self) -> Option<Verdict> {
        *lock(&self.newest)
    }
}

impl Gate {
    /// The gate around the cell of `bench`, whose decisions `outputs` publishes.
    pub(crate) fn new(bench: Bench, cell: &CellFile, outputs: Outputs, place: Place) -> anyhow::Result<Self> {
        let Ends { decider, mouth, said, recorded, listening, config } = bench.into_ends();
        let flanges: Vec<String> = cell.config.robots.iter().map(RobotConfig::flange_frame).collect();
        let tolerance = StampTolerance { future_s: f64::from(shipped::STAMP_TOLERANCE_US) * 1e-6 };
        let intake = Arc::new(Intake::new(&config, &flanges, tolerance, mouth));
        intake.loaded(Some(ARTIFACT));
        let turn = Arc::new(Turn::default());
        let mut ears = Publishing { outputs, config: Arc::clone(&config), said, recorded, listening };
        let publishing = std::thread::Builder::new().name("publish".to_owned()).spawn({
            let turn = Arc::clone(&turn);
            let priority = place.priority.saturating_sub(PUBLISHER_BELOW).max(1);
            move || {
                for lack in prepare_thread(&ThreadWish { priority, cpu: None, stack_bytes: 256 << 10 }) {
                    eprintln!("not in real time: {lack}");
                }
                let (latencies, own) = ears.publish_until_finished(&turn);
                Published { outputs: ears.outputs, latencies, own }
            }
        })?;
        let spoken = Spoken::new(cell, &config, &flanges);
        Ok(Self { decider: Some(decider), intake, turn, spoken, publishing })
    }

    /// Every sensor speaks; and where `epoch` is given, a skill for every arm.
    pub(crate) fn feed(&mut self, epoch: Option<u64>) {
        self.spoken.say(&self.intake, epoch);
    }

    /// Does what the cell needs next on its way to run, or to keep running; gives the epoch while it runs.
    pub(crate) fn tend(&mut self) -> Option<u64> {
        let verdict = self.turn.newest();
        let ready = verdict.filter(|verdict| verdict.state == SafetyState::Ready || verdict.state.moves());
        self.feed(ready.map(|verdict| verdict.epoch));
        match (ready, verdict) {
            (Some(verdict), _) => return verdict.state.moves().then_some(verdict.epoch),
            (None, Some(verdict)) => self.intake.reset(ResetRequest { epoch: verdict.epoch }),
            (None, None) => {}
        }
        None
    }

    /// Feeds and resets until the cell runs; gives the epoch.
    pub(crate) fn run_up(&mut self) -> anyhow::Result<u64> {
        for _ in 0..RUN_UP_TRIES {
            if let Some(epoch) = self.tend() {
                return Ok(epoch);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        bail!("the cell did not come to run within 2 s; its last word: {:?}", self.turn.newest())
    }

    /// Ends the publishing thread.
    pub(crate) fn finish(self) -> anyhow::Result<Published> {
        self.turn.finished.store(true, Ordering::Release);
        self.publishing.join().map_err(|_| anyhow::anyhow!("the publishing thread panicked"))
    }
}

/// What the publishing thread works with.
struct Publishing {
    outputs: Outputs,
    config: Arc<Config>,
    said: swarm_rt::cells::queue::Receiver<Said>,
    recorded: swarm_rt::cells::queue::Receiver<swarm_black_box::Entry>,
    listening: swarm_rt::wake::Sleeper,
}

impl Publishing {
    fn publish_until_finished(&mut self, turn: &Turn) -> (Latencies, Latencies) {
        let (mut latencies, mut own) = (Latencies::new(), Latencies::new());
        let context = Context { artifact: ARTIFACT.to_owned(), real_time: true, ..Context::default() };
        let mut stopped = true;
        while !turn.finished.load(Ordering::Acquire) {
            self.listening.sleep_until(KernelClock.now() + LONGEST_SLEEP);
            while let Some(said) = self.said.receive() {
                let Said::Cycle(cycle) = said else { continue };
                let begun = KernelClock.now();
                self.outputs.publish(&self.config, &cycle.verdict, &context, cycle.now);
                let withdrawn = is_withdrawn(&cycle.verdict);
                if withdrawn && !stopped {
                    let now = KernelClock.now();
                    latencies.record(now - Time(turn.pressed_at.load(Ordering::Acquire)));
                    own.record(now - begun);
                    turn.published.fetch_add(1, Ordering::AcqRel);
                }
                stopped = withdrawn;
                *lock(&turn.newest) = Some(cycle.verdict);
            }
            // The black box's thread would take these.
            while self.recorded.receive().is_some() {}
        }
        (latencies, own)
    }
}

/// No arm may move, because of a press.
pub(crate) fn is_withdrawn(verdict: &Verdict) -> bool {
    verdict.state == SafetyState::Estop && verdict.robots.iter().all(|robot| robot.scale == 0.0)
}

/// The messages of a cell whose arms stand at home, and of a skill that tells them to.
struct Spoken {
    state: JointState,
    wrenches: Vec<WrenchStamped>,
    commands: Vec<JointCommand>,
    presence: Range,
}

impl Spoken {
    fn new(cell: &CellFile, config: &Config, flanges: &[String]) -> Self {
        let (mut state, mut wrenches, mut commands) = (JointState::default(), Vec::new(), Vec::new());
        for ((robot, arm), flange) in cell.config.robots.iter().zip(config.arms()).zip(flanges) {
            let names: Vec<String> = arm.model.joints().iter().map(|joint| joint.name.clone()).collect();
            state.name.extend(names.iter().cloned());
            state.position.extend(&robot.home_rad);
            // Next to nothing on the flange: the declared payload is then a load of 10 N, below every level.
            let mut wrench = WrenchStamped::default();
            wrench.header.frame_id.clone_from(flange);
            wrench.wrench.force = Vector3 { x: 0.1, y: 0.0, z: 0.0 };
            wrenches.push(wrench);
            commands.push(JointCommand {
                robot: robot.name.clone(),
                velocity: vec![0.0; names.len()],
                joint_names: names,
                artifact: ARTIFACT.to_owned(),
                trace_id: "evidence".to_owned(),
                ..JointCommand::default()
            });
        }
        state.velocity = vec![0.0; state.name.len()];
        state.effort = vec![0.0; state.name.len()];
        let mut presence = Range { range: f32::INFINITY, ..Range::default() };
        ZONE.clone_into(&mut presence.header.frame_id);
        Self { state, wrenches, commands, presence }
    }

    fn say(&mut self, intake: &Intake, epoch: Option<u64>) {
        self.state.header.stamp = wall_now();
        intake.joint_state(&self.state);
        for (i, wrench) in self.wrenches.iter_mut().enumerate() {
            wrench.header.stamp = wall_now();
            intake.wrench(i, wrench);
        }
        self.presence.header.stamp = wall_now();
        intake.presence(&self.presence);
        let Some(epoch) = epoch else { return };
        for (i, command) in self.commands.iter_mut().enumerate() {
            command.header.stamp = wall_now();
            command.epoch = epoch;
            command.sequence += 1;
            intake.command(i, command);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A verdict is whole or not there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
