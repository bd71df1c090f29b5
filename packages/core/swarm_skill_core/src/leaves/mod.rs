//! The leaves that a skill's trees may use.
//!
//! [`registry`] names them with their ports; it is what a tree is checked against when a skill is deployed. Behind each is a
//! [`Behaviour`]: a small state machine that is made when the leaf starts, ticked once in every tick of the role while it runs, and
//! dropped when it ends or is halted. A tick in which no behaviour wants a velocity is a tick in which the arm is to stand. Behaviours are boxed: the engine's
//! tick takes no memory, that of a role does, when a leaf starts and where a behaviour makes something.
//!
//! | leaf | ports | ends |
//! |---|---|---|
//! | `EnterPhase` | phase, timeout_s | when every role has entered the phase |
//! | `MoveToPose` | xyz, rpy, speed, tolerance | tool at a pose of the world |
//! | `MoveToPart` | part, xyz, rpy, symmetry, speed, tolerance | tool at a pose relative to a located part |
//! | `MoveHeldPart` | part, relative_to, xyz, symmetry, speed, tolerance | held part upright at a pose relative to a located part |
//! | `MoveLinear` | xyz, frame (world, tool), speed, tolerance, compliance | tool moved by an offset |
//! | `MoveJoints` | q (empty = home), speed | joints at a position |
//! | `Locate` / `LocateHeld` | part, samples, timeout_s | mean of so many sightings taken |
//! | `TareWrench` | duration_s | present wrench is the zero of contact forces |
//! | `Grip` | width, force, timeout_s | a part is held; FAILURE if the fingers meet |
//! | `Release` | width, force, timeout_s | fingers open |
//! | `RunPolicy` | policy, pocket, tip | part seated; FAILURE if late, too hard, too slow |
//! | `FollowPolicy` | policy, duration_s, force | after that time; FAILURE if an observation is missing or strange, or an answer late |
//! | `WaitForce` | min_n, timeout_s | contact force reached |
//! | `ForceBelow` (condition) | role (empty = own), limit_n | |
//! | `CheckAlignment` (condition) | part, relative_to, max_offset_m, max_tilt_rad, within_m | SUCCESS too if the parts are further apart than within_m |
//! | `Hold` | | never; the arm stands |
//! | `SafePoint` | point, timeout_s | as `EnterPhase`; a role that stands here may be taken over by another robot |
//! | `Barrier` | meeting, roles, timeout_s | when the roles named have entered it |
//! | `Quorum` | meeting, k, timeout_s | when k roles have come |
//! | `AcquireLease`, `KeepLease`, `ReleaseLease` | resource, timeout_s | parts of `Lease`, see [`crate::project`] |
//! | `BeginHandover`, `KeepHandover`, `EndHandover` | item, from, to, timeout_s | parts of `Handover` |
//! | `KeepPace` | work, value, delta, roles | never; part of `ProgressSync` |
//! | `RoleLive` (condition) | role | part of `OnRoleLost` |
//! | `RequestHold` | reason | at once; released by `ReleaseHold` or when halted together with the role |
//! | `ReleaseHold` | | at once |
//! | `AbortRun` | reason | at once, for every role |
//! | `CallAction` | peripheral, goal, timeout_s, pick | with the action's result; FAILURE if refused, aborted, too slow; halted, it is cancelled and waited for |
//! | `CallService` | peripheral, request, timeout_s, pick | with the service's answer; halted, it is waited for |
//! | `PublishTopic` | peripheral, message | at once |
//! | `WaitTopic` | peripheral, timeout_s, pick | with the first message after its start |
//!
//! The last four ask what the cell's declaration names under `peripherals`. `goal`, `request` and `message` are JSON
//! (`json:{"position": 0.02}`); the answer goes to the output ports `result` (JSON) and `value` (what the JSON pointer `pick` names).
//! Their errands and how these are taken back are [`crate::Order`]'s.

mod cooperate;
mod follow;
mod grip;
mod insert;
mod lease;
mod meet;
mod moves;
mod observe;
mod peripheral;

use std::fmt;

use swarm_base::{Role, Time};
use swarm_bt::{Halt, LeafCall, LeafModel, PortType, Registry, Tree};
use swarm_kinematics::JointVector;

use crate::body::Body;
use crate::cooperation::{Cooperation, Phase};
use crate::errand::Errands;
use crate::role_io::RoleInputs;

/// What a behaviour works with in one tick.
pub(crate) struct Context<'a> {
    /// The tree's time: it stands still while the role holds.
    pub(crate) now: Time,
    /// The time of measurements, which goes on.
    pub(crate) clock: Time,
    /// Seconds since the last tick of the role.
    pub(crate) dt: f64,
    pub(crate) inputs: &'a RoleInputs,
    pub(crate) body: &'a mut Body,
    pub(crate) cooperation: &'a mut Cooperation,
    pub(crate) errands: &'a mut Errands,
    /// What this leaf wants of the joints in this tick.
    pub(crate) wish: Option<JointVector>,
    /// What the role wants of them so far; zero unless a leaf wants something.
    pub(crate) velocity: &'a mut JointVector,
}

/// Answer of a behaviour that has not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Running,
    Done,
}

/// Why a leaf failed, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A leaf under way.
pub(crate) trait Behaviour: Send + fmt::Debug {
    /// Reads ports that change while the leaf runs; called before every tick.
    fn look(&mut self, _call: &LeafCall<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure>;

    /// Writes the output ports of a leaf that is done.
    fn tell(&self, _call: &mut LeafCall<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// The leaf ends without being done: it has failed, or is interrupted. It takes back what it asked of the other roles.
    fn take_back(&mut self, _context: &mut Context<'_>) {}

    /// The leaf is interrupted.
    fn halted(&mut self, context: &mut Context<'_>) -> Halt {
        self.take_back(context);
        Halt::Done
    }

    /// Whether a leaf that was interrupted, and answered [`Halt::Pending`], has stopped meanwhile.
    fn halting(&mut self, _context: &mut Context<'_>) -> Halt {
        Halt::Done
    }
}

/// All leaves, with their ports.
pub fn registry() -> Registry {
    use PortType::{Float, Int, Str, Vector};
    let pose = |leaf: LeafModel| leaf.input("xyz", Vector).input_or("rpy", Vector, "0;0;0");
    let motion =
        |leaf: LeafModel| leaf.input_or("speed", Float, "1.0").input_or("tolerance", Float, "0.0005");
    Registry::new()
        .leaf(LeafModel::action("EnterPhase").input("phase", Str).input_or("timeout_s", Float, "60.0"))
        .leaf(motion(pose(LeafModel::action("MoveToPose"))))
        .leaf(motion(pose(LeafModel::action("MoveToPart").input("part", Str)).input_or("symmetry", Int, "1")))
        .leaf(motion(
            LeafModel::action("MoveHeldPart")
                .input("part", Str)
                .input("relative_to", Str)
                .input("xyz", Vector)
                .input_or("symmetry", Int, "1"),
        ))
        .leaf(motion(
            LeafModel::action("MoveLinear").input("xyz", Vector).input_or("frame", Str, "world").input_or(
                "compliance",
                Float,
                "0.0",
            ),
        ))
        .leaf(motion(LeafModel::action("MoveJoints").input_or("q", Vector, "")))
        .leaf(located(LeafModel::action("Locate")))
        .leaf(located(LeafModel::action("LocateHeld")))
        .leaf(LeafModel::action("TareWrench").input_or("duration_s", Float, "0.1"))
        .leaf(LeafModel::action("Grip").input_or("width", Float, "0.0").input("force", Float).input_or(
            "timeout_s",
            Float,
            "3.0",
        ))
        .leaf(LeafModel::action("Release").input("width", Float).input_or("force", Float, "20.0").input_or(
            "timeout_s",
            Float,
            "3.0",
        ))
        .leaf(LeafModel::action("RunPolicy").input("policy", Str).input("pocket", Str).input("tip", Str))
        .leaf(
            LeafModel::action("FollowPolicy")
                .input("policy", Str)
                .input("duration_s", Float)
                .input_or("force", Float, "20.0"),
        )
        .leaf(LeafModel::action("WaitForce").input("min_n", Float).input_or("timeout_s", Float, "5.0"))
        .leaf(LeafModel::condition("ForceBelow").input_or("role", Str, "").input("limit_n", Float))
        .leaf(
            LeafModel::condition("CheckAlignment")
                .input("part", Str)
                .input("relative_to", Str)
                .input("max_offset_m", Float)
                .input("max_tilt_rad", Float)
                .input_or("within_m", Float, "1000.0"),
        )
        .leaf(waiting(LeafModel::action("SafePoint").input("point", Str)))
        .leaf(waiting(LeafModel::action("Barrier").input("meeting", Str).input_or("roles", Str, "")))
        .leaf(waiting(LeafModel::action("Quorum").input("meeting", Str).input("k", Int)))
        .leaf(waiting(LeafModel::action("AcquireLease").input("resource", Str)))
        .leaf(LeafModel::action("KeepLease").input("resource", Str))
        .leaf(LeafModel::action("ReleaseLease").input("resource", Str))
        .leaf(waiting(hand_over(LeafModel::action("BeginHandover"))))
        .leaf(waiting(hand_over(LeafModel::action("KeepHandover"))))
        .leaf(waiting(hand_over(LeafModel::action("EndHandover"))))
        .leaf(
            LeafModel::action("KeepPace")
                .input("work", Str)
                .input("value", Float)
                .input("delta", Float)
                .input_or("roles", Str, ""),
        )
        .leaf(LeafModel::condition("RoleLive").input("role", Str))
        .leaf(LeafModel::action("Hold"))
        .leaf(LeafModel::action("RequestHold").input("reason", Str))
        .leaf(LeafModel::action("ReleaseHold"))
        .leaf(LeafModel::action("AbortRun").input("reason", Str))
        .leaf(answered(waiting(LeafModel::action("CallAction").input_or("goal", Str, ""))))
        .leaf(answered(waiting(LeafModel::action("CallService").input_or("request", Str, ""))))
        .leaf(answered(waiting(LeafModel::action("WaitTopic"))))
        .leaf(LeafModel::action("PublishTopic").input("peripheral", Str).input("message", Str))
}

/// A peripheral that answers.
fn answered(leaf: LeafModel) -> LeafModel {
    leaf.input("peripheral", PortType::Str)
        .input_or("pick", PortType::Str, "")
        .output("result", PortType::Str)
        .output("value", PortType::Any)
}

fn waiting(leaf: LeafModel) -> LeafModel {
    leaf.input_or("timeout_s", PortType::Float, "60.0")
}

fn hand_over(leaf: LeafModel) -> LeafModel {
    leaf.input("item", PortType::Str).input("from", PortType::Str).input("to", PortType::Str)
}

fn located(leaf: LeafModel) -> LeafModel {
    leaf.input("part", PortType::Str).input_or("samples", PortType::Int, "10").input_or(
        "timeout_s",
        PortType::Float,
        "3.0",
    )
}

/// The phases and safe points that a tree enters, in the order in which it names them. Every role of a skill has the same ones.
pub fn phases(tree: &Tree) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for node in tree.nodes() {
        let phase = match &*node.id {
            "EnterPhase" => tree.literal(node.uid, "phase").map(|name| Phase::barrier(name.to_string())),
            "SafePoint" => tree.literal(node.uid, "point").map(|name| Phase::safe_point(name.to_string())),
            _ => None,
        };
        phases.extend(phase.filter(|phase| !phases.contains(phase)));
    }
    phases
}

/// Reads a leaf's ports and makes its behaviour.
pub(crate) fn make(call: &LeafCall<'_>, context: &mut Context<'_>) -> Result<Box<dyn Behaviour>, Failure> {
    Ok(match call.id() {
        "EnterPhase" => Box::new(cooperate::EnterPhase::new(call, "phase")?),
        "SafePoint" => Box::new(cooperate::EnterPhase::new(call, "point")?),
        "RoleLive" => Box::new(cooperate::RoleLive::new(call)?),
        "Barrier" => Box::new(meet::Barrier::new(call)?),
        "Quorum" => Box::new(meet::Quorum::new(call)?),
        "BeginHandover" => Box::new(meet::HandOver::new(call, meet::End::Begin)?),
        "KeepHandover" => Box::new(meet::HandOver::new(call, meet::End::Keep)?),
        "EndHandover" => Box::new(meet::HandOver::new(call, meet::End::Finish)?),
        "KeepPace" => Box::new(meet::KeepPace::new(call)?),
        "AcquireLease" => Box::new(lease::Acquire::new(call)?),
        "KeepLease" => Box::new(lease::Keep::new(call)?),
        "ReleaseLease" => Box::new(lease::Release::new(call)?),
        "RequestHold" => Box::new(cooperate::RequestHold::new(call)?),
        "ReleaseHold" => Box::new(cooperate::ReleaseHold),
        "AbortRun" => Box::new(cooperate::AbortRun::new(call)?),
        "MoveToPose" => Box::new(moves::Line::to_pose(call, context)?),
        "MoveToPart" => Box::new(moves::Line::to_part(call, context)?),
        "MoveHeldPart" => Box::new(moves::Line::of_held_part(call, context)?),
        "MoveLinear" => Box::new(moves::Line::by_offset(call, context)?),
        "MoveJoints" => Box::new(moves::Joints::new(call, context)?),
        "Hold" => Box::new(moves::Hold),
        "Locate" => Box::new(observe::Locate::in_world(call, context)?),
        "LocateHeld" => Box::new(observe::Locate::in_tool(call, context)?),
        "TareWrench" => Box::new(observe::Tare::new(call, context)?),
        "WaitForce" => Box::new(observe::WaitForce::new(call, context)?),
        "ForceBelow" => Box::new(observe::ForceBelow::new(call)?),
        "CheckAlignment" => Box::new(observe::CheckAlignment::new(call)?),
        "Grip" => Box::new(grip::Fingers::grip(call, context)?),
        "Release" => Box::new(grip::Fingers::release(call, context)?),
        "RunPolicy" => Box::new(insert::RunPolicy::new(call, context)?),
        "CallAction" => Box::new(peripheral::Call::action(call)?),
        "CallService" => Box::new(peripheral::Call::service(call)?),
        "PublishTopic" => Box::new(peripheral::Publish::new(call)?),
        "WaitTopic" => Box::new(peripheral::WaitTopic::new(call, context)?),
        "FollowPolicy" => Box::new(follow::FollowPolicy::new(call, context)?),
        // The loader refuses a tree with a leaf that is not in the registry.
        other => return Err(Failure(format!("there is no behaviour for leaf '{other}'"))),
    })
}

/// A port of three numbers.
fn three(call: &LeafCall<'_>, port: &str) -> Result<[f64; 3], Failure> {
    let values: std::sync::Arc<[f64]> = call.get(port)?;
    let found = values.len();
    <[f64; 3]>::try_from(&*values)
        .map_err(|_| Failure(format!("port '{port}' has {found} numbers, expected 3")))
}

/// A port with a finite number in a range.
fn number(call: &LeafCall<'_>, port: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64, Failure> {
    let value: f64 = call.get(port)?;
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Failure(format!("port '{port}' is {value}, expected {} to {}", range.start(), range.end())))
}

/// A port with a span of time in seconds.
fn span(call: &LeafCall<'_>, port: &str) -> Result<swarm_base::Duration, Failure> {
    Ok(swarm_base::Duration::from_secs_f64(number(call, port, 0.0..=3_600.0)?))
}

/// A port of roles separated by `;`; empty names all.
fn roles(call: &LeafCall<'_>, port: &str) -> Result<Vec<Role>, Failure> {
    let text: String = call.get(port)?;
    let named = text.split(';').map(str::trim).filter(|word| !word.is_empty());
    let roles = named.map(str::parse).collect::<Result<Vec<Role>, _>>()?;
    Ok(if roles.is_empty() { Role::ALL.to_vec() } else { roles })
}
