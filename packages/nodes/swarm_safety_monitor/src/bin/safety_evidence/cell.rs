//! The demo cell, among people who are looked for, as the deciding thread hears it, and the ends of its cells. Here it stands at
//! home; [`crate::work`] has it work.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use swarm_base::{Clock as _, Duration, Time};
use swarm_black_box::Entry;
use swarm_black_box_file::{Health, OnDiskFailure, Options};
use swarm_kinematics::JointVector;
use swarm_ros::CellFile;
use swarm_rt::KernelClock;
use swarm_rt::cells::queue::{self, Receiver, Sender};
use swarm_rt::wake::{self, Sleeper, Waker};
use swarm_safety_core::{
    ArmConfig, CommandSample, Config, Inputs, JointSample, PresenceSample, SafetyState, Timing, Tolerances,
    WrenchSample, shipped,
};
use swarm_safety_monitor::deciding::{BlackBox, Cycle, Decider, Said};
use swarm_safety_monitor::heard::{self, Mouth};
use swarm_safety_monitor::setup;

/// Where the loop and its reference run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub cpu: u16,
    pub priority: u8,
}

/// Tries, a millisecond apart, to bring the cell to run.
pub(crate) const RUN_UP_TRIES: u32 = 2_000;

/// Epoch before the first reset.
const FIRST_EPOCH: u64 = 1;

/// A decider with everybody who would speak and listen to it.
pub(crate) struct Bench {
    pub decider: Option<Decider>,
    pub mouth: Mouth,
    said: Receiver<Said>,
    recorded: Receiver<Entry>,
    pub listening: Sleeper,
    pub config: Arc<Config>,
    pub home: Vec<JointVector>,
    sequence: u64,
    limits: Sender<Arc<Config>>,
    retired: Receiver<Arc<Config>>,
    /// Number of the newest limits.
    generation: u64,
}

/// The ends of the deciding thread's cells, and its decider.
pub(crate) struct Ends {
    pub decider: Decider,
    pub mouth: Mouth,
    pub said: Receiver<Said>,
    pub recorded: Receiver<Entry>,
    pub listening: Sleeper,
    pub config: Arc<Config>,
}

/// What the shipped ceiling says of people, and what stands in its place here: somebody is looked for, so that the checks for people
/// are made too.
const NOBODY: &str = "humans: unmonitored";
const SOMEBODY: &str = "humans: {provenance: evidence, zones: [{name: door, point_m: [-0.55, 0, 0]}], timeout_s: 0.1, \
                        speed_m_s: 1.6, intrusion_m: 0.1, sensor_uncertainty_m: 0.05, robot_uncertainty_m: 0.01}";

/// The declared cell with people looked for.
pub(crate) fn config(cell: &CellFile, period: Duration) -> anyhow::Result<Config> {
    let mut sources = setup::sources(cell)?;
    let ceiling = sources.files.get_mut(&cell.config.safety.file).context("no text of the ceiling")?;
    ensure!(ceiling.contains(NOBODY), "the ceiling does not say '{NOBODY}', which is replaced here");
    *ceiling = ceiling.replace(NOBODY, SOMEBODY);
    let max_cycle_gap_s = f64::from(shipped::MAX_CYCLE_GAP_US) * 1e-6;
    let timing = Timing { max_cycle_gap_s, ..Timing::every(period.as_secs_f64()) };
    Ok(sources.config(timing, Tolerances::default())?)
}

/// What the sensors of an arm that stands at `q` say: nothing but its payload weighs on the flange.
pub(crate) fn samples(
    arm: &ArmConfig,
    q: &JointVector,
    now: Time,
    sequence: u64,
) -> (JointSample, WrenchSample) {
    let (q, qd, effort) = (*q, JointVector::zeros(), Some(JointVector::zeros()));
    let weight = arm.payload.weight(&arm.model.flange(&arm.model.forward(&q)));
    let wrench = WrenchSample {
        force: weight.fixed_rows::<3>(0).into_owned(),
        torque: weight.fixed_rows::<3>(3).into_owned(),
        stamp_ns: now.0,
        sent: now,
        sequence,
    };
    (JointSample { q, qd, effort, stamp_ns: now.0, sent: now, sequence }, wrench)
}

impl Bench {
    /// `waker` replaces the decider's own for whoever speaks, to measure the polling path alone.
    pub(crate) fn new(period: Duration, waiting: usize, waker: Option<Waker>) -> anyhow::Result<Self> {
        let cell = CellFile::read(Path::new("config/cell.yaml"))?;
        let config = Arc::new(config(&cell, period)?);
        let home = cell.config.robots.iter().zip(config.arms());
        let home = home
            .map(|(robot, arm)| arm.model.joint_vector(&robot.home_rad).context("home_rad does not fit"))
            .collect::<anyhow::Result<_>>()?;
        let (sleeper, own) = wake::pair();
        let (mouth, ears) = heard::pair(waker.unwrap_or(own));
        let (limits, new_limits) = queue::queue(4);
        let (retired, old_limits) = queue::queue(4);
        let (tell, said) = queue::queue(waiting);
        let (entries, recorded) = queue::queue(waiting);
        let health = Health::new(OnDiskFailure::Continue, Options::default().slow_after);
        let (listening, listener) = wake::pair();
        let decider = Decider {
            config: Arc::clone(&config),
            first_epoch: FIRST_EPOCH,
            period,
            ears,
            black_box: Some(BlackBox::new(entries, health)),
            sleeper,
            limits: new_limits,
            retired,
            said: tell,
            listener,
        };
        Ok(Self {
            decider: Some(decider),
            mouth,
            said,
            recorded,
            listening,
            config,
            home,
            sequence: 0,
            limits,
            retired: old_limits,
            generation: 0,
        })
    }

    /// Fresh samples of every input, as the cell at rest sends them.
    pub(crate) fn feed(&mut self, epoch: Option<u64>) {
        self.sequence += 1;
        let (config, home, sequence) = (&self.config, &self.home, self.sequence);
        let now = KernelClock.now();
        self.mouth.say(|inputs: &mut Inputs| {
            for (i, (arm, q)) in config.arms().iter().zip(home).enumerate() {
                let robot = &mut inputs.robots[i];
                let (joints, wrench) = samples(arm, q, now, sequence);
                (robot.joints, robot.wrench) = (Some(joints), Some(wrench));
                robot.command = epoch.map(|epoch| CommandSample {
                    velocity: JointVector::zeros(),
                    epoch,
                    run: 1,
                    sequence,
                    artifact_matches: true,
                    sent: now,
                });
            }
            inputs.presence[0] = Some(PresenceSample { range_m: f64::INFINITY, stamp_ns: now.0, sent: now });
        });
    }

    /// Hands new limits over, which are the old ones under a new number.
    pub(crate) fn exchange_limits(&mut self) {
        self.generation += 1;
        if let Ok(config) = self.config.with_envelope(None, &[], self.generation) {
            // A full queue is one that is not emptied, and the cycles' generations show it.
            let _ = self.limits.send(Arc::new(config));
        }
    }

    /// Frees limits that have had their day.
    pub(crate) fn clear_retired(&mut self) {
        while self.retired.receive().is_some() {}
    }

    /// Cycles that found the queue to whoever listens full.
    pub(crate) fn lost(&self) -> u64 {
        self.said.lost().count()
    }

    /// The ends of the cells, for a gate around them.
    pub(crate) fn into_ends(self) -> Ends {
        let Self { decider, mouth, said, recorded, listening, config, .. } = self;
        Ends { decider: decider.expect("made with one"), mouth, said, recorded, listening, config }
    }

    /// The next thing said. What is for the black box is taken too, as its thread does, and dropped: the disk has its own figures.
    pub(crate) fn hear(&mut self) -> Option<Said> {
        while self.recorded.receive().is_some() {}
        self.said.receive()
    }

    /// The newest cycle that was said, if any.
    pub(crate) fn newest(&mut self) -> Option<Cycle> {
        let mut newest = None;
        while let Some(said) = self.hear() {
            if let Said::Cycle(cycle) = said {
                newest = Some(cycle);
            }
        }
        newest
    }

    /// Feeds and resets until the cell runs; gives the epoch.
    pub(crate) fn run_up(&mut self) -> anyhow::Result<u64> {
        let mut epoch = None;
        for _ in 0..RUN_UP_TRIES {
            if let Some(epoch) = self.try_run_up(&mut epoch) {
                return Ok(epoch);
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        anyhow::bail!(
            "the cell did not come to run within 2 s; is the declaration in config/cell.yaml whole?"
        )
    }

    /// Does what the cell needs next on its way to run; gives the epoch once it runs. `ready` is the epoch it was made ready in.
    pub(crate) fn try_run_up(&mut self, ready: &mut Option<u64>) -> Option<u64> {
        self.feed(*ready);
        let verdict = self.newest()?.verdict;
        match verdict.state {
            SafetyState::Run | SafetyState::Slow => return Some(verdict.epoch),
            SafetyState::Ready => *ready = Some(verdict.epoch),
            _ => self.mouth.reset(swarm_safety_core::ResetRequest { epoch: verdict.epoch }),
        }
        None
    }
}

/// The middle one of an odd number of values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
