//! One recorded run again, closed loop, with other noise, other lateness and other losses.
//!
//! One millisecond
//! 1. Every other one: sensors send what was recorded, plus the arm's deviation from the recording, plus noise; skills send what
//!    was recorded, less a share of the deviation that they measure; the drivers take the velocity that the gate said last.
//! 2. What has arrived goes through the checks of the production's intake.
//! 3. The production's decision, late by what its thread wakes late.
//! 4. Every other one: the deviation moves on.
//!
//! The deviation is that of a velocity loop with a time constant: `d(dv)/dt = (told - told in the recording - dv) / tau`. So
//! an arm that hears what it heard in the recording does what it did there, contacts included, and one that hears something
//! else follows that.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::StandardNormal;
use swarm_base::Time;
use swarm_kinematics::JointVector;
use swarm_safety_core::ingest::{
    CommandIngest, GripperIngest, JointStateIngest, Origin, PresenceIngest, Repeats, Stamp, StampRules,
    WrenchIngest,
};
use swarm_safety_core::{Config, Input, Inputs, ResetRequest, SafetyState, State, Verdict, step};

use super::channel::{Channel, Lateness};
use super::people::SCAN;
use super::recording::Moment;

/// Noise of the sensors, one standard deviation each, and biases, each even within plus and minus.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    pub position_rad: f64,
    pub velocity_rad_s: f64,
    pub effort_nm: f64,
    pub force_n: f64,
    pub torque_nm: f64,
    pub force_bias_n: f64,
    pub torque_bias_nm: f64,
}

impl Noise {
    /// As real arms have it.
    ///
    /// - Position: what a repeatability of 0.03 mm (UR5e) at a reach of 0.85 m leaves for one joint.
    /// - Velocity: assumed; that position noise differentiated at 500 Hz and smoothed over some ten samples, as controllers do.
    /// - Effort: assumed; a hundredth of the wrist's limit.
    /// - Force: 0.6 N, the spread of a Robotiq FT 300 on a UR5 with a constant weight (Universal Robots forum, thread 229).
    ///   Torque: the same at a lever of 3 cm. Bias: half of 4 N and 0.3 N m, the accuracy that Universal Robots names for the
    ///   e-Series' sensor, on each axis: the three together are then within that figure most of the time.
    pub const REAL: Self = Self {
        position_rad: 4e-5,
        velocity_rad_s: 3e-3,
        effort_nm: 0.3,
        force_n: 0.6,
        torque_nm: 0.02,
        force_bias_n: 2.0,
        torque_bias_nm: 0.15,
    };

    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            position_rad: self.position_rad * factor,
            velocity_rad_s: self.velocity_rad_s * factor,
            effort_nm: self.effort_nm * factor,
            force_n: self.force_n * factor,
            torque_nm: self.torque_nm * factor,
            force_bias_n: self.force_bias_n * factor,
            torque_bias_nm: self.torque_bias_nm * factor,
        }
    }
}

/// What all repetitions share.
#[derive(Debug)]
pub struct Setting {
    pub config: Config,
    pub flange_frames: Vec<String>,
    pub noise: Noise,
    /// Share of messages that are lost.
    pub drops: f64,
}

/// How one repetition went.
#[derive(Clone, Debug, Default)]
pub struct Repetition {
    /// From the reset on.
    pub cycles: u64,
    /// Cycles in SLOW.
    pub slow: u64,
    /// Largest deviation of a joint from the recording, rad.
    pub deviation_rad: f64,
    /// The stop that nothing called for: cycle of the recording (2 ms), state, cause.
    pub stopped: Option<(usize, SafetyState, String)>,
}

/// Time between cycles of the gate, and of everything else, ns.
const GATE_NS: u64 = 1_000_000;
const CELL_NS: u64 = 2 * GATE_NS;
const CELL_S: f64 = CELL_NS as f64 * 1e-9;
/// Time constant of the drives' velocity loops: the simulated arms' servos have a bandwidth of 120 rad/s.
const DRIVE_S: f64 = 1.0 / 120.0;
/// How fast a skill goes back to where it wants to be, 1/s: its trees move by the measured position.
const SKILL_GAIN: f64 = 2.0;
/// How far the clocks of sensors and gate disagree at most, ns; constant in a repetition.
const CLOCKS_NS: f64 = 1e6;
/// What the gate takes, s: `stamp_tolerance_us` as shipped.
const TOLERANCE_S: f64 = 5e-3;
/// Wall clock when the monotonic one is 0, ns.
const WALL_NS: u64 = 1_700_000_000_000_000_000;
const ARTIFACT: &str = "9f86d081884c7d65";
/// Cycles of the cell that sensors are heard before the reset, and that arms stand after the run.
const STANDING: usize = 100;
/// Cycles of the cell in which an operator asks for a reset before giving up.
const PATIENCE: usize = 5_000;

#[derive(Clone, Copy, Debug)]
struct JointMessage {
    q: JointVector,
    qd: JointVector,
    effort: JointVector,
}

/// One robot: its channels, the checks of its topics, its deviation.
#[derive(Debug)]
struct Robot {
    joints: Channel<JointMessage>,
    wrench: Channel<[f64; 6]>,
    command: Channel<(u64, JointVector)>,
    gripper: Channel<(u64, (f64, f64))>,
    told: Channel<JointVector>,
    hears_joints: JointStateIngest,
    hears_wrench: WrenchIngest,
    hears_command: CommandIngest,
    hears_gripper: GripperIngest,
    names: Vec<String>,
    frame: String,
    /// What the driver was told last, rad/s.
    velocity: JointVector,
    /// From the recording: rad, rad/s.
    off: JointVector,
    off_rate: JointVector,
    /// Last measured by the skill, rad.
    off_measured: JointVector,
    bias: [f64; 6],
}

/// The arms as they stand at that moment, nobody wanting anything.
fn standing(moment: &Moment) -> Moment {
    moment.clone().map(|robot| super::recording::Robot {
        qd: JointVector::zeros(),
        granted: JointVector::zeros(),
        wish: None,
        gripper: None,
        ..robot
    })
}

/// Does `moments` once more; `seed` gives the random numbers.
pub fn repeat(setting: &Setting, moments: &[Moment], seed: u64) -> Repetition {
    Replay::new(setting, seed).run(moments)
}

struct Replay<'a> {
    setting: &'a Setting,
    random: SmallRng,
    robots: Vec<Robot>,
    presence: Vec<(Channel<()>, PresenceIngest)>,
    state: State,
    inputs: Inputs,
    /// Of the sensors, less the gate's, ns.
    clock: i64,
    now: Time,
    sequence: u64,
    done: Repetition,
}

impl<'a> Replay<'a> {
    fn new(setting: &'a Setting, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let limits = setting.config.ceiling();
        let rules = |timeout_s: f64, repeats| StampRules {
            future_tolerance_s: TOLERANCE_S,
            max_age_s: timeout_s + TOLERANCE_S,
            repeats,
        };
        let cell = &limits.cell;
        let (joints, wrench) = (
            rules(cell.joint_state_timeout_s, Repeats::Refused),
            rules(cell.wrench_timeout_s, Repeats::Refused),
        );
        let command = rules(cell.command_timeout_s, Repeats::Allowed);
        let arms = setting.config.arms().iter().zip(&setting.flange_frames);
        let robots = arms.map(|(arm, frame)| {
            let mut within = |bound: f64| bound * (2.0 * random.random::<f64>() - 1.0);
            let n = &setting.noise;
            Robot {
                joints: Channel::new(setting.drops),
                wrench: Channel::new(setting.drops),
                command: Channel::new(setting.drops),
                gripper: Channel::new(setting.drops),
                told: Channel::new(setting.drops),
                hears_joints: JointStateIngest::new(&arm.model, joints),
                hears_wrench: WrenchIngest::new(frame, wrench),
                hears_command: CommandIngest::new(&arm.name, &arm.model, command),
                hears_gripper: GripperIngest::new(&arm.name, command),
                names: arm.model.joints().iter().map(|joint| joint.name.clone()).collect(),
                frame: frame.clone(),
                velocity: JointVector::zeros(),
                off: JointVector::zeros(),
                off_rate: JointVector::zeros(),
                off_measured: JointVector::zeros(),
                bias: std::array::from_fn(|i| within(if i < 3 { n.force_bias_n } else { n.torque_bias_nm })),
            }
        });
        let robots = robots.collect();
        let zones = limits.humans.zones.as_slice().iter();
        let heard = PresenceIngest::new(rules(limits.humans.timeout_s, Repeats::Refused));
        Self {
            presence: zones.map(|_| (Channel::new(setting.drops), heard)).collect(),
            setting,
            robots,
            state: State::new(&setting.config, 1),
            inputs: Inputs::default(),
            clock: ((2.0 * random.random::<f64>() - 1.0) * CLOCKS_NS) as i64,
            now: Time::ZERO,
            sequence: 0,
            done: Repetition::default(),
            random,
        }
    }

    fn run(mut self, moments: &[Moment]) -> Repetition {
        let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return self.done };
        let (first, last) = (standing(first), standing(last));
        let mut ms = 0;
        for at in 0..STANDING {
            self.cell_cycle(&mut ms, &first, at);
        }
        // Noise can make an arm at rest look as if it moved: one asks again.
        for _ in 0..PATIENCE {
            if self.state.state() != SafetyState::Deny {
                break;
            }
            self.inputs.reset = Some(ResetRequest { epoch: self.state.epoch() });
            self.cell_cycle(&mut ms, &first, 0);
        }
        if self.state.state() == SafetyState::Deny {
            self.done.stopped = Some((0, SafetyState::Deny, "the gate could not be reset".to_owned()));
            return self.done;
        }
        for (at, moment) in moments.iter().enumerate() {
            self.cell_cycle(&mut ms, moment, at);
            if self.done.stopped.is_some() {
                return self.done;
            }
        }
        for _ in 0..STANDING {
            self.cell_cycle(&mut ms, &last, moments.len());
        }
        self.done
    }

    /// Two milliseconds of the cell, in which the gate decides twice.
    fn cell_cycle(&mut self, ms: &mut u64, moment: &Moment, at: usize) {
        let began = Time(*ms * GATE_NS);
        self.speak(began, moment);
        for half in 0..2 {
            let nominal = Time((*ms + half) * GATE_NS);
            self.decide(nominal, at);
        }
        *ms += 2;
        self.move_on(moment);
    }

    /// Everything that is sent at the beginning of a cycle, and what the drivers take.
    fn speak(&mut self, now: Time, moment: &Moment) {
        let (n, random) = (self.setting.noise, &mut self.random);
        let normal = |sigma: f64, random: &mut SmallRng| sigma * random.sample::<f64, _>(StandardNormal);
        self.sequence += 1;
        for (robot, recorded) in self.robots.iter_mut().zip(moment) {
            while let Some((_, _, velocity)) = robot.told.receive(now) {
                robot.velocity = velocity;
            }
            let dof = robot.names.len();
            let mut message = JointMessage {
                q: recorded.q + robot.off,
                qd: recorded.qd + robot.off_rate,
                effort: recorded.effort,
            };
            for joint in 0..dof {
                message.q[joint] += normal(n.position_rad, random);
                message.qd[joint] += normal(n.velocity_rad_s, random);
                message.effort[joint] += normal(n.effort_nm, random);
            }
            robot.off_measured = message.q - recorded.q;
            robot.joints.send(now, message, random);
            let mut wrench = recorded.wrench;
            for (axis, (value, bias)) in wrench.iter_mut().zip(&robot.bias).enumerate() {
                *value += bias + normal(if axis < 3 { n.force_n } else { n.torque_nm }, random);
            }
            robot.wrench.send(now, wrench, random);
            if let Some(wish) = &recorded.wish {
                // A skill that wants to stand says so, and does not correct.
                let back =
                    if wish.amax() > 0.0 { robot.off_measured * SKILL_GAIN } else { JointVector::zeros() };
                robot.command.send(now, (self.sequence, wish - back), random);
            }
            if let Some(gripper) = recorded.gripper {
                robot.gripper.send(now, (self.sequence, gripper), random);
            }
        }
        if now.0 / SCAN.0 != now.0.saturating_sub(CELL_NS) / SCAN.0 {
            for (zone, _) in &mut self.presence {
                zone.send(now, (), random);
            }
        }
    }

    /// One cycle of the gate, due at `nominal`.
    fn decide(&mut self, nominal: Time, at: usize) {
        let late = Lateness::DECIDING.sample(&mut self.random);
        self.now = Time(nominal.0 + late).max(Time(self.now.0 + 1_000));
        self.hear();
        let config = &self.setting.config;
        let was = self.state.state();
        let (state, verdict) = step(config, &self.state, &self.inputs, self.now);
        self.state = state;
        self.inputs.forget_events();
        for (robot, verdict) in self.robots.iter_mut().zip(&verdict.robots) {
            robot.told.send(self.now, verdict.velocity, &mut self.random);
        }
        self.note(was, &verdict, at);
    }

    fn note(&mut self, was: SafetyState, verdict: &Verdict, at: usize) {
        self.done.cycles += u64::from(was != SafetyState::Deny);
        self.done.slow += u64::from(verdict.state == SafetyState::Slow);
        let fell =
            was != SafetyState::Deny && (verdict.state.is_stop() || verdict.state == SafetyState::Deny);
        if fell && self.done.stopped.is_none() {
            let config = &self.setting.config;
            let cause = verdict.cause.map_or_else(String::new, |cause| cause.detail(config));
            self.done.stopped = Some((at, verdict.state, cause));
        }
    }

    /// Takes in what has arrived, as the node does.
    fn hear(&mut self) {
        let (now, clock) = (self.now, self.clock);
        let stamp = |arrival: Time, sent: Time, skew: i64| Stamp {
            sent_ns: (WALL_NS + sent.0).saturating_add_signed(skew),
            received_ns: WALL_NS + arrival.0,
            arrival,
        };
        let epoch = self.state.epoch();
        let Inputs { robots: inputs, presence, .. } = &mut self.inputs;
        for ((robot, input), arm) in self.robots.iter_mut().zip(inputs).zip(self.setting.config.arms()) {
            let (names, dof) = (robot.names.as_slice(), robot.names.len());
            let origin = |sequence| Origin {
                robot: &arm.name,
                artifact: ARTIFACT,
                trace_id: "replay",
                epoch,
                sequence,
            };
            while let Some((arrival, sent, m)) = robot.joints.receive(now) {
                let (q, qd, effort) = (m.q.as_slice(), m.qd.as_slice(), m.effort.as_slice());
                let stamp = stamp(arrival, sent, clock);
                match robot.hears_joints.accept(names, &q[..dof], &qd[..dof], &effort[..dof], &stamp) {
                    Ok(Some(sample)) => input.joints = Some(sample),
                    Ok(None) => {}
                    Err(refused) => input.refuse(Input::JointState, refused),
                }
            }
            while let Some((arrival, sent, [x, y, z, rx, ry, rz])) = robot.wrench.receive(now) {
                let stamp = stamp(arrival, sent, clock);
                match robot.hears_wrench.accept(&robot.frame, [x, y, z], [rx, ry, rz], &stamp) {
                    Ok(sample) => input.wrench = Some(sample),
                    Err(refused) => input.refuse(Input::Wrench, refused),
                }
            }
            // Skills run on the gate's computer.
            while let Some((arrival, sent, (sequence, velocity))) = robot.command.receive(now) {
                let (origin, stamp) = (origin(sequence), stamp(arrival, sent, 0));
                let velocity = &velocity.as_slice()[..dof];
                match robot.hears_command.accept(&origin, names, velocity, Some(ARTIFACT), &stamp) {
                    Ok(sample) => input.command = Some(sample),
                    Err(refused) => input.refuse(Input::Command, refused),
                }
            }
            while let Some((arrival, sent, (sequence, (width, force)))) = robot.gripper.receive(now) {
                let (origin, stamp) = (origin(sequence), stamp(arrival, sent, 0));
                match robot.hears_gripper.accept(&origin, width, force, Some(ARTIFACT), &stamp) {
                    Ok(sample) => input.gripper = Some(sample),
                    Err(refused) => input.refuse(Input::GripperCommand, refused),
                }
            }
        }
        for ((zone, heard), sample) in self.presence.iter_mut().zip(presence) {
            while let Some((arrival, sent, ())) = zone.receive(now) {
                *sample = heard.accept(f64::INFINITY, &stamp(arrival, sent, clock)).ok();
            }
        }
    }

    /// What the arms do until the next cycle.
    fn move_on(&mut self, moment: &Moment) {
        let share = 1.0 - (-CELL_S / DRIVE_S).exp();
        for (robot, recorded) in self.robots.iter_mut().zip(moment) {
            let before = robot.off_rate;
            robot.off_rate += (robot.velocity - recorded.granted - before) * share;
            robot.off += (before + robot.off_rate) * (CELL_S / 2.0);
            self.done.deviation_rad = self.done.deviation_rad.max(robot.off.amax());
        }
    }
}
