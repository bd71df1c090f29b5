//! Messages to values and back.

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};
use r2r::geometry_msgs::msg::{Point, Pose, Wrench};
use r2r::swarm_msgs::action::ExecuteSkill;
use r2r::swarm_msgs::msg::{
    EnvelopeMargin, LeasedResource, RobotSafety, RoleState as RoleStateMsg, SafetyStatus, SweptVolume,
};
use swarm_base::Role;
use swarm_skill_core::{Activity, Footprint, Margin, Outcome, Preview, RoleState};
use swarm_view::{Against, RobotView, SafetyView};

use crate::world::Safety;

pub fn wrench(message: &Wrench) -> [f64; 6] {
    let (f, m) = (&message.force, &message.torque);
    [f.x, f.y, f.z, m.x, m.y, m.z]
}

/// `None` for a pose with values that are not finite or a quaternion that is none.
pub fn pose(message: &Pose) -> Option<Isometry3<f64>> {
    let (p, o) = (&message.position, &message.orientation);
    let quaternion = Quaternion::new(o.w, o.x, o.y, o.z);
    let usable = [p.x, p.y, p.z, o.w, o.x, o.y, o.z].iter().all(|value| value.is_finite());
    (usable && (quaternion.norm() - 1.0).abs() < 1e-3).then(|| {
        Isometry3::from_parts(Translation3::new(p.x, p.y, p.z), UnitQuaternion::from_quaternion(quaternion))
    })
}

pub fn safety(message: &SafetyStatus) -> Safety {
    let name = safety_state_name(message.state);
    let state = match (message.cause.as_str(), message.detail.as_str()) {
        ("", _) => name.to_owned(),
        (cause, "") => format!("{name}: {cause}"),
        (cause, detail) => format!("{name}: {cause} ({detail})"),
    };
    Safety {
        epoch: message.epoch,
        permits_motion: matches!(name, "READY" | "RUN" | "SLOW"),
        state,
        artifact: message.artifact.clone(),
        view: safety_view(message, name),
    }
}

fn safety_view(message: &SafetyStatus, state: &str) -> SafetyView {
    let robot = |robot: &RobotSafety| RobotView {
        robot: robot.robot.clone(),
        speed_scale: robot.speed_scale,
        tcp_speed: Against::new(robot.tcp_speed, robot.tcp_speed_limit),
        contact_force: Against::new(robot.contact_force, robot.contact_force_limit),
        separation: Against::new(robot.separation, robot.separation_limit),
        joint_velocity_ratio: robot.joint_velocity_ratio.is_finite().then_some(robot.joint_velocity_ratio),
    };
    SafetyView {
        state: state.to_owned(),
        cause: message.cause.clone(),
        detail: message.detail.clone(),
        epoch: message.epoch,
        age_s: None,
        robots: message.robots.iter().map(robot).collect(),
    }
}

pub fn safety_state_name(state: u8) -> &'static str {
    ["DENY", "READY", "RUN", "SLOW", "STOP2", "STOP1", "ESTOP"].get(usize::from(state)).unwrap_or(&"unknown")
}

pub fn role_state(state: &RoleState) -> RoleStateMsg {
    RoleStateMsg {
        role: state.role.to_string(),
        robot: state.robot.clone(),
        phase: state.phase.clone(),
        progress: state.progress,
        state: activity_constant(state.activity),
        message: state.message.clone(),
    }
}

/// Outcomes of `ExecuteSkill.action`.
pub const SUCCEEDED: u8 = 0;
const ABORTED: u8 = 1;
const CANCELED: u8 = 2;

/// The outcome's constant of `ExecuteSkill.action`, and its message.
pub fn outcome(outcome: &Outcome) -> (u8, String) {
    match outcome {
        Outcome::Succeeded => (SUCCEEDED, String::new()),
        Outcome::Aborted(reason) => (ABORTED, reason.clone()),
        Outcome::Canceled(reason) => (CANCELED, reason.clone()),
    }
}

/// The result of a goal that asked for a preview. One that breaks the envelope is aborted with the place where it does.
pub fn preview(preview: Result<Preview, String>, trace_id: &str) -> ExecuteSkill::Result {
    let trace_id = trace_id.to_owned();
    let preview = match preview {
        Ok(preview) => preview,
        Err(message) => {
            return ExecuteSkill::Result { outcome: ABORTED, message, trace_id, ..Default::default() };
        }
    };
    let (outcome, message) = match (&preview.outcome, preview.verdict()) {
        (Outcome::Canceled(reason), _) => (CANCELED, reason.clone()),
        (_, Ok(())) => (SUCCEEDED, String::new()),
        (_, Err(refusal)) => (ABORTED, refusal.to_string()),
    };
    let leased = |(role, resource): &(Role, String)| LeasedResource {
        role: role.to_string(),
        resource: resource.clone(),
    };
    ExecuteSkill::Result {
        outcome,
        message,
        trace_id,
        duration: preview.duration.as_secs_f64(),
        swept: preview.arms.iter().map(swept_volume).collect(),
        leases: preview.leases.iter().map(leased).collect(),
        margins: preview.margins.iter().map(envelope_margin).collect(),
    }
}

fn swept_volume(arm: &Footprint) -> SweptVolume {
    let point = |[x, y, z]: [f64; 3]| Point { x, y, z };
    SweptVolume {
        role: arm.role.to_string(),
        robot: arm.robot.clone(),
        voxel: arm.swept.voxel_m,
        volume: arm.swept.volume_m3,
        min: point(arm.swept.min_m),
        max: point(arm.swept.max_m),
    }
}

fn envelope_margin(margin: &Margin) -> EnvelopeMargin {
    EnvelopeMargin {
        limit: margin.limit.name().to_owned(),
        robot: margin.robot.clone(),
        against: margin.with.clone().unwrap_or_default(),
        unit: margin.limit.unit().to_owned(),
        value: margin.value,
        allowed: margin.allowed,
        margin: margin.margin(),
        at: margin.place.at.as_secs_f64(),
        role: margin.place.role.to_string(),
        phase: margin.place.phase.clone(),
        node: margin.place.node.clone(),
    }
}

fn activity_constant(activity: Activity) -> u8 {
    match activity {
        Activity::Idle => 0,
        Activity::Joining => 1,
        Activity::Running => 2,
        Activity::Holding => 3,
        Activity::Succeeded => 4,
        Activity::Aborted => 5,
        Activity::Canceled => 6,
    }
}
