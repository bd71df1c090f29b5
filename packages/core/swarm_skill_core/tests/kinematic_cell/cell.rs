//! A cell of three arms without physics.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nalgebra::{Isometry3, Translation3, UnitQuaternion, Vector3};
use swarm_base::{Duration, Role, Time};
use swarm_bt::Loader;
use swarm_bt_log::{Recipe, Recorder};
use swarm_cell::{ArmError, CellConfig, arm_models};
use swarm_kinematics::JointVector;
use swarm_skill_core::{
    Grasps, INPUT_TIMEOUT, JointSample, Link, LocalLink, MotionLimits, NamedPolicy, Outcome, Policy,
    PolicyError, PolicyKind, RoleInputs, RoleMessage, RoleSpec, Run, RunIdentity, RunState, SafetyView,
    Timing, Twin, TwinArm, TwinPart, phases, registry,
};

pub(crate) const PART_A: &str = "part_a";
pub(crate) const PART_B: &str = "part_b";

pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The envelope's limit of the tool's speed.
pub(crate) const TCP_SPEED_M_PER_S: f64 = 0.35;

pub(crate) const CELL: &str = include_str!("../../../../../config/cell.yaml");
pub(crate) const TREES: [(Role, &str); 3] = [
    (Role::Leader, include_str!("../../../../../tests/data/cooperative_assembly/trees/leader.xml")),
    (Role::Follower, include_str!("../../../../../tests/data/cooperative_assembly/trees/follower.xml")),
    (Role::Spotter, include_str!("../../../../../tests/data/cooperative_assembly/trees/spotter.xml")),
];

pub(crate) struct Cell {
    pub(crate) run: Run,
    policy: Arc<Mutex<StraightDown>>,
    trees: [(Role, String); 3],
    pub(crate) now: Time,
    pub(crate) safety: SafetyView,
    pub(crate) silent_wrench: Option<Role>,
    /// What is measured of every arm's joints is spoilt like this.
    pub(crate) spoilt_joints: Option<fn(&mut JointSample)>,
    /// A part that no camera sees.
    pub(crate) hidden: Option<&'static str>,
    /// A force on every tool, N.
    pub(crate) push_n: f64,
    pub(crate) fastest_tcp_m_per_s: f64,
    pub(crate) largest_velocity_share: f64,
    pub(crate) largest_change_share: f64,
    twin: Twin,
    cut: Vec<(Role, Arc<AtomicBool>)>,
}

/// What a recorder writes, for whoever reads it when the run has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream(Arc<Mutex<Vec<u8>>>);

impl Stream {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("nobody panics").clone()
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where fingers find a part: grasp in the part's frame, width there.
const GRASPS: [(&str, [f64; 3], f64); 2] =
    [(PART_A, [-0.160, 0.0, -0.025], 0.030), (PART_B, [0.0, 0.0, 0.055], 0.020)];

/// Where they lie at first.
pub(crate) fn parts() -> Vec<TwinPart> {
    let starts = [pose([-0.11, -0.29, 0.045], 0.15), pose([0.29, -0.29, 0.0], -0.15)];
    let parts = GRASPS.into_iter().zip(starts).map(|((name, grasp, width_m), in_world)| TwinPart {
        name: name.into(),
        in_world,
        grasps: Grasps::At(vec![(grasp.into(), width_m)]),
    });
    parts.collect()
}

impl Cell {
    pub(crate) fn new(policy: StraightDown) -> Self {
        Self::of(TREES.map(|(role, xml)| (role, xml.to_owned())), policy)
    }

    /// With trees of its own.
    pub(crate) fn of(trees: [(Role, String); 3], policy: StraightDown) -> Self {
        let policy = Arc::new(Mutex::new(policy));
        let named = NamedPolicy {
            name: "insert_peg".into(),
            deadline: Duration::from_micros(2_000),
            kind: PolicyKind::Reactive(Arc::clone(&policy) as _),
        };
        let specs: Vec<RoleSpec> = trees.iter().map(|(role, xml)| spec(*role, xml, &named)).collect();
        let identity = RunIdentity {
            run: "test".into(),
            epoch: 1,
            instance: 1,
            roles: Role::ALL.to_vec(),
            phases: phases(&specs[0].tree),
            timing: Timing::default(),
        };
        let cut: Vec<_> = Role::ALL.map(|role| (role, Arc::new(AtomicBool::new(false)))).into();
        let links = LocalLink::connect(&Role::ALL).into_iter().zip(&cut);
        let links = links
            .map(|(link, (_, cut))| Box::new(Cuttable { link, cut: Arc::clone(cut) }) as Box<dyn Link>)
            .collect();
        let arms =
            specs.iter().map(|spec| TwinArm::new(Arc::clone(&spec.arm), spec.tool, spec.home)).collect();
        let twin = Twin::new(arms, parts());
        Self {
            run: Run::new(specs, identity, links, 4, Time::ZERO),
            policy,
            trees,
            now: Time::ZERO,
            safety: SafetyView { epoch: 4, permits_motion: true, state: "READY".into() },
            silent_wrench: None,
            spoilt_joints: None,
            hidden: None,
            push_n: 0.0,
            fastest_tcp_m_per_s: 0.0,
            largest_velocity_share: 0.0,
            largest_change_share: 0.0,
            twin,
            cut,
        }
    }

    /// Records every role's tree, and gives where.
    pub(crate) fn record(self) -> (Self, Vec<(Role, Stream)>) {
        let mut streams = Vec::new();
        let run = self.run.record_with(|spec| {
            let (_, xml) = self.trees.iter().find(|(role, _)| *role == spec.role)?;
            let recipe = Recipe::new("tree.xml", xml.as_str(), &registry());
            let stream = Stream::default();
            streams.push((spec.role, stream.clone()));
            Some(Box::new(Recorder::begin(stream, &recipe, &spec.tree).expect("memory")))
        });
        (Self { run, ..self }, streams)
    }

    pub(crate) fn run_to_end(&mut self) -> Outcome {
        for _ in 0..12_000 {
            if let RunState::Ended(outcome) = self.step() {
                return outcome;
            }
        }
        panic!("not over after {:.0} s: {:#?}", self.now.as_secs_f64(), self.run.role_states());
    }

    /// How often the policy has been asked.
    pub(crate) fn questions(&self) -> u32 {
        self.policy.lock().unwrap().calls
    }

    /// Until every role acts in that phase.
    pub(crate) fn run_until(&mut self, phase: &str) {
        for _ in 0..12_000 {
            self.step();
            if self.run.role_states().iter().all(|state| state.phase == phase) {
                return;
            }
        }
        panic!("phase {phase} was not reached: {:#?}", self.run.role_states());
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step();
        }
    }

    /// The role's messages no longer reach anybody, nor do the others' reach it.
    pub(crate) fn cut_off(&self, role: Role) {
        let (_, cut) = self.cut.iter().find(|(cut, _)| *cut == role).unwrap();
        cut.store(true, Ordering::SeqCst);
    }

    /// No fingers can hold the part.
    pub(crate) fn make_slippery(&mut self, part: &str) {
        self.twin.part_mut(part).unwrap().grasps = Grasps::At(Vec::new());
    }

    pub(crate) fn moving_robots(&self) -> usize {
        self.twin.arms().iter().filter(|robot| robot.qd != JointVector::zeros()).count()
    }

    pub(crate) fn positions(&self) -> Vec<JointVector> {
        self.twin.arms().iter().map(|robot| robot.q).collect()
    }

    pub(crate) fn part_in(&self, part: &str, other: &str) -> Isometry3<f64> {
        self.twin.part_in_world(other).unwrap().inverse() * self.twin.part_in_world(part).unwrap()
    }

    fn step(&mut self) -> RunState {
        self.now = self.now + TICK;
        let inputs: Vec<RoleInputs> = (0..self.twin.arms().len()).map(|index| self.inputs(index)).collect();
        let state = self.run.tick(&inputs, &self.safety, self.now).clone();
        let outputs: Vec<_> = self.run.outputs().map(|(spec, wish)| (spec.limits, *wish)).collect();
        let dt = TICK.as_secs_f64();
        for (index, (limits, wish)) in outputs.into_iter().enumerate() {
            let robot = &self.twin.arms()[index];
            let share = |values: JointVector, limits: JointVector| {
                values
                    .zip_map(
                        &limits,
                        |value, limit| if limit > 0.0 { value.abs() / limit } else { value.abs() },
                    )
                    .amax()
            };
            self.largest_velocity_share =
                self.largest_velocity_share.max(share(wish.velocity, limits.joint_rad_per_s));
            let change = (wish.velocity - robot.qd) / dt;
            self.largest_change_share = self.largest_change_share.max(share(change, limits.joint_rad_per_s2));
            let before = robot.tool_in_world().translation.vector;
            self.twin.advance(index, &wish, dt);
            let speed = (self.twin.arms()[index].tool_in_world().translation.vector - before).norm() / dt;
            self.fastest_tcp_m_per_s = self.fastest_tcp_m_per_s.max(speed);
        }
        state
    }

    fn inputs(&self, index: usize) -> RoleInputs {
        let mut inputs = self.twin.inputs(index, self.now);
        let arm = &self.twin.arms()[index].arm;
        let flange = arm.flange(&arm.forward(&inputs.joints.q));
        let push = flange.rotation.inverse() * Vector3::new(0.0, 0.0, self.push_n);
        for i in 0..3 {
            inputs.wrench.flange[i] += push[i];
        }
        if self.silent_wrench == Some(TREES[index].0) {
            inputs.wrench.at = Time(self.silent_since());
        }
        if let Some(spoil) = self.spoilt_joints {
            spoil(&mut inputs.joints);
        }
        inputs.parts.retain(|sighting| Some(sighting.part.as_str()) != self.hidden);
        inputs
    }

    /// A sensor that fell silent is 110 ms old at once.
    fn silent_since(&self) -> u64 {
        self.now.0 - 110_000_000
    }
}

/// The files that the declaration names.
fn urdf(file: &str) -> &'static str {
    match file {
        "urdf/ur5e/ur5e.urdf" => include_str!("../../../../../urdf/ur5e/ur5e.urdf"),
        "urdf/panda/panda.urdf" => include_str!("../../../../../urdf/panda/panda.urdf"),
        "urdf/gripper/parallel_gripper.urdf" => {
            include_str!("../../../../../urdf/gripper/parallel_gripper.urdf")
        }
        other => panic!("the shipped declaration names {other}"),
    }
}

pub(crate) fn spec(role: Role, xml: &str, policy: &NamedPolicy) -> RoleSpec {
    let cell = CellConfig::parse(CELL).unwrap();
    let robot = cell.robot_for(role).unwrap();
    let index = cell.robots.iter().position(|other| other.name == robot.name).unwrap();
    let arm = arm_models::<ArmError>(&cell, |file| Ok(urdf(file).to_owned())).unwrap().swap_remove(index);
    let registry = registry();
    let tree =
        Loader::new(&registry).document(role.as_str(), xml).load().unwrap_or_else(|error| panic!("{error}"));
    let active = |value: f64| JointVector::from_fn(|i, _| if i < arm.dof() { value } else { 0.0 });
    RoleSpec {
        role,
        robot: robot.name.clone(),
        tool: robot.load(),
        home: arm.joint_vector(&robot.home_rad).unwrap(),
        limits: MotionLimits::within(TCP_SPEED_M_PER_S, &active(1.2), &active(6.0)),
        input_timeout: INPUT_TIMEOUT,
        tree: Arc::new(tree),
        policy: (role == Role::Follower).then(|| policy.clone()),
        arm: Arc::new(arm),
    }
}

fn pose(xyz_m: [f64; 3], yaw_rad: f64) -> Isometry3<f64> {
    Isometry3::from_parts(Translation3::from(xyz_m), UnitQuaternion::from_euler_angles(0.0, 0.0, yaw_rad))
}

/// A policy that centres the peg and lowers it, and can be made to misbehave.
#[derive(Debug, Default)]
pub(crate) struct StraightDown {
    pub(crate) late_after: Option<u32>,
    pub(crate) nan_after: Option<u32>,
    pub(crate) calls: u32,
}

impl Policy for StraightDown {
    fn observation_len(&self) -> usize {
        swarm_skill_core::OBSERVATION_LEN
    }

    fn action_len(&self) -> usize {
        swarm_skill_core::ACTION_LEN
    }

    fn infer(
        &mut self,
        seen: &[f32],
        action: &mut [f32],
        deadline: Duration,
    ) -> Result<Duration, PolicyError> {
        for (what, found, expected) in
            [("observation", seen.len(), self.observation_len()), ("action", action.len(), self.action_len())]
        {
            if found != expected {
                return Err(PolicyError::Length { what, found, expected });
            }
        }
        self.calls += 1;
        if self.late_after.is_some_and(|calls| self.calls > calls) {
            return Err(PolicyError::Late { took: Duration::from_micros(9_000), deadline });
        }
        let took = Duration::from_micros(10);
        if took > deadline {
            return Err(PolicyError::Late { took, deadline });
        }
        action.copy_from_slice(&[-2.0 * seen[0], -2.0 * seen[1], -0.01, -seen[3], -seen[4], -seen[5]]);
        if self.nan_after.is_some_and(|calls| self.calls > calls) {
            action[2] = f32::NAN;
        }
        Ok(took)
    }
}

/// A link that can be cut.
#[derive(Debug)]
struct Cuttable {
    link: LocalLink,
    cut: Arc<AtomicBool>,
}

impl Link for Cuttable {
    fn send(&mut self, message: &RoleMessage) {
        if !self.cut.load(Ordering::SeqCst) {
            self.link.send(message);
        }
    }

    fn receive(&mut self) -> Option<RoleMessage> {
        let message = self.link.receive();
        if self.cut.load(Ordering::SeqCst) { None } else { message }
    }

    fn lost(&self) -> u64 {
        self.link.lost()
    }
}
