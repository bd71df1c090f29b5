//! Running a cooperative skill: roles, phases with barriers, the leaves of the trees, deployment. Values in, values out.
//!
//! Deliberately absent: ROS, clocks, threads, files, ONNX. Time is an argument, a policy is a trait.
//!
//! New here? [`first_skill`] makes a skill for two arms from an empty folder.
//!
//! # Vocabulary
//!
//! - *skill*: behaviour trees for the roles leader, follower and spotter, policies, and a safety envelope.
//! - *run*: one execution of a skill, [`Run`]; *role executor*: one role of a run, [`RoleExecutor`].
//! - *phase*: a named part of a run that all roles enter together, see [`Cooperation`]; *link*: how roles talk, [`Link`].
//! - *leaf*: what a tree can ask of a robot, see [`registry`]; *policy*: a learned function that a leaf calls, [`Policy`], or asks and
//!   follows, [`ChunkedPolicy`].
//! - *peripheral*: a device or program of the cell besides the robots; *errand*: what a role asks of one, see [`Order`].
//! - *twin*: a cell without physics, [`Twin`]; *preview*: a run on it, [`preview`].
//!
//! # What cooperative nodes answer when something goes wrong
//!
//! A *timeout* is the node's own `timeout_s`, in the time of the tree, which stands still while the role holds. In a *partition* a role
//! hears nobody, or is not heard, or both; whatever the node, everybody holds after the peer time-out and aborts after the hold time-out
//! ([`Cooperation`]). *Late join*: a role begins after the others. Each cell is a test of `cooperation::tests::answers`.
//!
//! | node | timeout | partition | late join | duplicate, reordered message |
//! |---|---|---|---|---|
//! | `EnterPhase` | FAILURE; readiness is taken back; after entering: the run ends | nobody passes; hold, abort | waited for | dropped by its number |
//! | `SafePoint` | as `EnterPhase` | as `EnterPhase`; with a robot standing by, taken over once all are there | waited for | dropped |
//! | `Barrier` | FAILURE; readiness is taken back; after entering: the run ends | none of its roles passes; hold, abort | waited for | dropped |
//! | `Quorum` | FAILURE; the declaration is taken back | may pass with those who are heard; hold, abort | counts once it is there | dropped |
//! | `Lease` | FAILURE; the ticket is taken back | the holder keeps it and stands; nobody else gets it; hold, abort | no lease before all have been heard | dropped |
//! | `Handover` | FAILURE; an offer is taken back; after the taking: the run ends, both hold the thing | the giver does not let go; hold, abort | waited for | dropped |
//! | `ProgressSync` | has none: waiting is holding, and limited by the hold time-out | the one ahead stands; hold, abort | counts as at 0 | dropped |
//! | `OnRoleLost` | has none | goes on with its first child, until the hold time-out | counts as there until the peer time-out | dropped |
//!
//! # What runs in the product, and what is a part for others
//!
//! `swarm_skill_runtime` plays all roles of a cell in one process, over [`LocalLink`]. So a role is not lost there without the others, and
//! what is for roles on different computers is a part of this library that the simulator and tests run, and no node starts: a robot that
//! stands by ([`RoleExecutor::stand_by`]), links that lose messages, and a resource's [`Fence`], which is the resource's own to keep.
//!
//! # Flow
//!
//! 1. Deploying makes a [`RoleSpec`] per role: arm, limits, tree, policy.
//! 2. [`Run::new`] for every execution; [`Run::tick`] every 10 ms with what is measured; [`Run::outputs`] go to the safety gate.
//!    [`Run::orders`] go to the cell's peripherals, and what is heard of them into the next tick.
//! 3. [`RunState::Ended`] comes when the outcome is known, the arms stand, and what was interrupted has stopped.

mod body;
mod carrier;
mod check;
mod cooperation;
mod deploy;
mod errand;
mod executor;
#[doc = include_str!("../doc/first_skill.md")]
pub mod first_skill {}
mod golden;
mod insertion;
mod join;
mod leaves;
mod link;
mod message;
mod motion;
mod policy;
mod preview;
pub mod project;
mod robots;
mod role_io;
mod role_spec;
mod run;
mod shadow;
mod shared_board;
mod skill;
mod skill_problem;
mod trees;
mod twin;

pub use check::{leaf_table, shared_entries};
pub use cooperation::{
    Cooperation, CooperationConfig, Entry, Fence, Leave, MeetingError, PaceError, Phase, PhaseError, Receipt,
    SharedError, StaleToken, Timing, Token,
};
pub use deploy::{ArmAtRest, Busy, Deployment, Next, NotAtRest, Request, Step, check_rest, plan};
pub use errand::{
    CANCEL_AGAIN, End, News, Order, Peripherals, STOP_TIMEOUT, TopicSample, Word, parse_content,
};
pub use executor::RoleExecutor;
pub use golden::{GoldenError, GoldenVectors};
pub use insertion::{
    ACTION_LEN, Insertion, InsertionFailure, InsertionInputs, InsertionWatch, MAX_ANGULAR_RAD_PER_S,
    MAX_LINEAR_M_PER_S, MeanPose, MeanWrench, OBSERVATION_LEN, clip_action, is_finite, observe,
    tcp_twist_in_world, tip_in_pocket,
};
pub use join::{Goal, Join, JoinError, Joining};
pub use leaves::{phases, registry};
pub use link::{LOCAL_QUEUE, Link, LocalLink, contract};
pub use message::{
    DecodeError, Gate, Heard, Report, RoleMessage, SharedEntry, SharedValue, Stamp, Standing, Ticket, Vote,
};
pub use motion::MotionLimits;
pub use policy::{
    ACTION, Answer, ChunkModel, ChunkPlayer, ChunkedPolicy, Deviation, Due, Feature, InlineRunner,
    ModelInput, ModelShape, NamedPolicy, ObservationError, Observer, OutOfDistribution, Playing, Policy,
    PolicyError, PolicyKind, PolicyRunner, PolicyTick, QuestionId, Statistics, StatisticsProblem,
    StatisticsUnreadable, Untimed, contract as policy_contract, runner_contract, shape_of,
};
pub use preview::{
    Footprint, Limit, Margin, Place, Preview, PreviewRefusal, Scene, Swept, preview, preview_watched,
};
pub use robots::cell_robots;
pub use role_io::{
    GripperSample, GripperTarget, JointSample, PartSighting, RoleInputs, RoleOutputs, WrenchSample,
};
pub use role_spec::{Activity, INPUT_TIMEOUT, RoleSpec, RoleState, RunIdentity};
pub use run::{Outcome, REST_RAD_PER_S, Run, RunState, SafetyView};
pub use shadow::{Departure, Difference, Shadow, Told};
pub use skill::{CellRobot, Material, Skill};
pub use skill_problem::{Fault, SkillProblem, SkillProblems};
pub use twin::{Grasps, REACH_M, Twin, TwinArm, TwinPart};
