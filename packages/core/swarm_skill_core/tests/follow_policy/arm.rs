//! One arm that follows one policy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use nalgebra::Isometry3;
use swarm_artifact::{ActionKind, ChunkEntry, ChunkedEntry, HistoryEntry, InputEntry, InputSource, Scaling};
use swarm_base::{Duration, Role, Time};
use swarm_bt::Loader;
use swarm_cell::{ArmError, CellConfig, arm_models};
use swarm_kinematics::JointVector;
use swarm_skill_core::{
    ChunkModel, ChunkedPolicy, Difference, Grasps, INPUT_TIMEOUT, InlineRunner, LocalLink, ModelShape,
    MotionLimits, NamedPolicy, Outcome, PolicyError, PolicyKind, PolicyTick, RoleOutputs, RoleSpec, Run,
    RunIdentity, RunState, SafetyView, Shadow, Statistics, Timing, Told, Twin, TwinArm, TwinPart, phases,
    registry, shape_of,
};

pub(crate) const TREE: &str = r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><Sequence name="reach">
    <EnterPhase phase="go"/>
    <FollowPolicy name="follow" policy="reach" duration_s="1.0"/>
</Sequence></BehaviorTree></root>"#;

const CELL: &str = include_str!("../../../../../config/cell.yaml");
const TICK: Duration = Duration::from_millis(10);
const DOF: usize = 6;
const HORIZON: usize = 5;

/// The same beside a node after whose every round the engine ticks the tree again within the same tick of the role.
pub(crate) const BESIDE_ROUNDS: &str = r#"<root BTCPP_format="4"><BehaviorTree ID="Main"><Sequence name="reach">
    <EnterPhase phase="go"/>
    <Parallel success_count="1" failure_count="1">
        <FollowPolicy name="follow" policy="reach" duration_s="1.0"/>
        <Repeat num_cycles="-1"><ForceBelow limit_n="1000"/></Repeat>
    </Parallel>
</Sequence></BehaviorTree></root>"#;

/// Values of a chunk: five actions, 0.1 s apart.
pub(crate) const CHUNK: usize = HORIZON * DOF;

/// What a network answers to its inputs.
pub(crate) type Script = Box<dyn FnMut(&[Vec<f32>]) -> Result<Vec<f32>, PolicyError> + Send>;

/// The value of each step and joint, from the joint's position as the network sees it.
pub(crate) fn answer_with(value: impl Fn(usize, usize, f32) -> f32 + Send + 'static) -> Script {
    Box::new(move |inputs| {
        // Inputs are in the order of their names; the state has two steps, and the later one counts.
        let state = &inputs[1][DOF..];
        let values = (0..HORIZON).flat_map(|step| (0..DOF).map(move |joint| (step, joint)));
        Ok(values.map(|(step, joint)| value(step, joint, state[joint])).collect())
    })
}

/// Joint 0 at a speed, the others stand.
pub(crate) fn steady(rad_per_s: f32) -> Script {
    answer_with(move |_, joint, _| if joint == 0 { rad_per_s } else { 0.0 })
}

pub(crate) struct Scripted {
    pub(crate) shape: ModelShape,
    pub(crate) script: Script,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl ChunkModel for Scripted {
    fn shape(&self) -> &ModelShape {
        &self.shape
    }

    fn infer(&mut self, inputs: &[Vec<f32>]) -> Result<Vec<f32>, PolicyError> {
        (self.script)(inputs)
    }
}

/// A policy that answers at the poll after `delay` ticks.
pub(crate) fn policy(action: ActionKind, delay: u32, script: Script) -> Arc<ChunkedPolicy> {
    let input = |of, scaling| InputEntry { of, rate_hz: 100.0, max_age_us: 100_000, scaling };
    let entry = ChunkedEntry {
        statistics: "reach.stats.json".parse().unwrap(),
        max_deviation: 30.0,
        inputs: BTreeMap::from([
            ("observation.state".into(), input(vec![InputSource::JointPosition], Scaling::Identity)),
            (
                "observation.environment_state".into(),
                input(vec![InputSource::PoseOf("part_a".into())], Scaling::Identity),
            ),
        ]),
        history: HistoryEntry { steps: 2, period_us: 50_000 },
        chunk: ChunkEntry {
            action,
            gripper: false,
            scaling: Scaling::Identity,
            horizon: HORIZON as u32,
            period_us: 100_000,
            replan_us: 200_000,
            ensemble: 3,
            coefficient: 0.01,
            blend_us: 100_000,
        },
    };
    let list = |len: usize, value: f64| serde_json::json!(vec![value; len]);
    let home: Vec<f64> = (0..DOF).map(Arm::home).collect();
    let statistics = serde_json::json!({
        "observation.state": {"mean": home, "std": list(DOF, 0.01)},
        "observation.environment_state": {"mean": list(7, 0.0), "std": list(7, 1.0)},
        "action": {"mean": list(DOF, 0.0), "std": list(DOF, 1.0)},
    });
    let statistics = Statistics::parse(&statistics.to_string()).unwrap();
    let model = Scripted { shape: shape_of(&entry, DOF), script };
    let runner = Box::new(InlineRunner::new(model, delay));
    Arc::new(ChunkedPolicy::new(entry, DOF, &statistics, runner).unwrap())
}

pub(crate) struct Arm {
    tree: &'static str,
    run: Run,
    twin: Twin,
    now: Time,
    limits: MotionLimits,
    pub(crate) hide_parts: bool,
    /// Every tick, for whoever follows.
    told: Vec<Told>,
    /// What was wanted in every tick.
    pub(crate) velocities: Vec<JointVector>,
    pub(crate) largest_velocity_share: f64,
    pub(crate) largest_change_share: f64,
}

impl Arm {
    /// Where a joint begins, rad.
    pub(crate) fn home(joint: usize) -> f64 {
        CellConfig::parse(CELL).unwrap().robot_for(Role::Leader).unwrap().home_rad[joint]
    }

    pub(crate) fn new(policy: Arc<ChunkedPolicy>) -> Self {
        Self::in_tree(TREE, policy)
    }

    pub(crate) fn in_tree(tree: &'static str, policy: Arc<ChunkedPolicy>) -> Self {
        let (spec, identity) = Self::cast(tree, policy);
        let links = LocalLink::connect(&[Role::Leader]).into_iter().map(|link| Box::new(link) as _).collect();
        let part =
            TwinPart { name: "part_a".into(), in_world: Isometry3::identity(), grasps: Grasps::Anywhere };
        let twin = TwinArm::new(Arc::clone(&spec.arm), spec.tool, spec.home);
        let limits = spec.limits;
        Self {
            tree,
            run: Run::new(vec![spec], identity, links, 1, Time::ZERO),
            twin: Twin::new(vec![twin], vec![part]),
            now: Time::ZERO,
            limits,
            hide_parts: false,
            told: Vec::new(),
            velocities: Vec::new(),
            largest_velocity_share: 0.0,
            largest_change_share: 0.0,
        }
    }

    /// The one who plays, and what is played.
    fn cast(tree: &str, policy: Arc<ChunkedPolicy>) -> (RoleSpec, RunIdentity) {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let cell = CellConfig::parse(CELL).unwrap();
        let arms =
            arm_models::<ArmError>(&cell, |file| Ok(std::fs::read_to_string(root.join(file)).unwrap()));
        let (robot, arm) = (&cell.robots[0], Arc::new(arms.unwrap().swap_remove(0)));
        let registry = registry();
        let tree =
            Loader::new(&registry).document("reach", tree).load().unwrap_or_else(|error| panic!("{error}"));
        let active = |value: f64| JointVector::from_fn(|i, _| if i < arm.dof() { value } else { 0.0 });
        let limits = MotionLimits::within(0.5, &active(1.2), &active(6.0));
        let home = arm.joint_vector(&robot.home_rad).unwrap();
        let identity = RunIdentity {
            run: "test".into(),
            epoch: 1,
            instance: 1,
            roles: vec![Role::Leader],
            phases: phases(&tree),
            timing: Timing::default(),
        };
        let spec = RoleSpec {
            role: Role::Leader,
            robot: robot.name.clone(),
            tool: robot.load(),
            home,
            limits,
            input_timeout: INPUT_TIMEOUT,
            tree: Arc::new(tree),
            policy: Some(NamedPolicy {
                name: "reach".into(),
                deadline: Duration::from_millis(300),
                kind: PolicyKind::Chunked(policy),
            }),
            arm,
        };
        (spec, identity)
    }

    /// Where the same skill with another policy, or the same one, would have parted from the run.
    pub(crate) fn difference(&self, policy: Arc<ChunkedPolicy>) -> Option<Difference> {
        let (spec, identity) = Self::cast(self.tree, policy);
        let cast = [(spec.role, spec.robot.clone())];
        let mut shadow = Shadow::new(&[spec], &identity.phases, &identity, 1, Time::ZERO);
        self.told.iter().find_map(|told| shadow.follow(&cast, told).cloned())
    }

    /// What the policy was asked and has answered, tick by tick.
    pub(crate) fn policies(&self) -> Vec<PolicyTick> {
        self.told.iter().flat_map(|told| &told.policies).copied().collect()
    }

    /// Of the observations that the policy has been asked about, in their order.
    pub(crate) fn scores(&self) -> Vec<f64> {
        self.told.iter().flat_map(|told| &told.policies).filter_map(|policy| policy.score).collect()
    }

    pub(crate) fn run_to_end(&mut self) -> Outcome {
        for _ in 0..1_000 {
            if let RunState::Ended(outcome) = self.step() {
                return outcome;
            }
        }
        panic!("not over after {:.0} s: {:#?}", self.now.as_secs_f64(), self.run.role_states());
    }

    pub(crate) fn run_for(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.step();
        }
    }

    /// Nobody ticks for a time, and the arm goes on as it was told last.
    pub(crate) fn miss(&mut self, span: Duration) {
        let velocity = self.velocities.last().copied().unwrap_or_default();
        self.twin.advance(0, &RoleOutputs { velocity, gripper: None }, span.as_secs_f64());
        self.now = self.now + span;
    }

    /// How far a joint has moved, rad.
    pub(crate) fn moved(&self, joint: usize) -> f64 {
        self.twin.arms()[0].q[joint] - Self::home(joint)
    }

    fn step(&mut self) -> RunState {
        self.now = self.now + TICK;
        let mut inputs = self.twin.inputs(0, self.now);
        if self.hide_parts {
            inputs.parts.clear();
        }
        let safety = SafetyView { epoch: 1, permits_motion: true, state: "RUN".into() };
        let state = self.run.tick(std::slice::from_ref(&inputs), &safety, self.now).clone();
        self.told.push(Told {
            now: self.now,
            safety,
            inputs: vec![inputs],
            wishes: self.run.outputs().map(|(_, wish)| *wish).collect(),
            orders: Vec::new(),
            policies: self.run.policies().collect(),
            state: state.clone(),
        });
        let (_, wish) = self.run.outputs().next().unwrap();
        let (wish, dt) = (*wish, TICK.as_secs_f64());
        let before = self.velocities.last().copied().unwrap_or_default();
        for joint in 0..DOF {
            let share = wish.velocity[joint].abs() / self.limits.joint_rad_per_s[joint];
            self.largest_velocity_share = self.largest_velocity_share.max(share);
            let change = (wish.velocity[joint] - before[joint]).abs() / dt;
            let share = change / self.limits.joint_rad_per_s2[joint];
            self.largest_change_share = self.largest_change_share.max(share);
        }
        self.velocities.push(wish.velocity);
        self.twin.advance(0, &wish, dt);
        state
    }
}
