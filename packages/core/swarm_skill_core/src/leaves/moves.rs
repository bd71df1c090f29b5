//! Leaves that move the arm.

use nalgebra::{Isometry3, UnitQuaternion, Vector3};
use swarm_bt::LeafCall;
use swarm_kinematics::{JointVector, Pose, Twist};

use super::{Behaviour, Context, Failure, Progress, number, three};
use crate::body::{Memory, pose_of, to_isometry, to_pose};
use crate::motion::{JointMove, LineMove, Step, Tolerance};

/// Turning tolerance of every motion of the tool.
const TOLERANCE_RAD: f64 = 0.004;

/// The tool on a straight line.
#[derive(Debug)]
pub(super) struct Line {
    motion: LineMove,
    tolerance: Tolerance,
    /// Velocity by which the tool yields to contact, m/s per N.
    compliance: f64,
}

impl Line {
    pub(super) fn to_pose(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        Self::to(call, context, &pose_of(three(call, "xyz")?, three(call, "rpy")?))
    }

    pub(super) fn to_part(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let part: String = call.get("part")?;
        let part_in_world = located(&context.body.memory, &part)?;
        let tool_in_part = pose_of(three(call, "xyz")?, three(call, "rpy")?);
        let tool = to_isometry(&context.body.tool_in_world(context.inputs));
        let goal = nearest_turn(symmetry(call)?, |turn| part_in_world * turn * tool_in_part, &tool);
        Self::to(call, context, &goal)
    }

    /// The part goes to `xyz` in the other part's frame, its axes parallel to the other's up to the part's symmetry.
    pub(super) fn of_held_part(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let (part, other): (String, String) = (call.get("part")?, call.get("relative_to")?);
        let other_in_world = located(&context.body.memory, &other)?;
        let part_in_tool = held(&context.body.memory, &part)?;
        let place = pose_of(three(call, "xyz")?, [0.0; 3]);
        let tool = to_isometry(&context.body.tool_in_world(context.inputs));
        let goal = nearest_turn(
            symmetry(call)?,
            |turn| other_in_world * place * turn * part_in_tool.inverse(),
            &tool,
        );
        Self::to(call, context, &goal)
    }

    pub(super) fn by_offset(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let offset = Vector3::from(three(call, "xyz")?);
        let mut goal = context.body.tool_in_world(context.inputs);
        let frame: String = call.get("frame")?;
        goal.translation.vector += match frame.as_str() {
            "world" => offset,
            "tool" => goal.rotation * offset,
            other => return Err(Failure(format!("port 'frame' is '{other}', expected world or tool"))),
        };
        let mut line = Self::to(call, context, &to_isometry(&goal))?;
        line.compliance = number(call, "compliance", 0.0..=0.01)?;
        Ok(line)
    }

    fn to(call: &LeafCall<'_>, context: &Context<'_>, goal: &Isometry3<f64>) -> Result<Self, Failure> {
        let from: Pose = context.body.tool_in_world(context.inputs);
        let share = number(call, "speed", 0.01..=1.0)?;
        let tolerance =
            Tolerance { linear_m: number(call, "tolerance", 1e-5..=0.1)?, angular_rad: TOLERANCE_RAD };
        let motion = LineMove::new(from, &to_pose(goal), &context.body.mover.limits, share);
        Ok(Self { motion, tolerance, compliance: 0.0 })
    }
}

impl Behaviour for Line {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        let tool = context.body.tool_in_world(context.inputs);
        let push = context.body.contact_force_in_world(context.inputs) * self.compliance;
        let give = Twist::new(push.x, push.y, push.z, 0.0, 0.0, 0.0);
        Ok(match self.motion.step(&tool, context.dt, self.tolerance, &give) {
            Step::Arrived => Progress::Done,
            Step::Go(twist) => {
                let body = &context.body;
                context.wish = Some(body.mover.servo(&body.arm, &context.inputs.joints.q, &twist).qd);
                Progress::Running
            }
        })
    }
}

/// All joints to a position.
#[derive(Debug)]
pub(super) struct Joints {
    motion: JointMove,
}

impl Joints {
    pub(super) fn new(call: &LeafCall<'_>, context: &Context<'_>) -> Result<Self, Failure> {
        let wanted: std::sync::Arc<[f64]> = call.get("q")?;
        let arm = &context.body.arm;
        let goal = if wanted.is_empty() {
            context.body.home
        } else {
            arm.joint_vector(&wanted).ok_or_else(|| {
                Failure(format!("port 'q' has {} numbers, the arm has {} joints", wanted.len(), arm.dof()))
            })?
        };
        let share = number(call, "speed", 0.01..=1.0)?;
        Ok(Self { motion: JointMove::new(context.inputs.joints.q, &goal, &context.body.mover.limits, share) })
    }
}

impl Behaviour for Joints {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        Ok(match self.motion.step(&context.inputs.joints.q, context.dt, TOLERANCE_RAD) {
            Step::Arrived => Progress::Done,
            Step::Go(qd) => {
                context.wish = Some(qd);
                Progress::Running
            }
        })
    }
}

/// Stands still for ever.
#[derive(Debug)]
pub(super) struct Hold;

impl Behaviour for Hold {
    fn tick(&mut self, context: &mut Context<'_>) -> Result<Progress, Failure> {
        context.wish = Some(JointVector::zeros());
        Ok(Progress::Running)
    }
}

pub(super) fn located(memory: &Memory, part: &str) -> Result<Isometry3<f64>, Failure> {
    memory
        .located
        .get(part)
        .copied()
        .ok_or_else(|| Failure(format!("part '{part}' has not been located; use Locate first")))
}

pub(super) fn held(memory: &Memory, part: &str) -> Result<Isometry3<f64>, Failure> {
    memory.held.get(part).copied().ok_or_else(|| {
        Failure(format!("part '{part}' has not been located in the gripper; use LocateHeld first"))
    })
}

/// Number of positions in a turn about z in which a part looks the same.
fn symmetry(call: &LeafCall<'_>) -> Result<u32, Failure> {
    Ok(number_of_turns(call.get("symmetry")?)?)
}

fn number_of_turns(value: i64) -> Result<u32, String> {
    u32::try_from(value)
        .ok()
        .filter(|turns| (1..=360).contains(turns))
        .ok_or_else(|| format!("port 'symmetry' is {value}, expected 1 to 360"))
}

/// Of the goals that the part's symmetry allows, the one that turns the tool least.
fn nearest_turn(
    symmetry: u32,
    goal: impl Fn(UnitQuaternion<f64>) -> Isometry3<f64>,
    tool: &Isometry3<f64>,
) -> Isometry3<f64> {
    let step = std::f64::consts::TAU / f64::from(symmetry);
    (0..symmetry)
        .map(|k| goal(UnitQuaternion::from_axis_angle(&Vector3::z_axis(), step * f64::from(k))))
        .min_by(|a, b| a.rotation.angle_to(&tool.rotation).total_cmp(&b.rotation.angle_to(&tool.rotation)))
        .expect("a symmetry has at least one turn")
}
