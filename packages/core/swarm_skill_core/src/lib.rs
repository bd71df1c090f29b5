//! Running a cooperative skill: roles, phases with barriers, the leaves of the trees, deployment. Values in, values out.
//!
//! Deliberately absent: ROS, clocks, threads, files, ONNX. Time is an argument, a policy is a trait.
//!
//! # Vocabulary
//!
//! - *skill*: behaviour trees for the roles leader, follower and spotter, policies, and a safety envelope.
//! - *run*: one execution of a skill, [`Run`]; *role executor*: one role of a run, [`RoleExecutor`].
//! - *phase*: a named part of a run that all roles enter together, see [`Cooperation`]; *link*: how roles talk, [`Link`].
//! - *leaf*: what a tree can ask of a robot, see [`registry`]; *policy*: a learned function that a leaf calls, [`Policy`], or asks and
//!   follows, [`ChunkedPolicy`].
//! - *twin*: a cell without physics, [`Twin`]; *preview*: a run on it, [`preview`].
//!
//! # Flow
//!
//! 1. Deploying makes a [`RoleSpec`] per role: arm, limits, tree, policy.
//! 2. [`Run::new`] for every execution; [`Run::tick`] every 10 ms with what is measured; [`Run::outputs`] go to the safety gate.
//! 3. [`RunState::Ended`] comes when the outcome is known and the arms stand.

mod body;
mod check;
mod cooperation;
mod deploy;
mod executor;
mod golden;
mod insertion;
mod join;
mod leaves;
mod link;
mod message;
mod motion;
mod policy;
mod preview;
mod robots;
mod role_io;
mod run;
mod shadow;
mod skill;
mod twin;

pub use check::leaf_table;
pub use cooperation::{Cooperation, CooperationConfig, Entry, Leave, PhaseError, Receipt, Timing};
pub use deploy::{ArmAtRest, Busy, Deployment, Next, NotAtRest, Request, Step, check_rest, plan};
pub use executor::{Activity, INPUT_TIMEOUT, RoleExecutor, RoleSpec, RoleState, RunIdentity};
pub use golden::{GoldenError, GoldenVectors};
pub use insertion::{
    ACTION_LEN, Insertion, InsertionFailure, InsertionInputs, InsertionWatch, MAX_ANGULAR_RAD_PER_S,
    MAX_LINEAR_M_PER_S, MeanPose, MeanWrench, OBSERVATION_LEN, clip_action, is_finite, observe,
    tcp_twist_in_world, tip_in_pocket,
};
pub use join::{Goal, Join, JoinError, Joining};
pub use leaves::{phases, registry};
pub use link::{LOCAL_QUEUE, Link, LocalLink, contract};
pub use message::{DecodeError, Report, RoleMessage, Standing};
pub use motion::MotionLimits;
pub use policy::{
    ACTION, Answer, ChunkModel, ChunkPlayer, ChunkedPolicy, Deviation, Due, Feature, InlineRunner,
    ModelInput, ModelShape, NamedPolicy, ObservationError, Observer, OutOfDistribution, Playing, Policy,
    PolicyError, PolicyKind, PolicyRunner, Statistics, StatisticsProblem, StatisticsUnreadable, Ticket,
    Untimed, contract as policy_contract, runner_contract, shape_of,
};
pub use preview::{Footprint, Limit, Margin, Place, Preview, PreviewRefusal, Scene, Swept, preview};
pub use robots::cell_robots;
pub use role_io::{
    GripperSample, GripperTarget, JointSample, PartSighting, RoleInputs, RoleOutputs, WrenchSample,
};
pub use run::{Outcome, REST_RAD_PER_S, Run, RunState, SafetyView};
pub use shadow::{Departure, Difference, Shadow, Told};
pub use skill::{CellRobot, Material, Skill, SkillProblem, SkillProblems};
pub use twin::{Grasps, REACH_M, Twin, TwinArm, TwinPart};
