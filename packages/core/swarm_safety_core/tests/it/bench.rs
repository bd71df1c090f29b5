//! A cell of three ideal robots for tests: time and samples are moved by hand.

use nalgebra::{Rotation3, Translation3, Vector3};
use swarm_base::{Duration, Time};
use swarm_kinematics::{ArmModel, ArmSpec, JointVector, Load, Pose};
use swarm_safety_core::{
    ArmConfig, CommandSample, Config, EnvelopeFile, JointSample, ResetRequest, SafetyState, State, Timing,
    Tolerances, Verdict, WrenchSample, step,
};
use swarm_safety_core::{Inputs, MAX_ROBOTS};

pub(crate) const UR5E: &str = include_str!("../../../../../urdf/ur5e/ur5e.urdf");
pub(crate) const PANDA: &str = include_str!("../../../../../urdf/panda/panda.urdf");
pub(crate) const GRIPPER: &str = include_str!("../../../../../urdf/gripper/parallel_gripper.urdf");
/// Limits of the test cell.
pub(crate) const CEILING: &str = include_str!("ceiling.yaml");

pub(crate) const PERIOD: Duration = Duration::from_millis(2);
pub(crate) const LEFT: usize = 0;
pub(crate) const RIGHT: usize = 1;
pub(crate) const PANDA_ARM: usize = 2;
pub(crate) const RUN: u64 = 77;
const FIRST_EPOCH: u64 = 1000;

pub(crate) fn arms() -> Vec<ArmConfig> {
    let arm = |name: &str, urdf, flange, tool_urdf, xyz: [f64; 3], yaw, tcp, payload| {
        let base = Pose::from_parts(
            Translation3::from(Vector3::from(xyz)),
            Rotation3::from_euler_angles(0.0, 0.0, yaw),
        );
        let model = ArmModel::load(&ArmSpec {
            urdf,
            flange_link: flange,
            prefix: &format!("{name}_"),
            base_in_world: base,
            tool_in_flange: Pose::translation(0.0, 0.0, tcp),
            tool_urdf,
        });
        // Both kinds of arm have the elbow that the robot's maker calls so: the third joint of a UR, the fourth of a Panda.
        let elbow_joint = if tool_urdf.is_some() { 2 } else { 3 };
        ArmConfig { name: name.to_owned(), model: model.unwrap(), elbow_joint, payload }
    };
    let pi = std::f64::consts::PI;
    let gripper = Load { mass_kg: 1.0, com_m: Vector3::new(0.0, 0.0, 0.06) };
    let hand = Load { mass_kg: 0.93, com_m: Vector3::new(0.01, -0.02, 0.05) };
    vec![
        arm("ur5e_left", UR5E, "tool0", Some(GRIPPER), [-0.55, 0.0, 0.0], 0.0, 0.145, gripper),
        arm("ur5e_right", UR5E, "tool0", Some(GRIPPER), [0.55, 0.0, 0.0], pi, 0.145, gripper),
        arm("panda", PANDA, "panda_link8", None, [0.0, 0.75, 0.0], -pi / 2.0, 0.1034, hand),
    ]
}

pub(crate) fn home(robot: usize) -> JointVector {
    let q: &[f64] = match robot {
        PANDA_ARM => &[0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785],
        _ => &[0.0, -1.57, 1.57, -1.57, -1.57, 0.0],
    };
    JointVector::from_fn(|i, _| q.get(i).copied().unwrap_or(0.0))
}

pub(crate) fn config() -> Config {
    config_of(CEILING, Tolerances::default())
}

pub(crate) fn config_of(ceiling: &str, tolerances: Tolerances) -> Config {
    let ceiling = EnvelopeFile::parse(ceiling).unwrap();
    Config::new(arms(), &ceiling, Timing::every(PERIOD.as_secs_f64()), tolerances).unwrap()
}

/// Three ideal robots: they do at once what the last verdict said, and their sensors are perfect.
pub(crate) struct Bench {
    pub config: Config,
    pub state: State,
    pub inputs: Inputs,
    pub now: Time,
    /// Robots whose joint states or wrenches have fallen silent.
    pub mute_joints: [bool; MAX_ROBOTS],
    pub mute_wrench: [bool; MAX_ROBOTS],
    /// How old joint states are when they are heard.
    pub late: Duration,
    pub q: [JointVector; MAX_ROBOTS],
    pub qd: [JointVector; MAX_ROBOTS],
    pub effort: [JointVector; MAX_ROBOTS],
    /// Force and torque by contact, flange frame.
    pub contact: [(Vector3<f64>, Vector3<f64>); MAX_ROBOTS],
    /// Velocity that each robot's skill commands at 500 Hz; `None` = silence.
    pub wish: [Option<JointVector>; MAX_ROBOTS],
    /// What the robots were told last.
    pub outputs: [JointVector; MAX_ROBOTS],
    sequence: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let state = State::new(&config, FIRST_EPOCH);
        Self {
            config,
            state,
            inputs: Inputs::default(),
            now: Time::from_millis(5),
            mute_joints: [false; MAX_ROBOTS],
            mute_wrench: [false; MAX_ROBOTS],
            late: Duration(0),
            q: std::array::from_fn(home),
            qd: [JointVector::zeros(); MAX_ROBOTS],
            effort: [JointVector::zeros(); MAX_ROBOTS],
            contact: [(Vector3::zeros(), Vector3::zeros()); MAX_ROBOTS],
            wish: [None; MAX_ROBOTS],
            outputs: [JointVector::zeros(); MAX_ROBOTS],
            sequence: 0,
        }
    }

    /// A cell that has been reset and waits for commands.
    pub(crate) fn ready() -> Self {
        let mut bench = Self::new();
        bench.cycle();
        let verdict = bench.reset();
        assert_eq!(verdict.state, SafetyState::Ready, "{:?}", verdict.reset);
        bench
    }

    /// A cell in which every robot has been moving slowly for 0.1 s.
    pub(crate) fn running() -> Self {
        let mut bench = Self::ready();
        for robot in 0..MAX_ROBOTS {
            bench.wish[robot] = Some(slow(robot));
        }
        for _ in 0..50 {
            bench.cycle();
        }
        assert_eq!(bench.state.state(), SafetyState::Run, "{:?}", bench.state.cause());
        bench
    }

    /// Samples of this instant, without a step.
    pub(crate) fn sample(&mut self) {
        self.sequence += 1;
        for (i, arm) in self.config.arms().iter().enumerate() {
            let input = &mut self.inputs.robots[i];
            let (stamp_ns, sent, sequence) = (self.now.0, self.now, self.sequence);
            if !self.mute_joints[i] {
                let (q, qd, effort) = (self.q[i], self.qd[i], Some(self.effort[i]));
                let sent = Time(self.now.0 - self.late.0);
                input.joints = Some(JointSample { q, qd, effort, stamp_ns, sent, sequence });
            }
            if !self.mute_wrench[i] {
                let flange = arm.model.flange(&arm.model.forward(&self.q[i]));
                let weight = arm.payload.weight(&flange);
                let force = weight.fixed_rows::<3>(0) + self.contact[i].0;
                let torque = weight.fixed_rows::<3>(3) + self.contact[i].1;
                input.wrench = Some(WrenchSample { force, torque, stamp_ns, sent, sequence });
            }
            if let Some(velocity) = self.wish[i] {
                let epoch = self.state.epoch();
                input.command =
                    Some(CommandSample { velocity, epoch, run: RUN, sequence, artifact_matches: true, sent });
            }
        }
    }

    /// One step on what stands in `inputs`; the robots then move as told.
    pub(crate) fn step(&mut self) -> Verdict {
        let (state, verdict) = step(&self.config, &self.state, &self.inputs, self.now);
        self.state = state;
        self.inputs.forget_events();
        for i in 0..MAX_ROBOTS {
            self.qd[i] = verdict.robots[i].velocity;
            self.outputs[i] = self.qd[i];
            self.q[i] += self.qd[i] * PERIOD.as_secs_f64();
        }
        self.now = self.now + PERIOD;
        verdict
    }

    pub(crate) fn cycle(&mut self) -> Verdict {
        self.sample();
        self.step()
    }

    pub(crate) fn cycles(&mut self, count: usize) -> Verdict {
        (0..count).map(|_| self.cycle()).last().unwrap()
    }

    pub(crate) fn reset(&mut self) -> Verdict {
        self.inputs.reset = Some(ResetRequest { epoch: self.state.epoch() });
        self.cycle()
    }
}

/// A motion far below every limit.
pub(crate) fn slow(robot: usize) -> JointVector {
    let mut qd = JointVector::zeros();
    qd[5] = if robot == PANDA_ARM { 0.1 } else { -0.1 };
    qd
}

/// A velocity of one joint.
pub(crate) fn joint(index: usize, velocity: f64) -> JointVector {
    let mut qd = JointVector::zeros();
    qd[index] = velocity;
    qd
}
